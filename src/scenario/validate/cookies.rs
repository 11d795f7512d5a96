//! What does not go together with `assignment.sticky = "cookie"`.

use super::super::places::At;
use super::super::problems::Problems;
use super::values::Named;
use crate::domain::gate::{Gate, Test};
use crate::domain::metric::Metric;
use crate::domain::rollout::{Budget, Control, Rollout, Stage};

/// Whom a stage takes is everyone who asks, as proxies have it.
pub(super) fn refuse_who(stages: &[Named<Stage>], problems: &mut Problems) {
    for (index, stage) in stages.iter().enumerate() {
        let Some(stage) = &stage.value else { continue };
        let at = At::root().key("stages").index(index);
        if stage.asks_who() {
            let at = at.key(if stage.only.is_empty() { "exposure" } else { "only" });
            let message =
                format!("`{}` chooses users, and with `sticky = \"cookie\"` requests draw", problems.name(&at));
            problems.add::<()>(&at, message, "use one exposure for everyone, or another `sticky`");
        }
    }
    if stages.iter().filter_map(|stage| stage.value.as_ref()).any(|stage| stage.control == Control::Matched) {
        let at = At::root().key("assignment").key("control");
        let why = "but cookies draw no arm of as many others";
        problems.wrong::<()>(&at, why, "use `control = \"rest\"`, or another `sticky`");
    }
}

/// Counts of events take each one as the candidate's with the stage's exposure; sums over steps take units as in one arm.
pub(super) fn refuse_gates(gates: &[Gate], metrics: &[Named<Metric>], problems: &mut Problems) {
    for (index, gate) in gates.iter().enumerate() {
        let at = At::root().key("gates").index(index);
        let is_rare = metrics[gate.metric].value.as_ref().is_some_and(|metric| metric.kind.is_rare());
        if is_rare {
            let why = "whose rare events count a unit once, and with `sticky = \"cookie\"` a user may be in both arms";
            problems.wrong::<()>(&at.key("metric"), why, "use kind `proportion`, or another `sticky`");
        } else if gate.test.counts_events() || matches!(gate.test, Test::Cusum(_)) {
            let why = "which takes a unit as in one arm, with the stage's exposure as its chance, and cookies drift";
            problems.wrong::<()>(&at.key("test"), why, "use `group-sequential`, `confidence-sequence` or `fixed`");
        }
    }
}

/// What correlates the stages of one budget is not known.
pub(super) fn refuse_budget(rollout: &Rollout, problems: &mut Problems) {
    if rollout.false_rollback.is_some() && rollout.budget == Budget::Rollout {
        let at = At::root().key("rollout").key("budget");
        let why = "but with `sticky = \"cookie\"` nobody knows how stages correlate";
        problems.wrong::<()>(&at, why, "use `split` or `calibrated`");
    }
}
