//! What rows bring to sums whoever is served and wherever a stage begins: columns of numbers, each kept once.

use std::ops::Range;

use rayon::prelude::*;

use super::cells::{FlatCells, FlatMetric};
use super::effects::EffectCells;
use super::layout::{Layout, Slice};
use crate::domain::version::Version;

/// One number of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Requests,
    Covered,
    /// Numerator of a metric.
    Y(usize, Version),
    /// Its denominator, or the requests of a quantile metric.
    X(usize, Version),
    /// Numerator under an effect that has grown, or that has not set in.
    ShownY(usize, bool),
    /// Denominator under an effect that has grown.
    ShownX(usize),
}

/// Requests in one division: all together, or by the values of a segment column.
pub(super) struct Cut {
    /// The segment column.
    pub(super) by: Option<usize>,
    /// Slice of each of its values, or the one slice.
    pub(super) slices: Vec<usize>,
    /// Per row: which unit's requests it has, and of which value; those of units with most cells have the lowest numbers.
    pub(super) group: Vec<u32>,
    pub(super) groups: usize,
    /// Column of each input.
    columns: Vec<(Input, u32)>,
    width: usize,
    /// Row by row.
    values: Vec<f64>,
}

impl Cut {
    /// All requests, then one for each segment column that a gate asks for.
    pub(super) fn all(layout: &Layout, cells: &FlatCells, effects: &[EffectCells]) -> Vec<Self> {
        let columns = layout.slice_of.iter().enumerate();
        let asked = columns.filter_map(|(column, slices)| Some((Some(column), slices.clone()?)));
        std::iter::once((None, vec![0]))
            .chain(asked)
            .filter(|(_, slices)| !slices.is_empty())
            .map(|(by, slices)| Self::new(by, slices, layout, cells, effects))
            .collect()
    }

    fn new(by: Option<usize>, slices: Vec<usize>, layout: &Layout, cells: &FlatCells, effects: &[EffectCells]) -> Self {
        debug_assert!(matches!(layout.slices[slices[0]], Slice::Overall) == by.is_none());
        let rows = if by.is_none() { cells.rows() } else { cells.len() };
        let cells_of = |row: usize| if by.is_none() { cells.cells_of_row(row) } else { row..row + 1 };
        let mut columns: Vec<(Input, u32)> = Vec::new();
        let mut kept: Vec<Vec<f64>> = Vec::new();
        for input in inputs(&slices, layout, cells) {
            let number = |row: usize| input.number(cells_of(row), layout, cells, effects);
            let numbers: Vec<f64> = (0..rows).into_par_iter().map(number).collect();
            // Denominators are mostly the same few, and what an effect does not change is there already.
            let same = kept.iter().position(|others| *others == numbers);
            columns.push((input, same.unwrap_or(kept.len()) as u32));
            if same.is_none() {
                kept.push(numbers);
            }
        }
        let width = kept.len();
        let mut values = vec![0.0; rows * width];
        for (column, numbers) in kept.into_iter().enumerate() {
            values.iter_mut().skip(column).step_by(width).zip(numbers).for_each(|(value, number)| *value = number);
        }
        let (group, groups) = match by {
            None => ((0..rows).map(|row| cells.rank[cells.cells_of_row(row).start]).collect(), cells.by_rank.len()),
            Some(column) => grouped(&cells.rank, &cells.segment[column]),
        };
        Self { by, slices, group, groups, columns, width, values }
    }

    /// What a row brings.
    pub(super) fn row(&self, row: usize) -> &[f64] {
        self.rows(row..row + 1)
    }

    /// What neighbouring rows bring, one after the other.
    pub(super) fn rows(&self, rows: Range<usize>) -> &[f64] {
        &self.values[rows.start * self.width..rows.end * self.width]
    }

    /// Where an input is in a row.
    pub(super) fn column(&self, input: Input) -> u32 {
        let found = self.columns.iter().find(|(other, _)| *other == input);
        found.expect("every input of the slices is kept").1
    }
}

/// Numbers for the pairs of a unit and a value, in their order.
fn grouped(rank: &[u32], value: &[u16]) -> (Vec<u32>, usize) {
    let pair = |&cell: &u32| (rank[cell as usize], value[cell as usize]);
    let mut order: Vec<u32> = (0..rank.len() as u32).collect();
    order.sort_unstable_by_key(pair);
    let mut group = vec![0; rank.len()];
    let mut groups = 0;
    for same in order.chunk_by(|one, other| pair(one) == pair(other)) {
        for &cell in same {
            group[cell as usize] = groups;
        }
        groups += 1;
    }
    (group, groups as usize)
}

/// What the metrics and streams of these slices need; rare metrics are counted and bring nothing.
fn inputs(slices: &[usize], layout: &Layout, cells: &FlatCells) -> Vec<Input> {
    let plan = &layout.plans[slices[0]];
    let mut inputs = vec![Input::Requests, Input::Covered];
    for &(metric, _) in &plan.metrics {
        for version in Version::BOTH {
            match &cells.metrics[metric] {
                FlatMetric::Sums(_) => inputs.extend([Input::Y(metric, version), Input::X(metric, version)]),
                FlatMetric::Bins(_) => inputs.push(Input::X(metric, version)),
                FlatMetric::Firsts(_) => {}
            }
        }
    }
    for &(stream, _) in &plan.streams {
        if let FlatMetric::Sums(_) = &cells.metrics[layout.stream_metrics[stream]] {
            inputs.extend([Input::ShownY(stream, false), Input::ShownY(stream, true), Input::ShownX(stream)]);
        }
    }
    inputs
}

impl Input {
    fn number(self, range: Range<usize>, layout: &Layout, cells: &FlatCells, effects: &[EffectCells]) -> f64 {
        let sum = |place: usize| range.clone().map(|cell| cells.inputs(cell)[place]).sum::<f64>();
        let place_of = |metric: usize| match cells.metrics[metric] {
            FlatMetric::Sums(place) | FlatMetric::Firsts(place) => place,
            FlatMetric::Bins(_) => unreachable!("bins have no sums"),
        };
        let shown = |stream: usize, since: Option<usize>| {
            let place = place_of(layout.stream_metrics[stream]);
            effects[stream].shown(cells, range.clone(), place, since)
        };
        let of = |version: Version| if version == Version::Stable { 0 } else { 2 };
        match self {
            Self::Requests => sum(0),
            Self::Covered => sum(1),
            Self::Y(metric, version) => sum(place_of(metric) + of(version)),
            Self::X(metric, version) => match &cells.metrics[metric] {
                FlatMetric::Bins(lists) => {
                    range.clone().map(|cell| lists.get(version).of(cell).len() as f64).sum::<f64>()
                }
                _ => sum(place_of(metric) + of(version) + 1),
            },
            Self::ShownY(stream, grown) => shown(stream, grown.then_some(effects[stream].ramp)).0,
            Self::ShownX(stream) => shown(stream, Some(effects[stream].ramp)).1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_values_are_numbered_by_rank_first() {
        let (group, groups) = grouped(&[2, 0, 2, 2, 0], &[1, 3, 0, 1, 3]);
        assert_eq!((group, groups), (vec![2, 0, 1, 2, 0], 3));
    }
}
