//! The scenario as written: every key of the language, nothing checked beyond its type.
//!
//! Every field may be absent, so that one wrong key does not hide problems elsewhere. What must be there is marked
//! `required`, which only the JSON Schema knows. Doc comments become the descriptions that editors show.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::assign::platforms;

/// A quantity with a unit or a per cent sign as text, or a bare number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Quantity {
    /// Without quotes.
    Number(f64),
    /// In quotes.
    Text(String),
}

/// The size of an effect, or several of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Size {
    /// One value.
    One(Quantity),
    /// A list: an effect for each.
    List(Vec<Quantity>),
    /// Evenly spaced: an effect for each step.
    Range(Range),
}

/// Evenly spaced sizes.
#[derive(Debug, Deserialize)]
pub(super) struct Range {
    /// The first.
    pub(super) from: Option<Quantity>,
    /// The last.
    pub(super) to: Option<Quantity>,
    /// How many there are, both ends included.
    pub(super) steps: Option<u32>,
}

/// How much traffic a stage takes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Exposure {
    /// One share of all units.
    Share(Quantity),
    /// A share for each segment value.
    PerSegment(Map<String, Value>),
}

/// One text or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    /// A single text.
    One(String),
    /// A list.
    Many(Vec<String>),
}

/// One quantile or a list of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Quantiles {
    /// A single one.
    One(f64),
    /// A list: a metric for each.
    Many(Vec<f64>),
}

/// Where a confidence sequence is tightest.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Tuning {
    /// Number of units.
    Units(f64),
    /// The plan, or a tool.
    Name(String),
}

/// A length of time.
#[derive(Debug, Deserialize)]
pub(super) struct Duration(pub(super) String);

/// How long something takes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Delay {
    /// The same each time.
    Fixed(Duration),
    /// Log-normal.
    Lognormal(Lognormal),
}

/// A log-normal length of time.
#[derive(Debug, Deserialize)]
pub(super) struct Lognormal {
    /// Half of all times are shorter.
    pub(super) median: Option<Duration>,
    /// Nine of ten are shorter.
    pub(super) p90: Option<Duration>,
}

/// A margin.
#[derive(Debug, Deserialize)]
pub(super) struct Margin(pub(super) Quantity);

/// Schemas of the types above, by hand: the derived `anyOf` would make poor messages.
macro_rules! written_as {
    ($name:ident, $schema:tt) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

written_as!(Duration, { "type": "string", "examples": ["15m", "48h", "1h 30m", "7d"] });
written_as!(Delay, {
    "type": ["string", "object"],
    "properties": {
        "median": { "type": "string", "description": "Half of all times are shorter.", "examples": ["10m"] },
        "p90": { "type": "string", "description": "Nine of ten times are shorter.", "examples": ["1h"] },
    },
    "additionalProperties": false, "required": ["median", "p90"], "examples": ["10m"],
});
written_as!(Seed, { "type": ["string", "integer"], "examples": ["5f2a", 61] });
written_as!(Quantity, { "type": ["string", "number"], "examples": ["5%", 0.05] });
written_as!(Margin, { "type": ["string", "number"], "examples": ["1%", "0.5pp", "20 ms", 20] });
written_as!(Quantiles, {
    "type": ["number", "array"], "items": { "type": "number" }, "minItems": 1, "maxItems": 20,
    "examples": [0.95, [0.5, 0.9, 0.99]],
});
written_as!(Tuning, { "type": ["string", "number"], "examples": ["planned", "growthbook", "eppo", "msprt", 20000] });
written_as!(Size, {
    "type": ["string", "number", "array", "object"],
    "items": { "type": ["string", "number"] }, "minItems": 1, "maxItems": 200,
    "properties": {
        "from": { "type": ["string", "number"], "description": "The first size of a range.", "examples": [1.0, "1pp"] },
        "to": { "type": ["string", "number"], "description": "The last size of a range.", "examples": [1.2, "5pp"] },
        "steps": {
            "type": "integer", "minimum": 2, "maximum": 200,
            "description": "How many sizes there are in a range, both ends included.", "examples": [5],
        },
    },
    "additionalProperties": false, "required": ["from", "to", "steps"],
});
written_as!(Exposure, {
    "type": ["string", "number", "object"], "examples": ["5%", 0.05],
    "properties": {
        "default": { "type": ["string", "number"], "description": "Of all other values of the column.", "examples": ["5%"] },
    },
    "additionalProperties": { "type": ["string", "number"], "description": "Of `COLUMN=VALUE`.", "examples": ["50%"] },
    "required": ["default"],
});
written_as!(OneOrMany, {
    "type": ["string", "array"], "items": { "type": "string" }, "examples": [["Mon 09:00", "2025-03-03 09:00"]],
});

/// A release plan for `replay`: the log's columns, metrics, stages, gates, and what to inject.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// What this scenario shows, in your own words; printed in its report.
    pub(super) about: Option<String>,
    /// Which columns of the log mean what.
    #[schemars(required)]
    pub(super) log: Option<Log>,
    /// Who is assigned, and how.
    #[schemars(required)]
    pub(super) assignment: Option<Assignment>,
    /// What is measured, one table for each metric.
    #[schemars(required)]
    pub(super) metrics: Option<BTreeMap<String, Metric>>,
    /// The schedule, in the order it runs.
    #[schemars(required, length(min = 1))]
    pub(super) stages: Option<Vec<Stage>>,
    /// The rules that promote, hold or roll back.
    #[schemars(required, length(min = 1))]
    pub(super) gates: Option<Vec<Gate>>,
    /// Promotion and start of the rollout.
    pub(super) rollout: Option<Rollout>,
    /// Regressions to inject: each is a world of its own.
    pub(super) effects: Option<Vec<Effect>>,
    /// Replicates and seed.
    pub(super) simulation: Option<Simulation>,
}

/// Which columns of the log mean what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// Column of the request's time.
    #[schemars(length(min = 1))]
    pub(super) timestamp: Option<String>,
    /// For a log without times: units come at moments drawn evenly over so long.
    #[schemars(extend("examples" = ["24h", "7d"]))]
    pub(super) spread: Option<Duration>,
    /// IANA time zone of weekly starts and of display. Default: UTC.
    #[schemars(extend("examples" = ["UTC", "Europe/Berlin"]))]
    pub(super) timezone: Option<String>,
    /// Column of the request's id; duplicates are looked for when it is given.
    #[schemars(length(min = 1))]
    pub(super) request: Option<String>,
    /// Column of what a recorded output belongs to besides the unit, such as a prompt's id.
    #[schemars(length(min = 1))]
    pub(super) item: Option<String>,
    /// Column of the trial's number, where a request has several recorded outputs of a version: each replicate serves one, drawn at random.
    #[schemars(length(min = 1), extend("examples" = ["trial"]))]
    pub(super) trial: Option<String>,
    /// Segment columns: gates can ask in each of their values.
    #[schemars(length(max = 16), inner(length(min = 1)))]
    pub(super) segments: Option<Vec<String>>,
    /// Width of a time slot, the finest step of looks. Default: 15m.
    #[schemars(extend("examples" = ["5m", "15m", "1h"]))]
    pub(super) slot: Option<Duration>,
    /// What to do with rows without a unit or a time. Default: refuse.
    pub(super) missing: Option<Missing>,
    /// What to do with a request id seen before. Default: refuse.
    pub(super) duplicates: Option<Duplicates>,
    /// Whether whole weeks of a short log are repeated. Default: none.
    pub(super) tile: Option<Tile>,
    /// Column of the turn's number in its conversation; the log's lowest is the first.
    #[schemars(length(min = 1))]
    pub(super) turn: Option<String>,
    /// Which turns of a conversation count: later ones answer what stable said before. Default: all.
    pub(super) turns: Option<Turns>,
    /// What says which version served a row, for logs in long form: each request was served by one version.
    pub(super) version: Option<ServedBy>,
    /// Files in which outputs lie, each request's joined to the log's by a key.
    pub(super) join: Option<Join>,
    /// Rows that count, by the values of columns. Default: all.
    #[schemars(with = "Option<BTreeMap<String, OneOrMany>>", extend("examples" = [{ "campaign": "men" }]))]
    pub(super) only: Option<BTreeMap<String, OneOrMany>>,
}

/// What says which version served a row, for logs in long form.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServedBy {
    /// Column of the version's name.
    #[schemars(required, length(min = 1))]
    pub(super) column: Option<String>,
    /// What stable is called there. Default: stable.
    #[schemars(length(min = 1))]
    pub(super) stable: Option<String>,
    /// What the candidate is called there. Default: candidate.
    #[schemars(length(min = 1))]
    pub(super) candidate: Option<String>,
}

/// Files in which outputs lie: a file, a pattern or a directory for each version.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    /// Column of the key, in the log and in each file of outputs.
    #[schemars(required, length(min = 1), extend("examples" = ["request_id"]))]
    pub(super) on: Option<String>,
    /// What stable answered, beside the scenario. Default: columns of the log.
    #[schemars(length(min = 1), extend("examples" = ["stable.parquet"]))]
    pub(super) stable: Option<String>,
    /// What the candidate answered, beside the scenario. Default: columns of the log.
    #[schemars(length(min = 1), extend("examples" = ["candidate.parquet", "shadow/*.parquet"]))]
    pub(super) candidate: Option<String>,
}

/// What to do with rows without a unit or a time.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Missing {
    Refuse,
    Exclude,
}

/// What to do with a request id seen before.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Duplicates {
    Refuse,
    First,
}

/// Whether whole weeks of a short log are repeated.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Tile {
    None,
    Week,
}

/// Which turns of a conversation count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Turns {
    First,
    All,
}

/// Who is assigned, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Assignment {
    /// Column of the sticky unit: user, session, customer.
    #[schemars(required, length(min = 1))]
    pub(super) unit: Option<String>,
    /// Hash of the flag platform that will run the rollout. Default: md5-mod100.
    pub(super) hash: Option<Hash>,
    /// Key, name or id of the flag, feature, setting or segment, as the platform hashes it.
    pub(super) flag: Option<Seed>,
    /// The production salt.
    pub(super) salt: Option<String>,
    /// Statsig: salt of the rule, or its id where it has none.
    pub(super) rule_salt: Option<String>,
    /// Seed of the rollout, rule, condition or flag.
    pub(super) seed: Option<Seed>,
    /// Unleash: `groupId` of the strategy, or the flag's name.
    pub(super) group: Option<String>,
    /// Optimizely: id of the experiment or rollout rule.
    pub(super) rule: Option<Seed>,
    /// Which of the platform's rules decides.
    #[schemars(extend("examples" = ["rollout", "variant"]))]
    pub(super) kind: Option<String>,
    /// Number of equal parts: total weight, shards, modulus.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub(super) total: Option<u32>,
    /// Where the candidate stands among the platform's variants. Default: first.
    #[schemars(extend("examples" = ["first", "last"]))]
    pub(super) position: Option<String>,
    /// `LaunchDarkly`: f32 for the Go, Rust and Java SDKs. Default: f64.
    #[schemars(extend("examples" = ["f64", "f32"]))]
    pub(super) precision: Option<String>,
    /// `GrowthBook`: `hashVersion` of the rule.
    #[schemars(range(min = 1, max = 2))]
    pub(super) hash_version: Option<u32>,
    /// `GrowthBook`: how the SDK compares with coverage.
    #[schemars(extend("examples" = ["<=", "<"]))]
    pub(super) operator: Option<String>,
    /// `GrowthBook` and Unleash: what of a text the SDK hashes. Default: utf8.
    #[schemars(extend("examples" = ["utf8", "utf16", "js_charcode_low8"]))]
    pub(super) encoding: Option<String>,
    /// Flipt: which release computes the edges of variants.
    #[schemars(extend("examples" = ["server-v1", "server-v2", "client"]))]
    pub(super) generation: Option<String>,
    /// Flagsmith: key of the environment, where identities are `environment_unit`.
    pub(super) environment: Option<String>,
    /// Proxies: what is hashed, with `{unit}` in it. Default: the unit alone.
    #[schemars(extend("examples" = ["{unit}-canary"]))]
    pub(super) template: Option<String>,
    /// `HAProxy`: the converter.
    #[schemars(extend("examples" = ["crc32", "xxh32"]))]
    pub(super) converter: Option<String>,
    /// `HAProxy`: argument of the converter. Default: 0.
    #[schemars(range(max = 9_223_372_036_854_775_807_i64))]
    pub(super) argument: Option<u64>,
    /// Eppo, `GrowthBook`, Optimizely, Split: who takes part at all. Default: everybody.
    pub(super) traffic: Option<Traffic>,
    /// How long a unit keeps its version. Default: unit.
    pub(super) sticky: Option<Sticky>,
    /// Column of the session, with `sticky = "session"`.
    #[schemars(length(min = 1))]
    pub(super) session: Option<String>,
    /// Who the candidate is compared with: everyone else, or as many others. Default: rest.
    pub(super) control: Option<Control>,
    /// What one cell of the digest holds. Default: unit.
    pub(super) cells: Option<Cells>,
    /// How many buckets, with `cells = "bucket"`; rounded up to a multiple of the platform's. Default: 10,000.
    #[schemars(range(min = 100, max = 1_000_000))]
    pub(super) buckets: Option<u32>,
    /// CSV file, beside the scenario, of units with a version of their own: columns `unit` and `version`.
    pub(super) overrides: Option<String>,
}

/// Hash of a flag platform or proxy, by the name of its algorithm.
#[derive(Debug, Deserialize)]
pub(super) struct Hash(pub(super) String);

impl JsonSchema for Hash {
    fn schema_name() -> Cow<'static, str> {
        "Hash".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = platforms::names().collect();
        json_schema!({ "type": "string", "enum": names })
    }
}

/// A number or a text, as a platform takes it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Seed {
    /// Without quotes.
    Number(i64),
    /// In quotes.
    Text(String),
}

/// Who takes part at all.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Traffic {
    /// What is hashed in place of the flag: salt of the shard, name of the namespace, id of the group, seed of the allocation.
    pub(super) key: Option<Seed>,
    /// Where the part begins. Default: 0.
    #[schemars(extend("examples" = ["0%", 0.2]))]
    pub(super) start: Option<Quantity>,
    /// Where it ends. Default: 100 %.
    #[schemars(extend("examples" = ["40%", 0.4]))]
    pub(super) end: Option<Quantity>,
}

/// How units are held to their version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sticky {
    Unit,
    Session,
    Request,
    Cookie,
    Stage,
}

/// Who the candidate is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Control {
    Rest,
    Matched,
}

/// What one cell of the digest holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Cells {
    Unit,
    Bucket,
}

/// A metric: a sum per unit over another sum per unit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Metric {
    /// How it is computed.
    #[schemars(required)]
    pub(super) kind: Option<MetricKind>,
    /// Column of each version: `{version}` stands for `stable` and `candidate`. Or a sum of columns times numbers, with spaces around its
    /// operators.
    #[schemars(extend("examples" = ["{version}_quality", "{version}_latency_ms - {version}_ttft_ms"]))]
    pub(super) column: Option<String>,
    /// Of a ratio: what is summed above the line, in the same forms.
    #[schemars(extend("examples" = ["{version}_cost_usd"]))]
    pub(super) numerator: Option<String>,
    /// Of a ratio: what is summed below the line, in the same forms or `requests`.
    #[schemars(extend("examples" = ["{version}_tokens", "requests", "{version}_output_tokens - 1"]))]
    pub(super) denominator: Option<String>,
    /// Of a quantile: 0.95 is p95. A list is a metric for each, named `NAME_p50` and so on.
    pub(super) quantile: Option<Quantiles>,
    /// Of a drift metric: bins that hold about equal shares of stable's requests. Default: 10.
    #[schemars(range(min = 2, max = 100))]
    pub(super) bins: Option<u8>,
    /// Of a drift metric whose column holds embeddings: random features, an even number of them. Default beside `bandwidth`: 16.
    #[schemars(range(min = 2, max = 128))]
    pub(super) features: Option<u8>,
    /// Of a drift metric whose column holds embeddings: how far apart two of them are that are about as alike as not. Default beside
    /// `features`: 1, for embeddings of length 1.
    pub(super) bandwidth: Option<f64>,
    /// Of a proportion or a rare event: a number becomes the share above this.
    pub(super) over: Option<f64>,
    /// Which way it improves; of all kinds but drift.
    pub(super) better: Option<Better>,
    /// Printed after its values; `usd` adds it to the cost of a rollout.
    #[schemars(length(min = 1), extend("examples" = ["ms", "usd"]))]
    pub(super) unit: Option<String>,
    /// How a judge that samples, lags or errs sees it.
    pub(super) measured: Option<Measured>,
    /// For which versions the outcome was observed. Default: both.
    pub(super) observed: Option<Observed>,
    /// What a missing value of a mirrored request means. Default: exclude.
    pub(super) null_means: Option<NullMeans>,
    /// Of a mean or a quantile: the value that a missing one counts as under `null_means = "worst"`.
    #[schemars(extend("examples" = [0, 60000]))]
    pub(super) worst: Option<f64>,
}

/// How a metric is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum MetricKind {
    Mean,
    Proportion,
    Ratio,
    Quantile,
    Rare,
    Sentinel,
    Drift,
}

/// Which way a metric improves.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Better {
    Higher,
    Lower,
}

/// How a judge that samples, lags or errs sees a metric.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// Share of requests that are judged. Default: all.
    pub(super) share: Option<Quantity>,
    /// Time from the request to its judgement.
    pub(super) delay: Option<Duration>,
    /// US dollars for one judgement of one version's output.
    pub(super) cost_usd: Option<f64>,
    /// Share of requests whose true outcome is 1 that the judge calls 1.
    pub(super) sensitivity: Option<Quantity>,
    /// Share of requests whose true outcome is 0 that the judge calls 0.
    pub(super) specificity: Option<Quantity>,
    /// Column of each version with what people said of some of the requests.
    #[schemars(length(min = 1), extend("examples" = ["{version}_human"]))]
    pub(super) human: Option<String>,
}

/// For which versions an outcome was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Observed {
    Both,
    Stable,
}

/// What a missing value of a mirrored request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum NullMeans {
    Exclude,
    Worst,
    Fail,
}

/// One exposure level and how long it holds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Stage {
    /// Printed and referred to by name.
    #[schemars(required, length(min = 1))]
    pub(super) name: Option<String>,
    /// What the stage does. Default: canary.
    pub(super) kind: Option<StageKind>,
    /// Share of units that the candidate serves; by segment, `{ default = "5%", "tier=internal" = "50%" }`.
    pub(super) exposure: Option<Exposure>,
    /// How long the stage lasts; may be left out of a last stage at 100 %, and of kind `eval`, which then takes no time.
    pub(super) duration: Option<Duration>,
    /// Time between looks. Default: 15m where that divides the duration, otherwise the slot.
    pub(super) look_every: Option<Duration>,
    /// Who takes part in the stage, a wave: values of segment columns that belong to the unit.
    pub(super) only: Option<BTreeMap<String, Vec<String>>>,
    /// Who lets the rollout go on from the stage: `manual` waits for a person, as `rollout.approval` says, while the stage goes on.
    /// Default: automatic.
    pub(super) approval: Option<Approval>,
    /// When the stage may begin, in `log.timezone`; until then the stage before goes on. Default: always.
    #[schemars(extend("examples" = ["Mon-Fri 09:00-16:00"]))]
    pub(super) start: Option<String>,
    /// Time to let the stage settle before gates look.
    pub(super) bake: Option<Duration>,
    /// Of kind `eval`: the golden set, a log of its own with the outcomes of both versions, beside the scenario.
    #[schemars(length(min = 1), extend("examples" = ["golden.parquet"]))]
    pub(super) log: Option<String>,
    /// Of kinds `eval` and `shadow`: gates that are asked there. Default: all that can be.
    pub(super) gates: Option<Vec<String>>,
}

/// What a stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StageKind {
    Eval,
    Shadow,
    Canary,
    Ab,
    Full,
}

/// Who lets a stage begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Approval {
    Automatic,
    Manual,
}

/// A rule from evidence to verdict, and what is done with a verdict.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Gate {
    /// Printed and referred to by name.
    #[schemars(required, length(min = 1))]
    pub(super) name: Option<String>,
    /// Name of a metric.
    #[schemars(required)]
    pub(super) metric: Option<String>,
    /// Largest regression against stable that is accepted: relative, or absolute in the metric's unit.
    pub(super) allow: Option<Margin>,
    /// Where the failing side begins. Default: at `allow`.
    #[schemars(extend("examples" = ["0%"]))]
    pub(super) harm: Option<Margin>,
    /// Of a drift metric: the distance from stable that `limit` bounds. Default: ks, of embeddings mmd.
    pub(super) measure: Option<Measure>,
    /// Bound on the candidate itself, whatever stable does; of a drift metric, on its distance from stable.
    #[schemars(extend("examples" = [0.001]))]
    pub(super) limit: Option<f64>,
    /// How the evidence is weighed. Default: group-sequential, or fixed with `looks = "end"`; point for measure `psi`.
    pub(super) test: Option<Test>,
    /// One-sided error rate, above 0 and at most 0.5. Default: 0.05.
    pub(super) alpha: Option<f64>,
    /// Target of planning, between 0 and 1. Default: 0.8.
    pub(super) power: Option<f64>,
    /// How the tests `group-sequential` and `exact` spend alpha over looks: `pocock`, `obrien-fleming`, `power RHO`, `hwang-shih-decani GAMMA`. Default: pocock.
    #[schemars(extend("examples" = ["pocock", "obrien-fleming", "power 2", "hwang-shih-decani 1"]))]
    pub(super) spending: Option<String>,
    /// How test `group-sequential` spends alpha on passing, in the same forms: it may then pass at any look. Default: one test at the
    /// stage's end.
    #[schemars(extend("examples" = ["obrien-fleming"]))]
    pub(super) pass_spending: Option<String>,
    /// Where a `confidence-sequence` is tightest: at what the log plans (`planned`), as a tool has it (`growthbook`, `eppo`, `msprt`), or at
    /// a number of units of both arms. Default: planned.
    pub(super) tuning: Option<Tuning>,
    /// Whether a `confidence-sequence` spends alpha in one direction or two. Default: one; two for a tool's tuning.
    pub(super) sides: Option<Sides>,
    /// Share of `rollout.false_rollback`, relative to the other gates. Default: 1.
    #[schemars(range(min = 0))]
    pub(super) weight: Option<f64>,
    /// Segment columns: the gate is asked in each of their values too.
    pub(super) by: Option<Vec<String>>,
    /// How alpha is shared by overall and segments. Default: holm.
    pub(super) correction: Option<Correction>,
    /// `stage`, or the length of a trailing window. Default: stage.
    #[schemars(extend("examples" = ["stage", "1h"]))]
    pub(super) window: Option<String>,
    /// At which looks the gate speaks. Default: all.
    pub(super) looks: Option<Looks>,
    /// Units with data per arm before the gate may speak. Default: 40, or 0 for test `point`.
    #[schemars(range(min = 0))]
    pub(super) min_units: Option<f64>,
    /// Requests with data per arm before the gate may speak. Default: 0, or 1 for test `point`.
    #[schemars(range(min = 0))]
    pub(super) min_requests: Option<f64>,
    /// How long a gate must fail: `3 of 5` looks, or a duration. Default: 1 of 1.
    #[schemars(extend("examples" = ["1 of 1"]))]
    pub(super) patience: Option<String>,
    /// What a failure does. Default: rollback.
    pub(super) on_fail: Option<OnFail>,
    /// What an inconclusive end of stage does. Default: hold, or promote under `rollout.promote = "no-fail"`.
    pub(super) on_inconclusive: Option<Action>,
    /// What a look without data does. Default: hold.
    pub(super) on_no_data: Option<Action>,
    /// Where the standard error comes from: `wald`, what was observed; `score`, what is likely at the margin, which does not take an arm
    /// without an event, or without the tail of a skewed metric, for proof. `kayenta`, with test `mann-whitney`: its judge. Default: `wald`.
    pub(super) style: Option<Style>,
    /// Takes what stable answered to the candidate's requests out of their values (CUPED), where the shadow goes on during the canary:
    /// `stable`. Default: `none`.
    pub(super) covariate: Option<Covariate>,
    /// Of style `kayenta`: how its judge classifies the metric.
    pub(super) kayenta: Option<KayentaMetric>,
    /// Of test `cusum`: time from one false alarm to the next, on average, with the regression at the failing margin.
    #[schemars(extend("examples" = ["90d"]))]
    pub(super) run_length: Option<Duration>,
    /// Of test `cusum`: standard errors of one look that are taken off each, half of the shift that is found fastest. Default: 0.5.
    pub(super) reference: Option<f64>,
    /// Of test `burn-rate`: share of requests that must be good.
    #[schemars(extend("examples" = ["99.9%", 0.999]))]
    pub(super) slo: Option<Quantity>,
    /// Of test `burn-rate`: over which time the error budget is meant. Default: 30d.
    pub(super) period: Option<Duration>,
    /// Of test `burn-rate`: pairs of windows, each of which fails where both burn above its factor. Default: 14.4 over 1h and 5m, 6 over
    /// 6h and 30m.
    #[schemars(length(min = 1, max = 10))]
    pub(super) burn: Option<Vec<BurnPair>>,
    /// Of test `sentinel`: prompts whose answers are known, asked at every look.
    pub(super) sentinel: Option<Sentinel>,
}

/// Prompts whose answers are known.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sentinel {
    /// How many at each look.
    #[schemars(required, range(min = 1, max = 1_000_000))]
    pub(super) prompts: Option<u32>,
    /// Chance that one fails though the candidate is good. Default: 0.
    #[schemars(extend("examples" = ["0.1%", 0.001]))]
    pub(super) flake_rate: Option<Quantity>,
    /// Chance that one fails with a candidate that is worse than the gate accepts. Default: 1.
    #[schemars(extend("examples" = ["20%", 0.2]))]
    pub(super) detect: Option<Quantity>,
    /// How many may fail at a look. Default: 0.
    pub(super) allow_failures: Option<u32>,
}

/// Two windows that must both burn above a factor.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BurnPair {
    /// Of the rate that spends the budget in exactly its period.
    #[schemars(required, extend("examples" = [14.4]))]
    pub(super) factor: Option<f64>,
    /// The long window.
    #[schemars(required, extend("examples" = ["1h"]))]
    pub(super) long: Option<Duration>,
    /// The short window.
    #[schemars(required, extend("examples" = ["5m"]))]
    pub(super) short: Option<Duration>,
}

/// How Kayenta's judge classifies a metric.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KayentaMetric {
    /// Groups of the score it counts in. Default: default.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub(super) groups: Option<Vec<String>>,
    /// Which difference fails. Default: the one that is worse.
    pub(super) direction: Option<KayentaDirection>,
    /// What becomes of looks without a value. Default: remove.
    pub(super) nan_strategy: Option<NanStrategy>,
    /// Drops points further than so many interquartile ranges outside the quartiles. Default: all are kept.
    #[schemars(extend("examples" = [3]))]
    pub(super) outlier_factor: Option<f64>,
    /// How large a difference is. Default: mean-ratio.
    pub(super) effect_size: Option<EffectSize>,
    /// Effect from which a higher candidate fails. Default: 1 and `allow` of a mean ratio, 0.5 of cles.
    #[schemars(extend("examples" = [1.1]))]
    pub(super) allowed_increase: Option<f64>,
    /// Effect down to which a lower candidate fails. Default: 1 less `allow` of a mean ratio, 0.5 of cles.
    #[schemars(extend("examples" = [0.9]))]
    pub(super) allowed_decrease: Option<f64>,
    /// Effect from which a higher candidate fails a critical metric. Default: 1 of a mean ratio, 0.5 of cles.
    #[schemars(extend("examples" = [1.5]))]
    pub(super) critical_increase: Option<f64>,
    /// Effect down to which a lower candidate fails a critical metric. Default: 1 of a mean ratio, 0.5 of cles.
    #[schemars(extend("examples" = [0.5]))]
    pub(super) critical_decrease: Option<f64>,
    /// Whether its failure alone makes the score 0. Default: false.
    pub(super) critical: Option<bool>,
    /// Whether an arm without points is a failure. Default: false.
    pub(super) must_have_data: Option<bool>,
    /// Whether it is reported but left out of the score. Default: false.
    pub(super) muted: Option<bool>,
}

/// Which difference fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum KayentaDirection {
    Increase,
    Decrease,
    Either,
}

/// What becomes of looks without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum NanStrategy {
    Remove,
    Replace,
}

/// How large a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum EffectSize {
    MeanRatio,
    Cles,
}

/// How far two distributions lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Measure {
    Ks,
    Psi,
    Mmd,
}

/// How the evidence is weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Test {
    Point,
    Fixed,
    ConfidenceSequence,
    GroupSequential,
    MannWhitney,
    Bayes,
    Cusum,
    Exact,
    MaxSprt,
    EProcess,
    BurnRate,
    Sentinel,
}

/// How alpha is shared by overall and segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Correction {
    Holm,
    None,
    Hierarchy,
    Bonferroni,
    Bh,
}

/// What is taken out of a gate's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Covariate {
    None,
    Stable,
}

/// Where a gate's standard error comes from, or whose rules it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Style {
    Wald,
    Score,
    Kayenta,
}

/// In how many directions alpha is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sides {
    One,
    Two,
}

/// At which looks a gate speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Looks {
    All,
    End,
}

/// What a failure does.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OnFail {
    Rollback,
    Pause,
}

/// What a verdict does.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Action {
    Hold,
    Promote,
    Rollback,
}

/// Rules of the rollout that belong to no single gate.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollout {
    /// What promotion needs. Default: all-pass.
    pub(super) promote: Option<Promote>,
    /// Under `all-pass`: name of the first stage whose end needs every gate to pass. Default: the first stage.
    pub(super) pass_from: Option<String>,
    /// How long a stage may go on past its duration while a gate whose verdict is needed has none, or no data; later stages then start later.
    /// A multiple of every `look_every`. Default: 0.
    pub(super) max_hold: Option<Duration>,
    /// When rollouts start: weekly times or moments, or hours of the week, `Mon-Fri 09:00-15:00`, of which every whole hour is one. Default: any
    /// whole hour whose schedule fits in the log.
    pub(super) start: Option<OneOrMany>,
    /// Budget of false rollbacks of the whole release, split over gates and stages. Default: each gate's own alpha in each stage.
    #[schemars(extend("examples" = ["5%"]))]
    pub(super) false_rollback: Option<Quantity>,
    /// How that budget is kept: `split` over gates and stages; `rollout`, spent once by each gate over all stages together;
    /// `calibrated` by replay. Default: split.
    pub(super) budget: Option<Budget>,
    /// How long a person takes to let a rollout go on from a stage with `approval = "manual"`. Default: no time.
    pub(super) approval: Option<Answer>,
    /// How long a person takes to come to a rollout that a gate has paused (`on_fail = "pause"`), look at its gates again, and resume it or
    /// roll it back. Default: nobody comes, and it stays stalled.
    pub(super) resume: Option<Answer>,
    /// For how long all pauses of a stage together may last; a pause that would last longer leaves the rollout stalled. Default: the longest
    /// that a person takes.
    pub(super) max_pause: Option<Duration>,
    /// Time from a failing look to the decision to roll back, in which the candidate goes on serving: a duration, or
    /// `{ median = "10m", p90 = "1h" }`, log-normal. Default: 0.
    pub(super) diagnose: Option<Delay>,
    /// Time that rolling back then takes, in the same forms. Default: 0.
    pub(super) mitigate: Option<Delay>,
    /// How the gates of style `kayenta` decide together.
    pub(super) kayenta: Option<Kayenta>,
}

/// How long a person takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    /// Working time from the question to the answer: a duration, or `{ median = "2h", p90 = "8h" }`, log-normal, of which one in a hundred is
    /// cut short.
    pub(super) delay: Option<Delay>,
    /// When time counts as working time, in `log.timezone`. Default: always.
    #[schemars(extend("examples" = ["Mon-Fri 09:00-17:00"]))]
    pub(super) hours: Option<String>,
}

/// The score of the gates of style `kayenta`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Kayenta {
    /// The last run of a stage must score at least this. Default: 75.
    #[schemars(range(min = 0, max = 100))]
    pub(super) pass: Option<f64>,
    /// A run that scores this or less rolls back. Default: 50.
    #[schemars(range(min = 0, max = 100))]
    pub(super) marginal: Option<f64>,
    /// Weights of groups in per cent. Default: groups without one share the rest equally.
    #[schemars(extend("examples" = [{ "latency": 60, "errors": 40 }]))]
    pub(super) weights: Option<BTreeMap<String, f64>>,
    /// Time between runs of the judge. Default: every look.
    #[schemars(extend("examples" = ["1h"]))]
    pub(super) interval: Option<Duration>,
}

/// How the budget of false rollbacks is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Budget {
    Split,
    Rollout,
    Calibrated,
}

/// What promotion needs.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Promote {
    AllPass,
    NoFail,
}

/// A stated change of stable's outcome, injected into the candidate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Effect {
    /// Names its world.
    #[schemars(required, length(min = 1))]
    pub(super) name: Option<String>,
    /// Name of a metric.
    #[schemars(required)]
    pub(super) metric: Option<String>,
    /// Adds to every request, in the metric's unit. A list or a range is an effect for each of its sizes, as of `scale` and `flip`.
    #[schemars(extend("examples" = [-0.1, "1pp", "20 ms"]))]
    pub(super) shift: Option<Size>,
    /// Multiplies every request: 1.1 is 10 % more.
    #[schemars(extend("examples" = [1.1, "110%"]))]
    pub(super) scale: Option<Size>,
    /// Turns this share of good requests bad; proportions only.
    #[schemars(extend("examples" = ["2%"]))]
    pub(super) flip: Option<Size>,
    /// Only requests whose segment columns hold one of these values.
    pub(super) only: Option<BTreeMap<String, Vec<String>>>,
    /// Time from the rollout's start to the change. Default: 0.
    pub(super) onset: Option<Duration>,
    /// Time over which the change grows to its full size. Default: 0.
    pub(super) ramp: Option<Duration>,
}

/// How the simulation runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Simulation {
    /// Number of simulated rollouts in each world. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) replicates: Option<u32>,
    /// Drives everything random. Default: 7.
    #[schemars(range(max = 9_223_372_036_854_775_807_i64))]
    pub(super) seed: Option<u64>,
    /// How often a logged unit appears. Default: poisson.
    pub(super) resample: Option<Resample>,
    /// What the null world is made of. Default: stable.
    pub(super) null: Option<Null>,
}

/// How often a logged unit appears.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Resample {
    Poisson,
    None,
}

/// What the null world is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Null {
    Stable,
    Swap,
}
