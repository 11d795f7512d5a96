//! What becomes of rollouts against the size of an effect: how soon it is found, and how many requests meet it before.

use super::axes::{Axis, Scale};
use super::panels;
use super::picture::{Anchor, Color, Picture, Point, color};
use crate::report::planning::{SizeCurve, SizePoint};
use crate::report::{Report, labels};

/// Curves of one panel; the table has all.
const CURVES: usize = 8;

/// How soon harm is found, by its size.
pub(super) fn draw_detection(report: &Report) -> Picture {
    let sizes = &report.planning.sizes;
    let mut picture = Picture::new(
        0.0,
        "How soon harm of each size is found",
        "Share of all rollouts rolled back for harm by each time; those never rolled back stay in the denominator. Darker: larger.",
    );
    let top = 70.0;
    picture.height = panels::height(sizes.len(), top);
    for (index, curve) in sizes.iter().take(panels::PANELS).enumerate() {
        let points = chosen(curve);
        let end = points.iter().flat_map(|point| point.detection_curve.iter().map(|p| p.time_s));
        let planned: i64 = report.stages.iter().map(|stage| stage.duration_s).sum();
        let x = Axis::new(Scale::Time, 0.0, end.fold(planned as f64, f64::max));
        let title = title(curve);
        let panel =
            panels::panel(&mut picture, &title, panels::place(index, top), x, Axis::new(Scale::Percent, 0.0, 1.0));
        panel.draw_axes(&mut picture, "time since the effect began", "");
        let mut written_at: Vec<f64> = Vec::new();
        for (order, point) in points.iter().enumerate() {
            let ink = shade(order, points.len());
            let (line, last) = steps(point, |x, y| panel.at(x, y), panel.right);
            picture.line(line, ink, 1.8);
            if last.1 > panel.bottom - 6.0 || written_at.iter().any(|other| (last.1 - other).abs() < 14.0) {
                continue;
            }
            written_at.push(last.1);
            picture.text(
                (panel.right - 4.0, last.1 - 3.0),
                &written(curve, report, point.size),
                Anchor::End,
                color::INK,
                90.0,
            );
        }
    }
    panels::rest(&mut picture, sizes.len(), "No gate accepts a regression, and no effect has several sizes.", top);
    picture
}

/// How many requests the candidate serves before the end, by the size of its harm.
pub(super) fn draw_exposure(report: &Report) -> Picture {
    let sizes = &report.planning.sizes;
    let mut picture = Picture::new(
        0.0,
        "What harm of each size costs",
        "Requests served by the candidate before the rollout ends (logarithmic). Line: mean. Bars: the middle 80 %. Orange dot: mostly found.",
    );
    let top = 70.0;
    picture.height = panels::height(sizes.len(), top);
    for (index, curve) in sizes.iter().take(panels::PANELS).enumerate() {
        let low = curve.points.iter().map(|point| point.size).fold(f64::INFINITY, f64::min);
        let high = curve.points.iter().map(|point| point.size).fold(f64::NEG_INFINITY, f64::max);
        let most = curve.points.iter().map(|point| point.exposed_requests.p90).fold(10.0, f64::max);
        let served = curve.points.iter().map(|point| point.exposed_requests.p10).filter(|&served| served >= 1.0);
        let least = served.fold(most, f64::min);
        let x = Axis::new(scale(curve, report), low, high);
        let y = Axis::new(Scale::Log, 10f64.powf(least.log10().floor()), most * 1.2);
        let panel = panels::panel(&mut picture, &title(curve), panels::place(index, top), x, y);
        panel.draw_axes(&mut picture, &axis_name(curve), "");
        let line: Vec<Point> = curve.points.iter().map(|p| panel.at(p.size, p.exposed_requests.mean)).collect();
        picture.line(line, color::BLUE, 2.0);
        for point in &curve.points {
            let served = point.exposed_requests;
            let bar = vec![panel.at(point.size, served.p10), panel.at(point.size, served.p90)];
            picture.line(bar, color::between(color::WHITE, color::BLUE, 0.6), 1.5);
            let ink = if point.detected.share >= 0.5 { color::VERMILLION } else { color::BLUE };
            picture.dot(panel.at(point.size, served.mean), 3.5, ink);
        }
    }
    panels::rest(&mut picture, sizes.len(), "No gate accepts a regression, and no effect has several sizes.", top);
    picture
}

/// Sizes spread evenly over all, the largest first.
fn chosen(curve: &SizeCurve) -> Vec<&SizePoint> {
    let all = curve.points.len();
    let kept = CURVES.min(all);
    (0..kept).rev().map(|index| &curve.points[(index + 1) * all / kept - 1]).collect()
}

fn shade(order: usize, count: usize) -> Color {
    color::between(color::BLUE, color::WHITE, 0.75 * order as f64 / count.max(2) as f64)
}

/// A cumulative share jumps at looks and holds between them, to the panel's edge.
fn steps(point: &SizePoint, at: impl Fn(f64, f64) -> Point, right: f64) -> (Vec<Point>, Point) {
    let mut line = vec![at(0.0, 0.0)];
    for step in &point.detection_curve {
        let (x, y) = at(step.time_s, step.share);
        if let Some((_, before)) = line.last().copied() {
            line.push((x, before));
        }
        line.push((x, y));
    }
    let end = (right, line.last().map_or(0.0, |last| last.1));
    line.push(end);
    (line, end)
}

fn title(curve: &SizeCurve) -> String {
    if curve.kind == "gate" {
        format!("around what {} accepts", labels::visible(&curve.of))
    } else {
        labels::visible(&curve.of)
    }
}

fn scale(curve: &SizeCurve, report: &Report) -> Scale {
    let proportion = report.metrics.iter().any(|metric| metric.name == curve.metric && metric.kind == "proportion");
    match curve.scale.as_str() {
        "relative" | "flip" => Scale::Percent,
        "absolute" | "shift" if proportion => Scale::Points,
        _ => Scale::Number,
    }
}

fn written(curve: &SizeCurve, report: &Report, size: f64) -> String {
    match scale(curve, report) {
        Scale::Percent => labels::percent(size),
        Scale::Points => format!("{} pp", labels::number(size * 100.0)),
        _ if curve.scale == "scale" => format!("× {}", labels::number(size)),
        _ => labels::number(size),
    }
}

fn axis_name(curve: &SizeCurve) -> String {
    let metric = labels::short(&curve.metric, 30);
    match curve.scale.as_str() {
        "relative" => format!("true regression of {metric}, % of stable"),
        "flip" => format!("good outcomes of {metric} that turn bad"),
        "scale" => format!("factor on {metric}"),
        _ => format!("true regression of {metric}"),
    }
}
