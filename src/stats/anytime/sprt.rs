//! Wald's sequential probability ratio test of an event rate.

/// Two parallel lines between which sampling goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BernoulliSprt {
    /// Events per trial along both lines.
    pub slope: f64,
    /// Events at zero trials on the line above which the higher rate is accepted.
    pub upper: f64,
    /// Events at zero trials, below zero, on the line below which the lower rate is accepted.
    pub lower: f64,
}

/// What the test says so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Neither line is reached.
    Continue,
    /// The lower rate is accepted.
    Accept,
    /// The lower rate is rejected.
    Reject,
}

impl BernoulliSprt {
    /// The test of rate `p0` against `p1`.
    ///
    /// # Formula
    /// With `k = ln(p1 (1 - p0) / (p0 (1 - p1)))`: slope `ln((1 - p0) / (1 - p1)) / k`, upper `ln((1 - beta) / alpha) / k`,
    /// lower `ln(beta / (1 - alpha)) / k`.
    ///
    /// # Arguments
    /// `0 < p0 < p1 < 1`; `alpha`, the error at `p0`, and `beta`, the error at `p1`, in (0, 1) with a sum below 1. Outside: none.
    ///
    /// # Accuracy
    /// Wald's approximation: both errors hold up to the excess over the lines, their sum at most `alpha + beta`.
    ///
    /// # Source
    /// A. Wald (1945), Ann. Math. Stat. 16, 117-186.
    ///
    /// # Example
    /// 0.001 against 0.005, `alpha` 0.05, `beta` 0.1: slope 0.00248662283, upper 1.791423249, lower -1.395327939 (R 4.2.2 gsDesign
    /// `binomialSPRT`).
    #[must_use]
    pub fn new(p0: f64, p1: f64, alpha: f64, beta: f64) -> Option<Self> {
        let inside = 0.0 < p0 && p0 < p1 && p1 < 1.0 && alpha > 0.0 && beta > 0.0 && alpha + beta < 1.0;
        if !inside {
            return None;
        }
        let misses = (-p0).ln_1p() - (-p1).ln_1p();
        let k = (p1 / p0).ln() + misses;
        Some(Self { slope: misses / k, upper: ((1.0 - beta) / alpha).ln() / k, lower: (beta / (1.0 - alpha)).ln() / k })
    }

    /// The decision after `events` in `trials`.
    ///
    /// # Source
    /// A. Wald (1945), Ann. Math. Stat. 16, 117-186.
    #[must_use]
    pub fn decide(&self, events: f64, trials: f64) -> Decision {
        let drift = events - self.slope * trials;
        if drift >= self.upper {
            Decision::Reject
        } else if drift <= self.lower {
            Decision::Accept
        } else {
            Decision::Continue
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #[test]
        fn on_the_lines_the_likelihood_ratio_is_walds(p0 in 0.001..0.5f64, ratio in 1.1..1.9f64, n in 1..1000_u32) {
            let (p1, n) = (p0 * ratio, f64::from(n));
            let test = BernoulliSprt::new(p0, p1, 0.05, 0.2).expect("inside");
            let log_ratio = |x: f64| x * (p1 / p0).ln() + (n - x) * ((1.0 - p1) / (1.0 - p0)).ln();
            prop_assert!((log_ratio(test.slope * n + test.upper) - 16.0_f64.ln()).abs() < 1e-8);
            prop_assert!((log_ratio(test.slope * n + test.lower) - (0.2_f64 / 0.95).ln()).abs() < 1e-8);
        }
    }

    #[test]
    fn outside_the_domain_there_is_none() {
        for (p0, p1, alpha, beta) in [(0.1, 0.1, 0.05, 0.1), (0.0, 0.1, 0.05, 0.1), (0.1, 0.2, 0.5, 0.5)] {
            assert!(BernoulliSprt::new(p0, p1, alpha, beta).is_none());
        }
    }

    #[test]
    fn errors_hold() {
        let test = BernoulliSprt::new(0.05, 0.15, 0.05, 0.1).expect("inside");
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let mut share = |rate: f64, wanted: Decision| {
            let hits = (0..4000).filter(|_| {
                let mut events = 0.0;
                let mut decisions = (1..).map(|n| {
                    events += f64::from(u8::from(random.random_bool(rate)));
                    test.decide(events, f64::from(n))
                });
                decisions.find(|decision| *decision != Decision::Continue) == Some(wanted)
            });
            hits.count() as f64 / 4000.0
        };
        assert!(share(0.05, Decision::Reject) < 0.06);
        assert!(share(0.15, Decision::Accept) < 0.115);
    }
}
