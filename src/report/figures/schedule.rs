//! The stages, and how rollouts end in each world.

use super::picture::{Anchor, Color, LABEL, Picture, color, text_width};
use crate::report::{Report, WorldRow, labels};

/// Worlds shown; the tables have all.
const WORLDS: usize = 24;
const LEFT: f64 = 230.0;
const RIGHT: f64 = 884.0;
const STAIRS_TOP: f64 = 76.0;
const STAIRS_BOTTOM: f64 = 196.0;
const BARS_TOP: f64 = 286.0;
const ROW: f64 = 24.0;

pub(super) fn draw(report: &Report) -> Picture {
    let shown = report.worlds.len().min(WORLDS);
    let mut picture = Picture::new(
        BARS_TOP + ROW * shown as f64 + 30.0,
        "Schedule, and how rollouts end",
        "Long blue bars where the candidate is fine, early (light) orange where it is not: that is a schedule to trust.",
    );
    draw_stairs(&mut picture, report);
    draw_legend(&mut picture, report);
    for (row, world) in report.worlds.iter().take(WORLDS).enumerate() {
        draw_world(&mut picture, report, world, BARS_TOP + ROW * row as f64);
    }
    let more = report.worlds.len() - shown;
    if more > 0 {
        let note = format!("and {more} more worlds in the tables");
        picture.text((LEFT, BARS_TOP + ROW * shown as f64 + 16.0), &note, Anchor::Start, color::SOFT, RIGHT - LEFT);
    }
    picture
}

/// Light for the first stage, dark for the last: a late rollback exposed more.
fn stage_color(stage: usize, stages: usize) -> Color {
    let way = if stages > 1 { stage as f64 / (stages - 1) as f64 } else { 0.5 };
    let (light, dark) = ((0xfc, 0xd5, 0x9a), (0x7a, 0x2e, 0x00));
    if way < 0.5 {
        color::between(light, color::VERMILLION, way * 2.0)
    } else {
        color::between(color::VERMILLION, dark, way * 2.0 - 1.0)
    }
}

/// Widths in proportion to durations, none below what its label needs.
fn widths(report: &Report) -> Vec<f64> {
    let room = RIGHT - LEFT;
    let least = (room / report.stages.len().max(1) as f64).min(64.0);
    let total: f64 = report.stages.iter().map(|stage| stage.duration_s as f64).sum::<f64>().max(1.0);
    let raised: Vec<f64> =
        report.stages.iter().map(|stage| (stage.duration_s as f64 / total * room).max(least)).collect();
    let spare: f64 = raised.iter().map(|width| width - least).sum();
    let excess = raised.iter().sum::<f64>() - room;
    raised.into_iter().map(|width| if spare > 0.0 { width - (width - least) * excess / spare } else { width }).collect()
}

fn draw_stairs(picture: &mut Picture, report: &Report) {
    let lowest = report.stages.iter().map(|s| s.exposure).filter(|e| *e > 0.0).fold(1.0, f64::min) / 2.0;
    // Logarithmic: a stage of 1 % must still be seen beside one of 100 %.
    let height = |exposure: f64| {
        let way = (exposure.max(lowest) / lowest).ln() / (1.0 / lowest).ln();
        (STAIRS_BOTTOM - STAIRS_TOP - 34.0) * (0.12 + 0.88 * way)
    };
    let (mut x, mut elapsed, mut free_from) = (LEFT, 0.0, LEFT + 16.0);
    picture.text(
        (LEFT - 12.0, STAIRS_BOTTOM - 34.0),
        "share of units on the candidate",
        Anchor::End,
        color::SOFT,
        210.0,
    );
    picture.text((LEFT - 12.0, STAIRS_BOTTOM - 19.0), "(logarithmic height)", Anchor::End, color::SOFT, 210.0);
    picture.text((LEFT - 12.0, STAIRS_BOTTOM + 15.0), "time since the start", Anchor::End, color::SOFT, 210.0);
    picture.text((LEFT, STAIRS_BOTTOM + 15.0), "0", Anchor::Start, color::SOFT, 20.0);
    // Room for the label at the right end.
    let last = if report.stages.last().is_some_and(|stage| stage.duration_s == 0) { 28.0 } else { 56.0 };
    for (index, (stage, width)) in report.stages.iter().zip(widths(report)).enumerate() {
        let top = STAIRS_BOTTOM - height(stage.exposure);
        picture.rect((x + 1.0, top), (x + width - 1.0, STAIRS_BOTTOM), stage_color(index, report.stages.len()), 1.0);
        let percent = labels::percent(stage.exposure);
        let exposure = match stage.duration_s {
            // The last stage may be the end of the rollout.
            0 => percent.clone(),
            seconds => format!("{percent} · {}", labels::duration(seconds as f64)),
        };
        let name = labels::visible(&stage.name);
        let middle = x + width / 2.0;
        if text_width(&exposure, LABEL) < width - 2.0 {
            picture.text((middle, top - 18.0), &name, Anchor::Middle, color::INK, width - 4.0);
            picture.text((middle, top - 5.0), &exposure, Anchor::Middle, color::SOFT, width - 2.0);
        } else {
            picture.text((middle, top - 5.0), &percent, Anchor::Middle, color::SOFT, width + 2.0);
        }
        x += width;
        elapsed += stage.duration_s as f64;
        let time = labels::duration(elapsed);
        let needs = text_width(&time, LABEL);
        if index + 1 == report.stages.len() {
            let time = if stage.duration_s == 0 { "end".to_owned() } else { time };
            picture.text((x, STAIRS_BOTTOM + 15.0), &time, Anchor::End, color::SOFT, RIGHT - LEFT);
        } else if elapsed > 0.0 && x - needs / 2.0 > free_from && x + needs / 2.0 < RIGHT - last {
            picture.text((x, STAIRS_BOTTOM + 15.0), &time, Anchor::Middle, color::SOFT, RIGHT - LEFT);
            free_from = x + needs / 2.0 + 6.0;
        }
    }
    picture.line(vec![(LEFT, STAIRS_BOTTOM), (RIGHT, STAIRS_BOTTOM)], color::AXIS, 1.0);
}

fn draw_legend(picture: &mut Picture, report: &Report) {
    let y = BARS_TOP - 40.0;
    let stages = report.stages.len();
    let mut entries: Vec<(String, Color)> = report
        .stages
        .iter()
        .enumerate()
        .map(|(index, stage)| (format!("in {}", labels::short(&stage.name, 14)), stage_color(index, stages)))
        .collect();
    if entries.len() > 6 {
        let last = entries.pop();
        entries.truncate(1);
        entries.push(("… later …".to_owned(), stage_color(stages / 2, stages)));
        entries.extend(last);
    }
    picture.text((16.0, y), "World", Anchor::Start, color::INK, 190.0);
    picture.text((LEFT, y), "Share of rollouts:", Anchor::Start, color::INK, 120.0);
    let promoted = [("promoted".to_owned(), color::BLUE), ("stalled".to_owned(), color::AXIS)];
    draw_keys(picture, LEFT + text_width("Share of rollouts:", LABEL) + 12.0, y, &promoted);
    picture.text((LEFT, y + 18.0), "rolled back", Anchor::Start, color::INK, 100.0);
    let x = LEFT + text_width("rolled back", LABEL) + 12.0;
    draw_keys(picture, x, y + 18.0, &entries);
}

/// Coloured squares with their names; gives the place after them.
fn draw_keys(picture: &mut Picture, mut x: f64, y: f64, keys: &[(String, Color)]) -> f64 {
    for (name, color) in keys {
        picture.rect((x, y - 9.0), (x + 11.0, y + 1.0), *color, 1.0);
        picture.text((x + 15.0, y), name, Anchor::Start, color::INK, RIGHT - x - 15.0);
        x += 15.0 + text_width(name, LABEL) + 14.0;
    }
    x
}

fn draw_world(picture: &mut Picture, report: &Report, world: &WorldRow, top: f64) {
    let stages = report.stages.len();
    picture.text((LEFT - 12.0, top + 14.0), &labels::world(&world.world), Anchor::End, color::INK, LEFT - 28.0);
    let mut parts = vec![(world.promoted.share, color::BLUE), (world.stalled.share, color::AXIS)];
    // The last to be caught stands next to what was promoted.
    parts.extend(
        world
            .stages
            .iter()
            .enumerate()
            .rev()
            .map(|(index, stage)| (stage.rolled_back.share, stage_color(index, stages))),
    );
    let mut x = LEFT;
    for (share, fill) in parts {
        let width = (RIGHT - LEFT) * share.clamp(0.0, 1.0);
        picture.rect((x, top), ((x + width).min(RIGHT), top + ROW - 5.0), fill, 1.0);
        let text = labels::percent(share);
        if width > text_width(&text, LABEL) + 6.0 {
            let light = u32::from(fill.0) * 3 + u32::from(fill.1) * 6 + u32::from(fill.2) > 1_300;
            let ink = if light { color::INK } else { color::WHITE };
            picture.text((x + width / 2.0, top + 14.0), &text, Anchor::Middle, ink, width);
        }
        x += width;
    }
}
