//! `replay schema`.

use serde_json::Value;

use crate::support::Home;

#[test]
fn both_forms_have_a_schema() {
    let home = Home::new();
    for (form, title) in [("report", "Report of replay, form replay.report/1"), ("scenario", "replay scenario")] {
        let text = home.succeeds(&["schema", form]);
        let schema: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(schema["title"], title);
        jsonschema::validator_for(&schema).expect("a schema");
    }
    assert_eq!(home.succeeds(&["schema", "scenario"]), home.succeeds(&["check", "--schema"]));
    let ran = home.run(&["schema", "log"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("[possible values: report, scenario]"), "{ran:?}");
}
