//! Who has had the candidate at least once, where a unit that has it may be back on stable later.

use super::Simulator;
use super::cells::FlatCells;
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
    /// Of sessions that began on the candidate: their requests, to the last.
    pub(super) begun: [f64; QUAD],
}

/// A unit that asks in a slot.
#[derive(Clone, Copy)]
pub(super) struct Met {
    pub(super) unit: usize,
    /// The stage in which it drew; `None` if that was before the rollout.
    pub(super) drew: Option<usize>,
    /// Whether it is a session that begins here.
    pub(super) begins: bool,
    /// Per lane: copies of it, and those on the candidate.
    pub(super) copies: [u8; QUAD],
    pub(super) exposed: [u8; QUAD],
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
            begun: [0.0; QUAD],
        })
    }

    pub(super) fn meet(&mut self, sim: &Simulator, found: Met) {
        let user = sim.who.holder(found.unit);
        let key = sim.unit_keys[found.unit];
        for lane in 0..QUAD {
            let (copies, exposed) = (found.copies[lane], found.exposed[lane]);
            let Some(draws) = self.draws[lane].filter(|_| copies > 0) else { continue };
            if !std::mem::replace(&mut self.asked[user][lane], true) {
                self.active[lane] += f64::from(copies);
            }
            let Some(drew) = found.drew.filter(|_| exposed > 0) else { continue };
            let exposure = sim.who.turns(found.unit)[drew].exposure;
            let served = &mut self.served[user][lane];
            for copy in (0..copies).filter(|&copy| place(draws, key, copy, drew) < exposure) {
                self.met[lane] += f64::from(u8::from(*served & (1 << copy) == 0));
                *served |= 1 << copy;
            }
            if let Some(sessions) = sim.sessions.as_ref().filter(|_| found.begins) {
                self.begun[lane] += f64::from(exposed) * sessions.requests[found.unit];
            }
        }
    }
}

/// Where units are sessions, which draw when they begin.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sessions {
    /// Slot of the log in which each begins.
    pub(super) first: Vec<usize>,
    /// Requests of each.
    pub(super) requests: Vec<f64>,
}

impl Sessions {
    pub(super) fn of(cells: &FlatCells, units: usize) -> Self {
        let mut sessions = Self { first: vec![usize::MAX; units], requests: vec![0.0; units] };
        for cell in 0..cells.len() {
            let unit = cells.unit[cell] as usize;
            sessions.first[unit] = sessions.first[unit].min(cells.slot[cell] as usize);
            sessions.requests[unit] += cells.inputs(cell)[0];
        }
        sessions
    }

    /// Of the stages that began at these slots, that in which a session did; `None` if it was there before.
    pub(super) fn stage(&self, unit: usize, begins: &[usize]) -> Option<usize> {
        begins.iter().rposition(|&begin| begin <= self.first[unit])
    }

    /// A lane as it is in a rollout whose stages begin at these slots. Only sessions that began in a stage are compared in it: before it
    /// others drew, with another exposure. What is served goes on as it began.
    pub(super) fn pinned(&self, lane: &Lane, begins: &[usize]) -> Lane {
        let units = self.first.len();
        let began = |stage: usize, unit: usize| begins[stage] <= self.first[unit];
        let kept = |of_stages: &[Vec<u8>]| -> Vec<Vec<u8>> {
            let of_stage = |(stage, counts): (usize, &Vec<u8>)| {
                (0..units).map(|unit| if began(stage, unit) { counts[unit] } else { 0 }).collect()
            };
            of_stages.iter().enumerate().map(of_stage).collect()
        };
        let served = |stage: usize| {
            let drew = |unit: usize| self.stage(unit, &begins[..=stage]);
            (0..units).map(|unit| drew(unit).map_or(0, |drew| lane.exposed[drew][unit])).collect()
        };
        let whole = lane.counted.is_none() && lane.draws.is_some();
        Lane {
            copies: lane.copies.clone(),
            counted: lane.counted.as_ref().map(|counted| kept(counted)),
            exposed: if whole { (0..begins.len()).map(served).collect() } else { kept(&lane.exposed) },
            served: None,
            swapped: lane.swapped.as_ref().map(|swapped| Box::new(self.pinned(swapped, begins))),
            draws: lane.draws,
            replicate: lane.replicate,
            is_census: lane.is_census,
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
    /// The sum over users of `1 - prod (1 - e_s)`, one factor for each draw in the user's name: in each stage in which it asks, of each
    /// request, or of each session that begins.
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
                let began_before = self.sessions.as_ref().is_some_and(|sessions| sessions.first[unit] < slot);
                if std::mem::replace(&mut drew[unit], stage as u32) == stage as u32 || began_before {
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
