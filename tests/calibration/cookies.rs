//! Gates under one-way cookies: over many logs in which how often users ask says nothing about their outcomes, and in which it does.
//!
//! In one log it always says a little, by chance, and that is part of what cookies compare. So each replicate gets a log of its own here: the
//! same requests with outcomes drawn anew.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use replay::digest::Digest;
use replay::digest::cells::MetricCells;
use replay::domain::gate::Verdict;
use replay::domain::world::World;
use replay::outcome::player::Player;
use replay::simulate::Simulator;

use crate::ALPHA;
use crate::support::{Loaded, RECIPE, not_above, within};

const SCENARIO: &str = r#"
[log]
timestamp = "ts"
request = "request_id"

[assignment]
unit = "user_id"
sticky = "cookie"

[metrics.quality]
kind = "mean"
column = "{version}_quality"
better = "higher"

[[stages]]
name = "5%"
exposure = "5%"
duration = "25h"
look_every = "1h"

[[stages]]
name = "20%"
exposure = "20%"
duration = "25h"
look_every = "1h"

[[gates]]
name = "once"
metric = "quality"
allow = "0%"
test = "fixed"
looks = "end"

[[gates]]
name = "boundary"
metric = "quality"
allow = "0%"

[[gates]]
name = "sequence"
metric = "quality"
allow = "0%"
test = "confidence-sequence"

[[gates]]
name = "floor"
metric = "quality"
limit = 1.0
test = "fixed"
looks = "end"

[rollout]
start = "2026-11-02 06:00"

[simulation]
resample = "none"
seed = 91
"#;

const ONCE: usize = 0;
const BOUNDARY: usize = 1;
const SEQUENCE: usize = 2;
const FLOOR: usize = 3;

const LOGS: usize = 1500;

/// How outcomes are drawn: a user's own level varies by this, and moves by this for each doubling of its requests.
#[derive(Clone, Copy)]
struct Outcomes {
    user_sd: f64,
    per_doubling: f64,
}

/// Outcomes of mean 1, each request with noise of its own.
fn redraw(digest: &mut Digest, users: &[u32], outcomes: Outcomes, rng: &mut ChaCha8Rng) {
    let normal = |rng: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(rng) };
    let count = users.iter().max().map_or(0, |&last| last as usize + 1);
    let mut requests = vec![0.0; count];
    digest.cells.unit.iter().for_each(|&unit| requests[users[unit as usize] as usize] += 1.0);
    let levels: Vec<f64> = requests
        .iter()
        .map(|&asked: &f64| outcomes.user_sd * normal(rng) + outcomes.per_doubling * asked.log2())
        .collect();
    let user_of: Vec<usize> = digest.cells.unit.iter().map(|&unit| users[unit as usize] as usize).collect();
    let mean =
        user_of.iter().map(|&user| outcomes.per_doubling * requests[user].log2()).sum::<f64>() / user_of.len() as f64;
    let MetricCells::Sums(sums) = &mut digest.cells.metrics[0] else { panic!("a mean has sums") };
    for (cell, &user) in user_of.iter().enumerate() {
        let value = 1.0 - mean + levels[user] + normal(rng);
        for sums in [&mut sums.version.stable, &mut sums.version.candidate] {
            (sums.num[cell], sums.num2[cell]) = (value, value * value);
        }
    }
}

/// Of each gate and stage: how often it fails, the candidate being exactly at its margin. And of each stage the mean squared standard error over
/// the variance of differences, with the error of that ratio.
struct Found {
    failed: [[usize; 2]; 4],
    passed: [usize; 2],
    ratios: [(f64, f64); 2],
}

fn over_logs(outcomes: Outcomes) -> Found {
    let recipe = RECIPE.replace("requests = 60000", "requests = 6000").replace("count = 8000", "count = 900");
    let mut loaded = Loaded::of_recipe(&recipe.replace("largest = 0.004", "largest = 0.02"), SCENARIO);
    let users = loaded.digest.holders(&loaded.scenario).expect("requests draw for users").0;
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let mut found = Found { failed: [[0; 2]; 4], passed: [0; 2], ratios: [(0.0, 0.0); 2] };
    let mut seen: [Vec<(f64, f64)>; 2] = [Vec::new(), Vec::new()];
    for replicate in 0..LOGS {
        redraw(&mut loaded.digest, &users, outcomes, &mut rng);
        let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
        let player: Player<'_> = loaded.player(&simulator);
        let start = simulator.slot_at(player.starts[0]);
        let played = player.play_lanes(vec![(start, simulator.replicate(&loaded.scenario, replicate))]);
        let said = |gate: usize, stage: usize| {
            let world = if gate == FLOOR { World::Margin(FLOOR) } else { World::Null };
            let world = player.worlds.iter().position(|&other| other == world).expect("every run plays it");
            played[0].verdicts[gate][player.gates[gate].lens_of_world[world]][stage].as_ref().expect("the gate asks")
        };
        for stage in [0, 1] {
            for (gate, failed) in found.failed.iter_mut().enumerate() {
                failed[stage] += usize::from(said(gate, stage).first_fail.is_some());
            }
            found.passed[stage] += usize::from(said(ONCE, stage).end == Verdict::Pass);
            let question = said(ONCE, stage).questions[0];
            seen[stage].extend(question.difference.zip(question.se));
        }
    }
    for (ratio, seen) in found.ratios.iter_mut().zip(&seen) {
        let n = seen.len() as f64;
        let mean = seen.iter().map(|(difference, _)| difference).sum::<f64>() / n;
        let moment = |power: i32| seen.iter().map(|(difference, _)| (difference - mean).powi(power)).sum::<f64>() / n;
        let squares = seen.iter().map(|(_, se)| se * se).sum::<f64>() / n;
        *ratio = (squares / moment(2), ((moment(4) / moment(2).powi(2) - 1.0) / n).sqrt());
    }
    found
}

#[test]
#[expect(clippy::print_stdout, reason = "shown with `--nocapture`, or when it fails")]
fn where_activity_says_nothing_gates_err_at_most_as_often_as_they_say() {
    for user_sd in [0.0, 1.0] {
        let found = over_logs(Outcomes { user_sd, per_doubling: 0.0 });
        println!(
            "users vary by {user_sd}: failed {:?}, passed {:?}, variance x {:?}",
            found.failed, found.passed, found.ratios
        );
        for stage in [0, 1] {
            let what = format!("users vary by {user_sd}, stage {stage}");
            for gate in [ONCE, BOUNDARY, SEQUENCE, FLOOR] {
                let failed = found.failed[gate][stage];
                assert!(not_above(failed, LOGS, ALPHA), "{what}: {failed} false alarms of gate {gate}");
            }
            assert!(not_above(found.passed[stage], LOGS, ALPHA), "{what}: {} wrong passes", found.passed[stage]);
            let (ratio, error) = found.ratios[stage];
            // Spells of one user go the same way, which a difference of arms does not see.
            assert!(ratio > 1.0 - 4.0 * error, "{what}: variance x {ratio}, error {error}");
            if user_sd == 0.0 {
                assert!(within(found.failed[ONCE][stage], LOGS, ALPHA), "{what}: {} alarms", found.failed[ONCE][stage]);
                assert!(ratio < 1.0 + 4.0 * error, "{what}: variance x {ratio}, error {error}");
            } else {
                assert!(ratio > 1.0, "{what}: variance x {ratio}");
            }
        }
    }
}

/// Those who ask more are pleased less, and have the cookie sooner: that is what such gates see.
#[test]
#[expect(clippy::print_stdout, reason = "shown with `--nocapture`, or when it fails")]
fn where_activity_says_something_gates_see_the_users() {
    let found = over_logs(Outcomes { user_sd: 0.5, per_doubling: -0.15 });
    println!("failed {:?}", found.failed);
    for stage in [0, 1] {
        assert!(found.failed[ONCE][stage] as f64 > 3.0 * ALPHA * LOGS as f64, "{:?}", found.failed);
    }
}
