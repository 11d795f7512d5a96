//! Confidence sequences as several tools tune them: one normal mixture, differently many units at which it is tightest.

use crate::domain::gate::{Sequence, Tuning};
use crate::stats::{mixture, normal};

/// `GrowthBook`'s default number of units, both arms together.
const GROWTHBOOK_UNITS: f64 = 5_000.0;

/// Eppo's.
const EPPO_UNITS: f64 = 10_000.0;

/// What a sequence is tuned by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Variance of the contrast at this look.
    pub variance: f64,
    /// Variance that was planned for the stage's end.
    pub planned: Option<f64>,
    /// Units so far: of both arms, or of the candidate at its limit.
    pub units: f64,
}

/// Information at a look over the mixture's: what its boundary depends on; none where nothing could be planned.
///
/// # Formula
/// With `kappa` the ratio at which the boundary at `alpha` is tightest: `kappa planned / variance` if tuned to the plan,
/// `kappa units / N` if tuned to `N` units, and `z² planned / variance` for the mSPRT, whose mixing variance is `z²` times the planned one
/// (`z` the two-sided quantile).
///
/// # Source
/// `statistics` of the tools: `GrowthBook` (N 5000), Eppo (N 10 000), Statsig's mixing variance taken at the plan; see
/// [`crate::stats::mixture`].
#[must_use]
pub fn ratio(sequence: Sequence, alpha: f64, look: Look) -> Option<f64> {
    let kappa = if sequence.two_sided { mixture::two_sided_tuning(alpha) } else { mixture::tuning(alpha) };
    let of_plan = |tuned: f64| look.planned.map(|planned| tuned * planned / look.variance);
    match sequence.tuning {
        Tuning::Planned => of_plan(kappa),
        Tuning::Msprt => of_plan(normal::upper_quantile(alpha / 2.0).powi(2)),
        Tuning::GrowthBook => Some(kappa * look.units / GROWTHBOOK_UNITS),
        Tuning::Eppo => Some(kappa * look.units / EPPO_UNITS),
        Tuning::Units(units) => Some(kappa * look.units / units),
    }
}

/// The smallest `alpha` at which a statistic leaves the sequence on its own side.
#[must_use]
pub fn p_value(sequence: Sequence, z: f64, ratio: f64) -> f64 {
    if sequence.two_sided { mixture::two_sided_p_value(z, ratio) } else { mixture::p_value(z, ratio) }
}

/// Standard errors beyond which a statistic leaves the sequence at `level`.
#[must_use]
pub fn boundary(sequence: Sequence, level: f64, ratio: f64) -> f64 {
    if sequence.two_sided { mixture::two_sided_boundary(level, ratio) } else { mixture::boundary(level, ratio) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn critical(tuning: Tuning, two_sided: bool, alpha: f64, units: f64) -> f64 {
        let sequence = Sequence { tuning, two_sided };
        let look = Look { variance: 0.02, planned: Some(0.01), units };
        let ratio = ratio(sequence, alpha, look).expect("planned");
        let z = boundary(sequence, alpha, ratio);
        assert!((p_value(sequence, z, ratio) / alpha - 1.0).abs() < 1e-9);
        assert!((p_value(sequence, -z, ratio) - 1.0).abs() < 1e-300);
        z
    }

    // Reference vectors gb-cs1-0.05-5000-1000 (gbstats, one-sided) and mixture::two_sided_boundary's own example at N units.
    #[test]
    fn presets_are_those_of_the_tools() {
        assert!((critical(Tuning::GrowthBook, false, 0.05, 1_000.0) - 3.152_422_454_674_439).abs() < 1e-9);
        assert!((critical(Tuning::GrowthBook, true, 0.05, 5_000.0) - 3.035_208_990_376_253).abs() < 1e-9);
        assert!((critical(Tuning::Eppo, true, 0.05, 10_000.0) - 3.035_208_990_376_253).abs() < 1e-9);
        assert!((critical(Tuning::Units(700.0), true, 0.05, 700.0) - 3.035_208_990_376_253).abs() < 1e-9);
        // Half the planned information: R = 1.96² / 2.
        let r: f64 = 1.959_963_984_540_054_f64.powi(2) / 2.0;
        let expected = ((1.0 + 1.0 / r) * ((1.0 + r).ln() + 2.0 * 20.0_f64.ln())).sqrt();
        assert!((critical(Tuning::Msprt, true, 0.05, 1.0) - expected).abs() < 1e-9);
    }
}
