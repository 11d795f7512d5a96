//! Small logs and scenarios for tests of this folder, of `digest` and of `simulate`.

use std::fs::File;
use std::path::Path;

use polars::prelude::*;

use crate::assign::Platform;
use crate::assign::overrides::Overrides;
use crate::digest::{self, Digest};
use crate::domain::metric::{Direction, Metric, MetricKind, Source};
use crate::domain::quantity::Seconds;
use crate::domain::rollout::{Delay, Kayenta, Promotion, Recovery, Rollout, Starts, Sticky};
use crate::domain::version::{PerVersion, Version};
use crate::ingest::values::whole;
use crate::scenario::{Assignment, LogMapping, Null, OnBadRow, Resample, Scenario, Simulation, Tile};

/// `{version}` stands for the version's name.
pub(crate) fn columns(template: &str) -> PerVersion<String> {
    PerVersion::from_fn(|version: Version| template.replace("{version}", version.name()))
}

pub(crate) fn source(template: &str) -> PerVersion<Source> {
    match template {
        "requests" => PerVersion::from_fn(|_| Source::Requests),
        _ => columns(template).map(|name| Source::Column(name.clone())),
    }
}

pub(crate) fn metric(name: &str, kind: MetricKind) -> Metric {
    Metric::plain(name.into(), kind, Direction::Lower, None)
}

/// Six metrics of all kinds over the columns of [`log`].
pub(crate) fn metrics() -> Vec<Metric> {
    let ratio =
        |numerator, denominator| MetricKind::Ratio { numerator: source(numerator), denominator: source(denominator) };
    let latency = || columns("{version}_latency_ms");
    vec![
        metric("quality", MetricKind::Mean { column: columns("{version}_quality") }),
        metric("ok", MetricKind::Proportion { column: columns("{version}_ok"), over: None }),
        metric("slow", MetricKind::Proportion { column: latency(), over: Some(500.0) }),
        metric("latency_p95", MetricKind::Quantile { column: latency(), quantile: 0.95 }),
        metric("cost", ratio("{version}_cost", "requests")),
        metric("cost_per_token", ratio("{version}_cost", "{version}_tokens")),
    ]
}

pub(crate) fn scenario() -> Scenario {
    Scenario {
        path: "s.toml".into(),
        fingerprint: String::new(),
        about: String::new(),
        log: LogMapping {
            timestamp: "ts".into(),
            timezone: "UTC".into(),
            request: None,
            item: None,
            trial: None,
            segments: vec!["region".into()],
            slot: Seconds(900),
            missing: OnBadRow::Refuse,
            duplicates: OnBadRow::Refuse,
            tile: Tile::None,
            served: None,
            join: None,
            first_turns: None,
            spread: None,
            only: Vec::new(),
        },
        assignment: Assignment {
            unit: "user_id".into(),
            sticky: Sticky::Unit,
            within: None,
            platform: Platform::default(),
            buckets: None,
            overrides: Overrides::new(),
        },
        metrics: metrics(),
        stages: Vec::new(),
        gates: Vec::new(),
        rollout: Rollout {
            promote: Promotion::AllPass,
            pass_from: 0,
            start: Starts::AnyHour,
            false_rollback: None,
            budget: crate::domain::rollout::Budget::Split,
            max_hold: Seconds(0),
            approval: crate::domain::rollout::Answer::AT_ONCE,
            resume: None,
            recovery: Recovery { diagnose: Delay::NONE, mitigate: Delay::NONE },
            kayenta: Kayenta::default(),
        },
        effects: Vec::new(),
        simulation: Simulation { replicates: 1, seed: 1, resample: Resample::None, null: Null::Stable },
    }
}

/// A reproducible stream of numbers in [0, 1).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// A whole number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(whole(self.next() * end as f64 - 0.5).max(0)).unwrap().min(end - 1)
    }
}

/// A log of `rows` requests over about two hours from 2025-03-03 12:00 UTC, three in four of them covered.
pub(crate) fn log(rows: usize) -> DataFrame {
    let mut numbers = Numbers(7);
    let mut draw = move || numbers.next();
    let start = 1_741_003_200_000_000_i64;
    let ts: Vec<i64> = (0..rows).map(|_| start + whole(draw() * 7.2e9)).collect();
    let users: Vec<i64> = (0..rows).map(|_| whole(draw() * draw() * 50.0)).collect();
    let regions: Vec<Option<&str>> = (0..rows)
        .map(|_| {
            if draw() < 0.5 {
                Some("eu")
            } else if draw() < 0.7 {
                Some("us")
            } else {
                None
            }
        })
        .collect();
    let prompts: Vec<String> = (0..rows).map(|_| format!("p{}", whole(draw() * 9.0))).collect();
    let ids: Vec<String> = (0..rows).map(|row| format!("r{row}")).collect();
    let covered: Vec<bool> = (0..rows).map(|_| draw() < 0.75).collect();
    let mut columns = vec![
        Column::new("ts".into(), ts).cast(&DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))).unwrap(),
        Column::new("request_id".into(), ids),
        Column::new("user_id".into(), users),
        Column::new("region".into(), regions),
        Column::new("prompt_id".into(), prompts),
    ];
    for version in Version::BOTH {
        let shown = |row: usize| version == Version::Stable || covered[row];
        let name = |part: &str| PlSmallStr::from(format!("{}_{part}", version.name()));
        let quality: Vec<Option<f64>> =
            (0..rows).map(|row| (draw() < 0.9 && shown(row)).then(|| draw() / 3.0)).collect();
        let ok: Vec<Option<bool>> = (0..rows).map(|row| shown(row).then(|| draw() < 0.8)).collect();
        let latency: Vec<Option<f64>> = (0..rows).map(|row| shown(row).then(|| 1000.0 * draw() * draw())).collect();
        let cost: Vec<Option<f64>> = (0..rows).map(|row| shown(row).then(|| draw() / 100.0)).collect();
        let tokens: Vec<Option<i64>> = (0..rows).map(|row| shown(row).then(|| whole(draw() * 500.0))).collect();
        columns.extend([
            Column::new(name("quality"), quality),
            Column::new(name("ok"), ok),
            Column::new(name("latency_ms"), latency),
            Column::new(name("cost"), cost),
            Column::new(name("tokens"), tokens),
        ]);
    }
    DataFrame::new(rows, columns).unwrap()
}

/// Replaces or adds a column.
pub(crate) fn with(frame: &DataFrame, column: Column) -> DataFrame {
    let mut frame = frame.clone();
    frame.with_column(column).unwrap();
    frame
}

/// The time stamps as ISO 8601 text.
pub(crate) fn text_times(frame: &DataFrame) -> DataFrame {
    // Outputs in files of their own have none.
    if frame.column("ts").is_err() {
        return frame.clone();
    }
    let micros = frame.column("ts").unwrap().cast(&DataType::Int64).unwrap();
    let texts = micros
        .i64()
        .unwrap()
        .iter()
        .map(|time| time.map(|time| jiff::Timestamp::from_microsecond(time).unwrap().to_string()));
    let texts: StringChunked = texts.collect();
    with(frame, texts.with_name("ts".into()).into_column())
}

/// A scenario, and the digest of a log of so many rows.
pub(crate) fn loaded(text: &str, rows: usize) -> (Scenario, Digest) {
    let scenario = Scenario::parse("scenario.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.parquet");
    write(&log(rows), &path);
    let digest = digest::load(path.to_str().unwrap(), &scenario, &|_| ()).unwrap_or_else(|error| panic!("{error}"));
    (scenario, digest)
}

/// Writes a log in the format of its name.
pub(crate) fn write(frame: &DataFrame, path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    let mut frame = frame.clone();
    match path.extension().unwrap().to_str().unwrap() {
        "parquet" => _ = ParquetWriter::new(file).finish(&mut frame).unwrap(),
        "csv" => CsvWriter::new(file).finish(&mut text_times(&frame)).unwrap(),
        "ndjson" => {
            JsonWriter::new(file).with_json_format(JsonFormat::JsonLines).finish(&mut text_times(&frame)).unwrap();
        }
        "arrow" => IpcWriter::new(file).finish(&mut frame).unwrap(),
        other => unreachable!("no test writes {other}"),
    }
}
