//! `[metrics.NAME]`.

use std::collections::BTreeMap;

mod judge;

mod missing;

use super::super::places::At;
use super::super::problems::{Problems, listed};
use super::super::wire;
use super::Form;
use super::values::Named;
use crate::domain::metric::{Direction, Metric, MetricKind, Source};
use crate::domain::version::{PerVersion, Version};

const TEMPLATE: &str = "{version}";
const REQUESTS: &str = "requests";

pub(super) fn read(written: BTreeMap<String, wire::Metric>, form: Form, problems: &mut Problems) -> Vec<Named<Metric>> {
    let table = At::root().key("metrics");
    if written.is_empty() && !problems.is_broken(&table) {
        problems.add::<()>(&table, "`metrics` has no metric", "add a table such as `[metrics.quality]`");
    }
    let mut metrics: Vec<_> = written.into_iter().collect();
    metrics.sort_by_key(|(name, _)| problems.offset(&table.key(name)));
    metrics
        .into_iter()
        .map(|(name, written)| {
            let value = metric(&table.key(&name), name.clone(), written, form, problems);
            Named { name, value }
        })
        .collect()
}

fn metric(at: &At, name: String, written: wire::Metric, form: Form, problems: &mut Problems) -> Option<Metric> {
    if written.observed == Some(wire::Observed::Stable) {
        problems.later::<()>(&at.key("observed"), "`observed = \"stable\"` (outcomes that only stable has)");
    }
    let kind = kind(at, &written, form, problems);
    let better = match written.better? {
        wire::Better::Higher => Direction::Higher,
        wire::Better::Lower => Direction::Lower,
    };
    let judge = judge::read(&at.key("measured"), written.measured.as_ref(), kind.as_ref(), form, problems);
    let worst = missing::worst(at, &written, kind.as_ref(), better, problems);
    let nulls = missing::nulls(at, &written, kind.as_ref(), problems);
    Some(Metric { name, kind: kind?, better, unit: written.unit, judge, nulls: nulls?, worst })
}

fn kind(at: &At, written: &wire::Metric, form: Form, problems: &mut Problems) -> Option<MetricKind> {
    let (word, keys): (_, &[&str]) = match written.kind? {
        wire::MetricKind::Mean => ("mean", &["column"]),
        wire::MetricKind::Proportion => ("proportion", &["column", "over"]),
        wire::MetricKind::Ratio => ("ratio", &["numerator", "denominator"]),
        wire::MetricKind::Quantile => ("quantile", &["column", "quantile"]),
        wire::MetricKind::Rare => ("rare", &["column", "over"]),
        wire::MetricKind::Sentinel => return problems.later(&at.key("kind"), "metric kind `sentinel`"),
        wire::MetricKind::Drift => return problems.later(&at.key("kind"), "metric kind `drift`"),
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
        _ => {
            let column = column(at, written, form, problems);
            let quantile = quantile(&at.key("quantile"), written.quantile, problems);
            Some(MetricKind::Quantile { column: column?, quantile: quantile? })
        }
    }
}

/// Keys that another kind would use: probably a wrong kind.
fn foreign_keys(at: &At, written: &wire::Metric, word: &str, keys: &[&str], problems: &mut Problems) {
    let given = [
        ("column", written.column.is_some()),
        ("over", written.over.is_some()),
        ("numerator", written.numerator.is_some()),
        ("denominator", written.denominator.is_some()),
        ("quantile", written.quantile.is_some()),
    ];
    for (key, _) in given.iter().filter(|(key, given)| *given && !keys.contains(key)) {
        let at = at.key(key);
        let message = format!("`{}` does not belong to a metric of kind `{word}`", problems.name(&at));
        problems.add::<()>(&at, message, format!("keys of this kind: {}", listed(keys.iter().copied())));
    }
}

fn quantile(at: &At, written: Option<f64>, problems: &mut Problems) -> Option<f64> {
    match written {
        Some(quantile) if quantile > 0.0 && quantile < 1.0 => Some(quantile),
        Some(_) => problems.wrong(at, "which is not between 0 and 1", "0.95 is p95"),
        None => problems.missing(at, "which quantile: 0.95 is p95"),
    }
}

fn column(at: &At, written: &wire::Metric, form: Form, problems: &mut Problems) -> Option<PerVersion<String>> {
    let at = at.key("column");
    match &written.column {
        Some(template) => expand(&at, template, form, problems),
        None if form == Form::Long => problems.missing(&at, "column of the outcome, such as `quality`"),
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
    if form == Form::Long {
        if template.contains(TEMPLATE) {
            let hint = format!("write the column that holds both versions' outcomes, without `{TEMPLATE}`");
            return problems.wrong(at, "but `log.version` says that a row has the outcomes of one version", hint);
        }
        return Some(PerVersion::from_fn(|_| template.to_owned()));
    }
    if template.contains(TEMPLATE) {
        return Some(PerVersion::from_fn(|version: Version| template.replace(TEMPLATE, version.name())));
    }
    let stem = ["stable_", "candidate_"].iter().find_map(|prefix| template.strip_prefix(prefix)).unwrap_or(template);
    let hint = format!("write `{TEMPLATE}_{stem}` for the columns `stable_{stem}` and `candidate_{stem}`");
    problems.wrong(at, format!("without `{TEMPLATE}`"), hint)
}
