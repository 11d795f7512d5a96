//! `[[stages]]`.

use std::path::Path;

use serde_json::{Map, Value};

use super::super::places::At;
use super::super::problems::Problems;
use super::super::wire::{self, Quantity};
use super::values::{self, Named, Names};
use super::{QUARTER, paired, rollout};
use crate::domain::quantity::{Fraction, Seconds};
use crate::domain::rollout::{Control, PerSegment, Stage};

/// What stages stand on.
pub(super) struct Given<'a> {
    /// The scenario's file.
    pub(super) path: &'a Path,
    pub(super) slot: Option<Seconds>,
    pub(super) segments: Option<&'a [String]>,
    pub(super) control: Control,
}

/// How much traffic a stage takes.
#[derive(Clone)]
struct Shares {
    /// Of several the largest.
    exposure: Fraction,
    per_segment: Option<PerSegment>,
}

impl Shares {
    fn smallest(&self) -> Fraction {
        let all = self.per_segment.iter().flat_map(|shares| shares.values.iter().map(|(_, share)| *share));
        let default = self.per_segment.iter().map(|shares| shares.default);
        all.chain(default).fold(self.exposure, |a, b| if b < a { b } else { a })
    }
}

/// Whom a stage takes, if that is known, and how much of them.
type Taken = (Option<Vec<(usize, Vec<String>)>>, Shares);

pub(super) fn read(written: Vec<wire::Stage>, given: &Given<'_>, problems: &mut Problems) -> Vec<Named<Stage>> {
    let list = At::root().key("stages");
    let count = written.len();
    let mut names = Names::of("stage");
    let mut before: Vec<Taken> = Vec::new();
    let stages: Vec<Named<Stage>> = written
        .into_iter()
        .enumerate()
        .map(|(index, mut stage)| {
            let at = list.index(index);
            let name = names.fresh(&at.key("name"), stage.name.take(), problems);
            if let Some(kind) = paired::kind(&stage) {
                let first = before.is_empty();
                let value = paired::read(&at, kind, (&stage, name.clone()), first, given, problems);
                return Named { name: name.unwrap_or_default(), value };
            }
            paired::refuse_keys(&at, &stage, problems);
            let only = values::only(&at.key("only"), stage.only.take(), given.segments, problems);
            let shares = shares(&at, &stage, given, problems);
            let shares = shares.and_then(|shares| growing(&at, only.as_ref(), shares, &mut before, problems));
            let exposure = shares.as_ref().map(|shares| shares.exposure);
            let times = times(&at, &stage, index + 1 == count, exposure, given.slot, problems);
            let settle = settle(&at, &stage, times, problems);
            let approved = approved(&at, &stage, times, problems);
            let at_start = at.key("start");
            let start = problems.or_default(&at_start, stage.start.as_ref(), None, |problems, text| {
                rollout::week_hours(&at_start, text, problems).map(Some)
            });
            let value = name.clone().and_then(|name| {
                let (Shares { exposure, per_segment }, (duration, look_every)) = (shares?, times?);
                // Segments differ, so within each as many are compared.
                let control = if per_segment.is_some() { Control::Matched } else { given.control };
                let (only, settle, approved, start) = (only?, settle?, approved?, start?);
                let paired = None;
                Some(Stage {
                    name,
                    exposure,
                    per_segment,
                    only,
                    control,
                    paired,
                    duration,
                    look_every,
                    settle,
                    approved,
                    start,
                })
            });
            Named { name: name.unwrap_or_default(), value }
        })
        .collect();
    some_time(&list, &stages, problems);
    may_begin(&list, &stages, problems);
    stages
}

/// A stage waits for its hours while the stage before goes on, from look to look.
fn may_begin(list: &At, stages: &[Named<Stage>], problems: &mut Problems) {
    for (index, stage) in stages.iter().enumerate() {
        let Some(hours) = stage.value.as_ref().and_then(|stage| stage.start) else { continue };
        let at = list.index(index).key("start");
        let Some(before) = index.checked_sub(1) else {
            problems.wrong::<()>(&at, "but the first stage begins with the rollout", "use `rollout.start`");
            continue;
        };
        let Some(before) = &stages[before].value else { continue };
        if before.looks() == 0 {
            let why = format!("but stage `{}` before it takes no time, in which to wait", before.name);
            problems.wrong::<()>(&at, why, "use `rollout.start`");
        } else if hours.to.0 - hours.from.0 < before.look_every.0 {
            let why =
                format!("shorter than the {} between looks of stage `{}` before it", before.look_every, before.name);
            problems.wrong::<()>(
                &at,
                why,
                "a stage is left at a look: use longer hours, or look more often where that can be set",
            );
        }
    }
}

pub(super) fn approved(
    at: &At,
    stage: &wire::Stage,
    times: Option<(Seconds, Seconds)>,
    problems: &mut Problems,
) -> Option<bool> {
    let at = at.key("approval");
    let manual = stage.approval == Some(wire::Approval::Manual);
    if manual && times.is_some_and(|(duration, _)| duration.0 == 0) {
        return problems.wrong(&at, "but the stage lasts no time", "ask for approval in the stage before it");
    }
    (!problems.is_broken(&at)).then_some(manual)
}

fn shares(at: &At, stage: &wire::Stage, given: &Given<'_>, problems: &mut Problems) -> Option<Shares> {
    let full = stage.kind == Some(wire::StageKind::Full);
    let at = at.key("exposure");
    let exposure = match &stage.exposure {
        Some(wire::Exposure::Share(written)) => values::share(&at, written, problems)?,
        Some(wire::Exposure::PerSegment(written)) => {
            let per_segment = per_segment(&at, written, given.segments, problems)?;
            let all = per_segment.values.iter().map(|(_, share)| *share);
            let exposure = all.fold(per_segment.default, |a, b| if b > a { b } else { a });
            return Some(Shares { exposure, per_segment: Some(per_segment) });
        }
        None if full && !problems.is_broken(&at) => 1.0,
        None => return problems.missing(&at, "share of units that the candidate serves, such as `5%`"),
    };
    if full && exposure < 1.0 {
        return problems.wrong(&at, "but a stage of kind `full` serves everyone", "use `100%`, or kind `canary`");
    }
    if stage.kind == Some(wire::StageKind::Ab) && exposure >= 1.0 {
        return problems.wrong(&at, "but a stage of kind `ab` compares two versions", "use `50%`, or kind `full`");
    }
    if given.control == Control::Matched && exposure > 0.5 && exposure < 1.0 {
        let why = "but as many others are to be compared with, and there are not";
        return problems.wrong(&at, why, "use at most `50%`, or `100%`, or `assignment.control = \"rest\"`");
    }
    Some(Shares { exposure: Fraction::new(exposure)?, per_segment: None })
}

/// `{ default = "5%", "tier=internal" = "50%" }`.
fn per_segment(
    at: &At,
    written: &Map<String, Value>,
    segments: Option<&[String]>,
    problems: &mut Problems,
) -> Option<PerSegment> {
    let share = |key: &str, value: &Value, problems: &mut Problems| {
        let at = at.key(key);
        let written = match value {
            Value::Number(number) => Quantity::Number(number.as_f64()?),
            Value::String(text) => Quantity::Text(text.clone()),
            // The structural check has said so.
            _ => return None,
        };
        let share = values::share(&at, &written, problems)?;
        if share > 0.5 {
            let why = "but in each segment as many others are compared with";
            return problems.wrong(&at, why, "use at most `50%`; a stage with `only` can take a whole segment");
        }
        Fraction::new(share)
    };
    let Some(default) = written.get("default") else {
        return problems.missing(&at.key("default"), "share of the units of all other values");
    };
    let default = share("default", default, problems);
    let mut column: Option<(String, usize)> = None;
    let mut found = Vec::new();
    for (key, value) in written.iter().filter(|(key, _)| *key != "default") {
        let at = at.key(key);
        let Some((name, of)) = key.split_once('=').map(|(name, of)| (name.trim(), of.trim())) else {
            let message = format!("`{}` names no segment", problems.name(&at));
            return problems.add(&at, message, "write `\"tier=internal\" = \"50%\"`, a column and one of its values");
        };
        let index = values::segment(&at, name, segments, problems)?;
        match &column {
            Some((first, of)) if *of != index => {
                let message = format!("`{}` names a second column beside `{first}`", problems.name(&at));
                return problems.add(&at, message, "a unit has one exposure: use values of one column");
            }
            _ => column = Some((name.to_owned(), index)),
        }
        if found.iter().any(|(known, _)| known == of) {
            return problems.add(&at, format!("`{}` names a segment again", problems.name(&at)), "keep one of them");
        }
        found.push((of.to_owned(), share(key, value, problems)?));
    }
    let Some((_, column)) = column else {
        return problems.wrong(at, "without a segment", "write the share alone, such as `\"5%\"`");
    };
    let shares = PerSegment { column, values: found, default: default? };
    if shares.common_part().is_none() {
        let why = "shares without a common part that is at least 1/255 of the largest";
        return problems.wrong(at, why, "use round shares, such as 1 %, 5 % and 50 %");
    }
    Some(shares)
}

/// Remembers the exposure, and refuses one below that of an earlier stage which has taken the same units.
fn growing(
    at: &At,
    only: Option<&Vec<(usize, Vec<String>)>>,
    shares: Shares,
    before: &mut Vec<Taken>,
    problems: &mut Problems,
) -> Option<Shares> {
    let same = |earlier: &&Taken| earlier.0.as_ref().is_some_and(|of| of.is_empty() || Some(of) == only);
    let least = before.iter().filter(same).map(|(_, shares)| shares.smallest());
    let least = least.fold(Fraction::ZERO, |a, b| if b > a { b } else { a });
    before.push((only.cloned(), shares.clone()));
    if shares.smallest() >= least {
        return Some(shares);
    }
    let at = at.key("exposure");
    let (name, exposure) = (problems.name(&at), shares.smallest());
    let taken = before.len() - 1;
    let of = if before[..taken].last().is_some_and(|last| same(&last) && last.1.smallest() == least) {
        "the stage before it"
    } else {
        "an earlier stage"
    };
    let message = format!("`{name}` is {exposure}, below the {least} of {of}");
    problems.add(
        &at,
        message,
        format!("exposure grows from stage to stage; use {least} or more, or reorder the stages"),
    )
}

/// Time before gates look: `bake`, or all of a fixed split.
fn settle(at: &At, stage: &wire::Stage, times: Option<(Seconds, Seconds)>, problems: &mut Problems) -> Option<Seconds> {
    let at = at.key("bake");
    let ab = stage.kind == Some(wire::StageKind::Ab);
    let Some(text) = &stage.bake else {
        let whole = if ab { times?.0 } else { Seconds(0) };
        return (!problems.is_broken(&at)).then_some(whole);
    };
    let bake = values::duration(&at, text, problems)?;
    if ab {
        return problems.wrong(&at, "but gates look at the end of a stage of kind `ab` only", "leave `bake` out");
    }
    match times {
        Some((duration, _)) if bake > duration => problems.wrong(
            &at,
            format!("longer than the stage's {duration}"),
            "gates look at the stage's end at the latest: use less than its `duration`",
        ),
        _ => Some(bake),
    }
}

/// Buckets hold units of several segments.
pub(super) fn refuse_who_of_buckets(stages: &[Named<Stage>], problems: &mut Problems) {
    for (index, stage) in stages.iter().enumerate() {
        let Some(stage) = &stage.value else { continue };
        let key = if stage.only.is_empty() { "exposure" } else { "only" };
        if stage.asks_who() {
            let at = At::root().key("stages").index(index).key(key);
            let message =
                format!("`{}` chooses units by segment, and cells of buckets know no units", problems.name(&at));
            problems.add::<()>(&at, message, "use `assignment.cells = \"unit\"`");
        }
    }
}

/// Duration and time between looks.
fn times(
    at: &At,
    stage: &wire::Stage,
    last: bool,
    exposure: Option<Fraction>,
    slot: Option<Seconds>,
    problems: &mut Problems,
) -> Option<(Seconds, Seconds)> {
    let may_be_zero = last && exposure.is_none_or(|exposure| exposure == Fraction::ONE);
    let duration = duration(&at.key("duration"), stage.duration.as_ref(), may_be_zero, slot, problems);
    let at = at.key("look_every");
    let look_every = match &stage.look_every {
        Some(text) => look_every(&at, text, duration, slot, problems),
        None if problems.is_broken(&at) => None,
        None => Some(default_look(duration?, slot?)),
    };
    Some((duration?, look_every?))
}

fn duration(
    at: &At,
    written: Option<&wire::Duration>,
    may_be_zero: bool,
    slot: Option<Seconds>,
    problems: &mut Problems,
) -> Option<Seconds> {
    let Some(text) = written else {
        if may_be_zero && !problems.is_broken(at) {
            return Some(Seconds(0));
        }
        return problems.missing(at, "how long the stage lasts, such as `24h`; only a last stage at 100 % needs none");
    };
    let duration = values::duration(at, text, problems)?;
    if duration.0 == 0 && !may_be_zero {
        return problems.wrong(at, "so the stage would not take place", "only a last stage at 100 % may last no time");
    }
    values::on_slots(at, duration, slot, problems)
}

fn look_every(
    at: &At,
    text: &wire::Duration,
    duration: Option<Seconds>,
    slot: Option<Seconds>,
    problems: &mut Problems,
) -> Option<Seconds> {
    let every = values::duration(at, text, problems)?;
    if every.0 == 0 {
        return problems.wrong(at, "but looks need time between them", "use at least `log.slot`");
    }
    let every = values::on_slots(at, every, slot, problems)?;
    match duration {
        Some(duration) if duration.0 % every.0 != 0 => problems.wrong(
            at,
            format!("which does not divide the stage's {duration}"),
            "the last look is the stage's end: use a time that divides the duration",
        ),
        _ => Some(every),
    }
}

/// A quarter of an hour where that fits, otherwise the finest step there is.
fn default_look(duration: Seconds, slot: Seconds) -> Seconds {
    let fits = QUARTER.0 % slot.0 == 0 && duration.0 % QUARTER.0 == 0;
    if fits { QUARTER } else { slot }
}

fn some_time(list: &At, stages: &[Named<Stage>], problems: &mut Problems) {
    let durations: Option<Vec<i64>> =
        stages.iter().map(|stage| stage.value.as_ref().map(|stage| stage.duration.0)).collect();
    if let Some(durations) = durations
        && !durations.is_empty()
        && durations.iter().all(|seconds| *seconds == 0)
    {
        problems.add::<()>(list, "`stages` last no time at all", "give a stage a `duration`, such as `24h`");
    }
}
