//! Gates that watch for a change instead of testing a hypothesis once: tests `cusum`, `burn-rate` and `sentinel`.

use super::super::places::At;
use super::super::problems::Problems;
use super::super::wire;
use super::values::{self, Context};
use crate::domain::gate::{Burn, BurnPair, Cusum, Gate, Sentinel, Test};
use crate::domain::metric::{Direction, Metric, MetricKind};
use crate::domain::quantity::Seconds;
use crate::stats::cusum;

/// Half of a shift of one standard error, as textbooks have it.
const REFERENCE: f64 = 0.5;

/// Below, a change is found only after very many looks; above, one look decides, as without a sum.
const REFERENCES: (f64, f64) = (0.1, 1.5);

/// A month, as most objectives are kept.
const PERIOD: Seconds = Seconds(30 * 86_400);

/// The two pairs that page in the table of the `SRE` workbook.
const PAIRS: [(f64, i64, i64); 2] = [(14.4, 3600, 300), (6.0, 6 * 3600, 1800)];

/// Keys of one test beside another.
pub(super) fn foreign_keys(at: &At, gate: &wire::Gate, problems: &mut Problems) {
    let keys = [
        ("run_length", gate.run_length.is_some(), wire::Test::Cusum, "cusum"),
        ("reference", gate.reference.is_some(), wire::Test::Cusum, "cusum"),
        ("slo", gate.slo.is_some(), wire::Test::BurnRate, "burn-rate"),
        ("period", gate.period.is_some(), wire::Test::BurnRate, "burn-rate"),
        ("burn", gate.burn.is_some(), wire::Test::BurnRate, "burn-rate"),
        ("sentinel", gate.sentinel.is_some(), wire::Test::Sentinel, "sentinel"),
    ];
    for (key, _, _, test) in keys.into_iter().filter(|(_, given, test, _)| *given && gate.test != Some(*test)) {
        let at = at.key(key);
        let message = format!("`{}` belongs to test `{test}`", problems.name(&at));
        problems.add::<()>(&at, message, format!("use `test = \"{test}\"`, or leave it out"));
    }
}

/// What stages take past their durations is not planned for these tests.
pub(super) fn held(gates: &[Gate], problems: &mut Problems) {
    for (index, gate) in gates.iter().enumerate() {
        if matches!(gate.test, Test::Cusum(_) | Test::BurnRate | Test::Sentinel(_)) {
            let at = At::root().key("gates").index(index).key("test");
            let what = format!(
                "test `{}` beside stages that wait for gates, people or hours (`max_hold`, `approval`, `resume`, `start`)",
                gate.test.name()
            );
            problems.later::<()>(&at, what);
        }
    }
}

/// How a cumulative sum is kept.
pub(super) fn cusum(
    at: &At,
    gate: &wire::Gate,
    metric: Option<&Metric>,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<Cusum> {
    let at_test = at.key("test");
    if let Some(kind @ MetricKind::Rare { .. }) = metric.map(|metric| &metric.kind) {
        let why = format!("but a unit of a {} metric counts once in a stage, not once per look", kind.name());
        problems.wrong::<()>(&at_test, why, "use a metric of kind `proportion`, or test `max-sprt`");
    }
    if gate.patience.is_some() {
        let at = at.key("patience");
        problems.wrong::<()>(&at, "but a cumulative sum is patient by itself", "leave it out, or raise `run_length`");
    }
    if gate.looks == Some(wire::Looks::End) {
        problems.wrong::<()>(&at.key("looks"), "but a cumulative sum adds up what each look shows", "use `all`");
    }
    let at_reference = at.key("reference");
    let (lowest, highest) = REFERENCES;
    let reference = match gate.reference {
        Some(reference) if !(lowest..=highest).contains(&reference) => problems.wrong(
            &at_reference,
            format!("which is not {lowest} to {highest}"),
            "0.5 is usual: half of one standard error",
        ),
        reference => (!problems.is_broken(&at_reference)).then(|| reference.unwrap_or(REFERENCE)),
    };
    let at_length = at.key("run_length");
    let hint = "the time from one false alarm to the next that you accept, such as \"90d\"";
    let length = match &gate.run_length {
        Some(length) => values::duration(&at_length, length, problems)?,
        None => return problems.missing(&at_length, hint),
    };
    for stage in context.exposing().filter(|stage| stage.looks() > 0) {
        let looks = length.0 as f64 / stage.look_every.0 as f64;
        if !(cusum::RUN_LENGTHS.0..=cusum::RUN_LENGTHS.1).contains(&looks) {
            let why = format!(
                "which is {looks} looks of stage `{}`, and not {} to {}",
                stage.name,
                cusum::RUN_LENGTHS.0,
                cusum::RUN_LENGTHS.1
            );
            return problems.wrong(&at_length, why, hint);
        }
    }
    Some(Cusum { run_length: length, reference: reference? })
}

/// Prompts whose answers are known.
pub(super) fn sentinel(at: &At, gate: &wire::Gate, problems: &mut Problems) -> Option<Sentinel> {
    let given = [
        ("by", gate.by.is_some(), "prompts belong to no segment: leave it out"),
        ("patience", gate.patience.is_some(), "use `sentinel.allow_failures`"),
        ("window", gate.window.is_some(), "each look asks its own prompts: leave it out"),
        ("harm", gate.harm.is_some(), "a candidate is bad beyond `allow`: leave it out"),
    ];
    for (key, _, hint) in given.into_iter().filter(|(_, given, _)| *given) {
        let at = at.key(key);
        let message = format!("`{}` has no place in test `sentinel`", problems.name(&at));
        problems.add::<()>(&at, message, hint);
    }
    let table = at.key("sentinel");
    let Some(written) = &gate.sentinel else {
        return problems.missing(&table, "such as `{ prompts = 20, flake_rate = \"0.1%\", detect = \"20%\" }`");
    };
    let prompts = match written.prompts {
        Some(prompts) => Some(prompts),
        None => problems.missing(&table.key("prompts"), "how many prompts are asked at each look"),
    };
    let mut rate = |key: &str, share: &Option<wire::Quantity>, default: f64| match share {
        Some(wire::Quantity::Number(0.0)) if key == "flake_rate" => Some(0.0),
        Some(share) => values::share(&table.key(key), share, problems),
        None => (!problems.is_broken(&table.key(key))).then_some(default),
    };
    let (flake_rate, detect) = (rate("flake_rate", &written.flake_rate, 0.0), rate("detect", &written.detect, 1.0));
    let (prompts, flake_rate, detect) = (prompts?, flake_rate?, detect?);
    if detect <= flake_rate {
        let why = format!("which is no more than the flake rate of {flake_rate}");
        return problems.wrong(&table.key("detect"), why, "a bad candidate fails more prompts than a good one");
    }
    let allow_failures = written.allow_failures.unwrap_or(0);
    if allow_failures >= prompts {
        let why = format!("and only {prompts} prompts are asked at a look");
        return problems.wrong(&table.key("allow_failures"), why, "fewer than all of them");
    }
    Some(Sentinel { prompts, flake_rate, detect, allow_failures })
}

/// An error budget, and when it is spent too fast.
pub(super) fn burn(
    at: &At,
    gate: &wire::Gate,
    metric: Option<&Metric>,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<Burn> {
    let at_test = at.key("test");
    match metric {
        Some(Metric { kind: MetricKind::Proportion { .. }, better: Direction::Lower, .. }) | None => {}
        Some(Metric { kind: MetricKind::Proportion { .. }, .. }) => {
            let hint = "make a metric of what should not happen, with `better = \"lower\"`";
            problems.wrong::<()>(&at_test, "but it counts bad requests, and this metric counts good ones", hint);
        }
        Some(Metric { kind, .. }) => {
            let why =
                format!("but an error budget is of requests that are good or bad, and a {} has none", kind.name());
            problems.wrong::<()>(&at_test, why, "use it with a metric of kind `proportion`");
        }
    }
    let given = [
        ("allow", gate.allow.is_some()),
        ("harm", gate.harm.is_some()),
        ("limit", gate.limit.is_some()),
        ("window", gate.window.is_some()),
        ("min_units", gate.min_units.is_some()),
    ];
    for (key, _) in given.into_iter().filter(|(_, given)| *given) {
        let at = at.key(key);
        let message = format!("`{}` has no place in test `burn-rate`", problems.name(&at));
        problems.add::<()>(&at, message, "`slo` and `burn` say what is too much, and in which windows");
    }
    let slo = match &gate.slo {
        Some(slo) => match values::share(&at.key("slo"), slo, problems) {
            Some(slo) if slo < 1.0 => Some(slo),
            Some(_) => problems.wrong(&at.key("slo"), "which leaves no error budget", "99.9 % is `\"99.9%\"` or 0.999"),
            None => None,
        },
        None => problems.missing(&at.key("slo"), "share of requests that must be good, such as `\"99.9%\"`"),
    };
    let at_period = at.key("period");
    let period = match &gate.period {
        Some(period) => match values::duration(&at_period, period, problems) {
            Some(Seconds(0)) => problems.wrong(&at_period, "in which nothing can be spent", "30d is usual"),
            period => period,
        },
        None => (!problems.is_broken(&at_period)).then_some(PERIOD),
    };
    let at_pairs = at.key("burn");
    let pairs = match &gate.burn {
        Some(pairs) => {
            let read: Vec<Option<BurnPair>> = pairs
                .iter()
                .enumerate()
                .map(|(index, pair)| read_pair(&at_pairs.index(index), pair, problems))
                .collect();
            read.into_iter().collect::<Option<Vec<BurnPair>>>()
        }
        None if problems.is_broken(&at_pairs) => None,
        None => {
            let pair = |(factor, long, short)| BurnPair { factor, long: Seconds(long), short: Seconds(short) };
            Some(PAIRS.map(pair).to_vec())
        }
    };
    let pairs = pairs?;
    between_looks(&at_pairs, gate.burn.is_some(), &pairs, context, problems)?;
    Some(Burn { slo: slo?, period: period?, pairs })
}

fn read_pair(at: &At, written: &wire::BurnPair, problems: &mut Problems) -> Option<BurnPair> {
    let factor = match written.factor {
        Some(factor) if factor > 0.0 && factor.is_finite() => Some(factor),
        Some(_) => {
            problems.wrong(&at.key("factor"), "which is not above 0", "1 spends the budget in exactly its period")
        }
        None => problems.missing(&at.key("factor"), "such as 14.4: 2 % of a budget of 30 days in an hour"),
    };
    let mut window = |key: &str, text: &Option<wire::Duration>, hint: &str| match text {
        Some(text) => match values::duration(&at.key(key), text, problems) {
            Some(Seconds(0)) => problems.wrong(&at.key(key), "which holds no request", hint),
            window => window,
        },
        None => problems.missing(&at.key(key), hint),
    };
    let (long, short) =
        (window("long", &written.long, "such as `1h`"), window("short", &written.short, "such as `5m`"));
    let (long, short) = (long?, short?);
    if short >= long {
        let why = format!("which is not shorter than the long window of {long}");
        return problems.wrong(&at.key("short"), why, "a twelfth of it is usual");
    }
    Some(BurnPair { factor: factor?, long, short })
}

/// A window reaches from one look to another.
fn between_looks(
    at: &At,
    written: bool,
    pairs: &[BurnPair],
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<()> {
    for (index, pair) in pairs.iter().enumerate() {
        for (key, window) in [("long", pair.long), ("short", pair.short)] {
            let Some(stage) =
                context.exposing().filter(|stage| stage.looks() > 0).find(|stage| window.0 % stage.look_every.0 != 0)
            else {
                continue;
            };
            let hint = "a window reaches from one look to another: look more often (`look_every`, and `log.slot` if that is wider), \
                        or write `burn` with windows that are multiples";
            let every = format!("the {} between looks of stage `{}`", stage.look_every, stage.name);
            if written {
                return problems.wrong(&at.index(index).key(key), format!("which is not a multiple of {every}"), hint);
            }
            let message = format!(
                "`{}` has a window of {window} by default, which is not a multiple of {every}",
                problems.name(at)
            );
            return problems.add(at, message, hint);
        }
    }
    Some(())
}
