//! Rollouts that a gate pauses until a person comes, and stages that wait for their hours.

use serde_json::Value;

use crate::support::{Home, Report, demo_log, demo_scenario};

fn demo() -> String {
    let text = std::fs::read_to_string(demo_scenario()).expect("part of the repository");
    text.replace("start = [\"Mon 09:00\", \"Tue 09:00\", \"Wed 09:00\"]", "start = \"Mon 09:00\"")
}

/// The demo with gates that pause, and what `[rollout]` then says.
fn pausing(rollout: &str) -> String {
    let text = demo().replace("\n[[gates]]\n", "\n[[gates]]\non_fail = \"pause\"\n");
    text.replace("[rollout]\n", &format!("[rollout]\n{rollout}"))
}

fn report(home: &Home, text: String, replicates: &str, out: &str) -> Report {
    home.write("pausing.toml", text);
    home.report(&demo_log(), "pausing.toml", &["--replicates", replicates], out)
}

fn share(of: &Value) -> f64 {
    of["share"].as_f64().expect("a share")
}

const BAD: &str = "success 10 % lower";

#[test]
fn without_anybody_to_come_a_pause_is_a_stall() {
    let home = Home::new();
    let report = report(&home, pausing(""), "20", "out");
    let bad = report.world(BAD);
    assert!(share(&bad["stalled"]) > 0.8 && share(&bad["rolled_back"]) < 1e-9, "{bad}");
    assert!(bad.get("pauses").is_none() && !report.text("report.html").contains("id=\"pauses\""), "{bad}");
}

#[test]
fn who_comes_to_a_bad_candidate_rolls_it_back_later() {
    let home = Home::new();
    let at_once = report(&home, demo(), "20", "at-once");
    let paused = report(&home, pausing("resume = { delay = \"3h\" }\n"), "20", "paused");
    let (before, after) = (at_once.world(BAD), paused.world(BAD));
    let pauses = &after["pauses"];
    assert!(share(&pauses["paused"]) > 0.8 && share(&pauses["rolled_back"]) > 0.6, "{after}");
    assert!(share(&after["rolled_back"]) >= share(&pauses["rolled_back"]), "{after}");
    assert!(pauses["paused_s"]["p10"].as_f64() >= Some(3.0 * 3600.0), "{after}");
    let detected = |world: &Value| world["time_to_detect_s"]["p50"].as_f64().expect("it is found");
    assert!(detected(after) >= detected(before) + 3600.0, "{} {}", detected(before), detected(after));
    assert!(paused.text("report.html").contains("id=\"pauses\""));
    assert!(paused.text("tables/pauses.csv").starts_with("world,paused"), "{}", paused.text("tables/pauses.csv"));
}

#[test]
fn pausing_is_the_same_on_any_number_of_threads() {
    let home = Home::new();
    let delay = "resume = { delay = { median = \"30m\", p90 = \"90m\" } }\n";
    home.write("pausing.toml", pausing(delay));
    let on = |threads: &str| {
        let flags = ["--replicates", "12", "--threads", threads];
        let report = home.report(&demo_log(), "pausing.toml", &flags, threads);
        (report.text("tables/worlds.csv").to_owned(), report.text("tables/pauses.csv").to_owned())
    };
    assert_eq!(on("1"), on("2"));
}

#[test]
fn a_stage_begins_within_its_hours() {
    let home = Home::new();
    // From Monday at 9 on, the second stage ends on Tuesday at 21: the third waits until Wednesday at 10.
    let text = demo().replace("name = \"20%\"\n", "name = \"20%\"\nstart = \"Mon-Fri 10:00-16:00\"\n");
    home.write("hours.toml", text);
    let advice = home.succeeds(&["check", &demo_log(), "--scenario", "hours.toml"]);
    assert!(advice.contains("due outside the hours of its `start` in 100 % of starts, and waits for 13h"), "{advice}");
    let report = home.report(&demo_log(), "hours.toml", &["--replicates", "12"], "out");
    let null = report.world("null");
    assert!((share(&null["promoted"]) - 1.0).abs() < 1e-9, "{null}");
    let thirteen_hours = 13.0 * 3600.0;
    for key in ["p10", "p90"] {
        assert_eq!(null["held_s"][key], thirteen_hours, "{null}");
        assert_eq!(null["duration_s"][key], 156.0 * 3600.0 + thirteen_hours, "{null}");
    }
}

#[test]
fn rollouts_start_at_every_whole_hour_of_some_hours() {
    let home = Home::new();
    let starts = |start: &str, out: &str| {
        home.write("hours.toml", demo().replace("start = \"Mon 09:00\"", &format!("start = {start}")));
        home.report(&demo_log(), "hours.toml", &["--replicates", "4"], out).json["scenario"]["starts"].clone()
    };
    let listed = starts("[\"Mon 09:00\", \"Mon 10:00\", \"Tue 09:00\", \"Tue 10:00\"]", "listed");
    assert_eq!(starts("\"Mon-Tue 09:00-11:00\"", "hours"), listed);
}
