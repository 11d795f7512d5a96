//! Values against limits: which are kept, by how much, and which of two candidates is better.

use std::cmp::Ordering;

use crate::domain::limit::{Limit, Quantity};
use crate::power::forecast::Foreseen;
use crate::report::Share;
use crate::report::comparison::Estimate;

/// A day.
const DAY_S: f64 = 86_400.0;

/// Shares below this count alike when a distance from a bound is measured in multiples of the bound.
const SMALLEST_SHARE: f64 = 0.02;

/// No single value is farther from its bound than this.
const FARTHEST: f64 = 20.0;

/// What a schedule does to a good candidate, and to a bad one in each of its worlds.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// Seconds from the start to the end of the schedule.
    pub length_s: i64,
    /// A candidate as good as stable gets there.
    pub promoted: Share,
    /// It is rolled back.
    pub false_rollback: Share,
    /// Per effect past a margin.
    pub bad: Vec<Bad>,
}

/// What happens to an effect past a margin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bad {
    /// Promoted to the end.
    pub missed: Share,
    /// Requests that the candidate serves.
    pub exposed_requests: Estimate,
}

/// One limit in one world.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Held {
    /// Index of the limit.
    pub limit: usize,
    /// Index of the effect past a margin; `None` of a candidate as good as stable.
    pub bad: Option<usize>,
    /// Estimate.
    pub value: f64,
    /// Lower end of its Monte Carlo interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Every limit in every world it is about.
#[must_use]
pub fn held(values: &Values, limits: &[Limit]) -> Vec<Held> {
    let mut all = Vec::new();
    for (limit, rule) in limits.iter().enumerate() {
        let share = |bad, share: Share| Held { limit, bad, value: share.share, low: share.low, high: share.high };
        match rule.of {
            Quantity::Promoted => all.push(share(None, values.promoted)),
            Quantity::FalseRollback => all.push(share(None, values.false_rollback)),
            Quantity::Days => {
                let days = if values.promoted.share > 0.0 { values.length_s as f64 / DAY_S } else { f64::INFINITY };
                all.push(Held { limit, bad: None, value: days, low: days, high: days });
            }
            Quantity::Miss => {
                all.extend(values.bad.iter().enumerate().map(|(bad, of)| share(Some(bad), of.missed)));
            }
            Quantity::ExposedRequests => {
                let of = |(bad, of): (usize, &Bad)| {
                    let Estimate { mean, low, high } = of.exposed_requests;
                    Held { limit, bad: Some(bad), value: mean, low, high }
                };
                all.extend(values.bad.iter().enumerate().map(of));
            }
            // A property of gates, which no schedule's outcome shows.
            Quantity::Power => {}
        }
    }
    all
}

/// How far beyond its bound a value is, in multiples of the bound; negative within it.
#[must_use]
pub fn beyond(limit: &Limit, value: f64) -> f64 {
    let (over, scale) = if limit.of.at_least() {
        (limit.bound - value, (1.0 - limit.bound).max(SMALLEST_SHARE))
    } else if limit.of.is_share() {
        (value - limit.bound, limit.bound.max(SMALLEST_SHARE))
    } else {
        (value - limit.bound, limit.bound.max(1e-9))
    };
    (over / scale).min(FARTHEST)
}

/// Sum of what is beyond the bounds; zero where every limit is kept.
#[must_use]
pub fn excess(held: &[Held], limits: &[Limit]) -> f64 {
    held.iter().map(|held| beyond(&limits[held.limit], held.value).max(0.0)).sum()
}

/// Whether every limit may be kept, as far as the Monte Carlo intervals go.
#[must_use]
pub fn may_hold(held: &[Held], limits: &[Limit]) -> bool {
    held.iter().all(|held| {
        let limit = &limits[held.limit];
        limit.holds(if limit.of.at_least() { held.high } else { held.low })
    })
}

/// The limit that is nearest to its bound, or farthest beyond it.
#[must_use]
pub fn tightest(held: &[Held], limits: &[Limit]) -> Option<Held> {
    let tight = |held: &Held| beyond(&limits[held.limit], held.value);
    held.iter().copied().max_by(|a, b| tight(a).total_cmp(&tight(b)))
}

/// What orders candidates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rank {
    excess: f64,
    length_s: i64,
    tight: f64,
}

impl Rank {
    /// Of measured values.
    #[must_use]
    pub fn of(values: &Values, limits: &[Limit]) -> Self {
        let held = held(values, limits);
        Self::new(excess(&held, limits), values.length_s, tightest(&held, limits).map(|held| (held, limits)))
    }

    /// Of values, whatever they are about.
    fn new(excess: f64, length_s: i64, tightest: Option<(Held, &[Limit])>) -> Self {
        let tight = tightest.map_or(0.0, |(held, limits)| beyond(&limits[held.limit], held.value));
        Self { excess, length_s, tight }
    }

    /// Whether every limit is kept.
    #[must_use]
    pub fn keeps(self) -> bool {
        self.excess <= 0.0
    }

    /// Better first: limits kept, then faster, then farther from every bound; where limits are missed, by less first.
    #[must_use]
    pub fn order(self, other: Self) -> Ordering {
        if self.keeps() && other.keeps() {
            return self.length_s.cmp(&other.length_s).then(self.tight.total_cmp(&other.tight));
        }
        self.excess.total_cmp(&other.excess).then(self.length_s.cmp(&other.length_s))
    }
}

/// Foreseen values in the form of measured ones, without uncertainty.
#[must_use]
pub fn foreseen(of: &Foreseen, length_s: i64) -> Values {
    let share = |share: f64| Share { share, low: share, high: share };
    let bad = of.missed.iter().zip(&of.exposed_requests).map(|(&missed, &requests)| Bad {
        missed: share(missed),
        exposed_requests: Estimate { mean: requests, low: requests, high: requests },
    });
    Values { length_s, promoted: share(of.promoted), false_rollback: share(of.false_rollback), bad: bad.collect() }
}

/// What one candidate's measured values make of another's forecast: each changes as its forecast does.
#[must_use]
pub fn carried(measured: &Values, forecast: &Values, other: &Values) -> Values {
    // Odds keep shares between 0 and 1; a little on both sides keeps forecasts of nothing from meaning everything.
    let odds = |share: f64| (share + 0.005) / (1.005 - share);
    let carry = |measured: Share, from: Share, to: Share| {
        let moved = odds(measured.share) * odds(to.share) / odds(from.share);
        let share = ((1.005 * moved - 0.005) / (1.0 + moved)).clamp(0.0, 1.0);
        Share { share, low: share, high: share }
    };
    let bad = measured.bad.iter().zip(&forecast.bad).zip(&other.bad).map(|((measured, from), to)| {
        let times = (to.exposed_requests.mean + 1.0) / (from.exposed_requests.mean + 1.0);
        let mean = measured.exposed_requests.mean * times;
        Bad {
            missed: carry(measured.missed, from.missed, to.missed),
            exposed_requests: Estimate { mean, low: mean, high: mean },
        }
    });
    Values {
        length_s: other.length_s,
        promoted: carry(measured.promoted, forecast.promoted, other.promoted),
        false_rollback: carry(measured.false_rollback, forecast.false_rollback, other.false_rollback),
        bad: bad.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(of: Quantity, bound: f64) -> Limit {
        Limit { typed: String::new(), of, bound }
    }

    fn values(days: f64, missed: f64, false_rollback: f64) -> Values {
        let foreseen_values = Foreseen {
            false_rollback,
            promoted: 1.0 - false_rollback,
            missed: vec![missed, 0.0],
            exposed_requests: vec![100.0, 50.0],
        };
        foreseen(&foreseen_values, (days * DAY_S) as i64)
    }

    #[test]
    fn limits_are_held_in_every_world() {
        let limits = [limit(Quantity::Miss, 0.1), limit(Quantity::ExposedRequests, 80.0), limit(Quantity::Days, 3.0)];
        let all = held(&values(2.0, 0.05, 0.0), &limits);
        assert_eq!(all.len(), 2 + 2 + 1);
        assert!((excess(&all, &limits) - 0.25).abs() < 1e-12, "one world serves 100 of 80");
        assert_eq!(tightest(&all, &limits).map(|held| (held.limit, held.bad)), Some((1, Some(0))));
    }

    #[test]
    fn kept_limits_come_first_then_speed_then_room() {
        let limits = [limit(Quantity::Miss, 0.1), limit(Quantity::FalseRollback, 0.05)];
        let rank = |days, missed, stopped| Rank::of(&values(days, missed, stopped), &limits);
        let mut ranks = [
            rank(1.0, 0.2, 0.0),
            rank(3.0, 0.05, 0.0),
            rank(2.0, 0.09, 0.0),
            rank(2.0, 0.05, 0.01),
            rank(1.0, 0.11, 0.0),
        ];
        ranks.sort_by(|a, b| a.order(*b));
        let days: Vec<f64> = ranks.iter().map(|rank| rank.length_s as f64 / DAY_S).collect();
        assert_eq!(days, [2.0, 2.0, 3.0, 1.0, 1.0]);
        assert!(ranks[0].tight < ranks[1].tight && ranks[3].excess < ranks[4].excess);
    }

    #[test]
    fn a_good_candidate_that_never_arrives_keeps_no_number_of_days() {
        let mut never = values(1.0, 0.0, 0.0);
        never.promoted.share = 0.0;
        let limits = [limit(Quantity::Days, 7.0)];
        assert!((excess(&held(&never, &limits), &limits) - FARTHEST).abs() < 1e-12);
    }

    #[test]
    fn an_interval_that_reaches_the_bound_may_hold() {
        let limits = [limit(Quantity::Miss, 0.1)];
        let mut near = values(1.0, 0.12, 0.0);
        assert!(!may_hold(&held(&near, &limits), &limits));
        near.bad[0].missed.low = 0.09;
        assert!(may_hold(&held(&near, &limits), &limits));
    }

    #[test]
    fn what_is_carried_moves_as_the_forecast_moves() {
        let (measured, from) = (values(2.0, 0.4, 0.02), values(2.0, 0.2, 0.01));
        let same = carried(&measured, &from, &from);
        assert!((same.bad[0].missed.share - 0.4).abs() < 1e-9 && (same.false_rollback.share - 0.02).abs() < 1e-9);
        let better = carried(&measured, &from, &values(3.0, 0.05, 0.01));
        assert!(better.bad[0].missed.share < 0.2 && better.length_s == (3.0 * DAY_S) as i64);
        assert!((0.0..=1.0).contains(&carried(&measured, &from, &values(1.0, 1.0, 1.0)).bad[0].missed.share));
    }
}
