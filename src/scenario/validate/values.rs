//! Values that several tables share.

use std::collections::{BTreeMap, HashSet};

use super::super::places::At;
use super::super::problems::{Problems, known_words};
use super::super::quantities;
use super::super::wire::{self, Quantity};
use crate::domain::metric::Metric;
use crate::domain::quantity::Seconds;
use crate::domain::rollout::{Promotion, Stage};

/// Something that can be referred to by name even when the rest of it is broken.
pub(super) struct Named<T> {
    pub(super) name: String,
    pub(super) value: Option<T>,
}

/// What gates, rollout and effects refer to.
pub(super) struct Context<'a> {
    pub(super) metrics: &'a [Named<Metric>],
    pub(super) stages: &'a [Named<Stage>],
    pub(super) segments: Option<&'a [String]>,
    pub(super) slot: Option<Seconds>,
    pub(super) promote: Promotion,
}

impl Context<'_> {
    /// Stages in which gates look more than once: those that expose somebody.
    pub(super) fn exposing(&self) -> impl Iterator<Item = &Stage> + Clone {
        self.stages.iter().filter_map(|stage| stage.value.as_ref()).filter(|stage| stage.paired.is_none())
    }

    /// Index of a metric by name.
    pub(super) fn metric(&self, at: &At, name: &str, problems: &mut Problems) -> Option<usize> {
        let own = |metric: &&Named<Metric>| !metric.value.as_ref().is_some_and(|metric| metric.kind.is_further());
        let known: Vec<&str> = self.metrics.iter().filter(own).map(|metric| metric.name.as_str()).collect();
        let found = self.metrics.iter().position(|metric| own(&metric) && metric.name == name);
        // A metric that could not be read at all is no reason to say that it does not exist.
        if found.is_some() || problems.is_broken(&At::root().key("metrics").key(name)) {
            return found;
        }
        problems.wrong(at, "which is not a metric", known_words(name, &known, "metrics"))
    }

    /// Index of a segment column by name.
    pub(super) fn segment(&self, at: &At, name: &str, problems: &mut Problems) -> Option<usize> {
        segment(at, name, self.segments, problems)
    }
}

/// Index of a segment column by name; of unknown segments none, and nothing is said.
pub(super) fn segment(at: &At, name: &str, segments: Option<&[String]>, problems: &mut Problems) -> Option<usize> {
    let segments = segments?;
    if let Some(index) = segments.iter().position(|known| known == name) {
        return Some(index);
    }
    let known: Vec<&str> = segments.iter().map(String::as_str).collect();
    let hint = format!("{}; or add it to `log.segments`", known_words(name, &known, "segments"));
    if at.last() == name {
        return problems.add(at, format!("`{}` is not a segment of the log", problems.name(at)), hint);
    }
    problems.wrong(at, "which is not a segment of the log", hint)
}

/// A duration of zero or more whole seconds.
pub(super) fn duration(at: &At, text: &wire::Duration, problems: &mut Problems) -> Option<Seconds> {
    match quantities::duration(&text.0) {
        Ok(seconds) => Some(seconds),
        Err(why) => problems.wrong(at, why, quantities::DURATION_HINT),
    }
}

/// The same duration, if it falls on the slot grid; unknown slots refuse nothing.
pub(super) fn on_slots(at: &At, seconds: Seconds, slot: Option<Seconds>, problems: &mut Problems) -> Option<Seconds> {
    match slot {
        Some(slot) if seconds.0 % slot.0 != 0 => problems.wrong(
            at,
            format!("which is not a multiple of the slot of {slot}"),
            "use a multiple of `log.slot`, or a finer slot",
        ),
        _ => Some(seconds),
    }
}

/// A share above 0 and at most 100 %.
pub(super) fn share(at: &At, written: &Quantity, problems: &mut Problems) -> Option<f64> {
    let share = match written {
        Quantity::Number(number) => Some(*number),
        Quantity::Text(text) => quantities::percentage(text),
    };
    let Some(share) = share else {
        return problems.wrong(at, "which is not a share", "write `5%`, or 0.05 without quotes");
    };
    if share > 0.0 && share <= 1.0 {
        return Some(share);
    }
    // 5 was meant as per cent, as many controllers write it.
    let hint = match written {
        Quantity::Number(number) if (1.0..=100.0).contains(number) => {
            format!("a bare number is a share: write \"{number}%\"")
        }
        _ => String::new(),
    };
    problems.wrong(at, "which is not above 0 % and at most 100 %", hint)
}

/// A list without repetitions; an absent one is empty.
pub(super) fn unique(at: &At, written: Option<Vec<String>>, problems: &mut Problems) -> Option<Vec<String>> {
    let Some(list) = written else { return (!problems.is_broken(at)).then(Vec::new) };
    let mut seen = HashSet::new();
    for (index, item) in list.iter().enumerate() {
        if !seen.insert(item) {
            return problems.wrong(&at.index(index), format!("a second time in `{}`", problems.name(at)), "");
        }
    }
    Some(list)
}

/// Names of a list of tables, each given once.
pub(super) struct Names<'a> {
    what: &'a str,
    seen: HashSet<String>,
}

impl<'a> Names<'a> {
    pub(super) fn of(what: &'a str) -> Self {
        Self { what, seen: HashSet::new() }
    }

    /// The name, if it was not used before.
    pub(super) fn fresh(&mut self, at: &At, name: Option<String>, problems: &mut Problems) -> Option<String> {
        let name = name?;
        if self.seen.insert(name.clone()) {
            return Some(name);
        }
        problems.wrong(at, format!("the name of an earlier {}", self.what), "reports refer to names: give each its own")
    }
}

/// Conditions on segment columns, as indices and values.
pub(super) fn only(
    at: &At,
    written: Option<BTreeMap<String, Vec<String>>>,
    segments: Option<&[String]>,
    problems: &mut Problems,
) -> Option<Vec<(usize, Vec<String>)>> {
    let Some(written) = written else { return (!problems.is_broken(at)).then(Vec::new) };
    if written.is_empty() {
        return problems.wrong(at, "without a segment", "name a segment column, or leave the key out");
    }
    let mut conditions = Vec::new();
    let count = written.len();
    for (column, values) in written {
        let at = at.key(&column);
        if values.is_empty() {
            problems.wrong::<()>(&at, "an empty list, which fits no request", "name at least one value");
        } else if let Some(index) = segment(&at, &column, segments, problems) {
            conditions.push((index, values));
        }
    }
    (conditions.len() == count).then_some(conditions)
}
