//! Open and check a log, without digesting it. One element is a row.

mod support;

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use polars::prelude::*;
use replay::ingest::{self, Input};
use replay::scenario::Scenario;

fn bench(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut group = criterion.benchmark_group("ingest");
    group.sample_size(10);
    for case in support::cases() {
        let csv = directory.path().join(format!("{}.csv", case.name));
        let rows = write_csv(&case.log, &csv);
        group.throughput(Throughput::Elements(rows));
        let parquet = case.typed();
        group.bench_function(format!("{}, parquet", case.name), |bench| bench.iter(|| open(parquet, &case.scenario)));
        let csv = csv.to_str().expect("temporary paths are text");
        group.bench_function(format!("{}, csv", case.name), |bench| bench.iter(|| open(csv, &case.scenario)));
    }
    group.finish();
}

fn open(log: &str, scenario: &Scenario) {
    let Ok(Input::Log(log)) = ingest::open(log, scenario) else { panic!("{log} is no log without problems") };
    log.check(&|_| {}).expect("the log has no problems");
    black_box(log);
}

/// The same log as CSV; returns the number of rows.
fn write_csv(from: &Path, to: &Path) -> u64 {
    let file = std::fs::File::open(from).expect("the log is there");
    let mut frame = ParquetReader::new(file).finish().expect("the log is Parquet");
    let file = std::fs::File::create(to).expect("the directory can be written");
    CsvWriter::new(file).finish(&mut frame).expect("the disk has room");
    frame.height() as u64
}

criterion_group!(benches, bench);
criterion_main!(benches);
