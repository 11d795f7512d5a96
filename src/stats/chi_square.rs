//! Pearson's chi-square: sample ratio mismatch, and equal distributions over bins.

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// A chi-square statistic and its p-value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChiSquare {
    /// The statistic.
    pub statistic: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// Upper tail of the statistic.
    pub p_value: f64,
}

impl ChiSquare {
    fn of(statistic: f64, df: f64) -> Self {
        Self { statistic, df, p_value: upper_tail(statistic, df) }
    }
}

/// Upper tail of the chi-square law; 1 without degrees of freedom.
///
/// # Example
/// 3.841458820694 with 1 degree of freedom: 0.05.
#[must_use]
pub fn upper_tail(statistic: f64, df: f64) -> f64 {
    ChiSquared::new(df).map_or(1.0, |law| law.sf(statistic))
}

/// Quantile of the chi-square law: the value with `tail` above it; zero without degrees of freedom.
///
/// # Example
/// 0.05 with 4 degrees of freedom: 9.487729036781 (R 4.2.2 `qchisq`).
///
/// # Source
/// The law of a sum of `df` squared standard normal variables; K. Pearson (1900), Phil. Mag. 50, 157-175.
#[must_use]
pub fn upper_quantile(tail: f64, df: f64) -> f64 {
    ChiSquared::new(df).map_or(0.0, |law| law.inverse_cdf(1.0 - tail))
}

/// Sample ratio mismatch: whether units came to the arms in the planned shares.
///
/// # Formula
/// `sum (O - E)² / E`, `E` the total times the arm's share, arms minus one degrees of freedom.
///
/// # Arguments
/// `counts` of units (never requests) per arm; `weights` the planned shares, not negative, of any sum. Arms without weight have
/// infinite evidence against them if they have units, and no part otherwise.
///
/// # Errors
/// `None` where the numbers of arms differ, or no unit or no weight is there.
///
/// # Accuracy
/// Asymptotic: needs some five expected units in each arm. Usual level: 0.001.
///
/// # Source
/// K. Pearson (1900), Philos. Mag. 50, 157-175; A. Fabijan et al. (2019), KDD, on sample ratio mismatch.
///
/// # Example
/// 821588 and 815482 at equal shares: 22.7743688419, p = 1.82e-6 (R 4.2.2 `chisq.test`).
#[must_use]
pub fn sample_ratio_mismatch(counts: &[f64], weights: &[f64]) -> Option<ChiSquare> {
    let (units, weight): (f64, f64) = (counts.iter().sum(), weights.iter().sum());
    if counts.len() != weights.len() || units <= 0.0 || weight <= 0.0 {
        return None;
    }
    let expected = weights.iter().map(|share| units * share / weight);
    let arms = counts.iter().zip(expected).filter(|(count, expected)| **count > 0.0 || *expected > 0.0);
    let (statistic, arms) = arms
        .fold((0.0, 0.0), |(sum, arms), (count, expected)| (sum + (count - expected).powi(2) / expected, arms + 1.0));
    Some(ChiSquare::of(statistic, arms - 1.0))
}

/// Whether several samples have the same distribution over bins.
///
/// # Formula
/// `sum (O - E)² / E`, `E` row total times column total over the total, `(rows - 1)(columns - 1)` degrees of freedom; rows and
/// columns without a count are left out. No continuity correction.
///
/// # Arguments
/// `table` of counts, one row for each sample, all of the same length. Divide counts of clustered rows by their design effect.
///
/// # Errors
/// `None` where rows differ in length or nothing is counted.
///
/// # Accuracy
/// Asymptotic: needs some five expected counts in each cell.
///
/// # Source
/// K. Pearson (1900), Philos. Mag. 50, 157-175.
///
/// # Example
/// The table of reference vector `drift-chi2`: 37.77192402 with 4 degrees of freedom (scipy 1.17.1 `chi2_contingency`).
#[must_use]
pub fn homogeneity(table: &[Vec<f64>]) -> Option<ChiSquare> {
    let columns = table.first()?.len();
    if table.iter().any(|row| row.len() != columns) {
        return None;
    }
    let by_column: Vec<f64> = (0..columns).map(|column| table.iter().map(|row| row[column]).sum()).collect();
    let total: f64 = by_column.iter().sum();
    if total <= 0.0 {
        return None;
    }
    let rows = table.iter().map(|row| (row, row.iter().sum::<f64>())).filter(|(_, sum)| *sum > 0.0);
    let (mut statistic, mut filled) = (0.0, 0.0);
    for (row, sum) in rows {
        filled += 1.0;
        let cells = row.iter().zip(&by_column).filter(|(_, column)| **column > 0.0);
        statistic +=
            cells.map(|(count, column)| (count - sum * column / total).powi(2) / (sum * column / total)).sum::<f64>();
    }
    let bins = by_column.iter().filter(|column| **column > 0.0).count() as f64;
    Some(ChiSquare::of(statistic, (filled - 1.0) * (bins - 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn empty_arms_rows_and_bins_have_no_part() {
        let with = sample_ratio_mismatch(&[30.0, 50.0, 0.0], &[1.0, 1.0, 0.0]).unwrap();
        assert_eq!(with, sample_ratio_mismatch(&[30.0, 50.0], &[1.0, 1.0]).unwrap());
        assert_eq!(sample_ratio_mismatch(&[0.0, 1.0], &[0.0, 0.0]), None);
        assert!(sample_ratio_mismatch(&[5.0, 1.0], &[0.0, 1.0]).unwrap().p_value <= 0.0);
        let table = [vec![3.0, 0.0, 5.0], vec![0.0, 0.0, 0.0], vec![4.0, 0.0, 2.0]];
        assert_eq!(homogeneity(&table), homogeneity(&[vec![3.0, 5.0], vec![4.0, 2.0]]));
        assert!((upper_quantile(0.05, 4.0) - 9.487_729_036_781).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn proportional_rows_have_no_statistic(row in prop::collection::vec(1.0..50.0f64, 2..8), scale in 0.1..9.0f64) {
            let other: Vec<f64> = row.iter().map(|count| scale * count).collect();
            let test = homogeneity(&[row.clone(), other]).unwrap();
            prop_assert!(test.statistic < 1e-9 && (test.df - (row.len() as f64 - 1.0)).abs() < 1e-12);
            prop_assert!((sample_ratio_mismatch(&row, &row).unwrap().p_value - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn both_keep_their_level() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let mut draw = || {
            let mut bins = vec![0.0; 5];
            (0..200).for_each(|_| bins[rng.random_range(0..5usize)] += 1.0);
            bins
        };
        let (mut ratio, mut equal) = (0, 0);
        for _ in 0..2000 {
            let (a, b) = (draw(), draw());
            ratio += usize::from(sample_ratio_mismatch(&a, &[1.0; 5]).unwrap().p_value < 0.05);
            equal += usize::from(homogeneity(&[a, b]).unwrap().p_value < 0.05);
        }
        assert!((60..=140).contains(&ratio) && (60..=140).contains(&equal), "{ratio} {equal} of 2000");
    }
}
