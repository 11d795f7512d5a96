//! `[[stages]]` of the kinds `eval` and `shadow`, which expose nobody.

use std::path::Path;

use super::super::places::At;
use super::super::problems::{Problems, known_words};
use super::super::wire;
use super::super::{Assignment, LogMapping};
use super::Form;
use super::rollout;
use super::stages::{self, Given};
use super::values::{self, Named};
use crate::domain::gate::{Gate, Test};
use crate::domain::metric::Metric;
use crate::domain::quantity::{Fraction, Seconds};
use crate::domain::rollout::{Budget, Control, PairSource, Paired, Rollout, Stage};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Eval,
    Shadow,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Eval => "eval",
            Self::Shadow => "shadow",
        }
    }
}

/// Which of the two a stage is, if it is one.
pub(super) fn kind(stage: &wire::Stage) -> Option<Kind> {
    match stage.kind? {
        wire::StageKind::Eval => Some(Kind::Eval),
        wire::StageKind::Shadow => Some(Kind::Shadow),
        wire::StageKind::Canary | wire::StageKind::Ab | wire::StageKind::Full => None,
    }
}

/// Keys that only such stages have.
pub(super) fn refuse_keys(at: &At, stage: &wire::Stage, problems: &mut Problems) {
    for (given, key, kinds) in
        [(stage.log.is_some(), "log", "`eval`"), (stage.gates.is_some(), "gates", "`eval` and `shadow`")]
    {
        let at = at.key(key);
        if given {
            let message = format!("`{}` is of stages of kind {kinds}", problems.name(&at));
            problems.add::<()>(&at, message, "leave it out: every gate speaks in a stage that exposes units");
        }
    }
}

/// A stage without its gates; `first` if none before it exposes anyone.
pub(super) fn read(
    at: &At,
    kind: Kind,
    (stage, name): (&wire::Stage, Option<String>),
    first: bool,
    given: &Given<'_>,
    problems: &mut Problems,
) -> Option<Stage> {
    let what = kind.name();
    let mut plain = true;
    for (is_given, key) in [
        (stage.exposure.is_some(), "exposure"),
        (stage.only.is_some(), "only"),
        (stage.look_every.is_some(), "look_every"),
        (stage.bake.is_some(), "bake"),
        (stage.log.is_some() && kind == Kind::Shadow, "log"),
    ] {
        if is_given {
            let at = at.key(key);
            let message = format!("`{}` has no meaning in a stage of kind `{what}`", problems.name(&at));
            let hint = "nobody is exposed, and gates ask once, at its end; leave it out";
            problems.add::<()>(&at, message, hint);
            plain = false;
        }
    }
    if !first {
        let why = "but an earlier stage exposes units already";
        problems.wrong::<()>(&at.key("kind"), why, "stages that expose nobody come first");
        plain = false;
    }
    let source = match kind {
        Kind::Shadow => Some(PairSource::Mirror),
        Kind::Eval => golden(at, stage, given.path, problems),
    };
    let duration = duration(at, kind, stage, given.slot, problems);
    let approved = stages::approved(at, stage, duration.map(|duration| (duration, duration)), problems);
    let at_start = at.key("start");
    let start = problems.or_default(&at_start, stage.start.as_ref(), None, |problems, text| {
        rollout::week_hours(&at_start, text, problems).map(Some)
    });
    if !plain {
        return None;
    }
    let duration = duration?;
    Some(Stage {
        name: name?,
        exposure: Fraction::ZERO,
        per_segment: None,
        only: Vec::new(),
        control: Control::Rest,
        paired: Some(Paired { source: source?, gates: Vec::new() }),
        duration,
        look_every: if duration.0 > 0 { duration } else { Seconds(1) },
        settle: Seconds(0),
        approved: approved?,
        start: start?,
    })
}

/// The files of a golden set; a path is relative to the scenario's directory.
fn golden(at: &At, stage: &wire::Stage, scenario: &Path, problems: &mut Problems) -> Option<PairSource> {
    let Some(written) = &stage.log else {
        return problems.missing(&at.key("log"), "`log`: the golden set, with the outcomes of both versions");
    };
    Some(PairSource::Golden(scenario.parent().unwrap_or(Path::new("")).join(written)))
}

fn duration(
    at: &At,
    kind: Kind,
    stage: &wire::Stage,
    slot: Option<Seconds>,
    problems: &mut Problems,
) -> Option<Seconds> {
    let at = at.key("duration");
    let Some(text) = &stage.duration else {
        if kind == Kind::Eval && !problems.is_broken(&at) {
            return Some(Seconds(0));
        }
        return problems.missing(&at, "how long traffic is mirrored, such as `24h`");
    };
    let duration = values::duration(&at, text, problems)?;
    if duration.0 == 0 && kind == Kind::Shadow {
        return problems.wrong(&at, "so nothing would be mirrored", "say how long, such as `24h`");
    }
    values::on_slots(&at, duration, slot, problems)
}

/// Why a gate cannot be asked of pairs.
fn unfit(gate: &Gate, metrics: &[Named<Metric>]) -> Option<&'static str> {
    let metric = metrics[gate.metric].value.as_ref();
    let rare = metric.is_some_and(|metric| metric.kind.is_rare());
    match gate.test {
        _ if metric.is_some_and(|metric| metric.stable_only) => Some("only stable has its outcome"),
        _ if gate.kayenta.is_some() => Some("Kayenta's judge compares series of looks"),
        _ if gate.limit.is_some() => Some("a `limit` is of the traffic that the candidate serves"),
        Test::MannWhitney => Some("test `mann-whitney` compares series of looks"),
        Test::Cusum(_) => Some("test `cusum` adds up what looks add"),
        Test::BurnRate => Some("test `burn-rate` watches windows of traffic"),
        Test::Sentinel(_) => Some("sentinels are asked at looks, whatever the requests"),
        Test::Exact(_) | Test::MaxSprt | Test::EProcess => Some("tests of counts are not made for pairs"),
        _ if rare => Some("a rare event is too seldom for a normal test of pairs"),
        Test::Point | Test::Fixed | Test::ConfidenceSequence | Test::GroupSequential(_) => None,
    }
}

/// Which gates each of these stages asks: those that its key `gates` names, or all that can be asked.
pub(super) fn ask(
    stages: &mut [Named<Stage>],
    written: &[Option<Vec<String>>],
    (gates, metrics): (&[Gate], &[Named<Metric>]),
    problems: &mut Problems,
) {
    let known: Vec<&str> = gates.iter().map(|gate| gate.name.as_str()).collect();
    for (index, stage) in stages.iter_mut().enumerate() {
        let Some(Stage { paired: Some(paired), .. }) = &mut stage.value else { continue };
        let at = At::root().key("stages").index(index).key("gates");
        let fit = |gate: &&Gate| unfit(gate, metrics).is_none();
        let Some(Some(named)) = written.get(index) else {
            paired.gates = gates.iter().filter(fit).map(|gate| gate.name.clone()).collect();
            if paired.gates.is_empty() {
                let at = At::root().key("stages").index(index).key("kind");
                let why = "but no gate can be asked about pairs of answers";
                problems.wrong::<()>(&at, why, "add a gate on a mean, a ratio, a proportion or a quantile");
            }
            continue;
        };
        let Some(named) = values::unique(&at, Some(named.clone()), problems) else { continue };
        if named.is_empty() {
            let message = format!("`{}` names no gate, so the stage would block nothing", problems.name(&at));
            problems.add::<()>(&at, message, "name at least one, or leave the key out to ask all that can be asked");
        }
        for (place, name) in named.iter().enumerate() {
            let at = at.index(place);
            match gates.iter().find(|gate| gate.name == *name) {
                None => {
                    problems.wrong::<()>(&at, "which is not a gate", known_words(name, &known, "gates"));
                }
                Some(gate) => {
                    if let Some(why) = unfit(gate, metrics) {
                        problems.wrong::<()>(&at, format!("but {why}"), "leave it out: it speaks in later stages");
                    }
                }
            }
        }
        paired.gates = named;
    }
}

/// Of stages that expose nobody, those that the rest of the scenario leaves no pairs.
pub(super) fn refuse(
    stages: &[Named<Stage>],
    (assignment, log): (Option<&Assignment>, Option<&LogMapping>),
    form: Form,
    problems: &mut Problems,
) {
    let sticky = assignment.filter(|assignment| assignment.within.is_some()).map(|assignment| assignment.sticky);
    let joined = log.is_some_and(|log| log.join.is_some());
    for (index, stage) in stages.iter().enumerate() {
        let Some(paired) = stage.value.as_ref().and_then(|stage| stage.paired.as_ref()) else { continue };
        let at = At::root().key("stages").index(index).key("kind");
        if form == Form::Long {
            let why = "but in a log in long form no request has the outcomes of both versions";
            problems.wrong::<()>(&at, why, "begin with a stage that exposes units");
        }
        if let Some(sticky) = sticky {
            // What one user's answers have in common must not count as often as the user draws.
            let why = format!("but with `sticky = \"{}\"` a user is many units", sticky.name());
            problems.wrong::<()>(&at, why, "begin with a stage that exposes units, or use `sticky = \"unit\"`");
        }
        if joined && matches!(paired.source, PairSource::Golden(_)) {
            let why = "but `log.join` says that each version's outcomes lie in files of their own";
            problems.wrong::<()>(&at, why, "join the outputs to one log first, or begin with a stage of kind `shadow`");
        }
    }
}

/// Budgets that are planned over the information of stages do not know such ones.
pub(super) fn keeps(rollout: &Rollout, stages: &[Named<Stage>], problems: &mut Problems) {
    let paired = stages.iter().filter_map(|stage| stage.value.as_ref()).find(|stage| stage.paired.is_some());
    if let Some(stage) = paired.filter(|_| rollout.budget != Budget::Split) {
        let at = At::root().key("rollout").key("budget");
        let why = format!("but stage `{}` exposes nobody, and its pairs are not planned with the others", stage.name);
        problems.wrong::<()>(&at, why, "use `split`");
    }
}
