//! Parse, run, exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use replay::cli::Cli;
use replay::commands;
use replay::error::{EXIT_DONE, EXIT_INPUT};

/// The engine frees on one thread what another took; this allocator gives such memory back to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and version are answers and go to stdout; a closed pipe there is no failure.
            let _ = usage.print();
            if usage.kind() == ErrorKind::ArgumentConflict {
                let _ = writeln!(
                    std::io::stderr().lock(),
                    "\nhint: the scenario is an option: `replay LOG --scenario FILE`"
                );
            }
            return ExitCode::from(if usage.use_stderr() { EXIT_INPUT } else { EXIT_DONE });
        }
    };
    match commands::run_command(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = write!(std::io::stderr().lock(), "{error}");
            ExitCode::from(EXIT_INPUT)
        }
    }
}
