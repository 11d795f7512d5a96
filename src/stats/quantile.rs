//! Quantiles: their definitions, intervals by order statistics, and variances.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::cluster::UnitSums;
use super::discrete::whole;
use super::normal;

/// Hyndman and Fan's definitions of a sample quantile, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Definition {
    /// Inverse of the empirical distribution function.
    Type1,
    /// As type 1, with the mean of both values at a step.
    Type2,
    /// The order statistic nearest to `n p`, even ranks at a tie.
    Type3,
    /// Linear interpolation of the empirical distribution function.
    Type4,
    /// Piecewise linear, knots midway through its steps.
    Type5,
    /// Expected ranks, `p (n + 1)`.
    Type6,
    /// `1 + (n - 1) p`: the default of R and `NumPy`, and of this program.
    Type7,
    /// Approximately median-unbiased, whatever the distribution.
    Type8,
    /// Approximately unbiased for the normal distribution.
    Type9,
}

/// Quantile of a sorted sample.
///
/// # Formula
/// `(1 - g) x_(j) + g x_(j+1)`, `j + g = n p + m` with `m = a + p (1 - a - b)`; types 1 to 3 round `g` to 0, 1/2 or 1.
///
/// # Arguments
/// `sorted` ascending and not empty; `p` in [0, 1].
///
/// # Source
/// R. J. Hyndman, Y. Fan (1996), Am. Stat. 50, 361-365.
///
/// # Example
/// The sample of reference vector `quantile-type7` at 0.9: type 1 133, type 6 144.9, type 7 132.7, type 8 140.3667 (R 4.2.2).
#[must_use]
pub fn sample_quantile(sorted: &[f64], p: f64, definition: Definition) -> f64 {
    let n = sorted.len() as f64;
    let fuzz = 4.0 * f64::EPSILON * n.max(1.0);
    let place = n * p + offset(definition, p);
    let (j, g) = ((place + fuzz).floor(), place - (place + fuzz).floor());
    let above = g > fuzz;
    let part = match definition {
        Definition::Type1 => f64::from(u8::from(above)),
        Definition::Type2 if above => 1.0,
        Definition::Type2 => 0.5,
        Definition::Type3 => f64::from(u8::from(above || j.rem_euclid(2.0) != 0.0)),
        _ if above => g,
        _ => 0.0,
    };
    let value = |rank: f64| {
        let last = sorted.len() - 1;
        sorted[usize::try_from(whole(rank - 1.0)).map_or(last, |index| index.min(last))]
    };
    let (low, high) = (value(j), value(j + 1.0));
    if part == 0.0 { low } else { low + part * (high - low) }
}

/// What is added to `n p`.
fn offset(definition: Definition, p: f64) -> f64 {
    match definition {
        Definition::Type1 | Definition::Type2 | Definition::Type4 => 0.0,
        Definition::Type3 => -0.5,
        Definition::Type5 => 0.5,
        Definition::Type6 => p,
        Definition::Type7 => 1.0 - p,
        Definition::Type8 => (p + 1.0) / 3.0,
        Definition::Type9 => p / 4.0 + 3.0 / 8.0,
    }
}

/// Ranks of order statistics that enclose a quantile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranks {
    /// One-based rank of the lower bound; 0 where the lower bound is minus infinity.
    pub lower: u64,
    /// One-based rank of the upper bound; above the number of values where the upper bound is infinity.
    pub upper: u64,
    /// Chance that the interval covers the quantile.
    pub coverage: f64,
}

/// Exact interval of a quantile from one sample, by order statistics.
///
/// # Formula
/// `lower = qbinom(alpha/2; n, p)`, `upper = qbinom(1 - alpha/2; n, p) + 1`; coverage `P(lower <= B <= upper - 1)`.
///
/// # Arguments
/// `n` independent observations, at least one; `p` in (0, 1); `alpha` two-sided.
///
/// # Accuracy
/// Coverage is at least `1 - alpha` wherever both bounds exist, and more than it with ties.
///
/// # Source
/// W. R. Thompson (1936), Ann. Math. Stat. 7, 122-128.
///
/// # Example
/// 1000 values, 0.95 quantile at 95 %: ranks 936 and 964, coverage 0.9581 (scipy 1.17.1 `binom`).
#[must_use]
pub fn rank_interval(n: u64, p: f64, alpha: f64) -> Option<Ranks> {
    let law = Binomial::new(p, n).ok()?;
    let (lower, upper) = (law.inverse_cdf(alpha / 2.0), law.inverse_cdf(1.0 - alpha / 2.0) + 1);
    let below = if lower == 0 { 0.0 } else { law.cdf(lower - 1) };
    Some(Ranks { lower, upper, coverage: law.cdf(upper - 1) - below })
}

/// Approximate ranks of the same interval: `n p -+ z sqrt(n p (1 - p) deff)`, not rounded.
///
/// # Formula
/// Normal approximation of the count below the quantile; `deff` widens it for clustered observations (1 for independent ones).
///
/// # Arguments
/// `n` observations; `p` in (0, 1); `alpha` two-sided.
///
/// # Source
/// R. S. Woodruff (1952), JASA 47, 635-646.
///
/// # Example
/// 1000 values, 0.95 quantile at 95 %: 936.4919 and 963.5081.
#[must_use]
pub fn normal_ranks(n: f64, p: f64, alpha: f64, deff: f64) -> (f64, f64) {
    let reach = normal::upper_quantile(alpha / 2.0) * (n * p * (1.0 - p) * deff).sqrt();
    (n * p - reach, n * p + reach)
}

/// Variance of one unit's contribution to a quantile, from the width of an interval of it.
///
/// # Formula
/// `(n*/n)(n - 1)((upper - lower) / (2 z))²`; divided by `n` it is the variance of the quantile.
///
/// # Arguments
/// `n` observations; the bounds were taken in a sample of `n_star` of them (`n_star = n` for all), at two-sided error `alpha`.
///
/// # Accuracy
/// As good as the density is constant between the bounds; zero where ties make the bounds equal: do not use it then.
///
/// # Source
/// A. Deng, U. Knoblich, J. Lu (2018), KDD, section 4 (outer confidence interval); gbstats `QuantileStatistic`.
///
/// # Example
/// 11000 observations, bounds 7 and 7.3 from 6400 of them at 95 %: 37.48235 (gbstats).
#[must_use]
pub fn outer_interval_variance(n: f64, n_star: f64, bounds: (f64, f64), alpha: f64) -> f64 {
    let half = (bounds.1 - bounds.0) / (2.0 * normal::upper_quantile(alpha / 2.0));
    n_star / n * (n - 1.0) * half * half
}

/// Design effect of a quantile: clustered over independent variance of the share below it.
///
/// # Formula
/// Variance of `sum(I) / sum(N)` over units, by [`UnitSums::ratio_variance`], over `p (1 - p) / sum(N)`.
///
/// # Arguments
/// `below`: per unit `Y` the observations at most the quantile, `X` all observations; `p` in (0, 1).
///
/// # Errors
/// `None` with fewer than two units or no observations.
///
/// # Source
/// A. Deng, U. Knoblich, J. Lu (2018), KDD, section 4.
///
/// # Example
/// The sums of reference vector `quantile-cluster-var`: 2.894838833 (gbstats `QuantileClusteredStatistic`).
#[must_use]
pub fn design_effect(below: &UnitSums, p: f64) -> Option<f64> {
    Some(below.ratio_variance()? / (p * (1.0 - p) / below.x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::spread;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    // R 4.2.2 quantile(1:10, 0.25, type = k).
    #[test]
    fn definitions_agree_with_r() {
        use Definition::{Type1, Type2, Type3, Type4, Type5, Type6, Type7, Type8, Type9};
        let sample: Vec<f64> = (1..=10).map(f64::from).collect();
        let values = [3.0, 3.0, 2.0, 2.5, 3.0, 2.75, 3.25, 2.916_666_666_666_667, 2.937_5];
        for (definition, value) in
            [Type1, Type2, Type3, Type4, Type5, Type6, Type7, Type8, Type9].into_iter().zip(values)
        {
            assert!((sample_quantile(&sample, 0.25, definition) - value).abs() < 1e-12, "{definition:?}");
        }
        assert!((sample_quantile(&sample, 0.5, Type2) - 5.5).abs() < 1e-12);
        assert!((sample_quantile(&[4.0], 0.0, Type6) - 4.0).abs() < 1e-12 && rank_interval(5, 1.5, 0.05).is_none());
    }

    #[test]
    fn too_few_values_have_no_bound() {
        let ranks = rank_interval(10, 0.95, 0.05).unwrap();
        assert!(ranks.upper == 11 && ranks.lower == 8);
        assert_eq!(rank_interval(10, 0.05, 0.05).unwrap().lower, 0);
    }

    proptest! {
        #[test]
        fn type_7_is_the_quantile_of_reports(mut x in prop::collection::vec(-9.0..9.0f64, 1..40), p in 0.0..=1.0f64) {
            x.sort_by(f64::total_cmp);
            prop_assert!((sample_quantile(&x, p, Definition::Type7) - spread::quantile(&x, p)).abs() < 1e-9);
        }

        #[test]
        fn coverage_is_at_least_nominal(n in 1u64..3000, p in 0.01..0.99f64, alpha in 0.01..0.3f64) {
            let ranks = rank_interval(n, p, alpha).unwrap();
            prop_assert!(ranks.coverage >= 1.0 - alpha - 1e-9 && ranks.lower < ranks.upper);
        }
    }

    #[test]
    fn the_rank_interval_covers() {
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        let ranks = rank_interval(120, 0.9, 0.1).unwrap();
        let covered = (0..3000).filter(|_| {
            let below = (0..120).filter(|_| rng.random::<f64>() <= 0.9).count() as u64;
            ranks.lower <= below && below < ranks.upper
        });
        let share = covered.count() as f64 / 3000.0;
        assert!((share - ranks.coverage).abs() < 0.02, "{share} {}", ranks.coverage);
    }
}
