//! Values of a quantile metric as logarithmic bins, the same for every log, so that digests merge.

/// Bins per doubling of the value: a bin is 1.1 % wide.
pub const BINS_PER_OCTAVE: f64 = 64.0;

/// The bin of zero.
pub const ZERO_BIN: i16 = i16::MIN;

/// Bin of a value: `ceil(64 log2 v)`, so that `v > edge(b)` exactly when `bin(v) > b`.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "clamped to the range of i16")]
pub fn bin(value: f64) -> i16 {
    if value <= 0.0 {
        return ZERO_BIN;
    }
    // 64 log2 of any positive f64 lies within ±69,000; values below 2^-511 or above 2^511 share the outermost bins.
    (BINS_PER_OCTAVE * value.log2()).ceil().clamp(f64::from(i16::MIN + 1), f64::from(i16::MAX)) as i16
}

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
    }
}
