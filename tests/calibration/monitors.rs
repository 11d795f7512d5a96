//! Gates that watch for a change: false alarms as rare as stated on units that return, and changes found.

use replay::domain::gate::Test;
use replay::domain::world::World;
use replay::simulate::Simulator;
use replay::stats::cusum;

use crate::support::{Loaded, TWO_METRICS, not_above, replicates, within};
use crate::{LARGE, Run, SMALL};

const REPLICATES: usize = 1000;

const SCENARIO: &str = r#"
[[stages]]
name = "20%"
exposure = "20%"
duration = "25h"

[[stages]]
name = "50%"
exposure = "50%"
duration = "25h"

[[gates]]
name = "quality"
metric = "quality"
allow = "0%"
test = "cusum"
run_length = "10d"

[[gates]]
name = "success"
metric = "success"
allow = "1pp"
test = "cusum"
run_length = "10d"
reference = 0.25
min_requests = 50

[[gates]]
name = "known answers"
metric = "quality"
allow = "2%"
test = "sentinel"
sentinel = { prompts = 20, flake_rate = 0.0002, detect = 0.05 }

[rollout]
start = ["2026-11-02 06:00", "2026-11-02 18:00"]

[[effects]]
name = "quality falls"
metric = "quality"
shift = -0.15
onset = "31h"

[simulation]
replicates = 1000
seed = 8
"#;

const QUALITY: usize = 0;
const SUCCESS: usize = 1;
const KNOWN_ANSWERS: usize = 2;

#[test]
fn a_change_is_found_and_nothing_else_is_taken_for_one() {
    let loaded = Loaded::synthetic(&format!("{TWO_METRICS}{SCENARIO}"));
    let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
    let player = loaded.player(&simulator);
    let run = Run { played: replicates(&player), player: &player };
    let change = World::Effect(0);
    let (mut alarms, mut stated) = (0, 0.0);
    for (gate, stage) in [QUALITY, SUCCESS].into_iter().flat_map(|gate| [(gate, SMALL), (gate, LARGE)]) {
        let Test::Cusum(rule) = loaded.scenario.gates[gate].test else { panic!("a cumulative sum") };
        let boundary = &player.boundaries[stage][gate][0];
        let steps = boundary.sum.as_ref().expect("it adds up").triangle.len();
        let nominal = cusum::chance_within(steps, rule.reference, boundary.fail[0], 0.0);
        // Users return, and steps of one rollout share them: still no more alarms than independent steps would give.
        let wrong = run.failed(gate, World::Margin(gate), stage);
        assert!(not_above(wrong, REPLICATES, nominal), "gate {gate}, stage {stage}: {wrong} for {nominal}");
        assert!(run.failed(gate, World::Null, stage) <= wrong, "gate {gate}, stage {stage}");
        alarms += wrong;
        stated += nominal * REPLICATES as f64;
    }
    assert!(alarms as f64 > 0.4 * stated, "{alarms} alarms where {stated} are stated");
    // Nothing has changed yet in the first stage; in the second, a fall by a fifth of what is seldom seen in one request.
    assert_eq!(run.failed(QUALITY, change, SMALL), run.failed(QUALITY, World::Null, SMALL));
    let found = run.failed(QUALITY, change, LARGE);
    assert!(found > REPLICATES * 9 / 10, "{found}");
    let Test::Sentinel(sentinel) = loaded.scenario.gates[KNOWN_ANSWERS].test else { panic!("a sentinel") };
    for stage in [SMALL, LARGE] {
        let looks = loaded.scenario.stages[stage].looks();
        let alarms = run.failed(KNOWN_ANSWERS, World::Null, stage);
        let closed_form = 1.0 - (1.0 - 0.0002_f64).powi(20 * looks as i32);
        assert!(within(alarms, REPLICATES, closed_form), "{alarms} for {closed_form}");
        assert!((sentinel.false_alarm(looks) - closed_form).abs() < 1e-12);
        assert_eq!(run.passed(KNOWN_ANSWERS, World::Null, stage), REPLICATES - alarms);
    }
    assert_eq!(run.failed(KNOWN_ANSWERS, change, SMALL), run.failed(KNOWN_ANSWERS, World::Null, SMALL));
    assert_eq!(run.failed(KNOWN_ANSWERS, change, LARGE), REPLICATES);
}
