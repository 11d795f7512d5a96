//! Eppo: MD5 of `salt-subject`, its first 32 bits modulo the flag's number of shards. A split matches if all of its shards do.
//!
//! Source: Eppo-exp/eppo-multiplatform `eppo_core/src/sharder.rs`, `eval_assignment.rs`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bucket_at;
use super::position::placed;
use super::traffic::Traffic;
use crate::assign::hashes::md5;
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, NEVER, nearest};
use crate::domain::quantity::Fraction;

struct Eppo {
    salt: String,
    shards: u32,
    /// The shard that says who takes part in the allocation.
    traffic: Option<Traffic>,
}

fn number(salt: &str, subject: &str) -> u32 {
    (md5(&format!("{salt}-{subject}")) >> 96) as u32
}

fn shard(salt: &str, subject: &str, shards: u32) -> u32 {
    number(salt, subject) % shards
}

impl Eppo {
    fn takes_part(&self, subject: &str) -> bool {
        self.traffic.as_ref().is_none_or(|traffic| {
            let shard = f64::from(shard(&traffic.key, subject, self.shards));
            let bound = |share: f64| (share * f64::from(self.shards)).round();
            (bound(traffic.start)..bound(traffic.end)).contains(&shard)
        })
    }
}

impl Bucketing for Eppo {
    fn place(&self, unit: &str) -> f64 {
        if !self.takes_part(unit) {
            return NEVER;
        }
        f64::from(shard(&self.salt, unit, self.shards)) / f64::from(self.shards)
    }

    fn steps(&self) -> Option<u32> {
        Some(self.shards)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        bucket_at(place, self.shards) < nearest(exposure, self.shards)
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let outside = if self.takes_part(unit) { "" } else { "; outside `traffic`" };
        Hashed {
            text: format!("{}-{unit}", self.salt),
            hash: format!("md5, 32 bits: {:08x}", number(&self.salt, unit)),
            bucket: format!("{} of {}{outside}", shard(&self.salt, unit, self.shards), self.shards),
        }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("below {}", nearest(exposure, self.shards))
    }
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let salt = values.text("salt", "salt of the shard that splits");
    let shards = values.parts_or("total", 10_000);
    let traffic = Traffic::read(values, "salt of the shard that says who takes part");
    let first = salt.zip(shards).zip(traffic).map(|((salt, shards), traffic)| Eppo { salt, shards, traffic });
    placed(values, first)
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    let subject = values.unit("subject");
    let shards = values.parts_or("total_shards", 10_000);
    if !values.has("splits") {
        let salt = values.text("salt", "salt of the shard");
        return Some(json!({ "shard": shard(&salt?, &subject?, shards?) }));
    }
    let splits = values.json(
        "splits",
        "a list of splits, each `{\"shards\": [{\"salt\": .., \"ranges\": [{\"start\": .., \"end\": ..}]}]}`",
    )?;
    let splits = splits_of(&splits)
        .or_else(|| values.wrong("splits", "which are not splits", "see Eppo's flag configuration"))?;
    let (subject, shards) = (subject?, shards?);
    let mut found = Vec::new();
    let matches = |split: &Vec<Shard>, found: &mut Vec<u32>| {
        let of_shards: Vec<u32> = split.iter().map(|(salt, _)| shard(salt, &subject, shards)).collect();
        let all = split
            .iter()
            .zip(&of_shards)
            .all(|((_, ranges), shard)| ranges.iter().any(|range| range.contains(&i64::from(*shard))));
        found.extend(of_shards);
        all
    };
    let index = splits.iter().position(|split| matches(split, &mut found));
    Some(json!({ "shards": found, "split_index": index }))
}

/// Salt and ranges.
type Shard = (String, Vec<std::ops::Range<i64>>);

fn splits_of(splits: &Value) -> Option<Vec<Vec<Shard>>> {
    let range = |range: &Value| Some(range.get("start")?.as_i64()?..range.get("end")?.as_i64()?);
    let shard = |shard: &Value| {
        let ranges: Option<Vec<_>> = shard.get("ranges")?.as_array()?.iter().map(range).collect();
        Some((shard.get("salt")?.as_str()?.to_owned(), ranges?))
    };
    let split = |split: &Value| split.get("shards")?.as_array()?.iter().map(shard).collect();
    splits.as_array()?.iter().map(split).collect()
}
