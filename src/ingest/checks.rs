//! Rows that cannot be used. One pass counts them; only where there are some, a second finds the first of each kind.

use std::collections::HashSet;

use polars::prelude::arity::unary_elementwise;
use polars::prelude::*;
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::engine::{Outcome, collect, fold, guarded};
use super::schema::{self, Columns, Part, REQUEST, ROW, TIME, TIME_UNPARSED, UNIT, ValueColumn};
use crate::error::{Error, Problem, Result};
use crate::scenario::{OnBadRow, Scenario};

/// No measurement is larger, and the square of a larger number leaves the range of sums.
const LARGEST: f64 = 1e100;

/// What the passes over a log found.
#[derive(Debug, Clone)]
pub(crate) struct Findings {
    /// Rows of the files.
    pub(crate) rows: u64,
    /// Rows left out because the unit is null.
    pub(crate) null_unit: u64,
    /// Rows with a unit, left out because the time stamp is null or cannot be parsed.
    pub(crate) bad_time: u64,
    /// Largest absolute value of each value column.
    pub(crate) peaks: Vec<f64>,
    /// Request ids that occur more than once, if the first of each is to be kept.
    pub(crate) duplicates: Option<DataFrame>,
}

/// One way in which a row cannot be used.
struct Rule {
    column: String,
    /// True for the rows at fault.
    fault: Expr,
    /// The value to show, as text.
    shown: Expr,
    /// What is said of the value.
    message: Box<dyn Fn(&str) -> String>,
    hint: String,
}

/// Rows that have a unit and a time.
pub(crate) fn usable() -> Expr {
    col(UNIT).is_not_null().and(col(TIME).is_not_null())
}

/// Checks every row.
pub(crate) fn run(place: &str, parts: &[Part], columns: &Columns, scenario: &Scenario) -> Result<Findings> {
    let (summary, ragged) = std::thread::scope(|scope| {
        let ragged = scope.spawn(|| schema::ragged_rows(parts));
        let summary = all_rows(parts, columns, false).and_then(|frame| collect(frame.select(aggregates(columns))));
        (summary, ragged.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    // What such rows hold is not what their columns say.
    if !ragged.is_empty() {
        return Err(Error::from(ragged));
    }
    let summary = summary.map_err(|message| blame(place, parts, columns, &message))?;
    let rows = count(&summary, "rows");
    if rows == 0 {
        return Err(Error::at(place, "the log has no rows"));
    }
    let mut findings = Findings {
        rows,
        null_unit: count(&summary, "unit null"),
        bad_time: count(&summary, "time bad"),
        peaks: (0..columns.values.len())
            .map(|index| number(&summary, &format!("{index} max")).max(-number(&summary, &format!("{index} min"))))
            .map(|peak| peak.max(0.0))
            .collect(),
        duplicates: None,
    };
    let broken = broken_rules(&summary, columns, scenario.log.missing);
    let mut problems = locate(parts, columns, broken).map_err(|message| blame(place, parts, columns, &message))?;
    if scenario.log.missing == OnBadRow::Exclude && findings.null_unit + findings.bad_time == rows {
        let message = format!(
            "no row is left: {} without a unit, {} without a time stamp",
            findings.null_unit, findings.bad_time
        );
        problems.push(Problem::new(place, message));
    }
    if let Some(request) = &columns.request {
        let found = duplicates(parts, columns).map_err(|message| blame(place, parts, columns, &message))?;
        if scenario.log.duplicates == OnBadRow::Exclude {
            findings.duplicates = (found.height() > 0).then_some(found);
        } else if found.height() > 0 {
            let problem = duplicate_problem(parts, columns, request, &found);
            problems.push(problem.map_err(|message| blame(place, parts, columns, &message))?);
        }
    }
    if problems.is_empty() { Ok(findings) } else { Err(Error::from(problems)) }
}

/// Every row of every part.
pub(crate) fn all_rows(parts: &[Part], columns: &Columns, rows: bool) -> Outcome<LazyFrame> {
    guarded(|| {
        let frames: PolarsResult<Vec<LazyFrame>> = parts.iter().map(|part| part.frame(columns, rows)).collect();
        let mut frames = frames?;
        if frames.len() == 1 { Ok(frames.remove(0)) } else { concat(frames, UnionArgs::default()) }
    })
}

fn aggregates(columns: &Columns) -> Vec<Expr> {
    let mut aggregates = vec![
        len().alias("rows"),
        col(UNIT).is_null().sum().alias("unit null"),
        col(UNIT).is_not_null().and(col(TIME).is_null()).sum().alias("time bad"),
        col(TIME).is_null().sum().alias("time null or unparsed"),
        col(TIME_UNPARSED).sum().alias("time unparsed"),
    ];
    for index in 0..columns.values.len() {
        let value = schema::value(index);
        aggregates.extend([
            // NaN is left out of both, and counted.
            col(&value).min().alias(format!("{index} min")),
            col(&value).max().alias(format!("{index} max")),
            col(&value).is_nan().sum().alias(format!("{index} nan")),
            col(schema::unparsed(index)).sum().alias(format!("{index} unparsed")),
        ]);
    }
    aggregates
}

/// A number of the summary; 0 where there was no value.
fn number(summary: &DataFrame, name: &str) -> f64 {
    let value = summary.column(name).ok().and_then(|column| column.get(0).ok()?.try_extract::<f64>().ok());
    value.unwrap_or(0.0)
}

/// A count of the summary; 0 where there was nothing to count.
fn count(summary: &DataFrame, name: &str) -> u64 {
    let value = summary.column(name).ok().and_then(|column| column.get(0).ok()?.try_extract::<u64>().ok());
    value.unwrap_or(0)
}

fn broken_rules(summary: &DataFrame, columns: &Columns, missing: OnBadRow) -> Vec<Rule> {
    let mut rules = if missing == OnBadRow::Refuse { missing_rules(summary, columns) } else { Vec::new() };
    for (index, column) in columns.values.iter().enumerate() {
        value_rules(summary, index, column, &mut rules);
    }
    rules
}

fn missing_rules(summary: &DataFrame, columns: &Columns) -> Vec<Rule> {
    let count = |name: &str| count(summary, name);
    let mut rules = Vec::new();
    let remedy = |needs: &str| format!("{needs}; fill the column, or set `log.missing = \"exclude\"`");
    if count("unit null") > 0 {
        let hint = remedy("every request needs its unit of assignment");
        rules.push(Rule::null(&columns.unit, col(UNIT).is_null(), hint));
    }
    if count("time null or unparsed") > count("time unparsed") {
        let fault = col(TIME).is_null().and(col(TIME_UNPARSED).not());
        rules.push(Rule::null(&columns.timestamp, fault, remedy("every request needs its time")));
    }
    if count("time unparsed") > 0 {
        rules.push(Rule {
            column: columns.timestamp.clone(),
            fault: col(TIME_UNPARSED),
            shown: col(schema::raw(TIME)),
            message: Box::new(|shown| format!("value `{shown}` is not a time stamp")),
            hint: "use ISO 8601, such as `2025-03-03T09:00:00Z` (UTC where no offset is given), or set \
                   `log.missing = \"exclude\"`"
                .into(),
        });
    }
    rules
}

fn value_rules(summary: &DataFrame, index: usize, column: &ValueColumn, rules: &mut Vec<Rule>) {
    let (low, high) = (number(summary, &format!("{index} min")), number(summary, &format!("{index} max")));
    let value = || col(schema::value(index));
    let mut rule = |fault: Expr, shown: Expr, message: Box<dyn Fn(&str) -> String>, hint: String| {
        rules.push(Rule { column: column.name.clone(), fault, shown, message, hint });
    };
    let unmeasured = || "a value that was not measured is null".to_owned();
    if count(summary, &format!("{index} unparsed")) > 0 {
        let message = Box::new(|shown: &str| format!("value `{shown}` is not a number"));
        rule(col(schema::unparsed(index)), col(schema::raw(&schema::value(index))), message, unmeasured());
    }
    if count(summary, &format!("{index} nan")) > 0 {
        rule(value().is_nan(), value(), Box::new(|_| "value is NaN".into()), unmeasured());
    }
    if low < -LARGEST || high > LARGEST {
        let fault = value().gt(lit(LARGEST)).or(value().lt(lit(-LARGEST))).and(value().is_not_nan());
        let message = Box::new(|shown: &str| {
            if shown.ends_with("inf") { "value is infinite".into() } else { format!("value {shown} is too large") }
        });
        rule(fault, value(), message, unmeasured());
    }
    if let Some(metric) = column.share.as_ref().filter(|_| low < 0.0 || high > 1.0) {
        let metric = metric.clone();
        let hint = format!("a proportion counts 0 and 1; for another number, set `{metric}.over`");
        let fault = value().gt(lit(1.0)).or(value().lt(lit(0.0))).and(value().is_not_nan());
        let message = move |shown: &str| format!("value is {shown}, and `{metric}` needs 0 to 1");
        rule(fault, value(), Box::new(message), hint);
    } else if let Some(metric) = column.not_negative.as_ref().filter(|_| low < 0.0) {
        let metric = metric.clone();
        let message = move |shown: &str| format!("value is {shown}, and `{metric}` needs 0 or more");
        rule(value().lt(lit(0.0)), value(), Box::new(message), unmeasured());
    }
}

impl Rule {
    fn null(column: &str, fault: Expr, hint: String) -> Self {
        let message = Box::new(|_: &str| "value is null".to_owned());
        Self { column: column.to_owned(), fault, shown: lit("null"), message, hint }
    }
}

/// The first row at fault of each rule, and how many more there are.
fn locate(parts: &[Part], columns: &Columns, rules: Vec<Rule>) -> Outcome<Vec<Problem>> {
    let mut counts = vec![0_u64; rules.len()];
    let mut firsts: Vec<Option<(Part, u64)>> = vec![None; rules.len()];
    if !rules.is_empty() {
        let aggregates: Vec<Expr> = rules
            .iter()
            .enumerate()
            .flat_map(|(index, rule)| {
                let row = when(rule.fault.clone()).then(col(ROW).cast(DataType::UInt64)).otherwise(lit(NULL));
                [rule.fault.clone().sum().alias(format!("{index} count")), row.min().alias(format!("{index} row"))]
            })
            .collect();
        for part in parts.iter().flat_map(Part::single_files) {
            let summary = collect(guarded(|| part.frame(columns, true))?.select(aggregates.clone()))?;
            for index in 0..rules.len() {
                let found = count(&summary, &format!("{index} count"));
                if found > 0 && firsts[index].is_none() {
                    firsts[index] = Some((part.clone(), count(&summary, &format!("{index} row"))));
                }
                counts[index] += found;
            }
        }
    }
    let mut problems = Vec::new();
    for ((rule, first), count) in rules.into_iter().zip(firsts).zip(counts) {
        let Some((part, row)) = first else { continue };
        let frame = guarded(|| part.frame(columns, true))?;
        let at_row = frame.filter(col(ROW).cast(DataType::UInt64).eq(lit(row)));
        let shown = collect(at_row.select([rule.shown.cast(DataType::String).alias("shown")]))?;
        let shown = shown.column("shown").and_then(|column| Ok(column.str()?.get(0).unwrap_or("null").to_owned()));
        let message = (rule.message)(&clipped(&shown.map_err(|error| error.to_string())?)) + &more(count - 1, "");
        let place = format!("{}: column `{}`, row {row}", part.files[0].place(), rule.column);
        problems.push(Problem::new(place, message).hint(rule.hint));
    }
    Ok(problems)
}

fn more(count: u64, what: &str) -> String {
    if count == 0 { String::new() } else { format!(" (and {count} more{what})") }
}

/// A hostile value may be a whole book.
fn clipped(text: &str) -> String {
    const MOST: usize = 80;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

/// Request ids of usable rows that occur more than once, sorted. A null is no id.
///
/// Ids are as many as rows: first only their hashes are kept, eight bytes each, and ids themselves are counted only where
/// a hash occurs twice.
fn duplicates(parts: &[Part], columns: &Columns) -> Outcome<DataFrame> {
    let rows = all_rows(parts, columns, false)?.filter(usable().and(col(REQUEST).is_not_null()));
    let hashes = fold(rows.clone().select([col(REQUEST)]), Vec::new(), |hashes, batch| {
        hashes.extend(batch.column(REQUEST)?.str()?.iter().flatten().map(|id| xxh3_64(id.as_bytes())));
        Ok(())
    });
    let mut hashes: Vec<u64> = hashes?;
    hashes.par_sort_unstable();
    let twice: HashSet<u64> = hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    drop(hashes);
    let suspect = col(REQUEST).map(
        move |ids| {
            let found: BooleanChunked =
                unary_elementwise(ids.str()?, |id: Option<&str>| id.map(|id| twice.contains(&xxh3_64(id.as_bytes()))));
            Ok(found.into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Boolean)),
    );
    let rows = rows.filter(suspect);
    let counted = rows.group_by([col(REQUEST)]).agg([len().alias("times")]).filter(col("times").gt(lit(1)));
    let found = collect(counted)?;
    guarded(|| found.sort([REQUEST], SortMultipleOptions::default()))
}

fn duplicate_problem(parts: &[Part], columns: &Columns, request: &str, found: &DataFrame) -> Outcome<Problem> {
    let id = guarded(|| Ok(found.column(REQUEST)?.str()?.get(0).unwrap_or_default().to_owned()))?;
    let times = number(found, "times");
    let mut rows: Vec<(String, i64)> = Vec::new();
    for part in parts.iter().flat_map(Part::single_files) {
        let same = guarded(|| part.frame(columns, true))?.filter(usable().and(col(REQUEST).eq(lit(id.clone()))));
        let found = collect(same.select([col(ROW).cast(DataType::Int64)]))?;
        let mut of_file: Vec<i64> = guarded(|| Ok(found.column(ROW)?.i64()?.into_no_null_iter().collect()))?;
        of_file.sort_unstable();
        rows.extend(of_file.into_iter().map(|row| (part.files[0].place(), row)));
        if rows.len() > 1 {
            break;
        }
    }
    let [(first_file, first), (file, row), ..] = rows.as_slice() else {
        return Err(format!("`{request}` changed while it was read"));
    };
    let first_file = if first_file == file { String::new() } else { format!("{first_file}, ") };
    let others = more(found.height() as u64 - 1, if found.height() == 2 { " id" } else { " ids" });
    let message = format!("`{}` occurs {times} times, first in {first_file}row {first}{others}", clipped(&id));
    Ok(Problem::new(format!("{file}: column `{request}`, row {row}"), message)
        .hint("give every request an id of its own, or set `log.duplicates = \"first\"`"))
}

/// Finds the file that stops a pass.
fn blame(place: &str, parts: &[Part], columns: &Columns, message: &str) -> Error {
    let problems: Vec<Problem> = parts
        .iter()
        .flat_map(Part::single_files)
        .filter_map(|part| {
            let outcome = guarded(|| part.frame(columns, false)).and_then(|f| collect(f.select(aggregates(columns))));
            Some(schema::broken(&part.files[0], &outcome.err()?))
        })
        .collect();
    if problems.is_empty() { Error::at(place, format!("cannot be read: {message}")) } else { Error::from(problems) }
}
