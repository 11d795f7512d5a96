//! `[[effects]]`.

use super::super::places::At;
use super::super::problems::Problems;
use super::super::quantities;
use super::super::wire::{self, Quantity, Size};
use super::gates::{in_unit, points};
use super::values::{self, Context, Names};
use crate::domain::metric::Metric;
use crate::domain::quantity::Seconds;
use crate::domain::world::{Change, Effect};

pub(super) fn read(written: Vec<wire::Effect>, context: &Context<'_>, problems: &mut Problems) -> Option<Vec<Effect>> {
    let list = At::root().key("effects");
    let mut names = Names::of("effect");
    let effects: Vec<Option<Vec<Effect>>> = written
        .into_iter()
        .enumerate()
        .map(|(index, effect)| read_one(&list.index(index), effect, &mut names, context, problems))
        .collect();
    (!problems.is_broken(&list)).then_some(())?;
    effects.into_iter().collect::<Option<Vec<_>>>().map(|effects| effects.into_iter().flatten().collect())
}

fn read_one(
    at: &At,
    written: wire::Effect,
    names: &mut Names<'_>,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<Vec<Effect>> {
    let name = name(&at.key("name"), written.name.clone(), names, problems);
    let metric = written.metric.as_ref().and_then(|metric| context.metric(&at.key("metric"), metric, problems));
    let changes = changes(at, &written, metric.and_then(|index| context.metrics[index].value.as_ref()), problems);
    let only = values::only(&at.key("only"), written.only, context.segments, problems);
    let onset = onset(&at.key("onset"), written.onset.as_ref(), context, problems);
    let ramp = problems.or_default(&at.key("ramp"), written.ramp.as_ref(), Seconds(0), |problems, text| {
        let ramp = values::duration(&at.key("ramp"), text, problems)?;
        values::on_slots(&at.key("ramp"), ramp, context.slot, problems)
    });
    let (family, metric, changes, only, onset, ramp) = (name?, metric?, changes?, only?, onset?, ramp?);
    let mut named = |sized: Sized| {
        let name = match sized.shown {
            // Names of single effects are known to be new.
            None => family.clone(),
            Some(shown) => names.fresh(&at.key("name"), Some(format!("{family}: {shown}")), problems)?,
        };
        Some(Effect { name, family: family.clone(), metric, change: sized.change, only: only.clone(), onset, ramp })
    };
    changes.into_iter().map(&mut named).collect()
}

/// One size of an effect, and what tells it from the others.
struct Sized {
    shown: Option<String>,
    change: Change,
}

fn name(at: &At, written: Option<String>, names: &mut Names<'_>, problems: &mut Problems) -> Option<String> {
    let name = names.fresh(at, written, problems)?;
    let taken = ["recorded", "null", "margin"].contains(&name.as_str()) || name.starts_with("margin:");
    if taken { problems.wrong(at, "the name of a world that every run has", "choose another name") } else { Some(name) }
}

fn changes(at: &At, effect: &wire::Effect, metric: Option<&Metric>, problems: &mut Problems) -> Option<Vec<Sized>> {
    let given = [("shift", &effect.shift), ("scale", &effect.scale), ("flip", &effect.flip)];
    let written: Vec<_> = given.iter().filter_map(|(key, size)| Some((*key, size.as_ref()?))).collect();
    let (key, size) = match written.as_slice() {
        [one] => *one,
        [] if given.iter().any(|(key, _)| problems.is_broken(&at.key(key))) => return None,
        [] => {
            let message = format!("`{}` changes nothing", problems.name(at));
            return problems.add(&at.key("scale"), message, "add one of `shift`, `scale` and `flip`");
        }
        [_, (second, _), ..] => {
            let message = format!("`{}` has more than one of `shift`, `scale` and `flip`", problems.name(at));
            return problems.add(&at.key(second), message, "write an effect for each");
        }
    };
    let at = at.key(key);
    if metric.is_some_and(|metric| metric.kind.feature().is_some()) {
        let hint = "the worlds `recorded` and `margin` show such a metric; inject effects into metrics of numbers";
        return problems.wrong(&at, "but the metric is of embeddings, which have no size", hint);
    }
    let mut read = |at: &At, size: &Quantity, problems: &mut Problems| match key {
        "shift" => shift(at, size, metric, problems).map(Change::Shift),
        "scale" => scale(at, size, problems).map(Change::Scale),
        _ => flip(at, size, metric, problems).map(Change::Flip),
    };
    match size {
        Size::One(size) => Some(vec![Sized { shown: None, change: read(&at, size, problems)? }]),
        Size::List(sizes) => list(&at, sizes, &mut read, problems),
        Size::Range(range) => self::range(&at, range, &mut read, problems),
    }
}

/// How a size is read where it stands.
type Read<'r> = dyn FnMut(&At, &Quantity, &mut Problems) -> Option<Change> + 'r;

fn list(at: &At, sizes: &[Quantity], read: &mut Read<'_>, problems: &mut Problems) -> Option<Vec<Sized>> {
    let mut found: Vec<Sized> = Vec::new();
    let mut whole = true;
    for (index, size) in sizes.iter().enumerate() {
        let at = at.index(index);
        let Some(change) = read(&at, size, problems) else {
            whole = false;
            continue;
        };
        if found.iter().any(|earlier| earlier.change == change) {
            whole = false;
            problems.wrong::<()>(&at, "a second time in the list", "each size once");
        }
        found.push(Sized { shown: Some(problems.shown(&at).replace(['"', '\'', '`'], "")), change });
    }
    whole.then_some(found)
}

fn range(at: &At, range: &wire::Range, read: &mut Read<'_>, problems: &mut Problems) -> Option<Vec<Sized>> {
    let ends = range.from.as_ref().zip(range.to.as_ref()).zip(range.steps);
    let ((from, to), steps) = ends.filter(|_| !problems.is_broken(at))?;
    let (first, last) = (read(&at.key("from"), from, problems)?, read(&at.key("to"), to, problems)?);
    let (of_from, of_to) = (size_of(first), size_of(last));
    if of_from.total_cmp(&of_to).is_eq() {
        return problems.wrong(&at.key("to"), "where the range begins", "a range needs two different ends");
    }
    let step = |index: u32| {
        let exact = of_from + (of_to - of_from) * f64::from(index) / f64::from(steps - 1);
        // Hides the binary rounding of steps like 0.05.
        let size = (exact * 1e9).round() / 1e9;
        let change = match first {
            Change::Shift(_) => Change::Shift(size),
            Change::Scale(_) => Change::Scale(size),
            Change::Flip(_) => Change::Flip(size),
        };
        Sized { shown: Some(size.to_string()), change }
    };
    Some((0..steps).map(step).collect())
}

fn size_of(change: Change) -> f64 {
    match change {
        Change::Shift(size) | Change::Scale(size) | Change::Flip(size) => size,
    }
}

fn shift(at: &At, size: &Quantity, metric: Option<&Metric>, problems: &mut Problems) -> Option<f64> {
    match size {
        Quantity::Number(number) => Some(*number),
        Quantity::Text(text) => match quantities::amount(text) {
            Some((number, "pp")) => points(at, number, metric, problems),
            Some((number, "%")) => {
                // Hides the binary rounding of factors like 1.07.
                let scale = ((1.0 + number / 100.0) * 1e9).round() / 1e9;
                problems.wrong(at, "but a shift is absolute", format!("write `scale = {scale}` for a relative change"))
            }
            None | Some((_, "")) => {
                problems.wrong(at, "which is not a shift", "write a number without quotes, `1pp` or `20 ms`")
            }
            Some((number, unit)) => in_unit(at, number, unit, metric, problems),
        },
    }
}

fn scale(at: &At, size: &Quantity, problems: &mut Problems) -> Option<f64> {
    let factor = match size {
        Quantity::Number(number) => Some(*number),
        Quantity::Text(text) => quantities::percentage(text),
    };
    match factor {
        Some(factor) if factor > 0.0 && factor.is_finite() => Some(factor),
        Some(_) => problems.wrong(at, "which is not above zero", "1.1 is 10 % more"),
        None => problems.wrong(at, "which is not a factor", "write 1.1 without quotes, or `110%`"),
    }
}

fn flip(at: &At, size: &Quantity, metric: Option<&Metric>, problems: &mut Problems) -> Option<f64> {
    let share = values::share(at, size, problems)?;
    if metric.is_some_and(|metric| metric.judge.errors.is_some()) {
        let why = "but outcomes of a judge that errs are known on average only, not one by one";
        return problems.wrong(at, why, "use `shift` or `scale`, which are true of the requests, not of the judge");
    }
    match metric.map(|metric| &metric.kind) {
        None => Some(share),
        Some(kind) if kind.is_share() => Some(share),
        Some(kind) => {
            problems.wrong(at, format!("but only proportions flip, not a {}", kind.name()), "use `shift` or `scale`")
        }
    }
}

fn onset(at: &At, written: Option<&wire::Duration>, context: &Context<'_>, problems: &mut Problems) -> Option<Seconds> {
    let onset = problems.or_default(at, written, Seconds(0), |problems, text| {
        let onset = values::duration(at, text, problems)?;
        values::on_slots(at, onset, context.slot, problems)
    })?;
    let durations: Option<Vec<i64>> =
        context.stages.iter().map(|stage| Some(stage.value.as_ref()?.duration.0)).collect();
    match durations.map(|durations| Seconds(durations.iter().sum())) {
        Some(schedule) if onset.0 > 0 && onset >= schedule => problems.wrong(
            at,
            format!("which is not before the end of the schedule of {schedule}"),
            "use a shorter time",
        ),
        _ => Some(onset),
    }
}
