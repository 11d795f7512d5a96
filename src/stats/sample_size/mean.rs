//! Sizes and powers of tests of means.

use super::{Arms, Design, normal_power};
use crate::stats::alternative::Sides;
use crate::stats::{root, student_t};

/// No plan is larger than this many units.
const LIMIT: f64 = 1e15;

/// Two independent means to be compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoMeans {
    /// Distance of the true difference from the null: the effect, or for non-inferiority the margin minus the true degradation.
    pub effect: f64,
    /// Standard deviation of units on the candidate.
    pub sd_treatment: f64,
    /// Standard deviation of units on stable.
    pub sd_control: f64,
    /// Units on stable for each on the candidate; `(1 - f) / f` for a canary of share `f`.
    pub controls_per_treated: f64,
}

impl TwoMeans {
    /// Variance of the difference with one treated unit.
    fn variance(&self) -> f64 {
        self.sd_treatment.powi(2) + self.sd_control.powi(2) / self.controls_per_treated
    }
}

/// Units for a normal test of two means.
///
/// # Formula
/// `n_t = h² (s_t² + s_c² / k) / effect²`, `h` the [`Design::noncentrality`], `k` controls for each treated unit.
///
/// # Arguments
/// `effect` not zero: one-sided tests reject on its side. Equal standard deviations and `k = 1` give `2 h² s² / effect²` in each arm.
///
/// # Errors
/// `None` where the effect is zero or the power not above the level.
///
/// # Accuracy
/// Known variances: a t test needs about `z_a² / 4` more units in each arm.
///
/// # Source
/// R. V. Lenth (2001), Am. Stat. 55, 187-193; as statsmodels' `NormalIndPower` and gsDesign's `nNormal`.
///
/// # Example
/// Effect 0.2, deviation 1, 0.05 on two sides, 0.8: 392.4430233 in each arm (statsmodels 0.15.0).
#[must_use]
pub fn two_means(plan: &TwoMeans, design: &Design) -> Option<Arms> {
    if plan.effect == 0.0 {
        return None;
    }
    let distance = design.noncentrality()?;
    Some(Arms::of((distance / plan.effect).powi(2) * plan.variance(), plan.controls_per_treated))
}

/// Power of a normal test of two means with given treated units. See [`two_means`].
///
/// # Formula
/// [`normal_power`] at `|effect| / sqrt((s_t² + s_c² / k) / n_t)`.
///
/// # Example
/// Effect 0.8, deviations 1.6 and 1.25, two controls for each of 66.67 treated, 0.025 on one side: 0.9466824512 (gsDesign).
#[must_use]
pub fn two_means_power(plan: &TwoMeans, treated: f64, alpha: f64, sides: Sides) -> f64 {
    normal_power(plan.effect.abs() * (treated / plan.variance()).sqrt(), alpha, sides)
}

/// Power of a t test with a noncentrality; the wrong side counts only on demand.
fn t_power(noncentrality: f64, df: f64, alpha: f64, sides: Sides, count_wrong_side: bool) -> f64 {
    let t = student_t::upper_quantile(sides.level_each(alpha), df);
    let right = student_t::noncentral_upper_tail(t, df, noncentrality);
    match sides {
        Sides::Two if count_wrong_side => right + student_t::noncentral_cdf(-t, df, noncentrality),
        _ => right,
    }
}

/// Power of the pooled t test of two means with equal standard deviations.
///
/// # Formula
/// Noncentral t with `n_t + n_c - 2` degrees of freedom and noncentrality `|effect| / (s sqrt(1/n_t + 1/n_c))`; on two sides rejections
/// on the wrong side count, as R's `power.t.test(strict = TRUE)`.
///
/// # Arguments
/// `arms` more than two units together; `sd` common to both.
///
/// # Accuracy
/// Absolute 1e-9.
///
/// # Source
/// J. Cohen (1988), Statistical Power Analysis, chapter 2.
///
/// # Example
/// 20 in each arm, effect and deviation 1, 0.05 on two sides: 0.868953027725 (R 4.2.2).
#[must_use]
pub fn two_means_power_t(effect: f64, sd: f64, arms: Arms, alpha: f64, sides: Sides) -> f64 {
    let noncentrality = effect.abs() / (sd * (1.0 / arms.treatment + 1.0 / arms.control).sqrt());
    t_power(noncentrality, arms.total() - 2.0, alpha, sides, true)
}

/// Units for the pooled t test of two means with equal standard deviations. See [`two_means_power_t`].
///
/// # Errors
/// `None` where the effect is zero or the power not above the level.
///
/// # Example
/// Effect 0.2, deviation 1, equal arms, 0.05 on two sides, 0.8: 393.405693 in each arm (statsmodels 0.15.0).
#[must_use]
pub fn two_means_t(effect: f64, sd: f64, controls_per_treated: f64, design: &Design) -> Option<Arms> {
    design.noncentrality().filter(|_| effect != 0.0)?;
    let miss = |treated: f64| {
        let arms = Arms::of(treated, controls_per_treated);
        two_means_power_t(effect, sd, arms, design.alpha, design.sides) - design.power
    };
    let smallest = 2.01 / (1.0 + controls_per_treated);
    Some(Arms::of(root::rising(miss, smallest, LIMIT)?, controls_per_treated))
}

/// Standard deviation of a paired difference of two outputs with equal deviations: `s sqrt(2 (1 - corr))`.
///
/// # Example
/// 1 at correlation 0.8: 0.6324555.
#[must_use]
pub fn paired_sd(sd: f64, correlation: f64) -> f64 {
    sd * (2.0 * (1.0 - correlation)).sqrt()
}

/// Pairs for a normal test of a mean difference.
///
/// # Formula
/// `(z_a + z_b)² s_d² / effect²`.
///
/// # Arguments
/// `effect` the distance of the true mean difference from the null; `sd` of the differences.
///
/// # Errors
/// `None` where the effect is zero or no such plan exists.
///
/// # Source
/// R. V. Lenth (2001), Am. Stat. 55, 187-193.
///
/// # Example
/// Effect 0.05, deviation 0.6324555, 0.05 on one side, 0.8: 989.209.
#[must_use]
pub fn pairs(effect: f64, sd: f64, design: &Design) -> Option<f64> {
    let distance = design.distance().filter(|_| effect != 0.0)?;
    Some((distance * sd / effect).powi(2))
}

/// Power of a paired t test.
///
/// # Formula
/// Noncentral t with `n - 1` degrees of freedom and noncentrality `|effect| sqrt(n) / s_d`; rejections on the wrong side do not count,
/// as R's `power.t.test` by default.
///
/// # Arguments
/// `pairs` more than one.
///
/// # Source
/// J. Cohen (1988), Statistical Power Analysis, chapter 2.
///
/// # Example
/// 786.81 pairs, effect 0.1, deviation 1, 0.05 on two sides: 0.8 (R 4.2.2).
#[must_use]
pub fn pairs_power_t(effect: f64, sd: f64, pairs: f64, alpha: f64, sides: Sides) -> f64 {
    t_power(effect.abs() * pairs.sqrt() / sd, pairs - 1.0, alpha, sides, false)
}

/// Pairs for a paired t test. See [`pairs_power_t`].
///
/// # Errors
/// `None` where the effect is zero or no such plan exists.
///
/// # Example
/// Effect 0.1, deviation 1, 0.05 on two sides, 0.8: 786.8108627 (R 4.2.2 `power.t.test(type = "paired")`).
#[must_use]
pub fn pairs_t(effect: f64, sd: f64, design: &Design) -> Option<f64> {
    design.distance().filter(|_| effect != 0.0)?;
    let miss = |pairs: f64| pairs_power_t(effect, sd, pairs, design.alpha, design.sides) - design.power;
    root::rising(miss, 1.01, LIMIT)
}

/// Smallest relative lift a test detects, with the lift's variance growing with the lift.
///
/// # Formula
/// With `c = k² s² / (n mean²)`, `k = z_a + z_b`, the positive root of `d² = c (1 + (1 + d)²)`: `(c + sqrt(2c - c²)) / (1 - c)`.
///
/// # Arguments
/// `mean` of the metric, not zero; `variance` of a unit; `n` units in each arm.
///
/// # Errors
/// `None` where `c >= 1`: no lift, however large, is detected with that power. Needs `n > k² s² / mean²`.
///
/// # Source
/// `GrowthBook`'s power documentation, from the delta-method variance of A. Deng, U. Knoblich, J. Lu (2018), KDD.
///
/// # Example
/// Mean 0.41, variance 15, 3400 in each arm, 0.05 on two sides, 0.8: 1.02506.
#[must_use]
pub fn relative_mde(mean: f64, variance: f64, n: f64, design: &Design) -> Option<f64> {
    let c = (design.distance()? / mean).powi(2) * variance / n;
    (c < 1.0).then(|| (c + (2.0 * c - c * c).sqrt()) / (1.0 - c))
}

/// The same with the variance the lift has at zero: `sqrt(2 c)`, too small. See [`relative_mde`].
///
/// # Example
/// Mean 0.41, variance 15, 3400 in each arm, 0.05 on two sides, 0.8: 0.64186.
#[must_use]
pub fn relative_mde_naive(mean: f64, variance: f64, n: f64, design: &Design) -> Option<f64> {
    Some(design.distance()? / mean.abs() * (2.0 * variance / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_effect_no_plan() {
        let design = Design { alpha: 0.05, power: 0.8, sides: Sides::One };
        assert_eq!(pairs(0.0, 1.0, &design), None);
        assert_eq!(pairs_t(0.0, 1.0, &design), None);
        assert_eq!(two_means_t(0.0, 1.0, 1.0, &design), None);
        assert_eq!(relative_mde(0.01, 1.0, 100.0, &design), None);
    }

    proptest! {
        #[test]
        fn sizes_have_their_power(
            effect in 0.05..2.0f64, sd in 0.5..3.0f64, k in 0.2..20.0f64, power in 0.5..0.97f64, two in any::<bool>(),
        ) {
            let sides = if two { Sides::Two } else { Sides::One };
            let design = Design { alpha: 0.05, power, sides };
            let plan = TwoMeans { effect, sd_treatment: sd, sd_control: sd, controls_per_treated: k };
            let z = two_means(&plan, &design).unwrap();
            prop_assert!((two_means_power(&plan, z.treatment, 0.05, sides) - power).abs() < 1e-9);
            let t = two_means_t(effect, sd, k, &design).unwrap();
            prop_assert!(two_means_power_t(effect, sd, t, 0.05, sides) >= power - 1e-8);
            prop_assert!(t.total() >= z.total() - 1e-6 || t.total() < 2.1);
            let n = pairs_t(effect, sd, &design).unwrap();
            prop_assert!(pairs_power_t(effect, sd, n, 0.05, sides) >= power - 1e-8);
        }

        #[test]
        fn the_relative_mde_solves_its_equation(mean in 0.1..5.0f64, variance in 0.1..5.0f64, n in 50.0..1e6f64) {
            let design = Design { alpha: 0.05, power: 0.8, sides: Sides::Two };
            if let Some(lift) = relative_mde(mean, variance, n, &design) {
                let se = (variance / n / (mean * mean) * (1.0 + (1.0 + lift).powi(2))).sqrt();
                prop_assert!((lift - design.distance().unwrap() * se).abs() < 1e-7 * lift.max(1.0));
                prop_assert!(lift >= relative_mde_naive(mean, variance, n, &design).unwrap());
            }
        }
    }
}
