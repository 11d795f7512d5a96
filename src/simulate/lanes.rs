//! Who is in a replicate, how often, and when each is on the candidate.

use super::StagePlan;
use super::kernel::LANES;
use crate::assign::{Bucketing, KeyedHash};
use crate::domain::quantity::Fraction;
use crate::scenario::{Resample, Simulation};

/// Stream of the draw of how many copies a unit has; copies use streams from 0.
const COPIES_STREAM: u32 = u32::MAX;

/// Streams of the coins of the `swap` null go down from here.
const SWAP_STREAM: u32 = u32::MAX - 1;

/// Units whose copies are drawn together: few enough for the nearest cache.
const UNITS_AT_ONCE: usize = 512;

/// One replicate's units: copies of each, and how many of them are on the candidate in each stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// Copies of each unit.
    pub copies: Vec<u8>,
    /// Per stage: copies of each unit on the candidate.
    pub exposed: Vec<Vec<u8>>,
    /// Those whose two answers are exchanged, in a lane of the `swap` null.
    pub swapped: Option<Box<Lane>>,
}

impl Lane {
    /// Every copy of every unit draws its own place once, and keeps it through all stages.
    pub(super) fn replicate(unit_keys: &[u64], plan: &[StagePlan], simulation: &Simulation, replicate: usize) -> Self {
        let hash = KeyedHash::of_replicate(simulation.seed, replicate as u64);
        let mut lane = Self::nobody(unit_keys.len(), plan.len(), 1);
        let (mut having, mut places) = (Vec::new(), Vec::new());
        for (part, keys) in unit_keys.chunks(UNITS_AT_ONCE).enumerate() {
            let units = part * UNITS_AT_ONCE..part * UNITS_AT_ONCE + keys.len();
            let copies = &mut lane.copies[units.clone()];
            if simulation.resample == Resample::Poisson {
                for (copies, &key) in copies.iter_mut().zip(keys) {
                    *copies = poisson_one(hash.uniform(key, COPIES_STREAM));
                }
            }
            // Copy by copy, over lists of the units that have so many: no processor can guess how many copies the next unit has.
            having.clear();
            having.extend(0..keys.len() as u32);
            for copy in 0..u8::MAX {
                keep_if(&mut having, |unit| copies[unit as usize] > copy);
                if having.is_empty() {
                    break;
                }
                places.clear();
                places.extend(having.iter().map(|&unit| hash.uniform(keys[unit as usize], u32::from(copy))));
                for (exposed, stage) in lane.exposed.iter_mut().zip(plan) {
                    let exposed = &mut exposed[units.clone()];
                    for (&unit, &place) in having.iter().zip(&places) {
                        exposed[unit as usize] += u8::from(place < stage.exposure);
                    }
                }
            }
        }
        lane
    }

    /// The same units in the same arms, with the answers of each copy exchanged with probability 1/2.
    pub(super) fn swapped(unit_keys: &[u64], plan: &[StagePlan], simulation: &Simulation, replicate: usize) -> Self {
        let hash = KeyedHash::of_replicate(simulation.seed, replicate as u64);
        let lane = Self::replicate(unit_keys, plan, simulation, replicate);
        let mut swapped = Self::nobody(unit_keys.len(), plan.len(), 0);
        for (unit, &key) in unit_keys.iter().enumerate() {
            for copy in 0..lane.copies[unit] {
                if hash.uniform(key, SWAP_STREAM - u32::from(copy)) < 0.5 {
                    let place = hash.uniform(key, u32::from(copy));
                    swapped.copies[unit] += 1;
                    for (stage, exposed) in plan.iter().zip(&mut swapped.exposed) {
                        exposed[unit] += u8::from(place < stage.exposure);
                    }
                }
            }
        }
        Self { swapped: Some(Box::new(swapped)), ..lane }
    }

    fn nobody(units: usize, stages: usize, copies: u8) -> Self {
        Self { copies: vec![copies; units], exposed: vec![vec![0; units]; stages], swapped: None }
    }

    /// Exactly the logged units, assigned by a platform's hash.
    #[must_use]
    pub fn production(units: &[String], plan: &[StagePlan], bucketing: &dyn Bucketing) -> Self {
        let places: Vec<f64> = units.iter().map(|unit| bucketing.place(unit)).collect();
        let served = |stage: &StagePlan| {
            let exposure = Fraction::new(stage.exposure).expect("exposures of a plan are shares");
            places.iter().map(|&place| u8::from(bucketing.serves(place, exposure))).collect()
        };
        let exposed = plan.iter().map(served);
        Self { copies: vec![1; units.len()], exposed: exposed.collect(), swapped: None }
    }

    /// Every unit once, all on the candidate.
    pub(super) fn everybody(units: usize, plan: &[StagePlan]) -> Self {
        Self { copies: vec![1; units], exposed: vec![vec![1; units]; plan.len()], swapped: None }
    }
}

/// Keeps those of a list that are wanted, without a branch on it.
fn keep_if(list: &mut Vec<u32>, wanted: impl Fn(u32) -> bool) {
    let mut kept = 0;
    for index in 0..list.len() {
        let item = list[index];
        list[kept] = item;
        kept += usize::from(wanted(item));
    }
    list.truncate(kept);
}

/// The weight of a unit in each of a few lanes: one word of memory.
pub(super) type Word = [u8; LANES];

/// Up to four lanes.
pub(super) struct Quad {
    /// Copies whose answers are their own.
    pub(super) weights: Weights,
    /// Copies whose answers are exchanged, if any.
    pub(super) swapped: Option<Weights>,
}

/// Per stage: weights of each unit.
pub(super) struct Weights {
    pub(super) stages: Vec<Vec<Weight>>,
}

/// Copies of a unit, and how many of them are on the candidate: side by side, as memory is what they wait for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Weight {
    pub(super) copies: Word,
    pub(super) exposed: Word,
}

impl Quad {
    /// Packs lanes, units in this order.
    pub(super) fn new(lanes: &[&Lane], by_rank: &[u32]) -> Self {
        let mut weights = Weights::of(lanes, by_rank);
        let nobody = Lane::nobody(by_rank.len(), lanes[0].exposed.len(), 0);
        let swapped: Vec<&Lane> = lanes.iter().map(|lane| lane.swapped.as_deref().unwrap_or(&nobody)).collect();
        let any = lanes.iter().any(|lane| lane.swapped.is_some());
        let swapped = any.then(|| Weights::of(&swapped, by_rank));
        if let Some(swapped) = &swapped {
            weights.take(swapped);
        }
        Self { weights, swapped }
    }
}

impl Weights {
    fn of(lanes: &[&Lane], by_rank: &[u32]) -> Self {
        // Lanes that are not there have no copies of anybody.
        let word = |of_lane: &dyn Fn(usize) -> u8| {
            std::array::from_fn(|place| if place < lanes.len() { of_lane(place) } else { 0 })
        };
        let pack = |stage: usize| {
            let weight = |&unit: &u32| Weight {
                copies: word(&|place| lanes[place].copies[unit as usize]),
                exposed: word(&|place| lanes[place].exposed[stage][unit as usize]),
            };
            by_rank.iter().map(weight).collect()
        };
        Self { stages: (0..lanes[0].exposed.len()).map(pack).collect() }
    }

    fn take(&mut self, others: &Self) {
        let take = |own: &mut Word, others: &Word| own.iter_mut().zip(others).for_each(|(own, other)| *own -= other);
        for (own, other) in self.stages.iter_mut().flatten().zip(others.stages.iter().flatten()) {
            take(&mut own.copies, &other.copies);
            take(&mut own.exposed, &other.exposed);
        }
    }
}

/// Chances of at most so many copies. Beyond 18 the probabilities are below the resolution of a uniform number.
const AT_MOST: [f64; 18] = {
    // 1 / e, rounded to the nearest double.
    let mut probability = 0.367_879_441_171_442_33;
    let mut cumulative = [probability; 18];
    let mut count = 1;
    while count < 18 {
        probability /= count as f64;
        cumulative[count] = cumulative[count - 1] + probability;
        count += 1;
    }
    cumulative
};

/// The Poisson(1) variate of a uniform number, by inversion.
fn poisson_one(uniform: f64) -> u8 {
    let beyond = |chances: &[f64]| chances.iter().map(|&at_most| u8::from(uniform >= at_most)).sum::<u8>();
    let (few, many) = AT_MOST.split_at(6);
    if uniform < few[5] { beyond(few) } else { 6 + beyond(many) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_copies_have_mean_and_variance_one() {
        let draws: Vec<f64> = (0..100_000).map(|i| f64::from(poisson_one((f64::from(i) + 0.5) / 100_000.0))).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 1e-3 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
    }

    #[test]
    fn drawing_many_units_at_once_draws_each_as_if_alone() {
        let plan = [0.01, 0.2, 1.0].map(|exposure| StagePlan { exposure, slots: 1, slots_per_look: 1 });
        let simulation =
            Simulation { replicates: 1, seed: 3, resample: Resample::Poisson, null: crate::scenario::Null::Stable };
        let keys: Vec<u64> = (0..2 * UNITS_AT_ONCE + 77).map(|i| crate::assign::unit_key(&i.to_string())).collect();
        let lane = Lane::replicate(&keys, &plan, &simulation, 4);
        let hash = KeyedHash::of_replicate(3, 4);
        for (unit, &key) in keys.iter().enumerate() {
            let copies = AT_MOST.iter().take_while(|&&at_most| hash.uniform(key, COPIES_STREAM) >= at_most).count();
            assert_eq!(usize::from(lane.copies[unit]), copies);
            for (stage, exposed) in plan.iter().zip(&lane.exposed) {
                let place = |copy: usize| hash.uniform(key, copy as u32);
                assert_eq!(usize::from(exposed[unit]), (0..copies).filter(|&c| place(c) < stage.exposure).count());
            }
        }
    }

    #[test]
    fn copies_are_assigned_on_their_own_and_stay_when_exposure_grows() {
        let plan = [0.2, 0.5].map(|exposure| StagePlan { exposure, slots: 1, slots_per_look: 1 });
        let simulation =
            Simulation { replicates: 1, seed: 3, resample: Resample::Poisson, null: crate::scenario::Null::Stable };
        let keys: Vec<u64> = (0..10_000).map(|i| crate::assign::unit_key(&i.to_string())).collect();
        let lane = Lane::replicate(&keys, &plan, &simulation, 0);
        let split = (0..keys.len()).filter(|&u| lane.exposed[1][u] > 0 && lane.exposed[1][u] < lane.copies[u]).count();
        assert!(split > 1000, "units with copies in both arms: {split}");
        for unit in 0..keys.len() {
            assert!(lane.exposed[0][unit] <= lane.exposed[1][unit] && lane.exposed[1][unit] <= lane.copies[unit]);
        }
    }
}
