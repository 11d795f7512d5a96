//! Boundaries of the law of the iterated logarithm: closed forms that hold at all times and grow as slowly as any can.

use super::special;
use crate::stats::root;

/// Polynomial stitched boundary for sub-gamma sums.
///
/// # Formula
/// `l = s ln ln(eta v / v_min) + ln(zeta(s) / (alpha (ln eta)^s))`,
/// bound `sqrt(k1² v l + (k2 c l)²) + k2 c l`, `k1 = (eta^(1/4) + eta^(-1/4)) / sqrt(2)`, `k2 = (sqrt(eta) + 1) / 2`;
/// before `v_min` its value at `v_min`.
///
/// # Arguments
/// `v` intrinsic time, `v_min > 0` the time from which it is tight; `alpha` one-sided in (0, 1); `c` scale of the sum, zero for
/// sub-Gaussian sums, may be negative; `s > 1` (usually 1.4); `eta > 1` (usually 2). Outside: not a number.
///
/// # Source
/// Howard, Ramdas, `McAuliffe`, Sekhon (2021), Ann. Stat. 49, 1055-1080, theorem 1.
///
/// # Example
/// `v` 100, `alpha` 0.05, `v_min` 10, `c` 3, `s` 1.4, `eta` 2: 64.48755 (unit test of the library confseq).
#[must_use]
pub fn polynomial(v: f64, alpha: f64, v_min: f64, c: f64, s: f64, eta: f64) -> f64 {
    let v = v.max(v_min);
    let epochs = s * (eta * v / v_min).ln().ln();
    stitched(v, c, epochs + (special::zeta(s) / alpha).ln() - s * eta.ln().ln(), eta)
}

/// `sqrt(k1² v l + (k2 c l)²) + k2 c l`.
fn stitched(v: f64, c: f64, l: f64, eta: f64) -> f64 {
    let k1 = (eta.powf(0.25) + eta.powf(-0.25)) / 2.0_f64.sqrt();
    let linear = f64::midpoint(eta.sqrt(), 1.0) * c * l;
    (k1 * k1 * v * l + linear * linear).sqrt() + linear
}

/// Shape of [`double`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DoubleStitching {
    /// Number of observations about which the bound is tightest, at least 1.
    pub t_opt: f64,
    /// Spacing of the grid of quantiles, positive (usually 0.5).
    pub delta: f64,
    /// Power of the error spent over epochs, above 1 (usually 1.4).
    pub s: f64,
    /// Ratio of successive epochs, above 1 (usually 2).
    pub eta: f64,
}

/// Double stitched boundary: how far the count of observations at or below the `p`-quantile strays from `p t`, at all times and for
/// all `p` at once.
///
/// # Formula
/// With `m = max(t, t_opt)`, `r = p` for `p >= 1/2`, else `min(1/2, expit(logit p + 2 delta sqrt(t_opt eta / m)))`,
/// `V = r (1 - r)`, `j = sqrt(m / t_opt) |logit p| / (2 delta) + 1`, `z = zeta(s)`,
/// `l = s ln ln(eta m / t_opt) + s ln j + ln(2 z (2 z + 1) / (alpha (ln eta)^s))`, `c = (1 - 2 p) / 3`:
/// `delta sqrt(eta m V / t_opt) + sqrt(k1² V m l + (k2 c l)²) + k2 c l`, `k1` and `k2` as in [`polynomial`].
///
/// # Arguments
/// `p` in (0, 1); `t > 0` observations; `alpha` in (0, 1) for all quantiles and both directions. Outside: not a number.
///
/// # Source
/// S. R. Howard, A. Ramdas (2022), Bernoulli 28, 1704-1728.
///
/// # Example
/// `p` 0.9, `t` 1000, `alpha` 0.05, `t_opt` 100, `delta` 0.5, `s` 1.4, `eta` 2: 43.72119 (unit test of the library confseq).
#[must_use]
pub fn double(p: f64, t: f64, alpha: f64, shape: DoubleStitching) -> f64 {
    let DoubleStitching { t_opt, delta, s, eta } = shape;
    let m = t.max(t_opt);
    let logit = (p / (1.0 - p)).ln();
    let expit = |x: f64| 1.0 / (1.0 + (-x).exp());
    let r = if p >= 0.5 { p } else { expit(logit + 2.0 * delta * (t_opt * eta / m).sqrt()).min(0.5) };
    let variance = r * (1.0 - r);
    let j = (m / t_opt).sqrt() * logit.abs() / (2.0 * delta) + 1.0;
    let zeta = special::zeta(s);
    let spent = (2.0 * zeta * (2.0 * zeta + 1.0) / alpha).ln() - s * eta.ln().ln();
    let l = s * (eta * m / t_opt).ln().ln() + s * j.ln() + spent;
    delta * (eta * m * variance / t_opt).sqrt() + stitched(variance * m, (1.0 - 2.0 * p) / 3.0, l, eta)
}

/// Band for a whole empirical distribution function, at all times from `t_min` on.
#[derive(Debug, Clone, Copy)]
pub struct EmpiricalProcess {
    t_min: f64,
    a: f64,
    c: f64,
}

impl EmpiricalProcess {
    /// The band of a level.
    ///
    /// # Formula
    /// Half-width `a sqrt((ln(1 + ln(t / t_min)) + c) / t)`, infinite before `t_min`, where `c` makes the error
    /// `inf over eta of 4 exp(-g² c) (1 + 1 / ((g² - 1) ln eta))`, `g² = 2 / eta (a - sqrt(2 (eta - 1) / c))²`, equal `alpha`.
    ///
    /// # Arguments
    /// `alpha` in (0, 1), both directions; `t_min >= 1` observations; `a > 1 / sqrt(2)` (usually 0.85). Outside: none.
    ///
    /// # Accuracy
    /// `c` to about 1e-12.
    ///
    /// # Source
    /// S. R. Howard, A. Ramdas (2022), Bernoulli 28, 1704-1728.
    ///
    /// # Example
    /// `alpha` 0.05, `t_min` 100, `a` 0.85: 0.08204769 at `t` 1000 (unit test of the library confseq).
    #[must_use]
    pub fn new(alpha: f64, t_min: f64, a: f64) -> Option<Self> {
        let inside = alpha > 0.0 && alpha < 1.0 && t_min >= 1.0 && a > 0.5_f64.sqrt() && a.is_finite();
        if !inside {
            return None;
        }
        let excess = |c: f64| alpha.ln() - log_error(c, a);
        let mut high = 1e-3;
        while excess(high) < 0.0 {
            high *= 2.0;
        }
        root::bracketed(excess, (high / 2.0, high)).map(|c| Self { t_min, a, c })
    }

    /// Half-width of the band after `t` observations.
    ///
    /// # Formula
    /// `a sqrt((ln(1 + ln(t / t_min)) + c) / t)`; infinite before `t_min`.
    #[must_use]
    pub fn half_width(&self, t: f64) -> f64 {
        if t < self.t_min {
            return f64::INFINITY;
        }
        self.a * (((t / self.t_min).ln().ln_1p() + self.c) / t).sqrt()
    }
}

/// Logarithm of the error of a band with constant `c`.
fn log_error(c: f64, a: f64) -> f64 {
    let gap = |eta: f64| a - (2.0 * (eta - 1.0) / c).sqrt();
    let limit = root::bracketed(|eta| (eta / 2.0).sqrt() - gap(eta), (1.0, 2.0 * a * a)).unwrap_or(1.0);
    let error = |eta: f64| {
        let g = 2.0 / eta * gap(eta).powi(2);
        if g <= 1.0 || eta <= 1.0 {
            return f64::INFINITY;
        }
        4.0_f64.ln() - g * c + (1.0 / ((g - 1.0) * eta.ln())).ln_1p()
    };
    error(special::minimum_at(1.0, limit, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_epoch_sum_is_riemanns() {
        assert!((special::zeta(2.0) - std::f64::consts::PI.powi(2) / 6.0).abs() < 1e-14);
        assert!((special::zeta(1.4) / 3.105_547_277_977_581 - 1.0).abs() < 1e-13);
        assert!((special::zeta(8.0) - std::f64::consts::PI.powi(8) / 9450.0).abs() < 1e-14);
    }

    proptest! {
        #[test]
        fn boundaries_grow_with_time_and_confidence(v in 1.0..1e6f64, alpha in 0.0001..0.5f64, c in -2.0..2.0f64, p in 0.01..0.99f64) {
            let poly = |v, alpha| polynomial(v, alpha, 10.0, c, 1.4, 2.0);
            prop_assert!(poly(v, alpha) <= poly(2.0 * v, alpha));
            prop_assert!(poly(v, alpha) < poly(v, alpha / 2.0) || c < 0.0);
            let shape = DoubleStitching { t_opt: 100.0, delta: 0.5, s: 1.4, eta: 2.0 };
            prop_assert!(double(p, v, alpha, shape) < double(p, v, alpha / 2.0, shape) || p > 0.5);
        }

        #[test]
        fn the_band_spends_its_error(alpha in 0.0005..0.5f64, a in 0.75..1.5f64) {
            let band = EmpiricalProcess::new(alpha, 1.0, a).expect("inside");
            prop_assert!((log_error(band.c, a) - alpha.ln()).abs() < 1e-8);
        }
    }

    #[test]
    fn the_band_needs_its_domain() {
        assert!(EmpiricalProcess::new(0.05, 100.0, 0.7).is_none());
        assert!(EmpiricalProcess::new(0.0, 100.0, 0.85).is_none());
        assert!(EmpiricalProcess::new(0.05, 0.5, 0.85).is_none());
        assert!(EmpiricalProcess::new(0.05, 100.0, 0.85).expect("inside").half_width(99.0).is_infinite());
    }

    // Sums of signs cross the 5 % boundary, at any of 1000 times, in at most 5 % of the runs.
    #[test]
    fn signs_rarely_cross() {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let bounds: Vec<f64> = (1..=1000_u32).map(|v| polynomial(f64::from(v), 0.05, 10.0, 0.0, 1.4, 2.0)).collect();
        let runs = 2000;
        let crossed = (0..runs)
            .filter(|_| {
                let mut sum = 0.0;
                bounds.iter().any(|bound| {
                    sum += if random.random_bool(0.5) { 1.0 } else { -1.0 };
                    sum >= *bound
                })
            })
            .count();
        assert!(crossed <= 100, "{crossed} of {runs}");
    }
}
