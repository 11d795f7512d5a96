//! Closed forms of stages that expose nobody: from the standard error that all pairs of the stage have.

use super::closed_form::Plan;
use crate::outcome::player::Player;
use crate::paired::{self, Shown};
use crate::stats::normal;

/// What each question of a stage can decide, from the middle start. `None` where pairs do not differ.
pub(super) fn plans(player: &Player<'_>, stage: usize) -> Vec<Plan> {
    let Some(pairs) = &player.pairs else { return Vec::new() };
    let start = player.sampled_starts[player.sampled_starts.len() / 2];
    let said = pairs.expected(stage, start, &player.asked_of_pairs());
    let asked = (0..player.gates.len()).filter(|&gate| player.scenario.gates[gate].asked_in(&player.scenario.stages[stage]));
    let of_gate = |gate: usize| {
        // A candidate as good as stable, however the null world is made.
        let null = player.gates[gate].lens_of_world[1];
        let shown = said.get(gate).into_iter().flatten().map(move |by_lens| by_lens.get(null).copied().flatten());
        shown.enumerate().collect::<Vec<_>>().into_iter().map(move |(question, shown)| {
            let found = shown.and_then(|shown| planned(player, (gate, question), shown)).unwrap_or_default();
            Plan { stage, gate, question, ..found }
        })
    };
    asked.flat_map(of_gate).collect()
}

/// # Formula
/// With `m` the distance from no regression to the margin and `s` the standard error: the chance to pass is `Phi(m/s - z_alpha)`, and the
/// smallest regression that fails with the gate's power is `m + (z_fail + z_power) s`. The chance grows to the power with `((z_alpha + z_power) s / m)²`
/// times as many units.
fn planned(player: &Player<'_>, (gate, question): (usize, usize), shown: Shown) -> Option<Plan> {
    let rule = &player.scenario.gates[gate];
    let se = |variance: Option<f64>| variance.filter(|&variance| variance > 0.0).map(f64::sqrt);
    let (se_pass, se_fail) = (se(shown.pass.variance)?, se(shown.fail.variance)?);
    let z_alpha = normal::upper_quantile(rule.alpha.get());
    let z_power = -normal::upper_quantile(rule.power.get());
    let z_fail = normal::upper_quantile(player.levels.alpha_fail[gate] * player.levels.shares[gate][question]);
    let (z_alpha, z_fail) = if rule.test.has_alpha() { (z_alpha, z_fail) } else { (0.0, 0.0) };
    let (to_pass, to_fail) = (-shown.pass.difference, -shown.fail.difference);
    let mde = to_fail + (z_fail + z_power) * se_fail;
    let own_unit = paired::in_own_unit(&player.scenario.metrics[rule.metric].kind);
    let mde = Some(mde).filter(|_| own_unit);
    let times = (to_pass > 0.0).then(|| ((z_alpha + z_power) * se_pass / to_pass).powi(2));
    Some(Plan {
        power: Some(normal::cdf(to_pass / se_pass - z_alpha)),
        mde,
        mde_relative: mde.map(|mde| mde / shown.stable.abs()).filter(|mde| mde.is_finite()),
        units_needed: times.map(|times| times * shown.units),
        requests_needed: times.map(|times| times * shown.requests),
        ..Plan::default()
    })
}
