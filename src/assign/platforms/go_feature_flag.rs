//! GO Feature Flag: FNV-1a of `flag key`, modulo 1,000 for each per cent.
//!
//! Source: thomaspoignant/go-feature-flag `modules/core/utils/hash.go`, `modules/core/flag/rule.go`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bucket_at;
use super::position::placed;
use crate::assign::hashes::fnv1a_utf8;
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, percent};
use crate::domain::quantity::Fraction;

const BUCKETS: u32 = 100_000;

struct GoFeatureFlag {
    flag: String,
}

/// A percentage in thousandths, rounded down.
fn edge(percentage: f64) -> u32 {
    (percentage * 1000.0) as u32
}

impl GoFeatureFlag {
    fn bucket(&self, unit: &str) -> u32 {
        fnv1a_utf8(&format!("{}{unit}", self.flag)) % BUCKETS
    }
}

impl Bucketing for GoFeatureFlag {
    fn place(&self, unit: &str) -> f64 {
        f64::from(self.bucket(unit)) / f64::from(BUCKETS)
    }

    fn steps(&self) -> Option<u32> {
        Some(BUCKETS)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        bucket_at(place, BUCKETS) < f64::from(edge(percent(exposure)))
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let text = format!("{}{unit}", self.flag);
        Hashed {
            hash: format!("fnv1a: {}", fnv1a_utf8(&text)),
            text,
            bucket: format!("{} of {BUCKETS}", self.bucket(unit)),
        }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("below {}", edge(percent(exposure)))
    }
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let flag = values.text("flag", "name of the flag");
    // Variations are in the descending order of their names: which is first is theirs to say.
    let position = values.word("position", &["first", "last"], "whether the candidate's variation has the name that sorts last (`first`) or first (`last`); a progressive rollout is `first`");
    let made = flag.map(|flag| GoFeatureFlag { flag });
    position.and_then(|_| placed(values, made))
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    if !values.has("flag_key") {
        return Some(json!({ "fnv1a_u32": fnv1a_utf8(&values.unit("string")?) }));
    }
    let (flag, unit) = (values.text("flag_key", "name of the flag"), values.unit("bucketing_key"));
    let shares = values.optional("percentages", percentages)?;
    let buckets = match &shares {
        Some(shares) => edge(shares.iter().map(|(_, percentage)| percentage).sum::<f64>()),
        None => values.parts_or("max", BUCKETS)?,
    };
    let bucket = fnv1a_utf8(&format!("{}{}", flag?, unit?)) % buckets.max(1);
    let mut answer = json!({ "bucket": bucket });
    if let Some(shares) = shares {
        let mut start = 0.0;
        let found = shares.iter().find(|(_, percentage)| {
            let end = start + percentage * 1000.0;
            let inside = (start as u32..end as u32).contains(&bucket);
            start = end;
            inside
        });
        answer["variation"] = json!(found.map(|(name, _)| name));
    }
    Some(answer)
}

/// In the descending order of names.
fn percentages(values: &mut Values) -> Option<Vec<(String, f64)>> {
    let table = values.json("percentages", "per cent by variation: `{\"canary\": 5, \"stable\": 95}`")?;
    let share = |(name, share): (&String, &Value)| {
        Some((name.clone(), share.as_f64().filter(|share| (0.0..=1e6).contains(share))?))
    };
    let shares: Option<Vec<(String, f64)>> = table.as_object().and_then(|table| table.iter().map(share).collect());
    let mut shares = shares.filter(|shares| !shares.is_empty()).or_else(|| {
        values.wrong("percentages", "which are not percentages", "write `{\"canary\": 5, \"stable\": 95}`")
    })?;
    shares.sort_by(|a, b| b.0.cmp(&a.0));
    Some(shares)
}
