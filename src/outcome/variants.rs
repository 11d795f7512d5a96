//! Scenarios that need the same simulation, judged on the same trajectories: each distinct gate is asked once, then every scenario's
//! schedule is walked. Nothing is kept of a replicate but how it ended.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::player::{Ground, PlannedAt, Player, Screens, Twins, served, times, traffic};
use crate::domain::quantity::Moment;
use crate::domain::rollout::Budget;
use crate::domain::world::World;
use crate::gate::lens::Lens;
use crate::gate::schedule::{self, End, Reason, Stop};
use crate::gate::stage::{StagePlace, StageVerdicts};
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
    /// Per replicate and look: requests that both versions have served.
    pub traffic: Vec<Vec<f64>>,
    /// Per replicate: how each world of each scenario ended, scenario by scenario.
    pub endings: Vec<Vec<Ending>>,
}

/// One replicate of a block.
#[derive(Clone, Copy)]
pub(super) struct BlockLane<'b> {
    pub(super) replicate: usize,
    pub(super) served: &'b [(f64, f64)],
    pub(super) traffic: &'b [f64],
    pub(super) endings: &'b [Ending],
}

impl Block {
    pub(super) fn lanes(&self) -> impl Iterator<Item = BlockLane<'_>> {
        let lanes = self.replicates.iter().zip(&self.served).zip(&self.traffic).zip(&self.endings);
        lanes.map(|(((&replicate, served), traffic), endings)| BlockLane { replicate, served, traffic, endings })
    }
}

/// Scenarios that need the same simulation.
pub struct Variants<'a> {
    scenarios: Vec<&'a Scenario>,
    /// As few as hold every distinct gate.
    players: Vec<Player<'a>>,
    judges: Vec<Judge>,
    /// Per scenario: its worlds.
    worlds: Vec<Vec<Asked>>,
    /// Per place of stops and question: whether the regression there is past the failing margin.
    harmful: Vec<Vec<bool>>,
    scores: Vec<Scored>,
    /// Seconds since the start, by looks that have passed.
    seconds: Vec<i64>,
    /// Where each stage's looks are.
    pub places: Vec<StagePlace>,
}

/// A gate that one or more scenarios hold, and the lenses under which it is asked.
struct Judge {
    player: usize,
    gate: usize,
    /// Each with its place of stops.
    lenses: Vec<(Lens, usize)>,
}

/// A world of a scenario.
struct Asked {
    /// Per gate: its place of stops.
    places: Vec<usize>,
    /// Index of the score of its gates, where some are Kayenta's.
    score: Option<usize>,
    /// Seconds until its regression sets in.
    onset_s: i64,
}

/// Kayenta's gates of a scenario in one world, whose score decides for all of them.
struct Scored {
    scenario: usize,
    /// Per gate: its place of stops.
    places: Vec<usize>,
}

/// Where a gate or a score stops a rollout.
#[derive(Clone, Copy)]
struct Stopped {
    /// What stops first is smallest.
    order: u64,
    ending: Ending,
}

/// Whether two scenarios differ at most in what is decided, not in who is served when.
#[must_use]
pub fn same_simulation(a: &Scenario, b: &Scenario) -> bool {
    let same_schedule =
        a.stages == b.stages && a.rollout.start == b.rollout.start && a.assignment.sticky == b.assignment.sticky;
    same_digest(a, b) && same_schedule && a.effects == b.effects && a.simulation == b.simulation
}

/// Whether two scenarios read the same of a log.
#[must_use]
pub fn same_digest(a: &Scenario, b: &Scenario) -> bool {
    let (of_a, of_b) = (&a.assignment, &b.assignment);
    // Which bucket a unit is in depends on the platform; units themselves do not.
    let same_buckets = of_a.buckets == of_b.buckets && (of_a.buckets.is_none() || of_a.platform == of_b.platform);
    let same_units = of_a.unit == of_b.unit && of_a.within == of_b.within;
    a.log == b.log && same_units && same_buckets && a.metrics == b.metrics
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
    let same_runs = a.gates[of_a].kayenta.is_none() || a.rollout.kayenta.interval == b.rollout.kayenta.interval;
    a.gates[of_a] == b.gates[of_b] && same_promotion && same_budget && same_runs && alpha(a, of_a) == alpha(b, of_b)
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
        let mut scores: Vec<Scored> = Vec::new();
        let mut asked = Vec::with_capacity(scenarios.len());
        for (index, (scenario, rules)) in scenarios.iter().zip(&rule_of).enumerate() {
            let of_world = |world: World| {
                let places: Vec<usize> =
                    rules.iter().enumerate().map(|(gate, &rule)| place(scenario, world, gate, rule)).collect();
                let score = score_of(index, &places, &scenarios, &mut scores);
                let onset_s = if let World::Effect(effect) = world { scenario.effects[effect].onset.0 } else { 0 };
                Asked { places, score, onset_s }
            };
            asked.push(worlds(scenario).into_iter().map(of_world).collect());
        }
        let places = players[0].places();
        Self { scenarios, players, judges, worlds: asked, harmful, scores, seconds: times(&places), places }
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
        let replayed = first.replay(first.lanes(block), &[], self.players.iter().any(Player::tunes));
        let planned: Vec<PlannedAt> = self.players.iter().map(|player| player.planned_at(&replayed)).collect();
        let endings = replayed.twins().map(|(start, twins)| self.endings(start, twins, &planned)).collect();
        let places = first.places();
        let by_look = |(_, twins): (usize, Twins<'_>)| {
            let reader = Reader { layout: &first.simulator.layout, trajectory: twins.served(false) };
            let served = served(reader, &places);
            let traffic = traffic(reader, &places, &served);
            (served, traffic)
        };
        let (served, traffic) = replayed.twins().map(by_look).unzip();
        first.simulator.take_back(replayed.into_trajectories());
        let replicates = block.iter().map(|&(_, replicate)| replicate).collect();
        Block { replicates, served, traffic, endings }
    }

    /// How one replicate ends in every world of every scenario.
    fn endings(&self, start: usize, twins: Twins<'_>, planned: &[PlannedAt]) -> Vec<Ending> {
        let screens = Screens::new(&self.players[0].simulator.layout, twins);
        let never =
            Stopped { order: u64::MAX, ending: Ending { kind: Kind::Promoted, looks: self.seconds.len() as u32 - 1 } };
        let mut stopped = vec![never; self.harmful.len()];
        let mut said: Vec<Vec<Option<StageVerdicts>>> = vec![Vec::new(); self.harmful.len()];
        for judge in &self.judges {
            let (player, planned) = (&self.players[judge.player], planned[judge.player].of(start));
            for &(lens, place) in &judge.lenses {
                if player.scenario.gates[judge.gate].kayenta.is_some() {
                    said[place] = player.verdicts(judge.gate, &lens, &screens, planned, &player.boundaries);
                } else if let Some(stop) = player.stop(judge.gate, &lens, &screens, planned) {
                    // No scenario with this gate goes on from there.
                    stopped[place] = self.stopped(&stop, &self.harmful[place]);
                }
            }
        }
        let scores: Vec<Option<(Stopped, usize)>> = self.scores.iter().map(|score| self.score(score, &said)).collect();
        let mut endings = Vec::with_capacity(self.worlds.iter().map(Vec::len).sum());
        for world in self.worlds.iter().flatten() {
            let mut first = never;
            let mut gate_of_first = 0;
            for (gate, &place) in world.places.iter().enumerate() {
                // Of gates that do the same at the same look, the first of the scenario counts.
                if stopped[place].order < first.order {
                    (first, gate_of_first) = (stopped[place], gate);
                }
            }
            if let Some((score, gate)) = world.score.and_then(|score| scores[score])
                && (score.order, gate) < (first.order, gate_of_first)
            {
                first = score;
            }
            let Ending { kind, looks } = first.ending;
            let set_in = self.seconds[looks as usize] > world.onset_s;
            endings.push(Ending { kind: if kind == Kind::Harm && !set_in { Kind::Noise } else { kind }, looks });
        }
        endings
    }

    /// Where a score stops a rollout, and the gate it is blamed on.
    fn score(&self, score: &Scored, said: &[Vec<Option<StageVerdicts>>]) -> Option<(Stopped, usize)> {
        let stop = schedule::scored(self.scenarios[score.scenario], |gate| &said[score.places[gate]])?;
        Some((self.stopped(&stop, &self.harmful[score.places[stop.gate]]), stop.gate))
    }

    /// What a stop amounts to, if its world's regression has set in.
    fn stopped(&self, stop: &Stop, harmful: &[bool]) -> Stopped {
        let outcome = stop.outcome(self.places[stop.stage].first_look, self.places[stop.stage].plan.looks());
        let kind = match outcome.end {
            End::Promoted => Kind::Promoted,
            End::Stalled { .. } => Kind::Stalled,
            End::RolledBack { reason: Reason::NoData, .. } => Kind::NoData,
            End::RolledBack { reason: Reason::Failed(question), .. } if harmful[question] => Kind::Harm,
            End::RolledBack { reason: Reason::Inconclusive, .. } if harmful[0] => Kind::Harm,
            End::RolledBack { .. } => Kind::Noise,
        };
        Stopped { order: stop.order(), ending: Ending { kind, looks: outcome.looks as u32 } }
    }
}

/// Index of the score of a scenario's gates at their places of stops; none where no gate is Kayenta's.
fn score_of(scenario: usize, places: &[usize], scenarios: &[&Scenario], scores: &mut Vec<Scored>) -> Option<usize> {
    let own = scenarios[scenario];
    let judged = |gate: &usize| own.gates[*gate].kayenta.is_some();
    (0..places.len()).find(judged)?;
    // Places tell gates apart; the score has rules of its own.
    let same = |other: &Scored| {
        let (gates, rule) = (&scenarios[other.scenario].gates, &scenarios[other.scenario].rollout.kayenta);
        gates.len() == places.len()
            && *rule == own.rollout.kayenta
            && (0..places.len()).all(|gate| {
                gates[gate].kayenta.is_some() == judged(&gate) && (!judged(&gate) || other.places[gate] == places[gate])
            })
    };
    Some(scores.iter().position(same).unwrap_or_else(|| {
        scores.push(Scored { scenario, places: places.to_vec() });
        scores.len() - 1
    }))
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
