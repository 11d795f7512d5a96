//! Special functions on the logarithmic scale, where the textbook forms under- or overflow or cancel.

use std::f64::consts::PI;

use statrs::function::gamma::ln_gamma;

/// Both fractions below stop here at the latest; they need about `sqrt(a)` terms.
const MOST_TERMS: u32 = 1_000_000;
const PRECISION: f64 = 1e-16;

/// `ln Phi(w) + w² / 2`, without underflow for negative `w` or cancellation for large ones.
pub(crate) fn log_cdf_scaled(w: f64) -> f64 {
    const NEAR: f64 = 2.0;
    if w <= -NEAR {
        mills_ratio(-w).ln() - (2.0 * PI).ln() / 2.0
    } else if w < NEAR {
        let density = (-w * w / 2.0).exp() / (2.0 * PI).sqrt();
        (0.5 + density * central_series(w)).ln() + w * w / 2.0
    } else {
        let density = (-w * w / 2.0).exp() / (2.0 * PI).sqrt();
        (-density * mills_ratio(w)).ln_1p() + w * w / 2.0
    }
}

/// `(Phi(w) - 1/2) / phi(w) = w + w³ / 3 + w⁵ / 15 + ...`.
fn central_series(w: f64) -> f64 {
    let (mut term, mut sum) = (w, w);
    for k in 1..60 {
        term *= w * w / (2.0 * f64::from(k) + 1.0);
        sum += term;
    }
    sum
}

/// `P(Z > x) / phi(x)` for `x >= 2`: Laplace's fraction 1/(x + 1/(x + 2/(x + ...))), from its tail.
fn mills_ratio(x: f64) -> f64 {
    1.0 / (1..=200).rev().fold(x, |tail, k| x + f64::from(k) / tail)
}

/// Error of Stirling's formula: `ln Gamma(a) - ((a - 1/2) ln a - a + ln(2 pi) / 2)`, for positive `a`.
pub(crate) fn stirling_error(a: f64) -> f64 {
    if a < 12.0 {
        return ln_gamma(a) - ((a - 0.5) * a.ln() - a + (2.0 * PI).ln() / 2.0);
    }
    let inverse = 1.0 / (a * a);
    let tail = 1.0 / 1680.0 - inverse * (1.0 / 1188.0 - inverse * (691.0 / 360_360.0));
    let sum = 1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse * tail));
    sum / a
}

/// `r - 1 - ln r`.
fn poisson_deviance(r: f64) -> f64 {
    let d = r - 1.0;
    if d.abs() < 0.5 { d - d.ln_1p() } else { d - r.ln() }
}

/// `r ln r - r + 1`.
fn binomial_deviance(r: f64) -> f64 {
    let d = r - 1.0;
    if r == 0.0 {
        1.0
    } else if d.abs() < 0.5 {
        r * d.ln_1p() - d
    } else {
        r * r.ln() - d
    }
}

/// Which part of the gamma function an incomplete one integrates.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// From zero to `x`.
    Lower,
    /// From `x` to infinity.
    Upper,
}

/// `ln(incomplete gamma(a, x)) - a ln x + x`, not regularised, for positive `a` and `x`.
pub(crate) fn log_gamma_scaled(part: Part, a: f64, x: f64) -> f64 {
    let whole = stirling_error(a) + (2.0 * PI / a).ln() / 2.0 + a * poisson_deviance(x / a);
    let (computed, value) =
        if x < a + 1.0 { (Part::Lower, gamma_series(a, x)) } else { (Part::Upper, gamma_fraction(a, x)) };
    if computed == part { value.ln() } else { whole + (-(value * (-whole).exp())).ln_1p() }
}

/// The lower incomplete gamma function over `x^a e^-x`.
fn gamma_series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum) = (1.0 / a, 1.0 / a);
    for k in 1..MOST_TERMS {
        term *= x / (a + f64::from(k));
        sum += term;
        if term < sum * PRECISION {
            break;
        }
    }
    sum
}

/// The upper incomplete gamma function over `x^a e^-x`, by Legendre's fraction.
fn gamma_fraction(a: f64, x: f64) -> f64 {
    let first = x + 1.0 - a;
    let rest = (1..MOST_TERMS).map(|k| {
        let k = f64::from(k);
        (-k * (k - a), first + 2.0 * k)
    });
    1.0 / continued_fraction(first, rest)
}

/// `ln B(a) - sum a_i ln share_i`, with the multivariate beta function `B`: minus the log density of a Dirichlet at its shares,
/// up to the density's powers. Shares are positive and sum to one, all `a` are positive.
pub(crate) fn log_beta_scaled(a: &[f64], shares: &[f64]) -> f64 {
    let total: f64 = a.iter().sum();
    let part = |(&a, &share): (&f64, &f64)| {
        let expected = total * share;
        expected * binomial_deviance(a / expected) + stirling_error(a) + (2.0 * PI / a).ln() / 2.0
    };
    a.iter().zip(shares).map(part).sum::<f64>() - stirling_error(total) - (2.0 * PI / total).ln() / 2.0
}

/// `ln(incomplete beta(a, b; q)) - a ln q - b ln(1 - q)`, not regularised.
pub(crate) fn log_incomplete_beta_scaled(a: f64, b: f64, q: f64) -> f64 {
    if q < (a + 1.0) / (a + b + 2.0) {
        return beta_fraction(a, b, q).ln();
    }
    let whole = log_beta_scaled(&[a, b], &[q, 1.0 - q]);
    whole + (-(beta_fraction(b, a, 1.0 - q) * (-whole).exp())).ln_1p()
}

/// The incomplete beta function over `x^a (1 - x)^b`, by its classical fraction.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let term = |k: u32| {
        let m = f64::from(k / 2);
        let numerator = if k.is_multiple_of(2) {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        (numerator, 1.0)
    };
    1.0 / (a * continued_fraction(1.0, (1..MOST_TERMS).map(term)))
}

/// `first + n1 / (d1 + n2 / (d2 + ...))` by the modified Lentz method.
fn continued_fraction(first: f64, terms: impl Iterator<Item = (f64, f64)>) -> f64 {
    const SMALLEST: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < SMALLEST { SMALLEST } else { value };
    let mut value = away_from_zero(first);
    let (mut c, mut d) = (value, 0.0);
    for (numerator, denominator) in terms {
        d = 1.0 / away_from_zero(denominator + numerator * d);
        c = away_from_zero(denominator + numerator / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 2.0 * f64::EPSILON {
            break;
        }
    }
    value
}

/// Riemann's zeta function for `s > 1`, by the Euler-Maclaurin formula.
pub(crate) fn zeta(s: f64) -> f64 {
    const START: f64 = 16.0;
    let head: f64 = (1..16).map(|k| f64::from(k).powf(-s)).sum();
    let mut sum = head + START.powf(1.0 - s) / (s - 1.0) + START.powf(-s) / 2.0;
    // Bernoulli numbers over factorials: B_2k / (2k)!.
    let coefficients = [
        1.0 / 12.0,
        -1.0 / 720.0,
        1.0 / 30_240.0,
        -1.0 / 1_209_600.0,
        1.0 / 47_900_160.0,
        -691.0 / 1_307_674_368_000.0,
        1.0 / 74_724_249_600.0,
    ];
    let mut rising = s * START.powf(-s - 1.0);
    let mut at = s;
    for coefficient in coefficients {
        sum += coefficient * rising;
        rising *= (at + 1.0) * (at + 2.0) / (START * START);
        at += 2.0;
    }
    sum
}

/// Where a function with one valley is smallest, by golden section, to half the digits.
pub(crate) fn minimum_at(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut left, mut right) = (high - golden * (high - low), low + golden * (high - low));
    let (mut f_left, mut f_right) = (f(left), f(right));
    for _ in 0..60 {
        if f_left <= f_right {
            (high, right, f_right) = (right, left, f_left);
            left = high - golden * (high - low);
            f_left = f(left);
        } else {
            (low, left, f_left) = (left, right, f_right);
            right = low + golden * (high - low);
            f_right = f(right);
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::LN_2;

    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 2e-14 * expected.abs().max(10.0), "{found} is not {expected}");
    }

    // References of this module: mpmath 1.4.1 with 40 digits.
    #[test]
    fn normal_logarithms() {
        for (w, expected) in [
            (-300.0, -6.622_732_118_663_36),
            (-12.0, -3.410_673_001_568_796),
            (-2.0001, -1.783_221_654_663_928_7),
            (-1.9999, -1.783_147_011_557_344_3),
            (-0.1, -0.771_154_592_730_273_3),
            (0.0, -LN_2),
            (1.9999, 1.976_781_570_316_997_6),
            (2.0001, 1.977_192_619_889_595_3),
            (9.0, 40.5),
        ] {
            close(log_cdf_scaled(w), expected);
        }
    }

    #[test]
    fn incomplete_gamma_logarithms() {
        for (a, x, lower, upper) in [
            (0.01, 0.01, 4.615_071_419_413_39, 1.427_932_227_431_491_3),
            (0.3, 2.0, 2.865_581_666_086_978, -0.927_678_735_054_258_3),
            (2.5, 0.1, -0.887_491_370_153_771_9, 6.140_259_071_316_146),
            (12.5, 20.0, 1.258_095_962_004_821, -2.247_112_549_155_77),
            (100.0, 90.0, -2.690_524_220_891_202, -1.018_999_420_104_975_6),
            (5000.0, 5100.0, -2.435_430_274_523_962, -4.886_930_893_159_323),
            (1e6, 1_000_500.0, -6.232_677_449_425_252, -7.040_055_379_278_784),
            (1e6, 997_500.0, -7.945_196_419_163_862, -2.864_796_718_892_800_4),
        ] {
            let (found_lower, found_upper) = (log_gamma_scaled(Part::Lower, a, x), log_gamma_scaled(Part::Upper, a, x));
            assert!((found_lower - lower).abs() < 1e-12, "{a} {x}: {found_lower}");
            assert!((found_upper - upper).abs() < 1e-12, "{a} {x}: {found_upper}");
        }
    }

    #[test]
    fn beta_logarithms() {
        for (a, b, q, incomplete, whole) in [
            (0.01, 0.02, 0.3, 4.615_755_037_390_524, 5.029_486_577_620_02),
            (1.0, 1.0, 0.5, LN_2, 2.0 * LN_2),
            (20.0, 100.0, 0.1, -2.199_248_842_690_000_3, 2.036_946_743_942_301),
            (2.5, 3.5, 0.9, 5.018_437_705_745_268, 5.020_613_844_661_674),
            (500.0, 1500.0, 0.25, -2.730_646_942_795_363, -2.044_343_924_247_675),
        ] {
            close(log_incomplete_beta_scaled(a, b, q), incomplete);
            close(log_beta_scaled(&[a, b], &[q, 1.0 - q]), whole);
        }
    }

    // Far beyond the terms a fixed number of iterations allows.
    #[test]
    fn halves_of_large_beta_functions() {
        for a in [1e3, 1e6, 1e9] {
            let half = log_incomplete_beta_scaled(a, a, 0.5) - log_beta_scaled(&[a, a], &[0.5, 0.5]);
            assert!((half + 2.0_f64.ln()).abs() < 1e-9, "{a}: {half}");
        }
    }
}
