//! GrowthBook: FNV-1a of `value seed` modulo 1,000, or of the decimal text of FNV-1a of `seed value` modulo 10,000.
//!
//! Whether coverage includes its own edge, and whether text is hashed as bytes or as UTF-16 code units, depends on the SDK's release.
//! Source: growthbook/growthbook `packages/sdk-js/src/util.ts`, `core.ts`; growthbook/growthbook-rust `CHANGELOG.md`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bucket_at;
use super::traffic::Traffic;
use crate::assign::hashes::{fnv1a, fnv1a_utf8};
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, NEVER, scaled};
use crate::domain::quantity::Fraction;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HashVersion {
    One,
    Two,
}

struct GrowthBook {
    seed: String,
    version: HashVersion,
    inclusive: bool,
    encoding: Encoding,
    namespace: Option<Traffic>,
}

fn hash(text: &str, encoding: Encoding) -> u32 {
    match encoding {
        Encoding::Utf8 => fnv1a_utf8(text),
        Encoding::Utf16 => fnv1a(text.encode_utf16().map(u32::from)),
    }
}

/// Bucket and number of buckets.
fn bucket(seed: &str, value: &str, version: HashVersion, encoding: Encoding) -> (u32, u32) {
    match version {
        HashVersion::One => (hash(&format!("{value}{seed}"), encoding) % 1_000, 1_000),
        HashVersion::Two => (fnv1a_utf8(&hash(&format!("{seed}{value}"), encoding).to_string()) % 10_000, 10_000),
    }
}

fn n((bucket, buckets): (u32, u32)) -> f64 {
    f64::from(bucket) / f64::from(buckets)
}

fn covered(n: f64, coverage: f64, inclusive: bool) -> bool {
    if inclusive { coverage > 0.0 && n <= coverage } else { n < coverage }
}

/// Namespaces use the first version of the hash.
fn in_namespace(value: &str, name: &str, start: f64, end: f64, encoding: Encoding) -> (f64, bool) {
    let n = n(bucket(&format!("__{name}"), value, HashVersion::One, encoding));
    (n, start <= n && n < end)
}

impl GrowthBook {
    fn takes_part(&self, unit: &str) -> bool {
        let inside = |names: &Traffic| in_namespace(unit, &names.key, names.start, names.end, self.encoding).1;
        self.namespace.as_ref().is_none_or(inside)
    }

    fn buckets(&self) -> u32 {
        if self.version == HashVersion::One { 1_000 } else { 10_000 }
    }

    fn bucket(&self, unit: &str) -> (u32, u32) {
        bucket(&self.seed, unit, self.version, self.encoding)
    }
}

impl Bucketing for GrowthBook {
    fn place(&self, unit: &str) -> f64 {
        if self.takes_part(unit) { n(self.bucket(unit)) } else { NEVER }
    }

    fn steps(&self) -> Option<u32> {
        Some(self.buckets())
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        let n = n((bucket_at(place, self.buckets()) as u32, self.buckets()));
        place < NEVER && covered(n, scaled(exposure, 1.0), self.inclusive)
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let (text, name) = match self.version {
            HashVersion::One => (format!("{unit}{}", self.seed), "fnv1a"),
            HashVersion::Two => (format!("{}{unit}", self.seed), "fnv1a, whose decimals are hashed again"),
        };
        let (bucket, buckets) = self.bucket(unit);
        let outside = if self.takes_part(unit) { "" } else { "; outside `traffic`" };
        Hashed {
            hash: format!("{name}: {}", hash(&text, self.encoding)),
            text,
            bucket: format!("{bucket} of {buckets}{outside}"),
        }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        let edge = scaled(exposure, self.buckets().into());
        if self.inclusive { format!("at most {edge}") } else { format!("below {edge}") }
    }

    fn ascii_only(&self) -> bool {
        true
    }
}

fn encoding(values: &mut Values) -> Option<Encoding> {
    let word = values.choice("encoding", &["utf8", "utf16"])?;
    Some(if word == "utf8" { Encoding::Utf8 } else { Encoding::Utf16 })
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    // The flag's own key, where the rule has no seed.
    let seed = if values.has("flag") && !values.has("seed") {
        values.text("flag", "")
    } else {
        values.text("seed", "seed of the rule, or `flag` where it has none")
    };
    let version = values.word("hash_version", &["1", "2"], "`hashVersion` of the rule; 1 where it has none");
    let operator = values.word(
        "operator",
        &["<=", "<"],
        "how the SDK compares with coverage: `<=` in most releases, `<` since Python 4.0 and Rust 0.4",
    );
    let encoding = encoding(values);
    let namespace = Traffic::read(values, "name of the namespace");
    let version = if version? == "1" { HashVersion::One } else { HashVersion::Two };
    Some(Arc::new(GrowthBook {
        seed: seed?,
        version,
        inclusive: operator? == "<=",
        encoding: encoding?,
        namespace: namespace?,
    }))
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    if values.has("num_variations") {
        return ranges_of(values);
    }
    if values.has("ranges") {
        return choose(values);
    }
    if values.has("namespace") {
        return namespace(values);
    }
    let (seed, value) = (values.text("seed", "seed of the rule, or key of the flag"), values.unit("value"));
    let version = values.whole("hash_version", "1 or 2", i64::MIN, i64::MAX);
    let encoding = encoding(values);
    let coverage = values.optional("coverage", |values| values.number("coverage", ""));
    let of = |version| Some(n(bucket(seed.as_deref()?, value.as_deref()?, version, encoding?)));
    let n = match version? {
        1 => Some(of(HashVersion::One)?),
        2 => Some(of(HashVersion::Two)?),
        // The platform assigns nobody by another version.
        _ => None,
    };
    let mut answer = json!({ "n": n });
    if let Some(coverage) = coverage? {
        for (name, inclusive) in [("included_inclusive", true), ("included_half_open", false)] {
            answer[name] = json!(n.is_some_and(|n| covered(n, coverage, inclusive)));
        }
    }
    Some(answer)
}

fn namespace(values: &mut Values) -> Option<Value> {
    let (value, encoding) = (values.unit("value"), encoding(values));
    let namespace = values.json("namespace", "a list of name, start and end, such as `[\"pricing\", 0, 0.4]`")?;
    let parts = |namespace: &Value| {
        let part = |index: usize| namespace.get(index);
        Some((part(0)?.as_str()?.to_owned(), part(1)?.as_f64()?, part(2)?.as_f64()?))
    };
    let parts = parts(&namespace);
    let (name, start, end) =
        parts.or_else(|| values.wrong("namespace", "which is not a namespace", "write `[\"pricing\", 0, 0.4]`"))?;
    let (n, included) = in_namespace(&value?, &name, start, end, encoding?);
    Some(json!({ "n": n, "included": included }))
}

/// Ranges of an experiment's variations: each takes the first part of its weight, as much as coverage says.
fn ranges_of(values: &mut Values) -> Option<Value> {
    let count = values.whole("num_variations", "", 1, 10_000);
    let coverage = values.number("coverage", "share of units in the experiment");
    let weights = match values.text_or("weights", "null").as_str() {
        "null" => None,
        _ => Some(values.numbers("weights", "")?),
    };
    let (count, coverage) = (count? as usize, coverage?.clamp(0.0, 1.0));
    let fits = |weights: &Vec<f64>| weights.len() == count && (0.99..=1.01).contains(&weights.iter().sum::<f64>());
    let weights = weights.filter(fits).unwrap_or_else(|| vec![1.0 / count as f64; count]);
    let mut start = 0.0;
    let ranges: Vec<[f64; 2]> = weights
        .iter()
        .map(|weight| {
            let range = [start, start + coverage * weight];
            start += weight;
            range
        })
        .collect();
    Some(json!({ "ranges": ranges }))
}

fn choose(values: &mut Values) -> Option<Value> {
    let n = values.number("n", "place of the unit");
    let ranges = values.json("ranges", "a list of `[start, end]`")?;
    let bounds = |range: &Value| Some((range.get(0)?.as_f64()?, range.get(1)?.as_f64()?));
    let ranges: Option<Vec<(f64, f64)>> = ranges.as_array().and_then(|list| list.iter().map(bounds).collect());
    let ranges = ranges.or_else(|| values.wrong("ranges", "which are not ranges", "write `[[0, 0.5], [0.5, 1]]`"))?;
    let n = n?;
    let found = ranges.iter().position(|&(start, end)| start <= n && n < end);
    // The platform's own word for none.
    Some(json!({ "index": found.map_or(-1, |index| index as i64) }))
}
