//! Boundaries of group-sequential gates, from the information that the log plans for each look.
//!
//! One boundary serves all replicates: it is fixed before any of them, as a team's would be before its rollout.

use rayon::prelude::*;

use super::player::Player;
use crate::domain::gate::{Correction, Gate, Spending, Test};
use crate::gate::lens::Lens;
use crate::gate::question::{Against, Asker, ExpectedArms, Question};
use crate::gate::stage::StagePlace;
use crate::simulate::trajectory::{Arm, Reader, Span, Trajectory};
use crate::stats::boundary::{self, design};

/// Looks that add less than this share to the information so far are not looks of their own.
const SMALLEST_STEP: f64 = 2e-3;

/// Looks of the boundary that the smallest detectable regression is planned with: more hardly change it.
const PLANNED_LOOKS: usize = 12;

/// The boundary of one question in one stage; without looks where the gate is not group-sequential or nothing can be planned.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Boundary {
    /// What the standardised regression must exceed at each look.
    pub by_look: Vec<f64>,
    /// Standard errors at the stage's end by which a regression must exceed the margin to fail with the gate's power at some look.
    pub drift: Option<f64>,
}

/// Per stage, gate and question.
pub type Boundaries = Vec<Vec<Vec<Boundary>>>;

/// The boundaries of a run.
#[must_use]
pub fn plan(player: &Player<'_>) -> Boundaries {
    let stage = |(index, place): (usize, &StagePlace)| {
        let gates = player.scenario.gates.iter().zip(&player.gates).enumerate();
        let of_gate = |(index_of_gate, (gate, plan)): (usize, (&Gate, &super::player::GatePlan))| {
            let asked = gate.asked_in(&player.scenario.stages[index]);
            let Test::GroupSequential(spending) = gate.test else {
                return vec![Boundary::default(); plan.questions.len()];
            };
            let alpha = player.scenario.alpha_fail(index_of_gate);
            // Sequentially there is no stepping down: every question gets an equal share.
            let share = if gate.correction == Correction::None { alpha } else { alpha / plan.questions.len() as f64 };
            let of_question = |question: &Question| {
                let open = asked && (place.plan.exposure < 1.0 || matches!(question.against, Against::Limit(_)));
                let information = if open { information(player, gate, *question, place) } else { Vec::new() };
                boundary_of(&information, share, spending, gate.power.get())
            };
            plan.questions.iter().map(of_question).collect()
        };
        gates.map(of_gate).collect()
    };
    player.places().par_iter().enumerate().map(stage).collect()
}

/// Information about a question at each look of a stage: the median over start times, none before either arm has enough units.
fn information(player: &Player<'_>, gate: &Gate, question: Question, place: &StagePlace) -> Vec<f64> {
    let asker = Asker::new(gate, player.scenario, &player.simulator.layout);
    let at = |census: &Trajectory, look: usize| {
        let reader = Reader { layout: &player.simulator.layout, trajectory: census };
        let span = Span { look: place.first_look + look, since: None };
        let counts = reader.counts(span, Arm::Candidate, question.slice);
        let smaller = place.plan.exposure.min(1.0 - place.plan.exposure);
        let share = if matches!(question.against, Against::Limit(_)) { place.plan.exposure } else { smaller };
        if counts.units * share < gate.min_units || counts.covered * share < gate.min_requests {
            return 0.0;
        }
        let arms = ExpectedArms { reader, span, exposure: place.plan.exposure };
        let variance = asker.evidence(question, Lens::NULL, &arms).and_then(|evidence| evidence.fail.variance);
        variance.filter(|&variance| variance > 0.0).map_or(0.0, |variance| 1.0 / variance)
    };
    let median = |look: usize| {
        let mut found: Vec<f64> = player.sampled_censuses.iter().map(|census| at(census, look)).collect();
        found.sort_unstable_by(f64::total_cmp);
        found[found.len() / 2]
    };
    (0..place.plan.looks()).map(median).collect()
}

/// The boundary at every look; infinite where a look adds no information, absent where the stage has none at all.
fn boundary_of(information: &[f64], alpha: f64, spending: Spending, power: f64) -> Boundary {
    let total = information.iter().copied().fold(0.0, f64::max);
    if total <= 0.0 {
        return Boundary::default();
    }
    let (mut looks, mut fractions, mut reached) = (Vec::new(), Vec::new(), 0.0);
    for (look, &found) in information.iter().enumerate() {
        let fraction = (found / total).min(1.0);
        if fraction > reached * (1.0 + SMALLEST_STEP) {
            looks.push(look);
            fractions.push(fraction);
            reached = fraction;
        }
    }
    // The last look of its own spends what is left.
    if let Some(last) = fractions.last_mut() {
        *last = 1.0;
    }
    let mut by_look = vec![f64::INFINITY; information.len()];
    for (look, z) in looks.into_iter().zip(boundary::upper(&fractions, alpha, spending)) {
        by_look[look] = z;
    }
    Boundary { by_look, drift: drift(&fractions, alpha, spending, power) }
}

fn drift(fractions: &[f64], alpha: f64, spending: Spending, power: f64) -> Option<f64> {
    let kept = PLANNED_LOOKS.min(fractions.len());
    let thinned: Vec<f64> = (1..=kept).map(|look| fractions[look * fractions.len() / kept - 1]).collect();
    design::drift_for_power(&thinned, &boundary::upper(&thinned, alpha, spending), None, power)
}
