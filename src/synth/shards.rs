//! A log larger than memory: users are made in batches, which are put apart by time, and each stretch of time is then
//! sorted by itself.

use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::recipe::Recipe;
use super::{Generator, frame};
use crate::error::{Problem, Result};

/// Names that no column of a log has: by these, rows of the same moment are ordered.
const USER: &str = "\u{1}user";
const SEQUENCE: &str = "\u{1}sequence";

/// Writes `part-00000.parquet` and on; each holds about the same share of the requests.
pub(super) fn write(recipe: &Recipe, out: &Path, shards: usize, progress: &dyn Fn(usize)) -> Result<()> {
    if out.exists() {
        let problem = Problem::new(out.display().to_string(), "exists already");
        return Err(problem.hint("shards need a new directory; remove it, or name another").into());
    }
    let directory = frame::beside(out)?;
    let made = write_within(recipe, directory.path(), shards, progress).map_err(|error| frame::failed(out, &error))?;
    std::fs::rename(made, out).map_err(|error| frame::failed(out, &error))
}

fn write_within(recipe: &Recipe, directory: &Path, shards: usize, progress: &dyn Fn(usize)) -> PolarsResult<PathBuf> {
    let (batches, log) = (directory.join("batches"), directory.join("log"));
    std::fs::create_dir(&batches)?;
    std::fs::create_dir(&log)?;
    let batch_file = |shard: usize, batch: usize| batches.join(format!("{shard}-{batch}.parquet"));

    let generator = Generator::new(recipe);
    let users = generator.traffic.users.len();
    // As many batches as shards: one of either is in memory.
    for batch in 0..shards {
        let requests = generator.requests(users * batch / shards..users * (batch + 1) / shards);
        let mut start = 0;
        for shard in 0..shards {
            let end = if shard + 1 == shards {
                requests.len()
            } else {
                let until = generator.traffic.moment((shard + 1) as f64 / shards as f64);
                requests.partition_point(|request| request.moment < until)
            };
            let own = &requests[start..end];
            let mut rows = frame::without_ids(recipe, own);
            rows.with_column(Column::new(USER.into(), own.iter().map(|r| r.user as u64).collect::<Vec<_>>()))?;
            rows.with_column(Column::new(SEQUENCE.into(), own.iter().map(|r| r.sequence as u64).collect::<Vec<_>>()))?;
            frame::write(&mut rows, &batch_file(shard, batch), ParquetCompression::Uncompressed)?;
            start = end;
        }
        progress(1);
    }

    let mut first = 0;
    for shard in 0..shards {
        let mut rows: Option<DataFrame> = None;
        for batch in 0..shards {
            let path = batch_file(shard, batch);
            let part = ParquetReader::new(std::fs::File::open(&path)?).finish()?;
            match &mut rows {
                None => rows = Some(part),
                Some(rows) => _ = rows.vstack_mut(&part)?,
            }
            std::fs::remove_file(&path)?;
        }
        let rows = rows.unwrap_or_default().sort(["ts", USER, SEQUENCE], SortMultipleOptions::default())?;
        let mut rows = frame::with_ids(rows.drop_many([USER, SEQUENCE]), first);
        first += rows.height();
        frame::write(&mut rows, &log.join(format!("part-{shard:05}.parquet")), ParquetCompression::Zstd(None))?;
        progress(1);
    }
    Ok(log)
}
