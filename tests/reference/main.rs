//! A slow, independent replay: row by row, copy by copy, without digest or running totals. The program must agree with it.
//!
//! Shared with the program are only the hash that places copies, and the thresholds at which it asks a quantile.

#![expect(clippy::float_cmp, reason = "counts are whole numbers, and those of both sides must be the same")]

mod burn;
mod cookies;
mod crowd;
mod drift;
mod effects;
mod embeddings;
mod judge;
mod kayenta;
mod log;
mod measured;
mod pairs;
mod plan;
mod quantiles;
mod rare;
mod screen;
mod series;
mod trials;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crowd::{Arm, Slice, Sums};
use judge::{Ending, Judge, Record, Said, Thresholds, Verdict, Why, World, above, sums_of};
use log::{Log, QUARTER_S};
use plan::{Plan, QUANTILE, RARE};
use replay::digest::{self, Digest};
use replay::domain::gate;
use replay::domain::quantity::Moment;
use replay::domain::rollout::Sticky;
use replay::domain::world;
use replay::gate::pause::Pauses;
use replay::gate::schedule::{self, Reason};
use replay::gate::stage::{QuestionRecord, StageVerdicts};
use replay::outcome::player::{Cause, Played, Player, WorldOutcome};
use replay::scenario::Scenario;
use replay::simulate::Simulator;
use replay::simulate::grid::GridPlace;
use replay::simulate::lanes::Lane;
use replay::simulate::layout::{self, Answers, Shape, Stream};
use replay::simulate::trajectory::{self, Reader, Span};
use replay::stats::cluster::UnitSums;

type Checked = Result<(), TestCaseError>;

/// A log and a scenario, as the program reads them.
struct Case {
    log: Log,
    plan: Plan,
    scenario: Scenario,
    digest: Digest,
    /// Slots from the first of the log to the start.
    start: usize,
}

impl Case {
    fn new(log: Log, plan: Plan, start: usize) -> Self {
        let text = plan.text();
        Self::of_text(log, plan, start, &text)
    }

    /// With a scenario that says more than the plan does.
    fn of_text(log: Log, plan: Plan, start: usize, text: &str) -> Self {
        let scenario = Scenario::parse("scenario.toml", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("log.parquet");
        log.write(&path);
        let place = path.to_str().expect("temporary names are text");
        let digest = digest::load(place, &scenario, &|_| ()).unwrap_or_else(|error| panic!("{error}"));
        Self { log, plan, scenario, digest, start }
    }

    /// A small random log and schedule. Repeated logs have slots of six hours, so that a week is short.
    fn draw(seed: u64, rows: usize, units: usize, stages: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let tiled = rng.random::<f64>() < 0.15;
        let slot_s = if tiled { 6 * 3600 } else { QUARTER_S };
        let plan = Plan::draw(&mut rng, stages, slot_s, tiled);
        Self::of_plan(&mut rng, plan, rows, units)
    }

    /// The same with gates that pause, and somebody who comes.
    fn draw_paused(seed: u64, rows: usize, units: usize, stages: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut plan = Plan::draw(&mut rng, stages, QUARTER_S, false);
        plan.pause(&mut rng);
        Self::of_plan(&mut rng, plan, rows, units)
    }

    fn of_plan(rng: &mut ChaCha8Rng, plan: Plan, rows: usize, units: usize) -> Self {
        let (tiled, slot_s) = (plan.tiled, plan.slot_s);
        let slots = if tiled { rng.random_range(29..50) } else { plan.slots() as i64 + rng.random_range(0..5) };
        let mut log = Log::draw(rng, rows, units, slots, slot_s);
        if plan.has_waves() {
            log.settle_tiers();
        }
        if tiled {
            log.span_a_week();
        }
        match plan.sticky {
            Sticky::Request | Sticky::Cookie => log.draw_within(rng, None),
            Sticky::Session => log.draw_within(rng, Some(4)),
            Sticky::Unit | Sticky::Stage => {}
        }
        if plan.closed.iter().any(|&closed| closed > 0) {
            // In the last hours of a day.
            log.begin_at(20_151 * 96 - rng.random_range(1..16));
        }
        let start = rng.random_range(0..if tiled { 28 } else { 3 });
        Self::new(log, plan, start)
    }

    /// What one of the program's slices is about.
    fn slice(&self, simulator: &Simulator, index: usize) -> Slice {
        let layout::Slice::Segment { column, value } = simulator.layout.slices[index] else { return None };
        let value = &self.digest.segments[column].values[value];
        let mut known = log::VALUES[column].iter().map(|known| known.unwrap_or("(null)"));
        Some((column, known.find(|known| known == value).expect("a value of the log")))
    }

    fn moment(&self) -> Moment {
        Moment(self.digest.first.0 + self.start as i64 * self.digest.slot.0)
    }
}

/// The thresholds that the program chose.
fn thresholds(simulator: &Simulator) -> Option<Thresholds> {
    match &simulator.layout.shapes[QUANTILE] {
        Shape::Grid(grid) => Some(Thresholds {
            bins: grid.bins.iter().map(|&bin| f64::from(bin)).collect(),
            tail: grid.tail,
            range: grid.quantile_range,
        }),
        Shape::Moments => None,
    }
}

/// Equal up to rounding of terms of this size.
fn close(a: f64, b: f64, size: f64) -> bool {
    (a - b).abs() <= 1e-9 * size.max(b.abs()) || (a - b).abs() < 1e-300
}

fn check_sums(program: &UnitSums, reference: &Sums, metric: usize, what: &str) -> Checked {
    prop_assert_eq!(program.units, reference.units, "units of {}", what);
    // A digest rounds to fractions of a column's largest value, so near zero the column's scale counts.
    let (y, x) = plan::SCALE[metric];
    let floors = [y, x, y * y, y * x, x * x];
    let moments = [program.y, program.x, program.yy, program.yx, program.xx];
    for (index, (a, b)) in moments.into_iter().zip(reference.moments()).enumerate() {
        let size = reference.size[index].max(0.01 * floors[index]);
        prop_assert!(close(a, b, size), "moment {index} of {what}: {a}, expected {b}");
    }
    Ok(())
}

/// Every sum of a replicate at every look.
struct SumsCheck<'a> {
    case: &'a Case,
    judge: &'a Judge<'a>,
    reader: Reader<'a>,
    /// With everyone in an arm.
    served: &'a trajectory::Trajectory,
}

impl SumsCheck<'_> {
    fn all(&self) -> Checked {
        let mut look_of_all = 0;
        let (mut served, mut active) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        for (stage, plan) in self.case.plan.stages.iter().enumerate() {
            let (mut beyond, mut active_beyond) = (None, None);
            for look in 0..self.case.plan.all_looks(stage) {
                for slice in 0..self.reader.layout.slices.len() {
                    self.slice(stage, look, look_of_all, slice)?;
                }
                // The next stage goes on from the end of this one's own duration.
                let served = if look < plan.looks { &mut served } else { beyond.get_or_insert_with(|| served.clone()) };
                let active =
                    if look < plan.looks { &mut active } else { active_beyond.get_or_insert_with(|| active.clone()) };
                served.extend(self.judge.served_at(stage, look).served());
                active.extend(self.judge.served_at(stage, look).asking().map(|member| member.user));
                if self.case.plan.sticky != Sticky::Unit {
                    prop_assert_eq!(self.served.active_units[look_of_all], active.len() as f64);
                }
                prop_assert_eq!(self.served.exposed_units[look_of_all], served.len() as f64);
                look_of_all += 1;
            }
        }
        Ok(())
    }

    fn slice(&self, stage: usize, look: usize, look_of_all: usize, index: usize) -> Checked {
        let (slice, asked) = self.meaning(index);
        let crowd = self.judge.crowd(stage, look, None);
        let span = Span { look: look_of_all, since: None };
        for (arm, product_arm) in [(Arm::Stable, trajectory::Arm::Stable), (Arm::Candidate, trajectory::Arm::Candidate)]
        {
            let counts = self.reader.counts(span, product_arm, index);
            let expected = crowd.sums(arm, slice, &|_| None);
            prop_assert_eq!(
                (counts.units, counts.covered, counts.requests),
                (expected.units, expected.covered, expected.requests)
            );
            for metric in 0..plan::NAMES.len() {
                if !asked(metric) {
                    continue;
                }
                for (answers, world) in self.answers(arm, metric) {
                    let what = format!("{} {arm:?} {world:?} {slice:?} stage {stage} look {look}", plan::NAMES[metric]);
                    if metric == QUANTILE {
                        self.quantile(&crowd, (span, product_arm, index), answers, world, &what)?;
                        continue;
                    }
                    let sums = self.reader.sums(span, product_arm, answers, index, metric, None);
                    let expected = sums_of(&crowd, metric, arm, slice, &|asked| self.judge.shown(world, metric, asked));
                    check_sums(&sums, &expected, metric, &what)?;
                    // Units that count once cannot be taken back: trailing windows are not asked of them.
                    if metric == RARE {
                        continue;
                    }
                    self.trailing(
                        stage,
                        look,
                        look_of_all,
                        (arm, product_arm),
                        (slice, index),
                        (metric, answers, world),
                    )?;
                }
            }
        }
        Ok(())
    }

    /// First-order sums of the last looks.
    fn trailing(
        &self,
        stage: usize,
        look: usize,
        look_of_all: usize,
        (arm, product_arm): (Arm, trajectory::Arm),
        (slice, index): (Slice, usize),
        (metric, answers, world): (usize, Answers, World),
    ) -> Checked {
        for back in 1..=look {
            let window = back * self.case.plan.stages[stage].slots_per_look;
            let crowd = self.judge.crowd(stage, look, Some(window));
            let span = Span { look: look_of_all, since: Some(look_of_all - back) };
            let sums = self.reader.sums(span, product_arm, answers, index, metric, None);
            let expected = crowd.sums(arm, slice, &|asked| self.judge.shown(world, metric, asked));
            // What was subtracted has the size of the whole stage.
            let stage_crowd = self.judge.crowd(stage, look, None);
            let whole = stage_crowd.sums(arm, slice, &|asked| self.judge.shown(world, metric, asked));
            let size = [0.01 * plan::SCALE[metric].0 + whole.size[0], whole.size[1]];
            let [y, x, ..] = expected.moments();
            prop_assert!(close(sums.y, y, size[0]) && close(sums.x, x, size[1]), "window {back}: {sums:?}, {y} / {x}");
            let counts = self.reader.counts(span, product_arm, index);
            prop_assert_eq!((counts.covered, counts.requests), (expected.covered, expected.requests));
        }
        Ok(())
    }

    /// Requests above every threshold. A changed quantile is asked at a moved threshold, to the nearest bin.
    fn quantile(
        &self,
        crowd: &crowd::Crowd<'_>,
        (span, product_arm, index): (Span, trajectory::Arm, usize),
        answers: Answers,
        world: World,
        what: &str,
    ) -> Checked {
        let (slice, _) = self.meaning(index);
        let arm = if product_arm == trajectory::Arm::Stable { Arm::Stable } else { Arm::Candidate };
        let thresholds = self.judge.thresholds.as_ref().expect("a grid belongs to the quantile");
        for at in 0..thresholds.bins.len() {
            let place = Some(GridPlace { index: at, part: 0.0 });
            let sums = self.reader.sums(span, product_arm, answers, index, QUANTILE, place);
            let over = |factor: f64| {
                let limit = thresholds.value(at);
                crowd.sums(arm, slice, &move |asked| {
                    let (ms, _) = self.judge.shown(world, QUANTILE, asked)?;
                    let changed = answers != Answers::Stable && answers != Answers::Candidate;
                    // The bin that a moved threshold is rounded to is the stable answer's, not the changed one's.
                    let stable = if changed { asked.row.stable.latency_ms? } else { ms };
                    above(Some(ms + stable.max(ms) * (factor - 1.0)), limit)
                })
            };
            if matches!(world, World::Effect(_)) {
                let (fewest, most) = (over(1.0 - 0.012).moments()[0], over(1.0 + 0.012).moments()[0]);
                prop_assert!(fewest <= sums.y && sums.y <= most, "{what}: {fewest} to {most}, not {}", sums.y);
            } else {
                check_sums(&sums, &over(1.0), QUANTILE, what)?;
            }
        }
        Ok(())
    }

    /// A slice of the program, and which metrics are kept in it.
    fn meaning(&self, index: usize) -> (Slice, impl Fn(usize) -> bool) {
        let column = match self.reader.layout.slices[index] {
            layout::Slice::Overall => None,
            layout::Slice::Segment { column, value } => {
                let name = &self.case.digest.segments[column].values[value];
                let rows = &self.case.log.rows;
                let known = rows.iter().map(|row| row.segment(column)).find(|known| known == name);
                Some((column, known.expect("the program's values are in the log")))
            }
        };
        let gates = &self.case.plan.gates;
        let asked = move |metric: usize| {
            column.is_none_or(|(column, _)| gates.iter().any(|g| g.metric == metric && g.by.contains(&column)))
        };
        (column, asked)
    }

    /// Whose answers an arm can have, and in which world.
    fn answers(&self, arm: Arm, metric: usize) -> Vec<(Answers, World)> {
        if arm == Arm::Stable {
            return vec![(Answers::Stable, World::Same)];
        }
        let streams = self.reader.layout.streams.iter().enumerate();
        let effects = streams.filter_map(|(stream, kept)| match *kept {
            Stream::Effect(effect) if self.case.plan.effects[effect].metric == metric => {
                Some((Answers::Effect(stream), World::Effect(effect)))
            }
            _ => None,
        });
        [(Answers::Stable, World::Same), (Answers::Candidate, World::Recorded)].into_iter().chain(effects).collect()
    }
}

/// Copies of each unit and how many are exposed, counted from the places.
fn check_lane(case: &Case, lane: &Lane, judge: &Judge<'_>) -> Checked {
    if case.plan.sticky == Sticky::Cookie {
        // Users have copies, and which of their requests are in which arm is found on the way.
        let (_, users) = case.digest.holders(&case.scenario).expect("requests draw for users");
        for (&copies, name) in lane.copies.iter().zip(users) {
            let of_user = judge.copies.iter().filter(|copy| Log::name(copy.user.0) == *name);
            let found: std::collections::BTreeSet<u32> = of_user.map(|copy| copy.user.1).collect();
            prop_assert_eq!(usize::from(copies), found.len());
        }
        return Ok(());
    }
    for (index, name) in case.digest.units.iter().enumerate() {
        let of_unit = || judge.copies.iter().filter(|copy| &case.log.name_of(copy.unit) == name);
        prop_assert_eq!(usize::from(lane.copies[index]), of_unit().count());
        for (stage, exposed) in lane.exposed.iter().enumerate() {
            let in_arm = |members: Vec<crowd::Member>, arm: Option<Arm>| {
                let ours = members.into_iter().filter(|member| &case.log.name_of(member.unit) == name);
                ours.filter(|member| arm.is_none_or(|arm| member.arm == arm)).count()
            };
            let compared = || crowd::compared(&judge.copies, &case.log, &case.plan, stage, &|_| Some(stage));
            let served = crowd::served(&judge.copies, &case.log, &case.plan, &|_| Some(stage));
            let counted = lane.counted.as_ref().map_or(&lane.copies, |counted| &counted[stage]);
            prop_assert_eq!(usize::from(exposed[index]), in_arm(compared(), Some(Arm::Candidate)));
            prop_assert_eq!(usize::from(counted[index]), in_arm(compared(), None));
            let serves = lane.served.as_ref().map_or(exposed, |served| &served[stage]);
            prop_assert_eq!(usize::from(serves[index]), in_arm(served, Some(Arm::Candidate)));
        }
    }
    Ok(())
}

fn check_optional(program: Option<f64>, reference: Option<f64>, tolerance: f64, what: &str) -> Checked {
    match (program, reference) {
        (None, None) => Ok(()),
        (Some(a), Some(b)) if (a - b).abs() <= tolerance => Ok(()),
        _ => Err(TestCaseError::fail(format!("{what}: {program:?}, expected {reference:?}"))),
    }
}

fn check_record(program: &QuestionRecord, reference: &Record, size: f64, what: &str) -> Checked {
    check_optional(program.difference, reference.difference, 1e-8 * size, &format!("difference of {what}"))?;
    let se = reference.se.unwrap_or(0.0);
    check_optional(program.se, reference.se, 1e-6 * se + 1e-9 * size, &format!("se of {what}"))?;
    prop_assert_eq!((program.failed, program.passed), (reference.failed, reference.passed), "{}", what);
    Ok(())
}

fn check_said(program: Option<&StageVerdicts>, reference: Option<&Said>, size: f64, what: &str) -> Checked {
    let (Some(program), Some(reference)) = (program, reference) else {
        prop_assert_eq!(program.is_some(), reference.is_some(), "whether {} asks", what);
        return Ok(());
    };
    for (index, (a, b)) in program.questions.iter().zip(&reference.questions).enumerate() {
        check_record(a, b, size, &format!("question {index} of {what}"))?;
    }
    prop_assert_eq!(program.questions.len(), reference.questions.len());
    prop_assert_eq!(program.first_fail, reference.first_fail, "first failure of {}", what);
    prop_assert_eq!(program.first_no_data, reference.first_no_data, "first look without data of {}", what);
    let later = (program.held, program.later_fail);
    prop_assert_eq!(later, (reference.held, reference.later_fail), "looks past the end of {}", what);
    let end = match program.end {
        gate::Verdict::Pass => Verdict::Pass,
        gate::Verdict::Fail => Verdict::Fail,
        gate::Verdict::Inconclusive => Verdict::Inconclusive,
        gate::Verdict::NoData => Verdict::NoData,
    };
    prop_assert_eq!(end, reference.end, "verdict of {}", what);
    Ok(())
}

fn check_outcome(case: &Case, program: &WorldOutcome, reference: &Ending, what: &str) -> Checked {
    let end = match program.outcome.end {
        schedule::End::Promoted => judge::End::Promoted,
        schedule::End::Stalled { stage, gate } => judge::End::Stalled { stage, gate },
        schedule::End::RolledBack { stage, gate, reason } => {
            let why = match reason {
                Reason::Failed(question) => Why::Failed(question),
                Reason::Inconclusive => Why::Inconclusive,
                Reason::NoData => Why::NoData,
            };
            judge::End::RolledBack { stage, gate, why }
        }
    };
    prop_assert_eq!(end, reference.end, "end of {}", what);
    prop_assert_eq!(program.duration_s, reference.slots as i64 * case.log.slot_s);
    let Pauses { begun, resumed, rolled_back, stalled, seconds } = program.pauses;
    prop_assert_eq!((begun, resumed, rolled_back, stalled, seconds), reference.pauses, "pauses of {}", what);
    let (requests, units) = (reference.exposed_requests, reference.exposed_units);
    prop_assert!(close(program.exposed_requests, requests, 1e3), "requests of {}: {}", what, program.exposed_requests);
    prop_assert!(close(program.exposed_units, units, 1e3), "units of {}: {}", what, program.exposed_units);
    let (candidate, stable) = program.cost.expect("there is a metric in US dollars");
    prop_assert!(close(candidate, reference.cost.0, 1.0) && close(stable, reference.cost.1, 1.0));
    for (excess, metric) in reference.excess.into_iter().zip(plan::SHARES) {
        prop_assert!(close(program.excess[metric], excess, 100.0), "{} of {what}", program.excess[metric]);
    }
    let cause = match (reference.end, reference.harmful) {
        (judge::End::RolledBack { .. }, Some(true)) => Some(Cause::Harm),
        (judge::End::RolledBack { .. }, Some(false)) => Some(Cause::Noise),
        (judge::End::RolledBack { .. }, None) => Some(Cause::NoData),
        _ => None,
    };
    prop_assert_eq!(program.cause, cause, "cause of {}", what);
    Ok(())
}

/// Every verdict and outcome of a replicate. Decisions that hang on the last digits of a number are left out.
fn check_play(case: &Case, judge: &Judge<'_>, player: &Player<'_>, played: &Played) -> Result<usize, TestCaseError> {
    let mut compared = 0;
    for (world_index, world) in case.plan.worlds().into_iter().enumerate() {
        judge.close.set(false);
        let said: Vec<Vec<Option<Said>>> = case
            .plan
            .gates
            .iter()
            .map(|gate| (0..case.plan.stages.len()).map(|stage| judge.gate(gate, stage, world)).collect())
            .collect();
        let ending = judge.walk(world, &|gate, stage| judge.gate(&case.plan.gates[gate], stage, world));
        if judge.close.get() || judge.is_approximate(world) {
            continue;
        }
        compared += 1;
        for (index, (gate, of_gate)) in case.plan.gates.iter().zip(&said).enumerate() {
            let lens = player.gates[index].lens_of_world[world_index];
            // Largest ratios and offsets that a gate on this metric compares.
            let points_of_quantile = gate.test == plan::Test::Rank && gate.metric == QUANTILE;
            let size = if points_of_quantile { 1e4 } else { [10.0, 10.0, 10.0, 1.0, 1.0, 10.0, 10.0][gate.metric] };
            if !player.gates[index].told[lens] {
                // How the world ends is checked below.
                continue;
            }
            for (stage, reference) in of_gate.iter().enumerate() {
                let program = played.verdicts[index][lens][stage].as_ref();
                check_said(program, reference.as_ref(), size, &format!("gate {index}, stage {stage}, {world:?}"))?;
            }
        }
        check_outcome(case, &played.worlds[world_index], &ending, &format!("{world:?}"))?;
    }
    Ok(compared)
}

/// A few replicates of a case: who is in them, every sum, every verdict, every outcome. Counts the worlds compared.
fn check(case: &Case) -> Result<usize, TestCaseError> {
    let simulator = Simulator::new(&case.digest, &case.scenario);
    let player = Player::new(&case.scenario, &simulator, vec![case.moment()]);
    prop_assert_eq!(player.simulator.slot_at(case.moment()), case.start);
    // Multiples of margins come last; they are affine in finished sums as margins are.
    let named = player.worlds.iter().filter(|world| !matches!(world, world::World::Multiple(..)));
    prop_assert_eq!(named.count(), case.plan.worlds().len());
    let mut compared = 0;
    for replicate in 0..3_usize {
        let lane = simulator.replicate(&case.scenario, replicate);
        let copies = crowd::copies(&case.log, &case.plan, replicate as u64);
        let judge = Judge::new(&case.log, &case.plan, case.start, copies, thresholds(&simulator));
        check_lane(case, &lane, &judge)?;
        let both = std::iter::once(lane.clone()).chain(lane.whole()).map(|lane| (case.start, lane));
        let trajectories = simulator.trajectories(&both.collect::<Vec<_>>());
        let reader = Reader { layout: &simulator.layout, trajectory: &trajectories[0] };
        if replicate == 0 {
            let served = trajectories.last().expect("one at least");
            SumsCheck { case, judge: &judge, reader, served }.all()?;
        }
        let twin = case.plan.swap.then(|| simulator.swapped_replicate(&case.scenario, replicate));
        let played = player.play_lanes(std::iter::once(lane).chain(twin).map(|lane| (case.start, lane)).collect());
        compared += check_play(case, &judge, &player, &played[0])?;
    }
    Ok(compared)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_program_replays_as_the_reference_does(
        seed in any::<u64>(), rows in 2..200_usize, units in 1..40_usize, stages in 1..5_usize,
    ) {
        let case = Case::draw(seed, rows, units, stages);
        check(&case).map_err(|error| TestCaseError::fail(format!("{error}\n{}", case.plan.text())))?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn paused_rollouts_replay_as_the_reference_does(
        seed in any::<u64>(), rows in 20..200_usize, units in 5..40_usize, stages in 1..4_usize,
    ) {
        let case = Case::draw_paused(seed, rows, units, stages);
        check(&case).map_err(|error| TestCaseError::fail(format!("{error}\n{}", case.plan.text())))?;
    }
}

/// Agreement means something only if pauses end in every way.
#[test]
fn random_pauses_end_in_every_way() {
    let mut ends = [0; 5];
    for seed in 0..60 {
        let case = Case::draw_paused(seed, 150, 30, 1 + seed as usize % 3);
        let simulator = Simulator::new(&case.digest, &case.scenario);
        let player = Player::new(&case.scenario, &simulator, vec![case.moment()]);
        let played = player.play_lanes(vec![(case.start, simulator.replicate(&case.scenario, 0))]);
        for world in &played[0].worlds {
            let (pauses, end) = (world.pauses, world.outcome.end);
            let rolled_back = matches!(end, schedule::End::RolledBack { .. });
            let found = [
                pauses.resumed > 0 && end == schedule::End::Promoted,
                pauses.resumed > 1,
                pauses.rolled_back,
                pauses.stalled,
                pauses.begun > pauses.resumed && rolled_back && !pauses.rolled_back,
            ];
            ends.iter_mut().zip(found).for_each(|(count, found)| *count += usize::from(found));
        }
    }
    assert!(
        ends.iter().all(|&worlds| worlds > 3),
        "promoted, resumed again, sent back, stalled, rolled back before: {ends:?}"
    );
}

/// Nominal 10 %: of users with ten requests each, two in three have met the candidate.
fn check_ten_requests_each(sticky: Sticky) {
    let (users, requests) = (400, 10);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let gate = plan::Gate::point(0, plan::Margin::Percent(40.0), Vec::new());
    let plan = Plan { sticky, ..Plan::of_gate(plan::Stage::plain(0.1, 4, 3), gate) };
    let mut log = Log::draw(&mut rng, users * requests, users, 12, QUARTER_S);
    log.rows.iter_mut().enumerate().for_each(|(index, row)| row.unit = index % users);
    log.draw_within(&mut rng, None);
    let case = Case::new(log, plan, 0);
    let simulator = Simulator::new(&case.digest, &case.scenario);
    let expected = simulator.expected_exposure(0)[0];
    let share = 1.0 - 0.9_f64.powi(10);
    assert!((share - 0.6513).abs() < 1e-4 && (expected.met / expected.active - share).abs() < 1e-12);
    let lanes: Vec<_> = (0..50).map(|replicate| (0, simulator.replicate(&case.scenario, replicate))).collect();
    let played = simulator.trajectories(&lanes);
    let last = |counts: fn(&trajectory::Trajectory) -> &Vec<f64>| {
        played.iter().map(|played| counts(played).last().expect("a stage has looks")).sum::<f64>()
    };
    let (met, active) = (last(|played| &played.exposed_units), last(|played| &played.active_units));
    // Some 20,000 users, each by itself.
    assert!((met / active - share).abs() < 4.0 * (share * (1.0 - share) / active).sqrt(), "{met} of {active}");
    // Of a user's requests, one in ten, or with a cookie all from the first of these on: 10 - 0.9 (1 - 0.9^10) / 0.1 of ten.
    let last = Span { look: 3, since: None };
    let served = |played: &trajectory::Trajectory| {
        let reader = Reader { layout: &simulator.layout, trajectory: played };
        reader.counts(last, trajectory::Arm::Candidate, 0).requests
    };
    let found = played.iter().map(served).sum::<f64>() / active;
    let wanted = if sticky == Sticky::Cookie { 10.0 - 9.0 * share } else { 1.0 };
    assert!((found - wanted).abs() < 0.1, "{found} requests of each user, expected {wanted}");
}

#[test]
fn of_ten_requests_each_one_in_ten_is_on_the_candidate() {
    check_ten_requests_each(Sticky::Request);
}

#[test]
fn of_ten_requests_each_all_from_the_first_on_stay_on_the_candidate() {
    check_ten_requests_each(Sticky::Cookie);
}

/// Moments of a small log of one gate: `(minutes, user, part of the user that draws)`, all of the same quality.
fn log_of(rows: &[(i64, usize, usize, f64)]) -> Log {
    let row = |&(minutes, user, unit, quality): &(i64, usize, usize, f64)| log::Row {
        micros: (1_741_003_200 + minutes * 60) * 1_000_000,
        unit,
        within: Some((user, unit)),
        segments: [Some("eu"), Some("free")],
        stable: log::Answer { quality: Some(1.0), cost_usd: Some(0.001), ..log::Answer::default() },
        candidate: log::Answer { quality: Some(quality), cost_usd: Some(0.001), ..log::Answer::default() },
        is_covered: true,
    };
    Log { rows: rows.iter().map(row).collect(), slot_s: QUARTER_S }
}

/// Everybody who begins in the stage is on the candidate, so all of this can be counted by hand.
#[test]
fn sessions_that_run_at_a_rollback_finish_on_the_candidate() {
    // Slots of 15 minutes; the rollout starts with the second. Its first look is fine, at its second the candidate is below its limit.
    let rows = [
        (0, 0, 0, 1.0), // A session from before: on stable to its end.
        (20, 0, 0, 1.0),
        (16, 1, 1, 1.0), // User 1, one session over four slots: counts once, with all of its four requests.
        (31, 1, 1, 0.0),
        (46, 1, 1, 0.0),
        (62, 1, 1, 0.0),
        (32, 0, 2, 0.0), // User 0 again: two requests, the second after everyone is back.
        (100, 0, 2, 0.0),
        (47, 2, 3, 0.0), // Begins after the failing look, before everyone is back: one request then, one later.
        (119, 2, 3, 0.0),
        (61, 3, 4, 0.0), // Begins when everyone is back: on stable.
        (110, 3, 4, 0.0),
    ];
    let gate = plan::Gate { allow: None, limit: Some(0.9), ..plan::Gate::point(0, plan::Margin::Percent(0.0), vec![]) };
    // With these many seconds from the failing look until everyone is back: requests, and users that met the candidate.
    for (rollback_s, requests, units) in [(0, 6.0, 2.0), (QUARTER_S, 8.0, 3.0)] {
        let mut plan = Plan::of_gate(plan::Stage::plain(1.0, 6, 1), gate.clone());
        (plan.sticky, plan.poisson, plan.rollback_s) = (Sticky::Session, false, rollback_s);
        let case = Case::new(log_of(&rows), plan, 1);
        let simulator = Simulator::new(&case.digest, &case.scenario);
        let player = Player::new(&case.scenario, &simulator, vec![case.moment()]);
        let played = player.play_lanes(vec![(1, simulator.replicate(&case.scenario, 0))]);
        let recorded = &played[0].worlds[0];
        assert!(matches!(recorded.outcome.end, schedule::End::RolledBack { .. }), "{:?}", recorded.outcome);
        assert_eq!(recorded.outcome.looks, 2);
        assert_eq!((recorded.exposed_requests, recorded.exposed_units), (requests, units));
        // All requests cost the same, those of the sessions that finish too.
        assert!((recorded.cost.expect("a metric in US dollars").0 - requests * 0.001).abs() < 1e-9);
        check(&case).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Of users who ask once, a cookie is never seen again: the same requests are on the candidate as if each drew for itself.
#[test]
fn of_users_who_ask_once_cookies_say_nothing_new() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut log = Log::draw(&mut rng, 300, 300, 12, QUARTER_S);
    log.rows.iter_mut().enumerate().for_each(|(index, row)| row.unit = index);
    log.draw_within(&mut rng, None);
    let gate = plan::Gate::point(0, plan::Margin::Percent(40.0), vec![0]);
    let played = |sticky: Sticky| {
        let plan = Plan { sticky, ..Plan::of_gate(plan::Stage::plain(0.3, 4, 3), gate.clone()) };
        let case = Case::new(log.clone(), plan, 0);
        let simulator = Simulator::new(&case.digest, &case.scenario);
        let lanes: Vec<_> = (0..3).map(|replicate| (0, simulator.replicate(&case.scenario, replicate))).collect();
        let sums = |played: &trajectory::Trajectory| {
            let reader = Reader { layout: &simulator.layout, trajectory: played };
            let of = |look: usize, arm: trajectory::Arm| {
                let span = Span { look, since: None };
                (reader.counts(span, arm, 0), reader.sums(span, arm, Answers::Stable, 0, 0, None))
            };
            let arms = [trajectory::Arm::Stable, trajectory::Arm::Candidate];
            (0..4).flat_map(|look| arms.map(|arm| of(look, arm))).collect::<Vec<_>>()
        };
        simulator.trajectories(&lanes).iter().map(sums).collect::<Vec<_>>()
    };
    let (cookies, requests) = (played(Sticky::Cookie), played(Sticky::Request));
    for (a, b) in cookies.iter().flatten().zip(requests.iter().flatten()) {
        assert_eq!(a.0, b.0);
        assert!(a.0.units == 0.0 || close(a.1.yy, b.1.yy, 1.0) && close(a.1.y, b.1.y, 1.0), "{a:?} {b:?}");
    }
}

/// Agreement means something only if rollouts end in every way and few decisions are too close to call.
#[test]
fn random_rollouts_end_in_every_way() {
    let (mut worlds, mut compared, mut held) = (0, 0, 0);
    let mut endings = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let case = Case::draw(seed, 150, 30, 1 + seed as usize % 4);
        compared += check(&case).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", case.plan.text()));
        worlds += 3 * case.plan.worlds().len();
        let simulator = Simulator::new(&case.digest, &case.scenario);
        let player = Player::new(&case.scenario, &simulator, vec![case.moment()]);
        let played = player.play_lanes(vec![(case.start, simulator.replicate(&case.scenario, 0))]);
        held += played[0].worlds.iter().filter(|world| world.held_s > 0).count();
        endings.extend(played[0].worlds.iter().map(|world| match world.outcome.end {
            schedule::End::Promoted => "promoted",
            schedule::End::Stalled { .. } => "stalled",
            schedule::End::RolledBack { reason: Reason::Failed(0), .. } => "failed overall",
            schedule::End::RolledBack { reason: Reason::Failed(_), .. } => "failed elsewhere",
            schedule::End::RolledBack { reason: Reason::Inconclusive, .. } => "inconclusive",
            schedule::End::RolledBack { reason: Reason::NoData, .. } => "no data",
        }));
    }
    assert_eq!(endings.len(), 6, "{endings:?}");
    assert!(held > 20, "only {held} worlds were held");
    assert!(10 * compared > 8 * worlds, "{compared} of {worlds} worlds are clear enough to compare");
}
