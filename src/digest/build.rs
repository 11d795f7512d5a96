//! `TrafficLog` → `Digest`, on this machine.
//!
//! Sums must not depend on the order of rows or on threads, but adding floating-point numbers does. So each summand is
//! first rounded to a multiple of a quantum, a power of two about 2⁴⁰ times smaller than the largest absolute value of
//! its column, and multiples are added as integers, exactly. A sum is then off by at most half a quantum per request:
//! 5·10⁻¹³ of the column's largest value, and nothing at all for 0/1 outcomes and whole numbers up to 2⁴⁰.

use polars::prelude::*;

use super::bins::BinLists;
use super::layout::{self, Table};
use super::plan::Plan;
use super::tally::{Tally, Used};
use super::{Digest, Facts, Step};
use crate::assign::Buckets;
use crate::domain::quantity::{Moment, Seconds};
use crate::domain::version::PerVersion;
use crate::error::{Error, Result};
use crate::ingest::checks::Watch;
use crate::ingest::engine::guarded;
use crate::ingest::repeats::Repeats;
use crate::ingest::schema::{Columns, REQUEST};
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
    let (table, used, watch, unasked) = added?;
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
        unasked,
    };
    let slot = scenario.log.slot;
    let (first, slots) = layout::slot_range(&facts, slot, log.place())?;
    let assembled = table.assemble(first, scenario, log.place())?;
    Ok(assembled.complete(facts, slot, first, slots, used.members))
}

/// Cells, what was used, what was seen of all rows, and outputs that belong to no request.
type Added = (Table, Used, Watch, PerVersion<u64>);

/// The GROUP BY.
fn add_up(log: &TrafficLog, scenario: &Scenario, progress: &dyn Fn(Step)) -> Result<Added> {
    let mut survey = log.survey(progress)?;
    // Rows that are not what was foretold of them are added up again, by what they are.
    for _ in 0..2 {
        let adding = Adding::new(log, scenario, &survey);
        progress(Step::Begin("digesting"));
        let heard = |done| progress(Step::Rows(done, survey.extent.rows));
        let take = |adding: &mut Adding, batch: DataFrame| adding.take(batch);
        let (adding, watch) = log.read(&survey, &adding.reads(log.columns()), adding, take, &heard)?;
        if watch.extent() == survey.extent {
            progress(Step::Begin("sorting"));
            let (table, used) = guarded(|| adding.finish()).map_err(|message| Error::at(log.place(), message))?;
            return Ok((table, used, watch, survey.keys.unasked));
        }
        survey.extent = watch.extent();
    }
    Err(Error::at(log.place(), "changed while it was read"))
}

/// Rows that are being added up.
struct Adding {
    tally: Tally,
    repeats: Repeats,
}

impl Adding {
    fn new(log: &TrafficLog, scenario: &Scenario, survey: &Survey) -> Self {
        let columns = log.columns();
        let plan = Plan::of(scenario, columns, &survey.extent);
        let tally = Tally::new(plan, columns, scenario.log.slot.0 * MICROS, Buckets::of(&scenario.assignment));
        Self { tally, repeats: Repeats::new(survey.repeated.as_ref(), columns) }
    }

    /// Names of the columns that are read beside values.
    fn reads(&self, columns: &Columns) -> Vec<String> {
        let keys = columns.keys().into_iter();
        keys.filter(|name| name != REQUEST || self.tally.reads_ids() || self.repeats.any()).collect()
    }

    fn take(&mut self, batch: DataFrame) -> PolarsResult<()> {
        self.tally.add(&self.repeats.others(batch)?)
    }

    fn finish(mut self) -> PolarsResult<(Table, Used)> {
        if let Some(first) = self.repeats.first()? {
            self.tally.add(&first)?;
        }
        self.tally.finish()
    }
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
