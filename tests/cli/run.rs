//! The main job.

use std::collections::BTreeSet;
use std::io::Cursor;

use polars::prelude::{ParquetReader, SerReader as _};
use serde_json::Value;

use crate::support::{Home, Report, assert_same_files, assert_well_formed, demo_log, demo_scenario, records, scenario};

const FEW: [&str; 2] = ["--replicates", "6"];

fn demo(home: &Home, more: &[&str], out: &str) -> Report {
    home.report(&demo_log(), &demo_scenario(), &[&FEW, more].concat(), out)
}

#[test]
fn the_demo_gives_a_whole_report() {
    let home = Home::new();
    let report = demo(&home, &[], "out");
    let top: BTreeSet<&str> = report.files.keys().filter_map(|name| name.split('/').next()).collect();
    assert_eq!(top, ["figures", "report.html", "report.json", "tables"].into());
    assert_eq!(home.names().iter().filter(|name| !name.starts_with("out/")).count(), 0, "nothing beside it");
    assert_json(&home, &report);
    assert_tables(&report);
    assert_figures(&report);
    let html = report.text("report.html");
    assert!(html.to_lowercase().starts_with("<!doctype html>"));
    for outside in ["src=\"http", "src='http", "href=\"http", "@import", "url(http"] {
        assert!(!html.contains(outside), "readable without a network, but has {outside}");
    }
}

/// Valid against `replay schema report`, and with every name that section 8 of the design promises.
fn assert_json(home: &Home, report: &Report) {
    let schema: Value = serde_json::from_str(&home.succeeds(&["schema", "report"])).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = validator.iter_errors(&report.json).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");

    assert_eq!(report.json["schema"], "replay.report/1");
    assert_eq!(report.json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((report.json["seed"].as_u64(), report.json["replicates"].as_u64()), (Some(7), Some(6)));
    let command = format!("replay {} --scenario {} --replicates 6", demo_log(), demo_scenario());
    assert_eq!(report.json["command"], command.as_str());
    assert_eq!(report.json["log"]["rows"], 45_748);
    assert_eq!(report.json["log"]["units"], 4013);

    let names = |value: &Value, place: &str, names: &[&str]| {
        let held = value.as_object().unwrap_or_else(|| panic!("{place} is an object"));
        let missing: Vec<_> = names.iter().filter(|name| !held.contains_key(**name)).collect();
        assert!(missing.is_empty(), "{place} has no {missing:?}");
    };
    names(&report.json["log"], "log", &["rows", "units", "start", "end", "fingerprint", "excluded"]);
    let lists: [(&str, &[&str]); 3] = [
        (
            "shadow",
            &[
                "metric",
                "segment",
                "stable",
                "candidate",
                "difference",
                "se_unit",
                "se_item",
                "low",
                "high",
                "units",
                "requests",
                "allow",
                "shown",
            ],
        ),
        (
            "worlds",
            &[
                "world",
                "promoted",
                "rolled_back",
                "stalled",
                "causes",
                "stages",
                "detected",
                "time_to_detect_s",
                "exposed_requests",
                "exposed_units",
                "excess_bad",
                "cost_usd",
            ],
        ),
        (
            "gates",
            &[
                "stage",
                "gate",
                "metric",
                "segment",
                "test",
                "alpha",
                "rates",
                "difference",
                "se",
                "power_closed_form",
                "mde",
                "units_needed",
                "requests_needed",
                "duration_needed_s",
                "exposure_needed",
            ],
        ),
    ];
    for (list, of_row) in lists {
        assert!(!report.rows(list).is_empty(), "{list} is empty");
        report.rows(list).iter().for_each(|row| names(row, list, of_row));
    }
    for world in report.rows("worlds") {
        names(&world["causes"], "causes", &["harm", "noise", "no_data"]);
        let of_stage = ["stage", "entered", "rolled_back", "promoted"];
        world["stages"].as_array().expect("a list").iter().for_each(|stage| names(stage, "stages", &of_stage));
        for share in ["promoted", "rolled_back", "stalled", "detected"] {
            names(&world[share], share, &["share", "low", "high"]);
        }
        let ends = ["promoted", "rolled_back", "stalled"].map(|end| world[end]["share"].as_f64().expect("a number"));
        assert!((ends.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{}: {ends:?}", world["world"]);
    }
    for row in report.rows("gates") {
        names(&row["rates"], "rates", &["null", "margin", "recorded"]);
        names(&row["rates"]["null"], "rates.null", &["pass", "fail"]);
    }
    let worlds: Vec<&str> = report.rows("worlds").iter().filter_map(|row| row["world"].as_str()).collect();
    for world in ["recorded", "null", "margin: cost", "latency 20 % higher"] {
        assert!(worlds.contains(&world), "no world {world} in {worlds:?}");
    }
}

/// Each table twice, with one row for each row of report.json.
fn assert_tables(report: &Report) {
    let list = |value: &Value| value.as_array().map_or(0, Vec::len);
    let nested = |rows: &str, inner: &str| report.rows(rows).iter().map(|row| list(&row[inner])).sum::<usize>();
    let keyed = |rows: &str, inner: &str| {
        report.rows(rows).iter().map(|row| row[inner].as_object().map_or(0, serde_json::Map::len)).sum::<usize>()
    };
    let planning = &report.json["planning"];
    let inner =
        |rows: &Value, key: &str| rows.as_array().map_or(0, |rows| rows.iter().map(|row| list(&row[key])).sum());
    let cells = |map: &Value| list(&map["exposures"]) * list(&map["durations_s"]);
    let steps = |sizes: &Value| -> usize {
        sizes.as_array().map_or(0, |sizes| sizes.iter().map(|size| inner(&size["points"], "detection_curve")).sum())
    };
    let expected = [
        ("worlds", report.rows("worlds").len()),
        ("world_stages", nested("worlds", "stages")),
        ("rolled_back_by", nested("worlds", "rolled_back_by")),
        ("excess_bad", keyed("worlds", "excess_bad")),
        ("gates", report.rows("gates").len()),
        ("gate_rates", keyed("gates", "rates")),
        ("shadow", report.rows("shadow").len()),
        ("health", report.rows("health").len()),
        ("self_check", report.rows("self_check").len()),
        ("power", nested("power_curves", "points")),
        ("detection", nested("worlds", "detection_curve")),
        ("exposure", nested("worlds", "exposure_fan")),
        ("needs", list(&planning["needs"])),
        ("power_time", inner(&planning["times"], "points")),
        ("power_map", list(&planning["maps"]) * cells(&planning["maps"][0])),
        ("sizes", inner(&planning["sizes"], "points")),
        ("detection_by_size", steps(&planning["sizes"])),
        ("shadow_worth", list(&planning["shadow"])),
    ];
    let names: BTreeSet<String> = expected
        .iter()
        .flat_map(|(name, _)| [format!("tables/{name}.csv"), format!("tables/{name}.parquet")])
        .collect();
    let found = report.files.keys().filter(|name| name.starts_with("tables/") && !name.ends_with('/'));
    assert_eq!(found.cloned().collect::<BTreeSet<_>>(), names);
    for (name, rows) in expected {
        assert!(rows > 0, "{name} is empty");
        let csv = records(&report.files[&format!("tables/{name}.csv")]);
        let parquet = Cursor::new(report.files[&format!("tables/{name}.parquet")].as_slice());
        let frame = ParquetReader::new(parquet).finish().expect("Parquet");
        assert_eq!((csv.len() - 1, frame.height()), (rows, rows), "{name}");
        let header: Vec<&str> = frame.get_column_names().iter().map(|name| name.as_str()).collect();
        assert_eq!(csv[0], header, "{name}");
    }
}

/// Each figure twice; pictures decode and show something.
fn assert_figures(report: &Report) {
    let stems = |ending: &str| -> BTreeSet<String> {
        let figures = report.with_ending(ending).filter_map(|name| name.strip_prefix("figures/"));
        figures.map(|name| name.trim_end_matches(ending).to_owned()).collect()
    };
    assert_eq!(stems(".svg"), stems(".png"));
    assert!(stems(".svg").len() >= 4, "{:?}", stems(".svg"));
    for name in report.with_ending(".svg") {
        assert!(report.text(name).contains("<svg"), "{name}");
        assert_well_formed(name, report.text(name));
    }
    for name in report.with_ending(".png") {
        let mut reader = png::Decoder::new(Cursor::new(&report.files[name])).read_info().expect("PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("fits in memory")];
        let info = reader.next_frame(&mut pixels).expect("decodes");
        assert!(info.width >= 200 && info.height >= 100, "{name}: {info:?}");
        let size = info.color_type.samples();
        let background = &pixels[..size];
        let drawn = pixels.chunks(size).filter(|pixel| pixel != &background).count();
        let all = pixels.len() / size;
        assert!(drawn > all / 500 && drawn < all, "{name}: {drawn} of {all} pixels are drawn");
    }
}

#[test]
fn the_number_of_threads_does_not_matter_and_the_seed_does() {
    let home = Home::new();
    let one = demo(&home, &["--threads", "1"], "one");
    let two = demo(&home, &["--threads", "2"], "two");
    assert_same_files(&one.files, &two.files);
    let same_seed = demo(&home, &["--seed", "7"], "same");
    assert_eq!(one.findings(), same_seed.findings());
    let other = demo(&home, &["--seed", "8"], "other");
    assert_eq!(other.json["seed"], 8);
    assert_ne!(one.json["worlds"], other.json["worlds"]);
    assert_eq!(one.json["shadow"], other.json["shadow"], "nothing random is in what the log alone says");
}

#[test]
fn a_calibrated_budget_is_named_and_the_same_for_any_threads() {
    let home = Home::small();
    let budget = ("promote = \"no-fail\"", "promote = \"no-fail\"\nfalse_rollback = \"10%\"\nbudget = \"calibrated\"");
    home.write("calibrated.toml", scenario(&[budget]));
    let one = home.report("log.csv", "calibrated.toml", &["--threads", "1"], "one");
    let two = home.report("log.csv", "calibrated.toml", &["--threads", "2"], "two");
    assert_same_files(&one.files, &two.files);
    let budget = &one.json["budget"];
    assert_eq!((&budget["how"], &budget["replicates"]), (&"calibrated".into(), &1000.into()));
    let alpha = budget["alpha"].as_f64().expect("a number");
    assert!(alpha > 0.0 && budget["calibrated"]["low"].as_f64().expect("a number") < 0.1, "{budget}");
    let checked = one.json["self_check"].as_array().expect("rows").iter();
    let errors: Vec<_> = checked.filter(|row| row["gate"] == "all gates together").map(|row| &row["error"]).collect();
    assert_eq!(errors, ["false alarm", "wrong failure"]);
    assert!(one.json["stages"][0]["together"]["pass"]["share"].is_number());
}

#[test]
fn a_report_replaces_the_earlier_one_whole() {
    let home = Home::small();
    home.report_of_log();
    let first = home.report("log.csv", "s.toml", &["--seed", "1"], "replay-report");
    let names: Vec<String> = first.files.keys().cloned().collect();
    let second = home.report("log.csv", "s.toml", &["--seed", "2"], "replay-report");
    assert_eq!(names, second.files.keys().cloned().collect::<Vec<_>>());
    assert_eq!(second.json["seed"], 2);
    let beside: Vec<String> = home.names().into_iter().filter(|name| !name.starts_with("replay-report")).collect();
    assert_eq!(beside, ["log.csv", "s.toml"]);
}

#[test]
fn the_command_in_the_report_can_be_typed_again() {
    let home = Home::small();
    home.write("a log.csv", home.read("log.csv"));
    let report = home.report("a log.csv", "s.toml", &["--threads", "1", "--seed", "3"], "out");
    assert_eq!(report.json["command"], "replay 'a log.csv' --scenario s.toml --seed 3");
}

#[test]
fn usage_errors_say_what_is_missing() {
    let home = Home::small();
    let refused = |arguments: &[&str], says: &str| {
        let ran = home.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
    };
    refused(&["log.csv"], "--scenario <FILE>");
    refused(&["--scenario", "s.toml"], "<LOG>");
    refused(&["log.csv", "--scenario", "s.toml", "--replicates", "0"], "0 is not in 1..=1000000");
    refused(&["log.csv", "--scenario", "s.toml", "--threads", "0"], "0 is not in 1..=1024");
    refused(&["log.csv", "--scenario", "s.toml", "--seed", "-1"], "-1");
    refused(&["log.csv", "--scenario", "s.toml", "--replicate", "5"], "--replicates");
    assert_eq!(home.names(), ["log.csv", "s.toml"]);
    assert_eq!(home.succeeds(&["--version"]), format!("replay {}\n", env!("CARGO_PKG_VERSION")));
    for arguments in [vec!["--help"], vec!["assign", "--help"], vec!["digest", "--help"]] {
        assert!(home.succeeds(&arguments).contains("Usage: replay"));
    }
    // Without arguments the help is an answer to a mistake.
    let ran = home.run(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("Usage: replay"));
}
