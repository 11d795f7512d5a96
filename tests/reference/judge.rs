//! Every gate at every look, and the walk through the schedule, by formulas written here.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::PI;

use replay::domain::rollout::Sticky;

use crate::cookies;
use crate::crowd::{
    Arm, Copied, Crowd, Mixed, Request, Slice, Sums, Traffic, Value, compared, expected, served, shared_out,
};
use crate::log::{Answer, Log};
use crate::plan::{Action, COST, Change, Correction, Gate, Margin, Plan, QUANTILE, RARE, SHARES, SIGN, Test, value};

/// What is taken as true of the candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    Recorded,
    Null,
    /// The candidate answers as stable; the null is this, or exchanges the answers of whole units.
    Same,
    Margin(usize),
    Effect(usize),
}

impl Plan {
    /// In the order of reports.
    pub(crate) fn worlds(&self) -> Vec<World> {
        let margins = (0..self.gates.len()).map(World::Margin);
        let effects = (0..self.effects.len()).map(World::Effect);
        [World::Recorded, World::Null].into_iter().chain(margins).chain(effects).collect()
    }
}

/// Thresholds at which the program asks a quantile: its own choice, which any reference must share.
#[derive(Debug, Clone)]
pub(crate) struct Thresholds {
    /// In 64ths of a doubling.
    pub(crate) bins: Vec<f64>,
    pub(crate) tail: f64,
    /// Among which stable's quantile is looked for.
    pub(crate) range: (usize, usize),
}

impl Thresholds {
    pub(crate) fn value(&self, index: usize) -> f64 {
        (self.bins[index] / 64.0).exp2()
    }

    /// A value between two thresholds, on the scale of logarithms; at an end where it lies outside.
    fn place(&self, value: f64) -> (usize, f64) {
        if value <= 0.0 {
            return (0, 0.0);
        }
        let position = 64.0 * value.log2();
        match self.bins.iter().rposition(|&bin| bin <= position + 1e-9) {
            None => (0, 0.0),
            Some(last) if last + 1 == self.bins.len() => (last, 0.0),
            Some(below) => {
                let part = (position - self.bins[below]) / (self.bins[below + 1] - self.bins[below]);
                (below, part.clamp(0.0, 1.0))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Against {
    Stable(Margin, Margin),
    Limit(f64),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub(crate) slice: Slice,
    pub(crate) against: Against,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Fail,
    Inconclusive,
    NoData,
}

/// What became of a question in a stage.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Record {
    pub(crate) failed: bool,
    pub(crate) passed: bool,
    pub(crate) difference: Option<f64>,
    pub(crate) se: Option<f64>,
}

/// What a gate said in a stage.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) first_fail: Option<(usize, usize)>,
    pub(crate) first_no_data: Option<usize>,
    /// Looks after the stage's own at which it stops waiting; `None` if it waits for as long as it may.
    pub(crate) held: Option<usize>,
    /// First failure after that.
    pub(crate) later_fail: Option<(usize, usize)>,
    pub(crate) end: Verdict,
    pub(crate) questions: Vec<Record>,
    /// By look, in stages that may be paused: what it says, and of a failure the strongest question.
    pub(crate) by_look: BTreeMap<usize, (Verdict, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Failed(usize),
    Inconclusive,
    NoData,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Promoted,
    RolledBack { stage: usize, gate: usize, why: Why },
    Stalled { stage: usize, gate: usize },
}

/// Everything about one world of one replicate.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) end: End,
    pub(crate) slots: usize,
    pub(crate) exposed_requests: f64,
    pub(crate) exposed_units: f64,
    /// Sum over the candidate's requests of cost in this world, and had stable answered.
    pub(crate) cost: (f64, f64),
    /// Of each metric of events: bad answers, or units with one, beyond stable's.
    pub(crate) excess: [f64; 3],
    /// Whether a rollback is right about this world; `None` without one, or where data lacked.
    pub(crate) harmful: Option<bool>,
    /// How often it was paused and resumed, whether by whom came sent back, whether nobody came in time, and for how many seconds.
    pub(crate) pauses: Paused,
}

pub(crate) type Paused = (usize, usize, bool, bool, i64);

struct Contrast {
    difference: f64,
    variance: Option<f64>,
    /// Of the arms' variances, by Welch and Satterthwaite.
    df: f64,
    /// Of the arm with fewer.
    effective_units: f64,
    /// Rounding errors are far below this.
    size: f64,
}

/// The judge of one replicate.
pub(crate) struct Judge<'a> {
    pub(crate) log: &'a Log,
    pub(crate) plan: &'a Plan,
    pub(crate) traffic: Traffic<'a>,
    pub(crate) copies: Vec<Copied>,
    /// Of each unit: slot of its first request in the log, and how many it has.
    spans: Vec<(i64, f64)>,
    pub(crate) thresholds: Option<Thresholds>,
    /// Stable's value of every metric over the log.
    pub(crate) levels: Vec<f64>,
    /// A decision hung on the last digits of a number.
    pub(crate) close: Cell<bool>,
    /// Looks that each stage is held.
    pub(crate) held: RefCell<Vec<usize>>,
    /// Of the rollout that is walked through.
    pub(crate) pauses: Cell<Paused>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(
        log: &'a Log,
        plan: &'a Plan,
        start: usize,
        copies: Vec<Copied>,
        thresholds: Option<Thresholds>,
    ) -> Self {
        let traffic = Traffic::new(log, plan, start);
        let held = RefCell::new(vec![0; plan.stages.len()]);
        let spans = (0..log.units()).map(|unit| log.span(unit)).collect();
        let pauses = Cell::new(Paused::default());
        let (levels, close) = (Vec::new(), Cell::new(false));
        let mut judge = Self { log, plan, traffic, copies, spans, thresholds, levels, close, held, pauses };
        judge.levels = (0..SIGN.len()).map(|metric| judge.level(metric)).collect();
        judge
    }

    /// Every unit under both versions, over the whole log.
    fn whole(&self) -> Crowd<'a> {
        let everything = Traffic::new(self.log, self.plan, 0);
        let slots = everything.slots();
        // Effects have set in.
        let arrivals =
            everything.arrivals(0..slots).into_iter().map(|(row, _, unit)| (row, usize::MAX, unit)).collect();
        Crowd { arrivals, members: shared_out(self.log, 1.0, 1.0) }
    }

    fn level(&self, metric: usize) -> f64 {
        let whole = self.whole();
        let sums = |value: &Value<'_>| sums_of(&whole, metric, Arm::Stable, None, value);
        if metric != QUANTILE {
            return sums(&|asked| value(metric, &asked.row.stable)).ratio().unwrap_or(0.0);
        }
        let Some(thresholds) = &self.thresholds else { return 0.0 };
        let distance = |index: usize| {
            let above =
                sums(&|asked| above(asked.row.stable.latency_ms, thresholds.value(index))).ratio().unwrap_or(0.0);
            (above - thresholds.tail).abs()
        };
        let (low, high) = thresholds.range;
        let nearest = (low..=high).min_by(|&a, &b| distance(a).total_cmp(&distance(b)));
        thresholds.value(nearest.unwrap_or(low))
    }

    pub(crate) fn slices(&self, by: &[usize]) -> Vec<Slice> {
        let values = |column: usize| self.log.rows.iter().map(move |row| row.segment(column)).collect::<BTreeSet<_>>();
        let segments = by.iter().flat_map(|&column| values(column).into_iter().map(move |value| Some((column, value))));
        std::iter::once(None).chain(segments).collect()
    }

    pub(crate) fn questions(&self, gate: &Gate) -> Vec<Question> {
        let stable = gate.allow.map(|allow| Against::Stable(allow, gate.harm.unwrap_or(allow)));
        let slices = self.slices(&gate.by);
        stable
            .into_iter()
            .chain(gate.limit.map(Against::Limit))
            .flat_map(|against| slices.iter().map(move |&slice| Question { slice, against }))
            .collect()
    }

    /// What a world makes of every request of a metric; `None` as recorded.
    pub(crate) fn change(&self, world: World, metric: usize) -> Option<Change> {
        match world {
            World::Margin(gate) if self.plan.gates[gate].metric == metric => {
                let (gate, sign) = (&self.plan.gates[gate], SIGN[metric]);
                match (gate.allow, gate.limit) {
                    (Some(Margin::Percent(percent)), _) => {
                        Some(Change::Scale((1.0 + sign * (percent / 100.0)).max(0.01)))
                    }
                    (Some(Margin::Absolute(amount)), _) => Some(Change::Shift(sign * amount)),
                    (None, Some(limit)) if self.levels[metric] > 0.0 => {
                        Some(Change::Scale(limit / self.levels[metric]))
                    }
                    (None, limit) => limit.map(Change::Shift),
                }
            }
            World::Effect(effect) if self.plan.effects[effect].metric == metric => {
                Some(self.plan.effects[effect].change)
            }
            _ => None,
        }
    }

    /// Which answer a copy gets in a world, before anything is changed.
    pub(crate) fn answer(&self, world: World, arm: Arm, asked: Request<'_>) -> Answer {
        let exchanged = world == World::Null && self.plan.swap;
        let candidate = match arm {
            Arm::Stable => exchanged && asked.swapped,
            Arm::Candidate => world == World::Recorded || (exchanged && !asked.swapped),
        };
        if candidate { asked.row.candidate } else { asked.row.stable }
    }

    /// Y and X that a request has in stable's arm.
    pub(crate) fn stable(&self, world: World, metric: usize, asked: Request<'_>) -> Option<(f64, f64)> {
        value(metric, &self.answer(world, Arm::Stable, asked))
    }

    /// Y and X that a request has in the candidate's arm.
    pub(crate) fn shown(&self, world: World, metric: usize, asked: Request<'_>) -> Option<(f64, f64)> {
        let answer = value(metric, &self.answer(world, Arm::Candidate, asked))?;
        let holds = match world {
            World::Effect(effect) => {
                let effect = &self.plan.effects[effect];
                let meant = |(column, values): &(usize, Vec<&str>)| values.contains(&asked.row.segment(*column));
                asked.slot >= effect.onset_slots && effect.only.iter().all(meant)
            }
            _ => true,
        };
        Some(self.change(world, metric).filter(|_| holds).map_or(answer, |change| change.of(answer)))
    }

    fn contrast(
        &self,
        crowd: &Crowd<'_>,
        metric: usize,
        slice: Slice,
        margin: Margin,
        world: World,
    ) -> Option<Contrast> {
        let sign = SIGN[metric];
        let (factor, offset) = margin.factor_and_offset(sign);
        let (stable, candidate, factor, offset) = if metric == QUANTILE {
            let thresholds = self.thresholds.as_ref().expect("a grid belongs to the quantile");
            let at = self.stable_quantile(crowd, slice, world)?;
            let stable = self.stable_above(crowd, slice, world, at);
            let moved = factor * thresholds.value(at) + sign * offset;
            (stable.ratio_with_variance(), self.above_moved(crowd, slice, moved, world), 1.0, 0.0)
        } else {
            let stable = sums_of(crowd, metric, Arm::Stable, slice, &|asked| self.stable(world, metric, asked));
            let candidate = sums_of(crowd, metric, Arm::Candidate, slice, &|asked| self.shown(world, metric, asked));
            (stable.ratio_with_variance(), candidate.ratio_with_variance(), factor, offset)
        };
        self.close.set(self.close.get() || candidate.close || stable.close);
        let (candidate_ratio, stable_ratio) = (candidate.ratio?, stable.ratio?);
        let parts = candidate.variance.zip(stable.variance).map(|(c, s)| (c, factor * factor * s));
        Some(Contrast {
            difference: sign * (candidate_ratio - factor * stable_ratio) - offset,
            variance: parts.map(|(c, s)| c + s),
            df: parts.map_or(f64::NAN, |(c, s)| {
                (c + s).powi(2) / (c * c / (candidate.effective_units - 1.0) + s * s / (stable.effective_units - 1.0))
            }),
            effective_units: candidate.effective_units.min(stable.effective_units),
            size: candidate_ratio.abs() + stable_ratio.abs() + offset.abs(),
        })
    }

    fn limit(&self, crowd: &Crowd<'_>, metric: usize, slice: Slice, limit: f64, world: World) -> Option<Contrast> {
        let (candidate, bound) = if metric == QUANTILE {
            (self.above_moved(crowd, slice, limit, world), self.thresholds.as_ref().map_or(0.0, |t| t.tail))
        } else {
            let sums = sums_of(crowd, metric, Arm::Candidate, slice, &|asked| self.shown(world, metric, asked));
            (sums.ratio_with_variance(), limit)
        };
        self.close.set(self.close.get() || candidate.close);
        let difference = SIGN[metric] * (candidate.ratio? - bound);
        Some(Contrast {
            difference,
            variance: candidate.variance,
            df: candidate.effective_units - 1.0,
            effective_units: candidate.effective_units,
            size: candidate.ratio?.abs() + bound.abs(),
        })
    }

    /// Share of the candidate's requests above a value, between two thresholds: changed answers are asked at a moved value.
    fn above_moved(&self, crowd: &Crowd<'_>, slice: Slice, asked: f64, world: World) -> Mixed {
        let thresholds = self.thresholds.as_ref().expect("a grid belongs to the quantile");
        let asked = match self.change(world, QUANTILE) {
            Some(Change::Shift(amount)) => asked - amount,
            Some(Change::Scale(factor)) => asked / factor,
            None => asked,
        };
        let (index, part) = thresholds.place(asked);
        let sums = |index: usize| {
            crowd.sums(Arm::Candidate, slice, &|asked| {
                above(self.answer(world, Arm::Candidate, asked).latency_ms, thresholds.value(index))
            })
        };
        if part > 0.0 { sums(index).towards(&sums(index + 1), part) } else { sums(index).ratio_with_variance() }
    }

    /// Stable's requests above a threshold.
    fn stable_above(&self, crowd: &Crowd<'_>, slice: Slice, world: World, index: usize) -> Sums {
        let thresholds = self.thresholds.as_ref().expect("a grid belongs to the quantile");
        crowd.sums(Arm::Stable, slice, &|asked| {
            above(self.answer(world, Arm::Stable, asked).latency_ms, thresholds.value(index))
        })
    }

    /// The threshold above which stable's share is nearest to the tail.
    fn stable_quantile(&self, crowd: &Crowd<'_>, slice: Slice, world: World) -> Option<usize> {
        let thresholds = self.thresholds.as_ref().expect("a grid belongs to the quantile");
        let share = |index: usize| self.stable_above(crowd, slice, world, index).ratio();
        let (low, high) = thresholds.range;
        share(low)?;
        let Some(last) = (low..=high).rev().find(|&index| share(index).is_some_and(|s| s >= thresholds.tail)) else {
            return Some(low);
        };
        if last == high {
            return Some(high);
        }
        let (over, under) = (share(last)? - thresholds.tail, thresholds.tail - share(last + 1)?);
        Some(if over <= under { last } else { last + 1 })
    }

    /// Beyond `allow` and beyond `harm`.
    fn evidence(
        &self,
        crowd: &Crowd<'_>,
        gate: &Gate,
        question: Question,
        world: World,
    ) -> Option<(Contrast, Contrast)> {
        match question.against {
            Against::Stable(allow, harm) => Some((
                self.contrast(crowd, gate.metric, question.slice, allow, world)?,
                self.contrast(crowd, gate.metric, question.slice, harm, world)?,
            )),
            Against::Limit(limit) => Some((
                self.limit(crowd, gate.metric, question.slice, limit, world)?,
                self.limit(crowd, gate.metric, question.slice, limit, world)?,
            )),
        }
    }

    /// Slots of the rollout before a stage.
    pub(crate) fn begin(&self, stage: usize) -> usize {
        let held = self.held.borrow();
        let stages = self.plan.stages[..stage].iter().zip(held.iter());
        stages.map(|(plan, held)| plan.slots() + held * plan.slots_per_look).sum()
    }

    /// Slot of the rollout in which a unit asks for the first time in the log.
    fn first_slot(&self, unit: usize) -> i64 {
        self.spans[unit].0 - self.log.first_slot() - self.traffic.start as i64
    }

    /// The stage, up to a given one, in which a unit drew: this one, or of a session that in which it began.
    fn drew(&self, unit: usize, stage: usize) -> Option<usize> {
        if !self.plan.pins() {
            return Some(stage);
        }
        (0..=stage).rev().find(|&began| self.begin(began) as i64 <= self.first_slot(unit))
    }

    /// All requests of the sessions that began on the candidate before a look of a stage, looks counted from 1.
    fn begun(&self, stage: usize, looks: usize) -> f64 {
        let end = (self.begin(stage) + looks * self.plan.stages[stage].slots_per_look) as i64;
        let members = served(&self.copies, self.log, self.plan, &|unit| self.drew(unit, stage));
        let begun = members.iter().filter(|member| member.arm == Arm::Candidate && self.first_slot(member.unit) < end);
        begun.map(|member| self.spans[member.unit].1).sum()
    }

    /// What a look of a stage sees, in a window of so many slots or since the stage began.
    pub(crate) fn crowd(&self, stage: usize, look: usize, window: Option<usize>) -> Crowd<'a> {
        let plan = &self.plan.stages[stage];
        let begin = self.begin(stage);
        let end = begin + (look + 1) * plan.slots_per_look;
        let from = window.map_or(begin, |window| begin.max(end.saturating_sub(window)));
        if self.plan.sticky == Sticky::Cookie {
            let begins: Vec<usize> = (0..=stage).map(|stage| self.begin(stage)).collect();
            return cookies::crowd(
                self.log,
                self.plan,
                &self.traffic,
                (&self.copies, 1.0),
                stage,
                (&begins, from..end),
            );
        }
        Crowd {
            arrivals: self.traffic.arrivals(from..end),
            members: compared(&self.copies, self.log, self.plan, stage, &|unit| self.drew(unit, stage)),
        }
    }

    /// What the candidate serves from a stage's beginning to a look, compared or not.
    pub(crate) fn served_at(&self, stage: usize, look: usize) -> Crowd<'a> {
        let crowd = self.crowd(stage, look, None);
        if self.plan.sticky == Sticky::Cookie {
            return crowd;
        }
        let members = served(&self.copies, self.log, self.plan, &|unit| self.drew(unit, stage));
        Crowd { members, ..crowd }
    }

    /// What a gate says in a stage; `None` where there is nothing to ask.
    #[expect(clippy::too_many_lines, reason = "one look after the other, as it is told")]
    pub(crate) fn gate(&self, gate: &Gate, stage: usize, world: World) -> Option<Said> {
        let plan = &self.plan.stages[stage];
        let questions = self.questions(gate);
        let open = |question: &Question| plan.has_control() || matches!(question.against, Against::Limit(_));
        if plan.looks == 0 || !questions.iter().any(open) {
            return None;
        }
        let planned: Vec<Option<f64>> =
            questions.iter().map(|question| self.planned(gate, *question, stage).filter(|_| open(question))).collect();
        let mut said = Said {
            first_fail: None,
            first_no_data: None,
            held: None,
            later_fail: None,
            end: Verdict::NoData,
            questions: vec![Record::default(); questions.len()],
            by_look: BTreeMap::new(),
        };
        let keeps_all = self.plan.pause_looks(stage) > 0;
        let mut smallest = vec![1.0; questions.len()];
        let lag = self.plan.lag(gate.metric, stage);
        let (failing, of) = gate.patience;
        let enough_fail = |looks: &[bool]| looks.iter().rev().take(of).filter(|&&fails| fails).count() >= failing;
        let mut failures: Vec<Vec<bool>> = vec![Vec::new(); questions.len()];
        let mut gate_failures = Vec::new();
        let all_looks = self.plan.all_looks(stage);
        let mut ended: Option<(Verdict, Vec<Record>)> = None;
        for look in if gate.only_at_end { plan.looks - 1..all_looks } else { plan.quiet..all_looks } {
            let seen = look.checked_sub(lag);
            let crowds = seen.map(|seen| (self.crowd(stage, seen, gate.window), self.crowd(stage, seen, None)));
            let mut p_values = vec![1.0; questions.len()];
            let mut any_data = vec![false; questions.len()];
            for (index, question) in questions.iter().enumerate() {
                let record = &mut said.questions[index];
                *record = Record { failed: record.failed, ..Record::default() };
                let Some((crowd, stage_crowd)) = &crowds else { continue };
                if !open(question) || !has_enough(crowd, stage_crowd, gate, *question) {
                    continue;
                }
                if gate.test == Test::Rank {
                    let Some(ranked) = self.ranked((stage, look), gate, question.slice, world) else { continue };
                    any_data[index] = true;
                    p_values[index] = ranked.fail;
                    (record.passed, record.difference) = (ranked.passes, Some(ranked.shift));
                    continue;
                }
                let Some(evidence) = self.evidence(crowd, gate, *question, world) else { continue };
                if gate.test != Test::Point && gate.test != Test::Exact {
                    let effective_units = evidence.1.effective_units;
                    // Counts of requests are exact, and often equal.
                    if effective_units.fract() != 0.0 {
                        self.compare(effective_units, 4.0, 4.0);
                    }
                    if effective_units < 4.0 {
                        continue;
                    }
                }
                any_data[index] = true;
                let (p_value, passes) = if gate.test == Test::Exact {
                    self.count(
                        crowd,
                        gate,
                        *question,
                        world,
                        if self.plan.matches(stage) { 0.5 } else { plan.exposure },
                    )
                } else {
                    self.weigh(gate, &evidence, planned[index])
                };
                if gate.test == Test::Sequence {
                    smallest[index] = p_value.min(smallest[index]);
                    p_values[index] = smallest[index];
                } else {
                    p_values[index] = p_value;
                }
                record.passed = passes;
                record.difference = Some(evidence.0.difference);
                // Of a trailing window only sums of first order are kept: nothing is known of its variance.
                let variance = evidence.0.variance.filter(|&variance| variance > 0.0 && gate.window.is_none());
                record.se = variance.map(f64::sqrt);
            }
            let rejected = self.rejected(&p_values, gate);
            for ((record, &rejected), failures) in said.questions.iter_mut().zip(&rejected).zip(&mut failures) {
                failures.push(rejected);
                record.failed |= enough_fail(failures);
            }
            gate_failures.push(rejected.contains(&true));
            let overall = questions.iter().position(open).expect("one is open");
            let all_pass = questions.iter().zip(&said.questions).all(|(q, record)| !open(q) || record.passed);
            said.end = if rejected.contains(&true) {
                if enough_fail(&gate_failures) { Verdict::Fail } else { Verdict::Inconclusive }
            } else if !any_data[overall] {
                Verdict::NoData
            } else if all_pass {
                Verdict::Pass
            } else {
                Verdict::Inconclusive
            };
            let mut strongest_of_failure = 0;
            if said.end == Verdict::Fail && (said.first_fail.is_none() || keeps_all) {
                let of_rejected = (0..questions.len()).filter(|&index| rejected[index]);
                let strongest =
                    of_rejected.min_by(|&a, &b| p_values[a].total_cmp(&p_values[b])).expect("one is rejected");
                // Of p-values that are equal, or nearly nothing, either may be called the smallest.
                for other in (0..questions.len()).filter(|&other| other != strongest && !counted(gate.test)) {
                    self.compare(p_values[other], p_values[strongest], p_values[strongest].max(1e-6));
                }
                strongest_of_failure = strongest;
                if said.first_fail.is_none() && ended.is_some() {
                    said.later_fail = said.later_fail.or(Some((look, strongest)));
                } else if said.first_fail.is_none() {
                    said.first_fail = Some((look, strongest));
                }
            }
            if keeps_all {
                said.by_look.insert(look, (said.end, strongest_of_failure));
            }
            if said.end == Verdict::NoData && said.first_no_data.is_none() {
                said.first_no_data = Some(look).filter(|_| ended.is_none());
            }
            if ended.is_none() && look + 1 >= plan.looks {
                let waits = self.plan.waits(gate, stage, said.end);
                if !waits || look + 1 == plan.looks + self.plan.hold_looks(stage) {
                    said.held = (!waits).then_some(look + 1 - plan.looks);
                    ended = Some((said.end, said.questions.clone()));
                }
            }
        }
        if let Some((end, questions)) = ended {
            (said.end, said.questions) = (end, questions);
        }
        Some(said)
    }

    /// P-value of a failure, and whether it passes.
    fn weigh(&self, gate: &Gate, evidence: &(Contrast, Contrast), planned: Option<f64>) -> (f64, bool) {
        let (pass, fail) = evidence;
        if gate.test == Test::Point {
            for contrast in [pass, fail] {
                self.compare(contrast.difference, 0.0, contrast.size);
            }
            return (if fail.difference > 0.0 { 0.0 } else { 1.0 }, pass.difference <= 0.0);
        }
        let positive = |contrast: &Contrast| contrast.variance.filter(|&variance| variance > 0.0);
        let Some((pass_variance, fail_variance)) = positive(pass).zip(positive(fail)) else { return (1.0, false) };
        let p_pass = student_tail(-pass.difference / pass_variance.sqrt(), pass.df);
        let p_fail = student_tail(fail.difference / fail_variance.sqrt(), fail.df);
        if gate.test == Test::Fixed {
            self.compare(p_pass, gate.alpha, 1.0);
            return (p_fail, p_pass < gate.alpha);
        }
        let (z_pass, z_fail) = (normal_deviate(p_pass), normal_deviate(p_fail));
        let Some(planned) = planned else { return (1.0, false) };
        let information = |variance: f64| tuning(gate.alpha) * planned / variance;
        let p_pass = sequence_p(z_pass, information(pass_variance));
        self.compare(p_pass, gate.alpha, 1.0);
        (sequence_p(z_fail, information(fail_variance)), p_pass <= gate.alpha)
    }

    /// The same for exact counts of units: into which arm they fell, or how many of the candidate's they are.
    fn count(&self, crowd: &Crowd<'_>, gate: &Gate, question: Question, world: World, exposure: f64) -> (f64, bool) {
        let metric = gate.metric;
        let value = |asked: Request<'_>| self.shown(world, metric, asked);
        let mine = sums_of(crowd, metric, Arm::Candidate, question.slice, &value).moments();
        let stable = |asked: Request<'_>| self.stable(world, metric, asked);
        let theirs = sums_of(crowd, metric, Arm::Stable, question.slice, &stable).moments();
        let share = |margin: Margin| match margin {
            Margin::Percent(percent) => exposure * (1.0 + percent / 100.0) / (1.0 + exposure * percent / 100.0),
            Margin::Absolute(_) => unreachable!("margins of exact counts are relative"),
        };
        let (trials, to_pass, to_fail) = match question.against {
            Against::Stable(allow, harm) => (mine[0] + theirs[0], share(allow), share(harm)),
            Against::Limit(limit) => (mine[1], limit, limit),
        };
        let (events, trials) = (mine[0].round() as i32, trials.round() as i32);
        let p_pass: f64 = (0..=events).map(|count| binomial(count, trials, to_pass)).sum();
        let p_fail: f64 = (events..=trials).map(|count| binomial(count, trials, to_fail)).sum();
        self.compare(p_pass, gate.alpha, 1.0);
        (p_fail, p_pass <= gate.alpha)
    }

    /// Notes a comparison that rounding could turn.
    pub(crate) fn compare(&self, a: f64, b: f64, size: f64) {
        if (a - b).abs() <= 1e-7 * size {
            self.close.set(true);
        }
    }

    fn rejected(&self, p_values: &[f64], gate: &Gate) -> Vec<bool> {
        let mut order: Vec<usize> = (0..p_values.len()).collect();
        order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
        let mut rejected = vec![false; p_values.len()];
        for (rank, &index) in order.iter().enumerate() {
            let level = match gate.correction {
                Correction::Holm => gate.alpha / (p_values.len() - rank) as f64,
                Correction::Bonferroni => gate.alpha / p_values.len() as f64,
                Correction::None => gate.alpha,
            };
            self.compare(p_values[index], level, level);
            if p_values[index] > level {
                break;
            }
            rejected[index] = true;
        }
        rejected
    }

    /// Variance at the stage's end that a share of every logged unit would have, if the candidate answers as stable.
    fn planned(&self, gate: &Gate, question: Question, stage: usize) -> Option<f64> {
        let plan = &self.plan.stages[stage];
        // Planned before anything is held.
        let begin: usize = self.plan.stages[..stage].iter().map(crate::plan::Stage::slots).sum();
        let began = |unit: usize| !self.plan.pins() || self.first_slot(unit) >= begin as i64;
        let members = expected(self.log, self.plan, stage, &|unit| began(unit).then_some(stage));
        let seen =
            self.plan.all_looks(stage).checked_sub(self.plan.lag(gate.metric, stage)).filter(|&looks| looks > 0)?;
        let slots = begin..begin + seen * plan.slots_per_look;
        let crowd = if self.plan.sticky == Sticky::Cookie {
            let before = |stage: usize| self.plan.stages[..stage].iter().map(crate::plan::Stage::slots).sum();
            let begins: Vec<usize> = (0..=stage).map(before).collect();
            let copies = cookies::planned_copies(self.log, self.plan);
            let copies = (copies.as_slice(), cookies::PLANNED_WEIGHT);
            cookies::crowd(self.log, self.plan, &self.traffic, copies, stage, (&begins, slots))
        } else {
            Crowd { arrivals: self.traffic.arrivals(slots), members }
        };
        let (pass, _) = self.evidence(&crowd, gate, question, World::Same)?;
        pass.variance.filter(|&variance| variance > 0.0)
    }

    /// The schedule in one world. `said` is by gate and stage, asked as stages are reached.
    pub(crate) fn walk(&self, world: World, said: &dyn Fn(usize, usize) -> Option<Said>) -> Ending {
        self.held.borrow_mut().fill(0);
        self.pauses.set(Paused::default());
        let ending = self.walk_from_the_start(world, said);
        self.held.borrow_mut().fill(0);
        ending
    }

    fn walk_from_the_start(&self, world: World, said: &dyn Fn(usize, usize) -> Option<Said>) -> Ending {
        for (stage, plan) in self.plan.stages.iter().enumerate() {
            let verdicts: Vec<Option<Said>> = (0..self.plan.gates.len()).map(|gate| said(gate, stage)).collect();
            if self.plan.pause_looks(stage) > 0 {
                let (looks, end) = self.paused_stage(stage, &verdicts);
                if let Some(end) = end {
                    return self.ending(world, end, stage, looks);
                }
                self.held.borrow_mut()[stage] = looks - plan.looks;
                continue;
            }
            let most = self.plan.hold_looks(stage);
            let held = || verdicts.iter().flatten().map(|said| said.held);
            let waited = held().map(|held| held.unwrap_or(most)).max().unwrap_or(0);
            // Nobody is asked as long as a gate waits.
            let ended = plan.looks + waited;
            let leaving = plan.looks > 0 && held().all(|held| held.is_some());
            let waiting =
                waited + if leaving { self.plan.leave_looks(stage, self.moment(stage, ended), true) } else { 0 };
            for look in 0..plan.looks + waiting {
                let mut holding = None;
                for (gate, said) in verdicts.iter().enumerate() {
                    let Some(said) = said else { continue };
                    match self.at_look(gate, stage, look, said) {
                        Some((Action::RollBack, why)) => {
                            let end = End::RolledBack { stage, gate, why };
                            return self.ending(world, end, stage, look + 1);
                        }
                        Some((Action::Hold, _)) if holding.is_none() => holding = Some(gate),
                        _ => {}
                    }
                }
                if let Some(gate) = holding {
                    return self.ending(world, End::Stalled { stage, gate }, stage, look + 1);
                }
            }
            self.held.borrow_mut()[stage] = waiting;
        }
        let last = self.plan.stages.iter().rposition(|plan| plan.looks > 0).expect("a stage lasts");
        let looks = self.plan.stages[last].looks + self.held.borrow()[last];
        self.ending(world, End::Promoted, last, looks)
    }

    /// Seconds since 1970 after so many looks of a stage.
    fn moment(&self, stage: usize, looks: usize) -> i64 {
        let slots = self.traffic.start + self.begin(stage) + looks * self.plan.stages[stage].slots_per_look;
        (self.log.first_slot() + slots as i64) * self.plan.slot_s
    }

    /// A stage that may be paused, look by look: after how many it ends, and how, if the rollout ends with it.
    fn paused_stage(&self, stage: usize, verdicts: &[Option<Said>]) -> (usize, Option<End>) {
        let plan = &self.plan.stages[stage];
        let (delay, _) = self.plan.resume.expect("somebody comes");
        let mut room = self.plan.pause_looks(stage);
        let gates = || verdicts.iter().enumerate().filter_map(|(gate, said)| Some((gate, said.as_ref()?)));
        let mut open: BTreeSet<usize> = gates().map(|(gate, _)| gate).collect();
        // Looks that count for the stage, when a person comes, and when the stage is left.
        let (mut clock, mut coming, mut leaving): (usize, Option<usize>, Option<usize>) = (0, None, None);
        let mut pauses = self.pauses.get();
        let mut began = 0;
        for passed in 1..=self.plan.all_looks(stage) {
            let person = coming == Some(passed);
            clock += usize::from(coming.is_none());
            let says = |gate: usize| {
                let late = self.plan.gates[gate].only_at_end && clock < plan.looks;
                verdicts[gate].as_ref().and_then(|said| said.by_look.get(&(passed - 1))).filter(|_| !late).copied()
            };
            let ends = |person: bool| {
                gates().find_map(|(gate, _)| {
                    let (rule, (verdict, question)) = (&self.plan.gates[gate], says(gate)?);
                    let why = match verdict {
                        Verdict::Fail if person || rule.on_fail == Action::RollBack => Why::Failed(question),
                        Verdict::NoData if rule.on_no_data == Action::RollBack && open.contains(&gate) => Why::NoData,
                        _ => return None,
                    };
                    Some(End::RolledBack { stage, gate, why })
                })
            };
            let mut end = ends(person);
            let fails = |gate: &usize| says(*gate).is_some_and(|(verdict, _)| verdict == Verdict::Fail);
            let pausing = gates().map(|(gate, _)| gate).find(fails).filter(|_| coming.is_none() && end.is_none());
            if let Some(gate) = pausing {
                pauses.0 += 1;
                let wait = self.plan.looks_of(stage, delay);
                if wait > room {
                    pauses.3 = true;
                    end = Some(End::Stalled { stage, gate });
                } else if wait == 0 {
                    pauses.2 = true;
                    end = ends(true);
                } else {
                    room -= wait;
                    (coming, began) = (Some(passed + wait), passed);
                }
            }
            if let Some(end) = end {
                if coming.is_some() {
                    pauses.2 = person;
                    pauses.4 += ((passed - began) * plan.slots_per_look) as i64 * self.plan.slot_s;
                }
                self.pauses.set(pauses);
                return (passed, Some(end));
            }
            if person {
                coming = None;
                pauses.1 += 1;
                pauses.4 += ((passed - began) * plan.slots_per_look) as i64 * self.plan.slot_s;
            }
            if coming.is_some() {
                continue;
            }
            if clock >= plan.looks && leaving.is_none() {
                let verdict = |gate: usize| says(gate).map_or(Verdict::NoData, |(verdict, _)| verdict);
                open.retain(|&gate| self.plan.waits(&self.plan.gates[gate], stage, verdict(gate)));
                if clock == plan.looks + self.plan.hold_looks(stage) {
                    let rule = |gate: usize| &self.plan.gates[gate];
                    let does = |gate: usize| match verdict(gate) {
                        Verdict::NoData => (rule(gate).on_no_data, Why::NoData),
                        _ => (rule(gate).on_inconclusive, Why::Inconclusive),
                    };
                    let back = open.iter().find(|&&gate| does(gate).0 == Action::RollBack);
                    let end = back.map(|&gate| End::RolledBack { stage, gate, why: does(gate).1 });
                    let end = end.or(open.first().map(|&gate| End::Stalled { stage, gate }));
                    if end.is_some() {
                        self.pauses.set(pauses);
                        return (passed, end);
                    }
                }
            }
            if open.is_empty() && clock >= plan.looks {
                let moment = self.moment(stage, passed);
                let at = match leaving {
                    Some(at) if at >= passed => at,
                    before => passed + self.plan.leave_looks(stage, moment, before.is_none()),
                };
                leaving = Some(at);
                if at == passed {
                    self.pauses.set(pauses);
                    return (passed, None);
                }
            }
        }
        panic!("a stage of {} looks does not end", self.plan.all_looks(stage));
    }

    /// What a gate does at a look.
    fn at_look(&self, gate: usize, stage: usize, look: usize, said: &Said) -> Option<(Action, Why)> {
        let rule = &self.plan.gates[gate];
        let failure = said
            .first_fail
            .or(said.later_fail)
            .filter(|(at, _)| *at == look)
            .map(|(_, q)| (rule.on_fail, Why::Failed(q)));
        let last = said.held.is_none() && look + 1 == self.plan.stages[stage].looks + self.plan.hold_looks(stage);
        let missing = said.first_no_data == Some(look) && rule.on_no_data == Action::RollBack;
        let missing = missing.then_some((Action::RollBack, Why::NoData));
        let needs_pass = self.plan.pass_from.is_none_or(|from| stage >= from);
        let end = match said.end {
            Verdict::NoData => Some((rule.on_no_data, Why::NoData)),
            Verdict::Inconclusive if needs_pass => Some((rule.on_inconclusive, Why::Inconclusive)),
            _ => None,
        };
        let all = [failure, missing, end.filter(|_| last)];
        let of = |action: Action| all.into_iter().flatten().find(|(found, _)| *found == action);
        of(Action::RollBack).or_else(|| of(Action::Hold))
    }

    /// After so many looks of its last stage.
    fn ending(&self, world: World, end: End, last: usize, looks: usize) -> Ending {
        let (mut slots, mut requests, mut units, mut cost, mut excess) = (0, 0.0, 0.0, (0.0, 0.0), [0.0; 3]);
        let mut served = BTreeSet::new();
        let rollback_s = if matches!(end, End::RolledBack { .. }) { self.plan.rollback_s } else { 0 };
        for (stage, plan) in self.plan.stages.iter().enumerate() {
            let held = self.held.borrow()[stage];
            let here = match stage.cmp(&last) {
                Ordering::Less => plan.looks + held,
                Ordering::Equal => looks,
                Ordering::Greater => 0,
            };
            slots += here * plan.slots_per_look;
            if here == 0 {
                continue;
            }
            let crowd = self.served_at(stage, here - 1);
            // Only the stage of the last look is prolonged, by the time that a rollback takes.
            let longer = if stage == last { self.served_by(stage, here, rollback_s, &served) } else { None };
            let (mut more_requests, more_units) = longer.unwrap_or((0.0, 0.0));
            served.extend(crowd.served());
            units = served.len() as f64 + more_units;
            let in_stage = crowd.sums(Arm::Candidate, None, &|_| None).requests;
            if stage == last && self.plan.pins() && matches!(end, End::RolledBack { .. }) {
                // Who has begun goes on to the end.
                more_requests += self.begun(stage, here) - requests - in_stage;
            }
            let times = if in_stage > 0.0 { 1.0 + more_requests / in_stage } else { 1.0 };
            let total = |metric: usize| {
                let shown = sums_of(&crowd, metric, Arm::Candidate, None, &|asked| self.shown(world, metric, asked))
                    .moments()[0];
                // The same copies, had stable answered them.
                let stable = sums_of(&crowd, metric, Arm::Candidate, None, &|asked| self.stable(world, metric, asked))
                    .moments()[0];
                (shown * times, stable * times)
            };
            requests += in_stage + more_requests;
            let of_cost = total(COST);
            cost = (cost.0 + of_cost.0, cost.1 + of_cost.1);
            for (sum, metric) in excess.iter_mut().zip(SHARES) {
                let (shown, stable) = total(metric);
                *sum += SIGN[metric] * (shown - stable);
            }
        }
        let harmful = match end {
            End::RolledBack { gate, why: Why::Failed(question), .. } => {
                Some(self.is_harmful(world, gate, question, slots))
            }
            End::RolledBack { gate, why: Why::Inconclusive, .. } => Some(self.is_harmful(world, gate, 0, slots)),
            _ => None,
        };
        let pauses = self.pauses.get();
        Ending { end, slots, exposed_requests: requests, exposed_units: units, cost, excess, harmful, pauses }
    }

    /// Requests and units that the candidate serves for so many seconds after a look of a stage, looks counted from 1; `before` were served
    /// in earlier stages. A second at a time is evenly served between looks; past the stage's end, the seconds before it come again.
    fn served_by(
        &self,
        stage: usize,
        look: usize,
        seconds: i64,
        before: &BTreeSet<(usize, u32)>,
    ) -> Option<(f64, f64)> {
        let plan = &self.plan.stages[stage];
        let look_s = plan.slots_per_look as i64 * self.plan.slot_s;
        let all_looks = self.plan.all_looks(stage);
        let by: Vec<(f64, f64)> = (0..=all_looks)
            .map(|looks| {
                let begun = if self.plan.pins() { self.begun(stage, looks) } else { 0.0 };
                let Some(look) = looks.checked_sub(1) else { return (begun, before.len() as f64) };
                let crowd = self.served_at(stage, look);
                let mut served = before.clone();
                served.extend(crowd.served());
                let requests = crowd.sums(Arm::Candidate, None, &|_| None).requests;
                (if self.plan.pins() { begun } else { requests }, served.len() as f64)
            })
            .collect();
        let (begin, end) = (look as i64 * look_s, all_looks as i64 * look_s);
        let beyond = (begin + seconds - end).max(0);
        let stretch = beyond.min(end);
        // How often each second of the stage is served once more.
        let once = begin..begin + seconds - beyond;
        let mut more = (0.0, 0.0);
        for (index, pair) in by.windows(2).enumerate() {
            let here = index as i64 * look_s..(index as i64 + 1) * look_s;
            let common = |from: i64, to: i64| (to.min(here.end) - from.max(here.start)).max(0) as f64;
            let repeated = if stretch > 0 { common(end - stretch, end) * beyond as f64 / stretch as f64 } else { 0.0 };
            let times = (common(once.start, once.end) + repeated) / look_s as f64;
            more.0 += times * (pair[1].0 - pair[0].0);
            more.1 += times * (pair[1].1 - pair[0].1);
        }
        (seconds > 0).then_some(more)
    }

    /// Whether the whole log, every request answered by both versions, is past the failing margin, and has been in this rollout.
    fn is_harmful(&self, world: World, gate: usize, question: usize, slots: usize) -> bool {
        let gate = &self.plan.gates[gate];
        let set_in = match world {
            World::Effect(effect) => slots > self.plan.effects[effect].onset_slots,
            _ => true,
        };
        let question = self.questions(gate)[question];
        let evidence = self.evidence(&self.whole(), gate, question, world);
        let scale = if gate.metric == QUANTILE { 1.0 } else { self.levels[gate.metric].abs() };
        // Exchanged answers harm nobody.
        let exchanged = world == World::Null && self.plan.swap;
        set_in && !exchanged && evidence.is_some_and(|(_, fail)| fail.difference > 1e-9 * scale)
    }
}

impl Judge<'_> {
    /// Whether a world changes a quantile in a way that only the program's own thresholds can tell.
    pub(crate) fn is_approximate(&self, world: World) -> bool {
        match world {
            World::Effect(effect) => {
                self.plan.effects[effect].metric == QUANTILE && self.plan.effects[effect].is_partial()
            }
            // Which units have an event more is the program's choice.
            World::Margin(gate) => self.plan.gates[gate].metric == RARE,
            _ => false,
        }
    }
}

/// Sums of a metric, every unit once if that is how it counts.
pub(crate) fn sums_of(crowd: &Crowd<'_>, metric: usize, arm: Arm, slice: Slice, value: &Value<'_>) -> Sums {
    let sums = crowd.sums(arm, slice, value);
    if metric == RARE { sums.once() } else { sums }
}

/// Probability of a count, factor by factor.
fn binomial(count: i32, trials: i32, share: f64) -> f64 {
    let ways = (0..count).map(|i| f64::from(trials - i) / f64::from(count - i)).product::<f64>();
    ways * share.powi(count) * (1.0 - share).powi(trials - count)
}

/// Whether p-values are counted, so that equal ones are the same.
fn counted(test: Test) -> bool {
    matches!(test, Test::Point | Test::Rank)
}

/// Whether a gate may speak.
fn has_enough(crowd: &Crowd<'_>, stage_crowd: &Crowd<'_>, gate: &Gate, question: Question) -> bool {
    let enough = |arm: Arm| {
        let count = |crowd: &Crowd<'_>| crowd.sums(arm, question.slice, &|_| None);
        count(stage_crowd).units >= gate.min_units && count(crowd).covered >= gate.min_requests
    };
    enough(Arm::Candidate) && (matches!(question.against, Against::Limit(_)) || enough(Arm::Stable))
}

/// One request, above a value or not.
pub(crate) fn above(latency: Option<f64>, value: f64) -> Option<(f64, f64)> {
    latency.map(|ms| (f64::from(u8::from(ms > value)), 1.0))
}

/// `P(Z > z)`: Marsaglia's series near zero, a continued fraction in the tail.
pub(crate) fn upper_tail(z: f64) -> f64 {
    let density = (-z * z / 2.0).exp() / (2.0 * PI).sqrt();
    if z.abs() < 3.0 {
        let (mut term, mut sum, mut odd) = (z, z, 1.0);
        while term.abs() > 1e-18 {
            odd += 2.0;
            term *= z * z / odd;
            sum += term;
        }
        return 0.5 - density * sum;
    }
    let tail = density / (1..200).rev().map(f64::from).fold(z.abs(), |fraction, k| z.abs() + k / fraction);
    if z > 0.0 { tail } else { 1.0 - tail }
}

/// `P(T > t)` of Student's law: its density over `(1 + t²/df)^-((df+1)/2)`, by Simpson's rule in the angle `t = sqrt(df) tan a`.
pub(crate) fn student_tail(t: f64, df: f64) -> f64 {
    let density = |angle: f64| angle.cos().powf(df - 1.0);
    let integral = |from: f64, to: f64| {
        let steps = 4000;
        let step = (to - from) / f64::from(steps);
        let weight = |index: i32| if index == 0 || index == steps { 1.0 } else { f64::from(2 + 2 * (index % 2)) };
        (0..=steps).map(|index| weight(index) * density(from + f64::from(index) * step)).sum::<f64>() * step / 3.0
    };
    let angle = (t.abs() / df.sqrt()).atan();
    let tail = integral(angle, PI / 2.0) / (2.0 * integral(0.0, PI / 2.0));
    if t > 0.0 { tail } else { 1.0 - tail }
}

/// The `z` with `P(Z > z) = tail`, by halving.
fn normal_deviate(tail: f64) -> f64 {
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if upper_tail(middle) > tail { low = middle } else { high = middle }
    }
    high
}

/// Information ratio at which the one-sided sequence is tightest.
fn tuning(alpha: f64) -> f64 {
    let log = -2.0 * (2.0 * alpha).ln();
    log + (1.0 + log).ln()
}

/// The alpha at which `z² = 2 (1 + 1/R) ln(1 + sqrt(1 + R) / (2 alpha))`.
fn sequence_p(z: f64, information: f64) -> f64 {
    if z <= 0.0 {
        return 1.0;
    }
    let log = z * z / (2.0 * (1.0 + 1.0 / information));
    ((1.0 + information).sqrt() / (2.0 * (log.exp() - 1.0))).min(1.0)
}
