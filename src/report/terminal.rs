//! The summary a person can decide from, on one screen.

use std::fmt::Write as _;
use std::path::Path;

mod power;
mod shadow;

pub use power::power;
pub use shadow::shadow;

use super::{GateRow, HealthRow, MetricFacts, Report, SelfCheckRow, StageFacts, TrueExposure, WorldRow, labels};
use crate::error::printable;

/// Rows shown of each list; the page has all.
const WORLDS: usize = 12;
const GATES: usize = 6;
const STAGES: usize = 6;
const NOTES: usize = 3;
const WIDTH: usize = 100;

/// The summary as plain text, at most about 45 lines of 100 columns.
#[must_use]
pub fn summary(report: &Report) -> String {
    let mut text = String::new();
    let checks = self_check(report) + &health(report);
    let stages = stages(report) + &true_exposure(report);
    for part in [head(report), verdict(report), worlds(report), stages, gates(report), checks, warnings(report)] {
        if !part.is_empty() {
            text.push_str(&part);
            text.push('\n');
        }
    }
    text
}

/// Where the files are, after the summary.
#[must_use]
pub fn places(out: &Path) -> String {
    let out = printable(&out.display().to_string());
    format!("Report: {out}/report.html (beside it report.json, tables/ and figures/)\n")
}

fn head(report: &Report) -> String {
    let log = &report.log;
    let mut text = clipped(&format!("{} on {}", labels::tail(&report.scenario.path, 46), labels::tail(&log.path, 50)));
    text.push_str(&clipped(&format!(
        "{} requests, {} units, {} to {} · {} replicates, seed {} · replay {}",
        labels::whole(log.rows),
        labels::whole(log.units as u64),
        labels::short(day(&log.start), 10),
        labels::short(day(&log.end), 10),
        labels::whole(report.replicates as u64),
        report.seed,
        labels::short(&report.version, 16),
    )));
    if report.scenario.tiled {
        text.push_str("Whole weeks of the log are repeated to fit the schedule.\n");
    }
    text
}

fn day(time: &str) -> &str {
    time.split('T').next().unwrap_or(time)
}

fn verdict(report: &Report) -> String {
    let mut text = String::new();
    if let Some(world) = of_kind(report, "recorded") {
        text.push_str(&wrapped(&format!("As recorded: {}.", outcome(world)), ""));
        if let Some(by) = world.rolled_back_by.first().filter(|by| by.share.share > 0.0) {
            let slice = by
                .segment
                .as_ref()
                .map_or_else(String::new, |slice| format!(", {}", labels::short(&labels::segment(Some(slice)), 30)));
            let line = format!(
                "Mostly rolled back by {}{slice} ({}): {}.",
                labels::short(&by.gate, 30),
                labels::visible(&by.cause),
                labels::share(by.share)
            );
            text.push_str(&wrapped(&format!("  {line}"), "  "));
        }
    }
    if let Some(world) = of_kind(report, "null") {
        let line = format!(
            "If as good as stable: rolled back for nothing in {}; promoted in {}.",
            labels::share(world.rolled_back),
            labels::share(world.promoted)
        );
        text.push_str(&wrapped(&line, ""));
    }
    let held = of_kind(report, "null").and_then(|world| Some((world.held, world.held_s?)));
    if let Some((share, time)) = held {
        let line = format!(
            "Stages go on past their durations in {} of those, for {} in all.",
            labels::share(share),
            labels::spread(time, labels::duration)
        );
        text.push_str(&wrapped(&line, "  "));
    }
    let paused = of_kind(report, "null").and_then(|world| world.pauses).filter(|pauses| pauses.paused.share > 0.0);
    if let Some(pauses) = paused {
        let time = pauses
            .paused_s
            .map_or_else(String::new, |time| format!(", for {}", labels::spread(time, labels::duration)));
        let line = format!(
            "A gate pauses {} of those{time}: resumed in {}, rolled back by who came in {}.",
            labels::share(pauses.paused),
            labels::share(pauses.resumed),
            labels::share(pauses.rolled_back)
        );
        text.push_str(&wrapped(&line, "  "));
    }
    if let Some((budget, replicates)) = report.budget.as_ref().and_then(|budget| Some((budget, budget.replicates?))) {
        text.push_str(&clipped(&format!(
            "Budget of false rollbacks {}, calibrated on {} other replicates: error rates add up to {}.",
            labels::percent(budget.share),
            labels::whole(replicates as u64),
            labels::percent(budget.alpha)
        )));
    }
    if let Some(exact) = &report.exact {
        text.push_str(&wrapped(&format!("Exact replay: {}", labels::short(&exact.says, 270)), "  "));
    }
    text
}

/// How the budget of false rollbacks is kept, and what a calibration made of it.
pub(super) fn budget(report: &Report) -> Option<String> {
    let budget = report.budget.as_ref()?;
    let share = labels::percent(budget.share);
    Some(match (budget.how.as_str(), budget.replicates, budget.calibrated) {
        ("calibrated", Some(replicates), Some(calibrated)) => format!(
            "{share}, calibrated: the gates' error rates add up to {}, at which {} of {} replicates of its own fail at every margin",
            labels::percent(budget.alpha),
            labels::share(calibrated),
            labels::whole(replicates as u64)
        ),
        ("rollout", ..) => format!("{share}, spent once by each gate over all stages together"),
        _ => format!("{share}, split over gates and stages"),
    })
}

pub(super) fn of_kind<'a>(report: &'a Report, kind: &str) -> Option<&'a WorldRow> {
    report.worlds.iter().find(|world| world.kind == kind)
}

/// Most likely end first.
pub(super) fn outcome(world: &WorldRow) -> String {
    let mut ends = [("rolled back", world.rolled_back), ("promoted", world.promoted), ("stalled", world.stalled)];
    ends.sort_by(|a, b| b.1.share.total_cmp(&a.1.share));
    ends.map(|(name, share)| format!("{name} in {}", labels::share(share))).join(", ")
}

fn worlds(report: &Report) -> String {
    if report.worlds.is_empty() {
        return String::new();
    }
    let name = 25;
    let mut text = format!(
        "{:name$} {:>18} {:>18} {:>16} {:>8} {:>10}\n",
        "IF THE CANDIDATE IS", "promoted", "rolled back", "stalled", "found in", "served req"
    );
    for world in report.worlds.iter().take(WORLDS) {
        let found = world.time_to_detect_s.map_or_else(|| labels::NONE.to_owned(), |time| labels::duration(time.p50));
        let _ = writeln!(
            text,
            "{:name$} {:>18} {:>18} {:>16} {found:>8} {:>10}",
            labels::short(&labels::world(&world.world), name),
            labels::share(world.promoted),
            labels::share(world.rolled_back),
            labels::share(world.stalled),
            labels::count(world.exposed_requests.p50),
        );
    }
    more(&mut text, report.worlds.len(), WORLDS, "worlds");
    text + &budgets(report) + &sentinels(report)
}

/// What the candidate spends of error budgets, where a gate is on one: as recorded, as good as stable, and in the world that spends most.
fn budgets(report: &Report) -> String {
    let burned = |world: &WorldRow| world.budget_burned.iter().next().map(|(gate, &burned)| (gate.clone(), burned));
    let said = |name: &str, world: &WorldRow| {
        let (_, burned) = burned(world)?;
        Some(format!("{name} {}", labels::spread(burned, labels::percent)))
    };
    let Some((gate, _)) = report.worlds.iter().find_map(burned) else { return String::new() };
    let median = |world: &WorldRow| burned(world).map_or(0.0, |(_, burned)| burned.p50);
    let most = report.worlds.iter().max_by(|a, b| median(a).total_cmp(&median(b)));
    let parts = [
        of_kind(report, "recorded").and_then(|world| said("as recorded", world)),
        of_kind(report, "null").and_then(|world| said("good", world)),
        most.and_then(|world| said(&labels::short(&labels::world(&world.world), 25), world)),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    clipped(&format!("ERROR BUDGET SPENT {}: {}", labels::short(&gate, 15), parts.join(", ")))
}

/// How often the first sentinel stops a good candidate, where there is one.
fn sentinels(report: &Report) -> String {
    report.sentinels.first().map_or_else(String::new, |row| {
        clipped(&format!(
            "SENTINEL {}: {} looks stop a good candidate in {} (closed form {})",
            labels::short(&row.gate, 15),
            labels::whole(row.looks as u64),
            labels::share(row.false_alarm),
            labels::percent(row.false_alarm_closed_form),
        ))
    })
}

fn more(text: &mut String, all: usize, shown: usize, what: &str) {
    if all > shown {
        let _ = writeln!(text, "… and {} more {what} in report.html", all - shown);
    }
}

fn gates(report: &Report) -> String {
    let mut names: Vec<&str> = Vec::new();
    for row in &report.gates {
        if !names.contains(&row.gate.as_str()) {
            names.push(&row.gate);
        }
    }
    if names.is_empty() {
        return String::new();
    }
    let name = 18;
    let stages = &report.stages[..report.stages.len().min(STAGES)];
    let mut text = format!("{:name$}", "CHANCE TO PASS AT");
    for stage in stages {
        let _ = write!(text, " {:>6}", labels::short(&stage.name, 6));
    }
    text.push_str("  (if as good as stable)\n");
    for gate in names.iter().take(GATES) {
        let mut line = format!("{:name$}", labels::short(gate, name));
        for stage in stages {
            let pass =
                gate_row(report, gate, stage).and_then(|row| row.rates.get("null")).map(|rates| rates.pass.share);
            let pass = pass.map_or_else(|| labels::NONE.to_owned(), |pass| labels::percent(pass).replace(' ', ""));
            let _ = write!(line, " {pass:>6}");
        }
        if let Some((row, stage)) = telling(report, gate) {
            // With cookies nothing is planned.
            let planned = !report.planning.needs.is_empty() || row.power_closed_form.is_some();
            let told = if planned { sees(row, stage, metric(report, row)) } else { NO_CLOSED_FORM.to_owned() };
            let _ = write!(line, "  {told}");
        }
        text.push_str(&clipped(&line));
    }
    text.push_str(&together(stages, names.len()));
    more(&mut text, names.len(), GATES, "gates");
    more(&mut text, report.stages.len(), STAGES, "stages");
    text
}

/// Whom the stages take, where that is not simply a share of everyone.
fn stages(report: &Report) -> String {
    if report.stages.iter().all(labels::takes_a_share_of_everyone) {
        return String::new();
    }
    let mut text =
        format!("{:12} {:38} {:>12}  {:14} {:>14}\n", "STAGE", "who", "exposure", "compared with", "of all requests");
    for stage in report.stages.iter().take(STAGES) {
        let who = labels::who(stage);
        let control = stage.control.as_deref().map_or(labels::NONE, labels::control);
        text.push_str(&clipped(&format!(
            "{:12} {:38} {:>12}  {control:14} {:>14}",
            labels::short(&stage.name, 12),
            labels::short(&who, 38),
            labels::percent(stage.exposure),
            stage.requests_share.map_or_else(|| labels::NONE.to_owned(), labels::percent),
        )));
    }
    more(&mut text, report.stages.len(), STAGES, "stages");
    text
}

/// Whom the candidate has reached by the end of each stage, where that is more than a stage's share.
fn true_exposure(report: &Report) -> String {
    let Some(first) = report.true_exposure.first() else { return String::new() };
    let stage = |row: &TrueExposure| format!("{} {}", labels::short(&row.stage, 12), labels::percent(row.share));
    let stages: Vec<String> = report.true_exposure.iter().map(stage).collect();
    let unit = labels::short(&first.unit, 20);
    wrapped(&format!("HAVE HAD THE CANDIDATE by the end of, of all {unit} that asked: {}", stages.join(", ")), "  ")
}

/// All gates of a stage together, and how the last stage's share compares with the closed form.
fn together(stages: &[StageFacts], gates: usize) -> String {
    let Some((last, facts)) = stages.iter().rev().find_map(|stage| stage.together.map(|together| (stage, together)))
    else {
        return String::new();
    };
    if gates < 2 {
        return String::new();
    }
    let mut line = format!("{:18}", "all together");
    for stage in stages {
        let pass = stage.together.map(|together| labels::percent(together.pass.share).replace(' ', ""));
        let _ = write!(line, " {:>6}", pass.as_deref().unwrap_or(labels::NONE));
    }
    if let Some(closed_form) = facts.pass_closed_form {
        let _ = write!(line, "  {}: closed form {}", labels::short(&last.name, 8), labels::percent(closed_form));
    }
    clipped(&line)
}

/// The row of a whole gate at a stage.
fn gate_row<'a>(report: &'a Report, gate: &str, stage: &StageFacts) -> Option<&'a GateRow> {
    report.gates.iter().find(|row| row.gate == gate && row.stage == stage.name && row.segment.is_none())
}

fn metric<'a>(report: &'a Report, row: &GateRow) -> Option<&'a MetricFacts> {
    report.metrics.iter().find(|metric| metric.name == row.metric)
}

/// Whether a gate that is met by a candidate as good as stable passes as often as it asks for, within Monte Carlo error.
pub(super) fn decides(row: &GateRow) -> bool {
    row.rates.get("null").is_some_and(|rates| rates.pass.high >= row.power)
}

/// The last stage at which a gate cannot decide, or its first where it always can.
fn telling<'a>(report: &'a Report, gate: &str) -> Option<(&'a GateRow, &'a StageFacts)> {
    let rows = || report.stages.iter().filter_map(|stage| gate_row(report, gate, stage).map(|row| (row, stage)));
    rows().rfind(|(row, _)| !decides(row)).or_else(|| rows().next())
}

const NO_CLOSED_FORM: &str = "no closed form: see its power curve";

/// `5% 1d: sees a drop of 1.9 %; needs 3d or 20 %`.
fn sees(row: &GateRow, stage: &StageFacts, metric: Option<&MetricFacts>) -> String {
    match row.test.as_str() {
        "mann-whitney" | "kayenta" | "cusum" => return NO_CLOSED_FORM.to_owned(),
        "burn-rate" => return "no closed form: see the worlds".to_owned(),
        "sentinel" => return "asked at every look, whatever the traffic".to_owned(),
        _ => {}
    }
    if metric.is_some_and(|metric| metric.kind == "drift") {
        return "no closed form: see the worlds".to_owned();
    }
    let way = if metric.is_some_and(|metric| metric.better == "higher") { "drop" } else { "rise" };
    let size = labels::regression(row, metric).map_or_else(|| "nothing".to_owned(), |size| format!("{way} {size}"));
    let place = format!("{} {}: sees {size}", labels::short(&stage.name, 8), labels::duration(stage.duration_s as f64));
    if decides(row) {
        return format!("{place}; enough");
    }
    let longer = row.duration_needed_s.map(|seconds| labels::duration(seconds as f64));
    let wider = row.exposure_needed.map(labels::percent);
    let needs = match (longer, wider) {
        (Some(longer), Some(wider)) => format!("needs {longer} or {wider}"),
        (Some(longer), None) => format!("needs {longer}"),
        (None, Some(wider)) => format!("needs {wider}"),
        (None, None) => "never in this log".to_owned(),
    };
    format!("{place}; {needs}")
}

fn self_check(report: &Report) -> String {
    let flagged: Vec<_> = report.self_check.iter().filter(|row| row.flagged).collect();
    if flagged.is_empty() {
        let checked = report.self_check.len();
        return if checked == 0 {
            String::new()
        } else {
            format!("Self-check: all {checked} error rates are at most alpha, within Monte Carlo error.\n")
        };
    }
    let mut text =
        format!("SELF-CHECK: {} of {} error rates lie above alpha\n", flagged.len(), report.self_check.len());
    let mut kinds: Vec<(&SelfCheckRow, usize)> = Vec::new();
    for row in flagged {
        let same =
            |kind: &SelfCheckRow| (&kind.gate, &kind.segment, &kind.error) == (&row.gate, &row.segment, &row.error);
        match kinds.iter_mut().find(|(kind, _)| same(kind)) {
            Some((worst, stages)) => {
                *stages += 1;
                if row.rate.share > worst.rate.share {
                    *worst = row;
                }
            }
            None => kinds.push((row, 1)),
        }
    }
    for (row, stages) in kinds.iter().take(NOTES) {
        let slice = row.segment.as_ref().map_or_else(String::new, |s| format!(", {}", labels::segment(Some(s))));
        let also = if *stages > 1 { format!(" (worst of {stages} stages)") } else { String::new() };
        text.push_str(&clipped(&format!(
            "  {}{slice}: {} in {} for a nominal {} at {}{also}",
            labels::short(&row.gate, 24),
            labels::visible(&row.error),
            labels::share(row.rate),
            labels::percent(row.alpha),
            labels::short(&row.stage, 12),
        )));
    }
    more(&mut text, kinds.len(), NOTES, "of them");
    text
}

/// Only what alarms.
fn health(report: &Report) -> String {
    let alarms: Vec<&HealthRow> = report.health.iter().filter(|row| row.alarm).collect();
    let Some(worst) = alarms.iter().min_by(|a, b| a.p_value.unwrap_or(1.0).total_cmp(&b.p_value.unwrap_or(1.0))) else {
        return String::new();
    };
    let place = worst.stage.as_deref().or(worst.metric.as_deref()).unwrap_or_default();
    let counted = match (worst.observed, worst.expected) {
        (Some(observed), Some(expected)) => {
            format!(
                ", {} {} for {} expected",
                labels::count(observed),
                labels::visible(&worst.r#where),
                labels::count(expected)
            )
        }
        _ => String::new(),
    };
    clipped(&format!(
        "HEALTH: {} at {}{counted}; {} of {} checks alarm",
        labels::visible(&worst.check),
        labels::short(place, 16),
        alarms.len(),
        report.health.len()
    ))
}

fn warnings(report: &Report) -> String {
    if report.warnings.is_empty() {
        return String::new();
    }
    let mut text = String::from("WARNINGS\n");
    // What a check of health says of itself is above.
    let shown = NOTES - usize::from(report.health.iter().any(|row| row.alarm));
    for warning in report.warnings.iter().take(shown) {
        let place = labels::short(&warning.r#where, 24);
        text.push_str(&wrapped(&format!("  {place}: {}", labels::short(&warning.text, 150)), "    "));
    }
    more(&mut text, report.warnings.len(), shown, "warnings");
    text
}

/// One line of at most the screen's width.
pub(super) fn clipped(line: &str) -> String {
    labels::short(line, WIDTH) + "\n"
}

/// Lines of at most the screen's width, broken at spaces; later ones start with `indent`.
pub(super) fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    let mut used = 0;
    for (index, word) in text.split(' ').enumerate() {
        let word = labels::short(word, WIDTH - 4);
        let width = word.chars().count();
        if index > 0 && used + 1 + width > WIDTH {
            lines.push('\n');
            lines.push_str(indent);
            used = indent.len();
        } else if index > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(&word);
        used += width;
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{sample, sample::crowded, sample::empty, sample::hostile};

    #[test]
    fn it_fits_one_screen() {
        for report in [sample(), hostile(), crowded(), empty()] {
            let text = summary(&report);
            assert!(text.lines().count() <= 48, "{} lines\n{text}", text.lines().count());
            for line in text.lines() {
                assert!(line.chars().count() <= WIDTH, "{line}");
            }
        }
    }

    #[test]
    fn the_decision_comes_first_with_its_uncertainty() {
        let text = summary(&sample());
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("`{what}` is missing in\n{text}"));
        assert!(
            at("As recorded: rolled back in 95 % (94–97)") < at("If as good as stable: rolled back for nothing in")
        );
        assert!(at("If as good") < at("IF THE CANDIDATE IS"));
        assert!(at("SELF-CHECK: 10 of 90") < at("WARNINGS"));
    }

    #[test]
    fn hostile_text_does_not_reach_the_terminal() {
        let text = summary(&hostile());
        assert!(text.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}' && c != '\u{200b}')));
    }
}
