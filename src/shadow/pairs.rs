//! The pairs of a proportion, counted: what a statistician expects beside the difference.

use super::clusters::Clusters;
use super::{Difference, of_sums};
use crate::digest::Digest;
use crate::digest::cells::{MetricCells, Sums};
use crate::domain::metric::{Direction, Margin, Metric};
use crate::domain::version::PerVersion;
use crate::report::PairCounts;
use crate::stats::proportion::paired;

/// Discordant pairs and their tests; `None` where outcomes are not 0 and 1. Where the judge errs, counts are the judge's, and so is
/// the margin. `found` is the difference that the pairs show, with what the judge's errors hide.
pub(super) fn count(
    digest: &Digest,
    index: usize,
    metric: &Metric,
    clusters: &Clusters,
    cells: &[u32],
    (allow, found): (Option<Margin>, &Difference),
) -> Option<PairCounts> {
    let of_metric = if metric.judge.errors.is_some() { digest.recorded(index) } else { &digest.cells.metrics[index] };
    let MetricCells::Sums(sums) = of_metric else { return None };
    if !digest.cells.is_paired() {
        return None;
    }
    let product = sums.paired.product.as_ref()?;
    let all = |of: &Sums| cells.iter().all(|&cell| of.is_yes_or_no(cell as usize));
    if !all(&sums.version.stable) || !all(&sums.version.candidate) {
        return None;
    }
    let total = |of: &[f64]| cells.iter().map(|&cell| of[cell as usize]).sum::<f64>();
    let (n, both) = (total(&sums.paired.n), total(product));
    let ones = sums.paired.num.map(|num| total(num));
    let alone = PerVersion { stable: ones.stable - both, candidate: ones.candidate - both };
    let (worse, better) = match metric.better {
        Direction::Higher => (alone.stable, alone.candidate),
        Direction::Lower => (alone.candidate, alone.stable),
    };
    let se = if metric.judge.errors.is_some() || metric.kind.is_rare() {
        of_sums((sums, true), clusters, cells, None)?.se()
    } else {
        found.se()
    };
    let design_effect = design_effect(se, n, worse, better);
    let scale = metric.judge.errors.map_or(1.0, |errors| errors.sensitivity + errors.specificity - 1.0);
    let effective =
        paired::Pairs { n: n / design_effect, first_only: better / design_effect, second_only: worse / design_effect };
    let tango = allow.and_then(|allow| {
        let level =
            metric.judge.errors.map_or(ones.stable / n, |errors| (ones.stable / n + errors.specificity - 1.0) / scale);
        let margin = scale
            * match allow {
                Margin::Relative(share) => share * level.abs(),
                Margin::Absolute(amount) => amount,
            };
        (margin < 1.0).then(|| (paired::tango(effective, -margin), paired::tango_p_value(effective, -margin)))
    });
    let whole = |count: f64| count.round() as u64;
    Some(PairCounts {
        pairs: whole(n),
        candidate_worse: whole(worse),
        candidate_better: whole(better),
        design_effect,
        mid_p: paired::mcnemar(whole(effective.second_only), whole(effective.first_only)).mid_p,
        tango_z: tango.map(|(z, _)| z),
        tango_p: tango.map(|(_, p)| p),
    })
}

/// Clustered variance of the difference over that of independent pairs, `(b + c - (b - c)² / n) / n²`; at least 1.
fn design_effect(se: Option<f64>, n: f64, b: f64, c: f64) -> f64 {
    let independent = (b + c - (b - c).powi(2) / n) / (n * n);
    let clustered = se.map_or(0.0, |se| se * se);
    if independent > 0.0 { (clustered / independent).max(1.0) } else { 1.0 }
}
