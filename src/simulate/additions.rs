//! What cells add to sums, computed once for all replicates of which a stage begins at the same slot.
//!
//! A row adds to second-order sums by its unit's running totals since the stage began, and those are the same in every replicate:
//! only the weights differ. How much of it is added to whom is [`super::kernel`]'s.

use std::ops::Range;

use super::Simulator;
use super::cells::FlatMetric;
use super::columns::Cut;
use super::effects::EffectCells;
use super::kernel::{BUNDLE, Entries, Entry, Numbers, Row};
use super::layout::Shape;
use super::row_plan::{Answer, Block, COVERED, RowPlan, Series};
use super::totals::{Ladders, Totals, approach};
use crate::digest::bins::BinLists;

/// What is known of a unit of a rare metric, as bits: it was seen; it had an event of its own; an effect met it; its event was counted.
const SEEN: u8 = 1;
const OWN: u8 = 2;
const MET: u8 = 4;
const COUNTED: u8 = 8;

/// Additions to every slice since they were last cleared.
pub(super) struct Additions<'s> {
    sim: &'s Simulator,
    /// Unit of each row of weights, by rank.
    pub(super) units: Vec<u32>,
    /// Units that are new to the window, by rank.
    pub(super) arrived: Vec<u32>,
    pub(super) cuts: Vec<CutAdditions>,
}

/// Additions to the slices of a cut.
#[derive(Default)]
pub(super) struct CutAdditions {
    pub(super) plan: RowPlan,
    /// Column of each series in the present slot, and effects that are still growing there, with the slots since they set in.
    sources: Vec<u32>,
    growing: Vec<(usize, usize)>,
    /// Numbers of the rows that wait, and how many these are; what lies beyond them is left from earlier.
    numbers: Vec<f64>,
    exchanged_numbers: Vec<f64>,
    rows: usize,
    pub(super) slices: Vec<SliceAdditions>,
    totals: Totals,
    /// Numbers of the present row, one a series.
    fresh: Vec<f64>,
    /// Its requests in each interval; zeros between rows.
    requests: Vec<u32>,
}

/// Additions to one slice.
#[derive(Default)]
pub(super) struct SliceAdditions {
    pub(super) rows: Vec<Row>,
    /// Per block.
    pub(super) entries: [Entries; 3],
    /// Per answer, of excesses of a rare metric: units that should have an event and do not yet.
    due: Vec<f64>,
}

impl<'s> Additions<'s> {
    pub(super) fn new(sim: &'s Simulator) -> Self {
        let of_cut = |cut: &Cut| CutAdditions {
            slices: cut.slices.iter().map(|_| SliceAdditions::default()).collect(),
            totals: Totals::new(cut.groups),
            ..CutAdditions::default()
        };
        Self { sim, units: Vec::new(), arrived: Vec::new(), cuts: sim.cuts.iter().map(of_cut).collect() }
    }

    /// Begins a window; `onsets` are the different slots at which each stream sets in. `exchange` where answers are also asked with the
    /// versions exchanged.
    pub(super) fn begin(&mut self, onsets: &[Vec<i64>], exchange: bool) {
        self.clear();
        for (additions, cut) in self.cuts.iter_mut().zip(&self.sim.cuts) {
            additions.begin(RowPlan::new(self.sim, cut, onsets, exchange));
        }
    }

    /// Forgets what was added, not the running totals.
    pub(super) fn clear(&mut self) {
        self.units.clear();
        self.arrived.clear();
        for cut in &mut self.cuts {
            cut.rows = 0;
            cut.exchanged_numbers.clear();
            for slice in &mut cut.slices {
                slice.rows.clear();
                slice.entries.iter_mut().for_each(Entries::clear);
            }
        }
    }

    /// Goes to a slot of the window.
    pub(super) fn enter(&mut self, slot: usize) {
        self.cuts.iter_mut().for_each(|cut| cut.enter(self.sim, slot));
    }

    /// Adds rows of the present slot.
    pub(super) fn add(&mut self, rows: Range<usize>, slot: usize) {
        if rows.is_empty() {
            return;
        }
        let (sim, cells) = (self.sim, &self.sim.cells);
        let all_cells = cells.cells_of_row(rows.start).start..cells.cells_of_row(rows.end - 1).end;
        for (additions, cut) in self.cuts.iter().zip(&sim.cuts) {
            let range = if cut.by.is_none() { rows.clone() } else { all_cells.clone() };
            approach(cut.rows(range.clone()));
            additions.totals.approach(&cut.group[range]);
        }
        for row in rows {
            let cells_of_row = cells.cells_of_row(row);
            let weight = self.units.len() as u32;
            let unit = cells.rank[cells_of_row.start];
            self.units.push(unit);
            for (additions, cut) in self.cuts.iter_mut().zip(&sim.cuts) {
                let mut add = |row: usize, cells: Range<usize>, value: usize| {
                    let (group, inputs) = (cut.group[row], cut.row(row));
                    additions.add(&NewRow { sim, cells, group, inputs, weight, slot, value })
                };
                match cut.by {
                    None if add(row, cells_of_row.clone(), 0) => self.arrived.push(unit),
                    None => {}
                    Some(by) => {
                        for cell in cells_of_row.clone() {
                            add(cell, cell..cell + 1, usize::from(cells.segment[by][cell]));
                        }
                    }
                }
            }
        }
    }
}

impl CutAdditions {
    fn begin(&mut self, plan: RowPlan) {
        self.totals.restart(plan.series.len(), plan.stateful.len());
        self.fresh.clear();
        self.fresh.resize(plan.series.len(), 0.0);
        for slice in &mut self.slices {
            slice.due.clear();
            slice.due.resize(plan.stateful.len(), 0.0);
        }
        let most = plan.answers.iter().map(|answer| answer.intervals).max().unwrap_or(0);
        self.requests.resize(self.requests.len().max(most), 0);
        self.plan = plan;
    }

    fn enter(&mut self, sim: &Simulator, slot: usize) {
        let slot = slot as i64;
        let source = |series: &Series| match series.then {
            Some((column, onset)) if onset <= slot => column,
            _ => series.column,
        };
        self.sources.clear();
        self.sources.extend(self.plan.series.iter().map(source));
        let growing = |(index, answer): (usize, &Answer)| {
            let (stream, onset) = answer.effect.filter(|_| answer.y.is_some())?;
            let since = usize::try_from(slot - onset).ok()?;
            (since < sim.effects[stream].ramp).then_some((index, since))
        };
        self.growing.clear();
        self.growing.extend(self.plan.answers.iter().enumerate().filter_map(growing));
    }

    /// Numbers of rows, as recorded or with the versions exchanged.
    pub(super) fn numbers(&self, exchanged: bool) -> Numbers<'_> {
        let numbers = if exchanged { &self.exchanged_numbers } else { &self.numbers };
        Numbers { bundles: numbers.as_chunks().0, per_row: self.plan.width / BUNDLE }
    }

    /// Adds a row, and tells whether its unit is new to the window.
    fn add(&mut self, row: &NewRow<'_>) -> bool {
        let slice = &mut self.slices[row.value];
        let (place, arrived) = self.totals.place(row.group);
        let fresh = &mut self.fresh[..];
        for (fresh, &source) in fresh.iter_mut().zip(&self.sources) {
            *fresh = row.inputs[source as usize];
        }
        for &(answer, since) in &self.growing {
            row.grow(&self.plan.answers[answer], since, fresh);
        }
        let width = self.plan.series.len();
        let totals = &mut self.totals.sums[place * width..(place + 1) * width];
        let stateful = self.plan.stateful.len();
        let states = &mut self.totals.states[place * stateful..(place + 1) * stateful];
        let start = self.rows * self.plan.width;
        self.numbers.resize(self.numbers.len().max(start + self.plan.width), 0.0);
        let numbers = &mut self.numbers[start..start + self.plan.width];
        for &index in &self.plan.stateful {
            let answer = &self.plan.answers[index];
            let state = &mut states[answer.state];
            match (&row.sim.cells.metrics[answer.metric], answer.y) {
                (&FlatMetric::Firsts(at), Some(y)) => {
                    (fresh[y], fresh[answer.x]) = row.firsts(answer, at, state, &mut slice.due[answer.state]);
                }
                (FlatMetric::Bins(lists), _) => {
                    let x = (totals[answer.x], totals[answer.x] + fresh[answer.x]);
                    let lists = lists.get(answer.version());
                    let entries = &mut slice.entries[answer.block as usize];
                    row.intervals(answer, lists, x, state, &mut self.totals.ladders, &mut self.requests, entries);
                    entries.end_row(row.weight);
                }
                (FlatMetric::Sums(_) | FlatMetric::Firsts(_), _) => unreachable!("sums have no state"),
            }
        }
        for &(y, x, at) in &self.plan.products {
            let ((y, dy), (x, dx)) = ((totals[y], fresh[y]), (totals[x], fresh[x]));
            numbers[at] = y * dx + x * dy + dy * dx;
        }
        numbers[self.plan.counts[0]] = f64::from(u8::from(fresh[COVERED] > 0.0 && totals[COVERED] == 0.0));
        let (stable_totals, other_totals) = totals.split_at_mut(self.plan.stable_series);
        let (stable, others) = numbers.split_at_mut(self.plan.stable_width);
        add_series(stable, stable_totals, &fresh[..self.plan.stable_series]);
        add_series(others, other_totals, &fresh[self.plan.stable_series..]);
        self.exchanged_numbers.extend(self.plan.exchanged.iter().map(|&other| self.numbers[start + other]));
        slice.rows.push(Row { numbers: self.rows as u32, weight: row.weight });
        self.rows += 1;
        arrived
    }
}

/// What series and their squares grow by, into the first of some numbers; then the totals.
fn add_series(numbers: &mut [f64], totals: &mut [f64], fresh: &[f64]) {
    let (sums, squares) = numbers.split_at_mut(fresh.len());
    for (((sum, square), total), &fresh) in sums.iter_mut().zip(squares).zip(totals).zip(fresh) {
        *sum = fresh;
        *square = fresh * (2.0 * *total + fresh);
        *total += fresh;
    }
}

/// Cells of one unit in one slot, and in one slice of a cut.
struct NewRow<'a> {
    sim: &'a Simulator,
    cells: Range<usize>,
    group: u32,
    inputs: &'a [f64],
    weight: u32,
    slot: usize,
    value: usize,
}

impl NewRow<'_> {
    /// The effect on a cell, and for how many slots it has held, if it has set in.
    fn effect(&self, answer: &Answer, cell: usize) -> Option<(&EffectCells, usize)> {
        let (stream, onset) = answer.effect?;
        let effect: &EffectCells = &self.sim.effects[stream];
        let since = usize::try_from(self.slot as i64 - onset).ok()?;
        effect.applies[cell].then_some((effect, since))
    }

    /// The numerator under an effect that grows.
    fn grow(&self, answer: &Answer, since: usize, fresh: &mut [f64]) {
        if let (Some((stream, _)), Some(y), &FlatMetric::Sums(place)) =
            (answer.effect, answer.y, &self.sim.cells.metrics[answer.metric])
        {
            fresh[y] = self.sim.effects[stream].shown(&self.sim.cells, self.cells.clone(), place, Some(since)).0;
        }
    }

    /// Y and X of a unit that counts once, with its first request and with its first event; zeros and ones are their own squares.
    ///
    /// Under an excess, own events and newly met units make events due. A unit takes the first that is due while it has a request, which
    /// is its own where it makes one due; so of all units exactly as many have an event as the excess says, at any time, and nothing of
    /// that depends on arms. `known` is what is known of the unit.
    fn firsts(&self, answer: &Answer, place: usize, known: &mut u32, due: &mut f64) -> (f64, f64) {
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
            let before = *known as u8;
            let mut first = before & COUNTED == 0 && event;
            let mut knows = before | SEEN | if event { OWN } else { 0 };
            if let Some((scale, shift)) = effect.and_then(|(effect, since)| effect.excess_of(since)) {
                *due += if before & MET == 0 { shift } else { 0.0 };
                *due += if event && before & OWN == 0 { scale } else { 0.0 };
                knows |= MET;
                // Sums of shares such as 0.1 fall short of whole numbers by their rounding.
                first = before & COUNTED == 0 && *due > 1.0 - 1e-9;
                *due -= f64::from(u8::from(first));
            }
            *known = u32::from(knows | if first { COUNTED } else { 0 });
            dy += f64::from(u8::from(first));
            dx += f64::from(u8::from(before & SEEN == 0));
        }
        (dy, dx)
    }

    /// Entries for the intervals between thresholds. `x` is the unit's X before the row and after it, `ladder` where its ladder is.
    ///
    /// With H requests in an interval, and Y above its lower and above its upper threshold, an interval's sums are those of H, of
    /// H (Y + Y) = Y² - Y² and of H X. Few intervals hold requests of a unit; summed from above they give Y, YY and YX of every
    /// threshold, exactly, since all are whole numbers. Most requests lie below all thresholds and move the last sum alone.
    #[expect(clippy::too_many_arguments, reason = "parts of one row's state, borrowed apart")]
    fn intervals(
        &self,
        answer: &Answer,
        lists: &BinLists,
        (x_before, x): (f64, f64),
        ladder: &mut u32,
        ladders: &mut Ladders,
        requests: &mut [u32],
        entries: &mut Entries,
    ) {
        let Shape::Grid(grid) = &self.sim.layout.shapes[answer.metric] else {
            unreachable!("bins belong to a quantile metric")
        };
        for cell in self.cells.clone() {
            let moved = self.effect(answer, cell).and_then(|(effect, since)| effect.thresholds(since));
            // Bins are sorted within a cell.
            for &bin in lists.of(cell).iter().rev() {
                let below = match moved {
                    Some(moved) => moved.partition_point(|&threshold| threshold < f64::from(bin)),
                    None if bin <= grid.bins[0] => 0,
                    None => grid.bins.partition_point(|&threshold| threshold < bin),
                };
                if below == 0 {
                    break;
                }
                ladders.reach(ladder, below - 1, answer.intervals);
                requests[below - 1] += 1;
            }
        }
        if x <= x_before {
            return;
        }
        let (mut above_before, mut above) = (0.0, 0.0);
        ladders.descend(*ladder, answer.intervals, |interval, count| {
            let more = std::mem::take(&mut requests[interval]);
            let before = f64::from(*count);
            *count += more;
            let (more, now) = (f64::from(more), f64::from(*count));
            let interval = (answer.first_interval + interval) as u32;
            if above <= above_before && more <= 0.0 {
                entries.last.push((interval, now * (x - x_before)));
            } else {
                let (pairs_before, pairs) = (before * (2.0 * above_before + before), now * (2.0 * above + now));
                let values = [more, pairs - pairs_before, now * x - before * x_before];
                entries.full.push(Entry { interval, values });
            }
            above_before += before;
            above += now;
        });
    }
}
