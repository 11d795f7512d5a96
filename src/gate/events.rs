//! Gates that count events: exact tests, `MaxSPRT` and e-processes.
//!
//! Against stable the number of events is taken as given, and asked is into which arm they fell: under the margin each falls into the
//! candidate's with a known share, because assignment is random. Against a limit the candidate's events are held against how many its
//! units or requests may have. Of a rare metric the events are units with one, and the share is the stage's exposure; requests of a
//! proportion are divided by the design effect first, and rounded so that evidence is never more than there is.

use super::lens::Lens;
use super::question::{Against, Arms, Asker, Question};
use super::score;
use crate::domain::gate::{Spending, Test};
use crate::domain::metric::Margin;
use crate::simulate::Split;
use crate::simulate::layout::Answers;
use crate::simulate::trajectory::Arm;
use crate::stats::alternative::Alternative;
use crate::stats::anytime::labels::BinomialMaxSprt;
use crate::stats::anytime::poisson::MaxSprt;
use crate::stats::anytime::{self, labels, poisson};
use crate::stats::boundary::counts::CountBoundary;
use crate::stats::cluster::UnitSums;
use crate::stats::proportion::exact;

/// How one question is watched through a stage; fixed before any replicate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Watch {
    /// One exact test at the stage's end; the p-value is compared with all others of the gate.
    Once,
    /// An exact boundary that spends `alpha` over the events, of which so many are planned.
    Spend {
        /// This question's share of the gate's error.
        alpha: f64,
        /// How it is spent.
        spending: Spending,
        /// Events expected at the stage's end: of both arms against stable, of the candidate at its limit.
        planned: f64,
    },
    /// A maximised sequential probability ratio test.
    MaxSprt {
        /// What its statistic must reach; infinite where no number of events is enough.
        critical: f64,
        /// Events, as planned above, after which nothing more is watched.
        horizon: f64,
    },
    /// A mixture e-process, tightest at so many events.
    EProcess {
        /// The level it is tuned for.
        alpha: f64,
        /// Events expected at the stage's end.
        planned: f64,
    },
}

/// Events of an arm, and what they are out of: units, or effective requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Count {
    /// Units or requests with an event.
    pub events: f64,
    /// All units or requests.
    pub trials: f64,
}

/// What both arms show about a question. No count is rounded yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    /// The candidate's arm.
    pub candidate: Count,
    /// Stable's arm; `None` against a limit.
    pub stable: Option<Count>,
    /// The candidate's share of exposure.
    pub share: f64,
}

/// The counts of a question; `None` where an arm has nothing at all.
#[must_use]
pub fn counts(asker: &Asker<'_>, question: Question, lens: Lens, arms: &impl Arms, split: Split) -> Option<Counts> {
    let metric = asker.gate.metric;
    let sums = arms.sums(Arm::Candidate, lens.answers, question.slice, metric, None).affine(lens.shift, lens.scale);
    sums.ratio()?;
    let others = match question.against {
        Against::Stable { .. } => Some(arms.sums(Arm::Stable, Answers::Stable, question.slice, metric, None)),
        Against::Limit(_) | Against::Distance { .. } => None,
    };
    if let Some(others) = &others {
        others.ratio()?;
    }
    if asker.rare {
        let plain = |sums: &UnitSums| Count { events: sums.y, trials: sums.x };
        return Some(Counts { candidate: plain(&sums), stable: others.as_ref().map(plain), share: split.of_both() });
    }
    let dispersion = others.iter().chain([&sums]).map(score::dispersion).fold(1.0, f64::max);
    let divided =
        |sums: &UnitSums| Count { events: sums.y.clamp(0.0, sums.x) / dispersion, trials: sums.x / dispersion };
    let (candidate, stable) = (divided(&sums), others.as_ref().map(divided));
    let share = stable.map_or(split.exposure, |stable| candidate.trials / (candidate.trials + stable.trials));
    Some(Counts { candidate, stable, share })
}

/// The candidate's share of events if its rate is worse than stable's by a relative margin, and it has this share of both arms.
#[must_use]
pub fn share_at(margin: Margin, of_both: f64) -> f64 {
    // Absolute margins of such gates are zero.
    let ratio = if let Margin::Relative(share) = margin { 1.0 + share } else { 1.0 };
    of_both * ratio / (of_both * ratio + 1.0 - of_both)
}

/// A question being watched through the looks of a stage.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    boundary: Option<CountBoundary>,
    /// Events, or expected events, of the looks so far.
    seen: f64,
}

impl Watched {
    pub(super) fn new(watch: Watch) -> Self {
        let boundary = match watch {
            Watch::Spend { alpha, spending, .. } => Some(CountBoundary::new(alpha, spending)),
            _ => None,
        };
        Self { boundary, seen: 0.0 }
    }

    /// The p-value of the failing side at a look; 0 or 1 where a boundary holds the question's share of the error.
    pub(super) fn p_fail(&mut self, watch: Watch, question: Question, counts: &Counts, last: bool) -> f64 {
        match (question.against, counts.stable) {
            (Against::Stable { harm, .. }, Some(stable)) => {
                let (mine, theirs) = (floor(counts.candidate.events), ceil(stable.events));
                self.p_of_labels(watch, (mine, mine + theirs), share_at(harm, counts.share), last)
            }
            (Against::Limit(limit), _) => {
                let (events, trials) = (floor(counts.candidate.events), ceil(counts.candidate.trials));
                self.p_of_counts(watch, (events, trials), limit, last)
            }
            (Against::Stable { .. }, None) | (Against::Distance { .. }, _) => 1.0,
        }
    }

    fn p_of_labels(&mut self, watch: Watch, (mine, total): (f64, f64), share: f64, last: bool) -> f64 {
        match watch {
            Watch::Once => exact::test(mine as u64, total as u64, share, Alternative::Greater),
            Watch::Spend { planned, .. } => {
                let new = (total - self.seen).max(0.0);
                self.seen = self.seen.max(total);
                let fraction = if last { 1.0 } else { total / planned };
                self.crossed(mine, |boundary| boundary.binomial_look(new as u64, share, fraction))
            }
            Watch::MaxSprt { critical, horizon } => {
                let test = BinomialMaxSprt { horizon: horizon as u64, share };
                crossed(critical.is_finite() && test.signals(mine, total, share, critical))
            }
            Watch::EProcess { alpha, planned } => {
                labels::log_e_value(mine, total, share, planned, alpha).map_or(1.0, anytime::p_value)
            }
        }
    }

    fn p_of_counts(&mut self, watch: Watch, (events, trials): (f64, f64), limit: f64, last: bool) -> f64 {
        let expected = limit * trials;
        match watch {
            Watch::Once => exact::test(events as u64, trials as u64, limit, Alternative::Greater),
            Watch::Spend { planned, .. } => {
                let new = (expected - self.seen).max(0.0);
                self.seen = self.seen.max(expected);
                let fraction = if last { 1.0 } else { expected / planned };
                self.crossed(events, |boundary| boundary.poisson_look(new, fraction))
            }
            Watch::MaxSprt { critical, horizon } => {
                crossed(critical.is_finite() && MaxSprt { horizon, min_events: 1 }.signals(events, expected, critical))
            }
            Watch::EProcess { alpha, planned } => {
                poisson::log_e_value(events, expected, planned, alpha).map_or(1.0, anytime::p_value)
            }
        }
    }

    fn crossed(&mut self, events: f64, look: impl FnOnce(&mut CountBoundary) -> u64) -> f64 {
        crossed(self.boundary.as_mut().is_some_and(|boundary| events >= look(boundary) as f64))
    }
}

/// Counts are whole up to the rounding of sums.
const ROUNDING: f64 = 1e-6;

fn floor(count: f64) -> f64 {
    (count + ROUNDING).floor()
}

fn ceil(count: f64) -> f64 {
    (count - ROUNDING).ceil()
}

fn crossed(yes: bool) -> f64 {
    if yes { 0.0 } else { 1.0 }
}

/// The exact p-value of the passing side: how likely so few events are if the regression is exactly at the margin.
#[must_use]
pub fn p_pass(question: Question, counts: &Counts) -> f64 {
    match (question.against, counts.stable) {
        (Against::Stable { allow, .. }, Some(stable)) => {
            let (mine, theirs) = (ceil(counts.candidate.events), floor(stable.events));
            let share = share_at(allow, counts.share);
            exact::test(mine as u64, (mine + theirs) as u64, share, Alternative::Less)
        }
        (Against::Limit(limit), _) => {
            let trials = floor(counts.candidate.trials);
            let events = ceil(counts.candidate.events).min(trials);
            exact::test(events as u64, trials as u64, limit, Alternative::Less)
        }
        (Against::Stable { .. }, None) | (Against::Distance { .. }, _) => 1.0,
    }
}

/// Whether what a test once showed stays shown: it holds at all looks together.
pub(super) fn stays(test: Test) -> bool {
    matches!(test, Test::ConfidenceSequence | Test::MaxSprt | Test::EProcess)
}
