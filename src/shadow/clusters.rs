//! Variances clustered by unit, and by unit and item both.

use rayon::prelude::*;

use crate::digest::Digest;
use crate::scenario::Scenario;

/// Which unit, item and (unit, item) pair each cell belongs to.
pub(crate) struct Clusters {
    unit: Vec<u32>,
    units: usize,
    item: Option<ItemClusters>,
}

struct ItemClusters {
    item: Vec<u32>,
    items: usize,
    /// Per cell: which of the pairs with several cells is its own, `ALONE` where it has the pair to itself, as most cells have.
    pair: Vec<u32>,
    /// Number of pairs with several cells.
    pairs: usize,
}

/// The cluster of a cell that has it to itself.
const ALONE: u32 = u32::MAX;

impl Clusters {
    /// Requests of a user resemble each other, whatever draws in a rollout: here a unit is always the user.
    pub(crate) fn new(digest: &Digest, scenario: &Scenario) -> Self {
        let cells = &digest.cells;
        let holders = digest.holders(scenario);
        let unit: Vec<u32> = match &holders {
            Some((of_unit, _)) => cells.unit.iter().map(|&unit| of_unit[unit as usize]).collect(),
            None => cells.unit.clone(),
        };
        let item = (!digest.items.is_empty()).then(|| {
            let key = |cell: usize| u64::from(unit[cell]) << 32 | u64::from(cells.item[cell]);
            let mut keys: Vec<(u64, u32)> = (0..cells.len()).map(|cell| (key(cell), cell as u32)).collect();
            keys.par_sort_unstable();
            let mut pair = vec![ALONE; cells.len()];
            let shared = keys.chunk_by(|(one, _), (other, _)| one == other).filter(|cells| cells.len() > 1);
            let mut pairs = 0;
            for cells in shared {
                for &(_, cell) in cells {
                    pair[cell as usize] = pairs as u32;
                }
                pairs += 1;
            }
            ItemClusters { item: cells.item.clone(), items: digest.items.len(), pair, pairs }
        });
        Self { unit, units: holders.map_or(digest.units.len(), |(_, names)| names.len()), item }
    }

    /// Number of units and items among the cells that satisfy a condition.
    pub(crate) fn counts(&self, cells: &[u32], holds: impl Fn(usize) -> bool) -> (u64, Option<u64>) {
        let (mut units, mut items) = (vec![false; self.units], self.item.as_ref().map(|of| vec![false; of.items]));
        for cell in cells.iter().map(|&cell| cell as usize).filter(|&cell| holds(cell)) {
            units[self.unit[cell] as usize] = true;
            if let Some((seen, of)) = items.as_mut().zip(self.item.as_ref()) {
                seen[of.item[cell] as usize] = true;
            }
        }
        let count = |seen: Vec<bool>| seen.into_iter().filter(|&seen| seen).count() as u64;
        (count(units), items.map(count))
    }

    /// Totals of each unit with a denominator.
    pub(crate) fn per_unit(&self, cells: &[u32], of: impl Fn(u32) -> (f64, f64)) -> Vec<(f64, f64)> {
        let mut totals = vec![(0.0, 0.0); self.units];
        for &cell in cells {
            let (y, x) = of(cell);
            let total = &mut totals[self.unit[cell as usize] as usize];
            *total = (total.0 + y, total.1 + x);
        }
        totals.retain(|&(_, x)| x > 0.0);
        totals
    }

    /// Totals of each unit that has any of these cells.
    pub(crate) fn totals<const N: usize>(&self, cells: &[u32], of: impl Fn(u32) -> [f64; N]) -> Vec<[f64; N]> {
        let mut totals: Vec<Option<[f64; N]>> = vec![None; self.units];
        for &cell in cells {
            let total = totals[self.unit[cell as usize] as usize].get_or_insert([0.0; N]);
            total.iter_mut().zip(of(cell)).for_each(|(total, part)| *total += part);
        }
        totals.into_iter().flatten().collect()
    }

    /// The unit of a cell.
    pub(crate) fn unit_of(&self, cell: u32) -> usize {
        self.unit[cell as usize] as usize
    }

    /// Totals of every unit, zero without a cell.
    pub(crate) fn total_of_each(&self, cells: &[u32], of: impl Fn(u32) -> f64) -> Vec<f64> {
        let mut totals = vec![0.0; self.units];
        for &cell in cells {
            totals[self.unit_of(cell)] += of(cell);
        }
        totals
    }

    /// Of every unit the first of its cells that satisfies a condition.
    pub(crate) fn first(&self, cells: &[u32], holds: impl Fn(u32) -> bool) -> Vec<Option<u32>> {
        let mut first = vec![None; self.units];
        for &cell in cells.iter().filter(|&&cell| holds(cell)) {
            first[self.unit_of(cell)].get_or_insert(cell);
        }
        first
    }

    /// Variances of sums of influences: clustered by unit, and by unit and item both where there are items.
    ///
    /// # Formula
    /// One way: `G/(G-1) sum over clusters (sum of influences)²`. Two ways: by unit, plus by item, minus by (unit, item) pair; where that
    /// is not positive, the larger of the first two.
    ///
    /// # Source
    /// A. C. Cameron, J. B. Gelbach, D. L. Miller (2011), J. Bus. Econ. Stat. 29, 238-249, equation 2.11.
    pub(crate) fn variances<const N: usize>(
        &self,
        cells: &[u32],
        influences: impl Fn(u32) -> [f64; N],
    ) -> [(Option<f64>, Option<f64>); N] {
        let influences: Vec<[f64; N]> = cells.iter().map(|&cell| influences(cell)).collect();
        let one_way = |cluster: &[u32], size: usize| {
            let mut sums = vec![([0.0; N], false); size];
            let (mut groups, mut squares) = (0.0, [0.0; N]);
            for (&cell, influences) in cells.iter().zip(&influences) {
                let cluster = cluster[cell as usize];
                if cluster == ALONE {
                    groups += 1.0;
                    squares
                        .iter_mut()
                        .zip(influences)
                        .for_each(|(squares, influence)| *squares += influence * influence);
                } else {
                    let (sums, seen) = &mut sums[cluster as usize];
                    sums.iter_mut().zip(influences).for_each(|(sum, influence)| *sum += influence);
                    *seen = true;
                }
            }
            groups += sums.iter().filter(|(_, seen)| *seen).count() as f64;
            std::array::from_fn(|index| {
                let squares = squares[index] + sums.iter().map(|(sums, _)| sums[index] * sums[index]).sum::<f64>();
                // Without a single difference there is no telling how rare one is: that is no standard error of zero.
                (groups >= 2.0 && squares > 0.0).then(|| groups / (groups - 1.0) * squares)
            })
        };
        let by_unit: [Option<f64>; N] = one_way(&self.unit, self.units);
        let of_items =
            self.item.as_ref().map(|item| (one_way(&item.item, item.items), one_way(&item.pair, item.pairs)));
        std::array::from_fn(|index| {
            let both_ways = of_items.as_ref().and_then(|(by_item, by_pair)| {
                let (by_unit, by_item) = (by_unit[index]?, by_item[index]?);
                let variance = by_unit + by_item - by_pair[index]?;
                Some(if variance > 0.0 { variance } else { by_unit.max(by_item) })
            });
            (by_unit[index], both_ways)
        })
    }
}
