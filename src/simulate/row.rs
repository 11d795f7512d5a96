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
        let shared = |x: &[usize], count: usize| x.iter().position(|&x| x == count && !swaps);
        for count in counted {
            if shared(&parts[0].x, count).is_none() && !parts[0].alone.contains(&count) {
                parts[0].alone.push(count);
            }
        }
        let stable_x = parts[0].x.len();
        let (mut at, mut stable_tiles) = (UNITS, 0);
        for (index, part) in parts.iter_mut().enumerate() {
            part.alone_at = at;
            part.x_at = part.alone_at + part.alone.len();
            part.y_at = part.x_at + 2 * part.x.len();
            for (answer, x) in answers.iter().zip(&x_of).filter(|(answer, _)| part_of(answer) == index) {
                if let (Some(read), &Some(x)) = (answer.read, x) {
                    part.y.push(Numerator { y: read.y, y_before: read.y_before, onset: read.onset, now: read.y, x });
                }
            }
            at = part.y_at + 3 * part.y.len();
            for (place, answer) in answers.iter_mut().enumerate().filter(|(_, answer)| part_of(answer) == index) {
                if answer.read.is_none() {
                    part.others.push(place);
                    answer.at = std::array::from_fn(|moment| at + moment);
                    at += answer.worked_out();
                }
            }
            at = at.next_multiple_of(TILE);
            if index == 0 {
                stable_tiles = at / TILE;
            }
        }
        let x_at = |x: usize| {
            let (part, index) = if x < stable_x { (&parts[0], x) } else { (&parts[1], x - stable_x) };
            part.x_at + 2 * index
        };
        let mut read = [0, 0];
        for (answer, x) in answers.iter_mut().zip(&x_of) {
            let &Some(x) = x else { continue };
            let part = part_of(answer);
            let (y, x) = (parts[part].y_at + 3 * read[part], x_at(x));
            read[part] += 1;
            answer.at = [y, x, y + 1, y + 2, x + 1];
        }
        let count_at = |count: usize| {
            let alone = || parts[0].alone_at + parts[0].alone.iter().position(|&input| input == count).expect("kept");
            shared(&parts[0].x, count).map_or_else(alone, x_at)
        };
        let [covered, requests, covered_candidate] = counted.map(count_at);
        let counts = [0, covered, requests, 1, covered_candidate];
        let exchanged = if swaps { exchanged(answers, counts, at) } else { Vec::new() };
        let mut plan = Self { parts, tiles: at / TILE, stable_tiles, counts, exchanged, ladders: Vec::new() };
        let others: Vec<usize> = plan.parts.iter().flat_map(|part| &part.others).copied().collect();
        let first = plan.totals() - 2 * others.len();
        let with_intervals =
            others.iter().enumerate().map(|(place, &answer)| (first + 2 * place + 1, answers[answer].intervals));
        plan.ladders = with_intervals.filter(|&(_, intervals)| intervals > 0).collect();
        plan
    }

    /// Running totals that a unit needs: which versions' covered requests were seen, then those of numbers that are read, then two of
    /// each other answer.
    pub(super) fn totals(&self) -> usize {
        1 + self.parts.iter().map(|part| part.x.len() + part.y.len() + 2 * part.others.len()).sum::<usize>()
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

fn part_of(answer: &Answer) -> usize {
    usize::from(answer.block != Block::Stable)
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
