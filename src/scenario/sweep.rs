//! Variants of a scenario: some keys set to other values, all else as written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use rayon::prelude::*;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, TableLike, Value};

use super::problems::{did_you_mean, listed};
use super::{Scenario, schema};
use crate::error::{Error, Problem, Result};

/// More variants than this are a mistake, or a search.
const MOST: usize = 20_000;

/// What all variants share, so that their differences mean something.
const SHARED: [&str; 2] = ["simulation.seed", "simulation.replicates"];

/// What the language wants where.
static LANGUAGE: LazyLock<serde_json::Value> = LazyLock::new(schema::json_schema);

/// How a sweep is written.
const HINT: &str =
    "write `KEY=V1,V2,..`, such as `gates.task quality.allow=0.5%,1%,2%` or `stages.5%.duration=12h,24h`";

/// A key and the values it takes in turn, each as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// The way to the value: `gates.task quality.allow`.
    pub key: String,
    /// At least one.
    pub values: Vec<String>,
}

/// A key with the value it takes in a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The way to the value.
    pub key: String,
    /// As typed.
    pub value: String,
}

/// A scenario with some keys set to other values.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// The file it was made from.
    pub file: String,
    /// What was set.
    pub settings: Vec<Setting>,
    /// The result; its path names file and settings.
    pub scenario: Scenario,
}

impl Sweep {
    /// Reads `KEY=V1,V2,..`. Commas inside brackets, braces and quotes belong to a value.
    ///
    /// # Errors
    /// No key or an empty value.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |message: &str| Problem::new(place(text), message).hint(HINT);
        let (key, values) = text.split_once('=').ok_or_else(|| refuse("has no `=`"))?;
        let key = key.trim();
        if key.is_empty() {
            return Err(refuse("names no key").into());
        }
        if !key.contains('.') {
            return Err(refuse("names no key of a table").into());
        }
        if SHARED.contains(&key) {
            let hint = format!("all variants share it; use `--{}`", &key["simulation.".len()..]);
            return Err(Problem::new(place(text), format!("`{key}` cannot be compared")).hint(hint).into());
        }
        let values = split(values);
        if values.iter().any(String::is_empty) {
            return Err(refuse("has an empty value").into());
        }
        Ok(Self { key: key.to_owned(), values })
    }
}

/// Every combination of the sweeps' values; the first sweep changes slowest.
#[must_use]
pub fn product(sweeps: &[Sweep]) -> Vec<Vec<Setting>> {
    sweeps.iter().fold(vec![Vec::new()], |combinations, sweep| {
        let with = |settings: &Vec<Setting>| {
            let settings = settings.clone();
            sweep.values.iter().map(move |value| {
                let mut settings = settings.clone();
                settings.push(Setting { key: sweep.key.clone(), value: value.clone() });
                settings
            })
        };
        combinations.iter().flat_map(with).collect()
    })
}

/// Every combination of the sweeps' values in every file, in that order.
///
/// # Errors
/// Every problem of the files; of variants each distinct problem once, with the first variant that has it.
pub fn variants(files: &[&Path], sweeps: &[Sweep]) -> Result<Vec<Variant>> {
    let mut problems = Vec::new();
    for (index, sweep) in sweeps.iter().enumerate() {
        if sweeps[..index].iter().any(|other| other.key == sweep.key) {
            let problem = Problem::new(place(&sweep.key), "is given twice");
            problems.push(problem.hint("list all values of a key in one sweep"));
        }
    }
    let combinations = sweeps.iter().map(|sweep| sweep.values.len()).fold(1, usize::saturating_mul);
    if combinations.saturating_mul(files.len()) > MOST {
        let message = format!("{} variants, and {MOST} is the most", combinations.saturating_mul(files.len()));
        problems.push(Problem::new("--sweep", message).hint("sweep fewer keys at once, or fewer values of each"));
    }
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let mut read = Vec::new();
    for path in files {
        match Scenario::read(path).and_then(|_| text_of(path)) {
            Ok(text) => read.push((path.display().to_string(), text)),
            Err(error) => problems.extend(error.problems),
        }
    }
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let wanted: Vec<(&str, &str, Vec<Setting>)> = read
        .iter()
        .flat_map(|(file, text)| {
            product(sweeps).into_iter().map(move |settings| (file.as_str(), text.as_str(), settings))
        })
        .collect();
    let made: Vec<Result<Variant>> =
        wanted.into_par_iter().map(|(file, text, settings)| variant(file, text, settings)).collect();
    let mut variants = Vec::with_capacity(made.len());
    let mut found: Vec<Problem> = Vec::new();
    let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for made in made {
        match made {
            Ok(variant) => variants.push(variant),
            Err(error) => {
                for problem in error.problems {
                    let (_, times) = seen.entry(problem.message.clone()).or_insert((found.len(), 0));
                    *times += 1;
                    if *times == 1 {
                        found.push(problem);
                    }
                }
            }
        }
    }
    for (index, times) in seen.into_values().filter(|&(_, times)| times > 1) {
        let others = if times == 2 { "another variant".to_owned() } else { format!("{} other variants", times - 1) };
        found[index].message.extend([" (and so in ", others.as_str(), ")"]);
    }
    if found.is_empty() { Ok(variants) } else { Err(found.into()) }
}

/// The text of a file.
pub(crate) fn text_of(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::unreadable(path, &error))
}

fn variant(file: &str, text: &str, settings: Vec<Setting>) -> Result<Variant> {
    let text = edit(file, text, &settings)?;
    let named: Vec<String> = settings.iter().map(|setting| format!("{}={}", setting.key, setting.value)).collect();
    let path = if named.is_empty() { file.to_owned() } else { format!("{file} with {}", named.join(", ")) };
    let scenario = Scenario::parse(&path, &text)?;
    Ok(Variant { file: file.to_owned(), settings, scenario })
}

/// The text of a scenario with settings in place of what is written. Comments and order stay.
///
/// # Errors
/// Text that is not TOML, or a key that leads nowhere.
pub fn edit(path: &str, text: &str, settings: &[Setting]) -> Result<String> {
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| Problem::new(path, error.message().replace('\n', ", ")))?;
    for setting in settings {
        let editor = Editor { path, setting };
        editor.set_in(document.as_table_mut(), &setting.key, &[])?;
    }
    Ok(document.to_string())
}

/// How messages name the option.
fn place(sweep: &str) -> String {
    format!("--sweep {sweep}")
}

/// Splits at commas that are not inside brackets, braces or quotes.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut depth, mut quote) = (Vec::new(), String::new(), 0_i32, None);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth -= 1,
            (None, ',') if depth <= 0 => {
                parts.push(std::mem::take(&mut part).trim().to_owned());
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part.trim().to_owned());
    parts
}

/// Sets one key.
struct Editor<'a> {
    path: &'a str,
    setting: &'a Setting,
}

impl Editor<'_> {
    /// Follows what is left of the way from a table. Names may hold dots, so the longest that fits is taken.
    fn set_in(&self, table: &mut dyn TableLike, way: &str, above: &[String]) -> Result<()> {
        let keys: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
        let (key, rest) = match longest(&keys, way) {
            Some(found) => found,
            None => self.absent(table, way, above, &keys)?,
        };
        let inside = [above, std::slice::from_ref(&key)].concat();
        let item = table.entry(&key).or_insert(Item::None);
        let Some(rest) = rest else {
            self.write(item, &inside);
            return Ok(());
        };
        match item {
            Item::ArrayOfTables(tables) => self.set_in_tables(tables, &rest, &inside),
            Item::Value(Value::Array(array)) if array.iter().all(Value::is_inline_table) => {
                let tables = array.iter_mut().filter_map(Value::as_inline_table_mut).map(|t| t as &mut dyn TableLike);
                self.set_in_named(tables.collect(), &rest, &inside)
            }
            Item::None => {
                let mut made = Table::new();
                let done = self.set_in(&mut made, &rest, &inside);
                *item = Item::Table(made);
                done
            }
            other => match other.as_table_like_mut() {
                Some(table) => self.set_in(table, &rest, &inside),
                None => Err(self.refuse(format!("`{}` is no table", inside.join(".")), HINT.into()).into()),
            },
        }
    }

    fn set_in_tables(&self, tables: &mut ArrayOfTables, way: &str, above: &[String]) -> Result<()> {
        self.set_in_named(tables.iter_mut().map(|table| table as &mut dyn TableLike).collect(), way, above)
    }

    /// Elements of a list go by name; `*` is all of them.
    fn set_in_named(&self, tables: Vec<&mut dyn TableLike>, way: &str, above: &[String]) -> Result<()> {
        let name = |table: &&mut dyn TableLike| table.get("name").and_then(Item::as_str).unwrap_or_default().to_owned();
        let names: Vec<String> = tables.iter().map(name).collect();
        let inside = [above, &["0".to_owned()]].concat();
        let all = way.strip_prefix("*.").map(|rest| (None, Some(rest.to_owned())));
        let Some((chosen, Some(rest))) = all.or_else(|| longest(&names, way).map(|(name, rest)| (Some(name), rest)))
        else {
            let section = above.join(".");
            let head = way.split('.').next().unwrap_or(way);
            let near = did_you_mean(head, names.iter().map(String::as_str));
            let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
            let known = listed(names.iter().map(String::as_str));
            let message = format!("`{way}` does not begin with the name of one of `{section}` and a key of it");
            return Err(self.refuse(message, format!("{near}names: {known}, or `*` for all")).into());
        };
        for (table, name) in tables.into_iter().zip(names) {
            if chosen.as_ref().is_none_or(|chosen| *chosen == name) {
                self.set_in(table, &rest, &inside)?;
            }
        }
        Ok(())
    }

    /// A key that is not written: one that the language knows, or one for the usual check to refuse.
    fn absent(
        &self,
        table: &dyn TableLike,
        way: &str,
        above: &[String],
        keys: &[String],
    ) -> Result<(String, Option<String>)> {
        let Some((head, rest)) = way.split_once('.') else { return Ok((way.to_owned(), None)) };
        let known = schema::part(&LANGUAGE, above).and_then(|part| part.get("properties")?.as_object()?.get(head));
        if known.is_some() && !table.contains_key(head) && !matches!(head, "metrics" | "stages" | "gates" | "effects") {
            return Ok((head.to_owned(), Some(rest.to_owned())));
        }
        let near = did_you_mean(head, keys.iter().map(String::as_str));
        let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
        let here = if above.is_empty() { "the scenario".to_owned() } else { format!("`{}`", above.join(".")) };
        let hint = format!("{near}keys there: {}", listed(keys.iter().map(String::as_str)));
        Err(self.refuse(format!("{here} has no `{head}`"), hint).into())
    }

    fn write(&self, item: &mut Item, at: &[String]) {
        let mut value = self.typed(at);
        if let Some(before) = item.as_value() {
            *value.decor_mut() = before.decor().clone();
        }
        *item = Item::Value(value);
    }

    /// The value as the language wants it: `5%` needs no quotes here, and a number stays one where a number is wanted.
    fn typed(&self, at: &[String]) -> Value {
        let text = &self.setting.value;
        let types = schema::part(&LANGUAGE, at).and_then(|part| part.get("type"));
        let wanted = |name: &str| match types {
            Some(serde_json::Value::String(one)) => one == name,
            Some(serde_json::Value::Array(several)) => several.iter().any(|one| one == name),
            _ => false,
        };
        let Ok(value) = text.parse::<Value>() else { return Value::from(text.as_str()) };
        let fits = match &value {
            Value::String(_) => true,
            Value::Integer(_) => wanted("integer") || wanted("number"),
            Value::Float(_) => wanted("number") || wanted("integer"),
            Value::Boolean(_) => wanted("boolean"),
            Value::Array(_) => wanted("array"),
            Value::InlineTable(_) => wanted("object"),
            Value::Datetime(_) => false,
        };
        if fits { value } else { Value::from(text.as_str()) }
    }

    fn refuse(&self, message: String, hint: String) -> Problem {
        let place = format!("{}, {}", self.path, place(&format!("{}={}", self.setting.key, self.setting.value)));
        Problem::new(place, message).hint(hint)
    }
}

/// The longest name that the way is or begins with, and what is left after it.
fn longest(names: &[String], way: &str) -> Option<(String, Option<String>)> {
    let after = |name: &String| {
        let rest = way.strip_prefix(name.as_str())?;
        if rest.is_empty() { Some(None) } else { rest.strip_prefix('.').map(|rest| Some(rest.to_owned())) }
    };
    let found = names.iter().filter(|name| !name.is_empty()).filter_map(|name| Some((name.clone(), after(name)?)));
    found.max_by_key(|(name, _)| name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[assignment]
unit = "user_id"          # sticky

[[stages]]
name = "5%"
exposure = "5%"

[[gates]]
name = "p95 v1.2"
allow = "1%"              # agreed with support
[[gates]]
name = "p95"
alpha = 0.05
"#;

    fn edited(key: &str, value: &str) -> Result<String> {
        edit("s.toml", TEXT, &[Setting { key: key.into(), value: value.into() }])
    }

    #[test]
    fn only_the_value_changes() {
        let text = edited("gates.p95 v1.2.allow", "0.5%").unwrap();
        assert_eq!(text, TEXT.replace("\"1%\"  ", "\"0.5%\"  "));
        let text = edited("assignment.unit", "session_id").unwrap();
        assert_eq!(text, TEXT.replace("user_id", "session_id"));
    }

    #[test]
    fn values_get_the_type_that_the_language_wants() {
        assert!(edited("gates.p95.alpha", "0.01").unwrap().contains("alpha = 0.01\n"));
        assert!(edited("stages.5%.duration", "12h").unwrap().contains("duration = \"12h\"\n"));
        assert!(edited("gates.p95.by", "[\"region\"]").unwrap().contains("by = [\"region\"]\n"));
        assert!(edited("rollout.start", "Mon 09:00").unwrap().contains("[rollout]\nstart = \"Mon 09:00\"\n"));
        assert!(edited("assignment.salt", "2026").unwrap().contains("salt = \"2026\"\n"));
        assert!(edited("simulation.replicates", "20").unwrap().contains("replicates = 20\n"));
    }

    #[test]
    fn a_star_is_every_element() {
        assert_eq!(edited("gates.*.power", "0.9").unwrap().matches("power = 0.9\n").count(), 2);
    }

    #[test]
    fn ways_that_lead_nowhere_are_refused_with_the_names_there() {
        let message = edited("gates.p96.allow", "1%").unwrap_err().to_string();
        assert!(message.contains("--sweep gates.p96.allow=1%: `p96.allow` does not begin with"), "{message}");
        assert!(message.contains("did you mean `p95`? names: `p95 v1.2`, `p95`, or `*` for all"), "{message}");
        let message = edited("asignment.unit", "x").unwrap_err().to_string();
        assert!(message.contains("the scenario has no `asignment`") && message.contains("`assignment`?"), "{message}");
        assert!(edited("assignment.unit.name", "x").unwrap_err().to_string().contains("`assignment.unit` is no table"));
    }

    #[test]
    fn sweeps_split_at_commas_outside_of_lists() {
        let sweep = Sweep::parse("rollout.start=[\"Mon 09:00\", \"Tue 09:00\"],Fri 16:00").unwrap();
        assert_eq!(sweep.values, ["[\"Mon 09:00\", \"Tue 09:00\"]", "Fri 16:00"]);
        for text in ["gates.x.allow", "=1%", "a.x=1,,2", "a.x=", "about=1", "simulation.seed=1,2"] {
            assert!(Sweep::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_sweep_changes_slowest() {
        let sweeps = [Sweep::parse("a.x=1,2").unwrap(), Sweep::parse("b.x=3,4,5").unwrap()];
        let values: Vec<String> = product(&sweeps).iter().map(|s| format!("{}{}", s[0].value, s[1].value)).collect();
        assert_eq!(values, ["13", "14", "15", "23", "24", "25"]);
        assert_eq!(product(&[]), [Vec::new()]);
    }
}
