//! The comparison on one screen.

use std::path::Path;

use super::{Comparison, Estimate, VariantRow};
use crate::error::printable;
use crate::report::labels;

/// Rows shown of each list; the page has all.
const ROWS: usize = 27;
const DIFFERENCES: usize = 12;
const DOMINATED: usize = 8;
const WIDTH: usize = 100;

/// The comparison as plain text.
#[must_use]
pub fn summary(comparison: &Comparison) -> String {
    let mut text = String::new();
    for part in [head(comparison), table(comparison), differences(comparison), dominated(comparison), notes(comparison)]
    {
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
    format!("Comparison: {out}/compare.html (beside it compare.json, tables/ and figures/)\n")
}

fn head(comparison: &Comparison) -> String {
    let count = comparison.variants.len();
    let mut text = line(&format!(
        "{} on {}: {} replicates of each, seed {}, {}",
        if count == 1 { "1 variant".to_owned() } else { format!("{} variants", labels::whole(count as u64)) },
        labels::tail(&comparison.log, 34),
        labels::whole(comparison.replicates as u64),
        comparison.seed,
        if comparison.simulations == 1 {
            "one simulation".to_owned()
        } else {
            format!("{} simulations", labels::whole(comparison.simulations as u64))
        },
    ));
    for (index, key) in comparison.keys.iter().enumerate() {
        text.push_str(&line(&format!("{} = {}", letter(index), labels::visible(key))));
    }
    text
}

/// Keys go by letter in the table.
fn letter(index: usize) -> char {
    char::from(b'a' + (index % 26) as u8)
}

/// What a variant sets, short: values in the order of the keys.
fn values(row: &VariantRow, comparison: &Comparison) -> String {
    if comparison.keys.is_empty() {
        return labels::tail(&row.name, 28);
    }
    let of_key = |(index, key): (usize, &String)| {
        let setting = row.settings.iter().find(|setting| setting.key == *key)?;
        Some(format!("{}={}", letter(index), labels::short(&setting.value, 14)))
    };
    let settings: Vec<String> = comparison.keys.iter().enumerate().filter_map(of_key).collect();
    let files = comparison.variants.iter().any(|other| other.scenario != row.scenario);
    let file = if files { format!("{} ", labels::tail(&row.scenario, 14)) } else { String::new() };
    labels::short(&(file + &settings.join(" ")), 30)
}

fn table(comparison: &Comparison) -> String {
    let mut text = line(&format!(
        "{:>4}   {:<30} {:>16} {:>14} {:>9} {:>9} {:>8}",
        "", "", "good stopped", "bad promoted", "found in", "bad req", "to full"
    ));
    let order = ordered(comparison);
    for row in order.iter().take(ROWS) {
        text.push_str(&line(&format!(
            "{:>4} {} {:<30} {:>16} {:>14} {:>9} {:>9} {:>8}",
            row.number,
            if row.frontier { '*' } else { ' ' },
            values(row, comparison),
            labels::share(row.good_stopped),
            percent(row.missed),
            labels::duration(row.time_to_detect_s.mean),
            labels::count(row.exposed_requests.mean),
            row.time_to_full_s.map_or_else(|| "never".to_owned(), labels::duration),
        )));
    }
    more(&mut text, order.len(), ROWS, "variants");
    let bad = if comparison.bad_worlds == "effect" { "the effects" } else { "every gate's margin" };
    text.push_str(&line(&format!(
        "* on the frontier. Bad: mean over {bad}; not found counts as {}.",
        labels::duration(comparison.horizon_s as f64)
    )));
    text
}

/// The frontier first, then the others; each in the order given, without repetitions.
fn ordered(comparison: &Comparison) -> Vec<&VariantRow> {
    let rows = || comparison.variants.iter();
    if comparison.variants.len() <= ROWS {
        return rows().collect();
    }
    let distinct = |frontier: bool| rows().filter(move |row| row.frontier == frontier && row.same_as.is_none());
    distinct(true).chain(distinct(false)).collect()
}

fn differences(comparison: &Comparison) -> String {
    let rows: Vec<&VariantRow> = comparison
        .variants
        .iter()
        .filter(|row| row.frontier && row.same_as.is_none() && row.differences.is_some())
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let columns = |first: &str, of: [String; 3]| line(&format!("{first:>4}   {:<27}{:<27}{:<27}", of[0], of[1], of[2]));
    let heads = ["good stopped", "bad promoted", "bad req"].map(str::to_owned);
    let mut text = line("FRONTIER AGAINST VARIANT 1, paired, with 95 % intervals") + &columns("", heads);
    for row in rows.iter().take(DIFFERENCES) {
        let Some(difference) = row.differences else { continue };
        let of = [points(difference.good_stopped), points(difference.missed), counts(difference.exposed_requests)];
        text.push_str(&columns(&row.number.to_string(), of));
    }
    more(&mut text, rows.len(), DIFFERENCES, "of them");
    text
}

fn dominated(comparison: &Comparison) -> String {
    let rows: Vec<&VariantRow> = comparison.variants.iter().filter(|row| !row.frontier).collect();
    if rows.is_empty() {
        return String::new();
    }
    let of = |row: &&VariantRow| {
        let by = row.dominated_by.first().map_or_else(String::new, ToString::to_string);
        let others = row.dominated_by.len().saturating_sub(1);
        let others = if others > 0 { format!(" and {others} more") } else { String::new() };
        format!("{} by {by}{others}", row.number)
    };
    let named: Vec<String> = rows.iter().take(DOMINATED).map(of).collect();
    let rest = rows.len().saturating_sub(DOMINATED);
    let rest = if rest > 0 { format!("; and {rest} more") } else { String::new() };
    wrapped(&format!("DOMINATED: {}{rest}", named.join("; ")))
}

fn notes(comparison: &Comparison) -> String {
    comparison.notes.iter().map(|note| wrapped(&format!("NOTE: {}", labels::visible(note)))).collect()
}

fn percent(estimate: Estimate) -> String {
    format!(
        "{} ({}–{})",
        labels::percent(estimate.mean),
        labels::percent_digits(estimate.low.max(0.0)),
        labels::percent_digits(estimate.high.min(1.0))
    )
}

/// A difference of shares: `−3.1 pp (−4.0 to −2.2)`.
pub(in crate::report) fn points(estimate: Estimate) -> String {
    let number = |value: f64| {
        let rounded = (value * 1000.0).round() / 10.0;
        if rounded == 0.0 { "0".to_owned() } else { format!("{rounded:+.1}").replace('-', "−") }
    };
    format!("{} pp ({} to {})", number(estimate.mean), number(estimate.low), number(estimate.high))
}

/// A difference of counts.
pub(in crate::report) fn counts(estimate: Estimate) -> String {
    let number = |value: f64| {
        let sign = if value.round() > 0.0 { "+" } else { "" };
        format!("{sign}{}", labels::count(value))
    };
    format!("{} ({} to {})", number(estimate.mean), number(estimate.low), number(estimate.high))
}

fn more(text: &mut String, all: usize, shown: usize, what: &str) {
    if all > shown {
        text.push_str(&line(&format!("… and {} more {what} in compare.html", all - shown)));
    }
}

/// One line, not wider than the screen.
pub(in crate::report) fn line(text: &str) -> String {
    labels::short(text.trim_end(), WIDTH) + "\n"
}

/// Lines of the screen's width.
pub(in crate::report) fn wrapped(text: &str) -> String {
    let (mut lines, mut used) = (String::new(), 0);
    for word in text.split(' ') {
        let width = word.chars().count();
        if used > 0 && used + 1 + width > WIDTH {
            lines.push_str("\n  ");
            used = 2;
        } else if used > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += width;
    }
    lines + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::comparison::sample;

    #[test]
    fn it_fits_the_screen_and_names_what_dominates() {
        let text = summary(&sample());
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("DOMINATED: 3 by 1"), "{text}");
        assert!(text.contains("   2 * ") && text.contains("   3   "), "{text}");
    }

    #[test]
    fn differences_have_signs() {
        let estimate = Estimate { mean: -0.031, low: -0.04, high: 0.0 };
        assert_eq!(points(estimate), "−3.1 pp (−4.0 to 0)");
        assert_eq!(counts(Estimate { mean: 1234.4, low: -1.0, high: 0.2 }), "+1,234 (−1 to 0)");
    }
}
