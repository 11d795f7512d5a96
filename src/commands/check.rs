//! `replay check`: problems of a scenario and a log, without simulating.

use super::progress::Progress;
use super::{answer, inputs, schema};
use crate::cli::{CheckArgs, Inputs};
use crate::error::Result;
use crate::scenario;

pub(super) fn run(args: &CheckArgs) -> Result<u8> {
    if args.schema {
        return schema::print(&scenario::schema::json_schema());
    }
    let wanted = Inputs { log: args.log.clone(), scenario: args.scenario.clone() };
    let scenario = inputs::scenario(&wanted)?;
    if args.log.is_none() {
        return answer(&format!("{}: no problems; give a log to check it too\n", scenario.path));
    }
    let progress = Progress::new();
    let digest = inputs::digest(&wanted, &scenario, &progress)?;
    inputs::comparable(&wanted, &digest)?;
    let starts = inputs::starts(&scenario, &digest)?;
    progress.finish();
    let (rows, units) = (digest.facts.rows, digest.logged_units());
    answer(&format!("no problems: {rows} requests of {units} units; {} start times fit in the log\n", starts.len()))
}
