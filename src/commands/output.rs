//! Where a single file goes, tried before the work starts.

use std::fs;
use std::path::Path;

use crate::error::{Error, Problem, Result};

/// Checks that `out` can be written: a new file, or one to replace.
pub(super) fn prepare(out: &Path) -> Result<()> {
    let place = out.display().to_string();
    // A file that is complete is moved to its place. On a device that would replace the device.
    if fs::metadata(out).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Problem::new(place, "exists and is not a file").hint("choose another --out").into());
    }
    let directory = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match tempfile::tempfile_in(directory) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::at(place, format!("cannot be written: {error}"))),
    }
}
