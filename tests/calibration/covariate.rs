//! Gates with stable's answers taken out: the same difference with less variance, and no more errors than they say.

use replay::domain::world::World;
use replay::simulate::Simulator;

use crate::support::{Loaded, RECIPE, not_above, replicates};
use crate::{ALPHA, LARGE, REPLICATES, Run, SMALL};

const SCENARIO: &str = r#"
[log]
timestamp = "ts"

[assignment]
unit = "user_id"

[metrics.quality]
kind = "mean"
column = "{version}_quality"
better = "higher"

[[stages]]
name = "20%"
exposure = "20%"
duration = "25h"

[[stages]]
name = "50%"
exposure = "50%"
duration = "25h"

[[gates]]
name = "plain"
metric = "quality"
allow = "2%"
test = "fixed"
looks = "end"

[[gates]]
name = "adjusted"
metric = "quality"
allow = "2%"
test = "fixed"
looks = "end"
covariate = "stable"

[[gates]]
name = "adjusted boundary"
metric = "quality"
allow = "2%"
covariate = "stable"

[rollout]
start = "2026-11-02 06:00"

[[effects]]
name = "worse after five hours"
metric = "quality"
shift = -0.05
onset = "5h"

[simulation]
replicates = 2000
seed = 23
"#;

const PLAIN: usize = 0;
const ADJUSTED: usize = 1;
const BOUNDARY: usize = 2;

/// Means of differences and of standard errors.
fn means(run: &Run<'_>, gate: usize, world: World, stage: usize) -> (f64, f64) {
    let n = REPLICATES as f64;
    let question = |value: fn(&replay::gate::stage::QuestionRecord) -> Option<f64>| {
        run.verdicts(gate, world, stage).filter_map(|said| value(&said.questions[0])).sum::<f64>() / n
    };
    (question(|record| record.difference), question(|record| record.se))
}

#[test]
fn what_is_taken_out_leaves_the_difference_and_less_variance() {
    let loaded = Loaded::of_recipe(RECIPE, SCENARIO);
    let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
    let player = loaded.player(&simulator);
    let run = Run { played: replicates(&player), player: &player };
    for stage in [SMALL, LARGE] {
        // The candidate's recorded answers agree with stable's by half.
        for world in [World::Recorded, World::Effect(0)] {
            let ((plain, wide), (adjusted, narrow)) =
                (means(&run, PLAIN, world, stage), means(&run, ADJUSTED, world, stage));
            let error = 4.0 * wide / (REPLICATES as f64).sqrt();
            assert!((plain - adjusted).abs() < error, "{world:?}, stage {stage}: {plain}, adjusted {adjusted}");
            assert!(narrow < 0.9 * wide, "{world:?}, stage {stage}: {narrow} of {wide}");
        }
        // What the gate takes for the variance is the variance.
        let (ratio, error) = run.variance_ratio(ADJUSTED, World::Recorded, stage);
        assert!((ratio - 1.0).abs() < 4.0 * error, "stage {stage}: variance x {ratio}, error {error}");
        for gate in [ADJUSTED, BOUNDARY] {
            let margin = World::Margin(gate);
            for events in [run.failed(gate, margin, stage), run.passed(gate, margin, stage)] {
                assert!(
                    not_above(events, REPLICATES, ALPHA),
                    "gate {gate}, stage {stage}: {events} errors at the margin"
                );
            }
        }
    }
}
