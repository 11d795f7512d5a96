//! Limits → the fastest schedule within them. Closed forms propose schedules, replays with ever more replicates decide among them.
//!
//! The search is seeded by what it is given and by nothing else: the same scenario, log, limits and effort take the same steps on any
//! number of threads. It replays nothing itself.

pub mod space;
pub mod standing;

pub mod advice;
pub mod replay;

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::domain::limit::Limit;
use crate::power::forecast::Foreseen;
use space::{Rule, Schedule, Space, Step, length_s};
use standing::{Rank, Values, carried, foreseen, held, may_hold};

/// Last rounds at most: another where none of the last keeps every limit.
const FINALS: usize = 2;

/// How much is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Schedules of the first round, and the replicates of each.
    pub survey: (usize, usize),
    /// Rounds around the best so far.
    pub climbs: usize,
    /// Schedules of each of these, and the replicates of each.
    pub climb: (usize, usize),
    /// Schedules of the round between, and the replicates of each.
    pub halving: (usize, usize),
    /// Schedules that are replayed with the scenario's replicates in the end.
    pub finalists: usize,
}

impl Effort {
    /// Schedules times replicates, at most; `replicates` of the last round.
    #[must_use]
    pub fn work(&self, replicates: usize) -> usize {
        let rounds = [self.survey, (self.climbs * self.climb.0, self.climb.1), self.halving];
        let before: usize = rounds.iter().map(|(schedules, each)| schedules * (*each).min(replicates)).sum();
        before + FINALS * self.finalists * replicates
    }
}

/// A schedule, and rules that are judged on its replays.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// What is simulated.
    pub schedule: Schedule,
    /// What is decided.
    pub rules: Vec<Rule>,
}

/// A candidate with what its latest replays gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// What was simulated.
    pub schedule: Schedule,
    /// What was decided.
    pub rule: Rule,
    /// Number of replicates.
    pub replicates: usize,
    /// What came of them.
    pub values: Values,
}

/// What is searched and by which measure.
pub struct Search<'a, F> {
    /// What may be chosen.
    pub space: &'a Space,
    /// What must be kept.
    pub limits: &'a [Limit],
    /// What the closed forms say of a candidate.
    pub forecast: F,
    /// How much is replayed.
    pub effort: Effort,
    /// Replicates of the last round.
    pub replicates: usize,
}

/// Candidates by schedule and rule.
type Archive = BTreeMap<(Schedule, Rule), Tried>;

impl<F: Fn(&[Step], Rule) -> Foreseen + Sync> Search<'_, F> {
    /// Every candidate that was replayed, better ones first, those of the last round before all others. `replay` gives the values of each
    /// rule of each trial, or nothing when it was stopped; then so does the search. `own` is always among the first.
    pub fn run(
        &self,
        own: &[Step],
        mut replay: impl FnMut(&[Trial], usize) -> Option<Vec<Vec<Values>>>,
    ) -> Option<Vec<Tried>> {
        let mut archive = Archive::new();
        let mut judge = |trials: &[Trial], replicates: usize, archive: &mut Archive| -> Option<()> {
            let replicates = replicates.min(self.replicates);
            for (trial, values) in trials.iter().zip(replay(trials, replicates)?) {
                for (&rule, values) in trial.rules.iter().zip(values) {
                    let tried = Tried { schedule: trial.schedule.clone(), rule, replicates, values };
                    archive.insert((trial.schedule.clone(), rule), tried);
                }
            }
            Some(())
        };
        let rules = self.space.first_rules();
        let mut first = self.proposed();
        first.retain(|schedule| schedule != own);
        first.truncate(self.effort.survey.0.saturating_sub(1));
        // A scenario may have no stage below 100 %.
        let own = (!own.is_empty()).then(|| own.to_vec());
        let survey = own.into_iter().chain(first);
        let survey: Vec<Trial> = survey.map(|schedule| Trial { schedule, rules: rules.clone() }).collect();
        judge(&survey, self.effort.survey.1, &mut archive)?;
        for _ in 0..self.effort.climbs {
            let trials = self.around(&archive);
            judge(&trials, self.effort.climb.1, &mut archive)?;
        }
        let (schedules, replicates) = self.effort.halving;
        judge(&self.best(&archive, schedules, usize::MAX), replicates, &mut archive)?;
        let is_final = |tried: &Tried| tried.replicates >= self.replicates;
        for _ in 0..FINALS {
            let trials = self.best(&archive, self.effort.finalists, self.replicates);
            judge(&trials, self.replicates, &mut archive)?;
            let keeps = |tried: &Tried| is_final(tried) && Rank::of(&tried.values, self.limits).keeps();
            if trials.is_empty() || archive.values().any(keeps) {
                break;
            }
        }
        let mut all: Vec<Tried> = archive.into_values().collect();
        let rank = |tried: &Tried| Rank::of(&tried.values, self.limits);
        all.sort_by(|a, b| b.replicates.cmp(&a.replicates).then_with(|| rank(a).order(rank(b))));
        Some(all)
    }

    fn foreseen(&self, schedule: &[Step], rule: Rule) -> Values {
        foreseen(&(self.forecast)(schedule, rule), length_s(schedule) + self.space.tail_s)
    }

    /// Of every length the best proposal: those foreseen to keep the limits from the fastest on, in turn with those that are a little too
    /// fast, from the slowest on.
    fn proposed(&self) -> Vec<Schedule> {
        let rules = self.space.first_rules();
        let ranked = |schedule: Schedule| {
            let ranks = rules.iter().map(|&rule| Rank::of(&self.foreseen(&schedule, rule), self.limits));
            let best = ranks.min_by(|a, b| a.order(*b)).expect("a rule as written");
            (best, schedule)
        };
        let all: Vec<(Rank, Schedule)> = self.space.proposals().into_par_iter().map(ranked).collect();
        let mut of_length: BTreeMap<i64, (Rank, Schedule)> = BTreeMap::new();
        for (rank, schedule) in all {
            let length = length_s(&schedule);
            let known = of_length.get(&length);
            if known.is_none_or(|(best, _)| rank.order(*best).is_lt()) {
                of_length.insert(length, (rank, schedule));
            }
        }
        let (keeps, misses): (Vec<_>, Vec<_>) = of_length.into_values().partition(|(rank, _)| rank.keeps());
        let first = keeps.first().map_or(i64::MAX, |(_, schedule)| length_s(schedule));
        let (faster, mut slower): (Vec<_>, Vec<_>) =
            misses.into_iter().partition(|(_, schedule)| length_s(schedule) < first);
        if keeps.is_empty() {
            slower = faster;
            slower.sort_by(|a, b| a.0.order(b.0));
            return slower.into_iter().map(|(_, schedule)| schedule).collect();
        }
        let mut up = keeps.into_iter().map(|(_, schedule)| schedule);
        let mut down = faster.into_iter().rev().map(|(_, schedule)| schedule);
        let mut order = Vec::new();
        loop {
            let next: Vec<Schedule> = [up.next(), down.next()].into_iter().flatten().collect();
            if next.is_empty() {
                break;
            }
            order.extend(next);
        }
        order.extend(slower.into_iter().map(|(_, schedule)| schedule));
        order
    }

    /// Neighbours of the best so far, by what measured values and closed forms together say of them; and the best with other tests.
    fn around(&self, archive: &Archive) -> Vec<Trial> {
        let parents = self.chosen(archive, 4, usize::MAX);
        let mut foreseen: BTreeMap<(Schedule, Rule), Rank> = BTreeMap::new();
        let known = |schedule: &Schedule| archive.keys().any(|(other, _)| other == schedule);
        for parent in &parents {
            let own = self.foreseen(&parent.schedule, parent.rule);
            for schedule in self.space.neighbours(&parent.schedule) {
                if known(&schedule) {
                    continue;
                }
                let values = carried(&parent.values, &own, &self.foreseen(&schedule, parent.rule));
                let rank = Rank::of(&values, self.limits);
                let best = foreseen.entry((schedule, parent.rule)).or_insert(rank);
                if rank.order(*best).is_lt() {
                    *best = rank;
                }
            }
        }
        let mut order: Vec<((Schedule, Rule), Rank)> = foreseen.into_iter().collect();
        order.sort_by(|a, b| a.1.order(b.1));
        let mut trials: Vec<Trial> = Vec::new();
        // The best of all are asked again, by all tests where they were not.
        for parent in parents.iter().take(2) {
            let mut rules = self.space.levels_near(parent.rule);
            rules.extend(self.space.other_tests(parent.rule));
            rules.retain(|&rule| {
                let tried = archive.get(&(parent.schedule.clone(), rule));
                tried.is_none_or(|tried| tried.replicates < self.effort.climb.1)
            });
            add(&mut trials, &parent.schedule, rules);
        }
        for ((schedule, rule), _) in order {
            if trials.len() >= self.effort.climb.0 && !trials.iter().any(|trial| trial.schedule == schedule) {
                continue;
            }
            add(&mut trials, &schedule, self.space.levels_near(rule));
        }
        trials
    }

    /// The best candidates with fewer replicates than `below`: half of them by their estimates, half the fastest that the intervals allow.
    fn chosen<'t>(&self, archive: &'t Archive, count: usize, below: usize) -> Vec<&'t Tried> {
        let rank = |tried: &Tried| Rank::of(&tried.values, self.limits);
        let mut by_rank: Vec<&Tried> = archive.values().filter(|tried| tried.replicates < below).collect();
        by_rank.sort_by(|a, b| rank(a).order(rank(b)));
        let possible = |tried: &&Tried| may_hold(&held(&tried.values, self.limits), self.limits);
        let mut fastest: Vec<&Tried> = by_rank.iter().copied().filter(possible).collect();
        fastest.sort_by_key(|tried| tried.values.length_s);
        let mut chosen: Vec<&Tried> = Vec::new();
        let mut take = |from: &[&'t Tried], most: usize| {
            for &tried in from {
                if chosen.len() >= most {
                    break;
                }
                if !chosen.iter().any(|other| other.schedule == tried.schedule) {
                    chosen.push(tried);
                }
            }
        };
        take(&by_rank, count.div_ceil(2));
        take(&fastest, count);
        take(&by_rank, count);
        chosen.sort_by(|a, b| rank(a).order(rank(b)));
        chosen
    }

    /// The best schedules with fewer replicates than `below`, each with its best rules.
    fn best(&self, archive: &Archive, schedules: usize, below: usize) -> Vec<Trial> {
        let with_rules = |tried: &Tried| {
            let mut rules: Vec<(Rank, Rule)> = archive
                .values()
                .filter(|other| other.schedule == tried.schedule)
                .map(|other| (Rank::of(&other.values, self.limits), other.rule))
                .collect();
            rules.sort_by(|a, b| a.0.order(b.0).then(a.1.cmp(&b.1)));
            let rules = std::iter::once(tried.rule).chain(rules.into_iter().map(|(_, rule)| rule));
            let mut kept: Vec<Rule> = Vec::new();
            for rule in rules {
                if kept.len() < 3 && !kept.contains(&rule) {
                    kept.push(rule);
                }
            }
            Trial { schedule: tried.schedule.clone(), rules: kept }
        };
        self.chosen(archive, schedules, below).into_iter().map(with_rules).collect()
    }
}

/// Adds rules to a schedule's trial.
fn add(trials: &mut Vec<Trial>, schedule: &[Step], rules: Vec<Rule>) {
    if rules.is_empty() {
        return;
    }
    match trials.iter_mut().find(|trial| trial.schedule == schedule) {
        Some(trial) => {
            let new = rules.into_iter().filter(|rule| !trial.rules.contains(rule)).collect::<Vec<_>>();
            trial.rules.extend(new);
        }
        None => trials.push(Trial { schedule: schedule.to_vec(), rules }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limit::Quantity;
    use crate::report::Share;
    use space::tests::space;

    const EFFORT: Effort = Effort { survey: (12, 50), climbs: 4, climb: (8, 100), halving: (4, 200), finalists: 3 };

    fn limits() -> Vec<Limit> {
        let limit = |of, bound| Limit { typed: String::new(), of, bound };
        vec![limit(Quantity::Miss, 0.1), limit(Quantity::ExposedRequests, 3000.0), limit(Quantity::FalseRollback, 0.05)]
    }

    /// A world in which information is exposure times time, and requests come at a constant rate; larger budgets find more.
    fn truth(schedule: &[Step], rule: Rule, strength: f64) -> Foreseen {
        let space = space();
        let budget = rule.budget.map_or(0.1, |budget| space.budgets[budget].0);
        let (mut left, mut exposed) = (1.0, 0.0);
        for step in schedule {
            let hours = step.duration_s as f64 / 3600.0;
            let served = space.exposures[step.exposure] * hours;
            let after = left * (-strength * served * (0.5 + budget)).exp();
            exposed += served * 1000.0 * f64::midpoint(left, after);
            left = after;
        }
        Foreseen {
            false_rollback: budget / 10.0,
            promoted: 1.0 - budget / 10.0,
            missed: vec![left],
            exposed_requests: vec![exposed],
        }
    }

    /// Values as replays would give them: an error that shrinks with replicates, the same for the same candidate.
    fn replayed(schedule: &[Step], rule: Rule, replicates: usize) -> Values {
        let exact = truth(schedule, rule, 1.0);
        let mut values = foreseen(&exact, length_s(schedule));
        let noise =
            ((length_s(schedule) / 3600 * 7 + schedule.len() as i64 * 13 + replicates as i64) % 11) as f64 / 5.0 - 1.0;
        let share = exact.missed[0];
        let se = (share * (1.0 - share) / replicates as f64).sqrt();
        let value = (share + noise * se).clamp(0.0, 1.0);
        values.bad[0].missed = Share { share: value, low: (value - 2.0 * se).max(0.0), high: value + 2.0 * se };
        values
    }

    fn run(strength: f64) -> Vec<Tried> {
        let (space, limits) = (space(), limits());
        let forecast = |schedule: &[Step], rule: Rule| truth(schedule, rule, strength);
        let search = Search { space: &space, limits: &limits, forecast, effort: EFFORT, replicates: 2000 };
        let own = space.proposals().into_iter().find(|schedule| schedule.len() == 3).expect("a ramp");
        let found = search.run(&own, |trials, replicates| {
            let of =
                |trial: &Trial| trial.rules.iter().map(|&rule| replayed(&trial.schedule, rule, replicates)).collect();
            Some(trials.iter().map(of).collect())
        });
        found.expect("is not stopped")
    }

    fn fastest_of_all() -> i64 {
        let (space, limits) = (space(), limits());
        let rules: Vec<Rule> = (0..space.budgets.len()).map(|b| Rule { budget: Some(b), ..Rule::default() }).collect();
        let keeps = |schedule: &Schedule| {
            rules
                .iter()
                .any(|&rule| Rank::of(&foreseen(&truth(schedule, rule, 1.0), length_s(schedule)), &limits).keeps())
        };
        space
            .proposals()
            .iter()
            .filter(|schedule| keeps(schedule))
            .map(|schedule| length_s(schedule))
            .min()
            .expect("some fit")
    }

    #[test]
    fn it_finds_a_schedule_nearly_as_fast_as_the_fastest_proposal_or_faster() {
        let limits = limits();
        // With closed forms that are right, half as strong and twice as strong as the truth.
        for strength in [1.0, 0.5, 2.0] {
            let best = run(strength).swap_remove(0);
            assert!(Rank::of(&best.values, &limits).keeps(), "{strength}: {best:?}");
            assert!(best.values.length_s <= fastest_of_all() * 5 / 4, "{strength}: {best:?}");
            assert_eq!(best.replicates, 2000, "judged with the most replicates");
        }
    }

    #[test]
    fn the_same_steps_are_taken_twice_and_work_is_bounded() {
        assert_eq!(run(0.7), run(0.7));
        let space = space();
        let limits = limits();
        let forecast = |schedule: &[Step], rule: Rule| truth(schedule, rule, 1.0);
        let search = Search { space: &space, limits: &limits, forecast, effort: EFFORT, replicates: 500 };
        let mut work = 0;
        let own = space.proposals().swap_remove(0);
        search.run(&own, |trials, replicates| {
            work += trials.len() * replicates;
            Some(
                trials
                    .iter()
                    .map(|t| t.rules.iter().map(|&r| replayed(&t.schedule, r, replicates)).collect())
                    .collect(),
            )
        });
        assert!(work > 0 && work <= EFFORT.work(500), "{work}");
    }

    #[test]
    fn a_stopped_replay_stops_the_search() {
        let (space, limits) = (space(), limits());
        let forecast = |schedule: &[Step], rule: Rule| truth(schedule, rule, 1.0);
        let search = Search { space: &space, limits: &limits, forecast, effort: EFFORT, replicates: 500 };
        assert!(search.run(&space.proposals()[0], |_, _| None).is_none());
    }

    #[test]
    fn where_nothing_fits_the_least_beyond_the_limits_comes_first() {
        let space = space();
        let limits = vec![Limit { typed: String::new(), of: Quantity::Miss, bound: 0.0 }];
        let forecast = |schedule: &[Step], rule: Rule| truth(schedule, rule, 1.0);
        let search = Search { space: &space, limits: &limits, forecast, effort: EFFORT, replicates: 100 };
        let found = search.run(&space.proposals()[0], |trials, _| {
            let exact =
                |trial: &Trial, rule: Rule| foreseen(&truth(&trial.schedule, rule, 0.1), length_s(&trial.schedule));
            Some(trials.iter().map(|t| t.rules.iter().map(|&r| exact(t, r)).collect()).collect())
        });
        let found = found.expect("is not stopped");
        let missed = |tried: &Tried| tried.values.bad[0].missed.share;
        let least = found.iter().map(missed).fold(1.0, f64::min);
        assert!((missed(&found[0]) - least).abs() < 1e-12 && least > 0.0);
    }
}
