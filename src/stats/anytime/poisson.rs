//! Rare events against an expected count, at any time: the maximised sequential probability ratio test.

use statrs::function::gamma::ln_gamma;

use super::uniform::{GammaPoissonMixture, Mixture};
use crate::stats::root;

/// The test's statistic: the log likelihood ratio of the best raised rate.
///
/// # Formula
/// `c ln(c / mu) - (c - mu)` where `c > mu`, else 0.
///
/// # Arguments
/// `events >= 0` counted so far; `expected > 0`, their mean under the null hypothesis.
///
/// # Source
/// M. Kulldorff, R. L. Davis, M. Kolczak, E. Lewis, T. Lieu, R. Platt (2011), Sequential Analysis 30, 58-78.
///
/// # Example
/// 5 events where 1 is expected: `5 ln 5 - 4` = 4.047.
#[must_use]
pub fn log_likelihood_ratio(events: f64, expected: f64) -> f64 {
    if events > expected { events * (events / expected).ln() - (events - expected) } else { 0.0 }
}

/// Logarithm of the e-value of `events` where `expected` are expected under the null hypothesis: one-sided.
///
/// # Formula
/// The [`GammaPoissonMixture`] with jumps of 1, tuned to `planned` expected events.
///
/// # Arguments
/// `events >= 0`; `expected >= 0`; `planned > 0`; `alpha` one-sided, in (0, 0.5). Outside: none.
///
/// # Accuracy
/// Exact at any stopping time of a Poisson process.
///
/// # Source
/// Howard, Ramdas, `McAuliffe`, Sekhon (2021), Ann. Stat. 49, 1055-1080.
///
/// # Example
/// Nothing seen and nothing expected: 0.
#[must_use]
pub fn log_e_value(events: f64, expected: f64, planned: f64, alpha: f64) -> Option<f64> {
    let mixture = GammaPoissonMixture::tuned(planned, alpha, 1.0)?;
    (events >= 0.0 && expected >= 0.0).then(|| mixture.log_value(events - expected, expected))
}

/// A Poisson `MaxSPRT`: events are watched until `horizon` of them are expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaxSprt {
    /// Expected number of events, under the null hypothesis, at the end of surveillance; positive.
    pub horizon: f64,
    /// Events before which there is no signal, at least 1.
    pub min_events: u32,
}

impl MaxSprt {
    /// The probability of a signal when events are `relative_risk` times as frequent as expected.
    ///
    /// # Formula
    /// The test signals when event `c >= min_events` happens before the expected count `mu_c` at which the statistic of `c` events falls to
    /// `critical`. Between those times the count of a process without a signal gains independent Poisson increments.
    ///
    /// # Arguments
    /// `critical >= 0`; `relative_risk > 0`, 1 for the error of the first kind. Outside, or where the horizon is not positive and
    /// finite: not a number.
    ///
    /// # Accuracy
    /// Exact recursion, about 1e-13; time grows with the square of the horizon.
    ///
    /// # Source
    /// Kulldorff et al. (2011).
    ///
    /// # Example
    /// Horizon 1, from the first event on, critical 2.853937: 0.05.
    #[must_use]
    pub fn signal_probability(&self, critical: f64, relative_risk: f64) -> f64 {
        let finite = |value: f64| value > 0.0 && value.is_finite();
        if !finite(self.horizon) || !finite(relative_risk) || critical < 0.0 || critical.is_nan() {
            return f64::NAN;
        }
        // Probabilities of 0, 1, ... events and no signal yet.
        let mut quiet = vec![1.0];
        let mut signalled = 0.0;
        let mut reached = 0.0;
        for events in u64::from(self.min_events.max(1)).. {
            let limit = latest_signal(events, critical).min(self.horizon);
            let most = usize::try_from(events).unwrap_or(usize::MAX);
            let (next, lost) = after_increment(&quiet, (limit - reached) * relative_risk, most);
            signalled += lost;
            (quiet, reached) = (next, limit);
            if limit >= self.horizon {
                break;
            }
        }
        signalled
    }

    /// The critical value of the statistic that makes the error of the first kind `alpha`.
    ///
    /// # Arguments
    /// `alpha` in (0, 1), one-sided.
    ///
    /// # Errors
    /// None where `alpha` or the horizon is out of range, or where even a critical value of 0 signals less often than `alpha`.
    ///
    /// # Accuracy
    /// About 1e-12: equal to the stored table of the R package Sequential.
    ///
    /// # Source
    /// Kulldorff et al. (2011), table 1.
    ///
    /// # Example
    /// `alpha` 0.05, from the first event on: 2.853937003261619 for a horizon of 1, 3.8199026939200804 for 50.
    #[must_use]
    pub fn critical_value(&self, alpha: f64) -> Option<f64> {
        let reachable = self.signal_probability(0.0, 1.0) >= alpha;
        if alpha <= 0.0 || alpha >= 1.0 || !reachable {
            return None;
        }
        let slack = |critical: f64| alpha - self.signal_probability(critical, 1.0);
        let mut high = 4.0;
        while slack(high) < 0.0 {
            high *= 2.0;
        }
        root::bracketed(slack, (0.0, high))
    }

    /// Whether `events` signal at the look at which `expected` of them are expected.
    ///
    /// # Source
    /// M. Kulldorff et al. (2011), Sequential Analysis 30, 58-78.
    #[must_use]
    pub fn signals(&self, events: f64, expected: f64, critical: f64) -> bool {
        let watched = events >= f64::from(self.min_events.max(1)) && expected <= self.horizon;
        watched && events > expected && log_likelihood_ratio(events, expected) >= critical
    }
}

/// The expected count up to which event number `events` signals: `mu <= c` with `c ln(c / mu) - (c - mu) = critical`.
fn latest_signal(events: u64, critical: f64) -> f64 {
    let c = events as f64;
    // In x = ln(c / mu) the statistic is c (x - 1 + exp(-x)), increasing.
    let share = critical / c;
    let x = root::bracketed(|x: f64| x + (-x).exp_m1() - share, (0.0, share + 1.0)).unwrap_or(f64::NAN);
    c * (-x).exp()
}

/// Adds a Poisson increment; states of `most` events or more leave as a signal.
fn after_increment(quiet: &[f64], mean: f64, most: usize) -> (Vec<f64>, f64) {
    let mass = |k: usize| {
        let k = k as f64;
        if mean > 0.0 { (k * mean.ln() - mean - ln_gamma(k + 1.0)).exp() } else { f64::from(u8::from(k == 0.0)) }
    };
    // Past the mode, increments that weigh nothing end the list: time then grows with the square of the horizon.
    let matters = |&(k, mass): &(usize, f64)| (k as f64) <= mean || mass > 1e-30;
    let increments: Vec<f64> = (0..most).map(|k| (k, mass(k))).take_while(matters).map(|(_, mass)| mass).collect();
    let state = |now: usize| {
        let from = (now + 1).saturating_sub(increments.len());
        let before = quiet.iter().enumerate().take(now + 1).skip(from);
        before.map(|(then, probability)| probability * increments[now - then]).sum()
    };
    let next: Vec<f64> = (0..most).map(state).collect();
    let lost = quiet.iter().sum::<f64>() - next.iter().sum::<f64>();
    (next, lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_critical_value_spends_alpha(alpha in 0.001..0.2f64, horizon in 0.5..20.0f64, min_events in 1..4_u32) {
            let test = MaxSprt { horizon, min_events };
            match test.critical_value(alpha) {
                Some(critical) => prop_assert!((test.signal_probability(critical, 1.0) - alpha).abs() < 1e-10),
                None => prop_assert!(test.signal_probability(0.0, 1.0) < alpha),
            }
        }

        #[test]
        fn the_last_signal_is_where_the_statistic_is(events in 1..200_u64, critical in 0.01..8.0f64) {
            let mu = latest_signal(events, critical);
            prop_assert!((log_likelihood_ratio(events as f64, mu) / critical - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn errors_and_edges() {
        // Too short for three events to happen often enough.
        assert!(MaxSprt { horizon: 0.1, min_events: 3 }.critical_value(0.05).is_none());
        assert!(MaxSprt { horizon: 1.0, min_events: 1 }.critical_value(0.0).is_none());
        let test = MaxSprt { horizon: 1.0, min_events: 2 };
        assert!(!test.signals(1.0, 0.01, 2.0) && test.signals(2.0, 0.01, 2.0) && !test.signals(20.0, 1.1, 2.0));
    }

    // Kulldorff's process itself, event by event.
    #[test]
    fn simulated_processes_signal_as_often() {
        let test = MaxSprt { horizon: 10.0, min_events: 1 };
        let critical = test.critical_value(0.05).expect("reachable");
        let mut random = ChaCha8Rng::seed_from_u64(9);
        let runs = 20_000;
        for (risk, tolerance) in [(1.0, 0.005), (2.0, 0.012)] {
            let signalled = (0..runs)
                .filter(|_| {
                    let mut expected = 0.0;
                    (1..).find_map(|events| {
                        expected -= (1.0 - random.random::<f64>()).ln() / risk;
                        let signal = test.signals(f64::from(events), expected, critical);
                        (signal || expected > test.horizon).then_some(signal)
                    }) == Some(true)
                })
                .count();
            let exact = test.signal_probability(critical, risk);
            assert!((signalled as f64 / f64::from(runs) - exact).abs() < tolerance, "{signalled}: {exact}");
        }
    }
}
