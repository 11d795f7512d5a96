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
///
/// # Accuracy
/// Relative 1e-10 up to 8; see [`log_upper_tail`] beyond.
///
/// # Example
/// 1.959963984540054 gives 0.025 (R 4.2.2 `pnorm(1.959963984540054, lower.tail = FALSE)`).
#[must_use]
pub fn upper_tail(z: f64) -> f64 {
    standard().sf(z)
}

/// Distribution function: `P(Z <= z)`.
///
/// # Example
/// 1.6448536269514722 gives 0.95 (R 4.2.2 `pnorm(1.6448536269514722)`).
#[must_use]
pub fn cdf(z: f64) -> f64 {
    standard().cdf(z)
}

/// Logarithm of the upper tail: `ln P(Z > z)`, without underflow.
///
/// # Formula
/// The logarithm of [`upper_tail`] up to 30; above, `-z²/2 - ln(z sqrt(2 pi)) + ln(1 - 1/z² + 3/z⁴ - 15/z⁶ + 105/z⁸)`.
///
/// # Accuracy
/// Absolute 1e-10.
///
/// # Source
/// M. Abramowitz, I. A. Stegun (1964), Handbook of Mathematical Functions, 26.2.12.
///
/// # Example
/// 38 gives -726.5572160188201 (scipy 1.17.1 `norm.logsf`).
#[must_use]
pub fn log_upper_tail(z: f64) -> f64 {
    if z < 0.0 {
        return (-upper_tail(-z)).ln_1p();
    }
    if z <= 30.0 {
        return upper_tail(z).ln();
    }
    let w = 1.0 / (z * z);
    let series = -w * (1.0 - 3.0 * w * (1.0 - 5.0 * w * (1.0 - 7.0 * w)));
    series.ln_1p() - 0.5 * z * z - (z * (2.0 * std::f64::consts::PI).sqrt()).ln()
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
    // scipy 1.17.1 norm.logsf.
    #[test]
    fn logarithms_of_tails_agree_with_scipy() {
        assert!((log_upper_tail(38.0) + 726.557_216_018_820_1).abs() < 1e-10);
        assert!((log_upper_tail(20.0) + 203.917_155_371_097_3).abs() < 1e-9);
        assert!((log_upper_tail(30.0) - log_upper_tail(30.0 + 1e-12)).abs() < 1e-9);
        assert!((log_upper_tail(-8.0) + upper_tail(8.0)).abs() < 1e-25);
    }
}
