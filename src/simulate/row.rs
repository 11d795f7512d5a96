//! Which numbers a row adds to the sums of its slice, and where each is.
//!
//! Answers with the same denominator share its sums: an effect has stable's, and all metrics of requests have one between them.

use super::Simulator;
use super::additions::{Answer, Block};
use super::kernel::TILE;
use super::layout::{COUNTS, MOMENTS};

/// Numbers of a row that are no inputs: units of which a covered request is seen for the first time, of stable and of the candidate.
pub(super) const UNITS: usize = 2;

/// The numbers of a row.
#[derive(Default)]
pub(super) struct RowPlan {
    /// What is summed over both arms comes first: counts and stable's answers; then what is summed over the candidate's alone.
    pub(super) parts: [Part; 2],
    /// Tiles of a row, and of its first part.
    pub(super) tiles: usize,
    pub(super) stable_tiles: usize,
    /// Running totals that a unit needs: which versions' covered requests were seen, then one of each denominator and of each numerator, then
    /// two of each other answer.
    pub(super) totals: usize,
    /// Where each count is.
    pub(super) counts: [usize; COUNTS],
    /// Of answers with intervals: where a unit's totals say where its ladder is, and the number of intervals.
    pub(super) ladders: Vec<(usize, usize)>,
    /// Where a row has what it adds when answers are exchanged, if it then adds anything.
    exchanged: Vec<Option<usize>>,
}

/// Numbers that lie together: inputs, X and XX of each denominator, Y, YY and YX of each numerator, then those of other answers.
#[derive(Default)]
pub(super) struct Part {
    /// Inputs of which nothing but the sum is kept.
    pub(super) alone: Vec<usize>,
    pub(super) alone_at: usize,
    /// Inputs that are denominators.
    pub(super) x: Vec<usize>,
    pub(super) x_at: usize,
    pub(super) y: Vec<Numerator>,
    pub(super) y_at: usize,
    /// Answers that must be worked out, by index.
    pub(super) others: Vec<usize>,
}

/// A numerator that is among the inputs.
pub(super) struct Numerator {
    /// The input that it is from the slot on at which an effect sets in, and before.
    y: usize,
    y_before: usize,
    onset: i64,
    /// The one that it is in this slot.
    pub(super) now: usize,
    /// Its denominator, among those of both parts.
    pub(super) x: usize,
}

impl RowPlan {
    /// Finds places for the numbers of each answer; they come block by block. With `swaps` answers of some rows are exchanged, and none share
    /// anything: what one is exchanged for need not be what the other is.
    pub(super) fn new(sim: &Simulator, answers: &mut [Answer], swaps: bool) -> Self {
        let input = |input: usize| if swaps { input } else { sim.cells.same[input] };
        let mut parts = [Part::default(), Part::default()];
        // The denominator of each answer that is read; stable's come first.
        let mut x_of = Vec::new();
        for answer in &*answers {
            let x = answer.read.map(|read| {
                let [stable, own] = &mut parts;
                let known = stable.x.iter().chain(&own.x).position(|&x| x == input(read.x) && !swaps);
                known.unwrap_or_else(|| {
                    let part = if answer.block == Block::Stable { &mut stable.x } else { &mut own.x };
                    part.push(input(read.x));
                    stable.x.len() + own.x.len() - 1
                })
            });
            x_of.push(x);
        }
        // Covered requests, all requests, and those that the candidate covers.
        let counted = [1, 0, 2].map(input);
        for count in counted {
            if !parts[0].x.contains(&count) && !parts[0].alone.contains(&count) {
                parts[0].alone.push(count);
            }
        }
        let mut total = 1 + x_of.iter().flatten().count() + parts.iter().map(|part| part.x.len()).sum::<usize>();
        let (mut at, mut stable_tiles) = (UNITS, 0);
        let (mut x_at, mut ladders) = (Vec::new(), Vec::new());
        for (index, part) in parts.iter_mut().enumerate() {
            part.alone_at = at;
            part.x_at = part.alone_at + part.alone.len();
            part.y_at = part.x_at + 2 * part.x.len();
            x_at.extend((part.x_at..part.y_at).step_by(2));
            let mine = |answer: &Answer| usize::from(answer.block != Block::Stable) == index;
            for (answer, x) in answers.iter_mut().zip(&x_of).filter(|(answer, _)| mine(answer)) {
                let (Some(read), &Some(x)) = (answer.read, x) else { continue };
                let (y_at, x_at) = (part.y_at + 3 * part.y.len(), x_at[x]);
                answer.at = [y_at, x_at, y_at + 1, y_at + 2, x_at + 1];
                part.y.push(Numerator { y: read.y, y_before: read.y_before, onset: read.onset, now: read.y, x });
            }
            at = part.y_at + 3 * part.y.len();
            let is_other = |(_, answer): &(usize, &mut Answer)| mine(answer) && answer.read.is_none();
            for (place, answer) in answers.iter_mut().enumerate().filter(is_other) {
                part.others.push(place);
                answer.at = std::array::from_fn(|moment| at + moment);
                at += answer.worked_out();
                if answer.intervals > 0 {
                    ladders.push((total + 1, answer.intervals));
                }
                total += 2;
            }
            at = at.next_multiple_of(TILE);
            if index == 0 {
                stable_tiles = at / TILE;
            }
        }
        let count_at = |count: usize| {
            let find = |inputs: &[usize]| inputs.iter().position(|&input| input == count);
            let alone = || parts[0].alone_at + find(&parts[0].alone).expect("counts are kept");
            find(&parts[0].x).map_or_else(alone, |x| x_at[x])
        };
        let [covered, requests, covered_candidate] = counted.map(count_at);
        let counts = [0, covered, requests, 1, covered_candidate];
        let exchanged = if swaps { exchanged(answers, counts, at) } else { Vec::new() };
        Self { parts, tiles: at / TILE, stable_tiles, totals: total, counts, ladders, exchanged }
    }

    /// Goes on to a slot of the window.
    pub(super) fn set_in(&mut self, slot: usize) {
        for y in self.parts.iter_mut().flat_map(|part| &mut part.y) {
            y.now = if slot as i64 >= y.onset { y.y } else { y.y_before };
        }
    }

    /// What rows add when answers are exchanged.
    pub(super) fn exchange(&self, rows: &[[f64; TILE]], to: &mut Vec<[f64; TILE]>) {
        to.clear();
        to.resize(rows.len(), [0.0; TILE]);
        let width = self.tiles * TILE;
        let both = to.as_flattened_mut().chunks_exact_mut(width).zip(rows.as_flattened().chunks_exact(width));
        for (to, row) in both {
            for (to, &from) in to.iter_mut().zip(&self.exchanged) {
                *to = from.map_or(0.0, |from| row[from]);
            }
        }
    }
}

/// Counts stay, stable's answers and the candidate's, of which there are as many, change places, and effects add nothing.
fn exchanged(answers: &[Answer], counts: [usize; COUNTS], width: usize) -> Vec<Option<usize>> {
    let mut from = vec![None; width];
    for count in counts {
        from[count] = Some(count);
    }
    let of = |block: Block| answers.iter().filter(move |answer| answer.block == block);
    for (stable, candidate) in of(Block::Stable).zip(of(Block::Candidate)) {
        let numbers = if stable.read.is_some() { MOMENTS } else { stable.worked_out() };
        for (&stable, &candidate) in stable.at.iter().zip(&candidate.at).take(numbers) {
            from[stable] = Some(candidate);
            from[candidate] = Some(stable);
        }
    }
    from
}
