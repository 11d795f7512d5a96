//! `report.html`: one file, nothing loaded from elsewhere.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::Serialize;

use super::figures::{self, Figure};
use super::{Report, labels};
use crate::error::{Error, Result};

pub(super) mod comparison;

mod grids;

pub(super) mod plan;

mod planning;

pub(super) mod strategies;

mod words;

const TEMPLATE: &str = include_str!("report.html.j2");

/// What pages share.
const PARTS: [(&str, &str); 2] =
    [("grid.html.j2", include_str!("grid.html.j2")), ("style.css.j2", include_str!("style.css.j2"))];

/// Everything the template may use.
#[derive(Serialize)]
struct Page<'a> {
    title: String,
    about: String,
    regular: String,
    bold: String,
    figures: BTreeMap<&'static str, Drawn<'a>>,
    verdict: Vec<words::Line>,
    warnings: Vec<words::Note>,
    limits: Vec<String>,
    exact: Option<String>,
    facts: Vec<(&'static str, String)>,
    worlds: Grid,
    causes: Grid,
    served: Grid,
    held: Grid,
    pauses: Grid,
    recovery: Grid,
    budgets: Grid,
    sentinels: Grid,
    true_exposure: Grid,
    stages: Grid,
    gates: Grid,
    slices: Grid,
    shadow: Grid,
    shadow_otherwise: Grid,
    shadow_noise: Grid,
    health: Grid,
    needs: Grid,
    prices: Grid,
    worth: Grid,
    lines: Vec<String>,
    flagged: Grid,
    checked: Grid,
    coverage: Grid,
}

/// A figure; its SVG is the only text the template does not escape, because drawing did.
#[derive(Serialize)]
struct Drawn<'a> {
    svg: &'a str,
    caption: &'static str,
}

/// A table as shown.
#[derive(Debug, Serialize)]
struct Grid {
    head: Vec<Head>,
    rows: Vec<Vec<Cell>>,
}

/// The head of a column: what it is called and what it means.
#[derive(Debug, Serialize)]
struct Head {
    label: &'static str,
    meaning: &'static str,
}

/// A cell: its text, an interval in parentheses after it, and how it is set (`name`, `number`, `good`, `bad`, `soft`).
#[derive(Debug, Serialize)]
struct Cell {
    text: String,
    interval: String,
    class: &'static str,
}

impl Cell {
    fn of(text: impl Into<String>, class: &'static str) -> Self {
        Self { text: text.into(), interval: String::new(), class }
    }

    fn name(text: impl Into<String>) -> Self {
        Self::of(text, "name")
    }

    /// A number; it may break before its interval and nowhere else.
    fn number(text: impl Into<String>) -> Self {
        let text = text.into();
        match text.find(" (").filter(|_| text.ends_with(')')) {
            Some(at) => Self { interval: text[at + 1..].to_owned(), ..Self::of(&text[..at], "number") },
            None => Self::of(text, "number"),
        }
    }

    /// A number that calls for attention if `bad`.
    fn marked(text: impl Into<String>, bad: bool) -> Self {
        Self { class: if bad { "number bad" } else { "number" }, ..Self::number(text) }
    }
}

fn heads(columns: &[(&'static str, &'static str)]) -> Vec<Head> {
    columns.iter().map(|(label, meaning)| Head { label, meaning: labels::meaning(meaning) }).collect()
}

/// The same, with meanings as written.
fn head(columns: &[(&'static str, &'static str)]) -> Vec<Head> {
    columns.iter().map(|(label, meaning)| Head { label, meaning }).collect()
}

/// The page.
pub(super) fn render(report: &Report, figures: &[Figure]) -> Result<String> {
    let context = Page {
        title: labels::short(&report.scenario.path, 80),
        about: labels::visible(&report.scenario.about),
        regular: STANDARD.encode(figures::REGULAR),
        bold: STANDARD.encode(figures::BOLD),
        figures: figures
            .iter()
            .map(|figure| (figure.name, Drawn { svg: &figure.svg, caption: figure.caption }))
            .collect(),
        verdict: words::verdict(report),
        warnings: words::warnings(report),
        limits: report.limits.iter().map(|limit| labels::visible(limit)).collect(),
        exact: words::exact(report),
        facts: words::facts(report),
        worlds: grids::worlds(report),
        causes: grids::causes(report),
        served: grids::served(report),
        held: grids::held(report),
        pauses: grids::pauses(report),
        recovery: grids::recovery(report),
        budgets: grids::budgets(report),
        sentinels: grids::sentinels(report),
        true_exposure: grids::true_exposure(report),
        stages: grids::stages(report),
        gates: grids::gates(report, false),
        slices: grids::gates(report, true),
        shadow: grids::shadow(report),
        shadow_otherwise: grids::shadow_otherwise(report),
        shadow_noise: grids::shadow_noise(report),
        health: grids::health(report),
        needs: planning::needs(report),
        prices: planning::prices(report),
        worth: planning::worth(report),
        lines: planning::lines(report),
        flagged: grids::self_check(report, true),
        checked: grids::self_check(report, false),
        coverage: grids::coverage(report),
    };
    filled(TEMPLATE, &context, "report.html")
}

/// A template with its values, escaped; the file's name is for messages.
fn filled(template: &str, context: &impl Serialize, name: &str) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let failed = |e: minijinja::Error| Error::at(name, format!("cannot write: {e:#}"));
    for (part, text) in PARTS {
        environment.add_template(part, text).map_err(failed)?;
    }
    environment.render_str(template, Value::from(Serde(context))).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{sample, sample::crowded, sample::empty, sample::hostile};

    fn page(report: &Report) -> String {
        render(report, &figures::render(report).expect("draws")).expect("renders")
    }

    #[test]
    fn hostile_text_is_escaped_everywhere() {
        let page = page(&hostile());
        assert!(!page.contains("<script"), "raw markup");
        assert!(!page.contains("alert(1)</"), "raw markup");
        assert!(page.contains("&lt;script&gt;alert(1)"), "shown as text");
        for hidden in ['\u{202e}', '\u{200b}', '\u{1b}'] {
            assert!(!page.contains(hidden), "{hidden:?}");
        }
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let page = page(&sample());
        for outside in ["src=\"http", "href=\"http", "url(http", "@import", "<link", "<iframe"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("Content-Security-Policy"));
        assert_eq!(page.matches("<svg ").count(), 10);
    }

    #[test]
    fn unusual_reports_render_and_the_same_twice() {
        for report in [sample(), crowded(), empty()] {
            assert_eq!(page(&report), page(&report));
        }
    }
}
