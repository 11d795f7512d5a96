//! Rows → cells: batches of rows are put apart by unit, and each part is added up on a thread of its own, in tables that
//! no other thread sees. All sums are of integers, so that neither the order of batches nor the number of parts matters.

use std::collections::{BTreeMap, HashMap};

use polars::prelude::*;
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::bins::BinLists;
use super::hash::Mix;
use super::layout::{Codes, ColumnKind, NULL_NAME, Table, Values};
use crate::assign::Buckets;

/// Names of the columns of a batch that are not values.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) unit: String,
    pub(super) slot: String,
    pub(super) time: String,
    pub(super) segments: Vec<String>,
    pub(super) item: Option<String>,
}

/// A column that is added up, and what one unit of its integers is worth.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) name: String,
    pub(super) kind: ColumnKind,
    pub(super) quantum: f64,
}

/// What a log adds up to so far.
pub(super) struct Tally {
    keys: Keys,
    outputs: Vec<Output>,
    /// Names of the columns of integers, each once; requests are counted before them.
    sums: Vec<String>,
    /// Names of the columns of bins.
    bins: Vec<String>,
    buckets: Option<Buckets>,
    /// Per stretch of a batch: the bucket of each unit that was met in it, by the unit's hash.
    met: Vec<HashMap<u64, u32, Mix>>,
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
/// Rows that are added column by column: their cells stay in a near cache meanwhile.
const BLOCK: usize = 1024;

impl Tally {
    pub(super) fn new(keys: Keys, outputs: Vec<Output>, buckets: Option<Buckets>) -> Self {
        let (mut sums, mut bins) = (Vec::new(), Vec::new());
        // The first output counts requests.
        for output in &outputs[1..] {
            let names = if output.kind == ColumnKind::Bins { &mut bins } else { &mut sums };
            if !names.contains(&output.name) {
                names.push(output.name.clone());
            }
        }
        let shard = || Shard {
            texts: vec![Dictionary::default(); keys.segments.len() + usize::from(keys.item.is_some())],
            sums: Pages::new(1 + sums.len()),
            pending: Pending { bins: vec![Vec::new(); bins.len()], ..Pending::default() },
            ..Shard::default()
        };
        let count = rayon::current_num_threads();
        let shards = (0..count).map(|_| shard()).collect();
        Self { keys, outputs, sums, bins, buckets, met: vec![HashMap::default(); count], shards }
    }

    /// Adds the rows of a batch.
    pub(super) fn add(&mut self, batch: &DataFrame) -> PolarsResult<()> {
        let column =
            |name: &str| -> PolarsResult<Series> { Ok(batch.column(name)?.as_materialized_series().rechunk()) };
        let columns = |names: &[String]| names.iter().map(|name| column(name)).collect::<PolarsResult<Vec<_>>>();
        let texts: Vec<String> = self.keys.segments.iter().chain(&self.keys.item).cloned().collect();
        let rows = Rows {
            unit: column(&self.keys.unit)?,
            slot: column(&self.keys.slot)?,
            time: column(&self.keys.time)?,
            texts: columns(&texts)?,
            sums: columns(&self.sums)?,
            bins: columns(&self.bins)?,
        };
        let parts = parts(rows.unit.str()?, self.buckets.as_ref(), &mut self.met);
        let in_buckets = self.buckets.is_some();
        self.shards
            .par_iter_mut()
            .enumerate()
            .try_for_each(|(index, shard)| shard.add(&rows, &parts, index, in_buckets))
    }

    /// All cells, each once and in order.
    pub(super) fn finish(self) -> PolarsResult<(Table, Used)> {
        let Self { keys, outputs, sums: sum_names, bins: bin_names, met, mut shards, .. } = self;
        let used = Used {
            rows: shards.iter().map(|shard| shard.rows).sum(),
            start: shards.iter().filter_map(|shard| shard.range).map(|range| range.0).min().unwrap_or_default(),
            end: shards.iter().filter_map(|shard| shard.range).map(|range| range.1).max().unwrap_or_default(),
            members: members(met),
        };
        for shard in &mut shards {
            shard.seal();
            shard.units.codes = HashMap::default();
        }
        let units = Merged::of(shards.iter().map(|shard| &shard.units.names[..]));
        let texts: Vec<Merged> = (0..keys.segments.len() + usize::from(keys.item.is_some()))
            .map(|text| Merged::of(shards.iter().map(|shard| &shard.texts[text].names[..])))
            .collect();

        let count: usize = shards.iter().map(|shard| shard.sums.len).sum();
        let mut order = Order { slot: Vec::with_capacity(count), cells: Vec::with_capacity(count) };
        order.sort(&mut shards, &units, &texts);
        let code = |place: &dyn Fn(usize, usize) -> u32| -> Vec<u32> {
            order.cells.iter().map(|&(shard, cell)| place(shard as usize, cell as usize)).collect()
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
        let item = keys.item.as_ref().and_then(|_| texts.pop());

        let lists = order.bin_lists(&mut shards, bin_names.len())?;
        let numbers = order.numbers(&mut shards, &outputs, &sum_names);
        let mut numbers: Vec<Option<Vec<f64>>> = numbers.into_iter().map(Some).collect();
        let mut lists: Vec<Option<BinLists>> = lists.into_iter().map(Some).collect();
        let place = |names: &[String], name: &str| names.iter().position(|other| other == name).expect("kept above");
        let values = outputs.iter().enumerate().map(|(index, output)| {
            let again = outputs[index + 1..].iter().any(|later| later.name == output.name);
            if output.kind == ColumnKind::Bins {
                Values::Bins(lists[place(&bin_names, &output.name)].take().expect("bins are kept once"))
            } else {
                let kept = &mut numbers[if index == 0 { 0 } else { 1 + place(&sum_names, &output.name) }];
                let numbers = if again { kept.clone() } else { kept.take() };
                Values::Numbers(numbers.expect("taken by the last that needs it"))
            }
        });
        let values = values.collect();
        Ok((Table { slot: order.slot, unit, segments: texts, item, values }, used))
    }
}

/// The columns of a batch, each in one piece.
struct Rows {
    unit: Series,
    slot: Series,
    time: Series,
    /// Segments, then the item.
    texts: Vec<Series>,
    sums: Vec<Series>,
    bins: Vec<Series>,
}

/// Rows of a batch by shard.
struct Part {
    /// Per shard: row, and the unit's bucket where cells have buckets.
    rows: Vec<Vec<(u32, u32)>>,
}

/// Stretches of a batch, each with its rows put apart.
fn parts(units: &StringChunked, buckets: Option<&Buckets>, met: &mut [HashMap<u64, u32, Mix>]) -> Vec<Part> {
    let units = units.downcast_as_array();
    let shards = met.len();
    let stretch = units.len().div_ceil(shards).max(1);
    met.par_iter_mut()
        .enumerate()
        .map(|(index, met)| {
            let stretch = (index * stretch).min(units.len())..((index + 1) * stretch).min(units.len());
            let mut rows = vec![Vec::with_capacity(stretch.len() / shards + 16); shards];
            for row in stretch {
                let unit = units.value(row);
                let hash = xxh3_64(unit.as_bytes());
                // The platform's hash is slow: once for each unit is enough.
                let bucket = buckets.map(|buckets| *met.entry(hash).or_insert_with(|| buckets.bucket(unit)));
                let shard = bucket.map_or(hash >> 32, u64::from) % shards as u64;
                rows[shard as usize].push((row as u32, bucket.unwrap_or_default()));
            }
            Part { rows }
        })
        .collect()
}

/// How many units each bucket has.
fn members(met: Vec<HashMap<u64, u32, Mix>>) -> BTreeMap<String, u64> {
    let mut units: Vec<(u32, u64)> = met.into_iter().flatten().map(|(hash, bucket)| (bucket, hash)).collect();
    units.par_sort_unstable();
    units.dedup();
    units.chunk_by(|a, b| a.0 == b.0).map(|own| (Buckets::name(own[0].0), own.len() as u64)).collect()
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
    units: Dictionary,
    /// Code of each bucket among the units.
    buckets: HashMap<u32, u32, Mix>,
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
}

impl Shard {
    fn add(&mut self, rows: &Rows, parts: &[Part], index: usize, in_buckets: bool) -> PolarsResult<()> {
        let mut cells: Vec<u32> = Vec::with_capacity(BLOCK);
        let mut places: Vec<u32> = Vec::with_capacity(BLOCK);
        for part in parts {
            for block in part.rows[index].chunks(BLOCK) {
                cells.clear();
                places.clear();
                self.find_cells(rows, block, in_buckets, &mut cells)?;
                places.extend(block.iter().map(|(row, _)| row));
                self.sums.add_ones(0, &cells);
                for (column, series) in rows.sums.iter().enumerate() {
                    self.sums.add(1 + column, series, &places, &cells)?;
                }
                if !rows.bins.is_empty() {
                    self.pending.add(&rows.bins, &places, &cells)?;
                    if self.pending.cells.len() >= PENDING {
                        self.seal();
                    }
                }
            }
        }
        Ok(())
    }

    /// The cell of each row.
    fn find_cells(
        &mut self,
        rows: &Rows,
        block: &[(u32, u32)],
        in_buckets: bool,
        cells: &mut Vec<u32>,
    ) -> PolarsResult<()> {
        let (units, slots, times) = (rows.unit.str()?.downcast_as_array(), rows.slot.i64()?, rows.time.i64()?);
        let (slots, times) = (slots.downcast_as_array().values(), times.downcast_as_array().values());
        let texts: Vec<_> =
            rows.texts.iter().map(|text| Ok(text.str()?.downcast_as_array())).collect::<PolarsResult<_>>()?;
        let mut path = vec![0; texts.len()];
        let mut path_code: Option<u32> = None;
        let mut at = 0;
        let (mut first, mut last) = self.range.unwrap_or((i64::MAX, i64::MIN));
        while at < block.len() {
            // A run of rows in one slot needs its table once.
            let slot = slots[block[at].0 as usize];
            let table = self.slots.entry(slot).or_default();
            while at < block.len() && slots[block[at].0 as usize] == slot {
                let (row, bucket) = block[at];
                let row = row as usize;
                at += 1;
                first = first.min(times[row]);
                last = last.max(times[row]);
                let unit = if in_buckets {
                    let units = &mut self.units;
                    *self.buckets.entry(bucket).or_insert_with(|| units.code(&Buckets::name(bucket)))
                } else {
                    self.units.code(units.value(row))
                };
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
                let key = (unit, path_code.expect("found just now"));
                let next = self.keys.len() as u32;
                let cell = *table.entry(key).or_insert(next);
                if cell == next {
                    self.keys.push(key);
                    self.sums.grow();
                }
                cells.push(cell);
            }
        }
        self.rows += block.len() as u64;
        self.range = Some((first, last));
        Ok(())
    }

    /// Puts what is pending in the order of cells, which needs less room.
    fn seal(&mut self) {
        let pending = &mut self.pending;
        if pending.cells.is_empty() {
            return;
        }
        let mut order: Vec<u32> = (0..pending.cells.len() as u32).collect();
        order.sort_by_key(|&at| pending.cells[at as usize]);
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

/// Rows whose bins wait to be put in the order of cells.
const PENDING: usize = 2_000_000;

/// Bins of rows as they came.
#[derive(Debug, Clone, Default)]
struct Pending {
    cells: Vec<u32>,
    /// Per column of bins; `NO_BIN` where there is no value.
    bins: Vec<Vec<i16>>,
}

impl Pending {
    fn add(&mut self, columns: &[Series], rows: &[u32], cells: &[u32]) -> PolarsResult<()> {
        self.cells.extend_from_slice(cells);
        for (kept, column) in self.bins.iter_mut().zip(columns) {
            let array = column.i16()?.downcast_as_array();
            let values = array.values();
            match array.validity() {
                None => kept.extend(rows.iter().map(|&row| values[row as usize])),
                Some(valid) => kept.extend(
                    rows.iter().map(|&row| if valid.get_bit(row as usize) { values[row as usize] } else { NO_BIN }),
                ),
            }
        }
        Ok(())
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
#[derive(Default)]
struct Pages {
    width: usize,
    len: usize,
    held: Vec<Vec<i64>>,
}

const PAGE_BITS: u32 = 12;
const PAGE: usize = 1 << PAGE_BITS;

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

    fn at(&mut self, cell: u32, column: usize) -> &mut i64 {
        let page = &mut self.held[(cell >> PAGE_BITS) as usize];
        &mut page[(cell as usize & (PAGE - 1)) * self.width + column]
    }

    fn add_ones(&mut self, column: usize, cells: &[u32]) {
        for &cell in cells {
            *self.at(cell, column) += 1;
        }
    }

    /// Adds a column of integers or of truths; a null adds nothing.
    fn add(&mut self, column: usize, series: &Series, rows: &[u32], cells: &[u32]) -> PolarsResult<()> {
        let places = rows.iter().map(|&row| row as usize).zip(cells.iter().copied());
        if let Ok(truths) = series.bool() {
            let array = truths.downcast_as_array();
            let (values, valid) = (array.values(), array.validity());
            for (row, cell) in places {
                if values.get_bit(row) && valid.is_none_or(|valid| valid.get_bit(row)) {
                    *self.at(cell, column) += 1;
                }
            }
            return Ok(());
        }
        let array = series.i64()?.downcast_as_array();
        let values = array.values();
        match array.validity() {
            None => places.for_each(|(row, cell)| *self.at(cell, column) += values[row]),
            Some(valid) => places.for_each(|(row, cell)| {
                if valid.get_bit(row) {
                    *self.at(cell, column) += values[row];
                }
            }),
        }
        Ok(())
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
        let key = |&(shard, cell): &(u32, u32)| {
            let (shard, (unit, path)) = (shard as usize, shards[shard as usize].keys[cell as usize]);
            (units.codes[shard][unit as usize], &keys[shard][path as usize])
        };
        slots.par_iter_mut().for_each(|(_, cells)| cells.sort_unstable_by(|a, b| key(a).cmp(&key(b))));
        for (slot, cells) in slots {
            self.slot.extend(std::iter::repeat_n(slot, cells.len()));
            self.cells.extend(cells);
        }
    }

    /// Sums by column, requests first. Pages go as soon as their cells are taken.
    fn numbers(&self, shards: &mut [Shard], outputs: &[Output], names: &[String]) -> Vec<Vec<f64>> {
        let quantum = |name: &String| outputs.iter().find(|output| output.name == *name).map_or(1.0, |o| o.quantum);
        let quanta: Vec<f64> = std::iter::once(1.0).chain(names.iter().map(quantum)).collect();
        let mut numbers: Vec<Vec<f64>> = quanta.iter().map(|_| Vec::with_capacity(self.cells.len())).collect();
        let mut left: Vec<Vec<usize>> = shards
            .iter()
            .map(|shard| (0..shard.sums.held.len()).map(|page| PAGE.min(shard.sums.len - page * PAGE)).collect())
            .collect();
        for &(shard, cell) in &self.cells {
            let (shard, page) = (shard as usize, (cell >> PAGE_BITS) as usize);
            let sums = &mut shards[shard].sums;
            let start = (cell as usize & (PAGE - 1)) * sums.width;
            let row = &sums.held[page][start..start + sums.width];
            for ((numbers, sum), quantum) in numbers.iter_mut().zip(row).zip(&quanta) {
                numbers.push(*sum as f64 * quantum);
            }
            left[shard][page] -= 1;
            if left[shard][page] == 0 {
                sums.held[page] = Vec::new();
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
        let runs: Vec<(usize, Run)> = shards
            .iter_mut()
            .enumerate()
            .flat_map(|(index, shard)| std::mem::take(&mut shard.sealed).into_iter().map(move |run| (index, run)))
            .collect();
        (0..columns)
            .map(|column| {
                let mut offsets = vec![0_u32; self.cells.len() + 1];
                for (shard, run) in &runs {
                    for (at, &cell) in run.cells.iter().enumerate() {
                        offsets[places[*shard][cell as usize] as usize + 1] += run.lists[column].of(at).len() as u32;
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
                for (shard, run) in &runs {
                    for (at, &cell) in run.cells.iter().enumerate() {
                        let own = run.lists[column].of(at);
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
