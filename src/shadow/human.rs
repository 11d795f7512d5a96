//! What people would say of all judged requests: their labels of some correct the judge.

use super::clusters::Clusters;
use super::shown;
use crate::digest::Digest;
use crate::digest::cells::MetricCells;
use crate::domain::gate::Gate;
use crate::domain::metric::Direction;
use crate::domain::version::{PerVersion, Version};
use crate::report::HumanRow;
use crate::stats::prediction_powered::{PredictionPowered, UnitLabels, labels_needed};
use crate::stats::student_t;

/// The row of a slice; `None` where a version has no label there. Requests without a value are left out.
pub(super) fn row(
    digest: &Digest,
    metric: usize,
    better: Direction,
    clusters: &Clusters,
    cells: &[u32],
    gate: Option<&Gate>,
) -> Option<HumanRow> {
    let labels = digest.cells.judged[metric].labels.as_ref()?;
    let MetricCells::Sums(sums) = digest.recorded(metric) else { return None };
    let of_cell = |version: Version, cell: u32| {
        let (cell, labels, all) = (cell as usize, labels.get(version), sums.version.get(version));
        UnitLabels {
            labelled: labels.n[cell],
            human: labels.human[cell],
            judge: labels.judge[cell],
            rest: all.n[cell] - labels.n[cell],
            judge_rest: all.num[cell] - labels.judge[cell],
        }
    };
    let units = PerVersion::from_fn(|version| units(clusters, cells, |cell| of_cell(version, cell)));
    let found = PerVersion {
        stable: PredictionPowered::tuned(&units.stable)?,
        candidate: PredictionPowered::tuned(&units.candidate)?,
    };
    let labelled_units = units.stable.iter().zip(&units.candidate);
    let labelled_units = labelled_units.filter(|(s, c)| s.labelled + c.labelled > 0.0).count() as f64;
    let small = labelled_units / (labelled_units - 1.0);
    let part = |version: Version, cell: u32| found.get(version).influence(&of_cell(version, cell));
    // Variance of all, and of what comes with the labels.
    let variances = |factor: f64| {
        let both = |cell: u32| {
            let (candidate, stable) = (part(Version::Candidate, cell), part(Version::Stable, cell));
            let of_labels = candidate.0 - factor * stable.0;
            [of_labels + (candidate.1 - factor * stable.1), of_labels]
        };
        let larger = |(unit, item): (Option<f64>, Option<f64>)| Some(small * unit?.max(item.unwrap_or(0.0)));
        let [all, of_labels] = clusters.variances(cells, both).map(larger);
        all.zip(of_labels).filter(|_| labelled_units >= 2.0)
    };
    let value = found.map(PredictionPowered::value);
    let difference = value.candidate - value.stable;
    let se = variances(1.0).map(|(all, _)| all.sqrt());
    let width = se.map(|se| student_t::upper_quantile(0.025, labelled_units - 1.0) * se);
    let against = gate.and_then(|gate| {
        let (factor, offset) = gate.allow?.contrast(better);
        let (all, of_labels) = variances(factor)?;
        let sign = better.worse_sign();
        let beyond = sign * (value.candidate - factor * value.stable) - offset;
        let labels = found.stable.labelled.max(found.candidate.labelled);
        // From a candidate that is as good as stable to the margin.
        let distance = offset - sign * (1.0 - factor) * value.stable;
        let rest = (all - of_labels).max(0.0);
        let needed = labels_needed(labels, (of_labels, rest), distance, gate.alpha.get(), gate.power.get());
        Some((shown(gate, (beyond, all.sqrt())), needed))
    });
    let se_of = |version: Version| found.get(version).estimate(units.get(version)).map(|estimate| estimate.se);
    Some(HumanRow {
        labels_stable: found.stable.labelled as u64,
        labels_candidate: found.candidate.labelled as u64,
        lambda_stable: found.stable.lambda,
        lambda_candidate: found.candidate.lambda,
        stable: value.stable,
        candidate: value.candidate,
        difference,
        se_stable: se_of(Version::Stable),
        se_candidate: se_of(Version::Candidate),
        se,
        low: width.map(|width| difference - width),
        high: width.map(|width| difference + width),
        shown: against.map(|(shown, _)| shown.into()),
        labels_needed: against.and_then(|(_, needed)| needed).map(|needed| needed as u64),
    })
}

fn units(clusters: &Clusters, cells: &[u32], of: impl Fn(u32) -> UnitLabels) -> Vec<UnitLabels> {
    let as_numbers = |cell: u32| {
        let unit = of(cell);
        [unit.labelled, unit.human, unit.judge, unit.rest, unit.judge_rest]
    };
    let as_unit =
        |[labelled, human, judge, rest, judge_rest]: [f64; 5]| UnitLabels { labelled, human, judge, rest, judge_rest };
    clusters.totals(cells, as_numbers).into_iter().map(as_unit).collect()
}
