//! `replay assign`: who gets the candidate.

use std::collections::BTreeSet;
use std::io::Cursor;

use polars::prelude::{ParquetReader, SerReader as _};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Home, Rows, demo_log, demo_scenario, records, repository, scenario};

/// Cases of the reference vectors; the source is named in the file.
#[derive(Deserialize)]
struct Vectors {
    salt: String,
    buckets: Vec<(String, u32)>,
}

fn vectors() -> Vectors {
    let text = std::fs::read(repository("tests/cli/md5_mod100.json")).expect("part of the repository");
    serde_json::from_slice(&text).expect("vectors")
}

/// Runs `assign` on a log with these units; gives the header and the units listed.
fn assigned(home: &Home, salt: &str, units: &[&str], stage: &str) -> (String, Vec<String>) {
    let rows = Rows::from("2026-11-02T00:00:00Z", units.len().max(600), 300);
    home.write("units.csv", rows.set_all("user_id", |row, _| units[row % units.len()].to_owned()).csv());
    home.write("salt.toml", scenario(&[("salt = \"small\"", &format!("salt = \"{salt}\""))]));
    let mut listed =
        records(home.succeeds(&["assign", "units.csv", "--scenario", "salt.toml", "--stage", stage]).as_bytes());
    let header = listed.remove(0);
    assert!(header.len() == 1 && listed.iter().all(|record| record.len() == 1));
    (header[0].clone(), listed.into_iter().flatten().collect())
}

#[test]
fn exactly_the_units_whose_bucket_is_below_the_exposure() {
    let home = Home::new();
    let vectors = vectors();
    assert!(vectors.buckets.len() >= 300);
    let units: Vec<&str> = vectors.buckets.iter().map(|(unit, _)| unit.as_str()).collect();
    for (stage, exposure) in [("10%", 10), ("50%", 50)] {
        let (header, listed) = assigned(&home, &vectors.salt, &units, stage);
        let mut expected: Vec<String> =
            vectors.buckets.iter().filter(|(_, bucket)| *bucket < exposure).map(|(unit, _)| unit.clone()).collect();
        expected.sort();
        assert_eq!(header, "user_id");
        assert_eq!(listed, expected, "in the order of their names");
    }
}

/// `naive_md5_mod-p001` to `p013` of the bucketing reference: unsalted, Python 3.11 hashlib.
#[test]
fn the_reference_vectors_without_a_salt() {
    let home = Home::new();
    let cases = [
        ("qaulejcg@example.org", 65),
        ("anon_107a3b63e2", 48),
        ("user-506283", 50),
        ("329808722", 42),
        ("a754fbfa-fc3f-484a-a28e-1241cfdef652", 35),
        ("uopjbv@example.org", 28),
        ("with space27", 18),
        ("37757166", 16),
        ("acct:133:58334", 61),
        ("ünïcode-ß", 75),
        ("日本語ユーザー", 74),
        ("a", 97),
    ];
    let units = cases.map(|(unit, _)| unit);
    let (_, listed) = assigned(&home, "", &units, "50%");
    let expected: BTreeSet<&str> = cases.iter().filter(|(_, bucket)| *bucket < 50).map(|(unit, _)| *unit).collect();
    assert_eq!(listed.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected);
}

#[test]
fn growing_exposure_only_adds_units() {
    let home = Home::new();
    let mut before = BTreeSet::new();
    for (stage, share) in [("1%", 0.01), ("5%", 0.05), ("20%", 0.2), ("50%", 0.5), ("100%", 1.0)] {
        let text = home.succeeds(&["assign", &demo_log(), "--scenario", &demo_scenario(), "--stage", stage]);
        let units: BTreeSet<String> = records(text.as_bytes()).into_iter().skip(1).flatten().collect();
        assert!(before.is_subset(&units), "{stage}");
        // Five standard deviations of a binomial share.
        let expected: f64 = 4013.0 * share;
        let slack = 5.0 * (expected * (1.0 - share)).sqrt() + 0.5;
        assert!((units.len() as f64 - expected).abs() < slack, "{stage}: {} of 4013", units.len());
        before = units;
    }
    assert_eq!(before.len(), 4013);
}

#[test]
fn an_unknown_stage_names_the_known_ones() {
    let home = Home::small();
    home.refuses(
        &["assign", "log.csv", "--scenario", "s.toml", "--stage", "5%"],
        "error: s.toml: no stage is called `5%`\n\nhint: stages: `10%`, `50%`\n",
    );
}

#[test]
fn hostile_units_are_quoted_and_come_back_as_they_were() {
    let home = Home::new();
    let hostile = ["a,b", "say \"hi\"", "two\nlines", "=cmd()", "'single'", " space ", "tab\there", "<b>", "\r"];
    let everyone = scenario(&[("exposure = \"50%\"", "exposure = \"100%\"")]);
    let rows = Rows::small().set_all("user_id", |row, _| hostile[row % hostile.len()].to_owned());
    home.write("log.csv", rows.rename("user_id", "the \"user\", id").csv());
    home.write("s.toml", everyone.replace("unit = \"user_id\"", "unit = 'the \"user\", id'"));
    let text = home.succeeds(&["assign", "log.csv", "--scenario", "s.toml", "--stage", "50%"]);
    assert!(text.starts_with("\"the \"\"user\"\", id\"\n"), "{text}");
    let listed: Vec<String> = records(text.as_bytes()).into_iter().skip(1).flatten().collect();
    // What a spreadsheet would run as a formula is guarded; the rest comes back as it was.
    let guarded = |unit: &str| if unit.starts_with(['=', '\r']) { format!("'{unit}") } else { unit.to_owned() };
    let expected: BTreeSet<&str> = hostile.into();
    let expected: Vec<&str> = expected.into_iter().collect();
    assert_eq!(listed, expected.iter().map(|unit| guarded(unit)).collect::<Vec<_>>());

    home.succeeds(&["assign", "log.csv", "--scenario", "s.toml", "--stage", "50%", "-o", "units.parquet"]);
    assert_eq!(texts(&home.read("units.parquet"), "the \"user\", id"), expected, "as they are");
}

/// A text column of a Parquet file.
fn texts(parquet: &[u8], column: &str) -> Vec<String> {
    let frame = ParquetReader::new(Cursor::new(parquet)).finish().expect("Parquet");
    let texts = frame.column(column).expect("a column").str().expect("text");
    texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect()
}

/// Without a stage: everybody, with the first stage in which each has the candidate.
#[test]
fn the_first_stage_of_every_unit() {
    let home = Home::new();
    let everyone = records(home.succeeds(&["assign", &demo_log(), "--scenario", &demo_scenario()]).as_bytes());
    assert_eq!(everyone[0], ["user_id", "first_stage"]);
    assert_eq!(everyone.len(), 4014);
    let mut before: BTreeSet<String> = BTreeSet::new();
    for stage in ["1%", "5%", "20%", "50%", "100%"] {
        let listed = home.succeeds(&["assign", &demo_log(), "--scenario", &demo_scenario(), "--stage", stage]);
        let units: BTreeSet<String> = records(listed.as_bytes()).into_iter().skip(1).flatten().collect();
        let first = everyone[1..].iter().filter(|row| row[1] == stage).map(|row| row[0].clone());
        assert_eq!(first.collect::<BTreeSet<_>>(), units.difference(&before).cloned().collect(), "{stage}");
        before = units;
    }
}

/// `launchdarkly-p006` of the reference vectors, through a scenario: 0.098 is in at 10 % and not at 1 %.
#[test]
fn why_shows_the_way_from_text_to_answer() {
    let home = Home::small();
    let platform = "hash = \"launchdarkly\"\nseed = 61";
    home.write("s.toml", scenario(&[("salt = \"small\"", platform)]));
    let text = home.succeeds(&["assign", "--scenario", "s.toml", "--why", "userKeyA"]);
    assert_eq!(
        text,
        "unit      userKeyA\n\
         platform  launchdarkly, seed `61`\n\
         hashed    61.userKeyA\n\
         hash      sha1, 15 digits: 19175196da26483\n\
         bucket    0.0980120652476667\n\
         stage     10% (10 %): candidate; the candidate has what is below 10000 / 100000\n\
         stage     50% (50 %): candidate; the candidate has what is below 50000 / 100000\n"
    );
    let json = home.succeeds(&["assign", "log.csv", "--scenario", "s.toml", "--why", "userKeyB", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["in_log"], &json["stages"][0]["version"]), (&json!(false), &json!("stable")), "0.145");
}

#[test]
fn an_algorithm_answers_for_one_unit() {
    let home = Home::new();
    let asked = |arguments: &[&str]| -> Value {
        let text = home.succeeds(&[&["assign", "--format", "json", "--hash"], arguments].concat());
        serde_json::from_str(&text).expect("JSON")
    };
    // `statsig-p017`, `unleash-p001`, `growthbook` with a negative value of the platform's own, `split_legacy`.
    let salts =
        ["--set", "spec_salt=48925bf58161acfd67bc241721852349", "--set", "rule_salt=21b384324f689df6d1e8886caeb9bd28"];
    let unit = ["--unit", "67474bfe-354e-49b0-a079-41a25828cef3", "--set", "pass_percentage=41.45"];
    let answer = asked(&[&["statsig"], &salts[..], &unit[..]].concat());
    assert_eq!((&answer["bucket_10000"], &answer["included"]), (&json!(4144), &json!(true)));
    assert_eq!(answer["inputs"]["unit"], "67474bfe-354e-49b0-a079-41a25828cef3");
    let answer = asked(&["unleash", "--set", "group_id=gr1", "--unit", "123"]);
    assert_eq!(answer["normalized"], 73);
    let answer = asked(&["growthbook", "--set", "n=0.4", "--set", "ranges=[[0,0.25],[0.5,0.75]]"]);
    assert_eq!(answer["index"], -1);
    let answer = asked(&["split_legacy", "--set", "seed=467569525", "--unit", "EPxM1cYQnL4AuqD"]);
    assert_eq!((&answer["hash_i32"], &answer["bucket_1_100"]), (&json!(-1_765_572_410), &json!(11)));
    let text =
        home.succeeds(&["assign", "--hash", "flipt_boolean", "--set", "flag_key=test-flag", "--unit", "test-entity"]);
    assert_eq!(text, "bucket_100: 65\n");
}

#[test]
fn what_an_algorithm_cannot_use_is_said_at_once() {
    let home = Home::new();
    home.refuses(
        &[
            "assign",
            "--hash",
            "launchdarkly",
            "--set",
            "key=k",
            "--set",
            "rule_salt=r",
            "--set",
            "seed=x",
            "--unit",
            "u",
        ],
        "error: --set seed: has a value which is not a whole number in range\n\n\
         hint: use -9223372036854775808 to 9223372036854775807\n\n\
         error: --set salt: is needed by `launchdarkly`\n\nhint: salt of the flag\n\n\
         error: --set rule_salt: is not used by `launchdarkly` here\n\nhint: it uses `key`, `salt`, `seed`, `unit`, `weights`\n",
    );
    home.refuses(
        &["assign", "--hash", "eppo", "--set", "salt", "--unit", "u"],
        "error: --set salt: is not NAME=VALUE\n",
    );
    let ran = home.run(&["assign", "--hash", "launch-darkly", "--unit", "u"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("is no algorithm that is known") && ran.stderr.contains("`launchdarkly`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn overrides_are_in_or_out_whatever_the_exposure() {
    let home = Home::new();
    let units = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let rows = Rows::small().set_all("user_id", |row, _| units[row % units.len()].to_owned());
    home.write("log.csv", rows.csv());
    home.write("s.toml", scenario(&[("salt = \"small\"", "salt = \"small\"\noverrides = \"vip.csv\"")]));
    let listed = |home: &Home, stage| -> Vec<String> {
        let text = home.succeeds(&["assign", "log.csv", "--scenario", "s.toml", "--stage", stage]);
        records(text.as_bytes()).into_iter().skip(1).flatten().collect()
    };
    home.write("vip.csv", "unit,version\n");
    let (without, larger) = (listed(&home, "10%"), listed(&home, "50%"));
    let target = units.iter().find(|unit| !without.contains(&(**unit).to_owned())).expect("somebody is not in");
    let held = larger.iter().find(|unit| unit != target).expect("somebody is in").clone();
    home.write("vip.csv", format!("unit,version\n{target},candidate\n{held},stable\n"));
    assert!(listed(&home, "10%").contains(&(*target).to_owned()));
    assert!(!listed(&home, "50%").contains(&held));
}
