//! Scenario and log, read and held against each other.

use super::progress::Progress;
use crate::cli::Inputs;
use crate::digest::cells::MetricCells;
use crate::digest::{self, Digest};
use crate::domain::quantity::{Moment, Seconds};
use crate::domain::rollout::Stage;
use crate::domain::version::Version;
use crate::domain::world::Change;
use crate::error::{Error, Problem, Result};
use crate::paired::golden::{self, Golden};
use crate::scenario::{Scenario, Tile};
use crate::simulate::who::Who;
use crate::simulate::whole_weeks;

pub(super) fn scenario(inputs: &Inputs) -> Result<Scenario> {
    let path = inputs.scenario.as_deref().ok_or_else(|| Error::at("", "a scenario is needed: `--scenario FILE`"))?;
    Scenario::read(path)
}

/// The digest of the log as later stages see it.
pub(super) fn digest(inputs: &Inputs, scenario: &Scenario, progress: &Progress) -> Result<Digest> {
    let digest = recorded_digest(inputs, scenario, progress)?;
    digest::as_seen(digest, inputs.log.as_deref().unwrap_or_default(), scenario)
}

/// The digest of the log as recorded, with the scenario's segment values checked against it.
pub(super) fn recorded_digest(inputs: &Inputs, scenario: &Scenario, progress: &Progress) -> Result<Digest> {
    let path = inputs.log.as_deref().ok_or_else(|| Error::at("", "a log is needed: a file, a glob or a directory"))?;
    let digest = digest::read(path, scenario, &|step| progress.hear(step))?;
    let problems: Vec<Problem> = log_problems(scenario, &digest);
    if problems.is_empty() { Ok(digest) } else { Err(problems.into()) }
}

/// Effects and stages name values that the log must have, flips need outcomes that are 0 or 1, and waves units that stay in them.
pub(super) fn log_problems(scenario: &Scenario, digest: &Digest) -> Vec<Problem> {
    let mut problems = Vec::new();
    for stage in &scenario.stages {
        let of = format!("stage `{}`", stage.name);
        let only = stage.only.iter().flat_map(|(column, values)| values.iter().map(move |value| (*column, value)));
        let shares = stage.per_segment.iter().flat_map(|shares| shares.values.iter().map(|(v, _)| (shares.column, v)));
        problems.extend(
            only.chain(shares).filter_map(|(column, value)| unknown_value(scenario, digest, &of, column, value)),
        );
    }
    if problems.is_empty() {
        problems.extend(Who::problems(digest, scenario));
    }
    for effect in &scenario.effects {
        let of = format!("effect `{}`", effect.name);
        for (column, values) in &effect.only {
            problems.extend(values.iter().filter_map(|value| unknown_value(scenario, digest, &of, *column, value)));
        }
        if let (Change::Flip(_), MetricCells::Sums(sums)) = (effect.change, &digest.cells.metrics[effect.metric])
            && sums.version.stable.num.iter().any(|num| num.fract() != 0.0)
        {
            let metric = &scenario.metrics[effect.metric].name;
            let message =
                format!("effect `{}`: metric `{metric}` has values between 0 and 1, which cannot flip", effect.name);
            problems.push(Problem::new(&scenario.path, message).hint("use `shift` or `scale`, or a column of 0 and 1"));
        }
    }
    problems
}

/// The golden sets of the stages, by index.
pub(super) fn golden(scenario: &Scenario, progress: &Progress) -> Result<Vec<Option<Golden>>> {
    golden::read(scenario, &|step| progress.hear(step))
}

/// Stages that expose nobody, which only the main job and `check` know.
pub(super) fn pairs_unknown(scenario: &Scenario) -> Option<Problem> {
    let stage = scenario.stages.iter().find(|stage| stage.paired.is_some())?;
    let message = format!("stage `{}` exposes nobody, and is replayed by the main job alone", stage.name);
    Some(
        Problem::new(&scenario.path, message)
            .hint("leave the stage out here: this command compares schedules of stages that expose units"),
    )
}

/// A value that a segment column does not have.
fn unknown_value(scenario: &Scenario, digest: &Digest, of: &str, column: usize, value: &str) -> Option<Problem> {
    let known = &digest.segments[column];
    if known.values.iter().any(|known| known == value) {
        return None;
    }
    let nearest = known.values.iter().max_by(|a, b| strsim::jaro(a, value).total_cmp(&strsim::jaro(b, value)));
    let message = format!("{of}: `{value}` is no value of segment column `{}` in the log", known.name);
    let hint = format!(
        "did you mean `{}`? The log has {}",
        nearest.map_or("", String::as_str),
        known.values.iter().take(20).map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
    );
    Some(Problem::new(&scenario.path, message).hint(hint))
}

/// A replay needs some request that both versions answered.
pub(super) fn comparable(inputs: &Inputs, digest: &Digest) -> Result<()> {
    let has_any = |version: Version| digest.cells.covered_by(version).iter().any(|&requests| requests > 0.0);
    if Version::BOTH.into_iter().all(has_any) {
        return Ok(());
    }
    let message = format!(
        "no request has a candidate output: the candidate's columns are null in all {} rows",
        digest.facts.rows
    );
    Err(Problem::new(inputs.log.as_deref().unwrap_or_default(), message)
        .hint(
            "there is nothing to compare before some requests were mirrored to the candidate; check the `column` of each metric",
        )
        .into())
}

/// More looks are not kept: a rollout's sums at every look would not fit in memory.
const MOST_LOOKS: i64 = 100_000;

/// Moments at which the schedule can start; an error that says how much log is needed where there is none.
pub(super) fn starts(scenario: &Scenario, digest: &Digest) -> Result<Vec<Moment>> {
    let needed = scenario.longest();
    let looks = scenario.most_looks();
    if looks > MOST_LOOKS {
        let message = format!("the stages have {looks} looks, and at most {MOST_LOOKS} are kept");
        let hint = "raise `look_every`, or shorten stages, `max_hold`, `max_pause` or `approval` of the rollout, or widen the hours in which stages `start`";
        return Err(Problem::new(&scenario.path, message).hint(hint).into());
    }
    let length = Seconds(digest.end().0 - digest.first.0);
    if scenario.log.tile == Tile::Week {
        let weeks = whole_weeks(digest) as i64 * digest.slot.0;
        if weeks == 0 {
            let message = format!("the log covers {length}, which is no whole week to repeat");
            return Err(Problem::new(&scenario.path, message)
                .hint("`log.tile = \"week\"` needs at least 7 days")
                .into());
        }
        // Every start within the weeks; the schedule then runs on into their repetition.
        let mut starts = scenario.starts(digest.first, Moment((digest.first.0 + weeks).saturating_add(needed.0)));
        starts.retain(|start| start.0 < digest.first.0 + weeks);
        if starts.is_empty() {
            let message = "no start time lies in the weeks of the log that are repeated";
            return Err(Problem::new(&scenario.path, message).hint("choose other `rollout.start` times").into());
        }
        return Ok(starts);
    }
    let starts = scenario.starts(digest.first, digest.end());
    if !starts.is_empty() {
        return Ok(starts);
    }
    let held = if scenario.prolongs() { ", held for as long as it may be," } else { "" };
    let message = if length < needed {
        format!("the log covers {length}, the schedule{held} needs {needed}")
    } else {
        format!("no start time leaves room for the schedule{held}: it needs {needed} and the log covers {length}")
    };
    let hint = "log more traffic, shorten the stages, choose other `rollout.start` times, or repeat whole weeks with `log.tile = \"week\"`";
    Err(Problem::new(&scenario.path, message).hint(hint).into())
}

/// A stage by name.
pub(super) fn stage<'a>(scenario: &'a Scenario, name: &str) -> Result<&'a Stage> {
    let known: Vec<String> = scenario.stages.iter().map(|stage| format!("`{}`", stage.name)).collect();
    scenario.stages.iter().find(|stage| stage.name == name).ok_or_else(|| {
        Problem::new(&scenario.path, format!("no stage is called `{name}`"))
            .hint(format!("stages: {}", known.join(", ")))
            .into()
    })
}
