//! Outputs in files of their own, joined to the log by a key.

use std::fs::File;

use polars::prelude::*;
use serde_json::Value;

use crate::support::{Home, Report, Rows, demo_log, demo_scenario, mixed, scenario};

const METRICS: [&str; 4] = ["quality", "error", "latency_ms", "cost_usd"];

/// The rows without the outputs of these versions.
fn without(rows: Rows, versions: &[&str]) -> Rows {
    let names = versions.iter().flat_map(|version| METRICS.map(|metric| format!("{version}_{metric}")));
    names.fold(rows, |rows, name| rows.without(&name))
}

/// The outputs of one version and their key, under names without the version.
fn outputs(rows: Rows, version: &str) -> Rows {
    let other = if version == "stable" { "candidate" } else { "stable" };
    let own = without(rows, &[other]).without("ts").without("user_id").without("region");
    METRICS.iter().fold(own, |rows, metric| rows.rename(&format!("{version}_{metric}"), metric))
}

/// The scenario of small logs, with this `[log] join`.
fn joined(join: &str) -> String {
    scenario(&[("request = \"request_id\"", &format!("request = \"request_id\"\njoin = {{ {join} }}"))])
}

const BOTH: &str = r#"on = "request_id", stable = "stable.csv", candidate = "candidate.csv""#;

/// The same, of columns without the version.
fn plain(join: &str) -> String {
    joined(join).replace("{version}_", "")
}

/// What a report finds, without what says which scenario it was.
fn findings(report: &Report) -> Value {
    let mut json = report.findings();
    json["scenario"].take();
    json
}

#[test]
fn outputs_in_files_of_their_own_give_the_report_of_the_one_log() {
    let home = Home::small();
    // Each fifth request was not mirrored.
    let blank = |row: usize, value: &str| if row.is_multiple_of(5) { String::new() } else { value.to_owned() };
    let rows = METRICS.iter().fold(Rows::small(), |rows, metric| rows.set_all(&format!("candidate_{metric}"), blank));
    home.write("log.csv", rows.csv());
    let expected = home.report_of_log();

    home.write("traffic.csv", without(rows.clone(), &["stable", "candidate"]).csv());
    home.write("stable.csv", outputs(rows.clone(), "stable").shuffled().csv());
    let mirrored = outputs(rows.clone(), "candidate").dropping(|row| row.is_multiple_of(5)).shuffled();
    home.write("candidate.csv", mirrored.csv());
    home.write("joined.toml", plain(BOTH));
    let found = home.report("traffic.csv", "joined.toml", &[], "out");
    assert_eq!(findings(&found), findings(&expected));

    // Names with the version in them; two files of outputs; the production log has what stable answered.
    let named = METRICS.iter().fold(mirrored, |rows, metric| rows.rename(metric, &format!("candidate_{metric}")));
    home.write("shadow/a.csv", named.clone().dropping(|row| row < 300).csv());
    home.write("shadow/b.csv", named.dropping(|row| row >= 300).csv());
    home.write("production.csv", without(rows, &["candidate"]).csv());
    home.write("production.toml", joined(r#"on = "request_id", candidate = "shadow/*.csv""#));
    let found = home.report("production.csv", "production.toml", &[], "out");
    assert_eq!(findings(&found), findings(&expected));

    // A digest has the outputs in it.
    home.succeeds(&["digest", "traffic.csv", "--scenario", "joined.toml", "-o", "digest.parquet"]);
    let found = home.report("digest.parquet", "joined.toml", &[], "out");
    assert_eq!(findings(&found), findings(&expected));
}

#[test]
fn later_turns_count_as_traffic_only_there_too() {
    let home = Home::new();
    let turns = "segments = [\"region\"]\nturn = \"turn\"\nturns = \"first\"";
    let with_turns = |text: String| text.replace("segments = [\"region\"]", turns);
    let rows = Rows::small().add("turn", |row| (1 + row % 3).to_string());
    home.write("log.csv", rows.csv());
    home.write("s.toml", with_turns(scenario(&[])));
    home.write("traffic.csv", without(rows, &["stable", "candidate"]).csv());
    home.write("stable.csv", outputs(Rows::small(), "stable").csv());
    home.write("candidate.csv", outputs(Rows::small(), "candidate").csv());
    home.write("joined.toml", with_turns(plain(BOTH)));
    let (found, expected) = (home.report("traffic.csv", "joined.toml", &[], "out"), home.report_of_log());
    assert_eq!(findings(&found), findings(&expected));
}

#[test]
fn a_candidate_is_compared_with_another_by_their_files() {
    let home = Home::small();
    home.write("traffic.csv", without(Rows::small(), &["stable", "candidate"]).csv());
    home.write("stable.csv", outputs(Rows::small(), "stable").csv());
    home.write("candidate.csv", outputs(Rows::small(), "candidate").csv());
    home.write("worse.csv", outputs(Rows::small(), "candidate").set_all("error", |_, _| "1".to_owned()).csv());
    home.write("joined.toml", plain(BOTH));
    let arguments = [
        "compare",
        "traffic.csv",
        "--scenario",
        "joined.toml",
        "--sweep",
        "log.join.candidate=candidate.csv,worse.csv",
    ];
    assert!(home.succeeds(&arguments).contains("worse.csv"));
}

#[test]
fn outputs_without_a_request_are_counted() {
    let home = Home::small();
    let traffic = without(Rows::small(), &["stable", "candidate"]).dropping(|row| row % 4 == 1);
    home.write("traffic.csv", traffic.csv());
    home.write("stable.csv", outputs(Rows::small(), "stable").csv());
    home.write("candidate.csv", outputs(Rows::small(), "candidate").dropping(|row| row % 4 == 1).csv());
    home.write("joined.toml", plain(BOTH));
    home.write("log.csv", Rows::small().dropping(|row| row % 4 == 1).csv());
    let found = home.report("traffic.csv", "joined.toml", &[], "out");
    let (place, text) = found.warning("outputs-without-request");
    assert!(place == "log" && text.starts_with("300 outputs in the stable's file"), "{text}");
    assert_eq!(found.json["worlds"], home.report_of_log().json["worlds"]);
    home.succeeds(&["digest", "traffic.csv", "--scenario", "joined.toml", "-o", "digest.parquet"]);
    assert_eq!(home.report("digest.parquet", "joined.toml", &[], "out").warning("outputs-without-request").1, text);
}

#[test]
fn every_problem_of_three_files_is_reported_at_once() {
    let home = Home::small();
    let traffic = without(Rows::small(), &["stable", "candidate"]);
    home.write("joined.toml", plain(BOTH));
    home.write("traffic.csv", traffic.clone().add("quality", |_| "1".to_owned()).without("request_id").csv());
    home.write("stable.csv", outputs(Rows::small(), "stable").rename("request_id", "requestid").csv());
    home.write("candidate.csv", outputs(Rows::small(), "candidate").without("cost_usd").csv());
    let ran = home.run(&["traffic.csv", "--scenario", "joined.toml"]);
    assert_eq!(ran.code, Some(2));
    for expected in [
        "error: traffic.csv: column `request_id`: does not exist, but the scenario names it in `log.request`\n",
        "error: traffic.csv: column `request_id`: does not exist, but the scenario names it in `log.join.on`\n",
        "error: stable.csv: column `request_id`: does not exist, but the scenario names it in `log.join.on`\n\nhint: did you mean `requestid`?",
        "error: candidate.csv: column `cost_usd`: does not exist, but the scenario names it in `metrics.cost.numerator`\n\nhint: the file has the columns ",
        "error: traffic.csv: column `quality`: is also in the stable's outputs, which `log.join.stable` names\n",
    ] {
        assert!(ran.stderr.contains(expected), "{expected}\nin {}", ran.stderr);
    }

    // Keys of which an output would serve a request twice, in both files; and keys that are strange to the log.
    home.write("traffic.csv", traffic.csv());
    home.write("stable.csv", outputs(Rows::small().set(7, "request_id", "r3"), "stable").csv());
    home.write(
        "candidate.csv",
        outputs(Rows::small().set_all("request_id", |row, _| format!("q{}", row / 2)), "candidate").csv(),
    );
    home.refuses(
        &["traffic.csv", "--scenario", "joined.toml"],
        "error: stable.csv: column `request_id`, row 8: `r3` occurs 2 times, first in row 4\n\nhint: keep one output of each request, or join \
         on a key that tells them apart\n\nerror: candidate.csv: column `request_id`, row 2: `q0` occurs 2 times, first in row 1 (and 599 more \
         ids)\n\nhint: keep one output of each request, or join on a key that tells them apart\n",
    );
    home.write("stable.csv", outputs(Rows::small(), "stable").csv());
    home.write(
        "candidate.csv",
        outputs(Rows::small().set_all("request_id", |row, _| format!("q{row}")), "candidate").csv(),
    );
    home.refuses(
        &["traffic.csv", "--scenario", "joined.toml"],
        "error: candidate.csv: column `request_id`: no request of the log has one of its 1200 keys, such as `q0`; the log's are such as \
         `r0`\n\nhint: join on a column that means the same in all files, written alike\n",
    );
    // A value at fault is that of the file that holds it.
    let bad = outputs(Rows::small(), "candidate").set(4, "quality", "good").set(9, "error", "3").shuffled();
    home.write("candidate.csv", bad.csv());
    let ran = home.run(&["traffic.csv", "--scenario", "joined.toml"]);
    assert!(ran.stderr.contains("error: candidate.csv: column `quality`, row "), "{}", ran.stderr);
    assert!(ran.stderr.contains("value `good` is not a number"), "{}", ran.stderr);
    assert!(ran.stderr.contains("value is 3.0, and `metrics.errors` needs 0 to 1"), "{}", ran.stderr);
    home.refuses(&["traffic.csv", "--scenario", "gone.toml"], "error: gone.toml: does not exist\n");
    home.write("gone.toml", plain(&BOTH.replace("candidate.csv", "gone.csv")));
    home.refuses(&["traffic.csv", "--scenario", "gone.toml"], "error: gone.csv: does not exist\n");
}

/// The columns of the bundled log that are of these versions, or of none, in another order of rows.
fn part(frame: &DataFrame, keep: impl Fn(&str) -> bool, by: usize) -> DataFrame {
    let names = frame.get_column_names_owned();
    let part = frame.select(names.into_iter().filter(|name| keep(name))).expect("columns");
    let order: IdxCa = {
        let mut rows: Vec<IdxSize> = (0..frame.height() as IdxSize).collect();
        rows.sort_by_key(|&row| mixed(row as usize, by));
        rows.into_iter().map(Some).collect()
    };
    part.take(&order).expect("rows")
}

#[test]
fn the_bundled_log_in_three_files_of_three_formats_shows_the_same() {
    let home = Home::new();
    let frame = ParquetReader::new(File::open(demo_log()).expect("bundled")).finish().expect("a log");
    let of = |version: &'static str| move |name: &str| name == "request_id" || name.starts_with(version);
    let mut traffic = part(&frame, |name| !name.starts_with("stable_") && !name.starts_with("candidate_"), 1);
    let create = |name: &str| File::create(home.path(name)).expect("a file");
    ParquetWriter::new(create("traffic.parquet")).finish(&mut traffic).expect("writes");
    IpcWriter::new(create("stable.arrow")).finish(&mut part(&frame, of("stable_"), 2)).expect("writes");
    CsvWriter::new(create("candidate.csv")).finish(&mut part(&frame, of("candidate_"), 3)).expect("writes");
    let text = std::fs::read_to_string(demo_scenario()).expect("bundled");
    let join = "[log]\njoin = { on = \"request_id\", stable = \"stable.arrow\", candidate = \"candidate.csv\" }";
    home.write("joined.toml", text.replace("[log]", join));
    let shown = |log: &str, scenario: &str| {
        let mut json: Value =
            serde_json::from_str(&home.succeeds(&["shadow", log, "--scenario", scenario, "--format", "json"]))
                .expect("JSON");
        json["log"]["path"].take();
        json["log"]["fingerprint"].take();
        json
    };
    assert_eq!(shown("traffic.parquet", "joined.toml"), shown(&demo_log(), &demo_scenario()));

    // Without text, whose keys have no type: these differ.
    let mut numbers = part(&frame, of("candidate_"), 4);
    let rows: Vec<i64> = (0..numbers.height() as i64).collect();
    numbers.with_column(Column::new("request_id".into(), rows)).expect("as many");
    ParquetWriter::new(create("numbers.parquet")).finish(&mut numbers).expect("writes");
    home.write("numbers.toml", text.replace("[log]", &join.replace("candidate.csv", "numbers.parquet")));
    let ran = home.run(&["shadow", "traffic.parquet", "--scenario", "numbers.toml"]);
    let expected =
        "error: numbers.parquet: column `request_id`: holds integers, and in traffic.parquet it holds text\n";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
}
