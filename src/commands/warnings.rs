//! What a reader should know before trusting a number.

use super::{facts, silence};
use crate::assign::{Bucketing, NEVER};
use crate::digest::{Digest, judged};
use crate::domain::gate::{Gate, Looks, Test};
use crate::domain::metric::{Metric, Nulls};
use crate::domain::quantity::{Fraction, Moment, Seconds};
use crate::domain::rollout::Sticky;
use crate::domain::version::Version;
use crate::report::{
    Coverage, GateRow, HealthRow, HumanRow, LogFacts, Segment, SelfCheckRow, ShadowRow, Share, Warning,
};
use crate::scenario::Scenario;
use crate::simulate::embedding::Embedding;

/// Coverage that differs from the whole log's by more than this is worth a warning.
const COVERAGE_GAP: f64 = 0.02;

/// A larger share of all requests in one unit is worth a warning.
const HEAVY_UNIT: f64 = 0.05;

/// Clusters per arm below which cluster-robust intervals are known to be too short.
const FEW_UNITS: f64 = 40.0;

/// Longer than a weekend.
const LONGEST_SILENCE: Seconds = Seconds(3 * Seconds::DAY.0);

/// A larger difference between a stage's exposure and what the platform makes of it is worth a warning.
const OFF_STEP: f64 = 1e-6;

/// A larger difference between arms of cookies, in standard errors, is worth a warning: it makes five false alarms of a hundred six.
const DRIFTED: f64 = 0.1;

/// What the warnings are drawn from.
pub(super) struct Evidence<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) digest: &'a Digest,
    /// Per metric of the scenario.
    pub(super) embeddings: &'a [Option<Embedding>],
    pub(super) bucketing: &'a dyn Bucketing,
    pub(super) log: &'a LogFacts,
    pub(super) shadow: &'a [ShadowRow],
    pub(super) health: &'a [HealthRow],
    pub(super) gates: &'a [GateRow],
    pub(super) self_check: &'a [SelfCheckRow],
}

pub(super) fn all(evidence: &Evidence<'_>) -> Vec<Warning> {
    [
        sample_ratio(evidence),
        error_rates(evidence),
        little_data(evidence),
        silent_metrics(evidence),
        bandwidths(evidence),
        heavy_unit(evidence),
        few_units(evidence),
        gap(evidence),
        coverage(evidence),
        unpaired(evidence),
        single_outputs(evidence),
        drawn_times(evidence),
        stable_only(evidence),
        unasked(evidence),
        nulls(evidence),
        missingness(evidence),
        labels(evidence),
        items(evidence),
        assignment(evidence),
        redrawn(evidence),
        drifted(evidence),
        rows(evidence),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn warning(code: &str, place: impl Into<String>, text: impl Into<String>) -> Warning {
    Warning { code: code.into(), text: text.into(), r#where: place.into() }
}

fn named(segment: Option<&Segment>) -> String {
    segment.map_or_else(String::new, |s| format!(", {} = {}", s.column, s.value))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn rate(share: &Share) -> String {
    format!("{} ({}-{})", percent(share.share), percent(share.low), percent(share.high))
}

/// Units that do not come to the arms in the planned shares: whatever is compared then, it is not the versions.
fn sample_ratio(evidence: &Evidence<'_>) -> Vec<Warning> {
    let rows = evidence.health.iter().filter(|row| row.check == "sample-ratio" && row.alarm);
    let text = |row: &HealthRow| {
        format!(
            "with the production salt {:.0} units come to the candidate where {:.1} should (p {:.1e}): look for a salt that another \
             experiment uses, or units that are not what the platform hashes",
            row.observed.unwrap_or(0.0),
            row.expected.unwrap_or(0.0),
            row.p_value.unwrap_or(1.0)
        )
    };
    rows.map(|row| warning("sample-ratio", format!("stage {}", row.stage.as_deref().unwrap_or_default()), text(row)))
        .collect()
}

/// Error rates above alpha, one warning per gate and kind of error, naming the worst place.
fn error_rates(evidence: &Evidence<'_>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for gate in &evidence.scenario.gates {
        for error in ["false alarm", "wrong pass", "wrong failure"] {
            let flagged =
                evidence.self_check.iter().filter(|row| row.flagged && row.gate == gate.name && row.error == error);
            let mut flagged: Vec<&SelfCheckRow> = flagged.collect();
            flagged.sort_by(|a, b| b.rate.share.total_cmp(&a.rate.share));
            let Some(worst) = flagged.first() else { continue };
            let alpha = percent(worst.alpha);
            let more = if flagged.len() > 1 {
                format!(", and above it in {} other places", flagged.len() - 1)
            } else {
                String::new()
            };
            let text = format!(
                "{error} rate of gate `{}` is {} at a nominal {alpha}{more}: {}",
                gate.name,
                rate(&worst.rate),
                advice(gate, error, evidence.scenario.assignment.sticky)
            );
            warnings.push(warning(
                "error-rate",
                format!("stage {}{}", worst.stage, named(worst.segment.as_ref())),
                text,
            ));
        }
    }
    warnings
}

fn advice(gate: &Gate, error: &str, sticky: Sticky) -> &'static str {
    match (gate.test, gate.looks) {
        (Test::Point, _) => {
            "a bare threshold has no error rate to keep; use `fixed` at the stage's end or `confidence-sequence`"
        }
        (Test::MannWhitney, _) if gate.kayenta.is_some() && error == "wrong pass" => {
            "Kayenta's Pass says that no difference was shown, not that there is none; ask another gate before promoting"
        }
        (Test::MannWhitney, _) => {
            "a rank test takes the points of a series as independent, and each look as the only one; use `group-sequential`"
        }
        (Test::Cusum(_), _) if error != "wrong pass" => {
            "a step holds too little to be nearly normal; raise `min_requests`, or accept more with `allow`"
        }
        (Test::BurnRate, _) => {
            "a burn rate is a bare threshold, and a short window of a small arm holds few requests; raise `min_requests`, or widen the windows"
        }
        (Test::Fixed, Looks::All) if error != "wrong pass" => {
            "a fixed test at every look alarms at every chance it gets; use `looks = \"end\"` or `confidence-sequence`"
        }
        (Test::Exact(_) | Test::MaxSprt | Test::EProcess, _) => {
            "exact counts take events for independent: requests of heavy users are not, and kind `rare` counts each user once"
        }
        _ if sticky == Sticky::Cookie => {
            "with cookies those who ask more are the candidate's users, as warning `cookie-drift` says; assign by `unit`"
        }
        _ => {
            "too few units or events for a normal interval; raise `min_units`, use a longer or larger stage, or a wider margin"
        }
    }
}

/// Gates that can hardly speak, one warning per gate and stage.
fn little_data(evidence: &Evidence<'_>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for stage in &evidence.scenario.stages {
        // Prompts with known answers need no traffic.
        let heard = evidence.scenario.gates.iter().filter(|gate| !matches!(gate.test, Test::Sentinel(_)));
        for gate in heard {
            let rows = evidence.gates.iter().filter(|row| row.stage == stage.name && row.gate == gate.name);
            let (rare, fine): (Vec<&GateRow>, Vec<&GateRow>) = rows.partition(|row| row.with_data.high < 0.5);
            let Some(first) = rare.first() else { continue };
            let slices = match (&first.segment, rare.len(), fine.len()) {
                (None, _, _) => "has".to_owned(),
                (Some(segment), 1, _) => format!("has, for {} = {},", segment.column, segment.value),
                (Some(segment), rare, fine) => {
                    format!(
                        "has in {rare} of {} slices ({} = {} and others)",
                        rare + fine,
                        segment.column,
                        segment.value
                    )
                }
            };
            let text = format!(
                "gate `{}` {slices} enough data at the stage's end in only {} of replicates: it cannot speak there",
                gate.name,
                rate(&first.with_data)
            );
            warnings.push(warning("little-data", format!("stage {}", stage.name), text));
        }
    }
    warnings
}

/// Metrics whose values leave nothing to decide on.
fn silent_metrics(evidence: &Evidence<'_>) -> Vec<Warning> {
    let of = |metric: usize| (&evidence.scenario.metrics[metric], &evidence.digest.cells.metrics[metric]);
    evidence
        .scenario
        .own_metrics()
        .map(of)
        .filter_map(|(metric, cells)| {
            let (code, text) = silence::of(&metric.name, cells)?;
            Some(warning(code, format!("metric {}", metric.name), text))
        })
        .collect()
}

/// Bandwidths that make all embeddings of stable look the same, or none like another.
fn bandwidths(evidence: &Evidence<'_>) -> Vec<Warning> {
    /// Mean likeness of two answers, between which distances are seen.
    const SEEN: (f64, f64) = (0.02, 0.98);
    let of = |metric: usize| {
        let alike = evidence.embeddings[metric].as_ref()?.alike();
        let (what, remedy) = if alike < SEEN.0 {
            (
                "next to none of stable's embeddings is like another, so that one answer is as far away as any other",
                "larger",
            )
        } else if alike > SEEN.1 {
            ("stable's embeddings are nearly all the same, and a candidate's can hardly be far from them", "smaller")
        } else {
            return None;
        };
        let Metric { name, kind, .. } = &evidence.scenario.metrics[metric];
        let bandwidth = kind.feature()?.bandwidth;
        let text = format!(
            "at a bandwidth of {bandwidth} {what}: two of them are alike by {alike:.3} on average, where 0 is not at all and 1 is the same; \
             a {remedy} `metrics.{name}.bandwidth`, near the usual distance of two embeddings, sees more"
        );
        Some(warning("bandwidth", format!("metric {name}"), text))
    };
    evidence.scenario.own_metrics().filter_map(of).collect()
}

/// A unit that alone is more of the log than a sum over units should hang on.
fn heavy_unit(evidence: &Evidence<'_>) -> Vec<Warning> {
    let cells = &evidence.digest.cells;
    // A user with a cookie is in one arm with all that is still to come.
    let users = evidence.digest.holders(evidence.scenario);
    let users = users.filter(|_| evidence.scenario.assignment.sticky == Sticky::Cookie);
    let unit_of = |unit: u32| users.as_ref().map_or(unit, |(of_unit, _)| of_unit[unit as usize]) as usize;
    let mut requests = vec![0.0; evidence.digest.units.len()];
    for (&unit, rows) in cells.unit.iter().zip(&cells.rows) {
        requests[unit_of(unit)] += rows;
    }
    let total: f64 = requests.iter().sum();
    let largest = requests.iter().copied().fold(0.0, f64::max);
    if largest <= HEAVY_UNIT * total {
        return Vec::new();
    }
    let text = format!(
        "one unit sends {} of all requests: whichever arm it is in measures that unit; gates refuse an arm that is mostly one unit, and \
         an assignment by a finer unit would see more",
        percent(largest / total)
    );
    vec![warning("heavy-unit", "log", text)]
}

/// Gates that may speak before intervals over units are to be trusted.
fn few_units(evidence: &Evidence<'_>) -> Vec<Warning> {
    let early = evidence.scenario.gates.iter().filter(|gate| gate.test != Test::Point && gate.min_units < FEW_UNITS);
    let text = |units: f64| {
        format!(
            "speaks from {units} units per arm: with fewer than {FEW_UNITS} the variance over units is hardly known, and heavy units \
             make even the t quantile too small"
        )
    };
    early.map(|gate| warning("few-units", format!("gate {}", gate.name), text(gate.min_units))).collect()
}

/// A log in which nothing happens for days: a wrong time stamp, or a recorder that was down.
fn gap(evidence: &Evidence<'_>) -> Vec<Warning> {
    let digest = evidence.digest;
    let slots = digest.cells.slot.windows(2).map(|pair| (pair[0] + 1, pair[1]));
    let Some((from, to)) = slots.max_by_key(|(from, to)| to.saturating_sub(*from)) else { return Vec::new() };
    let moment = |slot: u32| Moment(digest.first.0 + i64::from(slot) * digest.slot.0);
    let (from, to) = (moment(from), moment(to));
    if to.0 - from.0 < LONGEST_SILENCE.0 {
        return Vec::new();
    }
    let zone = &evidence.scenario.log.timezone;
    let text = format!(
        "no request from {} to {}: rollouts that run there see nothing; look for time stamps that are wrong, or choose \
         `rollout.start` times that avoid it",
        facts::for_people(from, zone),
        facts::for_people(to, zone)
    );
    vec![warning("gap", "log", text)]
}

fn covered_share(row: &Coverage) -> f64 {
    row.covered as f64 / (row.requests as f64).max(1.0)
}

fn coverage(evidence: &Evidence<'_>) -> Vec<Warning> {
    let Some((whole, segments)) = evidence.log.coverage.split_first() else { return Vec::new() };
    let overall = covered_share(whole);
    let mut warnings = Vec::new();
    if whole.covered < whole.requests {
        let text = if evidence.scenario.log.first_turns.is_some() && evidence.scenario.log.served.is_some() {
            format!(
                "{} of requests are first turns; later turns follow from what was served before, and count as traffic only",
                percent(overall)
            )
        } else if evidence.scenario.log.first_turns.is_some() {
            format!(
                "{} of requests are first turns with a shadow output; later turns answer what stable said before, and count as traffic only",
                percent(overall)
            )
        } else {
            format!(
                "{} of requests have a shadow output; the others count as traffic only, as if they were missing at random",
                percent(overall)
            )
        };
        warnings.push(warning("coverage", "log", text));
    }
    for row in segments.iter().filter(|row| (covered_share(row) - overall).abs() > COVERAGE_GAP) {
        let text = format!(
            "shadow coverage is {} here and {} overall: metrics weigh this segment by what was shadowed, not by its traffic",
            percent(covered_share(row)),
            percent(overall)
        );
        warnings.push(warning("coverage-by-segment", named(row.segment.as_ref()).trim_start_matches(", "), text));
    }
    warnings
}

fn nulls(evidence: &Evidence<'_>) -> Vec<Warning> {
    let overall =
        evidence.shadow.iter().filter(|row| row.segment.is_none() && row.nulls_stable + row.nulls_candidate > 0);
    let text = |row: &ShadowRow| {
        let index = evidence.scenario.metrics.iter().position(|metric| metric.name == row.metric).unwrap_or_default();
        let asked = |version: Version| evidence.digest.asked(index, version).iter().sum::<f64>();
        let treated = match evidence.scenario.metrics[index].nulls {
            Nulls::Excluded => {
                "leaves them out: the shadow report compares the requests where both have a value, a canary gate each arm's own; a \
                 version that has no value on its hardest requests looks better than it is, so gate what makes the nulls (errors) as \
                 well, or let them count with `null_means`"
            }
            Nulls::Worst => "counts them as the worst value, in the shadow report and in every gate",
        };
        format!(
            "metric `{}` is null for {} of stable's and {} of the candidate's shadowed requests and {treated}",
            row.metric,
            percent(row.nulls_stable as f64 / asked(Version::Stable)),
            percent(row.nulls_candidate as f64 / asked(Version::Candidate))
        )
    };
    overall.map(|row| warning("nulls", format!("metric {}", row.metric), text(row))).collect()
}

/// A log in long form: what is replayed of it, and how much that is.
fn unpaired(evidence: &Evidence<'_>) -> Vec<Warning> {
    let cells = &evidence.digest.cells;
    let Some(served) = evidence.scenario.log.served.as_ref().filter(|_| !cells.is_paired()) else { return Vec::new() };
    let total: f64 = cells.rows.iter().sum();
    let share = |version: Version| cells.covered_by(version).iter().sum::<f64>() / total;
    let text = format!(
        "each request was served by one version, so nothing is paired: stable's arm is replayed from the {} of requests that `{}` served, the \
         candidate's, in the `recorded` world, from the {} that `{}` served, and in every other world from stable's; where the versions shared the traffic, a stage of the real rollout sees all of it and\
         decides sooner",
        percent(share(Version::Stable)),
        served.names.stable,
        percent(share(Version::Candidate)),
        served.names.candidate
    );
    vec![warning("unpaired", "log", text)]
}

/// Requests with one output of a version: nothing is known there of what it says next time.
fn single_outputs(evidence: &Evidence<'_>) -> Vec<Warning> {
    let Some(trials) = &evidence.digest.trials else { return Vec::new() };
    let found = Version::BOTH.map(|version| (version, trials.single(version)));
    let text = |(version, (all, single)): (Version, (u64, u64))| {
        format!(
            "{} of requests have one output of {}: replays serve it every time, as if asked again it said the same, and see less noise \
             than users would",
            percent(single as f64 / all as f64),
            version.name()
        )
    };
    let some = found.into_iter().filter(|(_, (_, single))| *single > 0);
    some.map(|found| warning("single-outputs", "log", text(found))).collect()
}

/// A log without times: when its units come is made up.
fn drawn_times(evidence: &Evidence<'_>) -> Vec<Warning> {
    let Some(spread) = evidence.scenario.log.spread else { return Vec::new() };
    let text = format!(
        "the log has no times: each unit comes once, at a moment drawn over {spread}; durations here stand for numbers of units, and \
         nothing is said of the hours of a day"
    );
    vec![warning("drawn-times", "log", text)]
}

/// Metrics of what users did: what is said of the candidate as recorded is said of stable.
fn stable_only(evidence: &Evidence<'_>) -> Vec<Warning> {
    let metrics = evidence.scenario.metrics.iter().enumerate().filter(|(_, metric)| metric.stable_only);
    let text = |index: usize, name: &str| {
        let cells = &evidence.digest.cells;
        let total = |of: &dyn Fn(usize) -> f64| (0..cells.len()).map(of).sum::<f64>();
        let known = total(&|cell| judged::values(evidence.digest.recorded(index), Version::Stable, cell));
        format!(
            "`{name}` is known only for stable, which served ({} of its {} requests): the `recorded` world takes it as unchanged, so that \
             its gates there are those of a candidate as good as stable, and the shadow report leaves it out",
            percent(known / total(&|cell| evidence.digest.asked(index, Version::Stable)[cell])),
            if cells.rows == cells.covered { "logged" } else { "mirrored" },
        )
    };
    metrics
        .map(|(index, metric)| warning("stable-only", format!("metric {}", metric.name), text(index, &metric.name)))
        .collect()
}

/// Outputs in files of their own that no request of the log asked for.
fn unasked(evidence: &Evidence<'_>) -> Vec<Warning> {
    let of = |version: Version| (*evidence.digest.facts.unasked.get(version), version.name());
    let found = Version::BOTH.map(of).into_iter().filter(|(count, _)| *count > 0);
    let text = |count: u64, name: &str| {
        format!(
            "{count} outputs in the {name}'s file have a key that no request of the log has, and were left out: look whether the log is \
             whole, and whether keys are written alike"
        )
    };
    found.map(|(count, name)| warning("outputs-without-request", "log", text(count, name))).collect()
}

/// One version lacks more values than the other on the same requests: pairs are then not a fair sample.
fn missingness(evidence: &Evidence<'_>) -> Vec<Warning> {
    let alarms = evidence.health.iter().filter(|row| row.check == "missingness" && row.alarm);
    let text = |row: &HealthRow| {
        let (stable, candidate) = (row.stable.unwrap_or_default(), row.candidate.unwrap_or_default());
        let requests =
            if evidence.digest.cells.is_paired() { "the same requests" } else { "the requests that each served" };
        format!(
            "{} of stable's and {} of the candidate's values are missing on {requests} (p = {:.1e}): what is missing is not \
             missing at random, and a comparison of what is left is one of other requests; `if_missing` in the shadow report bounds \
             what that can hide",
            percent(stable),
            percent(candidate),
            row.p_value.unwrap_or_default()
        )
    };
    alarms
        .map(|row| warning("missingness", format!("metric {}", row.metric.as_deref().unwrap_or_default()), text(row)))
        .collect()
}

/// A judge that people contradict: its gates see the judge, the corrected difference is in the shadow report.
fn labels(evidence: &Evidence<'_>) -> Vec<Warning> {
    let overall = evidence.shadow.iter().filter(|row| row.segment.is_none());
    let apart = overall.filter_map(|row| row.human.as_ref().map(|human| (row, human))).filter(|(row, human)| {
        human.low.zip(human.high).is_some_and(|(low, high)| row.difference < low || row.difference > high)
    });
    let text = |(row, human): (&ShadowRow, &HumanRow)| {
        format!(
            "the judge's difference of `{}` is {} and lies outside what people's labels say, {} ({} to {}): gates of a canary see the \
             judge, so their margins are not people's",
            row.metric,
            three_digits(row.difference),
            three_digits(human.difference),
            three_digits(human.low.unwrap_or(f64::NAN)),
            three_digits(human.high.unwrap_or(f64::NAN))
        )
    };
    apart.map(|found| warning("judge-bias", format!("metric {}", found.0.metric), text(found))).collect()
}

fn items(evidence: &Evidence<'_>) -> Vec<Warning> {
    let overall = evidence.shadow.iter().filter(|row| row.segment.is_none());
    let wide = overall
        .filter_map(|row| row.se_unit.zip(row.se_item).filter(|(unit, item)| *item > 2.0 * unit).map(|se| (row, se)));
    let text = |(row, (unit, item)): &(&ShadowRow, (f64, f64))| {
        format!(
            "the difference of `{}` has standard error {} with items and {} by unit alone: {} items are the sample of the \
             candidate's behaviour, and neither more requests nor a longer canary on them says more about others",
            row.metric,
            three_digits(*item),
            three_digits(*unit),
            row.items.unwrap_or(0)
        )
    };
    wide.map(|found| warning("items", format!("metric {}", found.0.metric), text(&found))).collect()
}

/// A number with three significant digits.
fn three_digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let decimals = (2 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    format!("{value:.decimals$}")
}

fn assignment(evidence: &Evidence<'_>) -> Vec<Warning> {
    if evidence.scenario.assignment.within.is_some() {
        return Vec::new();
    }
    let (platform, bucketing) = (&evidence.scenario.assignment.platform, evidence.bucketing);
    let caution = bucketing.caution().map(|(code, text)| warning(code, "assignment", text));
    let mut warnings: Vec<Warning> = caution.into_iter().collect();
    if let Some(steps) = bucketing.steps() {
        let served = |exposure: Fraction| (exposure, bucketing.served(exposure));
        let stages = evidence.scenario.stages.iter().map(|stage| (stage, served(stage.exposure)));
        for (stage, (exposure, served)) in
            stages.filter(|(_, (exposure, served))| (exposure.get() - served).abs() > OFF_STEP)
        {
            let text = format!(
                "exposure on `{}` goes in {steps} steps, so {exposure} of units means {:.3} % in production; replicates use {exposure}",
                platform.name(),
                served * 100.0
            );
            warnings.push(warning("granularity", format!("stage {}", stage.name), text));
        }
    }
    let never = evidence.digest.units.iter().filter(|unit| bucketing.place(unit) >= NEVER).count();
    if never > 0 {
        let text = format!(
            "{never} of {} units have stable at every exposure (held out, outside `traffic`, or without an id that the platform takes): \
             production exposes that many fewer than replicates do",
            evidence.digest.units.len()
        );
        warnings.push(warning("never-exposed", "assignment", text));
    }
    let strange = evidence.digest.units.iter().filter(|unit| !unit.is_ascii()).count();
    if bucketing.ascii_only() && strange > 0 {
        let text = format!(
            "{strange} units have letters beyond ASCII, which SDKs of `{}` hash differently: hold a few against the SDK in use with \
             `replay assign --why UNIT`",
            platform.name()
        );
        warnings.push(warning("encoding", "assignment", text));
    }
    if !evidence.scenario.assignment.overrides.is_empty() {
        let text = format!(
            "{} units have a version of their own: `assign` and the exact replay keep to it, replicates draw everybody",
            evidence.scenario.assignment.overrides.len()
        );
        warnings.push(warning("overrides", "assignment", text));
    }
    warnings
}

/// What is not known of users, or true of them, where they are not held.
fn redrawn(evidence: &Evidence<'_>) -> Vec<Warning> {
    let text = match evidence.scenario.assignment.sticky {
        Sticky::Unit => return Vec::new(),
        Sticky::Stage => {
            "every stage draws units anew: who had the candidate may be back on stable in the next stage, and more units meet it than any stage \
             takes (`true_exposure`); which ones depends on a salt of each stage that the scenario does not know, so no exact replay is shown"
        }
        Sticky::Session => {
            "sessions draw when they begin: a user may meet both versions, and more users meet the candidate than any stage takes \
             (`true_exposure`); a stage compares the sessions that began in it, and gates count sessions; nobody knows which users it will be, so \
             no exact replay is shown"
        }
        Sticky::Request => {
            "every request draws: a user meets both versions, and far more users meet the candidate than any stage takes (`true_exposure`); gates \
             count requests, and a limit on the candidate alone trusts its requests to be independent, which those of a user are not; nobody knows \
             which users it will be, so no exact replay is shown"
        }
        Sticky::Cookie => {
            "every request of a user on stable draws, and who once has the candidate keeps it: far more users meet it than the nominal exposure \
             (`true_exposure`), those who ask most first; gates compare the requests that each version served, by spells of users. There are no \
             closed forms of power, and nobody knows which users it will be, so no exact replay is shown"
        }
    };
    vec![warning("not-sticky", "assignment", text)]
}

/// What arms differ by that are filled by how often users ask: exactly at its margin a gate should measure none of it, whoever is where.
fn drifted(evidence: &Evidence<'_>) -> Vec<Warning> {
    if evidence.scenario.assignment.sticky != Sticky::Cookie {
        return Vec::new();
    }
    let error = 1.0 / (evidence.scenario.simulation.replicates as f64).sqrt();
    let found = |row: &GateRow| {
        let margin = row.rates.get("margin").filter(|_| row.segment.is_none())?;
        let (difference, errors) = (margin.difference?, margin.difference? / margin.se.filter(|se| *se > 0.0)?);
        (errors.abs() > DRIFTED.max(4.0 * error)).then_some((difference, errors))
    };
    let mut warnings = Vec::new();
    for gate in &evidence.scenario.gates {
        let rows = evidence.gates.iter().filter(|row| row.gate == gate.name);
        let worst = rows.filter_map(|row| Some((row, found(row)?)));
        let Some((row, (difference, errors))) = worst.max_by(|(_, (_, a)), (_, (_, b))| a.abs().total_cmp(&b.abs()))
        else {
            continue;
        };
        let text = format!(
            "a candidate exactly at the margin of gate `{}` looks {} than that by {} on average, {:.1} standard errors of one rollout: users \
             who ask more have the cookie sooner, and their outcomes differ. Such a gate compares users as well as versions; its error rates in \
             the self-check are what that does",
            gate.name,
            if difference > 0.0 { "worse" } else { "better" },
            three_digits(difference.abs()),
            errors.abs()
        );
        warnings.push(warning("cookie-drift", format!("stage {}", row.stage), text));
    }
    warnings
}

fn rows(evidence: &Evidence<'_>) -> Vec<Warning> {
    let excluded = &evidence.log.excluded;
    let reasons = [
        (excluded.null_unit, "a null unit"),
        (excluded.timestamp, "a null or unparsable time stamp"),
        (excluded.duplicate, "a request id seen before"),
    ];
    let found = reasons.iter().filter(|(count, _)| *count > 0);
    found
        .map(|(count, reason)| warning("excluded", "log", format!("{count} rows with {reason} were left out")))
        .collect()
}
