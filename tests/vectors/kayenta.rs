//! Kayenta's own unit tests, and verdicts users reported.

use replay::gate::kayenta::classify;
use replay::gate::series::Points;
use replay::stats::kayenta::{
    Classification, Direction, EffectSize, Fences, GroupScore, Label, Measure, Metric, MetricConfig, Missing, Pair,
    Summary, Thresholds, cohen_d, judge_means, mean_ratio, percentile, score,
};
use replay::stats::normal;
use serde_json::Value;
use std::collections::BTreeMap;

fn file() -> Value {
    serde_json::from_str(include_str!("kayenta.json")).expect("the vectors are JSON")
}

/// Runs a check on every case of a kind; their number is the file's own and the one given.
fn each(kind: &str, count: usize, check: impl Fn(&Value, &Value)) {
    let file = file();
    let cases = file["cases"][kind].as_array().expect("a list of cases");
    assert_eq!((cases.len() as u64, cases.len()), (file["counts"][kind].as_u64().expect("a count"), count), "{kind}");
    for case in cases {
        check(&file["datasets"], case);
    }
}

fn id(case: &Value) -> &str {
    case["id"].as_str().expect("an id")
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("{}: `{key}` is no text", id(case)))
}

fn flag(case: &Value, key: &str) -> bool {
    case[key].as_bool().unwrap_or_else(|| panic!("{}: `{key}` is no flag", id(case)))
}

/// A number as the vectors write it.
fn number(value: &Value) -> f64 {
    if value == "NaN" { f64::NAN } else { value.as_f64().unwrap_or_else(|| panic!("{value} is no number")) }
}

fn points(datasets: &Value, value: &Value) -> Vec<f64> {
    let list = value["$dataset"].as_str().map_or(value, |name| &datasets[name]);
    list.as_array().unwrap_or_else(|| panic!("{value} is no list")).iter().map(number).collect()
}

fn check(case: &Value, what: &str, expected: &Value, found: f64, tolerance: f64) {
    let expected = number(expected);
    let within = (found.is_nan() && expected.is_nan()) || (found - expected).abs() <= tolerance;
    assert!(within, "{}: {what} is {found}, expected {expected} within {tolerance}", id(case));
}

fn label(name: &str) -> Label {
    match name {
        "Pass" => Label::Pass,
        "High" => Label::High,
        "Low" => Label::Low,
        "Nodata" => Label::Nodata,
        "NodataFailMetric" => Label::NodataFailMetric,
        "Error" => Label::Error,
        other => panic!("unknown label `{other}`"),
    }
}

fn config(case: &Value) -> MetricConfig {
    let direction = match text(case, "direction") {
        "increase" => Direction::Increase,
        "decrease" => Direction::Decrease,
        "either" => Direction::Either,
        other => panic!("{}: unknown direction `{other}`", id(case)),
    };
    let missing = match text(case, "nan_strategy") {
        "remove" => Missing::Remove,
        "replace" => Missing::Replace,
        other => panic!("{}: unknown strategy `{other}`", id(case)),
    };
    let (critical, must_have_data) = (flag(case, "is_critical_metric"), flag(case, "must_have_data"));
    let plain = MetricConfig { direction, missing, critical, must_have_data, ..MetricConfig::default() };
    let params = &case["params"];
    if params.is_null() {
        return plain;
    }
    let limits = |key: &str| (number(&params[key][0]), number(&params[key][1]));
    let (allowed, beyond) = (limits("effect_thresholds_dec_inc"), limits("critical_thresholds_dec_inc"));
    let measure = match params["effect_size_measure"].as_str() {
        Some("meanRatio") => Measure::MeanRatio,
        Some("cles") => Measure::Cles,
        other => panic!("{}: unknown measure {other:?}", id(case)),
    };
    let effect = EffectSize {
        measure,
        allowed_decrease: allowed.0,
        allowed_increase: allowed.1,
        critical_decrease: beyond.0,
        critical_increase: beyond.1,
    };
    MetricConfig { effect, tolerance: number(&params["tolerance"]), confidence: number(&params["conf_level"]), ..plain }
}

/// Classifies a case and holds every expectation against the result.
fn check_classification(datasets: &Value, case: &Value) {
    let (control, experiment) = (points(datasets, &case["control"]), points(datasets, &case["experiment"]));
    let config = config(case);
    let found = match text(case, "classifier") {
        // What gates call.
        "mann_whitney" => classify(Points { stable: &control, candidate: &experiment }, &config),
        "mean_inequality" => judge_means(&control, &experiment, &config),
        other => panic!("{}: unknown classifier `{other}`", id(case)),
    };
    for (key, expected) in case["expected"].as_object().expect("expectations") {
        match key.as_str() {
            "classification" => assert_eq!(Some(found.label), expected.as_str().map(label), "{}", id(case)),
            "critical" => assert_eq!(Some(found.critical), expected.as_bool(), "{}", id(case)),
            "reason_present" => assert_eq!(Some(found.reason.is_some()), expected.as_bool(), "{}", id(case)),
            "mean_ratio_is_nan" => assert_eq!(Some(found.effect.is_nan()), expected.as_bool(), "{}", id(case)),
            "mean_ratio" => check(case, key, expected, found.effect, 1e-12),
            "ci" | "estimate" => check_shift(case, &found, key, expected),
            other => panic!("{}: unknown expectation `{other}`", id(case)),
        }
    }
    check_derived(case, &control, &experiment, &found);
}

fn check_shift(case: &Value, found: &Classification, key: &str, expected: &Value) {
    let shift = found.shift.unwrap_or_else(|| panic!("{}: no shift", id(case)));
    if key == "ci" {
        check(case, "low", &expected[0], shift.low, 1e-9);
        check(case, "high", &expected[1], shift.high, 1e-9);
    } else {
        check(case, key, expected, shift.estimate, 1e-9);
    }
}

/// Values of another implementation, not of Kayenta's own tests.
fn check_derived(case: &Value, control: &[f64], experiment: &[f64], found: &Classification) {
    let derived = &case["derived_not_upstream"];
    if derived.is_null() {
        return;
    }
    let shift = found.shift.unwrap_or_else(|| panic!("{}: no shift", id(case)));
    check(case, "low", &derived["ci_low"], shift.low, 1e-9);
    check(case, "high", &derived["ci_high"], shift.high, 1e-9);
    check(case, "estimate", &derived["hodges_lehmann"], shift.estimate, 1e-9);
    check(case, "cles", &derived["cles"], Measure::Cles.of(control, experiment), 1e-12);
    let ratio = mean_ratio(control, experiment);
    if derived["mean_ratio"].is_null() {
        assert!(ratio.is_nan(), "{}: mean ratio {ratio}", id(case));
    } else {
        check(case, "mean ratio", &derived["mean_ratio"], ratio, 1e-12);
    }
}

#[test]
fn classifier() {
    each("classifier", 37, check_classification);
}

#[test]
fn issue_reported() {
    each("issue_reported", 3, check_classification);
}

#[test]
fn mann_whitney() {
    each("mann_whitney", 8, |datasets, case| {
        let (expected, tolerance) = (&case["expected"], number(&case["abs_tol"]));
        if text(case, "op") == "normal_quantile" {
            return check(case, "quantile", expected, -normal::upper_quantile(number(&case["p"])), tolerance);
        }
        let (x, y) = (points(datasets, &case["x"]), points(datasets, &case["y"]));
        let pair = Pair::new(&x, &y).expect("finite samples");
        match text(case, "op") {
            "standardised_rank_sum" => {
                let z = pair.standardised(number(&case["mu"])).expect("the values differ");
                check(case, "statistic", expected, z - number(&case["quantile"]), tolerance);
            }
            "ci_and_estimate" => {
                let shift = pair.shift(number(&case["conf_level"])).expect("the values differ");
                check(case, "low", &expected["ci"][0], shift.low, tolerance);
                check(case, "high", &expected["ci"][1], shift.high, tolerance);
                let tolerance = case["estimate_abs_tol"].as_f64().unwrap_or(tolerance);
                check(case, "estimate", &expected["estimate"], shift.estimate, tolerance);
            }
            "intermediates" => check_intermediates(case, &pair, tolerance),
            other => panic!("{}: unknown operation `{other}`", id(case)),
        }
    });
}

fn check_intermediates(case: &Value, pair: &Pair, tolerance: f64) {
    let level = normal::upper_quantile((1.0 - number(&case["conf_level"])) / 2.0);
    let z = |shift| pair.standardised(shift).expect("the values differ");
    let root = |level| pair.crossing(level).expect("the values differ");
    let (low, high) = (pair.smallest(), pair.largest());
    let estimate = pair.shift(number(&case["conf_level"])).expect("the values differ").estimate;
    let found = BTreeMap::from([
        ("mu_min", low),
        ("mu_max", high),
        ("z_lower", level),
        ("z_upper", -level),
        ("f_lower_at_zlower", z(low) - level),
        ("f_upper_at_zlower", z(high) - level),
        ("f_lower_at_zupper", z(low) + level),
        ("f_upper_at_zupper", z(high) + level),
        ("root_at_zlower", root(level)),
        ("root_at_zupper", root(-level)),
        ("estimate", estimate),
    ]);
    for (key, expected) in case["expected"].as_object().expect("expectations") {
        check(case, key, expected, found[key.as_str()], tolerance);
    }
}

#[test]
fn scorer() {
    each("scorer", 13, |_, case| {
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let metrics = list(&case["metrics"]);
        let groups: Vec<Vec<Value>> = metrics.iter().map(|metric| list(&metric["groups"])).collect();
        let groups: Vec<Vec<&str>> =
            groups.iter().map(|names| names.iter().map(|name| name.as_str().expect("a name")).collect()).collect();
        let members = metrics.iter().zip(&groups).map(|(metric, groups)| Metric {
            label: label(metric["classification"].as_str().expect("a label")),
            critical: metric["critical"].as_bool().expect("a flag"),
            groups,
            muted: metric["muted"].as_bool().unwrap_or(false),
        });
        let metrics: Vec<Metric<'_>> = members.collect();
        let weights = case["group_weights"].as_object().expect("weights");
        let weights = weights.iter().map(|(name, weight)| (name.as_str(), number(weight))).collect();
        let found = score(&metrics, &weights);
        for (key, expected) in case["expected"].as_object().expect("expectations") {
            match key.as_str() {
                "summary_score" => check(case, key, expected, found.summary, 0.0),
                "group_scores_sorted" => {
                    let mut shown: Vec<f64> = found.groups.iter().map(GroupScore::shown).collect();
                    shown.sort_by(f64::total_cmp);
                    let expected = list(expected);
                    assert_eq!(shown.len(), expected.len(), "{}", id(case));
                    for (&shown, expected) in shown.iter().zip(&expected) {
                        check(case, key, expected, shown, 0.0);
                    }
                }
                other => panic!("{}: unknown expectation `{other}`", id(case)),
            }
        }
    });
}

#[test]
fn aggregate() {
    each("aggregate", 5, |_, case| {
        let thresholds = Thresholds { marginal: case["marginal"].as_f64(), pass: case["pass"].as_f64() };
        let passes = thresholds.passes(number(&case["final_score"]));
        assert_eq!(Some(passes), case["expected"]["did_pass"].as_bool(), "{}", id(case));
    });
}

#[test]
fn statistics() {
    each("statistics", 11, |datasets, case| {
        let (values, expected) = (points(datasets, &case["values"]), &case["expected"]);
        match text(case, "op") {
            "percentile" => {
                assert_eq!(text(case, "method"), "R-7");
                let found = percentile(&values, number(&case["p"]));
                check(case, "percentile", expected, found, number(&case["abs_tol"]));
            }
            "summary" => {
                let found = Summary::of(&values);
                check(case, "min", &expected["min"], found.min, 0.0);
                check(case, "max", &expected["max"], found.max, 0.0);
                check(case, "mean", &expected["mean"], found.mean, 0.0);
                check(case, "std", &expected["std"], found.deviation, case["std_abs_tol"].as_f64().unwrap_or(0.0));
                check(case, "count", &expected["count"], found.count as f64, 0.0);
            }
            other => panic!("{}: unknown operation `{other}`", id(case)),
        }
    });
}

#[test]
fn effect_size() {
    each("effect_size", 9, |datasets, case| {
        let (control, experiment) = (points(datasets, &case["control"]), points(datasets, &case["experiment"]));
        let found = match text(case, "op") {
            "mean_ratio" => mean_ratio(&control, &experiment),
            "cles" => Measure::Cles.of(&control, &experiment),
            "cohen_d" => cohen_d(&control, &experiment),
            other => panic!("{}: unknown operation `{other}`", id(case)),
        };
        check(case, "effect", &case["expected"], found, number(&case["abs_tol"]));
    });
}

#[test]
fn outlier_detector() {
    each("outlier_detector", 6, |datasets, case| {
        let values = points(datasets, &case["values"]);
        let fences = match text(case, "detector") {
            "k_sigma" => {
                assert_eq!(text(case, "std"), "population");
                Fences::deviations(&values, number(&case["k"]))
            }
            "iqr" if flag(case, "reduce_sensitivity") => Fences::wide(&values, number(&case["factor"])),
            "iqr" => Fences::quartiles(&values, number(&case["factor"])),
            other => panic!("{}: unknown detector `{other}`", id(case)),
        };
        let found: Vec<u64> =
            (0..).zip(&values).filter(|(_, value)| fences.exclude(**value)).map(|(index, _)| index).collect();
        let expected = case["expected_outlier_indices"].as_array().expect("a list");
        let expected: Vec<u64> = expected.iter().map(|index| index.as_u64().expect("an index")).collect();
        assert_eq!(found, expected, "{}", id(case));
    });
}

#[test]
fn transform() {
    each("transform", 5, |datasets, case| {
        let values = points(datasets, &case["values"]);
        let found = match text(case, "op") {
            "remove_nan" => Missing::Remove.apply(&values),
            "replace_nan_with_zero" => Missing::Replace.apply(&values),
            "remove_outliers_iqr_1.5" => Fences::quartiles(&values, 1.5).inside(&values),
            "remove_outliers_ksigma_3" => Fences::deviations(&values, 3.0).inside(&values),
            other => panic!("{}: unknown operation `{other}`", id(case)),
        };
        assert_eq!(found, points(datasets, &case["expected"]), "{}", id(case));
    });
}

/// Every kind of the file has its test above: none is skipped.
#[test]
fn every_case_is_tested() {
    let file = file();
    let cases = file["cases"].as_object().expect("kinds of cases");
    let kinds: Vec<&str> = cases.keys().map(String::as_str).collect();
    let mut tested = [
        "classifier",
        "mann_whitney",
        "scorer",
        "aggregate",
        "statistics",
        "effect_size",
        "outlier_detector",
        "transform",
        "issue_reported",
    ];
    tested.sort_unstable();
    assert_eq!(kinds, tested);
    assert_eq!(cases.values().map(|cases| cases.as_array().map_or(0, Vec::len)).sum::<usize>(), 97);
}
