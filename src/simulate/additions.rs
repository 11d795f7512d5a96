//! What cells add to sums, computed once for all replicates of which a stage begins at the same slot.
//!
//! A cell adds to second-order sums by its unit's running totals since the stage began, and those are the same in every replicate:
//! only the weights differ. How much of it is added to whom is [`super::kernel`]'s.

use std::ops::Range;

use super::Simulator;
use super::cells::FlatMetric;
use super::effects::EffectCells;
use super::kernel::{Entry, Row, TILE, Values};
use super::layout::{MOMENTS, Shape};
use super::row::{RowPlan, UNITS};
use crate::digest::bins::BinLists;
use crate::domain::version::Version;

/// No running totals yet.
const ABSENT: u32 = u32::MAX;

/// Bytes that memory moves at once.
const CACHE_LINE: usize = 64;

/// Whose answers a slice's sums and intervals are about, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    Stable,
    Candidate,
    Effects,
}

impl Block {
    pub(super) const ALL: [Self; 3] = [Self::Stable, Self::Candidate, Self::Effects];
}

/// One metric under one version's answers or an effect's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) metric: usize,
    pub(super) block: Block,
    /// The stream, and the slot of the window from which on it holds; negative where it set in before.
    pub(super) effect: Option<(usize, i64)>,
    /// Where its intervals begin within the block.
    pub(super) first_interval: usize,
    /// Number of its intervals.
    pub(super) intervals: usize,
    /// Where a row has its Y, X, YY, YX and XX; with intervals its X and XX, and nothing else.
    pub(super) at: [usize; MOMENTS],
    /// Where its Y and X can be read, where nothing need be worked out.
    pub(super) read: Option<Read>,
}

/// Where Y and X of an answer are among a cell's inputs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    /// Y from the slot on at which an effect sets in, and before.
    pub(super) y: usize,
    pub(super) y_before: usize,
    pub(super) onset: i64,
    pub(super) x: usize,
}

/// What is known of a unit of a rare metric, as bits of its second total: it was seen; it had an event of its own; an effect met it.
const SEEN: u8 = 1;
const OWN: u8 = 2;
const MET: u8 = 4;

/// Additions to every slice since they were last cleared.
pub(super) struct Additions<'s> {
    sim: &'s Simulator,
    /// Whether answers of some rows are exchanged.
    swaps: bool,
    /// Unit of each row of weights, by rank.
    pub(super) units: Vec<u32>,
    /// The same by the order in which units were met in the window.
    pub(super) met: Vec<u32>,
    /// Units of the cells added last that have not asked in the window before.
    pub(super) arrived: Vec<u32>,
    /// Per slice of the layout.
    pub(super) slices: Vec<SliceAdditions>,
    /// Per unit and slice: where its totals are.
    index: Vec<u32>,
    /// Requests of a row in each interval; zeros between rows.
    fresh: Vec<u32>,
    /// Inputs of several cells.
    summed: Vec<f64>,
}

/// What is kept of one window and not needed in the next.
pub(super) struct Running {
    slices: Vec<SliceAdditions>,
    index: Vec<u32>,
}

/// Additions to one slice.
#[derive(Default)]
pub(super) struct SliceAdditions {
    /// Stable's, the candidate's, effects'.
    pub(super) answers: Vec<Answer>,
    pub(super) plan: RowPlan,
    pub(super) rows: Vec<Row>,
    /// Of rows, and of more rows than there are now.
    tiles: Vec<[f64; TILE]>,
    /// The same with answers exchanged.
    exchanged: Vec<[f64; TILE]>,
    /// Per block.
    pub(super) entries: [Vec<Entry>; 3],
    totals: Totals,
    /// Per answer, of excesses of a rare metric: units that should have an event and do not yet.
    due: Vec<f64>,
    /// Of a row's denominators: what its unit had before, and what it adds.
    x: Vec<[f64; 2]>,
}

impl<'s> Additions<'s> {
    /// With `swaps` for lanes in which some answers are exchanged.
    pub(super) fn new(sim: &'s Simulator, swaps: bool) -> Self {
        let Running { slices, index } = sim.spare.running.take().unwrap_or_else(|| {
            let slices: Vec<_> = sim.layout.plans.iter().map(|_| SliceAdditions::default()).collect();
            let index = vec![ABSENT; sim.units() * slices.len()];
            Running { slices, index }
        });
        Self {
            sim,
            swaps,
            units: Vec::new(),
            met: Vec::new(),
            arrived: Vec::new(),
            slices,
            index,
            fresh: Vec::new(),
            summed: Vec::new(),
        }
    }

    /// Leaves its memory to the next.
    pub(super) fn take_back(mut self) {
        self.forget();
        self.sim.spare.running.put([Running { slices: self.slices, index: self.index }]);
    }

    /// Forgets all running totals.
    fn forget(&mut self) {
        let count = self.slices.len();
        for (at, slice) in self.slices.iter_mut().enumerate() {
            for unit in slice.totals.restart() {
                self.index[unit as usize * count + at] = ABSENT;
            }
        }
    }

    /// Begins a window; `onsets` are the different slots at which each stream sets in.
    pub(super) fn begin(&mut self, onsets: &[Vec<i64>]) {
        self.clear();
        self.forget();
        for (slice, plan) in self.slices.iter_mut().zip(&self.sim.layout.plans) {
            slice.answers.clear();
            let metrics = plan.metrics.iter().map(|&(metric, _)| metric);
            for block in [Block::Stable, Block::Candidate] {
                slice.answers.extend(metrics.clone().map(|metric| answer(self.sim, metric, block, None)));
            }
            for &(stream, _) in &plan.streams {
                let metric = self.sim.layout.stream_metrics[stream];
                let with = |&onset: &i64| answer(self.sim, metric, Block::Effects, Some((stream, onset)));
                slice.answers.extend(onsets[stream].iter().map(with));
            }
            slice.due.clear();
            slice.due.resize(slice.answers.len(), 0.0);
            let mut first = [0; 3];
            for answer in &mut slice.answers {
                answer.first_interval = first[answer.block as usize];
                first[answer.block as usize] += answer.intervals;
            }
            slice.plan = RowPlan::new(self.sim, &mut slice.answers, self.swaps);
            slice.totals.width = slice.plan.totals;
            slice.tiles.clear();
            let most = slice.answers.iter().map(|answer| answer.intervals).max().unwrap_or(0);
            self.fresh.resize(self.fresh.len().max(most), 0);
        }
    }

    /// Forgets what was added, not the running totals.
    pub(super) fn clear(&mut self) {
        self.units.clear();
        self.met.clear();
        for slice in &mut self.slices {
            slice.rows.clear();
            slice.entries.iter_mut().for_each(Vec::clear);
        }
    }

    /// Goes on to a slot of the window.
    pub(super) fn set_in(&mut self, slot: usize) {
        self.slices.iter_mut().for_each(|slice| slice.plan.set_in(slot));
    }

    /// Adds cells of a slot of the window, all those of each of their units. A unit's cells in a slot are one row of all requests.
    pub(super) fn add_cells(&mut self, cells: Range<usize>, slot: usize) {
        let sim = self.sim;
        let units = &sim.cells.rank[..cells.end];
        let count = self.slices.len();
        self.approach(cells.clone());
        self.arrived.clear();
        let mut first = cells.start;
        while first < cells.end {
            let unit = units[first];
            let end = first + units[first..].iter().take_while(|&&other| other == unit).count();
            let weight = self.units.len() as u32;
            self.units.push(unit);
            let places = &mut self.index[unit as usize * count..(unit as usize + 1) * count];
            if places[0] == ABSENT {
                self.arrived.push(unit);
            }
            let mut add = |slice: usize, cells: Range<usize>, inputs: &[f64]| {
                let row = NewRow { sim, cells, inputs, unit, weight, slot };
                self.slices[slice].add(&row, &mut places[slice], &mut self.fresh);
            };
            add(0, first..end, sim.cells.summed(first..end, &mut self.summed));
            for (slices, values) in sim.layout.slice_of.iter().zip(&sim.cells.segment) {
                if let Some(slices) = slices {
                    for cell in first..end {
                        add(slices[values[cell] as usize], cell..cell + 1, sim.cells.inputs(cell));
                    }
                }
            }
            self.met.push(places[0]);
            first = end;
        }
    }
}

impl Additions<'_> {
    /// Works out what the rows add when answers are exchanged, where some are.
    pub(super) fn exchange(&mut self) {
        if !self.swaps {
            return;
        }
        for SliceAdditions { plan, rows, tiles, exchanged, .. } in &mut self.slices {
            plan.exchange(&tiles[..plan.tiles * rows.len()], exchanged);
        }
    }

    /// Reads totals of many units at once, then their ladders, so that the caches wait for them together and not for one after the other.
    fn approach(&self, cells: Range<usize>) {
        let (sim, count) = (self.sim, self.slices.len());
        let units = &sim.cells.rank[cells.clone()];
        let totals = |wanted: fn(&SliceAdditions) -> bool| {
            let cells = cells.clone();
            let of_segments = sim.layout.slice_of.iter().zip(&sim.cells.segment).filter_map(move |(slices, values)| {
                let slices =
                    slices.as_ref().filter(|slices| slices.iter().any(|&slice| wanted(&self.slices[slice])))?;
                Some(units.iter().zip(&values[cells.clone()]).map(|(&unit, &value)| (unit, slices[value as usize])))
            });
            let of_all = if wanted(&self.slices[0]) { units } else { &[] };
            let all = of_all.iter().map(|&unit| (unit, 0)).chain(of_segments.flatten());
            all.map(|(unit, slice)| (&self.slices[slice], self.index[unit as usize * count + slice]))
        };
        let sum: f64 = totals(|_| true).map(|(slice, index)| slice.totals.read(index)).sum();
        let with_ladders = totals(|slice| !slice.plan.ladders.is_empty());
        let words = with_ladders.map(|(slice, index)| slice.read_ladders(index)).fold(0, u32::wrapping_add);
        std::hint::black_box((sum, words));
    }
}

fn answer(sim: &Simulator, metric: usize, block: Block, effect: Option<(usize, i64)>) -> Answer {
    let intervals = match &sim.layout.shapes[metric] {
        Shape::Moments => 0,
        Shape::Grid(grid) => grid.len(),
    };
    let read = match (&sim.cells.metrics[metric], effect) {
        (FlatMetric::Sums(place), None) => {
            let y = place + if block == Block::Candidate { 2 } else { 0 };
            Some(Read { y, y_before: y, onset: 0, x: y + 1 })
        }
        (FlatMetric::Sums(place), Some((stream, onset))) => {
            sim.effects[stream].shown.map(|y| Read { y, y_before: *place, onset, x: place + 1 })
        }
        _ => None,
    };
    Answer { metric, block, effect, first_interval: 0, intervals, at: [0; MOMENTS], read }
}

/// Cells of one unit in one slot.
struct NewRow<'a> {
    sim: &'a Simulator,
    cells: Range<usize>,
    /// Of all of them.
    inputs: &'a [f64],
    unit: u32,
    weight: u32,
    slot: usize,
}

impl SliceAdditions {
    /// What rows add, or add when answers are exchanged.
    pub(super) fn values(&self, exchanged: bool) -> Values<'_> {
        Values { tiles: if exchanged { &self.exchanged } else { &self.tiles }, per_row: self.plan.tiles }
    }

    /// Intervals of the blocks before a block.
    pub(super) fn first_interval(&self, block: Block) -> usize {
        let before = self.answers.iter().filter(|answer| (answer.block as usize) < block as usize);
        before.map(|answer| answer.intervals).sum()
    }

    /// Intervals of all blocks.
    pub(super) fn all_intervals(&self) -> usize {
        self.answers.iter().map(|answer| answer.intervals).sum()
    }

    /// A word of each cache line of a unit's ladders.
    fn read_ladders(&self, index: u32) -> u32 {
        if index == ABSENT {
            return 0;
        }
        let of_unit = &self.totals.sums[index as usize * self.totals.width..];
        let places = self.plan.ladders.iter().map(|&(at, intervals)| (of_unit[at], intervals));
        places.map(|(place, intervals)| self.totals.ladders.read(place, intervals)).fold(0, u32::wrapping_add)
    }

    fn add(&mut self, row: &NewRow<'_>, index: &mut u32, fresh: &mut [u32]) {
        let Self { answers, plan, rows, tiles, exchanged: _, entries, totals, due, x } = self;
        let used = plan.tiles * rows.len()..plan.tiles * (rows.len() + 1);
        rows.push(Row { values: rows.len() as u32, weight: row.weight });
        let (totals, ladders) = totals.unit(row.unit, index);
        if tiles.len() < used.end {
            tiles.resize(used.end, [0.0; TILE]);
        }
        // Each row of a window writes the same places, and leaves the same zeros between them.
        let values = tiles[used].as_flattened_mut();
        let (seen, totals) = totals.split_first_mut().expect("totals are not empty");
        let known = *seen as u8;
        let newly = |covered: f64, bit: u8| u8::from(covered > 0.0 && known & bit == 0);
        let newly_seen = [newly(row.inputs[1], 1), newly(row.inputs[2], 2)];
        *seen += f64::from(newly_seen[0] | newly_seen[1] << 1);
        values[..UNITS].copy_from_slice(&newly_seen.map(f64::from));
        let mut totals = totals.iter_mut();
        x.clear();
        for part in &plan.parts {
            for (value, &input) in values[part.alone_at..].iter_mut().zip(&part.alone) {
                *value = row.inputs[input];
            }
            let pairs = values[part.x_at..].chunks_exact_mut(2);
            for ((values, &input), total) in pairs.zip(&part.x).zip(&mut totals) {
                let (before, more) = (*total, row.inputs[input]);
                *total += more;
                values[0] = more;
                values[1] = more * (2.0 * before + more);
                x.push([before, more]);
            }
        }
        for part in &plan.parts {
            let triples = values[part.y_at..].chunks_exact_mut(3);
            for ((values, y), total) in triples.zip(&part.y).zip(&mut totals) {
                let ([x, dx], before, more) = (x[y.x], *total, row.inputs[y.now]);
                *total += more;
                values[0] = more;
                values[1] = more * (2.0 * before + more);
                values[2] = before * dx + x * more + more * dx;
            }
        }
        let mut others = totals.into_slice().chunks_exact_mut(2);
        for &index in plan.parts.iter().flat_map(|part| &part.others) {
            let (answer, own) = (&answers[index], others.next().expect("each has two"));
            let moments = match &row.sim.cells.metrics[answer.metric] {
                FlatMetric::Sums(place) => row.moments(answer, *place, own),
                FlatMetric::Firsts(place) => row.firsts(answer, *place, own, &mut due[index]),
                FlatMetric::Bins(lists) => {
                    let lists = lists.get(answer.version());
                    row.intervals(answer, lists, own, ladders, fresh, &mut entries[answer.block as usize])
                }
            };
            let values = &mut values[answer.at[0]..answer.at[0] + answer.worked_out()];
            values.iter_mut().zip(moments).for_each(|(value, moment)| *value = moment);
        }
    }
}

impl Answer {
    /// Numbers that a row has of it where they are worked out.
    pub(super) fn worked_out(&self) -> usize {
        if self.intervals > 0 { 2 } else { MOMENTS }
    }

    fn version(&self) -> Version {
        if self.block == Block::Candidate { Version::Candidate } else { Version::Stable }
    }
}

impl NewRow<'_> {
    /// The effect on a cell, and for how many slots it has held, if it has set in.
    fn effect(&self, answer: &Answer, cell: usize) -> Option<(&EffectCells, usize)> {
        let (stream, onset) = answer.effect?;
        let effect: &EffectCells = &self.sim.effects[stream];
        let since = usize::try_from(self.slot as i64 - onset).ok()?;
        effect.applies[cell].then_some((effect, since))
    }

    /// Y, X, YY, YX and XX, cell by cell; `own` are the unit's Y and X.
    fn moments(&self, answer: &Answer, place: usize, own: &mut [f64]) -> [f64; MOMENTS] {
        let place = if answer.block == Block::Candidate { place + 2 } else { place };
        let (mut dy, mut dx) = (0.0, 0.0);
        let adjustment = answer.effect.and_then(|(stream, _)| self.sim.effects[stream].adjustment);
        for cell in self.cells.clone() {
            let inputs = self.sim.cells.inputs(cell);
            let (y, x) = (inputs[place], inputs[place + 1]);
            dx += x;
            let shown = match self.effect(answer, cell) {
                Some((effect, _)) if effect.is_recorded() => {
                    dx += inputs[place + 3] - x;
                    inputs[place + 2]
                }
                Some((effect, since)) => effect.sum(cell, since, y, x),
                None => y,
            };
            dy += adjustment.map_or(shown, |adjustment| adjustment.left(shown, (y, x)));
        }
        moments(dy, dx, own)
    }

    /// Y, X, YY, YX and XX of a unit that counts once, with its first request and with its first event.
    ///
    /// Under an excess, own events and newly met units make events due. A unit takes the first that is due while it has a request, which
    /// is its own where it makes one due; so of all units exactly as many have an event as the excess says, at any time, and nothing of
    /// that depends on arms. `own` are whether it has an event, and what is known of it.
    fn firsts(&self, answer: &Answer, place: usize, own: &mut [f64], due: &mut f64) -> [f64; MOMENTS] {
        let place = if answer.block == Block::Candidate { place + 2 } else { place };
        let (mut dy, mut dx) = (0.0, 0.0);
        for cell in self.cells.clone() {
            let inputs = self.sim.cells.inputs(cell);
            let (events, requests) = (inputs[place], inputs[place + 1]);
            if requests == 0.0 {
                continue;
            }
            let effect = self.effect(answer, cell);
            let shown = effect.map_or(events, |(effect, since)| effect.sum(cell, since, events, requests));
            let event = shown > 0.0;
            let known = own[1] as u8;
            let mut first = own[0] == 0.0 && event;
            let mut knows = known | SEEN | if event { OWN } else { 0 };
            if let Some((scale, shift)) = effect.and_then(|(effect, since)| effect.excess_of(since)) {
                *due += if known & MET == 0 { shift } else { 0.0 };
                *due += if event && known & OWN == 0 { scale } else { 0.0 };
                knows |= MET;
                // Sums of shares such as 0.1 fall short of whole numbers by their rounding.
                first = own[0] == 0.0 && *due > 1.0 - 1e-9;
                *due -= f64::from(u8::from(first));
            }
            let (event, seen) = (f64::from(u8::from(first)), f64::from(u8::from(known & SEEN == 0)));
            own[0] += event;
            own[1] = f64::from(knows);
            dy += event;
            dx += seen;
        }
        // Zeros and ones are their own squares, and a unit with an event was seen.
        [dy, dx, dy, dy, dx]
    }

    /// X and XX; entries for the intervals between thresholds. `own` are the unit's X and where its ladder is.
    ///
    /// With H requests in an interval, and Y above its lower and above its upper threshold, an interval's sums are those of H, of
    /// H (Y + Y) = Y² - Y² and of H X. Few intervals hold requests of a unit; summed from above they give Y, YY and YX of every
    /// threshold, exactly, since all are whole numbers.
    fn intervals(
        &self,
        answer: &Answer,
        lists: &BinLists,
        own: &mut [f64],
        ladders: &mut Ladders,
        fresh: &mut [u32],
        entries: &mut Vec<Entry>,
    ) -> [f64; MOMENTS] {
        let Shape::Grid(grid) = &self.sim.layout.shapes[answer.metric] else {
            unreachable!("bins belong to a quantile metric")
        };
        let mut dx = 0.0;
        for cell in self.cells.clone() {
            let bins = lists.of(cell);
            dx += bins.len() as f64;
            let moved = self.effect(answer, cell).and_then(|(effect, since)| effect.thresholds(since));
            let thresholds = moved.unwrap_or(&grid.below);
            // Bins are sorted within a cell.
            for &bin in bins.iter().rev() {
                let Some(interval) = thresholds.of(bin).checked_sub(1) else { break };
                ladders.reach(&mut own[1], interval, answer.intervals);
                fresh[interval] += 1;
            }
        }
        let (x_before, x) = (own[0], own[0] + dx);
        own[0] = x;
        if dx > 0.0 {
            let (mut above_before, mut above) = (0.0, 0.0);
            ladders.descend(own[1], answer.intervals, |interval, count| {
                let more = std::mem::take(&mut fresh[interval]);
                let before = f64::from(*count);
                *count += more;
                let (more, now) = (f64::from(more), f64::from(*count));
                let (pairs_before, pairs) = (before * (2.0 * above_before + before), now * (2.0 * above + now));
                entries.push(Entry {
                    weight: self.weight,
                    interval: (answer.first_interval + interval) as u32,
                    values: [more, pairs - pairs_before, now * x - before * x_before],
                });
                above_before += before;
                above += now;
            });
        }
        [dx, dx * (x_before + x), 0.0, 0.0, 0.0]
    }
}

/// What Y and X add to the moments of a unit that had so much of them before.
#[inline]
fn moments(dy: f64, dx: f64, own: &mut [f64]) -> [f64; MOMENTS] {
    let (y, x) = (own[0], own[1]);
    own[0] += dy;
    own[1] += dx;
    [dy, dx, dy * (2.0 * y + dy), y * dx + x * dy + dy * dx, dx * (2.0 * x + dx)]
}

/// Each unit's totals since the window began.
///
/// Units come in no order, so this is memory's work: what nearly every cell needs is packed together, and ladders, which few units
/// have, lie apart.
#[derive(Default)]
struct Totals {
    /// Units seen so far, in the order of their totals.
    seen: Vec<u32>,
    /// Of which versions a covered request was seen, as bits, then what is read, then of other answers Y and X, or X and where the
    /// ladder is.
    sums: Vec<f64>,
    width: usize,
    ladders: Ladders,
}

impl Totals {
    /// Forgets everything; gives the units that it was about.
    fn restart(&mut self) -> std::vec::Drain<'_, u32> {
        self.sums.clear();
        self.ladders.words.clear();
        self.seen.drain(..)
    }

    /// The sum of a number of each cache line of a unit's totals.
    fn read(&self, index: u32) -> f64 {
        if index == ABSENT {
            return 0.0;
        }
        let of_unit = &self.sums[index as usize * self.width..(index as usize + 1) * self.width];
        of_unit.iter().step_by(CACHE_LINE / size_of::<f64>()).sum()
    }

    fn unit(&mut self, unit: u32, index: &mut u32) -> (&mut [f64], &mut Ladders) {
        if *index == ABSENT {
            *index = self.seen.len() as u32;
            self.seen.push(unit);
            self.sums.resize(self.sums.len() + self.width, 0.0);
        }
        let first = *index as usize * self.width;
        (&mut self.sums[first..first + self.width], &mut self.ladders)
    }
}

/// Units' requests in the intervals of a grid: which intervals hold any, as bits, then how many in each.
#[derive(Default)]
struct Ladders {
    words: Vec<u32>,
}

impl Ladders {
    /// Marks an interval as holding requests. `place` is one more than where the ladder begins, zero before it does.
    fn reach(&mut self, place: &mut f64, interval: usize, intervals: usize) {
        let bits = u32::BITS as usize;
        if *place == 0.0 {
            *place = (self.words.len() + 1) as f64;
            self.words.resize(self.words.len() + intervals.div_ceil(bits) + intervals, 0);
        }
        self.words[*place as usize - 1 + interval / bits] |= 1 << (interval % bits);
    }

    /// A word of each cache line of a ladder.
    fn read(&self, place: f64, intervals: usize) -> u32 {
        if place == 0.0 {
            return 0;
        }
        let words = self.words[place as usize - 1..].iter().take(intervals + intervals.div_ceil(u32::BITS as usize));
        words.step_by(CACHE_LINE / size_of::<u32>()).fold(0, |sum, &word| sum.wrapping_add(word))
    }

    /// Visits the intervals that hold requests, highest first.
    fn descend(&mut self, place: f64, intervals: usize, mut visit: impl FnMut(usize, &mut u32)) {
        if place == 0.0 {
            return;
        }
        let bits = u32::BITS as usize;
        let (marks, counts) = self.words[place as usize - 1..].split_at_mut(intervals.div_ceil(bits));
        for (word, &marked) in marks.iter().enumerate().rev() {
            let mut left = marked;
            while left != 0 {
                let bit = left.ilog2();
                left ^= 1 << bit;
                let interval = word * bits + bit as usize;
                visit(interval, &mut counts[interval]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::testing::loaded;
    use crate::scenario::Scenario;
    use crate::simulate::layout::Answers;
    use crate::simulate::trajectory::{Arm, Reader, Span};

    /// Effects that set in at once and in a segment, that set in later, and that grow; several cells of a unit in a slot.
    const TEXT: &str = r#"
[log]
timestamp = "ts"
segments = ["region"]
slot = "1h"
[assignment]
unit = "user_id"
[metrics.quality]
kind = "mean"
column = "{version}_quality"
better = "higher"
[metrics.ok]
kind = "proportion"
column = "{version}_ok"
better = "higher"
[[stages]]
name = "40%"
exposure = "40%"
duration = "2h"
look_every = "1h"
[[gates]]
name = "quality"
metric = "quality"
allow = "5%"
by = ["region"]
[[effects]]
name = "worse in eu"
metric = "quality"
scale = 0.8
only = { region = ["eu"] }
[[effects]]
name = "later"
metric = "quality"
shift = 0.3
onset = "1h"
[[effects]]
name = "flips"
metric = "ok"
flip = "20%"
[[effects]]
name = "growing"
metric = "ok"
flip = "20%"
ramp = "2h"
"#;

    fn simulator() -> (Scenario, Simulator) {
        let (scenario, digest) = loaded(TEXT, 2000);
        let sim = Simulator::new(&digest, &scenario);
        (scenario, sim)
    }

    #[test]
    fn what_effects_show_is_read_as_it_would_be_worked_out() {
        let (scenario, sim) = simulator();
        let shown: Vec<bool> = sim.effects.iter().map(|effect| effect.shown.is_some()).collect();
        assert_eq!(shown, [true, true, true, false]);
        let (_, mut plain) = simulator();
        plain.effects.iter_mut().for_each(|effect| effect.shown = None);
        let lanes: Vec<_> = (0..9).map(|replicate| (0, sim.replicate(&scenario, replicate))).collect();
        assert_eq!(sim.trajectories(&lanes), plain.trajectories(&lanes));
    }

    #[test]
    fn answers_that_share_a_denominator_have_the_sums_that_they_would_have_alone() {
        let (scenario, sim) = simulator();
        let totals = |swaps: bool| {
            let mut additions = Additions::new(&sim, swaps);
            additions.begin(&vec![vec![0]; sim.effects.len()]);
            additions.slices[0].plan.totals
        };
        assert!(totals(false) < totals(true));
        let mut lanes: Vec<_> = (0..9).map(|replicate| (0, sim.replicate(&scenario, replicate))).collect();
        let shared = sim.trajectories(&lanes);
        // Beside a lane in which some answers are exchanged none share.
        lanes.push((0, sim.swapped_replicate(&scenario, 0)));
        assert_eq!(shared, sim.trajectories(&lanes)[..9]);
    }

    #[test]
    fn sums_at_a_place_are_those_of_their_meaning() {
        let (scenario, sim) = simulator();
        let trajectory = sim.trajectories(&[(0, sim.replicate(&scenario, 0))]).remove(0);
        let reader = Reader { layout: &sim.layout, trajectory: &trajectory };
        for metric in 0..2 {
            let kept = sim.layout.kept(metric);
            // Of the segments only quality is asked.
            assert_eq!(kept.len(), if metric == 0 { 4 * sim.layout.slices.len() } else { 4 });
            for (look, (slice, answers)) in (0..2).flat_map(|look| kept.iter().map(move |&kept| (look, kept))) {
                let span = Span { look, since: None };
                for (arm, answers) in [(Arm::Candidate, answers), (Arm::Stable, Answers::Stable)] {
                    let (sums, covered) = reader.sums_at(look, reader.place(arm, answers, slice, metric));
                    assert_eq!(sums, reader.sums(span, arm, answers, slice, metric, None));
                    let counts = reader.counts_of(span, arm, answers, slice);
                    assert_eq!(
                        [sums.units, covered].map(f64::to_bits),
                        [counts.units, counts.covered].map(f64::to_bits)
                    );
                }
            }
        }
    }
}
