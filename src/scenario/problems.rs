//! Collects every problem of a scenario, with its place.

use std::collections::HashSet;
use std::fmt::Display;

use super::places::{At, Places};
use crate::error::{Error, Problem};

/// Problems so far, and which values they make unknown.
#[derive(Debug)]
pub(super) struct Problems {
    path: String,
    places: Places,
    found: Vec<(usize, Problem)>,
    broken: HashSet<At>,
}

impl Problems {
    pub(super) fn new(path: &str, places: Places) -> Self {
        Self { path: path.to_owned(), places, found: Vec::new(), broken: HashSet::new() }
    }

    /// The dotted key, as messages show it.
    pub(super) fn name(&self, at: &At) -> String {
        self.places.get(at).name
    }

    /// The value as written.
    pub(super) fn shown(&self, at: &At) -> String {
        self.places.get(at).shown
    }

    /// Where the key or its table begins: the order in which things were written.
    pub(super) fn offset(&self, at: &At) -> usize {
        self.places.get(at).offset
    }

    /// Says no more about a value, because another problem already explains it.
    pub(super) fn mark_broken(&mut self, at: &At) {
        self.broken.insert(at.clone());
    }

    /// Whether a problem was reported for this value or for the table it would be in.
    pub(super) fn is_broken(&self, at: &At) -> bool {
        self.broken.contains(at) || at.parent().is_some_and(|parent| self.is_broken(&parent))
    }

    /// A problem in full. Always `None`, to end the reading of a value.
    pub(super) fn add<T>(&mut self, at: &At, message: impl Display, hint: impl Into<String>) -> Option<T> {
        let place = self.places.get(at);
        let hint = hint.into();
        let problem = Problem::new(format!("{}:{}", self.path, place.line), message.to_string());
        let problem = if hint.is_empty() { problem } else { problem.hint(hint) };
        self.found.push((place.offset, problem));
        self.mark_broken(at);
        None
    }

    /// A value that cannot be: "`gates[0].alpha` is `2`, ...".
    pub(super) fn wrong<T>(&mut self, at: &At, why: impl Display, hint: impl Into<String>) -> Option<T> {
        let place = self.places.get(at);
        self.add(at, format!("`{}` is {}, {why}", place.name, place.shown), hint)
    }

    /// A construct of the language that is not simulated.
    pub(super) fn later<T>(&mut self, at: &At, what: impl Display) -> Option<T> {
        self.add(at, format!("not supported yet: {what}"), "")
    }

    /// A key that must be there. Silent if a problem about it is already known.
    pub(super) fn missing<T>(&mut self, at: &At, hint: impl Into<String>) -> Option<T> {
        if self.is_broken(at) {
            return None;
        }
        self.add(at, format!("missing key `{}`", self.name(at)), hint)
    }

    /// A value that may be left out: `None` only if what was written is broken.
    pub(super) fn or_default<W, T>(
        &mut self,
        at: &At,
        written: Option<&W>,
        default: T,
        read: impl FnOnce(&mut Self, &W) -> Option<T>,
    ) -> Option<T> {
        match written {
            Some(value) => read(self, value),
            None if self.is_broken(at) => None,
            None => Some(default),
        }
    }

    /// All problems in the order of the file.
    pub(super) fn into_error(mut self) -> Option<Error> {
        self.found.sort_by_key(|(offset, _)| *offset);
        let problems: Vec<Problem> = self.found.into_iter().map(|(_, problem)| problem).collect();
        (!problems.is_empty()).then(|| problems.into())
    }
}

/// The candidate that a mistyped word probably meant.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this, unrelated words of the language begin to match.
    const NEAR: f64 = 0.8;
    let word = word.to_lowercase();
    let score = |candidate: &str| strsim::jaro_winkler(&word, &candidate.to_lowercase());
    candidates
        .into_iter()
        .map(|candidate| (score(candidate), candidate))
        .filter(|(score, _)| *score >= NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Words in backquotes, separated by commas.
pub(super) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// A hint for a word that is not among the known ones.
pub(super) fn known_words<'a>(word: &str, known: &[&'a str], what: &'a str) -> String {
    let list = if known.is_empty() {
        format!("there are no {what}")
    } else {
        format!("{what}: {}", listed(known.iter().copied()))
    };
    match did_you_mean(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? {list}"),
        None => list,
    }
}
