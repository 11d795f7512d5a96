//! A cumulative sum of what is new in a question's evidence.
//!
//! Looks are taken together in steps with enough requests to be nearly normal. Units return, so the steps of one rollout share the luck of
//! its arms: what an arm's users are like shows in every step. Summed as if steps were independent, that luck would be taken for a
//! change. So a step counts by how far it lies from what the steps before it let expect, with the correlation of steps that the log
//! has: while nothing changes, those are independent deviates.

use super::boundary::SumPlan;

/// The sum, and what was new in each step so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Sum {
    value: f64,
    news: Vec<f64>,
}

impl Sum {
    /// Where it stands.
    pub(super) fn value(&self) -> f64 {
        self.value
    }

    /// Takes a step at which the regression is so many standard errors beyond the margin; `None` where too little is known of it, which is
    /// then taken to be as expected.
    pub(super) fn add(&mut self, plan: &SumPlan, deviate: Option<f64>, reference: f64) {
        let Some((own, before)) = plan.triangle.get(self.news.len()).and_then(|row| row.split_last()) else { return };
        let expected: f64 = before.iter().zip(&self.news).map(|(weight, news)| weight * news).sum();
        let news = deviate.map(|deviate| (deviate - expected) / own);
        if let Some(news) = news {
            self.value = (self.value + news - reference).max(0.0);
        }
        self.news.push(news.unwrap_or(0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(triangle: Vec<Vec<f64>>) -> SumPlan {
        SumPlan { looks: 1, factor: 1.0, variance: 1.0, variance_so_far: Vec::new(), triangle }
    }

    fn values(plan: &SumPlan, deviates: &[Option<f64>]) -> Vec<f64> {
        let mut sum = Sum::default();
        let add = |&deviate: &Option<f64>| {
            sum.add(plan, deviate, 0.5);
            sum.value()
        };
        deviates.iter().map(add).collect()
    }

    fn near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
    }

    #[test]
    fn independent_steps_add_up() {
        let plan = plan(vec![vec![1.0], vec![0.0, 1.0], vec![0.0, 0.0, 1.0]]);
        let deviates = [Some(1.5), Some(-3.0), Some(2.0), Some(9.0)];
        near(&values(&plan, &deviates), &[1.0, 0.0, 1.5, 1.5]);
        near(&values(&plan, &[Some(1.5), None, Some(2.0)]), &[1.0, 1.0, 2.5]);
    }

    // Two steps with correlation 0.6: of the second, 0.6 times the first is no news, and what is left has a standard deviation of 0.8.
    #[test]
    fn what_the_steps_before_let_expect_is_no_news() {
        let plan = plan(vec![vec![1.0], vec![0.6, 0.8]]);
        near(&values(&plan, &[Some(2.0), Some(1.2)]), &[1.5, 1.0]);
        near(&values(&plan, &[Some(2.0), Some(2.0)]), &[1.5, 2.0]);
        near(&values(&plan, &[None, Some(1.2)]), &[0.0, 1.0]);
    }
}
