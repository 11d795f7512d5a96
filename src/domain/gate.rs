//! Rules from evidence to verdict, and what is done with a verdict.

use super::metric::Margin;
use super::quantity::{Probability, Seconds};
use super::rollout::Stage;
use crate::stats::kayenta::MetricConfig;
use crate::stats::rare;

/// How a group-sequential gate spends its error over the information of a stage.
///
/// # Formula
/// With `a` the total and `t` the information fraction:
/// * `ObrienFleming`: `2 P(Z > z_(a/2) / sqrt(t))`
/// * `Pocock`: `a ln(1 + (e - 1) t)`
/// * `Power(rho)`: `a t^rho`, `rho > 0`
/// * `HwangShihDeCani(gamma)`: `a (1 - e^(-gamma t)) / (1 - e^(-gamma))`, any finite `gamma`; 0 is `a t`
///
/// # Source
/// K. K. G. Lan, D. L. DeMets (1983), Biometrika 70, 659-663; K. Kim, D. L. DeMets (1987), Biometrika 74, 149-154;
/// I. K. Hwang, W. J. Shih, J. S. De Cani (1990), Stat. Med. 9, 1439-1445.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spending {
    /// Lan and `DeMets`, like O'Brien and Fleming: almost nothing early.
    ObrienFleming,
    /// Lan and `DeMets`, like Pocock: close to even boundaries; early looks can decide.
    Pocock,
    /// Kim and `DeMets`: a power of the fraction.
    Power(f64),
    /// Hwang, Shih and De Cani: early for positive parameters, late for negative ones.
    HwangShihDeCani(f64),
}

/// How a gate weighs the evidence at a look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Test {
    /// The bare estimate against the threshold.
    Point,
    /// One-sided normal interval at every look, by the delta method on per-unit sums.
    Fixed,
    /// Asymptotic confidence sequence: valid at all looks together.
    ConfidenceSequence,
    /// Fails past a boundary that spends alpha on the planned information of the stage's looks; passes by a fixed test at its end.
    GroupSequential(Spending),
    /// Exact conditional binomial test of events, or binomial test against a limit; at many looks it spends alpha over the events.
    Exact(Spending),
    /// Maximised sequential probability ratio test of events: valid at all looks together.
    MaxSprt,
    /// Mixture e-process of events: valid at all looks together.
    EProcess,
    /// Rank test on one point per look and arm, as if points were independent; with [`Gate::kayenta`] Kayenta's judge.
    MannWhitney,
    /// Cumulative sum of what each look adds, for a change during the stage.
    Cusum(Cusum),
    /// How fast the candidate's arm spends an error budget, by [`Gate::burn`].
    BurnRate,
    /// Prompts whose answers are known, asked at every look.
    Sentinel(Sentinel),
}

impl Test {
    /// Whether it counts events in place of estimating a difference.
    #[must_use]
    pub fn counts_events(self) -> bool {
        matches!(self, Self::Exact(_) | Self::MaxSprt | Self::EProcess)
    }

    /// Whether closed forms know its error rates and power.
    #[must_use]
    pub fn is_planned(self) -> bool {
        !matches!(self, Self::MannWhitney | Self::Cusum(_) | Self::BurnRate | Self::Sentinel(_))
    }

    /// Whether alpha says how often it fails.
    #[must_use]
    pub fn has_alpha(self) -> bool {
        !matches!(self, Self::Point | Self::Cusum(_) | Self::BurnRate | Self::Sentinel(_))
    }

    /// As written in scenarios.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Point => "point",
            Self::Fixed => "fixed",
            Self::ConfidenceSequence => "confidence-sequence",
            Self::GroupSequential(_) => "group-sequential",
            Self::Exact(_) => "exact",
            Self::MaxSprt => "max-sprt",
            Self::EProcess => "e-process",
            Self::MannWhitney => "mann-whitney",
            Self::Cusum(_) => "cusum",
            Self::BurnRate => "burn-rate",
            Self::Sentinel(_) => "sentinel",
        }
    }
}

/// How far two distributions lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Kolmogorov and Smirnov: the largest difference of the shares above an edge between bins.
    Ks,
    /// The population stability index of the bins.
    Psi,
    /// The maximum mean discrepancy of embeddings: how far their mean features lie apart.
    Mmd,
}

impl Measure {
    /// As printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ks => "KS",
            Self::Psi => "PSI",
            Self::Mmd => "MMD",
        }
    }
}

/// How a cumulative sum is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cusum {
    /// Time from one false alarm to the next, on average, if the regression is exactly at the failing margin all the time.
    pub run_length: Seconds,
    /// What is taken off each look's standardised difference: half of the shift that is found fastest.
    pub reference: f64,
}

/// Prompts whose answers are known, asked of the candidate at every look, whatever its traffic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sentinel {
    /// How many at each look.
    pub prompts: u32,
    /// Chance that one fails though the candidate is good.
    pub flake_rate: f64,
    /// Chance that one fails if the candidate is worse than the gate accepts.
    pub detect: f64,
    /// How many may fail at a look.
    pub allow_failures: u32,
}

impl Sentinel {
    /// The chance that a look fails.
    #[must_use]
    pub fn fails(&self, bad: bool) -> f64 {
        let rate = if bad { self.detect } else { self.flake_rate };
        1.0 - rare::acceptance(u64::from(self.prompts), u64::from(self.allow_failures), rate)
    }

    /// The chance that one of so many looks fails though the candidate is good.
    #[must_use]
    pub fn false_alarm(&self, looks: usize) -> f64 {
        -(looks as f64 * (-self.fails(false)).ln_1p()).exp_m1()
    }
}

/// An error budget, and when it is spent too fast.
#[derive(Debug, Clone, PartialEq)]
pub struct Burn {
    /// Share of requests that must be good, in (0, 1).
    pub slo: f64,
    /// Over which time the budget is meant.
    pub period: Seconds,
    /// Any of them fails.
    pub pairs: Vec<BurnPair>,
}

/// A long window and a short one that must both burn above a factor: the long one is the evidence, the short one says that it goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BurnPair {
    /// Of the rate that spends the budget in exactly its period.
    pub factor: f64,
    /// The long window.
    pub long: Seconds,
    /// The short window.
    pub short: Seconds,
}

impl Burn {
    /// Share of requests that may be bad.
    #[must_use]
    pub fn budget(&self) -> f64 {
        1.0 - self.slo
    }
}

/// At how much information a confidence sequence is tightest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tuning {
    /// What the log plans for the stage's end.
    Planned,
    /// As `GrowthBook`: 5,000 units.
    GrowthBook,
    /// As Eppo: 10,000 units.
    Eppo,
    /// As the mixture sequential probability ratio test: a mixing variance of `z²` times the planned variance.
    Msprt,
    /// This many units, of both arms together.
    Units(f64),
}

/// How a confidence sequence is shaped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sequence {
    /// Where it is tightest.
    pub tuning: Tuning,
    /// Whether alpha is spent in both directions.
    pub two_sided: bool,
}

/// Where the standard error of a contrast comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// From what was observed: no event, no variance.
    Wald,
    /// From what is most likely if the regression is exactly at the margin: shares on counts divided by the design effect, other sums never less
    /// variable than as many of stable's requests.
    Score,
}

/// Which evidence a look sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Everything since the stage began.
    Stage,
    /// The last so many seconds of the stage.
    Trailing(Seconds),
}

/// At which looks a gate speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// At every look.
    All,
    /// At the stage's end only.
    End,
}

/// How long a gate must fail before it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// At so many of so many looks, the present one among them.
    Looks {
        /// How many must fail; at least 1.
        failing: usize,
        /// Of how many; at least as many.
        of: usize,
    },
    /// At every look for so long.
    Lasting(Seconds),
}

impl Patience {
    /// Acts at once.
    pub const NONE: Self = Self::Looks { failing: 1, of: 1 };

    /// How many of how many looks must fail where looks are so far apart.
    #[must_use]
    pub fn looks(self, look_every: Seconds) -> (usize, usize) {
        match self {
            Self::Looks { failing, of } => (failing, of),
            Self::Lasting(time) => {
                // The first failing look begins the time, the last one ends it.
                let looks = time.steps(look_every) + 1;
                (looks, looks)
            }
        }
    }
}

/// How the error of one gate is shared by its slices (overall and segments).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// Holm (1979).
    Holm,
    /// Every slice at an equal share of alpha.
    Bonferroni,
    /// Every slice at the full alpha.
    None,
    /// Half for all requests, half for the segments together.
    Hierarchy,
}

/// What is done about a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// Goes on.
    Promote,
    /// Stops where it is and waits for a person.
    Hold,
    /// Everyone back to stable.
    RollBack,
}

/// What a gate waits for at the end of a stage, instead of letting the rollout go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waits {
    /// A verdict.
    pub inconclusive: bool,
    /// Data.
    pub no_data: bool,
}

impl Waits {
    /// Whether it may wait at all.
    #[must_use]
    pub fn any(self) -> bool {
        self.inconclusive || self.no_data
    }

    /// Whether it waits for another verdict than this.
    #[must_use]
    pub fn on(self, verdict: Verdict) -> bool {
        match verdict {
            // A failure acts by itself.
            Verdict::Pass | Verdict::Fail => false,
            Verdict::Inconclusive => self.inconclusive,
            Verdict::NoData => self.no_data,
        }
    }
}

/// What the evidence shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No worse than allowed.
    Pass,
    /// Worse than allowed.
    Fail,
    /// Neither is shown.
    Inconclusive,
    /// Too little data to ask.
    NoData,
}

/// A gate that Kayenta's judge classifies. The score of all such gates decides, not the gate.
#[derive(Debug, Clone, PartialEq)]
pub struct KayentaMetric {
    /// Groups of the score it counts in.
    pub groups: Vec<String>,
    /// How it is classified.
    pub config: MetricConfig,
    /// Classified and reported, but left out of the score.
    pub muted: bool,
}

/// A gate of the scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Printed and referred to by name.
    pub name: String,
    /// Index into the scenario's metrics.
    pub metric: usize,
    /// Accepted regression against stable.
    pub allow: Option<Margin>,
    /// Where the failing side begins, if not at `allow`.
    pub harm: Option<Margin>,
    /// Bound on the candidate itself; beside [`Gate::measure`] on its distance from stable.
    pub limit: Option<f64>,
    /// Of a metric of kind `drift`: the distance that is bounded.
    pub measure: Option<Measure>,
    /// `allow` and `limit` as the user wrote them, for reports: "1%", "limit 0.001", "1% and limit 0.001".
    pub allow_text: String,
    /// How the evidence is weighed.
    pub test: Test,
    /// Shape of a confidence sequence.
    pub sequence: Sequence,
    /// Where its standard error comes from.
    pub style: Style,
    /// What stable answered to the candidate's requests is taken out of their values.
    pub covariate: bool,
    /// Of style `kayenta`.
    pub kayenta: Option<KayentaMetric>,
    /// Of test `burn-rate`.
    pub burn: Option<Burn>,
    /// One-sided error rate of `pass` at the margin, and of `fail` at the margin in each stage.
    pub alpha: Probability,
    /// How a group-sequential gate spends alpha on passing; without it, it passes by one test at the stage's end.
    pub pass_spending: Option<Spending>,
    /// The gate's share of a release-level budget of false rollbacks, relative to the other gates'.
    pub weight: f64,
    /// Target of planning.
    pub power: Probability,
    /// Indices into the scenario's segment columns: asked in each of their values too.
    pub by: Vec<usize>,
    /// How alpha is shared by the slices.
    pub correction: Correction,
    /// Which evidence a look sees.
    pub window: Window,
    /// At which looks the gate speaks.
    pub looks: Looks,
    /// Units with data per arm before the gate may speak.
    pub min_units: f64,
    /// Requests with data per arm before the gate may speak.
    pub min_requests: f64,
    /// How long it must fail.
    pub patience: Patience,
    /// What a failure does: `RollBack` or `Hold`.
    pub on_fail: Decision,
    /// What an inconclusive end of stage does.
    pub on_inconclusive: Decision,
    /// What a look without data does: `Hold` waits.
    pub on_no_data: Decision,
}

impl Gate {
    /// The test, for reports: `kayenta` for its judge.
    #[must_use]
    pub fn test_name(&self) -> &'static str {
        if self.kayenta.is_some() { "kayenta" } else { self.test.name() }
    }

    /// Whether closed forms know its error rates and power.
    #[must_use]
    pub fn is_planned(&self) -> bool {
        self.test.is_planned() && self.measure.is_none()
    }

    /// Whether a stage leaves the gate anything to ask: nobody is left to compare with at 100 %.
    #[must_use]
    pub fn asked_in(&self, stage: &Stage) -> bool {
        if let Some(paired) = &stage.paired {
            return paired.gates.contains(&self.name);
        }
        let alone = (self.limit.is_some() && self.measure.is_none()) || matches!(self.test, Test::Sentinel(_));
        stage.looks() > 0 && (stage.has_control() || alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_in_time_spans_its_looks() {
        let quarter = Seconds(900);
        assert_eq!(Patience::NONE.looks(quarter), (1, 1));
        assert_eq!(Patience::Looks { failing: 3, of: 5 }.looks(quarter), (3, 5));
        assert_eq!(
            Patience::Lasting(Seconds(1800)).looks(quarter),
            (3, 3),
            "a look, one after 15 and one after 30 minutes"
        );
        assert_eq!(Patience::Lasting(Seconds(600)).looks(quarter), (2, 2));
        assert_eq!(Patience::Lasting(Seconds(0)).looks(quarter), (1, 1));
    }
}
