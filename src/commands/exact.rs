//! One replay with the production salt and exactly the logged units.

use super::facts;
use crate::assign::Bucketing;
use crate::digest::Digest;
use crate::domain::quantity::Seconds;
use crate::domain::rollout::{Starts, Sticky};
use crate::gate::schedule::{End, Reason};
use crate::outcome::health::SampleRatio;
use crate::outcome::player::{Player, WorldOutcome};
use crate::outcome::rows::segment;
use crate::report::ExactReplay;

/// What happens, and each stage's units against its exposure; nothing of either where nobody knows which users production would take.
pub(super) fn replay(
    player: &Player<'_>,
    digest: &Digest,
    bucketing: &dyn Bucketing,
) -> (Option<ExactReplay>, Vec<Option<SampleRatio>>) {
    let scenario = player.scenario;
    if scenario.assignment.sticky != Sticky::Unit {
        return (None, Vec::new());
    }
    let zone = &scenario.log.timezone;
    // The scenario's first start; without a list, a Monday morning where one fits.
    let monday = || player.starts.iter().copied().find(|&start| facts::is_monday_nine(start, zone));
    let chosen = if scenario.rollout.start == Starts::AnyHour { monday() } else { None };
    let start = chosen.unwrap_or(player.starts[0]);
    let lane = player.simulator.production(&digest.units, bucketing);
    let played = player.play_lanes(vec![(player.simulator.slot_at(start), lane)]);
    let outcome = &played[0].worlds[0];
    let (name, ending) = ending(player, digest, outcome);
    let start = facts::for_people(start, zone);
    let platform = &scenario.assignment.platform;
    let steps = bucketing.steps().map_or_else(String::new, |steps| format!(" (exposure in {steps} steps)"));
    let exposed_units = (outcome.exposed_units * digest.units_each()).round();
    let served = format!("{} requests of {exposed_units} units served by the candidate", outcome.exposed_requests);
    let exact = ExactReplay {
        says: format!("With {platform}{steps}, from {start}: {ending}; {served}."),
        salt: platform.setting("salt").into(),
        start,
        outcome: name.into(),
        duration_s: outcome.duration_s,
        exposed_requests: outcome.exposed_requests as u64,
        exposed_units: exposed_units as u64,
    };
    (Some(exact), played[0].sample_ratio.clone())
}

fn ending(player: &Player<'_>, digest: &Digest, outcome: &WorldOutcome) -> (&'static str, String) {
    let scenario = player.scenario;
    let after = Seconds(outcome.duration_s);
    match outcome.outcome.end {
        End::Promoted => ("promoted", format!("promoted through every stage after {after}")),
        End::Stalled { stage, gate } => {
            let (stage, gate) = (&scenario.stages[stage].name, &scenario.gates[gate].name);
            ("stalled", format!("stalled in stage `{stage}` after {after}: gate `{gate}` gives no leave to go on"))
        }
        End::RolledBack { stage, gate, reason } => {
            let why = match reason {
                Reason::Failed(question) => {
                    let slice = player.gates[gate].questions[question].slice;
                    segment(player.simulator.layout.slices[slice], digest)
                        .map_or_else(|| "failed".into(), |s| format!("failed for {} = {}", s.column, s.value))
                }
                Reason::Inconclusive => "was inconclusive".into(),
                Reason::NoData => "had too little data".into(),
            };
            let (stage, gate) = (&scenario.stages[stage].name, &scenario.gates[gate].name);
            ("rolled back", format!("rolled back in stage `{stage}` after {after}: gate `{gate}` {why}"))
        }
    }
}
