//! Who has had the candidate at least once, where a unit that has it may be back on stable later.

use super::Simulator;
use super::lanes::{Lane, QUAD, place};
use crate::assign::KeyedHash;

/// No stage yet.
const NEVER: u32 = u32::MAX;

/// Whom the candidate of a quad of lanes has served, copy by copy.
#[derive(Debug, Clone)]
pub(super) struct Ever {
    /// Per lane: what its copies draw from.
    draws: [Option<KeyedHash>; QUAD],
    /// Per user: copies that the candidate has served, a bit each.
    served: Vec<[u32; QUAD]>,
    /// Per user: whether it has asked.
    asked: Vec<[bool; QUAD]>,
    /// Copies that the candidate has served.
    pub(super) met: [f64; QUAD],
    /// Copies that have asked.
    pub(super) active: [f64; QUAD],
}

impl Ever {
    /// Nobody yet; `None` where nobody who is served is ever taken back.
    pub(super) fn of(sim: &Simulator, lanes: &[&Lane]) -> Option<Self> {
        let mut draws = [None; QUAD];
        draws.iter_mut().zip(lanes).for_each(|(draws, lane)| *draws = lane.draws);
        let users = sim.who.count_holders(sim.units());
        draws.iter().any(Option::is_some).then(|| Self {
            draws,
            served: vec![[0; QUAD]; users],
            asked: vec![[false; QUAD]; users],
            met: [0.0; QUAD],
            active: [0.0; QUAD],
        })
    }

    /// A unit that asks in a stage, with its copies in each lane and those on the candidate.
    pub(super) fn meet(&mut self, sim: &Simulator, stage: usize, unit: usize, copies: [u8; QUAD], exposed: [u8; QUAD]) {
        let user = sim.who.holder(unit);
        let key = sim.unit_keys[unit];
        let exposure = sim.who.turns(unit)[stage].exposure;
        for lane in 0..QUAD {
            let (copies, exposed) = (copies[lane], exposed[lane]);
            let Some(draws) = self.draws[lane].filter(|_| copies > 0) else { continue };
            if !std::mem::replace(&mut self.asked[user][lane], true) {
                self.active[lane] += f64::from(copies);
            }
            if exposed == 0 {
                continue;
            }
            let served = &mut self.served[user][lane];
            for copy in (0..copies).filter(|&copy| place(draws, key, copy, stage) < exposure) {
                self.met[lane] += f64::from(u8::from(*served & (1 << copy) == 0));
                *served |= 1 << copy;
            }
        }
    }
}

/// Users of a rollout by the end of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reached {
    /// Those that have had the candidate at least once.
    pub met: f64,
    /// Those that have asked since the rollout began.
    pub active: f64,
}

impl Simulator {
    /// Whom the candidate is expected to have served by the end of each stage of a rollout from a slot on, each stage for its own duration.
    ///
    /// # Formula
    /// The sum over users of `1 - prod (1 - e_s)`, one factor for each draw in the user's name: in each stage in which it asks, or of each
    /// request.
    #[must_use]
    pub fn expected_exposure(&self, start_slot: usize) -> Vec<Reached> {
        let users = self.who.count_holders(self.units());
        let (mut missed, mut asked) = (vec![1.0; users], vec![false; users]);
        let mut drew = vec![NEVER; self.units()];
        let (mut reached, mut slot) = (Reached::default(), start_slot);
        let mut stages = Vec::with_capacity(self.plan.len());
        for (stage, plan) in self.plan.iter().enumerate() {
            let end = slot + plan.own_slots();
            for unit in (slot..end).flat_map(|slot| self.cells_of(slot)).map(|cell| self.cells.unit[cell] as usize) {
                let user = self.who.holder(unit);
                if !std::mem::replace(&mut asked[user], true) {
                    reached.active += 1.0;
                }
                if std::mem::replace(&mut drew[unit], stage as u32) == stage as u32 {
                    continue;
                }
                let exposure = self.who.turns(unit)[stage].exposure;
                reached.met += missed[user] * exposure;
                missed[user] *= 1.0 - exposure;
            }
            slot = end;
            stages.push(reached);
        }
        stages
    }
}
