//! What planning found: chances in closed form beside replayed ones, and what more would take.

use schemars::JsonSchema;
use serde::Serialize;

use super::{CurvePoint, Segment, Share, Spread};

/// How long, how much, and what shadow mode is worth.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Planning {
    /// One row per stage, gate and slice.
    pub needs: Vec<NeedRow>,
    /// Chances against time, per stage and gate.
    pub times: Vec<PowerTimes>,
    /// Chances against exposure and duration, per gate.
    pub maps: Vec<PowerMap>,
    /// What becomes of rollouts against the size of an effect: around each gate's `allow`, and per list or range of effects.
    pub sizes: Vec<SizeCurve>,
    /// What shadow mode has shown, per gate.
    pub shadow: Vec<ShadowWorth>,
}

/// What one gate can decide in one slice at one stage, and what more would take.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NeedRow {
    /// Name of the stage.
    pub stage: String,
    /// Name of the gate.
    pub gate: String,
    /// Name of the metric.
    pub metric: String,
    /// Null: overall.
    pub segment: Option<Segment>,
    /// All of it in one line.
    pub says: String,
    /// Exposure of the stage.
    pub exposure: f64,
    /// Seconds.
    pub duration_s: i64,
    /// Requests per arm that a census of the log expects at the stage's end.
    pub requests: PerArm,
    /// Units per arm, likewise.
    pub units: PerArm,
    /// Smallest regression, in the metric's unit, that fails at the stage's end with the gate's power.
    pub mde: Option<f64>,
    /// The same as a share of stable's value.
    pub mde_relative: Option<f64>,
    /// The same as a multiple of `allow`; null where nothing is allowed.
    pub mde_of_allow: Option<f64>,
    /// To pass a candidate as good as stable; null where no amount of data can.
    pub pass: Option<Side>,
    /// The regression to fail at: an effect's name, or a multiple of `allow`; null without one past the margin.
    pub regression: Option<String>,
    /// Its size in the metric's unit, in this slice; null where that is not known.
    pub regression_size: Option<f64>,
    /// The same as a share of stable's value.
    pub regression_relative: Option<f64>,
    /// To fail at that regression.
    pub fail: Option<Side>,
    /// What choices of the scenario cost in time, against the same gate without them.
    pub prices: Vec<Price>,
}

/// A number for each arm, on average.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct PerArm {
    /// The candidate's.
    pub candidate: f64,
    /// Stable's.
    pub stable: f64,
}

/// One side of a gate's decision: to pass, or to fail.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Side {
    /// Chance in this stage, in closed form: the mean over start times.
    pub closed_form: f64,
    /// Lowest and highest over start times.
    pub over_starts: (f64, f64),
    /// As replayed.
    pub simulated: Share,
    /// Whether the closed form lies in the interval of the replayed share.
    pub agrees: bool,
    /// Why the two may differ, where they do beyond a 99.9 % interval.
    pub why: Option<String>,
    /// Units per arm for the gate's power.
    pub units: Option<PerArm>,
    /// Requests per arm for the same.
    pub requests: Option<PerArm>,
    /// Seconds at this exposure for the same, from the stage's start on; null: not within the log.
    pub duration_s: Option<i64>,
    /// Where it is not within the log: seconds if precision goes on to grow as it did; null: never at this exposure, since users return.
    pub projected_s: Option<f64>,
    /// Smallest exposure that does it within the stage's duration; null: none does.
    pub exposure: Option<f64>,
    /// A larger exposure, and the seconds that it needs; null where none does within the log.
    pub elsewhere: Option<Elsewhere>,
}

/// Another exposure and what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Elsewhere {
    /// Exposure.
    pub exposure: f64,
    /// Seconds.
    pub duration_s: i64,
}

/// What a choice of the scenario costs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Price {
    /// `looks`, `segments`, `all gates`; `judge sampling` and `judge errors` against a judge that sees every request and never errs, `delay`
    /// against one that sees it at once; `patience` against a gate that acts at its first failing look.
    pub of: String,
    /// Which decision it delays: `pass` or `fail`.
    pub side: String,
    /// Seconds more at this exposure; null: not within the log with it, or not known.
    pub extra_s: Option<f64>,
    /// Why it is not known; null where it is.
    pub unknown: Option<String>,
}

/// Chances of one gate against time at one stage's exposure, overall slice.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PowerTimes {
    /// Name of the gate.
    pub gate: String,
    /// Name of the stage.
    pub stage: String,
    /// The regression to fail at.
    pub regression: Option<String>,
    /// Seconds that the stage lasts.
    pub stage_s: i64,
    /// By duration.
    pub points: Vec<TimePoint>,
}

/// Chances of a stage of one duration.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct TimePoint {
    /// Seconds.
    pub duration_s: i64,
    /// To pass a candidate as good as stable.
    pub pass: f64,
    /// To fail at the regression.
    pub fail: Option<f64>,
}

/// Chances of one gate against exposure and duration of a first stage, overall slice.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PowerMap {
    /// Name of the gate.
    pub gate: String,
    /// `pass`: a candidate as good as stable; otherwise the regression to fail at.
    pub side: String,
    /// The gate's own target.
    pub power: f64,
    /// Ascending.
    pub exposures: Vec<f64>,
    /// Seconds, ascending.
    pub durations_s: Vec<i64>,
    /// Per exposure and duration.
    pub chances: Vec<Vec<f64>>,
    /// Per exposure: seconds from which on the chance is at least the target; null: never within the log.
    pub enough_s: Vec<Option<f64>>,
}

/// What becomes of rollouts against the size of an effect.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SizeCurve {
    /// Name of a gate or of a list or range of effects.
    pub of: String,
    /// `gate` or `effects`.
    pub kind: String,
    /// Name of the metric.
    pub metric: String,
    /// Of the sizes: `relative` (to stable), `absolute` (in the metric's unit), `scale`, `shift` or `flip` as written.
    pub scale: String,
    /// Ascending.
    pub points: Vec<SizePoint>,
}

/// One size of an effect.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SizePoint {
    /// Size.
    pub size: f64,
    /// Rolled back by any gate, for whatever cause.
    pub rolled_back: Share,
    /// Rolled back for harm.
    pub detected: Share,
    /// Seconds from the effect's onset to the rollback for harm, among those that detect.
    pub time_to_detect_s: Option<Spread>,
    /// Share detected by a time, over all replicates (censored runs stay in the denominator).
    pub detection_curve: Vec<CurvePoint>,
    /// Requests served by the candidate before the end, however it ended.
    pub exposed_requests: Spread,
}

/// What shadow mode has shown about a gate, and what is left for the canary.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ShadowWorth {
    /// Name of the gate.
    pub gate: String,
    /// Name of the metric.
    pub metric: String,
    /// Null: overall.
    pub segment: Option<Segment>,
    /// The regression minus `allow` on the pairs, in the metric's unit; larger is worse.
    pub beyond: f64,
    /// Ends of its two one-sided intervals at the gate's alpha.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// `pass`, `fail`, `inconclusive`.
    pub shown: String,
    /// Requests with both answers so far.
    pub requests: f64,
    /// Such requests needed to pass a candidate as good as stable with the gate's power; null where no amount of data can.
    pub requests_needed: Option<f64>,
    /// Such requests needed to show what was recorded, inside or outside `allow`.
    pub requests_needed_recorded: Option<f64>,
    /// What is left for the canary.
    pub left: String,
}
