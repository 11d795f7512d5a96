//! JSON Schema of the scenario language: for editors, and for the structural half of the check.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use super::wire;

/// The JSON Schema of scenario files, generated from the types that read them.
#[must_use]
pub fn json_schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(without_null));
    let mut schema = settings.into_generator().into_root_schema_for::<wire::Scenario>();
    schema.insert("title".into(), "replay scenario".into());
    schema.to_value()
}

/// TOML has no null, so an optional key is one that may be left out, never one that may be null.
fn without_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
        branches.retain(|branch| branch.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = branches.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}

/// The part of the schema that describes the value at these keys and indices, with references followed.
pub(super) fn part<'s>(root: &'s Value, segments: &[String]) -> Option<&'s Value> {
    segments.iter().try_fold(root, |node, segment| {
        let inside = node
            .get("properties")
            .and_then(|properties| properties.get(segment))
            .or_else(|| node.get("items"))
            .or_else(|| node.get("additionalProperties"))?;
        follow(root, inside)
    })
}

/// Follows `$ref`, which here always names one of the schema's own definitions.
fn follow<'s>(root: &'s Value, node: &'s Value) -> Option<&'s Value> {
    match node.get("$ref").and_then(Value::as_str) {
        Some(reference) => root.pointer(reference.strip_prefix('#')?),
        None => Some(node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_may_be_null() {
        assert!(
            !json_schema().to_string().contains("\"type\":\"null\"")
                && !json_schema().to_string().contains("\"null\"]")
        );
    }

    #[test]
    fn every_key_of_the_language_is_described() {
        let schema = json_schema();
        let definitions = schema["$defs"].as_object().expect("definitions").values();
        for table in definitions.chain([&schema]) {
            for (key, value) in table.get("properties").and_then(Value::as_object).into_iter().flatten() {
                assert!(value.get("description").is_some(), "`{key}` has no description");
            }
        }
    }
}
