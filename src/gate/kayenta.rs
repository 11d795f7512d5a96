//! Gates of style `kayenta`: each is classified as Kayenta's judge does, and the score of all of them decides.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::schedule::Reason;
use super::series::{Points, Series};
use super::stage::{QuestionRecord, StagePlace, StageVerdicts};
use crate::domain::gate::{Gate, Verdict};
use crate::domain::metric::Direction;
use crate::scenario::Scenario;
use crate::stats::kayenta::{Classification, Failure, Label, Measure, Metric, MetricConfig, Score, judge, score};

/// One run of the judge on one gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Look within the stage.
    pub look: usize,
    /// Per question.
    pub classes: Vec<Classification>,
}

/// The judge's label of a window: stable is the control, the candidate the experiment.
#[must_use]
pub fn classify(points: Points<'_>, config: &MetricConfig) -> Classification {
    judge(points.stable, points.candidate, config)
}

/// Runs the judge on a gate's questions at every `every`-th look of a stage.
pub(super) fn play(
    gate: &Gate,
    config: &MetricConfig,
    better: Direction,
    series: &[Series],
    place: StagePlace,
    every: usize,
) -> StageVerdicts {
    let looks = (0..place.plan.looks()).filter(|look| (look + 1) % every == 0 && *look >= place.plan.quiet);
    let run = |look: usize| {
        let span = place.span(look, gate.window);
        Run { look, classes: series.iter().map(|series| classify(series.within(span), config)).collect() }
    };
    let runs: Vec<Run> = looks.map(run).collect();
    let first_fail = runs.iter().find_map(|run| Some((run.look, worst(&run.classes, config.effect.measure)?)));
    let no_data = |run: &&Run| run.classes[0].label == Label::Nodata;
    let last = runs.last();
    let record = |question: usize| QuestionRecord {
        failed: runs.iter().any(|run| fails(run.classes[question].label)),
        passed: last.is_some_and(|run| run.classes[question].label == Label::Pass),
        difference: last.and_then(|run| {
            let points = series[question].within(place.span(run.look, gate.window));
            points.beyond(gate.allow?, better)
        }),
        se: None,
        z_fail: None,
    };
    StageVerdicts {
        first_fail,
        first_failing: None,
        first_no_data: runs.iter().find(no_data).map(|run| run.look),
        held: Some(0),
        later_fail: None,
        end: last.map_or(Verdict::NoData, |run| verdict(&run.classes)),
        // The judge has no level to choose.
        level: f64::INFINITY,
        questions: (0..series.len()).map(record).collect(),
        runs,
        by_look: Vec::new(),
    }
}

fn fails(label: Label) -> bool {
    matches!(label, Label::High | Label::Low | Label::NodataFailMetric)
}

/// What the labels of one gate amount to.
fn verdict(classes: &[Classification]) -> Verdict {
    if classes.iter().any(|class| fails(class.label)) {
        Verdict::Fail
    } else if classes[0].label == Label::Nodata {
        Verdict::NoData
    } else if classes.iter().all(|class| class.label == Label::Pass) {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    }
}

/// The failing question of a gate that is worst.
fn worst(classes: &[Classification], measure: Measure) -> Option<usize> {
    let failing = (0..classes.len()).filter(|&question| fails(classes[question].label));
    failing.min_by_key(|&question| badness(&classes[question], measure))
}

/// Smallest for the worst: critical ones first, then High and Low, then missing data; the larger effect first.
fn badness(class: &Classification, measure: Measure) -> (bool, u8, Reverse<u64>) {
    let rank = match class.label {
        Label::High | Label::Low => 0,
        Label::NodataFailMetric => 1,
        Label::Nodata => 2,
        Label::Error | Label::Pass => 3,
    };
    let distance = match measure {
        Measure::MeanRatio => class.effect.ln().abs(),
        Measure::Cles => (class.effect - 0.5).abs(),
    };
    // A mean of zero is beyond every ratio. Positive floats are ordered as their bits are.
    let distance = if distance.is_nan() { f64::INFINITY } else { distance };
    (!class.critical, rank, Reverse(distance.to_bits()))
}

/// What ends a stage: the look, and the gate that the score is blamed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) look: usize,
    pub(super) gate: usize,
    pub(super) reason: Reason,
}

/// The first run whose score ends the stage: at or below `marginal`, or at the last run below `pass`.
///
/// # Source
/// Spinnaker Orca's canary stage and Kayenta's stand-alone execution (2025).
pub(super) fn stop(scenario: &Scenario, said: &[(usize, &StageVerdicts)]) -> Option<Stop> {
    let judged: Vec<_> = said.iter().filter(|(gate, _)| scenario.gates[*gate].kayenta.is_some()).collect();
    let runs = judged.first()?.1.runs.len();
    let rule = &scenario.rollout.kayenta;
    (0..runs).find_map(|run| {
        let members: Vec<Member<'_>> =
            judged.iter().flat_map(|(gate, said)| Member::of(scenario, *gate, &said.runs[run])).collect();
        let found = score_of(&members, &rule.weights);
        let goes_on = if run + 1 < runs {
            rule.thresholds.continues(found.summary)
        } else {
            rule.thresholds.passes(found.summary)
        };
        let look = judged[0].1.runs[run].look;
        (!goes_on).then(|| blamed(&members, &found, look, judged[0].0))
    })
}

/// One metric of the score: a question of a gate.
struct Member<'a> {
    gate: usize,
    question: usize,
    class: Classification,
    groups: Vec<&'a str>,
    muted: bool,
    measure: Measure,
}

impl<'a> Member<'a> {
    fn of(scenario: &'a Scenario, gate: usize, run: &Run) -> Vec<Self> {
        let Some(rule) = &scenario.gates[gate].kayenta else { return Vec::new() };
        let member = |(question, class): (usize, &Classification)| Self {
            gate,
            question,
            class: *class,
            groups: rule.groups.iter().map(String::as_str).collect(),
            muted: rule.muted,
            measure: rule.config.effect.measure,
        };
        run.classes.iter().enumerate().map(member).collect()
    }
}

fn score_of(members: &[Member<'_>], weights: &BTreeMap<String, f64>) -> Score {
    let metric = |member: &Member<'_>| (member.class.label, member.class.critical, member.muted);
    let metrics: Vec<Metric<'_>> = members
        .iter()
        .map(|member| {
            let (label, critical, muted) = metric(member);
            Metric { label, critical, groups: &member.groups, muted }
        })
        .collect();
    score(&metrics, &weights.iter().map(|(group, &weight)| (group.as_str(), weight)).collect())
}

/// The member with the worst classification; the first gate where none is bad.
fn blamed(members: &[Member<'_>], found: &Score, look: usize, first: usize) -> Stop {
    let audible = members.iter().filter(|member| !member.muted);
    let silent = found.failure == Some(Failure::Nodata);
    let bad = audible.filter(|member| match member.class.label {
        Label::Nodata => silent || member.class.critical,
        label => !silent && fails(label),
    });
    let worst = bad.min_by_key(|member| badness(&member.class, member.measure));
    let reason = worst.map_or(Reason::Inconclusive, |member| match member.class.label {
        Label::High | Label::Low => Reason::Failed(member.question),
        _ => Reason::NoData,
    });
    Stop { look, gate: worst.map_or(first, |member| member.gate), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[log]
timestamp = "ts"
[assignment]
unit = "user_id"
[metrics.latency]
kind = "mean"
column = "{version}_latency_ms"
better = "lower"
[metrics.errors]
kind = "proportion"
column = "{version}_error"
better = "lower"
[[stages]]
name = "10%"
exposure = "10%"
duration = "4h"
look_every = "1h"
[[gates]]
name = "mean latency"
metric = "latency"
allow = "0%"
test = "mann-whitney"
style = "kayenta"
kayenta = { groups = ["latency"] }
[[gates]]
name = "errors"
metric = "errors"
allow = "0%"
test = "mann-whitney"
style = "kayenta"
kayenta = { groups = ["errors"] }
[[gates]]
name = "plain"
metric = "errors"
allow = "0%"
[rollout.kayenta]
pass = 95
marginal = 40
weights = { latency = 60, errors = 40 }
interval = "2h"
"#;

    fn scenario() -> Scenario {
        Scenario::parse("scenario.toml", TEXT).unwrap_or_else(|error| panic!("{error}"))
    }

    fn class(label: Label, effect: f64, critical: bool) -> Classification {
        Classification { label, critical, effect, shift: None, reason: None }
    }

    /// What a gate said whose runs had these labels.
    fn said(labels: &[Classification]) -> StageVerdicts {
        let runs = labels.iter().enumerate().map(|(run, class)| Run { look: 2 * run + 1, classes: vec![*class] });
        let (end, level) = (Verdict::Inconclusive, f64::INFINITY);
        StageVerdicts {
            first_fail: None,
            first_failing: None,
            first_no_data: None,
            held: Some(0),
            later_fail: None,
            end,
            level,
            questions: Vec::new(),
            runs: runs.collect(),
            by_look: Vec::new(),
        }
    }

    fn stops(latency: [Classification; 2], errors: [Classification; 2]) -> Option<(usize, usize, Reason)> {
        let (latency, errors) = (said(&latency), said(&errors));
        let plain = StageVerdicts { runs: Vec::new(), ..errors.clone() };
        let stop = stop(&scenario(), &[(2, &plain), (0, &latency), (1, &errors)])?;
        Some((stop.look, stop.gate, stop.reason))
    }

    const FINE: Classification =
        Classification { label: Label::Pass, critical: false, effect: 1.0, shift: None, reason: None };

    #[test]
    fn the_score_of_all_gates_decides() {
        let high = class(Label::High, 1.2, false);
        assert_eq!(stops([FINE; 2], [FINE; 2]), None);
        // 60 of 100 is above marginal: the stage goes on, but does not end there.
        assert_eq!(stops([FINE; 2], [high, FINE]), None);
        assert_eq!(stops([FINE; 2], [high; 2]), Some((3, 1, Reason::Failed(0))));
        // 40 of 100 is marginal, and that is not enough to go on.
        assert_eq!(stops([high, FINE], [FINE; 2]), Some((1, 0, Reason::Failed(0))));
        // An error of the judge does not count.
        assert_eq!(stops([class(Label::Error, 1.0, false); 2], [FINE; 2]), None);
    }

    #[test]
    fn the_worst_gate_is_blamed() {
        let (high, higher) = (class(Label::High, 1.2, false), class(Label::High, 1.5, false));
        assert_eq!(stops([high; 2], [higher; 2]), Some((1, 1, Reason::Failed(0))));
        assert_eq!(stops([class(Label::High, 1.1, true); 2], [higher; 2]), Some((1, 0, Reason::Failed(0))));
        // A mean of zero has no ratio, and is beyond all.
        assert_eq!(stops([class(Label::High, f64::NAN, false); 2], [higher; 2]), Some((1, 0, Reason::Failed(0))));
        assert_eq!(stops([class(Label::Low, 0.5, false); 2], [higher; 2]), Some((1, 0, Reason::Failed(0))));
    }

    #[test]
    fn half_of_the_metrics_without_data_are_a_failure() {
        let silent = class(Label::Nodata, 1.0, false);
        assert_eq!(stops([FINE; 2], [silent, FINE]), Some((1, 1, Reason::NoData)));
        let must_have = class(Label::NodataFailMetric, 1.0, false);
        assert_eq!(stops([FINE; 2], [must_have; 2]), Some((3, 1, Reason::NoData)));
    }

    #[test]
    fn gates_of_other_styles_have_no_part_in_it() {
        assert_eq!(stop(&scenario(), &[(2, &said(&[]))]), None);
    }
}
