//! The one-sided asymptotic confidence sequence of the normal mixture.

/// Information ratio at which the one-sided boundary is tightest.
///
/// # Formula
/// `kappa(2 alpha)` with `kappa(a) = 2 ln(1/a) + ln(1 + 2 ln(1/a))`.
///
/// # Arguments
/// `alpha` is one-sided, in (0, 0.5].
///
/// # Source
/// I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas (2021), arXiv:2103.06476, appendix on tuning; the approximation is
/// `GrowthBook`'s.
///
/// # Example
/// 0.05 gives 6.3289 (reference vector `gb-cs1-0.05-5000-1000`: 5000 x 0.035577688² ).
#[must_use]
pub fn tuning(alpha: f64) -> f64 {
    let log = 2.0 * (1.0 / (2.0 * alpha)).ln();
    log + (1.0 + log).ln()
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
#[must_use]
pub fn p_value(z: f64, ratio: f64) -> f64 {
    if z <= 0.0 || ratio <= 0.0 {
        return 1.0;
    }
    let exponent = z * z * ratio / (2.0 * (1.0 + ratio));
    ((1.0 + ratio).sqrt() / (2.0 * exponent.exp_m1())).min(1.0)
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

    proptest! {
        #[test]
        fn p_value_inverts_the_boundary(alpha in 0.0001..0.2f64, ratio in 0.01..100.0f64) {
            let z = boundary(alpha, ratio);
            prop_assert!((p_value(z, ratio) / alpha - 1.0).abs() < 1e-9);
        }
    }
}
