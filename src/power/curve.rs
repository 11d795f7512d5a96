//! What the log expects of one question against time, at any exposure.

use crate::domain::quantity::Seconds;
use crate::domain::rollout::Control;
use crate::gate::lens::Lens;
use crate::gate::question::{Arms, Asker, Evidence, ExpectedArms, Question};
use crate::simulate::Split;
use crate::simulate::grid::GridPlace;
use crate::simulate::layout::{Answers, Shape};
use crate::simulate::trajectory::{Arm, Reader, Span, Trajectory};
use crate::stats::cluster::UnitSums;
use crate::stats::student_t;

/// Both arms together are everybody.
const HALF: Split = Split::steady(0.5, Control::Rest);

/// Everybody's sums, read as what arms expect of them.
#[derive(Clone, Copy)]
pub(super) struct Census<'a> {
    pub(super) asker: Asker<'a>,
    pub(super) question: Question,
    pub(super) reader: Reader<'a>,
}

/// One side of a contrast at one look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contrast {
    /// The regression beyond the margin; larger is worse.
    pub(super) beyond: f64,
    pub(super) variance: f64,
    pub(super) df: f64,
    /// What the requests of the arm with fewer are worth in units of equal weight.
    pub(super) effective_units: f64,
}

impl Contrast {
    /// The regression in standard errors, as a normal deviate.
    pub(super) fn distance(&self) -> f64 {
        student_t::normal_equivalent(self.beyond / self.variance.sqrt(), self.df)
    }
}

/// Which margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deciding {
    Pass,
    Fail,
}

impl<'a> Census<'a> {
    pub(super) fn new(asker: Asker<'a>, question: Question, trajectory: &'a Trajectory) -> Self {
        Self { asker, question, reader: Reader { layout: asker.layout, trajectory } }
    }

    fn arms(&self, look: usize, split: Split) -> ExpectedArms<'a> {
        ExpectedArms { reader: self.reader, span: Span { look, since: None }, split }
    }

    /// One contrast of a look, as expected of a split.
    pub(super) fn contrast(&self, side: Deciding, lens: Lens, look: usize, split: Split) -> Option<Contrast> {
        let evidence: Evidence = self.asker.evidence(self.question, lens, &self.arms(look, split))?;
        let contrast = if side == Deciding::Pass { evidence.pass } else { evidence.fail };
        Some(Contrast {
            beyond: contrast.difference,
            variance: contrast.variance.filter(|&variance| variance > 0.0)?,
            df: contrast.df,
            effective_units: contrast.effective_units,
        })
    }

    /// Units with data, covered requests and all requests of everybody at a look.
    pub(super) fn everybody(&self, look: usize) -> (f64, f64, f64) {
        let counts = self.reader.counts(Span { look, since: None }, Arm::Candidate, self.question.slice);
        (counts.units, counts.covered, counts.requests)
    }

    /// Stable's value.
    pub(super) fn level(&self, look: usize) -> Option<f64> {
        let arms = self.arms(look, HALF);
        match &self.asker.layout.shapes[self.asker.gate.metric] {
            Shape::Moments => {
                arms.sums(Arm::Candidate, Answers::Stable, self.question.slice, self.asker.gate.metric, None).ratio()
            }
            Shape::Grid(grid) => self.asker.quantile_threshold(self.question.slice, &arms).map(|at| grid.value(at)),
        }
    }

    /// Everybody's sums under stable's answers; of a quantile at its threshold.
    pub(super) fn stable(&self, look: usize) -> Option<UnitSums> {
        let place = match &self.asker.layout.shapes[self.asker.gate.metric] {
            Shape::Moments => None,
            Shape::Grid(_) => {
                let index = self.asker.quantile_threshold(self.question.slice, &self.arms(look, HALF))?;
                Some(GridPlace { index, part: 0.0 })
            }
        };
        let span = Span { look, since: None };
        let (slice, metric) = (self.question.slice, self.asker.gate.metric);
        Some(self.reader.sums(span, Arm::Candidate, Answers::Stable, slice, metric, place))
    }

    /// Chance that both arms have the data without which the gate does not speak.
    pub(super) fn enough(&self, look: usize, split: Split, against_stable: bool) -> f64 {
        let (units, covered, _) = self.everybody(look);
        let share = if against_stable { split.smaller() } else { split.exposure };
        let gate = self.asker.gate;
        let (units, covered) = (units * share, covered * share);
        if units <= 0.0 {
            return 0.0;
        }
        // Poisson numbers of units; requests vary with them.
        let chance = |have: f64, least: f64, sd: f64| {
            if least <= 0.0 { 1.0 } else { crate::stats::normal::cdf((have - least + 0.5) / sd) }
        };
        let by_units = chance(units, gate.min_units, units.sqrt());
        by_units.min(chance(covered, gate.min_requests, covered / units.sqrt()))
    }
}

/// The contrast of one side under one lens at evenly spaced looks, at any exposure.
///
/// # Formula
/// The variance at exposure `e` is `A / e + B / s`, `s` the share of stable's arm: two exposures with the rest there give A and B.
pub(super) struct Curve {
    looks: Vec<Option<Look>>,
    control: Control,
    /// Units with data and their requests with data, of everybody.
    everybody: Vec<(f64, f64)>,
    /// Units and requests per arm before the gate may speak.
    least: (f64, f64),
    /// Seconds between looks.
    pub(super) look_s: i64,
    /// Looks that judgements lag behind.
    lag: usize,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    beyond: f64,
    candidate: f64,
    stable: f64,
}

impl Look {
    fn variance(self, split: Split) -> f64 {
        self.candidate / split.exposure + self.stable / split.stable()
    }
}

impl Curve {
    /// `split` is the one at which it shall be exact.
    pub(super) fn new(
        census: &Census<'_>,
        side: Deciding,
        lens: Lens,
        split: Split,
        looks: usize,
        look_s: i64,
    ) -> Self {
        let here = split.exposure.clamp(1e-6, 0.99);
        let there = if here < 0.3 { 0.5 } else { 0.1 };
        let at = |look: usize| {
            let rest = |exposure: f64| census.contrast(side, lens, look, Split::steady(exposure, Control::Rest));
            let (first, second) = (rest(here)?, rest(there)?);
            // Two equations in A and B.
            let determinant = 1.0 / (here * (1.0 - there)) - 1.0 / (there * (1.0 - here));
            let candidate = (first.variance / (1.0 - there) - second.variance / (1.0 - here)) / determinant;
            let stable = (second.variance / here - first.variance / there) / determinant;
            let look_of_rest = Look { beyond: first.beyond, candidate: candidate.max(0.0), stable: stable.max(0.0) };
            if split.control == Control::Rest {
                return Some(look_of_rest);
            }
            let exact = census.contrast(side, lens, look, split.at(here))?;
            let times = exact.variance / look_of_rest.variance(split.at(here));
            let Look { candidate, stable, .. } = look_of_rest;
            Some(Look { beyond: exact.beyond, candidate: times * candidate, stable: times * stable })
        };
        let everybody = |look: usize| {
            let (units, covered, _) = census.everybody(look);
            (units, covered)
        };
        // At first nothing has been judged yet.
        let lag = census.asker.delay.steps(Seconds(look_s));
        let seen = |look: usize| look.checked_sub(lag);
        Self {
            looks: (0..looks).map(|look| at(seen(look)?)).collect(),
            control: split.control,
            everybody: (0..looks).map(|look| seen(look).map_or((0.0, 0.0), everybody)).collect(),
            least: (census.asker.gate.min_units, census.asker.gate.min_requests),
            look_s,
            lag,
        }
    }

    /// The same with a part of the variance of each look.
    pub(super) fn with_part(&self, parts: &[f64]) -> Self {
        // What is seen at a look was asked earlier.
        let parts = std::iter::repeat_n(&f64::NAN, self.lag).chain(parts);
        let part = |(look, &part): (&Option<Look>, &f64)| {
            // Chance may leave less than nothing of a few requests.
            let part = if part.is_finite() { part.max(0.0) } else { return None };
            look.map(|look| Look { candidate: part * look.candidate, stable: part * look.stable, ..look })
        };
        Self {
            looks: self.looks.iter().zip(parts).map(part).collect(),
            control: self.control,
            everybody: self.everybody.clone(),
            least: self.least,
            look_s: self.look_s,
            lag: self.lag,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.looks.len()
    }

    /// The regression beyond the margin in standard errors; `None` before the gate may speak.
    pub(super) fn distance(&self, look: usize, exposure: f64) -> Option<f64> {
        let (units, covered) = self.everybody[look];
        let enough = units * exposure >= self.least.0 && covered * exposure >= self.least.1;
        self.bare_distance(look, exposure).filter(|_| enough)
    }

    fn bare_distance(&self, look: usize, exposure: f64) -> Option<f64> {
        let at = self.looks[look]?;
        let variance = at.variance(Split::steady(exposure, self.control));
        (variance > 0.0).then(|| at.beyond / variance.sqrt())
    }

    /// Seconds until the truth lies so many standard errors on the right side of the margin: `sign` is -1 to pass, 1 to fail.
    pub(super) fn time_until(&self, distance: f64, sign: f64, exposure: f64) -> Option<i64> {
        let enough = |&look: &usize| self.distance(look, exposure).is_some_and(|found| sign * found >= distance);
        (0..self.len()).find(enough).map(|look| (look as i64 + 1) * self.look_s)
    }

    /// The same beyond the log, if the variance goes on to fall towards its limit as it did: `v(t) = a + b / t` through the middle and the
    /// end of the log. `None` where the limit is too large: users return, and only they.
    pub(super) fn projected(&self, distance: f64, sign: f64, exposure: f64) -> Option<f64> {
        let last = self.len().checked_sub(1)?;
        let middle = last.div_ceil(2);
        let early = self.bare_distance(middle.checked_sub(1)?, exposure)?;
        // By the end of the log the gate must have been able to speak.
        let late = self.distance(last, exposure)?;
        let beyond = self.looks[last]?.beyond;
        if sign * beyond <= 0.0 {
            return None;
        }
        let (early_s, late_s) = ((middle as f64) * self.look_s as f64, (last as f64 + 1.0) * self.look_s as f64);
        let variance = |distance: f64| (beyond / distance).powi(2);
        let slope = (variance(early) - variance(late)) / (1.0 / early_s - 1.0 / late_s);
        let limit = variance(late) - slope / late_s;
        let room = variance(distance) - limit.max(0.0);
        (slope > 0.0 && room > 0.0).then(|| slope / room)
    }

    /// Time within the log, or beyond it.
    pub(super) fn time(&self, distance: f64, sign: f64, exposure: f64) -> Option<f64> {
        let within = self.time_until(distance, sign, exposure).map(|seconds| seconds as f64);
        within.or_else(|| self.projected(distance, sign, exposure))
    }

    /// Smallest exposure at which a look has the distance.
    pub(super) fn exposure_until(&self, distance: f64, sign: f64, look: usize) -> Option<f64> {
        let at = self.looks[look]?;
        if sign * at.beyond <= 0.0 {
            return None;
        }
        let needed = (at.beyond / distance).powi(2);
        let (units, covered) = self.everybody[look];
        let least = (self.least.0 / units.max(1.0)).max(self.least.1 / covered.max(1.0));
        if self.control == Control::Matched {
            // needed = (A + B) / e
            let exposure = ((at.candidate + at.stable) / needed).max(least);
            return Some(exposure).filter(|&exposure| exposure > 0.0 && exposure <= 0.5);
        }
        // needed = A / e + B / (1 - e)
        let middle = needed + at.candidate - at.stable;
        let discriminant = middle * middle - 4.0 * needed * at.candidate;
        let exposure = (middle - discriminant.max(0.0).sqrt()) / (2.0 * needed);
        (discriminant >= 0.0).then(|| exposure.max(least)).filter(|&exposure| exposure > 0.0 && exposure < 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A regression of 1 whose variance in each arm is `share * (limit + slope / hours)`.
    fn curve(hours: usize, limit: f64, slope: f64) -> Curve {
        let at = |hour: usize| {
            let variance = limit + slope / (hour as f64 + 1.0);
            Some(Look { beyond: 1.0, candidate: variance, stable: variance })
        };
        Curve {
            control: Control::Rest,
            looks: (0..hours).map(at).collect(),
            everybody: (0..hours).map(|hour| (hour as f64 * 100.0 + 100.0, 1000.0)).collect(),
            least: (0.0, 0.0),
            look_s: 3600,
            lag: 0,
        }
    }

    #[test]
    fn time_is_found_in_the_log_and_beyond() {
        // At half exposure the variance is four times that of an arm: 4 (0.01 + 1 / hours) = 1 / 2.5².
        let hours: f64 = 1.0 / (1.0 / 6.25 / 4.0 - 0.01);
        let within = curve(100, 0.01, 1.0).time_until(2.5, 1.0, 0.5).unwrap();
        assert_eq!(within, hours.ceil() as i64 * 3600);
        assert_eq!(curve(10, 0.01, 1.0).time_until(2.5, 1.0, 0.5), None);
        let beyond = curve(10, 0.01, 1.0).projected(2.5, 1.0, 0.5).unwrap() / 3600.0;
        assert!((beyond / hours - 1.0).abs() < 1e-9, "{beyond} {hours}");
    }

    #[test]
    fn half_of_the_variance_takes_half_of_the_time() {
        let whole = curve(400, 0.0, 1.0);
        let half = whole.with_part(&[0.5; 400]);
        let time = |curve: &Curve| curve.time_until(5.0, 1.0, 0.5).unwrap();
        assert_eq!(time(&whole), 2 * time(&half));
        assert!(whole.with_part(&[f64::NAN; 400]).time_until(5.0, 1.0, 0.5).is_none());
    }

    #[test]
    fn returning_users_alone_never_do() {
        // The limit is reached only by new units: 4 * 0.05 > 1 / 2.5².
        assert_eq!(curve(10, 0.05, 1.0).projected(2.5, 1.0, 0.5), None);
        assert_eq!(curve(10, 0.01, 1.0).projected(2.5, -1.0, 0.5), None, "the other side of the margin");
    }

    #[test]
    fn exposure_solves_for_the_variance() {
        let curve = curve(100, 0.01, 1.0);
        let exposure = curve.exposure_until(2.0, 1.0, 49).unwrap();
        assert!((curve.distance(49, exposure).unwrap() - 2.0).abs() < 1e-9 && exposure < 0.5);
        assert_eq!(curve.exposure_until(20.0, 1.0, 49), None, "not even at half");
    }
}
