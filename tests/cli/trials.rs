//! Requests with several recorded outputs: one drawn at random in each replicate.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::Home;

/// What was recorded of a request: outcomes of stable and of the candidate, in the order of their trials.
struct Request {
    user: usize,
    hour: usize,
    outputs: [Vec<bool>; 2],
}

fn numbers(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Users with one to three requests over two days. Of a request either version is right with a chance of its own, so that most of an
/// outcome's variance lies between outputs; each was asked two to five times.
fn requests(users: usize) -> Vec<Request> {
    let mut draw = numbers(5);
    let mut requests = Vec::new();
    for user in 0..users {
        for _ in 0..=user % 3 {
            let rates = [(); 2].map(|()| 0.2 + 0.6 * draw());
            let outputs = rates.map(|rate| (0..2 + (4.0 * draw()) as usize).map(|_| draw() < rate).collect());
            requests.push(Request { user, hour: (48.0 * draw()) as usize, outputs });
        }
    }
    requests
}

fn head(index: usize, request: &Request) -> String {
    format!("2025-03-{:02}T{:02}:00:00Z,r{index},u{}", 3 + request.hour / 24, request.hour % 24, request.user)
}

/// A row for each trial, with an outcome of each version that has one.
fn wide(requests: &[Request]) -> String {
    let mut text = String::from("ts,request,user,trial,stable_ok,candidate_ok\n");
    for (index, request) in requests.iter().enumerate() {
        for trial in 0..request.outputs[0].len().max(request.outputs[1].len()).max(1) {
            let [stable, candidate] = [0, 1].map(|version: usize| {
                request.outputs[version].get(trial).map_or_else(String::new, |&ok| u8::from(ok).to_string())
            });
            writeln!(text, "{},{trial},{stable},{candidate}", head(index, request)).expect("text grows");
        }
    }
    text
}

/// A row for each output of each version.
fn long(requests: &[Request]) -> String {
    let mut text = String::from("ts,request,user,trial,served,ok\n");
    for (index, request) in requests.iter().enumerate() {
        for (outputs, version) in request.outputs.iter().zip(["old", "new"]) {
            for (trial, &ok) in outputs.iter().enumerate() {
                writeln!(text, "{},{trial},{version},{}", head(index, request), u8::from(ok)).expect("text grows");
            }
        }
    }
    text
}

const LONG: &str = r#"version = { column = "served", stable = "old", candidate = "new" }"#;

fn scenario(log: &str, column: &str, replicates: usize) -> String {
    format!(
        r#"
[log]
timestamp = "ts"
request = "request"
trial = "trial"
slot = "1h"
{log}

[assignment]
unit = "user"

[metrics.ok]
kind = "proportion"
column = "{column}"
better = "higher"

[[stages]]
name = "50%"
exposure = "50%"
duration = "44h"
look_every = "22h"

[[gates]]
name = "ok"
metric = "ok"
allow = "8pp"
harm = "0pp"
test = "fixed"
looks = "end"
on_inconclusive = "promote"

[[effects]]
name = "eight points lower"
metric = "ok"
shift = "-8pp"

[rollout]
promote = "no-fail"

[simulation]
replicates = {replicates}
seed = 3
"#
    )
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

/// The report without what names the files.
fn findings(home: &Home, log: &str, scenario: &str) -> Value {
    let mut json = home.report(log, scenario, &[], "out").json;
    let report = json.as_object_mut().expect("a report");
    for key in ["command", "scenario", "log"] {
        report.remove(key);
    }
    json
}

#[test]
fn a_row_for_each_trial_or_for_each_output_is_the_same_log() {
    let home = Home::new();
    let mut requests = requests(60);
    // Not mirrored, and never answered by stable.
    requests[3].outputs[1].clear();
    requests[4].outputs[0].clear();
    home.write("wide.csv", wide(&requests));
    home.write("long.csv", long(&requests));
    home.write("wide.toml", scenario("", "{version}_ok", 20));
    home.write("long.toml", scenario(LONG, "ok", 20));
    let found = findings(&home, "wide.csv", "wide.toml");
    assert_eq!(found, findings(&home, "long.csv", "long.toml"));
    home.succeeds(&["digest", "long.csv", "--scenario", "long.toml", "--out", "long.digest.parquet"]);
    assert_eq!(found, findings(&home, "long.digest.parquet", "long.toml"));
    let log = home.report("long.csv", "long.toml", &[], "out").json["log"].clone();
    assert_eq!((log["rows"].as_u64(), log["coverage"][0]["covered"].as_u64()), (Some(120), Some(119)));
    for threads in ["1", "3"] {
        let other = home.report("wide.csv", "wide.toml", &["--threads", threads], threads).json;
        assert_eq!(other["gates"], found["gates"]);
    }
}

#[test]
fn the_shadow_report_takes_the_mean_of_outputs_and_tells_their_noise() {
    let home = Home::new();
    let requests = requests(200);
    home.write("log.csv", wide(&requests));
    home.write("s.toml", scenario("", "{version}_ok", 2));
    let shadow: Value =
        serde_json::from_str(&home.succeeds(&["shadow", "log.csv", "--scenario", "s.toml", "--format", "json"]))
            .expect("JSON");
    let row = &shadow["shadow"][0];
    let count = requests.len() as f64;
    assert_eq!(row["requests"].as_u64(), Some(requests.len() as u64));
    assert_eq!(row["pairs"], Value::Null);
    for (version, name) in ["stable", "candidate"].into_iter().enumerate() {
        let ok = |outputs: &[bool]| outputs.iter().filter(|&&ok| ok).count() as f64;
        let means: Vec<f64> = requests
            .iter()
            .map(|request| ok(&request.outputs[version]) / request.outputs[version].len() as f64)
            .collect();
        assert!((number(&row[name]) - means.iter().sum::<f64>() / count).abs() < 1e-12, "every request counts alike");
        // Of 0 and 1: the sample variance of k outputs with mean p is p (1 - p) k / (k - 1).
        let variances: f64 = requests
            .iter()
            .zip(&means)
            .map(|(request, p)| {
                let k = request.outputs[version].len() as f64;
                p * (1.0 - p) * k / (k - 1.0)
            })
            .sum();
        let noise = &row["noise"][name];
        assert!((number(&noise["between_outputs"]["variance"]) - variances / count).abs() < 1e-12);
        // Rates are uniform from 0.2 to 0.8, so of variance 0.03, and an output's variance is 0.25 - 0.03 given its rate, on average.
        for (part, expected) in [("between_outputs", 0.22), ("between_requests", 0.03), ("between_units", 0.0)] {
            let (variance, se) = (number(&noise[part]["variance"]), number(&noise[part]["se"]));
            assert!((variance - expected).abs() < 3.5 * se, "{part} of {name}: {variance} ± {se}");
        }
    }
    let text = home.succeeds(&["shadow", "log.csv", "--scenario", "s.toml"]);
    assert!(text.contains("one output's variance is, from one output of a request to the next, 0.2"), "{text}");
    home.report("log.csv", "s.toml", &[], "out");
    let table = String::from_utf8(home.read("out/tables/shadow_noise.csv")).expect("text");
    assert_eq!(table.lines().count(), 1 + 6, "{table}");
    assert!(
        String::from_utf8(home.read("out/report.html"))
            .expect("text")
            .contains("What one output’s variance is made of")
    );
}

/// Noise between outputs is most of the variance here. A candidate that draws its own outputs among stable's is as good as stable.
#[test]
fn gates_err_as_often_as_they_say_and_power_is_that_of_one_output() {
    let home = Home::new();
    let requests = requests(300);
    home.write("log.csv", wide(&requests));
    home.write("s.toml", scenario("", "{version}_ok", 600));
    let report = home.report("log.csv", "s.toml", &[], "out").json;
    let gate = &report["gates"][0];
    let share = |world: &str, verdict: &str| number(&gate["rates"][world][verdict]["share"]);
    // 600 replicates of a rate of 5 %: three and a half standard errors are 3.1 points.
    assert!((0.019..0.081).contains(&share("null", "fail")), "A/A: {gate}");
    assert!((0.019..0.081).contains(&share("eight points lower", "pass")), "wrong pass: {gate}");
    let closed = number(&gate["power_closed_form"]);
    assert!((share("null", "pass") - closed).abs() < 0.07, "{} and {closed}", share("null", "pass"));
    // Of a mean over the outputs of each request it would be far more.
    assert!((0.3..0.8).contains(&closed), "{closed}");
}

#[test]
fn outputs_that_do_not_fit_each_other_are_named() {
    let home = Home::new();
    home.write("s.toml", scenario("", "{version}_ok", 2));
    let log = |rows: &str| {
        let mut text = wide(&requests(60));
        text.push_str(rows);
        text
    };
    let refuses = |rows: &str, message: &str| {
        home.write("log.csv", log(rows));
        home.refuses(&["log.csv", "--scenario", "s.toml"], message);
    };
    refuses(
        "2025-03-03T01:00:00Z,new,u1,0,1,1\n2025-03-03T01:00:00Z,new,u1,0,1,0\n",
        "error: log.csv: column `trial`: trial `0` of request `new` is there more than once for a version\n\nhint: give every output \
         of a request a `trial` of its own\n",
    );
    let hint = "hint: who asked, when and in which segments belongs to a request: write the same in the rows of all its outputs\n";
    refuses(
        "2025-03-03T01:00:00Z,new,u1,0,1,1\n2025-03-03T01:00:00Z,new,u2,1,1,0\n",
        &format!(
            "error: log.csv: column `request`: outputs of request `new` have different units: `u1` and `u2`\n\n{hint}"
        ),
    );
    refuses(
        "2025-03-03T01:00:00Z,new,u1,0,1,1\n2025-03-03T02:00:00Z,new,u1,1,1,0\n",
        &format!("error: log.csv: column `request`: outputs of request `new` have times in different slots\n\n{hint}"),
    );
    let row = wide(&requests(60)).lines().count();
    refuses(
        "2025-03-03T01:00:00Z,new,u1,,1,1\n",
        &format!(
            "error: log.csv: column `request` or `trial`, row {row}: value is null\n\nhint: every output needs its request and its \
             trial; fill the columns\n"
        ),
    );
    let apart: String = wide(&requests(60)).lines().enumerate().fold(String::new(), |mut text, (index, line)| {
        let (row, candidate) = line.rsplit_once(',').expect("fields");
        let (request, stable) = row.rsplit_once(',').expect("fields");
        match index {
            0 => writeln!(text, "{line}"),
            _ if index % 2 == 0 => writeln!(text, "{},{stable},", request.replacen(",r", ",s", 1)),
            _ => writeln!(text, "{request},,{candidate}"),
        }
        .expect("text grows");
        text
    });
    home.write("log.csv", apart);
    home.refuses(
        &["log.csv", "--scenario", "s.toml"],
        "error: log.csv: column `request`: no request has outputs of both versions\n\nhint: there is nothing to compare: look whether \
         `log.request` names the same request in the rows of both\n",
    );
    home.write("log.csv", log(""));
    home.refuses(
        &["shadow", "log.csv", "--scenario", "s.toml", "--failures", "worst.csv"],
        "error: log.csv: has several outputs of each request: whether one version's is worse is not said by any pair of them\n\nhint: \
         leave `--failures` out\n",
    );
}

#[test]
fn one_output_each_is_the_log_without_trials() {
    let home = Home::new();
    let mut requests = requests(80);
    requests.iter_mut().flat_map(|request| &mut request.outputs).for_each(|outputs| outputs.truncate(1));
    home.write("log.csv", wide(&requests));
    home.write("trials.toml", scenario("", "{version}_ok", 30));
    home.write("plain.toml", scenario("", "{version}_ok", 30).replace("trial = \"trial\"\n", ""));
    let (trials, plain) = (findings(&home, "log.csv", "trials.toml"), findings(&home, "log.csv", "plain.toml"));
    let rates = |report: &Value| -> Vec<Value> {
        report["gates"].as_array().expect("rows").iter().map(|gate| gate["rates"].clone()).collect()
    };
    assert_eq!(rates(&trials), rates(&plain));
    assert_eq!(trials["exact"], plain["exact"]);
    let worlds = |report: &Value| -> Vec<(Value, Value)> {
        let rows = report["worlds"].as_array().expect("rows").iter();
        rows.map(|world| (world["promoted"].clone(), world["exposed_requests"].clone())).collect()
    };
    assert_eq!(worlds(&trials), worlds(&plain));
    let difference = |report: &Value| number(&report["shadow"][0]["difference"]);
    assert!((difference(&trials) - difference(&plain)).abs() < 1e-12);
    let warned =
        |report: &Value| report["warnings"].as_array().expect("rows").iter().any(|w| w["code"] == "single-outputs");
    assert!(warned(&trials) && !warned(&plain));
}
