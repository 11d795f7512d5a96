//! Error rates of the gates on this traffic, against alpha.

use super::axes::{Axis, Panel, Scale};
use super::picture::{Anchor, Picture, color};
use crate::report::{Report, SelfCheckRow, labels};

/// Rows shown; the table has all.
const ROWS: usize = 80;
const TOP: f64 = 104.0;
const ROW: f64 = 15.0;
const ERRORS: [(&str, &str); 3] = [
    ("false alarm", "fails a candidate as good as stable"),
    ("wrong pass", "passes at exactly the margin"),
    ("wrong failure", "fails at exactly the margin"),
];
const LEFT: [f64; 3] = [240.0, 462.0, 684.0];
const WIDTH: f64 = 190.0;

/// One line: a gate and a slice at a stage, with its error rates.
struct Row<'a> {
    gate: &'a str,
    slice: String,
    stage: &'a str,
    checks: Vec<&'a SelfCheckRow>,
}

pub(super) fn draw(report: &Report) -> Picture {
    let all = rows(report);
    let shown = &all[..all.len().min(ROWS)];
    // A gate's name stands in a line of its own above its stages.
    let heads = shown.iter().enumerate().filter(|(index, row)| starts_group(shown, *index, row)).count();
    let bottom = TOP + ROW * (shown.len() + heads) as f64 + 6.0;
    let mut picture = Picture::new(
        bottom + 64.0,
        "Self-check: do the gates err as often as they say?",
        "Dots are replayed error rates with their Monte Carlo 95 % interval; orange lies above alpha (dashed).",
    );
    let panels: Vec<Panel> =
        ERRORS.iter().zip(LEFT).map(|((error, _), left)| panel(report, error, left, bottom)).collect();
    for (panel, (error, means)) in panels.iter().zip(ERRORS) {
        panel.draw_x(&mut picture, "share of replicates");
        picture.text((panel.left, TOP - 22.0), error, Anchor::Start, color::INK, WIDTH);
        picture.text_sized((panel.left, TOP - 9.0), means, Anchor::Start, color::SOFT, WIDTH + 8.0, 10.0);
    }
    let mut y = TOP;
    for (index, row) in shown.iter().enumerate() {
        if starts_group(shown, index, row) {
            y += ROW;
            let name =
                if row.slice.is_empty() { row.gate.to_owned() } else { format!("{} · {}", row.gate, row.slice) };
            picture.text((16.0, y), &name, Anchor::Start, color::INK, 214.0);
        }
        y += ROW;
        picture.text((230.0, y), row.stage, Anchor::End, color::SOFT, 200.0);
        for (panel, (error, _)) in panels.iter().zip(ERRORS) {
            for check in row.checks.iter().filter(|check| check.error == error) {
                draw_check(&mut picture, panel, check, y - 4.0);
            }
        }
    }
    let more = all.len() - shown.len();
    if more > 0 {
        let note = format!("and {more} more rows in the tables");
        picture.text((16.0, bottom + 50.0), &note, Anchor::Start, color::SOFT, 500.0);
    }
    if all.is_empty() {
        picture.text((16.0, TOP + 4.0), "No gate was checked.", Anchor::Start, color::SOFT, 226.0);
    }
    picture
}

/// Whole gates, and those slices that are flagged.
fn rows(report: &Report) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for check in report.self_check.iter().filter(|check| check.segment.is_none() || check.flagged) {
        let slice = check.segment.as_ref().map_or_else(String::new, |segment| labels::segment(Some(segment)));
        match rows.iter_mut().find(|row| row.gate == check.gate && row.slice == slice && row.stage == check.stage) {
            Some(row) => row.checks.push(check),
            None => rows.push(Row { gate: &check.gate, slice, stage: &check.stage, checks: vec![check] }),
        }
    }
    // Stable: stages stay in their order within a gate and slice.
    let order = |gate: &str| report.self_check.iter().position(|check| check.gate == gate);
    rows.sort_by(|a, b| (order(a.gate), &a.slice).cmp(&(order(b.gate), &b.slice)));
    rows
}

fn starts_group(rows: &[Row<'_>], index: usize, row: &Row<'_>) -> bool {
    index == 0 || rows[index - 1].gate != row.gate || rows[index - 1].slice != row.slice
}

fn panel(report: &Report, error: &str, left: f64, bottom: f64) -> Panel {
    let widest = report
        .self_check
        .iter()
        .filter(|check| check.error == error && (check.segment.is_none() || check.flagged))
        .map(|check| check.rate.high.max(2.0 * check.alpha))
        .fold(0.02, f64::max);
    Panel {
        left,
        top: TOP,
        right: left + WIDTH,
        bottom,
        x: Axis::new(Scale::Percent, 0.0, (widest * 1.08).min(1.0)),
        y: Axis::new(Scale::Number, 0.0, 1.0),
    }
}

fn draw_check(picture: &mut Picture, panel: &Panel, check: &SelfCheckRow, y: f64) {
    let ink = if check.flagged { color::VERMILLION } else { color::BLUE };
    let alpha = panel.px(check.alpha);
    picture.dashed(&[(alpha, y - ROW / 2.0), (alpha, y + ROW / 2.0)], color::INK, 1.0, 3.0);
    picture.line(vec![(panel.px(check.rate.low), y), (panel.px(check.rate.high), y)], ink, 1.5);
    picture.dot((panel.px(check.rate.share), y), if check.flagged { 4.5 } else { 3.0 }, ink);
}
