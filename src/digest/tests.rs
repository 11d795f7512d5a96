//! A digest says the same of a log, however the log lies on disk.

use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::cells::{MetricCells, SumCells};
use super::{Digest, Facts, Step, bins, file, load};
use crate::domain::metric::{JudgeErrors, MetricKind, Nulls, Source};
use crate::domain::quantity::{Moment, Seconds};
use crate::domain::rollout::Sticky;
use crate::domain::version::{PerVersion, Version};
use crate::ingest::testing::{Numbers, columns, log, metric, scenario, source, text_times, with, write};
use crate::scenario::{OnBadRow, Scenario};

fn quiet(_: Step) {}

fn digest(path: &Path, scenario: &Scenario) -> Digest {
    load(path.to_str().unwrap(), scenario, &quiet).unwrap_or_else(|error| panic!("{error}"))
}

fn digest_of(frame: &DataFrame, extension: &str, scenario: &Scenario) -> Digest {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(format!("log.{extension}"));
    write(frame, &path);
    digest(&path, scenario)
}

/// Without what depends on the bytes of the files.
fn unnamed(mut digest: Digest) -> Digest {
    digest.facts.fingerprint.clear();
    digest
}

fn sums(digest: &Digest, metric: usize) -> &SumCells {
    match &digest.cells.metrics[metric] {
        MetricCells::Sums(sums) => sums,
        MetricCells::Bins(_) => panic!("metric {metric} is a quantile"),
    }
}

fn total(numbers: &[f64]) -> f64 {
    numbers.iter().sum()
}

fn totals(columns: &[&[f64]]) -> Vec<f64> {
    columns.iter().map(|numbers| total(numbers)).collect()
}

fn full_scenario() -> Scenario {
    let mut scenario = scenario();
    scenario.log.item = Some("prompt_id".into());
    scenario.log.request = Some("request_id".into());
    scenario.log.segments = vec!["region".into(), "prompt_id".into()];
    scenario
}

fn shuffled(frame: &DataFrame) -> DataFrame {
    let mut order: Vec<u32> = (0..u32::try_from(frame.height()).unwrap()).collect();
    let mut numbers = Numbers(3);
    for at in (1..order.len()).rev() {
        order.swap(at, numbers.below(at + 1));
    }
    frame.take(&UInt32Chunked::from_vec("order".into(), order)).unwrap()
}

#[test]
fn every_format_gives_the_same_digest() {
    let frame = log(3000);
    let expected = unnamed(digest_of(&frame, "parquet", &full_scenario()));
    assert!(expected.cells.len() > 1000 && expected.units.len() > 40);
    for extension in ["csv", "ndjson", "arrow"] {
        assert_eq!(unnamed(digest_of(&frame, extension, &full_scenario())), expected, "{extension}");
    }
    let as_text = text_times(&frame);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("text.parquet");
    ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut as_text.clone()).unwrap();
    assert_eq!(unnamed(digest(&path, &full_scenario())), expected);
}

#[test]
fn time_zones_and_units_of_time_stamps_do_not_matter() {
    let frame = log(300);
    let expected = unnamed(digest_of(&frame, "parquet", &scenario()));
    let berlin = TimeZone::opt_try_new(Some("Europe/Berlin")).unwrap();
    for (unit, zone) in
        [(TimeUnit::Microseconds, berlin), (TimeUnit::Nanoseconds, None), (TimeUnit::Microseconds, None)]
    {
        let times = frame.column("ts").unwrap().cast(&DataType::Datetime(unit, zone)).unwrap();
        assert_eq!(unnamed(digest_of(&with(&frame, times), "arrow", &scenario())), expected);
    }
}

/// The number of threads is fixed when the engine starts, so each number has a process of its own.
#[test]
fn the_number_of_threads_does_not_matter() {
    const OUT: &str = "REPLAY_TEST_DIGEST_OUT";
    let mut scenario = scenario();
    scenario.log.slot = Seconds(3600);
    if let Some(out) = std::env::var_os(OUT) {
        let digest = digest_of(&log(30_000), "parquet", &scenario);
        file::write(&digest, &scenario, Path::new(&out)).unwrap();
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let digests = ["1", "2", "5"].map(|threads| {
        let out = directory.path().join(format!("{threads}.parquet"));
        let test = "digest::tests::the_number_of_threads_does_not_matter";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let output = child.args([test, "--exact"]).env(OUT, &out).env("POLARS_MAX_THREADS", threads).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        digest(&out, &scenario)
    });
    assert!(digests[0].facts.rows == 30_000 && digests[0] == digests[1] && digests[0] == digests[2]);
}

#[test]
fn row_order_and_files_do_not_matter() {
    let frame = log(3000);
    let mut scenario = scenario();
    // One wide slot, so that many rows are added in each cell.
    scenario.log.slot = Seconds::DAY;
    let expected = unnamed(digest_of(&frame, "parquet", &scenario));
    let mixed = shuffled(&frame);
    assert_eq!(unnamed(digest_of(&mixed, "parquet", &scenario)), expected);
    let directory = tempfile::tempdir().unwrap();
    for (start, name) in [(0, "a/x.parquet"), (1000, "b.parquet"), (2000, "c.parquet")] {
        write(&mixed.slice(start, 1000), &directory.path().join(name));
    }
    assert_eq!(unnamed(digest(directory.path(), &scenario)), expected);
}

#[test]
fn what_files_say_of_their_rows_is_not_trusted() {
    let frame = log(3000);
    let scenario = scenario();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.parquet");
    let file = std::fs::File::create(&path).unwrap();
    ParquetWriter::new(file).with_statistics(StatisticsOptions::empty()).finish(&mut frame.clone()).unwrap();
    assert_eq!(unnamed(digest(&path, &scenario)), unnamed(digest_of(&frame, "parquet", &scenario)));
    // Statistics of decimals are of the digits, without the point.
    let decimals = frame.column("stable_cost").unwrap().cast(&DataType::Decimal(9, 6)).unwrap();
    let decimals = with(&frame, decimals);
    let expected = unnamed(digest_of(&decimals, "arrow", &scenario));
    assert_eq!(unnamed(digest_of(&decimals, "parquet", &scenario)), expected);
    // A time stamp of which no slot is left stops nothing.
    let stray = |row: usize| if row == 0 { i64::MAX } else { i64::MIN + row as i64 };
    let times = Column::new("ts".into(), (0..30).map(stray).collect::<Vec<_>>());
    let times = times.cast(&DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    let path = directory.path().join("stray.parquet");
    write(&with(&log(30), times), &path);
    let error = load(path.to_str().unwrap(), &scenario, &quiet).unwrap_err();
    assert!(error.problems[0].message.starts_with("lasts from "), "{error}");
}

#[test]
fn files_may_differ_in_types_and_partitions_hold_values() {
    let frame = log(900);
    let expected = unnamed(digest_of(&frame, "parquet", &scenario()));
    let directory = tempfile::tempdir().unwrap();
    let without = frame.drop("region").unwrap();
    let region = frame.column("region").unwrap().str().unwrap().clone();
    for (name, value) in [("eu", Some("eu")), ("us", Some("us")), ("__HIVE_DEFAULT_PARTITION__", None)] {
        let mask: BooleanChunked = region.iter().map(|found| Some(found == value)).collect();
        let mut part = without.filter(&mask).unwrap();
        if value.is_none() {
            let ids = part.column("user_id").unwrap().cast(&DataType::String).unwrap();
            part = with(&part, ids);
            let text = part.column("ts").unwrap().cast(&DataType::Datetime(TimeUnit::Nanoseconds, None)).unwrap();
            part = with(&part, text);
        }
        write(&part, &directory.path().join(format!("region={name}/part.parquet")));
    }
    assert_eq!(unnamed(digest(directory.path(), &scenario())), expected);
}

#[test]
fn sums_are_those_of_the_rows() {
    let frame = DataFrame::new(
        5,
        vec![
            Column::new(
                "ts".into(),
                [
                    "2025-03-03T12:14:59Z",
                    "2025-03-03 12:15",
                    "2025-03-03T12:20:00Z",
                    "2025-03-03T14:16:00+02:00",
                    "2025-03-03T13:00Z",
                ],
            ),
            Column::new("user_id".into(), ["a", "b", "b", "b", "a"]),
            Column::new("region".into(), ["x", "x", "x", "x", "y"]),
            Column::new("stable_q".into(), [Some(1.0), Some(2.0), Some(3.0), None, Some(5.0)]),
            Column::new("candidate_q".into(), [None, Some(0.5), None, Some(0.25), Some(0.125)]),
            Column::new("stable_d".into(), [Some(10), Some(20), Some(30), Some(40), Some(50)]),
            Column::new("candidate_d".into(), [None, Some(1), Some(2), None, Some(4)]),
        ],
    )
    .unwrap();
    let mut scenario = scenario();
    let column = || columns("{version}_q");
    scenario.metrics = vec![
        metric("mean", MetricKind::Mean { column: column() }),
        metric("over", MetricKind::Proportion { column: column(), over: Some(1.5) }),
        metric("bins", MetricKind::Quantile { column: column(), quantile: 0.5 }),
        metric("ratio", MetricKind::Ratio { numerator: source("{version}_q"), denominator: source("{version}_d") }),
        metric("rate", MetricKind::Ratio { numerator: source("requests"), denominator: source("{version}_d") }),
    ];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.parquet");
    ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut frame.clone()).unwrap();
    let digest = digest(&path, &scenario);
    assert_eq!(digest.units, ["a", "b"]);
    assert_eq!(digest.segments[0].values, ["x", "y"]);
    assert_eq!(digest.first, Moment(1_741_003_200));
    assert_eq!(digest.slots, 5);
    assert_eq!(digest.facts.start, Moment(1_741_003_200 + 899));
    assert_eq!(digest.facts.end, Moment(1_741_003_200 + 3600));
    assert_eq!((digest.cells.slot.clone(), digest.cells.unit.clone()), (vec![0, 1, 4], vec![0, 1, 0]));
    assert_eq!(digest.cells.rows, [1.0, 3.0, 1.0]);
    assert_eq!(digest.cells.covered, [0.0, 3.0, 1.0]);
    let mean = sums(&digest, 0);
    assert_eq!(mean.version.stable.n, [0.0, 2.0, 1.0]);
    assert_eq!(mean.version.stable.num, [0.0, 5.0, 5.0]);
    assert_eq!(mean.version.stable.num2, [0.0, 13.0, 25.0]);
    assert_eq!(mean.version.candidate.n, [0.0, 2.0, 1.0]);
    assert_eq!(mean.version.candidate.num, [0.0, 0.75, 0.125]);
    assert_eq!(mean.paired.n, [0.0, 1.0, 1.0]);
    assert_eq!(mean.paired.num, PerVersion { stable: vec![0.0, 2.0, 5.0], candidate: vec![0.0, 0.5, 0.125] });
    assert_eq!((&mean.version.stable.denominator, &mean.paired.den), (&None, &None));
    let over = sums(&digest, 1);
    assert_eq!(over.version.stable.num, [0.0, 2.0, 1.0]);
    assert_eq!(over.version.stable.num2, [0.0, 2.0, 1.0]);
    assert_eq!(over.version.candidate.num, [0.0, 0.0, 0.0]);
    let MetricCells::Bins(lists) = &digest.cells.metrics[2] else { panic!("a quantile has bins") };
    assert_eq!(lists.stable.of(0), [0_i16; 0]);
    assert_eq!(lists.stable.of(1), [bins::bin(2.0), bins::bin(3.0)]);
    assert_eq!(lists.candidate.of(1), [bins::bin(0.25), bins::bin(0.5)]);
    let ratio = sums(&digest, 3);
    assert_eq!(ratio.version.candidate.n, [0.0, 1.0, 1.0]);
    let denominator = ratio.version.stable.denominator.as_ref().unwrap();
    assert_eq!(denominator.den, [0.0, 50.0, 50.0]);
    assert_eq!(denominator.den2, [0.0, 1300.0, 2500.0]);
    assert_eq!(denominator.numden, [0.0, 130.0, 250.0]);
    let paired = ratio.paired.den.as_ref().unwrap();
    assert_eq!((&paired.stable, &paired.candidate), (&vec![0.0, 20.0, 50.0], &vec![0.0, 1.0, 4.0]));
    let rate = sums(&digest, 4);
    assert_eq!(rate.version.stable.num, [0.0, 3.0, 1.0]);
    assert_eq!(rate.version.stable.num2, [0.0, 3.0, 1.0]);
    assert_eq!(rate.version.candidate.num, [0.0, 2.0, 1.0]);
}

#[test]
fn what_is_computed_from_columns_is_as_if_the_log_held_it() {
    let frame = log(400);
    let value = |name: &str| frame.column(name).unwrap().cast(&DataType::Float64).unwrap().f64().unwrap().clone();
    let mut held = frame.clone();
    for version in ["stable", "candidate"] {
        let of = |name: &str| value(&format!("{version}_{name}"));
        let rest = &of("latency_ms") - &(&of("cost") * 2.0);
        held = with(&held, rest.with_name(format!("{version}_rest").into()).into_column());
        let half = &(&of("tokens") / 2.0) + 1.0;
        held = with(&held, half.with_name(format!("{version}_half").into()).into_column());
    }
    let ratio = |numerator, denominator| {
        let mut scenario = scenario();
        let kind = MetricKind::Ratio { numerator: source(numerator), denominator: source(denominator) };
        scenario.metrics = vec![metric("m", kind)];
        scenario
    };
    let expected = digest_of(&held, "parquet", &ratio("{version}_rest", "{version}_half"));
    assert!(sums(&expected, 0).version.stable.n.iter().sum::<f64>() > 100.0);
    let computed = ratio("{version}_latency_ms - {version}_cost * 2", "{version}_tokens / 2 + 1");
    for extension in ["parquet", "csv", "ndjson", "arrow"] {
        assert_eq!(digest_of(&held, extension, &computed).cells, expected.cells, "{extension}");
    }
}

#[test]
fn a_candidate_that_was_never_measured() {
    let frame = log(300);
    let mut nulls = frame.clone();
    for part in ["quality", "ok", "latency_ms", "cost", "tokens"] {
        let dtype = if part == "ok" { DataType::Boolean } else { DataType::Null };
        nulls = with(&nulls, Column::full_null(format!("candidate_{part}").into(), 300, &dtype));
    }
    let digest = digest_of(&nulls, "parquet", &scenario());
    assert_eq!(totals(&[&digest.cells.rows, &digest.cells.covered]), [300.0, 0.0]);
    assert_eq!(totals(&[&sums(&digest, 0).version.stable.n]), [0.0]);
    // One metric alone makes a request covered.
    let frame = with(&nulls, Column::new("candidate_quality".into(), vec![0.5; 300]));
    let digest = digest_of(&frame, "arrow", &scenario());
    let ok = &sums(&digest, 1).version;
    assert_eq!(totals(&[&digest.cells.covered, &ok.candidate.n, &ok.stable.n]), [300.0, 0.0, 300.0]);
}

#[test]
fn excluded_rows_are_counted() {
    let frame = log(400);
    let mut scenario = full_scenario();
    scenario.log.missing = OnBadRow::Exclude;
    scenario.log.duplicates = OnBadRow::Exclude;
    let users: StringChunked = (0..400).map(|row| (row >= 5).then(|| format!("u{}", row % 7))).collect();
    let bad = with(&frame, users.with_name("user_id".into()).into_column());
    let ids: StringChunked = (0..400).map(|row| Some(format!("r{}", row % 390))).collect();
    let bad = with(&bad, ids.with_name("request_id".into()).into_column());
    let digest = digest_of(&bad, "parquet", &scenario);
    assert_eq!(digest.facts.excluded_null_unit, 5);
    // Of the ten repeated ids, five were left out already.
    assert_eq!(digest.facts.excluded_duplicate, 5);
    assert_eq!(digest.facts.rows, 390);
    assert_eq!(unnamed(digest_of(&shuffled(&bad), "csv", &scenario)), unnamed(digest));
}

#[test]
fn round_trip_and_merge() {
    let scenario = full_scenario();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let frame = log(3000);
    let whole = digest_of(&frame, "parquet", &scenario);
    file::write(&whole, &scenario, &path("whole.parquet")).unwrap();
    assert_eq!(digest(&path("whole.parquet"), &scenario), whole);

    let shards: Vec<PathBuf> = (0..2)
        .map(|part| {
            let half = digest_of(&frame.slice(part * 1500, 1500), "parquet", &scenario);
            let path = path(&format!("half-{part}.parquet"));
            file::write(&half, &scenario, &path).unwrap();
            path
        })
        .collect();
    let merged = load(&format!("{}/half-*.parquet", directory.path().display()), &scenario, &quiet).unwrap();
    assert_close(&merged, &whole);
    let mut backwards = shards.clone();
    backwards.reverse();
    assert_eq!(file::read(&backwards, &scenario).unwrap().facts, merged.facts);
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 3, "no temporary file is left");
}

/// The same keys and counts; sums to 1e-9.
fn assert_close(merged: &Digest, whole: &Digest) {
    let facts = |digest: &Digest| Facts { fingerprint: String::new(), ..digest.facts.clone() };
    assert_eq!(facts(merged), facts(whole));
    assert_eq!(
        (&merged.units, &merged.segments, &merged.items, merged.first, merged.slots),
        (&whole.units, &whole.segments, &whole.items, whole.first, whole.slots)
    );
    let (a, b) = (&merged.cells, &whole.cells);
    assert_eq!((&a.slot, &a.unit, &a.segment, &a.item), (&b.slot, &b.unit, &b.segment, &b.item));
    assert_eq!((&a.rows, &a.covered), (&b.rows, &b.covered));
    for (a, b) in a.metrics.iter().zip(&b.metrics) {
        for (a, b) in super::layout::metric_columns(a).into_iter().zip(super::layout::metric_columns(b)) {
            match (a, b) {
                (super::layout::ValuesRef::Numbers(a), super::layout::ValuesRef::Numbers(b)) => {
                    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-9 * b.abs().max(1e-12)));
                }
                (super::layout::ValuesRef::Bins(a), super::layout::ValuesRef::Bins(b)) => assert_eq!(a, b),
                _ => panic!("columns of different kinds"),
            }
        }
    }
}

#[test]
fn a_digest_of_another_scenario_is_refused() {
    let made = scenario();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("digest.parquet");
    file::write(&digest_of(&log(100), "parquet", &made), &made, &path).unwrap();
    let mut asked = full_scenario();
    asked.log.slot = Seconds(600);
    asked.assignment.unit = "session".into();
    asked.metrics.push(metric("more", MetricKind::Mean { column: columns("{version}_x") }));
    asked.metrics[2].kind = MetricKind::Proportion { column: columns("{version}_latency_ms"), over: Some(600.0) };
    asked.metrics[4].kind = MetricKind::Ratio {
        numerator: source("{version}_cost"),
        denominator: PerVersion { stable: Source::Requests, candidate: Source::Column("n".into()) },
    };
    // The quantile is not part of the cells.
    asked.metrics[3].kind = MetricKind::Quantile { column: columns("{version}_latency_ms"), quantile: 0.5 };
    let error = load(path.to_str().unwrap(), &asked, &quiet).unwrap_err();
    let messages: Vec<&str> = error.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "the digest was made with `log.slot` = 15m, and the scenario has 10m",
            "the digest was made with `assignment.unit` = `user_id`, and the scenario has `session`",
            "the digest was made with `log.segments` = [`region`], and the scenario has [`region`, `prompt_id`]",
            "the digest was made with `log.item` = no column, and the scenario has `prompt_id`",
            "the digest was made with `metrics.slow` = proportion of `stable_latency_ms` and `candidate_latency_ms` \
             over 500, and the scenario has proportion of `stable_latency_ms` and `candidate_latency_ms` over 600",
            "the digest was made with `metrics.cost` = ratio of `stable_cost` / requests and `candidate_cost` / \
             requests, and the scenario has ratio of `stable_cost` / requests and `candidate_cost` / `n`",
            "the digest was made with `metrics.more` = nothing, and the scenario has mean of `stable_x` and \
             `candidate_x`",
        ]
    );
}

#[test]
fn damaged_digests_are_refused() {
    let scenario = scenario();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("digest.parquet");
    file::write(&digest_of(&log(2000), "parquet", &scenario), &scenario, &path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for step in 0..40 {
        let at = whole.len() * step / 40;
        let mut damaged = whole.clone();
        damaged[at..(at + 20).min(whole.len())].fill(0xa5);
        std::fs::write(&path, &damaged).unwrap();
        let _ = load(path.to_str().unwrap(), &scenario, &quiet);
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(load(path.to_str().unwrap(), &scenario, &quiet).is_err());
    }
    // Digests and logs are not mixed.
    std::fs::write(&path, &whole).unwrap();
    write(&log(10), &directory.path().join("log.parquet"));
    let error = load(directory.path().to_str().unwrap(), &scenario, &quiet).unwrap_err();
    assert!(error.problems[0].message.starts_with("holds digests ("), "{error}");
    // A digest that cannot be written leaves nothing behind.
    let unwritable = directory.path().join("none").join("digest.parquet");
    assert!(file::write(&digest_of(&log(10), "parquet", &scenario), &scenario, &unwritable).is_err());
}

#[test]
fn hostile_text_survives() {
    let names =
        ["<script>alert(1)</script>", "a\"b'c`d", "line\nbreak\ttab\u{0}", "=cmd()|' '!A0", "../..", "", "é\u{202e}"];
    let frame = log(70);
    let hostile =
        |shift: usize| -> StringChunked { (0..70).map(|row| Some(names[(row + shift) % names.len()])).collect() };
    let frame = with(&frame, hostile(0).with_name("user_id".into()).into_column());
    let frame = with(&frame, hostile(3).with_name("prompt_id".into()).into_column());
    let odd = "se\"g\n^.*$";
    let frame = with(&frame, hostile(1).with_name(odd.into()).into_column());
    let mut scenario = full_scenario();
    scenario.log.segments = vec![odd.into()];
    let mut sorted: Vec<&str> = names.to_vec();
    sorted.sort_unstable();
    for extension in ["parquet", "arrow", "ndjson"] {
        let made = digest_of(&frame, extension, &scenario);
        assert_eq!(
            (&made.units[..], &made.segments[0].values[..]),
            (&sorted.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..], &made.units[..]),
            "{extension}"
        );
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("d[1]*.parquet");
        file::write(&made, &scenario, &path).unwrap();
        assert_eq!(digest(&path, &scenario), made);
    }
}

#[test]
fn a_null_and_the_word_null_are_one_segment() {
    let frame = log(30);
    let regions: StringChunked = (0..30).map(|row| (row % 2 == 0).then_some("(null)")).collect();
    let digest = digest_of(&with(&frame, regions.with_name("region".into()).into_column()), "parquet", &scenario());
    assert_eq!(digest.segments[0].values, ["(null)"]);
}

/// Judges of all kinds over the columns of [`log`]; the cost of a request serves as its label.
fn judged_scenario() -> Scenario {
    let mut scenario = full_scenario();
    scenario.metrics.truncate(4);
    scenario.metrics[0].judge.share = Some(0.3);
    scenario.metrics[0].judge.human = Some(columns("{version}_cost"));
    scenario.metrics[1].judge.share = Some(0.6);
    scenario.metrics[1].judge.human = Some(columns("{version}_quality"));
    scenario.metrics[3].judge.share = Some(0.6);
    scenario
}

fn recorded(frame: &DataFrame, scenario: &Scenario) -> Digest {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.parquet");
    write(frame, &path);
    super::read(path.to_str().unwrap(), scenario, &quiet).unwrap()
}

#[test]
fn judges_see_the_same_requests_in_any_order_of_rows() {
    let frame = log(3000);
    for request in [Some("request_id"), None] {
        let mut scenario = judged_scenario();
        scenario.log.request = request.map(str::to_owned);
        let digest = recorded(&frame, &scenario);
        assert_eq!(unnamed(recorded(&shuffled(&frame), &scenario)), unnamed(digest.clone()), "{request:?}");
        let covered = total(&digest.cells.covered);
        let [few, many] = [0, 1].map(|metric| digest.asked(metric, Version::Candidate));
        for (asked, share) in [(few, 0.3), (many, 0.6)] {
            let sampled = total(asked) / covered;
            assert!((sampled - share).abs() < 0.05, "{sampled} of {share}");
        }
        assert!(few.iter().zip(many).all(|(few, many)| few <= many), "the smaller sample is part of the larger");
        assert_eq!(digest.asked(1, Version::Candidate), digest.asked(3, Version::Candidate));
        assert_eq!(digest.asked(2, Version::Candidate), digest.cells.covered);
        scenario.simulation.seed += 1;
        assert_ne!(
            recorded(&frame, &scenario).asked(0, Version::Candidate),
            few,
            "another seed asks about other requests"
        );
    }
}

#[test]
fn labels_and_pairs_are_those_of_the_rows() {
    let frame = log(2000);
    let mut scenario = scenario();
    scenario.metrics = vec![metric("ok", MetricKind::Proportion { column: columns("{version}_ok"), over: None })];
    scenario.metrics[0].judge.human = Some(columns("{version}_quality"));
    let digest = recorded(&frame, &scenario);
    let oks = PerVersion { stable: "stable_ok", candidate: "candidate_ok" }
        .map(|name| frame.column(name).unwrap().bool().unwrap().iter().collect::<Vec<_>>());
    let covered = |row: usize| oks.candidate[row].is_some();
    let labels = digest.cells.judged[0].labels.as_ref().unwrap();
    let shown =
        [(&labels.stable, &oks.stable, "stable_quality"), (&labels.candidate, &oks.candidate, "candidate_quality")];
    for (labels, oks, human) in shown {
        let human: Vec<Option<f64>> = frame.column(human).unwrap().f64().unwrap().iter().collect();
        let rows: Vec<(bool, f64)> =
            (0..frame.height()).filter(|&row| covered(row)).filter_map(|row| oks[row].zip(human[row])).collect();
        assert_eq!(total(&labels.n) as usize, rows.len());
        assert_eq!(total(&labels.judge) as usize, rows.iter().filter(|(ok, _)| *ok).count());
        assert!((total(&labels.human) - rows.iter().map(|(_, human)| human).sum::<f64>()).abs() < 1e-8);
    }
    let both = (0..frame.height()).filter(|&row| oks.stable[row] == Some(true) && oks.candidate[row] == Some(true));
    assert_eq!(total(sums(&digest, 0).paired.product.as_ref().unwrap()) as usize, both.count());
}

#[test]
fn a_digest_with_judges_comes_back_from_its_file_and_takes_any_meaning_of_nulls() {
    let frame = log(2000);
    let mut scenario = judged_scenario();
    scenario.metrics[2].judge.errors = Some(JudgeErrors { sensitivity: 0.9, specificity: 0.8 });
    let digest = recorded(&frame, &scenario);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("digest.parquet");
    file::write(&digest, &scenario, &path).unwrap();
    assert_eq!(file::read(std::slice::from_ref(&path), &scenario).unwrap(), digest);

    // What a null means and how a judge errs is applied to the file when it is used.
    scenario.metrics[0].nulls = Nulls::Worst;
    scenario.metrics[0].worst = Some(-1.0);
    let counted = load(path.to_str().unwrap(), &scenario, &quiet).unwrap();
    assert_eq!(counted.recorded(0), &digest.cells.metrics[0]);
    let (of, was) = (sums(&counted, 0), sums(&digest, 0));
    let asked = total(digest.asked(0, Version::Candidate));
    let missing = asked - total(&was.version.stable.n);
    assert!(missing > 10.0);
    assert_eq!((total(&of.version.stable.n), total(&of.paired.n)), (asked, asked));
    assert!((total(&of.version.stable.num) - (total(&was.version.stable.num) - missing)).abs() < 1e-9);
    assert!((total(&of.version.stable.num2) - (total(&was.version.stable.num2) + missing)).abs() < 1e-9);
    assert!((total(&of.paired.num.stable) - total(&of.version.stable.num)).abs() < 1e-9);
    let (of, was) = (&sums(&counted, 2).version.candidate, &sums(&digest, 2).version.candidate);
    let (n, slow) = (total(&was.n), total(&was.num));
    assert!((total(&of.num) - (slow - 0.2 * n) / 0.7).abs() < 1e-9);
    // Each slow request becomes 0.8 / 0.7, each other one -0.2 / 0.7.
    let squares = (slow * 0.64 + (n - slow) * 0.04) / 0.49;
    assert!((total(&of.num2) - squares).abs() < 1e-9);

    scenario.simulation.seed += 1;
    let error = file::read(&[path], &scenario).unwrap_err().to_string();
    assert!(error.contains("share 0.3 by seed 1") && error.contains("share 0.3 by seed 2"), "{error}");
}

#[test]
fn a_judge_that_errs_says_yes_or_no() {
    let mut scenario = scenario();
    scenario.metrics.truncate(1);
    scenario.metrics[0].judge.errors = Some(JudgeErrors { sensitivity: 0.9, specificity: 0.8 });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.parquet");
    write(&log(100), &path);
    let error = load(path.to_str().unwrap(), &scenario, &quiet).unwrap_err().to_string();
    assert!(error.starts_with("error: s.toml: metric `quality`: its judge gave values between 0 and 1"), "{error}");
}

#[test]
fn a_missing_value_of_a_quantile_is_a_bin_of_the_worst() {
    let mut scenario = scenario();
    let kind = MetricKind::Quantile { column: columns("{version}_quality"), quantile: 0.9 };
    scenario.metrics = vec![metric("quality", kind), metric("ok", scenario.metrics[1].kind.clone())];
    scenario.metrics[0].worst = Some(0.2);
    scenario.metrics[0].nulls = Nulls::Worst;
    let counted = digest_of(&log(1000), "parquet", &scenario);
    let (MetricCells::Bins(of), MetricCells::Bins(was)) = (&counted.cells.metrics[0], counted.recorded(0)) else {
        panic!("a quantile has bins")
    };
    let asked = total(counted.asked(0, Version::Candidate)) as usize;
    let at = |bins: &[i16]| bins.iter().filter(|&&bin| bin == bins::bin(0.2)).count();
    assert_eq!(of.candidate.bins.len(), asked);
    assert_eq!(at(&of.candidate.bins) - at(&was.candidate.bins), asked - was.candidate.bins.len());
    assert!((0..counted.cells.len()).all(|cell| of.stable.of(cell).is_sorted()));
}

#[test]
fn a_stray_time_stamp_is_found() {
    let frame = text_times(&log(30));
    let times = frame.column("ts").unwrap().str().unwrap().clone();
    let times: StringChunked = times
        .iter()
        .enumerate()
        .map(|(row, time)| if row == 3 { Some("0203-03-03T00:00:00Z") } else { time })
        .collect();
    let frame = with(&frame, times.with_name("ts".into()).into_column());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.parquet");
    ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut frame.clone()).unwrap();
    let error = load(path.to_str().unwrap(), &scenario(), &quiet).unwrap_err();
    assert!(error.problems[0].message.starts_with("lasts from 0203-03-03T00:00:00Z to 2025-03-03T"), "{error}");
}

/// The recorded log beside the repository, where there is one.
#[test]
fn the_recorded_log() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/datasets/llm-shadow.parquet");
    if !path.exists() {
        return;
    }
    let mut scenario = scenario();
    scenario.log.segments = vec!["region".into(), "tier".into(), "request_type".into()];
    scenario.log.item = Some("prompt_id".into());
    scenario.log.request = Some("request_id".into());
    let latency = || columns("{version}_latency_ms");
    let ratio =
        |numerator, denominator| MetricKind::Ratio { numerator: source(numerator), denominator: source(denominator) };
    scenario.metrics = vec![
        metric("quality", MetricKind::Mean { column: columns("{version}_quality") }),
        metric("error", MetricKind::Proportion { column: columns("{version}_error"), over: None }),
        metric("latency_p95", MetricKind::Quantile { column: latency(), quantile: 0.95 }),
        metric("slow", MetricKind::Proportion { column: latency(), over: Some(20_000.0) }),
        metric("cost", ratio("{version}_cost_usd", "requests")),
        metric("cost_per_token", ratio("{version}_cost_usd", "{version}_output_tokens")),
    ];
    let digest = digest(&path, &scenario);
    assert_eq!((digest.facts.rows, digest.units.len()), (501_634, 38_509));
    assert_eq!(digest.slots, 14 * 96);
    let quality = sums(&digest, 0);
    let n = total(&quality.paired.n);
    let difference = (total(&quality.paired.num.candidate) - total(&quality.paired.num.stable)) / n;
    assert!((difference - 0.020_043).abs() < 5e-7, "{difference}");
}

#[test]
fn what_draws_within_users_is_told_apart_and_keeps_its_user() {
    let mut within = full_scenario();
    within.assignment.sticky = Sticky::Request;
    within.assignment.within = within.log.request.clone();
    let users = digest_of(&log(300), "parquet", &full_scenario());
    assert!(users.holders(&full_scenario()).is_none());
    let found = digest_of(&log(300), "csv", &within);
    let (of_unit, names) = found.holders(&within).unwrap();
    assert_eq!(found.units.len(), 300);
    assert_eq!(names, users.units);
    let requests = |user: usize| {
        let own = (0..users.cells.len()).filter(|&cell| users.cells.unit[cell] as usize == user);
        own.map(|cell| users.cells.rows[cell]).sum::<f64>()
    };
    let drawn = |user: usize| of_unit.iter().filter(|&&of| of as usize == user).count() as f64;
    for (user, name) in names.iter().enumerate() {
        assert!((requests(user) - drawn(user)).abs() < 1e-9, "{name}");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("digest.parquet");
    file::write(&found, &within, &path).unwrap();
    assert_eq!(digest(&path, &within), found);
    assert!(load(path.to_str().unwrap(), &full_scenario(), &quiet).is_err(), "a digest of users is another");
}
