//! Anytime-valid inference: tests and intervals that hold at every look, however often one looks.
//!
//! Everything is computed as the logarithm of an e-value, a statistic whose mean under the null hypothesis is at most one at any
//! stopping time; an e-value of `1 / alpha` rejects at level `alpha`. The normal mixture on the z scale, which the gates use,
//! is [`super::mixture`].

pub mod asymptotic;
pub mod bernoulli;
pub mod bounded;
pub mod e_values;
pub mod labels;
pub mod poisson;
pub mod quantile;
pub(crate) mod special;
pub mod sprt;
pub mod srm;
pub mod stitching;
pub mod uniform;

/// The p-value of an e-value given by its logarithm: `min(1, 1 / e)`.
///
/// The smallest such p-value of the looks so far is valid at any stopping time (Ville's inequality).
///
/// # Source
/// A. Ramdas, P. Grünwald, V. Vovk, G. Shafer (2023), Statistical Science 38, 576-601.
///
/// # Example
/// `ln(20)` gives 0.05.
#[must_use]
pub fn p_value(log_e: f64) -> f64 {
    (-log_e).exp().min(1.0)
}
