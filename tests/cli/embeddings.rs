//! Embeddings in a log: lists or text, what is wrong with them, and what the report says of their distance.

use std::fs::File;

use polars::prelude::*;

use crate::support::{Home, Report, Rows, assert_close, repository, scenario};

const FEW: &[&str] = &["--replicates", "40"];

fn log() -> String {
    repository("datasets/embeddings.parquet").display().to_string()
}

fn shipped() -> String {
    std::fs::read_to_string(repository("scenarios/embeddings.toml")).expect("part of the repository")
}

/// The bundled log with embeddings in another form.
fn rewritten(home: &Home, name: &str, form: impl Fn(&Column) -> Column) {
    let file = File::open(log()).expect("part of the repository");
    let mut frame = ParquetReader::new(file).finish().expect("a log");
    for version in ["stable_embedding", "candidate_embedding"] {
        let column = form(frame.column(version).expect("a column"));
        frame.with_column(column.with_name(version.into())).expect("as long");
    }
    ParquetWriter::new(File::create(home.path(name)).expect("a new file")).finish(&mut frame).expect("written");
}

fn as_text(column: &Column) -> Column {
    let lists = column.list().expect("lists").amortized_iter().map(|list| {
        let list = list?;
        let numbers: Vec<String> =
            list.as_ref().f32().expect("numbers").iter().map(|x| f64::from(x.unwrap()).to_string()).collect();
        Some(format!("[{}]", numbers.join(", ")))
    });
    Column::new("text".into(), lists.collect::<Vec<Option<String>>>())
}

#[test]
fn lists_and_text_give_the_same_report() {
    let home = Home::new();
    home.write("s.toml", shipped());
    let lists = home.report(&log(), "s.toml", FEW, "lists");
    rewritten(&home, "text.parquet", as_text);
    let text = home.report("text.parquet", "s.toml", FEW, "text");
    assert_close(&lists.findings(), &text.findings(), 1e-9);
    let array = DataType::Array(Box::new(DataType::Float64), 12);
    rewritten(&home, "array.parquet", |column| column.cast(&array).expect("lists of twelve"));
    assert_close(&lists.findings(), &home.report("array.parquet", "s.toml", FEW, "array").findings(), 1e-9);
    // A digest keeps the features, and is that of these features only.
    home.succeeds(&["digest", &log(), "--scenario", "s.toml", "-o", "digest.parquet"]);
    let digest = home.report("digest.parquet", "s.toml", FEW, "digest");
    assert_eq!(digest.rows("worlds"), lists.rows("worlds"));
    home.write("wider.toml", shipped().replacen("bandwidth = 1.0", "bandwidth = 2.0", 1));
    let ran = home.run(&["digest.parquet", "--scenario", "wider.toml", "--out", "wider"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("answers"), "{ran:?}");
}

#[test]
fn the_report_knows_the_metric_not_its_features() {
    let home = Home::new();
    home.write("s.toml", shipped());
    let report = home.report(&log(), "s.toml", FEW, "out");
    let names: Vec<&str> = report.rows("metrics").iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, ["quality", "answers"]);
    for name in [".html", ".json", ".csv", ".svg"].into_iter().flat_map(|ending| report.with_ending(ending)) {
        assert!(!report.text(name).contains("feature 2"), "{name}");
    }
    let gate = |report: &Report, gate: &str, stage: &str| {
        let is_it = |row: &&serde_json::Value| row["gate"] == gate && row["stage"] == stage && row["segment"].is_null();
        report.rows("gates").iter().find(is_it).expect("the gate").clone()
    };
    // 8 % of answers are of another kind.
    let found = gate(&report, "any drift", "50%")["difference"].as_f64().expect("a distance");
    assert!((0.05..0.15).contains(&found), "{found}");
    assert!(report.world("recorded")["rolled_back"]["share"].as_f64().expect("a share") > 0.8);
}

#[test]
fn what_is_no_embedding_is_refused() {
    let home = Home::new();
    let metric = "[metrics.answers]\nkind = \"drift\"\ncolumn = \"{version}_answer\"\nfeatures = 4\n\n";
    home.write("s.toml", scenario(&[("[metrics.quality]", &format!("{metric}[metrics.quality]"))]));
    let row = |row: usize, wrong: usize, text: &str| if row == wrong { text.into() } else { format!("[{row}, 0.5]") };
    let rows = Rows::small()
        .add("stable_answer", move |at| row(at, 7, "[1]"))
        .add("candidate_answer", move |at| row(at, 9, "[1, x]"));
    home.write("log.csv", rows.csv());
    let hint = "hint: the embeddings of a metric come from one model, so that they have as many numbers each, all of them finite; one that \
                was not computed is null\n";
    home.refuses_log(&format!(
        "error: log.csv: column `stable_answer`, row 8: value is not a list of 2 numbers, as the first one is\n\n{hint}\n\
         error: log.csv: column `candidate_answer`, row 10: value is not a list of 2 numbers, as the first one is\n\n{hint}",
    ));
}

#[test]
fn columns_and_kinds_must_fit() {
    let home = Home::new();
    let numbers = shipped().replacen("{version}_embedding", "{version}_quality", 1);
    home.write("s.toml", numbers);
    let ran = home.run(&[&log(), "--scenario", "s.toml"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("`metrics.answers.column` needs lists of numbers"), "{ran:?}");
    let lists = shipped().replacen("{version}_quality", "{version}_embedding", 1);
    home.write("s.toml", lists);
    let ran = home.run(&[&log(), "--scenario", "s.toml"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("`metrics.quality.column` needs numbers"), "{ran:?}");
    assert!(ran.stderr.contains("`features`"), "{ran:?}");
}

#[test]
fn a_bandwidth_that_sees_nothing_is_warned_of() {
    let home = Home::new();
    for (bandwidth, remedy) in [("0.02", "a larger"), ("50", "a smaller")] {
        home.write("s.toml", shipped().replacen("bandwidth = 1.0", &format!("bandwidth = {bandwidth}"), 1));
        let report = home.report(&log(), "s.toml", &["--replicates", "10"], bandwidth);
        let (place, text) = report.warning("bandwidth");
        assert!(place == "metric answers" && text.contains(remedy), "{text}");
    }
    home.write("s.toml", shipped());
    assert!(!home.report(&log(), "s.toml", &["--replicates", "10"], "out").warnings().contains(&"bandwidth"));
}
