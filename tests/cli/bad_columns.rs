//! Missing columns, wrong types, unknown keys, impossible schedules: all at once, with place and hint, before anything
//! is written.

use polars::prelude::*;

use crate::support::{Home, Rows, line_of, scenario};

#[test]
fn missing_columns() {
    let home = Home::small();
    let rows = Rows::small().rename("user_id", "userid").rename("stable_quality", "stable_qualty").without("region");
    home.write("log.csv", rows.csv());
    home.refuses_log(
        "error: log.csv: column `user_id`: does not exist, but the scenario names it in `assignment.unit`\n\n\
         hint: did you mean `userid`?\n\n\
         error: log.csv: column `region`: does not exist, but the scenario names it in `log.segments`\n\n\
         error: log.csv: column `stable_quality`: does not exist, but the scenario names it in `metrics.quality.column`\n\n\
         hint: did you mean `stable_qualty`? the log has the columns `ts`, `request_id`, `userid`, `stable_qualty`, `stable_error`, \
         `stable_latency_ms`, `stable_cost_usd`, `candidate_quality`, `candidate_error`, `candidate_latency_ms`, \
         `candidate_cost_usd`\n",
    );
}

#[test]
fn a_column_missing_from_one_of_many_files() {
    let home = Home::small();
    home.write("logs/1.csv", Rows::small().dropping(|row| row >= 600).csv());
    home.write("logs/2.csv", Rows::small().dropping(|row| row < 600).without("candidate_error").csv());
    let ran = home.run(&["logs", "--scenario", "s.toml"]);
    let expected = "error: logs/2.csv: column `candidate_error`: does not exist, but the scenario names it in `metrics.errors.column`\n";
    assert!(ran.code == Some(2) && ran.stderr.starts_with(expected), "{ran:?}");
}

#[test]
fn wrong_types() {
    let home = Home::small();
    let mut frame = CsvReader::new(std::io::Cursor::new(home.read("log.csv"))).finish().expect("reads");
    // The time stamps are text, which will do; quality becomes text and region a list.
    let quality = frame.column("stable_quality").and_then(|column| column.cast(&DataType::String)).expect("casts");
    frame.with_column(quality).expect("as long");
    let units = frame.column("stable_latency_ms").expect("a column").clone().with_name("user_id".into());
    frame.with_column(units).expect("as long");
    let file = std::fs::File::create(home.path("log.parquet")).expect("creates");
    ParquetWriter::new(file).finish(&mut frame).expect("writes");
    home.refuses(
        &["log.parquet", "--scenario", "s.toml"],
        "error: log.parquet: column `user_id`: holds numbers with decimals, and `assignment.unit` needs text or integers\n\n\
         hint: store ids as text or integers\n\n\
         error: log.parquet: column `stable_quality`: holds text, and `metrics.quality.column` needs numbers\n\n\
         hint: store the values as numbers; a value that was not measured is null\n",
    );
}

#[test]
fn text_where_a_number_should_be() {
    let home = Home::small();
    home.write("log.csv", Rows::small().set(41, "stable_latency_ms", "fast").csv());
    home.refuses_log(
        "error: log.csv: column `stable_latency_ms`, row 42: value `fast` is not a number\n\nhint: a value that was not measured is \
         null\n",
    );
}

#[test]
fn problems_of_a_scenario_all_at_once() {
    let home = Home::small();
    let text = scenario(&[
        ("slot = \"1h\"", "slto = \"1h\""),
        ("metric = \"cost\"", "metric = \"costs\""),
        ("exposure = \"50%\"", "exposure = \"5%\""),
        ("replicates = 10", "replicates = 0"),
    ]);
    home.write("s.toml", &text);
    let ran = home.run(&["log.csv", "--scenario", "s.toml"]);
    let lines =
        ["slto", "exposure = \"5%\"", "metric = \"costs\"", "replicates = 0"].map(|piece| line_of(&text, piece));
    let places: Vec<String> = lines.iter().map(|line| format!("error: s.toml:{line}: ")).collect();
    let found: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(found.len(), places.len(), "{}", ran.stderr);
    for (found, place) in found.iter().zip(&places) {
        assert!(found.starts_with(place), "{found} at {place}");
    }
    assert_eq!(home.names(), ["log.csv", "s.toml"]);
}

#[test]
fn an_unknown_key() {
    let home = Home::small();
    let text = scenario(&[("promote = \"no-fail\"", "promte = \"no-fail\"")]);
    home.write("s.toml", &text);
    home.refuses_log(&format!(
        "error: s.toml:{}: `rollout.promte` is not a key of the scenario language\n\nhint: did you mean `promote`? keys here: `approval`, \
         `budget`, `diagnose`, `false_rollback`, `kayenta`, `max_hold`, `max_pause`, `mitigate`, `pass_from`, `promote`, `resume`, `start`\n",
        line_of(&text, "promte")
    ));
}

#[test]
fn exposure_that_shrinks() {
    let home = Home::small();
    let text = scenario(&[("exposure = \"50%\"", "exposure = \"5%\"")]);
    home.write("s.toml", &text);
    home.refuses_log(&format!(
        "error: s.toml:{}: `stages[1].exposure` is 5 %, below the 10 % of the stage before it\n\nhint: exposure grows from stage to \
         stage; use 10 % or more, or reorder the stages\n",
        line_of(&text, "exposure = \"5%\"")
    ));
}

#[test]
fn an_effect_on_a_segment_value_that_the_log_does_not_have() {
    let home = Home::small();
    let effect = "[[effects]]\nname = \"worse\"\nmetric = \"quality\"\nscale = 0.9\nonly = { region = [\"eu\", \"ue\"] }\n\n[rollout]";
    let text = scenario(&[("[rollout]", effect)]);
    home.write("s.toml", &text);
    home.refuses_log(
        "error: s.toml: effect `worse`: `ue` is no value of segment column `region` in the log\n\nhint: did you mean `us`? The log \
         has `eu`, `us`\n",
    );
}

#[test]
fn a_flip_of_values_that_are_not_zero_or_one() {
    let home = Home::small();
    let effect = "[[effects]]\nname = \"worse\"\nmetric = \"errors\"\nflip = \"5%\"\n\n[rollout]";
    home.write("s.toml", scenario(&[("[rollout]", effect)]));
    home.write("log.csv", Rows::small().set(7, "stable_error", "0.5").csv());
    home.refuses_log(
        "error: s.toml: effect `worse`: metric `errors` has values between 0 and 1, which cannot flip\n\nhint: use `shift` or \
         `scale`, or a column of 0 and 1\n",
    );
}
