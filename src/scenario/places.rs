//! TOML text to JSON, keeping where each value stands in the file.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

/// Deeper than any construct of the language; bounds the recursion over hostile files.
const DEEPEST: usize = 16;
/// Values longer than this are named by their type in messages.
const LONGEST_SHOWN: usize = 60;

/// The way from the root to a value, as a JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct At(String);

impl At {
    /// The whole file.
    pub(super) fn root() -> Self {
        Self(String::new())
    }

    /// From a JSON pointer.
    pub(super) fn pointer(pointer: &str) -> Self {
        Self(pointer.to_owned())
    }

    /// A key of the table here.
    pub(super) fn key(&self, key: &str) -> Self {
        Self(format!("{}/{}", self.0, key.replace('~', "~0").replace('/', "~1")))
    }

    /// An element of the list here.
    pub(super) fn index(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    /// Where this is a key or an element of.
    pub(super) fn parent(&self) -> Option<Self> {
        self.0.rfind('/').map(|slash| Self(self.0[..slash].to_owned()))
    }

    /// Keys and indices from the root to here.
    pub(super) fn segments(&self) -> Vec<String> {
        self.0.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect()
    }

    /// The last key or index; empty for the root.
    pub(super) fn last(&self) -> String {
        self.segments().pop().unwrap_or_default()
    }

    /// As `serde_json::Value::pointer` takes it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a value stands, and how messages speak of it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// In bytes from the start of the file; orders problems.
    pub(super) offset: usize,
    /// From 1.
    pub(super) line: usize,
    /// The dotted key: `stages[2].exposure`.
    pub(super) name: String,
    /// The value as written, or its type where that would be long.
    pub(super) shown: String,
}

/// Byte offsets to line numbers.
#[derive(Debug)]
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &[u8]) -> Self {
        Self(text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(offset, _)| offset).collect())
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|newline| *newline < offset) + 1
    }
}

/// The place of every value of a file.
#[derive(Debug)]
pub(super) struct Places(HashMap<At, Place>);

impl Places {
    /// Where a value stands; of an absent one, where its table begins.
    pub(super) fn get(&self, at: &At) -> Place {
        if let Some(place) = self.0.get(at) {
            return place.clone();
        }
        match at.parent() {
            Some(parent) => {
                let above = self.get(&parent);
                Place { name: dotted(&above.name, &at.last()), shown: "absent".into(), ..above }
            }
            None => Place { offset: 0, line: 1, name: String::new(), shown: "the file".into() },
        }
    }
}

/// A problem met on the way: place, and message without the key's name.
#[derive(Debug)]
pub(super) struct Unusable {
    /// What cannot be used.
    pub(super) at: At,
    /// Why.
    pub(super) why: &'static str,
}

/// A file as JSON, with the place of every value and the values JSON cannot hold.
#[derive(Debug)]
pub(super) struct Document {
    /// Without the unusable values.
    pub(super) json: Value,
    /// Of every value, usable or not.
    pub(super) places: Places,
    /// Numbers that are not finite or too large, and tables nested too deeply.
    pub(super) unusable: Vec<Unusable>,
    /// Lists that went with an unusable item: the others would have changed their numbers.
    pub(super) dropped: Vec<At>,
}

impl Document {
    /// Reads a parsed file.
    pub(super) fn new(text: &str, lines: &Lines, table: &DeTable<'_>) -> Self {
        let mut walk = Walk { text, lines, places: HashMap::new(), unusable: Vec::new(), dropped: Vec::new() };
        let json = walk.table(&At::root(), "", table);
        Self { json, places: Places(walk.places), unusable: walk.unusable, dropped: walk.dropped }
    }
}

struct Walk<'a> {
    text: &'a str,
    lines: &'a Lines,
    places: HashMap<At, Place>,
    unusable: Vec<Unusable>,
    dropped: Vec<At>,
}

impl Walk<'_> {
    fn table(&mut self, at: &At, name: &str, table: &DeTable<'_>) -> Value {
        let mut map = Map::new();
        for (key, value) in table {
            let at = at.key(key.get_ref());
            let name = dotted(name, key.get_ref());
            if let Some(json) = self.value(&at, &name, key.span().start, value) {
                map.insert(key.get_ref().to_string(), json);
            }
        }
        Value::Object(map)
    }

    /// `None` if the value, or one inside a list, cannot be used.
    fn value(&mut self, at: &At, name: &str, offset: usize, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let shown = self.shown(value.get_ref(), value.span());
        let line = self.lines.line(offset);
        self.places.insert(at.clone(), Place { offset, line, name: name.to_owned(), shown });
        if at.segments().len() > DEEPEST {
            return self.unusable(at, "nested too deeply");
        }
        match value.get_ref() {
            DeValue::String(text) => Some(Value::from(text.as_ref())),
            DeValue::Boolean(yes) => Some(Value::from(*yes)),
            DeValue::Datetime(moment) => Some(Value::from(moment.to_string())),
            DeValue::Integer(number) => integer(number).or_else(|| self.unusable(at, "too large for a whole number")),
            DeValue::Float(number) => float(number).or_else(|| self.unusable(at, "not a finite number")),
            DeValue::Table(table) => Some(self.table(at, name, table)),
            DeValue::Array(values) => {
                let items: Vec<_> = values
                    .iter()
                    .enumerate()
                    .map(|(index, item)| {
                        self.value(&at.index(index), &format!("{name}[{index}]"), item.span().start, item)
                    })
                    .collect();
                let items: Option<Vec<Value>> = items.into_iter().collect();
                if items.is_none() {
                    self.dropped.push(at.clone());
                }
                items.map(Value::Array)
            }
        }
    }

    fn unusable(&mut self, at: &At, why: &'static str) -> Option<Value> {
        self.unusable.push(Unusable { at: at.clone(), why });
        None
    }

    fn shown(&self, value: &DeValue<'_>, span: Range<usize>) -> String {
        let kind = match value {
            // The span of a table is that of its header.
            DeValue::Table(_) => return "a table".into(),
            DeValue::Array(_) => "a list",
            _ => "a long text",
        };
        let header = |text: &str| text.starts_with("[[");
        match self.text.get(span) {
            Some(text) if text.len() <= LONGEST_SHOWN && !text.contains('\n') && !header(text) => format!("`{text}`"),
            _ => kind.into(),
        }
    }
}

fn integer(number: &DeInteger<'_>) -> Option<Value> {
    i64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::from)
}

/// JSON Schema calls 1000.0 a whole number, so it becomes one.
fn float(number: &DeFloat<'_>) -> Option<Value> {
    let number: f64 = number.as_str().parse().ok()?;
    let whole = if number.fract() == 0.0 { format!("{number:.0}").parse::<i64>().ok() } else { None };
    whole.map(Value::from).or_else(|| Number::from_f64(number).map(Value::Number))
}

/// The key below a dotted one, quoted where TOML needs quotes.
fn dotted(above: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if above.is_empty() { key } else { format!("{above}.{key}") }
}
