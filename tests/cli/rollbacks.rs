//! Rollbacks that take time, gates that wait, judgements that are late, and what a check advises.

use serde_json::Value;

use crate::support::{Home, Report, demo_log, demo_scenario};

const FEW: [&str; 2] = ["--replicates", "60"];

/// The demo with one text in place of another.
fn report(home: &Home, changes: &[(&str, &str)], out: &str) -> Report {
    let mut text = std::fs::read_to_string(demo_scenario()).expect("part of the repository");
    for (from, to) in changes {
        assert!(text.contains(from), "the demo has no {from}");
        text = text.replace(from, to);
    }
    home.write("changed.toml", text);
    home.report(&demo_log(), "changed.toml", &FEW, out)
}

/// The world of the demo that is most often caught.
const BAD: &str = "success 10 % lower";

#[test]
fn the_candidate_serves_until_everyone_is_back_on_stable() {
    let home = Home::new();
    let at_once = report(&home, &[], "once");
    let later = report(
        &home,
        &[("[rollout]\n", "[rollout]\ndiagnose = { median = \"2h\", p90 = \"6h\" }\nmitigate = \"30m\"\n")],
        "later",
    );
    let (before, after) = (at_once.world(BAD), later.world(BAD));
    for same in ["promoted", "rolled_back", "time_to_detect_s", "causes"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert!(before["recovery"].is_null() && before["detected"]["share"].as_f64() > Some(0.5), "{before}");
    let mean = |spread: &Value| spread["mean"].as_f64().expect("a number");
    for more in ["exposed_requests", "exposed_units", "duration_s"] {
        assert!(mean(&after[more]) > mean(&before[more]), "{more}");
    }
    let recovery = &after["recovery"];
    assert_eq!(recovery["mitigate_s"]["p10"], 1800.0);
    assert!(recovery["diagnose_s"]["p10"].as_f64() < recovery["diagnose_s"]["p90"].as_f64());
    let parts = mean(&after["time_to_detect_s"]) + mean(&recovery["diagnose_s"]) + 1800.0;
    assert!((mean(&recovery["time_to_recover_s"]) - parts).abs() < 1.0);
    assert!(later.text("report.html").contains("From the regression to its end"));
    assert!(!at_once.text("report.html").contains("From the regression to its end"));
    assert!(later.text("tables/worlds.csv").lines().next().expect("a head").contains("time_to_recover_s_p50"));
}

#[test]
fn a_patient_gate_fails_later_and_less_often() {
    let home = Home::new();
    let at_once = report(&home, &[], "once");
    let patient =
        report(&home, &[("name = \"task success\"\n", "name = \"task success\"\npatience = \"4 of 4\"\n")], "patient");
    let fails = |report: &Report, stage: &str| {
        let rows = report.rows("gates").iter();
        let row =
            rows.clone().find(|row| row["stage"] == stage && row["gate"] == "task success" && row["segment"].is_null());
        row.expect("a row")["rates"][BAD]["fail"]["share"].as_f64().expect("a share")
    };
    for stage in ["5%", "20%", "50%"] {
        assert!(fails(&patient, stage) <= fails(&at_once, stage), "{stage}");
    }
    assert!(
        patient.world(BAD)["time_to_detect_s"]["mean"].as_f64()
            > at_once.world(BAD)["time_to_detect_s"]["mean"].as_f64()
    );
    let prices = patient.json["planning"]["needs"].as_array().expect("a list").iter();
    let waited =
        prices.flat_map(|row| row["prices"].as_array().expect("a list")).filter(|price| price["of"] == "patience");
    // Three more looks, a quarter of an hour apart, at least.
    let waited: Vec<f64> = waited.filter_map(|price| price["extra_s"].as_f64()).collect();
    assert!(!waited.is_empty() && waited.iter().all(|&seconds| seconds >= 2700.0), "{waited:?}");
}

#[test]
fn a_late_judgement_is_seen_late() {
    let home = Home::new();
    let at_once = report(&home, &[], "once");
    let late = report(&home, &[("[metrics.success]\n", "[metrics.success]\nmeasured = { delay = \"6h\" }\n")], "late");
    let row = |report: &Report| -> Value {
        let rows = report.json["planning"]["needs"].as_array().expect("a list");
        let of = |row: &&Value| row["stage"] == "20%" && row["gate"] == "task success" && row["segment"].is_null();
        rows.iter().find(of).expect("a row").clone()
    };
    let (now, then) = (row(&at_once), row(&late));
    assert!(then["units"]["candidate"].as_f64() < now["units"]["candidate"].as_f64());
    assert!(then["mde"].as_f64() > now["mde"].as_f64());
    let price =
        then["prices"].as_array().expect("a list").iter().find(|price| price["of"] == "delay").expect("a price");
    assert_eq!(price["extra_s"], 21_600.0);
    assert!(
        late.world(BAD)["time_to_detect_s"]["mean"].as_f64() > at_once.world(BAD)["time_to_detect_s"]["mean"].as_f64()
    );
}

#[test]
fn a_check_advises_with_numbers() {
    let home = Home::new();
    let text = std::fs::read_to_string(demo_scenario()).expect("part of the repository");
    home.write(
        "pausing.toml",
        text.replace("name = \"task success\"\n", "name = \"task success\"\non_fail = \"pause\"\n"),
    );
    let answer = home.succeeds(&["check", &demo_log(), "--scenario", "pausing.toml"]);
    let advice: Vec<&str> = answer.lines().filter(|line| line.starts_with("advice: ")).collect();
    let pausing: Vec<&&str> = advice.iter().filter(|line| line.ends_with("[no-rollback]")).collect();
    assert!(!pausing.is_empty() && pausing.iter().all(|line| line.contains(" requests an hour ")), "{answer}");
    assert!(advice.iter().all(|line| line.bytes().any(|byte| byte.is_ascii_digit())), "{answer}");
    assert_eq!(home.names(), ["pausing.toml"], "checking writes nothing");
}
