//! What becomes of rollouts against the size of an effect.

use rayon::prelude::*;

use crate::digest::Digest;
use crate::domain::metric::Margin;
use crate::domain::world::{CURVE_MULTIPLES, Change, World};
use crate::outcome::player::Player;
use crate::outcome::rows;
use crate::outcome::tally::Tally;
use crate::report::planning::{SizeCurve, SizePoint};

/// Around each gate's `allow`, and per list or range of effects.
pub(super) fn curves(player: &Player<'_>, tally: &Tally, digest: &Digest) -> Vec<SizeCurve> {
    let point = |(size, world): (f64, World)| {
        let index = player.worlds.iter().position(|&other| other == world)?;
        let row = rows::world(player, tally, digest, index);
        Some(SizePoint {
            size,
            rolled_back: row.rolled_back,
            detected: row.detected,
            time_to_detect_s: row.time_to_detect_s,
            detection_curve: row.detection_curve,
            exposed_requests: row.exposed_requests,
        })
    };
    let mut curves: Vec<SizeCurve> = Vec::new();
    for (gate, rule) in player.scenario.gates.iter().enumerate() {
        let Some(allow) = rule.allow else { continue };
        let (scale, size) = match allow {
            Margin::Relative(share) => ("relative", share),
            Margin::Absolute(amount) => ("absolute", amount),
        };
        let world = |multiple: usize| match CURVE_MULTIPLES[multiple] {
            0.0 => World::Null,
            1.0 => World::Margin(gate),
            _ => World::Multiple(gate, multiple),
        };
        let sizes = (0..CURVE_MULTIPLES.len()).filter(|_| size > 0.0);
        curves.push(SizeCurve {
            of: rule.name.clone(),
            kind: "gate".into(),
            metric: player.scenario.metrics[rule.metric].name.clone(),
            scale: scale.into(),
            points: sizes
                .map(|multiple| (CURVE_MULTIPLES[multiple] * size, world(multiple)))
                .collect::<Vec<_>>()
                .into_par_iter()
                .filter_map(point)
                .collect(),
        });
    }
    let mut families: Vec<&str> = player.scenario.effects.iter().map(|effect| effect.family.as_str()).collect();
    families.dedup();
    for family in families {
        let members: Vec<usize> =
            (0..player.scenario.effects.len()).filter(|&e| player.scenario.effects[e].family == family).collect();
        let effect = &player.scenario.effects[members[0]];
        if members.len() < 2 {
            continue;
        }
        let mut sizes: Vec<(f64, World)> =
            members.iter().map(|&e| (size_of(player.scenario.effects[e].change).1, World::Effect(e))).collect();
        sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
        curves.push(SizeCurve {
            of: family.to_owned(),
            kind: "effects".into(),
            metric: player.scenario.metrics[effect.metric].name.clone(),
            scale: size_of(effect.change).0.into(),
            points: sizes.into_par_iter().filter_map(point).collect(),
        });
    }
    curves.retain(|curve| !curve.points.is_empty());
    curves
}

fn size_of(change: Change) -> (&'static str, f64) {
    match change {
        Change::Shift(size) => ("shift", size),
        Change::Scale(size) => ("scale", size),
        Change::Flip(size) => ("flip", size),
    }
}
