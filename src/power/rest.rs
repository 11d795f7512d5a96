//! The traffic that later looks of a longer stage would see.

use rayon::prelude::*;

use crate::outcome::player::Player;
use crate::scenario::Tile;
use crate::simulate::trajectory::Trajectory;

/// Everybody's sums from a stage's start to the log's end, an hour or so from look to look.
pub struct Rest {
    pub(super) census: Trajectory,
    pub(super) looks: usize,
    pub(super) look_s: i64,
}

impl Rest {
    /// Of every stage that exposes anybody.
    #[must_use]
    pub fn of_stages(player: &Player<'_>) -> Vec<Option<Self>> {
        let exposes = |stage: usize| player.simulator.plan[stage].exposes();
        let rest = |stage: usize| exposes(stage).then(|| Self::new(player, stage));
        (0..player.simulator.plan.len()).into_par_iter().map(rest).collect()
    }

    /// From the middle start time; a log that repeats has no end, and four times its length is enough to call something never.
    fn new(player: &Player<'_>, stage: usize) -> Self {
        let places = player.places();
        let starts = &player.sampled_starts;
        let from =
            starts[starts.len() / 2] + places[..stage].iter().map(|before| before.plan.own_slots()).sum::<usize>();
        let slots = player.simulator.slots();
        let left = if player.scenario.log.tile == Tile::Week { 4 * slots } else { slots.saturating_sub(from) };
        let per_look = (3600 / places[stage].slot_s).max(1) as usize;
        let looks = left / per_look;
        let census = player.simulator.census_of_stage(stage, from, looks * per_look, per_look);
        Self { census, looks, look_s: per_look as i64 * places[stage].slot_s }
    }
}
