//! Replicates → what happened, counted per world, gate and stage.

pub mod boundaries;
pub mod calibration;
pub mod comparison;
pub mod health;
mod held;
pub mod mirror;
pub mod player;
pub mod recovery;
pub mod rows;
mod sentinels;
pub mod strategies;
pub mod tally;
pub mod together;
pub mod variants;
pub mod watches;
