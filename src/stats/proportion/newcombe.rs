//! Newcombe's hybrid score interval.

use super::Count;
use crate::stats::interval::wilson;

/// Newcombe's interval for the difference of two independent proportions, first minus second.
///
/// # Formula
/// `lower = d - sqrt((p1 - l1)² + (u2 - p2)²)`, `upper = d + sqrt((u1 - p1)² + (p2 - l2)²)`, with `l`, `u` each arm's Wilson bounds.
///
/// # Arguments
/// `alpha` in (0, 1), two-sided.
///
/// # Accuracy
/// Coverage is approximate, close to nominal from small samples on.
///
/// # Source
/// R. G. Newcombe (1998), Stat. Med. 17, 873-890, method 10.
///
/// # Example
/// 24 of 1000 and 380 of 19000 at 95 %: -0.0040943 to 0.0156186 (statsmodels 0.15.0).
#[must_use]
pub fn interval(first: Count, second: Count, alpha: f64) -> (f64, f64) {
    let (p1, p2) = (first.share(), second.share());
    let (l1, u1) = wilson(first.events, first.trials, 1.0 - alpha);
    let (l2, u2) = wilson(second.events, second.trials, 1.0 - alpha);
    (p1 - p2 - (p1 - l1).hypot(u2 - p2), p1 - p2 + (u1 - p1).hypot(p2 - l2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn mirrors_and_stays_within_bounds(n in 1u32..100, m in 1u32..100, s in 0.0..1.0f64, t in 0.0..1.0f64) {
            let of = |trials: u32, share: f64| Count { events: (f64::from(trials) * share).round(), trials: f64::from(trials) };
            let (low, high) = interval(of(n, s), of(m, t), 0.05);
            let (back_low, back_high) = interval(of(m, t), of(n, s), 0.05);
            prop_assert!((low + back_high).abs() < 1e-12 && (high + back_low).abs() < 1e-12);
            prop_assert!(-1.0 - 1e-12 <= low && low <= high && high <= 1.0 + 1e-12);
        }
    }
}
