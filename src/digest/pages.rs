//! A Parquet file whose columns are encoded and compressed on all threads.
//!
//! The engine's own writer does that for one page after another, which takes as long as making the digest. Which bytes a file has does not
//! depend on the number of threads: pages are written in the order of columns.

use std::io::Write;

use polars::io::parquet::write::{BatchedWriter, get_encodings};
use polars::prelude::*;
use polars_parquet::read::ParquetError;
use polars_parquet::write::{
    CompressedPage, Compressor, Encoding, ParquetType, Version, WriteOptions, array_to_columns,
};
use rayon::prelude::*;

/// Writes frames as row groups.
pub(super) struct PagesWriter<W: Write> {
    writer: BatchedWriter<W>,
    types: Vec<ParquetType>,
    encodings: Vec<Vec<Encoding>>,
}

impl<W: Write> PagesWriter<W> {
    pub(super) fn new(to: W, schema: &Schema, metadata: KeyValueMetadata) -> PolarsResult<Self> {
        let mut writer = ParquetWriter::new(to).with_key_value_metadata(Some(metadata)).batched(schema)?;
        let types = writer.parquet_schema().fields().to_vec();
        let encodings = get_encodings(&schema.to_arrow(CompatLevel::newest())).to_vec();
        Ok(Self { writer, types, encodings })
    }

    /// Writes a row group of a frame with the columns of the schema.
    pub(super) fn write(&mut self, frame: &DataFrame) -> PolarsResult<()> {
        // One at a time: few columns, lists of bins, have most of the bytes.
        let columns = frame.columns().par_iter().zip(&self.types).zip(&self.encodings).with_max_len(1);
        let pages = columns.map(|((column, of_type), encodings)| pages(column, of_type, encodings));
        let pages: Vec<Vec<Vec<CompressedPage>>> = pages.collect::<PolarsResult<_>>()?;
        self.writer.write_row_group(frame.height() as u64, &pages.into_iter().flatten().collect::<Vec<_>>())
    }

    pub(super) fn finish(self) -> PolarsResult<u64> {
        self.writer.finish()
    }
}

/// Those of the engine's writer where it is not told otherwise.
fn options() -> WriteOptions {
    WriteOptions {
        statistics: StatisticsOptions::default(),
        version: Version::V1,
        compression: ParquetCompression::default().into(),
        data_page_size: None,
    }
}

/// Compressed pages of a column, per leaf of its type.
fn pages(column: &Column, of_type: &ParquetType, encodings: &[Encoding]) -> PolarsResult<Vec<Vec<CompressedPage>>> {
    let options = options();
    let array = column.as_materialized_series().rechunk().to_arrow(0, CompatLevel::newest());
    let leaves = array_to_columns(array, of_type.clone(), options, encodings)?;
    let of_leaf = leaves.into_iter().map(|pages| {
        let pages = pages.map(|page| page.map_err(|error| ParquetError::FeatureNotSupported(error.to_string())));
        Ok(Compressor::new_from_vec(pages, options.compression, Vec::new()).collect::<Result<Vec<_>, _>>()?)
    });
    of_leaf.collect()
}
