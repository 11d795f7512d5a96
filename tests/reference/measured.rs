//! Judges and missing values: the program on a log as recorded, with its keys set, must replay as the reference does on the log that
//! they mean, changed row by row.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use replay::domain::rollout::Sticky;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::log::{Answer, Log, QUARTER_S, Row};
use crate::plan::Plan;
use crate::{Case, check};

/// Share of requests that the judge of quality is asked about.
const SHARE: f64 = 0.6;

/// What a missing quality and a missing latency count as.
const WORST_QUALITY: f64 = -1.0;
const WORST_MS: f64 = 7000.0;

/// How often the judge of `ok` is right.
const SENSITIVITY: f64 = 0.9;
const SPECIFICITY: f64 = 0.75;

/// The keys, each after a line that occurs once.
const KEYS: [(&str, &str); 5] = [
    ("column = \"{version}_quality\"\n", "null_means = \"worst\"\nworst = -1\nmeasured = { share = \"60%\" }\n"),
    ("column = \"{version}_ok\"\n", "null_means = \"fail\"\nmeasured = { sensitivity = 0.9, specificity = \"75%\" }\n"),
    ("over = 500\n", "null_means = \"fail\"\n"),
    ("over = 3000\n", "null_means = \"fail\"\n"),
    ("quantile = 0.9\n", "null_means = \"worst\"\nworst = 7000\n"),
];

/// Whether the judge is asked about a request that has no id: a hash of its unit and time.
fn is_asked(row: &Row, seed: u64) -> bool {
    let mut key = Log::name(row.unit).into_bytes();
    key.push(0);
    key.extend(row.micros.to_le_bytes());
    let draw = (xxh3_64_with_seed(&key, seed) >> 11) as f64 / 2_f64.powi(53);
    draw < SHARE
}

fn meant(answer: &Answer, is_asked: bool) -> Answer {
    let truth = |said: f64| (said - (1.0 - SPECIFICITY)) / (SENSITIVITY - (1.0 - SPECIFICITY));
    Answer {
        quality: is_asked.then(|| answer.quality.unwrap_or(WORST_QUALITY)),
        ok: Some(answer.ok.map_or(0.0, truth)),
        latency_ms: Some(answer.latency_ms.unwrap_or(WORST_MS)),
        ..*answer
    }
}

fn case(seed: u64, rows: usize, units: usize, stages: usize) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Judges of these texts see at once.
    let plan = Plan { delays: [0; 7], sticky: Sticky::Unit, ..Plan::draw(&mut rng, stages, QUARTER_S, false) };
    let slots = plan.slots() as i64 + rng.random_range(0..5);
    let mut log = Log::draw(&mut rng, rows, units, slots, QUARTER_S);
    if plan.has_waves() {
        log.settle_tiers();
    }
    let text = KEYS.iter().fold(plan.text(), |text, (line, keys)| {
        assert_eq!(text.matches(line).count(), 1, "{line}");
        text.replace(line, &format!("{line}{keys}"))
    });
    let mut case = Case::of_text(log, plan, rng.random_range(0..3), &text);
    let seed = case.plan.seed;
    for row in case.log.rows.iter_mut().filter(|row| row.is_covered) {
        let is_asked = is_asked(row, seed);
        row.stable = meant(&row.stable, is_asked);
        row.candidate = meant(&row.candidate, is_asked);
    }
    case
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn judges_and_missing_values_mean_what_the_reference_makes_of_each_row(
        seed in any::<u64>(), rows in 2..200_usize, units in 1..40_usize, stages in 1..4_usize,
    ) {
        let case = case(seed, rows, units, stages);
        check(&case).map_err(|error| TestCaseError::fail(format!("{error}\n{}", case.plan.text())))?;
    }
}
