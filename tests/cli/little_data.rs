//! Too little to decide on: said so, and never a crash or a division by zero.

use serde_json::Value;

use crate::support::{Home, Report, Rows, scenario};

fn report_of(rows: &Rows, text: &str) -> Report {
    let home = Home::new();
    home.write("s.toml", text);
    home.write("log.csv", rows.csv());
    home.report_of_log()
}

/// Rows of `gates[]` at one gate.
fn gates<'a>(report: &'a Report, gate: &'a str) -> impl Iterator<Item = &'a Value> {
    report.rows("gates").iter().filter(move |row| row["gate"] == gate)
}

/// The gate never speaks, in any world.
fn assert_silent(row: &Value) {
    for (world, rates) in row["rates"].as_object().expect("worlds") {
        assert_eq!(
            (rates["pass"]["share"].as_f64(), rates["fail"]["share"].as_f64()),
            (Some(0.0), Some(0.0)),
            "{world}"
        );
    }
}

#[test]
fn a_segment_with_too_few_units_is_inconclusive() {
    let report = report_of(&Rows::small().set(5, "region", "moon"), &scenario(&[]));
    let rows: Vec<&Value> = gates(&report, "quality").filter(|row| row["segment"]["value"] == "moon").collect();
    assert_eq!(rows.len(), 2, "one for each stage");
    for row in rows {
        assert_silent(row);
        assert_eq!(row["with_data"]["share"], 0.0);
    }
    let warned = report.rows("warnings").iter().filter(|row| row["code"] == "little-data");
    let texts: Vec<&str> = warned.filter_map(|row| row["text"].as_str()).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts.iter().all(|text| text.contains("gate `quality` has, for region = moon, enough data")), "{texts:?}");
}

#[test]
fn a_log_of_one_request() {
    let text = scenario(&[("duration = \"12h\"", "duration = \"1h\""), ("duration = \"24h\"", "duration = \"1h\"")]);
    let one = Rows::small().dropping(|row| row > 0);
    let home = Home::new();
    home.write("s.toml", &text);
    home.write("log.csv", one.csv());
    home.refuses_log(
        "error: s.toml: the log covers 1h, the schedule needs 2h\n\nhint: log more traffic, shorten the stages, choose other \
         `rollout.start` times, or repeat whole weeks with `log.tile = \"week\"`\n",
    );
    let report = report_of(&Rows::small().dropping(|row| row > 45), &text);
    assert_eq!(report.json["log"]["rows"], 46);
}

#[test]
fn a_constant_metric_is_named() {
    let constant = |_: usize, _: &str| "0.5".to_owned();
    let rows = Rows::small().set_all("stable_quality", constant).set_all("candidate_quality", constant);
    let report = report_of(&rows, &scenario(&[]));
    let (place, text) = report.warning("constant");
    assert_eq!(place, "metric quality");
    assert!(text.starts_with("every value of `quality` is 0.5"), "{text}");
    gates(&report, "quality").for_each(assert_silent);
}

#[test]
fn a_constant_latency_and_an_event_that_never_happens_are_named() {
    let rows = Rows::small()
        .set_all("stable_latency_ms", |_, _| "250".into())
        .set_all("candidate_latency_ms", |_, _| "250".into())
        .set_all("stable_error", |_, _| "0".into())
        .set_all("candidate_error", |_, _| "0".into());
    let gate = "[[gates]]\nname = \"errors\"\nmetric = \"errors\"\nallow = \"1pp\"\n\n[rollout]";
    let report = report_of(&rows, &scenario(&[("[rollout]", gate)]));
    let named = report.rows("warnings").iter().filter(|row| row["code"] == "constant");
    let named: Vec<(&str, &str)> = named
        .map(|row| (row["where"].as_str().unwrap_or_default(), row["text"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(named.iter().map(|(place, _)| *place).collect::<Vec<_>>(), ["metric errors", "metric latency_p95"]);
    assert!(named[0].1.starts_with("every value of `errors` is 0"), "{named:?}");
}

#[test]
fn a_zero_denominator_is_named() {
    let rows = Rows::small().add("stable_tokens", |_| "0".into()).add("candidate_tokens", |_| "0".into());
    let text = scenario(&[("denominator = \"requests\"", "denominator = \"{version}_tokens\"")]);
    let report = report_of(&rows, &text);
    let (place, text) = report.warning("zero-denominator");
    assert_eq!(place, "metric cost");
    assert!(text.starts_with("the denominator of `cost` is 0 in every request of stable"), "{text}");
    gates(&report, "cost").for_each(assert_silent);
    assert!(report.rows("shadow").iter().all(|row| row["metric"] != "cost"), "no difference is made up");
}

#[test]
fn a_candidate_that_answered_nothing_is_refused() {
    let home = Home::small();
    let columns = ["quality", "error", "latency_ms", "cost_usd"].map(|column| format!("candidate_{column}"));
    let empty = |rows: Rows, column: &String| rows.set_all(column, |_, _| String::new());
    home.write("log.csv", columns.iter().fold(Rows::small(), empty).csv());
    home.refuses_log(
        "error: log.csv: no request has a candidate output: the candidate's columns are null in all 1200 rows\n\nhint: there is \
         nothing to compare before some requests were mirrored to the candidate; check the `column` of each metric\n",
    );
    // Who would be assigned does not depend on it.
    home.succeeds(&["assign", "log.csv", "--scenario", "s.toml", "--stage", "10%"]);
}

#[test]
fn a_metric_without_a_value_is_named() {
    let rows = Rows::small().set_all("candidate_quality", |_, _| String::new());
    let report = report_of(&rows, &scenario(&[]));
    let (place, text) = report.warning("no-values");
    assert_eq!(place, "metric quality");
    assert!(text.starts_with("no request has a value of `quality` for the candidate"), "{text}");
    // Only as recorded: in the other worlds the candidate is made from stable's values.
    for row in gates(&report, "quality") {
        let rates = &row["rates"]["recorded"];
        assert_eq!((rates["pass"]["share"].as_f64(), rates["fail"]["share"].as_f64()), (Some(0.0), Some(0.0)));
    }
}

#[test]
fn a_log_that_is_mostly_one_unit_is_named_and_gets_no_verdict() {
    let rows = Rows::small().set_all("user_id", |row, unit| if row % 10 < 7 { "giant".into() } else { unit.into() });
    let text = scenario(&[("[simulation]", "[simulation]\nresample = \"none\"")]);
    let report = report_of(&rows, &text);
    let (place, text) = report.warning("heavy-unit");
    assert_eq!(place, "log");
    assert!(text.starts_with("one unit sends 70.0 % of all requests"), "{text}");
    let few = report.rows("warnings").iter().find(|row| row["code"] == "few-units" && row["where"] == "gate quality");
    let text = few.and_then(|row| row["text"].as_str()).expect("a warning");
    assert!(text.starts_with("speaks from 3 units per arm"), "{text}");
    for row in gates(&report, "quality") {
        assert_eq!(row["with_data"]["share"], 0.0, "the arm of the giant is the giant: {row}");
    }
}
