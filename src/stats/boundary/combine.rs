//! Stage-wise estimates of one quantity, made from units that return, combined into one statistic.

/// Sweeps of the iteration, and the change at which it stops.
const SWEEPS: usize = 2000;
const TOLERANCE: f64 = 1e-13;

/// Weights of a combination.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Combination {
    /// Of each estimate's own `z`, none negative: `Z = sum weight z` has variance 1.
    pub weights: Vec<f64>,
    /// The inverse of the combined estimate's variance.
    pub information: f64,
}

/// The most precise combination of correlated estimates with weights that are not negative.
///
/// # Formula
/// With `V` the covariance of the estimates: `x >= 0` that minimises `x' V x / 2 - sum x`; the estimate is `x' d / sum x`, its
/// information `I = sum x`, and `z_j = d_j / sd_j` has the weight `x_j sd_j / sqrt(I)`. Where no weight is held at zero this is generalised
/// least squares, and successive combinations of a growing list of estimates have independent increments whatever `V`:
/// `Cov(Z_j, Z_k) = sqrt(I_j / I_k)`. Where one is held at zero, the correlation is larger, and a boundary made for independent increments
/// is crossed less often (Slepian).
///
/// # Arguments
/// `information` of each estimate on its own, positive; `correlation` of all pairs, a symmetric matrix.
///
/// # Errors
/// None; information 0 without estimates.
///
/// # Accuracy
/// 1e-9, where no correlation is above 0.99.
///
/// # Source
/// D. O. Scharfstein, A. A. Tsiatis, J. M. Robins (1997), JASA 92, 1342-1350, and C. Jennison, B. W. Turnbull (1997), JASA 92, 1330-1341:
/// efficient estimates have independent increments; D. Slepian (1962), Bell Syst. Tech. J. 41, 463-501.
///
/// # Example
/// Information 1 and 4 without correlation: weights `sqrt(1/5)` and `sqrt(4/5)`, information 5. With correlation 0.5, the second alone is
/// as good as both: weights 0 and 1, information 4.
#[must_use]
pub fn combined(information: &[f64], correlation: &[Vec<f64>]) -> Combination {
    let pull: Vec<f64> = information.iter().map(|information| information.sqrt()).collect();
    let mut weights = vec![0.0; pull.len()];
    for _ in 0..SWEEPS {
        let mut change: f64 = 0.0;
        for index in 0..pull.len() {
            let others = (0..pull.len()).filter(|&other| other != index);
            let explained: f64 = others.map(|other| correlation[index][other] * weights[other]).sum();
            let weight = (pull[index] - explained).max(0.0);
            change = change.max((weight - weights[index]).abs() / pull[index]);
            weights[index] = weight;
        }
        if change < TOLERANCE {
            break;
        }
    }
    let information: f64 = weights.iter().zip(&pull).map(|(weight, pull)| weight * pull).sum();
    let weights = weights.into_iter().map(|weight| weight / information.sqrt()).collect();
    Combination { weights, information }
}

/// Correlation of the contrasts of two stages that share units, when exposure grows and units stay with their version.
///
/// # Formula
/// A contrast is `sum of e_u (a_u / f - g (1 - a_u) / (1 - f))` over units with residuals `e_u`, of whom a share `f` is on the candidate
/// (`a_u = 1`). With nested arms, `f_j <= f_k` and `E = sum of e_ju e_ku`,
/// `Cov = E (1 / f_k - g (f_k - f_j) / ((1 - f_j) f_k) + g^2 / (1 - f_j))`, divided by the roots of both variances, which are the same with
/// `j = k`. Against a limit only the candidate's arm counts, `g = 0`: `E / f_k`.
///
/// # Arguments
/// `residuals`: correlation of the units' residuals in both stages, in [-1, 1]; `earlier` and `later` exposure, in (0, 1], growing; `factor`
/// `g` of stable's arm (1 + margin), 0 against a limit, where alone an exposure may be 1.
///
/// # Accuracy
/// That of floating point.
///
/// # Source
/// Inverse-probability weights of a nested Bernoulli assignment.
///
/// # Example
/// Residuals correlated 1, 5 % and 20 %, factor 1: 0.4588315 = sqrt(0.05 * 0.8 / (0.2 * 0.95)).
#[must_use]
pub fn between_stages(residuals: f64, earlier: f64, later: f64, factor: f64) -> f64 {
    let moved = if factor == 0.0 { 0.0 } else { factor * (later - earlier) / ((1.0 - earlier) * later) };
    let product = 1.0 / later - moved + stable(earlier, factor);
    residuals * product / (variance(earlier, factor) * variance(later, factor)).sqrt()
}

/// The same where the later stage draws its arms anew.
///
/// # Formula
/// Copies have weights `w = 1/e` on the candidate and `-factor / (1 - e)` on stable, which are then independent in the two stages, each with
/// mean `1 - factor`: a difference of arms is of other units each time, and only what a limit asks of one arm is of the same ones.
#[must_use]
pub fn between_drawn_stages(residuals: f64, earlier: f64, later: f64, factor: f64) -> f64 {
    let mean = 1.0 - factor;
    residuals * mean * mean / (variance(earlier, factor) * variance(later, factor)).sqrt()
}

/// Mean square of a copy's weight in a contrast.
fn variance(exposure: f64, factor: f64) -> f64 {
    1.0 / exposure + stable(exposure, factor)
}

/// Stable's part of that.
fn stable(exposure: f64, factor: f64) -> f64 {
    if factor == 0.0 { 0.0 } else { factor * factor / (1.0 - exposure) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn pair(rho: f64) -> Vec<Vec<f64>> {
        vec![vec![1.0, rho], vec![rho, 1.0]]
    }

    #[test]
    fn two_estimates_by_hand() {
        let found = combined(&[1.0, 4.0], &pair(0.0));
        assert!((found.weights[0] - 0.2_f64.sqrt()).abs() < 1e-12 && (found.weights[1] - 0.8_f64.sqrt()).abs() < 1e-12);
        assert!((found.information - 5.0).abs() < 1e-12);
        // 1' V^-1 1 with variances 1 and 1/4, covariance 0.1.
        let found = combined(&[1.0, 4.0], &pair(0.2));
        assert!((found.information - (1.0 + 0.25 - 0.2) / (0.25 - 0.01)).abs() < 1e-10);
        for rho in [0.5, 0.8] {
            let found = combined(&[1.0, 4.0], &pair(rho));
            assert!(found.weights[0] < 1e-9 && (found.information - 4.0).abs() < 1e-9, "{rho}");
        }
        assert!(combined(&[], &[]).weights.is_empty());
    }

    #[test]
    fn the_same_units_in_the_same_arms_correlate_as_their_residuals() {
        assert!((between_stages(0.7, 0.3, 0.3, 1.0) - 0.7).abs() < 1e-12);
        assert!((between_stages(0.7, 0.3, 0.3, 1.02) - 0.7).abs() < 1e-12);
        assert!((between_stages(1.0, 0.05, 0.2, 1.0) - 0.458_831_467_741).abs() < 1e-9);
        assert!((between_stages(1.0, 0.25, 1.0, 0.0) - 0.5).abs() < 1e-12);
    }

    /// Correlation of two contrasts over many assignments of the same units.
    #[test]
    fn simulated_assignments_correlate_as_computed() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let units: Vec<(f64, f64)> = (0..60)
            .map(|_| {
                let normal = rand_distr::StandardNormal;
                let (common, a, b): (f64, f64, f64) =
                    (random.sample(normal), random.sample(normal), random.sample(normal));
                (common + 0.6 * a, 1.5 * common + b)
            })
            .collect();
        let product = |f: fn(&(f64, f64)) -> f64| units.iter().map(f).sum::<f64>();
        let residuals = product(|u| u.0 * u.1) / (product(|u| u.0 * u.0) * product(|u| u.1 * u.1)).sqrt();
        let settings = [(0.1, 0.4, 1.0), (0.2, 0.5, 1.1), (0.2, 0.9, 0.0)];
        for ((earlier, later, factor), anew) in
            settings.into_iter().flat_map(|setting| [(setting, false), (setting, true)])
        {
            let rounds = 20_000;
            let contrasts: Vec<(f64, f64)> = (0..rounds)
                .map(|_| {
                    units.iter().fold((0.0, 0.0), |(x, y), &(e, g)| {
                        let copies: f64 = random.sample(rand_distr::Poisson::new(1.0).expect("a positive mean"));
                        (0..copies as u32).fold((x, y), |(x, y), _| {
                            let first: f64 = random.random();
                            let second = if anew { random.random() } else { first };
                            let weight = |place: f64, f: f64| if place < f { 1.0 / f } else { -factor / (1.0 - f) };
                            (x + e * weight(first, earlier), y + g * weight(second, later))
                        })
                    })
                })
                .collect();
            let mean = |f: &dyn Fn(&(f64, f64)) -> f64| contrasts.iter().map(f).sum::<f64>() / f64::from(rounds);
            let (x, y) = (mean(&|c| c.0), mean(&|c| c.1));
            let moment = |f: &dyn Fn(f64, f64) -> f64| mean(&|c| f(c.0 - x, c.1 - y));
            let found = moment(&|x, y| x * y) / (moment(&|x, _| x * x) * moment(&|_, y| y * y)).sqrt();
            let between = if anew { between_drawn_stages } else { between_stages };
            let expected = between(residuals, earlier, later, factor);
            assert!((found - expected).abs() < 0.03, "{earlier} {later} {factor} {anew}: {found} {expected}");
        }
    }

    proptest! {
        /// Successive combinations never correlate less than independent increments would, and gain information.
        #[test]
        fn increments_are_independent_or_the_boundary_is_safe(
            loadings in prop::collection::vec((-0.3..0.95f64, 0.1..20.0f64), 2..6)
        ) {
            let (loading, information): (Vec<f64>, Vec<f64>) = loadings.into_iter().unzip();
            let n = loading.len();
            let matrix: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| if i == j { 1.0 } else { loading[i] * loading[j] }).collect()).collect();
            let cut = |k: usize| combined(&information[..k], &matrix.iter().take(k).map(|row| row[..k].to_vec()).collect::<Vec<_>>());
            for k in 2..=n {
                let (before, now) = (cut(k - 1), cut(k));
                let with = |a: &[f64], b: &[f64]| -> f64 {
                    a.iter().enumerate().map(|(i, x)| b.iter().enumerate().map(|(j, y)| x * y * matrix[i][j]).sum::<f64>()).sum()
                };
                prop_assert!((with(&now.weights, &now.weights) - 1.0).abs() < 1e-8);
                prop_assert!(now.information >= before.information - 1e-8);
                let correlation = with(&before.weights, &now.weights);
                let canonical = (before.information / now.information).sqrt();
                prop_assert!(correlation >= canonical - 1e-7, "{correlation} {canonical}");
                if now.weights.iter().all(|&weight| weight > 1e-6) {
                    prop_assert!((correlation - canonical).abs() < 1e-6);
                }
            }
        }
    }
}
