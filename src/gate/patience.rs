//! How long a gate has been failing.

use std::collections::VecDeque;

/// The last looks of something that acts once enough of them fail.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    failing: usize,
    of: usize,
    /// Per look, the latest last: whether it failed, and the smallest level at which it would have.
    looks: VecDeque<(bool, f64)>,
}

impl Patience {
    /// So many of so many looks must fail.
    pub(super) fn new((failing, of): (usize, usize)) -> Self {
        Self { failing, of, looks: VecDeque::new() }
    }

    /// Takes a look: whether enough have failed, and the smallest level at which enough would have.
    pub(super) fn see(&mut self, fails: bool, level: f64) -> (bool, f64) {
        if self.of == 1 {
            // Most gates: nothing has to be remembered.
            return (fails, level);
        }
        if self.looks.len() == self.of {
            self.looks.pop_front();
        }
        self.looks.push_back((fails, level));
        let acts = self.looks.iter().filter(|(fails, _)| *fails).count() >= self.failing;
        let mut levels: Vec<f64> = self.looks.iter().map(|(_, level)| *level).collect();
        levels.sort_unstable_by(f64::total_cmp);
        (acts, levels.get(self.failing - 1).copied().unwrap_or(f64::INFINITY))
    }

    /// A look that cannot fail.
    pub(super) fn pass_over(&mut self) {
        self.see(false, f64::INFINITY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acts(patience: (usize, usize), looks: &[u8]) -> Option<usize> {
        let mut patience = Patience::new(patience);
        looks.iter().position(|&fails| patience.see(fails == 1, 1.0).0)
    }

    #[test]
    fn it_acts_when_enough_of_the_last_looks_fail() {
        assert_eq!(acts((1, 1), &[0, 0, 1, 0]), Some(2));
        assert_eq!(acts((3, 3), &[1, 1, 0, 1, 1, 1]), Some(5));
        assert_eq!(acts((3, 5), &[1, 0, 0, 1, 0, 1, 1]), Some(6), "the first failure is six looks before the third");
        assert_eq!(acts((2, 3), &[1, 0, 1]), Some(2), "before there are three looks, two may be enough");
        assert_eq!(acts((2, 2), &[1, 0, 1, 0, 1]), None);
    }

    #[test]
    fn the_level_is_that_at_which_enough_looks_would_fail() {
        let mut patience = Patience::new((2, 3));
        let mut is_level = |of_look: f64, expected: f64| patience.see(false, of_look).1.total_cmp(&expected).is_eq();
        assert!(is_level(0.04, f64::INFINITY));
        assert!(is_level(0.2, 0.2) && is_level(0.01, 0.04) && is_level(0.3, 0.2));
    }
}
