//! Shares that a judge who errs has counted.

/// The affine map from what a judge counted to what is true: `true = shift + scale * counted`.
///
/// # Formula
/// `true = (counted + specificity - 1) / (sensitivity + specificity - 1)`, so `scale = 1 / (sensitivity + specificity - 1)` and
/// `shift = (specificity - 1) scale`. Being affine it holds of a request's value, of a unit's sum and of a share alike; variances grow
/// by `scale²`, which is what attenuation costs.
///
/// # Arguments
/// `sensitivity`: share of true ones called one. `specificity`: share of true zeros called zero. Both known, the same for both
/// versions, together above 1. The estimate is not cut off at 0 and 1: that would bias differences.
///
/// # Source
/// W. J. Rogan, B. Gladen (1978), Am. J. Epidemiol. 107, 71-76.
///
/// # Example
/// 90 % and 80 %: a judge that counts 0.27 has seen 0.1, as `0.9 * 0.1 + 0.2 * 0.9 = 0.27`.
#[must_use]
pub fn correction(sensitivity: f64, specificity: f64) -> (f64, f64) {
    let scale = 1.0 / (sensitivity + specificity - 1.0);
    ((specificity - 1.0) * scale, scale)
}

/// What a judge's errors add to the variance of a request's corrected value.
///
/// # Formula
/// `scale² (p sensitivity (1 - sensitivity) + (1 - p) specificity (1 - specificity))` at a true share `p`: given the truth, what the judge
/// says is a coin of its own, so over any requests the errors add this for each, however the requests are clustered.
///
/// # Arguments
/// `share` true ones in [0, 1]; sensitivity and specificity as for [`correction`].
///
/// # Source
/// W. J. Rogan, B. Gladen (1978), Am. J. Epidemiol. 107, 71-76: the variance of the corrected share.
///
/// # Example
/// 90 % and 80 % at a tenth: `(0.1 · 0.09 + 0.9 · 0.16) / 0.49 = 0.3122`, against `0.09` of the outcomes themselves.
#[must_use]
pub fn noise(share: f64, sensitivity: f64, specificity: f64) -> f64 {
    let (_, scale) = correction(sensitivity, specificity);
    scale * scale * (share * sensitivity * (1.0 - sensitivity) + (1.0 - share) * specificity * (1.0 - specificity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::cluster::UnitSums;
    use crate::stats::normal;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_judge_of_the_example_has_seen_a_tenth() {
        let (shift, scale) = correction(0.9, 0.8);
        assert!((shift + scale * 0.27 - 0.1).abs() < 1e-15);
        assert_eq!(correction(1.0, 1.0), (0.0, 1.0));
    }

    #[test]
    fn the_noise_is_what_is_left_of_the_corrected_variance() {
        assert!((noise(0.1, 0.9, 0.8) - 0.312_245).abs() < 1e-6);
        // Independent requests: the variance of a corrected coin less that of the true one.
        let (sensitivity, specificity, share) = (0.85, 0.95, 0.3);
        let (_, scale) = correction(sensitivity, specificity);
        let counted = sensitivity * share + (1.0 - specificity) * (1.0 - share);
        let corrected = scale * scale * counted * (1.0 - counted);
        assert!((noise(share, sensitivity, specificity) - (corrected - share * (1.0 - share))).abs() < 1e-12);
        assert!(noise(0.4, 1.0, 1.0).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn what_the_judge_counts_leads_back_to_the_truth(
            share in 0.0..1.0f64, sensitivity in 0.6..1.0f64, specificity in 0.6..1.0f64,
        ) {
            let counted = sensitivity * share + (1.0 - specificity) * (1.0 - share);
            let (shift, scale) = correction(sensitivity, specificity);
            prop_assert!((shift + scale * counted - share).abs() < 1e-12);
        }
    }

    /// Users of unequal weight and unequal quality, judged with errors: the interval of the corrected difference covers the truth.
    #[test]
    fn corrected_intervals_cover_the_truth_of_clustered_requests() {
        let mut rng = ChaCha8Rng::seed_from_u64(17);
        let (sensitivity, specificity) = (0.85, 0.9);
        let (shift, scale) = correction(sensitivity, specificity);
        let (mut covered, mut uncorrected) = (0, 0);
        for _ in 0..2000 {
            let mut arm = |share: f64| {
                let units: Vec<(f64, f64)> = (0..120)
                    .map(|_| {
                        let requests = 1 + (rng.random::<f64>().powi(3) * 12.0) as usize;
                        let of_unit = share + 0.15 * (rng.random::<f64>() - 0.5);
                        let judged = (0..requests).filter(|_| {
                            let yes = if rng.random::<f64>() < of_unit { sensitivity } else { 1.0 - specificity };
                            rng.random::<f64>() < yes
                        });
                        (judged.count() as f64, requests as f64)
                    })
                    .collect();
                UnitSums::of(&units)
            };
            let (stable, candidate) = (arm(0.8), arm(0.7));
            let holds = |a: &UnitSums, b: &UnitSums| {
                let difference = a.ratio().unwrap() - b.ratio().unwrap();
                let se = (a.ratio_variance().unwrap() + b.ratio_variance().unwrap()).sqrt();
                (difference + 0.1).abs() <= normal::upper_quantile(0.025) * se
            };
            covered += usize::from(holds(&candidate.affine(shift, scale), &stable.affine(shift, scale)));
            uncorrected += usize::from(holds(&candidate, &stable));
        }
        // 95 % with a standard error of 0.5 points; the judge's own difference is 0.075.
        assert!((1870..=1930).contains(&covered), "{covered} of 2000");
        assert!(uncorrected < covered - 40, "{uncorrected} of 2000");
    }
}
