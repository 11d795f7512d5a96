//! Quantiles of a sample.

/// Quantile of a sorted sample by linear interpolation of order statistics (type 7).
///
/// # Arguments
/// `sorted` ascending and not empty; `p` in [0, 1].
///
/// # Source
/// R. J. Hyndman, Y. Fan (1996), Am. Stat. 50, 361-365, definition 7: R's default.
///
/// # Example
/// p = 0.95 of 1..10 is 9.55 (R 4.2.2 `quantile(1:10, 0.95)`).
#[must_use]
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let position = p * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_r() {
        let sample: Vec<f64> = (1..=10).map(f64::from).collect();
        assert!((quantile(&sample, 0.95) - 9.55).abs() < 1e-12);
        assert!((quantile(&sample, 0.0) - 1.0).abs() < 1e-12 && (quantile(&sample, 1.0) - 10.0).abs() < 1e-12);
        assert!((quantile(&[3.0], 0.3) - 3.0).abs() < 1e-12);
    }
}
