//! What flag platforms and proxies answer for one unit. `bucketing/` has a file for each algorithm; its `sources` say which program
//! gave or confirmed the values.

use std::path::Path;

use replay::assign::platforms;
use replay::assign::values::Values;
use serde_json::Value;

/// Where each algorithm has the unit among its inputs.
const UNITS: [&str; 13] = [
    "unit",
    "subject",
    "value",
    "identifier",
    "targeting_key",
    "entity_id",
    "bucketing_id",
    "attribute_value",
    "string",
    "header_value",
    "randomization_id",
    "bucketing_key",
    "actor",
];

struct Case {
    platform: String,
    inputs: Vec<(String, Value)>,
    expected: Value,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/bucketing");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("part of the repository")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    let read = |path: &std::path::PathBuf| -> Vec<Case> {
        let file: Value = serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON");
        let platform = file["platform"].as_str().expect("a name");
        let inputs = |case: &Value| case["inputs"].as_object().expect("a table").clone().into_iter().collect();
        let case = |case: &Value| Case {
            platform: platform.to_owned(),
            inputs: inputs(case),
            expected: case["expected"].clone(),
        };
        file["cases"].as_array().expect("a list").iter().map(case).collect()
    };
    files.iter().flat_map(read).collect()
}

/// As a user writes it: texts as they are, everything else as JSON; what flagd buckets by may be either.
fn written(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) if name != "bucket_by" || serde_json::from_str::<Value>(text).is_err() => text.clone(),
        other => other.to_string(),
    }
}

/// Holds an answer against what is expected: every name, floats bit for bit.
fn check(case: &Case, values: Values) {
    let shown = || format!("{} {:?}", case.platform, case.inputs);
    let answer = platforms::answer(&case.platform, values).unwrap_or_else(|| panic!("{} is not known", case.platform));
    let answer = answer.unwrap_or_else(|troubles| panic!("{}: {troubles:?}", shown()));
    for (name, expected) in case.expected.as_object().expect("a table") {
        assert!(answer.get(name).is_some(), "{}: no {name}", shown());
        if name == "ranges" {
            assert!(close(&answer[name], expected), "{}: {name} is {}, expected {expected}", shown(), answer[name]);
            continue;
        }
        // The reader of JSON may be off in the last bit, so both go through it; whole numbers may be written as `5.0`.
        let read: Value = serde_json::from_str(&answer[name].to_string()).expect("JSON");
        let same = read == *expected || (read.is_number() && read.as_f64() == expected.as_f64());
        assert!(same, "{}: {name} is {read}, expected {expected}", shown());
    }
}

/// The platform's own cases of ranges are rounded.
fn close(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b)),
        (a, b) => a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() <= 1e-6),
    }
}

#[test]
fn every_case_of_every_platform() {
    let cases = cases();
    assert_eq!(cases.len(), 585);
    let mut platforms: Vec<&str> = cases.iter().map(|case| case.platform.as_str()).collect();
    platforms.dedup();
    assert_eq!(platforms.len(), 24);
    // `md5-mod100` is `naive_md5_mod` of a scenario.
    let known: Vec<&str> = platforms::names().filter(|name| *name != "md5-mod100").collect();
    assert_eq!(platforms, known);
    for case in &cases {
        check(case, Values::of(case.inputs.iter().map(|(name, value)| (name.clone(), written(name, value)))));
    }
}

/// The same with the unit beside the other values, where it is a text of its own.
#[test]
fn the_unit_may_stand_beside_the_other_values() {
    let mut asked = 0;
    for case in &cases() {
        let is_unit = |name: &str| UNITS.contains(&name) || (name == "key" && case.platform.starts_with("split"));
        let Some((_, unit)) = case.inputs.iter().find(|(name, _)| is_unit(name)) else { continue };
        // Which kind of answer is wanted, the name of the input says there.
        if case.inputs.iter().any(|(name, _)| name == "header_value") {
            continue;
        }
        let others = case.inputs.iter().filter(|(name, _)| !is_unit(name));
        let values = Values::of(others.map(|(name, value)| (name.clone(), written(name, value))));
        check(case, values.with_unit(unit.as_str().map(str::to_owned)));
        asked += 1;
    }
    assert!(asked > 400, "{asked}");
}
