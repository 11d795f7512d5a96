//! The plan on one screen.

use std::fmt::Write as _;
use std::path::Path;

use super::{BindingRow, CandidateRow, HeldRow, Plan, StageRow};
use crate::error::printable;
use crate::report::labels;
use crate::report::terminal::{clipped, wrapped};

/// Rows shown of each list; the page has all.
const RUNNERS_UP: usize = 4;
const ADVICE: usize = 9;

/// The plan as plain text.
#[must_use]
pub fn summary(plan: &Plan) -> String {
    let parts = [head(plan), verdict(plan), limits(plan), binding(plan), others(plan), advice(plan), notes(plan)];
    parts.into_iter().filter(|part| !part.is_empty()).fold(String::new(), |text, part| text + &part + "\n")
}

/// Where the files are, after the summary.
#[must_use]
pub fn places(plan: &Plan, out: &Path) -> String {
    let out = printable(&out.display().to_string());
    let scenario = if plan.feasible { "plan.toml" } else { "nearest.toml" };
    format!("Scenario: {out}/{scenario}\nPlan: {out}/plan.html (beside it plan.json, tables/ and figures/)\n")
}

/// `5 % for 6h → 50 % for 2d`.
pub(in crate::report) fn schedule(row: &CandidateRow) -> String {
    let stage = |stage: &StageRow| {
        format!("{} for {}", labels::percent(stage.exposure), labels::duration(stage.duration_s as f64))
    };
    row.stages.iter().map(stage).collect::<Vec<_>>().join(" → ")
}

/// What is not as written in the scenario.
pub(in crate::report) fn gates(row: &CandidateRow) -> String {
    let budget = row.false_rollback_budget.zip(row.budget.as_deref()).map(|(share, how)| {
        let how = if how == "rollout" { "spent once over all stages" } else { "split over gates and stages" };
        format!("budget of false rollbacks {}, {how}", labels::percent(share))
    });
    let test = row.test.as_ref().map(|test| format!("test {test}"));
    let proof = row.proof.then(|| "every gate must pass at the last stage’s end".to_owned());
    let changed: Vec<String> = [test, budget, proof].into_iter().flatten().collect();
    if changed.is_empty() { "gates as written".to_owned() } else { changed.join("; ") }
}

/// What a limit is about, in words.
pub(in crate::report) fn about(row: &HeldRow) -> String {
    let world = row.world.as_deref().map(labels::world).unwrap_or_default();
    match row.of.as_str() {
        "promoted" => "good candidate promoted".to_owned(),
        "false_rollback" => "good candidate rolled back".to_owned(),
        "miss" => format!("promoted: {world}"),
        "exposed_requests" => format!("requests: {world}"),
        _ => "days to 100 %".to_owned(),
    }
}

/// A value with its interval, where it has one.
pub(in crate::report) fn value(row: &HeldRow) -> String {
    match row.of.as_str() {
        "days" if row.value.is_finite() => format!("{:.2}", row.value),
        "days" => "never".to_owned(),
        "exposed_requests" => {
            let count = |value: f64| labels::count(value.max(0.0));
            format!("{} ({}–{})", count(row.value), count(row.low), count(row.high))
        }
        _ => {
            let digits = labels::percent_digits;
            format!("{} ({}–{})", labels::percent(row.value), digits(row.low), digits(row.high))
        }
    }
}

/// What became of a limit.
pub(in crate::report) fn standing(row: &HeldRow) -> &'static str {
    match (row.kept, row.crosses) {
        (true, false) => "kept",
        (true, true) => "kept, within Monte Carlo error",
        (false, true) => "missed, within Monte Carlo error",
        (false, false) => "missed",
    }
}

fn head(plan: &Plan) -> String {
    clipped(&format!(
        "{} on {}: {} schedules simulated, {} rollouts, seed {}",
        labels::tail(&plan.scenario, 30),
        labels::tail(&plan.log, 34),
        labels::whole(plan.simulations as u64),
        labels::whole(plan.rollouts as u64),
        plan.seed,
    ))
}

/// The answer in a sentence, and what happened on fresh seeds.
pub(in crate::report) fn answer(plan: &Plan) -> String {
    let chosen = &plan.chosen.candidate;
    let mut text = if plan.feasible {
        format!("Feasible: {} to 100 % by {}.", labels::duration(chosen.days * 86_400.0), schedule(chosen))
    } else {
        format!("Infeasible: no schedule that was tried keeps every limit. The nearest is {}.", schedule(chosen))
    };
    let _ = write!(text, " Gates: {}.", gates(chosen));
    let missed = plan.fresh.iter().filter(|run| !run.kept && run.candidate != chosen.number);
    for run in missed {
        let limits = run.missed.iter().map(|limit| labels::visible(limit)).collect::<Vec<_>>().join(", ");
        let _ = write!(text, " Candidate {} looked better, but missed {limits} on seed {}.", run.candidate, run.seed);
    }
    text
}

fn verdict(plan: &Plan) -> String {
    wrapped(&answer(plan), "  ")
}

fn limits(plan: &Plan) -> String {
    let fresh_seed = plan.fresh.last().map_or(plan.seed, |run| run.seed);
    let row = |limit: &str, of: &str, searched: &str, fresh: &str, mark: &str| {
        clipped(format!("{limit:<22} {of:<28} {searched:>19} {fresh:>19} {mark}").trim_end())
    };
    let (searched, fresh) = (format!("search, seed {}", plan.seed), format!("fresh, seed {fresh_seed}"));
    let mut text = row("limit", "of", &searched, &fresh, "");
    let pairs = || plan.chosen.searched.iter().zip(&plan.chosen.fresh);
    for (searched, fresh) in pairs() {
        let (limit, of) = (labels::short(&fresh.limit, 22), labels::short(&about(fresh), 28));
        let mark = match (fresh.kept, fresh.crosses) {
            (true, false) => "",
            (true, true) => "~",
            (false, true) => "missed ~",
            (false, false) => "missed",
        };
        text.push_str(&row(&limit, &of, &value(searched), &value(fresh), mark));
    }
    if pairs().any(|(_, fresh)| fresh.crosses) {
        text.push_str("~ the 95 % interval reaches to the other side of the limit: more --replicates narrow it.\n");
    }
    let defaults: Vec<String> =
        plan.limits.iter().filter(|limit| limit.default).map(|limit| labels::visible(&limit.limit)).collect();
    if !defaults.is_empty() {
        text.push_str(&clipped(&format!("{} is the default; --limit changes it.", defaults.join(", "))));
    }
    text
}

/// Which limits hold faster schedules back.
pub(in crate::report) fn binds(rows: &[BindingRow]) -> Option<String> {
    let tried = rows.first()?.of;
    let each = rows.iter().map(|row| format!("{} in {}", labels::visible(&row.limit), row.schedules));
    Some(format!("of {tried} faster schedules tried, missed: {}", each.collect::<Vec<_>>().join(", ")))
}

fn binding(plan: &Plan) -> String {
    let Some(binds) = binds(&plan.binding).filter(|_| plan.feasible) else { return String::new() };
    wrapped(&format!("BINDING: {binds}."), "  ")
}

fn others(plan: &Plan) -> String {
    let mut text = String::new();
    let mut line = |name: &str, row: &CandidateRow| {
        let worst = row.limits.iter().filter(|held| !held.kept).map(|held| labels::visible(&held.limit));
        let missed = worst.collect::<Vec<_>>().join(", ");
        let miss = row.worst_miss.map_or_else(|| labels::NONE.to_owned(), labels::percent);
        let requests = row.worst_exposed_requests.map_or_else(|| labels::NONE.to_owned(), labels::count);
        let end = if missed.is_empty() { String::new() } else { format!("; misses {missed}") };
        text.push_str(&wrapped(
            &format!(
                "  {name}: {} by {}; {}; worst miss {miss}, worst exposure {requests} requests{end}",
                labels::duration(row.days * 86_400.0),
                schedule(row),
                gates(row)
            ),
            "      ",
        ));
    };
    for row in plan.runners_up.iter().take(RUNNERS_UP) {
        line(&format!("{:>3}", row.number), row);
    }
    if let Some(own) = &plan.own {
        line("as written", own);
    }
    if text.is_empty() { text } else { "RUNNERS-UP, on the search’s seed\n".to_owned() + &text }
}

fn advice(plan: &Plan) -> String {
    if plan.advice.is_empty() {
        return String::new();
    }
    let lines =
        plan.advice.iter().take(ADVICE).map(|row| wrapped(&format!("  {}", labels::short(&row.says, 400)), "    "));
    "WHAT WOULD HELP\n".to_owned() + &lines.collect::<String>()
}

fn notes(plan: &Plan) -> String {
    plan.notes.iter().map(|note| wrapped(&format!("NOTE: {}", labels::visible(note)), "  ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plan::sample;

    #[test]
    fn it_fits_the_screen_and_shows_both_runs() {
        let text = summary(&sample());
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(text.contains("Feasible: 2d 12h to 100 % by 5 % for 6h → 50 % for 2d 6h."), "{text}");
        assert!(text.contains("search, seed 7") && text.contains("fresh, seed 9"), "{text}");
        assert!(text.contains(" ~\n") && text.contains("~ the 95 % interval reaches"), "{text}");
        assert!(text.contains("Candidate 3 looked better, but missed miss<=10%"), "{text}");
        assert!(text.contains("BINDING: of 10 faster schedules tried, missed: miss<=10% in 9."), "{text}");
    }
}
