//! Spending functions: how much of an error may be used up by an information fraction.

use crate::stats::normal;

pub use crate::domain::gate::Spending;

impl Spending {
    /// What may be spent by an information fraction, of the total.
    ///
    /// # Formula
    /// See [`Spending`].
    ///
    /// # Arguments
    /// `fraction` of the planned information, any number: nothing is spent at 0 or below, all of it at 1 and above;
    /// `total` is one-sided, in (0, 1).
    ///
    /// # Accuracy
    /// Relative 1e-9.
    ///
    /// # Source
    /// See [`Spending`].
    ///
    /// # Example
    /// Hwang, Shih and De Cani's with -4 at 0.2 of 0.025: 0.0005716339686 (gsDesign 3.11 `sfHSD`).
    #[must_use]
    pub fn spent(self, fraction: f64, total: f64) -> f64 {
        if fraction >= 1.0 {
            return total;
        }
        if fraction <= 0.0 {
            return 0.0;
        }
        let share = match self {
            Self::ObrienFleming => {
                return 2.0 * normal::upper_tail(normal::upper_quantile(total / 2.0) / fraction.sqrt());
            }
            Self::Pocock => ((std::f64::consts::E - 1.0) * fraction).ln_1p(),
            Self::Power(rho) => fraction.powf(rho),
            Self::HwangShihDeCani(gamma) => exponential_share(fraction, gamma),
        };
        total * share
    }
}

/// `(1 - e^(-gamma t)) / (1 - e^(-gamma))` without overflow.
fn exponential_share(fraction: f64, gamma: f64) -> f64 {
    if gamma == 0.0 {
        return fraction;
    }
    let rate = gamma.abs();
    let share = (-rate * fraction).exp_m1() / (-rate).exp_m1();
    if gamma > 0.0 { share } else { (-rate * (1.0 - fraction)).exp() * share }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // gsDesign 3.11 sfHSD, sfLDPocock; rpact unit tests for the power family.
    #[test]
    fn spending_agrees_with_published_values() {
        assert!((Spending::HwangShihDeCani(-4.0).spent(0.2, 0.025) - 0.000_571_633_968_6).abs() < 1e-13);
        assert!((Spending::HwangShihDeCani(1.0).spent(0.021_181_001_28, 0.05) - 0.001_657_773_9).abs() < 1e-12);
        assert!((Spending::Pocock.spent(0.021_181_001_28, 0.05) - 0.001_787_413_869).abs() < 1e-12);
        assert!((Spending::Power(2.2).spent(0.3, 0.03) - 0.002_122_208_3).abs() < 1e-10);
        assert!((Spending::ObrienFleming.spent(0.122_807_017_5, 0.05) - 2.233_171_226e-8).abs() < 1e-16);
    }

    #[test]
    fn steep_exponential_spending_does_not_overflow() {
        assert!((Spending::HwangShihDeCani(-2000.0).spent(0.999, 0.05) / (0.05 * (-2.0_f64).exp()) - 1.0).abs() < 1e-9);
        assert!((Spending::HwangShihDeCani(2000.0).spent(0.01, 0.05) - 0.05).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn spending_grows_from_nothing_to_all(early in 0.0..1.0f64, later in 0.0..1.0f64, gamma in -9.0..9.0f64, total in 0.0001..0.3f64) {
            let (early, later) = (early.min(later), early.max(later));
            for family in [Spending::ObrienFleming, Spending::Pocock, Spending::Power(gamma.abs() + 0.1), Spending::HwangShihDeCani(gamma)] {
                let (a, b) = (family.spent(early, total), family.spent(later, total));
                prop_assert!(0.0 <= a && a <= b && b <= total * (1.0 + 1e-12));
                prop_assert!((family.spent(1.0 - 1e-12, total) / total - 1.0).abs() < 1e-9);
            }
        }
    }
}
