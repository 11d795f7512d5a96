//! How far the candidate's distribution lies from stable's in the same window, over the bins of a drift metric.

use super::lens::Lens;
use super::question::{Arms, Asker, Contrast, contrast};
use super::score;
use crate::domain::gate::{Measure, Test};
use crate::domain::metric::{Direction, Margin};
use crate::simulate::grid::{GridPlace, between};
use crate::simulate::layout::{Answers, Shape};
use crate::simulate::trajectory::Arm;
use crate::stats::cluster::UnitSums;
use crate::stats::drift;

/// The distance beyond a limit; `None` where an arm has no value.
pub(super) fn beyond(
    asker: &Asker<'_>,
    slice: usize,
    lens: Lens,
    (measure, limit): (Measure, f64),
    arms: &impl Arms,
) -> Option<Contrast> {
    let metric = asker.gate.metric;
    let Shape::Grid(grid) = &asker.layout.shapes[metric] else { unreachable!("a drift metric has a grid") };
    let above = |index: usize| {
        let place = Some(GridPlace { index, part: 0.0 });
        let candidate = arms.sums(Arm::Candidate, lens.answers, slice, metric, place).affine(lens.shift, lens.scale);
        (candidate, arms.sums(Arm::Stable, Answers::Stable, slice, metric, place))
    };
    let edges = (0..grid.len()).map(above);
    match measure {
        Measure::Ks => farthest(edges, limit, asker.gate.test == Test::Point),
        Measure::Psi => stability(&edges.collect::<Vec<_>>(), limit),
    }
}

/// The strongest evidence, of all edges and both directions, that the shares above an edge differ by more than a limit.
///
/// # Formula
/// `±(candidate - stable) - limit` at each edge, with the variance over units that is most likely at the limit (see [`score`]); the one that
/// lies most standard errors above zero, or where none is asked for, the largest: the distance of Kolmogorov and Smirnov at the edges less
/// the limit. A maximum of `tests` one-sided statistics exceeds a bound at most `tests` times as often as each of them (Bonferroni). All of
/// them lie below their bounds with a chance of at most alpha if the distance is the limit, since one of them is about that (Berger).
///
/// # Source
/// N. V. Smirnov (1939), Bull. Math. Univ. Moscow 2, 3-16; R. L. Berger (1982), Technometrics 24, 295-300.
fn farthest(edges: impl Iterator<Item = (UnitSums, UnitSums)>, limit: f64, is_bare: bool) -> Option<Contrast> {
    let mut strongest: Option<(f64, Contrast)> = None;
    for (candidate, stable) in edges {
        for worse in [Direction::Lower, Direction::Higher] {
            let found = contrast(&candidate, &stable, worse.worse_sign(), 1.0, limit)?;
            let (strength, found) = if is_bare {
                (found.difference, found)
            } else {
                let parts = score::variances_of_shares(&candidate, &stable, Margin::Absolute(limit), worse);
                let found = found.with(parts, [&candidate, &stable]);
                // Where nobody is above the edge, or everybody, it says nothing.
                (found.z().unwrap_or(f64::NEG_INFINITY), found)
            };
            if strongest.is_none_or(|(strongest, _)| strength > strongest) {
                strongest = Some((strength, found));
            }
        }
    }
    strongest.map(|(_, contrast)| contrast)
}

/// The population stability index less a limit. It has no variance: a bare threshold is all that is asked of it.
///
/// An empty bin counts as half a request, or the index would be infinite.
fn stability(edges: &[(UnitSums, UnitSums)], limit: f64) -> Option<Contrast> {
    let shares = |arm: fn(&(UnitSums, UnitSums)) -> &UnitSums| {
        let requests = arm(edges.first()?).x;
        let above: Option<Vec<f64>> = edges.iter().map(|edge| arm(edge).ratio()).collect();
        let bins = between(&above?);
        Some(bins.into_iter().map(|share| share.max(0.5 / requests)).collect::<Vec<f64>>())
    };
    let (candidate, stable) = (shares(|(candidate, _)| candidate)?, shares(|(_, stable)| stable)?);
    let effective_units = edges.first().map(|(candidate, stable)| candidate.effective_units().min(stable.effective_units()))?;
    let difference = drift::population_stability(&candidate, &stable) - limit;
    Some(Contrast { difference, variance: None, df: f64::NAN, effective_units })
}
