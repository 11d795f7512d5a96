//! Ratios of per-unit sums, and their cluster-robust variance.

/// Sums over units of the per-unit totals `Y` (numerator) and `X` (denominator).
///
/// Every metric is `sum(Y) / sum(X)`: a mean has one in the denominator for each request, a share of slow requests counts them in the
/// numerator. The unit of assignment is the unit of inference: requests of one unit are never taken as independent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct UnitSums {
    /// Number of units `K`; units without a value contribute zeros.
    pub units: f64,
    /// Sum of `Y`.
    pub y: f64,
    /// Sum of `X`.
    pub x: f64,
    /// Sum of `Y²`.
    pub yy: f64,
    /// Sum of `Y X`.
    pub yx: f64,
    /// Sum of `X²`.
    pub xx: f64,
    /// `Y²` and `X²` of the sums that these were taken out of by subtraction, whose rounding errors they inherit; else zero.
    pub taken_from: (f64, f64),
}

impl UnitSums {
    /// Sums of given units, one `(Y, X)` each.
    ///
    /// # Example
    /// Units (3, 4) and (0, 2): sums 3 and 6, squares 9 and 20, products 12.
    #[must_use]
    pub fn of(units: &[(f64, f64)]) -> Self {
        units.iter().fold(Self::default(), |sums, &(y, x)| Self {
            units: sums.units + 1.0,
            y: sums.y + y,
            x: sums.x + x,
            yy: sums.yy + y * y,
            yx: sums.yx + y * x,
            xx: sums.xx + x * x,
            taken_from: (0.0, 0.0),
        })
    }

    /// The ratio `sum(Y) / sum(X)`; `None` where the denominator is not positive.
    ///
    /// # Example
    /// The ten units of reference vector `ratio-delta-var`: 0.6888888888888889 (gbstats `RatioStatistic`).
    #[must_use]
    #[inline]
    pub fn ratio(&self) -> Option<f64> {
        (self.x > 0.0).then(|| self.y / self.x)
    }

    /// Variance of the ratio over units, by the delta method.
    ///
    /// # Formula
    /// `K/(K-1) (sum Y² - 2R sum YX + R² sum X²) / (sum X)²`, which is `K/(K-1)` times the CR0 sandwich.
    ///
    /// # Errors
    /// `None` with fewer than two units or a denominator that is not positive. Zero (never a negative rounding residue) where `Y` is
    /// proportional to `X`.
    ///
    /// # Source
    /// A. Deng, U. Knoblich, J. Lu (2018), KDD, section 3; K.-Y. Liang, S. L. Zeger (1986), Biometrika 73, 13-22 for the sandwich.
    ///
    /// # Example
    /// The ten units of reference vector `ratio-delta-var` give 0.003353960270284012 (gbstats `RatioStatistic`).
    #[must_use]
    #[inline]
    pub fn ratio_variance(&self) -> Option<f64> {
        let ratio = self.ratio()?;
        if self.units < 2.0 {
            return None;
        }
        let residual = self.yy - 2.0 * ratio * self.yx + ratio * ratio * self.xx;
        // Below this share of its terms the residual is their rounding error: the metric is constant.
        let (yy, xx) = self.taken_from;
        let noise = 1e-12 * (self.yy + ratio * ratio * self.xx) + 1e-13 * (yy + ratio * ratio * xx);
        let residual = if residual > noise { residual } else { 0.0 };
        Some(self.units / (self.units - 1.0) * residual / (self.x * self.x))
    }

    /// How many units of equal weight the denominators are worth; zero without any.
    ///
    /// # Formula
    /// `(sum X)² / sum X²`. One unit with the share `s` of the sum leaves at most `1/s²`; at least `1/s` where no unit has more.
    ///
    /// # Source
    /// L. Kish (1965), Survey Sampling, section 11.7.
    ///
    /// # Example
    /// Weights 1, 1, 1 and 3: 36/12 = 3.
    #[must_use]
    #[inline]
    pub fn effective_units(&self) -> f64 {
        if self.xx > 0.0 { self.x * self.x / self.xx } else { 0.0 }
    }

    /// The sums after every request's value became `scale * value + shift`.
    ///
    /// # Formula
    /// With `a` the shift and `b` the scale, a unit's `Y` becomes `b Y + a X`: so `YY` becomes `b² YY + 2 a b YX + a² XX`, and `YX` becomes
    /// `b YX + a XX`. The variance of the ratio is multiplied by `b²` and does not see `a`.
    #[must_use]
    pub fn affine(&self, shift: f64, scale: f64) -> Self {
        Self {
            y: scale * self.y + shift * self.x,
            yy: scale * scale * self.yy + 2.0 * scale * shift * self.yx + shift * shift * self.xx,
            yx: scale * self.yx + shift * self.xx,
            ..*self
        }
    }

    /// Part of the way from these sums to others over the same units: 0 is these, 1 is the others.
    #[must_use]
    pub fn towards(&self, other: &Self, part: f64) -> Self {
        let mix = |a: f64, b: f64| a + part * (b - a);
        Self {
            units: mix(self.units, other.units),
            y: mix(self.y, other.y),
            x: mix(self.x, other.x),
            yy: mix(self.yy, other.yy),
            yx: mix(self.yx, other.yx),
            xx: mix(self.xx, other.xx),
            ..*self
        }
    }

    /// The sums expected when each unit is kept with this probability.
    ///
    /// # Formula
    /// Every sum times the share: sums over units are linear in who is in them. The variance of the ratio is divided by the share, up to
    /// `K/(K-1)`.
    #[must_use]
    pub fn thinned(&self, share: f64) -> Self {
        Self {
            units: self.units * share,
            y: self.y * share,
            x: self.x * share,
            yy: self.yy * share,
            yx: self.yx * share,
            xx: self.xx * share,
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NUMERATOR: [f64; 10] = [3.0, 0.0, 5.0, 2.0, 8.0, 1.0, 4.0, 0.0, 6.0, 2.0];
    const DENOMINATOR: [f64; 10] = [4.0, 2.0, 7.0, 3.0, 9.0, 2.0, 6.0, 1.0, 8.0, 3.0];

    fn example() -> Vec<(f64, f64)> {
        NUMERATOR.into_iter().zip(DENOMINATOR).collect()
    }

    // gbstats RatioStatistic (GrowthBook 8f1db445), reference vector `ratio-delta-var`.
    #[test]
    fn ratio_variance_agrees_with_gbstats() {
        let sums = UnitSums::of(&example());
        assert!((sums.ratio().unwrap() - 0.688_888_888_888_888_9).abs() < 1e-12);
        assert!((sums.ratio_variance().unwrap() / 0.003_353_960_270_284_012 - 1.0).abs() < 1e-10);
    }

    // statsmodels 0.15.0 OLS with cov_type="cluster", reference vector `cluster-mean-var`.
    #[test]
    fn clustered_mean_agrees_with_statsmodels() {
        let clusters: [&[f64]; 6] = [
            &[1.2, 1.5, 0.9],
            &[2.1, 2.4, 1.9, 2.2, 2.6],
            &[0.5, 0.7],
            &[1.8, 1.1, 1.6, 1.4],
            &[3.0, 2.7, 2.9, 3.3, 2.5, 2.8],
            &[1.0, 1.3, 0.8, 1.4],
        ];
        let units: Vec<_> = clusters.iter().map(|c| (c.iter().sum(), c.len() as f64)).collect();
        let sums = UnitSums::of(&units);
        assert!((sums.ratio().unwrap() - 1.816_666_666_666_666_4).abs() < 1e-12);
        assert!((sums.ratio_variance().unwrap() / 0.131_325_231_481_481_6 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_unit_with_most_requests_leaves_few_effective_ones() {
        let weights = |weights: &[f64]| UnitSums::of(&weights.iter().map(|&x| (0.0, x)).collect::<Vec<_>>());
        assert!((weights(&[1.0, 1.0, 1.0, 3.0]).effective_units() - 3.0).abs() < 1e-12);
        assert!((weights(&[2.5; 40]).effective_units() - 40.0).abs() < 1e-9);
        let mut crowd = vec![1.0; 1000];
        crowd.push(1001.0);
        assert!(weights(&crowd).effective_units() < 4.0, "the last has just over half");
        assert!(weights(&[1.0, 1.0, 1.0, 1.0, 1.0]).effective_units() > 4.0, "nobody has a quarter");
        assert!(UnitSums::default().effective_units().abs() < 1e-300);
    }

    #[test]
    fn too_little_is_none_and_a_constant_has_no_variance() {
        assert_eq!(UnitSums::default().ratio(), None);
        assert_eq!(UnitSums::of(&[(1.0, 2.0)]).ratio_variance(), None);
        let constant: Vec<_> = (1..50).map(|n| (0.1 * f64::from(n), f64::from(n))).collect();
        assert_eq!(UnitSums::of(&constant).ratio_variance(), Some(0.0));
    }

    #[test]
    fn what_subtraction_leaves_of_a_constant_has_no_variance() {
        // Two light units, one of them without a value, beside a unit with a million times their squares.
        let (light, heavy) = ((0.017_3, 311.0), (29.7, 411_000.0));
        let (whole, arm) = (UnitSums::of(&[heavy, light, (0.0, 0.0)]), UnitSums::of(&[heavy]));
        let rest = UnitSums {
            units: whole.units - arm.units,
            y: whole.y - arm.y,
            x: whole.x - arm.x,
            yy: whole.yy - arm.yy,
            yx: whole.yx - arm.yx,
            xx: whole.xx - arm.xx,
            taken_from: (whole.yy, whole.xx),
        };
        assert!(UnitSums { taken_from: (0.0, 0.0), ..rest }.ratio_variance().unwrap() > 0.0, "only rounding errors");
        assert_eq!(rest.ratio_variance(), Some(0.0));
    }

    proptest! {
        #[test]
        fn affine_sums_are_the_sums_of_affine_values(
            units in prop::collection::vec((-5.0..5.0f64, 0.5..9.0f64), 2..30), shift in -2.0..2.0f64, scale in 0.1..3.0f64,
        ) {
            let changed: Vec<_> = units.iter().map(|&(y, x)| (scale * y + shift * x, x)).collect();
            let (a, b) = (UnitSums::of(&units).affine(shift, scale), UnitSums::of(&changed));
            for (left, right) in [(a.y, b.y), (a.yy, b.yy), (a.yx, b.yx), (a.xx, b.xx)] {
                prop_assert!((left - right).abs() < 1e-8 * (1.0 + right.abs()));
            }
        }

        #[test]
        fn variance_scales_with_the_square_and_ignores_a_shift(
            units in prop::collection::vec((-5.0..5.0f64, 0.5..9.0f64), 3..30), shift in -2.0..2.0f64, scale in 0.1..3.0f64,
        ) {
            let sums = UnitSums::of(&units);
            let before = sums.ratio_variance().unwrap();
            let after = sums.affine(shift, scale).ratio_variance().unwrap();
            prop_assert!((after - scale * scale * before).abs() <= 1e-7 * (1.0 + after.abs()));
        }
    }
}
