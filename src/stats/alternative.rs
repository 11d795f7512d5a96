//! Which side of the null hypothesis a test looks at.

use super::normal;

/// The alternative hypothesis of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alternative {
    /// The parameter is below the null value.
    Less,
    /// The parameter is above the null value.
    Greater,
    /// The parameter differs from the null value.
    TwoSided,
}

impl Alternative {
    /// The p-value of a statistic with a symmetric null law, from the law's upper tail.
    #[must_use]
    pub(crate) fn p_value(self, statistic: f64, upper_tail: impl Fn(f64) -> f64) -> f64 {
        match self {
            Self::Less => upper_tail(-statistic),
            Self::Greater => upper_tail(statistic),
            Self::TwoSided => (2.0 * upper_tail(statistic.abs())).min(1.0),
        }
    }

    /// The p-value of a standard normal statistic.
    ///
    /// # Formula
    /// `P(Z <= z)`, `P(Z >= z)`, or twice the smaller of the two.
    ///
    /// # Example
    /// 1.96, two-sided: 0.04999579 (R 4.2.2 `2 * pnorm(-1.96)`).
    #[must_use]
    pub fn normal_p_value(self, z: f64) -> f64 {
        self.p_value(z, normal::upper_tail)
    }
}

/// On how many sides a planned test rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sides {
    /// One side at the whole level.
    One,
    /// Both sides, each at half the level.
    Two,
}

impl Sides {
    /// The level spent on each side.
    ///
    /// # Formula
    /// `alpha` one-sided, `alpha / 2` two-sided.
    #[must_use]
    pub fn level_each(self, alpha: f64) -> f64 {
        match self {
            Self::One => alpha,
            Self::Two => alpha / 2.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sided_p_values_add_to_one_and_the_two_sided_is_twice_the_smaller() {
        for z in [-3.0, -0.4, 0.0, 1.96, 5.0] {
            let less = Alternative::Less.normal_p_value(z);
            let greater = Alternative::Greater.normal_p_value(z);
            assert!((less + greater - 1.0).abs() < 1e-12);
            assert!((Alternative::TwoSided.normal_p_value(z) - 2.0 * less.min(greater)).abs() < 1e-12);
        }
        assert!((Alternative::TwoSided.normal_p_value(1.96) - 0.049_995_79).abs() < 1e-8);
    }
}
