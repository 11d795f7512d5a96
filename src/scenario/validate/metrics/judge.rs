//! `metrics.NAME.measured`: a judge that samples, errs, or stands beside people.

use super::super::super::places::At;
use super::super::super::problems::Problems;
use super::super::super::wire::{self, Quantity};
use super::super::values;
use super::expand;
use crate::domain::metric::{Judge, JudgeErrors, MetricKind};

pub(super) fn read(
    at: &At,
    written: Option<&wire::Measured>,
    kind: Option<&MetricKind>,
    problems: &mut Problems,
) -> Option<Judge> {
    let Some(written) = written else { return (!problems.is_broken(at)).then(Judge::default) };
    if written.delay.is_some() {
        problems.later::<()>(&at.key("delay"), "`measured.delay` (judgements that come later than the request)");
    }
    let share = written.share.as_ref().map(|share| values::share(&at.key("share"), share, problems));
    let errors = errors(at, written, kind, problems);
    let human = human(&at.key("human"), written, kind, problems);
    let cost = cost(&at.key("cost_usd"), written.cost_usd, problems);
    Some(Judge {
        // A judge of all requests is no sample.
        share: share.map_or(Some(None), |share| share.map(|share| (share < 1.0).then_some(share)))?,
        errors: errors?,
        human: human?,
        cost_usd: cost?,
    })
}

fn errors(
    at: &At,
    written: &wire::Measured,
    kind: Option<&MetricKind>,
    problems: &mut Problems,
) -> Option<Option<JudgeErrors>> {
    let keys = [("sensitivity", &written.sensitivity), ("specificity", &written.specificity)];
    if keys.iter().all(|(_, share)| share.is_none()) {
        let broken = keys.iter().any(|(key, _)| problems.is_broken(&at.key(key)));
        return (!broken).then_some(None);
    }
    let first = keys.iter().find(|(_, share)| share.is_some()).map_or(at.clone(), |(key, _)| at.key(key));
    if let Some(kind @ (MetricKind::Ratio { .. } | MetricKind::Quantile { .. })) = kind {
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
    Some((!perfect).then_some(JudgeErrors { sensitivity, specificity }))
}

fn human(
    at: &At,
    written: &wire::Measured,
    kind: Option<&MetricKind>,
    problems: &mut Problems,
) -> Option<Option<crate::domain::version::PerVersion<String>>> {
    let Some(template) = &written.human else { return (!problems.is_broken(at)).then_some(None) };
    if let Some(kind @ (MetricKind::Ratio { .. } | MetricKind::Quantile { .. })) = kind {
        let message = format!("`{}` corrects a mean or a proportion, not a {}", problems.name(at), kind.name());
        return problems.add(at, message, "leave `human` out, or measure a mean");
    }
    if written.sensitivity.is_some() || written.specificity.is_some() {
        let message = format!("`{}` beside `sensitivity` and `specificity`: both correct the judge", problems.name(at));
        return problems.add(at, message, "keep one: people's labels need no assumption of how the judge errs");
    }
    expand(at, template, problems).map(Some)
}

fn cost(at: &At, written: Option<f64>, problems: &mut Problems) -> Option<Option<f64>> {
    match written {
        Some(cost) if cost >= 0.0 && cost.is_finite() => Some(Some(cost)),
        Some(_) => problems.wrong(at, "which is not 0 or more", "US dollars for one judgement, such as 0.004"),
        None => (!problems.is_broken(at)).then_some(None),
    }
}
