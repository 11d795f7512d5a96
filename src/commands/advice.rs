//! What the sources call common mistakes of a release plan, each with the number behind it, before anything is simulated.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::domain::gate::{Gate, Looks, Test};
use crate::domain::metric::{Direction, Margin, Metric, MetricKind};
use crate::domain::quantity::{Moment, Seconds};
use crate::domain::rollout::{PairSource, Promotion, Stage};
use crate::gate::question::ExpectedArms;
use crate::outcome::player::Player;
use crate::outcome::rows::segment;
use crate::paired::golden::Golden;
use crate::power::closed_form::{self, Plan};
use crate::power::rest::Rest;
use crate::report::{Segment, ShadowRow, Warning, labels};
use crate::scenario::Scenario;
use crate::simulate::trajectory::{Arm, Reader, Span};

/// Smaller segments could hide anything, and say little about a plan.
const SMALLEST_SEGMENT: f64 = 0.02;

/// Where more of a golden set's rows than this would have to be others to have the traffic's segments, it does not resemble the traffic.
const UNLIKE: f64 = 0.2;

/// A gate whose smallest regression seen is more than this many times what it allows does not see its own margin.
const SEES: f64 = 2.0;

/// Advice on a plan, in the order of its stages and gates.
pub(super) fn all(
    player: &Player<'_>,
    digest: &Digest,
    shadow: &[ShadowRow],
    golden: &[Option<Golden>],
) -> Vec<Warning> {
    let plans = closed_form::plans(player, &Rest::of_stages(player));
    let plan = Advisor { player, scenario: player.scenario, digest, plans: &plans };
    [
        plan.short_stages(),
        plan.unlike_traffic(golden),
        plan.small_segments(),
        plan.hidden_segments(shadow),
        plan.no_rollback(),
        plan.bare_looks(),
        plan.off_hours(),
    ]
    .concat()
}

/// What is said of waits of which some are for hours to come: `closed` has nothing else in it, `all` the work that is then done.
fn off_hours(stage: &Stage, (what, takes): (&str, &str), closed: &[f64], all: &[f64]) -> Option<Warning> {
    let waiting = closed.iter().filter(|&&wait| wait > 0.0).count();
    let text = format!(
        "{what} in {} of starts, and {takes} {} on average: start at another time of the week, or change the duration",
        labels::percent(waiting as f64 / all.len() as f64),
        labels::duration(all.iter().sum::<f64>() / all.len().max(1) as f64)
    );
    (waiting > 0).then(|| advice("off-hours", format!("stage {}", stage.name), text))
}

/// Share of the requests that has each value of a segment column.
fn mix(digest: &Digest, column: usize) -> BTreeMap<&str, f64> {
    let segment = &digest.segments[column];
    let mut rows = vec![0.0; segment.values.len()];
    for (&value, &of_cell) in digest.cells.segment[column].iter().zip(&digest.cells.rows) {
        rows[usize::from(value)] += of_cell;
    }
    let total = rows.iter().sum::<f64>().max(1.0);
    segment.values.iter().zip(rows).map(|(value, rows)| (value.as_str(), rows / total)).collect()
}

struct Advisor<'a> {
    player: &'a Player<'a>,
    scenario: &'a Scenario,
    digest: &'a Digest,
    plans: &'a [Plan],
}

fn advice(code: &str, place: String, text: String) -> Warning {
    Warning { code: code.into(), r#where: place, text }
}

impl Advisor<'_> {
    fn stage(&self, plan: &Plan) -> &Stage {
        &self.scenario.stages[plan.stage]
    }

    /// The slice of a plan; `None` for all requests.
    fn segment(&self, plan: &Plan) -> Option<Segment> {
        let slice = self.player.gates[plan.gate].questions[plan.question].slice;
        segment(self.player.simulator.layout.slices[slice], self.digest)
    }

    /// Plans of a gate over all requests, stage by stage.
    fn overall(&self, gate: usize) -> impl Iterator<Item = &Plan> {
        self.plans.iter().filter(move |plan| plan.gate == gate && self.segment(plan).is_none())
    }

    /// Stages that cannot show what is asked of them: a pass where one is needed, or a regression of the size that is accepted.
    fn short_stages(&self) -> Vec<Warning> {
        let gates = self.scenario.gates.iter().enumerate();
        gates
            .flat_map(|(index, gate)| self.never_passes(index, gate).into_iter().chain(self.sees_little(index, gate)))
            .collect()
    }

    fn never_passes(&self, index: usize, gate: &Gate) -> Vec<Warning> {
        let needed = self.overall(index).filter(|plan| self.scenario.rollout.needs_pass(plan.stage));
        let short = needed.filter_map(|plan| Some((plan, plan.power.filter(|power| *power < gate.power.get())?)));
        let text = |(plan, power): (&Plan, f64)| {
            let stage = self.stage(plan);
            let longer = plan.duration_needed_s.map(|seconds| format!("run {}", labels::duration(seconds as f64)));
            let wider = plan.exposure_needed.map(|exposure| format!("expose {}", labels::percent(exposure)));
            if let Some(paired) = &stage.paired {
                let more = plan
                    .units_needed
                    .map_or_else(String::new, |units| format!("have {} units in it, or ", labels::count(units.ceil())));
                let text = format!(
                    "gate `{}` passes a candidate as good as stable in only {} of rollouts by the pairs of its {}, {} is asked: {more}accept a larger \
                     regression",
                    gate.name,
                    labels::percent(power),
                    if paired.source == PairSource::Mirror { "traffic" } else { "golden set" },
                    labels::percent(gate.power.get())
                );
                return advice("short-stage", format!("stage {}", stage.name), text);
            }
            let ways: Vec<String> = longer.into_iter().chain(wider).collect();
            let remedy = if ways.is_empty() {
                "accept a larger regression, or ask later in the ramp".into()
            } else {
                ways.join(" or ")
            };
            let text = format!(
                "gate `{}` passes a candidate as good as stable in only {} of rollouts by the end of {} at {}, {} is asked: {remedy}",
                gate.name,
                labels::percent(power),
                stage.duration,
                stage.exposure,
                labels::percent(gate.power.get())
            );
            advice("short-stage", format!("stage {}", stage.name), text)
        };
        short.map(text).collect()
    }

    /// Golden sets whose segments are not those of the traffic, as far as the stage's gates tell them apart.
    fn unlike_traffic(&self, golden: &[Option<Golden>]) -> Vec<Warning> {
        let of_set = |(stage, golden): (&Stage, &Golden)| -> Vec<Warning> {
            let columns = golden.columns.iter().enumerate().filter_map(|(column, own)| Some((column, (*own)?)));
            let of_column = |(column, own): (usize, usize)| {
                let (set, traffic) = (mix(&golden.digest, own), mix(self.digest, column));
                let of_set = |value: &str| set.get(value).copied().unwrap_or(0.0);
                let lacks = |(value, share): (&&str, &f64)| (share - of_set(value)).max(0.0);
                let unlike: f64 = traffic.iter().map(lacks).sum();
                let (rarest, share) = traffic.iter().max_by(|&a, &b| lacks(a).total_cmp(&lacks(b)))?;
                let segment = &self.digest.segments[column].name;
                let text = format!(
                    "{} of the rows of its golden set would have to be others to have the traffic's mix of `{segment}`: {segment} = {rarest} is {} of \
                     the traffic and {} of the set; add such rows, or take it as evidence on what it holds",
                    labels::percent(unlike),
                    labels::percent(*share),
                    labels::percent(of_set(rarest))
                );
                (unlike > UNLIKE).then(|| advice("unlike-traffic", format!("stage {}", stage.name), text))
            };
            columns.filter_map(of_column).collect()
        };
        let sets = self.scenario.stages.iter().zip(golden);
        sets.filter_map(|(stage, golden)| Some((stage, golden.as_ref()?))).flat_map(of_set).collect()
    }

    /// Under `no-fail` a gate that no stage lets see its margin is none.
    fn sees_little(&self, index: usize, gate: &Gate) -> Option<Warning> {
        let Some(Margin::Relative(allow)) = gate.allow.filter(|_| self.scenario.rollout.promote == Promotion::NoFail)
        else {
            return None;
        };
        let seen = self.overall(index).filter_map(|plan| Some((plan, plan.mde_relative?)));
        let (plan, sees) = seen.min_by(|(_, a), (_, b)| a.total_cmp(b)).filter(|(_, sees)| *sees > SEES * allow)?;
        let text = format!(
            "gate `{}` accepts {} and sees no regression below {} in any stage: what lies between is promoted; run longer, expose more, or say \
             what is really accepted",
            gate.name,
            labels::percent(allow),
            labels::percent(sees)
        );
        Some(advice("blind-gate", format!("stage {}", self.stage(plan).name), text))
    }

    /// Approvals that are asked for when nobody is there, and stages that are due when they may not begin, had nothing been held before.
    fn off_hours(&self) -> Vec<Warning> {
        let mut due: Vec<Moment> = self.player.starts.clone();
        let mut found = Vec::new();
        for (index, stage) in self.scenario.stages.iter().enumerate() {
            let ended: Vec<Moment> = due.iter().map(|begin| Moment(begin.0.saturating_add(stage.duration.0))).collect();
            let (answer, work) = (self.scenario.rollout.approval, self.scenario.rollout.approval.delay.at(0.0));
            let approval = |work: Seconds| {
                let wait =
                    |asked: &Moment| self.scenario.answered(answer, *asked, work).0.saturating_sub(asked.0) as f64;
                ended.iter().map(wait).collect::<Vec<f64>>()
            };
            if stage.approved && answer.hours.is_some() {
                let what = ("approval is asked for outside the hours of `rollout.approval`", "takes");
                found.extend(off_hours(stage, what, &approval(Seconds(0)), &approval(work)));
            }
            let next = self.scenario.stages.get(index + 1).filter(|next| next.start.is_some());
            due = match next {
                None => ended,
                Some(next) => {
                    let left: Vec<Moment> =
                        ended.iter().map(|&ended| self.scenario.left(index, ended, Some(work))).collect();
                    let approved =
                        ended.iter().zip(if stage.approved { approval(work) } else { vec![0.0; ended.len()] });
                    let asked = approved.map(|(ended, wait)| ended.0.saturating_add(wait as i64));
                    let waits: Vec<f64> =
                        left.iter().zip(asked).map(|(left, asked)| left.0.saturating_sub(asked) as f64).collect();
                    let what = ("the stage is due outside the hours of its `start`", "waits for");
                    found.extend(off_hours(next, what, &waits, &waits));
                    left
                }
            };
        }
        found
    }

    /// Segments with fewer units on the candidate than a gate needs to speak, or to pass.
    fn small_segments(&self) -> Vec<Warning> {
        let mut found = Vec::new();
        for (index, gate) in self.scenario.gates.iter().enumerate().filter(|(_, gate)| !gate.by.is_empty()) {
            for stage in (0..self.scenario.stages.len()).filter(|&stage| self.scenario.stages[stage].paired.is_none()) {
                let slices: Vec<(Segment, f64, f64)> = self
                    .plans
                    .iter()
                    .filter(|plan| plan.gate == index && plan.stage == stage)
                    .filter_map(|plan| Some((self.segment(plan)?, self.units(plan), self.needed(plan, gate))))
                    .collect();
                let mut small: Vec<&(Segment, f64, f64)> =
                    slices.iter().filter(|(_, units, needed)| units < needed).collect();
                small.sort_by(|a, b| (a.1 / a.2).total_cmp(&(b.1 / b.2)));
                let Some((segment, units, needed)) = small.first() else { continue };
                let text = format!(
                    "gate `{}` has too few units on the candidate in {} of {} segments; fewest in {}: about {}, and needs {}",
                    gate.name,
                    small.len(),
                    slices.len(),
                    labels::segment(Some(segment)),
                    labels::count(*units),
                    labels::count(*needed)
                );
                found.push(advice("small-segment", format!("stage {}", self.scenario.stages[stage].name), text));
            }
        }
        found
    }

    /// Units on the candidate that the middle start expects at the stage's end.
    fn units(&self, plan: &Plan) -> f64 {
        let place = self.player.places()[plan.stage];
        let censuses = &self.player.sampled_censuses;
        let reader = Reader { layout: &self.player.simulator.layout, trajectory: &censuses[censuses.len() / 2] };
        let metric = &self.scenario.metrics[self.scenario.gates[plan.gate].metric];
        let Some(look) = place.seen(place.plan.looks() - 1, metric.judge.delay) else { return 0.0 };
        let span = Span { look, since: None };
        let slice = self.player.gates[plan.gate].questions[plan.question].slice;
        ExpectedArms { reader, span, split: place.plan.split() }.counts(Arm::Candidate, slice).0
    }

    /// To speak, and where a pass is needed, to pass.
    fn needed(&self, plan: &Plan, gate: &Gate) -> f64 {
        let passes = self.scenario.rollout.needs_pass(plan.stage);
        let stable = self.player.gates[plan.gate].questions[plan.question].against.compares();
        gate.min_units.max(plan.units_needed.filter(|_| passes && stable).unwrap_or(0.0))
    }

    /// Gates that look at all requests only, although a segment could be far worse than the whole may be.
    fn hidden_segments(&self, shadow: &[ShadowRow]) -> Vec<Warning> {
        let of_gate = |gate: &Gate| {
            let Some(Margin::Relative(allow)) = gate.allow.filter(|allow| gate.by.is_empty() && !allow.is_zero())
            else {
                return None;
            };
            let metric = &self.scenario.metrics[gate.metric];
            let rows = shadow.iter().filter(|row| row.metric == metric.name);
            let (segments, whole): (Vec<&ShadowRow>, Vec<&ShadowRow>) = rows.partition(|row| row.segment.is_some());
            let large: Vec<&ShadowRow> =
                segments.into_iter().filter(|row| self.share(row) >= SMALLEST_SEGMENT).collect();
            // What the log itself already shows comes before what it could hide.
            let (code, text) = self
                .shown_worse(metric, allow, &large)
                .map(|text| ("hidden-regression", text))
                .or_else(|| Some(("hidden-segment", self.could_be_worse(metric, allow, whole.first()?, &large)?)))?;
            Some(advice(code, format!("gate {}", gate.name), text))
        };
        self.scenario.gates.iter().filter_map(of_gate).collect()
    }

    /// Share of all requests that a row of the shadow report is about.
    fn share(&self, row: &ShadowRow) -> f64 {
        row.requests as f64 / (self.digest.facts.rows as f64).max(1.0)
    }

    /// The segment that the log shows to be worse by most, where one is surely worse than the whole may be.
    fn shown_worse(&self, metric: &Metric, allow: f64, segments: &[&ShadowRow]) -> Option<String> {
        let sign = metric.better.worse_sign();
        let surely_worse_by =
            |row: &ShadowRow| row.low.zip(row.high).map(|(low, high)| if sign > 0.0 { low } else { -high });
        let beyond = |row: &&&ShadowRow| surely_worse_by(row).is_some_and(|by| by > allow * row.stable.abs());
        let size = |row: &ShadowRow| sign * row.difference / row.stable.abs();
        let worst = segments.iter().filter(beyond).max_by(|a, b| size(a).total_cmp(&size(b)))?;
        Some(format!(
            "accepts {} over all requests, and the log shows {} worse by {} in {} ({} of requests): ask `by = [\"{}\"]`",
            labels::percent(allow),
            labels::visible(&metric.name),
            labels::percent(size(worst)),
            labels::segment(worst.segment.as_ref()),
            labels::percent(self.share(worst)),
            worst.segment.as_ref().map_or("", |segment| &segment.column)
        ))
    }

    /// How much worse the smallest segment could be without the whole being worse than it may be. Of a mean over requests a segment is its
    /// share; what a quantile or a ratio hides does not follow from that.
    fn could_be_worse(
        &self,
        metric: &Metric,
        allow: f64,
        whole: &ShadowRow,
        segments: &[&ShadowRow],
    ) -> Option<String> {
        let is_mean = matches!(metric.kind, MetricKind::Mean { .. } | MetricKind::Proportion { .. });
        let smallest = segments.iter().filter(|_| is_mean).min_by_key(|row| row.requests)?;
        let hidden = allow * (whole.stable / smallest.stable).abs() / self.share(smallest);
        if !hidden.is_finite() {
            return None;
        }
        let size = if metric.better == Direction::Higher && hidden >= 1.0 {
            "all of it".to_owned()
        } else {
            labels::percent(hidden)
        };
        Some(format!(
            "accepts {} over all requests: {} could be worse by {size} in {} ({} of requests) without going past it; ask `by`",
            labels::percent(allow),
            labels::visible(&metric.name),
            labels::segment(smallest.segment.as_ref()),
            labels::percent(self.share(smallest))
        ))
    }

    /// Gates of which a failure changes nothing by itself.
    fn no_rollback(&self) -> Vec<Warning> {
        let seconds = (self.digest.end().0 - self.digest.first.0).max(1) as f64;
        let per_hour = self.digest.facts.rows as f64 / seconds * 3600.0;
        let canary = self.scenario.stages.iter().filter(|stage| stage.has_control());
        let exposure = canary.map(|stage| stage.exposure.get()).fold(0.0, f64::max);
        let text = || {
            format!(
                "has no rollback rule: when it fails a person is waited for, while the candidate serves up to {} requests an hour",
                labels::count(per_hour * exposure)
            )
        };
        let pausing = self.scenario.gates.iter().filter(|gate| !self.scenario.rollout.rolls_back(gate));
        pausing.map(|gate| advice("no-rollback", format!("gate {}", gate.name), text())).collect()
    }

    /// Rules that compare bare estimates, or repeat a test made for one look.
    fn bare_looks(&self) -> Vec<Warning> {
        let looks = |gate: &Gate| -> usize {
            self.scenario.stages.iter().filter(|stage| gate.asked_in(stage)).map(Stage::loud_looks).sum()
        };
        let peeking = self.scenario.gates.iter().filter(|gate| {
            gate.looks == Looks::All && matches!(gate.test, Test::Point | Test::Fixed) && looks(gate) > 1
        });
        let text = |gate: &Gate| {
            let what = if gate.test == Test::Point {
                "compares bare estimates, which have no error rate,"
            } else {
                "repeats a test made for one look"
            };
            format!("{what} at {} looks: use `group-sequential`, or `looks = \"end\"`", looks(gate))
        };
        peeking.map(|gate| advice("peeking", format!("gate {}", gate.name), text(gate))).collect()
    }
}
