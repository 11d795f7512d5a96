//! Shadow-and-canary replay simulator for release planning.
//!
//! From a log in which shadow mode recorded what a candidate would have answered, `replay` tells before any user sees the
//! candidate what a canary schedule will do: how long its stages must run, what its gates miss, and what they stop for
//! nothing. The README has the user's view; this is the map of the code.
//!
//! # The pipeline
//!
//! ```text
//! scenario ──► Scenario ─────┬─────────────────┬──────────────────────┐
//!                            ▼                 ▼                      ▼
//! ingest ──► TrafficLog ─► digest ► Digest ─► simulate ► Trajectory ─► gate ► Outcome ─► outcome ► rows ─┐
//!                                     └─────► shadow, power ► rows ─────────────────────────────────────┴─► Report ─► files
//! ```
//!
//! [`commands`] holds one verb per file; `commands/run.rs` is the main job and reads as the lines above. The modules below
//! are in reading order, which is the order of the pipeline.
//!
//! # Stages and their invariants
//!
//! | module | takes → gives | invariant |
//! |---|---|---|
//! | [`scenario`] | TOML → [`scenario::Scenario`] | every default resolved, every problem reported at once |
//! | [`domain`] | | types that cross stages; no I/O, no polars, no serde |
//! | [`ingest`] | files → [`ingest::TrafficLog`] | the log's column names are known here and nowhere later |
//! | [`digest`] | log → [`digest::Digest`] | row order does not matter; polars ends here, bar writing tables; later stages never see rows |
//! | [`assign`] | unit, platform, exposure → version | pure; raising exposure only ever adds units |
//! | [`simulate`] | digest, schedule, seed → [`simulate::trajectory::Trajectory`] | same seed, same bytes, for any number of threads; knows no gate |
//! | [`gate`] | trajectory at a look → verdict → decision → outcome | never reads the injected effect; too little data is no verdict |
//! | [`outcome`] | replicates → counts → rows of the report | counted in a fixed order |
//! | [`shadow`] | digest → paired differences | only requests where both versions have a value |
//! | [`paired`] | digest or golden set → what pairs show each gate | per replicate, where nobody is exposed; the same units as the stages that follow |
//! | [`failures`] | log → requests in which the candidate is worse | streamed; the same rows for any number of threads |
//! | [`power`] | digest, schedule → what each gate can decide | closed form, from the same sums as the gates |
//! | [`search`] | limits, closed forms, replays → the fastest schedule | replays nothing itself; the same steps for the same input |
//! | [`stats`] | numbers → numbers | pure; a formula and a source for each function |
//! | [`report`] | [`report::Report`] → files | computes nothing; files appear whole or not at all |
//! | [`synth`] | recipe → log | same recipe, same bytes |
//!
//! # Ideas that carry the code
//!
//! - Every metric is a ratio of two per-unit sums, and the unit of assignment is the unit of inference: requests of one
//!   unit are never taken as independent. A quantile is a share of requests above a threshold of a grid.
//! - Sums are closed under `x → a + b x`. Margins, power curves and effects on every request are applied to finished
//!   trajectories; only what is not affine in them (a flip, an onset, a segment) is streamed as sums of its own.
//! - What a cell adds to an arm is the same in every replicate with the same start, up to a weight: it is computed once for
//!   a group of replicates. Where it is not, because each draws outputs of its own, a replicate is a log of its own.
//! - A stage is analysed on its own data: sums restart with each stage.
//! - Errors live at the edges ([`cli`], [`scenario`], [`ingest`], [`report`]). Between them values are valid already, and
//!   functions return no `Result`.

pub mod cli;

pub mod commands;

pub mod scenario;

pub mod domain;

pub mod ingest;

pub mod digest;

pub mod assign;

pub mod simulate;

pub mod gate;

pub mod outcome;

pub mod shadow;

pub mod paired;

pub mod failures;

pub mod power;

pub mod search;

pub mod stats;

pub mod report;

pub mod error;

pub mod synth;
