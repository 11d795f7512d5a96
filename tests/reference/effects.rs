//! Flipped outcomes are drawn, so the reference cannot repeat them: what must hold of every draw is checked instead.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use replay::simulate::Simulator;
use replay::simulate::layout::{Answers, Slice};
use replay::simulate::trajectory::{Arm, Reader, Span, Trajectory};

use crate::Case;
use crate::log::{Log, QUARTER_S};
use crate::plan::{Gate, Margin, PROPORTIONS, Plan, SIGN, Stage};

const ONSET_LOOKS: usize = 2;

const FLIPS: &str = r#"
[[effects]]
name = "wrong for free users"
metric = "ok"
flip = "20%"
only = { tier = ["free"] }
onset = "1800s"

[[effects]]
name = "slow for free users"
metric = "slow"
flip = "35%"
only = { tier = ["free"] }
onset = "1800s"
"#;

fn case() -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let log = Log::draw(&mut rng, 6000, 60, 6, QUARTER_S);
    let stage = Stage::plain(0.5, 6, 1);
    let mut plan = Plan::of_gate(stage, Gate::point(PROPORTIONS[0], Margin::Percent(1.0), vec![1]));
    plan.gates.push(Gate::point(PROPORTIONS[1], Margin::Percent(1.0), vec![1]));
    let text = plan.text() + FLIPS;
    Case::of_text(log, plan, 0, &text)
}

/// Stable's Y and X in the candidate's arm, and how much the effect adds to Y.
fn flipped(sim: &Simulator, trajectory: &Trajectory, look: usize, slice: usize, stream: usize) -> (f64, f64, f64) {
    let reader = Reader { layout: &sim.layout, trajectory };
    let sums = |answers: Answers| {
        let span = Span { look, since: None };
        reader.sums(span, Arm::Candidate, answers, slice, PROPORTIONS[stream], None)
    };
    let (stable, changed) = (sums(Answers::Stable), sums(Answers::Effect(stream)));
    assert_eq!(
        (stable.x, stable.xx, stable.units),
        (changed.x, changed.xx, changed.units),
        "flips are of outcomes alone"
    );
    (stable.y, stable.x, changed.y - stable.y)
}

#[test]
fn flips_turn_whole_outcomes_bad_where_and_when_they_should() {
    let case = case();
    let simulator = Simulator::new(&case.digest, &case.scenario);
    let lanes: Vec<_> = (0..20).map(|replicate| (0, simulator.replicate(&case.scenario, replicate))).collect();
    for trajectory in simulator.trajectories(&lanes) {
        for (stream, metric) in PROPORTIONS.into_iter().enumerate() {
            for look in 0..6 {
                let (mut overall, mut of_free) = (0.0, 0.0);
                for (index, slice) in simulator.layout.slices.iter().enumerate() {
                    let (_, _, flips) = flipped(&simulator, &trajectory, look, index, stream);
                    let worse = SIGN[metric] * flips;
                    assert!(worse >= 0.0 && worse.fract() == 0.0, "{worse} outcomes turn bad");
                    let free = matches!(*slice, Slice::Segment { column, value }
                        if case.digest.segments[column].values[value] == "free");
                    match slice {
                        Slice::Overall => overall = worse,
                        Slice::Segment { .. } if free => of_free = worse,
                        Slice::Segment { .. } => assert_eq!(worse, 0.0, "only free users are hit"),
                    }
                }
                assert_eq!(overall, of_free);
                assert_eq!(overall > 0.0, look >= ONSET_LOOKS, "after the onset and not before: look {look}");
            }
        }
    }
}

#[test]
fn flips_hit_the_stated_share_of_good_outcomes() {
    let case = case();
    let simulator = Simulator::new(&case.digest, &case.scenario);
    let everybody = simulator.census(0, 6, 6);
    let free = simulator.layout.slices.iter().position(|slice| {
        matches!(*slice, Slice::Segment { column, value } if case.digest.segments[column].values[value] == "free")
    });
    for (stream, (metric, share)) in PROPORTIONS.into_iter().zip([0.2, 0.35]).enumerate() {
        let (y, x, flips) = flipped(&simulator, &everybody, 0, free.expect("free users ask"), stream);
        let good = if SIGN[metric] < 0.0 { y } else { x - y };
        let error = (good * share * (1.0 - share)).sqrt();
        let worse = SIGN[metric] * flips;
        assert!((worse - good * share).abs() < 5.0 * error, "{worse} of {good} turned bad, and {share} should");
        assert!(error < 0.1 * good * share, "{good} good outcomes are enough to tell");
    }
}
