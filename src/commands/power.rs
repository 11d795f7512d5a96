//! `power`: how long each stage must run; the main job's report, answered in what each gate can decide.

use super::run;
use crate::cli::RunArgs;
use crate::error::Result;
use crate::report;

pub(super) fn run(args: &RunArgs) -> Result<u8> {
    run::reported(args, report::power)
}
