//! A ratio whose clusters were measured in part.

/// The share of a ratio's variance that stays if every request is measured and not only a random share of them.
///
/// # Formula
/// `1 - (1 - share) b / q`. With `e = x - R` of a request, `q = Σ (Σ e)²` over units of the measured requests and `b = Σ e²` over these
/// requests: measuring each with chance `s` makes `E q = s² A + s (1 - s) B` and `E b = s B` of `A = Σ (Σ e)²` and `B = Σ e²` over all requests,
/// and the ratio's variance is `q / X²` with `X` measured requests, `A / (X / s)²` with all of them. `q / b` is the design effect of the
/// measured requests: where they are independent it is 1, and `share` of the variance stays.
///
/// # Arguments
/// `share` in (0, 1]; `q` above 0, `b` not below 0.
///
/// # Accuracy
/// Unbiased moments; not above 0 where chance made `q` smaller than what sampling alone adds.
///
/// # Source
/// C.-E. Särndal, B. Swensson, J. Wretman (1992), Model Assisted Survey Sampling, results 4.3.1 and 3.2.1: variance in two stages, the second
/// of Bernoulli sampling.
///
/// # Example
/// A tenth measured at a design effect of 1: a tenth of the variance stays; at a design effect of 3: 0.7.
#[must_use]
pub fn with_all_measured(share: f64, q: f64, b: f64) -> f64 {
    1.0 - (1.0 - share) * b / q
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn independent_requests_lose_what_is_not_measured() {
        assert!((with_all_measured(0.1, 5.0, 5.0) - 0.1).abs() < 1e-12);
        assert!((with_all_measured(0.1, 15.0, 5.0) - 0.7).abs() < 1e-12);
        assert!((with_all_measured(1.0, 2.0, 5.0) - 1.0).abs() < 1e-12);
    }

    /// From a sampled log of unequal users the formula foretells the variance of the log that was measured in full.
    #[test]
    fn a_sampled_log_foretells_the_variance_of_the_full_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let units: Vec<Vec<f64>> = (0..3000)
            .map(|_| {
                let requests = 1 + (rng.random::<f64>().powi(3) * 20.0) as usize;
                let own = rng.random::<f64>();
                (0..requests).map(|_| f64::from(u8::from(rng.random::<f64>() < own))).collect()
            })
            .collect();
        let variance = |units: &[Vec<f64>]| {
            let n: f64 = units.iter().map(|unit| unit.len() as f64).sum();
            let ratio = units.iter().flatten().sum::<f64>() / n;
            let of = |unit: &Vec<f64>| unit.iter().map(|x| x - ratio).sum::<f64>().powi(2);
            let q: f64 = units.iter().map(of).sum();
            let b: f64 = units.iter().flatten().map(|x| (x - ratio).powi(2)).sum();
            (q / (n * n), q, b)
        };
        let full = variance(&units).0;
        let share = 0.2;
        let mut foretold = 0.0;
        let mut measured = 0.0;
        for _ in 0..200 {
            let sampled: Vec<Vec<f64>> = units
                .iter()
                .map(|unit| unit.iter().copied().filter(|_| rng.random::<f64>() < share).collect())
                .collect();
            let (own, q, b) = variance(&sampled);
            measured += own / 200.0;
            foretold += own * with_all_measured(share, q, b) / 200.0;
        }
        assert!((foretold / full - 1.0).abs() < 0.03, "{foretold} {full}");
        assert!(measured > 1.3 * full, "sampling costs something here: {measured} {full}");
    }
}
