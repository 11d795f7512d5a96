//! A stage that may be paused: where a gate that pauses fails, a person is called, who looks at the gates again.
//!
//! While a stage is paused its exposure stays, looks go on, and what remains of its duration and of `max_hold` does not run. Gates that roll
//! back act as ever. If a gate still fails at the look at which the person comes, everyone goes back to stable; else the stage goes on.

use super::schedule::{Calendar, Event, Reason, Stop};
use super::stage::{StagePlace, StageVerdicts};
use crate::domain::gate::{Decision, Gate, Looks, Verdict};
use crate::scenario::Scenario;

/// What became of a rollout's pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pauses {
    /// How often it was paused.
    pub begun: usize,
    /// How often a person let it go on.
    pub resumed: usize,
    /// Whether the person who came sent everyone back to stable.
    pub rolled_back: bool,
    /// Whether the last pause is one to which nobody comes in time: the rollout stalls.
    pub stalled: bool,
    /// How long the others were, together.
    pub seconds: i64,
}

impl Pauses {
    /// Seconds for which the rollout was paused, if it was and somebody came.
    #[must_use]
    pub fn lasted(self) -> Option<i64> {
        (self.begun > usize::from(self.stalled)).then_some(self.seconds)
    }
}

/// Where a stage begins.
#[derive(Debug, Clone, Copy)]
pub struct Begin {
    /// Its index.
    pub stage: usize,
    /// Where its looks are.
    pub place: StagePlace,
    /// After the rollout's start.
    pub seconds: i64,
}

/// How a stage ends.
pub struct StageEnd {
    /// What stops the rollout there.
    pub stop: Option<Stop>,
    /// Looks after which it ends.
    pub looks: usize,
}

/// A stage on its way.
struct Walk<'a> {
    scenario: &'a Scenario,
    begin: Begin,
    calendar: &'a dyn Calendar,
    gates: &'a [(usize, &'a StageVerdicts)],
    /// Per gate: whether it has not yet let go.
    waiting: Vec<bool>,
    /// Looks for which it has been paused.
    paused: usize,
    /// The look at which a person comes, and the one at which the stage was paused.
    until: Option<(usize, usize)>,
    /// Looks after which it is left, once every gate has let go.
    left: Option<usize>,
}

/// Takes a stage to its end; `gates` are those that are asked in it, with what they say.
pub fn stage(
    scenario: &Scenario,
    begin: Begin,
    gates: &[(usize, &StageVerdicts)],
    calendar: &dyn Calendar,
    pauses: &mut Pauses,
) -> StageEnd {
    let waiting = vec![true; gates.len()];
    let mut walk = Walk { scenario, begin, calendar, gates, waiting, paused: 0, until: None, left: None };
    let (plan, look_every) = (begin.place.plan, begin.place.look_every());
    let most = plan.looks();
    let begun_before = pauses.begun;
    for look in 0..most {
        let person = walk.until.is_some_and(|(until, _)| until == look);
        let mut event = walk.event(look, person);
        let pausing = |event: &(usize, Event)| event.1.decision == Decision::Hold;
        if walk.until.is_some() && !person {
            // Whoever pauses is waited for already.
            event = event.filter(|event| !pausing(event));
        } else if let Some(failing) = event.filter(pausing) {
            let takes = calendar.resume(begin.stage, walk.seconds(look + 1), pauses.begun - begun_before);
            pauses.begun += 1;
            if walk.paused.saturating_add(takes) <= plan.pause_looks() {
                walk.until = Some((look + takes, look));
                if takes > 0 {
                    continue;
                }
                event = walk.event(look, true);
            } else {
                pauses.stalled = true;
                return walk.stopped(failing, look);
            }
        }
        if let Some((until, from)) = walk.until.filter(|_| person || event.is_some()) {
            pauses.seconds += (look - from) as i64 * look_every.0;
            pauses.rolled_back = event.is_some() && look == until;
            pauses.resumed += usize::from(event.is_none());
            walk.paused += until - from;
            walk.until = None;
        }
        if let Some(event) = event {
            return walk.stopped(event, look);
        }
        if walk.until.is_some() {
            continue;
        }
        if let Some(event) = walk.let_go(look) {
            return walk.stopped(event, look);
        }
        if walk.is_left(look) {
            return StageEnd { stop: None, looks: look + 1 };
        }
    }
    StageEnd { stop: None, looks: most }
}

impl Walk<'_> {
    /// After the rollout's start, when so many looks of the stage have passed.
    fn seconds(&self, looks: usize) -> i64 {
        self.begin.seconds + looks as i64 * self.begin.place.look_every().0
    }

    fn gate(&self, index: usize) -> &Gate {
        &self.scenario.gates[self.gates[index].0]
    }

    /// Looks of the duration as far as pauses have moved its end by a look.
    fn own_looks(&self, look: usize) -> usize {
        let pausing = self.until.map_or(0, |(_, from)| look - from);
        self.begin.place.own_looks() + self.paused + pausing
    }

    /// What acts at a look: of several gates the strongest decision. A person who looks rolls back what a gate would pause.
    fn event(&self, look: usize, person: bool) -> Option<(usize, Event)> {
        let of_gate = |(index, (gate, said)): (usize, &(usize, &StageVerdicts))| {
            let rule = self.gate(index);
            let at = (*said.by_look.get(look)?)?;
            if rule.looks == Looks::End && look + 1 < self.own_looks(look) {
                return None;
            }
            let (decision, reason) = match at.verdict {
                Verdict::Fail if person => (Decision::RollBack, Reason::Failed(at.question)),
                Verdict::Fail => (rule.on_fail, Reason::Failed(at.question)),
                Verdict::NoData if rule.on_no_data == Decision::RollBack && self.waiting[index] => {
                    (Decision::RollBack, Reason::NoData)
                }
                _ => return None,
            };
            Some((*gate, Event { look, decision, reason }))
        };
        strongest(self.gates.iter().enumerate().filter_map(of_gate))
    }

    /// Gates let go at the stage's end, or wait for as long as they may; what those then do that still wait.
    fn let_go(&mut self, look: usize) -> Option<(usize, Event)> {
        if self.left.is_some() || look + 1 < self.own_looks(look) {
            return None;
        }
        let verdict =
            |said: &StageVerdicts| said.by_look.get(look).copied().flatten().map_or(Verdict::NoData, |at| at.verdict);
        for index in 0..self.gates.len() {
            let (gate, said) = self.gates[index];
            let waits = self.scenario.waits(&self.scenario.gates[gate], self.begin.stage);
            self.waiting[index] &= waits.on(verdict(said));
        }
        if look + 1 < self.own_looks(look) + self.begin.place.plan.hold_looks() {
            return None;
        }
        let at_end = |(index, &(gate, said)): (usize, &(usize, &StageVerdicts))| {
            let rule = self.gate(index);
            let (decision, reason) = match verdict(said) {
                Verdict::NoData => (rule.on_no_data, Reason::NoData),
                _ => (rule.on_inconclusive, Reason::Inconclusive),
            };
            self.waiting[index].then_some((gate, Event { look, decision, reason }))
        };
        strongest(self.gates.iter().enumerate().filter_map(at_end))
    }

    /// Whether the stage is left at a look.
    fn is_left(&mut self, look: usize) -> bool {
        let looks = look + 1;
        let over = looks >= self.own_looks(look) && !self.waiting.contains(&true);
        let leaves =
            |asked: bool| looks.saturating_add(self.calendar.leave(self.begin.stage, self.seconds(looks), asked));
        let left = match self.left {
            // A pause may have gone on past the moment at which it would have been left.
            Some(left) if left < looks => leaves(false),
            Some(left) => left,
            None if over => leaves(true),
            None => return false,
        };
        self.left = Some(left);
        left == looks
    }

    fn stopped(&self, (gate, event): (usize, Event), look: usize) -> StageEnd {
        StageEnd { stop: Some(Stop { stage: self.begin.stage, gate, event }), looks: look + 1 }
    }
}

/// Of gates that do the same, the first of the scenario counts.
fn strongest(events: impl Iterator<Item = (usize, Event)>) -> Option<(usize, Event)> {
    events.min_by_key(|(gate, event)| (std::cmp::Reverse(event.decision), *gate))
}
