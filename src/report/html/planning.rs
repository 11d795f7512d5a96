//! Planning on the page.

use super::{Cell, Grid, heads};
use crate::report::planning::{NeedRow, PerArm, Side};
use crate::report::{Report, labels};

/// Whole gates in words, stage by stage.
pub(super) fn lines(report: &Report) -> Vec<String> {
    report.planning.needs.iter().filter(|row| row.segment.is_none()).map(|row| labels::visible(&row.says)).collect()
}

fn name(row: &NeedRow) -> String {
    let gate = labels::visible(&row.gate);
    row.segment.as_ref().map_or(gate.clone(), |segment| format!("{gate}, {}", labels::segment(Some(segment))))
}

fn arms(arms: Option<PerArm>) -> String {
    arms.map_or_else(
        || labels::NONE.to_owned(),
        |arms| format!("{} + {}", labels::count(arms.candidate), labels::count(arms.stable)),
    )
}

fn time(side: &Side) -> String {
    match (side.duration_s, side.projected_s) {
        (Some(seconds), _) => labels::duration(seconds as f64),
        (None, Some(seconds)) => format!("about {}, beyond the log", labels::duration(seconds)),
        (None, None) if side.units.is_none() => "no amount of data".to_owned(),
        (None, None) => "never at this exposure".to_owned(),
    }
}

/// Both sides of each gate, stage and slice.
pub(super) fn needs(report: &Report) -> Grid {
    let mut rows = Vec::new();
    for row in &report.planning.needs {
        let regression = row.regression.as_deref().map_or_else(String::new, labels::visible);
        for (what, side) in
            [("pass if as good as stable".to_owned(), &row.pass), (format!("fail at {regression}"), &row.fail)]
        {
            let Some(side) = side else { continue };
            let enough = side.duration_s.is_some_and(|needed| needed <= row.duration_s);
            rows.push(vec![
                Cell::name(name(row)),
                Cell::name(labels::visible(&row.stage)),
                Cell::of(what, "soft"),
                Cell::marked(labels::percent(side.closed_form), !enough),
                Cell::marked(labels::share(side.simulated), side.why.is_some()),
                Cell::number(arms(side.units)),
                Cell::number(arms(side.requests)),
                Cell::number(time(side)),
                Cell::number(side.exposure.map_or_else(|| labels::NONE.to_owned(), labels::percent)),
            ]);
        }
    }
    Grid {
        head: heads(&[
            ("gate", ""),
            ("stage", ""),
            ("to", ""),
            ("closed form", ""),
            ("as replayed", ""),
            ("units needed, candidate + stable", ""),
            ("requests needed", ""),
            ("time needed", ""),
            ("or exposure", ""),
        ]),
        rows,
    }
}

/// What choices of the scenario cost.
pub(super) fn prices(report: &Report) -> Grid {
    let mut rows = Vec::new();
    for row in report.planning.needs.iter().filter(|row| row.segment.is_none()) {
        for price in &row.prices {
            let what = match price.of.as_str() {
                "looks" => "looking often, against one look at the end",
                "segments" => "sharing alpha with segments",
                "all gates" => "every gate so strong that together they promote as often as one was to",
                "judge sampling" => "a judge that sees a share of the requests, against one that sees all",
                "judge errors" => "a judge that errs, against one that does not",
                "delay" => "judgements that come later",
                "patience" => "waiting for enough failing looks, after the first (as replayed)",
                other => other,
            };
            let extra = match (&price.unknown, price.extra_s) {
                (Some(why), _) => format!("not known: {}", labels::visible(why)),
                (None, Some(extra)) => labels::duration(extra),
                (None, None) => "more than any time at this exposure".to_owned(),
            };
            rows.push(vec![
                Cell::name(name(row)),
                Cell::name(labels::visible(&row.stage)),
                Cell::of(labels::visible(what), "soft"),
                Cell::name(labels::visible(&price.side)),
                Cell::number(extra),
            ]);
        }
    }
    Grid { head: heads(&[("gate", ""), ("stage", ""), ("price of", ""), ("delays", ""), ("by", "")]), rows }
}

/// What shadow mode has shown and what is left.
pub(super) fn worth(report: &Report) -> Grid {
    let row = |row: &crate::report::planning::ShadowWorth| {
        let gate = labels::visible(&row.gate);
        let name = row.segment.as_ref().map_or(gate.clone(), |s| format!("{gate}, {}", labels::segment(Some(s))));
        let count = |value: Option<f64>| value.map_or_else(|| labels::NONE.to_owned(), labels::count);
        vec![
            Cell::name(name),
            Cell::number(format!(
                "{} ({} to {})",
                labels::signed(row.beyond),
                labels::signed(row.low),
                labels::signed(row.high)
            )),
            Cell::name(labels::visible(&row.shown)),
            Cell::number(labels::count(row.requests)),
            Cell::number(count(row.requests_needed)),
            Cell::of(labels::visible(&row.left), "soft"),
        ]
    };
    Grid {
        head: heads(&[
            ("gate", ""),
            ("regression beyond what is allowed", ""),
            ("shown", ""),
            ("requests mirrored", ""),
            ("needed if as good as stable", ""),
            ("left for the canary", ""),
        ]),
        rows: report.planning.shadow.iter().map(row).collect(),
    }
}
