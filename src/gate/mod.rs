//! Trajectory at a look → verdict → decision → outcome. Gates never read the injected effect; too little data is no verdict.

pub mod boundary;
mod burn;
pub mod correction;
mod cusum;
mod distance;
pub mod events;
pub mod lens;
pub mod paired;
mod patience;
pub mod pause;
pub mod question;
mod score;
pub mod screen;
pub mod sequence;
pub mod series;

pub mod stage;

pub mod kayenta;

pub mod schedule;
