//! One verb per file; each body reads as the pipeline.

mod advice;
mod assign;
mod check;
mod compare;
mod digest;
mod exact;
mod facts;
mod inputs;
mod limits;
mod output;
mod plan;
mod power;
mod progress;
mod require;
mod run;
mod schema;
mod shadow;
mod silence;
mod strategies;
mod synth;
mod warnings;

use std::io::{ErrorKind, Write};

use crate::cli::{Cli, Command};
use crate::error::{EXIT_DONE, Error, Result};

/// Runs what was typed and gives the exit code.
///
/// # Errors
/// Bad input or usage; nothing was written.
pub fn run_command(cli: Cli) -> Result<u8> {
    match cli.command {
        None => run::run(&cli.run),
        Some(Command::Power(args)) => power::run(&args),
        Some(Command::Check(args)) => check::run(&args),
        Some(Command::Compare(args)) if args.strategies => strategies::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Plan(args)) => plan::run(&args),
        Some(Command::Digest(args)) => digest::run(&args),
        Some(Command::Shadow(args)) => shadow::run(&args),
        Some(Command::Assign(args)) => assign::run(&args),
        Some(Command::Synth(args)) => synth::run(&args),
        Some(Command::Schema(args)) => schema::run(args.form),
    }
}

/// Writes the answer to stdout. A reader that has gone away (a closed pipe) is no failure.
fn answer(text: &str) -> Result<u8> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::at("stdout", format!("cannot be written: {error}")))
        }
        _ => Ok(EXIT_DONE),
    }
}

/// An argument as a shell takes it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=@%+,".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn use_threads(threads: Option<u16>) -> Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global();
    pool.map_err(|error| Error::at("--threads", error.to_string()))
}
