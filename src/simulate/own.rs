//! Lanes that are a log of their own: where who asks, or what was answered, differs from replicate to replicate.
//!
//! In each stage such a lane has its own units, and its own cells, put together from those of the log. They then go through the same
//! additions as any log, with that one lane. One stage of one lane is held at a time.

use std::ops::Range;
use std::sync::Arc;

use super::cells::{FlatCells, FlatMetric};
use super::effects::EffectCells;
use super::lanes::{Lane, is_swapped, place};
use super::layout::Layout;
use super::rollout;
use super::spare::Spare;
use super::trajectory::Trajectory;
use super::{Simulator, StagePlan};
use crate::assign::KeyedHash;
use crate::digest::bins::BinLists;
use crate::domain::version::{PerVersion, Version};

/// No cell: a version without an answer.
pub(super) const NO_CELL: u32 = u32::MAX;

/// A cell of a lane's own: one unit of its own in one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OwnCell {
    /// Counted from the stage's begin.
    pub(super) slot: u32,
    /// A unit of the stage's own.
    pub(super) unit: u32,
    /// The cell whose requests, segments and coverage it has.
    pub(super) requests: u32,
    /// The cells whose answers it has; [`NO_CELL`] without any.
    pub(super) answers: PerVersion<u32>,
}

/// One stage of a lane.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OwnStage {
    /// In the order of slots; those of a unit in a slot are neighbours.
    pub(super) cells: Vec<OwnCell>,
    /// Its units, each in an arm of a schedule of this stage alone. How many copies there are says how many units.
    pub(super) lane: Lane,
}

/// What own cells are put together from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) cells: &'a FlatCells,
    /// As many as the layout has streams.
    pub(super) effects: &'a [EffectCells],
}

/// A lane on its way through a schedule.
pub(super) struct Way<'a> {
    pub(super) plan: &'a [StagePlan],
    /// Slots of the rollout before it.
    pub(super) elapsed: usize,
    pub(super) start: usize,
    /// Per stage: slots that it goes on past its duration; none where there is no number.
    pub(super) held: &'a [usize],
}

impl Way<'_> {
    /// Puts the sums of a lane's own stages in place of those that a trajectory has; whom the candidate has served stays.
    ///
    /// `own` gives the stage whose number it is told, in these slots of the log, of which the next stage begins after so many.
    pub(super) fn replay(
        &self,
        sim: &Simulator,
        source: Source<'_>,
        mut own: impl FnMut(usize, Range<usize>, usize) -> OwnStage,
        trajectory: &mut Trajectory,
    ) {
        let (mut passed, mut first_look) = (0, 0);
        for (stage, plan) in self.plan.iter().enumerate() {
            let begin = self.start + passed;
            let ends = plan.own_slots() + self.held.get(stage).copied().unwrap_or(0);
            if plan.looks() > 0 {
                let own = own(stage, begin..begin + plan.slots, ends);
                let played = self.stage(sim, source, (plan, passed), own);
                trajectory.put(&sim.layout, first_look, &played);
            }
            passed += ends;
            first_look += plan.looks();
        }
    }

    fn stage(
        &self,
        sim: &Simulator,
        source: Source<'_>,
        (plan, passed): (&StagePlan, usize),
        own: OwnStage,
    ) -> Trajectory {
        let units = own.lane.copies.len();
        let mut cells = source.cells.put_together(&own.cells, units, plan.slots);
        let mut effects: Vec<_> = source.effects.iter().map(|effect| effect.put_together(&own.cells)).collect();
        cells.show(&mut effects, &sim.layout.stream_metrics);
        let of_stage = Simulator {
            layout: sim.layout.clone(),
            plan: vec![*plan],
            who: Arc::clone(&sim.who),
            cells,
            effects,
            unit_keys: Vec::new(),
            sessions: None,
            spare: Spare::default(),
            first: sim.first,
            slot: sim.slot,
            period: None,
            outputs: None,
        };
        let lanes = [(0, own.lane)];
        let played = rollout::play(&of_stage, &of_stage.plan, self.elapsed.saturating_add(passed), &lanes, &[]).pop();
        played.expect("one lane gives one trajectory")
    }
}

/// The copies of units that a lane compares in a stage, each a unit of its own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Apart {
    /// Those of unit `u` of the log are `firsts[u]..firsts[u + 1]`.
    pub(super) firsts: Vec<u32>,
    /// Per own unit: which copy it is.
    pub(super) copy: Vec<u8>,
    /// Where they are, in a schedule of this stage alone.
    pub(super) lane: Lane,
}

impl Apart {
    /// `hash` is what the copies of a replicate draw from.
    pub(super) fn of(sim: &Simulator, lane: &Lane, stage: usize, hash: KeyedHash) -> Self {
        let empty = Lane {
            copies: Vec::new(),
            counted: None,
            exposed: vec![Vec::new()],
            served: None,
            swapped: None,
            draws: None,
            replicate: lane.replicate,
            is_census: lane.is_census,
        };
        let (mut own, mut swapped) = (empty.clone(), lane.swapped.as_ref().map(|_| empty));
        let (mut firsts, mut copies) = (vec![0], Vec::new());
        let is_whole = sim.who.waves && lane.served.is_none();
        for (unit, &count) in lane.copies.iter().enumerate() {
            if lane.replicate == u64::MAX {
                // Each unit is there once; in a census with a weight.
                if lane.counted.as_ref().is_none_or(|counted| counted[stage][unit] > 0) {
                    own.copies.push(1);
                    own.exposed[0].push(lane.exposed[stage][unit]);
                    copies.push(0);
                }
                firsts.push(copies.len() as u32);
                continue;
            }
            let (key, turn) = (sim.unit_keys[unit], sim.who.turns(unit)[stage]);
            for copy in 0..count {
                let place = place(hash, key, copy, if sim.who.sticky.redraws() { stage } else { 0 });
                if !is_whole && place >= turn.counted {
                    continue;
                }
                let exposed = u8::from(place < turn.exposure);
                own.copies.push(1);
                own.exposed[0].push(exposed);
                copies.push(copy);
                if let Some(swapped) = &mut swapped {
                    let is_swapped = u8::from(is_swapped(hash, key, copy));
                    swapped.copies.push(is_swapped);
                    swapped.exposed[0].push(is_swapped * exposed);
                }
            }
            firsts.push(copies.len() as u32);
        }
        Self { firsts, copy: copies, lane: Lane { swapped: swapped.map(Box::new), ..own } }
    }
}

impl FlatCells {
    fn put_together(&self, own: &[OwnCell], units: usize, slots: usize) -> Self {
        let stride = self.recorded;
        let mut inputs = Vec::with_capacity(own.len() * stride);
        for cell in own {
            let row = inputs.len();
            inputs.extend_from_slice(&self.inputs(cell.requests as usize)[..Self::HEAD]);
            inputs.resize(row + stride, 0.0);
            for (version, &from) in Version::BOTH.into_iter().zip([&cell.answers.stable, &cell.answers.candidate]) {
                if from == NO_CELL {
                    continue;
                }
                for metric in &self.metrics {
                    if let FlatMetric::Sums(at) | FlatMetric::Firsts(at) = metric {
                        let at = if version == Version::Candidate { at + 2 } else { *at };
                        inputs[row + at..row + at + 2].copy_from_slice(&self.inputs(from as usize)[at..at + 2]);
                    }
                }
            }
        }
        let metrics = self.metrics.iter().map(|metric| match metric {
            FlatMetric::Sums(at) => FlatMetric::Sums(*at),
            FlatMetric::Firsts(at) => FlatMetric::Firsts(*at),
            FlatMetric::Bins(lists) => {
                let of = |version| own_lists(lists.get(version), own.iter().map(|cell| *cell.answers.get(version)));
                FlatMetric::Bins(PerVersion::from_fn(of))
            }
        });
        let column = |values: &Vec<u16>| own.iter().map(|cell| values[cell.requests as usize]).collect();
        let offsets = (0..=slots).map(|slot| own.partition_point(|cell| (cell.slot as usize) < slot) as u32);
        Self {
            unit: own.iter().map(|cell| cell.unit).collect(),
            rank: own.iter().map(|cell| cell.unit).collect(),
            by_rank: (0..units as u32).collect(),
            rank_of: (0..units as u32).collect(),
            slot: own.iter().map(|cell| cell.slot).collect(),
            segment: self.segment.iter().map(column).collect(),
            items: None,
            offsets: offsets.collect(),
            inputs,
            stride,
            recorded: stride,
            same: (0..stride).collect(),
            metrics: metrics.collect(),
        }
    }
}

/// The lists of some cells.
fn own_lists(lists: &BinLists, cells: impl Iterator<Item = u32>) -> BinLists {
    let mut own = BinLists { offsets: vec![0], bins: Vec::new() };
    for cell in cells {
        if cell != NO_CELL {
            own.bins.extend_from_slice(lists.of(cell as usize));
        }
        own.offsets.push(u32::try_from(own.bins.len()).expect("a stage has fewer requests than u32 counts"));
    }
    own
}

impl Trajectory {
    /// Takes the sums of another, which begins at this look.
    fn put(&mut self, layout: &Layout, first_look: usize, other: &Self) {
        let put = |own: &mut [f64], other: &[f64], width: usize| {
            own[first_look * width..first_look * width + other.len()].copy_from_slice(other);
        };
        put(&mut self.all, &other.all, layout.all_width);
        put(&mut self.arm, &other.arm, layout.arm_width);
    }

    /// All sums become zero; whom the candidate has served stays.
    pub(super) fn clear(&mut self) {
        self.all.fill(0.0);
        self.arm.fill(0.0);
    }

    /// Adds all sums of another, times a factor.
    pub(super) fn add(&mut self, other: &Self, factor: f64) {
        let add =
            |own: &mut [f64], other: &[f64]| own.iter_mut().zip(other).for_each(|(own, other)| *own += factor * other);
        add(&mut self.all, &other.all);
        add(&mut self.arm, &other.arm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::testing::loaded;

    /// A matched control, an effect that grows in a segment, flips, a quantile, a rare event, the `swap` null, a stage that is held.
    const TEXT: &str = r#"
[log]
timestamp = "ts"
segments = ["region"]
slot = "5m"
[assignment]
unit = "user_id"
control = "matched"
[metrics.quality]
kind = "mean"
column = "{version}_quality"
better = "higher"
[metrics.ok]
kind = "proportion"
column = "{version}_ok"
better = "higher"
[metrics.slow]
kind = "rare"
column = "{version}_latency_ms"
over = 800
better = "lower"
[metrics.latency]
kind = "quantile"
quantile = 0.9
column = "{version}_latency_ms"
better = "lower"
[[stages]]
name = "10%"
exposure = "10%"
duration = "30m"
look_every = "10m"
[[stages]]
name = "40%"
exposure = "40%"
duration = "40m"
look_every = "10m"
[[gates]]
name = "quality"
metric = "quality"
allow = "5%"
by = ["region"]
[[gates]]
name = "latency"
metric = "latency"
allow = "10%"
[[effects]]
name = "worse in eu"
metric = "quality"
scale = 0.8
only = { region = ["eu"] }
onset = "20m"
ramp = "20m"
[[effects]]
name = "flips"
metric = "ok"
flip = "20%"
ramp = "30m"
[rollout]
max_hold = "20m"
[simulation]
null = "swap"
"#;

    /// Of the simulation.
    const SEED: u64 = 7;

    /// Every copy takes its unit's cells as they are.
    fn stage(sim: &Simulator, lane: &Lane, stage: usize, slots: Range<usize>) -> OwnStage {
        let hash = KeyedHash::of_replicate(SEED, lane.replicate);
        let Apart { firsts, lane, .. } = Apart::of(sim, lane, stage, hash);
        let mut cells = Vec::new();
        for (slot, of_log) in slots.enumerate() {
            let in_slot = sim.cells_of(of_log);
            for of_unit in in_slot.clone().collect::<Vec<_>>().chunk_by(|&a, &b| sim.cells.unit[a] == sim.cells.unit[b])
            {
                let unit = sim.cells.unit[of_unit[0]] as usize;
                for own in firsts[unit]..firsts[unit + 1] {
                    cells.extend(of_unit.iter().map(|&cell| OwnCell {
                        slot: slot as u32,
                        unit: own,
                        requests: cell as u32,
                        answers: PerVersion::from_fn(|_| cell as u32),
                    }));
                }
            }
        }
        OwnStage { cells, lane }
    }

    #[test]
    fn copies_with_the_answers_of_their_unit_are_the_log_itself() {
        let (scenario, digest) = loaded(TEXT, 2000);
        let sim = Simulator::new(&digest, &scenario);
        let held = vec![2, 0];
        for replicate in 0..8 {
            let lanes =
                [sim.replicate(&scenario, replicate), sim.swapped_replicate(&scenario, replicate), sim.everybody()];
            for lane in lanes {
                let expected = sim.held_trajectories(&[(1, lane.clone())], std::slice::from_ref(&held)).remove(0);
                let mut found = Trajectory { all: vec![-1.0; expected.all.len()], ..expected.clone() };
                found.arm.fill(-1.0);
                let way = Way { plan: &sim.plan, elapsed: 0, start: 1, held: &held };
                let source = Source { cells: &sim.cells, effects: &sim.effects };
                way.replay(&sim, source, |index, slots, _| stage(&sim, &lane, index, slots), &mut found);
                let pairs = found.all.iter().zip(&expected.all).chain(found.arm.iter().zip(&expected.arm));
                for (index, (found, expected)) in pairs.enumerate() {
                    let close = (found - expected).abs() <= 1e-9 * expected.abs().max(1.0);
                    assert!(close, "sum {index} of replicate {replicate}: {found}, expected {expected}");
                }
                assert!(expected.arm.iter().sum::<f64>() > 100.0, "there is something to compare");
            }
        }
    }
}
