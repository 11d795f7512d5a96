//! Digest + schedule + seed → trajectories. Same seed, same bytes, for any thread count; knows no gate.

pub mod embedding;
pub mod grid;
pub mod layout;

mod additions;
mod cells;
pub(crate) mod effects;
pub mod exposure;
mod kernel;

pub mod lanes;
mod own;
pub mod returning;
mod rollout;
mod row;
mod spare;
mod spells;
pub mod trajectory;
mod trials;
pub mod who;

use std::sync::Arc;

use rayon::prelude::*;

use cells::FlatCells;
use effects::EffectCells;
use layout::{Layout, Stream};

use crate::assign::{Bucketing, unit_key};
use crate::digest::Digest;
use crate::domain::quantity::{Moment, Seconds};
use crate::domain::rollout::{Control, Sticky};
use crate::scenario::{Scenario, Tile};
use lanes::{Drawing, Lane};
use own::Way;
use spare::Spare;
use trajectory::Trajectory;
use trials::Outputs;
use who::Who;

/// One stage as the simulation sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StagePlan {
    /// Fraction of the units that are compared on the candidate; its mean over them where it differs.
    pub exposure: f64,
    /// Whom they are compared with.
    pub control: Control,
    /// Length in slots, when it takes as long as it may.
    pub slots: usize,
    /// Of that, what may come after its own duration while a gate waits.
    pub hold: usize,
    /// Of that, for how long its pauses may last.
    pub pause: usize,
    /// Of that, what may then come until a person lets the rollout go on, and the next stage may begin.
    pub watch: usize,
    /// Slots between looks; divides the length.
    pub slots_per_look: usize,
    /// Looks at which gates do not speak yet.
    pub quiet: usize,
    /// Units go over to the candidate on the way: censuses hold the arms themselves, and not everybody.
    pub drifts: bool,
}

impl StagePlan {
    /// Compared with the rest, looked at from the beginning, and left when its duration is over.
    #[must_use]
    pub fn plain(exposure: f64, slots: usize, slots_per_look: usize) -> Self {
        let control = Control::Rest;
        Self { exposure, control, slots, hold: 0, pause: 0, watch: 0, slots_per_look, quiet: 0, drifts: false }
    }

    /// Number of looks, when it takes as long as it may.
    #[must_use]
    pub fn looks(&self) -> usize {
        self.slots / self.slots_per_look
    }

    /// Of them, those while a gate waits after its own duration.
    #[must_use]
    pub fn hold_looks(&self) -> usize {
        self.hold / self.slots_per_look
    }

    /// Of them, those for which it may be paused.
    #[must_use]
    pub fn pause_looks(&self) -> usize {
        self.pause / self.slots_per_look
    }

    /// Looks of its own duration.
    #[must_use]
    pub fn own_looks(&self) -> usize {
        self.own_slots() / self.slots_per_look
    }

    /// Slots of its own duration.
    #[must_use]
    pub fn own_slots(&self) -> usize {
        self.slots - self.beyond()
    }

    /// Slots that may come after its own duration.
    #[must_use]
    pub fn beyond(&self) -> usize {
        self.hold + self.pause + self.watch
    }

    /// At 100 % nobody is left to compare with, and without exposure there is nobody to compare.
    #[must_use]
    pub fn has_control(&self) -> bool {
        self.exposes() && self.exposure < 1.0
    }

    /// Whether the candidate serves anyone.
    #[must_use]
    pub fn exposes(&self) -> bool {
        self.exposure > 0.0
    }

    /// Shares of the units that are compared, or could be, in the candidate's arm and in stable's.
    #[must_use]
    pub fn split(&self) -> Split {
        Split { exposure: self.exposure, control: self.control, drifts: self.drifts }
    }
}

/// How units are divided between the arms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    /// Share of units in the candidate's arm.
    pub exposure: f64,
    /// Who is in stable's.
    pub control: Control,
    /// Whether a census holds the arms themselves.
    pub drifts: bool,
}

impl Split {
    /// Of units that stay in the arm that they drew.
    #[must_use]
    pub const fn steady(exposure: f64, control: Control) -> Self {
        Self { exposure, control, drifts: false }
    }

    /// The same at another exposure.
    #[must_use]
    pub fn at(self, exposure: f64) -> Self {
        Self { exposure, ..self }
    }

    /// Share of units in stable's arm.
    #[must_use]
    pub fn stable(self) -> f64 {
        self.control.share(self.exposure)
    }

    /// Share of units in the smaller arm.
    #[must_use]
    pub fn smaller(self) -> f64 {
        self.exposure.min(self.stable())
    }

    /// The candidate's share of both arms.
    #[must_use]
    pub fn of_both(self) -> f64 {
        self.exposure / (self.exposure + self.stable())
    }
}

/// Where cookies are handed out, so many copies of everybody draw theirs in a census: what an arm expects is their mean.
const CENSUS_COPIES: u8 = 4;

/// A log ready to be replayed: cells in slot order, and which sums to keep.
pub struct Simulator {
    /// Which sums a trajectory holds, and where.
    pub layout: Layout,
    /// The schedule.
    pub plan: Vec<StagePlan>,
    /// Whom its stages take.
    pub who: Arc<Who>,
    cells: FlatCells,
    effects: Vec<EffectCells>,
    unit_keys: Vec<u64>,
    sessions: Option<exposure::Sessions>,
    first: Moment,
    slot: Seconds,
    period: Option<usize>,
    /// Where requests have several outputs, of which the cells hold one.
    outputs: Option<Outputs>,
    spare: Spare,
}

impl Simulator {
    /// Prepares a digest for a scenario.
    #[must_use]
    pub fn new(digest: &Digest, scenario: &Scenario) -> Self {
        let mut layout = Layout::new(digest, scenario);
        let mut cells = FlatCells::new(digest, &scenario.metrics);
        for gate in scenario.gates.iter().filter(|gate| gate.covariate) {
            layout.adjustments[gate.metric] = cells.adjustment(gate.metric, digest.units.len());
        }
        let mut effects = streams(&layout, &cells, digest, scenario);
        cells.show(&mut effects, &layout.stream_metrics);
        cells.find_same();
        let slots_of =
            |seconds: Seconds| usize::try_from(seconds.0 / digest.slot.0).expect("durations are not negative");
        let who = Arc::new(Who::new(digest, scenario));
        let plan = scenario.stages.iter().enumerate().map(|(index, stage)| StagePlan {
            exposure: who.exposure(index).unwrap_or(stage.exposure.get()),
            control: stage.control,
            slots: [stage.duration, scenario.beyond(index)].map(slots_of).iter().sum(),
            hold: slots_of(scenario.hold(index)),
            pause: slots_of(scenario.pause(index)),
            watch: slots_of(scenario.watch(index)),
            slots_per_look: slots_of(stage.look_every).max(1),
            quiet: stage.quiet_looks(),
            drifts: who.hands_out_cookies(),
        });
        Self {
            plan: plan.collect(),
            sessions: (who.sticky == Sticky::Session).then(|| exposure::Sessions::of(&cells, digest.units.len())),
            who,
            unit_keys: digest.units.iter().map(|unit| unit_key(unit)).collect(),
            first: digest.first,
            slot: digest.slot,
            period: (scenario.log.tile == Tile::Week).then(|| whole_weeks(digest)).filter(|&slots| slots > 0),
            outputs: Outputs::of(digest, &layout, scenario),
            layout,
            cells,
            effects,
            spare: Spare::default(),
        }
    }

    /// Slot index of a moment on the slot grid.
    #[must_use]
    pub fn slot_at(&self, moment: Moment) -> usize {
        usize::try_from((moment.0 - self.first.0) / self.slot.0).expect("starts lie in the log")
    }

    /// When a slot begins.
    #[must_use]
    pub fn moment_at(&self, slot: usize) -> Moment {
        Moment(self.first.0 + slot as i64 * self.slot.0)
    }

    /// Number of units of the log.
    #[must_use]
    pub fn units(&self) -> usize {
        self.cells.by_rank.len()
    }

    /// A lane with the assignment and copies of one replicate.
    #[must_use]
    pub fn replicate(&self, scenario: &Scenario, replicate: usize) -> Lane {
        self.drawing(scenario).replicate(replicate)
    }

    /// A lane with the same units in the same arms, under the `swap` null.
    #[must_use]
    pub fn swapped_replicate(&self, scenario: &Scenario, replicate: usize) -> Lane {
        self.drawing(scenario).swapped(replicate)
    }

    fn drawing<'a>(&'a self, scenario: &'a Scenario) -> Drawing<'a> {
        Drawing {
            unit_keys: &self.unit_keys,
            who: &self.who,
            simulation: &scenario.simulation,
            spare: &self.spare.counts,
        }
    }

    /// A lane of exactly the logged units, assigned by a platform's hash.
    #[must_use]
    pub fn production(&self, units: &[String], bucketing: &dyn Bucketing) -> Lane {
        Lane::production(units, &self.who, bucketing)
    }

    /// Size of a lane's trajectory.
    #[must_use]
    pub fn bytes_of_a_lane(&self) -> usize {
        let looks: usize = self.plan.iter().map(StagePlan::looks).sum();
        looks * (self.layout.all_width + self.layout.arm_width + 1) * size_of::<f64>()
    }

    /// Size of a lane's units, where that counts: as it is drawn, and as it is played.
    #[must_use]
    pub fn bytes_of_units(&self) -> usize {
        let held = 3 * (1 + self.plan.len());
        if self.who.holders.is_some() { self.units() * held } else { 0 }
    }

    /// Everybody whom each stage compares, in a lane of the schedule for its census.
    #[must_use]
    pub fn everybody(&self) -> Lane {
        if self.who.hands_out_cookies() {
            return Lane::census_of_users(self.who.planned, &self.who, CENSUS_COPIES);
        }
        let of_stage = |stage: usize| move |unit: usize| self.who.weight(stage, unit);
        let weights: Vec<_> = (0..self.plan.len()).map(of_stage).collect();
        let weights: Vec<&dyn Fn(usize) -> u8> = weights.iter().map(|weight| weight as &dyn Fn(usize) -> u8).collect();
        Lane::census(self.units(), &weights)
    }

    /// The census that such a lane gives.
    #[must_use]
    pub fn census_of_lane(&self, mut played: Trajectory) -> Trajectory {
        let mut looks = 0;
        for (stage, plan) in self.plan.iter().enumerate() {
            let of_stage = looks..looks + plan.looks();
            looks = of_stage.end;
            let copies = if plan.drifts { f64::from(CENSUS_COPIES) } else { 1.0 };
            played.scale(&self.layout, of_stage, self.who.scale(stage, plan) / copies);
        }
        played
    }

    /// Replays the schedule for several lanes at once, each from its own slot: where stages begin at the same slot, what the cells add
    /// is computed once for all of them. Lanes with the same start should be neighbours.
    #[must_use]
    pub fn trajectories(&self, lanes: &[(usize, Lane)]) -> Vec<Trajectory> {
        self.play(&self.plan, 0, lanes, &[])
    }

    /// The same where earlier stages are held: per lane and stage, slots that it goes on past its duration.
    ///
    /// A trajectory goes on through every look at which a stage could be held longer; what comes after starts as `held` says.
    #[must_use]
    pub fn held_trajectories(&self, lanes: &[(usize, Lane)], held: &[Vec<usize>]) -> Vec<Trajectory> {
        self.play(&self.plan, 0, lanes, held)
    }

    /// Replays a plan; where cookies are drawn, lane by lane, and where requests have several outputs, each lane then gets sums of its own.
    fn play(
        &self,
        plan: &[StagePlan],
        elapsed: usize,
        lanes: &[(usize, Lane)],
        held: &[Vec<usize>],
    ) -> Vec<Trajectory> {
        let held_of = |index: usize| held.get(index).map_or(&[][..], Vec::as_slice);
        if lanes.iter().any(|(_, lane)| lane.draws.is_some()) && self.who.hands_out_cookies() {
            let of_lane = |index: usize| self.replay_cookies(plan, elapsed, &lanes[index], held_of(index));
            return (0..lanes.len()).into_par_iter().map(of_lane).collect();
        }
        let mut played = rollout::play(self, plan, elapsed, lanes, held);
        if let Some(outputs) = &self.outputs {
            played.par_iter_mut().enumerate().for_each(|(index, trajectory)| {
                let (start, lane) = &lanes[index];
                outputs.replay(self, &Way { plan, elapsed, start: *start, held: held_of(index) }, lane, trajectory);
            });
        }
        played
    }

    /// Takes trajectories back that nobody reads any more.
    pub fn take_back(&self, trajectories: Vec<Trajectory>) {
        self.spare.trajectories.put(trajectories);
    }

    /// The same of lanes.
    pub fn take_back_lanes(&self, lanes: Vec<(usize, Lane)>) {
        self.spare.counts.put(lanes.into_iter().flat_map(|(_, lane)| lane.into_counts()));
    }

    /// Gives their memory up, and what else was kept for the next.
    pub fn forget_taken_back(&self) {
        self.spare.clear();
    }

    /// Sums of everybody in the log under every answer, from a slot on, at looks this many slots apart.
    ///
    /// Effects are taken as having set in.
    #[must_use]
    pub fn census(&self, start_slot: usize, slots: usize, slots_per_look: usize) -> Trajectory {
        self.census_by(&|_| 1, start_slot, slots, slots_per_look)
    }

    /// The same of everybody whom a stage compares: what an arm expects is a share of them.
    #[must_use]
    pub fn census_of_stage(&self, stage: usize, start_slot: usize, slots: usize, slots_per_look: usize) -> Trajectory {
        let weight = |unit: usize| self.who.weight(stage, unit);
        let mut census = self.census_by(&weight, start_slot, slots, slots_per_look);
        census.scale(&self.layout, 0..slots / slots_per_look, self.who.scale(stage, &self.plan[stage]));
        census
    }

    fn census_by(&self, weight: &dyn Fn(usize) -> u8, start: usize, slots: usize, slots_per_look: usize) -> Trajectory {
        let plan = [StagePlan::plain(1.0, slots, slots_per_look)];
        let lanes = [(start, Lane::census(self.units(), &[weight]))];
        let long_after_onset = usize::MAX / 2;
        self.play(&plan, long_after_onset, &lanes, &[]).pop().expect("one lane gives one trajectory")
    }

    /// The same over the schedule from a slot on, stage by stage.
    ///
    /// # Panics
    /// Never: one lane gives one trajectory.
    #[must_use]
    pub fn census_of_schedule(&self, start_slot: usize) -> Trajectory {
        let played = self.trajectories(&[(start_slot, self.everybody())]).pop();
        self.census_of_lane(played.expect("one lane gives one trajectory"))
    }

    /// Requests of all units in some slots.
    #[must_use]
    pub fn requests(&self, slots: std::ops::Range<usize>) -> f64 {
        slots.flat_map(|slot| self.cells_of(slot)).map(|cell| self.cells.inputs(cell)[0]).sum()
    }

    /// Number of slots of the log that are replayed: a log that repeats ends with its last whole week.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.period.unwrap_or(self.cells.slots())
    }
}

/// What each stream of a layout shows of these cells.
fn streams(layout: &Layout, cells: &FlatCells, digest: &Digest, scenario: &Scenario) -> Vec<EffectCells> {
    let of_stream = |&stream: &Stream| match stream {
        Stream::Effect(effect) => EffectCells::new(effect, cells, &layout.shapes, digest, scenario),
        Stream::Excess { scale, shift, .. } => EffectCells::excess(cells, scale, shift),
        Stream::Adjusted { metric, effect } => {
            let mut shown = effect.map_or_else(
                || EffectCells::recorded(cells),
                |effect| EffectCells::new(effect, cells, &layout.shapes, digest, scenario),
            );
            shown.adjustment = layout.adjustments[metric];
            shown
        }
    };
    layout.streams.par_iter().map(of_stream).collect()
}

/// Slots in the whole weeks of a log.
#[must_use]
pub fn whole_weeks(digest: &Digest) -> usize {
    let per_week = Seconds::WEEK.0 / digest.slot.0;
    usize::try_from(i64::from(digest.slots) / per_week * per_week).expect("slot counts are not negative")
}
