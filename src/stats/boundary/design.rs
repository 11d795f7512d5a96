//! Designs: constants of classical families, power, inflation, futility, and decisions on the way.

use super::integrate::{Side, Walk};
use super::search::rising_root;
use super::spending::Spending;
use super::{Crossing, RESOLUTION, SMALLEST_SPEND, Shape, crossing, upper};
use crate::stats::normal;

/// A classical family of boundaries.
///
/// # Formula
/// With `t_k` the information of look `k` over that of the last:
/// * `ObrienFleming`: `z_k = C / sqrt(t_k)`
/// * `Pocock`: `z_k = C`
/// * `WangTsiatis(delta)`: `z_k = C t_k^(delta - 1/2)`; 0 is O'Brien and Fleming's, 1/2 Pocock's
/// * `HaybittlePeto(z)`: `z` at all looks but the last
///
/// # Source
/// P. C. O'Brien, T. R. Fleming (1979), Biometrics 35, 549-556; S. J. Pocock (1977), Biometrika 64, 191-199; S. K. Wang, A. A. Tsiatis (1987),
/// Biometrics 43, 193-199; J. L. Haybittle (1971), Br. J. Radiol. 44, 793-797; R. Peto et al. (1976), Br. J. Cancer 34, 585-612.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Family {
    /// O'Brien and Fleming.
    ObrienFleming,
    /// Pocock.
    Pocock,
    /// Wang and Tsiatis, with their power.
    WangTsiatis(f64),
    /// Haybittle and Peto, with the `z` of all looks but the last.
    HaybittlePeto(f64),
}

/// The upper boundary of a classical family that crosses with probability `alpha` under no drift.
///
/// # Formula
/// See [`Family`]; the constant (the last `z` of Haybittle and Peto) is found by search.
///
/// # Arguments
/// `information` positive and growing, in any unit, one per look; `alpha` of one side, in (0, 0.5).
///
/// # Errors
/// `None` without looks or where no constant exists: interim looks of Haybittle and Peto that spend more than `alpha`.
///
/// # Accuracy
/// 1e-7 in `z`.
///
/// # Source
/// See [`Family`].
///
/// # Example
/// Five even looks, 0.025 on each side: last `z` 2.040073 (O'Brien-Fleming), 2.413176 (Pocock) (Jennison and Turnbull 2000, tables 2.1 and 2.3).
#[must_use]
pub fn classical(family: Family, information: &[f64], alpha: f64, shape: Shape) -> Option<Vec<f64>> {
    let last = *information.last()?;
    let delta = match family {
        Family::ObrienFleming => 0.0,
        Family::Pocock => 0.5,
        Family::WangTsiatis(delta) => delta,
        Family::HaybittlePeto(z) => return haybittle_peto(z, information, alpha, shape),
    };
    let bend: Vec<f64> = information.iter().map(|i| (i / last).powf(delta - 0.5)).collect();
    let bounds = |constant: f64| -> Vec<f64> { bend.iter().map(|factor| constant * factor).collect() };
    let excess = |constant: f64| alpha - probability(information, &bounds(constant), shape, 0.0).total;
    // The last look alone needs the quantile of `alpha`; all looks together at most that of `alpha / K`.
    let single = normal::upper_quantile(alpha);
    if information.len() == 1 {
        return Some(vec![single]);
    }
    let even = normal::upper_quantile(alpha / information.len() as f64);
    rising_root(excess, single, even).map(bounds)
}

fn haybittle_peto(z: f64, information: &[f64], alpha: f64, shape: Shape) -> Option<Vec<f64>> {
    let mut walk = Walk::new(0.0, RESOLUTION);
    let mut left = alpha;
    let (&last, interim) = information.split_last()?;
    for &look in interim {
        walk.advance(look);
        left -= walk.beyond(Side::Upper, z);
        walk.stop_outside(shape.lower(z), z);
    }
    if left < SMALLEST_SPEND {
        return None;
    }
    walk.advance(last);
    let end = walk.quantile(Side::Upper, left);
    Some(std::iter::repeat_n(z, interim.len()).chain([end]).collect())
}

/// Crossing probabilities of an upper boundary and, where the shape is symmetric, its mirror image.
///
/// See [`crossing`] for arguments, accuracy and source.
#[must_use]
pub fn probability(information: &[f64], upper: &[f64], shape: Shape, drift: f64) -> Crossing {
    let mirror: Option<Vec<f64>> = (shape == Shape::Symmetric).then(|| upper.iter().map(|z| -z).collect());
    crossing(information, upper, mirror.as_deref(), drift)
}

/// The drift under which an upper boundary is crossed with a given probability.
///
/// # Formula
/// The root of `crossing(information, upper, lower, drift).total = power`; the answer is per square root of the unit of `information`.
///
/// # Arguments
/// As for [`crossing`]; `power` in (0, 1), of the upper boundary alone.
///
/// # Errors
/// `None` where the boundary is crossed more often under no drift, or never as often.
///
/// # Accuracy
/// 1e-7 of the drift.
///
/// # Source
/// C. Jennison, B. W. Turnbull (2000), section 2.2.
///
/// # Example
/// One look at 1.959964, information 1, power 0.9: 3.2415155.
#[must_use]
pub fn drift_for_power(information: &[f64], upper: &[f64], lower: Option<&[f64]>, power: f64) -> Option<f64> {
    let root = information.last()?.sqrt();
    let last = upper.last()?.min(10.0);
    let excess = |end: f64| crossing(information, upper, lower, end / root).total - power;
    let guess = last.max(0.5) - normal::upper_quantile(power);
    rising_root(excess, 0.0, guess.max(0.5)).map(|end| end / root)
}

/// The drift at full information 1 that a single look needs: `z_(1-alpha) + z_power`.
///
/// # Arguments
/// `alpha` of one side, in (0, 1); `power` in (0, 1).
///
/// # Source
/// The normal distribution.
///
/// # Example
/// 0.025 and 0.9: 3.2415155.
#[must_use]
pub fn fixed_drift(alpha: f64, power: f64) -> f64 {
    normal::upper_quantile(alpha) - normal::upper_quantile(power)
}

/// What a sequential design costs against a single look of the same error and power.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Largest information over the single look's.
    pub inflation: f64,
    /// Mean information without an effect over the single look's.
    pub expected_null: f64,
    /// Mean information under the planned effect over the single look's.
    pub expected_planned: f64,
}

/// The price of a boundary.
///
/// # Formula
/// `inflation = drift² I_K / (z_(1-alpha) + z_power)²`, with the drift of [`drift_for_power`].
///
/// # Arguments
/// As for [`drift_for_power`]; `alpha` of one side: that of the single look compared with.
///
/// # Errors
/// `None` where no drift gives the power.
///
/// # Accuracy
/// 1e-7.
///
/// # Source
/// C. Jennison, B. W. Turnbull (2000), section 2.2.
///
/// # Example
/// O'Brien-Fleming, five even looks, 0.025 on each side, power 0.8: 1.028411 and 0.817570 (tables 2.2 and 2.5).
#[must_use]
pub fn price(information: &[f64], upper: &[f64], lower: Option<&[f64]>, alpha: f64, power: f64) -> Option<Price> {
    let drift = drift_for_power(information, upper, lower, power)?;
    let single = (fixed_drift(alpha, power) / drift).powi(2);
    let expected = |drift: f64| crossing(information, upper, lower, drift).expected_information / single;
    let inflation = information.last()? / single;
    Some(Price { inflation, expected_null: expected(0.0), expected_planned: expected(drift) })
}

/// A one-sided design with non-binding futility.
#[derive(Debug, Clone, PartialEq)]
pub struct Futility {
    /// Upper boundary: as without futility, so that ignoring the lower one costs no error.
    pub upper: Vec<f64>,
    /// Lower boundary; equal to the upper one at the last look.
    pub lower: Vec<f64>,
    /// The drift, at full information 1, for which the power is `1 - beta`.
    pub drift: f64,
}

/// Non-binding futility by beta spending.
///
/// # Formula
/// The upper boundary is that of [`upper`]; `l_k` with `P(no stop before k, Z_k < l_k) = B(t_k) - B(t_(k-1))` under the drift; the drift
/// is the one for which the last `l` meets the last `u`.
///
/// # Arguments
/// `fractions` growing to 1; `alpha` one-sided and `beta` with their spending functions, both in (0, 0.5).
///
/// # Errors
/// `None` without looks or where no drift fits.
///
/// # Accuracy
/// 1e-7 in `z`. A look that may spend less than 1e-15 cannot stop: negative infinity.
///
/// # Source
/// S. Pampallona, A. A. Tsiatis, K. Kim (2001), Drug Inf. J. 35, 1113-1121.
///
/// # Example
/// Four even looks, 0.025 and 0.1, O'Brien-Fleming type both: lower -1.40267, 0.32488, 1.29114, 2.01409 (gsDesign 3.11, `test.type = 4`).
#[must_use]
pub fn futility(fractions: &[f64], alpha: (f64, Spending), beta: (f64, Spending)) -> Option<Futility> {
    let upper = upper(fractions, alpha.0, alpha.1);
    let excess = |drift: f64| lower_by_spending(fractions, &upper, beta, drift).1 - (1.0 - beta.0);
    let fixed = fixed_drift(alpha.0, 1.0 - beta.0);
    let drift = rising_root(excess, 0.5 * fixed, 1.1 * fixed)?;
    let (mut lower, _) = lower_by_spending(fractions, &upper, beta, drift);
    *lower.last_mut()? = *upper.last()?;
    Some(Futility { upper, lower, drift })
}

/// The lower boundary that spends beta under a drift, and the power that is left.
fn lower_by_spending(fractions: &[f64], upper: &[f64], beta: (f64, Spending), drift: f64) -> (Vec<f64>, f64) {
    let mut walk = Walk::new(drift, RESOLUTION);
    let (mut spent, mut power) = (0.0, 0.0);
    let mut lower = Vec::with_capacity(upper.len());
    for (&fraction, &upper) in fractions.iter().zip(upper) {
        walk.advance(fraction);
        let until = beta.1.spent(fraction, beta.0);
        let z = if until - spent < SMALLEST_SPEND {
            f64::NEG_INFINITY
        } else {
            walk.quantile(Side::Lower, until - spent).min(upper)
        };
        if z > f64::NEG_INFINITY {
            spent = until;
        }
        power += walk.beyond(Side::Upper, upper);
        walk.stop_outside(z, upper);
        lower.push(z);
    }
    (lower, power)
}

/// The drift that an interim result itself suggests: `z / sqrt(t)`, at full information 1.
///
/// # Source
/// J. M. Lachin (2005), Stat. Med. 24, 2747-2764: conditional power under the current trend.
///
/// # Example
/// `z` 1 at half of the information: 1.4142.
#[must_use]
pub fn current_trend(z: f64, fraction: f64) -> f64 {
    z / fraction.sqrt()
}

/// Probability to end above a final boundary, given an interim result and a drift for the rest.
///
/// # Formula
/// `P(Z > (z_final - z sqrt(t) - drift (1 - t)) / sqrt(1 - t))`.
///
/// # Arguments
/// `z` at information fraction `fraction`, in [0, 1]; `drift` is the expected final `z`: [`current_trend`], the planned one, or 0.
///
/// # Errors
/// None; at fraction 1 the result is 1 or 0.
///
/// # Accuracy
/// 1e-12. One remaining look; earlier boundaries on the way are not taken into account.
///
/// # Source
/// K. K. G. Lan, J. Wittes (1988), Biometrics 44, 579-585.
///
/// # Example
/// `z` 1.2 at 0.4, final 1.959964, current trend: 0.4677954.
#[must_use]
pub fn conditional_power(z: f64, fraction: f64, final_z: f64, drift: f64) -> f64 {
    let left = 1.0 - fraction;
    if left <= 0.0 {
        return if z > final_z { 1.0 } else { 0.0 };
    }
    normal::upper_tail((final_z - z * fraction.sqrt() - drift * left) / left.sqrt())
}

/// Independent stage-wise results combined with weights fixed in advance, after each stage.
///
/// # Formula
/// `Z_k = sum sqrt(w_j) z_j / sqrt(sum w_j)` over the stages up to `k`.
///
/// # Arguments
/// `z` of each stage's own data; `weights` positive, the planned information of the stages in any unit.
///
/// # Errors
/// None.
///
/// # Accuracy
/// That of floating point. Valid whatever the real sample sizes.
///
/// # Source
/// W. Lehmacher, G. Wassmer (1999), Biometrics 55, 1286-1290; L. Cui, H. M. J. Hung, S.-J. Wang (1999), Biometrics 55, 853-857.
///
/// # Panics
/// Where the lists have different lengths.
///
/// # Example
/// 1.2, 0.8, 1.9 with 0.1, 0.3, 0.6: 1.2, 1.2928, 2.2894.
#[must_use]
pub fn combine_stages(z: &[f64], weights: &[f64]) -> Vec<f64> {
    assert_eq!(z.len(), weights.len(), "one weight per stage");
    let (mut sum, mut total) = (0.0, 0.0);
    let after = |(&z, &weight): (&f64, &f64)| {
        sum += weight.sqrt() * z;
        total += weight;
        sum / total.sqrt()
    };
    z.iter().zip(weights).map(after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn even(looks: usize) -> Vec<f64> {
        (1..=looks).map(|look| look as f64 / looks as f64).collect()
    }

    // C. Jennison, B. W. Turnbull (2000), tables 2.1 and 2.3, in more digits by gsDesign 3.11.
    #[test]
    fn constants_agree_with_jennison_and_turnbull() {
        let last = |family| *classical(family, &even(5), 0.025, Shape::Symmetric).unwrap().last().unwrap();
        assert!((last(Family::ObrienFleming) - 2.040_073_175).abs() < 1e-6);
        assert!((last(Family::Pocock) - 2.413_176_22).abs() < 1e-6);
        assert!((last(Family::WangTsiatis(0.0)) - last(Family::ObrienFleming)).abs() < 1e-9);
        assert!((last(Family::WangTsiatis(0.5)) - last(Family::Pocock)).abs() < 1e-9);
    }

    #[test]
    fn impossible_designs_are_refused() {
        assert_eq!(classical(Family::HaybittlePeto(1.5), &even(3), 0.025, Shape::OneSided), None);
        assert_eq!(classical(Family::Pocock, &[], 0.025, Shape::OneSided), None);
        assert_eq!(drift_for_power(&[1.0], &[1.96], None, 0.01), None);
        assert_eq!(drift_for_power(&[1.0], &[f64::INFINITY], None, 0.8), None);
        assert_eq!(futility(&[], (0.025, Spending::Pocock), (0.1, Spending::Pocock)), None);
    }

    #[test]
    fn one_look_costs_nothing() {
        let z = classical(Family::HaybittlePeto(3.0), &[7.0], 0.025, Shape::OneSided).unwrap();
        let price = price(&[7.0], &z, None, 0.025, 0.9).unwrap();
        assert!((price.inflation - 1.0).abs() < 1e-9 && (price.expected_planned - 1.0).abs() < 1e-9);
    }

    #[test]
    fn futility_spends_beta_and_leaves_alpha() {
        let (alpha, beta) = ((0.025, Spending::ObrienFleming), (0.2, Spending::HwangShihDeCani(-2.0)));
        let looks = [0.1, 0.25, 0.6, 1.0];
        let design = futility(&looks, alpha, beta).unwrap();
        let planned = crossing(&looks, &design.upper, Some(&design.lower), design.drift);
        assert!((planned.total - 0.8).abs() < 1e-8 && (planned.lower_total - 0.2).abs() < 1e-8);
        let mut spent = 0.0;
        for (look, lower) in looks.iter().zip(&planned.lower_per_look) {
            spent += lower;
            assert!((spent - beta.1.spent(*look, beta.0)).abs() < 1e-8);
        }
        let with = crossing(&looks, &design.upper, Some(&design.lower), 0.0).total;
        assert!(with < 0.025 && (crossing(&looks, &design.upper, None, 0.0).total - 0.025).abs() < 1e-8);
    }

    #[test]
    fn conditional_power_ends_in_a_decision() {
        assert!(conditional_power(2.0, 1.0, 1.96, 3.0) > 0.999 && conditional_power(1.9, 1.0, 1.96, 3.0) < 0.001);
        let start = conditional_power(0.0, 0.0, 1.96, 2.8);
        assert!((start - normal::upper_tail(1.96 - 2.8)).abs() < 1e-12);
        assert!((conditional_power(1.2, 0.4, 1.959_963_985, current_trend(1.2, 0.4)) - 0.467_795_381_8).abs() < 1e-9);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn families_cross_with_their_error(
            steps in proptest::collection::vec(0.05..1.0f64, 1..8), delta in -0.2..0.8f64, alpha in 0.002..0.2f64
        ) {
            let looks = super::super::rollout::fractions(&steps);
            for shape in [Shape::OneSided, Shape::Symmetric] {
                let z = classical(Family::WangTsiatis(delta), &looks, alpha, shape).unwrap();
                prop_assert!((probability(&looks, &z, shape, 0.0).total - alpha).abs() < 1e-8);
            }
        }

        #[test]
        fn the_drift_gives_the_power(steps in proptest::collection::vec(0.05..1.0f64, 1..8), power in 0.1..0.99f64) {
            let looks: Vec<f64> = super::super::rollout::fractions(&steps).iter().map(|look| 400.0 * look).collect();
            let z = vec![2.5; looks.len()];
            let drift = drift_for_power(&looks, &z, None, power).unwrap();
            prop_assert!((crossing(&looks, &z, None, drift).total - power).abs() < 1e-8);
        }

        #[test]
        fn combined_stages_do_not_depend_on_the_unit_of_weights(z in proptest::collection::vec(-3.0..3.0f64, 1..6), unit in 0.01..100.0f64) {
            let weights: Vec<f64> = (1..=z.len()).map(|stage| stage as f64).collect();
            let scaled: Vec<f64> = weights.iter().map(|weight| weight * unit).collect();
            let pairs = combine_stages(&z, &weights).into_iter().zip(combine_stages(&z, &scaled));
            prop_assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-12));
        }
    }
}
