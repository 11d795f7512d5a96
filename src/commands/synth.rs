//! `replay synth`: recipe → synthetic log.

use super::{answer, output};
use crate::cli::SynthArgs;
use crate::error::Result;

pub(super) fn run(args: &SynthArgs) -> Result<u8> {
    output::prepare(&args.out)?;
    crate::synth::run(&args.recipe, &args.out)?;
    answer(&format!("wrote {}\n", args.out.display()))
}
