//! Cumulative sums of normal deviates: how long they run, and the threshold for a stated run length.
//!
//! The sum is one-sided, `C = max(0, C + x - k)`, starts at 0 and signals above a threshold `h`; the `x` of each look is a
//! normal deviate with variance 1, and `k` is the reference value.

use super::normal;
use super::root::bracketed;

/// Run lengths, in looks, for which a threshold is known for every reference value from 0.1 to 1.5.
pub const RUN_LENGTHS: (f64, f64) = (20.0, 1e6);

/// The sum between 0 and its threshold, at 0 and at the nodes of a quadrature.
struct Chain {
    reference: f64,
    shift: f64,
    /// Where the sum may stand: 0 first, then the nodes.
    states: Vec<f64>,
    /// Weight of each node.
    weights: Vec<f64>,
}

impl Chain {
    fn new(reference: f64, threshold: f64, shift: f64) -> Self {
        // The density has a width of 1, so this many nodes leave nothing to be seen of the quadrature.
        let nodes = 20 + (2.5 * threshold.max(0.0)).ceil() as usize;
        let (places, weights): (Vec<f64>, Vec<f64>) = gauss_legendre(nodes)
            .into_iter()
            .map(|(place, weight)| (0.5 * threshold * (place + 1.0), 0.5 * threshold * weight))
            .unzip();
        Self { reference, shift, states: [vec![0.0], places].concat(), weights }
    }

    /// What one look takes a state to: the chance of 0, then the density at each node times its weight.
    fn step(&self, from: f64) -> impl Iterator<Item = f64> {
        let center = from + self.shift - self.reference;
        let density = move |to: f64| (-0.5 * (to - center) * (to - center)).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let nodes = self.states[1..].iter().zip(&self.weights).map(move |(&to, weight)| weight * density(to));
        std::iter::once(normal::cdf(-center)).chain(nodes)
    }
}

/// The average run length: looks until the sum signals, on average.
///
/// # Formula
/// `L(c) = 1 + L(0) Phi(k - c - d) + int_0^h L(y) phi(y + k - c - d) dy` at `c = 0`, by Gauss and Legendre's quadrature.
///
/// # Arguments
/// `reference` is `k`, `threshold` is `h >= 0`, `shift` is the mean `d` of each look's deviate.
///
/// # Accuracy
/// Relative 1e-8 for run lengths up to 1e8.
///
/// # Source
/// E. S. Page (1954), Biometrika 41, 100-115; A. L. Goel, S. M. Wu (1971), Technometrics 13, 221-230.
///
/// # Example
/// `k = 0.5`, `h = 5` without a shift: 930.89; with a shift of 1: 10.376 (Markov chain of Brook and Evans with 60 and 120 states, extrapolated).
#[must_use]
pub fn run_length(reference: f64, threshold: f64, shift: f64) -> f64 {
    let chain = Chain::new(reference, threshold, shift);
    let size = chain.states.len();
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(size);
    for (row, &from) in chain.states.iter().enumerate() {
        let mut equation: Vec<f64> = chain.step(from).map(|chance| -chance).collect();
        equation[row] += 1.0;
        equation.push(1.0);
        rows.push(equation);
    }
    solved(rows)[0]
}

/// The threshold at which the average run length without a shift is as stated.
///
/// # Arguments
/// `reference` from 0.1 to 1.5; `run_length` from 20 looks on.
///
/// # Source
/// The root of [`run_length`]; D. Siegmund (1985), Sequential Analysis, (2.57), says where it lies:
/// `L = (exp(2 k b) - 2 k b - 1) / (2 k²)` with `b = h + 1.166`.
///
/// # Example
/// `k = 0.5` and a run length of 370.4 looks: 4.096 (by the same Markov chain).
#[must_use]
pub fn threshold(reference: f64, run_length: f64) -> f64 {
    let of = |threshold: f64| (self::run_length(reference, threshold, 0.0) / run_length).ln();
    let near = siegmund(reference, run_length);
    let ends = ((near - 1.0).max(0.0), near + 1.0);
    // In the logarithm the run length is nearly a straight line.
    bracketed(of, ends).unwrap_or(near)
}

/// Siegmund's approximation of the threshold.
fn siegmund(reference: f64, run_length: f64) -> f64 {
    let of = |b: f64| {
        let slope = 2.0 * reference * b;
        (slope.exp_m1() - slope) / (2.0 * reference * reference) / run_length - 1.0
    };
    let most = ((2.0 * reference * reference).mul_add(run_length, 3.0).ln() + 3.0) / (2.0 * reference);
    (bracketed(of, (0.0, most)).unwrap_or(most) - 1.166).max(0.0)
}

/// The chance that the sum signals within so many looks.
///
/// # Formula
/// The integral equation of [`run_length`] for the chance to be below the threshold after each look.
///
/// # Source
/// The run length's distribution of D. Brook, D. A. Evans (1972), Biometrika 59, 539-549, with the quadrature of [`run_length`].
#[must_use]
pub fn chance_within(looks: usize, reference: f64, threshold: f64, shift: f64) -> f64 {
    let chain = Chain::new(reference, threshold, shift);
    let steps: Vec<Vec<f64>> = chain.states.iter().map(|&from| chain.step(from).collect()).collect();
    let mut silent = vec![1.0; chain.states.len()];
    for _ in 0..looks {
        silent =
            steps.iter().map(|step| step.iter().zip(&silent).map(|(chance, silent)| chance * silent).sum()).collect();
    }
    1.0 - silent[0]
}

/// Nodes and weights on -1 to 1.
///
/// # Source
/// Newton's method on the Legendre polynomial from the estimate `cos(pi (i - 1/4) / (n + 1/2))`.
fn gauss_legendre(nodes: usize) -> Vec<(f64, f64)> {
    let n = nodes as f64;
    let node = |index: usize| {
        let mut place = (std::f64::consts::PI * (index as f64 + 0.75) / (n + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (mut before, mut value) = (1.0, place);
            for degree in 2..=nodes {
                let degree = degree as f64;
                (before, value) = (value, ((2.0 * degree - 1.0) * place * value - (degree - 1.0) * before) / degree);
            }
            slope = n * (place * value - before) / (place * place - 1.0);
            let step = value / slope;
            place -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        (place, 2.0 / ((1.0 - place * place) * slope * slope))
    };
    (0..nodes).map(node).collect()
}

/// The solution of linear equations, each a row of coefficients and then the right side, by elimination with pivots.
fn solved(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let size = rows.len();
    for column in 0..size {
        let largest = |a: &usize, b: &usize| rows[*a][column].abs().total_cmp(&rows[*b][column].abs());
        let pivot = (column..size).max_by(largest).unwrap_or(column);
        rows.swap(column, pivot);
        let (done, rest) = rows.split_at_mut(column + 1);
        let first = &done[column];
        for row in rest {
            let factor = row[column] / first[column];
            row[column..].iter_mut().zip(&first[column..]).for_each(|(value, of)| *value -= factor * of);
        }
    }
    let mut solution = vec![0.0; size];
    for row in (0..size).rev() {
        let known: f64 = (row + 1..size).map(|column| rows[row][column] * solution[column]).sum();
        solution[row] = (rows[row][size] - known) / rows[row][row];
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn near(found: f64, expected: f64, relative: f64) {
        assert!((found / expected - 1.0).abs() < relative, "{found}, expected {expected}");
    }

    // The chain of Brook and Evans (1972) with 60 and 120 states, extrapolated, in another language.
    #[test]
    fn a_markov_chain_runs_as_long() {
        for (reference, threshold, shift, expected) in [
            (0.5, 4.0, 0.0, 335.368_213),
            (0.5, 5.0, 0.0, 930.890_838),
            (0.5, 5.0, 1.0, 10.375_972_7),
            (0.5, 4.0, 1.0, 8.383_200_4),
            (0.25, 8.01, 0.0, 740.670_302),
        ] {
            near(run_length(reference, threshold, shift), expected, 1e-5);
        }
        near(threshold(0.5, 370.4), 4.096_4, 2e-4);
    }

    // D. C. Montgomery, Introduction to Statistical Quality Control, table 9.3 (from Hawkins 1993): two-sided sums with k = 0.5. Far from
    // its target a two-sided sum runs as long as one side alone; on it, half as long.
    #[test]
    fn published_run_lengths() {
        for (threshold, in_control, shifted) in
            [(4.0, 168.0, [(1.0, 8.38), (2.0, 3.34)]), (5.0, 465.0, [(1.0, 10.4), (2.0, 4.01)])]
        {
            near(run_length(0.5, threshold, 0.0), 2.0 * in_control, 4e-3);
            for (shift, expected) in shifted {
                near(run_length(0.5, threshold, shift), expected, 5e-3);
            }
        }
        // W. D. Ewan (1963) and Hawkins (1993): thresholds for two-sided sums that run 370 looks, k and h.
        for (reference, expected) in [(0.25, 8.01), (0.5, 4.77), (0.75, 3.34), (1.0, 2.52), (1.25, 1.99), (1.5, 1.61)] {
            near(threshold(reference, 740.0), expected, 5e-3);
        }
    }

    #[test]
    fn a_threshold_of_zero_waits_for_one_deviate_beyond_the_reference() {
        for reference in [0.1, 0.5, 1.5] {
            near(run_length(reference, 0.0, 0.0), 1.0 / normal::upper_tail(reference), 1e-9);
            near(chance_within(1, reference, 2.0, 0.0), normal::upper_tail(reference + 2.0), 1e-6);
        }
    }

    #[test]
    fn thresholds_and_run_lengths_belong_to_each_other() {
        for reference in [0.1, 0.5, 1.5] {
            let mut before = -1.0;
            for length in [RUN_LENGTHS.0, 1e3, RUN_LENGTHS.1] {
                let found = threshold(reference, length);
                near(run_length(reference, found, 0.0), length, 1e-6);
                assert!(found > before, "{reference} {length}");
                // Siegmund's approximation is within a few per cent of the run length where the threshold is not small.
                if found > 2.0 && reference < 1.0 {
                    near(run_length(reference, siegmund(reference, length), 0.0), length, 0.1);
                }
                before = found;
            }
        }
    }

    // The chances to signal after each number of looks add up to the average run length: sum of P(RL > n).
    #[test]
    fn the_distribution_has_the_average() {
        let (reference, threshold) = (0.5, 2.0);
        let average = run_length(reference, threshold, 0.0);
        // Far out each look ends as large a share of the runs that are left as the look before.
        let silent: Vec<f64> = (0..200).map(|looks| 1.0 - chance_within(looks, reference, threshold, 0.0)).collect();
        let rest = silent[199] * silent[199] / (silent[198] - silent[199]);
        near(silent.iter().sum::<f64>() + rest, average, 1e-6);
    }

    #[test]
    fn simulated_sums_run_as_long() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for (reference, looks, shift) in [(0.5, 96, 0.0), (0.25, 300, 0.0), (0.5, 40, 0.6)] {
            let bound = threshold(reference, 200.0);
            let expected = chance_within(looks, reference, bound, shift);
            let (runs, mut signals) = (4000.0, 0);
            for _ in 0..4000 {
                let mut sum = 0.0_f64;
                let signalled = (0..looks).any(|_| {
                    let tail = rng.random::<f64>().max(f64::MIN_POSITIVE);
                    sum = (sum + normal::upper_quantile(tail) + shift - reference).max(0.0);
                    sum > bound
                });
                signals += usize::from(signalled);
            }
            let (found, se) = (signals as f64 / runs, (expected * (1.0 - expected) / runs).sqrt());
            assert!((found - expected).abs() < 4.0 * se, "{reference} {looks} {shift}: {found}, expected {expected}");
        }
    }
}
