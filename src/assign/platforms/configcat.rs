//! `ConfigCat`: the first seven hexadecimal digits of SHA-1 of `setting unit`, modulo 100.
//!
//! Source: configcat/python-sdk `rolloutevaluator.py`, configcat/rust-sdk `src/eval/evaluator.rs`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bucket_at;
use super::position::placed;
use crate::assign::hashes::sha1_64;
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, nearest};
use crate::domain::quantity::Fraction;

struct ConfigCat {
    setting: String,
}

fn hex7(setting: &str, attribute: &str) -> u64 {
    sha1_64(&format!("{setting}{attribute}")) >> 36
}

impl Bucketing for ConfigCat {
    fn place(&self, unit: &str) -> f64 {
        (hex7(&self.setting, unit) % 100) as f64 / 100.0
    }

    fn steps(&self) -> Option<u32> {
        Some(100)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        bucket_at(place, 100) < nearest(exposure, 100)
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let hex7 = hex7(&self.setting, unit);
        Hashed {
            text: format!("{}{unit}", self.setting),
            hash: format!("sha1, 7 digits: {hex7:07x}"),
            bucket: format!("{} of 100", hex7 % 100),
        }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("below {}", nearest(exposure, 100))
    }
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let setting = values.text("flag", "key of the setting");
    placed(values, setting.map(|setting| ConfigCat { setting }))
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    let (key, unit) = (values.text("key", "key of the setting"), values.unit("attribute_value"));
    let percentages = values.optional("percentages", |values| values.numbers("percentages", ""));
    let bucket = hex7(&key?, &unit?) % 100;
    let mut answer = json!({ "bucket_100": bucket });
    if let Some(percentages) = percentages? {
        let mut edge = 0.0;
        let index = percentages.iter().position(|percentage| {
            edge += percentage;
            (bucket as f64) < edge
        });
        answer["index"] = json!(index);
    }
    Some(answer)
}
