//! What is searched: ramps of exposures, how long each holds, how often one looks, and what gates then do.

use crate::domain::gate::{Looks, Test};
use crate::domain::quantity::{Fraction, Seconds};
use crate::domain::rollout::Budget;
use crate::scenario::rewrite::{self, Changes};

/// Stages below 100 % at most.
const MOST_STEPS: usize = 4;

/// Looks of a stage in a first proposal, at most where times between looks allow it.
const USUAL_LOOKS: i64 = 12;

/// Hours that stages of a first proposal last.
const COARSE_H: [i64; 10] = [1, 3, 6, 12, 24, 48, 72, 96, 120, 168];

/// Hours that stages may last.
const FINE_H: [i64; 30] = [
    1, 2, 3, 4, 6, 8, 10, 12, 15, 18, 21, 24, 30, 36, 42, 48, 54, 60, 66, 72, 84, 96, 108, 120, 132, 144, 168, 192,
    216, 240,
];

/// One exposure below 100 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// Index into [`Space::exposures`].
    pub exposure: usize,
    /// How long it holds.
    pub duration_s: i64,
    /// Time between looks; divides the duration.
    pub look_s: i64,
}

/// The stages below 100 %, in order; exposure grows.
pub type Schedule = Vec<Step>;

/// What gates do, as indices into the space; `None` is as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rule {
    /// Into [`Space::tests`].
    pub test: Option<usize>,
    /// Into [`Space::budgets`].
    pub budget: Option<usize>,
    /// Promotion needs every gate to pass at the end of the last stage with a control.
    pub proof: bool,
}

/// What may be chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    /// Fractions of units, ascending, all below 1.
    pub exposures: Vec<f64>,
    /// Seconds between looks, ascending.
    pub looks_s: Vec<i64>,
    /// Durations are multiples of it.
    pub slot_s: i64,
    /// The longest that all stages together may last: what the log leaves room for.
    pub longest_s: i64,
    /// All stages together last longer than this: every effect must set in before they end.
    pub onset_s: i64,
    /// How long the scenario's own stages at 100 % last, after all others.
    pub tail_s: i64,
    /// Tests in place of those written.
    pub tests: Vec<(Test, Looks)>,
    /// Budgets of false rollbacks, and how they are kept; ascending for each way.
    pub budgets: Vec<(f64, Budget)>,
    /// Whether a proof at the end may be asked for where none is.
    pub proof: bool,
}

/// How long the stages last together.
#[must_use]
pub fn length_s(schedule: &[Step]) -> i64 {
    schedule.iter().map(|step| step.duration_s).sum()
}

impl Space {
    /// Every ramp of at most four stages that do not get shorter, of coarse durations.
    #[must_use]
    pub fn proposals(&self) -> Vec<Schedule> {
        let durations: Vec<i64> = self.durations(&COARSE_H);
        let mut all = Vec::new();
        self.extend(&mut Vec::new(), &durations, &mut all);
        all.retain(|schedule| length_s(schedule) > self.onset_s);
        all
    }

    fn extend(&self, begun: &mut Schedule, durations: &[i64], all: &mut Vec<Schedule>) {
        let (from, shortest) = begun.last().map_or((0, 0), |last| (last.exposure + 1, last.duration_s));
        for exposure in from..self.exposures.len() {
            for &duration_s in durations.iter().filter(|&&duration| duration >= shortest) {
                if length_s(begun) + duration_s > self.longest_s {
                    break;
                }
                begun.push(Step { exposure, duration_s, look_s: self.usual_look(duration_s) });
                all.push(begun.clone());
                if begun.len() < MOST_STEPS {
                    self.extend(begun, durations, all);
                }
                begun.pop();
            }
        }
    }

    fn durations(&self, hours: &[i64]) -> Vec<i64> {
        let fits = |duration: &i64| duration % self.slot_s == 0 && *duration <= self.longest_s;
        hours.iter().map(|hours| hours * 3600).filter(fits).collect()
    }

    /// The closest looks of which a dozen fill the stage: boundaries cost time by their looks, and closer ones are tried later.
    fn usual_look(&self, duration_s: i64) -> i64 {
        let divides = || self.looks_s.iter().copied().filter(|look| duration_s % look == 0);
        let few = divides().find(|look| duration_s / look <= USUAL_LOOKS);
        few.or_else(|| divides().next_back()).unwrap_or(self.slot_s)
    }

    /// The time between looks that divides the duration and comes nearest.
    fn look_near(&self, duration_s: i64, wanted_s: i64) -> i64 {
        let fits = self.looks_s.iter().copied().filter(|look| duration_s % look == 0);
        fits.min_by_key(|look| (look - wanted_s).abs()).unwrap_or(self.slot_s)
    }

    /// Schedules that differ in one respect.
    #[must_use]
    pub fn neighbours(&self, schedule: &[Step]) -> Vec<Schedule> {
        let durations = self.durations(&FINE_H);
        let mut found: Vec<Schedule> = Vec::new();
        let with = |place: usize, step: Step| {
            let mut other = schedule.to_vec();
            other[place] = step;
            other
        };
        for (place, step) in schedule.iter().enumerate() {
            // One or two steps down, or several at once: what is too long is often much too long.
            let below = durations.iter().rev().filter(|&&duration| duration < step.duration_s);
            let shorter =
                below.enumerate().filter(|(place, _)| [0, 1, 3, 6].contains(place)).map(|(_, duration)| duration);
            let longer = durations.iter().filter(|&&duration| duration > step.duration_s).take(2);
            for &duration_s in shorter.chain(longer) {
                found.push(with(place, Step { duration_s, look_s: self.look_near(duration_s, step.look_s), ..*step }));
            }
            let below = place.checked_sub(1).map_or(0, |before| schedule[before].exposure + 1);
            let above = schedule.get(place + 1).map_or(self.exposures.len(), |after| after.exposure);
            let moved = [step.exposure.checked_sub(1), Some(step.exposure + 1)].into_iter().flatten();
            for exposure in moved.filter(|exposure| (below..above).contains(exposure)) {
                found.push(with(place, Step { exposure, ..*step }));
            }
            if schedule.len() > 1 {
                let mut fewer = schedule.to_vec();
                fewer.remove(place);
                found.push(fewer);
            }
        }
        if let Some(widest) = schedule.first().map(|step| step.exposure).filter(|&widest| widest > 0)
            && schedule.len() < MOST_STEPS
        {
            for &duration_s in durations.iter().take(5) {
                let first = Step { exposure: widest / 2, duration_s, look_s: self.usual_look(duration_s) };
                found.push(std::iter::once(first).chain(schedule.iter().copied()).collect());
            }
        }
        for factor in [0.25, 4.0] {
            let look = |step: &Step| self.look_near(step.duration_s, (step.look_s as f64 * factor) as i64);
            found.push(schedule.iter().map(|step| Step { look_s: look(step), ..*step }).collect());
        }
        found.retain(|other| other != schedule && (self.onset_s + 1..=self.longest_s).contains(&length_s(other)));
        found.sort();
        found.dedup();
        found
    }

    /// The rule and those with the next budgets.
    #[must_use]
    pub fn levels_near(&self, rule: Rule) -> Vec<Rule> {
        let beside = |index: usize| {
            let same = |other: &usize| self.budgets[*other].1 == self.budgets[index].1;
            let others = [index.checked_sub(1), Some(index + 1)].into_iter().flatten();
            others.filter(|&other| other < self.budgets.len()).filter(same).collect::<Vec<_>>()
        };
        let others = rule.budget.map_or_else(Vec::new, beside);
        let with = |budget: usize| Rule { budget: Some(budget), ..rule };
        std::iter::once(rule).chain(others.into_iter().map(with)).collect()
    }

    /// The rule as written and with every third budget.
    #[must_use]
    pub fn first_rules(&self) -> Vec<Rule> {
        let budgets = (0..self.budgets.len()).filter(|index| index % 3 == 1);
        std::iter::once(Rule::default()).chain(budgets.map(|b| Rule { budget: Some(b), ..Rule::default() })).collect()
    }

    /// The rule with every test, and with a proof at the end.
    #[must_use]
    pub fn other_tests(&self, rule: Rule) -> Vec<Rule> {
        let tests = (0..self.tests.len()).map(|test| Rule { test: Some(test), ..rule });
        let proof = (self.proof && !rule.proof).then_some(Rule { proof: true, ..rule });
        let written = rule.test.is_some().then_some(Rule { test: None, ..rule });
        tests.chain(proof).chain(written).filter(|other| *other != rule).collect()
    }

    /// What a choice means for the text of the scenario.
    #[must_use]
    pub fn changes(&self, schedule: &[Step], rule: Rule) -> Changes {
        let fraction = |value: f64| Fraction::new(value).expect("a share");
        let step = |step: &Step| rewrite::Step {
            exposure: fraction(self.exposures[step.exposure]),
            duration: Seconds(step.duration_s),
            look_every: Seconds(step.look_s),
        };
        Changes {
            steps: schedule.iter().map(step).collect(),
            test: rule.test.map(|test| self.tests[test]),
            budget: rule.budget.map(|budget| (fraction(self.budgets[budget].0), self.budgets[budget].1)),
            proof_at_the_end: rule.proof,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::gate::Spending;

    pub(in crate::search) fn space() -> Space {
        Space {
            exposures: vec![0.01, 0.05, 0.2, 0.5],
            looks_s: vec![900, 3600, 21_600],
            slot_s: 900,
            longest_s: 5 * 86_400,
            onset_s: 0,
            tail_s: 0,
            tests: vec![(Test::GroupSequential(Spending::Pocock), Looks::All), (Test::Fixed, Looks::End)],
            budgets: vec![(0.05, Budget::Split), (0.2, Budget::Split), (0.5, Budget::Split), (0.1, Budget::Rollout)],
            proof: true,
        }
    }

    #[test]
    fn proposals_grow_fit_and_are_all_there() {
        let all = space().proposals();
        for schedule in &all {
            assert!(schedule.windows(2).all(|pair| pair[0].exposure < pair[1].exposure));
            assert!(schedule.iter().all(|step| step.duration_s % step.look_s == 0));
            assert!(length_s(schedule) <= 5 * 86_400 && schedule.len() <= MOST_STEPS);
        }
        // Nine durations fit; of one stage each with four exposures.
        assert_eq!(all.iter().filter(|schedule| schedule.len() == 1).count(), 4 * 9);
        let mut distinct = all.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn neighbours_are_near_and_lead_anywhere() {
        let step = |exposure: usize, hours: i64| Step { exposure, duration_s: hours * 3600, look_s: 3600 };
        let start = vec![step(1, 12), step(3, 48)];
        let near = space().neighbours(&start);
        assert!(!near.contains(&start));
        for wanted in [vec![step(1, 12), step(3, 42)], vec![step(3, 48)], vec![step(1, 12), step(2, 48)]] {
            assert!(near.contains(&wanted), "{wanted:?}");
        }
        assert!(near.iter().any(|other| other.len() == 3 && other[0].exposure == 0), "an earlier stage may come first");
        assert!(near.iter().any(|other| other[1].look_s == 900), "looks may be closer");
        assert!(near.iter().all(|other| other.windows(2).all(|pair| pair[0].exposure < pair[1].exposure)));
    }

    #[test]
    fn every_effect_sets_in_before_the_end() {
        let space = Space { onset_s: 36 * 3600, ..space() };
        let all = space.proposals();
        assert!(!all.is_empty() && all.iter().all(|schedule| length_s(schedule) > 36 * 3600));
        assert!(space.neighbours(&all[0]).iter().all(|schedule| length_s(schedule) > 36 * 3600));
    }

    #[test]
    fn levels_stay_in_their_way_of_keeping_a_budget() {
        let of = |budget| Rule { budget: Some(budget), ..Rule::default() };
        assert_eq!(space().levels_near(of(2)), [of(2), of(1)]);
        assert_eq!(space().levels_near(of(3)), [of(3)]);
        assert_eq!(space().levels_near(Rule::default()), [Rule::default()]);
        assert_eq!(space().other_tests(Rule::default()).len(), 3);
    }
}
