//! Information on a rollout, and differences across its stages.

/// Information of each stage on the difference of two means.
///
/// # Formula
/// `I = n f (1 - f) / variance`: the inverse of `variance (1 / (n f) + 1 / (n (1 - f)))`.
///
/// # Arguments
/// `exposures` on the candidate, in [0, 1], one per stage; `requests` of each stage, likewise; `variance` of one request, positive.
///
/// # Errors
/// None: a stage at exposure 0 or 1 has nobody to compare with, information 0.
///
/// # Accuracy
/// That of floating point.
///
/// # Source
/// The variance of a difference of independent means.
///
/// # Panics
/// Where the lists have different lengths.
///
/// # Example
/// 100 000 requests at 1 %, 5 %, 20 %, 50 %, variance 1: 990, 4750, 16 000, 25 000.
#[must_use]
pub fn information(exposures: &[f64], requests: &[f64], variance: f64) -> Vec<f64> {
    assert_eq!(exposures.len(), requests.len(), "one count of requests per stage");
    exposures.iter().zip(requests).map(|(f, n)| n * f * (1.0 - f) / variance).collect()
}

/// Running share of the total: the information fraction after each stage.
///
/// # Formula
/// `t_k = sum_(j <= k) I_j / sum I_j`.
///
/// # Arguments
/// `information` of the stages, non-negative, with a positive sum.
///
/// # Errors
/// Not a number where the sum is zero.
///
/// # Accuracy
/// The last is exactly 1.
///
/// # Source
/// C. Jennison, B. W. Turnbull (2000), section 3.1.
///
/// # Example
/// 990, 4750, 16 000, 25 000: 0.0212, 0.1228, 0.4651, 1.
#[must_use]
pub fn fractions(information: &[f64]) -> Vec<f64> {
    let running = |sum: &mut f64, i: &f64| {
        *sum += i;
        Some(*sum)
    };
    let sums: Vec<f64> = information.iter().scan(0.0, running).collect();
    let total = sums.last().copied().unwrap_or(f64::NAN);
    sums.iter().map(|sum| sum / total).collect()
}

/// Events among the units of one arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arm {
    /// Units with the event.
    pub events: f64,
    /// All units, positive.
    pub units: f64,
}

impl Arm {
    fn rate(self) -> f64 {
        self.events / self.units
    }
}

/// The two arms of one stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// The stable version.
    pub stable: Arm,
    /// The candidate.
    pub candidate: Arm,
}

impl Stage {
    /// Rate of the candidate less that of the stable version.
    ///
    /// # Formula
    /// `events / units` of the candidate less that of stable.
    #[must_use]
    pub fn difference(&self) -> f64 {
        self.candidate.rate() - self.stable.rate()
    }
}

/// The difference of rates within stages, combined across them.
///
/// # Formula
/// `sum w_k d_k / sum w_k` with Cochran's, Mantel's and Haenszel's weights `w_k = n_c n_s / (n_c + n_s)`.
///
/// # Arguments
/// Stages with units in both arms. A stage without units in one of them is left out.
///
/// # Errors
/// Not a number where no stage has both.
///
/// # Accuracy
/// That of floating point.
///
/// # Source
/// W. G. Cochran (1954), Biometrics 10, 417-451; T. Crook, B. Frasca, R. Kohavi, R. Longbotham (2009), KDD, 1105-1114, section 5 (ramp-up).
///
/// # Example
/// The published ramp (1 %, then 50 %): 0.002030 within stages, against -0.004563 pooled.
#[must_use]
pub fn stratified_difference(stages: &[Stage]) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for stage in stages {
        let product = stage.candidate.units * stage.stable.units;
        if product > 0.0 {
            let weight = product / (stage.candidate.units + stage.stable.units);
            sum += weight * stage.difference();
            total += weight;
        }
    }
    sum / total
}

/// The difference of rates that ignores stages: biased where exposure and rates both change from stage to stage.
///
/// See [`stratified_difference`] for source and example.
#[must_use]
pub fn pooled_difference(stages: &[Stage]) -> f64 {
    let pool = |arm: fn(&Stage) -> Arm| {
        let add = |sum: Arm, stage: &Stage| Arm {
            events: sum.events + arm(stage).events,
            units: sum.units + arm(stage).units,
        };
        stages.iter().fold(Arm { events: 0.0, units: 0.0 }, add)
    };
    Stage { stable: pool(|stage| stage.stable), candidate: pool(|stage| stage.candidate) }.difference()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // T. Crook et al. (2009): Friday at 1 %, Saturday at 50 %.
    #[test]
    fn pooling_over_a_ramp_reverses_the_sign() {
        let arm = |events, units| Arm { events, units };
        let stages = [
            Stage { stable: arm(20_000.0, 990_000.0), candidate: arm(230.0, 10_000.0) },
            Stage { stable: arm(5_000.0, 500_000.0), candidate: arm(6_000.0, 500_000.0) },
        ];
        assert!((stratified_difference(&stages) - 0.002_030_396_306).abs() < 1e-12);
        assert!((pooled_difference(&stages) + 0.004_562_837_215).abs() < 1e-12);
        let full = Stage { stable: arm(0.0, 0.0), candidate: arm(9.0, 10.0) };
        let with_full = stratified_difference(&[stages[0], full, stages[1]]);
        assert!((with_full - stratified_difference(&stages)).abs() < 1e-15);
        assert!(stratified_difference(&[full]).is_nan());
    }

    #[test]
    fn full_exposure_has_no_information() {
        assert_eq!(information(&[0.0, 0.5, 1.0], &[100.0; 3], 4.0).as_slice(), [0.0, 6.25, 0.0]);
        assert!(fractions(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn equal_differences_survive_any_weights(units in proptest::collection::vec((10.0..1e5f64, 10.0..1e5f64, 0.0..0.5f64), 1..6)) {
            let stage = |&(stable, candidate, rate): &(f64, f64, f64)| Stage {
                stable: Arm { events: rate * stable, units: stable },
                candidate: Arm { events: (rate + 0.1) * candidate, units: candidate },
            };
            let stages: Vec<Stage> = units.iter().map(stage).collect();
            prop_assert!((stratified_difference(&stages) - 0.1).abs() < 1e-9);
        }

        #[test]
        fn fractions_grow_to_one(steps in proptest::collection::vec(0.001..1.0f64, 1..40)) {
            let found = fractions(&steps);
            prop_assert!(found.windows(2).all(|pair| pair[0] < pair[1]) && (found[found.len() - 1] - 1.0).abs() < f64::EPSILON);
        }
    }
}
