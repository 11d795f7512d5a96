//! What a schedule will do, roughly, from closed forms alone: enough to choose which schedules are worth a replay.
//!
//! Every question is a normal deviate at each stage's end; looking often costs a constant number of standard errors; stages are taken as
//! independent. The replay decides.

use super::curve::{Census, Curve, Deciding};
use crate::domain::gate::{Decision, Spending, Test, Window};
use crate::domain::world::World;
use crate::gate::question::{Against, Asker};
use crate::outcome::player::Player;
use crate::scenario::Scenario;
use crate::simulate::Split;
use crate::stats::normal;

/// Standard errors that a test at many looks loses against one at the stage's end: from the inflation factors of C. Jennison, B. W. Turnbull
/// (2000), tables 2.2 and 2.4, at one-sided 5 % and power 0.8, for twenty looks and more.
const POCOCK_LOSS: f64 = 0.35;
const OBRIEN_FLEMING_LOSS: f64 = 0.05;
/// Of a confidence sequence where it is tightest.
const SEQUENCE_LOSS: f64 = 1.1;

/// Closed forms of one scenario's questions over a grid of exposures and durations.
pub struct Forecast {
    /// Fractions of units, ascending.
    exposures: Vec<f64>,
    /// Seconds from one duration of the grid to the next.
    pub look_s: i64,
    looks: usize,
    /// Everybody's requests since the start, by look.
    requests: Vec<f64>,
    questions: Vec<Asked>,
    /// Worlds of a bad candidate.
    bad: Vec<Bad>,
}

/// A question of a gate.
struct Asked {
    gate: usize,
    /// Part of the gate's failing error.
    share: f64,
    /// One-sided error of passing.
    alpha: f64,
    /// Without data at a stage's end the rollout waits for a person.
    waits: bool,
    /// Standard errors beyond the failing margin if the candidate is as good as stable, by exposure and look.
    null: Vec<f64>,
    /// Standard errors inside the passing margin, likewise.
    pass: Vec<f64>,
}

/// A world of a bad candidate: standard errors beyond the failing margin of each question that it is past, by exposure and look.
struct Bad {
    onset_looks: usize,
    questions: Vec<(usize, Vec<f64>)>,
}

/// When gates fail and pass, at given levels.
pub struct Ruling {
    /// Per question: the deviate to exceed in one stage, or in the whole rollout.
    fail: Vec<f64>,
    /// Per question: the deviate to be inside by; empty where no proof is asked.
    pass: Vec<f64>,
    /// Stages count together.
    once: bool,
}

/// What is foreseen of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreseen {
    /// A candidate as good as stable is rolled back.
    pub false_rollback: f64,
    /// It gets to the end.
    pub promoted: f64,
    /// Per bad world: promoted to the end.
    pub missed: Vec<f64>,
    /// Per bad world: requests that the candidate serves.
    pub exposed_requests: Vec<f64>,
}

impl Forecast {
    /// Closed forms for worlds of a bad candidate, by index into the player's worlds.
    #[must_use]
    pub fn new(player: &Player<'_>, bad: &[usize], exposures: &[f64]) -> Self {
        let starts = &player.sampled_starts;
        let from = starts[starts.len() / 4];
        let slot_s = player.scenario.log.slot.0;
        let per_look = (3600 / slot_s).max(1) as usize;
        let looks = player.simulator.slots().saturating_sub(from) / per_look;
        let census = player.simulator.census(from, looks * per_look, per_look);
        let mut forecast = Self {
            exposures: exposures.to_vec(),
            look_s: per_look as i64 * slot_s,
            looks,
            requests: Vec::new(),
            questions: Vec::new(),
            bad: bad.iter().map(|&world| Bad::new(player, world, per_look as i64 * slot_s)).collect(),
        };
        let split = Split::steady(0.1, player.simulator.plan[0].control);
        for (gate, plan) in player.gates.iter().enumerate() {
            let rule = &player.scenario.gates[gate];
            if rule.window != Window::Stage || !rule.is_planned() {
                continue;
            }
            let asker = Asker::new(rule, player.scenario, &player.simulator.layout);
            for (index, &question) in plan.questions.iter().enumerate() {
                if !matches!(question.against, Against::Stable { .. }) {
                    continue;
                }
                let everybody = Census::new(asker, question, &census);
                let look_s = forecast.look_s;
                let distances =
                    |side: Deciding, lens| grid(&Curve::new(&everybody, side, lens, split, looks, look_s), exposures);
                let null = plan.lenses[plan.lens_of_world[1]];
                let asked = Asked {
                    gate,
                    share: player.levels.shares[gate][index],
                    alpha: rule.alpha.get(),
                    waits: rule.on_no_data != Decision::Promote,
                    null: distances(Deciding::Fail, null),
                    pass: distances(Deciding::Pass, null).into_iter().map(|distance| -distance).collect(),
                };
                for (bad, &world) in bad.iter().enumerate() {
                    let lens = plan.lens_of_world[world];
                    if plan.harmful[lens][index] {
                        let found = distances(Deciding::Fail, plan.lenses[lens]);
                        forecast.bad[bad].questions.push((forecast.questions.len(), found));
                    }
                }
                forecast.questions.push(asked);
            }
        }
        let requests = player.gates.first().and_then(|plan| {
            let asker = Asker::new(&player.scenario.gates[0], player.scenario, &player.simulator.layout);
            let whole = plan.questions.iter().find(|question| question.slice == 0)?;
            let census = Census::new(asker, *whole, &census);
            Some((0..looks).map(|look| census.everybody(look).2).collect())
        });
        forecast.requests = requests.unwrap_or_else(|| vec![0.0; looks]);
        forecast
    }

    /// How a scenario's gates decide in so many stages as it has with a control.
    #[must_use]
    pub fn ruling(&self, scenario: &Scenario, proof: bool) -> Ruling {
        let fail = |asked: &Asked| {
            let level = scenario.alpha_fail(asked.gate) * asked.share;
            let loss = match scenario.gates[asked.gate].test {
                Test::Point => return 0.0,
                Test::GroupSequential(Spending::ObrienFleming) => OBRIEN_FLEMING_LOSS,
                Test::GroupSequential(_) => POCOCK_LOSS,
                Test::ConfidenceSequence => SEQUENCE_LOSS,
                _ => 0.0,
            };
            normal::upper_quantile(level) + loss
        };
        let pass = |asked: &Asked| match scenario.gates[asked.gate].test {
            Test::Point => 0.0,
            Test::ConfidenceSequence => normal::upper_quantile(asked.alpha) + SEQUENCE_LOSS,
            _ => normal::upper_quantile(asked.alpha),
        };
        Ruling {
            fail: self.questions.iter().map(fail).collect(),
            pass: self.questions.iter().filter(|_| proof).map(pass).collect(),
            once: (0..scenario.gates.len()).any(|gate| scenario.spends_once(gate)),
        }
    }

    /// What becomes of a candidate under a schedule: each stage an index into the exposures and a number of looks.
    #[must_use]
    pub fn of(&self, steps: &[(usize, usize)], ruling: &Ruling) -> Foreseen {
        let last = steps.last().copied().unwrap_or((0, 0));
        let null = |steps: &[(usize, usize)]| {
            let stays = |(question, asked): (usize, &Asked)| {
                let at = |&step: &(usize, usize)| self.at(&asked.null, step);
                1.0 - stopped(steps.iter().map(at), ruling.fail[question], ruling.once)
            };
            self.questions.iter().enumerate().map(stays).product::<f64>()
        };
        let false_rollback = 1.0 - null(steps);
        let proofs = self.questions.iter().zip(&ruling.pass).map(|(asked, critical)| {
            let distance = self.at(&asked.pass, last);
            if distance.is_nan() { 0.0 } else { normal::cdf(distance - critical) }
        });
        let silent = |asked: &Asked| asked.waits && steps.iter().any(|&step| self.at(&asked.null, step).is_nan());
        let goes_on = if self.questions.iter().any(silent) { 0.0 } else { 1.0 };
        let proven = proofs.product::<f64>() * goes_on;
        let (missed, exposed_requests) = self.bad.iter().map(|bad| self.of_bad(bad, steps, ruling, proven)).unzip();
        Foreseen { false_rollback, promoted: (1.0 - false_rollback) * proven, missed, exposed_requests }
    }

    /// Promoted to the end, and requests served until then.
    fn of_bad(&self, bad: &Bad, steps: &[(usize, usize)], ruling: &Ruling, proven: f64) -> (f64, f64) {
        let (mut begin, mut left, mut exposed) = (0, 1.0_f64, 0.0);
        let mut seen: Vec<Vec<f64>> = vec![Vec::new(); bad.questions.len()];
        for &(exposure, looks) in steps {
            let set_in = (begin + looks).saturating_sub(bad.onset_looks).min(looks);
            let chance = |((question, distances), seen): (&(usize, Vec<f64>), &mut Vec<f64>)| {
                let distance = if set_in == 0 { f64::NAN } else { self.at(distances, (exposure, set_in)) };
                // What the stage had before the onset dilutes it.
                seen.push(distance * (set_in as f64 / looks as f64).sqrt());
                let own = std::slice::from_ref(seen.last().expect("just pushed"));
                let counted = if ruling.once { seen.as_slice() } else { own };
                stopped(counted.iter().copied(), ruling.fail[*question], ruling.once)
            };
            let found = bad.questions.iter().zip(&mut seen).map(chance).fold(0.0, f64::max);
            // Found by now, of all: where stages count together chances are already those of all stages so far.
            let after = if ruling.once { left.min(1.0 - found) } else { left * (1.0 - found) };
            let requests = self.requests_by(begin + looks) - self.requests_by(begin);
            exposed += f64::midpoint(left, after) * requests * self.exposures[exposure];
            (left, begin) = (after, begin + looks);
        }
        // A proof of something false succeeds with its error at most.
        let proof = if ruling.pass.is_empty() { proven } else { proven.min(0.05) };
        (left * proof, exposed)
    }

    fn at(&self, distances: &[f64], (exposure, looks): (usize, usize)) -> f64 {
        let look = looks.clamp(1, self.looks.max(1)) - 1;
        distances.get(exposure * self.looks + look).copied().unwrap_or(f64::NAN)
    }

    fn requests_by(&self, looks: usize) -> f64 {
        looks.min(self.looks).checked_sub(1).map_or(0.0, |look| self.requests[look])
    }
}

impl Bad {
    fn new(player: &Player<'_>, world: usize, look_s: i64) -> Self {
        let onset = match player.worlds[world] {
            World::Effect(effect) => player.scenario.effects[effect].onset.0,
            _ => 0,
        };
        Self { onset_looks: (onset / look_s) as usize, questions: Vec::new() }
    }
}

/// Distances by exposure and look; where a gate cannot speak it neither fails nor passes.
fn grid(curve: &Curve, exposures: &[f64]) -> Vec<f64> {
    let at = |exposure: f64| (0..curve.len()).map(move |look| curve.distance(look, exposure).unwrap_or(f64::NAN));
    exposures.iter().flat_map(|&exposure| at(exposure)).collect()
}

/// Chance that a question fails in one of some stages, from its distance in each; together they are one test of all.
fn stopped(distances: impl Iterator<Item = f64>, critical: f64, together: bool) -> f64 {
    let spoken = distances.filter(|distance| !distance.is_nan());
    if !together {
        return 1.0 - spoken.map(|distance| 1.0 - normal::cdf(distance - critical)).product::<f64>();
    }
    // Independent deviates of the same sign add up by squares.
    let (sum, any) = spoken.fold((0.0, false), |(sum, _), distance| (sum + distance * distance.abs(), true));
    if any { normal::cdf(sum.signum() * sum.abs().sqrt() - critical) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One question at two exposures over ten looks; its distance grows with the root of exposure and time.
    fn forecast() -> Forecast {
        let exposures = vec![0.1, 0.4];
        let grid = |scale: f64| -> Vec<f64> {
            let of = |&exposure: &f64| (1..=10).map(move |look| scale * (exposure * f64::from(look)).sqrt());
            exposures.iter().flat_map(of).collect()
        };
        let bad = Bad { onset_looks: 0, questions: vec![(0, grid(2.0))] };
        let asked = Asked { gate: 0, share: 1.0, alpha: 0.05, waits: false, null: grid(-1.0), pass: grid(1.0) };
        let requests = (1..=10).map(|look| f64::from(look) * 100.0).collect();
        Forecast {
            exposures: exposures.clone(),
            look_s: 3600,
            looks: 10,
            requests,
            questions: vec![asked],
            bad: vec![bad],
        }
    }

    fn ruling(once: bool, proof: bool) -> Ruling {
        Ruling { fail: vec![2.0], pass: if proof { vec![1.645] } else { Vec::new() }, once }
    }

    #[test]
    fn one_stage_is_the_normal_chance() {
        let found = forecast().of(&[(1, 10)], &ruling(false, false));
        // Distance 2 sqrt(4) = 4, critical 2: found in 97.7 %; half of those that are found see half of the stage.
        let stays = 1.0 - normal::cdf(2.0);
        assert!((found.missed[0] - stays).abs() < 1e-12, "{found:?}");
        assert!((found.exposed_requests[0] - f64::midpoint(1.0, stays) * 400.0).abs() < 1e-9);
        assert!((found.false_rollback - normal::cdf(-4.0)).abs() < 1e-12 && found.promoted > 0.99);
    }

    #[test]
    fn more_time_finds_more_and_one_test_of_all_stages_finds_most() {
        let forecast = forecast();
        let missed = |steps: &[(usize, usize)], once: bool| forecast.of(steps, &ruling(once, false)).missed[0];
        assert!(missed(&[(0, 5), (1, 5)], false) < missed(&[(1, 5)], false));
        assert!(missed(&[(0, 10), (1, 5)], true) < missed(&[(0, 10), (1, 5)], false));
        // Under one test a stage can only add.
        assert!(missed(&[(0, 5), (1, 5)], true) <= missed(&[(1, 5)], true));
    }

    #[test]
    fn what_sets_in_later_is_found_later() {
        let mut forecast = forecast();
        let before = forecast.of(&[(1, 10)], &ruling(false, false));
        forecast.bad[0].onset_looks = 5;
        let after = forecast.of(&[(1, 10)], &ruling(false, false));
        assert!(after.missed[0] > before.missed[0] + 0.1, "{before:?} {after:?}");
        forecast.bad[0].onset_looks = 50;
        assert!((forecast.of(&[(1, 10)], &ruling(false, false)).missed[0] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_stage_in_which_a_gate_cannot_speak_is_waited_in() {
        let mut forecast = forecast();
        forecast.questions[0].null[0] = f64::NAN;
        let promoted = |forecast: &Forecast| forecast.of(&[(0, 1), (1, 10)], &ruling(false, false)).promoted;
        assert!(promoted(&forecast) > 0.9);
        forecast.questions[0].waits = true;
        assert!(promoted(&forecast).abs() < 1e-12);
    }

    #[test]
    fn proof_stops_good_ones_too() {
        let found = forecast().of(&[(1, 10)], &ruling(false, true));
        assert!((found.promoted - normal::cdf(2.0 - 1.645) * (1.0 - found.false_rollback)).abs() < 1e-12);
        assert!(found.missed[0] < 0.05);
    }
}
