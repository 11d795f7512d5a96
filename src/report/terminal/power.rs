//! What each gate sees, in words.

use super::{clipped, head, more, warnings, wrapped};
use crate::report::planning::NeedRow;
use crate::report::{Report, labels};

/// Lines of slices shown; the page has all.
const SLICES: usize = 12;

/// Whole gates stage by stage, the slices that see least, what shadow mode has shown, and warnings.
#[must_use]
pub fn power(report: &Report) -> String {
    let mut text = head(report);
    for stage in &report.stages {
        let mut rows =
            report.planning.needs.iter().filter(|row| row.stage == stage.name && row.segment.is_none()).peekable();
        if rows.peek().is_none() {
            continue;
        }
        text.push('\n');
        text.push_str(&clipped(&format!("STAGE {}", labels::short(&stage.name, 60))));
        rows.for_each(|row| text.push_str(&line(row)));
    }
    let short = |row: &&NeedRow| {
        let needed = row.pass.as_ref().and_then(|side| side.duration_s);
        row.segment.is_some() && needed.is_none_or(|needed| needed > row.duration_s)
    };
    let slices: Vec<&NeedRow> = report.planning.needs.iter().filter(short).collect();
    if !slices.is_empty() {
        text.push_str("\nSLICES THAT CANNOT DECIDE YET\n");
        slices.iter().take(SLICES).for_each(|row| text.push_str(&line(row)));
        more(&mut text, slices.len(), SLICES, "slices");
    }
    if !report.planning.shadow.is_empty() {
        text.push_str("\nSHADOW MODE\n");
        for worth in report.planning.shadow.iter().filter(|worth| worth.segment.is_none()) {
            let line = format!("  {}: {}", labels::short(&worth.gate, 30), labels::short(&worth.left, 220));
            text.push_str(&wrapped(&line, "    "));
        }
    }
    text.push('\n');
    text.push_str(&warnings(report));
    text
}

fn line(row: &NeedRow) -> String {
    wrapped(&format!("  {}", labels::short(&row.says, 330)), "    ")
}
