//! What is taken as true of the candidate while a rollout is replayed.

use super::quantity::Seconds;

/// Multiples of `allow` at which power curves are drawn.
pub const CURVE_MULTIPLES: [f64; 7] = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0];

/// How an effect changes stable's outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Adds to every request, in the metric's unit.
    Shift(f64),
    /// Multiplies every request.
    Scale(f64),
    /// Turns this share of good requests bad (0/1 proportions only).
    Flip(f64),
}

/// Stable plus a stated change.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// Names its world.
    pub name: String,
    /// The name as written: effects of one list or range share it.
    pub family: String,
    /// Index into the scenario's metrics.
    pub metric: usize,
    /// What changes.
    pub change: Change,
    /// Only requests whose segment columns (by index) hold one of these values; all conditions must hold.
    pub only: Vec<(usize, Vec<String>)>,
    /// Time from the rollout's start to the change.
    pub onset: Seconds,
    /// Time over which it grows to its full size, evenly.
    pub ramp: Seconds,
}

/// A world of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// The candidate as logged.
    Recorded,
    /// The candidate answers as stable did.
    Null,
    /// The metric of this gate (by index) is worse than stable by exactly its margin; all else as in `Null`.
    Margin(usize),
    /// One of the scenario's effects, by index.
    Effect(usize),
    /// The metric of this gate (by index) is worse than stable by one of [`CURVE_MULTIPLES`] (by index) of its margin.
    Multiple(usize, usize),
}
