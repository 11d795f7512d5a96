//! Group-sequential boundaries by recursive integration.
//!
//! The standardised statistic is followed from look to look on the grid of Jennison and Turnbull, with Simpson's rule: dense where the
//! density is, cut off at the boundary. A step to a look of information `I` from one of `I'` spreads the score by a normal of variance
//! `I - I'`.

use super::normal;
use crate::domain::gate::Spending;

/// Increments of alpha below this are unreachable: their boundary is infinite.
const UNREACHABLE: f64 = 1e-15;

/// Grid points nearer to the mean than three standard deviations lie `3 / (2 r)` apart; more where looks follow each other closely.
const SMALLEST_R: f64 = 32.0;
const LARGEST_R: f64 = 600.0;

/// A normal step reaches this many standard deviations.
const REACH: f64 = 9.0;

/// Alpha spent by an information fraction.
///
/// # Formula
/// As written at each [`Spending`]; the O'Brien-Fleming type is one-sided, `2 - 2 Phi(z_{alpha/2} / sqrt t)`.
///
/// # Arguments
/// `fraction` of the information, taken as 1 above 1; `alpha` one-sided, in (0, 1).
///
/// # Source
/// K. K. G. Lan, D. L. DeMets (1983), Biometrika 70, 659-663; K. Kim, D. L. DeMets (1987), Biometrika 74, 149-154; I. K. Hwang,
/// W. J. Shih, J. S. DeCani (1990), Stat. Med. 9, 1439-1445.
///
/// # Example
/// Hwang-Shih-DeCani with gamma -4 has spent 0.0005716339686 of 0.025 at one fifth (gsDesign 3.11).
#[must_use]
pub fn spent(spending: Spending, fraction: f64, alpha: f64) -> f64 {
    let t = fraction.min(1.0);
    if t <= 0.0 {
        return 0.0;
    }
    match spending {
        Spending::Pocock => alpha * ((std::f64::consts::E - 1.0) * t).ln_1p(),
        Spending::ObrienFleming => 2.0 * normal::upper_tail(normal::upper_quantile(alpha / 2.0) / t.sqrt()),
        Spending::Power(rho) => alpha * t.powf(rho),
        Spending::HwangShihDeCani(gamma) if gamma.abs() < 1e-9 => alpha * t,
        Spending::HwangShihDeCani(gamma) => alpha * (-gamma * t).exp_m1() / (-gamma).exp_m1(),
    }
}

/// One-sided upper boundary that spends `alpha` over looks at given information fractions.
///
/// # Formula
/// `P(no crossing before k, Z_k > z_k) = A(t_k) - A(t_{k-1})` under no drift.
///
/// # Arguments
/// `fractions` of the planned information at each look, rising, above 0, the last usually 1; `alpha` one-sided.
///
/// # Result
/// One `z` per look; infinite where the increment is below 1e-15.
///
/// # Accuracy
/// Within 1e-6 of rpact and gsDesign up to 30 looks.
///
/// # Source
/// C. Jennison, B. W. Turnbull (2000), Group Sequential Methods, chapters 7 and 19; P. Armitage, C. K. McPherson, B. C. Rowe (1969),
/// JRSS A 132, 235-244 for the recursion.
///
/// # Example
/// O'Brien-Fleming type, 0.025, three equal looks: 3.710302873, 2.51142748, 1.993047478 (gsDesign 3.11).
#[must_use]
pub fn upper(fractions: &[f64], alpha: f64, spending: Spending) -> Vec<f64> {
    let grid = fineness(fractions);
    let mut before: Option<Density> = None;
    let mut already = 0.0;
    let mut boundary = Vec::with_capacity(fractions.len());
    for &fraction in fractions {
        let increment = spent(spending, fraction, alpha) - already;
        already += increment;
        let z = if increment < UNREACHABLE {
            f64::INFINITY
        } else {
            match &before {
                None => normal::upper_quantile(increment),
                Some(density) => density.boundary_with(fraction, increment),
            }
        };
        before = Some(Density::next(before.as_ref(), fraction, 0.0, (f64::NEG_INFINITY, z), grid));
        boundary.push(z);
    }
    boundary
}

/// Chance to cross an upper boundary at each look, not having crossed it before.
///
/// # Formula
/// The recursion of [`upper`] with drift: increments of the score between looks are `N(drift (I_k - I_{k-1}), I_k - I_{k-1})`.
///
/// # Arguments
/// `information` at each look, rising, above 0; `boundary` as many `z`, infinite where a look cannot cross; `drift` the mean of the
/// standardised statistic at information 1.
///
/// # Source
/// As [`upper`].
///
/// # Example
/// Boundaries 2.0 at information 0.5 and 1 without drift are crossed first at the second look with chance 0.0152365 (scipy 1.17.1 `multivariate_normal.cdf`).
#[must_use]
pub fn crossing(information: &[f64], boundary: &[f64], drift: f64) -> Vec<f64> {
    let grid = fineness(information);
    let mut before: Option<Density> = None;
    let mut chances = Vec::with_capacity(information.len());
    for (&information, &z) in information.iter().zip(boundary) {
        let chance = match &before {
            None => normal::upper_tail(z - drift * information.sqrt()),
            Some(density) => density.chance_above(information, z, drift),
        };
        before = Some(Density::next(before.as_ref(), information, drift, (f64::NEG_INFINITY, z), grid));
        chances.push(chance);
    }
    chances
}

/// The drift at which a boundary is crossed at some look with a given chance.
///
/// # Arguments
/// As [`crossing`]; `power` in (0, 1), above the chance without drift.
///
/// # Result
/// In standard errors at information 1; not a number where no drift up to 100 does it.
#[must_use]
pub fn drift_for(information: &[f64], boundary: &[f64], power: f64) -> f64 {
    let reaches = |drift: f64| crossing(information, boundary, drift).iter().sum::<f64>() >= power;
    let (mut low, mut high) = (0.0, 100.0);
    if !reaches(high) {
        return f64::NAN;
    }
    while high - low > 1e-6 {
        let middle = f64::midpoint(low, high);
        if reaches(middle) { high = middle } else { low = middle }
    }
    high
}

/// Grid parameter `r` fine enough for the smallest step between looks.
fn fineness(information: &[f64]) -> f64 {
    let steps = information.windows(2).map(|pair| ((pair[1] - pair[0]) / pair[1]).max(0.0).sqrt());
    let narrowest = steps.fold(1.0, f64::min);
    (4.0 / narrowest).ceil().clamp(SMALLEST_R, LARGEST_R)
}

/// The part of the density of the standardised statistic that has not crossed, times Simpson's weights.
struct Density {
    information: f64,
    z: Vec<f64>,
    mass: Vec<f64>,
}

impl Density {
    fn next(before: Option<&Self>, information: f64, drift: f64, bounds: (f64, f64), r: f64) -> Self {
        let mean = drift * information.sqrt();
        let (z, weights) = grid(mean, bounds, r);
        let density = |z: f64| match before {
            None => standard_density(z - mean),
            Some(before) => before.density_after(information, z, drift),
        };
        let mass = z.iter().zip(&weights).map(|(&z, weight)| weight * density(z)).collect();
        Self { information, z, mass }
    }

    /// Points from which a step can reach, and the step's standard deviation.
    fn within_reach(&self, information: f64, score: f64) -> (std::ops::Range<usize>, f64) {
        let sd = (information - self.information).sqrt();
        let root = self.information.sqrt();
        let first = self.z.partition_point(|z| z * root < score - REACH * sd);
        let last = self.z.partition_point(|z| z * root <= score + REACH * sd);
        (first..last, sd)
    }

    fn density_after(&self, information: f64, z: f64, drift: f64) -> f64 {
        let score = z * information.sqrt() - drift * (information - self.information);
        let (reach, sd) = self.within_reach(information, score);
        let root = self.information.sqrt();
        let step = |index: usize| self.mass[index] * standard_density((score - self.z[index] * root) / sd);
        reach.map(step).sum::<f64>() * information.sqrt() / sd
    }

    fn chance_above(&self, information: f64, z: f64, drift: f64) -> f64 {
        if z.is_infinite() {
            return 0.0;
        }
        let score = z * information.sqrt() - drift * (information - self.information);
        let (reach, sd) = self.within_reach(information, score);
        let root = self.information.sqrt();
        let certain: f64 = self.mass[reach.end..].iter().sum();
        let step = |index: usize| self.mass[index] * normal::upper_tail((score - self.z[index] * root) / sd);
        certain + reach.map(step).sum::<f64>()
    }

    /// The boundary above which exactly this chance lies at the next look, without drift.
    fn boundary_with(&self, information: f64, chance: f64) -> f64 {
        let (mut low, mut high) = (-REACH, 40.0);
        for _ in 0..80 {
            let middle = f64::midpoint(low, high);
            if self.chance_above(information, middle, 0.0) > chance { low = middle } else { high = middle }
        }
        f64::midpoint(low, high)
    }
}

fn standard_density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// Points of Jennison and Turnbull's grid around a mean, cut at bounds, with the midpoints and weights of Simpson's rule.
fn grid(mean: f64, (lower, upper): (f64, f64), r: f64) -> (Vec<f64>, Vec<f64>) {
    let count = (6.0 * r) as usize - 1;
    let point = |index: usize| {
        let i = index as f64;
        let offset = if i < r {
            -3.0 - 4.0 * (r / i).ln()
        } else if i <= 5.0 * r {
            -3.0 + 3.0 * (i - r) / (2.0 * r)
        } else {
            3.0 + 4.0 * (r / (6.0 * r - i)).ln()
        };
        mean + offset
    };
    let inside = (1..=count).map(point).filter(|&z| z > lower && z < upper);
    let first = Some(lower).filter(|lower| lower.is_finite());
    let last = Some(upper).filter(|upper| upper.is_finite());
    let ends: Vec<f64> = first.into_iter().chain(inside).chain(last).collect();
    let mut z = Vec::with_capacity(2 * ends.len());
    let mut weights = vec![0.0; (2 * ends.len()).saturating_sub(1)];
    for (index, pair) in ends.windows(2).enumerate() {
        z.extend([pair[0], f64::midpoint(pair[0], pair[1])]);
        let width = pair[1] - pair[0];
        for (weight, part) in weights[2 * index..].iter_mut().zip([1.0, 4.0, 1.0]) {
            *weight += part * width / 6.0;
        }
    }
    z.extend(ends.last());
    (z, weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
        }
    }

    fn equal_looks(count: usize) -> Vec<f64> {
        (1..=count).map(|look| look as f64 / count as f64).collect()
    }

    // gsDesign 3.11.0.9003, reference vectors `gs-ld-sfLDOF-0.025-K3`, `gs-power-family-rho2-K3`, `gs-hsd--4`.
    #[test]
    fn boundaries_agree_with_gsdesign() {
        agrees(
            &upper(&equal_looks(3), 0.025, Spending::ObrienFleming),
            &[3.710_302_873, 2.511_427_48, 1.993_047_478],
            1e-6,
        );
        agrees(
            &upper(&equal_looks(3), 0.05, Spending::Power(2.0)),
            &[2.539_184_814, 2.068_664_237, 1.740_692_071],
            1e-6,
        );
        agrees(
            &upper(&equal_looks(5), 0.025, Spending::HwangShihDeCani(-4.0)),
            &[3.252_668_488, 2.986_045_945, 2.691_657_447, 2.373_666_986, 2.025_321_41],
            1e-6,
        );
    }

    // rpact, reference vector `rpact-hsd0`: unequal information.
    #[test]
    fn unequal_information_agrees_with_rpact() {
        agrees(
            &upper(&[0.2, 0.4, 1.0], 0.03, Spending::HwangShihDeCani(0.0)),
            &[2.512_144_3, 2.422_874_7, 2.028_039_2],
            1e-6,
        );
    }

    // gsDesign, reference vector `gs-cross-LDOF5-1s`.
    #[test]
    fn crossing_agrees_with_gsdesign() {
        let information = [0.206_994_373, 0.413_988_746_1, 0.620_983_119_1, 0.827_977_492_1, 1.034_971_865];
        let boundary = [4.229_195_059, 2.888_136_546, 2.298_090_284, 1.961_821_466, 1.739_704_5];
        let expected = [0.000_974_378_437_2, 0.097_912_180_78, 0.272_953_306_9, 0.258_423_368_1, 0.169_736_765_8];
        agrees(&crossing(&information, &boundary, 2.486_474_861), &expected, 1e-7);
    }

    // Reference vector `gs-rollout-LD-OBF-a0.05-x1`: a stage of 1 % cannot cross.
    #[test]
    fn a_look_with_hardly_any_information_is_unreachable() {
        let fractions = [0.021_181_001_28, 0.122_807_017_5, 0.465_126_230_2, 1.0];
        let found = upper(&fractions, 0.05, Spending::ObrienFleming);
        assert!(found[0].is_infinite());
        agrees(&found[1..], &[5.471_344_455, 2.647_445_034, 1.657_506_337], 1e-5);
    }

    #[test]
    fn alpha_is_spent_whatever_the_number_of_looks() {
        for (looks, spending) in
            [(1, Spending::Pocock), (24, Spending::Pocock), (96, Spending::ObrienFleming), (300, Spending::Power(1.0))]
        {
            let information = equal_looks(looks);
            let total: f64 = crossing(&information, &upper(&information, 0.05, spending), 0.0).iter().sum();
            assert!((total - 0.05).abs() < 1e-7, "{looks} looks: {total}");
        }
    }

    #[test]
    fn drift_and_power_invert_each_other() {
        let information = equal_looks(5);
        let boundary = upper(&information, 0.05, Spending::Pocock);
        let drift = drift_for(&information, &boundary, 0.8);
        let power: f64 = crossing(&information, &boundary, drift).iter().sum();
        assert!((power - 0.8).abs() < 1e-5);
    }

    // Seeded simulation of Brownian motion under the null.
    #[test]
    fn false_alarms_of_simulated_walks_come_at_alpha() {
        use rand::SeedableRng;
        use rand_distr::{Distribution, StandardNormal};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let information = equal_looks(48);
        let boundary = upper(&information, 0.05, Spending::Pocock);
        let walks = 20_000;
        let mut alarms = 0;
        for _ in 0..walks {
            let (mut score, mut before, mut crossed) = (0.0, 0.0, false);
            for (&now, &z) in information.iter().zip(&boundary) {
                let step: f64 = StandardNormal.sample(&mut rng);
                score += step * (now - before).sqrt();
                before = now;
                crossed |= score / now.sqrt() > z;
            }
            alarms += u32::from(crossed);
        }
        // Four standard errors of 20,000 walks at 5 %.
        assert!((f64::from(alarms) / f64::from(walks) - 0.05).abs() < 0.0062, "{alarms}");
    }
}
