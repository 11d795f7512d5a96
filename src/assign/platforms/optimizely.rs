//! Optimizely: Murmur3 with seed 1 of `bucketingId parentId`, times 10,000 over 2^32.
//!
//! Source: optimizely/python-sdk `optimizely/bucketer.py`, optimizely/go-sdk `murmurhashbucketer.go`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bucket_at;
use super::position::placed;
use super::traffic::Traffic;
use crate::assign::hashes::murmur3;
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, NEVER, nearest};
use crate::domain::quantity::Fraction;

const BUCKETS: u32 = 10_000;

struct Optimizely {
    /// Id of the experiment or rollout rule.
    rule: String,
    /// The exclusion group, hashed first.
    group: Option<Traffic>,
}

fn hash(bucketing_id: &str, parent_id: &str) -> u32 {
    murmur3(format!("{bucketing_id}{parent_id}").as_bytes(), 1)
}

fn bucket(hash: u32) -> u32 {
    ((u64::from(hash) * u64::from(BUCKETS)) >> 32) as u32
}

impl Optimizely {
    fn takes_part(&self, unit: &str) -> bool {
        self.group.as_ref().is_none_or(|group| {
            let bound = |share: f64| (share * f64::from(BUCKETS)).round();
            (bound(group.start)..bound(group.end)).contains(&f64::from(bucket(hash(unit, &group.key))))
        })
    }
}

impl Bucketing for Optimizely {
    fn place(&self, unit: &str) -> f64 {
        if !self.takes_part(unit) {
            return NEVER;
        }
        f64::from(bucket(hash(unit, &self.rule))) / f64::from(BUCKETS)
    }

    fn steps(&self) -> Option<u32> {
        Some(BUCKETS)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        bucket_at(place, BUCKETS) < nearest(exposure, BUCKETS)
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let hash = hash(unit, &self.rule);
        let outside = if self.takes_part(unit) { "" } else { "; outside `traffic`" };
        Hashed {
            text: format!("{unit}{}", self.rule),
            hash: format!("murmur3, seed 1: {hash}"),
            bucket: format!("{} of {BUCKETS}{outside}", bucket(hash)),
        }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("below {}", nearest(exposure, BUCKETS))
    }
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let rule = values.text("rule", "id of the experiment or rollout rule: digits, not its key");
    let group = Traffic::read(values, "id of the exclusion group");
    placed(values, rule.zip(group).map(|(rule, group)| Optimizely { rule, group }))
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    let parent = values.text("parent_id", "id of the experiment or rollout rule");
    let unit = values.unit("bucketing_id");
    let ends = values.optional("end_of_ranges", |values| values.numbers("end_of_ranges", ""));
    let bucket = bucket(hash(&unit?, &parent?));
    let mut answer = json!({ "bucket_10000": bucket });
    if let Some(ends) = ends? {
        answer["index"] = json!(ends.iter().position(|&end| f64::from(bucket) < end));
    }
    Some(answer)
}
