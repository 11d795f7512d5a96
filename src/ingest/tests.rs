//! What is refused, word for word.

use std::path::Path;

use polars::prelude::*;

use super::testing::{columns, log, metric, scenario, source, text_times, with, write};
use super::{Input, engine, open, schema};
use crate::domain::metric::MetricKind;
use crate::domain::version::{PerVersion, Version};
use crate::error::{Problem, Result};
use crate::scenario::{Join, OnBadRow, Scenario};

/// Opens the frame as `log.EXTENSION`; problems with the directory taken out of their places.
fn problems_of(frame: &DataFrame, extension: &str, scenario: &Scenario) -> Vec<Problem> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(format!("log.{extension}"));
    write(frame, &path);
    problems(directory.path(), &format!("log.{extension}"), scenario)
}

fn problems(directory: &Path, name: &str, scenario: &Scenario) -> Vec<Problem> {
    let root = format!("{}/", directory.display());
    match checked(&format!("{root}{name}"), scenario) {
        Ok(()) => Vec::new(),
        Err(error) => error
            .problems
            .into_iter()
            .map(|problem| Problem {
                place: problem.place.replace(&root, ""),
                message: problem.message.replace(&root, ""),
                hint: problem.hint,
            })
            .collect(),
    }
}

/// What both ways to look at every row say, which is the same.
fn checked(path: &str, scenario: &Scenario) -> Result<()> {
    let Input::Log(log) = open(path, scenario)? else { panic!("{path} is no log") };
    let quiet = |_| {};
    let read = log.survey(&quiet).and_then(|survey| log.read(&survey, &[], (), |(), _| Ok(()), &|_| {}));
    let checked = log.check(&quiet);
    let text = |outcome: &Result<()>| outcome.as_ref().map_err(ToString::to_string).copied();
    let read = read.map(drop);
    assert_eq!(text(&read), text(&checked));
    checked
}

/// Places and messages, one per line.
fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| format!("{}: {}", problem.place, problem.message)).collect()
}

/// A copy of a column in which `change` rewrites some values.
fn changed(frame: &DataFrame, name: &str, change: impl Fn(usize, Option<f64>) -> Option<f64>) -> DataFrame {
    let numbers = frame.column(name).unwrap().cast(&DataType::Float64).unwrap();
    let numbers: Float64Chunked =
        numbers.f64().unwrap().iter().enumerate().map(|(row, value)| change(row, value)).collect();
    with(frame, numbers.with_name(name.into()).into_column())
}

fn texts(frame: &DataFrame, name: &str, change: impl Fn(usize) -> Option<String>) -> DataFrame {
    let texts: StringChunked = (0..frame.height()).map(change).collect();
    with(frame, texts.with_name(name.into()).into_column())
}

#[test]
fn a_good_log_opens() {
    for extension in ["parquet", "csv", "ndjson", "arrow"] {
        assert_eq!(problems_of(&log(200), extension, &scenario()), [], "{extension}");
    }
}

#[test]
fn missing_columns_are_named_all_at_once() {
    let mut scenario = scenario();
    scenario.assignment.unit = "userid".into();
    scenario.log.segments = vec!["Region".into(), "zzz".into()];
    for extension in ["parquet", "csv", "ndjson", "arrow"] {
        let problems = problems_of(&log(10).select(["ts", "user_id", "region"]).unwrap(), extension, &scenario);
        let file = format!("log.{extension}");
        assert_eq!(problems.len(), 3 + 10, "{extension}");
        assert_eq!(
            lines(&problems[..4]),
            [
                format!("{file}: column `userid`: does not exist, but the scenario names it in `assignment.unit`"),
                format!("{file}: column `Region`: does not exist, but the scenario names it in `log.segments`"),
                format!("{file}: column `zzz`: does not exist, but the scenario names it in `log.segments`"),
                format!(
                    "{file}: column `stable_quality`: does not exist, but the scenario names it in \
                     `metrics.quality.column`"
                ),
            ]
        );
        assert_eq!(problems[0].hint.as_deref(), Some("did you mean `user_id`?"));
        assert_eq!(problems[1].hint.as_deref(), Some("did you mean `region`?"));
        assert_eq!(problems[2].hint, None);
        let last = problems.last().unwrap().hint.as_deref().unwrap();
        assert!(last.starts_with("the log has the columns `"), "{last}");
    }
}

#[test]
fn wrong_types_are_named_all_at_once() {
    let frame = changed(&log(10), "user_id", |_, value| value);
    let frame = changed(&frame, "region", |row, _| Some(row as f64));
    let frame = texts(&frame, "stable_quality", |_| Some("0.5".into()));
    let frame = with(&frame, frame.column("stable_ok").unwrap().clone().with_name("candidate_quality".into()));
    let frame = with(&frame, frame.column("ts").unwrap().cast(&DataType::Int64).unwrap());
    let problems = problems_of(&frame, "parquet", &scenario());
    assert_eq!(
        lines(&problems),
        [
            "log.parquet: column `ts`: holds integers, and `log.timestamp` needs a time stamp",
            "log.parquet: column `user_id`: holds numbers with decimals, and `assignment.unit` needs text or integers",
            "log.parquet: column `region`: holds numbers with decimals, and `log.segments` needs text, integers or \
             booleans",
            "log.parquet: column `stable_quality`: holds text, and `metrics.quality.column` needs numbers",
            "log.parquet: column `candidate_quality`: holds booleans, and `metrics.quality.column` needs numbers",
        ]
    );
    assert_eq!(
        problems[0].hint.as_deref(),
        Some("store a number of seconds or milliseconds as a time stamp type, so that its unit is certain")
    );
}

#[test]
fn null_units_and_time_stamps() {
    let frame = texts(&log(300), "user_id", |row| (row % 100 != 42).then(|| format!("u{row}")));
    let frame = text_times(&frame);
    let ts = frame.column("ts").unwrap().str().unwrap().clone();
    let frame = texts(&frame, "ts", |row| match row {
        7 => None,
        11 | 142 => Some("yesterday".into()),
        _ => ts.get(row).map(str::to_owned),
    });
    let directory = tempfile::tempdir().unwrap();
    ParquetWriter::new(std::fs::File::create(directory.path().join("log.parquet")).unwrap())
        .finish(&mut frame.clone())
        .unwrap();
    let mut scenario = scenario();
    let found = problems(directory.path(), "log.parquet", &scenario);
    assert_eq!(
        lines(&found),
        [
            "log.parquet: column `user_id`, row 43: value is null (and 2 more)",
            "log.parquet: column `ts`, row 8: value is null",
            "log.parquet: column `ts`, row 12: value `yesterday` is not a time stamp (and 1 more)",
        ]
    );
    assert_eq!(
        found[0].hint.as_deref(),
        Some("every request needs its unit of assignment; fill the column, or set `log.missing = \"exclude\"`")
    );
    scenario.log.missing = OnBadRow::Exclude;
    let path = directory.path().join("log.parquet");
    let Ok(Input::Log(log)) = open(path.to_str().unwrap(), &scenario) else { panic!("excluded rows stop nothing") };
    let survey = log.survey(&|_| {}).unwrap();
    let ((), watch) = log.read(&survey, &[], (), |(), _| Ok(()), &|_| {}).unwrap();
    assert_eq!((watch.extent().rows, watch.null_unit, watch.bad_time), (300, 3, 2));
}

#[test]
fn values_out_of_range_in_every_format() {
    for extension in ["parquet", "csv", "ndjson", "arrow"] {
        let mut scenario = scenario();
        scenario.metrics[4].unit = Some("usd".into());
        let frame = changed(&log(100), "stable_quality", |row, value| if row == 30 { Some(f64::NAN) } else { value });
        let frame = changed(&frame, "candidate_quality", |row, value| match row {
            9 => Some(f64::NEG_INFINITY),
            10 => Some(1e101),
            _ => value,
        });
        let frame = changed(&frame, "candidate_ok", |row, value| if row > 96 { Some(1.5) } else { value });
        let frame = changed(&frame, "stable_latency_ms", |row, value| if row == 0 { Some(-5.0) } else { value });
        let frame = changed(&frame, "stable_cost", |row, value| if row == 1 { Some(-0.25) } else { value });
        let frame = changed(&frame, "stable_tokens", |row, value| if row == 2 { Some(-1.0) } else { value });
        // JSON has no NaN and no infinity.
        let found = problems_of(&frame, extension, &scenario);
        let expected = [
            "column `stable_quality`, row 31: value is NaN",
            "column `candidate_quality`, row 10: value is infinite (and 1 more)",
            "column `stable_latency_ms`, row 1: value is -5.0, and `metrics.latency_p95` needs 0 or more",
            "column `stable_cost`, row 2: value is -0.25, and `metrics.cost` needs 0 or more",
            "column `stable_tokens`, row 3: value is -1.0, and `metrics.cost_per_token` needs 0 or more",
            "column `candidate_ok`, row 98: value is 1.5, and `metrics.ok` needs 0 to 1 (and 2 more)",
        ];
        let found = lines(&found);
        for line in expected {
            let line = format!("log.{extension}: {line}");
            let in_json = extension == "ndjson" && line.contains("quality");
            assert!(in_json || found.contains(&line), "{line}\nin {found:#?}");
        }
    }
}

#[test]
fn text_that_is_no_number() {
    let frame = texts(&log(20), "stable_cost", |row| Some(if row == 3 { "1,5".into() } else { "1.5".into() }));
    for extension in ["csv", "ndjson"] {
        let found = problems_of(&frame, extension, &scenario());
        assert_eq!(
            lines(&found),
            [format!("log.{extension}: column `stable_cost`, row 4: value `1,5` is not a number")]
        );
    }
}

#[test]
fn values_that_are_computed_are_checked_column_by_column() {
    let mut scenario = scenario();
    let ratio = MetricKind::Ratio {
        numerator: source("{version}_latency_ms - {version}_cost * 2"),
        denominator: source("{version}_tokens - 1"),
    };
    scenario.metrics = vec![metric("itl", ratio)];
    for extension in ["parquet", "csv", "ndjson", "arrow"] {
        let frame = changed(&log(40), "stable_tokens", |_, value| value.map(|value| value + 1.0));
        let frame = changed(&frame, "candidate_tokens", |_, value| value.map(|value| value + 1.0));
        assert_eq!(problems_of(&frame, extension, &scenario), [], "{extension}");
        let few = changed(&frame, "stable_tokens", |row, value| if row == 3 { Some(0.0) } else { value });
        let expected = "column `stable_tokens - 1`, row 4: value is -1.0, and `metrics.itl` needs 0 or more";
        assert_eq!(lines(&problems_of(&few, extension, &scenario)), [format!("log.{extension}: {expected}")]);
    }
    let frame = texts(&log(20), "candidate_cost", |row| Some(if row == 3 { "1,5".into() } else { "1.5".into() }));
    let name = "candidate_latency_ms - candidate_cost * 2";
    let found = lines(&problems_of(&frame, "csv", &scenario));
    assert!(found.contains(&format!("log.csv: column `{name}`, row 4: value `1,5` is not a number")), "{found:?}");
    let found = lines(&problems_of(&log(20).drop("candidate_cost").unwrap(), "parquet", &scenario));
    assert_eq!(
        found,
        ["log.parquet: column `candidate_cost`: does not exist, but the scenario names it in `metrics.itl.numerator`"]
    );
}

#[test]
fn repeated_requests() {
    let mut scenario = scenario();
    scenario.log.request = Some("request_id".into());
    assert_eq!(problems_of(&log(50), "parquet", &scenario), []);
    let frame = texts(&log(50), "request_id", |row| (row > 2).then(|| format!("r{}", row.min(48) % 45)));
    let found = problems_of(&frame, "csv", &scenario);
    assert_eq!(lines(&found), ["log.csv: column `request_id`, row 49: `r3` occurs 3 times, first in row 4"]);
    assert_eq!(
        found[0].hint.as_deref(),
        Some("give every request an id of its own, or set `log.duplicates = \"first\"`")
    );
}

#[test]
fn files_are_blamed_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for name in ["a", "b", "c"] {
        write(&log(5000), &root.join(format!("{name}.parquet")));
    }
    // The row is that of its own file.
    let frame = changed(&log(10), "stable_quality", |row, _| (row == 4).then_some(f64::NAN));
    write(&frame, &root.join("b.parquet"));
    let scenario = scenario();
    assert_eq!(
        lines(&problems(root, "*.parquet", &scenario)),
        ["b.parquet: column `stable_quality`, row 5: value is NaN"]
    );
    // Cut short.
    let whole = std::fs::read(root.join("a.parquet")).unwrap();
    std::fs::write(root.join("b.parquet"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(root.join("c.parquet"), "").unwrap();
    let found = problems(root, "*.parquet", &scenario);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(lines(&found)[0].starts_with("b.parquet: cannot be read: "), "{found:?}");
    assert_eq!(lines(&found)[1], "c.parquet: the file is empty");
    // Damaged pages behind a sound footer.
    let mut damaged = whole.clone();
    for byte in &mut damaged[2000..whole.len() / 2] {
        *byte ^= 0x5a;
    }
    std::fs::write(root.join("b.parquet"), &damaged).unwrap();
    std::fs::write(root.join("c.parquet"), &whole).unwrap();
    let found = problems(root, "*.parquet", &scenario);
    assert!(!found.is_empty() && lines(&found)[0].starts_with("b.parquet: "), "{found:?}");
}

fn read_anyhow(path: &str) {
    let mut scenario = scenario();
    scenario.log.request = Some("request_id".into());
    read_with(path, &scenario);
}

fn read_with(path: &str, scenario: &Scenario) {
    let Ok(Input::Log(log)) = open(path, scenario) else { return };
    let _ = log.survey(&|_| {}).and_then(|survey| log.read(&survey, &[], (), |(), _| Ok(()), &|_| {}));
}

#[test]
fn any_damage_gives_a_message_or_a_log() {
    let directory = tempfile::tempdir().unwrap();
    for extension in ["parquet", "arrow", "csv", "ndjson"] {
        let path = directory.path().join(format!("log.{extension}"));
        write(&log(60), &path);
        let whole = std::fs::read(&path).unwrap();
        for step in 0..24 {
            let at = whole.len() * step / 24;
            std::fs::write(&path, &whole[..at]).unwrap();
            read_anyhow(path.to_str().unwrap());
            let mut flipped = whole.clone();
            flipped[at..(at + 3).min(whole.len())].fill(0xff);
            std::fs::write(&path, &flipped).unwrap();
            read_anyhow(path.to_str().unwrap());
        }
    }
}

#[test]
fn rows_of_another_length_than_the_header() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.csv");
    write(&log(50), &path);
    let whole = std::fs::read_to_string(&path).unwrap();
    let mut lines_of: Vec<String> = whole.lines().map(str::to_owned).collect();
    lines_of[7].push_str(",1");
    std::fs::write(&path, lines_of.join("\n")).unwrap();
    let found = problems(directory.path(), "log.csv", &scenario());
    assert_eq!(lines(&found), ["log.csv: row 7: has 16 fields, and the header has 15"]);
    let cut = whole.trim_end().rsplit_once(',').unwrap().0;
    std::fs::write(&path, cut).unwrap();
    let found = problems(directory.path(), "log.csv", &scenario());
    assert_eq!(lines(&found), ["log.csv: row 50: has 14 fields, and the header has 15"]);
}

#[test]
fn json_that_is_not_one_object_per_line() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("log.json"), "[\n{\"ts\": 1}\n]").unwrap();
    let found = problems(directory.path(), "log.json", &scenario());
    assert_eq!(lines(&found), ["log.json:1: the line is not a JSON object"]);
}

#[test]
fn a_log_without_rows() {
    for extension in ["parquet", "csv", "arrow"] {
        let found = problems_of(&log(3).clear(), extension, &scenario());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].message.contains("no rows"), "{found:?}");
    }
}

#[test]
fn hostile_names_are_only_names() {
    let names = ["^.*$", "*", "a\"b <script>", "a,b", "`;drop"];
    let mut frame = log(40);
    let mut scenario = scenario();
    scenario.metrics.clear();
    for (index, name) in names.iter().enumerate() {
        frame = with(&frame, frame.column("stable_cost").unwrap().clone().with_name((*name).into()));
        let kind = MetricKind::Ratio { numerator: source(name), denominator: source("requests") };
        scenario.metrics.push(metric(&format!("m{index}"), kind));
    }
    scenario.metrics.push(metric("q", MetricKind::Mean { column: columns("{version}_quality") }));
    for extension in ["parquet", "csv", "ndjson", "arrow"] {
        assert_eq!(problems_of(&frame, extension, &scenario), [], "{extension}");
    }
}

/// The log in three files, and the scenario that joins them.
fn in_three(frame: &DataFrame, directory: &Path, extension: &str) -> Scenario {
    let names: Vec<String> = frame.get_column_names().into_iter().map(PlSmallStr::to_string).collect();
    let part = |keep: &dyn Fn(&str) -> bool| frame.select(names.iter().filter(|name| keep(name))).unwrap();
    let of = |name: &str, version: &str| name == "request_id" || name.starts_with(version);
    write(
        &part(&|name| !of(name, "stable_") && !of(name, "candidate_") || name == "request_id"),
        &directory.join(format!("log.{extension}")),
    );
    let mut scenario = scenario();
    let files = PerVersion::from_fn(|version: Version| {
        let path = directory.join(format!("{}.{extension}", version.name()));
        write(&part(&|name| of(name, &format!("{}_", version.name()))).reverse(), &path);
        Some(path.display().to_string())
    });
    scenario.log.join = Some(Join { on: "request_id".into(), files });
    scenario
}

/// Every row that is read in so many rounds, in order, without its key.
fn all_read(path: &Path, scenario: &Scenario, rounds: u64) -> DataFrame {
    let Ok(Input::Log(log)) = open(path.to_str().unwrap(), scenario) else { panic!("a log") };
    let columns = log.columns();
    let mut names = columns.keys();
    names.extend((0..columns.values.len()).flat_map(|value| [schema::value(value), schema::unparsed(value)]));
    let rows = log.parts.rows(columns, rounds).unwrap().into_iter();
    let mut frames = rows.map(|rows| engine::collect(rows.select(names.iter().map(col).collect::<Vec<_>>())).unwrap());
    let mut all = frames.next().unwrap();
    frames.for_each(|frame| all = all.vstack(&frame).unwrap());
    all.sort(&names, SortMultipleOptions::default()).unwrap()
}

#[test]
fn outputs_are_joined_in_any_number_of_rounds() {
    let frame = log(400);
    let none = |row: usize| row.is_multiple_of(9);
    for extension in ["parquet", "arrow", "csv", "ndjson"] {
        let directory = tempfile::tempdir().unwrap();
        let joined = in_three(&frame, directory.path(), extension);
        let path = directory.path().join(format!("log.{extension}"));
        let whole = directory.path().join(format!("whole.{extension}"));
        write(&frame, &whole);
        let expected = all_read(&whole, &scenario(), 1);
        for rounds in [1, 2, 7] {
            assert!(all_read(&path, &joined, rounds).equals_missing(&expected), "{extension}, {rounds} rounds");
        }
        // A request without a key has no outputs.
        let keyless = texts(&frame, "request_id", |row| (!none(row)).then(|| format!("r{row}")));
        write(&keyless.select(["ts", "request_id", "user_id", "region"]).unwrap(), &path);
        let read = all_read(&path, &joined, 3);
        assert_eq!(read.height(), 400, "{extension}");
        assert!(read.column(&schema::value(0)).unwrap().null_count() >= 45, "{extension}");
    }
}

#[test]
fn any_damage_of_outputs_gives_a_message_or_a_log() {
    for extension in ["parquet", "arrow", "csv", "ndjson"] {
        let directory = tempfile::tempdir().unwrap();
        let joined = in_three(&log(60), directory.path(), extension);
        let (path, outputs) = (
            directory.path().join(format!("log.{extension}")),
            directory.path().join(format!("candidate.{extension}")),
        );
        let whole = std::fs::read(&outputs).unwrap();
        for step in 0..24 {
            let at = whole.len() * step / 24;
            std::fs::write(&outputs, &whole[..at]).unwrap();
            read_with(path.to_str().unwrap(), &joined);
            let mut flipped = whole.clone();
            flipped[at..(at + 3).min(whole.len())].fill(0xff);
            std::fs::write(&outputs, &flipped).unwrap();
            read_with(path.to_str().unwrap(), &joined);
        }
    }
}
