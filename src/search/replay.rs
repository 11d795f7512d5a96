//! Trials → values: each schedule is simulated once, and every rule is judged on it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Trial;
use super::space::{Rule, Space, Step};
use super::standing::{Bad, Values};
use crate::digest::Digest;
use crate::domain::quantity::Moment;
use crate::domain::world::World;
use crate::error::Result;
use crate::outcome::comparison::{self, Reference, Tally};
use crate::outcome::variants::{Variants, union, worlds};
use crate::report::Share;
use crate::report::comparison::{Estimate, VariantWorld};
use crate::scenario::{Scenario, rewrite};
use crate::simulate::Simulator;

/// Start times of rounds with fewer replicates than the last: replicates with the same start share what cells add, and a hundred replicates
/// from two hundred starts would share nothing.
const STARTS: usize = 24;

/// What trials are replayed on.
pub struct Bench<'a> {
    /// The log.
    pub digest: &'a Digest,
    /// The user's scenario.
    pub scenario: &'a Scenario,
    /// Its text.
    pub text: &'a str,
    /// What may be chosen.
    pub space: &'a Space,
    /// Effects past a margin, by index into the scenario's.
    pub bad: &'a [usize],
    /// Moments at which a scenario may start.
    pub starts: &'a dyn Fn(&Scenario) -> Result<Vec<Moment>>,
    /// Set to stop.
    pub stop: &'a AtomicBool,
    /// Hears of replicates that are done.
    pub advance: &'a dyn Fn(usize),
}

/// What came of a scenario.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// In terms of limits.
    pub values: Values,
    /// Per world.
    pub worlds: Vec<VariantWorld>,
    /// Number of start times.
    pub starts: usize,
}

impl Bench<'_> {
    /// The scenario's text with a candidate in it, and what it says.
    ///
    /// # Errors
    /// A choice that this scenario does not take.
    pub fn written(&self, schedule: &[Step], rule: Rule) -> Result<(String, Scenario)> {
        let text = rewrite::rewritten(self.scenario, self.text, &self.space.changes(schedule, rule))?;
        let mut scenario = Scenario::parse(&self.scenario.path, &text)?;
        scenario.simulation = self.scenario.simulation;
        Ok((text, scenario))
    }

    /// Values of each rule of each trial; nothing when stopped.
    #[must_use]
    pub fn replay(&self, trials: &[Trial], replicates: usize) -> Option<Vec<Vec<Values>>> {
        trials.iter().map(|trial| self.trial(trial, replicates)).collect()
    }

    fn trial(&self, trial: &Trial, replicates: usize) -> Option<Vec<Values>> {
        let made: Vec<Option<Scenario>> = trial
            .rules
            .iter()
            .map(|&rule| {
                let (_, mut scenario) = self.written(&trial.schedule, rule).ok()?;
                scenario.simulation.replicates = replicates;
                Some(scenario)
            })
            .collect();
        let scenarios: Vec<Scenario> = made.iter().flatten().cloned().collect();
        let mut values = self.together(&scenarios, self.bad)?.into_iter();
        (self.advance)(if values.len() == 0 { replicates } else { 0 });
        // What the scenario does not take, or no start leaves room for, keeps no limit.
        Some(
            made.iter()
                .map(|made| {
                    made.as_ref().and_then(|_| values.next()).map_or_else(|| self.never(), |found| found.values)
                })
                .collect(),
        )
    }

    /// What comes of scenarios with the same stages, starts and effects; `bad` are indices of effects. Nothing when stopped, an empty list where
    /// no start leaves room.
    #[must_use]
    pub fn together(&self, scenarios: &[Scenario], bad: &[usize]) -> Option<Vec<Replayed>> {
        let Some(first) = scenarios.first() else { return Some(Vec::new()) };
        let Ok(mut starts) = (self.starts)(first) else { return Some(Vec::new()) };
        if first.simulation.replicates < self.scenario.simulation.replicates {
            starts = spread_over(&starts, STARTS);
        }
        let count = starts.len();
        let scenarios: Vec<&Scenario> = scenarios.iter().collect();
        let union = union(&scenarios);
        let simulator = Simulator::new(self.digest, &union);
        let judged = Variants::new(scenarios.clone(), &simulator, starts);
        let mut reference = Reference::new(first);
        let horizon_s = first.duration().0;
        let mut tallies: Vec<Tally<'_>> =
            scenarios.iter().map(|scenario| Tally::new(scenario, &judged.places, horizon_s, &reference)).collect();
        judged.play(self.stop, |blocks| {
            comparison::count(blocks, &mut tallies, &mut reference, false);
            (self.advance)(blocks.iter().map(|block| block.replicates.len()).sum());
        });
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let of = |(scenario, tally): (&&Scenario, &Tally<'_>)| {
            let rows = tally.worlds(true);
            Replayed { values: values(scenario, tally, &rows, bad), worlds: rows, starts: count }
        };
        Some(scenarios.iter().zip(&tallies).map(of).collect())
    }

    /// Of a candidate that cannot be replayed.
    fn never(&self) -> Values {
        let share = |share: f64| Share { share, low: share, high: share };
        let most = f64::from(u32::MAX);
        let bad = Bad { missed: share(1.0), exposed_requests: Estimate { mean: most, low: most, high: most } };
        Values {
            length_s: self.space.longest_s,
            promoted: share(0.0),
            false_rollback: share(1.0),
            bad: vec![bad; self.bad.len()],
        }
    }
}

/// At most so many of the starts, all over the log and over the hours of the day: multiples of the golden section keep apart, and no regular step
/// of theirs falls in with the days.
fn spread_over(starts: &[Moment], most: usize) -> Vec<Moment> {
    if starts.len() <= most {
        return starts.to_vec();
    }
    let place = |index: usize| ((index as f64 + 0.5) * 0.618_033_988_749_895).fract() * starts.len() as f64;
    let mut chosen: Vec<Moment> = (0..most).map(|index| starts[place(index) as usize]).collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

fn values(scenario: &Scenario, tally: &Tally<'_>, rows: &[VariantWorld], bad: &[usize]) -> Values {
    let kinds = worlds(scenario);
    let row = |world: World| &rows[kinds.iter().position(|&kind| kind == world).expect("a world of the scenario")];
    let of_effect = |&effect: &usize| {
        let row = row(World::Effect(effect));
        Bad { missed: row.promoted, exposed_requests: row.exposed_requests }
    };
    Values {
        length_s: scenario.duration().0,
        promoted: row(World::Null).promoted,
        false_rollback: tally.false_rollback(),
        bad: bad.iter().map(of_effect).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_starts_cover_the_log_and_the_hours() {
        let all: Vec<Moment> = (0..240).map(|hour| Moment(hour * 3600)).collect();
        let chosen = spread_over(&all, 24);
        assert!(chosen.len() >= 20 && chosen.windows(2).all(|pair| pair[0] < pair[1]));
        let mut hours: Vec<i64> = chosen.iter().map(|start| start.0 / 3600 % 24 / 6).collect();
        hours.sort_unstable();
        hours.dedup();
        assert_eq!(hours.len(), 4, "every quarter of the day");
        let gap = chosen.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
        assert!(gap <= Some(24 * 3600), "{gap:?}");
        assert_eq!(spread_over(&all[..5], 24), all[..5]);
    }
}
