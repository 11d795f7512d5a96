//! What strategies expose, and what they need.

use super::axes::{Axis, Panel, Scale};
use super::picture::{Anchor, LABEL, Picture, color, text_width};
use super::{Figure, render};
use crate::error::Result;
use crate::report::comparison::Estimate;
use crate::report::strategies::{Strategies, StrategyRow};

const CAPTION: &str = "Strategies on the same traffic: what a bad candidate serves, and the replicas that it takes.";

/// Height of a strategy.
const ROW: f64 = 44.0;
const TOP: f64 = 100.0;

/// The figure of strategies.
pub(in crate::report) fn strategies(strategies: &Strategies) -> Result<Figure> {
    let picture = draw(strategies);
    Ok(Figure {
        name: "strategies",
        caption: CAPTION,
        svg: render::svg(&picture, CAPTION)?,
        png: render::png(&picture)?,
    })
}

fn draw(strategies: &Strategies) -> Picture {
    let rows = &strategies.strategies;
    let bottom = TOP + ROW * rows.len() as f64;
    let mut picture = Picture::new(
        bottom + 50.0,
        "Strategies side by side",
        "One row each. Dots are means of the simulation; lines are their 95 % intervals.",
    );
    let entries = [("one bad world", color::AXIS), ("mean over bad worlds", color::BLUE)];
    let mut x = 170.0;
    for (name, ink) in entries {
        picture.dot((x, 70.0), 4.0, ink);
        picture.text((x + 9.0, 74.0), name, Anchor::Start, color::SOFT, 160.0);
        x += 9.0 + text_width(name, LABEL) + 24.0;
    }
    let most = |values: &dyn Fn(&StrategyRow) -> f64| rows.iter().map(values).fold(0.0, f64::max);
    let served = |row: &StrategyRow| {
        row.worlds.iter().filter(|world| world.bad).map(|world| world.harmed_requests.high).fold(1.0, f64::max)
    };
    let panel = |left: f64, right: f64, axis: Axis| Panel {
        left,
        top: TOP,
        right,
        bottom,
        x: axis,
        y: Axis::new(Scale::Number, 0.0, 1.0),
    };
    let requests = panel(160.0, 600.0, Axis::new(Scale::Log, 1.0, most(&served) * 1.3));
    let hours = panel(640.0, 880.0, Axis::new(Scale::Number, 0.0, most(&|row| row.replica_hours.high).max(1.0) * 1.06));
    // A logarithm has no place for none.
    requests.draw_x(&mut picture, "requests served by a bad candidate since its onset; fewer than 1 at 1");
    hours.draw_x(&mut picture, "extra replica-hours");
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + ROW * (index as f64 + 0.5);
        picture.text((150.0, y + 4.0), &row.name, Anchor::End, color::INK, 140.0);
        for world in row.worlds.iter().filter(|world| world.bad) {
            picture.dot((requests.px(world.harmed_requests.mean), y), 2.6, color::AXIS);
        }
        for (panel, estimate) in [(&requests, row.harmed_requests), (&hours, row.replica_hours)] {
            let Estimate { mean, low, high } = estimate;
            picture.line(vec![(panel.px(low), y), (panel.px(high), y)], color::BLUE, 1.0);
            picture.dot((panel.px(mean), y), 4.0, color::BLUE);
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::super::picture::Shape;
    use super::*;
    use crate::report::strategies::sample;

    #[test]
    fn every_strategy_has_its_dots_inside_the_picture() {
        let strategies = sample();
        let picture = draw(&strategies);
        picture.assert_inside();
        let dots = picture.shapes.iter().filter(|shape| matches!(shape, Shape::Dot { .. })).count();
        // The legend has two; each strategy one per bad world and two means.
        assert_eq!(dots, 2 + 2 * (1 + 2));
    }
}
