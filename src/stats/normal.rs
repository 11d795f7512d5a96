//! The standard normal distribution.

use statrs::distribution::{ContinuousCDF, Normal};

fn standard() -> Normal {
    Normal::standard()
}

/// Upper quantile: the `z` with `P(Z > z) = tail`.
///
/// # Arguments
/// `tail` in (0, 1), one-sided.
///
/// # Example
/// 0.05 gives 1.6448536269514722 (R 4.2.2 `qnorm(0.05, lower.tail = FALSE)`).
#[must_use]
pub fn upper_quantile(tail: f64) -> f64 {
    // By symmetry: `1 - tail` would lose small tails to rounding.
    -standard().inverse_cdf(tail)
}

/// Upper tail: `P(Z > z)`.
#[must_use]
pub fn upper_tail(z: f64) -> f64 {
    standard().sf(z)
}

/// Distribution function: `P(Z <= z)`.
#[must_use]
pub fn cdf(z: f64) -> f64 {
    standard().cdf(z)
}

#[cfg(test)]
mod tests {
    use super::*;

    // R 4.2.2 qnorm and pnorm.
    #[test]
    fn quantiles_and_tails_agree_with_r() {
        assert!((upper_quantile(0.05) - 1.644_853_626_951_472_2).abs() < 1e-9);
        assert!((upper_quantile(1e-10) - 6.361_340_902_404_056).abs() < 1e-7);
        // statrs 0.19.1 rounds a constant of its error function: its tails are good to ten digits.
        assert!((upper_tail(1.959_963_984_540_054) / 0.025 - 1.0).abs() < 1e-10);
        assert!((upper_tail(8.0) / 6.220_960_574_271_785e-16 - 1.0).abs() < 1e-9);
    }
}
