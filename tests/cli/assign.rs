//! `replay assign`: who gets the candidate.

use std::collections::BTreeSet;

use serde::Deserialize;

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
    let expected: BTreeSet<&str> = hostile.into();
    assert_eq!(listed, expected.into_iter().collect::<Vec<_>>());
}
