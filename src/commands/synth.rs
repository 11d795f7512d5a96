//! `replay synth`: recipe → synthetic log.

use super::answer;
use crate::cli::SynthArgs;
use crate::error::Result;

pub(super) fn run(args: &SynthArgs) -> Result<u8> {
    crate::synth::run(&args.recipe, &args.out)?;
    Ok(answer(&format!("wrote {}\n", args.out.display())))
}
