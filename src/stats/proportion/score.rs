//! Score test and interval for the difference or the ratio of two independent proportions.

use super::{Count, inverted};

/// Whether the score's variance carries the factor `N / (N - 1)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variance {
    /// Without the factor: Farrington and Manning.
    FarringtonManning,
    /// With the factor: Miettinen and Nurminen.
    MiettinenNurminen,
}

/// Two proportions that differ by a given amount, as likely as the data allow: `(p1, p2)` with `p1 - p2 = difference`.
///
/// # Formula
/// The root in `[max(0, -d), min(1, 1 - d)]` of the likelihood's cubic `L3 p2³ + L2 p2² + L1 p2 + L0`, with `L3 = N`,
/// `L2 = (n1 + 2 n2) d - N - X`, `L1 = (n2 d - N - 2 x2) d + X`, `L0 = x2 d (1 - d)`, by Viete's formula, then polished on the cubic's
/// factored form, whose terms do not cancel for rare events.
///
/// # Arguments
/// `difference` in [-1, 1]. Events and trials may be weights, only their ratios matter.
///
/// # Accuracy
/// Relative 1e-10 on the smaller of `p` and `1 - p`.
///
/// # Source
/// O. Miettinen, M. Nurminen (1985), Stat. Med. 4, 213-226, appendix I; C. P. Farrington, G. Manning (1990), Stat. Med. 9, 1447-1454.
///
/// # Example
/// 24 of 1000 and 380 of 19000 at difference 0.01: the score is -1.096748431 (gsDesign `testBinomial`).
#[must_use]
pub fn restricted(first: Count, second: Count, difference: f64) -> (f64, f64) {
    let d = difference;
    let (n1, n2, x1, x2) = (first.trials, second.trials, first.events, second.events);
    if d == 0.0 {
        let pooled = (x1 + x2) / (n1 + n2);
        return (pooled, pooled);
    }
    let l3 = n1 + n2;
    let l2 = (n1 + 2.0 * n2) * d - l3 - x1 - x2;
    let l1 = (n2 * d - l3 - 2.0 * x2) * d + x1 + x2;
    let l0 = x2 * d * (1.0 - d);
    let centre = l2 / (3.0 * l3);
    let q = centre.powi(3) - l1 * l2 / (6.0 * l3 * l3) + l0 / (2.0 * l3);
    let radius = (centre * centre - l1 / (3.0 * l3)).max(0.0).sqrt().copysign(q);
    let cosine = if radius == 0.0 { 1.0 } else { (q / radius.powi(3)).clamp(-1.0, 1.0) };
    let angle = (std::f64::consts::PI + cosine.acos()) / 3.0;
    let (low, high) = ((-d).max(0.0), (1.0 - d).min(1.0));
    let start = (2.0 * radius * angle.cos() - centre).clamp(low, high);
    polished(first, second, d, start)
}

/// Newton steps on the factored cubic, in the distance from the nearer end of the allowed range.
fn polished(first: Count, second: Count, d: f64, start: f64) -> (f64, f64) {
    let (x1, y1) = (first.events, first.trials - first.events);
    let (x2, y2) = (second.events, second.trials - second.events);
    let (low, high) = ((-d).max(0.0), (1.0 - d).min(1.0));
    let from_low = start - low < high - start;
    let width = high - low;
    // p1, q1, p2, q2 as functions of the distance: none is a difference of nearly equal numbers.
    let shares = |distance: f64| {
        let (up, down) = if from_low { (distance, width - distance) } else { (width - distance, distance) };
        let (base, top) = (d.max(0.0), (-d).max(0.0));
        (base + up, top + down, top + up, base + down)
    };
    let mut distance = if from_low { start - low } else { high - start };
    for _ in 0..60 {
        let (p1, q1, p2, q2) = shares(distance);
        let value = x1 * p2 * q1 * q2 - y1 * p1 * p2 * q2 + x2 * p1 * q1 * q2 - y2 * p1 * q1 * p2;
        let slope = x1 * (q1 * q2 - p2 * q2 - p2 * q1) - y1 * (p2 * q2 + p1 * q2 - p1 * p2)
            + x2 * (q1 * q2 - p1 * q2 - p1 * q1)
            - y2 * (q1 * p2 - p1 * p2 + p1 * q1);
        let step = if from_low { value / slope } else { -value / slope };
        if !step.is_finite() {
            break;
        }
        let next = (distance - step).clamp(0.1 * distance, width);
        let settled = (next - distance).abs() <= 1e-15 * distance;
        distance = next;
        if settled {
            break;
        }
    }
    let (p1, _, p2, _) = shares(distance);
    (p1, p2)
}

/// Standardises a contrast by a variance; no contrast is no evidence, even without variance.
fn standardised(contrast: f64, variance: f64) -> f64 {
    if contrast == 0.0 { 0.0 } else { contrast / variance.max(0.0).sqrt() }
}

/// The factor on the variance.
fn factor(variance: Variance, total: f64) -> f64 {
    match variance {
        Variance::FarringtonManning => 1.0,
        Variance::MiettinenNurminen => total / (total - 1.0),
    }
}

/// Score statistic of a difference of two proportions, first minus second, against a given difference.
///
/// # Formula
/// `z = (k1/n1 - k2/n2 - d) / sqrt((p1 q1 / n1 + p2 q2 / n2) f)`, `(p1, p2)` as in [`restricted`], `f` as in [`Variance`].
///
/// # Arguments
/// Two independent counts; `difference` in (-1, 1). Large `z` speaks for a difference above it. Counts of clustered requests are
/// divided by their design effect first.
///
/// # Accuracy
/// Asymptotic; level within about half a point from five expected events in each arm. Zero where the observed difference is the
/// given one, even without variance.
///
/// # Source
/// C. P. Farrington, G. Manning (1990), Stat. Med. 9, 1447-1454; O. Miettinen, M. Nurminen (1985), Stat. Med. 4, 213-226.
///
/// # Example
/// 18 of 30 and 10 of 30 against 0.02: 1.915402841 (gsDesign `testBinomial`).
#[must_use]
pub fn statistic(first: Count, second: Count, difference: f64, variance: Variance) -> f64 {
    let (p1, p2) = restricted(first, second, difference);
    let spread = p1 * (1.0 - p1) / first.trials + p2 * (1.0 - p2) / second.trials;
    let factor = factor(variance, first.trials + second.trials);
    standardised(first.share() - second.share() - difference, spread * factor)
}

/// Score interval of a difference of two proportions, first minus second.
///
/// # Formula
/// All differences `d` with `|statistic(d)| <= z`, two-sided error `alpha`.
///
/// # Arguments
/// As for [`statistic`]; `alpha` in (0, 1), two-sided.
///
/// # Accuracy
/// The bounds solve the equation to 1e-12; coverage is asymptotic.
///
/// # Source
/// O. Miettinen, M. Nurminen (1985), Stat. Med. 4, 213-226.
///
/// # Example
/// 20 of 30 and 10 of 30 at 95 %, Farrington-Manning: 0.0811373 to 0.5454148 (reference vector `ci-score-diff-1`).
#[must_use]
pub fn interval(first: Count, second: Count, alpha: f64, variance: Variance) -> (f64, f64) {
    let score = |difference: f64| statistic(first, second, difference, variance);
    inverted(score, first.share() - second.share(), alpha)
}

/// Two proportions with a given ratio, as likely as the data allow: `(p1, p2)` with `p1 = ratio p2`.
///
/// # Formula
/// The smaller root of `N r p2² - ((n1 + x2) r + n2 + x1) p2 + X = 0`.
///
/// # Arguments
/// `ratio` positive.
///
/// # Source
/// O. Miettinen, M. Nurminen (1985), Stat. Med. 4, 213-226; C. P. Farrington, G. Manning (1990), Stat. Med. 9, 1447-1454.
///
/// # Example
/// 10 of 100 in both arms at ratio 1: 0.1 and 0.1.
#[must_use]
pub fn restricted_ratio(first: Count, second: Count, ratio: f64) -> (f64, f64) {
    let a = (first.trials + second.trials) * ratio;
    let b = (first.trials + second.events) * ratio + second.trials + first.events;
    let c = first.events + second.events;
    // The smaller root without cancellation.
    let p2 = 2.0 * c / (b + (b * b - 4.0 * a * c).max(0.0).sqrt());
    ((ratio * p2).min(1.0), p2)
}

/// Score statistic of a ratio of two proportions, first over second, against a given ratio.
///
/// # Formula
/// `z = (k1/n1 - r k2/n2) / sqrt((p1 q1 / n1 + r² p2 q2 / n2) f)`, `(p1, p2)` as in [`restricted_ratio`].
///
/// # Arguments
/// Two independent counts; `ratio` positive. Large `z` speaks for a ratio above it.
///
/// # Accuracy
/// Asymptotic, as [`statistic`].
///
/// # Source
/// O. Miettinen, M. Nurminen (1985), Stat. Med. 4, 213-226; C. P. Farrington, G. Manning (1990), Stat. Med. 9, 1447-1454.
///
/// # Example
/// At ratio 1 it is [`statistic`] at difference 0: 10 of 30 and 20 of 30 give -2.581988897 (gsDesign `testBinomial`).
#[must_use]
pub fn ratio_statistic(first: Count, second: Count, ratio: f64, variance: Variance) -> f64 {
    let (p1, p2) = restricted_ratio(first, second, ratio);
    let spread = p1 * (1.0 - p1) / first.trials + ratio * ratio * p2 * (1.0 - p2) / second.trials;
    let factor = factor(variance, first.trials + second.trials);
    standardised(first.share() - ratio * second.share(), spread * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::normal;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn count(events: u32, trials: u32) -> Count {
        Count { events: f64::from(events), trials: f64::from(trials) }
    }

    fn log_likelihood(first: Count, second: Count, p1: f64, p2: f64) -> f64 {
        let part = |k: f64, p: f64| if k == 0.0 { 0.0 } else { k * p.ln() };
        let arm = |c: Count, p: f64| part(c.events, p) + part(c.trials - c.events, 1.0 - p);
        arm(first, p1) + arm(second, p2)
    }

    #[test]
    fn edges_are_finite_and_ordered() {
        for (x1, x2) in [(0, 0), (0, 10), (10, 0), (10, 10), (0, 3)] {
            let (low, high) = interval(count(x1, 10), count(x2, 10), 0.05, Variance::MiettinenNurminen);
            let estimate = (f64::from(x1) - f64::from(x2)) / 10.0;
            assert!((-1.0..=estimate).contains(&low) && (estimate..=1.0).contains(&high), "{x1} {x2} {low} {high}");
        }
        assert!(statistic(count(0, 10), count(0, 12), 0.0, Variance::FarringtonManning).abs() < 1e-300);
        assert!((interval(count(10, 10), count(0, 10), 0.05, Variance::FarringtonManning).1 - 1.0).abs() < 1e-15);
    }

    #[test]
    fn rare_events_keep_their_digits() {
        // Events 5 in a million each, difference 1e-5: the likelihood is flat against a step of a relative 1e-4 only.
        let (first, second) = (count(5, 1_000_000), count(5, 1_000_000));
        let (p1, p2) = restricted(first, second, 1e-5);
        let best = log_likelihood(first, second, p1, p2);
        for step in [-1e-3, 1e-3] {
            assert!(log_likelihood(first, second, p2 * (1.0 + step) + 1e-5, p2 * (1.0 + step)) < best);
        }
        let score = 5.0 / p1 - (1e6 - 5.0) / (1.0 - p1) + 5.0 / p2 - (1e6 - 5.0) / (1.0 - p2);
        assert!(score.abs() < 1e-6 * (5.0 / p2), "{score}");
    }

    proptest! {
        #[test]
        fn the_restricted_estimate_is_the_most_likely(
            n1 in 1u32..200, n2 in 1u32..200, s1 in 0.0..1.0f64, s2 in 0.0..1.0f64, d in -0.98..0.98f64, other in 0.001..0.999f64,
        ) {
            let first = count((f64::from(n1) * s1).round() as u32, n1);
            let second = count((f64::from(n2) * s2).round() as u32, n2);
            let (p1, p2) = restricted(first, second, d);
            prop_assert!((p1 - p2 - d).abs() < 1e-12);
            let (low, high) = ((-d).max(0.0), (1.0 - d).min(1.0));
            let rival = low + other * (high - low);
            prop_assert!(log_likelihood(first, second, rival + d, rival) <= log_likelihood(first, second, p1, p2) + 1e-9);
        }

        #[test]
        fn exchanging_arms_changes_the_sign(n in 5u32..200, m in 5u32..200, s in 0.0..1.0f64, t in 0.0..1.0f64, d in -0.5..0.5f64) {
            let first = count((f64::from(n) * s).round() as u32, n);
            let second = count((f64::from(m) * t).round() as u32, m);
            let there = statistic(first, second, d, Variance::MiettinenNurminen);
            let back = statistic(second, first, -d, Variance::MiettinenNurminen);
            prop_assert!((there + back).abs() < 1e-7 * (1.0 + there.abs()));
        }

        #[test]
        fn the_interval_holds_what_the_test_accepts(n in 5u32..100, m in 5u32..100, s in 0.0..1.0f64, t in 0.0..1.0f64, d in -0.9..0.9f64) {
            let first = count((f64::from(n) * s).round() as u32, n);
            let second = count((f64::from(m) * t).round() as u32, m);
            let z = statistic(first, second, d, Variance::FarringtonManning);
            let (low, high) = interval(first, second, 0.05, Variance::FarringtonManning);
            let critical = normal::upper_quantile(0.025);
            if (z.abs() - critical).abs() > 1e-6 {
                prop_assert_eq!(z.abs() < critical, low < d && d < high);
            }
        }
    }

    #[test]
    fn keeps_its_level_at_the_margin() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut draw = |n: u32, p: f64| count((0..n).map(|_| u32::from(rng.random::<f64>() < p)).sum(), n);
        let mut rejected = 0;
        for _ in 0..4000 {
            let (candidate, stable) = (draw(200, 0.15), draw(400, 0.10));
            rejected += usize::from(statistic(candidate, stable, 0.05, Variance::FarringtonManning) < -1.645);
        }
        assert!((140..=260).contains(&rejected), "{rejected} of 4000");
    }
}
