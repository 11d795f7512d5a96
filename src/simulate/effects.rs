//! Effects that change single cells: with an onset, in some segments only, or by flipping outcomes.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::cells::{FlatCells, FlatMetric};
use super::layout::Shape;
use crate::digest::Digest;
use crate::digest::bins;
use crate::domain::metric::Direction;
use crate::domain::world::Change;
use crate::scenario::Scenario;

/// One effect, resolved cell by cell.
pub(super) struct EffectCells {
    /// First slot of a rollout in which it holds.
    pub(super) onset: usize,
    /// Whether it holds in a cell's segment values.
    pub(super) applies: Vec<bool>,
    /// What it does.
    pub(super) change: CellChange,
}

/// What an effect does to a cell.
pub(super) enum CellChange {
    /// Y becomes `scale * Y + shift * X`.
    Affine { shift: f64, scale: f64 },
    /// Adds this to Y, per cell: flipped outcomes, drawn once for the log.
    Add(Vec<f64>),
    /// A request is above threshold `t` when its bin is greater than the moved one.
    MovedThresholds(Vec<f64>),
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
        let holds = |cell: usize| wanted.iter().all(|(column, held)| held[cells.segment[*column][cell] as usize]);
        let change = match (written.change, &cells.metrics[written.metric]) {
            (Change::Flip(share), FlatMetric::Sums(at)) => {
                let better = scenario.metrics[written.metric].better;
                CellChange::Add(flips(share, better, *at, cells, digest, scenario.simulation.seed ^ effect as u64))
            }
            (Change::Shift(shift), FlatMetric::Sums(_)) => CellChange::Affine { shift, scale: 1.0 },
            (Change::Scale(scale), FlatMetric::Sums(_)) => CellChange::Affine { shift: 0.0, scale },
            (change, FlatMetric::Bins(_)) => {
                CellChange::MovedThresholds(moved_thresholds(change, &shapes[written.metric]))
            }
        };
        let onset = usize::try_from(written.onset.0 / digest.slot.0).expect("onsets are not negative");
        Self { onset, applies: (0..cells.len()).map(holds).collect(), change }
    }
}

/// Thresholds (as bins) at which stable's requests are asked instead of the changed ones.
fn moved_thresholds(change: Change, shape: &Shape) -> Vec<f64> {
    let Shape::Grid(grid) = shape else { unreachable!("bins belong to a quantile metric") };
    let moved = |value: f64| match change {
        Change::Shift(amount) => value - amount,
        Change::Scale(factor) => value / factor,
        Change::Flip(_) => value,
    };
    let as_bin =
        |value: f64| if value < 0.0 { f64::NEG_INFINITY } else { (bins::BINS_PER_OCTAVE * value.log2()).round() };
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
            let trials = good.max(0.0).round() as u64;
            if trials == 0 {
                return 0.0;
            }
            let mut rng = ChaCha8Rng::seed_from_u64(cell_seed(cells, digest, cell, seed));
            let draw = Binomial::new(trials, share).expect("flip shares lie in (0, 1]").sample(&mut rng);
            sign * draw as f64
        })
        .collect()
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
    xxh3_64_with_seed(&key, seed)
}
