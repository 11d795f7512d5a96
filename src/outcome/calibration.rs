//! One common level for all gates, found by replaying a candidate that is exactly as bad as every gate accepts.

use rayon::prelude::*;

use super::boundaries::Boundaries;
use super::player::{Player, Screens};
use crate::gate::lens::Lens;
use crate::stats::interval::wilson;

/// Replicates of the calibration have numbers from here: none of them is ever reported.
const FIRST_REPLICATE: usize = 1 << 40;

/// Fewer replicates than this do not calibrate.
const FEWEST_REPLICATES: usize = 1000;

/// Steps between the levels at which boundaries are made: between them they are interpolated.
const RUNG_STEP: f64 = 4.0;

/// How far below the split levels a calibration may go.
const SMALLEST_FACTOR: f64 = 1.0 / 64.0;

/// What the calibration found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// By which every gate's share of the budget is multiplied.
    pub factor: f64,
    /// Number of replicates, none of which is reported.
    pub replicates: usize,
    /// The share of them that is rolled back at that level, with its Monte Carlo interval.
    pub rate: (f64, f64, f64),
}

/// Factors of the split levels at which a ladder of boundaries is made.
pub(super) fn rungs(largest: f64) -> Vec<f64> {
    let mut rungs: Vec<f64> = std::iter::successors(Some(largest), |factor| Some(factor / RUNG_STEP))
        .take_while(|&factor| factor > SMALLEST_FACTOR)
        .collect();
    rungs.push(SMALLEST_FACTOR);
    rungs.reverse();
    rungs
}

/// The largest factor that is allowed: no gate gets more than the whole budget in one stage.
pub(super) fn largest_factor(player: &Player<'_>, budget: f64) -> f64 {
    let largest = player.rolling_back().map(|gate| player.levels.alpha_fail[gate]).fold(0.0, f64::max);
    if largest > 0.0 { (budget / largest).max(1.0) } else { 1.0 }
}

/// The factor at which the budget is used up.
///
/// # Formula
/// Each replicate has a smallest factor at which some gate that rolls back fails in some stage, each gate in a world in which its own metric
/// is worse by exactly what it accepts: the least favourable of all worlds in which no failure is right. With `n` replicates and a budget
/// `b`, the answer is the `floor(b (n + 1))`-th smallest: a further replicate lies at or below it with a chance of at most `b`, averaged over
/// calibrations. Stages count as if each was reached, so that the budget holds whatever a person decides about a rollout that waits.
///
/// # Source
/// G. A. Barnard (1963), JRSS B 25, 294 (Monte Carlo tests); V. Vovk, A. Gammerman, G. Shafer (2005), Algorithmic Learning in a Random
/// World, chapter 2, for the order statistic.
pub(super) fn calibrate(player: &Player<'_>, ladder: &Boundaries, budget: f64) -> Calibration {
    let replicates = player.scenario.simulation.replicates.max(FEWEST_REPLICATES);
    let lens = |gate: usize| (gate, player.gates[gate].lenses[player.gates[gate].failing_lens]);
    let lenses: Vec<(usize, Lens)> = player.rolling_back().map(lens).collect();
    let factors: Vec<Vec<f64>> = player
        .blocks(replicates)
        .par_iter()
        .map(|block| {
            let block: Vec<(usize, usize)> =
                block.iter().map(|&(start, number)| (start, FIRST_REPLICATE + number)).collect();
            smallest_factors(player, ladder, &lenses, &block)
        })
        .collect();
    let mut factors: Vec<f64> = factors.into_iter().flatten().collect();
    factors.sort_unstable_by(f64::total_cmp);
    let largest = largest_factor(player, budget);
    let place = (budget * (replicates as f64 + 1.0)).floor() as usize;
    let factor = place.checked_sub(1).map_or(1.0, |index| factors[index]).clamp(SMALLEST_FACTOR, largest);
    let events = factors.iter().filter(|&&other| other <= factor).count() as f64;
    let (low, high) = wilson(events, replicates as f64, 0.95);
    Calibration { factor, replicates, rate: (events / replicates as f64, low, high) }
}

fn smallest_factors(
    player: &Player<'_>,
    ladder: &Boundaries,
    lenses: &[(usize, Lens)],
    block: &[(usize, usize)],
) -> Vec<f64> {
    player.with_twins(player.lanes(block), |_, twins, planned| {
        let screens = Screens::new(&player.simulator.layout, twins);
        let of_gate = |&(gate, lens): &(usize, Lens)| {
            let stages = player.verdicts(gate, &lens, &screens, planned, ladder);
            let smallest = stages.iter().flatten().map(|said| said.level).fold(f64::INFINITY, f64::min);
            smallest / player.levels.alpha_fail[gate]
        };
        lenses.iter().map(of_gate).fold(f64::INFINITY, f64::min)
    })
}

impl Player<'_> {
    /// Gates whose failures may roll back.
    pub(super) fn rolling_back(&self) -> impl Iterator<Item = usize> {
        (0..self.gates.len()).filter(|&gate| self.scenario.rollout.rolls_back(&self.scenario.gates[gate]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_cover_all_factors() {
        for largest in [1.0, 3.0, 40.0] {
            let rungs = rungs(largest);
            assert!(rungs.windows(2).all(|pair| pair[0] < pair[1] && pair[1] <= pair[0] * RUNG_STEP * (1.0 + 1e-12)));
            assert!((rungs[0] - SMALLEST_FACTOR).abs() < 1e-15 && (rungs[rungs.len() - 1] - largest).abs() < 1e-12);
        }
    }
}
