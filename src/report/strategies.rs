//! `Strategies` → files: what `replay compare --strategies` found out about ways of releasing.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::comparison::{Estimate, line, wrapped};
use super::tables::{Finished, Table};
use super::write::{Form, of_figure, try_place, write_files};
use super::{Share, Spread, figures, html, json, labels, tables};
use crate::error::Result;

/// Name and version of the form of `compare.json` with strategies.
pub const SCHEMA: &str = "replay.strategies/1";

const FORM: Form =
    Form { entries: &["compare.html", "compare.json", "tables", "figures"], json: "compare.json", schema: SCHEMA };

/// Ways of releasing on one log, over the same time and with the same random numbers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Strategies {
    /// `replay.strategies/1`.
    pub schema: String,
    /// Version of the program.
    pub version: String,
    /// The command that gives the same.
    pub command: String,
    /// Seed of everything random, the same for all.
    pub seed: u64,
    /// Number of replicates, the same for all.
    pub replicates: usize,
    /// File, glob or directory of the log as given.
    pub log: String,
    /// Fingerprint of the log.
    pub fingerprint: String,
    /// Requests of the log.
    pub rows: u64,
    /// File of the scenario.
    pub scenario: String,
    /// Which worlds stand for a bad candidate: `effect`, or `margin` where the scenario names no effects.
    pub bad_worlds: String,
    /// How long every strategy is followed: the length of the schedule.
    pub horizon_s: i64,
    /// How long traffic is mirrored before a big bang.
    pub mirrored_s: i64,
    /// Whether the scenario says what a judgement costs.
    pub judges_cost: bool,
    /// This schedule first.
    pub strategies: Vec<StrategyRow>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// One strategy. Of a bad candidate, numbers are means over its worlds.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StrategyRow {
    /// What it is.
    pub name: String,
    /// A candidate as good as stable serves everybody at the horizon.
    pub good_kept: Share,
    /// Time until a candidate as good as stable serves everybody, where it does.
    pub time_to_full_s: Option<f64>,
    /// A bad candidate serves everybody at the horizon.
    pub bad_kept: Estimate,
    /// Requests that a bad candidate serves from the onset of its regression on.
    pub harmed_requests: Estimate,
    /// Units that a bad candidate serves, before and after the onset.
    pub exposed_units: Estimate,
    /// From the onset until everyone is back on stable, over replicates that were rolled back for harm.
    pub recovery_s: Option<Spread>,
    /// Replicas on top of the service's own, times hours: 1 is as many as the service has, for an hour.
    pub replica_hours: Estimate,
    /// US dollars for judges.
    pub judge_usd: Estimate,
    /// Per world.
    pub worlds: Vec<StrategyWorld>,
}

/// What a strategy does in one world.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StrategyWorld {
    /// `recorded`, `null`, `margin: GATE` or an effect's name.
    pub world: String,
    /// `recorded`, `null`, `margin` or `effect`.
    pub kind: String,
    /// Whether it stands for a bad candidate.
    pub bad: bool,
    /// Mirrored traffic let no user have the candidate.
    pub blocked: Share,
    /// Everybody had the candidate at some time.
    pub reached_full: Share,
    /// Time until then, where it was.
    pub time_to_full_s: Option<f64>,
    /// Everybody has the candidate at the horizon.
    pub kept: Share,
    /// Rolled back for any reason.
    pub rolled_back: Share,
    /// Stopped until a person decides.
    pub stalled: Share,
    /// Rolled back for harm.
    pub found: Share,
    /// From the onset until everyone was back on stable, over those.
    pub recovery_s: Option<Spread>,
    /// Requests that the candidate served.
    pub exposed_requests: Estimate,
    /// Units that the candidate served.
    pub exposed_units: Estimate,
    /// Requests that it served from the onset on; all of them in worlds without one.
    pub harmed_requests: Estimate,
    /// Replicas on top of the service's own, times hours.
    pub replica_hours: Estimate,
    /// US dollars for judges.
    pub judge_usd: Estimate,
}

/// JSON Schema of `compare.json` with strategies.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Strategies).to_value();
    schema["title"] = Value::from(format!("Strategies of replay, form {SCHEMA}"));
    schema["properties"]["schema"]["const"] = Value::from(SCHEMA);
    schema
}

/// Checks that strategies can be written to `out`, before the long run.
///
/// # Errors
/// `out` exists and is neither empty nor such a comparison of this program, or its place cannot be written.
pub fn prepare(out: &Path) -> Result<()> {
    try_place(out, &FORM)
}

/// Writes the strategies to `out`, replacing earlier ones there only when the new are complete.
///
/// # Errors
/// As for [`prepare`]; also when a file cannot be written. What was at `out` is then still there.
pub fn write(strategies: &Strategies, out: &Path) -> Result<()> {
    let figure = figures::strategies(strategies)?;
    let mut files = vec![
        (PathBuf::from("compare.html"), html::strategies::render(strategies, &figure)?.into_bytes()),
        (PathBuf::from("compare.json"), json::of(strategies, "compare.json")?),
    ];
    for (name, bytes) in tables::files([table(strategies)])? {
        files.push((Path::new("tables").join(name), bytes));
    }
    files.extend(of_figure(figure));
    write_files(&files, out, &FORM)
}

fn table(strategies: &Strategies) -> Finished {
    let rows: Vec<(&StrategyRow, &StrategyWorld)> =
        strategies.strategies.iter().flat_map(|row| row.worlds.iter().map(move |world| (row, world))).collect();
    Table::of(&rows)
        .text("strategy", |(row, _)| row.name.as_str())
        .text("world", |(_, world)| world.world.as_str())
        .text("kind", |(_, world)| world.kind.as_str())
        .flag("bad", |(_, world)| world.bad)
        .share("blocked", |(_, world)| world.blocked)
        .share("reached_full", |(_, world)| world.reached_full)
        .number_or("time_to_full_s", |(_, world)| world.time_to_full_s)
        .share("kept", |(_, world)| world.kept)
        .share("rolled_back", |(_, world)| world.rolled_back)
        .share("stalled", |(_, world)| world.stalled)
        .share("found", |(_, world)| world.found)
        .spread("recovery_s", |(_, world)| world.recovery_s)
        .estimate("exposed_requests", |(_, world)| Some(world.exposed_requests))
        .estimate("exposed_units", |(_, world)| Some(world.exposed_units))
        .estimate("harmed_requests", |(_, world)| Some(world.harmed_requests))
        .estimate("replica_hours", |(_, world)| Some(world.replica_hours))
        .estimate("judge_usd", |(_, world)| Some(world.judge_usd))
        .named("strategies")
}

/// The strategies on one screen.
#[must_use]
pub fn summary(strategies: &Strategies) -> String {
    let mut text = format!(
        "{} strategies on {}: {} replicates of each, seed {}, {} each\n",
        strategies.strategies.len(),
        labels::tail(&strategies.log, 34),
        labels::whole(strategies.replicates as u64),
        strategies.seed,
        labels::duration(strategies.horizon_s as f64),
    );
    text.push_str(&line(&format!(
        "{:<22} {:>14} {:>9} {:>8} {:>9} {:>8} {:>8} {:>8}",
        "", "good kept", "to 100 %", "bad kept", "bad req", "units", "back in", "extra"
    )));
    for row in &strategies.strategies {
        text.push_str(&line(&format!(
            "{:<22} {:>14} {:>9} {:>8} {:>9} {:>8} {:>8} {:>8}",
            row.name,
            labels::share(row.good_kept),
            time(row.time_to_full_s),
            labels::percent(row.bad_kept.mean),
            labels::count(row.harmed_requests.mean),
            labels::count(row.exposed_units.mean),
            time(row.recovery_s.map(|spread| spread.p50)),
            labels::number(row.replica_hours.mean),
        )));
    }
    let bad = if strategies.bad_worlds == "effect" { "the effects" } else { "every gate’s margin" };
    text.push_str(&line(&format!("Bad: mean over {bad}, as is extra: replica-hours beyond the service's own.")));
    if strategies.judges_cost {
        let costs: Vec<String> = strategies
            .strategies
            .iter()
            .map(|row| format!("{} {}", row.name, labels::number(row.judge_usd.mean)))
            .collect();
        text.push_str(&line(&format!("Judges, in US dollars: {}.", costs.join("; "))));
    }
    text.push_str("\nBAD REQUESTS, world by world\n");
    for world in strategies.strategies[0].worlds.iter().filter(|world| world.bad) {
        let of = |row: &StrategyRow| {
            let found = row.worlds.iter().find(|other| other.world == world.world);
            let text = found.map_or_else(|| labels::NONE.to_owned(), |other| labels::count(other.harmed_requests.mean));
            format!("{text:>12}")
        };
        let cells: String = strategies.strategies.iter().map(of).collect();
        text.push_str(&line(&format!("{:<38}{cells}", labels::short(&labels::world(&world.world), 38))));
    }
    text.push('\n');
    for note in &strategies.notes {
        text.push_str(&wrapped(&format!("NOTE: {}", labels::visible(note))));
    }
    text + "\n"
}

/// A time, or that there is none.
pub(super) fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "never".to_owned(),
        Some(0.0) => "at once".to_owned(),
        Some(seconds) => labels::duration(seconds),
    }
}

/// Where the files are, after the summary.
#[must_use]
pub fn places(out: &Path) -> String {
    super::comparison::places(out)
}

/// Two strategies in two worlds.
#[cfg(test)]
pub(super) fn sample() -> Strategies {
    let share = |share: f64| Share { share, low: share * 0.9, high: share * 1.1 };
    let estimate = |mean: f64| Estimate { mean, low: mean * 0.9, high: mean * 1.1 };
    let world = |name: &str, kind: &str, requests: f64| StrategyWorld {
        world: name.into(),
        kind: kind.into(),
        bad: kind == "effect",
        blocked: share(0.0),
        reached_full: share(0.5),
        time_to_full_s: None,
        kept: share(0.5),
        rolled_back: share(0.5),
        stalled: share(0.0),
        found: share(0.5),
        recovery_s: None,
        exposed_requests: estimate(requests),
        exposed_units: estimate(requests / 10.0),
        harmed_requests: estimate(requests),
        replica_hours: estimate(3.0),
        judge_usd: estimate(0.0),
    };
    let row = |name: &str, requests: f64| StrategyRow {
        name: name.into(),
        good_kept: share(0.9),
        time_to_full_s: Some(0.0),
        bad_kept: estimate(0.1),
        harmed_requests: estimate(requests),
        exposed_units: estimate(requests / 10.0),
        recovery_s: None,
        replica_hours: estimate(3.0),
        judge_usd: estimate(0.0),
        worlds: vec![world("null", "null", requests), world("success 10 % lower", "effect", requests)],
    };
    Strategies {
        schema: SCHEMA.into(),
        version: "0.1.0".into(),
        command: "replay compare log.parquet --scenario s.toml --strategies".into(),
        seed: 7,
        replicates: 1000,
        log: "log.parquet".into(),
        fingerprint: "0".into(),
        rows: 1,
        scenario: "s.toml".into(),
        bad_worlds: "effect".into(),
        horizon_s: 500_000,
        mirrored_s: 40_000,
        judges_cost: false,
        strategies: vec![row("this schedule", 300.0), row("big bang", 20_000.0)],
        notes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_follow_their_own_schema() {
        let validator = jsonschema::validator_for(&schema()).expect("a valid schema");
        let value = serde_json::to_value(sample()).expect("JSON");
        assert!(validator.is_valid(&value), "{:?}", validator.iter_errors(&value).next());
    }

    #[test]
    fn it_fits_the_screen() {
        let text = summary(&sample());
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}
