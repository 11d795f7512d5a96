//! Takes lanes through the schedule and keeps their sums at every look.
//!
//! Sums restart at each stage, so a rollout is a chain of windows, one a stage, and what cells add in a window depends on where it
//! begins, not on whose stage it is. Lanes whose stages begin at the same slot ride through one window together: its cells are read
//! once, what they add is computed once, and every lane adds it, times its copies, to all traffic and to the candidate's arm.
//! Stable's arm is the difference.

use std::collections::BTreeMap;

use fearless_simd::Level;

use super::additions::{Additions, Block, SliceAdditions};
use super::exposure::{Ever, Met, Sessions};
use super::kernel::{self, Copies, Entry, Interval, LANES, Octet, Row, RowWeights, TILE, Tile};
use super::lanes::{Lane, QUAD, Quad, Weights};
use super::layout::{COUNTS, Layout, MOMENTS};
use super::trajectory::Trajectory;
use super::{Simulator, StagePlan};

/// Rows that wait at most before they are added: they and their weights stay in the nearest caches.
const WAITING_ROWS: usize = 256;

/// The onset of an effect that does not set in during a stage.
const NEVER: i64 = i64::MAX;

/// Replays `plan` for lanes from their start slots; `elapsed` slots of the rollouts lie before them. `held` says how many slots each stage of
/// each lane goes on past its duration; without it, none does.
pub(super) fn play(
    sim: &Simulator,
    plan: &[StagePlan],
    elapsed: usize,
    lanes: &[(usize, Lane)],
    held: &[Vec<usize>],
) -> Vec<Trajectory> {
    let looks: usize = plan.iter().map(StagePlan::looks).sum();
    let rider = |group: std::ops::Range<usize>| {
        let held = held.get(group.start).cloned().unwrap_or_else(|| vec![0; plan.len()]);
        Rider::new(sim, plan, &lanes[group], held, looks)
    };
    let mut riders: Vec<Rider> = groups(lanes, held).into_iter().map(rider).collect();
    let mut additions = Additions::new(sim, lanes.iter().any(|(_, lane)| lane.swapped.is_some()));
    for (begin, rides) in windows(plan, elapsed, &riders) {
        let mut window = Window::new(sim, plan, &rides);
        window.play(sim, begin, &mut additions, &mut riders);
    }
    additions.take_back();
    let trajectories = |rider: Rider| {
        sim.spare.words.put(rider.quad.into_words());
        rider.trajectories
    };
    riders.into_iter().flat_map(trajectories).collect()
}

/// Neighbours with the same start that are held alike, a quad at a time.
fn groups(lanes: &[(usize, Lane)], held: &[Vec<usize>]) -> Vec<std::ops::Range<usize>> {
    let mut groups: Vec<std::ops::Range<usize>> = Vec::new();
    for lane in 0..lanes.len() {
        let joins = |group: &&mut std::ops::Range<usize>| {
            let first = group.start;
            group.len() < QUAD && lanes[first].0 == lanes[lane].0 && held.get(first) == held.get(lane)
        };
        match groups.last_mut().filter(joins) {
            Some(group) => group.end += 1,
            None => groups.push(lane..lane + 1),
        }
    }
    groups
}

/// A quad of lanes with the same start on its way through the schedule.
struct Rider {
    start: usize,
    /// Per stage: slots that it goes on past its duration.
    held: Vec<usize>,
    /// Per stage: the slot at which it begins.
    begins: Vec<usize>,
    quad: Quad,
    served: Served,
    /// What is served where a stage goes on longer than `held` says.
    beyond: Option<Served>,
    /// One a lane.
    trajectories: Vec<Trajectory>,
}

/// Whom the candidate has served.
#[derive(Clone)]
struct Served {
    /// Copies of each unit.
    copies: Vec<[u8; QUAD]>,
    units: [f64; QUAD],
    /// Where those whom it serves now are not all of them.
    ever: Option<Ever>,
}

impl Rider {
    fn new(sim: &Simulator, plan: &[StagePlan], lanes: &[(usize, Lane)], held: Vec<usize>, looks: usize) -> Self {
        let start = lanes[0].0;
        let ends = plan.iter().zip(&held).scan(start, |slot, (stage, held)| {
            *slot += stage.own_slots() + held;
            Some(*slot)
        });
        let begins: Vec<usize> = std::iter::once(start).chain(ends).take(plan.len()).collect();
        let pinned: Vec<Lane> = match &sim.sessions {
            Some(sessions) => lanes.iter().map(|(_, lane)| sessions.pinned(lane, &begins)).collect(),
            None => Vec::new(),
        };
        let lane_refs: Vec<&Lane> =
            if pinned.is_empty() { lanes.iter().map(|(_, lane)| lane).collect() } else { pinned.iter().collect() };
        let ever = Ever::of(sim, &lane_refs);
        Self {
            start,
            held,
            begins,
            quad: Quad::new(&lane_refs, &sim.cells.rank_of, &sim.spare.words),
            served: Served {
                copies: vec![[0; QUAD]; if ever.is_some() { 0 } else { sim.units() }],
                units: [0.0; QUAD],
                ever,
            },
            beyond: None,
            trajectories: lanes.iter().map(|_| sim.spare.trajectory(&sim.layout, looks)).collect(),
        }
    }

    /// Counts copies that the candidate serves for the first time. Unless stages draw anew, exposure only ever adds units.
    ///
    /// The units are those that ask in a slot of the log.
    fn serve(&mut self, sim: &Simulator, stage: usize, slot: usize, units: &[u32]) {
        let to = self.beyond.as_mut().unwrap_or(&mut self.served);
        let quad = &self.quad;
        let both = |of: &dyn Fn(&Weights) -> [u8; QUAD]| {
            let own = of(&quad.weights);
            let swapped = quad.swapped.as_ref().map_or([0; QUAD], of);
            std::array::from_fn(|lane| own[lane] + swapped[lane])
        };
        let Some(ever) = &mut to.ever else {
            let mut newly = [0_u32; QUAD];
            for &unit in units {
                let exposed: [u8; QUAD] = both(&|weights| weights.exposed(stage, unit as usize));
                // Without a branch: there is no guessing whom the candidate serves.
                let served = std::mem::replace(&mut to.copies[unit as usize], exposed);
                for ((newly, served), exposed) in newly.iter_mut().zip(served).zip(exposed) {
                    *newly += u32::from(exposed.saturating_sub(served));
                }
            }
            to.units.iter_mut().zip(newly).for_each(|(units, newly)| *units += f64::from(newly));
            return;
        };
        for &unit in units {
            let unit = unit as usize;
            let (copies, exposed) =
                (both(&|weights| weights.copies(unit)), both(&|weights| weights.exposed(stage, unit)));
            let unit = sim.cells.by_rank[unit] as usize;
            let began = |sessions: &Sessions| sessions.stage(unit, &self.begins[..=stage]);
            let drew = sim.sessions.as_ref().map_or(Some(stage), began);
            let begins = sim.sessions.as_ref().is_some_and(|sessions| sessions.first[unit] == slot);
            ever.meet(sim, Met { unit, drew, begins, copies, exposed });
        }
        to.units = ever.met;
    }
}

/// One stage of one rider.
#[derive(Clone, Copy)]
struct Ride {
    rider: usize,
    stage: usize,
    /// Slots of the rollout before it.
    elapsed: usize,
    /// Slots after which the rollout goes on to the next stage.
    ends: usize,
}

/// By the slot at which they begin: which riders go through a window, in which stage.
fn windows(plan: &[StagePlan], elapsed: usize, riders: &[Rider]) -> BTreeMap<usize, Vec<Ride>> {
    let mut windows: BTreeMap<usize, Vec<Ride>> = BTreeMap::new();
    for (rider, facts) in riders.iter().enumerate() {
        let mut passed = 0;
        for (stage, stage_plan) in plan.iter().enumerate() {
            let ends = stage_plan.own_slots() + facts.held[stage];
            if stage_plan.looks() > 0 {
                let elapsed = elapsed.saturating_add(passed);
                windows.entry(facts.start + passed).or_default().push(Ride { rider, stage, elapsed, ends });
            }
            passed += ends;
        }
    }
    // Those that end together share an octet, which then ends early.
    for rides in windows.values_mut() {
        rides.sort_by_key(|ride| (plan[ride.stage].slots, ride.stage));
    }
    windows
}

/// What riders go through together.
struct Window<'a> {
    plan: &'a [StagePlan],
    /// Per stage: its first look.
    first_looks: Vec<usize>,
    /// By stage and slots elapsed before it, per stream: the slot of the window at which it sets in; negative where it is still growing from
    /// before.
    onsets: BTreeMap<(usize, usize), Vec<i64>>,
    /// Up to two rides each.
    groups: Vec<(Vec<Ride>, LaneSums)>,
    level: Level,
}

impl<'a> Window<'a> {
    fn new(sim: &Simulator, plan: &'a [StagePlan], rides: &[Ride]) -> Self {
        let looks = |stages: &[StagePlan]| stages.iter().map(StagePlan::looks).sum();
        let first_looks = (0..plan.len()).map(|stage| looks(&plan[..stage])).collect();
        let of_ride = |ride: &Ride| {
            let of_stream = |effect: &super::EffectCells| {
                // What has grown to its full size may have set in at any time.
                let onset = (effect.onset as i64).saturating_sub(ride.elapsed as i64).max(-(effect.ramp as i64));
                // Answers that are adjusted are never those of stable.
                if onset < plan[ride.stage].slots as i64 || effect.adjustment.is_some() { onset } else { NEVER }
            };
            ((ride.stage, ride.elapsed), sim.effects.iter().map(of_stream).collect())
        };
        let onsets = rides.iter().map(of_ride).collect();
        let groups = rides.chunks(LANES / QUAD).map(|rides| (rides.to_vec(), LaneSums::default())).collect();
        Self { plan, first_looks, onsets, groups, level: Level::new() }
    }

    /// Every stream with each slot at which it sets in for some ride.
    fn streams(&self, sim: &Simulator) -> Vec<Vec<i64>> {
        let of_stream = |stream: usize| {
            let mut onsets: Vec<i64> = self.onsets.values().map(|onsets| onsets[stream]).collect();
            onsets.retain(|&onset| onset != NEVER);
            onsets.sort_unstable();
            onsets.dedup();
            onsets
        };
        (0..sim.effects.len()).map(of_stream).collect()
    }

    fn play(&mut self, sim: &Simulator, begin: usize, additions: &mut Additions<'_>, riders: &mut [Rider]) {
        additions.begin(&self.streams(sim));
        let rides: Vec<Ride> = self.groups.iter().flat_map(|(rides, _)| rides).copied().collect();
        for (_, sums) in &mut self.groups {
            *sums = LaneSums::new(&additions.slices);
        }
        let places: BTreeMap<(usize, usize), Places> =
            self.onsets.iter().map(|(&key, onsets)| (key, Places::new(sim, additions, onsets))).collect();
        let slots = rides.iter().map(|ride| self.plan[ride.stage].slots).max().unwrap_or(0);
        for slot in 0..slots {
            additions.set_in(slot);
            let under_way = |ride: &Ride| slot < self.plan[ride.stage].slots;
            for ride in rides.iter().filter(|ride| under_way(ride) && slot == ride.ends) {
                riders[ride.rider].beyond = Some(riders[ride.rider].served.clone());
            }
            for cells in sim.bunches_of(begin + slot) {
                let known = additions.units.len();
                additions.add_cells(cells, slot);
                for (rides, sums) in &mut self.groups {
                    sums.meet(&additions.arrived, rides, riders);
                }
                for ride in rides.iter().filter(|ride| under_way(ride)) {
                    let rider = &mut riders[ride.rider];
                    // Who has the candidate in a stage has it from the first request there on.
                    let asking =
                        if rider.served.ever.is_some() { &additions.units[known..] } else { &additions.arrived[..] };
                    rider.serve(sim, ride.stage, begin + slot, asking);
                }
                if additions.units.len() >= WAITING_ROWS {
                    self.add(additions, slot);
                }
            }
            let looks_now = |ride: &Ride| under_way(ride) && (slot + 1) % self.plan[ride.stage].slots_per_look == 0;
            if rides.iter().any(looks_now) {
                self.add(additions, slot);
            }
            for (rides, sums) in &self.groups {
                for (half, ride) in rides.iter().enumerate().filter(|(_, ride)| looks_now(ride)) {
                    let look = self.first_looks[ride.stage] + slot / self.plan[ride.stage].slots_per_look;
                    sums.look(
                        &sim.layout,
                        &places[&(ride.stage, ride.elapsed)],
                        half * QUAD,
                        look,
                        &mut riders[ride.rider],
                    );
                }
            }
        }
        for ride in rides {
            riders[ride.rider].beyond = None;
        }
    }

    /// Adds the rows that wait to the sums of those that are under way in a slot.
    fn add(&mut self, additions: &mut Additions<'_>, slot: usize) {
        additions.exchange();
        let plan = self.plan;
        for (rides, sums) in &mut self.groups {
            if rides.iter().any(|ride| slot < plan[ride.stage].slots) {
                sums.add(self.level, additions);
            }
        }
        additions.clear();
    }
}

impl Simulator {
    pub(super) fn cells_of(&self, slot: usize) -> std::ops::Range<usize> {
        self.within(&self.cells.offsets, slot)
    }

    /// What belongs to a slot, where that of slot `s` of the log is `offsets[s]..offsets[s + 1]`; nothing after the log.
    pub(super) fn within(&self, offsets: &[u32], slot: usize) -> std::ops::Range<usize> {
        let slot = self.period.map_or(slot, |period| slot % period);
        if slot + 1 >= offsets.len() {
            return 0..0;
        }
        offsets[slot] as usize..offsets[slot + 1] as usize
    }

    /// Cells of a slot, some units at a time.
    fn bunches_of(&self, slot: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let (mut left, rank) = (self.cells_of(slot), &self.cells.rank);
        std::iter::from_fn(move || {
            let start = left.start;
            let some = (start + WAITING_ROWS).min(left.end);
            let same = |cell: &usize| rank[*cell] == rank[cell - 1];
            left.start = some + (some..left.end).take_while(|cell| start < some && same(cell)).count();
            (start < left.start).then_some(start..left.start)
        })
    }
}

/// Where the sums of a stage's trajectories come from.
struct Places {
    /// Per slice: of counts, and of answers.
    slices: Vec<([usize; COUNTS], Vec<Place>)>,
}

/// One answer: where its sums are among those of the lanes, and where they belong in the slice.
struct Place {
    from: [usize; MOMENTS],
    intervals: std::ops::Range<usize>,
    at: usize,
    /// Whether it is stable's: those are kept over all traffic too.
    stable: bool,
}

impl Places {
    fn new(sim: &Simulator, additions: &Additions<'_>, onsets: &[i64]) -> Self {
        let of_slice = |(slice, plan): (&SliceAdditions, &super::layout::SlicePlan)| {
            let bases = Block::ALL.map(|block| slice.first_interval(block));
            let place = |index: usize, at: usize, stable: bool| {
                let answer = &slice.answers[index];
                let first = bases[answer.block as usize] + answer.first_interval;
                Place { from: answer.at, intervals: first..first + answer.intervals, at, stable }
            };
            let metrics = plan.metrics.len();
            let answers = (0..2 * metrics).map(|index| {
                let at = plan.metrics[index % metrics].1 + if index < metrics { 0 } else { plan.answers_width };
                place(index, at, index < metrics)
            });
            let streams = plan.streams.iter().filter_map(|&(stream, at)| {
                let metric = sim.layout.stream_metrics[stream];
                let index = match onsets[stream] {
                    // What never sets in leaves stable's answers.
                    NEVER => plan.metrics.iter().position(|&(kept, _)| kept == metric),
                    onset => slice.answers.iter().position(|answer| answer.effect == Some((stream, onset))),
                };
                // Only stages through which nobody rides have no answer.
                index.map(|index| place(index, at, false))
            });
            (slice.plan.counts, answers.chain(streams).collect())
        };
        Self { slices: additions.slices.iter().zip(&sim.layout.plans).map(of_slice).collect() }
    }
}

/// Sums of eight lanes since their stages began.
#[derive(Default)]
struct LaneSums {
    /// Per slice.
    slices: Vec<SliceSums>,
    own: OctetWeights,
    swapped: OctetWeights,
    rows: Vec<Row>,
}

/// Of one slice: tiles and intervals as in its additions.
struct SliceSums {
    /// Counts and stable's answers over both arms together.
    all: Sums,
    /// Counts and everybody's answers over the candidate's arm.
    arm: Sums,
}

struct Sums {
    tiles: Vec<Tile>,
    intervals: Vec<Interval>,
}

impl Sums {
    /// Of each lane, by the number of a row.
    fn number(&self, at: usize) -> &Octet {
        &self.tiles.as_flattened()[at]
    }

    fn new(tiles: usize, intervals: usize) -> Self {
        Self { tiles: vec![[[0.0; LANES]; TILE]; tiles], intervals: vec![[[0.0; LANES]; 3]; intervals] }
    }
}

/// Weights of the units that the window has met, and of the rows that wait, lane by lane.
#[derive(Default)]
struct OctetWeights {
    /// Copies in the arms, and those on the candidate, of each unit in the order in which they were met.
    met: Vec<Copies>,
    copies: RowWeights,
    exposed: RowWeights,
}

impl OctetWeights {
    fn meet(&mut self, units: &[u32], halves: [Option<(&Weights, usize)>; LANES / QUAD]) {
        for &unit in units {
            let mut met = [[0; LANES]; 2];
            let [copies, exposed] = &mut met;
            let places = copies.chunks_exact_mut(QUAD).zip(exposed.chunks_exact_mut(QUAD)).zip(halves);
            for ((copies, exposed), half) in places {
                let Some((weights, stage)) = half else { continue };
                copies.copy_from_slice(&weights.counted(stage, unit as usize));
                exposed.copy_from_slice(&weights.exposed(stage, unit as usize));
            }
            self.met.push(met);
        }
    }

    /// Rows are those of these units, by the order in which they were met.
    fn fill(&mut self, level: Level, units: &[u32]) {
        kernel::weigh(level, &self.met, units, [&mut self.copies, &mut self.exposed]);
    }
}

impl LaneSums {
    fn new(slices: &[SliceAdditions]) -> Self {
        let sums = |slice: &SliceAdditions| SliceSums {
            all: Sums::new(slice.plan.stable_tiles, slice.first_interval(Block::Candidate)),
            arm: Sums::new(slice.plan.tiles, slice.all_intervals()),
        };
        Self { slices: slices.iter().map(sums).collect(), ..Self::default() }
    }

    /// Takes units that the window meets for the first time.
    fn meet(&mut self, units: &[u32], rides: &[Ride], riders: &[Rider]) {
        let half = |half: usize| rides.get(half).map(|ride| (&riders[ride.rider].quad, ride.stage));
        let halves: [Option<(&Quad, usize)>; LANES / QUAD] = std::array::from_fn(half);
        self.own.meet(units, halves.map(|half| half.map(|(quad, stage)| (&quad.weights, stage))));
        let swapped = halves.map(|half| half.and_then(|(quad, stage)| Some((quad.swapped.as_ref()?, stage))));
        if swapped.iter().any(Option::is_some) {
            self.swapped.meet(units, swapped);
        }
    }

    /// Adds the rows that wait.
    fn add(&mut self, level: Level, additions: &Additions<'_>) {
        self.own.fill(level, &additions.met);
        let any_swapped = !self.swapped.met.is_empty();
        if any_swapped {
            self.swapped.fill(level, &additions.met);
        }
        for (sums, slice) in self.slices.iter_mut().zip(&additions.slices) {
            let own = [Block::Stable, Block::Candidate, Block::Effects];
            let mut adder = Adder { level, slice, exchanged: false, rows: &mut self.rows };
            adder.add(&mut sums.all, &self.own.copies, &own[..1]);
            adder.add(&mut sums.arm, &self.own.exposed, &own);
            if any_swapped {
                // Stable's sums get the candidate's answers, and the other way round.
                let exchanged = [Block::Candidate, Block::Stable];
                let mut adder = Adder { exchanged: true, ..adder };
                adder.add(&mut sums.all, &self.swapped.copies, &exchanged[..1]);
                adder.add(&mut sums.arm, &self.swapped.exposed, &exchanged);
            }
        }
    }

    /// Writes the sums of a ride's lanes, from `first_lane` on, as they are at a look.
    fn look(&self, layout: &Layout, places: &Places, first_lane: usize, look: usize, rider: &mut Rider) {
        let mut lanes: Vec<_> = rider.trajectories.iter_mut().map(|of| of.at(layout, look)).collect();
        for (slice, plan) in layout.plans.iter().enumerate() {
            let (sums, (counts, answers)) = (&self.slices[slice], &places.slices[slice]);
            let stable = answers.iter().filter(|place| place.stable);
            Shown { sums: &sums.all, first_lane }.write(counts, stable, |at, numbers| {
                lanes.iter_mut().zip(numbers).for_each(|((all, _), &number)| all[plan.all_at + at] = number);
            });
            Shown { sums: &sums.arm, first_lane }.write(counts, answers, |at, numbers| {
                lanes.iter_mut().zip(numbers).for_each(|((_, arm), &number)| arm[plan.arm_at + at] = number);
            });
        }
        let served = rider.beyond.as_ref().unwrap_or(&rider.served);
        for (lane, trajectory) in rider.trajectories.iter_mut().enumerate() {
            trajectory.exposed_units[look] = served.units[lane];
            if let Some(ever) = &served.ever {
                trajectory.active_units[look] = ever.active[lane];
                trajectory.begun_requests[look] = ever.begun[lane];
            }
        }
    }
}

/// Sums of a quad's lanes.
#[derive(Clone, Copy)]
struct Shown<'a> {
    sums: &'a Sums,
    first_lane: usize,
}

impl<'a> Shown<'a> {
    fn lanes(self, octet: &'a Octet) -> &'a [f64] {
        &octet[self.first_lane..self.first_lane + QUAD]
    }

    /// By the number of a row.
    fn number(self, at: usize) -> &'a [f64] {
        self.lanes(self.sums.number(at))
    }

    /// Puts counts, and the sums of these answers, at their places in a slice.
    fn write<'p>(
        self,
        counts: &[usize; COUNTS],
        answers: impl IntoIterator<Item = &'p Place>,
        mut put: impl FnMut(usize, &[f64]),
    ) {
        for (place, &from) in counts.iter().enumerate() {
            put(place, self.number(from));
        }
        for place in answers {
            place.write(self, &mut put);
        }
    }
}

impl Place {
    /// Puts each number of all lanes at its place.
    fn write(&self, shown: Shown<'_>, mut put: impl FnMut(usize, &[f64])) {
        // X and XX, with intervals; then Y, YY and YX of each threshold, which are those of all intervals from there on.
        let moments = if self.intervals.is_empty() { MOMENTS } else { 2 };
        for (moment, &from) in self.from.iter().take(moments).enumerate() {
            put(self.at + moment, shown.number(from));
        }
        let mut above = [[0.0; QUAD]; 3];
        for (threshold, sums) in shown.sums.intervals[self.intervals.clone()].iter().enumerate().rev() {
            for (moment, (above, sums)) in above.iter_mut().zip(sums).enumerate() {
                above.iter_mut().zip(shown.lanes(sums)).for_each(|(above, more)| *above += more);
                put(self.at + 2 + 3 * threshold + moment, above);
            }
        }
    }
}

/// Adds the rows of one slice.
struct Adder<'a> {
    level: Level,
    slice: &'a SliceAdditions,
    exchanged: bool,
    rows: &'a mut Vec<Row>,
}

impl Adder<'_> {
    /// Adds counts, and the answers of these blocks to the blocks of sums in their order.
    fn add(&mut self, sums: &mut Sums, weights: &RowWeights, blocks: &[Block]) {
        self.rows.clear();
        self.rows.extend(self.slice.rows.iter().filter(|row| weights.any[row.weight as usize]));
        if self.rows.is_empty() {
            return;
        }
        let values = self.slice.values(self.exchanged);
        kernel::add_tiles(self.level, &mut sums.tiles, values, self.rows, &weights.lanes);
        for (&from, to) in blocks.iter().zip(Block::ALL) {
            let intervals = &mut sums.intervals[self.slice.first_interval(to)..];
            let entries: &[Entry] = &self.slice.entries[from as usize];
            kernel::add_entries(self.level, intervals, entries, &weights.lanes, &weights.any);
        }
    }
}
