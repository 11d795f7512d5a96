//! Gates err as often as they say on what draws, be it units in each stage, sessions or requests, and true exposure is what is expected.

use std::sync::atomic::AtomicBool;

use replay::domain::world::World;
use replay::outcome::rows;
use replay::outcome::tally::Tally;
use replay::simulate::Simulator;

use crate::support::{Loaded, not_above, replicates, within};
use crate::{ALPHA, REPLICATES, Run};

const SCENARIO: &str = r#"
[log]
timestamp = "ts"
request = "request_id"

[assignment]
unit = "user_id"
STICKY

[metrics.quality]
kind = "mean"
column = "{version}_quality"
better = "higher"

[[stages]]
name = "10%"
exposure = "10%"
duration = "25h"

[[stages]]
name = "50%"
exposure = "50%"
duration = "25h"

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

[[gates]]
name = "floor"
metric = "quality"
limit = 0.7
test = "fixed"
looks = "end"

[rollout]
start = "2026-11-02 06:00"

[simulation]
replicates = 2000
seed = 53
"#;

const ONCE: usize = 0;
const MARGIN_ONCE: usize = 1;
const BOUNDARY: usize = 2;
const FLOOR: usize = 3;

/// Wrong failures of a limit on the candidate alone, at exactly that limit, in each stage.
fn check(sticky: &str) -> [usize; 2] {
    let loaded = Loaded::synthetic(&SCENARIO.replace("STICKY", sticky));
    let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
    let player = loaded.player(&simulator);
    let run = Run { played: replicates(&player), player: &player };
    for stage in [0, 1] {
        let what = format!("stage {stage}, {sticky}");
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
        let mismatches = run.played.iter().filter(|p| p.sample_ratio[stage].is_some_and(|r| r.p_value < 0.05)).count();
        assert!(not_above(mismatches, REPLICATES, ALPHA), "{what}: {mismatches} sample ratios");
    }
    let mut tally = Tally::new(&player);
    player
        .play(&AtomicBool::new(false), |played| played.into_iter().for_each(|replicate| tally.add(&player, replicate)));
    let exposure = rows::true_exposure(&player, &tally);
    assert_eq!(exposure.len(), 2);
    for row in &exposure {
        assert!((row.share - row.expected).abs() < 0.002, "{sticky}: {row:?}");
    }
    // Later, users who did not ask again have not drawn again.
    let first = &exposure[0];
    assert!(first.share > first.exposure - 0.002, "{sticky}: {first:?}");
    [0, 1].map(|stage| run.failed(FLOOR, World::Margin(FLOOR), stage))
}

#[test]
fn stages_that_draw_anew_err_as_often_as_they_say() {
    let floors = check("sticky = \"stage\"");
    assert!(floors.iter().all(|&floor| within(floor, REPLICATES, ALPHA)), "{floors:?}");
}

#[test]
fn sessions_that_draw_err_as_often_as_they_say() {
    let floors = check("sticky = \"session\"\nsession = \"session_id\"");
    // A limit on the candidate alone takes sessions as independent, and those of a user are not; there are few of each.
    let nominal = ALPHA * REPLICATES as f64;
    assert!(floors.iter().all(|&floor| floor as f64 > nominal && (floor as f64) < 2.0 * nominal), "{floors:?}");
}

/// A limit on the candidate alone takes requests as independent, which those of a user are not; a difference of arms may.
#[test]
fn requests_that_draw_err_as_often_as_they_say_but_for_limits() {
    let floors = check("sticky = \"request\"");
    assert!(floors[1] as f64 > 1.5 * ALPHA * REPLICATES as f64, "{floors:?}");
}
