//! The smallest regression each gate sees, per slice, as a multiple of what it accepts.

use super::axes::{Axis, Panel, Scale};
use super::panels;
use super::picture::{Anchor, Color, Picture, color};
use crate::report::planning::NeedRow;
use crate::report::{Report, labels};

/// Rows shown; the table has all.
const ROWS: usize = 70;
const ROW: f64 = 15.0;
const LEFT: f64 = 270.0;
const RIGHT: f64 = 860.0;
/// Beyond this a multiple is drawn at the edge.
const WIDEST: f64 = 12.0;

pub(super) fn draw(report: &Report) -> Picture {
    let mut rows: Vec<(&NeedRow, Vec<&NeedRow>)> = Vec::new();
    for need in report.planning.needs.iter().filter(|need| need.mde_of_allow.is_some()) {
        match rows.iter_mut().find(|(row, _)| (&row.gate, &row.segment) == (&need.gate, &need.segment)) {
            Some((_, stages)) => stages.push(need),
            None => rows.push((need, vec![need])),
        }
    }
    let order = |gate: &str| report.planning.needs.iter().position(|need| need.gate == gate);
    rows.sort_by_key(|(row, _)| order(&row.gate));
    let all = rows.len();
    rows.truncate(ROWS);
    let starts = |index: usize| index == 0 || rows[index - 1].0.gate != rows[index].0.gate;
    let heads = (0..rows.len()).filter(|&index| starts(index)).count();
    let mut picture = Picture::new(
        0.0,
        "The smallest regression each gate sees",
        "As a multiple of what the gate accepts (line at 1), at each stage's end with the gate's power. At the edge: that or more.",
    );
    let shown = report.stages.iter().enumerate();
    let used = shown.filter(|(_, facts)| rows.iter().any(|(_, stages)| stages.iter().any(|s| s.stage == facts.name)));
    let names: Vec<(String, Color)> =
        used.map(|(index, facts)| (labels::visible(&facts.name), color::nth(index))).collect();
    let top = panels::legend(&mut picture, &names, 66.0);
    let bottom = top + ROW * (rows.len() + heads) as f64 + 8.0;
    picture.height = bottom + 56.0;
    let widest = rows.iter().flat_map(|(_, stages)| stages.iter().filter_map(|s| s.mde_of_allow)).fold(2.0, f64::max);
    let (x, y) = (Axis::new(Scale::Number, 0.0, (widest * 1.05).min(WIDEST)), Axis::new(Scale::Number, 0.0, 1.0));
    let panel = Panel { left: LEFT, top, right: RIGHT, bottom, x, y };
    panel.draw_x(&mut picture, "smallest regression seen, as a multiple of what is accepted");
    picture.line(vec![(panel.px(1.0), top), (panel.px(1.0), bottom)], color::INK, 1.5);
    let mut y = top;
    for (index, (row, stages)) in rows.iter().enumerate() {
        if starts(index) {
            y += ROW;
            picture.text((16.0, y), &labels::visible(&row.gate), Anchor::Start, color::INK, LEFT - 30.0);
        }
        y += ROW;
        let slice = labels::segment(row.segment.as_ref());
        picture.text((LEFT - 10.0, y), &slice, Anchor::End, color::SOFT, LEFT - 40.0);
        picture.line(vec![(LEFT, y - 4.0), (RIGHT, y - 4.0)], color::GRID, 1.0);
        for need in stages.iter().rev() {
            let stage = report.stages.iter().position(|stage| stage.name == need.stage).unwrap_or(0);
            let multiple = need.mde_of_allow.unwrap_or(0.0);
            picture.dot((panel.px(multiple), y - 4.0), 4.0, color::nth(stage));
        }
    }
    if all > ROWS {
        let note = format!("and {} more rows in the tables", all - ROWS);
        picture.text((16.0, bottom + 48.0), &note, Anchor::Start, color::SOFT, 240.0);
    }
    if rows.is_empty() {
        picture.text(
            (16.0, top + 4.0),
            "No gate sees a regression of a size that can be stated.",
            Anchor::Start,
            color::SOFT,
            240.0,
        );
    }
    picture
}
