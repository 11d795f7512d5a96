//! Scenarios that need the same simulation, judged on the same trajectories: each distinct gate is asked once, then every scenario's
//! schedule is walked. Nothing is kept of a replicate but how it ended.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::player::{Ground, PlannedAt, Player, Twins, exposed_requests, time_of};
use crate::domain::quantity::Moment;
use crate::domain::rollout::Budget;
use crate::domain::world::World;
use crate::gate::lens::Lens;
use crate::gate::schedule::{self, End, Event, Outcome, Reason};
use crate::scenario::Scenario;
use crate::simulate::Simulator;
use crate::simulate::trajectory::Reader;

/// Blocks of replicates that are in memory at once.
const BLOCKS: usize = 8;

/// How a replicate ended in one world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// What happened.
    pub kind: Kind,
    /// Looks that had passed, over all stages.
    pub looks: u32,
}

/// What happened to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reached the end of the schedule.
    Promoted,
    /// A gate stopped the schedule until a person decides.
    Stalled,
    /// Rolled back, and the world's regression is past the failing margin.
    Harm,
    /// Rolled back, and it is not.
    Noise,
    /// Rolled back for too little data.
    NoData,
}

/// Replicates of one start, under every scenario.
pub struct Block {
    /// Their numbers.
    pub replicates: Vec<usize>,
    /// Per replicate and look: requests and units that the candidate has served, had nothing stopped the rollout.
    pub served: Vec<Vec<(f64, f64)>>,
    /// Per replicate and scenario: how each of its worlds ended.
    pub endings: Vec<Vec<Vec<Ending>>>,
}

/// Scenarios that need the same simulation.
pub struct Variants<'a> {
    scenarios: Vec<&'a Scenario>,
    /// As few as hold every distinct gate.
    players: Vec<Player<'a>>,
    judges: Vec<Judge>,
    /// Per scenario, world and gate: where the gate's events are.
    asked: Vec<Vec<Vec<usize>>>,
    /// Per place of events and question: whether the regression there is past the failing margin.
    harmful: Vec<Vec<bool>>,
    worlds: Vec<Vec<World>>,
    /// Seconds since the start, by looks that have passed.
    pub seconds: Vec<i64>,
}

/// A gate that one or more scenarios hold, and the lenses under which it is asked.
struct Judge {
    player: usize,
    gate: usize,
    /// Each with its place of events.
    lenses: Vec<(Lens, usize)>,
}

/// Whether two scenarios differ at most in what is decided, not in who is served when.
#[must_use]
pub fn same_simulation(a: &Scenario, b: &Scenario) -> bool {
    let same_schedule = a.stages == b.stages && a.rollout.start == b.rollout.start;
    same_digest(a, b) && same_schedule && a.effects == b.effects && a.simulation == b.simulation
}

/// Whether two scenarios read the same of a log.
#[must_use]
pub fn same_digest(a: &Scenario, b: &Scenario) -> bool {
    let (of_a, of_b) = (&a.assignment, &b.assignment);
    // Which bucket a unit is in depends on the platform; units themselves do not.
    let same_buckets =
        of_a.buckets == of_b.buckets && (of_a.buckets.is_none() || (of_a.hash == of_b.hash && of_a.salt == of_b.salt));
    a.log == b.log && of_a.unit == of_b.unit && same_buckets && a.metrics == b.metrics
}

/// Whether two gates say and do the same about every trajectory.
fn same_rule((a, of_a): (&Scenario, usize), (b, of_b): (&Scenario, usize)) -> bool {
    let same_promotion = a.rollout.promote == b.rollout.promote && a.rollout.pass_from == b.rollout.pass_from;
    let alpha = |scenario: &Scenario, gate: usize| (scenario.alpha_fail(gate).to_bits(), scenario.spends_once(gate));
    // A calibration looks at all gates together.
    let same_budget = match (calibrated(a), calibrated(b)) {
        (false, false) => true,
        (true, true) => a.gates == b.gates && a.rollout == b.rollout,
        _ => false,
    };
    a.gates[of_a] == b.gates[of_b] && same_promotion && same_budget && alpha(a, of_a) == alpha(b, of_b)
}

fn calibrated(scenario: &Scenario) -> bool {
    scenario.rollout.false_rollback.is_some() && scenario.rollout.budget == Budget::Calibrated
}

/// The worlds that variants are compared in: those of a run without the multiples of margins, of which power curves are made.
#[must_use]
pub fn worlds(scenario: &Scenario) -> Vec<World> {
    scenario.worlds().into_iter().filter(|world| !matches!(world, World::Multiple(..))).collect()
}

/// A scenario whose sums serve all of these, which need the same simulation: the first, with every distinct gate.
///
/// # Panics
/// Without a scenario.
#[must_use]
pub fn union(scenarios: &[&Scenario]) -> Scenario {
    let mut union = scenarios[0].clone();
    for gate in scenarios[1..].iter().flat_map(|scenario| &scenario.gates) {
        if !union.gates.contains(gate) {
            union.gates.push(gate.clone());
        }
    }
    union
}

impl<'a> Variants<'a> {
    /// Prepares scenarios that need the same simulation; `simulator` was made for their [`union`].
    #[must_use]
    pub fn new(scenarios: Vec<&'a Scenario>, simulator: &'a Simulator, starts: Vec<Moment>) -> Self {
        let ground = Ground::new(simulator, starts);
        let (rules, rule_of) = distinct_rules(&scenarios);
        let chosen = cover(&rule_of, rules.len());
        let judge = |rule: usize| {
            let holds =
                |player: usize| Some((player, rule_of[chosen[player]].iter().position(|&other| other == rule)?));
            let (player, gate) = (0..chosen.len()).find_map(holds).expect("the chosen hold every rule");
            Judge { player, gate, lenses: Vec::new() }
        };
        let mut judges: Vec<Judge> = (0..rules.len()).map(judge).collect();
        let player = |(index, &chosen): (usize, &usize)| {
            let scenario = scenarios[chosen];
            let needed = |gate: usize| judges.iter().any(|judge| (judge.player, judge.gate) == (index, gate));
            let asked = |gate: usize| calibrated(scenario) || needed(gate);
            Player::on(&ground, scenario, simulator, (0..scenario.gates.len()).map(asked).collect(), false)
        };
        let players: Vec<Player<'a>> = chosen.par_iter().enumerate().map(player).collect();
        let mut harmful: Vec<Vec<bool>> = Vec::new();
        let worlds: Vec<Vec<World>> = scenarios.iter().map(|scenario| worlds(scenario)).collect();
        let mut place = |scenario: &Scenario, world: World, gate: usize, rule: usize| {
            let lens =
                Lens::of(world, scenario.gates[gate].metric, scenario, &simulator.layout, &ground.levels_of_metrics);
            let known = judges[rule].lenses.iter().find(|(other, _)| *other == lens);
            if let Some(&(_, place)) = known {
                return place;
            }
            judges[rule].lenses.push((lens, harmful.len()));
            harmful.push(ground.harmful(scenario, gate, lens, simulator));
            harmful.len() - 1
        };
        let mut asked = Vec::with_capacity(scenarios.len());
        for ((scenario, worlds), rules) in scenarios.iter().zip(&worlds).zip(&rule_of) {
            let mut of_world = |world: &World| {
                rules.iter().enumerate().map(|(gate, &rule)| place(scenario, *world, gate, rule)).collect()
            };
            asked.push(worlds.iter().map(&mut of_world).collect());
        }
        let places = players[0].places();
        let looks: usize = places.iter().map(|place| place.plan.looks()).sum();
        let seconds = (0..=looks).map(|looks| time_of(looks, &places)).collect();
        Self { scenarios, players, judges, asked, harmful, worlds, seconds }
    }

    /// Number of distinct gates, and of ways of showing them their metric.
    #[must_use]
    pub fn questions(&self) -> (usize, usize) {
        (self.judges.len(), self.harmful.len())
    }

    /// Plays all replicates, a few blocks at a time, and hands them over in a fixed order. Stops when `stop` is set.
    pub fn play(&self, stop: &AtomicBool, mut receive: impl FnMut(&[Block])) {
        for chunk in self.players[0].blocks(self.scenarios[0].simulation.replicates).chunks(BLOCKS) {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let blocks: Vec<Block> = chunk.par_iter().map(|block| self.block(block)).collect();
            receive(&blocks);
        }
    }

    fn block(&self, block: &[(usize, usize)]) -> Block {
        let first = &self.players[0];
        let replayed = first.replay(first.lanes(block), self.players.iter().any(Player::tunes));
        let planned: Vec<PlannedAt> = self.players.iter().map(|player| player.planned_at(&replayed)).collect();
        let endings = replayed.twins().map(|(start, twins)| self.endings(start, twins, &planned)).collect();
        let places = first.places();
        let served = |(_, twins): (usize, Twins<'_>)| {
            let reader = Reader { layout: &first.simulator.layout, trajectory: twins.own };
            exposed_requests(reader, &places).into_iter().zip(twins.own.exposed_units.iter().copied()).collect()
        };
        let replicates = block.iter().map(|&(_, replicate)| replicate).collect();
        Block { replicates, served: replayed.twins().map(served).collect(), endings }
    }

    /// How one replicate ends under every scenario in each of its worlds.
    fn endings(&self, start: usize, twins: Twins<'_>, planned: &[PlannedAt]) -> Vec<Vec<Ending>> {
        let stages = self.scenarios[0].stages.len();
        let mut events: Vec<Option<Event>> = vec![None; self.harmful.len() * stages];
        for judge in &self.judges {
            let (player, planned) = (&self.players[judge.player], planned[judge.player].of(start));
            for &(lens, place) in &judge.lenses {
                // No scenario with this gate goes on from there.
                if let Some((stage, event)) = player.stop(judge.gate, &lens, twins, planned) {
                    events[place * stages + stage] = Some(event);
                }
            }
        }
        let of_scenario = |index: usize| {
            let of_world = |(world, places): (&World, &Vec<usize>)| {
                let scenario = self.scenarios[index];
                let outcome = schedule::walk_events(scenario, |gate, stage| events[places[gate] * stages + stage]);
                self.ending(scenario, *world, places, outcome)
            };
            self.worlds[index].iter().zip(&self.asked[index]).map(of_world).collect()
        };
        (0..self.scenarios.len()).map(of_scenario).collect()
    }

    fn ending(&self, scenario: &Scenario, world: World, places: &[usize], outcome: Outcome) -> Ending {
        let set_in = || match world {
            World::Effect(effect) => self.seconds[outcome.looks] > scenario.effects[effect].onset.0,
            _ => true,
        };
        let harm = |gate: usize, question: usize| set_in() && self.harmful[places[gate]][question];
        let kind = match outcome.end {
            End::Promoted => Kind::Promoted,
            End::Stalled { .. } => Kind::Stalled,
            End::RolledBack { reason: Reason::NoData, .. } => Kind::NoData,
            End::RolledBack { gate, reason: Reason::Failed(question), .. } if harm(gate, question) => Kind::Harm,
            End::RolledBack { gate, reason: Reason::Inconclusive, .. } if harm(gate, 0) => Kind::Harm,
            End::RolledBack { .. } => Kind::Noise,
        };
        Ending { kind, looks: outcome.looks as u32 }
    }
}

/// Distinct gates, and per scenario and gate the index of its like.
fn distinct_rules<'s>(scenarios: &[&'s Scenario]) -> (Vec<(&'s Scenario, usize)>, Vec<Vec<usize>>) {
    let mut rules: Vec<(&Scenario, usize)> = Vec::new();
    let mut rule_of = Vec::with_capacity(scenarios.len());
    for &scenario in scenarios {
        let mut find = |gate: usize| {
            rules.iter().position(|&rule| same_rule(rule, (scenario, gate))).unwrap_or_else(|| {
                rules.push((scenario, gate));
                rules.len() - 1
            })
        };
        rule_of.push((0..scenario.gates.len()).map(&mut find).collect());
    }
    (rules, rule_of)
}

/// A few scenarios that hold every rule: the first, then always the one that adds most.
fn cover(rule_of: &[Vec<usize>], rules: usize) -> Vec<usize> {
    let mut held = vec![false; rules];
    let mut chosen = Vec::new();
    let mut next = Some(0);
    while let Some(scenario) = next {
        chosen.push(scenario);
        rule_of[scenario].iter().for_each(|&rule| held[rule] = true);
        let adds = |scenario: &usize| rule_of[*scenario].iter().filter(|&&rule| !held[rule]).count();
        // Of equals the first.
        next = (0..rule_of.len()).rev().max_by_key(adds).filter(|scenario| adds(scenario) > 0);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_of_gates_is_covered_by_its_longest_side() {
        // Gates a, b and c in 4 forms each.
        let product: Vec<Vec<usize>> =
            (0..64).map(|index| vec![index / 16, 4 + index / 4 % 4, 8 + index % 4]).collect();
        let chosen = cover(&product, 12);
        assert_eq!((chosen[0], chosen.len()), (0, 4));
        let mut held: Vec<usize> = chosen.iter().flat_map(|&scenario| product[scenario].clone()).collect();
        held.sort_unstable();
        assert_eq!(held, (0..12).collect::<Vec<_>>());
    }
}
