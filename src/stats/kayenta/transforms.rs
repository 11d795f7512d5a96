//! Missing points, outliers and summaries of one metric's points.

use crate::stats::spread;

/// What happens to points that are not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// They are dropped; a side left empty has no data.
    #[default]
    Remove,
    /// They count as 0; a side that is empty nonetheless passes.
    Replace,
}

impl Missing {
    /// The points with the missing ones dropped or set to 0.
    ///
    /// # Example
    /// NaN, 10.1 becomes 10.1, or 0, 10.1.
    #[must_use]
    pub fn apply(self, points: &[f64]) -> Vec<f64> {
        match self {
            Self::Remove => points.iter().copied().filter(|point| !point.is_nan()).collect(),
            Self::Replace => points.iter().map(|&point| if point.is_nan() { 0.0 } else { point }).collect(),
        }
    }
}

/// Limits beyond which a point is an outlier; the limits themselves are inside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fences {
    /// Points below are outliers.
    pub low: f64,
    /// Points above are outliers.
    pub high: f64,
}

impl Fences {
    /// Tukey's fences: `Q1 - factor (Q3 - Q1)` to `Q3 + factor (Q3 - Q1)`, quartiles by [`percentile`].
    ///
    /// # Arguments
    /// `points` without NaN, in any order; `factor` above 0.
    ///
    /// # Source
    /// J. W. Tukey (1977), Exploratory Data Analysis, section 2D.
    ///
    /// # Example
    /// 21, 23, 24, 25, 50, 29, 23, 21 at 1.5: quartiles 22.5 and 26, fences 17.25 to 31.25.
    #[must_use]
    pub fn quartiles(points: &[f64], factor: f64) -> Self {
        let (first, third) = (percentile(points, 25.0), percentile(points, 75.0));
        let range = third - first;
        Self { low: first - factor * range, high: third + factor * range }
    }

    /// Tukey's fences, moved out to the 1st and the 99th percentile where these lie beyond: the judge's own.
    ///
    /// # Arguments
    /// As of [`Fences::quartiles`]; the judge's default `factor` is 3. From 1 on, at least half of the points stay.
    ///
    /// # Example
    /// 1 to 100 and 1000 at 3: 1st and 99th percentile are 2 and 100, Tukey's fences -124 and 226, and they stand.
    #[must_use]
    pub fn wide(points: &[f64], factor: f64) -> Self {
        let fences = Self::quartiles(points, factor);
        Self { low: fences.low.min(percentile(points, 1.0)), high: fences.high.max(percentile(points, 99.0)) }
    }

    /// `mean - k sd` to `mean + k sd`, the standard deviation with divisor `n`.
    ///
    /// # Arguments
    /// `points` without NaN; `k` above 0.
    ///
    /// # Example
    /// Ten points of 1 and one of 20 at `k = 3`: -13.7 to 19.2, so 20 is an outlier.
    #[must_use]
    pub fn deviations(points: &[f64], k: f64) -> Self {
        let mean = mean(points);
        let reach = k * (squares(points, mean) / points.len() as f64).sqrt();
        Self { low: mean - reach, high: mean + reach }
    }

    /// Whether a point is an outlier.
    #[must_use]
    pub fn exclude(&self, point: f64) -> bool {
        point < self.low || point > self.high
    }

    /// The points inside, in their order.
    #[must_use]
    pub fn inside(&self, points: &[f64]) -> Vec<f64> {
        points.iter().copied().filter(|&point| !self.exclude(point)).collect()
    }
}

/// Percentile by linear interpolation of order statistics (type 7); NaN without points.
///
/// # Arguments
/// `points` without NaN, in any order; `percent` in 0 to 100.
///
/// # Source
/// R. J. Hyndman, Y. Fan (1996), Am. Stat. 50, 361-365, definition 7.
///
/// # Example
/// The 5th of 0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5 is 0.175.
#[must_use]
pub fn percentile(points: &[f64], percent: f64) -> f64 {
    if points.is_empty() {
        return f64::NAN;
    }
    let mut sorted = points.to_vec();
    sorted.sort_by(f64::total_cmp);
    spread::quantile(&sorted, percent / 100.0)
}

/// Summary of one side's points; all zero without points.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Summary {
    /// Smallest point.
    pub min: f64,
    /// Largest point.
    pub max: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation, divisor `n - 1`; 0 for one point.
    pub deviation: f64,
    /// Number of points.
    pub count: usize,
}

impl Summary {
    /// Summarises points without NaN.
    ///
    /// # Example
    /// 1, 1, 1, 10, 10, 10: mean 5.5, standard deviation 4.9295.
    #[must_use]
    pub fn of(points: &[f64]) -> Self {
        if points.is_empty() {
            return Self::default();
        }
        let mean = mean(points);
        let freedom = (points.len() - 1).max(1) as f64;
        Self {
            min: points.iter().copied().fold(f64::INFINITY, f64::min),
            max: points.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            mean,
            deviation: (squares(points, mean) / freedom).sqrt(),
            count: points.len(),
        }
    }
}

/// Arithmetic mean with one correction for rounding; NaN without points.
pub(super) fn mean(points: &[f64]) -> f64 {
    let n = points.len() as f64;
    let mean = points.iter().sum::<f64>() / n;
    mean + points.iter().map(|point| point - mean).sum::<f64>() / n
}

fn squares(points: &[f64], mean: f64) -> f64 {
    points.iter().map(|point| (point - mean).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(from: i32, to: i32) -> Vec<f64> {
        (from..=to).map(f64::from).collect()
    }

    #[test]
    fn fences_widen_to_the_outer_percentiles() {
        let mut points = whole(1, 100);
        points.push(1000.0);
        assert_eq!(Fences::wide(&points, 3.0), Fences { low: -124.0, high: 226.0 });
        // Quartiles of 0 and 0: Tukey's fences would drop all but zeros.
        let sparse = [vec![0.0; 98], vec![5.0, 5.0, 5.0]].concat();
        assert_eq!(Fences::quartiles(&sparse, 3.0), Fences { low: 0.0, high: 0.0 });
        assert_eq!(Fences::wide(&sparse, 3.0), Fences { low: 0.0, high: 5.0 });
    }

    #[test]
    fn nothing_is_left_of_nothing() {
        assert!(percentile(&[], 50.0).is_nan());
        assert_eq!(Fences::wide(&[], 3.0).inside(&[]), [0.0; 0]);
        assert_eq!(Missing::Replace.apply(&[]), [0.0; 0]);
    }

    proptest! {
        #[test]
        fn wide_fences_keep_all_that_narrow_ones_keep(
            points in prop::collection::vec(-1e3..1e3f64, 1..80),
            factor in 1.0..4.0f64,
        ) {
            let (narrow, wide) = (Fences::quartiles(&points, factor), Fences::wide(&points, factor));
            prop_assert!(wide.low <= narrow.low && narrow.high <= wide.high);
            let kept = wide.inside(&points);
            prop_assert!(kept.len() * 2 >= points.len());
            prop_assert!(points.iter().all(|&point| wide.exclude(point) != kept.contains(&point)));
        }

        #[test]
        fn a_summary_lies_within_its_points(points in prop::collection::vec(-1e3..1e3f64, 1..40)) {
            let summary = Summary::of(&points);
            prop_assert!(summary.min <= summary.mean + 1e-9 && summary.mean <= summary.max + 1e-9);
            prop_assert!(summary.deviation <= summary.max - summary.min + 1e-9);
        }
    }
}
