//! `replay synth`: recipe → synthetic log.

use super::progress::Progress;
use super::{answer, output};
use crate::cli::SynthArgs;
use crate::error::Result;
use crate::synth;

pub(super) fn run(args: &SynthArgs) -> Result<u8> {
    let recipe = synth::read(&args.recipe, args.requests)?;
    match args.shards {
        None => {
            output::prepare(&args.out)?;
            synth::write(&recipe, &args.out)?;
        }
        Some(shards) => {
            let progress = Progress::new();
            progress.start("making", 2 * shards as usize);
            synth::write_shards(&recipe, &args.out, shards, &|steps| progress.advance(steps))?;
            progress.finish();
        }
    }
    answer(&format!("wrote {}\n", args.out.display()))
}
