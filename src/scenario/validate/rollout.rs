//! `[rollout]`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::places::At;
use super::super::problems::{Problems, known_words};
use super::super::wire::{self, OneOrMany, Quantity};
use super::super::{hours, quantities};
use super::kayenta;
use super::values::{self, Context, Named};
use crate::domain::gate::{Decision, Gate, Test};
use crate::domain::quantity::{Moment, Probability, Seconds};
use crate::domain::rollout::{
    Answer, Budget, Control, Delay, Hours, Promotion, Recovery, Resume, Rollout, Stage, StartTime, Starts,
};

/// What promotion needs; gates take a default from it.
pub(super) fn promotion(written: &wire::Rollout) -> Promotion {
    match written.promote {
        Some(wire::Promote::NoFail) => Promotion::NoFail,
        Some(wire::Promote::AllPass) | None => Promotion::AllPass,
    }
}

pub(super) fn read(
    mut written: wire::Rollout,
    gates: Option<&[Gate]>,
    context: &Context<'_>,
    zone: Option<&TimeZone>,
    problems: &mut Problems,
) -> Option<Rollout> {
    let at = At::root().key("rollout");
    let max_hold = max_hold(&at.key("max_hold"), &written, gates, context, problems);
    let approval = approval(&at.key("approval"), &written, gates, context, problems);
    let at_pause = at.key("max_pause");
    let max_pause = problems.or_default(&at_pause, written.max_pause.as_ref(), None, |problems, text| {
        values::duration(&at_pause, text, problems).map(Some)
    });
    let at_resume = at.key("resume");
    let resume = problems.or_default(&at_resume, written.resume.as_ref(), None, |problems, written| {
        let answer = answer(&at_resume, written, problems)?;
        Some(Some(resume(answer, max_pause?, context.slot, zone)))
    });
    check_pauses(&at, &written, gates, problems);
    waits_for_hours(&written, gates, context, problems);
    let diagnose = delay(&at.key("diagnose"), written.diagnose.as_ref(), problems);
    let mitigate = delay(&at.key("mitigate"), written.mitigate.as_ref(), problems);
    let pass_from = pass_from(&at.key("pass_from"), written.pass_from.as_deref(), context, problems);
    let start = starts(&at.key("start"), written.start.take(), context.slot, zone, problems);
    let budget =
        written.false_rollback.as_ref().map(|share| false_rollback(&at.key("false_rollback"), share, problems));
    let how = budget_kept(&at, &written, problems);
    let kayenta = kayenta::rollout(written.kayenta, gates, context, problems);
    Some(Rollout {
        promote: context.promote,
        pass_from: pass_from?,
        start: start?,
        false_rollback: budget.flatten(),
        budget: how?,
        max_hold: max_hold?,
        approval: approval?,
        resume: resume?,
        recovery: Recovery { diagnose: diagnose?, mitigate: mitigate? },
        kayenta: kayenta?,
    })
}

/// Why stages that may take longer than their durations refuse such a budget, and what to do about it.
const PLANS_ALL: &str =
    "but `budget = \"rollout\"` plans the information of all stages together, which holding changes";
const OTHER_BUDGETS: &str = "use `budget = \"split\"` or `\"calibrated\"`";

/// Looks go on while a stage is held.
fn max_hold(
    at: &At,
    written: &wire::Rollout,
    gates: Option<&[Gate]>,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<Seconds> {
    let hold = problems
        .or_default(at, written.max_hold.as_ref(), Seconds(0), |problems, text| values::duration(at, text, problems))?;
    if hold.0 == 0 {
        return Some(hold);
    }
    let stages = context.exposing();
    if let Some(stage) = stages.into_iter().find(|stage| stage.looks() > 0 && hold.0 % stage.look_every.0 != 0) {
        return problems.wrong(
            at,
            format!("which is no multiple of the {} between looks of stage `{}`", stage.look_every, stage.name),
            "a held stage is looked at as before: use a multiple of every `look_every`",
        );
    }
    if let Some(gate) = gates.unwrap_or_default().iter().find(|gate| gate.kayenta.is_some()) {
        let why =
            format!("but gate `{}` is of style `kayenta`, whose score ends a stage without holding it", gate.name);
        return problems.wrong(at, why, "leave `max_hold` out, or use another style");
    }
    if written.budget == Some(wire::Budget::Rollout) {
        return problems.wrong(at, PLANS_ALL, OTHER_BUDGETS);
    }
    Some(hold)
}

fn approval(
    at: &At,
    written: &wire::Rollout,
    gates: Option<&[Gate]>,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<Answer> {
    let approved = |stage: &values::Named<Stage>| stage.value.as_ref().is_some_and(|stage| stage.approved);
    if let Some(stage) = context.stages.iter().position(approved) {
        let at = At::root().key("stages").index(stage).key("approval");
        prolongs(&at, "score lets no stage go on", written, gates, problems)?;
    }
    let Some(written) = &written.approval else { return (!problems.is_broken(at)).then_some(Answer::AT_ONCE) };
    answer(at, written, problems)
}

/// Refuses what makes stages longer than their durations beside what does not know such stages.
fn prolongs(
    at: &At,
    score: &str,
    written: &wire::Rollout,
    gates: Option<&[Gate]>,
    problems: &mut Problems,
) -> Option<()> {
    if let Some(gate) = gates.unwrap_or_default().iter().find(|gate| gate.kayenta.is_some()) {
        let why = format!("but gate `{}` is of style `kayenta`, whose {score}", gate.name);
        return problems.wrong(at, why, "leave it out, or use another style");
    }
    if written.budget == Some(wire::Budget::Rollout) {
        return problems.wrong(at, PLANS_ALL, OTHER_BUDGETS);
    }
    Some(())
}

/// Stages that wait for the hours at which the next one may begin.
fn waits_for_hours(written: &wire::Rollout, gates: Option<&[Gate]>, context: &Context<'_>, problems: &mut Problems) {
    let waited = |stage: &values::Named<Stage>| stage.value.as_ref().is_some_and(|stage| stage.start.is_some());
    if let Some(stage) = context.stages.iter().position(waited) {
        let at = At::root().key("stages").index(stage).key("start");
        prolongs(&at, "score ends a stage without waiting", written, gates, problems);
    }
}

/// Who comes to a paused rollout, and for how long it may be paused: where that is not written, for the longest that a person takes.
fn resume(answer: Answer, max_pause: Option<Seconds>, slot: Option<Seconds>, zone: Option<&TimeZone>) -> Resume {
    let longest = || hours::longest_answer(answer, zone.unwrap_or(&TimeZone::UTC), slot.unwrap_or(Seconds::HOUR));
    Resume { answer, max_pause: max_pause.unwrap_or_else(longest) }
}

/// What gates that pause refuse beside them, and a time to pause where nobody comes.
fn check_pauses(at: &At, written: &wire::Rollout, gates: Option<&[Gate]>, problems: &mut Problems) {
    let pausing = |gate: &Gate| gate.on_fail == Decision::Hold;
    if written.resume.is_some()
        && let Some(gate) = gates.unwrap_or_default().iter().position(pausing)
    {
        let at = At::root().key("gates").index(gate).key("on_fail");
        prolongs(&at, "score pauses nothing", written, gates, problems);
    }
    let at_most = at.key("max_pause");
    if written.max_pause.is_some() && written.resume.is_none() && !problems.is_broken(&at.key("resume")) {
        let message = format!("`{}` has no `resume` beside it", problems.name(&at_most));
        problems.add::<()>(&at_most, message, "say how long a person takes: `resume = { delay = \"30m\" }`");
    }
}

fn answer(at: &At, written: &wire::Answer, problems: &mut Problems) -> Option<Answer> {
    let delay = delay(&at.key("delay"), written.delay.as_ref(), problems);
    let at = at.key("hours");
    let hours = problems
        .or_default(&at, written.hours.as_ref(), None, |problems, text| week_hours(&at, text, problems).map(Some));
    Some(Answer { delay: delay?, hours: hours? })
}

/// Hours of the week.
pub(super) fn week_hours(at: &At, text: &str, problems: &mut Problems) -> Option<Hours> {
    quantities::hours(text).or_else(|| problems.wrong(at, "which is no time of the week", quantities::HOURS_HINT))
}

fn delay(at: &At, written: Option<&wire::Delay>, problems: &mut Problems) -> Option<Delay> {
    problems.or_default(at, written, Delay::NONE, |problems, written| match written {
        wire::Delay::Fixed(text) => values::duration(at, text, problems).map(Delay::Fixed),
        wire::Delay::Lognormal(lognormal) => {
            let median = values::duration(&at.key("median"), lognormal.median.as_ref()?, problems);
            let p90 = values::duration(&at.key("p90"), lognormal.p90.as_ref()?, problems);
            let (median, p90) = (median?, p90?);
            if median.0 == 0 {
                return problems.wrong(
                    &at.key("median"),
                    "which leaves no time to draw",
                    "write a single `\"0\"` for no time",
                );
            }
            if p90 <= median {
                let why = format!("which is not longer than the median of {median}");
                return problems.wrong(
                    &at.key("p90"),
                    why,
                    "nine of ten times are shorter than `p90`, five of ten than `median`",
                );
            }
            Some(Delay::Lognormal { median, p90 })
        }
    })
}

fn budget_kept(at: &At, written: &wire::Rollout, problems: &mut Problems) -> Option<Budget> {
    let at_budget = at.key("budget");
    let Some(how) = written.budget else { return (!problems.is_broken(&at_budget)).then_some(Budget::Split) };
    if written.false_rollback.is_none() && !problems.is_broken(&at.key("false_rollback")) {
        let message = format!("`{}` has no `false_rollback` beside it", problems.name(&at_budget));
        return problems.add(&at_budget, message, "add `false_rollback = \"5%\"`: the budget that is meant");
    }
    Some(match how {
        wire::Budget::Split => Budget::Split,
        wire::Budget::Rollout => Budget::Rollout,
        wire::Budget::Calibrated => Budget::Calibrated,
    })
}

/// What is wrong with it is reported, and no scenario comes of it.
fn false_rollback(at: &At, written: &Quantity, problems: &mut Problems) -> Option<Probability> {
    match Probability::new(values::share(at, written, problems)?) {
        Some(budget) if budget.get() <= 0.5 => Some(budget),
        _ => problems.wrong(at, "which is more than 50 %", "5 % is usual"),
    }
}

/// A calibration needs gates with an error rate.
pub(super) fn calibrates(rollout: &Rollout, gates: &[Gate], problems: &mut Problems) {
    if rollout.budget != Budget::Calibrated {
        return;
    }
    if let Some(gate) = gates.iter().find(|gate| gate.kayenta.is_some()) {
        let at = At::root().key("rollout").key("budget");
        let why = format!("but gate `{}` is of style `kayenta`, which has no level to calibrate", gate.name);
        problems.wrong::<()>(&at, why, "use `split`, or another style");
    }
    let bare = |gate: &&Gate| gate.kayenta.is_none() && !gate.test.has_alpha() && rollout.rolls_back(gate);
    if let Some(gate) = gates.iter().find(bare) {
        let at = At::root().key("rollout").key("budget");
        problems.wrong::<()>(
            &at,
            if gate.test == Test::Point {
                format!("but gate `{}` is a bare threshold without an error rate to calibrate", gate.name)
            } else {
                format!("but gate `{}` has test `{}`, which has no level to calibrate", gate.name, gate.test.name())
            },
            if rollout.resume.is_some() {
                "give it another test"
            } else {
                "give it another test, or `on_fail = \"pause\"`"
            },
        );
    }
}

/// An error that is spent once is shared by how stages overlap, which is known where the rest is compared with everyone.
pub(super) fn keeps_once(rollout: &Rollout, stages: &[Named<Stage>], problems: &mut Problems) {
    let other = |stage: &&Stage| stage.asks_who() || stage.control == Control::Matched;
    let stage = stages.iter().filter_map(|stage| stage.value.as_ref()).find(other);
    if let Some(stage) = stage.filter(|_| rollout.budget == Budget::Rollout) {
        let at = At::root().key("rollout").key("budget");
        let why = format!("but stage `{}` does not compare everyone with the rest", stage.name);
        problems.wrong::<()>(&at, why, "use `split` or `calibrated`");
    }
}

fn pass_from(at: &At, written: Option<&str>, context: &Context<'_>, problems: &mut Problems) -> Option<usize> {
    let Some(name) = written else { return (!problems.is_broken(at)).then_some(0) };
    if context.promote == Promotion::NoFail {
        let message = format!("`{}` has no meaning with `promote = \"no-fail\"`", problems.name(at));
        return problems.add(at, message, "leave it out, or use `promote = \"all-pass\"`");
    }
    let known: Vec<&str> = context.stages.iter().map(|stage| stage.name.as_str()).collect();
    let found = known.iter().position(|known| *known == name);
    // A stage without a readable name may be the one that is meant.
    if found.is_some() || known.is_empty() || known.contains(&"") {
        return found;
    }
    problems.wrong(at, "which is not a stage", known_words(name, &known, "stages"))
}

fn starts(
    at: &At,
    written: Option<OneOrMany>,
    slot: Option<Seconds>,
    zone: Option<&TimeZone>,
    problems: &mut Problems,
) -> Option<Starts> {
    let texts: Vec<(At, String)> = match written {
        None => return (!problems.is_broken(at)).then_some(Starts::AnyHour),
        Some(OneOrMany::One(text)) => vec![(at.clone(), text)],
        Some(OneOrMany::Many(texts)) if texts.is_empty() => {
            return problems.wrong(at, "an empty list", "leave the key out to start at any hour");
        }
        Some(OneOrMany::Many(texts)) => {
            texts.into_iter().enumerate().map(|(index, text)| (at.index(index), text)).collect()
        }
    };
    // An unknown time zone is reported at its own key; the form of a start does not depend on it.
    let utc = TimeZone::UTC;
    let grid = zone.and(slot);
    let zone = zone.unwrap_or(&utc);
    let listed: Vec<_> = texts.iter().map(|(at, text)| some_starts(at, text, grid, zone, problems)).collect();
    Some(Starts::Listed(listed.into_iter().collect::<Option<Vec<_>>>()?.concat()))
}

/// One start, or every whole hour on the slot grid of some hours of the week.
fn some_starts(
    at: &At,
    text: &str,
    grid: Option<Seconds>,
    zone: &TimeZone,
    problems: &mut Problems,
) -> Option<Vec<StartTime>> {
    let Some(hours) = quantities::hours(text) else { return Some(vec![start(at, text, grid, zone, problems)?]) };
    let first = hours.from.up_to(Seconds::HOUR).0;
    let times = (first..hours.to.0).step_by(3600).map(Seconds);
    let days = || (0_i8..7).zip(hours.days).filter(|(_, open)| *open);
    let all: Vec<StartTime> =
        times.flat_map(|time| days().map(move |(day, _)| StartTime::Weekly { day, time })).collect();
    if all.is_empty() {
        return problems.wrong(
            at,
            "in which no whole hour lies",
            "rollouts start at whole hours: use longer hours, or one time",
        );
    }
    let kept: Vec<StartTime> =
        all.iter().copied().filter(|start| grid.is_none_or(|slot| on_grid(*start, slot, zone))).collect();
    if kept.is_empty() { off_grid(at, grid?, problems) } else { Some(kept) }
}

fn off_grid<T>(at: &At, slot: Seconds, problems: &mut Problems) -> Option<T> {
    problems.wrong(
        at,
        format!("which is not at the begin of a slot of {slot}"),
        "slots are counted from midnight UTC: move the start, or use a finer `log.slot`",
    )
}

fn start(at: &At, text: &str, grid: Option<Seconds>, zone: &TimeZone, problems: &mut Problems) -> Option<StartTime> {
    let Some(start) = quantities::start(text, zone) else {
        return problems.wrong(at, "which is not a time to start", quantities::START_HINT);
    };
    match grid {
        Some(slot) if !on_grid(start, slot, zone) => off_grid(at, slot, problems),
        _ => Some(start),
    }
}

fn on_grid(start: StartTime, slot: Seconds, zone: &TimeZone) -> bool {
    match start {
        StartTime::At(moment) => moment.0 % slot.0 == 0,
        // Winter and summer of one year stand for all; `Scenario::starts` keeps odd years on the grid.
        StartTime::Weekly { time, .. } => [Moment(1_736_899_200), Moment(1_752_537_600)].iter().all(|season| {
            let offset = Timestamp::from_second(season.0).map_or(0, |at| zone.to_offset(at).seconds());
            (time.0 - i64::from(offset)) % slot.0 == 0
        }),
    }
}
