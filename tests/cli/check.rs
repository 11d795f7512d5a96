//! `replay check`.

use std::path::Path;

use crate::support::{Home, demo_log, demo_scenario, repository};

/// The log of each scenario in `scenarios/`. Those under `../shared` are not part of the repository.
fn shipped() -> Vec<(String, &'static str)> {
    let entries = std::fs::read_dir(repository("scenarios")).expect("part of the repository");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "toml"));
    names.sort();
    assert!(names.len() >= 5);
    let log = |name: &str| match name {
        "staged.toml"
        | "prompt-change.toml"
        | "kayenta.toml"
        | "watch.toml"
        | "customer-waves.toml"
        | "mesh-cookie.toml"
        | "golden-then-shadow.toml" => "datasets/support-bot.parquet",
        "llm-shadow.toml"
        | "llm-shadow-oracle.toml"
        | "llm-shadow-sequential.toml"
        | "llm-shadow-safety.toml"
        | "llm-serving.toml"
        | "llm-shadow-tenants.toml" => "../shared/datasets/llm-shadow.parquet",
        "embeddings.toml" => "datasets/embeddings.parquet",
        "llm-costdown.toml" => "../shared/datasets/llm-shadow-costdown.parquet",
        "open-bandit.toml" => "../shared/datasets/open-bandit.parquet",
        "judge-scores.toml" => "../shared/datasets/judge-scores.parquet",
        "repeated-trials.toml" => "../shared/datasets/repeated-trials.parquet",
        _ => panic!("say here which log scenarios/{name} is for"),
    };
    names.into_iter().map(|name| (format!("scenarios/{name}"), name)).map(|(path, name)| (path, log(&name))).collect()
}

fn path(name: &str) -> String {
    repository(name).display().to_string()
}

#[test]
fn every_shipped_scenario_fits_its_log() {
    let home = Home::new();
    for (scenario, log) in shipped() {
        let alone = home.succeeds(&["check", "--scenario", &path(&scenario)]);
        assert_eq!(alone, format!("{}: no problems; give a log to check it too\n", path(&scenario)));
        if repository(log).exists() {
            let both = home.succeeds(&["check", &path(log), "--scenario", &path(&scenario)]);
            let counted = both.lines().next().unwrap_or_default();
            assert!(counted.starts_with("no problems: ") && counted.ends_with(" start times fit in the log"), "{both}");
        }
    }
    assert_eq!(home.names(), [""; 0], "checking writes nothing");
}

#[test]
fn a_clean_log_is_counted() {
    let home = Home::new();
    let answer = home.succeeds(&["check", &demo_log(), "--scenario", &demo_scenario()]);
    assert!(
        answer.starts_with("no problems: 45748 requests of 4013 units; 4 start times fit in the log\n"),
        "{answer}"
    );
}

#[test]
fn problems_of_a_scenario_are_found_without_a_log() {
    let home = Home::new();
    home.refuses(&["check", "--scenario", "missing.toml"], "error: missing.toml: does not exist\n");
    home.write("s.toml", "about = 1\n");
    let ran = home.run(&["check", "--scenario", "s.toml"]);
    assert!(ran.code == Some(2) && ran.stderr.starts_with("error: s.toml:1: "), "{ran:?}");
}

#[test]
fn the_schema_accepts_every_shipped_scenario() {
    let home = Home::new();
    let schema = serde_json::from_str(&home.succeeds(&["check", "--schema"])).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for (scenario, _) in shipped() {
        let text = std::fs::read_to_string(repository(&scenario)).expect("readable");
        let table: toml::Table = toml::from_str(&text).expect("TOML");
        let json = serde_json::to_value(table).expect("JSON");
        let errors: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{scenario}: {errors:?}");
        assert!(text.starts_with("#:schema ./scenario.schema.json\n"), "{scenario} tells editors its schema");
        let mut broken = json;
        broken["gates"][0]["alpah"] = 0.05.into();
        assert!(!validator.is_valid(&broken), "{scenario}: an unknown key is refused");
    }
}

#[test]
fn the_committed_schema_is_what_the_program_prints() {
    let printed = Home::new().succeeds(&["check", "--schema"]);
    let committed = std::fs::read_to_string(repository("scenarios/scenario.schema.json")).unwrap_or_default();
    assert!(
        printed == committed,
        "scenarios/scenario.schema.json is out of date; write it again with `cargo run --release -- check --schema > \
         scenarios/scenario.schema.json`"
    );
}
