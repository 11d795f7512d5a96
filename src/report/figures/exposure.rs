//! Who has been served by the candidate, by when.

use super::axes::{Axis, Panel, Scale, spread_out};
use super::picture::{Anchor, Color, Picture, color};
use crate::report::{FanPoint, Report, WorldRow, labels};

const RIGHT: f64 = 660.0;

pub(super) fn draw(report: &Report) -> Picture {
    let mut picture = Picture::new(
        480.0,
        "Requests served by the candidate",
        "Line: median. Band: the middle 80 % of rollouts. A band that turns flat early is a candidate taken back early.",
    );
    let fans = chosen(report);
    let points = || fans.iter().flat_map(|(world, _)| world.exposure_fan.iter());
    let end = points().map(|point| point.time_s).fold(1.0, f64::max);
    let most = points().map(|point| point.p90).fold(10.0, f64::max);
    let least = points().map(|point| point.p10).filter(|served| *served >= 1.0).fold(most, f64::min);
    let panel = Panel {
        left: 84.0,
        top: 96.0,
        right: RIGHT,
        bottom: 430.0,
        x: Axis::new(Scale::Time, 0.0, end),
        y: Axis::new(Scale::Log, 10f64.powf(least.log10().floor()), most * 1.3),
    };
    panel.draw_axes(&mut picture, "time since the start of the rollout", "requests so far (logarithmic)");
    for (world, ink) in fans.iter().rev() {
        let fan = &world.exposure_fan;
        let low = fan.iter().rev().map(|point| panel.at(point.time_s, point.p10));
        picture.area(fan.iter().map(|point| panel.at(point.time_s, point.p90)).chain(low).collect(), *ink, 0.22);
    }
    for (world, ink) in fans.iter().rev() {
        picture.line(world.exposure_fan.iter().map(|p| panel.at(p.time_s, p.p50)).collect(), *ink, 2.0);
    }
    draw_names(&mut picture, &fans, &panel);
    picture
}

/// The recorded world, the null world and the effect that is rolled back most often.
fn chosen(report: &Report) -> Vec<(&WorldRow, Color)> {
    let of_kind = |kind: &'static str| report.worlds.iter().filter(move |world| world.kind == kind);
    let worst = of_kind("effect").max_by(|a, b| a.rolled_back.share.total_cmp(&b.rolled_back.share));
    [(of_kind("recorded").next(), color::BLUE), (of_kind("null").next(), color::GREEN), (worst, color::VERMILLION)]
        .into_iter()
        .filter_map(|(world, ink)| world.filter(|world| !world.exposure_fan.is_empty()).map(|world| (world, ink)))
        .collect()
}

fn draw_names(picture: &mut Picture, fans: &[(&WorldRow, Color)], panel: &Panel) {
    let mut named: Vec<(&WorldRow, Color, FanPoint)> =
        fans.iter().filter_map(|(world, ink)| world.exposure_fan.last().map(|last| (*world, *ink, *last))).collect();
    named.sort_by(|a, b| b.2.p50.total_cmp(&a.2.p50));
    let ends: Vec<f64> = named.iter().map(|(_, _, last)| panel.py(last.p50)).collect();
    let places = spread_out(&ends, 48.0, panel.top + 4.0, panel.bottom - 30.0);
    for (((world, ink, last), end), place) in named.into_iter().zip(ends).zip(places) {
        picture.line(
            vec![(panel.px(last.time_s), end), (RIGHT + 12.0, place)],
            color::between(color::WHITE, ink, 0.5),
            1.0,
        );
        picture.dot((RIGHT + 16.0, place), 4.0, ink);
        let (x, room) = (RIGHT + 26.0, 884.0 - RIGHT - 26.0);
        picture.text((x, place + 4.0), &labels::world(&world.world), Anchor::Start, color::INK, room);
        let median = format!("in the end {}", labels::count(last.p50));
        picture.text((x, place + 18.0), &median, Anchor::Start, color::SOFT, room);
        let band = format!("({}–{})", labels::count(last.p10), labels::count(last.p90));
        picture.text((x, place + 32.0), &band, Anchor::Start, color::SOFT, room);
    }
}
