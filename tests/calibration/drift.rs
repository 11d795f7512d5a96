//! Distances of distributions: error rates as stated on users who answer alike, and what a bare threshold does.

use replay::domain::world::World;
use replay::simulate::Simulator;
use replay::stats::drift;

use crate::support::{Loaded, RECIPE, not_above, replicates};
use crate::{ALPHA, LARGE, Run, SMALL};

const REPLICATES: usize = 1000;

const SCENARIO: &str = r#"
[log]
timestamp = "ts"

[assignment]
unit = "user_id"

[metrics.quality]
kind = "drift"
column = "{version}_quality"

[[stages]]
name = "10%"
exposure = "10%"
duration = "25h"

[[stages]]
name = "50%"
exposure = "50%"
duration = "25h"

[[gates]]
name = "any drift"
metric = "quality"
limit = 0
test = "fixed"
looks = "end"

[[gates]]
name = "drift"
metric = "quality"
limit = 0.1

[[gates]]
name = "sequence"
metric = "quality"
limit = 0.1
test = "confidence-sequence"

[[gates]]
name = "bare"
metric = "quality"
limit = 0.05
test = "point"
looks = "end"

[[gates]]
name = "stability"
metric = "quality"
measure = "psi"
limit = 0.05
looks = "end"

[rollout]
start = ["2026-11-02 06:00", "2026-11-02 18:00"]

[[effects]]
name = "worse"
metric = "quality"
shift = -0.15

[simulation]
replicates = 1000
seed = 8
"#;

const ANY: usize = 0;
const DRIFT: usize = 1;
const SEQUENCE: usize = 2;
const BARE: usize = 3;
const STABILITY: usize = 4;

#[test]
fn distances_err_as_seldom_as_stated() {
    let loaded = Loaded::of_recipe(RECIPE, SCENARIO);
    let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
    let player = loaded.player(&simulator);
    let run = Run { played: replicates(&player), player: &player };
    let share = |count: usize| count as f64 / REPLICATES as f64;
    for stage in [SMALL, LARGE] {
        let failed = |gate: usize, world: World| run.failed(gate, world, stage);
        let alarms = failed(ANY, World::Null);
        assert!(not_above(alarms, REPLICATES, ALPHA), "stage {stage}: {alarms} alarms");
        // Nine edges in two directions, which share their requests: less than is allowed, not nothing.
        assert!(share(alarms) > ALPHA / 20.0, "stage {stage}: {alarms} alarms");
        for gate in [DRIFT, SEQUENCE] {
            let (fails, passes) = (failed(gate, World::Margin(gate)), run.passed(gate, World::Margin(gate), stage));
            assert!(not_above(fails, REPLICATES, ALPHA), "gate {gate}, stage {stage}: {fails} wrong failures");
            assert!(not_above(passes, REPLICATES, ALPHA), "gate {gate}, stage {stage}: {passes} wrong passes");
            assert!(failed(gate, World::Null) <= fails, "gate {gate}, stage {stage}");
        }
        // What the index has by chance: more than the law of independent requests.
        let requests = run.played.iter().map(|played| played.stages[stage].requests).sum::<f64>() / REPLICATES as f64;
        let exposure = loaded.scenario.stages[stage].exposure.get();
        let sizes = (requests, requests * (1.0 - exposure) / exposure);
        let law = drift::population_stability_null_mean(sizes, 10);
        let differences = run.verdicts(STABILITY, World::Null, stage).filter_map(|said| said.questions[0].difference);
        let index = differences.sum::<f64>() / REPLICATES as f64 + 0.05;
        assert!((1.2..4.0).contains(&(index / law)), "stage {stage}: {index} for {law} of independent requests");
    }
    assert!(share(run.failed(BARE, World::Null, SMALL)) > ALPHA, "{}", run.failed(BARE, World::Null, SMALL));
    let change = World::Effect(0);
    for gate in [ANY, DRIFT, SEQUENCE] {
        assert_eq!(run.passed(gate, change, LARGE), 0, "gate {gate}");
        assert!(share(run.failed(gate, change, LARGE)) > 0.95, "gate {gate}: {}", run.failed(gate, change, LARGE));
    }
    assert!(share(run.passed(DRIFT, World::Null, LARGE)) > 0.9, "{}", run.passed(DRIFT, World::Null, LARGE));
}
