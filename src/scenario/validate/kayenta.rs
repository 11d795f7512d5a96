//! Style `kayenta` of gates, and `[rollout.kayenta]`.

use std::collections::BTreeMap;

use super::super::places::At;
use super::super::problems::{Problems, known_words};
use super::super::wire;
use super::values::{self, Context};
use crate::domain::gate::{Gate, KayentaMetric};
use crate::domain::metric::{self, Margin, MetricKind};
use crate::domain::quantity::Seconds;
use crate::domain::rollout::Kayenta;
use crate::stats::kayenta::{Direction, EffectSize, Measure, MetricConfig, Missing, Thresholds};

/// Of Spinnaker's canary stage.
const PASS: f64 = 75.0;
const MARGINAL: f64 = 50.0;

/// What a rank test of points cannot do, whatever its style.
pub(super) fn points(at: &At, gate: &wire::Gate, measured: Option<&metric::Metric>, problems: &mut Problems) {
    let ranks = gate.test == Some(wire::Test::MannWhitney);
    let kind = measured.map(|metric| &metric.kind);
    if ranks && measured.is_some_and(|metric| metric.judge.delay.0 > 0) {
        let why = "but the metric has a `measured.delay`, and a point of ranks is what was asked since the look before";
        problems.wrong::<()>(&at.key("test"), why, "use `group-sequential`, or leave the delay out");
    }
    if ranks && kind.is_some_and(MetricKind::is_rare) {
        let hint = "use a metric of kind `proportion`, whose requests count at every look";
        problems.wrong::<()>(&at.key("test"), "but a unit of a rare metric counts once in a stage", hint);
    }
    if ranks && gate.limit.is_some() {
        let at = at.key("limit");
        let message = format!("`{}` has no place in test `mann-whitney`", problems.name(&at));
        problems.add::<()>(&at, message, "it compares the points of both arms: use `allow`");
    }
    if ranks && gate.style == Some(wire::Style::Score) && !problems.is_broken(&at.key("style")) {
        let at = at.key("style");
        let message = format!("`{}` has no place in test `mann-whitney`", problems.name(&at));
        problems.add::<()>(&at, message, "ranks have no standard error: leave it out, or use `kayenta`");
    }
    if gate.kayenta.is_some() && gate.style != Some(wire::Style::Kayenta) && !problems.is_broken(&at.key("style")) {
        let at = at.key("kayenta");
        let message = format!("`{}` belongs to style `kayenta`", problems.name(&at));
        problems.add::<()>(&at, message, "add `test = \"mann-whitney\"` and `style = \"kayenta\"`, or leave it out");
    }
}

/// What the judge makes of a gate of style `kayenta`.
pub(super) fn metric(
    at: &At,
    gate: &wire::Gate,
    allow: Option<Margin>,
    better: Option<metric::Direction>,
    problems: &mut Problems,
) -> Option<KayentaMetric> {
    if gate.test != Some(wire::Test::MannWhitney) && !problems.is_broken(&at.key("test")) {
        let style = at.key("style");
        problems.wrong::<()>(&style, "which belongs to test `mann-whitney`", "add `test = \"mann-whitney\"`");
    }
    decided_by_the_judge(at, gate, problems);
    let defaults = wire::KayentaMetric::default();
    let written = gate.kayenta.as_ref().unwrap_or(&defaults);
    let table = at.key("kayenta");
    let groups = values::unique(&table.key("groups"), written.groups.clone(), problems);
    let effect = effect(at, written, allow, problems);
    if written.outlier_factor.is_some_and(|factor| factor <= 0.0) {
        problems.wrong::<()>(&table.key("outlier_factor"), "which is not above 0", "3 is Kayenta's own");
    }
    let broken = ["direction", "nan_strategy", "outlier_factor", "effect_size", "critical", "must_have_data", "muted"]
        .iter()
        .any(|key| problems.is_broken(&table.key(key)))
        || problems.is_broken(&table);
    let direction = match (written.direction, better) {
        (Some(wire::KayentaDirection::Either), _) => Direction::Either,
        (Some(wire::KayentaDirection::Increase), _) | (None, Some(metric::Direction::Lower)) => Direction::Increase,
        (Some(wire::KayentaDirection::Decrease), _) | (None, Some(metric::Direction::Higher)) => Direction::Decrease,
        (None, None) => return None,
    };
    let missing = match written.nan_strategy {
        Some(wire::NanStrategy::Replace) => Missing::Replace,
        Some(wire::NanStrategy::Remove) | None => Missing::Remove,
    };
    let config = MetricConfig {
        direction,
        missing,
        outlier_factor: written.outlier_factor,
        effect: effect?,
        critical: written.critical.unwrap_or(false),
        must_have_data: written.must_have_data.unwrap_or(false),
        ..MetricConfig::default()
    };
    let groups = groups.map(|groups| if groups.is_empty() { vec!["default".to_owned()] } else { groups });
    (!broken).then_some(KayentaMetric { groups: groups?, config, muted: written.muted.unwrap_or(false) })
}

/// Keys of other gates that would promise what the judge does not keep.
fn decided_by_the_judge(at: &At, gate: &wire::Gate, problems: &mut Problems) {
    const SCORE: &str = "the score of all such gates decides: see `rollout.kayenta`";
    const EVERY: &str = "it takes every point there is";
    let keys = [
        ("alpha", gate.alpha.is_some(), "its confidence is 98 %, two-sided"),
        ("correction", gate.correction.is_some(), "it corrects for nothing"),
        ("harm", gate.harm.is_some(), "use `allow`, or the effect sizes of `kayenta`"),
        ("looks", gate.looks.is_some(), "use `rollout.kayenta.interval`"),
        ("min_requests", gate.min_requests.is_some(), EVERY),
        ("min_units", gate.min_units.is_some(), EVERY),
        ("on_fail", gate.on_fail.is_some(), SCORE),
        ("on_inconclusive", gate.on_inconclusive.is_some(), SCORE),
        ("on_no_data", gate.on_no_data.is_some(), SCORE),
        ("power", gate.power.is_some(), "nothing is planned in closed form"),
        ("weight", gate.weight.is_some(), "use `rollout.kayenta.weights`"),
    ];
    for (key, _, hint) in keys.into_iter().filter(|(_, written, _)| *written) {
        let at = at.key(key);
        let message = format!("`{}` has no place in Kayenta's judge", problems.name(&at));
        problems.add::<()>(&at, message, format!("leave it out: {hint}"));
    }
}

fn effect(
    at: &At,
    written: &wire::KayentaMetric,
    allow: Option<Margin>,
    problems: &mut Problems,
) -> Option<EffectSize> {
    let table = at.key("kayenta");
    let measure = match written.effect_size {
        Some(wire::EffectSize::Cles) => Measure::Cles,
        Some(wire::EffectSize::MeanRatio) | None => Measure::MeanRatio,
    };
    let defaults = EffectSize::of(measure);
    let mut limit = |key: &str, written: Option<f64>, default: f64| match (written, measure) {
        (Some(limit), Measure::Cles) if !(0.0..=1.0).contains(&limit) => {
            problems.wrong(&table.key(key), "which is not between 0 and 1", "cles is a probability: 0.5 is no effect")
        }
        (Some(limit), Measure::MeanRatio) if limit <= 0.0 => {
            problems.wrong(&table.key(key), "which is not above 0", "a ratio of means: 1.1 is 10 % higher")
        }
        (None, _) if problems.is_broken(&table.key(key)) => None,
        (limit, _) => Some(limit.unwrap_or(default)),
    };
    // What the team accepts is the effect that the judge lets go.
    let allowed = match (allow, measure) {
        (Some(Margin::Relative(share)), Measure::MeanRatio) => share,
        _ => 0.0,
    };
    let allowed_increase = limit("allowed_increase", written.allowed_increase, defaults.allowed_increase + allowed);
    let allowed_decrease = limit("allowed_decrease", written.allowed_decrease, defaults.allowed_decrease - allowed);
    let critical_increase = limit("critical_increase", written.critical_increase, defaults.critical_increase);
    let critical_decrease = limit("critical_decrease", written.critical_decrease, defaults.critical_decrease);
    if let Some(Margin::Absolute(_)) = allow {
        let hint = "write a percentage of stable's value, such as `1%`";
        return problems.wrong(&at.key("allow"), "but Kayenta's effect sizes are ratios", hint);
    }
    Some(EffectSize {
        measure,
        allowed_increase: allowed_increase?,
        allowed_decrease: allowed_decrease?,
        critical_increase: critical_increase?,
        critical_decrease: critical_decrease?,
    })
}

/// `[rollout.kayenta]`. `gates` are unknown where one of them is broken.
pub(super) fn rollout(
    written: Option<wire::Kayenta>,
    gates: Option<&[Gate]>,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<Kayenta> {
    let at = At::root().key("rollout").key("kayenta");
    let judged = gates.map(|gates| gates.iter().filter_map(|gate| gate.kayenta.as_ref()).collect::<Vec<_>>());
    if written.is_some() && judged.as_ref().is_some_and(Vec::is_empty) {
        let message = format!("`{}` belongs to gates of style `kayenta`, and there is none", problems.name(&at));
        return problems.add(&at, message, "give a gate `test = \"mann-whitney\"` and `style = \"kayenta\"`");
    }
    let written = written.unwrap_or_default();
    let thresholds = thresholds(&at, &written, problems);
    let groups = judged.map(|judged| {
        let mut groups: Vec<&str> = judged
            .iter()
            .filter(|metric| !metric.muted)
            .flat_map(|metric| &metric.groups)
            .map(String::as_str)
            .collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    });
    let weights = weights(&at.key("weights"), written.weights, groups.as_deref(), problems);
    let interval = problems.or_default(&at.key("interval"), written.interval.as_ref(), None, |problems, text| {
        let at = at.key("interval");
        let interval = values::duration(&at, text, problems)?;
        every_stage(&at, interval, context, problems).map(Some)
    });
    Some(Kayenta { thresholds: thresholds?, weights: weights?, interval: interval? })
}

fn thresholds(at: &At, written: &wire::Kayenta, problems: &mut Problems) -> Option<Thresholds> {
    if problems.is_broken(&at.key("pass")) || problems.is_broken(&at.key("marginal")) {
        return None;
    }
    let pass = written.pass.unwrap_or(PASS);
    let marginal = written.marginal.unwrap_or(MARGINAL.min(pass));
    if marginal > pass {
        return problems.wrong(&at.key("marginal"), format!("which is above `pass`, {pass}"), "75 and 95 are usual");
    }
    Some(Thresholds { marginal: Some(marginal), pass: Some(pass) })
}

fn weights(
    at: &At,
    written: Option<BTreeMap<String, f64>>,
    groups: Option<&[&str]>,
    problems: &mut Problems,
) -> Option<BTreeMap<String, f64>> {
    let Some(weights) = written else { return (!problems.is_broken(at)).then(BTreeMap::new) };
    let mut fine = true;
    for (group, weight) in &weights {
        let at = at.key(group);
        if !(0.0..=100.0).contains(weight) {
            problems.wrong::<()>(&at, "which is not between 0 and 100", "weights are per cent");
            fine = false;
        }
        if let Some(known) = groups.filter(|groups| !groups.contains(&group.as_str())) {
            let message = format!("`{}` is not a group of any gate", problems.name(&at));
            problems.add::<()>(&at, message, known_words(group, known, "groups"));
            fine = false;
        }
    }
    if !fine {
        return None;
    }
    let total: f64 = weights.values().sum();
    let all_listed = groups.is_some_and(|groups| groups.iter().all(|group| weights.contains_key(*group)));
    if total > 100.0 + 1e-9 || (all_listed && total < 100.0 - 1e-9) {
        let message = format!("`{}` add up to {total}", problems.name(at));
        let hint = if total > 100.0 {
            "let them add up to 100"
        } else {
            "let them add up to 100: no group is left to take the rest"
        };
        return problems.add(at, message, hint);
    }
    Some(weights)
}

/// Runs fall on looks, and the last one on a stage's end.
fn every_stage(at: &At, interval: Seconds, context: &Context<'_>, problems: &mut Problems) -> Option<Seconds> {
    for stage in context.exposing().filter(|stage| stage.duration.0 > 0) {
        if interval.0 <= 0 || interval.0 % stage.look_every.0 != 0 {
            let why =
                format!("which is not a multiple of the {} between looks of stage `{}`", stage.look_every, stage.name);
            return problems.wrong(at, why, "the judge runs at looks: each of them adds a point");
        }
        if stage.duration.0 % interval.0 != 0 {
            let why = format!("which does not divide the {} of stage `{}`", stage.duration, stage.name);
            return problems.wrong(at, why, "the last run is at the stage's end");
        }
    }
    Some(interval)
}
