//! Counts of rare events: bounds of one rate, comparison of two.

use statrs::distribution::{ContinuousCDF, Gamma};

use super::alternative::Alternative;
use super::discrete;
use super::proportion::exact;

/// Events over an exposure (requests, unit-days).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Events {
    /// Number of events.
    pub count: u64,
    /// Exposure they were seen in, positive.
    pub exposure: f64,
}

impl Events {
    /// Events per exposure.
    ///
    /// # Formula
    /// `count / exposure`.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.exposure
    }
}

/// A quantile of the gamma law of unit scale.
///
/// # Arguments
/// `p` in (0, 1); `shape` positive.
///
/// # Errors
/// Not a number where the shape is not positive.
///
/// # Example
/// 0.95 with shape 4: 7.753656527932725 (scipy 1.17.1 `gamma.ppf`).
#[must_use]
pub fn gamma_quantile(p: f64, shape: f64) -> f64 {
    Gamma::new(shape, 1.0).map_or(f64::NAN, |law| law.inverse_cdf(p))
}

/// Exact one-sided upper bound of a Poisson rate.
///
/// # Formula
/// `gamma_q(1 - alpha; x + 1) / exposure`.
///
/// # Arguments
/// `alpha` one-sided, in (0, 1).
///
/// # Accuracy
/// Coverage at least `1 - alpha`.
///
/// # Source
/// F. Garwood (1936), Biometrika 28, 437-442.
///
/// # Example
/// No events in 2000 at 0.05: 0.00149786613678 (R 4.2.2 `poisson.test`).
#[must_use]
pub fn upper_bound(events: Events, alpha: f64) -> f64 {
    gamma_quantile(1.0 - alpha, events.count as f64 + 1.0) / events.exposure
}

/// Exact one-sided lower bound of a Poisson rate: `gamma_q(alpha; x) / exposure`, zero without events. See [`upper_bound`].
///
/// # Example
/// 3 events in 1 at 0.025: 0.61867212 (R 4.2.2 `poisson.test(3)`).
#[must_use]
pub fn lower_bound(events: Events, alpha: f64) -> f64 {
    if events.count == 0 { 0.0 } else { gamma_quantile(alpha, events.count as f64) / events.exposure }
}

/// Share of the events that the first arm has if both rates stand in the ratio `ratio`.
fn share(first: Events, second: Events, ratio: f64) -> f64 {
    ratio * first.exposure / (ratio * first.exposure + second.exposure)
}

/// Exact conditional test of two Poisson rates: p-value against the ratio first over second.
///
/// # Formula
/// Given `m = x1 + x2`, `x1` is binomial with share `r e1 / (r e1 + e2)`; two-sided by the order of probabilities.
///
/// # Arguments
/// Two independent counts with their exposures; `ratio` `r` positive, usually 1. No events give 1.
///
/// # Accuracy
/// Relative 1e-9. Conservative: the level is never exceeded.
///
/// # Source
/// J. Przyborowski, H. Wilenski (1940), Biometrika 31, 313-323 (C-test).
///
/// # Example
/// 5 in 1 and 40 in 19, greater: 0.0729273987165 (R 4.2.2 `poisson.test`).
#[must_use]
pub fn conditional_test(first: Events, second: Events, ratio: f64, alternative: Alternative) -> f64 {
    exact::test(first.count, first.count + second.count, share(first, second, ratio), alternative)
}

/// Mid-p version of [`conditional_test`]: outcomes as likely as the observed one count half.
///
/// # Formula
/// One-sided `P(X >= x) - P(X = x) / 2`, or its mirror; two-sided the probability of less likely outcomes plus half that of ties.
///
/// # Accuracy
/// May exceed its level slightly.
///
/// # Source
/// H. O. Lancaster (1961), JASA 56, 223-234.
///
/// # Example
/// 5 in 1 and 40 in 19, greater: 0.048394448108 (statsmodels 0.15.0 `test_poisson_2indep`).
#[must_use]
pub fn conditional_mid_p(first: Events, second: Events, ratio: f64, alternative: Alternative) -> f64 {
    discrete::binomial(first.count + second.count, share(first, second, ratio)).mid_p_value(first.count, alternative)
}

/// Score statistic of two Poisson rates against the ratio first over second.
///
/// # Formula
/// `z = (x1 - x2 r e1/e2) / sqrt((x1 + x2) r e1/e2)`. Large `z` speaks for a larger ratio.
///
/// # Arguments
/// As for [`conditional_test`].
///
/// # Accuracy
/// Asymptotic: needs some ten events. No events give 0.
///
/// # Source
/// K. Gu, H. K. T. Ng, M. L. Tang, W. R. Schucany (2008), Biom. J. 50, 283-298, statistic W2.
///
/// # Example
/// 5 in 1 and 40 in 19: 1.880960312156 (statsmodels 0.15.0 `test_poisson_2indep`).
#[must_use]
pub fn score(first: Events, second: Events, ratio: f64) -> f64 {
    let (x1, x2) = (first.count as f64, second.count as f64);
    if x1 + x2 == 0.0 {
        return 0.0;
    }
    let fair = ratio * first.exposure / second.exposure;
    (x1 - x2 * fair) / ((x1 + x2) * fair).sqrt()
}

/// Exact conditional interval of the ratio of two Poisson rates, first over second.
///
/// # Formula
/// Clopper-Pearson bounds `p` of the first arm's share of the events, as `p / (1 - p) e2 / e1`.
///
/// # Arguments
/// `alpha` two-sided; a one-sided bound with error `a` is the bound of the interval with `2 a`. No events give 0 to infinity.
///
/// # Accuracy
/// Coverage at least `1 - alpha`.
///
/// # Source
/// J. Przyborowski, H. Wilenski (1940), Biometrika 31, 313-323.
///
/// # Example
/// 11 in 800 and 21 in 3011 at 95 %: 0.858426403392 to 4.27726594365 (R 4.2.2 `poisson.test`).
#[must_use]
pub fn ratio_interval(first: Events, second: Events, alpha: f64) -> (f64, f64) {
    let (low, high) = exact::clopper_pearson(first.count, first.count + second.count, alpha);
    let ratio = |p: f64| if p >= 1.0 { f64::INFINITY } else { p / (1.0 - p) * second.exposure / first.exposure };
    if first.count + second.count == 0 { (0.0, f64::INFINITY) } else { (ratio(low), ratio(high)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Poisson};

    fn events(count: u64, exposure: f64) -> Events {
        Events { count, exposure }
    }

    #[test]
    fn no_events_are_no_evidence() {
        let (a, b) = (events(0, 10.0), events(0, 90.0));
        assert!((conditional_test(a, b, 1.0, Alternative::TwoSided) - 1.0).abs() < 1e-12);
        assert!(score(a, b, 1.0).abs() < 1e-300);
        assert_eq!(ratio_interval(a, b, 0.05), (0.0, f64::INFINITY));
        assert!((lower_bound(events(3, 1.0), 0.025) - 0.618_672_12).abs() < 1e-8);
    }

    proptest! {
        #[test]
        fn exchanging_arms_mirrors_everything(x in 0u64..60, y in 0u64..60, e in 0.5..20.0f64, f in 0.5..20.0f64) {
            let (a, b) = (events(x, e), events(y, f));
            prop_assert!((score(a, b, 1.0) + score(b, a, 1.0)).abs() < 1e-9);
            let greater = conditional_test(a, b, 1.0, Alternative::Greater);
            prop_assert!((greater - conditional_test(b, a, 1.0, Alternative::Less)).abs() < 1e-10);
            prop_assert!(conditional_mid_p(a, b, 1.0, Alternative::Greater) < greater + 1e-12);
        }

        #[test]
        fn a_bound_is_where_the_test_reaches_its_error(x in 1u64..60, y in 1u64..60, e in 0.5..20.0f64) {
            let (a, b) = (events(x, e), events(y, 7.0));
            let (low, high) = ratio_interval(a, b, 0.1);
            prop_assert!((conditional_test(a, b, low, Alternative::Greater) - 0.05).abs() < 1e-8);
            prop_assert!((conditional_test(a, b, high, Alternative::Less) - 0.05).abs() < 1e-8);
        }
    }

    #[test]
    fn tests_keep_their_level_in_an_unbalanced_canary() {
        let mut rng = ChaCha8Rng::seed_from_u64(21);
        let (small, large) = (Poisson::new(10.0_f64).unwrap(), Poisson::new(190.0_f64).unwrap());
        let (mut exact, mut asymptotic) = (0, 0);
        for _ in 0..2000 {
            let a = events(discrete::whole(small.sample(&mut rng)), 5.0);
            let b = events(discrete::whole(large.sample(&mut rng)), 95.0);
            exact += usize::from(conditional_test(a, b, 1.0, Alternative::Greater) <= 0.05);
            asymptotic += usize::from(score(a, b, 1.0) >= 1.645);
        }
        assert!(exact <= 125 && (60..=150).contains(&asymptotic), "{exact} {asymptotic} of 2000");
    }
}
