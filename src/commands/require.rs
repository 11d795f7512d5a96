//! `--require "power>=0.8"`: limits that a plan must keep, for CI.

use super::limits;
use crate::domain::limit::{Limit, Quantity};
use crate::domain::rollout::Promotion;
use crate::error::Result;
use crate::report::planning::{NeedRow, Side};
use crate::report::{Report, WorldRow, labels};
use crate::scenario::Scenario;

/// What was typed, checked before anything runs.
pub(super) fn parse(typed: &[String]) -> Result<Vec<Limit>> {
    let (found, problems) = limits::parse("--require", &Quantity::ALL, typed);
    if problems.is_empty() { Ok(found) } else { Err(problems.into()) }
}

/// A line for each place where a requirement is missed.
pub(super) fn missed(requirements: &[Limit], report: &Report, scenario: &Scenario) -> Vec<String> {
    requirements.iter().flat_map(|requirement| lines(requirement, report, scenario)).collect()
}

fn lines(requirement: &Limit, report: &Report, scenario: &Scenario) -> Vec<String> {
    let missed = |what: String| format!("required {}: {what}", labels::visible(&requirement.typed));
    let limit = requirement.bound;
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
        Quantity::Days => {
            let full_s = scenario.duration().0 as f64;
            let reached = null.is_some_and(|world| world.promoted.share > 0.0);
            if reached && full_s / 86_400.0 <= limit {
                return Vec::new();
            }
            let takes = if reached { labels::duration(full_s) } else { "for ever".to_owned() };
            vec![missed(format!("a candidate as good as stable takes {takes}"))]
        }
        Quantity::Miss | Quantity::ExposedRequests if past.is_empty() => nothing(),
        Quantity::Miss => past
            .iter()
            .filter(|world| world.promoted.share > limit)
            .map(|world| {
                missed(format!(
                    "{}: promoted to the end in {}",
                    labels::world(&world.world),
                    labels::share(world.promoted)
                ))
            })
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
        stage.is_some_and(|stage| scenario.rollout.needs_pass(stage))
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
