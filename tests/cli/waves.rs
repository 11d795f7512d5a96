//! Waves: stages that take only some units, in reports and in lists of who is in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use polars::prelude::{ParquetReader, SerReader as _};
use serde_json::Value;

use crate::support::{Home, demo_log, repository};

fn scenario() -> String {
    std::fs::read_to_string(repository("scenarios/customer-waves.toml")).expect("part of the repository")
}

/// Region and tier of each unit of the demo log.
fn places() -> BTreeMap<String, (String, String)> {
    let log = ParquetReader::new(File::open(demo_log()).expect("part of the repository")).finish().expect("a log");
    let text = |name: &str| log.column(name).expect("a column").str().expect("text").clone();
    let (units, regions, tiers) = (text("user_id"), text("region"), text("tier"));
    let at = |column: &polars::prelude::StringChunked, row: usize| column.get(row).unwrap_or_default().to_owned();
    (0..log.height()).map(|row| (at(&units, row), (at(&regions, row), at(&tiers, row)))).collect()
}

#[test]
fn who_is_in_a_wave_is_of_the_wave_and_stays() {
    let home = Home::new();
    home.write("waves.toml", scenario());
    let log = demo_log();
    let of_stage = |stage: &str| -> BTreeSet<String> {
        let listed = home.succeeds(&["assign", &log, "--scenario", "waves.toml", "--stage", stage]);
        listed.lines().skip(1).map(str::to_owned).collect()
    };
    let places = places();
    let stages = ["pilot", "free", "customers", "half"].map(of_stage);
    let [pilot, free, customers, half] = &stages;
    assert!(
        pilot.iter().all(|unit| places[unit] == ("apac".into(), "free".into())),
        "the pilot is of free users in one region"
    );
    assert!(free.iter().all(|unit| places[unit].1 == "free"));
    assert!(
        stages.is_sorted_by(|before, after| before.is_subset(after) && before.len() < after.len()),
        "nobody leaves"
    );
    // Shares of each tier's units, within five standard errors of the exposure.
    let share = |stage: &BTreeSet<String>, tier: &str, exposure: f64| {
        let all = places.values().filter(|(_, of)| of == tier).count() as f64;
        let found = stage.iter().filter(|unit| places[*unit].1 == tier).count() as f64 / all;
        assert!((found - exposure).abs() < 5.0 * (exposure * (1.0 - exposure) / all).sqrt(), "{tier}: {found}");
    };
    share(free, "free", 0.5);
    share(customers, "free", 0.5);
    share(customers, "pro", 0.2);
    share(customers, "enterprise", 0.05);
    share(half, "enterprise", 0.5);
}

#[test]
fn a_report_says_whom_each_stage_takes() {
    let home = Home::new();
    home.write("waves.toml", scenario());
    let log = demo_log();
    let stdout = home.succeeds(&[&log, "--scenario", "waves.toml", "--replicates", "40", "--out", "out"]);
    assert!(stdout.contains("\npilot        region = apac, tier = free "), "{stdout}");
    let report = crate::support::Report::read(&home.path("out"));
    let stages = report.rows("stages");
    let of = |key: &str| stages.iter().map(|stage| stage[key].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>();
    assert_eq!(of("only"), ["region = apac, tier = free", "tier = free", "-", "-", "-"]);
    assert_eq!(of("control"), ["rest", "rest", "matched", "rest", "-"]);
    assert_eq!(stages[2]["by_segment"], "tier = free 50 %, pro 20 %, others 5 %");
    assert_eq!(stages[1]["quiet_looks"], 1, "two hours of bake, looks every hour");
    // A wave takes its exposure of its own requests, which are a part of all.
    let places = places();
    let free = places.values().filter(|(_, tier)| tier == "free").count() as f64 / places.len() as f64;
    let shares: Vec<f64> = stages[..4].iter().map(|stage| stage["requests_share"].as_f64().expect("a share")).collect();
    assert!((shares[1] - 0.5 * free).abs() < 0.05 && (shares[3] - 0.5).abs() < 0.01, "{shares:?}");
    assert!(shares.is_sorted(), "{shares:?}");
    let page = report.text("report.html");
    assert!(page.contains("compared with") && page.contains("as many others"));
}

/// People who let a wave go on take their time: the rollout waits, and goes on serving the wave meanwhile.
#[test]
fn a_wave_can_wait_for_a_person() {
    let home = Home::new();
    let log = demo_log();
    let shorter = scenario()
        .replace("duration = \"72h\"", "duration = \"24h\"")
        .replace("start = [\"Mon 09:00\", \"Tue 09:00\", \"Wed 09:00\"]", "start = [\"Mon 09:00\"]");
    let manual = shorter.replacen("bake = \"2h\"", "approval = \"manual\"\nbake = \"2h\"", 1).replacen(
        "[rollout]\n",
        "[rollout]\napproval = { delay = \"6h\" }\n",
        1,
    );
    home.write("at-once.toml", shorter);
    home.write("manual.toml", manual);
    let few = ["--replicates", "40"];
    let (at_once, waited) = (home.report(&log, "at-once.toml", &few, "a"), home.report(&log, "manual.toml", &few, "b"));
    let median = |world: &Value, key: &str| world[key]["p50"].as_f64().expect("a number");
    let (before, after) = (at_once.world("null"), waited.world("null"));
    assert!(
        (median(after, "duration_s") - median(before, "duration_s") - 6.0 * 3600.0).abs() < 1.0,
        "{before} {after}"
    );
    assert!(median(after, "exposed_requests") > median(before, "exposed_requests"), "{before} {after}");
    let threads = home.report(&log, "manual.toml", &[&few[..], &["--threads", "1"]].concat(), "c");
    assert_eq!(waited.findings(), threads.findings());
}
