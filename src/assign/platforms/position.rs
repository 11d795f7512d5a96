//! Where the candidate stands in the platform's list of variants.

use std::sync::Arc;

use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, NEVER, scaled};
use crate::domain::quantity::Fraction;

/// The last variant has what those before it leave.
struct Last<B>(B);

/// The candidate is the first variant, or the last one with `position = "last"`.
pub(super) fn placed<B: Bucketing + 'static>(values: &mut Values, first: Option<B>) -> Option<Arc<dyn Bucketing>> {
    let position = values.choice("position", &["first", "last"])?;
    let first = first?;
    Some(if position == "last" { Arc::new(Last(first)) } else { Arc::new(first) })
}

/// What others have.
fn rest(exposure: Fraction) -> Fraction {
    Fraction::new((1.0 - scaled(exposure, 1.0)).clamp(0.0, 1.0)).unwrap_or(Fraction::ZERO)
}

impl<B: Bucketing> Bucketing for Last<B> {
    fn place(&self, unit: &str) -> f64 {
        self.0.place(unit)
    }

    fn steps(&self) -> Option<u32> {
        self.0.steps()
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        place < NEVER && !self.0.serves(place, rest(exposure))
    }

    fn served(&self, exposure: Fraction) -> f64 {
        1.0 - self.0.served(rest(exposure))
    }

    fn hashed(&self, unit: &str) -> Hashed {
        self.0.hashed(unit)
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("not {}", self.0.threshold(rest(exposure)))
    }

    fn caution(&self) -> Option<(&'static str, &'static str)> {
        self.0.caution()
    }

    fn ascii_only(&self) -> bool {
        self.0.ascii_only()
    }
}
