//! Gates on a metric of kind `drift`: how far the candidate's distribution may lie from stable's.

use super::super::places::At;
use super::super::problems::Problems;
use super::super::wire;
use crate::domain::gate::Measure;
use crate::domain::metric::Metric;

/// What is measured; `None` for gates on metrics of other kinds.
pub(super) fn measure(at: &At, gate: &wire::Gate, metric: Option<&Metric>, problems: &mut Problems) -> Option<Measure> {
    let at_measure = at.key("measure");
    if !metric?.kind.is_drift() {
        if gate.measure.is_some() {
            let message = format!("`{}` belongs to a metric of kind `drift`", problems.name(&at_measure));
            problems.add::<()>(&at_measure, message, "leave it out, or make such a metric of the column");
        }
        return None;
    }
    let embeddings = metric?.kind.feature().is_some();
    let measure = match gate.measure {
        Some(wire::Measure::Mmd) if !embeddings => {
            let hint = "use `ks` or `psi`; a column of embeddings needs `features` in its metric";
            return problems.wrong(&at_measure, "but the metric is of numbers", hint);
        }
        Some(wire::Measure::Ks | wire::Measure::Psi) if embeddings => {
            let hint = "use `mmd`, or leave it out: embeddings have no order";
            return problems.wrong(&at_measure, "but the metric is of embeddings", hint);
        }
        _ if embeddings => Measure::Mmd,
        Some(wire::Measure::Psi) => Measure::Psi,
        _ => Measure::Ks,
    };
    refuse_tests(at, gate, measure, problems);
    if measure == Measure::Mmd && gate.window.is_some() {
        let hint = "leave `window` out: a distance is more than chance only by its variance since the stage began";
        problems.wrong::<()>(&at.key("window"), "but a trailing window has no variances", hint);
    }
    let given = [
        ("allow", gate.allow.is_some(), "use `limit`, the distance that is accepted"),
        ("harm", gate.harm.is_some(), "leave it out: it fails beyond `limit`"),
        ("style", gate.style.is_some(), "leave it out: its standard error is that of style `score`"),
        ("covariate", gate.covariate == Some(wire::Covariate::Stable), "leave it out, or use a metric of kind `mean`"),
    ];
    for (key, _, hint) in given.into_iter().filter(|(_, given, _)| *given) {
        let at = at.key(key);
        let message = format!("`{}` has no place in a gate on a distance", problems.name(&at));
        problems.add::<()>(&at, message, hint);
    }
    Some(measure)
}

fn refuse_tests(at: &At, gate: &wire::Gate, measure: Measure, problems: &mut Problems) {
    let at = at.key("test");
    match (measure, gate.test) {
        (_, None | Some(wire::Test::Point))
        | (Measure::Ks, Some(wire::Test::Fixed | wire::Test::GroupSequential | wire::Test::ConfidenceSequence))
        | (Measure::Mmd, Some(wire::Test::Fixed | wire::Test::GroupSequential)) => {}
        (Measure::Mmd, _) => {
            let hint = "use `group-sequential`, `fixed` or `point`";
            problems.wrong::<()>(&at, "but this test is not of a distance of embeddings", hint);
        }
        (Measure::Psi, _) => {
            let hint = "use `point`, or leave it out; measure `ks` has tests";
            problems.wrong::<()>(&at, "but a stability index has no error rate that holds for requests of users", hint);
        }
        (Measure::Ks, _) => {
            let hint = "use `group-sequential`, `confidence-sequence`, `fixed` or `point`";
            problems.wrong::<()>(&at, "but this test is not of shares of requests", hint);
        }
    }
}

/// The distance that is accepted.
pub(super) fn limit(at: &At, gate: &wire::Gate, measure: Measure, problems: &mut Problems) -> Option<f64> {
    let at = at.key("limit");
    let hint = match measure {
        Measure::Ks => "0.1: nowhere may the shares of requests above a value differ by more than 10 points",
        Measure::Psi => "0.1 is usual for a small drift, 0.25 for a large one",
        Measure::Mmd => "0.1: about as far as a tenth of all requests make it that are answered altogether differently",
    };
    match (gate.limit, measure) {
        (None, _) => problems.missing(&at, hint),
        (Some(limit), Measure::Ks | Measure::Mmd) if !(0.0..1.0).contains(&limit) => {
            problems.wrong(&at, "which is not 0 or more and below 1", hint)
        }
        (Some(limit), Measure::Psi) if !(limit > 0.0 && limit.is_finite()) => {
            problems.wrong(&at, "which is not above 0", hint)
        }
        (limit, _) => limit,
    }
}
