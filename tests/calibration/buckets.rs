//! Buckets in place of units: with ten thousand of them, results agree with those of units.

use replay::domain::world::World;
use replay::simulate::Simulator;

use crate::support::{Loaded, agree, replicates};
use crate::{REPLICATES, Run};

/// Six users to a bucket.
const RECIPE: &str = r#"
about = "Nothing changes"
seed = 78
start = "2026-11-02T00:00:00Z"
days = 2
requests = 240000

[users]
count = 60000
tail = { pareto = 1.5 }
largest = 0.001

[sessions]
requests = 2
gap_s = 60

[traffic]
daily_amplitude = 0.5
peak_hour = 14
weekend = 1

[outcomes.success]
rate = 0.9
user_sd = 0.8
agreement = 0.5

[outcomes.quality]
mean = 0.8
sd = 1.0
user_sd = 0.5
agreement = 0.5
"#;

/// Effects are such that a gate catches them about as often as not: there, rates say most of standard errors.
const SCENARIO: &str = r#"
[log]
timestamp = "ts"
slot = "1h"

[assignment]
unit = "user_id"
CELLS

[metrics.quality]
kind = "mean"
column = "{version}_quality"
better = "higher"

[metrics.success]
kind = "proportion"
column = "{version}_success"
better = "higher"

[[stages]]
name = "20%"
exposure = "20%"
duration = "24h"
look_every = "1h"

[[gates]]
name = "quality"
metric = "quality"
allow = "0%"
test = "fixed"
looks = "end"

[[gates]]
name = "quality, boundary"
metric = "quality"
allow = "0%"

[[gates]]
name = "success"
metric = "success"
allow = "1pp"
style = "score"
test = "fixed"
looks = "end"

[[effects]]
name = "quality falls"
metric = "quality"
scale = 0.994

[[effects]]
name = "success falls"
metric = "success"
shift = -0.018

[rollout]
start = ["2026-11-02 06:00"]

[simulation]
replicates = 2000
seed = 20262
"#;

#[test]
fn ten_thousand_buckets_agree_with_units() {
    let loaded = |cells: &str| Loaded::of_recipe(RECIPE, &SCENARIO.replace("CELLS", cells));
    let (units, buckets) = (loaded(""), loaded("cells = \"bucket\""));
    assert!(buckets.digest.units.len() > 9_800, "{}", buckets.digest.units.len());
    assert_eq!(buckets.digest.logged_units(), units.digest.units.len() as u64);
    let total = |loaded: &Loaded| loaded.digest.cells.rows.iter().sum::<f64>();
    assert!(total(&units) > 0.0 && (total(&units) - total(&buckets)).abs() < 1e-9);
    let simulators = [&units, &buckets].map(|loaded| Simulator::new(&loaded.digest, &loaded.scenario));
    let players = [units.player(&simulators[0]), buckets.player(&simulators[1])];
    let [by_unit, by_bucket] = [0, 1].map(|at| Run { played: replicates(&players[at]), player: &players[at] });
    let mut middling = 0;
    for (gate, world) in
        [(0, World::Null), (0, World::Effect(0)), (1, World::Effect(0)), (2, World::Margin(2)), (2, World::Effect(1))]
    {
        let failed = [&by_unit, &by_bucket].map(|run| run.failed(gate, world, 0));
        assert!(agree(failed, REPLICATES), "failures of gate {gate} in {world:?}: {failed:?}");
        let passed = [&by_unit, &by_bucket].map(|run| run.passed(gate, world, 0));
        assert!(agree(passed, REPLICATES), "passes of gate {gate} in {world:?}: {passed:?}");
        middling += usize::from((400..1600).contains(&failed[0]));
        // Standard errors per bucket are those per unit.
        let (of_units, error) = by_unit.variance_ratio(gate, world, 0);
        let (of_buckets, _) = by_bucket.variance_ratio(gate, world, 0);
        assert!(
            (of_units - of_buckets).abs() < 5.7 * error,
            "gate {gate}: {of_units} and {of_buckets} of the variance"
        );
    }
    assert!(middling >= 2, "effects that are neither always nor never caught: {middling}");
}
