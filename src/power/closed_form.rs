//! Power, smallest detectable regression, and what is needed, per stage, gate and slice.
//!
//! The variance of a contrast comes from the sums that a census of the log expects in each arm: everybody's sums since the stage
//! began, thinned to the exposure. It knows that users return: a longer stage adds requests of the same units, and only as much
//! information as those carry.

use rayon::prelude::*;

use super::events::EventPlanner;
use super::paired;
use super::rest::Rest;
use crate::domain::gate::{Gate, Test, Window};
use crate::domain::metric::Margin;
use crate::domain::rollout::Control;
use crate::gate::boundary::Boundary;
use crate::gate::lens::Lens;
use crate::gate::question::{Against, Arms, Asker, ExpectedArms, Question};
use crate::gate::sequence;
use crate::outcome::boundaries::last_look;
use crate::outcome::player::Player;
use crate::simulate::Split;
use crate::simulate::grid::GridPlace;
use crate::simulate::layout::{Answers, Shape};
use crate::simulate::trajectory::{Arm, Reader, Span, Trajectory};
use crate::stats::{boundary, normal, student_t};

/// What closed forms say of one question at one stage. `None` where no answer exists.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Index of the stage.
    pub stage: usize,
    /// Index of the gate.
    pub gate: usize,
    /// Index of the question of the gate.
    pub question: usize,
    /// Chance to pass at the stage's end if the candidate is as good as stable.
    pub power: Option<f64>,
    /// Smallest regression that fails at the stage's end with the gate's power, in the metric's unit.
    pub mde: Option<f64>,
    /// The same as a share of stable's value.
    pub mde_relative: Option<f64>,
    /// Units on the candidate needed to pass with the gate's power at no regression.
    pub units_needed: Option<f64>,
    /// Requests on the candidate needed for the same.
    pub requests_needed: Option<f64>,
    /// Seconds at this exposure needed for the same.
    pub duration_needed_s: Option<i64>,
    /// Smallest exposure that does it within the stage's duration.
    pub exposure_needed: Option<f64>,
    /// Seconds at this exposure that the gate's covariate saves.
    pub covariate_saves_s: Option<i64>,
}

/// What a census expects of a question at a stage's end, in the null world.
#[derive(Debug, Clone, Copy)]
struct Expected {
    /// Distance from no regression to the margin that must not be exceeded to pass.
    to_pass: f64,
    /// Distance from no regression to the margin that must be exceeded to fail.
    to_fail: f64,
    variance_pass: f64,
    variance_fail: f64,
    /// Stable's value.
    level: f64,
    units: f64,
    requests: f64,
    /// Degrees of freedom of the passing contrast.
    df: f64,
}

/// The closed forms of every question of every gate at every stage that asks it; `rests` are those of the stages.
#[must_use]
pub fn plans(player: &Player<'_>, rests: &[Option<Rest>]) -> Vec<Plan> {
    let censuses = &player.sampled_censuses;
    let places = player.places();
    let stages = 0..player.scenario.stages.len();
    let of_stage = |stage: usize| {
        let Some(rest) = &rests[stage] else { return paired::plans(player, stage) };
        let place = &places[stage];
        let mut plans = Vec::new();
        for (gate, gate_plan) in player.gates.iter().enumerate() {
            let rule = &player.scenario.gates[gate];
            if !rule.asked_in(&player.scenario.stages[stage]) {
                continue;
            }
            if let Test::Sentinel(sentinel) = rule.test {
                let power = Some(1.0 - sentinel.false_alarm(place.plan.looks()));
                plans.push(Plan { stage, gate, power, ..Plan::default() });
                continue;
            }
            for (index, question) in gate_plan.questions.iter().enumerate() {
                if place.plan.drifts {
                    // Which arm a request is in hangs on how often its user asked before: that has no closed form here.
                    plans.push(Plan { stage, gate, question: index, ..Plan::default() });
                    continue;
                }
                if !place.plan.has_control() && question.against.compares() {
                    continue;
                }
                let Some(look) = place.seen(
                    last_look(player.scenario, rule, stage, place),
                    player.scenario.metrics[rule.metric].judge.delay,
                ) else {
                    plans.push(Plan { stage, gate, question: index, ..Plan::default() });
                    continue;
                };
                if let Some(watch) = player.watches[stage][gate][index] {
                    let alpha = player.levels.alpha_fail[gate] * player.levels.shares[gate][index];
                    let planner = EventPlanner::new(player, gate, *question, (place.plan.split(), alpha), watch);
                    plans.push(Plan { stage, gate, question: index, ..planner.plan(censuses, look, rest) });
                    continue;
                }
                let middle = Reader { layout: &player.simulator.layout, trajectory: &censuses[censuses.len() / 2] };
                let counts = middle.counts(Span { look, since: None }, Arm::Candidate, question.slice);
                let units = counts.units * asked_share(*question, place.plan.split());
                let planner = Planner::new(player, (stage, gate, index), (place.plan.split(), units));
                let end = |census: &'_ Trajectory| planner.expected(census, look);
                let expected: Vec<Expected> = censuses.iter().filter_map(end).collect();
                let middle = &censuses[censuses.len() / 2];
                plans.push(Plan { stage, gate, question: index, ..planner.plan(&expected, middle, look, rest) });
            }
        }
        plans
    };
    stages.into_par_iter().flat_map_iter(of_stage).collect()
}

/// Share of units that a question is asked of: a limit of the candidate's units alone.
pub(super) fn asked_share(question: Question, split: Split) -> f64 {
    if question.against.compares() { split.exposure + split.stable() } else { split.exposure }
}

/// Closed forms of one question at one split.
struct Planner<'a> {
    player: &'a Player<'a>,
    asker: Asker<'a>,
    gate: &'a Gate,
    question: Question,
    split: Split,
    /// Normal deviates that the estimate must lie inside the margin to pass.
    critical_pass: f64,
    /// Normal deviates that it must lie beyond the margin to fail.
    critical_fail: f64,
    z_power: f64,
    /// Of a group-sequential gate: its boundary.
    boundary: &'a Boundary,
}

impl<'a> Planner<'a> {
    fn new(player: &'a Player<'a>, (stage, gate, index): (usize, usize, usize), (split, units): (Split, f64)) -> Self {
        let rule = &player.scenario.gates[gate];
        let alpha = rule.alpha.get();
        // The first step of a correction is the one a single bad slice must take.
        let alpha_fail = player.levels.alpha_fail[gate] * player.levels.shares[gate][index];
        // At the stage's end, with the units that the middle census expects there.
        let ratio = |level: f64| {
            let look = sequence::Look { variance: 1.0, planned: Some(1.0), units };
            sequence::ratio(rule.sequence, alpha, look)
                .map_or(f64::NAN, |r| sequence::boundary(rule.sequence, level, r))
        };
        let critical = |level: f64| match rule.test {
            Test::Point | Test::MannWhitney | Test::Cusum(_) | Test::BurnRate | Test::Sentinel(_) => 0.0,
            Test::Fixed | Test::GroupSequential(_) | Test::Exact(_) | Test::MaxSprt | Test::EProcess => {
                normal::upper_quantile(level)
            }
            Test::ConfidenceSequence => ratio(level),
        };
        Self {
            player,
            asker: Asker::new(rule, player.scenario, &player.simulator.layout),
            gate: rule,
            question: player.gates[gate].questions[index],
            split,
            critical_pass: critical(alpha),
            critical_fail: critical(alpha_fail),
            z_power: -normal::upper_quantile(rule.power.get()),
            boundary: &player.boundaries[stage][gate][index],
        }
    }

    fn reader<'t>(&'t self, census: &'t Trajectory) -> Reader<'t> {
        Reader { layout: &self.player.simulator.layout, trajectory: census }
    }

    fn expected(&self, census: &Trajectory, look: usize) -> Option<Expected> {
        self.expected_at(census, look, self.split)
    }

    fn expected_at(&self, census: &Trajectory, look: usize, split: Split) -> Option<Expected> {
        let reader = self.reader(census);
        let span = Span { look, since: None };
        let arms = ExpectedArms { reader, span, split };
        let evidence = self.asker.evidence(self.question, Lens::NULL, &arms)?;
        // A candidate that answers as stable does would leave nothing of itself once stable's answers are out: another one does.
        let shown = if self.gate.covariate { Lens::RECORDED } else { Lens::NULL };
        let varying = self.asker.evidence(self.question, shown, &arms)?;
        let counts = reader.counts(span, Arm::Candidate, self.question.slice);
        Some(Expected {
            to_pass: -evidence.pass.difference,
            to_fail: -evidence.fail.difference,
            variance_pass: varying.pass.variance.filter(|&variance| variance > 0.0)?,
            variance_fail: varying.fail.variance.filter(|&variance| variance > 0.0)?,
            level: self.level(&arms)?,
            units: counts.units * split.exposure,
            requests: counts.requests * split.exposure,
            df: evidence.pass.df,
        })
    }

    fn level(&self, arms: &ExpectedArms<'_>) -> Option<f64> {
        let slice = self.question.slice;
        match &self.player.simulator.layout.shapes[self.gate.metric] {
            Shape::Moments => arms.sums(Arm::Candidate, Answers::Stable, slice, self.gate.metric, None).ratio(),
            Shape::Grid(grid) => self.asker.quantile_threshold(slice, arms).map(|index| grid.value(index)),
        }
    }

    fn plan(&self, expected: &[Expected], middle: &Trajectory, look: usize, rest: &Rest) -> Plan {
        let nothing = Plan::default();
        // Sums of a trailing window have no second moments to plan with. A rank test of points is planned by their number and by how they
        // depend on each other, which no sum knows: a formula for independent points would promise what the replay refutes.
        if self.gate.window != Window::Stage || !self.gate.is_planned() {
            return nothing;
        }
        if expected.is_empty() {
            return Plan { duration_needed_s: self.duration_needed(rest), ..nothing };
        }
        let mean = |value: &dyn Fn(&Expected) -> f64| expected.iter().map(value).sum::<f64>() / expected.len() as f64;
        let distance = |e: &Expected| student_t::normal_equivalent(e.to_pass / e.variance_pass.sqrt(), e.df);
        let power = mean(&|e| self.power(distance(e)));
        let level = mean(&|e| e.level);
        let beyond = self.boundary.drift.unwrap_or(self.critical_fail + self.z_power);
        let detectable = mean(&|e| e.to_fail) + beyond * mean(&|e| e.variance_fail).sqrt();
        let mde = self.in_metric_units(detectable, level, middle, look);
        let needed = mean(&|e| e.variance_pass / self.variance_needed(e.to_pass).unwrap_or(f64::NAN));
        let scaled = |value: f64| Some(value * needed).filter(|needed| needed.is_finite()).map(f64::ceil);
        Plan {
            power: Some(power),
            mde,
            mde_relative: mde.filter(|_| level.abs() > 0.0).map(|mde| mde / level.abs()),
            units_needed: scaled(mean(&|e| e.units)),
            requests_needed: scaled(mean(&|e| e.requests)),
            duration_needed_s: self.duration_needed(rest),
            covariate_saves_s: self.covariate_saves(rest),
            exposure_needed: self.exposure_needed(middle, look),
            ..nothing
        }
    }

    /// Chance to pass if the margin lies so many standard errors away at the stage's end.
    fn power(&self, distance: f64) -> f64 {
        match &self.boundary.pass_plan {
            Some(plan) => boundary::crossing(&plan.fractions, &plan.bounds, None, distance).total,
            None => normal::cdf(distance - self.critical_pass),
        }
    }

    /// The variance at which the gate passes with its power; `None` where stable itself is not inside the margin.
    fn variance_needed(&self, to_pass: f64) -> Option<f64> {
        let looks = self.boundary.pass_plan.as_ref().and_then(|plan| plan.drift);
        (to_pass > 0.0).then(|| (to_pass / looks.unwrap_or(self.critical_pass + self.z_power)).powi(2))
    }

    fn duration_needed(&self, rest: &Rest) -> Option<i64> {
        let enough = |look: &usize| {
            self.expected(&rest.census, *look).is_some_and(|e| {
                let decides = self.variance_needed(e.to_pass).is_some_and(|needed| e.variance_pass <= needed);
                decides && e.units >= self.gate.min_units
            })
        };
        // What was seen by then was asked earlier.
        (0..rest.looks).find(enough).map(|look| (look as i64 + 1) * rest.look_s + self.asker.delay.0)
    }

    /// What the covariate saves of the time that is needed; nothing where it is not needed within the log without it.
    fn covariate_saves(&self, rest: &Rest) -> Option<i64> {
        let bare = Self { asker: self.asker.without_covariate(), ..*self };
        let needed = |planner: &Self| planner.duration_needed(rest);
        self.gate.covariate.then(|| Some(needed(&bare)? - needed(self)?))?
    }

    /// The variance is `A / e + B / (1 - e)` at exposure `e` of everybody; two exposures give A and B. With a matched control it is
    /// `(A + B) / e`.
    fn exposure_needed(&self, census: &Trajectory, look: usize) -> Option<f64> {
        let at = |exposure: f64| self.expected_at(census, look, Split::steady(exposure, Control::Rest));
        let (half, quarter) = (at(0.5)?, at(0.25)?);
        let needed = self.variance_needed(half.to_pass)?;
        if self.split.control == Control::Matched {
            return Some(half.variance_pass / (2.0 * needed)).filter(|exposure| *exposure <= 0.5);
        }
        let a = 0.375 * (quarter.variance_pass - half.variance_pass / 1.5);
        let b = half.variance_pass / 2.0 - a;
        let middle = needed + a - b;
        let discriminant = middle * middle - 4.0 * needed * a;
        if discriminant < 0.0 {
            return None;
        }
        let exposure = (middle - discriminant.sqrt()) / (2.0 * needed);
        (exposure > 0.0 && exposure < 1.0).then_some(exposure)
    }

    /// A regression of the contrast as one of the metric: for a quantile, a share of requests becomes the factor that moves so many.
    fn in_metric_units(&self, regression: f64, level: f64, census: &Trajectory, look: usize) -> Option<f64> {
        let sign = self.asker.better.worse_sign();
        let margin = |level: f64| match self.question.against {
            Against::Stable { harm: Margin::Relative(share), .. } => share * level.abs(),
            Against::Stable { harm: Margin::Absolute(amount), .. } => amount,
            Against::Limit(limit) => sign * (limit - level),
            // A share of requests is the metric's own unit.
            Against::Distance { limit, .. } => limit,
        };
        let Shape::Grid(grid) = &self.player.simulator.layout.shapes[self.gate.metric] else { return Some(regression) };
        let reader = self.reader(census);
        let arms = ExpectedArms { reader, span: Span { look, since: None }, split: self.split.at(0.5) };
        let share_above = |index: usize| {
            let place = Some(GridPlace { index, part: 0.0 });
            arms.sums(Arm::Candidate, Answers::Stable, self.question.slice, self.gate.metric, place).ratio()
        };
        let at = self.asker.quantile_threshold(self.question.slice, &arms)?;
        let stable_share = share_above(at)?;
        // To fail, the candidate's share above the moved threshold must reach this.
        let wanted = stable_share + sign * (regression - self.to_fail_share(census, look)?);
        let shares: Vec<f64> = (0..grid.len()).map(share_above).collect::<Option<_>>()?;
        let above = shares.iter().position(|&share| share < wanted)?;
        let below = above.checked_sub(1)?;
        let part = (shares[below] - wanted) / (shares[below] - shares[above]);
        let value = (grid.value(below).ln() * (1.0 - part) + grid.value(above).ln() * part).exp();
        // Stable's requests above `value` must be above the moved threshold: they are worse by this factor.
        let moved = grid.value(at) + sign * margin(grid.value(at));
        Some(sign * (moved / value - 1.0) * level)
    }

    fn to_fail_share(&self, census: &Trajectory, look: usize) -> Option<f64> {
        self.expected_at(census, look, self.split.at(0.5)).map(|e| e.to_fail)
    }
}
