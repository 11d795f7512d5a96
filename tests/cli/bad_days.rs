//! Damaged files, full disks, places that belong to someone else, Ctrl-C and closed pipes.

use std::process::{Command, Stdio};

use polars::prelude::*;

use crate::support::{Home, Ran, Rows, demo_log, demo_scenario, program, scenario};

const DAMAGED: &str = "\n\nhint: the file may be cut short or damaged; write or copy it again\n";

#[test]
fn truncated_and_corrupt_logs() {
    let home = Home::small();
    let whole = std::fs::read(demo_log()).expect("readable");
    let refused = |bytes: &[u8], name: &str| {
        home.write(name, bytes);
        let before = home.tree();
        let ran = home.run(&[name, "--scenario", &demo_scenario()]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("error: {name}: cannot be read: ")), "{ran:?}");
        assert!(ran.stderr.ends_with(DAMAGED), "{ran:?}");
        assert!(before == home.tree());
    };
    refused(&whole[..whole.len() / 2], "half.parquet");
    refused(&whole[..whole.len() - 1], "short.parquet");
    refused(b"PAR1", "four-bytes.parquet");
    refused(b"this is not a table", "text.parquet");
    refused(b"this is not a table", "text.arrow");
    // The footer is sound, pages are not.
    let mut damaged = whole.clone();
    damaged[10_000..200_000].iter_mut().for_each(|byte| *byte ^= 0x5a);
    refused(&damaged, "damaged.parquet");
}

#[test]
fn empty_logs() {
    let home = Home::small();
    for name in ["log.parquet", "log.csv", "log.ndjson", "log.arrow"] {
        home.write(name, "");
        home.refuses(&[name, "--scenario", "s.toml"], &format!("error: {name}: the file is empty\n"));
    }
    home.write("log.csv", Rows::small().dropping(|_| true).csv());
    home.refuses(&["log.csv", "--scenario", "s.toml"], "error: log.csv: the log has no rows\n");
    let mut demo = ParquetReader::new(std::fs::File::open(demo_log()).expect("opens")).finish().expect("reads").clear();
    let file = std::fs::File::create(home.path("log.parquet")).expect("creates");
    ParquetWriter::new(file).finish(&mut demo).expect("writes");
    home.refuses(&["log.parquet", "--scenario", &demo_scenario()], "error: log.parquet: the log has no rows\n");
}

#[test]
fn torn_and_ragged_lines() {
    let home = Home::small();
    let whole = home.read("log.csv");
    let header: Vec<u8> = whole.iter().copied().take_while(|&byte| byte != b'\n').collect();
    let hint = "\n\nhint: the file may be cut short, or a field that holds a comma lacks its quotes\n";
    let refused = |tail: &str, row: usize, fields: &str| {
        let rows = if row == 1 { [&header, tail.as_bytes()].concat() } else { [&whole, tail.as_bytes()].concat() };
        home.write("log.csv", rows);
        home.refuses_log(&format!("error: log.csv: row {row}: has {fields}, and the header has 12{hint}"));
    };
    refused("2026-11-04T12:00:00Z,r1200,u1", 1201, "3 fields");
    refused("2026-11-0", 1201, "1 field");
    refused("2026-11-04T12:00:00Z,r1200,u1,eu,0,1,2,3,4,5,6,7,8\n", 1201, "13 fields");
    refused("\nr0", 1, "1 field");
    home.write("log.ndjson", "{\"ts\": \"2026-11-02T00:00:00Z\"}\n{\"ts\": \"2026-1");
    home.refuses(
        &["log.ndjson", "--scenario", "s.toml"],
        "error: log.ndjson:2: the line is not a JSON object\n\nhint: write one JSON object per line, without commas or brackets \
         around them\n",
    );
}

#[test]
fn text_that_is_not_utf_8() {
    let home = Home::small();
    let latin: Vec<u8> = home.read("log.csv").into_iter().map(|byte| if byte == b'u' { 0xfc } else { byte }).collect();
    let header = home.read("log.csv").iter().position(|&byte| byte == b'\n').expect("a header");
    home.write("log.csv", [&home.read("log.csv")[..header], &latin[header..]].concat());
    home.refuses_log(
        "error: log.csv: cannot be read: invalid utf-8 sequence\n\nhint: text is read as UTF-8; save the file in that encoding\n",
    );
}

/// Another user's directory. Where the tests run as root, who may read everything, the program runs as nobody.
#[cfg(unix)]
#[test]
fn directories_that_may_not_be_read_or_written() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;

    let home = Home::small();
    let mode = |name: &str, mode: u32| {
        std::fs::set_permissions(home.path(name), std::fs::Permissions::from_mode(mode)).expect("sets permissions");
    };
    home.write("closed/log.csv", home.read("log.csv"));
    mode("closed", 0o000);
    let root = std::fs::read_dir(home.path("closed")).is_ok();
    mode("", 0o755);
    let run = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        if root {
            command.uid(65_534).gid(65_534);
        }
        Ran::of(command.output().expect("the program starts"))
    };
    let unreadable = run(&["check", "closed", "--scenario", "s.toml"]);
    let unwritable = run(&["log.csv", "--scenario", "s.toml", "--out", "closed/report"]);
    mode("closed", 0o755);
    let elsewhere = if root { run(&["log.csv", "--scenario", "s.toml"]) } else { unwritable.clone() };
    mode("", 0o700);
    assert_eq!(unreadable.stderr, "error: closed: may not be read: permission denied\n");
    assert_eq!((unreadable.code, unreadable.stdout.as_str()), (Some(2), ""));
    assert_eq!(unwritable.code, Some(2));
    assert!(unwritable.stderr.contains("ermission denied"), "{unwritable:?}");
    assert_eq!(elsewhere.code, Some(2));
    assert!(elsewhere.stderr.contains("ermission denied"), "{elsewhere:?}");
    assert_eq!(home.names(), ["closed/", "closed/log.csv", "log.csv", "s.toml"]);
}

#[test]
fn a_directory_of_someone_else_is_refused_and_kept() {
    let home = Home::small();
    home.write("thesis/chapter-1.md", "years of work");
    home.write("file", "mine");
    let out = |out: &str| home.run(&["log.csv", "--scenario", "s.toml", "--out", out]);
    let before = home.tree();
    for (place, says) in [("thesis", "`chapter-1.md`"), ("file", "not a directory"), ("file/report", "file")] {
        let ran = out(place);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(says), "{ran:?}");
        assert!(before == home.tree(), "{:?}", home.names());
    }
    assert!(out("thesis").stderr.contains("hint: choose another --out"));
}

#[test]
fn missing_directories_on_the_way_are_made_for_a_report_only() {
    let home = Home::small();
    home.report("log.csv", "s.toml", &[], "a/b/report");
    home.write("log.csv", Rows::small().set(0, "user_id", "").csv());
    let ran = home.run(&["log.csv", "--scenario", "s.toml", "--out", "c/d/report"]);
    assert_eq!(ran.code, Some(2));
    assert!(!home.path("c").exists(), "nothing was written");
}

/// A limit on the size of files stands for a full disk: writing fails half-way.
#[cfg(unix)]
#[test]
fn a_full_disk_keeps_the_earlier_report() {
    let home = Home::small();
    home.report_of_log();
    home.succeeds(&["digest", "log.csv", "--scenario", "s.toml"]);
    let before = home.tree();
    let limited = |arguments: &str| {
        let mut command = Command::new("sh");
        // The signal would end the program before it could say anything.
        let script = format!("trap '' XFSZ; ulimit -f 16; exec \"$0\" {arguments}");
        command.args(["-c", &script]).arg(program()).current_dir(home.path("")).stdin(Stdio::null());
        Ran::of(command.output().expect("a shell"))
    };
    for arguments in ["log.csv --scenario s.toml --seed 9", "digest log.csv --scenario s.toml"] {
        let ran = limited(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains("File too large"), "{ran:?}");
        assert!(before == home.tree(), "{:?}", home.names());
    }
}

/// `/dev/full` refuses every byte.
#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    let home = Home::small();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("opens");
    let mut command = home.command(&["assign", "log.csv", "--scenario", "s.toml", "--stage", "50%"]);
    let child = command.stdout(full).stderr(Stdio::piped()).spawn().expect("the program starts");
    let ran = Ran::of(child.wait_with_output().expect("ends"));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.starts_with("error: stdout: cannot be written: No space left on device"), "{ran:?}");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let home = Home::small();
    for arguments in [
        &["log.csv", "--scenario", "s.toml"][..],
        &["assign", "log.csv", "--scenario", "s.toml", "--stage", "50%"],
        &["check", "--schema"],
        &["--help"],
    ] {
        let mut command = home.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        drop(child.stdout.take());
        let ran = Ran::of(child.wait_with_output().expect("ends"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
    assert!(home.path("replay-report/report.json").exists(), "the report is there all the same");
}

/// Linux shows which signals a process handles, so that the test knows when the long part has begun.
#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_a_long_run_and_keeps_the_earlier_report() {
    use std::time::{Duration, Instant};

    let home = Home::small();
    home.write("s.toml", scenario(&[("replicates = 10", "replicates = 12")]));
    home.report_of_log();
    let before = home.tree();
    let mut command = home.command(&["log.csv", "--scenario", "s.toml", "--replicates", "1000000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let pid = child.id().to_string();
    // Hangs are ended here; nothing is measured.
    let patience = Instant::now() + Duration::from_mins(1);
    let is_over = |condition: &mut dyn FnMut() -> bool| {
        while !condition() {
            if Instant::now() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    };
    let handles = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
        // SIGINT is signal 2.
        u64::from_str_radix(caught.trim(), 16).is_ok_and(|signals| signals & 0b10 != 0)
    };
    let listening = is_over(&mut || handles());
    let sent = Command::new("kill").args(["-INT", &pid]).status().is_ok_and(|status| status.success());
    let ended = is_over(&mut || child.try_wait().expect("a child").is_some());
    if !ended {
        child.kill().expect("ends");
    }
    let ran = Ran::of(child.wait_with_output().expect("ends"));
    assert!(listening && sent && ended, "{ran:?}");
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(130), "", ""));
    assert!(before == home.tree(), "{:?}", home.names());
}
