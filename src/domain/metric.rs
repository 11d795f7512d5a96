//! What is measured, and which way is worse.

use super::version::PerVersion;

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
}

impl MetricKind {
    /// As written in scenarios.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mean { .. } => "mean",
            Self::Proportion { .. } => "proportion",
            Self::Ratio { .. } => "ratio",
            Self::Quantile { .. } => "quantile",
        }
    }
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
}
