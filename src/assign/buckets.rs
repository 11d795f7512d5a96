//! Buckets in place of units: each step of the platform's exposure in equal parts, so that production serves all of one alike.

use std::sync::{Arc, OnceLock};

use super::{Bucketing, Hashed, NEVER, inside, unit_key};
use crate::domain::quantity::Fraction;
use crate::scenario::Assignment;

/// More steps than this are not told apart: the digest would be larger than that of units.
const MOST: u32 = 1_000_000;

/// Buckets of a scenario whose cells have them.
pub struct Buckets {
    platform: Arc<dyn Bucketing>,
    /// Steps of exposure that are told apart.
    steps: u32,
    /// Parts of each.
    parts: u32,
    /// Where the units of each step lie, so that other exposures are the platform's too; found when first asked for.
    places: OnceLock<Vec<f64>>,
}

impl Buckets {
    /// The buckets of a scenario whose cells have them.
    #[must_use]
    pub fn of(assignment: &Assignment) -> Option<Self> {
        let wanted = assignment.buckets?;
        let platform = assignment.platform.bucketing();
        let steps = platform.steps().filter(|&steps| steps <= MOST).unwrap_or(wanted);
        Some(Self { platform, steps, parts: wanted.div_ceil(steps), places: OnceLock::new() })
    }

    /// A place of each step's units.
    fn places(&self) -> Vec<f64> {
        let mut places = vec![None; self.steps as usize];
        for place in (0..self.steps).map(|step| inside(step, self.steps)) {
            if let Some(step) = self.step(place) {
                places[step as usize] = Some(place);
            }
        }
        let found = |(step, place): (u32, Option<f64>)| place.unwrap_or_else(|| self.place_in(step));
        (0..).zip(places).map(found).collect()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.steps * self.parts
    }

    /// The bucket of a unit, from 0. As many more as a step has parts are of units that the platform never serves.
    #[must_use]
    pub fn bucket(&self, unit: &str) -> u32 {
        let step = self.step(self.platform.place(unit)).unwrap_or(self.steps);
        step * self.parts + self.part(unit_key(unit)) as u32
    }

    /// Which part of its step the bucket of a unit is, by the unit's key: that much is told without the platform's slow hash.
    #[must_use]
    pub fn part(&self, unit_key: u64) -> u64 {
        unit_key % u64::from(self.parts)
    }

    /// The step of exposure with which a place comes to the candidate, by the platform's own comparison.
    fn step(&self, place: f64) -> Option<u32> {
        let served = |steps: u32| {
            let exposure = Fraction::new(f64::from(steps) / f64::from(self.steps));
            exposure.is_some_and(|exposure| self.platform.serves(place, exposure))
        };
        let (mut not_served, mut first) = (0, self.steps);
        while not_served + 1 < first {
            let middle = u32::midpoint(not_served, first);
            if served(middle) { first = middle } else { not_served = middle }
        }
        (place < NEVER && served(first)).then(|| first - 1)
    }

    /// A place that comes with a step, by bisection: steps and places rise together, or one falls as the other rises.
    fn place_in(&self, step: u32) -> f64 {
        let of = |place: f64| self.step(place).map_or(self.steps, |step| step);
        let rising = of(0.0) <= of(inside(self.steps - 1, self.steps));
        let (mut low, mut high) = (0.0, NEVER);
        let mut place = 0.0;
        // 2^-40 is finer than any platform's hash in 32 bits.
        for _ in 0..40 {
            place = f64::midpoint(low, high);
            match of(place).cmp(&step) {
                std::cmp::Ordering::Equal => break,
                order if (order == std::cmp::Ordering::Less) == rising => low = place,
                _ => high = place,
            }
        }
        place
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
        let places = self.places.get_or_init(|| self.places());
        places.get((bucket / self.parts) as usize).copied().unwrap_or(NEVER)
    }

    fn steps(&self) -> Option<u32> {
        Some(self.steps)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        self.platform.serves(place, exposure)
    }

    fn served(&self, exposure: Fraction) -> f64 {
        self.platform.served(exposure)
    }

    fn hashed(&self, unit: &str) -> Hashed {
        self.platform.hashed(unit)
    }

    fn threshold(&self, exposure: Fraction) -> String {
        self.platform.threshold(exposure)
    }

    fn caution(&self) -> Option<(&'static str, &'static str)> {
        self.platform.caution()
    }

    // Names of buckets are ASCII; those of units are not known any more.
    fn ascii_only(&self) -> bool {
        false
    }
}
