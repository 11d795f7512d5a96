//! `metrics.NAME.measured`: a judge that samples, errs, or stands beside people.

use super::super::super::places::At;
use super::super::super::problems::Problems;
use super::super::super::wire::{self, Quantity};
use super::super::{Form, values};
use super::expand;
use crate::domain::metric::{Judge, JudgeErrors, MetricKind};
use crate::domain::version::PerVersion;

/// What is known of the judge; what is broken has been reported, and counts as not written.
pub(super) fn read(
    at: &At,
    written: Option<&wire::Measured>,
    kind: Option<&MetricKind>,
    form: Form,
    problems: &mut Problems,
) -> Judge {
    let Some(written) = written else { return Judge::default() };
    let delay = written.delay.as_ref().and_then(|delay| values::duration(&at.key("delay"), delay, problems));
    let corrects = [
        ("human", written.human.is_some()),
        ("sensitivity", written.sensitivity.is_some()),
        ("specificity", written.specificity.is_some()),
    ];
    if kind.is_some_and(MetricKind::is_rare)
        && let Some((key, _)) = corrects.into_iter().find(|(_, given)| *given)
    {
        let at = at.key(key);
        let message = format!("`{}` corrects a share of requests, and a rare event counts units", problems.name(&at));
        problems.add::<()>(&at, message, "leave it out, or use a metric of kind `proportion`");
    }
    let share = written.share.as_ref().and_then(|share| values::share(&at.key("share"), share, problems));
    Judge {
        // A judge of all requests is no sample.
        share: share.filter(|&share| share < 1.0),
        errors: errors(at, written, kind, problems),
        human: if form == Form::StableOnly { None } else { human(&at.key("human"), written, kind, form, problems) },
        cost_usd: cost(&at.key("cost_usd"), written.cost_usd, problems),
        delay: delay.unwrap_or_default(),
    }
}

fn errors(
    at: &At,
    written: &wire::Measured,
    kind: Option<&MetricKind>,
    problems: &mut Problems,
) -> Option<JudgeErrors> {
    let keys = [("sensitivity", &written.sensitivity), ("specificity", &written.specificity)];
    let first = at.key(keys.iter().find(|(_, share)| share.is_some())?.0);
    if let Some(kind) = kind.filter(|kind| !kind.is_mean()) {
        let message =
            format!("`{}` is of a judge that says yes or no, not of a {}", problems.name(&first), kind.name());
        return problems.add(&first, message, "use a metric of kind `proportion`");
    }
    let mut known = |key: &str, share: &Option<Quantity>, what: &str| match share {
        Some(share) => values::share(&at.key(key), share, problems),
        None => problems.missing(&at.key(key), what),
    };
    let sensitivity =
        known("sensitivity", &written.sensitivity, "share of requests whose true outcome is 1 that the judge calls 1");
    let specificity =
        known("specificity", &written.specificity, "share of requests whose true outcome is 0 that the judge calls 0");
    let (sensitivity, specificity) = (sensitivity?, specificity?);
    if sensitivity + specificity <= 1.0 {
        let message = format!(
            "`{}`: a judge with sensitivity {sensitivity} and specificity {specificity} says nothing of the truth: \
             together they must be above 1",
            problems.name(at)
        );
        return problems.add(
            &at.key("sensitivity"),
            message,
            "a coin has 0.5 and 0.5; measure both against people's labels",
        );
    }
    let perfect = sensitivity >= 1.0 && specificity >= 1.0;
    (!perfect).then_some(JudgeErrors { sensitivity, specificity })
}

fn human(
    at: &At,
    written: &wire::Measured,
    kind: Option<&MetricKind>,
    form: Form,
    problems: &mut Problems,
) -> Option<PerVersion<String>> {
    let template = written.human.as_ref()?;
    if let Some(kind) = kind.filter(|kind| !kind.is_mean()) {
        let message = format!("`{}` corrects a mean or a proportion, not a {}", problems.name(at), kind.name());
        return problems.add(at, message, "leave `human` out, or measure a mean");
    }
    if written.sensitivity.is_some() || written.specificity.is_some() {
        let message = format!("`{}` beside `sensitivity` and `specificity`: both correct the judge", problems.name(at));
        return problems.add(at, message, "keep one: people's labels need no assumption of how the judge errs");
    }
    expand(at, template, form, problems)
}

fn cost(at: &At, written: Option<f64>, problems: &mut Problems) -> Option<f64> {
    let cost = written?;
    if cost >= 0.0 && cost.is_finite() {
        return Some(cost);
    }
    problems.wrong(at, "which is not 0 or more", "US dollars for one judgement, such as 0.004")
}
