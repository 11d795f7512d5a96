//! Sentences and lists of the page.

use serde::Serialize;

use crate::report::terminal::{budget, decides, of_kind, outcome};
use crate::report::{Report, labels};

/// A line of the verdict: `class` is `good`, `bad` or empty.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    lead: &'static str,
    text: String,
    class: &'static str,
}

/// What a reader decides from.
pub(super) fn verdict(report: &Report) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(world) = of_kind(report, "recorded") {
        let by = world.rolled_back_by.first().filter(|by| by.share.share > 0.0).map_or_else(String::new, |by| {
            let slice =
                by.segment.as_ref().map_or_else(String::new, |slice| format!(", {}", labels::segment(Some(slice))));
            let (gate, cause) = (labels::visible(&by.gate), labels::visible(&by.cause));
            format!(" Mostly rolled back by {gate}{slice} ({cause}): {}.", labels::share(by.share))
        });
        lines.push(Line { lead: "As recorded", text: format!("{}.{by}", outcome(world)), class: "" });
    }
    if let Some(world) = of_kind(report, "null") {
        let text = format!(
            "rolled back for nothing in {}; promoted in {}.",
            labels::share(world.rolled_back),
            labels::share(world.promoted)
        );
        lines.push(Line { lead: "If as good as stable", text, class: "" });
    }
    lines.extend(undecided(report));
    let flagged = report.self_check.iter().filter(|row| row.flagged).count();
    let checked = report.self_check.len();
    if flagged > 0 {
        let text = format!("{flagged} of {checked} error rates lie above alpha on this traffic.");
        lines.push(Line { lead: "Self-check", text, class: "bad" });
    } else if checked > 0 {
        let text = format!("all {checked} error rates are at most alpha, within Monte Carlo error.");
        lines.push(Line { lead: "Self-check", text, class: "good" });
    }
    lines
}

/// Gates that mostly cannot pass a candidate as good as stable, by stage.
fn undecided(report: &Report) -> Option<Line> {
    let mut places = Vec::new();
    for stage in &report.stages {
        let blind: Vec<String> = report
            .gates
            .iter()
            .filter(|row| {
                row.segment.is_none() && row.stage == stage.name && row.rates.contains_key("null") && !decides(row)
            })
            .map(|row| labels::short(&row.gate, 40))
            .collect();
        if !blind.is_empty() {
            places.push(format!("at {}: {}", labels::short(&stage.name, 40), blind.join(", ")));
        }
    }
    let checked = report.gates.iter().any(|row| row.segment.is_none() && row.rates.contains_key("null"));
    match (places.is_empty(), checked) {
        (false, _) => {
            let unproven = if report.scenario.promote == "no-fail" {
                " Promotion asks only that no gate fails: it proves little there."
            } else {
                ""
            };
            let text = format!("{}.{unproven}", places.join("; "));
            Some(Line { lead: "Often cannot decide", text, class: "bad" })
        }
        (true, true) => Some(Line {
            lead: "Every gate can decide",
            text: "each passes a candidate as good as stable as often as it asks for, at each stage.".to_owned(),
            class: "good",
        }),
        (true, false) => None,
    }
}

/// A warning as shown.
#[derive(Debug, Serialize)]
pub(super) struct Note {
    place: String,
    text: String,
    code: String,
}

/// All warnings.
pub(super) fn warnings(report: &Report) -> Vec<Note> {
    report
        .warnings
        .iter()
        .map(|warning| Note {
            place: labels::visible(&warning.r#where),
            text: labels::visible(&warning.text),
            code: labels::visible(&warning.code),
        })
        .collect()
}

/// The exact replay in one sentence, if there is one.
pub(super) fn exact(report: &Report) -> Option<String> {
    report.exact.as_ref().map(|exact| labels::visible(&exact.says))
}

/// What makes the run reproducible.
pub(super) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let (scenario, log) = (&report.scenario, &report.log);
    let excluded = &log.excluded;
    let mut facts = vec![
        ("Command", labels::visible(&report.command)),
        ("Program", format!("replay {}", labels::visible(&report.version))),
        ("Form", labels::visible(&report.schema)),
        ("Replicates, seed", format!("{}, {}", labels::whole(report.replicates as u64), report.seed)),
        ("Scenario", format!("{} (xxh3 {})", labels::visible(&scenario.path), labels::visible(&scenario.fingerprint))),
        (
            "Unit of assignment, hash",
            format!("{}, {}", labels::visible(&scenario.unit), labels::visible(&scenario.hash)),
        ),
        ("Promotion", labels::visible(&scenario.promote)),
        ("Resampling", labels::visible(&scenario.resample)),
        ("Start times that fit", labels::whole(scenario.starts as u64)),
        ("Log", format!("{} (xxh3 {})", labels::visible(&log.path), labels::visible(&log.fingerprint))),
        ("Span", format!("{} to {}", labels::visible(&log.start), labels::visible(&log.end))),
        (
            "Requests, units, cells",
            format!(
                "{}, {}, {}",
                labels::whole(log.rows),
                labels::whole(log.units as u64),
                labels::whole(log.cells as u64)
            ),
        ),
        (
            "Left out",
            format!(
                "{} without unit, {} without time stamp, {} duplicates",
                labels::whole(excluded.null_unit),
                labels::whole(excluded.timestamp),
                labels::whole(excluded.duplicate)
            ),
        ),
    ];
    if let Some(budget) = budget(report) {
        facts.push(("Budget of false rollbacks", budget));
    }
    if scenario.tiled {
        facts.push(("Repeated", "whole weeks of the log were repeated to fit the schedule".to_owned()));
    }
    facts
}
