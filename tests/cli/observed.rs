//! Outcomes that only stable has: what users did next.

use serde_json::Value;

use crate::support::{Home, Report, Rows, mixed, scenario};

/// A tenth of the requests were rated, from 1 to 5.
fn rating(row: usize) -> String {
    if mixed(row, 40).is_multiple_of(10) { (1 + mixed(row, 41) % 5).to_string() } else { String::new() }
}

fn with_ratings(column: &str, observed: &str) -> String {
    let metric = format!(
        "[metrics.rating]\nkind = \"mean\"\ncolumn = \"{column}\"\nbetter = \"higher\"\n{observed}\nmeasured = {{ delay = \"2h\" }}\n\n\
         [[stages]]\nname = \"10%\""
    );
    let gate = "[[gates]]\nname = \"rating\"\nmetric = \"rating\"\nallow = \"10%\"\nmin_units = 3\nby = [\"region\"]\n\n\
                [[effects]]\nname = \"two points lower\"\nmetric = \"rating\"\nshift = -2\n\n[rollout]";
    let changes =
        [("[[stages]]\nname = \"10%\"", metric.as_str()), ("[rollout]", gate), ("replicates = 10", "replicates = 200")];
    scenario(&changes)
}

/// Rates of a gate in each stage and slice.
fn rates<'a>(report: &'a Report, world: &str) -> Vec<&'a Value> {
    report.rows("gates").iter().filter(|row| row["gate"] == "rating").map(|row| &row["rates"][world]).collect()
}

#[test]
fn what_users_did_is_planned_and_claims_nothing_of_the_candidate() {
    let home = Home::small();
    home.write("log.csv", Rows::small().add("rating", rating).csv());
    home.write("s.toml", with_ratings("rating", "observed = \"stable\""));
    let report = home.report_of_log();
    // As recorded the candidate is as good as stable, and effects are found: ratings of the last two hours are not there yet.
    assert_eq!(rates(&report, "recorded"), rates(&report, "null"));
    let fails = |world: &str| {
        rates(&report, world).iter().map(|rate| rate["fail"]["share"].as_f64().expect("a share")).fold(0.0, f64::max)
    };
    assert!(fails("two points lower") > 0.5 && fails("null") < 0.2, "{} {}", fails("two points lower"), fails("null"));
    assert!(!rates(&report, "null").is_empty());

    assert!(report.rows("shadow").iter().all(|row| row["metric"] != "rating"));
    assert!(
        report.json["planning"]["shadow"]
            .as_array()
            .is_none_or(|rows| rows.iter().all(|row| row["metric"] != "rating"))
    );
    assert!(report.rows("health").iter().all(|row| row["metric"] != "rating"));
    let (place, text) = report.warning("stable-only");
    assert_eq!(place, "metric rating");
    assert!(
        text.starts_with("`rating` is known only for stable, which served (") && text.contains("as unchanged"),
        "{text}"
    );
    assert!(
        report
            .rows("limits")
            .iter()
            .any(|limit| limit.as_str().is_some_and(|limit| limit.contains("of `rating` it shows")))
    );
    let facts = report.rows("metrics").iter().find(|row| row["name"] == "rating").expect("a metric");
    assert_eq!(facts["observed"], "stable");

    // The same numbers as of a log in which the candidate got stable's ratings.
    let twice = Rows::small().add("stable_rating", rating).add("candidate_rating", rating);
    home.write("twice.csv", twice.csv());
    home.write("twice.toml", with_ratings("{version}_rating", ""));
    let same = home.report("twice.csv", "twice.toml", &[], "twice");
    assert_eq!(report.json["gates"], same.json["gates"]);
    assert_eq!(report.json["worlds"], same.json["worlds"]);
    assert!(same.rows("shadow").iter().any(|row| row["metric"] == "rating"));

    // By a digest too, which is told from one of both versions.
    home.succeeds(&["digest", "log.csv", "--scenario", "s.toml", "-o", "d.parquet"]);
    assert_eq!(home.report("d.parquet", "s.toml", &[], "of_digest").json["gates"], report.json["gates"]);
    let shown = home.succeeds(&["shadow", "log.csv", "--scenario", "s.toml"]);
    assert!(shown.contains("rating: known only for stable"), "{shown}");
    home.refuses(
        &["shadow", "log.csv", "--scenario", "s.toml", "--failures", "worst.csv", "--metric", "rating"],
        "error: s.toml: metric `rating` is of what users did with stable's answers: no request tells if the candidate is worse\n\nhint: \
         name a metric that both versions have\n",
    );
}

#[test]
fn requests_that_were_not_mirrored_stay_so() {
    let home = Home::small();
    let blank = |row: usize, value: &str| if row.is_multiple_of(4) { String::new() } else { value.to_owned() };
    let rows = ["quality", "error", "latency_ms", "cost_usd"]
        .iter()
        .fold(Rows::small(), |rows, metric| rows.set_all(&format!("candidate_{metric}"), blank));
    home.write("log.csv", rows.clone().csv());
    let expected = home.report_of_log().json["log"]["coverage"].clone();
    home.write("log.csv", rows.add("rating", |_| "3".to_owned()).csv());
    home.write("s.toml", with_ratings("rating", "observed = \"stable\""));
    let report = home.report_of_log();
    assert_eq!(report.json["log"]["coverage"], expected);
    assert_eq!(report.json["log"]["coverage"][0]["covered"], 900);
    let (_, text) = report.warning("stable-only");
    assert!(text.contains("(100.0 % of its mirrored requests)"), "{text}");
}
