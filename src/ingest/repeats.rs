//! Request ids that occur more than once.

use std::collections::HashSet;

use polars::prelude::arity::unary_elementwise;
use polars::prelude::*;
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::engine::{Outcome, collect, fold, guarded};
use super::schema::{self, Columns, ITEM, REQUEST, TIME, UNIT};

/// Requests whose id occurs more than once, set aside so that only the first of each counts; all others stream by.
pub(crate) struct Repeats {
    ids: HashSet<String>,
    /// Columns that say which of several requests with the same id is the first.
    order: Vec<String>,
    aside: Vec<DataFrame>,
}

impl Repeats {
    /// None so far; `found` are the ids that [`find`] found.
    pub(crate) fn new(found: Option<&DataFrame>, columns: &Columns) -> Self {
        let ids = found.and_then(|ids| ids.column(REQUEST).ok()?.str().ok());
        let ids = ids.into_iter().flat_map(|ids| ids.iter().flatten()).map(str::to_owned).collect();
        Self { ids, order: order(columns), aside: Vec::new() }
    }

    /// Whether there are such ids.
    pub(crate) fn any(&self) -> bool {
        !self.ids.is_empty()
    }

    /// The requests of a batch whose id occurs once.
    pub(crate) fn others(&mut self, batch: DataFrame) -> PolarsResult<DataFrame> {
        if self.ids.is_empty() {
            return Ok(batch);
        }
        let ids = batch.column(REQUEST)?.str()?;
        let again: BooleanChunked = ids.iter().map(|id| Some(id.is_some_and(|id| self.ids.contains(id)))).collect();
        if again.any() {
            self.aside.push(batch.filter(&again)?);
        }
        batch.filter(&!&again)
    }

    /// The first request of each id that occurs more than once, if there are any.
    pub(crate) fn first(self) -> PolarsResult<Option<DataFrame>> {
        let mut aside = self.aside.into_iter();
        let Some(mut repeated) = aside.next() else { return Ok(None) };
        for more in aside {
            repeated.vstack_mut_owned(more)?;
        }
        let sorted = repeated.sort(self.order, SortMultipleOptions::default())?;
        let ids = sorted.column(REQUEST)?.str()?.rechunk().into_owned();
        let first: BooleanChunked =
            (0..ids.len()).map(|row| Some(row == 0 || ids.get(row) != ids.get(row - 1))).collect();
        sorted.filter(&first).map(Some)
    }
}

fn order(columns: &Columns) -> Vec<String> {
    let item = columns.has_items().then(|| ITEM.to_owned());
    let segments = (0..columns.segments.len()).map(schema::segment);
    let values = (0..columns.values.len()).map(schema::value);
    [REQUEST, TIME, UNIT].map(str::to_owned).into_iter().chain(item).chain(segments).chain(values).collect()
}

/// Hashes that are held at a time: a gibibyte of them. More ids are looked at in several rounds.
const MOST: u64 = 1 << 27;

/// Request ids that occur more than once in the rows that count, sorted, with the number of times. A null is no id. `count` is the
/// number of rows, as far as it is known.
///
/// Ids are as many as rows: only their hashes are kept, and ids themselves are counted only where a hash occurs twice.
pub(super) fn find(rows: &LazyFrame, counts: &Expr, count: u64, heard: &dyn Fn(u64)) -> Outcome<DataFrame> {
    let rounds = count.div_ceil(MOST).max(1);
    let mut twice = HashSet::new();
    for round in 0..rounds {
        let ids = rows.clone().select([col(REQUEST)]);
        let taken = |done: u64| heard((round * count + done) / rounds);
        let hashes = fold(ids, Hashes::new(round, rounds, count), |hashes, batch| hashes.take(&batch), &taken)?;
        if hashes.rows.div_ceil(MOST).max(1) != rounds {
            // So many rounds suit another number of rows.
            return find(rows, counts, hashes.rows, heard);
        }
        twice.extend(hashes.twice());
    }
    if twice.is_empty() {
        return Ok(DataFrame::empty());
    }
    let suspect = col(REQUEST).map(
        move |ids| {
            let found: BooleanChunked =
                unary_elementwise(ids.str()?, |id: Option<&str>| id.map(|id| twice.contains(&hash(id))));
            Ok(found.into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Boolean)),
    );
    let suspects = rows.clone().filter(counts.clone().and(col(REQUEST).is_not_null())).filter(suspect);
    let counted = suspects.group_by([col(REQUEST)]).agg([len().alias("times")]).filter(col("times").gt(lit(1)));
    let found = collect(counted)?;
    guarded(|| found.sort([REQUEST], SortMultipleOptions::default()))
}

/// Never 0, which marks a free place of a table.
fn hash(id: &str) -> u64 {
    xxh3_64(id.as_bytes()).max(1)
}

/// Drawers by the first bits of a hash: so few that the processor keeps the ends of all at hand, and what is in one fits a cache.
const DRAWERS: usize = 1 << DRAWER_BITS;
const DRAWER_BITS: u32 = 10;

/// Hashes of the ids of one round.
struct Hashes {
    round: u64,
    rounds: u64,
    /// Of all ids.
    rows: u64,
    /// By thread, and drawer.
    drawers: Vec<Vec<Vec<u64>>>,
}

impl Hashes {
    fn new(round: u64, rounds: u64, rows: u64) -> Self {
        let threads = rayon::current_num_threads();
        // Drawers fill evenly: a little more room than that is rarely outgrown.
        let each = rows as usize / (rounds as usize * DRAWERS * threads);
        let drawers = || (0..DRAWERS).map(|_| Vec::with_capacity(each + each / 16 + 4)).collect();
        Self { round, rounds, rows: 0, drawers: (0..threads).map(|_| drawers()).collect() }
    }

    fn take(&mut self, batch: &DataFrame) -> PolarsResult<()> {
        let ids = batch.column(REQUEST)?.str()?.rechunk();
        let ids = ids.downcast_as_array();
        self.rows += ids.len() as u64;
        let stretch = ids.len().div_ceil(self.drawers.len()).max(1);
        let (round, rounds) = (self.round, self.rounds);
        self.drawers.par_iter_mut().enumerate().for_each(|(thread, drawers)| {
            for row in (thread * stretch).min(ids.len())..((thread + 1) * stretch).min(ids.len()) {
                let Some(hash) = ids.get(row).map(hash) else { continue };
                if rounds == 1 || hash % rounds == round {
                    drawers[(hash >> (u64::BITS - DRAWER_BITS)) as usize].push(hash);
                }
            }
        });
        Ok(())
    }

    /// Those that occur more than once.
    fn twice(self) -> Vec<u64> {
        let mut drawers: Vec<Vec<Vec<u64>>> = vec![Vec::new(); DRAWERS];
        for (drawer, own) in self.drawers.into_iter().flat_map(|own| own.into_iter().enumerate()) {
            drawers[drawer].push(own);
        }
        drawers.into_par_iter().map_init(Vec::new, |table, drawer| twice(&drawer, table)).flatten().collect()
    }
}

/// Hashes of a drawer that occur more than once. `table` is room that is used again.
fn twice(drawer: &[Vec<u64>], table: &mut Vec<u64>) -> Vec<u64> {
    let count: usize = drawer.iter().map(Vec::len).sum();
    // At most half full, so that there is a free place.
    let places = (2 * count + 1).next_power_of_two();
    table.clear();
    table.resize(places, 0);
    let mut found = Vec::new();
    for &hash in drawer.iter().flatten() {
        // Neither the bits of the drawer nor those of the round.
        let mut place = (hash >> 24) as usize & (places - 1);
        while table[place] != 0 && table[place] != hash {
            place = (place + 1) & (places - 1);
        }
        if table[place] == hash {
            found.push(hash);
        }
        table[place] = hash;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[Option<&str>]) -> DataFrame {
        DataFrame::new(names.len(), vec![Column::new(REQUEST.into(), names)]).unwrap()
    }

    #[test]
    fn ids_of_several_batches_are_held_against_each_other_in_any_number_of_rounds() {
        let batches = [ids(&[Some("a"), Some("b"), None, Some("c")]), ids(&[None, Some("d"), Some("b")]), ids(&[])];
        for rounds in 1..4 {
            let found: Vec<u64> = (0..rounds)
                .flat_map(|round| {
                    let mut hashes = Hashes::new(round, rounds, 7);
                    for batch in &batches {
                        hashes.take(batch).unwrap();
                    }
                    hashes.twice()
                })
                .collect();
            assert_eq!(found, [hash("b")], "{rounds} rounds");
        }
    }

    #[test]
    fn a_full_drawer_finds_every_repeat() {
        // All begin at the same place of the table.
        let hashes: Vec<u64> = (1..=500).collect();
        let mut table = Vec::new();
        assert!(twice(std::slice::from_ref(&hashes), &mut table).is_empty());
        let again = [hashes[3], hashes[499], hashes[3]];
        assert_eq!(twice(&[hashes, again.to_vec()], &mut table), again);
    }
}
