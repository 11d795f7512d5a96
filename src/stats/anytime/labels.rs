//! Events of two arms, at any time: each event is labelled by its arm, and under the null hypothesis with the arm's share of exposure.

use crate::stats::alternative::Sides;

use super::uniform::BetaBinomialMixture;

/// The statistic of the conditional test: the log likelihood ratio of the best raised share.
///
/// # Formula
/// `k ln(k / (m p)) + (m - k) ln((m - k) / (m (1 - p)))` where `k > m p`, else 0.
///
/// # Arguments
/// `events` of the watched arm among `total`; `share` of exposure of that arm, in (0, 1).
///
/// # Source
/// M. Kulldorff et al. (2011), Sequential Analysis 30, 58-78, section on binomial data.
///
/// # Example
/// 5 of 5 at a share of 1/2: `5 ln 2` = 3.466.
#[must_use]
pub fn log_likelihood_ratio(events: f64, total: f64, share: f64) -> f64 {
    if events <= total * share {
        return 0.0;
    }
    let part = |count: f64, expected: f64| if count > 0.0 { count * (count / expected).ln() } else { 0.0 };
    part(events, total * share) + part(total - events, total * (1.0 - share))
}

/// Chance that a watched count, event by event, ever reaches what signals.
///
/// # Formula
/// `signal(m)` is the smallest count that signals when `m` events have happened; counts that do leave, the others gain a label each.
///
/// # Arguments
/// `share` is the true chance that an event is the watched arm's.
///
/// # Accuracy
/// Exact recursion, about 1e-13; time grows with the square of `horizon`.
#[must_use]
pub fn signal_probability(horizon: u64, share: f64, signal: impl Fn(u64) -> u64) -> f64 {
    let mut quiet = vec![1.0];
    let mut signalled = 0.0;
    for total in 1..=horizon {
        let mut next = vec![0.0; quiet.len() + 1];
        for (count, probability) in quiet.iter().enumerate() {
            next[count] += probability * (1.0 - share);
            next[count + 1] += probability * share;
        }
        let stays = usize::try_from(signal(total)).unwrap_or(usize::MAX).min(next.len());
        signalled += next.drain(stays..).sum::<f64>();
        quiet = next;
    }
    signalled
}

/// The smallest count among `total` at which `crossed` holds, which once it holds stays so; above `total` if none.
fn smallest(total: u64, crossed: impl Fn(f64) -> bool) -> u64 {
    crate::stats::discrete::first_of(0, total + 1, |count| crossed(count as f64))
}

/// A conditional (binomial) `MaxSPRT`: the labels of up to `horizon` events are watched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BinomialMaxSprt {
    /// Events of both arms at the end of surveillance.
    pub horizon: u64,
    /// Share of the watched arm under the null hypothesis, in (0, 1).
    pub share: f64,
}

impl BinomialMaxSprt {
    /// The chance of a signal when an event is the watched arm's with probability `truth`.
    ///
    /// # Source
    /// Kulldorff et al. (2011).
    ///
    /// # Example
    /// 30 events at 1/2, critical value 2, `truth` 2/3: 0.658732 (R package Sequential, `Performance.Binomial`).
    #[must_use]
    pub fn signal_probability(&self, critical: f64, truth: f64) -> f64 {
        let signal = |total: u64| {
            smallest(total, |count| {
                count > total as f64 * self.share
                    && log_likelihood_ratio(count, total as f64, self.share) >= critical - 1e-12
            })
        };
        signal_probability(self.horizon, truth, signal)
    }

    /// The smallest critical value with an error of the first kind of at most `alpha`: it takes steps, so the error is mostly below.
    ///
    /// # Errors
    /// None outside the domain, or where even `horizon` events of the watched arm in a row are likelier than `alpha`.
    ///
    /// # Accuracy
    /// The smallest attainable statistic that keeps the level.
    #[must_use]
    pub fn critical_value(&self, alpha: f64) -> Option<f64> {
        let inside = self.horizon > 0 && self.share > 0.0 && self.share < 1.0 && alpha > 0.0 && alpha < 1.0;
        // The largest statistic is that of every event in the watched arm.
        let largest = -(self.horizon as f64) * self.share.ln();
        if !inside || self.signal_probability(largest, self.share) > alpha {
            return None;
        }
        let (mut low, mut high) = (0.0, largest);
        while high - low > 1e-9 {
            let middle = f64::midpoint(low, high);
            if self.signal_probability(middle, self.share) > alpha { low = middle } else { high = middle }
        }
        Some(high)
    }

    /// Whether `events` among `total` signal; `share` is that of exposure so far.
    #[must_use]
    pub fn signals(&self, events: f64, total: f64, share: f64, critical: f64) -> bool {
        events > total * share
            && total <= self.horizon as f64
            && log_likelihood_ratio(events, total, share) >= critical - 1e-9
    }
}

/// Logarithm of the e-value of `events` among `total` against a share of at most `share`: one-sided.
///
/// # Formula
/// The one-sided [`BetaBinomialMixture`] with `g = share`, `h = 1 - share`, tuned to `share (1 - share) planned`: a beta-binomial
/// (two-arm Dirichlet) likelihood over shares above the null, against the binomial one.
///
/// # Arguments
/// `0 <= events <= total`, fractions allowed; `share` in (0, 1); `planned > 0` events; `alpha` one-sided, in (0, 0.5). Outside: none.
///
/// # Accuracy
/// Exact at any stopping time, also where the intensity of events varies with time.
///
/// # Source
/// M. Lindon, A. Malek (2022), `NeurIPS` 35; H. Robbins (1970), Ann. Math. Stat. 41, 1397-1409.
///
/// # Example
/// Without events 0; one-sided log e-values of the library confseq are those of [`BetaBinomialMixture`].
#[must_use]
pub fn log_e_value(events: f64, total: f64, share: f64, planned: f64, alpha: f64) -> Option<f64> {
    let counted = (0.0..=total).contains(&events);
    let mixture = BetaBinomialMixture::tuned(share * (1.0 - share) * planned, alpha, share, 1.0 - share, Sides::One)?;
    counted.then(|| mixture.log_value_of_counts(events, total - events))
}

/// Chance that the e-value of [`log_e_value`] reaches `1 / alpha` before `horizon` events are over.
#[must_use]
pub fn e_value_power(horizon: u64, (null, truth): (f64, f64), planned: f64, alpha: f64) -> Option<f64> {
    log_e_value(0.0, 1.0, null, planned, alpha)?;
    let value = |count: f64, total: u64| log_e_value(count, total as f64, null, planned, alpha).unwrap_or(0.0);
    let signal = |total: u64| smallest(total, |count| value(count, total) >= -alpha.ln());
    Some(signal_probability(horizon, truth, signal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // R package Sequential 4.4: Performance.Binomial(N=30, M=1, cv=2, z=1, RR=2), the example of its manual.
    #[test]
    fn power_agrees_with_the_package_sequential() {
        let test = BinomialMaxSprt { horizon: 30, share: 0.5 };
        assert!((test.signal_probability(2.0, 2.0 / 3.0) - 0.658_732).abs() < 1e-6);
    }

    #[test]
    fn outside_the_domain_there_is_none() {
        assert!(BinomialMaxSprt { horizon: 4, share: 0.5 }.critical_value(0.05).is_none());
        assert!(BinomialMaxSprt { horizon: 5, share: 0.5 }.critical_value(0.05).is_some());
        assert!(BinomialMaxSprt { horizon: 0, share: 0.5 }.critical_value(0.05).is_none());
        assert!(log_e_value(2.0, 1.0, 0.5, 10.0, 0.05).is_none() && log_e_value(1.0, 1.0, 1.0, 10.0, 0.05).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        // Every sequence of labels, one by one.
        #[test]
        fn the_recursion_counts_sequences(horizon in 1..12_u64, share in 0.02..0.8f64, truth in 0.0..=1.0f64, critical in 0.2..5.0f64) {
            let test = BinomialMaxSprt { horizon, share };
            let mut expected = 0.0;
            for sequence in 0..1_u64 << horizon {
                let (mut count, mut probability, mut signalled) = (0.0, 1.0, false);
                for event in 0..horizon {
                    let mine = sequence >> event & 1 == 1;
                    count += f64::from(u8::from(mine));
                    probability *= if mine { truth } else { 1.0 - truth };
                    signalled |= test.signals(count, (event + 1) as f64, share, critical);
                }
                expected += if signalled { probability } else { 0.0 };
            }
            prop_assert!((test.signal_probability(critical, truth) - expected).abs() < 1e-9);
        }

        #[test]
        fn the_critical_value_keeps_the_level(horizon in 1..200_u64, share in 0.01..0.6f64, alpha in 0.001..0.2f64) {
            let test = BinomialMaxSprt { horizon, share };
            if let Some(critical) = test.critical_value(alpha) {
                prop_assert!(test.signal_probability(critical, share) <= alpha);
                prop_assert!(critical < 1e-6 || test.signal_probability(critical - 1e-6, share) > alpha);
            }
        }

        #[test]
        fn e_values_cross_rarely(share in 0.01..0.9f64, planned in 1.0..300.0f64, alpha in 0.001..0.4f64) {
            let crossed = e_value_power(150, (share, share), planned, alpha).expect("inside");
            prop_assert!(crossed <= alpha, "{crossed}");
            let less = e_value_power(150, (share, 0.8 * share), planned, alpha).expect("inside");
            prop_assert!(less <= crossed, "{less} {crossed}");
        }
    }
}
