//! Random features: numbers of an embedding, whose means differ where distributions of embeddings do.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// A random Fourier feature of a Gaussian kernel: the cosine or the sine of an embedding's component in a random direction.
///
/// # Formula
/// `cos(w_k x / bandwidth)` and `sin(w_k x / bandwidth)`, `w_k` of independent standard normal numbers. Products of these of two embeddings,
/// added over both and averaged over directions, tend to `exp(-|x - y|² / (2 bandwidth²))`.
///
/// # Source
/// A. Rahimi, B. Recht (2007), Advances in Neural Information Processing Systems 20.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feature {
    /// Cosines and sines take turns: cosines are even.
    pub index: usize,
    /// How many there are, two of each direction.
    pub of: usize,
    /// Embeddings so far apart are about as alike as not.
    pub bandwidth: f64,
}

impl Feature {
    /// All features of a set.
    pub fn all(of: usize, bandwidth: f64) -> impl Iterator<Item = Self> {
        (0..of).map(move |index| Self { index, of, bandwidth })
    }

    /// The direction of a pair of features, for embeddings of so many numbers: the same in every run.
    #[must_use]
    pub fn direction(pair: usize, length: usize, bandwidth: f64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(pair as u64);
        (0..length).map(|_| rng.sample::<f64, _>(StandardNormal) / bandwidth).collect()
    }

    /// The kernel that features stand for: how alike two means of them are, as a mean over directions.
    #[must_use]
    pub fn alike(a: &[f64], b: &[f64]) -> f64 {
        let products: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        products / (a.len() / 2).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(embedding: &[f64], pairs: usize, bandwidth: f64) -> Vec<f64> {
        let of_pair = |pair: usize| {
            let direction = Feature::direction(pair, embedding.len(), bandwidth);
            let along: f64 = direction.iter().zip(embedding).map(|(w, x)| w * x).sum();
            [along.cos(), along.sin()]
        };
        (0..pairs).flat_map(of_pair).collect()
    }

    // The error of a mean over directions is at most 1 / sqrt(2 pairs).
    #[test]
    fn many_features_are_the_kernel() {
        let pairs = 4000;
        for (x, y) in [
            ([0.1, 0.7, -0.4], [0.3, 0.2, 0.5]),
            ([1.0, 0.0, 2.0], [1.0, 0.0, 2.0]),
            ([3.0, 1.0, 0.0], [-2.0, 4.0, 1.0]),
        ] {
            let square: f64 = x.iter().zip(&y).map(|(x, y): (&f64, &f64)| (x - y).powi(2)).sum();
            for bandwidth in [0.8, 2.0] {
                let kernel = (-square / (2.0 * bandwidth * bandwidth)).exp();
                let found = Feature::alike(&features(&x, pairs, bandwidth), &features(&y, pairs, bandwidth));
                assert!((found - kernel).abs() < 0.04, "{bandwidth}: {found} and {kernel}");
            }
        }
    }

    #[test]
    fn more_numbers_leave_the_direction_of_the_first() {
        let (short, long) = (Feature::direction(3, 4, 0.5), Feature::direction(3, 9, 0.5));
        assert_eq!(short, long[..4]);
        assert_ne!(short, Feature::direction(4, 4, 0.5));
    }
}
