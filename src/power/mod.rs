//! Before any user sees the candidate: what each gate can decide, in closed form from the log's variances and arrival of units.

pub mod closed_form;

mod curve;
mod design;
mod events;
pub mod forecast;
mod judging;
mod needs;
mod paired;
pub mod rest;
mod sizes;
mod words;
mod worth;

use rayon::prelude::*;

use crate::digest::Digest;
use crate::outcome::player::Player;
use crate::outcome::tally::Tally;
use crate::report::planning::{NeedRow, Planning, ShadowWorth, Side};
use crate::report::{PowerCurve, Warning, labels};
use crate::scenario::Scenario;
use crate::shadow::Against;
use closed_form::Plan;
use needs::{OfStage, Planner};
use rest::Rest;

/// What planning finds, beside what was replayed. Fills the closed forms of power curves, too.
#[must_use]
pub fn planning(
    player: &Player<'_>,
    tally: &Tally,
    digest: &Digest,
    forms: &Forms,
    shadow: &[Against],
    curves: &mut [PowerCurve],
) -> Planning {
    let Forms { plans, rests } = forms;
    let planner = Planner { player, tally, digest, plans, rests };
    let stages: Vec<OfStage> =
        (0..player.scenario.stages.len()).into_par_iter().map(|stage| planner.of_stage(stage)).collect();
    let mut planning = Planning::default();
    for (stage, found) in stages.into_iter().enumerate() {
        for (gate, points) in found.curves {
            let names = (&player.scenario.gates[gate].name, &player.scenario.stages[stage].name);
            let curve = curves.iter_mut().find(|curve| (&curve.gate, &curve.stage) == names);
            for (point, (fail, pass)) in curve.into_iter().flat_map(|curve| &mut curve.points).zip(points) {
                point.fail_closed_form = Some(fail);
                point.pass_closed_form = Some(pass);
            }
        }
        planning.needs.extend(found.needs);
        planning.times.extend(found.times);
        planning.maps.extend(found.maps);
    }
    planning.sizes = sizes::curves(player, tally, digest);
    planning.shadow = worth::rows(shadow, player.scenario, &planning.needs);
    planning
}

/// What planning needs and no replicate changes.
pub struct Forms {
    /// Closed forms of every question at every stage.
    pub plans: Vec<Plan>,
    /// Of every stage: what the log would bring if it went on.
    pub rests: Vec<Option<Rest>>,
}

impl Forms {
    /// Works them out.
    #[must_use]
    pub fn new(player: &Player<'_>) -> Self {
        let rests = Rest::of_stages(player);
        Self { plans: closed_form::plans(player, &rests), rests }
    }
}

/// What shadow mode has shown about each gate, and what it would take to show more.
#[must_use]
pub fn shadow_worth(shown: &[Against], scenario: &Scenario) -> Vec<ShadowWorth> {
    worth::rows(shown, scenario, &[])
}

/// Gates whose closed form and replay disagree beyond Monte Carlo error: one warning per gate and side, naming the worst place.
#[must_use]
pub fn warnings(planning: &Planning) -> Vec<Warning> {
    let mut worst: Vec<(&NeedRow, &str, &Side, usize)> = Vec::new();
    for row in &planning.needs {
        for (name, side) in [("pass", &row.pass), ("fail", &row.fail)] {
            let Some(side) = side.as_ref().filter(|side| side.why.is_some()) else { continue };
            let gap = |side: &Side| (side.closed_form - side.simulated.share).abs();
            match worst.iter_mut().find(|(other, side, ..)| other.gate == row.gate && *side == name) {
                Some(known) => {
                    known.3 += 1;
                    if gap(side) > gap(known.2) {
                        (known.0, known.2) = (row, side);
                    }
                }
                None => worst.push((row, name, side, 1)),
            }
        }
    }
    let warning = |(row, name, side, places): (&NeedRow, &str, &Side, usize)| {
        let slice = row.segment.as_ref().map_or_else(String::new, |s| format!(", {} = {}", s.column, s.value));
        let more = if places > 1 { format!(", the widest gap of {places}") } else { String::new() };
        Warning {
            code: "power-disagrees".into(),
            r#where: format!("stage {}{slice}", row.stage),
            text: format!(
                "gate `{}`: chance to {name} is {} in closed form and {} as replayed{more} ({}); plan by the replay",
                row.gate,
                labels::percent(side.closed_form),
                labels::share(side.simulated),
                side.why.as_deref().unwrap_or_default(),
            ),
        }
    };
    worst.into_iter().map(warning).collect()
}
