//! A figure as a list of shapes in a fixed order, before any file format.

use super::font;
use crate::report::labels;

/// Red, green, blue.
pub(super) type Color = (u8, u8, u8);

/// The palette of M. Okabe and K. Ito (2008), told apart with any colour vision.
pub(super) mod color {
    use super::Color;

    pub(in super::super) const INK: Color = (0x22, 0x22, 0x22);
    pub(in super::super) const SOFT: Color = (0x66, 0x66, 0x66);
    pub(in super::super) const GRID: Color = (0xe3, 0xe3, 0xe3);
    pub(in super::super) const AXIS: Color = (0x99, 0x99, 0x99);
    pub(in super::super) const WHITE: Color = (0xff, 0xff, 0xff);
    pub(in super::super) const BLUE: Color = (0x00, 0x72, 0xb2);
    pub(in super::super) const SKY: Color = (0x56, 0xb4, 0xe9);
    pub(in super::super) const GREEN: Color = (0x00, 0x9e, 0x73);
    pub(in super::super) const ORANGE: Color = (0xe6, 0x9f, 0x00);
    pub(in super::super) const VERMILLION: Color = (0xd5, 0x5e, 0x00);
    pub(in super::super) const PURPLE: Color = (0xcc, 0x79, 0xa7);

    /// Seven colours, then again.
    pub(in super::super) fn nth(index: usize) -> Color {
        [BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, INK][index % 7]
    }

    /// A point on the way from one colour to another.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
    pub(in super::super) fn between(from: Color, to: Color, way: f64) -> Color {
        let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * way).round() as u8;
        (mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
    }
}

/// A place in pixels of a 900-pixel-wide figure; y grows downwards.
pub(super) type Point = (f64, f64);

/// Which end of a text stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// One thing to draw.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Line { points: Vec<Point>, color: Color, width: f64 },
    Area { points: Vec<Point>, color: Color, opacity: f64 },
    Dot { center: Point, radius: f64, color: Color },
    Text { text: String, baseline: Point, anchor: Anchor, size: f64, bold: bool, color: Color },
}

/// A figure: later shapes cover earlier ones.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Picture {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) shapes: Vec<Shape>,
}

/// Size of labels.
pub(super) const LABEL: f64 = 11.0;

impl Picture {
    /// An empty picture with its title and, below it, what to see.
    pub(super) fn new(height: f64, title: &str, what_to_see: &str) -> Self {
        let mut picture = Self { width: 900.0, height, shapes: Vec::new() };
        picture.shapes.push(Shape::Text {
            text: title.to_owned(),
            baseline: (16.0, 26.0),
            anchor: Anchor::Start,
            size: 16.0,
            bold: true,
            color: color::INK,
        });
        picture.text((16.0, 44.0), what_to_see, Anchor::Start, color::SOFT, 868.0);
        picture
    }

    /// A label, elided where it is wider than `room`.
    pub(super) fn text(&mut self, baseline: Point, text: &str, anchor: Anchor, color: Color, room: f64) {
        self.text_sized(baseline, text, anchor, color, room, LABEL);
    }

    /// A label of another size.
    pub(super) fn text_sized(
        &mut self,
        baseline: Point,
        text: &str,
        anchor: Anchor,
        color: Color,
        room: f64,
        size: f64,
    ) {
        let text = fit(text, room, size);
        if !text.is_empty() {
            self.shapes.push(Shape::Text { text, baseline, anchor, size, bold: false, color });
        }
    }

    pub(super) fn line(&mut self, points: Vec<Point>, color: Color, width: f64) {
        if points.len() > 1 {
            self.shapes.push(Shape::Line { points, color, width });
        }
    }

    /// A line of dashes, each `dash` long.
    pub(super) fn dashed(&mut self, points: &[Point], color: Color, width: f64, dash: f64) {
        for piece in dashes(points, dash) {
            self.line(piece, color, width);
        }
    }

    pub(super) fn area(&mut self, points: Vec<Point>, color: Color, opacity: f64) {
        if points.len() > 2 {
            self.shapes.push(Shape::Area { points, color, opacity });
        }
    }

    pub(super) fn rect(&mut self, (x0, y0): Point, (x1, y1): Point, color: Color, opacity: f64) {
        if x1 > x0 && y1 > y0 {
            self.area(vec![(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, opacity);
        }
    }

    /// Checks that no point lies outside.
    #[cfg(test)]
    pub(super) fn assert_inside(&self) {
        for shape in &self.shapes {
            let points: Vec<Point> = match shape {
                Shape::Line { points, .. } | Shape::Area { points, .. } => points.clone(),
                Shape::Dot { center, .. } => vec![*center],
                Shape::Text { baseline, .. } => vec![*baseline],
            };
            let inside = |p: &Point| (0.0..=self.width).contains(&p.0) && (0.0..=self.height).contains(&p.1);
            assert!(points.iter().all(inside), "{shape:?}");
        }
    }

    pub(super) fn dot(&mut self, center: Point, radius: f64, color: Color) {
        self.shapes.push(Shape::Dot { center, radius, color });
    }
}

/// Width of a label.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    font::width(text, size, false)
}

/// The text on one line, elided to `room` pixels; nothing where not even a letter fits.
pub(super) fn fit(text: &str, room: f64, size: f64) -> String {
    let text = labels::visible(text);
    if text_width(&text, size) <= room {
        return text;
    }
    let dots = text_width("…", size);
    let (mut kept, mut used) = (String::new(), dots);
    for c in text.chars() {
        used += text_width(c.encode_utf8(&mut [0; 4]), size);
        if used > room {
            break;
        }
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    if kept.is_empty() { kept } else { kept + "…" }
}

fn dashes(points: &[Point], dash: f64) -> Vec<Vec<Point>> {
    let (mut pieces, mut piece, mut left, mut on) = (Vec::new(), Vec::new(), dash, true);
    for pair in points.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        loop {
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            if on && piece.is_empty() {
                piece.push(from);
            }
            if length <= left {
                left -= length;
                if on {
                    piece.push(to);
                }
                break;
            }
            let way = left / length;
            from = (from.0 + (to.0 - from.0) * way, from.1 + (to.1 - from.1) * way);
            if on {
                piece.push(from);
                pieces.push(std::mem::take(&mut piece));
            }
            on = !on;
            left = dash;
        }
    }
    if piece.len() > 1 {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_elided_to_their_room() {
        let long = "x".repeat(200);
        let text = fit(&long, 100.0, LABEL);
        assert!(text.ends_with('…') && text_width(&text, LABEL) <= 100.0);
        assert_eq!(fit("short", 100.0, LABEL), "short");
        assert_eq!(fit("short", 1.0, LABEL), "");
    }

    #[test]
    fn dashes_cover_half_of_a_line() {
        let pieces = dashes(&[(0.0, 0.0), (10.0, 0.0), (20.0, 0.0)], 4.0);
        assert_eq!(
            pieces,
            vec![
                vec![(0.0, 0.0), (4.0, 0.0)],
                vec![(8.0, 0.0), (10.0, 0.0), (12.0, 0.0)],
                vec![(16.0, 0.0), (20.0, 0.0)]
            ]
        );
    }
}
