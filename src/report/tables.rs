//! Tables of the report, each as CSV and as parquet.

use std::io::Cursor;

use polars::prelude::{Column as Series, DataFrame, ParquetWriter};

use super::{Report, Segment, Share, Spread};
use crate::error::{Error, Result};

mod columns;

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text, in which formulas are guarded.
    Csv,
    /// Values as they are.
    Parquet,
}

/// Values of a column.
pub(crate) enum Values {
    Text(Vec<Option<String>>),
    Number(Vec<Option<f64>>),
    Whole(Vec<Option<i64>>),
    Flag(Vec<bool>),
}

/// A named column.
pub(crate) struct Column {
    name: String,
    values: Values,
}

/// A table under construction: one column per call, one value per row.
pub(crate) struct Table<'a, R> {
    rows: &'a [R],
    columns: Vec<Column>,
}

/// A finished table.
pub(crate) struct Finished {
    name: &'static str,
    height: usize,
    columns: Vec<Column>,
}

impl<'a, R> Table<'a, R> {
    pub(crate) fn of(rows: &'a [R]) -> Self {
        Self { rows, columns: Vec::new() }
    }

    pub(crate) fn push(mut self, name: impl Into<String>, values: Values) -> Self {
        self.columns.push(Column { name: name.into(), values });
        self
    }

    pub(crate) fn text<'r>(self, name: &str, value: impl Fn(&'r R) -> &'r str) -> Self
    where
        'a: 'r,
    {
        self.text_or(name, move |row| Some(value(row)))
    }

    pub(crate) fn text_or<'r>(self, name: &str, value: impl Fn(&'r R) -> Option<&'r str>) -> Self
    where
        'a: 'r,
    {
        let values = self.rows.iter().map(|row| value(row).map(str::to_owned)).collect();
        self.push(name, Values::Text(values))
    }

    pub(crate) fn number(self, name: &str, value: impl Fn(&R) -> f64) -> Self {
        self.number_or(name, move |row| Some(value(row)))
    }

    pub(crate) fn number_or(self, name: impl Into<String>, value: impl Fn(&R) -> Option<f64>) -> Self {
        let values = self.rows.iter().map(|row| value(row).filter(|number| number.is_finite())).collect();
        self.push(name, Values::Number(values))
    }

    pub(crate) fn whole(self, name: &str, value: impl Fn(&R) -> Option<i64>) -> Self {
        let values = self.rows.iter().map(value).collect();
        self.push(name, Values::Whole(values))
    }

    pub(crate) fn flag(self, name: &str, value: impl Fn(&R) -> bool) -> Self {
        let values = self.rows.iter().map(value).collect();
        self.push(name, Values::Flag(values))
    }

    /// A share with its interval: three columns.
    pub(crate) fn share(self, name: &str, value: impl Fn(&R) -> Share) -> Self {
        self.number_or(name, |row| Some(value(row).share))
            .number_or(format!("{name}_low"), |row| Some(value(row).low))
            .number_or(format!("{name}_high"), |row| Some(value(row).high))
    }

    /// Quantiles and mean: four columns.
    pub(crate) fn spread(self, name: &str, value: impl Fn(&R) -> Option<Spread>) -> Self {
        self.number_or(format!("{name}_p10"), |row| value(row).map(|spread| spread.p10))
            .number_or(format!("{name}_p50"), |row| value(row).map(|spread| spread.p50))
            .number_or(format!("{name}_p90"), |row| value(row).map(|spread| spread.p90))
            .number_or(format!("{name}_mean"), |row| value(row).map(|spread| spread.mean))
    }

    /// Column and value of a segment, both null for all requests: two columns.
    fn segment<'r>(self, value: impl Fn(&'r R) -> Option<&'r Segment>) -> Self
    where
        'a: 'r,
    {
        self.text_or("segment_column", |row| value(row).map(|segment| segment.column.as_str()))
            .text_or("segment_value", |row| value(row).map(|segment| segment.value.as_str()))
    }

    pub(crate) fn named(self, name: &'static str) -> Finished {
        Finished { name, height: self.rows.len(), columns: self.columns }
    }
}

impl Finished {
    /// Number of rows.
    pub(crate) fn height(&self) -> usize {
        self.height
    }
}

/// File names inside `tables/`, with their bytes.
pub(super) fn render(report: &Report) -> Result<Vec<(String, Vec<u8>)>> {
    files(columns::all(report))
}

/// Both files of each table.
pub(super) fn files(tables: impl IntoIterator<Item = Finished>) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for table in tables {
        files.push((format!("{}.csv", table.name), csv(&table)?));
        files.push((format!("{}.parquet", table.name), parquet(&table)?));
    }
    Ok(files)
}

/// A table in one form.
pub(crate) fn bytes(table: &Finished, form: Form) -> Result<Vec<u8>> {
    match form {
        Form::Csv => csv(table),
        Form::Parquet => parquet(table),
    }
}

fn csv(table: &Finished) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::at(format!("{}.csv", table.name), format!("cannot write: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(table.columns.iter().map(|column| guarded(&column.name))).map_err(|e| failed(&e))?;
    for row in 0..table.height {
        writer.write_record(table.columns.iter().map(|column| cell(&column.values, row))).map_err(|e| failed(&e))?;
    }
    writer.into_inner().map_err(|e| failed(&e))
}

fn cell(values: &Values, row: usize) -> String {
    match values {
        Values::Text(values) => values[row].as_deref().map_or_else(String::new, guarded),
        Values::Number(values) => values[row].map_or_else(String::new, |number| number.to_string()),
        Values::Whole(values) => values[row].map_or_else(String::new, |number| number.to_string()),
        Values::Flag(values) => values[row].to_string(),
    }
}

/// Text that a spreadsheet would run as a formula gets a leading apostrophe.
fn guarded(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

fn parquet(table: &Finished) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::at(format!("{}.parquet", table.name), format!("cannot write: {e}"));
    let columns = table
        .columns
        .iter()
        .map(|column| {
            let name = column.name.as_str().into();
            match &column.values {
                Values::Text(values) => Series::new(name, values),
                Values::Number(values) => Series::new(name, values),
                Values::Whole(values) => Series::new(name, values),
                Values::Flag(values) => Series::new(name, values),
            }
        })
        .collect();
    let mut frame = DataFrame::new(table.height, columns).map_err(|e| failed(&e))?;
    let mut bytes = Cursor::new(Vec::new());
    ParquetWriter::new(&mut bytes).finish(&mut frame).map_err(|e| failed(&e))?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use polars::prelude::{ParquetReader, SerReader as _};

    use super::*;
    use crate::report::{sample, sample::empty, sample::hostile};

    #[test]
    fn both_forms_hold_the_same_table() {
        for report in [sample(), hostile(), empty()] {
            for table in columns::all(&report) {
                let frame = ParquetReader::new(Cursor::new(parquet(&table).expect("writes"))).finish().expect("reads");
                let text = csv(&table).expect("writes");
                let mut reader = csv::Reader::from_reader(text.as_slice());
                let header = reader.headers().expect("has a header").clone();
                let names: Vec<_> = frame.get_column_names().iter().map(|name| name.as_str()).collect();
                assert_eq!(header.iter().collect::<Vec<_>>(), names, "{}", table.name);
                let records: Vec<_> = reader.records().collect::<std::result::Result<_, _>>().expect("reads");
                assert_eq!(records.len(), frame.height());
            }
        }
    }

    #[test]
    fn formulas_are_guarded_and_numbers_are_not_altered() {
        assert_eq!(guarded("=cmd()"), "'=cmd()");
        assert_eq!(guarded("a=b"), "a=b");
        assert_eq!(cell(&Values::Number(vec![Some(-0.5)]), 0), "-0.5");
        for (name, bytes) in render(&hostile()).expect("renders") {
            if Path::new(&name).extension().is_some_and(|extension| extension == "csv") {
                let mut reader = csv::Reader::from_reader(bytes.as_slice());
                for record in reader.records() {
                    let record = record.expect("reads");
                    assert!(
                        record.iter().all(|cell| !cell.starts_with(['=', '+', '@', '\t', '\r'])),
                        "{name}: {record:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_same_report_gives_the_same_bytes() {
        assert_eq!(render(&sample()).expect("renders"), render(&sample()).expect("renders"));
    }
}
