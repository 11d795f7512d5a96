//! Written form to checked form: every default resolved, every problem reported at once.

mod assignment;
mod cookies;
mod distance;
mod effects;
mod gates;
mod join;
mod kayenta;
mod long;
mod metrics;
mod monitors;
mod paired;
mod rollout;
mod stages;
mod trials;
mod values;

use std::path::Path;

use jiff::tz::{TimeZone, db};
use serde::Deserialize;
use toml::de::DeTable;
use xxhash_rust::xxh3::xxh3_64;

use super::places::{At, Document, Lines};
use super::problems::{Problems, did_you_mean};
use super::{Assignment, LogMapping, Null, OnBadRow, Resample, Scenario, Simulation, Tile, structure, wire};
use crate::domain::gate::Decision;
use crate::domain::quantity::Seconds;
use crate::domain::rollout::Sticky;
use crate::error::{Error, Problem, Result};

/// Default of `log.slot`, and of `look_every` where it fits.
const QUARTER: Seconds = Seconds(15 * 60);

impl Scenario {
    /// Reads and checks a scenario file.
    ///
    /// # Errors
    /// A file that cannot be read, or every problem of its text.
    pub fn read(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| Error::unreadable(path, &error))?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Self::parse(&place, text),
            Err(error) => {
                let line = Lines::of(&bytes).line(error.valid_up_to());
                Err(Problem::new(format!("{place}:{line}"), "is not UTF-8 text").hint("save the file as UTF-8").into())
            }
        }
    }

    /// Checks the text of a scenario; the path is for messages and reports.
    ///
    /// # Errors
    /// Every problem of the text, in the order of its lines.
    pub fn parse(path_for_messages: &str, text: &str) -> Result<Self> {
        let lines = Lines::of(text.as_bytes());
        let document = document(path_for_messages, text, &lines)?;
        let Document { mut json, places, unusable, dropped } = document;
        let mut problems = Problems::new(path_for_messages, places);
        for value in unusable {
            problems.wrong::<()>(&value.at, value.why, "");
        }
        for list in &dropped {
            problems.mark_broken(list);
        }
        structure::check(&mut json, &mut problems);
        let written =
            wire::Scenario::deserialize(&json).map_err(|error| Error::at(path_for_messages, error.to_string()))?;
        let checked = scenario(path_for_messages, text, written, &mut problems);
        match (problems.into_error(), checked) {
            (Some(error), _) => Err(error),
            (None, Some(scenario)) => Ok(scenario),
            (None, None) => Err(Error::at(path_for_messages, "is not a complete scenario")),
        }
    }
}

/// Text to JSON with places. Where the syntax is broken nothing else can be said.
fn document(path: &str, text: &str, lines: &Lines) -> Result<Document> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| {
            let line = lines.line(error.span().map_or(0, |span| span.start));
            Problem::new(format!("{path}:{line}"), format!("is not TOML: {}", error.message().replace('\n', ", ")))
        })
        .collect();
    // One slip makes the parser stumble more than once over the same line.
    problems.dedup_by(|later, earlier| later.place == earlier.place);
    if problems.is_empty() { Ok(Document::new(text, lines, table.get_ref())) } else { Err(problems.into()) }
}

fn scenario(path: &str, text: &str, written: wire::Scenario, problems: &mut Problems) -> Option<Scenario> {
    let root = At::root();
    let log = written.log.map(|log| log_mapping(log, Path::new(path), &root.key("log"), problems));
    // Even where another key of `[log]` is broken, a known slot and known segments check the rest.
    let (slot, segments) = log.as_ref().map_or((None, None), |log| (log.slot, log.segments.clone()));
    let request = log.as_ref().and_then(|log| log.request.as_deref());
    let control = assignment::control(written.assignment.as_ref());
    let assignment = written
        .assignment
        .and_then(|table| assignment::read(table, request, Path::new(path), &root.key("assignment"), problems));
    if let (Some(assignment), Some(mapping)) = (&assignment, log.as_ref().and_then(|log| log.mapping.as_ref())) {
        assignment::refuse_log(assignment, mapping, &root.key("assignment").key("sticky"), problems);
    }
    let form = log.as_ref().map_or(Form::Wide, |log| log.form);
    let metrics = metrics::read(written.metrics.unwrap_or_default(), form, problems);
    if assignment.as_ref().is_some_and(|assignment| assignment.buckets.is_some()) {
        for rare in metrics.iter().filter(|metric| metric.value.as_ref().is_some_and(|metric| metric.kind.is_rare())) {
            let why = "but a rare event counts units, and cells of buckets know none";
            let hint = "use kind `proportion`, or `assignment.cells = \"unit\"`";
            problems.wrong::<()>(&root.key("metrics").key(&rare.name).key("kind"), why, hint);
        }
    }
    let given = stages::Given { path: Path::new(path), slot, segments: segments.as_deref(), control };
    let asked: Vec<Option<Vec<String>>> = written.stages.iter().flatten().map(|stage| stage.gates.clone()).collect();
    let mut stages = stages::read(written.stages.unwrap_or_default(), &given, problems);
    if assignment.as_ref().is_some_and(|assignment| assignment.buckets.is_some()) {
        stages::refuse_who_of_buckets(&stages, problems);
    }
    let rollout_table = written.rollout.unwrap_or_default();
    let promote = rollout::promotion(&rollout_table);
    let context = values::Context { metrics: &metrics, stages: &stages, segments: segments.as_deref(), slot, promote };
    let simulation_table = written.simulation.unwrap_or_default();
    let has_trials = log.as_ref().is_some_and(|log| log.trials);
    if form == Form::Long && !has_trials {
        long::refuse_pairs(written.gates.as_deref().unwrap_or_default(), &simulation_table, problems);
    }
    if has_trials {
        trials::refuse(written.gates.as_deref().unwrap_or_default(), &metrics, &stages, problems);
    }
    let gates = gates::read(written.gates.unwrap_or_default(), &context, problems);
    if let Some(gates) = &gates {
        paired::ask(&mut stages, &asked, (gates, &metrics), problems);
    }
    let cookies = assignment.as_ref().is_some_and(|assignment| assignment.sticky == Sticky::Cookie);
    if cookies {
        cookies::refuse_who(&stages, problems);
        cookies::refuse_gates(gates.as_deref().unwrap_or_default(), &metrics, problems);
    }
    let mapping = log.as_ref().and_then(|log| log.mapping.as_ref());
    paired::refuse(&stages, (assignment.as_ref(), mapping), form, problems);
    let context = values::Context { metrics: &metrics, stages: &stages, segments: segments.as_deref(), slot, promote };
    let zone = log.as_ref().and_then(|log| log.zone.clone());
    let rollout = rollout::read(rollout_table, gates.as_deref(), &context, zone.as_ref(), problems);
    if let (Some(gates), Some(rollout)) = (&gates, &rollout) {
        rollout::calibrates(rollout, gates, problems);
        let known = || stages.iter().filter_map(|stage| stage.value.as_ref());
        let waits = known().any(|stage| stage.approved || stage.start.is_some());
        let pauses = rollout.resume.is_some() && gates.iter().any(|gate| gate.on_fail == Decision::Hold);
        if waits || pauses || rollout.max_hold.0 > 0 {
            monitors::held(gates, problems);
        }
        rollout::keeps_once(rollout, &stages, problems);
        paired::keeps(rollout, &stages, problems);
        if cookies {
            cookies::refuse_budget(rollout, problems);
        }
    }
    let effects = effects::read(written.effects.unwrap_or_default(), &context, problems);
    let simulation = simulation(&simulation_table);
    Some(Scenario {
        path: path.to_owned(),
        fingerprint: fingerprint(text, assignment.as_ref()),
        about: written.about.unwrap_or_default(),
        log: log?.mapping?,
        assignment: assignment?,
        metrics: metrics.into_iter().map(|named| named.value).collect::<Option<_>>()?,
        stages: stages.into_iter().map(|named| named.value).collect::<Option<_>>()?,
        gates: gates?,
        rollout: rollout?,
        effects: effects?,
        simulation: simulation?,
    })
}

/// Of the file's text, and of the overrides where there are some.
fn fingerprint(text: &str, assignment: Option<&Assignment>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (unit, version) in assignment.iter().flat_map(|assignment| &assignment.overrides) {
        bytes.extend([unit.as_bytes(), &[0], version.name().as_bytes(), &[0]].concat());
    }
    format!("{:016x}", xxh3_64(&bytes))
}

/// How outcomes lie in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A row has the outcomes of both versions.
    Wide,
    /// A row has the outcomes of the version that served it.
    Long,
    /// Outcomes lie in a file of each version.
    Joined,
    /// Of one metric: only stable's outcomes are known.
    StableOnly,
}

/// What is known of `[log]`, as far as it goes.
struct Log {
    form: Form,
    slot: Option<Seconds>,
    segments: Option<Vec<String>>,
    /// Column of the request's id.
    request: Option<String>,
    /// Whether requests have several outputs.
    trials: bool,
    zone: Option<TimeZone>,
    mapping: Option<LogMapping>,
}

fn log_mapping(log: wire::Log, scenario: &Path, at: &At, problems: &mut Problems) -> Log {
    if log.trial.is_some() {
        trials::refuse_log(&log, at, problems);
    }
    let slot = slot(log.slot.as_ref(), &at.key("slot"), problems);
    let timezone = log.timezone.unwrap_or_else(|| "UTC".into());
    let zone = zone(&timezone, &at.key("timezone"), problems);
    let segments = values::unique(&at.key("segments"), log.segments, problems);
    let form = match (&log.version, &log.join) {
        (Some(_), _) => Form::Long,
        (None, Some(_)) => Form::Joined,
        (None, None) => Form::Wide,
    };
    let join = match &log.join {
        Some(join) => join::read(join, form, scenario, &at.key("join"), problems).map(Some),
        None => (!problems.is_broken(&at.key("join"))).then_some(None),
    };
    let served = match &log.version {
        Some(version) => long::served(version, &at.key("version"), problems).map(Some),
        None => Some(None),
    };
    let only = long::only(log.only, &at.key("only"), problems);
    let first_turns = match log.turns {
        Some(wire::Turns::First) => first_turns(log.turn, at, problems).map(Some),
        _ => Some(None),
    };
    let spread = match &log.spread {
        Some(written) => values::duration(&at.key("spread"), written, problems).map(Some),
        None => (!problems.is_broken(&at.key("spread"))).then_some(None),
    };
    let timestamp = match (log.timestamp, &spread) {
        (Some(_), Some(Some(_))) => {
            let message = format!("`{}` is for a log without `log.timestamp`", problems.name(&at.key("spread")));
            problems.add(&at.key("spread"), message, "keep one of the two")
        }
        (None, Some(Some(_))) => Some("drawn_time".to_owned()),
        (None, Some(None)) => problems.missing(&at.key("timestamp"), "`timestamp`: column of the request's time"),
        (written, _) => written,
    };
    let (request, trials) = (log.request.clone(), log.trial.is_some());
    let mapping = timestamp.and_then(|timestamp| {
        Some(LogMapping {
            timestamp,
            timezone,
            request: log.request,
            item: log.item,
            trial: log.trial,
            segments: segments.clone()?,
            slot: slot?,
            missing: match log.missing {
                Some(wire::Missing::Exclude) => OnBadRow::Exclude,
                Some(wire::Missing::Refuse) | None => OnBadRow::Refuse,
            },
            duplicates: match log.duplicates {
                Some(wire::Duplicates::First) => OnBadRow::Exclude,
                Some(wire::Duplicates::Refuse) | None => OnBadRow::Refuse,
            },
            tile: match log.tile {
                Some(wire::Tile::Week) => Tile::Week,
                Some(wire::Tile::None) | None => Tile::None,
            },
            served: served?,
            join: join?,
            first_turns: first_turns?,
            spread: spread?,
            only: only?,
        })
    });
    Log { form, slot, segments, request, trials, zone, mapping }
}

/// The column of the turn, where only first turns count.
fn first_turns(turn: Option<String>, at: &At, problems: &mut Problems) -> Option<String> {
    turn.or_else(|| {
        problems.missing(&at.key("turn"), "`turn`: column of the turn's number, without which none is the first")
    })
}

fn slot(written: Option<&wire::Duration>, at: &At, problems: &mut Problems) -> Option<Seconds> {
    problems.or_default(at, written, QUARTER, |problems, text| {
        let slot = values::duration(at, text, problems)?;
        let divides = slot.0 >= 60 && Seconds::DAY.0 % slot.0 == 0;
        if divides {
            Some(slot)
        } else {
            problems.wrong(at, "which does not divide a day", "use 1m to 1d, such as 5m, 15m, 30m or 1h")
        }
    })
}

fn zone(name: &str, at: &At, problems: &mut Problems) -> Option<TimeZone> {
    if problems.is_broken(at) {
        return None;
    }
    if let Ok(zone) = TimeZone::get(name) {
        return Some(zone);
    }
    let known: Vec<String> = db().available().map(|zone| zone.to_string()).collect();
    let near = did_you_mean(name, known.iter().map(String::as_str));
    let hint = near
        .map_or("use an IANA name such as `UTC` or `Europe/Berlin`".into(), |near| format!("did you mean `{near}`?"));
    problems.wrong(at, "which is not a known time zone", hint)
}

fn simulation(table: &wire::Simulation) -> Option<Simulation> {
    Some(Simulation {
        replicates: usize::try_from(table.replicates.unwrap_or(1000)).ok()?,
        seed: table.seed.unwrap_or(7),
        resample: match table.resample {
            Some(wire::Resample::None) => Resample::None,
            Some(wire::Resample::Poisson) | None => Resample::Poisson,
        },
        null: match table.null {
            Some(wire::Null::Swap) => Null::Swap,
            Some(wire::Null::Stable) | None => Null::Stable,
        },
    })
}
