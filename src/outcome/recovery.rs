//! From a failing look until everyone is back on stable: how long that takes, and whom the candidate serves meanwhile.

use crate::assign::KeyedHash;
use crate::domain::quantity::Seconds;
use crate::domain::rollout::{Delay, Recovery};
use crate::gate::stage::StagePlace;
use crate::scenario::Scenario;
use crate::stats::normal;

/// Draws that belong to a replicate and to none of its units: a key and streams that copies of units do not reach.
const OF_NO_UNIT: u64 = 0;
const DIAGNOSE_STREAM: u32 = 1 << 30;
const MITIGATE_STREAM: u32 = DIAGNOSE_STREAM + 1;
/// And those of later stages after it.
const APPROVAL_STREAM: u32 = DIAGNOSE_STREAM + 2;
/// Of the first pause of the first stage; a stage has room for so many.
const RESUME_STREAM: u32 = DIAGNOSE_STREAM + (1 << 20);
const PAUSES_OF_STAGE: u32 = 1 << 10;

/// How long one rollback takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollback {
    /// From the failing look to the decision.
    pub diagnose: Seconds,
    /// From there until it has been carried out.
    pub mitigate: Seconds,
}

/// How long the people take who decide about one rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct People {
    /// Of a rollback.
    pub rollback: Rollback,
    /// Per stage: working time until it may be left.
    pub approvals: Vec<Seconds>,
    /// Draws the working time until somebody comes to a pause; without it, half of all come sooner.
    draws: Option<KeyedHash>,
}

impl People {
    /// Those of one replicate.
    #[must_use]
    pub fn of_replicate(scenario: &Scenario, replicate: usize) -> Self {
        let hash = KeyedHash::of_replicate(scenario.simulation.seed, replicate as u64);
        let delay = scenario.rollout.approval.delay;
        let approval = |stage: usize| drawn(delay, hash, APPROVAL_STREAM + stage as u32);
        let approvals = (0..scenario.stages.len()).map(approval).collect();
        Self { rollback: Rollback::of_replicate(scenario, replicate), approvals, draws: Some(hash) }
    }

    /// Working time until somebody comes to a pause of a stage.
    #[must_use]
    pub fn resume(&self, delay: Delay, stage: usize, pause: usize) -> Seconds {
        let pause = (pause as u32).min(PAUSES_OF_STAGE - 1);
        let stream = RESUME_STREAM + stage as u32 * PAUSES_OF_STAGE + pause;
        self.draws.map_or_else(|| delay.at(0.0), |hash| drawn(delay, hash, stream))
    }

    /// Half of all are faster.
    #[must_use]
    pub fn median(scenario: &Scenario) -> Self {
        let approvals = vec![scenario.rollout.approval.delay.at(0.0); scenario.stages.len()];
        Self { rollback: Rollback::median(scenario), approvals, draws: None }
    }
}

/// A time of one replicate, of which one in a hundred is cut short.
fn drawn(delay: Delay, hash: KeyedHash, stream: u32) -> Seconds {
    delay.at(normal::upper_quantile(hash.uniform(OF_NO_UNIT, stream).max(1e-12))).min(delay.longest())
}

impl Rollback {
    /// That of one replicate: the same in all its worlds, and in all variants of a comparison.
    #[must_use]
    pub fn of_replicate(scenario: &Scenario, replicate: usize) -> Self {
        let hash = KeyedHash::of_replicate(scenario.simulation.seed, replicate as u64);
        // Away from 0, which has no deviate.
        let deviate = |stream: u32| normal::upper_quantile(hash.uniform(OF_NO_UNIT, stream).max(1e-12));
        Self::at(scenario.rollout.recovery, deviate(DIAGNOSE_STREAM), deviate(MITIGATE_STREAM))
    }

    /// Half of all rollbacks are decided sooner, and half are carried out sooner.
    #[must_use]
    pub fn median(scenario: &Scenario) -> Self {
        Self::at(scenario.rollout.recovery, 0.0, 0.0)
    }

    fn at(recovery: Recovery, diagnose: f64, mitigate: f64) -> Self {
        Self { diagnose: recovery.diagnose.at(diagnose), mitigate: recovery.mitigate.at(mitigate) }
    }

    /// From the failing look until everyone is back.
    #[must_use]
    pub fn total(self) -> Seconds {
        Seconds(self.diagnose.0 + self.mitigate.0)
    }
}

/// Requests and units that the candidate has served by the time everyone is back on stable, `after` so much time since the last of `looks`
/// looks; `served` says it by look, had nothing stopped the rollout.
///
/// Between looks the candidate serves evenly. Past the end of the stage it goes on as it did during the last so much time of it.
#[must_use]
pub fn served_until(served: &[(f64, f64)], looks: usize, places: &[StagePlace], after: Seconds) -> (f64, f64) {
    let Some(last) = looks.checked_sub(1) else { return (0.0, 0.0) };
    let stage = places.iter().rev().find(|place| place.first_look <= last && place.plan.looks() > 0);
    let Some(stage) = stage.filter(|_| after.0 > 0) else { return served[last] };
    let looks_after = after.0 as f64 / (stage.slot_s * stage.plan.slots_per_look as i64) as f64;
    let count = stage.plan.looks() as f64;
    let by = |looks: f64| {
        let at = |looks: usize| (stage.first_look + looks).checked_sub(1).map_or((0.0, 0.0), |look| served[look]);
        let (before, part) = (looks.floor() as usize, looks.fract());
        let (from, to) = (at(before), at(before + usize::from(part > 0.0)));
        (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1))
    };
    let end = (looks - stage.first_look) as f64 + looks_after;
    let beyond = (end - count).max(0.0);
    let until = by(end - beyond);
    if beyond <= 0.0 {
        return until;
    }
    let stretch = beyond.min(count);
    let before = by(count - stretch);
    let pace = beyond / stretch;
    (until.0 + pace * (until.0 - before.0), until.1 + pace * (until.1 - before.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::StagePlan;

    /// Two stages of four and of two looks, a quarter of an hour apart.
    fn places() -> [StagePlace; 2] {
        let stage =
            |first_look, slots| StagePlace { first_look, held: 0, plan: StagePlan::plain(0.1, slots, 1), slot_s: 900 };
        [stage(0, 4), stage(4, 2)]
    }

    #[test]
    fn the_candidate_serves_on_until_everyone_is_back() {
        let served = [(10.0, 1.0), (30.0, 2.0), (60.0, 4.0), (100.0, 5.0), (300.0, 9.0), (700.0, 13.0)];
        let until = |looks, minutes: i64| served_until(&served, looks, &places(), Seconds(minutes * 60));
        assert_eq!(until(0, 30), (0.0, 0.0));
        assert_eq!(until(2, 0), (30.0, 2.0));
        // A third of the way to the third look.
        let (requests, units) = until(2, 5);
        assert!((requests - 40.0).abs() < 1e-9 && (units - 8.0 / 3.0).abs() < 1e-9, "{requests} {units}");
        assert_eq!(until(2, 30), (100.0, 5.0));
        // A look past the end of the stage: its last look once more.
        assert_eq!(until(4, 15), (140.0, 6.0));
        // The second stage began with what the first had served; longer than it lasted, its pace counts.
        assert_eq!(until(6, 60), (700.0 + 2.0 * 600.0, 13.0 + 2.0 * 8.0));
    }

    #[test]
    fn longer_rollbacks_serve_more() {
        let served = [(10.0, 1.0), (30.0, 2.0), (60.0, 4.0), (100.0, 5.0), (0.0, 0.0), (0.0, 0.0)];
        let mut last = 0.0;
        for minutes in 0..60 {
            let (requests, _) = served_until(&served, 1, &places(), Seconds(minutes * 60));
            assert!(requests >= last, "{minutes} minutes: {requests} after {last}");
            last = requests;
        }
    }
}
