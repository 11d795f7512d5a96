//! Effects that change single cells: with an onset, in some segments only, or by flipping outcomes.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::cells::{FlatCells, FlatMetric};
use super::grid::Below;
use super::layout::{Adjustment, Shape};
use super::own::{NO_CELL, OwnCell};
use crate::digest::Digest;
use crate::digest::bins;
use crate::domain::metric::Direction;
use crate::domain::quantity::Seconds;
use crate::domain::world::Change;
use crate::scenario::Scenario;

/// One effect, resolved cell by cell.
pub(super) struct EffectCells {
    /// First slot of a rollout in which it holds.
    pub(super) onset: usize,
    /// Slots over which it grows.
    pub(super) ramp: usize,
    /// Whether it holds in a cell's segment values.
    pub(super) applies: Vec<bool>,
    /// What it does.
    change: CellChange,
    /// What is then taken out.
    pub(super) adjustment: Option<Adjustment>,
    /// Where cells show its Y among their inputs.
    pub(super) shown: Option<usize>,
}

/// What an effect does to a cell.
enum CellChange {
    /// The candidate's recorded answers in place of stable's.
    Recorded,
    /// Y becomes `scale * Y + shift * X`.
    Affine { shift: f64, scale: f64 },
    /// Of a rare metric: `scale` times as many units have an event, plus a share `shift` of the units.
    Excess { shift: f64, scale: f64 },
    /// Adds this to Y, per cell: flipped outcomes, drawn once for the log.
    Add { flips: Vec<f64>, seeds: Vec<u64> },
    /// A request is above threshold `t` when its bin is greater than the moved one: in each slot while the effect grows, then for good.
    MovedThresholds(Vec<Below>),
}

/// How far an effect has grown so many slots after its onset, at the middle of the slot.
pub(crate) fn grown(since: usize, ramp: usize) -> f64 {
    if since >= ramp { 1.0 } else { (since as f64 + 0.5) / ramp as f64 }
}

impl EffectCells {
    pub(super) fn new(
        effect: usize,
        cells: &FlatCells,
        shapes: &[Shape],
        digest: &Digest,
        scenario: &Scenario,
    ) -> Self {
        let written = &scenario.effects[effect];
        let wanted: Vec<(usize, Vec<bool>)> = written
            .only
            .iter()
            .map(|(column, values)| {
                (*column, digest.segments[*column].values.iter().map(|v| values.contains(v)).collect())
            })
            .collect();
        let slots = |seconds: Seconds| usize::try_from(seconds.0 / digest.slot.0).expect("durations are not negative");
        let ramp = slots(written.ramp);
        let holds = |cell: usize| wanted.iter().all(|(column, held)| held[cells.segment[*column][cell] as usize]);
        let change = match (written.change, &cells.metrics[written.metric]) {
            (Change::Flip(share), FlatMetric::Sums(at) | FlatMetric::Firsts(at)) => {
                let better = scenario.metrics[written.metric].better;
                let seed = scenario.simulation.seed ^ effect as u64;
                // Each flip sets in at a moment of its own.
                let seed_of = |cell: usize| cell_seed(cells, digest, cell, !seed);
                let seeds = if ramp > 0 { (0..cells.len()).map(seed_of).collect() } else { Vec::new() };
                CellChange::Add { flips: flips(share, better, *at, cells, digest, seed), seeds }
            }
            (Change::Shift(shift), FlatMetric::Sums(_)) => CellChange::Affine { shift, scale: 1.0 },
            (Change::Scale(scale), FlatMetric::Sums(_)) => CellChange::Affine { shift: 0.0, scale },
            (Change::Shift(shift), FlatMetric::Firsts(_)) => CellChange::Excess { shift, scale: 1.0 },
            (Change::Scale(scale), FlatMetric::Firsts(_)) => CellChange::Excess { shift: 0.0, scale },
            (change, FlatMetric::Bins(_)) => {
                let moved = |since: usize| moved_thresholds(change, grown(since, ramp), &shapes[written.metric]);
                CellChange::MovedThresholds((0..=ramp).map(|since| Below::new(&moved(since))).collect())
            }
        };
        let applies = (0..cells.len()).map(holds).collect();
        Self { onset: slots(written.onset), ramp, applies, change, adjustment: None, shown: None }
    }

    /// Whether what a cell shows does not depend on the slot, once it has set in.
    pub(super) fn is_steady(&self) -> bool {
        let is_sum = matches!(self.change, CellChange::Affine { .. } | CellChange::Add { .. });
        is_sum && self.ramp == 0 && self.adjustment.is_none()
    }

    /// What a cell's Y becomes, so many slots after the onset; `x` is its X.
    pub(super) fn sum(&self, cell: usize, since: usize, y: f64, x: f64) -> f64 {
        let grown = grown(since, self.ramp);
        match &self.change {
            CellChange::Affine { shift, scale } => (1.0 + grown * (scale - 1.0)) * y + grown * shift * x,
            CellChange::Add { flips, .. } if grown >= 1.0 => y + flips[cell],
            CellChange::Add { flips, seeds } => {
                let all = flips[cell].abs() as u64;
                let set_in = |flip: &u64| {
                    let place = xxh3_64_with_seed(&flip.to_le_bytes(), seeds[cell]) as f64 / u64::MAX as f64;
                    place < grown
                };
                y + ((0..all).filter(set_in).count() as f64).copysign(flips[cell])
            }
            CellChange::Recorded | CellChange::Excess { .. } | CellChange::MovedThresholds(_) => y,
        }
    }

    /// Of an excess of a rare metric, so many slots after the onset: scale, and share added.
    pub(super) fn excess_of(&self, since: usize) -> Option<(f64, f64)> {
        let CellChange::Excess { shift, scale } = self.change else { return None };
        let grown = grown(since, self.ramp);
        Some((1.0 + grown * (scale - 1.0), grown * shift))
    }

    /// Thresholds (as bins) at which stable's requests are asked in place of the changed ones, so many slots after the onset.
    pub(super) fn thresholds(&self, since: usize) -> Option<&Below> {
        match &self.change {
            CellChange::MovedThresholds(moved) => Some(&moved[since.min(self.ramp)]),
            CellChange::Recorded | CellChange::Affine { .. } | CellChange::Excess { .. } | CellChange::Add { .. } => {
                None
            }
        }
    }
}

impl EffectCells {
    /// A rare metric as a gate's margin or power curve needs it, everywhere from the start on.
    pub(super) fn excess(cells: &FlatCells, scale: f64, shift: f64) -> Self {
        Self::everywhere(cells, CellChange::Excess { shift, scale })
    }

    /// The candidate's recorded answers, everywhere from the start on.
    pub(super) fn recorded(cells: &FlatCells) -> Self {
        Self::everywhere(cells, CellChange::Recorded)
    }

    fn everywhere(cells: &FlatCells, change: CellChange) -> Self {
        Self { onset: 0, ramp: 0, applies: vec![true; cells.len()], change, adjustment: None, shown: None }
    }

    /// The same in cells that a lane has of its own: where their requests are, to the answers that they have of stable.
    pub(super) fn put_together(&self, own: &[OwnCell]) -> Self {
        let answers = || own.iter().map(|cell| cell.answers.stable);
        let change = match &self.change {
            CellChange::Recorded => CellChange::Recorded,
            CellChange::Affine { shift, scale } => CellChange::Affine { shift: *shift, scale: *scale },
            CellChange::Excess { shift, scale } => CellChange::Excess { shift: *shift, scale: *scale },
            CellChange::Add { flips, seeds } => CellChange::Add {
                flips: answers().map(|cell| if cell == NO_CELL { 0.0 } else { flips[cell as usize] }).collect(),
                // Without a ramp there are none.
                seeds: answers().map(|cell| seeds.get(cell as usize).copied().unwrap_or(0)).collect(),
            },
            CellChange::MovedThresholds(moved) => CellChange::MovedThresholds(moved.clone()),
        };
        let applies = own.iter().map(|cell| self.applies[cell.requests as usize]).collect();
        Self { onset: self.onset, ramp: self.ramp, applies, change, adjustment: self.adjustment, shown: None }
    }

    /// Whether cells show the candidate's recorded answers in place of stable's.
    pub(super) fn is_recorded(&self) -> bool {
        matches!(self.change, CellChange::Recorded)
    }
}

/// Thresholds (as bins) at which stable's requests are asked instead of the changed ones.
fn moved_thresholds(change: Change, grown: f64, shape: &Shape) -> Vec<f64> {
    let Shape::Grid(grid) = shape else { unreachable!("bins belong to a quantile metric") };
    let moved = |value: f64| match change {
        Change::Shift(amount) => value - grown * amount,
        Change::Scale(factor) => value / (1.0 + grown * (factor - 1.0)),
        Change::Flip(_) => value,
    };
    let as_bin = |value: f64| match value {
        negative if negative < 0.0 => f64::NEG_INFINITY,
        zero if zero <= 0.0 => f64::from(bins::ZERO_BIN),
        value => (bins::BINS_PER_OCTAVE * value.log2()).round(),
    };
    (0..grid.len()).map(|index| as_bin(moved(grid.value(index)))).collect()
}

/// How many good outcomes of stable turn bad in each cell: Binomial(good, share), drawn from a seed of the cell's own.
fn flips(share: f64, better: Direction, at: usize, cells: &FlatCells, digest: &Digest, seed: u64) -> Vec<f64> {
    (0..cells.len())
        .map(|cell| {
            let inputs = cells.inputs(cell);
            let (y, x) = (inputs[at], inputs[at + 1]);
            let (good, sign) = match better {
                Direction::Higher => (y, -1.0),
                Direction::Lower => (x - y, 1.0),
            };
            sign * flipped(good, share, cell_seed(cells, digest, cell, seed))
        })
        .collect()
}

/// How many of so many good outcomes turn bad.
pub(crate) fn flipped(good: f64, share: f64, seed: u64) -> f64 {
    let trials = good.max(0.0).round() as u64;
    if trials == 0 {
        return 0.0;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Binomial::new(trials, share).expect("flip shares lie in (0, 1]").sample(&mut rng) as f64
}

/// A seed that belongs to the cell, not to its place in the file.
fn cell_seed(cells: &FlatCells, digest: &Digest, cell: usize, seed: u64) -> u64 {
    let mut key = digest.units[cells.unit[cell] as usize].as_bytes().to_vec();
    let time = digest.first.0 + i64::from(cells.slot[cell]) * digest.slot.0;
    key.extend(time.to_le_bytes());
    for (column, values) in cells.segment.iter().zip(&digest.segments) {
        key.push(0);
        key.extend(values.values[column[cell] as usize].as_bytes());
    }
    if let Some(items) = &cells.items {
        key.push(0);
        key.extend(digest.items[items[cell] as usize].as_bytes());
    }
    xxh3_64_with_seed(&key, seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::bins::BinLists;
    use crate::simulate::grid::Grid;

    fn effect(ramp: usize, change: CellChange) -> EffectCells {
        EffectCells { onset: 0, ramp, applies: vec![true], change, adjustment: None, shown: None }
    }

    #[test]
    fn an_effect_grows_evenly_to_its_size() {
        let growing = effect(4, CellChange::Affine { shift: 2.0, scale: 1.5 });
        let sums: Vec<f64> = (0..6).map(|since| growing.sum(0, since, 8.0, 1.0)).collect();
        // 8 and 1 become 12 + 2 in the end: 6 more, of which 1/8, 3/8, 5/8 and 7/8 on the way.
        assert_eq!(sums, [8.75, 10.25, 11.75, 13.25, 14.0, 14.0]);
        let at_once = effect(0, CellChange::Affine { shift: 2.0, scale: 1.5 });
        assert!((at_once.sum(0, 0, 8.0, 1.0) - 14.0).abs() < 1e-12);
    }

    #[test]
    fn flips_set_in_one_by_one_and_stay() {
        let flips = |sign: f64| effect(100, CellChange::Add { flips: vec![sign * 400.0], seeds: vec![9] });
        for sign in [1.0, -1.0] {
            let growing = flips(sign);
            let flipped: Vec<f64> =
                (0..=100).map(|since| sign * (growing.sum(0, since, 500.0, 900.0) - 500.0)).collect();
            assert!(flipped.windows(2).all(|pair| pair[0] <= pair[1] && pair[1].fract() == 0.0));
            assert!((flipped[50] - 202.0).abs() < 45.0, "{} of 400 half-way", flipped[50]);
            assert!((flipped[100] - 400.0).abs() < 1e-12);
        }
    }

    #[test]
    fn zeros_stay_zeros_when_scaled_and_not_when_shifted() {
        let shape =
            Shape::Grid(Grid::between_bins(&BinLists { offsets: vec![0, 3], bins: vec![bins::ZERO_BIN, 64, 128] }, 3));
        let zero = f64::from(bins::ZERO_BIN);
        assert_eq!(moved_thresholds(Change::Scale(2.0), 1.0, &shape), [zero, 0.0]);
        assert_eq!(moved_thresholds(Change::Shift(1.0), 1.0, &shape), [f64::NEG_INFINITY, 0.0]);
        assert_eq!(moved_thresholds(Change::Shift(-2.0), 1.0, &shape), [64.0, 128.0]);
    }

    #[test]
    fn thresholds_move_on_while_it_grows() {
        let by_slot = [3.0, 2.0, 1.0].map(|threshold| Below::new(&[threshold]));
        let moved = effect(2, CellChange::MovedThresholds(by_slot.to_vec()));
        let [first, second, last] = &by_slot;
        assert_eq!([0, 1, 2, 9].map(|since| moved.thresholds(since).unwrap()), [first, second, last, last]);
    }
}
