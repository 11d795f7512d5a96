//! `--require "power>=0.8"`: limits that a plan must keep, for CI.

use crate::domain::rollout::Promotion;
use crate::error::{Problem, Result};
use crate::report::planning::{NeedRow, Side};
use crate::report::{Report, WorldRow, labels};
use crate::scenario::Scenario;

/// A limit as typed, and what it is about.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Requirement {
    typed: String,
    of: Quantity,
    limit: f64,
}

/// What can be required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Power,
    Promoted,
    FalseRollback,
    Miss,
    ExposedRequests,
    Days,
}

/// Name, operator and meaning of each.
const QUANTITIES: [(&str, &str, Quantity); 6] = [
    ("power", ">=", Quantity::Power),
    ("promoted", ">=", Quantity::Promoted),
    ("false_rollback", "<=", Quantity::FalseRollback),
    ("miss", "<=", Quantity::Miss),
    ("exposed_requests", "<=", Quantity::ExposedRequests),
    ("days", "<=", Quantity::Days),
];

/// What was typed, checked before anything runs.
pub(super) fn parse(typed: &[String]) -> Result<Vec<Requirement>> {
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for text in typed {
        match one(text) {
            Ok(requirement) => found.push(requirement),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems.into()) }
}

fn one(text: &str) -> std::result::Result<Requirement, Problem> {
    let known: Vec<String> = QUANTITIES.iter().map(|(name, operator, _)| format!("`{name}{operator}`")).collect();
    let wrong = |why: String, hint: String| Problem::new("--require", format!("`{text}`: {why}")).hint(hint);
    let allowed = || format!("what can be required: {}", known.join(", "));
    let Some(at) = text.find(['<', '>', '=']) else {
        return Err(wrong("has no `>=` or `<=`".into(), format!("write a limit such as `power>=0.8`; {}", allowed())));
    };
    let name = text[..at].trim();
    let Some(&(name, operator, of)) = QUANTITIES.iter().find(|(known, ..)| *known == name) else {
        return Err(wrong(format!("`{name}` is nothing that can be required"), allowed()));
    };
    let Some(value) = text[at..].strip_prefix(operator) else {
        return Err(wrong(
            format!("`{name}` is required with `{operator}`"),
            format!("write `{name}{operator}` and a number"),
        ));
    };
    let value = value.trim();
    let number = match value.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => value.parse(),
    };
    let share = !matches!(of, Quantity::ExposedRequests | Quantity::Days);
    match number {
        Ok(limit) if limit >= 0.0 && limit.is_finite() && (!share || limit <= 1.0) => {
            Ok(Requirement { typed: text.to_owned(), of, limit })
        }
        _ if share => Err(wrong(format!("`{value}` is no share"), "write 0.8 or 80%".into())),
        _ => Err(wrong(format!("`{value}` is no number of zero or more"), String::from("write a plain number"))),
    }
}

/// A line for each place where a requirement is missed.
pub(super) fn missed(requirements: &[Requirement], report: &Report, scenario: &Scenario) -> Vec<String> {
    requirements.iter().flat_map(|requirement| lines(requirement, report, scenario)).collect()
}

fn lines(requirement: &Requirement, report: &Report, scenario: &Scenario) -> Vec<String> {
    let missed = |what: String| format!("required {}: {what}", labels::visible(&requirement.typed));
    let limit = requirement.limit;
    let null = report.worlds.iter().find(|world| world.kind == "null");
    let past: Vec<&WorldRow> =
        report.worlds.iter().filter(|world| world.kind == "effect" && world.past_margin).collect();
    let nothing = || vec![missed("no effect of the scenario is past a margin, so there is nothing to miss".into())];
    match requirement.of {
        Quantity::Power => power(report, scenario)
            .into_iter()
            .filter(|(_, side, _)| side.is_none_or(|side| side.simulated.share < limit))
            .map(|(row, side, what)| {
                let chance = side.map_or_else(|| "unknown".to_owned(), |side| labels::share(side.simulated));
                missed(format!(
                    "{} at stage {}: chance to {what} is {chance}",
                    labels::visible(&row.gate),
                    labels::visible(&row.stage)
                ))
            })
            .collect(),
        Quantity::Promoted => null
            .filter(|world| world.promoted.share < limit)
            .map(|world| missed(format!("promoted if as good as stable in {}", labels::share(world.promoted))))
            .into_iter()
            .collect(),
        Quantity::FalseRollback => null
            .filter(|world| world.rolled_back.share > limit)
            .map(|world| missed(format!("rolled back if as good as stable in {}", labels::share(world.rolled_back))))
            .into_iter()
            .collect(),
        Quantity::Days => null
            .filter(|world| world.duration_s.mean / 86_400.0 > limit)
            .map(|world| {
                missed(format!("a candidate as good as stable takes {}", labels::duration(world.duration_s.mean)))
            })
            .into_iter()
            .collect(),
        Quantity::Miss | Quantity::ExposedRequests if past.is_empty() => nothing(),
        Quantity::Miss => past
            .iter()
            .filter(|world| 1.0 - world.detected.share > limit)
            .map(|world| missed(format!("{}: found in {}", labels::world(&world.world), labels::share(world.detected))))
            .collect(),
        Quantity::ExposedRequests => past
            .iter()
            .filter(|world| world.exposed_requests.mean > limit)
            .map(|world| {
                let served = labels::count(world.exposed_requests.mean);
                missed(format!("{}: {served} requests served by the candidate on average", labels::world(&world.world)))
            })
            .collect(),
    }
}

/// Where each gate has to decide, and its side there: under `all-pass` to pass, at every stage that needs it; under `no-fail` to fail at the
/// named regression, at the last stage that asks it.
fn power<'r>(report: &'r Report, scenario: &Scenario) -> Vec<(&'r NeedRow, Option<&'r Side>, &'static str)> {
    let whole = || report.planning.needs.iter().filter(|row| row.segment.is_none());
    if scenario.rollout.promote == Promotion::NoFail {
        let last = |name: &str| whole().rfind(|row| row.gate == name && row.regression.is_some());
        let rows = scenario.gates.iter().filter_map(|gate| last(&gate.name));
        return rows.map(|row| (row, row.fail.as_ref(), "fail at its named regression")).collect();
    }
    let needs_pass = |row: &&NeedRow| {
        let stage = scenario.stages.iter().position(|stage| stage.name == row.stage);
        stage.is_some_and(|stage| stage >= scenario.rollout.pass_from)
    };
    whole().filter(needs_pass).map(|row| (row, row.pass.as_ref(), "pass a candidate as good as stable")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn scenario() -> Scenario {
        Scenario::parse("minimal.toml", include_str!("../../tests/scenarios/valid/minimal.toml")).unwrap()
    }

    fn check(typed: &str) -> Vec<String> {
        missed(&parse(&[typed.to_owned()]).unwrap(), &sample(), &scenario())
    }

    #[test]
    fn limits_are_read_as_numbers_and_shares() {
        let limit = |text: &str| parse(&[text.to_owned()]).unwrap()[0].limit;
        assert!((limit("power>=0.8") - 0.8).abs() < 1e-12);
        assert!((limit("false_rollback <= 5%") - 0.05).abs() < 1e-12);
        assert!((limit("exposed_requests<=20000") - 20_000.0).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_required_is_refused_with_what_can() {
        for (text, says) in [
            ("speed>=1", "what can be required: `power>=`, `promoted>=`, `false_rollback<=`"),
            ("power", "no `>=` or `<=`"),
            ("power<=0.8", "required with `>=`"),
            ("power>=80", "is no share"),
            ("days<=soon", "is no number"),
        ] {
            let error = parse(&[text.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let both = parse(&["a>=1".to_owned(), "b<=1".to_owned()]).unwrap_err().to_string();
        assert!(both.contains("`a`") && both.contains("`b`"), "all at once: {both}");
    }

    #[test]
    fn what_is_missed_is_named_with_its_interval() {
        assert!(check("false_rollback<=100%").is_empty() && check("days<=1000").is_empty());
        let lines = check("promoted>=100%");
        assert!(
            lines.len() == 1 && lines[0].contains("required promoted>=100%") && lines[0].contains('('),
            "{lines:?}"
        );
        assert!(check("exposed_requests<=1").len() > 1, "one line for each effect");
    }
}
