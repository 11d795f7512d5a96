//! Exact powers and sizes of tests on counts.
//!
//! Exact power is a saw-tooth in the number of units: one more unit may move the critical count and lower the power.

use statrs::distribution::{Binomial, Discrete, DiscreteCDF, Poisson};

use super::Design;
use crate::stats::alternative::Sides;
use crate::stats::discrete::{first_of, whole};

/// Chance that a binomial count is at least `bound`.
fn at_least(bound: u64, trials: u64, share: f64) -> f64 {
    if bound == 0 {
        return 1.0;
    }
    Binomial::new(share, trials).map_or(f64::NAN, |law| law.sf(bound - 1))
}

/// Smallest count whose upper tail at `share` is at most `level`; beyond `trials` where none is.
fn critical_count(trials: u64, share: f64, level: f64) -> u64 {
    first_of(0, trials + 1, |count| at_least(count, trials, share) <= level)
}

/// Chance that an exact binomial test rejects towards larger counts.
fn rejects_above(trials: u64, null: f64, truth: f64, level: f64) -> f64 {
    let critical = critical_count(trials, null, level);
    if critical > trials { 0.0 } else { at_least(critical, trials, truth) }
}

/// Chance that an exact binomial test rejects: on one side towards the truth, on two sides each at half the level.
fn rejects(trials: u64, null: f64, truth: f64, alpha: f64, sides: Sides) -> f64 {
    let level = sides.level_each(alpha);
    let above = || rejects_above(trials, null, truth, level);
    let below = || rejects_above(trials, 1.0 - null, 1.0 - truth, level);
    match sides {
        Sides::Two => above() + below(),
        Sides::One if truth >= null => above(),
        Sides::One => below(),
    }
}

/// Exact power of the binomial test of one proportion.
///
/// # Formula
/// `P(X >= c | p1)`, `c` the smallest count with `P(X >= c | p0) <= alpha`; mirrored where `p1 < p0`; on two sides both at half the level.
///
/// # Arguments
/// `p0` the null and `p1` the true proportion, in [0, 1]; `trials` units.
///
/// # Accuracy
/// Absolute 1e-10.
///
/// # Source
/// The definition; as gsDesign's `nBinomial1Sample` and East.
///
/// # Example
/// 0.05 against 0.2 at 0.025 on one side: 0.81787426 with 33 units, 0.72790831 with 35 (East 6.5).
#[must_use]
pub fn one_proportion_power(p0: f64, p1: f64, trials: u64, alpha: f64, sides: Sides) -> f64 {
    rejects(trials, p0, p1, alpha, sides)
}

/// How a size is chosen on the saw-tooth of exact power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// The smallest size with enough power: one unit more may have less.
    First,
    /// The smallest size from which on all sizes of the window have enough power.
    Lasting,
}

/// Units for the exact binomial test of one proportion.
///
/// # Formula
/// [`one_proportion_power`] for every size in the window.
///
/// # Arguments
/// `window` first and last size to look at, in this order.
///
/// # Errors
/// `None` where no size of the window fits.
///
/// # Source
/// As gsDesign's `nBinomial1Sample(conservative = TRUE)` for [`Search::Lasting`].
///
/// # Example
/// 0.001 against 0.005 at 0.05 on one side, 0.8, among 500 to 4000, lasting: 1102 (gsDesign 3.11.0.9003).
#[must_use]
pub fn one_proportion(p0: f64, p1: f64, design: &Design, window: (u64, u64), search: Search) -> Option<u64> {
    let enough = |trials: &u64| one_proportion_power(p0, p1, *trials, design.alpha, design.sides) >= design.power;
    let (first, last) = window;
    match search {
        Search::First => (first..=last).find(enough),
        Search::Lasting => (first..=last).rev().take_while(enough).last(),
    }
}

/// Units with which an exact binomial test proves a share below `limit`, at that size and any larger one.
///
/// # Formula
/// With `c` events allowed, `n_c` is the smallest size at which so few have probability at most `alpha` at the limit. Power is highest at
/// `n_c` and falls until `n_(c+1)`, where one more event is allowed. The result is the first `n_c` whose fall ends at the power asked for
/// or above, as do the two after it.
///
/// # Arguments
/// `limit` the null and `p` the true share, `0 <= p < limit < 1`; `design` one-sided.
///
/// # Errors
/// `None` where `p` is not below the limit, or more than 10,000 events would have to be allowed.
///
/// # Source
/// H. F. Dodge, H. G. Romig (1929), Bell Syst. Tech. J. 8, 613-631; as [`one_proportion`] with [`Search::Lasting`].
///
/// # Example
/// No event below 0.01 at 0.05: 299, the rule of three.
#[must_use]
pub fn units_to_pass(limit: f64, p: f64, design: &Design) -> Option<u64> {
    if !(0.0..limit).contains(&p) || limit >= 1.0 {
        return None;
    }
    let at_most =
        |allowed: u64, trials: u64, share: f64| Binomial::new(share, trials).map_or(f64::NAN, |law| law.cdf(allowed));
    let smallest = |allowed: u64| {
        // So few events are no rarer than this many standard deviations below their mean.
        let most = whole(20.0 * (allowed as f64 + 50.0) / limit);
        first_of(allowed + 1, most, |trials| at_most(allowed, trials, limit) <= design.alpha)
    };
    let mut lasting = 0;
    for allowed in 0..=10_000 {
        let (from, next) = (smallest(allowed), smallest(allowed + 1));
        lasting = if at_most(allowed, next - 1, p) >= design.power { lasting + 1 } else { 0 };
        if lasting == 3 {
            return Some(smallest(allowed - 2));
        }
        if p == 0.0 && at_most(allowed, from, p) >= design.power {
            return Some(from);
        }
    }
    None
}

/// Mean chance to reject of a conditional binomial test over the number of events it is conditioned on.
fn conditional_power(mass: impl Fn(u64) -> f64, centre: f64, most: u64, reject: impl Fn(u64) -> f64) -> f64 {
    // From the centre outwards until the rest has no weight.
    let sum = |counts: &mut dyn Iterator<Item = u64>| {
        let weighed = counts.map(|count| (count, mass(count))).take_while(|(_, weight)| *weight > 1e-18);
        weighed.map(|(count, weight)| weight * reject(count)).sum::<f64>()
    };
    let centre = whole(centre).min(most);
    sum(&mut (0..centre).rev()) + sum(&mut (centre..=most))
}

/// Power of `McNemar`'s exact test.
///
/// # Formula
/// `sum_m P(M = m) P(reject | m)`: discordant pairs `M` binomial with `p10 + p01`, of which those against the candidate are binomial with
/// `p10 / (p10 + p01)`, tested against 1/2.
///
/// # Arguments
/// `worse`, `better` chances of the two kinds of discordant pairs, adding to at most 1. On one side the test looks towards the larger.
///
/// # Errors
/// Zero where no pair can be discordant.
///
/// # Accuracy
/// Absolute 1e-9.
///
/// # Source
/// The definition; S. W. Duffy (1984), Biometrics 40, 1005-1015.
///
/// # Example
/// 0.06 and 0.03, 617 pairs, 0.05 on one side: 0.7715196722.
#[must_use]
pub fn mcnemar_power(worse: f64, better: f64, pairs: u64, alpha: f64, sides: Sides) -> f64 {
    let discordant = worse + better;
    let Ok(law) = Binomial::new(discordant, pairs) else { return f64::NAN };
    if discordant == 0.0 {
        return 0.0;
    }
    let share = worse / discordant;
    conditional_power(|m| law.pmf(m), pairs as f64 * discordant, pairs, |m| rejects(m, 0.5, share, alpha, sides))
}

/// Power of the exact conditional test of two Poisson rates.
///
/// # Formula
/// `sum_m P(M = m) P(reject | m)`: events `M` Poisson with `r1 e1 + r2 e2`, those of the first arm binomial with
/// `r1 e1 / (r1 e1 + r2 e2)`, tested against `e1 / (e1 + e2)`.
///
/// # Arguments
/// For each arm its true rate and its exposure, positive. On one side the test looks for a larger first rate where that is true (or the
/// rates are equal), else for a smaller one.
///
/// # Errors
/// Zero where no event can happen.
///
/// # Accuracy
/// Absolute 1e-8.
///
/// # Source
/// J. Przyborowski, H. Wilenski (1940), Biometrika 31, 313-323.
///
/// # Example
/// 0.003 over 5000 and 0.001 over 95000, 0.05 on one side: 0.92116137601.
#[must_use]
pub fn two_rates_power(first: (f64, f64), second: (f64, f64), alpha: f64, sides: Sides) -> f64 {
    let (mean1, mean2) = (first.0 * first.1, second.0 * second.1);
    let Ok(law) = Poisson::new(mean1 + mean2) else { return 0.0 };
    let null = first.1 / (first.1 + second.1);
    // Equal rates may differ from the null by rounding: they are tested for a larger first rate.
    let truth = if first.0 - second.0 == 0.0 { null } else { mean1 / (mean1 + mean2) };
    conditional_power(|m| law.pmf(m), mean1 + mean2, u64::MAX, |m| rejects(m, null, truth, alpha, sides))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn power_is_a_saw_tooth() {
        let power = |n| one_proportion_power(0.05, 0.2, n, 0.025, Sides::One);
        assert!(power(33) > 0.81 && power(35) < 0.73);
        let design = Design { alpha: 0.025, power: 0.8, sides: Sides::One };
        let first = one_proportion(0.05, 0.2, &design, (10, 120), Search::First).unwrap();
        let lasting = one_proportion(0.05, 0.2, &design, (10, 120), Search::Lasting).unwrap();
        assert!(first < lasting && (lasting..=120).all(|n| power(n) >= 0.8) && power(lasting - 1) < 0.8);
        assert_eq!(one_proportion(0.05, 0.2, &design, (5, 10), Search::Lasting), None);
    }

    #[test]
    fn units_to_pass_is_the_lasting_size() {
        for (limit, p, alpha, power) in [(0.05, 0.01, 0.05, 0.8), (0.02, 0.001, 0.05, 0.9), (0.1, 0.05, 0.01, 0.8)] {
            let design = Design { alpha, power, sides: Sides::One };
            let brute = one_proportion(limit, p, &design, (1, 4000), Search::Lasting);
            assert_eq!(units_to_pass(limit, p, &design), brute, "{limit} {p}");
        }
        let design = Design { alpha: 0.05, power: 0.8, sides: Sides::One };
        assert_eq!(units_to_pass(0.01, 0.0, &design), Some(299));
        assert_eq!(units_to_pass(0.01, 0.01, &design), None);
    }

    #[test]
    fn nothing_discordant_or_no_event_has_no_power() {
        assert!(mcnemar_power(0.0, 0.0, 100, 0.05, Sides::One).abs() < 1e-300);
        assert!(two_rates_power((0.0, 10.0), (0.0, 10.0), 0.05, Sides::One).abs() < 1e-300);
        assert!(one_proportion_power(0.5, 0.9, 0, 0.05, Sides::One).abs() < 1e-300);
    }

    proptest! {
        #[test]
        fn the_level_is_kept(n in 1u64..400, p in 0.01..0.99f64, q in 0.001..0.2f64, two in any::<bool>()) {
            let sides = if two { Sides::Two } else { Sides::One };
            prop_assert!(one_proportion_power(p, p, n, 0.05, sides) <= 0.05 + 1e-12);
            prop_assert!(mcnemar_power(q, q, n, 0.05, sides) <= 0.05 + 1e-12);
            prop_assert!(two_rates_power((q, 100.0), (q, 700.0), 0.05, sides) <= 0.05 + 1e-12);
        }

        #[test]
        fn arms_and_directions_mirror(n in 1u64..300, p in 0.01..0.4f64, q in 0.01..0.4f64) {
            let there = mcnemar_power(p, q, n, 0.05, Sides::One);
            prop_assert!((there - mcnemar_power(q, p, n, 0.05, Sides::One)).abs() < 1e-9 || (p - q).abs() < 1e-12);
            let (up, down) = (one_proportion_power(p, q, n, 0.05, Sides::Two), one_proportion_power(1.0 - p, 1.0 - q, n, 0.05, Sides::Two));
            prop_assert!((up - down).abs() < 1e-9);
        }
    }
}
