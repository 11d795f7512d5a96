//! Exact tests on a discrete law with one mode: p-values by tails, or by the order of probabilities.

use super::alternative::Alternative;
use statrs::distribution::{Binomial, Discrete, DiscreteCDF};

/// Outcomes as likely as the observed one up to this relative error count as tied with it.
const TIE: f64 = 1e-7;

/// A law on whole numbers `low..=high` whose probabilities rise to one mode and fall after it.
pub(crate) struct Law {
    low: u64,
    high: u64,
    mode: u64,
    mass: Box<dyn Fn(u64) -> f64>,
    /// `P(X <= k)`.
    below: Box<dyn Fn(u64) -> f64>,
    /// `P(X > k)`.
    above: Box<dyn Fn(u64) -> f64>,
}

/// The binomial law; `share` in [0, 1].
pub(crate) fn binomial(trials: u64, share: f64) -> Law {
    let law = Binomial::new(share, trials).expect("a share lies in [0, 1]");
    let mode = ((trials as f64 + 1.0) * share).floor().min(trials as f64);
    let (first, second, third) = (law, law, law);
    Law {
        low: 0,
        high: trials,
        mode: whole(mode),
        mass: Box::new(move |k| first.pmf(k)),
        below: Box::new(move |k| second.cdf(k)),
        above: Box::new(move |k| third.sf(k)),
    }
}

/// A whole number that a floating point holds.
pub(crate) fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

/// The hypergeometric law: marked units among `drawn` out of `total` of which `marked` are.
pub(crate) fn hypergeometric(total: u64, marked: u64, drawn: u64) -> Law {
    let low = (marked + drawn).saturating_sub(total);
    let high = marked.min(drawn);
    let mode = whole((marked as f64 + 1.0) * (drawn as f64 + 1.0) / (total as f64 + 2.0)).clamp(low, high);
    let weights = hypergeometric_weights(total, marked, drawn, (low, mode, high));
    let sum: f64 = weights.iter().sum();
    let masses: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
    let place = move |k: u64| usize::try_from(k - low).unwrap_or(usize::MAX);
    let (first, second, third) = (masses.clone(), masses.clone(), masses);
    Law {
        low,
        high,
        mode,
        mass: Box::new(move |k| first[place(k)]),
        below: Box::new(move |k| second[..=place(k)].iter().sum::<f64>().min(1.0)),
        above: Box::new(move |k| third[place(k) + 1..].iter().rev().sum()),
    }
}

/// Probabilities relative to the mode's, by the ratio of neighbours.
fn hypergeometric_weights(total: u64, marked: u64, drawn: u64, (low, mode, high): (u64, u64, u64)) -> Vec<f64> {
    let (n, m, d) = (total as f64, marked as f64, drawn as f64);
    // P(k + 1) / P(k).
    let ratio = |k: u64| {
        let k = k as f64;
        (m - k) * (d - k) / ((k + 1.0) * (n - m - d + k + 1.0))
    };
    let mut down = Vec::new();
    let mut weight = 1.0;
    for k in (low..mode).rev() {
        weight /= ratio(k);
        down.push(weight);
    }
    down.reverse();
    down.push(1.0);
    weight = 1.0;
    for k in mode..high {
        weight *= ratio(k);
        down.push(weight);
    }
    down
}

impl Law {
    /// `P(X < k)`.
    fn under(&self, k: u64) -> f64 {
        if k <= self.low { 0.0 } else { (self.below)(k - 1) }
    }

    /// `P(X >= k)`.
    fn from(&self, k: u64) -> f64 {
        if k <= self.low { 1.0 } else { (self.above)(k - 1) }
    }

    /// The exact p-value of an outcome; two-sided by the order of probabilities, as R's exact tests.
    pub(crate) fn p_value(&self, observed: u64, alternative: Alternative) -> f64 {
        match alternative {
            Alternative::Less => (self.below)(observed),
            Alternative::Greater => self.from(observed),
            Alternative::TwoSided => {
                let (below, above) = self.as_unlikely((self.mass)(observed) * (1.0 + TIE));
                self.outside(below, above).min(1.0)
            }
        }
    }

    /// The mid-p value: outcomes tied with the observed one count half.
    pub(crate) fn mid_p_value(&self, observed: u64, alternative: Alternative) -> f64 {
        let exact = self.p_value(observed, alternative);
        if alternative != Alternative::TwoSided {
            return exact - 0.5 * (self.mass)(observed);
        }
        let mass = (self.mass)(observed);
        let (below, above) = self.as_unlikely(mass * (1.0 - TIE));
        0.5 * (exact + self.outside(below, above).min(1.0))
    }

    /// Probability of all outcomes under the first or from the second bound on.
    fn outside(&self, below: u64, above: u64) -> f64 {
        if below >= above { 1.0 } else { self.under(below) + if above > self.high { 0.0 } else { self.from(above) } }
    }

    /// Bounds of the outcomes no more likely than `mass`: all under the first, all from the second on.
    fn as_unlikely(&self, mass: f64) -> (u64, u64) {
        let unlikely = |k: u64| (self.mass)(k) <= mass;
        let below = first_of(self.low, self.mode, |k| !unlikely(k));
        let above = first_of(self.mode, self.high + 1, unlikely);
        (below, above)
    }
}

/// The first number in `low..high` that has a property which, once had, stays; `high` if none has.
pub(crate) fn first_of(mut low: u64, mut high: u64, has: impl Fn(u64) -> bool) -> u64 {
    while low < high {
        let middle = low + (high - low) / 2;
        if has(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, outcome by outcome.
    fn plain(law: &Law, observed: u64) -> f64 {
        let bound = (law.mass)(observed) * (1.0 + TIE);
        (law.low..=law.high).map(|k| (law.mass)(k)).filter(|mass| *mass <= bound).sum()
    }

    proptest! {
        #[test]
        fn two_sided_p_values_are_their_definition(n in 1u64..120, share in 0.0..=1.0f64, part in 0.0..=1.0f64) {
            let law = binomial(n, share);
            let observed = whole((n as f64 * part).round());
            prop_assert!((law.p_value(observed, Alternative::TwoSided) - plain(&law, observed)).abs() < 1e-9);
            let mid = law.mid_p_value(observed, Alternative::TwoSided);
            prop_assert!(mid <= law.p_value(observed, Alternative::TwoSided) + 1e-12 && mid >= 0.0);
        }

        #[test]
        fn hypergeometric_masses_add_to_one(total in 1u64..200, marked in 0.0..=1.0f64, drawn in 0.0..=1.0f64, part in 0.0..=1.0f64) {
            let of = |share: f64| whole((total as f64 * share).round());
            let law = hypergeometric(total, of(marked), of(drawn));
            prop_assert!(((law.below)(law.high) - 1.0).abs() < 1e-12);
            let observed = law.low + whole(((law.high - law.low) as f64 * part).round());
            prop_assert!((law.p_value(observed, Alternative::TwoSided) - plain(&law, observed)).abs() < 1e-9);
        }
    }
}
