//! One-way cookies: whoever once lands on the candidate stays there, so requests of a user fall into a spell on stable and one on the candidate.
//!
//! When the second begins is drawn, request by request, so which requests are whose belongs to a replicate. Spells take the place of units: each
//! is in one arm for good, and of a user's requests those before the cookie belong to the one, the others to the other. Requests of one slot
//! come in the order of their ids: a digest knows no finer time.

use std::ops::Range;

use super::lanes::{Lane, is_swapped, place};
use super::own::{OwnCell, OwnStage, Source, Way};
use super::trajectory::Trajectory;
use super::{Simulator, StagePlan};
use crate::assign::KeyedHash;
use crate::domain::version::PerVersion;

/// The copies of users of one lane, and which of them have the candidate's cookie.
#[derive(Debug, Clone)]
struct Spells {
    draws: KeyedHash,
    /// Per user: its first copy; last, the number of copies.
    first: Vec<u32>,
    /// What copies are now.
    now: Reached,
    /// Those of every stage: the spells on stable first and then the candidate's, copy by copy.
    lane: Lane,
}

/// Which copies have asked, which have a cookie, and how many these are.
#[derive(Debug, Clone)]
struct Reached {
    asked: Vec<bool>,
    has_cookie: Vec<bool>,
    active: f64,
    met: f64,
}

impl Simulator {
    /// Replays a plan for a lane of users who draw cookies; `elapsed` slots of the rollout lie before it.
    pub(super) fn replay_cookies(
        &self,
        plan: &[StagePlan],
        elapsed: usize,
        (start, lane): &(usize, Lane),
        held: &[usize],
    ) -> Trajectory {
        let looks = plan.iter().map(StagePlan::looks).sum();
        let mut trajectory = self.spare.trajectory(&self.layout, looks);
        let mut spells = Spells::new(self, lane);
        let (mut met, mut active) = (Vec::with_capacity(looks), Vec::with_capacity(looks));
        let way = Way { plan, elapsed, start: *start, held };
        let source = Source { cells: &self.cells, effects: &self.effects };
        let own = |stage: usize, slots: Range<usize>, ends: usize| {
            let mut cells = Vec::new();
            let mut at_end = None;
            for (slot, of_log) in slots.enumerate() {
                if slot == ends {
                    at_end = Some(spells.now.clone());
                }
                spells.ask(self, stage, (slot, self.cells_of(of_log)), &mut cells);
                if (slot + 1) % plan[stage].slots_per_look == 0 {
                    met.push(spells.now.met);
                    active.push(spells.now.active);
                }
            }
            // The next stage goes on from this one's own end.
            if let Some(at_end) = at_end {
                spells.now = at_end;
            }
            OwnStage { cells, lane: spells.lane.clone() }
        };
        way.replay(self, source, own, &mut trajectory);
        trajectory.exposed_units = met;
        trajectory.active_units = active;
        trajectory
    }
}

impl Spells {
    /// Nobody has a cookie yet.
    fn new(sim: &Simulator, lane: &Lane) -> Self {
        let draws = lane.draws.expect("lanes of users draw");
        let mut copies = 0;
        let first = lane.copies.iter().map(|&of_user| {
            copies += u32::from(of_user);
            copies - u32::from(of_user)
        });
        let mut first: Vec<u32> = first.collect();
        first.push(copies);
        let copies = copies as usize;
        let whether = |counts: &dyn Fn(usize, u8) -> bool| {
            let of_user = |user: usize| (0..lane.copies[user]).map(move |copy| (user, copy));
            let of_copy = |(user, copy)| [u8::from(counts(user, copy)); 2];
            Lane::of_spells((0..lane.copies.len()).flat_map(of_user).flat_map(of_copy).collect(), &sim.who)
        };
        let swapped = |user: usize, copy: u8| is_swapped(draws, sim.who.user_key(user), copy);
        let swapped = lane.swapped.as_ref().map(|_| Box::new(whether(&swapped)));
        Self {
            draws,
            first,
            now: Reached { asked: vec![false; copies], has_cookie: vec![false; copies], active: 0.0, met: 0.0 },
            lane: Lane { swapped, ..whether(&|_, _| true) },
        }
    }

    /// What each spell asks in a slot; requests without a cookie draw with the exposure of a stage. Cells of a user are neighbours.
    fn ask(&mut self, sim: &Simulator, stage: usize, (slot, cells): (usize, Range<usize>), own: &mut Vec<OwnCell>) {
        let user_of = |cell: usize| sim.who.holder(sim.cells.unit[cell] as usize);
        let mut from = cells.start;
        while from < cells.end {
            let user = user_of(from);
            let end = from + (from..cells.end).take_while(|&cell| user_of(cell) == user).count();
            for (copy, at) in (0..).zip(self.first[user]..self.first[user + 1]) {
                let switch = self.switch(sim, stage, (copy, at as usize), from..end);
                own.extend((from..end).map(|cell| OwnCell {
                    slot: slot as u32,
                    unit: 2 * at + u32::from(cell >= switch),
                    requests: cell as u32,
                    answers: PerVersion::from_fn(|_| cell as u32),
                }));
            }
            from = end;
        }
    }

    /// The first of a copy's requests that the candidate serves; one past the last where stable serves them all.
    fn switch(&mut self, sim: &Simulator, stage: usize, (copy, at): (u8, usize), requests: Range<usize>) -> usize {
        let now = &mut self.now;
        if !std::mem::replace(&mut now.asked[at], true) {
            now.active += 1.0;
        }
        if now.has_cookie[at] {
            return requests.start;
        }
        let end = requests.end;
        let gets_it = |&cell: &usize| {
            let request = sim.cells.unit[cell] as usize;
            place(self.draws, sim.unit_keys[request], copy, 0) < sim.who.turns(request)[stage].exposure
        };
        let found = { requests }.find(gets_it);
        if found.is_some() {
            now.has_cookie[at] = true;
            now.met += 1.0;
        }
        found.unwrap_or(end)
    }
}
