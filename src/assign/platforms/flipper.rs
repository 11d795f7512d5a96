//! Flipper: CRC-32 of `feature actor`, modulo 100,000.
//!
//! Source: flippercloud/flipper `lib/flipper/gates/percentage_of_actors.rb`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bucket_at;
use crate::assign::hashes::crc32;
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, percent};
use crate::domain::quantity::Fraction;

const BUCKETS: u32 = 100_000;

struct Flipper {
    feature: String,
}

fn included(bucket: f64, percentage: f64) -> bool {
    percentage >= 100.0 || bucket < percentage * 1000.0
}

impl Bucketing for Flipper {
    fn place(&self, unit: &str) -> f64 {
        f64::from(crc32(&format!("{}{unit}", self.feature)) % BUCKETS) / f64::from(BUCKETS)
    }

    fn steps(&self) -> Option<u32> {
        Some(BUCKETS)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        included(bucket_at(place, BUCKETS), percent(exposure))
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let text = format!("{}{unit}", self.feature);
        let hash = crc32(&text);
        Hashed { text, hash: format!("crc32: {hash}"), bucket: format!("{} of {BUCKETS}", hash % BUCKETS) }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("below {}", percent(exposure) * 1000.0)
    }
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let feature = values.text("flag", "name of the feature")?;
    Some(Arc::new(Flipper { feature }))
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    let (feature, actor) = (values.text("feature", "name of the feature"), values.unit("actor"));
    let percentage = values.optional("percentage", |values| values.number("percentage", ""));
    let bucket = crc32(&format!("{}{}", feature?, actor?)) % BUCKETS;
    let mut answer = json!({ "bucket_100000": bucket });
    if let Some(percentage) = percentage? {
        answer["included"] = json!(included(bucket.into(), percentage));
    }
    Some(answer)
}
