//! What mirrors show, start by start → the chance that one blocks the launch, in every world.

use rayon::prelude::*;

use super::player::{Beyond, Ground};
use super::variants::worlds;
use crate::digest::Digest;
use crate::domain::gate::{Gate, Test};
use crate::domain::metric::Margin;
use crate::domain::quantity::{Moment, Seconds};
use crate::domain::world::{Effect, World};
use crate::gate::lens::Lens;
use crate::report::Segment;
use crate::scenario::{Resample, Scenario, Tile};
use crate::shadow::mirror::{Mirrored, Mirrors};
use crate::simulate::layout::Slice;
use crate::simulate::{Simulator, whole_weeks};
use crate::stats::normal;

/// Mirrors from more starts say little new: they overlap.
const MOST_STARTS: usize = 100;

/// One question of a gate in one world.
struct Asked {
    gate: usize,
    segment: Option<Segment>,
    /// By how much the regression is larger than that of a candidate that answers as stable did, as a mean over the mirror.
    moved: f64,
    /// How many standard errors beyond the margin the regression may seem to be.
    bound: f64,
}

/// Per world of a scenario, by name: the chance that a mirror blocks the launch, as a mean over starts.
///
/// # Formula
/// From each start, the requests that the mirror sees give a question's regression beyond its margin, `m`, and its standard error `s`, the
/// larger of the one by unit and the one by unit and item both. The launch goes on if `m <= z s`; `z` is the upper quantile of the question's
/// part of the gate's failing error (0 for a bare estimate). Where the schedule needs every gate to pass, `z` is minus that of the gate's alpha,
/// and the margin is the one to pass.
///
/// As recorded, `m` is what the mirror sees, and only copies of units vary: the chance is `Phi((z s - m) / u)` with `u` the standard error by
/// unit, and 0 or 1 where each unit appears once. In the other worlds the candidate is another one: `m` is what the world adds to stable's own
/// answers over the log, and its answers scatter around that as the recorded ones do: the chance is `Phi(z - m / s)`. Where outcomes are 0 or 1,
/// a regression of `d` adds at least `|d| - d²` to the variance of a pair: answers must differ for it.
///
/// Questions count as independent, and those without a standard error block only where every gate has to pass. A regression that sets in
/// meanwhile counts by what is seen of it.
#[must_use]
pub fn blocked(
    digest: &Digest,
    scenario: &Scenario,
    simulator: &Simulator,
    ground: &Ground,
    starts: &[Moment],
    length: Seconds,
) -> Vec<(String, f64)> {
    let needs_pass = (0..scenario.stages.len()).any(|stage| scenario.rollout.needs_pass(stage));
    let margins: Vec<Option<Margin>> = scenario.gates.iter().map(|gate| margin(gate, needs_pass)).collect();
    let period = (scenario.log.tile == Tile::Week).then(|| whole_weeks(digest)).filter(|&slots| slots > 0);
    let mirrors = Mirrors::new(digest, scenario, &margins, period);
    let slots = usize::try_from(length.0 / digest.slot.0).expect("a mirror takes time");
    let count = starts.len().min(MOST_STARTS);
    let shown = |index: usize| {
        let first = simulator.slot_at(starts[index * starts.len() / count]);
        mirrors.during(first..first + slots)
    };
    let shown: Vec<Vec<Mirrored>> = (0..count).into_par_iter().map(shown).collect();
    let whole = mirrors.during(0..period.unwrap_or(digest.slots as usize));
    let chance = |world: World| {
        let asked = asked(digest, scenario, simulator, ground, world, needs_pass, length);
        let goes = |rows: &Vec<Mirrored>| {
            asked.iter().map(|asked| goes(scenario, world, asked, rows, &whole, needs_pass)).product::<f64>()
        };
        1.0 - shown.iter().map(goes).sum::<f64>() / count as f64
    };
    worlds(scenario).into_iter().map(|world| (scenario.world_name(world), chance(world))).collect()
}

/// The margin that decides, of gates that compare with stable.
fn margin(gate: &Gate, needs_pass: bool) -> Option<Margin> {
    // Prompts with known answers are no traffic.
    let allow = gate.allow.filter(|_| !matches!(gate.test, Test::Sentinel(_)))?;
    Some(if needs_pass { allow } else { gate.harm.unwrap_or(allow) })
}

/// Every question of every gate that a mirror is asked.
fn asked(
    digest: &Digest,
    scenario: &Scenario,
    simulator: &Simulator,
    ground: &Ground,
    world: World,
    needs_pass: bool,
    length: Seconds,
) -> Vec<Asked> {
    let seen = match world {
        World::Effect(effect) => seen(&scenario.effects[effect], length),
        _ => 1.0,
    };
    let segment = |slice: Slice| match slice {
        Slice::Overall => None,
        Slice::Segment { column, value } => {
            let column = &digest.segments[column];
            Some(Segment { column: column.name.clone(), value: column.values[value].clone() })
        }
    };
    let of_gate = |gate: usize| {
        let rule = &scenario.gates[gate];
        let beyond = |world: World| {
            let lens = Lens::of(world, rule.metric, scenario, &simulator.layout, &ground.levels_of_metrics);
            ground.beyond(scenario, gate, lens, needs_pass, simulator)
        };
        let alike = beyond(World::Null);
        let question = move |here: Beyond| {
            let alike = alike.iter().find(|alike| alike.slice == here.slice);
            let z = |level: f64| normal::upper_quantile(level.clamp(1e-12, 0.5));
            let bound = match rule.test {
                Test::Point => 0.0,
                _ if needs_pass => -z(rule.alpha.get()),
                _ => z(here.level),
            };
            let moved = alike.map_or(0.0, |alike| seen * (here.difference - alike.difference));
            Asked { gate, segment: segment(here.slice), moved, bound }
        };
        beyond(world).into_iter().map(question).collect::<Vec<Asked>>()
    };
    let compares = |&gate: &usize| margin(&scenario.gates[gate], needs_pass).is_some();
    (0..scenario.gates.len()).filter(compares).flat_map(of_gate).collect()
}

/// The mean size of an effect while a mirror runs, as a part of its full size.
fn seen(effect: &Effect, length: Seconds) -> f64 {
    let (length, ramp) = (length.0 as f64, effect.ramp.0 as f64);
    let since = (length - effect.onset.0 as f64).max(0.0);
    if since < ramp { since * since / (2.0 * ramp * length) } else { (since - ramp / 2.0) / length }
}

/// The chance that a question lets the launch go on after what one mirror shows.
fn goes(
    scenario: &Scenario,
    world: World,
    asked: &Asked,
    rows: &[Mirrored],
    whole: &[Mirrored],
    needs_pass: bool,
) -> f64 {
    let same = |row: &&Mirrored| row.gate == asked.gate && row.segment == asked.segment;
    let Some(row) = rows.iter().find(same) else { return if needs_pass { 0.0 } else { 1.0 } };
    let se = row.recorded.se();
    if world == World::Recorded {
        let spread = match scenario.simulation.resample {
            Resample::Poisson => row.recorded.by_unit.sqrt(),
            Resample::None => 0.0,
        };
        return chance(row.recorded.beyond, asked.bound * se, spread);
    }
    let kind = &scenario.metrics[scenario.gates[asked.gate].metric].kind;
    // The longer one looks, the more units have had an event.
    let grown = match whole.iter().find(same) {
        Some(whole) if kind.is_rare() && whole.stable > 0.0 => row.stable / whole.stable,
        _ => 1.0,
    };
    let moved = asked.moved * grown;
    let turned = if kind.is_share() { moved.abs().min(1.0) } else { 0.0 };
    let se = (se * se + turned * (1.0 - turned) / row.requests.max(1.0)).sqrt();
    chance(row.alike + moved, asked.bound * se, se)
}

/// The chance that a normal estimate is at most a bound.
fn chance(mean: f64, bound: f64, spread: f64) -> f64 {
    if spread > 0.0 { normal::cdf((bound - mean) / spread) } else { f64::from(u8::from(mean <= bound)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::world::Change;

    #[test]
    fn a_chance_is_that_of_a_normal_estimate() {
        // 0.5 standard errors below the bound; the table of the normal distribution gives 0.6915.
        assert!((chance(0.3, 0.4, 0.2) - 0.691_462_461).abs() < 1e-8);
        assert_eq!((chance(0.3, 0.4, 0.0), chance(0.4, 0.4, 0.0), chance(0.5, 0.4, 0.0)), (1.0, 1.0, 0.0));
    }

    #[test]
    fn an_effect_counts_by_what_a_mirror_sees_of_it() {
        let hours = |hours: i64| Seconds(3600 * hours);
        let effect = |onset: i64, ramp: i64| Effect {
            name: String::new(),
            family: String::new(),
            metric: 0,
            change: Change::Scale(0.9),
            only: Vec::new(),
            onset: hours(onset),
            ramp: hours(ramp),
        };
        // Areas of rectangles, triangles and trapezia over twelve hours.
        for (onset, ramp, expected) in
            [(0, 0, 1.0), (9, 0, 0.25), (12, 0, 0.0), (20, 4, 0.0), (0, 12, 0.5), (0, 24, 0.25), (6, 4, 4.0 / 12.0)]
        {
            assert!((seen(&effect(onset, ramp), hours(12)) - expected).abs() < 1e-12, "{onset} {ramp}");
        }
    }
}
