//! Gates that count events, where events are few: errors at most alpha, on clustered units.

use replay::domain::world::World;
use replay::simulate::Simulator;

use crate::support::{Loaded, RECIPE, not_above, replicates};
use crate::{ALPHA, LARGE, Run, SMALL};

const REPLICATES: usize = 2000;

/// Both gather in few users.
const OUTCOMES: &str = r"
[outcomes.severe]
rate = 0.004
user_sd = 1.5
agreement = 0.5

[outcomes.error]
rate = 0.02
user_sd = 1.0
agreement = 0.5
";

const SCENARIO: &str = r#"
[log]
timestamp = "ts"

[assignment]
unit = "user_id"

[metrics.severe]
kind = "rare"
column = "{version}_severe"
better = "lower"

[metrics.errors]
kind = "proportion"
column = "{version}_error"
better = "lower"

[[stages]]
name = "20%"
exposure = "20%"
duration = "25h"

[[stages]]
name = "50%"
exposure = "50%"
duration = "25h"

[[gates]]
name = "once"
metric = "severe"
allow = "60%"
test = "exact"
looks = "end"

[[gates]]
name = "every look"
metric = "severe"
allow = "60%"
test = "exact"

[[gates]]
name = "MaxSPRT"
metric = "severe"
allow = "60%"
test = "max-sprt"

[[gates]]
name = "e-process"
metric = "severe"
allow = "60%"
test = "e-process"

[[gates]]
name = "limit once"
metric = "severe"
limit = 0.02
test = "exact"
looks = "end"

[[gates]]
name = "limit at every look"
metric = "severe"
limit = 0.02
test = "exact"

[[gates]]
name = "limit MaxSPRT"
metric = "severe"
limit = 0.02
test = "max-sprt"

[[gates]]
name = "limit e-process"
metric = "severe"
limit = 0.02
test = "e-process"

[[gates]]
name = "requests once"
metric = "errors"
allow = "60%"
test = "exact"
looks = "end"

[[gates]]
name = "requests at every look"
metric = "errors"
allow = "60%"
test = "exact"

[[gates]]
name = "requests MaxSPRT"
metric = "errors"
allow = "60%"
test = "max-sprt"

[[gates]]
name = "requests e-process"
metric = "errors"
allow = "60%"
test = "e-process"

[[gates]]
name = "no margin, once"
metric = "severe"
allow = "0%"
test = "exact"
looks = "end"

[[gates]]
name = "no margin, every look"
metric = "severe"
allow = "0%"
test = "exact"

[rollout]
start = ["2026-11-02 06:00", "2026-11-02 18:00"]

[simulation]
replicates = 2000
seed = 517
"#;

#[test]
fn gates_that_count_events_err_at_most_as_often_as_they_say() {
    let loaded = Loaded::of_recipe(&format!("{RECIPE}{OUTCOMES}"), SCENARIO);
    let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
    let player = loaded.player(&simulator);
    let run = Run { played: replicates(&player), player: &player };
    let mut wrong = 0;
    for (gate, rule) in loaded.scenario.gates.iter().enumerate() {
        for stage in [SMALL, LARGE] {
            let margin = World::Margin(gate);
            let errors = [
                ("false alarms", run.failed(gate, World::Null, stage)),
                ("wrong failures", run.failed(gate, margin, stage)),
                ("wrong passes", run.passed(gate, margin, stage)),
            ];
            for (error, events) in errors {
                assert!(not_above(events, REPLICATES, ALPHA), "{}: {events} {error} in stage {stage}", rule.name);
                wrong += events;
            }
        }
    }
    // Exact tests of few events stay below their level, but not at nothing.
    assert!(wrong > REPLICATES / 2, "{wrong}");
    // Of tests at many looks, the boundary spends most, and the sequences hold for ever.
    let failed = |gate| run.failed(gate, World::Margin(gate), LARGE);
    assert!(failed(1) > failed(3), "{} {}", failed(1), failed(3));
}
