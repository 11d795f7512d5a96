//! Endings of strategies → what each does, needs and costs in every world, over the same time.

use super::comparison::{Moments, is_bad};
use super::player::times;
use super::recovery::{Rollback, served_until};
use super::rows::{kind, share, spread};
use super::variants::{Block, BlockLane, Ending, Kind, worlds};
use crate::assign::KeyedHash;
use crate::digest::Digest;
use crate::domain::quantity::Seconds;
use crate::domain::world::World;
use crate::gate::stage::StagePlace;
use crate::report::strategies::{StrategyRow, StrategyWorld};
use crate::scenario::Scenario;
use crate::scenario::strategies::{Strategy, Way};

/// A draw that belongs to a replicate and to none of its units; beside those of its rollback.
const OF_NO_UNIT: u64 = 0;
const BLOCK_STREAM: u32 = 1 << 31;

/// What does not change from replicate to replicate.
#[derive(Debug, Clone, Copy)]
pub struct Prices {
    /// US dollars of judging one version's answer to one request, by all judges together.
    pub judge_usd: f64,
    /// Requests of the log per second.
    pub requests_per_s: f64,
}

impl Prices {
    /// Those of a scenario on a log.
    #[must_use]
    pub fn of(scenario: &Scenario, digest: &Digest) -> Self {
        let judges = scenario.metrics.iter().map(|metric| &metric.judge);
        let judge_usd = judges.map(|judge| judge.cost_usd.unwrap_or(0.0) * judge.share.unwrap_or(1.0)).sum();
        let requests_per_s = digest.facts.rows as f64 / (digest.end().0 - digest.first.0) as f64;
        Self { judge_usd, requests_per_s }
    }
}

/// Counts of one world.
#[derive(Debug, Clone, Default)]
struct WorldTally {
    /// Replicates; and of those blocked, with everyone on the candidate at some time, promoted, rolled back, stalled, and rolled back for harm.
    n: f64,
    blocked: f64,
    reached: f64,
    promoted: f64,
    rolled_back: f64,
    stalled: f64,
    found: f64,
    requests: Moments,
    units: Moments,
    harmed: Moments,
    replica_s: Moments,
    judge_usd: Moments,
    /// From the onset until everyone is back, of those rolled back for harm.
    recovery_s: Vec<f64>,
}

impl WorldTally {
    fn add(&mut self, kind: Kind, blocked: bool, did: Did, onset_s: i64) {
        self.n += 1.0;
        match kind {
            _ if blocked => self.blocked += 1.0,
            Kind::Promoted => self.promoted += 1.0,
            Kind::Stalled => self.stalled += 1.0,
            Kind::Harm | Kind::Noise | Kind::NoData => self.rolled_back += 1.0,
        }
        self.reached += f64::from(u8::from(!blocked && did.reached));
        if !blocked && kind == Kind::Harm {
            self.found += 1.0;
            self.recovery_s.push((did.back_s - onset_s) as f64);
        }
        self.requests.add(did.requests);
        self.units.add(did.units);
        self.harmed.add(did.harmed);
        self.replica_s.add(did.replica_s);
        self.judge_usd.add(did.judge_usd);
    }
}

/// Counts of one strategy.
pub struct Tally<'a> {
    strategy: &'a Strategy,
    prices: Prices,
    kinds: Vec<World>,
    /// Per world.
    blocked: Vec<f64>,
    /// Per world: seconds from the first request of the candidate until its regression sets in.
    onsets: Vec<i64>,
    places: Vec<StagePlace>,
    seconds: Vec<i64>,
    worlds: Vec<WorldTally>,
    /// Means over the worlds of a bad candidate, replicate by replicate: kept, requests, units, hours of replicas and dollars for judges.
    bad: [Moments; 5],
}

/// What one replicate did in one world.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Did {
    requests: f64,
    units: f64,
    harmed: f64,
    replica_s: f64,
    judge_usd: f64,
    back_s: i64,
    /// Everyone had the candidate at some time.
    reached: bool,
}

impl<'a> Tally<'a> {
    /// Nothing counted yet; `blocked` is by world's name, and empty without a mirror.
    #[must_use]
    pub fn new(strategy: &'a Strategy, places: &[StagePlace], prices: Prices, blocked: &[(String, f64)]) -> Self {
        let scenario = &strategy.scenario;
        let kinds = worlds(scenario);
        let of_world = |world: &World| {
            let name = scenario.world_name(*world);
            blocked.iter().find(|(other, _)| *other == name).map_or(0.0, |&(_, chance)| chance)
        };
        let onset = |world: &World| match world {
            World::Effect(effect) => scenario.effects[*effect].onset.0,
            _ => 0,
        };
        Self {
            strategy,
            prices,
            blocked: kinds.iter().map(of_world).collect(),
            onsets: kinds.iter().map(onset).collect(),
            places: places.to_vec(),
            seconds: times(places),
            worlds: vec![WorldTally::default(); kinds.len()],
            bad: [Moments::default(); 5],
            kinds,
        }
    }

    /// Number of worlds.
    #[must_use]
    pub fn count(&self) -> usize {
        self.kinds.len()
    }

    /// Counts some blocks, in which the worlds of this strategy begin at an index.
    pub fn add(&mut self, blocks: &[Block], first_world: usize) {
        for lane in blocks.iter().flat_map(Block::lanes) {
            let rollback = Rollback::of_replicate(&self.strategy.scenario, lane.replicate).total();
            let seed = self.strategy.scenario.simulation.seed;
            let drawn = KeyedHash::of_replicate(seed, lane.replicate as u64).uniform(OF_NO_UNIT, BLOCK_STREAM);
            let mut means = [0.0; 5];
            let bad = self.kinds.iter().filter(|world| is_bad(**world, &self.strategy.scenario)).count() as f64;
            for world in 0..self.kinds.len() {
                let ending = lane.endings[first_world + world];
                let blocked = drawn < self.blocked[world];
                let did = self.did(lane, ending, self.onsets[world], rollback, blocked);
                self.worlds[world].add(ending.kind, blocked, did, self.onsets[world]);
                if is_bad(self.kinds[world], &self.strategy.scenario) {
                    let kept = f64::from(u8::from(!blocked && ending.kind == Kind::Promoted));
                    let parts = [kept, did.harmed, did.units, did.replica_s / 3600.0, did.judge_usd];
                    means.iter_mut().zip(parts).for_each(|(mean, part)| *mean += part / bad);
                }
            }
            self.bad.iter_mut().zip(means).for_each(|(sums, mean)| sums.add(mean));
        }
    }

    /// Counts to the horizon: a rollback that is not carried out by then, and a stage where a person has to decide, go on until then.
    fn did(&self, lane: BlockLane<'_>, ending: Ending, onset_s: i64, rollback: Seconds, blocked: bool) -> Did {
        let mirrored = self.strategy.mirrored.0 as f64;
        // Both answers to a mirrored request are judged.
        let mirror_usd = 2.0 * mirrored * self.prices.requests_per_s * self.prices.judge_usd;
        if blocked {
            return Did { replica_s: mirrored, judge_usd: mirror_usd, ..Did::default() };
        }
        let horizon = *self.seconds.last().expect("there is a time at no looks");
        let looks = ending.looks as usize;
        let ended = self.seconds[looks];
        let left = horizon - ended;
        let after = match ending.kind {
            Kind::Promoted => 0,
            Kind::Stalled => left,
            Kind::Harm | Kind::Noise | Kind::NoData => rollback.0.min(left),
        };
        let (requests, units) = served_until(lane.served, looks, &self.places, Seconds(after));
        let both: Vec<(f64, f64)> = lane.traffic.iter().map(|&requests| (requests, 0.0)).collect();
        let before = self.seconds.partition_point(|&at| at <= onset_s) - 1;
        let since = Seconds(onset_s - self.seconds[before]);
        let fine = served_until(lane.served, before, &self.places, since).0;
        Did {
            requests,
            units,
            harmed: (requests - fine).max(0.0),
            replica_s: mirrored + self.replica_s(lane, looks, after),
            judge_usd: mirror_usd + served_until(&both, looks, &self.places, Seconds(after)).0 * self.prices.judge_usd,
            // What is not capped: how long it takes.
            back_s: ended + rollback.0,
            reached: ending.kind == Kind::Promoted || self.full().is_some_and(|place| looks > place.first_look),
        }
    }

    /// The stage in which everyone gets the candidate; without one, that comes after the last.
    fn full(&self) -> Option<&StagePlace> {
        self.places.iter().find(|place| place.plan.looks() > 0 && place.plan.exposure >= 1.0)
    }

    /// Replicas on top of the service's own, times seconds. Stable keeps what it needs to take everyone back.
    fn replica_s(&self, lane: BlockLane<'_>, looks: usize, after_s: i64) -> f64 {
        match self.strategy.way {
            // In place.
            Way::BigBang | Way::ShadowFirst => 0.0,
            Way::BlueGreen => (self.seconds[looks] + after_s) as f64,
            Way::AsWritten | Way::Half => {
                let stages = self.places.iter().zip(&self.strategy.scenario.stages);
                let entered = stages.filter(|(place, _)| place.first_look < looks && place.plan.looks() > 0);
                let stages = entered.map(|(place, stage)| {
                    let here = (looks - place.first_look).min(place.plan.looks());
                    let time = (here as i64 * place.look_every().0) as f64;
                    let exposure = if stage.asks_who() { share_served(lane, place, here) } else { place.plan.exposure };
                    (exposure, time)
                });
                let stages: Vec<(f64, f64)> = stages.collect();
                let last = stages.last().map_or(0.0, |&(exposure, _)| exposure);
                stages.iter().map(|(exposure, time)| exposure * time).sum::<f64>() + last * after_s as f64
            }
        }
    }

    /// The strategy in one row. Means are over the worlds of a bad candidate.
    #[must_use]
    pub fn row(&self) -> StrategyRow {
        let worlds = self.worlds();
        let null = self.kinds.iter().position(|world| *world == World::Null).expect("every run plays the null world");
        let bad = self.kinds.iter().zip(&self.worlds).filter(|(world, _)| is_bad(**world, &self.strategy.scenario));
        let recovery: Vec<f64> = bad.flat_map(|(_, tally)| tally.recovery_s.iter().copied()).collect();
        let [bad_kept, harmed_requests, exposed_units, replica_hours, judge_usd] = self.bad.map(Moments::estimate);
        StrategyRow {
            name: self.strategy.way.name().into(),
            good_kept: worlds[null].kept,
            time_to_full_s: worlds[null].time_to_full_s,
            bad_kept,
            harmed_requests,
            exposed_units,
            recovery_s: spread(recovery.into_iter()),
            replica_hours,
            judge_usd,
            worlds,
        }
    }

    fn worlds(&self) -> Vec<StrategyWorld> {
        self.kinds.iter().zip(&self.worlds).map(|(world, tally)| self.world(*world, tally)).collect()
    }

    fn world(&self, world: World, tally: &WorldTally) -> StrategyWorld {
        let of = |count: f64| share(count, tally.n);
        let scenario = &self.strategy.scenario;
        let horizon = *self.seconds.last().expect("there is a time at no looks");
        let to_full = self.strategy.mirrored.0 + self.full().map_or(horizon, |place| self.seconds[place.first_look]);
        StrategyWorld {
            world: scenario.world_name(world),
            kind: kind(world).into(),
            bad: is_bad(world, scenario),
            blocked: of(tally.blocked),
            reached_full: of(tally.reached),
            time_to_full_s: (tally.reached > 0.0).then_some(to_full as f64),
            kept: of(tally.promoted),
            rolled_back: of(tally.rolled_back),
            stalled: of(tally.stalled),
            found: of(tally.found),
            recovery_s: spread(tally.recovery_s.iter().copied()),
            exposed_requests: tally.requests.estimate(),
            exposed_units: tally.units.estimate(),
            harmed_requests: tally.harmed.estimate(),
            replica_hours: tally.replica_s.estimate().times(1.0 / 3600.0),
            judge_usd: tally.judge_usd.estimate(),
        }
    }
}

/// The candidate's share of the requests during so many looks of a stage.
fn share_served(lane: BlockLane<'_>, place: &StagePlace, looks: usize) -> f64 {
    let during = |by_look: &dyn Fn(usize) -> f64| {
        let before = place.first_look.checked_sub(1).map_or(0.0, by_look);
        by_look(place.first_look + looks - 1) - before
    };
    let all = during(&|look| lane.traffic[look]);
    if all > 0.0 { during(&|look| lane.served[look].0) / all } else { 0.0 }
}
