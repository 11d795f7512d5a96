//! Search along one number.

/// Where a growing function reaches zero: the bracket grows upward from a guess, then shrinks by the secant rule with bisection.
///
/// `None` where it stays below zero up to 64 times the guess.
pub(super) fn rising_root(function: impl Fn(f64) -> f64, low: f64, guess: f64) -> Option<f64> {
    let (mut low, mut below) = (low, function(low));
    if below >= 0.0 {
        return (below == 0.0).then_some(low);
    }
    let mut high = guess.max(low + 1e-3);
    let mut above = function(high);
    while above < 0.0 {
        if high > 64.0 * guess.abs() + 64.0 {
            return None;
        }
        (low, below) = (high, above);
        high *= 1.5;
        above = function(high);
    }
    let mut kept = 0;
    for _ in 0..100 {
        let next = low - below * (high - low) / (above - below);
        let next = if next > low && next < high { next } else { 0.5 * (low + high) };
        let value = function(next);
        if value == 0.0 || high - low < 1e-11 * high.abs() || value.abs() < 1e-13 {
            return Some(next);
        }
        // Illinois: an end kept twice counts half.
        if value < 0.0 {
            (low, below) = (next, value);
            above *= if kept > 0 { 0.5 } else { 1.0 };
            kept = 1;
        } else {
            (high, above) = (next, value);
            below *= if kept < 0 { 0.5 } else { 1.0 };
            kept = -1;
        }
    }
    Some(0.5 * (low + high))
}
