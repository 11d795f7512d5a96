//! The plan's directory: whole or not at all.

use std::path::{Path, PathBuf};

use super::{Plan, SCHEMA, columns};
use crate::error::Result;
use crate::report::write::{Form, of_figure, try_place, write_files};
use crate::report::{figures, html, json, tables};

const FORM: Form = Form {
    entries: &["plan.html", "plan.json", "plan.toml", "nearest.toml", "tables", "figures"],
    json: "plan.json",
    schema: SCHEMA,
};

/// Checks that a plan can be written to `out`, before the long run.
///
/// # Errors
/// `out` exists and is neither empty nor a plan of this program, or its place cannot be written.
pub fn prepare(out: &Path) -> Result<()> {
    try_place(out, &FORM)
}

/// Writes the plan to `out`, replacing an earlier one there only when the new one is complete.
///
/// # Errors
/// As for [`prepare`]; also when a file cannot be written. What was at `out` is then still there.
pub fn write(plan: &Plan, out: &Path) -> Result<()> {
    let figure = figures::plan(plan)?;
    let scenario = if plan.feasible { "plan.toml" } else { "nearest.toml" };
    let mut files = vec![
        (PathBuf::from("plan.html"), html::plan::render(plan, &figure)?.into_bytes()),
        (PathBuf::from("plan.json"), json::of(plan, "plan.json")?),
        (PathBuf::from(scenario), plan.chosen.text.clone().into_bytes()),
    ];
    for (name, bytes) in tables::files(columns::all(plan))? {
        files.push((Path::new("tables").join(name), bytes));
    }
    files.extend(of_figure(figure));
    write_files(&files, out, &FORM)
}
