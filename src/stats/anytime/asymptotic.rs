//! Asymptotic confidence sequences: estimates with a standard error, at any time.

use crate::stats::alternative::Sides;
use crate::stats::mean::{self, Sample};
use crate::stats::{mixture, normal};

/// Half-width of the mixture confidence sequence of a mean.
///
/// # Formula
/// `sd sqrt(2 (t rho2 + 1) / (t² rho2) ln(sqrt(t rho2 + 1) / alpha))`: the boundary [`mixture::two_sided_boundary`] at the ratio `t rho2`
/// times the standard error `sd / sqrt(t)`.
///
/// # Arguments
/// `t > 0` observations; `rho2 > 0`, best [`mixture::two_sided_tuning_exact`] over the number of observations at which it shall be
/// tightest; `alpha` two-sided in (0, 1); `sd` of one observation.
///
/// # Accuracy
/// Asymptotic in `t`.
///
/// # Source
/// I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas (2024), Ann. Stat. 52, 2613-2640 (arXiv:2103.06476), theorem 2.2.
///
/// # Example
/// `t` 100, `rho2` 0.01, `alpha` 0.05, `sd` 1: 0.36563948713638483 (library drconfseq).
#[must_use]
pub fn half_width(t: f64, rho2: f64, alpha: f64, sd: f64) -> f64 {
    sd / t.sqrt() * mixture::two_sided_boundary(alpha, t * rho2)
}

/// Half-width, per unit of standard deviation, of the confidence sequence of the law of the iterated logarithm.
///
/// # Formula
/// `1.7 sqrt((ln ln(2 t) + 0.72 ln(10.4 / alpha)) / t)`.
///
/// # Arguments
/// `t >= 1` observations; `alpha` two-sided in (0, 1).
///
/// # Accuracy
/// Asymptotic in `t`; nothing to tune, wider than [`half_width`] about the latter's best time.
///
/// # Source
/// S. R. Howard, A. Ramdas, J. `McAuliffe`, J. Sekhon (2021), Ann. Stat. 49, 1055-1080, equation 2 at half of `alpha` per side;
/// Waudby-Smith et al. (2024).
///
/// # Example
/// `t` 1000, `alpha` 0.025: 0.13568471349407188 (library drconfseq).
#[must_use]
pub fn iterated_logarithm_half_width(t: f64, alpha: f64) -> f64 {
    1.7 * (((2.0 * t).ln().ln() + 0.72 * (10.4 / alpha).ln()) / t).sqrt()
}

/// An estimated effect of treatment over control.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// The estimate.
    pub estimate: f64,
    /// Its standard error, positive.
    pub se: f64,
    /// Units of both arms.
    pub n: f64,
}

impl Effect {
    /// The difference of means. None where its variance is not positive.
    ///
    /// # Formula
    /// `m_T - m_C`, variance `v_T / n_T + v_C / n_C`; for proportions `GrowthBook` takes `v = p (1 - p)`.
    #[must_use]
    pub fn absolute(treatment: &Sample, control: &Sample) -> Option<Self> {
        let variance = treatment.variance_of_mean() + control.variance_of_mean();
        Self { estimate: treatment.mean - control.mean, se: variance.sqrt(), n: control.n + treatment.n }.usable()
    }

    /// The relative difference of means, [`mean::relative_lift`]. None where its variance is not positive or the control's mean
    /// is zero.
    #[must_use]
    pub fn relative(treatment: &Sample, control: &Sample) -> Option<Self> {
        let lift = mean::relative_lift(treatment, control)?;
        Self { estimate: lift.value, se: lift.se, n: control.n + treatment.n }.usable()
    }

    fn usable(self) -> Option<Self> {
        (self.estimate.is_finite() && self.se > 0.0 && self.se.is_finite()).then_some(self)
    }
}

/// What a sequential test says at a look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SequentialTest {
    /// Lower end of the confidence sequence.
    pub lower: f64,
    /// Upper end; infinite where one-sided.
    pub upper: f64,
    /// Anytime-valid p-value against no effect.
    pub p: f64,
}

/// `GrowthBook`'s two-sided sequential test: interval and p-value of an effect at a look.
///
/// # Formula
/// `estimate +- se z(R)` with [`mixture::two_sided_boundary`] at `R = kappa(alpha) n / n_star`; `p = min(1, 1 / e)` with
/// [`mixture::log_e_value`] at the same ratio.
///
/// # Arguments
/// `n_star > 0` units of both arms at which the interval shall be tightest; `alpha` two-sided in (0, 1).
///
/// # Accuracy
/// Asymptotic in the number of units.
///
/// # Source
/// Waudby-Smith et al. (2024), equations 9 and 155 of arXiv:2103.06476v7; `GrowthBook` 8f1db445, `SequentialTwoSidedTTest`.
///
/// # Example
/// 1500 of 3000 against 1396 of 3000, absolute, `n_star` 6000, `alpha` 0.05: -0.004470593659547932 to 0.0738039269928813,
/// p 0.12068874363332051 (gbstats).
#[must_use]
pub fn two_sided_test(effect: &Effect, n_star: f64, alpha: f64) -> SequentialTest {
    let ratio = mixture::two_sided_tuning(alpha) * effect.n / n_star;
    let half_width = effect.se * mixture::two_sided_boundary(alpha, ratio);
    let log_e = mixture::log_e_value(effect.estimate / effect.se, ratio, Sides::Two);
    SequentialTest {
        lower: effect.estimate - half_width,
        upper: effect.estimate + half_width,
        p: super::p_value(log_e),
    }
}

/// `GrowthBook`'s sequential test of a treatment above the control.
///
/// # Formula
/// `estimate - se z(R)` with [`mixture::boundary`] at `R = kappa(2 alpha) n / n_star`; `p` is the level at which the lower end is 0 at
/// that ratio, [`mixture::p_value`].
///
/// # Arguments
/// As for [`two_sided_test`]; `alpha` one-sided in (0, 0.5). For a treatment below the control give the effect with its sign changed.
///
/// # Accuracy
/// Asymptotic in the number of units. `GrowthBook` searches `p` between 1e-5 and 0.4999; here it is exact and may lie outside.
///
/// # Source
/// Waudby-Smith et al. (2024), equation 134 of arXiv:2103.06476v7; `GrowthBook` 8f1db445, `SequentialOneSidedTreatmentGreaterTTest`.
///
/// # Example
/// The data of [`two_sided_test`]: lower end -0.001168142370672351, p 0.06248 (gbstats).
#[must_use]
pub fn one_sided_test(effect: &Effect, n_star: f64, alpha: f64) -> SequentialTest {
    let ratio = mixture::tuning(alpha) * effect.n / n_star;
    SequentialTest {
        lower: effect.estimate - effect.se * mixture::boundary(alpha, ratio),
        upper: f64::INFINITY,
        p: mixture::p_value(effect.estimate / effect.se, ratio),
    }
}

/// What the mixture sequential probability ratio test says at a look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Msprt {
    /// Logarithm of the mixture likelihood ratio, an e-value.
    pub log_ratio: f64,
    /// `min(1, 1 / ratio)`; its running minimum is the always-valid p-value.
    pub p: f64,
}

/// Mixture sequential probability ratio test of a difference of two normal means.
///
/// # Formula
/// With `V = 2 sigma2 / n`: `sqrt(V / (V + tau2)) exp(tau2 diff² / (2 V (V + tau2)))`: [`mixture::log_e_value`], two-sided, at the ratio
/// `tau2 / V`.
///
/// # Arguments
/// `n > 0` units per arm; `diff` of the means; `sigma2 > 0`, variance of a unit; `tau2 > 0`, variance of the mixing law of effects.
/// Reject at `alpha` where `p <= alpha`.
///
/// # Source
/// R. Johari, P. Koomen, L. Pekelis, D. Walsh (2017), KDD, 1517-1525.
///
/// # Example
/// `n` 100, `diff` 0.2, `sigma2` 1, `tau2` 0.01: ratio 1.1395127733830444, p 0.8775680478167422.
#[must_use]
pub fn msprt(n: f64, diff: f64, sigma2: f64, tau2: f64) -> Msprt {
    let variance = 2.0 * sigma2 / n;
    let log_ratio = mixture::log_e_value(diff / variance.sqrt(), tau2 / variance, Sides::Two);
    Msprt { log_ratio, p: super::p_value(log_ratio) }
}

/// Statsig's documented test: mixing variance, variance of the difference, critical `z`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statsig {
    /// Mixing variance.
    pub tau: f64,
    /// Variance of the difference of means.
    pub variance: f64,
    /// The `z` that rejects.
    pub z: f64,
}

/// Statsig's variant of the mixture sequential probability ratio test, as its documentation states it.
///
/// # Formula
/// With `a = alpha / sides`: `tau = z_{1-a}² (var_T + var_C) / (n_T + n_C)`, `V = var_T / n_T + var_C / n_C`,
/// critical value [`mixture::two_sided_boundary`] at level `a` and ratio `tau / V`.
///
/// # Arguments
/// Variances of a unit and numbers of units per arm, positive; `alpha` in (0, 1), for both directions where `sides` is two.
///
/// # Accuracy
/// **Not anytime-valid**: `tau` shrinks with the data, so that equal arms always have the same critical value (3.5845 at 5 %); unequal
/// arms lose power. For comparison with reports only.
///
/// # Source
/// Statsig documentation, sequential testing, 19d11656.
///
/// # Example
/// Variances 1, 1000 units per arm, `alpha` 0.05, two-sided: 3.5845153597486736.
#[must_use]
pub fn statsig(treatment: (f64, f64), control: (f64, f64), alpha: f64, sides: Sides) -> Statsig {
    let ((var_t, n_t), (var_c, n_c)) = (treatment, control);
    let tail = if sides == Sides::Two { alpha / 2.0 } else { alpha };
    let tau = normal::upper_quantile(tail).powi(2) * (var_t + var_c) / (n_t + n_c);
    let variance = var_t / n_t + var_c / n_c;
    Statsig { tau, variance, z: mixture::two_sided_boundary(tail, tau / variance) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #[test]
        fn the_interval_excludes_zero_as_the_p_value_says(estimate in -1.0..1.0f64, se in 0.01..0.5f64, n in 10.0..1e5f64) {
            let effect = Effect { estimate, se, n };
            for alpha in [0.01, 0.05, 0.2] {
                let both = two_sided_test(&effect, 5000.0, alpha);
                prop_assert_eq!(both.p < alpha, both.lower > 0.0 || both.upper < 0.0);
                let one = one_sided_test(&effect, 5000.0, alpha);
                prop_assert_eq!(one.p < alpha, one.lower > 0.0);
            }
        }
    }

    #[test]
    fn effects_without_variance_are_none() {
        let constant = Sample { n: 10.0, mean: 2.0, variance: 0.0 };
        let around_zero = Sample { n: 10.0, mean: 0.0, variance: 1.0 };
        assert!(Effect::absolute(&constant, &constant).is_none());
        assert!(Effect::relative(&constant, &around_zero).is_none());
        assert!(Effect::absolute(&Sample { n: 1.0, mean: 1.0, variance: f64::NAN }, &around_zero).is_none());
    }

    fn proportion(successes: f64, n: f64) -> Sample {
        let mean = successes / n;
        Sample { n, mean, variance: mean * (1.0 - mean) }
    }

    #[test]
    fn equal_arms_rarely_differ_at_any_look() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let runs = 500;
        let mut rejected = [0; 2];
        for _ in 0..runs {
            let (mut control, mut treatment, mut n) = (0.0, 0.0, 0.0);
            let looks = (0..30).map(|_| {
                n += 100.0;
                let mut tosses = || f64::from((0..100).map(|_| u32::from(random.random_bool(0.3))).sum::<u32>());
                (control, treatment) = (control + tosses(), treatment + tosses());
                Effect::absolute(&proportion(treatment, n), &proportion(control, n)).expect("varied")
            });
            let smallest = looks.fold([1.0_f64; 2], |[two, one], effect| {
                let (both, greater) = (two_sided_test(&effect, 2000.0, 0.05), one_sided_test(&effect, 2000.0, 0.05));
                [two.min(both.p), one.min(greater.p)]
            });
            for (count, p) in rejected.iter_mut().zip(smallest) {
                *count += usize::from(p <= 0.05);
            }
        }
        assert!(rejected.iter().all(|&count| count <= runs / 20), "{rejected:?}");
    }
}
