//! `TrafficLog` → `Digest`, on this machine.
//!
//! Sums must not depend on the order of rows or on threads, but adding floating-point numbers does. So each summand is
//! first rounded to a multiple of a quantum, a power of two about 2⁴⁰ times smaller than the largest absolute value of
//! its column, and multiples are added as integers, exactly. A sum is then off by at most half a quantum per request:
//! 5·10⁻¹³ of the column's largest value, and nothing at all for 0/1 outcomes and whole numbers up to 2⁴⁰.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use polars::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bins::BinLists;
use super::layout::{self, ColumnKind, Table};
use super::tally::{Keys, Output, Tally, Used};
use super::{Digest, Facts, Step};
use crate::assign::Buckets;
use crate::domain::metric::{Metric, MetricKind, Source};
use crate::domain::quantity::{Moment, Seconds};
use crate::domain::version::{PerVersion, Version};
use crate::error::{Error, Result};
use crate::ingest::engine::{Outcome, collect, fold, guarded};
use crate::ingest::schema::{self, Columns, ITEM, REQUEST, TIME, UNIT};
use crate::ingest::{TrafficLog, values};
use crate::scenario::Scenario;

const MICROS: i64 = 1_000_000;

/// Digests a log: one pass over its rows.
///
/// Of requests with the same id the earliest is kept, where the scenario says so; at the same time stamp the one that
/// is smallest in the order of unit, item, segments and values. So the order of rows does not matter here either.
///
/// # Errors
/// When the log can no longer be read, or is too large for a digest.
pub fn build(log: &TrafficLog, scenario: &Scenario, progress: &dyn Fn(Step)) -> Result<Digest> {
    // The bytes are read in the shade of the query, which is bound by the processor.
    let (fingerprint, added) = std::thread::scope(|scope| {
        let fingerprint = scope.spawn(|| log.fingerprint());
        let rows = Arc::new(AtomicU64::new(0));
        let (done, is_done) = channel();
        let counter = Arc::clone(&rows);
        let added = scope.spawn(move || {
            let added = add_up(log, scenario, &counter);
            // Nobody listens any more only where this thread is lost anyway.
            let _ = done.send(());
            added
        });
        while is_done.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
            progress(Step::Rows(rows.load(Ordering::Relaxed), log.findings().rows));
        }
        let added = added.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (fingerprint.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), added)
    });
    let (table, used) =
        added.map_err(|message: String| Error::at(log.place(), format!("cannot be read: {message}")))?;
    let findings = log.findings();
    let second = |micros: i64| Moment(micros.div_euclid(MICROS));
    let facts = Facts {
        rows: used.rows,
        start: second(used.start),
        end: second(used.end),
        fingerprint: fingerprint?,
        excluded_null_unit: findings.null_unit,
        excluded_timestamp: findings.bad_time,
        excluded_duplicate: findings.rows.saturating_sub(findings.null_unit + findings.bad_time + used.rows),
    };
    let slot = scenario.log.slot;
    let (first, slots) = layout::slot_range(&facts, slot, log.place())?;
    let assembled = table.assemble(first, &scenario.log.segments, &scenario.metrics, log.place())?;
    Ok(assembled.complete(facts, slot, first, slots, used.members))
}

/// The GROUP BY.
fn add_up(log: &TrafficLog, scenario: &Scenario, done: &Arc<AtomicU64>) -> Outcome<(Table, Used)> {
    let rows = counted_rows(log)?;
    let plan = Plan::of(log, scenario);
    let keys = Keys {
        unit: UNIT.into(),
        slot: SLOT.into(),
        time: TIME.into(),
        segments: (0..scenario.log.segments.len()).map(schema::segment).collect(),
        item: scenario.log.item.as_ref().map(|_| ITEM.into()),
    };
    let mut read: Vec<&String> = [&keys.unit, &keys.slot, &keys.time].into();
    read.extend(keys.segments.iter().chain(&keys.item));
    read.extend(plan.outputs[1..].iter().map(|output| &output.name));
    let read: BTreeSet<&String> = read.into_iter().collect();
    let features = rows
        .with_columns(plan.covered)
        .with_columns(plan.asked)
        .with_columns(plan.present)
        .with_columns(plan.masked)
        .with_columns(plan.labelled)
        .with_columns(plan.features)
        .select(read.into_iter().map(col).collect::<Vec<_>>());
    let tally = Tally::new(keys, plan.outputs, Buckets::of(&scenario.assignment));
    let done = Arc::clone(done);
    let tally = fold(features, tally, move |tally, batch| {
        tally.add(batch)?;
        done.fetch_add(batch.height() as u64, Ordering::Relaxed);
        Ok(())
    })?;
    guarded(|| tally.finish())
}

/// The rows that count: those with a unit and a time, and each request once.
pub(crate) fn counted_rows(log: &TrafficLog) -> Outcome<LazyFrame> {
    let rows = log.usable_rows()?;
    match &log.findings().duplicates {
        Some(duplicates) => without_repeats(&rows, duplicates, log.columns()),
        None => Ok(rows),
    }
}

/// Only the few requests that occur more than once are sorted; all others stream by.
fn without_repeats(rows: &LazyFrame, duplicates: &DataFrame, columns: &Columns) -> Outcome<LazyFrame> {
    let ids = || duplicates.clone().lazy().select([col(REQUEST)]);
    let join = |kind| rows.clone().join(ids(), [col(REQUEST)], [col(REQUEST)], JoinArgs::new(kind));
    let mut order = vec![REQUEST.to_owned(), TIME.to_owned(), UNIT.to_owned()];
    order.extend(columns.item.iter().map(|_| ITEM.to_owned()));
    order.extend((0..columns.segments.len()).map(schema::segment));
    order.extend((0..columns.values.len()).map(schema::value));
    let read: Vec<Expr> = order.iter().map(col).collect();
    let repeated = collect(join(JoinType::Semi).select(read.clone()))?;
    guarded(|| {
        let first =
            repeated.sort(order, SortMultipleOptions::default())?.lazy().filter(col(REQUEST).is_first_distinct());
        concat([join(JoinType::Anti).select(read), first], UnionArgs::default())
    })
}

/// The expressions of the GROUP BY, step by step, each on the columns of the step before.
struct Plan<'a> {
    columns: &'a Columns,
    peaks: &'a [f64],
    /// Bits of a summand, so that the sum over all rows fits 63.
    bits: i32,
    covered: Vec<Expr>,
    asked: Vec<Expr>,
    present: Vec<Expr>,
    masked: Vec<Expr>,
    labelled: Vec<Expr>,
    features: Vec<Expr>,
    outputs: Vec<Output>,
}

const COVERED: &str = "covered";
const DRAW: &str = "judge's draw";
const SLOT: &str = "slot";
const ROWS: &str = "rows";

impl<'a> Plan<'a> {
    fn of(log: &'a TrafficLog, scenario: &Scenario) -> Self {
        let columns = log.columns();
        let mut plan = Self {
            columns,
            peaks: &log.findings().peaks,
            bits: (62 - i32::try_from(log.findings().rows.ilog2()).expect("a logarithm is small")).min(40),
            covered: vec![covered(scenario, columns).alias(COVERED)],
            asked: Vec::new(),
            present: Vec::new(),
            masked: Vec::new(),
            labelled: Vec::new(),
            features: vec![values::slots(col(TIME), scenario.log.slot.0 * MICROS).alias(SLOT)],
            outputs: vec![Output { name: ROWS.into(), kind: ColumnKind::Count, quantum: 1.0 }],
        };
        plan.count(COVERED);
        if scenario.metrics.iter().any(|metric| metric.judge.share.is_some()) {
            plan.covered.push(draw(columns, scenario.simulation.seed).alias(DRAW));
        }
        for (index, metric) in scenario.metrics.iter().enumerate() {
            let asked = plan.ask(index, metric);
            match &metric.kind {
                MetricKind::Quantile { column, .. } => {
                    for version in Version::BOTH {
                        plan.add_bins(index, version, column.get(version), &asked);
                    }
                }
                _ => plan.add_sums(index, metric, &asked),
            }
            if metric.judge.share.is_some() {
                plan.count(&asked);
            }
            if let Some(human) = &metric.judge.human {
                plan.add_labels(index, metric, human);
            }
        }
        plan
    }

    /// Names the column of the requests that a metric's judge is asked about.
    fn ask(&mut self, index: usize, metric: &Metric) -> String {
        let Some(share) = metric.judge.share else { return COVERED.to_owned() };
        let name = format!("{index} asked");
        self.asked.push(col(COVERED).and(col(DRAW).lt(lit(share))).alias(&name));
        name
    }

    /// Sums over the requests of a version that have a value and a label.
    fn add_labels(&mut self, index: usize, metric: &Metric, human: &PerVersion<String>) {
        for version in Version::BOTH {
            let name = |part: &str| format!("{index} {} {part}", version.name());
            let human = human.get(version);
            let (n, label, value) = (name("labelled n"), name("label"), name("labelled x"));
            self.masked.push(col(name("n")).and(self.value(human).is_not_null()).alias(&n));
            self.count(&n);
            let peak = self.peak(human);
            let with_label = |value: Expr| when(col(&n)).then(value).otherwise(lit(NULL));
            self.labelled.push(with_label(self.value(human)).alias(&label));
            self.labelled.push(with_label(col(name("x"))).alias(&value));
            self.sum(name("labelled human"), col(&label), peak, |x| x);
            let judge_peak = self.numerator(metric, version).map_or(1.0, |(_, peak)| peak);
            self.sum(name("labelled judge"), col(&value), judge_peak, |x| x);
        }
    }

    fn value(&self, column: &str) -> Expr {
        col(schema::value(self.columns.value_index(column)))
    }

    fn peak(&self, column: &str) -> f64 {
        self.peaks[self.columns.value_index(column)]
    }

    fn count(&mut self, name: &str) {
        self.outputs.push(Output { name: name.to_owned(), kind: ColumnKind::Count, quantum: 1.0 });
    }

    /// Adds the sum of `number` as integer multiples of a quantum. `peak` bounds it.
    fn sum(&mut self, name: String, number: Expr, peak: f64, convert: fn(f64) -> f64) {
        let quantum = quantum(peak, self.bits);
        let multiple = move |x: f64| values::whole(convert(x) / quantum);
        self.features.push(values::whole_numbers(number, multiple).alias(&name));
        self.outputs.push(Output { name, kind: ColumnKind::Sum, quantum });
    }

    /// The sum is already there under another name.
    fn same(&mut self, name: &str) {
        let quantum = self.outputs.iter().find(|output| output.name == name).map_or(1.0, |output| output.quantum);
        self.outputs.push(Output { name: name.to_owned(), kind: ColumnKind::Sum, quantum });
    }

    fn add_bins(&mut self, index: usize, version: Version, column: &str, asked: &str) {
        let name = format!("{index} {} bins", version.name());
        let value = when(col(asked)).then(self.value(column)).otherwise(lit(NULL));
        self.features.push(values::bins(value).alias(&name));
        self.outputs.push(Output { name, kind: ColumnKind::Bins, quantum: 1.0 });
    }

    fn add_sums(&mut self, index: usize, metric: &Metric, asked: &str) {
        let name = |version: Version, part: &str| format!("{index} {} {part}", version.name());
        for version in Version::BOTH {
            let numerator = self.numerator(metric, version);
            let denominator = match &metric.kind {
                MetricKind::Ratio { denominator, .. } => self.source(denominator.get(version)),
                _ => None,
            };
            // Columns that must be measured for the request to count.
            let mut present = col(asked);
            for (value, _) in numerator.iter().chain(&denominator) {
                present = present.and(value.clone().is_not_null());
            }
            let n = name(version, "n");
            self.present.push(present.alias(&n));
            self.count(&n);
            let masked = |value: Expr| when(col(&n)).then(value).otherwise(lit(NULL));
            let (value, peak) = numerator.clone().unwrap_or_else(|| (lit(1.0), 1.0));
            let (num, x) = (name(version, "num"), name(version, "x"));
            self.masked.push(masked(value).alias(&x));
            self.sum(num.clone(), col(&x), peak, |x| x);
            let zero_or_one = numerator.is_none() || is_indicator(metric);
            if zero_or_one {
                self.same(&num);
            } else {
                self.sum(name(version, "num2"), col(&x), peak * peak, |x| x * x);
            }
            if let Some((value, den_peak)) = denominator {
                let d = name(version, "d");
                self.masked.push(masked(value).alias(&d));
                self.sum(name(version, "den"), col(&d), den_peak, |x| x);
                self.sum(name(version, "den2"), col(&d), den_peak * den_peak, |x| x * x);
                self.sum(name(version, "numden"), col(&x) * col(&d), peak * den_peak, |x| x);
            }
        }
        self.add_paired(index, metric);
    }

    fn add_paired(&mut self, index: usize, metric: &Metric) {
        let name = |version: Version, part: &str| format!("{index} {} {part}", version.name());
        let [stable, candidate] = Version::BOTH.map(|version| col(name(version, "n")));
        let n = format!("{index} paired n");
        self.masked.push(stable.and(candidate).alias(&n));
        self.count(&n);
        let in_pair = |column: String| when(col(&n)).then(col(column)).otherwise(lit(NULL));
        for version in Version::BOTH {
            let peak = self.numerator(metric, version).map_or(1.0, |(_, peak)| peak);
            self.sum(name(version, "paired num"), in_pair(name(version, "x")), peak, |x| x);
        }
        if layout::has_product(metric) {
            let peaks = Version::BOTH.map(|version| self.numerator(metric, version).map_or(1.0, |(_, peak)| peak));
            let [stable, candidate] = Version::BOTH.map(|version| col(name(version, "x")));
            // Without both values there is no product.
            self.sum(format!("{index} product"), stable * candidate, peaks[0] * peaks[1], |x| x);
        }
        let MetricKind::Ratio { denominator, .. } = &metric.kind else { return };
        if Version::BOTH.iter().all(|&version| !layout::has_denominator(metric, version)) {
            return;
        }
        for version in Version::BOTH {
            match self.source(denominator.get(version)) {
                Some((_, peak)) => self.sum(name(version, "paired den"), in_pair(name(version, "d")), peak, |x| x),
                None => self.same(&n),
            }
        }
    }

    /// The value of a source and the bound of its absolute value; `None` is 1 for each request.
    fn source(&self, source: &Source) -> Option<(Expr, f64)> {
        match source {
            Source::Column(column) => Some((self.value(column), self.peak(column))),
            Source::Requests => None,
        }
    }

    fn numerator(&self, metric: &Metric, version: Version) -> Option<(Expr, f64)> {
        match &metric.kind {
            MetricKind::Mean { column }
            | MetricKind::Proportion { column, over: None }
            | MetricKind::Rare { column, over: None } => {
                let column = column.get(version);
                Some((self.value(column), self.peak(column)))
            }
            MetricKind::Proportion { column, over: Some(over) } | MetricKind::Rare { column, over: Some(over) } => {
                Some((self.value(column.get(version)).gt(lit(*over)).cast(DataType::Float64), 1.0))
            }
            MetricKind::Ratio { numerator, .. } => self.source(numerator.get(version)),
            MetricKind::Quantile { .. } => unreachable!("quantiles have bins"),
        }
    }
}

fn is_indicator(metric: &Metric) -> bool {
    matches!(metric.kind, MetricKind::Proportion { over: Some(_), .. } | MetricKind::Rare { over: Some(_), .. })
}

/// A power of two such that a number up to `peak` is a multiple of `bits` bits.
pub(crate) fn quantum(peak: f64, bits: i32) -> f64 {
    if peak <= 0.0 {
        return 1.0;
    }
    // The lower bound keeps the quantum's inverse finite. Peaks end at 1e100, and products of two at 1e200.
    (peak.log2().ceil() - f64::from(bits)).max(-1000.0).exp2()
}

/// Whether any candidate column that a metric reads is measured; without one every request counts.
fn covered(scenario: &Scenario, columns: &Columns) -> Expr {
    let mut names: Vec<&str> = Vec::new();
    for metric in &scenario.metrics {
        match &metric.kind {
            MetricKind::Mean { column }
            | MetricKind::Proportion { column, .. }
            | MetricKind::Rare { column, .. }
            | MetricKind::Quantile { column, .. } => {
                names.push(&column.candidate);
            }
            MetricKind::Ratio { numerator, denominator } => {
                for source in [&numerator.candidate, &denominator.candidate] {
                    names.extend(if let Source::Column(column) = source { Some(column.as_str()) } else { None });
                }
            }
        }
    }
    let measured = names.into_iter().map(|name| col(schema::value(columns.value_index(name))).is_not_null());
    measured.reduce(Expr::or).unwrap_or_else(|| col(UNIT).is_not_null())
}

/// A number in [0, 1) for each request, which a judge that samples compares with its share: a hash of the request's id, or
/// of unit and time where it has none, so that neither the order of rows nor other requests matter. Judges draw alike: a
/// smaller sample is part of a larger one.
fn draw(columns: &Columns, seed: u64) -> Expr {
    let number = move |unit: Option<&str>, request: Option<&str>, time: Option<i64>| {
        let key = request.map_or_else(
            || [unit.unwrap_or_default().as_bytes(), &[0], &time.unwrap_or_default().to_le_bytes()].concat(),
            |request| request.as_bytes().to_vec(),
        );
        let hash = xxh3_64_with_seed(&key, seed);
        // 53 bits fill a number in [0, 1) exactly.
        (hash >> 11) as f64 * 2_f64.powi(-53)
    };
    let request = if columns.request.is_some() { col(REQUEST) } else { lit(NULL).cast(DataType::String) };
    let drawn = move |columns: &mut [Column]| {
        let [unit, request, time] = columns else { unreachable!("three columns are given") };
        let length = unit.len();
        let request = if request.len() == length { request.clone() } else { request.new_from_index(0, length) };
        let (units, requests, times) = (unit.str()?, request.str()?, time.i64()?);
        let rows = units.iter().zip(requests.iter()).zip(times.iter());
        let drawn: Float64Chunked = rows.map(|((unit, request), time)| Some(number(unit, request, time))).collect();
        Ok(drawn.into_column())
    };
    map_multiple(drawn, [col(UNIT), request, col(TIME)], |_, fields| {
        Ok(Field::new(fields[0].name().clone(), DataType::Float64))
    })
}

/// A column of lists; a null is no request.
pub(super) fn bin_lists(column: &Column) -> PolarsResult<BinLists> {
    let lists = column.list()?;
    let mut offsets = Vec::with_capacity(lists.len() + 1);
    let mut bins = Vec::new();
    offsets.push(0);
    for chunk in lists.downcast_iter() {
        let inner = Series::try_from((PlSmallStr::EMPTY, chunk.values().clone()))?.cast(&DataType::Int16)?;
        let inner: Vec<Option<i16>> = inner.i16()?.iter().collect();
        let validity = chunk.validity();
        for (index, window) in chunk.offsets().buffer().windows(2).enumerate() {
            if validity.is_none_or(|bits| bits.get_bit(index)) {
                let (from, to) = (usize::try_from(window[0]), usize::try_from(window[1]));
                let (from, to) = (from.expect("offsets grow from 0"), to.expect("offsets grow from 0"));
                bins.extend(inner[from..to].iter().flatten());
            }
            let end = u32::try_from(bins.len());
            offsets.push(end.map_err(|_| polars_err!(ComputeError: "more than 4,294,967,295 measured requests"))?);
        }
    }
    Ok(BinLists { offsets, bins })
}

/// Start of a slot in microseconds since 1970.
pub(super) fn slot_micros(slot: i64, width: Seconds) -> i64 {
    slot * width.0 * MICROS
}
