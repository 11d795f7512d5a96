//! Which looks of a stage could fail, from a few numbers per look that gates, margins and lenses share.
//!
//! Most looks are far from their boundary. A look fails only where the estimate lies beyond the margin by more standard errors than its
//! boundary asks for, and no style knows a smaller variance than what the arms show. What an arm shows is computed once for all lenses,
//! which scale and shift it. The looks that are left are asked in full: the screen is wrong on that side only.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use super::lens::Lens;
use super::question::{Against, Arms, Asker, LookArms, Question, Terms};
use super::stage::StagePlace;
use crate::domain::gate::Window;
use crate::simulate::grid::{Grid, GridPlace};
use crate::simulate::layout::{Answers, Shape};
use crate::simulate::trajectory::{Arm, Reader, Span};
use crate::stats::cluster::UnitSums;

/// Looks that are screened together.
const TOGETHER: usize = 16;

/// Estimates of a look in full and on the screen differ by less than this part of their terms.
const ROUNDING: f64 = 1e-12;

/// Of a variance's terms: what is surely more than the share below which [`UnitSums::ratio_variance`] takes them for rounding errors.
const NOISE: f64 = 1e-11;

/// A replicate, and what its looks showed of the arms so far.
pub struct Screen<'a> {
    /// The replicate.
    pub reader: Reader<'a>,
    sides: RefCell<BTreeMap<Key, Rc<Side>>>,
}

/// A stage by its first look, a slice, a metric, an arm and whose answers it got.
type Key = (usize, usize, usize, bool, usize);

/// One arm at each look of a stage.
#[derive(Debug, Default)]
struct Side {
    /// Its value; not a number where there is none. Of stable's quantile the share above the threshold, of the candidate's nothing.
    ratio: Vec<f64>,
    /// At most the variance of that value.
    variance: Vec<f64>,
    /// How much less the variance may be after a shift, per square of the shift.
    rounding: Vec<f64>,
    /// What its requests are worth in units of equal weight; zero where there is no value.
    effective_units: Vec<f64>,
    /// Its units and covered requests.
    units: Vec<f64>,
    covered: Vec<f64>,
    /// Of stable's quantile: the threshold nearest to it.
    thresholds: Vec<usize>,
}

impl Side {
    /// Room for so many looks.
    fn of_looks(looks: usize) -> Self {
        let room = || Vec::with_capacity(looks);
        Self {
            ratio: room(),
            variance: room(),
            rounding: room(),
            effective_units: room(),
            units: room(),
            covered: room(),
            thresholds: Vec::new(),
        }
    }

    fn push(&mut self, sums: &UnitSums, covered: f64) {
        self.units.push(sums.units);
        self.covered.push(covered);
        let Some(ratio) = sums.ratio() else {
            self.ratio.push(f64::NAN);
            self.variance.push(0.0);
            self.rounding.push(0.0);
            self.effective_units.push(0.0);
            return;
        };
        self.ratio.push(ratio);
        self.variance.push(least_variance(sums, ratio));
        self.rounding.push(noise(sums, sums.xx));
        self.effective_units.push(sums.effective_units());
    }
}

/// At most the variance of a ratio that is known.
fn least_variance(sums: &UnitSums, ratio: f64) -> f64 {
    (sums.ratio_variance().unwrap_or(0.0) - noise(sums, sums.yy + ratio * ratio * sums.xx)).max(0.0)
}

/// At least what rounding makes of terms of the variance.
fn noise(sums: &UnitSums, terms: f64) -> f64 {
    let units = if sums.units > 1.0 { sums.units / (sums.units - 1.0) } else { 1.0 };
    NOISE * units * terms / (sums.x * sums.x)
}

fn key(place: StagePlace, slice: usize, metric: usize, arm: Arm, answers: Answers) -> Key {
    let answers = match answers {
        Answers::Stable => 0,
        Answers::Candidate => 1,
        Answers::Effect(stream) => 2 + stream,
    };
    (place.first_look, slice, metric, arm == Arm::Candidate, answers)
}

impl<'a> Screen<'a> {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(reader: Reader<'a>) -> Self {
        Self { reader, sides: RefCell::default() }
    }

    fn side(&self, asker: &Asker<'_>, slice: usize, arm: Arm, answers: Answers, place: StagePlace) -> Rc<Side> {
        let metric = asker.gate.metric;
        let key = key(place, slice, metric, arm, answers);
        if let Some(side) = self.sides.borrow().get(&key) {
            return Rc::clone(side);
        }
        match &self.reader.layout.shapes[metric] {
            Shape::Moments => self.read(metric, place),
            Shape::Grid(_) => {
                let side = self.side_of_quantile(asker, slice, arm, answers, place);
                self.sides.borrow_mut().insert(key, Rc::new(side));
            }
        }
        Rc::clone(&self.sides.borrow()[&key])
    }

    fn side_of_quantile(&self, asker: &Asker<'_>, slice: usize, arm: Arm, answers: Answers, place: StagePlace) -> Side {
        let mut side = Side::of_looks(place.plan.looks());
        for look in 0..place.plan.looks() {
            let arms = LookArms { reader: self.reader, span: place.span(look, Window::Stage) };
            let index = match arm {
                Arm::Stable => {
                    let threshold = asker.quantile_threshold(slice, &arms).unwrap_or(0);
                    side.thresholds.push(threshold);
                    threshold
                }
                Arm::Candidate => 0,
            };
            let at = Some(GridPlace { index, part: 0.0 });
            let covered = self.reader.counts_of(arms.span, arm, answers, slice).covered;
            side.push(&self.reader.sums(arms.span, arm, answers, slice, asker.gate.metric, at), covered);
        }
        side
    }

    /// Takes all sides of a metric that is not a quantile in a stage at once: what a look holds lies together, looks lie far apart.
    fn read(&self, metric: usize, place: StagePlace) {
        let mut asked = Vec::new();
        for (slice, answers) in self.reader.layout.kept(metric) {
            asked.push((slice, Arm::Candidate, answers));
            if answers == Answers::Stable {
                asked.push((slice, Arm::Stable, answers));
            }
        }
        let mut sides: Vec<_> = asked
            .iter()
            .map(|&(slice, arm, answers)| {
                (self.reader.place(arm, answers, slice, metric), Side::of_looks(place.plan.looks()))
            })
            .collect();
        for look in 0..place.plan.looks() {
            let Span { look, .. } = place.span(look, Window::Stage);
            for (place, side) in &mut sides {
                let (sums, covered) = self.reader.sums_at(look, *place);
                side.push(&sums, covered);
            }
        }
        let keys = asked.into_iter().map(|(slice, arm, answers)| key(place, slice, metric, arm, answers));
        self.sides.borrow_mut().extend(keys.zip(sides.into_iter().map(|(_, side)| Rc::new(side))));
    }

    /// What a question's arms show in a stage under a lens.
    pub(super) fn sides<'s>(
        &'s self,
        asker: &'s Asker<'s>,
        question: Question,
        lens: Lens,
        place: StagePlace,
    ) -> Sides<'s> {
        let terms = asker.terms(question, lens);
        let side = |arm: Arm, answers: Answers| self.side(asker, question.slice, arm, answers, place);
        let stable = matches!(question.against, Against::Stable { .. }).then(|| side(Arm::Stable, Answers::Stable));
        Sides {
            candidate: side(Arm::Candidate, terms.answers),
            counted: side(Arm::Candidate, lens.answers),
            stable,
            terms,
            screen: self,
            asker,
            question,
            lens,
            place,
        }
    }
}

/// Both arms of one question under one lens, at each look of a stage.
pub(super) struct Sides<'s> {
    candidate: Rc<Side>,
    /// The candidate's as the lens shows it, with whatever a covariate takes out.
    counted: Rc<Side>,
    /// None against a limit.
    stable: Option<Rc<Side>>,
    terms: Terms,
    screen: &'s Screen<'s>,
    asker: &'s Asker<'s>,
    question: Question,
    lens: Lens,
    place: StagePlace,
}

impl Sides<'_> {
    /// What the requests of the arm with fewer are worth in units of equal weight at a look.
    pub(super) fn effective_units(&self, look: usize) -> f64 {
        let stable = self.stable.as_ref().map_or(f64::INFINITY, |side| side.effective_units[look]);
        stable.min(self.candidate.effective_units[look])
    }

    /// Whether each arm that is asked has enough units and requests at a look.
    pub(super) fn enough(&self, look: usize) -> bool {
        let gate = self.asker.gate;
        let enough = |side: &Side| side.units[look] >= gate.min_units && side.covered[look] >= gate.min_requests;
        enough(&self.counted) && self.stable.as_deref().is_none_or(enough)
    }

    /// The first of some looks that may exceed its bound and does.
    pub(super) fn first(&self, looks: Range<usize>, bounds: &[f64], exceeds: impl Fn(usize) -> bool) -> Option<usize> {
        match &self.asker.layout.shapes[self.asker.gate.metric] {
            Shape::Moments => self.first_of_moments(looks, bounds, exceeds),
            Shape::Grid(grid) => {
                let mut asked = None;
                looks.clone().find(|&look| self.quantile_may(grid, look, bounds[look], &mut asked) && exceeds(look))
            }
        }
    }

    fn first_of_moments(&self, looks: Range<usize>, bounds: &[f64], exceeds: impl Fn(usize) -> bool) -> Option<usize> {
        for from in looks.clone().step_by(TOGETHER) {
            let together = from..looks.end.min(from + TOGETHER);
            let may = self.terms.may_exceed(&self.candidate, self.stable.as_deref(), bounds, together.clone());
            // Counted first: mostly there is none.
            if may.iter().map(|&may| u32::from(may)).sum::<u32>() > 0
                && let Some(look) = together.zip(may).find(|&(look, may)| may && exceeds(look)).map(|(look, _)| look)
            {
                return Some(look);
            }
        }
        None
    }

    /// Whether the candidate's share above the moved threshold may exceed stable's above its own. `asked` is the last threshold and where it
    /// was moved to.
    fn quantile_may(&self, grid: &Grid, look: usize, bound: f64, asked: &mut Option<(usize, GridPlace)>) -> bool {
        if bound <= 0.0 {
            return true;
        }
        let (threshold, held_against, variance) = match &self.stable {
            Some(stable) => (stable.thresholds[look], stable.ratio[look], stable.variance[look]),
            None => (0, grid.tail, 0.0),
        };
        let place = match *asked {
            Some((same, place)) if same == threshold => place,
            _ => self.asker.moved(grid, self.question, self.lens, threshold),
        };
        *asked = Some((threshold, place));
        let arms = LookArms { reader: self.screen.reader, span: self.place.span(look, Window::Stage) };
        let (slice, metric) = (self.question.slice, self.asker.gate.metric);
        let sums = arms.sums(Arm::Candidate, self.lens.answers, slice, metric, Some(place));
        let Some(share) = sums.ratio() else { return false };
        let difference = self.terms.sign * (share - held_against);
        if difference.is_nan() || difference <= 0.0 {
            return false;
        }
        let [of_candidate, of_stable] = self.terms.variance_weights;
        let least = of_candidate * least_variance(&sums, share) + of_stable * variance;
        difference * difference > bound * bound * least * (1.0 - ROUNDING)
    }
}

impl Terms {
    /// Whether each of a few looks may exceed its bound.
    fn may_exceed(
        &self,
        candidate: &Side,
        stable: Option<&Side>,
        bounds: &[f64],
        looks: Range<usize>,
    ) -> [bool; TOGETHER] {
        let Self { sign, scale, shift, factor, offset, variance_weights: [of_candidate, of_stable], .. } = *self;
        let part = |values: &[f64], otherwise: f64| {
            let mut part = [otherwise; TOGETHER];
            part[..looks.len()].copy_from_slice(&values[looks.clone()]);
            part
        };
        let (ratio, variance) = (part(&candidate.ratio, 0.0), part(&candidate.variance, 0.0));
        let rounding = part(&candidate.rounding, 0.0);
        let of = |values: fn(&Side) -> &[f64]| stable.map_or([0.0; TOGETHER], |side| part(values(side), 0.0));
        let (stable_ratio, stable_variance) = (of(|side| &side.ratio), of(|side| &side.variance));
        // What is not asked exceeds nothing.
        let bounds = part(bounds, f64::INFINITY);
        std::array::from_fn(|look| {
            let (shown, held_against) = (scale * ratio[look], factor * stable_ratio[look]);
            let size = shown.abs() + shift.abs() + held_against.abs() + offset.abs();
            let difference = sign * (shown + shift - held_against) - offset + ROUNDING * size;
            let own = scale * scale * variance[look] - shift * shift * rounding[look];
            let own = if own > 0.0 { own } else { 0.0 };
            let least = (of_candidate * own + of_stable * stable_variance[look]) * (1.0 - ROUNDING);
            let (bound, beyond) = (bounds[look], difference * difference);
            // Without a value in an arm no comparison holds.
            bound <= 0.0 || (difference > 0.0 && beyond > bound * bound * least)
        })
    }
}
