//! Columns of the comparison's tables.

use super::{Comparison, Differences, Estimate, VariantRow, VariantWorld};
use crate::report::tables::{Finished, Table};

/// Every table.
pub(super) fn all(comparison: &Comparison) -> [Finished; 2] {
    [variants(comparison), worlds(comparison)]
}

impl<R> Table<'_, R> {
    /// A mean with its interval: three columns.
    pub(in crate::report) fn estimate(self, name: &str, value: impl Fn(&R) -> Option<Estimate>) -> Self {
        self.number_or(name, |row| value(row).map(|estimate| estimate.mean))
            .number_or(format!("{name}_low"), |row| value(row).map(|estimate| estimate.low))
            .number_or(format!("{name}_high"), |row| value(row).map(|estimate| estimate.high))
    }
}

fn whole(number: usize) -> Option<i64> {
    i64::try_from(number).ok()
}

fn variants(comparison: &Comparison) -> Finished {
    let difference = |part: fn(Differences) -> Estimate| move |row: &VariantRow| row.differences.map(part);
    let mut table = Table::of(&comparison.variants)
        .whole("number", |row| whole(row.number))
        .text("scenario", |row| row.scenario.as_str());
    for key in &comparison.keys {
        table = table.text_or(key, move |row: &VariantRow| {
            row.settings.iter().find(|setting| setting.key == *key).map(|setting| setting.value.as_str())
        });
    }
    table
        .whole("simulation", |row| whole(row.simulation))
        .whole("starts", |row| whole(row.starts))
        .share("false_rollback", |row| row.false_rollback)
        .share("good_stopped", |row| row.good_stopped)
        .number_or("time_to_full_s", |row| row.time_to_full_s)
        .estimate("missed", |row| Some(row.missed))
        .estimate("time_to_detect_s", |row| Some(row.time_to_detect_s))
        .estimate("exposed_requests", |row| Some(row.exposed_requests))
        .estimate("exposed_units", |row| Some(row.exposed_units))
        .estimate("false_rollback_difference", difference(|all| all.false_rollback))
        .estimate("good_stopped_difference", difference(|all| all.good_stopped))
        .estimate("missed_difference", difference(|all| all.missed))
        .estimate("time_to_detect_difference_s", difference(|all| all.time_to_detect_s))
        .estimate("exposed_requests_difference", difference(|all| all.exposed_requests))
        .estimate("exposed_units_difference", difference(|all| all.exposed_units))
        .flag("frontier", |row| row.frontier)
        .whole("same_as", |row| row.same_as.and_then(whole))
        .whole("dominated_by", |row| row.dominated_by.first().copied().and_then(whole))
        .named("variants")
}

fn worlds(comparison: &Comparison) -> Finished {
    let rows: Vec<(&VariantRow, &VariantWorld)> =
        comparison.variants.iter().flat_map(|row| row.worlds.iter().map(move |world| (row, world))).collect();
    Table::of(&rows)
        .whole("variant", |(row, _)| whole(row.number))
        .text("world", |(_, world)| world.world.as_str())
        .text("kind", |(_, world)| world.kind.as_str())
        .share("promoted", |(_, world)| world.promoted)
        .share("rolled_back", |(_, world)| world.rolled_back)
        .share("stalled", |(_, world)| world.stalled)
        .share("detected", |(_, world)| world.detected)
        .spread("time_to_detect_s", |(_, world)| world.time_to_detect_s)
        .spread("duration_s", |(_, world)| Some(world.duration_s))
        .estimate("exposed_requests", |(_, world)| Some(world.exposed_requests))
        .estimate("exposed_units", |(_, world)| Some(world.exposed_units))
        .estimate("promoted_difference", |(_, world)| world.promoted_difference)
        .estimate("rolled_back_difference", |(_, world)| world.rolled_back_difference)
        .estimate("exposed_requests_difference", |(_, world)| world.exposed_requests_difference)
        .named("worlds")
}
