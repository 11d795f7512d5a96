//! Comparing variants whose gates differ: simulating, judging and counting. One element is one variant of one replicate.
//!
//! A thousand variants, ten thresholds of three gates each, should take at most twice the time of one.

mod support;

use std::hint::black_box;
use std::sync::atomic::AtomicBool;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use replay::digest;
use replay::domain::metric::Margin;
use replay::outcome::comparison::{Reference, Tally, count};
use replay::outcome::variants::{Variants, union};
use replay::scenario::Scenario;
use replay::simulate::Simulator;

const REPLICATES: usize = 64;

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compare");
    group.sample_size(10);
    for case in support::cases() {
        let digest = digest::load(case.typed(), &case.scenario, &|_| {}).expect("the log has no problems");
        let starts = case.scenario.starts(digest.first, digest.end());
        for side in [1, 10] {
            let variants = product(&case.scenario, side);
            let scenarios: Vec<&Scenario> = variants.iter().collect();
            let union = union(&scenarios);
            let simulator = Simulator::new(&digest, &union);
            let judged = Variants::new(scenarios, &simulator, starts.clone());
            group.throughput(Throughput::Elements((REPLICATES * variants.len()) as u64));
            let name = format!("{}, {REPLICATES} replicates, variants: {}", case.name, variants.len());
            group.bench_function(name, |bench| {
                bench.iter(|| {
                    let mut reference = Reference::new(&variants[0]);
                    let tally = |scenario| Tally::new(scenario, &judged.places, 0, &reference);
                    let mut tallies: Vec<Tally<'_>> = variants.iter().map(tally).collect();
                    judged.play(&AtomicBool::new(false), |blocks| count(blocks, &mut tallies, &mut reference, true));
                    black_box(tallies.len());
                });
            });
        }
    }
    group.finish();
}

/// The scenario with `side` thresholds of each of its first three gates that accept some regression, in every combination.
fn product(scenario: &Scenario, side: usize) -> Vec<Scenario> {
    let accepts = |gate: &usize| {
        scenario.gates[*gate].allow.is_some_and(|(Margin::Relative(size) | Margin::Absolute(size))| size > 0.0)
    };
    let gates: Vec<usize> = (0..scenario.gates.len()).filter(accepts).take(3).collect();
    let scaled = |margin: Margin, step: usize| {
        let factor = 0.5 + 0.25 * step as f64;
        match margin {
            Margin::Relative(share) => Margin::Relative(share * factor),
            Margin::Absolute(amount) => Margin::Absolute(amount * factor),
        }
    };
    (0..side * side * side)
        .map(|index| {
            let mut variant = scenario.clone();
            variant.simulation.replicates = REPLICATES;
            for (&gate, step) in gates.iter().zip([index / (side * side), index / side % side, index % side]) {
                variant.gates[gate].allow = variant.gates[gate].allow.map(|allow| scaled(allow, step));
                variant.gates[gate].allow_text = format!("threshold {step}");
            }
            variant
        })
        .collect()
}

criterion_group!(benches, bench);
criterion_main!(benches);
