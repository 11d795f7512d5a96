//! Flagr: CRC-32 of `flag id entity`, modulo 1,000; a distribution chooses the variant, and a rollout a share of its interval.
//!
//! Source: openflagr/flagr `pkg/entity/distribution.go`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bucket_at;
use super::position::placed;
use crate::assign::hashes::crc32;
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, NEVER, nearest};
use crate::domain::quantity::Fraction;

const BUCKETS: u32 = 1_000;

struct Flagr {
    flag: String,
    /// Exposure is the rollout of a variant that has everything, not a distribution.
    rollout: bool,
}

fn bucket(flag: &str, entity: &str) -> u32 {
    crc32(&format!("{flag}{entity}")) % BUCKETS
}

/// Whether a bucket of the interval from `low` to `high` is among `rollout` per cent of it.
fn rolled_out(bucket: i64, low: i64, high: i64, rollout: i64) -> bool {
    match rollout {
        100 => true,
        0 => false,
        rollout => 100 * (bucket - low) <= (high - low - 1).max(0) * rollout,
    }
}

impl Bucketing for Flagr {
    fn place(&self, unit: &str) -> f64 {
        // Without an entity there is no variant.
        if unit.is_empty() { NEVER } else { f64::from(bucket(&self.flag, unit)) / f64::from(BUCKETS) }
    }

    // Percentages are whole numbers.
    fn steps(&self) -> Option<u32> {
        Some(100)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        let (bucket, percentage) = (bucket_at(place, BUCKETS), nearest(exposure, 100));
        if self.rollout {
            place < NEVER && rolled_out(bucket as i64, 0, BUCKETS.into(), percentage as i64)
        } else {
            bucket < percentage * 10.0
        }
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let text = format!("{}{unit}", self.flag);
        let hash = crc32(&text);
        Hashed { text, hash: format!("crc32: {hash}"), bucket: format!("{} of {BUCKETS}", hash % BUCKETS) }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        let percentage = nearest(exposure, 100);
        if self.rollout { format!("at most {}", percentage * 9.99) } else { format!("below {}", percentage * 10.0) }
    }
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let kind = values.choice("kind", &["distribution", "rollout"])?;
    let flag = values.text("flag", "number of the flag: its id, not its key");
    let rollout = kind == "rollout";
    let made = flag.map(|flag| Flagr { flag, rollout });
    if rollout { Some(Arc::new(made?)) } else { placed(values, made) }
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    let (flag, entity) = (values.text("flag_id", "number of the flag"), values.unit("entity_id"));
    let percents = values.optional("percents", |values| values.weights("percents"));
    let rollout = values.whole_or("rollout_percent", 100, 0, 100);
    let entity = entity?;
    let bucket = bucket(&flag?, &entity);
    let mut answer = json!({ "bucket_1000": bucket });
    if let Some(percents) = percents? {
        let found = index(bucket.into(), &percents, rollout?);
        answer["index"] = json!(found.filter(|_| !entity.is_empty()));
    }
    Some(answer)
}

fn index(bucket: i64, percents: &[u64], rollout: i64) -> Option<usize> {
    let mut high = 0;
    let index = percents.iter().position(|&percent| {
        high += percent as i64 * 10;
        high > bucket
    })?;
    let low = high - percents[index] as i64 * 10;
    rolled_out(bucket, low, high, rollout).then_some(index)
}
