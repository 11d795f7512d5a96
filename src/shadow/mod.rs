//! Digest → paired differences: what shadow mode has already shown, before anyone is exposed. Of a log in long form: differences of what
//! each version served, which are not paired.

mod clusters;
mod human;
pub mod mirror;
pub mod missingness;
mod pairs;
mod quantile;

use std::borrow::Cow;
use std::collections::HashMap;

use rayon::prelude::*;

use clusters::Clusters;

use crate::digest::Digest;
use crate::digest::cells::{MetricCells, SumCells};
use crate::digest::judged;
use crate::domain::gate::Gate;
use crate::domain::metric::{Margin, Metric, Nulls};
use crate::domain::version::{PerVersion, Version};
use crate::report::{
    Alternative, IfMissing, Noise, Segment, ShadowRow, UnpairedCounts, VarianceComponent, VersionCounts, VersionNoise,
};
use crate::scenario::Scenario;
use crate::stats::cluster::UnitSums;
use crate::stats::components::{self, Component, Repeated};
use crate::stats::{adjust, alternative, clustering, normal};

/// Two-sided 95 %.
const Z_95: f64 = 1.959_963_984_540_054;

/// The cells of one slice.
pub(crate) struct SliceCells {
    /// Index of the segment column.
    column: Option<usize>,
    segment: Option<Segment>,
    cells: Vec<u32>,
}

/// What both versions answered, ready to be compared.
pub struct Shadow<'a> {
    digest: &'a Digest,
    scenario: &'a Scenario,
    clusters: Clusters,
    /// All cells, then those of every value of every segment column.
    slices: Vec<SliceCells>,
    /// Per metric: its cells, in which a request has the mean of its outputs.
    values: Vec<Cow<'a, MetricCells>>,
}

/// A question of a gate: its index, and that of a slice.
type Asked = (usize, usize);

impl<'a> Shadow<'a> {
    /// Finds whose answers belong together.
    #[must_use]
    pub fn new(digest: &'a Digest, scenario: &'a Scenario) -> Self {
        let metrics = (0..scenario.metrics.len()).into_par_iter();
        let (clusters, (slices, values)) = rayon::join(
            || Clusters::new(digest, scenario),
            || (slices(digest), metrics.map(|metric| of_requests(digest, scenario, metric)).collect()),
        );
        Self { digest, scenario, clusters, slices, values }
    }

    /// Paired differences of every metric, overall first, then in every value of every segment column; and what they show of every gate
    /// with `allow`, overall, then in each value of its segment columns.
    #[must_use]
    pub fn all(&self) -> (Vec<ShadowRow>, Vec<Against>) {
        let Self { digest, scenario, .. } = *self;
        // Of what users did with stable's answers the log cannot know what they would do with the candidate's.
        let known = scenario.own_metrics().filter(|&metric| !scenario.metrics[metric].stable_only);
        // The distance of embeddings is no difference of two values.
        let known: Vec<usize> = known.filter(|&metric| scenario.metrics[metric].kind.feature().is_none()).collect();
        let slices = 0..self.slices.len();
        let jobs: Vec<(usize, usize)> =
            known.iter().flat_map(|&metric| slices.clone().map(move |slice| (metric, slice))).collect();
        let metrics: Vec<usize> = (0..scenario.metrics.len()).collect();
        let other_ways: Vec<Option<MetricCells>> =
            metrics.par_iter().map(|&metric| other_way(digest, scenario, metric)).collect();
        let asked = self.asked();
        let row = |&(metric, slice): &(usize, usize)| {
            let gate = self.first_gate(metric);
            let found = self.found(metric, slice, gate.and_then(|gate| scenario.gates[gate].allow))?;
            let asked = gate.map(|gate| (gate, slice)).filter(|of| asked.contains(of));
            let shown = asked.and_then(|asked| Some((asked, self.against(asked, &found)?)));
            Some((self.row(metric, slice, found, other_ways[metric].as_ref()), shown))
        };
        let (mut rows, shown): (Vec<ShadowRow>, Vec<_>) = jobs.par_iter().filter_map(row).unzip();
        for of_metric in rows.chunk_by_mut(|a, b| a.metric == b.metric) {
            // What the gates ask for comes before what is only shown.
            of_metric.sort_by_key(|row| ["overall", "named", "reported"].iter().position(|role| *role == row.role));
            add_q_values(of_metric);
        }
        let with_row = |gate: usize| {
            let metric = scenario.gates[gate].metric;
            known.contains(&metric) && self.first_gate(metric) == Some(gate)
        };
        let others: Vec<Asked> = asked.into_iter().filter(|&(gate, _)| !with_row(gate)).collect();
        let mut against: Vec<(Asked, Against)> = shown.into_iter().flatten().chain(self.shown_of(&others)).collect();
        against.sort_by_key(|&(asked, _)| asked);
        (rows, against.into_iter().map(|(_, against)| against).collect())
    }

    /// What they show of every gate alone.
    #[must_use]
    pub fn against_gates(&self) -> Vec<Against> {
        self.shown_of(&self.asked()).into_iter().map(|(_, against)| against).collect()
    }

    fn shown_of(&self, asked: &[Asked]) -> Vec<(Asked, Against)> {
        let shown = |&(gate, slice): &Asked| {
            let rule = &self.scenario.gates[gate];
            let found = self.found(rule.metric, slice, rule.allow)?;
            Some(((gate, slice), self.against((gate, slice), &found)?))
        };
        asked.par_iter().filter_map(shown).collect()
    }

    /// Where gates with `allow` ask: overall, then in each value of their segment columns.
    fn asked(&self) -> Vec<Asked> {
        let gates = &self.scenario.gates;
        let known =
            |&gate: &usize| gates[gate].allow.is_some() && !self.scenario.metrics[gates[gate].metric].stable_only;
        let asks =
            |gate: usize, slice: usize| self.slices[slice].column.is_none_or(|column| gates[gate].by.contains(&column));
        let slices = 0..self.slices.len();
        let of_gate = |gate: usize| {
            slices.clone().filter(move |&slice| asks(gate, slice)).map(move |slice| (gate, slice)).collect::<Vec<_>>()
        };
        (0..gates.len()).filter(known).flat_map(of_gate).collect()
    }

    /// The gate whose margin a metric's rows are held against.
    fn first_gate(&self, metric: usize) -> Option<usize> {
        self.scenario.gates.iter().position(|gate| gate.metric == metric && gate.allow.is_some())
    }

    fn found(&self, metric: usize, slice: usize, allow: Option<Margin>) -> Option<Difference> {
        let cells = (&*self.values[metric], self.digest.cells.is_paired());
        difference(cells, &self.scenario.metrics[metric], &self.clusters, &self.slices[slice].cells, allow)
    }

    fn against(&self, (index, slice): Asked, found: &Difference) -> Option<Against> {
        let shown = found.beyond_allow?;
        let allowed = match self.scenario.gates[index].allow? {
            Margin::Relative(share) => share * found.value.stable.abs(),
            Margin::Absolute(amount) => amount,
        };
        let days = (self.digest.end().0 - self.digest.first.0) as f64 / 86_400.0;
        Some(Against {
            gate: index,
            segment: self.slices[slice].segment.clone(),
            beyond: shown.beyond,
            se: shown.se(),
            allowed,
            is_paired: self.digest.cells.is_paired(),
            requests: found.pairs,
            requests_per_day: found.pairs / days,
        })
    }

    fn row(&self, metric: usize, slice: usize, mut found: Difference, other_way: Option<&MetricCells>) -> ShadowRow {
        let Self { digest, scenario, clusters, .. } = self;
        let slice = &self.slices[slice];
        let gate = self.first_gate(metric).map(|gate| &scenario.gates[gate]);
        let allow = gate.and_then(|gate| gate.allow);
        let is_paired = digest.cells.is_paired();
        let found_in = |cells: &MetricCells| {
            difference((cells, is_paired), &scenario.metrics[metric], clusters, &slice.cells, allow)
        };
        if digest.trials.is_some() {
            // Of requests as they are served, with one output each.
            found.design_effect = found_in(&digest.cells.metrics[metric]).and_then(|drawn| drawn.design_effect);
        }
        let other = other_way.and_then(found_in);
        let if_missing = if_missing(&scenario.metrics[metric], &found, other.as_ref());
        let of_metric = &*self.values[metric];
        let counts = clusters.counts(&slice.cells, |cell| requests_in(of_metric, is_paired, cell) > 0.0);
        let unpaired = (!is_paired).then(|| {
            let of = |version: Version| {
                let has_any = |cell: usize| judged::values(of_metric, version, cell) > 0.0;
                let requests = values(of_metric, version, &slice.cells).round() as u64;
                let (variance_between, variance_within) = variances(of_metric, version, clusters, &slice.cells).unzip();
                VersionCounts {
                    units: clusters.counts(&slice.cells, has_any).0,
                    requests,
                    variance_between,
                    variance_within,
                }
            };
            UnpairedCounts { stable: of(Version::Stable), candidate: of(Version::Candidate) }
        });
        let difference = found.difference();
        let nulls = |version: Version| {
            let asked: f64 = slice.cells.iter().map(|&cell| digest.asked(metric, version)[cell as usize]).sum();
            (asked - values(digest.recorded(metric), version, &slice.cells)).round() as u64
        };
        let role = match slice.column {
            None => "overall",
            Some(column) if scenario.gates.iter().any(|gate| gate.metric == metric && gate.by.contains(&column)) => {
                "named"
            }
            Some(_) => "reported",
        };
        let (low, high) = found.interval().unzip();
        ShadowRow {
            metric: scenario.metrics[metric].name.clone(),
            segment: slice.segment.clone(),
            role: role.into(),
            stable: found.value.stable,
            candidate: found.value.candidate,
            difference,
            se_unit: found.se_unit,
            se_item: found.se_item,
            low,
            high,
            units: counts.0,
            items: counts.1,
            requests: found.pairs.round() as u64,
            nulls_stable: nulls(Version::Stable),
            nulls_candidate: nulls(Version::Candidate),
            design_effect: found.design_effect,
            allow: gate.map(|gate| gate.allow_text.clone()),
            shown: gate.zip(found.beyond_allow).map(|(gate, found)| shown(gate, (found.beyond, found.se())).into()),
            p_value: found.p_value(),
            q_value: None,
            if_missing,
            unpaired,
            noise: noise(digest, (metric, &scenario.metrics[metric]), clusters, &slice.cells),
            // Of several outputs there are as many pairs as one likes.
            pairs: if digest.trials.is_some() {
                None
            } else {
                pairs::count(digest, metric, &scenario.metrics[metric], clusters, &slice.cells, (allow, &found))
            },
            human: human::row(digest, metric, scenario.metrics[metric].better, clusters, &slice.cells, gate),
        }
    }
}

/// Whether the mean of a request's outputs is as good a value as one of them: not of what a unit has once, nor of a distribution.
fn has_means(metric: &Metric) -> bool {
    !metric.kind.is_rare() && metric.kind.quantile().is_none()
}

/// The cells of a metric as they are compared: with the mean of a request's outputs where it has several.
fn of_requests<'d>(digest: &'d Digest, scenario: &Scenario, metric: usize) -> Cow<'d, MetricCells> {
    let trials = digest.trials.as_ref().filter(|_| has_means(&scenario.metrics[metric]));
    let means = trials.and_then(|trials| trials.means(&trials.outputs.cells.metrics[metric]));
    means.map_or_else(|| Cow::Borrowed(&digest.cells.metrics[metric]), Cow::Owned)
}

/// The same with missing values counted in the way that the scenario did not choose.
fn other_way(digest: &Digest, scenario: &Scenario, metric: usize) -> Option<MetricCells> {
    let written = &scenario.metrics[metric];
    match digest.trials.as_ref().filter(|_| has_means(written)) {
        Some(trials) => trials.means(&judged::other_way(&trials.outputs, metric, written)?),
        None => judged::other_way(digest, metric, written),
    }
}

/// The slices of a metric are one family, in which the share of false findings is kept.
fn add_q_values(rows: &mut [ShadowRow]) {
    let tested: Vec<usize> =
        (0..rows.len()).filter(|&row| rows[row].segment.is_some() && rows[row].p_value.is_some()).collect();
    let p_values: Vec<f64> = tested.iter().filter_map(|&row| rows[row].p_value).collect();
    for (row, q) in tested.into_iter().zip(adjust::benjamini_hochberg(&p_values)) {
        rows[row].q_value = Some(q);
    }
}

/// A regression beyond a margin with its variances; larger is worse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regression {
    /// How far beyond.
    pub beyond: f64,
    /// Its variance over units: what other users would change.
    pub by_unit: f64,
    /// Its variance over units and items both, where there are items: what other prompts, or other outputs to them, would change too.
    /// It falls with more requests only as far as they bring new items.
    pub both_ways: Option<f64>,
}

impl Regression {
    /// Its larger standard error.
    #[must_use]
    pub fn se(&self) -> f64 {
        self.by_unit.max(self.both_ways.unwrap_or(0.0)).sqrt()
    }
}

/// What the pairs show against one gate's `allow`, in one slice.
#[derive(Debug, Clone, PartialEq)]
pub struct Against {
    /// Index of the gate.
    pub gate: usize,
    /// Null: all requests.
    pub segment: Option<Segment>,
    /// The regression beyond `allow`; larger is worse.
    pub beyond: f64,
    /// Its larger standard error.
    pub se: f64,
    /// `allow` in the metric's unit.
    pub allowed: f64,
    /// Whether requests have both answers.
    pub is_paired: bool,
    /// Requests that are compared.
    pub requests: f64,
    /// The same per day of the log.
    pub requests_per_day: f64,
}

fn slices(digest: &Digest) -> Vec<SliceCells> {
    let mut slices = vec![SliceCells { column: None, segment: None, cells: (0..digest.cells.len() as u32).collect() }];
    for (column, segment) in digest.segments.iter().enumerate() {
        let mut by_value: Vec<Vec<u32>> = vec![Vec::new(); segment.values.len()];
        for (cell, &value) in digest.cells.segment[column].iter().enumerate() {
            by_value[value as usize].push(cell as u32);
        }
        slices.extend(by_value.into_iter().zip(&segment.values).map(|(cells, value)| SliceCells {
            column: Some(column),
            segment: Some(Segment { column: segment.name.clone(), value: value.clone() }),
            cells,
        }));
    }
    slices
}

/// A difference with both its standard errors.
pub(crate) struct Difference {
    pub(crate) value: PerVersion<f64>,
    pub(crate) se_unit: Option<f64>,
    pub(crate) se_item: Option<f64>,
    pub(crate) beyond_allow: Option<Regression>,
    pub(crate) design_effect: Option<f64>,
    pub(crate) pairs: f64,
}

impl Difference {
    fn difference(&self) -> f64 {
        self.value.candidate - self.value.stable
    }

    /// The larger of both standard errors.
    fn se(&self) -> Option<f64> {
        self.se_unit.map(|se| se.max(self.se_item.unwrap_or(0.0)))
    }

    fn interval(&self) -> Option<(f64, f64)> {
        self.se().map(|se| (self.difference() - Z_95 * se, self.difference() + Z_95 * se))
    }

    /// Two-sided, of no difference.
    fn p_value(&self) -> Option<f64> {
        let se = self.se().filter(|&se| se > 0.0)?;
        Some(alternative::Alternative::TwoSided.normal_p_value(self.difference() / se))
    }
}

/// The difference under every way to count missing values that the metric has: where nothing is missing they are the same.
fn if_missing(metric: &Metric, chosen: &Difference, other: Option<&Difference>) -> IfMissing {
    let shown = |found: &Difference| {
        let (low, high) = found.interval().unzip();
        let (stable, candidate) = (found.value.stable, found.value.candidate);
        Some(Alternative { stable, candidate, difference: found.difference(), low, high })
    };
    let way = |nulls: Nulls| shown(if metric.nulls == nulls { chosen } else { other.unwrap_or(chosen) });
    IfMissing { exclude: way(Nulls::Excluded), worst: metric.worst.and_then(|_| way(Nulls::Worst)) }
}

/// The difference of a metric in some cells, paired where requests are, and how far it lies beyond a margin.
fn difference(
    (values, is_paired): (&MetricCells, bool),
    metric: &Metric,
    clusters: &Clusters,
    cells: &[u32],
    allow: Option<Margin>,
) -> Option<Difference> {
    let contrast = allow.map(|allow: Margin| (metric.better.worse_sign(), allow.contrast(metric.better)));
    match values {
        MetricCells::Sums(sums) if metric.kind.is_rare() => of_firsts((sums, is_paired), clusters, cells, contrast),
        MetricCells::Sums(sums) => of_sums((sums, is_paired), clusters, cells, contrast),
        MetricCells::Bins(lists) => {
            let found = quantile::difference(lists, metric, clusters, cells, allow)?;
            let requests = |version| self::values(values, version, cells);
            let unpaired = || requests(Version::Stable) + requests(Version::Candidate);
            Some(if is_paired { found } else { Difference { pairs: unpaired(), ..found } })
        }
    }
}

/// The verdict of a fixed one-sided interval at the gate's alpha.
fn shown(gate: &Gate, (beyond, se): (f64, f64)) -> &'static str {
    let width = normal::upper_quantile(gate.alpha.get()) * se;
    if beyond + width < 0.0 {
        "pass"
    } else if beyond - width > 0.0 {
        "fail"
    } else {
        "inconclusive"
    }
}

/// Requests of a cell that are compared: pairs, or what either version served.
fn requests_in(metric: &MetricCells, is_paired: bool, cell: usize) -> f64 {
    match metric {
        _ if !is_paired => Version::BOTH.iter().map(|&version| judged::values(metric, version, cell)).sum(),
        MetricCells::Sums(sums) => sums.paired.n[cell],
        MetricCells::Bins(lists) => lists.stable.of(cell).len().min(lists.candidate.of(cell).len()) as f64,
    }
}

fn values(metric: &MetricCells, version: Version, cells: &[u32]) -> f64 {
    cells.iter().map(|&cell| judged::values(metric, version, cell as usize)).sum()
}

/// The difference of two ratios: paired over the same requests, or over those that each version served.
///
/// # Formula
/// Influence of a cluster: `(Yc - Rc Xc) / sum Xc - (Ys - Rs Xs) / sum Xs` over its requests; variance as in [`Clusters::variances`]. A
/// unit that both versions served is one cluster all the same.
fn of_sums(
    (sums, is_paired): (&SumCells, bool),
    clusters: &Clusters,
    cells: &[u32],
    contrast: Option<(f64, (f64, f64))>,
) -> Option<Difference> {
    let paired = &sums.paired;
    let of = |cell: usize, version: Version| {
        if !is_paired {
            let own = sums.version.get(version);
            return (own.num[cell], own.den(cell));
        }
        let x = paired.den.as_ref().map_or(paired.n[cell], |den| den.get(version)[cell]);
        (paired.num.get(version)[cell], x)
    };
    let total = |version: Version| {
        cells.iter().map(|&cell| of(cell as usize, version)).fold((0.0, 0.0), |(y, x), (dy, dx)| (y + dy, x + dx))
    };
    let totals = PerVersion::from_fn(total);
    if totals.stable.1 <= 0.0 || totals.candidate.1 <= 0.0 {
        return None;
    }
    let value = totals.map(|(y, x)| y / x);
    let influences = |cell: u32| {
        PerVersion::from_fn(|version| {
            let (y, x) = of(cell as usize, version);
            (y - value.get(version) * x) / totals.get(version).1
        })
    };
    Some(Difference {
        design_effect: design_effect(sums, clusters, cells),
        pairs: cells.iter().map(|&cell| compared(sums, is_paired, cell as usize)).sum(),
        ..spread(clusters, cells, value, contrast, influences)
    })
}

/// Variance of a version's values between units and within them, where a value is one request's.
fn variances(metric: &MetricCells, version: Version, clusters: &Clusters, cells: &[u32]) -> Option<(f64, f64)> {
    let MetricCells::Sums(sums) = metric else { return None };
    let of = sums.version.get(version);
    if of.denominator.is_some() {
        return None;
    }
    let at = |cell: u32| [of.n[cell as usize], of.num[cell as usize], of.num2[cell as usize]];
    let units: Vec<(f64, f64, f64)> =
        clusters.totals(cells, at).into_iter().map(|[n, sum, squares]| (n, sum, squares)).collect();
    let found = clustering::anova_of_sums(&units)?;
    Some((((found.between - found.within) / found.size).max(0.0), found.within))
}

/// What the variance of one output is made of, where requests have several and a value is one output's.
fn noise(digest: &Digest, (index, metric): (usize, &Metric), clusters: &Clusters, cells: &[u32]) -> Option<Noise> {
    let trials = digest.trials.as_ref().filter(|_| has_means(metric))?;
    let MetricCells::Sums(sums) = &trials.outputs.cells.metrics[index] else { return None };
    let of = |version: Version| {
        let own = sums.version.get(version);
        if own.denominator.is_some() {
            return None;
        }
        let mut units: Vec<Vec<Repeated>> = Vec::new();
        let mut place: HashMap<usize, usize> = HashMap::new();
        let (mut outputs, mut repeated) = (0.0, 0);
        for &cell in cells {
            let sum = |of: &[f64]| -> f64 {
                trials.of.get(version).of(cell as usize).iter().map(|&output| of[output as usize]).sum()
            };
            let request = Repeated { outputs: sum(&own.n), sum: sum(&own.num), squares: sum(&own.num2) };
            outputs += request.outputs;
            repeated += u64::from(request.outputs > 1.0);
            let unit = *place.entry(clusters.unit_of(cell)).or_insert(units.len());
            units.resize(units.len().max(unit + 1), Vec::new());
            units[unit].push(request);
        }
        let found = components::nested(&units)?;
        let component = |Component { variance, se }: Component| VarianceComponent {
            variance,
            se,
            low: se.map(|se| (variance - Z_95 * se).max(0.0)),
            high: se.map(|se| variance + Z_95 * se),
        };
        Some(VersionNoise {
            outputs: outputs.round() as u64,
            repeated,
            between_units: component(found.units),
            between_requests: found.requests.map(component),
            between_outputs: component(found.outputs),
        })
    };
    Some(Noise { stable: of(Version::Stable)?, candidate: of(Version::Candidate)? })
}

/// Requests of a cell that are compared.
fn compared(sums: &SumCells, is_paired: bool, cell: usize) -> f64 {
    if is_paired { sums.paired.n[cell] } else { sums.version.stable.n[cell] + sums.version.candidate.n[cell] }
}

/// A difference with its standard errors, by unit and both ways, and how far it lies beyond a margin; from influences of cells on each
/// version's value. Pairs are left to be counted.
fn spread(
    clusters: &Clusters,
    cells: &[u32],
    value: PerVersion<f64>,
    contrast: Option<(f64, (f64, f64))>,
    influences: impl Fn(u32) -> PerVersion<f64>,
) -> Difference {
    let factor = contrast.map_or(1.0, |(_, (factor, _))| factor);
    let [(unit, item), (by_unit, both_ways)] = clusters.variances(cells, |cell| {
        let of = influences(cell);
        [of.candidate - of.stable, of.candidate - factor * of.stable]
    });
    let beyond_allow = contrast.and_then(|(sign, (factor, offset))| {
        let beyond = sign * (value.candidate - factor * value.stable) - offset;
        Some(Regression { beyond, by_unit: by_unit?, both_ways })
    });
    Difference {
        value,
        se_unit: unit.map(f64::sqrt),
        se_item: item.map(f64::sqrt),
        beyond_allow,
        design_effect: None,
        pairs: 0.0,
    }
}

/// The difference of two shares of units with an event.
///
/// # Formula
/// Influence of a unit: `(Ec - Rc) / K - (Es - Rs) / K` of `K` units with a pair, `E` 1 with an event; without pairs, `K` are the units that
/// each version served. For clusters of items it is laid on cells: an event on the cell that had the first, the rest by requests.
fn of_firsts(
    (sums, is_paired): (&SumCells, bool),
    clusters: &Clusters,
    cells: &[u32],
    contrast: Option<(f64, (f64, f64))>,
) -> Option<Difference> {
    let requests = |version: Version, cell: u32| {
        let of = if is_paired { &sums.paired.n } else { &sums.version.get(version).n };
        of[cell as usize]
    };
    let events = |version: Version, cell: u32| {
        let of = if is_paired { sums.paired.num.get(version) } else { &sums.version.get(version).num };
        of[cell as usize]
    };
    let per_unit = PerVersion::from_fn(|version| clusters.total_of_each(cells, |cell| requests(version, cell)));
    let units = per_unit.map(|per_unit| per_unit.iter().filter(|&&requests| requests > 0.0).count() as f64);
    if units.stable == 0.0 || units.candidate == 0.0 {
        return None;
    }
    // Cells are in the order of time.
    let first = PerVersion::from_fn(|version| clusters.first(cells, |cell| events(version, cell) > 0.0));
    let value = PerVersion::from_fn(|version| first.get(version).iter().flatten().count() as f64 / units.get(version));
    let influences = |cell: u32| {
        let unit = clusters.unit_of(cell);
        PerVersion::from_fn(|version| {
            let event = f64::from(u8::from(first.get(version)[unit] == Some(cell)));
            let own = requests(version, cell);
            let of_requests = if own > 0.0 { own / per_unit.get(version)[unit] } else { 0.0 };
            (event - value.get(version) * of_requests) / units.get(version)
        })
    };
    // A unit is one observation, whatever its requests: there is no design effect.
    let pairs =
        if is_paired { per_unit.stable.iter().sum() } else { per_unit.stable.iter().chain(&per_unit.candidate).sum() };
    Some(Difference { pairs, ..spread(clusters, cells, value, contrast, influences) })
}

/// Variance of stable's value over units, against what independent requests would give.
fn design_effect(sums: &SumCells, clusters: &Clusters, cells: &[u32]) -> Option<f64> {
    let stable = &sums.version.stable;
    let per_unit = clusters.per_unit(cells, |cell| (stable.num[cell as usize], stable.den(cell as usize)));
    let by_unit = UnitSums::of(&per_unit).ratio_variance()?;
    let add = |total: UnitSums, &cell: &u32| {
        let cell = cell as usize;
        UnitSums {
            units: total.units + stable.n[cell],
            y: total.y + stable.num[cell],
            x: total.x + stable.den(cell),
            yy: total.yy + stable.num2[cell],
            yx: total.yx + stable.numden(cell),
            xx: total.xx + stable.den2(cell),
            taken_from: (0.0, 0.0),
        }
    };
    let by_request = cells.iter().fold(UnitSums::default(), add).ratio_variance()?;
    (by_request > 0.0).then(|| by_unit / by_request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::testing::loaded;

    const TEXT: &str = r#"
[log]
timestamp = "ts"
segments = ["region"]
[assignment]
unit = "user_id"
[metrics.quality]
kind = "mean"
column = "{version}_quality"
better = "higher"
[metrics.ok]
kind = "proportion"
column = "{version}_ok"
better = "higher"
[[stages]]
name = "40%"
exposure = "40%"
duration = "2h"
[[gates]]
name = "ok"
metric = "ok"
allow = "1pp"
[[gates]]
name = "quality"
metric = "quality"
allow = "5%"
by = ["region"]
[[gates]]
name = "quality, strictly"
metric = "quality"
allow = "1%"
by = ["region"]
"#;

    #[test]
    fn gates_are_shown_the_same_beside_rows_as_alone() {
        let (scenario, digest) = loaded(TEXT, 2000);
        let shadow = Shadow::new(&digest, &scenario);
        let (rows, shown) = shadow.all();
        assert_eq!(shown, shadow.against_gates());
        let regions = digest.segments[0].values.len();
        let of_gate = |gate: usize| shown.iter().filter(|against| against.gate == gate).count();
        assert_eq!([0, 1, 2].map(of_gate), [1, 1 + regions, 1 + regions]);
        assert!(shown.is_sorted_by_key(|against| (against.gate, against.segment.is_some())));
        // Rows are held against the first gate of their metric.
        assert_eq!(rows.iter().filter(|row| row.allow.as_deref() == Some("5%")).count(), 1 + regions);
        assert!(rows.iter().all(|row| row.allow.as_deref() != Some("1%")));
        let [loose, strict] = [1, 2].map(|gate| shown.iter().find(|against| against.gate == gate).expect("asked"));
        assert!(strict.beyond > loose.beyond, "less is allowed");
    }
}
