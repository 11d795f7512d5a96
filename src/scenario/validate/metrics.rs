//! `[metrics.NAME]`.

use std::collections::BTreeMap;

mod judge;

mod missing;

use super::super::places::At;
use super::super::problems::{Problems, listed};
use super::super::wire;
use super::Form;
use super::values::Named;
use crate::domain::expression::Expression;
use crate::domain::feature::Feature;
use crate::domain::metric::{Direction, Metric, MetricKind, Source};
use crate::domain::version::{PerVersion, Version};

const TEMPLATE: &str = "{version}";
const REQUESTS: &str = "requests";

/// Deciles, as the population stability index has them.
const BINS: usize = 10;

/// Of eight directions: few already tell distributions apart, and each costs as much as a metric.
const FEATURES: usize = 16;

pub(super) fn read(written: BTreeMap<String, wire::Metric>, form: Form, problems: &mut Problems) -> Vec<Named<Metric>> {
    let table = At::root().key("metrics");
    if written.is_empty() && !problems.is_broken(&table) {
        problems.add::<()>(&table, "`metrics` has no metric", "add a table such as `[metrics.quality]`");
    }
    let mut metrics: Vec<_> = written.into_iter().collect();
    metrics.sort_by_key(|(name, _)| problems.offset(&table.key(name)));
    let mut read: Vec<Named<Metric>> = Vec::new();
    for (name, written) in metrics {
        let at = table.key(&name);
        let quantiles = match &written.quantile {
            Some(wire::Quantiles::Many(quantiles)) => quantiles.clone(),
            _ => Vec::new(),
        };
        let value = metric(&at, name.clone(), written, form, problems);
        let mut many = of_quantiles(&name, value.as_ref(), &quantiles);
        many.extend(of_features(value.as_ref()));
        let features = value.as_ref().is_some_and(|metric| metric.kind.feature().is_some());
        for named in if many.is_empty() { vec![Named { name, value }] } else { many } {
            let list = at.key(if features { "features" } else { "quantile" });
            if !problems.is_broken(&list) && read.iter().any(|other| other.name == named.name) {
                let message = format!("metric `{}` is there twice", named.name);
                let hint = if features {
                    "features of embeddings are called `NAME feature 2` and so on"
                } else {
                    "a list of quantiles names its metrics `NAME_p50` and so on"
                };
                problems.add::<()>(&list, message, hint);
            }
            read.push(named);
        }
    }
    read
}

/// A metric for each feature of embeddings; the first bears the name.
fn of_features(metric: Option<&Metric>) -> Vec<Named<Metric>> {
    let Some((metric, first)) = metric.and_then(|metric| Some((metric, metric.kind.feature()?))) else {
        return Vec::new();
    };
    let of = |feature: Feature| {
        let MetricKind::Embedding { column, .. } = &metric.kind else { unreachable!("it has features") };
        let mut own = Metric { kind: embedding(column.clone(), feature), ..metric.clone() };
        if feature.index > 0 {
            own.name = format!("{} feature {}", metric.name, feature.index + 1);
            // A judgement is paid once.
            own.judge.cost_usd = None;
        }
        Named { name: own.name.clone(), value: Some(own) }
    };
    Feature::all(first.of, first.bandwidth).map(of).collect()
}

fn embedding(column: PerVersion<String>, feature: Feature) -> MetricKind {
    let Feature { index, of, bandwidth } = feature;
    let value = column.map(|column| format!("{column} feature {} of {of} at {bandwidth}", index + 1));
    MetricKind::Embedding { column, value, feature }
}

/// A metric for each quantile of a list.
fn of_quantiles(name: &str, metric: Option<&Metric>, quantiles: &[f64]) -> Vec<Named<Metric>> {
    let of = |&quantile: &f64| {
        // 99.9, not what a hundred times the nearest binary number is.
        let name = format!("{name}_p{}", (quantile * 1e8).round() / 1e6);
        let value = metric.map(|metric| {
            let kind = match &metric.kind {
                MetricKind::Quantile { column, .. } => MetricKind::Quantile { column: column.clone(), quantile },
                other => other.clone(),
            };
            Metric { name: name.clone(), kind, ..metric.clone() }
        });
        Named { name, value }
    };
    quantiles.iter().map(of).collect()
}

fn metric(at: &At, name: String, written: wire::Metric, form: Form, problems: &mut Problems) -> Option<Metric> {
    let stable_only = written.observed == Some(wire::Observed::Stable);
    if stable_only {
        refuse_of_both(at, &written, form, problems);
    }
    let form = if stable_only && form != Form::Long { Form::StableOnly } else { form };
    let kind = kind(at, &written, form, problems);
    let better = match written.better {
        Some(wire::Better::Higher) => Direction::Higher,
        Some(wire::Better::Lower) => Direction::Lower,
        // Neither way is worse: it is the distance that should be small.
        None if written.kind == Some(wire::MetricKind::Drift) => Direction::Lower,
        None => {
            return problems.missing(&at.key("better"), "`better`: which way it improves; one of `higher`, `lower`");
        }
    };
    let judge = judge::read(&at.key("measured"), written.measured.as_ref(), kind.as_ref(), form, problems);
    let worst = missing::worst(at, &written, kind.as_ref(), better, problems);
    let nulls = missing::nulls(at, &written, kind.as_ref(), problems);
    Some(Metric { name, kind: kind?, better, unit: written.unit, judge, nulls: nulls?, worst, stable_only })
}

/// What needs outcomes of both versions, of a metric that has only stable's.
fn refuse_of_both(at: &At, written: &wire::Metric, form: Form, problems: &mut Problems) {
    if form == Form::Long {
        let hint = "leave it out: a row has what users did with the version that served it";
        problems.wrong::<()>(&at.key("observed"), "but in a log in long form each version served some rows", hint);
    }
    if written.measured.as_ref().is_some_and(|measured| measured.human.is_some()) {
        let why = "but people's labels correct a judge of both versions";
        let hint = "leave it out, or `observed = \"stable\"`";
        problems.wrong::<()>(&at.key("measured").key("human"), why, hint);
    }
    if written.null_means.is_some_and(|meaning| meaning != wire::NullMeans::Exclude) {
        let why = "but a request without an outcome is one of which users said nothing";
        let hint = "use `exclude`, or fill the column where silence means something";
        problems.wrong::<()>(&at.key("null_means"), why, hint);
    }
}

fn kind(at: &At, written: &wire::Metric, form: Form, problems: &mut Problems) -> Option<MetricKind> {
    let (word, keys): (_, &[&str]) = match written.kind? {
        wire::MetricKind::Mean => ("mean", &["column"]),
        wire::MetricKind::Proportion => ("proportion", &["column", "over"]),
        wire::MetricKind::Ratio => ("ratio", &["numerator", "denominator"]),
        wire::MetricKind::Quantile => ("quantile", &["column", "quantile"]),
        wire::MetricKind::Rare => ("rare", &["column", "over"]),
        wire::MetricKind::Sentinel => {
            let hint =
                "a gate of test `sentinel` asks prompts with known answers; kind `rare` counts events of the log";
            return problems.add(&at.key("kind"), "not supported yet: metric kind `sentinel`", hint);
        }
        wire::MetricKind::Drift => ("drift", &["column", "bins", "features", "bandwidth"]),
    };
    foreign_keys(at, written, word, keys, problems);
    match written.kind? {
        wire::MetricKind::Mean => Some(MetricKind::Mean { column: column(at, written, form, problems)? }),
        kind @ (wire::MetricKind::Proportion | wire::MetricKind::Rare) => {
            let (column, over) = (column(at, written, form, problems)?, written.over);
            let over_broken = over.is_none() && problems.is_broken(&at.key("over"));
            let rare = kind == wire::MetricKind::Rare;
            if rare && matches!(written.better, Some(wire::Better::Higher)) {
                let hint = "name the column of what should not happen, with `better = \"lower\"`";
                return problems.wrong(&at.key("better"), "but a rare event is a bad one", hint);
            }
            let kind = if rare { MetricKind::Rare { column, over } } else { MetricKind::Proportion { column, over } };
            (!over_broken).then_some(kind)
        }
        wire::MetricKind::Ratio => {
            let numerator = source(at, "numerator", written.numerator.as_deref(), form, problems);
            let denominator = source(at, "denominator", written.denominator.as_deref(), form, problems);
            Some(MetricKind::Ratio { numerator: numerator?, denominator: denominator? })
        }
        wire::MetricKind::Drift => {
            if written.better.is_some() {
                let at = at.key("better");
                let message = format!("`{}`: of a distribution neither way is better", problems.name(&at));
                problems.add::<()>(&at, message, "leave it out; a metric of kind `mean` or `quantile` has a direction");
            }
            let column = column(at, written, form, problems);
            if written.features.is_some() || written.bandwidth.is_some() {
                return embeddings(at, written, column, problems);
            }
            let bins = written.bins.map_or(BINS, usize::from);
            Some(MetricKind::Drift { column: column?, bins })
        }
        _ => {
            let column = column(at, written, form, problems);
            let quantile = quantile(&at.key("quantile"), written.quantile.as_ref(), problems);
            Some(MetricKind::Quantile { column: column?, quantile: quantile? })
        }
    }
}

/// A metric of embeddings, by the first of its features.
fn embeddings(
    at: &At,
    written: &wire::Metric,
    column: Option<PerVersion<String>>,
    problems: &mut Problems,
) -> Option<MetricKind> {
    let foreign = [
        ("bins", written.bins.is_some()),
        ("null_means", written.null_means.is_some_and(|meaning| meaning != wire::NullMeans::Exclude)),
        ("worst", written.worst.is_some()),
        ("observed", written.observed == Some(wire::Observed::Stable)),
    ];
    for (key, _) in foreign.into_iter().filter(|(_, given)| *given) {
        let at = at.key(key);
        let message =
            format!("`{}` has no place beside `features` or `bandwidth`, which are of embeddings", problems.name(&at));
        problems.add::<()>(&at, message, "leave it out");
    }
    let of = written.features.map_or(FEATURES, usize::from);
    if of % 2 == 1 {
        let hint = "each random direction has two, a cosine and a sine";
        problems.wrong::<()>(&at.key("features"), "which is odd", hint);
    }
    let bandwidth = written.bandwidth.unwrap_or(1.0);
    if !(bandwidth > 0.0 && bandwidth.is_finite()) {
        let hint = "the distance at which two embeddings are about as alike as not: about 1 where they have length 1";
        problems.wrong::<()>(&at.key("bandwidth"), "which is not above 0", hint);
    }
    let column = column?;
    if Expression::parse(&column.stable).is_ok_and(|expression| expression.column().is_none()) {
        let hint = "name the column that holds the embeddings";
        problems.wrong::<()>(&at.key("column"), "but embeddings are not added up", hint);
    }
    Some(embedding(column, Feature { index: 0, of, bandwidth }))
}

/// Keys that another kind would use: probably a wrong kind.
fn foreign_keys(at: &At, written: &wire::Metric, word: &str, keys: &[&str], problems: &mut Problems) {
    let given = [
        ("column", written.column.is_some()),
        ("over", written.over.is_some()),
        ("numerator", written.numerator.is_some()),
        ("denominator", written.denominator.is_some()),
        ("quantile", written.quantile.is_some()),
        ("bins", written.bins.is_some()),
        ("features", written.features.is_some()),
        ("bandwidth", written.bandwidth.is_some()),
    ];
    for (key, _) in given.iter().filter(|(key, given)| *given && !keys.contains(key)) {
        let at = at.key(key);
        let message = format!("`{}` does not belong to a metric of kind `{word}`", problems.name(&at));
        problems.add::<()>(&at, message, format!("keys of this kind: {}", listed(keys.iter().copied())));
    }
}

/// The quantile, or the first of a list.
fn quantile(at: &At, written: Option<&wire::Quantiles>, problems: &mut Problems) -> Option<f64> {
    let inside = |quantile: f64| quantile > 0.0 && quantile < 1.0;
    match written {
        Some(&wire::Quantiles::One(quantile)) if inside(quantile) => Some(quantile),
        Some(wire::Quantiles::One(_)) => problems.wrong(at, "which is not between 0 and 1", "0.95 is p95"),
        Some(wire::Quantiles::Many(list)) => match list.iter().position(|&quantile| !inside(quantile)) {
            Some(outside) => problems.wrong(&at.index(outside), "which is not between 0 and 1", "0.95 is p95"),
            None => list.first().copied(),
        },
        None => problems.missing(at, "which quantile: 0.95 is p95"),
    }
}

fn column(at: &At, written: &wire::Metric, form: Form, problems: &mut Problems) -> Option<PerVersion<String>> {
    let at = at.key("column");
    match &written.column {
        Some(template) => expand(&at, template, form, problems),
        None if form != Form::Wide => problems.missing(&at, "column of the outcome, such as `quality`"),
        None => problems.missing(&at, "column of each version, such as `{version}_quality`"),
    }
}

fn source(
    at: &At,
    key: &str,
    written: Option<&str>,
    form: Form,
    problems: &mut Problems,
) -> Option<PerVersion<Source>> {
    let at = at.key(key);
    match written {
        Some(REQUESTS) if key == "denominator" => Some(PerVersion::from_fn(|_| Source::Requests)),
        Some(REQUESTS) => {
            let hint = "a number of requests can only be a denominator: sum a column here";
            problems.wrong(&at, "which is the same for both versions", hint)
        }
        Some(template) => {
            expand(&at, template, form, problems).map(|column| column.map(|name| Source::Column(name.clone())))
        }
        None if key == "denominator" => problems.missing(&at, "a column such as `{version}_tokens`, or `requests`"),
        None => problems.missing(&at, "a column such as `{version}_cost_usd`"),
    }
}

/// The column of each version.
fn expand(at: &At, template: &str, form: Form, problems: &mut Problems) -> Option<PerVersion<String>> {
    if form == Form::Long && template.contains(TEMPLATE) {
        let hint = format!("write the column that holds both versions' outcomes, without `{TEMPLATE}`");
        return problems.wrong(at, "but `log.version` says that a row has the outcomes of one version", hint);
    }
    if form == Form::StableOnly && template.contains(TEMPLATE) {
        let hint = format!("write stable's column, without `{TEMPLATE}`");
        return problems.wrong(at, "but `observed = \"stable\"` says that only stable's outcomes are known", hint);
    }
    if form != Form::Wide || template.contains(TEMPLATE) {
        let columns = PerVersion::from_fn(|version: Version| template.replace(TEMPLATE, version.name()));
        return match Expression::parse(&columns.stable) {
            Ok(_) => Some(columns),
            Err(why) => {
                let hint = format!(
                    "write columns times numbers, added up, with spaces around operators: \
                     `{0}latency_ms - {0}ttft_ms`, `{0}latency_ms / 1000`",
                    if form == Form::Wide { "{version}_" } else { "" }
                );
                problems.wrong(at, why, hint)
            }
        };
    }
    let stem = ["stable_", "candidate_"].iter().find_map(|prefix| template.strip_prefix(prefix)).unwrap_or(template);
    let hint = format!("write `{TEMPLATE}_{stem}` for the columns `stable_{stem}` and `candidate_{stem}`");
    problems.wrong(at, format!("without `{TEMPLATE}`"), hint)
}
