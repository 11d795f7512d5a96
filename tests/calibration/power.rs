//! Closed forms of planning against the replay, on many units of little weight each.

use std::sync::atomic::AtomicBool;

use replay::outcome::rows;
use replay::outcome::tally::Tally;
use replay::power::{self, Forms};
use replay::report::planning::Side;
use replay::simulate::Simulator;

use crate::support::{Loaded, TWO_METRICS};

const RECIPE: &str = r#"
about = "Many light users"
seed = 5
start = "2026-11-02T00:00:00Z"
days = 4
requests = 60000

[users]
count = 30000
tail = { pareto = 6.0 }
largest = 0.0002

[sessions]
requests = 1.5
gap_s = 75

[traffic]
daily_amplitude = 0.1
peak_hour = 14
weekend = 1

[outcomes.success]
rate = 0.8
user_sd = 0.3
agreement = 0.5

[outcomes.quality]
mean = 0.6
sd = 1.0
user_sd = 0.3
agreement = 0.5
"#;

const SCENARIO: &str = r#"
[[gates]]
name = "once"
metric = "quality"
allow = "4%"
test = "fixed"
looks = "end"

[[gates]]
name = "boundary"
metric = "quality"
allow = "3%"

[[gates]]
name = "sequence"
metric = "quality"
allow = "4%"
test = "confidence-sequence"

[[gates]]
name = "score"
metric = "success"
allow = "3%"
style = "score"

[rollout]
promote = "no-fail"
start = ["2026-11-02 00:00", "2026-11-02 04:00"]

[[effects]]
name = "quality 9 % lower"
metric = "quality"
scale = 0.91

[[effects]]
name = "success 8 % lower"
metric = "success"
flip = "8%"

[simulation]
replicates = 1000
seed = 11
"#;

/// Exposure in per cent, and hours.
const STAGES: [(u32, u32); 8] = [(5, 6), (10, 6), (10, 18), (20, 6), (20, 16), (30, 8), (40, 10), (50, 14)];

/// Beyond Monte Carlo error: what a normal approximation may be off by.
const APPROXIMATION: f64 = 0.01;

#[test]
#[expect(clippy::print_stdout, reason = "shown with `--nocapture`, or when it fails")]
fn the_closed_form_is_what_is_replayed() {
    let stage = |(index, (exposure, hours)): (usize, &(u32, u32))| {
        format!("[[stages]]\nname = \"{index}\"\nexposure = \"{exposure}%\"\nduration = \"{hours}h\"\n\n")
    };
    let stages = STAGES.iter().enumerate().map(stage).collect::<Vec<_>>().concat();
    let loaded = Loaded::of_recipe(RECIPE, &(TWO_METRICS.to_owned() + &stages + SCENARIO));
    let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
    let player = loaded.player(&simulator);
    let mut tally = Tally::new(&player);
    player
        .play(&AtomicBool::new(false), |played| played.into_iter().for_each(|replicate| tally.add(&player, replicate)));
    let forms = Forms::new(&player);
    let mut curves = rows::power_curves(&player, &tally);
    let planning = power::planning(&player, &tally, &loaded.digest, &forms, &[], &mut curves);

    let (mut settings, mut agree) = (0, 0);
    println!("gate, exposure, hours, side, closed form, replayed (95 %)");
    for row in &planning.needs {
        for (name, side) in [("pass", &row.pass), ("fail", &row.fail)] {
            let Side { closed_form, simulated, .. } = side.as_ref().expect("both sides have a closed form here");
            let near = *closed_form >= simulated.low - APPROXIMATION && *closed_form <= simulated.high + APPROXIMATION;
            settings += 1;
            agree += u32::from(near);
            println!(
                "{}, {} %, {}, {name}, {closed_form:.3}, {:.3} ({:.3}-{:.3}){}",
                row.gate,
                row.exposure * 100.0,
                row.duration_s / 3600,
                simulated.share,
                simulated.low,
                simulated.high,
                if near { "" } else { " *" }
            );
        }
    }
    assert_eq!(settings, 2 * 4 * STAGES.len() as u32);
    assert!(agree * 100 >= settings * 95, "{agree} of {settings} agree");
    // The line of each power curve as well.
    let points = curves.iter().flat_map(|curve| &curve.points);
    let gaps: Vec<f64> = points
        .flat_map(|point| {
            [(point.fail_closed_form, point.fail.share), (point.pass_closed_form, point.pass.share)]
                .map(|(closed, replayed)| (closed.expect("a closed form") - replayed).abs())
        })
        .collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    assert!(mean < 0.015, "a mean gap of {mean} over {} points", gaps.len());
}
