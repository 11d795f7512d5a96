//! A group of replicates through the whole schedule, on one thread.
//!
//! Measured twice, in two units: a *cell-replicate* is one cell of the digest met by one replicate, and a *sum* is one
//! of the running sums that such a cell adds to: counts and stable's answers to every metric, over all requests and in
//! each segment column that a gate asks by. What the candidate's arm adds on top, in proportion to exposure, is not
//! counted.

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use replay::digest::{self, Digest};
use replay::scenario::Scenario;
use replay::simulate::Simulator;
use replay::simulate::lanes::Lane;
use replay::simulate::layout::Shape;

/// Replicates that share a start are played in groups of this many.
const LANES: usize = 16;

fn bench(criterion: &mut Criterion) {
    for case in support::cases() {
        let digest = digest::load(case.typed(), &case.scenario, &|_| {}).expect("the log has no problems");
        let starts = case.scenario.starts(digest.first, digest.end());
        let simulator = Simulator::new(&digest, &case.scenario);
        let start = simulator.slot_at(starts[0]);
        let lanes: Vec<Lane> = (0..LANES).map(|replicate| simulator.replicate(&case.scenario, replicate)).collect();
        let slots: usize = simulator.plan.iter().map(|stage| stage.slots).sum();
        let cell_replicates = (cells_between(&digest, start, start + slots) * LANES) as u64;
        let sums = sums_of_a_cell(&simulator, &case.scenario) as u64;
        let units = [("cell-replicates", cell_replicates), ("sums", cell_replicates * sums)];
        for (unit, elements) in units {
            let mut group = criterion.benchmark_group(format!("simulate, {unit}"));
            group.sample_size(10).throughput(Throughput::Elements(elements));
            let name = format!("{}, {LANES} replicates, {sums} sums a cell", case.name);
            group.bench_function(name, |bench| bench.iter(|| black_box(simulator.trajectories(start, &lanes))));
            group.finish();
        }
    }
}

/// Cells from one slot to another; those that differ in the item alone are one to the simulation.
fn cells_between(digest: &Digest, first: usize, end: usize) -> usize {
    let cells = &digest.cells;
    let key = |cell: usize| {
        let segments: Vec<u16> = cells.segment.iter().map(|column| column[cell]).collect();
        (cells.slot[cell], cells.unit[cell], segments)
    };
    let inside = |cell: &usize| (first..end).contains(&(cells.slot[*cell] as usize));
    (0..cells.len()).filter(inside).filter(|&cell| cell == 0 || key(cell - 1) != key(cell)).count()
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

criterion_group!(benches, bench);
criterion_main!(benches);
