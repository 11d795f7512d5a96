//! A picture → SVG text or PNG bytes, through plotters' backends.

use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::{
    BitMapBackend, Circle, DrawingArea, DrawingBackend, IntoDrawingArea as _, IntoFont as _, PathElement, Polygon,
    Rectangle, SVGBackend,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontFamily, FontStyle, RGBColor, ShapeStyle, TextStyle};

use super::font;
use super::picture::{Anchor, Color, Picture, Point, Shape, color};
use crate::error::{Error, Result};

/// Backends place shapes on whole pixels: both files are drawn on a grid this much finer.
const FINE: f64 = 4.0;
/// PNG pixels per pixel of the figure.
const DENSE: u32 = 2;
/// Finer pixels on a side of one of the PNG's.
const BLOCK: usize = FINE as usize / DENSE as usize;

/// What a backend may fail with.
type Drawn<DB> = std::result::Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

fn paint(color: Color, opacity: f64) -> ShapeStyle {
    RGBColor(color.0, color.1, color.2).mix(opacity).filled()
}

#[expect(clippy::cast_possible_truncation, reason = "pixels of a figure are far below the limits of i32")]
fn pixel((x, y): Point) -> (i32, i32) {
    ((x * FINE).round() as i32, (y * FINE).round() as i32)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes are positive and small")]
fn size(value: f64) -> u32 {
    value.round().max(1.0) as u32
}

/// The figure as a standalone SVG; `alt` says what it shows to those who cannot see it.
pub(super) fn svg(picture: &Picture, alt: &str) -> Result<String> {
    let mut text = String::new();
    let (width, height) = (size(picture.width * FINE), size(picture.height * FINE));
    let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
    draw_svg(&area, picture).map_err(|e| Error::at("figures", format!("cannot draw: {e}")))?;
    drop(area);
    // plotters states the size of the fine grid; the reader's pixels are coarser.
    let fine = format!("<svg width=\"{width}\" height=\"{height}\"");
    let coarse = format!(
        "<svg role=\"img\" aria-label=\"{}\" width=\"{}\" height=\"{}\"",
        escape(alt),
        size(picture.width),
        size(picture.height)
    );
    Ok(text.replacen(&fine, &coarse, 1))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn draw_svg<DB: DrawingBackend>(area: &DrawingArea<DB, Shift>, picture: &Picture) -> Drawn<DB> {
    area.fill(&RGBColor(255, 255, 255))?;
    for shape in &picture.shapes {
        match shape {
            Shape::Line { points, color, width } => {
                let points: Vec<_> = points.iter().copied().map(pixel).collect();
                area.draw(&PathElement::new(points, paint(*color, 1.0).stroke_width(size(width * FINE))))?;
            }
            Shape::Text { text, baseline, anchor, size, bold, color } => {
                let style = if *bold { FontStyle::Bold } else { FontStyle::Normal };
                let horizontal = match anchor {
                    Anchor::Start => HPos::Left,
                    Anchor::Middle => HPos::Center,
                    Anchor::End => HPos::Right,
                };
                // plotters writes size / 1.24 as the em, and puts the baseline 0.76 em below a top anchor.
                let font = (FontFamily::Name(font::FAMILY), size * FINE * 1.24, style).into_font();
                let ink = RGBColor(color.0, color.1, color.2);
                let style = TextStyle::from(font).color(&ink).pos(Pos::new(horizontal, VPos::Top));
                area.draw_text(text, &style, pixel((baseline.0, baseline.1 - size * 0.76)))?;
            }
            Shape::Area { .. } | Shape::Dot { .. } => draw_solid(area, shape)?,
        }
    }
    area.present()
}

/// Shapes that every backend draws well.
fn draw_solid<DB: DrawingBackend>(area: &DrawingArea<DB, Shift>, shape: &Shape) -> Drawn<DB> {
    match shape {
        Shape::Area { points, color, opacity } => {
            let points: Vec<_> = points.iter().copied().map(pixel).collect();
            area.draw(&Polygon::new(points, paint(*color, *opacity)))
        }
        Shape::Dot { center, radius, color } => {
            area.draw(&Circle::new(pixel(*center), size(radius * FINE), paint(*color, 1.0)))
        }
        Shape::Line { .. } | Shape::Text { .. } => Ok(()),
    }
}

/// The figure as PNG, at twice the pixels.
pub(super) fn png(picture: &Picture) -> Result<Vec<u8>> {
    let (width, height) = (size(picture.width * FINE), size(picture.height * FINE));
    let mut fine = vec![0xff; width as usize * height as usize * 3];
    let area = BitMapBackend::with_buffer(&mut fine, (width, height)).into_drawing_area();
    draw_shapes(&area, picture).map_err(|e| Error::at("figures", format!("cannot draw: {e}")))?;
    drop(area);
    let mut image = Image::averaged(&fine, width as usize);
    for shape in &picture.shapes {
        if let Shape::Text { .. } = shape {
            image.write(shape);
        }
    }
    image.encode().map_err(|e| Error::at("figures", format!("cannot encode: {e}")))
}

fn draw_shapes<DB: DrawingBackend>(area: &DrawingArea<DB, Shift>, picture: &Picture) -> Drawn<DB> {
    for shape in &picture.shapes {
        if let Shape::Line { points, color, width } = shape {
            for pair in points.windows(2) {
                draw_segment(area, pair[0], pair[1], *color, width / 2.0)?;
            }
        } else {
            draw_solid(area, shape)?;
        }
    }
    area.present()
}

/// A segment with square ends, so that segments of a line join without gaps; the bitmap backend's own thick paths
/// leave notches at sharp turns.
fn draw_segment<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    from: Point,
    to: Point,
    color: Color,
    half: f64,
) -> Drawn<DB> {
    let length = (to.0 - from.0).hypot(to.1 - from.1);
    if length == 0.0 {
        return Ok(());
    }
    let (dx, dy) = ((to.0 - from.0) / length * half, (to.1 - from.1) / length * half);
    let corners = [
        (from.0 - dx + dy, from.1 - dy - dx),
        (to.0 + dx + dy, to.1 + dy - dx),
        (to.0 + dx - dy, to.1 + dy + dx),
        (from.0 - dx - dy, from.1 - dy + dx),
    ];
    if dx == 0.0 || dy == 0.0 {
        let (low, high) = corners.iter().fold((corners[0], corners[0]), |(low, high), corner| {
            ((low.0.min(corner.0), low.1.min(corner.1)), (high.0.max(corner.0), high.1.max(corner.1)))
        });
        return area.draw(&Rectangle::new([pixel(low), pixel(high)], paint(color, 1.0)));
    }
    area.draw(&Polygon::new(corners.map(pixel).to_vec(), paint(color, 1.0)))
}

/// RGB pixels at the density of the file.
struct Image {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

impl Image {
    /// Each pixel is the average of [`BLOCK`] × [`BLOCK`] finer ones: smooth edges.
    fn averaged(fine: &[u8], fine_width: usize) -> Self {
        const AREA: u16 = (BLOCK * BLOCK) as u16;
        let (width, height) = (fine_width / BLOCK, fine.len() / 3 / fine_width / BLOCK);
        let mut bytes = Vec::with_capacity(width * height * 3);
        let mut sums = vec![0_u16; fine_width * 3];
        for rows in fine.chunks_exact(fine_width * 3 * BLOCK) {
            // Down the columns first: many at a time.
            sums.fill(0);
            for row in rows.chunks_exact(fine_width * 3) {
                sums.iter_mut().zip(row).for_each(|(sum, &channel)| *sum += u16::from(channel));
            }
            for block in sums.chunks_exact(3 * BLOCK) {
                let mut pixel = [0_u16; 3];
                for fine in block.chunks_exact(3) {
                    pixel.iter_mut().zip(fine).for_each(|(sum, channel)| *sum += channel);
                }
                bytes.extend(pixel.map(|sum| ((sum + AREA / 2) / AREA) as u8));
            }
        }
        Self { width, height, bytes }
    }

    fn write(&mut self, shape: &Shape) {
        let Shape::Text { text, baseline, anchor, size, bold, color } = shape else { return };
        let dense = f64::from(DENSE);
        let width = font::width(text, *size, *bold);
        let left = match anchor {
            Anchor::Start => baseline.0,
            Anchor::Middle => baseline.0 - width / 2.0,
            Anchor::End => baseline.0 - width,
        };
        font::ink(text, size * dense, *bold, (left * dense, baseline.1 * dense), |(x, y, covered)| {
            let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
            if x < self.width && y < self.height {
                let at = (y * self.width + x) * 3;
                for (byte, ink) in self.bytes[at..at + 3].iter_mut().zip([color.0, color.1, color.2]) {
                    *byte = color::between((*byte, 0, 0), (ink, 0, 0), f64::from(covered)).0;
                }
            }
        });
    }

    fn encode(&self) -> std::result::Result<Vec<u8>, png::EncodingError> {
        let mut bytes = Vec::new();
        let (width, height) = (u32::try_from(self.width).unwrap_or(0), u32::try_from(self.height).unwrap_or(0));
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Balanced);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.bytes)?;
        writer.finish()?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_is_the_average_of_its_block() {
        // Two rows of five pixels: two blocks, and a column that is left over.
        let row = |channel: u8| [channel, 0, 255, channel + 1, 0, 255, 8, 9, 10, 12, 9, 10, 77, 77, 77];
        let image = Image::averaged(&[row(10), row(11)].concat(), 5);
        assert_eq!((image.width, image.height), (2, 1));
        assert_eq!(image.bytes, [11, 0, 255, 10, 9, 10], "rounded half up");
    }
}
