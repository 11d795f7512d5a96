//! Where a single file goes, tried before the work starts.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use crate::digest::file::temporary_file;
use crate::error::{Error, Problem, Result};
use crate::report::tables::Form;

/// Checks that `out` can be written: a new file, or one to replace.
pub(super) fn prepare(out: &Path) -> Result<()> {
    let place = out.display().to_string();
    // A file that is complete is moved to its place. On a device that would replace the device.
    if fs::metadata(out).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Problem::new(place, "exists and is not a file").hint("choose another --out").into());
    }
    match tempfile::tempfile_in(directory(out)) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::at(place, format!("cannot be written: {error}"))),
    }
}

fn directory(out: &Path) -> &Path {
    out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// How a table is written, by the name of its file.
pub(super) fn form(out: &Path) -> Result<Form> {
    let extension = out.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    match extension.as_deref() {
        Some("csv") => Ok(Form::Csv),
        Some("parquet") => Ok(Form::Parquet),
        _ => Err(Problem::new(out.display().to_string(), "is neither CSV nor Parquet")
            .hint("end the name in `.csv` or `.parquet`")
            .into()),
    }
}

/// Writes a file: whole or not at all.
pub(super) fn write(out: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: std::io::Error| Error::at(out.display().to_string(), format!("cannot be written: {error}"));
    let mut file = temporary_file(directory(out)).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(out).map_err(|error| failed(error.error))?;
    Ok(())
}
