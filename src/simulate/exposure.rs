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
    /// Per unit: copies that the candidate has served, a bit each.
    served: Vec<[u32; QUAD]>,
    /// Per unit: whether it has asked.
    asked: Vec<[bool; QUAD]>,
    /// Copies that the candidate has served.
    pub(super) met: [f64; QUAD],
    /// Copies that have asked.
    pub(super) active: [f64; QUAD],
}

impl Ever {
    /// Nobody yet; `None` where nobody who is served is ever taken back.
    pub(super) fn of(lanes: &[&Lane], units: usize) -> Option<Self> {
        let mut draws = [None; QUAD];
        draws.iter_mut().zip(lanes).for_each(|(draws, lane)| *draws = lane.draws);
        draws.iter().any(Option::is_some).then(|| Self {
            draws,
            served: vec![[0; QUAD]; units],
            asked: vec![[false; QUAD]; units],
            met: [0.0; QUAD],
            active: [0.0; QUAD],
        })
    }

    /// A unit asks for the first time in a stage: so many copies of it, and so many of those on the candidate.
    pub(super) fn meet(
        &mut self,
        sim: &Simulator,
        (unit, stage): (usize, usize),
        copies: [u8; QUAD],
        exposed: [u8; QUAD],
    ) {
        for lane in 0..QUAD {
            let Some(draws) = self.draws[lane].filter(|_| copies[lane] > 0) else { continue };
            if !std::mem::replace(&mut self.asked[unit][lane], true) {
                self.active[lane] += f64::from(copies[lane]);
            }
            if exposed[lane] == 0 {
                continue;
            }
            let exposure = sim.who.turns(unit)[stage].exposure;
            let served = &mut self.served[unit][lane];
            for copy in (0..copies[lane]).filter(|&copy| place(draws, sim.unit_keys[unit], copy, stage) < exposure) {
                self.met[lane] += f64::from(u8::from(*served & (1 << copy) == 0));
                *served |= 1 << copy;
            }
        }
    }
}

/// Units of a rollout by the end of a stage.
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
    /// The sum over units of `1 - prod (1 - e_s)`, one factor for each draw that the unit has made.
    #[must_use]
    pub fn expected_exposure(&self, start_slot: usize) -> Vec<Reached> {
        let mut missed = vec![1.0; self.units()];
        let mut drew = vec![NEVER; self.units()];
        let (mut reached, mut slot) = (Reached::default(), start_slot);
        let mut stages = Vec::with_capacity(self.plan.len());
        for (stage, plan) in self.plan.iter().enumerate() {
            let end = slot + plan.own_slots();
            for unit in (slot..end).flat_map(|slot| self.cells_of(slot)).map(|cell| self.cells.unit[cell] as usize) {
                let before = std::mem::replace(&mut drew[unit], stage as u32);
                if before == stage as u32 {
                    continue;
                }
                reached.active += f64::from(u8::from(before == NEVER));
                let exposure = self.who.turns(unit)[stage].exposure;
                reached.met += missed[unit] * exposure;
                missed[unit] *= 1.0 - exposure;
            }
            slot = end;
            stages.push(reached);
        }
        stages
    }
}
