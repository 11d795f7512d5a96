//! `Plan` → files: the fastest schedule within limits, or what would help.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Share;
use super::comparison::VariantWorld;

mod columns;

pub(super) mod terminal;

mod write;

pub use terminal::{places, summary};
pub use write::{prepare, write};

/// Name and version of the form of `plan.json`.
pub const SCHEMA: &str = "replay.plan/1";

/// What a search for a schedule found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Plan {
    /// `replay.plan/1`.
    pub schema: String,
    /// Version of the program.
    pub version: String,
    /// The command that gives the same plan.
    pub command: String,
    /// Seed of the search.
    pub seed: u64,
    /// Replicates of finalists and of the fresh runs.
    pub replicates: usize,
    /// File, glob or directory of the log as given.
    pub log: String,
    /// Fingerprint of the log.
    pub fingerprint: String,
    /// Requests of the log.
    pub rows: u64,
    /// File of the scenario.
    pub scenario: String,
    /// `quick`, `usual` or `thorough`.
    pub effort: String,
    /// Whether a schedule keeps every limit, on a fresh seed too.
    pub feasible: bool,
    /// What must be kept.
    pub limits: Vec<LimitRow>,
    /// Effects past a margin, in whose worlds `miss` and `exposed_requests` must be kept.
    pub bad_worlds: Vec<String>,
    /// Number of schedules simulated in the search.
    pub simulations: usize,
    /// Number of simulated rollouts in the search, all rounds together.
    pub rollouts: usize,
    /// The schedule written to `plan.toml`; where nothing keeps the limits, the one that misses them by least, in `nearest.toml`.
    pub chosen: Chosen,
    /// Runs on fresh seeds, in order: the last is that of the chosen one.
    pub fresh: Vec<FreshRun>,
    /// The user's own schedule as written, if it could be replayed.
    pub own: Option<CandidateRow>,
    /// The next best, of other schedules.
    pub runners_up: Vec<CandidateRow>,
    /// Which limits the faster schedules miss that were tried, most often first.
    pub binding: Vec<BindingRow>,
    /// Where nothing fits: what would help.
    pub advice: Vec<AdviceRow>,
    /// Every candidate that was replayed, better ones first.
    pub candidates: Vec<CandidateRow>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// A limit.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LimitRow {
    /// As typed.
    pub limit: String,
    /// `promoted`, `false_rollback`, `miss`, `exposed_requests` or `days`.
    pub of: String,
    /// A share, a number of requests or of days.
    pub bound: f64,
    /// Nobody typed it: a plan that stops good candidates is none.
    pub default: bool,
}

/// The chosen schedule.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Chosen {
    /// With what the search found, on its own seed.
    pub candidate: CandidateRow,
    /// Every limit in every world it is about, on the search's seed.
    pub searched: Vec<HeldRow>,
    /// The same on the last fresh seed; what to rely on.
    pub fresh: Vec<HeldRow>,
    /// Per world, on that fresh seed.
    pub worlds: Vec<VariantWorld>,
    /// Number of start times.
    pub starts: usize,
    /// The scenario as written to the file.
    pub text: String,
}

/// A run on a seed that the search did not see.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FreshRun {
    /// Number of the candidate.
    pub candidate: usize,
    /// Seed.
    pub seed: u64,
    /// Whether every limit was kept.
    pub kept: bool,
    /// The limits that were missed.
    pub missed: Vec<String>,
}

/// A stage of a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StageRow {
    /// Name in the scenario file.
    pub name: String,
    /// Fraction of units on the candidate.
    pub exposure: f64,
    /// Seconds.
    pub duration_s: i64,
    /// Seconds between looks.
    pub look_every_s: i64,
}

/// A schedule, what gates do in it, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CandidateRow {
    /// From 1, better ones first.
    pub number: usize,
    /// Below 100 %.
    pub stages: Vec<StageRow>,
    /// Test of the gates that may be asked by another; null: as written.
    pub test: Option<String>,
    /// Budget of false rollbacks; null: as written.
    pub false_rollback_budget: Option<f64>,
    /// How it is kept; null: as written.
    pub budget: Option<String>,
    /// Promotion asks for a proof at the end of the last stage although the scenario does not.
    pub proof: bool,
    /// Days until a candidate as good as stable serves everybody, where it does.
    pub days: f64,
    /// A candidate as good as stable gets to the end.
    pub promoted: Share,
    /// It is rolled back.
    pub false_rollback: Share,
    /// Replicates behind these numbers.
    pub replicates: usize,
    /// Whether every limit is kept by the estimates.
    pub kept: bool,
    /// Of each limit the world that is worst.
    pub limits: Vec<HeldRow>,
    /// Of the effects past a margin the share promoted to the end that is largest; null without such effects.
    pub worst_miss: Option<f64>,
    /// Of the same the mean number of requests that is largest.
    pub worst_exposed_requests: Option<f64>,
}

/// A limit in one world.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct HeldRow {
    /// As typed.
    pub limit: String,
    /// `promoted`, `false_rollback`, `miss`, `exposed_requests` or `days`.
    pub of: String,
    /// The effect; null for a candidate as good as stable.
    pub world: Option<String>,
    /// Estimate; null: a candidate as good as stable never serves everybody.
    #[schemars(with = "Option<f64>")]
    pub value: f64,
    /// Lower end of its Monte Carlo 95 % interval.
    #[schemars(with = "Option<f64>")]
    pub low: f64,
    /// Upper end.
    #[schemars(with = "Option<f64>")]
    pub high: f64,
    /// Whether the estimate keeps the limit.
    pub kept: bool,
    /// Whether the interval reaches to the other side of the limit.
    pub crosses: bool,
}

/// A limit that stops faster schedules.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BindingRow {
    /// As typed.
    pub limit: String,
    /// Faster schedules that miss it by their estimates.
    pub schedules: usize,
    /// Faster schedules that were tried.
    pub of: usize,
}

/// Something that would help.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AdviceRow {
    /// `limit`, `size`, `segments`, `margin` or `shadow`.
    pub kind: String,
    /// In words, with numbers.
    pub says: String,
    /// Whether every limit, as then stated, is kept by the estimates.
    pub enough: bool,
}

/// JSON Schema of `plan.json`.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Plan).to_value();
    schema["title"] = Value::from(format!("Plan of replay, form {SCHEMA}"));
    schema["properties"]["schema"]["const"] = Value::from(SCHEMA);
    schema
}

/// A plan in which the second of three candidates is chosen; with hostile names.
#[cfg(test)]
pub(super) fn sample() -> Plan {
    let share = |share: f64| Share { share, low: share * 0.9, high: (share * 1.1).min(1.0) };
    let held = |limit: &str, of: &str, world: Option<&str>, value: f64, kept: bool| HeldRow {
        limit: limit.into(),
        of: of.into(),
        world: world.map(str::to_owned),
        value,
        low: value * 0.9,
        high: value * 1.1,
        kept,
        crosses: false,
    };
    let row = |number: usize, days: f64, miss: f64| CandidateRow {
        number,
        stages: vec![
            StageRow { name: "5%".into(), exposure: 0.05, duration_s: 21_600, look_every_s: 900 },
            StageRow {
                name: "50%".into(),
                exposure: 0.5,
                duration_s: (days * 86_400.0) as i64 - 21_600,
                look_every_s: 3600,
            },
        ],
        test: (number == 2).then(|| "group-sequential obrien-fleming".into()),
        false_rollback_budget: (number == 1).then_some(0.2),
        budget: (number == 1).then(|| "rollout".into()),
        proof: false,
        days,
        promoted: share(0.97),
        false_rollback: share(0.03),
        replicates: 1000,
        kept: miss <= 0.1,
        limits: vec![
            held("miss<=10%", "miss", Some("<script>alert(1)</script>"), miss, miss <= 0.1),
            held("days<=7", "days", None, days, true),
        ],
        worst_miss: Some(miss),
        worst_exposed_requests: Some(12_000.0),
    };
    let limits =
        [("miss<=10%", "miss", 0.1, false), ("days<=7", "days", 7.0, false), ("promoted>=80%", "promoted", 0.8, true)];
    Plan {
        schema: SCHEMA.into(),
        version: "0.1.0".into(),
        command: "replay plan log.parquet --scenario s.toml --limit 'miss<=10%'".into(),
        seed: 7,
        replicates: 1000,
        log: "log.parquet".into(),
        fingerprint: "0".into(),
        rows: 1,
        scenario: "s.toml".into(),
        effort: "usual".into(),
        feasible: true,
        limits: limits
            .map(|(limit, of, bound, default)| LimitRow { limit: limit.into(), of: of.into(), bound, default })
            .to_vec(),
        bad_worlds: vec!["<script>alert(1)</script>".into()],
        simulations: 40,
        rollouts: 9000,
        chosen: Chosen {
            candidate: row(1, 2.5, 0.08),
            searched: vec![held("miss<=10%", "miss", Some("<script>alert(1)</script>"), 0.08, true)],
            fresh: vec![HeldRow {
                crosses: true,
                ..held("miss<=10%", "miss", Some("<script>alert(1)</script>"), 0.095, true)
            }],
            worlds: Vec::new(),
            starts: 24,
            text: "about = \"<b>\"\n".into(),
        },
        fresh: vec![
            FreshRun { candidate: 3, seed: 8, kept: false, missed: vec!["miss<=10%".into()] },
            FreshRun { candidate: 1, seed: 9, kept: true, missed: Vec::new() },
        ],
        own: Some(row(3, 6.5, 0.4)),
        runners_up: vec![row(2, 3.0, 0.09)],
        binding: vec![BindingRow { limit: "miss<=10%".into(), schedules: 9, of: 10 }],
        advice: Vec::new(),
        candidates: vec![row(1, 2.5, 0.08), row(2, 3.0, 0.09), row(3, 6.5, 0.4)],
        notes: vec!["A note.".into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_follow_their_own_schema() {
        let validator = jsonschema::validator_for(&schema()).expect("a valid schema");
        let value = serde_json::to_value(sample()).expect("JSON");
        assert!(validator.is_valid(&value), "{:?}", validator.iter_errors(&value).next());
    }
}
