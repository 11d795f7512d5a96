//! Student's t tests of means: two samples with unequal variances, pairs, and the relative lift.
//!
//! Where requests of one unit are not independent, the observations are unit totals or unit means: see [`super::cluster`].

use super::alternative::Alternative;
use super::student_t;

/// Size, mean and variance of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Number of observations.
    pub n: f64,
    /// Their mean.
    pub mean: f64,
    /// Their variance, divided by `n - 1`.
    pub variance: f64,
}

impl Sample {
    /// Of given values; a mean needs one of them, a variance two.
    ///
    /// # Formula
    /// Mean `sum x / n`, variance `sum (x - mean)² / (n - 1)`.
    ///
    /// # Example
    /// 1, 2, 3, 4: mean 2.5, variance 5/3.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self { n, mean, variance: squares / (n - 1.0) }
    }

    /// From the number of values, their sum and the sum of their squares.
    ///
    /// # Accuracy
    /// The squares lose digits where the mean is large against the deviation.
    ///
    /// # Example
    /// 4 values with sum 10 and sum of squares 30: mean 2.5, variance 5/3.
    #[must_use]
    pub fn of_sums(n: f64, sum: f64, sum_of_squares: f64) -> Self {
        let mean = sum / n;
        Self { n, mean, variance: ((sum_of_squares - sum * mean) / (n - 1.0)).max(0.0) }
    }

    /// Variance of the mean.
    ///
    /// # Formula
    /// `variance / n`.
    #[must_use]
    pub fn variance_of_mean(&self) -> f64 {
        self.variance / self.n
    }
}

/// An estimate whose error, over its standard error, follows Student's t.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate itself.
    pub value: f64,
    /// Its standard error.
    pub se: f64,
    /// Degrees of freedom; infinite for a normal law.
    pub df: f64,
}

impl Estimate {
    /// The statistic `(value - null) / se`; zero where both are zero.
    #[must_use]
    pub fn statistic(&self, null: f64) -> f64 {
        let distance = self.value - null;
        if distance == 0.0 { 0.0 } else { distance / self.se }
    }

    /// The p-value against a null value.
    #[must_use]
    pub fn p_value(&self, null: f64, alternative: Alternative) -> f64 {
        alternative.p_value(self.statistic(null), |t| student_t::upper_tail(t, self.df))
    }

    /// The one-sided lower confidence bound with error `alpha`.
    #[must_use]
    pub fn lower(&self, alpha: f64) -> f64 {
        self.value - student_t::upper_quantile(alpha, self.df) * self.se
    }

    /// The one-sided upper confidence bound with error `alpha`.
    #[must_use]
    pub fn upper(&self, alpha: f64) -> f64 {
        self.value + student_t::upper_quantile(alpha, self.df) * self.se
    }

    /// The two-sided confidence interval with error `alpha` in total.
    #[must_use]
    pub fn interval(&self, alpha: f64) -> (f64, f64) {
        (self.lower(alpha / 2.0), self.upper(alpha / 2.0))
    }
}

/// Welch-Satterthwaite degrees of freedom of a difference.
///
/// # Formula
/// `(v1 + v2)² / (v1² / (n1 - 1) + v2² / (n2 - 1))`, with `v` the variance of each estimate.
///
/// # Arguments
/// `v` and `n` of each arm: variance of its estimate, and number of independent units behind it.
///
/// # Source
/// B. L. Welch (1947), Biometrika 34, 28-35.
///
/// # Example
/// Variances 1 and 1 of 10 units each: 18.
#[must_use]
pub fn welch_df((v1, n1): (f64, f64), (v2, n2): (f64, f64)) -> f64 {
    let total = v1 + v2;
    if total == 0.0 {
        return n1 + n2 - 2.0;
    }
    // An arm without variance has no part, however few its units.
    let part = |v: f64, n: f64| if v == 0.0 { 0.0 } else { (v / total).powi(2) / (n - 1.0) };
    1.0 / (part(v1, n1) + part(v2, n2))
}

/// Difference of two independent estimates, treatment minus control, with Welch's degrees of freedom.
///
/// # Formula
/// `value = a - b`, `se² = va + vb`, degrees of freedom as in [`welch_df`].
///
/// # Arguments
/// For each arm its estimate, the variance of the estimate, and the number of independent units.
///
/// # Source
/// B. L. Welch (1947), Biometrika 34, 28-35.
///
/// # Example
/// See [`welch`].
#[must_use]
pub fn difference(treatment: (f64, f64, f64), control: (f64, f64, f64)) -> Estimate {
    Estimate {
        value: treatment.0 - control.0,
        se: (treatment.1 + control.1).sqrt(),
        df: welch_df((treatment.1, treatment.2), (control.1, control.2)),
    }
}

/// Welch's comparison of two means, treatment minus control.
///
/// # Formula
/// `value = mean_t - mean_c`, `se² = s_t²/n_t + s_c²/n_c`. Non-inferiority with larger values worse tests `value < margin`:
/// [`Estimate::p_value`] with the margin as null and [`Alternative::Less`]; with smaller values worse, minus the margin and
/// [`Alternative::Greater`].
///
/// # Arguments
/// Two samples of independent units with at least two observations each, in the same unit.
///
/// # Accuracy
/// Approximate for few observations with heavy tails; the degrees of freedom are exact for no variances.
///
/// # Source
/// B. L. Welch (1947), Biometrika 34, 28-35.
///
/// # Example
/// The samples of reference vector `test-welch`: t = 1.90545881188, df = 19.4938406083 (R 4.2.2 `t.test`).
#[must_use]
pub fn welch(treatment: &Sample, control: &Sample) -> Estimate {
    let arm = |sample: &Sample| (sample.mean, sample.variance_of_mean(), sample.n);
    difference(arm(treatment), arm(control))
}

/// The mean of paired differences, candidate minus stable.
///
/// # Formula
/// `value = mean(d)`, `se² = var(d)/n`, `n - 1` degrees of freedom.
///
/// # Arguments
/// The same number of values in the same order, at least two pairs; pairs are independent.
///
/// # Errors
/// `None` where the numbers differ or there are fewer than two pairs.
///
/// # Source
/// Student (1908), Biometrika 6, 1-25.
///
/// # Example
/// The pairs of reference vector `test-paired-t`: t = 4.02023676727 with 7 degrees of freedom (R 4.2.2 `t.test(paired = TRUE)`).
#[must_use]
pub fn paired(candidate: &[f64], stable: &[f64]) -> Option<Estimate> {
    if candidate.len() != stable.len() || stable.len() < 2 {
        return None;
    }
    let differences: Vec<f64> = candidate.iter().zip(stable).map(|(new, old)| new - old).collect();
    let sample = Sample::of(&differences);
    Some(Estimate { value: sample.mean, se: sample.variance_of_mean().sqrt(), df: sample.n - 1.0 })
}

/// Relative lift of a mean, `mean_t / mean_c - 1`, by the delta method.
///
/// # Formula
/// `se² = v_t / mean_c² + mean_t² v_c / mean_c⁴`, `v` the variance of each mean; degrees of freedom of the absolute difference.
///
/// # Arguments
/// Two samples of independent units; the control's mean is not zero.
///
/// # Errors
/// `None` where the control's mean is zero.
///
/// # Accuracy
/// Of first order: poor where the control's mean is within a few standard errors of zero. For a decision on a relative margin test
/// the contrast `mean_t - (1 + delta) mean_c` instead.
///
/// # Source
/// A. Deng, U. Knoblich, J. Lu (2018), KDD, section 2; the degrees of freedom are gbstats' choice.
///
/// # Example
/// Reference vector `test-rel-lift-delta`: lift 0.70732, se 0.37879 (gbstats `TwoSidedTTest`).
#[must_use]
pub fn relative_lift(treatment: &Sample, control: &Sample) -> Option<Estimate> {
    if control.mean == 0.0 {
        return None;
    }
    let (v_t, v_c) = (treatment.variance_of_mean(), control.variance_of_mean());
    let variance = v_t / control.mean.powi(2) + treatment.mean.powi(2) * v_c / control.mean.powi(4);
    let value = (treatment.mean - control.mean) / control.mean;
    Some(Estimate { value, se: variance.sqrt(), df: welch_df((v_t, treatment.n), (v_c, control.n)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn sums_give_the_sample_of_the_values() {
        let values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0];
        let (a, b) = (Sample::of(&values), Sample::of_sums(6.0, 23.0, 133.0));
        assert!((a.mean - b.mean).abs() < 1e-12 && (a.variance - b.variance).abs() < 1e-12);
        assert!((welch_df((1.0, 10.0), (1.0, 10.0)) - 18.0).abs() < 1e-12);
        assert!((welch_df((0.0, 1.0), (1.0, 10.0)) - 9.0).abs() < 1e-12);
        assert_eq!(paired(&[1.0, 2.0], &[1.0]), None);
    }

    proptest! {
        #[test]
        fn the_interval_holds_what_the_test_accepts(
            a in prop::collection::vec(-5.0..5.0f64, 3..20), b in prop::collection::vec(-5.0..5.0f64, 3..20), null in -3.0..3.0f64,
        ) {
            let estimate = welch(&Sample::of(&a), &Sample::of(&b));
            let (low, high) = estimate.interval(0.05);
            let accepted = estimate.p_value(null, Alternative::TwoSided) > 0.05;
            prop_assert_eq!(accepted, low < null && null < high);
        }

        #[test]
        fn pairs_with_equal_shifts_move_only_the_estimate(
            d in prop::collection::vec((-5.0..5.0f64, -5.0..5.0f64), 3..20), shift in -2.0..2.0f64,
        ) {
            let (new, old): (Vec<f64>, Vec<f64>) = d.into_iter().unzip();
            let moved: Vec<f64> = new.iter().map(|value| value + shift).collect();
            let (before, after) = (paired(&new, &old).unwrap(), paired(&moved, &old).unwrap());
            prop_assert!((after.value - before.value - shift).abs() < 1e-9 && (after.se - before.se).abs() < 1e-9);
        }
    }

    #[test]
    fn welch_keeps_its_level_with_unequal_variances() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut draw =
            |n: usize, width: f64| -> Vec<f64> { (0..n).map(|_| width * (rng.random::<f64>() - 0.5)).collect() };
        let mut rejected = 0;
        for _ in 0..4000 {
            let estimate = welch(&Sample::of(&draw(12, 4.0)), &Sample::of(&draw(40, 1.0)));
            rejected += usize::from(estimate.p_value(0.0, Alternative::TwoSided) < 0.05);
        }
        // 5 % with a standard error of 0.35 points.
        assert!((140..=270).contains(&rejected), "{rejected} of 4000");
    }
}
