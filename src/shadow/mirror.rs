//! A digest and a start → what a mirror of some length shows about each gate.

use std::ops::Range;

use super::{Clusters, Regression, SliceCells, difference, quantile, slices};
use crate::digest::Digest;
use crate::digest::cells::MetricCells;
use crate::domain::metric::{Margin, MetricKind};
use crate::report::Segment;
use crate::scenario::Scenario;

/// What a mirror shows about one gate, in one slice: regressions beyond its margin, larger is worse. Of a quantile they are of the share
/// of requests above a threshold, as its gate asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirrored {
    /// Index of the gate.
    pub gate: usize,
    /// Null: all requests.
    pub segment: Option<Segment>,
    /// As recorded.
    pub recorded: Regression,
    /// Had the candidate answered as stable did.
    pub alike: f64,
    /// Stable's value.
    pub stable: f64,
    /// Requests with both answers.
    pub requests: f64,
}

/// Cells of a log by when they are, and by whom.
pub struct Mirrors<'a> {
    digest: &'a Digest,
    scenario: &'a Scenario,
    /// Per gate; none asks nothing.
    margins: &'a [Option<Margin>],
    /// After how many slots the log is repeated.
    period: Option<usize>,
    clusters: Clusters,
    slices: Vec<SliceCells>,
}

impl<'a> Mirrors<'a> {
    /// Of a log that may be repeated after `period` slots.
    #[must_use]
    pub fn new(
        digest: &'a Digest,
        scenario: &'a Scenario,
        margins: &'a [Option<Margin>],
        period: Option<usize>,
    ) -> Self {
        Self { digest, scenario, margins, period, clusters: Clusters::new(digest), slices: slices(digest) }
    }

    /// What a mirror shows during some slots: every gate overall, then in each value of its segment columns that has requests.
    #[must_use]
    pub fn during(&self, slots: Range<usize>) -> Vec<Mirrored> {
        let mut rows = Vec::new();
        for slice in &self.slices {
            let asks = |gate: &usize| match slice.column {
                None => true,
                Some(column) => self.scenario.gates[*gate].by.contains(&column),
            };
            let gates: Vec<usize> = (0..self.margins.len()).filter(asks).collect();
            if gates.is_empty() {
                continue;
            }
            let cells = self.cells(&slice.cells, slots.clone());
            rows.extend(gates.into_iter().filter_map(|gate| self.row(gate, slice, &cells)));
        }
        rows
    }

    fn row(&self, gate: usize, slice: &SliceCells, cells: &[u32]) -> Option<Mirrored> {
        let margin = self.margins[gate]?;
        let index = self.scenario.gates[gate].metric;
        let metric = &self.scenario.metrics[index];
        let values = &self.digest.cells.metrics[index];
        let of = |alike: f64, stable: f64, requests: f64, recorded: Regression| Mirrored {
            gate,
            segment: slice.segment.clone(),
            recorded,
            alike,
            stable,
            requests,
        };
        if let (MetricCells::Bins(lists), MetricKind::Quantile { quantile, .. }) = (values, &metric.kind) {
            let shown = quantile::shares_beyond(lists, *quantile, metric.better, &self.clusters, cells, margin)?;
            return Some(of(shown.alike, shown.stable, shown.pairs, shown.recorded));
        }
        let found = difference(values, metric, &self.clusters, cells, Some(margin))?;
        let (factor, offset) = margin.contrast(metric.better);
        let stable = found.value.stable;
        let alike = metric.better.worse_sign() * (1.0 - factor) * stable - offset;
        Some(of(alike, stable, found.pairs, found.beyond_allow?))
    }

    /// Those of some cells that lie in some slots, in the order of time; cells are in the order of slots.
    fn cells(&self, cells: &[u32], slots: Range<usize>) -> Vec<u32> {
        let before = |slot: usize| cells.partition_point(|&cell| (self.digest.cells.slot[cell as usize] as usize) < slot);
        let Some(period) = self.period else { return cells[before(slots.start)..before(slots.end)].to_vec() };
        let mut found = Vec::new();
        let mut from = slots.start;
        while from < slots.end {
            let first = from % period;
            let last = period.min(first + (slots.end - from));
            found.extend_from_slice(&cells[before(first)..before(last)]);
            from += last - first;
        }
        found
    }
}
