//! What the report says of scenario and log.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::assign::Bucketing;
use crate::digest::Digest;
use crate::digest::cells::MetricCells;
use crate::digest::judged;
use crate::domain::metric::{Direction, Judge, Metric, Nulls};
use crate::domain::quantity::Moment;
use crate::domain::rollout::{Promotion, Sticky};
use crate::domain::version::Version;
use crate::report::{Coverage, Excluded, JudgeFacts, LogFacts, MetricFacts, ScenarioFacts, Segment};
use crate::scenario::{Resample, Scenario, Tile};

/// A moment in a time zone.
fn zoned(moment: Moment, zone: &str) -> jiff::Zoned {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    Timestamp::from_second(moment.0).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone)
}

/// For programs: `2025-03-03T09:00:00+00:00`.
fn rfc3339(moment: Moment, zone: &str) -> String {
    zoned(moment, zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// For people: `Mon 2025-03-03 09:00`.
pub(super) fn for_people(moment: Moment, zone: &str) -> String {
    zoned(moment, zone).strftime("%a %Y-%m-%d %H:%M").to_string()
}

/// Whether a moment is Monday, 09:00.
pub(super) fn is_monday_nine(moment: Moment, zone: &str) -> bool {
    zoned(moment, zone).strftime("%a %H:%M").to_string() == "Mon 09:00"
}

pub(super) fn scenario(scenario: &Scenario, starts: usize, bucketing: &dyn Bucketing) -> ScenarioFacts {
    let hash = scenario.assignment.platform.name();
    ScenarioFacts {
        path: scenario.path.clone(),
        fingerprint: scenario.fingerprint.clone(),
        // Line breaks are the file's, not the reader's.
        about: scenario.about.split_whitespace().collect::<Vec<_>>().join(" "),
        unit: scenario.assignment.inference().to_owned(),
        hash: bucketing.steps().map_or_else(|| hash.into(), |steps| format!("{hash} ({steps} buckets)")),
        resample: match scenario.simulation.resample {
            Resample::Poisson => "poisson".into(),
            Resample::None => "none".into(),
        },
        starts,
        promote: match scenario.rollout.promote {
            Promotion::AllPass => "all-pass".into(),
            Promotion::NoFail => "no-fail".into(),
        },
        tiled: scenario.log.tile == Tile::Week,
    }
}

/// Distinct units of the log: of those that are drawn, or where cookies are, of their users.
fn units(digest: &Digest, scenario: &Scenario) -> usize {
    let users = digest.holders(scenario).filter(|_| scenario.assignment.sticky == Sticky::Cookie);
    users.map_or(digest.logged_units() as usize, |(_, names)| names.len())
}

pub(super) fn log(path: &str, digest: &Digest, scenario: &Scenario) -> LogFacts {
    let facts = &digest.facts;
    LogFacts {
        path: path.to_owned(),
        rows: facts.rows,
        units: units(digest, scenario),
        buckets: (!digest.members.is_empty()).then_some(digest.units.len()),
        cells: digest.cells.len(),
        start: rfc3339(facts.start, &scenario.log.timezone),
        end: rfc3339(facts.end, &scenario.log.timezone),
        fingerprint: facts.fingerprint.clone(),
        excluded: Excluded {
            null_unit: facts.excluded_null_unit,
            timestamp: facts.excluded_timestamp,
            duplicate: facts.excluded_duplicate,
        },
        coverage: coverage(digest),
    }
}

fn coverage(digest: &Digest) -> Vec<Coverage> {
    let cells = &digest.cells;
    let row = |segment: Option<Segment>, held: &dyn Fn(usize) -> bool| {
        let sum =
            |values: &[f64]| (0..cells.len()).filter(|&cell| held(cell)).map(|cell| values[cell]).sum::<f64>() as u64;
        let candidate = cells.covered_candidate.as_deref().map_or(0, sum);
        Coverage { segment, requests: sum(&cells.rows), covered: sum(&cells.covered) + candidate }
    };
    let mut rows = vec![row(None, &|_| true)];
    for (column, segment) in digest.segments.iter().enumerate() {
        for (index, value) in segment.values.iter().enumerate() {
            let named = Segment { column: segment.name.clone(), value: value.clone() };
            rows.push(row(Some(named), &|cell| usize::from(cells.segment[column][cell]) == index));
        }
    }
    rows
}

pub(super) fn metrics(scenario: &Scenario, digest: &Digest) -> Vec<MetricFacts> {
    let row = |(index, metric): (usize, &Metric)| MetricFacts {
        name: metric.name.clone(),
        kind: metric.kind.name().into(),
        better: match metric.better {
            _ if metric.kind.is_drift() => "neither".into(),
            Direction::Higher => "higher".into(),
            Direction::Lower => "lower".into(),
        },
        unit: metric.unit.clone(),
        judge: (metric.judge != Judge::default()).then(|| judge(metric, digest.recorded(index), digest.cells.len())),
        null_means: match metric.nulls {
            Nulls::Excluded => "exclude".into(),
            Nulls::Worst => "worst".into(),
        },
        observed: metric.stable_only.then(|| Version::Stable.name().into()),
    };
    scenario.own_metrics().map(|index| row((index, &scenario.metrics[index]))).collect()
}

fn judge(metric: &Metric, recorded: &MetricCells, cells: usize) -> JudgeFacts {
    let of = |version| (0..cells).map(|cell| judged::values(recorded, version, cell)).sum::<f64>();
    let judgements: f64 = Version::BOTH.into_iter().map(of).sum();
    JudgeFacts {
        share: metric.judge.share.unwrap_or(1.0),
        sensitivity: metric.judge.errors.map(|errors| errors.sensitivity),
        specificity: metric.judge.errors.map(|errors| errors.specificity),
        judgements: judgements as u64,
        cost_usd: metric.judge.cost_usd.map(|cost| cost * judgements),
    }
}

/// What no replay of a log can show; every report repeats what applies to it.
pub(super) fn limits(scenario: &Scenario, digest: &Digest) -> Vec<String> {
    let mut limits = vec![
        "The candidate's answers cannot change later traffic here: users who would leave, retry or ask otherwise do not.".to_owned(),
        "Caches, queues and capacity at small exposure are not in the log: latency is the shadow's, under shadow load.".to_owned(),
        "Traffic after the log may differ from traffic in it; resampling units covers chance, not change.".to_owned(),
    ];
    if !digest.items.is_empty() {
        limits.push(format!(
            "Recorded outputs belong to {} values of `{}`: the canary is replayed on these outputs as if they were all the candidate can say.",
            digest.items.len(),
            scenario.log.item.as_deref().unwrap_or("item")
        ));
    }
    if scenario.log.trial.is_some() {
        limits.push(
            "Each request is served one of its recorded outputs at random: what a version could say besides them is not in the log, and \
             where it was asked once it never changes its answer."
                .to_owned(),
        );
    }
    if let Some(served) = scenario.log.served.as_ref().filter(|_| !digest.cells.is_paired()) {
        limits.push(format!(
            "Each request was served by one version: whether those that `{}` served are like those that `{}` served is up to how the \
             log was assigned, and no replay can show it.",
            served.names.candidate, served.names.stable
        ));
    }
    let stable_only = scenario.metrics.iter().filter(|metric| metric.stable_only);
    let names: Vec<String> = stable_only.map(|metric| format!("`{}`", metric.name)).collect();
    if !names.is_empty() {
        limits.push(format!(
            "What users would do with the candidate's answers is not in the log: of {} it shows what a canary can find, not what it will.",
            names.join(", ")
        ));
    }
    if scenario.log.tile == Tile::Week {
        limits.push(
            "Whole weeks of the log were repeated: the same requests return, and time adds less than it seems."
                .to_owned(),
        );
    }
    limits
}
