//! `replay assign`: which units get the candidate, with the production salt.

use super::progress::Progress;
use super::{answer, inputs};
use crate::assign::production;
use crate::cli::AssignArgs;
use crate::domain::version::Version;
use crate::error::{Problem, Result};
use crate::scenario::Scenario;

pub(super) fn run(args: &AssignArgs) -> Result<u8> {
    let mut scenario = inputs::scenario(&args.inputs)?;
    // Buckets have no names of units.
    scenario.assignment.buckets = None;
    let exposure = inputs::stage(&scenario, &args.stage)?.exposure;
    let progress = Progress::new();
    let digest = inputs::digest(&args.inputs, &scenario, &progress)?;
    progress.finish();
    let bucketing = production(&scenario.assignment);
    let exposed = digest.units.iter().filter(|unit| bucketing.version(unit, exposure) == Version::Candidate);
    answer(&listed(&scenario, exposed)?)
}

/// One unit per row under the name of its column, quoted where CSV needs it.
fn listed<'a>(scenario: &'a Scenario, units: impl Iterator<Item = &'a String>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut rows = std::iter::once(&scenario.assignment.unit).chain(units);
    let written = rows.try_for_each(|row| writer.write_record([row]));
    let bytes = written
        .map_err(|error| error.to_string())
        .and_then(|()| writer.into_inner().map_err(|error| error.to_string()));
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()));
    text.map_err(|message| Problem::new("assign", message).into())
}
