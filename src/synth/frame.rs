//! Requests as a table, and the table as a file.

use std::fs::File;
use std::path::Path;

use polars::prelude::*;

use super::Request;
use super::outcomes::{Answer, combinations};
use super::recipe::{Metric, Recipe};
use crate::domain::version::Version;
use crate::error::{Error, Result};

/// The columns of a log, in reading order.
pub(super) fn from_requests(recipe: &Recipe, requests: &[Request]) -> DataFrame {
    let text = |name: &str, value: &dyn Fn(usize, &Request) -> String| {
        let values = requests.iter().enumerate().map(|(row, request)| value(row, request));
        Column::new(name.into(), values.collect::<Vec<_>>())
    };
    let moments: Vec<i64> = requests.iter().map(|request| request.moment).collect();
    let moments = Series::new("ts".into(), moments).into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
    let mut columns = vec![
        moments.into(),
        text("request_id", &|row, _| format!("r{row:07}")),
        text("user_id", &|_, request| format!("u{:06}", request.user)),
        text("session_id", &|_, request| format!("s{:06}-{}", request.user, request.session)),
    ];
    if let Some(tenants) = &recipe.tenants {
        columns.push(text(&tenants.column, &|_, request| format!("c{:05}", request.tenant)));
    }
    let combinations: Vec<Vec<&str>> = combinations(recipe).collect();
    for (position, segment) in recipe.segments.iter().enumerate() {
        let values: Vec<&str> = requests.iter().map(|request| combinations[request.combination][position]).collect();
        columns.push(Column::new(segment.column.as_str().into(), values));
    }
    if let Some(items) = &recipe.items {
        columns.push(text(&items.column, &|_, request| format!("p{:06}", request.item)));
    }
    for version in Version::BOTH {
        let answers: Vec<Option<&Answer>> = requests
            .iter()
            .map(|request| (version == Version::Stable || request.covered).then(|| request.answers.get(version)))
            .collect();
        let made = Metric::ALL.into_iter().filter(|metric| recipe.makes(*metric));
        columns.extend(made.map(|metric| outcome(version, metric, &answers)));
    }
    DataFrame::new(requests.len(), columns).expect("checked: names differ; every column has one value per request")
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
    let place = out.display().to_string();
    let problem = |error: &dyn std::fmt::Display| Error::at(place.as_str(), format!("cannot be written: {error}"));
    let beside = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A directory rather than a temporary file, which only its owner may read, also after it is renamed.
    let directory = tempfile::tempdir_in(beside).map_err(|error| problem(&error))?;
    let path = directory.path().join("log.parquet");
    let file = File::create(&path).map_err(|error| problem(&error))?;
    ParquetWriter::new(file)
        .with_compression(ParquetCompression::Zstd(None))
        .with_statistics(StatisticsOptions::full())
        .finish(frame)
        .map_err(|error| problem(&error))?;
    std::fs::rename(&path, out).map_err(|error| problem(&error))
}
