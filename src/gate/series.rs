//! One point per look of each arm: what a metrics store would show of a stage, and the rank test on it.
//!
//! A point is the metric's value among the requests since the look before, however many they are. The rank test takes points as
//! independent. They are not: traffic has a daily course that both arms share, and users return. The self-check shows what that costs.

use super::lens::Lens;
use super::stage::StagePlace;
use crate::domain::metric::{Direction, Margin};
use crate::simulate::grid::{Grid, GridPlace};
use crate::simulate::layout::{Answers, Shape};
use crate::simulate::trajectory::{Arm, Reader, Span};
use crate::stats::alternative::Alternative;
use crate::stats::rank::{hodges_lehmann, mann_whitney, mann_whitney_exact};

/// With at most so many points in both arms together the p-value is exact.
const EXACT_POINTS: usize = 20;

/// A denominator below this share of the stage's is what rounding left of nothing.
const NOTHING: f64 = 1e-12;

/// The points of both arms in a stage, one per look; NaN where an arm has no value.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Index of the first point's look over all stages.
    first_look: usize,
    stable: Vec<f64>,
    candidate: Vec<f64>,
}

/// Both arms' points in a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Points<'a> {
    /// Of stable's arm.
    pub stable: &'a [f64],
    /// Of the candidate's arm.
    pub candidate: &'a [f64],
}

/// What the rank test says of points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// One-sided, that the candidate is worse by more than the failing margin.
    pub fail: f64,
    /// One-sided, that the candidate is worse by less than the passing margin.
    pub pass: f64,
}

impl Series {
    /// The points of a metric in a slice, as a world shows it.
    #[must_use]
    pub fn of(metric: usize, slice: usize, lens: Lens, reader: Reader<'_>, place: StagePlace) -> Self {
        let series = |arm: Arm, lens: Lens| {
            let source = Source { metric, slice, reader, arm, answers: lens.answers };
            // Rounded before and after, as `oriented` does with stable's: what is equal stays equal.
            let shown = |look: usize| settled(lens.scale * settled(source.point(place, look)) + lens.shift);
            (0..place.plan.looks()).map(shown).collect()
        };
        let (stable, candidate) = (series(Arm::Stable, Lens::NULL), series(Arm::Candidate, lens));
        Self { first_look: place.first_look, stable, candidate }
    }

    /// The points of a window.
    #[must_use]
    pub fn within(&self, span: Span) -> Points<'_> {
        let from = span.since.map_or(0, |since| since + 1 - self.first_look);
        let window = from..=span.look - self.first_look;
        Points { stable: &self.stable[window.clone()], candidate: &self.candidate[window] }
    }
}

impl Points<'_> {
    /// The candidate's points and stable's made worse by a margin, oriented so that larger is worse; none where an arm has none.
    fn oriented(&self, margin: Margin, better: Direction) -> Option<(Vec<f64>, Vec<f64>)> {
        let sign = better.worse_sign();
        let (factor, offset) = margin.contrast(better);
        let known = |points: &[f64], of: &dyn Fn(f64) -> f64| -> Vec<f64> {
            points.iter().filter(|point| !point.is_nan()).map(|&point| of(point)).collect()
        };
        let candidate = known(self.candidate, &|point| settled(sign * point));
        let stable = known(self.stable, &|point| settled(sign * factor * point + offset));
        (!candidate.is_empty() && !stable.is_empty()).then_some((candidate, stable))
    }

    /// The rank test at two margins; `None` where an arm has no points.
    #[must_use]
    pub fn rank(&self, allow: Margin, harm: Margin, better: Direction) -> Option<Ranked> {
        let (candidate, stable) = self.oriented(allow, better)?;
        let pass = p_value(&candidate, &stable, Alternative::Less);
        let (candidate, stable) = if harm == allow { (candidate, stable) } else { self.oriented(harm, better)? };
        Some(Ranked { fail: p_value(&candidate, &stable, Alternative::Greater), pass })
    }

    /// The shift of the candidate's points beyond a margin, by Hodges and Lehmann; larger is worse.
    #[must_use]
    pub fn beyond(&self, margin: Margin, better: Direction) -> Option<f64> {
        let (candidate, stable) = self.oriented(margin, better)?;
        Some(hodges_lehmann(&candidate, &stable))
    }
}

fn p_value(candidate: &[f64], stable: &[f64], alternative: Alternative) -> f64 {
    if candidate.len() + stable.len() <= EXACT_POINTS {
        mann_whitney_exact(candidate, stable, alternative)
    } else {
        mann_whitney(candidate, stable).p_value(alternative)
    }
}

/// Where the points of an arm come from.
struct Source<'a> {
    metric: usize,
    slice: usize,
    reader: Reader<'a>,
    arm: Arm,
    answers: Answers,
}

impl Source<'_> {
    fn point(&self, place: StagePlace, look: usize) -> f64 {
        let span =
            Span { look: place.first_look + look, since: look.checked_sub(1).map(|before| place.first_look + before) };
        match &self.reader.layout.shapes[self.metric] {
            Shape::Moments => self.ratio(span, None),
            Shape::Grid(grid) => quantile(grid, |index| self.ratio(span, Some(GridPlace { index, part: 0.0 }))),
        }
    }

    fn ratio(&self, span: Span, place: Option<GridPlace>) -> f64 {
        let sums = |span: Span| self.reader.sums(span, self.arm, self.answers, self.slice, self.metric, place);
        let (here, stage) = (sums(span), sums(Span { since: None, ..span }));
        if here.x > NOTHING * stage.x { here.y / here.x } else { f64::NAN }
    }
}

/// The value with 33 bits, some ten digits: points are differences of running sums, whose last digits would break ties.
fn settled(value: f64) -> f64 {
    // Veltkamp (1968): adding and taking away a multiple rounds off the lower bits.
    let multiple = f64::from((1 << 20) + 1) * value;
    multiple - (multiple - value)
}

/// The value above which a share of `grid.tail` lies, between thresholds on the scale of logarithms; at an end of the grid where it
/// lies outside. `share` of requests above a threshold falls with the threshold.
fn quantile(grid: &Grid, share: impl Fn(usize) -> f64) -> f64 {
    let (mut low, mut high) = (0, grid.len() - 1);
    let (mut above_low, mut above_high) = (share(low), share(high));
    if above_low.is_nan() {
        return f64::NAN;
    }
    if above_low <= grid.tail {
        return grid.value(low);
    }
    if above_high > grid.tail {
        return grid.value(high);
    }
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        let above = share(middle);
        if above > grid.tail { (low, above_low) = (middle, above) } else { (high, above_high) = (middle, above) }
    }
    let part = (above_low - grid.tail) / (above_low - above_high);
    (grid.value(low).ln() * (1.0 - part) + grid.value(high).ln() * part).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn points<'a>(stable: &'a [f64], candidate: &'a [f64]) -> Points<'a> {
        Points { stable, candidate }
    }

    const NONE: Margin = Margin::Relative(0.0);

    // R 4.2.2: wilcox.test(c(4,5,6,7), c(1,2,3), alternative = "greater") has p = 1/35.
    #[test]
    fn few_points_are_ranked_exactly() {
        let (stable, candidate) = ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]);
        let lower = points(&stable, &candidate).rank(NONE, NONE, Direction::Lower).unwrap();
        assert!((lower.fail - 1.0 / 35.0).abs() < 1e-12 && (lower.pass - 1.0).abs() < 1e-12, "{lower:?}");
        let higher = points(&stable, &candidate).rank(NONE, NONE, Direction::Higher).unwrap();
        assert!((higher.pass - 1.0 / 35.0).abs() < 1e-12, "{higher:?}");
    }

    #[test]
    fn the_margin_moves_stable() {
        let stable: Vec<f64> = (0..40).map(|point| 100.0 + f64::from(point % 7)).collect();
        let slower: Vec<f64> = stable.iter().map(|point| 1.1 * point).collect();
        let of = |margin: f64| {
            let margin = Margin::Relative(margin);
            points(&stable, &slower).rank(margin, margin, Direction::Lower).unwrap()
        };
        assert!(of(0.0).fail < 1e-6 && of(0.0).pass > 0.99);
        // Exactly at the margin neither is shown: the continuity correction pulls both to the middle.
        assert!((of(0.1).fail - of(0.1).pass).abs() < 1e-9 && of(0.1).fail > 0.5);
        assert!(of(0.2).pass < 1e-6 && of(0.2).fail > 0.99);
        let absolute = points(&stable, &slower).beyond(Margin::Absolute(10.0), Direction::Lower).unwrap();
        assert!((absolute - 0.3).abs() < 0.5, "{absolute}");
    }

    #[test]
    fn points_without_a_value_are_left_out() {
        let (stable, candidate) = ([1.0, f64::NAN, 2.0, 3.0], [4.0, 5.0, 6.0, f64::NAN, 7.0]);
        let ranked = points(&stable, &candidate).rank(NONE, NONE, Direction::Lower).unwrap();
        assert!((ranked.fail - 1.0 / 35.0).abs() < 1e-12);
        assert_eq!(points(&stable, &[f64::NAN]).rank(NONE, NONE, Direction::Lower), None);
        assert_eq!(points(&[], &candidate).beyond(NONE, Direction::Lower), None);
    }

    /// At most this many events in 4,000 have a chance above 1 in 10,000 at a rate of 5 %.
    const MOST: usize = 252;

    // Independent points, continuous or with ties, few (exact) or many (normal): the test errs in at most alpha of all cases.
    #[test]
    fn independent_points_err_as_often_as_stated() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        for (points_per_arm, levels) in [(8, None), (8, Some(4.0)), (30, None), (30, Some(4.0))] {
            let mut draw = |shift: f64| -> Vec<f64> {
                let value = |draw: f64| levels.map_or(draw, |levels: f64| (levels * draw).floor()) + shift;
                (0..points_per_arm).map(|_| value(rng.random::<f64>())).collect()
            };
            let (mut alarms, mut wrong_passes, mut wrong_failures) = (0, 0, 0);
            for _ in 0..4000 {
                let (stable, candidate, worse) = (draw(0.0), draw(0.0), draw(1.0));
                let null = points(&stable, &candidate).rank(NONE, NONE, Direction::Lower).unwrap();
                let margin = Margin::Absolute(1.0);
                let at_margin = points(&stable, &worse).rank(margin, margin, Direction::Lower).unwrap();
                alarms += usize::from(null.fail <= 0.05);
                wrong_passes += usize::from(at_margin.pass <= 0.05);
                wrong_failures += usize::from(at_margin.fail <= 0.05);
            }
            for events in [alarms, wrong_passes, wrong_failures] {
                assert!((60..=MOST).contains(&events), "{points_per_arm} {levels:?}: {events} of 4,000");
            }
        }
    }

    #[test]
    fn rounding_breaks_no_ties() {
        let value = 0.1 + 0.2;
        assert!((value - 0.3_f64).abs() > 0.0 && (settled(value) - settled(0.3)).abs() <= 0.0);
        assert!((settled(value) / value - 1.0).abs() < 1.2e-10);
        assert!((settled(settled(value)) - settled(value)).abs() <= 0.0);
        assert!(settled(f64::NAN).is_nan() && settled(0.0).abs() <= 0.0);
    }

    #[test]
    fn a_quantile_lies_between_thresholds() {
        // Thresholds 2^(64/64) to 2^(256/64); shares above them fall by a third each.
        let grid = Grid::of(vec![64, 128, 192, 256], 0.05, (0, 3), Vec::new());
        let at = |shares: [f64; 4]| quantile(&grid, |index| shares[index]);
        assert!((at([0.5, 0.1, 0.0, 0.0]) - 4.0 * 2.0_f64.sqrt()).abs() < 1e-9);
        assert!((at([0.5, 0.1, 0.05, 0.0]) - 8.0).abs() < 1e-9);
        assert!((at([0.01, 0.0, 0.0, 0.0]) - 2.0).abs() < 1e-12);
        assert!((at([0.9, 0.8, 0.7, 0.6]) - 16.0).abs() < 1e-12);
        assert!(at([f64::NAN; 4]).is_nan());
    }
}
