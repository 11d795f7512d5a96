//! `replay digest`: log → digest file.

use super::progress::Progress;
use super::{answer, inputs, output};
use crate::cli::DigestArgs;
use crate::digest::file;
use crate::error::Result;

pub(super) fn run(args: &DigestArgs) -> Result<u8> {
    let scenario = inputs::scenario(&args.inputs)?;
    output::prepare(&args.out)?;
    let progress = Progress::new();
    let digest = inputs::recorded_digest(&args.inputs, &scenario, &progress)?;
    progress.step("writing");
    file::write(&digest, &scenario, &args.out)?;
    progress.finish();
    let (rows, cells, units) = (digest.facts.rows, digest.cells.len(), digest.logged_units());
    answer(&format!("wrote {}: {rows} requests of {units} units in {cells} cells\n", args.out.display()))
}
