//! Judging finished trajectories, on one thread. One element is one question of a gate, asked at one look of one
//! replicate under one lens: a world's or a power curve's way of showing the gate's metric.

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use replay::digest;
use replay::domain::gate::Looks;
use replay::gate::question::Against;
use replay::outcome::player::{Player, Twins};
use replay::outcome::recovery::Rollback;
use replay::simulate::Simulator;
use replay::simulate::lanes::Lane;

/// As in the program, where replicates that share a start are played in groups.
const LANES: usize = 16;

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    group.sample_size(10);
    for case in support::cases() {
        let digest = digest::load(case.typed(), &case.scenario, &|_| {}).expect("the log has no problems");
        let starts = case.scenario.starts(digest.first, digest.end());
        let simulator = Simulator::new(&digest, &case.scenario);
        let player = Player::new(&case.scenario, &simulator, starts);
        let start = simulator.slot_at(player.starts[0]);
        let lane = |replicate| (start, simulator.replicate(&case.scenario, replicate));
        let lanes: Vec<(usize, Lane)> = (0..LANES).map(lane).collect();
        let trajectories = simulator.trajectories(&lanes);
        let planned = player.planned(&simulator.census_of_schedule(start));
        group.throughput(Throughput::Elements((LANES * questions(&player)) as u64));
        let name = format!("{}, {LANES} replicates, {} worlds", case.name, player.worlds.len());
        group.bench_function(name, |bench| {
            bench.iter(|| {
                for trajectory in &trajectories {
                    black_box(player.judge(Twins::alone(trajectory), &planned, Rollback::median(player.scenario)));
                }
            });
        });
    }
    group.finish();
}

/// Questions that one replicate asks.
fn questions(player: &Player<'_>) -> usize {
    let mut asked = 0;
    for (gate, plan) in player.gates.iter().enumerate() {
        for stage in player.scenario.stages.iter().filter(|stage| stage.looks() > 0) {
            let looks = if player.scenario.gates[gate].looks == Looks::End { 1 } else { stage.looks() };
            let open = |against: Against| stage.has_control() || matches!(against, Against::Limit(_));
            let questions = plan.questions.iter().filter(|question| open(question.against)).count();
            asked += looks * questions * plan.lenses.len();
        }
    }
    asked
}

criterion_group!(benches, bench);
criterion_main!(benches);
