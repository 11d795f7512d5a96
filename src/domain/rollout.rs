//! The schedule of a rollout.

use std::collections::BTreeMap;

use super::quantity::{Fraction, Moment, Probability, Seconds};
use crate::stats::kayenta::Thresholds;

/// One exposure level and how long it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Printed and referred to by name.
    pub name: String,
    /// Fraction of units sent to the candidate.
    pub exposure: Fraction,
    /// How long the stage lasts; zero only for a last stage at 100 %.
    pub duration: Seconds,
    /// Time between looks; divides the duration.
    pub look_every: Seconds,
}

impl Stage {
    /// Number of looks of this stage.
    #[must_use]
    pub fn looks(&self) -> usize {
        usize::try_from(self.duration.0 / self.look_every.0).expect("durations are not negative")
    }

    /// At 100 % nobody is left to compare with.
    #[must_use]
    pub fn has_control(&self) -> bool {
        self.exposure.get() < 1.0
    }
}

/// When every gate allows the next stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promotion {
    /// Every gate passes.
    AllPass,
    /// No gate fails.
    NoFail,
}

/// When rollouts start.
#[derive(Debug, Clone, PartialEq)]
pub enum Starts {
    /// Any whole hour whose schedule fits in the log.
    AnyHour,
    /// Each of these, wherever its schedule fits in the log.
    Listed(Vec<StartTime>),
}

/// A start as written in the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTime {
    /// Every week: days since Monday, seconds since midnight, in the log's display time zone.
    Weekly {
        /// 0 is Monday.
        day: i8,
        /// Since midnight.
        time: Seconds,
    },
    /// Once.
    At(Moment),
}

/// How a release-level budget of false rollbacks is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// By weights over the gates that roll back and the stages that ask them: a union bound.
    Split,
    /// By weights over gates; a group-sequential gate spends its share once, over the information of all stages together.
    Rollout,
    /// As `Split`, with all shares raised or lowered by one factor, found on replicates of its own.
    Calibrated,
}

impl Budget {
    /// As written in scenarios.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Rollout => "rollout",
            Self::Calibrated => "calibrated",
        }
    }
}

/// How the gates that Kayenta's judge classifies decide together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Kayenta {
    /// Thresholds of the score.
    pub thresholds: Thresholds,
    /// Weight of a group in per cent; groups without one share what is left.
    pub weights: BTreeMap<String, f64>,
    /// Time between the judge's runs: a multiple of every stage's time between looks. `None` runs at every look.
    pub interval: Option<Seconds>,
}

/// Rules of the rollout that belong to no single gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// What promotion needs.
    pub promote: Promotion,
    /// Under `AllPass`: the first stage whose end needs every gate to pass; before it, no gate may fail.
    pub pass_from: usize,
    /// When rollouts start.
    pub start: Starts,
    /// Release-level budget of false rollbacks.
    pub false_rollback: Option<Probability>,
    /// How it is kept.
    pub budget: Budget,
    /// Of gates of style `kayenta`.
    pub kayenta: Kayenta,
}
