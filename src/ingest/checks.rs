//! Rows that cannot be used. They are counted while rows are read; only where there are some, another pass finds the first of
//! each kind.

use polars::prelude::*;
use rayon::prelude::*;

use super::engine::{Outcome, collect, fold, guarded};
use super::join::Parts;
use super::schema::{self, Columns, ITEM, Part, REQUEST, ROW, SERVED, Side, TIME, TIME_UNPARSED, UNIT, ValueColumn};
use crate::domain::version::{PerVersion, Version};
use crate::error::{Error, Problem};
use crate::scenario::{OnBadRow, Served};

/// No measurement is larger, and the square of a larger number leaves the range of sums.
const LARGEST: f64 = 1e100;

/// How many rows a log has, and how large its values are: what sums are rounded by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Extent {
    /// Rows of the files.
    pub(crate) rows: u64,
    /// Largest absolute value of each value column.
    pub(crate) peaks: Vec<f64>,
}

/// What the rows that were read so far hold.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    rows: u64,
    /// Rows whose unit is null.
    pub(crate) null_unit: u64,
    /// Rows with a unit whose time stamp is null or cannot be parsed.
    pub(crate) bad_time: u64,
    null_time: u64,
    unparsed_time: u64,
    /// In a log in long form: rows of neither version, and rows of each.
    neither: u64,
    served: PerVersion<u64>,
    /// Where requests have several outputs: rows without a request or a trial.
    nameless: Option<u64>,
    values: Vec<Seen>,
}

/// What was seen of a value column.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// At most 0, as `high` is at least 0; NaN is left out of both, and counted.
    low: f64,
    high: f64,
    nan: u64,
    unparsed: u64,
}

/// One way in which a row cannot be used.
struct Rule {
    /// The files that hold the column.
    side: Side,
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

/// Those of a batch.
pub(crate) fn usable_rows(batch: DataFrame) -> PolarsResult<DataFrame> {
    let (unit, time) = (batch.column(UNIT)?, batch.column(TIME)?);
    if unit.null_count() + time.null_count() == 0 {
        return Ok(batch);
    }
    batch.filter(&(&unit.is_not_null() & &time.is_not_null()))
}

/// Columns that a [`Watch`] sees.
pub(crate) fn watched(columns: &Columns) -> Vec<String> {
    let values = (0..columns.values.len()).flat_map(|index| [schema::value(index), schema::unparsed(index)]);
    let served = columns.served.iter().map(|_| SERVED);
    let output = columns.trial.iter().map(|_| ITEM);
    [UNIT, TIME, TIME_UNPARSED].into_iter().chain(served).chain(output).map(str::to_owned).chain(values).collect()
}

impl Watch {
    pub(crate) fn new(columns: &Columns) -> Self {
        let values = vec![Seen::default(); columns.values.len()];
        Self {
            rows: 0,
            null_unit: 0,
            bad_time: 0,
            null_time: 0,
            unparsed_time: 0,
            neither: 0,
            served: PerVersion::default(),
            nameless: columns.trial.as_ref().map(|_| 0),
            values,
        }
    }

    pub(crate) fn see(&mut self, batch: &DataFrame) -> PolarsResult<()> {
        let (unit, time) = (batch.column(UNIT)?, batch.column(TIME)?);
        self.rows += batch.height() as u64;
        self.null_unit += unit.null_count() as u64;
        if time.null_count() > 0 {
            self.null_time += time.null_count() as u64;
            self.unparsed_time += trues(batch.column(TIME_UNPARSED)?)?;
            let alone = &unit.is_not_null() & &time.is_null();
            self.bad_time += u64::from(alone.sum().unwrap_or_default());
        }
        if let Ok(served) = batch.column(SERVED) {
            let (known, candidate) = (served.len() - served.null_count(), trues(served)?);
            self.neither += served.null_count() as u64;
            self.served.candidate += candidate;
            self.served.stable += known as u64 - candidate;
        }
        if let Some(nameless) = &mut self.nameless {
            *nameless += batch.column(ITEM)?.null_count() as u64;
        }
        self.values.par_iter_mut().enumerate().try_for_each(|(index, seen)| {
            seen.see(batch.column(&schema::value(index))?, batch.column(&schema::unparsed(index))?)
        })
    }

    pub(crate) fn extent(&self) -> Extent {
        Extent { rows: self.rows, peaks: self.values.iter().map(|seen| seen.high.max(-seen.low)).collect() }
    }

    /// All that keeps the rows from being used.
    pub(crate) fn problems(
        &self,
        place: &str,
        parts: &Parts,
        columns: &Columns,
        missing: OnBadRow,
    ) -> Outcome<Vec<Problem>> {
        if self.rows == 0 {
            let problem = Problem::new(place, "the log has no rows");
            let named: Vec<String> = columns.only.iter().map(|(column, _)| format!("`{column}`")).collect();
            let hint = format!("`log.only` leaves none: look at the values of {}", named.join(", "));
            return Ok(vec![if named.is_empty() { problem } else { problem.hint(hint) }]);
        }
        let mut rules = if missing == OnBadRow::Refuse { self.missing_rules(columns) } else { Vec::new() };
        if let Some(served) = columns.served.as_ref().filter(|_| self.neither > 0) {
            rules.push(Rule::neither(served));
        }
        if let (Some(request), Some(trial), Some(1..)) = (&columns.request, &columns.trial, self.nameless) {
            let hint = "every output needs its request and its trial; fill the columns";
            rules.push(Rule::null(&format!("{request}` or `{trial}"), col(ITEM).is_null(), hint.into()));
        }
        for ((index, column), seen) in columns.values.iter().enumerate().zip(&self.values) {
            seen.rules(index, (columns.side(column), column), &mut rules);
        }
        let mut problems = locate(parts, columns, rules)?;
        if let Some(served) = columns.served.as_ref().filter(|_| self.neither == 0) {
            for version in Version::BOTH.into_iter().filter(|&version| *self.served.get(version) == 0) {
                let message = format!("no row was served by `{}` ({})", served.names.get(version), version.name());
                let place = format!("{place}: column `{}`", served.column);
                problems.push(Problem::new(place, message).hint(
                    "both versions must have served some requests; see `log.version`, and `log.only` if it is set",
                ));
            }
        }
        if missing == OnBadRow::Exclude && self.null_unit + self.bad_time == self.rows {
            let (unit, time) = (self.null_unit, self.bad_time);
            let message = format!("no row is left: {unit} without a unit, {time} without a time stamp");
            problems.push(Problem::new(place, message));
        }
        Ok(problems)
    }

    fn missing_rules(&self, columns: &Columns) -> Vec<Rule> {
        let mut rules = Vec::new();
        let remedy = |needs: &str| format!("{needs}; fill the column, or set `log.missing = \"exclude\"`");
        if self.null_unit > 0 {
            let hint = remedy("every request needs its unit of assignment");
            let name = columns
                .within
                .as_ref()
                .map_or_else(|| columns.unit.clone(), |within| format!("{}` or `{within}", columns.unit));
            rules.push(Rule::null(&name, col(UNIT).is_null(), hint));
        }
        if self.null_time > self.unparsed_time {
            let fault = col(TIME).is_null().and(col(TIME_UNPARSED).not());
            rules.push(Rule::null(&columns.timestamp, fault, remedy("every request needs its time")));
        }
        if self.unparsed_time > 0 {
            rules.push(Rule {
                side: Side::Log,
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
}

fn trues(flags: &Column) -> PolarsResult<u64> {
    Ok(u64::from(flags.bool()?.sum().unwrap_or_default()))
}

impl Seen {
    fn see(&mut self, values: &Column, unparsed: &Column) -> PolarsResult<()> {
        for values in values.f64()?.downcast_iter() {
            let numbers = values.values().iter().copied();
            match values.validity() {
                None => self.add(numbers),
                // A null says as little as a 0 does.
                Some(valid) => self.add(numbers.zip(valid).map(|(value, valid)| if valid { value } else { 0.0 })),
            }
        }
        self.unparsed += trues(unparsed)?;
        Ok(())
    }

    fn add(&mut self, values: impl Iterator<Item = f64>) {
        let mut seen = *self;
        for value in values {
            // Neither takes NaN.
            seen.low = if value < seen.low { value } else { seen.low };
            seen.high = if value > seen.high { value } else { seen.high };
            seen.nan += u64::from(value.is_nan());
        }
        *self = seen;
    }

    fn rules(&self, index: usize, (side, column): (Side, &ValueColumn), rules: &mut Vec<Rule>) {
        let value = || col(schema::value(index));
        let mut rule = |fault: Expr, shown: Expr, message: Box<dyn Fn(&str) -> String>, hint: String| {
            rules.push(Rule { side, column: column.shown().to_owned(), fault, shown, message, hint });
        };
        let unmeasured = || "a value that was not measured is null".to_owned();
        if self.unparsed > 0 {
            let message = Box::new(|shown: &str| format!("value `{shown}` is not a number"));
            rule(col(schema::unparsed(index)), col(schema::raw(&schema::value(index))), message, unmeasured());
        }
        if column.is_feature() {
            // What is wrong with an embedding is wrong with each of its features.
            if let Some(length) = column.embedding().filter(|_| self.nan > 0) {
                let message = format!("value is not a list of {length} numbers, as the first one is");
                let hint = "the embeddings of a metric come from one model, so that they have as many numbers each, all of them finite; one \
                            that was not computed is null";
                rule(value().is_nan(), value(), Box::new(move |_| message.clone()), hint.into());
            }
            return;
        }
        if self.nan > 0 {
            rule(value().is_nan(), value(), Box::new(|_| "value is NaN".into()), unmeasured());
        }
        if self.low < -LARGEST || self.high > LARGEST {
            let fault = value().gt(lit(LARGEST)).or(value().lt(lit(-LARGEST))).and(value().is_not_nan());
            let message = Box::new(|shown: &str| {
                if shown.ends_with("inf") { "value is infinite".into() } else { format!("value {shown} is too large") }
            });
            rule(fault, value(), message, unmeasured());
        }
        if let Some(metric) = column.share.as_ref().filter(|_| self.low < 0.0 || self.high > 1.0) {
            let metric = metric.clone();
            let hint = format!("a proportion counts 0 and 1; for another number, set `{metric}.over`");
            let fault = value().gt(lit(1.0)).or(value().lt(lit(0.0))).and(value().is_not_nan());
            let message = move |shown: &str| format!("value is {shown}, and `{metric}` needs 0 to 1");
            rule(fault, value(), Box::new(message), hint);
        } else if let Some(metric) = column.not_negative.as_ref().filter(|_| self.low < 0.0) {
            let metric = metric.clone();
            let message = move |shown: &str| format!("value is {shown}, and `{metric}` needs 0 or more");
            rule(value().lt(lit(0.0)), value(), Box::new(message), unmeasured());
        }
    }
}

/// Every row of every part.
pub(crate) fn all_rows(parts: &[Part], columns: &Columns, rows: bool) -> Outcome<LazyFrame> {
    guarded(|| {
        let frames: PolarsResult<Vec<LazyFrame>> = parts.iter().map(|part| part.frame(columns, rows)).collect();
        let mut frames = frames?;
        if frames.len() == 1 { Ok(frames.remove(0)) } else { concat(frames, UnionArgs::default()) }
    })
}

/// A count of the summary; 0 where there was nothing to count.
fn count(summary: &DataFrame, name: &str) -> u64 {
    let value = summary.column(name).ok().and_then(|column| column.get(0).ok()?.try_extract::<u64>().ok());
    value.unwrap_or(0)
}

impl Rule {
    fn null(column: &str, fault: Expr, hint: String) -> Self {
        let message = Box::new(|_: &str| "value is null".to_owned());
        Self { side: Side::Log, column: column.to_owned(), fault, shown: lit("null"), message, hint }
    }

    /// A row that neither version served.
    fn neither(served: &Served) -> Self {
        let (stable, candidate) = (served.names.stable.clone(), served.names.candidate.clone());
        let message = move |shown: &str| {
            format!("value `{shown}` is neither `{stable}`, which is stable, nor `{candidate}`, which is the candidate")
        };
        let hint = format!("name the rows that count: `log.only = {{ {} = [..] }}`, or another column", served.column);
        Self {
            side: Side::Log,
            column: served.column.clone(),
            fault: col(SERVED).is_null(),
            shown: col(schema::raw(SERVED)),
            message: Box::new(message),
            hint,
        }
    }
}

/// The first row at fault of each rule, and how many more there are.
fn locate(parts: &Parts, columns: &Columns, rules: Vec<Rule>) -> Outcome<Vec<Problem>> {
    let mut counts = vec![0_u64; rules.len()];
    let mut firsts: Vec<Option<(Part, u64)>> = vec![None; rules.len()];
    for side in [Side::Log, Side::Outputs(Version::Stable), Side::Outputs(Version::Candidate)] {
        let own: Vec<usize> = (0..rules.len()).filter(|&index| rules[index].side == side).collect();
        if own.is_empty() {
            continue;
        }
        let aggregates: Vec<Expr> = own
            .iter()
            .map(|&index| (index, &rules[index]))
            .flat_map(|(index, rule)| {
                let row = when(rule.fault.clone()).then(col(ROW).cast(DataType::UInt64)).otherwise(lit(NULL));
                [rule.fault.clone().sum().alias(format!("{index} count")), row.min().alias(format!("{index} row"))]
            })
            .collect();
        for part in parts.of(side).iter().flat_map(Part::single_files) {
            let summary = collect(guarded(|| part.frame(columns, true))?.select(aggregates.clone()))?;
            for &index in &own {
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
pub(super) fn clipped(text: &str) -> String {
    const MOST: usize = 80;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

/// Ids of which each may stand in one row only.
pub(crate) struct Ids<'a> {
    /// The checked column, and the log's own.
    pub(crate) name: &'a str,
    pub(crate) column: &'a str,
    /// Rows that count.
    pub(crate) counts: Expr,
    /// What to do about one that is there twice.
    pub(crate) hint: &'a str,
}

/// The first of the repeated ids.
pub(crate) fn duplicate_problem(
    parts: &[Part],
    columns: &Columns,
    ids: &Ids<'_>,
    found: &DataFrame,
) -> Outcome<Problem> {
    let request = ids.column;
    let id = guarded(|| Ok(found.column(REQUEST)?.str()?.get(0).unwrap_or_default().to_owned()))?;
    let times = count(found, "times");
    let mut rows: Vec<(String, i64)> = Vec::new();
    for part in parts.iter().flat_map(Part::single_files) {
        let same =
            guarded(|| part.frame(columns, true))?.filter(ids.counts.clone().and(col(ids.name).eq(lit(id.clone()))));
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
    Ok(Problem::new(format!("{file}: column `{request}`, row {row}"), message).hint(ids.hint))
}

/// Finds the file that stops a pass.
pub(crate) fn blame(place: &str, parts: &Parts, columns: &Columns, message: &str) -> Error {
    let problems: Vec<Problem> = parts
        .all()
        .flat_map(Part::single_files)
        .filter_map(|part| {
            let outcome =
                guarded(|| part.frame(columns, false)).and_then(|rows| fold(rows, (), |(), _| Ok(()), &|_| {}));
            Some(schema::broken(&part.files[0], &outcome.err()?))
        })
        .collect();
    if problems.is_empty() { Error::at(place, format!("cannot be read: {message}")) } else { Error::from(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_nan_nor_what_lies_beneath_a_null_is_seen_as_a_number() {
        let seen = |values: Float64Chunked| {
            let unparsed = BooleanChunked::full("unparsed".into(), false, values.len());
            let mut seen = Seen::default();
            seen.see(&values.into_column(), &unparsed.into_column()).unwrap();
            (seen.low, seen.high, seen.nan)
        };
        let numbers: Float64Chunked = [Some(-9.0), None, Some(f64::NAN), Some(-14.0), None].into_iter().collect();
        // Where there is a null, 10 lies beneath it.
        let mut numbers = numbers + 10.0;
        assert_eq!(seen(numbers.clone()), (-4.0, 1.0, 1));
        numbers.append(&Float64Chunked::from_slice("more".into(), &[f64::NAN, 3.0, f64::NEG_INFINITY])).unwrap();
        assert_eq!(seen(numbers), (f64::NEG_INFINITY, 3.0, 2));
        assert_eq!(seen(Float64Chunked::full("nan".into(), f64::NAN, 3)), (0.0, 0.0, 3));
        assert_eq!(seen(Float64Chunked::full_null("null".into(), 3)), (0.0, 0.0, 0));
    }
}
