//! Values of a quantile metric as logarithmic bins, the same for every log, so that digests merge.

use std::sync::LazyLock;

use rayon::prelude::*;

/// Bins per doubling of the value: a bin is 1.1 % wide.
pub const BINS_PER_OCTAVE: f64 = 64.0;

/// The bin of zero.
pub const ZERO_BIN: i16 = i16::MIN;

/// Bin of a value: `ceil(64 log2 v)`, so that `v > edge(b)` exactly when `bin(v) > b`.
///
/// The exponent of the number gives the octave. Edges lie further apart than 1/128 of it, so that at most one is between a
/// mantissa's first seven bits and the next: whether it is passed gives the bin.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "clamped to the range of i16")]
pub fn bin(value: f64) -> i16 {
    if value <= 0.0 {
        return ZERO_BIN;
    }
    let bits = value.to_bits();
    let (before, edge) = EDGES[(bits >> 45 & 127) as usize];
    // A number too small for a mantissa of its own has an exponent below that of any other, as it should.
    let octave = (bits >> 52) as i32 - 1023;
    let bin = 64 * octave + before + i32::from(bits & MANTISSA > edge);
    // Values below 2^-511 or above 2^511 share the outermost bins.
    bin.clamp(i32::from(i16::MIN) + 1, i32::from(i16::MAX)) as i16
}

/// Bits of a number after its exponent.
const MANTISSA: u64 = (1 << 52) - 1;

/// By a mantissa's first seven bits: how many edges of an octave lie before it, and the mantissa of the next edge.
static EDGES: LazyLock<[(i32, u64); 128]> = LazyLock::new(|| {
    std::array::from_fn(|start| {
        let start = (start as u64) << 45;
        let mantissa = |bin: i16| edge(bin).to_bits() & MANTISSA;
        let before = (0..64).take_while(|&bin| mantissa(bin) < start).count();
        let next = (0..64).map(mantissa).nth(before);
        (before as i32, next.unwrap_or(MANTISSA))
    })
});

/// Upper edge of a bin, which belongs to it: `2^(b/64)`.
#[must_use]
pub fn edge(bin: i16) -> f64 {
    if bin == ZERO_BIN { 0.0 } else { (f64::from(bin) / BINS_PER_OCTAVE).exp2() }
}

/// The bins of every request of every cell, sorted within a cell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BinLists {
    /// `offsets[c]..offsets[c + 1]` are the bins of cell `c`.
    pub offsets: Vec<u32>,
    /// One bin per request.
    pub bins: Vec<i16>,
}

impl BinLists {
    /// The bins of a cell.
    #[must_use]
    pub fn of(&self, cell: usize) -> &[i16] {
        &self.bins[self.offsets[cell] as usize..self.offsets[cell + 1] as usize]
    }

    /// The same, sorted within each cell.
    pub(super) fn sorted(mut self) -> Self {
        /// Cells that are sorted together.
        const TOGETHER: usize = 1 << 12;
        let mut rest = &mut self.bins[..];
        let mut parts = Vec::new();
        let last = self.offsets.len().saturating_sub(1);
        for start in (0..last).step_by(TOGETHER) {
            let offsets = &self.offsets[start..=last.min(start + TOGETHER)];
            let (bins, later) = rest.split_at_mut((offsets[offsets.len() - 1] - offsets[0]) as usize);
            parts.push((offsets, bins));
            rest = later;
        }
        parts.into_par_iter().for_each(|(offsets, bins)| {
            for cell in offsets.windows(2) {
                bins[(cell[0] - offsets[0]) as usize..(cell[1] - offsets[0]) as usize].sort_unstable();
            }
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_in_its_bin() {
        for value in [1e-9, 0.5, 1.0, 1.0001, 19_740.0, 60_000.0, 1e12] {
            let b = bin(value);
            assert!(value <= edge(b) * (1.0 + 1e-12) && value > edge(b - 1) * (1.0 - 1e-12), "{value} in bin {b}");
        }
        assert_eq!(bin(0.0), ZERO_BIN);
        assert_eq!(bin(1.0), 0);
        assert_eq!((bin(5e-324), bin(1e-200), bin(1e200)), (i16::MIN + 1, i16::MIN + 1, i16::MAX));
    }

    #[test]
    fn a_bin_is_64_times_the_logarithm_rounded_up() {
        let mut bits = 7_u64;
        for _ in 0..100_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // From 2^-64 to 2^64, at any mantissa.
            let value = f64::from_bits((959 + (bits >> 57)) << 52 | bits & MANTISSA);
            let expected = (BINS_PER_OCTAVE * value.log2()).ceil();
            assert_eq!(i64::from(bin(value)), expected as i64, "{value:e}");
        }
        for power in -500..500 {
            assert_eq!(i32::from(bin(2_f64.powi(power))), 64 * power);
        }
        for b in -1000..1000 {
            assert_eq!((bin(edge(b) * (1.0 - 1e-15)), bin(edge(b) * (1.0 + 1e-15))), (b, b + 1));
        }
    }
}
