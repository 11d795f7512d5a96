//! `[[stages]]`.

use super::super::places::At;
use super::super::problems::{Problems, listed};
use super::super::wire;
use super::QUARTER;
use super::values::{self, Named, Names};
use crate::domain::quantity::{Fraction, Seconds};
use crate::domain::rollout::Stage;

pub(super) fn read(written: Vec<wire::Stage>, slot: Option<Seconds>, problems: &mut Problems) -> Vec<Named<Stage>> {
    let list = At::root().key("stages");
    let count = written.len();
    let mut names = Names::of("stage");
    let mut before = None;
    let stages: Vec<Named<Stage>> = written
        .into_iter()
        .enumerate()
        .map(|(index, mut stage)| {
            let at = list.index(index);
            let name = names.fresh(&at.key("name"), stage.name.take(), problems);
            let exposure = unsupported(&at, &stage, problems).and_then(|()| exposure(&at, &stage, problems));
            let exposure = exposure.and_then(|exposure| growing(&at, exposure, &mut before, problems));
            let times = times(&at, &stage, index + 1 == count, exposure, slot, problems);
            let approved = approved(&at, &stage, times, problems);
            let value = name.clone().and_then(|name| {
                let (duration, look_every) = times?;
                Some(Stage { name, exposure: exposure?, duration, look_every, approved: approved? })
            });
            Named { name: name.unwrap_or_default(), value }
        })
        .collect();
    some_time(&list, &stages, problems);
    stages
}

/// `None` if the stage is none that the simulation knows.
fn unsupported(at: &At, stage: &wire::Stage, problems: &mut Problems) -> Option<()> {
    let mut supported = Some(());
    let mut later = |given: bool, key: &str, what: &str| {
        if given {
            supported = problems.later(&at.key(key), what);
        }
    };
    later(stage.kind == Some(wire::StageKind::Eval), "kind", "stage kind `eval`");
    later(stage.kind == Some(wire::StageKind::Shadow), "kind", "stage kind `shadow`");
    later(stage.kind == Some(wire::StageKind::Ab), "kind", "stage kind `ab`");
    later(stage.only.is_some(), "only", "`only` of a stage (waves by segment)");
    later(stage.bake.is_some(), "bake", "`bake` of a stage");
    supported
}

fn approved(at: &At, stage: &wire::Stage, times: Option<(Seconds, Seconds)>, problems: &mut Problems) -> Option<bool> {
    let at = at.key("approval");
    let manual = stage.approval == Some(wire::Approval::Manual);
    if manual && times.is_some_and(|(duration, _)| duration.0 == 0) {
        return problems.wrong(&at, "but the stage lasts no time", "ask for approval in the stage before it");
    }
    (!problems.is_broken(&at)).then_some(manual)
}

fn exposure(at: &At, stage: &wire::Stage, problems: &mut Problems) -> Option<Fraction> {
    let full = stage.kind == Some(wire::StageKind::Full);
    let at = at.key("exposure");
    let share = match &stage.exposure {
        Some(wire::Exposure::Share(written)) => values::share(&at, written, problems)?,
        Some(wire::Exposure::PerSegment(shares)) => {
            return problems
                .later(&at, format!("`exposure` by segment ({})", listed(shares.keys().map(String::as_str))));
        }
        None if full && !problems.is_broken(&at) => 1.0,
        None => return problems.missing(&at, "share of units that the candidate serves, such as `5%`"),
    };
    if full && share < 1.0 {
        return problems.wrong(&at, "but a stage of kind `full` serves everyone", "use `100%`, or kind `canary`");
    }
    Fraction::new(share)
}

/// Remembers the exposure, and refuses one below the stage before it.
fn growing(at: &At, exposure: Fraction, before: &mut Option<Fraction>, problems: &mut Problems) -> Option<Fraction> {
    let earlier = before.replace(exposure);
    match earlier {
        Some(earlier) if exposure < earlier => {
            let at = at.key("exposure");
            let message = format!("`{}` is {exposure}, below the {earlier} of the stage before it", problems.name(&at));
            problems.add(
                &at,
                message,
                format!("exposure grows from stage to stage; use {earlier} or more, or reorder the stages"),
            )
        }
        _ => Some(exposure),
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
