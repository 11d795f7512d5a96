//! Points of each arm, look by look, and the rank test on them by counting.

use crate::crowd::{Arm, Slice};
use crate::judge::{Judge, World, above};
use crate::plan::{Change, Gate, Margin, QUANTILE, SCALE, SIGN};

/// What the rank test says: p-value of a failure, whether it passes, the shift beyond `allow`.
pub(crate) struct Ranked {
    pub(crate) fail: f64,
    pub(crate) passes: bool,
    pub(crate) shift: f64,
}

impl Judge<'_> {
    /// An arm's value at each look of a window that ends at `look`; NaN where it has none.
    pub(crate) fn points(
        &self,
        (stage, look, window): (usize, usize, Option<usize>),
        (metric, slice): (usize, Slice),
        world: World,
        arm: Arm,
    ) -> Vec<f64> {
        let step = self.plan.stages[stage].slots_per_look;
        let count = window.map_or(look + 1, |window| (window / step).min(look + 1));
        (look + 1 - count..=look).map(|look| self.point((stage, look, step), (metric, slice), world, arm)).collect()
    }

    fn point(
        &self,
        (stage, look, step): (usize, usize, usize),
        (metric, slice): (usize, Slice),
        world: World,
        arm: Arm,
    ) -> f64 {
        let crowd = self.crowd(stage, look, Some(step));
        if metric != QUANTILE {
            let sums = crowd.sums(arm, slice, &|asked| match arm {
                Arm::Stable => self.stable(world, metric, asked),
                Arm::Candidate => self.shown(world, metric, asked),
            });
            return sums.ratio().unwrap_or(f64::NAN);
        }
        let thresholds = self.thresholds.as_ref().expect("a grid belongs to the quantile");
        let share = |index: usize| {
            let limit = thresholds.value(index);
            crowd.sums(arm, slice, &|asked| above(self.answer(world, arm, asked).latency_ms, limit)).ratio()
        };
        let shares: Option<Vec<f64>> = (0..thresholds.bins.len()).map(share).collect();
        let Some(shares) = shares else { return f64::NAN };
        let last = shares.len() - 1;
        let below = shares.iter().position(|&share| share <= thresholds.tail);
        let raw = match below {
            Some(0) => thresholds.value(0),
            None => thresholds.value(last),
            Some(at) => {
                let part = (shares[at - 1] - thresholds.tail) / (shares[at - 1] - shares[at]);
                let bin = thresholds.bins[at - 1] + part * (thresholds.bins[at] - thresholds.bins[at - 1]);
                (bin / 64.0).exp2()
            }
        };
        match self.change(world, metric).filter(|_| arm == Arm::Candidate) {
            Some(Change::Scale(factor)) => raw * factor,
            Some(Change::Shift(amount)) => raw + amount,
            None => raw,
        }
    }

    /// The rank test of a question at a look; `None` where an arm has no points.
    pub(crate) fn ranked(
        &self,
        (stage, look): (usize, usize),
        gate: &Gate,
        slice: Slice,
        world: World,
    ) -> Option<Ranked> {
        let points = |arm: Arm| -> Vec<f64> {
            let all = self.points((stage, look, gate.window), (gate.metric, slice), world, arm);
            all.into_iter().filter(|point| !point.is_nan()).collect()
        };
        let sign = SIGN[gate.metric];
        let candidate: Vec<f64> = points(Arm::Candidate).iter().map(|point| sign * point).collect();
        let stable = points(Arm::Stable);
        if candidate.is_empty() || stable.is_empty() {
            return None;
        }
        let worsened = |margin: Margin| -> Vec<f64> {
            let (factor, offset) = margin.factor_and_offset(sign);
            stable.iter().map(|point| sign * factor * point + offset).collect()
        };
        let allow = gate.allow.expect("the test compares");
        let (pass, fail) = (worsened(allow), worsened(gate.harm.unwrap_or(allow)));
        let tiny = if gate.metric == QUANTILE { 1.0 } else { SCALE[gate.metric].0 / SCALE[gate.metric].1 };
        let p_pass = self.share_at_least(&pass, &candidate, tiny);
        self.compare(p_pass, gate.alpha, 1.0);
        let mut differences: Vec<f64> = candidate.iter().flat_map(|c| pass.iter().map(move |s| c - s)).collect();
        differences.sort_by(f64::total_cmp);
        let middle = differences.len() / 2;
        let shift = if differences.len() % 2 == 1 {
            differences[middle]
        } else {
            f64::midpoint(differences[middle - 1], differences[middle])
        };
        Some(Ranked { fail: self.share_at_least(&candidate, &fail, tiny), passes: p_pass <= gate.alpha, shift })
    }

    /// Among all ways to choose which points are the first sample's, the share with at least as many pairs in which it is larger.
    fn share_at_least(&self, first: &[f64], second: &[f64], tiny: f64) -> f64 {
        let pool: Vec<f64> = first.iter().chain(second).copied().collect();
        assert!(pool.len() <= 12, "few enough to count");
        // Twice the pairs in which a chosen point is larger than one not chosen; ties count once.
        let pairs = |chosen: u32| -> u32 {
            let is = |index: usize| chosen & (1 << index) != 0;
            let of = |index: usize| -> u32 {
                (0..pool.len())
                    .filter(|&other| !is(other))
                    .map(|other| self.order(pool[index], pool[other], tiny))
                    .sum()
            };
            (0..pool.len()).filter(|&index| is(index)).map(of).sum()
        };
        let observed = pairs((1 << first.len()) - 1);
        let choices = (0..1_u32 << pool.len()).filter(|choice| choice.count_ones() as usize == first.len());
        let (mut all, mut extreme) = (0.0, 0.0);
        for choice in choices {
            all += 1.0;
            extreme += if pairs(choice) >= observed { 1.0 } else { 0.0 };
        }
        extreme / all
    }

    /// 2 for larger, 1 for equal up to rounding.
    fn order(&self, a: f64, b: f64, tiny: f64) -> u32 {
        let (distance, size) = ((a - b).abs(), a.abs().max(b.abs()));
        if distance <= 1e-12 * size {
            return 1;
        }
        if distance <= 1e-8 * size.max(tiny) {
            self.close.set(true);
        }
        if a > b { 2 } else { 0 }
    }
}
