//! Digest + schedule + seed → trajectories. Same seed, same bytes, for any thread count; knows no gate.

pub mod grid;
pub mod layout;

mod additions;
mod cells;
mod effects;
mod kernel;

pub mod lanes;
pub mod returning;
mod rollout;
pub mod trajectory;

use cells::FlatCells;
use effects::EffectCells;
use layout::{Layout, Stream};

use crate::assign::unit_key;
use crate::digest::Digest;
use crate::domain::quantity::{Moment, Seconds};
use crate::scenario::{Scenario, Tile};
use lanes::Lane;
use trajectory::Trajectory;

/// One stage as the simulation sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StagePlan {
    /// Fraction of the assignment space on the candidate.
    pub exposure: f64,
    /// Length in slots, when it takes as long as it may.
    pub slots: usize,
    /// Of that, what may come after its own duration while a gate waits.
    pub hold: usize,
    /// Of that, what may then come until a person lets the rollout go on.
    pub watch: usize,
    /// Slots between looks; divides the length.
    pub slots_per_look: usize,
}

impl StagePlan {
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

    /// Slots of its own duration.
    #[must_use]
    pub fn own_slots(&self) -> usize {
        self.slots - self.hold - self.watch
    }
}

/// A log ready to be replayed: cells in slot order, and which sums to keep.
pub struct Simulator {
    /// Which sums a trajectory holds, and where.
    pub layout: Layout,
    /// The schedule.
    pub plan: Vec<StagePlan>,
    cells: FlatCells,
    effects: Vec<EffectCells>,
    unit_keys: Vec<u64>,
    first: Moment,
    slot: Seconds,
    period: Option<usize>,
}

impl Simulator {
    /// Prepares a digest for a scenario.
    #[must_use]
    pub fn new(digest: &Digest, scenario: &Scenario) -> Self {
        let mut layout = Layout::new(digest, scenario);
        let cells = FlatCells::new(digest, &scenario.metrics);
        for gate in scenario.gates.iter().filter(|gate| gate.covariate) {
            layout.adjustments[gate.metric] = cells.adjustment(gate.metric, digest.units.len());
        }
        let effects = layout
            .streams
            .iter()
            .map(|&stream| match stream {
                Stream::Effect(effect) => EffectCells::new(effect, &cells, &layout.shapes, digest, scenario),
                Stream::Excess { scale, shift, .. } => EffectCells::excess(&cells, scale, shift),
                Stream::Adjusted { metric, effect } => {
                    let mut shown = effect.map_or_else(
                        || EffectCells::recorded(&cells),
                        |effect| EffectCells::new(effect, &cells, &layout.shapes, digest, scenario),
                    );
                    shown.adjustment = layout.adjustments[metric];
                    shown
                }
            })
            .collect();
        let slots_of =
            |seconds: Seconds| usize::try_from(seconds.0 / digest.slot.0).expect("durations are not negative");
        let plan = scenario.stages.iter().enumerate().map(|(index, stage)| StagePlan {
            exposure: stage.exposure.get(),
            slots: [stage.duration, scenario.hold(index), scenario.watch(index)].map(slots_of).iter().sum(),
            hold: slots_of(scenario.hold(index)),
            watch: slots_of(scenario.watch(index)),
            slots_per_look: slots_of(stage.look_every).max(1),
        });
        Self {
            plan: plan.collect(),
            unit_keys: digest.units.iter().map(|unit| unit_key(unit)).collect(),
            first: digest.first,
            slot: digest.slot,
            period: (scenario.log.tile == Tile::Week).then(|| whole_weeks(digest)).filter(|&slots| slots > 0),
            layout,
            cells,
            effects,
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
        self.unit_keys.len()
    }

    /// A lane with the assignment and copies of one replicate.
    #[must_use]
    pub fn replicate(&self, scenario: &Scenario, replicate: usize) -> Lane {
        Lane::replicate(&self.unit_keys, &self.plan, &scenario.simulation, replicate)
    }

    /// A lane with the same units in the same arms, under the `swap` null.
    #[must_use]
    pub fn swapped_replicate(&self, scenario: &Scenario, replicate: usize) -> Lane {
        Lane::swapped(&self.unit_keys, &self.plan, &scenario.simulation, replicate)
    }

    /// Size of a lane's trajectory.
    #[must_use]
    pub fn bytes_of_a_lane(&self) -> usize {
        let looks: usize = self.plan.iter().map(StagePlan::looks).sum();
        looks * (self.layout.all_width + self.layout.arm_width + 1) * size_of::<f64>()
    }

    /// Everybody in a lane of the schedule, for its census.
    #[must_use]
    pub fn everybody(&self) -> Lane {
        Lane::everybody(self.units(), &self.plan)
    }

    /// Replays the schedule for several lanes at once, each from its own slot: where stages begin at the same slot, what the cells add
    /// is computed once for all of them. Lanes with the same start should be neighbours.
    #[must_use]
    pub fn trajectories(&self, lanes: &[(usize, Lane)]) -> Vec<Trajectory> {
        rollout::play(self, &self.plan, 0, lanes, &[])
    }

    /// The same where earlier stages are held: per lane and stage, slots that it goes on past its duration.
    ///
    /// A trajectory goes on through every look at which a stage could be held longer; what comes after starts as `held` says.
    #[must_use]
    pub fn held_trajectories(&self, lanes: &[(usize, Lane)], held: &[Vec<usize>]) -> Vec<Trajectory> {
        rollout::play(self, &self.plan, 0, lanes, held)
    }

    /// Everybody's sums under every answer, from a slot on, at looks this many slots apart: what an arm expects is a share of them.
    ///
    /// Effects are taken as having set in.
    #[must_use]
    pub fn census(&self, start_slot: usize, slots: usize, slots_per_look: usize) -> Trajectory {
        let plan = [StagePlan { exposure: 1.0, slots, hold: 0, watch: 0, slots_per_look }];
        let lanes = [(start_slot, Lane::everybody(self.units(), &plan))];
        let long_after_onset = usize::MAX / 2;
        rollout::play(self, &plan, long_after_onset, &lanes, &[]).pop().expect("one lane gives one trajectory")
    }

    /// The same over the schedule from a slot on, stage by stage.
    ///
    /// # Panics
    /// Never: one lane gives one trajectory.
    #[must_use]
    pub fn census_of_schedule(&self, start_slot: usize) -> Trajectory {
        self.trajectories(&[(start_slot, self.everybody())]).pop().expect("one lane gives one trajectory")
    }

    /// Number of slots of the log that are replayed: a log that repeats ends with its last whole week.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.period.unwrap_or(self.cells.slots())
    }
}

/// Slots in the whole weeks of a log.
#[must_use]
pub fn whole_weeks(digest: &Digest) -> usize {
    let per_week = Seconds::WEEK.0 / digest.slot.0;
    usize::try_from(i64::from(digest.slots) / per_week * per_week).expect("slot counts are not negative")
}
