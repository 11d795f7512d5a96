//! `replay digest`, and the same log in every form that can be read.

use std::fs::File;
use std::path::Path;
use std::sync::LazyLock;

use polars::prelude::*;

use crate::support::{
    Home, Report, Rows, assert_close, assert_same_files, demo_log, demo_scenario, line_of, mixed, scenario,
};

static LOG: LazyLock<DataFrame> = LazyLock::new(|| {
    ParquetReader::new(File::open(demo_log()).expect("opens")).finish().expect("the demo log is Parquet")
});

const FEW: [&str; 2] = ["--replicates", "4"];

fn report(home: &Home, log: &str, out: &str) -> Report {
    home.report(log, &demo_scenario(), &FEW, out)
}

fn whole(home: &Home) -> Report {
    report(home, &demo_log(), "whole")
}

/// The time stamps as ISO 8601 text: neither CSV nor JSON has a type for them.
fn with_text_times(frame: &DataFrame) -> DataFrame {
    let micros = frame.column("ts").and_then(|column| column.cast(&DataType::Int64)).expect("time stamps");
    let text = |micros: i64| jiff::Timestamp::from_microsecond(micros).expect("in range").to_string();
    let texts: StringChunked = micros.i64().expect("integers").iter().map(|time| time.map(text)).collect();
    let mut frame = frame.clone();
    frame.with_column(texts.with_name("ts".into()).into_column()).expect("as long");
    frame
}

/// Writes a frame in the format of the name.
fn write(frame: &DataFrame, path: &Path) {
    std::fs::create_dir_all(path.parent().expect("has one")).expect("creates");
    let file = File::create(path).expect("creates");
    let mut frame = frame.clone();
    let written = match path.extension().and_then(|extension| extension.to_str()) {
        Some("parquet") => ParquetWriter::new(file).finish(&mut frame).map(drop),
        Some("csv") => CsvWriter::new(file).finish(&mut with_text_times(&frame)),
        Some("ndjson") => {
            JsonWriter::new(file).with_json_format(JsonFormat::JsonLines).finish(&mut with_text_times(&frame))
        }
        Some("arrow") => IpcWriter::new(file).finish(&mut frame),
        _ => unreachable!("no test writes {}", path.display()),
    };
    written.expect("writes");
}

fn rows(frame: &DataFrame, keep: impl Fn(usize) -> bool) -> DataFrame {
    let mask: BooleanChunked = (0..frame.height()).map(|row| Some(keep(row))).collect();
    frame.filter(&mask).expect("filters")
}

fn shuffled(frame: &DataFrame) -> DataFrame {
    let mut order: Vec<u32> = (0..frame.height()).map(|row| u32::try_from(row).expect("small")).collect();
    order.sort_by_key(|&row| mixed(row as usize, 5));
    frame.take(&IdxCa::from_vec("rows".into(), order)).expect("takes")
}

#[test]
fn every_format_gives_the_same_report() {
    let home = Home::new();
    let whole = whole(&home);
    for format in ["parquet", "csv", "ndjson", "arrow"] {
        let log = format!("log.{format}");
        write(&LOG, &home.path(&log));
        let copy = report(&home, &log, format);
        assert_close(&whole.findings(), &copy.findings(), 0.0);
        assert_eq!(copy.json["log"]["path"], log.as_str());
        assert_ne!(copy.json["log"]["fingerprint"], whole.json["log"]["fingerprint"], "of the file's bytes");
    }
}

#[test]
fn directories_patterns_and_partitions_give_the_same_report() {
    let home = Home::new();
    let whole = whole(&home);
    for part in 0..3 {
        write(&rows(&LOG, |row| row % 3 == part), &home.path(&format!("parts/{part}.parquet")));
    }
    let regions = LOG.column("region").expect("a column").str().expect("text").clone();
    let without_region = DataFrame::drop(&LOG, "region").expect("drops");
    for region in ["eu", "us", "apac"] {
        let part = rows(&without_region, |row| regions.get(row) == Some(region));
        write(&part, &home.path(&format!("hive/region={region}/part-0.parquet")));
    }
    home.write("hive/_SUCCESS", "");
    home.write("parts/notes.txt", "not a log");
    for log in ["parts", "parts/*.parquet", "p?rts/?.parquet", "hive", "hive/region=*/*.parquet"] {
        assert_close(&whole.findings(), &report(&home, log, "copy").findings(), 0.0);
    }
}

#[test]
fn places_without_a_log_are_refused() {
    let home = Home::small();
    home.write("empty/readme.md", "nothing here");
    home.write("several/a.csv", home.read("log.csv"));
    home.write("several/b.ndjson", "{}");
    let formats = "hint: a log is Parquet (.parquet), CSV (.csv), NDJSON (.ndjson, .jsonl, .json) or Arrow IPC (.arrow, .ipc, .feather)\n";
    let refused = |log: &str, says: &str| home.refuses(&[log, "--scenario", "s.toml"], &format!("error: {says}"));
    refused("missing.csv", "missing.csv: does not exist\n");
    refused("empty", &format!("empty: the directory holds no log\n\n{formats}"));
    refused(
        "empty/readme.md",
        &format!("empty/readme.md: is not a kind of log that is known by its name\n\n{formats}"),
    );
    refused(
        "several",
        "several: holds files of several kinds: CSV (`several/a.csv`), NDJSON (`several/b.ndjson`)\n\nhint: name the files of one \
         kind by a pattern, such as `logs/*.parquet`\n",
    );
    refused(
        "several/*.parquet",
        "several/*.parquet: no file matches the pattern\n\nhint: `*` and `?` stand for a part of one name, `**` for any number of \
         directories\n",
    );
}

#[test]
fn the_order_of_rows_does_not_matter() {
    let (here, there) = (Home::new(), Home::new());
    write(&LOG, &here.path("log.parquet"));
    write(&shuffled(&LOG), &there.path("log.parquet"));
    let (sorted, shuffled) = (report(&here, "log.parquet", "out"), report(&there, "log.parquet", "out"));
    assert_ne!(sorted.json["log"]["fingerprint"], shuffled.json["log"]["fingerprint"]);
    assert_same_files(&sorted.files_without_fingerprint(), &shuffled.files_without_fingerprint());
}

#[test]
fn a_digest_serves_as_the_log() {
    let home = Home::new();
    let whole = whole(&home);
    let answer = home.succeeds(&["digest", &demo_log(), "--scenario", &demo_scenario()]);
    let cells = whole.json["log"]["cells"].as_u64().expect("a number");
    assert_eq!(answer, format!("wrote digest.parquet: 45748 requests of 4013 units in {cells} cells\n"));
    let from_digest = report(&home, "digest.parquet", "from-digest");
    assert_eq!(whole.findings(), from_digest.findings());
    assert_eq!(from_digest.json["log"]["fingerprint"], whole.json["log"]["fingerprint"], "of the log it was made from");
    // The same digest again, whatever the number of threads was.
    let bytes = home.read("digest.parquet");
    home.succeeds(&["digest", &demo_log(), "--scenario", &demo_scenario(), "-o", "again.parquet"]);
    assert!(bytes == home.read("again.parquet"));
}

#[test]
fn digests_of_two_halves_add_up_to_that_of_the_whole() {
    let home = Home::new();
    let whole = whole(&home);
    // Interleaved, so that users, slots and segments are in both.
    for (half, name) in ["first", "second"].into_iter().enumerate() {
        let log = format!("{name}.parquet");
        write(&rows(&LOG, |row| mixed(row, 1) % 2 == half), &home.path(&log));
        let out = format!("digests/{name}.parquet");
        std::fs::create_dir_all(home.path("digests")).expect("creates");
        home.succeeds(&["digest", &log, "--scenario", &demo_scenario(), "--out", &out]);
    }
    for log in ["digests", "digests/*.parquet"] {
        // Costs were rounded to a multiple of a power of two that depends on the half's largest.
        assert_close(&whole.findings(), &report(&home, log, "merged").findings(), 1e-7);
    }
    let merged = home.succeeds(&["digest", "digests", "--scenario", &demo_scenario(), "-o", "merged.parquet"]);
    assert!(merged.starts_with("wrote merged.parquet: 45748 requests of 4013 units"), "{merged}");
    assert_close(&whole.findings(), &report(&home, "merged.parquet", "merged").findings(), 1e-7);
}

#[test]
fn a_digest_for_another_scenario_is_refused_with_every_difference() {
    let home = Home::small();
    home.succeeds(&["digest", "log.csv", "--scenario", "s.toml"]);
    // What is not in the cells may change.
    let other = scenario(&[("quantile = 0.95", "quantile = 0.9"), ("salt = \"small\"", "salt = \"other\"")]);
    home.write("other.toml", other.replace("allow = \"10%\"", "allow = \"5%\""));
    home.succeeds(&["check", "digest.parquet", "--scenario", "other.toml"]);
    let other = scenario(&[
        ("slot = \"1h\"", "slot = \"30m\""),
        ("[\"region\"]\nslot", "[\"tier\"]\nslot"),
        ("unit = \"user_id\"", "unit = \"customer\""),
        ("\"{version}_quality\"", "\"{version}_score\""),
        ("by = [\"region\"]", ""),
        (
            "numerator = \"{version}_cost_usd\"\ndenominator = \"requests\"",
            "numerator = \"{version}_cost_usd\"\ndenominator = \"{version}_tokens\"",
        ),
    ]);
    home.write("other.toml", other);
    let line = |what: &str| {
        format!("error: digest.parquet: the digest was made with {what}\n\nhint: make the digest again from the log\n")
    };
    let expected = [
        "`log.slot` = 1h, and the scenario has 30m",
        "`assignment.unit` = `user_id`, and the scenario has `customer`",
        "`log.segments` = [`region`], and the scenario has [`tier`]",
        "`metrics.quality` = mean of `stable_quality` and `candidate_quality`, and the scenario has mean of `stable_score` and \
         `candidate_score`",
        "`metrics.cost` = ratio of `stable_cost_usd` / requests and `candidate_cost_usd` / requests, and the scenario has ratio of \
         `stable_cost_usd` / `stable_tokens` and `candidate_cost_usd` / `candidate_tokens`",
    ];
    home.refuses(&["digest.parquet", "--scenario", "other.toml"], &expected.map(line).join("\n"));
    assert!(line_of(&scenario(&[]), "slot") > 0);
}

#[test]
fn digests_and_logs_do_not_mix() {
    let home = Home::new();
    write(&rows(&LOG, |row| row < 3000), &home.path("mixed/log.parquet"));
    home.succeeds(&["digest", "mixed/log.parquet", "--scenario", &demo_scenario(), "-o", "mixed/digest.parquet"]);
    home.refuses(
        &["mixed", "--scenario", &demo_scenario()],
        "error: mixed: holds digests (`mixed/digest.parquet`) and logs (`mixed/log.parquet`)\n\nhint: keep digests in a directory \
         of their own\n",
    );
}

#[test]
fn a_damaged_digest_is_refused() {
    let home = Home::small();
    home.succeeds(&["digest", "log.csv", "--scenario", "s.toml"]);
    let whole = home.read("digest.parquet");
    let hint = "\n\nhint: the file may be cut short or damaged";
    // Cut short it no longer says that it is a digest; damaged inside it does.
    home.write("digest.parquet", &whole[..whole.len() / 2]);
    let ran = home.run(&["digest.parquet", "--scenario", "s.toml"]);
    assert!(ran.code == Some(2) && ran.stderr.starts_with("error: digest.parquet: cannot be read: "), "{ran:?}");
    assert!(ran.stderr.contains(hint), "{ran:?}");
    let mut damaged = whole.clone();
    damaged[200..whole.len() / 2].iter_mut().for_each(|byte| *byte ^= 0x5a);
    home.write("digest.parquet", damaged);
    let ran = home.run(&["digest.parquet", "--scenario", "s.toml"]);
    assert!(
        ran.code == Some(2) && ran.stderr.starts_with("error: digest.parquet: the digest cannot be read: "),
        "{ran:?}"
    );
    assert!(ran.stderr.contains(hint), "{ran:?}");
}

#[cfg(unix)]
#[test]
fn a_digest_goes_where_it_is_told_or_nowhere() {
    let home = Home::small();
    home.write("notes", "mine");
    std::fs::create_dir(home.path("directory")).expect("creates");
    let _socket = std::os::unix::net::UnixListener::bind(home.path("socket")).expect("binds");
    let digest = |out: &str| home.run(&["digest", "log.csv", "--scenario", "s.toml", "--out", out]);
    let before = home.tree();
    for out in ["directory", "missing/digest.parquet", "notes/digest.parquet", "socket"] {
        let ran = digest(out);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("error: {out}: ")), "{ran:?}");
        assert!(before == home.tree(), "{:?}", home.names());
    }
    home.write("bad.csv", Rows::small().set(3, "user_id", "").csv());
    home.write("digest.parquet", "earlier");
    home.refuses(
        &["digest", "bad.csv", "--scenario", "s.toml"],
        "error: bad.csv: column `user_id`, row 4: value is null\n\nhint: every request needs its unit of assignment; fill the \
         column, or set `log.missing = \"exclude\"`\n",
    );
    assert_eq!(home.read("digest.parquet"), b"earlier");
}
