//! What the rows of a block add to their cells: masks, numbers and sums of a plan, one after the other.

use fearless_simd::{Level, dispatch};
use polars::prelude::ChunkedArray;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::plan::{Mask, Number, Plan, Sum};
use super::tally::Rows;
use crate::domain::version::Version;

/// Rows that are worked on together: all that is known of them stays in the nearest cache.
pub(super) const BLOCK: usize = 64;

/// Of each row of a block all bits, or none.
type Bits = [u64; BLOCK];

/// Room for a block.
#[derive(Debug, Clone, Default)]
pub(super) struct Block {
    masks: Vec<Bits>,
    numbers: Vec<[f64; BLOCK]>,
    /// Row by row: 1, then a summand of each sum.
    summands: Vec<i64>,
    width: usize,
}

impl Block {
    pub(super) fn new(plan: &Plan) -> Self {
        let width = 1 + plan.sums.len();
        Self {
            masks: vec![[0; BLOCK]; plan.masks.len()],
            numbers: vec![[1.0; BLOCK]; plan.numbers.len()],
            summands: vec![1; BLOCK * width],
            width,
        }
    }

    /// Whether each row is in a mask.
    pub(super) fn mask(&self, mask: usize) -> impl Iterator<Item = bool> {
        self.masks[mask].iter().map(|&bits| bits != 0)
    }

    /// What each of the first rows adds to its cell.
    pub(super) fn summands(&self, rows: usize) -> impl Iterator<Item = &[i64]> {
        self.summands.chunks_exact(self.width).take(rows)
    }

    /// Works the plan out for at most [`BLOCK`] rows.
    pub(super) fn fill(&mut self, plan: &Plan, rows: &Rows, places: &[u32]) {
        for (index, mask) in plan.masks.iter().enumerate() {
            let (made, rest) = self.masks.split_at_mut(index);
            fill_mask(&mut rest[0], *mask, made, plan, rows, places);
        }
        for (numbers, number) in self.numbers.iter_mut().zip(&plan.numbers) {
            let (column, threshold) = match *number {
                Number::One => continue,
                Number::Value(column) => (column, None),
                Number::Above(column, threshold) => (column, Some(threshold)),
            };
            let values = rows.values[column].downcast_as_array().values();
            for (number, &row) in numbers.iter_mut().zip(places) {
                *number = values[row as usize];
            }
            if let Some(threshold) = threshold {
                for number in &mut numbers[..] {
                    *number = if *number > threshold { 1.0 } else { 0.0 };
                }
            }
        }
        dispatch!(Level::new(), _simd => self.sum(plan));
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "instructions are chosen by the caller")]
    fn sum(&mut self, plan: &Plan) {
        for (index, sum) in plan.sums.iter().enumerate() {
            let summands = match *sum {
                Sum::Count(mask) => self.masks[mask].map(|bits| (bits & 1) as i64),
                Sum::Product { mask, factors: [a, b], quantum } => {
                    multiples(&self.masks[mask], &self.numbers[a], &self.numbers[b], 1.0 / quantum)
                }
            };
            for (row, summand) in self.summands.chunks_exact_mut(self.width).zip(&summands) {
                row[1 + index] = *summand;
            }
        }
    }
}

/// All bits, or none.
fn bits(is_in: bool) -> u64 {
    0_u64.wrapping_sub(u64::from(is_in))
}

fn fill_mask(mask: &mut Bits, which: Mask, made: &[Bits], plan: &Plan, rows: &Rows, places: &[u32]) {
    match which {
        Mask::All => mask.fill(u64::MAX),
        Mask::Measured(column) => match rows.values[column].downcast_as_array().validity() {
            None => mask.fill(u64::MAX),
            Some(valid) => {
                for (is_in, &row) in mask.iter_mut().zip(places) {
                    *is_in = bits(valid.get_bit(row as usize));
                }
            }
        },
        Mask::Served(version) => {
            let by_candidate = rows.served.as_ref().map(ChunkedArray::downcast_as_array);
            for (is_in, &row) in mask.iter_mut().zip(places) {
                let served = by_candidate.and_then(|served| served.get(row as usize));
                *is_in = bits(served == Some(version == Version::Candidate));
            }
        }
        Mask::FirstTurn => {
            let first = rows.first_turn.as_ref().map(ChunkedArray::downcast_as_array);
            for (is_in, &row) in mask.iter_mut().zip(places) {
                *is_in = bits(first.and_then(|first| first.get(row as usize)) == Some(true));
            }
        }
        Mask::Drawn(share) => {
            for (is_in, &row) in mask.iter_mut().zip(places) {
                *is_in = bits(draw(rows, row as usize, plan.seed) < share);
            }
        }
        Mask::Both(a, b) => {
            for ((is_in, a), b) in mask.iter_mut().zip(&made[a]).zip(&made[b]) {
                *is_in = a & b;
            }
        }
        Mask::Either(a, b) => {
            for ((is_in, a), b) in mask.iter_mut().zip(&made[a]).zip(&made[b]) {
                *is_in = a | b;
            }
        }
    }
}

/// The products of two numbers, rounded to a whole number of quanta, halves to even; 0 outside the mask.
#[inline(always)]
fn multiples(mask: &Bits, a: &[f64; BLOCK], b: &[f64; BLOCK], per_quantum: f64) -> [i64; BLOCK] {
    // Added to this, a number below 2^51 loses its fraction, and the last bits of the sum are the whole number.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    std::array::from_fn(|row| {
        let multiple = f64::from_bits((a[row] * b[row] * per_quantum).to_bits() & mask[row]);
        ((multiple + SHIFT).to_bits() as i64).wrapping_sub(SHIFT.to_bits() as i64)
    })
}

/// A number in [0, 1) for each request, which a judge that samples compares with its share: a hash of the request's id, or
/// of unit and time where it has none, so that neither the order of rows nor other requests matter. Judges draw alike: a
/// smaller sample is part of a larger one.
fn draw(rows: &Rows, row: usize, seed: u64) -> f64 {
    let request = rows.request.as_ref().and_then(|requests| requests.downcast_as_array().get(row));
    let hash = if let Some(request) = request {
        xxh3_64_with_seed(request.as_bytes(), seed)
    } else {
        let time = rows.time.downcast_as_array().value(row);
        let unit = rows.unit.downcast_as_array().value(row);
        xxh3_64_with_seed(&[unit.as_bytes(), &[0], &time.to_le_bytes()].concat(), seed)
    };
    // 53 bits fill a number in [0, 1) exactly.
    (hash >> 11) as f64 * 2_f64.powi(-53)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_even_numbers() {
        let numbers = [0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 0.499_999_999_999_999_94, 1e12 + 0.5, -1e12 - 1.5, 41.7];
        let mut products = [f64::NAN; BLOCK];
        let mut mask = [0; BLOCK];
        products[..numbers.len()].copy_from_slice(&numbers);
        mask[..numbers.len()].fill(u64::MAX);
        // A quarter of twice a half, and so on: as exact as the numbers are.
        let found = multiples(&mask, &products, &[0.25; BLOCK], 4.0);
        for (number, found) in numbers.iter().zip(found) {
            assert_eq!(found, number.round_ties_even() as i64, "{number}");
        }
        assert!(found[numbers.len()..].iter().all(|&outside| outside == 0));
    }
}
