//! A scenario → the ways of releasing that it is held against: each a scenario over the same time.

use super::{Scenario, quantities};
use crate::domain::gate::{Decision, Gate, Looks, Test};
use crate::domain::metric::{Direction, Margin};
use crate::domain::quantity::{Fraction, Seconds};
use crate::domain::rollout::{Control, Delay, Promotion, Stage};
use crate::error::{Problem, Result};

/// A way of releasing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The scenario's own stages.
    AsWritten,
    /// Everyone at once, in place.
    BigBang,
    /// Everyone at once, with the old version kept warm.
    BlueGreen,
    /// A mirror first; what it does not block goes to everyone at once.
    ShadowFirst,
    /// Half of the units for the whole time.
    Half,
}

impl Way {
    /// All, in the order of the report.
    pub const ALL: [Self; 5] = [Self::AsWritten, Self::BigBang, Self::BlueGreen, Self::ShadowFirst, Self::Half];

    /// As printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AsWritten => "this schedule",
            Self::BigBang => "big bang",
            Self::BlueGreen => "blue-green",
            Self::ShadowFirst => "shadow, then big bang",
            Self::Half => "fixed 50/50",
        }
    }

    /// Whether everyone gets the candidate at one stroke.
    #[must_use]
    pub fn is_whole(self) -> bool {
        matches!(self, Self::BigBang | Self::BlueGreen | Self::ShadowFirst)
    }
}

/// A way of releasing with the scenario that replays it.
#[derive(Debug, Clone, PartialEq)]
pub struct Strategy {
    /// Which.
    pub way: Way,
    /// What is replayed, after the mirror if there is one.
    pub scenario: Scenario,
    /// How long traffic is mirrored first.
    pub mirrored: Seconds,
}

/// The time between looks of a strategy with one stage: the longest that divides those of all stages.
fn look_every(scenario: &Scenario) -> Seconds {
    let stages = scenario.stages.iter().filter(|stage| stage.looks() > 0);
    Seconds(stages.map(|stage| stage.look_every.0).fold(0, gcd))
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// How long traffic is mirrored: as long as the first stage, unless told otherwise.
///
/// # Errors
/// A schedule that takes no time, or a mirror that leaves none of it or ends between two looks.
pub fn mirrored(scenario: &Scenario, wanted: Option<&str>) -> Result<Seconds> {
    let refuse = |message: String, hint: &str| Err(Problem::new(&scenario.path, message).hint(hint).into());
    if scenario.duration().0 == 0 {
        let message = "the schedule takes no time, so there is nothing to hold other strategies against".to_owned();
        return refuse(message, "give a stage below 100 % and its `duration`");
    }
    let mirrored = match wanted.map(quantities::duration) {
        Some(Ok(time)) => time,
        Some(Err(why)) => return Err(Problem::new("--shadow", why).hint("write a time such as `24h`").into()),
        None => scenario.stages[0].duration,
    };
    let (step, most) = (look_every(scenario), scenario.duration());
    if mirrored.0 > 0 && mirrored < most && mirrored.0 % step.0 == 0 {
        return Ok(mirrored);
    }
    let message = format!("the mirror before a big bang takes {mirrored}, of a schedule of {most}");
    refuse(message, &format!("give `--shadow` a multiple of {step}, shorter than the schedule"))
}

/// Every strategy, and what a reader should know of how its gates were made. `levels` are stable's values of each metric over the log.
#[must_use]
pub fn strategies(scenario: &Scenario, levels: &[f64], mirrored: Seconds) -> (Vec<Strategy>, Vec<String>) {
    let horizon = scenario.duration();
    let (whole, notes) = whole(scenario, levels, horizon);
    let strategy = |way: Way| {
        let (scenario, mirrored) = match way {
            Way::AsWritten => (scenario.clone(), Seconds(0)),
            Way::BigBang => (whole.clone(), Seconds(0)),
            Way::BlueGreen => {
                let mut switched = whole.clone();
                switched.rollout.recovery.mitigate = Delay::NONE;
                (switched, Seconds(0))
            }
            Way::ShadowFirst => {
                let mut after = whole.clone();
                after.stages[0].duration.0 -= mirrored.0;
                for effect in &mut after.effects {
                    let onset = effect.onset.0 - mirrored.0;
                    // What grows already is at its full size when it would have been.
                    effect.ramp.0 = (effect.ramp.0 + onset.min(0)).max(0);
                    effect.onset.0 = onset.max(0);
                }
                (after, mirrored)
            }
            Way::Half => (one_stage(scenario, 0.5, horizon), Seconds(0)),
        };
        Strategy { way, scenario, mirrored }
    };
    (Way::ALL.map(strategy).to_vec(), notes)
}

/// The scenario with one stage that lasts for the whole time.
fn one_stage(scenario: &Scenario, exposure: f64, duration: Seconds) -> Scenario {
    let mut one = scenario.clone();
    let exposure = Fraction::new(exposure).expect("between 0 and 1");
    let name = if exposure.get() < 1.0 { "50%" } else { "100%" };
    one.stages = vec![Stage {
        name: name.into(),
        exposure,
        per_segment: None,
        only: Vec::new(),
        control: Control::Rest,
        paired: None,
        duration,
        look_every: look_every(scenario),
        settle: Seconds(0),
        approved: false,
        start: None,
    }];
    one.rollout.pass_from = 0;
    one.rollout.max_hold = Seconds(0);
    one.rollout.resume = None;
    one
}

/// Everyone gets the candidate. Nobody is left to compare with, so gates hold the candidate against what stable did over the log.
fn whole(scenario: &Scenario, levels: &[f64], duration: Seconds) -> (Scenario, Vec<String>) {
    let mut whole = one_stage(scenario, 1.0, duration);
    // Nothing comes after, so that nothing waits for a gate to pass: it can only raise an alarm.
    whole.rollout.promote = Promotion::NoFail;
    whole.gates = scenario.gates.iter().filter_map(|gate| before_after(gate, scenario, levels)).collect();
    let left: Vec<String> = scenario
        .gates
        .iter()
        .filter(|gate| !whole.gates.iter().any(|other| other.name == gate.name))
        .map(|gate| format!("`{}`", gate.name))
        .collect();
    let mut notes = vec![
        "At 100 % nobody is left to compare with: gates of big bang, blue-green and what follows a shadow are alarms on the candidate alone, at stable's value over the log moved by the gate's margin. Such a before/after rule sees the traffic's own ups and downs."
            .to_owned(),
    ];
    if scenario.gates.iter().any(|gate| !gate.by.is_empty()) {
        notes.push("Those alarms ask all requests: one limit does not fit segments that differ, so `by` acts in the other strategies alone.".into());
    }
    if scenario.gates.iter().any(|gate| gate.looks == Looks::End) {
        notes.push("Gates that speak at a stage's end only (`looks = \"end\"`) do so once, at the end of the time, in strategies with one stage.".into());
    }
    if !left.is_empty() {
        notes.push(format!("Without a form for the candidate alone, and so no alarm at 100 %: {}.", left.join(", ")));
    }
    (whole, notes)
}

/// A gate as an alarm on the candidate alone; none for what has no such form.
fn before_after(gate: &Gate, scenario: &Scenario, levels: &[f64]) -> Option<Gate> {
    let metric = &scenario.metrics[gate.metric];
    // Prompts with known answers ask nobody else.
    if let Test::Sentinel(_) = gate.test {
        return Some(gate.clone());
    }
    // The share of units with an event grows with the time that one looks; ranks need two arms.
    if metric.kind.is_rare() || gate.kayenta.is_some() || gate.test == Test::MannWhitney {
        return None;
    }
    let moved = gate.harm.or(gate.allow).map(|margin| {
        let limit = moved(levels[gate.metric], margin, metric.better);
        if metric.kind.is_share() { limit.clamp(0.0, 1.0) } else { limit }
    });
    let limit = match (moved, gate.limit) {
        (Some(moved), Some(own)) if metric.better == Direction::Lower => moved.min(own),
        (Some(moved), Some(own)) => moved.max(own),
        (moved, own) => moved.or(own)?,
    };
    Some(Gate {
        allow: None,
        harm: None,
        limit: Some(limit),
        allow_text: format!("limit {limit}"),
        by: Vec::new(),
        covariate: false,
        on_fail: Decision::RollBack,
        on_inconclusive: Decision::Promote,
        on_no_data: Decision::Promote,
        ..gate.clone()
    })
}

/// A value made worse by a margin.
fn moved(value: f64, margin: Margin, better: Direction) -> f64 {
    let (factor, offset) = margin.contrast(better);
    factor * value + better.worse_sign() * offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_lies_where_the_margin_ends() {
        assert!((moved(0.9, Margin::Relative(0.01), Direction::Higher) - 0.891).abs() < 1e-12);
        assert!((moved(0.9, Margin::Absolute(0.01), Direction::Higher) - 0.89).abs() < 1e-12);
        assert!((moved(0.02, Margin::Absolute(0.005), Direction::Lower) - 0.025).abs() < 1e-12);
        assert!((moved(200.0, Margin::Relative(0.1), Direction::Lower) - 220.0).abs() < 1e-9);
    }

    #[test]
    fn looks_of_one_stage_are_those_of_all() {
        assert_eq!(gcd(gcd(0, 900), 3600), 900);
        assert_eq!(gcd(gcd(0, 3600), 5400), 1800);
    }
}
