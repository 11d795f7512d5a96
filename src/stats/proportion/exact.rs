//! Exact tests and intervals of proportions.

use statrs::distribution::{Beta, ContinuousCDF};

use crate::stats::alternative::Alternative;
use crate::stats::discrete;

/// A quantile of the beta law.
///
/// # Formula
/// The `x` with `I_x(a, b) = p`; where the tail above is smaller, `1 - x` of the mirrored law, polished by a Newton step.
///
/// # Arguments
/// `p` in (0, 1), `a` and `b` positive.
///
/// # Errors
/// Not a number where `a` or `b` is not positive.
///
/// # Accuracy
/// Relative 1e-9 up to shapes of 1e4, 1e-7 up to 1e6.
///
/// # Source
/// The definition; the incomplete beta function is statrs'.
///
/// # Example
/// 0.95 with 1 and 1000: 0.0029912495451 (R 4.2.2 `qbeta(0.95, 1, 1000)`).
#[must_use]
pub fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    let Ok(law) = Beta::new(a, b) else { return f64::NAN };
    let guess = law.inverse_cdf(p);
    let density = statrs::distribution::Continuous::pdf(&law, guess);
    let step = (law.cdf(guess) - p) / density;
    let polished = guess - step;
    if step.abs() < 1e-4 * guess.min(1.0 - guess) { polished } else { guess }
}

/// Clopper-Pearson interval of a proportion.
///
/// # Formula
/// `beta_q(alpha/2; k, n - k + 1)` to `beta_q(1 - alpha/2; k + 1, n - k)`; 0 and 1 at the ends. A one-sided bound with error `alpha` is
/// the bound of the interval with `2 alpha`.
///
/// # Arguments
/// `events` among `trials`, at least one trial; `alpha` two-sided, in (0, 1).
///
/// # Accuracy
/// Coverage is at least `1 - alpha`. Bounds: see [`beta_quantile`].
///
/// # Source
/// C. J. Clopper, E. S. Pearson (1934), Biometrika 26, 404-413.
///
/// # Example
/// 3 of 1000 at 95 %: 0.0006190999 to 0.0087420232 (R 4.2.2 `binom.test`).
#[must_use]
pub fn clopper_pearson(events: u64, trials: u64, alpha: f64) -> (f64, f64) {
    let (k, rest) = (events as f64, (trials - events) as f64);
    let low = if events == 0 { 0.0 } else { beta_quantile(alpha / 2.0, k, rest + 1.0) };
    let high = if events == trials { 1.0 } else { beta_quantile(1.0 - alpha / 2.0, k + 1.0, rest) };
    (low, high)
}

/// Exact binomial test: the p-value of `events` among `trials` against the share `p0`.
///
/// # Formula
/// `P(X <= k)`, `P(X >= k)`, or the probability of all outcomes no more likely than `k` (up to a relative 1e-7).
///
/// # Arguments
/// `events <= trials`; `p0` in [0, 1].
///
/// # Accuracy
/// Relative 1e-9 up to a million trials. The level is never exceeded.
///
/// # Source
/// R. A. Fisher (1935), The Design of Experiments; two-sided by probability order as R's `binom.test`.
///
/// # Example
/// 2 of 5000 against 0.0001, greater: 0.0901964277552 (R 4.2.2 `binom.test`).
#[must_use]
pub fn test(events: u64, trials: u64, p0: f64, alternative: Alternative) -> f64 {
    discrete::binomial(trials, p0).p_value(events, alternative)
}

/// Fisher's exact test of a two by two table: the p-value against equal odds.
///
/// # Formula
/// The first cell is hypergeometric given the margins; two-sided: the probability of all tables no more likely (up to a relative 1e-7).
///
/// # Arguments
/// `table` by rows: events and non-events of the first arm, then of the second. `Greater`: the first arm has the larger odds.
///
/// # Accuracy
/// Relative 1e-10. Conservative: the level is never exceeded.
///
/// # Source
/// R. A. Fisher (1935), J. R. Stat. Soc. 98, 39-82; two-sided by probability order as R's `fisher.test`.
///
/// # Example
/// 3, 997 and 10, 18990, greater: 0.0244628791607 (R 4.2.2 `fisher.test`).
#[must_use]
pub fn fisher(table: [[u64; 2]; 2], alternative: Alternative) -> f64 {
    let [[a, b], [c, d]] = table;
    discrete::hypergeometric(a + b + c + d, a + c, a + b).p_value(a, alternative)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    // Zero and all events: closed forms. R 4.2.2 qbeta(0.975, 500, 1e6).
    #[test]
    fn bounds_at_the_ends_have_closed_forms() {
        let (low, high) = clopper_pearson(0, 1000, 0.05);
        assert!(low == 0.0 && (high - (1.0 - 0.025_f64.powf(1e-3))).abs() < 1e-12);
        let (low, high) = clopper_pearson(1000, 1000, 0.05);
        assert!(high >= 1.0 && (low - 0.025_f64.powf(1e-3)).abs() < 1e-12);
        assert!((beta_quantile(0.975, 500.0, 1e6) / 5.444_812_993_752_144e-4 - 1.0).abs() < 1e-7);
    }

    proptest! {
        #[test]
        fn bounds_are_where_the_one_sided_tests_reach_half_alpha(n in 1u64..400, part in 0.0..=1.0f64) {
            let k = discrete::whole((n as f64 * part).round());
            let (low, high) = clopper_pearson(k, n, 0.1);
            if k > 0 {
                prop_assert!((test(k, n, low, Alternative::Greater) - 0.05).abs() < 1e-8);
            }
            if k < n {
                prop_assert!((test(k, n, high, Alternative::Less) - 0.05).abs() < 1e-8);
            }
        }

        #[test]
        fn fisher_is_the_same_by_rows_and_by_columns(a in 0u64..40, b in 0u64..40, c in 0u64..40, d in 0u64..40) {
            for side in [Alternative::Less, Alternative::Greater, Alternative::TwoSided] {
                let (rows, columns) = (fisher([[a, b], [c, d]], side), fisher([[a, c], [b, d]], side));
                prop_assert!((rows - columns).abs() < 1e-10 && (0.0..=1.0 + 1e-12).contains(&rows));
            }
            let turned = fisher([[c, d], [a, b]], Alternative::Less);
            prop_assert!((fisher([[a, b], [c, d]], Alternative::Greater) - turned).abs() < 1e-10);
        }
    }

    #[test]
    fn exact_tests_keep_their_level() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let mut draw = |n: u64, p: f64| (0..n).filter(|_| rng.random::<f64>() < p).count() as u64;
        let (mut one, mut two) = (0, 0);
        for _ in 0..2000 {
            let (a, b) = (draw(60, 0.1), draw(80, 0.1));
            one += usize::from(test(a, 60, 0.1, Alternative::Greater) <= 0.05);
            two += usize::from(fisher([[a, 60 - a], [b, 80 - b]], Alternative::TwoSided) <= 0.05);
        }
        assert!(one <= 130 && two <= 130, "{one} {two} of 2000");
    }
}
