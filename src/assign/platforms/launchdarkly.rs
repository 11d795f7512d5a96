//! LaunchDarkly: SHA-1 of `flag.salt.unit`, or of `seed.unit`, as a number in `[0, 1)`; weights in 1/100,000.
//!
//! Source: launchdarkly/go-server-sdk-evaluation `evaluator_bucketing.go`, launchdarkly/python-server-sdk `evaluator_common.py`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::position::placed;
use crate::assign::hashes::{sha1_hex15, unit_60};
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, nearest};
use crate::domain::quantity::Fraction;

/// Parts of a weight.
const WHOLE: u32 = 100_000;

struct LaunchDarkly {
    /// What stands before the unit.
    prefix: String,
    /// Go, Rust and Java compute in 32 bits.
    single: bool,
}

impl LaunchDarkly {
    fn hex15(&self, unit: &str) -> u64 {
        sha1_hex15(&format!("{}.{unit}", self.prefix))
    }
}

fn bucket(hex15: u64, single: bool) -> f64 {
    if single { f64::from(hex15 as f32 / 1_152_921_504_606_846_976.0) } else { unit_60(hex15) }
}

/// Weights added up in the precision of the SDK.
fn below(bucket: f64, weights: &[u64], single: bool) -> Option<usize> {
    let (mut edge, mut edge_single) = (0.0, 0.0_f32);
    weights.iter().position(|&weight| {
        edge += weight as f64 / f64::from(WHOLE);
        edge_single += weight as f32 / WHOLE as f32;
        if single { (bucket as f32) < edge_single } else { bucket < edge }
    })
}

impl Bucketing for LaunchDarkly {
    fn place(&self, unit: &str) -> f64 {
        bucket(self.hex15(unit), self.single)
    }

    fn steps(&self) -> Option<u32> {
        Some(WHOLE)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        let weight = nearest(exposure, WHOLE) as u64;
        // Who is below no edge gets the last variation.
        weight >= u64::from(WHOLE) || below(place, &[weight], self.single).is_some()
    }

    fn hashed(&self, unit: &str) -> Hashed {
        Hashed {
            text: format!("{}.{unit}", self.prefix),
            hash: format!("sha1, 15 digits: {:015x}", self.hex15(unit)),
            bucket: self.place(unit).to_string(),
        }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("below {} / {WHOLE}", nearest(exposure, WHOLE))
    }
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let seed = values.whole_or_none("seed", i64::MIN, i64::MAX);
    let prefix = if let Some(Some(seed)) = seed {
        // The platform ignores key and salt of a rollout with a seed, so that here they are refused as unused.
        Some(seed.to_string())
    } else {
        let (flag, salt) = (values.text("flag", "key of the flag"), values.text("salt", "salt of the flag, or `seed`"));
        flag.zip(salt).map(|(flag, salt)| format!("{flag}.{salt}"))
    };
    let precision = values.choice("precision", &["f64", "f32"]);
    let first =
        seed.and(prefix).zip(precision).map(|(prefix, precision)| LaunchDarkly { prefix, single: precision == "f32" });
    placed(values, first)
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    let seed = values.whole_or_none("seed", i64::MIN, i64::MAX);
    let seeded = seed.flatten().is_some();
    let mut part = |name: &str, meaning: &str| {
        if seeded { Some(values.text_or(name, "")) } else { values.text(name, meaning) }
    };
    let (key, salt) = (part("key", "key of the flag"), part("salt", "salt of the flag"));
    let unit = values.unit("unit");
    let weights = values.optional("weights", |values| values.weights("weights"));
    let prefix = match seed? {
        Some(seed) => seed.to_string(),
        None => format!("{}.{}", key?, salt?),
    };
    let hex15 = sha1_hex15(&format!("{prefix}.{}", unit?));
    let buckets = [false, true].map(|single| bucket(hex15, single));
    let mut answer =
        json!({ "hash15hex": format!("{hex15:015x}"), "bucket_f64": buckets[0], "bucket_f32": buckets[1] });
    if let Some(weights) = weights? {
        let last = weights.len() - 1;
        answer["index_f64"] = json!(below(buckets[0], &weights, false).unwrap_or(last));
        answer["index_f32"] = json!(below(buckets[1], &weights, true).unwrap_or(last));
    }
    Some(answer)
}
