//! Whether one version lacks more values than the other: on the same mirrored requests, or on those that each served.

use rayon::prelude::*;

use super::Shadow;
use super::clusters::Clusters;
use crate::digest::{Digest, judged};
use crate::domain::version::{PerVersion, Version};
use crate::report::HealthRow;
use crate::scenario::Scenario;
use crate::stats::alternative::Alternative;
use crate::stats::student_t;

/// Below this p-value values are not missing at random: a log is checked once for each metric, and most logs are sound.
const ALARM: f64 = 0.001;

/// One row per metric.
///
/// # Formula
/// The difference of the shares of requests without a value, paired where requests are, with the variance of [`Clusters::variances`], against Student's t
/// with one degree of freedom less than there are units.
#[must_use]
pub fn rows(shadow: &Shadow<'_>) -> Vec<HealthRow> {
    let Shadow { digest, scenario, clusters, slices, .. } = shadow;
    let all = &slices[0].cells;
    let known: Vec<usize> = scenario.own_metrics().filter(|&metric| !scenario.metrics[metric].stable_only).collect();
    known.into_par_iter().filter_map(|metric| row(digest, scenario, clusters, all, metric)).collect()
}

fn row(digest: &Digest, scenario: &Scenario, clusters: &Clusters, cells: &[u32], metric: usize) -> Option<HealthRow> {
    let asked = PerVersion::from_fn(|version| digest.asked(metric, version));
    let total = asked.map(|asked| asked.iter().sum::<f64>());
    if total.stable <= 0.0 || total.candidate <= 0.0 {
        return None;
    }
    let missing = |version: Version, cell: usize| {
        asked.get(version)[cell] - judged::values(digest.recorded(metric), version, cell)
    };
    let share = PerVersion::from_fn(|version| {
        (0..digest.cells.len()).map(|cell| missing(version, cell)).sum::<f64>() / total.get(version)
    });
    let difference = share.candidate - share.stable;
    let influence = |cell: u32| {
        let cell = cell as usize;
        if digest.cells.is_paired() {
            let lacking = missing(Version::Candidate, cell) - missing(Version::Stable, cell);
            return (lacking - difference * asked.stable[cell]) / total.stable;
        }
        let part = |version: Version| {
            (missing(version, cell) - share.get(version) * asked.get(version)[cell]) / total.get(version)
        };
        part(Version::Candidate) - part(Version::Stable)
    };
    let [(by_unit, by_item)] = clusters.variances(cells, |cell| [influence(cell)]);
    let (units, _) = clusters.counts(cells, |cell| asked.stable[cell] + asked.candidate[cell] > 0.0);
    let p_value = by_unit.map(|by_unit| {
        let t = difference / by_unit.max(by_item.unwrap_or(0.0)).sqrt();
        Alternative::TwoSided.p_value(t, |t| student_t::upper_tail(t, units as f64 - 1.0))
    });
    Some(HealthRow {
        check: "missingness".into(),
        metric: Some(scenario.metrics[metric].name.clone()),
        stage: None,
        r#where: if digest.cells.is_paired() { "mirrored" } else { "served" }.to_owned() + " requests without a value",
        observed: None,
        expected: None,
        e_value: None,
        rate: None,
        stable: Some(share.stable),
        candidate: Some(share.candidate),
        difference: Some(difference),
        p_value,
        alarm: p_value.is_some_and(|p| p < ALARM),
    })
}
