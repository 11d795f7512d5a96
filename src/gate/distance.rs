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
use crate::stats::{drift, mean, mmd};

/// The distance beyond a limit; `None` where an arm has no value.
pub(super) fn beyond(
    asker: &Asker<'_>,
    slice: usize,
    lens: Lens,
    (measure, limit): (Measure, f64),
    arms: &impl Arms,
) -> Option<Contrast> {
    let metric = asker.gate.metric;
    if measure == Measure::Mmd {
        return discrepancy(asker, slice, lens, limit, arms);
    }
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
        Measure::Mmd => unreachable!("it has no edges"),
    }
}

/// The maximum mean discrepancy of embeddings less a limit.
///
/// # Formula
/// Of each feature the arms' means differ by `d` with a variance over units `v`, the sum of the arms'. The estimate is
/// [`mmd::discrepancy`]. What is unlikely is the squared length of `d` under a mean as long as the limit, by
/// [`mmd::squared_length_deviate`]: how large the noise is comes from the window, how it is spread over features from stable's answers in the
/// log. The variance is the mean square of the noise, `sum v` over the number of directions.
fn discrepancy(asker: &Asker<'_>, slice: usize, lens: Lens, limit: f64, arms: &impl Arms) -> Option<Contrast> {
    let metric = asker.gate.metric;
    let embedding = asker.layout.embeddings[metric].as_ref()?;
    let pairs = embedding.pairs();
    let (mut squares, mut noise) = (0.0, Some([0.0; 2]));
    let mut effective = [f64::INFINITY; 2];
    for (feature, outlier) in embedding.outlier.iter().enumerate() {
        let candidate = arms.sums(Arm::Candidate, lens.answers, slice, metric + feature, None);
        let candidate = candidate.affine(lens.shift * outlier, lens.scale);
        let stable = arms.sums(Arm::Stable, Answers::Stable, slice, metric + feature, None);
        squares += (candidate.ratio()? - stable.ratio()?).powi(2);
        let variances = candidate.ratio_variance().zip(stable.ratio_variance());
        noise = noise.zip(variances).map(|(noise, (candidate, stable))| [noise[0] + candidate, noise[1] + stable]);
        effective = [candidate.effective_units(), stable.effective_units()];
    }
    let effective_units = effective[0].min(effective[1]);
    let of_one = 1.0 / pairs as f64;
    let Some([candidate, stable]) = noise else {
        let difference = (of_one * squares).sqrt() - limit;
        return Some(Contrast { difference, variance: None, df: f64::NAN, effective_units, deviate: None });
    };
    let noise = candidate + stable;
    Some(Contrast {
        difference: mmd::discrepancy(of_one * squares, of_one * noise) - limit,
        variance: Some(of_one * noise),
        df: mean::welch_df((candidate, effective[0]), (stable, effective[1])),
        effective_units,
        deviate: mmd::squared_length_deviate(of_one * squares, of_one * noise, embedding.spread[slice], limit),
    })
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
    let effective_units =
        edges.first().map(|(candidate, stable)| candidate.effective_units().min(stable.effective_units()))?;
    let difference = drift::population_stability(&candidate, &stable) - limit;
    Some(Contrast { difference, variance: None, df: f64::NAN, effective_units, deviate: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::ks;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Sums at each edge of units with so many requests, one list of values each.
    fn edges(candidate: &[Vec<f64>], stable: &[Vec<f64>], at: &[f64]) -> Vec<(UnitSums, UnitSums)> {
        let sums = |units: &[Vec<f64>], edge: f64| {
            let above = |unit: &Vec<f64>| unit.iter().filter(|value| **value > edge).count() as f64;
            UnitSums::of(&units.iter().map(|unit| (above(unit), unit.len() as f64)).collect::<Vec<_>>())
        };
        at.iter().map(|&edge| (sums(candidate, edge), sums(stable, edge))).collect()
    }

    fn singles(values: &[f64]) -> Vec<Vec<f64>> {
        values.iter().map(|&value| vec![value]).collect()
    }

    fn bare(edges: Vec<(UnitSums, UnitSums)>) -> f64 {
        farthest(edges.into_iter(), 0.0, true).unwrap().difference
    }

    // The distance of all values; of the samples of reference vector `ks-2sample` scipy 1.17.1 has 0.61667 for it.
    #[test]
    fn at_every_value_it_is_the_distance_of_kolmogorov_and_smirnov() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        for _ in 0..50 {
            let mut draw = |n: usize| -> Vec<f64> { (0..n).map(|_| f64::from(rng.random_range(0..15u8))).collect() };
            let (candidate, stable) = (draw(12), draw(20));
            let at: Vec<f64> = stable.iter().chain(&candidate).copied().collect();
            let found = bare(edges(&singles(&candidate), &singles(&stable), &at));
            assert!((found - ks::two_sample(&candidate, &stable).distance).abs() < 1e-12);
        }
    }

    // By hand: 0.2 and 0.8 against 0.5 and 0.5 are -0.3 ln 0.4 + 0.3 ln 1.6 = 0.3 ln 4.
    #[test]
    fn the_index_is_that_of_the_bins() {
        let values = |low: usize, high: usize| singles(&[vec![1.0; low], vec![3.0; high]].concat());
        let index = |candidate: &[Vec<f64>], stable: &[Vec<f64>]| {
            stability(&edges(candidate, stable, &[2.0]), 0.1).unwrap().difference + 0.1
        };
        assert!((index(&values(2, 8), &values(50, 50)) - 0.3 * 4.0_f64.ln()).abs() < 1e-12);
        // An empty bin is half a request of ten.
        let empty = (0.05 - 0.5) * (0.05_f64 / 0.5).ln() + 0.5 * 2.0_f64.ln();
        assert!((index(&values(0, 10), &values(50, 50)) - empty).abs() < 1e-12);
        assert_eq!(stability(&edges(&[], &values(1, 1), &[2.0]), 0.1), None);
    }

    proptest! {
        #[test]
        fn arms_that_are_alike_are_not_apart_and_the_scale_does_not_matter(
            a in prop::collection::vec(prop::collection::vec(1u8..20, 1..5), 3..20),
            b in prop::collection::vec(prop::collection::vec(1u8..20, 1..5), 3..20),
        ) {
            let of = |units: &[Vec<u8>], map: fn(f64) -> f64| -> Vec<Vec<f64>> {
                units.iter().map(|unit| unit.iter().map(|&value| map(f64::from(value))).collect()).collect()
            };
            let at = [4.5, 9.5, 14.5];
            let same = |value: f64| value;
            let (candidate, stable) = (of(&a, same), of(&b, same));
            let alike = edges(&candidate, &candidate, &at);
            prop_assert!(stability(&alike, 0.0).unwrap().difference.abs() < 1e-12 && bare(alike).abs() < 1e-12);
            let apart = edges(&candidate, &stable, &at);
            let moved = edges(&of(&a, f64::exp), &of(&b, f64::exp), &at.map(f64::exp));
            prop_assert!((stability(&apart, 0.0).unwrap().difference - stability(&moved, 0.0).unwrap().difference).abs() < 1e-12);
            prop_assert!(stability(&apart, 0.0).unwrap().difference >= 0.0);
            prop_assert_eq!(farthest(apart.iter().copied(), 0.1, false), farthest(moved.iter().copied(), 0.1, false));
        }
    }

    // Yurdakul (2018): with independent requests the index is (B - 1)(1/n + 1/m) on average though nothing has changed. Requests of users who
    // answer alike are worth less, and the index is larger.
    #[test]
    fn without_drift_the_index_is_as_large_as_the_law_says_and_larger_with_users() {
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        let at: Vec<f64> = (1..10).map(|edge| f64::from(edge) / 10.0).collect();
        let mut mean = |requests: usize| {
            let mut arm = |n: usize| -> Vec<Vec<f64>> {
                (0..n / requests).map(|_| vec![rng.random::<f64>(); requests]).collect()
            };
            let index = |_| {
                let (candidate, stable) = (arm(400), arm(1600));
                stability(&edges(&candidate, &stable, &at), 0.0).unwrap().difference
            };
            (0..400).map(index).sum::<f64>() / 400.0
        };
        let law = drift::population_stability_null_mean((400.0, 1600.0), 10);
        let (alone, together) = (mean(1), mean(4));
        assert!((alone / law - 1.0).abs() < 0.1, "{alone} for {law}");
        assert!((3.5..6.0).contains(&(together / law)), "{together} for {law}");
    }

    /// Rejections of one test at 5 % among rollouts without drift in which every user answers alike, by bins of the gate.
    #[test]
    fn requests_of_a_user_count_once() {
        let mut rng = ChaCha8Rng::seed_from_u64(13);
        let at: Vec<f64> = (1..10).map(|edge| f64::from(edge) / 10.0).collect();
        let mut arm = |users: usize| -> Vec<Vec<f64>> {
            let of_user = |_| {
                let (own, requests) = (rng.random::<f64>(), rng.random_range(1..9usize));
                (0..requests).map(|_| if rng.random::<f64>() < 0.7 { own } else { rng.random::<f64>() }).collect()
            };
            (0..users).map(of_user).collect()
        };
        let (mut rejected, mut textbook) = (0, 0);
        let bound = crate::stats::normal::upper_quantile(0.05 / 18.0);
        for _ in 0..800 {
            let (candidate, stable) = (arm(60), arm(500));
            let found = farthest(edges(&candidate, &stable, &at).into_iter(), 0.0, false).unwrap();
            rejected += usize::from(found.exceeds(bound) == Some(true));
            let all = |units: &[Vec<f64>]| units.concat();
            textbook += usize::from(ks::two_sample(&all(&candidate), &all(&stable)).approximate_p_value() <= 0.05);
        }
        // Binomial limits of 800 at 1 in 10,000; the textbook takes every request as independent.
        assert!((5..=66).contains(&rejected), "{rejected} of 800");
        assert!(textbook > 200, "{textbook} of 800");
    }
}
