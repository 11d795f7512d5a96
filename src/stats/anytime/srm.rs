//! Counts against fixed shares, at any time: sequential sample-ratio mismatch, and comparing event streams of the arms.

use super::special;

/// Logarithm of the Bayes factor, an e-value, of counts against their shares.
///
/// # Formula
/// `ln B(prior + counts) - ln B(prior) - sum counts_i ln shares_i`, `B` the multivariate beta function: Dirichlet-multinomial
/// against multinomial, of the units in their order.
///
/// # Arguments
/// `counts` at least 0, `shares` positive with sum 1, `prior` positive, all of one length, one entry per arm. A prior of large
/// multiples of the shares looks for small mismatches. Outside: not a number.
///
/// # Accuracy
/// About 1e-12 absolute, whatever the counts; exact at any stopping time. For events of two Poisson streams, shares are those of exposure,
/// which may vary in time together.
///
/// # Source
/// M. Lindon, A. Malek (2022), Anytime-valid inference for multinomial count data, `NeurIPS` 35.
///
/// # Example
/// 5100 and 4900 against halves, prior 50 and 50: -0.32951190154562937.
#[must_use]
pub fn log_bayes_factor(counts: &[f64], shares: &[f64], prior: &[f64]) -> f64 {
    let lengths = counts.len() == shares.len() && counts.len() == prior.len() && !counts.is_empty();
    let positive = |values: &[f64]| values.iter().all(|value| *value > 0.0);
    if !lengths || !positive(shares) || !positive(prior) || counts.iter().any(|count| *count < 0.0 || count.is_nan()) {
        return f64::NAN;
    }
    let posterior: Vec<f64> = counts.iter().zip(prior).map(|(count, prior)| count + prior).collect();
    special::log_beta_scaled(&posterior, shares) - special::log_beta_scaled(prior, shares)
}

/// Logarithm of the probability of counts, in the order of their units, under fixed shares.
///
/// # Formula
/// `sum counts_i ln shares_i`; an arm without units adds nothing.
///
/// # Source
/// M. Lindon, A. Malek (2022), Anytime-valid inference for multinomial count data.
///
/// # Example
/// 3 and 1 under shares 1/2 each: `4 ln 0.5` = -2.772589.
#[must_use]
pub fn log_likelihood(counts: &[f64], shares: &[f64]) -> f64 {
    counts.iter().zip(shares).filter(|(count, _)| **count > 0.0).map(|(count, share)| count * share.ln()).sum()
}

/// Logarithm of the probability of counts, in the order of their units, under shares drawn from a Dirichlet law.
///
/// # Formula
/// `ln B(prior + counts) - ln B(prior)`.
///
/// # Arguments
/// As for [`log_bayes_factor`].
///
/// # Source
/// Lindon and Malek (2022).
///
/// # Example
/// One unit of three arms, prior 1 each: `ln(1 / 3)`.
#[must_use]
pub fn log_marginal(counts: &[f64], prior: &[f64]) -> f64 {
    let even = vec![1.0 / counts.len() as f64; counts.len()];
    log_bayes_factor(counts, &even, prior) + log_likelihood(counts, &even)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::anytime;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    proptest! {
        // Unit by unit, each predicted by the posterior mean of its arm.
        #[test]
        fn the_marginal_is_a_product_of_predictions(units in prop::collection::vec(0..3_usize, 1..80)) {
            let (mut counts, prior) = ([0.0; 3], [0.5, 2.0, 7.0]);
            let mut product = 0.0;
            for unit in units {
                let total: f64 = counts.iter().sum();
                product += ((counts[unit] + prior[unit]) / (total + 9.5_f64)).ln();
                counts[unit] += 1.0;
            }
            prop_assert!((log_marginal(&counts, &prior) - product).abs() < 1e-10);
        }
    }

    #[test]
    fn outside_the_domain_there_is_no_number() {
        assert!(log_bayes_factor(&[1.0], &[0.5, 0.5], &[1.0, 1.0]).is_nan());
        assert!(log_bayes_factor(&[1.0, 0.0], &[1.0, 0.0], &[1.0, 1.0]).is_nan());
        assert!(log_bayes_factor(&[], &[], &[]).is_nan());
        assert!(log_bayes_factor(&[0.0, 0.0], &[0.3, 0.7], &[1.0, 5.0]).abs() < 1e-12);
    }

    #[test]
    fn sound_assignment_is_rarely_flagged() {
        let mut random = ChaCha8Rng::seed_from_u64(8);
        let runs = 1000;
        let flagged = (0..runs)
            .filter(|_| {
                let mut counts = [0.0; 2];
                (0..500).any(|_| {
                    counts[usize::from(random.random_bool(0.95))] += 1.0;
                    anytime::p_value(log_bayes_factor(&counts, &[0.05, 0.95], &[5.0, 95.0])) <= 0.05
                })
            })
            .count();
        assert!(flagged <= 50, "{flagged} of {runs}");
    }
}
