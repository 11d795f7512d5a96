//! `Report` → files. Nothing is computed here: every number of a table, a page or a figure is a field of `Report`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

pub(crate) mod labels;

pub mod planning;

mod terminal;

mod json;

pub(crate) mod tables;

mod figures;

mod html;

mod write;

pub mod comparison;

pub mod plan;

pub mod strategies;

#[cfg(test)]
mod sample;

pub use json::schema;
#[cfg(test)]
pub(crate) use sample::sample;
pub use terminal::{places, power, shadow, summary};
pub use write::{prepare, write};

/// Name and version of the form of `report.json`.
pub const SCHEMA: &str = "replay.report/1";

/// Everything a run found out.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Report {
    /// `replay.report/1`.
    pub schema: String,
    /// Version of the program.
    pub version: String,
    /// The command as typed, without the program's path.
    pub command: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Number of replicates.
    pub replicates: usize,
    /// The scenario.
    pub scenario: ScenarioFacts,
    /// The log.
    pub log: LogFacts,
    /// Metrics in the scenario's order.
    pub metrics: Vec<MetricFacts>,
    /// Stages in the order they run.
    pub stages: Vec<StageFacts>,
    /// Paired differences on the shadow log, overall first, then segments.
    pub shadow: Vec<ShadowRow>,
    /// Checks of log and assignment, which are no evidence about the candidate's quality.
    pub health: Vec<HealthRow>,
    /// Whom the candidate reaches by the end of each stage; nothing where that is the share of units that a stage takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub true_exposure: Vec<TrueExposure>,
    /// What the schedule does in each world.
    pub worlds: Vec<WorldRow>,
    /// One row per stage, gate and slice.
    pub gates: Vec<GateRow>,
    /// The budget of false rollbacks of the whole release; null without one.
    pub budget: Option<BudgetFacts>,
    /// Gates of test `sentinel` over the whole schedule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sentinels: Vec<SentinelRow>,
    /// Error rates of each gate where they should be at most alpha.
    pub self_check: Vec<SelfCheckRow>,
    /// Power against effect.
    pub power_curves: Vec<PowerCurve>,
    /// How long, how much, and what shadow mode is worth.
    pub planning: planning::Planning,
    /// One replay with the production salt and exactly the logged units.
    pub exact: Option<ExactReplay>,
    /// What a reader should know before trusting a number.
    pub warnings: Vec<Warning>,
    /// What this replay cannot show.
    pub limits: Vec<String>,
}

/// What shadow mode has shown, by itself: the answer of `replay shadow`.
#[derive(Debug, Clone, Serialize)]
pub struct ShadowReport {
    /// `replay.shadow/1`.
    pub schema: String,
    /// Version of the program.
    pub version: String,
    /// The log.
    pub log: LogFacts,
    /// Metrics in the order of the scenario.
    pub metrics: Vec<MetricFacts>,
    /// What is shown of each gate, and what is left.
    pub gates: Vec<planning::ShadowWorth>,
    /// The rows of `shadow` in `report.json`.
    pub shadow: Vec<ShadowRow>,
    /// Whether values are missing alike in both versions.
    pub health: Vec<HealthRow>,
    /// Where requests in which the candidate is worse were written, if they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<FailureFacts>,
}

/// Requests in which the candidate is worse, counted.
#[derive(Debug, Clone, Serialize)]
pub struct FailureFacts {
    /// The file that was written.
    pub path: String,
    /// Metrics whose losses are added, each over the root mean square of its paired differences.
    pub metrics: Vec<String>,
    /// Requests with both versions' values of some of them.
    pub compared: u64,
    /// Of those, the ones in which the candidate is worse.
    pub worse: u64,
    /// Rows written.
    pub written: usize,
}

/// The scenario of a run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ScenarioFacts {
    /// File name as given.
    pub path: String,
    /// xxh3 of its bytes.
    pub fingerprint: String,
    /// The user's own words.
    pub about: String,
    /// Column of the unit of assignment.
    pub unit: String,
    /// Hash of production assignment.
    pub hash: String,
    /// `poisson` or `none`.
    pub resample: String,
    /// Number of start times that fit in the log.
    pub starts: usize,
    /// `all-pass` or `no-fail`.
    pub promote: String,
    /// Whether whole weeks of the log were repeated to fit the schedule.
    pub tiled: bool,
}

/// The log of a run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LogFacts {
    /// File, glob or directory as given.
    pub path: String,
    /// Requests used.
    pub rows: u64,
    /// Distinct units.
    pub units: usize,
    /// Buckets that stand in place of units, where cells have them: what else counts units then counts buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buckets: Option<usize>,
    /// Cells of the digest.
    pub cells: usize,
    /// First time stamp, RFC 3339.
    pub start: String,
    /// Last time stamp, RFC 3339.
    pub end: String,
    /// xxh3 of the bytes read.
    pub fingerprint: String,
    /// Rows left out, by reason.
    pub excluded: Excluded,
    /// Share of requests with a shadow output, overall (segment null) and by segment value.
    pub coverage: Vec<Coverage>,
}

/// Rows left out, by reason.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Excluded {
    /// Unit is null.
    pub null_unit: u64,
    /// Time stamp is null or cannot be parsed.
    pub timestamp: u64,
    /// Request id seen before.
    pub duplicate: u64,
}

/// Shadow coverage of a slice.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Coverage {
    /// Null: all requests.
    pub segment: Option<Segment>,
    /// Requests.
    pub requests: u64,
    /// Requests with a shadow output.
    pub covered: u64,
}

/// A value of a segment column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Segment {
    /// Name of the column.
    pub column: String,
    /// Value.
    pub value: String,
}

/// A metric, for labels.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MetricFacts {
    /// Name.
    pub name: String,
    /// `mean`, `proportion`, `rare`, `ratio`, `quantile`, `drift`.
    pub kind: String,
    /// `higher` or `lower`; of a drift metric `neither`.
    pub better: String,
    /// Unit, if stated.
    pub unit: Option<String>,
    /// What its judge did; null where nothing is said of a judge.
    pub judge: Option<JudgeFacts>,
    /// What a missing value of a mirrored request counts as: `exclude` or `worst`.
    pub null_means: String,
    /// `stable`: only its outcomes are known, and as recorded the candidate's are taken to be the same. Left out of all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
}

/// The judge of a metric.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct JudgeFacts {
    /// Share of requests that it judges.
    pub share: f64,
    /// Share of true ones that it calls one; null: it does not err, or people's labels correct it.
    pub sensitivity: Option<f64>,
    /// Share of true zeros that it calls zero.
    pub specificity: Option<f64>,
    /// Outputs of both versions that it gave a value on this log.
    pub judgements: u64,
    /// What these cost in US dollars; null without a price.
    pub cost_usd: Option<f64>,
}

/// A check of the log or of the assignment. What does not belong to a check is null.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HealthRow {
    /// `missingness`: whether one version lacks more values than the other on the same mirrored requests. `sample-ratio`: whether units
    /// come to the arms in the planned shares, with the production salt.
    pub check: String,
    /// Name of the metric.
    pub metric: Option<String>,
    /// Name of the stage.
    pub stage: Option<String>,
    /// What was counted: `mirrored requests without a value`, `units on the candidate`.
    pub r#where: String,
    /// Stable's share.
    pub stable: Option<f64>,
    /// The candidate's share.
    pub candidate: Option<f64>,
    /// Candidate minus stable.
    pub difference: Option<f64>,
    /// Number counted.
    pub observed: Option<f64>,
    /// Number expected.
    pub expected: Option<f64>,
    /// Of one test over all that was counted, clustered by unit (and item) where requests are; null where it cannot be estimated.
    pub p_value: Option<f64>,
    /// Largest e-value at any look: evidence that holds however often one looks.
    pub e_value: Option<f64>,
    /// The p-value is below 0.001, or the e-value reached 1000.
    pub alarm: bool,
    /// Share of replicates that alarm; about 0.001 where nothing is wrong.
    pub rate: Option<Share>,
}

/// Whom the candidate has reached by the end of a stage, as if every replicate went through it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct TrueExposure {
    /// Column of those who are counted: `assignment.unit`, whatever draws.
    pub unit: String,
    /// Name of the stage.
    pub stage: String,
    /// Its nominal exposure: the share that each draw of it sends to the candidate.
    pub exposure: f64,
    /// Share of the units that asked since the rollout began that have had the candidate at least once, over replicates.
    pub share: f64,
    /// The same in closed form: of a unit `1 - prod (1 - e)` over its draws, the mean over start times.
    pub expected: f64,
}

/// A stage, for labels.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StageFacts {
    /// Name.
    pub name: String,
    /// Fraction on the candidate of the units that the stage compares; its mean over them where it differs by segment.
    pub exposure: f64,
    /// The wave that the stage takes; null where it takes everyone.
    pub only: Option<String>,
    /// Exposures by segment; null where it is the same everywhere.
    pub by_segment: Option<String>,
    /// Who the candidate is compared with: `rest`, everyone else in the wave, or `matched`, as many others; null at 100 %.
    pub control: Option<String>,
    /// Seconds.
    pub duration_s: i64,
    /// Number of looks.
    pub looks: usize,
    /// Looks at the stage's beginning at which gates do not speak yet.
    pub quiet_looks: usize,
    /// Mean number of compared units on the candidate with data at the stage's end, over replicates.
    pub units_candidate: f64,
    /// Mean number of their requests in this stage, over replicates.
    pub requests_candidate: f64,
    /// Share of all requests in this stage that the candidate serves, earlier waves with them; null where it has none.
    pub requests_share: Option<f64>,
    /// What the gates of the stage do together if the candidate is as good as stable; null where none is asked.
    pub together: Option<Together>,
    /// Of a stage that exposes nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paired: Option<PairedFacts>,
}

/// A stage in which both versions answer the same requests, and nobody is exposed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PairedFacts {
    /// `eval`: a golden set; `shadow`: mirrored traffic.
    pub kind: String,
    /// Files of the golden set; null of mirrored traffic.
    pub log: Option<String>,
    /// xxh3 of their bytes.
    pub fingerprint: Option<String>,
    /// Column of what is taken as a unit.
    pub unit: String,
    /// Requests that the candidate answers beside stable: rows of the golden set, or the mean of mirrored ones over replicates.
    pub requests: f64,
    /// US dollars that the candidate's answers to them cost; null without a metric in US dollars that the stage knows.
    pub cost_usd: Option<f64>,
    /// Gates that are not asked there.
    pub not_asked: Vec<String>,
}

/// Chance that all gates of a stage pass a candidate as good as stable, as if every replicate reached the stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Together {
    /// As replayed.
    pub pass: Share,
    /// In closed form: the gates' own chances, correlated as their statistics are over the replicates; null where one is not known.
    pub pass_closed_form: Option<f64>,
    /// The same whatever the correlation: 1 less the sum of the gates' misses, at least 0.
    pub pass_at_least: Option<f64>,
    /// The chance that the gates ask for, the smallest of them.
    pub power: f64,
    /// The chance to plan each gate with, so that all pass together with that chance whatever the correlation.
    pub power_each: f64,
}

/// The budget of false rollbacks of the whole release.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BudgetFacts {
    /// `split`, `rollout` or `calibrated`.
    pub how: String,
    /// Accepted share of false rollbacks.
    pub share: f64,
    /// The gates' error rates at which it is kept, over all stages: their sum. More than the budget where a calibration raised them.
    pub alpha: f64,
    /// Replicates of the calibration, none of which is reported; null without one.
    pub replicates: Option<usize>,
    /// The share of them that fails at that level, each metric being worse by exactly what is accepted; null without a calibration.
    pub calibrated: Option<Share>,
}

/// A share with its Monte Carlo 95 % interval (Wilson).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Share {
    /// In [0, 1].
    pub share: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Quantiles and mean over replicates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Spread {
    /// 10 % of replicates lie below.
    pub p10: f64,
    /// Median.
    pub p50: f64,
    /// 90 % of replicates lie below.
    pub p90: f64,
    /// Mean.
    pub mean: f64,
}

/// A paired difference on the shadow log.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ShadowRow {
    /// Name of the metric.
    pub metric: String,
    /// Null: all requests.
    pub segment: Option<Segment>,
    /// `overall`; `named`: a gate on this metric asks here; `reported`: only shown.
    pub role: String,
    /// Stable's value on the pairs.
    pub stable: f64,
    /// Candidate's value on the pairs.
    pub candidate: f64,
    /// Candidate minus stable.
    pub difference: f64,
    /// Standard error, clustered by unit; null where it cannot be estimated.
    pub se_unit: Option<f64>,
    /// Standard error, clustered by unit and item both; null without an item column.
    pub se_item: Option<f64>,
    /// 95 % interval of the difference, from the larger of both standard errors.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Units with a pair.
    pub units: u64,
    /// Items with a pair; null without an item column.
    pub items: Option<u64>,
    /// Requests with a pair.
    pub requests: u64,
    /// Requests of stable without a value (null), among the covered.
    pub nulls_stable: u64,
    /// Requests of the candidate without a value (null), among the covered.
    pub nulls_candidate: u64,
    /// Cluster-robust variance over the variance of independent requests; null where it cannot be estimated, and of a rare metric.
    pub design_effect: Option<f64>,
    /// The accepted regression of the first gate on this metric, as written; null without one.
    pub allow: Option<String>,
    /// What the interval shows against `allow`: `pass`, `fail`, `inconclusive`; null without a gate.
    pub shown: Option<String>,
    /// Two-sided p-value of no difference, from the larger of both standard errors.
    pub p_value: Option<f64>,
    /// Benjamini and Hochberg's q-value over all slices of this metric; null overall. Of the slices with q below 0.1, at most a
    /// tenth are expected to have no difference.
    pub q_value: Option<f64>,
    /// The same difference with missing values counted in other ways, whatever the scenario chose.
    pub if_missing: IfMissing,
    /// Of a log in long form, in which nothing is paired: what each version served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpaired: Option<UnpairedCounts>,
    /// Where requests have several outputs: what the variance of one output is made of. Null of rare events, quantiles and ratios of columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// Of a proportion of 0/1 outcomes: its pairs, counted.
    pub pairs: Option<PairCounts>,
    /// What people would say, where they labelled some requests.
    pub human: Option<HumanRow>,
}

/// What each version served, where no request has the outcomes of both.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct UnpairedCounts {
    /// Of stable.
    pub stable: VersionCounts,
    /// Of the candidate.
    pub candidate: VersionCounts,
}

/// Units and requests with a value of one version, and how values vary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct VersionCounts {
    /// Units.
    pub units: u64,
    /// Requests.
    pub requests: u64,
    /// Variance of the units' own means; null where units have one request each, and of quantiles and ratios.
    pub variance_between: Option<f64>,
    /// Variance of the requests of one unit: of a version that answers the same prompt several times, its own noise.
    pub variance_within: Option<f64>,
}

/// What the variance of one output of each version is made of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Noise {
    /// Of stable.
    pub stable: VersionNoise,
    /// Of the candidate.
    pub candidate: VersionNoise,
}

/// The variance of one output of a version, in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct VersionNoise {
    /// Outputs with a value.
    pub outputs: u64,
    /// Requests with two of them or more.
    pub repeated: u64,
    /// Between users: what they have in common in all their requests. With one request each, between requests too.
    pub between_units: VarianceComponent,
    /// Between requests of a user; null where no user has two.
    pub between_requests: Option<VarianceComponent>,
    /// Between outputs of a request: the version's own noise.
    pub between_outputs: VarianceComponent,
}

/// A variance with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct VarianceComponent {
    /// The estimate.
    pub variance: f64,
    /// Standard error over units; null with fewer than three, or where they are all alike.
    pub se: Option<f64>,
    /// 95 % interval, cut at zero.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// A paired difference with missing values counted in other ways.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct IfMissing {
    /// Requests without a value of a version are left out.
    pub exclude: Option<Alternative>,
    /// A missing value is the worst; null where the metric has no worst value.
    pub worst: Option<Alternative>,
}

/// A paired difference.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Alternative {
    /// Stable's value.
    pub stable: f64,
    /// Candidate's value.
    pub candidate: f64,
    /// Candidate minus stable.
    pub difference: f64,
    /// 95 % interval, from the larger of both standard errors.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// Pairs of 0/1 outcomes. Requests of a unit are not independent, so tests read counts divided by the design effect.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PairCounts {
    /// Pairs.
    pub pairs: u64,
    /// Only the candidate's outcome is the worse one.
    pub candidate_worse: u64,
    /// Only stable's outcome is the worse one.
    pub candidate_better: u64,
    /// Clustered variance of the difference over that of independent pairs, at least 1.
    pub design_effect: f64,
    /// McNemar's two-sided mid-p of the divided counts, rounded.
    pub mid_p: f64,
    /// Tango's statistic of the divided counts against the accepted regression; large is evidence that it is kept. Null without a gate.
    pub tango_z: Option<f64>,
    /// Its one-sided p-value.
    pub tango_p: Option<f64>,
}

/// What people would say of all judged requests, by power-tuned prediction-powered inference.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HumanRow {
    /// Labels of stable's outputs.
    pub labels_stable: u64,
    /// Labels of the candidate's outputs.
    pub labels_candidate: u64,
    /// How much the judge is trusted on stable's outputs: 0 is people alone.
    pub lambda_stable: f64,
    /// How much it is trusted on the candidate's.
    pub lambda_candidate: f64,
    /// Stable's value.
    pub stable: f64,
    /// Candidate's value.
    pub candidate: f64,
    /// Candidate minus stable.
    pub difference: f64,
    /// Standard error of stable's value.
    pub se_stable: Option<f64>,
    /// Standard error of the candidate's value.
    pub se_candidate: Option<f64>,
    /// Standard error of the difference, clustered by unit (and item).
    pub se: Option<f64>,
    /// 95 % interval of the difference; degrees of freedom are those of the labelled units.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// What this shows against `allow`.
    pub shown: Option<String>,
    /// Labels of each version with which a candidate as good as stable passes at the gate's alpha with its power; null: none are
    /// enough, or no gate.
    pub labels_needed: Option<u64>,
}

/// What the schedule does in one world.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WorldRow {
    /// `recorded`, `null`, `margin: GATE`, or an effect's name.
    pub world: String,
    /// `recorded`, `null`, `margin` or `effect`.
    pub kind: String,
    /// What is taken as true of the candidate, in one line: `latency_p95 × 1.10 where region = eu, from 6h on`.
    pub meaning: String,
    /// Whether the whole log's regression is past the failing margin of some gate and slice.
    pub past_margin: bool,
    /// Seconds from the start of the rollout to the onset of the world's effect; 0 where it is there from the start.
    pub onset_s: f64,
    /// Reached the end of the schedule.
    pub promoted: Share,
    /// Rolled back by a gate.
    pub rolled_back: Share,
    /// Stopped and waiting for a person.
    pub stalled: Share,
    /// Had a stage that went on past its duration, waiting for a gate or for a person.
    pub held: Share,
    /// Seconds of holding, over all stages, among those held; null if none was.
    pub held_s: Option<Spread>,
    /// How rollouts were paused, where a gate pauses and a person comes (`rollout.resume`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pauses: Option<PauseRow>,
    /// Rollbacks by cause, as shares of all replicates.
    pub causes: Causes,
    /// What happened at each stage, as shares of all replicates.
    pub stages: Vec<WorldStage>,
    /// Rollbacks by gate and slice, most frequent first, as shares of all replicates.
    pub rolled_back_by: Vec<RolledBackBy>,
    /// Rolled back for harm.
    pub detected: Share,
    /// Seconds from the effect's onset to the rollback for harm, among those that detect; null if none does.
    pub time_to_detect_s: Option<Spread>,
    /// How the time from the onset until everyone is back on stable goes on, among those that detect; null if none does, or if rolling
    /// back takes no time.
    pub recovery: Option<RecoveryRow>,
    /// Share detected by a time, over all replicates (censored runs stay in the denominator).
    pub detection_curve: Vec<CurvePoint>,
    /// Requests served by the candidate.
    pub exposed_requests: Spread,
    /// Units served by the candidate at least once.
    pub exposed_units: Spread,
    /// Requests served by the candidate against time since the start.
    pub exposure_fan: Vec<FanPoint>,
    /// Bad outcomes served beyond what stable would have served, per proportion (requests) and rare metric (units); negative where the
    /// candidate serves fewer.
    pub excess_bad: BTreeMap<String, Spread>,
    /// Share of the error budget of all traffic in its period that the candidate's requests spend, by gate of test `burn-rate`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub budget_burned: BTreeMap<String, Spread>,
    /// Cost of the requests served by the candidate, for metrics in `usd`; null without one.
    pub cost_usd: Option<Spread>,
    /// The same beyond what stable would have cost.
    pub excess_cost_usd: Option<Spread>,
    /// Seconds from the start to the end, however it ended; of a rollback, until everyone is back on stable.
    pub duration_s: Spread,
}

/// How rollouts were paused, as shares of all replicates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct PauseRow {
    /// Paused by a gate, once or more.
    pub paused: Share,
    /// Resumed by a person who found no gate failing, once or more.
    pub resumed: Share,
    /// Rolled back by a person who found a gate failing still.
    pub rolled_back: Share,
    /// Seconds of pausing, over all stages, among those to which a person came, or that were rolled back before; null without any.
    pub paused_s: Option<Spread>,
}

/// Prompts whose answers are known, over the whole schedule.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SentinelRow {
    /// Name of the gate.
    pub gate: String,
    /// Prompts at each look.
    pub prompts: u32,
    /// Looks at which they are asked.
    pub looks: usize,
    /// Chance that a look fails though the candidate is good.
    pub fails_good: f64,
    /// Chance that a look fails with a candidate that is worse than the gate accepts.
    pub fails_bad: f64,
    /// Chance that some look fails though the candidate is good: `1 - (1 - fails_good)^looks`.
    pub false_alarm_closed_form: f64,
    /// The same as replayed.
    pub false_alarm: Share,
}

/// What a rollback for harm takes after it has been detected.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct RecoveryRow {
    /// Seconds from the failing look to the decision.
    pub diagnose_s: Spread,
    /// Seconds from there until everyone is back on stable.
    pub mitigate_s: Spread,
    /// Seconds from the effect's onset until then: detecting, diagnosing and mitigating.
    pub time_to_recover_s: Spread,
}

/// Rollbacks by cause.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Causes {
    /// The world's effect is past the gate's margin in the failing slice.
    pub harm: Share,
    /// It is not.
    pub noise: Share,
    /// A look had too little data and the gate treats that as a failure.
    pub no_data: Share,
}

/// One stage in one world.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WorldStage {
    /// Name.
    pub stage: String,
    /// Entered.
    pub entered: Share,
    /// Rolled back in it.
    pub rolled_back: Share,
    /// Left it for the next stage, or ended the schedule.
    pub promoted: Share,
    /// Stopped in it.
    pub stalled: Share,
}

/// Rollbacks of one gate and slice.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RolledBackBy {
    /// Name of the gate.
    pub gate: String,
    /// Null: overall.
    pub segment: Option<Segment>,
    /// `harm`, `noise` or `no data`.
    pub cause: String,
    /// Share of all replicates.
    pub share: Share,
}

/// A point of a cumulative curve.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct CurvePoint {
    /// Seconds.
    pub time_s: f64,
    /// Share by then.
    pub share: f64,
}

/// A point of a fan.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct FanPoint {
    /// Seconds since the start.
    pub time_s: f64,
    /// 10 % quantile over replicates.
    pub p10: f64,
    /// Median.
    pub p50: f64,
    /// 90 % quantile.
    pub p90: f64,
}

/// One gate at one stage in one slice.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GateRow {
    /// Name of the stage.
    pub stage: String,
    /// Name of the gate.
    pub gate: String,
    /// Name of the metric.
    pub metric: String,
    /// Null: overall.
    pub segment: Option<Segment>,
    /// `point`, `fixed`, `confidence-sequence`, `group-sequential`, `exact`, `max-sprt`, `e-process`, `mann-whitney`, or `kayenta` for its
    /// judge.
    pub test: String,
    /// One-sided.
    pub alpha: f64,
    /// Chance to decide that the gate asks for.
    pub power: f64,
    /// As written: `1%`, `0.5pp`, or `limit 0.001`.
    pub allow: String,
    /// Verdicts of this slice as if every replicate reached the stage, per world: `recorded`, `null`, `margin` (this gate's own), effects.
    pub rates: BTreeMap<String, Rates>,
    /// Mean over replicates of the regression minus `allow` at the stage's end, in the `recorded` world; larger is worse.
    pub difference: Option<f64>,
    /// Mean over replicates of its standard error, in the `recorded` world; of MMD the root mean square length of the noise.
    pub se: Option<f64>,
    /// Share of replicates with enough data at the stage's end.
    pub with_data: Share,
    /// Chance to pass at the stage's end if the candidate is as good as stable, in closed form.
    pub power_closed_form: Option<f64>,
    /// Smallest regression, in the metric's unit, that fails at the stage's end with the gate's power.
    pub mde: Option<f64>,
    /// The same as a share of stable's value.
    pub mde_relative: Option<f64>,
    /// Units on the candidate needed to pass with the gate's power at no regression.
    pub units_needed: Option<f64>,
    /// Requests on the candidate needed for the same.
    pub requests_needed: Option<f64>,
    /// Seconds at this exposure needed for the same; null: never within the log.
    pub duration_needed_s: Option<i64>,
    /// Smallest exposure that does it within the stage's duration; null: none does.
    pub exposure_needed: Option<f64>,
    /// Seconds at this exposure that the gate's covariate saves; null without one, or where it is too long for the log without it.
    pub covariate_saves_s: Option<i64>,
}

/// Verdicts of one gate, stage and slice in one world.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Rates {
    /// Passes at the stage's end.
    pub pass: Share,
    /// Fails at any look of the stage.
    pub fail: Share,
    /// Mean over replicates of the regression minus `allow` at the stage's end.
    pub difference: Option<f64>,
    /// Mean over replicates of its standard error.
    pub se: Option<f64>,
}

/// An error rate that should be at most alpha.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SelfCheckRow {
    /// Name of the stage.
    pub stage: String,
    /// Name of the gate.
    pub gate: String,
    /// Null: the whole gate with its correction over slices.
    pub segment: Option<Segment>,
    /// `false alarm` (fails in `null`), `wrong pass` or `wrong failure` (in `margin`).
    pub error: String,
    /// Nominal.
    pub alpha: f64,
    /// As replayed on this traffic.
    pub rate: Share,
    /// The interval lies above alpha.
    pub flagged: bool,
}

/// Power against effect of one gate at one stage, overall slice.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PowerCurve {
    /// Name of the gate.
    pub gate: String,
    /// Name of the stage.
    pub stage: String,
    /// Unit of `regression`: `relative` (to stable) or `absolute`.
    pub scale: String,
    /// The accepted regression on that scale.
    pub allow: f64,
    /// From no regression upwards.
    pub points: Vec<PowerPoint>,
}

/// A point of a power curve.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PowerPoint {
    /// True regression; larger is worse.
    pub regression: f64,
    /// Fails at any look.
    pub fail: Share,
    /// Passes at the stage's end.
    pub pass: Share,
    /// Chance to fail in closed form, of the overall slice; null where there is none.
    pub fail_closed_form: Option<f64>,
    /// Chance to pass in closed form, likewise.
    pub pass_closed_form: Option<f64>,
}

/// One replay with the production salt and exactly the logged units, in the `recorded` world.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ExactReplay {
    /// The production salt.
    pub salt: String,
    /// When it starts, as shown to people: `Mon 2025-03-03 09:00`.
    pub start: String,
    /// What happens, in one sentence.
    pub says: String,
    /// `promoted`, `rolled back` or `stalled`.
    pub outcome: String,
    /// Seconds from start to end.
    pub duration_s: i64,
    /// Requests served by the candidate.
    pub exposed_requests: u64,
    /// Units served by the candidate.
    pub exposed_units: u64,
}

/// Something a reader should know before trusting a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Warning {
    /// Stable name for programs: `few-units`, `false-alarms`, ...
    pub code: String,
    /// What was seen, why it matters, what to try.
    pub text: String,
    /// Stage, gate, segment or column.
    pub r#where: String,
}
