//! Roots of a function of one variable.

/// A root of a continuous function within a bracket.
///
/// # Formula
/// Inverse quadratic interpolation and secant steps, replaced by bisection where they do not shrink the bracket.
///
/// # Arguments
/// `function` has opposite signs (or a zero) at the two ends.
///
/// # Errors
/// `None` where the signs at the ends are equal or a value is not a number.
///
/// # Accuracy
/// The bracket shrinks to a few units in the last place of the root.
///
/// # Source
/// R. P. Brent (1973), Algorithms for Minimization without Derivatives, chapter 4.
///
/// # Example
/// `x² - 2` on 0 to 2 gives 1.414213562373095.
#[must_use]
pub fn bracketed(function: impl Fn(f64) -> f64, ends: (f64, f64)) -> Option<f64> {
    let (mut a, mut b) = ends;
    let (mut fa, mut fb) = (function(a), function(b));
    if fa.is_nan() || fb.is_nan() || (fa > 0.0 && fb > 0.0) || (fa < 0.0 && fb < 0.0) {
        return None;
    }
    let (mut c, mut fc) = (a, fa);
    let mut step = b - a;
    let mut previous_step = step;
    for _ in 0..300 {
        if fc.abs() < fb.abs() {
            (a, b, c) = (b, c, b);
            (fa, fb, fc) = (fb, fc, fb);
        }
        let tolerance = 2.0 * f64::EPSILON * b.abs() + f64::MIN_POSITIVE;
        let half = 0.5 * (c - b);
        if fb == 0.0 || half.abs() <= tolerance {
            return Some(b);
        }
        let proposed = interpolated(Points { a, b, c, fa, fb, fc }, half, tolerance, previous_step);
        (previous_step, step) = proposed.map_or((half, half), |proposed| (step, proposed));
        (a, fa) = (b, fb);
        b += if step.abs() > tolerance { step } else { tolerance.copysign(half) };
        fb = function(b);
        if fb.is_nan() {
            return None;
        }
        if (fb > 0.0) == (fc > 0.0) {
            (c, fc) = (a, fa);
            step = b - a;
            previous_step = step;
        }
    }
    Some(b)
}

/// The bracket `b` to `c` and the point before, with the function's values.
#[derive(Clone, Copy)]
struct Points {
    a: f64,
    b: f64,
    c: f64,
    fa: f64,
    fb: f64,
    fc: f64,
}

/// The interpolation step from `b`; `None` where bisection is safer.
fn interpolated(at: Points, half: f64, tolerance: f64, previous_step: f64) -> Option<f64> {
    if previous_step.abs() < tolerance || at.fa.abs() <= at.fb.abs() || !at.fa.is_finite() || !at.fc.is_finite() {
        return None;
    }
    let s = at.fb / at.fa;
    let (p, q) = if at.a.to_bits() == at.c.to_bits() {
        (2.0 * half * s, 1.0 - s)
    } else {
        let (q, r) = (at.fa / at.fc, at.fb / at.fc);
        let p = s * (2.0 * half * q * (q - r) - (at.b - at.a) * (r - 1.0));
        (p, (q - 1.0) * (r - 1.0) * (s - 1.0))
    };
    let (p, q) = if p > 0.0 { (p, -q) } else { (-p, q) };
    let close_enough = 2.0 * p < (3.0 * half * q - (tolerance * q).abs()).min((previous_step * q).abs());
    close_enough.then(|| p / q)
}

/// A root of a function that rises through zero somewhere above a positive start: doubles the end until it is bracketed.
///
/// # Errors
/// `None` where the function stays below zero up to `limit`, or is not below zero at `start` and has no root below it.
#[must_use]
pub fn rising(function: impl Fn(f64) -> f64, start: f64, limit: f64) -> Option<f64> {
    let mut low = start;
    if function(low) >= 0.0 {
        return Some(low);
    }
    while low < limit {
        let high = (2.0 * low).min(limit);
        if function(high) >= 0.0 {
            return bracketed(function, (low, high));
        }
        low = high;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_roots_of_smooth_steep_and_flat_functions() {
        assert!((bracketed(|x| x * x - 2.0, (0.0, 2.0)).unwrap() - 2.0_f64.sqrt()).abs() < 1e-15);
        assert!((bracketed(|x| (x - 0.3).powi(9), (-1.0, 1.0)).unwrap() - 0.3).abs() < 1e-6);
        assert!((bracketed(|x: f64| x.ln(), (1e-9, 1e9)).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(bracketed(|x| x * x + 1.0, (-1.0, 1.0)), None);
        assert!((rising(|x| x - 1e6, 1.0, 1e12).unwrap() - 1e6).abs() < 1e-6);
        assert_eq!(rising(|x| -1.0 / x, 1.0, 1e12), None);
    }

    proptest! {
        #[test]
        fn inverts_a_cubic(root in -5.0..5.0f64, scale in 0.01..100.0f64) {
            let found = bracketed(|x| scale * ((x - root).powi(3) + (x - root)), (-20.0, 20.0)).unwrap();
            prop_assert!((found - root).abs() < 1e-12);
        }

        #[test]
        fn finds_the_place_of_a_jump(jump in -1.0..1.0f64) {
            let found = bracketed(|x| if x < jump { -1.0 } else { 1.0 }, (-2.0, 2.0)).unwrap();
            prop_assert!((found - jump).abs() < 1e-12);
        }
    }
}
