//! Sizes of rank and quantile tests.

use super::Design;

/// Units in total for the Mann-Whitney test.
///
/// # Formula
/// `(z_a + z_b)² / (12 c (1 - c) (p - 1/2)²)`.
///
/// # Arguments
/// `p` the chance that a value of the first sample is below one of the second; `fraction` `c` of the units in the first sample, in (0, 1).
///
/// # Errors
/// `None` where `p` is one half.
///
/// # Accuracy
/// Assumes the variance of the null hypothesis: good for `p` near one half.
///
/// # Source
/// G. E. Noether (1987), JASA 82, 645-647.
///
/// # Example
/// 0.3 at 0.05 on two sides, 0.9, equal samples: 87.56, so 44 in each (R statpsych `size.test.mann`).
#[must_use]
pub fn mann_whitney(p: f64, fraction: f64, design: &Design) -> Option<f64> {
    let distance = design.distance().filter(|_| p - 0.5 != 0.0)?;
    Some((distance / (p - 0.5)).powi(2) / (12.0 * fraction * (1.0 - fraction)))
}

/// One arm of a comparison of quantiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantileArm {
    /// Density of the metric at its quantile, positive.
    pub density: f64,
    /// Design effect of the share below the quantile; 1 for independent observations.
    pub deff: f64,
}

/// Observations on the candidate for a comparison of quantiles.
///
/// # Formula
/// `n_t = (z_a + z_b)² p (1 - p) (deff_t / f_t² + deff_s / (k f_s²)) / distance²`.
///
/// # Arguments
/// `p` in (0, 1); `distance` of the true difference of the quantiles from the null, in the metric's unit; `controls_per_treated` `k`.
///
/// # Errors
/// `None` where the distance is zero or no such plan exists.
///
/// # Accuracy
/// Asymptotic: needs `n (1 - p)` above some twenty in each arm.
///
/// # Source
/// R. R. Bahadur (1966), Ann. Math. Stat. 37, 577-580.
///
/// # Example
/// Reference vector `ss-quantile-lognormal` (95 % quantile 910.4, margin 5 %): 5521.718 in each arm.
#[must_use]
pub fn quantile(
    p: f64,
    distance: f64,
    (treatment, control): (QuantileArm, QuantileArm),
    controls_per_treated: f64,
    design: &Design,
) -> Option<f64> {
    let deviates = design.distance().filter(|_| distance != 0.0)?;
    let arm = |arm: QuantileArm| arm.deff / arm.density.powi(2);
    let variance = p * (1.0 - p) * (arm(treatment) + arm(control) / controls_per_treated);
    Some((deviates / distance).powi(2) * variance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::alternative::Sides;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sizes_shrink_with_the_square_of_the_distance(p in 0.51..0.9f64, power in 0.5..0.95f64) {
            let design = Design { alpha: 0.05, power, sides: Sides::Two };
            let near = mann_whitney(0.5 + (p - 0.5) / 2.0, 0.3, &design).unwrap();
            prop_assert!((near / mann_whitney(p, 0.3, &design).unwrap() - 4.0).abs() < 1e-9);
            prop_assert!((mann_whitney(p, 0.3, &design).unwrap() / mann_whitney(1.0 - p, 0.7, &design).unwrap() - 1.0).abs() < 1e-9);
            let arm = QuantileArm { density: 0.02, deff: 1.5 };
            let far = quantile(p, 2.0, (arm, arm), 1.0, &design).unwrap();
            prop_assert!((quantile(p, 1.0, (arm, arm), 1.0, &design).unwrap() / far - 4.0).abs() < 1e-9);
        }
    }

    #[test]
    fn no_distance_no_plan() {
        let design = Design { alpha: 0.05, power: 0.8, sides: Sides::One };
        let arm = QuantileArm { density: 1.0, deff: 1.0 };
        assert_eq!(mann_whitney(0.5, 0.5, &design), None);
        assert_eq!(quantile(0.9, 0.0, (arm, arm), 1.0, &design), None);
    }
}
