//! Requests with several outputs: a replicate must sum up as the reference does a log in which each request of each copy of a unit is a
//! row of its own, with the outputs that the copy draws.

use std::collections::BTreeMap;
use std::fs::File;

use polars::prelude::*;
use proptest::prelude::*;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use replay::assign::{KeyedHash, unit_key};
use replay::digest;
use replay::domain::rollout::Sticky;
use replay::scenario::Scenario;
use replay::simulate::Simulator;
use replay::simulate::layout::{Answers, Slice};
use replay::simulate::trajectory::{Arm as ProductArm, Reader, Span};

use crate::crowd::{self, Copied};
use crate::judge::Judge;
use crate::log::{Answer, Log, QUARTER_S, Row};
use crate::plan::{Plan, QUANTILE, RARE};
use crate::{Case, SumsCheck, thresholds};

/// Streams of the hash from which stable's output is drawn, and the candidate's.
const STREAMS: [u32; 2] = [1 << 30, 1 << 31];

/// What was recorded of each request: a row of the log, and the outputs of each version.
struct Recorded {
    requests: Vec<(Row, [Vec<Answer>; 2])>,
}

/// What a request is called: where requests draw, by what tells them apart.
fn name_of(row: &Row, request: usize) -> String {
    row.within.map_or_else(|| format!("request {}", request * 37 % 1009), |(_, part)| format!("part {part}"))
}

impl Recorded {
    /// Up to four outputs of each version; some requests have none.
    fn draw(rng: &mut ChaCha8Rng, log: &Log) -> Self {
        let pool: Vec<Answer> = log.rows.iter().flat_map(|row| [row.stable, row.candidate]).collect();
        let known: Vec<Answer> = pool.into_iter().filter(|answer| *answer != Answer::default()).collect();
        let outputs = |rng: &mut ChaCha8Rng| -> Vec<Answer> {
            let count = *[0, 1, 1, 2, 3, 4].choose(rng).expect("not empty");
            (0..count).filter_map(|_| known.choose(rng).copied()).collect()
        };
        let requests = log.rows.iter().map(|row| (row.clone(), [outputs(rng), outputs(rng)])).collect();
        Self { requests }
    }

    /// A row for each trial, in any order, with its request and its number.
    fn rows(&self, rng: &mut ChaCha8Rng) -> (Vec<Row>, Vec<String>, Vec<u32>) {
        let mut rows = Vec::new();
        for (request, (row, outputs)) in self.requests.iter().enumerate() {
            for trial in 0..outputs[0].len().max(outputs[1].len()).max(1) {
                let [stable, candidate] =
                    [0, 1].map(|version| outputs[version].get(trial).copied().unwrap_or_default());
                rows.push((Row { stable, candidate, ..row.clone() }, name_of(row, request), trial as u32));
            }
        }
        for at in (1..rows.len()).rev() {
            rows.swap(at, rng.random_range(0..=at));
        }
        let (rows, names): (Vec<Row>, Vec<(String, u32)>) =
            rows.into_iter().map(|(row, name, t)| (row, (name, t))).unzip();
        let (names, trials) = names.into_iter().unzip();
        (rows, names, trials)
    }

    /// The log of a replicate: each copy is a unit of its own, and draws an output of each version for each of its requests.
    fn served(&self, slot_s: i64, copies: &[Copied], place: impl Fn(u64, usize, u32) -> f64) -> (Log, Vec<Copied>) {
        let (mut rows, mut own) = (Vec::new(), Vec::new());
        for (unit, copy) in copies.iter().enumerate() {
            for (request, (row, outputs)) in self.requests.iter().enumerate() {
                if row.unit != copy.unit {
                    continue;
                }
                let is_covered = !outputs[1].is_empty();
                let drawn = |version: usize| {
                    let known = &outputs[version];
                    let place = place(unit_key(&name_of(row, request)), version, copy.user.1);
                    let at = (place * known.len() as f64).floor();
                    let at = (0..known.len()).rev().find(|&index| index as f64 <= at);
                    at.filter(|_| is_covered).map_or_else(Answer::default, |at| known[at])
                };
                rows.push(Row { unit, stable: drawn(0), candidate: drawn(1), is_covered, ..row.clone() });
            }
            own.push(Copied { unit, ..*copy });
        }
        // Of a unit that nobody is: slots are counted from the first request of the log, whoever's.
        rows.extend(self.requests.iter().map(|(row, _)| Row { unit: copies.len(), ..row.clone() }));
        (Log { rows, slot_s }, own)
    }
}

/// A case, and what its log was made from.
fn case(seed: u64, rows: usize, units: usize, stages: usize) -> Option<(Case, Recorded)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut plan = Plan::draw(&mut rng, stages, QUARTER_S, false);
    if matches!(plan.sticky, Sticky::Session | Sticky::Cookie) {
        // Which do not go together with several outputs.
        plan.sticky = Sticky::Unit;
    }
    let slots = plan.slots() as i64 + rng.random_range(0..5);
    let mut log = Log::draw(&mut rng, rows, units, slots, QUARTER_S);
    if plan.has_waves() {
        log.settle_tiers();
    }
    let draws = plan.sticky == Sticky::Request;
    if draws {
        log.draw_within(&mut rng, None);
    }
    let recorded = Recorded::draw(&mut rng, &log);
    if !recorded.requests.iter().any(|(_, outputs)| outputs.iter().all(|of| !of.is_empty())) {
        // Such a log is refused: there is nothing to compare.
        return None;
    }
    let (rows, names, trials) = recorded.rows(&mut rng);
    let keys = if draws { "trial = \"trial\"\n" } else { "request = \"request\"\ntrial = \"trial\"\n" };
    let text = plan.text().replacen("[log]\n", &format!("[log]\n{keys}"), 1);
    let scenario = Scenario::parse("scenario.toml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("log.parquet");
    Log { rows, slot_s: QUARTER_S }.write(&path);
    let mut frame = ParquetReader::new(File::open(&path).expect("just written")).finish().expect("just written");
    frame.with_column(Column::new("request".into(), names)).expect("a column of one length");
    frame.with_column(Column::new("trial".into(), trials)).expect("a column of one length");
    ParquetWriter::new(File::create(&path).expect("a new file")).finish(&mut frame).expect("the log is written");
    let place = path.to_str().expect("temporary names are text");
    let digest = digest::load(place, &scenario, &|_| ()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(digest.facts.rows, recorded.requests.len() as u64, "requests are counted, not outputs");
    let start = rng.random_range(0..3);
    Some((Case { log, plan, scenario, digest, start }, recorded))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_copy_of_every_request_is_served_an_output_of_its_own(
        seed in any::<u64>(), rows in 2..150_usize, units in 1..30_usize, stages in 1..4_usize,
    ) {
        let Some((case, recorded)) = case(seed, rows, units, stages) else { return Ok(()) };
        let simulator = Simulator::new(&case.digest, &case.scenario);
        for replicate in 0..2_usize {
            let hash = KeyedHash::of_replicate(case.plan.seed, replicate as u64);
            let copies = crowd::copies(&case.log, &case.plan, replicate as u64);
            let place = |request: u64, version: usize, copy: u32| hash.uniform(request, STREAMS[version] + copy);
            let (log, own) = recorded.served(QUARTER_S, &copies, place);
            let judge = Judge::new(&log, &case.plan, case.start, own, thresholds(&simulator));
            let lane = simulator.replicate(&case.scenario, replicate);
            let lanes: Vec<_> = std::iter::once(lane.clone()).chain(lane.whole()).map(|lane| (case.start, lane)).collect();
            let trajectories = simulator.trajectories(&lanes);
            let reader = Reader { layout: &simulator.layout, trajectory: &trajectories[0] };
            let served = trajectories.last().expect("one at least");
            let checked = SumsCheck { case: &case, judge: &judge, reader, served }.all();
            checked.map_err(|error| TestCaseError::fail(format!("{error}\n{}", case.plan.text())))?;
        }
    }
}

/// What a census expects is the mean over what could be served: exactly for sums, within chance for their squares.
#[test]
fn a_census_is_what_is_served_on_average() {
    // One, two or four outputs: twenty turns serve each equally often.
    let (case, recorded) = case(5, 400, 12, 2).expect("some are mirrored");
    let simulator = Simulator::new(&case.digest, &case.scenario);
    let census = simulator.census(0, simulator.slots(), simulator.slots());
    let reader = Reader { layout: &simulator.layout, trajectory: &census };
    assert_eq!(simulator.layout.slices[0], Slice::Overall);
    let span = Span { look: 0, since: None };
    for (metric, name) in
        crate::plan::NAMES.iter().enumerate().filter(|&(metric, _)| metric != QUANTILE && metric != RARE)
    {
        for (version, answers) in [Answers::Stable, Answers::Candidate].into_iter().enumerate() {
            let found = reader.sums(span, ProductArm::Candidate, answers, 0, metric, None);
            // Per unit: what is expected of Y, and its variance.
            let mut units: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
            let mut exact = true;
            for (row, outputs) in recorded.requests.iter().filter(|(_, outputs)| !outputs[1].is_empty()) {
                let values: Vec<f64> = outputs[version]
                    .iter()
                    .map(|answer| crate::plan::value(metric, answer).map_or(0.0, |(y, _)| y))
                    .collect();
                let count = values.len().max(1) as f64;
                exact &= count != 3.0;
                let mean = values.iter().sum::<f64>() / count;
                let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
                let unit = units.entry(row.unit).or_default();
                *unit = (unit.0 + mean, unit.1 + variance);
            }
            let y: f64 = units.values().map(|unit| unit.0).sum();
            let yy: f64 = units.values().map(|(mean, variance)| mean * mean + variance).sum();
            let scale = crate::plan::SCALE[metric].0 * recorded.requests.len() as f64;
            let error = if exact { 1e-9 } else { 2e-3 };
            assert!((found.y - y).abs() < error * scale, "{name}: {} and {y}", found.y);
            assert!((found.yy / yy - 1.0).abs() < 0.1, "{name}: {} and {yy}", found.yy);
        }
    }
}
