//! Requests of one unit resemble each other: design effect and intraclass correlation.

/// Design effect of clusters of equal or unequal size.
///
/// # Formula
/// `1 + ((1 + cv²) m - 1) icc`; with equal sizes `1 + (m - 1) icc`.
///
/// # Arguments
/// `size` mean requests per unit `m`; `cv` coefficient of variation of that number, 0 for equal sizes; `icc` intraclass correlation.
///
/// # Accuracy
/// An upper bound for analyses that weight units well; the ratio of a cluster-robust to an independent variance is preferred.
///
/// # Source
/// L. Kish (1965), Survey Sampling; S. M. Eldridge, D. Ashby, S. Kerry (2006), Int. J. Epidemiol. 35, 1292-1300.
///
/// # Example
/// Size 10, correlation 0.05: 1.45; with coefficient of variation 0.8: 1.77.
#[must_use]
pub fn design_effect(size: f64, cv: f64, icc: f64) -> f64 {
    1.0 + ((1.0 + cv * cv) * size - 1.0) * icc
}

/// Analysis of variance of values by unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anova {
    /// Mean square between units.
    pub between: f64,
    /// Mean square within units.
    pub within: f64,
    /// Effective number of values per unit, `(N - sum n²/N) / (K - 1)`.
    pub size: f64,
}

impl Anova {
    /// Intraclass correlation, `(MSB - MSW) / (MSB + (m0 - 1) MSW)`; may be negative. Zero where nothing varies.
    ///
    /// # Source
    /// R. A. Fisher (1925), Statistical Methods for Research Workers, chapter 7.
    ///
    /// # Example
    /// Mean squares 4 between and 1 within clusters of size 3: 0.5.
    #[must_use]
    pub fn icc(&self) -> f64 {
        let total = self.between + (self.size - 1.0) * self.within;
        if total == 0.0 { 0.0 } else { (self.between - self.within) / total }
    }
}

/// The same from each unit's number of values, their sum and the sum of their squares.
///
/// # Formula
/// `within = sum (q - s²/n) / (N - K)`, `between = sum n (s/n - S/N)² / (K - 1)`.
///
/// # Source
/// The textbook identity of [`anova`]; squares of large values lose digits, outcomes of 0 and 1 none.
#[must_use]
pub fn anova_of_sums(units: &[(f64, f64, f64)]) -> Option<Anova> {
    let units: Vec<&(f64, f64, f64)> = units.iter().filter(|(n, ..)| *n > 0.0).collect();
    let total = |of: &dyn Fn(&(f64, f64, f64)) -> f64| units.iter().map(|unit| of(unit)).sum::<f64>();
    let (k, n) = (units.len() as f64, total(&|unit| unit.0));
    if k < 2.0 || n <= k {
        return None;
    }
    let mean = total(&|unit| unit.1) / n;
    let within = total(&|&(n, sum, squares)| (squares - sum * sum / n).max(0.0)) / (n - k);
    let between = total(&|&(n, sum, _)| n * (sum / n - mean).powi(2)) / (k - 1.0);
    let size = (n - total(&|unit| unit.0 * unit.0) / n) / (k - 1.0);
    Some(Anova { between, within, size })
}

/// One-way analysis of variance of values by unit.
///
/// # Formula
/// `MSB = sum n_u (mean_u - mean)² / (K - 1)`, `MSW = sum (y - mean_u)² / (N - K)`.
///
/// # Arguments
/// `groups` the values of each unit; empty units are left out.
///
/// # Errors
/// `None` with fewer than two units, or no unit with two values.
///
/// # Source
/// R. A. Fisher (1925), Statistical Methods for Research Workers; A. Donner (1986), Int. Stat. Rev. 54, 67-82, for the effective size.
///
/// # Example
/// The groups of reference vector `icc-anova`: 2.7986, 0.0755740741, effective size 3.9167, correlation 0.901955592514 (R 4.2.2 `anova`).
#[must_use]
pub fn anova(groups: &[Vec<f64>]) -> Option<Anova> {
    let groups: Vec<&Vec<f64>> = groups.iter().filter(|group| !group.is_empty()).collect();
    let sizes: Vec<f64> = groups.iter().map(|group| group.len() as f64).collect();
    let (k, n): (f64, f64) = (sizes.len() as f64, sizes.iter().sum());
    if k < 2.0 || n <= k {
        return None;
    }
    let mean = groups.iter().flat_map(|group| group.iter()).sum::<f64>() / n;
    let (mut between, mut within) = (0.0, 0.0);
    for (group, size) in groups.iter().zip(&sizes) {
        let centre = group.iter().sum::<f64>() / size;
        between += size * (centre - mean).powi(2);
        within += group.iter().map(|value| (value - centre).powi(2)).sum::<f64>();
    }
    let squares: f64 = sizes.iter().map(|size| size * size).sum();
    Some(Anova { between: between / (k - 1.0), within: within / (n - k), size: (n - squares / n) / (k - 1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn too_little_is_none() {
        assert_eq!(anova(&[vec![1.0, 2.0], vec![]]), None);
        assert_eq!(anova(&[vec![1.0], vec![2.0]]), None);
        assert!(anova(&[vec![1.0, 1.0], vec![1.0]]).unwrap().icc().abs() < 1e-300);
    }

    proptest! {
        #[test]
        fn correlation_ignores_a_linear_change(
            groups in prop::collection::vec(prop::collection::vec(-5.0..5.0f64, 2..6), 3..8), shift in -5.0..5.0f64, scale in 0.2..5.0f64,
        ) {
            let moved: Vec<Vec<f64>> = groups.iter().map(|g| g.iter().map(|y| shift + scale * y).collect()).collect();
            prop_assert!((anova(&groups).unwrap().icc() - anova(&moved).unwrap().icc()).abs() < 1e-8);
            prop_assert!(anova(&groups).unwrap().icc() <= 1.0 + 1e-12);
        }
    }

    #[test]
    fn estimates_the_correlation_that_was_simulated() {
        let mut rng = ChaCha8Rng::seed_from_u64(16);
        let mut group = |size: usize| -> Vec<f64> {
            let level = rng.random::<f64>();
            (0..size).map(|_| level + 2.0 * rng.random::<f64>()).collect()
        };
        let groups: Vec<Vec<f64>> = (0..4000).map(|index| group(2 + index % 5)).collect();
        assert!((anova(&groups).unwrap().icc() - 0.2).abs() < 0.02);
    }
}
