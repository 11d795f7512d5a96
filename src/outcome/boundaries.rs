//! Boundaries of group-sequential gates, from the information that the log plans for each look.
//!
//! One boundary serves all replicates: it is fixed before any of them, as a team's would be before its rollout.

use rayon::prelude::*;

use crate::domain::gate::{Cusum, Gate, Measure, Spending, Test};
use crate::domain::rollout::Stage;
use crate::gate::boundary::{Boundary, PassPlan, Rung, SumPlan};
use crate::gate::lens::Lens;
use crate::gate::question::{Against, Asker, Evidence, ExpectedArms, Question};
use crate::gate::stage::StagePlace;
use crate::scenario::Scenario;
use crate::simulate::Simulator;
use crate::simulate::layout::Shape;
use crate::simulate::returning::{Asked, ReturningUnits};
use crate::simulate::trajectory::{Arm, Reader, Span, Trajectory};
use crate::stats::boundary::{self, combine, design};
use crate::stats::cusum;

/// Looks that add less than this share to the information so far are not looks of their own.
const SMALLEST_STEP: f64 = 2e-3;

/// Steps of a cumulative sum in a stage: every one is held against all before it.
const MOST_STEPS: usize = 200;

/// Looks of the boundary that the smallest detectable regression is planned with: more hardly change it.
const PLANNED_LOOKS: usize = 12;

/// Per stage, gate and question.
pub type Boundaries = Vec<Vec<Vec<Boundary>>>;

/// The failing error of each gate in one stage, or, where it is spent once, in the whole rollout; and each question's part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    /// Per gate.
    pub alpha_fail: Vec<f64>,
    /// Per gate and question.
    pub shares: Vec<Vec<f64>>,
}

/// What boundaries are planned from: censuses of the schedule from a few starts.
pub struct Planning<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// The log.
    pub simulator: &'a Simulator,
    /// Per gate.
    pub questions: Vec<&'a [Question]>,
    /// Per gate: whether it needs boundaries.
    pub asked: &'a [bool],
    /// Where each stage's looks are.
    pub places: &'a [StagePlace],
    /// Slots at which the censuses start.
    pub starts: &'a [usize],
    /// One per start.
    pub censuses: &'a [Trajectory],
}

/// What a census plans for one question: information at each look of each stage, and how stages depend on each other.
pub struct Plans {
    /// Where each stage's looks are.
    places: Vec<StagePlace>,
    /// Per gate and question.
    of: Vec<Vec<QuestionPlan>>,
}

/// Information of one question.
struct QuestionPlan {
    /// Per stage and look, of the failing contrast.
    fail: Vec<Vec<f64>>,
    /// The same of the passing contrast; empty where it passes at the stage's end only.
    pass: Vec<Vec<f64>>,
    /// Per stage, look and earlier stage: correlation of the two statistics; empty where stages are on their own.
    correlations: ReturningUnits,
    /// Per stage: how a cumulative sum adds up; empty without one.
    sums: Vec<SumPlan>,
    /// How many one-sided tests share the failing error, the strongest of which is shown.
    tests: f64,
    /// How looks share an error.
    upper: Upper,
}

/// The boundary over information fractions that spends an error.
type Upper = fn(&[f64], f64, Spending) -> Vec<f64>;

impl Planning<'_> {
    /// What the censuses say of every question.
    #[must_use]
    pub fn plans(&self) -> Plans {
        let asked: Vec<(usize, Question)> = self
            .questions
            .iter()
            .enumerate()
            .flat_map(|(gate, questions)| questions.iter().map(move |&question| (gate, question)))
            .collect();
        let plans: Vec<QuestionPlan> =
            asked.par_iter().map(|&(gate, question)| self.question_plan(gate, question)).collect();
        let mut plans = plans.into_iter();
        Plans {
            places: self.places.to_vec(),
            of: self.questions.iter().map(|questions| plans.by_ref().take(questions.len()).collect()).collect(),
        }
    }

    fn question_plan(&self, gate: usize, question: Question) -> QuestionPlan {
        let rule = &self.scenario.gates[gate];
        let tests = Asker::new(rule, self.scenario, &self.simulator.layout).tests(question);
        // Squared lengths are no sums of independent steps.
        let upper = if rule.measure == Some(Measure::Mmd) { boundary::upper_apart } else { boundary::upper };
        if !self.asked[gate] || !matches!(rule.test, Test::GroupSequential(_)) {
            let asked = self.asked[gate] && matches!(rule.test, Test::Cusum(_));
            let stages = 0..self.places.len();
            let sums = stages.filter(|_| asked).map(|stage| self.sum(rule, question, stage)).collect();
            return QuestionPlan {
                fail: Vec::new(),
                pass: Vec::new(),
                correlations: ReturningUnits::new(),
                sums,
                tests,
                upper,
            };
        }
        let of_stages = |contrast: fn(&Evidence) -> Option<f64>| -> Vec<Vec<f64>> {
            self.places.iter().map(|place| self.information(rule, question, place, contrast)).collect()
        };
        QuestionPlan {
            fail: of_stages(|evidence| evidence.fail.variance),
            pass: if rule.pass_spending.is_some() || self.scenario.rollout.max_hold.0 > 0 {
                of_stages(|evidence| evidence.pass.variance)
            } else {
                Vec::new()
            },
            correlations: if self.scenario.spends_once(gate) {
                self.correlations(rule, question)
            } else {
                ReturningUnits::new()
            },
            sums: Vec::new(),
            tests,
            upper,
        }
    }

    /// How a cumulative sum adds up in a stage: what the log says of steps, on average over the starts.
    fn sum(&self, gate: &Gate, question: Question, stage: usize) -> SumPlan {
        let place = &self.places[stage];
        let looks = self.step(gate, question, place);
        let steps = place.plan.looks() / looks;
        let asker = Asker::new(gate, self.scenario, &self.simulator.layout);
        let mut correlations = vec![vec![0.0; steps]; steps];
        let (mut own, mut so_far) = (Vec::new(), vec![0.0; steps]);
        for (&start, census) in self.starts.iter().zip(self.censuses) {
            let reader = Reader { layout: &self.simulator.layout, trajectory: census };
            let span = |step: usize| Span { look: place.first_look + (step + 1) * looks - 1, since: None };
            let requests = |step: usize| reader.counts(span(step), Arm::Candidate, question.slice).covered;
            let threshold = steps.checked_sub(1).and_then(|last| {
                asker.quantile_threshold(
                    question.slice,
                    &ExpectedArms { reader, span: span(last), split: place.plan.split().at(0.5) },
                )
            });
            let asked = Asked { slice: question.slice, metric: gate.metric, threshold };
            let found = self.simulator.steps(start, stage, looks, asked);
            let (mut x, mut square) = (0.0, 0.0);
            for step in 0..steps {
                let products = &found.products[step];
                x += found.x[step];
                square += products[step] + 2.0 * products[..step].iter().sum::<f64>();
                let before = step.checked_sub(1).map_or(0.0, requests);
                if found.x[step] > 0.0 {
                    own.push(products[step] * (requests(step) - before) / (found.x[step] * found.x[step]));
                }
                so_far[step] += if x > 0.0 { square * requests(step) / (x * x) } else { 0.0 };
                for (other, correlation) in correlations[step].iter_mut().enumerate() {
                    let scale = (products[step] * found.products[other][other]).sqrt();
                    *correlation += if scale > 0.0 { products[other] / scale } else { 0.0 };
                }
            }
        }
        let starts = self.starts.len().max(1) as f64;
        correlations.iter_mut().flatten().for_each(|correlation| *correlation /= starts);
        for variance in &mut so_far {
            *variance /= starts;
        }
        let variance = if own.is_empty() { 0.0 } else { own.iter().sum::<f64>() / own.len() as f64 };
        let factor = self.factor(gate, question);
        SumPlan { looks, factor, variance, variance_so_far: so_far, triangle: triangle(&correlations) }
    }

    /// What stable's value is multiplied with in a question's failing contrast.
    fn factor(&self, gate: &Gate, question: Question) -> f64 {
        match (question.against, &self.simulator.layout.shapes[gate.metric]) {
            (Against::Limit(_), _) => 0.0,
            // A quantile's margin moves the threshold, and both shares count alike, as they do in a distance.
            (Against::Stable { .. }, Shape::Grid(_)) | (Against::Distance { .. }, _) => 1.0,
            (Against::Stable { harm, .. }, Shape::Moments) => {
                harm.contrast(self.scenario.metrics[gate.metric].better).0
            }
        }
    }

    /// Looks of a stage that a cumulative sum takes together, so that the smaller arm is expected to have the gate's `min_requests` in them.
    fn step(&self, gate: &Gate, question: Question, place: &StagePlace) -> usize {
        let looks = place.plan.looks();
        let Some(last) = looks.checked_sub(1) else { return 1 };
        let split = place.plan.split();
        let share = if question.against.compares() { split.smaller() } else { split.exposure };
        let requests = |census: &Trajectory| {
            let reader = Reader { layout: &self.simulator.layout, trajectory: census };
            let span = Span { look: place.first_look + last, since: None };
            reader.counts(span, Arm::Candidate, question.slice).covered * share
        };
        let mut found: Vec<f64> = self.censuses.iter().map(requests).collect();
        found.sort_unstable_by(f64::total_cmp);
        let per_look = found[found.len() / 2] / looks as f64;
        let wanted = if per_look > 0.0 { (gate.min_requests / per_look).ceil() } else { f64::INFINITY };
        let fewest = looks.div_ceil(MOST_STEPS) as f64;
        wanted.clamp(fewest, looks as f64) as usize
    }

    /// Information about a question at each look of a stage: the median over start times, none before gates look or either arm has enough
    /// units, and none at all where nobody is left to compare with.
    fn information(
        &self,
        gate: &Gate,
        question: Question,
        place: &StagePlace,
        contrast: fn(&Evidence) -> Option<f64>,
    ) -> Vec<f64> {
        let limited = !question.against.compares();
        let split = place.plan.split();
        if !place.plan.has_control() && !limited {
            return vec![0.0; place.plan.looks()];
        }
        let asker = Asker::new(gate, self.scenario, &self.simulator.layout);
        let at = |census: &Trajectory, look: usize| {
            let reader = Reader { layout: &self.simulator.layout, trajectory: census };
            let Some(look) = place.seen(look, asker.delay).filter(|_| look >= place.plan.quiet) else { return 0.0 };
            let span = Span { look, since: None };
            let arms = ExpectedArms { reader, span, split };
            let enough = |arm: Arm| {
                let (units, covered) = arms.counts(arm, question.slice);
                units >= gate.min_units && covered >= gate.min_requests
            };
            if !enough(Arm::Candidate) || !limited && !enough(Arm::Stable) {
                return 0.0;
            }
            let variance = asker.evidence(question, Lens::NULL, &arms).as_ref().and_then(contrast);
            variance.filter(|&variance| variance > 0.0).map_or(0.0, |variance| 1.0 / variance)
        };
        let median = |look: usize| {
            let mut found: Vec<f64> = self.censuses.iter().map(|census| at(census, look)).collect();
            found.sort_unstable_by(f64::total_cmp);
            found[found.len() / 2]
        };
        (0..place.plan.looks()).map(median).collect()
    }

    /// Correlation of a question's statistics across stages, from the units that return: the mean over start times.
    fn correlations(&self, gate: &Gate, question: Question) -> ReturningUnits {
        let asker = Asker::new(gate, self.scenario, &self.simulator.layout);
        let factor = self.factor(gate, question);
        let from = |(&start, census): (&usize, &Trajectory)| {
            let reader = Reader { layout: &self.simulator.layout, trajectory: census };
            let last = self.places.iter().rfind(|place| place.plan.looks() > 0);
            let threshold = last.and_then(|place| {
                let span = Span { look: place.first_look + place.plan.looks() - 1, since: None };
                asker.quantile_threshold(
                    question.slice,
                    &ExpectedArms { reader, span, split: place.plan.split().at(0.5) },
                )
            });
            self.simulator.returning_units(start, Asked { slice: question.slice, metric: gate.metric, threshold })
        };
        let found: Vec<ReturningUnits> = self.starts.iter().zip(self.censuses).map(from).collect();
        let redraws = self.scenario.assignment.sticky.redraws();
        let between = if redraws { combine::between_drawn_stages } else { combine::between_stages };
        let mean = |stage: usize, look: usize, earlier: usize| {
            let residuals = found.iter().map(|units| units[stage][look][earlier]).sum::<f64>() / found.len() as f64;
            let [before, now] = [earlier, stage].map(|stage| self.places[stage].plan.exposure);
            if now >= 1.0 && factor > 0.0 { 0.0 } else { between(residuals, before, now, factor) }
        };
        let of_look = |stage, look| (0..stage).map(|earlier| mean(stage, look, earlier)).collect();
        let of_stage =
            |(stage, place): (usize, &StagePlace)| (0..place.plan.looks()).map(|look| of_look(stage, look)).collect();
        self.places.iter().enumerate().map(of_stage).collect()
    }
}

impl Plans {
    /// The boundaries at given levels; `rungs` are factors of these levels at which they are made as well. `chances` if regressions are to be
    /// planned that they see with the gates' power: half of the work.
    #[must_use]
    pub fn boundaries(&self, scenario: &Scenario, levels: &Levels, rungs: &[f64], chances: bool) -> Boundaries {
        let asked: Vec<(usize, usize)> =
            self.of.iter().enumerate().flat_map(|(gate, plans)| (0..plans.len()).map(move |q| (gate, q))).collect();
        let of_question = |&(gate, question): &(usize, usize)| -> Vec<Boundary> {
            let alpha = levels.alpha_fail[gate] * levels.shares[gate][question];
            let rule = &scenario.gates[gate];
            if let (Test::Cusum(cusum), false) = (rule.test, self.of[gate][question].sums.is_empty()) {
                let share = levels.shares[gate][question];
                let bound = |(stage, sum): (&Stage, &SumPlan)| Boundary {
                    fail: vec![threshold_of_sum(cusum, stage, sum.looks, share); stage.looks()],
                    sum: Some(sum.clone()),
                    ..Boundary::default()
                };
                return scenario.stages.iter().zip(&self.of[gate][question].sums).map(bound).collect();
            }
            let Test::GroupSequential(spending) = rule.test else {
                return vec![Boundary::default(); scenario.stages.len()];
            };
            let plan = &self.of[gate][question];
            if plan.fail.is_empty() {
                return vec![Boundary::default(); scenario.stages.len()];
            }
            // Of distances no power is planned.
            let power = chances.then(|| rule.power.get()).filter(|_| rule.measure.is_none());
            let each = alpha / plan.tests;
            let mut stages = plan.made(each, spending, power);
            for &factor in rungs {
                for (boundary, other) in stages.iter_mut().zip(plan.made(each * factor, spending, None)) {
                    boundary.rungs.push(Rung { level: alpha * factor, fail: other.fail });
                }
            }
            for (stage, (boundary, place)) in stages.iter_mut().zip(&self.places).enumerate() {
                let last = last_look(scenario, rule, stage, place);
                let fail = &plan.fail[stage];
                if last + 1 < fail.len() {
                    boundary.drift = power.and_then(|power| drift_by(fail, last, (each, spending), power));
                }
                let Some(information) = plan.pass.get(stage) else { continue };
                // A stage that may be held passes at more looks than one, from the end of its duration on.
                let (pass, first) = match rule.pass_spending {
                    Some(pass) => (pass, 0),
                    None if last >= place.own_looks().max(1) => (Spending::Pocock, place.own_looks() - 1),
                    None => continue,
                };
                let mut information = information.clone();
                information[..first].fill(0.0);
                // While others wait, it has passed or stopped the rollout.
                information.iter_mut().skip(last + 1).for_each(|information| *information = 0.0);
                let (bounds, made) = passing(&information, (rule.alpha.get(), pass, plan.upper), power);
                (boundary.pass, boundary.pass_plan) = (bounds, made);
            }
            stages
        };
        let mut made = asked.par_iter().map(of_question).collect::<Vec<_>>();
        let mut of_stage = |stage: usize| {
            let mut next = made.iter_mut();
            let mut of_gate = |plans: &Vec<QuestionPlan>| {
                next.by_ref().take(plans.len()).map(|stages| std::mem::take(&mut stages[stage])).collect()
            };
            self.of.iter().map(&mut of_gate).collect()
        };
        (0..scenario.stages.len()).map(&mut of_stage).collect()
    }
}

/// The lower triangle whose product with itself is a matrix of correlations, by Cholesky; steps without any are independent of the others.
fn triangle(correlations: &[Vec<f64>]) -> Vec<Vec<f64>> {
    /// What is left of a step that the steps before it nearly determine.
    const LEAST: f64 = 1e-3;
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(correlations.len());
    for (index, correlation) in correlations.iter().enumerate() {
        let mut row: Vec<f64> = Vec::with_capacity(index + 1);
        for (other, before) in rows.iter().enumerate() {
            let explained: f64 = row.iter().zip(before).map(|(a, b)| a * b).sum();
            row.push((correlation[other] - explained) / before[other]);
        }
        let left = 1.0 - row.iter().map(|weight| weight * weight).sum::<f64>();
        row.push(left.max(LEAST).sqrt());
        rows.push(row);
    }
    rows
}

/// What a cumulative sum must exceed in a stage. False alarms of a question with a share of them are so much rarer than the gate's.
fn threshold_of_sum(rule: Cusum, stage: &Stage, step: usize, share: f64) -> f64 {
    let steps = rule.run_length.0 as f64 / (stage.look_every.0 * step as i64) as f64;
    cusum::threshold(rule.reference, (steps / share).max(cusum::RUN_LENGTHS.0))
}

impl QuestionPlan {
    /// The failing boundary of every stage, and the regression it sees with a power.
    fn made(&self, alpha: f64, spending: Spending, power: Option<f64>) -> Vec<Boundary> {
        if self.correlations.is_empty() {
            let of_stage = |information: &Vec<f64>| {
                let looks = Looks::of(information);
                let drift = power.and_then(|power| looks.drift(looks.fractions.len(), alpha, spending, power));
                Boundary { fail: looks.bounds(alpha, spending, self.upper), drift, ..Boundary::default() }
            };
            return self.fail.iter().map(of_stage).collect();
        }
        self.made_once(alpha, spending, power)
    }

    /// One boundary over all stages: their best combination, whose information grows from look to look.
    fn made_once(&self, alpha: f64, spending: Spending, power: Option<f64>) -> Vec<Boundary> {
        let combined = self.combined();
        let information: Vec<f64> =
            combined.iter().flat_map(|looks| looks.iter().map(|combination| combination.information)).collect();
        let looks = Looks::of(&information);
        let mut fail = looks.bounds(alpha, spending, self.upper).into_iter();
        let mut before = 0;
        let stage = |(stage, combinations): (usize, Vec<combine::Combination>)| {
            before += combinations.len();
            let kept = looks.kept.iter().take_while(|&&look| look < before).count();
            // In standard errors of the stage's own end.
            let own = self.fail[stage].last().copied().unwrap_or(0.0);
            let power = power.filter(|_| own > 0.0);
            let drift = power.and_then(|power| looks.drift(kept, alpha, spending, power));
            Boundary {
                fail: fail.by_ref().take(combinations.len()).collect(),
                drift: drift.map(|drift| drift * (own / looks.total).sqrt()),
                weights: combinations.into_iter().map(|combination| combination.weights).collect(),
                ..Boundary::default()
            }
        };
        combined.into_iter().enumerate().map(stage).collect()
    }

    /// At each look of each stage: finished stages and the present one.
    fn combined(&self) -> Vec<Vec<combine::Combination>> {
        let ended = |stage: usize| self.fail[stage].last().copied().unwrap_or(0.0);
        let at_look = |stage: usize, look: usize| {
            let own = self.fail[stage][look];
            // Stages without information weigh nothing; a look without it is no look.
            let known: Vec<usize> = (0..stage).filter(|&earlier| ended(earlier) > 0.0).collect();
            if own <= 0.0 {
                return combine::Combination { weights: vec![0.0; stage + 1], information: 0.0 };
            }
            let members: Vec<usize> = known.into_iter().chain([stage]).collect();
            let information: Vec<f64> =
                members.iter().map(|&member| if member == stage { own } else { ended(member) }).collect();
            let correlation = |a: usize, b: usize| {
                let (earlier, later) = (a.min(b), a.max(b));
                if a == b {
                    1.0
                } else if later == stage {
                    self.correlations[stage][look][earlier]
                } else {
                    self.correlations[later].last().map_or(0.0, |looks| looks[earlier])
                }
            };
            let matrix: Vec<Vec<f64>> =
                members.iter().map(|&a| members.iter().map(|&b| correlation(a, b)).collect()).collect();
            let found = combine::combined(&information, &matrix);
            let mut weights = vec![0.0; stage + 1];
            for (member, weight) in members.into_iter().zip(found.weights) {
                weights[member] = weight;
            }
            combine::Combination { weights, information: found.information }
        };
        let of_stage = |stage: usize| (0..self.fail[stage].len()).map(|look| at_look(stage, look)).collect();
        (0..self.fail.len()).map(of_stage).collect()
    }
}

/// The last look of a stage at which a gate is asked for a verdict, were it alone: not those that it does not wait for.
pub(crate) fn last_look(scenario: &Scenario, gate: &Gate, stage: usize, place: &StagePlace) -> usize {
    let hold = if scenario.waits(gate, stage).any() { place.plan.hold_looks() } else { 0 };
    // Pauses move the end, at which a gate that cannot hold the stage is asked once.
    let held = if hold > 0 { hold + place.plan.pause_looks() } else { 0 };
    (place.own_looks() + held).saturating_sub(1)
}

/// Standard errors at a look by which a regression must exceed the margin to fail with a power until then.
fn drift_by(information: &[f64], last: usize, (alpha, spending): (f64, Spending), power: f64) -> Option<f64> {
    let looks = Looks::of(information);
    let kept = looks.kept.iter().take_while(|&&look| look <= last).count();
    let drift = Some(kept).filter(|&kept| kept > 0).and_then(|kept| looks.drift(kept, alpha, spending, power))?;
    Some(drift * (information[last] / looks.total).sqrt())
}

/// The looks of a schedule that add information.
struct Looks {
    /// How many looks there are.
    all: usize,
    /// Those that count.
    kept: Vec<usize>,
    /// Their share of the information; the last is 1.
    fractions: Vec<f64>,
    /// The largest information.
    total: f64,
}

impl Looks {
    fn of(information: &[f64]) -> Self {
        let total = information.iter().copied().fold(0.0, f64::max);
        let (mut kept, mut fractions, mut reached) = (Vec::new(), Vec::new(), 0.0);
        for (look, &found) in information.iter().enumerate() {
            let fraction = if found > 0.0 { found / total } else { 0.0 };
            if fraction > reached * (1.0 + SMALLEST_STEP) {
                reached = fraction;
                kept.push(look);
                fractions.push(fraction);
            }
        }
        // The last look of its own spends what is left.
        if let Some(last) = fractions.last_mut() {
            *last = 1.0;
        }
        Self { all: information.len(), kept, fractions, total }
    }

    /// The boundary at every look; infinite where a look adds no information, absent where there is none at all.
    fn bounds(&self, alpha: f64, spending: Spending, upper: Upper) -> Vec<f64> {
        if self.kept.is_empty() {
            return Vec::new();
        }
        let mut bounds = vec![f64::INFINITY; self.all];
        for (&look, z) in self.kept.iter().zip(upper(&self.fractions, alpha, spending)) {
            bounds[look] = z;
        }
        bounds
    }

    /// A few of the first looks that count, always with the last of them.
    fn thinned(&self, first: usize) -> Vec<f64> {
        let kept = PLANNED_LOOKS.min(first);
        (1..=kept).map(|look| self.fractions[look * first / kept - 1]).collect()
    }

    /// The drift, per root of the total information, that crosses with a power by the end of the first looks that count.
    fn drift(&self, first: usize, alpha: f64, spending: Spending, power: f64) -> Option<f64> {
        let thinned = self.thinned(first);
        design::drift_for_power(&thinned, &boundary::upper(&thinned, alpha, spending), None, power)
    }
}

/// The boundary of passing, and the few looks that stand for it where a power is planned.
fn passing(
    information: &[f64],
    (alpha, spending, upper): (f64, Spending, Upper),
    power: Option<f64>,
) -> (Vec<f64>, Option<PassPlan>) {
    let looks = Looks::of(information);
    let fractions = looks.thinned(looks.fractions.len());
    let plan = power.filter(|_| !fractions.is_empty()).map(|power| {
        let bounds = boundary::upper(&fractions, alpha, spending);
        let drift = design::drift_for_power(&fractions, &bounds, None, power);
        PassPlan { fractions, bounds, drift }
    });
    // A boundary that cannot be planned must not leave passing to a test at the end.
    let bounds = looks.bounds(alpha, spending, upper);
    (if bounds.is_empty() { vec![f64::INFINITY; information.len()] } else { bounds }, plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn plan(stages: &[&[f64]], rho: f64) -> QuestionPlan {
        let looks = |stage: usize, looks: usize| vec![vec![rho; stage]; looks];
        QuestionPlan {
            fail: stages.iter().map(|stage| stage.to_vec()).collect(),
            pass: Vec::new(),
            correlations: stages
                .iter()
                .enumerate()
                .map(|(stage, information)| looks(stage, information.len()))
                .collect(),
            sums: Vec::new(),
            tests: 1.0,
            upper: boundary::upper,
        }
    }

    #[test]
    fn one_boundary_over_independent_stages_is_that_of_their_sum() {
        let plan = plan(&[&[1.0, 2.0], &[0.0, 0.0], &[3.0, 6.0]], 0.0);
        let found = plan.made(0.05, Spending::Pocock, Some(0.8));
        let known = boundary::upper(&[0.125, 0.25, 0.625, 1.0], 0.05, Spending::Pocock);
        for (place, known) in [(0, 0), (0, 1), (2, 0), (2, 1)].into_iter().zip(known) {
            assert!((found[place.0].fail[place.1] - known).abs() < 1e-7, "{place:?}");
        }
        assert!(found[1].fail.iter().all(|bound| bound.is_infinite()));
        let weights = &found[2].weights[1];
        assert!((weights[0] - 0.5).abs() < 1e-9 && weights[1] == 0.0 && (weights[2] - 0.75_f64.sqrt()).abs() < 1e-9);
        // The first stage alone sees less than both together.
        let drifts = [found[0].drift.unwrap() / 2.0_f64.sqrt(), found[2].drift.unwrap() / 6.0_f64.sqrt()];
        assert!(drifts[0] > 1.5 * drifts[1], "{drifts:?}");
    }

    /// Share of simulated rollouts that fail somewhere: one score of independent steps in each stage, and a common part of both.
    fn simulated(found: &[Boundary], plan: &QuestionPlan, rho: f64) -> f64 {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let mut normal = || -> f64 { random.sample(rand_distr::StandardNormal) };
        let rounds = 40_000;
        let fails = (0..rounds).filter(|_| {
            // The correlation of a look with an earlier stage's end is constant here: a common draw within the stage.
            let common = normal();
            let mut earlier = Vec::new();
            let mut failed = false;
            for (boundary, information) in found.iter().zip(&plan.fail) {
                let (mut score, mut before, mut z) = (0.0, 0.0, 0.0);
                for (look, &now) in information.iter().enumerate() {
                    let step: f64 = now - before;
                    score += step.sqrt() * normal();
                    before = now;
                    z = rho.sqrt() * common + (1.0 - rho).sqrt() * score / now.sqrt();
                    failed |= boundary.level(look, boundary.statistic(look, z, &earlier)) < 0.5;
                }
                earlier.push(Some(z));
            }
            failed
        });
        fails.count() as f64 / f64::from(rounds)
    }

    #[test]
    fn returning_users_do_not_raise_the_error() {
        let stages: [&[f64]; 3] = [&[1.0], &[4.0], &[10.0]];
        for rho in [0.0, 0.3] {
            let plan = plan(&stages, rho);
            let share = simulated(&plan.made(0.05, Spending::Pocock, Some(0.8)), &plan, rho);
            assert!((share - 0.05).abs() < 0.004, "{rho}: {share}");
        }
        // Sums that ignore them count the same users again and again.
        let (blind, real) = (plan(&stages, 0.0), plan(&stages, 0.3));
        let share = simulated(&blind.made(0.05, Spending::Pocock, Some(0.8)), &real, 0.3);
        assert!(share > 0.06, "{share}");
    }

    /// A boundary depends on ratios of information only, so a segment that turns out half or twice as large keeps its error exactly; what is
    /// left is the unevenness of its looks.
    #[test]
    fn a_segment_of_random_size_keeps_its_error() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let planned: Vec<f64> = (1..=48).map(f64::from).collect();
        for spending in [Spending::Pocock, Spending::ObrienFleming] {
            let bounds = Looks::of(&planned).bounds(0.0125, spending, boundary::upper);
            let mut errors = Vec::new();
            for _ in 0..30 {
                // Eight users on average, each with a burst of requests: the total has a coefficient of variation of 0.35.
                let size = rand_distr::Gamma::<f64>::new(8.0 / 48.0, 1.0).expect("a positive shape");
                let mut sum = 0.0;
                let actual: Vec<f64> = planned
                    .iter()
                    .map(|_| {
                        sum += random.sample(size) + 1e-3;
                        sum
                    })
                    .collect();
                errors.push(boundary::crossing_with_resolution(&actual, &bounds, None, 0.0, 6).total);
            }
            let mean = errors.iter().sum::<f64>() / errors.len() as f64;
            let largest = errors.iter().copied().fold(0.0, f64::max);
            assert!(mean < 0.0125 && largest < 0.0125 * 2.0, "{spending:?}: {mean} {largest}");
        }
    }
}
