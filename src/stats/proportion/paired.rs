//! Proportions of pairs: the same request answered by candidate and stable.

use super::inverted;
use crate::stats::alternative::Alternative;
use crate::stats::discrete;
use crate::stats::normal;

/// `McNemar`'s test in its usual forms, all two-sided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct McNemar {
    /// Exact conditional p-value: binomial with share 1/2 on the discordant pairs. Conservative.
    pub exact: f64,
    /// Mid-p value: the recommended form.
    pub mid_p: f64,
    /// Chi-square statistic with one degree of freedom.
    pub chi_square: f64,
    /// Its p-value.
    pub asymptotic: f64,
    /// Chi-square statistic with continuity correction.
    pub chi_square_corrected: f64,
    /// Its p-value.
    pub asymptotic_corrected: f64,
}

/// `McNemar`'s test on discordant pairs.
///
/// # Formula
/// With `n = b + c`, `k = min(b, c)`: `exact = min(1, 2 P(X <= k))`, `mid_p = exact - P(X = k)` (for `b = c`: `1 - P(X = k) / 2`),
/// `chi² = (b - c)² / n`, corrected `max(|b - c| - 1, 0)² / n`.
///
/// # Arguments
/// `b` pairs where only the candidate fails, `c` pairs where only stable does; pairs are independent. No pairs give 1 throughout.
///
/// # Accuracy
/// The exact form never exceeds its level; mid-p exceeds it rarely and slightly.
///
/// # Source
/// Q. `McNemar` (1947), Psychometrika 12, 153-157; M. W. Fagerland, S. Lydersen, P. Laake (2013), BMC Med. Res. Methodol. 13:91.
///
/// # Example
/// 5 and 15: exact 0.0414, mid-p 0.0266 (statsmodels 0.15.0).
#[must_use]
pub fn mcnemar(b: u64, c: u64) -> McNemar {
    let discordant = b + c;
    let apart = b.abs_diff(c) as f64;
    let chi = |distance: f64| if discordant == 0 { 0.0 } else { distance * distance / discordant as f64 };
    let (chi_square, chi_square_corrected) = (chi(apart), chi((apart - 1.0).max(0.0)));
    let tail = |chi_square: f64| Alternative::TwoSided.normal_p_value(chi_square.sqrt());
    let law = discrete::binomial(discordant, 0.5);
    McNemar {
        exact: law.p_value(b, Alternative::TwoSided),
        mid_p: law.mid_p_value(b, Alternative::TwoSided),
        chi_square,
        asymptotic: tail(chi_square),
        chi_square_corrected,
        asymptotic_corrected: tail(chi_square_corrected),
    }
}

/// Counts of pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pairs {
    /// All pairs, positive.
    pub n: f64,
    /// Pairs with an event in the first answer only.
    pub first_only: f64,
    /// Pairs with an event in the second answer only.
    pub second_only: f64,
}

/// The share of pairs with an event in the second answer only, as likely as the data allow when shares differ by `difference`.
///
/// # Formula
/// `(sqrt(B² - 4AC) - B) / (2A)`, `A = 2n`, `B = (2n - b + c) l - (b + c)`, `C = -c l (1 - l)`, with `b` first only, `c` second only.
///
/// # Arguments
/// `difference` `l` in (-1, 1), first minus second.
///
/// # Source
/// T. Tango (1998), Stat. Med. 17, 891-908.
///
/// # Example
/// 44 pairs, none first only, one second only, -0.1: 0.1.
#[must_use]
pub fn tango_restricted(pairs: Pairs, difference: f64) -> f64 {
    let l = difference;
    let a = 2.0 * pairs.n;
    let b = (a - pairs.first_only + pairs.second_only) * l - (pairs.first_only + pairs.second_only);
    let c = -pairs.second_only * l * (1.0 - l);
    let root = (b * b - 4.0 * a * c).max(0.0).sqrt();
    // The larger root; its second form does not cancel where b is positive.
    let share = if b > 0.0 { -2.0 * c / (root + b) } else { (root - b) / (2.0 * a) };
    share.max((-l).max(0.0))
}

/// Tango's score statistic for the difference of paired proportions, first minus second.
///
/// # Formula
/// `z = (b - c - n l) / sqrt(n (2 p + l (1 - l)))`, `p` as in [`tango_restricted`]. At `l = 0` it is `McNemar`'s `(b - c)/sqrt(b + c)`.
///
/// # Arguments
/// `difference` `l` in (-1, 1). Non-inferiority of successes with margin `m`: `l = -m`, reject for large `z`.
///
/// # Accuracy
/// Asymptotic, usable without discordant pairs. Zero where the observed difference is the given one.
///
/// # Source
/// T. Tango (1998), Stat. Med. 17, 891-908.
///
/// # Example
/// 44 pairs, 0 and 1 discordant, against -0.1: 1.7085642859.
#[must_use]
pub fn tango(pairs: Pairs, difference: f64) -> f64 {
    let l = difference;
    let contrast = pairs.first_only - pairs.second_only - pairs.n * l;
    if contrast == 0.0 {
        return 0.0;
    }
    let variance = 2.0 * tango_restricted(pairs, l) + l * (1.0 - l);
    contrast / (pairs.n * variance.max(0.0)).sqrt()
}

/// Tango's score interval for the difference of paired proportions, first minus second.
///
/// # Formula
/// All `l` with `|tango(l)| <= z`.
///
/// # Arguments
/// `alpha` in (0, 1), two-sided.
///
/// # Accuracy
/// The bounds solve the equation to 1e-12; coverage is asymptotic.
///
/// # Source
/// T. Tango (1998), Stat. Med. 17, 891-908.
///
/// # Example
/// 44 pairs, 0 and 1 discordant, with an error of 2 x 0.0437658 (the p-value of [`tango_p_value`] against -0.1): the lower bound is -0.1.
#[must_use]
pub fn tango_interval(pairs: Pairs, alpha: f64) -> (f64, f64) {
    inverted(|l| tango(pairs, l), (pairs.first_only - pairs.second_only) / pairs.n, alpha)
}

/// One-sided p-value of [`tango`]: `P(Z >= z)`, evidence that the difference is above the given one.
///
/// # Formula
/// `1 - Phi(z)`.
///
/// # Example
/// 44 pairs, 0 and 1 discordant, against -0.1: 0.0437658444.
#[must_use]
pub fn tango_p_value(pairs: Pairs, difference: f64) -> f64 {
    normal::upper_tail(tango(pairs, difference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn no_discordant_pairs_are_no_evidence() {
        let test = mcnemar(0, 0);
        assert!((test.exact - 1.0).abs() < 1e-15 && (test.asymptotic - 1.0).abs() < 1e-12);
        let even = mcnemar(4, 4);
        assert!((even.exact - 1.0).abs() < 1e-12 && (even.mid_p - (1.0 - 35.0 / 256.0)).abs() < 1e-12);
    }

    #[test]
    fn the_interval_ends_where_the_p_value_says() {
        let pairs = Pairs { n: 44.0, first_only: 0.0, second_only: 1.0 };
        let (low, _) = tango_interval(pairs, 2.0 * tango_p_value(pairs, -0.1));
        assert!((low + 0.1).abs() < 1e-8, "{low}");
    }

    proptest! {
        #[test]
        fn mcnemar_ignores_the_order_and_mid_p_is_below_exact(b in 0u64..300, c in 0u64..300) {
            let (there, back) = (mcnemar(b, c), mcnemar(c, b));
            prop_assert!((there.exact - back.exact).abs() < 1e-12 && there.mid_p <= there.exact);
        }

        #[test]
        fn tango_mirrors_and_its_interval_holds_what_it_accepts(
            n in 20u32..400, s in 0.0..0.4f64, t in 0.0..0.4f64, l in -0.5..0.5f64,
        ) {
            let of = |share: f64| (f64::from(n) * share).round();
            let pairs = Pairs { n: f64::from(n), first_only: of(s), second_only: of(t) };
            let turned = Pairs { first_only: pairs.second_only, second_only: pairs.first_only, ..pairs };
            let z = tango(pairs, l);
            prop_assert!((z + tango(turned, -l)).abs() < 1e-7 * (1.0 + z.abs()));
            let (low, high) = tango_interval(pairs, 0.05);
            let critical = normal::upper_quantile(0.025);
            if (z.abs() - critical).abs() > 1e-6 {
                prop_assert_eq!(z.abs() < critical, low < l && l < high);
            }
        }
    }

    #[test]
    fn exact_and_mid_p_keep_their_level() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut exact, mut mid) = (0, 0);
        for _ in 0..4000 {
            let b = (0..24).filter(|_| rng.random::<f64>() < 0.5).count() as u64;
            let test = mcnemar(b, 24 - b);
            exact += usize::from(test.exact <= 0.05);
            mid += usize::from(test.mid_p <= 0.05);
        }
        assert!(exact <= 240 && mid <= 280 && exact <= mid, "{exact} {mid} of 4000");
    }
}
