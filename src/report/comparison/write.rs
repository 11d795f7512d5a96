//! The comparison's directory: whole or not at all.

use std::path::{Path, PathBuf};

use super::{Comparison, SCHEMA, columns};
use crate::error::Result;
use crate::report::write::{Form, of_figure, try_place, write_files};
use crate::report::{figures, html, json, tables};

const FORM: Form =
    Form { entries: &["compare.html", "compare.json", "tables", "figures"], json: "compare.json", schema: SCHEMA };

/// Checks that a comparison can be written to `out`, before the long run.
///
/// # Errors
/// `out` exists and is neither empty nor a comparison of this program, or its place cannot be written.
pub fn prepare(out: &Path) -> Result<()> {
    try_place(out, &FORM)
}

/// Writes the comparison to `out`, replacing an earlier one there only when the new one is complete.
///
/// # Errors
/// As for [`prepare`]; also when a file cannot be written. What was at `out` is then still there.
pub fn write(comparison: &Comparison, out: &Path) -> Result<()> {
    let figure = figures::pareto(comparison)?;
    let mut files = vec![
        (PathBuf::from("compare.html"), html::comparison::render(comparison, &figure)?.into_bytes()),
        (PathBuf::from("compare.json"), json::of(comparison, "compare.json")?),
    ];
    for (name, bytes) in tables::files(columns::all(comparison))? {
        files.push((Path::new("tables").join(name), bytes));
    }
    files.extend(of_figure(figure));
    write_files(&files, out, &FORM)
}
