//! `[log]` of a log in long form, and what such a log cannot answer.

use std::collections::BTreeMap;

use super::super::Served;
use super::super::places::At;
use super::super::problems::Problems;
use super::super::wire::{self, OneOrMany};
use crate::domain::version::{PerVersion, Version};

/// The column of the version, and what each is called there.
pub(super) fn served(written: &wire::ServedBy, at: &At, problems: &mut Problems) -> Option<Served> {
    let name =
        |written: &Option<String>, version: Version| written.clone().unwrap_or_else(|| version.name().to_owned());
    let stable = name(&written.stable, Version::Stable);
    let candidate = name(&written.candidate, Version::Candidate);
    if stable == candidate {
        let message = format!("`{}`: both versions are called `{stable}`", problems.name(at));
        return problems.add(at, message, "give `stable` and `candidate` the names that the column holds");
    }
    // A column that is missing has been reported.
    Some(Served { column: written.column.clone()?, names: PerVersion { stable, candidate } })
}

/// The values of each column with which rows count.
pub(super) fn only(
    written: Option<BTreeMap<String, OneOrMany>>,
    at: &At,
    problems: &mut Problems,
) -> Option<Vec<(String, Vec<String>)>> {
    let mut only = Vec::new();
    for (column, values) in written.unwrap_or_default() {
        let values = match values {
            OneOrMany::One(value) => vec![value],
            OneOrMany::Many(values) => values,
        };
        if values.is_empty() {
            let message = format!("`{}` names no value, so that no row would count", problems.name(&at.key(&column)));
            return problems.add(&at.key(&column), message, "name at least one, or leave the column out");
        }
        only.push((column, values));
    }
    Some(only)
}

/// What needs both outcomes of a request.
pub(super) fn refuse_pairs(gates: &[wire::Gate], simulation: &wire::Simulation, problems: &mut Problems) {
    let why = "but in a log in long form no request has the outcomes of both versions";
    if matches!(simulation.null, Some(wire::Null::Swap)) {
        let at = At::root().key("simulation").key("null");
        problems.wrong::<()>(&at, why, "use `stable`: both arms are replayed from what stable served");
    }
    for (index, gate) in gates.iter().enumerate() {
        if gate.covariate == Some(wire::Covariate::Stable) {
            let at = At::root().key("gates").index(index).key("covariate");
            problems.wrong::<()>(&at, why, "leave it out");
        }
    }
}
