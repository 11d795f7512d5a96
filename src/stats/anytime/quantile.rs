//! Comparing a quantile of two samples, at any time.

use super::special;
use super::uniform::BetaBinomialMixture;
use crate::stats::alternative::Sides;

/// The log e-value of two samples against the hypothesis that their `p`-quantiles agree.
///
/// # Formula
/// For a common quantile `x`, each arm's count of observations below `x` is held against `p n` by the two-sided
/// [`BetaBinomialMixture`] tuned to `p (1 - p) t_opt`; ties at `x` count where they speak for `x`. The e-value is the product of both
/// arms at the `x` that makes it smallest.
///
/// # Arguments
/// `first` and `second` are the observations of the arms so far, in any order, at least one each and none not a number; `p` in (0, 1);
/// `t_opt > 0` observations per arm; `alpha_opt` in (0, 1). Outside: none.
///
/// # Accuracy
/// Exact, non-parametric and for any sampling times of the two arms; independent observations within an arm. Time
/// `O(n ln n)`.
///
/// # Source
/// S. R. Howard, A. Ramdas (2022), Bernoulli 28, 1704-1728, section on A/B testing of quantiles.
///
/// # Example
/// 1 to 1000 against 86 to 1085, `p` 0.5, `t_opt` 100, `alpha_opt` 0.05: p-value 0.0838055 (unit test of the library confseq).
#[must_use]
pub fn log_e_value(first: &[f64], second: &[f64], p: f64, t_opt: f64, alpha_opt: f64) -> Option<f64> {
    let mixture = BetaBinomialMixture::tuned(p * (1.0 - p) * t_opt, alpha_opt, p, 1.0 - p, Sides::Two)?;
    let (mut first, mut second) = (Arm::new(first, &mixture)?, Arm::new(second, &mixture)?);
    let mut smallest = f64::INFINITY;
    // Between two observations either e-value is at least what it is at one of them.
    while let Some(x) = first.next().into_iter().chain(second.next()).reduce(f64::min) {
        smallest = smallest.min(first.log_value_at(x) + second.log_value_at(x));
    }
    Some(smallest)
}

/// The p-value `min(1, 1 / e)` of [`log_e_value`].
///
/// # Example
/// 1 to 1000 against 41 to 1040, `p` 0.95, `t_opt` 1000, `alpha_opt` 0.05: 0.00788700369288 (library confseq).
#[must_use]
pub fn p_value(first: &[f64], second: &[f64], p: f64, t_opt: f64, alpha_opt: f64) -> Option<f64> {
    log_e_value(first, second, p, t_opt, alpha_opt).map(super::p_value)
}

/// One sorted sample, walked through from below.
struct Arm<'a> {
    sorted: Vec<f64>,
    /// Observations already passed.
    below: usize,
    /// The count below that speaks least against any quantile.
    best: f64,
    mixture: &'a BetaBinomialMixture,
}

impl<'a> Arm<'a> {
    fn new(sample: &[f64], mixture: &'a BetaBinomialMixture) -> Option<Self> {
        if sample.is_empty() || sample.iter().any(|x| x.is_nan()) {
            return None;
        }
        let mut sorted = sample.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len() as f64;
        let best = special::minimum_at(0.0, n, |below| mixture.log_value_of_counts(below, n - below));
        Some(Self { sorted, below: 0, best, mixture })
    }

    fn next(&self) -> Option<f64> {
        self.sorted.get(self.below).copied()
    }

    /// The log e-value against the quantile `x`, which is passed.
    fn log_value_at(&mut self, x: f64) -> f64 {
        let less = self.below as f64;
        while self.next().is_some_and(|next| next <= x) {
            self.below += 1;
        }
        let count = self.best.clamp(less, self.below as f64);
        self.mixture.log_value_of_counts(count, self.sorted.len() as f64 - count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #[test]
        fn order_and_monotone_scale_do_not_matter(
            first in prop::collection::vec(-50..50_i32, 1..60),
            second in prop::collection::vec(-50..50_i32, 1..60),
            p in 0.05..0.95f64,
        ) {
            let scaled = |sample: &[i32], scale: f64| -> Vec<f64> { sample.iter().map(|&x| scale * f64::from(x)).collect() };
            let value = |a: &[i32], b: &[i32], scale, p| {
                log_e_value(&scaled(a, scale), &scaled(b, scale), p, 50.0, 0.05).expect("inside")
            };
            let log_e = value(&first, &second, 1.0, p);
            prop_assert!((log_e - value(&second, &first, 3.0, p)).abs() < 1e-9);
            // Turned round, the p-quantile is the (1 - p)-quantile.
            prop_assert!((log_e - value(&first, &second, -1.0, 1.0 - p)).abs() < 1e-6);
        }
    }

    #[test]
    fn ties_speak_for_equality() {
        let (few, many) = (vec![1.0; 30], vec![1.0; 500]);
        assert!((p_value(&few, &many, 0.9, 100.0, 0.05).expect("inside") - 1.0).abs() < 1e-12);
        assert!(p_value(&[], &many, 0.9, 100.0, 0.05).is_none());
        assert!(p_value(&[f64::NAN], &many, 0.9, 100.0, 0.05).is_none());
        assert!(p_value(&few, &many, 1.0, 100.0, 0.05).is_none());
    }

    #[test]
    fn equal_arms_are_rarely_told_apart() {
        let mut random = ChaCha8Rng::seed_from_u64(21);
        let runs = 500;
        let rejected = (0..runs)
            .filter(|_| {
                let (mut first, mut second) = (Vec::new(), Vec::new());
                (0..10).any(|_| {
                    first.extend((0..40).map(|_| random.random::<f64>().powi(3)));
                    second.extend((0..60).map(|_| random.random::<f64>().powi(3)));
                    p_value(&first, &second, 0.9, 200.0, 0.05).expect("inside") <= 0.05
                })
            })
            .count();
        assert!(rejected <= 25, "{rejected} of {runs}");
    }
}
