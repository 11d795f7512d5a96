//! Flipped outcomes.
