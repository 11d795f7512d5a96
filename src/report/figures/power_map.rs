//! Exposure against duration: where a gate can decide.

use super::panels;
use super::picture::{Anchor, Picture, Point, color, fit};
use crate::report::planning::PowerMap;
use crate::report::{Report, labels};

const TOP: f64 = 70.0;
const LEFT: f64 = 44.0;

pub(super) fn draw(report: &Report) -> Picture {
    let maps = &report.planning.maps;
    let mut picture = Picture::new(
        0.0,
        "Exposure and duration",
        "Darker: more likely to decide, from the rollout's start on. Line: the gate's target. Dots: the stages, numbered in their order.",
    );
    picture.height = panels::height(maps.len(), TOP);
    for (index, map) in maps.iter().take(panels::PANELS).enumerate() {
        draw_map(&mut picture, report, map, panels::place(index, TOP));
    }
    panels::rest(&mut picture, maps.len(), "No gate has a closed form.", TOP);
    picture
}

/// Columns are durations, rows are exposures; both are evenly spaced whatever their values.
struct Frame<'a> {
    map: &'a PowerMap,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Frame<'_> {
    fn column(&self, index: f64) -> f64 {
        self.left + self.width * index / self.map.durations_s.len() as f64
    }

    fn row(&self, index: f64) -> f64 {
        self.top + self.height * (1.0 - index / self.map.exposures.len() as f64)
    }

    /// Where a duration lies, between the middles of columns.
    fn x(&self, seconds: f64) -> f64 {
        let known: Vec<f64> = self.map.durations_s.iter().map(|&s| s as f64).collect();
        self.column(between(&known, seconds) + 0.5)
    }

    fn y(&self, exposure: f64) -> f64 {
        self.row(between(&self.map.exposures, exposure) + 0.5)
    }
}

/// The place of a value among ascending ones, on the scale of logarithms; outside, at the ends.
fn between(known: &[f64], value: f64) -> f64 {
    let after = known.partition_point(|&other| other <= value);
    if after == 0 || after == known.len() {
        return after.saturating_sub(1) as f64;
    }
    let (from, to) = (known[after - 1], known[after]);
    (after - 1) as f64 + (value / from).ln() / (to / from).ln()
}

fn draw_map(picture: &mut Picture, report: &Report, map: &PowerMap, (left, top): Point) {
    let side = if map.side == "pass" {
        "pass a candidate as good as stable".to_owned()
    } else {
        format!("fail at {}", map.side)
    };
    let title = format!("{}: {}", labels::short(&map.gate, 26), labels::visible(&side));
    picture.text_sized((left, top + 12.0), &title, Anchor::Start, color::INK, 372.0, 12.0);
    if map.exposures.is_empty() || map.durations_s.is_empty() {
        return;
    }
    let frame = Frame { map, left: left + LEFT - 44.0, top: top + 24.0, width: 372.0, height: panels::HEIGHT - 76.0 };
    for (row, chances) in map.chances.iter().enumerate() {
        for (column, chance) in chances.iter().enumerate() {
            let low = (frame.column(column as f64), frame.row(row as f64 + 1.0));
            let high = (frame.column(column as f64 + 1.0), frame.row(row as f64));
            picture.rect(low, high, color::between(color::WHITE, color::BLUE, chance.clamp(0.0, 1.0) * 0.85), 1.0);
        }
        let text = labels::percent(map.exposures[row]);
        picture.text((frame.left - 6.0, frame.row(row as f64 + 0.5) + 4.0), &text, Anchor::End, color::SOFT, 48.0);
    }
    let step = map.durations_s.len().div_ceil(6);
    for (column, &seconds) in map.durations_s.iter().enumerate().filter(|(column, _)| column % step == step / 2) {
        let place = (frame.column(column as f64 + 0.5), frame.top + frame.height + 15.0);
        picture.text(place, &fit(&labels::duration(seconds as f64), 60.0, 11.0), Anchor::Middle, color::SOFT, 60.0);
    }
    let middle = (frame.left + frame.width / 2.0, frame.top + frame.height + 31.0);
    picture.text(middle, "duration (columns are not to scale)", Anchor::Middle, color::SOFT, 372.0);
    let reached = map.exposures.iter().zip(&map.enough_s);
    let line: Vec<Point> =
        reached.filter_map(|(&exposure, enough)| Some((frame.x((*enough)?), frame.y(exposure)))).collect();
    picture.line(line.clone(), color::VERMILLION, 2.5);
    if let [only] = line.as_slice() {
        picture.dot(*only, 3.0, color::VERMILLION);
    }
    draw_stages(picture, report, &frame);
}

fn draw_stages(picture: &mut Picture, report: &Report, frame: &Frame<'_>) {
    let mut taken: Vec<Point> = Vec::new();
    for (index, stage) in report.stages.iter().enumerate() {
        if stage.exposure <= 0.0 || stage.exposure >= 1.0 || stage.duration_s <= 0 {
            continue;
        }
        let place = (frame.x(stage.duration_s as f64), frame.y(stage.exposure));
        picture.dot(place, 5.5, color::WHITE);
        picture.dot(place, 4.0, color::INK);
        let name = (place.0 + 8.0, place.1 + 4.0);
        let free = taken.iter().all(|other| (other.0 - name.0).abs() > 24.0 || (other.1 - name.1).abs() > 13.0);
        if free && name.0 + 20.0 < frame.left + frame.width {
            taken.push(name);
            picture.text(name, &format!("{}", index + 1), Anchor::Start, color::INK, 20.0);
        }
    }
}
