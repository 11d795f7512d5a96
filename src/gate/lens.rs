//! How a world shows a metric: whose answers the candidate's arm got, and what became of their values.

use crate::domain::gate::Gate;
use crate::domain::metric::Margin;
use crate::domain::world::{CURVE_MULTIPLES, Change, World};
use crate::scenario::{Null, Scenario};
use crate::simulate::layout::{Answers, Layout, Shape, Stream};

/// Values of the candidate's arm are `scale * value + shift` of these answers. Of a drift metric it is the shares above its edges that are
/// changed so, or of embeddings the means of their features, by `shift` times those of an outlier: values that change have streams.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lens {
    /// Whose answers.
    pub answers: Answers,
    /// Added to each request.
    pub shift: f64,
    /// Multiplies each request.
    pub scale: f64,
    /// Read in the replicate's twin in which answers of whole units are exchanged.
    pub swapped: bool,
}

impl Lens {
    /// Stable's own answers.
    pub const NULL: Self = Self { answers: Answers::Stable, shift: 0.0, scale: 1.0, swapped: false };

    /// The candidate's answers as logged.
    pub const RECORDED: Self = Self { answers: Answers::Candidate, shift: 0.0, scale: 1.0, swapped: false };

    /// How a world shows a metric. `levels` are stable's values of each metric over the whole log, for gates with a limit alone.
    #[must_use]
    pub fn of(world: World, metric: usize, scenario: &Scenario, layout: &Layout, levels: &[f64]) -> Self {
        match world {
            World::Recorded => Self::RECORDED,
            World::Null if scenario.simulation.null == Null::Swap => Self { swapped: true, ..Self::RECORDED },
            World::Margin(gate) if scenario.gates[gate].metric == metric => {
                let of_distance = Self::at_distance(&scenario.gates[gate], layout);
                of_distance.unwrap_or_else(|| Self::margin(gate, scenario, levels)).on(metric, layout)
            }
            World::Effect(effect) if scenario.effects[effect].metric == metric => {
                match layout.streams.iter().position(|&stream| stream == Stream::Effect(effect)) {
                    Some(stream) => Self { answers: Answers::Effect(stream), ..Self::NULL },
                    None => Self::changed(scenario.effects[effect].change),
                }
            }
            World::Multiple(gate, multiple) if scenario.gates[gate].metric == metric => {
                let sign = scenario.metrics[metric].better.worse_sign();
                let worse = |allow: Margin| Self::worse_by(allow.times(CURVE_MULTIPLES[multiple]), sign);
                scenario.gates[gate].allow.map_or(Self::NULL, worse).on(metric, layout)
            }
            World::Null | World::Margin(_) | World::Effect(_) | World::Multiple(..) => Self::NULL,
        }
    }

    fn margin(gate: usize, scenario: &Scenario, levels: &[f64]) -> Self {
        let gate = &scenario.gates[gate];
        let better = scenario.metrics[gate.metric].better;
        match (gate.allow, gate.limit) {
            (Some(margin), _) => Self::worse_by(margin, better.worse_sign()),
            // The share of units with an event depends on how long one looks: the world is at the limit all the time.
            (None, Some(limit)) if scenario.metrics[gate.metric].kind.is_rare() => {
                Self { scale: 0.0, shift: limit, ..Self::NULL }
            }
            (None, Some(limit)) if levels[gate.metric] > 0.0 => {
                Self { scale: limit / levels[gate.metric], ..Self::NULL }
            }
            (None, Some(limit)) => Self { shift: limit, ..Self::NULL },
            (None, None) => Self::NULL,
        }
    }

    /// So far from stable as a gate on a distance accepts: a share of all requests, whosever, is answered with more than any value, or with
    /// an embedding unlike any.
    fn at_distance(gate: &Gate, layout: &Layout) -> Option<Self> {
        let (measure, limit) = (gate.measure?, gate.limit?);
        let replaced = match (&layout.embeddings[gate.metric], &layout.shapes[gate.metric]) {
            (Some(embedding), _) => embedding.replaced(limit),
            (None, Shape::Grid(grid)) => grid.replaced(measure, limit),
            (None, Shape::Moments) => return None,
        };
        Some(Self { shift: replaced, scale: 1.0 - replaced, ..Self::NULL })
    }

    /// Stable made worse by a margin, by scaling or by shifting every request.
    #[must_use]
    pub fn worse_by(margin: Margin, worse_sign: f64) -> Self {
        let (scale, shift) = margin.worsening(worse_sign);
        Self { shift, scale, ..Self::NULL }
    }

    /// As a metric can be shown: where a unit counts once, sums cannot be scaled, and the layout keeps those of the worse world.
    #[must_use]
    pub fn on(self, metric: usize, layout: &Layout) -> Self {
        let wanted = Stream::Excess { metric, scale: self.scale, shift: self.shift };
        match layout.streams.iter().position(|&stream| stream == wanted) {
            Some(stream) => Self { answers: Answers::Effect(stream), ..Self::NULL },
            None => self,
        }
    }

    fn changed(change: Change) -> Self {
        match change {
            Change::Shift(shift) => Self { shift, ..Self::NULL },
            Change::Scale(scale) => Self { scale, ..Self::NULL },
            Change::Flip(_) => unreachable!("flips have sums of their own"),
        }
    }
}
