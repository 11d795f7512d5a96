//! Looks that are passed over would have shown nothing: the same gates, asked in full at every look, say the same.

use std::path::Path;

use replay::digest;
use replay::gate::boundary::{Boundary, Rung};
use replay::gate::stage::{QuestionRecord, StageVerdicts};
use replay::outcome::player::{Player, Twins};
use replay::outcome::recovery::Rollback;
use replay::scenario::Scenario;
use replay::simulate::Simulator;

/// A level so small that a gate fails whenever the boundary is exceeded, whatever its correction.
const LEVEL: f64 = 1e-9;

/// What is said of one question; a deviate is known only where it was asked for.
fn known(record: &QuestionRecord) -> QuestionRecord {
    QuestionRecord { z_fail: None, ..*record }
}

fn assert_same(screened: &StageVerdicts, full: &StageVerdicts, place: &str) {
    assert_eq!(screened.first_fail, full.first_fail, "{place}");
    assert_eq!(screened.first_no_data, full.first_no_data, "{place}");
    assert_eq!(screened.end, full.end, "{place}");
    let records = |said: &StageVerdicts| said.questions.iter().map(known).collect::<Vec<_>>();
    assert_eq!(records(screened), records(full), "{place}");
}

/// With a ladder of one rung a boundary is the same, but no look is passed over.
fn ladder(boundary: &mut Boundary) {
    boundary.rungs.push(Rung { level: LEVEL, fail: std::mem::take(&mut boundary.fail) });
}

fn check(text: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let log = root.join("datasets/support-bot.parquet");
    let scenario = Scenario::parse("scenario.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let digest =
        digest::load(log.to_str().expect("text"), &scenario, &|_| {}).unwrap_or_else(|error| panic!("{error}"));
    let simulator = Simulator::new(&digest, &scenario);
    let starts = scenario.starts(digest.first, digest.end());
    let screened = Player::new(&scenario, &simulator, starts.clone());
    let mut full = Player::new(&scenario, &simulator, starts);
    full.boundaries.iter_mut().flatten().flatten().for_each(ladder);
    let start = simulator.slot_at(screened.starts[0]);
    let rollback = Rollback::median(&scenario);
    let planned = screened.planned(&simulator.census_of_schedule(start));
    let lanes: Vec<_> = (0..6).map(|replicate| (start, simulator.replicate(&scenario, replicate))).collect();
    let (mut failures, mut asked) = (0, 0);
    for own in &simulator.trajectories(&lanes) {
        let twins = Twins::alone(own);
        let (screened, full) = (screened.judge(twins, &planned, rollback), full.judge(twins, &planned, rollback));
        for (gate, (screened, full)) in screened.verdicts.iter().zip(&full.verdicts).enumerate() {
            for (lens, (screened, full)) in screened.iter().zip(full).enumerate() {
                for (stage, (screened, full)) in screened.iter().zip(full).enumerate() {
                    let place = format!("gate {gate}, lens {lens}, stage {stage}");
                    assert_eq!(screened.is_some(), full.is_some(), "{place}");
                    let Some((screened, full)) = screened.as_ref().zip(full.as_ref()) else { continue };
                    assert_same(screened, full, &place);
                    failures += usize::from(full.first_fail.is_some());
                    asked += 1;
                }
            }
        }
        for (screened, full) in screened.worlds.iter().zip(&full.worlds) {
            assert_eq!(screened, full);
        }
    }
    assert!(failures > asked / 20 && failures < asked, "{failures} of {asked}");
}

fn staged() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/staged.toml");
    std::fs::read_to_string(path).expect("part of the repository")
}

#[test]
fn a_screened_look_would_not_have_failed() {
    check(&staged());
}

#[test]
fn nor_by_what_is_observed_alone() {
    check(&staged().replace("style = \"score\"", "style = \"wald\""));
}

#[test]
fn nor_at_a_limit_or_past_another_margin() {
    let limits = staged()
        .replace("metric = \"retry\"\nallow = \"5%\"", "metric = \"retry\"\nallow = \"5%\"\nlimit = 0.07")
        .replace("metric = \"cost\"\nallow = \"8%\"", "metric = \"cost\"\nallow = \"8%\"\nharm = \"0%\"")
        .replace("metric = \"latency_p95\"\nallow = \"10%\"", "metric = \"latency_p95\"\nlimit = 9000");
    check(&limits);
    check(&limits.replace("style = \"score\"", "style = \"wald\""));
}
