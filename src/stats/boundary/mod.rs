//! Boundaries of repeated looks: made from spending functions or families, and priced by exact integration.
//!
//! All boundaries are on the scale of `z`, all information is positive and grows from look to look; only ratios of
//! information matter where no drift is given. Positive infinity is a look that cannot stop (negative for a lower boundary).

pub mod combine;
pub mod counts;
pub mod design;
mod exponential;
mod integrate;
pub mod rollout;
mod search;
pub mod spending;

use integrate::{SMALLEST_STEP, Side, Walk};
use spending::Spending;

/// Fineness of the grid of integration, in the role of Jennison and Turnbull's `r`: panels are `14.4 / r` standard deviations wide, with
/// eight points each. 18 is good to 1e-8; time grows with the square.
pub const RESOLUTION: u32 = 18;

/// Spending below this is no boundary: it waits for the next look.
const SMALLEST_SPEND: f64 = 1e-15;

/// Whether the lower side stops too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Only the upper boundary stops.
    OneSided,
    /// The lower boundary mirrors the upper one; every `alpha` is that of one side.
    Symmetric,
}

impl Shape {
    /// The lower `z` that belongs to an upper one.
    fn lower(self, upper: f64) -> f64 {
        match self {
            Self::OneSided => f64::NEG_INFINITY,
            Self::Symmetric => -upper,
        }
    }
}

/// The upper boundary that spends `alpha` along the information fractions, one-sided.
///
/// # Formula
/// `z_k` with `P(no crossing before k, Z_k > z_k) = A(t_k) - A(t_(k-1))` under no drift.
///
/// # Arguments
/// `fractions` of the planned information, one per look, positive and growing; `alpha` one-sided, in (0, 0.5).
/// Below a last fraction of 1 a part of `alpha` stays unspent.
///
/// # Errors
/// None: positive infinity where a look spends less than 1e-15 or brings no new information.
///
/// # Accuracy
/// 1e-7 in `z`, for hundreds of looks as well.
///
/// # Source
/// K. K. G. Lan, D. L. DeMets (1983), Biometrika 70, 659-663; C. Jennison, B. W. Turnbull (2000), chapters 7 and 19.
///
/// # Example
/// Fractions 1/3, 2/3, 1, `alpha` 0.025, O'Brien-Fleming type: 3.7103, 2.5114, 1.9930 (gsDesign 3.11 `sfLDOF`).
#[must_use]
pub fn upper(fractions: &[f64], alpha: f64, spending: Spending) -> Vec<f64> {
    spend(fractions, alpha, spending, Shape::OneSided)
}

/// The upper boundary that spends `alpha` along the information fractions, whatever statistics of different looks have to do with each other.
///
/// # Formula
/// `z_k` with `P(Z_k > z_k) = A(t_k) - A(t_(k-1))`: the chance of any crossing is at most the sum (Bonferroni).
///
/// # Arguments
/// As [`upper`]. For statistics with a normal deviate that are no sums of independent steps, such as squared lengths.
///
/// # Errors
/// None: positive infinity where a look spends less than 1e-15.
///
/// # Example
/// Fractions 0.5 and 1, 0.05, Pocock type: 1.8673, 2.0749 (0.03101 and 0.01899 of a standard normal variable).
#[must_use]
pub fn upper_apart(fractions: &[f64], alpha: f64, spending: Spending) -> Vec<f64> {
    let mut before = 0.0;
    let bound = |&fraction: &f64| {
        let so_far = spending.spent(fraction.min(1.0), alpha);
        let here = so_far - std::mem::replace(&mut before, so_far);
        if here > 1e-15 { super::normal::upper_quantile(here) } else { f64::INFINITY }
    };
    fractions.iter().map(bound).collect()
}

/// The symmetric two-sided boundary that spends `alpha` on each side: stops on one side are not counted on the other.
///
/// See [`upper`] for formula, accuracy and source; `alpha` is that of one side.
///
/// # Example
/// Fractions 0.5 and 1, 0.025 on each side, Pocock type: 2.1570, 2.2010 (as one-sided to four decimals).
#[must_use]
pub fn symmetric(fractions: &[f64], alpha: f64, spending: Spending) -> Vec<f64> {
    spend(fractions, alpha, spending, Shape::Symmetric)
}

fn spend(fractions: &[f64], alpha: f64, spending: Spending, shape: Shape) -> Vec<f64> {
    let mut looks = Respending::new(alpha, spending, shape);
    fractions.iter().map(|&fraction| looks.look(fraction)).collect()
}

/// A boundary made look by look, at the information each look really has.
///
/// # Formula
/// That of [`upper`]. What a look cannot spend is left to the next; the past is never revised.
///
/// # Source
/// Lan and DeMets (1983); the plan's total information must not depend on the observed effect.
#[derive(Debug, Clone)]
pub struct Respending {
    alpha: f64,
    spending: Spending,
    shape: Shape,
    spent: f64,
    fraction: f64,
    walk: Walk,
}

impl Respending {
    /// Before the first look. `alpha` in (0, 0.5), of one side.
    #[must_use]
    pub fn new(alpha: f64, spending: Spending, shape: Shape) -> Self {
        Self::with_resolution(alpha, spending, shape, RESOLUTION)
    }

    /// The same on another grid: the cost of a look grows with the square of `resolution`, 6 or more.
    #[must_use]
    pub fn with_resolution(alpha: f64, spending: Spending, shape: Shape, resolution: u32) -> Self {
        Self { alpha, spending, shape, spent: 0.0, fraction: 0.0, walk: Walk::new(0.0, resolution) }
    }

    /// The upper `z` of a look at this fraction of the planned information (above 1 where more came than planned).
    ///
    /// Positive infinity where it spends less than 1e-15, or where the fraction has not grown.
    pub fn look(&mut self, fraction: f64) -> f64 {
        self.look_until(fraction, self.spending.spent(fraction, self.alpha))
    }

    /// The upper `z` of the last look, which spends all that is left, whatever its fraction.
    pub fn last_look(&mut self, fraction: f64) -> f64 {
        self.look_until(fraction, self.alpha)
    }

    /// What has been spent so far, on one side.
    #[must_use]
    pub fn spent(&self) -> f64 {
        self.spent
    }

    fn look_until(&mut self, fraction: f64, spent: f64) -> f64 {
        let grown = fraction > self.fraction * (1.0 + SMALLEST_STEP) && fraction.is_finite();
        let mass = spent - self.spent;
        if !grown || mass.is_nan() || mass < SMALLEST_SPEND {
            return f64::INFINITY;
        }
        self.walk.advance(fraction);
        let z = self.walk.quantile(Side::Upper, mass);
        self.walk.stop_outside(self.shape.lower(z), z);
        self.spent = spent;
        self.fraction = fraction;
        z
    }
}

/// What a boundary does under a drift.
#[derive(Debug, Clone, PartialEq)]
pub struct Crossing {
    /// Probability to cross the upper boundary first at each look.
    pub per_look: Vec<f64>,
    /// Probability to cross the lower boundary first at each look; zeros without one.
    pub lower_per_look: Vec<f64>,
    /// Probability ever to cross the upper boundary.
    pub total: f64,
    /// Probability ever to cross the lower boundary.
    pub lower_total: f64,
    /// Mean information at the stop, the last look's without one.
    pub expected_information: f64,
}

impl Crossing {
    /// The first look, from 0, by which the upper boundary is crossed with at least a probability.
    ///
    /// # Errors
    /// `None` where it is crossed less often.
    #[must_use]
    pub fn look_of(&self, probability: f64) -> Option<usize> {
        let mut sum = 0.0;
        self.per_look.iter().position(|look| {
            sum += look;
            sum >= probability
        })
    }
}

/// Probabilities of any boundary, look by look: of spending, of a family, anytime-valid, or made by hand.
///
/// # Formula
/// See the module `integrate`: at look `k` the statistic is `S_k / sqrt(I_k)`, where the score `S` has independent steps
/// `N(drift dI, dI)`; a path stops at the first `z > upper` or `z < lower`.
///
/// # Arguments
/// `information` positive and growing (a look with no more than the one before is taken to add a billionth); `upper` one `z` per look,
/// `lower` likewise, not above it (equal at the last look to decide for certain; `None` for a one-sided boundary); `drift` is `E[Z] / sqrt(I)`:
/// the effect where information is the inverse of its estimate's variance.
///
/// # Errors
/// None.
///
/// # Accuracy
/// 1e-8 for every probability where steps are above a billionth of the information, 1e-6 otherwise.
///
/// # Source
/// P. Armitage, C. K. McPherson, B. C. Rowe (1969), JRSS A 132, 235-244; C. Jennison, B. W. Turnbull (2000), chapter 19.
///
/// # Panics
/// Where the lists have different lengths.
///
/// # Example
/// Five even looks at 1.96 on both sides: 0.142 in total (Armitage, McPherson and Rowe 1969, table 2).
#[must_use]
pub fn crossing(information: &[f64], upper: &[f64], lower: Option<&[f64]>, drift: f64) -> Crossing {
    crossing_with_resolution(information, upper, lower, drift, RESOLUTION)
}

/// See [`crossing`]; the cost grows with the square of `resolution`, 6 or more.
///
/// # Panics
/// Where the lists have different lengths.
#[must_use]
pub fn crossing_with_resolution(
    information: &[f64],
    upper: &[f64],
    lower: Option<&[f64]>,
    drift: f64,
    resolution: u32,
) -> Crossing {
    let looks = information.len();
    assert!(upper.len() == looks && lower.is_none_or(|lower| lower.len() == looks), "one boundary per look");
    let mut walk = Walk::new(drift, resolution);
    let (mut per_look, mut lower_per_look) = (Vec::with_capacity(looks), Vec::with_capacity(looks));
    for (look, (&information, &upper)) in information.iter().zip(upper).enumerate() {
        let lower = lower.map_or(f64::NEG_INFINITY, |lower| lower[look]);
        walk.advance(information);
        per_look.push(walk.beyond(Side::Upper, upper));
        lower_per_look.push(walk.beyond(Side::Lower, lower));
        walk.stop_outside(lower, upper);
    }
    summarised(information, per_look, lower_per_look)
}

/// Probabilities ever to cross an upper boundary under several drifts near each other, at little more than the cost of one of them.
///
/// # Formula
/// That of [`crossing`] under the middle drift, and the ratio of densities under the others.
///
/// # Arguments
/// As for [`crossing`]; `drifts` sorted. Of each the product with the square root of the last information may lie 2 from that of the middle one.
///
/// # Errors
/// None: no numbers for no drifts.
///
/// # Accuracy
/// That of [`crossing`] at [`RESOLUTION`]; 1e-4 at 6, a few times the error of the middle drift there.
///
/// # Source
/// A. Wald's likelihood ratio identity, as in D. Siegmund (1985), Sequential Analysis.
///
/// # Example
/// One look at 1.959964, information 1, drifts 1 and 3: 0.168537 and 0.850838 (the normal distribution).
#[must_use]
pub fn crossing_under(information: &[f64], upper: &[f64], drifts: &[f64], resolution: u32) -> Vec<f64> {
    let Some(&middle) = drifts.get(drifts.len() / 2) else { return Vec::new() };
    let mut walk = Walk::new(middle, resolution);
    let mut totals = vec![0.0; drifts.len()];
    for (&information, &upper) in information.iter().zip(upper) {
        walk.advance(information);
        totals.iter_mut().zip(drifts).for_each(|(total, &drift)| *total += walk.above_under(drift, upper));
        walk.stop_outside(f64::NEG_INFINITY, upper);
    }
    totals
}

fn summarised(information: &[f64], per_look: Vec<f64>, lower_per_look: Vec<f64>) -> Crossing {
    let (total, lower_total) = (per_look.iter().sum(), lower_per_look.iter().sum());
    let stops = information.iter().zip(per_look.iter().zip(&lower_per_look));
    let early: f64 = stops.map(|(information, (up, down))| information * (up + down)).sum();
    let end = information.last().copied().unwrap_or(0.0);
    let expected_information = early + end * (1.0 - total - lower_total);
    Crossing { per_look, lower_per_look, total, lower_total, expected_information }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{mixture, normal};
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};

    fn even(looks: usize) -> Vec<f64> {
        (1..=looks).map(|look| look as f64 / looks as f64).collect()
    }

    /// Fractions from steps of any sizes.
    fn running(steps: &[f64]) -> Vec<f64> {
        rollout::fractions(steps)
    }

    fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len());
        let difference = |(a, b): (&f64, &f64)| if a.is_infinite() && b.is_infinite() { 0.0 } else { (a - b).abs() };
        a.iter().zip(b).map(difference).fold(0.0, f64::max)
    }

    // R 4.2.2 qnorm(2 * pnorm(qnorm(0.0025, lower = FALSE) / sqrt(1 / 7), lower = FALSE), lower = FALSE).
    #[test]
    fn the_first_look_is_exact_far_in_the_tail() {
        let z = upper(&even(7), 0.005, Spending::ObrienFleming);
        assert!((z[0] - 7.334_435_085_540_043).abs() < 1e-8);
    }

    #[test]
    fn hundreds_of_looks_and_tiny_steps_are_accurate() {
        let mut close = even(20);
        close.extend(even(19).iter().map(|t| t + 1e-4));
        close.extend([0.333, 0.333 + 1e-8]);
        close.sort_by(f64::total_cmp);
        close.retain(|&t| t <= 1.0);
        for looks in [even(250), close] {
            for spending in [Spending::ObrienFleming, Spending::Pocock] {
                let z = upper(&looks, 0.05, spending);
                let mut finer = Respending::with_resolution(0.05, spending, Shape::OneSided, 32);
                let fine: Vec<f64> = looks.iter().map(|&look| finer.look(look)).collect();
                assert!(largest_difference(&z, &fine) < 1e-7);
                for drift in [0.0, 3.0] {
                    let fine = crossing_with_resolution(&looks, &z, None, drift, 32);
                    assert!(largest_difference(&crossing(&looks, &z, None, drift).per_look, &fine.per_look) < 1e-8);
                }
            }
        }
    }

    #[test]
    fn drifts_near_each_other_cross_as_each_would_alone() {
        // Python 3.11.7: 1 - statistics.NormalDist().cdf(1.959964 - d) for d of 1 and 3.
        let one = crossing_under(&[1.0], &[1.959_964], &[1.0, 3.0], RESOLUTION);
        assert!(largest_difference(&one, &[0.168_536_666_8, 0.850_838_412_2]) < 1e-6, "{one:?}");
        assert!(crossing_under(&[1.0], &[1.959_964], &[], RESOLUTION).is_empty());
        let mut late = even(30);
        late[0] = 1e-6;
        for (looks, unit) in
            [(even(30), 1.0), (late.clone(), 1.0), (late.iter().map(|look| look * 1e4).collect(), 100.0)]
        {
            let z = upper(&even(30), 0.05, Spending::ObrienFleming);
            for middle in [-4.0, 0.0, 3.5, 7.0] {
                let drifts = [middle - 2.0, middle - 0.5, middle, middle + 2.0].map(|drift| drift / unit);
                let alone = drifts.map(|drift| crossing(&looks, &z, None, drift).total);
                for (resolution, error) in [(RESOLUTION, 1e-11), (6, 1e-4)] {
                    let together = crossing_under(&looks, &z, &drifts, resolution);
                    assert!(largest_difference(&together, &alone) < error, "{middle}: {together:?} {alone:?}");
                }
            }
        }
    }

    #[test]
    fn a_coarse_grid_is_good_to_six_digits() {
        let z = upper(&even(30), 0.05, Spending::Pocock);
        let coarse = crossing_with_resolution(&even(30), &z, None, 2.0, 6);
        assert!(largest_difference(&coarse.per_look, &crossing(&even(30), &z, None, 2.0).per_look) < 1e-6);
    }

    // P. Armitage, C. K. McPherson, B. C. Rowe (1969), table 2.
    #[test]
    fn repeated_tests_at_the_five_percent_level() {
        for (looks, error) in [(2, 0.083), (5, 0.142), (10, 0.193), (50, 0.320)] {
            let z = vec![normal::upper_quantile(0.025); looks];
            let lower: Vec<f64> = z.iter().map(|z| -z).collect();
            let found = crossing(&even(looks), &z, Some(&lower), 0.0);
            assert!((found.total + found.lower_total - error).abs() < 6e-4, "{looks}");
        }
    }

    #[test]
    fn looks_at_the_actual_information_spend_what_they_may() {
        let mut looks = Respending::new(0.05, Spending::Pocock, Shape::OneSided);
        let first = looks.look(0.3);
        assert!((normal::upper_tail(first) - Spending::Pocock.spent(0.3, 0.05)).abs() < 1e-12);
        assert!([0.3, 0.1, f64::NAN].iter().all(|&fraction| looks.look(fraction).is_infinite()));
        let second = looks.clone().look(0.7);
        assert!((second - upper(&[0.3, 0.7], 0.05, Spending::Pocock)[1]).abs() < 1e-12);
        // A short last look spends the rest; one beyond the plan as well, and nothing is left after it.
        let short = looks.clone().last_look(0.7);
        let total = crossing(&[0.3, 0.7], &[first, short], None, 0.0).total;
        assert!(short < second && (total - 0.05).abs() < 1e-9);
        let beyond = looks.look(1.2);
        assert!((crossing(&[0.3, 1.2], &[first, beyond], None, 0.0).total - 0.05).abs() < 1e-9);
        assert!((looks.spent() - 0.05).abs() < 1e-15);
        assert!(looks.look(1.5).is_infinite());
    }

    #[test]
    fn detection_times_and_expected_information_follow_from_the_looks() {
        let found = crossing(&[0.5, 1.0], &[0.0, f64::NEG_INFINITY], None, 0.0);
        assert!(largest_difference(&found.per_look, &[0.5, 0.5]) < 1e-12);
        assert!((found.expected_information - 0.75).abs() < 1e-12);
        assert_eq!([found.look_of(0.4), found.look_of(0.9), found.look_of(1.1)], [Some(0), Some(1), None]);
        let never = crossing(&[], &[], None, 1.0);
        assert_eq!((never.total, never.expected_information), (0.0, 0.0));
    }

    /// Share of simulated paths that cross, with the share's standard error.
    fn simulated(information: &[f64], upper: &[f64], drift: f64, paths: u32) -> (f64, f64) {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let normal = rand_distr::StandardNormal;
        let mut crossed = 0;
        for _ in 0..paths {
            let (mut score, mut before) = (0.0, 0.0);
            let stops = |(&now, &z): (&f64, &f64)| {
                let step: f64 = now - before;
                let deviate: f64 = random.sample(normal);
                score += drift * step + step.sqrt() * deviate;
                before = now;
                score > z * now.sqrt()
            };
            crossed += u32::from(information.iter().zip(upper).any(stops));
        }
        let share = f64::from(crossed) / f64::from(paths);
        (share, (share * (1.0 - share) / f64::from(paths)).sqrt())
    }

    #[test]
    fn simulated_paths_cross_as_often_as_computed() {
        let steps: Vec<f64> = (0..60).map(|step| 0.001 + f64::from(step % 7)).collect();
        let looks = running(&steps);
        let tuned = mixture::tuning(0.05);
        let anytime: Vec<f64> = looks.iter().map(|look| mixture::boundary(0.05, look * tuned)).collect();
        let spent = upper(&looks, 0.05, Spending::Pocock);
        for (z, drift) in [(&spent, 0.0), (&spent, 2.0), (&anytime, 0.0), (&anytime, 2.0)] {
            let computed = crossing(&looks, z, None, drift).total;
            let (share, error) = simulated(&looks, z, drift, 20_000);
            assert!((share - computed).abs() < 4.0 * error, "{share} against {computed}");
        }
        assert!(crossing(&looks, &anytime, None, 0.0).total < 0.05);
    }

    fn families() -> impl Strategy<Value = Spending> {
        prop_oneof![
            Just(Spending::ObrienFleming),
            Just(Spending::Pocock),
            (0.5..4.0f64).prop_map(Spending::Power),
            (-6.0..3.0f64).prop_map(Spending::HwangShihDeCani),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn boundaries_spend_exactly_their_error(
            exponents in proptest::collection::vec(-12.0..0.0f64, 1..12), spending in families(), alpha in 0.001..0.1f64
        ) {
            let looks = running(&exponents.iter().map(|e| e.exp()).collect::<Vec<f64>>());
            for z in [upper(&looks, alpha, spending), symmetric(&looks, alpha, spending)] {
                let total = crossing(&looks, &z, None, 0.0).total;
                prop_assert!(total > alpha - 1e-7);
            }
            let z = upper(&looks, alpha, spending);
            prop_assert!((crossing(&looks, &z, None, 0.0).total - alpha).abs() < 1e-7);
            let both = symmetric(&looks, alpha, spending);
            let mirror: Vec<f64> = both.iter().map(|z| -z).collect();
            let found = crossing(&looks, &both, Some(&mirror), 0.0);
            prop_assert!((found.total - alpha).abs() < 1e-7 && (found.lower_total - alpha).abs() < 1e-7);
        }

        #[test]
        fn a_look_that_cannot_stop_changes_nothing(steps in proptest::collection::vec(0.01..1.0f64, 2..9), drift in -1.0..4.0f64) {
            let looks = running(&steps);
            let z = vec![2.0; looks.len()];
            let plain = crossing(&looks, &z, None, drift);
            let (mut more, mut bounds) = (looks.clone(), z.clone());
            more.insert(1, 0.5 * (looks[0] + looks[1]));
            bounds.insert(1, f64::INFINITY);
            prop_assert!((crossing(&more, &bounds, None, drift).total - plain.total).abs() < 1e-9);
        }

        #[test]
        fn only_drift_and_information_together_matter(steps in proptest::collection::vec(0.01..1.0f64, 1..9), unit in 0.001..1000.0f64) {
            let looks = running(&steps);
            let scaled: Vec<f64> = looks.iter().map(|look| look * unit).collect();
            let z = vec![2.0; looks.len()];
            let (a, b) = (crossing(&looks, &z, None, 2.0), crossing(&scaled, &z, None, 2.0 / unit.sqrt()));
            prop_assert!(largest_difference(&a.per_look, &b.per_look) < 1e-9);
        }
    }
}
