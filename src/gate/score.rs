//! The variance of a proportion's contrast under the null, for gates of style `score`.
//!
//! Requests of a unit are not independent, so counts are divided by the design effect (Rao and Scott): what is left is worth as much
//! as so many independent requests.

use crate::domain::metric::{Direction, Margin};
use crate::stats::cluster::UnitSums;
use crate::stats::proportion::Count;
use crate::stats::proportion::score::{restricted, restricted_ratio};

/// With fewer events, or fewer requests without one, an arm's own design effect is not to be trusted.
const ENOUGH_EVENTS: f64 = 20.0;

/// Variances of `candidate` and of `factor * stable` if the regression is exactly at the margin.
pub(super) fn variances(
    candidate: &UnitSums,
    stable: &UnitSums,
    margin: Margin,
    better: Direction,
) -> Option<[f64; 2]> {
    let of_stable = design_effect(stable).unwrap_or(1.0);
    // An arm that was lucky with its heavy units looks less clustered than it is; under the null it is as clustered as stable's.
    let of_candidate = design_effect(candidate).map_or(of_stable, |own| own.max(of_stable));
    let (first, second) = (effective(candidate, of_candidate)?, effective(stable, of_stable)?);
    let (factor, offset) = margin.contrast(better);
    let (p_candidate, p_stable) = match margin {
        Margin::Relative(_) if factor <= 0.0 => return None,
        Margin::Relative(_) => restricted_ratio(first, second, factor),
        Margin::Absolute(_) => restricted(first, second, better.worse_sign() * offset),
    };
    let binomial = |p: f64, count: Count| p * (1.0 - p) / count.trials;
    Some([binomial(p_candidate, first), factor * factor * binomial(p_stable, second)])
}

/// Variance of the candidate's share if it is exactly at the limit.
pub(super) fn variance_at_limit(candidate: &UnitSums, limit: f64) -> Option<f64> {
    let count = effective(candidate, design_effect(candidate).unwrap_or(1.0))?;
    Some(limit * (1.0 - limit) / count.trials)
}

/// Variance over units against that of as many independent requests; at least 1. `None` with too few events to tell.
fn design_effect(sums: &UnitSums) -> Option<f64> {
    let share = sums.ratio()?;
    let binomial = share * (1.0 - share) / sums.x;
    let enough = sums.y >= ENOUGH_EVENTS && sums.x - sums.y >= ENOUGH_EVENTS;
    Some((sums.ratio_variance()? / binomial).max(1.0)).filter(|_| enough)
}

fn effective(sums: &UnitSums, design_effect: f64) -> Option<Count> {
    let share = sums.ratio()?;
    let trials = sums.x / design_effect;
    // Effects that shift every request can leave what a share can be.
    Some(Count { events: share.clamp(0.0, 1.0) * trials, trials })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::proportion::score::{Variance, statistic};

    /// Units with one request each: the design effect is that of independent requests.
    fn singles(events: u32, trials: u32) -> UnitSums {
        UnitSums::of(&(0..trials).map(|unit| (f64::from(u8::from(unit < events)), 1.0)).collect::<Vec<_>>())
    }

    fn variance(candidate: &UnitSums, stable: &UnitSums, margin: Margin) -> f64 {
        variances(candidate, stable, margin, Direction::Lower).unwrap().iter().sum()
    }

    // gsDesign testBinomial, reference vector `test-fm-score-5`: 24 of 1000 and 380 of 19000 at difference 0.01.
    #[test]
    fn with_independent_requests_it_is_the_score_of_farrington_and_manning() {
        let (candidate, stable) = (singles(24, 1000), singles(380, 19_000));
        let variance = variance(&candidate, &stable, Margin::Absolute(0.01));
        let z = (0.024 - 0.02 - 0.01) / variance.sqrt();
        let (first, second) = (Count { events: 24.0, trials: 1000.0 }, Count { events: 380.0, trials: 19_000.0 });
        let expected = statistic(first, second, 0.01, Variance::FarringtonManning);
        // A unit's variance has K - 1 in its denominator.
        assert!((z / expected - 1.0).abs() < 1e-3, "{z} {expected}");
    }

    #[test]
    fn no_event_is_no_proof() {
        let (candidate, stable) = (singles(0, 200), singles(380, 19_000));
        let variance = variance(&candidate, &stable, Margin::Absolute(0.005));
        let z = (0.0 - 0.02 - 0.005) / variance.sqrt();
        assert!(z > -2.3 && z < -1.6, "{z}: 200 requests without an event where 5 are expected");
    }

    #[test]
    fn heavy_units_count_for_less() {
        let spread = UnitSums::of(&[(0.0, 10.0), (10.0, 10.0), (1.0, 10.0), (9.0, 10.0)].repeat(20));
        let stable = singles(9500, 19_000);
        let clustered = variance(&spread, &stable, Margin::Absolute(0.05));
        let independent = variance(&singles(400, 800), &stable, Margin::Absolute(0.05));
        assert!(clustered > 5.0 * independent, "{clustered} {independent}");
    }
}
