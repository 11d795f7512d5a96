//! `PostHog`: SHA-1 of `flag.unit`, and with `variant` after it for variants, as a number in `[0, 1)`.
//!
//! Source: PostHog/posthog-python `feature_flags.py`, PostHog/posthog `rust/feature-flags`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::position::placed;
use crate::assign::hashes::{sha1_hex15, unit_60};
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, percent};
use crate::domain::quantity::Fraction;

struct PostHog {
    flag: String,
    variant: bool,
}

/// What stands after the unit where a variant is chosen.
const VARIANT: &str = "variant";

fn hex15(flag: &str, identifier: &str, suffix: &str) -> u64 {
    sha1_hex15(&format!("{flag}.{identifier}{suffix}"))
}

/// The edge is included, and 100 % is everybody.
fn rolled_out(hash: f64, percentage: f64) -> bool {
    percentage >= 100.0 || hash <= percentage / 100.0
}

impl PostHog {
    fn suffix(&self) -> &'static str {
        if self.variant { VARIANT } else { "" }
    }
}

impl Bucketing for PostHog {
    fn place(&self, unit: &str) -> f64 {
        unit_60(hex15(&self.flag, unit, self.suffix()))
    }

    fn steps(&self) -> Option<u32> {
        None
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        let percentage = percent(exposure);
        if self.variant { place < percentage / 100.0 } else { rolled_out(place, percentage) }
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let hex15 = hex15(&self.flag, unit, self.suffix());
        Hashed {
            text: format!("{}.{unit}{}", self.flag, self.suffix()),
            hash: format!("sha1, 15 digits: {hex15:015x}"),
            bucket: unit_60(hex15).to_string(),
        }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("{} {}", if self.variant { "below" } else { "at most" }, percent(exposure) / 100.0)
    }
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let kind = values.choice("kind", &["rollout", "variant"])?;
    let flag = values.text("flag", "key of the flag");
    if kind == "rollout" {
        return Some(Arc::new(PostHog { flag: flag?, variant: false }));
    }
    placed(values, flag.map(|flag| PostHog { flag, variant: true }))
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    let (key, identifier) = (values.text("key", "key of the flag"), values.unit("identifier"));
    let salt = values.text_or("salt", "");
    let percentage = values.optional("rollout_percentage", |values| values.number("rollout_percentage", ""));
    let variants = values.optional("variants", variants);
    let (key, identifier, percentage) = (key?, identifier?, percentage?);
    let hash = hex15(&key, &identifier, &salt);
    let mut answer = json!({ "hash15hex": format!("{hash:015x}"), "hash": unit_60(hash) });
    let included = rolled_out(unit_60(hash), percentage.unwrap_or(100.0));
    if percentage.is_some() {
        answer["included"] = json!(included);
    }
    if let Some(variants) = variants? {
        let hash = unit_60(hex15(&key, &identifier, VARIANT));
        answer["variant_hash"] = json!(hash);
        answer["result"] = if included { chosen(hash, &variants) } else { json!(false) };
    }
    Some(answer)
}

/// The first variant whose cumulative share is above the hash; a flag without one is just on.
fn chosen(hash: f64, variants: &[(String, f64)]) -> Value {
    let mut edge = 0.0;
    let found = variants.iter().find(|(_, percentage)| {
        edge += percentage / 100.0;
        hash < edge
    });
    found.map_or(json!(true), |(name, _)| json!(name))
}

fn variants(values: &mut Values) -> Option<Vec<(String, f64)>> {
    let variants = values.json("variants", "a list of `[name, per cent]`")?;
    let hint = "write `[[\"a\", 50], [\"b\", 50]]`";
    variants_of(&variants).or_else(|| values.wrong("variants", "which are not variants", hint))
}

fn variants_of(variants: &Value) -> Option<Vec<(String, f64)>> {
    let variant = |variant: &Value| Some((variant.get(0)?.as_str()?.to_owned(), variant.get(1)?.as_f64()?));
    variants.as_array()?.iter().map(variant).collect()
}
