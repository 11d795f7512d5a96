//! Requests with several recorded outputs: each replicate is a log of its own, in which every request of every copy of a unit is
//! served one of them, drawn at random.

use std::ops::Range;

use super::cells::FlatCells;
use super::effects::EffectCells;
use super::lanes::Lane;
use super::layout::Layout;
use super::own::{Apart, NO_CELL, OwnCell, OwnStage, Source, Way};
use super::trajectory::Trajectory;
use super::{Simulator, streams};
use crate::digest::Digest;
use crate::digest::trials::{Draw, Lists};
use crate::domain::version::PerVersion;
use crate::scenario::Scenario;

/// Logs that a census is the mean of. In them every output of a request is served equally often, if there are 1, 2, 4, 5, 10 or 20 of
/// them, and nearly so otherwise.
const DRAWS_OF_CENSUS: u32 = 20;

/// Outputs that replicates draw from.
pub(super) struct Outputs {
    /// A cell for each output; the first of a request says that it is one request.
    cells: FlatCells,
    effects: Vec<EffectCells>,
    /// Per request, in the order of slots and units.
    requests: Vec<Request>,
    of: PerVersion<Lists>,
    /// Requests of slot `s` are `offsets[s]..offsets[s + 1]`.
    offsets: Vec<u32>,
    seed: u64,
}

/// A request, by the number that it has in lists of outputs.
#[derive(Debug, Clone, Copy)]
struct Request {
    unit: u32,
    first: u32,
    key: u64,
}

impl Outputs {
    /// Of a digest whose requests have several; `None` of others.
    pub(super) fn of(digest: &Digest, layout: &Layout, scenario: &Scenario) -> Option<Self> {
        let trials = digest.trials.as_ref()?;
        let mut cells = FlatCells::apart(&trials.outputs, &scenario.metrics);
        for (request, &first) in trials.first.iter().enumerate() {
            cells.be_one_request(first as usize, digest.cells.covered[request]);
        }
        let effects = streams(layout, &cells, &trials.outputs, scenario);
        let request = |(request, &first): (usize, &u32)| Request {
            unit: digest.cells.unit[request],
            first,
            key: trials.keys[request],
        };
        let slots = &digest.cells.slot;
        Some(Self {
            cells,
            effects,
            requests: trials.first.iter().enumerate().map(request).collect(),
            of: trials.of.clone(),
            offsets: (0..=digest.slots).map(|slot| slots.partition_point(|&other| other < slot) as u32).collect(),
            seed: scenario.simulation.seed,
        })
    }

    /// Puts the sums of a lane whose requests are served drawn outputs in place of those of one log; of a census, the mean of many draws.
    pub(super) fn replay(&self, sim: &Simulator, way: &Way<'_>, lane: &Lane, trajectory: &mut Trajectory) {
        let draw = Draw::of_replicate(self.seed, lane.replicate);
        let source = Source { cells: &self.cells, effects: &self.effects };
        let served = |draw: Draw, to: &mut Trajectory| {
            way.replay(sim, source, |stage, slots, _| self.stage(sim, lane, stage, slots, draw), to);
        };
        if !lane.is_census {
            served(draw, trajectory);
            return;
        }
        let mut one = trajectory.clone();
        trajectory.clear();
        for turn in 0..DRAWS_OF_CENSUS {
            served(draw.turned(f64::from(turn) / f64::from(DRAWS_OF_CENSUS)), &mut one);
            trajectory.add(&one, 1.0 / f64::from(DRAWS_OF_CENSUS));
        }
    }

    fn stage(&self, sim: &Simulator, lane: &Lane, stage: usize, slots: Range<usize>, draw: Draw) -> OwnStage {
        let Apart { firsts, copy, lane } = Apart::of(sim, lane, stage, draw.hash);
        let mut cells = Vec::new();
        for (slot, of_log) in (0..).zip(slots) {
            let in_slot = sim.within(&self.offsets, of_log);
            let mut begin = in_slot.start;
            while begin < in_slot.end {
                let unit = self.requests[begin].unit;
                let of_unit =
                    self.requests[begin..in_slot.end].iter().take_while(|request| request.unit == unit).count();
                for own in firsts[unit as usize]..firsts[unit as usize + 1] {
                    let copy = copy[own as usize];
                    for request in begin..begin + of_unit {
                        let Request { first, key, .. } = self.requests[request];
                        let pick = |version| draw.pick(self.of.get(version).of(request), key, version, copy);
                        let answers = PerVersion::from_fn(|version| pick(version).unwrap_or(NO_CELL));
                        cells.push(OwnCell { slot, unit: own, requests: first, answers });
                    }
                }
                begin += of_unit;
            }
        }
        OwnStage { cells, lane }
    }
}
