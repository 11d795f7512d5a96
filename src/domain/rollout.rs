//! The schedule of a rollout.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::gate::{Decision, Gate};
use super::quantity::{Fraction, Moment, Probability, Seconds};
use crate::stats::kayenta::Thresholds;

/// Who the candidate is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Everyone else.
    Rest,
    /// As many others.
    Matched,
}

impl Control {
    /// As written in scenarios.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Matched => "matched",
        }
    }

    /// Share of units in stable's arm while this share is in the candidate's.
    #[must_use]
    pub fn share(self, exposure: f64) -> f64 {
        match self {
            Self::Rest => 1.0 - exposure,
            // Past half, what is left is all there is.
            Self::Matched => exposure.min(1.0 - exposure),
        }
    }
}

/// How long a unit keeps its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sticky {
    /// Through the whole rollout: raising exposure only ever adds units.
    Unit,
    /// Through a stage: each stage draws everyone anew.
    Stage,
    /// Through a session, which draws when it begins.
    Session,
    /// Not at all: every request draws.
    Request,
    /// One way: every request on stable draws, and who once has the candidate keeps it.
    Cookie,
}

impl Sticky {
    /// As written in scenarios.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Stage => "stage",
            Self::Session => "session",
            Self::Request => "request",
            Self::Cookie => "cookie",
        }
    }

    /// Whether a unit on the candidate may be on stable later: whom it has served is then more than whom it serves.
    #[must_use]
    pub fn redraws(self) -> bool {
        !matches!(self, Self::Unit | Self::Cookie)
    }
}

/// Exposure by the value of a segment column.
#[derive(Debug, Clone, PartialEq)]
pub struct PerSegment {
    /// Index of the column.
    pub column: usize,
    /// Values with an exposure of their own.
    pub values: Vec<(String, Fraction)>,
    /// Of all others.
    pub default: Fraction,
}

/// More parts than this a census cannot weigh.
const MOST_PARTS: u8 = u8::MAX;

impl PerSegment {
    /// The exposure of a value of the column.
    #[must_use]
    pub fn of(&self, value: &str) -> Fraction {
        self.values.iter().find(|(known, _)| known == value).map_or(self.default, |(_, share)| *share)
    }

    /// The largest share of which all exposures are whole multiples; `None` where that takes too many parts.
    #[must_use]
    pub fn common_part(&self) -> Option<f64> {
        let shares = || self.values.iter().map(|(_, share)| share.get()).chain([self.default.get()]);
        let largest = shares().fold(0.0, f64::max);
        let whole = |part: f64| shares().all(|share| ((share / part).round() - share / part).abs() < 1e-6);
        (1..=MOST_PARTS).map(|parts| largest / f64::from(parts)).find(|&part| whole(part))
    }
}

/// A stage that exposes nobody: both versions answer the same requests, and gates ask once, at its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Paired {
    /// Whose requests.
    pub source: PairSource,
    /// Names of the gates that are asked.
    pub gates: Vec<String>,
}

/// Where requests with the answers of both versions come from.
#[derive(Debug, Clone, PartialEq)]
pub enum PairSource {
    /// A golden set, in files of its own.
    Golden(PathBuf),
    /// Traffic that is mirrored for as long as the stage lasts.
    Mirror,
}

impl PairSource {
    /// The kind of the stage, as written in scenarios.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Golden(_) => "eval",
            Self::Mirror => "shadow",
        }
    }
}

/// One exposure level and how long it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Printed and referred to by name.
    pub name: String,
    /// Fraction of units sent to the candidate; of several the largest.
    pub exposure: Fraction,
    /// Exposures by segment, where it is not the same everywhere.
    pub per_segment: Option<PerSegment>,
    /// Who: values of segment columns, by index; nobody is left out by an empty list.
    pub only: Vec<(usize, Vec<String>)>,
    /// Who the candidate is compared with.
    pub control: Control,
    /// Of a stage that exposes nobody.
    pub paired: Option<Paired>,
    /// How long the stage lasts; zero only for a last stage at 100 %, or a golden set that takes no time.
    pub duration: Seconds,
    /// Time between looks; divides the duration.
    pub look_every: Seconds,
    /// Time before gates look.
    pub settle: Seconds,
    /// Whether a person has to let the rollout go on from here.
    pub approved: bool,
    /// When it may begin; `None` for at any time.
    pub start: Option<Hours>,
}

impl Stage {
    /// Number of looks of this stage.
    #[must_use]
    pub fn looks(&self) -> usize {
        usize::try_from(self.duration.0 / self.look_every.0).expect("durations are not negative")
    }

    /// Looks at which gates do not speak yet; at the last one they do.
    #[must_use]
    pub fn quiet_looks(&self) -> usize {
        self.settle.steps(self.look_every).saturating_sub(1)
    }

    /// Looks at which they do.
    #[must_use]
    pub fn loud_looks(&self) -> usize {
        self.looks() - self.quiet_looks().min(self.looks())
    }

    /// At 100 % nobody is left to compare with, and without exposure there is nobody to compare.
    #[must_use]
    pub fn has_control(&self) -> bool {
        self.paired.is_none() && self.exposure.get() < 1.0
    }

    /// Whether who is meant depends on segments.
    #[must_use]
    pub fn asks_who(&self) -> bool {
        !self.only.is_empty() || self.per_segment.is_some()
    }

    /// Columns that say who is meant.
    pub fn columns(&self) -> impl Iterator<Item = usize> {
        self.only.iter().map(|(column, _)| *column).chain(self.per_segment.iter().map(|shares| shares.column))
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

/// How long something takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delay {
    /// The same each time.
    Fixed(Seconds),
    /// Log-normal: drawn anew for each replicate.
    Lognormal {
        /// Half of all times are shorter.
        median: Seconds,
        /// Nine of ten are shorter.
        p90: Seconds,
    },
}

impl Delay {
    /// Nothing.
    pub const NONE: Self = Self::Fixed(Seconds(0));

    /// One of a hundred times is longer.
    const Z_P99: f64 = 2.326_347_874_040_841;

    /// The longest of a hundred times.
    #[must_use]
    pub fn longest(self) -> Seconds {
        self.at(Self::Z_P99)
    }

    /// Upper tenth of the normal distribution.
    const Z_P90: f64 = 1.281_551_565_544_600_4;

    /// The time at a standard normal deviate, in whole seconds.
    #[must_use]
    pub fn at(self, deviate: f64) -> Seconds {
        match self {
            Self::Fixed(seconds) => seconds,
            Self::Lognormal { median, p90 } => {
                let spread = (p90.0 as f64 / median.0 as f64).ln() / Self::Z_P90;
                // Ten thousand years are as good as any longer time.
                Seconds((median.0 as f64 * (spread * deviate).exp()).round().min(3e11) as i64)
            }
        }
    }
}

/// When somebody is there to decide, in local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// From Monday on.
    pub days: [bool; 7],
    /// Since midnight.
    pub from: Seconds,
    /// Since midnight, later.
    pub to: Seconds,
}

/// How long a person takes to answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// Working time from the question to the answer.
    pub delay: Delay,
    /// When time counts as working time; `None` for always.
    pub hours: Option<Hours>,
}

impl Answer {
    /// At once.
    pub const AT_ONCE: Self = Self { delay: Delay::NONE, hours: None };
}

/// How a person comes to a rollout that a gate has paused, looks at its gates again, and resumes it or rolls it back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resume {
    /// How long that takes.
    pub answer: Answer,
    /// For how long all pauses of a stage together may last; a pause that would last longer leaves the rollout stalled.
    pub max_pause: Seconds,
}

/// From a failing look until everyone is back on stable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recovery {
    /// Until the decision to roll back.
    pub diagnose: Delay,
    /// From there until it has been carried out.
    pub mitigate: Delay,
}

impl Recovery {
    /// Whether it takes any time.
    #[must_use]
    pub fn takes_time(self) -> bool {
        self.diagnose != Delay::NONE || self.mitigate != Delay::NONE
    }
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
    /// How long a stage may go on past its duration while a gate has no verdict that lets the rollout go on.
    pub max_hold: Seconds,
    /// How long a person takes to let a rollout go on.
    pub approval: Answer,
    /// How a rollout goes on that a gate pauses; `None` leaves it stalled.
    pub resume: Option<Resume>,
    /// What a rollback takes.
    pub recovery: Recovery,
    /// Of gates of style `kayenta`.
    pub kayenta: Kayenta,
}

impl Rollout {
    /// Whether a failure of a gate may send everyone back to stable: at once, or when a person comes to a pause.
    #[must_use]
    pub fn rolls_back(&self, gate: &Gate) -> bool {
        gate.on_fail == Decision::RollBack || self.resume.is_some()
    }

    /// Whether every gate must have passed for a stage, by index, to be left.
    #[must_use]
    pub fn needs_pass(&self, stage: usize) -> bool {
        self.promote == Promotion::AllPass && stage >= self.pass_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_has_its_median_and_its_ninetieth_percentile() {
        let delay = Delay::Lognormal { median: Seconds(600), p90: Seconds(3600) };
        assert_eq!(delay.at(0.0), Seconds(600));
        assert_eq!(delay.at(1.281_551_565_544_600_4), Seconds(3600));
        assert_eq!(delay.at(-1.281_551_565_544_600_4), Seconds(100));
        assert_eq!(Delay::Fixed(Seconds(60)).at(3.0), Seconds(60));
        assert!(delay.at(40.0).0 <= 300_000_000_000, "a time that is no number of seconds");
    }
}
