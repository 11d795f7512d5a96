//! Flag platforms and proxies, each in a file: what they hash, what they make of it, and what they compare it with.
//!
//! Every file has the platform as a [`Bucketing`], `read` that makes it from a scenario's keys, and `answer` that says all the
//! platform computes for one unit, under the names that reference vectors have.

mod configcat;
mod envoy;
mod eppo;
mod firebase;
mod flagd;
mod flagr;
mod flagsmith;
mod flipper;
mod flipt;
mod go_feature_flag;
mod growthbook;
mod haproxy;
mod launchdarkly;
mod naive_md5;
mod nginx;
mod optimizely;
mod position;
mod posthog;
mod split;
mod statsig;
mod template;
mod traffic;
mod unleash;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::Bucketing;
use super::values::{Trouble, Values, What};

/// How a platform is known, made, and asked.
struct Entry {
    name: &'static str,
    read: fn(&mut Values) -> Option<Arc<dyn Bucketing>>,
    answer: fn(&mut Values) -> Option<Value>,
}

/// One line of the table below.
macro_rules! entry {
    ($name:literal, $read:expr, $answer:expr) => {
        Entry { name: $name, read: |values| $read(values), answer: |values| $answer(values) }
    };
}

/// All algorithms, by name.
const ALL: &[Entry] = &[
    entry!("configcat", configcat::read, configcat::answer),
    entry!("envoy_weighted_cluster", envoy::read, envoy::answer),
    entry!("eppo", eppo::read, eppo::answer),
    entry!("firebase_rc_server", firebase::read, firebase::answer),
    entry!("flagd_v1", flagd::read_v1, flagd::answer_v1),
    entry!("flagd_v2", flagd::read_v2, flagd::answer_v2),
    entry!("flagd_v3", flagd::read_v3, flagd::answer_v3),
    entry!("flagr", flagr::read, flagr::answer),
    entry!("flagsmith", flagsmith::read, flagsmith::answer),
    entry!("flipper", flipper::read, flipper::answer),
    entry!("flipt_boolean", flipt::read_boolean, flipt::answer_boolean),
    entry!("flipt_variant", flipt::read_variant, flipt::answer_variant),
    entry!("go_feature_flag", go_feature_flag::read, go_feature_flag::answer),
    entry!("growthbook", growthbook::read, growthbook::answer),
    entry!("haproxy", haproxy::read, haproxy::answer),
    entry!("launchdarkly", launchdarkly::read, launchdarkly::answer),
    entry!("md5-mod100", naive_md5::read_mod100, naive_md5::answer),
    entry!("naive_md5_mod", naive_md5::read, naive_md5::answer),
    entry!("nginx_split_clients", nginx::read, nginx::answer),
    entry!("optimizely", optimizely::read, optimizely::answer),
    entry!("posthog", posthog::read, posthog::answer),
    entry!("split_legacy", split::read_legacy, split::answer_legacy),
    entry!("split_murmur", split::read_murmur, split::answer_murmur),
    entry!("statsig", statsig::read, statsig::answer),
    entry!("unleash", unleash::read, unleash::answer),
];

/// Names of all algorithms, in the order of the alphabet.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|entry| entry.name)
}

fn entry(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name)
}

/// All that an algorithm computes for one unit, under the names of the reference vectors; `None` for an unknown algorithm.
///
/// # Errors
/// Everything that is wrong with the values.
#[must_use]
pub fn answer(name: &str, mut values: Values) -> Option<Result<Value, Vec<Trouble>>> {
    let answer = (entry(name)?.answer)(&mut values);
    Some(finished(answer, values))
}

/// What was made of values, if nothing is wrong with them.
fn finished<T>(made: Option<T>, values: Values) -> Result<T, Vec<Trouble>> {
    let mut troubles = values.troubles();
    // Which values are of use depends on the kind.
    let unused = |trouble: &Trouble| matches!(trouble.what, What::Unused(_));
    if troubles.iter().any(|trouble| trouble.name == "kind" && !unused(trouble)) {
        troubles.retain(|trouble| !unused(trouble));
    }
    match made {
        Some(made) if troubles.is_empty() => Ok(made),
        _ => Err(troubles),
    }
}

/// The algorithm of a scenario, with all that it is told.
#[derive(Clone)]
pub struct Platform {
    name: &'static str,
    settings: Vec<(String, String)>,
    bucketing: Arc<dyn Bucketing>,
}

impl Platform {
    /// From an algorithm's name and a scenario's keys; `None` for an unknown algorithm.
    ///
    /// # Errors
    /// Everything that is wrong with the keys.
    #[must_use]
    pub fn read(name: &str, settings: Vec<(String, String)>) -> Option<Result<Self, Vec<Trouble>>> {
        let entry = entry(name)?;
        let mut values = Values::of(settings.iter().cloned());
        let bucketing = (entry.read)(&mut values);
        let made = bucketing.map(|bucketing| Self { name: entry.name, settings, bucketing });
        Some(finished(made, values))
    }

    /// Name of the algorithm.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// A key as written; empty where it is not.
    #[must_use]
    pub fn setting(&self, key: &str) -> &str {
        self.settings.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
    }

    /// How it assigns.
    #[must_use]
    pub fn bucketing(&self) -> Arc<dyn Bucketing> {
        Arc::clone(&self.bucketing)
    }
}

/// The hash of a scenario that names none.
pub const DEFAULT: &str = "md5-mod100";

impl Default for Platform {
    fn default() -> Self {
        let platform = Self::read(DEFAULT, Vec::new()).and_then(Result::ok);
        platform.expect("the default hash needs no keys")
    }
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The algorithm and its keys.
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        self.settings.iter().try_for_each(|(key, value)| write!(f, ", {key} `{value}`"))
    }
}

impl PartialEq for Platform {
    fn eq(&self, other: &Self) -> bool {
        (self.name, &self.settings) == (other.name, &other.settings)
    }
}

impl Eq for Platform {}

/// Position of the first variant whose cumulative weight is above a bucket; `None` where there is none.
fn first_above(bucket: u64, weights: &[u64]) -> Option<usize> {
    let mut edge = 0;
    weights.iter().position(|weight| {
        edge += weight;
        bucket < edge
    })
}

/// A bucket of a platform from its place, which is the bucket over the number of buckets, as exact as division is.
fn bucket_at(place: f64, buckets: u32) -> f64 {
    (place * f64::from(buckets)).round()
}
