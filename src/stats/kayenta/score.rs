//! From the metrics' labels to a score of 0 to 100 and a verdict on the canary.

use super::classify::Label;
use std::collections::{BTreeMap, BTreeSet};

/// Share of metrics without data, in percent, from which the canary fails.
const NODATA_PERCENT: f64 = 50.0;

/// One metric as the score sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric<'a> {
    /// Its verdict.
    pub label: Label,
    /// Whether the verdict fails the canary, unless it is Pass.
    pub critical: bool,
    /// Groups it counts in, once in each.
    pub groups: &'a [&'a str],
    /// Whether it is left out altogether.
    pub muted: bool,
}

/// Score of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupScore {
    /// Name of the group.
    pub name: String,
    /// Passed share of the metrics that count, in percent; None if no metric counts.
    pub passed: Option<f64>,
}

impl GroupScore {
    /// The score a report shows: 0 if no metric counts.
    #[must_use]
    pub fn shown(&self) -> f64 {
        self.passed.unwrap_or(0.0)
    }

    /// The score that enters the summary: 100 if no metric counts.
    #[must_use]
    pub fn effective(&self) -> f64 {
        self.passed.unwrap_or(100.0)
    }
}

/// Why a score is 0 whatever the groups say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A critical metric failed; its place among the metrics given.
    Critical(usize),
    /// Half of the metrics or more have no data.
    Nodata,
}

/// Score of a canary.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// 0 to 100 if the weights are, rounded to two decimals.
    pub summary: f64,
    /// The groups, by name.
    pub groups: Vec<GroupScore>,
    /// What made the summary 0, if something did.
    pub failure: Option<Failure>,
}

/// Verdict on a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScoreLabel {
    /// Below both thresholds.
    Fail,
    /// From the marginal threshold on.
    Marginal,
    /// From the pass threshold on.
    Pass,
}

/// Thresholds on the score, 0 to 100; one that is absent is always met.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Thresholds {
    /// From here on the judge says Marginal; a run at it or below ends the stage.
    pub marginal: Option<f64>,
    /// From here on the judge says Pass.
    pub pass: Option<f64>,
}

impl Thresholds {
    /// The judge's verdict: both thresholds belong to what they admit.
    ///
    /// # Example
    /// At 75 and 95, a score of 75 is Marginal and one of 95 Pass.
    #[must_use]
    pub fn label(&self, score: f64) -> ScoreLabel {
        if self.pass.is_none_or(|pass| score >= pass) {
            ScoreLabel::Pass
        } else if self.marginal.is_none_or(|marginal| score >= marginal) {
            ScoreLabel::Marginal
        } else {
            ScoreLabel::Fail
        }
    }

    /// Whether a stage goes on after an interim run: its score is above the marginal threshold.
    ///
    /// A score at the threshold is Marginal to the judge, yet ends the stage.
    #[must_use]
    pub fn continues(&self, score: f64) -> bool {
        self.marginal.is_none_or(|marginal| score > marginal)
    }

    /// Whether a stage passes with its last run: above the marginal threshold and not below the pass threshold.
    ///
    /// # Example
    /// At 75 and 95, 97 passes and 85 does not; 85 passes if no pass threshold is given.
    #[must_use]
    pub fn passes(&self, score: f64) -> bool {
        self.continues(score) && self.pass.is_none_or(|pass| score >= pass)
    }
}

/// Scores a canary from the verdicts on its metrics.
///
/// # Formula
/// Group: `100 * Pass / (Pass + High + Low + NodataFailMetric)`; without any of these it counts as 100. Summary: the
/// sum of `score * weight / 100` over the groups that have a metric; those without a weight share `100 - sum of all
/// weights` equally. It is 0 if a metric is critical and not Pass, or if at least half of the metrics are Nodata.
/// Muted metrics are dropped first. [`Label::Error`] does not count: a group of errors alone is worth 100.
///
/// # Arguments
/// `metrics` in any order; `weights` in percent by group. A weight of a group without metrics is lost, not shared.
///
/// # Accuracy
/// Rounded to two decimals, halves of the shortest decimal notation away from zero.
///
/// # Source
/// Spinnaker Kayenta, kayenta-judge (2025).
///
/// # Example
/// One Pass, one High and one Low in one group score 33.33.
#[must_use]
pub fn score(metrics: &[Metric<'_>], weights: &BTreeMap<&str, f64>) -> Score {
    let groups = group_scores(metrics);
    let failure = failure(metrics);
    let summary = if failure.is_some() { 0.0 } else { two_decimals(weighted(&groups, weights)) };
    Score { summary, groups, failure }
}

fn group_scores(metrics: &[Metric<'_>]) -> Vec<GroupScore> {
    let audible = || metrics.iter().filter(|metric| !metric.muted);
    let names: BTreeSet<&str> = audible().flat_map(|metric| metric.groups).copied().collect();
    let members = |name| audible().filter(move |metric| metric.groups.contains(&name)).map(|metric| metric.label);
    let passed = |name| {
        let (passed, counted) = members(name).fold((0, 0), |(passed, counted), label| {
            (passed + u32::from(label == Label::Pass), counted + u32::from(counts(label)))
        });
        (counted > 0).then(|| f64::from(passed) / f64::from(counted) * 100.0)
    };
    names.into_iter().map(|name| GroupScore { name: name.to_owned(), passed: passed(name) }).collect()
}

fn counts(label: Label) -> bool {
    matches!(label, Label::Pass | Label::High | Label::Low | Label::NodataFailMetric)
}

fn weighted(groups: &[GroupScore], weights: &BTreeMap<&str, f64>) -> f64 {
    let unlisted = groups.iter().filter(|group| !weights.contains_key(group.name.as_str())).count();
    let share = (100.0 - weights.values().sum::<f64>()) / unlisted as f64;
    let weight = |group: &GroupScore| weights.get(group.name.as_str()).copied().unwrap_or(share);
    groups.iter().fold(0.0, |sum, group| sum + group.effective() * (weight(group) / 100.0))
}

fn failure(metrics: &[Metric<'_>]) -> Option<Failure> {
    let fails = |metric: &Metric<'_>| !metric.muted && metric.critical && metric.label != Label::Pass;
    if let Some(index) = metrics.iter().position(fails) {
        return Some(Failure::Critical(index));
    }
    let audible = || metrics.iter().filter(|metric| !metric.muted);
    let silent = audible().filter(|metric| metric.label == Label::Nodata).count();
    // Without any metric the share is 0/0, which is not at least half.
    let share = silent as f64 / audible().count() as f64 * 100.0;
    (share >= NODATA_PERCENT).then_some(Failure::Nodata)
}

/// Rounds to two decimals as a reader of the shortest notation would, halves away from zero.
fn two_decimals(value: f64) -> f64 {
    let text = value.abs().to_string();
    let Some((whole, fraction)) = text.split_once('.').filter(|(_, fraction)| fraction.len() > 2) else {
        return value;
    };
    let kept: f64 = format!("{whole}{}", &fraction[..2]).parse().expect("digits");
    let up = f64::from(u8::from(fraction.as_bytes()[2] >= b'5'));
    ((kept + up) / 100.0).copysign(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LABELS: [Label; 6] =
        [Label::Pass, Label::High, Label::Low, Label::Nodata, Label::NodataFailMetric, Label::Error];

    fn metric<'a>(label: Label, groups: &'a [&'a str]) -> Metric<'a> {
        Metric { label, critical: false, groups, muted: false }
    }

    fn summary(metrics: &[Metric<'_>]) -> f64 {
        score(metrics, &BTreeMap::new()).summary
    }

    #[test]
    fn half_without_data_fails() {
        let (pass, none) = (metric(Label::Pass, &["a"]), metric(Label::Nodata, &["b"]));
        let half = score(&[pass, none], &BTreeMap::new());
        assert_eq!((half.summary, half.failure), (0.0, Some(Failure::Nodata)));
        assert!((summary(&[pass, pass, none]) - 100.0).abs() < 1e-12);
        let required = metric(Label::NodataFailMetric, &["b"]);
        assert!((summary(&[pass, required]) - 50.0).abs() < 1e-12);
    }

    #[test]
    fn muted_metrics_are_not_there() {
        let muted = Metric { critical: true, muted: true, ..metric(Label::High, &["quiet"]) };
        let scored = score(&[muted, metric(Label::Pass, &["a"])], &BTreeMap::new());
        assert_eq!((scored.summary, scored.groups.len(), scored.failure), (100.0, 1, None));
    }

    #[test]
    fn a_metric_counts_in_each_of_its_groups() {
        let metrics = [metric(Label::High, &["a", "b"]), metric(Label::Pass, &["b"])];
        let scored = score(&metrics, &BTreeMap::from([("a", 20.0)]));
        let shown: Vec<f64> = scored.groups.iter().map(GroupScore::shown).collect();
        assert_eq!(shown, [0.0, 50.0]);
        assert!((scored.summary - 40.0).abs() < 1e-12);
    }

    #[test]
    fn errors_alone_are_worth_everything() {
        let errors = score(&[metric(Label::Error, &["a"])], &BTreeMap::new());
        assert_eq!((errors.summary, errors.groups[0].shown()), (100.0, 0.0));
        let critical = Metric { critical: true, ..metric(Label::Error, &["a"]) };
        assert_eq!(score(&[critical], &BTreeMap::new()).failure, Some(Failure::Critical(0)));
        assert!(summary(&[]).abs() < 1e-12);
    }

    #[test]
    fn weights_of_absent_groups_are_lost() {
        let weights = BTreeMap::from([("a", 60.0), ("absent", 30.0)]);
        let metrics = [metric(Label::Pass, &["a"]), metric(Label::Pass, &["b"])];
        assert!((score(&metrics, &weights).summary - 70.0).abs() < 1e-12);
    }

    #[test]
    fn thresholds_differ_at_the_marginal_score() {
        let thresholds = Thresholds { marginal: Some(75.0), pass: Some(95.0) };
        assert_eq!(thresholds.label(95.0), ScoreLabel::Pass);
        assert_eq!(thresholds.label(75.0), ScoreLabel::Marginal);
        assert_eq!(thresholds.label(74.99), ScoreLabel::Fail);
        assert!(!thresholds.continues(75.0) && thresholds.continues(75.01));
        assert!(!thresholds.passes(94.99) && thresholds.passes(95.0));
    }

    #[test]
    fn halves_of_the_notation_round_away_from_zero() {
        let close = |value: f64, expected: f64| (two_decimals(value) - expected).abs() < 1e-12;
        assert!(close(1.005, 1.01) && close(-1.005, -1.01) && close(33.333_333, 33.33) && close(0.0, 0.0));
        assert!(close(99.995, 100.0) && close(12.5, 12.5) && close(66.666_666_666_666_66, 66.67));
    }

    proptest! {
        #[test]
        fn a_score_is_a_percentage_and_passing_helps(
            picks in prop::collection::vec((0..6usize, 0..3usize), 1..12),
        ) {
            let names = [["a"], ["b"], ["c"]];
            let metrics: Vec<_> = picks.iter().map(|&(label, group)| metric(LABELS[label], &names[group])).collect();
            let before = summary(&metrics);
            prop_assert!((0.0..=100.0).contains(&before));
            for place in 0..metrics.len() {
                let mut improved = metrics.clone();
                improved[place].label = Label::Pass;
                prop_assert!(summary(&improved) >= before);
            }
        }
    }
}
