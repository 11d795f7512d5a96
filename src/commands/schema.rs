//! `replay schema`: the JSON Schema of a file form.

use serde_json::Value;

use super::answer;
use crate::cli::Form;
use crate::error::Result;
use crate::{report, scenario};

pub(super) fn run(form: Form) -> Result<u8> {
    print(&match form {
        Form::Report => report::schema(),
        Form::Comparison => report::comparison::schema(),
        Form::Strategies => report::strategies::schema(),
        Form::Plan => report::plan::schema(),
        Form::Scenario => scenario::schema::json_schema(),
    })
}

pub(super) fn print(schema: &Value) -> Result<u8> {
    answer(&format!("{schema:#}\n"))
}
