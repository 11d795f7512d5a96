//! Maximum mean discrepancy: how far the mean features of two samples lie apart, and how far they would by chance.

/// Maximum mean discrepancy of two samples.
///
/// # Formula
/// The root of `square - noise`, 0 where that is negative: what the differences of mean features have by chance, the sum of their variances, is
/// taken off. Of independent requests the difference is the unbiased U-statistic; with variances over units, pairs of requests of one unit
/// are left out as well.
///
/// # Arguments
/// `square` the sum of squared differences of mean features, `noise` the sum of their variances, both over the number of random directions.
///
/// # Source
/// A. Gretton, K. M. Borgwardt, M. J. Rasch, B. Schölkopf, A. Smola (2012), J. Mach. Learn. Res. 13, 723-773, Lemma 6; A. Rahimi, B. Recht
/// (2007), Advances in Neural Information Processing Systems 20, for the features.
///
/// # Example
/// Differences 0.3 and 0.4 with variances 0.04 and 0.05, one direction: 0.4.
#[must_use]
pub fn discrepancy(square: f64, noise: f64) -> f64 {
    (square - noise).max(0.0).sqrt()
}

/// How the noise of a vector is spread over directions: of its covariance `V`, whatever its size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// `tr V² / (tr V)²`: 1 along one direction, `1 / n` evenly over `n`.
    pub second: f64,
    /// `tr V³ / (tr V)³`.
    pub third: f64,
    /// The largest that an eigenvalue of `V` can be over `tr V`: the fourth root of `tr V⁴`.
    pub widest: f64,
}

impl Spread {
    /// Of a covariance of so many components, row after row; along one direction where nothing varies.
    ///
    /// # Example
    /// Variances 3 and 1: 0.625, 0.4375, (82 / 256)^(1/4) = 0.7523.
    #[must_use]
    pub fn of(covariance: &[f64], components: usize) -> Self {
        let row = |i: usize| &covariance[i * components..(i + 1) * components];
        let trace: f64 = (0..components).map(|i| row(i)[i]).sum();
        if trace <= 0.0 {
            return Self { second: 1.0, third: 1.0, widest: 1.0 };
        }
        let (mut second, mut third, mut fourth) = (0.0, 0.0, 0.0);
        for i in 0..components {
            for j in 0..components {
                // A covariance is symmetric: its rows are its columns.
                let squared: f64 = row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum();
                second += row(i)[j] * row(i)[j];
                third += squared * row(i)[j];
                fourth += squared * squared;
            }
        }
        Self { second: second / trace.powi(2), third: third / trace.powi(3), widest: fourth.sqrt().sqrt() / trace }
    }
}

/// The normal deviate of a squared length: as unlikely as it is that a normal vector whose mean is so long is at least as long.
///
/// # Formula
/// `Q = |Z|²`, `Z` normal with a mean of length `L` and a covariance `V`. With `c_k = tr V^k + k L² m^(k-1)`, `k` from 1 to 3, and
/// `h = 1 - 2 c_1 c_3 / (3 c_2²)`, `(Q / c_1)^h` is about normal with mean `1 + c_2 h (h - 1) / c_1²` and variance `2 c_2 h² / c_1²`. `m` is
/// the largest that an eigenvalue of `V` can be, as if the mean lay where `V` is widest: whatever its direction, `Q` does not vary more.
///
/// # Arguments
/// `square` the squared length; `noise` the trace of `V`, the sum of the components' variances; `spread` of that over directions; `length` of
/// the mean, 0 without one.
///
/// # Errors
/// `None` without noise.
///
/// # Accuracy
/// At 0.05 either tail is at most 0.056, and down to 0.02 where one direction is nearly all of the noise; at 0.001 the upper one is 0.0004 to
/// 0.0011 (simulated, with 2 to 100 components).
///
/// # Source
/// D. R. Jensen, H. Solomon (1972), J. Am. Stat. Assoc. 67, 898-902.
///
/// # Example
/// Squares with variances 0.6, 0.3 and 0.1 are together at least 2 with chance 0.1240 (J. P. Imhof (1961), Biometrika 48, Table 1); here
/// 0.1246, a deviate of 1.1525.
#[must_use]
pub fn squared_length_deviate(square: f64, noise: f64, spread: Spread, length: f64) -> Option<f64> {
    /// No number of a rollout has a smaller chance.
    const FARTHEST: f64 = 37.0;
    if noise <= 0.0 {
        return None;
    }
    let (of_mean, widest) = (length * length, spread.widest * noise);
    let mean = noise + of_mean;
    let second = spread.second * noise.powi(2) + 2.0 * of_mean * widest;
    let third = spread.third * noise.powi(3) + 3.0 * of_mean * widest * widest;
    let power = 1.0 - 2.0 * mean * third / (3.0 * second * second);
    let logarithm = (square / mean).ln();
    // A power of nearly nothing is a logarithm.
    let raised = if power.abs() > 1e-9 { (power * logarithm).exp_m1() / power } else { logarithm };
    let deviate = (raised - second * (power - 1.0) / (mean * mean)) * mean / (2.0 * second).sqrt();
    Some(deviate.clamp(-FARTHEST, FARTHEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::normal;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    /// Of independent components.
    fn spread(variances: &[f64]) -> Spread {
        let n = variances.len();
        let covariance: Vec<f64> =
            (0..n * n).map(|at| if at / n == at % n { variances[at / n] } else { 0.0 }).collect();
        Spread::of(&covariance, n)
    }

    fn deviate(square: f64, variances: &[f64], length: f64) -> f64 {
        squared_length_deviate(square, variances.iter().sum(), spread(variances), length).unwrap()
    }

    fn tail(square: f64, variances: &[f64], length: f64) -> f64 {
        normal::upper_tail(deviate(square, variances, length))
    }

    // Exact tails by Imhof's integral (scipy 1.17.1 `quad`), which agrees with the 0.9458, 0.5064 and 0.1240 of Imhof's Table 1.
    #[test]
    fn tails_are_those_of_imhof() {
        let three = [0.6, 0.3, 0.1];
        for (square, exact) in
            [(0.7, 0.506_438), (2.0, 0.123_959), (3.0, 0.044_771), (5.0, 0.006_542), (7.0, 0.001_042)]
        {
            let found = tail(square, &three, 0.0);
            // Rather too large in the far tail.
            assert!((-0.03..0.65).contains(&(found / exact - 1.0)), "{square}: {found} for {exact}");
        }
        assert!((deviate(2.0, &three, 0.0) - 1.1525).abs() < 1e-4);
        let six = [4.0, 2.0, 1.0, 0.5, 0.5, 0.25];
        for (square, exact) in [(20.0, 0.058_712), (30.0, 0.013_506), (40.0, 0.003_311)] {
            let found = tail(square, &six, 0.0);
            assert!((0.0..0.65).contains(&(found / exact - 1.0)), "{square}: {found} for {exact}");
        }
        // With a mean of length 6 in the widest direction.
        for (square, exact) in [(12.0, 0.941_662), (30.0, 0.677_401), (60.0, 0.233_602), (100.0, 0.029_773)] {
            let found = tail(square, &six, 6.0);
            assert!((found / exact - 1.0).abs() < 0.03, "{square}: {found} for {exact}");
        }
    }

    #[test]
    fn one_component_is_a_normal_variable() {
        // |Z| > 1.96 of either sign.
        assert!((tail(1.959_964 * 1.959_964 * 0.04, &[0.04], 0.0) - 0.0472).abs() < 1e-4);
        // Far from zero, its square is as unlikely as itself.
        let found = deviate(1.02 * 1.02, &[0.0001], 1.0);
        assert!((found - 2.0).abs() < 1e-3, "{found}");
        assert_eq!(squared_length_deviate(1.0, 0.0, spread(&[1.0]), 0.0), None);
    }

    #[test]
    fn distance_and_spread_are_those_of_the_examples() {
        assert!((discrepancy(0.25, 0.09) - 0.4).abs() < 1e-12 && discrepancy(0.25, 0.3) == 0.0);
        let found = spread(&[3.0, 1.0]);
        assert!((found.second - 0.625).abs() < 1e-12 && (found.third - 0.4375).abs() < 1e-12);
        assert!((found.widest - 0.7523).abs() < 1e-4);
    }

    proptest! {
        #[test]
        fn units_and_directions_do_not_matter(
            variances in prop::collection::vec(0.01..4.0f64, 2..6), square in 0.0..40.0f64, length in 0.0..3.0f64, angle in 0.0..3.0f64,
        ) {
            let found = deviate(square, &variances, length);
            let scaled: Vec<f64> = variances.iter().map(|variance| 9.0 * variance).collect();
            prop_assert!((deviate(9.0 * square, &scaled, 3.0 * length) - found).abs() < 1e-6);
            prop_assert!(deviate(square + 1.0, &variances, length) >= found);
            // The first two components, turned by an angle.
            let (n, a, b, sin, cos) = (variances.len(), variances[0], variances[1], angle.sin(), angle.cos());
            let mut covariance: Vec<f64> = (0..n * n).map(|at| if at / n == at % n { variances[at / n] } else { 0.0 }).collect();
            covariance[0] = a * cos * cos + b * sin * sin;
            covariance[n + 1] = a * sin * sin + b * cos * cos;
            covariance[1] = (a - b) * sin * cos;
            covariance[n] = covariance[1];
            let (turned, straight) = (Spread::of(&covariance, n), spread(&variances));
            prop_assert!((turned.second - straight.second).abs() < 1e-9 && (turned.third - straight.third).abs() < 1e-9);
            prop_assert!((turned.widest - straight.widest).abs() < 1e-9);
        }
    }

    // Wherever the mean points to, a squared length past the bound at 5 % is not more frequent.
    #[test]
    fn no_direction_of_the_mean_is_rejected_more_often() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let variances: [f64; 4] = [1.0, 0.36, 0.16, 0.04];
        for length in [0.0, 0.5, 2.0, 6.0] {
            for widest in 0..4 {
                let rounds = 20_000;
                let (mut above, mut below) = (0, 0);
                for _ in 0..rounds {
                    let of = |(at, variance): (usize, &f64)| {
                        let mean = if at == widest { length } else { 0.0 };
                        (mean + variance.sqrt() * rng.sample::<f64, _>(StandardNormal)).powi(2)
                    };
                    let square: f64 = variances.iter().enumerate().map(of).sum();
                    let z = deviate(square, &variances, length);
                    above += usize::from(z > 1.644_854);
                    below += usize::from(z < -1.644_854);
                }
                // Three standard errors above 5.6 %.
                let most = rounds * 61 / 1000;
                assert!(above < most && below < most, "{length} along {widest}: {above} above, {below} below");
            }
        }
    }
}
