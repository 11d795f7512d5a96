//! Per stage, gate and slice: chances in closed form beside replayed ones, and what more would take.

use rayon::prelude::*;

use super::closed_form::{Plan, asked_share};
use super::curve::{Census, Contrast, Curve, Deciding};
use super::design::Design;
use super::judging;
use super::rest::Rest;
use super::words;
use crate::digest::Digest;
use crate::domain::gate::{Gate, Patience, Window};
use crate::domain::metric::{Direction, Margin, MetricKind};
use crate::domain::world::{CURVE_MULTIPLES, Change, World};
use crate::gate::lens::Lens;
use crate::gate::question::{Asker, Question};
use crate::outcome::boundaries::last_look;
use crate::outcome::player::Player;
use crate::outcome::rows::{segment, share};
use crate::outcome::tally::{QuestionTally, Tally};
use crate::report::planning::{Elsewhere, NeedRow, PerArm, PowerMap, PowerTimes, Price, Side, TimePoint};
use crate::simulate::Split;
use crate::simulate::layout::Shape;
use crate::simulate::trajectory::{Arm, Reader, Span};
use crate::stats::interval::wilson;
use crate::stats::joint;

/// The multiple of `allow` to fail at where the scenario names no effect past the margin.
const DEFAULT_MULTIPLE: usize = 4;

/// Differences of closed form and replay outside this interval are worth a reason.
const SURPRISE: f64 = 0.999;

/// Smaller differences change no plan.
const SMALLEST_GAP: f64 = 0.02;

/// Exposures of maps.
const EXPOSURES: [f64; 9] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5];

/// Durations of maps and of chances against time, at most.
const DURATIONS: usize = 24;

/// Everything of one run that planning reads.
pub(super) struct Planner<'a> {
    pub(super) player: &'a Player<'a>,
    pub(super) tally: &'a Tally,
    pub(super) digest: &'a Digest,
    pub(super) plans: &'a [Plan],
    pub(super) rests: &'a [Option<Rest>],
}

/// What is found for one stage.
#[derive(Default)]
pub(super) struct OfStage {
    pub(super) needs: Vec<NeedRow>,
    pub(super) times: Vec<PowerTimes>,
    /// Of the first stage only: a rollout's start.
    pub(super) maps: Vec<PowerMap>,
    /// Gate, and per multiple of `allow`: chances to fail and to pass.
    pub(super) curves: Vec<(usize, Vec<(f64, f64)>)>,
}

/// The regression at which a gate should fail.
struct Regression {
    name: String,
    lens: Lens,
    size: Option<f64>,
}

/// One question at one stage.
struct Asked<'a> {
    planner: &'a Planner<'a>,
    gate: usize,
    index: usize,
    stage: usize,
    rule: &'a Gate,
    question: Question,
    split: Split,
    asker: Asker<'a>,
    design: Design,
    last_look: usize,
}

impl Planner<'_> {
    pub(super) fn of_stage(&self, stage: usize) -> OfStage {
        let player = self.player;
        let mine: Vec<&Plan> = self.plans.iter().filter(|plan| plan.stage == stage).collect();
        // Pairs need no traffic of their own: what there is to say stands with the gate. Of arms that drift there are no closed forms.
        let planned = !mine.is_empty() && !player.simulator.plan[stage].drifts;
        let Some(rest) = self.rests[stage].as_ref().filter(|_| planned) else { return OfStage::default() };
        let of_question = |plan: &&Plan| {
            let asked = self.asked(plan);
            match asked {
                Some(asked) => asked.all(plan, rest),
                None => OfStage { needs: vec![self.silent(plan)], ..OfStage::default() },
            }
        };
        let parts: Vec<OfStage> = mine.par_iter().map(of_question).collect();
        let mut all = OfStage::default();
        for part in parts {
            all.needs.extend(part.needs);
            all.times.extend(part.times);
            all.maps.extend(part.maps);
            all.curves.extend(part.curves);
        }
        if player.places().iter().position(|place| place.plan.looks() > 0 && place.plan.exposes()) != Some(stage) {
            all.maps.clear();
        }
        all
    }

    fn asked(&self, plan: &Plan) -> Option<Asked<'_>> {
        let player = self.player;
        let rule = &player.scenario.gates[plan.gate];
        if rule.window != Window::Stage || rule.test.counts_events() {
            return None;
        }
        let place = player.places()[plan.stage];
        let question = player.gates[plan.gate].questions[plan.question];
        let asker = Asker::new(rule, player.scenario, &player.simulator.layout);
        let split = place.plan.split();
        let middle = &player.sampled_censuses[player.sampled_censuses.len() / 2];
        let census = Census::new(asker, question, middle);
        let against_stable = question.against.compares();
        let information = |look: usize| {
            let Some(look) = place.seen(look, asker.delay).filter(|_| look >= place.plan.quiet) else { return 0.0 };
            let spoken = census.enough(look, split, against_stable) >= 0.5;
            let contrast = census.contrast(Deciding::Fail, Lens::NULL, look, split).filter(|_| spoken);
            contrast.map_or(0.0, |contrast| 1.0 / contrast.variance)
        };
        let last = last_look(player.scenario, rule, plan.stage, &place);
        let information: Vec<f64> = (0..=last).map(information).collect();
        let last_look = place.seen(last, asker.delay)?;
        let counts = Reader { layout: &player.simulator.layout, trajectory: middle }.counts(
            Span { look: last_look, since: None },
            Arm::Candidate,
            question.slice,
        );
        let units = counts.units * asked_share(question, split);
        let design = Design::new(player, (plan.stage, plan.gate, plan.question), &information, units)?;
        Some(Asked {
            planner: self,
            gate: plan.gate,
            index: plan.question,
            stage: plan.stage,
            rule,
            question,
            split,
            asker,
            design,
            last_look,
        })
    }

    fn tally(&self, gate: usize, lens: usize, stage: usize, question: usize) -> (&QuestionTally, f64) {
        let tally = &self.tally.gates[gate][lens][stage];
        (&tally.questions[question], tally.asked)
    }

    /// A row without closed forms: a trailing window, or a gate that does not speak in this stage.
    fn silent(&self, plan: &Plan) -> NeedRow {
        let scenario = self.player.scenario;
        let (rule, stage) = (&scenario.gates[plan.gate], &scenario.stages[plan.stage]);
        let question = self.player.gates[plan.gate].questions[plan.question];
        let mut row = NeedRow {
            stage: stage.name.clone(),
            gate: rule.name.clone(),
            metric: scenario.metrics[rule.metric].name.clone(),
            segment: segment(self.player.simulator.layout.slices[question.slice], self.digest),
            says: String::new(),
            exposure: self.player.simulator.plan[plan.stage].exposure,
            duration_s: stage.duration.0,
            requests: PerArm { candidate: 0.0, stable: 0.0 },
            units: PerArm { candidate: 0.0, stable: 0.0 },
            mde: plan.mde,
            mde_relative: plan.mde_relative,
            mde_of_allow: mde_of_allow(plan, rule.allow),
            pass: None,
            regression: None,
            regression_size: None,
            regression_relative: None,
            fail: None,
            prices: Vec::new(),
        };
        row.says = words::says(&row, rule, &scenario.metrics[rule.metric]);
        row
    }
}

impl Asked<'_> {
    fn all(&self, plan: &Plan, rest: &Rest) -> OfStage {
        let census = Census::new(self.asker, self.question, &rest.census);
        let curve = |side: Deciding, lens: Lens| Curve::new(&census, side, lens, self.split, rest.looks, rest.look_s);
        let regression = self.regression();
        let passing = curve(Deciding::Pass, Lens::NULL);
        let failing = regression.as_ref().map(|regression| curve(Deciding::Fail, regression.lens));
        let power = self.rule.power.get();
        let mut row = self.planner.silent(plan);
        let (units, _, requests) = self.mean_counts();
        row.units = self.per_arm(units);
        row.requests = self.per_arm(requests);
        row.pass = self.side(Deciding::Pass, Lens::NULL, &passing);
        if let (Some(regression), Some(failing)) = (&regression, &failing) {
            row.fail = self.side(Deciding::Fail, regression.lens, failing);
            row.regression = Some(regression.name.clone());
            row.regression_size = regression.size;
            let level = self.level();
            row.regression_relative = regression.size.zip(level).map(|(size, level)| size / level.abs());
        }
        row.prices = self.prices(&passing, failing.as_ref(), regression.as_ref());
        row.prices.extend(self.prices_of_judge(&census, &passing, failing.as_ref()));
        let metric = &self.planner.player.scenario.metrics[self.rule.metric];
        row.says = words::says(&row, self.rule, metric);
        let whole = self.question.slice == 0 && self.index == 0;
        let (mut times, mut maps, mut curves) = (Vec::new(), Vec::new(), Vec::new());
        if whole {
            times.push(self.times(&row, &passing, failing.as_ref()));
            if self.question_is_against_stable() {
                maps.push(self.map("pass", &passing, -1.0, power));
                if let (Some(regression), Some(failing)) = (&regression, &failing) {
                    maps.push(self.map(&regression.name, failing, 1.0, power));
                }
            }
            curves.extend(self.power_curve().map(|points| (self.gate, points)));
        }
        OfStage { needs: vec![row], times, maps, curves }
    }

    fn question_is_against_stable(&self) -> bool {
        self.question.against.compares()
    }

    fn censuses(&self) -> impl Iterator<Item = Census<'_>> {
        let censuses = self.planner.player.sampled_censuses.iter();
        censuses.map(|census| Census::new(self.asker, self.question, census))
    }

    fn mean_counts(&self) -> (f64, f64, f64) {
        let count = self.planner.player.sampled_censuses.len() as f64;
        let counts = self.censuses().map(|census| census.everybody(self.last_look));
        let sum = counts.fold((0.0, 0.0, 0.0), |sum, next| (sum.0 + next.0, sum.1 + next.1, sum.2 + next.2));
        (sum.0 / count, sum.1 / count, sum.2 / count)
    }

    fn per_arm(&self, everybody: f64) -> PerArm {
        PerArm { candidate: everybody * self.split.exposure, stable: everybody * self.split.stable() }
    }

    fn level(&self) -> Option<f64> {
        self.middle().level(self.last_look).filter(|level| level.abs() > 0.0)
    }

    fn middle(&self) -> Census<'_> {
        let censuses = &self.planner.player.sampled_censuses;
        Census::new(self.asker, self.question, &censuses[censuses.len() / 2])
    }

    /// The first effect of the scenario that is past the margin here, or a multiple of `allow`.
    fn regression(&self) -> Option<Regression> {
        let player = self.planner.player;
        let scenario = player.scenario;
        let plan = &player.gates[self.gate];
        let past = |world: &usize| plan.harmful[plan.lens_of_world[*world]][self.index];
        let effects = (0..player.worlds.len()).filter(|&world| match player.worlds[world] {
            World::Effect(effect) => scenario.effects[effect].metric == self.rule.metric,
            _ => false,
        });
        if let Some(world) = effects.into_iter().find(past) {
            let lens = plan.lenses[plan.lens_of_world[world]];
            let World::Effect(effect) = player.worlds[world] else { return None };
            let size = self.size(lens, scenario.effects[effect].change);
            return Some(Regression { name: scenario.effects[effect].name.clone(), lens, size });
        }
        let (allow, &lens) = self.rule.allow.zip(plan.lens_of_curve.get(DEFAULT_MULTIPLE))?;
        if !plan.harmful[lens][self.index] {
            return None;
        }
        let size = match allow.times(CURVE_MULTIPLES[DEFAULT_MULTIPLE]) {
            Margin::Relative(share) => self.level().map(|level| share * level.abs()),
            Margin::Absolute(amount) => Some(amount),
        };
        let name = format!("{} × what is allowed", CURVE_MULTIPLES[DEFAULT_MULTIPLE]);
        Some(Regression { name, lens: plan.lenses[lens], size })
    }

    /// The size of an effect in the metric's unit, in this slice.
    fn size(&self, lens: Lens, change: Change) -> Option<f64> {
        let census = self.middle();
        match &self.asker.layout.shapes[self.rule.metric] {
            Shape::Moments => {
                let beyond = |lens: Lens| {
                    census.contrast(Deciding::Fail, lens, self.last_look, self.split.at(0.5)).map(|c| c.beyond)
                };
                Some(beyond(lens)? - beyond(Lens::NULL)?)
            }
            Shape::Grid(_) => match change {
                Change::Scale(factor) => self.level().map(|level| (factor - 1.0).abs() * level.abs()),
                Change::Shift(amount) => Some(amount.abs()),
                Change::Flip(_) => None,
            },
        }
    }

    fn chance(&self, side: Deciding, census: &Census<'_>, lens: Lens) -> Option<f64> {
        let contrast = census.contrast(side, lens, self.last_look, self.split)?;
        let decided = match side {
            Deciding::Pass => self.design.passes(-contrast.distance()),
            Deciding::Fail => self.design.fails(contrast.distance()),
        };
        // Degrees of freedom of hardly any units give no number.
        let enough = census.enough(self.last_look, self.split, self.question_is_against_stable());
        Some(decided * enough).filter(|chance| chance.is_finite())
    }

    fn distance_needed(&self, side: Deciding, power: f64) -> Option<f64> {
        match side {
            Deciding::Pass => Some(self.design.distance_to_pass(power)),
            Deciding::Fail => self.design.distance_to_fail(power),
        }
    }

    fn side(&self, side: Deciding, lens: Lens, curve: &Curve) -> Option<Side> {
        let chances: Vec<f64> = self.censuses().filter_map(|census| self.chance(side, &census, lens)).collect();
        if chances.is_empty() {
            return None;
        }
        let closed_form = chances.iter().sum::<f64>() / chances.len() as f64;
        let over_starts = chances.iter().fold((1.0_f64, 0.0_f64), |(low, high), &c| (low.min(c), high.max(c)));
        let plan = &self.planner.player.gates[self.gate];
        let simulated_lens = match side {
            Deciding::Pass => plan.lens_of_world[1],
            Deciding::Fail => plan.lenses.iter().position(|&other| other == lens)?,
        };
        let (tally, asked) = self.planner.tally(self.gate, simulated_lens, self.stage, self.index);
        let events = if side == Deciding::Pass { tally.passed } else { tally.failed };
        let simulated = share(events, asked);
        let surprise = wilson(events, asked, SURPRISE);
        let outside = closed_form < surprise.0 || closed_form > surprise.1;
        let surprised = asked > 0.0 && outside && (closed_form - simulated.share).abs() > SMALLEST_GAP;
        let contrast = self.middle().contrast(side, lens, self.last_look, self.split)?;
        let sign = if side == Deciding::Pass { -1.0 } else { 1.0 };
        let needed = self.distance_needed(side, self.rule.power.get()).filter(|_| sign * contrast.beyond > 0.0);
        let times = needed.map(|needed| (sign * contrast.distance() / needed).powi(2));
        let (units, _, requests) = self.mean_counts();
        let more = |count: f64| times.filter(|&times| times > 0.0).map(|times| self.per_arm(count / times));
        let duration_s = needed.and_then(|needed| curve.time_until(needed, sign, self.split.exposure));
        let stage_looks = self.planner.player.scenario.stages[self.stage].duration.0 / curve.look_s;
        let stage_end = usize::try_from(stage_looks).ok().and_then(|looks| looks.min(curve.len()).checked_sub(1));
        Some(Side {
            closed_form,
            over_starts,
            agrees: simulated.low <= closed_form && closed_form <= simulated.high,
            why: surprised.then(|| self.why(side, &contrast, over_starts)),
            simulated,
            units: more(units),
            requests: more(requests),
            duration_s,
            projected_s: needed
                .filter(|_| duration_s.is_none())
                .and_then(|needed| curve.projected(needed, sign, self.split.exposure)),
            exposure: needed.zip(stage_end).and_then(|(needed, end)| curve.exposure_until(needed, sign, end)),
            elsewhere: needed
                .and_then(|needed| self.elsewhere(needed, sign, curve))
                .filter(|other| duration_s.is_none_or(|here| other.duration_s < here)),
        })
    }

    /// The next larger exposure of the schedule with a control, or half of everybody.
    fn elsewhere(&self, needed: f64, sign: f64, curve: &Curve) -> Option<Elsewhere> {
        let stages = self.planner.player.simulator.plan.iter().map(|stage| stage.exposure);
        let planned = stages.filter(|&exposure| exposure > self.split.exposure && exposure < 1.0);
        let larger = planned.chain([0.5]).filter(|&exposure| exposure > self.split.exposure);
        larger.into_iter().find_map(|exposure| {
            curve.time_until(needed, sign, exposure).map(|duration_s| Elsewhere { exposure, duration_s })
        })
    }

    /// What usually parts closed form and replay, most likely first.
    fn why(&self, side: Deciding, contrast: &Contrast, over_starts: (f64, f64)) -> String {
        let (units, _, _) = self.mean_counts();
        let smaller = units * self.split.smaller();
        if smaller < 100.0 {
            return format!("few units: {smaller:.0} in the smaller arm");
        }
        if contrast.effective_units < 0.2 * smaller {
            return format!(
                "heavy units: {smaller:.0} in the smaller arm are worth {:.0} of equal weight",
                contrast.effective_units
            );
        }
        if over_starts.1 - over_starts.0 > 0.15 {
            return format!(
                "traffic drifts: {:.0} to {:.0} %, depending on when the rollout starts",
                over_starts.0 * 100.0,
                over_starts.1 * 100.0
            );
        }
        if side == Deciding::Fail && self.rule.patience != Patience::NONE {
            return "patience: the closed form is of a gate that acts at its first failing look".to_owned();
        }
        if side == Deciding::Fail && self.design.is_sequential() {
            return "returning users: what a look adds is not independent of earlier looks".to_owned();
        }
        "a distribution that is not normal, or slices that are decided together".to_owned()
    }

    /// Extra time of the present choices against the same gate without them, where it has any.
    fn prices(&self, passing: &Curve, failing: Option<&Curve>, regression: Option<&Regression>) -> Vec<Price> {
        let power = self.rule.power.get();
        let mut prices = Vec::new();
        let mut price = |of: &str, side: Deciding, curve: &Curve, with: Option<f64>, without: f64| {
            let (sign, name) = if side == Deciding::Pass { (-1.0, "pass") } else { (1.0, "fail") };
            let Some(with) = with.filter(|&with| with > without + 1e-9) else { return };
            let time = |distance: f64| curve.time(distance, sign, self.split.exposure);
            if let Some(cheap) = time(without) {
                let extra_s = time(with).map(|dear| (dear - cheap).max(0.0));
                prices.push(Price { of: of.into(), side: name.into(), extra_s, unknown: None });
            }
        };
        if let Some(failing) = failing {
            let needed = self.design.distance_to_fail(power);
            if self.design.is_sequential() {
                price("looks", Deciding::Fail, failing, needed, self.design.distance_of_one_look(power));
            }
            let shared = self.design.distance_for_segments();
            if let Some(needed) = needed {
                price("segments", Deciding::Fail, failing, Some(needed), needed - shared);
            }
        }
        let gates = self.planner.player.scenario.gates.len() as u32;
        let each = self.design.distance_to_pass(joint::power_for_each(power, gates, 0));
        price("all gates", Deciding::Pass, passing, Some(each), self.design.distance_to_pass(power));
        prices.extend(regression.and_then(|regression| self.price_of_patience(regression.lens)));
        let delay_s = self.asker.delay.0;
        if delay_s > 0 {
            let sides = std::iter::once("pass").chain(failing.map(|_| "fail"));
            prices.extend(sides.map(|side| Price {
                of: "delay".into(),
                side: side.into(),
                extra_s: Some(delay_s as f64),
                unknown: None,
            }));
        }
        prices
    }

    /// Mean time, over the replicates in which the gate fails at its named regression, from the first failing look until it acts.
    fn price_of_patience(&self, regression: Lens) -> Option<Price> {
        let (player, tally) = (self.planner.player, self.planner.tally);
        let look_every = player.scenario.stages[self.stage].look_every;
        if self.rule.patience.looks(look_every) == (1, 1) {
            return None;
        }
        let lens = player.gates[self.gate].lenses.iter().position(|&other| other == regression)?;
        let of_gate = &tally.gates[self.gate][lens][self.stage];
        let waited_s = (of_gate.failed > 0.0).then(|| of_gate.waited / of_gate.failed * look_every.0 as f64);
        Some(Price { of: "patience".into(), side: "fail".into(), extra_s: waited_s, unknown: None })
    }

    /// Extra time that the judge of the metric costs, against one that sees every request, and against one that never errs.
    fn prices_of_judge(&self, census: &Census<'_>, passing: &Curve, failing: Option<&Curve>) -> Vec<Price> {
        let metric = &self.planner.player.scenario.metrics[self.rule.metric];
        let power = self.rule.power.get();
        let mut prices = Vec::new();
        for cost in judging::costs(metric, self.rule.metric, self.question, self.planner.digest, census, passing.len())
        {
            let mut price = |side: &str, curve: &Curve, needed: f64, sign: f64| {
                let parts = match &cost.left {
                    Ok(parts) => parts,
                    Err(why) => {
                        let unknown = Some((*why).to_owned());
                        prices.push(Price { of: cost.of.into(), side: side.into(), extra_s: None, unknown });
                        return;
                    }
                };
                if let Some(cheap) = curve.with_part(parts).time(needed, sign, self.split.exposure) {
                    let extra_s = curve.time(needed, sign, self.split.exposure).map(|dear| (dear - cheap).max(0.0));
                    prices.push(Price { of: cost.of.into(), side: side.into(), extra_s, unknown: None });
                }
            };
            price("pass", passing, self.design.distance_to_pass(power), -1.0);
            if let Some((failing, needed)) = failing.zip(self.design.distance_to_fail(power)) {
                price("fail", failing, needed, 1.0);
            }
        }
        prices
    }

    fn times(&self, row: &NeedRow, passing: &Curve, failing: Option<&Curve>) -> PowerTimes {
        let point = |look: usize| {
            let fail =
                failing.map(|curve| curve.distance(look, self.split.exposure).map_or(0.0, |d| self.design.fails(d)));
            TimePoint {
                duration_s: (look as i64 + 1) * passing.look_s,
                pass: passing.distance(look, self.split.exposure).map_or(0.0, |d| self.design.passes(-d)),
                fail,
            }
        };
        let mut with_stage = some_of(passing.len());
        let stage = usize::try_from(row.duration_s / passing.look_s).ok().and_then(|looks| looks.checked_sub(1));
        with_stage.extend(stage.filter(|&look| look < passing.len()));
        with_stage.sort_unstable();
        with_stage.dedup();
        PowerTimes {
            gate: row.gate.clone(),
            stage: row.stage.clone(),
            regression: row.regression.clone(),
            stage_s: row.duration_s,
            points: with_stage.into_iter().map(point).collect(),
        }
    }

    fn map(&self, side: &str, curve: &Curve, sign: f64, power: f64) -> PowerMap {
        let looks = some_of(curve.len());
        let chance = |exposure: f64, look: usize| {
            let distance = curve.distance(look, exposure);
            let of = |d: f64| if sign < 0.0 { self.design.passes(-d) } else { self.design.fails(d) };
            distance.map_or(0.0, of)
        };
        let needed =
            if sign < 0.0 { Some(self.design.distance_to_pass(power)) } else { self.design.distance_to_fail(power) };
        let enough = |exposure: f64| {
            needed.and_then(|needed| curve.time_until(needed, sign, exposure)).map(|seconds| seconds as f64)
        };
        PowerMap {
            gate: self.rule.name.clone(),
            side: side.into(),
            power,
            exposures: EXPOSURES.to_vec(),
            durations_s: looks.iter().map(|&look| (look as i64 + 1) * curve.look_s).collect(),
            chances: EXPOSURES.iter().map(|&e| looks.iter().map(|&look| chance(e, look)).collect()).collect(),
            enough_s: EXPOSURES.iter().map(|&exposure| enough(exposure)).collect(),
        }
    }

    /// Chances to fail and to pass at each multiple of `allow`.
    fn power_curve(&self) -> Option<Vec<(f64, f64)>> {
        let plan = &self.planner.player.gates[self.gate];
        let count = self.planner.player.sampled_censuses.len() as f64;
        let mean = |side: Deciding, lens: Lens| {
            self.censuses().filter_map(|census| self.chance(side, &census, lens)).sum::<f64>() / count
        };
        let points = plan.lens_of_curve.iter().map(|&lens| {
            let lens = plan.lenses[lens];
            (mean(Deciding::Fail, lens), mean(Deciding::Pass, lens))
        });
        (!plan.lens_of_curve.is_empty()).then(|| points.collect())
    }
}

/// A few looks, each at least as much later as they are wide apart in ratio; the last among them.
fn some_of(looks: usize) -> Vec<usize> {
    let count = DURATIONS.min(looks);
    let ratio = (looks as f64).ln() / (count.max(2) - 1) as f64;
    let mut chosen: Vec<usize> =
        (0..count).map(|step| ((step as f64 * ratio).exp().round() as usize).max(1) - 1).collect();
    chosen.dedup();
    chosen
}

fn mde_of_allow(plan: &Plan, allow: Option<Margin>) -> Option<f64> {
    let (mde, allow) = match allow? {
        Margin::Relative(share) => (plan.mde_relative?, share),
        Margin::Absolute(amount) => (plan.mde?, amount),
    };
    (allow > 0.0).then(|| mde / allow)
}

/// How a regression of a metric reads: a drop or a rise.
pub(super) fn way(better: Direction) -> &'static str {
    match better {
        Direction::Higher => "drop",
        Direction::Lower => "rise",
    }
}

/// Whether sizes of a metric are shares.
pub(super) fn in_points(kind: &MetricKind) -> bool {
    kind.is_share()
}
