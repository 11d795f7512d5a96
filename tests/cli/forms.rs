//! Forms that a log may come in: long form, first turns, no times.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::Home;

/// What of each request is written.
#[derive(Clone, Copy, PartialEq)]
enum Kept {
    /// One row with both outcomes.
    Wide,
    /// A row for each version.
    Both,
    /// A row of the version that a coin chose.
    One,
}

/// A request: its unit, hour, outcomes, and a coin.
struct Request {
    unit: u64,
    hour: u64,
    outcomes: [bool; 2],
    coin: bool,
}

/// 300 units of very different size over two days; a unit has its own rate of success, and the candidate's is 5 points lower.
fn requests() -> Vec<Request> {
    let mut state = 9_u64;
    let mut draw = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut requests = Vec::new();
    for unit in 0..300 {
        let (rate, size) = (0.4 + 0.5 * draw(), 1 + (12.0 * draw() * draw()) as u64);
        for _ in 0..size {
            let outcomes = [draw() < rate, draw() < rate - 0.05];
            requests.push(Request { unit, hour: (48.0 * draw()) as u64, outcomes, coin: draw() < 0.5 });
        }
    }
    requests
}

fn csv(kept: Kept) -> String {
    let mut text =
        String::from(if kept == Kept::Wide { "ts,user,stable_ok,candidate_ok\n" } else { "ts,user,served,ok\n" });
    for Request { unit, hour, outcomes: [stable, candidate], coin } in requests() {
        let start = format!("2025-03-{:02}T{:02}:00:00Z,u{unit}", 3 + hour / 24, hour % 24);
        let [stable, candidate] = [stable, candidate].map(u8::from);
        if kept == Kept::Wide {
            writeln!(text, "{start},{stable},{candidate}").expect("text grows");
        }
        if kept == Kept::Both || (kept == Kept::One && !coin) {
            writeln!(text, "{start},old,{stable}").expect("text grows");
        }
        if kept == Kept::Both || (kept == Kept::One && coin) {
            writeln!(text, "{start},new,{candidate}").expect("text grows");
        }
    }
    text
}

const LONG: &str = r#"version = { column = "served", stable = "old", candidate = "new" }"#;

fn scenario(log: &str, column: &str, more: &str) -> String {
    format!(
        r#"
[log]
timestamp = "ts"
slot = "1h"
{log}

[assignment]
unit = "user"

[metrics.ok]
kind = "proportion"
column = "{column}"
better = "higher"

[[stages]]
name = "30%"
exposure = "30%"
duration = "20h"

[[stages]]
name = "50%"
exposure = "50%"
duration = "24h"

[[gates]]
name = "ok"
metric = "ok"
allow = "0pp"
test = "fixed"
looks = "end"
min_units = 20
on_inconclusive = "promote"

[[effects]]
name = "ten points lower"
metric = "ok"
shift = "-10pp"

[rollout]
promote = "no-fail"

[simulation]
replicates = 400
seed = 11
{more}
"#
    )
}

/// Gates and worlds of the main job, without what counts requests: a request of the wide log is two rows of the other.
fn rates(home: &Home, log: &str, scenario: &str) -> (Value, Value, Value) {
    let report = home.report(log, scenario, &[], "out");
    let pick = |rows: &Value, keys: &[&str]| {
        let rows = rows.as_array().expect("rows").iter();
        Value::Array(rows.map(|row| keys.iter().map(|key| row[*key].clone()).collect()).collect())
    };
    let gates = pick(&report.json["gates"], &["stage", "rates", "difference", "se"]);
    let worlds = pick(&report.json["worlds"], &["world", "promoted", "rolled_back", "stalled"]);
    (gates, worlds, report.json)
}

#[test]
fn a_log_melted_into_a_row_for_each_version_gives_the_rates_of_the_wide_log() {
    let home = Home::new();
    home.write("wide.csv", csv(Kept::Wide));
    home.write("wide.toml", scenario("", "{version}_ok", ""));
    home.write("long.csv", csv(Kept::Both));
    home.write("long.toml", scenario(LONG, "ok", ""));
    let (gates, worlds, wide) = rates(&home, "wide.csv", "wide.toml");
    let (long_gates, long_worlds, long) = rates(&home, "long.csv", "long.toml");
    assert_eq!((gates, worlds), (long_gates, long_worlds));
    let overall = |report: &Value| report["shadow"][0]["difference"].as_f64().expect("a number");
    assert!((overall(&wide) - overall(&long)).abs() < 1e-12);
    // Units are in both, so that what they have in common cancels: the same standard error too.
    let se = |report: &Value| report["shadow"][0]["se_unit"].as_f64().expect("a number");
    assert!((se(&wide) - se(&long)).abs() < 1e-12, "{} {}", se(&wide), se(&long));
    assert_eq!(wide["shadow"][0].get("unpaired"), None);
    let count = requests().len() as u64;
    assert_eq!(long["shadow"][0]["unpaired"]["stable"]["requests"], count);
    assert_eq!(long["shadow"][0]["pairs"], Value::Null);
}

#[test]
fn a_judge_of_a_share_of_a_log_in_long_form_sees_the_requests_that_it_sees_of_the_wide_log() {
    let home = Home::new();
    let sampled =
        |text: String| text.replace("better = \"higher\"", "better = \"higher\"\nmeasured = { share = \"40%\" }");
    home.write("wide.csv", csv(Kept::Wide));
    home.write("wide.toml", sampled(scenario("", "{version}_ok", "")));
    home.write("long.csv", csv(Kept::Both));
    home.write("long.toml", sampled(scenario(LONG, "ok", "")));
    let (gates, worlds, wide) = rates(&home, "wide.csv", "wide.toml");
    let (long_gates, long_worlds, long) = rates(&home, "long.csv", "long.toml");
    assert_eq!((&gates, worlds), (&long_gates, long_worlds));
    for version in ["stable", "candidate"] {
        let seen = long["shadow"][0]["unpaired"][version]["requests"].as_u64();
        assert_eq!(seen, wide["shadow"][0]["requests"].as_u64());
        let all = requests().len() as f64;
        assert!((seen.expect("a count") as f64 / all - 0.4).abs() < 0.05, "{seen:?} of {all}");
        assert_eq!(
            long["shadow"][0][format!("nulls_{version}")],
            0,
            "those that it was not asked about are not missing"
        );
    }
    home.succeeds(&["digest", "long.csv", "--scenario", "long.toml", "--out", "long.digest.parquet"]);
    assert_eq!(rates(&home, "long.digest.parquet", "long.toml").0, long_gates);
}

#[test]
fn requests_kept_for_one_version_keep_the_error_rates_and_the_effect() {
    let home = Home::new();
    home.write("one.csv", csv(Kept::One));
    home.write("long.toml", scenario(LONG, "ok", ""));
    let (_, _, report) = rates(&home, "one.csv", "long.toml");
    for gate in report["gates"].as_array().expect("rows") {
        let share = |world: &str| gate["rates"][world]["fail"]["share"].as_f64().expect("a share");
        // 400 replicates of a rate of 5 %: three standard errors are 3.3 points.
        assert!((0.01..0.083).contains(&share("null")), "A/A at 5 %: {gate}");
        assert!(share("ten points lower") > 1.5 * share("null"), "{gate}");
    }
    assert!(report["warnings"].as_array().expect("rows").iter().any(|warning| warning["code"] == "unpaired"));

    // The difference and its standard error, from the rows.
    let mut units = vec![[(0.0, 0.0); 2]; 300];
    for request in requests() {
        let own = &mut units[request.unit as usize][usize::from(request.coin)];
        *own = (own.0 + f64::from(u8::from(request.outcomes[usize::from(request.coin)])), own.1 + 1.0);
    }
    let total = [0, 1]
        .map(|version| units.iter().fold((0.0, 0.0), |sum, unit| (sum.0 + unit[version].0, sum.1 + unit[version].1)));
    let value = total.map(|(y, x)| y / x);
    let part = |unit: &[(f64, f64); 2], version: usize| {
        (unit[version].0 - value[version] * unit[version].1) / total[version].1
    };
    let count = units.iter().filter(|unit| unit[0].1 + unit[1].1 > 0.0).count() as f64;
    let squares: f64 = units.iter().map(|unit| (part(unit, 1) - part(unit, 0)).powi(2)).sum();
    let row = &report["shadow"][0];
    assert!((row["difference"].as_f64().expect("a number") - (value[1] - value[0])).abs() < 1e-12);
    let se = (count / (count - 1.0) * squares).sqrt();
    assert!((row["se_unit"].as_f64().expect("a number") - se).abs() < 1e-12, "{row} {se}");
    assert_eq!(row["requests"], requests().len() as u64);
}

#[test]
fn a_digest_of_a_log_in_long_form_gives_the_same_report() {
    let home = Home::new();
    home.write("one.csv", csv(Kept::One));
    home.write("long.toml", scenario(LONG, "ok", ""));
    home.succeeds(&["digest", "one.csv", "--scenario", "long.toml", "--out", "one.digest.parquet"]);
    let (gates, worlds, _) = rates(&home, "one.csv", "long.toml");
    let (of_digest, worlds_of_digest, _) = rates(&home, "one.digest.parquet", "long.toml");
    assert_eq!((gates, worlds), (of_digest, worlds_of_digest));
    home.write("wide.toml", scenario("", "{version}_ok", ""));
    let ran = home.run(&["one.digest.parquet", "--scenario", "wide.toml"]);
    assert!(ran.stderr.contains("`log.version` = `served`, stable `old`, candidate `new`"), "{}", ran.stderr);
}

#[test]
fn rows_of_other_versions_are_named_and_can_be_left_out() {
    let home = Home::new();
    home.write("long.toml", scenario(LONG, "ok", ""));
    home.write("log.csv", csv(Kept::One) + "2025-03-03T01:00:00Z,u1,older,1\n");
    let row = requests().len() + 1;
    home.refuses(
        &["log.csv", "--scenario", "long.toml"],
        &format!(
            "error: log.csv: column `served`, row {row}: value `older` is neither `old`, which is stable, nor `new`, which is the \
             candidate\n\nhint: name the rows that count: `log.only = {{ served = [..] }}`, or another column\n"
        ),
    );
    let only = format!("{LONG}\nonly = {{ served = [\"old\", \"new\"] }}");
    home.write("only.toml", scenario(&only, "ok", ""));
    home.write("one.csv", csv(Kept::One));
    assert_eq!(rates(&home, "log.csv", "only.toml").0, rates(&home, "one.csv", "long.toml").0);
    home.write("none.toml", scenario(&format!("{LONG}\nonly = {{ user = \"nobody\" }}"), "ok", ""));
    home.refuses(
        &["one.csv", "--scenario", "none.toml"],
        "error: one.csv: the log has no rows\n\nhint: `log.only` leaves none: look at the values of `user`\n",
    );
    home.write("half.toml", scenario(&format!("{LONG}\nonly = {{ served = \"old\" }}"), "ok", ""));
    home.refuses(
        &["one.csv", "--scenario", "half.toml"],
        "error: one.csv: column `served`: no row was served by `new` (candidate)\n\nhint: both versions must have served some requests; \
         see `log.version`, and `log.only` if it is set\n",
    );
}

#[test]
fn later_turns_count_as_traffic_only() {
    let home = Home::new();
    let (mut turns, mut blank) = (String::from("ts,user,turn,stable_ok,candidate_ok\n"), String::new());
    blank.push_str(&turns);
    for (index, line) in csv(Kept::Wide).lines().skip(1).enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let first = index % 3 == 0;
        let turn = if first { 1 } else { 2 + index % 2 };
        writeln!(turns, "{},{},{turn},{},{}", fields[0], fields[1], fields[2], fields[3]).expect("text grows");
        let [stable, candidate] = if first { [fields[2], fields[3]] } else { ["", ""] };
        writeln!(blank, "{},{},{turn},{stable},{candidate}", fields[0], fields[1]).expect("text grows");
    }
    home.write("turns.csv", turns);
    home.write("blank.csv", blank);
    home.write("turns.toml", scenario("turn = \"turn\"\nturns = \"first\"", "{version}_ok", ""));
    home.write("all.toml", scenario("", "{version}_ok", ""));
    let (first, expected) = (rates(&home, "turns.csv", "turns.toml"), rates(&home, "blank.csv", "all.toml"));
    assert_eq!((first.0, first.1), (expected.0, expected.1));
    assert_eq!(first.2["shadow"], expected.2["shadow"]);
    assert_eq!(first.2["log"]["coverage"], expected.2["log"]["coverage"]);
}

#[test]
fn first_turns_and_labels_of_a_log_in_long_form_are_those_of_the_wide_log() {
    let home = Home::new();
    // A row is a first turn, and was looked at by a person, by its number and what it says.
    let marked = |kept: Kept, header: &str| {
        // Rows of a request, and the first column of an outcome.
        let (each, first) = if kept == Kept::Both { (2, 3) } else { (1, 2) };
        let mark = |(row, line): (usize, &str)| {
            let request = row / each;
            let label = |said| match request % 8 {
                0 => "0",
                4 => said,
                _ => "",
            };
            let labels: Vec<&str> = line.split(',').skip(first).map(label).collect();
            format!("{line},{},{}\n", 1 + request % 3 % 2, labels.join(","))
        };
        let lines: String = csv(kept).lines().skip(1).enumerate().map(mark).collect();
        format!("{header}\n{lines}")
    };
    home.write("wide.csv", marked(Kept::Wide, "ts,user,stable_ok,candidate_ok,turn,stable_label,candidate_label"));
    home.write("long.csv", marked(Kept::Both, "ts,user,served,ok,turn,label"));
    let first = "turn = \"turn\"\nturns = \"first\"";
    let measured = |human: &str| format!("better = \"higher\"\nmeasured = {{ human = \"{human}\" }}");
    let with_labels = |text: String, human: &str| text.replace("better = \"higher\"", &measured(human));
    home.write("wide.toml", with_labels(scenario(first, "{version}_ok", ""), "{version}_label"));
    home.write("long.toml", with_labels(scenario(&format!("{LONG}\n{first}"), "ok", ""), "label"));
    let (gates, worlds, wide) = rates(&home, "wide.csv", "wide.toml");
    let (long_gates, long_worlds, long) = rates(&home, "long.csv", "long.toml");
    assert_eq!((gates, worlds), (long_gates, long_worlds));
    let human = |report: &Value, key: &str| report["shadow"][0]["human"][key].as_f64().expect("a number");
    for key in ["labels_stable", "labels_candidate", "stable", "candidate", "difference", "se"] {
        assert!(
            (human(&wide, key) - human(&long, key)).abs() < 1e-12,
            "{key}: {} {}",
            human(&wide, key),
            human(&long, key)
        );
    }
    let share = |report: &Value| {
        let row = &report["log"]["coverage"][0];
        row["covered"].as_f64().expect("a number") / row["requests"].as_f64().expect("a number")
    };
    assert!((share(&wide) - share(&long)).abs() < 1e-12);
    assert!(share(&long) < 0.7, "{}", share(&long));
}

#[test]
fn a_log_without_times_is_spread_over_a_stated_length() {
    let home = Home::new();
    let csv = csv(Kept::One);
    let without: Vec<&str> = csv.lines().map(|line| line.split_once(',').expect("fields").1).collect();
    home.write("log.csv", without.join("\n") + "\n");
    home.write("s.toml", scenario(&format!("{LONG}\nspread = \"48h\""), "ok", "").replace("timestamp = \"ts\"\n", ""));
    let (_, _, report) = rates(&home, "log.csv", "s.toml");
    assert_eq!(report["log"]["rows"], requests().len() as u64);
    assert!(report["log"]["start"].as_str().expect("text").starts_with("2001-01-01T00:"));
    assert!(report["log"]["end"].as_str().expect("text").starts_with("2001-01-02T23:"));
    assert!(report["warnings"].as_array().expect("rows").iter().any(|warning| warning["code"] == "drawn-times"));
}
