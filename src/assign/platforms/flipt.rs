//! Flipt: CRC-32 of `entity flag` modulo 100 for boolean flags, of `flag entity` modulo 1,000 for variants, whose edges have three forms.
//!
//! Source: flipt-io/flipt `internal/server/evaluation`, branches main and v2; flipt-io/flipt-client-sdks `flipt-evaluation`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bucket_at;
use super::position::placed;
use crate::assign::hashes::crc32;
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, percent};
use crate::domain::quantity::Fraction;

struct Boolean {
    flag: String,
}

/// Computed in 32 bits; a percentage that is not whole counts up.
fn included(bucket: f64, percentage: f64) -> bool {
    (bucket as f32) < percentage as f32
}

impl Bucketing for Boolean {
    fn place(&self, unit: &str) -> f64 {
        f64::from(crc32(&format!("{unit}{}", self.flag)) % 100) / 100.0
    }

    fn steps(&self) -> Option<u32> {
        Some(100)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        included(bucket_at(place, 100), percent(exposure))
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let text = format!("{unit}{}", self.flag);
        let hash = crc32(&text);
        Hashed { text, hash: format!("crc32: {hash}"), bucket: format!("{} of 100", hash % 100) }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("below {}", percent(exposure))
    }
}

pub(super) fn read_boolean(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let flag = values.text("flag", "key of the flag")?;
    Some(Arc::new(Boolean { flag }))
}

pub(super) fn answer_boolean(values: &mut Values) -> Option<Value> {
    let (flag, entity) = (values.text("flag_key", "key of the flag"), values.unit("entity_id"));
    let percentage = values.optional("percentage", |values| values.number("percentage", ""));
    let bucket = crc32(&format!("{}{}", entity?, flag?)) % 100;
    let mut answer = json!({ "bucket_100": bucket });
    if let Some(percentage) = percentage? {
        answer["included"] = json!(included(bucket.into(), percentage));
    }
    Some(answer)
}

/// How a release turns shares into edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Generation {
    ServerV1,
    ServerV2,
    Client,
}

const GENERATIONS: [(&str, Generation); 3] =
    [("server-v1", Generation::ServerV1), ("server-v2", Generation::ServerV2), ("client", Generation::Client)];

/// Edges in thousandths, of distributions that are not empty; all in 32 bits.
fn edges(rollouts: &[f64], generation: Generation) -> Vec<u32> {
    let rollouts: Vec<f32> = rollouts.iter().map(|&rollout| rollout as f32).filter(|&rollout| rollout > 0.0).collect();
    if generation == Generation::ServerV1 {
        let mut edge = 0;
        return rollouts
            .iter()
            .map(|rollout| {
                edge += (rollout * 10.0) as u32;
                edge
            })
            .collect();
    }
    let total: f32 = rollouts.iter().sum();
    let mut cumulative = 0.0_f32;
    let mut edges: Vec<u32> = rollouts
        .iter()
        .map(|rollout| {
            cumulative += (rollout / total) * 100.0;
            let edge = cumulative * 10.0;
            if generation == Generation::Client { edge.round() as u32 } else { edge as u32 }
        })
        .collect();
    if let Some(last) = edges.last_mut() {
        *last = 1_000;
    }
    edges
}

/// Position among all distributions, the empty ones too.
fn index(bucket: u32, rollouts: &[f64], generation: Generation) -> Option<usize> {
    let found = edges(rollouts, generation).iter().position(|&edge| edge > bucket)?;
    let used = (0..rollouts.len()).filter(|&index| rollouts[index] as f32 > 0.0);
    used.into_iter().nth(found)
}

struct Variant {
    flag: String,
    generation: Generation,
}

impl Variant {
    /// The first of two distributions.
    fn edge(&self, exposure: Fraction) -> u32 {
        let percentage = percent(exposure);
        if percentage > 0.0 { edges(&[percentage, 100.0 - percentage], self.generation)[0] } else { 0 }
    }
}

impl Bucketing for Variant {
    fn place(&self, unit: &str) -> f64 {
        f64::from(crc32(&format!("{}{unit}", self.flag)) % 1_000) / 1_000.0
    }

    fn steps(&self) -> Option<u32> {
        Some(1_000)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        bucket_at(place, 1_000) < f64::from(self.edge(exposure))
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let text = format!("{}{unit}", self.flag);
        let hash = crc32(&text);
        Hashed { text, hash: format!("crc32: {hash}"), bucket: format!("{} of 1000", hash % 1_000) }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("below {}", self.edge(exposure))
    }
}

pub(super) fn read_variant(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let flag = values.text("flag", "key of the flag");
    let words = GENERATIONS.map(|(word, _)| word);
    let word =
        values.word("generation", &words, "`server-v1` (branch main), `server-v2` or `client`: their edges differ");
    let generation = GENERATIONS.iter().find(|(name, _)| Some(*name) == word).map(|(_, generation)| *generation);
    placed(values, flag.zip(generation).map(|(flag, generation)| Variant { flag, generation }))
}

pub(super) fn answer_variant(values: &mut Values) -> Option<Value> {
    let (flag, entity) = (values.text("flag_key", "key of the flag"), values.unit("entity_id"));
    let rollouts = values.numbers("rollouts", "per cent of each distribution, such as `[5, 95]`");
    let bucket = crc32(&format!("{}{}", flag?, entity?)) % 1_000;
    let rollouts = rollouts?;
    let mut answer = json!({ "bucket_1000": bucket, "edges": {} });
    for (name, generation) in GENERATIONS {
        answer[name] = json!(index(bucket, &rollouts, generation));
        answer["edges"][name] = json!(edges(&rollouts, generation));
    }
    Some(answer)
}
