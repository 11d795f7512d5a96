//! Log → requests in which the candidate is worse, the worst first: what to look at, and the next golden set.
//!
//! A request's loss in a metric is how much worse the candidate's value is than stable's, over the root mean square of all such
//! differences in the log, so that metrics can be added; where the candidate is better it is 0, because one gate does not make up for
//! another. Of a ratio, a value is what the request adds beyond stable's ratio: numerator less ratio times denominator.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use polars::prelude::{Column, DataFrame, PolarsResult};

use crate::digest::plan::quantum;
use crate::domain::metric::{Metric, MetricKind, Nulls, Source};
use crate::domain::version::{PerVersion, Version};
use crate::error::{Error, Result};
use crate::ingest::engine::guarded;
use crate::ingest::repeats::Repeats;
use crate::ingest::schema::{self, ITEM, REQUEST, TIME, UNIT};
use crate::ingest::{Survey, TrafficLog};
use crate::scenario::Scenario;

/// Bits of a summand: sums of whole multiples do not depend on the order in which rows come.
const BITS: i32 = 40;

/// Losses are added as multiples of this.
const LOSS_QUANTUM: f64 = 1.0 / (1_u64 << 32) as f64;

/// A request in which the candidate is worse.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Sum over the metrics.
    pub loss: f64,
    /// Of each metric.
    pub losses: Vec<f64>,
    /// Mean loss of the request's worst segment beyond that of all requests; `None` without segment columns.
    pub excess: Option<f64>,
    /// Index of that segment's column.
    pub excess_column: Option<usize>,
    /// Its id, if the scenario names a column of ids.
    pub request: Option<String>,
    /// Its unit.
    pub unit: String,
    /// In microseconds since 1970.
    pub time: i64,
    /// Its item, if there are any.
    pub item: Option<String>,
    /// Values of the segment columns.
    pub segments: Vec<Option<String>>,
    /// Values of the columns that metrics read.
    pub values: Vec<Option<f64>>,
}

/// What was found in a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Failures {
    /// Metrics whose losses are added.
    pub metrics: Vec<usize>,
    /// Names of the columns that metrics read.
    pub columns: Vec<String>,
    /// Requests with both versions' values of some metric.
    pub compared: u64,
    /// Of those, the ones in which the candidate is worse.
    pub worse: u64,
    /// The worst, by loss, then by segment excess, then by id, unit and time.
    pub worst: Vec<Failure>,
}

/// The `most` worst requests of a log, by the losses in some metrics.
///
/// # Errors
/// A file that changes or breaks while it is read.
pub fn find(log: &TrafficLog, scenario: &Scenario, metrics: &[usize], most: usize) -> Result<Failures> {
    let mut survey = log.survey(&|_| {})?;
    // What files foretell of their values may be wrong; what they hold is not.
    let ((), watch) = log.read(&survey, &[], (), |(), _| Ok(()), &|_| {})?;
    survey.extent = watch.extent();
    let log = Surveyed { log, survey: &survey };
    let mut losses = Losses::new(log.log, scenario, metrics);
    losses.measure_ratios(log)?;
    losses.measure_scales(log)?;
    let means = losses.means(log)?;
    let worst = worst(log, &losses, &means, most)?;
    let log = log.log;
    let columns = log.columns().values.iter().map(|column| column.name.clone()).collect();
    Ok(Failures { metrics: metrics.to_vec(), columns, compared: means.all.requests, worse: means.worse, worst })
}

/// A log and what is known of it.
#[derive(Clone, Copy)]
struct Surveyed<'a> {
    log: &'a TrafficLog,
    survey: &'a Survey,
}

/// One row as read.
struct Row<'a> {
    texts: &'a Texts<'a>,
    number: usize,
    values: &'a [Option<f64>],
}

/// Columns of a batch that say which request it is.
struct Texts<'a> {
    time: &'a Column,
    unit: &'a Column,
    request: Option<&'a Column>,
    item: Option<&'a Column>,
    segments: Vec<&'a Column>,
}

impl Row<'_> {
    fn text(&self, column: &Column) -> Option<String> {
        column.str().ok().and_then(|texts| texts.get(self.number)).map(str::to_owned)
    }

    fn time(&self) -> i64 {
        self.texts.time.i64().ok().and_then(|times| times.get(self.number)).unwrap_or_default()
    }

    fn segment(&self, column: usize) -> Option<String> {
        self.text(self.texts.segments[column])
    }
}

/// How losses are computed.
#[derive(Clone)]
struct Losses {
    metrics: Vec<Metric>,
    /// Columns of numerator and denominator; `None` counts requests.
    sources: Vec<PerVersion<(Option<usize>, Option<usize>)>>,
    /// Columns of the candidate that say whether a request was mirrored.
    mirrored: Vec<usize>,
    /// Stable's ratio, of ratios.
    ratios: Vec<f64>,
    /// Largest absolute difference there can be.
    peaks: Vec<f64>,
    /// Root mean squares of differences.
    scales: Vec<f64>,
    segments: usize,
    has_request: bool,
    has_item: bool,
    /// Whether a unit's name has that of a session or request in it.
    has_within: bool,
}

impl Losses {
    fn new(log: &TrafficLog, scenario: &Scenario, metrics: &[usize]) -> Self {
        let columns = log.columns();
        let chosen: Vec<Metric> = metrics.iter().map(|&metric| scenario.metrics[metric].clone()).collect();
        let place = |metric: &Metric, name: &str, version| Some(columns.value_index(name, metric.source(version)));
        let index = |metric: &Metric, source: &Source, version: Version| match source {
            Source::Column(name) => place(metric, name, version),
            Source::Requests => None,
        };
        let sources = |metric: &Metric| match &metric.kind {
            MetricKind::Ratio { numerator, denominator } => PerVersion::from_fn(|version| {
                (index(metric, numerator.get(version), version), index(metric, denominator.get(version), version))
            }),
            MetricKind::Mean { column }
            | MetricKind::Proportion { column, .. }
            | MetricKind::Rare { column, .. }
            | MetricKind::Quantile { column, .. }
            | MetricKind::Drift { column, .. }
            | MetricKind::Embedding { value: column, .. } => {
                PerVersion::from_fn(|version| (place(metric, column.get(version), version), None))
            }
        };
        let mirrored = scenario.metrics.iter().filter(|metric| !metric.stable_only).flat_map(|metric| {
            let (numerator, denominator) = sources(metric).candidate;
            [numerator, denominator].into_iter().flatten()
        });
        Self {
            mirrored: mirrored.collect(),
            sources: chosen.iter().map(sources).collect(),
            ratios: vec![0.0; chosen.len()],
            peaks: vec![0.0; chosen.len()],
            scales: vec![0.0; chosen.len()],
            metrics: chosen,
            segments: columns.segments.len(),
            has_request: columns.request.is_some(),
            has_item: columns.item.is_some(),
            has_within: columns.within.is_some(),
        }
    }

    /// Numerator and denominator of one version.
    fn parts(&self, metric: usize, version: Version, values: &[Option<f64>]) -> Option<(f64, f64)> {
        let (numerator, denominator) = *self.sources[metric].get(version);
        let of = |column: Option<usize>| column.map_or(Some(1.0), |column| values[column]);
        let rule = &self.metrics[metric];
        let measured = of(numerator).map(|numerator| match rule.kind {
            MetricKind::Proportion { over: Some(over), .. } | MetricKind::Rare { over: Some(over), .. } => {
                f64::from(u8::from(numerator > over))
            }
            _ => numerator,
        });
        let mirrored = || self.mirrored.iter().any(|&column| values[column].is_some());
        let missing = || if rule.nulls == Nulls::Worst && mirrored() { rule.worst } else { None };
        let numerator = measured.or_else(missing)?;
        Some((numerator, of(denominator)?))
    }

    /// How much worse the candidate's value is; `None` without a pair.
    fn difference(&self, metric: usize, values: &[Option<f64>]) -> Option<f64> {
        let ratio = self.ratios[metric];
        let value = |version| {
            self.parts(metric, version, values).map(|(numerator, denominator)| numerator - ratio * denominator)
        };
        let (stable, candidate) = (value(Version::Stable)?, value(Version::Candidate)?);
        Some(self.metrics[metric].better.worse_sign() * (candidate - stable))
    }

    /// Losses of a request, metric by metric; `None` where no metric has a pair.
    fn of(&self, values: &[Option<f64>]) -> Option<Vec<f64>> {
        let differences: Vec<Option<f64>> =
            (0..self.metrics.len()).map(|metric| self.difference(metric, values)).collect();
        let loss = |(difference, &scale): (&Option<f64>, &f64)| {
            if scale > 0.0 { difference.unwrap_or(0.0).max(0.0) / scale } else { 0.0 }
        };
        let any = differences.iter().any(Option::is_some);
        any.then(|| differences.iter().zip(&self.scales).map(loss).collect())
    }

    /// Stable's ratio over the pairs, and how large a difference can be.
    fn measure_ratios(&mut self, log: Surveyed<'_>) -> Result<()> {
        let peaks = &log.survey.extent.peaks;
        let peak = |column: Option<usize>| column.map_or(1.0, |column| peaks[column]);
        let is_ratio = |metric: &Metric| matches!(metric.kind, MetricKind::Ratio { .. });
        if self.metrics.iter().any(is_ratio) {
            let quanta: Vec<[f64; 2]> = self
                .sources
                .iter()
                .map(|sources| [quantum(peak(sources.stable.0), BITS), quantum(peak(sources.stable.1), BITS)])
                .collect();
            let (losses, steps) = (self.clone(), quanta.clone());
            let sums =
                self.scan(log, vec![[0_i128; 2]; self.metrics.len()], move |sums: &mut Vec<[i128; 2]>, row| {
                    for (metric, sum) in sums.iter_mut().enumerate() {
                        let pair = Version::BOTH.map(|version| losses.parts(metric, version, row.values));
                        if let [Some((numerator, denominator)), Some(_)] = pair {
                            sum[0] += whole(numerator, steps[metric][0]);
                            sum[1] += whole(denominator, steps[metric][1]);
                        }
                    }
                })?;
            for (metric, [numerator, denominator]) in sums.into_iter().enumerate() {
                let value = numerator as f64 * quanta[metric][0] / (denominator as f64 * quanta[metric][1]);
                self.ratios[metric] = if is_ratio(&self.metrics[metric]) && value.is_finite() { value } else { 0.0 };
            }
        }
        for (metric, sources) in self.sources.iter().enumerate() {
            let rule = &self.metrics[metric];
            let one = |(numerator, denominator)| peak(numerator) + self.ratios[metric].abs() * peak(denominator);
            self.peaks[metric] = match rule.kind {
                MetricKind::Proportion { over: Some(_), .. } | MetricKind::Rare { over: Some(_), .. } => 1.0,
                _ => one(sources.stable) + one(sources.candidate) + 2.0 * rule.worst.unwrap_or(0.0).abs(),
            };
        }
        Ok(())
    }

    fn measure_scales(&mut self, log: Surveyed<'_>) -> Result<()> {
        let quanta: Vec<f64> = self.peaks.iter().map(|&peak| quantum(peak, BITS)).collect();
        let (losses, steps) = (self.clone(), quanta.clone());
        let sums =
            self.scan(log, vec![(0_i128, 0_u64); self.metrics.len()], move |sums: &mut Vec<(i128, u64)>, row| {
                for (metric, (squares, pairs)) in sums.iter_mut().enumerate() {
                    if let Some(difference) = losses.difference(metric, row.values) {
                        let whole = whole(difference, steps[metric]);
                        *squares += whole * whole;
                        *pairs += 1;
                    }
                }
            })?;
        let scale =
            |((squares, pairs), quantum): ((i128, u64), f64)| (squares as f64 / pairs.max(1) as f64).sqrt() * quantum;
        self.scales = sums.into_iter().zip(quanta).map(scale).collect();
        Ok(())
    }

    /// Mean losses of all requests and of each segment value.
    fn means(&self, log: Surveyed<'_>) -> Result<Means> {
        let losses = self.clone();
        let empty = Means { all: Mean::default(), worse: 0, segments: vec![BTreeMap::new(); self.segments] };
        self.scan(log, empty, move |means: &mut Means, row| {
            let Some(loss) = losses.of(row.values).map(|losses| losses.iter().sum::<f64>()) else { return };
            means.all.add(loss);
            means.worse += u64::from(loss > 0.0);
            for (column, segment) in means.segments.iter_mut().enumerate() {
                segment.entry(row.segment(column)).or_default().add(loss);
            }
        })
    }

    /// A unit as people call it.
    fn unit(&self, name: String) -> String {
        if self.has_within { schema::holder(&name).to_owned() } else { name }
    }

    /// Every row of the log that counts, in no certain order.
    fn scan<S: Send + 'static>(
        &self,
        log: Surveyed<'_>,
        state: S,
        take: impl Fn(&mut S, &Row<'_>) + Send + Sync + 'static,
    ) -> Result<S> {
        let Surveyed { log, survey } = log;
        let names: Vec<String> = (0..log.columns().values.len()).map(schema::value).collect();
        let (segments, has_request, has_item) = (self.segments, self.has_request, self.has_item);
        let mut read = vec![UNIT.to_owned(), TIME.to_owned()];
        read.extend(has_request.then(|| REQUEST.to_owned()));
        read.extend(has_item.then(|| ITEM.to_owned()));
        read.extend((0..segments).map(schema::segment).chain(names.iter().cloned()));
        let each = move |state: &mut S, batch: &DataFrame| {
            let texts = Texts {
                time: batch.column(TIME)?,
                unit: batch.column(UNIT)?,
                request: if has_request { Some(batch.column(REQUEST)?) } else { None },
                item: if has_item { Some(batch.column(ITEM)?) } else { None },
                segments: (0..segments)
                    .map(|column| batch.column(&schema::segment(column)))
                    .collect::<PolarsResult<_>>()?,
            };
            let columns: Vec<_> = names.iter().map(|name| batch.column(name)?.f64()).collect::<PolarsResult<_>>()?;
            let mut values = vec![None; columns.len()];
            for row in 0..batch.height() {
                for (value, column) in values.iter_mut().zip(&columns) {
                    *value = column.get(row);
                }
                take(state, &Row { texts: &texts, number: row, values: &values });
            }
            Ok(())
        };
        let each = Arc::new(each);
        let of_batch = Arc::clone(&each);
        let repeats = Repeats::new(survey.repeated.as_ref(), log.columns());
        let take = move |(state, repeats): &mut (S, Repeats), batch| of_batch(state, &repeats.others(batch)?);
        let ((mut state, repeats), _) = log.read(survey, &read, (state, repeats), take, &|_| {})?;
        let rest = || repeats.first()?.map_or(Ok(()), |first| each(&mut state, &first));
        guarded(rest).map_err(|message| Error::at(log.place(), format!("cannot be read: {message}")))?;
        Ok(state)
    }
}

/// The nearest multiple of a quantum.
fn whole(value: f64, quantum: f64) -> i128 {
    (value / quantum).round() as i128
}

/// A mean whose sum does not depend on the order of summands.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: i128,
    requests: u64,
}

impl Mean {
    fn add(&mut self, loss: f64) {
        self.sum += whole(loss, LOSS_QUANTUM);
        self.requests += 1;
    }

    fn value(self) -> f64 {
        self.sum as f64 * LOSS_QUANTUM / self.requests.max(1) as f64
    }
}

struct Means {
    all: Mean,
    /// Requests with a loss.
    worse: u64,
    segments: Vec<BTreeMap<Option<String>, Mean>>,
}

impl Means {
    /// The column in which a request's segment loses most beyond all requests, and how much; the first of equals.
    fn excess(&self, row: &Row<'_>) -> (Option<f64>, Option<usize>) {
        let all = self.all.value();
        let of = |column: usize| self.segments[column].get(&row.segment(column)).map_or(0.0, |mean| mean.value() - all);
        let first_largest = |best: Option<(f64, usize)>, column: usize| {
            let excess = of(column);
            if best.is_some_and(|(most, _)| most >= excess) { best } else { Some((excess, column)) }
        };
        (0..self.segments.len()).fold(None, first_largest).unzip()
    }
}

/// By loss, then by excess, then by everything else, so that equal losses have an order of their own.
fn order(a: &Failure, b: &Failure) -> Ordering {
    let values = |failure: &Failure| failure.values.iter().map(|value| value.map(f64::to_bits)).collect::<Vec<_>>();
    b.loss
        .total_cmp(&a.loss)
        .then(b.excess.unwrap_or(0.0).total_cmp(&a.excess.unwrap_or(0.0)))
        .then_with(|| (&a.request, &a.unit, a.time, &a.item).cmp(&(&b.request, &b.unit, b.time, &b.item)))
        .then_with(|| (&a.segments, values(a)).cmp(&(&b.segments, values(b))))
}

/// In [`order`]: the greatest is the least bad.
struct Ranked(Failure);

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        order(&self.0, &other.0)
    }
}

/// The worst requests; no more than these are ever held.
fn worst(log: Surveyed<'_>, losses: &Losses, means: &Means, most: usize) -> Result<Vec<Failure>> {
    let (own, segments) = (losses.clone(), means.segments.clone());
    let means = Means { all: means.all, worse: means.worse, segments };
    let kept = losses.scan(log, BinaryHeap::new(), move |kept: &mut BinaryHeap<Ranked>, row| {
        let Some(of_metrics) = own.of(row.values) else { return };
        let loss: f64 = of_metrics.iter().sum();
        let full = kept.len() >= most;
        // Most rows are no candidates, and cost nothing.
        if loss <= 0.0 || (full && kept.peek().is_some_and(|least| loss < least.0.loss)) {
            return;
        }
        let (excess, excess_column) = means.excess(row);
        kept.push(Ranked(Failure {
            loss,
            losses: of_metrics,
            excess,
            excess_column,
            request: row.texts.request.and_then(|column| row.text(column)),
            unit: own.unit(row.text(row.texts.unit).unwrap_or_default()),
            time: row.time(),
            item: row.texts.item.and_then(|column| row.text(column)),
            segments: (0..own.segments).map(|column| row.segment(column)).collect(),
            values: row.values.to_vec(),
        }));
        if full {
            kept.pop();
        }
    })?;
    Ok(kept.into_sorted_vec().into_iter().map(|ranked| ranked.0).collect())
}

/// Ranks by segment excess, from 1: the requests of the worst segments first, within a segment by loss.
#[must_use]
pub fn excess_ranks(worst: &[Failure]) -> Vec<usize> {
    let mut by_excess: Vec<usize> = (0..worst.len()).collect();
    by_excess
        .sort_by(|&a, &b| worst[b].excess.unwrap_or(0.0).total_cmp(&worst[a].excess.unwrap_or(0.0)).then(a.cmp(&b)));
    let mut ranks = vec![0; worst.len()];
    for (rank, index) in by_excess.into_iter().enumerate() {
        ranks[index] = rank + 1;
    }
    ranks
}
