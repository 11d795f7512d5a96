//! `[log] join`: outputs in files of their own.

use std::path::Path;

use super::super::Join;
use super::super::places::At;
use super::super::problems::Problems;
use super::super::wire;
use super::Form;
use crate::domain::version::PerVersion;

/// The key, and the files, whose paths are relative to the scenario's directory.
pub(super) fn read(
    written: &wire::Join,
    form: Form,
    scenario: &Path,
    at: &At,
    problems: &mut Problems,
) -> Option<Join> {
    if form == Form::Long {
        let message = format!("`{}` beside `log.version`, with which the log has every outcome", problems.name(at));
        return problems.add(at, message, "keep one of the two");
    }
    let files = [("stable", &written.stable), ("candidate", &written.candidate)];
    if files.iter().all(|(key, file)| file.is_none() && !problems.is_broken(&at.key(key))) {
        return problems.missing(
            &at.key("candidate"),
            "`candidate = \"candidate.parquet\"`: where its outputs are; `stable` too, unless they are columns of the log",
        );
    }
    let beside = |file: &Option<String>| {
        let path = file.as_ref().map(|file| scenario.parent().unwrap_or(Path::new("")).join(file));
        path.map(|path| path.display().to_string())
    };
    // A key that is missing has been reported.
    let files = PerVersion { stable: beside(&written.stable), candidate: beside(&written.candidate) };
    Some(Join { on: written.on.clone()?, files })
}
