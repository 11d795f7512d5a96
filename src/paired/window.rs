//! The pairs of one stage → what copies of its units show about every question, in every world.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::golden::Golden;
use super::pairs::{Moments, Row, Rows};
use super::{Asked, Said, Shown};
use crate::digest::Digest;
use crate::digest::bins::{BINS_PER_OCTAVE, BinLists};
use crate::digest::cells::{MetricCells, SumCells};
use crate::domain::gate::Gate;
use crate::domain::metric::{Direction, Margin};
use crate::domain::version::{PerVersion, Version};
use crate::domain::world::{Change, Effect};
use crate::gate::lens::Lens;
use crate::gate::question::{Against, Contrast, Question};
use crate::scenario::Scenario;
use crate::simulate::Simulator;
use crate::simulate::effects::{flipped, grown};
use crate::simulate::grid::Grid;
use crate::simulate::layout::{Answers, Shape, Slice, Stream};

/// Where the pairs of a window come from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// None: the log itself.
    pub(super) golden: Option<&'a Golden>,
    /// Of the golden set, or of the log.
    pub(super) digest: &'a Digest,
    /// Of the log.
    pub(super) log: &'a Digest,
    pub(super) scenario: &'a Scenario,
    pub(super) simulator: &'a Simulator,
}

/// Per gate and question: nothing where the stage does not ask, or none of its requests are meant.
pub struct Window(Vec<Vec<Option<Sides>>>);

/// A question's two margins; where they are the same, there is one.
struct Sides {
    pass: Side,
    fail: Option<Side>,
}

/// One margin of a question: `sign * (candidate - factor * stable) - offset`.
struct Side {
    rows: Rows,
    sign: f64,
    factor: f64,
    offset: f64,
    /// Of a share: the margin. A regression of `d` is at least `d` of the requests that differ.
    least: Option<Margin>,
    /// Per lens.
    shows: Vec<Show>,
}

/// How a world shows the candidate's answers.
struct Show {
    /// Added to its ratio.
    shift: f64,
    /// Added to its numerators, row by row.
    added: Option<Vec<f64>>,
}

/// Cells in some slots; cells are in the order of slots.
pub(super) fn cells_of(digest: &Digest, slots: Range<usize>) -> Range<usize> {
    let before = |slot: usize| digest.cells.slot.partition_point(|&of| (of as usize) < slot);
    before(slots.start)..before(slots.end)
}

impl Window {
    /// What copies of the units show.
    pub(super) fn said(&self, copies: &[f64]) -> Said {
        let of_question = |sides: &Option<Sides>| sides.as_ref().map_or_else(Vec::new, |sides| sides.said(copies));
        self.0.iter().map(|questions| questions.iter().map(of_question).collect()).collect()
    }
}

impl Sides {
    fn said(&self, copies: &[f64]) -> Vec<Option<Shown>> {
        let pass = self.pass.said(copies);
        let fail = self.fail.as_ref().map(|fail| fail.said(copies));
        let shown = |lens: usize| {
            let (pass, moments) = pass[lens]?;
            let fail = fail.as_ref().map_or(Some(pass), |fail| fail[lens].map(|(fail, _)| fail))?;
            let Moments { units, requests, stable, .. } = moments;
            Some(Shown { pass, fail, units, requests, stable })
        };
        (0..pass.len()).map(shown).collect()
    }
}

impl Side {
    fn said(&self, copies: &[f64]) -> Vec<Option<(Contrast, Moments)>> {
        let plain = self.rows.moments(copies, None, self.factor);
        let of_lens = |show: &Show| {
            let moments = match &show.added {
                None => plain,
                Some(added) => self.rows.moments(copies, Some(added), self.factor),
            }?;
            Some((self.contrast(moments, show.shift), moments))
        };
        self.shows.iter().map(of_lens).collect()
    }

    fn contrast(&self, of: Moments, shift: f64) -> Contrast {
        let difference = self.sign * (of.candidate + shift - self.factor * of.stable) - self.offset;
        let least = self.least.map_or(0.0, |margin| {
            let share = match margin {
                Margin::Relative(share) => share * of.stable.abs(),
                Margin::Absolute(amount) => amount,
            };
            (share - share * share).max(0.0) / of.requests
        });
        let variance = of.variance.map(|variance| variance.max(least));
        let Moments { effective_units, .. } = of;
        Contrast { difference, variance, df: effective_units - 1.0, effective_units, deviate: None }
    }
}

/// A cell, and how many slots of the rollout lie before it.
#[derive(Clone, Copy)]
struct Timed {
    cell: usize,
    at: usize,
}

/// Cells by unit and item, in that order.
struct Grouped {
    cells: Vec<Timed>,
    /// Where each row begins, and where the last one ends.
    starts: Vec<usize>,
}

impl Grouped {
    fn sums(&self, of: impl Fn(Timed) -> f64) -> Vec<f64> {
        let row = |ends: &[usize]| self.cells[ends[0]..ends[1]].iter().map(|&cell| of(cell)).sum();
        self.starts.windows(2).map(row).collect()
    }
}

impl Source<'_> {
    /// The pairs in some slots, before which the rollout has run for so many.
    pub(super) fn window(self, stage: usize, slots: &[Range<usize>], elapsed: usize, asked: &[Asked<'_>]) -> Window {
        let facts = &self.scenario.stages[stage];
        let of_gate = |(gate, asked): (usize, &Asked<'_>)| {
            let rule = &self.scenario.gates[gate];
            let cells = if rule.asked_in(facts) { self.cells(slots, elapsed, rule) } else { Vec::new() };
            let sides = |question: &Question| self.sides(rule, *question, asked.lenses, &cells);
            asked.questions.iter().map(sides).collect()
        };
        Window(asked.iter().enumerate().map(of_gate).collect())
    }

    /// Cells whose judgements are there at the stage's end.
    fn cells(self, slots: &[Range<usize>], elapsed: usize, gate: &Gate) -> Vec<Timed> {
        let delay = self.scenario.metrics[gate.metric].judge.delay.steps(self.digest.slot);
        let all: usize = slots.iter().map(ExactSizeIterator::len).sum();
        let seen = if self.golden.is_some() { all } else { all.saturating_sub(delay) };
        let mut before = 0;
        let mut found = Vec::new();
        for slots in slots {
            for cell in cells_of(self.digest, slots.clone()) {
                let after = before + self.digest.cells.slot[cell] as usize - slots.start;
                // A golden set is asked at once.
                let at = if self.golden.is_some() { elapsed } else { elapsed + after };
                if after < seen {
                    found.push(Timed { cell, at });
                }
            }
            before += slots.len();
        }
        found
    }

    /// Index of a metric of the scenario in the digest.
    fn metric(self, metric: usize) -> Option<usize> {
        self.golden.map_or(Some(metric), |golden| golden.metrics[metric])
    }

    /// Index of a segment column of the scenario in the digest.
    fn column(self, column: usize) -> Option<usize> {
        self.golden.map_or(Some(column), |golden| golden.columns[column])
    }

    fn sides(self, gate: &Gate, question: Question, lenses: &[Lens], cells: &[Timed]) -> Option<Sides> {
        let Against::Stable { allow, harm } = question.against else { return None };
        let values = &self.digest.cells.metrics[self.metric(gate.metric)?];
        let grouped = self.grouped(question, cells, |cell| pairs(values, cell) > 0.0)?;
        let side = |margin: Margin| Questioned { source: self, gate, margin, grouped: &grouped }.side(values, lenses);
        Some(Sides { pass: side(allow)?, fail: if harm == allow { None } else { Some(side(harm)?) } })
    }

    /// The cells of a question that satisfy a condition, if there are any.
    fn grouped(self, question: Question, cells: &[Timed], holds: impl Fn(usize) -> bool) -> Option<Grouped> {
        let of = &self.digest.cells;
        let wanted = match self.simulator.layout.slices[question.slice] {
            Slice::Overall => None,
            Slice::Segment { column, value } => {
                let name = &self.log.segments[column].values[value];
                let column = self.column(column)?;
                let value = self.digest.segments[column].values.iter().position(|known| known == name)?;
                Some((column, value))
            }
        };
        let meant = |cell: usize| wanted.is_none_or(|(column, value)| usize::from(of.segment[column][cell]) == value);
        let mut cells: Vec<Timed> =
            cells.iter().copied().filter(|&Timed { cell, .. }| meant(cell) && holds(cell)).collect();
        let key = |cell: usize| (of.unit[cell], of.item.get(cell).copied().unwrap_or(0));
        cells.sort_by_key(|&Timed { cell, .. }| key(cell));
        let begins = |&index: &usize| index == 0 || key(cells[index - 1].cell) != key(cells[index].cell);
        let starts = (0..cells.len()).filter(begins).chain([cells.len()]).collect();
        (!cells.is_empty()).then_some(Grouped { cells, starts })
    }
}

/// Pairs of a cell; of a quantile, which keeps no pairs, as many as there can be.
fn pairs(values: &MetricCells, cell: usize) -> f64 {
    match values {
        MetricCells::Sums(sums) => sums.paired.n[cell],
        MetricCells::Bins(lists) => pairs_of(lists, cell),
    }
}

fn pairs_of(lists: &PerVersion<BinLists>, cell: usize) -> f64 {
    lists.stable.of(cell).len().min(lists.candidate.of(cell).len()) as f64
}

/// One margin of a question, and the cells that it is about.
#[derive(Clone, Copy)]
struct Questioned<'a> {
    source: Source<'a>,
    gate: &'a Gate,
    margin: Margin,
    grouped: &'a Grouped,
}

/// Numerators and denominators of both versions, row by row.
struct Columns {
    requests: Vec<f64>,
    numerators: PerVersion<Vec<f64>>,
    denominators: PerVersion<Vec<f64>>,
}

impl Columns {
    fn ratio(&self, version: Version) -> Option<f64> {
        let (y, x): (f64, f64) =
            (self.numerators.get(version).iter().sum(), self.denominators.get(version).iter().sum());
        (x > 0.0).then_some(y / x)
    }
}

impl Questioned<'_> {
    fn better(self) -> Direction {
        self.source.scenario.metrics[self.gate.metric].better
    }

    fn side(self, values: &MetricCells, lenses: &[Lens]) -> Option<Side> {
        match (values, &self.source.simulator.layout.shapes[self.gate.metric]) {
            (MetricCells::Sums(sums), _) => self.of_sums(sums, lenses),
            (MetricCells::Bins(lists), Shape::Grid(grid)) => self.of_bins(lists, grid, lenses),
            (MetricCells::Bins(_), Shape::Moments) => None,
        }
    }

    fn of_sums(self, sums: &SumCells, lenses: &[Lens]) -> Option<Side> {
        let paired = &sums.paired;
        let x =
            |version: Version, cell: usize| paired.den.as_ref().map_or(paired.n[cell], |den| den.get(version)[cell]);
        let y = |version: Version, cell: usize| paired.num.get(version)[cell];
        let columns = Columns {
            requests: self.grouped.sums(|of| paired.n[of.cell]),
            numerators: PerVersion::from_fn(|version| self.grouped.sums(|of| y(version, of.cell))),
            denominators: PerVersion::from_fn(|version| self.grouped.sums(|of| x(version, of.cell))),
        };
        let (stable, candidate) = (columns.ratio(Version::Stable)?, columns.ratio(Version::Candidate)?);
        let show = |lens: &Lens| match (lens.swapped, lens.answers) {
            (false, Answers::Candidate) => Show { shift: 0.0, added: None },
            (false, Answers::Stable) => Show { shift: lens.scale * stable + lens.shift - candidate, added: None },
            (_, answers) => {
                let change = |effect: usize| {
                    self.grouped.sums(|of| {
                        let of_cell = (y(Version::Stable, of.cell), x(Version::Stable, of.cell));
                        self.changed(effect, of, of_cell)
                    })
                };
                Show { shift: stable - candidate, added: self.effect(answers).map(change) }
            }
        };
        let (factor, offset) = self.margin.contrast(self.better());
        let kind = &self.source.scenario.metrics[self.gate.metric].kind;
        let least = kind.is_share().then_some(self.margin);
        Some(self.with(columns, (factor, offset), least, lenses.iter().map(show).collect()))
    }

    /// What share of requests lies above a threshold: that which is nearest to stable's quantile over all pairs, for the candidate worse by
    /// the margin.
    fn of_bins(self, lists: &PerVersion<BinLists>, grid: &Grid, lenses: &[Lens]) -> Option<Side> {
        let all_above = |version: Version, position: f64| {
            self.grouped.sums(move |of| above(lists.get(version).of(of.cell), position))
        };
        let requests = |version: Version| self.grouped.sums(|of| lists.get(version).of(of.cell).len() as f64);
        let denominators = PerVersion::from_fn(requests);
        let share = |version: Version, position: f64| {
            let all: f64 = denominators.get(version).iter().sum();
            all_above(version, position).iter().sum::<f64>() / all
        };
        let (low, high) = grid.quantile_range;
        let off = |index: usize| (share(Version::Stable, f64::from(grid.bins[index])) - grid.tail).abs();
        let threshold = (low..=high).min_by(|&a, &b| off(a).total_cmp(&off(b)))?;
        let (factor, offset) = self.margin.contrast(self.better());
        let moved = factor * grid.value(threshold) + self.better().worse_sign() * offset;
        let at = position(moved);
        let (stable, candidate) = (share(Version::Stable, at), share(Version::Candidate, at));
        let show = |lens: &Lens| match (lens.swapped, lens.answers) {
            (false, Answers::Candidate) => Show { shift: 0.0, added: None },
            (false, Answers::Stable) => {
                let asked = position((moved - lens.shift) / lens.scale);
                Show { shift: share(Version::Stable, asked) - candidate, added: None }
            }
            (_, answers) => {
                let change = |effect: usize| {
                    self.grouped.sums(|of| {
                        let list = lists.stable.of(of.cell);
                        self.moved(effect, of, moved)
                            .map_or(0.0, |other| above(list, position(other)) - above(list, at))
                    })
                };
                Show { shift: stable - candidate, added: self.effect(answers).map(change) }
            }
        };
        let shows = lenses.iter().map(show).collect();
        let columns = Columns {
            requests: self.grouped.sums(|of| pairs_of(lists, of.cell)),
            numerators: PerVersion {
                stable: all_above(Version::Stable, f64::from(grid.bins[threshold])),
                candidate: all_above(Version::Candidate, at),
            },
            denominators: PerVersion::from_fn(requests),
        };
        Some(self.with(columns, (1.0, 0.0), None, shows))
    }

    fn with(self, columns: Columns, (factor, offset): (f64, f64), least: Option<Margin>, shows: Vec<Show>) -> Side {
        let Columns { requests, numerators, denominators } = columns;
        let row = |row: usize| Row {
            requests: requests[row],
            candidate: (numerators.candidate[row], denominators.candidate[row]),
            stable: (numerators.stable[row], denominators.stable[row]),
        };
        let of = &self.source.digest.cells;
        let firsts = || self.grouped.starts[..requests.len()].iter().map(|&first| self.grouped.cells[first].cell);
        let items: Vec<u32> =
            if of.item.is_empty() { Vec::new() } else { firsts().map(|cell| of.item[cell]).collect() };
        let rows = Rows {
            each: (0..requests.len()).map(row).collect(),
            unit: firsts().map(|cell| of.unit[cell]).collect(),
            item: numbered(&items),
        };
        Side { rows, sign: self.better().worse_sign(), factor, offset, least, shows }
    }

    /// The effect behind answers of its own.
    fn effect(self, answers: Answers) -> Option<usize> {
        let Answers::Effect(stream) = answers else { return None };
        match self.source.simulator.layout.streams[stream] {
            Stream::Effect(effect) => Some(effect),
            Stream::Excess { .. } | Stream::Adjusted { .. } => None,
        }
    }

    /// How far an effect has grown in a cell in which it holds.
    fn grown(self, effect: &Effect, of: Timed) -> Option<f64> {
        let slots = |seconds: crate::domain::quantity::Seconds| (seconds.0 / self.source.digest.slot.0) as usize;
        let holds = |(column, values): &(usize, Vec<String>)| {
            self.source.column(*column).is_some_and(|column| {
                let value = usize::from(self.source.digest.cells.segment[column][of.cell]);
                values.contains(&self.source.digest.segments[column].values[value])
            })
        };
        let since = of.at.checked_sub(slots(effect.onset))?;
        effect.only.iter().all(holds).then(|| grown(since, slots(effect.ramp)))
    }

    /// What an effect adds to the numerator of a cell, of which stable's numerator and denominator are given.
    fn changed(self, effect: usize, of: Timed, (y, x): (f64, f64)) -> f64 {
        let written = &self.source.scenario.effects[effect];
        let Some(grown) = self.grown(written, of) else { return 0.0 };
        grown
            * match written.change {
                Change::Shift(shift) => shift * x,
                Change::Scale(scale) => (scale - 1.0) * y,
                Change::Flip(share) => {
                    let (good, sign) = match self.better() {
                        Direction::Higher => (y, -1.0),
                        Direction::Lower => (x - y, 1.0),
                    };
                    sign * flipped(good, share, self.seed(effect, of.cell))
                }
            }
    }

    /// Where stable's requests are asked in place of those that an effect changes.
    fn moved(self, effect: usize, of: Timed, threshold: f64) -> Option<f64> {
        let written = &self.source.scenario.effects[effect];
        let grown = self.grown(written, of)?;
        Some(match written.change {
            Change::Shift(shift) => threshold - grown * shift,
            Change::Scale(scale) => threshold / (1.0 + grown * (scale - 1.0)),
            Change::Flip(_) => threshold,
        })
    }

    /// A seed that belongs to the cell, not to its place in the file.
    fn seed(self, effect: usize, cell: usize) -> u64 {
        let digest = self.source.digest;
        let mut key = digest.units[digest.cells.unit[cell] as usize].as_bytes().to_vec();
        key.extend((digest.first.0 + i64::from(digest.cells.slot[cell]) * digest.slot.0).to_le_bytes());
        for (column, values) in digest.cells.segment.iter().zip(&digest.segments) {
            key.push(0);
            key.extend(values.values[column[cell] as usize].as_bytes());
        }
        if let Some(&item) = digest.cells.item.get(cell) {
            key.push(0);
            key.extend(digest.items[item as usize].as_bytes());
        }
        xxh3_64_with_seed(&key, self.source.scenario.simulation.seed ^ effect as u64)
    }
}

/// Items by their place among those that occur.
fn numbered(items: &[u32]) -> Vec<u32> {
    let mut known = items.to_vec();
    known.sort_unstable();
    known.dedup();
    items.iter().map(|item| known.partition_point(|other| other < item) as u32).collect()
}

/// A value on the scale of bins.
fn position(value: f64) -> f64 {
    if value > 0.0 { BINS_PER_OCTAVE * value.log2() } else { f64::NEG_INFINITY }
}

/// Requests of a cell above a place on the scale of bins; between two edges in proportion.
fn above(bins: &[i16], position: f64) -> f64 {
    let beyond = |edge: f64| (bins.len() - bins.partition_point(|&bin| f64::from(bin) <= edge)) as f64;
    // Edges such as 2^(b/64) do not survive the logarithm exactly.
    let edge = (position + 1e-9).floor();
    let part = (position - edge).clamp(0.0, 1.0);
    if part > 0.0 { (1.0 - part) * beyond(edge) + part * beyond(edge + 1.0) } else { beyond(edge) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::bins::{bin, edge};

    #[test]
    fn requests_above_an_edge_are_those_of_later_bins() {
        let bins = [bin(1.0), bin(2.0), bin(2.0), bin(8.0)];
        let counted = |value: f64| above(&bins, position(value));
        let whole = |value: f64| counted(value) as u32;
        assert_eq!([0.0, 0.5, 1.0, 1.9, 2.0, 7.9, 8.0].map(whole), [4, 4, 3, 3, 1, 1, 0]);
        // Half of the way from one edge to the next.
        let between = (edge(bin(2.0) - 1) * 2.0).sqrt();
        assert!((counted(between) - 2.0).abs() < 1e-6, "{}", counted(between));
    }

    #[test]
    fn items_are_numbered_by_those_that_occur() {
        assert_eq!(numbered(&[700, 3, 700, 12]), [2, 0, 2, 1]);
    }
}
