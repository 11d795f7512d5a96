//! A gate through the looks of one stage of one replicate, in one world.

use super::boundary::{Boundary, SumPlan};
use super::burn::{self, Requests};
use super::correction;
use super::cusum::Sum;
use super::events::{self, Watch, Watched};
use super::kayenta::{self, Run};
use super::lens::Lens;
use super::patience::Patience;
use super::question::{Against, Asker, Contrast, LookArms, Question};
use super::screen::Screen;
use super::sequence;
use super::series::Series;
use crate::domain::gate::{self as domain, Decision, Looks, Test, Verdict, Waits, Window};
use crate::domain::quantity::Seconds;
use crate::simulate::StagePlan;
use crate::simulate::trajectory::{Arm, Reader, Span};
use crate::stats::normal;

/// With fewer, one unit carries more than half of an arm's requests, or nearly so: it is the arm's ratio, leaves no residual from it, and
/// the variance over units is far too small. An arm whose largest unit has under a quarter of the requests is never refused.
pub(super) const FEWEST_EFFECTIVE_UNITS: f64 = 4.0;

/// What a gate said during a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageVerdicts {
    /// The look (from 0 within the stage) at which it has failed for as long as its patience asks, and the question with the strongest
    /// evidence there.
    pub first_fail: Option<(usize, usize)>,
    /// The first look of a gate with patience at which it fails; nothing is said of others.
    pub first_failing: Option<usize>,
    /// First look without enough data.
    pub first_no_data: Option<usize>,
    /// Looks past the stage's duration until the gate, were it alone, lets the rollout go on; `None` if it holds it for as long as it may.
    pub held: Option<usize>,
    /// The look after that at which it fails for the first time: it stops a stage that other gates still hold.
    pub later_fail: Option<(usize, usize)>,
    /// Verdict of the gate at the stage's end, which it holds off for as long as it waits for one.
    pub end: Verdict,
    /// The smallest level of the failing side at which the gate would have failed at some look; of a group-sequential gate only while a
    /// budget is calibrated.
    pub level: f64,
    /// Per question.
    pub questions: Vec<QuestionRecord>,
    /// Of a gate of style `kayenta`: every run of the judge.
    pub runs: Vec<Run>,
    /// Of a stage that may be paused: what it says at each look, `None` where it does not speak.
    pub by_look: Vec<Option<AtLook>>,
}

/// What a gate says at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtLook {
    /// Its verdict; a failure is one for which the gate's patience has run out.
    pub verdict: Verdict,
    /// Of a failure, the question with the strongest evidence.
    pub question: usize,
}

impl StageVerdicts {
    /// Of so many questions, before the first look.
    pub(super) fn nothing(questions: usize) -> Self {
        Self {
            first_fail: None,
            first_failing: None,
            first_no_data: None,
            held: None,
            later_fail: None,
            end: Verdict::NoData,
            level: f64::INFINITY,
            questions: vec![QuestionRecord::default(); questions],
            runs: Vec::new(),
            by_look: Vec::new(),
        }
    }

    /// Keeps what is said at a look, where that is wanted.
    fn note(&mut self, look: usize, verdict: Verdict, state: &LookState) {
        if let Some(at) = self.by_look.get_mut(look) {
            *at = Some(AtLook { verdict, question: state.strongest().unwrap_or(0) });
        }
    }
}

/// What became of one question during a stage.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct QuestionRecord {
    /// Failed at some look.
    pub failed: bool,
    /// Passed at the stage's end.
    pub passed: bool,
    /// Difference beyond `allow` at the stage's end, with enough data.
    pub difference: Option<f64>,
    /// Its standard error.
    pub se: Option<f64>,
    /// The regression beyond the failing margin over its standard error, at the stage's end.
    pub z_fail: Option<f64>,
}

/// A gate ready to be asked in one stage of one replicate.
pub struct StageGate<'a> {
    /// The gate and its metric.
    pub asker: Asker<'a>,
    /// Its questions that make sense in this stage.
    pub questions: &'a [Question],
    /// Variance of the passing contrast that the census expects at the stage's end, per question: the tuning of sequences.
    pub planned: &'a [Option<f64>],
    /// Per question.
    pub boundaries: &'a [Boundary],
    /// Per question, of gates that count events; none where the stage does not ask it.
    pub watches: &'a [Option<Watch>],
    /// One-sided error rate of the failing side, over all questions.
    pub alpha_fail: f64,
    /// Of that, each question's part.
    pub shares: &'a [f64],
    /// Per question: the last `z` of each earlier stage.
    pub earlier: &'a [Vec<Option<f64>>],
    /// Only what stops a rollout is wanted: looks that cannot matter are not asked, and none after a failure.
    pub brief: bool,
    /// Of a gate of style `kayenta`: looks from one run of the judge to the next.
    pub looks_per_run: usize,
    /// Stages before this one.
    pub before: &'a [StagePlace],
    /// Of a sentinel: whether it fails, by look over all stages.
    pub sentinel: &'a [bool],
    /// What it waits for past the stage's duration, for as long as it may.
    pub waits: Waits,
}

/// Which stage, and where its looks are in a trajectory.
#[derive(Debug, Clone, Copy)]
pub struct StagePlace {
    /// Index of the stage's first look over all stages.
    pub first_look: usize,
    /// Length and looks.
    pub plan: StagePlan,
    /// Looks that the stage is held past its duration, where a later one is entered.
    pub held: usize,
    /// Width of a slot in seconds.
    pub slot_s: i64,
}

impl StagePlace {
    /// Looks of its own duration.
    #[must_use]
    pub fn own_looks(&self) -> usize {
        self.plan.own_looks()
    }

    /// Looks after which the rollout goes on to the next stage.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.own_looks() + self.held
    }

    /// Time between looks.
    #[must_use]
    pub fn look_every(&self) -> Seconds {
        Seconds(self.slot_s * self.plan.slots_per_look as i64)
    }

    /// The look, over all stages, up to which the outcomes of the stage are seen at one of its looks, where judgements take so long; `None`
    /// before the first of them.
    #[must_use]
    pub fn seen(&self, look: usize, delay: Seconds) -> Option<usize> {
        Some(self.first_look + look.checked_sub(delay.steps(self.look_every()))?)
    }

    pub(super) fn span(&self, look: usize, window: Window) -> Span {
        let back = match window {
            Window::Stage => None,
            Window::Trailing(seconds) => {
                let looks = (seconds.0 / self.slot_s) as usize / self.plan.slots_per_look;
                look.checked_sub(looks.max(1))
            }
        };
        Span { look: self.first_look + look, since: back.map(|look| self.first_look + look) }
    }
}

impl StageGate<'_> {
    /// Asks at every look of the stage; `None` where the stage leaves nothing to ask.
    #[must_use]
    pub fn play(&self, screen: &Screen<'_>, place: StagePlace, lens: Lens) -> Option<StageVerdicts> {
        let (looks, reader) = (place.plan.looks(), screen.reader);
        if let Test::Sentinel(_) = self.asker.gate.test {
            return (looks > 0).then(|| self.hear(reader, place, lens));
        }
        let has_control = place.plan.has_control();
        let open: Vec<bool> = self.questions.iter().map(|q| has_control || !q.against.compares()).collect();
        if looks == 0 || !open.contains(&true) {
            return None;
        }
        let gate = self.asker.gate;
        let series = self.series(reader, place, lens);
        if let Some(metric) = &gate.kayenta {
            return Some(kayenta::play(gate, &metric.config, self.asker.better, &series, place, self.looks_per_run));
        }
        let mut state = LookState::new(self.questions.len(), self.watches, series);
        let mut result = StageVerdicts::nothing(self.questions.len());
        let own_end = place.own_looks() - 1;
        let mut first = if gate.looks == Looks::End { own_end } else { place.plan.quiet };
        if first + 1 < looks && own_end + 1 == looks && self.is_screened() {
            self.screen(screen, place, lens, &open, &mut result);
            if self.brief && result.first_fail.is_some() {
                result.end = Verdict::Fail;
                return Some(result);
            }
            first = looks - 1;
        }
        let lag = self.asker.delay.steps(place.look_every());
        let patience = Patience::new(gate.patience.looks(place.look_every()));
        let mut of_questions = vec![patience.clone(); self.questions.len()];
        let mut of_gate = patience;
        let mut ended = None;
        if place.plan.pause > 0 {
            result.by_look = vec![None; looks];
        }
        for look in first..looks {
            let seen = look.checked_sub(lag).map(|seen| LookArms { reader, span: place.span(seen, gate.window) });
            if let Some(arms) = seen {
                if self.brief && look + 1 < looks && !self.may_matter(look, &open, lens, &arms) {
                    of_gate.pass_over();
                    continue;
                }
                self.ask(&open, lens, &arms, (look, place), &mut state);
            }
            let verdict = self.judge(&open, &mut state);
            if ended.is_some() {
                // What others still hold may fail.
                let (acts, level) =
                    of_gate.see(verdict == Verdict::Fail, correction::smallest_level(self.shares, &state.p_values));
                result.level = result.level.min(level);
                if acts && result.first_fail.is_none() && result.later_fail.is_none() {
                    result.later_fail = state.strongest().map(|question| (look, question));
                }
                result.note(
                    look,
                    if verdict == Verdict::Fail && !acts { Verdict::Inconclusive } else { verdict },
                    &state,
                );
                continue;
            }
            result.end = verdict;
            for ((record, &rejected), patience) in
                result.questions.iter_mut().zip(&state.rejected).zip(&mut of_questions)
            {
                record.failed |= patience.see(rejected, 1.0).0;
            }
            let smallest = correction::smallest_level(self.shares, &state.p_values);
            let (acts, level) = of_gate.see(result.end == Verdict::Fail, smallest);
            result.level = result.level.min(level);
            match result.end {
                Verdict::Fail if !acts => {
                    // It goes on, as if nothing had been shown yet.
                    result.first_failing = result.first_failing.or(Some(look));
                    result.end = Verdict::Inconclusive;
                }
                Verdict::Fail if result.first_fail.is_none() => {
                    result.first_failing = result.first_failing.or(Some(look));
                    result.first_fail = state.strongest().map(|question| (look, question));
                }
                Verdict::NoData if result.first_no_data.is_none() => result.first_no_data = Some(look),
                _ => {}
            }
            result.note(look, result.end, &state);
            if self.brief && result.first_fail.is_some() {
                break;
            }
            if look >= own_end && (look == own_end + place.plan.hold_looks() || !self.waits.on(result.end)) {
                result.held = (!self.waits.on(result.end)).then_some(look - own_end);
                ended = Some((look, state.last.clone()));
            }
        }
        let (last_look, last) = ended.unwrap_or((looks - 1, state.last));
        for (index, (record, last)) in result.questions.iter_mut().zip(&last).enumerate() {
            record.passed = last.is_some_and(|seen| seen.passes);
            let shift = || {
                let seen = last_look.checked_sub(lag)?;
                self.shift(index, state.series.get(index)?, place.span(seen, gate.window))
            };
            record.difference = last.and_then(|seen| seen.difference.or_else(shift));
            record.se = last.and_then(|seen| seen.se);
            record.z_fail = last.and_then(|seen| seen.z_fail);
        }
        Some(result)
    }

    /// What a sentinel found. What it once found stays found.
    fn hear(&self, reader: Reader<'_>, place: StagePlace, lens: Lens) -> StageVerdicts {
        let looks = place.plan.looks();
        let first = if self.asker.gate.looks == Looks::End { looks - 1 } else { place.plan.quiet };
        let failed = (first..looks).find(|look| self.sentinel[place.first_look + look]);
        let arms = LookArms { reader, span: place.span(looks - 1, Window::Stage) };
        let shown = self.asker.evidence(self.questions[0], lens, &arms).map(|evidence| evidence.pass);
        let record = QuestionRecord {
            failed: failed.is_some(),
            passed: failed.is_none(),
            difference: shown.map(|shown| shown.difference),
            se: shown.and_then(|shown| shown.variance).filter(|&variance| variance > 0.0).map(f64::sqrt),
            z_fail: None,
        };
        StageVerdicts {
            first_fail: failed.map(|look| (look, 0)),
            first_failing: failed,
            first_no_data: None,
            held: Some(0),
            later_fail: None,
            end: if failed.is_some() { Verdict::Fail } else { Verdict::Pass },
            level: if failed.is_some() { 0.0 } else { f64::INFINITY },
            questions: vec![record; self.questions.len()],
            runs: Vec::new(),
            by_look: Vec::new(),
        }
    }

    /// Whether a question fails at a look whatever the others and other looks show, and passes at the stage's end only.
    fn is_screened(&self) -> bool {
        let gate = self.asker.gate;
        let alone = self.boundaries.iter().all(|boundary| boundary.alone(0).is_some());
        let at_once = gate.patience == domain::Patience::NONE && self.asker.delay.0 == 0;
        let plain = gate.window == Window::Stage && gate.measure.is_none();
        matches!(gate.test, Test::GroupSequential(_)) && plain && alone && at_once
    }

    /// What the looks before the stage's last show: each question's first failure is looked for where the screen leaves it possible.
    fn screen(&self, screen: &Screen<'_>, place: StagePlace, lens: Lens, open: &[bool], result: &mut StageVerdicts) {
        let last = place.plan.looks() - 1;
        let arms = |look: usize| LookArms { reader: screen.reader, span: place.span(look, Window::Stage) };
        let fails = |index: usize, look: usize| {
            let arms = arms(look);
            let seen = || self.see(index, lens, &arms, look, 1.0);
            self.enough(self.questions[index], lens, &arms) && seen().is_some_and(|seen| seen.p_fail < 1.0)
        };
        let mut wanted = last;
        for index in (0..open.len()).filter(|&index| open[index]) {
            let bounds = &self.boundaries[index].fail;
            if bounds.is_empty() {
                continue;
            }
            let sides = screen.sides(&self.asker, self.questions[index], lens, place);
            let Some(look) = sides.first(place.plan.quiet..wanted, bounds, |look| fails(index, look)) else { continue };
            result.questions[index].failed = true;
            if result.first_fail.is_none_or(|(first, _)| look < first) {
                result.first_fail = Some((look, index));
            }
            if self.brief {
                // A later failure of another question stops nothing.
                wanted = look;
            }
        }
        result.level = if result.first_fail.is_some() { 0.0 } else { f64::INFINITY };
        if self.brief && self.asker.gate.on_no_data != Decision::RollBack {
            return;
        }
        let overall = open.iter().position(|&open| open).expect("something is asked");
        let question = self.questions[overall];
        let sides = screen.sides(&self.asker, question, lens, place);
        let silent = |look: usize| !sides.enough(look) || sides.effective_units(look) < FEWEST_EFFECTIVE_UNITS;
        // What another question shows there is a failure all the same.
        let failing = |look: usize| {
            (0..open.len()).any(|index| open[index] && result.questions[index].failed && fails(index, look))
        };
        result.first_no_data = (place.plan.quiet..wanted).find(|&look| silent(look) && !failing(look));
    }

    /// Whether a look before the stage's end could fail, pass for good, or lack data in a way that matters.
    ///
    /// What shows less than the margin is not proven to be beyond it: no alpha is above one half.
    fn may_matter(&self, look: usize, open: &[bool], lens: Lens, arms: &LookArms<'_>) -> bool {
        let gate = self.asker.gate;
        if gate.on_no_data == Decision::RollBack {
            return true;
        }
        let mut questions = 0..self.questions.len();
        match gate.test {
            // Earlier stages may add to the statistic what this one does not show.
            Test::GroupSequential(_) if gate.pass_spending.is_none() => {
                self.boundaries.iter().any(|boundary| boundary.fail.get(look).is_some_and(|bound| bound.is_finite()))
            }
            Test::Fixed => {
                let worse = |index: usize| open[index] && self.asker.may_exceed(self.questions[index], lens, arms);
                self.alpha_fail >= 0.5 || questions.any(worse)
            }
            _ => true,
        }
    }

    fn ask(
        &self,
        open: &[bool],
        lens: Lens,
        arms: &LookArms<'_>,
        (look, place): (usize, StagePlace),
        state: &mut LookState,
    ) {
        for (index, question) in self.questions.iter().enumerate() {
            state.last[index] = if !open[index] {
                None
            } else if let Some(burn) = &self.asker.gate.burn {
                self.burns(index, burn, lens, arms, place)
            } else if let Test::Cusum(cusum) = self.asker.gate.test {
                self.add_up(index, lens, arms, (look, place.first_look, cusum.reference), state)
            } else if !self.enough(*question, lens, arms) {
                None
            } else if let Some(series) = state.series.get(index) {
                self.see_series(index, series, arms.span)
            } else if self.asker.gate.test.counts_events() {
                self.count(index, lens, arms, (look, place.plan), state)
            } else {
                self.see(index, lens, arms, look, state.p_fail[index])
            };
            if let Some(seen) = &mut state.last[index] {
                // What a boundary has once shown stays shown, too: it holds at all looks together.
                if self.boundaries[index].passes(look, f64::NEG_INFINITY).is_some() {
                    state.passed[index] |= seen.passes;
                    seen.passes = state.passed[index];
                }
                // A sequence holds at all looks together, so what it once excluded stays excluded.
                state.p_fail[index] = if events::stays(self.asker.gate.test) { seen.p_fail } else { 1.0 };
            }
        }
    }

    /// Whether the candidate's arm spends its error budget too fast; it passes where it does not.
    fn burns(
        &self,
        index: usize,
        burn: &domain::Burn,
        lens: Lens,
        arms: &LookArms<'_>,
        stage: StagePlace,
    ) -> Option<Seen> {
        let question = self.questions[index];
        let gate = self.asker.gate;
        let requests = Requests { reader: arms.reader, lens, slice: question.slice, metric: gate.metric };
        let look = arms.span.look - stage.first_look;
        let place = burn::Place { before: self.before, stage, look };
        let burns = requests.burns(burn, place, gate.min_requests)?;
        let shown = self.asker.evidence(question, lens, arms).map(|evidence| evidence.pass);
        let variance = shown.and_then(|shown| shown.variance).filter(|&variance| variance > 0.0);
        Some(Seen {
            difference: shown.map(|shown| shown.difference),
            se: variance.map(f64::sqrt),
            z_fail: None,
            p_fail: if burns { 0.0 } else { 1.0 },
            passes: !burns,
        })
    }

    /// The evidence of a cumulative sum. It passes at the stage's end, by one test of the stage as a whole.
    fn add_up(
        &self,
        index: usize,
        lens: Lens,
        arms: &LookArms<'_>,
        (look, first_look, reference): (usize, usize, f64),
        state: &mut LookState,
    ) -> Option<Seen> {
        let question = self.questions[index];
        let boundary = &self.boundaries[index];
        let evidence = self.asker.evidence(question, lens, arms).filter(|evidence| {
            self.enough(question, lens, arms) && evidence.fail.effective_units >= FEWEST_EFFECTIVE_UNITS
        });
        let sum = &mut state.sums[index];
        if let Some(plan) = &boundary.sum
            && (arms.span.look - first_look + 1).is_multiple_of(plan.looks)
        {
            let deviate = evidence.and_then(|so_far| self.step(question, lens, arms, (plan, first_look), so_far.fail));
            sum.add(plan, deviate, reference);
        }
        let evidence = evidence?;
        let z = evidence.pass.z().zip(evidence.fail.z());
        Some(Seen {
            difference: Some(evidence.pass.difference),
            se: evidence.pass.variance.filter(|&variance| variance > 0.0).map(f64::sqrt),
            z_fail: z.map(|(_, fail)| fail),
            p_fail: boundary.level(look, sum.value()),
            passes: z.is_some_and(|(pass, _)| -pass > self.asker.z_alpha),
        })
    }

    /// The regression beyond the failing margin in a step alone, over its standard error: by the variance that the log has, or, where the
    /// arms have shown more of it than that, by theirs.
    fn step(
        &self,
        question: Question,
        lens: Lens,
        arms: &LookArms<'_>,
        (plan, first_look): (&SumPlan, usize),
        so_far: Contrast,
    ) -> Option<f64> {
        let since = arms.span.look.checked_sub(plan.looks).filter(|&since| since >= first_look);
        let step = LookArms { reader: arms.reader, span: Span { look: arms.span.look, since } };
        let difference = self.asker.evidence(question, lens, &step)?.fail.difference;
        // Of one request in each arm.
        let each = |arms: &LookArms<'_>| {
            let requests = |arm| arms.reader.counts_of(arms.span, arm, lens.answers, question.slice).covered;
            let stable = if plan.factor > 0.0 { plan.factor * plan.factor / requests(Arm::Stable) } else { 0.0 };
            1.0 / requests(Arm::Candidate) + stable
        };
        let step_of = (arms.span.look - first_look + 1) / plan.looks - 1;
        let planned = plan.variance_so_far.get(step_of)? * each(arms);
        let scale = if planned > 0.0 { (so_far.variance? / planned).max(1.0) } else { 1.0 };
        let variance = scale * plan.variance * each(&step);
        (variance > 0.0 && variance.is_finite()).then(|| difference / variance.sqrt())
    }

    /// Points of every question, for tests that read them.
    fn series(&self, reader: Reader<'_>, place: StagePlace, lens: Lens) -> Vec<Series> {
        let asked = self.questions.iter().filter(|_| self.asker.gate.test == Test::MannWhitney);
        asked.map(|question| Series::of(self.asker.gate.metric, question.slice, lens, reader, place)).collect()
    }

    fn see_series(&self, index: usize, series: &Series, span: Span) -> Option<Seen> {
        let Against::Stable { allow, harm } = self.questions[index].against else { return None };
        let ranked = series.within(span).rank(allow, harm, self.asker.better)?;
        let passes = ranked.pass <= self.asker.gate.alpha.get();
        Some(Seen { difference: None, se: None, z_fail: None, p_fail: ranked.fail, passes })
    }

    /// The shift of points beyond `allow`: asked for at the stage's end only, because it looks at every pair of them.
    fn shift(&self, index: usize, series: &Series, span: Span) -> Option<f64> {
        let Against::Stable { allow, .. } = self.questions[index].against else { return None };
        series.within(span).beyond(allow, self.asker.better)
    }

    fn enough(&self, question: Question, lens: Lens, arms: &LookArms<'_>) -> bool {
        let gate = self.asker.gate;
        let enough = |arm: Arm| {
            let counts = arms.reader.counts_of(arms.span, arm, lens.answers, question.slice);
            counts.units >= gate.min_units && counts.covered >= gate.min_requests
        };
        enough(Arm::Candidate) && (!question.against.compares() || enough(Arm::Stable))
    }

    /// The evidence of a gate that counts events. It passes at the stage's end, by one exact test.
    fn count(
        &self,
        index: usize,
        lens: Lens,
        arms: &LookArms<'_>,
        (look, plan): (usize, StagePlan),
        state: &mut LookState,
    ) -> Option<Seen> {
        let question = self.questions[index];
        let evidence = self.asker.evidence(question, lens, arms)?;
        let counts = events::counts(&self.asker, question, lens, arms, plan.split())?;
        let (watch, watched) = self.watches[index].zip(state.watched[index].as_mut())?;
        let last = look + 1 == plan.looks();
        // Past the stage's duration it is asked again for as long as the stage is held.
        let asked = look + 1 >= plan.own_looks();
        Some(Seen {
            difference: Some(evidence.pass.difference),
            se: evidence.pass.variance.filter(|&variance| variance > 0.0).map(f64::sqrt),
            z_fail: evidence.fail.z(),
            p_fail: watched.p_fail(watch, question, &counts, last).min(state.p_fail[index]),
            passes: asked && events::p_pass(question, &counts) <= self.asker.gate.alpha.get(),
        })
    }

    fn see(&self, index: usize, lens: Lens, arms: &LookArms<'_>, look: usize, p_before: f64) -> Option<Seen> {
        let gate = self.asker.gate;
        let alpha = gate.alpha.get();
        let evidence = self.asker.evidence(self.questions[index], lens, arms)?;
        if gate.test != Test::Point && evidence.fail.effective_units < FEWEST_EFFECTIVE_UNITS {
            return None;
        }
        // A trailing window has sums of first order only, so its variance is not known.
        let known = gate.window == Window::Stage;
        let se = evidence.pass.variance.filter(|&variance| known && variance > 0.0).map(f64::sqrt);
        let difference = evidence.pass.difference;
        let undecided = Seen { difference: Some(difference), se, z_fail: None, p_fail: p_before, passes: false };
        if gate.test == Test::Point {
            let p_fail = if evidence.fail.difference > 0.0 { 0.0 } else { 1.0 };
            return Some(Seen { p_fail, passes: difference <= 0.0, ..undecided });
        }
        if let (Test::GroupSequential(_), Some(bound)) = (gate.test, self.boundaries[index].alone(look)) {
            let crossed = evidence.fail.exceeds(bound);
            let passes = evidence.pass.reversed().exceeds(self.asker.z_alpha);
            let Some((crossed, passes)) = crossed.zip(passes).filter(|_| known) else { return Some(undecided) };
            return Some(Seen { p_fail: if crossed { 0.0 } else { 1.0 }, passes, ..undecided });
        }
        let Some((z_pass, z_fail)) = evidence.pass.z().zip(evidence.fail.z()).filter(|_| known) else {
            return Some(undecided);
        };
        let z_pass = -z_pass;
        let undecided = Seen { z_fail: Some(z_fail), ..undecided };
        let tests = self.asker.tests(self.questions[index]);
        Some(match gate.test {
            Test::Fixed => {
                let p_fail = (tests * normal::upper_tail(z_fail)).min(1.0);
                Seen { p_fail, passes: z_pass > self.asker.z_alpha, ..undecided }
            }
            Test::ConfidenceSequence => {
                let units = units(self.questions[index], lens, arms);
                let p_value = |z: f64, contrast: Contrast| {
                    let variance = contrast.variance.expect("a deviate has a variance");
                    let look = sequence::Look { variance, planned: self.planned[index], units };
                    sequence::ratio(gate.sequence, alpha, look).map(|ratio| sequence::p_value(gate.sequence, z, ratio))
                };
                let Some((fail, pass)) = p_value(z_fail, evidence.fail).zip(p_value(z_pass, evidence.pass)) else {
                    return Some(undecided);
                };
                Seen { p_fail: (tests * fail).min(p_before), passes: pass <= alpha, ..undecided }
            }
            Test::GroupSequential(_) => {
                // The boundary already holds this question's share of alpha.
                let boundary = &self.boundaries[index];
                let p_fail = boundary.level(look, boundary.statistic(look, z_fail, &self.earlier[index]));
                let passes = boundary.passes(look, z_pass).unwrap_or(z_pass > self.asker.z_alpha);
                Seen { p_fail, passes, ..undecided }
            }
            // Asked of series, of counts, of sums, or of windows.
            Test::Point
            | Test::MannWhitney
            | Test::Exact(_)
            | Test::MaxSprt
            | Test::EProcess
            | Test::Cusum(_)
            | Test::BurnRate
            | Test::Sentinel(_) => undecided,
        })
    }

    fn judge(&self, open: &[bool], state: &mut LookState) -> Verdict {
        state.p_values.clear();
        state.p_values.extend(state.last.iter().map(|seen| seen.map_or(1.0, |seen| seen.p_fail)));
        let correction = self.asker.gate.correction;
        correction::reject(correction, self.shares, &state.p_values, self.alpha_fail, &mut state.rejected);
        let overall = open.iter().position(|&open| open).expect("something is asked");
        if state.rejected.contains(&true) {
            Verdict::Fail
        } else if state.last[overall].is_none() {
            Verdict::NoData
        } else if state.last.iter().zip(open).all(|(seen, &open)| !open || seen.is_some_and(|seen| seen.passes)) {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        }
    }
}

/// Units that a question is asked about.
fn units(question: Question, lens: Lens, arms: &LookArms<'_>) -> f64 {
    let units = |arm: Arm| arms.reader.counts_of(arms.span, arm, lens.answers, question.slice).units;
    units(Arm::Candidate) + if question.against.compares() { units(Arm::Stable) } else { 0.0 }
}

/// What one question showed at one look.
#[derive(Debug, Clone, Copy)]
struct Seen {
    difference: Option<f64>,
    se: Option<f64>,
    z_fail: Option<f64>,
    p_fail: f64,
    passes: bool,
}

/// What is carried from look to look.
struct LookState {
    p_fail: Vec<f64>,
    last: Vec<Option<Seen>>,
    watched: Vec<Option<Watched>>,
    p_values: Vec<f64>,
    rejected: Vec<bool>,
    passed: Vec<bool>,
    /// Per question, for tests that read points.
    series: Vec<Series>,
    /// Per question, for tests that add up.
    sums: Vec<Sum>,
}

impl LookState {
    fn new(questions: usize, watches: &[Option<Watch>], series: Vec<Series>) -> Self {
        Self {
            p_fail: vec![1.0; questions],
            last: vec![None; questions],
            watched: watches.iter().map(|watch| watch.map(Watched::new)).collect(),
            p_values: Vec::new(),
            rejected: Vec::new(),
            passed: vec![false; questions],
            series,
            sums: vec![Sum::default(); questions],
        }
    }

    /// The rejected question with the smallest p-value.
    fn strongest(&self) -> Option<usize> {
        (0..self.rejected.len())
            .filter(|&index| self.rejected[index])
            .min_by(|&a, &b| self.p_values[a].total_cmp(&self.p_values[b]))
    }
}
