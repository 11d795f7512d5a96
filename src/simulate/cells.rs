//! Cells as the simulation streams them: slot by slot, one row of numbers each.

use std::ops::Range;

use super::effects::EffectCells;
use super::layout::Adjustment;
use crate::digest::Digest;
use crate::digest::bins::BinLists;
use crate::digest::cells::{Cells, MetricCells};
use crate::domain::metric::Metric;
use crate::domain::version::{PerVersion, Version};
use crate::stats::covariate;

/// Cells with items merged; `inputs` holds rows, covered of each version, then Y and X of stable and of the candidate for each metric of sums,
/// then Y of effects that show the same in every slot.
pub(super) struct FlatCells {
    pub(super) unit: Vec<u32>,
    /// The unit of each cell by its place in `by_rank`.
    pub(super) rank: Vec<u32>,
    /// Units, those with most cells first: their totals and weights then stay in the nearest caches. Those with about as many come as they
    /// first ask, so that those that ask together lie together.
    pub(super) by_rank: Vec<u32>,
    /// The place of each unit there.
    pub(super) rank_of: Vec<u32>,
    pub(super) slot: Vec<u32>,
    pub(super) segment: Vec<Vec<u16>>,
    /// Where they are not merged: what tells them apart besides.
    pub(super) items: Option<Vec<u32>>,
    /// Cells of slot `s` are `offsets[s]..offsets[s + 1]`.
    pub(super) offsets: Vec<u32>,
    pub(super) inputs: Vec<f64>,
    pub(super) stride: usize,
    /// Of these, what was recorded.
    pub(super) recorded: usize,
    /// Of each input: the first that is the same in every cell.
    pub(super) same: Vec<usize>,
    /// Per metric of the scenario.
    pub(super) metrics: Vec<FlatMetric>,
}

/// Where a metric's inputs are.
pub(super) enum FlatMetric {
    /// At this place of a cell's inputs: stable Y, stable X, candidate Y, candidate X.
    Sums(usize),
    /// The same of a rare metric, of which units count and no sums.
    Firsts(usize),
    /// Bins of every request.
    Bins(PerVersion<BinLists>),
}

impl FlatCells {
    /// Rows come first, then covered requests of stable and of the candidate.
    pub(super) const HEAD: usize = 3;

    pub(super) fn new(digest: &Digest, metrics: &[Metric]) -> Self {
        let cells = &digest.cells;
        // Cells are sorted by slot, unit, segments, item: those that differ in the item alone are neighbours.
        let starts: Vec<usize> =
            (0..cells.len()).filter(|&cell| cell == 0 || !same_key(cells, cell - 1, cell)).collect();
        Self::of(digest, metrics, &starts)
    }

    /// The same without merging any.
    pub(super) fn apart(digest: &Digest, metrics: &[Metric]) -> Self {
        let items = Some(digest.cells.item.clone());
        Self { items, ..Self::of(digest, metrics, &(0..digest.cells.len()).collect::<Vec<_>>()) }
    }

    /// Cells that begin at these of a digest.
    fn of(digest: &Digest, metrics: &[Metric], starts: &[usize]) -> Self {
        let cells = &digest.cells;
        let ends = starts.iter().copied().skip(1).chain([cells.len()]);
        let runs: Vec<_> = starts.iter().copied().zip(ends).collect();
        let mut stride = Self::HEAD;
        let metrics: Vec<FlatMetric> = cells
            .metrics
            .iter()
            .zip(metrics)
            .map(|(cells, metric)| match cells {
                MetricCells::Sums(_) => {
                    stride += 4;
                    if metric.kind.is_rare() { FlatMetric::Firsts(stride - 4) } else { FlatMetric::Sums(stride - 4) }
                }
                MetricCells::Bins(lists) => FlatMetric::Bins(lists.map(|list| merged(list, &runs))),
            })
            .collect();
        let mut inputs = vec![0.0; runs.len() * stride];
        for (&(start, end), row) in runs.iter().zip(inputs.chunks_exact_mut(stride)) {
            for cell in start..end {
                add_inputs(cells, &metrics, cell, row);
            }
        }
        let slot: Vec<u32> = starts.iter().map(|&cell| cells.slot[cell]).collect();
        let offsets = (0..=digest.slots).map(|s| slot.partition_point(|&other| other < s) as u32).collect();
        let unit: Vec<u32> = starts.iter().map(|&cell| cells.unit[cell]).collect();
        let (by_rank, rank_of) = ranks(&unit, digest.units.len());
        Self {
            rank: unit.iter().map(|&unit| rank_of[unit as usize]).collect(),
            by_rank,
            rank_of,
            unit,
            segment: cells.segment.iter().map(|column| starts.iter().map(|&cell| column[cell]).collect()).collect(),
            items: None,
            slot,
            offsets,
            inputs,
            stride,
            recorded: stride,
            same: (0..stride).collect(),
            metrics,
        }
    }

    /// Puts what effects show beside what was recorded, where it is the same in every slot; `metrics` are theirs.
    pub(super) fn show(&mut self, effects: &mut [EffectCells], metrics: &[usize]) {
        let mut steady: Vec<(&EffectCells, usize)> = Vec::new();
        for (effect, &metric) in effects.iter_mut().zip(metrics) {
            if let (FlatMetric::Sums(place), true) = (&self.metrics[metric], effect.is_steady()) {
                effect.shown = Some(self.recorded + steady.len());
                steady.push((effect, *place));
            }
        }
        let stride = self.recorded + steady.len();
        let mut inputs = Vec::with_capacity(self.len() * stride);
        for cell in 0..self.len() {
            let recorded = &self.inputs(cell)[..self.recorded];
            inputs.extend_from_slice(recorded);
            inputs.extend(steady.iter().map(|&(effect, at)| {
                let (y, x) = (recorded[at], recorded[at + 1]);
                if effect.applies[cell] { effect.sum(cell, 0, y, x) } else { y }
            }));
        }
        (self.inputs, self.stride) = (inputs, stride);
        self.same = (0..stride).collect();
    }

    /// Finds inputs that are the same. Until then each is taken for another: with cells of a replicate's own, looking costs more than it saves.
    pub(super) fn find_same(&mut self) {
        self.same = (0..self.stride).map(|input| self.first_same(input)).collect();
    }

    fn first_same(&self, input: usize) -> usize {
        let is_same = |other: &usize| {
            self.inputs.chunks_exact(self.stride).all(|row| row[*other].to_bits() == row[input].to_bits())
        };
        (0..input).find(is_same).unwrap_or(input)
    }

    /// Makes a cell one request, of which the answers are known or not.
    pub(super) fn be_one_request(&mut self, cell: usize, covered: f64) {
        let row = cell * self.stride;
        self.inputs[row..row + Self::HEAD].copy_from_slice(&[1.0, covered, covered]);
    }

    /// What takes stable's answers out of a metric of sums: the slope of the candidate's residuals from its ratio on stable's, over units.
    pub(super) fn adjustment(&self, metric: usize, units: usize) -> Option<Adjustment> {
        let FlatMetric::Sums(place) = self.metrics[metric] else { return None };
        let mut totals = vec![[0.0; 4]; units];
        for cell in 0..self.len() {
            let inputs = &self.inputs(cell)[place..place + 4];
            totals[self.unit[cell] as usize].iter_mut().zip(inputs).for_each(|(total, input)| *total += input);
        }
        let sum = |index: usize| totals.iter().map(|total| total[index]).sum::<f64>();
        let (stable, candidate) = ((sum(0), sum(1)), (sum(2), sum(3)));
        if stable.1 <= 0.0 || candidate.1 <= 0.0 {
            return None;
        }
        let (level, candidate_level) = (stable.0 / stable.1, candidate.0 / candidate.1);
        let residuals: Vec<(f64, f64)> =
            totals.iter().map(|&[sy, sx, cy, cx]| (cy - candidate_level * cx, sy - level * sx)).collect();
        Some(Adjustment { slope: covariate::slope(&residuals), level })
    }

    pub(super) fn slots(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn len(&self) -> usize {
        self.unit.len()
    }

    pub(super) fn inputs(&self, cell: usize) -> &[f64] {
        &self.inputs[cell * self.stride..(cell + 1) * self.stride]
    }

    /// Inputs of neighbours together; `sums` has room for them.
    pub(super) fn summed<'a>(&'a self, cells: Range<usize>, sums: &'a mut Vec<f64>) -> &'a [f64] {
        if cells.len() == 1 {
            return self.inputs(cells.start);
        }
        sums.clear();
        sums.resize(self.stride, 0.0);
        for cell in cells {
            sums.iter_mut().zip(self.inputs(cell)).for_each(|(sum, input)| *sum += input);
        }
        sums
    }
}

/// Units by the magnitude of their number of cells, largest first, then by their first cell; and the place of each among them.
fn ranks(unit_of_cell: &[u32], units: usize) -> (Vec<u32>, Vec<u32>) {
    let mut cells = vec![0_u32; units];
    let mut first = vec![u32::MAX; units];
    for (cell, &unit) in unit_of_cell.iter().enumerate() {
        cells[unit as usize] += 1;
        first[unit as usize] = first[unit as usize].min(cell as u32);
    }
    let mut by_rank: Vec<u32> = (0..units as u32).collect();
    by_rank.sort_by_key(|&unit| (cells[unit as usize].leading_zeros(), first[unit as usize]));
    let mut rank_of = vec![0; units];
    for (rank, &unit) in by_rank.iter().enumerate() {
        rank_of[unit as usize] = rank as u32;
    }
    (by_rank, rank_of)
}

fn same_key(cells: &Cells, a: usize, b: usize) -> bool {
    cells.slot[a] == cells.slot[b]
        && cells.unit[a] == cells.unit[b]
        && cells.segment.iter().all(|column| column[a] == column[b])
}

/// Lists of neighbouring cells joined, and sorted again.
fn merged(list: &BinLists, runs: &[(usize, usize)]) -> BinLists {
    let mut bins = list.bins.clone();
    let at = |cell: usize| list.offsets[cell] as usize;
    for &(start, end) in runs.iter().filter(|(start, end)| end - start > 1) {
        bins[at(start)..at(end)].sort_unstable();
    }
    let offsets = runs.iter().map(|&(start, _)| list.offsets[start]).chain(list.offsets.last().copied()).collect();
    BinLists { offsets, bins }
}

fn add_inputs(cells: &Cells, metrics: &[FlatMetric], cell: usize, row: &mut [f64]) {
    row[0] += cells.rows[cell];
    row[1] += cells.covered[cell];
    row[2] += cells.covered_by(Version::Candidate)[cell];
    for (metric, flat) in cells.metrics.iter().zip(metrics) {
        if let (MetricCells::Sums(sums), FlatMetric::Sums(at) | FlatMetric::Firsts(at)) = (metric, flat) {
            for (version, at) in Version::BOTH.into_iter().zip([*at, *at + 2]) {
                let sums = sums.version.get(version);
                row[at] += sums.num[cell];
                row[at + 1] += sums.den(cell);
            }
        }
    }
}
