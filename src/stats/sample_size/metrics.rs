//! Size of an experiment with several arms and metrics, metric by metric.

use super::{Arms, Design};

/// What a metric has to show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// Success: an effect of this share of the mean is detected.
    Effect(f64),
    /// Guardrail: a degradation of this share of the mean is excluded where there is none.
    Margin(f64),
}

/// A metric of an experiment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Mean on stable.
    pub mean: f64,
    /// Variance of a unit on stable.
    pub variance: f64,
    /// Whether units are yes or no: then an effect changes the variance with the mean.
    pub binary: bool,
    /// What it has to show.
    pub goal: Goal,
}

/// Units in total, over all arms, that a metric needs.
///
/// # Formula
/// For each treatment `n_t = (z_a + z_b)² (v_c / k + v_t) / (share mean)²`, `k` controls for each treated unit, `v_t = p (1 - p)` at the
/// changed mean for an effect on a binary metric and `v_c` otherwise; scaled from the two arms to all by their share of traffic; the
/// largest over treatments.
///
/// # Arguments
/// `weights` of traffic, the control's first; `design` of each comparison, level and power corrected: see
/// [`crate::stats::joint::level_for_each`] and [`crate::stats::joint::power_for_each`].
///
/// # Errors
/// `None` without a treatment or without an effect.
///
/// # Accuracy
/// Wald's variance: under-plans margins of proportions in unequal arms by up to 13 %: see
/// [`super::proportion::two_proportions`].
///
/// # Source
/// M. Schultzberg, S. Ankargren, M. Franberg (2024), arXiv:2402.11609; spotify-confidence 4.1.0 rounds up each arm.
///
/// # Example
/// Mean 0.7, binary, effect 0.617 %, weights 5000, 2000 and 3000, 0.0025 on one side, 0.8: 1042868 (spotify-confidence 1042871).
#[must_use]
pub fn total(metric: &Metric, weights: &[f64], design: &Design) -> Option<f64> {
    let (share, changed) = match metric.goal {
        Goal::Effect(share) => (share, metric.mean * (1.0 + share)),
        Goal::Margin(share) => (share, metric.mean),
    };
    let treated_variance = if metric.binary && changed.to_bits() != metric.mean.to_bits() {
        changed * (1.0 - changed)
    } else {
        metric.variance
    };
    let distance = design.distance().filter(|_| share * metric.mean != 0.0)?;
    let (control, treatments) = weights.split_first()?;
    let all: f64 = weights.iter().sum();
    let needed = treatments.iter().map(|treatment| {
        let k = control / treatment;
        let treated = (distance / (share * metric.mean)).powi(2) * (metric.variance / k + treated_variance);
        Arms::of(treated, k).total() * all / (control + treatment)
    });
    needed.reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::alternative::Sides;
    use crate::stats::sample_size::mean::{TwoMeans, two_means};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn one_treatment_is_a_comparison_of_means(mean in 0.5..9.0f64, variance in 0.1..9.0f64, share in 0.01..0.2f64, w in 0.1..9.0f64) {
            let design = Design { alpha: 0.05, power: 0.8, sides: Sides::One };
            let metric = Metric { mean, variance, binary: false, goal: Goal::Effect(share) };
            let sd = variance.sqrt();
            let plan = TwoMeans { effect: share * mean, sd_treatment: sd, sd_control: sd, controls_per_treated: w };
            let plain = two_means(&plan, &design).unwrap().total();
            prop_assert!((total(&metric, &[w, 1.0], &design).unwrap() / plain - 1.0).abs() < 1e-9);
            prop_assert!(total(&metric, &[w, 1.0, 2.0], &design).unwrap() >= plain);
        }
    }

    #[test]
    fn nothing_to_show_is_no_plan() {
        let design = Design { alpha: 0.05, power: 0.8, sides: Sides::One };
        let metric = Metric { mean: 1.0, variance: 1.0, binary: false, goal: Goal::Margin(0.0) };
        assert_eq!(total(&metric, &[1.0, 1.0], &design), None);
        assert_eq!(total(&Metric { goal: Goal::Margin(0.1), ..metric }, &[1.0], &design), None);
    }
}
