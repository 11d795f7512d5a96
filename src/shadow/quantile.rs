//! The difference of two quantiles over the same requests.

use super::clusters::Clusters;
use super::{Difference, Regression, spread};
use crate::digest::bins::{self, BinLists};
use crate::domain::metric::{Direction, Margin, Metric};
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
    let design_effect = arms.stable.share_variance.map(|variance| variance / (p * (1.0 - p) / arms.stable.n));
    let pairs = arms.stable.n.min(arms.candidate.n);
    if arms.stable.per_share.is_none() || arms.candidate.per_share.is_none() {
        return Some(Difference { value, se_unit: None, se_item: None, beyond_allow: None, design_effect, pairs });
    }
    let contrast = allow.map(|allow| (metric.better.worse_sign(), allow.contrast(metric.better)));
    let influences = |cell: u32| PerVersion::from_fn(|version| arms.get(version).influence(lists.get(version), cell));
    Some(Difference { design_effect, pairs, ..spread(clusters, cells, value, contrast, influences) })
}

/// A quantile's regression, asked as its gate does.
pub(super) struct SharesBeyond {
    pub(super) recorded: Regression,
    /// Had the candidate answered as stable did.
    pub(super) alike: f64,
    /// Stable's share above its threshold.
    pub(super) stable: f64,
    pub(super) pairs: f64,
}

/// The candidate's share of requests above stable's quantile moved by a margin, less stable's share above its quantile.
///
/// # Formula
/// Influence of a cluster: `(Ac - Pc Nc) / sum Nc - (As - Ps Ns) / sum Ns`, `A` of its `N` requests above, `P` the share of all above.
/// Thresholds are taken as given: any is a valid question.
pub(super) fn shares_beyond(
    lists: &PerVersion<BinLists>,
    p: f64,
    better: Direction,
    clusters: &Clusters,
    cells: &[u32],
    margin: Margin,
) -> Option<SharesBeyond> {
    let sorted = lists.map(|list| sorted_bins(list, cells));
    if sorted.stable.is_empty() || sorted.candidate.is_empty() {
        return None;
    }
    let n = sorted.map(|bins| bins.len() as f64);
    let sign = better.worse_sign();
    let (factor, offset) = margin.contrast(better);
    let threshold = sorted.stable[((p * n.stable).ceil() as usize).clamp(1, sorted.stable.len()) - 1];
    let threshold = Threshold { bin: threshold, part: 0.0 };
    let moved = Threshold::at(factor * bins::edge(threshold.bin) + sign * offset);
    let share = |version: Version, threshold: Threshold| threshold.above(sorted.get(version)) / n.get(version);
    let (stable, candidate) = (share(Version::Stable, threshold), share(Version::Candidate, moved));
    let influence = |cell: u32| {
        let part = |version: Version, threshold: Threshold, share: f64| {
            let bins = lists.get(version).of(cell as usize);
            (threshold.above(bins) - share * bins.len() as f64) / n.get(version)
        };
        part(Version::Candidate, moved, candidate) - part(Version::Stable, threshold, stable)
    };
    let [(by_unit, both_ways)] = clusters.variances(cells, |cell| [influence(cell)]);
    let beyond = sign * (candidate - stable);
    Some(SharesBeyond {
        recorded: Regression { beyond, by_unit: by_unit?, both_ways },
        alike: sign * (share(Version::Stable, moved) - stable),
        stable,
        pairs: n.stable.min(n.candidate),
    })
}

/// A value among binned ones.
#[derive(Clone, Copy)]
struct Threshold {
    bin: i16,
    /// Part of the bin that lies above.
    part: f64,
}

impl Threshold {
    /// Values of a bin are taken as spread evenly over it, on the scale of logarithms.
    fn at(value: f64) -> Self {
        let bin = bins::bin(value);
        let width = (bins::edge(bin) / bins::edge(bin.saturating_sub(1))).ln();
        let part = if value > 0.0 { (bins::edge(bin) / value).ln() / width } else { 0.0 };
        Self { bin, part: part.clamp(0.0, 1.0) }
    }

    /// How many of sorted bins.
    fn above(self, bins: &[i16]) -> f64 {
        let higher = bins.partition_point(|&bin| bin <= self.bin);
        let same = higher - bins.partition_point(|&bin| bin < self.bin);
        (bins.len() - higher) as f64 + self.part * same as f64
    }
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
        let [(share_variance, _)] = clusters.variances(cells, |cell| [above(cell)]);
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
    fn a_threshold_within_a_bin_cuts_it() {
        // Bins end at 2^(b/64), so this is in the middle of bin 65.
        let threshold = Threshold::at(2.0_f64.powf(64.5 / 64.0));
        assert_eq!(threshold.bin, 65);
        assert!((threshold.above(&[64, 65, 65, 66]) - 2.0).abs() < 1e-9, "{}", threshold.part);
        assert!((Threshold::at(2.0).above(&[64, 65, 65, 66]) - 3.0).abs() < 1e-12);
        assert!((Threshold::at(0.0).above(&[bins::ZERO_BIN, 64]) - 1.0).abs() < 1e-12);
    }

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
