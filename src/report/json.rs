//! `report.json` and its schema.

use serde::Serialize;
use serde_json::Value;

use super::{Report, SCHEMA};
use crate::error::{Error, Result};

/// The report as indented JSON. A number that is not finite has no place in JSON and becomes null.
pub(super) fn render(report: &Report) -> Result<Vec<u8>> {
    of(report, "report.json")
}

/// Anything as indented JSON; the file's name is for messages.
pub(super) fn of(value: &impl Serialize, name: &str) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| Error::at(name, format!("cannot write: {e}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// JSON Schema of `report.json`.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Report).to_value();
    schema["title"] = Value::from(format!("Report of replay, form {SCHEMA}"));
    schema["properties"]["schema"]["const"] = Value::from(SCHEMA);
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{sample, sample::hostile};

    #[test]
    fn reports_follow_their_own_schema() {
        let validator = jsonschema::validator_for(&schema()).expect("a valid schema");
        for report in [sample(), hostile()] {
            let value: Value = serde_json::from_slice(&render(&report).expect("renders")).expect("JSON");
            assert!(validator.is_valid(&value), "{:?}", validator.iter_errors(&value).next());
        }
    }

    #[test]
    fn numbers_that_are_not_finite_become_null() {
        let mut report = sample();
        report.worlds[0].exposed_units.mean = f64::NAN;
        let value: Value = serde_json::from_slice(&render(&report).expect("renders")).expect("JSON");
        assert!(value["worlds"][0]["exposed_units"]["mean"].is_null());
        assert_eq!(value["schema"], SCHEMA);
    }
}
