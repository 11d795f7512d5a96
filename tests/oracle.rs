//! Agreement with an independent program that replays the same log by the same definitions, written a second time.
//!
//! It lies beside the repository, with the log; without them there is nothing to compare, and the tests pass.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use serde::Deserialize;
use serde_json::Value;
use statrs::distribution::{ContinuousCDF, Normal};

use replay::digest;
use replay::domain::world::World;
use replay::outcome::player::Player;
use replay::scenario::Scenario;
use replay::simulate::Simulator;

/// Replicates of either program.
const REPLICATES: f64 = 400.0;

/// What the independent program says of a stage and metric in a world.
#[derive(Debug, Deserialize)]
struct Row {
    stage: String,
    metric: String,
    units_candidate: f64,
    se_end: f64,
    difference_end: f64,
    fixed_fail: f64,
    fixed_pass: f64,
    gs_fail: f64,
}

#[derive(Debug, Deserialize)]
struct Expected {
    rows: Vec<Row>,
}

fn beside(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path)
}

fn shipped(scenario: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(scenario)
}

/// The five metrics, each tested once at the end of a stage.
const ONCE: &str = "llm-shadow-oracle.toml";

/// The same with group-sequential boundaries and a look every 15 minutes.
const SEQUENTIAL: &str = "llm-shadow-sequential.toml";

/// Every pair of numbers that was compared, in standard errors of their difference.
#[derive(Default)]
struct Comparisons {
    found: Vec<(f64, String)>,
}

impl Comparisons {
    fn add(&mut self, what: &str, ours: f64, theirs: f64, error: f64) {
        assert!(error > 0.0 && (ours - theirs).is_finite(), "{what}: {ours} against {theirs}, error {error}");
        self.found.push(((ours - theirs).abs() / error, format!("{what}: {ours} against {theirs}")));
    }

    /// Two shares of 400. The error is Agresti and Caffo's, which holds near 0 and 1, too.
    fn shares(&mut self, what: &str, ours: f64, theirs: f64) {
        let shrunk = |share: f64| (share * REPLICATES + 1.0) / (REPLICATES + 2.0);
        let variance = |share: f64| shrunk(share) * (1.0 - shrunk(share)) / (REPLICATES + 2.0);
        self.add(what, shrunk(ours), shrunk(theirs), (variance(ours) + variance(theirs)).sqrt());
    }

    /// All agree together at a level of 1 %.
    fn check(&self, at_least: usize) {
        assert!(self.found.len() >= at_least, "only {} comparisons", self.found.len());
        let two_sided = 0.01 / (2.0 * self.found.len() as f64);
        let bound = Normal::standard().inverse_cdf(1.0 - two_sided);
        let apart: Vec<_> = self.found.iter().filter(|(z, _)| *z > bound).collect();
        assert!(apart.is_empty(), "more than {bound:.2} standard errors apart: {apart:#?}");
        // Nor are they all a little apart: their squares average 1, with an error of sqrt(2 / n) times a few for dependence.
        let square = self.found.iter().map(|(z, _)| z * z).sum::<f64>() / self.found.len() as f64;
        assert!(square < 2.0, "squared distances average {square:.2} standard errors");
    }
}

/// Per world, stage and gate: coefficient of variation over replicates of the standard error, and of units on the candidate.
struct Spreads {
    of_se: Vec<Vec<Vec<f64>>>,
    of_units: Vec<f64>,
}

fn coefficient_of_variation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (n - 1.0)).sqrt() / mean
}

/// The same replicates once more, one by one: the report holds their means only.
fn spreads(log: &str) -> Spreads {
    let scenario = Scenario::read(&shipped(ONCE)).unwrap_or_else(|error| panic!("{error}"));
    let digest = digest::load(log, &scenario, &|_| ()).unwrap_or_else(|error| panic!("{error}"));
    let simulator = Simulator::new(&digest, &scenario);
    let player = Player::new(&scenario, &simulator, scenario.starts(digest.first, digest.end()));
    let mut all = Vec::new();
    player.play(&AtomicBool::new(false), |played| all.extend(played));
    let (stages, gates) = (scenario.stages.len(), scenario.gates.len());
    let of_se = |kind: &str, stage: usize, gate: usize| {
        let world = match kind {
            "recorded" => World::Recorded,
            "null" => World::Null,
            _ => World::Margin(gate),
        };
        let index = player.worlds.iter().position(|&other| other == world).expect("every run plays it");
        let lens = player.gates[gate].lens_of_world[index];
        let said = all.iter().filter_map(|played| played.verdicts[gate][lens][stage].as_ref());
        coefficient_of_variation(&said.filter_map(|said| said.questions[0].se).collect::<Vec<f64>>())
    };
    let of_stage = |kind, stage| (0..gates).map(|gate| of_se(kind, stage, gate)).collect();
    let of_world = |kind| (0..stages).map(|stage| of_stage(kind, stage)).collect();
    let units = |stage: usize| all.iter().map(|played| played.stages[stage].units).collect::<Vec<f64>>();
    Spreads {
        of_se: WORLDS.map(of_world).into(),
        of_units: (0..stages).map(|stage| coefficient_of_variation(&units(stage))).collect(),
    }
}

const WORLDS: [&str; 3] = ["recorded", "null", "margin"];

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("no number `{key}` in {value}"))
}

fn report(log: &str, scenario: &str) -> Value {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let out = directory.path().join("report");
    let run = Command::new(env!("CARGO_BIN_EXE_replay"))
        .arg(log)
        .arg("--scenario")
        .arg(shipped(scenario))
        .arg("--out")
        .arg(&out)
        .output()
        .expect("the program starts");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = std::fs::read_to_string(out.join("report.json")).expect("a report was written");
    serde_json::from_str(&text).expect("the report is JSON")
}

fn rows<'a>(report: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    report[key].as_array().unwrap_or_else(|| panic!("no list `{key}`")).iter()
}

/// Rates of the gate on a row's metric at its stage.
fn rates<'a>(report: &'a Value, world: usize, row: &Row) -> &'a Value {
    let gate = rows(report, "gates")
        .find(|gate| gate["stage"] == row.stage.as_str() && gate["metric"] == row.metric.as_str())
        .unwrap_or_else(|| panic!("no gate on {} at {}", row.metric, row.stage));
    &gate["rates"][WORLDS[world]]
}

/// What the independent program says of every stage and metric in one world.
fn expected(world: usize) -> Vec<Row> {
    let path = beside("oracle").join(format!("llm-shadow-{}.expected.json", WORLDS[world]));
    let text = std::fs::read_to_string(&path).expect("the expectations can be read");
    let expected: Expected = serde_json::from_str(&text).expect("the expectations are JSON");
    assert_eq!(expected.rows.len(), 20, "four stages and five metrics");
    expected.rows
}

/// The log, where it and the expectations lie beside the repository.
fn log() -> Option<String> {
    let (log, oracle) = (beside("datasets/llm-shadow.parquet"), beside("oracle"));
    if !log.exists() || !oracle.exists() {
        skipped(&oracle);
        return None;
    }
    Some(log.to_str().expect("the repository's path is text").to_owned())
}

/// A stage's comparisons in one world.
fn compare(report: &Value, spreads: &Spreads, world: usize, row: &Row, all: &mut Comparisons) {
    let what = |of: &str| format!("{of} of {} at {} in `{}`", row.metric, row.stage, WORLDS[world]);
    let rates = rates(report, world, row);
    all.shares(&what("failures"), number(&rates["fail"], "share"), row.fixed_fail);
    all.shares(&what("passes"), number(&rates["pass"], "share"), row.fixed_pass);
    // Both are means of 400.
    let mean_error = (2.0 / REPLICATES).sqrt();
    all.add(&what("difference"), number(rates, "difference"), row.difference_end, row.se_end * mean_error);
    let index = |key: &str, name: &str| {
        let named = rows(report, key).map(|entry| entry["name"].as_str().unwrap_or_default());
        named.into_iter().position(|other| other == name).unwrap_or_else(|| panic!("no {key} called {name}"))
    };
    let (stage, metric) = (index("stages", &row.stage), index("metrics", &row.metric));
    let spread = spreads.of_se[world][stage][metric];
    all.add(&what("standard error"), number(rates, "se"), row.se_end, row.se_end * spread * mean_error);
    if world == 0 && metric == 0 {
        let stage_facts = rows(report, "stages").nth(stage).expect("found above");
        let (ours, theirs) = (number(stage_facts, "units_candidate"), row.units_candidate);
        all.add(&what("units"), ours, theirs, theirs * spreads.of_units[stage] * mean_error);
    }
}

#[test]
fn an_independent_program_finds_the_same_rates() {
    let Some(log) = log() else { return };
    let report = report(&log, ONCE);
    assert_eq!(report["replicates"], REPLICATES as u64);
    let spreads = spreads(&log);
    let mut all = Comparisons::default();
    for world in 0..WORLDS.len() {
        for row in expected(world) {
            compare(&report, &spreads, world, &row, &mut all);
        }
    }
    all.check(3 * 20 * 4 + 4);
    // Errors are rare: at 1 % of users the normal interval is too short, and the run says so of itself.
    let check = rows(&report, "self_check").find(|check| {
        check["stage"] == "1%"
            && check["gate"] == "errors"
            && check["error"] == "wrong pass"
            && check["segment"].is_null()
    });
    let check = check.expect("every gate is checked at every stage");
    let rate = number(&check["rate"], "share");
    assert_eq!(check["flagged"], true);
    assert!((0.12..0.25).contains(&rate), "{rate} of replicates pass wrongly");
}

#[test]
fn an_independent_program_crosses_the_same_boundaries() {
    let Some(log) = log() else { return };
    let report = report(&log, SEQUENTIAL);
    let mut all = Comparisons::default();
    for (world, name) in WORLDS.iter().enumerate() {
        for row in expected(world) {
            let ours = number(&rates(&report, world, &row)["fail"], "share");
            all.shares(&format!("failures of {} at {} in `{name}`", row.metric, row.stage), ours, row.gs_fail);
        }
    }
    all.check(60);
}

/// Says why nothing was compared; a test has no other way.
#[expect(clippy::print_stderr, reason = "a skipped comparison must not look like a made one")]
fn skipped(oracle: &Path) {
    eprintln!("skipped: there is no {}", oracle.display());
}
