//! What a synthetic log is made from: the TOML as written, and its checks.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::outcomes;
use crate::domain::version::Version;
use crate::error::{Error, Problem, Result};

/// For a segment column, a number for some of its values.
pub type ByValue = BTreeMap<String, BTreeMap<String, f64>>;
/// For a segment column, some of its values; a request belongs if every column named holds one of them.
pub type Only = BTreeMap<String, Vec<String>>;

/// More combinations of segment values than this are surely a mistake, and would slow the start down.
const COMBINATIONS_MAX: usize = 10_000;
/// Columns that the generator names itself.
const OWN_COLUMNS: [&str; 4] = ["ts", "request_id", "user_id", "session_id"];

/// A synthetic shadow log, described.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The user's own words.
    pub about: String,
    /// Drives everything random.
    pub seed: u64,
    /// First moment of the log, in microseconds since 1970-01-01 UTC; written as an RFC 3339 time stamp.
    #[serde(deserialize_with = "microseconds")]
    pub start: i64,
    /// Length of the log.
    pub days: u32,
    /// Expected number of requests; the number made varies around it.
    pub requests: f64,
    /// Who asks.
    pub users: Users,
    /// How requests cluster in time.
    pub sessions: Sessions,
    /// How traffic follows the clock.
    pub traffic: Traffic,
    /// Customers that users belong to.
    pub tenants: Option<Tenants>,
    /// Segment columns, in the order of the log's columns.
    #[serde(default)]
    pub segments: Vec<Segment>,
    /// What is asked.
    pub items: Option<Items>,
    /// Which requests have a candidate output; all if left out.
    pub shadow: Option<Shadow>,
    /// What is measured. Only what is described is made.
    pub outcomes: Outcomes,
    /// In what the candidate differs from stable. Changes of the same request multiply and add in the order written.
    #[serde(default)]
    pub changes: Vec<Change>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// Everyone who may send requests; light users may happen to send none.
    pub count: u32,
    /// How unequally requests are spread over users.
    pub tail: Tail,
    /// No user is expected to send more than this share of all requests.
    #[serde(default = "one")]
    pub largest: f64,
    /// Share of users who are there from the start; the others turn up at an even rate.
    #[serde(default = "one")]
    pub present: f64,
}

/// How unequally requests are spread over users.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum Tail {
    /// Pareto with this shape: smaller is more unequal, and at 1 or below a few users are everything.
    Pareto(f64),
    /// Zipf by rank with this exponent; the same as Pareto with shape 1 / exponent.
    Zipf(f64),
    /// Lognormal with this sigma.
    Lognormal(f64),
}

/// How requests cluster in time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// Mean number of requests of a session (geometric).
    pub requests: f64,
    /// Mean time between two requests of a session (exponential).
    pub gap_s: f64,
}

/// How traffic follows the clock, in UTC.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// 0 is flat, 1 falls to nothing once a day.
    pub daily_amplitude: f64,
    /// Hour of most traffic, 0 to 24.
    pub peak_hour: f64,
    /// Traffic of Saturday and Sunday over that of other days.
    pub weekend: f64,
}

/// Customers that users belong to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenants {
    /// Name of the column.
    pub column: String,
    /// How many there are.
    pub count: u32,
    /// How unequally users are spread over them.
    pub tail: Tail,
}

/// What a segment value belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// Drawn once for a user.
    User,
    /// Drawn once for a session.
    Session,
    /// Drawn for each request.
    Request,
}

/// A segment column.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Name of the column.
    pub column: String,
    /// What its value belongs to.
    pub per: Per,
    /// Weight of each value; they need not sum to 1.
    pub shares: BTreeMap<String, f64>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Items {
    /// Name of the column.
    pub column: String,
    /// Segment column whose values have items of their own.
    pub by: Option<String>,
    /// Items of each value of `by`, or of all requests.
    pub count: u32,
    /// Popularity falls with rank to this power; 0 is even.
    #[serde(default)]
    pub zipf: f64,
}

/// Which requests have a candidate output.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// Share of requests with a candidate output.
    pub coverage: f64,
    /// The share in some segments; where several apply, the smallest.
    #[serde(default)]
    pub by: ByValue,
}

/// What is measured, for each version.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcomes {
    /// The request failed technically: success is then false, and quality, severe failure and citation are null.
    pub error: Option<Binary>,
    /// The task was solved.
    pub success: Option<Binary>,
    /// A score between 0 and 1.
    pub quality: Option<Score>,
    /// A severe policy failure.
    pub severe: Option<Binary>,
    /// The answer's citation holds.
    pub citation_valid: Option<Binary>,
    /// Milliseconds until the answer was complete.
    pub latency_ms: Option<Amount>,
    /// Tokens of the answer.
    pub output_tokens: Option<Amount>,
    /// Price of the answer.
    pub cost_usd: Option<Cost>,
    /// The user asked again.
    pub retry: Option<Retry>,
    /// Embedding of the answer.
    pub embedding: Option<Embedding>,
}

/// A 0/1 outcome: logit-normal over users and items.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binary {
    /// Share of requests, over all users and items.
    pub rate: f64,
    /// The rate of some segment values; several columns add on the logit scale.
    #[serde(default)]
    pub rates: ByValue,
    /// Standard deviation between users, on the logit scale.
    #[serde(default)]
    pub user_sd: f64,
    /// Standard deviation between users of what the candidate changes for them, on the logit scale.
    #[serde(default)]
    pub change_sd: f64,
    /// Standard deviation between items, on the logit scale.
    #[serde(default)]
    pub item_sd: f64,
    /// Correlation of the two versions' luck on the same request (latent normal), beyond user and item.
    #[serde(default)]
    pub agreement: f64,
    /// Null elsewhere.
    #[serde(default)]
    pub only: Only,
}

/// A score between 0 and 1: logit-normal over users, items and requests.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Mean over all requests.
    pub mean: f64,
    /// The mean of some segment values; several columns add on the logit scale.
    #[serde(default)]
    pub means: ByValue,
    /// Standard deviation between requests, on the logit scale.
    pub sd: f64,
    /// As in [`Binary`].
    #[serde(default)]
    pub user_sd: f64,
    /// As in [`Binary`].
    #[serde(default)]
    pub change_sd: f64,
    /// As in [`Binary`].
    #[serde(default)]
    pub item_sd: f64,
    /// As in [`Binary`].
    #[serde(default)]
    pub agreement: f64,
    /// Correlation with success, between users, items and requests alike.
    #[serde(default)]
    pub with_success: f64,
}

/// A positive amount: lognormal over users, items and requests, with an optional heavier tail.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// Median.
    pub median: f64,
    /// The median of some segment values; several columns multiply.
    #[serde(default)]
    pub medians: ByValue,
    /// Standard deviation of the logarithm between requests.
    pub sd: f64,
    /// Standard deviation of the logarithm between users.
    #[serde(default)]
    pub user_sd: f64,
    /// Standard deviation of the logarithm between items.
    #[serde(default)]
    pub item_sd: f64,
    /// Correlation of the two versions on the same request, beyond user and item.
    #[serde(default)]
    pub agreement: f64,
    /// Correlation with the length of the answer (latency only).
    #[serde(default)]
    pub with_tokens: f64,
    /// A share of slow requests.
    pub slow: Option<Slow>,
    /// Larger values are cut.
    pub max: Option<f64>,
}

/// A share of requests that take a Pareto multiple of their time.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// Share of requests.
    pub share: f64,
    /// Shape of the multiple, which is 1 or more.
    pub pareto: f64,
}

/// The price of an answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Of the prompt, in the median.
    pub per_request: f64,
    /// Of each token of the answer.
    #[serde(default)]
    pub per_output_token: f64,
    /// Standard deviation of the logarithm of the prompt's part; the same for both versions.
    #[serde(default)]
    pub sd: f64,
}

/// Whether the user asked again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Share of requests after success, or of all requests where success is not made.
    pub rate: f64,
    /// Share of requests after failure.
    pub after_failure: f64,
    /// As in [`Binary`].
    #[serde(default)]
    pub user_sd: f64,
    /// As in [`Binary`].
    #[serde(default)]
    pub agreement: f64,
}

/// Embeddings of answers, of length 1, around a common direction.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    /// How many numbers one has.
    pub numbers: u16,
    /// How far requests lie from the common direction, which has length 1.
    pub sd: f64,
    /// How far users do.
    #[serde(default)]
    pub user_sd: f64,
    /// Correlation of the two versions on the same request, beyond the user.
    #[serde(default)]
    pub agreement: f64,
    /// Share of the candidate's answers that lie around another direction.
    #[serde(default)]
    pub moved: f64,
}

/// In what the candidate differs from stable: `scale`, `shift`, or both.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Which outcome.
    pub metric: Metric,
    /// Multiplies the rate, the mean, or every value.
    #[serde(default = "one")]
    pub scale: f64,
    /// Adds to the rate or the mean after `scale`.
    #[serde(default)]
    pub shift: f64,
    /// Which requests; all if left out.
    #[serde(default)]
    pub only: Only,
}

/// An outcome that a change can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "documented by the fields of the same names in `Outcomes`")]
pub enum Metric {
    Error,
    Success,
    Quality,
    Severe,
    CitationValid,
    LatencyMs,
    OutputTokens,
    CostUsd,
    Retry,
}

impl Metric {
    /// All, in the order of the log's columns.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Quality,
        Self::Severe,
        Self::CitationValid,
        Self::LatencyMs,
        Self::CostUsd,
        Self::OutputTokens,
        Self::Error,
        Self::Retry,
    ];

    /// As written in recipes and, after the version, in the log's columns.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Success => "success",
            Self::Quality => "quality",
            Self::Severe => "severe",
            Self::CitationValid => "citation_valid",
            Self::LatencyMs => "latency_ms",
            Self::OutputTokens => "output_tokens",
            Self::CostUsd => "cost_usd",
            Self::Retry => "retry",
        }
    }
}

fn one() -> f64 {
    1.0
}

fn microseconds<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_microsecond)
        .map_err(|error| serde::de::Error::custom(format!("{error}; write a time stamp like `2026-11-02T00:00:00Z`")))
}

impl Recipe {
    /// Reads and checks a recipe; `place` is its file, for messages.
    ///
    /// # Errors
    /// Text that is not TOML, a key that is unknown, missing or of the wrong type; otherwise every value out of range.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        let first_error = |error: toml::de::Error| {
            let line = error.span().map_or(1, |span| line_at(text, span.start));
            Error::at(format!("{place}:{line}"), error.message().replace('\n', ", "))
        };
        let recipe: Self = toml::from_str(text).map_err(first_error)?;
        let tree = DeTable::parse(text).map_err(first_error)?;
        let mut checks = Checks { text, place, tree: tree.get_ref(), problems: Vec::new() };
        recipe.check(&mut checks);
        if checks.problems.is_empty() { Ok(recipe) } else { Err(checks.problems.into()) }
    }

    /// Whether the log has this outcome.
    #[must_use]
    pub fn makes(&self, metric: Metric) -> bool {
        let outcomes = &self.outcomes;
        match metric {
            Metric::Error => outcomes.error.is_some(),
            Metric::Success => outcomes.success.is_some(),
            Metric::Quality => outcomes.quality.is_some(),
            Metric::Severe => outcomes.severe.is_some(),
            Metric::CitationValid => outcomes.citation_valid.is_some(),
            Metric::LatencyMs => outcomes.latency_ms.is_some(),
            Metric::OutputTokens => outcomes.output_tokens.is_some(),
            Metric::CostUsd => outcomes.cost_usd.is_some(),
            Metric::Retry => outcomes.retry.is_some(),
        }
    }

    fn check(&self, checks: &mut Checks) {
        checks.range(&["days"], f64::from(self.days), 1.0, 366.0);
        checks.range(&["requests"], self.requests, 1.0, 1e9);
        checks.range(&["users", "count"], f64::from(self.users.count), 1.0, 1e8);
        checks.tail(&["users", "tail"], self.users.tail);
        checks.range(&["users", "largest"], self.users.largest, (2.0 / f64::from(self.users.count)).min(1.0), 1.0);
        checks.range(&["users", "present"], self.users.present, 0.0, 1.0);
        checks.range(&["sessions", "requests"], self.sessions.requests, 1.0, 1000.0);
        checks.range(&["sessions", "gap_s"], self.sessions.gap_s, 0.001, 86_400.0);
        checks.range(&["traffic", "daily_amplitude"], self.traffic.daily_amplitude, 0.0, 1.0);
        checks.range(&["traffic", "peak_hour"], self.traffic.peak_hour, 0.0, 24.0);
        checks.range(&["traffic", "weekend"], self.traffic.weekend, 0.001, 1000.0);
        if let Some(tenants) = &self.tenants {
            checks.range(&["tenants", "count"], f64::from(tenants.count), 1.0, 1e7);
            checks.tail(&["tenants", "tail"], tenants.tail);
        }
        let segments_problems = checks.problems.len();
        self.check_segments(checks);
        if let Some(shadow) = &self.shadow {
            checks.range(&["shadow", "coverage"], shadow.coverage, 0.0, 1.0);
            self.check_by(checks, &["shadow", "by"], &shadow.by, 0.0, 1.0);
        }
        self.check_outcomes(checks);
        self.check_changes(checks);
        // The candidate's levels are computed for every combination of segments, which must be sound for that.
        if checks.problems.len() == segments_problems {
            self.check_candidate(checks);
        }
    }

    fn check_segments(&self, checks: &mut Checks) {
        let mut columns: HashSet<&str> = OWN_COLUMNS.into();
        let tenants = self.tenants.iter().map(|tenants| (vec!["tenants", "column"], tenants.column.as_str()));
        let items = self.items.iter().map(|items| (vec!["items", "column"], items.column.as_str()));
        let indices: Vec<String> = (0..self.segments.len()).map(|index| index.to_string()).collect();
        let segments = self
            .segments
            .iter()
            .zip(&indices)
            .map(|(segment, index)| (vec!["segments", index, "column"], segment.column.as_str()));
        for (path, column) in tenants.chain(items).chain(segments) {
            let made = Version::BOTH
                .iter()
                .any(|version| column.strip_prefix(version.name()).and_then(|rest| rest.strip_prefix('_')).is_some());
            if column.is_empty() || made || !columns.insert(column) {
                checks.problem(&path, format!("is `{column}`, which is not a free column name"), None);
            }
        }
        for (segment, index) in self.segments.iter().zip(&indices) {
            let path = ["segments", index, "shares"];
            for (value, share) in &segment.shares {
                checks.range(&[path[0], path[1], path[2], value], *share, 0.0, 1e9);
            }
            // Written so that a NaN fails too.
            let positive = segment.shares.values().sum::<f64>() > 0.0;
            if !positive {
                checks.problem(&path, "has no share above 0", None);
            }
        }
        let combinations = self.segments.iter().map(|segment| segment.shares.len()).product::<usize>();
        if combinations > COMBINATIONS_MAX {
            let message = format!("have {combinations} combinations of values; at most {COMBINATIONS_MAX} are allowed");
            checks.problem(&["segments"], message, Some("use fewer columns or values"));
        }
        if let Some(items) = &self.items {
            checks.range(&["items", "count"], f64::from(items.count), 1.0, 1e7);
            checks.range(&["items", "zipf"], items.zipf, 0.0, 5.0);
            if let Some(by) = &items.by {
                self.check_column(checks, &["items", "by"], by);
            }
        }
    }

    fn check_column(&self, checks: &mut Checks, path: &[&str], column: &str) -> Option<&Segment> {
        let found = self.segments.iter().find(|segment| segment.column == column);
        if found.is_none() {
            let known: Vec<&str> = self.segments.iter().map(|segment| segment.column.as_str()).collect();
            checks.problem(path, format!("names `{column}`, but the segments are: {}", known.join(", ")), None);
        }
        found
    }

    fn check_value(&self, checks: &mut Checks, path: &[&str], column: &str, value: &str) {
        if let Some(segment) = self.check_column(checks, path, column)
            && !segment.shares.contains_key(value)
        {
            let known: Vec<&str> = segment.shares.keys().map(String::as_str).collect();
            checks.problem(path, format!("names `{value}`, but `{column}` has: {}", known.join(", ")), None);
        }
    }

    fn check_by(&self, checks: &mut Checks, path: &[&str], by: &ByValue, low: f64, high: f64) {
        for (column, values) in by {
            for (value, number) in values {
                let path = [path, &[column, value]].concat();
                self.check_value(checks, &path, column, value);
                checks.range(&path, *number, low, high);
            }
        }
    }

    fn check_only(&self, checks: &mut Checks, path: &[&str], only: &Only) {
        for (column, values) in only {
            for value in values {
                self.check_value(checks, &[path, &[column]].concat(), column, value);
            }
        }
    }

    fn check_outcomes(&self, checks: &mut Checks) {
        let outcomes = &self.outcomes;
        if !Metric::ALL.iter().any(|metric| self.makes(*metric)) && outcomes.embedding.is_none() {
            checks.problem(&["outcomes"], "is empty", Some("describe at least one, such as [outcomes.success]"));
        }
        let binaries = [
            ("error", &outcomes.error),
            ("success", &outcomes.success),
            ("severe", &outcomes.severe),
            ("citation_valid", &outcomes.citation_valid),
        ];
        for (name, binary) in binaries {
            let Some(binary) = binary else { continue };
            let path = |key| ["outcomes", name, key];
            checks.open_range(&path("rate"), binary.rate);
            self.check_by(checks, &path("rates"), &binary.rates, 1e-9, 1.0 - 1e-9);
            checks.deviations(name, &[("user_sd", binary.user_sd), ("change_sd", binary.change_sd)]);
            checks.deviations(name, &[("item_sd", binary.item_sd)]);
            checks.range(&path("agreement"), binary.agreement, 0.0, 1.0);
            self.check_only(checks, &path("only"), &binary.only);
        }
        if let Some(score) = &outcomes.quality {
            let path = |key| ["outcomes", "quality", key];
            checks.open_range(&path("mean"), score.mean);
            self.check_by(checks, &path("means"), &score.means, 1e-9, 1.0 - 1e-9);
            checks.deviations("quality", &[("sd", score.sd), ("user_sd", score.user_sd)]);
            checks.deviations("quality", &[("change_sd", score.change_sd), ("item_sd", score.item_sd)]);
            checks.range(&path("agreement"), score.agreement, 0.0, 1.0);
            checks.range(&path("with_success"), score.with_success, -1.0, 1.0);
        }
        for (name, amount) in [("latency_ms", &outcomes.latency_ms), ("output_tokens", &outcomes.output_tokens)] {
            let Some(amount) = amount else { continue };
            let path = |key| ["outcomes", name, key];
            checks.range(&path("median"), amount.median, 1e-6, 1e9);
            self.check_by(checks, &path("medians"), &amount.medians, 1e-6, 1e9);
            checks.deviations(name, &[("sd", amount.sd), ("user_sd", amount.user_sd), ("item_sd", amount.item_sd)]);
            checks.range(&path("agreement"), amount.agreement, 0.0, 1.0);
            checks.range(&path("with_tokens"), amount.with_tokens, -1.0, 1.0);
            if let Some(slow) = amount.slow {
                checks.range(&["outcomes", name, "slow", "share"], slow.share, 0.0, 1.0);
                checks.range(&["outcomes", name, "slow", "pareto"], slow.pareto, 0.1, 100.0);
            }
            // Token counts are 32-bit integers.
            checks.range(&path("max"), amount.max.unwrap_or(1.0), 1e-6, 2e9);
        }
        if let Some(cost) = &outcomes.cost_usd {
            checks.range(&["outcomes", "cost_usd", "per_request"], cost.per_request, 0.0, 1e6);
            checks.range(&["outcomes", "cost_usd", "per_output_token"], cost.per_output_token, 0.0, 1e6);
            checks.deviations("cost_usd", &[("sd", cost.sd)]);
            if cost.per_output_token > 0.0 && outcomes.output_tokens.is_none() {
                let hint = "describe [outcomes.output_tokens], or leave `per_output_token` out";
                checks.problem(&["outcomes", "cost_usd", "per_output_token"], "needs a number of tokens", Some(hint));
            }
        }
        if let Some(retry) = &outcomes.retry {
            checks.open_range(&["outcomes", "retry", "rate"], retry.rate);
            checks.open_range(&["outcomes", "retry", "after_failure"], retry.after_failure);
            checks.deviations("retry", &[("user_sd", retry.user_sd)]);
            checks.range(&["outcomes", "retry", "agreement"], retry.agreement, 0.0, 1.0);
        }
        if let Some(embedding) = &outcomes.embedding {
            let path = |key| ["outcomes", "embedding", key];
            checks.range(&path("numbers"), f64::from(embedding.numbers), 2.0, 4096.0);
            checks.deviations("embedding", &[("sd", embedding.sd), ("user_sd", embedding.user_sd)]);
            checks.range(&path("agreement"), embedding.agreement, 0.0, 1.0);
            checks.range(&path("moved"), embedding.moved, 0.0, 1.0);
        }
    }

    fn check_changes(&self, checks: &mut Checks) {
        for (index, change) in self.changes.iter().enumerate() {
            let index = index.to_string();
            let path = |key| ["changes", index.as_str(), key];
            checks.range(&path("scale"), change.scale, 0.0, 1e6);
            checks.range(&path("shift"), change.shift, -1e9, 1e9);
            self.check_only(checks, &path("only"), &change.only);
            if !self.makes(change.metric) {
                let message = format!("is `{}`, which this recipe does not make", change.metric.name());
                checks.problem(&path("metric"), message, None);
            }
            let amount = matches!(change.metric, Metric::LatencyMs | Metric::OutputTokens | Metric::CostUsd);
            if amount && change.shift != 0.0 {
                checks.problem(&path("shift"), "is for rates and means only", Some("use `scale` for amounts"));
            }
        }
    }

    /// Changes may push a rate out of (0, 1) only in some combination of segments: every one is tried.
    fn check_candidate(&self, checks: &mut Checks) {
        for metric in Metric::ALL {
            if let Some((value, combination)) = outcomes::level_out_of_range(self, metric) {
                let message =
                    format!("of the candidate comes to {value} in {combination}; it must stay between 0 and 1");
                checks.problem(&["outcomes", metric.name()], message, Some("make its `changes` smaller"));
            }
        }
    }
}

/// The line, from 1, of a byte of the text.
fn line_at(text: &str, byte: usize) -> usize {
    text.get(..byte).unwrap_or(text).matches('\n').count() + 1
}

/// Collects problems, each at its line.
struct Checks<'a> {
    text: &'a str,
    place: &'a str,
    tree: &'a DeTable<'a>,
    problems: Vec<Problem>,
}

impl Checks<'_> {
    fn problem(&mut self, path: &[&str], message: impl fmt::Display, hint: Option<&str>) {
        let mut problem = Problem::new(
            format!("{}:{}", self.place, line_at(self.text, self.position(path))),
            format!("`{}` {message}", path.join(".")),
        );
        problem.hint = hint.map(String::from);
        self.problems.push(problem);
    }

    /// Where the longest part of the path that is written begins: a default is reported at the table that lacks it.
    fn position(&self, path: &[&str]) -> usize {
        let mut position = 0;
        let mut value: Option<&Spanned<DeValue>> = None;
        for part in path {
            let table = match value.map(Spanned::get_ref) {
                None => Some(self.tree),
                Some(DeValue::Table(table)) => Some(table),
                Some(_) => None,
            };
            let next = match (table, value.map(Spanned::get_ref)) {
                (Some(table), _) => table.iter().find(|(key, _)| key.get_ref() == part).map(|(key, next)| {
                    position = key.span().start;
                    next
                }),
                (None, Some(DeValue::Array(array))) => part.parse::<usize>().ok().and_then(|index| array.get(index)),
                (None, _) => None,
            };
            if next.is_none() {
                break;
            }
            if table.is_none() {
                position = next.map_or(position, |next| next.span().start);
            }
            value = next;
        }
        position
    }

    fn range(&mut self, path: &[&str], value: f64, low: f64, high: f64) {
        if !(low..=high).contains(&value) {
            self.problem(path, format!("is {value}; it must lie between {low} and {high}"), None);
        }
    }

    fn open_range(&mut self, path: &[&str], value: f64) {
        if !(1e-9..=1.0 - 1e-9).contains(&value) {
            self.problem(path, format!("is {value}; it must lie between 0 and 1, both excluded"), None);
        }
    }

    fn deviations(&mut self, outcome: &str, values: &[(&str, f64)]) {
        for (key, value) in values {
            self.range(&["outcomes", outcome, key], *value, 0.0, 10.0);
        }
    }

    fn tail(&mut self, path: &[&str], tail: Tail) {
        let (name, value) = match tail {
            Tail::Pareto(value) => ("pareto", value),
            Tail::Zipf(value) => ("zipf", value),
            Tail::Lognormal(value) => ("lognormal", value),
        };
        self.range(&[path, &[name]].concat(), value, 0.01, 100.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = r#"about = "test"
seed = 1
start = "2026-11-02T00:00:00Z"
days = 2
requests = 100
users = { count = 10, tail = { pareto = 1.5 } }
sessions = { requests = 2, gap_s = 60 }
traffic = { daily_amplitude = 0.5, peak_hour = 14, weekend = 0.5 }

[[segments]]
column = "region"
per = "user"
shares = { eu = 0.5, us = 0.5 }

[outcomes.success]
rate = 0.9
"#;

    fn messages(from: &str, to: &str) -> String {
        assert!(SOUND.contains(from));
        Recipe::parse(&SOUND.replace(from, to), "r.toml").unwrap_err().to_string()
    }

    #[test]
    fn a_sound_recipe_is_read() {
        let recipe = Recipe::parse(SOUND, "r.toml").unwrap();
        assert_eq!(recipe.start, 1_793_577_600_000_000);
        assert!(recipe.makes(Metric::Success) && !recipe.makes(Metric::Retry));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let text = messages("seed = 1", "sead = 1");
        assert!(text.starts_with("error: r.toml:2: unknown field `sead`, expected one of `about`, `seed`"), "{text}");
    }

    #[test]
    fn a_start_that_is_no_time_stamp_is_named_with_its_line() {
        let text = messages("2026-11-02T00:00:00Z", "Monday");
        assert!(text.starts_with("error: r.toml:3: ") && text.contains("2026-11-02T00:00:00Z"), "{text}");
    }

    #[test]
    fn every_value_out_of_range_is_reported_at_its_line() {
        let text = messages("days = 2\nrequests = 100", "days = 0\nrequests = -5");
        assert_eq!(
            text,
            "error: r.toml:4: `days` is 0; it must lie between 1 and 366\n\n\
             error: r.toml:5: `requests` is -5; it must lie between 1 and 1000000000\n"
        );
        let text = messages("rate = 0.9", "rate = nan\nrates = { region = { au = 0.5 }, plan = { x = 2.0 } }");
        assert!(text.contains("r.toml:16: `outcomes.success.rate` is NaN"), "{text}");
        assert!(text.contains("r.toml:17: `outcomes.success.rates.region.au` names `au`, but `region` has: eu, us"));
        assert!(text.contains("`outcomes.success.rates.plan.x` names `plan`, but the segments are: region"));
        assert!(text.contains("`outcomes.success.rates.plan.x` is 2;"), "{text}");
    }

    #[test]
    fn a_change_too_large_for_a_rate_is_reported_with_its_segment() {
        let change = "\n[[changes]]\nmetric = \"success\"\nscale = 1.2\nonly = { region = [\"us\"] }\n";
        let text = messages("rate = 0.9\n", &format!("rate = 0.9\n{change}"));
        assert!(text.contains("`outcomes.success` of the candidate comes to 1.08 in region = us"), "{text}");
        let change = change.replace("success", "retry");
        let text = messages("rate = 0.9\n", &format!("rate = 0.9\n{change}"));
        assert!(text.contains("r.toml:19: `changes.0.metric` is `retry`, which this recipe does not make"), "{text}");
    }

    #[test]
    fn a_column_may_be_used_once() {
        let text = messages("column = \"region\"", "column = \"user_id\"");
        assert!(
            text.contains("r.toml:11: `segments.0.column` is `user_id`, which is not a free column name"),
            "{text}"
        );
    }
}
