//! What was typed. Nothing is checked here beyond its form.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Shadow-and-canary replay simulator for release planning.
#[derive(Debug, Parser)]
#[command(name = "replay", version, about, args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Cli {
    /// Another verb than the main job.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The main job.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Report problems of a scenario and a log without simulating
    Check(CheckArgs),
    /// Write the digest of a log: small, mergeable, accepted wherever a log is
    Digest(DigestArgs),
    /// List exactly which units get the candidate, with the production salt
    Assign(AssignArgs),
    /// Make a synthetic log from a recipe
    Synth(SynthArgs),
    /// Print the JSON Schema of a file form
    Schema(SchemaArgs),
}

/// A log and the scenario that says what its columns mean.
#[derive(Debug, Clone, Args)]
pub struct Inputs {
    /// Log or digest: a file, a quoted glob, or a directory (Parquet, CSV, NDJSON, Arrow IPC)
    #[arg(required = true)]
    pub log: Option<String>,
    /// What to replay (TOML)
    #[arg(long, value_name = "FILE", required = true)]
    pub scenario: Option<PathBuf>,
}

/// Replay a rollout on a log: what will this schedule do?
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Log and scenario.
    #[command(flatten)]
    pub inputs: Inputs,
    /// Directory of the report; an earlier report there is replaced when the new one is complete
    #[arg(long, value_name = "DIR", default_value = "replay-report")]
    pub out: PathBuf,
    /// Number of simulated rollouts, instead of the scenario's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub replicates: Option<u32>,
    /// Seed of everything random, instead of the scenario's
    #[arg(long, value_name = "K")]
    pub seed: Option<u64>,
    /// Threads of the simulation; results are the same for any number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

/// Arguments of `replay check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Log or digest; without one, only the scenario is checked
    #[arg(required_unless_present_any = ["scenario", "schema"])]
    pub log: Option<String>,
    /// Scenario to check
    #[arg(long, value_name = "FILE", required_unless_present = "schema")]
    pub scenario: Option<PathBuf>,
    /// Print the JSON Schema of the scenario language instead, for editors
    #[arg(long, conflicts_with_all = ["log", "scenario"])]
    pub schema: bool,
}

/// Arguments of `replay digest`.
#[derive(Debug, Clone, Args)]
pub struct DigestArgs {
    /// Log and scenario.
    #[command(flatten)]
    pub inputs: Inputs,
    /// File to write
    #[arg(short, long, value_name = "FILE", default_value = "digest.parquet")]
    pub out: PathBuf,
}

/// Arguments of `replay assign`.
#[derive(Debug, Clone, Args)]
pub struct AssignArgs {
    /// Log and scenario.
    #[command(flatten)]
    pub inputs: Inputs,
    /// Stage whose exposure counts
    #[arg(long, value_name = "NAME")]
    pub stage: String,
}

/// Arguments of `replay synth`.
#[derive(Debug, Clone, Args)]
pub struct SynthArgs {
    /// What to make (TOML)
    pub recipe: PathBuf,
    /// Parquet file to write
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Arguments of `replay schema`.
#[derive(Debug, Clone, Args)]
pub struct SchemaArgs {
    /// Which form
    pub form: Form,
}

/// A file form with a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Form {
    /// `report.json`
    Report,
    /// Scenario files
    Scenario,
}
