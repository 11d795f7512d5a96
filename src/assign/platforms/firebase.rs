//! Firebase Remote Config, server-side templates: SHA-256 of `seed.unit` as one number, modulo 100,000,000.
//!
//! Source: firebase/firebase-admin-node `src/remote-config/condition-evaluator-internal.ts`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bucket_at;
use crate::assign::hashes::{hex, sha256};
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, NEVER, nearest};
use crate::domain::quantity::Fraction;

const BUCKETS: u32 = 100_000_000;

struct Firebase {
    seed: String,
}

fn text(seed: &str, unit: &str) -> String {
    if seed.is_empty() { unit.into() } else { format!("{seed}.{unit}") }
}

fn micro_percentile(text: &str) -> u64 {
    sha256(text).iter().fold(0, |remainder, &byte| (remainder * 256 + u64::from(byte)) % u64::from(BUCKETS))
}

impl Bucketing for Firebase {
    fn place(&self, unit: &str) -> f64 {
        // Without a randomization id the condition is false.
        if unit.is_empty() {
            return NEVER;
        }
        micro_percentile(&text(&self.seed, unit)) as f64 / f64::from(BUCKETS)
    }

    fn steps(&self) -> Option<u32> {
        Some(BUCKETS)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        place < NEVER && bucket_at(place, BUCKETS) <= nearest(exposure, BUCKETS)
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let text = text(&self.seed, unit);
        let digest = hex(&sha256(&text));
        Hashed { hash: format!("sha256: {digest}"), bucket: format!("{} of {BUCKETS}", micro_percentile(&text)), text }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("at most {}", nearest(exposure, BUCKETS))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "all platforms are read alike")]
pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let seed = values.text_or("seed", "");
    Some(Arc::new(Firebase { seed }))
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    let (seed, unit) = (values.text_or("seed", ""), values.unit("randomization_id"));
    let condition = values.optional("operator", condition);
    let unit = unit?;
    let bucket = micro_percentile(&text(&seed, &unit));
    let mut answer = json!({ "micro_percentile": bucket });
    if let Some((operator, edge)) = condition? {
        let holds = match operator {
            "LESS_OR_EQUAL" => bucket <= edge,
            _ => bucket > edge,
        };
        answer["included"] = json!(!unit.is_empty() && holds);
    }
    Some(answer)
}

fn condition(values: &mut Values) -> Option<(&'static str, u64)> {
    let operator = values.choice("operator", &["LESS_OR_EQUAL", "GREATER_THAN"]);
    let edge = values.whole("micro_percent", "millionths of a per cent", 0, BUCKETS.into());
    Some((operator?, edge? as u64))
}
