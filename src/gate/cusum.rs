//! A cumulative sum of what each look adds to a question's evidence.
//!
//! What a look adds is the growth of the score, `z` times the root of the information, over the root of the growth of the information. While
//! the regression stays where it is, these are independent normal deviates: the information is that of all units since the stage
//! began, so what units bring back with them when they return is not taken for a change.

/// A look that adds less than this share of the information so far says nothing of its own: it is taken together with the next.
const SMALLEST_STEP: f64 = 2e-3;

/// The sum, and where the score and the information stood when something was last added.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Sum {
    value: f64,
    score: f64,
    information: f64,
}

impl Sum {
    /// Takes a look at which the regression is `z` standard errors beyond the margin, and gives the sum.
    pub(super) fn add(&mut self, z: f64, variance: f64, reference: f64) -> f64 {
        let information = 1.0 / variance;
        let added = information - self.information;
        if added > SMALLEST_STEP * information {
            let score = z * information.sqrt();
            self.value = (self.value + (score - self.score) / added.sqrt() - reference).max(0.0);
            (self.score, self.information) = (score, information);
        }
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Deviates 1, 3, -2 of looks with information 1, 3, 4: the score is their sum, each times the root of its information.
    #[test]
    fn looks_are_told_apart_whatever_information_each_adds() {
        let looks = [(1.0, 1.0), (3.0, 3.0), (-2.0, 4.0)];
        let (mut sum, mut score, mut information) = (Sum::default(), 0.0, 0.0);
        let mut expected = 0.0_f64;
        for (deviate, added) in looks {
            let added: f64 = added;
            score += deviate * added.sqrt();
            information += added;
            expected = (expected + deviate - 0.5).max(0.0);
            let found = sum.add(score / information.sqrt(), 1.0 / information, 0.5);
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn a_look_without_new_information_waits_for_the_next() {
        let mut sum = Sum::default();
        let first = sum.add(1.0, 1.0, 0.5);
        assert!((first - 0.5).abs() < 1e-15);
        assert!((sum.add(1.5, 1.0 / 1.001, 0.5) - first).abs() < 1e-15, "too little");
        assert!((sum.add(1.5, 1.1, 0.5) - first).abs() < 1e-15, "less than before");
        // The look after it adds all of what has come since the first: a deviate of 2 √2 - 1.
        let deviate = 2.0 * 2.0_f64.sqrt() - 1.0;
        assert!((sum.add(2.0, 0.5, 0.5) - (first + deviate - 0.5)).abs() < 1e-12);
    }
}
