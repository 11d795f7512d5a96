//! Quantities that could be confused with each other.

use std::fmt;

/// A share in `[0, 1]`, printed as a percentage.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Fraction(f64);

impl Fraction {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);
    /// Everything.
    pub const ONE: Self = Self(1.0);

    /// `None` outside `[0, 1]` and for NaN.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// The share as a number in `[0, 1]`.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 1e-9 hides the binary rounding of shares like 0.07.
        let percent = (self.0 * 100.0 * 1e9).round() / 1e9;
        write!(f, "{percent} %")
    }
}

/// A probability strictly between 0 and 1: an alpha, a power.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Probability(f64);

impl Probability {
    /// `None` outside `(0, 1)` and for NaN.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (value > 0.0 && value < 1.0).then_some(Self(value))
    }

    /// The probability as a number in `(0, 1)`.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// A length of time in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seconds(pub i64);

impl Seconds {
    /// One hour.
    pub const HOUR: Self = Self(3600);
    /// One day.
    pub const DAY: Self = Self(86_400);
    /// One week.
    pub const WEEK: Self = Self(7 * 86_400);

    /// How many steps of a length it takes to have passed; none of nothing.
    #[must_use]
    pub fn steps(self, step: Self) -> usize {
        (self.0.max(0) as u64).div_ceil(step.0.max(1) as u64) as usize
    }

    /// The shortest time that is at least as long, in whole steps of a length.
    #[must_use]
    pub fn up_to(self, step: Self) -> Self {
        Self((self.steps(step) as i64).saturating_mul(step.0.max(1)))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0;
        if total == 0 {
            return write!(f, "0s");
        }
        let sign = if total < 0 { "-" } else { "" };
        let total = total.abs();
        let parts = [(total / 86_400, "d"), (total / 3600 % 24, "h"), (total / 60 % 60, "m"), (total % 60, "s")];
        let text: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
        write!(f, "{sign}{}", text.join(" "))
    }
}

/// A moment, in whole seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_print_as_percentages() {
        assert_eq!(Fraction::new(0.07).unwrap().to_string(), "7 %");
        assert_eq!(Fraction::new(0.125).unwrap().to_string(), "12.5 %");
        assert!(Fraction::new(1.01).is_none() && Fraction::new(f64::NAN).is_none());
    }

    #[test]
    fn durations_print_in_the_largest_units() {
        assert_eq!(Seconds(86_400 + 2 * 3600).to_string(), "1d 2h");
        assert_eq!(Seconds(900).to_string(), "15m");
        assert_eq!(Seconds(0).to_string(), "0s");
    }
}
