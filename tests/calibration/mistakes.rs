//! What goes wrong when requests, or copies that share an assignment, are taken for units.

use replay::assign::{KeyedHash, unit_key};
use replay::digest::Digest;
use replay::digest::cells::MetricCells;
use replay::domain::version::Version;
use replay::simulate::Simulator;
use replay::simulate::layout::Answers;
use replay::simulate::trajectory::{Arm, Reader, Span};
use replay::stats::cluster::UnitSums;
use replay::stats::normal;

use crate::ALPHA;
use crate::support::{Loaded, within};

const REPLICATES: usize = 1500;

const SCENARIO: &str = r#"
[log]
timestamp = "ts"

[assignment]
unit = "user_id"

[metrics.success]
kind = "proportion"
column = "{version}_success"
better = "higher"

[[stages]]
name = "30%"
exposure = "30%"
duration = "14d"
look_every = "14d"

[[gates]]
name = "success"
metric = "success"
allow = "0%"

[simulation]
replicates = 1500
seed = 3
"#;

fn support_bot() -> Loaded {
    Loaded::of(concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/support-bot.parquet"), SCENARIO)
}

/// Both versions answer alike, so every alarm is false.
fn alarms(candidate: &UnitSums, stable: &UnitSums, variance: impl Fn(&UnitSums) -> f64) -> bool {
    let ratio = |sums: &UnitSums| sums.ratio().expect("both arms have requests");
    let worse = ratio(stable) - ratio(candidate);
    worse > normal::upper_quantile(ALPHA) * (variance(candidate) + variance(stable)).sqrt()
}

/// Of a share of requests, had each been drawn on its own.
fn variance_of_requests(sums: &UnitSums) -> f64 {
    let share = sums.y / sums.x;
    share * (1.0 - share) / sums.x
}

fn variance_of_units(sums: &UnitSums) -> f64 {
    sums.ratio_variance().expect("an arm has two units or more")
}

#[test]
fn requests_are_no_units() {
    let loaded = support_bot();
    let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
    let (mut by_unit, mut by_request) = (0, 0);
    let replicates: Vec<usize> = (0..REPLICATES).collect();
    for some in replicates.chunks(100) {
        let lanes: Vec<_> = some.iter().map(|&index| (0, simulator.replicate(&loaded.scenario, index))).collect();
        for trajectory in simulator.trajectories(&lanes) {
            let reader = Reader { layout: &simulator.layout, trajectory: &trajectory };
            let [candidate, stable] = [Arm::Candidate, Arm::Stable]
                .map(|arm| reader.sums(Span { look: 0, since: None }, arm, Answers::Stable, 0, 0, None));
            by_unit += usize::from(alarms(&candidate, &stable, variance_of_units));
            by_request += usize::from(alarms(&candidate, &stable, variance_of_requests));
        }
    }
    assert!(within(by_unit, REPLICATES, ALPHA), "{by_unit} alarms by users");
    assert!(by_request as f64 > 2.0 * ALPHA * REPLICATES as f64, "{by_request} alarms by requests");
}

/// Y and X of every unit over the whole log, under stable.
fn totals(digest: &Digest) -> Vec<(f64, f64)> {
    let MetricCells::Sums(sums) = &digest.cells.metrics[0] else { panic!("a proportion has sums") };
    let stable = sums.version.get(Version::Stable);
    let mut totals = vec![(0.0, 0.0); digest.units.len()];
    for (cell, &unit) in digest.cells.unit.iter().enumerate() {
        let (y, x) = &mut totals[unit as usize];
        *y += stable.num[cell];
        *x += stable.den(cell);
    }
    totals
}

fn add(arm: &mut UnitSums, (y, x): (f64, f64), copies: f64) {
    arm.units += copies;
    arm.y += copies * y;
    arm.x += copies * x;
    arm.yy += copies * y * y;
    arm.yx += copies * y * x;
    arm.xx += copies * x * x;
}

#[test]
fn copies_that_share_an_assignment_are_no_units() {
    let loaded = support_bot();
    let totals = totals(&loaded.digest);
    let keys: Vec<u64> = loaded.digest.units.iter().map(|unit| unit_key(unit)).collect();
    let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
    let (mut shared, mut own) = (0, 0);
    for replicate in 0..REPLICATES {
        let hash = KeyedHash::of_replicate(11, replicate as u64);
        let lane = simulator.replicate(&loaded.scenario, replicate);
        let mut arms_shared = [UnitSums::default(); 2];
        let mut arms_own = [UnitSums::default(); 2];
        for (unit, &total) in totals.iter().enumerate() {
            let (copies, exposed) = (f64::from(lane.copies[unit]), f64::from(lane.exposed[0][unit]));
            let together = usize::from(hash.uniform(keys[unit], 0) < 0.3);
            add(&mut arms_shared[together], total, copies);
            add(&mut arms_own[1], total, exposed);
            add(&mut arms_own[0], total, copies - exposed);
        }
        shared += usize::from(alarms(&arms_shared[1], &arms_shared[0], variance_of_units));
        own += usize::from(alarms(&arms_own[1], &arms_own[0], variance_of_units));
    }
    assert!(within(own, REPLICATES, ALPHA), "{own} alarms where every copy is assigned on its own");
    // Counted twice, the variance is half of what it should be: P(Z > 1.645 / sqrt(2)) is 12 %.
    let expected = normal::upper_tail(normal::upper_quantile(ALPHA) / 2.0_f64.sqrt());
    assert!(shared as f64 > 0.8 * expected * REPLICATES as f64, "{shared} alarms where copies share an assignment");
}
