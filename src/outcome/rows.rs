//! Tallies → the rows of the report.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rayon::prelude::*;

use super::health::SampleRatio;
use super::player::{Cause, Player, StageEnd, WorldOutcome};
use super::recovery::Rollback;
use super::sentinels;
use super::tally::{GateTally, QuestionTally, Tally};
use crate::digest::Digest;
use crate::domain::gate::{Measure, Test};
use crate::domain::metric::Margin;
use crate::domain::rollout::{Paired, PerSegment, Stage, Sticky};
use crate::domain::world::{CURVE_MULTIPLES, Change, Effect, World};
use crate::gate::boundary::Boundary;
use crate::gate::question::Question;
use crate::gate::schedule::{End, Reason};
use crate::gate::stage;
use crate::power::closed_form::Plan;
use crate::report::{
    BudgetFacts, Causes, CurvePoint, FanPoint, GateRow, HealthRow, PairedFacts, PauseRow, PowerCurve, PowerPoint,
    Rates, RecoveryRow, RolledBackBy, Segment, SelfCheckRow, SentinelRow, Share, Spread, StageFacts, TrueExposure,
    WorldRow, WorldStage,
};
use crate::scenario::Scenario;
use crate::simulate::StagePlan;
use crate::simulate::exposure::Reached;
use crate::simulate::layout::Slice;
use crate::stats::cusum;
use crate::stats::interval::wilson;
use crate::stats::spread::quantile;

/// A share of replicates with its Monte Carlo interval.
#[must_use]
pub fn share(events: f64, trials: f64) -> Share {
    let (low, high) = wilson(events, trials, 0.95);
    Share { share: if trials > 0.0 { events / trials } else { 0.0 }, low, high }
}

/// Quantiles and mean of a sample; `None` of an empty one.
#[must_use]
pub fn spread(values: impl Iterator<Item = f64>) -> Option<Spread> {
    let values: Vec<f64> = values.collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let mut sorted = values;
    sorted.sort_unstable_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| Spread {
        p10: quantile(&sorted, 0.1),
        p50: quantile(&sorted, 0.5),
        p90: quantile(&sorted, 0.9),
        mean,
    })
}

/// The name of a slice; `None` for all requests.
#[must_use]
pub fn segment(slice: Slice, digest: &Digest) -> Option<Segment> {
    match slice {
        Slice::Overall => None,
        Slice::Segment { column, value } => {
            let column = &digest.segments[column];
            Some(Segment { column: column.name.clone(), value: column.values[value].clone() })
        }
    }
}

/// Stages with what the candidate serves in them.
#[must_use]
pub fn stages(player: &Player<'_>, tally: &Tally, plans: &[Plan], digest: &Digest) -> Vec<StageFacts> {
    let n = tally.replicates as f64;
    let row = |(index, (stage, end)): (usize, (&Stage, &StageEnd))| StageFacts {
        name: stage.name.clone(),
        exposure: player.simulator.plan[index].exposure,
        only: (!stage.only.is_empty()).then(|| conditions(&stage.only, digest)),
        by_segment: stage.per_segment.as_ref().map(|shares| by_segment(shares, digest)),
        control: stage.has_control().then(|| stage.control.name().into()),
        duration_s: stage.duration.0,
        looks: stage.looks(),
        quiet_looks: stage.quiet_looks(),
        units_candidate: end.units / n,
        requests_candidate: end.requests / n,
        requests_share: Some(mean_requests(player, index)).filter(|&all| all > 0.0).map(|all| end.served / n / all),
        together: tally.together[index].row(player, plans, index),
        paired: stage.paired.as_ref().map(|paired| self::paired(player, index, paired)),
    };
    player.scenario.stages.iter().zip(&tally.stages).enumerate().map(row).collect()
}

/// A stage that exposes nobody.
fn paired(player: &Player<'_>, stage: usize, paired: &Paired) -> PairedFacts {
    let pairs = player.pairs.as_ref();
    let golden = pairs.and_then(|pairs| pairs.golden(stage));
    let requests = golden.map_or_else(|| mean_requests(player, stage), |golden| golden.digest.facts.rows as f64);
    let cost_of = |metric: usize| {
        let costs = player.sampled_starts.iter().filter_map(|&start| pairs?.cost_usd(stage, start, metric));
        spread(costs).map(|costs| costs.mean * requests)
    };
    let asked = |name: &&String| paired.gates.contains(name);
    PairedFacts {
        kind: paired.source.kind().into(),
        log: golden.map(|golden| golden.path.clone()),
        fingerprint: golden.map(|golden| golden.digest.facts.fingerprint.clone()),
        unit: golden.map_or_else(|| player.scenario.assignment.unit.clone(), |golden| golden.unit.clone()),
        requests,
        cost_usd: player.cost_metric().and_then(cost_of),
        not_asked: player.scenario.gates.iter().map(|gate| &gate.name).filter(|name| !asked(name)).cloned().collect(),
    }
}

/// Slots at which replicates start, and how many do.
fn start_slots(player: &Player<'_>) -> BTreeMap<usize, f64> {
    let mut by_start: BTreeMap<usize, f64> = BTreeMap::new();
    for (start, _) in player.blocks(player.scenario.simulation.replicates).into_iter().flatten() {
        *by_start.entry(start).or_default() += 1.0;
    }
    by_start
}

/// Whom the candidate reaches by the end of each stage, where that is not the share of units that the stage takes.
#[must_use]
pub fn true_exposure(player: &Player<'_>, tally: &Tally) -> Vec<TrueExposure> {
    if player.scenario.assignment.sticky == Sticky::Unit {
        return Vec::new();
    }
    let starts: Vec<(usize, f64)> = start_slots(player).into_iter().collect();
    let expected: Vec<(Vec<Reached>, f64)> =
        starts.par_iter().map(|&(start, times)| (player.simulator.expected_exposure(start), times)).collect();
    let sum = |stage: usize, part: fn(&Reached) -> f64| {
        expected.iter().map(|(stages, times)| times * part(&stages[stage])).sum::<f64>()
    };
    let row = |(index, (stage, end)): (usize, (&Stage, &StageEnd))| {
        let reached = end.reached;
        (reached.active > 0.0).then(|| TrueExposure {
            unit: player.scenario.assignment.unit.clone(),
            stage: stage.name.clone(),
            exposure: stage.exposure.get(),
            share: reached.met / reached.active,
            expected: sum(index, |reached| reached.met) / sum(index, |reached| reached.active),
        })
    };
    player.scenario.stages.iter().zip(&tally.stages).enumerate().filter_map(row).collect()
}

/// Requests of all units in a stage, the mean over replicates.
fn mean_requests(player: &Player<'_>, stage: usize) -> f64 {
    let plan = &player.simulator.plan;
    let before: usize = plan[..stage].iter().map(StagePlan::own_slots).sum();
    // As often as replicates take them.
    let by_start = start_slots(player);
    let of_start = |(start, times): (&usize, &f64)| {
        times * player.simulator.requests(start + before..start + before + plan[stage].own_slots())
    };
    by_start.iter().map(of_start).sum::<f64>() / by_start.values().sum::<f64>()
}

/// `tier = internal or pilot, region = eu`.
fn conditions(only: &[(usize, Vec<String>)], digest: &Digest) -> String {
    let text = |(column, values): &(usize, Vec<String>)| {
        format!("{} = {}", digest.segments[*column].name, values.join(" or "))
    };
    only.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// `tier = internal 50 %, others 5 %`.
fn by_segment(shares: &PerSegment, digest: &Digest) -> String {
    let column = &digest.segments[shares.column].name;
    let values: Vec<String> = shares.values.iter().map(|(value, share)| format!("{value} {share}")).collect();
    format!("{column} = {}, others {}", values.join(", "), shares.default)
}

/// How the budget of false rollbacks is kept, where there is one.
#[must_use]
pub fn budget(player: &Player<'_>) -> Option<BudgetFacts> {
    let rollout = &player.scenario.rollout;
    let share = rollout.false_rollback?.get();
    let found = player.calibration.as_ref();
    Some(BudgetFacts {
        how: rollout.budget.name().into(),
        share,
        alpha: share * found.map_or(1.0, |found| found.factor),
        replicates: found.map(|found| found.replicates),
        calibrated: found.map(|found| Share { share: found.rate.0, low: found.rate.1, high: found.rate.2 }),
    })
}

/// What the schedule does in each world.
#[must_use]
pub fn worlds(player: &Player<'_>, tally: &Tally, digest: &Digest) -> Vec<WorldRow> {
    let told = |&world: &usize| !matches!(player.worlds[world], World::Multiple(..));
    (0..player.worlds.len()).into_par_iter().filter(told).map(|index| world(player, tally, digest, index)).collect()
}

/// What the schedule does in one world, by index.
#[must_use]
pub fn world(player: &Player<'_>, tally: &Tally, digest: &Digest, world: usize) -> WorldRow {
    WorldRows { player, tally, digest, world }.row()
}

/// The kind of a world, for programs.
pub(super) fn kind(world: World) -> &'static str {
    match world {
        World::Recorded => "recorded",
        World::Null => "null",
        World::Margin(_) => "margin",
        World::Effect(_) => "effect",
        World::Multiple(..) => "multiple",
    }
}

/// What is taken as true of the candidate, in one line.
fn meaning(world: World, scenario: &Scenario) -> String {
    match world {
        World::Recorded => "the candidate as logged".into(),
        World::Null => "the candidate answers exactly as stable did".into(),
        World::Margin(gate) => {
            let gate = &scenario.gates[gate];
            let metric = &scenario.metrics[gate.metric].name;
            if let Some(measure) = gate.measure {
                let answer = match measure {
                    Measure::Ks | Measure::Psi => "more than any value of stable's",
                    Measure::Mmd => "an answer as unlike stable's as can be",
                };
                format!("{metric} exactly at {}, where a share of all requests has {answer}", gate.allow_text)
            } else if gate.allow.is_some() {
                format!("{metric} worse than stable by exactly what is allowed ({})", gate.allow_text)
            } else {
                format!("{metric} exactly at its {}", gate.allow_text)
            }
        }
        World::Effect(effect) => effect_meaning(&scenario.effects[effect], scenario),
        World::Multiple(gate, multiple) => {
            let gate = &scenario.gates[gate];
            let metric = &scenario.metrics[gate.metric].name;
            format!(
                "{metric} worse than stable by {} times what is allowed ({})",
                CURVE_MULTIPLES[multiple], gate.allow_text
            )
        }
    }
}

fn effect_meaning(effect: &Effect, scenario: &Scenario) -> String {
    let metric = &scenario.metrics[effect.metric].name;
    let mut text = match effect.change {
        Change::Shift(amount) => format!("{metric} {}{}", if amount < 0.0 { "− " } else { "+ " }, amount.abs()),
        Change::Scale(factor) => format!("{metric} × {factor}"),
        Change::Flip(share) => format!("{metric}: {} % of good outcomes turn bad", share * 100.0),
    };
    for (index, (column, values)) in effect.only.iter().enumerate() {
        let joint = if index == 0 { "where" } else { "and" };
        let _ = write!(text, " {joint} {} = {}", scenario.log.segments[*column], values.join(" or "));
    }
    if effect.onset.0 > 0 {
        let _ = write!(text, ", from {} on", effect.onset);
    }
    if effect.ramp.0 > 0 {
        let _ = write!(text, ", growing for {}", effect.ramp);
    }
    text
}

/// One world's row in the making.
struct WorldRows<'a> {
    player: &'a Player<'a>,
    tally: &'a Tally,
    digest: &'a Digest,
    world: usize,
}

impl WorldRows<'_> {
    fn outcomes(&self) -> &[WorldOutcome] {
        &self.tally.worlds[self.world]
    }

    fn share_of(&self, event: impl Fn(&WorldOutcome) -> bool) -> Share {
        let events = self.outcomes().iter().filter(|outcome| event(outcome)).count();
        share(events as f64, self.tally.replicates as f64)
    }

    fn spread_of(&self, value: impl Fn(&WorldOutcome) -> f64) -> Spread {
        spread(self.outcomes().iter().map(value)).expect("a run has replicates")
    }

    fn row(&self) -> WorldRow {
        let caused_by = |cause: Cause| self.share_of(|o| o.cause == Some(cause));
        let cost = |part: fn((f64, f64)) -> f64| {
            self.player.cost_metric().map(|_| self.spread_of(|o| o.cost.map_or(0.0, part)))
        };
        WorldRow {
            world: self.player.scenario.world_name(self.player.worlds[self.world]),
            kind: kind(self.player.worlds[self.world]).into(),
            meaning: meaning(self.player.worlds[self.world], self.player.scenario),
            past_margin: self.past_margin(),
            onset_s: self.onset_s() as f64,
            promoted: self.share_of(|o| o.outcome.end == End::Promoted),
            rolled_back: self.share_of(|o| matches!(o.outcome.end, End::RolledBack { .. })),
            stalled: self.share_of(|o| matches!(o.outcome.end, End::Stalled { .. })),
            held: self.share_of(|o| o.held_s > 0),
            held_s: spread(self.outcomes().iter().filter(|o| o.held_s > 0).map(|o| o.held_s as f64)),
            pauses: self.pauses(),
            causes: Causes {
                harm: caused_by(Cause::Harm),
                noise: caused_by(Cause::Noise),
                no_data: caused_by(Cause::NoData),
            },
            stages: (0..self.player.scenario.stages.len()).map(|stage| self.stage(stage)).collect(),
            rolled_back_by: self.rolled_back_by(),
            detected: caused_by(Cause::Harm),
            time_to_detect_s: spread(self.detection_times().into_iter()),
            recovery: self.recovery(),
            detection_curve: self.detection_curve(),
            exposed_requests: self.spread_of(|o| o.exposed_requests),
            exposed_units: self.spread_of(|o| (o.exposed_units * self.digest.units_each()).round()),
            exposure_fan: self.exposure_fan(),
            excess_bad: self.excess_bad(),
            budget_burned: self.budget_burned(),
            cost_usd: cost(|(candidate, _)| candidate),
            excess_cost_usd: cost(|(candidate, stable)| candidate - stable),
            duration_s: self.spread_of(|o| (o.duration_s + o.rollback.map_or(0, |rollback| rollback.total().0)) as f64),
        }
    }

    /// How rollouts were paused, where some stage may be.
    fn pauses(&self) -> Option<PauseRow> {
        self.player.simulator.plan.iter().any(|plan| plan.pause > 0).then(|| PauseRow {
            paused: self.share_of(|o| o.pauses.begun > 0),
            resumed: self.share_of(|o| o.pauses.resumed > 0),
            rolled_back: self.share_of(|o| o.pauses.rolled_back),
            paused_s: spread(self.outcomes().iter().filter_map(|o| o.pauses.lasted()).map(|s| s as f64)),
        })
    }

    fn stage(&self, stage: usize) -> WorldStage {
        // The stage in which a replicate stopped; none for the promoted.
        let stopped = |o: &WorldOutcome| match o.outcome.end {
            End::Promoted => usize::MAX,
            End::RolledBack { stage, .. } | End::Stalled { stage, .. } => stage,
        };
        WorldStage {
            stage: self.player.scenario.stages[stage].name.clone(),
            entered: self.share_of(|o| stopped(o) >= stage),
            rolled_back: self.share_of(|o| stopped(o) == stage && matches!(o.outcome.end, End::RolledBack { .. })),
            promoted: self.share_of(|o| stopped(o) > stage),
            stalled: self.share_of(|o| stopped(o) == stage && matches!(o.outcome.end, End::Stalled { .. })),
        }
    }

    fn rolled_back_by(&self) -> Vec<RolledBackBy> {
        let mut counts: BTreeMap<(usize, usize, Cause), usize> = BTreeMap::new();
        for outcome in self.outcomes() {
            if let (End::RolledBack { gate, reason, .. }, Some(cause)) = (outcome.outcome.end, outcome.cause) {
                let question = if let Reason::Failed(question) = reason { question } else { 0 };
                let slice = self.player.gates[gate].questions[question].slice;
                *counts.entry((gate, slice, cause)).or_default() += 1;
            }
        }
        let mut rows: Vec<_> = counts.into_iter().collect();
        rows.sort_by_key(|&(key, count)| (std::cmp::Reverse(count), key));
        let row = |((gate, slice, cause), count): ((usize, usize, Cause), usize)| RolledBackBy {
            gate: self.player.scenario.gates[gate].name.clone(),
            segment: segment(self.player.simulator.layout.slices[slice], self.digest),
            cause: match cause {
                Cause::Harm => "harm".into(),
                Cause::Noise => "noise".into(),
                Cause::NoData => "no data".into(),
            },
            share: share(count as f64, self.tally.replicates as f64),
        };
        rows.into_iter().map(row).collect()
    }

    fn past_margin(&self) -> bool {
        self.player.gates.iter().any(|plan| plan.harmful[plan.lens_of_world[self.world]].contains(&true))
    }

    fn onset_s(&self) -> i64 {
        match self.player.worlds[self.world] {
            World::Effect(effect) => self.player.scenario.effects[effect].onset.0,
            _ => 0,
        }
    }

    fn detection_times(&self) -> Vec<f64> {
        let detected = self.outcomes().iter().filter(|o| o.cause == Some(Cause::Harm));
        let mut times: Vec<f64> = detected.map(|o| (o.duration_s - self.onset_s()) as f64).collect();
        times.sort_unstable_by(f64::total_cmp);
        times
    }

    /// Runs that never detect stay in the denominator.
    fn detection_curve(&self) -> Vec<CurvePoint> {
        let times = self.detection_times();
        let n = self.tally.replicates as f64;
        let mut curve: Vec<CurvePoint> = vec![CurvePoint { time_s: 0.0, share: 0.0 }];
        for (index, &time_s) in times.iter().enumerate() {
            let share = (index + 1) as f64 / n;
            match curve.last_mut() {
                Some(last) if last.time_s.total_cmp(&time_s).is_eq() => last.share = share,
                _ => curve.push(CurvePoint { time_s, share }),
            }
        }
        curve
    }

    fn exposure_fan(&self) -> Vec<FanPoint> {
        if self.player.holds() {
            let point = |(point, time_s): (usize, i64)| {
                let spread = self.spread_of(|o| f64::from(o.fan[point]));
                FanPoint { time_s: time_s as f64, p10: spread.p10, p50: spread.p50, p90: spread.p90 }
            };
            return self.player.fan_times().into_iter().enumerate().map(point).collect();
        }
        let places = self.player.places();
        let ends = self.outcomes().iter().map(|o| (o.outcome.looks, o.exposed_requests));
        let ends: Vec<(usize, f64)> = ends.collect();
        let point = |(point, &look): (usize, &usize)| {
            let requests = self.tally.fan.iter().zip(&ends).map(
                |(by_point, &(looks, at_end))| {
                    if look < looks { by_point[point] } else { at_end }
                },
            );
            let spread = spread(requests).expect("a run has replicates");
            FanPoint { time_s: time_after(look, &places) as f64, p10: spread.p10, p50: spread.p50, p90: spread.p90 }
        };
        self.tally.fan_looks.iter().enumerate().map(point).collect()
    }

    /// How the time from a regression's onset to its end is made up, where rolling back takes any.
    fn recovery(&self) -> Option<RecoveryRow> {
        let found: Vec<(f64, Rollback)> = self
            .outcomes()
            .iter()
            .filter(|o| o.cause == Some(Cause::Harm) && self.player.scenario.rollout.recovery.takes_time())
            .filter_map(|o| Some(((o.duration_s - self.onset_s()) as f64, o.rollback?)))
            .collect();
        let spread_of = |value: fn(&(f64, Rollback)) -> f64| spread(found.iter().map(value));
        Some(RecoveryRow {
            diagnose_s: spread_of(|(_, rollback)| rollback.diagnose.0 as f64)?,
            mitigate_s: spread_of(|(_, rollback)| rollback.mitigate.0 as f64)?,
            time_to_recover_s: spread_of(|(detect, rollback)| detect + rollback.total().0 as f64)?,
        })
    }

    fn budget_burned(&self) -> BTreeMap<String, Spread> {
        let gates = self.player.scenario.gates.iter().filter(|gate| gate.burn.is_some()).enumerate();
        gates.map(|(index, gate)| (gate.name.clone(), self.spread_of(|o| o.burned[index]))).collect()
    }

    fn excess_bad(&self) -> BTreeMap<String, Spread> {
        let metrics = self.player.scenario.metrics.iter().enumerate();
        let shares = metrics.filter(|(_, metric)| metric.kind.is_share());
        shares.map(|(index, metric)| (metric.name.clone(), self.spread_of(|o| o.excess[index]))).collect()
    }
}

/// Seconds from the start to a look, by index over all stages.
fn time_after(look: usize, places: &[stage::StagePlace]) -> i64 {
    let mut seconds = 0;
    for place in places {
        let here = place.plan.looks().min((look + 1).saturating_sub(place.first_look));
        seconds += (here * place.plan.slots_per_look) as i64 * place.slot_s;
    }
    seconds
}

/// One row per stage, gate and slice.
#[must_use]
pub fn gates(player: &Player<'_>, tally: &Tally, plans: &[Plan], digest: &Digest) -> Vec<GateRow> {
    let mut rows = Vec::new();
    for plan in plans {
        let tallies: Vec<&GateTally> = tally.gates[plan.gate].iter().map(|by_stage| &by_stage[plan.stage]).collect();
        rows.push(gate_row(player, plan, &tallies, digest));
    }
    rows
}

fn gate_row(player: &Player<'_>, plan: &Plan, tallies: &[&GateTally], digest: &Digest) -> GateRow {
    let scenario = player.scenario;
    let gate = &scenario.gates[plan.gate];
    let gate_plan = &player.gates[plan.gate];
    let question: &Question = &gate_plan.questions[plan.question];
    let mut by_world = BTreeMap::new();
    for (world, &lens) in player.worlds.iter().zip(&gate_plan.lens_of_world) {
        let name = match world {
            World::Margin(of) if *of == plan.gate => "margin".into(),
            World::Margin(_) | World::Multiple(..) => continue,
            other => scenario.world_name(*other),
        };
        by_world.insert(name, rates(&tallies[lens].questions[plan.question], tallies[lens].asked));
    }
    let recorded = by_world.get("recorded");
    let null = &tallies[gate_plan.lens_of_world[1]];
    GateRow {
        stage: scenario.stages[plan.stage].name.clone(),
        gate: gate.name.clone(),
        metric: scenario.metrics[gate.metric].name.clone(),
        segment: segment(player.simulator.layout.slices[question.slice], digest),
        test: gate.test_name().into(),
        alpha: gate.alpha.get(),
        power: gate.power.get(),
        allow: gate.allow_text.clone(),
        difference: recorded.and_then(|rates| rates.difference),
        se: recorded.and_then(|rates| rates.se),
        with_data: share(null.questions[plan.question].with_data, null.asked),
        rates: by_world,
        power_closed_form: plan.power,
        mde: plan.mde,
        mde_relative: plan.mde_relative,
        units_needed: plan.units_needed,
        requests_needed: plan.requests_needed,
        duration_needed_s: plan.duration_needed_s,
        exposure_needed: plan.exposure_needed,
        covariate_saves_s: plan.covariate_saves_s,
    }
}

fn rates(tally: &QuestionTally, asked: f64) -> Rates {
    let mean = |sum: f64, count: f64| (count > 0.0).then(|| sum / count);
    Rates {
        pass: share(tally.passed, asked),
        fail: share(tally.failed, asked),
        difference: mean(tally.difference, tally.with_data),
        se: mean(tally.se, tally.with_se),
    }
}

/// Error rates that should be at most alpha: of each gate as a whole, and of each of its slices where there are several.
#[must_use]
pub fn self_check(player: &Player<'_>, tally: &Tally, digest: &Digest) -> Vec<SelfCheckRow> {
    let mut rows = false_rollbacks(player, tally);
    for (gate, plan) in player.gates.iter().enumerate() {
        let rule = &player.scenario.gates[gate];
        for stage in (0..player.scenario.stages.len()).filter(|&stage| rule.asked_in(&player.scenario.stages[stage])) {
            let of_world = |world: World| {
                let index =
                    player.worlds.iter().position(|&other| other == world).expect("every run plays these worlds");
                &tally.gates[gate][plan.lens_of_world[index]][stage]
            };
            let (null, margin) = (of_world(World::Null), of_world(World::Margin(gate)));
            // Where the failing side begins elsewhere, what is accepted may rightly fail.
            let failing = if rule.harm.is_some() { &tally.gates[gate][plan.failing_lens][stage] } else { margin };
            let mut check = |question: Option<usize>, error: &str, events: f64, trials: f64| {
                let alpha =
                    if error == "wrong pass" { rule.alpha.get() } else { failing_alpha(player, gate, stage, question) };
                let rate = share(events, trials);
                let slice = question.map(|question| plan.questions[question].slice);
                rows.push(SelfCheckRow {
                    stage: player.scenario.stages[stage].name.clone(),
                    gate: rule.name.clone(),
                    segment: slice.and_then(|slice| segment(player.simulator.layout.slices[slice], digest)),
                    error: error.into(),
                    alpha,
                    flagged: rate.low > alpha,
                    rate,
                });
            };
            check(None, "false alarm", null.failed, null.asked);
            // Prompts say nothing of a candidate at the margin.
            if !matches!(rule.test, Test::Sentinel(_)) {
                check(None, "wrong pass", margin.passed, margin.asked);
            }
            check(None, "wrong failure", failing.failed, failing.asked);
            // The overall slice of a gate with segments passes or fails on its own, too, but only its segments have a name.
            for question in (0..plan.questions.len()).filter(|&q| plan.questions[q].slice > 0) {
                check(Some(question), "false alarm", null.questions[question].failed, null.asked);
                check(Some(question), "wrong pass", margin.questions[question].passed, margin.asked);
                check(Some(question), "wrong failure", failing.questions[question].failed, failing.asked);
            }
        }
    }
    rows
}

/// Sentinels over the whole schedule.
#[must_use]
pub fn sentinels(player: &Player<'_>, tally: &Tally) -> Vec<SentinelRow> {
    let row = |gate: usize| {
        let (sentinel, looks) = sentinels::looks(player, gate)?;
        Some(SentinelRow {
            gate: player.scenario.gates[gate].name.clone(),
            prompts: sentinel.prompts,
            looks,
            fails_good: sentinel.fails(false),
            fails_bad: sentinel.fails(true),
            false_alarm_closed_form: sentinel.false_alarm(looks),
            false_alarm: share(tally.alarms[gate], tally.replicates as f64),
        })
    };
    (0..player.gates.len()).filter_map(row).collect()
}

/// How often a gate, or one of its questions, may fail in a stage if the regression is exactly at the failing margin. A cumulative sum has
/// a run length in place of an alpha: of that, the chance that it ends within the stage's looks.
fn failing_alpha(player: &Player<'_>, gate: usize, stage: usize, question: Option<usize>) -> f64 {
    let rule = match player.scenario.gates[gate].test {
        Test::Cusum(rule) => rule,
        Test::Sentinel(sentinel) => return sentinel.false_alarm(player.scenario.stages[stage].looks()),
        _ => return player.levels.alpha_fail[gate],
    };
    let chance = |boundary: &Boundary| {
        let steps = boundary.sum.as_ref().map_or(0, |sum| sum.triangle.len());
        boundary.fail.first().map_or(0.0, |&threshold| cusum::chance_within(steps, rule.reference, threshold, 0.0))
    };
    let boundaries = &player.boundaries[stage][gate];
    question
        .map_or_else(|| boundaries.iter().map(chance).sum::<f64>().min(1.0), |question| chance(&boundaries[question]))
}

/// Units per arm against the exposure of each stage: of the exact replay, beside how often replicates alarm.
#[must_use]
pub fn sample_ratios(
    player: &Player<'_>,
    tally: &Tally,
    exact: &[Option<SampleRatio>],
    digest: &Digest,
) -> Vec<HealthRow> {
    let counted = if digest.members.is_empty() { "units" } else { "buckets" };
    let row = |(stage, found): (usize, &Option<SampleRatio>)| {
        let found = (*found)?;
        let (checked, alarms) = tally.sample_ratio[stage];
        Some(HealthRow {
            check: "sample-ratio".into(),
            metric: None,
            stage: Some(player.scenario.stages[stage].name.clone()),
            r#where: format!("{counted} on the candidate"),
            stable: None,
            candidate: None,
            difference: None,
            observed: Some(found.observed),
            expected: Some(found.expected),
            p_value: Some(found.p_value),
            // Larger numbers are as good as infinite, and not all readers know that one.
            e_value: Some(found.log_e_value.min(700.0).exp()),
            alarm: found.alarms(),
            rate: (checked > 0.0).then(|| share(alarms, checked)),
        })
    };
    exact.iter().enumerate().filter_map(row).collect()
}

/// The whole release against its budget of false rollbacks, where it has one: with a candidate as good as stable, and with one that is worse
/// by exactly what every gate accepts.
fn false_rollbacks(player: &Player<'_>, tally: &Tally) -> Vec<SelfCheckRow> {
    let Some(budget) = player.scenario.rollout.false_rollback else { return Vec::new() };
    let null = player.worlds.iter().position(|&world| world == World::Null).expect("every run plays it");
    let rolled_back = tally.worlds[null].iter().filter(|outcome| outcome.cause == Some(Cause::Noise)).count();
    let row = |error: &str, events: f64| {
        let rate = share(events, tally.replicates as f64);
        SelfCheckRow {
            stage: "the whole rollout".into(),
            gate: "all gates together".into(),
            segment: None,
            error: error.into(),
            alpha: budget.get(),
            flagged: rate.low > budget.get(),
            rate,
        }
    };
    vec![row("false alarm", rolled_back as f64), row("wrong failure", tally.failed_at_margins)]
}

/// Power against effect of each gate with `allow`, at each stage.
#[must_use]
pub fn power_curves(player: &Player<'_>, tally: &Tally) -> Vec<PowerCurve> {
    let mut curves = Vec::new();
    for (gate, plan) in player.gates.iter().enumerate() {
        let rule = &player.scenario.gates[gate];
        let Some(allow) = rule.allow else { continue };
        let (scale, allow) = match allow {
            Margin::Relative(share) => ("relative", share),
            Margin::Absolute(amount) => ("absolute", amount),
        };
        for (stage, facts) in player.scenario.stages.iter().enumerate() {
            let compares = match &facts.paired {
                Some(_) => rule.asked_in(facts),
                None => facts.has_control() && facts.looks() > 0,
            };
            if !compares {
                continue;
            }
            let points = CURVE_MULTIPLES.iter().zip(&plan.lens_of_curve).map(|(multiple, &lens)| {
                let tally = &tally.gates[gate][lens][stage];
                PowerPoint {
                    regression: multiple * allow,
                    fail: share(tally.failed, tally.asked),
                    pass: share(tally.passed, tally.asked),
                    fail_closed_form: None,
                    pass_closed_form: None,
                }
            });
            curves.push(PowerCurve {
                gate: rule.name.clone(),
                stage: facts.name.clone(),
                scale: scale.into(),
                allow,
                points: points.collect(),
            });
        }
    }
    curves
}
