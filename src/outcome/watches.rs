//! How gates that count events watch each stage, from the events that the log plans for it. Fixed before any replicate.

use rayon::prelude::*;

use super::player::Player;
use crate::domain::gate::{Gate, Looks, Test};
use crate::domain::metric::Margin;
use crate::gate::events::{self, Watch};
use crate::gate::lens::Lens;
use crate::gate::question::{Against, Asker, ExpectedArms, Question};
use crate::gate::stage::StagePlace;
use crate::simulate::trajectory::{Reader, Span, Trajectory};
use crate::stats::anytime::labels::BinomialMaxSprt;
use crate::stats::anytime::poisson::MaxSprt;

/// Events beyond which a `MaxSPRT` does not watch: by then they are not rare, and its exact recursion would take long.
const MOST_EVENTS: f64 = 1000.0;

/// Standard errors by which a stage may have more events than planned and still be watched to its end.
const ROOM: f64 = 4.0;

/// Per stage, gate and question; none where the gate does not count events or the stage does not ask.
pub type Watches = Vec<Vec<Vec<Option<Watch>>>>;

/// The watches of a run.
#[must_use]
pub fn plan(player: &Player<'_>) -> Watches {
    let stage = |(index, place): (usize, &StagePlace)| {
        let of_gate = |(index_of_gate, gate): (usize, &Gate)| {
            let questions = &player.gates[index_of_gate].questions;
            let asked = gate.test.counts_events() && gate.asked_in(&player.scenario.stages[index]);
            let alpha = player.levels.alpha_fail[index_of_gate];
            // Sequentially there is no stepping down: every question gets its share.
            let of_question = |(question, share): (&Question, &f64)| {
                let open = asked && (place.plan.has_control() || !question.against.compares());
                open.then(|| watch(player, gate, *question, place, alpha * share))
            };
            questions.iter().zip(&player.levels.shares[index_of_gate]).map(of_question).collect()
        };
        player.scenario.gates.iter().enumerate().map(of_gate).collect()
    };
    player.places().par_iter().enumerate().map(stage).collect()
}

fn watch(player: &Player<'_>, gate: &Gate, question: Question, place: &StagePlace, alpha: f64) -> Watch {
    let found: Vec<f64> =
        player.sampled_censuses.iter().map(|census| planned(player, gate, question, place, census)).collect();
    let most = found.iter().copied().fold(1.0, f64::max);
    let mut sorted = found;
    sorted.sort_unstable_by(f64::total_cmp);
    // Without an event in the log, the first few are what is looked out for.
    let median = sorted[sorted.len() / 2].max(1.0);
    match gate.test {
        Test::Exact(_) if gate.looks == Looks::End => Watch::Once,
        Test::Exact(spending) => Watch::Spend { alpha, spending, planned: median },
        Test::MaxSprt => {
            let horizon = (most + ROOM * most.sqrt()).min(MOST_EVENTS).ceil();
            let critical = match question.against {
                Against::Stable { harm, .. } => {
                    let share = events::share_at(harm, place.plan.split().of_both());
                    BinomialMaxSprt { horizon: horizon as u64, share }.critical_value(alpha)
                }
                Against::Limit(_) | Against::Distance { .. } => {
                    MaxSprt { horizon, min_events: 1 }.critical_value(alpha)
                }
            };
            Watch::MaxSprt { critical: critical.unwrap_or(f64::INFINITY), horizon }
        }
        _ => Watch::EProcess { alpha: alpha.min(0.49), planned: median },
    }
}

/// Events at a stage's end: of both arms if the candidate is worse by what it may be, or of the candidate at its limit.
fn planned(player: &Player<'_>, gate: &Gate, question: Question, place: &StagePlace, census: &Trajectory) -> f64 {
    let split = place.plan.split();
    let reader = Reader { layout: &player.simulator.layout, trajectory: census };
    let asker = Asker::new(gate, player.scenario, &player.simulator.layout);
    let Some(look) = place.seen(place.plan.looks() - 1, asker.delay) else { return 0.0 };
    let arms = ExpectedArms { reader, span: Span { look, since: None }, split };
    let Some(counts) = events::counts(&asker, question, Lens::NULL, &arms, split) else { return 0.0 };
    match (question.against, counts.stable) {
        (Against::Stable { harm, .. }, Some(stable)) => {
            let worse = if let Margin::Relative(share) = harm { 1.0 + share } else { 1.0 };
            worse * counts.candidate.events + stable.events
        }
        (Against::Limit(limit), _) => limit * counts.candidate.trials,
        (Against::Stable { .. }, None) | (Against::Distance { .. }, _) => 0.0,
    }
}
