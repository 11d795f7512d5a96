//! What was typed. Nothing is checked here beyond its form.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Examples of the main job, and what its exit code says.
const RUN_EXAMPLES: &str = "\
Examples:
  replay log.parquet --scenario release.toml
      Replays the release and writes replay-report/report.html
  replay 'logs/2026-11-*.parquet' --scenario release.toml --out november --replicates 4000
      Several files as one log, more replicates, another place for the report
  replay check log.parquet --scenario release.toml
      Finds every problem of scenario and log first, without simulating

  replay log.parquet --scenario release.toml --require 'false_rollback<=5%' --require 'power>=80%'
      Exit code 1 where the plan misses a limit, for CI

Exit codes: 0 done, 1 done and a limit of --require is missed, 2 bad input or usage, 130 ended by Ctrl-C. Nothing is written
unless it is 0 or 1.";

const POWER_EXAMPLES: &str = "\
Examples:
  replay power log.parquet --scenario release.toml
      For each stage and gate: the regression it sees, and the time, units or exposure it needs
  replay power log.parquet --scenario release.toml --require 'power>=0.8'
      Exit code 1 where some gate cannot decide often enough

Writes the same report as the main job. Limits: power is, under `all-pass`, each gate's chance to pass a candidate as good as stable
at each stage that needs it, and under `no-fail` its chance to fail at its named regression at the last stage that asks it;
promoted and false_rollback are of a candidate as good as stable; miss and exposed_requests are of each effect past a margin.";

const CHECK_EXAMPLES: &str = "\
Examples:
  replay check --scenario release.toml                The scenario alone
  replay check log.parquet --scenario release.toml    Also whether the log fits it
  replay check --schema > scenario.schema.json        The schema, for an editor

A scenario whose first line is `#:schema ./scenario.schema.json` is completed and checked by editors that know TOML.";

const COMPARE_EXAMPLES: &str = "\
Examples:
  replay compare log.parquet --scenario today.toml --scenario proposed.toml
      Two schedules on the same traffic
  replay compare log.parquet --scenario release.toml --sweep 'gates.task quality.allow=0.5%,1%,2%' --sweep stages.5%.duration=12h,24h,48h
      Every combination: nine variants
  replay compare log.parquet --scenario release.toml --sweep 'gates.*.alpha=0.01,0.05' --sweep 'rollout.start=Mon 09:00,Fri 16:00'
      All gates at once; several starts of one variant go in brackets: [\"Mon 09:00\", \"Tue 09:00\"]
  replay compare log.parquet --scenario release.toml --strategies
      This schedule against a big bang, blue-green, a shadow before a big bang, and a fixed 50/50 split

All variants share users, starts and random numbers, so differences are paired with the first. Those that differ only in what
gates decide share one simulation.";

const PLAN_EXAMPLES: &str = "\
Examples:
  replay plan log.parquet --scenario release.toml --limit 'false_rollback<=5%' --limit 'miss<=10%' --limit 'days<=7'
      The fastest schedule that keeps these limits in every world; replay-plan/plan.toml is its scenario
  replay plan log.parquet --scenario release.toml --limit 'miss<=10%' --limit 'exposed_requests<=20000' --effort thorough
      Also a limit on what a bad candidate may serve; more schedules are tried

Limits: `promoted>=` and `false_rollback<=` are of a candidate as good as stable, `miss<=` (promoted to the end) and
`exposed_requests<=` (mean) of each effect past a margin, `days<=` is the time until a candidate as good as stable serves everybody.
Without `promoted>=` it is 80%. Metrics, gates' margins and effects stay as written.

Exit codes: 0 found, 1 nothing tried keeps every limit (then it says what would), 2 bad input or usage, 130 ended by Ctrl-C.";

const DIGEST_EXAMPLES: &str = "\
Examples:
  replay digest log.parquet --scenario release.toml -o november.parquet
  replay november.parquet --scenario release.toml

A digest holds what the metrics, segments, unit and slot of its scenario need. Gates, stages and effects may change
afterwards; of several digests in a directory or pattern, the sum is taken.";

const ASSIGN_EXAMPLES: &str = "\
Examples:
  replay assign log.parquet --scenario release.toml
      Every unit and the first stage in which it has the candidate
  replay assign log.parquet --scenario release.toml --stage 5% -o candidate-users.parquet
      The units that have the candidate in one stage
  replay assign --scenario release.toml --why user-506283
      What is hashed, what comes of it, and the answer in each stage
  replay assign --hash launchdarkly --set key=new-nav --set salt=9229bb --set 'weights=[5000,95000]' --unit user-7 --format json
      Without a log: all that an algorithm computes for one unit

Units are hashed bit for bit as the flag platform of `assignment.hash` does. In CSV a unit that a spreadsheet would run as a formula
(it begins with = + - @, a tab or a return) has an apostrophe before it; Parquet has it as it is.

Values of --set are texts as they are; lists, tables and numbers are JSON, and `null` is no value. --unit is always text, where
`--set bucket_by` of flagd_v3 is JSON if it can be.";

const SHADOW_EXAMPLES: &str = "\
Examples:
  replay shadow log.parquet --scenario release.toml
      What the pairs of the log already show, per gate and per metric, without simulating
  replay shadow log.parquet --scenario release.toml --failures golden.parquet
      Also the requests in which the candidate is worse, the worst first: the next golden set";

const SYNTH_EXAMPLES: &str = "\
Examples:
  replay synth datasets/support-bot.toml -o support-bot.parquet
  replay synth datasets/support-bot.toml -o big --shards 100 --requests 100000000
      A log larger than memory, as a directory of files

The same recipe gives the same bytes, on any number of threads.";

/// Shadow-and-canary replay simulator for release planning.
///
/// From a log in which shadow mode recorded what a candidate would have answered: how long each canary stage must run,
/// what the schedule does to a good and to a bad candidate, and who gets the candidate.
#[derive(Debug, Parser)]
#[command(name = "replay", version, about, args_conflicts_with_subcommands = true, arg_required_else_help = true)]
#[command(after_help = RUN_EXAMPLES)]
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
    /// Say how long each stage must run: what each gate can decide, and what more would take
    #[command(after_help = POWER_EXAMPLES)]
    Power(RunArgs),
    /// Report problems of a scenario and a log, and give advice on the plan, without simulating
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Compare variants of a schedule on the same traffic: which are on the frontier?
    #[command(after_help = COMPARE_EXAMPLES)]
    Compare(CompareArgs),
    /// Find the fastest schedule within limits
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Write the digest of a log: small, mergeable, accepted wherever a log is
    #[command(after_help = DIGEST_EXAMPLES)]
    Digest(DigestArgs),
    /// Say what shadow mode has already shown, without simulating
    #[command(after_help = SHADOW_EXAMPLES)]
    Shadow(ShadowArgs),
    /// List exactly which units get the candidate, as the flag platform decides it
    #[command(after_help = ASSIGN_EXAMPLES)]
    Assign(AssignArgs),
    /// Make a synthetic log from a recipe
    #[command(after_help = SYNTH_EXAMPLES)]
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
    /// What to replay: columns, metrics, stages, gates, effects (TOML)
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
    /// A limit that the plan must keep, such as `power>=0.8`; repeatable. Where one is missed, the exit code is 1
    ///
    /// One of `power>=`, `promoted>=`, `false_rollback<=`, `miss<=`, `exposed_requests<=`, `days<=`, and a number or a percentage
    #[arg(long, value_name = "LIMIT")]
    pub require: Vec<String>,
}

/// Arguments of `replay check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Log or digest; without one, only the scenario is checked
    pub log: Option<String>,
    /// Scenario to check
    #[arg(long, value_name = "FILE", required_unless_present = "schema")]
    pub scenario: Option<PathBuf>,
    /// Print the JSON Schema of the scenario language instead, for editors
    #[arg(long, conflicts_with_all = ["log", "scenario"])]
    pub schema: bool,
}

/// Arguments of `replay compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// Log or digest: a file, a quoted glob, or a directory (Parquet, CSV, NDJSON, Arrow IPC)
    pub log: String,
    /// Scenario to compare; may be repeated, differences are to the first
    #[arg(long, value_name = "FILE", required = true)]
    pub scenario: Vec<PathBuf>,
    /// Values that a key takes in turn; repeated, every combination: `stages.5%.duration=12h,24h`
    #[arg(long, value_name = "KEY=V1,V2")]
    pub sweep: Vec<String>,
    /// Hold the scenario against other ways of releasing: big bang, blue-green, shadow then big bang, fixed 50/50
    #[arg(long, conflicts_with = "sweep")]
    pub strategies: bool,
    /// How long traffic is mirrored before a big bang, such as `24h`, instead of the length of the first stage
    #[arg(long, value_name = "TIME", requires = "strategies")]
    pub shadow: Option<String>,
    /// Directory of the comparison; an earlier one there is replaced when the new one is complete
    #[arg(long, value_name = "DIR", default_value = "replay-comparison")]
    pub out: PathBuf,
    /// Number of simulated rollouts of each variant, instead of the first scenario's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub replicates: Option<u32>,
    /// Seed of everything random, instead of the first scenario's
    #[arg(long, value_name = "K")]
    pub seed: Option<u64>,
    /// Threads of the simulation; results are the same for any number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

/// Arguments of `replay plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// Log and scenario.
    #[command(flatten)]
    pub inputs: Inputs,
    /// A limit that the schedule must keep, such as `miss<=10%`; repeatable
    ///
    /// One of `promoted>=`, `false_rollback<=`, `miss<=`, `exposed_requests<=`, `days<=`, and a number or a percentage
    #[arg(long, value_name = "LIMIT", required = true)]
    pub limit: Vec<String>,
    /// How much is tried
    #[arg(long, value_name = "EFFORT", value_enum, default_value_t = Effort::Usual)]
    pub effort: Effort,
    /// Directory of the plan; an earlier one there is replaced when the new one is complete
    #[arg(long, value_name = "DIR", default_value = "replay-plan")]
    pub out: PathBuf,
    /// Number of simulated rollouts of finalists and on fresh seeds, instead of the scenario's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub replicates: Option<u32>,
    /// Seed of the search, instead of the scenario's; fresh runs take the next ones
    #[arg(long, value_name = "K")]
    pub seed: Option<u64>,
    /// Threads of the simulation; results are the same for any number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

/// How much a search tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Effort {
    /// Half of the usual
    Quick,
    /// Some thirty schedules
    Usual,
    /// Four times the usual
    Thorough,
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
    /// Log: a file, a quoted glob, or a directory (Parquet, CSV, NDJSON, Arrow IPC)
    #[arg(required_unless_present_any = ["why", "hash"])]
    pub log: Option<String>,
    /// Columns, platform and stages (TOML)
    #[arg(long, value_name = "FILE", required_unless_present = "hash")]
    pub scenario: Option<PathBuf>,
    /// Only the units that have the candidate in this stage
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
    /// File to write, `.csv` or `.parquet`, in place of CSV on stdout
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["why", "hash"])]
    pub out: Option<PathBuf>,
    /// Explain the answer for one unit
    #[arg(long, value_name = "UNIT", conflicts_with_all = ["stage", "hash"], allow_hyphen_values = true)]
    pub why: Option<String>,
    /// Ask an algorithm directly, without a log or a scenario
    #[arg(long, value_name = "ALGORITHM", conflicts_with_all = ["log", "scenario", "stage"])]
    pub hash: Option<String>,
    /// What the algorithm is told besides the unit; repeatable
    #[arg(long, value_name = "NAME=VALUE", requires = "hash")]
    pub set: Vec<String>,
    /// The unit that the algorithm is asked about
    #[arg(long, value_name = "UNIT", requires = "hash", allow_hyphen_values = true)]
    pub unit: Option<String>,
    /// Form of an answer for one unit
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub format: AnswerForm,
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AnswerForm {
    /// Lines
    Text,
    /// One JSON object
    Json,
}

/// Arguments of `replay shadow`.
#[derive(Debug, Clone, Args)]
pub struct ShadowArgs {
    /// Log and scenario.
    #[command(flatten)]
    pub inputs: Inputs,
    /// Form of the answer
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub format: AnswerForm,
    /// Write the requests in which the candidate is worse, `.csv` or `.parquet`
    #[arg(long, value_name = "FILE")]
    pub failures: Option<PathBuf>,
    /// Metric whose losses count; without it, those that gates watch, together
    #[arg(long, value_name = "NAME", requires = "failures")]
    pub metric: Option<String>,
    /// Keep so many of the worst
    #[arg(long, value_name = "N", requires = "failures", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub most: u32,
}

/// Arguments of `replay synth`.
#[derive(Debug, Clone, Args)]
pub struct SynthArgs {
    /// What to make (TOML)
    pub recipe: PathBuf,
    /// Parquet file to write; with `--shards` a new directory
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Write so many files, each a stretch of time, with the memory that one of them needs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub shards: Option<u32>,
    /// Expected number of requests in place of the recipe's, of as many more or fewer users
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000_000))]
    pub requests: Option<u64>,
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
    /// `compare.json`
    Comparison,
    /// `compare.json` of `--strategies`
    Strategies,
    /// `plan.json`
    Plan,
    /// Scenario files
    Scenario,
}
