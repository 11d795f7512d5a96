//! How the error of one gate is shared by its questions.

use super::question::Question;
use crate::domain::gate::Correction;
use crate::stats::adjust;

/// Of the gate's failing error, the part that each question is sure of, whatever the others show. They sum to 1, except without a
/// correction.
#[must_use]
pub fn shares(correction: Correction, questions: &[Question]) -> Vec<f64> {
    let overall = questions.iter().filter(|question| question.slice == 0).count();
    let segments = questions.len() - overall;
    let share = |question: &Question| match correction {
        Correction::None => 1.0,
        Correction::Hierarchy if segments > 0 => 0.5 / (if question.slice == 0 { overall } else { segments }) as f64,
        Correction::Hierarchy | Correction::Holm | Correction::Bonferroni => 1.0 / questions.len() as f64,
    };
    questions.iter().map(share).collect()
}

/// Which questions are rejected at a level of the whole gate.
///
/// # Formula
/// Holm's step-down; Bonferroni; or for a hierarchy Bonferroni with the shares above as weights, so that many segments do not dilute what is asked of
/// all requests. The family-wise error is at most `alpha` under any dependence.
///
/// # Source
/// S. Holm (1979), Scand. J. Statist. 6, 65-70; for weights R. Rosenthal, D. B. Rubin (1983), Psychol. Bull. 94, 540-541.
pub fn reject(correction: Correction, shares: &[f64], p_values: &[f64], alpha: f64, rejected: &mut Vec<bool>) {
    rejected.clear();
    match correction {
        // Questions without data stay in the family: dropping them would let the data choose its size.
        Correction::Holm if p_values.len() > 1 => rejected.extend(adjust::holm(p_values).iter().map(|&p| p <= alpha)),
        Correction::Holm | Correction::Bonferroni | Correction::None | Correction::Hierarchy => {
            rejected.extend(p_values.iter().zip(shares).map(|(&p, share)| p <= alpha * share));
        }
    }
}

/// The smallest level of the whole gate at which any question is rejected.
#[must_use]
pub fn smallest_level(shares: &[f64], p_values: &[f64]) -> f64 {
    p_values.iter().zip(shares).map(|(p, share)| p / share).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::question::Against;

    fn asked(slices: &[usize]) -> Vec<Question> {
        slices.iter().map(|&slice| Question { slice, against: Against::Limit(0.1) }).collect()
    }

    #[test]
    fn the_whole_has_half_in_a_hierarchy() {
        let shares_of = |correction, slices: &[usize]| shares(correction, &asked(slices));
        assert_eq!(shares_of(Correction::Hierarchy, &[0, 1, 2, 3, 4]), [0.5, 0.125, 0.125, 0.125, 0.125]);
        assert_eq!(shares_of(Correction::Hierarchy, &[0, 1, 0, 1]), [0.25, 0.25, 0.25, 0.25]);
        assert_eq!(shares_of(Correction::Hierarchy, &[0]), [1.0]);
        assert_eq!(shares_of(Correction::Holm, &[0, 1]), [0.5, 0.5]);
        assert_eq!(shares_of(Correction::None, &[0, 1]), [1.0, 1.0]);
    }

    #[test]
    fn the_smallest_level_is_where_rejection_begins() {
        let shares = shares(Correction::Hierarchy, &asked(&[0, 1, 2]));
        for (correction, p) in [(Correction::Hierarchy, [0.03, 0.2, 0.02]), (Correction::Hierarchy, [0.01, 0.2, 0.5])] {
            let level = smallest_level(&shares, &p);
            let mut rejected = Vec::new();
            reject(correction, &shares, &p, level * 1.001, &mut rejected);
            assert!(rejected.contains(&true), "{p:?}");
            reject(correction, &shares, &p, level * 0.999, &mut rejected);
            assert!(!rejected.contains(&true), "{p:?}");
        }
    }
}
