//! Whether units came to the arms in the planned shares.

use crate::gate::stage::StagePlace;
use crate::simulate::trajectory::{Arm, Reader, Span};
use crate::stats::anytime::srm;
use crate::stats::chi_square;

/// A chi-square p-value below this alarms at a stage's end, and an e-value of its inverse at any look.
const LEVEL: f64 = 1e-3;

/// Units that the e-value's prior is worth: many look for small mismatches.
const PRIOR_UNITS: f64 = 100.0;

/// Units of a stage against its exposure and control.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio {
    /// Units on the candidate at the stage's end.
    pub observed: f64,
    /// Units expected there, of all that came.
    pub expected: f64,
    /// Chi-square test at the stage's end.
    pub p_value: f64,
    /// Logarithm of the largest e-value of all looks.
    pub log_e_value: f64,
}

impl SampleRatio {
    /// Whether either test says that assignment is not what it should be.
    #[must_use]
    pub fn alarms(&self) -> bool {
        self.p_value < LEVEL || self.log_e_value >= -LEVEL.ln()
    }
}

/// The sample ratio of a stage; `None` where everyone is on one version or nobody came.
#[must_use]
pub fn sample_ratio(reader: Reader<'_>, place: &StagePlace) -> Option<SampleRatio> {
    // Units that come over on the way are no share of anything.
    if place.plan.drifts || place.plan.exposure <= 0.0 || !place.plan.has_control() {
        return None;
    }
    let of_both = place.plan.split().of_both();
    let shares = [of_both, 1.0 - of_both];
    let prior = shares.map(|share| share * PRIOR_UNITS);
    let units = |look: usize| {
        let span = Span { look: place.first_look + look, since: None };
        [Arm::Candidate, Arm::Stable].map(|arm| reader.counts(span, arm, 0).units)
    };
    let last = units(place.plan.looks().checked_sub(1)?);
    let test = chi_square::sample_ratio_mismatch(&last, &shares)?;
    let e_values = (0..place.plan.looks()).map(|look| srm::log_bayes_factor(&units(look), &shares, &prior));
    Some(SampleRatio {
        observed: last[0],
        expected: of_both * (last[0] + last[1]),
        p_value: test.p_value,
        log_e_value: e_values.fold(0.0, f64::max),
    })
}
