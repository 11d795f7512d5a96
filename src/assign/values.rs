//! What a platform is told: values by name, as written in a scenario or on the command line.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Named values. A reader asks for those it needs, all troubles are collected, and what nobody asked for is one of them.
#[derive(Debug, Clone, Default)]
pub struct Values {
    given: BTreeMap<String, String>,
    unit: Option<String>,
    unit_asked: bool,
    asked: BTreeSet<String>,
    troubles: Vec<Trouble>,
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Name of the value.
    pub name: String,
    /// What it is.
    pub what: What,
}

/// Kinds of trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It must be there; this is what it means.
    Missing(String),
    /// It cannot be; why, and what to do.
    Wrong(String, String),
    /// The platform does not use it; these it uses.
    Unused(Vec<String>),
}

impl Values {
    /// From names and values as written; a name that is given twice keeps the later.
    pub fn of(given: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { given: given.into_iter().collect(), ..Self::default() }
    }

    /// With the unit that is asked about.
    #[must_use]
    pub fn with_unit(self, unit: Option<String>) -> Self {
        Self { unit, ..self }
    }

    /// Whether a value is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    pub(super) fn wrong<T>(&mut self, name: &str, why: impl Into<String>, hint: impl Into<String>) -> Option<T> {
        self.troubles.push(Trouble { name: name.into(), what: What::Wrong(why.into(), hint.into()) });
        None
    }

    fn missing<T>(&mut self, name: &str, meaning: &str) -> Option<T> {
        self.troubles.push(Trouble { name: name.into(), what: What::Missing(meaning.into()) });
        None
    }

    fn ask(&mut self, name: &str) -> Option<String> {
        self.asked.insert(name.into());
        self.given.get(name).cloned()
    }

    /// A text that must be there.
    pub(super) fn text(&mut self, name: &str, meaning: &str) -> Option<String> {
        self.ask(name).or_else(|| self.missing(name, meaning))
    }

    /// A text that may be left out.
    pub(super) fn text_or(&mut self, name: &str, default: &str) -> String {
        self.ask(name).unwrap_or_else(|| default.into())
    }

    /// The unit, under the name that the platform has for it.
    pub(super) fn unit(&mut self, name: &str) -> Option<String> {
        match (self.ask(name), self.lone_unit()) {
            (Some(given), Some(unit)) if given != unit => {
                self.wrong(name, "is given twice, with different values", "leave one of `--set` and `--unit` out")
            }
            (given, unit) => given.or(unit).or_else(|| self.missing(name, "the unit: `--unit`")),
        }
    }

    /// The unit of `--unit`, where a platform has it within a list.
    pub(super) fn lone_unit(&mut self) -> Option<String> {
        self.unit_asked = true;
        self.unit.clone()
    }

    /// One of some words; the first where it is left out.
    pub(super) fn choice(&mut self, name: &str, words: &[&'static str]) -> Option<&'static str> {
        let Some(text) = self.ask(name) else { return words.first().copied() };
        words.iter().copied().find(|word| *word == text).or_else(|| {
            let known: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            self.wrong(name, "which the platform does not know", format!("one of {}", known.join(", ")))
        })
    }

    /// The same, but it must be there: what differs between releases of a platform is not guessed.
    pub(super) fn word(&mut self, name: &str, words: &[&'static str], meaning: &str) -> Option<&'static str> {
        if self.has(name) { self.choice(name, words) } else { self.text(name, meaning).and(None) }
    }

    /// A number that must be there.
    pub(super) fn number(&mut self, name: &str, meaning: &str) -> Option<f64> {
        let text = self.text(name, meaning)?;
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.or_else(|| self.wrong(name, "which is not a number", "write digits, such as `12.5`"))
    }

    /// A whole number within bounds that must be there.
    pub(super) fn whole(&mut self, name: &str, meaning: &str, low: i64, high: i64) -> Option<i64> {
        let text = self.text(name, meaning)?;
        let number = text.parse().ok().filter(|number| (low..=high).contains(number));
        number.or_else(|| self.wrong(name, "which is not a whole number in range", format!("use {low} to {high}")))
    }

    /// The same, if it is there: the outer `None` is trouble, the inner is absence. `null` is absence too.
    #[expect(clippy::option_option, reason = "trouble and absence differ")]
    pub(super) fn whole_or_none(&mut self, name: &str, low: i64, high: i64) -> Option<Option<i64>> {
        match self.ask(name).as_deref() {
            None | Some("null") => Some(None),
            Some(_) => self.whole(name, "", low, high).map(Some),
        }
    }

    /// The same with a default.
    pub(super) fn whole_or(&mut self, name: &str, default: i64, low: i64, high: i64) -> Option<i64> {
        self.whole_or_none(name, low, high).map(|number| number.unwrap_or(default))
    }

    /// A value that may be left out: the outer `None` is trouble, the inner is absence.
    #[expect(clippy::option_option, reason = "trouble and absence differ")]
    pub(super) fn optional<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.has(name) { read(self).map(Some) } else { self.ask(name).map_or(Some(None), |_| None) }
    }

    /// A number of equal parts, such as a total weight.
    pub(super) fn parts_or(&mut self, name: &str, default: u32) -> Option<u32> {
        self.whole_or(name, default.into(), 1, i32::MAX.into()).map(|parts| parts as u32)
    }

    /// JSON that must be there.
    pub(super) fn json(&mut self, name: &str, meaning: &str) -> Option<Value> {
        let text = self.text(name, meaning)?;
        serde_json::from_str(&text).ok().or_else(|| self.wrong(name, "which is not JSON", meaning))
    }

    /// A list of numbers, as JSON.
    pub(super) fn numbers(&mut self, name: &str, meaning: &str) -> Option<Vec<f64>> {
        let list = self.json(name, meaning)?;
        let numbers = list.as_array().and_then(|list| list.iter().map(Value::as_f64).collect());
        numbers.or_else(|| self.wrong(name, "which is not a list of numbers", "write `[5, 95]`"))
    }

    /// Weights: a list of whole numbers of 0 or more, not all of them 0, whose sum fits the platforms' 31 bits.
    pub(super) fn weights(&mut self, name: &str) -> Option<Vec<u64>> {
        let numbers = self.numbers(name, "a weight for each variant, such as `[5, 95]`")?;
        let whole = |number: &f64| number.fract() == 0.0 && (0.0..=f64::from(i32::MAX)).contains(number);
        let fits = numbers.iter().all(whole) && (1.0..=f64::from(i32::MAX)).contains(&numbers.iter().sum());
        if fits {
            return Some(numbers.iter().map(|&number| number as u64).collect());
        }
        self.wrong(name, "which are not weights", "use whole numbers of 0 or more that are not all 0")
    }

    /// A list of texts, as JSON.
    pub(super) fn texts(&mut self, name: &str, meaning: &str) -> Option<Vec<String>> {
        let list = self.json(name, meaning)?;
        let texts = list.as_array().and_then(|list| list.iter().map(|text| text.as_str().map(str::to_owned)).collect());
        texts.or_else(|| self.wrong(name, "which is not a list of texts", "write `[\"a\", \"b\"]`"))
    }

    /// Everything that is wrong, with what nobody asked for.
    #[must_use]
    pub fn troubles(mut self) -> Vec<Trouble> {
        let asked: Vec<String> = self.asked.iter().cloned().collect();
        let unused = self.given.keys().filter(|name| !self.asked.contains(*name));
        let unused: Vec<Trouble> =
            unused.map(|name| Trouble { name: name.clone(), what: What::Unused(asked.clone()) }).collect();
        self.troubles.extend(unused);
        if !self.unit_asked && self.unit.is_some_and(|unit| !unit.is_empty()) {
            self.troubles.push(Trouble { name: "unit".into(), what: What::Unused(asked) });
        }
        self.troubles
    }
}
