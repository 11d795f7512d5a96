//! What may be chosen for a scenario on a log.

use crate::commands::inputs;
use crate::digest::Digest;
use crate::domain::gate::{Decision, Looks, Spending, Test};
use crate::domain::limit::{Limit, Quantity};
use crate::domain::quantity::{Fraction, Seconds};
use crate::domain::rollout::{Budget, Promotion, Stage};
use crate::scenario::Scenario;
use crate::scenario::rewrite::{self, is_free};
use crate::search::space::{Schedule, Space, Step};

/// Exposures beside those of the scenario: whole percents, which every flag platform takes.
const EXPOSURES: [f64; 6] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

/// Seconds between looks beside those of the scenario.
const LOOKS_S: [i64; 6] = [900, 1800, 3600, 10_800, 21_600, 43_200];

/// Budgets of false rollbacks that are tried where false rollbacks are limited.
const BUDGETS: [f64; 5] = [0.05, 0.1, 0.2, 0.35, 0.5];

/// Longer schedules are not tried.
const LONGEST_S: i64 = 60 * 86_400;

/// Exposures, times, tests and budgets.
pub(super) fn of(scenario: &Scenario, text: &str, limits: &[Limit], digest: &Digest) -> Space {
    let slot_s = scenario.log.slot.0;
    let below = |stage: &&Stage| stage.has_control();
    let mut exposures = EXPOSURES.to_vec();
    exposures
        .extend(scenario.stages.iter().filter(below).map(|stage| stage.exposure.get()).filter(|share| *share > 0.0));
    exposures.sort_by(f64::total_cmp);
    exposures.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    let mut looks_s: Vec<i64> = LOOKS_S.into_iter().filter(|look| look % slot_s == 0).collect();
    looks_s.extend(scenario.stages.iter().map(|stage| stage.look_every.0).filter(|look| *look > 0));
    looks_s.push(slot_s);
    looks_s.sort_unstable();
    looks_s.dedup();
    let free: Vec<_> = scenario.gates.iter().filter(|gate| is_free(gate)).collect();
    let tests = [
        (Test::GroupSequential(Spending::Pocock), Looks::All),
        (Test::GroupSequential(Spending::ObrienFleming), Looks::All),
        (Test::Fixed, Looks::End),
        (Test::ConfidenceSequence, Looks::All),
    ];
    let other = |(test, looks): &(Test, Looks)| free.iter().any(|gate| gate.test != *test || gate.looks != *looks);
    let limited = limits.iter().any(|limit| limit.of == Quantity::FalseRollback);
    let rolls_back = scenario.gates.iter().any(|gate| gate.on_fail == Decision::RollBack && gate.test != Test::Point);
    let once = scenario.gates.iter().any(|gate| matches!(gate.test, Test::GroupSequential(_)));
    let ways = [(Budget::Split, true), (Budget::Rollout, once)];
    let budgets = ways.into_iter().filter(|&(_, possible)| possible && limited && rolls_back);
    let last = scenario.stages.iter().rposition(Stage::has_control).unwrap_or(0);
    let tail_s: i64 = scenario.stages.iter().filter(|stage| !stage.has_control()).map(|stage| stage.duration.0).sum();
    let mut space = Space {
        exposures,
        looks_s,
        slot_s,
        longest_s: room_s(scenario, digest) - tail_s,
        onset_s: scenario.effects.iter().map(|effect| effect.onset.0).max().unwrap_or(0) - tail_s,
        tail_s,
        tests: tests.into_iter().filter(other).collect(),
        budgets: budgets.flat_map(|(way, _)| BUDGETS.map(|share| (share, way))).collect(),
        proof: scenario.rollout.promote == Promotion::NoFail || scenario.rollout.pass_from < last,
    };
    // A choice that some other key of the scenario forbids is none.
    let exposure = Fraction::new(space.exposures[0]).expect("a share");
    let duration = Seconds((space.longest_s / slot_s).max(1) * slot_s);
    let steps = vec![rewrite::Step { exposure, duration, look_every: Seconds(slot_s) }];
    let possible = |test: &(Test, Looks)| {
        let changes = rewrite::Changes { steps: steps.clone(), test: Some(*test), ..rewrite::Changes::default() };
        rewrite::rewritten(scenario, text, &changes).and_then(|text| Scenario::parse(&scenario.path, &text)).is_ok()
    };
    space.tests.retain(possible);
    space
}

/// The longest schedule for which the log has a start.
fn room_s(scenario: &Scenario, digest: &Digest) -> i64 {
    let step = Seconds::HOUR.0.max(scenario.log.slot.0);
    let fits = |length: i64| {
        let mut probe = scenario.clone();
        probe.stages.truncate(1);
        probe.stages.iter_mut().for_each(|stage| stage.duration = Seconds(length));
        inputs::starts(&probe, digest).is_ok()
    };
    // Whatever fits, all shorter ones do.
    let (mut low, mut high) = (0, LONGEST_S / step + 1);
    while high - low > 1 {
        let middle = i64::midpoint(low, high);
        if fits(middle * step) { low = middle } else { high = middle }
    }
    low * step
}

/// The stages as written, in terms of the space.
pub(super) fn own_schedule(scenario: &Scenario, space: &Space) -> Schedule {
    let step = |stage: &Stage| {
        let exposure = space.exposures.iter().position(|share| (share - stage.exposure.get()).abs() < 1e-9)?;
        Some(Step { exposure, duration_s: stage.duration.0, look_s: stage.look_every.0 })
    };
    scenario.stages.iter().filter(|stage| stage.has_control()).filter_map(step).collect()
}
