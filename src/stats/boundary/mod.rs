//! Boundaries of repeated looks: made from spending functions or families, and priced by exact integration.
//!
//! All boundaries are on the scale of `z`, all information is positive and grows from look to look; only ratios of
//! information matter where no drift is given. Positive infinity is a look that cannot stop (negative for a lower boundary).

pub mod design;
mod integrate;
pub mod rollout;
mod search;
pub mod spending;

use integrate::{SMALLEST_STEP, Side, Walk};
use spending::Spending;

/// The `r` of Jennison and Turnbull: points of the grid are `3 / 2r` standard deviations apart, with midpoints.
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
/// 1e-6 in `z`, for hundreds of looks as well.
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
/// Lan and `DeMets` (1983); the plan's total information must not depend on the observed effect.
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
/// 1e-6 for every probability.
///
/// # Source
/// P. Armitage, C. K. McPherson, B. C. Rowe (1969), JRSS A 132, 235-244; C. Jennison, B. W. Turnbull (2000), chapter 19.
///
/// # Panics
/// Where the lists have different lengths.
///
/// # Example
/// Five even looks at 1.96 on both sides: 0.142 in total (Armitage, `McPherson` and Rowe 1969, table 2).
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

fn summarised(information: &[f64], per_look: Vec<f64>, lower_per_look: Vec<f64>) -> Crossing {
    let (total, lower_total) = (per_look.iter().sum(), lower_per_look.iter().sum());
    let stops = information.iter().zip(per_look.iter().zip(&lower_per_look));
    let early: f64 = stops.map(|(information, (up, down))| information * (up + down)).sum();
    let end = information.last().copied().unwrap_or(0.0);
    let expected_information = early + end * (1.0 - total - lower_total);
    Crossing { per_look, lower_per_look, total, lower_total, expected_information }
}
