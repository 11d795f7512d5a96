//! Rare events with zero tolerance: what no event proves, and what a plan that allows a few of them decides.

use statrs::distribution::{Binomial, DiscreteCDF};

/// Units without an event that prove a rate below `p0`.
///
/// # Formula
/// `ln(alpha) / ln(1 - p0)`, not rounded; round up.
///
/// # Arguments
/// `p0` in (0, 1); `alpha` one-sided, in (0, 1).
///
/// # Source
/// The binomial law at zero; see J. A. Hanley, A. Lippman-Hand (1983), JAMA 249, 1743-1745.
///
/// # Example
/// 0.01 at 0.05: 298.07, so 299.
#[must_use]
pub fn zero_event_trials(p0: f64, alpha: f64) -> f64 {
    alpha.ln() / (-p0).ln_1p()
}

/// Exposure without an event that proves a Poisson rate below `rate`: `-ln(alpha) / rate`. See [`zero_event_trials`].
///
/// # Example
/// 0.001 at 0.05: 2995.73.
///
/// # Source
/// J. A. Hanley, A. Lippman-Hand (1983), JAMA 249, 1743-1745: the rule of three.
#[must_use]
pub fn zero_event_exposure(rate: f64, alpha: f64) -> f64 {
    -alpha.ln() / rate
}

/// Upper bound of a rate after no event in `n` units.
///
/// # Formula
/// `1 - alpha^(1/n)`, the one-sided Clopper-Pearson bound; about `3 / n` at 0.05.
///
/// # Arguments
/// `n` positive; `alpha` one-sided, in (0, 1).
///
/// # Source
/// C. J. Clopper, E. S. Pearson (1934), Biometrika 26, 404-413.
///
/// # Example
/// 1000 units at 0.05: 0.0029912495451 (R 4.2.2 `binom.test`).
#[must_use]
pub fn zero_event_upper_bound(n: f64, alpha: f64) -> f64 {
    -(alpha.ln() / n).exp_m1()
}

/// Chance that at least one of `n` units has an event.
///
/// # Formula
/// `1 - (1 - p)^n`.
///
/// # Arguments
/// `p` in [0, 1); `n` not negative. Units in the treated arm: divide by exposure for units of traffic.
///
/// # Source
/// The geometric law.
///
/// # Example
/// 0.0005 and 2000: 0.6321325479.
#[must_use]
pub fn detection_probability(p: f64, n: f64) -> f64 {
    -(n * (-p).ln_1p()).exp_m1()
}

/// Chance of at least one Poisson event: `1 - exp(-rate exposure)`.
///
/// # Example
/// 0.0005 and 2000: 0.6321205588.
#[must_use]
pub fn detection_probability_poisson(rate: f64, exposure: f64) -> f64 {
    -(-rate * exposure).exp_m1()
}

/// Units until the first event is seen with a given chance.
///
/// # Formula
/// `ln(1 - chance) / ln(1 - p)`, not rounded.
///
/// # Arguments
/// `p` and `chance` in (0, 1).
///
/// # Source
/// The geometric law.
///
/// # Example
/// 0.0005: half the time by 1385.95, 95 % of the time by 5989.97.
#[must_use]
pub fn units_to_detection(p: f64, chance: f64) -> f64 {
    (-chance).ln_1p() / (-p).ln_1p()
}

/// Chance to pass a plan that allows `allowed` events among `n` units.
///
/// # Formula
/// `P(X <= c)`, `X` binomial with share `p`: at a good rate one minus the chance of a false rollback, at a bad one the chance of a miss.
///
/// # Arguments
/// `p` in [0, 1].
///
/// # Accuracy
/// Relative 1e-9 up to a million units.
///
/// # Source
/// H. F. Dodge, H. G. Romig (1929), Bell Syst. Tech. J. 8, 613-631.
///
/// # Example
/// 3000 units, one event allowed: 0.96307 at rate 0.0001, 0.01728 at rate 0.002.
#[must_use]
pub fn acceptance(n: u64, allowed: u64, p: f64) -> f64 {
    Binomial::new(p, n).map_or(f64::NAN, |law| law.cdf(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_values() {
        assert!((zero_event_trials(0.01, 0.05) - 298.072_852_213_222_9).abs() < 1e-9);
        assert!((zero_event_upper_bound(1000.0, 0.05) - 0.002_991_249_545_1).abs() < 1e-12);
        assert!((units_to_detection(0.0005, 0.95) - 5_989.966_556_117_811).abs() < 1e-8);
    }

    proptest! {
        #[test]
        fn bound_and_size_are_inverse(p in 1e-6..0.5f64, alpha in 0.001..0.5f64) {
            let n = zero_event_trials(p, alpha);
            prop_assert!((zero_event_upper_bound(n, alpha) / p - 1.0).abs() < 1e-9);
            prop_assert!((detection_probability(p, n) + alpha - 1.0).abs() < 1e-9);
            prop_assert!((units_to_detection(p, 1.0 - alpha) / n - 1.0).abs() < 1e-9);
        }

        #[test]
        fn allowing_more_passes_more(n in 1u64..5000, c in 0u64..10, p in 1e-5..0.1f64) {
            prop_assert!(acceptance(n, c, p) <= acceptance(n, c + 1, p));
            prop_assert!((acceptance(n, 0, p) + detection_probability(p, n as f64) - 1.0).abs() < 1e-9);
        }
    }
}
