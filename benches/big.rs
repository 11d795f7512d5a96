//! `replay digest` on a log larger than memory, beside a bare GROUP BY of the query engine on the same columns.
//!
//! ```console
//! replay synth benches/big/recipe.toml -o /tmp/big --shards 100
//! cargo bench --bench big -- /tmp/big
//! ```
//!
//! Both sides run in turn, in one process and on the same threads; caches of the disk are warm after the first, which is
//! not counted. The digest's time is everything that `replay digest` does to the log: it opens and checks it, looks for ids
//! that occur twice, reads all bytes for the fingerprint, and adds up sums and squares of both versions and their pairs and
//! lists of bins. The bare query reads the same columns once, and adds up each by bucket and slot.

use std::path::Path;
use std::time::{Duration, Instant};

use polars::prelude::*;
use replay::digest;
use replay::scenario::Scenario;

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RUNS: usize = 3;
const BUCKETS: u64 = 10_000;

#[expect(clippy::print_stdout, reason = "a comparison of two whole runs is not Criterion's")]
fn main() {
    // Cargo adds `--bench`.
    let log = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let Some(log) = log else {
        println!("no log is named; see the head of benches/big.rs");
        return;
    };
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/big/scenario.toml");
    let scenario = Scenario::read(&scenario).expect("the scenario is checked");
    let rows = digest::load(&log, &scenario, &|_| {}).expect("the log has no problems").facts.rows;
    println!("{rows} rows, {} threads", rayon::current_num_threads());
    for run in 1..=RUNS {
        let digested = timed(|| drop(digest::load(&log, &scenario, &|_| {})));
        let queried = timed(|| drop(bare(&log, &scenario).expect("the log can be read")));
        let rate = |time: Duration| rows as f64 / time.as_secs_f64() / 1e6;
        println!(
            "run {run}: digest {:.2} M rows/s, bare query {:.2} M rows/s, ratio {:.2}",
            rate(digested),
            rate(queried),
            queried.as_secs_f64() / digested.as_secs_f64()
        );
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// The sum of each value column, and the first id, by bucket and slot.
fn bare(log: &str, scenario: &Scenario) -> PolarsResult<DataFrame> {
    let files = PlRefPath::new(format!("{log}/*.parquet"));
    let values = ["success", "quality", "latency_ms", "cost_usd"];
    let values = ["stable", "candidate"].iter().flat_map(|version| values.map(|name| format!("{version}_{name}")));
    let mut sums: Vec<Expr> = values.map(|name| col(name).cast(DataType::Float64).sum()).collect();
    sums.extend([len().alias("rows"), col("request_id").first()]);
    let width = scenario.log.slot.0 * 1_000_000;
    let slot = col("ts").cast(DataType::Int64).map(
        move |times| Ok(times.i64()?.apply_values(|time| time.div_euclid(width)).into_column()),
        |_, field| Ok(field.clone()),
    );
    let bucket = col("user_id").map(
        |units| {
            let buckets: UInt64Chunked = units
                .str()?
                .iter()
                .map(|unit| unit.map(|unit| xxhash_rust::xxh3::xxh3_64(unit.as_bytes()) % BUCKETS))
                .collect();
            Ok(buckets.into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::UInt64)),
    );
    let query = LazyFrame::scan_parquet(files, ScanArgsParquet::default())?.group_by([bucket, slot]).agg(sums);
    Ok(query.collect_with_engine(Engine::Streaming)?.unwrap_single())
}
