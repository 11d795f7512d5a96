//! The recursive integral: the density of a score that no look has stopped yet.

use crate::stats::normal;

/// Steps below this share of the information are stretched to it: their effect on a probability is below 1e-6.
pub(super) const SMALLEST_STEP: f64 = 1e-9;
/// Standard deviations beyond which a density counts as zero.
const REACH: f64 = 8.5;
/// The widest Simpson half-panel under the next step's kernel, in its standard deviations.
const KERNEL_HALF: f64 = 0.5;

/// A side of the continuation region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Upper,
    Lower,
}

impl Side {
    fn sign(self) -> f64 {
        match self {
            Self::Upper => 1.0,
            Self::Lower => -1.0,
        }
    }
}

/// Where an earlier look cut the density off: it is smooth there only on the scale of the information since.
#[derive(Debug, Clone, Copy)]
struct Cut {
    score: f64,
    information: f64,
}

/// A score `S = Z sqrt(I)` under a drift, followed from look to look, without the paths that stopped.
///
/// # Formula
/// `f_k(s) = Int f_(k-1)(u) phi((s - u - theta dI) / sqrt(dI)) / sqrt(dI) du` over the region in which look `k - 1` continued, by
/// Simpson's rule on the grid of Jennison and Turnbull (step `3 / 2r` standard deviations within three of the mean, growing outside),
/// refined near boundaries and where the next step is short. The grid of a look is made when the next step is known.
///
/// # Source
/// P. Armitage, C. K. McPherson, B. C. Rowe (1969), JRSS A 132, 235-244; C. Jennison, B. W. Turnbull (2000), Group Sequential Methods with
/// Applications to Clinical Trials, chapter 19.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    drift: f64,
    /// The `r` of Jennison and Turnbull.
    resolution: f64,
    /// Density at the look before, times Simpson's weights; a single point before the first look.
    scores: Vec<f64>,
    masses: Vec<f64>,
    information: f64,
    /// Mean and standard deviation of the step from the look before.
    shift: f64,
    spread: f64,
    /// The region in which the present look continues.
    open: (f64, f64),
    cuts: Vec<Cut>,
}

impl Walk {
    pub(super) fn new(drift: f64, resolution: u32) -> Self {
        Self {
            drift,
            resolution: f64::from(resolution),
            scores: vec![0.0],
            masses: vec![1.0],
            information: 0.0,
            shift: 0.0,
            spread: 0.0,
            open: (f64::NEG_INFINITY, f64::INFINITY),
            cuts: Vec::new(),
        }
    }

    /// Moves to the next look.
    pub(super) fn advance(&mut self, information: f64) {
        let smallest = SMALLEST_STEP * information.max(self.information);
        let step = (information - self.information).max(smallest);
        let spread = step.sqrt();
        if self.spread > 0.0 {
            self.carry(spread);
        }
        self.information += step;
        self.shift = self.drift * step;
        self.spread = spread;
        self.open = (f64::NEG_INFINITY, f64::INFINITY);
    }

    /// Stops at the present look outside a region of `z` values.
    pub(super) fn stop_outside(&mut self, lower: f64, upper: f64) {
        let root = self.information.sqrt();
        self.open = (lower * root, upper * root);
        for z in [lower, upper] {
            if (z - self.drift * root).abs() < REACH {
                self.cuts.push(Cut { score: z * root, information: self.information });
            }
        }
    }

    /// Probability to reach the present look without a stop.
    pub(super) fn reached(&self) -> f64 {
        self.masses.iter().sum()
    }

    /// Probability to reach the present look and lie beyond `z` there.
    pub(super) fn beyond(&self, side: Side, z: f64) -> f64 {
        self.beyond_score(side, z * self.information.sqrt())
    }

    fn beyond_score(&self, side: Side, score: f64) -> f64 {
        let sign = side.sign();
        let tail = |&u: &f64| normal::upper_tail(sign * (score - u - self.shift) / self.spread);
        let sure = self.in_reach(score);
        let near: f64 =
            self.scores[sure.clone()].iter().zip(&self.masses[sure.clone()]).map(|(u, m)| m * tail(u)).sum();
        let far = match side {
            Side::Upper => &self.masses[sure.end..],
            Side::Lower => &self.masses[..sure.start],
        };
        near + far.iter().sum::<f64>()
    }

    /// Density of the score at the present look, of the paths without a stop.
    fn density(&self, score: f64) -> f64 {
        let band = self.in_reach(score);
        let scale = 1.0 / self.spread;
        let centre = score - self.shift;
        let kernel = |&u: &f64| {
            let deviate = (centre - u) * scale;
            (-0.5 * deviate * deviate).exp()
        };
        let sum: f64 = self.scores[band.clone()].iter().zip(&self.masses[band]).map(|(u, m)| m * kernel(u)).sum();
        sum * scale * FRAC_1_SQRT_TAU
    }

    /// Points of the look before from which a step can lead to a score.
    fn in_reach(&self, score: f64) -> std::ops::Range<usize> {
        let centre = score - self.shift;
        let reach = REACH * self.spread;
        let start = self.scores.partition_point(|&u| u < centre - reach);
        let end = start + self.scores[start..].partition_point(|&u| u <= centre + reach);
        start..end
    }

    /// The `z` beyond which a given probability lies at the present look: infinite on the far side where less is left.
    ///
    /// The tail is log-concave, so that Newton's steps on its logarithm converge after at most one step too far.
    pub(super) fn quantile(&self, side: Side, mass: f64) -> f64 {
        let sign = side.sign();
        if self.reached() <= mass {
            return -sign * f64::INFINITY;
        }
        let root = self.information.sqrt();
        let mean = self.drift * self.information;
        // In the direction of the side; no path lies beyond more often than without stops.
        let mut high = sign * mean + root * normal::upper_quantile(mass);
        let ends = [self.scores[0], self.scores[self.scores.len() - 1]].map(|u| sign * (u + self.shift));
        let (first, last) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        let mut low = first - REACH * self.spread;
        let mut at = high.min(last + 3.0 * self.spread);
        for _ in 0..200 {
            let tail = self.beyond_score(side, sign * at);
            if tail > mass {
                low = at;
            } else {
                high = at;
            }
            let newton = at + (tail / mass).ln() * tail / self.density(sign * at);
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            let moved = (next - at).abs();
            at = next;
            if moved <= 1e-12 * root {
                break;
            }
        }
        sign * at / root
    }

    /// Puts the density of the present look on a grid fit for a next step.
    fn carry(&mut self, next_spread: f64) {
        let panels = self.panels(next_spread);
        let mut density = Vec::with_capacity(panels.len());
        let mut left = panels.first().map_or(0.0, |panel| self.density(panel.middle - panel.half));
        for panel in &panels {
            let right = self.density(panel.middle + panel.half);
            density.push([left, self.density(panel.middle), right]);
            left = right;
        }
        self.scores.clear();
        self.masses.clear();
        for (panel, values) in panels.iter().zip(density) {
            self.add_panel(*panel, values, next_spread);
        }
        if self.scores.is_empty() {
            self.scores.push(self.drift * self.information);
            self.masses.push(0.0);
        }
    }

    /// Simpson's rule on a panel, on more points of its parabola where the next kernel is narrow.
    fn add_panel(&mut self, panel: Panel, values: [f64; 3], next_spread: f64) {
        let [left, middle, right] = values;
        let (slope, bend) = (0.5 * (right - left), 0.5 * (left + right) - middle);
        let parts = (panel.half / (KERNEL_HALF * next_spread)).ceil().max(1.0);
        let weight = panel.half / (3.0 * parts);
        let start = self.scores.pop().map_or(0.0, |_| self.masses.pop().unwrap_or(0.0));
        self.scores.push(panel.middle - panel.half);
        self.masses.push(start + weight * left);
        let mut point = 1.0;
        while point <= 2.0 * parts {
            let x = point / parts - 1.0;
            let last = point >= 2.0 * parts;
            let value = if last { right } else { (middle + x * (slope + x * bend)).max(0.0) };
            let simpson = if last {
                1.0
            } else if point % 2.0 == 0.0 {
                2.0
            } else {
                4.0
            };
            self.scores.push(panel.middle + x * panel.half);
            self.masses.push(simpson * weight * value);
            point += 1.0;
        }
    }

    /// The grid of the present look: panels from end to end of the region in which it continues.
    fn panels(&mut self, next_spread: f64) -> Vec<Panel> {
        let root = self.information.sqrt();
        let mean = self.drift * self.information;
        let (lower, upper) = (self.open.0.max(mean - REACH * root), self.open.1.min(mean + REACH * root));
        let details = self.details(next_spread);
        let mut panels = Vec::new();
        let mut left = lower;
        while left < upper {
            let z = (left - mean).abs() / root;
            let plain = 0.75 / self.resolution * root * (1.0 + (z - 3.0).max(0.0) / 3.0);
            let near = |detail: &Detail| detail.half.max(GROWTH / self.resolution * (left - detail.score).abs());
            let half = details.iter().map(near).fold(plain, f64::min);
            // No sliver at the end.
            let half = if left + 2.2 * half >= upper { 0.5 * (upper - left) } else { half };
            let middle = left + half;
            if middle <= left {
                break;
            }
            panels.push(Panel { middle, half });
            left = if middle + half >= upper { upper } else { middle + half };
        }
        panels
    }

    /// Places that need a finer grid; cuts that have become smooth are forgotten.
    fn details(&mut self, next_spread: f64) -> Vec<Detail> {
        let fine = FINE / self.resolution;
        let enough = 0.75 / self.resolution * self.information.sqrt();
        let information = self.information;
        let is_sharp =
            |cut: &Cut| cut.information >= information || fine * (information - cut.information).sqrt() < enough;
        self.cuts.retain(is_sharp);
        let scale = |cut: &Cut| {
            let since = information - cut.information;
            // The cut just made shows only under the next step.
            if since > 0.0 { since.sqrt() } else { next_spread }
        };
        let detail = |cut: &Cut| Detail { score: cut.score, half: fine * scale(cut) };
        self.cuts.iter().map(detail).filter(|detail| detail.half < enough).collect()
    }
}

/// `1 / sqrt(2 pi)`.
const FRAC_1_SQRT_TAU: f64 = std::f64::consts::FRAC_2_SQRT_PI * 0.5 * std::f64::consts::FRAC_1_SQRT_2;
/// Half-panel at a detail, in its scale, times the resolution.
const FINE: f64 = 2.25;
/// Growth of the half-panel with the distance from a detail, times the resolution.
const GROWTH: f64 = 3.6;

/// One application of Simpson's rule.
#[derive(Debug, Clone, Copy)]
struct Panel {
    middle: f64,
    half: f64,
}

/// A place and the half-panel it needs.
#[derive(Debug, Clone, Copy)]
struct Detail {
    score: f64,
    half: f64,
}
