//! One-way cookies: whoever once lands on the candidate stays there, so requests of a user fall into a spell on stable and one on the candidate.
//!
//! When the second begins is drawn, request by request, so which requests are whose belongs to a replicate. Spells take the place of units: a
//! spell has its arm for good, and of a user's cells in a slot those before the cookie belong to the one, those after it to the other.

use std::ops::Range;
use std::sync::Arc;

use super::Simulator;
use super::lanes::{Lane, QUAD, Quad, place};
use crate::assign::KeyedHash;

/// The copies of users of one replicate, and which of them have the candidate's cookie.
#[derive(Debug, Clone)]
pub(super) struct Spells {
    draws: KeyedHash,
    /// Per user: its first copy; last, the number of copies.
    first: Arc<[u32]>,
    /// Per copy.
    has_cookie: Vec<bool>,
    asked: Vec<bool>,
    /// Copies that have asked.
    pub(super) active: f64,
}

impl Spells {
    /// Nobody has a cookie yet; `None` of a lane that draws none.
    pub(super) fn of(sim: &Simulator, lane: &Lane) -> Option<Self> {
        let draws = lane.draws.filter(|_| sim.who.hands_out_cookies())?;
        let mut copies = 0;
        let first = lane.copies.iter().map(|&of_user| {
            copies += u32::from(of_user);
            copies - u32::from(of_user)
        });
        let mut first: Vec<u32> = first.collect();
        first.push(copies);
        let copies = copies as usize;
        Some(Self {
            draws,
            first: first.into(),
            has_cookie: vec![false; copies],
            asked: vec![false; copies],
            active: 0.0,
        })
    }

    /// Number of spells.
    pub(super) fn count(&self) -> usize {
        2 * self.has_cookie.len()
    }

    /// Their weights: the first of two is on stable, the second on the candidate, in every stage.
    pub(super) fn quad(&self, sim: &Simulator, lane: &Lane) -> Quad {
        let spells = |counts: &dyn Fn(usize, u8) -> bool| {
            let mut weights = vec![[0; QUAD]; self.count()];
            for user in 0..self.first.len() - 1 {
                for (copy, at) in (0..).zip(self.first[user]..self.first[user + 1]) {
                    let weight = u8::from(counts(user, copy));
                    weights[2 * at as usize][0] = weight;
                    weights[2 * at as usize + 1][0] = weight;
                }
            }
            weights
        };
        let exchanged = |user: usize, copy: u8| sim.who.exchanges(self.draws, user, copy);
        match lane.swapped {
            Some(_) => Quad::of_spells(
                spells(&|user, copy| !exchanged(user, copy)),
                Some(spells(&exchanged)),
                sim.plan.len(),
            ),
            None => Quad::of_spells(spells(&|_, _| true), None, sim.plan.len()),
        }
    }

    /// What each spell asks in a slot, by cells; requests without a cookie draw with the exposure of a stage. Cells of a user are neighbours.
    pub(super) fn rows(&mut self, sim: &Simulator, stage: usize, cells: Range<usize>, rows: &mut Vec<(u32, Range<usize>)>) {
        let user_of = |cell: usize| sim.who.holder(sim.cells.unit[cell] as usize);
        let mut from = cells.start;
        while from < cells.end {
            let user = user_of(from);
            let end = from + (from..cells.end).take_while(|&cell| user_of(cell) == user).count();
            for (copy, at) in (0..).zip(self.first[user]..self.first[user + 1]) {
                let index = at as usize;
                if !std::mem::replace(&mut self.asked[index], true) {
                    self.active += 1.0;
                }
                let gets_it = |&cell: &usize| {
                    let request = sim.cells.unit[cell] as usize;
                    place(self.draws, sim.unit_keys[request], copy, 0) < sim.who.turns(request)[stage].exposure
                };
                let switch = if self.has_cookie[index] { from } else { (from..end).find(gets_it).unwrap_or(end) };
                self.has_cookie[index] = switch < end || self.has_cookie[index];
                rows.extend([(2 * at, from..switch), (2 * at + 1, switch..end)].into_iter().filter(|row| !row.1.is_empty()));
            }
            from = end;
        }
    }
}
