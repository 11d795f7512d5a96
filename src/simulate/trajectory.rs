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
    /// Per look, where units may be taken back: those that have asked since the rollout began.
    pub active_units: Vec<f64>,
    /// Per look, where sessions draw: requests of those that began on the candidate, to their last.
    pub begun_requests: Vec<f64>,
}

impl Trajectory {
    pub(super) fn empty(layout: &Layout, looks: usize) -> Self {
        Self {
            all: vec![0.0; layout.all_width * looks],
            arm: vec![0.0; layout.arm_width * looks],
            exposed_units: vec![0.0; looks],
            active_units: vec![0.0; looks],
            begun_requests: vec![0.0; looks],
        }
    }

    /// As long as another, with what was in it: every look writes all that readers read, bar units.
    pub(super) fn renewed(mut self) -> Self {
        self.exposed_units.fill(0.0);
        self.active_units.fill(0.0);
        self.begun_requests.fill(0.0);
        self
    }

    /// All sums of some looks times a factor.
    pub(super) fn scale(&mut self, layout: &Layout, looks: std::ops::Range<usize>, factor: f64) {
        if (factor - 1.0).abs() < 1e-12 {
            return;
        }
        let of = |width: usize| looks.start * width..looks.end * width;
        let sums = self.all[of(layout.all_width)].iter_mut().chain(&mut self.arm[of(layout.arm_width)]);
        sums.for_each(|sum| *sum *= factor);
    }

    /// Whether it is one of so many looks.
    pub(super) fn fits(&self, layout: &Layout, looks: usize) -> bool {
        self.arm.len() == layout.arm_width * looks
    }

    /// Sums over both arms and over the candidate's, at a look.
    pub(super) fn at(&mut self, layout: &Layout, look: usize) -> (&mut [f64], &mut [f64]) {
        let of = |width: usize| look * width..(look + 1) * width;
        (&mut self.all[of(layout.all_width)], &mut self.arm[of(layout.arm_width)])
    }
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

/// Where sums of an arm in a slice are, had its units got certain answers to a metric that is not a quantile.
#[derive(Debug, Clone, Copy)]
pub struct MomentsPlace {
    arm: Arm,
    slice: usize,
    units: usize,
    covered: usize,
    first: usize,
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
    /// Units and requests of an arm in a slice, as far as stable's answers to them are known.
    #[must_use]
    pub fn counts(&self, span: Span, arm: Arm, slice: usize) -> Counts {
        self.counts_of(span, arm, Answers::Stable, slice)
    }

    /// The same, had its units got these answers: in a log in long form the candidate's are known of other requests.
    #[must_use]
    pub fn counts_of(&self, span: Span, arm: Arm, answers: Answers, slice: usize) -> Counts {
        let since = self.since(span, arm, slice);
        let [units, covered] = places_of_counts(arm, answers);
        // Units of a trailing window are not a difference of cumulative counts: they stay those of the stage.
        Counts { units: self.row(span.look, arm, slice).at(units), covered: since(covered), requests: since(2) }
    }

    /// Share of the requests of stable's arm above a threshold of a quantile metric's grid; `None` without requests.
    #[must_use]
    pub fn stable_share_above(&self, span: Span, slice: usize, metric: usize, index: usize) -> Option<f64> {
        let base = self.base(slice, Answers::Stable, metric);
        let since = self.since(span, Arm::Stable, slice);
        let (y, x) = (since(base + 2 + 3 * index), since(base));
        (x > 0.0).then(|| y / x)
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
        let [units, _] = places_of_counts(arm, answers);
        match &self.layout.shapes[metric] {
            Shape::Moments => self.moments(span, arm, units, slice, [base, base + 1, base + 2, base + 3, base + 4]),
            Shape::Grid(grid) => {
                let place = place.expect("quantile metrics are asked at a place of their grid");
                let at = |index: usize| {
                    let y = base + 2 + 3 * index;
                    self.moments(span, arm, units, slice, [y, base, y + 1, y + 2, base + 1])
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
        let since = self.since(span, arm, slice);
        Some((since(base), since(base + 1)))
    }

    /// Where the sums of a metric that is not a quantile are: for all looks to be read.
    #[must_use]
    pub fn place(&self, arm: Arm, answers: Answers, slice: usize, metric: usize) -> MomentsPlace {
        let [units, covered] = places_of_counts(arm, answers);
        MomentsPlace { arm, slice, units, covered, first: self.base(slice, answers, metric) }
    }

    /// What [`Self::sums`] gives at a look for the whole stage, and covered requests.
    #[must_use]
    #[inline]
    pub fn sums_at(&self, look: usize, place: MomentsPlace) -> (UnitSums, f64) {
        let (row, first) = (self.row(look, place.arm, place.slice), place.first);
        (row.moments(place.units, [first, first + 1, first + 2, first + 3, first + 4]), row.at(place.covered))
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

    fn moments(&self, span: Span, arm: Arm, units: usize, slice: usize, places: [usize; 5]) -> UnitSums {
        let now = self.row(span.look, arm, slice).moments(units, places);
        let Some(since) = span.since else { return now };
        let before = self.row(since, arm, slice).moments(units, places);
        UnitSums {
            y: now.y - before.y,
            x: now.x - before.x,
            yy: now.yy - before.yy,
            yx: now.yx - before.yx,
            xx: now.xx - before.xx,
            ..now
        }
    }

    /// A sum of first order by its place in the slice, over the span alone.
    fn since(&self, span: Span, arm: Arm, slice: usize) -> impl Fn(usize) -> f64 {
        let now = self.row(span.look, arm, slice);
        let before = span.since.map(|since| self.row(since, arm, slice));
        move |place: usize| now.at(place) - before.as_ref().map_or(0.0, |before| before.at(place))
    }

    #[inline]
    fn row(&self, look: usize, arm: Arm, slice: usize) -> Row<'_> {
        let (layout, plan) = (self.layout, &self.layout.plans[slice]);
        let candidate = look * layout.arm_width + plan.arm_at;
        let all = look * layout.all_width + plan.all_at;
        let of_all = || &self.trajectory.all[all..all + COUNTS + plan.answers_width];
        Row {
            candidate: &self.trajectory.arm[candidate..candidate + plan.arm_width],
            all: (arm == Arm::Stable).then(of_all),
        }
    }
}

/// Where units and covered requests of some answers are in a slice. Stable's arm always gets stable's.
fn places_of_counts(arm: Arm, answers: Answers) -> [usize; 2] {
    if arm == Arm::Candidate && answers == Answers::Candidate { [3, 4] } else { [0, 1] }
}

/// An arm's sums of one slice at one look.
struct Row<'a> {
    candidate: &'a [f64],
    /// Of stable's arm, which gets stable's answers: the sums over both arms.
    all: Option<&'a [f64]>,
}

impl Row<'_> {
    #[inline]
    fn at(&self, place: usize) -> f64 {
        self.all.map_or(self.candidate[place], |all| all[place] - self.candidate[place])
    }

    /// Units, and Y, X, YY, YX and XX, at these places.
    #[inline]
    fn moments(&self, units: usize, places: [usize; 5]) -> UnitSums {
        let [y, x, yy, yx, xx] = places;
        UnitSums {
            units: self.at(units),
            y: self.at(y),
            x: self.at(x),
            yy: self.at(yy),
            yx: self.at(yx),
            xx: self.at(xx),
            // Stable's arm is what is left of all traffic.
            taken_from: self.all.map_or((0.0, 0.0), |all| (all[yy], all[xx])),
        }
    }
}
