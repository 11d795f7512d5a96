//! Several gates at once: all must pass, or any trips. And the powers to plan each with.

use super::normal;

/// Chance that all of several gates pass, when their normal statistics are equally correlated.
///
/// # Formula
/// `Int phi(x) prod Phi((z_g + sqrt(rho) x) / sqrt(1 - rho)) dx`, `z_g` the quantile of each gate's own chance: one common factor.
/// Without correlation it is the product, with full correlation the smallest.
///
/// # Arguments
/// `chances` of each gate, in [0, 1]; `correlation` in [0, 1].
///
/// # Errors
/// Not a number where the correlation is not in [0, 1].
///
/// # Accuracy
/// Absolute 1e-10 for correlations up to 0.999.
///
/// # Source
/// C. W. Dunnett, M. Sobel (1955), Biometrika 42, 258-260; for promotion by intersection and union R. L. Berger (1982), Technometrics 24,
/// 295-300.
///
/// # Example
/// Three gates of 0.9 at correlation 0.5: 0.78162653 (scipy 1.17.1 `multivariate_normal.cdf` 0.781627).
#[must_use]
pub fn all_pass(chances: &[f64], correlation: f64) -> f64 {
    if !(0.0..=1.0).contains(&correlation) {
        return f64::NAN;
    }
    let smallest = chances.iter().copied().fold(1.0, f64::min);
    if correlation == 0.0 || smallest <= 0.0 {
        return chances.iter().product();
    }
    if correlation >= 1.0 {
        return smallest;
    }
    let deviates: Vec<f64> = chances.iter().filter(|chance| **chance < 1.0).map(|&chance| quantile(chance)).collect();
    let (loading, rest) = (correlation.sqrt(), (1.0 - correlation).sqrt());
    // The product changes over a width of about `rest / loading`; the trapezoid rule needs a few points in it.
    let step = (0.4 * rest / loading).min(0.25);
    let count = (9.0 / step).ceil();
    let (mut total, mut mass) = (0.0, 0.0);
    let mut index = -count;
    while index <= count {
        let x = index * step;
        let weight = (-0.5 * x * x).exp();
        let passing = |z: &f64| normal::cdf((z + loading * x) / rest);
        mass += weight;
        total += weight * deviates.iter().map(passing).product::<f64>();
        index += 1.0;
    }
    total / mass
}

/// The deviate with a given chance below it, without loss in either tail.
fn quantile(chance: f64) -> f64 {
    if chance < 0.5 { -normal::upper_quantile(chance) } else { normal::upper_quantile(1.0 - chance) }
}

/// Chance that at least one of several gates trips, when their normal statistics are equally correlated.
///
/// # Formula
/// `1 - all_pass(1 - chance)`.
///
/// # Arguments
/// `chances` that each trips, in [0, 1]; `correlation` in [0, 1].
///
/// # Accuracy
/// Absolute 1e-10.
///
/// # Source
/// As [`all_pass`].
///
/// # Example
/// Five gates of 0.05: 0.22622 independent, 0.1663 at correlation 0.5.
#[must_use]
pub fn any_trips(chances: &[f64], correlation: f64) -> f64 {
    let passing: Vec<f64> = chances.iter().map(|chance| 1.0 - chance).collect();
    1.0 - all_pass(&passing, correlation)
}

/// Least chance that all gates pass, whatever their dependence: `max(0, 1 - sum of misses)`.
///
/// # Source
/// Boole's inequality.
///
/// # Example
/// Three gates of 0.9: 0.7.
#[must_use]
pub fn all_pass_at_least(chances: &[f64]) -> f64 {
    (1.0 - chances.iter().map(|chance| 1.0 - chance).sum::<f64>()).max(0.0)
}

/// Greatest chance that any gate trips, whatever their dependence: `min(1, sum)`.
///
/// # Source
/// Boole's inequality.
///
/// # Example
/// Five gates of 0.05: 0.25.
#[must_use]
pub fn any_trips_at_most(chances: &[f64]) -> f64 {
    chances.iter().sum::<f64>().min(1.0)
}

/// Power to plan each metric with, so that a release passes all of them with the wanted power.
///
/// # Formula
/// `1 - (1 - power) / (G + 1)` with `G` guardrails and at least one success metric, `1 - (1 - power) / G` with guardrails only.
///
/// # Arguments
/// `power` in (0, 1). No metric at all leaves the power as it is.
///
/// # Source
/// M. Schultzberg, S. Ankargren, M. Franberg (2024), arXiv:2402.11609; as spotify-confidence 4.1.0 plans.
///
/// # Example
/// 0.8 with one success metric and three guardrails: 0.95.
#[must_use]
pub fn power_for_each(power: f64, guardrails: u32, success_metrics: u32) -> f64 {
    let parts = guardrails + u32::from(success_metrics > 0);
    1.0 - (1.0 - power) / f64::from(parts.max(1))
}

/// Level for each comparison: `alpha / (treatments * max(1, success metrics))`.
///
/// # Formula
/// Bonferroni over treatments and success metrics. Guardrails would need no correction for the success metrics, since all of them must
/// pass; spotify-confidence plans them at the same level.
///
/// # Source
/// M. Schultzberg, S. Ankargren, M. Franberg (2024), arXiv:2402.11609.
///
/// # Example
/// 0.01 with two treatments and two success metrics: 0.0025.
#[must_use]
pub fn level_for_each(alpha: f64, treatments: u32, success_metrics: u32) -> f64 {
    alpha / f64::from(treatments.max(1) * success_metrics.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn full_correlation_is_approached() {
        assert!((all_pass(&[0.9, 0.8], 0.999_999) - 0.8).abs() < 1e-3);
        assert!((all_pass(&[0.9, 0.8], 1.0) - 0.8).abs() < 1e-15 && all_pass(&[0.9, 0.0], 0.5) <= 0.0);
        assert!(all_pass(&[0.9], -0.1).is_nan() && (all_pass(&[1.0, 1.0], 0.3) - 1.0).abs() < 1e-12);
        // P(both above 0) = 1/4 + asin(rho) / (2 pi).
        let quadrant = 0.25 + 0.3_f64.asin() / (2.0 * std::f64::consts::PI);
        assert!((all_pass(&[0.5, 0.5], 0.3) - quadrant).abs() < 1e-10);
        assert!((power_for_each(0.8, 0, 0) - 0.8).abs() < 1e-15 && (power_for_each(0.8, 4, 0) - 0.95).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn lies_between_its_bounds_and_grows_with_correlation(
            chances in prop::collection::vec(0.001..0.999f64, 1..7), rho in 0.0..0.95f64,
        ) {
            let joint = all_pass(&chances, rho);
            let smallest = chances.iter().copied().fold(1.0, f64::min);
            prop_assert!(joint >= all_pass_at_least(&chances) - 1e-9 && joint <= smallest + 1e-9);
            prop_assert!(all_pass(&chances, rho + 0.04) >= joint - 1e-9);
            prop_assert!(any_trips(&chances, rho) <= any_trips_at_most(&chances) + 1e-9);
        }
    }

    #[test]
    fn agrees_with_a_simulation() {
        let mut rng = ChaCha8Rng::seed_from_u64(17);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let passed = (0..40_000).filter(|_| {
            let common = 0.4_f64.sqrt() * normal();
            [0.9, 0.8, 0.7].iter().all(|chance| common + 0.6_f64.sqrt() * normal() < quantile(*chance))
        });
        let share = passed.count() as f64 / 40_000.0;
        assert!((share - all_pass(&[0.9, 0.8, 0.7], 0.4)).abs() < 0.01, "{share}");
    }
}
