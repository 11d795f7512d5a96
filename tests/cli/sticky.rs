//! Sessions and cookies that draw, in reports and in what other commands say of them.

use crate::support::{Home, Report, Rows, demo_log};

const SCENARIO: &str = r#"
[log]
timestamp = "ts"
request = "request_id"

[assignment]
unit = "user_id"
STICKY

[metrics.success]
kind = "proportion"
column = "{version}_success"
better = "higher"

[metrics.latency_ms]
kind = "mean"
column = "{version}_latency_ms"
better = "lower"
unit = "ms"

[[stages]]
name = "10%"
exposure = "10%"
duration = "24h"
look_every = "1h"

[[stages]]
name = "50%"
exposure = "50%"
duration = "24h"
look_every = "1h"

[[gates]]
name = "task success"
metric = "success"
allow = "3%"

[rollout]
promote = "no-fail"
mitigate = "1h"
start = "Mon 09:00"

[simulation]
replicates = 20
"#;

fn home(sticky: &str) -> Home {
    let home = Home::new();
    home.write("s.toml", SCENARIO.replace("STICKY", sticky));
    home
}

/// What both have in common: who has met the candidate is more than the nominal share, and nobody knows who it will be.
fn check(home: &Home) -> Report {
    let report = home.report(&demo_log(), "s.toml", &[], "a");
    let reached = report.rows("true_exposure");
    let share = |row: &serde_json::Value, key: &str| row[key].as_f64().expect("a share");
    for (row, nominal) in reached.iter().zip([0.1, 0.5]) {
        assert_eq!((row["unit"].as_str(), share(row, "exposure")), (Some("user_id"), nominal));
        let (share, expected) = (share(row, "share"), share(row, "expected"));
        assert!((share - expected).abs() < 0.02, "{row}");
        // Later, users who asked before the stage and not in it have drawn less often.
        assert!(nominal > 0.1 || share > 1.1 * nominal, "{row}");
    }
    assert!(report.findings()["exact"].is_null());
    assert_eq!(report.warning("not-sticky").0, "assignment");
    let threads = home.report(&demo_log(), "s.toml", &["--threads", "1"], "b");
    assert_eq!(report.findings(), threads.findings());
    let log = demo_log();
    for command in ["assign", "plan", "compare"] {
        let more: &[&str] = match command {
            "plan" => &["--limit", "false_rollback<=5%"],
            "compare" => &["--sweep", "gates.task success.allow=1%,2%"],
            _ => &[],
        };
        let ran = home.run(&[&[command, &log, "--scenario", "s.toml"][..], more].concat());
        assert_eq!(ran.code, Some(2), "{command}: {}", ran.stderr);
        assert!(!ran.stderr.contains("usage") && ran.stderr.contains("assignment.sticky"), "{command}: {}", ran.stderr);
    }
    report
}

#[test]
fn sessions_draw_when_they_begin() {
    let report = check(&home("sticky = \"session\"\nsession = \"session_id\""));
    // Sessions are units, with plans in closed form.
    assert_eq!(report.findings()["scenario"]["unit"], "session_id");
    assert!(report.rows("gates").iter().all(|row| row["power_closed_form"].is_number()));
}

#[test]
fn cookies_drift_and_say_what_they_compare() {
    let report = check(&home("sticky = \"cookie\""));
    assert_eq!(report.findings()["scenario"]["unit"], "user_id");
    // The log has 4,013 of them.
    assert_eq!(report.findings()["log"]["units"], 4013);
    for row in report.rows("gates") {
        assert!(row["power_closed_form"].is_null() && row["mde"].is_null() && row["units_needed"].is_null(), "{row}");
        assert!(row["rates"]["null"]["difference"].is_number());
    }
    assert!(report.findings()["planning"]["needs"].as_array().is_some_and(Vec::is_empty));
    assert!(report.text("report.html").contains("have had the candidate"));
}

/// Those who ask thirty times are slower than those who ask once. Exactly at its margin a gate then sees the users all the same, and the report
/// says so with the number.
#[test]
fn cookies_that_compare_users_are_named() {
    let heavy = |row: usize| row.is_multiple_of(2);
    let rows = Rows::small()
        .set_all("user_id", |row, _| if heavy(row) { format!("h{}", row % 40) } else { format!("u{row}") })
        .set_all("stable_latency_ms", |row, ms| if heavy(row) { format!("1{ms}") } else { ms.to_owned() });
    let scenario = SCENARIO
        .replace("STICKY", "sticky = \"cookie\"")
        .replace("{version}_success", "{version}_error")
        .replace("better = \"higher\"", "better = \"lower\"")
        .replace("metric = \"success\"\nallow = \"3%\"", "metric = \"latency_ms\"\nallow = \"5%\"\nmin_units = 10")
        .replace("start = \"Mon 09:00\"", "start = \"2026-11-02 00:00\"");
    let home = Home::new();
    home.write("log.csv", rows.csv());
    home.write("even.toml", scenario.replace("sticky = \"cookie\"", "sticky = \"unit\""));
    home.write("s.toml", scenario);
    let report = home.report("log.csv", "s.toml", &[], "a");
    let (place, text) = report.warning("cookie-drift");
    assert!(place.starts_with("stage ") && text.contains("looks worse than that by"), "{place}: {text}");
    let alarms = report.rows("self_check").iter().filter(|row| row["error"] == "wrong failure");
    assert!(alarms.into_iter().any(|row| row["flagged"] == true));
    let even = home.report("log.csv", "even.toml", &[], "b");
    assert!(even.rows("warnings").iter().all(|warning| warning["code"] != "cookie-drift"));
}
