//! `compare.html` of strategies: one file, nothing loaded from elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::comparison::{Detail, with_interval};
use super::{Cell, Drawn, Grid, filled, head};
use crate::error::Result;
use crate::report::figures::{self, Figure};
use crate::report::labels;
use crate::report::strategies::{Strategies, StrategyRow, StrategyWorld, time};

const TEMPLATE: &str = include_str!("../strategies.html.j2");

/// Everything the template may use.
#[derive(Serialize)]
struct Page<'a> {
    title: String,
    regular: String,
    bold: String,
    figure: Drawn<'a>,
    notes: Vec<String>,
    strategies: Grid,
    details: Vec<Detail>,
    facts: Vec<(&'static str, String)>,
}

/// The page.
pub(in crate::report) fn render(strategies: &Strategies, figure: &Figure) -> Result<String> {
    let context = Page {
        title: labels::tail(&strategies.log, 80),
        regular: STANDARD.encode(figures::REGULAR),
        bold: STANDARD.encode(figures::BOLD),
        figure: Drawn { svg: &figure.svg, caption: figure.caption },
        notes: strategies.notes.iter().map(|note| labels::visible(note)).collect(),
        strategies: side_by_side(strategies),
        details: strategies.strategies.iter().map(detail).collect(),
        facts: facts(strategies),
    };
    filled(TEMPLATE, &context, "compare.html")
}

fn recovery(spread: Option<crate::report::Spread>) -> String {
    spread.map_or_else(|| labels::NONE.to_owned(), |spread| labels::spread(spread, labels::duration))
}

fn side_by_side(strategies: &Strategies) -> Grid {
    let columns = [
        ("strategy", ""),
        ("good kept", "a candidate as good as stable serves everybody at the end of the time"),
        ("to 100 %", "time until a good candidate serves everybody"),
        ("bad kept", "a bad candidate serves everybody at the end of the time; mean over its worlds"),
        ("requests of a bad one", "served from the onset of its regression on; mean over its worlds"),
        ("units", "that a bad candidate serves; mean over its worlds"),
        (
            "back in",
            "from the onset until everyone is back on stable, of those rolled back for harm; median (10 %–90 %)",
        ),
        ("extra replica-hours", "beyond the service’s own replicas; 1 is as many as the service has, for an hour"),
        ("judges, usd", "judged answers of both versions times their price"),
    ];
    let row = |row: &StrategyRow| {
        vec![
            Cell::name(row.name.clone()),
            Cell::number(labels::share(row.good_kept)),
            Cell::number(time(row.time_to_full_s)),
            Cell::number(with_interval(row.bad_kept, labels::percent)),
            Cell::number(with_interval(row.harmed_requests, labels::count)),
            Cell::number(with_interval(row.exposed_units, labels::count)),
            Cell::number(recovery(row.recovery_s)),
            Cell::number(with_interval(row.replica_hours, labels::number)),
            Cell::number(with_interval(row.judge_usd, labels::number)),
        ]
    };
    Grid { head: head(&columns), rows: strategies.strategies.iter().map(row).collect() }
}

fn detail(row: &StrategyRow) -> Detail {
    let columns = [
        ("If the candidate is", ""),
        ("blocked", "by mirrored traffic, before anyone is exposed"),
        ("kept", "serves everybody at the end of the time"),
        ("rolled back", ""),
        ("stalled", ""),
        ("found", "rolled back for harm"),
        ("back in", "from the onset until everyone is back, of those found; median (10 %–90 %)"),
        ("requests", "that the candidate served"),
        ("since the onset", "of these"),
        ("units", ""),
        ("extra replica-hours", ""),
        ("judges, usd", ""),
    ];
    let world = |world: &StrategyWorld| {
        vec![
            Cell::name(labels::world(&world.world)),
            Cell::number(labels::share(world.blocked)),
            Cell::number(labels::share(world.kept)),
            Cell::number(labels::share(world.rolled_back)),
            Cell::number(labels::share(world.stalled)),
            Cell::number(labels::share(world.found)),
            Cell::number(recovery(world.recovery_s)),
            Cell::number(with_interval(world.exposed_requests, labels::count)),
            Cell::number(with_interval(world.harmed_requests, labels::count)),
            Cell::number(with_interval(world.exposed_units, labels::count)),
            Cell::number(with_interval(world.replica_hours, labels::number)),
            Cell::number(with_interval(world.judge_usd, labels::number)),
        ]
    };
    Detail {
        name: row.name.clone(),
        worlds: Grid { head: head(&columns), rows: row.worlds.iter().map(world).collect() },
    }
}

fn facts(strategies: &Strategies) -> Vec<(&'static str, String)> {
    let bad = if strategies.bad_worlds == "effect" {
        "the scenario’s effects, each counting alike"
    } else {
        "the margin of every gate, for want of effects"
    };
    vec![
        ("Command", labels::visible(&strategies.command)),
        ("Program", format!("replay {}", labels::visible(&strategies.version))),
        ("Form", labels::visible(&strategies.schema)),
        ("Replicates, seed", format!("{}, {}", labels::whole(strategies.replicates as u64), strategies.seed)),
        ("Log", format!("{} (xxh3 {})", labels::visible(&strategies.log), labels::visible(&strategies.fingerprint))),
        ("Requests", labels::whole(strategies.rows)),
        ("A bad candidate is", bad.to_owned()),
        ("Followed for", labels::duration(strategies.horizon_s as f64)),
        ("Mirrored before a big bang", labels::duration(strategies.mirrored_s as f64)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::strategies::sample;

    #[test]
    fn text_of_the_user_is_escaped_and_nothing_is_loaded() {
        let mut strategies = sample();
        strategies.strategies[0].worlds[1].world = "<script>alert(1)</script>\u{202e}".into();
        strategies.notes.push("<img src=\"http://example.org\">".into());
        let page = render(&strategies, &figures::strategies(&strategies).expect("draws")).expect("renders");
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{202e}'));
        assert!(page.contains("&lt;script&gt;") && page.contains("Content-Security-Policy"));
    }
}
