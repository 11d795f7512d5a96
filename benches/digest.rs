//! The one GROUP BY, with the checks of all rows. One element is a row.

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use replay::digest::build;
use replay::ingest::{self, Input};

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("digest");
    group.sample_size(10);
    for case in support::cases() {
        let Ok(Input::Log(log)) = ingest::open(case.typed(), &case.scenario) else {
            panic!("{} is no log without problems", case.name)
        };
        let rows = build::build(&log, &case.scenario, &|_| {}).expect("the log can be digested").facts.rows;
        group.throughput(Throughput::Elements(rows));
        group.bench_function(case.name, |bench| bench.iter(|| black_box(build::build(&log, &case.scenario, &|_| {}))));
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
