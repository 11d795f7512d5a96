//! Exact group-sequential boundaries of counts of events.

use statrs::distribution::{Binomial, Discrete, Poisson};

use crate::domain::gate::Spending;

/// States and increments less likely than this are dropped; what they weigh is counted as spent.
const NEGLIGIBLE: f64 = 1e-18;

/// The boundary of a growing count, look by look: what a look may spend is known only when it comes.
///
/// # Formula
/// At a look with cumulative error `A(t)`: the smallest `c` with `P(count >= c, never past a boundary before) <= A(t) - spent so far`.
/// Counts past it leave; the law of the others gains independent increments until the next look.
///
/// # Accuracy
/// Exact, about 1e-14; the error is never above `alpha`. Valid where increments and fractions do not depend on the count: labels of
/// events (which arm each falls into) do not, given how many events there are.
///
/// # Source
/// C. Jennison, B. W. Turnbull (2000), Group Sequential Methods, chapter 12; spending by K. K. G. Lan, D. L. `DeMets` (1983), Biometrika
/// 70, 659-663.
///
/// # Example
/// One look at the full fraction with 20 events of share 1/2 and `alpha` 0.05: 15, as the exact binomial test (`P(X >= 15)` = 0.0207).
#[derive(Debug, Clone, PartialEq)]
pub struct CountBoundary {
    alpha: f64,
    spending: Spending,
    /// Probabilities of counts from `first` on without a crossing.
    quiet: Vec<f64>,
    first: u64,
    spent: f64,
}

impl CountBoundary {
    /// Before the first look. `alpha` one-sided, in (0, 1).
    #[must_use]
    pub fn new(alpha: f64, spending: Spending) -> Self {
        Self { alpha, spending, quiet: vec![1.0], first: 0, spent: 0.0 }
    }

    /// The count that fails at a look with `new` more events, each counted with probability `share` under the null hypothesis.
    ///
    /// `fraction` of the planned information has been seen; from 1 on everything left is spent.
    pub fn binomial_look(&mut self, new: u64, share: f64, fraction: f64) -> u64 {
        let law = Binomial::new(share.clamp(0.0, 1.0), new).expect("a share lies between 0 and 1");
        self.look(&masses(|count| law.pmf(count), (new as f64 * share) as u64, new), fraction)
    }

    /// The count that fails at a look at which `mean` more events are expected under the null hypothesis.
    pub fn poisson_look(&mut self, mean: f64, fraction: f64) -> u64 {
        match Poisson::new(mean) {
            Ok(law) => self.look(&masses(|count| law.pmf(count), mean as u64, u64::MAX), fraction),
            Err(_) => self.look(&(0, vec![1.0]), fraction),
        }
    }

    /// Error spent so far.
    #[must_use]
    pub fn spent(&self) -> f64 {
        self.spent
    }

    fn look(&mut self, (least, masses): &(u64, Vec<f64>), fraction: f64) -> u64 {
        let mut grown = vec![0.0; self.quiet.len() + masses.len() - 1];
        for (at, probability) in self.quiet.iter().enumerate() {
            for (sum, mass) in grown[at..].iter_mut().zip(masses) {
                *sum += probability * mass;
            }
        }
        self.first += least;
        let allowed = self.spending.spent(fraction.min(1.0), self.alpha) - self.spent;
        let (mut kept, mut leaves) = (grown.len(), 0.0);
        while kept > 0 && leaves + grown[kept - 1] <= allowed {
            kept -= 1;
            leaves += grown[kept];
        }
        let boundary = self.first + kept as u64;
        self.spent += leaves;
        grown.truncate(kept);
        // What is too small to matter is not carried on: it could not reach a boundary that matters.
        let small = grown.iter().take_while(|probability| **probability < NEGLIGIBLE).count();
        self.quiet = grown.split_off(small.min(grown.len().saturating_sub(1)));
        self.first += small.min(kept.saturating_sub(1)) as u64;
        if self.quiet.is_empty() {
            // Everything has crossed: nothing is left to cross.
            (self.quiet, self.first) = (vec![0.0], boundary);
        }
        boundary
    }
}

/// Masses of a law with one mode from the first that matters on, and which count that is.
fn masses(mass: impl Fn(u64) -> f64, mode: u64, most: u64) -> (u64, Vec<f64>) {
    let below = (0..mode).rev().map(&mass).take_while(|mass| *mass > NEGLIGIBLE);
    let mut masses: Vec<f64> = below.collect();
    let least = mode - masses.len() as u64;
    masses.reverse();
    masses.push(mass(mode));
    masses.extend((mode..most).map(|count| mass(count + 1)).take_while(|mass| *mass > NEGLIGIBLE));
    (least, masses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::Distribution;

    use crate::stats::alternative::Alternative;
    use crate::stats::proportion::exact;

    proptest! {
        #[test]
        fn one_look_is_the_exact_binomial_test(events in 1..400_u64, share in 0.01..0.99f64, alpha in 0.001..0.3f64) {
            let critical = CountBoundary::new(alpha, Spending::Pocock).binomial_look(events, share, 1.0);
            if critical <= events {
                prop_assert!(exact::test(critical, events, share, Alternative::Greater) <= alpha + 1e-12);
            }
            if critical > 0 {
                prop_assert!(exact::test(critical - 1, events, share, Alternative::Greater) > alpha - 1e-12);
            }
        }

        #[test]
        fn looks_never_spend_more_than_they_may(
            looks in prop::collection::vec(0..40_u64, 1..30), share in 0.01..0.9f64, alpha in 0.001..0.3f64,
        ) {
            let total: u64 = looks.iter().sum::<u64>().max(1);
            let mut boundary = CountBoundary::new(alpha, Spending::ObrienFleming);
            let (mut seen, mut last) = (0, 0);
            for new in looks {
                seen += new;
                let fraction = seen as f64 / total as f64;
                let critical = boundary.binomial_look(new, share, fraction);
                prop_assert!(boundary.spent() <= Spending::ObrienFleming.spent(fraction, alpha) + 1e-12);
                prop_assert!(new > 0 || critical <= last || last == 0);
                last = critical;
            }
        }
    }

    // The whole process, simulated: crossings at any of 20 looks happen as often as was spent.
    #[test]
    fn simulated_counts_cross_as_often_as_is_spent() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let (share, looks, runs) = (0.2, 20, 20_000);
        let poisson = rand_distr::Poisson::new(2.5).expect("a mean");
        let mut boundary = CountBoundary::new(0.05, Spending::Pocock);
        let labels: Vec<u64> =
            (1..=looks).map(|look| boundary.binomial_look(5, share, f64::from(look) / f64::from(looks))).collect();
        let spent = boundary.spent();
        let mut boundary_of_counts = CountBoundary::new(0.05, Spending::Pocock);
        let counts: Vec<u64> =
            (1..=looks).map(|look| boundary_of_counts.poisson_look(2.5, f64::from(look) / f64::from(looks))).collect();
        let spent_of_counts = boundary_of_counts.spent();
        let (mut crossed, mut crossed_counts) = (0, 0);
        for _ in 0..runs {
            let mut count = 0;
            crossed += usize::from(labels.iter().any(|&critical| {
                count += (0..5).filter(|_| random.random_bool(share)).count() as u64;
                count >= critical
            }));
            let mut total = 0.0;
            crossed_counts += usize::from(counts.iter().any(|&critical| {
                total += poisson.sample(&mut random);
                total as u64 >= critical
            }));
        }
        for (crossed, spent) in [(crossed, spent), (crossed_counts, spent_of_counts)] {
            let rate = crossed as f64 / f64::from(runs);
            assert!((rate - spent).abs() < 4.0 * (spent / f64::from(runs)).sqrt() && spent > 0.03, "{rate} {spent}");
        }
    }

    #[test]
    fn without_events_nothing_fails() {
        let mut boundary = CountBoundary::new(0.05, Spending::Pocock);
        assert_eq!(boundary.binomial_look(0, 0.3, 0.5), 1);
        assert_eq!(boundary.poisson_look(0.0, 0.6), 1);
        assert!(boundary.spent().abs() < 1e-300);
    }
}
