//! Uniform boundaries: how far a cumulative sum of centred observations may stray at any time.
//!
//! A sum `s` with intrinsic time `v` (its accumulated variance, in squared units of `s`) makes
//! `exp(lambda s - psi(lambda) v)` a supermartingale for every `lambda`; a mixture over `lambda` is an e-value, and the `s` at which
//! it reaches `1 / alpha` is a boundary that the sum crosses, ever, with probability at most `alpha`.

use super::special::{self, Part};
use crate::stats::alternative::Sides;
use crate::stats::{mixture, root};

/// A mixture of exponential supermartingales.
pub trait Mixture {
    /// The logarithm of the e-value of a sum `s` at intrinsic time `v`.
    ///
    /// `s` is in units of the observations, `v >= 0` in their square.
    fn log_value(&self, s: f64, v: f64) -> f64;

    /// The largest sum that is possible at intrinsic time `v`.
    fn largest_sum(&self, _v: f64) -> f64 {
        f64::INFINITY
    }

    /// The boundary: the `s >= 0` at which the e-value is `1 / alpha`; the largest possible sum where it is never.
    ///
    /// # Arguments
    /// `v >= 0`; `alpha` in (0, 1): the probability of ever crossing, of `s` alone where one-sided, of `|s|` where two-sided.
    ///
    /// # Accuracy
    /// Relative 1e-12 up to an intrinsic time of about 1e9 squared jumps; its time grows with the root of it.
    fn bound(&self, v: f64, alpha: f64) -> f64 {
        let excess = |s: f64| self.log_value(s, v) + alpha.ln();
        let largest = self.largest_sum(v);
        let high = if largest.is_finite() { largest } else { beyond(v.max(1.0), excess) };
        if excess(high) < 0.0 || high <= 0.0 { high } else { root::bracketed(excess, (0.0, high)).unwrap_or(f64::NAN) }
    }
}

/// Doubles a sum until the function is positive there.
fn beyond(start: f64, excess: impl Fn(f64) -> f64) -> f64 {
    let mut trial = start;
    while excess(trial) < 0.0 && trial < f64::MAX / 4.0 {
        trial *= 2.0;
    }
    trial
}

/// Tuning variance: the mixture is tightest about intrinsic time `v_opt`.
fn tuning_variance(v_opt: f64, alpha_opt: f64, sides: Sides) -> Option<f64> {
    let (ratio, highest) = match sides {
        Sides::One => (mixture::tuning(alpha_opt), 0.5),
        Sides::Two => (mixture::two_sided_tuning(alpha_opt), 1.0),
    };
    let inside = v_opt > 0.0 && v_opt.is_finite() && alpha_opt > 0.0 && alpha_opt < highest;
    inside.then(|| v_opt / ratio)
}

/// Mixture for normal (or sub-Gaussian) sums over a normal law of `lambda`, a half-normal one where one-sided.
#[derive(Debug, Clone, Copy)]
pub struct NormalMixture {
    rho: f64,
    sides: Sides,
}

impl NormalMixture {
    /// The mixture tightest about intrinsic time `v_opt` at level `alpha_opt`.
    ///
    /// # Formula
    /// `ln e = ln(rho / (v + rho)) / 2 + s² / (2 (v + rho))`, one-sided plus `ln(2 Phi(s / sqrt(v + rho)))`, with
    /// `rho = v_opt / kappa(alpha_opt)`, one-sided `kappa(2 alpha_opt)` ([`mixture::two_sided_tuning`]).
    ///
    /// # Arguments
    /// `v_opt > 0`; `alpha_opt` in (0, 1), one-sided in (0, 0.5). Outside: none.
    ///
    /// # Source
    /// H. Robbins (1970), Ann. Math. Stat. 41, 1397-1409; S. R. Howard, A. Ramdas, J. `McAuliffe`, J. Sekhon (2021), Ann. Stat. 49,
    /// 1055-1080.
    ///
    /// # Example
    /// Two-sided, `v_opt` 100, `alpha_opt` 0.05: `rho` 12.60056, at `s` 10 and `v` 100 the log e-value is -0.6510052, the 5 % bound
    /// 30.35209 (unit test of the library confseq).
    #[must_use]
    pub fn tuned(v_opt: f64, alpha_opt: f64, sides: Sides) -> Option<Self> {
        tuning_variance(v_opt, alpha_opt, sides).map(|rho| Self { rho, sides })
    }

    /// The variance `rho` the mixture adds to intrinsic time.
    #[must_use]
    pub fn rho(&self) -> f64 {
        self.rho
    }
}

impl Mixture for NormalMixture {
    fn log_value(&self, s: f64, v: f64) -> f64 {
        mixture::log_e_value_of_root(s / (v + self.rho).sqrt(), v / self.rho, self.sides)
    }

    fn bound(&self, v: f64, alpha: f64) -> f64 {
        let root = match self.sides {
            Sides::One => mixture::exact_root(alpha, v / self.rho),
            Sides::Two => mixture::two_sided_root(alpha, v / self.rho),
        };
        root * (v + self.rho).sqrt()
    }
}

/// One-sided mixture for sub-exponential sums, such as centred squares or empirical-Bernstein sums.
#[derive(Debug, Clone, Copy)]
pub struct GammaExponentialMixture {
    shape: f64,
    scale: f64,
}

impl GammaExponentialMixture {
    /// The mixture tightest about intrinsic time `v_opt` at level `alpha_opt`, for sums of scale `c`.
    ///
    /// # Formula
    /// With `r = rho / c²`, `a = (v + rho) / c²`, `y = s / c + a` and the lower incomplete gamma function `g`:
    /// `ln e = ln g(a, y) - a ln y + y - (ln g(r, r) - r ln r + r)`; `psi(lambda) = (-ln(1 - c lambda) - c lambda) / c²`.
    ///
    /// # Arguments
    /// `v_opt > 0` and `c > 0` in squared units and units of the sum; `alpha_opt` one-sided in (0, 0.5). Outside: none.
    /// The sum is above `-(v + rho) / c`.
    ///
    /// # Source
    /// Howard, Ramdas, `McAuliffe`, Sekhon (2021), Ann. Stat. 49, 1055-1080.
    ///
    /// # Example
    /// `v_opt` 100, `c` 2, `alpha_opt` 0.05: at `s` 10 and `v` 100 the log e-value is -0.2490165, the 5 % bound 33.02017 (unit test
    /// of the library confseq).
    #[must_use]
    pub fn tuned(v_opt: f64, alpha_opt: f64, c: f64) -> Option<Self> {
        let rho = tuning_variance(v_opt, alpha_opt, Sides::One)?;
        (c > 0.0).then(|| Self { shape: rho / (c * c), scale: c })
    }
}

impl Mixture for GammaExponentialMixture {
    fn log_value(&self, s: f64, v: f64) -> f64 {
        let a = v / (self.scale * self.scale) + self.shape;
        let y = s / self.scale + a;
        special::log_gamma_scaled(Part::Lower, a, y) - special::log_gamma_scaled(Part::Lower, self.shape, self.shape)
    }
}

/// One-sided mixture for counting processes and other sums whose upward jumps are at most `c`.
#[derive(Debug, Clone, Copy)]
pub struct GammaPoissonMixture {
    shape: f64,
    scale: f64,
}

impl GammaPoissonMixture {
    /// The mixture tightest about intrinsic time `v_opt` at level `alpha_opt`, for jumps of size `c`.
    ///
    /// # Formula
    /// With `r = rho / c²`, `x = (v + rho) / c²`, `k = s / c + x` and the upper incomplete gamma function `G`:
    /// `ln e = ln G(k, x) - k ln x + x - (ln G(r, r) - r ln r + r)`; `psi(lambda) = (exp(c lambda) - c lambda - 1) / c²`.
    /// For a Poisson process `c = 1`, `s` is the count less its mean and `v` the mean.
    ///
    /// # Arguments
    /// `v_opt > 0` and `c > 0`; `alpha_opt` one-sided in (0, 0.5). Outside: none. The sum is above `-(v + rho) / c`.
    ///
    /// # Source
    /// Howard, Ramdas, `McAuliffe`, Sekhon (2021), Ann. Stat. 49, 1055-1080.
    ///
    /// # Example
    /// `v_opt` 100, `c` 2, `alpha_opt` 0.05: at `s` 10 and `v` 100 the log e-value is -0.06991219, the 5 % bound 30.1949 (unit test
    /// of the library confseq).
    #[must_use]
    pub fn tuned(v_opt: f64, alpha_opt: f64, c: f64) -> Option<Self> {
        let rho = tuning_variance(v_opt, alpha_opt, Sides::One)?;
        (c > 0.0).then(|| Self { shape: rho / (c * c), scale: c })
    }
}

impl Mixture for GammaPoissonMixture {
    fn log_value(&self, s: f64, v: f64) -> f64 {
        let x = v / (self.scale * self.scale) + self.shape;
        let k = s / self.scale + x;
        special::log_gamma_scaled(Part::Upper, k, x) - special::log_gamma_scaled(Part::Upper, self.shape, self.shape)
    }
}

/// Mixture for sums of observations between `-g` and `h`, such as centred coin tosses.
#[derive(Debug, Clone, Copy)]
pub struct BetaBinomialMixture {
    weight: f64,
    g: f64,
    h: f64,
    sides: Sides,
}

impl BetaBinomialMixture {
    /// The mixture tightest about intrinsic time `v_opt` at level `alpha_opt`.
    ///
    /// # Formula
    /// A toss yields `h` with probability `p = g / (g + h)`, else `-g`. A sum `s` at intrinsic time `v = n g h` is that of
    /// `k = (v / h + s) / (g + h)` rises and `n - k` falls; the e-value is the beta-binomial likelihood, with prior counts
    /// `w p` and `w (1 - p)`, over the binomial one:
    /// `B(w q + n - k, w p + k) / B(w q, w p) / (p^k q^(n - k))`, one-sided with both beta functions incomplete at `q`.
    /// `w = max(rho / (g h) - 1, 0.001)`.
    ///
    /// # Arguments
    /// `v_opt > 0`, `g > 0`, `h > 0`; `alpha_opt` in (0, 1), one-sided in (0, 0.5). Outside: none. Sums are between
    /// `-v / h` and `v / g`.
    ///
    /// # Source
    /// Howard, Ramdas, `McAuliffe`, Sekhon (2021), Ann. Stat. 49, 1055-1080; H. Robbins (1970).
    ///
    /// # Example
    /// `v_opt` 100, `g` 0.2, `h` 0.8, `alpha_opt` 0.05: at `s` 10 and `v` 100 the log e-value is -0.6941012 two-sided and
    /// -0.07134019 one-sided, the 5 % bounds are 31.4308 and 28.41238 (unit tests of the library confseq).
    #[must_use]
    pub fn tuned(v_opt: f64, alpha_opt: f64, g: f64, h: f64, sides: Sides) -> Option<Self> {
        let rho = tuning_variance(v_opt, alpha_opt, sides)?;
        (g > 0.0 && h > 0.0).then(|| Self { weight: (rho / (g * h) - 1.0).max(1e-3), g, h, sides })
    }

    /// The log e-value of `rises` and `falls`.
    pub(super) fn log_value_of_counts(&self, rises: f64, falls: f64) -> f64 {
        let q = self.h / (self.g + self.h);
        let p = 1.0 - q;
        let log_beta = |a: f64, b: f64| match self.sides {
            Sides::One => special::log_incomplete_beta_scaled(a, b, q),
            Sides::Two => special::log_beta_scaled(&[a, b], &[q, p]),
        };
        let (a, b) = (self.weight * q, self.weight * p);
        log_beta(a + falls, b + rises) - log_beta(a, b)
    }
}

impl Mixture for BetaBinomialMixture {
    fn log_value(&self, s: f64, v: f64) -> f64 {
        let width = self.g + self.h;
        self.log_value_of_counts((v / self.h + s) / width, (v / self.g - s) / width)
    }

    fn largest_sum(&self, v: f64) -> f64 {
        v / self.g
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn mixtures(v_opt: f64, c: f64) -> Vec<Box<dyn Mixture>> {
        let beta = |sides| BetaBinomialMixture::tuned(v_opt, 0.05, 0.3, 0.7, sides).expect("inside");
        let normal = |sides| NormalMixture::tuned(v_opt, 0.05, sides).expect("inside");
        vec![
            Box::new(normal(Sides::One)),
            Box::new(normal(Sides::Two)),
            Box::new(GammaExponentialMixture::tuned(v_opt, 0.05, c).expect("inside")),
            Box::new(GammaPoissonMixture::tuned(v_opt, 0.05, c).expect("inside")),
            Box::new(beta(Sides::One)),
            Box::new(beta(Sides::Two)),
        ]
    }

    proptest! {
        #[test]
        fn bounds_are_where_the_e_value_is(v in 1e-3..1e4f64, v_opt in 1.0..1e4f64, c in 0.1..5.0f64, alpha in 1e-6..0.4f64) {
            for mixture in mixtures(v_opt, c) {
                let bound = mixture.bound(v, alpha);
                let log_e = mixture.log_value(bound, v);
                prop_assert!((log_e + alpha.ln()).abs() < 1e-6 || bound >= mixture.largest_sum(v), "{log_e} at {bound}");
                prop_assert!(mixture.bound(v, alpha / 2.0) >= bound);
                prop_assert!(mixture.log_value(0.0, v) <= 1e-9);
            }
        }

        // Small scales turn every mixture into the normal one.
        #[test]
        fn small_jumps_are_normal(v in 1.0..2e3f64) {
            let normal = NormalMixture::tuned(500.0, 0.05, Sides::One).expect("inside").bound(v, 0.05);
            for mixture in &mixtures(500.0, 1e-2)[2..4] {
                prop_assert!((mixture.bound(v, 0.05) / normal - 1.0).abs() < 0.01);
            }
        }

        // The mean over all outcomes of n tosses is one: exactly for the two-sided mixture.
        #[test]
        fn beta_binomial_e_values_average_one(n in 1..60_u32, p in 0.05..0.95f64) {
            let mixture = BetaBinomialMixture::tuned(20.0, 0.05, p, 1.0 - p, Sides::Two).expect("inside");
            let n = f64::from(n);
            let mut mass = (1.0 - p).powf(n);
            let mut mean = 0.0;
            let mut k = 0.0;
            while k <= n {
                mean += mass * mixture.log_value_of_counts(k, n - k).exp();
                mass *= (n - k) / (k + 1.0) * p / (1.0 - p);
                k += 1.0;
            }
            prop_assert!((mean - 1.0).abs() < 1e-9, "{mean}");
        }
    }

    #[test]
    fn outside_the_domain_there_is_none() {
        assert!(NormalMixture::tuned(0.0, 0.05, Sides::Two).is_none());
        assert!(NormalMixture::tuned(1.0, 0.5, Sides::One).is_none());
        assert!(GammaPoissonMixture::tuned(1.0, 0.05, 0.0).is_none());
        assert!(GammaExponentialMixture::tuned(1.0, 0.05, -1.0).is_none());
        assert!(BetaBinomialMixture::tuned(1.0, 0.05, 0.0, 1.0, Sides::Two).is_none());
    }

    #[test]
    fn without_information_there_is_no_room() {
        let beta = BetaBinomialMixture::tuned(10.0, 0.05, 0.5, 0.5, Sides::Two).expect("inside");
        assert!(beta.bound(0.0, 0.05).abs() < 1e-12);
        let normal = NormalMixture::tuned(10.0, 0.05, Sides::Two).expect("inside");
        assert!((normal.log_value(normal.bound(0.0, 0.05), 0.0) - 20.0_f64.ln()).abs() < 1e-12);
    }

    // A Poisson process crosses its 5 % boundary, ever until 100 are expected, in at most 5 % of the runs: looked at before each event.
    #[test]
    fn poisson_processes_rarely_cross() {
        let mixture = GammaPoissonMixture::tuned(30.0, 0.05, 1.0).expect("inside");
        let mut random = ChaCha8Rng::seed_from_u64(6);
        let runs = 2000;
        let crossed = (0..runs)
            .filter(|_| {
                let mut mean = 0.0;
                (1..)
                    .find_map(|count| {
                        mean -= (1.0 - random.random::<f64>()).ln();
                        let log_e = mixture.log_value(f64::from(count) - mean, mean);
                        (mean > 100.0 || log_e >= 20.0_f64.ln()).then_some(mean <= 100.0)
                    })
                    .unwrap_or(false)
            })
            .count();
        assert!(crossed > 10 && crossed <= runs / 20, "{crossed} of {runs}");
    }
}
