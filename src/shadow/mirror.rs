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
        Self { digest, scenario, margins, period, clusters: Clusters::new(digest, scenario), slices: slices(digest) }
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
        let found = difference((values, true), metric, &self.clusters, cells, Some(margin))?;
        let (factor, offset) = margin.contrast(metric.better);
        let stable = found.value.stable;
        let alike = metric.better.worse_sign() * (1.0 - factor) * stable - offset;
        Some(of(alike, stable, found.pairs, found.beyond_allow?))
    }

    /// Those of some cells that lie in some slots, in the order of time; cells are in the order of slots.
    fn cells(&self, cells: &[u32], slots: Range<usize>) -> Vec<u32> {
        let before =
            |slot: usize| cells.partition_point(|&cell| (self.digest.cells.slot[cell as usize] as usize) < slot);
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

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::digest;

    const SCENARIO: &str = r#"
[log]
timestamp = "ts"
item = "prompt"
slot = "1h"

[assignment]
unit = "user"

[metrics.bad]
kind = "proportion"
column = "{version}_bad"
better = "lower"

[metrics.latency]
kind = "quantile"
quantile = 0.5
column = "{version}_ms"
better = "lower"
unit = "ms"

[[stages]]
name = "half"
exposure = "50%"
duration = "2h"
look_every = "1h"

[[gates]]
name = "bad"
metric = "bad"
allow = "10pp"

[[gates]]
name = "latency"
metric = "latency"
allow = "2ms"
"#;

    /// Four users ask two prompts in the first hour and again in the second; in the third, four others do. The candidate is wrong about the first
    /// prompt, and slow where stable is fast.
    fn log() -> String {
        let mut text = String::from("ts,user,prompt,stable_bad,candidate_bad,stable_ms,candidate_ms\n");
        for (hour, first) in [(0, 0), (1, 0), (2, 4)] {
            for turn in 0..4 {
                let (user, prompt, bad) = (first + turn, turn / 2, u8::from(turn < 2));
                let (fast, slow) = (1 << turn, 16 >> turn);
                writeln!(text, "2025-03-03T0{hour}:00:00Z,u{user},p{prompt},0,{bad},{fast},{slow}").unwrap();
            }
        }
        text
    }

    fn mirrors(check: impl FnOnce(&dyn Fn(Option<usize>, Range<usize>) -> Vec<Mirrored>)) {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let scenario = Scenario::read(path("s.toml", SCENARIO).as_ref()).unwrap_or_else(|error| panic!("{error}"));
        let digest =
            digest::load(&path("log.csv", &log()), &scenario, &|_| ()).unwrap_or_else(|error| panic!("{error}"));
        let margins: Vec<Option<Margin>> = scenario.gates.iter().map(|gate| gate.allow).collect();
        check(&|period, slots| Mirrors::new(&digest, &scenario, &margins, period).during(slots));
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }

    #[test]
    fn new_users_are_worth_more_than_new_requests_and_old_prompts_nothing() {
        mirrors(|during| {
            let bad = |slots: Range<usize>| during(None, slots).swap_remove(0);
            // Half of the answers turn bad, of 10 points accepted; stable's own would leave all of those.
            let hour = bad(0..1);
            near(hour.recorded.beyond, 0.4);
            near(hour.alike, -0.1);
            assert_eq!((hour.gate, &hour.segment, hour.stable, hour.requests), (0, &None, 0.0, 4.0));
            // Influences ±1/8: by unit 4/3 · 4/64; by prompt 2 · 2 · (1/4)²; by both as by unit.
            near(hour.recorded.by_unit, 1.0 / 12.0);
            near(hour.recorded.both_ways.unwrap(), 1.0 / 4.0);
            near(hour.recorded.se(), 0.5);
            // Twice as long, with the same users: nothing new.
            let again = bad(0..2);
            near(again.recorded.by_unit, 1.0 / 12.0);
            near(again.recorded.both_ways.unwrap(), 1.0 / 4.0);
            // With other users, 8/7 · 8/256; the prompts are the same.
            let others = bad(1..3);
            near(others.recorded.by_unit, 1.0 / 28.0);
            near(others.recorded.both_ways.unwrap(), 1.0 / 4.0);
        });
    }

    #[test]
    fn a_quantile_is_asked_in_shares() {
        mirrors(|during| {
            let latency = during(None, 0..1).swap_remove(1);
            // Stable's median is 2 ms: half of its requests lie above that and a quarter above 4 ms, where half of the candidate's lie.
            near(latency.stable, 0.5);
            near(latency.recorded.beyond, 0.0);
            near(latency.alike, -0.25);
            // Influences ±1/4, of one sign for each prompt.
            near(latency.recorded.by_unit, 1.0 / 3.0);
            near(latency.recorded.both_ways.unwrap(), 1.0);
        });
    }

    #[test]
    fn a_log_that_repeats_is_mirrored_past_its_end() {
        mirrors(|during| {
            near(during(Some(2), 1..3)[0].requests, 8.0);
            // The second hour and, again, the first: in the third hour others would come.
            near(during(Some(2), 1..3)[0].recorded.by_unit, 1.0 / 12.0);
            assert_eq!(during(Some(2), 2..3), during(None, 0..1));
            near(during(Some(3), 0..7)[0].requests, 28.0);
        });
    }
}
