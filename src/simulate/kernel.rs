//! The inner loops: what rows add to the sums of a few lanes at a time, with the widest instructions the processor has.
//!
//! A sum is never fused with its product and rows come in order, so every instruction set gives the same bytes, and so does every
//! division of the rows into calls.

use fearless_simd::{Level, Simd, SimdBase, dispatch, f64x4};

/// Lanes that are added to together: as many as one start has in a usual run.
pub(super) const LANES: usize = 4;

/// One number of each lane.
pub(super) type Lanes = [f64; LANES];

/// Numbers of a row come in bundles of so many. The sums of two bundles stay in registers while rows pass.
pub(super) const BUNDLE: usize = 5;

/// Sums of one interval between thresholds.
pub(super) type Interval = [Lanes; 3];

/// A row of numbers, and the row of weights of its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    pub(super) numbers: u32,
    pub(super) weight: u32,
}

/// Rows of numbers, as many bundles each.
#[derive(Clone, Copy)]
pub(super) struct Numbers<'a> {
    pub(super) bundles: &'a [[f64; BUNDLE]],
    pub(super) per_row: usize,
}

/// What rows add to intervals.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Of rows that add anything: where their entries end.
    pub(super) rows: Vec<EntryRow>,
    pub(super) full: Vec<Entry>,
    /// To the last sum of an interval alone.
    pub(super) last: Vec<(u32, f64)>,
}

/// The row of weights of a row's unit, and how far its entries go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct EntryRow {
    pub(super) weight: u32,
    pub(super) full_end: u32,
    pub(super) last_end: u32,
}

/// What a row adds to an interval's sums.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    pub(super) interval: u32,
    pub(super) values: [f64; 3],
}

/// One weight per row and lane, and which rows have any.
#[derive(Debug, Default)]
pub(super) struct RowWeights {
    pub(super) lanes: Vec<Lanes>,
    pub(super) any: Vec<bool>,
}

impl RowWeights {
    pub(super) fn clear(&mut self) {
        self.lanes.clear();
        self.any.clear();
    }

    pub(super) fn push(&mut self, weights: [u8; LANES]) {
        self.lanes.push(weights.map(f64::from));
        self.any.push(weights != [0; LANES]);
    }
}

impl Entries {
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.full.clear();
        self.last.clear();
    }

    /// Ends a row.
    pub(super) fn end_row(&mut self, weight: u32) {
        let (full_end, last_end) = (self.full.len() as u32, self.last.len() as u32);
        if self.rows.last().map_or((0, 0), |row| (row.full_end, row.last_end)) != (full_end, last_end) {
            self.rows.push(EntryRow { weight, full_end, last_end });
        }
    }
}

/// Adds the first `sums.len()` numbers of each row, times its weights; whole bundles.
pub(super) fn add_rows(level: Level, sums: &mut [Lanes], numbers: Numbers<'_>, rows: &[Row], weights: &[Lanes]) {
    if !rows.is_empty() {
        dispatch!(level, simd => bundles(simd, sums, numbers, rows, weights));
    }
}

/// Adds the entries of rows that have weights.
pub(super) fn add_entries(level: Level, sums: &mut [Interval], entries: &Entries, weights: &RowWeights) {
    if !entries.rows.is_empty() {
        dispatch!(level, simd => intervals(simd, sums, entries, weights));
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "instructions are chosen by the caller")]
fn bundles<S: Simd>(simd: S, sums: &mut [Lanes], numbers: Numbers<'_>, rows: &[Row], weights: &[Lanes]) {
    let (sums, _) = sums.as_chunks_mut::<BUNDLE>();
    let (pairs, odd) = sums.as_chunks_mut::<2>();
    let paired = 2 * pairs.len();
    for (index, pair) in pairs.iter_mut().enumerate() {
        add_bundles(simd, pair, 2 * index, numbers, rows, weights);
    }
    for (index, bundle) in odd.iter_mut().enumerate() {
        add_bundles(simd, std::array::from_mut(bundle), paired + index, numbers, rows, weights);
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "instructions are chosen by the caller")]
fn add_bundles<S: Simd, const N: usize>(
    simd: S,
    sums: &mut [[Lanes; BUNDLE]; N],
    first: usize,
    numbers: Numbers<'_>,
    rows: &[Row],
    weights: &[Lanes],
) {
    let mut kept = sums.map(|bundle| bundle.map(|sum| f64x4::from_slice(simd, &sum)));
    for row in rows {
        let at = row.numbers as usize * numbers.per_row + first;
        let bundles = &numbers.bundles[at..at + N];
        let weights = f64x4::from_slice(simd, &weights[row.weight as usize]);
        for (kept, bundle) in kept.iter_mut().zip(bundles) {
            for (kept, &number) in kept.iter_mut().zip(bundle) {
                *kept += f64x4::splat(simd, number) * weights;
            }
        }
    }
    for (bundle, kept) in sums.iter_mut().zip(kept) {
        for (sum, kept) in bundle.iter_mut().zip(kept) {
            kept.store_slice(sum);
        }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "instructions are chosen by the caller")]
fn intervals<S: Simd>(simd: S, sums: &mut [Interval], entries: &Entries, weights: &RowWeights) {
    let (mut full, mut last) = (0, 0);
    for row in &entries.rows {
        let (full_end, last_end) = (row.full_end as usize, row.last_end as usize);
        if weights.any[row.weight as usize] {
            let weights = f64x4::from_slice(simd, &weights.lanes[row.weight as usize]);
            let add = |sum: &mut Lanes, value: f64| {
                (f64x4::from_slice(simd, sum) + f64x4::splat(simd, value) * weights).store_slice(sum);
            };
            for entry in &entries.full[full..full_end] {
                let sums = &mut sums[entry.interval as usize];
                sums.iter_mut().zip(entry.values).for_each(|(sum, value)| add(sum, value));
            }
            for &(interval, value) in &entries.last[last..last_end] {
                add(&mut sums[interval as usize][2], value);
            }
        }
        (full, last) = (full_end, last_end);
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
    fn plainly(sums: &mut [Lanes], numbers: Numbers<'_>, rows: &[Row], weights: &[Lanes]) {
        for row in rows {
            for (index, sums) in sums.iter_mut().enumerate() {
                let number = numbers.bundles[row.numbers as usize * numbers.per_row + index / BUNDLE][index % BUNDLE];
                for (sum, weight) in sums.iter_mut().zip(weights[row.weight as usize]) {
                    *sum += number * weight;
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_bytes_of_plain_loops() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut number = || rng.random::<f64>() * 1e3 - 300.0;
        let bundles: Vec<[f64; BUNDLE]> = (0..90 * 7).map(|_| std::array::from_fn(|_| number())).collect();
        let lanes: Vec<Lanes> = (0..60)
            .map(|i| std::array::from_fn(|_| if i % 5 == 0 { 0.0 } else { (number() / 200.0).round().abs() }))
            .collect();
        let weights = RowWeights { any: lanes.iter().map(|lanes| lanes.iter().any(|&w| w > 0.0)).collect(), lanes };
        let rows: Vec<Row> = (0..90).step_by(2).map(|row| Row { numbers: row, weight: row / 2 }).collect();
        let numbers = Numbers { bundles: &bundles, per_row: 7 };
        let mut entries = Entries::default();
        for weight in 0..60 {
            for i in 0..weight % 4 {
                let interval = (weight + i) * 7 % 11;
                entries.full.push(Entry { interval, values: std::array::from_fn(|_| number()) });
                entries.last.push(((interval + 3) % 11, number()));
            }
            entries.end_row(weight);
        }
        assert_eq!(entries.rows.len(), 45, "rows without entries are left out");
        let mut expected = vec![[0.5; LANES]; 3 * BUNDLE];
        plainly(&mut expected, numbers, &rows, &weights.lanes);
        let mut expected_intervals = vec![[[0.25; LANES]; 3]; 11];
        let (mut full, mut last) = (0, 0);
        for row in &entries.rows {
            let weights = weights.lanes[row.weight as usize];
            let add = |sums: &mut Lanes, value: f64| {
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += value * weight);
            };
            for entry in &entries.full[full..row.full_end as usize] {
                let sums: &mut Interval = &mut expected_intervals[entry.interval as usize];
                sums.iter_mut().zip(entry.values).for_each(|(sum, value)| add(sum, value));
            }
            for &(interval, value) in &entries.last[last..row.last_end as usize] {
                add(&mut expected_intervals[interval as usize][2], value);
            }
            (full, last) = (row.full_end as usize, row.last_end as usize);
        }
        for level in levels() {
            let mut sums = vec![[0.5; LANES]; 3 * BUNDLE];
            add_rows(level, &mut sums, numbers, &rows[..20], &weights.lanes);
            add_rows(level, &mut sums, numbers, &rows[20..], &weights.lanes);
            assert_eq!(sums, expected, "{level:?}");
            let mut intervals = vec![[[0.25; LANES]; 3]; 11];
            add_entries(level, &mut intervals, &entries, &weights);
            assert_eq!(intervals, expected_intervals, "{level:?}");
        }
    }
}
