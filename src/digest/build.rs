//! `TrafficLog` → `Digest`, on this machine.
//!
//! Sums must not depend on the order of rows or on threads, but adding floating-point numbers does. So each summand is
//! first rounded to a multiple of a quantum, a power of two about 2⁴⁰ times smaller than the largest absolute value of
//! its column, and multiples are added as integers, exactly. A sum is then off by at most half a quantum per request:
//! 5·10⁻¹³ of the column's largest value, and nothing at all for 0/1 outcomes and whole numbers up to 2⁴⁰.

use std::collections::HashSet;

use polars::prelude::*;

use super::bins::BinLists;
use super::layout::{self, Table};
use super::plan::Plan;
use super::tally::{Tally, Used};
use super::{Digest, Facts, Step};
use crate::assign::Buckets;
use crate::domain::quantity::{Moment, Seconds};
use crate::error::{Error, Result};
use crate::ingest::checks::Watch;
use crate::ingest::engine::guarded;
use crate::ingest::schema::{self, Columns, ITEM, REQUEST, TIME, UNIT};
use crate::ingest::{Survey, TrafficLog};
use crate::scenario::Scenario;

const MICROS: i64 = 1_000_000;

/// Digests a log: its rows are checked and added up in one pass.
///
/// Of requests with the same id the earliest is kept, where the scenario says so; at the same time stamp the one that
/// is smallest in the order of unit, item, segments and values. So the order of rows does not matter here either.
///
/// # Errors
/// Rows that cannot be used, a log that can no longer be read, or one that is too large for a digest.
pub fn build(log: &TrafficLog, scenario: &Scenario, progress: &dyn Fn(Step)) -> Result<Digest> {
    // The bytes are read in the shade of the query, which is bound by the processor.
    let (fingerprint, added) = std::thread::scope(|scope| {
        let fingerprint = scope.spawn(|| log.fingerprint());
        let added = add_up(log, scenario, progress);
        (fingerprint.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), added)
    });
    let (table, used, watch) = added?;
    let rows = watch.extent().rows;
    let second = |micros: i64| Moment(micros.div_euclid(MICROS));
    let facts = Facts {
        rows: used.rows,
        start: second(used.start),
        end: second(used.end),
        fingerprint: fingerprint?,
        excluded_null_unit: watch.null_unit,
        excluded_timestamp: watch.bad_time,
        excluded_duplicate: rows.saturating_sub(watch.null_unit + watch.bad_time + used.rows),
    };
    let slot = scenario.log.slot;
    let (first, slots) = layout::slot_range(&facts, slot, log.place())?;
    let assembled = table.assemble(first, &scenario.log.segments, &scenario.metrics, log.place())?;
    Ok(assembled.complete(facts, slot, first, slots, used.members))
}

/// The GROUP BY.
fn add_up(log: &TrafficLog, scenario: &Scenario, progress: &dyn Fn(Step)) -> Result<(Table, Used, Watch)> {
    let mut survey = log.survey(progress)?;
    // Rows that are not what was foretold of them are added up again, by what they are.
    for _ in 0..2 {
        let adding = Adding::new(log, scenario, &survey);
        progress(Step::Begin("digesting"));
        let heard = |done| progress(Step::Rows(done, survey.extent.rows));
        let take = |adding: &mut Adding, batch: DataFrame| adding.take(&batch);
        let (adding, watch) = log.read(&survey, &adding.reads(log.columns()), adding, take, &heard)?;
        if watch.extent() == survey.extent {
            progress(Step::Begin("sorting"));
            let (table, used) = guarded(|| adding.finish()).map_err(|message| Error::at(log.place(), message))?;
            return Ok((table, used, watch));
        }
        survey.extent = watch.extent();
    }
    Err(Error::at(log.place(), "changed while it was read"))
}

/// Rows that are being added up.
struct Adding {
    tally: Tally,
    /// Ids that occur more than once.
    repeated: HashSet<String>,
    /// Columns that say which of several requests with the same id is the first.
    order: Vec<String>,
    /// The few requests of such ids; all others stream by.
    aside: Vec<DataFrame>,
}

impl Adding {
    fn new(log: &TrafficLog, scenario: &Scenario, survey: &Survey) -> Self {
        let columns = log.columns();
        let plan = Plan::of(scenario, columns, &survey.extent);
        let tally = Tally::new(plan, columns, scenario.log.slot.0 * MICROS, Buckets::of(&scenario.assignment));
        let ids = survey.repeated.as_ref().and_then(|ids| ids.column(REQUEST).ok()?.str().ok());
        let repeated = ids.into_iter().flat_map(|ids| ids.iter().flatten()).map(str::to_owned).collect();
        Self { tally, repeated, order: order(columns), aside: Vec::new() }
    }

    /// Names of the columns that are read beside values.
    fn reads(&self, columns: &Columns) -> Vec<String> {
        columns
            .keys()
            .into_iter()
            .filter(|name| name != REQUEST || self.tally.reads_ids() || !self.repeated.is_empty())
            .collect()
    }

    fn take(&mut self, batch: &DataFrame) -> PolarsResult<()> {
        if self.repeated.is_empty() {
            return self.tally.add(batch);
        }
        let ids = batch.column(REQUEST)?.str()?;
        let again: BooleanChunked =
            ids.iter().map(|id| Some(id.is_some_and(|id| self.repeated.contains(id)))).collect();
        if again.any() {
            self.aside.push(batch.filter(&again)?);
        }
        self.tally.add(&batch.filter(&!&again)?)
    }

    fn finish(mut self) -> PolarsResult<(Table, Used)> {
        let mut aside = self.aside.into_iter();
        if let Some(mut repeated) = aside.next() {
            for more in aside {
                repeated.vstack_mut_owned(more)?;
            }
            let sorted = repeated.sort(self.order, SortMultipleOptions::default())?;
            let ids = sorted.column(REQUEST)?.str()?.rechunk().into_owned();
            let first: BooleanChunked =
                (0..ids.len()).map(|row| Some(row == 0 || ids.get(row) != ids.get(row - 1))).collect();
            self.tally.add(&sorted.filter(&first)?)?;
        }
        self.tally.finish()
    }
}

fn order(columns: &Columns) -> Vec<String> {
    let item = columns.item.iter().map(|_| ITEM.to_owned());
    let segments = (0..columns.segments.len()).map(schema::segment);
    let values = (0..columns.values.len()).map(schema::value);
    [REQUEST, TIME, UNIT].map(str::to_owned).into_iter().chain(item).chain(segments).chain(values).collect()
}

/// A column of lists; a null is no request.
pub(super) fn bin_lists(column: &Column) -> PolarsResult<BinLists> {
    let lists = column.list()?;
    let mut offsets = Vec::with_capacity(lists.len() + 1);
    let mut bins = Vec::new();
    offsets.push(0);
    for chunk in lists.downcast_iter() {
        let inner = Series::try_from((PlSmallStr::EMPTY, chunk.values().clone()))?.cast(&DataType::Int16)?;
        let inner: Vec<Option<i16>> = inner.i16()?.iter().collect();
        let validity = chunk.validity();
        for (index, window) in chunk.offsets().buffer().windows(2).enumerate() {
            if validity.is_none_or(|bits| bits.get_bit(index)) {
                let (from, to) = (usize::try_from(window[0]), usize::try_from(window[1]));
                let (from, to) = (from.expect("offsets grow from 0"), to.expect("offsets grow from 0"));
                bins.extend(inner[from..to].iter().flatten());
            }
            let end = u32::try_from(bins.len());
            offsets.push(end.map_err(|_| polars_err!(ComputeError: "more than 4,294,967,295 measured requests"))?);
        }
    }
    Ok(BinLists { offsets, bins })
}

/// Start of a slot in microseconds since 1970.
pub(super) fn slot_micros(slot: i64, width: Seconds) -> i64 {
    slot * width.0 * MICROS
}
