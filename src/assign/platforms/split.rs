//! Split (Harness FME): Murmur3, or an older hash of UTF-16 code units, modulo 100 and 1 more.
//!
//! Source: splitio/python-client `splitio/engine/splitters.py`, `hashfns/legacy.py`; splitio/javascript-commons `src/utils/murmur3`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::position::placed;
use super::traffic::Traffic;
use super::{bucket_at, first_above};
use crate::assign::hashes::murmur3;
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, NEVER, nearest};
use crate::domain::quantity::Fraction;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Legacy,
    Murmur,
}

struct Split {
    algorithm: Algorithm,
    seed: i64,
    /// The traffic allocation: its seed, and the share that takes part.
    traffic: Option<(i64, f64)>,
}

/// The low 32 bits of the seed count.
fn murmur(key: &str, seed: i64) -> u32 {
    murmur3(key.as_bytes(), seed as u32)
}

fn legacy(key: &str, seed: i64) -> i32 {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    key.encode_utf16().fold(0, step) ^ seed as i32
}

/// 1 to 100.
fn bucket(algorithm: Algorithm, key: &str, seed: i64) -> u32 {
    match algorithm {
        Algorithm::Murmur => murmur(key, seed) % 100 + 1,
        Algorithm::Legacy => legacy(key, seed).unsigned_abs() % 100 + 1,
    }
}

impl Split {
    fn takes_part(&self, unit: &str) -> bool {
        self.traffic
            .is_none_or(|(seed, share)| f64::from(bucket(self.algorithm, unit, seed)) <= (share * 100.0).round())
    }
}

impl Bucketing for Split {
    fn place(&self, unit: &str) -> f64 {
        if !self.takes_part(unit) {
            return NEVER;
        }
        f64::from(bucket(self.algorithm, unit, self.seed) - 1) / 100.0
    }

    fn steps(&self) -> Option<u32> {
        Some(100)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        bucket_at(place, 100) + 1.0 <= nearest(exposure, 100)
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let hash = match self.algorithm {
            Algorithm::Murmur => format!("murmur3, seed {}: {}", self.seed, murmur(unit, self.seed)),
            Algorithm::Legacy => format!("legacy, seed {}: {}", self.seed, legacy(unit, self.seed)),
        };
        let outside = if self.takes_part(unit) { "" } else { "; outside `traffic`" };
        Hashed {
            text: unit.into(),
            hash,
            bucket: format!("{} of 100{outside}", bucket(self.algorithm, unit, self.seed)),
        }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("at most {}", nearest(exposure, 100))
    }

    fn ascii_only(&self) -> bool {
        self.algorithm == Algorithm::Legacy
    }
}

fn seed(values: &mut Values) -> Option<i64> {
    values.whole("seed", "seed of the feature flag", i64::MIN, i64::MAX)
}

fn read(values: &mut Values, algorithm: Algorithm) -> Option<Arc<dyn Bucketing>> {
    let seed = seed(values);
    let traffic = Traffic::read(values, "`trafficAllocationSeed` of the flag");
    let traffic = traffic.and_then(|traffic| allocation(values, traffic));
    placed(values, seed.zip(traffic).map(|(seed, traffic)| Split { algorithm, seed, traffic }))
}

#[expect(clippy::option_option, reason = "trouble and absence differ")]
fn allocation(values: &mut Values, traffic: Option<Traffic>) -> Option<Option<(i64, f64)>> {
    let Some(traffic) = traffic else { return Some(None) };
    let seed = traffic.key.parse().ok();
    let seed = seed.or_else(|| values.wrong("traffic.key", "which is not a seed", "write a whole number in quotes"));
    if traffic.start > 0.0 {
        return values.wrong("traffic.start", "but the platform's allocation begins at 0", "leave it out");
    }
    seed.map(|seed| Some((seed, traffic.end)))
}

pub(super) fn read_legacy(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    read(values, Algorithm::Legacy)
}

pub(super) fn read_murmur(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    read(values, Algorithm::Murmur)
}

fn answer(values: &mut Values, algorithm: Algorithm) -> Option<Value> {
    let (key, seed) = (values.unit("key"), seed(values));
    let sizes = values.optional("sizes", |values| values.weights("sizes"));
    let (key, seed) = (key?, seed?);
    let bucket = bucket(algorithm, &key, seed);
    let mut answer = match algorithm {
        Algorithm::Murmur => json!({ "hash_u32": murmur(&key, seed), "bucket_1_100": bucket }),
        Algorithm::Legacy => json!({ "hash_i32": legacy(&key, seed), "bucket_1_100": bucket }),
    };
    if let Some(sizes) = sizes? {
        answer["index"] = json!(first_above(u64::from(bucket) - 1, &sizes));
    }
    Some(answer)
}

pub(super) fn answer_legacy(values: &mut Values) -> Option<Value> {
    answer(values, Algorithm::Legacy)
}

pub(super) fn answer_murmur(values: &mut Values) -> Option<Value> {
    answer(values, Algorithm::Murmur)
}
