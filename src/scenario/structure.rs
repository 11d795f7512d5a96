//! The structural half of the check: the file against the JSON Schema, in the program's own words.

use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::places::At;
use super::problems::{Problems, did_you_mean, known_words, listed};
use super::schema;

struct Checker {
    schema: Value,
    validator: Validator,
}

/// Compiled once: tests and the planner read many scenarios.
static CHECKER: LazyLock<Checker> = LazyLock::new(|| {
    let schema = schema::json_schema();
    let validator = jsonschema::validator_for(&schema).expect("the generated schema is a schema");
    Checker { schema, validator }
});

/// Reports what the schema refuses, and removes it so that the rest can be read.
pub(super) fn check(json: &mut Value, problems: &mut Problems) {
    let mut errors: Vec<(At, ValidationError<'static>)> = CHECKER
        .validator
        .iter_errors(json)
        .map(|error| (At::pointer(error.instance_path().as_str()), error.to_owned()))
        .collect();
    // A mistyped key explains the key that is then missing, so unknown keys come first.
    errors.sort_by_key(|(_, error)| matches!(error.kind(), Kind::Required { .. }));
    let mut refused: Vec<At> = Vec::new();
    for (at, error) in &errors {
        match error.kind() {
            Kind::AdditionalProperties { unexpected } => {
                for key in unexpected {
                    unknown_key(json, problems, at, key);
                    refused.push(at.key(key));
                }
            }
            Kind::Required { property } => missing_key(problems, at, property.as_str().unwrap_or_default()),
            _ if refused.contains(at) => {}
            kind => {
                wrong_value(json, problems, at, kind);
                refused.push(at.clone());
            }
        }
    }
    for at in &refused {
        remove(json, problems, at);
    }
}

fn unknown_key(json: &Value, problems: &mut Problems, table: &At, key: &str) {
    let known = keys(table);
    let at = table.key(key);
    problems.add::<()>(
        &at,
        format!("`{}` is not a key of the scenario language", problems.name(&at)),
        known_words(key, &known, "keys here"),
    );
    let near = did_you_mean(key, known).map(|near| table.key(near));
    if let Some(near) = near.filter(|near| json.pointer(near.as_str()).is_none()) {
        problems.mark_broken(&near);
    }
}

fn missing_key(problems: &mut Problems, table: &At, key: &str) {
    let at = table.key(key);
    let meaning = part_of(table)
        .and_then(|part| part.pointer(&format!("/properties/{key}/description")))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let words = allowed_words(&at);
    let choice = if words.is_empty() { String::new() } else { format!("; one of {}", listed(words)) };
    problems.missing::<()>(&at, format!("`{key}`: {}{choice}", lower_first(meaning.trim_end_matches('.'))));
}

fn wrong_value(json: &Value, problems: &mut Problems, at: &At, kind: &Kind) {
    let value = json.pointer(at.as_str()).cloned().unwrap_or_default();
    let words = allowed_words(at);
    let types = allowed_types(at);
    if !types.is_empty() && !types.iter().any(|name| is_type(&value, name)) {
        let wanted: Vec<&str> = types.iter().map(|name| human_type(name)).collect();
        problems.wrong::<()>(
            at,
            format!("where {} is wanted", wanted.join(" or ")),
            type_hint(problems, at, &value, &types),
        );
    } else if let (Some(word), false) = (value.as_str(), words.is_empty()) {
        let near = did_you_mean(word, words.iter().copied());
        let hint = near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
        problems.wrong::<()>(at, format!("which is not one of {}", listed(words)), hint);
    } else {
        problems.wrong::<()>(at, out_of_bounds(kind), example_hint(at).unwrap_or_default());
    }
}

/// Bounds that the schema states; everything else of the language is checked with the meaning of the value.
fn out_of_bounds(kind: &Kind) -> String {
    match kind {
        Kind::Minimum { limit } => format!("which is less than {limit}"),
        Kind::Maximum { limit } => format!("which is more than {limit}"),
        Kind::MinLength { .. } => "an empty text".into(),
        Kind::MinItems { .. } => "an empty list".into(),
        Kind::MaxItems { limit } => format!("with more than {limit} items"),
        _ => "which is not allowed here".into(),
    }
}

/// Removes a value. A list with a wrong item goes as a whole: the others would change their numbers.
fn remove(json: &mut Value, problems: &mut Problems, at: &At) {
    let Some(parent) = at.parent() else { return };
    match json.pointer_mut(parent.as_str()) {
        Some(Value::Object(table)) => {
            table.remove(&at.last());
        }
        Some(Value::Array(_)) => {
            problems.mark_broken(&parent);
            remove(json, problems, &parent);
        }
        _ => {}
    }
}

fn part_of(at: &At) -> Option<&'static Value> {
    schema::part(&CHECKER.schema, &at.segments())
}

/// What a key's own place in the schema says, which a shared definition does not: examples.
fn examples(at: &At) -> Option<&'static Vec<Value>> {
    part_of(at)?.get("examples")?.as_array()
}

fn keys(at: &At) -> Vec<&'static str> {
    let mut keys: Vec<&str> = part_of(at)
        .and_then(|part| part.get("properties"))
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect();
    keys.sort_unstable();
    keys
}

fn allowed_words(at: &At) -> Vec<&'static str> {
    let words = part_of(at).and_then(|part| part.get("enum")).and_then(Value::as_array);
    words.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn allowed_types(at: &At) -> Vec<&'static str> {
    match part_of(at).and_then(|part| part.get("type")) {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

fn human_type(name: &str) -> &'static str {
    match name {
        "string" => "a text",
        "number" => "a number",
        "integer" => "a whole number",
        "boolean" => "`true` or `false`",
        "array" => "a list",
        _ => "a table",
    }
}

fn type_hint(problems: &Problems, at: &At, value: &Value, types: &[&str]) -> String {
    if types == ["array"] && value.is_object() {
        return format!("write `[[{}]]`, with two brackets", problems.name(at));
    }
    if types == ["array"] && value.is_string() {
        return format!("write [{value}]");
    }
    if let Some(hint) = example_hint(at) {
        return hint;
    }
    let words = allowed_words(at);
    if !words.is_empty() {
        return format!("one of {}", listed(words));
    }
    if types == ["string"] && (value.is_number() || value.is_boolean()) {
        return format!("write it in quotes: \"{value}\"");
    }
    String::new()
}

fn example_hint(at: &At) -> Option<String> {
    let examples: Vec<String> = examples(at)?.iter().map(|example| format!("`{example}`")).collect();
    Some(format!("for example {}", examples.join(", ")))
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
