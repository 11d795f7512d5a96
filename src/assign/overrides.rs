//! Units with a version of their own: targeted ones always have the candidate, those held out never.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ALWAYS, Bucketing, Hashed, NEVER};
use crate::domain::quantity::Fraction;
use crate::domain::version::Version;

/// Version of each unit that has its own.
pub type Overrides = BTreeMap<String, Version>;

struct Overridden {
    platform: Arc<dyn Bucketing>,
    overrides: Overrides,
}

/// A platform with overrides; the platform itself where there are none.
pub(super) fn over(platform: Arc<dyn Bucketing>, overrides: &Overrides) -> Arc<dyn Bucketing> {
    if overrides.is_empty() { platform } else { Arc::new(Overridden { platform, overrides: overrides.clone() }) }
}

impl Bucketing for Overridden {
    fn place(&self, unit: &str) -> f64 {
        match self.overrides.get(unit) {
            Some(Version::Candidate) => ALWAYS,
            Some(Version::Stable) => NEVER,
            None => self.platform.place(unit),
        }
    }

    fn steps(&self) -> Option<u32> {
        self.platform.steps()
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        place < 0.0 || (place < NEVER && self.platform.serves(place, exposure))
    }

    fn served(&self, exposure: Fraction) -> f64 {
        self.platform.served(exposure)
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let hashed = self.platform.hashed(unit);
        match self.overrides.get(unit) {
            Some(version) => {
                Hashed { bucket: format!("{}; overridden: always {}", hashed.bucket, version.name()), ..hashed }
            }
            None => hashed,
        }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        self.platform.threshold(exposure)
    }

    fn caution(&self) -> Option<(&'static str, &'static str)> {
        self.platform.caution()
    }

    fn ascii_only(&self) -> bool {
        self.platform.ascii_only()
    }
}
