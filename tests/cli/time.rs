//! Order, offsets, clocks that change, and logs that are too short.

use crate::support::{Home, Report, Rows, assert_same_files, scenario};

fn report_of(rows: &Rows, text: &str) -> Report {
    let home = Home::new();
    home.write("s.toml", text);
    home.write("log.csv", rows.csv());
    home.report_of_log()
}

/// The same moment in another of some offsets.
fn other_offset(row: usize, text: &str) -> String {
    let moment: jiff::Timestamp = text.parse().expect("a time stamp");
    let hours = [-8, 0, 1, 9][row % 4];
    let shown = moment.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(hours)));
    match row % 3 {
        0 => shown.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        1 => shown.strftime("%Y-%m-%d %H:%M:%S%z").to_string(),
        // Without an offset it is UTC.
        _ => moment.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    }
}

#[test]
fn order_and_offsets_do_not_matter() {
    let sorted = report_of(&Rows::small(), &scenario(&[]));
    assert_eq!(sorted.json["log"]["start"], "2026-11-02T00:00:00+00:00");
    let mixed = Rows::small().set_all("ts", other_offset).shuffled();
    let mixed = report_of(&mixed, &scenario(&[]));
    assert_same_files(&sorted.files_without_fingerprint(), &mixed.files_without_fingerprint());
}

fn berlin(start: &str) -> String {
    scenario(&[
        ("slot = \"1h\"", "slot = \"15m\"\ntimezone = \"Europe/Berlin\""),
        ("promote = \"no-fail\"", &format!("promote = \"no-fail\"\nstart = [\"{start}\"]")),
        ("duration = \"12h\"", "duration = \"6h\""),
        ("duration = \"24h\"", "duration = \"18h\""),
    ])
}

/// Clocks in Berlin go back on Sunday 2026-10-25; 09:00 is then 08:00 UTC and no longer 07:00.
#[test]
fn weekly_starts_keep_their_local_time() {
    let home = Home::new();
    home.write("s.toml", berlin("Mon 09:00"));
    // From 07:30 UTC for 25 hours: only a start at 08:00 UTC fits.
    home.write("log.csv", Rows::from("2026-10-26T07:30:00Z", 500, 180).csv());
    let report = home.report_of_log();
    assert_eq!(report.json["scenario"]["starts"], 1);
    assert_eq!(report.json["exact"]["start"], "Mon 2026-10-26 09:00");
    assert_eq!(report.json["log"]["start"], "2026-10-26T08:30:00+01:00");
    // A week earlier the same clock time is 07:00 UTC, before this log begins.
    home.write("log.csv", Rows::from("2026-10-19T07:30:00Z", 500, 180).csv());
    home.refuses(
        &["log.csv", "--scenario", "s.toml", "--out", "other"],
        "error: s.toml: no start time leaves room for the schedule: it needs 1d and the log covers 1d 1h\n\nhint: log more traffic, \
         shorten the stages, choose other `rollout.start` times, or repeat whole weeks with `log.tile = \"week\"`\n",
    );
    home.write("log.csv", Rows::from("2026-10-19T06:30:00Z", 500, 180).csv());
    assert_eq!(home.report_of_log().json["exact"]["start"], "Mon 2026-10-19 09:00");
}

#[test]
fn a_log_across_the_change_shows_both_offsets() {
    let report = report_of(&Rows::from("2026-10-24T10:00:00Z", 700, 240), &berlin("Sat 18:00"));
    assert_eq!(report.json["log"]["start"], "2026-10-24T12:00:00+02:00");
    assert_eq!(report.json["log"]["end"], "2026-10-26T09:36:00+01:00");
    assert_eq!(report.json["exact"]["start"], "Sat 2026-10-24 18:00");
}

#[test]
fn days_without_a_request_are_named() {
    let report = report_of(&Rows::small().set(0, "ts", "2026-10-01T00:00:00Z"), &scenario(&[]));
    assert_eq!(
        report.warning("gap"),
        (
            "log",
            "no request from Thu 2026-10-01 01:00 to Mon 2026-11-02 00:00: rollouts that run there see nothing; look for time stamps \
             that are wrong, or choose `rollout.start` times that avoid it"
        )
    );
    assert!(!report_of(&Rows::small(), &scenario(&[])).warnings().contains(&"gap"));
    let home = Home::small();
    home.write("log.csv", Rows::small().set(0, "ts", "1825-01-01T00:00:00Z").csv());
    let ran = home.run(&["log.csv", "--scenario", "s.toml"]);
    let expected = "error: log.csv: lasts from 1825-01-01T00:00:00Z to 2026-11-04T11:57:00Z: ";
    assert!(ran.code == Some(2) && ran.stderr.starts_with(expected), "{ran:?}");
    assert!(
        ran.stderr.ends_with("\n\nhint: look for time stamps that are wrong, or use a wider `log.slot`\n"),
        "{ran:?}"
    );
}

const LONG: (&str, &str) = ("duration = \"24h\"", "duration = \"9d\"");

#[test]
fn a_log_shorter_than_the_schedule_says_how_much_is_needed() {
    let home = Home::small();
    home.write("s.toml", scenario(&[LONG]));
    home.refuses_log(
        "error: s.toml: the log covers 2d 12h, the schedule needs 9d 12h\n\nhint: log more traffic, shorten the stages, choose other \
         `rollout.start` times, or repeat whole weeks with `log.tile = \"week\"`\n",
    );
    home.write("s.toml", scenario(&[LONG, ("slot = \"1h\"", "slot = \"1h\"\ntile = \"week\"")]));
    home.refuses_log(
        "error: s.toml: the log covers 2d 12h, which is no whole week to repeat\n\nhint: `log.tile = \"week\"` needs at least 7 \
         days\n",
    );
}

#[test]
fn whole_weeks_are_repeated_and_every_result_says_so() {
    let week = Rows::from("2026-11-02T00:00:00Z", 1500, 450);
    let report = report_of(&week, &scenario(&[LONG, ("slot = \"1h\"", "slot = \"1h\"\ntile = \"week\"")]));
    assert_eq!(report.json["scenario"]["tiled"], true);
    let limits: Vec<&str> = report.rows("limits").iter().filter_map(serde_json::Value::as_str).collect();
    assert!(limits.iter().any(|limit| limit.starts_with("Whole weeks of the log were repeated")), "{limits:?}");
    assert!(report.text("report.html").contains("Whole weeks of the log were repeated"));
    // Without it nothing is marked.
    let report = report_of(&week, &scenario(&[]));
    assert_eq!(report.json["scenario"]["tiled"], false);
    assert!(!report.text("report.html").contains("Whole weeks of the log were repeated"));
}

#[test]
fn a_tiled_schedule_without_a_start_is_refused() {
    let home = Home::new();
    let tiled = [
        LONG,
        ("slot = \"1h\"", "slot = \"1h\"\ntile = \"week\""),
        ("promote = \"no-fail\"", "promote = \"no-fail\"\nstart = [2020-01-06 09:00:00]"),
    ];
    home.write("s.toml", scenario(&tiled));
    home.write("log.csv", Rows::from("2026-11-02T00:00:00Z", 1500, 450).csv());
    home.refuses_log(
        "error: s.toml: no start time lies in the weeks of the log that are repeated\n\nhint: choose other `rollout.start` times\n",
    );
}
