//! The variance of a contrast if the regression is exactly at the margin, for gates of style `score`.
//!
//! A small arm that was lucky with a skewed metric also looks less variable than it is: the two errors add up to wrong passes. So the
//! small arm's variance also comes from the other arm, or from both.
//!
//! Requests of a unit are not independent, so counts of shares are divided by the design effect (Rao and Scott): what is left is worth as
//! much as so many independent requests.

use crate::domain::metric::{Direction, Margin};
use crate::stats::cluster::UnitSums;
use crate::stats::proportion::Count;
use crate::stats::proportion::score::{restricted, restricted_ratio};

/// With fewer events, or fewer requests without one, an arm's own design effect is not to be trusted.
const ENOUGH_EVENTS: f64 = 20.0;

/// Variances of `candidate` and of `factor * stable` for sums of any values: the candidate's is at least that of as many of stable's requests,
/// scaled to the margin.
///
/// With residuals of units from the ratio spread over an arm's requests, as many of stable's requests as the candidate has would have the variance
/// `Var(stable) X_stable / X_candidate`; the factor of a relative margin scales it, an absolute one leaves it.
pub(super) fn variances(
    candidate: &UnitSums,
    stable: &UnitSums,
    margin: Margin,
    better: Direction,
) -> Option<[f64; 2]> {
    let (own, of_stable) = candidate.ratio_variance().zip(stable.ratio_variance())?;
    let (factor, _) = margin.contrast(better);
    let scaled = factor * factor * of_stable;
    Some([own.max(scaled * stable.x / candidate.x), scaled])
}

/// Variances of `candidate` and of `factor * stable` for shares of requests.
pub(super) fn variances_of_shares(
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
    // With few events the design effect is a guess, and what was observed may know better.
    let least = |p: f64, count: Count, own: Option<f64>| (p * (1.0 - p) / count.trials).max(own.unwrap_or(0.0));
    let of_stable = least(p_stable, second, stable.ratio_variance());
    Some([least(p_candidate, first, candidate.ratio_variance()), factor * factor * of_stable])
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

/// What events are divided by for being clustered in units; at least 1.
///
/// With few events their own dispersion, `sum Y² / sum Y`: it is there from the first event on, and one broken unit with ten events is
/// one event.
pub(super) fn dispersion(sums: &UnitSums) -> f64 {
    let of_events = if sums.y > 0.0 { (sums.yy / sums.y).max(1.0) } else { 1.0 };
    design_effect(sums).unwrap_or(of_events)
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
        variances_of_shares(candidate, stable, margin, Direction::Lower).unwrap().iter().sum()
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
    fn an_arm_without_the_tail_borrows_it_from_the_other() {
        let skewed: Vec<_> = (0..1000).map(|unit| (if unit % 50 == 0 { 90.0 } else { 1.0 }, 1.0)).collect();
        let (lucky, stable) = (UnitSums::of(&skewed[1..41]), UnitSums::of(&skewed));
        assert_eq!(lucky.ratio_variance(), Some(0.0));
        let [candidate, of_stable] = variances(&lucky, &stable, Margin::Relative(0.1), Direction::Lower).unwrap();
        let expected = 1.21 * stable.ratio_variance().unwrap();
        assert!((of_stable / expected - 1.0).abs() < 1e-12);
        assert!((candidate / (expected * 1000.0 / 40.0) - 1.0).abs() < 1e-12);
        // An arm that varies more than the other keeps its own variance.
        let wild = UnitSums::of(&skewed.iter().map(|&(y, x)| (3.0 * y, x)).collect::<Vec<_>>());
        let [candidate, _] = variances(&wild, &stable, Margin::Absolute(5.0), Direction::Lower).unwrap();
        assert_eq!(Some(candidate), wild.ratio_variance());
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
