//! Judges, labels and missing values, on a small log whose answers are counted again here.

use serde_json::Value;

use crate::support::{Home, Report, Rows, assert_close, mixed, scenario};

const ERRORS: &str = "column = \"{version}_error\"\nbetter = \"lower\"\n";

/// What a version said in a row: empty is missing.
fn error(row: usize, version: usize) -> Option<f64> {
    let missing = version == 20 && mixed(row, 40).is_multiple_of(8);
    (!missing).then(|| f64::from(u8::from(mixed(row, version + 2) % 1000 < 300)))
}

/// The same log with enough errors, of which the candidate lacks an eighth, and people's labels of a fifth.
fn log() -> Rows {
    let text = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let human = |row: usize, version: usize| {
        let label = mixed(row, 50).is_multiple_of(5).then(|| error(row, version)).flatten();
        // People see an error where the judge overlooks it.
        text(label.map(|error| if mixed(row, 60).is_multiple_of(4) { 1.0 } else { error }))
    };
    Rows::small()
        .set_all("stable_error", |row, _| text(error(row, 10)))
        .set_all("candidate_error", |row, _| text(error(row, 20)))
        .add("stable_human", |row| human(row, 10))
        .add("candidate_human", |row| human(row, 20))
}

fn report(keys: &str) -> Report {
    let home = Home::new();
    home.write("log.csv", log().csv());
    home.write("s.toml", scenario(&[(ERRORS, &format!("{ERRORS}{keys}\n"))]));
    home.report_of_log()
}

fn overall(report: &Report) -> &Value {
    let found = report.rows("shadow").iter().find(|row| row["metric"] == "errors" && row["segment"].is_null());
    found.expect("the difference of errors")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    sum / n
}

fn assert_near(found: &Value, expected: f64) {
    assert!((number(found) - expected).abs() < 1e-9, "{found}, expected {expected}");
}

#[test]
fn missing_values_are_shown_left_out_and_as_the_worst_whatever_was_chosen() {
    let pairs = || (0..1200).filter_map(|row| error(row, 10).zip(error(row, 20)));
    let exclude = mean(pairs().map(|(stable, candidate)| candidate - stable));
    let worst = mean((0..1200).map(|row| error(row, 20).unwrap_or(1.0) - error(row, 10).unwrap_or(1.0)));
    assert!(worst > exclude + 0.05);
    for (keys, difference) in [("", exclude), ("null_means = \"worst\"", worst), ("null_means = \"fail\"", worst)] {
        let report = report(keys);
        let row = overall(&report);
        assert_near(&row["difference"], difference);
        assert_near(&row["if_missing"]["exclude"]["difference"], exclude);
        assert_near(&row["if_missing"]["worst"]["difference"], worst);
        assert_eq!(row["nulls_candidate"], (0..1200).filter(|&row| error(row, 20).is_none()).count());
        let alone = |stable: f64, candidate: f64| {
            let rows = (0..1200).filter(|&row| error(row, 20).is_some() || !keys.is_empty());
            rows.filter(|&row| (error(row, 10), error(row, 20).or(Some(1.0))) == (Some(stable), Some(candidate)))
                .count()
        };
        assert_eq!(row["pairs"]["candidate_worse"], alone(0.0, 1.0), "{keys}");
        assert_eq!(row["pairs"]["candidate_better"], alone(1.0, 0.0), "{keys}");
        assert!(number(&row["pairs"]["design_effect"]) >= 1.0);
        let quality = report.rows("shadow").iter().find(|row| row["metric"] == "quality").expect("a row");
        assert!(quality["if_missing"]["worst"].is_null(), "a mean without `worst` has no worst value");
        assert!(quality["pairs"].is_null());
    }
}

#[test]
fn one_version_that_lacks_values_raises_an_alarm() {
    let report = report("");
    let health = |metric: &str| report.rows("health").iter().find(|row| row["metric"] == metric).expect("a row");
    let missing = mean((0..1200).map(|row| f64::from(u8::from(error(row, 20).is_none()))));
    let row = health("errors");
    assert_near(&row["candidate"], missing);
    assert_near(&row["difference"], missing);
    assert_eq!((&row["check"], &row["alarm"]), (&Value::from("missingness"), &Value::from(true)));
    assert!(number(&row["p_value"]) < 1e-6);
    assert_eq!((&health("quality")["alarm"], &health("quality")["p_value"]), (&Value::from(false), &Value::Null));
    let (place, text) = report.warning("missingness");
    assert_eq!(place, "metric errors");
    assert!(text.starts_with("0.0 % of stable's and "), "{text}");
}

#[test]
fn a_judge_that_errs_is_corrected_everywhere() {
    let plain = report("");
    let corrected = report("measured = { sensitivity = 0.9, specificity = \"80%\", cost_usd = 0.01 }");
    let (was, row) = (overall(&plain), overall(&corrected));
    for version in ["stable", "candidate"] {
        assert_near(&row[version], (number(&was[version]) - 0.2) / 0.7);
    }
    for part in ["difference", "se_unit", "low", "high"] {
        assert_near(&row[part], number(&was[part]) / 0.7);
    }
    // Pairs are counted as the judge said, in both.
    assert_close(&row["pairs"], &was["pairs"], 1e-9);
    let fact = |report: &Report| report.rows("metrics").iter().find(|metric| metric["name"] == "errors").cloned();
    let judge = fact(&corrected).expect("facts")["judge"].clone();
    let judgements = (0..1200).flat_map(|row| [error(row, 10), error(row, 20)]).flatten().count();
    assert_eq!(judge["judgements"], judgements);
    assert_near(&judge["cost_usd"], judgements as f64 * 0.01);
    assert!(fact(&plain).expect("facts")["judge"].is_null());
}

#[test]
fn a_judge_of_a_sample_sees_the_same_requests_in_any_order_and_from_a_digest() {
    let home = Home::new();
    home.write(
        "s.toml",
        scenario(&[(ERRORS, &format!("{ERRORS}measured = {{ share = 0.25 }}\nnull_means = \"worst\"\n"))]),
    );
    home.write("log.csv", log().csv());
    home.write("shuffled.csv", log().shuffled().csv());
    let report = home.report("log.csv", "s.toml", &[], "one");
    let shuffled = home.report("shuffled.csv", "s.toml", &[], "two");
    assert_eq!(report.findings(), shuffled.findings());
    home.succeeds(&["digest", "log.csv", "--scenario", "s.toml", "--out", "d.parquet"]);
    assert_close(&report.findings(), &home.report("d.parquet", "s.toml", &[], "three").findings(), 1e-9);
    let row = overall(&report);
    let asked = number(&row["requests"]);
    assert!((240.0..360.0).contains(&asked), "a quarter of 1200: {asked}");
    assert_eq!(row["nulls_stable"], 0, "a request that is not judged is not missing");
    let other = home.report("log.csv", "s.toml", &["--seed", "8"], "four");
    assert_ne!(overall(&other)["difference"], row["difference"]);
}

#[test]
fn people_correct_the_judge() {
    let report = report("measured = { human = \"{version}_human\" }");
    let row = overall(&report);
    let human = &row["human"];
    let labelled = |version: usize| {
        (0..1200)
            .filter(move |&row| mixed(row, 50).is_multiple_of(5))
            .filter_map(move |row| Some((row, error(row, version)?)))
    };
    for (name, version) in [("stable", 10), ("candidate", 20)] {
        assert_eq!(human[format!("labels_{name}")], labelled(version).count());
        let lambda = number(&human[format!("lambda_{name}")]);
        assert!((0.3..=1.0).contains(&lambda), "the judge is mostly right: {lambda}");
        let said = mean(labelled(version).map(|(_, error)| error));
        let people =
            mean(labelled(version).map(|(row, error)| if mixed(row, 60).is_multiple_of(4) { 1.0 } else { error }));
        let others = (0..1200).filter(|&row| !mixed(row, 50).is_multiple_of(5));
        let rest = mean(others.filter_map(|row| error(row, version)));
        assert_near(&human[name], people + lambda * (rest - said));
        assert!(number(&human[name]) > number(&row[name]) + 0.1, "the judge overlooks errors");
    }
    assert_near(&human["difference"], number(&human["candidate"]) - number(&human["stable"]));
    assert!(number(&human["low"]) < number(&human["difference"]) && number(&human["se"]) > 0.0);
    assert!(human["labels_needed"].is_null() && human["shown"].is_null(), "no gate asks about errors");
}

#[test]
fn slices_come_after_the_whole_with_q_values_of_their_metric() {
    let report = report("");
    let rows: Vec<&Value> = report.rows("shadow").iter().filter(|row| row["metric"] == "quality").collect();
    let roles: Vec<&str> = rows.iter().filter_map(|row| row["role"].as_str()).collect();
    assert_eq!(roles, ["overall", "named", "named"]);
    assert!(rows[0]["q_value"].is_null());
    let mut p: Vec<f64> = rows[1..].iter().map(|row| number(&row["p_value"])).collect();
    let q: Vec<f64> = rows[1..].iter().map(|row| number(&row["q_value"])).collect();
    let largest = p[0].max(p[1]);
    let expected: Vec<f64> = p.drain(..).map(|p| (2.0 * p).min(largest)).collect();
    for (q, expected) in q.iter().zip(expected) {
        assert!((q - expected).abs() < 1e-12, "{q}, expected {expected}");
    }
    assert!(report.rows("shadow").iter().any(|row| row["role"] == "reported"));
}

/// A longer log of many users, of which a judge errs, and a truth that never does.
fn judged() -> Rows {
    let truth = |row: usize, version: usize| mixed(row, version + 2) % 1000 < 300;
    let judge = |row: usize, version: usize| {
        let wrong = mixed(row, version + 70) % 1000;
        if truth(row, version) { wrong < 850 } else { wrong >= 900 }
    };
    let text = |yes: bool| u8::from(yes).to_string();
    // Enough users for their variance to be known well: the test compares variances of different logs.
    Rows::from("2026-11-02T00:00:00Z", 6000, 36)
        .set_all("user_id", |row, _| format!("u{}", mixed(row, 0) % 2000))
        .set_all("stable_error", |row, _| text(truth(row, 10)))
        .set_all("candidate_error", |row, _| text(truth(row, 20)))
        .add("stable_judge", |row| text(judge(row, 10)))
        .add("candidate_judge", |row| text(judge(row, 20)))
}

/// Seconds that a gate on errors needs at half of the users to pass, and what its judge costs of them.
fn needed(column: &str, measured: &str) -> (f64, Vec<(String, f64)>) {
    let home = Home::new();
    home.write("log.csv", judged().csv());
    let metric = format!("column = \"{{version}}_{column}\"\nbetter = \"lower\"\n{measured}\n");
    let gate = "\n[[gates]]\nname = \"errors\"\nmetric = \"errors\"\nallow = \"25%\"\nmin_units = 3\n";
    home.write("s.toml", scenario(&[(ERRORS, &metric), ("\n[rollout]", &format!("{gate}\n[rollout]"))]));
    let report = home.report_of_log();
    let rows = report.json["planning"]["needs"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["gate"] == "errors" && row["stage"] == "50%").expect("a row");
    let time = row["pass"]["duration_s"].as_f64().or(row["pass"]["projected_s"].as_f64()).expect("a time");
    let prices = row["prices"].as_array().expect("a list").iter().filter(|price| price["side"] == "pass");
    (time, prices.map(|price| (price["of"].as_str().expect("a name").to_owned(), number(&price["extra_s"]))).collect())
}

#[test]
fn the_price_of_a_judge_is_the_time_that_a_full_and_errorless_one_saves() {
    let price =
        |prices: &[(String, f64)], of: &str| prices.iter().find(|(name, _)| name == of).map(|(_, extra)| *extra);
    let (full, none) = needed("error", "");
    assert!(price(&none, "judge sampling").is_none() && price(&none, "judge errors").is_none(), "{none:?}");
    // The same requests, a third of them judged: without that part of its variance the gate needs the time of the full judge.
    let (sampled, prices) = needed("error", "measured.share = 0.35");
    let extra = price(&prices, "judge sampling").expect("a price");
    assert!(sampled > 1.5 * full, "sampling costs time: {sampled} {full}");
    assert!(((sampled - extra) / full - 1.0).abs() < 0.25, "{sampled} less {extra}, {full}");
    // A judge that errs, against the truth.
    let (erring, prices) = needed("judge", "measured.sensitivity = 0.85\nmeasured.specificity = 0.9");
    let extra = price(&prices, "judge errors").expect("a price");
    assert!(erring > 1.2 * full, "errors cost time: {erring} {full}");
    assert!(((erring - extra) / full - 1.0).abs() < 0.25, "{erring} less {extra}, {full}");
}
