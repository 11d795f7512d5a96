//! Cells as recorded → cells as later stages see them: in true terms where a judge errs, and with missing values counted as
//! the scenario says. Both are affine in a request's value, so that sums over requests are all they need.

use super::Digest;
use super::bins::{self, BinLists};
use super::cells::{MetricCells, PairedSums, SumCells, Sums};
use crate::domain::metric::{JudgeErrors, Metric, Nulls};
use crate::domain::version::{PerVersion, Version};
use crate::error::{Problem, Result};
use crate::scenario::Scenario;
use crate::stats::misclassification;

/// Corrects every metric of a digest as recorded.
///
/// # Errors
/// A judge that errs gave a value other than 0 and 1.
pub fn correct(digest: &mut Digest, scenario: &Scenario) -> Result<()> {
    let mut problems = Vec::new();
    for (index, metric) in scenario.metrics.iter().enumerate() {
        if metric.judge.errors.is_some() && !is_yes_or_no(&digest.cells.metrics[index]) {
            let message = format!("metric `{}`: its judge gave values between 0 and 1", metric.name);
            let hint = "`sensitivity` and `specificity` are of a judge that says yes or no, in a column of 0 and 1";
            problems.push(Problem::new(&scenario.path, message).hint(hint));
            continue;
        }
        let counted = metric.nulls == Nulls::Worst && any_missing(digest, index);
        if metric.judge.errors.is_some() || counted {
            let corrected = as_if(digest, index, metric, metric.nulls);
            let recorded = std::mem::replace(&mut digest.cells.metrics[index], corrected);
            digest.cells.judged[index].recorded = Some(recorded);
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}

fn is_yes_or_no(cells: &MetricCells) -> bool {
    let MetricCells::Sums(sums) = cells else { return false };
    let all = |of: &Sums| (0..of.n.len()).all(|cell| of.is_yes_or_no(cell));
    all(&sums.version.stable) && all(&sums.version.candidate)
}

impl Digest {
    /// The cells of a metric as recorded.
    #[must_use]
    pub fn recorded(&self, metric: usize) -> &MetricCells {
        self.cells.judged[metric].recorded.as_ref().unwrap_or(&self.cells.metrics[metric])
    }

    /// Per cell: mirrored requests that the judge of a metric was asked about; in a log in long form, those of a version.
    #[must_use]
    pub fn asked(&self, metric: usize, version: Version) -> &[f64] {
        let judged = &self.cells.judged[metric];
        let candidate = judged.asked_candidate.as_ref().filter(|_| version == Version::Candidate);
        candidate.or(judged.asked.as_ref()).map_or_else(|| self.cells.covered_by(version), Vec::as_slice)
    }
}

/// Values that a version has in a cell.
#[must_use]
pub fn values(cells: &MetricCells, version: Version, cell: usize) -> f64 {
    match cells {
        MetricCells::Sums(sums) => sums.version.get(version).n[cell],
        MetricCells::Bins(lists) => lists.get(version).of(cell).len() as f64,
    }
}

/// Whether a version lacks a value of a mirrored request.
fn any_missing(digest: &Digest, metric: usize) -> bool {
    let is_full = |cell: usize| {
        Version::BOTH
            .iter()
            .all(|&version| values(digest.recorded(metric), version, cell) >= digest.asked(metric, version)[cell])
    };
    !(0..digest.cells.len()).all(is_full)
}

/// The cells of a metric with missing values counted in the way that the scenario did not choose; `None` where nothing is
/// missing or the metric has no worst value.
#[must_use]
pub fn other_way(digest: &Digest, index: usize, metric: &Metric) -> Option<MetricCells> {
    let other = match metric.nulls {
        Nulls::Excluded => Nulls::Worst,
        Nulls::Worst => Nulls::Excluded,
    };
    metric.worst.filter(|_| any_missing(digest, index)).map(|_| as_if(digest, index, metric, other))
}

/// The cells of a metric in true terms, with missing values counted in a given way.
fn as_if(digest: &Digest, index: usize, metric: &Metric, nulls: Nulls) -> MetricCells {
    let asked =
        PerVersion { stable: digest.asked(index, Version::Stable), candidate: digest.asked(index, Version::Candidate) };
    let is_paired = digest.cells.is_paired();
    let worst = metric.worst.filter(|_| nulls == Nulls::Worst);
    match digest.recorded(index) {
        MetricCells::Bins(lists) => {
            let filled = |version| {
                let list = lists.get(version);
                worst.map_or_else(|| list.clone(), |worst| filled_bins(list, asked.get(version), worst))
            };
            MetricCells::Bins(PerVersion::from_fn(filled))
        }
        MetricCells::Sums(sums) => {
            let sums = metric.judge.errors.map_or_else(|| sums.clone(), |errors| in_true_terms(sums, errors));
            MetricCells::Sums(worst.map_or_else(|| sums.clone(), |worst| filled_sums(&sums, asked, is_paired, worst)))
        }
    }
}

/// Every value `x` becomes `shift + scale * x`.
fn in_true_terms(sums: &SumCells, errors: JudgeErrors) -> SumCells {
    let (shift, scale) = misclassification::correction(errors.sensitivity, errors.specificity);
    let first = |n: &[f64], num: &[f64]| n.iter().zip(num).map(|(n, num)| shift * n + scale * num).collect();
    let of_version = |of: &Sums| Sums {
        n: of.n.clone(),
        num: first(&of.n, &of.num),
        num2: (0..of.n.len())
            .map(|cell| shift * shift * of.n[cell] + 2.0 * shift * scale * of.num[cell] + scale * scale * of.num2[cell])
            .collect(),
        denominator: of.denominator.clone(),
    };
    let paired = &sums.paired;
    SumCells {
        version: sums.version.map(of_version),
        paired: PairedSums {
            n: paired.n.clone(),
            num: paired.num.map(|num| first(&paired.n, num)),
            den: paired.den.clone(),
            // Pairs are counted as the judge said.
            product: None,
        },
    }
}

/// Each version has a value for every request asked about: the worst where it has none.
fn filled_sums(sums: &SumCells, asked: PerVersion<&[f64]>, is_paired: bool, worst: f64) -> SumCells {
    let cells = || 0..asked.stable.len();
    let version: PerVersion<Sums> = PerVersion::from_fn(|version| {
        let (of, asked) = (sums.version.get(version), asked.get(version));
        let missing = |cell: usize| asked[cell] - of.n[cell];
        Sums {
            n: asked.to_vec(),
            num: cells().map(|cell| of.num[cell] + worst * missing(cell)).collect(),
            num2: cells().map(|cell| of.num2[cell] + worst * worst * missing(cell)).collect(),
            denominator: None,
        }
    });
    if !is_paired {
        return SumCells { version, paired: sums.paired.clone() };
    }
    let asked = asked.stable;
    let product = sums.paired.product.as_ref().map(|product| {
        let alone =
            |version: Version, cell: usize| sums.version.get(version).num[cell] - sums.paired.num.get(version)[cell];
        let neither = |cell: usize| {
            asked[cell] - sums.version.stable.n[cell] - sums.version.candidate.n[cell] + sums.paired.n[cell]
        };
        cells()
            .map(|cell| {
                let one = alone(Version::Stable, cell) + alone(Version::Candidate, cell);
                product[cell] + worst * one + worst * worst * neither(cell)
            })
            .collect()
    });
    let num = version.map(|of| of.num.clone());
    SumCells { version, paired: PairedSums { n: asked.to_vec(), num, den: None, product } }
}

/// As many bins of the worst value as are missing.
fn filled_bins(list: &BinLists, asked: &[f64], worst: f64) -> BinLists {
    let bin = bins::bin(worst);
    let mut filled = BinLists { offsets: vec![0], bins: Vec::new() };
    for (cell, &asked) in asked.iter().enumerate() {
        let own = list.of(cell);
        let at = own.partition_point(|&other| other <= bin);
        filled.bins.extend_from_slice(&own[..at]);
        filled.bins.extend(std::iter::repeat_n(bin, (asked as usize).saturating_sub(own.len())));
        filled.bins.extend_from_slice(&own[at..]);
        filled.offsets.push(u32::try_from(filled.bins.len()).expect("a digest holds fewer requests than u32 counts"));
    }
    filled
}
