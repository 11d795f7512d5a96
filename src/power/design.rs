//! How one question is decided in one stage, on the scale of standard errors at the stage's end.

use crate::domain::gate::{Looks, Test};
use crate::gate::sequence;
use crate::outcome::player::Player;
use crate::stats::{boundary, normal};

/// Fineness of the integral: good to four digits.
const RESOLUTION: u32 = 6;

/// Looks that the integral is taken over at most.
const LOOKS: usize = 32;

/// Distances, in standard errors, at which chances to fail are computed; between them their probits are interpolated.
const DISTANCES: [f64; 15] = [-6.0, -4.0, -3.0, -2.0, -1.0, -0.25, 0.5, 1.25, 2.0, 2.75, 3.5, 4.25, 5.5, 7.0, 9.0];

/// Neighbours among them that are integrated over at once, none more than 2 from that in the middle.
const TOGETHER: usize = 3;

/// Beyond this a probit is certainty.
const CERTAIN: f64 = 8.0;

/// When a question passes and when it fails.
pub(super) struct Design {
    /// Normal deviates by which the estimate must lie inside the margin at the stage's end to pass.
    critical_pass: f64,
    /// Information of each look that may fail, as a share of the stage's, and the deviate that must be exceeded there.
    looks: Vec<(f64, f64)>,
    /// One-sided error of the failing side of this question, and of all questions of the gate together.
    alpha: f64,
    alpha_all: f64,
    /// Probits of the chance to fail at [`DISTANCES`].
    probits: Vec<f64>,
}

impl Design {
    /// `information` about the failing contrast at each look of the stage, zero where the gate may not speak yet.
    ///
    /// Where the gate does not speak in the stage at all, it is the design of one look. `None` where no design is known in closed form. `units` are
    /// those of the stage's end, of both arms or of the candidate at its limit.
    pub(super) fn new(
        player: &Player<'_>,
        (stage, gate, question): (usize, usize, usize),
        information: &[f64],
        units: f64,
    ) -> Option<Self> {
        let rule = &player.scenario.gates[gate];
        if !rule.is_planned() {
            return None;
        }
        let last = information.last().copied()?;
        let alpha_all = player.levels.alpha_fail[gate];
        let alpha = alpha_all * player.levels.shares[gate][question];
        let boundary = &player.boundaries[stage][gate][question];
        // Units grow as information does, or nearly so.
        let sequence = |level: f64, fraction: f64| {
            let look = sequence::Look { variance: 1.0 / fraction, planned: Some(1.0), units: units * fraction };
            let ratio = sequence::ratio(rule.sequence, rule.alpha.get(), look);
            ratio.map_or(f64::INFINITY, |ratio| sequence::boundary(rule.sequence, level, ratio))
        };
        let bound = |look: usize, fraction: f64| match rule.test {
            Test::Point | Test::MannWhitney | Test::Cusum(_) | Test::BurnRate | Test::Sentinel(_) => 0.0,
            Test::Fixed => normal::upper_quantile(alpha),
            Test::ConfidenceSequence => sequence(alpha, fraction),
            Test::GroupSequential(_) => boundary.fail.get(look).copied().unwrap_or(f64::INFINITY),
            Test::Exact(_) | Test::MaxSprt | Test::EProcess => f64::INFINITY,
        };
        // Where passing has several looks: the one look that passes as often where the gate passes with its power.
        let drift = boundary.pass_plan.as_ref().and_then(|plan| plan.drift);
        let critical_pass = match (rule.test, drift) {
            (Test::Point | Test::MannWhitney | Test::Cusum(_) | Test::BurnRate | Test::Sentinel(_), _) => 0.0,
            (Test::GroupSequential(_), Some(drift)) => drift + normal::upper_quantile(rule.power.get()),
            (Test::Fixed | Test::GroupSequential(_), _) => normal::upper_quantile(rule.alpha.get()),
            (Test::ConfidenceSequence, _) => sequence(rule.alpha.get(), 1.0),
            (Test::Exact(_) | Test::MaxSprt | Test::EProcess, _) => return None,
        };
        let first = if rule.looks == Looks::End { information.len() - 1 } else { 0 };
        let fraction = |look: usize| if last > 0.0 { (information[look] / last).min(1.0) } else { 0.0 };
        let looks = (first..information.len()).map(|look| (fraction(look), bound(look, fraction(look))));
        let mut looks = thinned(&growing(looks));
        if looks.is_empty() {
            looks.push((1.0, normal::upper_quantile(alpha)));
        }
        Some(Self::of(critical_pass, looks, alpha, alpha_all))
    }

    fn of(critical_pass: f64, looks: Vec<(f64, f64)>, alpha: f64, alpha_all: f64) -> Self {
        let chances = DISTANCES.chunks(TOGETHER).flat_map(|distances| crossing(&looks, distances));
        let probits = chances.map(probit).collect();
        Self { critical_pass, looks, alpha, alpha_all, probits }
    }

    /// Chance to pass at the stage's end where the truth lies so many standard errors inside the margin.
    pub(super) fn passes(&self, distance: f64) -> f64 {
        normal::cdf(distance - self.critical_pass)
    }

    /// Chance to fail at some look where the truth lies so many standard errors, of the stage's end, beyond the margin.
    pub(super) fn fails(&self, distance: f64) -> f64 {
        let last = DISTANCES.len() - 1;
        let after = DISTANCES.partition_point(|&known| known <= distance).clamp(1, last);
        let (from, to) = (DISTANCES[after - 1], DISTANCES[after]);
        let part = ((distance - from) / (to - from)).clamp(0.0, 1.0);
        normal::cdf(self.probits[after - 1] + part * (self.probits[after] - self.probits[after - 1]))
    }

    /// Standard errors inside the margin at which it passes with a chance.
    pub(super) fn distance_to_pass(&self, power: f64) -> f64 {
        self.critical_pass - normal::upper_quantile(power)
    }

    /// Standard errors beyond the margin at which it fails with a chance; `None` where it never does.
    pub(super) fn distance_to_fail(&self, power: f64) -> Option<f64> {
        let wanted = probit(power);
        let after = self.probits.iter().position(|&probit| probit >= wanted)?;
        let Some(before) = after.checked_sub(1) else { return Some(DISTANCES[0]) };
        let (from, to) = (self.probits[before], self.probits[after]);
        Some(DISTANCES[before] + (wanted - from) / (to - from) * (DISTANCES[after] - DISTANCES[before]))
    }

    /// The same distance for one test at the stage's end in place of many looks.
    pub(super) fn distance_of_one_look(&self, power: f64) -> f64 {
        normal::upper_quantile(self.alpha) - normal::upper_quantile(power)
    }

    /// What dividing alpha among questions adds to the distance.
    pub(super) fn distance_for_segments(&self) -> f64 {
        normal::upper_quantile(self.alpha) - normal::upper_quantile(self.alpha_all)
    }

    /// Whether it may fail at more than one look.
    pub(super) fn is_sequential(&self) -> bool {
        self.looks.len() > 1
    }
}

fn probit(chance: f64) -> f64 {
    normal::upper_quantile(1.0 - chance.clamp(1e-15, 1.0 - 1e-15)).clamp(-CERTAIN, CERTAIN)
}

/// Looks with more information than all before, and a bound that can be crossed.
fn growing(looks: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (fraction, bound) in looks {
        if bound.is_finite() && fraction > kept.last().map_or(0.0, |last| last.0) * (1.0 + 1e-6) {
            kept.push((fraction, bound));
        }
    }
    kept
}

/// At most [`LOOKS`] looks, the last among them, with bounds lowered so far that together they err as often as all looks do.
fn thinned(looks: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if looks.len() <= LOOKS {
        return looks.to_vec();
    }
    let kept: Vec<(f64, f64)> = (1..=LOOKS).map(|look| looks[look * looks.len() / LOOKS - 1]).collect();
    let lowered =
        |by: f64| -> Vec<(f64, f64)> { kept.iter().map(|&(fraction, bound)| (fraction, bound - by)).collect() };
    let probit_of = |looks: &[(f64, f64)]| probit(crossing(looks, &[0.0])[0]);
    let wanted = probit_of(looks);
    // Lowered by a little, all bounds together are passed by about as much more in probits: the secant rule is there at once.
    let (mut by, mut short) = (0.0, wanted - probit_of(&kept));
    let mut step = short;
    for _ in 0..MOST_STEPS {
        if short.abs() < CLOSE {
            break;
        }
        by += step;
        let still_short = wanted - probit_of(&lowered(by));
        let slope = (short - still_short) / step;
        (short, step) = (still_short, still_short / slope);
        // Where chances can no longer be told apart, there is nothing to follow.
        if !step.is_finite() {
            break;
        }
    }
    lowered(by)
}

/// Steps of the secant rule at most, and probits that are as good as equal.
const MOST_STEPS: usize = 8;
const CLOSE: f64 = 1e-4;

/// Chances that a path is ever beyond a bound, under drifts near each other.
fn crossing(looks: &[(f64, f64)], drifts: &[f64]) -> Vec<f64> {
    let (fractions, bounds): (Vec<f64>, Vec<f64>) = looks.iter().copied().unzip();
    boundary::crossing_under(&fractions, &bounds, drifts, RESOLUTION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::Spending;
    use crate::stats::boundary::design;

    fn pocock(looks: usize) -> Vec<(f64, f64)> {
        let fractions: Vec<f64> = (1..=looks).map(|look| look as f64 / looks as f64).collect();
        let bounds = boundary::upper(&fractions, 0.025, Spending::Pocock);
        fractions.into_iter().zip(bounds).collect()
    }

    fn exact(looks: &[(f64, f64)], distance: f64) -> f64 {
        let (fractions, bounds): (Vec<f64>, Vec<f64>) = looks.iter().copied().unzip();
        boundary::crossing(&fractions, &bounds, None, distance).total
    }

    #[test]
    fn chances_between_known_distances_are_those_of_the_boundary() {
        let design = Design::of(1.96, pocock(5), 0.025, 0.025);
        for step in 0..60 {
            let distance = f64::from(step) * 0.15 - 1.0;
            let (found, exact) = (design.fails(distance), exact(&pocock(5), distance));
            assert!((found - exact).abs() < 4e-3, "{distance}: {found} {exact}");
        }
    }

    #[test]
    fn a_few_looks_stand_for_many() {
        let design = Design::of(1.96, thinned(&pocock(192)), 0.025, 0.025);
        for distance in [0.0, 2.0, 3.0, 4.0] {
            let (found, exact) = (design.fails(distance), exact(&pocock(192), distance));
            assert!((found - exact).abs() < 0.02, "{distance}: {found} {exact}");
        }
    }

    // C. Jennison, B. W. Turnbull (2000), tables 2.1 and 2.2: Pocock, five looks, power 0.8: information 1.228 times that of one look.
    #[test]
    fn the_distance_for_a_power_is_that_of_published_designs() {
        let fractions: Vec<f64> = (1..=5).map(|look| f64::from(look) / 5.0).collect();
        let bounds = design::classical(design::Family::Pocock, &fractions, 0.025, boundary::Shape::OneSided).unwrap();
        let design = Design::of(1.96, fractions.into_iter().zip(bounds).collect(), 0.025, 0.025);
        let inflation = (design.distance_to_fail(0.8).unwrap() / design.distance_of_one_look(0.8)).powi(2);
        assert!((inflation / 1.228 - 1.0).abs() < 0.01, "{inflation}");
        assert!((design.fails(design.distance_to_fail(0.8).unwrap()) - 0.8).abs() < 1e-9);
    }

    #[test]
    fn one_look_is_a_fixed_test() {
        let design = Design::of(1.644_853_627, vec![(1.0, 1.644_853_627)], 0.05, 0.05);
        assert!((design.distance_to_fail(0.8).unwrap() - 2.486_475).abs() < 2e-3);
        assert!((design.distance_to_pass(0.8) - 2.486_475).abs() < 1e-6);
        assert!((design.passes(2.486_475) - 0.8).abs() < 1e-6 && !design.is_sequential());
    }
}
