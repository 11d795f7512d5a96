//! What is measured, and which way is worse.

use super::feature::Feature;
use super::quantity::Seconds;
use super::version::{PerVersion, Version};

/// Which way a metric improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Higher is better: quality, success.
    Higher,
    /// Lower is better: latency, errors, cost.
    Lower,
}

impl Direction {
    /// The sign that makes a larger number worse: +1 where lower is better.
    #[must_use]
    pub fn worse_sign(self) -> f64 {
        match self {
            Self::Higher => -1.0,
            Self::Lower => 1.0,
        }
    }
}

/// Where a sum of a ratio comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A column of the log.
    Column(String),
    /// One for each request.
    Requests,
}

/// How a metric is computed. Every kind is a ratio of two per-unit sums.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricKind {
    /// Sum of a column over the number of requests.
    Mean {
        /// The column of each version.
        column: PerVersion<String>,
    },
    /// Share of requests: a 0/1 column, or a number that lies over a threshold.
    Proportion {
        /// The column of each version.
        column: PerVersion<String>,
        /// The share above this value, where the column is a number.
        over: Option<f64>,
    },
    /// Share of units with at least one event since the stage began: a unit with many events counts once.
    Rare {
        /// The column of each version: 0/1 for each request.
        column: PerVersion<String>,
        /// An event is a number above this value, where the column is a number.
        over: Option<f64>,
    },
    /// Sum of one column over the sum of another.
    Ratio {
        /// What is summed above the line.
        numerator: PerVersion<Source>,
        /// What is summed below the line.
        denominator: PerVersion<Source>,
    },
    /// A quantile over requests, asked as the share of requests above thresholds.
    Quantile {
        /// The column of each version.
        column: PerVersion<String>,
        /// In (0, 1): 0.95 is p95.
        quantile: f64,
    },
    /// A distribution over requests, asked how far the candidate's lies from stable's; where one value is wanted, its median.
    Drift {
        /// The column of each version.
        column: PerVersion<String>,
        /// Bins that hold about equal shares of stable's requests.
        bins: usize,
    },
    /// A distribution of embeddings over requests, by one of the features whose means are compared. A metric of embeddings is one of these,
    /// and those of its other features follow it.
    Embedding {
        /// The column of each version.
        column: PerVersion<String>,
        /// What the feature of it is called.
        value: PerVersion<String>,
        /// Which one.
        feature: Feature,
    },
}

impl MetricKind {
    /// As written in scenarios.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mean { .. } => "mean",
            Self::Proportion { .. } => "proportion",
            Self::Rare { .. } => "rare",
            Self::Ratio { .. } => "ratio",
            Self::Quantile { .. } => "quantile",
            Self::Drift { .. } | Self::Embedding { .. } => "drift",
        }
    }

    /// Whether it is a distribution, of which neither way is better.
    #[must_use]
    pub fn is_drift(&self) -> bool {
        matches!(self, Self::Drift { .. } | Self::Embedding { .. })
    }

    /// Of embeddings: the feature.
    #[must_use]
    pub fn feature(&self) -> Option<Feature> {
        match self {
            Self::Embedding { feature, .. } => Some(*feature),
            _ => None,
        }
    }

    /// Whether it is a further feature of the metric before it, and no metric of the scenario's own.
    #[must_use]
    pub fn is_further(&self) -> bool {
        self.feature().is_some_and(|feature| feature.index > 0)
    }

    /// The quantile whose value stands for the metric, of kinds that are about a distribution.
    #[must_use]
    pub fn quantile(&self) -> Option<f64> {
        match self {
            Self::Quantile { quantile, .. } => Some(*quantile),
            Self::Drift { .. } => Some(0.5),
            _ => None,
        }
    }

    /// Whether its values are shares of events: of requests, or of units.
    #[must_use]
    pub fn is_share(&self) -> bool {
        matches!(self, Self::Proportion { .. } | Self::Rare { .. })
    }

    /// Whether it is a mean of one value of each request or unit, as shares are.
    #[must_use]
    pub fn is_mean(&self) -> bool {
        matches!(self, Self::Mean { .. }) || self.is_share()
    }

    /// Whether a unit counts once, however many requests or events it has.
    #[must_use]
    pub fn is_rare(&self) -> bool {
        matches!(self, Self::Rare { .. })
    }
}

/// How a judge sees a metric. The default judge sees every request and never errs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Judge {
    /// Share of requests that it judges, where it does not judge all.
    pub share: Option<f64>,
    /// How it errs, where it does.
    pub errors: Option<JudgeErrors>,
    /// Columns of what people said of some of the requests.
    pub human: Option<PerVersion<String>>,
    /// US dollars for one judgement of one version's output.
    pub cost_usd: Option<f64>,
    /// Time from a request to its judgement: gates see it only then.
    pub delay: Seconds,
}

/// How a judge of yes-or-no outcomes errs, for both versions alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JudgeErrors {
    /// Share of requests whose true outcome is 1 that the judge calls 1.
    pub sensitivity: f64,
    /// Share of requests whose true outcome is 0 that the judge calls 0.
    pub specificity: f64,
}

/// What a missing value of a mirrored request counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nulls {
    /// Nothing: the request is left out for this version.
    #[default]
    Excluded,
    /// The metric's worst value.
    Worst,
}

/// A metric of the scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its key in `[metrics.NAME]`.
    pub name: String,
    /// How it is computed.
    pub kind: MetricKind,
    /// Which way it improves.
    pub better: Direction,
    /// Printed after its values, and `usd` adds it to the cost of a rollout.
    pub unit: Option<String>,
    /// How a judge sees it.
    pub judge: Judge,
    /// What a missing value counts as.
    pub nulls: Nulls,
    /// The worst value that a request can have, where it is known.
    pub worst: Option<f64>,
    /// Whether only stable's outcomes are known: what users did next. The candidate's are then taken to be the same.
    pub stable_only: bool,
}

impl Metric {
    /// A metric that is measured on every request, without error, and whose missing values are left out.
    #[must_use]
    pub fn plain(name: String, kind: MetricKind, better: Direction, unit: Option<String>) -> Self {
        let judge = Judge::default();
        Self { name, kind, better, unit, judge, nulls: Nulls::Excluded, worst: None, stable_only: false }
    }

    /// The version whose outcomes stand for a version's.
    #[must_use]
    pub fn source(&self, version: Version) -> Version {
        if self.stable_only { Version::Stable } else { version }
    }
}

/// The largest worsening still accepted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Margin {
    /// A share of stable's value in the same window: 0.01 is 1 %.
    Relative(f64),
    /// In the metric's own unit: 0.005 is 0.5 pp of a proportion.
    Absolute(f64),
}

impl Margin {
    /// Whether no worsening is accepted.
    #[must_use]
    pub fn is_zero(self) -> bool {
        let (Self::Relative(size) | Self::Absolute(size)) = self;
        size <= 0.0
    }

    /// The contrast is `sign * (candidate - factor * stable) - offset`; this is (factor, offset).
    #[must_use]
    pub fn contrast(self, better: Direction) -> (f64, f64) {
        match self {
            Self::Relative(share) => (1.0 + better.worse_sign() * share, 0.0),
            Self::Absolute(amount) => (1.0, amount),
        }
    }

    /// A multiple of it.
    #[must_use]
    pub fn times(self, multiple: f64) -> Self {
        match self {
            Self::Relative(share) => Self::Relative(share * multiple),
            Self::Absolute(amount) => Self::Absolute(amount * multiple),
        }
    }

    /// What makes stable worse by exactly this: each value becomes `scale * value + shift`; this is (scale, shift).
    #[must_use]
    pub fn worsening(self, worse_sign: f64) -> (f64, f64) {
        match self {
            // Nothing can be worse by all of itself: multiples of a large margin stop short of that.
            Self::Relative(share) => ((1.0 + worse_sign * share).max(0.01), 0.0),
            Self::Absolute(amount) => (1.0, worse_sign * amount),
        }
    }
}
