//! (unit, salt, exposure) → version, sticky. Pure; raising exposure only ever adds units.
//!
//! [`platforms`] has a file for each flag platform or proxy, bit for bit; [`values`] is what a platform is told, [`buckets`] puts
//! its buckets in place of units, and [`overrides`] gives some units a version of their own.

pub mod buckets;
mod hashes;
pub mod overrides;
pub mod platforms;
pub mod values;

use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

pub use buckets::Buckets;
pub use platforms::Platform;

use crate::domain::quantity::Fraction;
use crate::domain::version::Version;
use crate::scenario::Assignment;

/// The place of a unit that the platform serves the candidate at no exposure.
pub const NEVER: f64 = 1.0;

/// The place of a unit that has the candidate at every exposure: an override.
pub const ALWAYS: f64 = -1.0;

/// A flag platform's hash: where a unit lies in the assignment space, and from which exposure on it has the candidate.
pub trait Bucketing: Send + Sync {
    /// The unit's place in `[0, 1)`, or [`NEVER`], or [`ALWAYS`].
    fn place(&self, unit: &str) -> f64;

    /// Number of equal steps in which exposure can be set; `None` where it is as fine as the number type.
    fn steps(&self) -> Option<u32>;

    /// Whether a unit at this place has the candidate: the platform's own comparison, in its own precision.
    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        place < exposure.get()
    }

    /// What is hashed and what comes of it, for people.
    fn hashed(&self, unit: &str) -> Hashed;

    /// What the bucket is compared with, for people.
    fn threshold(&self, exposure: Fraction) -> String {
        format!("below {}", exposure.get())
    }

    /// The share of places that has the candidate at an exposure: the exposure, but for steps, rounding and inclusive comparisons.
    fn served(&self, exposure: Fraction) -> f64 {
        let Some(steps) = self.steps() else { return exposure.get() };
        // Places are served from 0 on.
        let (mut served, mut not_served) = (0, steps);
        while served < not_served {
            let middle = u32::midpoint(served, not_served);
            if self.serves(inside(middle, steps), exposure) {
                served = middle + 1;
            } else {
                not_served = middle;
            }
        }
        f64::from(served) / f64::from(steps)
    }

    /// What users of the platform should know: a code and a text.
    fn caution(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// Whether releases of the platform disagree on names beyond ASCII.
    fn ascii_only(&self) -> bool {
        false
    }

    /// The version that serves a unit: sticky, nested when exposure grows.
    fn version(&self, unit: &str, exposure: Fraction) -> Version {
        if self.serves(self.place(unit), exposure) { Version::Candidate } else { Version::Stable }
    }
}

/// From a unit to its bucket, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// What is hashed.
    pub text: String,
    /// Name of the hash and its value.
    pub hash: String,
    /// What the platform makes of it.
    pub bucket: String,
}

/// A place within a step, where no rounding takes it for the step before.
fn inside(step: u32, steps: u32) -> f64 {
    (f64::from(step) + 1e-6) / f64::from(steps)
}

/// An exposure as a multiple of `1 / parts`: 7 % of 100 is 7, whatever the last bit of 0.07 is.
pub(crate) fn scaled(exposure: Fraction, parts: f64) -> f64 {
    /// Finer than any platform's exposure.
    const FINEST: f64 = 1e11;
    (exposure.get() * FINEST).round() * parts / FINEST
}

/// An exposure in per cent, as a platform's configuration holds it.
pub(crate) fn percent(exposure: Fraction) -> f64 {
    scaled(exposure, 100.0)
}

/// The nearest step of an exposure: of platforms that keep whole numbers.
pub(crate) fn nearest(exposure: Fraction, parts: u32) -> f64 {
    scaled(exposure, f64::from(parts)).round()
}

/// Keyed 64-bit hash for re-randomisation: another key, another assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyedHash {
    /// The salt of a replicate.
    pub key: u64,
}

impl KeyedHash {
    /// The key of one replicate.
    #[must_use]
    pub fn of_replicate(seed: u64, replicate: u64) -> Self {
        Self { key: xxh3_64_with_seed(&replicate.to_le_bytes(), seed) }
    }

    /// A number in `[0, 1)` for a unit (by [`unit_key`]) and a stream: places of its copies, or the draw of how many there are.
    #[must_use]
    #[inline]
    pub fn uniform(self, unit_key: u64, stream: u32) -> f64 {
        // The upper 53 bits are the mantissa.
        (xxh3_of_twelve_bytes(unit_key, stream, self.key) >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }
}

/// XXH3 of eight bytes and four, as [`xxh3_64_with_seed`] gives it: that reads them from memory again, the last eight together, for which a
/// processor that has just written them must wait.
#[inline]
fn xxh3_of_twelve_bytes(first: u64, last: u32, seed: u64) -> u64 {
    // Of the default secret: bytes 24 to 40 and 40 to 56.
    const LOW: u64 = 0x1f67_b3b7_a4a4_4072 ^ 0x78e5_c0cc_4ee6_79cb;
    const HIGH: u64 = 0x2172_ffcc_7dd0_5a82 ^ 0x8e24_43f7_7446_08b8;
    let low = first ^ LOW.wrapping_add(seed);
    let high = (first >> 32 | u64::from(last) << 32) ^ HIGH.wrapping_sub(seed);
    let product = u128::from(low) * u128::from(high);
    let folded = product as u64 ^ (product >> 64) as u64;
    let sum = low.swap_bytes().wrapping_add(high).wrapping_add(folded).wrapping_add(12);
    let mixed = (sum ^ sum >> 37).wrapping_mul(0x1656_6791_9e37_79f9);
    mixed ^ mixed >> 32
}

impl Bucketing for KeyedHash {
    fn place(&self, unit: &str) -> f64 {
        self.uniform(unit_key(unit), 0)
    }

    fn steps(&self) -> Option<u32> {
        None
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let place = self.place(unit);
        Hashed { text: unit.into(), hash: format!("xxh3 {:016x}", unit_key(unit)), bucket: place.to_string() }
    }
}

/// What stands for a unit in [`KeyedHash::uniform`]: its name, hashed once.
#[must_use]
pub fn unit_key(unit: &str) -> u64 {
    xxh3_64(unit.as_bytes())
}

/// The production assignment of what a scenario's cells have: units, or buckets in place of them.
#[must_use]
pub fn production(assignment: &Assignment) -> Arc<dyn Bucketing> {
    match Buckets::of(assignment) {
        Some(buckets) => Arc::new(buckets),
        None => of_units(assignment),
    }
}

/// The production assignment of units, with those that have a version of their own.
#[must_use]
pub fn of_units(assignment: &Assignment) -> Arc<dyn Bucketing> {
    overrides::over(assignment.platform.bucketing(), &assignment.overrides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exposures_are_the_decimals_that_were_written() {
        for hundredths in 0..=10_000_u32 {
            let written = f64::from(hundredths) / 100.0;
            // As the scenario reads "7%".
            let exposure = Fraction::new(written / 100.0).unwrap();
            assert_eq!(percent(exposure).to_bits(), written.to_bits());
            assert_eq!(nearest(exposure, 10_000) as u32, hundredths);
        }
    }

    #[test]
    fn twelve_bytes_are_hashed_as_the_library_hashes_them() {
        for number in 0..1000_u64 {
            let (first, seed) = (unit_key(&number.to_string()), KeyedHash::of_replicate(3, number).key);
            for last in [0, 1, 77, u32::MAX - 1, u32::MAX] {
                let bytes = [first.to_le_bytes().as_slice(), &last.to_le_bytes()].concat();
                assert_eq!(xxh3_of_twelve_bytes(first, last, seed), xxh3_64_with_seed(&bytes, seed));
            }
        }
    }

    #[test]
    fn places_of_units_copies_and_replicates_are_uniform_and_unrelated() {
        let n = 20_000_u64;
        let mean_of = |f: &dyn Fn(u64) -> f64| (0..n).map(f).sum::<f64>() / n as f64;
        let by_unit = mean_of(&|i| KeyedHash { key: 7 }.uniform(unit_key(&i.to_string()), 0));
        let by_copy = mean_of(&|i| KeyedHash { key: 7 }.uniform(1, i as u32));
        let by_replicate = mean_of(&|i| KeyedHash::of_replicate(7, i).uniform(1, 0));
        let product = mean_of(&|i| {
            let hash = KeyedHash::of_replicate(7, i);
            (hash.uniform(1, 0) - 0.5) * (hash.uniform(2, 0) - 0.5)
        });
        // Five standard errors: 0.0102 for a mean of uniforms, 0.0029 for the product.
        for mean in [by_unit, by_copy, by_replicate] {
            assert!((mean - 0.5).abs() < 0.0102, "{mean}");
        }
        assert!(product.abs() < 0.003, "{product}");
    }
}
