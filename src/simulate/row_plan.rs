//! What a row adds to the sums of one slice: which numbers, of which running totals, and where.
//!
//! Many answers share numbers: denominators are mostly the same few. So totals are kept of *series*, each once, and an answer says
//! which two of them are its numerator and denominator.

use super::Simulator;
use super::cells::FlatMetric;
use super::columns::{Cut, Input};
use super::kernel::BUNDLE;
use super::layout::{MOMENTS, Shape};
use crate::domain::version::Version;

/// Series that every slice has first.
pub(super) const REQUESTS: usize = 0;
pub(super) const COVERED: usize = 1;

/// Whose answers sums are of, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    Stable,
    Candidate,
    Effects,
}

impl Block {
    pub(super) const ALL: [Self; 3] = [Self::Stable, Self::Candidate, Self::Effects];
}

/// One metric under one version's answers or an effect's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) metric: usize,
    pub(super) block: Block,
    /// The stream, and the slot of the window from which on it holds; negative where it set in before.
    pub(super) effect: Option<(usize, i64)>,
    /// Series of its numerator and its denominator; a quantile metric has no numerator.
    pub(super) y: Option<usize>,
    pub(super) x: usize,
    /// Where a row has what it adds to Y, X, YY, YX and XX; of a quantile metric, to X and XX.
    pub(super) columns: [usize; MOMENTS],
    /// Where its intervals begin within the block.
    pub(super) first_interval: usize,
    /// Number of its intervals.
    pub(super) intervals: usize,
    /// Which of a unit's states is its own: of a rare metric what is known of the unit, of a quantile metric where its ladder is.
    pub(super) state: usize,
}

/// A number of each row, of which a unit has a running total.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Series {
    pub(super) column: u32,
    /// That of the other version.
    exchanged: u32,
    /// Another column, from a slot of the window on.
    pub(super) then: Option<(u32, i64)>,
    /// The answer whose own numerator or denominator it is, where rows have no such number.
    own: Option<(usize, Part)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Y,
    X,
}

/// Rows of the slices of a cut in one window.
#[derive(Default)]
pub(super) struct RowPlan {
    /// Stable's, the candidate's, effects'.
    pub(super) answers: Vec<Answer>,
    /// Those of counts and of stable's answers first.
    pub(super) series: Vec<Series>,
    pub(super) stable_series: usize,
    /// Answers that have a state: of rare and of quantile metrics.
    pub(super) stateful: Vec<usize>,
    /// Products of a numerator and its denominator: both series, and where a row has what it adds.
    pub(super) products: Vec<(usize, usize, usize)>,
    /// Numbers of a row that only counts and stable's answers need, and all.
    pub(super) stable_width: usize,
    pub(super) width: usize,
    /// Where a row has units, covered requests and requests.
    pub(super) counts: [usize; 3],
    /// For each number of a row: which it is with the two versions exchanged; empty where nobody asks.
    pub(super) exchanged: Vec<usize>,
}

impl RowPlan {
    /// `onsets` are the different slots of the window at which each stream sets in.
    pub(super) fn new(sim: &Simulator, cut: &Cut, onsets: &[Vec<i64>], exchange: bool) -> Self {
        let mut rows = Self::default();
        for count in [Input::Requests, Input::Covered] {
            let column = cut.column(count);
            rows.series.push(Series { column, exchanged: column, then: None, own: None });
        }
        let plan = &sim.layout.plans[cut.slices[0]];
        for block in [Block::Stable, Block::Candidate] {
            plan.metrics.iter().for_each(|&(metric, _)| rows.answer(sim, cut, metric, block, None));
            if block == Block::Stable {
                rows.stable_series = rows.series.len();
            }
        }
        for &(stream, _) in &plan.streams {
            let metric = sim.layout.stream_metrics[stream];
            onsets[stream].iter().for_each(|&at| rows.answer(sim, cut, metric, Block::Effects, Some((stream, at))));
        }
        rows.lay_out(exchange);
        rows
    }

    /// Intervals of a block.
    pub(super) fn intervals_of(&self, block: Block) -> usize {
        self.answers.iter().filter(|answer| answer.block == block).map(|answer| answer.intervals).sum()
    }

    fn answer(&mut self, sim: &Simulator, cut: &Cut, metric: usize, block: Block, effect: Option<(usize, i64)>) {
        let intervals = match &sim.layout.shapes[metric] {
            Shape::Moments => 0,
            Shape::Grid(grid) => grid.len(),
        };
        let first_interval = self.intervals_of(block);
        let index = self.answers.len();
        let (own, other) = match block {
            Block::Candidate => (Version::Candidate, Version::Stable),
            Block::Stable | Block::Effects => (Version::Stable, Version::Candidate),
        };
        let grows = effect.is_some_and(|(stream, _)| sim.effects[stream].ramp > 0);
        let series = |before: Input, exchanged: Input, then: Option<(Input, i64)>| {
            let (column, exchanged) = (cut.column(before), cut.column(exchanged));
            let then = then.map(|(input, onset)| (cut.column(input), onset)).filter(|&(then, _)| then != column);
            Series { column, exchanged, then, own: None }
        };
        let x = |changed: Option<(Input, i64)>| series(Input::X(metric, own), Input::X(metric, other), changed);
        let (y, x) = match (&sim.cells.metrics[metric], effect) {
            (FlatMetric::Sums(_), None) => {
                (Some(series(Input::Y(metric, own), Input::Y(metric, other), None)), x(None))
            }
            (FlatMetric::Sums(_), Some((stream, onset))) => {
                let grown = Some((Input::ShownY(stream, true), onset));
                let y = series(Input::ShownY(stream, false), Input::Y(metric, other), grown);
                let own = grows.then_some((index, Part::Y));
                (Some(Series { own, ..y }), x(Some((Input::ShownX(stream), onset))))
            }
            (FlatMetric::Firsts(_), _) => {
                // Their numbers depend on when the window began.
                let of = |part: Part| Series { column: 0, exchanged: 0, then: None, own: Some((index, part)) };
                (Some(of(Part::Y)), of(Part::X))
            }
            (FlatMetric::Bins(_), _) => (None, x(None)),
        };
        let (y, x) = (y.map(|y| self.keep(y)), self.keep(x));
        let (columns, state) = ([0; MOMENTS], self.stateful.len());
        if !matches!(sim.cells.metrics[metric], FlatMetric::Sums(_)) {
            self.stateful.push(index);
        }
        self.answers.push(Answer { metric, block, effect, y, x, columns, first_interval, intervals, state });
    }

    /// The place of a series, new or the same as one that is there.
    fn keep(&mut self, series: Series) -> usize {
        let known = self.series.iter().position(|other| *other == series);
        known.unwrap_or_else(|| {
            self.series.push(series);
            self.series.len() - 1
        })
    }

    /// Numbers of a row: of counts and stable's answers first; each series and its squares, then units, then products.
    fn lay_out(&mut self, exchange: bool) {
        let (stable, all) = (self.stable_series, self.series.len());
        let products = |wanted: bool| {
            let of_part = self.answers.iter().filter(|answer| (answer.block == Block::Stable) == wanted);
            of_part.filter(|answer| answer.y.is_some()).count()
        };
        let units = 2 * stable;
        self.stable_width = (units + 1 + products(true)).next_multiple_of(BUNDLE);
        let rest = self.stable_width + 2 * (all - stable);
        self.width = (rest + products(false)).next_multiple_of(BUNDLE);
        let number = |series: usize| if series < stable { series } else { self.stable_width + series - stable };
        let square = |series: usize| number(series) + if series < stable { stable } else { all - stable };
        self.counts = [units, number(COVERED), number(REQUESTS)];
        let (mut next_stable, mut next) = (units + 1, rest);
        for answer in &mut self.answers {
            let y = answer.y.unwrap_or(answer.x);
            answer.columns = [number(y), number(answer.x), square(y), 0, square(answer.x)];
            if answer.y.is_some() {
                let next = if answer.block == Block::Stable { &mut next_stable } else { &mut next };
                answer.columns[3] = *next;
                self.products.push((y, answer.x, *next));
                *next += 1;
            }
        }
        if exchange {
            self.exchanged.extend(0..self.width);
            let of = |block: Block| self.answers.iter().filter(move |answer| answer.block == block);
            for (own, other) in of(Block::Stable).zip(of(Block::Candidate)) {
                for (one, two) in own.columns.into_iter().zip(other.columns) {
                    (self.exchanged[one], self.exchanged[two]) = (two, one);
                }
            }
        }
    }
}

impl Answer {
    pub(super) fn version(&self) -> Version {
        if self.block == Block::Candidate { Version::Candidate } else { Version::Stable }
    }
}
