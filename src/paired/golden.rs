//! The golden set of a stage of kind `eval`.

use crate::digest::{self, Digest};
use crate::domain::rollout::PairSource;
use crate::error::{Problem, Result};
use crate::ingest::{self, Step};
use crate::scenario::{OnBadRow, Scenario, Tile};

/// A golden set, as a log of one slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    /// Its cells.
    pub digest: Digest,
    /// Column of what is taken as its unit.
    pub unit: String,
    /// Where it was read from.
    pub path: String,
    /// Per metric of the scenario: its index in the digest; `None` where no gate of the stage asks it.
    pub metrics: Vec<Option<usize>>,
    /// Per segment column of the scenario.
    pub columns: Vec<Option<usize>>,
}

/// The golden sets of all stages, by index.
///
/// # Errors
/// Every problem of a file, of its columns and of its rows.
pub fn read(scenario: &Scenario, progress: &dyn Fn(Step)) -> Result<Vec<Option<Golden>>> {
    (0..scenario.stages.len()).map(|stage| of_stage(scenario, stage, progress)).collect()
}

fn of_stage(scenario: &Scenario, stage: usize, progress: &dyn Fn(Step)) -> Result<Option<Golden>> {
    let Some(PairSource::Golden(path)) = scenario.stages[stage].paired.as_ref().map(|paired| &paired.source) else {
        return Ok(None);
    };
    let path = path.display().to_string();
    let mut reading = wanted(scenario, stage);
    let unit = identify(&mut reading.scenario, &path)?;
    let digest = digest::load(&path, &reading.scenario, progress)?;
    let Reading { metrics, columns, .. } = reading;
    Ok(Some(Golden { digest, unit, path, metrics, columns }))
}

/// What is read of a golden set, as a scenario of its own.
struct Reading {
    scenario: Scenario,
    metrics: Vec<Option<usize>>,
    columns: Vec<Option<usize>>,
}

/// The metrics that gates ask in the stage, the segments by which they ask, and those in which effects on these metrics hold.
fn wanted(scenario: &Scenario, stage: usize) -> Reading {
    let asked = || scenario.gates.iter().filter(|gate| gate.asked_in(&scenario.stages[stage]));
    let is_asked = |metric: usize| asked().any(|gate| gate.metric == metric);
    let mut columns: Vec<usize> = asked().flat_map(|gate| gate.by.iter().copied()).collect();
    let effects = scenario.effects.iter().filter(|effect| is_asked(effect.metric));
    columns.extend(effects.flat_map(|effect| effect.only.iter().map(|(column, _)| *column)));
    columns.sort_unstable();
    columns.dedup();
    let metrics: Vec<usize> = (0..scenario.metrics.len()).filter(|&metric| is_asked(metric)).collect();
    let mut own = scenario.clone();
    own.metrics = metrics.iter().map(|&metric| scenario.metrics[metric].clone()).collect();
    for metric in &mut own.metrics {
        // What people said is of the log's requests.
        metric.judge.human = None;
    }
    own.log.segments = columns.iter().map(|&column| scenario.log.segments[column].clone()).collect();
    "drawn_time".clone_into(&mut own.log.timestamp);
    own.log.spread = Some(scenario.log.slot);
    own.log.tile = Tile::None;
    own.log.missing = OnBadRow::Refuse;
    own.log.first_turns = None;
    own.log.only = Vec::new();
    own.assignment.buckets = None;
    own.stages = Vec::new();
    own.gates = Vec::new();
    own.effects = Vec::new();
    let place = |of: &[usize], index: usize| of.iter().position(|&other| other == index);
    Reading {
        scenario: own,
        metrics: (0..scenario.metrics.len()).map(|metric| place(&metrics, metric)).collect(),
        columns: (0..scenario.log.segments.len()).map(|column| place(&columns, column)).collect(),
    }
}

/// What one row is about: the log's unit where the set has it, else its item, else its request.
fn identify(scenario: &mut Scenario, path: &str) -> Result<String> {
    let unit = scenario.assignment.unit.clone();
    let (item, request) = (scenario.log.item.take(), scenario.log.request.take());
    let named: Vec<String> = [Some(unit.clone()), item.clone(), request].into_iter().flatten().collect();
    let known = ingest::has_columns(path, scenario, &named)?;
    let own = named.iter().zip(known).filter(|(_, known)| *known).map(|(name, _)| name);
    let own: Vec<&String> = own.collect();
    if own.contains(&&unit) {
        scenario.log.item = item.filter(|item| own.contains(&item));
        return Ok(unit);
    }
    let Some(own) = own.first() else {
        let message = format!("a golden set needs a column that says what a row is about, one of {}", listed(&named));
        let hint = "add the unit, or the item, of `[log]`: rows of one count as one";
        return Err(Problem::new(path, message).hint(hint).into());
    };
    scenario.assignment.unit.clone_from(own);
    Ok((*own).clone())
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
