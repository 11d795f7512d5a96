//! What variants trade against each other.

use super::axes::{Axis, Panel, Scale};
use super::picture::{Anchor, LABEL, Picture, Point, color, text_width};
use super::{Figure, render};
use crate::error::Result;
use crate::report::comparison::{Comparison, Estimate, VariantRow};
use crate::report::labels;

const CAPTION: &str =
    "What variants trade against each other; nothing is better than those on the frontier in every respect.";

/// An axis of a panel: its value with the interval.
type Measure = fn(&VariantRow) -> Estimate;

/// The figure of a comparison.
pub(in crate::report) fn pareto(comparison: &Comparison) -> Result<Figure> {
    let picture = draw(comparison);
    Ok(Figure { name: "pareto", caption: CAPTION, svg: render::svg(&picture, CAPTION)?, png: render::png(&picture)? })
}

fn draw(comparison: &Comparison) -> Picture {
    let mut picture = Picture::new(
        470.0,
        "Variants against each other",
        "Nearer to the lower left corner is better. Numbers are those of the table; lines are 95 % intervals of the simulation.",
    );
    legend(&mut picture);
    let good_stopped: Measure = |row| {
        let share = row.good_stopped;
        Estimate { mean: share.share, low: share.low, high: share.high }
    };
    let sides: [(f64, Side, Side); 2] = [
        (
            70.0,
            Side { name: "good candidate stopped", scale: Scale::Percent, measure: good_stopped },
            Side { name: "bad candidate promoted", scale: Scale::Percent, measure: |row| row.missed },
        ),
        (
            530.0,
            Side {
                name: "time until a bad candidate is found",
                scale: Scale::Time,
                measure: |row| row.time_to_detect_s,
            },
            Side { name: "requests it serves", scale: Scale::Number, measure: |row| row.exposed_requests },
        ),
    ];
    for (left, x, y) in sides {
        let panel = Panel {
            left,
            top: 110.0,
            right: left + 350.0,
            bottom: 415.0,
            x: x.axis(&comparison.variants),
            y: y.axis(&comparison.variants),
        };
        panel.draw_axes(&mut picture, x.name, y.name);
        points(&mut picture, comparison, &panel, x.measure, y.measure);
    }
    picture
}

/// One side of a panel.
struct Side {
    name: &'static str,
    scale: Scale,
    measure: Measure,
}

impl Side {
    /// Around what the variants have: differences count here, not the distance from nothing.
    fn axis(&self, variants: &[VariantRow]) -> Axis {
        let ends = |end: fn(Estimate) -> f64| variants.iter().map(move |row| end((self.measure)(row)));
        let low = ends(|estimate| estimate.low).fold(f64::INFINITY, f64::min).max(0.0);
        let high = ends(|estimate| estimate.high).fold(0.0, f64::max);
        let room = ((high - low) * 0.06).max(high * 0.01).max(1e-6);
        let (low, high) = if low.is_finite() { (low, high) } else { (0.0, 1.0) };
        let most = if self.scale == Scale::Percent { (high + room).min(1.0) } else { high + room };
        Axis::new(self.scale, (low - room).max(0.0), most)
    }
}

fn legend(picture: &mut Picture) {
    let entries = [("frontier", color::BLUE), ("dominated", color::AXIS), ("variant 1", color::VERMILLION)];
    let mut x = 76.0;
    for (name, ink) in entries {
        picture.dot((x, 70.0), 4.0, ink);
        picture.text((x + 9.0, 74.0), name, Anchor::Start, color::SOFT, 120.0);
        x += 9.0 + text_width(name, LABEL) + 24.0;
    }
}

fn points(picture: &mut Picture, comparison: &Comparison, panel: &Panel, x: Measure, y: Measure) {
    let shown = || comparison.variants.iter().filter(|row| row.same_as.is_none());
    let place = |row: &VariantRow| panel.at(x(row).mean, y(row).mean);
    for row in shown().filter(|row| !row.frontier) {
        picture.dot(place(row), 2.6, color::AXIS);
    }
    let light = color::between(color::WHITE, color::BLUE, 0.35);
    for row in shown().filter(|row| row.frontier) {
        let (across, up) = (x(row), y(row));
        picture.line(vec![panel.at(across.low, up.mean), panel.at(across.high, up.mean)], light, 1.0);
        picture.line(vec![panel.at(across.mean, up.low), panel.at(across.mean, up.high)], light, 1.0);
    }
    for row in shown().filter(|row| row.frontier) {
        picture.dot(place(row), 4.0, color::BLUE);
    }
    if let Some(first) = comparison.variants.first() {
        picture.dot(place(first), 4.0, color::VERMILLION);
    }
    let mut taken: Vec<(Point, Point)> = Vec::new();
    for row in shown().filter(|row| row.frontier || row.number == 1) {
        let text = labels::whole(row.number as u64);
        let (at, width) = (place(row), text_width(&text, LABEL));
        // Right of the dot, left of it, above or below; without room, the table tells.
        let corners = [(7.0, 4.0), (-7.0 - width, 4.0), (-width / 2.0, -8.0), (-width / 2.0, 16.0)];
        let boxes = corners.map(|(dx, dy)| ((at.0 + dx, at.1 + dy - 10.0), (at.0 + dx + width, at.1 + dy + 2.0)));
        let free = |(low, high): &(Point, Point)| {
            let inside =
                low.0 > panel.left && high.0 < panel.right + 20.0 && low.1 > panel.top && high.1 < panel.bottom;
            let clear = |(a, b): &(Point, Point)| high.0 < a.0 || b.0 < low.0 || high.1 < a.1 || b.1 < low.1;
            inside && taken.iter().all(clear)
        };
        if let Some(found) = boxes.into_iter().find(free) {
            picture.text((found.0.0, found.1.1 - 2.0), &text, Anchor::Start, color::INK, 60.0);
            taken.push(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::picture::Shape;
    use super::*;
    use crate::report::comparison::sample;

    #[test]
    fn every_distinct_variant_has_a_dot_in_both_panels() {
        let comparison = sample();
        let dots = draw(&comparison).shapes.iter().filter(|shape| matches!(shape, Shape::Dot { .. })).count();
        let distinct = comparison.variants.iter().filter(|row| row.same_as.is_none()).count();
        // The legend has three, and the first variant is drawn over its own dot.
        assert_eq!(dots, 3 + 2 * (distinct + 1));
    }

    #[test]
    fn nothing_leaves_the_picture() {
        draw(&sample()).assert_inside();
    }
}
