//! `TrafficLog` → `Digest`: one GROUP BY into cells. Row order does not matter; later stages never see rows.

pub mod bins;
pub mod cells;
pub mod judged;

mod block;
pub(crate) mod hash;
mod layout;
mod pages;
pub(crate) mod plan;
mod tally;
mod units;

pub mod build;
pub mod file;
pub mod trials;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::domain::quantity::{Moment, Seconds};
use crate::domain::version::PerVersion;
use crate::error::Result;
pub use crate::ingest::Step;
use crate::ingest::{self, Input, schema};
use crate::scenario::Scenario;
use cells::Cells;
use trials::Trials;

/// Opens LOG, whether it is a log or digests, and gives its digest as later stages see it: judges corrected, missing values
/// counted as the scenario says, one output of each version drawn where there are several.
///
/// # Errors
/// Every problem of the files, columns and rows.
pub fn load(path: &str, scenario: &Scenario, progress: &dyn Fn(Step)) -> Result<Digest> {
    as_seen(read(path, scenario, progress)?, path, scenario)
}

/// A digest as recorded, as later stages see it; the path is for messages.
///
/// # Errors
/// A judge that errs gave a value other than 0 and 1, or outputs of a request do not fit each other.
pub fn as_seen(mut digest: Digest, path: &str, scenario: &Scenario) -> Result<Digest> {
    judged::correct(&mut digest, scenario)?;
    trials::drawn(digest, path, scenario)
}

/// The same as recorded, which is what a digest file holds.
///
/// # Errors
/// Every problem of the files, columns and rows.
pub fn read(path: &str, scenario: &Scenario, progress: &dyn Fn(Step)) -> Result<Digest> {
    progress(Step::Begin("opening"));
    match ingest::open(path, scenario)? {
        Input::Log(log) => build::build(&log, scenario, progress),
        Input::Digest(paths) => {
            progress(Step::Begin("merging"));
            file::read(&paths, scenario)
        }
    }
}

/// All cells of a log, and what is known of the log as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    /// Rows, time range, exclusions, fingerprint.
    pub facts: Facts,
    /// Width of a slot.
    pub slot: Seconds,
    /// Start of slot 0: the first time stamp, rounded down to a slot.
    pub first: Moment,
    /// Number of slots up to the last time stamp.
    pub slots: u32,
    /// Unit names, sorted; cells refer to them by index.
    pub units: Vec<String>,
    /// Where cells have buckets in place of units: how many units of the log each has, by its name. Of digests that were
    /// merged, units of several count in each.
    pub members: BTreeMap<String, u64>,
    /// Segment columns in the order of the scenario.
    pub segments: Vec<SegmentColumn>,
    /// Item names, sorted; empty where the scenario names no item column.
    pub items: Vec<String>,
    /// Sorted by slot, unit, segment values, item.
    pub cells: Cells,
    /// Where requests have several outputs of a version: all of them, of which the cells hold one.
    pub trials: Option<Trials>,
}

impl Digest {
    /// Distinct units of the log.
    #[must_use]
    pub fn logged_units(&self) -> u64 {
        if self.members.is_empty() { self.units.len() as u64 } else { self.members.values().sum() }
    }

    /// Units of the log that one unit of assignment stands for, on average: 1 unless cells have buckets.
    #[must_use]
    pub fn units_each(&self) -> f64 {
        self.logged_units() as f64 / self.units.len().max(1) as f64
    }

    /// Of each unit the user, by index, and the users' names; `None` where units are the users.
    #[must_use]
    pub fn holders(&self, scenario: &Scenario) -> Option<(Vec<u32>, Vec<&str>)> {
        scenario.assignment.within.as_ref()?;
        let mut names: Vec<&str> = self.units.iter().map(|unit| schema::holder(unit)).collect();
        names.sort_unstable();
        names.dedup();
        let place = |unit: &String| names.partition_point(|&name| name < schema::holder(unit)) as u32;
        let of_unit = self.units.iter().map(place).collect();
        Some((of_unit, names))
    }

    /// The moment after the last slot.
    #[must_use]
    pub fn end(&self) -> Moment {
        Moment(self.first.0 + i64::from(self.slots) * self.slot.0)
    }
}

/// A segment column and its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentColumn {
    /// Name of the column.
    pub name: String,
    /// Values, sorted; a null is `(null)`.
    pub values: Vec<String>,
}

/// What is known of the log as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Rows used.
    pub rows: u64,
    /// First time stamp.
    pub start: Moment,
    /// Last time stamp.
    pub end: Moment,
    /// xxh3 of the bytes of the files, in hexadecimal.
    pub fingerprint: String,
    /// Rows left out because the unit is null.
    pub excluded_null_unit: u64,
    /// Rows left out because the time stamp is null or cannot be parsed.
    pub excluded_timestamp: u64,
    /// Rows left out because the request id was seen before.
    pub excluded_duplicate: u64,
    /// Outputs of each version, in files of their own, that belong to no request of the log.
    pub unasked: PerVersion<u64>,
}
