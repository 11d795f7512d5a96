//! Verdicts of all gates → how a replicate ends.

use super::kayenta;
use super::pause::{self, Pauses};
use super::stage::{StagePlace, StageVerdicts};
use crate::domain::gate::{Decision, Verdict};
use crate::domain::rollout::Stage;
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
pub(super) struct Event {
    pub(super) look: usize,
    pub(super) decision: Decision,
    pub(super) reason: Reason,
}

/// Where a gate, or the score of Kayenta's gates, stops a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// Index of the stage.
    pub stage: usize,
    /// Index of the gate.
    pub gate: usize,
    pub(super) event: Event,
}

impl Stop {
    /// What stops first is smallest; of stops at the same look the stronger decision.
    #[must_use]
    pub fn order(&self) -> u64 {
        let strength = u8::MAX - self.event.decision as u8;
        (self.stage as u64) << 40 | (self.event.look as u64) << 8 | u64::from(strength)
    }

    /// How the rollout ends if nothing stops it before. `looks_before` of the stage, and its `looks`, of which a golden set takes none.
    #[must_use]
    pub fn outcome(&self, looks_before: usize, looks: usize) -> Outcome {
        let Self { stage, gate, event: Event { look, decision, reason } } = *self;
        let end = if decision == Decision::RollBack {
            End::RolledBack { stage, gate, reason }
        } else {
            End::Stalled { stage, gate }
        };
        Outcome { end, looks: looks_before + looks.min(look + 1) }
    }
}

/// How a rollout ends: what stops it first decides.
pub fn outcome(scenario: &Scenario, stops: impl Iterator<Item = Stop>) -> Outcome {
    let looks_before = |stage: usize| scenario.stages[..stage].iter().map(Stage::looks).sum();
    // Of gates that do the same at the same look, the first of the scenario counts.
    let first = stops.min_by_key(|stop| (stop.order(), stop.gate));
    let promoted = || Outcome { end: End::Promoted, looks: looks_before(scenario.stages.len()) };
    first.map_or_else(promoted, |stop| stop.outcome(looks_before(stop.stage), scenario.stages[stop.stage].looks()))
}

/// Where a gate, were it alone, stops a rollout, from what it said in each stage.
#[must_use]
pub fn first_stop(scenario: &Scenario, gate: usize, said: &[Option<StageVerdicts>]) -> Option<Stop> {
    said.iter().enumerate().find_map(|(index, said)| stop(scenario, index, gate, said.as_ref()?))
}

/// Where the score of Kayenta's gates, which decides for all of them, stops a rollout. `verdicts` gives what a gate said in each stage.
pub fn scored<'a>(scenario: &Scenario, verdicts: impl Fn(usize) -> &'a [Option<StageVerdicts>]) -> Option<Stop> {
    let judged: Vec<usize> = (0..scenario.gates.len()).filter(|&gate| scenario.gates[gate].kayenta.is_some()).collect();
    let in_stage = |stage: usize| {
        let said = judged.iter().filter_map(|&gate| Some((gate, verdicts(gate)[stage].as_ref()?)));
        let kayenta::Stop { look, gate, reason } = kayenta::stop(scenario, &said.collect::<Vec<_>>())?;
        Some(Stop { stage, gate, event: Event { look, decision: Decision::RollBack, reason } })
    };
    // Without such gates nothing was said.
    judged.first()?;
    (0..scenario.stages.len()).find_map(in_stage)
}

/// The first thing a gate does in a stage that stops a rollout, from what it said there.
#[must_use]
pub fn stop(scenario: &Scenario, stage: usize, gate: usize, said: &StageVerdicts) -> Option<Stop> {
    if scenario.gates[gate].kayenta.is_some() {
        // The score speaks for it.
        return None;
    }
    let looks = scenario.stages[stage].looks().max(1);
    let events = during(scenario, gate, said).chain(at_end(scenario, stage, gate, said, looks));
    events.map(|event| Stop { stage, gate, event }).min_by_key(Stop::order)
}

/// How long people take, in looks of a stage, so many seconds after the start.
pub trait Calendar {
    /// Until a stage is left whose gates have let go; a person is asked, or has answered before.
    fn leave(&self, stage: usize, seconds: i64, asked: bool) -> usize;

    /// Until somebody comes to a pause of a stage, counted from 0.
    fn resume(&self, stage: usize, seconds: i64, pause: usize) -> usize;
}

/// How a rollout ends whose stages take longer than their durations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prolonged {
    /// How and when.
    pub outcome: Outcome,
    /// Per stage: looks past its duration.
    pub held: Vec<usize>,
    /// Its pauses.
    pub pauses: Pauses,
}

/// How a rollout ends whose stages are held while a gate waits, or paused. `said` gives what a gate said in each stage; `places` where the
/// looks of the stages are.
///
/// A gate that no longer waits does not wait again; one that fails stops the stage for as long as others hold it.
pub fn held_outcome<'a>(
    scenario: &Scenario,
    places: &[StagePlace],
    said: impl Fn(usize) -> &'a [Option<StageVerdicts>],
    calendar: &impl Calendar,
) -> Prolonged {
    let mut seconds = 0;
    let mut pauses = Pauses::default();
    let mut held = vec![0; places.len()];
    let takes_part = |stage: usize| places[stage].plan.looks() > 0 || scenario.stages[stage].paired.is_some();
    for (stage, place) in places.iter().enumerate().filter(|(stage, _)| takes_part(*stage)) {
        let gates = || (0..scenario.gates.len()).filter_map(|gate| Some((gate, said(gate)[stage].as_ref()?)));
        let after = |looks: usize| seconds + looks as i64 * place.look_every().0;
        if place.plan.pause > 0 {
            let gates: Vec<_> = gates().collect();
            let begin = pause::Begin { stage, place: *place, seconds };
            let end = pause::stage(scenario, begin, &gates, calendar, &mut pauses);
            held[stage] = end.looks.saturating_sub(place.own_looks());
            if let Some(stop) = end.stop {
                return Prolonged { outcome: stop.outcome(place.first_look, place.plan.looks()), held, pauses };
            }
            seconds = after(end.looks);
            continue;
        }
        let most = place.plan.hold_looks();
        let waiting = gates().map(|(_, said)| said.held.unwrap_or(usize::MAX)).max().unwrap_or(0);
        let mut looks = place.own_looks() + waiting.min(most);
        if waiting <= most {
            looks = place.plan.looks().min(looks + calendar.leave(stage, after(looks), true));
        }
        let stops = gates().flat_map(|(gate, said)| {
            let at_end = at_end(scenario, stage, gate, said, (place.own_looks() + most).max(1));
            let events = during(scenario, gate, said).chain(at_end);
            events.filter(|event| event.look < looks.max(1)).map(move |event| Stop { stage, gate, event })
        });
        if let Some(stop) = stops.min_by_key(|stop| (stop.order(), stop.gate)) {
            held[stage] = place.plan.looks().min(stop.event.look + 1).saturating_sub(place.own_looks());
            return Prolonged { outcome: stop.outcome(place.first_look, place.plan.looks()), held, pauses };
        }
        held[stage] = looks - place.own_looks();
        seconds = after(looks);
    }
    let looks = places.iter().map(|place| place.plan.looks()).sum();
    Prolonged { outcome: Outcome { end: End::Promoted, looks }, held, pauses }
}

/// Failures act at once, and so does missing data where it counts as a failure.
fn during(scenario: &Scenario, gate: usize, said: &StageVerdicts) -> impl Iterator<Item = Event> {
    let rule = &scenario.gates[gate];
    let fail = said.first_fail.or(said.later_fail).map(|(look, question)| Event {
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
    if !scenario.waits(rule, stage).on(said.end) {
        return None;
    }
    let (decision, reason) = match said.end {
        Verdict::NoData => (rule.on_no_data, Reason::NoData),
        _ => (rule.on_inconclusive, Reason::Inconclusive),
    };
    Some(Event { look: looks - 1, decision, reason })
}
