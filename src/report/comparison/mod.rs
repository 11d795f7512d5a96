//! `Comparison` → files: what `replay compare` found out about variants of a scenario.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{Share, Spread};

mod columns;

mod terminal;

mod write;

pub(super) use terminal::{counts, line, points, wrapped};
pub use terminal::{places, summary};
pub use write::{prepare, write};

/// Name and version of the form of `compare.json`.
pub const SCHEMA: &str = "replay.comparison/1";

/// Variants of a scenario on one log, with the same random numbers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Comparison {
    /// `replay.comparison/1`.
    pub schema: String,
    /// Version of the program.
    pub version: String,
    /// The command that gives the same comparison.
    pub command: String,
    /// Seed of everything random, the same for all variants.
    pub seed: u64,
    /// Number of replicates, the same for all variants.
    pub replicates: usize,
    /// File, glob or directory of the log as given.
    pub log: String,
    /// Fingerprint of the log.
    pub fingerprint: String,
    /// Requests of the log.
    pub rows: u64,
    /// Keys that differ, in the order given.
    pub keys: Vec<String>,
    /// Which worlds stand for a bad candidate: `effect`, or `margin` where the scenarios name no effects.
    pub bad_worlds: String,
    /// Time after which a regression that was not found counts as found: the longest schedule.
    pub horizon_s: i64,
    /// How many simulations served all variants.
    pub simulations: usize,
    /// In the order given; differences are to the first.
    pub variants: Vec<VariantRow>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// A key with the value it takes in a variant.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SettingRow {
    /// The way to the value.
    pub key: String,
    /// As typed.
    pub value: String,
}

/// One variant. Where a candidate is bad, numbers are means over its bad worlds.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct VariantRow {
    /// From 1.
    pub number: usize,
    /// Settings in one line, or the file's name.
    pub name: String,
    /// File of the scenario.
    pub scenario: String,
    /// What was set in it.
    pub settings: Vec<SettingRow>,
    /// Which simulation served it, from 1.
    pub simulation: usize,
    /// Number of start times.
    pub starts: usize,
    /// A candidate as good as stable is rolled back.
    pub false_rollback: Share,
    /// A candidate as good as stable does not reach the end of the schedule: rolled back or stalled.
    pub good_stopped: Share,
    /// Time until a candidate as good as stable serves everybody, where it does.
    pub time_to_full_s: Option<f64>,
    /// A bad candidate is promoted to the end of the schedule.
    pub missed: Estimate,
    /// Time from a regression's onset until it is rolled back for harm; one that is never found counts as found at the horizon.
    pub time_to_detect_s: Estimate,
    /// Requests that a bad candidate serves.
    pub exposed_requests: Estimate,
    /// Units that a bad candidate serves.
    pub exposed_units: Estimate,
    /// This variant less the first, replicate by replicate; absent for the first.
    pub differences: Option<Differences>,
    /// No other variant is at least as good in everything and better in something.
    pub frontier: bool,
    /// The first variant with the same numbers, where there is one before.
    pub same_as: Option<usize>,
    /// Variants on the frontier that are at least as good in everything and better in something.
    pub dominated_by: Vec<usize>,
    /// Per world.
    pub worlds: Vec<VariantWorld>,
}

/// A mean over replicates with its Monte Carlo 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Estimate {
    /// Mean.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Estimate {
    /// The same in another unit.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { mean: self.mean * factor, low: self.low * factor, high: self.high * factor }
    }
}

/// Paired differences to the first variant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Differences {
    /// Of `false_rollback`.
    pub false_rollback: Estimate,
    /// Of `good_stopped`.
    pub good_stopped: Estimate,
    /// Of `missed`.
    pub missed: Estimate,
    /// Of `time_to_detect_s`.
    pub time_to_detect_s: Estimate,
    /// Of `exposed_requests`.
    pub exposed_requests: Estimate,
    /// Of `exposed_units`.
    pub exposed_units: Estimate,
}

/// What a variant does in one world.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct VariantWorld {
    /// `recorded`, `null`, `margin: GATE` or an effect's name.
    pub world: String,
    /// `recorded`, `null`, `margin` or `effect`.
    pub kind: String,
    /// Reached the end of the schedule.
    pub promoted: Share,
    /// Rolled back for any reason.
    pub rolled_back: Share,
    /// Stopped until a person decides.
    pub stalled: Share,
    /// Rolled back for harm.
    pub detected: Share,
    /// From the onset until then, over replicates that were.
    pub time_to_detect_s: Option<Spread>,
    /// From the start to the end of the rollout.
    pub duration_s: Spread,
    /// Requests that the candidate served.
    pub exposed_requests: Estimate,
    /// Units that the candidate served.
    pub exposed_units: Estimate,
    /// `promoted` less the first variant's in the world of this name, where it has one.
    pub promoted_difference: Option<Estimate>,
    /// The same of `rolled_back`.
    pub rolled_back_difference: Option<Estimate>,
    /// The same of `exposed_requests`.
    pub exposed_requests_difference: Option<Estimate>,
}

/// JSON Schema of `compare.json`.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Comparison).to_value();
    schema["title"] = Value::from(format!("Comparison of replay, form {SCHEMA}"));
    schema["properties"]["schema"]["const"] = Value::from(SCHEMA);
    schema
}

/// Three variants: the first and the second trade, the third is dominated.
#[cfg(test)]
pub(super) fn sample() -> Comparison {
    let share = |share: f64| Share { share, low: share * 0.9, high: share * 1.1 };
    let estimate = |mean: f64| Estimate { mean, low: mean * 0.9, high: mean * 1.1 };
    let world = VariantWorld {
        world: "success 10 % lower".into(),
        kind: "effect".into(),
        promoted: share(0.1),
        rolled_back: share(0.8),
        stalled: share(0.1),
        detected: share(0.7),
        time_to_detect_s: None,
        duration_s: Spread { p10: 1.0, p50: 2.0, p90: 3.0, mean: 2.0 },
        exposed_requests: estimate(100.0),
        exposed_units: estimate(10.0),
        promoted_difference: None,
        rolled_back_difference: None,
        exposed_requests_difference: None,
    };
    let row = |number: usize, stopped: f64, missed: f64, dominated_by: Vec<usize>| VariantRow {
        number,
        name: format!("gates.success.allow={number}%"),
        scenario: "s.toml".into(),
        settings: vec![SettingRow { key: "gates.success.allow".into(), value: format!("{number}%") }],
        simulation: 1,
        starts: 4,
        false_rollback: share(stopped),
        good_stopped: share(stopped),
        time_to_full_s: Some(500_000.0),
        missed: estimate(missed),
        time_to_detect_s: estimate(90_000.0),
        exposed_requests: estimate(1000.0),
        exposed_units: estimate(100.0),
        differences: (number > 1).then(|| Differences {
            false_rollback: estimate(0.01),
            good_stopped: estimate(0.01),
            missed: estimate(-0.02),
            time_to_detect_s: estimate(-3600.0),
            exposed_requests: estimate(-5.0),
            exposed_units: estimate(-1.0),
        }),
        frontier: dominated_by.is_empty(),
        same_as: None,
        dominated_by,
        worlds: vec![world.clone()],
    };
    Comparison {
        schema: SCHEMA.into(),
        version: "0.1.0".into(),
        command: "replay compare log.parquet --scenario s.toml".into(),
        seed: 7,
        replicates: 1000,
        log: "log.parquet".into(),
        fingerprint: "0".into(),
        rows: 1,
        keys: vec!["gates.success.allow".into()],
        bad_worlds: "effect".into(),
        horizon_s: 500_000,
        simulations: 1,
        variants: vec![row(1, 0.02, 0.5, vec![]), row(2, 0.04, 0.4, vec![]), row(3, 0.05, 0.6, vec![1, 2])],
        notes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_follow_their_own_schema() {
        let validator = jsonschema::validator_for(&schema()).expect("a valid schema");
        let value = serde_json::to_value(sample()).expect("JSON");
        assert!(validator.is_valid(&value), "{:?}", validator.iter_errors(&value).next());
    }
}
