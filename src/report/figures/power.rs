//! What each gate can see at each stage.

use super::axes::{Axis, Panel, Scale};
use super::picture::{Anchor, LABEL, Picture, Point, color, text_width};
use crate::report::{MetricFacts, PowerCurve, PowerPoint, Report, Share, labels};

/// Panels shown; the table has all.
const PANELS: usize = 24;
const PANEL: f64 = 250.0;

pub(super) fn draw(report: &Report) -> Picture {
    // Multiples of nothing are nothing: a gate that accepts none has no sizes to go through.
    let has_sizes = |curve: &&PowerCurve| curve.points.iter().any(|point| point.regression.abs() > 0.0);
    let mut gates: Vec<&str> = Vec::new();
    for curve in report.power_curves.iter().filter(has_sizes) {
        if !gates.contains(&curve.gate.as_str()) {
            gates.push(&curve.gate);
        }
    }
    let shown = gates.len().min(PANELS);
    let mut picture = Picture::new(
        0.0,
        "What each gate can see",
        "Dots: as replayed, with 95 % bars. Solid: chance to fail; dashed: to pass, in closed form. Both low: mostly inconclusive.",
    );
    let top = draw_legend(&mut picture, report);
    picture.height = top + PANEL * shown.div_ceil(2) as f64 + 10.0;
    for (index, gate) in gates.iter().take(PANELS).enumerate() {
        let curves: Vec<&PowerCurve> = report.power_curves.iter().filter(|curve| curve.gate == *gate).collect();
        let left = if index % 2 == 0 { 56.0 } else { 506.0 };
        draw_gate(&mut picture, report, gate, &curves, (left, top + PANEL * (index / 2) as f64));
    }
    let more = gates.len() - shown;
    if more > 0 {
        let note = format!("and {more} more gates in the tables");
        picture.text((16.0, picture.height - 4.0), &note, Anchor::Start, color::SOFT, 868.0);
    }
    if gates.is_empty() {
        picture.text((16.0, top), "No gate has a power curve.", Anchor::Start, color::SOFT, 868.0);
    }
    picture
}

/// Gives the place below it.
fn draw_legend(picture: &mut Picture, report: &Report) -> f64 {
    let mut x = 16.0;
    let mut y = 66.0;
    for (index, stage) in report.stages.iter().enumerate() {
        let name = labels::short(&stage.name, 22);
        let width = 24.0 + text_width(&name, LABEL) + 16.0;
        if x + width > 884.0 && y < 68.0 {
            (x, y) = (16.0, 82.0);
        }
        if x + width > 884.0 {
            picture.text((x, y), "…", Anchor::Start, color::INK, 20.0);
            break;
        }
        picture.line(vec![(x, y - 4.0), (x + 20.0, y - 4.0)], color::nth(index), 3.0);
        picture.text((x + 24.0, y), &name, Anchor::Start, color::INK, 300.0);
        x += width;
    }
    let y = y + 18.0;
    picture.line(vec![(16.0, y - 9.0), (16.0, y + 1.0)], color::INK, 1.5);
    picture.text((22.0, y), "accepted regression", Anchor::Start, color::SOFT, 200.0);
    picture.dashed(&[(160.0, y - 4.0), (184.0, y - 4.0)], color::INK, 1.0, 3.0);
    let alpha =
        "alpha: solid curves left of the line and dashed curves right of it should stay below; bars: Monte Carlo 95 %";
    picture.text((190.0, y), alpha, Anchor::Start, color::SOFT, 690.0);
    y + 28.0
}

fn draw_gate(picture: &mut Picture, report: &Report, gate: &str, curves: &[&PowerCurve], (left, top): Point) {
    let row = report.gates.iter().find(|row| row.gate == gate);
    let metric = row.and_then(|row| report.metrics.iter().find(|metric| metric.name == row.metric));
    let relative = curves.first().is_some_and(|curve| curve.scale == "relative");
    let points = || curves.iter().flat_map(|curve| curve.points.iter());
    let low = points().map(|point| point.regression).fold(0.0, f64::min);
    let high = points().map(|point| point.regression).chain(curves.iter().map(|c| c.allow)).fold(low, f64::max);
    let scale = match (relative, metric) {
        (true, _) => Scale::Percent,
        (false, Some(metric)) if metric.kind == "proportion" => Scale::Points,
        (false, _) => Scale::Number,
    };
    let panel = Panel {
        left,
        top: top + 24.0,
        right: left + 372.0,
        bottom: top + PANEL - 48.0,
        x: Axis::new(scale, low, high),
        y: Axis::new(Scale::Percent, 0.0, 1.0),
    };
    panel.draw_axes(picture, &axis_name(metric, relative), "");
    let allow = row.map_or_else(String::new, |row| format!(" (accepts {})", labels::visible(&row.allow)));
    let room = 360.0 - text_width(&allow, 12.0);
    let title = super::picture::fit(gate, room, 12.0) + &allow;
    picture.text_sized((left, top + 12.0), &title, Anchor::Start, color::INK, 376.0, 12.0);
    if let Some(allow) = curves.first().map(|curve| curve.allow) {
        picture.line(vec![panel.at(allow, 0.0), panel.at(allow, 1.0)], color::INK, 1.5);
    }
    if let Some(row) = row {
        picture.dashed(&[panel.at(low, row.alpha), panel.at(high, row.alpha)], color::INK, 1.0, 3.0);
    }
    for curve in curves {
        let stage = report.stages.iter().position(|stage| stage.name == curve.stage).unwrap_or(0);
        let trace = |side: fn(&PowerPoint) -> Share| -> Vec<Point> {
            curve.points.iter().map(|point| panel.at(point.regression, side(point).share)).collect()
        };
        for point in &curve.points {
            for share in [point.fail, point.pass] {
                let bar = vec![panel.at(point.regression, share.low), panel.at(point.regression, share.high)];
                picture.line(bar, color::between(color::WHITE, color::nth(stage), 0.6), 1.0);
            }
        }
        let planned = |chance: fn(&PowerPoint) -> Option<f64>| -> Option<Vec<Point>> {
            curve.points.iter().map(|point| Some(panel.at(point.regression, chance(point)?))).collect()
        };
        let (fail, pass) = (trace(|point| point.fail), trace(|point| point.pass));
        for (points, radius) in [(&fail, 2.6), (&pass, 1.8)] {
            for &point in points {
                picture.dot(point, radius, color::nth(stage));
            }
        }
        // Without a closed form the line joins what was replayed.
        picture.dashed(&planned(|point| point.pass_closed_form).unwrap_or(pass), color::nth(stage), 1.5, 5.0);
        picture.line(planned(|point| point.fail_closed_form).unwrap_or(fail), color::nth(stage), 2.0);
    }
}

fn axis_name(metric: Option<&MetricFacts>, relative: bool) -> String {
    let Some(metric) = metric else { return "true regression (larger is worse)".to_owned() };
    let way = if metric.better == "higher" { "drop" } else { "rise" };
    let name = labels::short(&metric.name, 24);
    let unit = metric.unit.as_deref().map(labels::visible);
    match (relative, unit) {
        (true, _) => format!("true {way} of {name}, % of stable"),
        (false, Some(unit)) => format!("true {way} of {name}, {unit}"),
        (false, None) => format!("true {way} of {name}"),
    }
}
