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

/// Something a gate does at a look of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    look: usize,
    decision: Decision,
    reason: Reason,
}

impl Event {
    /// The first look decides; at the same look the stronger decision.
    fn order(&self) -> (usize, std::cmp::Reverse<Decision>) {
        (self.look, std::cmp::Reverse(self.decision))
    }
}

/// Walks the stages until a gate stops the rollout. `verdicts` gives what a gate (first) said in a stage (second).
pub fn walk<'a>(scenario: &Scenario, verdicts: impl Fn(usize, usize) -> Option<&'a StageVerdicts>) -> Outcome {
    // The score of Kayenta's gates decides for all of them.
    let scored = |stage: usize| {
        let said: Vec<_> = (0..scenario.gates.len()).filter_map(|gate| Some((gate, verdicts(gate, stage)?))).collect();
        let Stop { look, gate, reason } = kayenta::stop(scenario, &said)?;
        Some((Event { look, decision: Decision::RollBack, reason }, gate))
    };
    walk_stages(scenario, |gate, stage| event(scenario, stage, gate, verdicts(gate, stage)?), scored)
}

/// The same where it is known what each gate (first), were it alone, would do in each stage (second). No gate is Kayenta's.
pub fn walk_events(scenario: &Scenario, events: impl Fn(usize, usize) -> Option<Event>) -> Outcome {
    walk_stages(scenario, events, |_| None)
}

fn walk_stages(
    scenario: &Scenario,
    events: impl Fn(usize, usize) -> Option<Event>,
    scored: impl Fn(usize) -> Option<(Event, usize)>,
) -> Outcome {
    let mut looks_before = 0;
    for (stage, plan) in scenario.stages.iter().enumerate() {
        let of_gate = |gate: usize| events(gate, stage).map(|event| (event, gate));
        // Of gates that do the same at the same look, the first of the scenario counts.
        let all = (0..scenario.gates.len()).filter_map(of_gate).chain(scored(stage));
        let first = all.min_by_key(|(event, gate)| (event.order(), *gate));
        if let Some((Event { look, decision, reason }, gate)) = first {
            let end = if decision == Decision::RollBack {
                End::RolledBack { stage, gate, reason }
            } else {
                End::Stalled { stage, gate }
            };
            return Outcome { end, looks: looks_before + look + 1 };
        }
        looks_before += plan.looks();
    }
    Outcome { end: End::Promoted, looks: looks_before }
}

/// The first thing a gate does in a stage that stops a rollout, from what it said there.
#[must_use]
pub fn event(scenario: &Scenario, stage: usize, gate: usize, said: &StageVerdicts) -> Option<Event> {
    if scenario.gates[gate].kayenta.is_some() {
        // The score speaks for it.
        return None;
    }
    let looks = scenario.stages[stage].looks();
    during(scenario, gate, said).chain(at_end(scenario, stage, gate, said, looks)).min_by_key(Event::order)
}

/// Failures act at once, and so does missing data where it counts as a failure.
fn during(scenario: &Scenario, gate: usize, said: &StageVerdicts) -> impl Iterator<Item = Event> {
    let rule = &scenario.gates[gate];
    let fail = said.first_fail.map(|(look, question)| Event {
        look,
        decision: rule.on_fail,
        reason: Reason::Failed(question),
    });
    let no_data = said.first_no_data.filter(|_| rule.on_no_data == Decision::RollBack);
    let no_data = no_data.map(|look| Event { look, decision: Decision::RollBack, reason: Reason::NoData });
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
    (decision != Decision::Promote).then_some(Event { look: looks - 1, decision, reason })
}
