//! Logs without an effect, and exact bounds of counts.

use std::fs::File;
use std::sync::atomic::AtomicBool;

use polars::prelude::ParquetWriter;
use statrs::distribution::{Binomial, DiscreteCDF};

use replay::digest::{self, Digest};
use replay::outcome::player::{Played, Player};
use replay::scenario::Scenario;
use replay::simulate::Simulator;
use replay::synth::{self, Recipe};

/// A quarter of the users send most requests, one of them one in 250.
pub(crate) const RECIPE: &str = r#"
about = "Nothing changes"
seed = 77
start = "2026-11-02T00:00:00Z"
days = 4
requests = 60000

[users]
count = 8000
tail = { pareto = 1.35 }
largest = 0.004

[sessions]
requests = 2.4
gap_s = 75

[traffic]
daily_amplitude = 0.6
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
"#;

/// Two metrics of the users of such a log; stages and gates follow.
pub(crate) const TWO_METRICS: &str = r#"
[log]
timestamp = "ts"

[assignment]
unit = "user_id"

[metrics.quality]
kind = "mean"
column = "{version}_quality"
better = "higher"

[metrics.success]
kind = "proportion"
column = "{version}_success"
better = "higher"
"#;

/// A scenario and the digest of its log.
pub(crate) struct Loaded {
    pub(crate) scenario: Scenario,
    pub(crate) digest: Digest,
}

impl Loaded {
    /// The log of the recipe above.
    pub(crate) fn synthetic(scenario: &str) -> Self {
        Self::of_recipe(RECIPE, scenario)
    }

    /// The log of any recipe.
    pub(crate) fn of_recipe(recipe: &str, scenario: &str) -> Self {
        let recipe = Recipe::parse(recipe, "recipe.toml").unwrap_or_else(|error| panic!("{error}"));
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("log.parquet");
        let file = File::create(&path).expect("a new file");
        ParquetWriter::new(file).finish(&mut synth::generate(&recipe)).expect("the log is written");
        Self::of(path.to_str().expect("temporary names are text"), scenario)
    }

    pub(crate) fn of(log: &str, scenario: &str) -> Self {
        let scenario = Scenario::parse("scenario.toml", scenario).unwrap_or_else(|error| panic!("{error}"));
        let digest = digest::load(log, &scenario, &|_| ()).unwrap_or_else(|error| panic!("{error}"));
        Self { scenario, digest }
    }

    pub(crate) fn player<'a>(&'a self, simulator: &'a Simulator) -> Player<'a> {
        let starts = self.scenario.starts(self.digest.first, self.digest.end());
        assert!(!starts.is_empty(), "the schedule fits in the log");
        Player::new(&self.scenario, simulator, starts)
    }
}

/// All replicates of a scenario.
pub(crate) fn replicates(player: &Player<'_>) -> Vec<Played> {
    let mut all = Vec::new();
    player.play(&AtomicBool::new(false), |played| all.extend(played));
    all
}

/// How unlikely a count may be before a test calls it wrong.
const UNLIKELY: f64 = 1e-4;

fn binomial(trials: usize, rate: f64) -> Binomial {
    Binomial::new(rate, trials as u64).expect("a rate between 0 and 1")
}

/// `P(X >= events)`.
fn at_least(events: usize, trials: usize, rate: f64) -> f64 {
    events.checked_sub(1).map_or(1.0, |below| binomial(trials, rate).sf(below as u64))
}

/// Whether a count can come from at most this rate.
pub(crate) fn not_above(events: usize, trials: usize, rate: f64) -> bool {
    at_least(events, trials, rate) > UNLIKELY
}

/// Whether two counts can come from one rate: the normal deviate of their difference, at 1 in 10,000.
pub(crate) fn agree(counts: [usize; 2], trials: usize) -> bool {
    let [a, b] = counts.map(|count| count as f64 / trials as f64);
    let rate = f64::midpoint(a, b);
    (a - b).abs() <= 3.89 * (2.0 * rate * (1.0 - rate) / trials as f64).sqrt()
}

/// Whether a count can come from this rate.
pub(crate) fn within(events: usize, trials: usize, rate: f64) -> bool {
    let at_most = binomial(trials, rate).cdf(events as u64);
    at_most.min(at_least(events, trials, rate)) > UNLIKELY / 2.0
}
