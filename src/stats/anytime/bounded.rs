//! Means of scores between 0 and 1, at any time and without any further assumption.

/// Bets that shrink with the variance seen so far: `sqrt(2 ln(1/alpha) / (t ln(1 + t) V))`, `V` the variance before observation `t`
/// with one prior observation of mean 1/2 and variance 1/4.
fn variance_bets(x: impl Iterator<Item = f64>, alpha: f64) -> impl Iterator<Item = f64> {
    let (mut sum, mut squares) = (0.5, 0.25);
    x.enumerate().map(move |(before, x)| {
        let t = (before + 1) as f64;
        let bet = (2.0 * (1.0 / alpha).ln() / (t.ln_1p() * squares)).sqrt();
        sum += x;
        squares += (x - sum / (t + 1.0)).powi(2);
        bet
    })
}

/// One term of a predictable mixture: the bet, the observation, and what the bet costs.
struct Wager {
    bet: f64,
    x: f64,
    cost: f64,
}

/// Lower bounds `(sum bet x - ln(1/alpha) - sum cost) / sum bet`, one per observation.
fn lower_bounds(wagers: impl Iterator<Item = Wager>, alpha: f64) -> Vec<f64> {
    let (mut bets, mut gains) = (0.0, alpha.ln());
    wagers
        .map(|Wager { bet, x, cost }| {
            bets += bet;
            gains += bet * x - cost;
            (gains / bets).clamp(0.0, 1.0)
        })
        .collect()
}

/// Lower bounds of `x` and upper ones from `1 - x`, each at half of `alpha`.
fn both_sides(x: &[f64], alpha: f64, lower: impl Fn(&[f64], f64) -> Vec<f64>) -> Vec<(f64, f64)> {
    let mirrored: Vec<f64> = x.iter().map(|x| 1.0 - x).collect();
    let upper = lower(&mirrored, alpha / 2.0);
    lower(x, alpha / 2.0).into_iter().zip(upper).map(|(low, high)| (low, 1.0 - high)).collect()
}

/// Empirical-Bernstein confidence sequence for a mean of scores.
///
/// # Formula
/// Lower bound `(sum b_i x_i - ln(2/alpha) - sum v_i psi(b_i)) / sum b_i`, at least 0, with `psi(b) = -ln(1 - b) - b`,
/// `v_i = (x_i - m_{i-1})²`, `m` the running mean (zero at first), and bets `b_t = min(truncation, sqrt(2 ln(2/alpha) / (t ln(1 + t) V_{t-1})))`;
/// the upper bound is one less the lower bound of `1 - x`.
///
/// # Arguments
/// `x` in order of observation, each in \[0, 1\]; `alpha` in (0, 1), two-sided and over all times; `truncation` in (0, 1) (usually 0.5).
///
/// # Returns
/// An interval per observation; their running intersection is valid too.
///
/// # Source
/// I. Waudby-Smith, A. Ramdas (2024), JRSS B 86, 1-27, theorem 2.
///
/// # Example
/// The scores 0, 0, 1, 0, 0.5, 0, 0, 0.25, 0, 0, 1, 0, 0, 0, 0.75, 0, 0, 0, 0, 0.1, `alpha` 0.05, `truncation` 0.5: 0 to
/// 0.6213077591462651 (library confseq).
#[must_use]
pub fn empirical_bernstein(x: &[f64], alpha: f64, truncation: f64) -> Vec<(f64, f64)> {
    both_sides(x, alpha, |x, alpha| {
        let (mut seen, mut sum) = (0.0, 0.0);
        let wagers = x.iter().zip(variance_bets(x.iter().copied(), alpha)).map(|(&x, bet)| {
            let bet = bet.min(truncation);
            let mean = if seen > 0.0 { sum / seen } else { 0.0 };
            (seen, sum) = (seen + 1.0, sum + x);
            Wager { bet, x, cost: (x - mean).powi(2) * (-(-bet).ln_1p() - bet) }
        });
        lower_bounds(wagers, alpha)
    })
}

/// Hoeffding confidence sequence for a mean of scores.
///
/// # Formula
/// As [`empirical_bernstein`], with cost `b² / 8` and bets `min(1, sqrt(8 ln(2/alpha) / (t ln(1 + t))))`: the variance is taken at its largest.
///
/// # Arguments
/// `x` in order of observation, each in \[0, 1\]; `alpha` in (0, 1), two-sided and over all times.
///
/// # Source
/// I. Waudby-Smith, A. Ramdas (2024), JRSS B 86, 1-27, proposition 1.
///
/// # Example
/// The scores of [`empirical_bernstein`]: 0 to 0.5050241787414635 (library confseq).
#[must_use]
pub fn hoeffding(x: &[f64], alpha: f64) -> Vec<(f64, f64)> {
    both_sides(x, alpha, |x, alpha| {
        let wagers = x.iter().enumerate().map(|(before, &x)| {
            let t = (before + 1) as f64;
            let bet = (8.0 * (1.0 / alpha).ln() / (t * t.ln_1p())).sqrt().min(1.0);
            Wager { bet, x, cost: bet * bet / 8.0 }
        });
        lower_bounds(wagers, alpha)
    })
}

/// How a bettor hedges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hedge {
    /// Share of the capital bet on a mean above the null hypothesis, in \[0, 1\]; the rest on one below.
    pub up: f64,
    /// Largest share of the capital at stake in one observation, in (0, 1\].
    pub stake: f64,
}

/// Logarithm of a bettor's capital against the hypothesis that the mean of scores is `null_mean`, after each observation.
///
/// # Formula
/// `max(up K+, (1 - up) K-)` with `K+ = prod(1 + b_i (x_i - m))`, `b_i` the bets of [`empirical_bernstein`] without truncation, at
/// most `stake / m`, and `K- = prod(1 - b_i (x_i - m))`, bets at most `stake / (1 - m)`.
///
/// # Arguments
/// `x` in order of observation, each in \[0, 1\]; `null_mean` in \[0, 1\]; `alpha` in (0, 1) tunes the bets.
/// Reject at level `alpha`, two-sided, once the capital is `1 / alpha`.
///
/// # Source
/// I. Waudby-Smith, A. Ramdas (2024), JRSS B 86, 1-27, section 4.
///
/// # Example
/// The scores of [`empirical_bernstein`] against 0.05, `alpha` 0.05, halves: capital 6.51281808998991, 7.75504674780772 at its
/// highest (library confseq).
#[must_use]
pub fn betting_log_capital(x: &[f64], null_mean: f64, alpha: f64, hedge: Hedge) -> Vec<f64> {
    let (mut above, mut below) = (hedge.up.ln(), (1.0 - hedge.up).ln());
    x.iter()
        .zip(variance_bets(x.iter().copied(), alpha / 2.0))
        .map(|(x, bet)| {
            let surprise = x - null_mean;
            above += (bet.min(hedge.stake / null_mean) * surprise).ln_1p();
            below += (-(bet.min(hedge.stake / (1.0 - null_mean)) * surprise)).ln_1p();
            above.max(below)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const HALVES: Hedge = Hedge { up: 0.5, stake: 0.5 };

    proptest! {
        #[test]
        fn mirrored_scores_have_mirrored_intervals(x in prop::collection::vec(0.0..=1.0f64, 1..200), mean in 0.05..0.95f64) {
            let mirrored: Vec<f64> = x.iter().map(|x| 1.0 - x).collect();
            for bounds in [|x: &[f64]| empirical_bernstein(x, 0.05, 0.5), |x: &[f64]| hoeffding(x, 0.05)] {
                for ((low, high), (other_low, other_high)) in bounds(&x).into_iter().zip(bounds(&mirrored)) {
                    prop_assert!(low <= high && low >= 0.0 && high <= 1.0);
                    prop_assert!((low - (1.0 - other_high)).abs() < 1e-9 && (high - (1.0 - other_low)).abs() < 1e-9);
                }
            }
            let capital = betting_log_capital(&x, mean, 0.05, HALVES);
            let other = betting_log_capital(&mirrored, 1.0 - mean, 0.05, HALVES);
            prop_assert!(capital.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }

    #[test]
    fn impossible_means_lose_at_once() {
        let whole = Hedge { up: 0.5, stake: 1.0 };
        assert!(betting_log_capital(&[1.0; 200], 0.0, 0.05, whole)[199] > 50.0);
        assert!(betting_log_capital(&[0.0; 50], 0.0, 0.05, whole).iter().all(|log| (log - 0.5_f64.ln()).abs() < 1e-12));
        assert!(betting_log_capital(&[], 0.5, 0.05, HALVES).is_empty());
    }

    // Scores with mean 0.3: a fifth of them 1, the rest 1/8.
    #[test]
    fn the_true_mean_is_kept() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let runs = 1000;
        let mut lost = [0; 3];
        for _ in 0..runs {
            let x: Vec<f64> = (0..300).map(|_| if random.random_bool(0.2) { 1.0 } else { 0.125 }).collect();
            let misses = |bounds: Vec<(f64, f64)>| bounds.iter().any(|(low, high)| *low > 0.3 || *high < 0.3);
            lost[0] += u32::from(misses(empirical_bernstein(&x, 0.05, 0.5)));
            lost[1] += u32::from(misses(hoeffding(&x, 0.05)));
            let richest = betting_log_capital(&x, 0.3, 0.05, HALVES).into_iter().fold(f64::NEG_INFINITY, f64::max);
            lost[2] += u32::from(richest >= 20.0_f64.ln());
        }
        assert!(lost.iter().all(|&lost| lost <= runs / 20), "{lost:?}");
    }
}
