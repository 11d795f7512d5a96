//! What more time at the same exposure buys.

use super::axes::{Axis, Scale};
use super::panels;
use super::picture::{Color, Picture, Point, color};
use crate::report::planning::{PowerTimes, TimePoint};
use crate::report::{Report, labels};

const TOP: f64 = 66.0;

pub(super) fn draw(report: &Report) -> Picture {
    let times = &report.planning.times;
    let mut gates: Vec<&str> = Vec::new();
    for of in times {
        if !gates.contains(&of.gate.as_str()) {
            gates.push(&of.gate);
        }
    }
    let mut picture = Picture::new(
        0.0,
        "What more time buys",
        "Solid: chance to fail at the named regression. Dashed: chance to pass a candidate as good as stable. Dots: the stage as planned.",
    );
    let stage = |name: &str| report.stages.iter().position(|stage| stage.name == name).unwrap_or(0);
    let shown = report.stages.iter().enumerate().filter(|(_, facts)| times.iter().any(|of| of.stage == facts.name));
    let names: Vec<(String, Color)> =
        shown.map(|(index, facts)| (labels::visible(&facts.name), color::nth(index))).collect();
    let top = panels::legend(&mut picture, &names, TOP);
    picture.height = panels::height(gates.len(), top);
    for (index, gate) in gates.iter().take(panels::PANELS).enumerate() {
        let mine: Vec<&PowerTimes> = times.iter().filter(|of| of.gate == *gate).collect();
        let last = mine.iter().flat_map(|of| of.points.iter().map(|point| point.duration_s)).max().unwrap_or(1);
        let asked = mine.iter().find_map(|of| of.regression.as_deref());
        let title = asked.map_or_else(
            || labels::visible(gate),
            |asked| format!("{}, asked for {}", labels::short(gate, 30), labels::visible(asked)),
        );
        let (x, y) = (Axis::new(Scale::Time, 0.0, last as f64), Axis::new(Scale::Percent, 0.0, 1.0));
        let panel = panels::panel(&mut picture, &title, panels::place(index, top), x, y);
        panel.draw_axes(&mut picture, "duration of the stage", "");
        let power = report.planning.needs.iter().find(|row| row.gate == *gate);
        if let Some(target) =
            power.and_then(|row| report.gates.iter().find(|gate| gate.gate == row.gate)).map(|row| row.power)
        {
            picture.dashed(&[panel.at(0.0, target), panel.at(last as f64, target)], color::INK, 1.0, 3.0);
        }
        for of in mine {
            let ink = color::nth(stage(&of.stage));
            let line = |value: fn(&TimePoint) -> Option<f64>| -> Vec<Point> {
                let points = of.points.iter().filter_map(|point| Some((point.duration_s as f64, value(point)?)));
                points.map(|(time, chance)| panel.at(time, chance)).collect()
            };
            picture.dashed(&line(|point| Some(point.pass)), ink, 1.5, 5.0);
            picture.line(line(|point| point.fail), ink, 2.0);
            for value in [|point: &TimePoint| Some(point.pass), |point: &TimePoint| point.fail] {
                let planned = of.points.iter().min_by_key(|point| (point.duration_s - of.stage_s).abs());
                if let Some(chance) = planned.and_then(value) {
                    picture.dot(panel.at(of.stage_s as f64, chance), 3.5, ink);
                }
            }
        }
    }
    panels::rest(&mut picture, gates.len(), "No gate has a closed form.", top);
    picture
}
