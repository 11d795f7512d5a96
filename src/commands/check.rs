//! `replay check`: problems of a scenario and a log, and advice on the plan, without simulating.

use std::fmt::Write as _;

use super::progress::Progress;
use super::{advice, answer, inputs, schema};
use crate::cli::{CheckArgs, Inputs};
use crate::domain::rollout::Budget;
use crate::error::Result;
use crate::outcome::player::Player;
use crate::paired::golden::Golden;
use crate::report::labels;
use crate::scenario::{self, Scenario};
use crate::shadow::Shadow;
use crate::simulate::Simulator;

pub(super) fn run(args: &CheckArgs) -> Result<u8> {
    if args.schema {
        return schema::print(&scenario::schema::json_schema());
    }
    let wanted = Inputs { log: args.log.clone(), scenario: args.scenario.clone() };
    let mut scenario = inputs::scenario(&wanted)?;
    if args.log.is_none() {
        return answer(&format!("{}: no problems; give a log to check it too\n", scenario.path));
    }
    let progress = Progress::new();
    let digest = inputs::digest(&wanted, &scenario, &progress)?;
    inputs::comparable(&wanted, &digest)?;
    let starts = inputs::starts(&scenario, &digest)?;
    let golden = inputs::golden(&scenario, &progress)?;
    let (rows, units) = (digest.facts.rows, digest.logged_units());
    let mut text =
        format!("no problems: {rows} requests of {units} units; {} start times fit in the log\n", starts.len());
    text += &pairs(&scenario, &golden);
    progress.step("planning");
    // To calibrate is to simulate; plans at the budget's split are near enough for advice.
    if scenario.rollout.budget == Budget::Calibrated {
        scenario.rollout.budget = Budget::Split;
    }
    let simulator = Simulator::new(&digest, &scenario);
    let player = Player::new(&scenario, &simulator, starts).with_pairs(&digest, &golden);
    for line in advice::all(&player, &digest, &Shadow::new(&digest, &scenario).all().0, &golden) {
        let (place, words) = (labels::visible(&line.r#where), labels::visible(&line.text));
        let _ = writeln!(text, "\nadvice: {place}: {words} [{}]", line.code);
    }
    progress.finish();
    answer(&text)
}

/// What stages that expose nobody ask, and of how much.
fn pairs(scenario: &Scenario, golden: &[Option<Golden>]) -> String {
    let mut text = String::new();
    for (stage, golden) in scenario.stages.iter().zip(golden) {
        let Some(paired) = &stage.paired else { continue };
        let of = golden.as_ref().map_or_else(
            || format!("{} of mirrored traffic", stage.duration),
            |golden| {
                let (rows, units) = (golden.digest.facts.rows, golden.digest.units.len());
                format!("{rows} rows of {units} `{}` in {}", golden.unit, labels::file_name(&golden.path))
            },
        );
        let listed =
            |names: Vec<&String>| names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let silent: Vec<&String> =
            scenario.gates.iter().map(|gate| &gate.name).filter(|name| !paired.gates.contains(name)).collect();
        let silent = if silent.is_empty() { String::new() } else { format!("; not asked there: {}", listed(silent)) };
        let line = format!(
            "stage `{}` ({}): {of}, asked by {}{silent}",
            stage.name,
            paired.source.kind(),
            listed(paired.gates.iter().collect())
        );
        let _ = writeln!(text, "{}", labels::visible(&line));
    }
    text
}
