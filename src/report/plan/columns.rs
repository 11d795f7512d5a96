//! Columns of the plan's tables.

use super::{CandidateRow, HeldRow, Plan};
use crate::report::tables::{Finished, Table};

/// Every table.
pub(super) fn all(plan: &Plan) -> [Finished; 2] {
    [candidates(plan), limits(plan)]
}

fn whole(number: usize) -> Option<i64> {
    i64::try_from(number).ok()
}

fn candidates(plan: &Plan) -> Finished {
    let schedules: Vec<String> = plan.candidates.iter().map(super::terminal::schedule).collect();
    let rows: Vec<(&CandidateRow, &str)> = plan.candidates.iter().zip(schedules.iter().map(String::as_str)).collect();
    Table::of(&rows)
        .whole("number", |(row, _)| whole(row.number))
        .text("schedule", |(_, schedule)| schedule)
        .text_or("test", |(row, _)| row.test.as_deref())
        .number_or("false_rollback_budget", |(row, _)| row.false_rollback_budget)
        .text_or("budget", |(row, _)| row.budget.as_deref())
        .flag("proof", |(row, _)| row.proof)
        .number("days", |(row, _)| row.days)
        .share("promoted", |(row, _)| row.promoted)
        .share("false_rollback", |(row, _)| row.false_rollback)
        .number_or("worst_miss", |(row, _)| row.worst_miss)
        .number_or("worst_exposed_requests", |(row, _)| row.worst_exposed_requests)
        .whole("replicates", |(row, _)| whole(row.replicates))
        .flag("kept", |(row, _)| row.kept)
        .named("candidates")
}

fn limits(plan: &Plan) -> Finished {
    let with = |run: &'static str, rows: &'_ [HeldRow]| rows.iter().map(|row| (run, row.clone())).collect::<Vec<_>>();
    let rows = [with("search", &plan.chosen.searched), with("fresh", &plan.chosen.fresh)].concat();
    Table::of(&rows)
        .text("run", |(run, _)| run)
        .text("limit", |(_, row)| row.limit.as_str())
        .text("of", |(_, row)| row.of.as_str())
        .text_or("world", |(_, row)| row.world.as_deref())
        .number("value", |(_, row)| row.value)
        .number("low", |(_, row)| row.low)
        .number("high", |(_, row)| row.high)
        .flag("kept", |(_, row)| row.kept)
        .flag("crosses", |(_, row)| row.crosses)
        .named("limits")
}
