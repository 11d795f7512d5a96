//! `replay plan`.

use serde_json::Value;

use crate::support::{Home, Ran, scenario, tree};

/// Effects on the small log: one that is easy to find, one that is hard, one within its margin.
const EFFECTS: &str = "
[[effects]]
name = \"quality a third\"
metric = \"quality\"
scale = 0.3

[[effects]]
name = \"cost twice\"
metric = \"cost\"
scale = 2.0

[[effects]]
name = \"quality hardly lower\"
metric = \"quality\"
scale = 0.99
";

/// The small log with a scenario that has effects.
fn home() -> Home {
    let home = Home::small();
    let text = scenario(&[
        ("replicates = 10", "replicates = 60"),
        (
            "metric = \"cost\"\nallow = \"10%\"",
            "metric = \"cost\"                # agreed with finance\nallow = \"10%\"",
        ),
    ]);
    home.write("s.toml", text + EFFECTS);
    home
}

fn plan(home: &Home, limits: &[&str], more: &[&str], out: &str) -> Ran {
    let limits: Vec<&str> = limits.iter().flat_map(|limit| ["--limit", *limit]).collect();
    home.run(
        &[&["plan", "log.csv", "--scenario", "s.toml", "--effort", "quick", "--out", out][..], &limits, more].concat(),
    )
}

fn json(home: &Home, name: &str) -> Value {
    serde_json::from_slice(&home.read(name)).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

const FEASIBLE: [&str; 4] = ["false_rollback<=20%", "miss<=20%", "exposed_requests<=400", "days<=2"];

#[test]
fn a_plan_keeps_its_limits_and_its_scenario_gives_its_numbers() {
    let home = home();
    let ran = plan(&home, &FEASIBLE, &[], "out");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.stdout.contains("Feasible: ") && ran.stdout.contains("out/plan.toml"), "{}", ran.stdout);
    let plan = json(&home, "out/plan.json");
    assert_eq!((&plan["schema"], &plan["feasible"]), (&Value::from("replay.plan/1"), &Value::from(true)));
    assert_eq!(
        plan["bad_worlds"],
        serde_json::json!(["quality a third", "cost twice"]),
        "what is within its margin is not bad"
    );
    for row in plan["chosen"]["fresh"].as_array().expect("rows") {
        assert_eq!(row["kept"], true, "{row}");
        assert!(number(&row["low"]) <= number(&row["value"]) && number(&row["value"]) <= number(&row["high"]), "{row}");
    }
    let run = plan["fresh"].as_array().and_then(|runs| runs.last()).expect("a fresh run");
    assert!(run["kept"] == true && run["seed"] != plan["seed"], "confirmed on another seed: {run}");

    // The file is a scenario, keeps what was not asked for, and the main job says the same of it.
    let text = String::from_utf8(home.read("out/plan.toml")).expect("UTF-8");
    assert!(text.starts_with("# Written by replay") && text.contains("# agreed with finance"), "{text}");
    home.succeeds(&["check", "log.csv", "--scenario", "out/plan.toml"]);
    let seed = run["seed"].to_string();
    let report = home.report("log.csv", "out/plan.toml", &["--seed", &seed], "report");
    let days = number(&plan["chosen"]["candidate"]["days"]);
    for world in plan["chosen"]["worlds"].as_array().expect("worlds") {
        let worlds = report.json["worlds"].as_array().expect("worlds");
        let same = worlds.iter().find(|other| other["world"] == world["world"]).expect("the same worlds");
        for part in ["promoted", "rolled_back", "stalled", "detected"] {
            assert_eq!(same[part], world[part], "{} {part}", world["world"]);
        }
        assert!((number(&same["exposed_requests"]["mean"]) - number(&world["exposed_requests"]["mean"])).abs() < 1e-6);
    }
    let stages = report.json["stages"].as_array().expect("stages");
    let lasts: f64 = stages.iter().map(|stage| number(&stage["duration_s"])).sum();
    assert!((lasts / 86_400.0 - days).abs() < 1e-9 && days <= 2.0);
    // What --require asks of the plan is what --limit asked of the search.
    let required: Vec<&str> = FEASIBLE.iter().flat_map(|limit| ["--require", *limit]).collect();
    home.succeeds(
        &[&["log.csv", "--scenario", "out/plan.toml", "--seed", &seed, "--out", "again"][..], &required].concat(),
    );
}

#[test]
fn a_plan_is_whole_and_the_same_for_any_number_of_threads() {
    let home = home();
    let one = plan(&home, &FEASIBLE, &["--threads", "1"], "one");
    let two = plan(&home, &FEASIBLE, &["--threads", "2"], "two");
    assert_eq!((one.code, two.code), (Some(0), Some(0)), "{one:?}");
    let files = tree(&home.path("one"));
    assert!(files == tree(&home.path("two")), "threads change nothing");
    let names = [
        "plan.html",
        "plan.json",
        "plan.toml",
        "figures/plan.png",
        "figures/plan.svg",
        "tables/candidates.csv",
        "tables/limits.parquet",
    ];
    for name in names {
        assert!(files.get(name).is_some_and(|bytes| !bytes.is_empty()), "{name}");
    }
    let schema: Value = serde_json::from_str(&home.succeeds(&["schema", "plan"])).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let found = json(&home, "one/plan.json");
    assert!(validator.is_valid(&found), "{:?}", validator.iter_errors(&found).next());
    // Another seed is another search; a plan replaces a plan.
    assert_eq!(plan(&home, &FEASIBLE, &["--seed", "99"], "one").code, Some(0));
    assert_eq!(json(&home, "one/plan.json")["seed"], 99);
}

#[test]
fn where_nothing_fits_it_says_what_would() {
    let home = home();
    let ran = plan(&home, &["miss<=1%", "exposed_requests<=2", "days<=0.5"], &[], "out");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.stdout.contains("Infeasible: ") && ran.stdout.contains("WHAT WOULD HELP"), "{}", ran.stdout);
    let plan = json(&home, "out/plan.json");
    assert_eq!(plan["feasible"], false);
    let kinds: Vec<&str> =
        plan["advice"].as_array().expect("rows").iter().filter_map(|row| row["kind"].as_str()).collect();
    for kind in ["segments", "shadow"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    // No plan is written, but what comes nearest.
    assert!(!home.path("out/plan.toml").exists());
    home.succeeds(&["check", "log.csv", "--scenario", "out/nearest.toml"]);
}

#[test]
fn fresh_seeds_confirm_what_was_reported() {
    let home = home();
    assert_eq!(plan(&home, &["miss<=25%", "days<=2"], &["--replicates", "200"], "out").code, Some(0));
    let plan = json(&home, "out/plan.json");
    // A run of its own, on a seed that neither the search nor the confirmation saw.
    let report = home.report("log.csv", "out/plan.toml", &["--seed", "4242", "--replicates", "400"], "report");
    for world in plan["chosen"]["worlds"].as_array().expect("worlds") {
        let worlds = report.json["worlds"].as_array().expect("worlds");
        let other = worlds.iter().find(|other| other["world"] == world["world"]).expect("the same worlds");
        let (a, b) = (number(&world["promoted"]["share"]), number(&other["promoted"]["share"]));
        // Four standard errors of the difference, and a little where both are certain.
        let se = (a * (1.0 - a) / 200.0 + b * (1.0 - b) / 400.0).sqrt();
        assert!((a - b).abs() <= 4.0 * se + 0.02, "{}: {a} {b}", world["world"]);
    }
}

#[test]
fn every_problem_of_limits_and_scenario_is_named() {
    let home = home();
    let refuses = |limits: &[&str], stderr: &str| {
        let limits: Vec<&str> = limits.iter().flat_map(|limit| ["--limit", *limit]).collect();
        home.refuses(&[&["plan", "log.csv", "--scenario", "s.toml"][..], &limits].concat(), stderr);
    };
    refuses(
        &["power>=0.8", "days<=0", "miss<=1%", "miss<=2%"],
        "error: --limit: `power>=0.8`: `power` is nothing that can be required\n\nhint: what can be required: `promoted>=`, `false_rollback<=`, `miss<=`, `exposed_requests<=`, `days<=`\n\nerror: --limit: `days<=0`: no rollout takes no time or serves nothing\n\nhint: write a number above 0, such as `days<=7`\n\nerror: --limit: `miss<=2%`: `miss` is limited twice\n\nhint: keep the one that is meant\n",
    );
    refuses(
        &["days<=0.01"],
        "error: --limit: `days<=0.01` is shorter than a slot of 1h\n\nhint: allow more days, or use a finer `log.slot`\n",
    );
    home.write("s.toml", scenario(&[]));
    refuses(
        &["miss<=5%"],
        "error: --limit: `miss<=5%`: no effect of s.toml is past a gate's margin, so there is nothing to find\n\nhint: add `[[effects]]` worse than what a gate allows, such as `scale = 0.9` on a metric where higher is better\n",
    );
    home.write("s.toml", scenario(&[]) + &EFFECTS.replacen("scale = 0.3", "scale = 0.3\nonset = \"30h\"", 1));
    refuses(
        &["miss<=5%", "days<=1"],
        "error: --limit: `days<=1` contradicts `miss`: effect `quality a third` sets in 1d 6h after the start, when the rollout is over\n\nhint: allow more days, or let the effect set in earlier\n",
    );
    let none = home.run(&["plan", "log.csv", "--scenario", "s.toml"]);
    assert!(none.code == Some(2) && none.stderr.contains("--limit <LIMIT>"), "{none:?}");
}
