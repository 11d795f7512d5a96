//! The table of error rates in README's method section.
//!
//! `cargo test --release --locked --test calibration -- --ignored --nocapture error_rates`

use replay::domain::world::World;
use replay::outcome::player::Player;
use replay::simulate::Simulator;
use replay::stats::interval::wilson;

use crate::ALPHA;
use crate::support::{Loaded, replicates};

/// Units per arm, logs, and replicates of each log. Small logs differ more from each other than replicates of one do.
const SIZES: [(usize, usize, usize); 3] = [(40, 200, 10), (400, 50, 40), (4000, 10, 200)];

/// Metric, margin, and where the standard error comes from.
const METRICS: [(&str, &str, &str); 11] = [
    ("quality", "2%", "wald"),
    ("quality", "2%", "score"),
    ("cost", "5%", "wald"),
    ("cost", "5%", "score"),
    ("cost per token", "5%", "wald"),
    ("cost per token", "5%", "score"),
    ("success", "2pp", "wald"),
    ("success", "2pp", "score"),
    ("errors", "1pp", "score"),
    ("latency", "10%", "wald"),
    ("latency", "10%", "score"),
];

const TESTS: [(&str, &str); 4] = [
    ("fixed, at the end", "test = \"fixed\"\nlooks = \"end\""),
    ("group-sequential", "test = \"group-sequential\""),
    ("confidence-sequence", "test = \"confidence-sequence\""),
    ("point", "test = \"point\""),
];

/// Counts of units and of requests, and ranks of points.
const COUNTS: [(&str, &str, &str, &str); 5] = [
    ("incidents", "100%", "exact, at the end", "test = \"exact\"\nlooks = \"end\""),
    ("incidents", "100%", "exact", "test = \"exact\""),
    ("incidents", "100%", "max-sprt", "test = \"max-sprt\""),
    ("incidents", "100%", "e-process", "test = \"e-process\""),
    ("success", "2pp", "mann-whitney, at the end", "test = \"mann-whitney\"\nlooks = \"end\""),
];

/// Users differ by a Pareto law in how much they send and by a normal one in how they fare; the largest sends what is stated.
fn recipe(units: usize, seed: usize) -> String {
    let users = 2 * units;
    let largest = if units < 100 { 0.08 } else { 8.0 / units as f64 };
    format!(
        r#"
about = "Nothing changes"
seed = {seed}
start = "2026-11-02T00:00:00Z"
days = 2
requests = {requests}

[users]
count = {users}
tail = {{ pareto = 1.35 }}
largest = {largest}

[sessions]
requests = 2.4
gap_s = 75

[traffic]
daily_amplitude = 0.3
peak_hour = 14
weekend = 1

[outcomes.success]
rate = 0.9
user_sd = 0.8
agreement = 0.5

[outcomes.quality]
mean = 0.8
sd = 1.0
user_sd = 0.5
agreement = 0.5

[outcomes.output_tokens]
median = 180
sd = 0.45
user_sd = 0.3
agreement = 0.6

[outcomes.latency_ms]
median = 1900
sd = 0.4
user_sd = 0.3
agreement = 0.4
slow = {{ share = 0.03, pareto = 1.6 }}
max = 60000

[outcomes.cost_usd]
per_request = 0.0011
per_output_token = 0.000012
sd = 0.8

[outcomes.error]
rate = 0.02
user_sd = 0.6
agreement = 0.3
"#,
        requests = 8 * users
    )
}

fn scenario(replicates: usize) -> String {
    let head = format!(
        r#"
[log]
timestamp = "ts"

[assignment]
unit = "user_id"

[metrics.quality]
kind = "mean"
column = "{{version}}_quality"
better = "higher"

[metrics.cost]
kind = "mean"
column = "{{version}}_cost_usd"
better = "lower"

[metrics."cost per token"]
kind = "ratio"
numerator = "{{version}}_cost_usd"
denominator = "{{version}}_output_tokens"
better = "lower"

[metrics.success]
kind = "proportion"
column = "{{version}}_success"
better = "higher"

[metrics.errors]
kind = "proportion"
column = "{{version}}_error"
better = "lower"

[metrics.incidents]
kind = "rare"
column = "{{version}}_error"
better = "lower"

[metrics.latency]
kind = "quantile"
quantile = 0.95
column = "{{version}}_latency_ms"
better = "lower"

[[stages]]
name = "50%"
exposure = "50%"
duration = "40h"
look_every = "2h"

[simulation]
replicates = {replicates}
seed = 5
"#
    );
    let gate = |(gate, (metric, allow, style, _, test)): (usize, (&str, &str, &str, &str, &str))| {
        let style = if style == "score" { "style = \"score\"" } else { "" };
        let units = if test.contains("point") { "" } else { "min_units = 20" };
        format!(
            "\n[[gates]]\nname = \"{gate}\"\nmetric = \"{metric}\"\nallow = \"{allow}\"\n{test}\n{style}\n{units}\n"
        )
    };
    std::iter::once(head).chain(gates().enumerate().map(gate)).collect()
}

/// Metric, margin, style, name of the test and test of every gate.
fn gates() -> impl Iterator<Item = (&'static str, &'static str, &'static str, &'static str, &'static str)> {
    let every = METRICS.iter().flat_map(|&metric| TESTS.iter().map(move |&test| (metric, test)));
    // A bare threshold has no standard error.
    let intervals = every
        .map(|((metric, allow, style), (name, test))| (metric, allow, style, name, test))
        .filter(|(_, _, style, name, _)| *style == "wald" || *name != "point");
    intervals.chain(COUNTS.iter().map(|&(metric, allow, name, test)| (metric, allow, "wald", name, test)))
}

/// What became of one gate in the world of its margin.
#[derive(Clone, Default)]
struct Counts {
    /// Per log: wrong failures, wrong passes, replicates with data at the end.
    logs: Vec<[f64; 3]>,
}

impl Counts {
    /// A share of all replicates with its interval; replicates of one log are a cluster.
    fn share(&self, kind: usize, replicates: f64) -> (f64, f64, f64) {
        let logs = self.logs.len() as f64;
        let shares: Vec<f64> = self.logs.iter().map(|log| log[kind] / replicates).collect();
        let mean = shares.iter().sum::<f64>() / logs;
        let between = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / (logs - 1.0) / logs;
        let binomial = mean * (1.0 - mean) / (logs * replicates);
        let trials = logs * replicates * (binomial / between.max(binomial)).min(1.0);
        let trials = if trials.is_finite() { trials } else { logs * replicates };
        let (low, high) = wilson(mean * trials, trials, 0.95);
        (mean, low, high)
    }
}

fn play(units: usize, logs: usize, per_log: usize) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); gates().count()];
    for log in 0..logs {
        let loaded = Loaded::of_recipe(&recipe(units, 1000 * units + log), &scenario(per_log));
        let simulator = Simulator::new(&loaded.digest, &loaded.scenario);
        let player: Player<'_> = loaded.player(&simulator);
        let world = |gate: usize| {
            player.worlds.iter().position(|&world| world == World::Margin(gate)).expect("every gate has one")
        };
        let all = replicates(&player);
        for (gate, counts) in counts.iter_mut().enumerate() {
            let lens = player.gates[gate].lens_of_world[world(gate)];
            let records = all.iter().filter_map(|played| played.verdicts[gate][lens][0].as_ref());
            counts.logs.push(records.fold([0.0; 3], |[failed, passed, data], said| {
                let one = |flag: bool| f64::from(u8::from(flag));
                let question = &said.questions[0];
                [
                    failed + one(question.failed),
                    passed + one(question.passed),
                    data + one(question.difference.is_some()),
                ]
            }));
        }
    }
    counts
}

#[test]
#[ignore = "takes minutes; prints the README's table"]
#[expect(clippy::print_stdout, reason = "the table is what it is run for")]
fn error_rates() {
    println!("| metric | test | 40 units per arm | 400 | 4,000 |");
    println!("|---|---|---|---|---|");
    let sizes = SIZES.map(|(units, logs, per_log)| (per_log as f64, play(units, logs, per_log)));
    for (gate, (metric, _, style, name, _)) in gates().enumerate() {
        let style = if style == "score" { ", score" } else { "" };
        let cell = |(per_log, counts): &(f64, Vec<Counts>)| {
            let percent = |kind: usize| {
                let (share, low, high) = counts[gate].share(kind, *per_log);
                let flag = if low > ALPHA { " †" } else { "" };
                format!("{:.1} ({:.1}–{:.1}){flag}", 100.0 * share, 100.0 * low, 100.0 * high)
            };
            let (data, ..) = counts[gate].share(2, *per_log);
            let silent = if data < 0.95 { format!(" (a verdict in {:.0} %)", 100.0 * data) } else { String::new() };
            format!("{} / {}{silent}", percent(0), percent(1))
        };
        let cells: Vec<String> = sizes.iter().map(cell).collect();
        println!("| {metric}{style} | {name} | {} |", cells.join(" | "));
    }
}
