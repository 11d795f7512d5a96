//! `replay compare`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Home, Rows, demo_log, demo_scenario, repository, scenario, tree};

const FEW: [&str; 2] = ["--replicates", "24"];

/// Compares and gives `compare.json`.
fn compare(home: &Home, arguments: &[&str], out: &str) -> Value {
    home.succeeds(&[&["compare"], arguments, &["--out", out]].concat());
    serde_json::from_slice(&home.read(&format!("{out}/compare.json"))).expect("JSON")
}

/// Per world: what the main job and a comparison both say.
fn endings(worlds: &Value) -> BTreeMap<String, Vec<f64>> {
    let number = |value: &Value| value.as_f64().expect("a number");
    let row = |world: &Value| {
        let mut shares: Vec<f64> =
            ["promoted", "rolled_back", "stalled", "detected"].map(|part| number(&world[part]["share"])).to_vec();
        shares.push((number(&world["exposed_requests"]["mean"]) * 1e6).round());
        shares.push((number(&world["exposed_units"]["mean"]) * 1e6).round());
        shares.push(number(&world["duration_s"]["p50"]));
        shares.push(world["time_to_detect_s"]["p90"].as_f64().unwrap_or(-1.0));
        (world["world"].as_str().expect("a name").to_owned(), shares)
    };
    worlds.as_array().expect("a list").iter().map(row).collect()
}

#[test]
fn a_variant_says_what_the_main_job_says_of_its_file() {
    let home = Home::new();
    // No gate on a quantile changes: those share a grid.
    let sweeps = ["--sweep", "gates.task success.allow=1%,0.25%", "--sweep", "rollout.promote=no-fail,all-pass"];
    let found = compare(&home, &[&[&demo_log(), "--scenario", &demo_scenario()], &FEW[..], &sweeps].concat(), "out");
    assert_eq!((found["simulations"].as_u64(), found["variants"].as_array().expect("a list").len()), (Some(1), 4));
    let text = std::fs::read_to_string(repository("scenarios/staged.toml")).expect("part of the repository");
    for (index, (allow, promote)) in
        [("1%", "no-fail"), ("1%", "all-pass"), ("0.25%", "no-fail"), ("0.25%", "all-pass")].into_iter().enumerate()
    {
        let text = text.replacen(
            "metric = \"success\"\nallow = \"1%\"",
            &format!("metric = \"success\"\nallow = \"{allow}\""),
            1,
        );
        home.write("own.toml", text.replace("promote = \"no-fail\"", &format!("promote = \"{promote}\"")));
        let alone = home.report(&demo_log(), "own.toml", &FEW, "own");
        let variant = &found["variants"][index];
        assert_eq!(endings(&variant["worlds"]), endings(&alone.json["worlds"]), "{allow} {promote}");
        let settings: Vec<&str> =
            variant["settings"].as_array().expect("a list").iter().filter_map(|set| set["value"].as_str()).collect();
        assert_eq!(settings, [allow, promote]);
    }
}

#[test]
fn the_score_of_kayenta_s_gates_is_compared() {
    let home = Home::new();
    let text = std::fs::read_to_string(repository("scenarios/kayenta.toml")).expect("part of the repository");
    let (log, scenario) = (demo_log(), repository("scenarios/kayenta.toml").display().to_string());
    let sweeps = ["--sweep", "rollout.kayenta.pass=95,75", "--sweep", "gates.cost.allow=8%,1%"];
    let arguments =
        [&[&log, "--scenario", &scenario], &FEW[..], &sweeps, &["--sweep", "rollout.kayenta.interval=3h,6h"]].concat();
    let found = compare(&home, &arguments, "out");
    assert_eq!(found["simulations"], 1);
    let mut variants = found["variants"].as_array().expect("a list").iter();
    let mut ends = Vec::new();
    for pass in ["95", "75"] {
        for allow in ["8%", "1%"] {
            for interval in ["3h", "6h"] {
                let text = text
                    .replace("pass = 95", &format!("pass = {pass}"))
                    .replace("metric = \"cost\"\nallow = \"8%\"", &format!("metric = \"cost\"\nallow = \"{allow}\""))
                    .replace("interval = \"3h\"", &format!("interval = \"{interval}\""));
                home.write("own.toml", text);
                let alone = home.report(&log, "own.toml", &FEW, "own");
                let variant = endings(&variants.next().expect("eight variants")["worlds"]);
                assert_eq!(variant, endings(&alone.json["worlds"]), "{pass} {allow} {interval}");
                ends.push(variant);
            }
        }
    }
    assert!(ends[0] != ends[4], "what a score must reach decides something");
}

#[test]
fn a_comparison_is_whole_and_the_same_for_any_number_of_threads() {
    let home = Home::small();
    let arguments = [
        "log.csv",
        "--scenario",
        "s.toml",
        "--sweep",
        "gates.*.alpha=0.05,0.2",
        "--sweep",
        "stages.10%.duration=6h,12h",
    ];
    let json = compare(&home, &[&arguments[..], &["--threads", "1"]].concat(), "one");
    compare(&home, &[&arguments[..], &["--threads", "3"]].concat(), "three");
    let files = tree(&home.path("one"));
    assert!(files == tree(&home.path("three")), "threads change nothing");
    for name in [
        "compare.html",
        "compare.json",
        "figures/pareto.png",
        "figures/pareto.svg",
        "tables/variants.csv",
        "tables/variants.parquet",
        "tables/worlds.csv",
        "tables/worlds.parquet",
    ] {
        assert!(files.get(name).is_some_and(|bytes| !bytes.is_empty()), "{name}");
    }
    let schema: Value = serde_json::from_str(&home.succeeds(&["schema", "comparison"])).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(validator.is_valid(&json), "{:?}", validator.iter_errors(&json).next());
    assert_eq!(json["schema"], "replay.comparison/1");
    // Two durations, two simulations; alpha needs none of its own.
    assert_eq!(json["simulations"], 2);
    let simulation: Vec<u64> =
        json["variants"].as_array().expect("a list").iter().filter_map(|row| row["simulation"].as_u64()).collect();
    assert_eq!(simulation, [1, 2, 1, 2]);
    assert!(json["notes"][0].as_str().is_some_and(|note| note.contains("leave room for the longest schedule, 1d 12h")));
    let html = String::from_utf8(files["compare.html"].clone()).expect("UTF-8");
    for outside in ["src=\"http", "href=\"http", "@import", "url(http"] {
        assert!(!html.contains(outside), "{outside}");
    }
    // A comparison replaces a comparison, and no report.
    compare(&home, &arguments, "one");
    home.report("log.csv", "s.toml", &[], "report");
    let place = home.path("report").canonicalize().expect("is there");
    let refusal = format!(
        "error: {}: exists and holds `report.html`, which is not part of a report\n\nhint: choose another --out\n",
        place.display()
    );
    home.refuses(&[&["compare"], &arguments[..], &["--out", "report"]].concat(), &refusal);
}

#[test]
fn differences_are_paired_with_the_first() {
    let home = Home::small();
    home.write("same.toml", scenario(&[]));
    home.write(
        "strict.toml",
        scenario(&[(
            "name = \"cost\"\nmetric = \"cost\"\nallow = \"10%\"",
            "name = \"cost\"\nmetric = \"cost\"\nallow = \"0.1%\"",
        )]),
    );
    let json = compare(
        &home,
        &["log.csv", "--scenario", "s.toml", "--scenario", "same.toml", "--scenario", "strict.toml"],
        "out",
    );
    let variants = json["variants"].as_array().expect("a list");
    assert!(variants[0]["differences"].is_null());
    for part in ["false_rollback", "good_stopped", "missed", "time_to_detect_s", "exposed_requests", "exposed_units"] {
        assert_eq!(
            variants[1]["differences"][part],
            serde_json::json!({"mean": 0.0, "low": 0.0, "high": 0.0}),
            "{part}"
        );
        let difference = variants[2]["differences"][part]["mean"].as_f64().expect("a number");
        let of = |row: &Value| row[part]["mean"].as_f64().or(row[part]["share"].as_f64()).expect("a number");
        assert!((difference - (of(&variants[2]) - of(&variants[0]))).abs() < 1e-6, "{part}");
    }
    assert_eq!((&variants[1]["same_as"], &variants[0]["same_as"]), (&Value::from(1), &Value::Null));
    // Without effects, a bad candidate is one at a gate's margin.
    assert_eq!(json["bad_worlds"], "margin");
}

#[test]
fn every_problem_of_every_variant_is_named_once() {
    let home = Home::small();
    home.refuses(
        &["compare", "log.csv", "--scenario", "s.toml", "--sweep", "gates.cost.alpha=0.05,2", "--sweep", "gates.cost.power=0.8,0.9"],
        "error: s.toml with gates.cost.alpha=2, gates.cost.power=0.8:66: `gates[2].alpha` is `2`, which is not above 0 and at most 0.5 (and so in another variant)\n",
    );
    home.refuses(
        &["compare", "log.csv", "--scenario", "s.toml", "--sweep", "gates.costs.alpha=0.05", "--sweep", "gates.cost.alpha"],
        "error: --sweep gates.cost.alpha: has no `=`\n\nhint: write `KEY=V1,V2,..`, such as `gates.task quality.allow=0.5%,1%,2%` or `stages.5%.duration=12h,24h`\n",
    );
    home.refuses(
        &["compare", "log.csv", "--scenario", "s.toml", "--sweep", "gates.costs.alpha=0.05"],
        "error: s.toml, --sweep gates.costs.alpha=0.05: `costs.alpha` does not begin with the name of one of `gates` and a key of it\n\nhint: did you mean `cost`? names: `quality`, `latency`, `cost`, or `*` for all\n",
    );
    home.refuses(
        &["compare", "log.csv", "--scenario", "s.toml", "--sweep", "simulation.seed=1,2"],
        "error: --sweep simulation.seed=1,2: `simulation.seed` cannot be compared\n\nhint: all variants share it; use `--seed`\n",
    );
}

/// `compare.json` of strategies for the small log, whose judge takes a cent for each answer.
fn strategies(home: &Home, more: &[&str], out: &str) -> Value {
    home.write("log.csv", Rows::small().csv());
    home.write(
        "s.toml",
        scenario(&[("column = \"{version}_error\"", "column = \"{version}_error\"\nmeasured = { cost_usd = 0.01 }")]),
    );
    compare(home, &[&["log.csv", "--scenario", "s.toml", "--strategies"], more].concat(), out)
}

/// A world of a strategy.
fn world<'v>(found: &'v Value, strategy: &str, name: &str) -> &'v Value {
    let named = |list: &'v Value, key: &str, name: &str| {
        list.as_array().expect("a list").iter().find(|row| row[key] == name).unwrap_or_else(|| panic!("{name}"))
    };
    named(&named(&found["strategies"], "name", strategy)["worlds"], "world", name)
}

#[test]
fn strategies_take_the_replicas_and_judges_that_their_models_say() {
    let home = Home::new();
    let found = strategies(&home, &[], "out");
    let schema: Value = serde_json::from_str(&home.succeeds(&["schema", "strategies"])).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(validator.is_valid(&found), "{:?}", validator.iter_errors(&found).next());
    let mean = |strategy: &str, part: &str| world(&found, strategy, "null")[part]["mean"].as_f64().expect("a number");
    let kept = |strategy: &str| world(&found, strategy, "null")["kept"]["share"].as_f64().expect("a number");
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6 * b.abs().max(1.0), "{a} {b}");
    for strategy in ["this schedule", "fixed 50/50"] {
        near(kept(strategy), 1.0);
    }
    // 10 % for 12 hours and 50 % for 24; half for all 36; the old version warm for as long; a mirror of 12 hours.
    near(mean("this schedule", "replica_hours"), 0.1 * 12.0 + 0.5 * 24.0);
    near(mean("fixed 50/50", "replica_hours"), 18.0);
    near(mean("big bang", "replica_hours"), 0.0);
    near(mean("shadow, then big bang", "replica_hours"), 12.0);
    near(mean("big bang", "exposed_requests"), mean("blue-green", "exposed_requests"));
    // Every answer of a big bang is the candidate's and is judged once.
    near(mean("big bang", "judge_usd"), 0.01 * mean("big bang", "exposed_requests"));
    // Both arms are judged, so two schedules of one length that nothing stops cost the same.
    near(mean("this schedule", "judge_usd"), mean("fixed 50/50", "judge_usd"));
    let full = |strategy: &str| world(&found, strategy, "null")["time_to_full_s"].as_f64().expect("a number") / 3600.0;
    let hours = ["this schedule", "big bang", "blue-green", "shadow, then big bang", "fixed 50/50"].map(full);
    assert!(hours.iter().zip([36.0, 0.0, 0.0, 12.0, 36.0]).all(|(a, b)| (a - b).abs() < 1e-9), "{hours:?}");
}

#[test]
fn this_schedule_among_strategies_is_that_of_a_plain_comparison() {
    let home = Home::new();
    let found = strategies(&home, &[], "out");
    let plain = compare(&home, &["log.csv", "--scenario", "s.toml"], "plain");
    for row in plain["variants"][0]["worlds"].as_array().expect("a list") {
        let name = row["world"].as_str().expect("a name");
        let own = world(&found, "this schedule", name);
        assert_eq!(own["kept"], row["promoted"], "{name}");
        assert_eq!(own["rolled_back"], row["rolled_back"], "{name}");
        if row["stalled"]["share"] == 0.0 {
            assert_eq!(own["exposed_requests"], row["exposed_requests"], "{name}");
            assert_eq!(own["exposed_units"], row["exposed_units"], "{name}");
        }
    }
}

#[test]
fn a_mirror_blocks_what_its_requests_show() {
    let home = Home::new();
    home.write("log.csv", Rows::small().csv());
    // Answers scatter by about 0.4, of a mean of 0.5 over some 240 requests: a tenth of it is past 1.9 standard errors of the mean, all of it past 19.
    let effects = ["0.9", "0.01"]
        .map(|scale| format!("\n[[effects]]\nname = \"times {scale}\"\nmetric = \"quality\"\nscale = {scale}\n"));
    home.write("s.toml", scenario(&[]) + &effects.concat());
    let found = compare(&home, &["log.csv", "--scenario", "s.toml", "--strategies"], "out");
    let blocked =
        |name: &str| world(&found, "shadow, then big bang", name)["blocked"]["share"].as_f64().expect("a share");
    let (null, some, all) = (blocked("null"), blocked("times 0.9"), blocked("times 0.01"));
    assert!(null <= some && some < all && all > 0.99, "{null} {some} {all}");
    assert_eq!(world(&found, "big bang", "times 0.01")["blocked"]["share"], 0.0);
}

#[test]
fn strategies_are_the_same_for_any_number_of_threads() {
    let home = Home::new();
    strategies(&home, &["--threads", "1"], "one");
    strategies(&home, &["--threads", "2"], "two");
    assert!(tree(&home.path("one")) == tree(&home.path("two")), "threads change nothing");
}

#[test]
fn a_mirror_that_leaves_no_time_is_refused() {
    let home = Home::small();
    let arguments = ["compare", "log.csv", "--scenario", "s.toml", "--strategies", "--shadow", "36h"];
    home.refuses(
        &arguments,
        "error: s.toml: the mirror before a big bang takes 1d 12h, of a schedule of 1d 12h\n\nhint: give `--shadow` a multiple of 1h, shorter than the schedule\n",
    );
}
