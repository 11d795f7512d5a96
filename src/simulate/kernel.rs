//! The inner loops: what rows add to the sums of eight lanes at a time, with the widest instructions the processor has.
//!
//! A sum is never fused with its product and rows come in order, so every instruction set gives the same bytes, and so does every
//! division of the rows into calls.

use fearless_simd::{Level, Simd, SimdBase, dispatch, f64x8};

/// Lanes that are added to together: one wide register of doubles.
pub(super) const LANES: usize = 8;

/// One number of each lane.
pub(super) type Octet = [f64; LANES];

/// As many sums of eight lanes as stay in registers, beside the weights, while rows pass.
pub(super) const TILE: usize = 6;

/// Sums that are added to together.
pub(super) type Tile = [Octet; TILE];

/// Sums of one interval between thresholds.
pub(super) type Interval = [Octet; 3];

/// What a row adds to an interval's sums.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    /// Of which row's unit.
    pub(super) weight: u32,
    pub(super) interval: u32,
    pub(super) values: [f64; 3],
}

/// A row of values, and the row of weights of its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    pub(super) values: u32,
    pub(super) weight: u32,
}

/// Values of rows, as many tiles each.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) tiles: &'a [[f64; TILE]],
    pub(super) per_row: usize,
}

/// Adds the first tiles of each row, as many as there are sums, times its weights.
pub(super) fn add_tiles(level: Level, sums: &mut [Tile], values: Values<'_>, rows: &[Row], weights: &[Octet]) {
    dispatch!(level, simd => tiles(simd, sums, values, rows, weights));
}

/// Copies of a unit, in the arms and on the candidate.
pub(super) type Copies = [[u8; LANES]; 2];

/// Weights of rows: of these units, by the order in which they were met.
pub(super) fn weigh(level: Level, met: &[Copies], units: &[u32], mut to: [&mut RowWeights; 2]) {
    for weights in &mut to {
        weights.resize(units.len());
    }
    dispatch!(level, _simd => weights(met, units, to));
}

/// One weight per row and lane, and which rows have any.
#[derive(Default)]
pub(super) struct RowWeights {
    pub(super) lanes: Vec<Octet>,
    pub(super) any: Vec<bool>,
}

impl RowWeights {
    /// Room for so many rows.
    fn resize(&mut self, rows: usize) {
        self.lanes.resize(rows, [0.0; LANES]);
        self.any.resize(rows, false);
    }
}

/// Adds entries, times their units' weights, of units that have `any`.
pub(super) fn add_entries(level: Level, sums: &mut [Interval], entries: &[Entry], weights: &[Octet], any: &[bool]) {
    dispatch!(level, simd => intervals(simd, sums, entries, weights, any));
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "instructions are chosen by the caller")]
fn tiles<S: Simd>(simd: S, sums: &mut [Tile], values: Values<'_>, rows: &[Row], weights: &[Octet]) {
    for (index, sums) in sums.iter_mut().enumerate() {
        let mut kept = sums.map(|sum| f64x8::from_slice(simd, &sum));
        for row in rows {
            let row_values = &values.tiles[row.values as usize * values.per_row + index];
            let weights = f64x8::from_slice(simd, &weights[row.weight as usize]);
            for (kept, &value) in kept.iter_mut().zip(row_values) {
                *kept += f64x8::splat(simd, value) * weights;
            }
        }
        for (sum, kept) in sums.iter_mut().zip(kept) {
            kept.store_slice(sum);
        }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "instructions are chosen by the caller")]
fn weights(met: &[Copies], units: &[u32], weights: [&mut RowWeights; 2]) {
    for (of, RowWeights { lanes, any }) in weights.into_iter().enumerate() {
        for ((&unit, lanes), any) in units.iter().zip(lanes).zip(any) {
            let counts = met[unit as usize][of];
            for (weight, count) in lanes.iter_mut().zip(counts) {
                *weight = f64::from(count);
            }
            *any = u64::from_ne_bytes(counts) != 0;
        }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "instructions are chosen by the caller")]
fn intervals<S: Simd>(simd: S, sums: &mut [Interval], entries: &[Entry], weights: &[Octet], any: &[bool]) {
    for entry in entries.iter().filter(|entry| any[entry.weight as usize]) {
        let weights = f64x8::from_slice(simd, &weights[entry.weight as usize]);
        for (sum, &value) in sums[entry.interval as usize].iter_mut().zip(&entry.values) {
            (f64x8::from_slice(simd, sum) + f64x8::splat(simd, value) * weights).store_slice(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Every instruction set of the machine that runs the test.
    fn levels() -> Vec<Level> {
        let level = Level::new();
        let mut levels = vec![level];
        #[cfg(target_arch = "x86_64")]
        levels.extend(
            [level.as_sse2().map(Level::Sse2), level.as_sse4_2().map(Level::Sse4_2), level.as_avx2().map(Level::Avx2)]
                .into_iter()
                .flatten(),
        );
        levels
    }

    /// Plain loops over the same rows.
    fn plainly(sums: &mut [Tile], values: Values<'_>, rows: &[Row], weights: &[Octet]) {
        for row in rows {
            for (index, tile) in sums.iter_mut().enumerate() {
                for (number, sums) in tile.iter_mut().enumerate() {
                    for (lane, sum) in sums.iter_mut().enumerate() {
                        let value = values.tiles[row.values as usize * values.per_row + index][number];
                        *sum += value * weights[row.weight as usize][lane];
                    }
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_bytes_of_plain_loops() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut number = || rng.random::<f64>() * 1e3 - 300.0;
        let tiles: Vec<[f64; TILE]> = (0..90 * 7).map(|_| std::array::from_fn(|_| number())).collect();
        let mut weights: Vec<Octet> =
            (0..60).map(|_| std::array::from_fn(|_| (number() / 200.0).round().abs())).collect();
        weights[7] = [0.0; LANES];
        let any: Vec<bool> = weights.iter().map(|weights| weights.iter().any(|&weight| weight > 0.0)).collect();
        let rows: Vec<Row> = (0..90).step_by(2).map(|row| Row { values: row, weight: row / 2 }).collect();
        let values = Values { tiles: &tiles, per_row: 7 };
        let entries: Vec<Entry> = (0..300)
            .map(|i| Entry { weight: i % 60, interval: i * 7 % 11, values: std::array::from_fn(|_| number()) })
            .collect();
        let mut expected = vec![[[0.5; LANES]; TILE]; 3];
        plainly(&mut expected, values, &rows, &weights);
        let mut expected_intervals = vec![[[0.25; LANES]; 3]; 11];
        for entry in &entries {
            for (sums, value) in expected_intervals[entry.interval as usize].iter_mut().zip(entry.values) {
                for (sum, weight) in sums.iter_mut().zip(&weights[entry.weight as usize]) {
                    *sum += value * weight;
                }
            }
        }
        let met: Vec<Copies> = (0..60).map(|unit| [[unit / 9; LANES], [0, 3, 0, 0, unit % 5, 0, 0, unit]]).collect();
        for level in levels() {
            let [mut copies, mut exposed] = [RowWeights::default(), RowWeights::default()];
            weigh(level, &met, &[59, 3, 0], [&mut copies, &mut exposed]);
            assert_eq!(
                copies.lanes.iter().map(|lanes| lanes.map(|weight| weight as u8)).collect::<Vec<_>>(),
                [[6; LANES], [0; LANES], [0; LANES]],
                "{level:?}"
            );
            assert_eq!(exposed.lanes[0].map(|weight| weight as u8), [0, 3, 0, 0, 4, 0, 0, 59], "{level:?}");
            assert_eq!((copies.any, exposed.any), (vec![true, false, false], vec![true; 3]), "{level:?}");
            let mut sums = vec![[[0.5; LANES]; TILE]; 3];
            add_tiles(level, &mut sums, values, &rows[..20], &weights);
            add_tiles(level, &mut sums, values, &rows[20..], &weights);
            assert_eq!(sums, expected, "{level:?}");
            let mut intervals = vec![[[0.25; LANES]; 3]; 11];
            add_entries(level, &mut intervals, &entries, &weights, &any);
            assert_eq!(intervals, expected_intervals, "{level:?}");
        }
    }
}
