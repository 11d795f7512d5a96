//! Rank sums of two samples, and the shift between them with its interval.

use crate::stats::normal;
use std::cmp::Ordering;

/// Absolute accuracy of the root search, in the units of the data: R's and Kayenta's.
const ACCURACY: f64 = 1e-4;
/// Steps after which the root search stops where it is.
const MAX_STEPS: usize = 1000;

/// The rank sum of a first sample within the pool of both, mid-ranks for ties.
///
/// # Formula
/// With `m` and `n` the sizes, `N = m + n`, `R` the sum of the first sample's ranks and `t` the sizes of the ties:
/// `U = R - m(m+1)/2`, `W = U - mn/2`, `Var W = mn/12 * (N + 1 - sum(t^3 - t) / (N(N-1)))`.
///
/// # Accuracy
/// `U`, `W` and the sum over ties are exact while `N < 2e5`: they are whole numbers and halves.
///
/// # Source
/// H. B. Mann, D. R. Whitney (1947), Ann. Math. Stat. 18, 50-60; correction for ties: E. L. Lehmann (1975),
/// Nonparametrics, section 1.4.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankSum {
    /// Size of the first sample.
    pub first: usize,
    /// Size of the second sample.
    pub second: usize,
    /// Sum of the first sample's mid-ranks, from 1.
    pub ranks: f64,
    /// Sum of `t^3 - t` over the ties of the pool.
    pub ties: f64,
}

impl RankSum {
    /// Rank sum of `x - shift` in the pool with `y`; one pass over both.
    ///
    /// # Arguments
    /// `x` and `y` ascending, not empty, finite, in the same unit as `shift`.
    ///
    /// # Example
    /// `x = 1, 2, 2` against `y = 2, 3` has ranks 1, 3, 3 of 1, 3, 3, 3, 5: sum 7, and 24 for its tie of three.
    #[must_use]
    pub fn of_sorted(x: &[f64], y: &[f64], shift: f64) -> Self {
        let (mut i, mut j) = (0, 0);
        let (mut ranks, mut ties) = (0.0, 0.0);
        while i < x.len() || j < y.len() {
            let next_x = x.get(i).map_or(f64::INFINITY, |x| x - shift);
            let smallest = y.get(j).map_or(next_x, |y| next_x.min(*y));
            let ties_with = |value: f64| value.partial_cmp(&smallest) != Some(Ordering::Greater);
            let from_x = x[i..].iter().take_while(|&&x| ties_with(x - shift)).count();
            let from_y = y[j..].iter().take_while(|&&y| ties_with(y)).count();
            let tied = (from_x + from_y) as f64;
            ranks += from_x as f64 * ((i + j) as f64 + f64::midpoint(tied, 1.0));
            ties += tied * tied * tied - tied;
            i += from_x;
            j += from_y;
        }
        Self { first: x.len(), second: y.len(), ranks, ties }
    }

    /// Rank sum of two samples in any order.
    ///
    /// # Arguments
    /// `x` and `y` not empty, finite.
    #[must_use]
    pub fn of(x: &[f64], y: &[f64]) -> Self {
        Self::of_sorted(&sorted(x), &sorted(y), 0.0)
    }

    /// Mann-Whitney's `U`: the pairs in which the first sample is higher, ties counting half; 0 to `mn`.
    ///
    /// # Formula
    /// `W - m (m + 1) / 2`, with `W` the rank sum of the first sample of size `m`.
    ///
    /// # Source
    /// H. B. Mann, D. R. Whitney (1947), Ann. Math. Stat. 18, 50-60.
    #[must_use]
    pub fn u(&self) -> f64 {
        let m = self.first as f64;
        self.ranks - m * (m + 1.0) / 2.0
    }

    /// `U` less its expectation `mn/2` under equal distributions.
    #[must_use]
    pub fn centred(&self) -> f64 {
        self.u() - self.first as f64 * self.second as f64 / 2.0
    }

    /// Variance of `U` under equal distributions, given the ties; 0 if all values are tied.
    ///
    /// # Formula
    /// `mn/12 ((m + n + 1) - sum (t³ - t) / ((m + n)(m + n - 1)))`, over the groups of `t` tied values.
    ///
    /// # Source
    /// E. L. Lehmann (1975), Nonparametrics, section 1.4.
    #[must_use]
    pub fn variance(&self) -> f64 {
        let (m, n) = (self.first as f64, self.second as f64);
        m * n / 12.0 * ((m + n + 1.0) - self.ties / ((m + n) * (m + n - 1.0)))
    }

    /// Standardised rank sum with two-sided continuity correction, `(W - sign(W)/2) / sqrt(Var W)`.
    ///
    /// None if all values are tied: there is nothing to standardise by.
    ///
    /// # Example
    /// `x = 10, 20, 30, 40` against `y = 1, 2, 3, 4`: `(8 - 0.5)/sqrt(12) = 2.1650635`, p = 0.03038 two-sided
    /// (R 4.2.2 `wilcox.test(x, y, exact = FALSE)`).
    #[must_use]
    pub fn standardised(&self) -> Option<f64> {
        let (centred, deviation) = (self.centred(), self.variance().sqrt());
        let sign = if centred == 0.0 { 0.0 } else { centred.signum() };
        (deviation > 0.0).then(|| (centred - 0.5 * sign) / deviation)
    }

    /// Common-language effect size: the probability that a value of the first sample is higher, `U / (mn)`.
    ///
    /// # Source
    /// A. Vargha, H. D. Delaney (2000), J. Educ. Behav. Stat. 25, 101-132.
    ///
    /// # Example
    /// 0.5 for a sample against itself, 1 if every value of the first is above every one of the second.
    #[must_use]
    pub fn effect_size(&self) -> f64 {
        let (m, n) = (self.first as f64, self.second as f64);
        (2.0 * self.ranks - m * (m + 1.0)) / (2.0 * n * m)
    }
}

/// How far the first of two samples lies above the second, in the unit of the data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// Lower end of the confidence interval.
    pub low: f64,
    /// Upper end of the confidence interval.
    pub high: f64,
    /// Hodges-Lehmann estimate, by root search.
    pub estimate: f64,
}

/// Two samples, sorted once for many shifts.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    x: Vec<f64>,
    y: Vec<f64>,
}

impl Pair {
    /// Sorts the samples; None if one is empty or holds a value that is not finite, or if a difference overflows.
    #[must_use]
    pub fn new(x: &[f64], y: &[f64]) -> Option<Self> {
        let pair = Self { x: sorted(x), y: sorted(y) };
        let finite = |sample: &[f64]| !sample.is_empty() && sample.iter().all(|value| value.is_finite());
        let usable = finite(x) && finite(y) && pair.smallest().is_finite() && pair.largest().is_finite();
        usable.then_some(pair)
    }

    /// Smallest difference `x - y`: lower end of the search.
    #[must_use]
    pub fn smallest(&self) -> f64 {
        self.x[0] - self.y[self.y.len() - 1]
    }

    /// Largest difference `x - y`: upper end of the search.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.x[self.x.len() - 1] - self.y[0]
    }

    /// Standardised rank sum of `x - shift` against `y`, falling in `shift`; None if all values are tied.
    #[must_use]
    pub fn standardised(&self, shift: f64) -> Option<f64> {
        RankSum::of_sorted(&self.x, &self.y, shift).standardised()
    }

    /// Shift at which the standardised rank sum crosses `level`; an end of the search if it starts or stays beyond.
    ///
    /// # Accuracy
    /// See [`Pair::shift`]. None if all values are tied at a shift tried.
    #[must_use]
    pub fn crossing(&self, level: f64) -> Option<f64> {
        if self.standardised(self.smallest())? <= level {
            return Some(self.smallest());
        }
        if self.standardised(self.largest())? >= level {
            return Some(self.largest());
        }
        self.search(level)
    }

    /// Hodges-Lehmann shift of `x` against `y` and its confidence interval from the rank-sum test.
    ///
    /// # Formula
    /// With `z(mu)` the continuity- and tie-corrected standardised rank sum of `x - mu` against `y`, `q` the upper
    /// normal quantile of `(1 - level)/2`: `low` crosses `z = q`, `high` crosses `z = -q`, `estimate` crosses 0.
    /// Each lies in `min x - max y` to `max x - min y`.
    ///
    /// # Arguments
    /// `level` is two-sided coverage, in (0, 1).
    ///
    /// # Accuracy
    /// `z` is a step function of the shift and is searched to 1e-4 in the unit of the data, as R and Kayenta do. On
    /// data whose differences are near or below 1e-4 the result is an artefact of the search, and `low` may exceed
    /// `high`. On continuous data the crossings are within 1e-4 of a step of `z`; where `z = 0` on a whole stretch,
    /// the estimate is some point of it, not the median difference. Coverage is asymptotic.
    ///
    /// None if all values are tied at a shift tried: no variance.
    ///
    /// # Source
    /// D. F. Bauer (1972), JASA 67, 687-690; J. L. Hodges, E. L. Lehmann (1963), Ann. Math. Stat. 34, 598-611; as in
    /// R's `wilcox.test(x, y, exact = FALSE, conf.int = TRUE)`, except that the estimate keeps the correction.
    ///
    /// # Example
    /// 10, 20, 30, 40 against 1, 2, 3, 4 at 95 %: 6 to 39, estimate 22.5 (R 4.2.2).
    #[must_use]
    pub fn shift(&self, level: f64) -> Option<Shift> {
        let quantile = normal::upper_quantile((1.0 - level) / 2.0);
        let (low, high) = (self.crossing(quantile)?, self.crossing(-quantile)?);
        Some(Shift { low, high, estimate: self.search(0.0)? })
    }

    fn search(&self, level: f64) -> Option<f64> {
        let distance = |shift| self.standardised(shift).map(|z| z - level);
        root(distance, self.smallest(), self.largest())
    }
}

fn sorted(sample: &[f64]) -> Vec<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// A point of a function.
#[derive(Clone, Copy)]
struct Point {
    x: f64,
    y: f64,
}

/// Root of a function between two ends of opposite sign; None as soon as the function has no value.
///
/// # Source
/// R. P. Brent (1973), Algorithms for Minimization without Derivatives, chapter 4, in the form R's `uniroot` and
/// Kayenta use: it starts from both ends, stops within `2 eps |x| + ACCURACY/2`, and holds a step against the last
/// one, not the one before it. Results on step functions depend on these choices.
fn root(f: impl Fn(f64) -> Option<f64>, low: f64, high: f64) -> Option<f64> {
    let at = |x: f64| f(x).map(|y| Point { x, y });
    let (mut last, mut best) = (at(low)?, at(high)?);
    if last.y == 0.0 {
        return Some(low);
    }
    let mut across = last;
    for _ in 0..=MAX_STEPS {
        let last_step = best.x - last.x;
        if across.y.abs() < best.y.abs() {
            (last, best, across) = (best, across, best);
        }
        let tolerance = 2.0 * f64::EPSILON * best.x.abs() + ACCURACY / 2.0;
        let half = (across.x - best.x) / 2.0;
        if half.abs() <= tolerance || best.y == 0.0 {
            break;
        }
        let promising = last_step.abs() >= tolerance && last.y.abs() > best.y.abs();
        let interpolated = if promising { interpolate(last, best, across, last_step, tolerance) } else { None };
        let step = interpolated.unwrap_or(half);
        let least = if step > 0.0 { tolerance } else { -tolerance };
        last = best;
        best = at(best.x + if step.abs() < tolerance { least } else { step })?;
        if best.y * across.y > 0.0 {
            across = last;
        }
    }
    Some(best.x)
}

/// Step from `best` by inverse quadratic interpolation, linear if only two points differ; None if it leads too far.
fn interpolate(last: Point, best: Point, across: Point, last_step: f64, tolerance: f64) -> Option<f64> {
    let width = across.x - best.x;
    let s = best.y / last.y;
    let (p, q) = if last.x - across.x == 0.0 {
        (width * s, 1.0 - s)
    } else {
        let (q, r) = (last.y / across.y, best.y / across.y);
        (s * (width * q * (q - r) - (best.x - last.x) * (r - 1.0)), (q - 1.0) * (r - 1.0) * (s - 1.0))
    };
    let (p, q) = if p > 0.0 { (p, -q) } else { (-p, q) };
    let inside = p < 0.75 * width * q - (tolerance * q).abs() / 2.0;
    (inside && p < (last_step * q / 2.0).abs()).then(|| p / q)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
    use rand_distr::{Distribution, StandardNormal};

    /// Pairs in which the first is higher, ties counting half.
    fn pairs(x: &[f64], y: &[f64]) -> f64 {
        let score = |x: f64, y: f64| f64::midpoint(f64::from(u8::from(x > y)), f64::from(u8::from(x >= y)));
        x.iter().flat_map(|&x| y.iter().map(move |&y| score(x, y))).sum()
    }

    #[test]
    fn ties_share_their_rank() {
        let sum = RankSum::of(&[2.0, 1.0, 2.0], &[3.0, 2.0]);
        assert_eq!(sum, RankSum { first: 3, second: 2, ranks: 7.0, ties: 24.0 });
        assert_eq!(RankSum::of(&[0.0], &[-0.0]), RankSum { first: 1, second: 1, ranks: 1.5, ties: 6.0 });
        assert_eq!(RankSum::of(&[4.0, 4.0], &[4.0]).standardised(), None);
    }

    #[test]
    fn agrees_with_r_on_a_small_case() {
        let (x, y) = ([10.0, 20.0, 30.0, 40.0], [1.0, 2.0, 3.0, 4.0]);
        let z = RankSum::of(&x, &y).standardised().expect("the values differ");
        assert!((z - 7.5 / 12.0_f64.sqrt()).abs() < 1e-15);
        let shift = Pair::new(&x, &y).and_then(|pair| pair.shift(0.95));
        assert_eq!(shift, Some(Shift { low: 6.0, high: 39.0, estimate: 22.5 }));
    }

    #[test]
    fn agrees_with_r_on_ties() {
        // R 4.2.2: x <- c(2,4,4,5,7,9,9,3); y <- c(1,4,2,2,3,5,1,4,6); wilcox.test(x, y, exact = FALSE,
        // conf.int = TRUE, conf.level = 0.95).
        let x = [2.0, 4.0, 4.0, 5.0, 7.0, 9.0, 9.0, 3.0];
        let y = [1.0, 4.0, 2.0, 2.0, 3.0, 5.0, 1.0, 4.0, 6.0];
        let pair = Pair::new(&x, &y).expect("finite samples");
        let shift = pair.shift(0.95).expect("the values differ");
        assert!(
            (shift.low - -5.278_192_365_265_276e-5).abs() < 1e-12 && (shift.high - 4.999_959_493_743_894).abs() < 1e-12
        );
        let z = pair.standardised(0.0).expect("the values differ");
        assert!((2.0 * normal::upper_tail(z.abs()) - 0.088_600_979_197_711_52).abs() < 1e-10);
    }

    #[test]
    fn a_shift_that_is_no_number_ends() {
        let _ = RankSum::of_sorted(&[1.0, 2.0], &[1.0], f64::NAN);
    }

    #[test]
    fn unusable_samples_make_no_pair() {
        assert_eq!(Pair::new(&[], &[1.0]), None);
        assert_eq!(Pair::new(&[1.0], &[f64::NAN]), None);
        assert_eq!(Pair::new(&[f64::INFINITY], &[1.0]), None);
        assert_eq!(Pair::new(&[f64::MAX], &[f64::MIN]), None);
    }

    proptest! {
        #[test]
        fn u_counts_pairs(
            x in prop::collection::vec(-4..4i8, 1..20),
            y in prop::collection::vec(-4..4i8, 1..20),
        ) {
            let float = |sample: &[i8]| sample.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
            let (x, y) = (float(&x), float(&y));
            let (sum, mirrored) = (RankSum::of(&x, &y), RankSum::of(&y, &x));
            prop_assert!((sum.u() - pairs(&x, &y)).abs() < 1e-9);
            prop_assert!((sum.centred() + mirrored.centred()).abs() < 1e-9);
            prop_assert!((sum.variance() - mirrored.variance()).abs() < 1e-9);
            prop_assert!((sum.effect_size() + mirrored.effect_size() - 1.0).abs() < 1e-15);
            let pool = [x, y].concat();
            let count = |v: i32| pool.iter().filter(|&&value| (value - f64::from(v)).abs() < 0.5).count();
            let ties: usize = (-4..4).map(count).map(|t| t * t * t - t).sum();
            prop_assert!((sum.ties - ties as f64).abs() < 0.5);
        }

        #[test]
        fn crossings_lie_at_a_step(
            x in prop::collection::vec(-10.0..10.0f64, 2..25),
            y in prop::collection::vec(-10.0..10.0f64, 2..25),
            level in -2.5..2.5f64,
        ) {
            let pair = Pair::new(&x, &y).expect("finite samples");
            let crossing = pair.crossing(level).expect("the values differ");
            prop_assert!(pair.smallest() <= crossing && crossing <= pair.largest());
            if pair.smallest() < crossing {
                prop_assert!(pair.standardised(crossing - 1.1e-4).expect("the values differ") >= level);
            }
            if crossing < pair.largest() {
                prop_assert!(pair.standardised(crossing + 1.1e-4).expect("the values differ") <= level);
            }
        }

        #[test]
        fn a_shift_of_the_data_shifts_the_interval(
            x in prop::collection::vec(-10.0..10.0f64, 8..25),
            y in prop::collection::vec(-10.0..10.0f64, 8..25),
            by in -20.0..20.0f64,
        ) {
            let moved: Vec<f64> = x.iter().map(|x| x + by).collect();
            let of = |x: &[f64]| Pair::new(x, &y).and_then(|pair| pair.shift(0.95)).expect("the values differ");
            let (before, after) = (of(&x), of(&moved));
            prop_assert!((after.low - before.low - by).abs() < 2e-4);
            prop_assert!((after.high - before.high - by).abs() < 2e-4);
        }
    }

    #[test]
    fn the_interval_covers_the_shift() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut draw = |n: usize, mean: f64| -> Vec<f64> {
            (0..n).map(|_| mean + Distribution::<f64>::sample(&StandardNormal, &mut rng)).collect()
        };
        let runs = 2000;
        let missed = (0..runs)
            .filter(|_| {
                let pair = Pair::new(&draw(30, 3.0), &draw(20, 1.0)).expect("finite samples");
                let shift = pair.shift(0.95).expect("the values differ");
                shift.low > 2.0 || shift.high < 2.0
            })
            .count();
        // 5 % of 2000 is 100, standard deviation 10.
        assert!((65..=130).contains(&missed), "missed {missed} of {runs}");
    }
}
