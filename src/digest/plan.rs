//! What of a request is added up, as a short program: masks, numbers, and sums over the requests of a mask.

use super::layout;
use crate::domain::metric::{Metric, MetricKind, Source};
use crate::domain::version::{PerVersion, Version};
use crate::ingest::checks::Extent;
use crate::ingest::schema::Columns;
use crate::scenario::Scenario;

/// Which requests count. Masks are named by their index; those that one is made of come before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mask {
    /// All of them.
    All,
    /// In a log in long form: this version served the request.
    Served(Version),
    /// In a log in long form: the row is a first turn.
    FirstTurn,
    /// This value column is not null.
    Measured(usize),
    /// The judge's draw is below this share.
    Drawn(f64),
    /// Both masks.
    Both(usize, usize),
    /// Either mask.
    Either(usize, usize),
}

/// A number of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// 1.
    One,
    /// The value in a value column.
    Value(usize),
    /// Whether that is above a threshold: 1 or 0.
    Above(usize, f64),
}

/// A sum over the requests of a mask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sum {
    /// Of 1 each.
    Count(usize),
    /// Of the product of two numbers, each rounded to a multiple of the quantum, a power of two.
    Product { mask: usize, factors: [usize; 2], quantum: f64 },
}

/// The bins of a value column, of the requests of a mask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Binned {
    pub(super) mask: usize,
    pub(super) column: usize,
}

/// Where a column of the digest comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// The number of requests.
    Rows,
    /// By index.
    Sum(usize),
    /// By index.
    Bins(usize),
}

/// The program. What is asked for twice is there once.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    pub(super) masks: Vec<Mask>,
    pub(super) numbers: Vec<Number>,
    pub(super) sums: Vec<Sum>,
    pub(super) bins: Vec<Binned>,
    /// Columns of the digest: requests, covered requests, in long form those that the candidate served, then those of each metric in the order of [`layout`].
    pub(super) outputs: Vec<Output>,
    /// Of judges' draws.
    pub(super) seed: u64,
}

/// A number, and the bound of its absolute value.
type Bounded = (usize, f64);

impl Plan {
    /// The sums of a scenario's metrics, over a log of this extent.
    pub(super) fn of(scenario: &Scenario, columns: &Columns, extent: &Extent) -> Self {
        let plan = Self { seed: scenario.simulation.seed, outputs: vec![Output::Rows], ..Self::default() };
        let mut maker = Maker { plan, columns, extent, covered: PerVersion::default() };
        maker.covered = if columns.served.is_some() {
            PerVersion::from_fn(|version| maker.served(version))
        } else if columns.trial.is_some() {
            PerVersion::from_fn(|version| maker.covered(scenario, version))
        } else {
            let covered = maker.covered(scenario, Version::Candidate);
            PerVersion::from_fn(|_| covered)
        };
        maker.count(maker.covered.stable);
        if columns.covers_apart() {
            maker.count(maker.covered.candidate);
        }
        for metric in &scenario.metrics {
            maker.add(metric);
        }
        maker.plan
    }

    /// Whether some judge samples.
    pub(super) fn draws(&self) -> bool {
        self.masks.iter().any(|mask| matches!(mask, Mask::Drawn(_)))
    }
}

struct Maker<'a> {
    plan: Plan,
    columns: &'a Columns,
    extent: &'a Extent,
    covered: PerVersion<usize>,
}

/// The index of an item, which is added if it is new.
fn index_of<T: PartialEq>(items: &mut Vec<T>, item: T) -> usize {
    items.iter().position(|other| *other == item).unwrap_or_else(|| {
        items.push(item);
        items.len() - 1
    })
}

impl Maker<'_> {
    fn mask(&mut self, mask: Mask) -> usize {
        index_of(&mut self.plan.masks, mask)
    }

    fn both(&mut self, a: usize, b: usize) -> usize {
        self.mask(Mask::Both(a, b))
    }

    fn measured(&mut self, column: &str, version: Version) -> usize {
        self.mask(Mask::Measured(self.columns.value_index(column, version)))
    }

    /// The requests that a version served: of the first turns, where only those count.
    fn served(&mut self, version: Version) -> usize {
        let served = self.mask(Mask::Served(version));
        if self.columns.first_turns.is_none() {
            return served;
        }
        let first = self.mask(Mask::FirstTurn);
        self.both(served, first)
    }

    /// Whether any column of a version that a metric reads is measured; without one every request counts.
    fn covered(&mut self, scenario: &Scenario, version: Version) -> usize {
        let mut names: Vec<&str> = Vec::new();
        // Of what users did nothing is known of the candidate: stable's outcomes stand for its.
        for metric in scenario.metrics.iter().filter(|metric| !metric.stable_only) {
            match &metric.kind {
                MetricKind::Mean { column }
                | MetricKind::Proportion { column, .. }
                | MetricKind::Rare { column, .. }
                | MetricKind::Quantile { column, .. }
                | MetricKind::Drift { column, .. }
                | MetricKind::Embedding { value: column, .. } => {
                    names.push(column.get(version));
                }
                MetricKind::Ratio { numerator, denominator } => {
                    for source in [numerator.get(version), denominator.get(version)] {
                        names.extend(if let Source::Column(column) = source { Some(column.as_str()) } else { None });
                    }
                }
            }
        }
        let measured: Vec<usize> = names.into_iter().map(|name| self.measured(name, version)).collect();
        let either = measured.into_iter().reduce(|a, b| if a == b { a } else { self.mask(Mask::Either(a, b)) });
        either.unwrap_or_else(|| self.mask(Mask::All))
    }

    fn output(&mut self, sum: Sum) {
        let sum = index_of(&mut self.plan.sums, sum);
        self.plan.outputs.push(Output::Sum(sum));
    }

    fn count(&mut self, mask: usize) {
        self.output(Sum::Count(mask));
    }

    /// Adds the sum of the products of two numbers as integer multiples of a quantum.
    fn product(&mut self, mask: usize, a: Bounded, b: Bounded) {
        let bits = (62 - i32::try_from(self.extent.rows.max(1).ilog2()).expect("a logarithm is small")).min(40);
        let quantum = quantum(a.1 * b.1, bits);
        self.output(Sum::Product { mask, factors: [a.0, b.0], quantum });
    }

    fn sum(&mut self, mask: usize, number: Bounded) {
        let one = self.one();
        self.product(mask, number, one);
    }

    fn one(&mut self) -> Bounded {
        (index_of(&mut self.plan.numbers, Number::One), 1.0)
    }

    fn value(&mut self, column: &str, version: Version) -> Bounded {
        let column = self.columns.value_index(column, version);
        (index_of(&mut self.plan.numbers, Number::Value(column)), self.extent.peaks[column])
    }

    fn add(&mut self, metric: &Metric) {
        // The requests that the metric's judge is asked about.
        let asked = match metric.judge.share {
            None => self.covered,
            Some(share) => {
                let drawn = self.mask(Mask::Drawn(share));
                let covered = self.covered;
                PerVersion::from_fn(|version| self.both(*covered.get(version), drawn))
            }
        };
        let measured = match &metric.kind {
            MetricKind::Quantile { column, .. } | MetricKind::Drift { column, .. } => PerVersion::from_fn(|version| {
                let (column, source) = (column.get(version), metric.source(version));
                let measured = self.measured(column, source);
                let mask = self.both(*asked.get(version), measured);
                let column = self.columns.value_index(column, source);
                let bins = index_of(&mut self.plan.bins, Binned { mask, column });
                self.plan.outputs.push(Output::Bins(bins));
                mask
            }),
            _ => self.add_sums(metric, asked),
        };
        if metric.judge.share.is_some() {
            self.count(asked.stable);
            if self.columns.covers_apart() {
                self.count(asked.candidate);
            }
        }
        if let Some(human) = &metric.judge.human {
            for version in Version::BOTH {
                self.add_labels(metric, version, human.get(version), *measured.get(version));
            }
        }
    }

    /// Gives the requests of each version that count.
    fn add_sums(&mut self, metric: &Metric, asked: PerVersion<usize>) -> PerVersion<usize> {
        let mut numbers = Vec::new();
        let measured = PerVersion::from_fn(|version| {
            let (num, column) = self.numerator(metric, version);
            let (den, den_column) = self.denominator(metric, version);
            let mut mask = *asked.get(version);
            for column in column.into_iter().chain(den_column) {
                let measured = self.measured(&column, metric.source(version));
                mask = self.both(mask, measured);
            }
            self.count(mask);
            self.sum(mask, num);
            if matches!(self.plan.numbers[num.0], Number::Value(_)) {
                self.product(mask, num, num);
            } else {
                // 0 and 1 are their own squares.
                self.sum(mask, num);
            }
            if layout::has_denominator(metric, version) {
                self.sum(mask, den);
                self.product(mask, den, den);
                self.product(mask, num, den);
            }
            numbers.push((num, den));
            mask
        });
        let pair = self.both(measured.stable, measured.candidate);
        self.count(pair);
        for (num, _) in &numbers {
            self.sum(pair, *num);
        }
        if layout::has_product(metric) {
            self.product(pair, numbers[0].0, numbers[1].0);
        }
        if Version::BOTH.iter().any(|&version| layout::has_denominator(metric, version)) {
            for (version, (_, den)) in Version::BOTH.into_iter().zip(&numbers) {
                if layout::has_denominator(metric, version) { self.sum(pair, *den) } else { self.count(pair) }
            }
        }
        measured
    }

    /// Sums over the requests of a version that have a value and a label.
    fn add_labels(&mut self, metric: &Metric, version: Version, human: &str, measured: usize) {
        let (judge, _) = self.numerator(metric, version);
        let labelled = self.measured(human, version);
        let mask = self.both(measured, labelled);
        let human = self.value(human, version);
        self.count(mask);
        self.sum(mask, human);
        self.sum(mask, judge);
    }

    /// With the column that must be measured for it.
    fn numerator(&mut self, metric: &Metric, version: Version) -> (Bounded, Option<String>) {
        let version = metric.source(version);
        match &metric.kind {
            MetricKind::Mean { column }
            | MetricKind::Proportion { column, over: None }
            | MetricKind::Rare { column, over: None }
            | MetricKind::Quantile { column, .. }
            | MetricKind::Drift { column, .. }
            | MetricKind::Embedding { value: column, .. } => {
                let column = column.get(version);
                (self.value(column, version), Some(column.clone()))
            }
            MetricKind::Proportion { column, over: Some(over) } | MetricKind::Rare { column, over: Some(over) } => {
                let column = column.get(version);
                let above = Number::Above(self.columns.value_index(column, version), *over);
                ((index_of(&mut self.plan.numbers, above), 1.0), Some(column.clone()))
            }
            MetricKind::Ratio { numerator, .. } => self.source(numerator.get(version), version),
        }
    }

    fn denominator(&mut self, metric: &Metric, version: Version) -> (Bounded, Option<String>) {
        match &metric.kind {
            MetricKind::Ratio { denominator, .. } => self.source(denominator.get(version), metric.source(version)),
            _ => (self.one(), None),
        }
    }

    fn source(&mut self, source: &Source, version: Version) -> (Bounded, Option<String>) {
        match source {
            Source::Column(column) => (self.value(column, version), Some(column.clone())),
            Source::Requests => (self.one(), None),
        }
    }
}

/// A power of two such that a number up to `peak` is a multiple of `bits` bits.
pub(crate) fn quantum(peak: f64, bits: i32) -> f64 {
    if peak <= 0.0 {
        return 1.0;
    }
    // The lower bound keeps the quantum's inverse finite. Peaks end at 1e100, and products of two at 1e200.
    (peak.log2().ceil() - f64::from(bits)).max(-1000.0).exp2()
}
