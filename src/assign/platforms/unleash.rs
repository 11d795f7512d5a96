//! Unleash: Murmur3 of `groupId:unit`, modulo 100 and 1 more for a rollout; with another seed, modulo the total weight, for variants.
//!
//! Source: Unleash/yggdrasil `strategy_parsing.rs`, Unleash/unleash-client-node `src/strategy/util.ts`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::position::placed;
use super::{bucket_at, first_above};
use crate::assign::hashes::murmur3;
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, nearest};
use crate::domain::quantity::Fraction;

/// Seed of variants since late 2023; before, it was that of rollouts, 0.
const VARIANT_SEED: u32 = 86_028_157;

struct Unleash {
    group: String,
    seed: u32,
    total: u32,
    low_bytes: bool,
}

/// 1 to the modulus.
fn normalized(group: &str, identifier: &str, seed: u32, modulus: u32, low_bytes: bool) -> u32 {
    hash(&format!("{group}:{identifier}"), seed, low_bytes) % modulus + 1
}

/// The Node SDK hashes the low byte of each UTF-16 code unit.
fn hash(text: &str, seed: u32, low_bytes: bool) -> u32 {
    if low_bytes {
        let bytes: Vec<u8> = text.encode_utf16().map(|unit| unit.to_le_bytes()[0]).collect();
        murmur3(&bytes, seed)
    } else {
        murmur3(text.as_bytes(), seed)
    }
}

impl Bucketing for Unleash {
    fn place(&self, unit: &str) -> f64 {
        let number = normalized(&self.group, unit, self.seed, self.total, self.low_bytes);
        f64::from(number - 1) / f64::from(self.total)
    }

    fn steps(&self) -> Option<u32> {
        Some(self.total)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        bucket_at(place, self.total) + 1.0 <= nearest(exposure, self.total)
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let text = format!("{}:{unit}", self.group);
        Hashed {
            hash: format!("murmur3, seed {}: {}", self.seed, hash(&text, self.seed, self.low_bytes)),
            text,
            bucket: format!("{} of {}", bucket_at(self.place(unit), self.total) + 1.0, self.total),
        }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("at most {}", nearest(exposure, self.total))
    }

    fn ascii_only(&self) -> bool {
        true
    }
}

fn low_bytes(values: &mut Values) -> Option<bool> {
    values.choice("encoding", &["utf8", "js_charcode_low8"]).map(|word| word == "js_charcode_low8")
}

fn seed(values: &mut Values, default: u32) -> Option<u32> {
    values.whole_or("seed", default.into(), 0, u32::MAX.into()).map(|seed| seed as u32)
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let kind = values.choice("kind", &["rollout", "variant"])?;
    let group = values.text("group", "`groupId` of the strategy, or the flag's name");
    let low_bytes = low_bytes(values);
    if kind == "rollout" {
        return Some(Arc::new(Unleash { group: group?, seed: 0, total: 100, low_bytes: low_bytes? }));
    }
    let (seed, total) = (seed(values, VARIANT_SEED), values.parts_or("total", 1_000));
    let first = group.zip(low_bytes).zip(seed).zip(total);
    placed(values, first.map(|(((group, low_bytes), seed), total)| Unleash { group, seed, total, low_bytes }))
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    let group = values.text("group_id", "`groupId` of the strategy, or the flag's name");
    let (identifier, low_bytes) = (values.unit("identifier"), low_bytes(values));
    if values.has("weights") {
        let (weights, seed) = (values.weights("weights"), seed(values, VARIANT_SEED));
        let weights = weights?;
        let total = weights.iter().sum::<u64>() as u32;
        let number = normalized(&group?, &identifier?, seed?, total, low_bytes?);
        return Some(json!({ "normalized": number, "index": first_above(u64::from(number) - 1, &weights) }));
    }
    let (seed, modulus) = (seed(values, 0), values.parts_or("modulus", 100));
    let rollout = values.optional("rollout", |values| values.number("rollout", ""));
    let number = normalized(&group?, &identifier?, seed?, modulus?, low_bytes?);
    let mut answer = json!({ "normalized": number });
    if let Some(rollout) = rollout? {
        answer["included"] = json!(rollout > 0.0 && f64::from(number) <= rollout);
    }
    Some(answer)
}
