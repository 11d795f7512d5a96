//! A directory for each test, the program run inside it, and small logs and scenarios to run it on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The program. Cargo says at run time which one it built, so that these tests can be held against another build too.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_replay").map_or_else(|| env!("CARGO_BIN_EXE_replay").into(), PathBuf::from)
}

/// A file of the repository.
pub(crate) fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The demo log, its scenario, and few replicates: what most tests of the main job run.
pub(crate) fn demo_log() -> String {
    repository("datasets/support-bot.parquet").display().to_string()
}

pub(crate) fn demo_scenario() -> String {
    repository("scenarios/staged.toml").display().to_string()
}

/// A directory of a test's own. The program runs inside it, so that paths in messages are those that the test typed.
pub(crate) struct Home {
    directory: TempDir,
}

/// What the program left behind.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    /// With a small log and the scenario that fits it.
    pub(crate) fn small() -> Self {
        let home = Self::new();
        home.write("s.toml", SCENARIO);
        home.write("log.csv", Rows::small().csv());
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("inside the directory")).expect("creates");
        fs::write(path, bytes).expect("writes");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("the program starts"))
    }

    /// Runs and expects success without a word on stderr.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}: {ran:?}");
        ran.stdout
    }

    /// Runs and expects refusal: exit code 2, this on stderr, nothing on stdout, and not a file touched.
    pub(crate) fn refuses(&self, arguments: &[&str], stderr: &str) {
        let before = self.tree();
        let ran = self.run(arguments);
        assert_eq!(ran.stderr, stderr, "{arguments:?}");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(before == self.tree(), "{arguments:?} changed {:?}", self.names());
    }

    /// The main job on `log.csv` and `s.toml` is refused with this.
    pub(crate) fn refuses_log(&self, stderr: &str) {
        self.refuses(&["log.csv", "--scenario", "s.toml"], stderr);
    }

    /// The main job; gives the report in `out`.
    pub(crate) fn report(&self, log: &str, scenario: &str, more: &[&str], out: &str) -> Report {
        let stdout = self.succeeds(&[&[log, "--scenario", scenario, "--out", out], more].concat());
        assert!(!stdout.trim().is_empty());
        Report::read(&self.path(out))
    }

    /// The main job on `log.csv` and `s.toml`.
    pub(crate) fn report_of_log(&self) -> Report {
        self.report("log.csv", "s.toml", &[], "replay-report")
    }

    /// Every file with its bytes and every directory, by name.
    pub(crate) fn tree(&self) -> BTreeMap<String, Vec<u8>> {
        tree(self.directory.path())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.tree().into_keys().collect()
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let ran = Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
        ran
    }
}

/// Every file below a directory with its bytes and every directory (its name ends with `/`).
pub(crate) fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root).expect("below the root").display().to_string();
            if path.is_dir() {
                found.insert(name + "/", Vec::new());
                open.push(path);
            } else if !path.is_file() {
                // A socket, say: there is nothing to read.
                found.insert(name, Vec::new());
            } else {
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

/// A report on disk.
pub(crate) struct Report {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) json: Value,
}

impl Report {
    pub(crate) fn read(directory: &Path) -> Self {
        let files = tree(directory);
        let json = serde_json::from_slice(&files["report.json"]).expect("report.json is JSON");
        Self { files, json }
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        std::str::from_utf8(&self.files[name]).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Names of the files with this ending.
    pub(crate) fn with_ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = &'a String> {
        self.files.keys().filter(move |name| name.ends_with(ending))
    }

    /// `report.json` without what says where the log came from.
    pub(crate) fn findings(&self) -> Value {
        let mut json = self.json.clone();
        json["command"].take();
        json["log"]["path"].take();
        json["log"]["fingerprint"].take();
        json
    }

    /// Every file, with the log's fingerprint replaced.
    pub(crate) fn files_without_fingerprint(&self) -> BTreeMap<String, Vec<u8>> {
        let fingerprint = self.json["log"]["fingerprint"].as_str().expect("a fingerprint");
        assert!(fingerprint.len() >= 16, "{fingerprint}");
        let replaced = |(name, bytes): (&String, &Vec<u8>)| {
            let bytes = match std::str::from_utf8(bytes) {
                Ok(text) => text.replace(fingerprint, "FINGERPRINT").into_bytes(),
                Err(_) => bytes.clone(),
            };
            (name.clone(), bytes)
        };
        self.files.iter().map(replaced).collect()
    }

    /// Row of a world in `report.json`.
    pub(crate) fn world(&self, name: &str) -> &Value {
        let found = self.rows("worlds").iter().find(|world| world["world"] == name);
        found.unwrap_or_else(|| panic!("no world {name}"))
    }

    /// Rows of a list in `report.json`.
    pub(crate) fn rows(&self, list: &str) -> &[Value] {
        self.json[list].as_array().unwrap_or_else(|| panic!("{list} is a list"))
    }

    /// Codes of the warnings, each once.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        let mut codes: Vec<&str> = self.rows("warnings").iter().filter_map(|row| row["code"].as_str()).collect();
        codes.dedup();
        codes
    }

    /// Text of the only warning with this code.
    pub(crate) fn warning(&self, code: &str) -> (&str, &str) {
        let found: Vec<&Value> = self.rows("warnings").iter().filter(|row| row["code"] == code).collect();
        let [row] = found.as_slice() else { panic!("{code}: {:?}", self.rows("warnings")) };
        (row["where"].as_str().expect("a place"), row["text"].as_str().expect("a text"))
    }
}

/// Fails with the names of the files that differ.
pub(crate) fn assert_same_files(left: &BTreeMap<String, Vec<u8>>, right: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    let differ: Vec<&String> =
        left.iter().filter(|(name, bytes)| right[*name] != **bytes).map(|(name, _)| name).collect();
    assert!(differ.is_empty(), "these differ: {differ:?}");
}

/// Fails with the first place at which two documents differ. Numbers may differ by a relative `tolerance`.
pub(crate) fn assert_close(left: &Value, right: &Value, tolerance: f64) {
    fn walk(left: &Value, right: &Value, tolerance: f64, place: &str) {
        match (left, right) {
            (Value::Object(a), Value::Object(b)) => {
                assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "at {place}");
                a.iter().for_each(|(key, value)| walk(value, &b[key], tolerance, &format!("{place}.{key}")));
            }
            (Value::Array(a), Value::Array(b)) => {
                assert_eq!(a.len(), b.len(), "at {place}");
                let both = a.iter().zip(b).enumerate();
                both.for_each(|(index, (x, y))| walk(x, y, tolerance, &format!("{place}[{index}]")));
            }
            (Value::Number(a), Value::Number(b)) => {
                let (a, b) = (a.as_f64().expect("finite"), b.as_f64().expect("finite"));
                assert!((a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1e-6), "at {place}: {a} and {b}");
            }
            _ => assert_eq!(left, right, "at {place}"),
        }
    }
    walk(left, right, tolerance, "report");
}

/// A scenario for [`Rows::small`]: a day and a half, every kind of metric, few replicates.
pub(crate) const SCENARIO: &str = r#"
[log]
timestamp = "ts"
request = "request_id"
segments = ["region"]
slot = "1h"

[assignment]
unit = "user_id"
salt = "small"

[metrics.quality]
kind = "mean"
column = "{version}_quality"
better = "higher"

[metrics.errors]
kind = "proportion"
column = "{version}_error"
better = "lower"

[metrics.latency_p95]
kind = "quantile"
quantile = 0.95
column = "{version}_latency_ms"
better = "lower"
unit = "ms"

[metrics.cost]
kind = "ratio"
numerator = "{version}_cost_usd"
denominator = "requests"
better = "lower"
unit = "usd"

[[stages]]
name = "10%"
exposure = "10%"
duration = "12h"

[[stages]]
name = "50%"
exposure = "50%"
duration = "24h"

[[gates]]
name = "quality"
metric = "quality"
allow = "10%"
test = "fixed"
looks = "end"
by = ["region"]
min_units = 3

[[gates]]
name = "latency"
metric = "latency_p95"
allow = "10%"
min_units = 3

[[gates]]
name = "cost"
metric = "cost"
allow = "10%"
min_units = 3

[rollout]
promote = "no-fail"

[simulation]
replicates = 10
"#;

/// A scenario with some of its text replaced; each piece occurs exactly once.
pub(crate) fn scenario(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(SCENARIO.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "`{from}` should occur once");
        text.replace(from, to)
    })
}

/// The line of [`SCENARIO`] on which this text stands.
pub(crate) fn line_of(text: &str, piece: &str) -> usize {
    text.lines().position(|line| line.contains(piece)).expect("occurs") + 1
}

/// A log as rows of text, to be damaged.
#[derive(Clone)]
pub(crate) struct Rows {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Rows {
    /// Two and a half days from Monday 2026-11-02, a request every 3 minutes, 150 users.
    pub(crate) fn small() -> Self {
        Self::from("2026-11-02T00:00:00Z", 1200, 180)
    }

    /// `count` requests from `start`, every `step` seconds.
    pub(crate) fn from(start: &str, count: usize, step: usize) -> Self {
        let start: jiff::Timestamp = start.parse().expect("a time stamp");
        let columns = ["quality", "error", "latency_ms", "cost_usd"];
        let versions = ["stable", "candidate"];
        let header = ["ts", "request_id", "user_id", "region"].map(str::to_owned).into_iter();
        let values =
            versions.iter().flat_map(|version| columns.iter().map(move |column| format!("{version}_{column}")));
        let rows = (0..count).map(|row| {
            let ts = start + jiff::SignedDuration::from_secs(i64::try_from(row * step).expect("small"));
            let user = mixed(row, 0) % 150;
            let region = if user.is_multiple_of(3) { "us" } else { "eu" };
            let mut cells = vec![ts.to_string(), format!("r{row}"), format!("u{user}"), region.to_owned()];
            for version in [10, 20] {
                let part = |column: usize| (mixed(row, version + column) % 1000) as f64 / 1000.0;
                cells.push(part(1).to_string());
                cells.push(u8::from(part(2) < 0.05).to_string());
                cells.push((100.0 + 900.0 * part(3)).to_string());
                cells.push((part(4) / 100.0).to_string());
            }
            cells
        });
        Self { header: header.chain(values).collect(), rows: rows.collect() }
    }

    fn column(&self, name: &str) -> usize {
        self.header.iter().position(|column| column == name).unwrap_or_else(|| panic!("no column {name}"))
    }

    /// Sets a value; rows are counted from 0, as nowhere in messages.
    pub(crate) fn set(mut self, row: usize, column: &str, value: &str) -> Self {
        let column = self.column(column);
        value.clone_into(&mut self.rows[row][column]);
        self
    }

    pub(crate) fn set_all(mut self, column: &str, value: impl Fn(usize, &str) -> String) -> Self {
        let column = self.column(column);
        for (row, cells) in self.rows.iter_mut().enumerate() {
            cells[column] = value(row, &cells[column]);
        }
        self
    }

    pub(crate) fn rename(mut self, column: &str, name: &str) -> Self {
        let column = self.column(column);
        name.clone_into(&mut self.header[column]);
        self
    }

    pub(crate) fn add(mut self, column: &str, value: impl Fn(usize) -> String) -> Self {
        self.header.push(column.to_owned());
        self.rows.iter_mut().enumerate().for_each(|(row, cells)| cells.push(value(row)));
        self
    }

    pub(crate) fn without(mut self, column: &str) -> Self {
        let column = self.column(column);
        self.header.remove(column);
        self.rows.iter_mut().for_each(|cells| _ = cells.remove(column));
        self
    }

    /// The rows in an order that has nothing to do with time.
    pub(crate) fn shuffled(mut self) -> Self {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|&row| mixed(row, 99));
        self.rows = order.into_iter().map(|row| self.rows[row].clone()).collect();
        self
    }

    /// The same rows without those at which `drop` is true.
    pub(crate) fn dropping(mut self, drop: impl Fn(usize) -> bool) -> Self {
        let mut row = 0;
        self.rows.retain(|_| {
            row += 1;
            !drop(row - 1)
        });
        self
    }

    pub(crate) fn csv(&self) -> Vec<u8> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&self.header).expect("writes");
        self.rows.iter().for_each(|cells| writer.write_record(cells).expect("writes"));
        writer.into_inner().expect("flushes")
    }
}

/// Numbers that look random and are the same on every machine.
pub(crate) fn mixed(row: usize, stream: usize) -> usize {
    let key = (row as u64) << 8 | stream as u64;
    usize::try_from(xxhash_rust::xxh3::xxh3_64(&key.to_le_bytes()) >> 40).expect("24 bits")
}

/// Checks that a picture is XML: elements nest, attributes are quoted, text and attributes hold no markup or control
/// characters. Declarations and comments may stand anywhere.
pub(crate) fn assert_well_formed(name: &str, xml: &str) {
    let control = xml.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    assert_eq!(control, None, "{name}");
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml;
    let assert_entities = |text: &str| {
        for tail in text.split('&').skip(1) {
            let entity = tail.split(';').next().unwrap_or_default();
            let known = ["amp", "lt", "gt", "quot", "apos"].contains(&entity) || entity.starts_with('#');
            assert!(known && tail.contains(';'), "{name}: a bare & before `{}`", tail.get(..20).unwrap_or(tail));
        }
    };
    while let Some(at) = rest.find('<') {
        assert_entities(&rest[..at]);
        assert!(!open.is_empty() || rest[..at].trim().is_empty(), "{name}: text outside the root");
        rest = &rest[at..];
        if rest.starts_with("<?") || rest.starts_with("<!") {
            let end = if rest.starts_with("<!--") { "-->" } else { ">" };
            rest = &rest[rest.find(end).expect("ends") + end.len()..];
            continue;
        }
        // A `>` inside a quoted attribute does not end the element.
        let mut quote = None;
        let end = rest.char_indices().find(|(_, c)| {
            match (quote, c) {
                (None, '"' | '\'') => quote = Some(*c),
                (Some(open), c) if open == *c => quote = None,
                (Some(_), '<') => panic!("{name}: < in an attribute"),
                (None, '>') => return true,
                _ => {}
            }
            false
        });
        let end = end.unwrap_or_else(|| panic!("{name}: a tag that does not end")).0;
        let tag = &rest[1..end];
        assert_entities(tag);
        let word = |tag: &'_ str| tag.split(|c: char| c.is_whitespace() || c == '/').next().map_or(0, str::len);
        if let Some(closing) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closing.trim()), "{name}");
        } else if !tag.ends_with('/') {
            open.push(&tag[..word(tag)]);
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{name}: {open:?} stay open");
}

/// Records of a CSV file, its header first.
pub(crate) fn records(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
    let record = |record: csv::StringRecord| record.iter().map(str::to_owned).collect();
    reader.records().map(|found| record(found.expect("a record"))).collect()
}
