//! The normal mixture on the z scale: one family of anytime-valid boundaries, one- and two-sided.
//!
//! A statistic `z` at information ratio `R` (the information at the look over the tuning information) has the e-value of
//! [`log_e_value`]. The ratio is the only tuning, and the known methods differ in it alone:
//!
//! | method | `R` after `n` units |
//! |---|---|
//! | `GrowthBook`, asymptotic confidence sequence | [`two_sided_tuning`]`(alpha) * n / n_star`, one-sided [`tuning`]`(alpha) * n / n_star` |
//! | the same, tightest exactly at `n_star` | [`two_sided_tuning_exact`]`(alpha) * n / n_star` |
//! | Eppo | `n / rho`, `rho` = [`eppo_rho`] |
//! | mixture sequential probability ratio test | `tau² / V`, `V` the variance of the estimate |

use super::alternative::Sides;
use super::anytime::special;
use super::root;

/// Information ratio at which the two-sided boundary is about tightest.
///
/// # Formula
/// `kappa(alpha) = 2 ln(1/alpha) + ln(1 + 2 ln(1/alpha))`.
///
/// # Arguments
/// `alpha` two-sided, in (0, 1).
///
/// # Accuracy
/// Approximates [`two_sided_tuning_exact`]; the boundary is within 0.1 % of its best for `alpha` up to 0.1.
///
/// # Source
/// Waudby-Smith et al. (2021), arXiv:2103.06476, appendix on tuning; `GrowthBook`'s choice.
///
/// # Example
/// 0.05 gives 7.936154601737564 (`GrowthBook`'s squared rho for one unit).
#[must_use]
pub fn two_sided_tuning(alpha: f64) -> f64 {
    let log = 2.0 * (1.0 / alpha).ln();
    log + log.ln_1p()
}

/// Information ratio at which the two-sided boundary is tightest.
///
/// # Formula
/// `-W(-alpha² / e) - 1` with the lower branch of Lambert's function: the solution of `kappa - ln(1 + kappa) = 2 ln(1/alpha)`.
///
/// # Arguments
/// `alpha` two-sided, in (0, 1). Outside: not a number.
///
/// # Accuracy
/// Relative 1e-15, by Newton's method.
///
/// # Source
/// Waudby-Smith et al. (2021), arXiv:2103.06476, appendix on tuning; the bound it starts from: I. Chatzigeorgiou (2013),
/// IEEE Communications Letters 17, 1505-1508.
///
/// # Example
/// 0.05 gives 8.211968062068253 (library drconfseq).
#[must_use]
pub fn two_sided_tuning_exact(alpha: f64) -> f64 {
    let target = 2.0 * (1.0 / alpha).ln();
    let start = target + (2.0 * target).sqrt();
    (0..30).fold(start, |kappa, _| kappa - (kappa - kappa.ln_1p() - target) * (1.0 + kappa) / kappa)
}

/// Information ratio at which the one-sided boundary is tightest.
///
/// # Formula
/// `kappa(2 alpha)` with `kappa(a) = 2 ln(1/a) + ln(1 + 2 ln(1/a))`.
///
/// # Arguments
/// `alpha` is one-sided, in (0, 0.5].
///
/// # Source
/// I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas (2021), arXiv:2103.06476, appendix on tuning; the
/// approximation is `GrowthBook`'s.
///
/// # Example
/// 0.05 gives 6.3289 (reference vector `gb-cs1-0.05-5000-1000`: 5000 x 0.035577688² ).
#[must_use]
pub fn tuning(alpha: f64) -> f64 {
    two_sided_tuning(2.0 * alpha)
}

/// Eppo's tuning: the units of both arms at which information equals that of the mixture.
///
/// # Formula
/// `n_star / kappa(alpha)`.
///
/// # Arguments
/// `alpha` two-sided, in (0, 1); `n_star > 0` units at which the interval shall be tightest (Eppo: 10 000).
///
/// # Source
/// Eppo documentation, statistical nitty-gritty, 1d0869c4.
///
/// # Example
/// 0.05 and 10 000: 1260.056097925634.
#[must_use]
pub fn eppo_rho(alpha: f64, n_star: f64) -> f64 {
    n_star / two_sided_tuning(alpha)
}

/// The `z` a statistic must exceed at information ratio `ratio`, at any look, with total error `alpha`.
///
/// # Formula
/// `z² = 2 (1 + 1/R) ln(1 + sqrt(1 + R) / (2 alpha))`.
///
/// # Arguments
/// `alpha` one-sided, in (0, 1); `ratio` is information at the look over the tuning information, positive.
///
/// # Accuracy
/// Asymptotic in the number of units; the closed form is slightly conservative (2.779 against 2.766 for the exact mixture at the tuned point).
///
/// # Source
/// Waudby-Smith et al. (2021), arXiv:2103.06476, proposition on one-sided sequences; H. Robbins (1970), Ann. Math. Stat. 41, 1397-1409.
///
/// # Example
/// `alpha` 0.05 at the tuned ratio gives 2.7790942353135213 (gbstats `sequential_interval_halfwidth_one_sided`).
#[must_use]
pub fn boundary(alpha: f64, ratio: f64) -> f64 {
    (2.0 * (1.0 + 1.0 / ratio) * ((1.0 + ratio).sqrt() / (2.0 * alpha)).ln_1p()).sqrt()
}

/// The smallest `alpha` at which a statistic `z` crosses the boundary: an anytime-valid p-value once its running minimum is taken.
///
/// # Formula
/// The inverse of [`boundary`]: `sqrt(1 + R) / (2 (exp(z² R / (2 (1 + R))) - 1))`, at most 1; 1 where `z <= 0`.
///
/// # Source
/// H. Robbins (1970), Ann. Math. Stat. 41, 1397-1409, for the boundary it inverts.
#[must_use]
pub fn p_value(z: f64, ratio: f64) -> f64 {
    if z <= 0.0 || ratio <= 0.0 {
        return 1.0;
    }
    let exponent = z * z * ratio / (2.0 * (1.0 + ratio));
    ((1.0 + ratio).sqrt() / (2.0 * exponent.exp_m1())).min(1.0)
}

/// The `|z|` a statistic must exceed at information ratio `ratio`, at any look, with total error `alpha` in both directions.
///
/// # Formula
/// `z² = (1 + 1/R) (ln(1 + R) + 2 ln(1/alpha))`: where [`log_e_value`], two-sided, is `ln(1/alpha)`.
///
/// # Arguments
/// `alpha` two-sided, in (0, 1); `ratio` positive.
///
/// # Accuracy
/// Exact for normal statistics, else asymptotic in the number of units.
///
/// # Source
/// H. Robbins (1970), Ann. Math. Stat. 41, 1397-1409; Waudby-Smith et al. (2021), arXiv:2103.06476.
///
/// # Example
/// `alpha` 0.05 at [`two_sided_tuning`]: 3.035208990376253 (`GrowthBook` and Eppo at `n_star` units).
#[must_use]
pub fn two_sided_boundary(alpha: f64, ratio: f64) -> f64 {
    two_sided_root(alpha, ratio) * (1.0 + 1.0 / ratio).sqrt()
}

/// The smallest `alpha` at which `|z|` crosses [`two_sided_boundary`], for a positive `z`; 1 for others.
///
/// # Formula
/// `sqrt(1 + R) exp(-z² R / (2 (1 + R)))`, at most 1: the inverse of the two-sided e-value.
///
/// # Source
/// See [`two_sided_boundary`].
///
/// # Example
/// `z` 3.035208990376253 at [`two_sided_tuning`] of 0.05: 0.05.
#[must_use]
pub fn two_sided_p_value(z: f64, ratio: f64) -> f64 {
    if z <= 0.0 || ratio <= 0.0 { 1.0 } else { (-log_e_value(z, ratio, Sides::Two)).exp().min(1.0) }
}

/// The `z` a statistic must exceed, one-sided, without the slack of the closed form [`boundary`].
///
/// # Formula
/// The `z` at which [`log_e_value`], one-sided, is `ln(1/alpha)`.
///
/// # Arguments
/// `alpha` one-sided, in (0, 1); `ratio` positive.
///
/// # Accuracy
/// The root to about 1e-15; exact for normal statistics, else asymptotic in the number of units.
///
/// # Source
/// H. Robbins (1970), Ann. Math. Stat. 41, 1397-1409.
///
/// # Example
/// `alpha` 0.05 at [`tuning`]: 2.766 (2.779 by [`boundary`]).
#[must_use]
pub fn exact_boundary(alpha: f64, ratio: f64) -> f64 {
    exact_root(alpha, ratio) * (1.0 + 1.0 / ratio).sqrt()
}

/// Logarithm of the e-value of a statistic `z` at information ratio `ratio`.
///
/// # Formula
/// With `w = z sqrt(R / (1 + R))`: two-sided `-ln(1 + R) / 2 + w² / 2`, one-sided plus `ln(2 Phi(w))`.
///
/// # Arguments
/// `z` positive in the direction tested; `ratio` at least 0.
///
/// # Accuracy
/// Absolute 1e-13, at any `z`. One look's p-value is [`super::anytime::p_value`].
///
/// # Source
/// H. Robbins (1970), Ann. Math. Stat. 41, 1397-1409; two-sided it is Johari's mixture sequential probability ratio (2017).
///
/// # Example
/// `z` 3 at ratio 1: `ln 13.190289467285918` one-sided, `ln 6.708842347995733` two-sided.
#[must_use]
pub fn log_e_value(z: f64, ratio: f64, sides: Sides) -> f64 {
    log_e_value_of_root(z * (ratio / (1.0 + ratio)).sqrt(), ratio, sides)
}

/// [`log_e_value`] of `w = z sqrt(R / (1 + R))`, which has a limit where there is no information yet.
pub(super) fn log_e_value_of_root(w: f64, ratio: f64, sides: Sides) -> f64 {
    let shrinkage = ratio.ln_1p() / 2.0;
    match sides {
        Sides::One => special::log_cdf_scaled(w) + 2.0_f64.ln() - shrinkage,
        Sides::Two => w * w / 2.0 - shrinkage,
    }
}

/// The `w` at which the two-sided e-value is `1/alpha`.
pub(super) fn two_sided_root(alpha: f64, ratio: f64) -> f64 {
    (ratio.ln_1p() - 2.0 * alpha.ln()).sqrt()
}

/// The `w` at which the one-sided e-value is `1/alpha`.
pub(super) fn exact_root(alpha: f64, ratio: f64) -> f64 {
    // Above zero the one-sided e-value is between the two-sided one and twice that; equal to the latter, in floating point, far out.
    let low = if alpha < 0.5 { two_sided_root(2.0 * alpha, ratio) } else { 0.0 };
    let excess = |w: f64| log_e_value_of_root(w, ratio, Sides::One) + alpha.ln();
    root::bracketed(excess, (low, two_sided_root(alpha, ratio))).unwrap_or(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // gbstats (GrowthBook 8f1db445) sequential_interval_halfwidth_one_sided, reference vectors `gb-cs1-*`.
    #[test]
    fn boundary_agrees_with_gbstats() {
        for (alpha, n_star, n, z) in [
            (0.05, 5000.0, 1000.0, 3.152_422_454_674_439),
            (0.05, 5000.0, 5000.0, 2.779_094_235_313_521_3),
            (0.01, 20_000.0, 20_000.0, 3.355_198_592_632_859),
        ] {
            let ratio: f64 = n * tuning(alpha) / n_star;
            assert!((boundary(alpha, ratio) / z - 1.0).abs() < 1e-10);
        }
    }

    // R 4.2.2 and scipy references of the vectors `evalue-*` and of the text.
    #[test]
    fn two_sided_forms_agree() {
        assert!((two_sided_tuning_exact(0.05) / 8.211_968_062_068_253 - 1.0).abs() < 1e-14);
        assert!((exact_boundary(0.05, tuning(0.05)) - 2.766).abs() < 5e-4);
        assert!((log_e_value(3.0, 1.0, Sides::Two) - 6.708_842_347_995_733_f64.ln()).abs() < 1e-14);
        assert!((log_e_value(-60.0, 1.0, Sides::One) - log_e_value(-59.9, 1.0, Sides::One)).abs() < 0.002);
    }

    proptest! {
        #[test]
        fn boundaries_are_where_the_e_value_is(alpha in 1e-12..0.45f64, ratio in 0.001..1000.0f64) {
            let threshold = -alpha.ln();
            let two = log_e_value(two_sided_boundary(alpha, ratio), ratio, Sides::Two);
            let one = log_e_value(exact_boundary(alpha, ratio), ratio, Sides::One);
            prop_assert!((two - threshold).abs() < 1e-9 && (one - threshold).abs() < 1e-9);
            prop_assert!(exact_boundary(alpha, ratio) <= boundary(alpha, ratio));
            prop_assert!(boundary(alpha, ratio) < two_sided_boundary(alpha, ratio));
        }

        #[test]
        fn the_exact_tuning_is_tightest(alpha in 0.0001..0.5f64, other in 0.2..5.0f64) {
            let best = two_sided_tuning_exact(alpha);
            prop_assert!(two_sided_boundary(alpha, best) <= two_sided_boundary(alpha, best * other) + 1e-12);
            // Lambert's equation.
            prop_assert!((best - best.ln_1p() + 2.0 * alpha.ln()).abs() < 1e-12 * best);
        }

        #[test]
        fn p_value_inverts_the_boundary(alpha in 0.0001..0.2f64, ratio in 0.01..100.0f64) {
            let z = boundary(alpha, ratio);
            prop_assert!((p_value(z, ratio) / alpha - 1.0).abs() < 1e-9);
        }
    }
}
