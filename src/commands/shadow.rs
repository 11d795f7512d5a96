//! `replay shadow`: what the pairs of the log already show, without simulating; and the requests in which the candidate is worse.

use std::path::Path;

use super::progress::Progress;
use super::{answer, facts, inputs, output};
use crate::cli::{AnswerForm, ShadowArgs};
use crate::error::{Error, Problem, Result};
use crate::failures::{self, Failure, Failures};
use crate::ingest::{self, Input};
use crate::power;
use crate::report::tables::{self, Finished, Table, Values};
use crate::report::{self, FailureFacts, ShadowReport};
use crate::scenario::Scenario;
use crate::shadow::{Shadow, missingness};

pub(super) fn run(args: &ShadowArgs) -> Result<u8> {
    let scenario = inputs::scenario(&args.inputs)?;
    let metrics = metrics(&scenario, args.metric.as_deref())?;
    let form = args.failures.as_deref().map(output::form).transpose()?;
    args.failures.as_deref().map(output::prepare).transpose()?;
    let progress = Progress::new();
    let digest = inputs::digest(&args.inputs, &scenario, &progress)?;
    inputs::comparable(&args.inputs, &digest)?;
    progress.step("comparing shadow outputs");
    let compared = Shadow::new(&digest, &scenario);
    let (rows, against) = compared.all();
    let path = args.inputs.log.as_deref().unwrap_or_default();
    let mut report = ShadowReport {
        schema: "replay.shadow/1".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        log: facts::log(path, &digest, &scenario),
        metrics: facts::metrics(&scenario, &digest),
        gates: power::shadow_worth(&against, &scenario),
        shadow: rows,
        health: missingness::rows(&compared),
        failures: None,
    };
    if let Some((out, form)) = args.failures.as_deref().zip(form) {
        progress.step("looking for the worst requests");
        let found = found(path, &scenario, &metrics, args.most as usize)?;
        output::write(out, &tables::bytes(&table(&scenario, &found), form)?)?;
        report.failures = Some(failure_facts(&scenario, &found, out));
    }
    progress.finish();
    match args.format {
        AnswerForm::Text => answer(&report::shadow(&report)),
        AnswerForm::Json => {
            let json = serde_json::to_string_pretty(&report);
            answer(&(json.map_err(|error| Error::at("stdout", error.to_string()))? + "\n"))
        }
    }
}

/// The chosen metric, or those that gates watch, in the order of the scenario. Of a distribution no request is worse than another.
fn metrics(scenario: &Scenario, chosen: Option<&str>) -> Result<Vec<usize>> {
    let all = (0..scenario.metrics.len()).filter(|&metric| !scenario.metrics[metric].kind.is_drift());
    let Some(name) = chosen else {
        let watched = |metric: &usize| scenario.gates.iter().any(|gate| gate.metric == *metric);
        return Ok(all.filter(|&metric| !scenario.metrics[metric].stable_only).filter(watched).collect());
    };
    let found: Vec<usize> = all.filter(|&metric| scenario.metrics[metric].name == name).collect();
    if found.iter().any(|&metric| scenario.metrics[metric].stable_only) {
        let message = format!(
            "metric `{name}` is of what users did with stable's answers: no request tells if the candidate is worse"
        );
        return Err(Problem::new(&scenario.path, message).hint("name a metric that both versions have").into());
    }
    if !found.is_empty() {
        return Ok(found);
    }
    if scenario.metrics.iter().any(|metric| metric.name == name) {
        return Err(Problem::new(&scenario.path, format!("no request is worse than another by metric `{name}`"))
            .hint("a distribution has no better or worse: name a metric of another kind")
            .into());
    }
    let known: Vec<String> =
        scenario.own_metrics().map(|metric| format!("`{}`", scenario.metrics[metric].name)).collect();
    Err(Problem::new(&scenario.path, format!("no metric is called `{name}`"))
        .hint(format!("metrics: {}", known.join(", ")))
        .into())
}

fn found(path: &str, scenario: &Scenario, metrics: &[usize], most: usize) -> Result<Failures> {
    match ingest::open(path, scenario)? {
        Input::Log(_) if scenario.log.served.is_some() => Err(Problem::new(
            path,
            "is in long form: no request has both versions' outcomes, so that none is worse than the other",
        )
        .hint("leave `--failures` out")
        .into()),
        Input::Log(_) if scenario.log.trial.is_some() => Err(Problem::new(
            path,
            "has several outputs of each request: whether one version's is worse is not said by any pair of them",
        )
        .hint("leave `--failures` out")
        .into()),
        Input::Log(log) => failures::find(&log, scenario, metrics, most),
        Input::Digest(_) => Err(Problem::new(path, "is a digest, which holds no requests")
            .hint("name the log itself for `--failures`")
            .into()),
    }
}

fn failure_facts(scenario: &Scenario, found: &Failures, out: &Path) -> FailureFacts {
    FailureFacts {
        path: out.display().to_string(),
        metrics: found.metrics.iter().map(|&metric| scenario.metrics[metric].name.clone()).collect(),
        compared: found.compared,
        worse: found.worse,
        written: found.worst.len(),
    }
}

/// The log's own columns, under their names, and what ranks the requests.
fn table(scenario: &Scenario, found: &Failures) -> Finished {
    let rows = &found.worst;
    let texts = |value: &dyn Fn(&Failure) -> Option<String>| Values::Text(rows.iter().map(value).collect());
    let mut columns: Vec<(String, Values)> = Vec::new();
    if let Some(name) = &scenario.log.request {
        columns.push((name.clone(), texts(&|row| row.request.clone())));
    }
    columns.push((scenario.log.timestamp.clone(), texts(&|row| Some(moment(row.time)))));
    columns.push((scenario.assignment.unit.clone(), texts(&|row| Some(row.unit.clone()))));
    if let Some(name) = &scenario.log.item {
        columns.push((name.clone(), texts(&|row| row.item.clone())));
    }
    for (index, name) in scenario.log.segments.iter().enumerate() {
        columns.push((name.clone(), texts(&|row| row.segments[index].clone())));
    }
    for (index, name) in found.columns.iter().enumerate() {
        columns.push((name.clone(), Values::Number(rows.iter().map(|row| row.values[index]).collect())));
    }
    let excess_ranks = failures::excess_ranks(rows);
    let whole = |ranks: &mut dyn Iterator<Item = usize>| Values::Whole(ranks.map(|rank| Some(rank as i64)).collect());
    let worst_column = |row: &Failure| row.excess_column.map(|column| scenario.log.segments[column].clone());
    let mut ranking = vec![
        ("rank".to_owned(), whole(&mut (1..=rows.len()))),
        ("loss".to_owned(), Values::Number(rows.iter().map(|row| Some(row.loss)).collect())),
    ];
    for (index, &metric) in found.metrics.iter().enumerate() {
        let losses = rows.iter().map(|row| Some(row.losses[index])).collect();
        ranking.push((format!("loss_{}", scenario.metrics[metric].name), Values::Number(losses)));
    }
    ranking.extend([
        ("segment_excess".to_owned(), Values::Number(rows.iter().map(|row| row.excess).collect())),
        ("segment_excess_column".to_owned(), texts(&worst_column)),
        ("segment_excess_rank".to_owned(), whole(&mut excess_ranks.into_iter())),
    ]);
    columns.into_iter().chain(ranking).fold(Unique::over(rows), Unique::push).table.named("failures")
}

/// A table in which no name stands twice: a column may serve the log in several ways, and may be called `loss`.
struct Unique<'a> {
    names: Vec<String>,
    table: Table<'a, Failure>,
}

impl<'a> Unique<'a> {
    fn over(rows: &'a [Failure]) -> Self {
        Self { names: Vec::new(), table: Table::of(rows) }
    }

    fn push(mut self, (mut name, values): (String, Values)) -> Self {
        while self.names.contains(&name) {
            name.push('_');
        }
        self.names.push(name.clone());
        Self { names: self.names, table: self.table.push(name, values) }
    }
}

/// ISO 8601, in UTC.
fn moment(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}
