//! Distances of embeddings: error rates as stated, on users whose answers are alike.

use replay::domain::world::World;
use replay::simulate::Simulator;

use crate::support::{Loaded, RECIPE, not_above, replicates};
use crate::{ALPHA, LARGE, Run, SMALL};

const REPLICATES: usize = 600;

const EMBEDDING: &str = "
[outcomes.embedding]
numbers = 12
sd = 0.9
user_sd = 0.7
agreement = 0.5
moved = 0.1
";

const SCENARIO: &str = r#"
[log]
timestamp = "ts"

[assignment]
unit = "user_id"

[metrics.answers]
kind = "drift"
column = "{version}_embedding"
features = 12

[[stages]]
name = "10%"
exposure = "10%"
duration = "25h"
look_every = "1h"

[[stages]]
name = "50%"
exposure = "50%"
duration = "25h"
look_every = "1h"

[[gates]]
name = "any drift"
metric = "answers"
limit = 0
test = "fixed"
looks = "end"

[[gates]]
name = "any drift, often"
metric = "answers"
limit = 0

[[gates]]
name = "drift"
metric = "answers"
limit = 0.04

[[gates]]
name = "drift once"
metric = "answers"
limit = 0.04
test = "fixed"
looks = "end"

[[gates]]
name = "bare"
metric = "answers"
limit = 0.04
test = "point"
looks = "end"

[rollout]
start = ["2026-11-02 06:00", "2026-11-02 18:00"]

[simulation]
replicates = 600
seed = 8
"#;

const ANY: usize = 0;
const ANY_OFTEN: usize = 1;
const DRIFT: usize = 2;
const DRIFT_ONCE: usize = 3;
const BARE: usize = 4;

#[test]
fn distances_of_embeddings_err_as_seldom_as_stated() {
    let recipe = format!("{}{EMBEDDING}", RECIPE.replacen("requests = 60000", "requests = 24000", 1));
    let loaded = Loaded::of_recipe(&recipe, SCENARIO);
    let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
    let player = loaded.player(&simulator);
    let run = Run { played: replicates(&player), player: &player };
    let share = |count: usize| count as f64 / REPLICATES as f64;
    for stage in [SMALL, LARGE] {
        let failed = |gate: usize, world: World| run.failed(gate, world, stage);
        for gate in [ANY, ANY_OFTEN] {
            let alarms = failed(gate, World::Null);
            assert!(not_above(alarms, REPLICATES, ALPHA), "gate {gate}, stage {stage}: {alarms} alarms");
            assert!(share(alarms) > ALPHA / 10.0, "gate {gate}, stage {stage}: {alarms} alarms");
            assert_eq!(run.passed(gate, World::Null, stage), 0, "nothing is nearer than at no distance");
        }
        for gate in [DRIFT, DRIFT_ONCE] {
            let (fails, passes) = (failed(gate, World::Margin(gate)), run.passed(gate, World::Margin(gate), stage));
            assert!(not_above(fails, REPLICATES, ALPHA), "gate {gate}, stage {stage}: {fails} wrong failures");
            assert!(not_above(passes, REPLICATES, ALPHA), "gate {gate}, stage {stage}: {passes} wrong passes");
            assert!(failed(gate, World::Null) <= fails, "gate {gate}, stage {stage}");
        }
    }
    for gate in [ANY, ANY_OFTEN] {
        let caught = run.failed(gate, World::Recorded, LARGE);
        assert!(share(caught) > 0.7, "gate {gate}: {caught} caught");
    }
    // With a limit a gate is cautious, as if the drift pointed where the noise is widest; it sees what is far beyond.
    for gate in [DRIFT, DRIFT_ONCE] {
        let (caught, passed) = (run.failed(gate, World::Recorded, LARGE), run.passed(gate, World::Recorded, LARGE));
        assert!(caught > run.failed(gate, World::Margin(gate), LARGE), "gate {gate}: {caught} caught");
        assert!(share(passed) < ALPHA, "gate {gate}: {passed} passed");
    }
    let passed = run.passed(DRIFT_ONCE, World::Null, LARGE);
    assert!(share(passed) > 0.25, "{passed} passed");
    // Noise is taken off the distance, so that a bare threshold at the truth is passed by about half.
    let past = share(run.failed(BARE, World::Margin(BARE), LARGE));
    assert!((0.3..0.7).contains(&past), "{past}");
}
