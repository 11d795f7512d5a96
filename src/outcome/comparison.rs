//! Endings of variants → counts → rows of the comparison.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::player::times;
use super::recovery::{Rollback, served_until};
use super::rows::{kind, share, spread};
use super::variants::{Block, BlockLane, Ending, Kind, worlds};
use crate::domain::quantity::Seconds;
use crate::domain::world::World;
use crate::gate::stage::StagePlace;
use crate::report::Share;
use crate::report::comparison::{Differences, Estimate, VariantWorld};
use crate::scenario::Scenario;
use crate::stats::normal;

/// What is measured of a replicate of a variant over all its worlds, in this order.
const MEASURES: usize = 6;
const FALSE_ROLLBACK: usize = 0;
const GOOD_STOPPED: usize = 1;
const MISSED: usize = 2;
const TIME_TO_DETECT: usize = 3;
const REQUESTS: usize = 4;
const UNITS: usize = 5;

/// What is measured of a replicate in one world: promoted, rolled back, requests.
const OF_WORLD: usize = 3;

/// Sums of a sample.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    n: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    pub(super) fn add(&mut self, value: f64) {
        self.n += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    /// The mean with its normal 95 % interval; the variance over replicates has n - 1 in its denominator.
    pub(super) fn estimate(self) -> Estimate {
        let mean = self.sum / self.n;
        // Rounding must not make a sample without spread negative.
        let variance = ((self.squares - self.n * mean * mean) / (self.n - 1.0).max(1.0)).max(0.0);
        let half = normal::upper_quantile(0.025) * (variance / self.n).sqrt();
        Estimate { mean, low: mean - half, high: mean + half }
    }
}

/// What the first variant did in one replicate: what the others are paired with.
#[derive(Debug, Clone)]
struct Replicate {
    measures: [f64; MEASURES],
    worlds: Vec<[f64; OF_WORLD]>,
}

/// The replicates of the first variant.
#[derive(Debug, Default)]
pub struct Reference {
    worlds: Vec<String>,
    replicates: BTreeMap<usize, Replicate>,
}

/// Counts of one world.
#[derive(Debug, Clone)]
struct WorldTally {
    /// By [`Kind`].
    counts: [f64; 5],
    /// Replicates by the looks after which they ended.
    ended: Vec<u32>,
    /// Those rolled back for harm.
    found: Vec<u32>,
    requests: Moments,
    units: Moments,
    paired: [Moments; OF_WORLD],
    /// The first variant's world of the same name.
    reference: Option<usize>,
}

/// Counts of one variant. They do not grow with the number of replicates.
pub struct Tally<'a> {
    scenario: &'a Scenario,
    kinds: Vec<World>,
    /// Worlds of a bad candidate, with the seconds until their regression sets in.
    bad: Vec<(usize, i64)>,
    null: usize,
    horizon_s: i64,
    seconds: Vec<i64>,
    places: Vec<StagePlace>,
    worlds: Vec<WorldTally>,
    measures: [Moments; MEASURES],
    paired: [Moments; MEASURES],
}

/// Worlds that stand for a bad candidate: effects, or margins where there are no effects.
#[must_use]
pub fn is_bad(world: World, scenario: &Scenario) -> bool {
    match world {
        World::Effect(_) => true,
        World::Margin(_) => scenario.effects.is_empty(),
        World::Recorded | World::Null | World::Multiple(..) => false,
    }
}

impl<'a> Tally<'a> {
    /// Nothing counted yet. `places` say where each stage's looks are; `reference` knows the worlds of the first variant.
    ///
    /// # Panics
    /// Never: every scenario has a null world.
    #[must_use]
    pub fn new(scenario: &'a Scenario, places: &[StagePlace], horizon_s: i64, reference: &Reference) -> Self {
        let seconds = times(places);
        let kinds = worlds(scenario);
        let onset = |world: World| match world {
            World::Effect(effect) => scenario.effects[effect].onset.0,
            _ => 0,
        };
        let bad = kinds.iter().enumerate().filter(|(_, world)| is_bad(**world, scenario));
        let empty = |world: &World| WorldTally {
            counts: [0.0; 5],
            ended: vec![0; seconds.len()],
            found: vec![0; seconds.len()],
            requests: Moments::default(),
            units: Moments::default(),
            paired: [Moments::default(); OF_WORLD],
            reference: reference.worlds.iter().position(|name| *name == scenario.world_name(*world)),
        };
        Self {
            scenario,
            bad: bad.map(|(index, world)| (index, onset(*world))).collect(),
            null: kinds.iter().position(|world| *world == World::Null).expect("every run plays the null world"),
            horizon_s,
            worlds: kinds.iter().map(empty).collect(),
            seconds,
            places: places.to_vec(),
            measures: [Moments::default(); MEASURES],
            paired: [Moments::default(); MEASURES],
            kinds,
        }
    }

    /// Counts the replicates of some blocks, in which the worlds of this variant begin at an index. `references` are the first variant's.
    fn add(&mut self, blocks: &[Block], first_world: usize, references: &[Option<&Replicate>]) {
        for (lane, reference) in blocks.iter().flat_map(Block::lanes).zip(references) {
            let endings = &lane.endings[first_world..][..self.kinds.len()];
            let served = self.served(lane, endings);
            self.add_replicate(endings, &served, *reference);
        }
    }

    /// Per world: requests and units until a rollout has ended, or everyone is back on stable.
    fn served(&self, lane: BlockLane<'_>, endings: &[Ending]) -> Vec<(f64, f64)> {
        let takes_time = self.scenario.rollout.recovery.takes_time();
        let rollback =
            if takes_time { Rollback::of_replicate(self.scenario, lane.replicate).total() } else { Seconds(0) };
        let until = |ending: &Ending| {
            let stays = matches!(ending.kind, Kind::Promoted | Kind::Stalled);
            let after = if stays { Seconds(0) } else { rollback };
            served_until(lane.served, ending.looks as usize, &self.places, after)
        };
        endings.iter().map(until).collect()
    }

    /// `served`: per world, requests and units until its end.
    fn add_replicate(&mut self, endings: &[Ending], served: &[(f64, f64)], reference: Option<&Replicate>) {
        for ((tally, ending), &(requests, units)) in self.worlds.iter_mut().zip(endings).zip(served) {
            tally.counts[ending.kind as usize] += 1.0;
            tally.ended[ending.looks as usize] += 1;
            tally.found[ending.looks as usize] += u32::from(ending.kind == Kind::Harm);
            tally.requests.add(requests);
            tally.units.add(units);
            let same = reference.zip(tally.reference).map(|(reference, world)| reference.worlds[world]);
            if let Some(same) = same {
                let own = of_world(*ending, requests);
                tally.paired.iter_mut().zip(own).zip(same).for_each(|((paired, own), same)| paired.add(own - same));
            }
        }
        let measures = self.measures(endings, served);
        self.measures.iter_mut().zip(measures).for_each(|(sums, value)| sums.add(value));
        if let Some(reference) = reference {
            let pairs = measures.into_iter().zip(reference.measures);
            self.paired.iter_mut().zip(pairs).for_each(|(sums, (own, same))| sums.add(own - same));
        }
    }

    /// What one replicate says of the variant as a whole: worlds of a bad candidate are averaged.
    fn measures(&self, endings: &[Ending], served: &[(f64, f64)]) -> [f64; MEASURES] {
        let one = |flag: bool| f64::from(u8::from(flag));
        let null = endings[self.null].kind;
        let mut measures = [0.0; MEASURES];
        measures[FALSE_ROLLBACK] = one(!matches!(null, Kind::Promoted | Kind::Stalled));
        measures[GOOD_STOPPED] = one(null != Kind::Promoted);
        let share = 1.0 / self.bad.len() as f64;
        for &(world, onset) in &self.bad {
            let ending = endings[world];
            let (requests, units) = served[world];
            let time = if ending.kind == Kind::Harm { self.seconds[ending.looks as usize] } else { self.horizon_s };
            measures[MISSED] += share * one(ending.kind == Kind::Promoted);
            measures[TIME_TO_DETECT] += share * (time - onset) as f64;
            measures[REQUESTS] += share * requests;
            measures[UNITS] += share * units;
        }
        measures
    }

    fn share_of(&self, world: usize, kinds: &[Kind]) -> Share {
        let counts = &self.worlds[world].counts;
        share(kinds.iter().map(|kind| counts[*kind as usize]).sum(), counts.iter().sum())
    }

    /// A candidate as good as stable is rolled back.
    #[must_use]
    pub fn false_rollback(&self) -> Share {
        self.share_of(self.null, &[Kind::Harm, Kind::Noise, Kind::NoData])
    }

    /// A candidate as good as stable does not reach the end.
    #[must_use]
    pub fn good_stopped(&self) -> Share {
        self.share_of(self.null, &[Kind::Harm, Kind::Noise, Kind::NoData, Kind::Stalled])
    }

    /// Time until a candidate as good as stable serves everybody; `None` where it never does.
    #[must_use]
    pub fn time_to_full_s(&self) -> Option<f64> {
        let promoted = self.worlds[self.null].counts[Kind::Promoted as usize] > 0.0;
        promoted.then(|| *self.seconds.last().expect("there is a time at no looks") as f64)
    }

    /// A bad candidate is promoted.
    #[must_use]
    pub fn missed(&self) -> Estimate {
        self.measures[MISSED].estimate()
    }

    /// Time until a bad candidate is found.
    #[must_use]
    pub fn time_to_detect_s(&self) -> Estimate {
        self.measures[TIME_TO_DETECT].estimate()
    }

    /// Requests that a bad candidate serves.
    #[must_use]
    pub fn exposed_requests(&self) -> Estimate {
        self.measures[REQUESTS].estimate()
    }

    /// Units that a bad candidate serves.
    #[must_use]
    pub fn exposed_units(&self) -> Estimate {
        self.measures[UNITS].estimate()
    }

    /// What the frontier is made of.
    #[must_use]
    pub fn objectives(&self) -> Objectives {
        [
            self.good_stopped().share,
            self.missed().mean,
            self.time_to_detect_s().mean,
            self.exposed_requests().mean,
            self.time_to_full_s().unwrap_or(f64::INFINITY),
        ]
    }

    /// This variant less the first.
    #[must_use]
    pub fn differences(&self) -> Differences {
        Differences {
            false_rollback: self.paired[FALSE_ROLLBACK].estimate(),
            good_stopped: self.paired[GOOD_STOPPED].estimate(),
            missed: self.paired[MISSED].estimate(),
            time_to_detect_s: self.paired[TIME_TO_DETECT].estimate(),
            exposed_requests: self.paired[REQUESTS].estimate(),
            exposed_units: self.paired[UNITS].estimate(),
        }
    }

    /// One row per world; without differences for the first variant.
    #[must_use]
    pub fn worlds(&self, first: bool) -> Vec<VariantWorld> {
        (0..self.worlds.len()).map(|world| self.world(world, first)).collect()
    }

    fn world(&self, index: usize, first: bool) -> VariantWorld {
        let tally = &self.worlds[index];
        let onset = self.bad.iter().find(|(world, _)| *world == index).map_or(0, |&(_, onset)| onset);
        let times = |counts: &[u32], less: i64| {
            let each = counts.iter().zip(&self.seconds);
            let each = each.flat_map(|(&count, &seconds)| (0..count).map(move |_| (seconds - less) as f64));
            spread(each.collect::<Vec<f64>>().into_iter())
        };
        let paired = |measure: usize| {
            tally
                .reference
                .filter(|_| !first && tally.paired[measure].n > 0.0)
                .map(|_| tally.paired[measure].estimate())
        };
        VariantWorld {
            world: self.scenario.world_name(self.kinds[index]),
            kind: kind(self.kinds[index]).into(),
            promoted: self.share_of(index, &[Kind::Promoted]),
            rolled_back: self.share_of(index, &[Kind::Harm, Kind::Noise, Kind::NoData]),
            stalled: self.share_of(index, &[Kind::Stalled]),
            detected: self.share_of(index, &[Kind::Harm]),
            time_to_detect_s: times(&tally.found, onset),
            duration_s: times(&tally.ended, 0).expect("a run has replicates"),
            exposed_requests: tally.requests.estimate(),
            exposed_units: tally.units.estimate(),
            promoted_difference: paired(0),
            rolled_back_difference: paired(1),
            exposed_requests_difference: paired(2),
        }
    }
}

impl Reference {
    /// Knows the worlds of the first variant, and no replicate yet.
    #[must_use]
    pub fn new(first: &Scenario) -> Self {
        let worlds = worlds(first).into_iter().map(|world| first.world_name(world)).collect();
        Self { worlds, replicates: BTreeMap::new() }
    }

    fn add(&mut self, blocks: &[Block], first: &Tally<'_>) {
        for lane in blocks.iter().flat_map(Block::lanes) {
            let endings = &lane.endings[..first.kinds.len()];
            let served = first.served(lane, endings);
            let measures = first.measures(endings, &served);
            let worlds = endings.iter().zip(&served).map(|(ending, served)| of_world(*ending, served.0)).collect();
            self.replicates.insert(lane.replicate, Replicate { measures, worlds });
        }
    }
}

/// Counts blocks for every variant of a simulation; `holds_first` if the first of them is the first of all.
pub fn count(blocks: &[Block], tallies: &mut [Tally<'_>], reference: &mut Reference, holds_first: bool) {
    if holds_first {
        reference.add(blocks, &tallies[0]);
    }
    let numbers = blocks.iter().flat_map(|block| &block.replicates);
    let references: Vec<Option<&Replicate>> = numbers.map(|number| reference.replicates.get(number)).collect();
    let mut first_world = 0;
    let begin = |tally: &Tally<'_>| {
        let begin = first_world;
        first_world += tally.kinds.len();
        begin
    };
    let begins: Vec<usize> = tallies.iter().map(begin).collect();
    tallies.par_iter_mut().zip(begins).for_each(|(tally, begin)| tally.add(blocks, begin, &references));
}

fn of_world(ending: Ending, requests: f64) -> [f64; OF_WORLD] {
    let one = |flag: bool| f64::from(u8::from(flag));
    let stays = matches!(ending.kind, Kind::Promoted | Kind::Stalled);
    [one(ending.kind == Kind::Promoted), one(!stays), requests]
}

/// What makes a variant better, each smaller is better.
pub type Objectives = [f64; 5];

/// A variant's place among all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Nothing dominates it.
    pub frontier: bool,
    /// The first variant before it with the same objectives.
    pub same_as: Option<usize>,
    /// Variants on the frontier that dominate it, each the first of its likes.
    pub dominated_by: Vec<usize>,
}

/// Who dominates whom: at least as good in every objective, and better in one.
#[must_use]
pub fn standings(objectives: &[Objectives]) -> Vec<Standing> {
    let dominates = |a: usize, b: usize| {
        let pairs = || objectives[a].iter().zip(&objectives[b]);
        pairs().all(|(a, b)| a <= b) && pairs().any(|(a, b)| a < b)
    };
    let same = |a: usize, b: usize| objectives[a].iter().zip(&objectives[b]).all(|(a, b)| a.total_cmp(b).is_eq());
    let same_as = |index: usize| (0..index).find(|&other| same(other, index));
    let all = 0..objectives.len();
    let same_as: Vec<Option<usize>> = all.clone().map(same_as).collect();
    let frontier: Vec<bool> = all.clone().map(|index| !all.clone().any(|other| dominates(other, index))).collect();
    let standing = |index: usize| Standing {
        frontier: frontier[index],
        same_as: same_as[index],
        dominated_by: all
            .clone()
            .filter(|&other| frontier[other] && same_as[other].is_none() && dominates(other, index))
            .collect(),
    };
    all.clone().map(standing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frontier_is_what_nothing_dominates() {
        let objectives = [
            [1.0, 5.0, 0.0, 0.0, 0.0],
            [2.0, 4.0, 0.0, 0.0, 0.0],
            [2.0, 5.0, 0.0, 0.0, 0.0],
            [1.0, 5.0, 0.0, 0.0, 0.0],
        ];
        let found = standings(&objectives);
        let frontier: Vec<bool> = found.iter().map(|standing| standing.frontier).collect();
        assert_eq!(frontier, [true, true, false, true]);
        assert_eq!(found[2].dominated_by, [0, 1]);
        assert_eq!((found[3].same_as, found[0].same_as), (Some(0), None));
        assert!(found[0].dominated_by.is_empty());
    }

    #[test]
    fn never_reaching_the_end_is_worse_than_any_time() {
        let found = standings(&[[0.0, 0.0, 0.0, 0.0, f64::INFINITY], [0.0, 0.0, 0.0, 0.0, 9.0]]);
        assert_eq!(found[0].dominated_by, [1]);
    }

    #[test]
    fn a_mean_has_the_interval_of_its_sample() {
        let mut moments = Moments::default();
        (0..100).for_each(|i| moments.add(f64::from(i % 2)));
        let estimate = moments.estimate();
        // sd = sqrt(0.25 * 100 / 99), 1.959964 * sd / 10 = 0.098494.
        assert!((estimate.mean - 0.5).abs() < 1e-12 && (estimate.high - 0.598_494).abs() < 1e-5, "{estimate:?}");
        let mut constant = Moments::default();
        (0..7).for_each(|_| constant.add(0.1));
        assert!((constant.estimate().high - 0.1).abs() < 1e-8);
    }
}
