//! Less variance by a covariate from before the experiment (CUPED).

use super::mean::{self, Estimate, Sample};

/// Comparison adjusted by a covariate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adjusted {
    /// Slope of the metric on the covariate, over both arms.
    pub theta: f64,
    /// Variance of the adjusted metric in the treatment arm.
    pub variance_treatment: f64,
    /// Variance of the adjusted metric in the control arm.
    pub variance_control: f64,
    /// Adjusted difference, treatment minus control.
    pub difference: Estimate,
}

/// Difference of means adjusted by one covariate.
///
/// # Formula
/// `theta = cov(Y, X) / var(X)` over both arms together (not centred by arm), then [`mean::welch`] on `Y - theta X`.
///
/// # Arguments
/// For each arm one `(Y, X)` for each independent unit, at least two; `X` is not affected by the treatment: stable's recorded
/// output, or the period before. A constant covariate adjusts nothing.
///
/// # Accuracy
/// The slope is taken as known: fine from some hundred units on, slightly optimistic below.
///
/// # Source
/// A. Deng, Y. Xu, R. Kohavi, T. Walker (2013), WSDM; pooling as gbstats' `compute_theta`.
///
/// # Example
/// The arms of reference vector `cuped`: theta 1.07234, difference 0.89277, se 0.28150 (gbstats).
#[must_use]
pub fn adjusted(treatment: &[(f64, f64)], control: &[(f64, f64)]) -> Adjusted {
    let theta = slope(&[treatment, control].concat());
    let arm = |units: &[(f64, f64)]| Sample::of(&units.iter().map(|(y, x)| y - theta * x).collect::<Vec<_>>());
    let (treated, controls) = (arm(treatment), arm(control));
    Adjusted {
        theta,
        variance_treatment: treated.variance,
        variance_control: controls.variance,
        difference: mean::welch(&treated, &controls),
    }
}

/// Least-squares slope of `Y` on `X`; zero where `X` is constant.
///
/// # Formula
/// `cov(Y, X) / var(X)`.
///
/// # Source
/// A. Deng, Y. Xu, R. Kohavi, T. Walker (2013), WSDM: the coefficient that leaves least variance.
///
/// # Example
/// (1, 1), (2, 2), (2, 3): 0.5.
#[must_use]
pub fn slope(units: &[(f64, f64)]) -> f64 {
    let n = units.len() as f64;
    let (y, x) = units.iter().fold((0.0, 0.0), |(y, x), unit| (y + unit.0, x + unit.1));
    let (y, x) = (y / n, x / n);
    let (yx, xx) =
        units.iter().fold((0.0, 0.0), |(yx, xx), unit| (yx + (unit.0 - y) * (unit.1 - x), xx + (unit.1 - x).powi(2)));
    // Below this the squares are rounding errors of a constant.
    if xx > 1e-24 * n * x * x { yx / xx } else { 0.0 }
}

/// Share of the variance that is left after adjustment: `1 - corr²`. A sample size shrinks by the same factor.
///
/// # Arguments
/// `correlation` of metric and covariate over units, in [-1, 1].
///
/// # Source
/// A. Deng, Y. Xu, R. Kohavi, T. Walker (2013), WSDM.
///
/// # Example
/// 0.7: 0.51.
#[must_use]
pub fn variance_left(correlation: f64) -> f64 {
    1.0 - correlation * correlation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::alternative::Alternative;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #[test]
        fn a_covariate_moved_changes_nothing_and_a_constant_one_is_none(
            t in prop::collection::vec((-5.0..5.0f64, -5.0..5.0f64), 3..20),
            c in prop::collection::vec((-5.0..5.0f64, -5.0..5.0f64), 3..20), shift in -5.0..5.0f64, scale in 0.2..5.0f64,
        ) {
            let moved = |arm: &[(f64, f64)]| arm.iter().map(|(y, x)| (*y, shift + scale * x)).collect::<Vec<_>>();
            let constant = |arm: &[(f64, f64)]| arm.iter().map(|(y, _)| (*y, 2.0)).collect::<Vec<_>>();
            let (plain, other) = (adjusted(&t, &c), adjusted(&moved(&t), &moved(&c)));
            let (value, se) = (plain.difference.value, plain.difference.se);
            prop_assert!((value - other.difference.value).abs() < 1e-6 * (1.0 + value.abs()));
            prop_assert!((se - other.difference.se).abs() < 1e-6 * (1.0 + se));
            prop_assert!(adjusted(&constant(&t), &constant(&c)).theta.abs() < 1e-300);
        }
    }

    #[test]
    fn keeps_its_level_with_half_the_variance() {
        let mut rng = ChaCha8Rng::seed_from_u64(15);
        let mut draw = |n: usize| -> Vec<(f64, f64)> {
            let mut unit = || (rng.random::<f64>() - 0.5, rng.random::<f64>() - 0.5);
            (0..n).map(|_| unit()).map(|(x, noise)| (x + noise, x)).collect()
        };
        let (mut rejected, mut left) = (0, 0.0);
        for _ in 0..2000 {
            let test = adjusted(&draw(60), &draw(60));
            rejected += usize::from(test.difference.p_value(0.0, Alternative::TwoSided) < 0.05);
            left += test.variance_control / 2000.0;
        }
        assert!((65..=145).contains(&rejected), "{rejected} of 2000");
        assert!((left * 12.0 - 2.0 * variance_left(0.5_f64.sqrt())).abs() < 0.05, "{left}");
    }
}
