//! Gates err as often as they say where a version answers the same request differently each time, and planning takes that noise for what it is.

use std::fmt::Write as _;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use replay::domain::world::World;
use replay::gate::stage::StageVerdicts;
use replay::simulate::Simulator;

use crate::support::{Loaded, not_above, replicates, within};
use crate::{ALPHA, REPLICATES, Run};

const SCENARIO: &str = r#"
[log]
timestamp = "ts"
request = "request"
trial = "trial"
slot = "1h"

[assignment]
unit = "user"

[metrics.quality]
kind = "mean"
column = "{version}_quality"
better = "higher"

[[stages]]
name = "50%"
exposure = "50%"
duration = "40h"
look_every = "4h"

[[gates]]
name = "once"
metric = "quality"
allow = "0%"
test = "fixed"
looks = "end"

[[gates]]
name = "margin once"
metric = "quality"
allow = 0.2
test = "fixed"
looks = "end"

[[gates]]
name = "boundary"
metric = "quality"
allow = "0%"

[rollout]
start = "2025-03-03 00:00"

[simulation]
replicates = 2000
seed = 29
"#;

const ONCE: usize = 0;
const MARGIN_ONCE: usize = 1;
const BOUNDARY: usize = 2;

/// Users of whom each has one to three requests. Between outputs of a request the variance is 9/12, between requests 1/12; stable was asked
/// up to six times and the candidate three times.
fn log() -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(31);
    let mut text = String::from("ts,request,user,trial,stable_quality,candidate_quality\n");
    let mut request = 0;
    for user in 0..400 {
        for _ in 0..=user % 3 {
            let (hour, levels) = (rng.random_range(0..40), [rng.random::<f64>(), rng.random::<f64>()]);
            let trials = 2 + request % 5;
            for trial in 0..trials.max(3) {
                let mut output = |version: usize, asked: usize| {
                    if trial < asked {
                        format!("{}", levels[version] + 3.0 * rng.random::<f64>())
                    } else {
                        String::new()
                    }
                };
                let (stable, candidate) = (output(0, trials), output(1, 3));
                let (day, hour) = (3 + hour / 24, hour % 24);
                writeln!(text, "2025-03-{day:02}T{hour:02}:00:00Z,{request},{user},{trial},{stable},{candidate}")
                    .expect("text grows");
            }
            request += 1;
        }
    }
    text
}

#[test]
fn what_draws_its_outputs_errs_as_often_as_it_says() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("log.csv");
    // The last slot of the schedule must be in the log.
    std::fs::write(&path, log() + "2025-03-04T16:00:00Z,last,400,0,1,1\n").expect("a new file");
    let loaded = Loaded::of(path.to_str().expect("temporary names are text"), SCENARIO);
    let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
    let player = loaded.player(&simulator);
    let run = Run { played: replicates(&player), player: &player };
    let alarms = run.failed(ONCE, World::Null, 0);
    assert!(within(alarms, REPLICATES, ALPHA), "{alarms} false alarms");
    let margin = World::Margin(MARGIN_ONCE);
    let (failed, passed) = (run.failed(MARGIN_ONCE, margin, 0), run.passed(MARGIN_ONCE, margin, 0));
    assert!(within(failed, REPLICATES, ALPHA), "{failed} wrong failures");
    assert!(within(passed, REPLICATES, ALPHA), "{passed} wrong passes");
    let boundary = run.failed(BOUNDARY, World::Null, 0);
    assert!(not_above(boundary, REPLICATES, ALPHA) && boundary > 50, "{boundary} past a boundary");
    let (ratio, error) = run.variance_ratio(ONCE, World::Null, 0);
    assert!((ratio - 1.0).abs() < 4.0 * error, "variance x {ratio}, error {error}");

    // What is planned is the variance of one output a request, which replicates have: users come as often as chance has it, so an arm's
    // squared standard error varies by a few per cent from its plan.
    let planned = player.planned(&player.sampled_censuses[0])[0][ONCE][0].expect("stable varies");
    let squares = |said: &StageVerdicts| said.questions[0].se.map_or(0.0, |se| se * se);
    let played = run.verdicts(ONCE, World::Null, 0).map(squares).sum::<f64>() / REPLICATES as f64;
    assert!((planned / played - 1.0).abs() < 0.03, "planned {planned}, replayed {played}");
}
