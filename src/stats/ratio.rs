//! Ratios of sums: comparison of two arms, Fieller's interval, and ratios of means.

use super::cluster::UnitSums;
use super::mean::{self, Estimate};
use super::student_t;

/// Difference of two ratios of sums, treatment minus control.
///
/// # Formula
/// `value = R_t - R_c`, variances by [`UnitSums::ratio_variance`], degrees of freedom by Welch and Satterthwaite on units.
///
/// # Arguments
/// Sums over the units of each arm.
///
/// # Errors
/// `None` where an arm has fewer than two units or no positive denominator.
///
/// # Accuracy
/// Of first order: use [`fieller`] to see whether the denominator is known well enough.
///
/// # Source
/// A. Deng, U. Knoblich, J. Lu (2018), KDD, section 3.
///
/// # Example
/// The units of reference vector `ratio-delta-test`: difference 0.08254, p = 0.37106 (gbstats `TwoSidedTTest` on `RatioStatistic`).
#[must_use]
pub fn difference(treatment: &UnitSums, control: &UnitSums) -> Option<Estimate> {
    let arm = |sums: &UnitSums| Some((sums.ratio()?, sums.ratio_variance()?, sums.units));
    Some(mean::difference(arm(treatment)?, arm(control)?))
}

/// Variance over units of `Y - R X`, the metric made linear at its own ratio.
///
/// # Formula
/// `var(Y - R X) = K (sum X / K)² Var(R)`, divided by `K - 1`: the linear metric is planned and tested as a mean.
///
/// # Arguments
/// Sums over units.
///
/// # Errors
/// `None` with fewer than two units or a denominator that is not positive.
///
/// # Source
/// R. Budylin et al. (2018), WSDM, on linearisation.
///
/// # Example
/// The units of reference vector `ratio-linearisation`: 0.6791769547.
#[must_use]
pub fn residual_variance(sums: &UnitSums) -> Option<f64> {
    Some(sums.ratio_variance()? * sums.units * (sums.x / sums.units).powi(2))
}

/// Fieller's confidence set of a ratio of sums.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fieller {
    /// `t² Var(mean X) / mean(X)²`: from 1 on the denominator may be zero, and no interval exists.
    pub g: f64,
    /// The bounds; `None` where `g >= 1`.
    pub interval: Option<(f64, f64)>,
}

/// Fieller's interval of a ratio of sums.
///
/// # Formula
/// All `r` with `(mean Y - r mean X)² <= t² Var(mean Y - r mean X)`.
///
/// # Arguments
/// Sums over units; `alpha` two-sided; `df` degrees of freedom of `t`, usually units minus one.
///
/// # Errors
/// `None` with fewer than two units or a denominator of zero.
///
/// # Accuracy
/// Exact for normal sums; needed instead of the delta method where `g` exceeds about 0.05.
///
/// # Source
/// E. C. Fieller (1954), J. R. Stat. Soc. B 16, 175-185.
///
/// # Example
/// The units of reference vector `ratio-fieller`, 9 degrees of freedom: 0.47177 to 0.78745, g = 0.19796.
#[must_use]
pub fn fieller(sums: &UnitSums, alpha: f64, df: f64) -> Option<Fieller> {
    let k = sums.units;
    if k < 2.0 || sums.x == 0.0 {
        return None;
    }
    let (y, x) = (sums.y / k, sums.x / k);
    let covariance = |product: f64, a: f64, b: f64| (product - k * a * b) / (k - 1.0) / k;
    let (vy, vyx, vx) = (covariance(sums.yy, y, y), covariance(sums.yx, y, x), covariance(sums.xx, x, x));
    let t2 = student_t::upper_quantile(alpha / 2.0, df).powi(2);
    let g = t2 * vx / (x * x);
    let (a, b, c) = (x * x - t2 * vx, y * x - t2 * vyx, y * y - t2 * vy);
    let root = (b * b - a * c).max(0.0).sqrt();
    Some(Fieller { g, interval: (g < 1.0).then(|| ((b - root) / a, (b + root) / a)) })
}

/// Variance of the ratio of two correlated quantities, by the delta method.
///
/// # Formula
/// `vm/d² + m² vd/d⁴ - 2 m c/d³`.
///
/// # Arguments
/// `numerator` and `denominator`: mean and variance of each; `covariance` between them. The denominator's mean is not zero.
///
/// # Accuracy
/// Of first order.
///
/// # Source
/// A. Deng, U. Knoblich, J. Lu (2018), KDD, section 2; gbstats `variance_of_ratios`.
///
/// # Example
/// 1.2 (0.03) over 2.5 (0.01), covariance 0.004: 0.00455424.
#[must_use]
pub fn variance_of_ratio(numerator: (f64, f64), denominator: (f64, f64), covariance: f64) -> f64 {
    let ((m, vm), (d, vd)) = (numerator, denominator);
    vm / d.powi(2) + m * m * vd / d.powi(4) - 2.0 * m * covariance / d.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::alternative::Alternative;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn units() -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec((-5.0..5.0f64, 0.5..9.0f64), 3..30)
    }

    proptest! {
        #[test]
        fn a_ratio_over_ones_is_a_mean(a in prop::collection::vec(-5.0..5.0f64, 3..20), b in prop::collection::vec(-5.0..5.0f64, 3..20)) {
            let of = |values: &[f64]| UnitSums::of(&values.iter().map(|y| (*y, 1.0)).collect::<Vec<_>>());
            let (ratio, plain) = (difference(&of(&a), &of(&b)).unwrap(), mean::welch(&mean::Sample::of(&a), &mean::Sample::of(&b)));
            prop_assert!((ratio.value - plain.value).abs() < 1e-9 && (ratio.se - plain.se).abs() < 1e-9 * (1.0 + plain.se));
            prop_assert!((ratio.df - plain.df).abs() < 1e-6 * plain.df);
        }

        #[test]
        fn linear_residuals_have_their_own_variance(units in units()) {
            let sums = UnitSums::of(&units);
            let ratio = sums.ratio().unwrap();
            let residuals: Vec<f64> = units.iter().map(|(y, x)| y - ratio * x).collect();
            let plain = mean::Sample::of(&residuals).variance;
            prop_assert!((residual_variance(&sums).unwrap() - plain).abs() < 1e-8 * (1.0 + plain));
        }

        #[test]
        fn fieller_encloses_the_ratio_and_tends_to_the_delta_method(units in units()) {
            let sums = UnitSums::of(&units);
            let set = fieller(&sums, 0.05, sums.units - 1.0).unwrap();
            if let Some((low, high)) = set.interval {
                let ratio = sums.ratio().unwrap();
                prop_assert!(low <= ratio && ratio <= high);
            } else {
                prop_assert!(set.g >= 1.0);
            }
            let narrow = fieller(&sums, 0.9999, f64::INFINITY).unwrap().interval.unwrap();
            let z = crate::stats::normal::upper_quantile(0.499_95);
            let delta = 2.0 * z * sums.ratio_variance().unwrap().sqrt();
            prop_assert!((narrow.1 - narrow.0 - delta).abs() < 1e-3 * delta + 1e-12);
        }
    }

    #[test]
    fn keeps_its_level_with_correlated_denominators() {
        let mut rng = ChaCha8Rng::seed_from_u64(14);
        let mut draw = |n: usize| {
            let mut unit = || {
                let x = 1.0 + 5.0 * rng.random::<f64>();
                (x * (0.5 + rng.random::<f64>()), x)
            };
            UnitSums::of(&(0..n).map(|_| unit()).collect::<Vec<_>>())
        };
        let reject = |estimate: Estimate| estimate.p_value(0.0, Alternative::TwoSided) < 0.05;
        let rejected = (0..2000).filter(|_| reject(difference(&draw(40), &draw(80)).unwrap())).count();
        assert!((65..=145).contains(&rejected), "{rejected} of 2000");
    }
}
