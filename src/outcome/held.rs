//! Replicates whose stages are held while a gate waits: what comes after a held stage starts later, on other traffic.
//!
//! A stage is replayed through every look at which it could still be held, so its own end is known from one replay. Whoever is held then needs
//! another one, in which the later stages start as much later; worlds that are held alike share it. A stage that was settled stays as it was,
//! so there are at most as many rounds as stages.

use std::collections::BTreeMap;

use super::player::{GatePlan, Planned, Played, Player, Screens, WorldOutcome, served, served_through};
use super::recovery::People;
use super::tally::FAN_POINTS;
use crate::domain::quantity::{Moment, Seconds};
use crate::domain::world::World;
use crate::gate::schedule::{self, Calendar, End, Prolonged};
use crate::gate::stage::{StagePlace, StageVerdicts};
use crate::scenario::{Null, Scenario};
use crate::simulate::lanes::Lane;

/// A replicate that is replayed again: its index in the block, and how many looks each stage is held.
type Again = (usize, Vec<usize>);

/// How a replicate ends in a world, and how many looks each stage was held.
type Held = (WorldOutcome, Vec<usize>);

/// Those, and in which worlds.
type Rounds = BTreeMap<Again, Vec<usize>>;

/// What every gate said under a lens, per stage.
type Said = BTreeMap<(usize, usize), Vec<Option<StageVerdicts>>>;

/// The people of one replicate.
struct PeopleFrom<'a> {
    scenario: &'a Scenario,
    start: Moment,
    people: &'a People,
}

impl PeopleFrom<'_> {
    fn after(&self, seconds: i64) -> Moment {
        Moment(self.start.0 + seconds)
    }
}

impl Calendar for PeopleFrom<'_> {
    fn leave(&self, stage: usize, seconds: i64, asked: bool) -> usize {
        let work = Some(self.people.approvals[stage]).filter(|_| asked);
        self.scenario.looks_to_leave(stage, self.after(seconds), work)
    }

    fn resume(&self, stage: usize, seconds: i64, pause: usize) -> usize {
        // Without anybody to come, no stage has time for a pause.
        let Some(resume) = self.scenario.rollout.resume else { return usize::MAX };
        let asked = self.after(seconds);
        let comes = self.scenario.answered(resume.answer, asked, self.people.resume(resume.answer.delay, stage, pause));
        Seconds(comes.0.saturating_sub(asked.0)).steps(self.scenario.stages[stage].look_every)
    }
}

impl Player<'_> {
    /// Whether any stage may take longer than its duration.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.simulator.plan.iter().any(|plan| plan.beyond() > 0)
    }

    /// Seconds from the start at which the requests served are kept, where stages may be held: evenly, to the end of the longest rollout.
    #[must_use]
    pub fn fan_times(&self) -> Vec<i64> {
        let longest =
            self.simulator.plan.iter().map(|plan| plan.slots).sum::<usize>() as i64 * self.scenario.log.slot.0;
        let points = FAN_POINTS as i64;
        (1..=points).map(|point| longest * point / points).collect()
    }

    /// Plays a block of replicates from their starts; `lanes` makes those of some of them, by index, and their twins, and `people` says how
    /// long those take who decide. What is told of gates is of stages that start when none before was held.
    pub(super) fn play_held(
        &self,
        starts: &[usize],
        lanes: impl Fn(&[usize]) -> Vec<(usize, Lane)>,
        people: impl Fn(usize) -> People,
    ) -> Vec<Played> {
        let nothing = vec![0; self.simulator.plan.len()];
        let everyone: Vec<usize> = (0..starts.len()).collect();
        let played = self.with_twins(lanes(&everyone), |index, twins, planned| {
            self.first_round(&Screens::new(&self.simulator.layout, twins), planned, starts[index], &people(index))
        });
        let mut again = Rounds::new();
        let settle = |again: &mut Rounds, (index, path): (usize, &[usize]), world: usize, end: End, held: &[usize]| {
            if let Some(next) = self.held_otherwise(path, end, held) {
                again.entry((index, next)).or_default().push(world);
            }
        };
        for (index, (replicate, held)) in played.iter().enumerate() {
            for (world, (found, held)) in replicate.worlds.iter().zip(held).enumerate() {
                settle(&mut again, (index, &nothing), world, found.outcome.end, held);
            }
        }
        let mut played: Vec<Played> = played.into_iter().map(|(replicate, _)| replicate).collect();
        while !again.is_empty() {
            let mut round: Vec<(Again, Vec<usize>)> = std::mem::take(&mut again).into_iter().collect();
            // Neighbours that start alike and are held alike share a replay.
            round.sort_by(|((one, a), _), ((other, b), _)| (starts[*one], a, one).cmp(&(starts[*other], b, other)));
            for part in round.chunks(self.lanes_of_block()) {
                let which: Vec<usize> = part.iter().map(|((index, _), _)| *index).collect();
                let paths: Vec<&[usize]> = part.iter().map(|((_, path), _)| path.as_slice()).collect();
                let found = self.with_held_twins(lanes(&which), &paths, |at, twins, planned| {
                    let ((index, _), worlds) = &part[at];
                    let screens = Screens::new(&self.simulator.layout, twins);
                    self.held_worlds(worlds, &screens, planned, (starts[*index], &people(*index)), &mut Said::new())
                });
                for (((index, path), worlds), outcomes) in part.iter().zip(found) {
                    for (&world, (outcome, held)) in worlds.iter().zip(outcomes) {
                        settle(&mut again, (*index, path), world, outcome.outcome.end, &held);
                        played[*index].worlds[world] = outcome;
                    }
                }
            }
        }
        played
    }

    /// Every world of a replicate in which nothing was held yet, and what every gate says.
    fn first_round(
        &self,
        screens: &Screens<'_>,
        planned: &Planned,
        start: usize,
        people: &People,
    ) -> (Played, Vec<Vec<usize>>) {
        let mut said = Said::new();
        let everything: Vec<usize> = (0..self.worlds.len()).collect();
        let found = self.held_worlds(&everything, screens, planned, (start, people), &mut said);
        let (worlds, held) = found.into_iter().unzip();
        let mut verdicts = |(gate, plan): (usize, &GatePlan)| {
            let of_lens = |(lens, &told): (usize, &bool)| {
                if !told {
                    return Vec::new();
                }
                let asked = || self.verdicts(gate, &plan.lenses[lens], screens, planned, &self.boundaries);
                said.remove(&(gate, lens)).unwrap_or_else(asked)
            };
            plan.told.iter().enumerate().map(of_lens).collect()
        };
        let verdicts = self.gates.iter().enumerate().map(&mut verdicts).collect();
        let places = self.places();
        let served = served(screens.served(false), &places);
        (Self::told(screens, &places, worlds, verdicts, served), held)
    }

    /// How the stages before the one it ended in were held, where that is not how they were replayed: right up to the first that differs.
    fn held_otherwise(&self, path: &[usize], end: End, held: &[usize]) -> Option<Vec<usize>> {
        let last = self.simulator.plan.iter().rposition(|plan| plan.looks() > 0)?;
        let ended = match end {
            End::Promoted => last,
            End::RolledBack { stage, .. } | End::Stalled { stage, .. } => stage.min(last),
        };
        let first = (0..ended).find(|&stage| held[stage] != path[stage])?;
        let mut next = path.to_vec();
        next[first] = held[first];
        next[first + 1..].fill(0);
        Some(next)
    }

    /// How a replay ends in some worlds; `said` remembers what gates said under lenses that worlds share.
    fn held_worlds(
        &self,
        worlds: &[usize],
        screens: &Screens<'_>,
        planned: &Planned,
        (start, people): (usize, &People),
        said: &mut Said,
    ) -> Vec<Held> {
        let places = self.places();
        let calendar = PeopleFrom { scenario: self.scenario, start: self.simulator.moment_at(start), people };
        let mut of_world = |&world: &usize| {
            let lens = |gate: usize| self.gates[gate].lens_of_world[world];
            for gate in 0..self.gates.len() {
                let key = (gate, lens(gate));
                said.entry(key).or_insert_with(|| {
                    self.verdicts(gate, &self.gates[gate].lenses[key.1], screens, planned, &self.boundaries)
                });
            }
            let Prolonged { outcome, held, pauses } =
                schedule::held_outcome(self.scenario, &places, |gate| &said[&(gate, lens(gate))], &calendar);
            let stage = match outcome.end {
                End::Promoted => places.len(),
                End::RolledBack { stage, .. } | End::Stalled { stage, .. } => stage,
            };
            let swapped = self.worlds[world] == World::Null && self.scenario.simulation.null == Null::Swap;
            let reader = screens.served(swapped);
            let places = self.held_places(&held);
            let served = served_through(reader, &places, stage);
            let mut found = self.outcome(world, outcome, reader, &places, &served, people.rollback);
            found.fan = self.fan(&found, &places, &served);
            found.pauses = pauses;
            (found, held)
        };
        worlds.iter().map(&mut of_world).collect()
    }

    /// Requests that a rollout has served by each moment of the fan.
    fn fan(&self, found: &WorldOutcome, places: &[StagePlace], served: &[(f64, f64)]) -> Vec<f32> {
        let mut times = Vec::new();
        let mut seconds = 0;
        for place in places {
            for look in 0..place.ended().min(found.outcome.looks.saturating_sub(place.first_look)) {
                seconds += place.look_every().0;
                times.push((seconds, served[place.first_look + look].0));
            }
        }
        let by = |&moment: &i64| {
            let passed = times.partition_point(|&(seconds, _)| seconds <= moment);
            let requests = if moment >= found.duration_s {
                found.exposed_requests
            } else {
                passed.checked_sub(1).map_or(0.0, |look| times[look].1)
            };
            requests as f32
        };
        self.fan_times().iter().map(by).collect()
    }
}
