//! Streams cells through a schedule and keeps each lane's sums at every look.
//!
//! What a cell adds to the sums of an arm depends on its unit's running totals since the stage began, and those are the same in every
//! replicate with the same start: only the weight differs. So the additions are computed once per cell and start, and every lane adds
//! them, times its copies, to all traffic and to the candidate's arm. Stable's arm is the difference.

use super::cells::FlatMetric;
use super::effects::EffectCells;
use super::lanes::Lane;
use super::layout::{COUNTS, MOMENTS, Shape, SlicePlan};
use super::trajectory::Trajectory;
use super::{Simulator, StagePlan};
use crate::digest::bins::BinLists;
use crate::domain::version::{PerVersion, Version};

/// What is known of a unit of a rare metric, as bits of its second total: it was seen; it had an event of its own; an effect met it.
const SEEN: u8 = 1;
const OWN: u8 = 2;
const MET: u8 = 4;

/// No running totals yet.
const ABSENT: u32 = u32::MAX;

/// Replays `plan` from `start_slot`; `elapsed` slots of the rollout lie before it.
pub(super) fn play(
    sim: &Simulator,
    plan: &[StagePlan],
    start_slot: usize,
    elapsed: usize,
    lanes: &[Lane],
) -> Vec<Trajectory> {
    let looks: usize = plan.iter().map(StagePlan::looks).sum();
    let mut sums: Vec<LaneSums> = lanes.iter().map(|lane| LaneSums::new(sim, lane, looks)).collect();
    let mut totals = RunningTotals::new(sim);
    let mut additions: Vec<Addition> = Vec::new();
    let mut slot = 0;
    for (stage, stage_plan) in plan.iter().enumerate() {
        totals.restart();
        sums.iter_mut().for_each(LaneSums::restart);
        for _ in 0..stage_plan.looks() {
            for _ in 0..stage_plan.slots_per_look {
                for cell in sim.cells_of(start_slot + slot) {
                    let count = totals.add_cell(sim, cell, elapsed.saturating_add(slot), &mut additions);
                    let unit = sim.cells.unit[cell] as usize;
                    for (sums, lane) in sums.iter_mut().zip(lanes) {
                        sums.add(sim, lane, stage, unit, &additions[..count]);
                    }
                }
                slot += 1;
            }
            sums.iter_mut().for_each(LaneSums::look);
        }
    }
    sums.into_iter().map(|sums| sums.trajectory).collect()
}

impl Simulator {
    pub(super) fn cells_of(&self, slot: usize) -> std::ops::Range<usize> {
        let slot = self.period.map_or(slot, |period| slot % period);
        if slot >= self.cells.slots() {
            return 0..0;
        }
        self.cells.offsets[slot] as usize..self.cells.offsets[slot + 1] as usize
    }
}

/// What one cell adds to one slice's sums, per copy of its unit.
#[derive(Default)]
struct Addition {
    slice: usize,
    /// Laid out as the slice in the candidate's arm.
    values: Vec<f64>,
    /// Where `values` is not zero, ascending.
    spans: Vec<(usize, usize)>,
    /// How many of the spans lie within counts and stable's answers.
    stable_spans: usize,
    /// How many of the spans no longer grow.
    closed: usize,
}

impl Addition {
    fn clear(&mut self, slice: usize, plan: &SlicePlan) {
        self.slice = slice;
        self.values.clear();
        self.values.resize(plan.arm_width, 0.0);
        self.spans.clear();
        self.stable_spans = 0;
        self.closed = 0;
    }

    /// Marks a stretch as not zero; stretches come in ascending order.
    fn mark(&mut self, start: usize, end: usize) {
        match self.spans[self.closed..].last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => self.spans.push((start, end)),
        }
    }

    /// What comes now stays apart: counts are the same whoever answers, and stable's and the candidate's answers may be exchanged.
    fn close(&mut self) {
        self.closed = self.spans.len();
    }
}

/// Each unit's totals since the stage began, per slice.
///
/// Units come in no order, so this is memory's work: what nearly every cell needs is packed together, and the counts above thresholds,
/// which few units have, lie apart.
struct RunningTotals {
    slices: Vec<SliceTotals>,
}

/// The totals of one slice.
struct SliceTotals {
    /// Per unit: where its totals are.
    index: Vec<u32>,
    /// Units seen so far, in the order of their totals.
    seen: Vec<u32>,
    /// Whether a covered request was seen, then Y and X, or X and whether any request was above a threshold.
    totals: Vec<f64>,
    width: usize,
    /// Requests above each threshold.
    above: Vec<f64>,
    above_width: usize,
    /// Per stream of a rare metric: units that should have an event and do not yet.
    due: Vec<f64>,
}

/// The totals of one unit, taken metric by metric.
struct UnitTotals<'t> {
    totals: &'t mut [f64],
    above: &'t mut [f64],
}

impl<'t> UnitTotals<'t> {
    fn pair(&mut self) -> &'t mut [f64] {
        let (pair, rest) = std::mem::take(&mut self.totals).split_at_mut(2);
        self.totals = rest;
        pair
    }

    fn above(&mut self, thresholds: usize) -> &'t mut [f64] {
        let (above, rest) = std::mem::take(&mut self.above).split_at_mut(thresholds);
        self.above = rest;
        above
    }
}

impl SliceTotals {
    fn new(sim: &Simulator, plan: &SlicePlan) -> Self {
        let metrics = plan.metrics.iter().map(|&(metric, _)| metric);
        let streams = plan.streams.iter().map(|&(stream, _)| sim.layout.stream_metrics[stream]);
        // Stable's answers, the candidate's, and effects'.
        let kept: Vec<usize> = metrics.clone().chain(metrics).chain(streams).collect();
        let thresholds = |metric: &usize| match &sim.layout.shapes[*metric] {
            Shape::Moments => 0,
            Shape::Grid(grid) => grid.len(),
        };
        Self {
            index: vec![ABSENT; sim.units()],
            seen: Vec::new(),
            totals: Vec::new(),
            width: 1 + 2 * kept.len(),
            above: Vec::new(),
            above_width: kept.iter().map(thresholds).sum(),
            due: vec![0.0; plan.streams.len()],
        }
    }

    fn restart(&mut self) {
        for unit in self.seen.drain(..) {
            self.index[unit as usize] = ABSENT;
        }
        self.totals.clear();
        self.above.clear();
        self.due.fill(0.0);
    }

    fn unit(&mut self, unit: u32) -> UnitTotals<'_> {
        let index = &mut self.index[unit as usize];
        if *index == ABSENT {
            *index = self.seen.len() as u32;
            self.seen.push(unit);
            self.totals.resize(self.totals.len() + self.width, 0.0);
            self.above.resize(self.above.len() + self.above_width, 0.0);
        }
        let index = *index as usize;
        UnitTotals {
            totals: &mut self.totals[index * self.width..(index + 1) * self.width],
            above: &mut self.above[index * self.above_width..(index + 1) * self.above_width],
        }
    }
}

impl RunningTotals {
    fn new(sim: &Simulator) -> Self {
        Self { slices: sim.layout.plans.iter().map(|plan| SliceTotals::new(sim, plan)).collect() }
    }

    fn restart(&mut self) {
        self.slices.iter_mut().for_each(SliceTotals::restart);
    }

    /// Fills one addition per slice the cell belongs to; returns how many.
    fn add_cell(
        &mut self,
        sim: &Simulator,
        cell: usize,
        slot_of_rollout: usize,
        additions: &mut Vec<Addition>,
    ) -> usize {
        let segments = sim.layout.slice_of.iter().zip(&sim.cells.segment);
        let slices =
            segments.filter_map(|(slices, values)| slices.as_ref().map(|slices| slices[values[cell] as usize]));
        let mut count = 0;
        for slice in std::iter::once(0).chain(slices) {
            if additions.len() == count {
                additions.push(Addition::default());
            }
            self.add_to_slice(sim, cell, slice, slot_of_rollout, &mut additions[count]);
            count += 1;
        }
        count
    }

    fn add_to_slice(&mut self, sim: &Simulator, cell: usize, slice: usize, slot: usize, addition: &mut Addition) {
        let plan = &sim.layout.plans[slice];
        addition.clear(slice, plan);
        let inputs = sim.cells.inputs(cell);
        let slice_totals = &mut self.slices[slice];
        let mut due = std::mem::take(&mut slice_totals.due);
        let mut unit = slice_totals.unit(sim.cells.unit[cell]);
        let (seen, rest) = std::mem::take(&mut unit.totals).split_first_mut().expect("totals are not empty");
        unit.totals = rest;
        let (rows, covered) = (inputs[0], inputs[1]);
        let newly_seen = covered > 0.0 && *seen == 0.0;
        if newly_seen {
            *seen = 1.0;
        }
        addition.values[..COUNTS].copy_from_slice(&[f64::from(u8::from(newly_seen)), covered, rows]);
        addition.mark(0, COUNTS);
        addition.close();
        for version in Version::BOTH {
            let offset = if version == Version::Stable { 0 } else { plan.answers_width };
            for &(metric, at) in &plan.metrics {
                MetricCell { sim, cell, metric, version, effect: None }.add(at + offset, &mut unit, addition, &mut 0.0);
            }
            if version == Version::Stable {
                addition.stable_spans = addition.spans.len();
            }
            addition.close();
        }
        for (&(stream, at), due) in plan.streams.iter().zip(&mut due) {
            let effect = &sim.effects[stream];
            let since = slot.checked_sub(effect.onset).filter(|_| effect.applies[cell]);
            let effect = since.map(|since| (effect, since));
            let metric = sim.layout.stream_metrics[stream];
            MetricCell { sim, cell, metric, version: Version::Stable, effect }.add(at, &mut unit, addition, due);
        }
        slice_totals.due = due;
    }
}

/// One metric of one cell under one version's answers, possibly changed by an effect.
struct MetricCell<'a> {
    sim: &'a Simulator,
    cell: usize,
    metric: usize,
    version: Version,
    /// With the slots since its onset.
    effect: Option<(&'a EffectCells, usize)>,
}

impl MetricCell<'_> {
    /// Writes what the cell adds at `at`, and takes the metric's totals. `due` belongs to an effect on a rare metric.
    fn add(&self, at: usize, unit: &mut UnitTotals<'_>, addition: &mut Addition, due: &mut f64) {
        match (&self.sim.cells.metrics[self.metric], &self.sim.layout.shapes[self.metric]) {
            (FlatMetric::Sums(place), _) => self.add_moments(*place, at, unit, addition),
            (FlatMetric::Firsts(place), _) => self.add_firsts(*place, at, unit, addition, due),
            (FlatMetric::Bins(lists), Shape::Grid(grid)) => self.add_grid(lists, &grid.bins, at, unit, addition),
            (FlatMetric::Bins(_), Shape::Moments) => unreachable!("bins belong to a quantile metric"),
        }
    }

    fn add_moments(&self, place: usize, at: usize, unit: &mut UnitTotals<'_>, addition: &mut Addition) {
        let own = unit.pair();
        let place = if self.version == Version::Stable { place } else { place + 2 };
        let inputs = self.sim.cells.inputs(self.cell);
        let (mut dy, dx) = (inputs[place], inputs[place + 1]);
        if let Some((effect, since)) = self.effect {
            dy = effect.sum(self.cell, since, dy, dx);
        }
        if dy == 0.0 && dx == 0.0 {
            return;
        }
        let (y, x) = (own[0], own[1]);
        let values = [dy, dx, dy * (2.0 * y + dy), y * dx + x * dy + dy * dx, dx * (2.0 * x + dx)];
        addition.values[at..at + MOMENTS].copy_from_slice(&values);
        addition.mark(at, at + MOMENTS);
        own[0] += dy;
        own[1] += dx;
    }

    /// A unit counts once, with its first request and with its first event.
    ///
    /// Under an excess, own events and newly met units make events due. A unit takes the first that is due while it has a request, which
    /// is its own where it makes one due; so of all units exactly as many have an event as the excess says, at any time, and nothing of
    /// that depends on arms.
    fn add_firsts(&self, place: usize, at: usize, unit: &mut UnitTotals<'_>, addition: &mut Addition, due: &mut f64) {
        let own = unit.pair();
        let place = if self.version == Version::Stable { place } else { place + 2 };
        let inputs = self.sim.cells.inputs(self.cell);
        let (events, requests) = (inputs[place], inputs[place + 1]);
        if requests == 0.0 {
            return;
        }
        let shown = self.effect.map_or(events, |(effect, since)| effect.sum(self.cell, since, events, requests));
        let event = shown > 0.0;
        let known = own[1] as u8;
        let mut first = own[0] == 0.0 && event;
        let mut knows = known | SEEN | if event { OWN } else { 0 };
        if let Some((scale, shift)) = self.effect.and_then(|(effect, since)| effect.excess_of(since)) {
            *due += if known & MET == 0 { shift } else { 0.0 };
            *due += if event && known & OWN == 0 { scale } else { 0.0 };
            knows |= MET;
            // Sums of shares such as 0.1 fall short of whole numbers by their rounding.
            first = own[0] == 0.0 && *due > 1.0 - 1e-9;
            *due -= f64::from(u8::from(first));
        }
        let (dy, dx) = (f64::from(u8::from(first)), f64::from(u8::from(known & SEEN == 0)));
        own[0] += dy;
        own[1] = f64::from(knows);
        if dy == 0.0 && dx == 0.0 {
            return;
        }
        // Zeros and ones are their own squares, and a unit with an event was seen.
        addition.values[at..at + MOMENTS].copy_from_slice(&[dy, dx, dy, dy, dx]);
        addition.mark(at, at + MOMENTS);
    }

    fn add_grid(
        &self,
        lists: &PerVersion<BinLists>,
        thresholds: &[i16],
        at: usize,
        unit: &mut UnitTotals<'_>,
        addition: &mut Addition,
    ) {
        let own = unit.pair();
        let above = unit.above(thresholds.len());
        let bins = lists.get(self.version).of(self.cell);
        let Some(&highest) = bins.last() else { return };
        let dx = bins.len() as f64;
        let x = own[0];
        addition.values[at] = dx;
        addition.values[at + 1] = dx * (2.0 * x + dx);
        own[0] += dx;
        let moved = self.effect.and_then(|(effect, since)| effect.thresholds(since));
        let threshold_at = |index: usize| moved.map_or(f64::from(thresholds[index]), |moved| moved[index]);
        if own[1] == 0.0 && f64::from(highest) <= threshold_at(0) {
            addition.mark(at, at + 2);
            return;
        }
        own[1] = 1.0;
        for (index, y) in above.iter_mut().enumerate() {
            let threshold = threshold_at(index);
            // Bins are sorted within a cell.
            let dy = (bins.len() - bins.partition_point(|&bin| f64::from(bin) <= threshold)) as f64;
            if dy == 0.0 && *y == 0.0 {
                // Nor is anything above the higher thresholds.
                break;
            }
            let place = at + 2 + 3 * index;
            let values = [dy, dy * (2.0 * *y + dy), *y * dx + x * dy + dy * dx];
            addition.values[place..place + 3].copy_from_slice(&values);
            *y += dy;
        }
        addition.mark(at, at + 2 + 3 * thresholds.len());
    }
}

/// One lane's sums so far.
struct LaneSums {
    all: Vec<f64>,
    arm: Vec<f64>,
    /// Copies of each unit that the candidate has served.
    served: Vec<u8>,
    served_units: f64,
    trajectory: Trajectory,
}

impl LaneSums {
    fn new(sim: &Simulator, lane: &Lane, looks: usize) -> Self {
        let (all, arm) = (sim.layout.all_width, sim.layout.arm_width);
        Self {
            all: vec![0.0; all],
            arm: vec![0.0; arm],
            served: vec![0; lane.copies.len()],
            served_units: 0.0,
            trajectory: Trajectory {
                all: Vec::with_capacity(all * looks),
                arm: Vec::with_capacity(arm * looks),
                exposed_units: Vec::with_capacity(looks),
            },
        }
    }

    fn restart(&mut self) {
        self.all.fill(0.0);
        self.arm.fill(0.0);
    }

    fn look(&mut self) {
        self.trajectory.all.extend_from_slice(&self.all);
        self.trajectory.arm.extend_from_slice(&self.arm);
        self.trajectory.exposed_units.push(self.served_units);
    }

    fn add(&mut self, sim: &Simulator, lane: &Lane, stage: usize, unit: usize, additions: &[Addition]) {
        let copies = lane.copies[unit];
        if copies == 0 {
            return;
        }
        let exposed = lane.exposed[stage][unit];
        if exposed > self.served[unit] {
            self.served_units += f64::from(exposed - self.served[unit]);
            self.served[unit] = exposed;
        }
        let (copies, exposed) = match &lane.swapped {
            None => (copies, exposed),
            Some(swapped) => {
                let (copies_swapped, exposed_swapped) = (swapped.copies[unit], swapped.exposed[stage][unit]);
                self.add_swapped(sim, copies_swapped, exposed_swapped, additions);
                (copies - copies_swapped, exposed - exposed_swapped)
            }
        };
        for addition in additions {
            let plan = &sim.layout.plans[addition.slice];
            for &(start, end) in &addition.spans[..addition.stable_spans] {
                add_scaled(
                    &mut self.all[plan.all_at + start..plan.all_at + end],
                    &addition.values[start..end],
                    f64::from(copies),
                );
            }
            if exposed > 0 {
                for &(start, end) in &addition.spans {
                    add_scaled(
                        &mut self.arm[plan.arm_at + start..plan.arm_at + end],
                        &addition.values[start..end],
                        f64::from(exposed),
                    );
                }
            }
        }
    }
}

impl LaneSums {
    /// Adds copies whose two answers are exchanged: stable's sums get the candidate's, and the other way round.
    fn add_swapped(&mut self, sim: &Simulator, copies: u8, exposed: u8, additions: &[Addition]) {
        for addition in additions {
            let plan = &sim.layout.plans[addition.slice];
            let width = plan.answers_width;
            for &(start, end) in &addition.spans {
                let to = if start < COUNTS {
                    start
                } else if start < COUNTS + width {
                    start + width
                } else if start < COUNTS + 2 * width {
                    start - width
                } else {
                    continue;
                };
                let (values, length) = (&addition.values[start..end], end - start);
                if to < COUNTS + width {
                    let at = plan.all_at + to;
                    add_scaled(&mut self.all[at..at + length], values, f64::from(copies));
                }
                let at = plan.arm_at + to;
                add_scaled(&mut self.arm[at..at + length], values, f64::from(exposed));
            }
        }
    }
}

fn add_scaled(sums: &mut [f64], values: &[f64], weight: f64) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += weight * value;
    }
}
