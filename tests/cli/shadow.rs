//! `replay shadow`: what the pairs already show, and the requests in which the candidate is worse.

use std::collections::BTreeMap;
use std::io::Cursor;

use polars::prelude::{DataFrame, ParquetReader, SerReader as _};
use serde_json::Value;

use crate::support::{Home, Rows, demo_log, demo_scenario, records, scenario};

fn failures(home: &Home, name: &str) -> DataFrame {
    ParquetReader::new(Cursor::new(home.read(name))).finish().expect("Parquet")
}

fn numbers(frame: &DataFrame, column: &str) -> Vec<f64> {
    let numbers = frame.column(column).expect("a column").f64().expect("numbers");
    numbers.iter().map(|number| number.expect("not null")).collect()
}

fn texts(frame: &DataFrame, column: &str) -> Vec<String> {
    let texts = frame.column(column).expect("a column").str().expect("texts");
    texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_same_rows_as_in_the_report() {
    let home = Home::small();
    let report = home.report_of_log();
    let text = home.succeeds(&["shadow", "log.csv", "--scenario", "s.toml", "--format", "json"]);
    let json: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["schema"], "replay.shadow/1");
    assert_eq!(json["shadow"], report.json["shadow"]);
    assert_eq!(json["log"], report.json["log"]);
    // What a canary would need is the report's alone.
    let worth = report.json["planning"]["shadow"].as_array().expect("a list");
    assert_eq!(json["gates"].as_array().map(Vec::len), Some(worth.len()));
    for (own, theirs) in json["gates"].as_array().into_iter().flatten().zip(worth) {
        assert_eq!((&own["shown"], &own["beyond"]), (&theirs["shown"], &theirs["beyond"]));
    }
}

#[test]
fn people_read_gates_first_and_then_every_metric() {
    let home = Home::new();
    let text = home.succeeds(&["shadow", &demo_log(), "--scenario", &demo_scenario()]);
    let place = |piece: &str| text.find(piece).unwrap_or_else(|| panic!("{piece} is not in {text}"));
    assert!(place("WHAT SHADOW HAS SHOWN OF EACH GATE") < place("se unit"));
    assert!(place("p95 latency: ") < place("se unit"));
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
}

/// Losses computed here, from the log's own numbers: the worst 20 by `max(0, worsening) / root mean square`, added up.
#[test]
fn the_worst_requests_come_first() {
    let home = Home::new();
    let rows = Rows::small();
    home.write("s.toml", scenario(&[]));
    home.write("log.csv", rows.csv());
    let text =
        home.succeeds(&["shadow", "log.csv", "--scenario", "s.toml", "--failures", "worst.parquet", "--most", "20"]);
    assert!(text.contains("the 20 worst are in worst.parquet"), "{text}");

    let listed = records(&home.read("log.csv"));
    let column = |name: &str| listed[0].iter().position(|column| column == name).expect("a column");
    let value = |row: &[String], name: &str| row[column(name)].parse::<f64>().expect("a number");
    // Gates watch quality (higher is better), latency and cost, but not errors.
    let metrics = [("quality", -1.0), ("latency_ms", 1.0), ("cost_usd", 1.0)];
    let worsening = |row: &[String], (name, sign): (&str, f64)| {
        sign * (value(row, &format!("candidate_{name}")) - value(row, &format!("stable_{name}")))
    };
    let scales = metrics.map(|metric| {
        let squares: f64 = listed[1..].iter().map(|row| worsening(row, metric).powi(2)).sum();
        (squares / (listed.len() - 1) as f64).sqrt()
    });
    let loss = |row: &Vec<String>| -> f64 {
        metrics.iter().zip(scales).map(|(metric, scale)| worsening(row, *metric).max(0.0) / scale).sum()
    };
    let mut expected: Vec<(f64, &Vec<String>)> = listed[1..].iter().map(|row| (loss(row), row)).collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0));

    let frame = failures(&home, "worst.parquet");
    assert_eq!(frame.height(), 20);
    let ids: Vec<&str> = expected[..20].iter().map(|(_, row)| row[column("request_id")].as_str()).collect();
    assert_eq!(texts(&frame, "request_id"), ids);
    for (found, (expected, row)) in numbers(&frame, "loss").iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-9, "{row:?}: {found} {expected}");
    }
    // What the golden set needs stands beside it, under the log's names.
    assert_eq!(texts(&frame, "user_id")[0], expected[0].1[column("user_id")]);
    for name in ["candidate_quality", "stable_error"] {
        assert_eq!(numbers(&frame, name)[0].to_bits(), value(expected[0].1, name).to_bits(), "{name}");
    }

    // Mean losses of regions beyond that of all requests.
    let mut means: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (loss, row) in &expected {
        for key in ["all", row[column("region")].as_str()] {
            let mean = means.entry(key).or_default();
            *mean = (mean.0 + loss, mean.1 + 1.0);
        }
    }
    let mean = |key: &str| means[key].0 / means[key].1;
    for (region, excess) in texts(&frame, "region").iter().zip(numbers(&frame, "segment_excess")) {
        assert!((excess - (mean(region) - mean("all"))).abs() < 1e-7, "{region}: {excess}");
    }
    // By segment: all of the worse region before the other, each in the order of losses.
    let ranks = frame.column("segment_excess_rank").expect("ranks").i64().expect("whole numbers");
    let mut by_rank: Vec<(i64, String)> = ranks.iter().flatten().zip(texts(&frame, "region")).collect();
    by_rank.sort();
    let worse = if mean("us") > mean("eu") { "us" } else { "eu" };
    let first_other = by_rank.iter().position(|(_, region)| region != worse).unwrap_or(20);
    assert!(by_rank[first_other..].iter().all(|(_, region)| region != worse), "{by_rank:?}");
}

#[test]
fn one_metric_and_ties_in_a_fixed_order() {
    let home = Home::new();
    home.write("s.toml", scenario(&[]));
    // Every third request is worse by as much, so that only names order them.
    let rows = Rows::small()
        .set_all("stable_error", |_, _| "0".into())
        .set_all("candidate_error", |row, _| u8::from(row % 3 == 0).to_string());
    home.write("log.csv", rows.csv());
    home.write("backwards.csv", rows.shuffled().csv());
    let run = |log: &str, out: &str| {
        home.succeeds(&[
            "shadow",
            log,
            "--scenario",
            "s.toml",
            "--metric",
            "errors",
            "--failures",
            out,
            "--most",
            "50",
            "--format",
            "json",
        ])
    };
    let json: Value = serde_json::from_str(&run("log.csv", "a.parquet")).expect("JSON");
    run("backwards.csv", "b.parquet");
    assert_eq!(home.read("a.parquet"), home.read("b.parquet"), "the order of rows does not matter");
    assert_eq!((&json["failures"]["compared"], &json["failures"]["worse"]), (&1200.into(), &400.into()));
    let frame = failures(&home, "a.parquet");
    let losses = numbers(&frame, "loss");
    assert!(losses.iter().all(|loss| loss.to_bits() == losses[0].to_bits()), "{losses:?}");
    // Equal losses and, in one region, equal excess: by id.
    let ids = texts(&frame, "request_id");
    let regions = texts(&frame, "region");
    for pair in (0..49).filter(|&row| regions[row] == regions[row + 1]) {
        assert!(ids[pair] < ids[pair + 1], "{ids:?}");
    }
}

#[test]
fn hostile_text_is_as_it_is_in_parquet_and_guarded_in_csv() {
    let home = Home::new();
    home.write("s.toml", scenario(&[]));
    home.write("log.csv", Rows::small().set_all("user_id", |row, _| format!("=cmd({})", row % 150)).csv());
    for name in ["worst.csv", "worst.parquet"] {
        home.succeeds(&["shadow", "log.csv", "--scenario", "s.toml", "--failures", name]);
    }
    assert!(texts(&failures(&home, "worst.parquet"), "user_id").iter().all(|unit| unit.starts_with("=cmd(")));
    let listed = records(&home.read("worst.csv"));
    let column = listed[0].iter().position(|column| column == "user_id").expect("a column");
    assert!(listed.len() > 100 && listed[1..].iter().all(|row| row[column].starts_with("'=cmd(")));
}

#[test]
fn what_cannot_be_done_is_refused_before_the_work() {
    let home = Home::small();
    home.refuses(
        &["shadow", "log.csv", "--scenario", "s.toml", "--failures", "worst.txt"],
        "error: worst.txt: is neither CSV nor Parquet\n\nhint: end the name in `.csv` or `.parquet`\n",
    );
    home.refuses(
        &["shadow", "log.csv", "--scenario", "s.toml", "--failures", "worst.csv", "--metric", "speed"],
        "error: s.toml: no metric is called `speed`\n\nhint: metrics: `quality`, `errors`, `latency_p95`, `cost`\n",
    );
    home.succeeds(&["digest", "log.csv", "--scenario", "s.toml", "-o", "d.parquet"]);
    home.succeeds(&["shadow", "d.parquet", "--scenario", "s.toml"]);
    home.refuses(
        &["shadow", "d.parquet", "--scenario", "s.toml", "--failures", "worst.csv"],
        "error: d.parquet: is a digest, which holds no requests\n\nhint: name the log itself for `--failures`\n",
    );
}
