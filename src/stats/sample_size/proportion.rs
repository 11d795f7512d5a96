//! Sizes and powers of tests of proportions, independent and paired.

use super::{Arms, Design};
use crate::stats::alternative::Sides;
use crate::stats::normal;
use crate::stats::proportion::{Count, score};

/// What the true proportions are tested against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Null {
    /// A difference, first minus second; 0 for a plain comparison.
    Difference(f64),
    /// A ratio, first over second.
    Ratio(f64),
}

/// Two independent proportions to be compared by their score test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoProportions {
    /// True proportion of the first arm, the candidate's.
    pub first: f64,
    /// True proportion of the second arm, stable's.
    pub second: f64,
    /// The null hypothesis' contrast.
    pub null: Null,
    /// Units of the second arm for each of the first.
    pub second_per_first: f64,
}

/// Distance from the null, and deviations under the null and in truth, for one unit in the first arm.
struct Contrast {
    distance: f64,
    null_sd: f64,
    true_sd: f64,
}

impl TwoProportions {
    fn contrast(&self) -> Contrast {
        let (p1, p2, r) = (self.first, self.second, self.second_per_first);
        let (first, second) = (Count { events: p1, trials: 1.0 }, Count { events: r * p2, trials: r });
        let ((n1, n2), scale, shift) = match self.null {
            Null::Difference(d) => (score::restricted(first, second, d), 1.0, d),
            Null::Ratio(ratio) => (score::restricted_ratio(first, second, ratio), ratio, 0.0),
        };
        let sd = |a: f64, b: f64| (a * (1.0 - a) + scale * scale * b * (1.0 - b) / r).max(0.0).sqrt();
        Contrast { distance: (p1 - scale * p2 - shift).abs(), null_sd: sd(n1, n2), true_sd: sd(p1, p2) }
    }
}

/// Units for the score test of two proportions (Farrington and Manning).
///
/// # Formula
/// `n1 = ((z_a s0 + z_b s1) / (p1 - p2 - d0))²`, `s0² = p1~ q1~ + p2~ q2~ / r` at the large-sample restricted estimates, `s1²` at the true
/// proportions; for a ratio with `p1 - r0 p2` and `r0² p2 q2 / r`. Against no difference it is the pooled-variance formula.
///
/// # Arguments
/// Proportions in [0, 1]. On two sides each has half the level; rejections on the wrong side do not count (as R's `power.prop.test`).
///
/// # Errors
/// `None` where the true contrast equals the null, or the power is not above the level.
///
/// # Accuracy
/// Asymptotic: against the exact power of the score test about a point from ten expected events on.
///
/// # Source
/// C. P. Farrington, G. Manning (1990), Stat. Med. 9, 1447-1454.
///
/// # Example
/// 0.4 and 0.05 against 0.2 at 0.05, 0.8, equal arms: 159.6876 in total (their page 1451).
#[must_use]
pub fn two_proportions(plan: &TwoProportions, design: &Design) -> Option<Arms> {
    let contrast = plan.contrast();
    design.noncentrality().filter(|_| contrast.distance > 0.0)?;
    let (z_alpha, z_power) = design.deviates();
    let root = (z_alpha * contrast.null_sd + z_power * contrast.true_sd) / contrast.distance;
    Some(Arms::of(root.powi(2), plan.second_per_first))
}

/// Power of the score test of two proportions with given units in the first arm. See [`two_proportions`].
///
/// # Formula
/// `Phi((sqrt(n1) |p1 - p2 - d0| - z_a s0) / s1)`.
///
/// # Example
/// 0.5 and 0.75, 50 in each arm, 0.05 on two sides: 0.740165901331 (R 4.2.2 `power.prop.test`).
#[must_use]
pub fn two_proportions_power(plan: &TwoProportions, first_units: f64, alpha: f64, sides: Sides) -> f64 {
    let contrast = plan.contrast();
    let z_alpha = normal::upper_quantile(sides.level_each(alpha));
    let distance = first_units.sqrt() * contrast.distance - z_alpha * contrast.null_sd;
    if contrast.true_sd > 0.0 { normal::cdf(distance / contrast.true_sd) } else { f64::from(u8::from(distance > 0.0)) }
}

/// Cohen's effect size of two proportions: `h = 2 asin(sqrt p1) - 2 asin(sqrt p2)`.
///
/// # Source
/// J. Cohen (1988), Statistical Power Analysis, chapter 6.
///
/// # Example
/// 0.03 and 0.02: 0.0643719.
#[must_use]
pub fn arcsine_effect(first: f64, second: f64) -> f64 {
    2.0 * (first.sqrt().asin() - second.sqrt().asin())
}

/// Pairs for the score form of `McNemar`'s test (Connor).
///
/// # Formula
/// `((z_a sqrt(pd) + z_b sqrt(pd - d²)) / d)²`, `pd = p10 + p01`, `d = p10 - p01`. Discordant pairs: times `pd`.
///
/// # Arguments
/// Chances of the two kinds of discordant pairs, adding to at most 1.
///
/// # Errors
/// `None` where the chances are equal.
///
/// # Accuracy
/// Up to three points of power too optimistic for the exact test: see [`super::rare::mcnemar_power`].
///
/// # Source
/// R. J. Connor (1987), Biometrics 43, 207-211.
///
/// # Example
/// 0.02 and 0.01 at 0.05 on one side, 0.8: 1852.673.
#[must_use]
pub fn mcnemar_pairs(worse: f64, better: f64, design: &Design) -> Option<f64> {
    let (discordant, d) = (worse + better, worse - better);
    design.noncentrality().filter(|_| d != 0.0)?;
    let (z_alpha, z_power) = design.deviates();
    Some(((z_alpha * discordant.sqrt() + z_power * (discordant - d * d).max(0.0).sqrt()) / d).powi(2))
}

/// Pairs to show a degradation below a margin, by Wald's statistic.
///
/// # Formula
/// `(z_a + z_b)² (pd - d²) / (margin - d)²`.
///
/// # Arguments
/// `discordance` `pd` the share of discordant pairs; `degradation` `d` the true difference, below `margin`.
///
/// # Errors
/// `None` where the degradation is not below the margin.
///
/// # Accuracy
/// Asymptotic; Tango's test needs slightly more where few pairs are discordant.
///
/// # Source
/// Y. Lu, J. A. Bean (1995), Stat. Med. 14, 1831-1839.
///
/// # Example
/// 0.06 discordant, no degradation, margin 0.01, 0.05 on one side, 0.8: 3709.534.
#[must_use]
pub fn noninferior_pairs(discordance: f64, degradation: f64, margin: f64, design: &Design) -> Option<f64> {
    let distance = design.distance().filter(|_| degradation < margin)?;
    Some(distance.powi(2) * (discordance - degradation.powi(2)) / (margin - degradation).powi(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn nothing_to_show_is_no_plan() {
        let design = Design { alpha: 0.05, power: 0.8, sides: Sides::One };
        let same = TwoProportions { first: 0.1, second: 0.1, null: Null::Difference(0.0), second_per_first: 1.0 };
        assert_eq!(two_proportions(&same, &design), None);
        assert_eq!(mcnemar_pairs(0.1, 0.1, &design), None);
        assert_eq!(noninferior_pairs(0.1, 0.02, 0.02, &design), None);
    }

    proptest! {
        #[test]
        fn the_size_has_its_power(p1 in 0.01..0.6f64, gap in 0.02..0.3f64, r in 0.2..20.0f64, power in 0.5..0.97f64) {
            let design = Design { alpha: 0.05, power, sides: Sides::One };
            for null in [Null::Difference(-gap), Null::Ratio(0.6)] {
                let plan = TwoProportions { first: p1, second: p1 + 0.01, null, second_per_first: r };
                let arms = two_proportions(&plan, &design).unwrap();
                prop_assert!((two_proportions_power(&plan, arms.treatment, 0.05, Sides::One) - power).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn the_planned_power_is_reached() {
        let design = Design { alpha: 0.05, power: 0.8, sides: Sides::One };
        let plan = TwoProportions { first: 0.2, second: 0.2, null: Null::Difference(0.1), second_per_first: 2.0 };
        let arms = two_proportions(&plan, &design).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(18);
        let mut draw = |trials: f64| {
            let events =
                (0..crate::stats::discrete::whole(trials)).filter(|_| rng.random::<f64>() < 0.2).count() as f64;
            Count { events, trials: trials.floor() }
        };
        let shown = (0..2000).filter(|_| {
            let (candidate, stable) = (draw(arms.treatment.ceil()), draw(arms.control.ceil()));
            score::statistic(candidate, stable, 0.1, score::Variance::FarringtonManning) < -1.644_85
        });
        let power = shown.count() as f64 / 2000.0;
        assert!((power - 0.8).abs() < 0.03, "{power}");
    }
}
