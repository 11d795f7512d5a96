//! Closed forms of gates that count events, from exact laws of the counts that a census expects.

use super::closed_form::Plan;
use super::rest::Rest;
use crate::domain::gate::{Gate, Window};
use crate::domain::metric::Margin;
use crate::gate::events::{self, Counts, Watch, share_at};
use crate::gate::lens::Lens;
use crate::gate::question::{Against, Asker, ExpectedArms, Question};
use crate::outcome::player::Player;
use crate::simulate::Split;
use crate::simulate::trajectory::{Arm, Reader, Span, Trajectory};
use crate::stats::alternative::Sides;
use crate::stats::anytime::labels::{self, BinomialMaxSprt};
use crate::stats::anytime::poisson::MaxSprt;
use crate::stats::boundary::counts::CountBoundary;
use crate::stats::sample_size::Design;
use crate::stats::sample_size::rare;

/// More events than this are not planned one by one.
const MOST_EVENTS: f64 = 1000.0;

/// Looks that a boundary over events is planned with: more hardly change it.
const PLANNED_LOOKS: u64 = 12;

/// Steps that halve an interval below anything that matters.
const HALVINGS: usize = 40;

/// Closed forms of one question of a gate that counts events, at one stage.
pub(super) struct EventPlanner<'a> {
    player: &'a Player<'a>,
    asker: Asker<'a>,
    gate: &'a Gate,
    question: Question,
    split: Split,
    watch: Watch,
    /// Of the failing side, for this question.
    alpha_fail: f64,
}

impl<'a> EventPlanner<'a> {
    pub(super) fn new(
        player: &'a Player<'a>,
        gate: usize,
        question: Question,
        (split, alpha_fail): (Split, f64),
        watch: Watch,
    ) -> Self {
        let rule = &player.scenario.gates[gate];
        let asker = Asker::new(rule, player.scenario, &player.simulator.layout);
        Self { player, asker, gate: rule, question, split, watch, alpha_fail }
    }

    fn counts(&self, census: &Trajectory, look: usize, exposure: f64) -> Option<Counts> {
        let reader = Reader { layout: &self.player.simulator.layout, trajectory: census };
        let split = self.split.at(exposure);
        let arms = ExpectedArms { reader, span: Span { look, since: None }, split };
        events::counts(&self.asker, self.question, Lens::NULL, &arms, split)
    }

    /// Units and requests on the candidate.
    fn size(&self, census: &Trajectory, look: usize) -> (f64, f64) {
        let reader = Reader { layout: &self.player.simulator.layout, trajectory: census };
        let counts = reader.counts(Span { look, since: None }, Arm::Candidate, self.question.slice);
        (counts.units * self.split.exposure, counts.requests * self.split.exposure)
    }

    /// The plan at the end of a stage whose last look is `look`, from the median census; `rest` is a longer stage.
    pub(super) fn plan(&self, censuses: &[Trajectory], look: usize, rest: &Rest) -> Plan {
        let found: Vec<Counts> =
            censuses.iter().filter_map(|census| self.counts(census, look, self.split.exposure)).collect();
        if self.gate.window != Window::Stage || found.is_empty() {
            return Plan::default();
        }
        let mean = |value: &dyn Fn(&Counts) -> f64| found.iter().map(value).sum::<f64>() / found.len() as f64;
        let level = mean(&|c| c.candidate.events) / mean(&|c| c.candidate.trials);
        let powers: Option<Vec<f64>> = found.iter().map(|counts| self.power(counts)).collect();
        let middle = &censuses[censuses.len() / 2];
        let mde = self.counts(middle, look, self.split.exposure).and_then(|counts| self.detectable(&counts));
        let scale = self.scale_needed(&found[found.len() / 2]);
        let (units, requests) = self.size(middle, look);
        Plan {
            power: powers.map(|powers| powers.iter().sum::<f64>() / powers.len() as f64),
            mde,
            mde_relative: mde.filter(|_| level > 0.0).map(|mde| mde / level),
            units_needed: scale.map(|scale| (units * scale).ceil()),
            requests_needed: scale.map(|scale| (requests * scale).ceil()),
            duration_needed_s: self.duration_needed(rest),
            exposure_needed: self.exposure_needed(middle, look),
            ..Plan::default()
        }
    }

    fn design(&self) -> Design {
        Design { alpha: self.gate.alpha.get(), power: self.gate.power.get(), sides: Sides::One }
    }

    /// Chance to pass if the candidate is as good as stable; none where stable itself is not within the limit.
    fn power(&self, counts: &Counts) -> Option<f64> {
        let alpha = self.gate.alpha.get();
        match (self.question.against, counts.stable) {
            (Against::Stable { allow, .. }, Some(stable)) => {
                let null = share_at(allow, counts.share);
                let (mine, theirs) = (counts.candidate.events, stable.events);
                // At no margin the rates agree up to rounding: the passing side is the lower one.
                let first = (mine * (1.0 - 1e-9) / null, null);
                Some(rare::two_rates_power(first, (theirs / (1.0 - null), 1.0 - null), alpha, Sides::One))
            }
            (Against::Limit(limit), _) => {
                let rate = counts.candidate.events / counts.candidate.trials;
                let trials = counts.candidate.trials as u64;
                (rate < limit).then(|| rare::one_proportion_power(limit, rate, trials, alpha, Sides::One))
            }
            (Against::Stable { .. }, None) | (Against::Distance { .. }, _) => None,
        }
    }

    /// The smallest regression that fails with the gate's power at some look of the stage.
    fn detectable(&self, counts: &Counts) -> Option<f64> {
        let rate = counts.candidate.events / counts.candidate.trials;
        let target = self.gate.power.get();
        match (self.question.against, counts.stable) {
            (Against::Stable { harm, .. }, Some(stable)) => {
                let null = share_at(harm, counts.share);
                let from = if let Margin::Relative(share) = harm { 1.0 + share } else { 1.0 };
                let (mine, theirs) = (counts.candidate.events, stable.events);
                let power = |ratio: f64| self.power_of_labels(null, (mine * ratio, theirs)).unwrap_or(f64::NAN);
                let most = (1.0 / rate).min(1e3);
                let ratio = smallest(|ratio| power(ratio) >= target, (from, most))?;
                Some((ratio - 1.0) * rate)
            }
            (Against::Limit(limit), _) => {
                let power = |p: f64| self.power_at_limit(limit, p, counts.candidate.trials).unwrap_or(f64::NAN);
                smallest(|p| power(p) >= target, (limit, 1.0)).map(|p| p - rate)
            }
            (Against::Stable { .. }, None) | (Against::Distance { .. }, _) => None,
        }
    }

    /// Chance to fail, with so many events expected in either arm.
    fn power_of_labels(&self, null: f64, (mine, theirs): (f64, f64)) -> Option<f64> {
        let total = mine + theirs;
        // Many events are planned as one test: what many looks cost matters little against an effect that makes so many.
        if matches!(self.watch, Watch::Once) || total > MOST_EVENTS {
            let (first, second) = ((mine * (1.0 + 1e-9) / null, null), (theirs / (1.0 - null), 1.0 - null));
            return Some(rare::two_rates_power(first, second, self.alpha_fail, Sides::One));
        }
        let (events, truth) = (total.round() as u64, mine / total);
        if events == 0 {
            return None;
        }
        match self.watch {
            Watch::Spend { alpha, spending, .. } => {
                let mut boundary = CountBoundary::new(alpha, spending);
                let looks = PLANNED_LOOKS.min(events);
                let ends: Vec<u64> = (1..=looks).map(|look| look * events / looks).collect();
                let mut seen = 0;
                let look = |&end: &u64| {
                    let critical = boundary.binomial_look(end - seen, null, end as f64 / events as f64);
                    seen = end;
                    critical
                };
                let criticals: Vec<u64> = ends.iter().map(look).collect();
                let at = |total: u64| ends.binary_search(&total).map_or(u64::MAX, |look| criticals[look]);
                Some(labels::signal_probability(events, truth, at))
            }
            Watch::MaxSprt { critical, .. } if critical.is_finite() => {
                Some(BinomialMaxSprt { horizon: events, share: null }.signal_probability(critical, truth))
            }
            Watch::EProcess { alpha, planned } => labels::e_value_power(events, (null, truth), planned, alpha),
            Watch::Once | Watch::MaxSprt { .. } => None,
        }
    }

    /// Chance to fail at a true share `p`; none for what has no exact law here.
    fn power_at_limit(&self, limit: f64, p: f64, trials: f64) -> Option<f64> {
        match self.watch {
            // A boundary over the looks is planned as one test at the end, which it is close to.
            Watch::Once | Watch::Spend { .. } => {
                Some(rare::one_proportion_power(limit, p, trials as u64, self.alpha_fail, Sides::One))
            }
            Watch::MaxSprt { critical, horizon } if critical.is_finite() => {
                let test = MaxSprt { horizon: (limit * trials).min(horizon), min_events: 1 };
                Some(test.signal_probability(critical, p / limit))
            }
            Watch::MaxSprt { .. } | Watch::EProcess { .. } => None,
        }
    }

    /// How many times as much traffic passes with the gate's power.
    fn scale_needed(&self, counts: &Counts) -> Option<f64> {
        if let Against::Limit(limit) = self.question.against {
            let rate = counts.candidate.events / counts.candidate.trials;
            let needed = rare::units_to_pass(limit, rate, &self.design())?;
            return Some(needed as f64 / counts.candidate.trials);
        }
        let more = |scale: f64| {
            let scaled =
                |count: events::Count| events::Count { events: scale * count.events, trials: scale * count.trials };
            Counts { candidate: scaled(counts.candidate), stable: counts.stable.map(scaled), share: counts.share }
        };
        let enough = |scale: f64| self.power(&more(scale)).is_some_and(|power| power >= self.gate.power.get());
        // In logarithms: from a thousandth to a thousand times.
        smallest(|log: f64| enough(log.exp()), (-7.0, 7.0)).map(f64::exp)
    }

    fn duration_needed(&self, rest: &Rest) -> Option<i64> {
        let enough = |look: usize| {
            let counts = self.counts(&rest.census, look, self.split.exposure);
            let decides = counts.and_then(|counts| self.power(&counts)).is_some_and(|p| p >= self.gate.power.get());
            decides && self.size(&rest.census, look).0 >= self.gate.min_units
        };
        let last = rest.looks.checked_sub(1)?;
        if !enough(last) {
            return None;
        }
        let (mut low, mut high) = (0, last);
        while low < high {
            let middle = usize::midpoint(low, high);
            if enough(middle) { high = middle } else { low = middle + 1 }
        }
        // What was seen by then was asked earlier.
        Some((high as i64 + 1) * rest.look_s + self.asker.delay.0)
    }

    fn exposure_needed(&self, census: &Trajectory, look: usize) -> Option<f64> {
        let largest = if matches!(self.question.against, Against::Limit(_)) { 1.0 } else { 0.5 };
        let enough = |exposure: f64| {
            let counts = self.counts(census, look, exposure);
            counts.and_then(|counts| self.power(&counts)).is_some_and(|power| power >= self.gate.power.get())
        };
        smallest(enough, (1e-4, largest))
    }
}

/// The smallest number of an interval from which on a property holds; none where it does not hold at its end.
fn smallest(holds: impl Fn(f64) -> bool, (mut low, mut high): (f64, f64)) -> Option<f64> {
    if low >= high || !holds(high) {
        return None;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if holds(middle) { high = middle } else { low = middle }
    }
    Some(high)
}
