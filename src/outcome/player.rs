//! Plays replicates: every gate under every lens a world needs, then every world's schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use rayon::prelude::*;

use super::boundaries::{Boundaries, Levels, Planning};
use super::calibration::{self, Calibration};
use super::health::{self, SampleRatio};
use super::recovery::{People, Rollback, served_until};
use super::sentinels;
use super::watches::{self, Watches};
use crate::digest::Digest;
use crate::domain::gate::{Gate, Test};
use crate::domain::metric::MetricKind;
use crate::domain::quantity::{Moment, Seconds};
use crate::domain::rollout::{Budget, Sticky};
use crate::domain::world::{CURVE_MULTIPLES, World};
use crate::gate::lens::Lens;
use crate::gate::pause::Pauses;
use crate::gate::question::{Against, Arms, Asker, ExpectedArms, Question, WholeArms, questions};
use crate::gate::schedule::{self, End, Outcome, Reason, Stop};
use crate::gate::screen::Screen;
use crate::gate::stage::{StageGate, StagePlace, StageVerdicts};
use crate::gate::{self, correction};
use crate::paired::golden::Golden;
use crate::paired::{self, Pairs};
use crate::scenario::{Null, Scenario};
use crate::simulate::exposure::Reached;
use crate::simulate::lanes::Lane;
use crate::simulate::layout::{Answers, Layout, Shape, Slice};
use crate::simulate::trajectory::{Arm, Reader, Span, Trajectory};
use crate::simulate::{Simulator, StagePlan};
use crate::stats::normal;

/// How many start times plans are averaged over.
const SAMPLED_STARTS: usize = 8;

/// Trajectories of a block of lanes take about so much memory.
const BLOCK_BYTES: usize = 160 << 20;

/// Lanes that share work take this many at most, and at least so many even if they are large.
const MOST_LANES: usize = 96;
const LEAST_LANES: usize = 4;

/// What is asked of one gate.
pub struct GatePlan {
    /// Its questions.
    pub questions: Vec<Question>,
    /// The distinct ways the worlds, then the points of its power curve, show its metric.
    pub lenses: Vec<Lens>,
    /// Per world: index of its lens.
    pub lens_of_world: Vec<usize>,
    /// Per multiple of `allow`: index of its lens; empty for gates with a limit alone.
    pub lens_of_curve: Vec<usize>,
    /// Per lens: whether what the gate says under it is told. Else it only takes part in how the worlds of other gates end.
    pub told: Vec<bool>,
    /// Index of the lens of the worst candidate that the gate may not fail: as good as stable, or worse by where its failing side begins.
    pub failing_lens: usize,
    /// Per lens and question: whether the regression over the whole log is past the failing margin.
    pub harmful: Vec<Vec<bool>>,
}

/// Everything about a run that does not change from replicate to replicate.
pub struct Player<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// The log.
    pub simulator: &'a Simulator,
    /// Worlds of the run.
    pub worlds: Vec<World>,
    /// Per gate.
    pub gates: Vec<GatePlan>,
    /// Per gate: whether it will be asked; the others need no boundary.
    pub asked: Vec<bool>,
    /// Moments at which a rollout may start.
    pub starts: Vec<Moment>,
    /// Stable's value of each metric over the whole log.
    pub levels_of_metrics: Vec<f64>,
    /// Requests of the log in a second.
    pub requests_per_s: f64,
    /// A few starts, evenly spread, by slot: what plans are averaged over.
    pub sampled_starts: Vec<usize>,
    /// Censuses of the schedule from them.
    pub sampled_censuses: Arc<Vec<Trajectory>>,
    /// The failing error of each gate, and each question's part of it.
    pub levels: Levels,
    /// How the levels were found, where that took a replay.
    pub calibration: Option<Calibration>,
    /// Of group-sequential gates.
    pub boundaries: Boundaries,
    /// Of gates that count events.
    pub watches: Watches,
    /// Of stages that expose nobody: without it, nothing is asked there.
    pub pairs: Option<Pairs<'a>>,
}

/// One replicate.
pub struct Played {
    /// Per gate, lens, stage; nothing of lenses that are not told.
    pub verdicts: Vec<Vec<Vec<Option<StageVerdicts>>>>,
    /// Per world.
    pub worlds: Vec<WorldOutcome>,
    /// Per stage: what the candidate has at its end.
    pub stages: Vec<StageEnd>,
    /// Requests and units the candidate has served by each look, had nothing stopped the rollout.
    pub served: Vec<(f64, f64)>,
    /// Per stage: units of both arms against its exposure.
    pub sample_ratio: Vec<Option<SampleRatio>>,
}

/// What the candidate has at a stage's end.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StageEnd {
    /// Units in its arm.
    pub units: f64,
    /// Their requests since the stage began.
    pub requests: f64,
    /// Requests since the stage began that it served, whoever's.
    pub served: f64,
    /// Units that it has served since the rollout began, of those that have asked.
    pub reached: Reached,
}

/// How a replicate ended in one world.
#[derive(Debug, Clone, PartialEq)]
pub struct WorldOutcome {
    /// How and when.
    pub outcome: Outcome,
    /// Why it was rolled back, if it was.
    pub cause: Option<Cause>,
    /// Seconds from the start to the look that ended it.
    pub duration_s: i64,
    /// What a rollback then took.
    pub rollback: Option<Rollback>,
    /// Requests served by the candidate, until everyone was back on stable.
    pub exposed_requests: f64,
    /// Units served by the candidate.
    pub exposed_units: f64,
    /// Per metric: what was served beyond stable, larger is worse; meaningful for proportions (requests) and rare events (units).
    pub excess: Vec<f64>,
    /// Per gate on an error budget: the share of the budget of all traffic in its period that the candidate's bad requests spend.
    pub burned: Vec<f64>,
    /// Cost of the candidate's requests, and the same had stable served them.
    pub cost: Option<(f64, f64)>,
    /// Seconds for which stages were held past their durations, all together.
    pub held_s: i64,
    /// Where stages may be paused: how it was.
    pub pauses: Pauses,
    /// Where stages may be held: requests served by the moments of the fan, unless stopped before.
    pub fan: Vec<f32>,
}

/// Why a rollout was rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The world's regression is past the failing margin.
    Harm,
    /// It is not.
    Noise,
    /// Too little data.
    NoData,
}

/// One replicate's sums, and under the `swap` null those with the answers of whole units exchanged.
#[derive(Clone, Copy)]
pub struct Twins<'t> {
    /// As recorded.
    pub own: &'t Trajectory,
    /// With answers exchanged.
    pub swapped: Option<&'t Trajectory>,
    /// With everyone in an arm, where gates compare only some of those whom the candidate serves.
    pub whole: Option<&'t Trajectory>,
    /// The same with answers exchanged.
    pub whole_swapped: Option<&'t Trajectory>,
    /// Which replicate it is.
    pub replicate: u64,
    /// Per stage: what it shows of pairs.
    pub said: &'t [Option<paired::Said>],
}

impl<'t> Twins<'t> {
    /// A replicate without twins, and of no number.
    #[must_use]
    pub fn alone(own: &'t Trajectory) -> Self {
        Self { own, swapped: None, whole: None, whole_swapped: None, replicate: 0, said: &[] }
    }

    /// What the candidate serves.
    pub(super) fn served(&self, swapped: bool) -> &'t Trajectory {
        let exchanged = self.whole_swapped.or(self.swapped).filter(|_| swapped);
        exchanged.unwrap_or(self.whole.unwrap_or(self.own))
    }
}

/// Twins under the gates' eyes.
pub struct Screens<'t> {
    own: Screen<'t>,
    swapped: Option<Screen<'t>>,
    twins: Twins<'t>,
}

impl<'t> Screens<'t> {
    /// Nothing asked yet.
    #[must_use]
    pub fn new(layout: &'t Layout, twins: Twins<'t>) -> Self {
        let screen = |trajectory: &'t Trajectory| Screen::new(Reader { layout, trajectory });
        Self { own: screen(twins.own), swapped: twins.swapped.map(screen), twins }
    }

    /// What the candidate serves.
    pub(super) fn served(&self, swapped: bool) -> Reader<'t> {
        Reader { layout: self.own.reader.layout, trajectory: self.twins.served(swapped) }
    }

    pub(super) fn of(&self, swapped: bool) -> &Screen<'t> {
        self.swapped.as_ref().filter(|_| swapped).unwrap_or(&self.own)
    }
}

/// What all players of one simulation share: sums of the whole log, and censuses from a few starts.
pub struct Ground {
    whole_log: Trajectory,
    /// Stable's value of each metric over the whole log.
    pub levels_of_metrics: Vec<f64>,
    starts: Vec<Moment>,
    sampled_starts: Vec<usize>,
    sampled_censuses: Arc<Vec<Trajectory>>,
}

/// Replicates from their starts: their sums, the sums of their twins, and the censuses from there that a gate needs.
pub(super) struct Replayed {
    starts: Vec<usize>,
    replicates: Vec<u64>,
    own: Vec<Trajectory>,
    swapped: Vec<Trajectory>,
    whole: Vec<Trajectory>,
    whole_swapped: Vec<Trajectory>,
    /// Per replicate and stage.
    said: Vec<Vec<Option<paired::Said>>>,
    censuses: BTreeMap<usize, Trajectory>,
}

impl Replayed {
    /// The start of each replicate, and the replicate with its twin, if it has one.
    pub(super) fn twins(&self) -> impl Iterator<Item = (usize, Twins<'_>)> {
        let twins = |(index, own)| {
            let (swapped, whole, replicate) = (self.swapped.get(index), self.whole.get(index), self.replicates[index]);
            let said = self.said.get(index).map_or(&[][..], Vec::as_slice);
            let twins = Twins { own, swapped, whole, whole_swapped: self.whole_swapped.get(index), replicate, said };
            (self.starts[index], twins)
        };
        self.own.iter().enumerate().map(twins)
    }

    /// All of them, when nobody reads them any more.
    pub(super) fn into_trajectories(self) -> Vec<Trajectory> {
        let censuses = self.censuses.into_values();
        [self.own, self.swapped, self.whole, self.whole_swapped].into_iter().flatten().chain(censuses).collect()
    }
}

/// What is planned by start; nothing where no census was made.
pub(super) struct PlannedAt {
    at: BTreeMap<usize, Planned>,
    elsewhere: Planned,
}

impl PlannedAt {
    pub(super) fn of(&self, start: usize) -> &Planned {
        self.at.get(&start).unwrap_or(&self.elsewhere)
    }
}

impl Ground {
    /// Sums of the log, and censuses from a few of the starts.
    #[must_use]
    pub fn new(simulator: &Simulator, starts: Vec<Moment>) -> Self {
        let count = SAMPLED_STARTS.min(starts.len());
        let sampled_starts: Vec<usize> =
            (0..count).map(|index| simulator.slot_at(starts[index * starts.len() / count])).collect();
        let (whole_log, sampled_censuses) = rayon::join(
            || simulator.census(0, simulator.slots(), simulator.slots()),
            || sampled_starts.par_iter().map(|&start| simulator.census_of_schedule(start)).collect(),
        );
        let arms = whole_arms(simulator, &whole_log);
        let levels = (0..simulator.layout.shapes.len()).map(|metric| level(metric, simulator, &arms)).collect();
        Self {
            whole_log,
            levels_of_metrics: levels,
            starts,
            sampled_starts,
            sampled_censuses: Arc::new(sampled_censuses),
        }
    }

    fn requests_per_s(&self, scenario: &Scenario, simulator: &Simulator) -> f64 {
        let reader = Reader { layout: &simulator.layout, trajectory: &self.whole_log };
        let requests = reader.counts(Span { look: 0, since: None }, Arm::Candidate, 0).requests;
        requests / (simulator.slots() as f64 * scenario.log.slot.0 as f64)
    }

    /// Per question: whether the regression that a lens shows over the whole log is past the failing margin.
    pub(super) fn harmful(&self, scenario: &Scenario, gate: usize, lens: Lens, simulator: &Simulator) -> Vec<bool> {
        let rule = &scenario.gates[gate];
        let arms = whole_arms(simulator, &self.whole_log);
        let asker = Asker::new(rule, scenario, &simulator.layout);
        let scale = match simulator.layout.shapes[rule.metric] {
            Shape::Moments => self.levels_of_metrics[rule.metric].abs(),
            Shape::Grid(_) => 1.0,
        };
        let past = |question: Question| !lens.swapped && is_harmful(&asker, question, lens, &arms, scale);
        questions(rule, &simulator.layout).into_iter().map(past).collect()
    }
}

/// How far a world's regression over the whole log lies beyond a margin, in one question against stable.
#[derive(Debug, Clone)]
pub struct Beyond {
    /// Of all requests, or of a segment.
    pub slice: Slice,
    /// Larger is worse; of a quantile in the share of requests above a threshold.
    pub difference: f64,
    /// The question's part of the gate's failing error.
    pub level: f64,
}

impl Ground {
    /// Per question of a gate against stable: how far a lens shows the whole log beyond the margin that passing needs, or that failing needs.
    #[must_use]
    pub fn beyond(
        &self,
        scenario: &Scenario,
        gate: usize,
        lens: Lens,
        to_pass: bool,
        simulator: &Simulator,
    ) -> Vec<Beyond> {
        let (rule, layout) = (&scenario.gates[gate], &simulator.layout);
        let arms = whole_arms(simulator, &self.whole_log);
        let asker = Asker::new(rule, scenario, layout).without_covariate();
        let asked = questions(rule, layout);
        let shares = correction::shares(rule.correction, &asked);
        let alpha = scenario.alpha_fail(gate);
        // Exchanged answers are as good as stable's own.
        let lens = if lens.swapped { Lens::NULL } else { lens };
        let of_question = |(question, share): (&Question, f64)| {
            let Against::Stable { .. } = question.against else { return None };
            let shown = asker.evidence(*question, lens, &arms)?;
            let contrast = if to_pass { shown.pass } else { shown.fail };
            Some(Beyond { slice: layout.slices[question.slice], difference: contrast.difference, level: alpha * share })
        };
        asked.iter().zip(shares).filter_map(of_question).collect()
    }
}

/// What a start's census expects of each gate at each stage's end.
pub type Planned = Vec<Vec<Vec<Option<f64>>>>;

impl<'a> Player<'a> {
    /// Prepares a run.
    #[must_use]
    pub fn new(scenario: &'a Scenario, simulator: &'a Simulator, starts: Vec<Moment>) -> Self {
        Self::on(&Ground::new(simulator, starts), scenario, simulator, vec![true; scenario.gates.len()], true)
    }

    /// Prepares a run on ground that other runs share, in which only some gates will be asked; `chances` if closed forms will be asked for.
    #[must_use]
    pub fn on(
        ground: &Ground,
        scenario: &'a Scenario,
        simulator: &'a Simulator,
        asked: Vec<bool>,
        chances: bool,
    ) -> Self {
        let worlds = scenario.worlds();
        let gates = (0..scenario.gates.len()).map(|gate| GatePlan::new(gate, scenario, simulator, &worlds, ground));
        let mut player = Self {
            gates: gates.collect(),
            levels: Levels { alpha_fail: Vec::new(), shares: Vec::new() },
            scenario,
            simulator,
            worlds,
            asked,
            starts: ground.starts.clone(),
            levels_of_metrics: ground.levels_of_metrics.clone(),
            requests_per_s: ground.requests_per_s(scenario, simulator),
            sampled_starts: ground.sampled_starts.clone(),
            sampled_censuses: Arc::clone(&ground.sampled_censuses),
            calibration: None,
            boundaries: Boundaries::new(),
            watches: Watches::new(),
            pairs: None,
        };
        player.plan_boundaries(chances);
        player
    }

    /// The same, asked about the pairs of a log and of the golden sets of its stages too.
    #[must_use]
    pub fn with_pairs(mut self, digest: &'a Digest, golden: &'a [Option<Golden>]) -> Self {
        if self.scenario.stages.iter().any(|stage| stage.paired.is_some()) {
            self.pairs = Some(Pairs::new(self.scenario, self.simulator, (digest, golden), &self.asked_of_pairs()));
        }
        self
    }

    /// What stages that expose nobody ask.
    pub(crate) fn asked_of_pairs(&self) -> Vec<paired::Asked<'_>> {
        self.gates.iter().map(|plan| paired::Asked { questions: &plan.questions, lenses: &plan.lenses }).collect()
    }

    /// Per lane and stage: what the lane shows of pairs.
    fn said_by(&self, lanes: &[(usize, Lane)], held: &[Vec<usize>]) -> Vec<Vec<Option<paired::Said>>> {
        let Some(pairs) = &self.pairs else { return Vec::new() };
        let asked = self.asked_of_pairs();
        let held = |lane: usize| held.get(lane).map_or(&[][..], Vec::as_slice);
        let mut said = Vec::with_capacity(lanes.len());
        // Neighbours start alike; the windows of all starts together would not fit in memory.
        let mut windows: Option<((usize, &[usize]), paired::Windows)> = None;
        for (index, (start, lane)) in lanes.iter().enumerate() {
            let key = (*start, held(index));
            let known = windows.take().filter(|(of, _)| *of == key);
            let (_, at) = windows.insert(known.unwrap_or_else(|| (key, pairs.windows(key.0, key.1, &asked))));
            said.push(pairs.said(at, lane));
        }
        said
    }

    /// Levels, and the boundaries at them; a budget may have to be calibrated on the way.
    fn plan_boundaries(&mut self, chances: bool) {
        let shares = |(gate, plan): (&Gate, &GatePlan)| correction::shares(gate.correction, &plan.questions);
        self.levels = Levels {
            alpha_fail: (0..self.gates.len()).map(|gate| self.scenario.alpha_fail(gate)).collect(),
            shares: self.scenario.gates.iter().zip(&self.gates).map(shares).collect(),
        };
        let places = self.places();
        let planning = Planning {
            scenario: self.scenario,
            simulator: self.simulator,
            questions: self.gates.iter().map(|plan| plan.questions.as_slice()).collect(),
            asked: &self.asked,
            places: &places,
            starts: &self.sampled_starts,
            censuses: &self.sampled_censuses,
        };
        let plans = planning.plans();
        // Once: what a calibrated budget then multiplies is the levels of p-values, and boundaries over events stay as they were counted.
        self.watches = watches::plan(self);
        let budget =
            self.scenario.rollout.false_rollback.filter(|_| self.scenario.rollout.budget == Budget::Calibrated);
        if let Some(budget) = budget {
            let rungs = calibration::rungs(calibration::largest_factor(self, budget.get()));
            let ladder = plans.boundaries(self.scenario, &self.levels, &rungs, false);
            let found = calibration::calibrate(self, &ladder, budget.get());
            for gate in self.rolling_back().collect::<Vec<_>>() {
                self.levels.alpha_fail[gate] *= found.factor;
            }
            self.calibration = Some(found);
        }
        self.boundaries = plans.boundaries(self.scenario, &self.levels, &[], chances);
    }

    /// Plays replicates a block at a time, blocks in parallel, and hands them over in a fixed order. Stops when `stop` is set.
    pub fn play(&self, stop: &AtomicBool, mut receive: impl FnMut(Vec<Played>)) {
        let blocks = self.blocks(self.scenario.simulation.replicates);
        std::thread::scope(|scope| {
            let (send, played) = mpsc::channel();
            let play_all = move |send: mpsc::Sender<(usize, Vec<Played>)>| {
                // Blocks are taken in order, so few of them wait for an earlier one.
                blocks.iter().enumerate().par_bridge().for_each_with(send, |send, (index, block)| {
                    if !stop.load(Ordering::Relaxed) {
                        // Nobody listens any more only when the receiver has panicked.
                        let _ = send.send((index, self.play_block(block)));
                    }
                });
            };
            scope.spawn(move || play_all(send));
            let mut waiting = BTreeMap::new();
            let mut next = 0;
            for (index, block) in played {
                waiting.insert(index, block);
                while let Some(block) = waiting.remove(&next) {
                    receive(block);
                    next += 1;
                }
            }
        });
        self.simulator.forget_taken_back();
    }

    /// Replicates, each with its start slot, in blocks that are played together.
    ///
    /// Replicates share work where their stages begin at the same slot, so a block takes starts that are a common divisor of the stages'
    /// lengths apart, all of them where there is room. The order depends on the scenario and the log alone.
    #[must_use]
    pub fn blocks(&self, replicates: usize) -> Vec<Vec<(usize, usize)>> {
        let starts = self.start_order(replicates);
        let apart = self.simulator.plan.iter().map(StagePlan::own_slots).fold(0, gcd).max(1);
        let mut turns: Vec<(usize, usize)> = (0..starts.len().min(replicates))
            .map(|turn| (turn, self.simulator.slot_at(self.starts[starts[turn]])))
            .collect();
        turns.sort_unstable_by_key(|&(_, slot)| (slot % apart, slot));
        let of_turn = |&(turn, slot): &(usize, usize)| {
            (turn..replicates).step_by(starts.len()).map(move |replicate| (slot, replicate))
        };
        let most = self.lanes_of_block();
        let mut blocks: Vec<Vec<(usize, usize)>> = Vec::new();
        for sharing in turns.chunk_by(|(_, one), (_, other)| one % apart == other % apart) {
            let lanes: Vec<(usize, usize)> = sharing.iter().flat_map(of_turn).collect();
            let parts = lanes.len().div_ceil(most);
            // Whole words of lanes, so that few of these are cut.
            for part in lanes.chunks(lanes.len().div_ceil(parts).next_multiple_of(LEAST_LANES)) {
                match blocks.last_mut() {
                    Some(block) if block.len() + part.len() <= most => block.extend(part),
                    _ => blocks.push(part.to_vec()),
                }
            }
        }
        blocks
    }

    /// As many lanes as their trajectories leave room for, so that memory stays bounded.
    pub(super) fn lanes_of_block(&self) -> usize {
        let twins = if self.scenario.simulation.null == Null::Swap { 2 } else { 1 };
        let twins = if self.simulator.who.has_waves() { 2 * twins } else { twins };
        let lanes = BLOCK_BYTES / (self.simulator.bytes_of_a_lane() + self.simulator.bytes_of_units()).max(1) / twins;
        lanes.clamp(LEAST_LANES, MOST_LANES)
    }

    /// Starts are taken in turn; with fewer replicates than starts, evenly spread over them.
    fn start_order(&self, replicates: usize) -> Vec<usize> {
        let starts = self.starts.len();
        if replicates >= starts {
            return (0..starts).collect();
        }
        (0..replicates).map(|turn| turn * starts / replicates).collect()
    }

    fn play_block(&self, block: &[(usize, usize)]) -> Vec<Played> {
        if self.holds() {
            let starts: Vec<usize> = block.iter().map(|&(start, _)| start).collect();
            let lanes = |which: &[usize]| self.lanes(&which.iter().map(|&index| block[index]).collect::<Vec<_>>());
            let people = |index: usize| People::of_replicate(self.scenario, block[index].1);
            return self.play_held(&starts, lanes, people);
        }
        self.with_twins(self.lanes(block), |index, twins, planned| {
            let (_, replicate) = block[index];
            self.judge(twins, planned, Rollback::of_replicate(self.scenario, replicate))
        })
    }

    /// Lanes of replicates from their start slots, and after them their twins with exchanged answers, where the null world needs those.
    pub(super) fn lanes(&self, block: &[(usize, usize)]) -> Vec<(usize, Lane)> {
        let lane = |&(start, replicate): &(usize, usize)| (start, self.simulator.replicate(self.scenario, replicate));
        let twin = |&(start, r): &(usize, usize)| (start, self.simulator.swapped_replicate(self.scenario, r));
        let mut lanes: Vec<(usize, Lane)> = block.iter().map(lane).collect();
        if self.scenario.simulation.null == Null::Swap {
            lanes.extend(block.iter().map(twin));
        }
        lanes
    }

    /// Replays given lanes from their start slots, and judges them, with rollbacks of the median length; lanes with exchanged answers come
    /// last, in the order of the others.
    #[must_use]
    pub fn play_lanes(&self, lanes: Vec<(usize, Lane)>) -> Vec<Played> {
        let rollback = Rollback::median(self.scenario);
        if self.holds() {
            let own = lanes.iter().filter(|(_, lane)| lane.swapped.is_none()).count();
            let starts: Vec<usize> = lanes[..own].iter().map(|&(start, _)| start).collect();
            let some = |which: &[usize]| {
                let of =
                    |lanes: &[(usize, Lane)]| which.iter().filter_map(|&i| lanes.get(i).cloned()).collect::<Vec<_>>();
                [of(&lanes[..own]), of(&lanes[own..])].concat()
            };
            return self.play_held(&starts, some, |_| People::median(self.scenario));
        }
        self.with_twins(lanes, |_, twins, planned| self.judge(twins, planned, rollback))
    }

    /// Replays given lanes from their start slots, and looks at each, by index, together with its twin.
    pub(super) fn with_twins<T>(
        &self,
        lanes: Vec<(usize, Lane)>,
        look: impl Fn(usize, Twins<'_>, &Planned) -> T,
    ) -> Vec<T> {
        self.with_held_twins(lanes, &[], look)
    }

    /// The same where stages of each lane are held for so many looks.
    pub(super) fn with_held_twins<T>(
        &self,
        lanes: Vec<(usize, Lane)>,
        held: &[&[usize]],
        look: impl Fn(usize, Twins<'_>, &Planned) -> T,
    ) -> Vec<T> {
        let in_slots = |held: &&[usize]| -> Vec<usize> {
            held.iter().zip(&self.simulator.plan).map(|(looks, plan)| looks * plan.slots_per_look).collect()
        };
        // Twins are held as their originals are, of which there are at most three.
        let held: Vec<Vec<usize>> = held.iter().cycle().take(4 * held.len()).map(in_slots).collect();
        let replayed = self.replay(lanes, &held, self.tunes());
        let planned = self.planned_at(&replayed);
        let look = |(index, (start, twins))| look(index, twins, planned.of(start));
        let looked = replayed.twins().enumerate().map(look).collect();
        self.simulator.take_back(replayed.into_trajectories());
        looked
    }

    /// Replays given lanes from their start slots, and a census from each start where it is needed.
    pub(super) fn replay(&self, mut lanes: Vec<(usize, Lane)>, held: &[Vec<usize>], census: bool) -> Replayed {
        let own = lanes.iter().filter(|(_, lane)| lane.swapped.is_none()).count();
        let starts: Vec<usize> = lanes[..own].iter().map(|&(start, _)| start).collect();
        let replicates = lanes[..own].iter().map(|(_, lane)| lane.replicate).collect();
        let said = self.said_by(&lanes[..own], held);
        let censused: BTreeSet<usize> = starts.iter().copied().filter(|_| census).collect();
        let judged = lanes.len();
        let whole: Vec<(usize, Lane)> =
            lanes.iter().filter_map(|(start, lane)| Some((*start, lane.whole()?))).collect();
        lanes.extend(whole);
        let played = lanes.len();
        lanes.extend(censused.iter().map(|&start| (start, self.simulator.everybody())));
        let held = &held[..held.len().min(played)];
        let mut all = self.simulator.held_trajectories(&lanes, held);
        self.simulator.take_back_lanes(lanes);
        let of_lanes = all.split_off(played).into_iter().map(|census| self.simulator.census_of_lane(census));
        let censuses = censused.into_iter().zip(of_lanes).collect();
        let mut whole = all.split_off(judged);
        let swapped = all.split_off(own);
        let whole_swapped = whole.split_off(own.min(whole.len()));
        Replayed { starts, replicates, own: all, swapped, whole, whole_swapped, said, censuses }
    }

    /// Whether a gate is tuned to what a census expects.
    pub(super) fn tunes(&self) -> bool {
        self.scenario.gates.iter().any(|gate| gate.test == Test::ConfidenceSequence)
    }

    /// What the censuses of a replay expect.
    pub(super) fn planned_at(&self, replayed: &Replayed) -> PlannedAt {
        let at = replayed.censuses.iter().map(|(&start, census)| (start, self.planned(census)));
        PlannedAt { at: at.collect(), elsewhere: self.unplanned() }
    }

    fn unplanned(&self) -> Planned {
        let nothing = self.gates.iter().map(|plan| vec![None; plan.questions.len()]);
        vec![nothing.collect(); self.simulator.plan.len()]
    }

    /// Per stage, gate and question: the variance of the passing contrast that the census expects at the stage's end, in the null world.
    #[must_use]
    pub fn planned(&self, census: &Trajectory) -> Planned {
        let reader = Reader { layout: &self.simulator.layout, trajectory: census };
        self.places()
            .iter()
            .map(|place| {
                let expected = |gate: usize, question: &Question| {
                    let asker = Asker::new(&self.scenario.gates[gate], self.scenario, &self.simulator.layout);
                    let look = place.seen(place.plan.looks().checked_sub(1)?, asker.delay)?;
                    let span = Span { look, since: None };
                    let arms = ExpectedArms { reader, span, split: place.plan.split() };
                    asker.evidence(*question, Lens::NULL, &arms)?.pass.variance.filter(|&variance| variance > 0.0)
                };
                let of_gate = |(gate, plan): (usize, &GatePlan)| {
                    let expected = |question| if self.asked[gate] { expected(gate, question) } else { None };
                    plan.questions.iter().map(expected).collect()
                };
                self.gates.iter().enumerate().map(of_gate).collect()
            })
            .collect()
    }

    /// Where each stage's looks are.
    #[must_use]
    pub fn places(&self) -> Vec<StagePlace> {
        self.held_places(&[])
    }

    /// The same where the first stages are held for so many looks, and no others.
    #[must_use]
    pub fn held_places(&self, held: &[usize]) -> Vec<StagePlace> {
        let mut first_look = 0;
        let slot_s = self.scenario.log.slot.0;
        let place = |(plan, held): (&StagePlan, usize)| {
            let place = StagePlace { first_look, plan: *plan, held, slot_s };
            first_look += plan.looks();
            place
        };
        self.simulator.plan.iter().zip(held.iter().copied().chain(std::iter::repeat(0))).map(place).collect()
    }

    /// Every gate in every world on one finished trajectory; `planned` belongs to the same start, and a rollback would take so long.
    #[must_use]
    pub fn judge(&self, twins: Twins<'_>, planned: &Planned, rollback: Rollback) -> Played {
        let screens = Screens::new(&self.simulator.layout, twins);
        let places = self.places();
        let mut verdicts: Vec<Vec<Vec<Option<StageVerdicts>>>> = Vec::with_capacity(self.gates.len());
        let mut stops: Vec<Vec<Option<Stop>>> = Vec::with_capacity(self.gates.len());
        for (gate, plan) in self.gates.iter().enumerate() {
            let ask = |(lens, &told): (&Lens, &bool)| {
                if told {
                    let said = self.verdicts(gate, lens, &screens, planned, &self.boundaries);
                    let stop = schedule::first_stop(self.scenario, gate, &said);
                    (said, stop)
                } else {
                    (Vec::new(), self.stop(gate, lens, &screens, planned))
                }
            };
            let (said, stopped) = plan.lenses.iter().zip(&plan.told).map(ask).unzip();
            verdicts.push(said);
            stops.push(stopped);
        }
        let served = served(screens.served(false), &places);
        let outcome = |world: usize| {
            let swapped = self.worlds[world] == World::Null && self.scenario.simulation.null == Null::Swap;
            let lens = |gate: usize| self.gates[gate].lens_of_world[world];
            let stops = (0..self.gates.len()).filter_map(|gate| stops[gate][lens(gate)]);
            let score = schedule::scored(self.scenario, |gate| &verdicts[gate][lens(gate)]);
            let outcome = schedule::outcome(self.scenario, stops.chain(score));
            self.outcome(world, outcome, screens.served(swapped), &places, &served, rollback)
        };
        let worlds = (0..self.worlds.len()).map(outcome).collect();
        Self::told(&screens, &places, worlds, verdicts, served)
    }

    /// What is told of a replicate.
    pub(super) fn told(
        screens: &Screens<'_>,
        places: &[StagePlace],
        worlds: Vec<WorldOutcome>,
        verdicts: Vec<Vec<Vec<Option<StageVerdicts>>>>,
        served: Vec<(f64, f64)>,
    ) -> Played {
        let ends = |place: &StagePlace| {
            let look = (place.first_look + place.ended()).checked_sub(1).filter(|_| place.plan.looks() > 0);
            let counts = |reader: Reader<'_>| {
                look.map(|look| reader.counts(Span { look, since: None }, Arm::Candidate, 0)).unwrap_or_default()
            };
            let (compared, all) = (counts(screens.own.reader), counts(screens.served(false)));
            let whole = screens.served(false).trajectory;
            let reached = look.map(|look| Reached { met: whole.exposed_units[look], active: whole.active_units[look] });
            StageEnd {
                units: compared.units,
                requests: compared.requests,
                served: all.requests,
                reached: reached.unwrap_or_default(),
            }
        };
        Played {
            worlds,
            stages: places.iter().map(ends).collect(),
            sample_ratio: places.iter().map(|place| health::sample_ratio(screens.own.reader, place)).collect(),
            verdicts,
            served,
        }
    }

    /// What a gate says in each stage under a lens.
    pub(super) fn verdicts(
        &self,
        gate: usize,
        lens: &Lens,
        screens: &Screens<'_>,
        planned: &Planned,
        boundaries: &Boundaries,
    ) -> Vec<Option<StageVerdicts>> {
        let mut stages = Vec::with_capacity(boundaries.len());
        self.hear(gate, lens, screens, planned, boundaries, false, |_, said| {
            stages.push(said);
            true
        });
        stages
    }

    /// Where a gate, were it alone, stops a rollout; nothing where it lets every stage go on.
    pub(super) fn stop(&self, gate: usize, lens: &Lens, screens: &Screens<'_>, planned: &Planned) -> Option<Stop> {
        let mut found = None;
        self.hear(gate, lens, screens, planned, &self.boundaries, true, |stage, said| {
            found = said.and_then(|said| schedule::stop(self.scenario, stage, gate, &said));
            found.is_none()
        });
        found
    }

    /// Hands over what a gate says in one stage after the other under a lens, for as long as it is wanted; `brief` where only what stops
    /// a rollout is.
    #[expect(clippy::too_many_arguments, reason = "one place that asks a gate, for two callers")]
    fn hear(
        &self,
        gate: usize,
        lens: &Lens,
        screens: &Screens<'_>,
        planned: &Planned,
        boundaries: &Boundaries,
        brief: bool,
        mut wanted: impl FnMut(usize, Option<StageVerdicts>) -> bool,
    ) {
        let plan = &self.gates[gate];
        let asker = Asker::new(&self.scenario.gates[gate], self.scenario, &self.simulator.layout);
        let screen = screens.of(lens.swapped);
        let mut earlier: Vec<Vec<Option<f64>>> = vec![Vec::new(); plan.questions.len()];
        let sentinel = sentinels::failures(self, gate, *lens, screens.twins.replicate);
        let places = self.places();
        for (stage, &place) in places.iter().enumerate() {
            if self.scenario.stages[stage].paired.is_some() {
                // Its pairs say nothing of how arms differ later.
                for earlier in &mut earlier {
                    earlier.push(None);
                }
                if !wanted(stage, self.said_of_pairs((stage, gate), lens, screens.twins)) {
                    return;
                }
                continue;
            }
            let stage_gate = StageGate {
                asker,
                questions: &plan.questions,
                planned: &planned[stage][gate],
                boundaries: &boundaries[stage][gate],
                watches: &self.watches[stage][gate],
                alpha_fail: self.levels.alpha_fail[gate],
                shares: &self.levels.shares[gate],
                earlier: &earlier,
                brief,
                looks_per_run: self.looks_per_run(place),
                before: &places[..stage],
                sentinel: &sentinel,
                waits: self.scenario.waits(&self.scenario.gates[gate], stage),
            };
            let said = stage_gate.play(screen, place, *lens);
            for (question, earlier) in earlier.iter_mut().enumerate() {
                earlier.push(said.as_ref().and_then(|said| said.questions[question].z_fail));
            }
            if !wanted(stage, said) {
                return;
            }
        }
    }

    /// What a gate says at the end of a stage that exposes nobody.
    fn said_of_pairs(&self, (stage, gate): (usize, usize), lens: &Lens, twins: Twins<'_>) -> Option<StageVerdicts> {
        let rule = &self.scenario.gates[gate];
        if !rule.asked_in(&self.scenario.stages[stage]) {
            return None;
        }
        let said = &twins.said.get(stage)?.as_ref()?[gate];
        let lens = self.gates[gate].lenses.iter().position(|other| other == lens)?;
        let shown: Vec<Option<paired::Shown>> = said.iter().map(|by_lens| *by_lens.get(lens)?).collect();
        let levels = gate::paired::Levels {
            z_alpha: normal::upper_quantile(rule.alpha.get()),
            alpha_fail: self.levels.alpha_fail[gate],
            shares: &self.levels.shares[gate],
        };
        Some(gate::paired::verdicts(rule, &shown, levels, self.scenario.waits(rule, stage)))
    }

    /// Looks from one run of Kayenta's judge to the next.
    fn looks_per_run(&self, place: StagePlace) -> usize {
        let look_s = place.slot_s * place.plan.slots_per_look as i64;
        self.scenario.rollout.kayenta.interval.map_or(1, |interval| (interval.0 / look_s) as usize)
    }

    pub(super) fn outcome(
        &self,
        world: usize,
        outcome: Outcome,
        reader: Reader<'_>,
        places: &[StagePlace],
        served: &[(f64, f64)],
        rollback: Rollback,
    ) -> WorldOutcome {
        let duration_s = time_of(outcome.looks, places);
        let rollback = matches!(outcome.end, End::RolledBack { .. }).then_some(rollback);
        let after = rollback.map_or(Seconds(0), Rollback::total);
        let pins = self.scenario.assignment.sticky == Sticky::Session;
        let begun = rollback.filter(|_| pins).map(|_| begun(reader, places, outcome.looks));
        let (requests, units) = served_until(begun.as_deref().unwrap_or(served), outcome.looks, places, after);
        let spans = spans_until(outcome.looks, places);
        let longer = longer(served, &spans, outcome.looks, requests);
        let lens = |metric| {
            Lens::of(self.worlds[world], metric, self.scenario, &self.simulator.layout, &self.levels_of_metrics)
        };
        let answered = |metric: usize| answered(reader, &spans, longer, metric, lens(metric));
        let excess = |(metric, facts): (usize, &crate::domain::metric::Metric)| match facts.kind {
            MetricKind::Proportion { .. } | MetricKind::Rare { .. } => {
                let (candidate, stable) = answered(metric);
                facts.better.worse_sign() * (candidate - stable)
            }
            _ => 0.0,
        };
        let burned = |gate: &Gate| {
            let burn = gate.burn.as_ref()?;
            let allowed = burn.budget() * self.requests_per_s * burn.period.0 as f64;
            Some(answered(gate.metric).0 / allowed)
        };
        WorldOutcome {
            cause: self.cause(world, outcome, duration_s),
            outcome,
            duration_s,
            rollback,
            exposed_requests: requests,
            exposed_units: units,
            excess: self.scenario.metrics.iter().enumerate().map(excess).collect(),
            burned: self.scenario.gates.iter().filter_map(burned).collect(),
            cost: self.cost_metric().map(answered),
            held_s: places.iter().map(|place| place.held as i64 * place.look_every().0).sum(),
            pauses: Pauses::default(),
            fan: Vec::new(),
        }
    }

    /// The first metric in US dollars that has one value per request.
    #[must_use]
    pub fn cost_metric(&self) -> Option<usize> {
        self.scenario.metrics.iter().position(|metric| {
            metric.unit.as_deref() == Some("usd")
                && matches!(metric.kind, MetricKind::Mean { .. } | MetricKind::Ratio { .. })
        })
    }

    fn cause(&self, world: usize, outcome: Outcome, duration_s: i64) -> Option<Cause> {
        let End::RolledBack { stage, gate, reason } = outcome.end else { return None };
        let question = match reason {
            Reason::NoData => return Some(Cause::NoData),
            Reason::Failed(question) => question,
            Reason::Inconclusive => 0,
        };
        let set_in = match self.worlds[world] {
            World::Effect(effect) => {
                let onset = self.scenario.effects[effect].onset.0;
                // A golden set takes no time, and sees what is there from the start.
                onset == 0 || duration_s > onset
            }
            _ => true,
        };
        let plan = &self.gates[gate];
        let lens = plan.lens_of_world[world];
        // What is recorded of a golden set is not what is recorded in the log.
        let of_golden = self.pairs.as_ref().filter(|_| self.worlds[world] == World::Recorded);
        let of_golden = of_golden.and_then(|pairs| pairs.is_harmful(stage, gate, question, lens));
        let harmful = set_in && of_golden.unwrap_or(plan.harmful[lens][question]);
        Some(if harmful { Cause::Harm } else { Cause::Noise })
    }
}

impl GatePlan {
    fn new(gate: usize, scenario: &Scenario, simulator: &Simulator, worlds: &[World], ground: &Ground) -> Self {
        let rule = &scenario.gates[gate];
        let questions = questions(rule, &simulator.layout);
        let mut lenses: Vec<Lens> = Vec::new();
        let mut index_of = |lens: Lens| {
            lenses.iter().position(|&other| other == lens).unwrap_or_else(|| {
                lenses.push(lens);
                lenses.len() - 1
            })
        };
        let of_world =
            |world: &World| Lens::of(*world, rule.metric, scenario, &simulator.layout, &ground.levels_of_metrics);
        let lens_of_world: Vec<usize> = worlds.iter().map(|world| index_of(of_world(world))).collect();
        let sign = scenario.metrics[rule.metric].better.worse_sign();
        let lens_of_curve = rule.allow.map_or_else(Vec::new, |allow| {
            let worse = |multiple: f64| Lens::worse_by(allow.times(multiple), sign).on(rule.metric, &simulator.layout);
            CURVE_MULTIPLES.iter().map(|&multiple| index_of(worse(multiple))).collect()
        });
        let failing_lens = index_of(match rule.harm.or(rule.allow) {
            Some(margin) if margin.is_zero() => of_world(&World::Null),
            Some(margin) => Lens::worse_by(margin, sign).on(rule.metric, &simulator.layout),
            None => of_world(&World::Margin(gate)),
        });
        let harmful = lenses.iter().map(|&lens| ground.harmful(scenario, gate, lens, simulator)).collect();
        let mut told = vec![rule.kayenta.is_some(); lenses.len()];
        let own = |world: &World| !matches!(world, World::Margin(of) | World::Multiple(of, _) if *of != gate);
        let of_worlds = worlds.iter().zip(&lens_of_world).filter(|(world, _)| own(world)).map(|(_, &lens)| lens);
        of_worlds.chain(lens_of_curve.iter().copied()).chain([failing_lens]).for_each(|lens| told[lens] = true);
        Self { questions, lenses, lens_of_world, lens_of_curve, told, failing_lens, harmful }
    }
}

fn whole_arms<'a>(simulator: &'a Simulator, whole_log: &'a Trajectory) -> WholeArms<'a> {
    let reader = Reader { layout: &simulator.layout, trajectory: whole_log };
    WholeArms { reader, span: Span { look: 0, since: None } }
}

/// Seconds from the start until so many looks have passed.
pub(super) fn time_of(looks: usize, places: &[StagePlace]) -> i64 {
    let mut left = looks;
    let mut seconds = 0;
    for place in places {
        let here = place.plan.looks().min(left);
        seconds += (here.min(place.ended()) * place.plan.slots_per_look) as i64 * place.slot_s;
        left -= here;
    }
    seconds
}

/// The same by the number of looks, from none to all.
pub(super) fn times(places: &[StagePlace]) -> Vec<i64> {
    let looks: usize = places.iter().map(|place| place.plan.looks()).sum();
    (0..=looks).map(|looks| time_of(looks, places)).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn is_harmful(asker: &Asker<'_>, question: Question, lens: Lens, whole_log: &WholeArms<'_>, scale: f64) -> bool {
    // The margin itself is not past the margin, whatever rounding says.
    asker.evidence(question, lens, whole_log).is_some_and(|evidence| evidence.fail.difference > 1e-9 * scale)
}

/// Stable's value of a metric over the whole log; a quantile's grid threshold.
fn level(metric: usize, simulator: &Simulator, arms: &WholeArms<'_>) -> f64 {
    match &simulator.layout.shapes[metric] {
        Shape::Moments => arms.sums(Arm::Stable, Answers::Stable, 0, metric, None).ratio().unwrap_or(0.0),
        Shape::Grid(grid) => {
            let (low, high) = grid.quantile_range;
            let share = |index: usize| {
                let place = crate::simulate::grid::GridPlace { index, part: 0.0 };
                arms.sums(Arm::Stable, Answers::Stable, 0, metric, Some(place)).ratio().unwrap_or(0.0)
            };
            let nearest =
                (low..=high).min_by(|&a, &b| (share(a) - grid.tail).abs().total_cmp(&(share(b) - grid.tail).abs()));
            grid.value(nearest.unwrap_or(low))
        }
    }
}

/// Requests and units the candidate has served by each look, over all stages so far. Looks at which the rollout has gone on to the next stage
/// add nothing; in stage `last`, it stays.
pub(super) fn served_through(reader: Reader<'_>, places: &[StagePlace], last: usize) -> Vec<(f64, f64)> {
    let mut before = 0.0;
    let mut by_look = Vec::new();
    for (stage, place) in places.iter().enumerate() {
        for look in 0..place.plan.looks() {
            let taken = if stage == last { look } else { look.min(place.ended() - 1) };
            let span = Span { look: place.first_look + taken, since: None };
            let requests = before + reader.counts(span, Arm::Candidate, 0).requests;
            by_look.push((requests, reader.trajectory.exposed_units[span.look]));
        }
        before = by_look.last().map_or(before, |&(requests, _)| requests);
    }
    by_look
}

/// The same of a rollout that goes through all stages.
pub(super) fn served(reader: Reader<'_>, places: &[StagePlace]) -> Vec<(f64, f64)> {
    served_through(reader, places, places.len())
}

/// Requests that both versions have served by each look, where the candidate has `served` so many.
pub(super) fn traffic(reader: Reader<'_>, places: &[StagePlace], served: &[(f64, f64)]) -> Vec<f64> {
    let mut before = 0.0;
    let mut by_look = Vec::with_capacity(served.len());
    for place in places {
        let mut stable = 0.0;
        let of_stage = served.iter().enumerate().skip(place.first_look).take(place.plan.looks());
        for (look, &(candidate, _)) in of_stage {
            stable = reader.counts(Span { look, since: None }, Arm::Stable, 0).requests;
            by_look.push(before + stable + candidate);
        }
        before += stable;
    }
    by_look
}

/// Requests of sessions that began on the candidate by each look, to their last, and units as they are served: what it has served when, taken
/// back after so many looks, it lets running sessions finish.
fn begun(reader: Reader<'_>, places: &[StagePlace], looks: usize) -> Vec<(f64, f64)> {
    let of_stage = |place: &StagePlace| {
        // A stage that was left is not the one that was held for as long as it may be.
        let left = place.first_look + place.plan.looks() < looks;
        let last = if left { place.ended() } else { place.plan.looks() }.saturating_sub(1);
        let first = place.first_look;
        (0..place.plan.looks()).map(move |look| first + look.min(last))
    };
    let looks = places.iter().flat_map(of_stage);
    looks.map(|look| (reader.trajectory.begun_requests[look], reader.trajectory.exposed_units[look])).collect()
}

/// The last look of every stage until so many looks have passed: stages' sums restart, so these add up.
fn spans_until(looks: usize, places: &[StagePlace]) -> Vec<Span> {
    let entered = places.iter().filter(|place| place.first_look < looks && place.plan.looks() > 0);
    entered
        .map(|place| Span { look: place.first_look + place.ended().min(looks - place.first_look) - 1, since: None })
        .collect()
}

/// How many times as much the candidate serves in the stage of the last look until everyone is back on stable, when it has then served so
/// many requests in all.
fn longer(served: &[(f64, f64)], spans: &[Span], looks: usize, requests: f64) -> f64 {
    let by = |looks: usize| looks.checked_sub(1).map_or(0.0, |look| served[look].0);
    // The end of the stage before is where that of the last look began.
    let before = spans.len().checked_sub(2).map_or(0.0, |index| by(spans[index].look + 1));
    let in_stage = by(looks) - before;
    if in_stage > 0.0 { (requests - before) / in_stage } else { 1.0 }
}

/// Sums over the candidate's requests of what they got, and of what stable would have given them; of the last span `longer` times as much.
fn answered(reader: Reader<'_>, spans: &[Span], longer: f64, metric: usize, lens: Lens) -> (f64, f64) {
    let sum = |answers: Answers| {
        spans.iter().enumerate().fold((0.0, 0.0), |(y, x), (index, &span)| {
            let sums = reader.sums(span, Arm::Candidate, answers, 0, metric, None);
            let times = if index + 1 == spans.len() { longer } else { 1.0 };
            (y + times * sums.y, x + times * sums.x)
        })
    };
    let (y, x) = sum(lens.answers);
    (lens.scale * y + lens.shift * x, sum(Answers::Stable).0)
}
