//! What prompts with known answers find at each look. They are asked whatever the traffic is, so what is drawn is drawn here, and gates
//! only hear of it.

use super::player::{Player, time_of};
use crate::assign::{KeyedHash, unit_key};
use crate::domain::gate::{Sentinel, Test};
use crate::gate::lens::Lens;
use crate::simulate::layout::{Answers, Stream};

/// Per look of the schedule: whether a sentinel fails; nothing for gates of other tests.
///
/// A candidate that is worse than the gate accepts is bad from the onset of its effect on. One number is drawn for each replicate, gate and
/// look, the same in all worlds: what fails with a good candidate fails with a bad one.
#[must_use]
pub(super) fn failures(player: &Player<'_>, gate: usize, lens: Lens, replicate: u64) -> Vec<bool> {
    let rule = &player.scenario.gates[gate];
    let Test::Sentinel(sentinel) = rule.test else { return Vec::new() };
    let hash = KeyedHash::of_replicate(player.scenario.simulation.seed, replicate);
    let key = unit_key(&format!("sentinel {}", rule.name));
    let chance = [false, true].map(|bad| sentinel.fails(bad));
    let onset = onset(player, gate, lens);
    let places = player.places();
    let looks: usize = places.iter().map(|place| place.plan.looks()).sum();
    let fails = |look: usize| {
        let bad = onset.is_some_and(|onset| time_of(look + 1, &places) > onset);
        hash.uniform(key, look as u32) < chance[usize::from(bad)]
    };
    (0..looks).map(fails).collect()
}

/// Seconds from the start until the candidate is bad; `None` where it never is.
fn onset(player: &Player<'_>, gate: usize, lens: Lens) -> Option<i64> {
    let plan = &player.gates[gate];
    let known = plan.lenses.iter().position(|&other| other == lens)?;
    plan.harmful[known].first().filter(|&&harmful| harmful)?;
    let stream = match lens.answers {
        Answers::Effect(stream) => player.simulator.layout.streams.get(stream),
        Answers::Stable | Answers::Candidate => None,
    };
    Some(match stream {
        Some(&Stream::Effect(effect)) => player.scenario.effects[effect].onset.0,
        _ => 0,
    })
}

/// Looks at which a sentinel is asked, over the whole schedule.
#[must_use]
pub(super) fn looks(player: &Player<'_>, gate: usize) -> Option<(Sentinel, usize)> {
    let rule = &player.scenario.gates[gate];
    let Test::Sentinel(sentinel) = rule.test else { return None };
    let asked = player.scenario.stages.iter().filter(|stage| rule.asked_in(stage));
    Some((sentinel, asked.map(crate::domain::rollout::Stage::looks).sum()))
}
