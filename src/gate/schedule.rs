//! Verdicts of all gates → how a replicate ends.

use super::kayenta::{self, Stop};
use super::stage::StageVerdicts;
use crate::domain::gate::{Decision, Verdict};
use crate::domain::rollout::Promotion;
use crate::scenario::Scenario;

/// How a replicate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every stage was passed.
    Promoted,
    /// A gate sent everyone back to stable.
    RolledBack {
        /// Index of the stage.
        stage: usize,
        /// Index of the gate.
        gate: usize,
        /// What the gate had seen.
        reason: Reason,
    },
    /// A gate stopped the schedule until a person decides.
    Stalled {
        /// Index of the stage.
        stage: usize,
        /// Index of the gate.
        gate: usize,
    },
}

/// What made a gate stop a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// This question failed.
    Failed(usize),
    /// The stage ended without a verdict.
    Inconclusive,
    /// There was too little data to ask.
    NoData,
}

/// How a replicate ended, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// How.
    pub end: End,
    /// Looks that had passed, over all stages.
    pub looks: usize,
}

/// Something a gate does at a look.
#[derive(Debug, Clone, Copy)]
struct Event {
    look: usize,
    decision: Decision,
    gate: usize,
    reason: Reason,
}

/// Walks the stages until a gate stops the rollout. `verdicts` gives what a gate (first) said in a stage (second).
pub fn walk<'a>(scenario: &Scenario, verdicts: impl Fn(usize, usize) -> Option<&'a StageVerdicts>) -> Outcome {
    let mut looks_before = 0;
    for (stage, plan) in scenario.stages.iter().enumerate() {
        let looks = plan.looks();
        let said = |gate: usize| verdicts(gate, stage).map(|said| (gate, said));
        let gates: Vec<_> = (0..scenario.gates.len()).filter_map(said).collect();
        // The score of Kayenta's gates decides for all of them.
        let scored = kayenta::stop(scenario, &gates).map(|Stop { look, gate, reason }| Event {
            look,
            decision: Decision::RollBack,
            gate,
            reason,
        });
        let speaks = |(gate, _): &&(usize, &StageVerdicts)| scenario.gates[*gate].kayenta.is_none();
        let during = gates.iter().filter(speaks).flat_map(|&(gate, said)| during(scenario, gate, said));
        let at_end = gates.iter().filter(speaks).filter_map(|&(gate, said)| at_end(scenario, stage, gate, said, looks));
        // The first look decides; at the same look the stronger decision; then the order of the scenario.
        let first = during
            .chain(at_end)
            .chain(scored)
            .min_by_key(|event| (event.look, std::cmp::Reverse(event.decision), event.gate));
        if let Some(event) = first {
            let Event { gate, reason, .. } = event;
            let end = if event.decision == Decision::RollBack {
                End::RolledBack { stage, gate, reason }
            } else {
                End::Stalled { stage, gate }
            };
            return Outcome { end, looks: looks_before + event.look + 1 };
        }
        looks_before += looks;
    }
    Outcome { end: End::Promoted, looks: looks_before }
}

/// Failures act at once, and so does missing data where it counts as a failure.
fn during(scenario: &Scenario, gate: usize, said: &StageVerdicts) -> impl Iterator<Item = Event> {
    let rule = &scenario.gates[gate];
    let fail = said.first_fail.map(|(look, question)| Event {
        look,
        decision: rule.on_fail,
        gate,
        reason: Reason::Failed(question),
    });
    let no_data = said.first_no_data.filter(|_| rule.on_no_data == Decision::RollBack);
    let no_data = no_data.map(|look| Event { look, decision: Decision::RollBack, gate, reason: Reason::NoData });
    fail.into_iter().chain(no_data)
}

/// What a gate without a failure does at the stage's end, if it is not to go on.
fn at_end(scenario: &Scenario, stage: usize, gate: usize, said: &StageVerdicts, looks: usize) -> Option<Event> {
    let rule = &scenario.gates[gate];
    let needs_pass = scenario.rollout.promote == Promotion::AllPass && stage >= scenario.rollout.pass_from;
    let decision = match said.end {
        Verdict::Inconclusive if needs_pass || scenario.rollout.promote == Promotion::NoFail => rule.on_inconclusive,
        // A failure has acted at its own look.
        Verdict::Pass | Verdict::Fail | Verdict::Inconclusive => Decision::Promote,
        Verdict::NoData => rule.on_no_data,
    };
    let reason = if said.end == Verdict::NoData { Reason::NoData } else { Reason::Inconclusive };
    (decision != Decision::Promote).then_some(Event { look: looks - 1, decision, gate, reason })
}
