//! `replay assign`: which units get the candidate, as the flag platform decides it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::progress::Progress;
use super::{answer, inputs, output};
use crate::assign::values::{Trouble, Values, What};
use crate::assign::{Bucketing, of_units, platforms};
use crate::cli::{AnswerForm, AssignArgs, Inputs};
use crate::digest::Digest;
use crate::domain::quantity::Fraction;
use crate::domain::rollout::Sticky;
use crate::domain::version::Version;
use crate::error::{Error, Problem, Result, printable};
use crate::report::tables::{self, Finished, Form, Table};
use crate::scenario::Scenario;
use crate::simulate::who::{Turn, Who};

pub(super) fn run(args: &AssignArgs) -> Result<u8> {
    if let Some(hash) = &args.hash {
        return answer(&asked(args, hash)?);
    }
    let wanted = Inputs { log: args.log.clone(), scenario: args.scenario.clone() };
    let mut scenario = inputs::scenario(&wanted)?;
    known(&scenario)?;
    // Buckets have no names of units.
    scenario.assignment.buckets = None;
    let bucketing = of_units(&scenario.assignment);
    if let Some(unit) = &args.why {
        return answer(&why(args, &wanted, &scenario, &*bucketing, unit)?);
    }
    let stage = args.stage.as_deref().map(|name| inputs::stage(&scenario, name)).transpose()?;
    let form = args.out.as_deref().map(output::form).transpose()?;
    args.out.as_deref().map(output::prepare).transpose()?;
    let digest = digest(&wanted, &scenario)?;
    let who = Who::new(&digest, &scenario);
    let table = match stage.and_then(|stage| scenario.stages.iter().position(|other| other.name == stage.name)) {
        Some(stage) => {
            let in_it = |unit: &usize| serves(&*bucketing, &digest.units[*unit], who.turns(*unit)[stage]);
            let units: Vec<usize> = (0..digest.units.len()).filter(in_it).collect();
            listed(&scenario, &units.iter().map(|&unit| &digest.units[unit]).collect::<Vec<_>>())
        }
        None => first_stages(&scenario, &digest.units, &who, &*bucketing),
    };
    if let Some((out, form)) = args.out.as_deref().zip(form) {
        output::write(out, &tables::bytes(&table, form)?)?;
        return answer(&format!("wrote {}: {} units\n", out.display(), table.height()));
    }
    let text = String::from_utf8(tables::bytes(&table, Form::Csv)?);
    answer(&text.map_err(|error| Error::at("assign", error.to_string()))?)
}

/// Which units production takes follows from the scenario only where they are held.
fn known(scenario: &Scenario) -> Result<()> {
    let sticky = scenario.assignment.sticky;
    let why = match sticky {
        Sticky::Unit => return Ok(()),
        Sticky::Stage => "every stage draws anew, by a salt that the scenario does not know",
        Sticky::Session => "every session draws when it begins, as often as not at random",
        Sticky::Request | Sticky::Cookie => "every request draws, at random",
    };
    let message = format!("`assignment.sticky = \"{}\"`: {why}", sticky.name());
    let hint = match sticky {
        Sticky::Stage => {
            "set `sticky = \"unit\"` and the salt of the stage in question: that stage is then right by itself"
        }
        _ => "nobody knows beforehand which users meet the candidate; `true_exposure` in the report says how many",
    };
    Err(Problem::new(&scenario.path, message).hint(hint).into())
}

fn digest(wanted: &Inputs, scenario: &Scenario) -> Result<Digest> {
    let progress = Progress::new();
    let digest = inputs::digest(wanted, scenario, &progress)?;
    progress.finish();
    Ok(digest)
}

/// Units under the name of their column.
fn listed(scenario: &Scenario, units: &[&String]) -> Finished {
    Table::of(units).text(&scenario.assignment.unit, |unit| unit).named("assign")
}

/// Whether a unit has the candidate. Before its wave has come, only one that always has it; none in a stage that exposes nobody.
fn serves(bucketing: &dyn Bucketing, unit: &str, turn: Turn) -> bool {
    let place = bucketing.place(unit);
    let always = place < 0.0 && turn.exposure >= 0.0;
    always || turn.exposure > 0.0 && bucketing.serves(place, exposure(turn))
}

fn exposure(turn: Turn) -> Fraction {
    Fraction::new(turn.exposure).expect("exposures are shares")
}

/// Every unit with the first stage in which it has the candidate; raising exposure only adds units.
fn first_stages(scenario: &Scenario, units: &[String], who: &Who, bucketing: &dyn Bucketing) -> Finished {
    let first = |(index, unit): (usize, &String)| {
        let mut turns = scenario.stages.iter().zip(who.turns(index)).filter(|(stage, _)| stage.paired.is_none());
        turns.find(|(_, turn)| serves(bucketing, unit, **turn)).map(|(stage, _)| stage.name.as_str())
    };
    let rows: Vec<(&String, Option<&str>)> =
        units.iter().enumerate().map(|(index, unit)| (unit, first((index, unit)))).collect();
    Table::of(&rows)
        .text(&scenario.assignment.unit, |(unit, _)| unit)
        .text_or("first_stage", |(_, stage)| *stage)
        .named("assign")
}

/// From the text that is hashed to the answer in each stage.
fn why(
    args: &AssignArgs,
    wanted: &Inputs,
    scenario: &Scenario,
    bucketing: &dyn Bucketing,
    unit: &str,
) -> Result<String> {
    let digest = args.log.is_some().then(|| digest(wanted, scenario)).transpose()?;
    let place = digest.as_ref().map(|digest| digest.units.iter().position(|known| known == unit));
    let in_log = place.map(|place| place.is_some());
    let turns: Vec<Turn> = match (digest.as_ref().zip(place.flatten()), scenario.stages.iter().find(|s| s.asks_who())) {
        (Some((digest, place)), _) => Who::new(digest, scenario).turns(place).to_vec(),
        (None, None) => scenario.stages.iter().map(|stage| Turn::of_everyone(stage.exposure)).collect(),
        (None, Some(stage)) => {
            let message =
                format!("stage `{}` chooses by segments, which are known of units in the log only", stage.name);
            return Err(Problem::new(&scenario.path, message).hint("give a log that has the unit").into());
        }
    };
    let hashed = bucketing.hashed(unit);
    let platform = scenario.assignment.platform.to_string();
    // Where nobody is exposed there is nothing to answer.
    let exposing = scenario.stages.iter().zip(&turns).filter(|(stage, _)| stage.paired.is_none());
    let stages = exposing.map(|(stage, &turn)| {
        let version = if serves(bucketing, unit, turn) { Version::Candidate } else { Version::Stable };
        (stage, exposure(turn), bucketing.threshold(exposure(turn)), version.name())
    });
    if args.format == AnswerForm::Json {
        let stages: Vec<Value> = stages
            .map(|(stage, exposure, threshold, version)| {
                json!({ "stage": stage.name, "exposure": exposure.get(), "threshold": threshold, "version": version })
            })
            .collect();
        let answer = json!({
            "unit": unit, "in_log": in_log, "platform": platform, "steps": bucketing.steps(), "text": hashed.text, "hash": hashed.hash,
            "bucket": hashed.bucket, "stages": stages,
        });
        return Ok(format!("{answer:#}\n"));
    }
    let mut text = format!(
        "unit      {}\nplatform  {}\nhashed    {}\nhash      {}\nbucket    {}\n",
        printable(unit),
        printable(&platform),
        printable(&hashed.text),
        printable(&hashed.hash),
        printable(&hashed.bucket)
    );
    if let Some(in_log) = in_log {
        let _ = writeln!(text, "in log    {}", if in_log { "yes" } else { "no: is it spelled as the log has it?" });
    }
    for (stage, exposure, threshold, version) in stages {
        let name = printable(&stage.name);
        let _ = writeln!(text, "stage     {name} ({exposure}): {version}; the candidate has what is {threshold}");
    }
    Ok(text)
}

/// All that an algorithm computes for one unit.
fn asked(args: &AssignArgs, hash: &str) -> Result<String> {
    let given = given(&args.set)?;
    let values = Values::of(given.clone()).with_unit(args.unit.clone());
    let Some(answer) = platforms::answer(hash, values) else {
        let known: Vec<String> = platforms::names().map(|name| format!("`{name}`")).collect();
        let problem = Problem::new(format!("--hash {hash}"), "is no algorithm that is known");
        return Err(problem.hint(format!("one of {}", known.join(", "))).into());
    };
    let mut answer = answer.map_err(|troubles| problems(&troubles, hash))?;
    if args.format == AnswerForm::Json {
        answer["algorithm"] = json!(hash);
        let mut inputs = given;
        inputs.extend(args.unit.iter().map(|unit| ("unit".to_owned(), unit.clone())));
        answer["inputs"] = json!(inputs);
        return Ok(format!("{answer:#}\n"));
    }
    let lines = answer.as_object().into_iter().flatten().map(|(name, value)| format!("{name}: {value}\n"));
    Ok(lines.collect())
}

fn given(set: &[String]) -> Result<BTreeMap<String, String>> {
    let mut given = BTreeMap::new();
    let mut problems = Vec::new();
    for text in set {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                if given.insert(name.to_owned(), value.to_owned()).is_some() {
                    problems.push(Problem::new(format!("--set {text}"), format!("gives `{name}` a second time")));
                }
            }
            _ => problems.push(Problem::new(format!("--set {text}"), "is not NAME=VALUE")),
        }
    }
    if problems.is_empty() { Ok(given) } else { Err(problems.into()) }
}

fn problems(troubles: &[Trouble], hash: &str) -> Error {
    let problem = |trouble: &Trouble| {
        let name = &trouble.name;
        match &trouble.what {
            What::Missing(meaning) => {
                Problem::new(format!("--set {name}"), format!("is needed by `{hash}`")).hint(meaning)
            }
            What::Wrong(why, hint) => Problem::new(format!("--set {name}"), format!("has a value {why}")).hint(hint),
            What::Unused(used) => {
                let used: Vec<String> = used.iter().map(|name| format!("`{name}`")).collect();
                Problem::new(format!("--set {name}"), format!("is not used by `{hash}` here"))
                    .hint(format!("it uses {}", used.join(", ")))
            }
        }
    };
    troubles.iter().map(problem).collect::<Vec<_>>().into()
}
