//! How fast harm is found.

use std::fmt::Write as _;

use super::axes::{Axis, Panel, Scale, spread_out};
use super::picture::{Anchor, LABEL, Picture, Point, color, text_width};
use crate::report::{Report, WorldRow, labels};

const RIGHT: f64 = 640.0;
/// Curves shown; the table has all.
const CURVES: usize = 21;
const NOTE: usize = 4;

pub(super) fn draw(report: &Report) -> Picture {
    let (mut found, silent): (Vec<&WorldRow>, Vec<&WorldRow>) =
        report.worlds.iter().partition(|world| world.detected.share > 0.0 && !world.detection_curve.is_empty());
    found.sort_by(|a, b| b.detected.share.total_cmp(&a.detected.share));
    let hidden = found.len().saturating_sub(CURVES);
    found.truncate(CURVES);
    let note = note(&silent, hidden);
    let bottom = 92.0 + found.len().max(14) as f64 * 20.0;
    let mut picture = Picture::new(
        bottom + 52.0 + 15.0 * note.len() as f64,
        "Time to detect harm",
        "The share of all rollouts rolled back for harm by each time. A curve that ends low is harm that gets through.",
    );
    let end: f64 = report.stages.iter().map(|stage| stage.duration_s as f64).sum();
    let last = found.iter().flat_map(|w| w.detection_curve.iter().map(|p| w.onset_s + p.time_s)).fold(end, f64::max);
    let panel = Panel {
        left: 60.0,
        top: 92.0,
        right: RIGHT,
        bottom,
        x: Axis::new(Scale::Time, 0.0, last),
        y: Axis::new(Scale::Percent, 0.0, 1.0),
    };
    panel.draw_axes(&mut picture, "time since the start of the rollout", "");
    draw_stages(&mut picture, report, &panel);
    for (index, world) in found.iter().enumerate().rev() {
        let points = steps(world, &panel);
        if index < 7 {
            picture.line(points, color::nth(index), 2.0);
        } else {
            picture.dashed(&points, color::nth(index), 2.0, if index < 14 { 6.0 } else { 2.0 });
        }
    }
    draw_names(&mut picture, &found, &panel);
    for (row, line) in note.iter().enumerate() {
        picture.text((16.0, bottom + 52.0 + 15.0 * row as f64), line, Anchor::Start, color::SOFT, 868.0);
    }
    picture
}

fn draw_stages(picture: &mut Picture, report: &Report, panel: &Panel) {
    let (mut time, mut drawn) = (0.0, f64::NEG_INFINITY);
    for stage in &report.stages {
        let (from, to) = (panel.px(time), panel.px(time + stage.duration_s as f64));
        if from > drawn + 3.0 {
            picture.dashed(&[(from, panel.top - 18.0), (from, panel.bottom)], color::AXIS, 1.0, 3.0);
            drawn = from;
        }
        if to - from > 30.0 {
            picture.text((from + 4.0, panel.top - 8.0), &stage.name, Anchor::Start, color::SOFT, to - from - 6.0);
        }
        time += stage.duration_s as f64;
    }
    let end = panel.px(time);
    picture.dashed(&[(end, panel.top - 18.0), (end, panel.bottom)], color::AXIS, 1.0, 3.0);
}

/// A cumulative share jumps at looks and holds between them.
fn steps(world: &WorldRow, panel: &Panel) -> Vec<Point> {
    let mut points = vec![panel.at(world.onset_s, 0.0)];
    for point in &world.detection_curve {
        let (x, y) = panel.at(world.onset_s + point.time_s, point.share);
        if let Some((_, before)) = points.last().copied() {
            points.push((x, before));
        }
        points.push((x, y));
    }
    points
}

fn draw_names(picture: &mut Picture, found: &[&WorldRow], panel: &Panel) {
    let ends: Vec<f64> = found
        .iter()
        .map(|world| panel.py(world.detection_curve.last().map_or(world.detected.share, |point| point.share)))
        .collect();
    let places = spread_out(&ends, 19.0, panel.top + 4.0, panel.bottom);
    for (index, ((world, end), place)) in found.iter().zip(ends).zip(places).enumerate() {
        let ink = color::nth(index);
        let from = (panel.px(world.onset_s + world.detection_curve.last().map_or(0.0, |point| point.time_s)), end);
        picture.line(vec![from, (RIGHT, end)], color::between(color::WHITE, ink, 0.5), 1.0);
        picture.line(vec![(RIGHT, end), (RIGHT + 14.0, place)], color::between(color::WHITE, ink, 0.5), 1.0);
        picture.dot((RIGHT + 18.0, place), 4.0, ink);
        let share = labels::percent(world.detected.share);
        let width = text_width(&share, LABEL) + 6.0;
        picture.text((RIGHT + 27.0, place + 4.0), &share, Anchor::Start, color::INK, 60.0);
        picture.text(
            (RIGHT + 27.0 + width, place + 4.0),
            &labels::world(&world.world),
            Anchor::Start,
            color::SOFT,
            884.0 - RIGHT - 27.0 - width,
        );
    }
}

/// The worlds without a curve, in lines that fit.
fn note(silent: &[&WorldRow], hidden: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if hidden > 0 {
        lines.push(format!("{hidden} more worlds are in the tables."));
    }
    if silent.is_empty() {
        return lines;
    }
    let names: Vec<String> = silent.iter().map(|world| labels::short(&labels::world(&world.world), 60)).collect();
    let mut line = String::from("Never rolled back for harm: ");
    for (index, name) in names.iter().enumerate() {
        let piece = if index + 1 == names.len() { format!("{name}.") } else { format!("{name}, ") };
        if text_width(&format!("{line}{piece}"), LABEL) > 790.0 {
            if lines.len() + 1 == NOTE {
                let _ = write!(line, "and {} more.", names.len() - index);
                break;
            }
            lines.push(std::mem::take(&mut line));
        }
        line.push_str(&piece);
    }
    lines.push(line);
    lines
}
