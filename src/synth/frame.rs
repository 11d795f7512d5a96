//! Requests as a table, and the table as a file.

use std::fs::File;
use std::path::Path;

use polars::prelude::*;
use rayon::prelude::*;
use tempfile::TempDir;

use super::Request;
use super::embedding::Embeddings;
use super::outcomes::{Answer, combinations};
use super::recipe::{Metric, Recipe};
use crate::domain::version::Version;
use crate::error::{Error, Result};

/// The log of requests in the order of time.
pub(super) fn from_requests(recipe: &Recipe, requests: &[Request]) -> DataFrame {
    with_ids(without_ids(recipe, requests), 0)
}

/// Names each row by its place in the log; `first` rows come before.
pub(super) fn with_ids(mut frame: DataFrame, first: usize) -> DataFrame {
    let ids: Vec<String> = (first..first + frame.height()).map(|row| format!("r{row:07}")).collect();
    frame.insert_column(1, Column::new("request_id".into(), ids)).expect("as many ids as rows, of a name of their own");
    frame
}

/// The columns of a log in reading order, but for the ids of requests.
pub(super) fn without_ids(recipe: &Recipe, requests: &[Request]) -> DataFrame {
    let text = |name: &str, value: &dyn Fn(&Request) -> String| {
        Column::new(name.into(), requests.iter().map(value).collect::<Vec<_>>())
    };
    let moments: Vec<i64> = requests.iter().map(|request| request.moment).collect();
    let moments = Series::new("ts".into(), moments).into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
    let mut columns = vec![
        moments.into(),
        text("user_id", &|request| format!("u{:06}", request.user)),
        text("session_id", &|request| format!("s{:06}-{}", request.user, request.session)),
    ];
    if let Some(tenants) = &recipe.tenants {
        columns.push(text(&tenants.column, &|request| format!("c{:05}", request.tenant)));
    }
    let combinations: Vec<Vec<&str>> = combinations(recipe).collect();
    for (position, segment) in recipe.segments.iter().enumerate() {
        let values: Vec<&str> = requests.iter().map(|request| combinations[request.combination][position]).collect();
        columns.push(Column::new(segment.column.as_str().into(), values));
    }
    if let Some(items) = &recipe.items {
        columns.push(text(&items.column, &|request| format!("p{:06}", request.item)));
    }
    for version in Version::BOTH {
        let answers: Vec<Option<&Answer>> = requests
            .iter()
            .map(|request| (version == Version::Stable || request.covered).then(|| request.answers.get(version)))
            .collect();
        let made = Metric::ALL.into_iter().filter(|metric| recipe.makes(*metric));
        columns.extend(made.map(|metric| outcome(version, metric, &answers)));
        if let Some(embedding) = recipe.outcomes.embedding {
            let embeddings = Embeddings::new(embedding, recipe.seed);
            let answered = |request: &Request| version == Version::Stable || request.covered;
            let lists: Vec<Option<Vec<f32>>> =
                requests.par_iter().map(|request| answered(request).then(|| embeddings.of(request, version))).collect();
            columns.push(embedding_column(version, &lists, usize::from(embedding.numbers)));
        }
    }
    DataFrame::new(requests.len(), columns).expect("checked: names differ; every column has one value per request")
}

fn embedding_column(version: Version, lists: &[Option<Vec<f32>>], numbers: usize) -> Column {
    let name = PlSmallStr::from_string(format!("{}_embedding", version.name()));
    let total = lists.len() * numbers;
    let mut builder = ListPrimitiveChunkedBuilder::<Float32Type>::new(name, lists.len(), total, DataType::Float32);
    for list in lists {
        builder.append_opt_slice(list.as_deref());
    }
    builder.finish().into_column()
}

/// The column of one outcome of one version; null where there is no answer.
fn outcome(version: Version, metric: Metric, answers: &[Option<&Answer>]) -> Column {
    let name = PlSmallStr::from_string(format!("{}_{}", version.name(), metric.name()));
    let flags = |value: fn(&Answer) -> Option<bool>| {
        let values: Vec<Option<bool>> = answers.iter().map(|answer| answer.and_then(value)).collect();
        Column::new(name.clone(), values)
    };
    let numbers = |value: fn(&Answer) -> Option<f64>| {
        let values: Vec<Option<f64>> = answers.iter().map(|answer| answer.and_then(value)).collect();
        Column::new(name.clone(), values)
    };
    match metric {
        Metric::Error => flags(|answer| answer.error),
        Metric::Success => flags(|answer| answer.success),
        Metric::Severe => flags(|answer| answer.severe),
        Metric::CitationValid => flags(|answer| answer.citation_valid),
        Metric::Retry => flags(|answer| answer.retry),
        Metric::Quality => numbers(|answer| answer.quality),
        Metric::LatencyMs => numbers(|answer| Some(answer.latency_ms)),
        Metric::CostUsd => numbers(|answer| Some(answer.cost_usd)),
        Metric::OutputTokens => {
            let values: Vec<Option<i32>> = answers.iter().map(|answer| answer.map(|a| a.output_tokens)).collect();
            Column::new(name.clone(), values)
        }
    }
}

/// Writes beside `out` and renames, so that `out` appears whole or not at all.
pub(super) fn write_parquet(frame: &mut DataFrame, out: &Path) -> Result<()> {
    let directory = beside(out)?;
    let path = directory.path().join("log.parquet");
    write(frame, &path, ParquetCompression::Zstd(None)).map_err(|error| failed(out, &error))?;
    std::fs::rename(&path, out).map_err(|error| failed(out, &error))
}

/// An empty directory on the same disk as `out`, which goes when it is dropped. A file made there has the permissions
/// of any new file, also after it is renamed.
pub(super) fn beside(out: &Path) -> Result<TempDir> {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::tempdir_in(parent).map_err(|error| failed(out, &error))
}

/// Writes a new file.
pub(super) fn write(frame: &mut DataFrame, path: &Path, compression: ParquetCompression) -> PolarsResult<()> {
    let writer = ParquetWriter::new(File::create(path)?).with_compression(compression);
    writer.with_statistics(StatisticsOptions::full()).finish(frame)?;
    Ok(())
}

/// What is said where an output cannot be written.
pub(super) fn failed(out: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::at(out.display().to_string(), format!("cannot be written: {error}"))
}
