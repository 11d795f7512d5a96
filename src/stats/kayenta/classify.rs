//! One metric's points of two versions, classified as the judge does.

use super::mann_whitney::{Pair, RankSum, Shift};
use super::transforms::{Fences, Missing, Summary, mean};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use std::cmp::Ordering;

/// Seed of the noise on constant samples.
const NOISE_SEED: u64 = 0x6b61_7965_6e74_6131;
/// Standard deviation of that noise, as a share of the constant.
const NOISE_SHARE: f64 = 1e-5;

/// The verdict on one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    /// No difference that counts.
    Pass,
    /// The experiment is higher.
    High,
    /// The experiment is lower.
    Low,
    /// A side has no points; the metric does not count.
    Nodata,
    /// A side has no points but must have some; the metric counts as failed.
    NodataFailMetric,
    /// The test has no result: all points tied once shifted, or points that are not finite.
    Error,
}

/// Which difference counts as a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// A higher experiment.
    Increase,
    /// A lower experiment.
    Decrease,
    /// Both.
    #[default]
    Either,
}

/// How large a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Measure {
    /// [`mean_ratio`].
    #[default]
    MeanRatio,
    /// Common-language effect size, [`RankSum::effect_size`].
    Cles,
}

impl Measure {
    /// The effect of the experiment against the control; both without NaN and not empty.
    #[must_use]
    pub fn of(self, control: &[f64], experiment: &[f64]) -> f64 {
        match self {
            Self::MeanRatio => mean_ratio(control, experiment),
            Self::Cles => RankSum::of(experiment, control).effect_size(),
        }
    }
}

/// Effects a difference must reach to fail, and to fail critically; limits themselves reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EffectSize {
    /// The measure all four limits are in.
    pub measure: Measure,
    /// High needs at least this effect.
    pub allowed_increase: f64,
    /// Low needs at most this effect.
    pub allowed_decrease: f64,
    /// A critical metric that is High fails critically from this effect on.
    pub critical_increase: f64,
    /// A critical metric that is Low fails critically from this effect down.
    pub critical_decrease: f64,
}

impl Default for EffectSize {
    fn default() -> Self {
        Self::of(Measure::MeanRatio)
    }
}

impl EffectSize {
    /// The defaults of a measure: its value without effect, 1 or 0.5, for all four limits.
    #[must_use]
    pub fn of(measure: Measure) -> Self {
        let none = match measure {
            Measure::MeanRatio => 1.0,
            Measure::Cles => 0.5,
        };
        Self {
            measure,
            allowed_increase: none,
            allowed_decrease: none,
            critical_increase: none,
            critical_decrease: none,
        }
    }

    /// Whether an effect reaches the limits of an increase or a decrease; an effect that is not a number reaches all.
    fn reached(&self, label: Label, effect: f64, critical: bool) -> bool {
        let (increase, decrease) = if critical {
            (self.critical_increase, self.critical_decrease)
        } else {
            (self.allowed_increase, self.allowed_decrease)
        };
        effect.is_nan() || if label == Label::High { effect >= increase } else { effect <= decrease }
    }
}

/// How one metric is judged; the default is the judge's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricConfig {
    /// Which difference fails.
    pub direction: Direction,
    /// What happens to NaN.
    pub missing: Missing,
    /// Points outside [`Fences::wide`] of this factor are dropped, on each side for itself; None keeps all.
    pub outlier_factor: Option<f64>,
    /// Effects that fail.
    pub effect: EffectSize,
    /// Whether a failure of this metric fails the canary.
    pub critical: bool,
    /// Whether a side without points fails the metric, if it is not critical.
    pub must_have_data: bool,
    /// The interval must lie beyond this share of the estimated shift; at least 0. The judge's is 0.25.
    pub tolerance: f64,
    /// Two-sided coverage of the interval, in (0, 1). The judge's is 0.98.
    pub confidence: f64,
}

impl Default for MetricConfig {
    fn default() -> Self {
        Self {
            direction: Direction::Either,
            missing: Missing::Remove,
            outlier_factor: None,
            effect: EffectSize::default(),
            critical: false,
            must_have_data: false,
            tolerance: 0.25,
            confidence: 0.98,
        }
    }
}

impl MetricConfig {
    /// The points the metric is judged by: missing ones handled first, then outliers.
    #[must_use]
    pub fn clean(&self, points: &[f64]) -> Vec<f64> {
        let points = self.missing.apply(points);
        match self.outlier_factor {
            Some(factor) => Fences::wide(&points, factor).inside(&points),
            None => points,
        }
    }

    fn counts(&self, label: Label) -> bool {
        match self.direction {
            Direction::Increase => label == Label::High,
            Direction::Decrease => label == Label::Low,
            Direction::Either => true,
        }
    }
}

/// Why a metric has its label, where there is more to say than the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A side has no points.
    MissingData,
    /// Both sides have the same points.
    Identical,
    /// The whole interval of the shift is beyond the tolerance, and the effect beyond its limit.
    Beyond,
    /// The test has no result.
    Untestable,
}

/// The judgement of one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Classification {
    /// The verdict.
    pub label: Label,
    /// Whether it fails the canary.
    pub critical: bool,
    /// The effect in the metric's measure; NaN if a mean is zero, 1 where no test was needed.
    pub effect: f64,
    /// The shift the verdict rests on, experiment minus control; None where no test was needed or possible.
    pub shift: Option<Shift>,
    /// Why, if there is more to say.
    pub reason: Option<Reason>,
}

impl Classification {
    fn untested(label: Label, critical: bool, reason: Option<Reason>) -> Self {
        Self { label, critical, effect: 1.0, shift: None, reason }
    }
}

/// Classifies a metric by the interval of the rank-sum shift, as Kayenta's `NetflixACAJudge-v1.0` does.
///
/// # Formula
/// After [`MetricConfig::clean`] on each side, in this order:
/// a side without points is Pass with [`Missing::Replace`], else `NodataFailMetric` or Nodata; equal samples, or one
/// value throughout, are Pass; otherwise, with [`Pair::shift`] at `confidence` and `b = tolerance * |estimate|`,
/// High if `low > b`, else Low if `high < -b`, each only in a direction that counts and with the effect beyond its
/// limit; else Pass. High or Low of a critical metric is critical if the effect is also beyond the critical limit;
/// so is Nodata.
///
/// # Arguments
/// `control` and `experiment` are one point per interval of time (not per request), in the metric's unit, in any
/// order, NaN where there was none. The test is two-sided.
///
/// # Errors
/// None are returned: [`Label::Error`] says that the test has no result.
///
/// # Accuracy
/// The search stops at 1e-4 in the metric's unit, see [`Pair::shift`]: metrics on that scale get artefacts, here as
/// there. The tolerance is a share of the shift itself, so it bounds the width of the interval, not the size of the
/// effect. Two constant samples that differ get Gaussian noise of 1e-5 of their value before ranking: there from the
/// clock, here from one `ChaCha8` stream of fixed seed, the experiment's points before the control's, so the same
/// samples always get the same label. Only constants that differ by some 1e-5 depend on the draw; the effect is
/// computed before the noise. Points that are infinite give [`Label::Error`].
///
/// # Source
/// Spinnaker Kayenta, kayenta-judge (2025); interval as in D. F. Bauer (1972), JASA 67, 687-690.
///
/// # Example
/// Ten points of 1 against seven of 100 and three of 1 pass with a mean ratio of 70.3 (interval 0.00007 to 99,
/// estimate 99); against eight of 100 and two of 1 they are High (spinnaker/spinnaker issue 6278).
#[must_use]
pub fn judge(control: &[f64], experiment: &[f64], config: &MetricConfig) -> Classification {
    let (control, experiment) = (config.clean(control), config.clean(experiment));
    let settled = without_points(&control, &experiment, config).or_else(|| without_contrast(&control, &experiment));
    settled.unwrap_or_else(|| by_shift(&control, &experiment, config))
}

/// Classifies a metric by its means alone: High if the experiment's is larger, Low if smaller.
///
/// # Arguments
/// As of [`judge`]; effect sizes, tolerance and confidence are ignored. Kayenta keeps this rule for benchmarks.
///
/// # Example
/// 10, 20, 30, 40, 50 against 1, 2, 3, 4, 5 is High.
#[must_use]
pub fn judge_means(control: &[f64], experiment: &[f64], config: &MetricConfig) -> Classification {
    let (control, experiment) = (config.clean(control), config.clean(experiment));
    if let Some(settled) = without_points(&control, &experiment, config) {
        return settled;
    }
    let (before, after) = (mean(&control), mean(&experiment));
    let label = match after.partial_cmp(&before) {
        Some(Ordering::Greater) => Label::High,
        Some(Ordering::Less) => Label::Low,
        _ => Label::Pass,
    };
    if label == Label::Pass || !config.counts(label) {
        return Classification::untested(Label::Pass, false, None);
    }
    let (critical, effect) = (config.critical, after / before);
    Classification { label, critical, effect, shift: None, reason: Some(Reason::Beyond) }
}

fn without_points(control: &[f64], experiment: &[f64], config: &MetricConfig) -> Option<Classification> {
    if !control.is_empty() && !experiment.is_empty() {
        return None;
    }
    let missing = Some(Reason::MissingData);
    Some(match config.missing {
        Missing::Replace => Classification::untested(Label::Pass, false, None),
        Missing::Remove if config.must_have_data && !config.critical => {
            Classification::untested(Label::NodataFailMetric, false, missing)
        }
        Missing::Remove => Classification::untested(Label::Nodata, config.critical, missing),
    })
}

fn without_contrast(control: &[f64], experiment: &[f64]) -> Option<Classification> {
    let sorted = |sample: &[f64]| {
        let mut sorted = sample.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted
    };
    let identical = sorted(control) == sorted(experiment);
    let one_value = constant(control) && constant(experiment) && same(control[0], experiment[0]);
    let reason = identical.then_some(Reason::Identical);
    (identical || one_value).then(|| Classification::untested(Label::Pass, false, reason))
}

fn by_shift(control: &[f64], experiment: &[f64], config: &MetricConfig) -> Classification {
    let Some(shift) = shift_between(control, experiment, config.confidence) else {
        return Classification::untested(Label::Error, false, Some(Reason::Untestable));
    };
    let effect = config.effect.measure.of(control, experiment);
    let label = beyond(&shift, config.tolerance)
        .find(|&label| config.counts(label) && config.effect.reached(label, effect, false))
        .unwrap_or(Label::Pass);
    let failed = label != Label::Pass;
    let critical = failed && config.critical && config.effect.reached(label, effect, true);
    Classification { label, critical, effect, shift: Some(shift), reason: failed.then_some(Reason::Beyond) }
}

/// The sides on which an interval lies beyond the tolerance; both are possible where the search left `low > high`.
fn beyond(shift: &Shift, tolerance: f64) -> impl Iterator<Item = Label> {
    let bound = tolerance * shift.estimate.abs();
    let high = (shift.low > bound).then_some(Label::High);
    let low = (shift.high < -bound).then_some(Label::Low);
    high.into_iter().chain(low)
}

fn shift_between(control: &[f64], experiment: &[f64], confidence: f64) -> Option<Shift> {
    if !(constant(control) && constant(experiment)) {
        return Pair::new(experiment, control)?.shift(confidence);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(NOISE_SEED);
    let experiment = with_noise(experiment, &mut rng);
    Pair::new(&experiment, &with_noise(control, &mut rng))?.shift(confidence)
}

fn with_noise(sample: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
    let noise = |value: f64, draw: f64| value + value.abs() * NOISE_SHARE * draw;
    sample.iter().map(|&value| noise(value, StandardNormal.sample(rng))).collect()
}

fn constant(sample: &[f64]) -> bool {
    sample.iter().all(|&value| same(value, sample[0]))
}

fn same(one: f64, other: f64) -> bool {
    one - other == 0.0
}

/// Mean of the experiment over mean of the control; NaN if either is zero.
///
/// # Arguments
/// Samples without NaN, not empty, in one unit. Between negative means the ratio falls as the experiment rises, so the
/// judge passes such metrics unless a limit allows for it; between means of unlike sign it says little.
///
/// # Example
/// 10, 10 against 100, 100 is 0.1.
#[must_use]
pub fn mean_ratio(control: &[f64], experiment: &[f64]) -> f64 {
    let (before, after) = (mean(control), mean(experiment));
    if before == 0.0 || after == 0.0 { f64::NAN } else { after / before }
}

/// Cohen's d without sign: distance of the means in pooled standard deviations. The judge does not use it.
///
/// # Formula
/// `|x - y| / sqrt(((m-1) s_x^2 + (n-1) s_y^2) / (m + n - 2))`.
///
/// # Arguments
/// Samples without NaN, at least three points together; infinite or NaN if both are constant.
///
/// # Source
/// J. Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, section 2.5.
///
/// # Example
/// 5, 5, 5, 10, 10, 10 against 1, 1, 1, 2, 2, 2 is 3.03821.
#[must_use]
pub fn cohen_d(control: &[f64], experiment: &[f64]) -> f64 {
    let (x, y) = (Summary::of(experiment), Summary::of(control));
    let (m, n) = (x.count as f64, y.count as f64);
    let pooled = ((m - 1.0) * x.deviation.powi(2) + (n - 1.0) * y.deviation.powi(2)) / (m + n - 2.0);
    (x.mean - y.mean).abs() / pooled.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label(control: &[f64], experiment: &[f64], config: &MetricConfig) -> Label {
        judge(control, experiment, config).label
    }

    #[test]
    fn missing_sides_follow_their_rule() {
        let (plain, data) = (MetricConfig::default(), [1.0, 2.0]);
        let required = MetricConfig { must_have_data: true, ..plain };
        let critical = MetricConfig { critical: true, ..required };
        let replaced = MetricConfig { missing: Missing::Replace, ..critical };
        assert_eq!(label(&data, &[f64::NAN], &plain), Label::Nodata);
        assert_eq!(label(&data, &[f64::NAN], &required), Label::NodataFailMetric);
        assert_eq!(label(&[], &data, &critical), Label::Nodata);
        assert!(judge(&[], &data, &critical).critical);
        assert_eq!(label(&[], &[], &replaced), Label::Pass);
    }

    #[test]
    fn replaced_points_are_zeros() {
        let config = MetricConfig { missing: Missing::Replace, ..MetricConfig::default() };
        let (control, experiment) = ([f64::NAN; 8], [5.0, 6.0, 7.0, 8.0, 9.0, 5.5, 6.5, 7.5]);
        assert_eq!(label(&control, &experiment, &config), Label::High);
        assert!(judge(&control, &experiment, &config).effect.is_nan());
    }

    #[test]
    fn outliers_are_dropped_before_the_test() {
        let control: Vec<f64> = (0..40).map(|i| 10.0 + f64::from(i % 7)).collect();
        let experiment = [control.clone(), vec![1e6]].concat();
        let config = MetricConfig { outlier_factor: Some(3.0), ..MetricConfig::default() };
        // 41 points: the 99th percentile lies between the two largest, so 1e6 is outside.
        assert_eq!(judge(&control, &experiment, &config).reason, Some(Reason::Identical));
    }

    #[test]
    fn constants_that_differ_are_repeatable() {
        let config = MetricConfig::default();
        for (control, experiment, expected) in
            [(1.0, 10.0, Label::High), (10.0, 0.0, Label::Low), (2.0, 2.01, Label::High), (0.0, -1.0, Label::Low)]
        {
            let first = judge(&[control; 9], &[experiment; 7], &config);
            assert_eq!(first.label, expected, "{control} against {experiment}");
            assert_eq!(first.shift, judge(&[control; 9], &[experiment; 7], &config).shift);
        }
        assert_eq!(label(&[2.0; 5], &[2.0; 4], &config), Label::Pass);
        // Higher, but the ratio of negative means says lower.
        assert_eq!(label(&[-3.0; 9], &[-2.0; 7], &config), Label::Pass);
    }

    #[test]
    fn a_test_without_result_is_an_error() {
        let config = MetricConfig { critical: true, ..MetricConfig::default() };
        // One point against zeros: no noise on zeros, and the shifted point is tied with them.
        let untestable = judge(&[0.0; 5], &[10.0], &config);
        assert_eq!((untestable.label, untestable.critical), (Label::Error, false));
        assert_eq!(label(&[1.0, 2.0, 3.0], &[1.0, f64::INFINITY, 4.0], &config), Label::Error);
    }

    #[test]
    fn a_failure_is_critical_beyond_its_own_limit() {
        let (control, experiment) = ([1.0, 2.2, 1.1, 2.5, 3.0], [20.0, 22.0, 21.0, 25.0, 30.0]);
        let limit = |allowed, critical| {
            let effect = EffectSize { allowed_increase: allowed, critical_increase: critical, ..Default::default() };
            let config = MetricConfig { effect, critical: true, ..MetricConfig::default() };
            let found = judge(&control, &experiment, &config);
            (found.label, found.critical)
        };
        assert_eq!(limit(1.0, 1.2), (Label::High, true));
        assert_eq!(limit(1.0, 13.0), (Label::High, false));
        assert_eq!(limit(13.0, 1.0), (Label::Pass, false));
    }

    fn normal_points(rng: &mut ChaCha8Rng, n: usize) -> Vec<f64> {
        (0..n).map(|_| 100.0 + 10.0 * Distribution::<f64>::sample(&StandardNormal, rng)).collect()
    }

    #[test]
    fn false_alarms_are_as_rare_as_promised() {
        let judged = MetricConfig::default();
        let untolerant = MetricConfig { tolerance: 0.0, ..judged };
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (mut plain, mut tolerated) = (0, 0);
        for _ in 0..2000 {
            let (control, experiment) = (normal_points(&mut rng, 60), normal_points(&mut rng, 60));
            plain += usize::from(label(&control, &experiment, &untolerant) != Label::Pass);
            tolerated += usize::from(label(&control, &experiment, &judged) != Label::Pass);
        }
        // 2 % of 2000 is 40, standard deviation 6; with the tolerance some 0.13 %.
        assert!((20..=62).contains(&plain), "{plain} without tolerance");
        assert!(tolerated <= 10 && tolerated < plain, "{tolerated} with tolerance");
    }

    proptest! {
        #[test]
        fn sides_swap_with_the_labels(
            control in prop::collection::vec(1.0..100.0f64, 5..20),
            experiment in prop::collection::vec(1.0..100.0f64, 5..20),
            scale in 1.0..5.0f64,
        ) {
            let config = MetricConfig { tolerance: 0.0, ..MetricConfig::default() };
            let experiment: Vec<f64> = experiment.iter().map(|x| x * scale).collect();
            let there = judge(&control, &experiment, &config);
            let back = label(&experiment, &control, &config);
            let shift = there.shift.expect("the points differ");
            // Within the accuracy of the search either side may be found.
            prop_assume!(shift.low.abs() > 1e-3 && shift.high.abs() > 1e-3);
            let mirrored = match back { Label::High => Label::Low, Label::Low => Label::High, other => other };
            prop_assert_eq!(there.label, mirrored);
        }

        #[test]
        fn missing_points_do_not_matter(
            control in prop::collection::vec(1.0..100.0f64, 1..20),
            experiment in prop::collection::vec(1.0..100.0f64, 1..20),
        ) {
            let config = MetricConfig::default();
            let holes = [vec![f64::NAN], experiment.clone(), vec![f64::NAN; 2]].concat();
            prop_assert_eq!(judge(&control, &experiment, &config), judge(&control, &holes, &config));
        }

        #[test]
        fn only_the_direction_asked_for_fails(
            control in prop::collection::vec(1.0..10.0f64, 8..20),
            experiment in prop::collection::vec(1.0..30.0f64, 8..20),
        ) {
            let toward = |direction| MetricConfig { direction, ..MetricConfig::default() };
            prop_assert_ne!(label(&control, &experiment, &toward(Direction::Increase)), Label::Low);
            prop_assert_ne!(label(&control, &experiment, &toward(Direction::Decrease)), Label::High);
        }
    }
}
