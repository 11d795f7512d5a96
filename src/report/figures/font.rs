//! The embedded font, so that a machine without fonts measures and draws the same.

use std::sync::LazyLock;

use ab_glyph::{Font as _, FontRef, PxScale, ScaleFont as _};

/// What a viewer is asked for: the font that a page embeds, then those with its widths.
pub(crate) const FAMILY: &str = "Replay Sans, DejaVu Sans, Verdana, sans-serif";
/// Latin, Greek, Cyrillic and the signs used in labels.
pub(crate) const REGULAR: &[u8] = include_bytes!("../fonts/DejaVuSans.ttf");
/// ASCII and the signs used in titles.
pub(crate) const BOLD: &[u8] = include_bytes!("../fonts/DejaVuSans-Bold.ttf");

static FONTS: LazyLock<[FontRef<'static>; 2]> =
    LazyLock::new(|| [REGULAR, BOLD].map(|bytes| FontRef::try_from_slice(bytes).expect("the embedded font is a font")));

/// Ink of one pixel of a text: x, y, share covered.
pub(super) type Ink = (i32, i32, f32);

fn font(bold: bool) -> &'static FontRef<'static> {
    &FONTS[usize::from(bold)]
}

fn scale(font: &FontRef<'_>, size: f64) -> PxScale {
    let em = font.units_per_em().unwrap_or(2048.0);
    // `ab_glyph` scales by ascent plus descent; `size` is the em, as in SVG.
    PxScale::from(font.height_unscaled() / em * narrow(size))
}

#[expect(clippy::cast_possible_truncation, reason = "pixels of a figure are far below the limits of f32")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// Width of a text at an em of `size`.
pub(super) fn width(text: &str, size: f64, bold: bool) -> f64 {
    let font = font(bold);
    let scaled = font.as_scaled(scale(font, size));
    text.chars().map(|c| f64::from(scaled.h_advance(scaled.glyph_id(c)))).sum()
}

/// The pixels of a text whose baseline starts at (x, y).
#[expect(clippy::cast_possible_truncation, reason = "pixels of a figure are far below the limits of i32")]
pub(super) fn ink(text: &str, size: f64, bold: bool, (x, y): (f64, f64), mut put: impl FnMut(Ink)) {
    let font = font(bold);
    let scale = scale(font, size);
    let scaled = font.as_scaled(scale);
    let mut pen = narrow(x);
    for c in text.chars() {
        let id = scaled.glyph_id(c);
        // Rasterised beside the origin and on quarters of a pixel: far from it, rounding in the rasteriser can smear a
        // glyph across its box.
        let place = (pen * 4.0).round() / 4.0;
        let (across, down) = (place.floor(), narrow(y).round());
        let glyph = id.with_scale_and_position(scale, ab_glyph::point(place - across, 0.0));
        pen += scaled.h_advance(id);
        if let Some(outline) = font.outline_glyph(glyph) {
            let bounds = outline.px_bounds();
            let (left, top) = ((across + bounds.min.x) as i32, (down + bounds.min.y) as i32);
            outline.draw(|dx, dy, covered| {
                put((left + dx.cast_signed(), top + dy.cast_signed(), covered.clamp(0.0, 1.0)));
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glyph_has_the_same_ink_wherever_it_stands() {
        for (bold, bytes) in [(false, REGULAR), (true, BOLD)] {
            assert!(!bytes.is_empty());
            for size in [20.0, 22.0, 24.0, 32.0] {
                for c in ' '..='~' {
                    let inks: Vec<f32> = [0.0, 17.23, 811.5, 1_413.743, 1_399.98]
                        .into_iter()
                        .map(|x| {
                            let mut sum = 0.0;
                            ink(c.encode_utf8(&mut [0; 4]), size, bold, (x, 300.0), |(.., covered)| sum += covered);
                            sum
                        })
                        .collect();
                    for ink in &inks {
                        assert!((ink - inks[0]).abs() <= 0.05 * inks[0] + 1.0, "{c:?} at {size}: {inks:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn characters_without_a_glyph_have_a_width() {
        assert!(width("\u{65e5}", 11.0, false) > 0.0);
    }
}
