//! `compare.html`: one file, nothing loaded from elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::{Cell, Drawn, Grid, filled, head};
use crate::error::Result;
use crate::report::comparison::{Comparison, Estimate, VariantRow, VariantWorld, counts, points};
use crate::report::figures::{self, Figure};
use crate::report::labels;

const TEMPLATE: &str = include_str!("../compare.html.j2");

/// Variants whose worlds are shown.
const DETAILS: usize = 12;

/// Everything the template may use.
#[derive(Serialize)]
struct Page<'a> {
    title: String,
    keys: Vec<String>,
    regular: String,
    bold: String,
    figure: Drawn<'a>,
    verdict: Vec<Line>,
    notes: Vec<String>,
    frontier: Grid,
    differences: Grid,
    variants: Grid,
    shown: usize,
    details: Vec<Detail>,
    facts: Vec<(&'static str, String)>,
}

/// A line of the verdict.
#[derive(Serialize)]
struct Line {
    lead: &'static str,
    text: String,
}

/// The worlds of one variant.
#[derive(Serialize)]
pub(super) struct Detail {
    pub(super) name: String,
    pub(super) worlds: Grid,
}

/// The page.
pub(in crate::report) fn render(comparison: &Comparison, figure: &Figure) -> Result<String> {
    let rows = || comparison.variants.iter();
    let frontier: Vec<&VariantRow> = rows().filter(|row| row.frontier && row.same_as.is_none()).collect();
    let detailed: Vec<&VariantRow> =
        rows().filter(|row| row.number == 1 || (row.frontier && row.same_as.is_none())).take(DETAILS).collect();
    let context = Page {
        title: labels::tail(&comparison.log, 80),
        keys: comparison.keys.iter().map(|key| labels::visible(key)).collect(),
        regular: STANDARD.encode(figures::REGULAR),
        bold: STANDARD.encode(figures::BOLD),
        figure: Drawn { svg: &figure.svg, caption: figure.caption },
        verdict: verdict(comparison, &frontier),
        notes: comparison.notes.iter().map(|note| labels::visible(note)).collect(),
        frontier: variants(comparison, &frontier, false),
        differences: differences(comparison, &frontier),
        variants: variants(comparison, &rows().collect::<Vec<_>>(), true),
        shown: DETAILS,
        details: detailed.into_iter().map(detail).collect(),
        facts: facts(comparison),
    };
    filled(TEMPLATE, &context, "compare.html")
}

fn verdict(comparison: &Comparison, frontier: &[&VariantRow]) -> Vec<Line> {
    let all = comparison.variants.len();
    let shared = if comparison.simulations == 1 {
        "one simulation served all of them".to_owned()
    } else {
        format!("{} simulations served them", labels::whole(comparison.simulations as u64))
    };
    let on = rows_with(comparison, |row| row.frontier);
    let mut lines = vec![Line {
        lead: "Variants",
        text: format!("{}; {} on the frontier, {} dominated; {shared}.", labels::whole(all as u64), on, all - on),
    }];
    let least = |measure: fn(&VariantRow) -> f64| {
        frontier.iter().min_by(|a, b| measure(a).total_cmp(&measure(b)).then(a.number.cmp(&b.number)))
    };
    let named = |row: &VariantRow| format!("variant {}, {}", row.number, labels::short(&row.name, 120));
    if let Some(row) = least(|row| row.good_stopped.share) {
        lines.push(Line {
            lead: "Fewest good candidates stopped",
            text: format!("{} by {}.", labels::share(row.good_stopped), named(row)),
        });
    }
    if let Some(row) = least(|row| row.missed.mean) {
        lines.push(Line {
            lead: "Fewest bad candidates promoted",
            text: format!("{} by {}.", percent(row.missed), named(row)),
        });
    }
    if let Some(row) = least(|row| row.exposed_requests.mean) {
        lines.push(Line {
            lead: "Fewest requests served by a bad candidate",
            text: format!("{} by {}.", labels::count(row.exposed_requests.mean), named(row)),
        });
    }
    lines
}

fn rows_with(comparison: &Comparison, held: impl Fn(&VariantRow) -> bool) -> usize {
    comparison.variants.iter().filter(|row| held(row)).count()
}

fn percent(estimate: Estimate) -> String {
    let (low, high) = (estimate.low.max(0.0), estimate.high.min(1.0));
    format!("{} ({}–{})", labels::percent(estimate.mean), labels::percent_digits(low), labels::percent_digits(high))
}

pub(super) fn with_interval(estimate: Estimate, written: fn(f64) -> String) -> String {
    format!("{} ({}–{})", written(estimate.mean), written(estimate.low.max(0.0)), written(estimate.high))
}

/// Values alone where keys are named above the tables; the file's name where files differ.
fn named(comparison: &Comparison, row: &VariantRow) -> String {
    let values: Vec<String> = row.settings.iter().map(|setting| labels::short(&setting.value, 60)).collect();
    let several = comparison.variants.iter().any(|other| other.scenario != row.scenario);
    let file = (several || values.is_empty()).then(|| labels::tail(&row.scenario, 60));
    file.into_iter().chain(values).collect::<Vec<_>>().join(" · ")
}

fn variants(comparison: &Comparison, rows: &[&VariantRow], standing: bool) -> Grid {
    let mut columns = vec![
        ("#", ""),
        ("variant", ""),
        ("rolled back for nothing", "a candidate as good as stable is rolled back"),
        ("good stopped", "a candidate as good as stable does not reach the end: rolled back or stalled"),
        ("bad promoted", "mean over the worlds of a bad candidate"),
        ("found in", "until rolled back for harm; not found counts as the longest schedule"),
        ("requests of a bad one", "served by a bad candidate before it is stopped"),
        ("units", "units that a bad candidate serves"),
        ("to 100 %", "time until a good candidate serves everybody"),
    ];
    if standing {
        columns
            .push(("standing", "on the frontier, or what is at least as good in everything and better in something"));
    }
    let row = |row: &&VariantRow| {
        let mut cells = vec![
            Cell::number(labels::whole(row.number as u64)),
            Cell::name(named(comparison, row)),
            Cell::number(labels::share(row.false_rollback)),
            Cell::number(labels::share(row.good_stopped)),
            Cell::number(percent(row.missed)),
            Cell::number(with_interval(row.time_to_detect_s, labels::duration)),
            Cell::number(with_interval(row.exposed_requests, labels::count)),
            Cell::number(labels::count(row.exposed_units.mean)),
            Cell::number(row.time_to_full_s.map_or_else(|| "never".to_owned(), labels::duration)),
        ];
        if standing {
            cells.push(self::standing(row));
        }
        cells
    };
    Grid { head: head(&columns), rows: rows.iter().map(row).collect() }
}

fn standing(row: &VariantRow) -> Cell {
    if let Some(same) = row.same_as {
        return Cell::of(format!("the same as {same}"), "soft");
    }
    if row.frontier {
        return Cell::of("frontier", "good");
    }
    let named: Vec<String> = row.dominated_by.iter().take(3).map(ToString::to_string).collect();
    let rest = row.dominated_by.len().saturating_sub(3);
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    Cell::of(format!("dominated by {}{rest}", named.join(", ")), "soft")
}

fn differences(comparison: &Comparison, rows: &[&VariantRow]) -> Grid {
    let row = |row: &&VariantRow| {
        let difference = row.differences?;
        let days =
            |value: f64| if value > 0.0 { format!("+{}", labels::duration(value)) } else { labels::duration(value) };
        let time = difference.time_to_detect_s;
        Some(vec![
            Cell::number(labels::whole(row.number as u64)),
            Cell::name(named(comparison, row)),
            Cell::of(points(difference.good_stopped), "number"),
            Cell::of(points(difference.missed), "number"),
            Cell::of(format!("{} ({} to {})", days(time.mean), days(time.low), days(time.high)), "number"),
            Cell::of(counts(difference.exposed_requests), "number"),
        ])
    };
    let columns = [
        ("#", ""),
        ("variant", ""),
        ("good stopped", ""),
        ("bad promoted", ""),
        ("found in", ""),
        ("requests of a bad one", ""),
    ];
    Grid { head: head(&columns), rows: rows.iter().filter_map(row).collect() }
}

/// A world: its name, promoted, rolled back, stalled, time to detect and requests served.
pub(super) fn world_cells(world: &VariantWorld) -> [Cell; 6] {
    let found = world.time_to_detect_s.map_or_else(|| labels::NONE.to_owned(), |s| labels::spread(s, labels::duration));
    [
        Cell::name(labels::world(&world.world)),
        Cell::number(labels::share(world.promoted)),
        Cell::number(labels::share(world.rolled_back)),
        Cell::number(labels::share(world.stalled)),
        Cell::number(found),
        Cell::number(labels::count(world.exposed_requests.mean)),
    ]
}

fn detail(row: &VariantRow) -> Detail {
    let or_none = |estimate: Option<Estimate>, written: fn(Estimate) -> String| {
        Cell::of(estimate.map_or_else(|| labels::NONE.to_owned(), written), "number")
    };
    let world = |world: &VariantWorld| {
        let [name, promoted, rolled_back, stalled, found, served] = world_cells(world);
        vec![
            name,
            promoted,
            rolled_back,
            stalled,
            Cell::number(labels::share(world.detected)),
            found,
            served,
            or_none(world.promoted_difference, points),
            or_none(world.exposed_requests_difference, counts),
        ]
    };
    let columns = [
        ("If the candidate is", ""),
        ("promoted", ""),
        ("rolled back", ""),
        ("stalled", ""),
        ("found", "rolled back for harm"),
        ("time to detect", "from the onset, among those found; median (10 %–90 %)"),
        ("requests served", "mean"),
        ("promoted, against variant 1", ""),
        ("requests, against variant 1", ""),
    ];
    Detail {
        name: format!("Variant {}: {}", row.number, labels::short(&row.name, 200)),
        worlds: Grid { head: head(&columns), rows: row.worlds.iter().map(world).collect() },
    }
}

fn facts(comparison: &Comparison) -> Vec<(&'static str, String)> {
    let bad = if comparison.bad_worlds == "effect" {
        "the scenarios’ effects, each counting alike"
    } else {
        "the margin of every gate, for want of effects"
    };
    vec![
        ("Command", labels::visible(&comparison.command)),
        ("Program", format!("replay {}", labels::visible(&comparison.version))),
        ("Form", labels::visible(&comparison.schema)),
        ("Replicates, seed", format!("{}, {}", labels::whole(comparison.replicates as u64), comparison.seed)),
        ("Log", format!("{} (xxh3 {})", labels::visible(&comparison.log), labels::visible(&comparison.fingerprint))),
        ("Requests", labels::whole(comparison.rows)),
        ("A bad candidate is", bad.to_owned()),
        ("Not found counts as", labels::duration(comparison.horizon_s as f64)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::comparison::sample;

    #[test]
    fn text_of_the_user_is_escaped_and_nothing_is_loaded() {
        let mut comparison = sample();
        comparison.variants[1].name = "<script>alert(1)</script>\u{202e}".into();
        comparison.notes.push("<img src=\"http://example.org\">".into());
        let page = render(&comparison, &figures::pareto(&comparison).expect("draws")).expect("renders");
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{202e}'));
        assert!(page.contains("&lt;script&gt;") && page.contains("Content-Security-Policy"));
        assert!(page.contains("font-face") && page.matches("<svg ").count() == 1);
    }
}
