//! Cells as columns of numbers in a fixed order: how they leave the query engine and how they lie in a file.

use std::collections::{BTreeMap, HashMap};

use super::bins::BinLists;
use super::cells::{Cells, DenominatorSums, Judged, LabelSums, MetricCells, PairedSums, SumCells, Sums};
use super::{Digest, Facts, SegmentColumn};
use crate::domain::metric::{Metric, MetricKind, Source};
use crate::domain::quantity::{Moment, Seconds};
use crate::domain::version::{PerVersion, Version};
use crate::error::{Error, Result};
use crate::scenario::Scenario;

pub(super) use crate::ingest::schema::NULL_NAME;

/// A column of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnKind {
    /// A whole number of requests.
    Count,
    /// A sum.
    Sum,
    /// A list of bins.
    Bins,
}

/// Whether a version's denominator is a column.
pub(super) fn has_denominator(metric: &Metric, version: Version) -> bool {
    match &metric.kind {
        MetricKind::Ratio { denominator, .. } => matches!(denominator.get(version), Source::Column(_)),
        _ => false,
    }
}

fn has_paired_denominator(metric: &Metric) -> bool {
    Version::BOTH.iter().any(|&version| has_denominator(metric, version))
}

/// Names of a metric's columns without its own, in order.
pub(super) fn columns(metric: &Metric) -> Vec<(String, ColumnKind)> {
    let mut columns = Vec::new();
    if metric.kind.quantile().is_some() {
        columns.extend(Version::BOTH.map(|version| (format!("{}.bins", version.name()), ColumnKind::Bins)));
        return columns;
    }
    for version in Version::BOTH {
        let mut add = |part: &str, kind| columns.push((format!("{}.{part}", version.name()), kind));
        add("n", ColumnKind::Count);
        add("num", ColumnKind::Sum);
        add("num2", ColumnKind::Sum);
        if has_denominator(metric, version) {
            add("den", ColumnKind::Sum);
            add("den2", ColumnKind::Sum);
            add("numden", ColumnKind::Sum);
        }
    }
    columns.push(("paired.n".into(), ColumnKind::Count));
    for part in if has_paired_denominator(metric) { &["num", "den"][..] } else { &["num"] } {
        columns.extend(Version::BOTH.map(|version| (format!("paired.{}.{part}", version.name()), ColumnKind::Sum)));
    }
    if has_product(metric) {
        columns.push(("paired.product".into(), ColumnKind::Sum));
    }
    columns
}

/// Whether pairs are counted by what both versions said.
pub(super) fn has_product(metric: &Metric) -> bool {
    matches!(metric.kind, MetricKind::Proportion { .. })
}

/// Names of the columns of a metric's judge without the metric's own, in order; they follow those of [`columns`]. `apart` where versions are
/// not covered alike.
pub(super) fn judge_columns(metric: &Metric, apart: bool) -> Vec<(String, ColumnKind)> {
    let mut columns = Vec::new();
    if metric.judge.share.is_some() {
        columns.push(("asked".into(), ColumnKind::Count));
        columns.extend(apart.then(|| ("asked.candidate".into(), ColumnKind::Count)));
    }
    if metric.judge.human.is_some() {
        for version in Version::BOTH {
            let name = |part: &str| format!("{}.labelled.{part}", version.name());
            columns.extend([(name("n"), ColumnKind::Count), (name("human"), ColumnKind::Sum)]);
            columns.push((name("judge"), ColumnKind::Sum));
        }
    }
    columns
}

/// Values of one column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    Numbers(Vec<f64>),
    Bins(BinLists),
}

/// Takes the columns of [`columns`] in their order.
pub(super) fn metric_cells(metric: &Metric, values: &mut impl Iterator<Item = Values>) -> MetricCells {
    if metric.kind.quantile().is_some() {
        return MetricCells::Bins(PerVersion::from_fn(|_| match values.next() {
            Some(Values::Bins(bins)) => bins,
            _ => unreachable!("columns are made in this order"),
        }));
    }
    let mut next = || match values.next() {
        Some(Values::Numbers(numbers)) => numbers,
        _ => unreachable!("columns are made in this order"),
    };
    let version = PerVersion::from_fn(|version| Sums {
        n: next(),
        num: next(),
        num2: next(),
        denominator: has_denominator(metric, version).then(|| DenominatorSums {
            den: next(),
            den2: next(),
            numden: next(),
        }),
    });
    let paired = PairedSums {
        n: next(),
        num: PerVersion::from_fn(|_| next()),
        den: has_paired_denominator(metric).then(|| PerVersion::from_fn(|_| next())),
        product: has_product(metric).then(&mut next),
    };
    MetricCells::Sums(SumCells { version, paired })
}

/// Takes the columns of [`judge_columns`] in their order.
pub(super) fn judged(metric: &Metric, apart: bool, values: &mut impl Iterator<Item = Values>) -> Judged {
    let mut next = || match values.next() {
        Some(Values::Numbers(numbers)) => numbers,
        _ => unreachable!("columns are made in this order"),
    };
    Judged {
        asked: metric.judge.share.map(|_| next()),
        asked_candidate: metric.judge.share.filter(|_| apart).map(|_| next()),
        labels: metric
            .judge
            .human
            .as_ref()
            .map(|_| PerVersion::from_fn(|_| LabelSums { n: next(), human: next(), judge: next() })),
        recorded: None,
    }
}

/// The columns of [`judge_columns`] in their order.
pub(super) fn judged_columns(judged: &Judged) -> Vec<ValuesRef<'_>> {
    let labels = judged.labels.iter().flat_map(|labels| [&labels.stable, &labels.candidate]);
    let labels = labels.flat_map(|sums| [&sums.n, &sums.human, &sums.judge]);
    judged
        .asked
        .iter()
        .chain(&judged.asked_candidate)
        .chain(labels)
        .map(|numbers| ValuesRef::Numbers(numbers))
        .collect()
}

/// A column of cells that exist.
#[derive(Debug, Clone, Copy)]
pub(super) enum ValuesRef<'a> {
    Numbers(&'a [f64]),
    Bins(&'a BinLists),
}

/// The columns of [`columns`] in their order.
pub(super) fn metric_columns(cells: &MetricCells) -> Vec<ValuesRef<'_>> {
    let sums = match cells {
        MetricCells::Bins(bins) => return Version::BOTH.map(|v| ValuesRef::Bins(bins.get(v))).to_vec(),
        MetricCells::Sums(sums) => sums,
    };
    let mut columns: Vec<&[f64]> = Vec::new();
    for version in Version::BOTH {
        let of = sums.version.get(version);
        columns.extend([&of.n[..], &of.num, &of.num2]);
        if let Some(denominator) = &of.denominator {
            columns.extend([&denominator.den[..], &denominator.den2, &denominator.numden]);
        }
    }
    columns.push(&sums.paired.n);
    for pair in [Some(&sums.paired.num), sums.paired.den.as_ref()].into_iter().flatten() {
        columns.extend([&pair.stable[..], &pair.candidate]);
    }
    columns.extend(sums.paired.product.as_deref());
    columns.into_iter().map(ValuesRef::Numbers).collect()
}

/// Names, and the index of one for each cell.
#[derive(Debug, Clone, Default)]
pub(super) struct Codes {
    /// Sorted.
    pub(super) names: Vec<String>,
    codes: Vec<u32>,
}

impl Codes {
    /// `names` are sorted.
    pub(super) fn new(codes: Vec<u32>, names: Vec<String>) -> Self {
        Self { names, codes }
    }

    /// Collects the names of all cells.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut seen: HashMap<&str, u32> = HashMap::new();
        let mut codes: Vec<u32> = names
            .map(|name| {
                let next = u32::try_from(seen.len()).expect("names are fewer than cells, which u32 counts");
                *seen.entry(name).or_insert(next)
            })
            .collect();
        let mut sorted: Vec<(&str, u32)> = seen.into_iter().collect();
        sorted.sort_unstable();
        let mut rank = vec![0; sorted.len()];
        for (position, (_, code)) in (0_u32..).zip(&sorted) {
            rank[*code as usize] = position;
        }
        for code in &mut codes {
            *code = rank[*code as usize];
        }
        Self { names: sorted.into_iter().map(|(name, _)| name.to_owned()).collect(), codes }
    }
}

/// Cells in any order, the same key any number of times.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Slots counted from 1970.
    pub(super) slot: Vec<i64>,
    pub(super) unit: Codes,
    pub(super) segments: Vec<Codes>,
    pub(super) item: Option<Codes>,
    /// Requests, covered requests, in long form those that the candidate served, then the columns of every metric.
    pub(super) values: Vec<Values>,
}

/// A digest ready but for its facts.
pub(super) struct Assembled {
    pub(super) units: Vec<String>,
    pub(super) segments: Vec<SegmentColumn>,
    pub(super) items: Vec<String>,
    pub(super) cells: Cells,
}

impl Assembled {
    /// The digest whose slot 0 is the `first` since 1970; `members` are the units of each bucket, by its name.
    pub(super) fn complete(
        self,
        facts: Facts,
        slot: Seconds,
        first: i64,
        slots: u32,
        members: BTreeMap<String, u64>,
    ) -> Digest {
        let Self { units, segments, items, cells } = self;
        let first = Moment(first * slot.0);
        Digest { facts, slot, first, slots, units, members, segments, items, cells, trials: None }
    }
}

impl Table {
    /// Sorts cells, adds up those with the same key, and counts slots from `first`.
    pub(super) fn assemble(self, first: i64, scenario: &Scenario, place: &str) -> Result<Assembled> {
        let (names, metrics) = (&scenario.log.segments, &scenario.metrics);
        for (name, codes) in names.iter().zip(&self.segments) {
            if codes.names.len() > usize::from(u16::MAX) {
                let problem = crate::error::Problem::new(
                    format!("{place}: column `{name}`"),
                    format!("has {} different values, and a segment column has 65,535 at most", codes.names.len()),
                );
                return Err(problem.hint("name columns of few values in `log.segments`").into());
            }
        }
        let mut order: Vec<u32> = (0..u32::try_from(self.slot.len()).map_err(|_| too_many(place))?).collect();
        let compare = |a: u32, b: u32| {
            let (a, b) = (a as usize, b as usize);
            let by = |codes: &Codes| codes.codes[a].cmp(&codes.codes[b]);
            let mut ordering = self.slot[a].cmp(&self.slot[b]).then_with(|| by(&self.unit));
            for codes in self.segments.iter().chain(&self.item) {
                ordering = ordering.then_with(|| by(codes));
            }
            ordering
        };
        // A stable sort, so that cells of the same key are added in the order of the files.
        order.sort_by(|&a, &b| compare(a, b));
        let starts: Vec<usize> =
            (0..order.len()).filter(|&at| at == 0 || compare(order[at - 1], order[at]).is_ne()).collect();
        let groups = Groups { order: &order, starts: &starts };

        // Cells that are each there once, in order, need not be copied.
        let in_order = starts.len() == order.len() && order.is_sorted();
        let mut values = Vec::with_capacity(self.values.len());
        for column in self.values {
            values.push(match column {
                Values::Numbers(numbers) if in_order => Values::Numbers(numbers),
                Values::Bins(bins) if in_order => Values::Bins(bins.sorted()),
                Values::Numbers(numbers) => Values::Numbers(groups.add(&numbers)),
                Values::Bins(bins) => Values::Bins(groups.concatenate(&bins).ok_or_else(|| too_many(place))?),
            });
        }
        let mut values = values.into_iter();
        let mut numbers = || match values.next() {
            Some(Values::Numbers(numbers)) => numbers,
            _ => unreachable!("a table begins with the numbers of requests"),
        };
        let (rows, covered) = (numbers(), numbers());
        let apart = scenario.log.covers_apart();
        let covered_candidate = apart.then(&mut numbers);
        let (of_metrics, judged) = metrics
            .iter()
            .map(|metric| (metric_cells(metric, &mut values), judged(metric, apart, &mut values)))
            .unzip();
        let cells = Cells {
            slot: groups.firsts(|cell| u32::try_from(self.slot[cell] - first).expect("the range of slots was checked")),
            unit: groups.firsts(|cell| self.unit.codes[cell]),
            segment: self
                .segments
                .iter()
                .map(|codes| groups.firsts(|cell| u16::try_from(codes.codes[cell]).expect("checked above")))
                .collect(),
            item: self.item.as_ref().map_or_else(Vec::new, |codes| groups.firsts(|cell| codes.codes[cell])),
            rows,
            covered,
            covered_candidate,
            metrics: of_metrics,
            judged,
        };
        let segments = names.iter().zip(self.segments);
        Ok(Assembled {
            units: self.unit.names,
            segments: segments.map(|(name, codes)| SegmentColumn { name: name.clone(), values: codes.names }).collect(),
            items: self.item.map_or_else(Vec::new, |codes| codes.names),
            cells,
        })
    }
}

fn too_many(place: &str) -> Error {
    let problem = crate::error::Problem::new(place, "has more than 4,294,967,295 cells or measured requests");
    problem.hint("use a wider `log.slot`, fewer segment columns, or a part of the log").into()
}

/// Table rows by cell.
struct Groups<'a> {
    order: &'a [u32],
    starts: &'a [usize],
}

impl Groups<'_> {
    fn rows(&self) -> impl Iterator<Item = &[u32]> {
        let ends = self.starts.iter().skip(1).copied().chain([self.order.len()]);
        self.starts.iter().zip(ends).map(|(&start, end)| &self.order[start..end])
    }

    fn firsts<T>(&self, value: impl Fn(usize) -> T) -> Vec<T> {
        self.rows().map(|rows| value(rows[0] as usize)).collect()
    }

    fn add(&self, numbers: &[f64]) -> Vec<f64> {
        self.rows().map(|rows| rows.iter().map(|&row| numbers[row as usize]).sum()).collect()
    }

    /// `None` if offsets do not fit.
    fn concatenate(&self, lists: &BinLists) -> Option<BinLists> {
        let mut bins = Vec::with_capacity(lists.bins.len());
        let mut offsets = Vec::with_capacity(self.starts.len() + 1);
        offsets.push(0);
        for rows in self.rows() {
            let start = bins.len();
            for &row in rows {
                bins.extend_from_slice(lists.of(row as usize));
            }
            bins[start..].sort_unstable();
            offsets.push(u32::try_from(bins.len()).ok()?);
        }
        Some(BinLists { offsets, bins })
    }
}

/// The slot of a moment, counted from 1970.
pub(super) fn slot_of(moment: Moment, slot: Seconds) -> i64 {
    moment.0.div_euclid(slot.0)
}

/// First slot and number of slots.
pub(super) fn slot_range(facts: &Facts, slot: Seconds, place: &str) -> Result<(i64, u32)> {
    /// Later stages hold numbers for every slot.
    const MOST: i64 = 1_000_000;
    let first = slot_of(facts.start, slot);
    let slots = slot_of(facts.end, slot) - first + 1;
    match u32::try_from(slots) {
        Ok(count) if slots <= MOST => Ok((first, count)),
        _ => {
            let text = |moment: Moment| {
                jiff::Timestamp::from_second(moment.0).map_or_else(|_| moment.0.to_string(), |time| time.to_string())
            };
            let (start, end) = (text(facts.start), text(facts.end));
            let message = format!("lasts from {start} to {end}: {slots} slots of {slot}, and {MOST} is the most");
            Err(crate::error::Problem::new(place, message)
                .hint("look for time stamps that are wrong, or use a wider `log.slot`")
                .into())
        }
    }
}
