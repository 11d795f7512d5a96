//! (unit, salt, exposure) → version, sticky. Pure; raising exposure only ever adds units.

use md5::{Digest as _, Md5};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::domain::quantity::Fraction;
use crate::domain::version::Version;
use crate::scenario::{Assignment, HashName};

/// A flag platform's hash: where a unit lies in the assignment space.
pub trait Bucketing {
    /// The unit's place in `[0, 1)`.
    fn place(&self, unit: &str) -> f64;

    /// Number of buckets of the platform; `None` where places are as fine as the number type.
    fn buckets(&self) -> Option<u32>;

    /// What hashed to the place, for people.
    fn hashed_text(&self, unit: &str) -> String;

    /// The version that serves a unit: sticky, nested when exposure grows.
    fn version(&self, unit: &str, exposure: Fraction) -> Version {
        if self.place(unit) < exposure.get() { Version::Candidate } else { Version::Stable }
    }
}

/// `int(md5(salt + unit), 16) % 100`: the digest as one big-endian 128-bit number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Md5Mod100 {
    /// Written before the unit; empty for the unsalted form.
    pub salt: String,
}

impl Md5Mod100 {
    /// The bucket, 0 to 99.
    #[must_use]
    pub fn bucket(&self, unit: &str) -> u32 {
        let digest = Md5::digest(self.hashed_text(unit).as_bytes());
        // 256 is 56 modulo 100: Horner's rule over the bytes keeps the remainder of the 128-bit number.
        digest.iter().fold(0, |remainder, &byte| (remainder * 256 + u32::from(byte)) % 100)
    }
}

impl Bucketing for Md5Mod100 {
    fn place(&self, unit: &str) -> f64 {
        f64::from(self.bucket(unit)) / 100.0
    }

    fn buckets(&self) -> Option<u32> {
        Some(100)
    }

    fn hashed_text(&self, unit: &str) -> String {
        format!("{}{unit}", self.salt)
    }
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
    pub fn uniform(self, unit_key: u64, stream: u32) -> f64 {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&unit_key.to_le_bytes());
        bytes[8..].copy_from_slice(&stream.to_le_bytes());
        // The upper 53 bits are the mantissa.
        (xxh3_64_with_seed(&bytes, self.key) >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }
}

impl Bucketing for KeyedHash {
    fn place(&self, unit: &str) -> f64 {
        self.uniform(unit_key(unit), 0)
    }

    fn buckets(&self) -> Option<u32> {
        None
    }

    fn hashed_text(&self, unit: &str) -> String {
        unit.into()
    }
}

/// What stands for a unit in [`KeyedHash::uniform`]: its name, hashed once.
#[must_use]
pub fn unit_key(unit: &str) -> u64 {
    xxh3_64(unit.as_bytes())
}

/// Buckets in place of units: each bucket of the platform in equal parts, so that production serves all of one alike.
pub struct Buckets {
    platform: Box<dyn Bucketing + Send + Sync>,
    /// Of the platform.
    coarse: u32,
    /// Parts of each.
    parts: u32,
}

impl Buckets {
    /// The buckets of a scenario whose cells have them.
    #[must_use]
    pub fn of(assignment: &Assignment) -> Option<Self> {
        let wanted = assignment.buckets?;
        let platform = platform(assignment);
        let coarse = platform.buckets().unwrap_or(wanted);
        Some(Self { platform, coarse, parts: wanted.div_ceil(coarse) })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.coarse * self.parts
    }

    /// The bucket of a unit, from 0.
    #[must_use]
    pub fn bucket(&self, unit: &str) -> u32 {
        // A place is a bucket's number over the number of buckets, as exact as division is.
        let coarse = (self.platform.place(unit) * f64::from(self.coarse) + 1e-6).floor() as u32;
        coarse.min(self.coarse - 1) * self.parts + self.part(unit_key(unit)) as u32
    }

    /// Which part of its platform's bucket the bucket of a unit is, by the unit's key: that much is told without the platform's
    /// slow hash.
    #[must_use]
    pub fn part(&self, unit_key: u64) -> u64 {
        unit_key % u64::from(self.parts)
    }

    /// A bucket's name, which stands where units have theirs.
    #[must_use]
    pub fn name(bucket: u32) -> String {
        format!("bucket {bucket:07}")
    }
}

impl Bucketing for Buckets {
    /// Of a bucket, by its name.
    fn place(&self, name: &str) -> f64 {
        let number = name.strip_prefix("bucket ").and_then(|number| number.parse::<u32>().ok());
        let bucket = number.unwrap_or_else(|| self.bucket(name));
        f64::from(bucket / self.parts) / f64::from(self.coarse)
    }

    fn buckets(&self) -> Option<u32> {
        self.platform.buckets()
    }

    fn hashed_text(&self, unit: &str) -> String {
        self.platform.hashed_text(unit)
    }
}

/// The production assignment of what a scenario's cells have: units, or buckets in place of them.
#[must_use]
pub fn production(assignment: &Assignment) -> Box<dyn Bucketing + Send + Sync> {
    match Buckets::of(assignment) {
        Some(buckets) => Box::new(buckets),
        None => platform(assignment),
    }
}

/// The production assignment of units.
fn platform(assignment: &Assignment) -> Box<dyn Bucketing + Send + Sync> {
    match assignment.hash {
        HashName::Md5Mod100 => Box::new(Md5Mod100 { salt: assignment.salt.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Python 3.11: int(hashlib.md5(s.encode()).hexdigest(), 16) % 100; reference vectors `naive_md5_mod-p00*`.
    #[test]
    fn md5_buckets_agree_with_python() {
        let unsalted = Md5Mod100 { salt: String::new() };
        for (unit, bucket) in
            [("qaulejcg@example.org", 65), ("anon_107a3b63e2", 48), ("user-506283", 50), ("329808722", 42)]
        {
            assert_eq!(unsalted.bucket(unit), bucket, "{unit}");
        }
    }

    #[test]
    fn a_salt_is_written_before_the_unit() {
        let salted = Md5Mod100 { salt: "user-".into() };
        assert_eq!(salted.bucket("506283"), 50);
    }

    #[test]
    fn a_bucket_is_served_as_its_units_are() {
        let assignment =
            |buckets| Assignment { unit: "u".into(), hash: HashName::Md5Mod100, salt: "s".into(), buckets };
        // Rounded up to a multiple of the platform's 100.
        let buckets = Buckets::of(&assignment(Some(9_950))).unwrap();
        assert_eq!(buckets.count(), 10_000);
        let units = production(&assignment(None));
        let mut seen = std::collections::HashSet::new();
        for unit in (0..50_000).map(|i| format!("user-{i}")) {
            let bucket = buckets.bucket(&unit);
            assert!((buckets.place(&Buckets::name(bucket)) - units.place(&unit)).abs() < 1e-12, "{unit}");
            seen.insert(bucket);
        }
        // Of 10,000 buckets, 50,000 units leave exp(-5) empty: 67.
        assert!((9_890..9_975).contains(&seen.len()), "{}", seen.len());
    }

    proptest! {
        #[test]
        fn raising_exposure_only_adds_units(unit in ".{0,20}", key in any::<u64>(), low in 0.0..1.0f64, more in 0.0..1.0f64) {
            let (low, high) = (Fraction::new(low).unwrap(), Fraction::new(low + (1.0 - low) * more).unwrap());
            for bucketing in [&Md5Mod100 { salt: "s".into() } as &dyn Bucketing, &KeyedHash { key }] {
                if bucketing.version(&unit, low) == Version::Candidate {
                    prop_assert_eq!(bucketing.version(&unit, high), Version::Candidate);
                }
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
