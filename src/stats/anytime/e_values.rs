//! Many e-values at once.

/// What the e-BH procedure rejects.
#[derive(Debug, Clone, PartialEq)]
pub struct Discoveries {
    /// Number of hypotheses rejected.
    pub count: usize,
    /// The smallest e-value that is rejected would be this; infinite where nothing is rejected.
    pub threshold: f64,
    /// Per hypothesis, in the order given: whether it is rejected.
    pub rejected: Vec<bool>,
}

/// Benjamini and Hochberg's procedure on e-values: false discovery rate at most `alpha` under any dependence.
///
/// # Formula
/// Of `K` e-values the `k` largest are rejected, `k` the largest with `e_(k) >= K / (k alpha)`.
///
/// # Arguments
/// `e` non-negative, infinity allowed, not a number counts as no evidence; `alpha` in (0, 1).
///
/// # Source
/// R. Wang, A. Ramdas (2022), JRSS B 84, 822-852.
///
/// # Example
/// 120, 30, 8, 2.5, 1, 0.4 at 0.1: two rejected, threshold 30.
#[must_use]
pub fn benjamini_hochberg(e: &[f64], alpha: f64) -> Discoveries {
    let total = e.len() as f64;
    let mut sorted: Vec<f64> = e.iter().copied().filter(|e| !e.is_nan()).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let needed = |k: usize| total / (k as f64 * alpha);
    let count = (1..=sorted.len()).rev().find(|&k| sorted[k - 1] >= needed(k)).unwrap_or(0);
    let threshold = if count == 0 { f64::INFINITY } else { needed(count) };
    Discoveries { count, threshold, rejected: e.iter().map(|e| count > 0 && *e >= threshold).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rejections_agree_and_grow_with_evidence(e in prop::collection::vec(0.0..200.0f64, 0..30), alpha in 0.01..0.5f64) {
            let found = benjamini_hochberg(&e, alpha);
            prop_assert_eq!(found.count, found.rejected.iter().filter(|rejected| **rejected).count());
            let doubled: Vec<f64> = e.iter().map(|e| 2.0 * e).collect();
            prop_assert!(benjamini_hochberg(&doubled, alpha).count >= found.count);
        }
    }

    #[test]
    fn no_evidence_rejects_nothing() {
        assert_eq!(benjamini_hochberg(&[], 0.1).count, 0);
        assert_eq!(benjamini_hochberg(&[f64::NAN, 1.0], 0.1).rejected, [false, false]);
        assert_eq!(benjamini_hochberg(&[f64::INFINITY, 1.0], 0.1).rejected, [true, false]);
    }

    // One e-value, shared: with dependence this strong the rate is that of a single test, P(e >= 1 / alpha) <= alpha.
    #[test]
    fn shared_e_values_reject_together_or_not_at_all() {
        assert_eq!(benjamini_hochberg(&[19.9; 8], 0.05).count, 0);
        assert_eq!(benjamini_hochberg(&[20.1; 8], 0.05).count, 8);
    }
}
