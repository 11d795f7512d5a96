//! Which sums a trajectory holds, and where they are.

use super::embedding::Embedding;
use super::grid::Grid;
use crate::digest::Digest;
use crate::digest::cells::MetricCells;
use crate::domain::gate::Gate;
use crate::domain::metric::MetricKind;
use crate::domain::world::{CURVE_MULTIPLES, Change};
use crate::scenario::Scenario;

/// Units, covered requests and all requests come first in every slice, then units and covered requests of the candidate's answers:
/// in a log in long form these are not those of stable's.
pub(super) const COUNTS: usize = 5;

/// Sums of a metric that is not a quantile: Y, X, YY, YX, XX.
pub(super) const MOMENTS: usize = 5;

/// What traffic a sum is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slice {
    /// All requests.
    Overall,
    /// The requests with one value of a segment column, both by index into the digest.
    Segment {
        /// Index of the column.
        column: usize,
        /// Index of the value.
        value: usize,
    },
}

/// Whose answers an arm's units got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Stable's.
    Stable,
    /// The candidate's, as recorded.
    Candidate,
    /// Those that cannot be had from finished sums, by index into [`Layout::streams`].
    Effect(usize),
}

/// Answers that cannot be had from finished sums.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stream {
    /// One of the scenario's effects, by index.
    Effect(usize),
    /// A rare metric as a gate's margin or power curve needs it: of the units seen so far, `scale` times as many have an event as under
    /// stable, plus a share `shift`. A unit counts once, so finished sums cannot be scaled.
    Excess {
        /// Index of the metric.
        metric: usize,
        /// Multiplies the units with an event.
        scale: f64,
        /// Added, as a share of all units.
        shift: f64,
    },
    /// A metric with stable's answers taken out, of the candidate's recorded answers or of an effect that has answers of its own.
    Adjusted {
        /// Index of the metric.
        metric: usize,
        /// Index of the effect.
        effect: Option<usize>,
    },
}

/// What is taken out of a metric's numerator: `slope (Y - level X)` of stable's answers to the same requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adjustment {
    /// Of the candidate's answers on stable's, over units.
    pub slope: f64,
    /// Stable's value over the log.
    pub level: f64,
}

impl Adjustment {
    /// What is left of a numerator.
    #[must_use]
    pub fn left(self, numerator: f64, (stable_y, stable_x): (f64, f64)) -> f64 {
        numerator - self.slope * (stable_y - self.level * stable_x)
    }
}

/// How a metric's sums are laid out.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Five moments.
    Moments,
    /// X and XX, then Y, YY and YX for each threshold.
    Grid(Grid),
}

impl Shape {
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Moments => MOMENTS,
            Self::Grid(grid) => 2 + 3 * grid.len(),
        }
    }
}

/// Where the sums of one slice are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SlicePlan {
    /// Where the slice begins among the sums of all traffic: counts and stable's answers.
    pub(super) all_at: usize,
    /// Where it begins among the sums of the candidate's arm: the same, then the candidate's answers, then effects.
    pub(super) arm_at: usize,
    /// Metrics kept in this slice, by index, and where they begin after the counts.
    pub(super) metrics: Vec<(usize, usize)>,
    /// Streams kept in this slice, by index, and where they begin in the arm.
    pub(super) streams: Vec<(usize, usize)>,
    /// Width of stable's answers; the candidate's have the same.
    pub(super) answers_width: usize,
    /// Width of everything in the arm.
    pub(super) arm_width: usize,
}

/// Which sums a trajectory holds, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Overall first, then every value of the segment columns that a gate asks for.
    pub slices: Vec<Slice>,
    /// Per metric of the scenario.
    pub shapes: Vec<Shape>,
    /// Answers that are kept apart: of effects with an onset, a segment or flips, and of rare metrics at their margins.
    pub streams: Vec<Stream>,
    /// Metric of each stream.
    pub(super) stream_metrics: Vec<usize>,
    /// Per metric of the scenario: what its features are like, of the first feature of embeddings.
    pub embeddings: Vec<Option<Embedding>>,
    /// Per metric of the scenario: what gates with a covariate take out.
    pub adjustments: Vec<Option<Adjustment>>,
    pub(super) plans: Vec<SlicePlan>,
    pub(super) all_width: usize,
    pub(super) arm_width: usize,
    /// Slice of each segment column and value; `None` where no gate asks.
    pub(super) slice_of: Vec<Option<Vec<usize>>>,
}

impl Layout {
    /// The layout that the gates and effects of a scenario need.
    #[must_use]
    pub fn new(digest: &Digest, scenario: &Scenario) -> Self {
        let shapes: Vec<Shape> = (0..scenario.metrics.len()).map(|metric| shape(metric, digest, scenario)).collect();
        let streams = streams(scenario);
        let metric_of = |stream: &Stream| match *stream {
            Stream::Effect(effect) => scenario.effects[effect].metric,
            Stream::Excess { metric, .. } | Stream::Adjusted { metric, .. } => metric,
        };
        let stream_metrics: Vec<usize> = streams.iter().map(metric_of).collect();
        let mut layout = Self {
            slices: Vec::new(),
            shapes,
            streams,
            stream_metrics,
            embeddings: Vec::new(),
            adjustments: vec![None; scenario.metrics.len()],
            plans: Vec::new(),
            all_width: 0,
            arm_width: 0,
            slice_of: Vec::new(),
        };
        layout.add_slice(Slice::Overall, &(0..scenario.metrics.len()).collect::<Vec<_>>());
        for (column, segment) in digest.segments.iter().enumerate() {
            let mut asked: Vec<usize> = scenario
                .gates
                .iter()
                .filter(|g| g.by.contains(&column))
                .flat_map(|g| scenario.features_of(g.metric))
                .collect();
            asked.sort_unstable();
            asked.dedup();
            let slices = (!asked.is_empty()).then(|| {
                (0..segment.values.len())
                    .map(|value| layout.add_slice(Slice::Segment { column, value }, &asked))
                    .collect()
            });
            layout.slice_of.push(slices);
        }
        let embedding = |metric: usize| Embedding::of(digest, scenario, metric, &layout.slices);
        layout.embeddings = (0..scenario.metrics.len()).map(embedding).collect();
        layout
    }

    fn add_slice(&mut self, slice: Slice, metrics: &[usize]) -> usize {
        let mut at = COUNTS;
        let places: Vec<_> = metrics
            .iter()
            .map(|&metric| {
                let place = (metric, at);
                at += self.shapes[metric].width();
                place
            })
            .collect();
        let answers_width = at - COUNTS;
        at += answers_width;
        let mut streams = Vec::new();
        for (stream, metric) in self.stream_metrics.iter().enumerate().filter(|(_, metric)| metrics.contains(metric)) {
            streams.push((stream, at));
            at += self.shapes[*metric].width();
        }
        self.plans.push(SlicePlan {
            all_at: self.all_width,
            arm_at: self.arm_width,
            metrics: places,
            streams,
            answers_width,
            arm_width: at,
        });
        self.all_width += COUNTS + answers_width;
        self.arm_width += at;
        self.slices.push(slice);
        self.slices.len() - 1
    }

    /// Slices and answers in which sums of a metric are kept.
    #[must_use]
    pub fn kept(&self, metric: usize) -> Vec<(usize, Answers)> {
        let of_slice = |(slice, plan): (usize, &SlicePlan)| {
            let recorded = if plan.metrics.iter().any(|&(kept, _)| kept == metric) { 2 } else { 0 };
            let streams = plan.streams.iter().filter(|&&(stream, _)| self.stream_metrics[stream] == metric);
            let answers = [Answers::Stable, Answers::Candidate].into_iter().take(recorded);
            let all = answers.chain(streams.map(|&(stream, _)| Answers::Effect(stream)));
            all.map(|answers| (slice, answers)).collect::<Vec<_>>()
        };
        self.plans.iter().enumerate().flat_map(of_slice).collect()
    }

    /// The stream of a metric's answers with stable's taken out.
    #[must_use]
    pub fn adjusted(&self, metric: usize, answers: Answers) -> Option<Answers> {
        let effect = match answers {
            Answers::Stable => return None,
            Answers::Candidate => None,
            Answers::Effect(stream) => match self.streams[stream] {
                Stream::Effect(effect) => Some(effect),
                Stream::Excess { .. } | Stream::Adjusted { .. } => return None,
            },
        };
        let wanted = Stream::Adjusted { metric, effect };
        self.streams.iter().position(|&stream| stream == wanted).map(Answers::Effect)
    }

    /// Slices of a gate: overall, then every value of its segment columns.
    #[must_use]
    pub fn slices_of(&self, by: &[usize]) -> Vec<usize> {
        let segments = by.iter().flat_map(|&column| self.slice_of[column].iter().flatten().copied());
        std::iter::once(0).chain(segments).collect()
    }
}

fn shape(metric: usize, digest: &Digest, scenario: &Scenario) -> Shape {
    let kind = &scenario.metrics[metric].kind;
    let Some(quantile) = kind.quantile() else { return Shape::Moments };
    let MetricCells::Bins(lists) = &digest.cells.metrics[metric] else {
        unreachable!("the digest holds bins of every distribution")
    };
    if let MetricKind::Drift { bins, .. } = *kind {
        return Shape::Grid(Grid::between_bins(&lists.stable, bins));
    }
    let gates: Vec<_> = scenario.gates.iter().filter(|gate| gate.metric == metric).collect();
    let effects: Vec<_> = scenario.effects.iter().filter(|effect| effect.metric == metric).collect();
    Shape::Grid(Grid::new(&lists.stable, quantile, &gates, &effects))
}

/// An effect on every request from the start on is applied to finished sums, if requests are what is summed; the others need sums of
/// their own.
fn streams(scenario: &Scenario) -> Vec<Stream> {
    let needs_stream = |&effect: &usize| {
        let effect = &scenario.effects[effect];
        let always = effect.onset.0 == 0 && effect.ramp.0 == 0;
        let everywhere = always && effect.only.is_empty() && !matches!(effect.change, Change::Flip(_));
        // The few edges between bins are too far apart to look between them.
        let kind = &scenario.metrics[effect.metric].kind;
        !everywhere || kind.is_rare() || kind.is_drift()
    };
    let mut streams: Vec<Stream> = (0..scenario.effects.len()).filter(needs_stream).map(Stream::Effect).collect();
    for gate in scenario.gates.iter().filter(|gate| scenario.metrics[gate.metric].kind.is_rare()) {
        for (scale, shift) in worsenings(gate, scenario.metrics[gate.metric].better.worse_sign()) {
            let stream = Stream::Excess { metric: gate.metric, scale, shift };
            if (scale, shift) != (1.0, 0.0) && !streams.contains(&stream) {
                streams.push(stream);
            }
        }
    }
    for metric in 0..scenario.metrics.len() {
        if scenario.gates.iter().any(|gate| gate.covariate && gate.metric == metric) {
            let effects =
                (0..scenario.effects.len()).filter(|&e| scenario.effects[e].metric == metric).filter(needs_stream);
            let all = std::iter::once(None).chain(effects.map(Some));
            streams.extend(all.map(|effect| Stream::Adjusted { metric, effect }));
        }
    }
    streams
}

/// How much worse than stable a gate's margins and power curve are: scale and shift.
fn worsenings(gate: &Gate, worse_sign: f64) -> Vec<(f64, f64)> {
    match (gate.allow, gate.limit) {
        (Some(allow), _) => {
            let curve = CURVE_MULTIPLES.iter().map(|&by| allow.times(by));
            curve.chain(gate.harm).map(|margin| margin.worsening(worse_sign)).collect()
        }
        (None, Some(limit)) => vec![(0.0, limit)],
        (None, None) => Vec::new(),
    }
}
