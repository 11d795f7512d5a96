//! The difference of two quantiles over the same requests.

use super::Difference;
use super::clusters::Clusters;
use crate::digest::bins::{self, BinLists};
use crate::domain::metric::{Margin, Metric};
use crate::domain::version::{PerVersion, Version};
use crate::stats::normal;

/// Quantiles of both versions, their difference and its clustered standard errors.
///
/// # Formula
/// A version's influence is `-(above - (1 - p) n) / (N f)` with the density of Woodruff's interval: quantiles at ranks `p ± z s`, `s` the
/// clustered standard error of the share above, lie `2 z s / f` apart.
///
/// # Source
/// R. S. Woodruff (1952), JASA 47, 635-646; A. Deng, U. Knoblich, J. Lu (2018), KDD, section 4.
pub(super) fn difference(
    lists: &PerVersion<BinLists>,
    metric: &Metric,
    clusters: &Clusters,
    cells: &[u32],
    allow: Option<Margin>,
) -> Option<Difference> {
    let p = metric.kind.quantile()?;
    let sorted = lists.map(|list| sorted_bins(list, cells));
    if sorted.stable.is_empty() || sorted.candidate.is_empty() {
        return None;
    }
    let arms = PerVersion::from_fn(|version| Arm::new(lists.get(version), sorted.get(version), p, clusters, cells));
    let value = arms.map(|arm| arm.value);
    let sign = metric.better.worse_sign();
    let influence = |factor: f64| {
        let arms = &arms;
        move |cell: u32| {
            arms.candidate.influence(lists.get(Version::Candidate), cell)
                - factor * arms.stable.influence(lists.get(Version::Stable), cell)
        }
    };
    let has_density = arms.stable.per_share.is_some() && arms.candidate.per_share.is_some();
    let (unit, item) = if has_density { clusters.variances(cells, influence(1.0)) } else { (None, None) };
    let beyond_allow = allow.filter(|_| has_density).and_then(|allow| {
        let (factor, offset) = allow.contrast(metric.better);
        let (unit, item) = clusters.variances(cells, influence(factor));
        let variance = unit?.max(item.unwrap_or(0.0));
        Some((sign * (value.candidate - factor * value.stable) - offset, variance.sqrt()))
    });
    let design_effect = arms.stable.share_variance.map(|variance| variance / (p * (1.0 - p) / arms.stable.n));
    Some(Difference {
        value,
        se_unit: unit.map(f64::sqrt),
        se_item: item.map(f64::sqrt),
        beyond_allow,
        design_effect,
        pairs: arms.stable.n.min(arms.candidate.n),
    })
}

/// One version's quantile and what moves it.
struct Arm {
    value: f64,
    /// The bin whose upper edge the quantile's influence is taken at.
    bin: i16,
    share_above: f64,
    n: f64,
    /// Change of the quantile per change of the share above: `1 / f`.
    per_share: Option<f64>,
    share_variance: Option<f64>,
}

impl Arm {
    fn new(list: &BinLists, sorted: &[i16], p: f64, clusters: &Clusters, cells: &[u32]) -> Self {
        let n = sorted.len() as f64;
        let bin = sorted[((p * n).ceil() as usize).clamp(1, sorted.len()) - 1];
        let share_above = (sorted.len() - sorted.partition_point(|&other| other <= bin)) as f64 / n;
        let above = |cell: u32| {
            let bins = list.of(cell as usize);
            ((bins.len() - bins.partition_point(|&other| other <= bin)) as f64 - share_above * bins.len() as f64) / n
        };
        let share_variance = clusters.variances(cells, above).0;
        let z = normal::upper_quantile(0.025);
        let per_share = share_variance.filter(|&variance| variance > 0.0).map(|variance| {
            let width = z * variance.sqrt();
            (interpolated(sorted, (p + width).min(1.0)) - interpolated(sorted, (p - width).max(0.0))) / (2.0 * width)
        });
        Self { value: interpolated(sorted, p), bin, share_above, n, per_share, share_variance }
    }

    fn influence(&self, list: &BinLists, cell: u32) -> f64 {
        let bins = list.of(cell as usize);
        let above = (bins.len() - bins.partition_point(|&other| other <= self.bin)) as f64;
        self.per_share.unwrap_or(0.0) * (above - self.share_above * bins.len() as f64) / self.n
    }
}

fn sorted_bins(list: &BinLists, cells: &[u32]) -> Vec<i16> {
    let mut bins: Vec<i16> = cells.iter().flat_map(|&cell| list.of(cell as usize).iter().copied()).collect();
    bins.sort_unstable();
    bins
}

/// A quantile of binned values: values are taken as spread evenly, on the scale of logarithms, over their bin.
fn interpolated(sorted: &[i16], p: f64) -> f64 {
    let n = sorted.len() as f64;
    let rank = ((p * n).ceil() as usize).clamp(1, sorted.len()) - 1;
    let bin = sorted[rank];
    let first = sorted.partition_point(|&other| other < bin) as f64;
    let last = sorted.partition_point(|&other| other <= bin) as f64;
    let part = ((p * n - first) / (last - first)).clamp(0.0, 1.0);
    if bin == bins::ZERO_BIN {
        return 0.0;
    }
    let (low, high) = (bins::edge(bin - 1), bins::edge(bin));
    low * (high / low).powf(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_of_bins_is_near_that_of_the_values() {
        let mut values: Vec<f64> = (1..=10_000).map(|n| (f64::from(n) / 1000.0).exp()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let sorted: Vec<i16> = values.iter().map(|&v| bins::bin(v)).collect();
        for p in [0.01, 0.5, 0.9, 0.95, 0.99] {
            let exact = crate::stats::spread::quantile(&values, p);
            assert!(
                (interpolated(&sorted, p) / exact - 1.0).abs() < 0.002,
                "{p}: {} {exact}",
                interpolated(&sorted, p)
            );
        }
    }
}
