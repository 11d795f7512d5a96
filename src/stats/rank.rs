//! Rank tests: Mann-Whitney for two samples, Wilcoxon's signed ranks for pairs.
//!
//! A rank test looks for any shift of the distribution. It is no test of a mean or of a quantile.

use super::alternative::Alternative;
use super::normal;

/// Midranks of values, ties sharing the mean of their ranks, and the sum of `t³ - t` over groups of `t` ties.
#[must_use]
pub fn midranks(values: &[f64]) -> (Vec<f64>, f64) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut ties = 0.0;
    let mut before = 0.0;
    for group in order.chunk_by(|&a, &b| values[a] >= values[b]) {
        let size = group.len() as f64;
        ties += size * size * size - size;
        for &member in group {
            ranks[member] = before + 0.5 * (size + 1.0);
        }
        before += size;
    }
    (ranks, ties)
}

/// Mann-Whitney statistic with its null variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MannWhitney {
    /// Pairs in which the first sample's value is larger, ties counting half.
    pub u: f64,
    /// Mean of `u` without a shift.
    pub mean: f64,
    /// Standard deviation of `u` without a shift, ties taken into account.
    pub sd: f64,
}

/// Half a step towards the null: the continuity correction of a statistic on whole numbers.
fn corrected(distance: f64, alternative: Alternative) -> f64 {
    match alternative {
        Alternative::Less => distance + 0.5,
        Alternative::Greater => distance - 0.5,
        Alternative::TwoSided if distance == 0.0 => 0.0,
        Alternative::TwoSided => distance - 0.5_f64.copysign(distance),
    }
}

/// Normal p-value with continuity correction; 1 where nothing varies.
fn corrected_p_value(distance: f64, sd: f64, alternative: Alternative) -> f64 {
    if sd > 0.0 { alternative.normal_p_value(corrected(distance, alternative) / sd) } else { 1.0 }
}

/// Mann-Whitney test of two independent samples.
///
/// # Formula
/// `U = R1 - n1 (n1 + 1) / 2`, mean `n1 n2 / 2`, variance `n1 n2 / 12 (N + 1 - sum(t³ - t) / (N (N - 1)))`.
///
/// # Arguments
/// Two samples of independent units, at least one value each, none of them not a number.
///
/// # Accuracy
/// The p-value by [`MannWhitney::p_value`] is asymptotic; up to some twenty values see [`mann_whitney_exact`].
///
/// # Source
/// H. B. Mann, D. R. Whitney (1947), Ann. Math. Stat. 18, 50-60; E. L. Lehmann (1975), Nonparametrics, for ties.
///
/// # Example
/// 0, 1, 2, 1, 0, 0 and six zeros: U = 27, p = 0.0731397996589 (R 4.2.2 `wilcox.test`).
#[must_use]
pub fn mann_whitney(first: &[f64], second: &[f64]) -> MannWhitney {
    let (n1, n2) = (first.len() as f64, second.len() as f64);
    let (ranks, ties) = midranks(&[first, second].concat());
    let rank_sum: f64 = ranks[..first.len()].iter().sum();
    let total = n1 + n2;
    let variance = n1 * n2 / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    MannWhitney { u: rank_sum - n1 * (n1 + 1.0) / 2.0, mean: n1 * n2 / 2.0, sd: variance.max(0.0).sqrt() }
}

impl MannWhitney {
    /// The p-value of the normal approximation with continuity correction.
    ///
    /// # Formula
    /// `Phi` of `(U - mean -+ 1/2) / sd`; `Greater`: the first sample is larger. 1 where all values are equal.
    #[must_use]
    pub fn p_value(&self, alternative: Alternative) -> f64 {
        corrected_p_value(self.u - self.mean, self.sd, alternative)
    }
}

/// Exact Mann-Whitney p-value, by the permutation law of the observed midranks.
///
/// # Formula
/// The share of all choices of `n1` among the `N` midranks whose sum is at least (or at most) the observed one; two-sided twice the
/// smaller, at most 1.
///
/// # Arguments
/// As for [`mann_whitney`]; the work grows as `n1 N³`: for up to some 50 values.
///
/// # Accuracy
/// Relative 1e-12; with ties it is the conditional law, which R's `wilcox.test` does not offer.
///
/// # Source
/// M. Pagano, D. Tritchler (1983), JASA 78, 435-440.
///
/// # Example
/// 1, 2, 3 and 4, 5, 6, 7, less: 1/35 (R 4.2.2 `wilcox.test`).
#[must_use]
pub fn mann_whitney_exact(first: &[f64], second: &[f64], alternative: Alternative) -> f64 {
    let (ranks, _) = midranks(&[first, second].concat());
    let doubled: Vec<usize> = ranks.iter().map(|rank| index(2.0 * rank)).collect();
    let observed: usize = doubled[..first.len()].iter().sum();
    let total: usize = doubled.iter().sum();
    // chosen[k][s]: ways to choose k of the ranks seen so far with sum s.
    let mut chosen = vec![vec![0.0; total + 1]; first.len() + 1];
    chosen[0][0] = 1.0;
    for &rank in &doubled {
        for k in (1..=first.len()).rev() {
            for sum in rank..=total {
                chosen[k][sum] += chosen[k - 1][sum - rank];
            }
        }
    }
    tails(&chosen[first.len()], observed, alternative)
}

/// The p-value of an observed sum from the number of ways to reach each sum.
fn tails(ways: &[f64], observed: usize, alternative: Alternative) -> f64 {
    let all: f64 = ways.iter().sum();
    let less = ways[..=observed].iter().sum::<f64>() / all;
    let greater = ways[observed..].iter().sum::<f64>() / all;
    match alternative {
        Alternative::Less => less,
        Alternative::Greater => greater,
        Alternative::TwoSided => (2.0 * less.min(greater)).min(1.0),
    }
}

/// A small whole number as an index.
fn index(value: f64) -> usize {
    usize::try_from(super::discrete::whole(value.round())).unwrap_or(usize::MAX)
}

/// All pairwise differences, first minus second, ascending.
fn pairwise(first: &[f64], second: &[f64]) -> Vec<f64> {
    let mut differences: Vec<f64> = first.iter().flat_map(|x| second.iter().map(move |y| x - y)).collect();
    differences.sort_by(f64::total_cmp);
    differences
}

/// Hodges-Lehmann estimate of the shift between two samples, first minus second.
///
/// # Formula
/// The median of all pairwise differences.
///
/// # Arguments
/// Two samples, at least one value each; the work is their product.
///
/// # Source
/// J. L. Hodges, E. L. Lehmann (1963), Ann. Math. Stat. 34, 598-611.
///
/// # Example
/// 1, 2, 3 and 0, 0: 2.
#[must_use]
pub fn hodges_lehmann(first: &[f64], second: &[f64]) -> f64 {
    super::spread::quantile(&pairwise(first, second), 0.5)
}

/// Interval of the shift between two samples, first minus second, by inversion of the Mann-Whitney test.
///
/// # Formula
/// The shifts the normal test with continuity correction does not reject: pairwise differences at ranks
/// `n1 n2 / 2 -+ (z sd + 1/2)`, with the standard deviation between ties of the two samples.
///
/// # Arguments
/// As for [`mann_whitney`]; `alpha` two-sided.
///
/// # Accuracy
/// Asymptotic coverage. The bounds are exact solutions; R's `wilcox.test(exact = FALSE)` finds them to 1e-4.
///
/// # Source
/// E. L. Lehmann (1975), Nonparametrics, section 2.5; D. F. Bauer (1972), JASA 67, 687-690.
///
/// # Example
/// The samples of reference vector `mw-kayenta-780` at 98 %: -88.4 to 8.7 (R 4.2.2 `wilcox.test(conf.int = TRUE)`).
#[must_use]
pub fn shift_interval(first: &[f64], second: &[f64], alpha: f64) -> (f64, f64) {
    let differences = pairwise(first, second);
    let (n1, n2) = (first.len() as f64, second.len() as f64);
    let (_, ties_first) = midranks(first);
    let (_, ties_second) = midranks(second);
    let total = n1 + n2;
    let ties = (ties_first + ties_second) / (total * (total - 1.0));
    let sd = (n1 * n2 / 12.0 * (total + 1.0 - ties)).max(0.0).sqrt();
    let reach = normal::upper_quantile(alpha / 2.0) * sd + 0.5;
    // Differences that may lie below the lower bound.
    let outside = (n1 * n2 / 2.0 - reach).ceil() - 1.0;
    let skipped = if outside < 0.0 { 0 } else { index(outside).min(differences.len() - 1) };
    (differences[skipped], differences[differences.len() - 1 - skipped])
}

/// Wilcoxon's signed-rank test of paired differences.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedRank {
    /// Sum of the ranks of positive differences.
    pub v: f64,
    ranks: Vec<f64>,
    ties: f64,
}

/// Wilcoxon's signed-rank statistic of paired samples, first minus second.
///
/// # Formula
/// `V = sum of midranks of |d| over d > 0`, zero differences dropped.
///
/// # Arguments
/// The same number of values in the same order; without a shift the differences are symmetric about zero.
///
/// # Errors
/// `None` where the numbers differ.
///
/// # Source
/// F. Wilcoxon (1945), Biometrics Bull. 1, 80-83.
///
/// # Example
/// The pairs of reference vector `wilcoxon-signed-rank`: V = 40 (R 4.2.2 `wilcox.test(paired = TRUE)`).
#[must_use]
pub fn signed_rank(first: &[f64], second: &[f64]) -> Option<SignedRank> {
    if first.len() != second.len() {
        return None;
    }
    let differences = first.iter().zip(second).map(|(x, y)| x - y).filter(|d| *d != 0.0);
    let (sizes, positive): (Vec<f64>, Vec<bool>) = differences.map(|d| (d.abs(), d > 0.0)).unzip();
    let (ranks, ties) = midranks(&sizes);
    let v = ranks.iter().zip(&positive).filter(|(_, positive)| **positive).map(|(rank, _)| rank).sum();
    Some(SignedRank { v, ranks, ties })
}

impl SignedRank {
    /// Exact p-value: every rank has either sign with chance one half.
    ///
    /// # Formula
    /// The share of all sign patterns whose `V` is at least (or at most) the observed; two-sided twice the smaller, at most 1.
    /// With ties the law of the observed midranks. The work grows as `n³`: for up to some hundred pairs.
    ///
    /// # Source
    /// M. Pagano, D. Tritchler (1983), JASA 78, 435-440.
    ///
    /// # Example
    /// The pairs of reference vector `wilcoxon-signed-rank`, greater: 0.01953125 (R 4.2.2 `wilcox.test`).
    #[must_use]
    pub fn exact_p_value(&self, alternative: Alternative) -> f64 {
        let doubled: Vec<usize> = self.ranks.iter().map(|rank| index(2.0 * rank)).collect();
        let total: usize = doubled.iter().sum();
        let mut chance = vec![0.0; total + 1];
        chance[0] = 1.0;
        for &rank in &doubled {
            for sum in (0..=total).rev() {
                let with = if sum >= rank { chance[sum - rank] } else { 0.0 };
                chance[sum] = 0.5 * (chance[sum] + with);
            }
        }
        tails(&chance, index(2.0 * self.v), alternative)
    }

    /// P-value of the normal approximation with ties and continuity correction.
    ///
    /// # Formula
    /// Mean `n (n + 1) / 4`, variance `n (n + 1)(2n + 1) / 24 - sum(t³ - t) / 48`. 1 without differences.
    ///
    /// # Source
    /// E. L. Lehmann (1975), Nonparametrics, section 3.2.
    ///
    /// # Example
    /// The pairs of reference vector `wilcoxon-signed-rank`, greater: 0.0220 (R 4.2.2 `wilcox.test(exact = FALSE)`).
    #[must_use]
    pub fn p_value(&self, alternative: Alternative) -> f64 {
        let n = self.ranks.len() as f64;
        let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - self.ties / 48.0;
        corrected_p_value(self.v - n * (n + 1.0) / 4.0, variance.max(0.0).sqrt(), alternative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn small_samples_have_known_p_values() {
        let (a, b) = ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]);
        assert!((mann_whitney_exact(&a, &b, Alternative::Less) - 1.0 / 35.0).abs() < 1e-15);
        assert!((mann_whitney_exact(&a, &b, Alternative::TwoSided) - 2.0 / 35.0).abs() < 1e-15);
        assert!((hodges_lehmann(&[1.0, 2.0, 3.0], &[0.0, 0.0]) - 2.0).abs() < 1e-15);
        assert!((mann_whitney(&[2.0, 2.0], &[2.0]).p_value(Alternative::TwoSided) - 1.0).abs() < 1e-15);
        assert_eq!(signed_rank(&[1.0], &[]), None);
        let same = signed_rank(&[1.0, 2.0], &[1.0, 2.0]).unwrap();
        assert!((same.p_value(Alternative::TwoSided) - 1.0).abs() < 1e-15);
        assert!((same.exact_p_value(Alternative::TwoSided) - 1.0).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn u_counts_pairs(a in prop::collection::vec(0u8..9, 1..15), b in prop::collection::vec(0u8..9, 1..15)) {
            let (a, b): (Vec<f64>, Vec<f64>) = (a.into_iter().map(f64::from).collect(), b.into_iter().map(f64::from).collect());
            let wins = |x: f64| b.iter().map(|y| if x > *y { 1.0 } else if x < *y { 0.0 } else { 0.5 }).sum::<f64>();
            let counted: f64 = a.iter().map(|x| wins(*x)).sum();
            prop_assert!((mann_whitney(&a, &b).u - counted).abs() < 1e-9);
            let (there, back) = (mann_whitney_exact(&a, &b, Alternative::Less), mann_whitney_exact(&b, &a, Alternative::Greater));
            prop_assert!((there - back).abs() < 1e-12);
        }

        #[test]
        fn the_shift_interval_holds_what_the_test_accepts(
            a in prop::collection::vec(-5.0..5.0f64, 4..25), b in prop::collection::vec(-5.0..5.0f64, 4..25), shift in -6.0..6.0f64,
        ) {
            let (low, high) = shift_interval(&a, &b, 0.05);
            let moved: Vec<f64> = a.iter().map(|x| x - shift).collect();
            let p = mann_whitney(&moved, &b).p_value(Alternative::TwoSided);
            // The smallest samples reject nothing: their interval is the range of differences.
            if p <= 0.05 {
                prop_assert!(shift <= low || shift >= high);
            } else if mann_whitney(&[9.0; 4], &[0.0; 4]).p_value(Alternative::TwoSided) < p {
                prop_assert!(low <= shift && shift <= high || a.len() * b.len() < 40);
            }
        }

        #[test]
        fn signs_turned_turn_the_alternative(d in prop::collection::vec(-9i8..9, 1..20)) {
            let d: Vec<f64> = d.into_iter().map(f64::from).collect();
            let zeros = vec![0.0; d.len()];
            let (there, back) = (signed_rank(&d, &zeros).unwrap(), signed_rank(&zeros, &d).unwrap());
            prop_assert!((there.exact_p_value(Alternative::Greater) - back.exact_p_value(Alternative::Less)).abs() < 1e-12);
            prop_assert!((there.p_value(Alternative::Greater) - back.p_value(Alternative::Less)).abs() < 1e-12);
        }
    }

    #[test]
    fn both_tests_keep_their_level_with_ties() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut draw = |n: usize| -> Vec<f64> { (0..n).map(|_| f64::from(rng.random_range(0..6u8))).collect() };
        let (mut two, mut pairs) = (0, 0);
        for _ in 0..2000 {
            let (a, b) = (draw(30), draw(30));
            two += usize::from(mann_whitney(&a, &b).p_value(Alternative::TwoSided) < 0.05);
            pairs += usize::from(signed_rank(&a, &b).unwrap().exact_p_value(Alternative::TwoSided) < 0.05);
        }
        assert!((60..=140).contains(&two) && (55..=140).contains(&pairs), "{two} {pairs} of 2000");
    }
}
