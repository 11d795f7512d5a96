//! The report's directory: whole or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::{Report, SCHEMA, figures, html, json, tables};
use crate::error::{Error, Problem, Result};

/// What a directory of ours holds, and how it is known to be ours.
pub(super) struct Form {
    /// What it consists of at its top.
    pub(super) entries: &'static [&'static str],
    /// The file that names the form.
    pub(super) json: &'static str,
    /// Name and version of the form there.
    pub(super) schema: &'static str,
}

/// A report.
const REPORT: Form =
    Form { entries: &["report.html", "report.json", "tables", "figures"], json: "report.json", schema: SCHEMA };
/// What a desktop may add by itself.
const IGNORED: [&str; 3] = [".DS_Store", "Thumbs.db", "desktop.ini"];

/// Checks that a report can be written to `out`, before the long run.
///
/// # Errors
/// `out` exists and is neither empty nor a report of this program, or its place cannot be written.
pub fn prepare(out: &Path) -> Result<()> {
    try_place(out, &REPORT)
}

/// Writes the report to `out`, replacing an earlier report there only when the new one is complete.
///
/// # Errors
/// As for [`prepare`]; also when a file cannot be written. What was at `out` is then still there.
pub fn write(report: &Report, out: &Path) -> Result<()> {
    write_files(&render(report)?, out, &REPORT)
}

/// Checks that files of a form can be written to `out`, and leaves nothing there.
pub(super) fn try_place(out: &Path, form: &'static Form) -> Result<()> {
    let missing: Vec<&Path> = out
        .ancestors()
        .skip(1)
        .filter(|on_the_way| !on_the_way.as_os_str().is_empty() && !on_the_way.exists())
        .collect();
    let tried = Place::find(out, form).and_then(|place| place.check_swap(&place.stage()?));
    // The run may yet be refused, and then leaves nothing behind.
    for directory in missing {
        let _ = fs::remove_dir(directory);
    }
    tried
}

/// Writes files to `out`: all or none.
pub(super) fn write_files(files: &[(PathBuf, Vec<u8>)], out: &Path, form: &'static Form) -> Result<()> {
    let place = Place::find(out, form)?;
    let staged = place.stage()?;
    let new = staged.path().join("new");
    for (name, bytes) in files {
        let path = new.join(name);
        save(&path, bytes).map_err(|e| cannot("write", &path, &e))?;
    }
    place.swap(staged, &new)
}

/// All files in memory, with their places inside the report.
fn render(report: &Report) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let (figures, (json, tables)) =
        rayon::join(|| figures::render(report), || (json::render(report), tables::render(report)));
    let figures = figures?;
    let mut files = vec![
        (PathBuf::from("report.html"), html::render(report, &figures)?.into_bytes()),
        (PathBuf::from("report.json"), json?),
    ];
    for (name, bytes) in tables? {
        files.push((Path::new("tables").join(name), bytes));
    }
    files.extend(figures.into_iter().flat_map(of_figure));
    Ok(files)
}

/// Both files of a figure.
pub(super) fn of_figure(figure: figures::Figure) -> [(PathBuf, Vec<u8>); 2] {
    let path = Path::new("figures").join(figure.name);
    [(path.with_extension("svg"), figure.svg.into_bytes()), (path.with_extension("png"), figure.png)]
}

fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    // Some file systems report a full disk only here.
    file.sync_all()
}

fn cannot(what: &str, path: &Path, e: &io::Error) -> Error {
    Error::at(path.display().to_string(), format!("cannot {what}: {e}"))
}

/// Where a report goes.
struct Place {
    out: PathBuf,
    parent: PathBuf,
    exists: bool,
}

impl Place {
    /// Resolves links, creates missing parents, and refuses what is not ours to replace.
    fn find(out: &Path, form: &'static Form) -> Result<Self> {
        let resolved = match fs::canonicalize(out) {
            Ok(path) => Some(path),
            Err(e) if e.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(out).is_err() => None,
            Err(e) => return Err(cannot("read", out, &e)),
        };
        if let Some(path) = resolved {
            refuse_foreign(&path, form)?;
            let parent = path.parent().map(Path::to_path_buf).ok_or_else(|| {
                Problem::new(out.display().to_string(), "is the root of a file system").hint("choose another --out")
            })?;
            return Ok(Self { out: path, parent, exists: true });
        }
        let name = out.file_name().ok_or_else(|| {
            Problem::new(out.display().to_string(), "does not name a directory").hint("choose another --out")
        })?;
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(|e| cannot("create", parent, &e))?;
        let parent = fs::canonicalize(parent).map_err(|e| cannot("read", parent, &e))?;
        Ok(Self { out: parent.join(name), parent, exists: false })
    }

    /// A directory beside `out`, on the same file system, removed when dropped.
    fn stage(&self) -> Result<TempDir> {
        tempfile::Builder::new().prefix(".replay-report-").tempdir_in(&self.parent).map_err(|e| {
            Problem::new(self.parent.display().to_string(), format!("cannot write here: {e}"))
                .hint("a report is completed beside its place and then moved there; choose an --out below a directory you can write")
                .into()
        })
    }

    /// Whether `out` may be moved away: a mount point may not. Moving onto a directory that is not empty always fails,
    /// and how it fails tells.
    fn check_swap(&self, staged: &TempDir) -> Result<()> {
        if !self.exists || cfg!(not(unix)) {
            return Ok(());
        }
        let probe = staged.path().join("probe");
        fs::create_dir_all(probe.join("full")).map_err(|e| cannot("write", &probe, &e))?;
        match fs::rename(&self.out, &probe) {
            Err(e) if matches!(e.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => Ok(()),
            Err(e) => Err(self.immovable(&e)),
            Ok(()) => fs::rename(&probe, &self.out).map_err(|e| cannot("restore", &self.out, &e)),
        }
    }

    fn immovable(&self, e: &io::Error) -> Error {
        Problem::new(self.out.display().to_string(), format!("cannot be replaced: {e}"))
            .hint("if it is a mount point, choose a directory below it as --out")
            .into()
    }

    /// Moves the earlier report aside and the new one in; puts the earlier one back if that fails.
    fn swap(&self, staged: TempDir, new: &Path) -> Result<()> {
        let old = staged.path().join("old");
        if self.exists {
            fs::rename(&self.out, &old).map_err(|e| self.immovable(&e))?;
        }
        let Err(e) = fs::rename(new, &self.out) else { return Ok(()) };
        if self.exists && fs::rename(&old, &self.out).is_err() {
            let kept = staged.keep().join("old");
            return Err(Problem::new(self.out.display().to_string(), format!("cannot be replaced: {e}"))
                .hint(format!("the earlier report is now `{}`", kept.display()))
                .into());
        }
        Err(cannot("write", &self.out, &e))
    }
}

/// A directory with anything in it that no report holds is not replaced.
fn refuse_foreign(path: &Path, form: &Form) -> Result<()> {
    let refuse = |message: String| -> Error {
        Problem::new(path.display().to_string(), message).hint("choose another --out").into()
    };
    if !path.is_dir() {
        return Err(refuse("exists and is not a directory".to_owned()));
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(|e| cannot("read", path, &e))? {
        let name = entry.map_err(|e| cannot("read", path, &e))?.file_name().to_string_lossy().into_owned();
        if !IGNORED.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort();
    if names.is_empty() {
        return Ok(());
    }
    if let Some(name) = names.iter().find(|name| !form.entries.contains(&name.as_str())) {
        return Err(refuse(format!("exists and holds `{name}`, which is not part of a report")));
    }
    let ours = fs::read(path.join(form.json))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .is_some_and(|json| json["schema"].as_str().is_some_and(|schema| is_ours(schema, form)));
    if ours { Ok(()) } else { Err(refuse("exists, is not empty and holds no report of replay".to_owned())) }
}

/// Any version of our form: an older report may be replaced.
fn is_ours(schema: &str, form: &Form) -> bool {
    let family = form.schema.split('/').next().unwrap_or(form.schema);
    schema.strip_prefix(family).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::report::{sample, sample::hostile};

    /// Every file below a directory, with its bytes.
    fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut open = vec![root.to_path_buf()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(root).expect("below the root").to_path_buf();
                    found.insert(name, fs::read(&path).expect("a file"));
                }
            }
        }
        found
    }

    #[test]
    fn a_report_replaces_an_earlier_one_and_nothing_else_is_left() {
        let home = tempfile::tempdir().expect("a directory");
        let out = home.path().join("missing/parent/report");
        prepare(&out).expect("can be written");
        assert!(!out.exists(), "preparing writes nothing");
        write(&hostile(), &out).expect("writes");
        write(&sample(), &out).expect("replaces");
        let first = files(&out);
        write(&sample(), &out).expect("replaces");
        assert_eq!(first, files(&out), "the same bytes");
        assert_eq!(first.len(), 2 + 2 * 18 + 2 * 10);
        assert!(first.values().all(|bytes| !bytes.is_empty()));
        assert_eq!(fs::read_dir(out.parent().expect("has one")).expect("a directory").count(), 1);
        prepare(&out).expect("may be replaced");
        assert_eq!(first, files(&out), "preparing keeps the earlier report");
    }

    #[test]
    fn foreign_places_are_refused_and_kept() {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join("file");
        fs::write(&file, "mine").expect("writes");
        let foreign = home.path().join("foreign");
        fs::create_dir(&foreign).expect("creates");
        fs::write(foreign.join("report.json"), "{\"schema\": \"other/1\"}").expect("writes");
        let mixed = home.path().join("mixed");
        write(&sample(), &mixed).expect("writes");
        fs::write(mixed.join("notes.md"), "mine").expect("writes");
        for (place, says) in [(&file, "not a directory"), (&foreign, "no report of replay"), (&mixed, "`notes.md`")] {
            let before = if place.is_dir() { files(place) } else { BTreeMap::new() };
            for result in [prepare(place), write(&sample(), place)] {
                let error = result.expect_err("is refused").to_string();
                assert!(error.contains(says) && error.contains("choose another --out"), "{error}");
            }
            assert_eq!(before, if place.is_dir() { files(place) } else { BTreeMap::new() });
        }
        assert_eq!(fs::read(&file).expect("is there"), b"mine");
        let below_a_file = prepare(&file.join("report")).expect_err("is refused").to_string();
        assert!(below_a_file.contains("file"), "{below_a_file}");
    }

    #[test]
    fn an_empty_directory_is_taken() {
        let home = tempfile::tempdir().expect("a directory");
        prepare(home.path()).expect("may be replaced");
        let out = home.path().join("empty");
        fs::create_dir(&out).expect("creates");
        write(&sample(), &out).expect("writes");
        assert!(out.join("report.html").is_file());
    }

    #[test]
    fn a_failing_swap_keeps_the_earlier_report() {
        let home = tempfile::tempdir().expect("a directory");
        let out = home.path().join("report");
        write(&sample(), &out).expect("writes");
        let before = files(&out);
        let place = Place::find(&out, &REPORT).expect("is ours");
        let staged = place.stage().expect("is writable");
        let new = staged.path().join("never made");
        let error = place.swap(staged, &new).expect_err("cannot move").to_string();
        assert!(error.contains("cannot write"), "{error}");
        assert_eq!(before, files(&out));
        assert_eq!(fs::read_dir(home.path()).expect("a directory").count(), 1, "nothing else is left");
    }
}
