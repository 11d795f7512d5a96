//! What the statistics of Parquet files say of their rows. They may be wrong or left out: what is taken from them is held
//! against the rows when these are read.

use std::fs::File;

use polars::prelude::*;

use super::checks::Extent;
use super::engine::guarded;
use super::files::{Format, LogFile};
use super::join::Parts;
use super::schema::{Columns, Side, ValueColumn};

/// Rows and peaks, where every file tells them.
pub(super) fn extent(parts: &Parts, columns: &Columns) -> Option<Extent> {
    // Statistics are of all rows of a column.
    if columns.served.is_some() || columns.first_turns.is_some() || !columns.only.is_empty() {
        return None;
    }
    let peak = |column: &ValueColumn| if column.is_feature() { 1.0 } else { 0.0 };
    let mut extent = Extent { rows: 0, peaks: columns.values.iter().map(peak).collect() };
    for part in parts.all() {
        if part.format() != Format::Parquet {
            return None;
        }
        let own = columns.values.iter().enumerate().filter(|(_, column)| columns.side(column) == part.side());
        let own = own.filter(|(_, column)| !column.is_feature());
        let stored: Option<Vec<(usize, String)>> =
            own.map(|(index, column)| Some((index, part.stored(&column.name)?))).collect();
        let stored = stored?;
        for file in &part.files {
            guarded(|| add(&mut extent, (file, part.side()), &stored)).ok()??;
        }
    }
    (extent.rows > 0).then_some(extent)
}

fn add(extent: &mut Extent, (file, side): (&LogFile, Side), stored: &[(usize, String)]) -> PolarsResult<Option<()>> {
    let mut reader = ParquetReader::new(File::open(&file.path)?);
    let metadata = reader.get_metadata()?;
    for group in &metadata.row_groups {
        if side == Side::Log {
            extent.rows += group.num_rows() as u64;
        }
        for (index, name) in stored {
            let peak = &mut extent.peaks[*index];
            let mut chunks = group.columns_under_root_iter(name).into_iter().flatten();
            let (Some(chunk), None) = (chunks.next(), chunks.next()) else { return Ok(None) };
            let Some(Ok(statistics)) = chunk.statistics(&metadata.footer_buf) else { return Ok(None) };
            let ends = if let Some(of) = statistics.as_double() {
                of.min_value.zip(of.max_value)
            } else if let Some(of) = statistics.as_float() {
                of.min_value.map(f64::from).zip(of.max_value.map(f64::from))
            } else if let Some(of) = statistics.as_int64() {
                of.min_value.zip(of.max_value).map(|(low, high)| (low as f64, high as f64))
            } else if let Some(of) = statistics.as_int32() {
                of.min_value.map(f64::from).zip(of.max_value.map(f64::from))
            } else if let Some(of) = statistics.as_boolean() {
                of.min_value.map(f64::from).zip(of.max_value.map(f64::from))
            } else {
                None
            };
            let all_null = || statistics.null_count() == Some(group.num_rows() as i64);
            match ends {
                Some((low, high)) => *peak = peak.max(high).max(-low),
                None if all_null() => {}
                None => return Ok(None),
            }
        }
    }
    Ok(Some(()))
}
