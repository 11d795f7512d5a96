//! Counts over replicates, added in a fixed order.

use super::player::{Played, Player, StageEnd, WorldOutcome};
use super::together::TogetherTally;
use crate::domain::gate::Verdict;
use crate::gate::stage::StageVerdicts;

/// At how many moments the fan of exposed requests is kept.
pub(super) const FAN_POINTS: usize = 60;

/// Counts of one gate, lens and stage.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GateTally {
    /// Replicates in which the stage asked.
    pub asked: f64,
    /// The gate failed at some look.
    pub failed: f64,
    /// The gate passed at the stage's end.
    pub passed: f64,
    /// Sum over the failures of the looks that a patient gate waited for after its first failing one.
    pub waited: f64,
    /// Per question.
    pub questions: Vec<QuestionTally>,
}

/// Counts of one question.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct QuestionTally {
    /// Failed at some look.
    pub failed: f64,
    /// Passed at the stage's end.
    pub passed: f64,
    /// Enough data at the stage's end.
    pub with_data: f64,
    /// With a standard error at the stage's end.
    pub with_se: f64,
    /// Sum of differences at the stage's end, with enough data.
    pub difference: f64,
    /// Sum of standard errors.
    pub se: f64,
}

/// Everything counted.
pub struct Tally {
    /// Replicates so far.
    pub replicates: usize,
    /// Per gate, lens, stage; nothing is counted of lenses that are not told.
    pub gates: Vec<Vec<Vec<GateTally>>>,
    /// Per world: every replicate.
    pub worlds: Vec<Vec<WorldOutcome>>,
    /// Per stage: sums of units and requests on the candidate.
    pub stages: Vec<StageEnd>,
    /// Per stage: all gates together, if the candidate is as good as stable.
    pub together: Vec<TogetherTally>,
    /// Replicates in which any gate that rolls back fails, each with its metric worse by exactly what it accepts, whatever stage is reached.
    pub failed_at_margins: f64,
    /// Per gate: replicates in which it fails in some stage, whatever stage is reached, with a candidate as good as stable.
    pub alarms: Vec<f64>,
    /// Per stage: replicates with a sample ratio, and those in which it alarms.
    pub sample_ratio: Vec<(f64, f64)>,
    /// Looks at which the fan is kept.
    pub fan_looks: Vec<usize>,
    /// Per replicate: requests the candidate has served by those looks, had nothing stopped the rollout.
    pub fan: Vec<Vec<f64>>,
}

impl Tally {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(player: &Player<'_>) -> Self {
        let stages = player.scenario.stages.len();
        let looks: usize = player.simulator.plan.iter().map(crate::simulate::StagePlan::looks).sum();
        let points = FAN_POINTS.min(looks);
        let gates = player.gates.iter().map(|plan| {
            let empty =
                GateTally { questions: vec![QuestionTally::default(); plan.questions.len()], ..GateTally::default() };
            vec![vec![empty; stages]; plan.lenses.len()]
        });
        Self {
            replicates: 0,
            gates: gates.collect(),
            worlds: vec![Vec::new(); player.worlds.len()],
            stages: vec![StageEnd::default(); stages],
            together: (0..stages).map(|stage| TogetherTally::new(player, stage)).collect(),
            failed_at_margins: 0.0,
            alarms: vec![0.0; player.gates.len()],
            sample_ratio: vec![(0.0, 0.0); stages],
            fan_looks: (1..=points).map(|point| point * looks / points - 1).collect(),
            fan: Vec::new(),
        }
    }

    /// Counts one replicate.
    pub fn add(&mut self, player: &Player<'_>, played: Played) {
        self.replicates += 1;
        for (stage, together) in self.together.iter_mut().enumerate() {
            together.add(player, &played, stage);
        }
        let fails = |gate: usize| {
            let stages = &played.verdicts[gate][player.gates[gate].failing_lens];
            stages.iter().flatten().any(|said| said.first_fail.is_some())
        };
        self.failed_at_margins += f64::from(u8::from(player.rolling_back().any(fails)));
        for ((alarms, said), plan) in self.alarms.iter_mut().zip(&played.verdicts).zip(&player.gates) {
            let stages = &said[plan.lens_of_world[1]];
            *alarms += f64::from(u8::from(stages.iter().flatten().any(|said| said.first_fail.is_some())));
        }
        for (tallies, verdicts) in self.gates.iter_mut().flatten().zip(played.verdicts.iter().flatten()) {
            for (tally, verdicts) in tallies.iter_mut().zip(verdicts) {
                if let Some(verdicts) = verdicts {
                    tally.add(verdicts);
                }
            }
        }
        for (outcomes, outcome) in self.worlds.iter_mut().zip(played.worlds) {
            outcomes.push(outcome);
        }
        for (sums, end) in self.stages.iter_mut().zip(played.stages) {
            sums.units += end.units;
            sums.requests += end.requests;
            sums.served += end.served;
            sums.reached.met += end.reached.met;
            sums.reached.active += end.reached.active;
        }
        for ((checked, alarms), ratio) in self.sample_ratio.iter_mut().zip(&played.sample_ratio) {
            *checked += f64::from(u8::from(ratio.is_some()));
            *alarms += f64::from(u8::from(ratio.is_some_and(|ratio| ratio.alarms())));
        }
        self.fan.push(self.fan_looks.iter().map(|&look| played.served[look].0).collect());
    }
}

impl GateTally {
    fn add(&mut self, verdicts: &StageVerdicts) {
        let one = |flag: bool| f64::from(u8::from(flag));
        self.asked += 1.0;
        self.failed += one(verdicts.first_fail.is_some());
        self.passed += one(verdicts.end == Verdict::Pass);
        if let Some(((acted, _), failing)) = verdicts.first_fail.zip(verdicts.first_failing) {
            self.waited += (acted - failing) as f64;
        }
        for (tally, record) in self.questions.iter_mut().zip(&verdicts.questions) {
            tally.failed += one(record.failed);
            tally.passed += one(record.passed);
            tally.with_data += one(record.difference.is_some());
            tally.difference += record.difference.unwrap_or(0.0);
            tally.with_se += one(record.se.is_some());
            tally.se += record.se.unwrap_or(0.0);
        }
    }
}
