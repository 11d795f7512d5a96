//! Who is in a replicate, how often, and when each is on the candidate.

use super::StagePlan;
use crate::assign::{Bucketing, KeyedHash};
use crate::scenario::{Resample, Simulation};

/// Stream of the draw of how many copies a unit has; copies use streams from 0.
const COPIES_STREAM: u32 = u32::MAX;

/// Streams of the coins of the `swap` null go down from here.
const SWAP_STREAM: u32 = u32::MAX - 1;

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
        let mut exposed = vec![0_u8; plan.len()];
        for (unit, &key) in unit_keys.iter().enumerate() {
            if simulation.resample == Resample::Poisson {
                lane.copies[unit] = poisson_one(hash.uniform(key, COPIES_STREAM));
            }
            if lane.copies[unit] == 0 {
                continue;
            }
            exposed.fill(0);
            for copy in 0..lane.copies[unit] {
                let place = hash.uniform(key, u32::from(copy));
                for (exposed, stage) in exposed.iter_mut().zip(plan) {
                    *exposed += u8::from(place < stage.exposure);
                }
            }
            for (of_stage, &exposed) in lane.exposed.iter_mut().zip(&exposed) {
                of_stage[unit] = exposed;
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
        let exposed = plan.iter().map(|stage| places.iter().map(|&place| u8::from(place < stage.exposure)).collect());
        Self { copies: vec![1; units.len()], exposed: exposed.collect(), swapped: None }
    }

    /// Every unit once, all on the candidate.
    pub(super) fn everybody(units: usize, plan: &[StagePlan]) -> Self {
        Self { copies: vec![1; units], exposed: vec![vec![1; units]; plan.len()], swapped: None }
    }
}

/// Lanes whose weights are packed together.
pub(super) const QUAD: usize = 4;

/// Up to four lanes: the weights of a unit in all of them are one word of memory.
pub(super) struct Quad {
    /// Copies whose answers are their own.
    pub(super) weights: Weights,
    /// Copies whose answers are exchanged, if any.
    pub(super) swapped: Option<Weights>,
}

/// Copies of each unit, and how many of them are on the candidate in each stage.
pub(super) struct Weights {
    pub(super) copies: Vec<[u8; QUAD]>,
    pub(super) exposed: Vec<Vec<[u8; QUAD]>>,
}

impl Quad {
    /// Packs lanes, units in this order.
    pub(super) fn new(lanes: &[&Lane], by_rank: &[u32]) -> Self {
        let swapped: Vec<Option<&Lane>> = lanes.iter().map(|lane| lane.swapped.as_deref()).collect();
        let mut weights = Weights::of(lanes.iter().map(|lane| Some(*lane)), by_rank);
        let swapped = swapped.iter().any(Option::is_some).then(|| Weights::of(swapped.into_iter(), by_rank));
        if let Some(swapped) = &swapped {
            weights.take(swapped);
        }
        Self { weights, swapped }
    }
}

impl Weights {
    fn of<'l>(lanes: impl Iterator<Item = Option<&'l Lane>>, by_rank: &[u32]) -> Self {
        let mut weights = Self { copies: Vec::new(), exposed: Vec::new() };
        let pack = |packed: &mut Vec<[u8; QUAD]>, place: usize, counts: &[u8]| {
            packed.resize(counts.len(), [0; QUAD]);
            packed.iter_mut().zip(by_rank).for_each(|(packed, &unit)| packed[place] = counts[unit as usize]);
        };
        for (place, lane) in lanes.enumerate() {
            let Some(lane) = lane else { continue };
            weights.exposed.resize(lane.exposed.len(), Vec::new());
            pack(&mut weights.copies, place, &lane.copies);
            for (packed, counts) in weights.exposed.iter_mut().zip(&lane.exposed) {
                pack(packed, place, counts);
            }
        }
        weights
    }

    fn take(&mut self, others: &Self) {
        let take = |own: &mut Vec<[u8; QUAD]>, others: &[[u8; QUAD]]| {
            for (own, other) in own.iter_mut().flatten().zip(others.iter().flatten()) {
                *own -= other;
            }
        };
        take(&mut self.copies, &others.copies);
        for (own, others) in self.exposed.iter_mut().zip(&others.exposed) {
            take(own, others);
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
    AT_MOST.iter().take_while(|&&at_most| uniform >= at_most).count() as u8
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
    fn copies_are_assigned_on_their_own_and_stay_when_exposure_grows() {
        let plan = [0.2, 0.5].map(|exposure| StagePlan { exposure, slots: 1, hold: 0, watch: 0, slots_per_look: 1 });
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
