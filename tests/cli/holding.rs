//! Stages that are held while a gate waits.

use serde_json::Value;

use crate::support::{Home, Report, demo_log, demo_scenario};

const FEW: [&str; 2] = ["--replicates", "60"];

/// The demo's schedule under two gates that have to pass from the second stage on, and can.
fn scenario(hold: &str) -> String {
    let text = std::fs::read_to_string(demo_scenario()).expect("part of the repository");
    let (before, rest) = text.split_once("[[gates]]").expect("the demo has gates");
    let (_, effects) = rest.split_once("\n[[effects]]").expect("the demo has effects");
    let gate = |name: &str, metric: &str, allow: &str| {
        format!("[[gates]]\nname = \"{name}\"\nmetric = \"{metric}\"\nallow = \"{allow}\"\nmin_units = 20\n\n")
    };
    let gates = gate("latency", "latency_p95", "30%") + &gate("cost", "cost", "12%");
    let rollout = format!("[rollout]\npass_from = \"5%\"\n{hold}start = \"Mon 09:00\"\n");
    format!("{before}{gates}{rollout}\n[[effects]]{effects}").replace("exposure = \"1%\"", "exposure = \"5%\"")
}

fn report(home: &Home, hold: &str, out: &str) -> Report {
    home.write("held.toml", scenario(hold));
    home.report(&demo_log(), "held.toml", &FEW, out)
}

fn share(world: &Value, what: &str) -> f64 {
    world[what]["share"].as_f64().expect("a share")
}

#[test]
fn a_held_stage_waits_for_its_gates_instead_of_stalling() {
    let home = Home::new();
    let (at_once, held) = (report(&home, "", "once"), report(&home, "max_hold = \"24h\"\n", "held"));
    let (before, after) = (at_once.world("null"), held.world("null"));
    assert!(share(before, "stalled") > 0.15 && share(before, "held") == 0.0 && before["held_s"].is_null(), "{before}");
    assert!(share(after, "promoted") > share(before, "promoted") + 0.1, "{after}");
    assert!(share(after, "held") > 0.15, "{after}");
    let seconds = |key: &str| after["held_s"][key].as_f64().expect("a number");
    assert!(seconds("p10") >= 900.0 && seconds("p90") <= 4.0 * 86_400.0, "{after}");
    let page = held.text("report.html");
    assert!(page.contains("Held past their durations") && !at_once.text("report.html").contains("Held past"));
}

/// Asked again at every look of the wait, a gate still ships no more bad candidates than its alpha says.
#[test]
fn passing_at_any_look_of_the_wait_keeps_alpha() {
    let home = Home::new();
    let text = scenario("max_hold = \"24h\"\n").replace("min_units = 20\n", "min_units = 40\nstyle = \"score\"\n");
    home.write("held.toml", text);
    let report = home.report(&demo_log(), "held.toml", &["--replicates", "600"], "out");
    let wrong: Vec<&Value> = report.rows("self_check").iter().filter(|row| row["error"] == "wrong pass").collect();
    assert_eq!(wrong.len(), 8, "two gates in four stages");
    for row in wrong {
        assert!(row["rate"]["low"].as_f64() < Some(0.05), "{row}");
    }
}

#[test]
fn holding_is_the_same_on_any_number_of_threads() {
    let home = Home::new();
    home.write("held.toml", scenario("max_hold = \"6h\"\n"));
    let on = |threads: &str| {
        let flags = ["--replicates", "40", "--threads", threads];
        home.report(&demo_log(), "held.toml", &flags, threads).text("tables/worlds.csv").to_owned()
    };
    assert_eq!(on("1"), on("2"));
}

#[test]
fn commands_that_plan_one_schedule_say_that_they_do_not_hold() {
    let home = Home::new();
    home.write("held.toml", scenario("max_hold = \"6h\"\n"));
    let sweep = ["--sweep", "gates.latency.allow=20%,30%"];
    let refused = home.run(&[&["compare", &demo_log(), "--scenario", "held.toml"], &sweep[..]].concat());
    assert_eq!(refused.code, Some(2));
    let refused = refused.stderr;
    assert!(refused.contains("`rollout.max_hold`") && refused.contains("hint: "), "{refused}");
}

#[test]
fn a_person_is_waited_for_in_office_hours() {
    let home = Home::new();
    let text = std::fs::read_to_string(demo_scenario()).expect("part of the repository");
    // From Monday at 9 on, the second stage ends on Tuesday at 21.
    let text = text
        .replace("start = [\"Mon 09:00\", \"Tue 09:00\", \"Wed 09:00\"]", "start = \"Mon 09:00\"")
        .replace("[rollout]\n", "[rollout]\napproval = { delay = \"2h\", hours = \"Mon-Fri 09:00-17:00\" }\n")
        .replace("name = \"5%\"\n", "name = \"5%\"\napproval = \"manual\"\n");
    home.write("approved.toml", text);
    let advice = home.succeeds(&["check", &demo_log(), "--scenario", "approved.toml"]);
    assert!(advice.contains("in 100 % of starts, and takes 14h on average"), "{advice}");
    let report = home.report(&demo_log(), "approved.toml", &["--replicates", "20"], "out");
    let null = report.world("null");
    assert_eq!((share(null, "held"), share(null, "promoted")), (1.0, 1.0), "{null}");
    let fourteen_hours = 14.0 * 3600.0;
    for key in ["p10", "p90"] {
        assert_eq!(null["held_s"][key], fourteen_hours, "{null}");
        assert_eq!(null["duration_s"][key], 156.0 * 3600.0 + fourteen_hours, "{null}");
    }
}

#[test]
fn a_log_that_repeats_keeps_its_starts() {
    let home = Home::new();
    let starts = |hold: &str, out: &str| {
        let text = scenario(hold).replace("[log]\n", "[log]\ntile = \"week\"\n").replace("start = \"Mon 09:00\"\n", "");
        home.write("held.toml", text);
        home.report(&demo_log(), "held.toml", &["--replicates", "4"], out).json["scenario"]["starts"].clone()
    };
    assert_eq!(starts("", "once"), 336);
    assert_eq!(starts("max_hold = \"24h\"\n", "held"), 336);
}

#[test]
fn more_looks_than_memory_holds_are_refused() {
    let home = Home::new();
    home.write("held.toml", scenario("max_hold = \"9000d\"\n").replace("[log]\n", "[log]\ntile = \"week\"\n"));
    let refused = home.run(&[&demo_log(), "--scenario", "held.toml"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains(" looks, and at most 100000 are kept"), "{}", refused.stderr);
    assert_eq!(home.names(), ["held.toml"]);
}
