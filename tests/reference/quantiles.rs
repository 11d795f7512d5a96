//! A quantile gate asks for shares above thresholds. What it answers is what the quantiles themselves say, up to a step of its grid.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use replay::outcome::player::Player;
use replay::simulate::Simulator;

use crate::Case;
use crate::crowd::{self, Arm, Crowd, Traffic};
use crate::log::{Log, QUARTER_S, Row};
use crate::plan::{Change, Effect, Gate, LEVEL, Margin, Plan, QUANTILE, Stage};
use crate::thresholds;

/// The smallest latency with at least this share of an arm's requests at or below it; every copy's requests count.
fn exact(crowd: &Crowd<'_>, arm: Arm, latency: impl Fn(&Row) -> Option<f64>) -> f64 {
    let of_arm = crowd.members.iter().filter(|member| member.arm == arm);
    let mut values: Vec<f64> = of_arm
        .flat_map(|member| crowd.arrivals.iter().filter(|(row, _, unit)| *unit == member.unit && row.is_covered))
        .filter_map(|(row, ..)| latency(row))
        .collect();
    values.sort_unstable_by(f64::total_cmp);
    let rank = (LEVEL * values.len() as f64).ceil() as usize;
    values[rank.max(1) - 1]
}

#[test]
fn verdicts_agree_with_exact_quantiles() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let log = Log::draw(&mut rng, 8000, 400, 4, QUARTER_S);
    let stage = Stage::plain(0.5, 1, 4);
    let mut plan = Plan::of_gate(stage, Gate::point(QUANTILE, Margin::Percent(5.0), Vec::new()));
    let factors = [0.85, 0.95, 1.0, 1.02, 1.04, 1.07, 1.1, 1.15, 1.3];
    let scaled =
        |factor: f64| Effect { metric: QUANTILE, change: Change::Scale(factor), only: Vec::new(), onset_slots: 0 };
    plan.effects = factors.map(scaled).into();
    let case = Case::new(log, plan, 0);
    let simulator = Simulator::new(&case.digest, &case.scenario);
    let player = Player::new(&case.scenario, &simulator, vec![case.moment()]);
    let grid = thresholds(&simulator).expect("a grid belongs to the quantile");
    let step = grid.value(grid.range.0 + 1) / grid.value(grid.range.0) - 1.0;
    assert!(step < 0.025, "half the margin or less: {step}");

    let (mut clear, mut failed, mut all) = (0, 0, 0);
    for replicate in 0..30_usize {
        let played = player.play_lanes(vec![(0, simulator.replicate(&case.scenario, replicate))]);
        let copies = crowd::copies(&case.log, &case.plan, replicate as u64);
        let arrivals = Traffic::new(&case.log, &case.plan, 0).arrivals(0..4);
        let crowd = Crowd { arrivals, members: crowd::compared(&copies, &case.log, &case.plan, 0, &|_| Some(0)) };
        let stable = exact(&crowd, Arm::Stable, |row| row.stable.latency_ms);
        let would_be = exact(&crowd, Arm::Candidate, |row| row.stable.latency_ms);
        let recorded = exact(&crowd, Arm::Candidate, |row| row.candidate.latency_ms);
        let changed = factors.iter().enumerate().map(|(index, factor)| (3 + index, factor * would_be));
        for (world, candidate) in [(0, recorded), (1, would_be)].into_iter().chain(changed) {
            all += 1;
            let regression = candidate / (1.05 * stable);
            // A step of the grid, and what a few requests in that step may change.
            if regression.ln().abs() < step + 0.02 {
                continue;
            }
            clear += 1;
            let verdict = played[0].verdicts[0][player.gates[0].lens_of_world[world]][0].as_ref().expect("it asks");
            assert_eq!(
                verdict.first_fail.is_some(),
                regression > 1.0,
                "replicate {replicate}, world {world}: {regression}"
            );
            failed += usize::from(regression > 1.0);
        }
    }
    assert!(2 * clear > all && failed > 30 && clear - failed > 30, "{failed} of {clear} fail, of {all}");
}
