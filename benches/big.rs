//! `replay digest` on a log larger than memory, beside GROUP BYs of the query engine on the same columns.
//!
//! ```console
//! replay synth benches/big/recipe.toml -o /tmp/big --shards 100
//! cargo bench --bench big -- /tmp/big
//! ```
//!
//! All run in turn, in one process and on the same threads; caches of the disk are warm after the first, which is not
//! counted. Beside the time on the clock stands the processor's, which other programs disturb less.
//!
//! - `digest`: everything that `replay digest` does to the log before it writes. It opens and checks it, looks for ids that
//!   occur twice, reads all bytes for the fingerprint, and adds up sums and squares of both versions and their pairs and lists
//!   of bins.
//! - `bare`: the sum of each column by bucket and slot, and nothing else.
//! - `alike`: as a user would write the digest's sums and lists in the query engine, without checks and without making sums
//!   independent of the order of rows; then distinct ids are counted in a query of their own.

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

#[expect(clippy::print_stdout, reason = "a comparison of whole runs is not Criterion's")]
fn main() {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let Some(log) = arguments.next() else {
        println!("no log is named; see the head of benches/big.rs");
        return;
    };
    let only = arguments.next();
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/big/scenario.toml");
    let scenario = Scenario::read(&scenario).expect("the scenario is checked");
    let width = scenario.log.slot.0 * 1_000_000;
    let digest = || digest::load(&log, &scenario, &|_| {}).expect("the log has no problems").facts.rows;
    let bare = || grouped(&log, width, bare()).expect("the log can be read");
    let alike = || {
        let sums = grouped(&log, width, alike()).expect("the log can be read");
        assert_eq!(sums, distinct_ids(&log).expect("the log can be read"), "an id occurs twice");
        sums
    };
    let sides: [(&str, &dyn Fn() -> u64); 3] = [("digest", &digest), ("bare", &bare), ("alike", &alike)];
    println!("{} threads", rayon::current_num_threads());
    for run in 0..=RUNS {
        for (name, side) in sides.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name)) {
            let (clock, processor) = (Instant::now(), processor_time());
            let rows = side() as f64 / 1e6;
            let (clock, processor) = (clock.elapsed(), processor_time().saturating_sub(processor));
            if run > 0 {
                let (clock, processor) = (clock.as_secs_f64(), processor.as_secs_f64());
                let per_second = rows / processor;
                println!("run {run}, {name}: {clock:.2} s, processor {processor:.2} s: {per_second:.2} M rows/s of it");
            }
        }
    }
}

/// What all threads of this process have used so far, in user and system.
fn processor_time() -> Duration {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 and 15, counted after the name of the program; in hundredths of a second on every Linux.
    let fields = status.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ').skip(11).take(2);
    Duration::from_millis(10 * fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>())
}

const METRICS: [&str; 4] = ["success", "quality", "latency_ms", "cost_usd"];

fn value(version: &str, metric: &str) -> Expr {
    col(format!("{version}_{metric}")).cast(DataType::Float64)
}

/// The sum of each value column, and the first id.
fn bare() -> Vec<Expr> {
    let values = ["stable", "candidate"].iter().flat_map(|version| METRICS.map(|metric| (version, metric)));
    let mut sums: Vec<Expr> =
        values.map(|(version, metric)| value(version, metric).sum().alias(format!("{version} {metric}"))).collect();
    sums.push(col("request_id").first());
    sums
}

/// The sums and lists that the digest keeps.
fn alike() -> Vec<Expr> {
    let covered = METRICS.map(|metric| value("candidate", metric).is_not_null()).into_iter().reduce(Expr::or);
    let covered = covered.expect("there are metrics");
    let mut sums = vec![covered.clone().sum().alias("covered")];
    let of = |version: &str, metric: &str| {
        when(covered.clone()).then(value(version, metric)).otherwise(lit(NULL).cast(DataType::Float64))
    };
    for metric in ["success", "quality", "cost_usd"] {
        let (stable, candidate) = (of("stable", metric), of("candidate", metric));
        for (version, value) in [("stable", &stable), ("candidate", &candidate)] {
            sums.push(value.clone().is_not_null().sum().alias(format!("{version} {metric} n")));
            sums.push(value.clone().sum().alias(format!("{version} {metric}")));
            sums.push((value.clone() * value.clone()).sum().alias(format!("{version} {metric} squared")));
        }
        let pair = stable.clone().is_not_null().and(candidate.clone().is_not_null());
        sums.push(pair.clone().sum().alias(format!("pairs {metric}")));
        for (version, value) in [("stable", &stable), ("candidate", &candidate)] {
            let paired = when(pair.clone()).then(value.clone()).otherwise(lit(0.0));
            sums.push(paired.sum().alias(format!("{version} {metric} paired")));
        }
        if metric == "success" {
            sums.push((stable * candidate).sum().alias("both succeed"));
        }
    }
    for version in ["stable", "candidate"] {
        let latency = of(version, "latency_ms").map(
            |values| {
                let bins: Int16Chunked =
                    values.f64()?.iter().map(|value| value.map(replay::digest::bins::bin)).collect();
                Ok(bins.into_column())
            },
            |_, field| Ok(Field::new(field.name().clone(), DataType::Int16)),
        );
        sums.push(latency.alias(format!("{version} bins")));
    }
    sums
}

/// Adds up by bucket and slot; gives the number of rows.
fn grouped(log: &str, width: i64, mut sums: Vec<Expr>) -> PolarsResult<u64> {
    let files = PlRefPath::new(format!("{log}/*.parquet"));
    sums.push(len().alias("rows"));
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
    let cells = query.collect_with_engine(Engine::Streaming)?.unwrap_single();
    Ok(cells.column("rows")?.u32()?.into_no_null_iter().map(u64::from).sum())
}

fn distinct_ids(log: &str) -> PolarsResult<u64> {
    let files = PlRefPath::new(format!("{log}/*.parquet"));
    let query = LazyFrame::scan_parquet(files, ScanArgsParquet::default())?.select([col("request_id").n_unique()]);
    let ids = query.collect_with_engine(Engine::Streaming)?.unwrap_single();
    Ok(ids.column("request_id")?.u32()?.into_no_null_iter().map(u64::from).sum())
}
