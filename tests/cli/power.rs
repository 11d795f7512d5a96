//! `power`, and `--require` on it and on the main job.

use serde_json::Value;

use crate::support::{Home, demo_log, demo_scenario};

const FEW: [&str; 2] = ["--replicates", "20"];

#[test]
fn every_gate_is_told_in_words_at_every_stage() {
    let home = Home::new();
    let (log, scenario) = (demo_log(), demo_scenario());
    let text = home.succeeds(&[&["power", &log, "--scenario", &scenario, "--out", "out"][..], &FEW].concat());
    for said in [
        "STAGE 5%",
        "task success at 5 % for 1d sees a drop of",
        "you asked for",
        "to pass a good candidate",
        "SHADOW MODE",
    ] {
        assert!(text.contains(said), "`{said}` in\n{text}");
    }
    let report = home.read("out/report.json");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    let needs = report["planning"]["needs"].as_array().expect("rows");
    assert_eq!(needs.len(), report["gates"].as_array().expect("rows").len(), "a row for each stage, gate and slice");
    for row in needs {
        for side in ["pass", "fail"] {
            let chance = &row[side]["closed_form"];
            assert!(row[side].is_null() || (0.0..=1.0).contains(&chance.as_f64().expect("a chance")), "{row}");
        }
    }
    // Around `allow` of five gates; the sixth allows nothing.
    assert_eq!(report["planning"]["sizes"].as_array().expect("curves").len(), 5);
}

#[test]
fn a_missed_limit_ends_with_1_after_the_report() {
    let home = Home::new();
    let (log, scenario) = (demo_log(), demo_scenario());
    let run = |limits: &[&str], out: &str| {
        let required: Vec<&str> = limits.iter().flat_map(|limit| ["--require", *limit]).collect();
        home.run(&[&[log.as_str(), "--scenario", &scenario, "--out", out][..], &FEW, &required].concat())
    };
    let kept = run(&["false_rollback<=100%", "days<=30"], "kept");
    assert_eq!(kept.code, Some(0));
    let missed = run(&["power>=0.999", "days<=1"], "missed");
    assert_eq!(missed.code, Some(1));
    let text = missed.stdout;
    assert!(
        text.contains("MISSED: required days<=1:") && text.contains("MISSED: required power>=0.999: task success"),
        "{text}"
    );
    assert!(home.path("missed/report.html").is_file(), "the report is written first");
    let unknown = run(&["speed>=1"], "unknown");
    assert_eq!(unknown.code, Some(2));
    let text = unknown.stderr;
    assert!(text.contains("`speed` is nothing that can be required") && text.contains("`power>=`"), "{text}");
    assert!(!home.path("unknown").exists(), "nothing is written");
}
