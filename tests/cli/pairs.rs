//! Stages that expose nobody: golden sets and mirrored traffic.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::{Home, Report, Rows, demo_log, repository, scenario};

fn bundled(home: &Home, more: &[&str], out: &str) -> Report {
    let scenario = repository("scenarios/golden-then-shadow.toml").display().to_string();
    home.report(&demo_log(), &scenario, more, out)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Share of a world's rollouts that are rolled back in a stage, by index.
fn rolled_back(world: &Value, stage: usize) -> f64 {
    number(&world["stages"][stage]["rolled_back"]["share"])
}

#[test]
fn a_bad_candidate_is_stopped_before_anyone_is_exposed() {
    let home = Home::new();
    let report = bundled(&home, &["--replicates", "80"], "out");
    let (golden, mirror) = (&report.json["stages"][0], &report.json["stages"][1]);
    assert_eq!((golden["exposure"].as_f64(), mirror["exposure"].as_f64()), (Some(0.0), Some(0.0)));
    assert_eq!((golden["duration_s"].as_i64(), mirror["duration_s"].as_i64()), (Some(0), Some(86_400)));
    assert_eq!((&golden["paired"]["kind"], &mirror["paired"]["kind"]), (&"eval".into(), &"shadow".into()));
    assert_eq!(
        (golden["paired"]["requests"].as_f64(), golden["paired"]["unit"].as_str()),
        (Some(1581.0), Some("user_id"))
    );
    assert_eq!(golden["paired"]["not_asked"], serde_json::json!(["p95 latency"]));
    assert!(number(&mirror["paired"]["cost_usd"]) > 1.0 && number(&golden["paired"]["cost_usd"]) > 1.0);
    assert!(report.json["stages"][2]["paired"].is_null());

    let null = report.world("null");
    assert!(number(&null["promoted"]["share"]) > 0.5, "{null}");
    let worse = report.world("quality 4 % lower");
    assert!(rolled_back(worse, 0) + rolled_back(worse, 1) > 0.98, "{worse}");
    assert!(
        number(&worse["exposed_requests"]["p90"]) == 0.0 && number(&worse["time_to_detect_s"]["p10"]) == 0.0,
        "{worse}"
    );
    // A golden set knows no latency, and nobody what happens later.
    let slow = report.world("latency 50 % higher");
    assert!(rolled_back(slow, 0) < 0.25 && rolled_back(slow, 1) > 0.7, "{slow}");
    let later = report.world("success 10 % lower after 30 h");
    assert!(rolled_back(later, 0) + rolled_back(later, 1) < 0.3, "{later}");
    assert_eq!(
        null["duration_s"]["p90"].as_f64(),
        Some(3.0 * 86_400.0),
        "the mirror takes its day, the golden set no time"
    );
    assert!(report.text("report.html").contains("1,581 rows of golden.parquet"));
}

/// Pairs scatter as the recorded ones do, so a candidate at the margin fails, and passes, as often as alpha says at most.
#[test]
fn pairs_keep_alpha_at_the_margin() {
    let home = Home::new();
    let report = bundled(&home, &["--replicates", "600"], "out");
    let rows = report.rows("self_check").iter().filter(|row| row["stage"] == "golden set" || row["stage"] == "mirror");
    let rows: Vec<&Value> = rows.collect();
    assert!(rows.len() >= 20, "{}", rows.len());
    for row in rows {
        assert!(number(&row["rate"]["low"]) <= number(&row["alpha"]), "{row}");
    }
    // And they see what closed forms say that they see.
    for row in report.rows("gates").iter().filter(|row| row["stage"] == "mirror" && row["segment"].is_null()) {
        let (pass, planned) = (&row["rates"]["null"]["pass"], number(&row["power_closed_form"]));
        assert!((number(&pass["share"]) - planned).abs() < 0.12, "{row}");
    }
}

const SCENARIO: &str = r#"
[log]
timestamp = "ts"
item = "prompt"
slot = "1h"

[assignment]
unit = "user"

[metrics.quality]
kind = "mean"
column = "{version}_quality"
better = "higher"

[[stages]]
name = "golden"
kind = "eval"
log = "golden.csv"

[[stages]]
name = "half"
exposure = "50%"
duration = "2h"
look_every = "1h"

[[gates]]
name = "quality"
metric = "quality"
allow = 0.1
min_units = 2
on_inconclusive = "promote"
on_no_data = "promote"

[simulation]
replicates = 4
resample = "none"
"#;

/// Eight users ask one thing an hour, for three hours.
fn log() -> String {
    let mut text = String::from("ts,user,prompt,stable_quality,candidate_quality\n");
    for hour in 0..3 {
        for user in 0..8 {
            writeln!(text, "2025-03-03T0{hour}:00:00Z,u{user},p{user},0.5,0.5{user}").expect("strings take all");
        }
    }
    text
}

/// Differences −0.2, −0.1, 0, +0.1, +0.2 of five prompts: none on average, beyond the margin by −0.1.
const GOLDEN: [&str; 5] = ["p1,0.7,0.5", "p2,0.6,0.5", "p3,0.9,0.9", "p4,0.1,0.2", "p5,0.2,0.4"];

fn home(golden: &[&str]) -> Home {
    let home = Home::new();
    home.write("s.toml", SCENARIO);
    home.write("log.csv", log());
    home.write("golden.csv", format!("prompt,stable_quality,candidate_quality\n{}\n", golden.join("\n")));
    home
}

#[test]
fn a_golden_set_is_compared_row_by_row() {
    let report = home(&GOLDEN).report_of_log();
    let row = report.rows("gates").iter().find(|row| row["stage"] == "golden").expect("the gate is asked");
    assert!((number(&row["difference"]) + 0.1).abs() < 1e-9, "{row}");
    // 5/4 · 0.1/25: the standard error of a mean of five.
    assert!((number(&row["se"]) - (0.005_f64).sqrt()).abs() < 1e-9, "{row}");
    assert_eq!(report.json["stages"][0]["paired"]["unit"], "prompt");
    let turned: Vec<&str> = GOLDEN.into_iter().rev().collect();
    let other = home(&turned).report_of_log();
    assert_eq!(report.json["gates"], other.json["gates"], "the order of rows does not matter");
    assert_eq!(report.json["worlds"], other.json["worlds"]);
}

#[test]
fn a_failing_golden_set_ends_the_rollout_at_once() {
    let report = home(&["p1,0.7,0.1", "p2,0.6,0.1", "p3,0.9,0.3", "p4,0.8,0.2", "p5,0.9,0.4"]).report_of_log();
    let recorded = report.world("recorded");
    assert!(rolled_back(recorded, 0) > 0.999, "{recorded}");
    assert_eq!((number(&recorded["exposed_requests"]["mean"]), number(&recorded["duration_s"]["mean"])), (0.0, 0.0));
    assert_eq!(report.json["exact"]["outcome"], "rolled back");
    assert_eq!(recorded["causes"]["harm"]["share"].as_f64(), Some(1.0), "what the set shows is no accident");
    assert!(number(&report.world("null")["promoted"]["share"]) > 0.999);
}

#[test]
fn what_a_golden_set_lacks_is_named() {
    let home = home(&GOLDEN);
    let refused = |golden: &str, named: &str| {
        home.write("golden.csv", golden);
        let ran = home.run(&["check", "log.csv", "--scenario", "s.toml"]);
        assert!(ran.code == Some(2) && ran.stderr.contains(named), "{ran:?}");
    };
    refused("prompt,stable_quality\np1,0.5\n", "golden.csv: column `candidate_quality`: does not exist");
    refused(
        "stable_quality,candidate_quality\n0.5,0.5\n",
        "a golden set needs a column that says what a row is about, one of `user`, `prompt`",
    );
    refused("prompt,stable_quality,candidate_quality\np1,0.5,none\n", "golden.csv: column `candidate_quality`, row 1");
    std::fs::remove_file(home.path("golden.csv")).expect("it is there");
    let ran = home.run(&["log.csv", "--scenario", "s.toml"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("golden.csv"), "{ran:?}");
}

#[test]
fn check_says_what_is_asked_of_how_much() {
    let stdout = home(&GOLDEN).succeeds(&["check", "log.csv", "--scenario", "s.toml"]);
    assert!(
        stdout.contains("stage `golden` (eval): 5 rows of 5 `prompt` in golden.csv, asked by `quality`\n"),
        "{stdout}"
    );
}

#[test]
fn commands_that_compare_schedules_refuse_such_stages_by_name() {
    let home = home(&GOLDEN);
    for arguments in [
        &["compare", "log.csv", "--scenario", "s.toml"][..],
        &["plan", "log.csv", "--scenario", "s.toml", "--limit", "days<=7"],
    ] {
        let ran = home.run(arguments);
        assert!(ran.code == Some(2) && ran.stderr.contains("stage `golden` exposes nobody"), "{ran:?}");
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let home = Home::new();
    let [one, three] =
        [("1", "one"), ("3", "three")].map(|(n, out)| bundled(&home, &["--replicates", "20", "--threads", n], out));
    assert!(one.files == three.files);
}

#[test]
fn check_says_that_a_golden_set_is_not_like_the_traffic() {
    let home = Home::new();
    home.write("log.csv", Rows::small().csv());
    let stage = "[[stages]]\nname = \"golden\"\nkind = \"eval\"\nlog = \"golden.csv\"\ngates = [\"quality\"]\n\n[[stages]]\nname = \"10%\"";
    home.write("s.toml", scenario(&[("[[stages]]\nname = \"10%\"", stage)]));
    let check = |golden: Rows| {
        home.write("golden.csv", golden.csv());
        home.succeeds(&["check", "log.csv", "--scenario", "s.toml"])
    };
    // A third of the users is of region `us`, and of the set nobody.
    let said = check(Rows::small().set_all("region", |_, _| "eu".into()));
    let row = said.lines().find(|line| line.contains("[unlike-traffic]")).unwrap_or_else(|| panic!("{said}"));
    assert!(
        row.contains("stage golden: 33 % of the rows")
            && row.contains("region = us is 33 % of the traffic and 0 % of the set"),
        "{row}"
    );
    assert!(!check(Rows::small()).contains("unlike-traffic"));
}
