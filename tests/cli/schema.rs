//! `replay schema`.

use serde_json::Value;

use crate::support::Home;

#[test]
fn every_form_has_a_schema() {
    let home = Home::new();
    for (form, title) in [
        ("report", "Report of replay, form replay.report/1"),
        ("comparison", "Comparison of replay, form replay.comparison/1"),
        ("strategies", "Strategies of replay, form replay.strategies/1"),
        ("plan", "Plan of replay, form replay.plan/1"),
        ("scenario", "replay scenario"),
    ] {
        let text = home.succeeds(&["schema", form]);
        let schema: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(schema["title"], title);
        jsonschema::validator_for(&schema).expect("a schema");
    }
    assert_eq!(home.succeeds(&["schema", "scenario"]), home.succeeds(&["check", "--schema"]));
    let ran = home.run(&["schema", "log"]);
    assert!(
        ran.code == Some(2) && ran.stderr.contains("[possible values: report, comparison, strategies, plan, scenario]"),
        "{ran:?}"
    );
}
