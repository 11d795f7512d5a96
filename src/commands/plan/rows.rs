//! What was tried → rows of the plan.

use std::collections::BTreeMap;

use crate::cli::PlanArgs;
use crate::domain::gate::{Looks, Spending, Test};
use crate::domain::limit::{Limit, Quantity};
use crate::report::plan::{BindingRow, CandidateRow, HeldRow, LimitRow, Plan, StageRow};
use crate::scenario::Scenario;
use crate::scenario::rewrite::{self, is_free, stage_names};
use crate::search::Tried;
use crate::search::space::{Space, Step};
use crate::search::standing::{Bad, Held, Rank, Values, beyond, held};

/// Fewer starts than this say little of a weekday or an hour.
const FEW_STARTS: usize = 24;

/// Which limits the faster schedules miss, each by its best rule.
pub(super) fn binding(tried: &[Tried], chosen: &Tried, limits: &[Limit]) -> Vec<BindingRow> {
    let mut best: BTreeMap<&[Step], &Tried> = BTreeMap::new();
    for candidate in tried.iter().filter(|tried| tried.values.length_s < chosen.values.length_s) {
        let rank = |tried: &Tried| Rank::of(&tried.values, limits);
        let known = best.entry(&candidate.schedule).or_insert(candidate);
        if rank(candidate).order(rank(known)).is_lt() {
            *known = candidate;
        }
    }
    let misses = |limit: usize| {
        let missed = |tried: &&&Tried| {
            // One that never arrives misses `promoted`, not a number of days.
            let all = held(&tried.values, limits);
            all.iter().any(|held| held.limit == limit && held.value.is_finite() && !limits[limit].holds(held.value))
        };
        best.values().filter(missed).count()
    };
    let row = |(index, limit): (usize, &Limit)| BindingRow {
        limit: limit.typed.clone(),
        schedules: misses(index),
        of: best.len(),
    };
    let mut rows: Vec<BindingRow> = limits.iter().enumerate().map(row).filter(|row| row.schedules > 0).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.schedules));
    rows
}

/// Candidates as rows of the report.
pub(super) struct Rows<'a> {
    pub(super) space: &'a Space,
    pub(super) scenario: &'a Scenario,
    pub(super) limits: &'a [Limit],
    /// Names of effects past a margin.
    pub(super) bad: &'a [String],
}

impl Rows<'_> {
    pub(super) fn keeps(&self, tried: &Tried) -> bool {
        Rank::of(&tried.values, self.limits).keeps()
    }

    pub(super) fn held(&self, values: &Values) -> Vec<HeldRow> {
        let row = |held: Held| {
            let limit = &self.limits[held.limit];
            let kept = limit.holds(held.value);
            HeldRow {
                limit: limit.typed.clone(),
                of: limit.of.name().into(),
                world: held.bad.map(|bad| self.bad[bad].clone()),
                value: held.value,
                low: held.low,
                high: held.high,
                kept,
                crosses: limit.holds(held.low) != kept || limit.holds(held.high) != kept,
            }
        };
        held(values, self.limits).into_iter().map(row).collect()
    }

    /// Of each limit the world that is worst.
    fn worst(&self, values: &Values) -> Vec<HeldRow> {
        let all = held(values, self.limits);
        let rows = self.held(values);
        let of_limit = |limit: usize| {
            let own = (0..all.len()).filter(|&index| all[index].limit == limit);
            let beyond = |index: usize| beyond(&self.limits[limit], all[index].value);
            own.max_by(|&a, &b| beyond(a).total_cmp(&beyond(b))).map(|index| rows[index].clone())
        };
        (0..self.limits.len()).filter_map(of_limit).collect()
    }

    pub(super) fn candidate(&self, index: usize, tried: &Tried) -> CandidateRow {
        let changes = self.space.changes(&tried.schedule, tried.rule);
        let names = stage_names(self.scenario, &changes.steps);
        let stage = |(step, name): (&rewrite::Step, String)| StageRow {
            name,
            exposure: step.exposure.get(),
            duration_s: step.duration.0,
            look_every_s: step.look_every.0,
        };
        let largest = |of: &dyn Fn(&Bad) -> f64| tried.values.bad.iter().map(of).reduce(f64::max);
        CandidateRow {
            number: index + 1,
            stages: changes.steps.iter().zip(names).map(stage).collect(),
            test: changes.test.map(|(test, looks)| named(test, looks)),
            false_rollback_budget: changes.budget.map(|(share, _)| share.get()),
            budget: changes.budget.map(|(_, way)| way.name().into()),
            proof: tried.rule.proof,
            days: tried.values.length_s as f64 / 86_400.0,
            promoted: tried.values.promoted,
            false_rollback: tried.values.false_rollback,
            replicates: tried.replicates,
            kept: self.keeps(tried),
            limits: self.worst(&tried.values),
            worst_miss: largest(&|bad| bad.missed.share),
            worst_exposed_requests: largest(&|bad| bad.exposed_requests.mean),
        }
    }
}

fn named(test: Test, looks: Looks) -> String {
    match (test, looks) {
        (Test::GroupSequential(Spending::ObrienFleming), _) => "group-sequential obrien-fleming".into(),
        (Test::GroupSequential(_), _) => "group-sequential pocock".into(),
        (test, Looks::End) => format!("{} at the end", test.name()),
        (test, Looks::All) => test.name().into(),
    }
}

pub(super) fn limit_row(limit: &Limit, args: &PlanArgs) -> LimitRow {
    LimitRow {
        limit: limit.typed.clone(),
        of: limit.of.name().into(),
        bound: limit.bound,
        default: !args.limit.contains(&limit.typed),
    }
}

pub(super) fn notes(
    scenario: &Scenario,
    limits: &[Limit],
    space: &Space,
    starts: usize,
    own_fits: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    let kept: Vec<String> =
        scenario.gates.iter().filter(|gate| !is_free(gate)).map(|gate| format!("`{}`", gate.name)).collect();
    if !kept.is_empty() && !space.tests.is_empty() {
        notes.push(format!(
            "Bare thresholds, ranks of points and counts of events keep their tests: {}.",
            kept.join(", ")
        ));
    }
    if !limits.iter().any(|limit| matches!(limit.of, Quantity::Miss | Quantity::ExposedRequests)) {
        notes.push(
            "No limit asks that a bad candidate be found: add `miss<=10%`, or the fastest schedule is the shortest."
                .to_owned(),
        );
    }
    if starts < FEW_STARTS {
        notes.push(format!(
            "The log leaves room for {starts} start times of this schedule: what it does at other hours is not seen."
        ));
    }
    if !own_fits {
        notes.push("The schedule as written does not fit the log and was not tried.".to_owned());
    }
    notes
}

/// What the scenario file says of where it comes from.
pub(super) fn comment(plan: &Plan) -> Vec<String> {
    let run = plan.fresh.last().map_or(plan.seed, |run| run.seed);
    let mut lines = vec![
        format!("Written by replay {}: {}", plan.version, plan.command),
        if plan.feasible {
            format!(
                "The fastest of {} schedules that keeps every limit, in the search (seed {}) and on a fresh seed ({run}):",
                plan.simulations, plan.seed
            )
        } else {
            format!(
                "No schedule of {} keeps every limit. This one misses them by least (fresh seed {run}):",
                plan.simulations
            )
        },
    ];
    for row in &plan.chosen.fresh {
        let world = row.world.as_ref().map_or_else(String::new, |world| format!(", {world}"));
        lines.push(format!(
            "  {}{world}: {} ({} to {})",
            row.limit,
            digits(row.value),
            digits(row.low),
            digits(row.high)
        ));
    }
    lines.push(format!(
        "`replay LOG --scenario FILE --seed {run} --replicates {}` gives these numbers again.",
        plan.replicates
    ));
    lines
}

fn digits(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.4}") }
}
