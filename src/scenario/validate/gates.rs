//! `[[gates]]`.

use super::super::places::At;
use super::super::problems::Problems;
use super::super::quantities;
use super::super::wire::{self, Quantity};
use super::distance;
use super::kayenta;
use super::monitors;
use super::values::{self, Context, Names};
use crate::domain::gate::{
    Burn, Correction, Decision, Gate, Looks, Measure, Patience, Sequence, Spending, Style, Test, Tuning, Window,
};
use crate::domain::metric::{Direction, Judge, Margin, Metric, MetricKind};
use crate::domain::quantity::{Probability, Seconds};
use crate::domain::rollout::Promotion;

/// Each side of the interval by which Kayenta's judge decides.
const KAYENTA_ALPHA: f64 = 0.01;

/// Windows of looks are kept in memory.
const MOST_PATIENT_LOOKS: usize = 1000;

/// What a step of a cumulative sum adds should be nearly normal.
const STEP_REQUESTS: f64 = 100.0;

/// Below this many units per arm a normal interval is not to be trusted.
const MIN_UNITS: f64 = 40.0;

pub(super) fn read(written: Vec<wire::Gate>, context: &Context<'_>, problems: &mut Problems) -> Option<Vec<Gate>> {
    let list = At::root().key("gates");
    let mut names = Names::of("gate");
    let gates: Vec<Option<Gate>> = written
        .into_iter()
        .enumerate()
        .map(|(index, gate)| read_one(&list.index(index), &gate, &mut names, context, problems))
        .collect();
    gates.into_iter().collect()
}

fn read_one(
    at: &At,
    written: &wire::Gate,
    names: &mut Names<'_>,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<Gate> {
    let name = names.fresh(&at.key("name"), written.name.clone(), problems);
    let metric = written.metric.as_ref().and_then(|metric| context.metric(&at.key("metric"), metric, problems));
    let measured = metric.and_then(|index| context.metrics[index].value.as_ref());
    monitors::foreign_keys(at, written, problems);
    let measure = distance::measure(at, written, measured, problems);
    let burns = written.test == Some(wire::Test::BurnRate);
    let burn = if burns { monitors::burn(at, written, measured, context, problems) } else { None };
    let thresholds = if burns {
        burn.as_ref().map(Thresholds::of_burn)
    } else {
        thresholds(at, written, measured, measure, problems)
    };
    let kind = measured.map(|metric| &metric.kind);
    let style = style(&at.key("style"), written.style, measured, problems);
    let covariate = covariate(at, written, measured, problems);
    counted(at, written, context, metric, problems);
    kayenta::points(at, written, measured, problems);
    let allow = thresholds.as_ref().and_then(|thresholds| thresholds.allow);
    let better = measured.map(|metric| metric.better);
    let judged = written.style == Some(wire::Style::Kayenta);
    let kayenta = if judged { kayenta::metric(at, written, allow, better, problems) } else { None };
    let looks = match written.looks {
        Some(wire::Looks::End) => Looks::End,
        Some(wire::Looks::All) | None => Looks::All,
    };
    let spending = spending(at, written, problems);
    // Without it passing is one test at the stage's end; what is wrong with it is reported, and no scenario comes of it.
    let pass_spending =
        written.pass_spending.as_deref().and_then(|text| spent(&at.key("pass_spending"), text, written, problems));
    let test = match written.test {
        Some(wire::Test::Cusum) => monitors::cusum(at, written, measured, context, problems).map(Test::Cusum),
        Some(wire::Test::Sentinel) => monitors::sentinel(at, written, problems).map(Test::Sentinel),
        None if measure == Some(Measure::Psi) => Some(Test::Point),
        _ => test(&at.key("test"), written.test, looks, spending, problems),
    };
    let sequence = sequence(at, written, problems);
    let weight = weight(&at.key("weight"), written.weight, problems);
    let alpha = probability(&at.key("alpha"), written.alpha, if judged { KAYENTA_ALPHA } else { 0.05 }, 0.5, problems);
    let power = probability(&at.key("power"), written.power, 0.8, 1.0, problems);
    let by = by(&at.key("by"), written.by.clone(), context, problems);
    let correction = correction(&at.key("correction"), written.correction, problems);
    let patience = patience(&at.key("patience"), written, looks, context, problems);
    let window = window(at, written, test, context, problems);
    if kind.is_some_and(MetricKind::is_rare) && matches!(window, Some(Window::Trailing(_))) {
        let hint = "leave `window` out, or use a metric of kind `proportion`";
        problems.wrong::<()>(&at.key("window"), "but a unit of a rare metric counts once in a stage", hint);
    }
    let point = test == Some(Test::Point);
    // Exact counts need no normal interval, and units of a rare metric no design effect.
    // Prompts need no traffic.
    let free = point
        || burns
        || written.test == Some(wire::Test::Sentinel)
        || (test.is_some_and(Test::counts_events) && kind.is_some_and(MetricKind::is_rare));
    // The points of a trailing window may come from other units than the stage's.
    let any_units = free || judged || matches!(window, Some(Window::Trailing(_)));
    let thresholds = thresholds?;
    if judged && kayenta.is_none() {
        return None;
    }
    Some(Gate {
        name: name?,
        metric: metric?,
        allow: thresholds.allow,
        harm: thresholds.harm,
        limit: thresholds.limit,
        measure,
        allow_text: thresholds.text,
        test: test?,
        sequence: sequence?,
        style: style?,
        covariate,
        kayenta,
        burn,
        alpha: alpha?,
        pass_spending,
        weight: weight?,
        power: power?,
        by: by?,
        correction: correction?,
        window: window?,
        looks,
        min_units: written.min_units.unwrap_or(if any_units { 0.0 } else { MIN_UNITS }),
        min_requests: written.min_requests.unwrap_or(match test? {
            Test::Cusum(_) => STEP_REQUESTS,
            _ if free => 1.0,
            _ => 0.0,
        }),
        patience: patience?,
        on_fail: match written.on_fail {
            Some(wire::OnFail::Pause) => Decision::Hold,
            Some(wire::OnFail::Rollback) | None => Decision::RollBack,
        },
        on_inconclusive: written.on_inconclusive.map_or(
            match context.promote {
                Promotion::AllPass => Decision::Hold,
                Promotion::NoFail => Decision::Promote,
            },
            decision,
        ),
        on_no_data: written.on_no_data.map_or(Decision::Hold, decision),
    })
}

/// `3 of 5` looks, or a length of time.
fn patience(
    at: &At,
    written: &wire::Gate,
    looks: Looks,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<Patience> {
    const HINT: &str = "write `3 of 5` looks, or a duration such as `10m`";
    problems.or_default(at, written.patience.as_ref(), Patience::NONE, |problems, text| {
        let found = match text.split_once(" of ") {
            Some((failing, of)) => {
                let count = |text: &str| text.trim().parse::<u16>().ok().map(usize::from);
                match count(failing).zip(count(of)) {
                    Some((failing, of)) if (1..=of).contains(&failing) && of <= MOST_PATIENT_LOOKS => {
                        Patience::Looks { failing, of }
                    }
                    Some(_) => {
                        let why = format!("which is not 1 to N of N looks, N at most {MOST_PATIENT_LOOKS}");
                        return problems.wrong(at, why, HINT);
                    }
                    None => return problems.wrong(at, "which is no number of looks", HINT),
                }
            }
            None => match quantities::duration(text) {
                Ok(time) => Patience::Lasting(time),
                Err(why) => return problems.wrong(at, why, HINT),
            },
        };
        let patient = found != Patience::NONE && found != Patience::Lasting(Seconds(0));
        if patient && looks == Looks::End {
            return problems.wrong(at, "but `looks = \"end\"` leaves one look", "leave one of them out");
        }
        if patient && written.style == Some(wire::Style::Kayenta) {
            return problems.wrong(at, "but the score of Kayenta's judge decides at each of its runs", "leave it out");
        }
        // A stage that cannot hold so many looks could never fail.
        for stage in context.exposing() {
            let (failing, _) = found.looks(stage.look_every);
            if stage.looks() > 0 && failing > stage.looks() {
                let why = format!(
                    "and stage `{}` has only {} looks, {failing} would have to fail",
                    stage.name,
                    stage.looks()
                );
                return problems.wrong(at, why, "ask for fewer, look more often, or prolong the stage");
            }
        }
        Some(found)
    })
}

fn decision(action: wire::Action) -> Decision {
    match action {
        wire::Action::Hold => Decision::Hold,
        wire::Action::Promote => Decision::Promote,
        wire::Action::Rollback => Decision::RollBack,
    }
}

struct Thresholds {
    allow: Option<Margin>,
    harm: Option<Margin>,
    limit: Option<f64>,
    text: String,
}

impl Thresholds {
    /// What spends the budget in exactly its period is accepted.
    fn of_burn(burn: &Burn) -> Self {
        Self {
            allow: None,
            harm: None,
            limit: Some(burn.budget()),
            text: format!("{} % SLO", (burn.slo * 1e8).round() / 1e6),
        }
    }
}

fn thresholds(
    at: &At,
    gate: &wire::Gate,
    metric: Option<&Metric>,
    measure: Option<Measure>,
    problems: &mut Problems,
) -> Option<Thresholds> {
    if let Some(measure) = measure {
        let limit = distance::limit(at, gate, measure, problems)?;
        let text = format!("{} {limit}", measure.name());
        return Some(Thresholds { allow: None, harm: None, limit: Some(limit), text });
    }
    let broken = |key: &str, problems: &Problems| problems.is_broken(&at.key(key));
    if gate.allow.is_none() && gate.limit.is_none() {
        if broken("allow", problems) || broken("limit", problems) {
            return None;
        }
        let message = format!("`{}` has neither `allow` nor `limit`", problems.name(at));
        let hint = "add `allow = \"1%\"` to compare with stable, or `limit` to bound the candidate itself";
        return problems.add(&at.key("allow"), message, hint);
    }
    if gate.harm.is_some() && gate.allow.is_none() && !broken("allow", problems) {
        let at = at.key("harm");
        problems.add::<()>(
            &at,
            format!("`{}` has no `allow` beside it", problems.name(&at)),
            "add `allow`: `harm` only moves its failing side",
        );
    }
    // Read even where the other is broken, to report both.
    let allow = gate.allow.as_ref().map(|written| margin(&at.key("allow"), &written.0, metric, problems));
    let harm = gate.harm.as_ref().map(|written| margin(&at.key("harm"), &written.0, metric, problems));
    limit(&at.key("limit"), gate.limit, metric, problems);
    let texts =
        [gate.allow.as_ref().map(|allow| as_written(&allow.0)), gate.limit.map(|limit| format!("limit {limit}"))];
    let text = texts.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    Some(Thresholds {
        allow: allow.map_or(Some(None), |allow| allow.map(Some))?,
        harm: harm.map_or(Some(None), |harm| harm.map(Some))?,
        limit: gate.limit,
        text,
    })
}

fn as_written(quantity: &Quantity) -> String {
    match quantity {
        Quantity::Number(number) => number.to_string(),
        Quantity::Text(text) => text.trim().to_owned(),
    }
}

/// Without a readable metric only the form is checked.
fn margin(at: &At, written: &Quantity, metric: Option<&Metric>, problems: &mut Problems) -> Option<Margin> {
    const FORMS: &str = "write `1%` of stable's value, `0.5pp`, `20 ms`, or a bare number in the metric's unit";
    let margin = match written {
        Quantity::Number(number) => Margin::Absolute(*number),
        Quantity::Text(text) => {
            match quantities::amount(text) {
                None => return problems.wrong(at, "which is not a margin", FORMS),
                Some((number, "")) => {
                    return problems.wrong(at, "which is not a margin", format!("write {number} without quotes for the metric's own unit, or \"{number}%\" of stable's value"));
                }
                Some((number, "%")) => Margin::Relative(number / 100.0),
                Some((number, "pp")) => Margin::Absolute(points(at, number, metric, problems)?),
                Some((number, unit)) => Margin::Absolute(in_unit(at, number, unit, metric, problems)?),
            }
        }
    };
    let (Margin::Relative(size) | Margin::Absolute(size)) = margin;
    if size < 0.0 {
        return problems.wrong(
            at,
            "which is below zero",
            "a margin is the regression that is accepted: zero or more, whichever way is worse",
        );
    }
    let share = metric.is_some_and(|metric| metric.kind.is_share());
    let higher = metric.is_some_and(|metric| metric.better == Direction::Higher);
    match margin {
        Margin::Relative(share) if higher && share >= 1.0 => {
            problems.wrong(at, "so even a candidate at zero would pass", "where higher is better, use less than 100 %")
        }
        Margin::Absolute(size) if share && size > 1.0 => problems.wrong(
            at,
            "but a proportion lies between 0 and 1",
            format!("write \"{size}pp\" for percentage points"),
        ),
        _ => Some(margin),
    }
}

/// Percentage points, of metrics that are shares or may be.
pub(super) fn points(at: &At, number: f64, metric: Option<&Metric>, problems: &mut Problems) -> Option<f64> {
    match metric.map(|metric| &metric.kind) {
        Some(kind) if !kind.is_mean() => problems.wrong(
            at,
            format!("but a {} has no percentage points", kind.name()),
            "use a number in the metric's unit, or a percentage",
        ),
        _ => Some(number / 100.0),
    }
}

/// A number whose unit must be the metric's.
pub(super) fn in_unit(
    at: &At,
    number: f64,
    unit: &str,
    metric: Option<&Metric>,
    problems: &mut Problems,
) -> Option<f64> {
    let Some(metric) = metric else { return Some(number) };
    match &metric.unit {
        Some(known) if known == unit => Some(number),
        Some(known) => problems.wrong(
            at,
            format!("but the unit of metric `{}` is `{known}`", metric.name),
            format!("write it in {known}, the unit of the metric's column"),
        ),
        None => problems.wrong(
            at,
            format!("but metric `{}` has no unit", metric.name),
            format!("add `unit = \"{unit}\"` to the metric, or write {number} without quotes"),
        ),
    }
}

fn limit(at: &At, written: Option<f64>, metric: Option<&Metric>, problems: &mut Problems) {
    let share = metric.is_some_and(|metric| metric.kind.is_share());
    if share && written.is_some_and(|limit| !(0.0..=1.0).contains(&limit)) {
        problems.wrong::<()>(at, "but a proportion lies between 0 and 1", "0.001 is 0.1 %");
    }
}

/// How a group-sequential gate spends its alpha; other tests have nothing to spend.
fn spending(at: &At, gate: &wire::Gate, problems: &mut Problems) -> Option<Spending> {
    gate.spending.as_deref().map_or(Some(Spending::Pocock), |text| {
        let end = gate.looks == Some(wire::Looks::End);
        let at = at.key("spending");
        if gate.test == Some(wire::Test::Exact) && !end {
            return form_of_spending(&at, text, problems);
        }
        spent(&at, text, gate, problems)
    })
}

fn spent(at: &At, text: &str, gate: &wire::Gate, problems: &mut Problems) -> Option<Spending> {
    let default = gate.test.is_none() && gate.looks != Some(wire::Looks::End);
    if gate.test != Some(wire::Test::GroupSequential) && !default {
        let hint = "use `test = \"group-sequential\"`, or leave it out";
        return problems.add(at, format!("`{}` belongs to test `group-sequential`", problems.name(at)), hint);
    }
    form_of_spending(at, text, problems)
}

fn form_of_spending(at: &At, text: &str, problems: &mut Problems) -> Option<Spending> {
    let mut words = text.split_whitespace();
    let (name, number) = (words.next(), words.next().map(str::parse::<f64>));
    let finite = number.clone().and_then(Result::ok).filter(|number| number.is_finite());
    match (name, number, finite, words.next()) {
        (Some("pocock"), None, _, None) => Some(Spending::Pocock),
        (Some("obrien-fleming"), None, _, None) => Some(Spending::ObrienFleming),
        (Some("power"), _, Some(rho), None) if rho > 0.0 => Some(Spending::Power(rho)),
        (Some("hwang-shih-decani"), _, Some(gamma), None) => Some(Spending::HwangShihDeCani(gamma)),
        _ => {
            let hint = "use `pocock`, `obrien-fleming`, `power RHO` with RHO above 0, or `hwang-shih-decani GAMMA`";
            problems.wrong(at, "which is not a way of spending alpha", hint)
        }
    }
}

/// The shape of a confidence sequence; other tests have none.
fn sequence(gate: &At, written: &wire::Gate, problems: &mut Problems) -> Option<Sequence> {
    const FORMS: &str = "use `planned`, `growthbook`, `eppo`, `msprt`, or a number of units of both arms";
    let at = gate.key("tuning");
    let given = [("tuning", written.tuning.is_some()), ("sides", written.sides.is_some())];
    for (key, _) in given.iter().filter(|(_, given)| *given && written.test != Some(wire::Test::ConfidenceSequence)) {
        let at = gate.key(key);
        let message = format!("`{}` belongs to test `confidence-sequence`", problems.name(&at));
        problems.add::<()>(&at, message, "use `test = \"confidence-sequence\"`, or leave it out");
    }
    if problems.is_broken(&at) && written.tuning.is_none() {
        return None;
    }
    let tuning = match &written.tuning {
        None => Tuning::Planned,
        Some(wire::Tuning::Units(units)) if *units >= 1.0 && units.is_finite() => Tuning::Units(*units),
        Some(wire::Tuning::Units(_)) => return problems.wrong(&at, "which is less than one unit", FORMS),
        Some(wire::Tuning::Name(name)) => match name.as_str() {
            "planned" => Tuning::Planned,
            "growthbook" => Tuning::GrowthBook,
            "eppo" => Tuning::Eppo,
            "msprt" => Tuning::Msprt,
            _ => return problems.wrong(&at, "which is no tuning", FORMS),
        },
    };
    let of_tool = matches!(tuning, Tuning::GrowthBook | Tuning::Eppo | Tuning::Msprt);
    let two_sided = written.sides.map_or(of_tool, |sides| sides == wire::Sides::Two);
    Some(Sequence { tuning, two_sided })
}

fn style(at: &At, written: Option<wire::Style>, metric: Option<&Metric>, problems: &mut Problems) -> Option<Style> {
    match written {
        None if problems.is_broken(at) => None,
        None | Some(wire::Style::Wald | wire::Style::Kayenta) => Some(Style::Wald),
        Some(wire::Style::Score) => match metric {
            Some(Metric { kind: MetricKind::Proportion { .. }, judge: Judge { errors: Some(_), .. }, .. }) => problems
                .wrong(
                    at,
                    "but a share that is corrected for the judge's errors is no count that a score test could read",
                    "leave it out, or leave out the metric's `sensitivity` and `specificity`",
                ),
            _ => Some(Style::Score),
        },
    }
}

/// What gates that count events can be asked.
fn counted(at: &At, gate: &wire::Gate, context: &Context<'_>, metric: Option<usize>, problems: &mut Problems) {
    let counts = matches!(gate.test, Some(wire::Test::Exact | wire::Test::MaxSprt | wire::Test::EProcess));
    let Some(metric) = metric.and_then(|index| context.metrics[index].value.as_ref()).filter(|_| counts) else {
        return;
    };
    let at_test = at.key("test");
    if !metric.kind.is_share() {
        let hint = "use it with a metric of kind `rare` or `proportion`, or another test";
        let why = format!("but it counts events, and a {} has none", metric.kind.name());
        return problems.wrong::<()>(&at_test, why, hint).unwrap_or(());
    }
    if metric.better == Direction::Higher {
        let hint = "make a metric of what should not happen, with `better = \"lower\"`";
        return problems
            .wrong::<()>(&at_test, "but it counts bad events, and this metric counts good ones", hint)
            .unwrap_or(());
    }
    if metric.judge.errors.is_some() {
        let hint = "use another test, or leave out the metric's `sensitivity` and `specificity`";
        let why = "but a share that is corrected for the judge's errors is no count of events";
        return problems.wrong::<()>(&at_test, why, hint).unwrap_or(());
    }
    for (key, written) in [("allow", &gate.allow), ("harm", &gate.harm)] {
        let absolute = match written.as_ref().map(|margin| &margin.0) {
            Some(Quantity::Number(number)) => *number != 0.0,
            Some(Quantity::Text(text)) => {
                quantities::amount(text).is_some_and(|(size, unit)| unit != "%" && size != 0.0)
            }
            None => false,
        };
        if absolute {
            let hint = "write a relative margin such as \"50%\", or `limit` to bound the candidate itself";
            let why = "but into which arm events fall says by how many times they are more frequent, not by how much";
            problems.wrong::<()>(&at.key(key), why, hint);
        }
    }
}

/// Whether stable's answers are taken out: only of means, proportions and ratios against stable, with the variance that is left.
fn covariate(at: &At, written: &wire::Gate, metric: Option<&Metric>, problems: &mut Problems) -> bool {
    if written.covariate != Some(wire::Covariate::Stable) {
        return false;
    }
    let at = at.key("covariate");
    let hint = "leave it out, or use a metric of kind `mean`, `proportion` or `ratio`, `allow` alone, style `wald`, and a test of its interval";
    let kind = metric.map(|metric| &metric.kind);
    if let Some(kind @ (MetricKind::Quantile { .. } | MetricKind::Rare { .. })) = kind {
        problems.wrong::<()>(&at, format!("but a {} is not adjusted by a covariate", kind.name()), hint);
    } else if metric.is_some_and(|metric| metric.stable_only) {
        let why = "but the metric is of what users did, and they see one version's answer only";
        problems.wrong::<()>(&at, why, "leave it out");
    } else if written.limit.is_some() {
        problems.wrong::<()>(&at, "but a `limit` is about the candidate's own value", hint);
    } else if written.style.is_some_and(|style| style != wire::Style::Wald) {
        problems.wrong::<()>(&at, "but only style `wald` takes the variance that is left", hint);
    } else if !matches!(
        written.test,
        None | Some(wire::Test::Fixed | wire::Test::GroupSequential | wire::Test::ConfidenceSequence)
    ) {
        problems.wrong::<()>(&at, "but this test has no interval to narrow", hint);
    } else if written.window.as_ref().is_some_and(|window| window != "stage") {
        problems.wrong::<()>(&at, "but a trailing window has no variance to lessen", hint);
    }
    true
}

fn weight(at: &At, written: Option<f64>, problems: &mut Problems) -> Option<f64> {
    match written {
        None if problems.is_broken(at) => None,
        Some(weight) if weight <= 0.0 => problems.wrong(at, "which is not above 0", "2 is twice the share of 1"),
        weight => Some(weight.unwrap_or(1.0)),
    }
}

fn test(
    at: &At,
    written: Option<wire::Test>,
    looks: Looks,
    spending: Option<Spending>,
    problems: &mut Problems,
) -> Option<Test> {
    match written {
        Some(wire::Test::GroupSequential) => spending.map(Test::GroupSequential),
        Some(wire::Test::Point) => Some(Test::Point),
        Some(wire::Test::Fixed) => Some(Test::Fixed),
        Some(wire::Test::MannWhitney) => Some(Test::MannWhitney),
        Some(wire::Test::ConfidenceSequence) => Some(Test::ConfidenceSequence),
        Some(wire::Test::Exact) => spending.map(Test::Exact),
        Some(wire::Test::MaxSprt) => Some(Test::MaxSprt),
        Some(wire::Test::EProcess) => Some(Test::EProcess),
        Some(wire::Test::BurnRate) => Some(Test::BurnRate),
        Some(_) => {
            let shown = problems.shown(at);
            let what = format!("test {}", shown.replace(['"', '\''], ""));
            problems.add(
                at,
                format!("not supported yet: {what}"),
                "tests so far: `point`, `fixed`, `group-sequential`, `confidence-sequence`, `mann-whitney`, `exact`, `max-sprt`, `e-process`, `cusum`, `burn-rate`, `sentinel`",
            )
        }
        None if problems.is_broken(at) => None,
        None if looks == Looks::End => Some(Test::Fixed),
        None => spending.map(Test::GroupSequential),
    }
}

/// Above zero and at most `largest`, and below 1 in any case.
fn probability(
    at: &At,
    written: Option<f64>,
    default: f64,
    largest: f64,
    problems: &mut Problems,
) -> Option<Probability> {
    if written.is_none() && problems.is_broken(at) {
        return None;
    }
    let value = written.unwrap_or(default);
    match Probability::new(value) {
        Some(probability) if value <= largest => Some(probability),
        _ if largest < 1.0 => problems.wrong(at, format!("which is not above 0 and at most {largest}"), ""),
        _ => problems.wrong(at, "which is not between 0 and 1", ""),
    }
}

fn by(at: &At, written: Option<Vec<String>>, context: &Context<'_>, problems: &mut Problems) -> Option<Vec<usize>> {
    let columns = values::unique(at, written, problems)?;
    let found: Vec<_> =
        columns.iter().enumerate().map(|(index, column)| context.segment(&at.index(index), column, problems)).collect();
    found.into_iter().collect()
}

fn correction(at: &At, written: Option<wire::Correction>, problems: &mut Problems) -> Option<Correction> {
    match written {
        Some(wire::Correction::None) => Some(Correction::None),
        Some(wire::Correction::Hierarchy) => Some(Correction::Hierarchy),
        Some(wire::Correction::Bonferroni) => Some(Correction::Bonferroni),
        Some(wire::Correction::Bh) => problems.later(at, "correction `bh`"),
        None if problems.is_broken(at) => None,
        Some(wire::Correction::Holm) | None => Some(Correction::Holm),
    }
}

fn window(
    gate: &At,
    written: &wire::Gate,
    test: Option<Test>,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<Window> {
    let at = &gate.key("window");
    let text = match &written.window {
        None => return (!problems.is_broken(at)).then_some(Window::Stage),
        Some(text) if text == "stage" => return Some(Window::Stage),
        Some(text) => text,
    };
    let length = match quantities::duration(text) {
        Ok(length) if length.0 > 0 => length,
        Ok(_) => return problems.wrong(at, "which holds no request", "write `stage`, or a duration such as `1h`"),
        Err(_) => return problems.wrong(at, "which is not a window", "write `stage`, or a duration such as `1h`"),
    };
    let length = values::on_slots(at, length, context.slot, problems)?;
    if test == Some(Test::BurnRate) {
        return None;
    }
    if let Some(test) = test
        && !matches!(test, Test::Point | Test::MannWhitney)
    {
        return problems.later(at, format!("a trailing window with test `{}`", test.name()));
    }
    if written.min_units.is_some_and(|units| units > 0.0) {
        let at = gate.key("min_units");
        let message = format!("`{}` cannot be known in a trailing window", problems.name(&at));
        return problems.add(&at, message, "use `min_requests`");
    }
    let lasting = context.exposing().filter(|stage| stage.duration.0 > 0);
    match lasting.clone().min_by_key(|stage| stage.duration) {
        Some(shortest) if length > shortest.duration => {
            return problems.wrong(
                at,
                format!("longer than the {} of stage `{}`", shortest.duration, shortest.name),
                "a window lies within a stage: use a shorter one, or `stage`",
            );
        }
        _ => {}
    }
    if let Some(between) = lasting.clone().find(|stage| length.0 % stage.look_every.0 != 0) {
        let why =
            format!("which is not a multiple of the {} between looks of stage `{}`", between.look_every, between.name);
        return problems.wrong(
            at,
            why,
            "a window reaches from one look to another: use a multiple, or look more often",
        );
    }
    Some(Window::Trailing(length))
}
