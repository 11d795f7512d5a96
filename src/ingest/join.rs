//! Outputs in files of their own → the rows of one log. Each request has at most one output of a version, by its key; a request without
//! one counts as not answered. A join holds the outputs: of more than [`MOST`] rows, it is made in rounds, each of the keys that fall to it.

use polars::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::checks::{self, Ids};
use super::engine::{Outcome, collect, guarded};
use super::repeats;
use super::schema::{self, Columns, FIRST_TURN, KEY, Part, REQUEST, Side};
use crate::domain::version::{PerVersion, Version};
use crate::error::{Error, Problem, Result};

/// Rows of outputs that a round holds, of both versions together; and keys of the log, where outputs without a request are counted.
const MOST: u64 = 1 << 23;

/// The files of a log.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Who, when, what, and outputs that do not lie apart.
    pub(crate) log: Vec<Part>,
    /// Each version's outputs, where they lie apart.
    pub(crate) outputs: PerVersion<Vec<Part>>,
}

/// What is known of the keys before outputs are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keys {
    /// In how many rounds outputs are joined.
    pub(crate) rounds: u64,
    /// Outputs of each version that belong to no request of the log.
    pub(crate) unasked: PerVersion<u64>,
}

impl Keys {
    /// Of a log that has all its outputs itself.
    pub(crate) const NONE: Self = Self { rounds: 1, unasked: PerVersion { stable: 0, candidate: 0 } };
}

impl Parts {
    /// Those of one side.
    pub(crate) fn of(&self, side: Side) -> &[Part] {
        match side {
            Side::Log => &self.log,
            Side::Outputs(version) => self.outputs.get(version),
        }
    }

    /// The log, then stable's outputs, then the candidate's.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Part> {
        self.log.iter().chain(&self.outputs.stable).chain(&self.outputs.candidate)
    }

    /// All rows in so many rounds, under the names of [`schema`].
    pub(crate) fn rows(&self, columns: &Columns, rounds: u64) -> Outcome<Vec<LazyFrame>> {
        (0..rounds).map(|round| self.round(columns, (round, rounds))).collect()
    }

    fn round(&self, columns: &Columns, round: (u64, u64)) -> Outcome<LazyFrame> {
        let mut rows = checks::all_rows(&self.log, columns, false)?;
        if columns.join.is_none() {
            return Ok(rows);
        }
        rows = of_round(rows, round);
        for version in apart(columns) {
            let outputs = of_round(checks::all_rows(self.outputs.get(version), columns, false)?, round);
            // The outputs are held, and the log streams by.
            let how = JoinArgs::new(JoinType::Left).with_build_side(Some(JoinBuildSide::ForceRight));
            rows = rows.join(outputs, [col(KEY)], [col(KEY)], how);
        }
        let text = DataType::String;
        let mut outcomes = Vec::new();
        for (index, _) in columns.values.iter().enumerate() {
            let (value, failed) = (schema::value(index), schema::unparsed(index));
            // Later turns have no outcome to compare, whatever they hold.
            let counts = columns.first_turns.as_ref().map_or(lit(true), |_| col(FIRST_TURN));
            outcomes.push(
                when(counts.clone()).then(col(&value)).otherwise(lit(NULL).cast(DataType::Float64)).alias(&value),
            );
            outcomes.push(counts.and(col(&failed)).fill_null(lit(false)).alias(&failed));
            outcomes.push(col(schema::raw(&value)).cast(text.clone()));
        }
        Ok(rows.with_columns(outcomes))
    }

    /// Columns that do not fit together: keys of different types, and outputs that lie in two places.
    pub(crate) fn problems(&self, columns: &Columns) -> Vec<Problem> {
        let Some(join) = &columns.join else { return Vec::new() };
        let mut problems = Vec::new();
        let kind = |part: &Part| Some((part.kind(&join.on)?, part.files[0].place()));
        let first = self.log.iter().find_map(kind);
        let others = self.outputs.stable.iter().chain(&self.outputs.candidate).filter_map(kind);
        for (other, place) in others {
            if let Some((kind, log)) = first.as_ref().filter(|(kind, _)| *kind != other) {
                let message = format!("holds {other}, and in {log} it holds {kind}");
                let problem = Problem::new(format!("{place}: column `{}`", join.on), message);
                problems.push(problem.hint("store the key alike in all files, as text or as integers"));
            }
        }
        let of_log = columns.names(Side::Log);
        for version in apart(columns) {
            for name in columns.names(Side::Outputs(version)) {
                let Some(part) = self.log.iter().find(|part| !of_log.contains(name) && part.has(name)) else {
                    continue;
                };
                let message = format!("is also in the {}'s outputs, which `log.join.{0}` names", version.name());
                let problem = Problem::new(format!("{}: column `{name}`", part.files[0].place()), message);
                problems.push(problem.hint("leave it out of one of the two, so that it is certain which counts"));
            }
        }
        problems
    }

    /// Looks at the keys of all files.
    ///
    /// # Errors
    /// A key that a version's files have twice, and files whose keys are all unknown to the log.
    pub(crate) fn keys(&self, place: &str, columns: &Columns) -> Result<Keys> {
        let Some(join) = &columns.join else { return Ok(Keys::NONE) };
        let blamed = |message: String| checks::blame(place, self, columns, &message);
        let asked = rows_of(&self.log, columns).map_err(blamed)?;
        let mut problems = Vec::new();
        let mut held = 0;
        let mut unasked = PerVersion::default();
        for version in apart(columns) {
            let outputs = self.outputs.get(version);
            let count = rows_of(outputs, columns).map_err(blamed)?;
            held += count;
            let keys = checks::all_rows(outputs, columns, false).map(|rows| rows.select([col(KEY).alias(REQUEST)]));
            let twice = keys.and_then(|keys| repeats::find(&keys, &lit(true), count, &|_| {})).map_err(blamed)?;
            if twice.height() > 0 {
                let ids = Ids {
                    name: KEY,
                    column: &join.on,
                    counts: lit(true),
                    hint: "keep one output of each request, or join on a key that tells them apart",
                };
                problems.push(checks::duplicate_problem(outputs, columns, &ids, &twice).map_err(blamed)?);
                continue;
            }
            let found = self.unasked(columns, version, asked.div_ceil(MOST).max(1)).map_err(blamed)?;
            *unasked.get_mut(version) = found;
            if found == count {
                problems.push(self.strangers(columns, version, count).map_err(blamed)?);
            }
        }
        let rounds = held.div_ceil(MOST).max(1);
        if problems.is_empty() { Ok(Keys { rounds, unasked }) } else { Err(Error::from(problems)) }
    }

    /// Outputs of a version whose key no request has.
    fn unasked(&self, columns: &Columns, version: Version, rounds: u64) -> Outcome<u64> {
        let mut unasked = 0;
        for round in 0..rounds {
            let keys = |parts: &[Part]| {
                checks::all_rows(parts, columns, false).map(|rows| of_round(rows.select([col(KEY)]), (round, rounds)))
            };
            let how = JoinArgs::new(JoinType::Anti);
            let alone = keys(self.outputs.get(version))?.join(keys(&self.log)?, [col(KEY)], [col(KEY)], how);
            unasked += counted(alone)?;
        }
        Ok(unasked)
    }

    /// A file of outputs that has nothing to do with the log.
    fn strangers(&self, columns: &Columns, version: Version, count: u64) -> Outcome<Problem> {
        let outputs = self.outputs.get(version);
        let place =
            format!("{}: column `{}`", outputs[0].files[0].place(), columns.join.as_ref().map_or("", |join| &join.on));
        if count == 0 {
            return Ok(Problem::new(outputs[0].files[0].place(), "holds no outputs"));
        }
        let first = |parts: &[Part]| {
            let known = checks::all_rows(parts, columns, false)?.select([col(KEY)]).filter(col(KEY).is_not_null());
            let first = collect(known.limit(1))?;
            guarded(|| {
                Ok(first
                    .column(KEY)?
                    .str()?
                    .get(0)
                    .map_or("null".to_owned(), |key| format!("`{}`", checks::clipped(key))))
            })
        };
        let (own, log) = (first(outputs)?, first(&self.log)?);
        let message =
            format!("no request of the log has one of its {count} keys, such as {own}; the log's are such as {log}");
        Ok(Problem::new(place, message).hint("join on a column that means the same in all files, written alike"))
    }
}

/// Versions whose outputs lie apart.
fn apart(columns: &Columns) -> impl Iterator<Item = Version> {
    Version::BOTH.into_iter().filter(|&version| columns.is_apart(version))
}

fn rows_of(parts: &[Part], columns: &Columns) -> Outcome<u64> {
    counted(checks::all_rows(parts, columns, false)?.select([col(KEY)]))
}

fn counted(rows: LazyFrame) -> Outcome<u64> {
    let count = collect(rows.select([len().cast(DataType::UInt64).alias(KEY)]))?;
    guarded(|| Ok(count.column(KEY)?.u64()?.get(0).unwrap_or_default()))
}

/// Rows whose key falls to a round; those without a key fall to the first.
fn of_round(rows: LazyFrame, (round, rounds): (u64, u64)) -> LazyFrame {
    if rounds == 1 {
        return rows;
    }
    let falls = move |key: Option<&str>| Some(key.map_or(0, |key| xxh3_64(key.as_bytes()) % rounds) == round);
    let own = col(KEY).map(
        move |keys| {
            let own: BooleanChunked = keys.str()?.iter().map(falls).collect();
            Ok(own.with_name(keys.name().clone()).into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Boolean)),
    );
    rows.filter(own)
}
