//! Sums of normal kernels: the exponential function of many numbers at once, in the machine's widest instructions.

#![cfg_attr(not(any(test, target_arch = "x86_64")), expect(dead_code, reason = "other processors ask the C library"))]

use std::sync::LazyLock;

use fearless_simd::{Level, Simd};

/// Parts of a power of two that are looked up.
const PARTS: usize = 128;

/// Kernels that are computed before they are added.
const TOGETHER: usize = 32;

/// Points before a sum.
pub(super) struct Points<'a> {
    pub(super) scores: &'a [f64],
    pub(super) masses: &'a [f64],
}

/// Sum of `mass * exp(-((centre - score) scale)² / 2)`, point after point; no deviate may be beyond 37.
///
/// Where the processor multiplies and adds in one step, the exponentials are those of [`exp`], which the C library would give there, too: the
/// same bytes in a third of the time.
pub(super) fn sum_of_kernels(level: Level, points: &Points<'_>, centre: f64, scale: f64) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if let Some(fused) = level.as_avx2() {
        let powers = &*POWERS;
        return fused.vectorize(
            #[inline(always)]
            || sum(points, centre, scale, |x| exp(powers, x)),
        );
    }
    sum(points, centre, scale, f64::exp)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "instructions are chosen by the caller")]
fn sum(points: &Points<'_>, centre: f64, scale: f64, exp: impl Fn(f64) -> f64) -> f64 {
    let mut sum = 0.0;
    for (scores, masses) in points.scores.chunks(TOGETHER).zip(points.masses.chunks(TOGETHER)) {
        let mut kernels = [0.0; TOGETHER];
        for (kernel, score) in kernels.iter_mut().zip(scores) {
            let deviate = (centre - score) * scale;
            *kernel = exp(-0.5 * deviate * deviate);
        }
        for (kernel, mass) in kernels.iter().zip(masses) {
            sum += mass * kernel;
        }
    }
    sum
}

/// `2^(i/128)` for each `i`: what the nearest double lacks, as a share of it, and the bits of the double without `i` in its exponent.
static POWERS: LazyLock<[(f64, u64); PARTS]> = LazyLock::new(|| {
    std::array::from_fn(|part| {
        let (power, rest) = power_of_two(part as f64 / PARTS as f64);
        (rest / power, power.to_bits().wrapping_sub((part as u64) << 45))
    })
});

/// `exp(x)` from -700 to 0, within 0.511 units in the last place.
///
/// # Formula
/// `2^(k/128) (1 + p(x - k ln 2 / 128))` with the nearest whole `k` and a polynomial of fifth order.
///
/// # Source
/// S. Nagy, Arm Optimized Routines (2018), `exp.c`; the C library of GNU has it from there.
#[inline(always)]
fn exp(powers: &[(f64, u64); PARTS], x: f64) -> f64 {
    const PARTS_PER_UNIT: f64 = PARTS as f64 * std::f64::consts::LOG2_E;
    // -ln 2 / 128, the first so short that its multiples are exact.
    const LN_2_HIGH: f64 = f64::from_bits(0xbf76_2e42_fefa_0000);
    const LN_2_LOW: f64 = f64::from_bits(0xbd0c_f79a_bc9e_3b39);
    // Added, it leaves no bits for fractions.
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    const POLYNOMIAL: [f64; 4] = [
        f64::from_bits(0x3fdf_ffff_ffff_fdbd),
        f64::from_bits(0x3fc5_5555_5555_543c),
        f64::from_bits(0x3fa5_5555_cf17_2b91),
        f64::from_bits(0x3f81_1111_67a4_d017),
    ];
    let whole = PARTS_PER_UNIT.mul_add(x, WHOLE);
    let index = whole.to_bits();
    let whole = whole - WHOLE;
    let r = whole.mul_add(LN_2_LOW, whole.mul_add(LN_2_HIGH, x));
    let (rest, bits) = powers[index as usize % PARTS];
    let power = f64::from_bits(bits.wrapping_add(index << 45));
    let [c2, c3, c4, c5] = POLYNOMIAL;
    let square = r * r;
    let low = square.mul_add(r.mul_add(c3, c2), rest + r);
    let more = (square * square).mul_add(r.mul_add(c5, c4), low);
    power.mul_add(more, power)
}

/// `2^x` for `x` in [0, 1), as a double and what it lacks: the series of `exp(x ln 2)` in pairs of doubles.
fn power_of_two(x: f64) -> (f64, f64) {
    const LN_2: (f64, f64) = (std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17);
    const TERMS: u32 = 30;
    let sum = |(a, b): (f64, f64), (c, d): (f64, f64)| {
        let high = a + c;
        let part = high - a;
        normalized(high, (a - (high - part)) + (c - part) + b + d)
    };
    let product = |(a, b): (f64, f64), (c, d): (f64, f64)| {
        let high = a * c;
        normalized(high, a.mul_add(c, -high) + (a * d + b * c))
    };
    let quotient = |(a, b): (f64, f64), c: f64| {
        let high = a / c;
        normalized(high, ((-high).mul_add(c, a) + b) / c)
    };
    let t = product(LN_2, (x, 0.0));
    let term = |sum_so_far, n: u32| sum((1.0, 0.0), quotient(product(t, sum_so_far), f64::from(n)));
    (1..=TERMS).rev().fold((1.0, 0.0), term)
}

/// The same sum with a high part that is its nearest double; `high` is the larger.
fn normalized(high: f64, low: f64) -> (f64, f64) {
    let sum = high + low;
    (sum, low - (sum - high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    // The C library's table begins so.
    #[test]
    fn powers_are_those_of_the_published_table() {
        let bits = |part: usize| (POWERS[part].0.to_bits(), POWERS[part].1);
        assert_eq!(bits(0), (0, 0x3ff0_0000_0000_0000));
        assert_eq!(bits(1), (0x3c9b_3b4f_1a88_bf6e, 0x3fef_f63d_a9fb_3335));
        assert_eq!(POWERS[64].1.wrapping_add(64 << 45), std::f64::consts::SQRT_2.to_bits());
    }

    #[test]
    fn exponentials_are_those_of_the_c_library() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..200_000 {
            let deviate = 8.5 * rng.random::<f64>();
            let x = -0.5 * deviate * deviate;
            // Libraries round differently where this is in the middle of two doubles.
            let apart = exp(&POWERS, x).to_bits().abs_diff(x.exp().to_bits());
            assert!(apart <= 1, "{x}: {apart} units in the last place");
        }
        assert_eq!([0.0, -0.0, -1e-300].map(|x| exp(&POWERS, x).to_bits()), [1.0_f64.to_bits(); 3]);
    }

    #[test]
    fn a_sum_of_kernels_is_added_point_after_point() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for points in [0, 1, 31, 32, 33, 200] {
            let scores: Vec<f64> = (0..points).map(|_| 6.0 * rng.random::<f64>() - 3.0).collect();
            let masses: Vec<f64> = (0..points).map(|_| rng.random()).collect();
            let mut plain = 0.0;
            for (score, mass) in scores.iter().zip(&masses) {
                let deviate: f64 = (0.4 - score) * 1.3;
                plain += mass * (-0.5 * deviate * deviate).exp();
            }
            let found = sum_of_kernels(Level::new(), &Points { scores: &scores, masses: &masses }, 0.4, 1.3);
            assert!((found - plain).abs() <= 1e-15 * plain, "{points}: {found} {plain}");
        }
    }
}
