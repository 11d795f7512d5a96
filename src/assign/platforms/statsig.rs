//! Statsig: SHA-256 of `salt.rule salt.unit`, the first 64 bits modulo 10,000; of `salt.unit` modulo 1,000 in a `user_bucket` condition.
//!
//! Source: statsig-io/statsig-server-core `evaluator.rs`, statsig-io/python-sdk `evaluator.py`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bucket_at;
use crate::assign::hashes::{first_64, sha256};
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, nearest, percent};
use crate::domain::quantity::Fraction;

struct Statsig {
    prefix: String,
    /// 10,000, or 1,000 of a condition.
    buckets: u32,
}

impl Statsig {
    fn text(&self, unit: &str) -> String {
        format!("{}.{unit}", self.prefix)
    }
}

fn number(text: &str) -> u64 {
    first_64(&sha256(text))
}

/// Whether a rule passes. The product rounds as the platform's does: 0.07 lets bucket 7 pass.
fn passes(bucket: f64, percentage: f64) -> bool {
    percentage >= 100.0 || bucket < percentage * 100.0
}

impl Bucketing for Statsig {
    fn place(&self, unit: &str) -> f64 {
        (number(&self.text(unit)) % u64::from(self.buckets)) as f64 / f64::from(self.buckets)
    }

    fn steps(&self) -> Option<u32> {
        Some(self.buckets)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        let bucket = bucket_at(place, self.buckets);
        if self.buckets == 10_000 {
            passes(bucket, percent(exposure))
        } else {
            bucket < nearest(exposure, self.buckets)
        }
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let text = self.text(unit);
        let number = number(&text);
        Hashed {
            hash: format!("sha256, 64 bits: {number:016x}"),
            bucket: format!("{} of {}", number % u64::from(self.buckets), self.buckets),
            text,
        }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        let edge = if self.buckets == 10_000 { percent(exposure) * 100.0 } else { nearest(exposure, self.buckets) };
        format!("below {edge}")
    }
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let kind = values.choice("kind", &["rule", "user_bucket"])?;
    let condition = kind == "user_bucket";
    let salt = values.text("salt", if condition { "salt of the condition" } else { "salt of the gate or config" });
    let prefix = if condition {
        salt
    } else {
        let rule_salt = values.text("rule_salt", "salt of the rule, or its id where it has none");
        salt.zip(rule_salt).map(|(salt, rule_salt)| format!("{salt}.{rule_salt}"))
    };
    Some(Arc::new(Statsig { prefix: prefix?, buckets: if condition { 1_000 } else { 10_000 } }))
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    if values.has("salt") {
        let (salt, unit) = (values.text("salt", ""), values.unit("unit"));
        return Some(json!({ "bucket_1000": number(&format!("{}.{}", salt?, unit?)) % 1_000 }));
    }
    if !["spec_salt", "rule_salt", "unit"].iter().any(|name| values.has(name)) {
        let hash = number(&values.unit("string")?);
        return Some(
            json!({ "u64_hex": format!("{hash:016x}"), "mod_10000": hash % 10_000, "mod_1000": hash % 1_000 }),
        );
    }
    let salt = values.text("spec_salt", "salt of the gate or config");
    let rule_salt = values.text("rule_salt", "salt of the rule, or its id where it has none");
    let unit = values.unit("unit");
    let percentage = values.optional("pass_percentage", |values| values.number("pass_percentage", ""));
    let bucket = number(&format!("{}.{}.{}", salt?, rule_salt?, unit?)) % 10_000;
    let mut answer = json!({ "bucket_10000": bucket });
    if let Some(percentage) = percentage? {
        answer["included"] = json!(passes(bucket as f64, percentage));
    }
    Some(answer)
}
