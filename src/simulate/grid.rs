//! Thresholds at which a quantile or drift metric is asked: "what share of requests is above t".

use crate::digest::bins::{self, BINS_PER_OCTAVE, BinLists};
use crate::domain::gate::{Gate, Measure, Test};
use crate::domain::metric::Margin;
use crate::domain::world::{Change, Effect};
use crate::stats::drift;

/// How far stable's quantile in a window may lie from the whole log's, as a factor either way.
const WINDOW_FACTOR: f64 = 1.4;

/// How far its value among the requests of one look may lie from that, as a factor either way, for gates that read such points.
const POINT_FACTOR: f64 = 4.0;

/// Thresholds of one quantile or drift metric, ascending. Each is an edge of the digest's bins.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Bins: a request is above threshold `t` when its bin is greater.
    pub bins: Vec<i16>,
    /// Share of requests that should lie above the quantile: `1 - p`.
    pub tail: f64,
    /// Thresholds (by index, inclusive) among which stable's quantile in a window is looked for.
    pub quantile_range: (usize, usize),
    /// Of a drift metric: share of stable's requests of the whole log above each threshold, which is an edge between its bins.
    pub stable: Vec<f64>,
    /// Of its thresholds.
    pub(super) below: Below,
}

/// A place between two thresholds of a grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GridPlace {
    /// The threshold at or below.
    pub index: usize,
    /// Part of the way to the next, in `[0, 1)`.
    pub part: f64,
}

/// How many of ascending thresholds lie below a bin: looked up, since it is asked for every request again and again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Below {
    /// The lowest bin above a threshold.
    first: i16,
    /// From there to the lowest bin above all of them.
    counts: Vec<u16>,
}

impl Below {
    /// Thresholds are on the scale of bins.
    #[expect(clippy::cast_possible_truncation, reason = "saturates at the outermost bins; a grid has few thresholds")]
    pub(super) fn new(thresholds: &[f64]) -> Self {
        let after = |threshold: Option<&f64>| threshold.map_or(0, |threshold| (threshold.floor() + 1.0) as i16);
        let (first, last) = (after(thresholds.first()), after(thresholds.last()));
        let count = |bin: i16| thresholds.partition_point(|&threshold| threshold < f64::from(bin)) as u16;
        Self { first, counts: (first..=last).map(count).collect() }
    }

    /// Of a bin.
    pub(super) fn of(&self, bin: i16) -> usize {
        let last = self.counts.len() - 1;
        let place = usize::try_from(i32::from(bin) - i32::from(self.first));
        place.map_or(0, |place| usize::from(self.counts[place.min(last)]))
    }
}

impl Grid {
    /// A grid around the quantile of stable's requests that holds every threshold the gates and effects move it to.
    ///
    /// `gates` and `effects` are those on this metric.
    #[must_use]
    pub fn new(stable: &BinLists, quantile: f64, gates: &[&Gate], effects: &[&Effect]) -> Self {
        let centre = bins::edge(quantile_bin(&stable.bins, quantile)).max(f64::MIN_POSITIVE);
        let margins: Vec<Margin> = gates.iter().flat_map(|gate| [gate.allow, gate.harm]).flatten().collect();
        let step = step_of(&margins, centre);
        let (low, high) = (centre / WINDOW_FACTOR, centre * WINDOW_FACTOR);
        // A candidate that is slower by a factor is asked at a threshold lower by that factor.
        let (mut lowest, mut highest) = (low, high);
        for margin in &margins {
            let factor = relative(*margin, centre);
            // Power curves go to three times the margin either side of it.
            lowest = lowest.min(low * (1.0 - factor).max(0.25) / (1.0 + 3.0 * factor));
            highest = highest.max(high * (1.0 + factor) / (1.0 - 3.0 * factor).max(0.25));
        }
        if gates.iter().any(|gate| gate.test == Test::MannWhitney) {
            lowest = lowest.min(centre / POINT_FACTOR);
            highest = highest.max(centre * POINT_FACTOR);
        }
        let (mut smallest, mut largest) = (lowest, highest);
        for effect in effects {
            let factor = match effect.change {
                Change::Scale(factor) => factor.clamp(1.0 / 16.0, 16.0),
                Change::Shift(amount) => (1.0 + amount / centre).clamp(1.0 / 16.0, 16.0),
                Change::Flip(_) => 1.0,
            };
            smallest = smallest.min(lowest / factor);
            largest = largest.max(highest / factor);
        }
        let mut thresholds = ladder(bin_below(smallest), bin_below(largest) + 1, bin_below(centre), step);
        for limit in gates.iter().filter_map(|gate| gate.limit) {
            thresholds.extend([bin_below(limit), bin_below(limit).saturating_add(1)]);
        }
        thresholds.sort_unstable();
        thresholds.dedup();
        let first = thresholds.partition_point(|&bin| bins::edge(bin) < low);
        let last = thresholds.partition_point(|&bin| bins::edge(bin) <= high).max(first + 1) - 1;
        Self::of(thresholds, 1.0 - quantile, (first, last), Vec::new())
    }

    /// Edges between bins that hold about equal shares of stable's requests: fewer bins where values are equal, or nearly so.
    #[must_use]
    pub fn between_bins(stable: &BinLists, bins: usize) -> Self {
        let mut sorted = stable.bins.clone();
        sorted.sort_unstable();
        let rank = |edge: usize| (edge * sorted.len()).div_ceil(bins).max(1) - 1;
        let mut edges: Vec<i16> = (1..bins).filter_map(|edge| sorted.get(rank(edge)).copied()).collect();
        edges.dedup();
        // Nothing lies above the largest value.
        if edges.len() > 1 && edges.last() == sorted.last() {
            edges.pop();
        }
        if edges.is_empty() {
            edges.push(0);
        }
        let above = |&edge: &i16| sorted.len() - sorted.partition_point(|&bin| bin <= edge);
        let shares = edges.iter().map(|edge| above(edge) as f64 / sorted.len().max(1) as f64).collect();
        let last = edges.len() - 1;
        Self::of(edges, 0.5, (0, last), shares)
    }

    /// A grid of these thresholds.
    pub(crate) fn of(bins: Vec<i16>, tail: f64, quantile_range: (usize, usize), stable: Vec<f64>) -> Self {
        let below = Below::new(&bins.iter().map(|&bin| f64::from(bin)).collect::<Vec<_>>());
        Self { bins, tail, quantile_range, stable, below }
    }

    /// Of a drift metric: the share of all requests that, answered with more than any value, would be so far from stable over the log.
    #[must_use]
    pub fn replaced(&self, measure: Measure, distance: f64) -> f64 {
        let shares = |part: f64| -> Vec<f64> { self.stable.iter().map(|share| share + part * (1.0 - share)).collect() };
        let distance_of = |part: f64| match measure {
            Measure::Ks => self.stable.iter().map(|share| part * (1.0 - share)).fold(0.0, f64::max),
            Measure::Psi => drift::population_stability(&between(&shares(part)), &between(&self.stable)),
            Measure::Mmd => unreachable!("embeddings have no grid"),
        };
        let (mut low, mut high) = (0.0, 1.0);
        // As far as a number can be told from the next.
        for _ in 0..52 {
            let middle = f64::midpoint(low, high);
            if distance_of(middle) <= distance { low = middle } else { high = middle }
        }
        low
    }

    /// Number of thresholds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bins.len()
    }

    /// Whether there is none (there always is one).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// The value of a threshold.
    #[must_use]
    pub fn value(&self, index: usize) -> f64 {
        bins::edge(self.bins[index])
    }

    /// Where a value lies, between thresholds on the scale of logarithms; values outside the grid are taken at its ends.
    #[must_use]
    pub fn place(&self, value: f64) -> GridPlace {
        if value <= 0.0 {
            return GridPlace { index: 0, part: 0.0 };
        }
        let position = BINS_PER_OCTAVE * value.log2();
        // Edges such as 2^(b/64) do not survive the logarithm exactly.
        let above = self.bins.partition_point(|&bin| f64::from(bin) <= position + 1e-9);
        if above == 0 || above == self.bins.len() {
            return GridPlace { index: above.saturating_sub(1), part: 0.0 };
        }
        let (below, next) = (f64::from(self.bins[above - 1]), f64::from(self.bins[above]));
        GridPlace { index: above - 1, part: ((position - below) / (next - below)).clamp(0.0, 1.0) }
    }
}

/// Shares in bins, from those above the edges between them.
#[must_use]
pub fn between(above: &[f64]) -> Vec<f64> {
    let edges: Vec<f64> = std::iter::once(1.0).chain(above.iter().copied()).chain([0.0]).collect();
    edges.windows(2).map(|pair| pair[0] - pair[1]).collect()
}

/// A margin as a share of the quantile.
fn relative(margin: Margin, centre: f64) -> f64 {
    match margin {
        Margin::Relative(share) => share,
        Margin::Absolute(amount) => (amount / centre).min(4.0),
    }
}

/// Two steps to the smallest margin, between 1.1 % (one bin) and 9 % (eight).
fn step_of(margins: &[Margin], centre: f64) -> i16 {
    let smallest =
        margins.iter().map(|&margin| relative(margin, centre)).filter(|&share| share > 0.0).fold(0.1, f64::min);
    (BINS_PER_OCTAVE * (1.0 + smallest).log2() / 2.0).floor().clamp(1.0, 8.0) as i16
}

fn bin_below(value: f64) -> i16 {
    bins::bin(value).max(bins::ZERO_BIN + 2) - 1
}

/// Every `step` bins through `centre`, from at or below `low` to at or above `high`.
fn ladder(low: i16, high: i16, centre: i16, step: i16) -> Vec<i16> {
    let step = i32::from(step);
    let down = (i32::from(centre) - i32::from(low)).div_euclid(step) + 1;
    let up = (i32::from(high) - i32::from(centre)).div_euclid(step) + 1;
    (-down..=up).filter_map(|rung| i16::try_from(i32::from(centre) + rung * step).ok()).collect()
}

/// Smallest bin with at least this share of the requests at or below it.
fn quantile_bin(bins: &[i16], quantile: f64) -> i16 {
    if bins.is_empty() {
        return 0;
    }
    let mut sorted = bins.to_vec();
    let rank = ((quantile * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len()) - 1;
    *sorted.select_nth_unstable(rank).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let values: Vec<i16> = (1..=1000).map(|n| bins::bin(f64::from(n))).collect();
        Grid::new(&BinLists { offsets: vec![0, 1000], bins: values }, 0.95, &[], &[])
    }

    #[test]
    fn thresholds_below_a_bin_are_those_that_are_less() {
        let (none, most) = (f64::NEG_INFINITY, f64::from(i16::MAX));
        for thresholds in [&[3.0][..], &[-2.0, 5.0, 5.0, 41.0], &[none, 7.0], &[f64::from(bins::ZERO_BIN), 0.0, most]] {
            let below = Below::new(thresholds);
            for bin in i16::MIN..=i16::MAX {
                let less = thresholds.iter().filter(|&&threshold| threshold < f64::from(bin)).count();
                assert_eq!(below.of(bin), less, "{bin} of {thresholds:?}");
            }
        }
    }

    #[test]
    fn surrounds_the_quantile() {
        let grid = grid();
        let (first, last) = grid.quantile_range;
        assert!(grid.value(first) < 760.0 && grid.value(last) > 1200.0, "{grid:?}");
        assert!(grid.value(0) <= 950.0 / 1.4 && grid.value(grid.len() - 1) >= 950.0 * 1.4);
    }

    fn between_bins_of(values: impl Iterator<Item = f64>, bins: usize) -> Grid {
        let values: Vec<i16> = values.map(bins::bin).collect();
        Grid::between_bins(&BinLists { offsets: vec![0, values.len() as u32], bins: values }, bins)
    }

    #[test]
    fn edges_part_equal_shares() {
        let grid = between_bins_of((1..=1000).map(f64::from), 10);
        assert_eq!(grid.len(), 9);
        for (edge, share) in grid.stable.iter().enumerate() {
            // A bin near 100 is 1.1 wide, one near 900 ten.
            assert!((share - (0.9 - 0.1 * edge as f64)).abs() < 0.01, "{edge}: {share}");
        }
        assert!(between(&grid.stable).iter().all(|share| (share - 0.1).abs() < 0.011));
    }

    #[test]
    fn equal_values_share_a_bin() {
        // 0 in 3 of 10, 1 to 3 once, 4 in 4: edges above 0, 1, 2 and 3.
        let grid = between_bins_of([0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 4.0].into_iter(), 10);
        assert_eq!((0..grid.len()).map(|edge| grid.value(edge).round()).collect::<Vec<_>>(), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(grid.stable, [0.7, 0.6, 0.5, 0.4]);
        for values in [vec![], vec![2.0; 7]] {
            let grid = between_bins_of(values.into_iter(), 10);
            assert_eq!((grid.len(), grid.stable.clone()), (1, vec![0.0]));
        }
    }

    #[test]
    fn a_share_is_replaced_up_to_the_distance() {
        let grid = between_bins_of((1..=1000).map(f64::from), 10);
        for limit in [0.0, 0.05, 0.3] {
            let part = grid.replaced(Measure::Ks, limit);
            let apart = grid.stable.iter().map(|share| part * (1.0 - share)).fold(0.0, f64::max);
            assert!((apart - limit).abs() < 1e-12, "{limit}: {apart}");
        }
        for limit in [0.1, 0.25] {
            let part = grid.replaced(Measure::Psi, limit);
            let above: Vec<f64> = grid.stable.iter().map(|share| share + part * (1.0 - share)).collect();
            let index = drift::population_stability(&between(&above), &between(&grid.stable));
            assert!((index - limit).abs() < 1e-9, "{limit}: {index}");
        }
        // No share of requests is so far.
        assert!(grid.replaced(Measure::Ks, 0.99) > 1.0 - 1e-9);
    }

    #[test]
    fn thresholds_are_at_their_own_place() {
        let grid = grid();
        for index in 0..grid.len() - 1 {
            let place = grid.place(grid.value(index));
            assert!((place.index as f64 + place.part - index as f64).abs() < 1e-6, "{index}: {place:?}");
        }
        assert_eq!(grid.place(1.0), GridPlace { index: 0, part: 0.0 });
        assert_eq!(grid.place(1e9).index, grid.len() - 1);
    }
}
