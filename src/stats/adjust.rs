//! P-values adjusted for several hypotheses: what is at most alpha is rejected.

/// The order of ascending p-values.
fn ascending(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    order
}

/// Largest so far, from the smallest p-value up.
fn step_down(p: &[f64], adjusted: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let mut result = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (place, index) in ascending(p).into_iter().enumerate() {
        largest = largest.max(adjusted(p[index], place as f64 + 1.0)).min(1.0);
        result[index] = largest;
    }
    result
}

/// Smallest so far, from the largest p-value down.
fn step_up(p: &[f64], adjusted: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let mut result = vec![0.0; p.len()];
    let mut smallest: f64 = 1.0;
    for (place, index) in ascending(p).into_iter().enumerate().rev() {
        smallest = smallest.min(adjusted(p[index], place as f64 + 1.0));
        result[index] = smallest;
    }
    result
}

/// Bonferroni: `min(1, m p)`. Family-wise error under any dependence.
///
/// # Source
/// O. J. Dunn (1961), JASA 56, 52-64.
///
/// # Example
/// 0.01 and 0.6: 0.02 and 1.
#[must_use]
pub fn bonferroni(p: &[f64]) -> Vec<f64> {
    p.iter().map(|value| (value * p.len() as f64).min(1.0)).collect()
}

/// Sidak: `1 - (1 - p)^m`. Family-wise error of independent tests.
///
/// # Source
/// Z. Sidak (1967), JASA 62, 626-633.
///
/// # Example
/// 0.01 and 0.6: 0.0199 and 0.84.
#[must_use]
pub fn sidak(p: &[f64]) -> Vec<f64> {
    p.iter().map(|value| -(p.len() as f64 * (-value).ln_1p()).exp_m1()).collect()
}

/// Holm: step-down with `(m - i + 1) p_(i)`. Family-wise error under any dependence.
///
/// At level alpha this rejects, in ascending order, while `p_(i) <= alpha / (m - i + 1)`.
///
/// # Source
/// S. Holm (1979), Scand. J. Statist. 6, 65-70.
///
/// # Example
/// 0.01, 0.04, 0.03, 0.005: 0.03, 0.06, 0.06, 0.02 (R 4.2.2 `p.adjust`).
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let m = p.len() as f64;
    step_down(p, |value, rank| value * (m - rank + 1.0))
}

/// Hochberg: step-up with `(m - i + 1) p_(i)`. Family-wise error of independent or positively dependent tests.
///
/// # Source
/// Y. Hochberg (1988), Biometrika 75, 800-802.
///
/// # Example
/// 0.01, 0.04, 0.03, 0.005: 0.03, 0.04, 0.04, 0.02 (R 4.2.2 `p.adjust`).
#[must_use]
pub fn hochberg(p: &[f64]) -> Vec<f64> {
    let m = p.len() as f64;
    step_up(p, |value, rank| value * (m - rank + 1.0))
}

/// Hommel: the closed test with Simes' test of each intersection. Family-wise error of independent or positively dependent tests.
///
/// # Formula
/// The largest, over subset sizes `s`, of the Simes p-value of the hypothesis with the `s - 1` largest others; by Wright's algorithm.
///
/// # Source
/// G. Hommel (1988), Biometrika 75, 383-386; S. P. Wright (1992), Biometrics 48, 1005-1013.
///
/// # Example
/// 0.01, 0.04, 0.03, 0.005: 0.03, 0.04, 0.04, 0.02 (R 4.2.2 `p.adjust`).
#[must_use]
pub fn hommel(p: &[f64]) -> Vec<f64> {
    let m = p.len();
    let order = ascending(p);
    let sorted: Vec<f64> = order.iter().map(|&index| p[index]).collect();
    let simes = |values: &[f64], of: usize, first: usize| {
        let scaled = values.iter().enumerate().map(|(place, value)| of as f64 * value / (first + place) as f64);
        scaled.fold(f64::INFINITY, f64::min)
    };
    let mut result = vec![simes(&sorted, m, 1); m];
    for size in (2..m).rev() {
        let split = m - size + 1;
        // Simes of the largest `size - 1` values, which every hypothesis below the split joins.
        let upper = simes(&sorted[split..], size, 2);
        let lower = |place: usize| (size as f64 * sorted[place]).min(upper);
        let joined: Vec<f64> = (0..m).map(|place| lower(if place < split { place } else { split - 1 })).collect();
        for (value, joined) in result.iter_mut().zip(joined) {
            *value = value.max(joined);
        }
    }
    let mut adjusted = vec![0.0; m];
    for (place, &index) in order.iter().enumerate() {
        adjusted[index] = result[place].max(sorted[place]).min(1.0);
    }
    adjusted
}

/// Benjamini and Hochberg: step-up with `m p_(i) / i`. False discovery rate of independent or positively dependent tests.
///
/// # Source
/// Y. Benjamini, Y. Hochberg (1995), J. R. Stat. Soc. B 57, 289-300.
///
/// # Example
/// 0.01, 0.04, 0.03, 0.005: 0.02, 0.04, 0.04, 0.02 (R 4.2.2 `p.adjust`).
#[must_use]
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let m = p.len() as f64;
    step_up(p, |value, rank| value * m / rank)
}

/// Benjamini and Yekutieli: as Benjamini and Hochberg, times `1 + 1/2 + .. + 1/m`. False discovery rate under any dependence.
///
/// # Source
/// Y. Benjamini, D. Yekutieli (2001), Ann. Stat. 29, 1165-1188.
///
/// # Example
/// 0.01 and 0.6: 0.03 and 0.9 (R 4.2.2 `p.adjust`).
#[must_use]
pub fn benjamini_yekutieli(p: &[f64]) -> Vec<f64> {
    let m = p.len() as f64;
    let harmonic: f64 = (1..=p.len()).map(|rank| 1.0 / rank as f64).sum();
    step_up(p, |value, rank| value * m * harmonic / rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(found: &[f64], expected: &[f64]) -> bool {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12)
    }

    // R 4.2.2 p.adjust.
    #[test]
    fn agrees_with_r() {
        let p = [0.01, 0.04, 0.03, 0.005];
        assert!(close(&holm(&p), &[0.03, 0.06, 0.06, 0.02]));
        assert!(close(&hochberg(&p), &[0.03, 0.04, 0.04, 0.02]));
        assert!(close(&hommel(&p), &[0.03, 0.04, 0.04, 0.02]));
        assert!(close(&benjamini_hochberg(&p), &[0.02, 0.04, 0.04, 0.02]));
        assert!(close(&benjamini_yekutieli(&[0.01, 0.6]), &[0.03, 0.9]));
        assert!(close(&sidak(&[0.01, 0.6]), &[0.0199, 0.84]) && close(&bonferroni(&[0.01, 0.6]), &[0.02, 1.0]));
        assert!(hommel(&[]).is_empty() && close(&hommel(&[0.3]), &[0.3]) && close(&hommel(&[0.3, 0.02]), &[0.3, 0.04]));
    }

    /// Hommel by definition: the largest Simes p-value of all sets that contain a hypothesis.
    fn closed_simes(p: &[f64]) -> Vec<f64> {
        let simes = |set: usize| {
            let mut values: Vec<f64> = (0..p.len()).filter(|i| set >> i & 1 == 1).map(|i| p[i]).collect();
            values.sort_by(f64::total_cmp);
            let size = values.len() as f64;
            values.iter().enumerate().map(|(place, value)| size * value / (place as f64 + 1.0)).fold(1.0, f64::min)
        };
        let all = |i: usize| (1..1_usize << p.len()).filter(|set| set >> i & 1 == 1).map(simes).fold(0.0, f64::max);
        (0..p.len()).map(all).collect()
    }

    proptest! {
        #[test]
        fn hommel_is_the_closed_simes_test(p in prop::collection::vec(0.0..1.0f64, 1..9)) {
            prop_assert!(close(&hommel(&p), &closed_simes(&p)));
        }

        #[test]
        fn methods_are_ordered_by_strictness(p in prop::collection::vec(0.0..1.0f64, 1..12)) {
            let (a, b, c, d) = (bonferroni(&p), holm(&p), hochberg(&p), hommel(&p));
            let (e, f, s) = (benjamini_hochberg(&p), benjamini_yekutieli(&p), sidak(&p));
            for i in 0..p.len() {
                let falling = [a[i], b[i], c[i], d[i], e[i], p[i]];
                prop_assert!(falling.windows(2).all(|pair| pair[0] >= pair[1] - 1e-12), "{:?}", falling);
                prop_assert!(f[i] >= e[i] - 1e-12 && s[i] <= a[i] + 1e-12);
            }
        }

        #[test]
        fn holm_rejects_while_p_is_small_enough(p in prop::collection::vec(0.0..0.2f64, 1..12)) {
            // S. Holm (1979): in ascending order, reject while p_(i) <= alpha / (m - i), i from 0.
            let mut left = ascending(&p);
            while let Some(&smallest) = left.first().filter(|&&index| p[index] <= 0.05 / left.len() as f64) {
                prop_assert!(holm(&p)[smallest] <= 0.05 + 1e-12);
                left.remove(0);
            }
            for kept in left {
                prop_assert!(holm(&p)[kept] > 0.05 - 1e-12);
            }
        }
    }
}
