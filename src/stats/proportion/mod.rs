//! Proportions: of one sample, of two independent samples, and of pairs.

pub mod exact;
pub mod newcombe;
pub mod paired;
pub mod score;

use super::normal;
use super::root;

/// Events among trials.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Count {
    /// Number of events, from 0 to `trials`. Counts divided by a design effect need not be whole.
    pub events: f64,
    /// Number of trials, positive.
    pub trials: f64,
}

impl Count {
    /// The observed share.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.events / self.trials
    }
}

/// Score test of one proportion against a given one.
///
/// # Formula
/// `z = (k/n - p0) / sqrt(p0 (1 - p0) / n)`.
///
/// # Arguments
/// `p0` in (0, 1). An exceedance gate of a quantile is this test with `p0 = 1 - p + margin`.
///
/// # Accuracy
/// Asymptotic: needs `n p0 (1 - p0)` above about 20; below, see [`exact::test`].
///
/// # Source
/// E. B. Wilson (1927), JASA 22, 209-212.
///
/// # Example
/// 118 of 2000 against 0.06: -0.18831 (reference vector `quantile-as-proportion`).
#[must_use]
pub fn one_sample_score(count: Count, p0: f64) -> f64 {
    (count.share() - p0) / (p0 * (1.0 - p0) / count.trials).sqrt()
}

/// The interval of a difference in [-1, 1] by inversion of a score that falls as the assumed difference grows.
pub(crate) fn inverted(score: impl Fn(f64) -> f64, estimate: f64, alpha: f64) -> (f64, f64) {
    let z = normal::upper_quantile(alpha / 2.0);
    let end = |bound: f64, target: f64| {
        let inside = bound * (1.0 - 1e-12);
        let miss = |difference: f64| score(difference) - target;
        let beyond = if bound < 0.0 { miss(inside) <= 0.0 } else { miss(inside) >= 0.0 };
        if beyond { bound } else { root::bracketed(miss, (estimate.clamp(-1.0, 1.0), inside)).unwrap_or(bound) }
    };
    (end(-1.0, z), end(1.0, -z))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sample_score_agrees_with_the_vector() {
        let z = one_sample_score(Count { events: 118.0, trials: 2000.0 }, 0.06);
        assert!((z + 0.188_310_894_288_677_56).abs() < 1e-12);
        assert!(one_sample_score(Count { events: 5.0, trials: 100.0 }, 0.05).abs() < 1e-300);
    }
}
