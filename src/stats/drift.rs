//! How far one distribution over bins has moved from another: sizes of an effect, not tests.

use super::chi_square;

/// Population stability index.
///
/// # Formula
/// `sum (p - q) ln(p / q)`; bins empty on both sides count nothing, bins empty on one side make it infinite.
///
/// # Arguments
/// Shares of the same bins, each adding to one. Against empty bins use fewer bins, set by quantiles of the first.
///
/// # Source
/// E. M. Lewis (1994), An Introduction to Credit Scoring; B. Yurdakul (2018), Western Michigan University, for its law.
///
/// # Example
/// The shares of reference vector `drift-psi-js`: 0.02126988.
#[must_use]
pub fn population_stability(p: &[f64], q: &[f64]) -> f64 {
    let filled = p.iter().zip(q).filter(|(p, q)| **p > 0.0 || **q > 0.0);
    filled.map(|(p, q)| (p - q) * (p / q).ln()).sum()
}

/// Jensen-Shannon divergence in nats.
///
/// # Formula
/// `sum p ln(p/m) / 2 + sum q ln(q/m) / 2`, `m = (p + q) / 2`; from 0 to ln 2.
///
/// # Arguments
/// Shares of the same bins, each adding to one.
///
/// # Source
/// J. Lin (1991), IEEE Trans. Inf. Theory 37, 145-151.
///
/// # Example
/// The shares of reference vector `drift-psi-js`: 0.00265038.
#[must_use]
pub fn jensen_shannon(p: &[f64], q: &[f64]) -> f64 {
    let half = |a: f64, b: f64| if a > 0.0 { 0.5 * a * (2.0 * a / (a + b)).ln() } else { 0.0 };
    p.iter().zip(q).map(|(&p, &q)| half(p, q) + half(q, p)).sum()
}

/// Mean of the population stability index without drift.
///
/// # Formula
/// `(1/n + 1/m)(B - 1)`: the index is about that scale times a chi-square with `B - 1` degrees of freedom.
///
/// # Arguments
/// `sizes` of the two samples, divided by their design effect; `bins` their number `B`.
///
/// # Accuracy
/// Asymptotic: needs some ten expected counts in each bin.
///
/// # Source
/// B. Yurdakul (2018), Statistical Properties of Population Stability Index, Western Michigan University.
///
/// # Example
/// 10000 and 2000 in 5 bins: 0.0024.
#[must_use]
pub fn population_stability_null_mean(sizes: (f64, f64), bins: usize) -> f64 {
    (1.0 / sizes.0 + 1.0 / sizes.1) * (bins as f64 - 1.0)
}

/// Upper quantile of the population stability index without drift: exceeded with chance `tail`.
///
/// # Formula
/// `(1/n + 1/m) chi²_q(1 - tail; B - 1)`. See [`population_stability_null_mean`].
///
/// # Example
/// 10000 and 2000 in 5 bins at 0.05: 0.0056926374.
///
/// # Source
/// B. Yurdakul, J. Naranjo (2020), J. Risk Model Validation 14(4), 89-100.
#[must_use]
pub fn population_stability_null_quantile(sizes: (f64, f64), bins: usize, tail: f64) -> f64 {
    (1.0 / sizes.0 + 1.0 / sizes.1) * chi_square::upper_quantile(tail, bins as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn shares(weights: &[f64]) -> Vec<f64> {
        let total: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / total).collect()
    }

    #[test]
    fn empty_bins() {
        assert!(population_stability(&[0.5, 0.5, 0.0], &[0.5, 0.5, 0.0]).abs() < 1e-300);
        assert!(population_stability(&[0.5, 0.5], &[1.0, 0.0]).is_infinite());
        assert!((jensen_shannon(&[1.0, 0.0], &[0.0, 1.0]) - std::f64::consts::LN_2).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn both_are_symmetric_and_not_negative(w in prop::collection::vec((0.01..9.0f64, 0.01..9.0f64), 2..9)) {
            let (p, q): (Vec<f64>, Vec<f64>) = w.into_iter().unzip();
            let (p, q) = (shares(&p), shares(&q));
            let (psi, js) = (population_stability(&p, &q), jensen_shannon(&p, &q));
            prop_assert!(psi >= 0.0 && (-1e-15..=std::f64::consts::LN_2).contains(&js) && 8.0 * js <= psi + 1e-12);
            prop_assert!((psi - population_stability(&q, &p)).abs() < 1e-12 && (js - jensen_shannon(&q, &p)).abs() < 1e-12);
        }
    }

    #[test]
    fn the_null_quantile_is_exceeded_as_often_as_it_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let mut draw = |n: usize| {
            let mut bins = vec![0.0; 5];
            (0..n).for_each(|_| bins[rng.random_range(0..5usize)] += 1.0);
            shares(&bins)
        };
        let bound = population_stability_null_quantile((400.0, 200.0), 5, 0.05);
        let beyond = (0..1500).filter(|_| population_stability(&draw(400), &draw(200)) > bound).count();
        assert!((45..=115).contains(&beyond), "{beyond} of 1500");
    }
}
