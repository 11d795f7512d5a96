//! Reads the cases and holds values against them.

use serde_json::Value;

/// One reference case.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) inputs: Value,
    pub(crate) expected: Value,
    tolerance_absolute: f64,
    tolerance_relative: f64,
}

/// All cases of `stats.json`.
pub(crate) fn all() -> Vec<Case> {
    let file: Value = serde_json::from_str(include_str!("stats.json")).expect("the vectors are JSON");
    let text = |case: &Value, key: &str| case[key].as_str().expect("a text").to_owned();
    let cases = file["cases"].as_array().expect("a list of cases").iter();
    let read = |case: &Value| Case {
        id: text(case, "id"),
        kind: text(case, "kind"),
        inputs: case["inputs"].clone(),
        expected: case["expected"].clone(),
        tolerance_absolute: case["tol"]["abs"].as_f64().unwrap_or(0.0),
        tolerance_relative: case["tol"]["rel"].as_f64().unwrap_or(0.0),
    };
    cases.map(read).collect()
}

/// The cases of one kind; there is at least one.
pub(crate) fn of_kind(kind: &str) -> Vec<Case> {
    let cases: Vec<Case> = all().into_iter().filter(|case| case.kind == kind).collect();
    assert!(!cases.is_empty(), "no case of kind `{kind}`");
    cases
}

impl Case {
    /// A number among the inputs.
    pub(crate) fn number(&self, key: &str) -> f64 {
        number(&self.inputs[key]).unwrap_or_else(|| panic!("{}: input `{key}` is no number", self.id))
    }

    /// A list of numbers among the inputs.
    pub(crate) fn numbers(&self, key: &str) -> Vec<f64> {
        numbers(&self.inputs[key])
    }

    /// Holds a value against the expected one of a key.
    pub(crate) fn check(&self, key: &str, found: f64) {
        self.check_value(key, &self.expected[key], found);
    }

    /// Holds a list of values against the expected list of a key.
    pub(crate) fn check_all(&self, key: &str, found: &[f64]) {
        let expected = self.expected[key].as_array().unwrap_or_else(|| panic!("{}: `{key}` is no list", self.id));
        assert_eq!(expected.len(), found.len(), "{}: `{key}`", self.id);
        for (expected, &found) in expected.iter().zip(found) {
            self.check_value(key, expected, found);
        }
    }

    /// Holds a value against an expected one; null among the vectors is unreachable, positive infinity.
    pub(crate) fn check_value(&self, what: &str, expected: &Value, found: f64) {
        let expected = number(expected).unwrap_or_else(|| panic!("{}: no expected `{what}`", self.id));
        let error = (found - expected).abs();
        let within =
            // Infinities have no distance.
            found.total_cmp(&expected).is_eq() || error <= self.tolerance_absolute || error <= self.tolerance_relative * expected.abs();
        assert!(within, "{} ({}): `{what}` is {found}, expected {expected}", self.id, self.kind);
    }
}

/// A number as the vectors write it.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => Some(f64::INFINITY),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::String(text) if text == "inf" => Some(f64::INFINITY),
        Value::String(text) if text == "-inf" => Some(f64::NEG_INFINITY),
        other => other.as_f64(),
    }
}

/// A list of numbers as the vectors write it.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().into_iter().flatten().filter_map(number).collect()
}
