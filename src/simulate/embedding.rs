//! What stable's embeddings are like over the log: how their features go together, and what is unlike all of them.

use super::layout::Slice;
use crate::digest::Digest;
use crate::digest::cells::{MetricCells, Sums};
use crate::domain::feature::Feature;
use crate::scenario::Scenario;
use crate::stats::mmd::Spread;

/// Features of a metric of embeddings. Those after the first are the metrics that follow it.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// Stable's mean of each feature.
    pub stable: Vec<f64>,
    /// Features of an answer that is as unlike stable's as can be: in every direction opposite to their mean.
    pub outlier: Vec<f64>,
    /// Per slice of the layout: how the noise of stable's means is spread over features.
    pub spread: Vec<Spread>,
}

impl Embedding {
    /// Of the first feature of embeddings; `None` of other metrics.
    #[must_use]
    pub fn of(digest: &Digest, scenario: &Scenario, metric: usize, slices: &[Slice]) -> Option<Self> {
        scenario.metrics[metric].kind.feature().filter(|feature| feature.index == 0)?;
        let cells = &digest.cells;
        let features: Vec<&Sums> = scenario
            .features_of(metric)
            .map(|metric| match &cells.metrics[metric] {
                MetricCells::Sums(sums) => &sums.version.stable,
                MetricCells::Bins(_) => unreachable!("the digest holds sums of features"),
            })
            .collect();
        let units_of = |slice: Slice| {
            let mut units = Units {
                sums: vec![vec![0.0; digest.units.len()]; features.len()],
                requests: vec![0.0; digest.units.len()],
            };
            let is_there = |cell: &usize| match slice {
                Slice::Overall => true,
                Slice::Segment { column, value } => usize::from(cells.segment[column][*cell]) == value,
            };
            for cell in (0..cells.len()).filter(is_there) {
                let unit = cells.unit[cell] as usize;
                units.requests[unit] += features[0].n[cell];
                for (sums, feature) in units.sums.iter_mut().zip(&features) {
                    sums[unit] += feature.num[cell];
                }
            }
            units
        };
        let overall = units_of(Slice::Overall);
        let stable = overall.means();
        let spread_of = |&slice: &Slice| match slice {
            Slice::Overall => overall.spread(),
            Slice::Segment { .. } => units_of(slice).spread(),
        };
        let opposite = |pair: &[f64]| {
            let length = pair[0].hypot(pair[1]);
            if length > 0.0 { [-pair[0] / length, -pair[1] / length] } else { [1.0, 0.0] }
        };
        Some(Self {
            outlier: stable.chunks_exact(2).flat_map(opposite).collect(),
            spread: slices.iter().map(spread_of).collect(),
            stable,
        })
    }

    /// Number of random directions.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.stable.len() / 2
    }

    /// How alike two of stable's answers are on average: 1 where all are the same, 0 where none is like any other.
    #[must_use]
    pub fn alike(&self) -> f64 {
        Feature::alike(&self.stable, &self.stable)
    }

    /// The share of all requests that, answered as unlike as can be, would be so far from stable over the log.
    #[must_use]
    pub fn replaced(&self, distance: f64) -> f64 {
        let apart: Vec<f64> = self.outlier.iter().zip(&self.stable).map(|(outlier, stable)| outlier - stable).collect();
        (distance / Feature::alike(&apart, &apart).sqrt()).min(1.0)
    }
}

/// Each feature's sums over units, and their requests.
struct Units {
    sums: Vec<Vec<f64>>,
    requests: Vec<f64>,
}

impl Units {
    fn means(&self) -> Vec<f64> {
        let total: f64 = self.requests.iter().sum();
        self.sums.iter().map(|of| of.iter().sum::<f64>() / total.max(1.0)).collect()
    }

    /// Of what units add to the means.
    fn spread(&self) -> Spread {
        let (means, n) = (self.means(), self.sums.len());
        let mut covariance = vec![0.0; n * n];
        let mut own = vec![0.0; n];
        for (unit, requests) in self.requests.iter().enumerate().filter(|(_, requests)| **requests > 0.0) {
            for ((own, of), mean) in own.iter_mut().zip(&self.sums).zip(&means) {
                *own = of[unit] - mean * requests;
            }
            for (row, first) in covariance.chunks_exact_mut(n).zip(&own) {
                row.iter_mut().zip(&own).for_each(|(sum, second)| *sum += first * second);
            }
        }
        Spread::of(&covariance, n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedding(stable: Vec<f64>, outlier: Vec<f64>) -> Embedding {
        Embedding { stable, outlier, spread: Vec::new() }
    }

    #[test]
    fn noise_is_spread_as_units_have_it() {
        // Units of 1, 2 and 3 requests: the first two features are opposite, the third does not vary, the fourth follows the first in half.
        let sums = vec![vec![1.0, 0.0, -1.0], vec![-1.0, 0.0, 1.0], vec![0.5, 1.0, 1.5], vec![0.0, 0.6, -0.6]];
        let units = Units { sums, requests: vec![1.0, 2.0, 3.0] };
        assert_eq!(units.means(), [0.0, 0.0, 0.5, 0.0]);
        // Products over units: 2, -2 and 0.6 of the first, 0.72 of the fourth.
        let covariance = [2.0, -2.0, 0.0, 0.6, -2.0, 2.0, 0.0, -0.6, 0.0, 0.0, 0.0, 0.0, 0.6, -0.6, 0.0, 0.72];
        let (found, expected) = (units.spread(), Spread::of(&covariance, 4));
        assert!((found.second - expected.second).abs() < 1e-12 && (found.third - expected.third).abs() < 1e-12);
        assert!((found.second - (16.0 + 4.0 * 0.36 + 0.72 * 0.72) / (4.72 * 4.72)).abs() < 1e-12);
    }

    #[test]
    fn a_share_is_replaced_up_to_the_distance() {
        let found = embedding(vec![0.75, 0.15, -0.1, 0.5], vec![-0.98, -0.2, 0.2, -0.98]);
        for distance in [0.0, 0.1, 0.6] {
            let part = found.replaced(distance);
            let moved: Vec<f64> = found.outlier.iter().zip(&found.stable).map(|(o, s)| part * (o - s)).collect();
            assert!((Feature::alike(&moved, &moved).sqrt() - distance).abs() < 1e-12, "{distance}: {part}");
        }
        assert!((found.replaced(9.0) - 1.0).abs() < 1e-12);
        assert!((found.alike() - (0.75_f64.powi(2) + 0.15_f64.powi(2) + 0.01 + 0.25) / 2.0).abs() < 1e-12);
    }
}
