//! Rows → cells: batches of rows are put apart by unit, and each part is added up on a thread of its own, in tables that
//! no other thread sees. All sums are of integers, so that neither the order of batches nor the number of parts matters.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use polars::prelude::*;
use rayon::prelude::*;

use super::bins::{self, BinLists};
use super::block::{BLOCK, Block};
use super::hash::Mix;
use super::layout::{Codes, NULL_NAME, Table, Values};
use super::plan::{Output, Plan, Sum};
use super::units::Units;
use crate::assign::{Buckets, unit_key};
use crate::ingest::schema::{self, Columns, FIRST_TURN, ITEM, REQUEST, SERVED, TIME, UNIT};

/// What a log adds up to so far.
pub(super) struct Tally {
    plan: Plan,
    columns: Columns,
    /// Width of a slot in microseconds.
    slot: i64,
    buckets: Option<Buckets>,
    shards: Vec<Shard>,
}

/// What the tally says of all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) rows: u64,
    /// Microseconds since 1970, as are ends.
    pub(super) start: i64,
    pub(super) end: i64,
    /// With buckets: how many units of the log each has.
    pub(super) members: BTreeMap<String, u64>,
}

/// No bin: values end at 1e100, which is bin 21,261.
const NO_BIN: i16 = i16::MAX;

impl Tally {
    pub(super) fn new(plan: Plan, columns: &Columns, slot: i64, buckets: Option<Buckets>) -> Self {
        let shard = || Shard {
            texts: vec![Dictionary::default(); columns.segments.len() + usize::from(columns.has_items())],
            sums: Pages::new(1 + plan.sums.len()),
            pending: Pending { bins: vec![Vec::new(); plan.bins.len()], ..Pending::default() },
            block: Block::new(&plan),
            ..Shard::default()
        };
        let shards = (0..rayon::current_num_threads()).map(|_| shard()).collect();
        Self { plan, columns: columns.clone(), slot, buckets, shards }
    }

    /// Whether the requests' ids matter.
    pub(super) fn reads_ids(&self) -> bool {
        self.plan.draws()
    }

    /// Adds the rows of a batch, which all have a unit and a time.
    pub(super) fn add(&mut self, batch: &DataFrame) -> PolarsResult<()> {
        let rows = Rows::of(batch, &self.plan, &self.columns)?;
        let parts = parts(&rows.unit, self.buckets.as_ref(), self.shards.len());
        let (plan, slot, buckets) = (&self.plan, self.slot, self.buckets.as_ref());
        self.shards.par_iter_mut().enumerate().for_each(|(index, shard)| {
            for part in &parts {
                shard.add(&rows, &part[index], plan, slot, buckets);
            }
        });
        // All at once: a thread that seals alone keeps the others waiting.
        let pending: usize = self.shards.iter().map(|shard| shard.pending.cells.len()).sum();
        if pending >= PENDING {
            self.shards.par_iter_mut().for_each(Shard::seal);
        }
        Ok(())
    }

    /// All cells, each once and in order.
    pub(super) fn finish(self) -> PolarsResult<(Table, Used)> {
        let Self { plan, columns, mut shards, .. } = self;
        let used = Used {
            rows: shards.iter().map(|shard| shard.rows).sum(),
            start: shards.iter().filter_map(|shard| shard.range).map(|range| range.0).min().unwrap_or_default(),
            end: shards.iter().filter_map(|shard| shard.range).map(|range| range.1).max().unwrap_or_default(),
            members: shards.iter().flat_map(|shard| shard.units.members()).collect(),
        };
        shards.par_iter_mut().for_each(|shard| {
            shard.seal();
            shard.units.forget();
        });
        let units = Merged::of(shards.iter().map(|shard| shard.units.names()));
        let texts: Vec<Merged> = (0..columns.segments.len() + usize::from(columns.has_items()))
            .map(|text| Merged::of(shards.iter().map(|shard| &shard.texts[text].names[..])))
            .collect();

        let count: usize = shards.iter().map(|shard| shard.sums.len).sum();
        let mut order = Order { slot: Vec::with_capacity(count), cells: Vec::with_capacity(count) };
        order.sort(&mut shards, &units, &texts);
        let code = |place: &(dyn Fn(usize, usize) -> u32 + Sync)| -> Vec<u32> {
            order.cells.par_iter().map(|&(shard, cell)| place(shard as usize, cell as usize)).collect()
        };
        let unit = Codes::new(
            code(&|shard, cell| units.codes[shard][shards[shard].keys[cell].0 as usize]),
            units.names.clone(),
        );
        let mut texts: Vec<Codes> = texts
            .into_iter()
            .enumerate()
            .map(|(text, merged)| {
                let codes = code(&|shard, cell| {
                    let own = &shards[shard];
                    merged.codes[shard][own.paths.texts[own.keys[cell].1 as usize][text] as usize]
                });
                Codes::new(codes, merged.names)
            })
            .collect();
        let item = if columns.has_items() { texts.pop() } else { None };

        let mut lists: Vec<Option<BinLists>> =
            order.bin_lists(&mut shards, plan.bins.len())?.into_iter().map(Some).collect();
        let mut numbers: Vec<Option<Vec<f64>>> = order.numbers(&mut shards, &plan.sums).into_iter().map(Some).collect();
        let values = plan.outputs.iter().enumerate().map(|(index, output)| {
            // The last that needs a column takes it.
            let again = plan.outputs[index + 1..].contains(output);
            match *output {
                Output::Rows => Values::Numbers(held(&mut numbers[0], again)),
                Output::Sum(sum) => Values::Numbers(held(&mut numbers[1 + sum], again)),
                Output::Bins(bins) => Values::Bins(held(&mut lists[bins], again)),
            }
        });
        let values = values.collect();
        Ok((Table { slot: order.slot, unit, segments: texts, item, values }, used))
    }
}

/// A column that is needed again, or for the last time.
fn held<T: Clone>(column: &mut Option<T>, again: bool) -> T {
    let held = if again { column.clone() } else { column.take() };
    held.expect("taken by the last that needs it")
}

/// The columns of a batch, each in one piece.
pub(super) struct Rows {
    pub(super) unit: StringChunked,
    pub(super) time: Int64Chunked,
    /// Where judges draw by it.
    pub(super) request: Option<StringChunked>,
    /// In a log in long form: whether the candidate served the row.
    pub(super) served: Option<BooleanChunked>,
    /// There: whether the row is a first turn, where only those have outcomes.
    pub(super) first_turn: Option<BooleanChunked>,
    /// Segments, then the item.
    texts: Vec<StringChunked>,
    pub(super) values: Vec<Float64Chunked>,
}

impl Rows {
    fn of(batch: &DataFrame, plan: &Plan, columns: &Columns) -> PolarsResult<Self> {
        let text = |name: &str| Ok(batch.column(name)?.str()?.rechunk().into_owned());
        let flags = |name: &str| PolarsResult::Ok(batch.column(name)?.bool()?.rechunk().into_owned());
        let texts = (0..columns.segments.len()).map(schema::segment).chain(columns.has_items().then(|| ITEM.into()));
        Ok(Self {
            unit: text(UNIT)?,
            time: batch.column(TIME)?.i64()?.rechunk().into_owned(),
            request: columns.request.as_ref().filter(|_| plan.draws()).map(|_| text(REQUEST)).transpose()?,
            served: columns.served.as_ref().map(|_| flags(SERVED)).transpose()?,
            first_turn: columns
                .served
                .as_ref()
                .and(columns.first_turns.as_ref())
                .map(|_| flags(FIRST_TURN))
                .transpose()?,
            texts: texts.map(|name| text(&name)).collect::<PolarsResult<_>>()?,
            values: (0..columns.values.len())
                .map(|index| Ok(batch.column(&schema::value(index))?.f64()?.rechunk().into_owned()))
                .collect::<PolarsResult<_>>()?,
        })
    }
}

/// A row of a batch, and its unit's key.
type Keyed = (u32, u64);

/// Stretches of a batch: per shard, its rows.
fn parts(units: &StringChunked, buckets: Option<&Buckets>, shards: usize) -> Vec<Vec<Vec<Keyed>>> {
    let units = units.downcast_as_array();
    let stretch = units.len().div_ceil(shards).max(1);
    (0..shards)
        .into_par_iter()
        .map(|index| {
            let stretch = (index * stretch).min(units.len())..((index + 1) * stretch).min(units.len());
            let mut rows = vec![Vec::with_capacity(stretch.len() / shards + stretch.len() / 8 + 16); shards];
            for row in stretch {
                let key = unit_key(units.value(row));
                // All units of a bucket are in one shard.
                let lane = buckets.map_or(key >> 32, |buckets| buckets.part(key)) % shards as u64;
                rows[lane as usize].push((row as u32, key));
            }
            rows
        })
        .collect()
}

/// Names in the order in which they came.
#[derive(Debug, Clone, Default)]
struct Dictionary {
    codes: HashMap<Box<str>, u32, Mix>,
    names: Vec<Box<str>>,
}

impl Dictionary {
    fn code(&mut self, name: &str) -> u32 {
        if let Some(&code) = self.codes.get(name) {
            return code;
        }
        let code = u32::try_from(self.names.len()).expect("names are fewer than rows of a shard");
        self.codes.insert(name.into(), code);
        self.names.push(name.into());
        code
    }
}

/// Tuples of codes, each with a code of its own.
#[derive(Debug, Clone, Default)]
struct Paths {
    codes: HashMap<Box<[u32]>, u32, Mix>,
    texts: Vec<Box<[u32]>>,
}

impl Paths {
    fn code(&mut self, texts: &[u32]) -> u32 {
        if let Some(&code) = self.codes.get(texts) {
            return code;
        }
        let code = u32::try_from(self.texts.len()).expect("tuples are fewer than rows of a shard");
        self.codes.insert(texts.into(), code);
        self.texts.push(texts.into());
        code
    }
}

/// Cells of some units.
#[derive(Default)]
struct Shard {
    rows: u64,
    /// First and last time stamp.
    range: Option<(i64, i64)>,
    units: Units,
    /// Of segments, then of the item.
    texts: Vec<Dictionary>,
    paths: Paths,
    /// By slot: unit and path to cell. Requests come by time, so that few tables are in use at a time.
    slots: BTreeMap<i64, HashMap<(u32, u32), u32, Mix>>,
    /// Unit and path of each cell.
    keys: Vec<(u32, u32)>,
    sums: Pages,
    pending: Pending,
    sealed: Vec<Run>,
    block: Block,
}

impl Shard {
    fn add(&mut self, rows: &Rows, own: &[Keyed], plan: &Plan, slot: i64, buckets: Option<&Buckets>) {
        let mut places: Vec<u32> = Vec::with_capacity(BLOCK);
        let mut units: Vec<u32> = Vec::with_capacity(BLOCK);
        let mut cells: Vec<u32> = Vec::with_capacity(BLOCK);
        for block in own.chunks(BLOCK) {
            places.clear();
            places.extend(block.iter().map(|(row, _)| row));
            self.units.codes(&rows.unit, block, buckets, &mut units);
            self.find_cells(rows, &places, &units, slot, &mut cells);
            self.block.fill(plan, rows, &places);
            for (summands, &cell) in self.block.summands(cells.len()).zip(&cells) {
                self.sums.add(cell, summands);
            }
            if !plan.bins.is_empty() {
                self.pending.add(plan, rows, &places, &cells, &self.block);
            }
        }
    }

    /// The cell of each row.
    fn find_cells(&mut self, rows: &Rows, places: &[u32], units: &[u32], width: i64, cells: &mut Vec<u32>) {
        cells.clear();
        let times = rows.time.downcast_as_array().values();
        let texts: Vec<_> = rows.texts.iter().map(ChunkedArray::downcast_as_array).collect();
        let mut path = vec![0; texts.len()];
        let mut path_code: Option<u32> = None;
        let mut at = 0;
        let (mut first, mut last) = self.range.unwrap_or((i64::MAX, i64::MIN));
        while at < places.len() {
            // A run of rows in one slot needs its table once.
            let time = times[places[at] as usize];
            let into = time.rem_euclid(width);
            let within = time.saturating_sub(into)..=time.saturating_add(width - 1 - into);
            let table = self.slots.entry(time.div_euclid(width)).or_default();
            while at < places.len() && within.contains(&times[places[at] as usize]) {
                let row = places[at] as usize;
                first = first.min(times[row]);
                last = last.max(times[row]);
                let mut same = path_code.is_some();
                for ((last, text), names) in path.iter_mut().zip(&texts).zip(&mut self.texts) {
                    let name = text.get(row).unwrap_or(NULL_NAME);
                    // Often the same as that of the row before.
                    if names.names.get(*last as usize).is_none_or(|last| **last != *name) {
                        *last = names.code(name);
                        same = false;
                    }
                }
                if !same {
                    path_code = Some(self.paths.code(&path));
                }
                let key = (units[at], path_code.expect("found just now"));
                let next = self.keys.len() as u32;
                let cell = *table.entry(key).or_insert(next);
                if cell == next {
                    self.keys.push(key);
                    self.sums.grow();
                }
                cells.push(cell);
                at += 1;
            }
        }
        self.rows += places.len() as u64;
        self.range = Some((first, last));
    }

    /// Puts what is pending in the order of cells, which needs less room.
    fn seal(&mut self) {
        let pending = &mut self.pending;
        if pending.cells.is_empty() {
            return;
        }
        let order = pending.order();
        let mut run = Run { cells: Vec::new(), lists: vec![BinLists::default(); pending.bins.len()] };
        for &at in &order {
            let cell = pending.cells[at as usize];
            if run.cells.last() != Some(&cell) {
                run.cells.push(cell);
                for list in &mut run.lists {
                    list.offsets.push(list.bins.len() as u32);
                }
            }
            for (list, bins) in run.lists.iter_mut().zip(&pending.bins) {
                let bin = bins[at as usize];
                if bin != NO_BIN {
                    list.bins.push(bin);
                }
            }
        }
        run.cells.shrink_to_fit();
        for list in &mut run.lists {
            list.offsets.push(list.bins.len() as u32);
            list.offsets.shrink_to_fit();
            list.bins.shrink_to_fit();
        }
        pending.cells.clear();
        pending.bins.iter_mut().for_each(Vec::clear);
        self.sealed.push(run);
    }
}

/// Rows of all shards whose bins wait to be put in the order of cells.
const PENDING: usize = 4_000_000;

/// Bins of rows as they came.
#[derive(Debug, Clone, Default)]
struct Pending {
    cells: Vec<u32>,
    /// Per column of bins; `NO_BIN` where there is no value.
    bins: Vec<Vec<i16>>,
}

impl Pending {
    fn add(&mut self, plan: &Plan, rows: &Rows, places: &[u32], cells: &[u32], block: &Block) {
        self.cells.extend_from_slice(cells);
        for (kept, binned) in self.bins.iter_mut().zip(&plan.bins) {
            let values = rows.values[binned.column].downcast_as_array().values();
            let counted = block.mask(binned.mask).zip(places);
            kept.extend(counted.map(|(counts, &row)| if counts { bins::bin(values[row as usize]) } else { NO_BIN }));
        }
    }

    /// Rows in the order of their cells, as they came within one.
    fn order(&self) -> Vec<u32> {
        let low = self.cells.iter().min().copied().unwrap_or_default();
        let high = self.cells.iter().max().copied().unwrap_or_default();
        if (high - low) as usize > 4 * self.cells.len() {
            // A table of them all would be mostly empty.
            let mut order: Vec<u32> = (0..self.cells.len() as u32).collect();
            order.sort_by_key(|&at| self.cells[at as usize]);
            return order;
        }
        let mut next = vec![0_u32; (high - low) as usize + 2];
        for cell in &self.cells {
            next[(cell - low) as usize + 1] += 1;
        }
        for at in 1..next.len() {
            next[at] += next[at - 1];
        }
        let mut order = vec![0; self.cells.len()];
        for (at, cell) in (0..).zip(&self.cells) {
            let next = &mut next[(cell - low) as usize];
            order[*next as usize] = at;
            *next += 1;
        }
        order
    }
}

/// Bins of some rows in the order of their cells.
#[derive(Debug)]
struct Run {
    cells: Vec<u32>,
    /// One list for each of `cells`, per column of bins.
    lists: Vec<BinLists>,
}

/// Integer sums, a row of them for each cell; room grows without moving what is there.
#[derive(Debug, Default)]
struct Pages {
    width: usize,
    len: usize,
    held: Vec<Vec<i64>>,
}

/// Cells of a page.
const PAGE_BITS: u32 = 12;
const PAGE: usize = 1 << PAGE_BITS;

/// Cells whose sums go to columns together, a column at a time: columns lie so far apart that all of one cell's places share few lines of a cache.
const TOGETHER: usize = 64;

impl Pages {
    fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    fn grow(&mut self) {
        if self.len == self.held.len() * PAGE {
            self.held.push(vec![0; PAGE * self.width]);
        }
        self.len += 1;
    }

    fn add(&mut self, cell: u32, summands: &[i64]) {
        let (page, row) = self.place(cell);
        for (sum, summand) in self.held[page][row].iter_mut().zip(summands) {
            *sum = sum.wrapping_add(*summand);
        }
    }

    fn of(&self, cell: u32) -> &[i64] {
        let (page, row) = self.place(cell);
        &self.held[page][row]
    }

    /// The page of a cell, and where its sums are there.
    fn place(&self, cell: u32) -> (usize, Range<usize>) {
        let start = (cell as usize & (PAGE - 1)) * self.width;
        ((cell >> PAGE_BITS) as usize, start..start + self.width)
    }
}

/// Names of all shards, sorted, and where each shard's are.
struct Merged {
    names: Vec<String>,
    /// Per shard and code: index into `names`.
    codes: Vec<Vec<u32>>,
}

impl Merged {
    fn of<'a>(shards: impl Iterator<Item = &'a [Box<str>]> + Clone) -> Self {
        let mut names: Vec<&str> = shards.clone().flatten().map(|name| &**name).collect();
        names.sort_unstable();
        names.dedup();
        let place = |name: &str| names.binary_search(&name).expect("every name is among them") as u32;
        let codes = shards.map(|own| own.iter().map(|name| place(name)).collect()).collect();
        Self { names: names.into_iter().map(str::to_owned).collect(), codes }
    }
}

/// Cells of all shards in the order of slot, unit, segments and item.
struct Order {
    slot: Vec<i64>,
    /// Shard, and cell of it.
    cells: Vec<(u32, u32)>,
}

impl Order {
    fn sort(&mut self, shards: &mut [Shard], units: &Merged, texts: &[Merged]) {
        let mut slots: BTreeMap<i64, Vec<(u32, u32)>> = BTreeMap::new();
        for (index, shard) in shards.iter_mut().enumerate() {
            for (slot, table) in std::mem::take(&mut shard.slots) {
                slots.entry(slot).or_default().extend(table.into_values().map(|cell| (index as u32, cell)));
            }
        }
        // Paths in the order of their names.
        let path_key = |shard: usize, path: usize| -> Vec<u32> {
            texts
                .iter()
                .zip(&shards[shard].paths.texts[path])
                .map(|(merged, &code)| merged.codes[shard][code as usize])
                .collect()
        };
        let keys: Vec<Vec<Vec<u32>>> = (0..shards.len())
            .map(|shard| (0..shards[shard].paths.texts.len()).map(|path| path_key(shard, path)).collect())
            .collect();
        let mut ranked: Vec<&Vec<u32>> = keys.iter().flatten().collect();
        ranked.sort_unstable();
        ranked.dedup();
        let rank = |key: &Vec<u32>| ranked.binary_search(&key).expect("every key is among them") as u64;
        let ranks: Vec<Vec<u64>> = keys.iter().map(|keys| keys.iter().map(rank).collect()).collect();
        let place = |(shard, cell): (u32, u32)| {
            let (shard, (unit, path)) = (shard as usize, shards[shard as usize].keys[cell as usize]);
            u64::from(units.codes[shard][unit as usize]) << u32::BITS | ranks[shard][path as usize]
        };
        slots.par_iter_mut().for_each(|(_, cells)| {
            let mut placed: Vec<(u64, (u32, u32))> = cells.iter().map(|&cell| (place(cell), cell)).collect();
            placed.sort_unstable();
            cells.iter_mut().zip(placed).for_each(|(cell, (_, placed))| *cell = placed);
        });
        for (slot, cells) in slots {
            self.slot.extend(std::iter::repeat_n(slot, cells.len()));
            self.cells.extend(cells);
        }
    }

    /// Sums by column, requests first. Pages go as soon as their cells are taken.
    fn numbers(&self, shards: &mut [Shard], sums: &[Sum]) -> Vec<Vec<f64>> {
        let quantum = |sum: &Sum| match sum {
            Sum::Count(_) => 1.0,
            Sum::Product { quantum, .. } => *quantum,
        };
        let quanta: Vec<f64> = std::iter::once(1.0).chain(sums.iter().map(quantum)).collect();
        let mut numbers: Vec<Vec<f64>> = quanta.iter().map(|_| vec![0.0; self.cells.len()]).collect();
        let mut rest: Vec<&mut [f64]> = numbers.iter_mut().map(Vec::as_mut_slice).collect();
        let mut left: Vec<Vec<usize>> = shards
            .iter()
            .map(|shard| (0..shard.sums.held.len()).map(|page| PAGE.min(shard.sums.len - page * PAGE)).collect())
            .collect();
        for some in self.cells.chunks(PAGE * rayon::current_num_threads()) {
            let mut next = |cells: usize| -> Vec<&mut [f64]> {
                rest.iter_mut().map(|rest| rest.split_off_mut(..cells).expect("columns have all cells")).collect()
            };
            let parts: Vec<_> = some.chunks(PAGE).map(|cells| (cells, next(cells.len()))).collect();
            parts.into_par_iter().for_each(|(cells, mut columns)| {
                for (index, cells) in cells.chunks(TOGETHER).enumerate() {
                    let sums: Vec<&[i64]> =
                        cells.iter().map(|&(shard, cell)| shards[shard as usize].sums.of(cell)).collect();
                    for (place, (column, quantum)) in columns.iter_mut().zip(&quanta).enumerate() {
                        for (number, sums) in column[index * TOGETHER..].iter_mut().zip(&sums) {
                            *number = sums[place] as f64 * quantum;
                        }
                    }
                }
            });
            for &(shard, cell) in some {
                let (left, sums) = (&mut left[shard as usize], &mut shards[shard as usize].sums);
                let (page, _) = sums.place(cell);
                left[page] -= 1;
                if left[page] == 0 {
                    sums.held[page] = Vec::new();
                }
            }
        }
        numbers
    }

    /// Bins by column and cell, in no certain order within a cell.
    fn bin_lists(&self, shards: &mut [Shard], columns: usize) -> PolarsResult<Vec<BinLists>> {
        let mut places: Vec<Vec<u32>> = shards.iter().map(|shard| vec![0; shard.sums.len]).collect();
        for (place, &(shard, cell)) in self.cells.iter().enumerate() {
            places[shard as usize][cell as usize] = place as u32;
        }
        let mut runs: Vec<(usize, Run)> = shards
            .iter_mut()
            .enumerate()
            .flat_map(|(index, shard)| std::mem::take(&mut shard.sealed).into_iter().map(move |run| (index, run)))
            .collect();
        let of_columns: Vec<Vec<BinLists>> = (0..columns)
            .map(|column| runs.iter_mut().map(|(_, run)| std::mem::take(&mut run.lists[column])).collect())
            .collect();
        of_columns
            .into_par_iter()
            .map(|lists| {
                let mut offsets = vec![0_u32; self.cells.len() + 1];
                for ((shard, run), list) in runs.iter().zip(&lists) {
                    for (at, &cell) in run.cells.iter().enumerate() {
                        offsets[places[*shard][cell as usize] as usize + 1] += list.of(at).len() as u32;
                    }
                }
                let most = polars_err!(ComputeError: "more than 4,294,967,295 measured requests");
                let total = offsets.iter().try_fold(0_u32, |sum, &length| sum.checked_add(length));
                total.ok_or(most)?;
                for at in 1..offsets.len() {
                    offsets[at] += offsets[at - 1];
                }
                let mut bins = vec![0; offsets[self.cells.len()] as usize];
                let mut next = offsets.clone();
                // Each is gone as soon as it is copied.
                for ((shard, run), list) in runs.iter().zip(lists) {
                    for (at, &cell) in run.cells.iter().enumerate() {
                        let own = list.of(at);
                        let next = &mut next[places[*shard][cell as usize] as usize];
                        bins[*next as usize..*next as usize + own.len()].copy_from_slice(own);
                        *next += own.len() as u32;
                    }
                }
                Ok(BinLists { offsets, bins })
            })
            .collect()
    }
}
