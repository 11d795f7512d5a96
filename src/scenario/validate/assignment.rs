//! `[assignment]`.

use std::path::Path;

use super::super::places::At;
use super::super::problems::{Problems, known_words};
use super::super::quantities;
use super::super::wire::{self, Quantity, Seed};
use super::super::{Assignment, LogMapping, Tile};
use crate::assign::overrides::Overrides;
use crate::assign::values::{Trouble, What};
use crate::assign::{Platform, platforms};
use crate::domain::rollout::{Control, Sticky};
use crate::domain::version::Version;

/// Enough for results to agree with those of units.
const DEFAULT_BUCKETS: u32 = 10_000;

/// `request` is the column of the request's id, as far as it is known.
pub(super) fn read(
    table: wire::Assignment,
    request: Option<&str>,
    scenario: &Path,
    at: &At,
    problems: &mut Problems,
) -> Option<Assignment> {
    let platform = platform(&table, at, problems);
    let sticky = sticky(&table, at, problems);
    let buckets = match (table.cells, table.buckets) {
        (Some(wire::Cells::Bucket), buckets) => Some(Some(buckets.unwrap_or(DEFAULT_BUCKETS))),
        (_, Some(_)) => problems.wrong(
            &at.key("buckets"),
            "which is of no use while cells are of units",
            "set `cells = \"bucket\"`, or leave `buckets` out",
        ),
        (_, None) => Some(None),
    };
    let overrides = overrides(table.overrides.as_deref(), scenario, &at.key("overrides"), problems);
    if buckets.flatten().is_some() && overrides.as_ref().is_some_and(|overrides| !overrides.is_empty()) {
        let why = "but cells of buckets know no units";
        problems.wrong::<()>(&at.key("overrides"), why, "use `assignment.cells = \"unit\"`, or leave `overrides` out");
    }
    let sticky = sticky?;
    let within = within(&table, sticky, request, at, problems);
    if within.as_ref().is_some_and(Option::is_some) && buckets.flatten().is_some() {
        let why = format!("but with `sticky = \"{}\"` a bucket is no longer one user's", sticky.name());
        problems.wrong::<()>(&at.key("cells"), why, "leave `cells` out: memory then grows with what draws");
    }
    if sticky != Sticky::Unit && overrides.as_ref().is_some_and(|overrides| !overrides.is_empty()) {
        let why = "but replicates draw everybody, and without `sticky = \"unit\"` there is no exact replay";
        problems.wrong::<()>(&at.key("overrides"), why, "leave `overrides` out");
    }
    Some(Assignment {
        unit: table.unit?,
        sticky,
        within: within?,
        platform: platform?,
        buckets: buckets?,
        overrides: overrides?,
    })
}

/// The column of what draws within a unit.
#[expect(clippy::option_option, reason = "trouble and absence differ")]
fn within(
    table: &wire::Assignment,
    sticky: Sticky,
    request: Option<&str>,
    at: &At,
    problems: &mut Problems,
) -> Option<Option<String>> {
    let session = || table.session.clone();
    if sticky != Sticky::Session && session().is_some() {
        let why = "which is of no use unless sessions draw";
        return problems.wrong(&at.key("session"), why, "set `sticky = \"session\"`, or leave `session` out");
    }
    match sticky {
        Sticky::Unit | Sticky::Stage => Some(None),
        Sticky::Session => {
            let found = session().or_else(|| problems.missing(&at.key("session"), "`session`: column of the session"));
            found.map(Some)
        }
        Sticky::Request | Sticky::Cookie => {
            let hint = "name `log.request`: each request then draws, told apart by its id";
            let found = request.map(str::to_owned);
            found.or_else(|| problems.wrong(&at.key("sticky"), "but requests have no id", hint)).map(Some)
        }
    }
}

/// What a log cannot be where sessions or requests draw.
pub(super) fn refuse_log(assignment: &Assignment, log: &LogMapping, at: &At, problems: &mut Problems) {
    let Some(within) = &assignment.within else { return };
    let mut refuse = |why: &str, hint: &str| problems.wrong::<()>(at, why, hint);
    if assignment.unit == *within {
        refuse("but the column that draws is `assignment.unit` itself", "name the user in `assignment.unit`");
    }
    if log.spread.is_some() {
        refuse("but `log.spread` draws one moment for each unit", "use a log with times");
    }
    if log.tile == Tile::Week && assignment.sticky == Sticky::Session {
        refuse("but in a log that repeats weeks sessions begin more than once", "leave `log.tile` out");
    }
    if log.tile == Tile::Week && assignment.sticky == Sticky::Cookie {
        refuse("but in a log that repeats weeks a request would draw as it did before", "leave `log.tile` out");
    }
    if log.trial.is_some() && assignment.sticky != Sticky::Request {
        let why = "but `log.trial` draws outputs for units that have their arm from a stage's begin on";
        refuse(why, "leave `log.trial` out, or let a user or a request draw");
    }
    if log.served.is_some() && log.trial.is_none() && assignment.sticky != Sticky::Session {
        let why = "but in a log in long form one version served a request, which then says nothing in the other's arm";
        refuse(why, "let a user or a session draw");
    }
}

fn sticky(table: &wire::Assignment, at: &At, problems: &mut Problems) -> Option<Sticky> {
    match table.sticky {
        None if problems.is_broken(&at.key("sticky")) => None,
        None | Some(wire::Sticky::Unit) => Some(Sticky::Unit),
        Some(wire::Sticky::Stage) => Some(Sticky::Stage),
        Some(wire::Sticky::Session) => Some(Sticky::Session),
        Some(wire::Sticky::Request) => Some(Sticky::Request),
        Some(wire::Sticky::Cookie) => Some(Sticky::Cookie),
    }
}

/// Who the candidate is compared with.
pub(super) fn control(table: Option<&wire::Assignment>) -> Control {
    match table.and_then(|table| table.control) {
        Some(wire::Control::Matched) => Control::Matched,
        Some(wire::Control::Rest) | None => Control::Rest,
    }
}

/// The platform with its keys; those of other platforms are refused.
fn platform(table: &wire::Assignment, at: &At, problems: &mut Problems) -> Option<Platform> {
    let hash = table.hash.as_ref().map_or(platforms::DEFAULT, |hash| hash.0.as_str());
    let settings = settings(table, at, problems)?;
    if problems.is_broken(&at.key("hash")) {
        return None;
    }
    match Platform::read(hash, settings)? {
        Ok(platform) => Some(platform),
        Err(troubles) => {
            for trouble in troubles {
                report(&trouble, hash, at, problems);
            }
            None
        }
    }
}

fn report(trouble: &Trouble, hash: &str, at: &At, problems: &mut Problems) {
    let at = trouble.name.split('.').fold(at.clone(), |at, part| at.key(part));
    match &trouble.what {
        What::Missing(meaning) => problems.missing::<()>(&at, format!("`{hash}` needs it: {meaning}")),
        What::Wrong(why, hint) => problems.wrong::<()>(&at, why, hint),
        What::Unused(used) => {
            let used: Vec<&str> = used.iter().map(String::as_str).collect();
            let hint = known_words(&at.last(), &used, "keys of this hash");
            problems.add::<()>(&at, format!("`{}` is not used by hash `{hash}`", problems.name(&at)), hint)
        }
    };
}

/// Keys of platforms that are written, in the order of the language.
fn settings(table: &wire::Assignment, at: &At, problems: &mut Problems) -> Option<Vec<(String, String)>> {
    let seed = |seed: &Option<Seed>| {
        seed.as_ref().map(|seed| match seed {
            Seed::Number(number) => number.to_string(),
            Seed::Text(text) => text.clone(),
        })
    };
    let mut settings = vec![
        ("flag", seed(&table.flag)),
        ("salt", table.salt.clone()),
        ("rule_salt", table.rule_salt.clone()),
        ("seed", seed(&table.seed)),
        ("group", table.group.clone()),
        ("rule", seed(&table.rule)),
        ("kind", table.kind.clone()),
        ("total", table.total.map(|total| total.to_string())),
        ("position", table.position.clone()),
        ("precision", table.precision.clone()),
        ("hash_version", table.hash_version.map(|version| version.to_string())),
        ("operator", table.operator.clone()),
        ("encoding", table.encoding.clone()),
        ("generation", table.generation.clone()),
        ("environment", table.environment.clone()),
        ("template", table.template.clone()),
        ("converter", table.converter.clone()),
        ("argument", table.argument.map(|argument| argument.to_string())),
    ];
    if let Some(traffic) = &table.traffic {
        let at = at.key("traffic");
        let (start, end) = (
            bound(&at.key("start"), traffic.start.as_ref(), problems),
            bound(&at.key("end"), traffic.end.as_ref(), problems),
        );
        settings.extend([("traffic.key", seed(&traffic.key)), ("traffic.start", start?), ("traffic.end", end?)]);
    }
    Some(settings.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
}

/// A share as a number; whether it is one between 0 and 1 the platform says.
#[expect(clippy::option_option, reason = "trouble and absence differ")]
fn bound(at: &At, written: Option<&Quantity>, problems: &mut Problems) -> Option<Option<String>> {
    let share = match written {
        None => return Some(None),
        Some(Quantity::Number(number)) => Some(*number),
        Some(Quantity::Text(text)) => quantities::percentage(text),
    };
    let share = share.map(|share| Some(share.to_string()));
    share.or_else(|| problems.wrong(at, "which is not a share", "write `40%`, or 0.4 without quotes"))
}

/// The table of units with a version of their own; a path is relative to the scenario's directory.
fn overrides(written: Option<&str>, scenario: &Path, at: &At, problems: &mut Problems) -> Option<Overrides> {
    let Some(written) = written else { return (!problems.is_broken(at)).then(Overrides::new) };
    let path = scenario.parent().unwrap_or(Path::new("")).join(written);
    let mut reader = match csv::Reader::from_path(&path) {
        Ok(reader) => reader,
        Err(error) => {
            let hint = "write a CSV file with the columns `unit` and `version`, beside the scenario";
            return problems.wrong(at, format!("which cannot be read: {error}"), hint);
        }
    };
    let shape = "the first line is `unit,version`, and a version is `candidate` (always in) or `stable` (held out)";
    let mut overrides = Overrides::new();
    if !reader.headers().is_ok_and(|header| header.iter().eq(["unit", "version"])) {
        return problems.wrong(at, "whose first line is not `unit,version`", shape);
    }
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => return problems.wrong(at, format!("which cannot be read: {error}"), shape),
        };
        let line = record.position().map_or(0, csv::Position::line);
        let Some(version) = Version::BOTH.into_iter().find(|version| version.name() == &record[1]) else {
            return problems.wrong(at, format!("where line {line} has the version `{}`", &record[1]), shape);
        };
        if overrides.insert(record[0].to_owned(), version).is_some_and(|before| before != version) {
            let why = format!("where line {line} gives unit `{}` another version than before", &record[0]);
            return problems.wrong(at, why, "keep one line for each unit");
        }
    }
    Some(overrides)
}
