//! Takes lanes through the schedule and keeps their sums at every look.
//!
//! Sums restart at each stage, so a rollout is a chain of windows, one a stage, and what cells add in a window depends on where it
//! begins, not on whose stage it is. Lanes whose stages begin at the same slot ride through one window together: its cells are read
//! once, what they add is computed once, and every lane adds it, times its copies, to all traffic and to the candidate's arm.
//! Stable's arm is the difference.

use std::collections::BTreeMap;
use std::ops::Range;

use fearless_simd::Level;

use super::additions::{Additions, CutAdditions};
use super::kernel::{self, Interval, LANES, Lanes, Row, RowWeights};
use super::lanes::{Lane, Quad, Weights, Word};
use super::layout::{COUNTS, MOMENTS};
use super::row_plan::{Block, RowPlan};
use super::trajectory::Trajectory;
use super::{Simulator, StagePlan};

/// Rows that wait at most before they are added: they and their weights stay in the nearest caches.
const WAITING_ROWS: usize = 128;

/// Rows whose numbers and totals are fetched together.
const FETCHED_ROWS: usize = 32;

/// The onset of an effect that does not set in during a stage.
const NEVER: i64 = i64::MAX;

/// Replays `plan` for lanes from their start slots; `elapsed` slots of the rollouts lie before them.
pub(super) fn play(sim: &Simulator, plan: &[StagePlan], elapsed: usize, lanes: &[(usize, Lane)]) -> Vec<Trajectory> {
    let looks: usize = plan.iter().map(StagePlan::looks).sum();
    let mut riders: Vec<Rider> = groups(lanes).into_iter().map(|group| Rider::new(sim, group, looks)).collect();
    let mut additions = Additions::new(sim);
    for (begin, rides) in windows(plan, &riders) {
        Window::new(sim, plan, elapsed, &rides).play(sim, begin, &mut additions, &mut riders);
    }
    riders.into_iter().flat_map(|rider| rider.trajectories).collect()
}

/// Neighbours with the same start, a quad at a time.
fn groups(lanes: &[(usize, Lane)]) -> Vec<&[(usize, Lane)]> {
    lanes.chunk_by(|(one, _), (other, _)| one == other).flat_map(|same| same.chunks(LANES)).collect()
}

/// A quad of lanes with the same start on its way through the schedule.
struct Rider {
    start: usize,
    quad: Quad,
    /// Copies of each unit that the candidate has served.
    served: Vec<Word>,
    served_units: Lanes,
    /// One a lane.
    trajectories: Vec<Trajectory>,
}

impl Rider {
    fn new(sim: &Simulator, lanes: &[(usize, Lane)], looks: usize) -> Self {
        let lane_refs: Vec<&Lane> = lanes.iter().map(|(_, lane)| lane).collect();
        Self {
            start: lanes[0].0,
            quad: Quad::new(&lane_refs, &sim.cells.by_rank),
            served: vec![Word::default(); sim.units()],
            served_units: Lanes::default(),
            trajectories: lanes.iter().map(|_| Trajectory::empty(&sim.layout, looks)).collect(),
        }
    }

    /// Counts copies that the candidate serves for the first time, of units that a stage has not met before. Exposure only ever adds units.
    fn serve(&mut self, stage: usize, arrived: &[u32]) {
        let own = &self.quad.weights.stages[stage];
        let swapped = self.quad.swapped.as_ref().map(|swapped| &swapped.stages[stage]);
        for &unit in arrived {
            let unit = unit as usize;
            let swapped = swapped.map_or(Word::default(), |swapped| swapped[unit].exposed);
            let exposed = std::array::from_fn(|lane| own[unit].exposed[lane] + swapped[lane]);
            let served = &mut self.served[unit];
            if *served != exposed {
                for ((units, served), exposed) in self.served_units.iter_mut().zip(*served).zip(exposed) {
                    *units += f64::from(exposed.saturating_sub(served));
                }
                *served = exposed;
            }
        }
    }
}

/// One stage of one rider.
#[derive(Clone, Copy)]
struct Ride {
    rider: usize,
    stage: usize,
}

/// By the slot at which they begin: which riders go through a window, in which stage.
fn windows(plan: &[StagePlan], riders: &[Rider]) -> BTreeMap<usize, Vec<Ride>> {
    let mut windows: BTreeMap<usize, Vec<Ride>> = BTreeMap::new();
    for (rider, facts) in riders.iter().enumerate() {
        let mut begin = facts.start;
        for (stage, stage_plan) in plan.iter().enumerate() {
            if stage_plan.looks() > 0 {
                windows.entry(begin).or_default().push(Ride { rider, stage });
            }
            begin += stage_plan.slots;
        }
    }
    windows
}

/// What riders go through together.
struct Window<'a> {
    plan: &'a [StagePlan],
    /// Per stage and stream: the slot of the window at which it sets in; negative where it is still growing from before.
    onsets: Vec<Vec<i64>>,
    rides: Vec<(Ride, RideSums)>,
    level: Level,
}

impl<'a> Window<'a> {
    fn new(sim: &Simulator, plan: &'a [StagePlan], elapsed: usize, rides: &[Ride]) -> Self {
        let (mut slots, mut onsets) = (elapsed, Vec::new());
        for stage in plan {
            let of_stream = |effect: &super::EffectCells| {
                // What has grown to its full size may have set in at any time.
                let onset = (effect.onset as i64).saturating_sub(slots as i64).max(-(effect.ramp as i64));
                // Answers that are adjusted are never those of stable.
                if onset < stage.slots as i64 || effect.adjustment.is_some() { onset } else { NEVER }
            };
            onsets.push(sim.effects.iter().map(of_stream).collect());
            slots = slots.saturating_add(stage.slots);
        }
        let rides = rides.iter().map(|&ride| (ride, RideSums::default())).collect();
        Self { plan, onsets, rides, level: Level::new() }
    }

    /// Every stream with each slot at which it sets in for some ride.
    fn streams(&self, sim: &Simulator) -> Vec<Vec<i64>> {
        let of_stream = |stream: usize| {
            let mut onsets: Vec<i64> = self.rides.iter().map(|(ride, _)| self.onsets[ride.stage][stream]).collect();
            onsets.retain(|&onset| onset != NEVER);
            onsets.sort_unstable();
            onsets.dedup();
            onsets
        };
        (0..sim.effects.len()).map(of_stream).collect()
    }

    fn play(&mut self, sim: &Simulator, begin: usize, additions: &mut Additions<'_>, riders: &mut [Rider]) {
        let exchange = self.rides.iter().any(|(ride, _)| riders[ride.rider].quad.swapped.is_some());
        additions.begin(&self.streams(sim), exchange);
        for (_, sums) in &mut self.rides {
            *sums = RideSums::new(&additions.cuts);
        }
        let places: Vec<Places> = self.onsets.iter().map(|onsets| Places::new(sim, additions, onsets)).collect();
        let mut seats = vec![Vec::new(); LANES];
        let slots = self.rides.iter().map(|(ride, _)| self.plan[ride.stage].slots).max().unwrap_or(0);
        for slot in 0..slots {
            let under_way = |ride: &Ride| slot < self.plan[ride.stage].slots;
            let looks_now = |ride: &Ride| under_way(ride) && (slot + 1) % self.plan[ride.stage].slots_per_look == 0;
            let look = self.rides.iter().any(|(ride, _)| looks_now(ride));
            let rows = sim.rows_of(begin + slot);
            let mut next = rows.start;
            additions.enter(slot);
            loop {
                let end = rows.end.min(next + FETCHED_ROWS.min(WAITING_ROWS - additions.units.len()));
                additions.add(next..end, slot);
                next = end;
                let all = next == rows.end;
                if additions.units.len() == WAITING_ROWS || (all && look) {
                    for (ride, sums) in self.rides.iter_mut().filter(|(ride, _)| under_way(ride)) {
                        riders[ride.rider].serve(ride.stage, &additions.arrived);
                        sums.add(self.level, additions, &riders[ride.rider].quad, ride.stage);
                    }
                    additions.clear();
                }
                if all {
                    break;
                }
            }
            for (ride, sums) in self.rides.iter().filter(|(ride, _)| looks_now(ride)) {
                sums.look(&places[ride.stage], &mut riders[ride.rider], &mut seats);
            }
        }
    }
}

impl Simulator {
    /// Rows of a slot, which may be one of a log that repeats.
    fn rows_of(&self, slot: usize) -> Range<usize> {
        let slot = self.period.map_or(slot, |period| slot % period);
        if slot < self.cells.slots() { self.cells.rows_of_slot(slot) } else { 0..0 }
    }

    pub(super) fn cells_of(&self, slot: usize) -> Range<usize> {
        let rows = self.rows_of(slot);
        if rows.is_empty() {
            return 0..0;
        }
        self.cells.cells_of_row(rows.start).start..self.cells.cells_of_row(rows.end - 1).end
    }
}

/// Where the sums of a stage's trajectories come from.
struct Places {
    all: Moves,
    arm: Moves,
}

/// Which sums of lanes go where in a trajectory.
#[derive(Default)]
struct Moves {
    /// From, and to.
    sums: Vec<(u32, u32)>,
    /// Intervals, and where the sums of the thresholds below them go.
    intervals: Vec<(Range<usize>, usize)>,
    /// Of a look in a trajectory.
    width: usize,
}

impl Places {
    fn new(sim: &Simulator, additions: &Additions<'_>, onsets: &[i64]) -> Self {
        let mut all = Moves { width: sim.layout.all_width, ..Moves::default() };
        let mut arm = Moves { width: sim.layout.arm_width, ..Moves::default() };
        let (mut from_all, mut from_arm) = (Offsets::default(), Offsets::default());
        for (cut, additions) in sim.cuts.iter().zip(&additions.cuts) {
            let rows = &additions.plan;
            for &slice in &cut.slices {
                let plan = &sim.layout.plans[slice];
                all.counts(rows, from_all, plan.all_at);
                arm.counts(rows, from_arm, plan.arm_at);
                let metrics = plan.metrics.len();
                for index in 0..metrics {
                    let at = plan.metrics[index].1;
                    all.answer(rows, index, from_all, plan.all_at + at);
                    arm.answer(rows, index, from_arm, plan.arm_at + at);
                    arm.answer(rows, metrics + index, from_arm, plan.arm_at + plan.answers_width + at);
                }
                for &(stream, at) in &plan.streams {
                    let metric = sim.layout.stream_metrics[stream];
                    let index = match onsets[stream] {
                        // What never sets in leaves stable's answers.
                        NEVER => plan.metrics.iter().position(|&(kept, _)| kept == metric),
                        onset => rows.answers.iter().position(|answer| answer.effect == Some((stream, onset))),
                    };
                    // Only stages through which nobody rides have no answer.
                    if let Some(index) = index {
                        arm.answer(rows, index, from_arm, plan.arm_at + at);
                    }
                }
                from_all.add(rows.stable_width, rows.intervals_of(Block::Stable));
                from_arm.add(rows.width, intervals_of_all(rows));
            }
        }
        Self { all, arm }
    }
}

/// Where a slice begins among the sums of lanes.
#[derive(Clone, Copy, Default)]
struct Offsets {
    sums: usize,
    intervals: usize,
}

impl Offsets {
    fn add(&mut self, sums: usize, intervals: usize) {
        self.sums += sums;
        self.intervals += intervals;
    }
}

impl Moves {
    fn counts(&mut self, rows: &RowPlan, from: Offsets, to: usize) {
        self.place(&rows.counts, from, to);
        debug_assert_eq!(rows.counts.len(), COUNTS);
    }

    fn place(&mut self, columns: &[usize], from: Offsets, to: usize) {
        let moves =
            columns.iter().enumerate().map(|(index, column)| ((from.sums + column) as u32, (to + index) as u32));
        self.sums.extend(moves);
    }

    fn answer(&mut self, rows: &RowPlan, index: usize, from: Offsets, to: usize) {
        let answer = &rows.answers[index];
        if answer.intervals == 0 {
            return self.place(&answer.columns, from, to);
        }
        // X and XX; then Y, YY and YX of each threshold.
        self.place(&[answer.columns[1], answer.columns[MOMENTS - 1]], from, to);
        let before = Block::ALL[..answer.block as usize].iter();
        let first =
            from.intervals + before.map(|&block| rows.intervals_of(block)).sum::<usize>() + answer.first_interval;
        self.intervals.push((first..first + answer.intervals, to + 2));
    }

    /// Writes the sums of each lane to its seat.
    fn take(&self, sums: &Sums, seats: &mut [Vec<f64>]) {
        for seat in &mut *seats {
            seat.resize(self.width, 0.0);
        }
        let mut put = |to: usize, lanes: &Lanes| seats.iter_mut().zip(lanes).for_each(|(seat, &lane)| seat[to] = lane);
        for &(from, to) in &self.sums {
            put(to as usize, &sums.columns[from as usize]);
        }
        for (intervals, to) in &self.intervals {
            // The sums of a threshold are those of all intervals from there on.
            let mut above = Interval::default();
            for (index, interval) in sums.intervals[intervals.clone()].iter().enumerate().rev() {
                for (order, (above, more)) in above.iter_mut().zip(interval).enumerate() {
                    above.iter_mut().zip(more).for_each(|(above, more)| *above += more);
                    put(to + 3 * index + order, above);
                }
            }
        }
    }
}

/// Sums of a ride's lanes since its stage began.
#[derive(Default)]
struct RideSums {
    /// Counts and stable's answers over both arms together.
    all: Sums,
    /// Counts and everybody's answers over the candidate's arm.
    arm: Sums,
    copies: RowWeights,
    exposed: RowWeights,
    rows: Vec<Row>,
}

/// Of one slice after the other: numbers and intervals as in its additions.
#[derive(Default)]
struct Sums {
    columns: Vec<Lanes>,
    intervals: Vec<Interval>,
}

/// Intervals of all blocks.
fn intervals_of_all(plan: &RowPlan) -> usize {
    Block::ALL.iter().map(|&block| plan.intervals_of(block)).sum()
}

impl RideSums {
    fn new(cuts: &[CutAdditions]) -> Self {
        let sums = |columns: &dyn Fn(&RowPlan) -> usize, intervals: &dyn Fn(&RowPlan) -> usize| {
            let total = |of: &dyn Fn(&RowPlan) -> usize| cuts.iter().map(|cut| cut.slices.len() * of(&cut.plan)).sum();
            Sums {
                columns: vec![Lanes::default(); total(columns)],
                intervals: vec![Interval::default(); total(intervals)],
            }
        };
        Self {
            all: sums(&|plan| plan.stable_width, &|plan| plan.intervals_of(Block::Stable)),
            arm: sums(&|plan| plan.width, &intervals_of_all),
            ..Self::default()
        }
    }

    /// Adds the rows that wait.
    fn add(&mut self, level: Level, additions: &Additions<'_>, quad: &Quad, stage: usize) {
        self.add_weighted(level, additions, &quad.weights, stage, false);
        if let Some(swapped) = &quad.swapped {
            // Stable's sums get the candidate's answers, and the other way round.
            self.add_weighted(level, additions, swapped, stage, true);
        }
    }

    fn add_weighted(
        &mut self,
        level: Level,
        additions: &Additions<'_>,
        weights: &Weights,
        stage: usize,
        exchanged: bool,
    ) {
        self.copies.clear();
        self.exposed.clear();
        for &unit in &additions.units {
            let weight = weights.stages[stage][unit as usize];
            self.copies.push(weight.copies);
            self.exposed.push(weight.exposed);
        }
        let rows = &mut self.rows;
        let mut adder = Adder { level, additions, exchanged, rows };
        adder.add(&mut self.all, &self.copies, &Block::ALL[..1], |plan| plan.stable_width);
        adder.add(&mut self.arm, &self.exposed, &Block::ALL, |plan| plan.width);
    }

    /// Writes the sums of a ride's lanes as they are at a look.
    fn look(&self, places: &Places, rider: &mut Rider, seats: &mut [Vec<f64>]) {
        let seats = &mut seats[..rider.trajectories.len()];
        places.all.take(&self.all, seats);
        for (trajectory, seat) in rider.trajectories.iter_mut().zip(&*seats) {
            trajectory.all.extend_from_slice(seat);
        }
        places.arm.take(&self.arm, seats);
        for ((trajectory, seat), &units) in rider.trajectories.iter_mut().zip(&*seats).zip(&rider.served_units) {
            trajectory.arm.extend_from_slice(seat);
            trajectory.exposed_units.push(units);
        }
    }
}

/// Adds rows to sums.
struct Adder<'a> {
    level: Level,
    additions: &'a Additions<'a>,
    exchanged: bool,
    rows: &'a mut Vec<Row>,
}

impl Adder<'_> {
    /// Adds the first numbers of rows, as many as `width` says, and the intervals of these blocks.
    fn add(&mut self, sums: &mut Sums, weights: &RowWeights, blocks: &[Block], width: impl Fn(&RowPlan) -> usize) {
        if !weights.any.contains(&true) {
            return;
        }
        let (mut columns, mut intervals) = (&mut sums.columns[..], &mut sums.intervals[..]);
        for cut in &self.additions.cuts {
            let numbers = cut.numbers(self.exchanged);
            for slice in &cut.slices {
                let of_slice;
                (of_slice, columns) = columns.split_at_mut(width(&cut.plan));
                self.rows.clear();
                self.rows.extend(slice.rows.iter().filter(|row| weights.any[row.weight as usize]));
                kernel::add_rows(self.level, of_slice, numbers, self.rows, &weights.lanes);
                for &block in blocks {
                    let own: &mut [Interval];
                    (own, intervals) = intervals.split_at_mut(cut.plan.intervals_of(block));
                    let entries = match (self.exchanged, block) {
                        (false, _) | (_, Block::Effects) => block,
                        (true, Block::Stable) => Block::Candidate,
                        (true, Block::Candidate) => Block::Stable,
                    };
                    kernel::add_entries(self.level, own, &slice.entries[entries as usize], weights);
                }
            }
        }
    }
}
