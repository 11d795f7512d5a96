//! One question of a gate: is the candidate worse than allowed, in one slice, against stable or against a limit?

use super::distance;
use super::lens::Lens;
use super::score;
use crate::domain::gate::{Gate, Measure, Style};
use crate::domain::metric::{Direction, Margin};
use crate::domain::quantity::Seconds;
use crate::scenario::Scenario;
use crate::simulate::Split;
use crate::simulate::grid::{Grid, GridPlace};
use crate::simulate::layout::{Adjustment, Answers, Layout, Shape};
use crate::simulate::trajectory::{Arm, Reader, Span};
use crate::stats::cluster::UnitSums;
use crate::stats::{mean, normal, student_t};

/// What the candidate is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Against {
    /// Stable in the same window: the margin that may not be exceeded to pass, and the one that must be exceeded to fail.
    Stable {
        /// Passes below this regression.
        allow: Margin,
        /// Fails above this regression.
        harm: Margin,
    },
    /// A bound on the candidate itself.
    Limit(f64),
    /// A bound on the distance of the candidate's distribution from stable's in the same window.
    Distance {
        /// What is measured.
        measure: Measure,
        /// The bound.
        limit: f64,
    },
}

impl Against {
    /// Whether stable's arm is asked, too.
    #[must_use]
    pub fn compares(self) -> bool {
        !matches!(self, Self::Limit(_))
    }
}

/// One question of a gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question {
    /// Slice of the layout.
    pub slice: usize,
    /// What the candidate is held against.
    pub against: Against,
}

/// A regression beyond a margin, oriented so that larger is worse, with its variance over units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contrast {
    /// `sign * (candidate - factor * stable) - offset`.
    pub difference: f64,
    /// `None` with fewer than two units in an arm.
    pub variance: Option<f64>,
    /// Degrees of freedom of the variance, on effective units: a few heavy ones are most of it. Not a number without one.
    pub df: f64,
    /// What the requests of the arm with fewer are worth in units of equal weight.
    pub effective_units: f64,
    /// Of a squared length, which is not normal: the difference in standard errors, as the normal deviate with the same tail.
    pub deviate: Option<f64>,
}

impl Contrast {
    /// The difference in standard errors, as the normal deviate with the same tail: few units know their variance badly.
    ///
    /// `None` without a positive variance.
    #[must_use]
    pub fn z(&self) -> Option<f64> {
        Some(student_t::normal_equivalent(self.standardised()?, self.df))
    }

    fn standardised(&self) -> Option<f64> {
        let variance = self.variance.filter(|&variance| variance > 0.0)?;
        Some(self.deviate.unwrap_or_else(|| self.difference / variance.sqrt()))
    }

    /// Whether that deviate lies above a bound; `None` without a positive variance.
    #[must_use]
    pub fn exceeds(&self, bound: f64) -> Option<bool> {
        let t = self.standardised()?;
        // The deviate is nearer to zero, so most need not be known.
        Some((t > bound || bound < 0.0) && student_t::normal_equivalent(t, self.df) > bound)
    }

    /// The other way round: by how much less than the margin.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { difference: -self.difference, deviate: self.deviate.map(|deviate| -deviate), ..self }
    }
}

/// What a window shows about a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Beyond the margin that may not be exceeded to pass.
    pub pass: Contrast,
    /// Beyond the margin that must be exceeded to fail.
    pub fail: Contrast,
}

/// The questions of a gate: overall first, then every segment value; a gate with `allow` and `limit` asks both.
#[must_use]
pub fn questions(gate: &Gate, layout: &Layout) -> Vec<Question> {
    let against_stable = gate.allow.map(|allow| Against::Stable { allow, harm: gate.harm.unwrap_or(allow) });
    let against_limit = gate.limit.map(|limit| match gate.measure {
        Some(measure) => Against::Distance { measure, limit },
        None => Against::Limit(limit),
    });
    let slices = layout.slices_of(&gate.by);
    let ask = |against: Against| slices.iter().map(move |&slice| Question { slice, against });
    against_stable.into_iter().chain(against_limit).flat_map(ask).collect()
}

/// What a question holds against each other: `sign * (scale * candidate + shift - factor * stable) - offset`. Against a limit the offset holds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Whose answers the candidate's arm is taken to have got.
    pub(super) answers: Answers,
    pub(super) scale: f64,
    pub(super) shift: f64,
    pub(super) factor: f64,
    pub(super) offset: f64,
    pub(super) sign: f64,
    /// The variance is at least so many times that of the candidate's values and of stable's.
    pub(super) variance_weights: [f64; 2],
}

/// Where evidence about a question comes from.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The gate.
    pub gate: &'a Gate,
    /// Which way its metric improves.
    pub better: Direction,
    /// Its metric is a share of requests.
    is_share: bool,
    /// Where sums are.
    pub layout: &'a Layout,
    /// Normal quantile of the gate's alpha.
    pub z_alpha: f64,
    /// Whether a unit of its metric counts once.
    pub rare: bool,
    /// How long its metric's judgements take.
    pub delay: Seconds,
    /// What is taken out of the candidate's values.
    adjustment: Option<Adjustment>,
}

/// Both arms' sums about a question; `tail` is what a quantile's exceedance is held against.
pub trait Arms {
    /// Sums of an arm at a place of a quantile's grid.
    fn sums(&self, arm: Arm, answers: Answers, slice: usize, metric: usize, place: Option<GridPlace>) -> UnitSums;

    /// Share of the requests of stable's arm that lie above a threshold of a quantile's grid.
    fn stable_share_above(&self, slice: usize, metric: usize, index: usize) -> Option<f64> {
        self.sums(Arm::Stable, Answers::Stable, slice, metric, Some(GridPlace { index, part: 0.0 })).ratio()
    }
}

/// Arms of a replicate at a look.
pub struct LookArms<'a> {
    /// The replicate.
    pub reader: Reader<'a>,
    /// The window.
    pub span: Span,
}

impl Arms for LookArms<'_> {
    fn sums(&self, arm: Arm, answers: Answers, slice: usize, metric: usize, place: Option<GridPlace>) -> UnitSums {
        self.reader.sums(self.span, arm, answers, slice, metric, place)
    }

    fn stable_share_above(&self, slice: usize, metric: usize, index: usize) -> Option<f64> {
        self.reader.stable_share_above(self.span, slice, metric, index)
    }
}

/// Arms that a census expects of a split.
pub struct ExpectedArms<'a> {
    /// Everybody's sums.
    pub reader: Reader<'a>,
    /// The window.
    pub span: Span,
    /// How units are divided between the arms.
    pub split: Split,
}

impl ExpectedArms<'_> {
    /// Units and covered requests of an arm in a slice.
    #[must_use]
    pub fn counts(&self, arm: Arm, slice: usize) -> (f64, f64) {
        let (held, share) = match arm {
            _ if self.split.drifts => (arm, 1.0),
            Arm::Candidate => (Arm::Candidate, self.split.exposure),
            Arm::Stable => (Arm::Candidate, self.split.stable()),
        };
        let counts = self.reader.counts(self.span, held, slice);
        (counts.units * share, counts.covered * share)
    }
}

impl Arms for ExpectedArms<'_> {
    fn sums(&self, arm: Arm, answers: Answers, slice: usize, metric: usize, place: Option<GridPlace>) -> UnitSums {
        if self.split.drifts {
            return self.reader.sums(self.span, arm, answers, slice, metric, place);
        }
        let everybody = self.reader.sums(self.span, Arm::Candidate, answers, slice, metric, place);
        everybody.thinned(if arm == Arm::Candidate { self.split.exposure } else { self.split.stable() })
    }
}

/// Arms in which everybody is counted twice, once under each version: what is true of the whole log.
pub struct WholeArms<'a> {
    /// Everybody's sums.
    pub reader: Reader<'a>,
    /// The window.
    pub span: Span,
}

impl Arms for WholeArms<'_> {
    fn sums(&self, _: Arm, answers: Answers, slice: usize, metric: usize, place: Option<GridPlace>) -> UnitSums {
        self.reader.sums(self.span, Arm::Candidate, answers, slice, metric, place)
    }
}

impl<'a> Asker<'a> {
    /// The asker of a gate.
    #[must_use]
    pub fn new(gate: &'a Gate, scenario: &Scenario, layout: &'a Layout) -> Self {
        let z_alpha = normal::upper_quantile(gate.alpha.get());
        let metric = &scenario.metrics[gate.metric];
        let (is_share, rare) = (metric.kind.is_share(), metric.kind.is_rare());
        let adjustment = layout.adjustments[gate.metric].filter(|_| gate.covariate);
        Self { gate, better: metric.better, is_share, layout, z_alpha, rare, delay: metric.judge.delay, adjustment }
    }

    /// What the arms show about a question; `None` where an arm has no value at all.
    #[must_use]
    pub fn evidence(&self, question: Question, lens: Lens, arms: &impl Arms) -> Option<Evidence> {
        match question.against {
            Against::Stable { allow, harm } => {
                let pass = self.against_stable(question.slice, lens, allow, arms)?;
                let fail = if harm == allow { pass } else { self.against_stable(question.slice, lens, harm, arms)? };
                Some(Evidence { pass, fail })
            }
            Against::Limit(limit) => {
                let contrast = self.against_limit(question.slice, lens, limit, arms)?;
                Some(Evidence { pass: contrast, fail: contrast })
            }
            Against::Distance { measure, limit } => {
                let fail = distance::beyond(self, question.slice, lens, (measure, limit), arms)?;
                // Nothing is nearer than at no distance, however near chance brings the arms.
                let nearest = fail.deviate.filter(|_| limit <= 0.0).map(|_| f64::INFINITY);
                Some(Evidence { pass: Contrast { deviate: nearest.or(fail.deviate), ..fail }, fail })
            }
        }
    }

    /// How many one-sided tests a question's evidence is the strongest of: what it shows counts for so much less.
    #[must_use]
    pub fn tests(&self, question: Question) -> f64 {
        match (question.against, &self.layout.shapes[self.gate.metric]) {
            (Against::Distance { measure: Measure::Ks, .. }, Shape::Grid(grid)) => 2.0 * grid.len() as f64,
            _ => 1.0,
        }
    }

    /// Whether a look could show a regression beyond the failing margin: false only where its estimate surely does not.
    #[must_use]
    pub fn may_exceed(&self, question: Question, lens: Lens, arms: &LookArms<'_>) -> bool {
        if self.adjustment.is_some() {
            return true;
        }
        let ratio = |arm, answers| {
            let (y, x) = arms.reader.first_order(arms.span, arm, answers, question.slice, self.gate.metric)?;
            (x > 0.0).then(|| y / x)
        };
        let candidate = ratio(Arm::Candidate, lens.answers).map(|ratio| lens.scale * ratio + lens.shift);
        let sign = self.better.worse_sign();
        let difference = match question.against {
            Against::Limit(limit) => candidate.map(|candidate| sign * (candidate - limit)),
            Against::Distance { .. } => None,
            Against::Stable { harm, .. } => {
                let (factor, offset) = harm.contrast(self.better);
                let stable = ratio(Arm::Stable, Answers::Stable);
                candidate.zip(stable).map(|(candidate, stable)| sign * (candidate - factor * stable) - offset)
            }
        };
        // Rounding may turn a tiny estimate either way, but no boundary is that near.
        difference.is_none_or(|difference| difference > 0.0)
    }

    fn against_stable(&self, slice: usize, lens: Lens, margin: Margin, arms: &impl Arms) -> Option<Contrast> {
        let metric = self.gate.metric;
        let sign = self.better.worse_sign();
        let (factor, offset) = margin.contrast(self.better);
        match &self.layout.shapes[metric] {
            Shape::Moments => {
                let (candidate, stable, factor) = self.moments(slice, lens, factor, arms);
                let contrast = contrast(&candidate, &stable, sign, factor, offset)?;
                Some(match self.gate.style {
                    Style::Wald => contrast,
                    Style::Score => {
                        let variances = if self.is_share { score::variances_of_shares } else { score::variances };
                        contrast.with(variances(&candidate, &stable, margin, self.better), [&candidate, &stable])
                    }
                })
            }
            Shape::Grid(grid) => {
                // Any threshold t gives a valid question: is the candidate's share above the moved t larger than stable's above t? The
                // one nearest to stable's quantile in this window makes it the question about that quantile.
                let at = self.quantile_threshold(slice, arms)?;
                let place = GridPlace { index: at, part: 0.0 };
                let stable = arms.sums(Arm::Stable, Answers::Stable, slice, metric, Some(place));
                let moved = self.beyond_margin(grid, margin, at);
                let asked = grid.place((moved - lens.shift) / lens.scale);
                let candidate = arms.sums(Arm::Candidate, lens.answers, slice, metric, Some(asked));
                let contrast = contrast(&candidate, &stable, sign, 1.0, 0.0)?;
                Some(match self.gate.style {
                    Style::Wald => contrast,
                    // At the margin both arms have the same share above their thresholds.
                    Style::Score => {
                        let parts = score::variances_of_shares(&candidate, &stable, Margin::Absolute(0.0), self.better);
                        contrast.with(parts, [&candidate, &stable])
                    }
                })
            }
        }
    }

    /// Sums of the candidate's and of stable's arm, and the factor of stable's value.
    fn moments(&self, slice: usize, lens: Lens, factor: f64, arms: &impl Arms) -> (UnitSums, UnitSums, f64) {
        let metric = self.gate.metric;
        let (shown, factor) = self.adjusted(lens, factor);
        let candidate = arms.sums(Arm::Candidate, shown.answers, slice, metric, None).affine(shown.shift, shown.scale);
        (candidate, arms.sums(Arm::Stable, Answers::Stable, slice, metric, None), factor)
    }

    /// How the candidate's values are read, and what stable's are multiplied with.
    ///
    /// With a covariate the candidate's value is `C - slope (S - stable)`, where `S` is what stable answered to the candidate's requests, and
    /// `stable` the value of stable's arm: of that, the factor less the slope is left.
    fn adjusted(&self, lens: Lens, factor: f64) -> (Lens, f64) {
        let Some(Adjustment { slope, level }) = self.adjustment else { return (lens, factor) };
        let adjusted = match self.layout.adjusted(self.gate.metric, lens.answers) {
            // Those are `C - slope (S - level)`.
            Some(answers) => Lens { answers, shift: -slope * level, scale: 1.0, ..lens },
            // Stable's own answers, changed: what is taken out is a share of them.
            None => Lens { answers: Answers::Stable, scale: lens.scale - slope, ..lens },
        };
        (adjusted, factor - slope)
    }

    /// What a question holds against each other under a lens; of a quantile, shares above thresholds.
    pub(super) fn terms(&self, question: Question, lens: Lens) -> Terms {
        let sign = self.better.worse_sign();
        let quantile = matches!(self.layout.shapes[self.gate.metric], Shape::Grid(_));
        let score = self.gate.style == Style::Score;
        let (shown, factor, offset, variance_weights) = match question.against {
            // At the limit a share's variance does not depend on what is shown.
            Against::Limit(limit) => {
                let own = if score && (self.is_share || quantile) { 0.0 } else { 1.0 };
                (lens, 0.0, sign * limit, [own, 0.0])
            }
            Against::Stable { .. } if quantile => (lens, 1.0, 0.0, [1.0, 1.0]),
            Against::Distance { .. } => unreachable!("gates on a distance are not screened"),
            Against::Stable { harm, .. } => {
                let (of_margin, offset) = harm.contrast(self.better);
                let (shown, factor) = self.adjusted(lens, of_margin);
                let weight = if score { of_margin } else { factor };
                (shown, factor, offset, [1.0, weight * weight])
            }
        };
        let Lens { answers, scale, shift, .. } = shown;
        Terms { answers, scale, shift, factor, offset, sign, variance_weights }
    }

    /// Where the candidate of a quantile metric is asked, if stable is at a threshold.
    pub(super) fn moved(&self, grid: &Grid, question: Question, lens: Lens, threshold: usize) -> GridPlace {
        let moved = match question.against {
            Against::Limit(limit) => limit,
            Against::Stable { harm, .. } => self.beyond_margin(grid, harm, threshold),
            Against::Distance { .. } => unreachable!("gates on a distance are not screened"),
        };
        grid.place((moved - lens.shift) / lens.scale)
    }

    /// A threshold, worse by a margin.
    fn beyond_margin(&self, grid: &Grid, margin: Margin, threshold: usize) -> f64 {
        let (factor, offset) = margin.contrast(self.better);
        factor * grid.value(threshold) + self.better.worse_sign() * offset
    }

    /// The same questions without the covariate.
    #[must_use]
    pub fn without_covariate(self) -> Self {
        Self { adjustment: None, ..self }
    }

    fn against_limit(&self, slice: usize, lens: Lens, limit: f64, arms: &impl Arms) -> Option<Contrast> {
        let metric = self.gate.metric;
        let sign = self.better.worse_sign();
        let (candidate, bound) = match &self.layout.shapes[metric] {
            Shape::Moments => {
                (arms.sums(Arm::Candidate, lens.answers, slice, metric, None).affine(lens.shift, lens.scale), limit)
            }
            Shape::Grid(grid) => {
                let asked = grid.place((limit - lens.shift) / lens.scale);
                (arms.sums(Arm::Candidate, lens.answers, slice, metric, Some(asked)), grid.tail)
            }
        };
        let variance = match self.gate.style {
            Style::Score if self.is_share || matches!(self.layout.shapes[metric], Shape::Grid(_)) => {
                score::variance_at_limit(&candidate, bound)
            }
            _ => candidate.ratio_variance(),
        };
        let difference = sign * (candidate.ratio()? - bound);
        let effective_units = candidate.effective_units();
        Some(Contrast { difference, variance, df: effective_units - 1.0, effective_units, deviate: None })
    }

    /// The threshold at which stable's share above is nearest to `1 - p`.
    #[must_use]
    pub fn quantile_threshold(&self, slice: usize, arms: &impl Arms) -> Option<usize> {
        let Shape::Grid(grid) = &self.layout.shapes[self.gate.metric] else { return None };
        let share = |index: usize| arms.stable_share_above(slice, self.gate.metric, index);
        let (mut low, mut high) = grid.quantile_range;
        // The share falls with the threshold: bisect for the last one at or above the tail.
        if share(low)? < grid.tail {
            return Some(low);
        }
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            if share(middle)? >= grid.tail { low = middle } else { high = middle }
        }
        let nearer_low = share(low)? - grid.tail <= grid.tail - share(high)?;
        Some(if nearer_low && share(high)? < grid.tail { low } else { high })
    }
}

/// `sign * (candidate - factor * stable) - offset`; the arms are independent, so variances add.
pub(super) fn contrast(
    candidate: &UnitSums,
    stable: &UnitSums,
    sign: f64,
    factor: f64,
    offset: f64,
) -> Option<Contrast> {
    let difference = sign * (candidate.ratio()? - factor * stable.ratio()?) - offset;
    let parts = candidate.ratio_variance().zip(stable.ratio_variance()).map(|(c, s)| [c, factor * factor * s]);
    let effective_units = candidate.effective_units().min(stable.effective_units());
    let bare = Contrast { difference, variance: None, df: f64::NAN, effective_units, deviate: None };
    Some(bare.with(parts, [candidate, stable]))
}

impl Contrast {
    /// With a variance that is the sum of the arms'.
    pub(super) fn with(self, parts: Option<[f64; 2]>, arms: [&UnitSums; 2]) -> Self {
        let [candidate, stable] = arms.map(UnitSums::effective_units);
        let df = parts.map_or(f64::NAN, |[c, s]| mean::welch_df((c, candidate), (s, stable)));
        Self { variance: parts.map(|[candidate, stable]| candidate + stable), df, ..self }
    }
}
