//! Waves, exposure by segment and a matched control err as often as they say, though the segments differ.

use replay::domain::world::World;
use replay::simulate::Simulator;

use crate::support::{Loaded, RECIPE, not_above, replicates, within};
use crate::{ALPHA, REPLICATES, Run};

/// One user in five is internal, and much easier to please.
const SEGMENTS: &str = r#"
[[segments]]
column = "tier"
per = "user"
shares = { internal = 0.2, pilot = 0.3, rest = 0.5 }
"#;

const SCENARIO: &str = r#"
[log]
timestamp = "ts"
segments = ["tier"]

[assignment]
unit = "user_id"
control = "CONTROL"

[metrics.quality]
kind = "mean"
column = "{version}_quality"
better = "higher"

[[stages]]
name = "pilot"
only = { tier = ["pilot"] }
exposure = "40%"
duration = "25h"

[[stages]]
name = "by segment"
exposure = { default = "10%", "tier=internal" = "50%" }
duration = "25h"

[[stages]]
name = "everyone"
exposure = "50%"
duration = "25h"
bake = "6h"

[[gates]]
name = "once"
metric = "quality"
allow = "0%"
test = "fixed"
looks = "end"

[[gates]]
name = "margin once"
metric = "quality"
allow = "2%"
test = "fixed"
looks = "end"

[[gates]]
name = "boundary"
metric = "quality"
allow = "0%"

[rollout]
start = "2026-11-02 06:00"

[simulation]
replicates = 2000
seed = 31
"#;

const ONCE: usize = 0;
const MARGIN_ONCE: usize = 1;
const BOUNDARY: usize = 2;

const STAGES: [&str; 3] = ["pilot", "by segment", "everyone"];

fn loaded(scenario: &str) -> Loaded {
    let means = "mean = 0.7\nmeans = { tier = { internal = 0.95 } }";
    Loaded::of_recipe(&(RECIPE.replace("mean = 0.8", means) + SEGMENTS), scenario)
}

#[test]
fn waves_err_as_often_as_they_say() {
    for control in ["rest", "matched"] {
        let loaded = loaded(&SCENARIO.replace("CONTROL", control));
        let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
        let player = loaded.player(&simulator);
        let run = Run { played: replicates(&player), player: &player };
        for (stage, name) in STAGES.iter().enumerate() {
            let what = format!("stage {name}, control {control}");
            let alarms = run.failed(ONCE, World::Null, stage);
            assert!(within(alarms, REPLICATES, ALPHA), "{what}: {alarms} false alarms");
            let margin = World::Margin(MARGIN_ONCE);
            let (failed, passed) = (run.failed(MARGIN_ONCE, margin, stage), run.passed(MARGIN_ONCE, margin, stage));
            assert!(within(failed, REPLICATES, ALPHA), "{what}: {failed} wrong failures");
            assert!(within(passed, REPLICATES, ALPHA), "{what}: {passed} wrong passes");
            let boundary = run.failed(BOUNDARY, World::Null, stage);
            assert!(not_above(boundary, REPLICATES, ALPHA) && boundary > 50, "{what}: {boundary} past a boundary");
            let (ratio, error) = run.variance_ratio(ONCE, World::Null, stage);
            assert!((ratio - 1.0).abs() < 4.0 * error, "{what}: variance x {ratio}, error {error}");
            // Arms have the planned shares: mismatches are as rare as their test says.
            let mismatches = run.played.iter().filter(|p| p.sample_ratio[stage].is_some_and(|r| r.p_value < 0.05));
            let mismatches = mismatches.count();
            assert!(not_above(mismatches, REPLICATES, ALPHA), "{what}: {mismatches} sample ratios");
        }
        // A boundary spends nothing while the stage settles.
        let quiet = loaded.scenario.stages[2].quiet_looks();
        assert_eq!(quiet, 23);
        let early = run.verdicts(BOUNDARY, World::Null, 2).filter_map(|said| said.first_fail).any(|(at, _)| at < quiet);
        assert!(!early, "gates do not look before");
    }
}

/// What the matched control is for: with the rest as control, the arms of unequal exposures are not alike, and every rollout would fail.
#[test]
fn the_rest_would_confound_exposures_with_their_segments() {
    let mut loaded = loaded(&SCENARIO.replace("CONTROL", "rest"));
    loaded.scenario.stages[1].control = replay::domain::rollout::Control::Rest;
    let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
    let player = loaded.player(&simulator);
    let lanes = (0..50)
        .map(|replicate| (simulator.slot_at(player.starts[0]), simulator.replicate(&loaded.scenario, replicate)));
    let run = Run { played: player.play_lanes(lanes.collect()), player: &player };
    let difference =
        run.verdicts(ONCE, World::Null, 1).filter_map(|said| said.questions[0].difference).sum::<f64>() / 50.0;
    // Larger is worse: internal users are most of the candidate's arm, and pleased.
    assert!(difference < -0.03, "{difference}");
}
