//! Which files a log is: one file, the matches of a pattern, or what lies below a directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Problem, Result};

/// How a file is read, known by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Format {
    Parquet,
    Csv,
    Ndjson,
    Ipc,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" | "json" => Some(Self::Ndjson),
            "arrow" | "ipc" | "feather" => Some(Self::Ipc),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::Csv => "CSV",
            Self::Ndjson => "NDJSON",
            Self::Ipc => "Arrow IPC",
        }
    }

    /// Whether every value arrives as text, to be parsed here.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Ndjson)
    }
}

/// The files of a log, in the order of their paths; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) format: Format,
    pub(crate) files: Vec<LogFile>,
}

/// One file, and what the names of its directories say of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    /// `region=eu/part-0.parquet` gives every row the region `eu`; `None` is a null.
    pub(crate) partition: BTreeMap<String, Option<String>>,
}

impl LogFile {
    /// For messages.
    pub(crate) fn place(&self) -> String {
        self.path.display().to_string()
    }
}

const FORMATS: &str =
    "a log is Parquet (.parquet), CSV (.csv), NDJSON (.ndjson, .jsonl, .json) or Arrow IPC (.arrow, .ipc, .feather)";

/// Finds the files that `path` names.
pub(crate) fn list(path: &str) -> Result<Files> {
    let given = Path::new(path);
    let (base, found) = match fs::metadata(given) {
        Ok(metadata) if metadata.is_dir() => {
            let mut found = Vec::new();
            walk(given, &mut found)?;
            found.retain(|file| Format::of(file).is_some());
            if found.is_empty() {
                return Err(Problem::new(path, "the directory holds no log").hint(FORMATS).into());
            }
            (given.to_owned(), found)
        }
        Ok(_) => (given.parent().unwrap_or(given).to_owned(), vec![given.to_owned()]),
        Err(_) if path.contains(['*', '?']) => {
            let (base, found) = matches(path)?;
            if found.is_empty() {
                return Err(Problem::new(path, "no file matches the pattern")
                    .hint("`*` and `?` stand for a part of one name, `**` for any number of directories")
                    .into());
            }
            (base, found)
        }
        Err(error) => return Err(Error::unreadable(given, &error)),
    };
    of_one_format(path, &base, found)
}

fn of_one_format(path: &str, base: &Path, mut found: Vec<PathBuf>) -> Result<Files> {
    found.sort();
    let mut formats: BTreeMap<Format, &Path> = BTreeMap::new();
    for file in &found {
        let Some(format) = Format::of(file) else {
            let message = "is not a kind of log that is known by its name";
            return Err(Problem::new(file.display().to_string(), message).hint(FORMATS).into());
        };
        formats.entry(format).or_insert(file);
    }
    if formats.len() > 1 {
        let kinds: Vec<String> =
            formats.iter().map(|(format, file)| format!("{} (`{}`)", format.name(), file.display())).collect();
        return Err(Problem::new(path, format!("holds files of several kinds: {}", kinds.join(", ")))
            .hint("name the files of one kind by a pattern, such as `logs/*.parquet`")
            .into());
    }
    let format = *formats.keys().next().expect("at least one file was found");
    let files = found.into_iter().map(|path| LogFile { partition: partition(base, &path), path }).collect();
    Ok(Files { format, files })
}

/// Files below a directory. Names that begin with `.` or `_` are bookkeeping of the programs that write logs.
fn walk(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for (path, is_directory) in entries(directory)? {
        if is_directory {
            walk(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

fn entries(directory: &Path) -> Result<Vec<(PathBuf, bool)>> {
    let failed = |error: std::io::Error| Error::unreadable(directory, &error);
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(['.', '_']) {
            continue;
        }
        // The type of the entry itself: a link to a directory is not followed, so that a circle of links ends.
        let is_directory = entry.file_type().map_err(failed)?.is_dir();
        entries.push((entry.path(), is_directory));
    }
    Ok(entries)
}

/// Files that match a pattern, and the directory below which it begins.
fn matches(pattern: &str) -> Result<(PathBuf, Vec<PathBuf>)> {
    let parts: Vec<Component> = Path::new(pattern).components().collect();
    let is_pattern = |part: &Component| part.as_os_str().to_string_lossy().contains(['*', '?']);
    let fixed = parts.iter().position(is_pattern).unwrap_or(parts.len());
    let base: PathBuf = parts[..fixed].iter().collect();
    let start = if base.as_os_str().is_empty() { PathBuf::from(".") } else { base.clone() };
    let patterns: Vec<String> =
        parts[fixed..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let mut found = Vec::new();
    if start.is_dir() {
        search(&start, &base, &patterns, &mut found)?;
    }
    found.sort();
    found.dedup();
    Ok((base, found))
}

/// `shown` is `directory` as the user wrote it: without a leading `./`.
fn search(directory: &Path, shown: &Path, patterns: &[String], found: &mut Vec<PathBuf>) -> Result<()> {
    let Some((first, rest)) = patterns.split_first() else { return Ok(()) };
    if first == "**" {
        search(directory, shown, rest, found)?;
    }
    for (path, _) in entries(directory)? {
        let Some(name) = path.file_name() else { continue };
        let shown = shown.join(name);
        if first == "**" {
            if path.is_dir() && !path.is_symlink() {
                search(&path, &shown, patterns, found)?;
            } else if rest.is_empty() && path.is_file() {
                found.push(shown);
            }
        } else if is_match(first.as_bytes(), name.to_string_lossy().as_bytes()) {
            if rest.is_empty() && path.is_file() {
                found.push(shown);
            } else if path.is_dir() {
                search(&path, &shown, rest, found)?;
            }
        }
    }
    Ok(())
}

/// `*` is any text, `?` any one byte. On a mismatch only the last `*` is stretched: that is enough, and takes no more
/// than `pattern.len() * name.len()` steps.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// `key=value` directories between `base` and the file.
fn partition(base: &Path, file: &Path) -> BTreeMap<String, Option<String>> {
    let Some(directory) = file.strip_prefix(base).ok().and_then(Path::parent) else { return BTreeMap::new() };
    directory
        .components()
        .filter_map(|part| {
            let text = part.as_os_str().to_str()?;
            let (key, value) = text.split_once('=')?;
            let value = (value != "__HIVE_DEFAULT_PARTITION__").then(|| percent_decoded(value));
            Some((percent_decoded(key), value))
        })
        .collect()
}

/// Hive writes characters that a file system may refuse as `%` and two hexadecimal digits.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let code = (byte == b'%').then(|| tail.get(..2)).flatten().and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    fn message(path: &str) -> Problem {
        list(path).unwrap_err().problems.remove(0)
    }

    #[test]
    fn directories_patterns_and_partitions() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in ["day=1/region=e%2Fu/a.csv", "day=2/region=__HIVE_DEFAULT_PARTITION__/b.csv", "_SUCCESS", ".x.csv"]
        {
            touch(&root.join(name));
        }
        touch(&root.join("readme.md"));
        let all = list(root.to_str().unwrap()).unwrap();
        assert_eq!(all.format, Format::Csv);
        let partitions: Vec<_> = all.files.iter().map(|file| file.partition["region"].as_deref()).collect();
        assert_eq!(partitions, [Some("e/u"), None]);
        for (pattern, count) in [("**/*.csv", 2), ("day=?/*/*.csv", 2), ("day=1/**", 1), ("**", 3)] {
            let found = matches(&format!("{}/{pattern}", root.display())).unwrap().1;
            assert_eq!(found.len(), count, "{pattern}: {found:?}");
        }
        assert_eq!(list(&format!("{}/day=1/*/*.csv", root.display())).unwrap().files.len(), 1);
    }

    #[test]
    fn what_is_no_log_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_str().unwrap();
        assert_eq!(message(root).message, "the directory holds no log");
        touch(&directory.path().join("a.csv"));
        touch(&directory.path().join("b.parquet"));
        assert_eq!(
            message(root).message,
            format!("holds files of several kinds: Parquet (`{root}/b.parquet`), CSV (`{root}/a.csv`)")
        );
        assert_eq!(message(&format!("{root}/*.ipc")).message, "no file matches the pattern");
        assert_eq!(message(&format!("{root}/c.csv")).message, "does not exist");
        touch(&directory.path().join("notes.txt"));
        let odd = message(&format!("{root}/notes.txt"));
        assert_eq!(odd.message, "is not a kind of log that is known by its name");
    }

    #[test]
    fn stars_match_any_text() {
        for (pattern, name, expected) in
            [("*", "", true), ("a*c", "abcc", true), ("a*c", "abd", false), ("??", "ab", true), ("*b*b", "abab", true)]
        {
            assert_eq!(is_match(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
