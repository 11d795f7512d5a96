//! Chance that all gates of a stage pass together, if the candidate is as good as stable.

use super::player::{Played, Player};
use crate::domain::gate::Verdict;
use crate::domain::world::World;
use crate::gate::stage::StageVerdicts;
use crate::power::closed_form::Plan;
use crate::report::Together;
use crate::stats::{joint, multinormal, normal};

/// With more questions than this, only those about all requests are taken into account in closed form.
const MOST_QUESTIONS: usize = 100;

/// Fewer replicates than this do not estimate a correlation.
const FEWEST_REPLICATES: f64 = 100.0;

/// Counts of one stage.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TogetherTally {
    /// Gate and question whose statistics are followed.
    questions: Vec<(usize, usize)>,
    asked: f64,
    passed: f64,
    /// Replicates in which every question has a statistic, the sums of those, and of their products.
    complete: f64,
    sums: Vec<f64>,
    products: Vec<f64>,
}

/// What a gate says of a candidate as good as stable.
fn in_null<'p>(player: &Player<'_>, played: &'p Played, gate: usize, stage: usize) -> Option<&'p StageVerdicts> {
    let null = player.worlds.iter().position(|&world| world == World::Null)?;
    played.verdicts[gate][player.gates[gate].lens_of_world[null]][stage].as_ref()
}

impl TogetherTally {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(player: &Player<'_>, stage: usize) -> Self {
        let asked = |gate: &usize| player.scenario.gates[*gate].asked_in(&player.scenario.stages[stage]);
        let all = |gate: usize| (0..player.gates[gate].questions.len()).map(move |question| (gate, question));
        let questions: Vec<(usize, usize)> = (0..player.gates.len()).filter(asked).flat_map(all).collect();
        let overall = |&(gate, question): &(usize, usize)| player.gates[gate].questions[question].slice == 0;
        let questions =
            if questions.len() > MOST_QUESTIONS { questions.into_iter().filter(overall).collect() } else { questions };
        let count = questions.len();
        Self { questions, sums: vec![0.0; count], products: vec![0.0; count * count], ..Self::default() }
    }

    /// Counts one replicate.
    pub fn add(&mut self, player: &Player<'_>, played: &Played, stage: usize) {
        let mut said = (0..player.gates.len()).filter_map(|gate| in_null(player, played, gate, stage)).peekable();
        if said.peek().is_none() {
            return;
        }
        self.asked += 1.0;
        self.passed += f64::from(u8::from(said.all(|said| said.end == Verdict::Pass)));
        let statistic = |&(gate, question): &(usize, usize)| {
            let record = in_null(player, played, gate, stage)?.questions[question];
            Some(-record.difference? / record.se?)
        };
        let Some(found) = self.questions.iter().map(statistic).collect::<Option<Vec<f64>>>() else { return };
        self.complete += 1.0;
        for (row, (&a, sum)) in found.iter().zip(&mut self.sums).enumerate() {
            *sum += a;
            for (b, product) in found.iter().zip(&mut self.products[row * found.len()..]) {
                *product += a * b;
            }
        }
    }

    /// Correlation of the statistics over replicates; `None` of too few.
    fn correlation(&self) -> Option<Vec<Vec<f64>>> {
        let (n, count) = (self.complete, self.questions.len());
        let covariance = |a: usize, b: usize| self.products[a * count + b] / n - self.sums[a] / n * self.sums[b] / n;
        let entry = |a: usize, b: usize| {
            let scale = (covariance(a, a) * covariance(b, b)).sqrt();
            if a == b { 1.0 } else { (covariance(a, b) / scale).clamp(-1.0, 1.0) }
        };
        let known = n >= FEWEST_REPLICATES && (0..count).all(|a| covariance(a, a) > 0.0);
        known.then(|| (0..count).map(|a| (0..count).map(|b| entry(a, b)).collect()).collect())
    }

    /// What the gates of the stage do together; `None` where none is asked.
    #[must_use]
    pub fn row(&self, player: &Player<'_>, plans: &[Plan], stage: usize) -> Option<Together> {
        if self.asked <= 0.0 {
            return None;
        }
        let chance = |&(gate, question): &(usize, usize)| {
            let same = |plan: &&Plan| (plan.stage, plan.gate, plan.question) == (stage, gate, question);
            plans.iter().find(same).and_then(|plan| plan.power)
        };
        let chances: Option<Vec<f64>> = self.questions.iter().map(chance).collect();
        let closed_form = chances.as_ref().zip(self.correlation()).map(|(chances, correlation)| {
            let limits: Vec<f64> =
                chances.iter().map(|chance| -normal::upper_quantile(chance.clamp(1e-12, 1.0 - 1e-12))).collect();
            multinormal::below(&limits, &correlation)
        });
        let mut gates: Vec<usize> = self.questions.iter().map(|&(gate, _)| gate).collect();
        gates.dedup();
        let wanted = gates.iter().map(|&gate| player.scenario.gates[gate].power.get()).fold(1.0, f64::min);
        Some(Together {
            pass: super::rows::share(self.passed, self.asked),
            pass_closed_form: closed_form,
            pass_at_least: chances.as_ref().map(|chances| joint::all_pass_at_least(chances)),
            power: wanted,
            power_each: joint::power_for_each(wanted, gates.len() as u32, 0),
        })
    }
}
