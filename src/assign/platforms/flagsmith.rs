//! Flagsmith: MD5 of ids joined by commas as one number, modulo 9,999, over 9,998: a percentage.
//!
//! Source: Flagsmith/flagsmith-engine `flag_engine/utils/hashing.py`, `flag_engine/segments/evaluator.py`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::position::placed;
use crate::assign::hashes::md5;
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, percent};
use crate::domain::quantity::Fraction;

struct Flagsmith {
    /// Key of the segment, or of the feature.
    key: String,
    /// Stands before the unit in the default identity key.
    environment: Option<String>,
    segment: bool,
}

/// 0 to below 100: at 100 the ids are hashed again, once more often.
fn percentage(ids: &[String]) -> f64 {
    let once = ids.join(",");
    let mut text = once.clone();
    loop {
        let percentage = (md5(&text) % 9_999) as f64 / 9_998.0 * 100.0;
        if percentage < 100.0 {
            return percentage;
        }
        text = format!("{text},{once}");
    }
}

impl Flagsmith {
    fn ids(&self, unit: &str) -> [String; 2] {
        let unit = self.environment.as_ref().map_or_else(|| unit.into(), |environment| format!("{environment}_{unit}"));
        [self.key.clone(), unit]
    }
}

impl Bucketing for Flagsmith {
    fn place(&self, unit: &str) -> f64 {
        percentage(&self.ids(unit)) / 100.0
    }

    // Thresholds are any number; the 9,998 places are no even steps of them.
    fn steps(&self) -> Option<u32> {
        None
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        // The place in the platform's own form: a hundredth of it is not exact.
        let percentage = (place * 9_998.0).round() / 9_998.0 * 100.0;
        if self.segment { percentage <= percent(exposure) } else { percentage < percent(exposure) }
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let ids = self.ids(unit);
        let text = ids.join(",");
        Hashed { hash: format!("md5: {:032x}", md5(&text)), text, bucket: format!("{} of 100", percentage(&ids)) }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("{} {}", if self.segment { "at most" } else { "below" }, percent(exposure))
    }
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let kind = values.choice("kind", &["segment", "multivariate"])?;
    let key = values.text("flag", "key (id) of the segment, or of the feature");
    let environment = values.has("environment").then(|| values.text_or("environment", ""));
    let segment = kind == "segment";
    let made = key.map(|key| Flagsmith { key, environment, segment });
    if segment { Some(Arc::new(made?)) } else { placed(values, made) }
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    let ids = object_ids(values);
    let threshold = values.optional("threshold", |values| values.number("threshold", ""));
    let weights =
        values.optional("weights_in_priority_order", |values| values.numbers("weights_in_priority_order", ""));
    let percentage = percentage(&ids?);
    let mut answer = json!({ "percentage": percentage });
    if let Some(threshold) = threshold? {
        answer["included"] = json!(percentage <= threshold);
    }
    if let Some(weights) = weights? {
        let mut start = 0.0;
        let index = weights.iter().position(|weight| {
            let end = start + weight;
            let found = start <= percentage && percentage < end;
            start = end;
            found
        });
        answer["index"] = json!(index);
    }
    Some(answer)
}

/// The unit is the last of the ids; it may stand in the list or beside it.
fn object_ids(values: &mut Values) -> Option<Vec<String>> {
    let mut ids = values.texts("object_ids", "key of the segment or feature, and the unit: `[\"12\", \"user-1\"]`")?;
    let Some(unit) = values.lone_unit() else { return Some(ids) };
    if ids.len() < 2 {
        ids.push(unit);
    } else if ids.last() != Some(&unit) {
        return values.wrong("object_ids", "whose last id is not the unit", "leave one of `--set` and `--unit` out");
    }
    Some(ids)
}
