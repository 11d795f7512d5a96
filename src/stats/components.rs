//! What a value's variance is made of, where units have several requests and requests several outputs.

use std::ops::{Add, Sub};

/// The outputs of one request that have a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Repeated {
    /// How many there are.
    pub outputs: f64,
    /// Sum of their values.
    pub sum: f64,
    /// Sum of their squares.
    pub squares: f64,
}

/// An estimate with its standard error over units; none with fewer than three of them, or where they are all alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Component {
    /// The variance; not negative.
    pub variance: f64,
    /// Its standard error.
    pub se: Option<f64>,
}

/// Components of the variance of one output of one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Components {
    /// Between units; with one request each, between requests too, which cannot then be told apart.
    pub units: Component,
    /// Between requests of a unit, in what is expected of their outputs; `None` where no unit has two.
    pub requests: Option<Component>,
    /// Between outputs of a request.
    pub outputs: Component,
}

/// Components of variance of nested data by analysis of variance: outputs in requests in units.
///
/// # Formula
/// `outputs = mean of s_r²` over the requests with two outputs or more, `s_r²` the sample variance of a request's outputs. Of the requests'
/// means, with `MSB` and `MSW` their mean squares between and within units and `m0` the effective number of requests per unit:
/// `requests = MSW - mean of s_r²/k_r` (of `k_r` outputs; the mean `s²` where there is one), `units = (MSB - MSW) / m0`. With one request per unit,
/// `units = MSB - mean of s_r²/k_r`. Estimates below zero are zero. Every request counts alike, however many outputs it has. Standard errors
/// are the jackknife's over units, of the estimates before they are cut at zero.
///
/// # Arguments
/// Requests of each unit; those without outputs are left out, and units without requests.
///
/// # Errors
/// `None` with fewer than two units, or without a request with two outputs.
///
/// # Source
/// S. R. Searle, G. Casella, C. E. `McCulloch` (1992), Variance Components, chapter 3; J. N. Arvesen (1969), Ann. Math. Stat. 40, 2076-2100, for the
/// jackknife.
///
/// # Example
/// Dyestuff (O. L. Davies, P. L. Goldsmith 1972): six batches of one sample with five measurements have components 1764.05 between and 2451.25
/// within. Pastes (the same): ten batches, three casks of each, two tests have 1.657, 8.434 and 0.678 (lme4, REML; the same for balanced data).
#[must_use]
pub fn nested(units: &[Vec<Repeated>]) -> Option<Components> {
    let units: Vec<Totals> =
        units.iter().map(|requests| Totals::of(requests)).filter(|unit| unit.units > 0.0).collect();
    let all = units.iter().fold(Totals::default(), |all, &unit| all + unit);
    let found = all.components()?;
    let without: Vec<[Option<f64>; 3]> = units.iter().filter_map(|&unit| (all - unit).components()).collect();
    let component = |index: usize| {
        let values: Vec<f64> = without.iter().filter_map(|found| found[index]).collect();
        // A component that hangs on one unit has no error that could be told.
        let se = (values.len() == units.len() && values.len() > 2).then(|| jackknife(&values));
        // Without a single difference there is no telling how rare one is.
        let se = se.filter(|&se| se > 0.0);
        found[index].map(|variance| Component { variance: variance.max(0.0), se })
    };
    Some(Components { units: component(0)?, requests: component(1), outputs: component(2)? })
}

fn jackknife(without_one: &[f64]) -> f64 {
    let k = without_one.len() as f64;
    let mean = without_one.iter().sum::<f64>() / k;
    ((k - 1.0) / k * without_one.iter().map(|value| (value - mean).powi(2)).sum::<f64>()).sqrt()
}

/// What adds up over units.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    units: f64,
    /// Requests, and the sum over units of their squared number.
    requests: f64,
    requests2: f64,
    /// Of the requests' means: sum, sum of squares, and over units the squared sum by the number of requests.
    sum: f64,
    squares: f64,
    by_unit: f64,
    /// Requests with several outputs, their variances, and those by the number of outputs.
    repeated: f64,
    variances: f64,
    of_means: f64,
}

impl Totals {
    fn of(requests: &[Repeated]) -> Self {
        let mut unit = Self::default();
        for request in requests.iter().filter(|request| request.outputs > 0.0) {
            let (k, mean) = (request.outputs, request.sum / request.outputs);
            unit.requests += 1.0;
            unit.sum += mean;
            unit.squares += mean * mean;
            if k > 1.0 {
                let variance = (request.squares - request.sum * mean).max(0.0) / (k - 1.0);
                unit.repeated += 1.0;
                unit.variances += variance;
                unit.of_means += variance / k;
            }
        }
        if unit.requests > 0.0 {
            unit.units = 1.0;
            unit.requests2 = unit.requests * unit.requests;
            unit.by_unit = unit.sum * unit.sum / unit.requests;
        }
        unit
    }

    fn parts(self) -> [f64; 9] {
        [
            self.units,
            self.requests,
            self.requests2,
            self.sum,
            self.squares,
            self.by_unit,
            self.repeated,
            self.variances,
            self.of_means,
        ]
    }

    fn from_parts(
        [units, requests, requests2, sum, squares, by_unit, repeated, variances, of_means]: [f64; 9],
    ) -> Self {
        Self { units, requests, requests2, sum, squares, by_unit, repeated, variances, of_means }
    }

    /// Of units, requests and outputs, before they are cut at zero.
    fn components(self) -> Option<[Option<f64>; 3]> {
        if self.units < 2.0 || self.repeated < 1.0 {
            return None;
        }
        let outputs = self.variances / self.repeated;
        // What the outputs leave in a request's mean.
        let left = (self.of_means + (self.requests - self.repeated) * outputs) / self.requests;
        let between = (self.by_unit - self.sum * self.sum / self.requests) / (self.units - 1.0);
        if self.requests <= self.units {
            return Some([Some(between - left), None, Some(outputs)]);
        }
        let within = (self.squares - self.by_unit) / (self.requests - self.units);
        let size = (self.requests - self.requests2 / self.requests) / (self.units - 1.0);
        Some([Some((between - within) / size), Some(within - left), Some(outputs)])
    }
}

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (a, b) = (self.parts(), other.parts());
        Self::from_parts(std::array::from_fn(|part| a[part] + b[part]))
    }
}

impl Sub for Totals {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let (a, b) = (self.parts(), other.parts());
        Self::from_parts(std::array::from_fn(|part| a[part] - b[part]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn repeated(values: &[f64]) -> Repeated {
        let squares = values.iter().map(|value| value * value).sum();
        Repeated { outputs: values.len() as f64, sum: values.iter().sum(), squares }
    }

    /// `O. L. Davies, P. L. Goldsmith (1972), Statistical Methods in Research and Production`: yields of dyestuff.
    const DYESTUFF: [[f64; 5]; 6] = [
        [1545.0, 1440.0, 1440.0, 1520.0, 1580.0],
        [1540.0, 1555.0, 1490.0, 1560.0, 1495.0],
        [1595.0, 1550.0, 1605.0, 1510.0, 1560.0],
        [1445.0, 1440.0, 1595.0, 1465.0, 1545.0],
        [1595.0, 1630.0, 1515.0, 1635.0, 1625.0],
        [1520.0, 1455.0, 1450.0, 1480.0, 1445.0],
    ];

    /// The same: strengths of paste, two tests of three casks of ten batches.
    const PASTES: [[f64; 6]; 10] = [
        [62.8, 62.6, 60.1, 62.3, 62.7, 63.1],
        [60.0, 61.4, 57.5, 56.9, 61.1, 58.9],
        [58.7, 57.5, 63.9, 63.1, 65.4, 63.7],
        [57.1, 56.4, 56.9, 58.6, 64.7, 64.5],
        [55.1, 55.1, 54.7, 54.2, 58.8, 57.5],
        [63.4, 64.9, 59.3, 58.1, 60.5, 60.0],
        [62.5, 62.6, 61.0, 58.7, 56.9, 57.7],
        [59.2, 59.4, 65.2, 66.0, 64.8, 64.1],
        [54.8, 54.8, 64.0, 64.0, 57.7, 56.8],
        [58.3, 59.3, 59.2, 59.2, 58.9, 56.6],
    ];

    #[test]
    fn published_components() {
        let dyestuff: Vec<Vec<Repeated>> = DYESTUFF.iter().map(|batch| vec![repeated(batch)]).collect();
        let found = nested(&dyestuff).unwrap();
        assert!((found.units.variance - 1764.05).abs() < 1e-6 && found.requests.is_none(), "{found:?}");
        assert!((found.outputs.variance - 2451.25).abs() < 1e-6, "{found:?}");
        let pastes: Vec<Vec<Repeated>> = PASTES.iter().map(|batch| batch.chunks(2).map(repeated).collect()).collect();
        let found = nested(&pastes).unwrap();
        let shown = [found.units, found.requests.unwrap(), found.outputs].map(|component| component.variance);
        for (found, expected) in shown.into_iter().zip([1.657, 8.434, 0.678]) {
            assert!((found - expected).abs() < 5e-4, "{shown:?}");
        }
    }

    #[test]
    fn the_jackknife_of_means_of_variances_is_their_standard_error() {
        // Without weights, the mean over batches of their variances: the jackknife is the usual standard error of a mean.
        let dyestuff: Vec<Vec<Repeated>> = DYESTUFF.iter().map(|batch| vec![repeated(batch)]).collect();
        let variances = DYESTUFF.map(|batch| {
            let mean = batch.iter().sum::<f64>() / 5.0;
            batch.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 4.0
        });
        let mean = variances.iter().sum::<f64>() / 6.0;
        let se = (variances.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 5.0 / 6.0).sqrt();
        assert!((nested(&dyestuff).unwrap().outputs.se.unwrap() - se).abs() < 1e-6);
    }

    #[test]
    fn too_little_is_none() {
        assert_eq!(nested(&[vec![repeated(&[1.0, 2.0])], vec![]]), None);
        assert_eq!(nested(&[vec![repeated(&[1.0])], vec![repeated(&[2.0])]]), None);
        let two = nested(&[vec![repeated(&[1.0, 2.0])], vec![repeated(&[2.0, 2.0])]]).unwrap();
        assert_eq!((two.outputs.se, two.units.se), (None, None));
    }

    proptest! {
        #[test]
        fn components_move_with_the_scale_and_not_with_the_level(
            units in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(-5.0..5.0_f64, 1..5), 1..4), 4..8
            ),
            shift in -5.0..5.0_f64, scale in 0.2..4.0_f64,
        ) {
            let of = |change: &dyn Fn(f64) -> f64| {
                let request = |values: &Vec<f64>| repeated(&values.iter().map(|&value| change(value)).collect::<Vec<_>>());
                nested(&units.iter().map(|unit| unit.iter().map(request).collect()).collect::<Vec<_>>())
            };
            let (plain, moved) = (of(&|value| value), of(&|value| shift + scale * value));
            prop_assert_eq!(plain.is_some(), moved.is_some());
            if let (Some(plain), Some(moved)) = (plain, moved) {
                let close = |a: Component, b: Component| {
                    let se = (a.se.unwrap_or(0.0), b.se.unwrap_or(0.0));
                    (scale * scale * a.variance - b.variance).abs() < 1e-6 && (scale * scale * se.0 - se.1).abs() < 1e-6
                };
                prop_assert!(close(plain.units, moved.units) && close(plain.outputs, moved.outputs), "{plain:?} {moved:?}");
                prop_assert_eq!(plain.requests.is_some(), moved.requests.is_some());
            }
        }
    }

    #[test]
    fn estimates_what_was_simulated_and_how_sure_it_is() {
        let mut rng = ChaCha8Rng::seed_from_u64(21);
        // Uniform numbers in wider and wider ranges: variances 9/12, 4/12 and 9/12.
        let truth = [9.0 / 12.0, 4.0 / 12.0, 9.0 / 12.0];
        let mut inside = [0; 3];
        for _ in 0..300 {
            let units: Vec<Vec<Repeated>> = (0..60)
                .map(|unit| {
                    let of_unit = 3.0 * rng.random::<f64>();
                    (0..=unit % 4)
                        .map(|request| {
                            let level = of_unit + 2.0 * rng.random::<f64>();
                            let values: Vec<f64> =
                                (0..=(unit + request) % 5).map(|_| level + 3.0 * rng.random::<f64>()).collect();
                            repeated(&values)
                        })
                        .collect()
                })
                .collect();
            let found = nested(&units).unwrap();
            let found = [found.units, found.requests.unwrap(), found.outputs];
            for ((inside, found), truth) in inside.iter_mut().zip(found).zip(truth) {
                *inside += usize::from((found.variance - truth).abs() < 1.96 * found.se.unwrap());
            }
        }
        // Of 300 intervals for a nominal 95 %; estimates of variances are skew, so that a little fewer hold.
        assert!(inside.iter().all(|&inside| (265..=298).contains(&inside)), "{inside:?}");
    }
}
