//! `TrafficLog` → `Digest`: one GROUP BY into cells. Row order does not matter; later stages never see rows.

pub mod bins;
pub mod cells;
pub mod judged;

mod layout;

pub mod build;
pub mod file;

#[cfg(test)]
mod tests;

use crate::domain::quantity::{Moment, Seconds};
use crate::error::Result;
use crate::ingest::{self, Input};
use crate::scenario::Scenario;
use cells::Cells;

/// Opens LOG, whether it is a log or digests, and gives its digest as later stages see it: judges corrected, missing values
/// counted as the scenario says. `progress` hears the name of each step.
///
/// # Errors
/// Every problem of the files, columns and rows.
pub fn load(path: &str, scenario: &Scenario, progress: &dyn Fn(&str)) -> Result<Digest> {
    let mut digest = read(path, scenario, progress)?;
    judged::correct(&mut digest, scenario)?;
    Ok(digest)
}

/// The same as recorded, which is what a digest file holds.
///
/// # Errors
/// Every problem of the files, columns and rows.
pub fn read(path: &str, scenario: &Scenario, progress: &dyn Fn(&str)) -> Result<Digest> {
    progress("checking");
    match ingest::open(path, scenario)? {
        Input::Log(log) => {
            progress("digesting");
            build::build(&log, scenario)
        }
        Input::Digest(paths) => {
            progress("merging");
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
    /// Segment columns in the order of the scenario.
    pub segments: Vec<SegmentColumn>,
    /// Item names, sorted; empty where the scenario names no item column.
    pub items: Vec<String>,
    /// Sorted by slot, unit, segment values, item.
    pub cells: Cells,
}

impl Digest {
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
}
