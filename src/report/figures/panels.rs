//! Small panels side by side, and the legend above them.

use super::axes::{Axis, Panel};
use super::picture::{Anchor, Color, LABEL, Picture, Point, color, text_width};

/// Panels shown; the table has all.
pub(super) const PANELS: usize = 12;
/// Height of a panel with its title and the names of its axis.
pub(super) const HEIGHT: f64 = 250.0;

/// Where a panel's box begins: two in a row.
pub(super) fn place(index: usize, top: f64) -> Point {
    (if index.is_multiple_of(2) { 56.0 } else { 506.0 }, top + HEIGHT * (index / 2) as f64)
}

/// Height of so many panels below `top`.
pub(super) fn height(count: usize, top: f64) -> f64 {
    top + HEIGHT * count.min(PANELS).div_ceil(2) as f64 + 10.0
}

/// The rectangle of a panel, under its title.
pub(super) fn panel(picture: &mut Picture, title: &str, (left, top): Point, x: Axis, y: Axis) -> Panel {
    picture.text_sized((left, top + 12.0), title, Anchor::Start, color::INK, 372.0, 12.0);
    Panel { left, top: top + 24.0, right: left + 372.0, bottom: top + HEIGHT - 48.0, x, y }
}

/// Names with their colours in at most two lines; gives the place below them.
pub(super) fn legend(picture: &mut Picture, names: &[(String, Color)], top: f64) -> f64 {
    let (mut x, mut y) = (16.0, top);
    for (name, ink) in names {
        let name = super::picture::fit(name, 180.0, LABEL);
        let width = 24.0 + text_width(&name, LABEL) + 16.0;
        if x + width > 884.0 && y < top + 1.0 {
            (x, y) = (16.0, top + 16.0);
        }
        if x + width > 864.0 && y > top + 1.0 {
            picture.text((x, y), "…", Anchor::Start, color::INK, 20.0);
            break;
        }
        picture.line(vec![(x, y - 4.0), (x + 20.0, y - 4.0)], *ink, 3.0);
        picture.text((x + 24.0, y), &name, Anchor::Start, color::INK, 300.0);
        x += width;
    }
    y + 24.0
}

/// What stands where there is nothing to draw, or more than there is room for.
pub(super) fn rest(picture: &mut Picture, all: usize, nothing: &str, top: f64) {
    let more = all.saturating_sub(PANELS);
    if more > 0 {
        let note = format!("and {more} more in the tables");
        let y = picture.height - 4.0;
        picture.text((16.0, y), &note, Anchor::Start, color::SOFT, 868.0);
    }
    if all == 0 {
        picture.text((16.0, top), nothing, Anchor::Start, color::SOFT, 868.0);
    }
}
