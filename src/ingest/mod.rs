//! Files → `TrafficLog`, checked. The log's own column names are known here and nowhere later.

pub(crate) mod checks;
mod embeddings;
pub(crate) mod engine;
mod files;
mod foretold;
pub(crate) mod join;
pub(crate) mod repeats;
pub(crate) mod schema;
pub(crate) mod values;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use polars::prelude::{ChunkAgg as _, DataFrame, Expr, IntoLazy as _, LazyFrame, PolarsResult, col};
use xxhash_rust::xxh3::Xxh3;

use crate::digest::file;
use crate::domain::version::{PerVersion, Version};
use crate::error::{Error, Problem, Result};
use crate::scenario::{OnBadRow, Scenario};
use checks::{Extent, Ids, Watch};
use engine::{Outcome, fold_all, guarded};
use files::Format;
use join::{Keys, Parts};
use schema::{Columns, Part, REQUEST, Side};

/// What is heard while a log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// What begins now.
    Begin(&'static str),
    /// So many rows of so many are done.
    Rows(u64, u64),
}

/// What LOG names.
#[derive(Debug)]
pub enum Input {
    /// A log, one row per request.
    Log(Box<TrafficLog>),
    /// Digests that `replay digest` wrote, to be merged.
    Digest(Vec<PathBuf>),
}

/// A log whose columns fit the scenario. Its rows are checked whenever they are read.
#[derive(Debug)]
pub struct TrafficLog {
    place: String,
    parts: Parts,
    columns: Columns,
    missing: OnBadRow,
    duplicates: OnBadRow,
}

/// What has to be known of a log before its rows are added up.
#[derive(Debug, Clone)]
pub(crate) struct Survey {
    /// As it seems; reading the rows shows what it is.
    pub(crate) extent: Extent,
    /// Request ids that occur more than once, if the first of each is to be kept.
    pub(crate) repeated: Option<DataFrame>,
    /// Of outputs that lie in files of their own.
    pub(crate) keys: Keys,
    /// The rows, where they had to be read and are few.
    held: Option<DataFrame>,
}

/// Opens what `path` names: a file, a pattern or a directory of one kind of files.
///
/// # Errors
/// Every problem found: files that cannot be read, columns that are missing or of the wrong type.
pub fn open(path: &str, scenario: &Scenario) -> Result<Input> {
    let found = files::list(path)?;
    if found.format == Format::Parquet
        && let Some(digests) = digests(path, &found)?
    {
        return Ok(Input::Digest(digests));
    }
    let mut columns = Columns::of(scenario);
    let parts = parts(&found, &columns)?;
    if let Some((turn, _)) = columns.first_turns.take() {
        columns.first_turns = Some((turn.clone(), first_turn(path, &parts.log, &turn)?));
    }
    columns.measure_embeddings(path, &parts)?;
    let (missing, duplicates) = (scenario.log.missing, scenario.log.duplicates);
    Ok(Input::Log(Box::new(TrafficLog { place: path.to_owned(), parts, columns, missing, duplicates })))
}

/// The log's files and those of outputs, whose columns fit.
fn parts(found: &files::Files, columns: &Columns) -> Result<Parts> {
    let mut problems = Vec::new();
    let mut read = |files: Result<files::Files>, side: Side| {
        let parts = files.and_then(|files| schema::parts(&files, columns, side));
        let parts = parts.map_err(|error| problems.extend(error.problems)).unwrap_or_default();
        problems.extend(if parts.is_empty() { Vec::new() } else { schema::problems(&parts, columns, side) });
        parts
    };
    let log = read(Ok(found.clone()), Side::Log);
    let outputs = PerVersion::from_fn(|version: Version| {
        let file = columns.join.as_ref().and_then(|join| join.files.get(version).as_ref());
        file.map_or_else(Vec::new, |file| read(files::list(file), Side::Outputs(version)))
    });
    let parts = Parts { log, outputs };
    problems.extend(parts.problems(columns));
    if problems.is_empty() { Ok(parts) } else { Err(Error::from(problems)) }
}

/// Which of some columns all files of `path` have.
///
/// # Errors
/// Files that cannot be read.
pub(crate) fn has_columns(path: &str, scenario: &Scenario, names: &[String]) -> Result<Vec<bool>> {
    let parts = schema::parts(&files::list(path)?, &Columns::of(scenario), Side::Log)?;
    Ok(names.iter().map(|name| parts.iter().all(|part| part.has(name))).collect())
}

/// The lowest number of a turn: logs count from 0 or from 1.
fn first_turn(path: &str, parts: &[Part], turn: &str) -> Result<i64> {
    let mut lowest = None;
    for part in parts {
        let found = guarded(|| part.lowest(turn)).and_then(engine::collect);
        let found = found.map_err(|message| Error::at(path, format!("cannot be read: {message}")))?;
        let found = guarded(|| Ok(found.column(schema::LOWEST)?.i64()?.min()));
        let found = found.map_err(|message| Error::at(path, format!("cannot be read: {message}")))?;
        lowest = found.into_iter().chain(lowest).min();
    }
    lowest.ok_or_else(|| {
        let problem =
            Problem::new(format!("{path}: column `{turn}`"), "holds no whole number, so that no turn is the first");
        problem.hint("number the turns of a conversation from 0 or 1").into()
    })
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

    /// Checks every row, and looks for repeated request ids.
    ///
    /// # Errors
    /// The first row of each kind that cannot be used, with the number of such rows.
    pub fn check(&self, progress: &dyn Fn(Step)) -> Result<()> {
        self.checked_of(self.keys(progress)?, progress).map(drop)
    }

    /// What has to be known before rows are added up. Where the files' own statistics tell the extent, only request ids are
    /// read; else all rows are.
    pub(crate) fn survey(&self, progress: &dyn Fn(Step)) -> Result<Survey> {
        let keys = self.keys(progress)?;
        let Some(extent) = foretold::extent(&self.parts, &self.columns) else { return self.checked_of(keys, progress) };
        match self.repeated(None, extent.rows, progress)? {
            // What else is wrong is said at the same time.
            Some(_) if self.duplicates == OnBadRow::Refuse => self.checked_of(keys, progress),
            repeated => Ok(Survey { extent, repeated, keys, held: None }),
        }
    }

    /// What is known of the keys by which outputs are joined.
    fn keys(&self, progress: &dyn Fn(Step)) -> Result<Keys> {
        if self.columns.join.is_some() {
            progress(Step::Begin("comparing keys"));
        }
        self.parts.keys(&self.place, &self.columns)
    }

    fn checked_of(&self, keys: Keys, progress: &dyn Fn(Step)) -> Result<Survey> {
        progress(Step::Begin("checking"));
        let (read, ragged) = std::thread::scope(|scope| {
            let ragged = scope.spawn(|| schema::ragged_rows(self.parts.all()));
            let rows = self.rows(None, keys.rounds, &self.columns.keys());
            let read = rows.and_then(|rows| {
                let state = (Watch::new(&self.columns), Held::default());
                let take = |(watch, held): &mut (Watch, Held), batch: DataFrame| {
                    watch.see(&batch)?;
                    held.take(batch);
                    Ok(())
                };
                fold_all(rows, state, take, &|_| {})
            });
            (read, ragged.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        // What such rows hold is not what their columns say.
        if !ragged.is_empty() {
            return Err(Error::from(ragged));
        }
        let blamed = |message: String| self.blame(&message);
        let (watch, held) = read.map_err(blamed)?;
        let held = guarded(|| held.frame()).map_err(blamed)?;
        let mut problems = self.problems(&watch)?;
        let extent = watch.extent();
        let repeated = if extent.rows == 0 { None } else { self.repeated(held.as_ref(), extent.rows, progress)? };
        if let (Some(found), Some(request), OnBadRow::Refuse) = (&repeated, &self.columns.request, self.duplicates) {
            let ids = Ids {
                name: REQUEST,
                column: request,
                counts: checks::usable(),
                hint: "give every request an id of its own, or set `log.duplicates = \"first\"`",
            };
            let problem = checks::duplicate_problem(&self.parts.log, &self.columns, &ids, found);
            problems.push(problem.map_err(blamed)?);
        }
        if problems.is_empty() { Ok(Survey { extent, repeated, keys, held }) } else { Err(Error::from(problems)) }
    }

    fn repeated(&self, held: Option<&DataFrame>, count: u64, progress: &dyn Fn(Step)) -> Result<Option<DataFrame>> {
        // Outputs of one request share its id; the same output twice is found when they are put together.
        if self.columns.request.is_none() || self.columns.trial.is_some() {
            return Ok(None);
        }
        progress(Step::Begin("looking for repeated ids"));
        let heard = |done| progress(Step::Rows(done, count));
        let rows = match held {
            Some(held) => Ok(held.clone().lazy()),
            None => checks::all_rows(&self.parts.log, &self.columns, false),
        };
        let found = rows.and_then(|rows| repeats::find(&rows, &checks::usable(), count, &heard));
        let found = found.map_err(|message| self.blame(&message))?;
        Ok((found.height() > 0).then_some(found))
    }

    /// All rows in so many rounds, with the columns that are checked and others, under the names of [`schema`].
    fn rows(&self, held: Option<&DataFrame>, rounds: u64, others: &[String]) -> Outcome<Vec<LazyFrame>> {
        let rows = match held {
            Some(held) => vec![held.clone().lazy()],
            None => self.parts.rows(&self.columns, rounds)?,
        };
        Ok(rows.into_iter().map(|rows| rows.select(self.selected(others))).collect())
    }

    /// Reads all rows and checks them; `take` gets those that have a unit and a time, in batches. `reads` are the columns that
    /// it needs beside those that are checked.
    ///
    /// # Errors
    /// The first row of each kind that cannot be used, with the number of such rows.
    pub(crate) fn read<S: Send + 'static>(
        &self,
        survey: &Survey,
        reads: &[String],
        state: S,
        take: impl Fn(&mut S, DataFrame) -> PolarsResult<()> + Send + Sync + 'static,
        heard: &dyn Fn(u64),
    ) -> Result<(S, Watch)> {
        let rows = self.rows(survey.held.as_ref(), survey.keys.rounds, reads);
        let take = move |(state, watch): &mut (S, Watch), batch: DataFrame| {
            watch.see(&batch)?;
            take(state, checks::usable_rows(batch)?)
        };
        let read = rows.and_then(|rows| fold_all(rows, (state, Watch::new(&self.columns)), take, heard));
        let (state, watch) = read.map_err(|message| self.blame(&message))?;
        let problems = self.problems(&watch)?;
        if problems.is_empty() { Ok((state, watch)) } else { Err(Error::from(problems)) }
    }

    /// The columns that are checked, and others.
    fn selected(&self, others: &[String]) -> Vec<Expr> {
        let watched = checks::watched(&self.columns);
        let others = others.iter().filter(|name| !watched.contains(name));
        watched.iter().chain(others).map(col).collect()
    }

    fn problems(&self, watch: &Watch) -> Result<Vec<Problem>> {
        let problems = watch.problems(&self.place, &self.parts, &self.columns, self.missing);
        problems.map_err(|message| self.blame(&message))
    }

    fn blame(&self, message: &str) -> Error {
        checks::blame(&self.place, &self.parts, &self.columns, message)
    }

    /// xxh3 of the bytes of all files in the order of their paths, in hexadecimal.
    pub(crate) fn fingerprint(&self) -> Result<String> {
        let mut hash = Xxh3::new();
        for entry in self.parts.all().flat_map(|part| &part.files) {
            hash_file(&entry.path, &mut hash)
                .map_err(|error| Error::at(entry.place(), format!("cannot be read: {error}")))?;
        }
        Ok(format!("{:032x}", hash.digest128()))
    }
}

/// Rows that are kept while they are few: reading text again takes longer than anything else that is done with it.
#[derive(Default)]
struct Held {
    rows: usize,
    batches: Vec<DataFrame>,
}

impl Held {
    /// Rows of which no more than this are kept: some hundred bytes each.
    const MOST: usize = 1_000_000;

    fn take(&mut self, batch: DataFrame) {
        self.rows += batch.height();
        if self.rows <= Self::MOST {
            self.batches.push(batch);
        } else {
            self.batches.clear();
        }
    }

    fn frame(self) -> PolarsResult<Option<DataFrame>> {
        let mut batches = self.batches.into_iter();
        let Some(mut frame) = batches.next() else { return Ok(None) };
        for batch in batches {
            frame.vstack_mut_owned(batch)?;
        }
        Ok(Some(frame))
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
