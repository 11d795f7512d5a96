//! One panel with its axes.

use super::picture::{Anchor, LABEL, Picture, Point, color, text_width};
use crate::report::labels;

/// How an axis maps and writes its values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// Seconds, marked at whole minutes, hours or days.
    Time,
    /// Shares as percent.
    Percent,
    /// Differences of shares as percentage points.
    Points,
    /// Plain numbers.
    Number,
    /// Counts by powers of ten; below one is drawn at one.
    Log,
}

/// An axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Axis {
    /// From `from` to at least a little beyond it.
    pub(super) fn new(scale: Scale, from: f64, to: f64) -> Self {
        let least = if scale == Scale::Log { from.max(1.0) * 10.0 } else { from + 1e-9 };
        Self { scale, from, to: if to.is_finite() { to.max(least) } else { least } }
    }

    fn place(self, value: f64) -> f64 {
        let value = value.clamp(self.from, self.to);
        match self.scale {
            Scale::Log => {
                let log = |v: f64| v.max(1.0).log10();
                (log(value) - log(self.from)) / (log(self.to) - log(self.from))
            }
            _ => (value - self.from) / (self.to - self.from),
        }
    }

    /// Round values, at most about `count` of them.
    fn ticks(self, count: f64) -> Vec<f64> {
        if self.scale == Scale::Log {
            let (low, high) = (self.from.max(1.0).log10().ceil(), self.to.log10().floor());
            let step = ((high - low) / count).ceil().max(1.0);
            let powers: Vec<f64> = series(low, high, step).into_iter().map(|power| 10f64.powf(power)).collect();
            if powers.len() >= 3 {
                return powers;
            }
            // Few powers of ten lie on a short axis: their doubles and halves come between.
            let every = series(low - 1.0, high, 1.0).into_iter().map(|power| 10f64.powf(power));
            let inside = |tick: &f64| (self.from.max(1.0)..=self.to).contains(tick);
            return every.flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * power)).filter(inside).collect();
        }
        let least = (self.to - self.from) / count;
        let step = match self.scale {
            Scale::Time => time_step(least),
            _ => round_step(least),
        };
        series((self.from / step - 1e-9).ceil() * step, self.to * (1.0 + 1e-9), step)
    }

    fn write(self, value: f64, step: f64) -> String {
        match self.scale {
            Scale::Time if value == 0.0 => "0".to_owned(),
            Scale::Time => labels::duration(value),
            Scale::Percent => format!("{} %", decimals(value * 100.0, step * 100.0)),
            Scale::Points => format!("{} pp", decimals(value * 100.0, step * 100.0)),
            Scale::Number if step >= 1.0 && value >= 0.0 => labels::count(value),
            Scale::Number => decimals(value, step),
            Scale::Log => labels::count(value),
        }
    }
}

fn series(from: f64, to: f64, step: f64) -> Vec<f64> {
    (0..64).map(|index| from + f64::from(index) * step).take_while(|value| *value <= to + step * 1e-6).collect()
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.max(1e-12).log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|step| *step >= least * 0.999).unwrap_or(10.0 * power)
}

fn time_step(least: f64) -> f64 {
    let (minute, hour, day) = (60.0, 3_600.0, 86_400.0);
    [1.0, 5.0, 15.0, 30.0]
        .map(|count| count * minute)
        .into_iter()
        .chain([1.0, 2.0, 3.0, 6.0, 12.0].map(|count| count * hour))
        .chain([1.0, 2.0, 7.0, 14.0, 28.0].map(|count| count * day))
        .find(|step| *step >= least)
        .unwrap_or_else(|| round_step(least / day) * day)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
fn decimals(value: f64, step: f64) -> String {
    let places = (-step.log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
    let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
    format!("{value:.places$}").replace('-', "−")
}

/// A panel: the rectangle inside the axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
    pub(super) x: Axis,
    pub(super) y: Axis,
}

impl Panel {
    pub(super) fn at(&self, x: f64, y: f64) -> Point {
        (self.px(x), self.py(y))
    }

    pub(super) fn px(&self, x: f64) -> f64 {
        self.left + (self.right - self.left) * self.x.place(x)
    }

    pub(super) fn py(&self, y: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * self.y.place(y)
    }

    /// Grid lines with their values and the names of both axes: x below its values, y above the panel.
    pub(super) fn draw_axes(&self, picture: &mut Picture, x_name: &str, y_name: &str) {
        self.draw_x(picture, x_name);
        let ticks = self.y.ticks(((self.bottom - self.top) / 34.0).max(2.0));
        let step = spacing(&ticks);
        for value in &ticks {
            let y = self.py(*value);
            picture.line(vec![(self.left, y), (self.right, y)], color::GRID, 1.0);
            picture.text((self.left - 6.0, y + 4.0), &self.y.write(*value, step), Anchor::End, color::SOFT, self.left);
        }
        picture.text((self.left, self.top - 8.0), y_name, Anchor::Start, color::SOFT, self.right - self.left);
        picture.line(vec![(self.left, self.bottom), (self.right, self.bottom)], color::AXIS, 1.0);
    }

    /// Vertical grid lines with their values and the name of the axis.
    pub(super) fn draw_x(&self, picture: &mut Picture, name: &str) {
        let ticks = self.x.ticks(((self.right - self.left) / 62.0).max(2.0));
        let step = spacing(&ticks);
        let mut free_from = f64::NEG_INFINITY;
        for value in &ticks {
            let x = self.px(*value);
            picture.line(vec![(x, self.top), (x, self.bottom)], color::GRID, 1.0);
            let text = self.x.write(*value, step);
            let half = text_width(&text, LABEL) / 2.0;
            if x - half > free_from {
                picture.text((x, self.bottom + 15.0), &text, Anchor::Middle, color::SOFT, 200.0);
                free_from = x + half + 4.0;
            }
        }
        let middle = f64::midpoint(self.left, self.right);
        picture.text((middle, self.bottom + 31.0), name, Anchor::Middle, color::SOFT, self.right - self.left);
    }
}

fn spacing(ticks: &[f64]) -> f64 {
    match ticks {
        [first, second, ..] => second - first,
        _ => 1.0,
    }
}

/// Places at least `gap` apart, as near to the wanted as their order allows; `wanted` must ascend.
pub(super) fn spread_out(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut places = wanted.to_vec();
    let mut free = low;
    for place in &mut places {
        *place = place.max(free);
        free = *place + gap;
    }
    let mut free = high;
    for place in places.iter_mut().rev() {
        *place = place.min(free);
        free = *place - gap;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let percent = Axis::new(Scale::Percent, 0.0, 1.0);
        assert_eq!(percent.ticks(5.0).len(), 6);
        assert_eq!(percent.write(0.2, 0.2), "20 %");
        assert_eq!(Axis::new(Scale::Time, 0.0, 259_200.0).ticks(7.0), series(0.0, 259_200.0, 43_200.0));
        assert_eq!(Axis::new(Scale::Log, 1.0, 20_000.0).ticks(9.0), vec![1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
        assert_eq!(
            Axis::new(Scale::Log, 900.0, 20_000.0).ticks(9.0),
            vec![1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0]
        );
        assert_eq!(Axis::new(Scale::Number, -0.01, 0.01).ticks(4.0).len(), 5);
        assert_eq!(Axis::new(Scale::Number, 3_000.0, 4_000.0).write(3_800.0, 200.0), "3,800");
    }

    #[test]
    fn an_axis_without_extent_maps_somewhere() {
        let axis = Axis::new(Scale::Number, 3.0, 3.0);
        assert!(axis.place(3.0).is_finite() && axis.place(f64::NAN).is_nan());
    }

    #[test]
    fn labels_are_kept_apart() {
        assert_eq!(spread_out(&[1.0, 1.0, 9.0], 2.0, 0.0, 10.0), vec![1.0, 3.0, 9.0]);
        assert_eq!(spread_out(&[9.0, 9.5, 10.0], 2.0, 0.0, 10.0), vec![6.0, 8.0, 10.0]);
    }
}
