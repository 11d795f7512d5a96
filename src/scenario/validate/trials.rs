//! `[log] trial`: requests with several recorded outputs of a version, and what such a log cannot answer.

use super::super::places::At;
use super::super::problems::Problems;
use super::super::wire;
use super::values::Named;
use crate::domain::metric::Metric;
use crate::domain::rollout::Stage;

/// What of `[log]` outputs of one request need, and what they cannot be told beside.
pub(super) fn refuse_log(log: &wire::Log, at: &At, problems: &mut Problems) {
    if log.request.is_none() {
        let why = "but nothing says which rows are outputs of one request";
        problems.wrong::<()>(&at.key("trial"), why, "name the column of the request in `log.request`");
    }
    if log.join.is_some() {
        let why = "but `log.join` takes one output of each version for a key";
        problems.wrong::<()>(&at.key("trial"), why, "join the outputs to one log first, with a row for each trial");
    }
    if matches!(log.duplicates, Some(wire::Duplicates::First)) {
        let why = "but with `log.trial` a request has many rows, and the same trial twice is no output more";
        problems.wrong::<()>(&at.key("duplicates"), why, "leave it out, and give every output a trial of its own");
    }
}

/// What takes both outputs of a request, as if there was one of each.
pub(super) fn refuse(
    gates: &[wire::Gate],
    metrics: &[Named<Metric>],
    stages: &[Named<Stage>],
    problems: &mut Problems,
) {
    let root = At::root();
    for (index, gate) in gates.iter().enumerate() {
        if gate.covariate == Some(wire::Covariate::Stable) {
            let why = "but with `log.trial` stable would not answer a request again as it did";
            problems.wrong::<()>(&root.key("gates").index(index).key("covariate"), why, "leave it out");
        }
    }
    for (index, stage) in stages.iter().enumerate() {
        if stage.value.as_ref().is_some_and(|stage| stage.paired.is_some()) {
            let why = "but with `log.trial` a request has more pairs than one";
            let hint = "begin with a stage that exposes units; `replay shadow` says what all outputs show";
            problems.wrong::<()>(&root.key("stages").index(index).key("kind"), why, hint);
        }
    }
    for metric in metrics {
        let at = root.key("metrics").key(&metric.name);
        let Some(metric) = &metric.value else { continue };
        if metric.stable_only {
            let why = "but with `log.trial` users saw one of stable's outputs, and the others have no such outcome";
            problems.wrong::<()>(&at.key("observed"), why, "leave the metric out");
        }
        if metric.judge.human.is_some() {
            let why = "but with `log.trial` labels belong to outputs, not to requests";
            problems.wrong::<()>(&at.key("measured").key("human"), why, "leave it out");
        }
    }
}
