//! What both arms' sums were at every look of one replicate.

use super::grid::GridPlace;
use super::layout::{Answers, COUNTS, Layout, Shape};
use crate::stats::cluster::UnitSums;

/// Sums at every look of every stage, in order. Sums restart at each stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    /// Per look: counts and stable's answers over both arms together.
    pub(super) all: Vec<f64>,
    /// Per look: counts, stable's, the candidate's and effects' answers over the candidate's arm.
    pub(super) arm: Vec<f64>,
    /// Per look: units that the candidate has served since the rollout began.
    pub exposed_units: Vec<f64>,
}

/// An arm of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    /// Units that stable serves.
    Stable,
    /// Units that the candidate serves.
    Candidate,
}

/// Units and requests of an arm in a slice.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counts {
    /// Units with a covered request since the stage began.
    pub units: f64,
    /// Covered requests.
    pub covered: f64,
    /// All requests.
    pub requests: f64,
}

/// Which evidence: the sums at a look, less those at an earlier look of the stage for a trailing window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Index over all looks of all stages.
    pub look: usize,
    /// The earlier look.
    pub since: Option<usize>,
}

/// Reads a trajectory by meaning.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// Where the sums are.
    pub layout: &'a Layout,
    /// The sums.
    pub trajectory: &'a Trajectory,
}

impl Reader<'_> {
    /// Units and requests of an arm in a slice.
    #[must_use]
    pub fn counts(&self, span: Span, arm: Arm, slice: usize) -> Counts {
        let at = |place: usize, since: bool| self.value(span, arm, slice, place, since);
        // Units of a trailing window are not a difference of cumulative counts: they stay those of the stage.
        Counts { units: at(0, false), covered: at(1, true), requests: at(2, true) }
    }

    /// Sums of a metric in an arm, had its units got these answers. Stable's arm always gets stable's.
    ///
    /// Quantile metrics are asked at a `place` of their grid. A trailing window has sums of first order only.
    #[must_use]
    pub fn sums(
        &self,
        span: Span,
        arm: Arm,
        answers: Answers,
        slice: usize,
        metric: usize,
        place: Option<GridPlace>,
    ) -> UnitSums {
        let base = self.base(slice, answers, metric);
        match &self.layout.shapes[metric] {
            Shape::Moments => self.moments(span, arm, slice, [base, base + 1, base + 2, base + 3, base + 4]),
            Shape::Grid(grid) => {
                let place = place.expect("quantile metrics are asked at a place of their grid");
                let at = |index: usize| {
                    let y = base + 2 + 3 * index;
                    self.moments(span, arm, slice, [y, base, y + 1, y + 2, base + 1])
                };
                let below = at(place.index);
                if place.part <= 0.0 || place.index + 1 >= grid.len() {
                    return below;
                }
                below.towards(&at(place.index + 1), place.part)
            }
        }
    }

    /// Numerator and denominator alone of a metric that is not a quantile, at a small part of the cost of all sums.
    #[must_use]
    pub fn first_order(
        &self,
        span: Span,
        arm: Arm,
        answers: Answers,
        slice: usize,
        metric: usize,
    ) -> Option<(f64, f64)> {
        if !matches!(self.layout.shapes[metric], Shape::Moments) {
            return None;
        }
        let base = self.base(slice, answers, metric);
        Some((self.value(span, arm, slice, base, true), self.value(span, arm, slice, base + 1, true)))
    }

    fn base(&self, slice: usize, answers: Answers, metric: usize) -> usize {
        let plan = &self.layout.plans[slice];
        let find = |places: &[(usize, usize)], wanted: usize| {
            places
                .iter()
                .find(|(index, _)| *index == wanted)
                .map(|(_, at)| *at)
                .expect("the layout keeps what gates ask for")
        };
        match answers {
            Answers::Stable => find(&plan.metrics, metric),
            Answers::Candidate => find(&plan.metrics, metric) + plan.answers_width,
            Answers::Effect(stream) => find(&plan.streams, stream),
        }
    }

    fn moments(&self, span: Span, arm: Arm, slice: usize, places: [usize; 5]) -> UnitSums {
        let [y, x, yy, yx, xx] = places.map(|place| self.value(span, arm, slice, place, true));
        // Stable's arm is what is left of all traffic.
        let all = |place: usize| if arm == Arm::Stable { self.all(span.look, slice, place) } else { 0.0 };
        let taken_from = (all(places[2]), all(places[4]));
        UnitSums { units: self.value(span, arm, slice, 0, false), y, x, yy, yx, xx, taken_from }
    }

    fn value(&self, span: Span, arm: Arm, slice: usize, place: usize, windowed: bool) -> f64 {
        let now = self.at(span.look, arm, slice, place);
        match span.since {
            Some(since) if windowed => now - self.at(since, arm, slice, place),
            _ => now,
        }
    }

    fn at(&self, look: usize, arm: Arm, slice: usize, place: usize) -> f64 {
        let plan = &self.layout.plans[slice];
        let candidate = self.trajectory.arm[look * self.layout.arm_width + plan.arm_at + place];
        match arm {
            Arm::Candidate => candidate,
            Arm::Stable => {
                debug_assert!(place < COUNTS + plan.answers_width, "stable's arm gets stable's answers");
                self.all(look, slice, place) - candidate
            }
        }
    }

    /// Over both arms together.
    fn all(&self, look: usize, slice: usize, place: usize) -> f64 {
        self.trajectory.all[look * self.layout.all_width + self.layout.plans[slice].all_at + place]
    }
}
