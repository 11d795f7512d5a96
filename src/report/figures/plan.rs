//! Candidates of a plan: time against what is missed, and against what is exposed, with the limits as lines.

use super::axes::{Axis, Panel, Scale};
use super::picture::{Anchor, LABEL, Picture, color, text_width};
use super::{Figure, render};
use crate::error::Result;
use crate::report::plan::{CandidateRow, Plan};

const CAPTION: &str = "Candidates of the search: time to 100 % against the worst miss and the worst exposure.";

/// The figure of a plan.
pub(in crate::report) fn plan(plan: &Plan) -> Result<Figure> {
    let picture = draw(plan);
    Ok(Figure { name: "plan", caption: CAPTION, svg: render::svg(&picture, CAPTION)?, png: render::png(&picture)? })
}

/// The vertical side of a panel.
struct Side {
    name: &'static str,
    /// The limit that is drawn as a line.
    of: &'static str,
    scale: Scale,
    measure: fn(&CandidateRow) -> Option<f64>,
}

fn draw(plan: &Plan) -> Picture {
    let mut picture = Picture::new(
        470.0,
        "Candidates against the limits",
        "Dashed lines are limits: what is wanted lies to the left and below. Few replicates make early candidates look better or worse.",
    );
    legend(&mut picture, plan.feasible);
    let sides = [
        Side {
            name: "worst effect promoted to the end",
            of: "miss",
            scale: Scale::Percent,
            measure: |row| row.worst_miss,
        },
        Side {
            name: "requests that the worst effect serves",
            of: "exposed_requests",
            scale: Scale::Log,
            measure: |row| row.worst_exposed_requests,
        },
    ];
    let bound = |of: &str| plan.limits.iter().find(|limit| limit.of == of).map(|limit| limit.bound);
    let days: Vec<f64> =
        plan.candidates.iter().map(|row| row.days * 86_400.0).filter(|days| days.is_finite()).collect();
    let days_bound = bound("days").map(|days| days * 86_400.0);
    let longest = days.iter().copied().fold(0.0, f64::max);
    // A limit far beyond everything tried would leave the dots no room.
    let far = days_bound.filter(|bound| *bound < 2.0 * longest).unwrap_or(0.0);
    let x = Axis::new(Scale::Time, 0.0, longest.max(far) * 1.05);
    for (left, side) in [70.0, 530.0].into_iter().zip(sides) {
        let values: Vec<f64> = plan.candidates.iter().filter_map(side.measure).collect();
        let limit = bound(side.of);
        let largest = values.iter().copied().fold(limit.unwrap_or(0.0), f64::max);
        let smallest = values.iter().copied().fold(limit.unwrap_or(f64::INFINITY), f64::min);
        let y = match side.scale {
            Scale::Percent => Axis::new(Scale::Percent, 0.0, (largest * 1.05).clamp(0.01, 1.0)),
            scale => {
                Axis::new(scale, if smallest.is_finite() { (smallest * 0.8).max(1.0) } else { 1.0 }, largest * 1.3)
            }
        };
        let panel = Panel { left, top: 110.0, right: left + 350.0, bottom: 415.0, x, y };
        panel.draw_axes(&mut picture, "time to 100 %", side.name);
        if let Some(limit) = limit {
            picture.dashed(&[panel.at(x.from, limit), panel.at(x.to, limit)], color::INK, 1.0, 5.0);
        }
        if let Some(limit) = days_bound.filter(|limit| *limit <= x.to) {
            picture.dashed(&[panel.at(limit, y.from), panel.at(limit, y.to)], color::INK, 1.0, 5.0);
        }
        let mut dots = |kept: bool, radius: f64, ink| {
            for row in plan.candidates.iter().filter(|row| row.kept == kept && row.days.is_finite()) {
                if let Some(value) = (side.measure)(row) {
                    picture.dot(panel.at(row.days * 86_400.0, value), radius, ink);
                }
            }
        };
        dots(false, 2.4, color::between(color::WHITE, color::AXIS, 0.7));
        dots(true, 3.4, color::BLUE);
        for (row, ink) in
            plan.own.iter().map(|own| (own, color::ORANGE)).chain([(&plan.chosen.candidate, color::VERMILLION)])
        {
            if let Some(value) = (side.measure)(row).filter(|_| row.days.is_finite()) {
                picture.dot(panel.at(row.days * 86_400.0, value), 5.5, ink);
            }
        }
    }
    picture
}

fn legend(picture: &mut Picture, feasible: bool) {
    let chosen = if feasible { "the plan" } else { "nearest to the limits" };
    let entries = [
        ("misses a limit", color::AXIS),
        ("keeps all limits", color::BLUE),
        ("as written", color::ORANGE),
        (chosen, color::VERMILLION),
    ];
    let mut x = 76.0;
    for (name, ink) in entries {
        picture.dot((x, 70.0), 4.0, ink);
        picture.text((x + 9.0, 74.0), name, Anchor::Start, color::SOFT, 160.0);
        x += 9.0 + text_width(name, LABEL) + 24.0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::picture::Shape;
    use super::*;
    use crate::report::plan::sample;

    fn dots(plan: &Plan) -> usize {
        draw(plan).shapes.iter().filter(|shape| matches!(shape, Shape::Dot { .. })).count()
    }

    #[test]
    fn every_candidate_has_a_dot_in_both_panels() {
        let mut plan = sample();
        // The legend has four; the schedule as written and the plan are drawn over their own dots.
        assert_eq!(dots(&plan), 4 + 2 * (plan.candidates.len() + 2));
        plan.candidates[2].worst_miss = None;
        assert_eq!(dots(&plan), 4 + 2 * (plan.candidates.len() + 2) - 1);
    }

    #[test]
    fn nothing_leaves_the_picture() {
        draw(&sample()).assert_inside();
    }
}
