//! What shadow mode has shown, in lines.

use std::fmt::Write as _;

use super::{clipped, day, wrapped};
use crate::report::{Noise, ShadowReport, ShadowRow, VarianceComponent, VersionCounts, VersionNoise, labels};

/// Every gate and what is left of its question, then every metric with both standard errors, overall and by segment.
#[must_use]
pub fn shadow(report: &ShadowReport) -> String {
    let log = &report.log;
    let mut text = clipped(&format!(
        "{} requests, {} units, {} to {} on {}",
        labels::whole(log.rows),
        labels::whole(log.units as u64),
        labels::short(day(&log.start), 10),
        labels::short(day(&log.end), 10),
        labels::tail(&log.path, 40),
    ));
    let unpaired = |row: &&ShadowRow| row.segment.is_none() && row.unpaired.is_some();
    if report.shadow.iter().any(|row| unpaired(&row)) {
        text.push('\n');
        let line = "Nothing is paired: each request was served by one version. Differences are between the requests of the two, with standard \
                    errors over units; they are the versions' own only if requests were assigned by chance.";
        text.push_str(&wrapped(line, ""));
    }
    if !report.gates.is_empty() {
        text.push_str("\nWHAT SHADOW HAS SHOWN OF EACH GATE\n");
    }
    for gate in &report.gates {
        let slice =
            gate.segment.as_ref().map_or_else(String::new, |slice| format!(", {}", labels::segment(Some(slice))));
        let line =
            format!("  {:12} {}{slice}: {}", gate.shown, labels::visible(&gate.gate), labels::visible(&gate.left));
        text.push_str(&wrapped(&line, "               "));
    }
    for facts in report.metrics.iter().filter(|facts| facts.observed.is_some()) {
        text.push('\n');
        let line = format!(
            "{}: known only for stable, whose answers users saw; the log cannot tell what they would do with the candidate's.",
            labels::visible(&facts.name)
        );
        text.push_str(&wrapped(&line, ""));
    }
    let mut metric = "";
    for row in &report.shadow {
        if row.metric != metric {
            metric = &row.metric;
            let unit = report.metrics.iter().find(|facts| facts.name == row.metric);
            let unit = unit.and_then(|facts| facts.unit.as_ref()).map_or_else(String::new, |unit| format!(", {unit}"));
            let name = labels::short(&format!("{}{unit}", row.metric), 30);
            let _ = writeln!(
                text,
                "\n{name:30} {:>9} {:>9} {:>10} {:>9} {:>9} {:>21}",
                "stable", "candidate", "difference", "se unit", "se item", "95 %"
            );
        }
        text.push_str(&line(row));
    }
    for (row, counts) in report.shadow.iter().filter(unpaired).filter_map(|row| Some((row, row.unpaired?))) {
        let of = |counts: VersionCounts| counts.variance_between.zip(counts.variance_within);
        let (Some(stable), Some(candidate)) = (of(counts.stable), of(counts.candidate)) else { continue };
        text.push('\n');
        let line = format!(
            "{}: one answer's variance is, between units, {} for stable and {} for the candidate; within a unit, from one answer to the \
             next, {} and {}.",
            labels::visible(&row.metric),
            labels::number(stable.0),
            labels::number(candidate.0),
            labels::number(stable.1),
            labels::number(candidate.1)
        );
        text.push_str(&wrapped(&line, ""));
    }
    for (row, noise) in report.shadow.iter().filter_map(|row| Some((row, row.noise?))) {
        if row.segment.is_none() {
            text.push('\n');
            text.push_str(&wrapped(&self::noise(&row.metric, &noise), ""));
        }
    }
    for row in report.health.iter().filter(|row| row.alarm) {
        let name = row.metric.as_deref().unwrap_or_default();
        text.push('\n');
        text.push_str(&wrapped(
            &format!("Values of {} are not missing alike in both versions.", labels::visible(name)),
            "",
        ));
    }
    if let Some(failures) = &report.failures {
        let names: Vec<String> = failures.metrics.iter().map(|name| labels::visible(name)).collect();
        text.push('\n');
        let line = format!(
            "The candidate is worse in {} of {} requests; the {} worst are in {}, by their losses in {}, each over the root mean square of \
             that metric's differences.",
            labels::whole(failures.worse),
            labels::whole(failures.compared),
            labels::whole(failures.written as u64),
            labels::visible(&failures.path),
            names.join(", ")
        );
        text.push_str(&wrapped(&line, ""));
    }
    text
}

/// What one output's variance is made of.
fn noise(metric: &str, noise: &Noise) -> String {
    let both = |part: &dyn Fn(&VersionNoise) -> Option<VarianceComponent>| {
        let of = |version: &VersionNoise| part(version).map(|found| labels::variance(&found));
        Some(format!("{} for stable, {} for the candidate", of(&noise.stable)?, of(&noise.candidate)?))
    };
    let requests = both(&|version| version.between_requests);
    let units = if requests.is_some() { "between users" } else { "between requests and users" };
    let parts = [
        ("from one output of a request to the next", both(&|version| Some(version.between_outputs))),
        ("between a user's requests", requests),
        (units, both(&|version| Some(version.between_units))),
    ];
    let parts: Vec<String> =
        parts.into_iter().filter_map(|(what, both)| both.map(|both| format!("{what}, {both}"))).collect();
    format!("{}: one output's variance is, {}.", labels::visible(metric), parts.join("; "))
}

fn line(row: &ShadowRow) -> String {
    let or_none = |value: Option<f64>| value.map_or_else(|| labels::NONE.to_owned(), labels::number);
    let interval = row.low.zip(row.high).map_or_else(
        || labels::NONE.to_owned(),
        |(low, high)| format!("{} to {}", labels::signed(low), labels::signed(high)),
    );
    let mut line = format!(
        "  {:28} {:>9} {:>9} {:>10} {:>9} {:>9} {interval:>21}",
        labels::short(&labels::segment(row.segment.as_ref()), 28),
        labels::number(row.stable),
        labels::number(row.candidate),
        labels::signed(row.difference),
        or_none(row.se_unit),
        or_none(row.se_item),
    );
    line.truncate(line.trim_end().len());
    line + "\n"
}
