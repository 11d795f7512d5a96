//! Means of what people would say of every request, from what a judge said of all and people of a few.

use super::mean::Estimate;
use super::normal;

/// Sums of one unit: over its requests that people labelled too, and over the rest of those that were judged.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct UnitLabels {
    /// Labelled requests.
    pub labelled: f64,
    /// Sum of what people said of them.
    pub human: f64,
    /// Sum of what the judge said of them.
    pub judge: f64,
    /// Judged requests without a label.
    pub rest: f64,
    /// Sum of what the judge said of these.
    pub judge_rest: f64,
}

/// What the estimate is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PredictionPowered {
    /// How much the judge is trusted: 0 is people alone, 1 is the judge less its mean error.
    pub lambda: f64,
    /// Number of labels.
    pub labelled: f64,
    rest: f64,
    human: f64,
    judge: f64,
    judge_rest: f64,
}

impl PredictionPowered {
    /// The estimate of units, with the `lambda` that makes its variance smallest.
    ///
    /// # Formula
    /// `mean(human) + lambda (mean of judge on the rest - mean of judge on the labelled)`. With `A` and `B` a unit's influence on
    /// `mean(human)` and on the bracket's negative, the variance over units is `sum (A - lambda B)²`, smallest at `sum A B / sum B²`; it
    /// is cut off at 0 and 1, between people alone and plain prediction-powered inference.
    ///
    /// # Arguments
    /// Units with any number of requests in either part. The labelled requests are a random sample of the judged ones, which the
    /// data cannot show.
    ///
    /// # Errors
    /// `None` without a label.
    ///
    /// # Source
    /// A. N. Angelopoulos, S. Bates, C. Fannjiang, M. I. Jordan, T. Zrnic (2023), Science 382, 669-674; A. N. Angelopoulos, J. C. Duchi,
    /// T. Zrnic (2023), PPI++, arXiv:2311.01453, section 6. Units in place of requests: as in [`super::cluster`].
    ///
    /// # Example
    /// Ten labelled (people 1 0 1 1 0 1 1 0 1 0, judge 1 0 1 1 1 1 0 0 1 0) and 20 judged with 14 ones: `lambda` 0.4195, value 0.6629.
    #[must_use]
    pub fn tuned(units: &[UnitLabels]) -> Option<Self> {
        let plain = Self::with_lambda(units, 0.0)?;
        let (mut ab, mut bb) = (0.0, 0.0);
        for unit in units {
            let (a, b) = (plain.of_people(unit), plain.of_judge(unit));
            ab += a * b;
            bb += b * b;
        }
        let lambda = if bb > 0.0 && plain.rest > 0.0 { (ab / bb).clamp(0.0, 1.0) } else { 0.0 };
        Some(Self { lambda, ..plain })
    }

    /// The estimate with a given `lambda`.
    ///
    /// # Formula
    /// As in [`Self::tuned`], with the `lambda` given.
    ///
    /// # Errors
    /// `None` without a label.
    ///
    /// # Source
    /// As in [`Self::tuned`].
    ///
    /// # Example
    /// The data of [`Self::tuned`] with 0.5: 0.675 with variance 0.01834375 (`ppi-python` 0.2.3).
    #[must_use]
    pub fn with_lambda(units: &[UnitLabels], lambda: f64) -> Option<Self> {
        let sum = |of: fn(&UnitLabels) -> f64| units.iter().map(of).sum::<f64>();
        let (labelled, rest) = (sum(|unit| unit.labelled), sum(|unit| unit.rest));
        let mean = |total: f64, n: f64| if n > 0.0 { total / n } else { 0.0 };
        (labelled > 0.0).then(|| Self {
            lambda,
            labelled,
            rest,
            human: mean(sum(|unit| unit.human), labelled),
            judge: mean(sum(|unit| unit.judge), labelled),
            judge_rest: mean(sum(|unit| unit.judge_rest), rest),
        })
    }

    /// The estimate.
    ///
    /// # Formula
    /// As in [`Self::tuned`].
    ///
    /// # Example
    /// The data of [`Self::tuned`] with `lambda` 1: 0.75 (`ppi-python` 0.2.3).
    #[must_use]
    pub fn value(&self) -> f64 {
        self.human + self.lambda * (self.judge_rest - self.judge)
    }

    /// Influence of a unit's labels on the estimate, and of its other requests; or of a part of a unit. Influences add up.
    ///
    /// # Formula
    /// `(H - h n)/N - lambda (J - j n)/N` and `lambda (R - r m)/M`, with a unit's sums in capitals, their means over all units in small
    /// letters, `n` of `N` labelled requests and `m` of `M` others.
    ///
    /// # Source
    /// As in [`Self::tuned`].
    ///
    /// # Example
    /// The data of [`Self::tuned`] with `lambda` 1, a labelled unit with people 1 and judge 1: `(1 - 0.6)/10 - (1 - 0.6)/10`, and 0.
    #[must_use]
    pub fn influence(&self, unit: &UnitLabels) -> (f64, f64) {
        let rest = if self.rest > 0.0 { (unit.judge_rest - self.judge_rest * unit.rest) / self.rest } else { 0.0 };
        let judge = (unit.judge - self.judge * unit.labelled) / self.labelled;
        (self.of_people(unit) - self.lambda * judge, self.lambda * rest)
    }

    fn of_people(&self, unit: &UnitLabels) -> f64 {
        (unit.human - self.human * unit.labelled) / self.labelled
    }

    fn of_judge(&self, unit: &UnitLabels) -> f64 {
        let rest = if self.rest > 0.0 { (unit.judge_rest - self.judge_rest * unit.rest) / self.rest } else { 0.0 };
        (unit.judge - self.judge * unit.labelled) / self.labelled - rest
    }

    /// The estimate with its standard error over units.
    ///
    /// # Formula
    /// `se² = K/(K-1) sum (influence of unit)²`, with `K` the number of units that have a label and `K - 1` degrees of freedom.
    ///
    /// # Errors
    /// `None` with fewer than two labelled units.
    ///
    /// # Source
    /// As in [`Self::tuned`]; the factor is that of [`super::cluster`].
    ///
    /// # Example
    /// The data of [`Self::tuned`] with `lambda` 0.5: `se² = 10/9 * 0.01834375` (`ppi-python` 0.2.3, which divides by n).
    #[must_use]
    pub fn estimate(&self, units: &[UnitLabels]) -> Option<Estimate> {
        let labelled = units.iter().filter(|unit| unit.labelled > 0.0).count() as f64;
        let squares: f64 = units.iter().map(|unit| self.influence(unit)).map(|(own, rest)| (own + rest).powi(2)).sum();
        (labelled >= 2.0).then(|| Estimate {
            value: self.value(),
            se: (labelled / (labelled - 1.0) * squares).sqrt(),
            df: labelled - 1.0,
        })
    }
}

/// Labels with which a one-sided test at `alpha` decides with the given power.
///
/// # Formula
/// `labels * V_labels / ((distance / (z_alpha + z_power))² - V_rest)`: the part of the variance that comes with the labels shrinks with
/// their number, the part that comes with the judged requests does not.
///
/// # Arguments
/// Number of labels now, the variance that they bring and the variance that all else brings, and the distance from the truth to the
/// margin. More labels are taken to spread over units as those there are.
///
/// # Errors
/// `None` where no number of labels is enough: more requests must be judged.
///
/// # Source
/// The variance of A. N. Angelopoulos, J. C. Duchi, T. Zrnic (2023), arXiv:2311.01453, solved for the number of labels at the present
/// `lambda`; a `lambda` tuned to the larger number needs no more.
///
/// # Example
/// 100 labels with variance 0.01, nothing else, distance 0.1, alpha 5 % and power 80 %: 619.
#[must_use]
pub fn labels_needed(
    labels: f64,
    (of_labels, of_rest): (f64, f64),
    distance: f64,
    alpha: f64,
    power: f64,
) -> Option<f64> {
    let z = normal::upper_quantile(alpha) + normal::upper_quantile(1.0 - power);
    let left = (distance / z).powi(2) - of_rest;
    (distance > 0.0 && left > 0.0).then(|| (labels * of_labels / left).ceil())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn example() -> Vec<UnitLabels> {
        let people = [1, 0, 1, 1, 0, 1, 1, 0, 1, 0].map(f64::from);
        let judge = [1, 0, 1, 1, 1, 1, 0, 0, 1, 0].map(f64::from);
        let rest = [1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1].map(f64::from);
        let labelled = people.iter().zip(judge).map(|(&human, judge)| UnitLabels {
            labelled: 1.0,
            human,
            judge,
            ..UnitLabels::default()
        });
        let others = rest.iter().map(|&judge_rest| UnitLabels { rest: 1.0, judge_rest, ..UnitLabels::default() });
        labelled.chain(others).collect()
    }

    // ppi_py 0.2.3: ppi_mean_pointestimate and the width of ppi_mean_ci, with lam = 0, 0.5 and 1. It divides by n, not n - 1.
    #[test]
    fn given_lambdas_agree_with_ppi_python() {
        for (lambda, value, variance) in [(0.0, 0.6, 0.024), (0.5, 0.675, 0.018_343_75), (1.0, 0.75, 0.029_375)] {
            let units = example();
            let found = PredictionPowered::with_lambda(&units, lambda).unwrap().estimate(&units).unwrap();
            assert!((found.value - value).abs() < 1e-12, "{found:?}");
            assert!((found.se * found.se * 0.9 / variance - 1.0).abs() < 1e-12, "{found:?}");
        }
    }

    // ppi_py takes the judge's variance from both parts together and has 0.4296 and 0.018131; the smallest variance is slightly less.
    #[test]
    fn the_tuned_lambda_has_the_smallest_variance() {
        let units = example();
        let tuned = PredictionPowered::tuned(&units).unwrap();
        assert!((tuned.lambda - 0.419_475_655_430_711_64).abs() < 1e-12);
        let variance = |lambda| {
            let found = PredictionPowered::with_lambda(&units, lambda).unwrap();
            found.estimate(&units).unwrap().se.powi(2) * 0.9
        };
        assert!(variance(tuned.lambda) < 0.018_130_78 && variance(tuned.lambda) > 0.0181);
        for lambda in [tuned.lambda - 0.01, tuned.lambda + 0.01] {
            assert!(variance(lambda) > variance(tuned.lambda));
        }
    }

    #[test]
    fn without_labels_nothing_and_with_all_labelled_people_alone() {
        assert_eq!(
            PredictionPowered::tuned(&[UnitLabels { rest: 3.0, judge_rest: 1.0, ..UnitLabels::default() }]),
            None
        );
        let all: Vec<_> = example().into_iter().filter(|unit| unit.labelled > 0.0).collect();
        let found = PredictionPowered::tuned(&all).unwrap();
        assert_eq!((found.lambda, found.value()), (0.0, 0.6));
        assert!(PredictionPowered::tuned(&all[..1]).unwrap().estimate(&all[..1]).is_none());
    }

    #[test]
    fn labels_needed_give_the_power_asked_for() {
        assert_eq!(labels_needed(100.0, (0.01, 0.0), 0.1, 0.05, 0.8), Some(619.0));
        let (now, rest, distance) = (0.01, 0.0005, 0.1);
        let labels = labels_needed(100.0, (now, rest), distance, 0.05, 0.8).unwrap();
        let se = (now * 100.0 / labels + rest).sqrt();
        let power = normal::cdf(distance / se - normal::upper_quantile(0.05));
        assert!((0.8..0.802).contains(&power), "{power}");
        assert_eq!(
            labels_needed(100.0, (0.01, 0.002), 0.1, 0.05, 0.8),
            None,
            "the judged requests alone say too little"
        );
        assert_eq!(labels_needed(100.0, (0.01, 0.0), 0.0, 0.05, 0.8), None);
    }

    /// A judge that is biased and better than nothing, users of unequal weight: intervals cover, and are shorter than people's own.
    #[test]
    fn intervals_cover_what_people_would_say() {
        let mut rng = ChaCha8Rng::seed_from_u64(23);
        let (mut covered, mut judge_alone, mut width, mut width_of_people) = (0, 0, 0.0, 0.0);
        for _ in 0..2000 {
            let units: Vec<UnitLabels> = (0..300)
                .map(|_| {
                    let requests = 1 + (rng.random::<f64>().powi(3) * 10.0) as usize;
                    let share = 0.7 + 0.2 * (rng.random::<f64>() - 0.5);
                    let mut unit = UnitLabels::default();
                    for _ in 0..requests {
                        let human = f64::from(u8::from(rng.random::<f64>() < share));
                        let says = if human > 0.5 { 0.95 } else { 0.3 };
                        let judge = f64::from(u8::from(rng.random::<f64>() < says));
                        if rng.random::<f64>() < 0.15 {
                            unit.labelled += 1.0;
                            unit.human += human;
                            unit.judge += judge;
                        } else {
                            unit.rest += 1.0;
                            unit.judge_rest += judge;
                        }
                    }
                    unit
                })
                .collect();
            let found = PredictionPowered::tuned(&units).unwrap().estimate(&units).unwrap();
            let people = PredictionPowered::with_lambda(&units, 0.0).unwrap().estimate(&units).unwrap();
            let (low, high) = found.interval(0.05);
            covered += usize::from(low <= 0.7 && 0.7 <= high);
            width += high - low;
            width_of_people += people.interval(0.05).1 - people.interval(0.05).0;
            let rest = PredictionPowered::with_lambda(&units, 1.0).unwrap();
            judge_alone += usize::from((rest.judge_rest - 0.7).abs() < 0.03);
        }
        // 95 % with a standard error of 0.5 points.
        assert!((1868..=1932).contains(&covered), "{covered} of 2000");
        assert!(width < 0.85 * width_of_people, "{width} {width_of_people}");
        assert!(judge_alone < 200, "the judge's own share is 0.755: {judge_alone} of 2000");
    }
}
