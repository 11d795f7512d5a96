//! Streams cells through a schedule and keeps each lane's sums at every look.
//!
//! What a cell adds to the sums of an arm depends on its unit's running totals since the stage began, and those are the same in every
//! replicate with the same start: only the weight differs. So the additions are computed once per cell and start, and every lane adds
//! them, times its copies, to all traffic and to the candidate's arm. Stable's arm is the difference.

use super::cells::FlatMetric;
use super::effects::{CellChange, EffectCells};
use super::lanes::Lane;
use super::layout::{COUNTS, MOMENTS, Shape, SlicePlan};
use super::trajectory::Trajectory;
use super::{Simulator, StagePlan};
use crate::domain::version::{PerVersion, Version};

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
    fn cells_of(&self, slot: usize) -> std::ops::Range<usize> {
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
}

impl Addition {
    fn clear(&mut self, slice: usize, plan: &SlicePlan) {
        self.slice = slice;
        self.values.clear();
        self.values.resize(plan.arm_width, 0.0);
        self.spans.clear();
        self.stable_spans = 0;
    }

    /// Marks a stretch as not zero; stretches come in ascending order.
    fn mark(&mut self, start: usize, end: usize) {
        match self.spans[self.stable_spans..].last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => self.spans.push((start, end)),
        }
    }
}

/// Each unit's totals since the stage began, per slice.
struct RunningTotals {
    /// Per slice and unit: index of its totals.
    index: Vec<Vec<u32>>,
    /// Per slice: totals of the units seen so far.
    totals: Vec<Vec<f64>>,
    /// Per slice: width of one unit's totals.
    widths: Vec<usize>,
    /// Per slice: units seen so far.
    seen: Vec<Vec<u32>>,
}

impl RunningTotals {
    fn new(sim: &Simulator) -> Self {
        let layout = &sim.layout;
        let width = |plan: &SlicePlan| {
            let per_metric = |metric: usize| match &layout.shapes[metric] {
                Shape::Moments => 2,
                Shape::Grid(grid) => 1 + grid.len(),
            };
            let answers: usize = plan.metrics.iter().map(|&(metric, _)| 2 * per_metric(metric)).sum();
            let streams: usize =
                plan.streams.iter().map(|&(stream, _)| per_metric(layout.stream_metrics[stream])).sum();
            1 + answers + streams
        };
        Self {
            index: vec![vec![ABSENT; sim.units()]; layout.slices.len()],
            totals: vec![Vec::new(); layout.slices.len()],
            widths: layout.plans.iter().map(width).collect(),
            seen: vec![Vec::new(); layout.slices.len()],
        }
    }

    fn restart(&mut self) {
        for ((index, seen), totals) in self.index.iter_mut().zip(&mut self.seen).zip(&mut self.totals) {
            seen.drain(..).for_each(|unit| index[unit as usize] = ABSENT);
            totals.clear();
        }
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

    fn totals_of(&mut self, slice: usize, unit: u32) -> &mut [f64] {
        let width = self.widths[slice];
        let index = &mut self.index[slice][unit as usize];
        if *index == ABSENT {
            *index = self.seen[slice].len() as u32;
            self.seen[slice].push(unit);
            let length = self.totals[slice].len();
            self.totals[slice].resize(length + width, 0.0);
        }
        let at = *index as usize * width;
        &mut self.totals[slice][at..at + width]
    }

    fn add_to_slice(&mut self, sim: &Simulator, cell: usize, slice: usize, slot: usize, addition: &mut Addition) {
        let plan = &sim.layout.plans[slice];
        addition.clear(slice, plan);
        let inputs = sim.cells.inputs(cell);
        let (seen, mut totals) =
            self.totals_of(slice, sim.cells.unit[cell]).split_first_mut().expect("totals are not empty");
        let (rows, covered) = (inputs[0], inputs[1]);
        let newly_seen = covered > 0.0 && *seen == 0.0;
        if newly_seen {
            *seen = 1.0;
        }
        addition.values[..COUNTS].copy_from_slice(&[f64::from(u8::from(newly_seen)), covered, rows]);
        addition.mark(0, COUNTS);
        for version in Version::BOTH {
            let offset = if version == Version::Stable { 0 } else { plan.answers_width };
            for &(metric, at) in &plan.metrics {
                let cell = MetricCell { sim, cell, metric, version, effect: None };
                totals = cell.add(at + offset, totals, addition);
            }
            if version == Version::Stable {
                addition.stable_spans = addition.spans.len();
            }
        }
        for &(stream, at) in &plan.streams {
            let effect = &sim.effects[stream];
            let holds = slot >= effect.onset && effect.applies[cell];
            let metric = sim.layout.stream_metrics[stream];
            let cell = MetricCell { sim, cell, metric, version: Version::Stable, effect: holds.then_some(effect) };
            totals = cell.add(at, totals, addition);
        }
    }
}

/// One metric of one cell under one version's answers, possibly changed by an effect.
struct MetricCell<'a> {
    sim: &'a Simulator,
    cell: usize,
    metric: usize,
    version: Version,
    effect: Option<&'a EffectCells>,
}

impl MetricCell<'_> {
    /// Writes what the cell adds at `at`, and returns the totals that follow its own.
    fn add<'t>(&self, at: usize, totals: &'t mut [f64], addition: &mut Addition) -> &'t mut [f64] {
        match (&self.sim.cells.metrics[self.metric], &self.sim.layout.shapes[self.metric]) {
            (FlatMetric::Sums(place), _) => self.add_moments(*place, at, totals, addition),
            (FlatMetric::Bins(lists), Shape::Grid(grid)) => self.add_grid(lists, &grid.bins, at, totals, addition),
            (FlatMetric::Bins(_), Shape::Moments) => unreachable!("bins belong to a quantile metric"),
        }
    }

    fn add_moments<'t>(
        &self,
        place: usize,
        at: usize,
        totals: &'t mut [f64],
        addition: &mut Addition,
    ) -> &'t mut [f64] {
        let (own, rest) = totals.split_at_mut(2);
        let place = if self.version == Version::Stable { place } else { place + 2 };
        let inputs = self.sim.cells.inputs(self.cell);
        let (mut dy, dx) = (inputs[place], inputs[place + 1]);
        match self.effect.map(|effect| &effect.change) {
            Some(CellChange::Affine { shift, scale }) => dy = scale * dy + shift * dx,
            Some(CellChange::Add(flips)) => dy += flips[self.cell],
            Some(CellChange::MovedThresholds(_)) | None => {}
        }
        if dy == 0.0 && dx == 0.0 {
            return rest;
        }
        let (y, x) = (own[0], own[1]);
        let values = [dy, dx, dy * (2.0 * y + dy), y * dx + x * dy + dy * dx, dx * (2.0 * x + dx)];
        addition.values[at..at + MOMENTS].copy_from_slice(&values);
        addition.mark(at, at + MOMENTS);
        own[0] += dy;
        own[1] += dx;
        rest
    }

    fn add_grid<'t>(
        &self,
        lists: &PerVersion<crate::digest::bins::BinLists>,
        thresholds: &[i16],
        at: usize,
        totals: &'t mut [f64],
        addition: &mut Addition,
    ) -> &'t mut [f64] {
        let (own, rest) = totals.split_at_mut(1 + thresholds.len());
        let bins = lists.get(self.version).of(self.cell);
        if bins.is_empty() {
            return rest;
        }
        let (x, above) = own.split_first_mut().expect("totals are not empty");
        let dx = bins.len() as f64;
        addition.values[at] = dx;
        addition.values[at + 1] = dx * (2.0 * *x + dx);
        let moved = match self.effect.map(|effect| &effect.change) {
            Some(CellChange::MovedThresholds(moved)) => Some(moved),
            _ => None,
        };
        let mut any = false;
        for (index, (y, &threshold)) in above.iter_mut().zip(thresholds).enumerate() {
            let threshold = moved.map_or(f64::from(threshold), |moved| moved[index]);
            // Bins are sorted within a cell.
            let dy = (bins.len() - bins.partition_point(|&bin| f64::from(bin) <= threshold)) as f64;
            if dy == 0.0 && *y == 0.0 {
                // Nor is anything above the higher thresholds.
                break;
            }
            any = true;
            let place = at + 2 + 3 * index;
            addition.values[place..place + 3].copy_from_slice(&[dy, dy * (2.0 * *y + dy), *y * dx + *x * dy + dy * dx]);
            *y += dy;
        }
        *x += dx;
        addition.mark(at, if any { at + 2 + 3 * thresholds.len() } else { at + 2 });
        rest
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

fn add_scaled(sums: &mut [f64], values: &[f64], weight: f64) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += weight * value;
    }
}
