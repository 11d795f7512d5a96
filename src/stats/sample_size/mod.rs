//! How many units a test needs, and what power a number of units gives. Sizes are not rounded: round up, and multiply by the design
//! effect of the metric where requests of one unit count.

pub mod mean;
pub mod metrics;
pub mod other;
pub mod proportion;
pub mod rare;

use super::alternative::Sides;
use super::{normal, root};

/// What a planned test has to achieve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Design {
    /// Level, in (0, 1): in total over the sides.
    pub alpha: f64,
    /// Wanted power, in (0, 1), above `alpha`.
    pub power: f64,
    /// Sides the test rejects on.
    pub sides: Sides,
}

impl Design {
    /// The two normal deviates of a plan: of the level on one side, and of the power.
    #[must_use]
    pub fn deviates(&self) -> (f64, f64) {
        (critical(self.alpha, self.sides), normal::upper_quantile(1.0 - self.power))
    }

    /// Distance of the true parameter from the null, in standard errors, at which a normal test has the wanted power.
    ///
    /// # Formula
    /// `z_a + z_b` on one side; on two sides the root of [`normal_power`], which also counts the wrong side.
    ///
    /// # Errors
    /// `None` where the power is not above the level.
    ///
    /// # Source
    /// The normal power function; as statsmodels' `NormalIndPower`.
    ///
    /// # Example
    /// 0.05, 0.8, one side: 2.486475; two sides: 2.801581.
    #[must_use]
    pub fn noncentrality(&self) -> Option<f64> {
        if self.power <= self.alpha || self.power >= 1.0 {
            return None;
        }
        let (z_alpha, z_power) = self.deviates();
        match self.sides {
            Sides::One => Some(z_alpha + z_power),
            Sides::Two => root::bracketed(
                |distance| normal_power(distance, self.alpha, self.sides) - self.power,
                (0.0, z_alpha + z_power + 1.0),
            ),
        }
    }

    /// The same where only rejections on the right side count: `z_a + z_b`. `None` where that is not positive.
    #[must_use]
    pub fn distance(&self) -> Option<f64> {
        let (z_alpha, z_power) = self.deviates();
        (z_alpha + z_power > 0.0 && self.power < 1.0).then_some(z_alpha + z_power)
    }
}

/// The critical deviate of a test.
fn critical(alpha: f64, sides: Sides) -> f64 {
    normal::upper_quantile(sides.level_each(alpha))
}

/// Power of a normal test whose true parameter lies `distance` standard errors from the null.
///
/// # Formula
/// `Phi(distance - z_a)`, on two sides plus `Phi(-distance - z_a)`.
///
/// # Arguments
/// `distance` positive on the side a one-sided test rejects; `alpha` in total over the sides.
///
/// # Source
/// The normal power function.
///
/// # Example
/// 2.486475 at 0.05 on one side: 0.8.
#[must_use]
pub fn normal_power(distance: f64, alpha: f64, sides: Sides) -> f64 {
    let z = critical(alpha, sides);
    let right = normal::upper_tail(z - distance);
    match sides {
        Sides::One => right,
        Sides::Two => right + normal::upper_tail(z + distance),
    }
}

/// Numbers of units in two arms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arms {
    /// Units on the candidate; the first arm.
    pub treatment: f64,
    /// Units on stable; the second arm.
    pub control: f64,
}

impl Arms {
    /// Both arms from the first and the number of controls for each treated unit.
    #[must_use]
    pub(crate) fn of(treatment: f64, controls_per_treated: f64) -> Self {
        Self { treatment, control: treatment * controls_per_treated }
    }

    /// Units in total.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.treatment + self.control
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_noncentrality_has_the_power(alpha in 0.001..0.3f64, share in 0.01..0.99f64, two in any::<bool>()) {
            let sides = if two { Sides::Two } else { Sides::One };
            let design = Design { alpha, power: alpha + share * (1.0 - alpha), sides };
            let distance = design.noncentrality().unwrap();
            prop_assert!((normal_power(distance, alpha, sides) - design.power).abs() < 1e-9);
        }
    }

    #[test]
    fn no_power_no_plan() {
        let design = Design { alpha: 0.05, power: 0.05, sides: Sides::Two };
        assert_eq!(design.noncentrality(), None);
        assert_eq!(Design { power: 1.0, ..design }.distance(), None);
        let published = Design { alpha: 0.05, power: 0.8, sides: Sides::One }.noncentrality().unwrap();
        assert!((published - 2.486_475).abs() < 1e-6);
    }
}
