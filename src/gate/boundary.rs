//! When a question of a group-sequential gate fails or passes, look by look; and what a cumulative sum must exceed.

use crate::stats::normal;

/// The boundary of one question in one stage; without looks where the gate has none or nothing can be planned.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Boundary {
    /// What the standardised regression, or the cumulative sum, must exceed to fail at each look; infinite where it cannot.
    pub fail: Vec<f64>,
    /// Of a cumulative sum: how it adds up.
    pub sum: Option<SumPlan>,
    /// Where alpha is spent over all stages together: at each look, what each earlier stage's last `z` and then the present one weigh.
    pub weights: Vec<Vec<f64>>,
    /// While a budget is calibrated: the same boundary at other levels of the question, ascending.
    pub rungs: Vec<Rung>,
    /// What the standardised distance below the margin must exceed to pass at each look; empty where it passes at the stage's end only.
    pub pass: Vec<f64>,
    /// Standard errors at the stage's end by which a regression must exceed the margin to fail with the gate's power at some look.
    pub drift: Option<f64>,
    /// The looks that chances to pass are planned with; none where it passes at the stage's end only.
    pub pass_plan: Option<PassPlan>,
}

/// How a cumulative sum takes the looks of a stage: in steps, of what is new in each.
#[derive(Debug, Clone, PartialEq)]
pub struct SumPlan {
    /// Looks in a step.
    pub looks: usize,
    /// What stable's value in the contrast is multiplied with.
    pub factor: f64,
    /// Variance of a step's ratio for each request of an arm: that of requests of units.
    pub variance: f64,
    /// The same of all steps so far, by step.
    pub variance_so_far: Vec<f64>,
    /// The correlation of steps, whose units return, as a triangle: the product of this matrix with itself.
    pub triangle: Vec<Vec<f64>>,
}

/// A boundary at another level.
#[derive(Debug, Clone, PartialEq)]
pub struct Rung {
    /// The level of the question.
    pub level: f64,
    /// What must be exceeded at each look.
    pub fail: Vec<f64>,
}

/// A few looks that stand for all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct PassPlan {
    /// Information at the looks, of the stage's.
    pub fractions: Vec<f64>,
    /// What must be exceeded.
    pub bounds: Vec<f64>,
    /// Standard errors at the stage's end that the margin must lie away to pass with the gate's power at some look.
    pub drift: Option<f64>,
}

impl Boundary {
    /// What must be exceeded at a look, where that is all there is: one level, no other stage, no look at which to pass.
    #[must_use]
    pub fn alone(&self, look: usize) -> Option<f64> {
        let alone = self.weights.is_empty() && self.rungs.is_empty() && self.pass.is_empty();
        alone.then(|| self.fail.get(look).copied().unwrap_or(f64::INFINITY))
    }

    /// The statistic that is held against the boundary: of the present stage, or combined with the ends of earlier ones.
    ///
    /// An earlier stage without data weighs nothing, which only lowers the statistic's variance.
    #[must_use]
    pub fn statistic(&self, look: usize, z: f64, earlier: &[Option<f64>]) -> f64 {
        let Some((present, past)) = self.weights.get(look).and_then(|weights| weights.split_last()) else { return z };
        let sum: f64 = past.iter().zip(earlier).map(|(weight, z)| weight * z.unwrap_or(0.0)).sum();
        sum + present * z
    }

    /// The smallest level at which a statistic fails at a look: 0 or 1 for a boundary at one level, between rungs interpolated.
    #[must_use]
    pub fn level(&self, look: usize, statistic: f64) -> f64 {
        if self.rungs.is_empty() {
            let crossed = self.fail.get(look).is_some_and(|&bound| statistic > bound);
            return if crossed { 0.0 } else { 1.0 };
        }
        let bound = |rung: &Rung| rung.fail.get(look).copied().unwrap_or(f64::INFINITY);
        let Some(first) = self.rungs.iter().position(|rung| statistic > bound(rung)) else { return 1.0 };
        let high = &self.rungs[first];
        let Some(low) = first.checked_sub(1).map(|index| &self.rungs[index]).filter(|low| bound(low) < f64::INFINITY)
        else {
            return high.level;
        };
        // A look's level grows nearly as a power of the chance beyond its bound.
        let tail = |z: f64| normal::upper_tail(z).max(f64::MIN_POSITIVE).ln();
        let (from, to) = (tail(bound(low)), tail(bound(high)));
        let part = if to > from { ((tail(statistic) - from) / (to - from)).clamp(0.0, 1.0) } else { 1.0 };
        (low.level.ln() * (1.0 - part) + high.level.ln() * part).exp()
    }

    /// Whether a look may pass, if that is not for the stage's end alone.
    #[must_use]
    pub fn passes(&self, look: usize, z: f64) -> Option<bool> {
        (!self.pass.is_empty()).then(|| self.pass.get(look).is_some_and(|&bound| z > bound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::Spending;
    use crate::stats::boundary;

    const LOOKS: [f64; 4] = [0.1, 0.4, 0.7, 1.0];

    fn at(level: f64) -> Vec<f64> {
        boundary::upper(&LOOKS, level, Spending::Pocock)
    }

    #[test]
    fn levels_between_rungs_are_those_of_boundaries_made_there() {
        let rung = |level| Rung { level, fail: at(level) };
        let ladder = Boundary { rungs: [0.001, 0.004, 0.016, 0.064].map(rung).into(), ..Boundary::default() };
        for level in [0.002, 0.009, 0.03] {
            for (look, bound) in at(level).into_iter().enumerate() {
                let found = ladder.level(look, bound);
                assert!((found / level - 1.0).abs() < 1e-2, "{level} at {look}: {found}");
            }
        }
        assert!((ladder.level(1, 9.0) - 0.001).abs() < 1e-15 && ladder.level(1, 0.0) >= 1.0);
    }

    #[test]
    fn earlier_stages_add_to_the_statistic() {
        let weights = vec![vec![1.0], vec![0.6, 0.8]];
        let boundary = Boundary { fail: vec![2.0, 2.0], weights, ..Boundary::default() };
        assert!((boundary.statistic(0, 1.5, &[]) - 1.5).abs() < 1e-15);
        let both = boundary.statistic(1, 1.5, &[Some(2.0)]);
        assert!((both - 2.4).abs() < 1e-15 && boundary.level(1, both) < 1.0);
        assert!((boundary.statistic(1, 1.5, &[None]) - 1.2).abs() < 1e-15);
        let alone = Boundary { fail: vec![2.0], ..Boundary::default() };
        assert!((alone.statistic(0, 1.5, &[Some(9.0)]) - 1.5).abs() < 1e-15 && alone.level(0, 1.5) >= 1.0);
    }
}
