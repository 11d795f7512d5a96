//! `replay check`: problems of a scenario and a log, and advice on the plan, without simulating.

use std::fmt::Write as _;

use super::progress::Progress;
use super::{advice, answer, inputs, schema};
use crate::cli::{CheckArgs, Inputs};
use crate::domain::rollout::Budget;
use crate::error::Result;
use crate::outcome::player::Player;
use crate::report::labels;
use crate::scenario;
use crate::shadow;
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
    let (rows, units) = (digest.facts.rows, digest.logged_units());
    let mut text =
        format!("no problems: {rows} requests of {units} units; {} start times fit in the log\n", starts.len());
    progress.step("planning");
    // To calibrate is to simulate; plans at the budget's split are near enough for advice.
    if scenario.rollout.budget == Budget::Calibrated {
        scenario.rollout.budget = Budget::Split;
    }
    let simulator = Simulator::new(&digest, &scenario);
    let player = Player::new(&scenario, &simulator, starts);
    for line in advice::all(&player, &digest, &shadow::report(&digest, &scenario)) {
        let (place, words) = (labels::visible(&line.r#where), labels::visible(&line.text));
        let _ = writeln!(text, "\nadvice: {place}: {words} [{}]", line.code);
    }
    progress.finish();
    answer(&text)
}
