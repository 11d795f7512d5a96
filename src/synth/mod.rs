//! Synthetic shadow logs: a recipe becomes a log with known truth.
//!
//! Every user has a random stream of its own, so users can be made in any order, on any number of threads, and in
//! batches that bound memory; only one weight per user must be known at once.

pub mod recipe;

mod embedding;
mod frame;
mod outcomes;
mod shards;
mod traffic;

use std::ops::Range;
use std::path::Path;

use polars::prelude::DataFrame;
use rand::RngExt;
use rayon::prelude::*;

use crate::domain::version::PerVersion;
use crate::error::{Error, Result};
use outcomes::{Answer, Model, Normals, Setting};
use recipe::Per;
pub use recipe::Recipe;
use traffic::{Choice, Purpose, Traffic, stream};

/// One request of the log.
#[derive(Debug, Clone, Copy)]
struct Request {
    /// Microseconds since 1970-01-01 UTC.
    moment: i64,
    user: usize,
    /// Counted from 0 within the user.
    session: u32,
    /// Counted from 0 within the user: orders requests of the same moment.
    sequence: usize,
    tenant: usize,
    /// Index of the combination of segment values.
    combination: usize,
    /// Index among all items.
    item: usize,
    /// Whether there is a candidate output.
    covered: bool,
    answers: PerVersion<Answer>,
}

/// The items of one value of their segment, or of all requests.
struct Shelf {
    popularity: Choice,
    /// What each item brings to every request for it.
    effects: Vec<Normals>,
}

/// A recipe with everything solved that all users share.
struct Generator<'a> {
    recipe: &'a Recipe,
    traffic: Traffic,
    model: Model,
    /// Of each segment column.
    choices: Vec<Choice>,
    shelves: Vec<Shelf>,
    /// Position among the segments of the column that items belong to.
    shelf_by: Option<usize>,
    /// Share of requests with a candidate output, by combination.
    coverage: Vec<f64>,
}

impl<'a> Generator<'a> {
    fn new(recipe: &'a Recipe) -> Self {
        let segments = &recipe.segments;
        let shelf_by = recipe
            .items
            .as_ref()
            .and_then(|items| items.by.as_ref())
            .and_then(|by| segments.iter().position(|segment| segment.column == *by));
        let shelves = recipe.items.iter().flat_map(|items| {
            let count = shelf_by.map_or(1, |position| segments[position].shares.len());
            (0..count).map(|index| {
                let mut rng = stream(recipe.seed, Purpose::Items, index);
                Shelf {
                    popularity: Choice::new((1..=items.count).map(|rank| f64::from(rank).powf(-items.zipf))),
                    effects: (0..items.count).map(|_| Normals::draw(&mut rng)).collect(),
                }
            })
        });
        let coverage = outcomes::combinations(recipe).map(|values| {
            let Some(shadow) = &recipe.shadow else { return 1.0 };
            outcomes::stated(segments, &shadow.by, &values).reduce(f64::min).unwrap_or(shadow.coverage)
        });
        Self {
            recipe,
            traffic: Traffic::new(recipe),
            model: Model::new(recipe),
            choices: segments.iter().map(|segment| Choice::new(segment.shares.values().copied())).collect(),
            shelves: shelves.collect(),
            shelf_by,
            coverage: coverage.collect(),
        }
    }

    /// The requests of a range of users, by time.
    fn requests(&self, users: Range<usize>) -> Vec<Request> {
        let mut requests: Vec<Request> = users.into_par_iter().flat_map_iter(|user| self.requests_of(user)).collect();
        requests.par_sort_unstable_by_key(|request| (request.moment, request.user, request.sequence));
        requests
    }

    fn requests_of(&self, index: usize) -> Vec<Request> {
        let rng = &mut stream(self.recipe.seed, Purpose::Requests, index);
        let user = self.traffic.users[index];
        let (effects, change) = (Normals::draw(rng), Normals::draw(rng));
        let mut values: Vec<usize> = self.choices.iter().map(|choice| choice.draw(rng)).collect();
        let arrivals = self.traffic.arrivals(user, rng);
        let mut session = None;
        let mut requests = Vec::with_capacity(arrivals.len());
        for (sequence, arrival) in arrivals.into_iter().enumerate() {
            let new_session = session.replace(arrival.session) != Some(arrival.session);
            for ((value, segment), choice) in values.iter_mut().zip(&self.recipe.segments).zip(&self.choices) {
                if segment.per == Per::Request || (segment.per == Per::Session && new_session) {
                    *value = choice.draw(rng);
                }
            }
            let combination = self.combination(&values);
            let (item, item_effects) = match &self.shelves[..] {
                [] => (0, &Normals::NONE),
                shelves => {
                    let shelf_index = self.shelf_by.map_or(0, |position| values[position]);
                    let shelf = &shelves[shelf_index];
                    let place = shelf.popularity.draw(rng);
                    (shelf_index * shelf.effects.len() + place, &shelf.effects[place])
                }
            };
            let covered = rng.random::<f64>() < self.coverage[combination];
            let setting = Setting { combination, user: &effects, user_change: &change, item: item_effects };
            requests.push(Request {
                moment: arrival.moment,
                user: index,
                session: arrival.session,
                sequence,
                tenant: user.tenant,
                combination,
                item,
                covered,
                answers: self.model.answer(setting, rng),
            });
        }
        requests
    }

    /// The index of these values in `outcomes::combinations`.
    fn combination(&self, values: &[usize]) -> usize {
        self.recipe.segments.iter().zip(values).fold(0, |index, (segment, value)| index * segment.shares.len() + value)
    }
}

/// Makes the log of a recipe: one row per request, by time.
///
/// The same recipe gives the same rows, whatever the number of threads.
#[must_use]
pub fn generate(recipe: &Recipe) -> DataFrame {
    let generator = Generator::new(recipe);
    let requests = generator.requests(0..generator.traffic.users.len());
    frame::from_requests(recipe, &requests)
}

/// Reads a recipe. With `requests`, so many are expected in place of its own, of as many more or fewer users.
///
/// # Errors
/// A recipe that cannot be read or is not sound.
pub fn read(path: &Path, requests: Option<u64>) -> Result<Recipe> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::unreadable(path, &error))?;
    let mut recipe = Recipe::parse(&text, &path.display().to_string())?;
    if let Some(requests) = requests {
        let users = f64::from(recipe.users.count) * requests as f64 / recipe.requests;
        recipe.users.count = users.round().clamp(1.0, f64::from(u32::MAX)) as u32;
        recipe.requests = requests as f64;
    }
    Ok(recipe)
}

/// Writes the log of a recipe as Parquet; `out` appears whole or not at all.
///
/// # Errors
/// An output that cannot be written.
pub fn write(recipe: &Recipe, out: &Path) -> Result<()> {
    frame::write_parquet(&mut generate(recipe), out)
}

/// Writes the same log as a directory of so many files, each a stretch of time, with the memory that one of them needs.
/// `progress` hears how many of `2 * shards` steps are done.
///
/// # Errors
/// An output that cannot be written; nothing is left then.
pub fn write_shards(recipe: &Recipe, out: &Path, shards: u32, progress: &dyn Fn(usize)) -> Result<()> {
    shards::write(recipe, out, shards as usize, progress)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use polars::prelude::*;

    use super::*;

    fn bundled(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets").join(name)
    }

    fn support_bot() -> Recipe {
        let path = bundled("support-bot.toml");
        Recipe::parse(&std::fs::read_to_string(&path).unwrap(), "support-bot.toml").unwrap()
    }

    fn float(frame: &DataFrame, column: &str) -> Vec<Option<f64>> {
        frame.column(column).unwrap().cast(&DataType::Float64).unwrap().f64().unwrap().iter().collect()
    }

    /// Set `REPLAY_REGENERATE` to write the bundled logs anew after a recipe or the generator has changed.
    #[test]
    fn the_bundled_logs_are_what_their_recipes_make() {
        let directory = tempfile::tempdir().unwrap();
        let readme = std::fs::read_to_string(bundled("README.md")).unwrap();
        for name in ["support-bot", "golden", "embeddings"] {
            let made = directory.path().join("log.parquet");
            let (recipe, log) = (format!("{name}.toml"), format!("{name}.parquet"));
            let text = std::fs::read_to_string(bundled(&recipe)).unwrap();
            write(&Recipe::parse(&text, &recipe).unwrap(), &made).unwrap();
            if std::env::var_os("REPLAY_REGENERATE").is_some() {
                std::fs::copy(&made, bundled(&log)).unwrap();
            }
            let committed = std::fs::read(bundled(&log)).unwrap();
            let same = std::fs::read(&made).unwrap() == committed;
            assert!(same, "datasets/{log} differs from what datasets/{recipe} makes");
            let fingerprint = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&committed));
            assert!(
                readme.contains(&fingerprint),
                "datasets/README.md does not give the fingerprint {fingerprint} of {log}"
            );
        }
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let recipe = support_bot();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| generate(&recipe))
        };
        let one = on(1);
        assert!(one.equals_missing(&on(3)));
        assert!(!one.equals_missing(&generate(&Recipe { seed: recipe.seed + 1, ..recipe })));
    }

    #[test]
    fn batches_of_users_are_parts_of_the_whole() {
        let recipe = support_bot();
        let generator = Generator::new(&recipe);
        let all = generator.traffic.users.len();
        let whole = generator.requests(0..all);
        let parts = [generator.requests(0..all / 3), generator.requests(all / 3..all)].concat();
        assert_eq!(whole.len(), parts.len());
        let total = |requests: &[Request]| requests.iter().map(|r| r.answers.stable.latency_ms).sum::<f64>();
        assert!((total(&whole) - total(&parts)).abs() < 1e-3);
    }

    #[test]
    fn shards_are_stretches_of_the_same_log() {
        let recipe = support_bot();
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("log");
        write_shards(&recipe, &out, 5, &|_| {}).unwrap();
        let mut files: Vec<PathBuf> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let parts = files.iter().map(|path| ParquetReader::new(std::fs::File::open(path).unwrap()).finish().unwrap());
        let parts: Vec<DataFrame> = parts.collect();
        let even = 45_000 / 5;
        assert!(parts.len() == 5 && parts.iter().all(|part| part.height().abs_diff(even) < even / 2));
        let whole = parts.into_iter().reduce(|all, part| all.vstack(&part).unwrap()).unwrap();
        assert!(whole.equals_missing(&generate(&recipe)));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
        // What is there already is not replaced.
        let error = write_shards(&recipe, &out, 2, &|_| {}).unwrap_err();
        assert_eq!(error.problems[0].message, "exists already");
    }

    #[test]
    fn more_requests_come_from_more_users() {
        let recipe = read(&bundled("support-bot.toml"), Some(90_000)).unwrap();
        assert_eq!(recipe.users.count, 2 * support_bot().users.count);
        let rows = generate(&recipe).height();
        assert!(rows.abs_diff(90_000) < 5_000, "{rows}");
    }

    #[test]
    fn planted_changes_come_out() {
        // Half a million requests, without items and users of their own, pin the rates down.
        let text = r#"
            about = "planted"
            seed = 5
            start = "2026-11-02T00:00:00Z"
            days = 7
            requests = 400000
            users = { count = 100000, tail = { lognormal = 0.5 } }
            sessions = { requests = 2, gap_s = 60 }
            traffic = { daily_amplitude = 0.5, peak_hour = 14, weekend = 0.5 }
            segments = [{ column = "region", per = "user", shares = { eu = 1, us = 3 } }]
            outcomes.success = { rate = 0.9, user_sd = 0.8, item_sd = 0, agreement = 0.5 }
            outcomes.quality = { mean = 0.8, sd = 1.0, user_sd = 0.5, with_success = 0.4 }
            outcomes.latency_ms = { median = 900, sd = 0.5, user_sd = 0.2, agreement = 0.7 }
            changes = [
                { metric = "success", scale = 0.97 },
                { metric = "success", shift = -0.05, only = { region = ["eu"] } },
                { metric = "quality", scale = 1.02 },
                { metric = "latency_ms", scale = 1.12 },
            ]
        "#;
        let frame = generate(&Recipe::parse(text, "r.toml").unwrap());
        let region = frame.column("region").unwrap().str().unwrap().clone();
        let mean = |column: &str, value: &str| {
            let values: Vec<f64> = float(&frame, column)
                .into_iter()
                .zip(region.iter())
                .filter(|(_, region)| *region == Some(value))
                .filter_map(|(number, _)| number)
                .collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        // Standard errors are below 0.0015 with users of 4 to 5 requests; differences of versions are tighter.
        for (column, value, expected) in [
            ("stable_success", "us", 0.9),
            ("candidate_success", "us", 0.873),
            ("candidate_success", "eu", 0.823),
            ("stable_quality", "us", 0.8),
            ("candidate_quality", "us", 0.816),
        ] {
            let seen = mean(column, value);
            assert!((seen - expected).abs() < 0.006, "{column} in {value}: {seen}, expected {expected}");
        }
        let ratio = mean("candidate_latency_ms", "us") / mean("stable_latency_ms", "us");
        assert!((ratio - 1.12).abs() < 0.01, "latency x {ratio}");
    }

    #[test]
    fn embeddings_lie_where_the_recipe_says() {
        let recipe = read(&bundled("embeddings.toml"), None).unwrap();
        let (of, seed) = (recipe.outcomes.embedding.unwrap(), recipe.seed);
        let generator = Generator::new(&recipe);
        let requests = generator.requests(0..generator.traffic.users.len());
        let embeddings = embedding::Embeddings::new(of, seed);
        let means = crate::domain::version::Version::BOTH.map(|version| {
            let mut mean = vec![0.0; usize::from(of.numbers)];
            for request in &requests {
                let found = embeddings.of(request, version);
                assert!((found.iter().map(|x| f64::from(x * x)).sum::<f64>() - 1.0).abs() < 1e-5);
                mean.iter_mut().zip(found).for_each(|(mean, x)| *mean += f64::from(x) / requests.len() as f64);
            }
            mean
        });
        let length = |of: &[f64]| of.iter().map(|x| x * x).sum::<f64>().sqrt();
        // Answers of stable lie around one direction; the candidate's mean is moved towards another.
        let apart: Vec<f64> = means[0].iter().zip(&means[1]).map(|(a, b)| a - b).collect();
        assert!(length(&means[0]) > 0.5, "{means:?}");
        assert!((0.02..0.2).contains(&length(&apart)), "{apart:?}");
        // Without them the log is the same.
        let mut without = recipe.clone();
        without.outcomes.embedding = None;
        let (with, without) = (generate(&recipe), generate(&without));
        assert!(with.select(without.get_column_names_owned()).unwrap().equals_missing(&without));
    }

    #[test]
    fn nothing_is_left_where_the_log_cannot_be_written() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("missing").join("log.parquet");
        let error = write(&support_bot(), &out).unwrap_err();
        assert!(error.problems[0].place.ends_with("log.parquet"), "{error}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
