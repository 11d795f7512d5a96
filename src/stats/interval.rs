//! Intervals of a proportion.

use super::normal;

/// Wilson score interval for a proportion, without continuity correction.
///
/// # Formula
/// `(2np + z² ± z √(z² + 4npq)) / (2(n + z²))`, with `p = k/n`, `q = 1 - p`, `z` the two-sided normal quantile of `level`.
///
/// # Arguments
/// `events` among `trials`, `0 <= events <= trials`; `level` is two-sided coverage in (0, 1). No trials give `[0, 1]`.
///
/// # Source
/// E. B. Wilson (1927), JASA 22, 209-212; method 3 in R. G. Newcombe (1998), Stat. Med. 17, 857-872.
///
/// # Example
/// 15 events in 25 trials at 95 %: 0.4074 to 0.7660 (R 4.2.2 `prop.test(15, 25, correct = FALSE)`).
#[must_use]
pub fn wilson(events: f64, trials: f64, level: f64) -> (f64, f64) {
    if trials <= 0.0 {
        return (0.0, 1.0);
    }
    let z = normal::upper_quantile((1.0 - level) / 2.0);
    let p = events / trials;
    let centre = 2.0 * events + z * z;
    let spread = z * (z * z + 4.0 * events * (1.0 - p)).sqrt();
    let scale = 2.0 * (trials + z * z);
    // The exact ends at 0 and 1 events would otherwise carry rounding noise.
    let low = if events <= 0.0 { 0.0 } else { (centre - spread) / scale };
    let high = if events >= trials { 1.0 } else { (centre + spread) / scale };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    // R 4.2.2 prop.test(correct = FALSE), as in the reference vector `ci-wilson`.
    #[test]
    fn agrees_with_r() {
        let (low, high) = wilson(15.0, 25.0, 0.95);
        assert!((low - 0.407_394_573_59).abs() < 1e-9 && (high - 0.765_966_976_223).abs() < 1e-9);
        let (low, high) = wilson(0.0, 1000.0, 0.95);
        assert!(low == 0.0 && (high - 0.003_826_758_485_56).abs() < 1e-9);
    }

    #[test]
    fn is_symmetric_under_exchange_of_events() {
        for k in 0..=20 {
            let (low, high) = wilson(f64::from(k), 20.0, 0.95);
            let (low_other, high_other) = wilson(f64::from(20 - k), 20.0, 0.95);
            assert!((low - (1.0 - high_other)).abs() < 1e-12 && (high - (1.0 - low_other)).abs() < 1e-12);
        }
    }
}
