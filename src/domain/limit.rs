//! What a plan must keep.

/// What a limit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Chance of each gate to decide, at least.
    Power,
    /// Share of rollouts in which a candidate as good as stable gets to the end, at least.
    Promoted,
    /// Share in which it is rolled back, at most.
    FalseRollback,
    /// Share in which an effect past a margin is promoted to the end, at most, in the world of each such effect.
    Miss,
    /// Requests that the candidate serves before the rollout ends, on average, at most, in the world of each such effect.
    ExposedRequests,
    /// Days until a candidate as good as stable serves everybody, at most.
    Days,
}

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Power, Self::Promoted, Self::FalseRollback, Self::Miss, Self::ExposedRequests, Self::Days];

    /// As written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::Promoted => "promoted",
            Self::FalseRollback => "false_rollback",
            Self::Miss => "miss",
            Self::ExposedRequests => "exposed_requests",
            Self::Days => "days",
        }
    }

    /// Whether it may not be smaller than the bound; all others may not be larger.
    #[must_use]
    pub fn at_least(self) -> bool {
        matches!(self, Self::Power | Self::Promoted)
    }

    /// `>=` or `<=`.
    #[must_use]
    pub fn operator(self) -> &'static str {
        if self.at_least() { ">=" } else { "<=" }
    }

    /// Whether the bound is a share, between 0 and 1.
    #[must_use]
    pub fn is_share(self) -> bool {
        !matches!(self, Self::ExposedRequests | Self::Days)
    }
}

/// A bound on one quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// As typed.
    pub typed: String,
    /// What it is about.
    pub of: Quantity,
    /// A share, a number of requests or of days.
    pub bound: f64,
}

impl Limit {
    /// Whether a value keeps it.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        if self.of.at_least() { value >= self.bound } else { value <= self.bound }
    }
}
