//! `plan.html`: one file, nothing loaded from elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::comparison::world_cells;
use super::{Cell, Drawn, Grid, filled, head};
use crate::error::Result;
use crate::report::comparison::VariantWorld;
use crate::report::figures::{self, Figure};
use crate::report::labels;
use crate::report::plan::{CandidateRow, HeldRow, Plan, terminal};

const TEMPLATE: &str = include_str!("../plan.html.j2");

/// Candidates shown; the table has all.
const CANDIDATES: usize = 60;

/// Everything the template may use.
#[derive(Serialize)]
struct Page<'a> {
    title: String,
    regular: String,
    bold: String,
    answer: String,
    binding: Option<String>,
    figure: Drawn<'a>,
    notes: Vec<String>,
    limits: Grid,
    stages: Grid,
    worlds: Grid,
    runners_up: Grid,
    advice: Vec<String>,
    candidates: Grid,
    shown: usize,
    scenario_file: &'static str,
    text: &'a str,
    facts: Vec<(&'static str, String)>,
}

/// The page.
pub(in crate::report) fn render(plan: &Plan, figure: &Figure) -> Result<String> {
    let mut others: Vec<&CandidateRow> = plan.runners_up.iter().collect();
    others.extend(plan.own.as_ref());
    let context = Page {
        title: labels::tail(&plan.scenario, 80),
        regular: STANDARD.encode(figures::REGULAR),
        bold: STANDARD.encode(figures::BOLD),
        answer: terminal::answer(plan),
        binding: terminal::binds(&plan.binding).filter(|_| plan.feasible),
        figure: Drawn { svg: &figure.svg, caption: figure.caption },
        notes: plan.notes.iter().map(|note| labels::visible(note)).collect(),
        limits: limits(plan),
        stages: stages(&plan.chosen.candidate),
        worlds: worlds(&plan.chosen.worlds),
        runners_up: candidates(&others),
        advice: plan.advice.iter().map(|row| labels::visible(&row.says)).collect(),
        candidates: candidates(&plan.candidates.iter().take(CANDIDATES).collect::<Vec<_>>()),
        shown: plan.candidates.len(),
        scenario_file: if plan.feasible { "plan.toml" } else { "nearest.toml" },
        text: &plan.chosen.text,
        facts: facts(plan),
    };
    filled(TEMPLATE, &context, "plan.html")
}

fn limits(plan: &Plan) -> Grid {
    let columns = [
        ("limit", ""),
        ("of", ""),
        ("in the search", "on the seed by which candidates were chosen: the best of many looks better than it is"),
        ("on a fresh seed", "what to rely on"),
        ("", ""),
    ];
    let row = |(searched, fresh): (&HeldRow, &HeldRow)| {
        vec![
            Cell::name(labels::visible(&fresh.limit)),
            Cell::name(terminal::about(fresh)),
            Cell::number(terminal::value(searched)),
            Cell::number(terminal::value(fresh)),
            Cell::of(terminal::standing(fresh), if fresh.kept { "good" } else { "bad" }),
        ]
    };
    Grid { head: head(&columns), rows: plan.chosen.searched.iter().zip(&plan.chosen.fresh).map(row).collect() }
}

fn stages(row: &CandidateRow) -> Grid {
    let stage = |stage: &crate::report::plan::StageRow| {
        vec![
            Cell::name(labels::visible(&stage.name)),
            Cell::number(labels::percent(stage.exposure)),
            Cell::number(labels::duration(stage.duration_s as f64)),
            Cell::number(labels::duration(stage.look_every_s as f64)),
        ]
    };
    let columns = [("stage", ""), ("exposure", ""), ("duration", ""), ("looks every", "")];
    Grid { head: head(&columns), rows: row.stages.iter().map(stage).collect() }
}

fn worlds(worlds: &[VariantWorld]) -> Grid {
    let columns = [
        ("If the candidate is", ""),
        ("promoted", ""),
        ("rolled back", ""),
        ("stalled", ""),
        ("time to detect", "from the onset, among those found; median (10 %–90 %)"),
        ("requests served", "mean"),
    ];
    Grid { head: head(&columns), rows: worlds.iter().map(|world| world_cells(world).into()).collect() }
}

fn candidates(rows: &[&CandidateRow]) -> Grid {
    let row = |row: &&CandidateRow| {
        let missed: Vec<String> =
            row.limits.iter().filter(|held| !held.kept).map(|held| labels::visible(&held.limit)).collect();
        vec![
            Cell::number(labels::whole(row.number as u64)),
            Cell::name(terminal::schedule(row)),
            Cell::name(terminal::gates(row)),
            Cell::number(labels::duration(row.days * 86_400.0)),
            Cell::number(labels::share(row.false_rollback)),
            Cell::number(labels::share(row.promoted)),
            Cell::number(row.worst_miss.map_or_else(|| labels::NONE.to_owned(), labels::percent)),
            Cell::number(row.worst_exposed_requests.map_or_else(|| labels::NONE.to_owned(), labels::count)),
            Cell::number(labels::whole(row.replicates as u64)),
            if missed.is_empty() {
                Cell::of("keeps all", "good")
            } else {
                Cell::of(format!("misses {}", missed.join(", ")), "soft")
            },
        ]
    };
    let columns = [
        ("#", ""),
        ("schedule", ""),
        ("gates", ""),
        ("to 100 %", "time until a good candidate serves everybody"),
        ("rolled back for nothing", "a candidate as good as stable is rolled back"),
        ("good promoted", "a candidate as good as stable gets to the end"),
        ("worst miss", "largest share of an effect past a margin that is promoted to the end"),
        ("worst exposure", "largest mean number of requests that such an effect serves"),
        ("replicates", ""),
        ("limits", "by the estimates of the search"),
    ];
    Grid { head: head(&columns), rows: rows.iter().map(row).collect() }
}

fn facts(plan: &Plan) -> Vec<(&'static str, String)> {
    let fresh: Vec<String> = plan.fresh.iter().map(|run| run.seed.to_string()).collect();
    vec![
        ("Command", labels::visible(&plan.command)),
        ("Program", format!("replay {}", labels::visible(&plan.version))),
        ("Form", labels::visible(&plan.schema)),
        ("Effort", labels::visible(&plan.effort)),
        (
            "Searched",
            format!(
                "{} schedules, {} candidates, {} rollouts",
                labels::whole(plan.simulations as u64),
                labels::whole(plan.candidates.len() as u64),
                labels::whole(plan.rollouts as u64)
            ),
        ),
        ("Replicates", labels::whole(plan.replicates as u64)),
        ("Seeds", format!("{} of the search, {} fresh", plan.seed, fresh.join(", "))),
        ("Log", format!("{} (xxh3 {})", labels::visible(&plan.log), labels::visible(&plan.fingerprint))),
        ("Requests", labels::whole(plan.rows)),
        ("Start times", labels::whole(plan.chosen.starts as u64)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plan::sample;

    #[test]
    fn text_of_the_user_is_escaped_and_nothing_is_loaded() {
        let mut plan = sample();
        plan.notes.push("<img src=\"http://example.org\">\u{202e}".into());
        let page = render(&plan, &figures::plan(&plan).expect("draws")).expect("renders");
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{202e}'));
        assert!(page.contains("&lt;script&gt;") && page.contains("Content-Security-Policy"));
        assert!(page.contains("&lt;b&gt;"), "the scenario is escaped, too");
        assert!(page.contains("font-face") && page.matches("<svg ").count() == 1);
    }
}
