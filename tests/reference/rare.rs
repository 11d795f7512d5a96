//! Worlds of a rare metric: as many units have an event as the world says, and each arm gets its share of them.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use replay::simulate::Simulator;
use replay::simulate::layout::{Answers, Layout, Slice, Stream};
use replay::simulate::trajectory::{Arm, Reader, Span, Trajectory};

use crate::Case;
use crate::log::{Log, QUARTER_S};
use crate::plan::{Gate, Margin, Plan, RARE, Stage};

const EFFECTS: &str = r#"
[[effects]]
name = "stuck half as often"
metric = "stuck"
scale = 0.5

[[effects]]
name = "stuck one and a half times as often in the EU"
metric = "stuck"
scale = 1.5
only = { region = ["eu"] }
"#;

const STAGE: Stage = Stage::plain(0.3, 24, 1);

fn case() -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let log = Log::draw(&mut rng, 4000, 1500, 24, QUARTER_S);
    let mut plan = Plan::of_gate(STAGE, Gate::point(RARE, Margin::Percent(40.0), vec![0]));
    plan.gates.push(Gate::point(RARE, Margin::Absolute(0.1), vec![]));
    plan.gates.push(Gate { allow: None, limit: Some(0.07), ..Gate::point(RARE, Margin::Percent(0.0), vec![]) });
    let text = plan.text() + EFFECTS;
    Case::of_text(log, plan, 0, &text)
}

fn streams(layout: &Layout) -> Vec<(usize, f64, f64)> {
    let of = |(index, stream): (usize, &Stream)| match *stream {
        Stream::Excess { scale, shift, .. } => Some((index, scale, shift)),
        Stream::Effect(_) | Stream::Adjusted { .. } => None,
    };
    layout.streams.iter().enumerate().filter_map(of).collect()
}

#[test]
fn as_many_units_have_an_event_as_the_world_says() {
    let case = case();
    let simulator = Simulator::new(&case.digest, &case.scenario);
    let layout = &simulator.layout;
    let census = simulator.census_of_schedule(case.start);
    let reader = Reader { layout, trajectory: &census };
    let kept = streams(layout);
    // Six multiples of two margins, and the limit.
    assert_eq!((kept.len(), layout.streams.len()), (13, 15));
    let mut checked = 0;
    for look in 0..STAGE.looks {
        let span = Span { look, since: None };
        for slice in 0..layout.slices.len() {
            let sums = |answers| reader.sums(span, Arm::Candidate, answers, slice, RARE, None);
            let stable = sums(Answers::Stable);
            assert!(stable.y <= stable.x && stable.x <= stable.units, "{stable:?}");
            for &(stream, scale, shift) in &kept {
                let world = sums(Answers::Effect(stream));
                assert_eq!((world.x, world.yy, world.yx, world.xx), (stable.x, world.y, world.y, stable.x));
                let wanted = scale * stable.y + shift * stable.x;
                assert!(world.y <= wanted + 1e-6, "look {look}: {} of {wanted}", world.y);
                // Where most units have an event, whoever should have the next may not have asked again yet.
                let soon = wanted < 0.4 * stable.x;
                assert!(!soon || world.y > wanted - 3.0, "look {look}: {} of {wanted} among {}", world.y, stable.x);
                checked += usize::from(soon);
            }
            // Half of the units with an event keep it.
            let halved = sums(Answers::Effect(0)).y;
            assert!((halved - 0.5 * stable.y).abs() <= 1.0, "{halved} of {}", stable.y);
        }
    }
    assert!(checked > 300, "{checked}");
    let of = |wanted: &str| {
        let named = |slice: &&Slice| matches!(slice, Slice::Segment { column: 0, value } if case.digest.segments[0].values[*value] == wanted);
        layout.slices.iter().position(|slice| named(&slice)).expect("the log has the value")
    };
    let (eu, rest) = (of("eu"), of("us"));
    let end = |slice, answers| {
        reader.sums(Span { look: STAGE.looks - 1, since: None }, Arm::Candidate, answers, slice, RARE, None).y
    };
    assert!((end(eu, Answers::Effect(1)) - 1.5 * end(eu, Answers::Stable)).abs() < 2.0);
    assert!((end(rest, Answers::Effect(1)) - end(rest, Answers::Stable)).abs() < 1e-9);
}

/// Which arm a unit is in decides nothing about its events, so either arm gets its share of those that a world adds.
#[test]
fn added_events_fall_into_the_arms_by_exposure() {
    let case = case();
    let simulator = Simulator::new(&case.digest, &case.scenario);
    let span = Span { look: STAGE.looks - 1, since: None };
    let lane = |replicate| (case.start, simulator.replicate(&case.scenario, replicate));
    let lanes: Vec<_> = (0..400).map(lane).collect();
    let census = simulator.census_of_schedule(case.start);
    for (stream, ..) in streams(&simulator.layout) {
        let events = |trajectory: &Trajectory| {
            Reader { layout: &simulator.layout, trajectory }
                .sums(span, Arm::Candidate, Answers::Effect(stream), 0, RARE, None)
                .y
        };
        let found: Vec<f64> = simulator.trajectories(&lanes).iter().map(events).collect();
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        let expected = STAGE.exposure * events(&census);
        // Copies are Poisson: so is the count.
        let error = (expected / found.len() as f64).sqrt();
        assert!((mean - expected).abs() < 4.0 * error, "{mean}, expected {expected}");
        let variance = found.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / found.len() as f64;
        assert!((variance / expected - 1.0).abs() < 0.35, "{variance}, expected {expected}");
    }
}
