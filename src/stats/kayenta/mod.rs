//! The judge of Spinnaker's Kayenta (`NetflixACAJudge-v1.0`), so that a plan can be simulated with the gate in use.
//!
//! One metric is a series of points of a control and of an experiment. [`judge`] labels it by the confidence interval
//! of the rank-sum shift; [`score`] turns the labels of all metrics into 0 to 100; [`Thresholds`] decide.

mod classify;
mod mann_whitney;
mod score;
mod transforms;

pub use classify::{
    Classification, Direction, EffectSize, Label, Measure, MetricConfig, Reason, cohen_d, judge, judge_means,
    mean_ratio,
};
pub use mann_whitney::{Pair, RankSum, Shift};
pub use score::{Failure, GroupScore, Metric, Score, ScoreLabel, Thresholds, score};
pub use transforms::{Fences, Missing, Summary, percentile};
