//! `OpenFeature` flagd, `fractional`: Murmur3 of what the flag buckets by. Each of three versions puts everybody elsewhere.
//!
//! Source: open-feature/flagd `core/pkg/evaluator/fractional.go` at v0.14.0, v0.15.0 and v0.16.1; its decision records on
//! high-precision bucketing and on units that are not text; open-feature/python-sdk-contrib.

use std::sync::Arc;

use serde_json::{Number, Value, json};

use super::position::placed;
use super::{bucket_at, first_above};
use crate::assign::hashes::{hex, murmur3};
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, NEVER, nearest};
use crate::domain::quantity::Fraction;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Release {
    One,
    Two,
    Three,
}

/// What is bucketed by.
enum Expression {
    /// None is written: the flag's key and the targeting key.
    Default(String),
    /// One that gives this text and then the unit.
    Text(String),
}

struct Flagd {
    release: Release,
    expression: Expression,
    total: u32,
}

impl Flagd {
    fn bucket_by(&self, unit: &str) -> Value {
        match &self.expression {
            Expression::Default(flag) if self.release == Release::Three => json!([flag, unit]),
            Expression::Default(text) | Expression::Text(text) => json!(format!("{text}{unit}")),
        }
    }

    fn hash(&self, unit: &str) -> u32 {
        murmur3(&bytes(&self.bucket_by(unit), self.release), 0)
    }
}

/// What is hashed.
fn bytes(bucket_by: &Value, release: Release) -> Vec<u8> {
    match bucket_by {
        Value::String(text) if release != Release::Three => text.as_bytes().to_vec(),
        other => cbor(other),
    }
}

/// CBOR in its deterministic form (RFC 8949, section 4.2.1): shortest numbers, map keys in the order of their own bytes.
fn cbor(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&plain(value), &mut bytes).expect("memory can be written");
    bytes
}

fn plain(value: &Value) -> ciborium::Value {
    match value {
        Value::Null => ciborium::Value::Null,
        Value::Bool(flag) => ciborium::Value::Bool(*flag),
        Value::Number(number) => plain_number(number),
        Value::String(text) => ciborium::Value::Text(text.clone()),
        Value::Array(list) => ciborium::Value::Array(list.iter().map(plain).collect()),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().map(|(key, value)| (cbor(&json!(key)), key, plain(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            let entries = entries.into_iter().map(|(_, key, value)| (ciborium::Value::Text(key.clone()), value));
            ciborium::Value::Map(entries.collect())
        }
    }
}

/// A number without a fractional part is an integer where one can hold it.
fn plain_number(number: &Number) -> ciborium::Value {
    if let Some(whole) = number.as_i64() {
        return whole.into();
    }
    if let Some(whole) = number.as_u64() {
        return whole.into();
    }
    let float = number.as_f64().unwrap_or_default();
    let whole = float.fract() == 0.0 && (-9_223_372_036_854_775_808.0..18_446_744_073_709_551_616.0).contains(&float);
    match (whole, float < 0.0) {
        (true, true) => (float as i64).into(),
        (true, false) => (float as u64).into(),
        (false, _) => float.into(),
    }
}

/// Largest signed number: what the first version divides by.
const LARGEST: f64 = 2_147_483_647.0;

/// Of the first version, in per cent; 100 and more is no variant's.
fn percentage(hash: u32) -> f64 {
    f64::from(hash.cast_signed()).abs() / LARGEST * 100.0
}

/// Of the later versions.
fn bucket(hash: u32, total: u64) -> u64 {
    (u64::from(hash) * total) >> 32
}

fn first_above_percentage(percentage: f64, weights: &[u64]) -> Option<usize> {
    let total: u64 = weights.iter().sum();
    let mut edge = 0.0;
    weights.iter().position(|&weight| {
        edge += 100.0 * weight as f64 / total as f64;
        percentage < edge
    })
}

impl Bucketing for Flagd {
    fn place(&self, unit: &str) -> f64 {
        // Without a targeting key there is the default variant.
        if unit.is_empty() {
            return NEVER;
        }
        let hash = self.hash(unit);
        match self.release {
            Release::One => (f64::from(hash.cast_signed()).abs() / LARGEST).min(NEVER),
            Release::Two | Release::Three => bucket(hash, self.total.into()) as f64 / f64::from(self.total),
        }
    }

    fn steps(&self) -> Option<u32> {
        Some(self.total)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        let weight = nearest(exposure, self.total);
        match self.release {
            Release::One => {
                place < NEVER && (place * LARGEST).round() / LARGEST * 100.0 < 100.0 * weight / f64::from(self.total)
            }
            Release::Two | Release::Three => bucket_at(place, self.total) < weight,
        }
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let (bucket_by, hash) = (self.bucket_by(unit), self.hash(unit));
        let text = match bucket_by {
            Value::String(text) if self.release != Release::Three => text,
            other => format!("{other} as CBOR"),
        };
        let bucket = match self.release {
            Release::One => format!("{} of 100", percentage(hash)),
            Release::Two | Release::Three => format!("{} of {}", bucket(hash, self.total.into()), self.total),
        };
        Hashed { text, hash: format!("murmur3: {hash}"), bucket }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        let weight = nearest(exposure, self.total);
        match self.release {
            Release::One => format!("below {}", 100.0 * weight / f64::from(self.total)),
            Release::Two | Release::Three => format!("below {weight}"),
        }
    }

    fn ascii_only(&self) -> bool {
        true
    }
}

fn read(values: &mut Values, release: Release) -> Option<Arc<dyn Bucketing>> {
    let expression = if values.has("salt") {
        values.text("salt", "").map(Expression::Text)
    } else {
        values
            .text("flag", "key of the flag, or `salt`: what the flag's own expression puts before the unit")
            .map(Expression::Default)
    };
    let total = values.parts_or("total", 100);
    let first = expression.zip(total).map(|(expression, total)| Flagd { release, expression, total });
    placed(values, first)
}

pub(super) fn read_v1(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    read(values, Release::One)
}

pub(super) fn read_v2(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    read(values, Release::Two)
}

pub(super) fn read_v3(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    read(values, Release::Three)
}

/// What is bucketed by: `--unit` is text; `bucket_by` is, in the third version, JSON where it can be.
fn bucket_by(values: &mut Values, release: Release) -> Option<Value> {
    if values.has("flag_key") {
        let (flag, unit) = (values.text("flag_key", ""), values.unit("targeting_key"));
        return Some(Flagd { release, expression: Expression::Default(flag?), total: 1 }.bucket_by(&unit?));
    }
    if !values.has("bucket_by") {
        return values.unit("bucket_by").map(Value::String);
    }
    let text = values.text("bucket_by", "")?;
    let json: Option<Value> = if release == Release::Three { serde_json::from_str(&text).ok() } else { None };
    // The unit may stand beside what it is part of.
    let within = |unit: &str| match &json {
        Some(Value::Array(list)) => list.contains(&json!(unit)),
        _ => text.ends_with(unit),
    };
    if values.lone_unit().is_some_and(|unit| !within(&unit)) {
        return values.wrong("bucket_by", "in which the unit is not", "leave one of `--set` and `--unit` out");
    }
    Some(json.unwrap_or(Value::String(text)))
}

fn answer(values: &mut Values, release: Release) -> Option<Value> {
    let bucket_by = bucket_by(values, release);
    let weights = values.weights("weights");
    let (bucket_by, weights) = (bucket_by?, weights?);
    let bytes = bytes(&bucket_by, release);
    let hash = murmur3(&bytes, 0);
    let total = weights.iter().sum();
    let mut answer = json!({ "murmur3_x86_32": hash });
    match release {
        Release::One => {
            answer["bucket"] = json!(percentage(hash));
            answer["index"] = json!(first_above_percentage(percentage(hash), &weights));
        }
        Release::Two | Release::Three => {
            answer["bucket"] = json!(bucket(hash, total));
            answer["index"] = json!(first_above(bucket(hash, total), &weights));
        }
    }
    if release == Release::Three {
        answer["cbor_hex"] = json!(hex(&bytes));
    }
    // Nothing to bucket by is the default variant.
    if bucket_by.is_null() || bucket_by == json!("") {
        answer["index"] = Value::Null;
    }
    Some(answer)
}

pub(super) fn answer_v1(values: &mut Values) -> Option<Value> {
    answer(values, Release::One)
}

pub(super) fn answer_v2(values: &mut Values) -> Option<Value> {
    answer(values, Release::Two)
}

pub(super) fn answer_v3(values: &mut Values) -> Option<Value> {
    answer(values, Release::Three)
}
