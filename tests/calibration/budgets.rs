//! Budgets of false rollbacks, and passing at any look, with users who return from stage to stage.

use std::sync::atomic::AtomicBool;

use replay::domain::gate::Verdict;
use replay::domain::world::World;
use replay::outcome::player::{Cause, Player};
use replay::outcome::tally::Tally;
use replay::power::closed_form;
use replay::power::rest::Rest;
use replay::simulate::Simulator;
use replay::simulate::returning::Asked;
use replay::stats::boundary::combine;

use crate::support::{Loaded, TWO_METRICS, not_above, replicates, within};

const REPLICATES: usize = 2000;

const BUDGET: f64 = 0.1;

const SCENARIO: &str = r#"
[[stages]]
name = "10%"
exposure = "10%"
duration = "24h"
look_every = "1h"

[[stages]]
name = "25%"
exposure = "25%"
duration = "24h"
look_every = "1h"

[[stages]]
name = "50%"
exposure = "50%"
duration = "24h"
look_every = "1h"

[[gates]]
name = "quality"
metric = "quality"
allow = "0%"

[[gates]]
name = "success"
metric = "success"
allow = "0%"
style = "score"
weight = 0.5

[[gates]]
name = "quality at a margin"
metric = "quality"
allow = "2%"
harm = "0.5%"
pass_spending = "obrien-fleming"

[[gates]]
name = "quality at the end"
metric = "quality"
allow = "2%"
harm = "0%"
looks = "end"
test = "fixed"

[rollout]
promote = "no-fail"
start = ["2026-11-02 06:00"]
false_rollback = "10%"
budget = "BUDGET"

[simulation]
replicates = 2000
seed = 411
"#;

const QUALITY: usize = 0;
const EARLY_PASS: usize = 2;

/// What a run with one way to keep the budget found.
struct Found {
    /// Rolled back although the candidate is as good as stable.
    false_rollbacks: usize,
    /// Failed in some stage with every metric worse by exactly what is accepted.
    wrong_failures: usize,
}

fn scenario(budget: &str) -> String {
    (TWO_METRICS.to_owned() + SCENARIO).replace("BUDGET", budget)
}

fn run(budget: &str, also: impl Fn(&Player<'_>, &Tally)) -> Found {
    run_text(&scenario(budget), also)
}

fn run_text(text: &str, also: impl Fn(&Player<'_>, &Tally)) -> Found {
    let loaded = Loaded::synthetic(text);
    let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
    let player = loaded.player(&simulator);
    let mut tally = Tally::new(&player);
    player.play(&AtomicBool::new(false), |played| {
        for replicate in played {
            tally.add(&player, replicate);
        }
    });
    also(&player, &tally);
    let null = player.worlds.iter().position(|&world| world == World::Null).expect("every run plays it");
    let false_rollbacks = tally.worlds[null].iter().filter(|outcome| outcome.cause == Some(Cause::Noise)).count();
    Found { false_rollbacks, wrong_failures: tally.failed_at_margins as usize }
}

#[test]
fn a_split_budget_is_kept() {
    let found = run("split", |player, tally| {
        let plans = closed_form::plans(player, &Rest::of_stages(player));
        for (stage, counts) in tally.together.iter().enumerate() {
            let together = counts.row(player, &plans, stage).expect("gates are asked");
            let (pass, planned) = (together.pass, together.pass_closed_form.expect("all of them can be planned"));
            assert!(pass.low - 0.02 < planned && planned < pass.high + 0.02, "stage {stage}: {planned} {pass:?}");
            assert!(together.pass_at_least.is_some_and(|least| least <= planned + 1e-3), "stage {stage}");
        }
    });
    assert!(not_above(found.false_rollbacks, REPLICATES, BUDGET), "{} false rollbacks", found.false_rollbacks);
    assert!(not_above(found.wrong_failures, REPLICATES, BUDGET), "{} wrong failures", found.wrong_failures);
}

#[test]
fn a_budget_spent_once_is_kept_with_returning_users() {
    let found = run("rollout", |player, _| {
        // Each gate errs as often over the whole rollout as its share says, and sees more than a stage by itself.
        let share = player.levels.alpha_fail[QUALITY];
        let replicates = replicates(player);
        let lens = player.gates[QUALITY].failing_lens;
        let fails = replicates
            .iter()
            .filter(|played| played.verdicts[QUALITY][lens].iter().flatten().any(|said| said.first_fail.is_some()));
        let fails = fails.count();
        assert!(within(fails, REPLICATES, share), "{fails} failures of one gate for {share}");
        let early = |world: World| {
            let world = player.worlds.iter().position(|&other| other == world).expect("every run plays it");
            let lens = player.gates[EARLY_PASS].lens_of_world[world];
            let passes = |stage: usize| {
                let said = replicates.iter().filter_map(|played| played.verdicts[EARLY_PASS][lens][stage].as_ref());
                said.filter(|said| said.questions[0].passed).count()
            };
            [passes(0), passes(1), passes(2)]
        };
        let wrong = early(World::Margin(EARLY_PASS));
        // A lucky arm also looks less variable: with the few users of a small stage a wrong pass is not yet as rare as stated.
        let bounded = wrong.iter().all(|&wrong| not_above(wrong, REPLICATES, 0.1));
        assert!(bounded && not_above(wrong[2], REPLICATES, 0.05), "{wrong:?} wrong passes at any look");
        // A failure is the stronger verdict, but no failure takes back what was shown.
        assert!(early(World::Null)[2] > REPLICATES / 5);
        let ends = replicates.iter().filter_map(|played| played.verdicts[EARLY_PASS][0][2].as_ref());
        assert!(ends.filter(|said| said.end == Verdict::Pass).all(|said| said.questions[0].passed));
    });
    assert!(not_above(found.false_rollbacks, REPLICATES, BUDGET), "{} false rollbacks", found.false_rollbacks);
    assert!(not_above(found.wrong_failures, REPLICATES, BUDGET), "{} wrong failures", found.wrong_failures);
}

#[test]
fn a_calibrated_budget_is_used_up() {
    let found = run("calibrated", |player, _| {
        let calibration = player.calibration.expect("it was calibrated");
        assert!(calibration.factor > 1.2, "correlated gates leave room: {}", calibration.factor);
        assert!(calibration.rate.1 < BUDGET && BUDGET < calibration.rate.2 && calibration.replicates == REPLICATES);
    });
    assert!(not_above(found.false_rollbacks, REPLICATES, BUDGET), "{} false rollbacks", found.false_rollbacks);
    // Both the calibration and the report have their Monte Carlo error.
    let error = (2.0 * BUDGET * (1.0 - BUDGET) / REPLICATES as f64).sqrt();
    let rate = found.wrong_failures as f64 / REPLICATES as f64;
    assert!((rate - BUDGET).abs() < 4.0 * error, "{rate} wrong failures");
}

/// A gate on the candidate alone.
const FLOOR: &str = "[[gates]]\nname = \"floor\"\nmetric = \"quality\"\nlimit = 0.5\n";

/// A scenario in which every stage draws anew.
fn drawn_anew() -> String {
    let text = scenario("rollout").replace("unit = \"user_id\"", "unit = \"user_id\"\nsticky = \"stage\"");
    format!("{text}\n{FLOOR}")
}

#[test]
fn a_budget_spent_once_is_kept_where_stages_draw_anew() {
    let found = run_text(&drawn_anew(), |player, tally| {
        // Whoever asks in every stage misses the candidate three times with chance 0.9 0.75 0.5; not everyone does.
        let rows = replay::outcome::rows::true_exposure(player, tally);
        for row in &rows {
            assert!((row.share - row.expected).abs() < 0.01, "{row:?}");
        }
        assert!(rows[0].share < 0.11 && rows[2].share > 0.35 && rows[2].share < 0.6625, "{rows:?}");
    });
    assert!(not_above(found.false_rollbacks, REPLICATES, BUDGET), "{} false rollbacks", found.false_rollbacks);
    assert!(not_above(found.wrong_failures, REPLICATES, BUDGET), "{} wrong failures", found.wrong_failures);
}

/// The correlation of two stages' statistics over replicates is the one that is planned from the users who return.
#[test]
fn stages_correlate_as_planned() {
    let text = scenario("rollout") + "\n" + FLOOR;
    correlate_as_planned(&text, combine::between_stages);
    correlate_as_planned(&drawn_anew(), combine::between_drawn_stages);
}

fn correlate_as_planned(text: &str, between: fn(f64, f64, f64, f64) -> f64) {
    let loaded = Loaded::synthetic(text);
    let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
    let player = loaded.player(&simulator);
    let start = simulator.slot_at(player.starts[0]);
    let replicates = replicates(&player);
    for (gate, metric, factor) in [(0, 0, 1.0), (1, 1, 1.0), (4, 0, 0.0)] {
        let units = simulator.returning_units(start, Asked { slice: 0, metric, threshold: None });
        let lens = player.gates[gate].failing_lens;
        let z = |stage: usize| -> Vec<f64> {
            let said = replicates.iter().map(|played| played.verdicts[gate][lens][stage].as_ref().expect("it asks"));
            said.map(|said| said.questions[0].z_fail.expect("there are users enough")).collect()
        };
        for (earlier, later) in [(0, 1), (0, 2), (1, 2)] {
            let exposure = |stage: usize| simulator.plan[stage].exposure;
            let last = units[later].last().expect("a stage has looks");
            let planned = between(last[earlier], exposure(earlier), exposure(later), factor);
            let found = correlation(&z(earlier), &z(later));
            let error = (1.0 - planned * planned) / (REPLICATES as f64).sqrt();
            assert!((found - planned).abs() < 4.0 * error, "gate {gate}, {earlier} and {later}: {found} {planned}");
            let drawn = loaded.scenario.assignment.sticky.redraws();
            assert!(gate == 1 || drawn && gate == 0 || planned > 0.05, "users return: {planned}");
        }
    }
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (x, y) = (mean(a), mean(b));
    let moment = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(a - x, b - y)).sum::<f64>();
    moment(&|a, b| a * b) / (moment(&|a, _| a * a) * moment(&|_, b| b * b)).sqrt()
}
