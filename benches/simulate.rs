//! Rollouts through the whole schedule, on one thread.
//!
//! Measured in two units: a *cell-replicate* is one cell of the digest met by one replicate, and a *sum* is one of the running sums
//! that such a cell adds to: counts and stable's answers to every metric, over all requests and in each segment column that a gate asks
//! by. What the candidate's arm adds on top is not counted, and that many sums need not be touched is not taken off.
//!
//! *one start* is 64 replicates from the first start; *a block* is what the program plays together, replicates of many starts. *limit* is
//! the kernel's own mix of instructions, on rows and weights that stay in the nearest cache and sums that stay in registers.

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fearless_simd::{Level, Simd, SimdBase, dispatch, f64x8};
use replay::digest::{self, Digest};
use replay::outcome::player::Player;
use replay::scenario::Scenario;
use replay::simulate::Simulator;
use replay::simulate::lanes::Lane;
use replay::simulate::layout::Shape;

fn bench(criterion: &mut Criterion) {
    limit(criterion);
    for case in support::cases() {
        let digest = digest::load(case.typed(), &case.scenario, &|_| {}).expect("the log has no problems");
        let starts = case.scenario.starts(digest.first, digest.end());
        let simulator = Simulator::new(&digest, &case.scenario);
        let player = Player::new(&case.scenario, &simulator, starts);
        let first = simulator.slot_at(player.starts[0]);
        let one_start: Vec<(usize, usize)> = (0..64).map(|replicate| (first, replicate)).collect();
        for (name, block) in
            [("one start", one_start), ("a block", player.blocks(case.scenario.simulation.replicates).swap_remove(0))]
        {
            let lane = |&(start, replicate): &(usize, usize)| (start, simulator.replicate(&case.scenario, replicate));
            let lanes: Vec<(usize, Lane)> = block.iter().map(lane).collect();
            let cell_replicates = cells_met(&digest, &simulator, &block) as u64;
            let sums = sums_of_a_cell(&simulator, &case.scenario) as u64;
            for (unit, elements) in [("cell-replicates", cell_replicates), ("sums", cell_replicates * sums)] {
                let mut group = criterion.benchmark_group(format!("simulate, {unit}"));
                group.sample_size(10).throughput(Throughput::Elements(elements));
                let name = format!("{}, {name}, {} replicates, {sums} sums a cell", case.name, lanes.len());
                group.bench_function(name, |bench| bench.iter(|| black_box(simulator.trajectories(&lanes))));
                group.finish();
            }
        }
    }
}

/// Cells that replicates meet from their starts on; those that differ in the item alone are one to the simulation.
fn cells_met(digest: &Digest, simulator: &Simulator, block: &[(usize, usize)]) -> usize {
    let cells = &digest.cells;
    let key = |cell: usize| {
        let segments: Vec<u16> = cells.segment.iter().map(|column| column[cell]).collect();
        (cells.slot[cell], cells.unit[cell], segments)
    };
    let mut before = vec![0; digest.slots as usize + 1];
    for cell in (0..cells.len()).filter(|&cell| cell == 0 || key(cell - 1) != key(cell)) {
        before[cells.slot[cell] as usize + 1] += 1;
    }
    for slot in 1..before.len() {
        before[slot] += before[slot - 1];
    }
    let slots: usize = simulator.plan.iter().map(|stage| stage.slots).sum();
    block.iter().map(|&(start, _)| before[(start + slots).min(before.len() - 1)] - before[start]).sum()
}

fn sums_of_a_cell(simulator: &Simulator, scenario: &Scenario) -> usize {
    let width = |metric: usize| match &simulator.layout.shapes[metric] {
        Shape::Moments => 5,
        Shape::Grid(grid) => 2 + 3 * grid.len(),
    };
    let counts = 3;
    let metrics = 0..scenario.metrics.len();
    let everywhere = counts + metrics.clone().map(width).sum::<usize>();
    let columns = (0..scenario.log.segments.len()).map(|column| {
        let asked = |metric: &usize| scenario.gates.iter().any(|g| g.metric == *metric && g.by.contains(&column));
        let sums: usize = metrics.clone().filter(asked).map(width).sum();
        if sums > 0 { counts + sums } else { 0 }
    });
    everywhere + columns.sum::<usize>()
}

/// As many sums as the kernel keeps in registers.
const SUMS: usize = 6;

/// Sums of eight lanes, as many rows as wait at a look.
fn limit(criterion: &mut Criterion) {
    const ROWS: usize = 256;
    let values: Vec<[f64; SUMS]> = (0..ROWS).map(|row| std::array::from_fn(|at| (row * SUMS + at) as f64)).collect();
    let weights: Vec<[f64; 8]> = (0..ROWS).map(|row| std::array::from_fn(|lane| ((row + lane) % 4) as f64)).collect();
    let mut group = criterion.benchmark_group("simulate, limit");
    group.throughput(Throughput::Elements((ROWS * SUMS * 8) as u64));
    let best = Level::new();
    let mut levels = vec![("widest instructions", best)];
    #[cfg(target_arch = "x86_64")]
    levels.extend(best.as_avx2().map(|avx2| ("AVX2", Level::Avx2(avx2))));
    #[cfg(target_arch = "x86_64")]
    levels.extend(best.as_sse2().map(|sse2| ("SSE2", Level::Sse2(sse2))));
    for (name, level) in levels {
        let mut sums = [[0.0; 8]; SUMS];
        group.bench_function(name, |bench| {
            bench.iter(|| dispatch!(level, simd => add(simd, &mut sums, black_box(&values), black_box(&weights))));
        });
        black_box(sums);
    }
    group.finish();
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "instructions are chosen by the caller")]
fn add<S: Simd>(simd: S, sums: &mut [[f64; 8]; SUMS], values: &[[f64; SUMS]], weights: &[[f64; 8]]) {
    let mut kept = sums.map(|sum| f64x8::from_slice(simd, &sum));
    for (values, weights) in values.iter().zip(weights) {
        let weights = f64x8::from_slice(simd, weights);
        for (kept, &value) in kept.iter_mut().zip(values) {
            *kept += f64x8::splat(simd, value) * weights;
        }
    }
    for (sum, kept) in sums.iter_mut().zip(kept) {
        kept.store_slice(sum);
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
