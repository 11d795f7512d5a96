//! Event rates, at any time.

use super::uniform::BetaBinomialMixture;
use crate::stats::alternative::Sides;
use crate::stats::root;

/// The log e-value of `successes` among `trials` against a rate `p`, two-sided.
///
/// # Formula
/// The two-sided [`BetaBinomialMixture`] with `g = p`, `h = 1 - p`, tuned to `p (1 - p) t_opt`.
///
/// # Arguments
/// `0 <= successes <= trials`, fractions allowed; `p` in (0, 1); `t_opt > 0` trials; `alpha_opt` in (0, 1). Outside: none.
/// With `p` 1/2 and discordant pairs for trials it is the sequential sign test.
///
/// # Source
/// H. Robbins (1970), Ann. Math. Stat. 41, 1397-1409; Howard, Ramdas, `McAuliffe`, Sekhon (2021), Ann. Stat. 49, 1055-1080.
///
/// # Example
/// No success in 1000 trials against 0.00412220309996, `t_opt` 1000: `ln(20)`, the bound of [`interval`].
#[must_use]
pub fn log_e_value(successes: f64, trials: f64, p: f64, t_opt: f64, alpha_opt: f64) -> Option<f64> {
    let counted = (0.0..=trials).contains(&successes);
    let mixture = BetaBinomialMixture::tuned(p * (1.0 - p) * t_opt, alpha_opt, p, 1.0 - p, Sides::Two)?;
    counted.then(|| mixture.log_value_of_counts(successes, trials - successes))
}

/// Confidence sequence for a rate: the rates whose e-value stays below `1 / alpha`.
///
/// # Arguments
/// `0 <= successes <= trials`, `trials > 0`; `alpha` in (0, 1), two-sided and over all times; `t_opt > 0`, the number of trials at
/// which the interval shall be tightest; `alpha_opt` in (0, 1), the level it is tuned for (usually 0.05). Outside: none.
///
/// # Accuracy
/// Exact coverage at every time (Bernoulli trials of one rate); the root to about 1e-15. The bound is 0 (1) with at most one
/// success (failure).
///
/// # Source
/// Howard, Ramdas, `McAuliffe`, Sekhon (2021), Ann. Stat. 49, 1055-1080; values as in the library confseq.
///
/// # Example
/// 700 of 1000, `alpha` 0.05, `t_opt` 100: 0.651629 to 0.745949. None of 1000, `t_opt` 1000: 0 to 0.00412220309996.
#[must_use]
pub fn interval(successes: f64, trials: f64, alpha: f64, t_opt: f64, alpha_opt: f64) -> Option<(f64, f64)> {
    log_e_value(successes, trials, 0.5, t_opt, alpha_opt)?;
    if trials <= 0.0 || alpha <= 0.0 || alpha >= 1.0 {
        return None;
    }
    // The lower bound, and the upper one as the lower bound of failures.
    let lower = |events: f64| {
        // The e-value is bounded as the rate falls to zero.
        if events <= 1.0 {
            return Some(0.0);
        }
        let shortfall = |p: f64| -log_e_value(events, trials, p, t_opt, alpha_opt).unwrap_or(f64::NAN) - alpha.ln();
        let at = |p: f64| match p {
            0.0 => f64::NEG_INFINITY,
            1.0 => -alpha.ln(),
            inner => shortfall(inner),
        };
        root::bracketed(at, (0.0, events / trials))
    };
    Some((lower(successes)?, 1.0 - lower(trials - successes)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #[test]
        fn intervals_hold_the_estimate_and_shrink_with_alpha(n in 1..5000_u32, share in 0.0..=1.0f64, t_opt in 1.0..5000.0f64) {
            let k = (share * f64::from(n)).floor();
            let n = f64::from(n);
            let (low, high) = interval(k, n, 0.05, t_opt, 0.05).expect("inside");
            let (lower, higher) = interval(k, n, 0.01, t_opt, 0.05).expect("inside");
            prop_assert!(0.0 <= lower && lower <= low && low <= k / n);
            prop_assert!(k / n <= high && high <= higher && higher <= 1.0);
        }

        #[test]
        fn bounds_are_where_the_e_value_is(k in 2..100_u32, n in 200..5000_u32) {
            let (low, high) = interval(f64::from(k), f64::from(n), 0.05, 500.0, 0.05).expect("inside");
            for bound in [low, high] {
                let log_e = log_e_value(f64::from(k), f64::from(n), bound, 500.0, 0.05).expect("inside");
                prop_assert!((log_e - 20.0_f64.ln()).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn outside_the_domain_there_is_none() {
        assert!(interval(5.0, 4.0, 0.05, 100.0, 0.05).is_none());
        assert!(interval(0.0, 0.0, 0.05, 100.0, 0.05).is_none());
        assert!(interval(1.0, 4.0, 1.0, 100.0, 0.05).is_none());
        assert!(interval(1.0, 4.0, 0.05, 0.0, 0.05).is_none());
        assert!(log_e_value(1.0, 4.0, 1.0, 100.0, 0.05).is_none());
    }

    // The truth leaves the sequence, at any of 400 times, in at most 5 % of the runs.
    #[test]
    fn coverage_holds_at_all_times() {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let runs = 2000;
        let missed = (0..runs)
            .filter(|_| {
                let mut k = 0.0;
                (1..=400_u32).any(|n| {
                    k += f64::from(u8::from(random.random_bool(0.1)));
                    log_e_value(k, f64::from(n), 0.1, 200.0, 0.05).expect("inside") >= 20.0_f64.ln()
                })
            })
            .count();
        assert!(missed > 10 && missed < 100, "{missed} of {runs}");
    }
}
