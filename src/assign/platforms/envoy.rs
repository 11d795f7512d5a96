//! Envoy `weighted_clusters` with `use_hash_policy` or `header_name`: xxHash for 64 bits, modulo the sum of weights.
//!
//! Plain weights, and those of Istio and of the Gateway API, draw a number for each request: who is in is then no function of the unit.
//! Source: envoyproxy/envoy `source/common/router/weighted_cluster_specifier.cc`, `source/common/http/hash_policy.cc`.

use std::sync::Arc;

use serde_json::{Value, json};
use twox_hash::XxHash64;

use super::position::placed;
use super::{bucket_at, first_above, template};
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, NEVER, nearest};
use crate::domain::quantity::Fraction;

struct Envoy {
    template: String,
    total: u32,
    /// The header's number counts, unhashed.
    header: bool,
}

fn xxh64(text: &str) -> u64 {
    XxHash64::oneshot(0, text.as_bytes())
}

/// Digits only, as the proxy reads a number.
fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

impl Envoy {
    /// `None`: the proxy would draw one.
    fn number(&self, unit: &str) -> Option<u64> {
        let text = template::filled(&self.template, unit);
        if self.header { decimal(&text) } else { Some(xxh64(&text)) }
    }
}

impl Bucketing for Envoy {
    fn place(&self, unit: &str) -> f64 {
        self.number(unit).map_or(NEVER, |number| (number % u64::from(self.total)) as f64 / f64::from(self.total))
    }

    fn steps(&self) -> Option<u32> {
        Some(self.total)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        bucket_at(place, self.total) < nearest(exposure, self.total)
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let text = template::filled(&self.template, unit);
        let (hash, bucket) = match self.number(unit) {
            Some(number) if self.header => (number.to_string(), number),
            Some(number) => (format!("xxh64: {number:016x}"), number),
            None => return Hashed { text, hash: "not a number".into(), bucket: "drawn at random".into() },
        };
        Hashed { text, hash, bucket: format!("{} of {}", bucket % u64::from(self.total), self.total) }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("below {}", nearest(exposure, self.total))
    }
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let kind = values.choice("kind", &["hash_policy", "header"])?;
    let (template, total) = (template::read(values), values.parts_or("total", 100));
    let first = template.zip(total).map(|(template, total)| Envoy { template, total, header: kind == "header" });
    placed(values, first)
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    let mut answer = json!({});
    let number = if values.has("header_value") {
        let header = values.unit("header_value")?;
        decimal(&header)
            .or_else(|| values.wrong("header_value", "which is not a number", "Envoy would draw one at random"))
    } else {
        policy_values(values).map(|texts| {
            let hash = texts
                .iter()
                .fold(None, |hash: Option<u64>, text| Some(hash.map_or(0, |hash| hash.rotate_left(1)) ^ xxh64(text)));
            answer["hash_u64_hex"] = json!(format!("{:016x}", hash.unwrap_or_default()));
            hash.unwrap_or_default()
        })
    };
    let weights = values.weights("weights");
    let (number, weights) = (number?, weights?);
    let selected = number % weights.iter().sum::<u64>();
    answer["selected_value"] = json!(selected);
    answer["index"] = json!(first_above(selected, &weights));
    Some(answer)
}

/// One value for each policy, in order; the unit alone, where no list is given.
fn policy_values(values: &mut Values) -> Option<Vec<String>> {
    let unit = values.lone_unit();
    if let (Some(unit), false) = (&unit, values.has("hash_policy_values")) {
        return Some(vec![unit.clone()]);
    }
    let texts = values.texts("hash_policy_values", "a value for each hash policy, or `--unit`")?;
    if texts.is_empty() {
        return values.wrong("hash_policy_values", "which is empty", "Envoy would draw a number at random");
    }
    if unit.is_some_and(|unit| !texts.contains(&unit)) {
        return values.wrong(
            "hash_policy_values",
            "among which the unit is not",
            "leave one of `--set` and `--unit` out",
        );
    }
    Some(texts)
}
