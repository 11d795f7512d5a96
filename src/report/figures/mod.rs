//! Figures: each is a pure function from the report to a picture; one function renders all.

mod font;

mod picture;

mod axes;

mod render;

mod schedule;

mod detection;

mod power;

mod panels;

mod power_time;

mod power_map;

mod mde;

mod sizes;

mod exposure;

mod gates;

mod pareto;

mod plan;

mod strategies;

use rayon::prelude::*;

use super::Report;
use crate::error::Result;
use picture::Picture;

pub(super) use font::{BOLD, REGULAR};
pub(super) use pareto::pareto;
pub(super) use plan::plan;
pub(super) use strategies::strategies;

/// A rendered figure.
pub(super) struct Figure {
    /// File name without extension; never from user text.
    pub(super) name: &'static str,
    /// What it shows, in one sentence.
    pub(super) caption: &'static str,
    /// Standalone SVG, escaped.
    pub(super) svg: String,
    /// The same as PNG.
    pub(super) png: Vec<u8>,
}

type Draw = fn(&Report) -> Picture;

const FIGURES: [(&str, &str, Draw); 10] = [
    ("schedule", "Stages of the schedule, and how rollouts end in each world.", schedule::draw),
    (
        "detection",
        "Share of rollouts rolled back for harm against time; those never rolled back stay in the denominator.",
        detection::draw,
    ),
    ("power", "Chance to fail and to pass against the true regression, per gate and stage.", power::draw),
    ("power_time", "Chance to fail and to pass against the duration of a stage, in closed form.", power_time::draw),
    (
        "power_map",
        "Chance to decide against exposure and duration, with the gate's target and the planned stages.",
        power_map::draw,
    ),
    (
        "mde",
        "The smallest regression that each gate sees, per slice and stage, as a multiple of what it accepts.",
        mde::draw,
    ),
    (
        "detection_by_size",
        "Share of rollouts rolled back for harm against time, for each size of an effect.",
        sizes::draw_detection,
    ),
    (
        "exposure_by_size",
        "Requests served by the candidate before the rollout ends, against the size of an effect.",
        sizes::draw_exposure,
    ),
    ("exposure", "Requests served by the candidate against time.", exposure::draw),
    ("gates", "Error rates of each gate on this traffic against alpha.", gates::draw),
];

/// All figures in the order of the page.
pub(super) fn render(report: &Report) -> Result<Vec<Figure>> {
    FIGURES
        .into_par_iter()
        // Neighbours are alike: those that take longest should not be one thread's.
        .with_max_len(1)
        .map(|(name, caption, draw)| {
            let picture = draw(report);
            Ok(Figure { name, caption, svg: render::svg(&picture, caption)?, png: render::png(&picture)? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::picture::{Anchor, Shape, text_width};
    use super::*;
    use crate::report::sample;

    /// Left, top, right, bottom of a text.
    fn extent(shape: &Shape) -> Option<(f64, f64, f64, f64)> {
        let Shape::Text { text, baseline, anchor, size, bold, .. } = shape else { return None };
        let width = if *bold { font::width(text, *size, true) } else { text_width(text, *size) };
        let left = match anchor {
            Anchor::Start => baseline.0,
            Anchor::Middle => baseline.0 - width / 2.0,
            Anchor::End => baseline.0 - width,
        };
        Some((left, baseline.1 - size * 0.75, left + width, baseline.1 + size * 0.1))
    }

    fn check_layout(report: &Report, what: &str) {
        for (name, _, draw) in FIGURES {
            let picture = draw(report);
            let texts: Vec<_> = picture.shapes.iter().filter_map(|s| extent(s).map(|e| (s, e))).collect();
            for (index, (shape, a)) in texts.iter().enumerate() {
                assert!(
                    a.0 >= 0.0 && a.1 >= 0.0 && a.2 <= picture.width && a.3 <= picture.height,
                    "{what}, {name}: outside the figure: {shape:?}"
                );
                for (other, b) in &texts[..index] {
                    let apart = a.2 <= b.0 || b.2 <= a.0 || a.3 <= b.1 || b.3 <= a.1;
                    assert!(apart, "{what}, {name}: {shape:?} overlaps {other:?}");
                }
            }
        }
    }

    #[test]
    fn labels_stay_inside_and_apart() {
        check_layout(&sample(), "realistic");
        check_layout(&sample::hostile(), "hostile");
        check_layout(&sample::crowded(), "crowded");
        check_layout(&sample::empty(), "empty");
    }

    #[test]
    fn every_number_of_a_picture_is_finite() {
        for report in [sample(), sample::hostile(), sample::crowded(), sample::empty()] {
            for (name, _, draw) in FIGURES {
                for shape in draw(&report).shapes {
                    let finite = match &shape {
                        Shape::Line { points, .. } | Shape::Area { points, .. } => {
                            points.iter().all(|p| p.0.is_finite() && p.1.is_finite())
                        }
                        Shape::Dot { center: p, .. } | Shape::Text { baseline: p, .. } => {
                            p.0.is_finite() && p.1.is_finite()
                        }
                    };
                    assert!(finite, "{name}: {shape:?}");
                }
            }
        }
    }

    #[test]
    fn figures_are_escaped_and_the_same_twice() {
        let hostile = sample::hostile();
        let (first, second) = (render(&hostile).expect("renders"), render(&hostile).expect("renders"));
        for (a, b) in first.iter().zip(&second) {
            assert!(a.svg == b.svg && a.png == b.png, "{} differs", a.name);
            assert!(!a.svg.contains("<script") && !a.svg.contains('\u{202e}'), "{}", a.name);
            assert!(a.png.starts_with(b"\x89PNG") && a.png.len() > 5_000, "{}", a.name);
            assert!(a.svg.matches("<text").count() > 5, "{}", a.name);
            assert!(a.svg.contains("role=\"img\""), "{}", a.name);
        }
    }
}
