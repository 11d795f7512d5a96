//! Rows that cannot be used are refused with their number, or left out and counted where the scenario says so.

use crate::support::{Home, Rows, assert_close, scenario};

/// A log with some values set, refused with this.
fn refused(changes: &[(usize, &str, &str)], stderr: &str) {
    let home = Home::small();
    home.write("log.csv", changed(changes).csv());
    home.refuses_log(stderr);
}

fn changed(changes: &[(usize, &str, &str)]) -> Rows {
    changes.iter().fold(Rows::small(), |rows, (row, column, value)| rows.set(*row, column, value))
}

const UNMEASURED: &str = "\n\nhint: a value that was not measured is null\n";

#[test]
fn a_null_unit() {
    refused(
        &[(41, "user_id", ""), (42, "user_id", ""), (900, "user_id", "")],
        "error: log.csv: column `user_id`, row 42: value is null (and 2 more)\n\nhint: every request needs its unit of assignment; \
         fill the column, or set `log.missing = \"exclude\"`\n",
    );
}

#[test]
fn a_null_or_unparsable_time_stamp() {
    refused(
        &[(0, "ts", ""), (5, "ts", "03/11/2026 10:00"), (6, "ts", "yesterday")],
        "error: log.csv: column `ts`, row 1: value is null\n\nhint: every request needs its time; fill the column, or set \
         `log.missing = \"exclude\"`\n\nerror: log.csv: column `ts`, row 6: value `03/11/2026 10:00` is not a time stamp (and 1 \
         more)\n\nhint: use ISO 8601, such as `2025-03-03T09:00:00Z` (UTC where no offset is given), or set \
         `log.missing = \"exclude\"`\n",
    );
}

#[test]
fn excluded_rows_are_counted_and_are_as_if_they_were_not_there() {
    let home = Home::small();
    home.write("s.toml", scenario(&[("slot = \"1h\"", "slot = \"1h\"\nmissing = \"exclude\"")]));
    let changes = [(41, "user_id", ""), (42, "user_id", ""), (500, "ts", ""), (501, "ts", "soon"), (502, "ts", "")];
    let mut report = {
        home.write("log.csv", changed(&changes).csv());
        home.report_of_log()
    };
    assert_eq!(report.json["log"]["excluded"], serde_json::json!({"null_unit": 2, "timestamp": 3, "duplicate": 0}));
    assert_eq!(report.json["log"]["rows"], 1195);
    assert!(report.warnings().contains(&"excluded"));
    let texts: Vec<&str> = report
        .rows("warnings")
        .iter()
        .filter(|row| row["code"] == "excluded")
        .filter_map(|row| row["text"].as_str())
        .collect();
    assert_eq!(
        texts,
        ["2 rows with a null unit were left out", "3 rows with a null or unparsable time stamp were left out"]
    );
    home.write("log.csv", Rows::small().dropping(|row| changes.iter().any(|(at, ..)| *at == row)).csv());
    let without = home.report_of_log();
    report.json["log"]["excluded"].take();
    report.json["warnings"].as_array_mut().expect("a list").retain(|row| row["code"] != "excluded");
    let mut expected = without.findings();
    expected["log"]["excluded"].take();
    assert_close(&expected, &report.findings(), 0.0);
}

#[test]
fn a_log_of_which_nothing_is_left() {
    let home = Home::small();
    home.write("s.toml", scenario(&[("slot = \"1h\"", "slot = \"1h\"\nmissing = \"exclude\"")]));
    home.write("log.csv", Rows::small().set_all("user_id", |_, _| String::new()).csv());
    home.refuses_log("error: log.csv: no row is left: 1200 without a unit, 0 without a time stamp\n");
}

#[test]
fn nan_and_infinity() {
    refused(
        &[(9, "stable_quality", "NaN"), (10, "stable_quality", "nan"), (99, "candidate_cost_usd", "inf")],
        &format!(
            "error: log.csv: column `stable_quality`, row 10: value is NaN (and 1 more){UNMEASURED}\nerror: log.csv: column \
             `candidate_cost_usd`, row 100: value is infinite{UNMEASURED}"
        ),
    );
    refused(
        &[(9, "stable_quality", "-inf")],
        &format!("error: log.csv: column `stable_quality`, row 10: value is infinite{UNMEASURED}"),
    );
    refused(
        &[(9, "stable_quality", "1e200")],
        &format!("error: log.csv: column `stable_quality`, row 10: value 1e+200 is too large{UNMEASURED}"),
    );
}

#[test]
fn a_negative_latency_or_cost() {
    refused(
        &[(0, "stable_latency_ms", "-1.5"), (1199, "candidate_cost_usd", "-0.01")],
        &format!(
            "error: log.csv: column `stable_latency_ms`, row 1: value is -1.5, and `metrics.latency_p95` needs 0 or more{UNMEASURED}\n\
             error: log.csv: column `candidate_cost_usd`, row 1200: value is -0.01, and `metrics.cost` needs 0 or more{UNMEASURED}"
        ),
    );
}

#[test]
fn a_proportion_outside_0_to_1() {
    refused(
        &[(3, "candidate_error", "2"), (4, "candidate_error", "-1"), (5, "candidate_error", "1.5")],
        "error: log.csv: column `candidate_error`, row 4: value is 2.0, and `metrics.errors` needs 0 to 1 (and 2 more)\n\nhint: a \
         proportion counts 0 and 1; for another number, set `metrics.errors.over`\n",
    );
}

#[test]
fn every_kind_of_bad_row_at_once() {
    let home = Home::small();
    let rows = changed(&[(1, "user_id", ""), (2, "ts", ""), (3, "stable_quality", "NaN"), (5, "request_id", "r4")]);
    home.write("log.csv", rows.csv());
    let ran = home.run(&["log.csv", "--scenario", "s.toml"]);
    let errors: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(
        errors,
        [
            "error: log.csv: column `user_id`, row 2: value is null",
            "error: log.csv: column `ts`, row 3: value is null",
            "error: log.csv: column `stable_quality`, row 4: value is NaN",
            "error: log.csv: column `request_id`, row 6: `r4` occurs 2 times, first in row 5",
        ]
    );
}

#[test]
fn duplicate_request_ids() {
    refused(
        &[(700, "request_id", "r11"), (701, "request_id", "r11"), (800, "request_id", "r12")],
        "error: log.csv: column `request_id`, row 701: `r11` occurs 3 times, first in row 12 (and 1 more id)\n\nhint: give every \
         request an id of its own, or set `log.duplicates = \"first\"`\n",
    );
}

#[test]
fn duplicates_keep_the_first() {
    let home = Home::small();
    home.write("s.toml", scenario(&[("slot = \"1h\"", "slot = \"1h\"\nduplicates = \"first\"")]));
    let rows = changed(&[(700, "request_id", "r11"), (701, "request_id", "r11"), (800, "request_id", "r12")]);
    home.write("log.csv", rows.clone().csv());
    let mut report = home.report_of_log();
    assert_eq!(report.json["log"]["excluded"], serde_json::json!({"null_unit": 0, "timestamp": 0, "duplicate": 3}));
    assert_eq!(report.warning("excluded").1, "3 rows with a request id seen before were left out");
    // The first is the earliest, wherever it stands.
    home.write("log.csv", rows.shuffled().csv());
    assert_eq!(home.report_of_log().findings(), report.findings());
    home.write("log.csv", Rows::small().dropping(|row| [700, 701, 800].contains(&row)).csv());
    let mut expected = home.report_of_log().findings();
    expected["log"]["excluded"].take();
    report.json["log"]["excluded"].take();
    report.json["warnings"].as_array_mut().expect("a list").retain(|row| row["code"] != "excluded");
    assert_close(&expected, &report.findings(), 0.0);
}
