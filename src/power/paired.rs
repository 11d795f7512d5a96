//! Closed forms of stages that expose nobody: from the standard error that all pairs of the stage have.

use super::closed_form::Plan;
use crate::domain::metric::Margin;
use crate::domain::world::CURVE_MULTIPLES;
use crate::outcome::player::Player;
use crate::paired::{self, Shown};
use crate::stats::normal;

/// What each question of a stage can decide, from the middle start. `None` where pairs do not differ.
pub(super) fn plans(player: &Player<'_>, stage: usize) -> Vec<Plan> {
    let Some(pairs) = &player.pairs else { return Vec::new() };
    let start = player.sampled_starts[player.sampled_starts.len() / 2];
    let said = pairs.expected(stage, start, &player.asked_of_pairs());
    let asked =
        (0..player.gates.len()).filter(|&gate| player.scenario.gates[gate].asked_in(&player.scenario.stages[stage]));
    let of_gate = |gate: usize| {
        // A candidate as good as stable, however the null world is made.
        let null = player.gates[gate].lens_of_world[1];
        let by_question: Vec<(usize, &Vec<Option<Shown>>)> = said.get(gate).into_iter().flatten().enumerate().collect();
        by_question.into_iter().map(move |(question, by_lens)| {
            let shown = by_lens.get(null).copied().flatten();
            let found = shown.and_then(|shown| planned(player, (gate, question), shown, by_lens)).unwrap_or_default();
            Plan { stage, gate, question, ..found }
        })
    };
    asked.flat_map(of_gate).collect()
}

/// # Formula
/// With `m` the distance from no regression to the margin and `s` the standard error: the chance to pass is `Phi(m/s - z_alpha)`, and the
/// smallest regression that fails with the gate's power is `m + (z_fail + z_power) s`. The chance grows to the power with `((z_alpha + z_power) s / m)²`
/// times as many units. What a quantile sees is read off its power curve's points.
fn planned(
    player: &Player<'_>,
    (gate, question): (usize, usize),
    shown: Shown,
    by_lens: &[Option<Shown>],
) -> Option<Plan> {
    let rule = &player.scenario.gates[gate];
    let se = |variance: Option<f64>| variance.filter(|&variance| variance > 0.0).map(f64::sqrt);
    let (se_pass, se_fail) = (se(shown.pass.variance)?, se(shown.fail.variance)?);
    let z_alpha = normal::upper_quantile(rule.alpha.get());
    let z_power = -normal::upper_quantile(rule.power.get());
    let z_fail = normal::upper_quantile(player.levels.alpha_fail[gate] * player.levels.shares[gate][question]);
    let (z_alpha, z_fail) = if rule.test.has_alpha() { (z_alpha, z_fail) } else { (0.0, 0.0) };
    let (to_pass, to_fail) = (-shown.pass.difference, -shown.fail.difference);
    let beyond = (z_fail + z_power) * se_fail;
    let (mde, level) = if paired::in_own_unit(&player.scenario.metrics[rule.metric].kind) {
        (Some(to_fail + beyond), shown.stable)
    } else {
        let level = player.levels_of_metrics[rule.metric];
        (of_quantile(player, gate, beyond, by_lens, level), level)
    };
    let times = (to_pass > 0.0).then(|| ((z_alpha + z_power) * se_pass / to_pass).powi(2));
    Some(Plan {
        power: Some(normal::cdf(to_pass / se_pass - z_alpha)),
        mde,
        mde_relative: mde.map(|mde| mde / level.abs()).filter(|mde| mde.is_finite()),
        units_needed: times.map(|times| times * shown.units),
        requests_needed: times.map(|times| times * shown.requests),
        ..Plan::default()
    })
}

/// The regression of a quantile at which the share beyond its margin is so large, between the points of the gate's power curve.
fn of_quantile(player: &Player<'_>, gate: usize, beyond: f64, by_lens: &[Option<Shown>], level: f64) -> Option<f64> {
    let allowed = match player.scenario.gates[gate].allow? {
        Margin::Relative(share) => share * level,
        Margin::Absolute(amount) => amount,
    };
    let point =
        |(multiple, lens): (&f64, &usize)| Some((multiple * allowed, by_lens.get(*lens)?.as_ref()?.fail.difference));
    let points: Option<Vec<(f64, f64)>> =
        CURVE_MULTIPLES.iter().zip(&player.gates[gate].lens_of_curve).map(point).collect();
    let points = points?;
    let crossing = points.windows(2).find(|pair| pair[0].1 < beyond && beyond <= pair[1].1)?;
    let part = (beyond - crossing[0].1) / (crossing[1].1 - crossing[0].1);
    Some(crossing[0].0 + part * (crossing[1].0 - crossing[0].0))
}
