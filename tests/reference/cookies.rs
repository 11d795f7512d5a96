//! One-way cookies, request by request: whoever once lands on the candidate stays there.

use std::collections::BTreeMap;
use std::ops::Range;

use replay::assign::{KeyedHash, unit_key};

use crate::crowd::{Arm, Copied, Crowd, MOST_STAGES, Member, Traffic};
use crate::log::Log;
use crate::plan::Plan;

/// So many copies of everybody say what a start expects.
const PLANNED_COPIES: u32 = 4;

/// Everybody, so often, with draws that no replicate has.
pub(crate) fn planned_copies(log: &Log, plan: &Plan) -> Vec<Copied> {
    let hash = KeyedHash::of_replicate(plan.seed, u64::MAX);
    let of_request = |unit: usize| {
        let key = unit_key(&log.name_of(unit));
        (0..PLANNED_COPIES).map(move |copy| Copied {
            unit,
            user: (log.user(unit), copy),
            places: [hash.uniform(key, copy); MOST_STAGES],
            swapped: false,
        })
    };
    (0..log.units()).flat_map(of_request).collect()
}

/// What a planned copy counts.
pub(crate) const PLANNED_WEIGHT: f64 = 1.0 / PLANNED_COPIES as f64;

/// The spells of every copy in some slots of a stage, each a unit, where stages begin at these slots of the rollout.
pub(crate) fn crowd<'a>(
    log: &'a Log,
    plan: &Plan,
    traffic: &Traffic<'a>,
    (copies, weight): (&[Copied], f64),
    stage: usize,
    (begins, slots): (&[usize], Range<usize>),
) -> Crowd<'a> {
    // Requests of a slot come in the order of their names.
    let slot_of = |unit: usize| log.slot(&log.rows[unit]) - log.first_slot() - traffic.start as i64;
    let mut by_copy: BTreeMap<(usize, u32), Vec<&Copied>> = BTreeMap::new();
    for copied in copies {
        by_copy.entry(copied.user).or_default().push(copied);
    }
    let mut crowd = Crowd { arrivals: Vec::new(), members: Vec::new() };
    for (user, mut requests) in by_copy {
        requests.sort_by_cached_key(|copied| (slot_of(copied.unit), log.name_of(copied.unit)));
        let on_stable = crowd.members.len();
        let member = |unit: usize, arm: Arm| Member { unit, user, arm, weight, swapped: requests[0].swapped };
        crowd.members.extend([member(on_stable, Arm::Stable), member(on_stable + 1, Arm::Candidate)]);
        let mut has_cookie = false;
        for copied in requests {
            // Those before the rollout draw nothing.
            let Ok(slot) = usize::try_from(slot_of(copied.unit)) else { continue };
            // A stage goes on past the next one's begin where it is held longer.
            let Some(at) = (0..=stage).rev().find(|&at| begins[at] <= slot) else { continue };
            has_cookie |= copied.places[0] < plan.stages[at].exposure;
            if slots.contains(&slot) {
                crowd.arrivals.push((&log.rows[copied.unit], slot, on_stable + usize::from(has_cookie)));
            }
        }
    }
    crowd
}
