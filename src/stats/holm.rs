//! Holm's correction for several hypotheses.

/// Which of several p-values are rejected at family-wise level `alpha`.
///
/// # Formula
/// In ascending order, reject while `p_(i) <= alpha / (m - i)`, `i` from 0.
///
/// # Arguments
/// `p_values` in [0, 1], in any order, dependence arbitrary; `rejected` receives one flag for each.
///
/// # Source
/// S. Holm (1979), Scand. J. Statist. 6, 65-70.
///
/// # Example
/// 0.01, 0.04, 0.03, 0.005 at 0.05 reject the first and the last.
pub fn reject(p_values: &[f64], alpha: f64, rejected: &mut Vec<bool>) {
    rejected.clear();
    rejected.resize(p_values.len(), false);
    let mut left = p_values.len();
    loop {
        let smallest =
            (0..p_values.len()).filter(|&i| !rejected[i]).min_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
        match smallest {
            Some(index) if p_values[index] <= alpha / left as f64 => {
                rejected[index] = true;
                left -= 1;
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flags(p_values: &[f64], alpha: f64) -> Vec<bool> {
        let mut rejected = Vec::new();
        reject(p_values, alpha, &mut rejected);
        rejected
    }

    // R 4.2.2: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") is 0.03 0.06 0.06 0.02.
    #[test]
    fn agrees_with_r() {
        assert_eq!(flags(&[0.01, 0.04, 0.03, 0.005], 0.05), [true, false, false, true]);
        assert_eq!(flags(&[], 0.05), [false; 0]);
    }

    proptest! {
        #[test]
        fn lies_between_bonferroni_and_no_correction(p in prop::collection::vec(0.0..0.2f64, 1..12)) {
            for (&p_value, rejected) in p.iter().zip(flags(&p, 0.05)) {
                prop_assert!(rejected || p_value > 0.05 / p.len() as f64);
                prop_assert!(!rejected || p_value <= 0.05);
            }
        }
    }
}
