//! Text in logs and scenarios that means something to a browser, a spreadsheet, a terminal or a file system.

use std::collections::BTreeSet;

use crate::support::{Home, Report, Rows, assert_well_formed, records};

const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "\"><img src=x onerror=alert(1)>",
    "../../../tmp/escaped",
    "two\nlines",
    "\u{1b}[31mred\u{7}",
    "\u{202e}gnp.exe",
    "-- '; DROP TABLE users; {{ 7 * 7 }} ${x} %s",
];

const SCENARIO: &str = r#"
about = "<script>alert(2)</script> \u001b[31m {{ 7 * 7 }}"

[log]
timestamp = "ts"
request = "request_id"
segments = ["<b>region</b>/../x"]
slot = "1h"

[assignment]
unit = "=user|id"
salt = "<i>salt</i>"

[metrics."=HYPERLINK(\"http://x\")"]
kind = "proportion"
column = "{version}_error"
better = "lower"

[metrics."../<svg onload=alert(3)>"]
kind = "quantile"
quantile = 0.95
column = "{version}_latency_ms"
better = "lower"
unit = "</text><script>"

[[stages]]
name = "</style><script>alert(4)</script>"
exposure = "30%"
duration = "12h"

[[stages]]
name = "../../up\u202e"
exposure = "60%"
duration = "12h"

[[gates]]
name = "</script><script>alert(5)</script>"
metric = "=HYPERLINK(\"http://x\")"
allow = "1pp"
by = ["<b>region</b>/../x"]
min_units = 2

[[gates]]
name = "+1+cmd|' /C calc'!A0"
metric = "../<svg onload=alert(3)>"
allow = "10%"
min_units = 2

[rollout]
promote = "no-fail"

[[effects]]
name = "@SUM(1)&\"'<svg>"
metric = "../<svg onload=alert(3)>"
scale = 1.3
only = { "<b>region</b>/../x" = ["<script>alert(1)</script>"] }

[simulation]
replicates = 6
"#;

fn hostile() -> (Home, Report, String) {
    let home = Home::new();
    let text = |row: usize| HOSTILE[row % HOSTILE.len()].to_owned();
    let rows = Rows::small()
        .set_all("user_id", |_, user| text(user.len() + usize::from(user.as_bytes()[user.len() - 1])) + user)
        .set_all("request_id", |row, _| format!("{}{row}", text(row)))
        .set_all("region", |row, _| text(row / 3))
        .rename("region", "<b>region</b>/../x")
        .rename("user_id", "=user|id");
    home.write("log.csv", rows.csv());
    home.write("s.toml", SCENARIO);
    let stdout = home.succeeds(&["log.csv", "--scenario", "s.toml"]);
    let report = Report::read(&home.path("replay-report"));
    (home, report, stdout)
}

/// Characters that change how what follows is shown, and no one sees.
fn unseen(text: &str) -> Option<char> {
    text.chars().find(|c| {
        (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

#[test]
fn nothing_raw_reaches_a_page_a_picture_a_table_or_the_terminal() {
    let (_, report, stdout) = hostile();
    let html = report.text("report.html");
    for raw in
        ["<script>alert", "<img src=x", "<svg onload", "<b>region", "<i>salt", "onerror=alert(1)>", "</style><script"]
    {
        assert!(!html.contains(raw), "report.html holds {raw}");
    }
    assert!(html.contains("&lt;script&gt;alert(1)"), "but shows it");
    assert!(html.contains("{{ 7 * 7 }}") && !html.contains("49 ${x}"), "and no template reads it");
    assert_eq!(unseen(html), None);
    for name in report.with_ending(".svg") {
        let svg = report.text(name);
        assert_well_formed(name, svg);
        for raw in ["<script", "<img", "<svg onload", "<b>"] {
            assert!(!svg.contains(raw), "{name} holds {raw}");
        }
        assert_eq!(unseen(svg), None, "{name}");
    }
    for name in report.with_ending(".csv") {
        for cell in records(&report.files[name]).into_iter().flatten() {
            let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
            assert!(!formula, "{name}: {cell}");
        }
    }
    assert_eq!(unseen(&stdout), None, "{stdout}");
}

#[test]
fn text_comes_back_as_it_was_where_it_is_data() {
    let (_, report, _) = hostile();
    let coverage = report.json["log"]["coverage"].as_array().expect("a list");
    let values: BTreeSet<&str> = coverage.iter().filter_map(|row| row["segment"]["value"].as_str()).collect();
    assert_eq!(values, HOSTILE.into());
    let gates: BTreeSet<&str> = report.rows("gates").iter().filter_map(|row| row["gate"].as_str()).collect();
    assert!(gates.contains("</script><script>alert(5)</script>"));
}

#[test]
fn no_file_has_a_hostile_name_or_lies_elsewhere() {
    let (home, report, _) = hostile();
    let beside: Vec<String> = home.names().into_iter().filter(|name| !name.starts_with("replay-report")).collect();
    assert_eq!(beside, ["log.csv", "s.toml"]);
    let plain = |name: &&String| name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_/.-".contains(&byte));
    assert_eq!(report.files.keys().filter(|name| !plain(name)).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn messages_keep_hostile_values_on_one_line() {
    let home = Home::small();
    let value = "1\nerror: s.toml: all is lost\u{1b}[2J\u{202e}";
    home.write("log.csv", Rows::small().set(0, "stable_quality", value).csv());
    home.refuses_log(
        "error: log.csv: column `stable_quality`, row 1: value `1\\nerror: s.toml: all is lost\\u{1b}[2J\\u{202e}` is not a \
         number\n\nhint: a value that was not measured is null\n",
    );
    let long = "9".repeat(70) + &"x".repeat(10_000);
    home.write("log.csv", Rows::small().set(0, "stable_quality", &long).csv());
    let ran = home.run(&["log.csv", "--scenario", "s.toml"]);
    assert!(ran.code == Some(2) && ran.stderr.len() < 300, "{}", ran.stderr.len());
    let rows = Rows::small().set(8, "request_id", "a\n\u{1b}b").set(9, "request_id", "a\n\u{1b}b");
    home.write("log.csv", rows.csv());
    home.refuses_log(
        "error: log.csv: column `request_id`, row 10: `a\\n\\u{1b}b` occurs 2 times, first in row 9\n\nhint: give every request an \
         id of its own, or set `log.duplicates = \"first\"`\n",
    );
    home.write("log.csv", Rows::small().rename("user_id", "user\nid\u{1b}").csv());
    let ran = home.run(&["log.csv", "--scenario", "s.toml"]);
    assert!(ran.stderr.contains("did you mean `user\\nid\\u{1b}`?"), "{}", ran.stderr);
}

#[test]
fn a_hostile_command_is_quoted_in_the_report() {
    let home = Home::small();
    let name = "a$(touch gone);b&c.csv";
    home.write(name, home.read("log.csv"));
    let report = home.report(name, "s.toml", &[], "out");
    assert_eq!(report.json["command"], format!("replay '{name}' --scenario s.toml").as_str());
}
