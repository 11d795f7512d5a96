//! Files → `TrafficLog`, checked. The log's own column names are known here and nowhere later.

mod checks;
pub(crate) mod engine;
mod files;
pub(crate) mod schema;
pub(crate) mod values;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use polars::prelude::LazyFrame;
use xxhash_rust::xxh3::Xxh3;

use crate::digest::file;
use crate::error::{Error, Problem, Result};
use crate::scenario::Scenario;
use checks::Findings;
use engine::Outcome;
use files::Format;
use schema::{Columns, Part};

/// What LOG names.
#[derive(Debug)]
pub enum Input {
    /// A log, one row per request.
    Log(Box<TrafficLog>),
    /// Digests that `replay digest` wrote, to be merged.
    Digest(Vec<PathBuf>),
}

/// A log whose columns fit the scenario and whose rows have been checked. Its rows are read again when it is digested.
#[derive(Debug)]
pub struct TrafficLog {
    place: String,
    parts: Vec<Part>,
    columns: Columns,
    findings: Findings,
}

/// Opens what `path` names: a file, a pattern or a directory of one kind of files.
///
/// # Errors
/// Every problem found: files that cannot be read, columns that are missing or of the wrong type, and the first row of
/// each kind that cannot be used, with the number of such rows.
pub fn open(path: &str, scenario: &Scenario) -> Result<Input> {
    let found = files::list(path)?;
    if found.format == Format::Parquet
        && let Some(digests) = digests(path, &found)?
    {
        return Ok(Input::Digest(digests));
    }
    let columns = Columns::of(scenario);
    let parts = schema::parts(&found, &columns)?;
    let problems = schema::problems(&parts, &columns);
    if !problems.is_empty() {
        return Err(Error::from(problems));
    }
    let findings = checks::run(path, &parts, &columns, scenario)?;
    Ok(Input::Log(Box::new(TrafficLog { place: path.to_owned(), parts, columns, findings })))
}

/// The files, if they are digests.
fn digests(path: &str, found: &files::Files) -> Result<Option<Vec<PathBuf>>> {
    let (mut digests, mut logs) = (Vec::new(), Vec::new());
    for entry in &found.files {
        // An unreadable file is reported with the others, when schemas are read.
        if file::is_digest(&entry.path) { digests.push(entry.path.clone()) } else { logs.push(entry) }
    }
    match (digests.first(), logs.first()) {
        (None, _) => Ok(None),
        (Some(_), None) => Ok(Some(digests)),
        (Some(digest), Some(log)) => {
            let message = format!("holds digests (`{}`) and logs (`{}`)", digest.display(), log.place());
            Err(Problem::new(path, message).hint("keep digests in a directory of their own").into())
        }
    }
}

impl TrafficLog {
    /// The log as the user named it.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// The columns behind the checked names.
    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// What the checks found.
    pub(crate) fn findings(&self) -> &Findings {
        &self.findings
    }

    /// The rows that have a unit and a time, under the names of [`schema`].
    pub(crate) fn usable_rows(&self) -> Outcome<LazyFrame> {
        let rows = checks::all_rows(&self.parts, &self.columns, false)?;
        let all = self.findings.null_unit + self.findings.bad_time == 0;
        Ok(if all { rows } else { rows.filter(checks::usable()) })
    }

    /// xxh3 of the bytes of all files in the order of their paths, in hexadecimal.
    pub(crate) fn fingerprint(&self) -> Result<String> {
        let mut hash = Xxh3::new();
        for entry in self.parts.iter().flat_map(|part| &part.files) {
            hash_file(&entry.path, &mut hash)
                .map_err(|error| Error::at(entry.place(), format!("cannot be read: {error}")))?;
        }
        Ok(format!("{:032x}", hash.digest128()))
    }
}

fn hash_file(path: &Path, hash: &mut Xxh3) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        hash.update(&chunk[..length]);
    }
}
