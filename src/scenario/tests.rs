//! The language as a whole: `tests/scenarios/valid` is accepted, `tests/scenarios/invalid` gives its messages.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use toml::de::DeTable;

use super::places::{Document, Lines};
use super::*;
use crate::domain::gate::Measure as Distance;
use crate::domain::gate::{
    BurnPair, Correction, Cusum, Decision, Looks, Sentinel, Sequence, Spending, Style, Test, Tuning, Window,
};
use crate::domain::metric::{JudgeErrors, Margin, Metric, MetricKind, Nulls, Source};
use crate::domain::quantity::{Fraction, Moment};
use crate::domain::rollout::{Answer, Budget, Delay, Promotion, Resume, StartTime, Starts};
use crate::domain::version::PerVersion;
use crate::domain::world::Change;
use crate::stats::kayenta::{self, EffectSize, Measure, MetricConfig, Missing, Thresholds};

const MINIMAL: &str = include_str!("../../tests/scenarios/valid/minimal.toml");
const WHOLE: &str = include_str!("../../tests/scenarios/valid/whole-language.toml");

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is part of the repository");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(!files.is_empty(), "{folder} has no scenario");
    files
}

fn message(path: &Path) -> String {
    Scenario::read(path).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn valid_scenarios_are_accepted() {
    for path in files("tests/scenarios/valid") {
        assert_eq!(message(&path), "", "{}", path.display());
    }
}

/// `UPDATE_MESSAGES=1` rewrites the expected messages, to be read in the diff.
#[test]
fn invalid_scenarios_give_their_message() {
    for path in files("tests/scenarios/invalid") {
        let expected = path.with_extension("txt");
        if std::env::var_os("UPDATE_MESSAGES").is_some() {
            fs::write(&expected, message(&path)).expect("writable");
        }
        let text = fs::read_to_string(&expected).unwrap_or_default();
        assert!(!text.is_empty(), "{} is missing or empty", expected.display());
        assert_eq!(message(&path), text, "{}", path.display());
    }
}

#[test]
fn five_problems_are_all_reported_in_the_order_of_lines() {
    let error = Scenario::read(Path::new("tests/scenarios/invalid/scenario_five_problems.toml")).unwrap_err();
    let line = |place: &str| place.rsplit(':').next().and_then(|line| line.parse::<usize>().ok()).unwrap();
    let lines: Vec<usize> = error.problems.iter().map(|problem| line(&problem.place)).collect();
    assert_eq!(lines.len(), 5);
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn valid_scenarios_pass_the_json_schema() {
    let validator = jsonschema::validator_for(&schema::json_schema()).unwrap();
    for path in files("tests/scenarios/valid") {
        let text = fs::read_to_string(&path).unwrap();
        let table = DeTable::parse(&text).unwrap();
        let document = Document::new(&text, &Lines::of(text.as_bytes()), table.get_ref());
        let errors: Vec<String> = validator.iter_errors(&document.json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

#[test]
fn defaults_are_resolved() {
    let scenario = Scenario::parse("minimal.toml", MINIMAL).unwrap();
    assert_eq!(scenario.path, "minimal.toml");
    assert_eq!(scenario.fingerprint.len(), 16);
    assert_eq!(scenario.log.timezone, "UTC");
    assert_eq!(scenario.log.slot, Seconds(900));
    assert_eq!((scenario.log.missing, scenario.log.duplicates), (OnBadRow::Refuse, OnBadRow::Refuse));
    assert_eq!(scenario.log.tile, Tile::None);
    assert_eq!((scenario.assignment.platform.name(), scenario.assignment.platform.setting("salt")), ("md5-mod100", ""));
    assert!(scenario.assignment.overrides.is_empty());
    assert_eq!(scenario.stages[0].look_every, Seconds(900));
    assert_eq!(scenario.rollout.promote, Promotion::AllPass);
    assert_eq!(scenario.rollout.pass_from, 0);
    assert_eq!(scenario.rollout.start, Starts::AnyHour);
    assert_eq!(
        scenario.simulation,
        Simulation { replicates: 1000, seed: 7, resample: Resample::Poisson, null: Null::Stable }
    );
    let gate = &scenario.gates[0];
    assert_eq!(gate.allow, Some(Margin::Relative(0.01)));
    assert_eq!(gate.allow_text, "1%");
    assert_eq!((gate.harm, gate.limit), (None, None));
    assert_eq!(gate.test, Test::GroupSequential(Spending::Pocock));
    assert_eq!((gate.style, gate.weight, scenario.rollout.false_rollback), (Style::Wald, 1.0, None));
    assert_eq!((gate.looks, gate.window, gate.correction), (Looks::All, Window::Stage, Correction::Holm));
    assert_eq!((gate.alpha.get(), gate.power.get()), (0.05, 0.8));
    assert_eq!((gate.min_units, gate.min_requests), (40.0, 0.0));
    let decisions = (gate.on_fail, gate.on_inconclusive, gate.on_no_data);
    assert_eq!(decisions, (Decision::RollBack, Decision::Hold, Decision::Hold));
}

#[test]
fn kayentas_keys_are_read() {
    let text = include_str!("../../tests/scenarios/valid/kayenta.toml");
    let scenario = Scenario::parse("kayenta.toml", text).unwrap();
    let [quality, latency, ranks] = scenario.gates.as_slice() else { panic!("three gates") };
    assert_eq!((quality.test, quality.test_name(), quality.alpha.get()), (Test::MannWhitney, "kayenta", 0.01));
    assert_eq!((quality.min_units, quality.min_requests), (0.0, 0.0));
    // What is accepted is the effect that fails, on the side that is worse.
    let judged = quality.kayenta.as_ref().unwrap();
    let effect = EffectSize { allowed_increase: 1.02, allowed_decrease: 0.98, ..EffectSize::default() };
    let config = MetricConfig { direction: kayenta::Direction::Decrease, effect, ..MetricConfig::default() };
    assert_eq!(
        (judged.config, judged.groups.as_slice(), judged.muted),
        (config, ["default".to_owned()].as_slice(), false)
    );
    let judged = latency.kayenta.as_ref().unwrap();
    let effect = EffectSize {
        measure: Measure::Cles,
        allowed_increase: 0.6,
        allowed_decrease: 0.4,
        critical_increase: 0.8,
        critical_decrease: 0.2,
    };
    let config = MetricConfig {
        missing: Missing::Replace,
        outlier_factor: Some(3.0),
        effect,
        critical: true,
        must_have_data: true,
        ..MetricConfig::default()
    };
    assert_eq!((judged.config, judged.groups.len(), judged.muted), (config, 2, true));
    assert_eq!(
        (ranks.test_name(), ranks.kayenta.as_ref(), ranks.correction),
        ("mann-whitney", None, Correction::Bonferroni)
    );
    assert_eq!((ranks.window, ranks.min_units), (Window::Trailing(Seconds(1800)), 0.0));
    let rollout = &scenario.rollout.kayenta;
    assert_eq!(rollout.thresholds, Thresholds { marginal: Some(75.0), pass: Some(95.0) });
    assert_eq!((rollout.weights["default"], rollout.interval), (100.0, Some(Seconds::HOUR)));
    // Those of Spinnaker's canary stage.
    let minimal = Scenario::parse("minimal.toml", MINIMAL).unwrap();
    assert_eq!(minimal.rollout.kayenta.thresholds, Thresholds { marginal: Some(50.0), pass: Some(75.0) });
}

#[test]
fn a_list_of_quantiles_is_a_metric_for_each() {
    let text = include_str!("../../tests/scenarios/valid/serving.toml");
    let scenario = Scenario::parse("serving.toml", text).unwrap();
    let names: Vec<&str> = scenario.metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names, ["latency_p50", "latency_p90", "latency_p99.9", "itl", "tokens_per_second", "a b"]);
    let column = PerVersion { stable: "stable_latency_ms".to_owned(), candidate: "candidate_latency_ms".to_owned() };
    assert_eq!(scenario.metrics[2].kind, MetricKind::Quantile { column, quantile: 0.999 });
    assert_eq!((scenario.metrics[2].unit.as_deref(), scenario.gates[0].metric), (Some("ms"), 2));
    let MetricKind::Ratio { numerator, denominator } = &scenario.metrics[3].kind else { panic!("a ratio") };
    assert_eq!(numerator.candidate, Source::Column("candidate_latency_ms - candidate_ttft_ms".into()));
    assert_eq!(denominator.stable, Source::Column("stable_output_tokens - 1".into()));
}

#[test]
fn gates_on_a_distance_are_read() {
    let text = include_str!("../../tests/scenarios/valid/drift.toml");
    let scenario = Scenario::parse("drift.toml", text).unwrap();
    let [scores, lengths] = scenario.metrics.as_slice() else { panic!("two metrics") };
    let bins = |metric: &Metric| if let MetricKind::Drift { bins, .. } = metric.kind { bins } else { 0 };
    assert_eq!((bins(scores), bins(lengths), lengths.worst), (20, 10, Some(0.0)));
    let [tested, any, index] = scenario.gates.as_slice() else { panic!("three gates") };
    assert_eq!((tested.measure, tested.test), (Some(Distance::Ks), Test::GroupSequential(Spending::Pocock)));
    assert_eq!((tested.limit, tested.allow_text.as_str(), tested.allow), (Some(0.1), "KS 0.1", None));
    assert_eq!((any.measure, any.test, any.limit, any.min_units), (Some(Distance::Ks), Test::Fixed, Some(0.0), 40.0));
    assert_eq!((index.measure, index.test, index.min_units), (Some(Distance::Psi), Test::Point, 0.0));
    // Nobody is left to compare with, and the strongest of many statistics does not combine with other stages'.
    assert!(tested.asked_in(&scenario.stages[0]) && !tested.asked_in(&scenario.stages[1]));
    assert!(!(0..3).any(|gate| scenario.spends_once(gate)) && !(0..3).any(|gate| scenario.gates[gate].is_planned()));
}

#[test]
fn gates_on_embeddings_are_read() {
    let text = include_str!("../../tests/scenarios/valid/embeddings.toml");
    let scenario = Scenario::parse("embeddings.toml", text).unwrap();
    let names: Vec<&str> = scenario.metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names, ["answers", "answers feature 2", "answers feature 3", "answers feature 4", "quality"]);
    assert_eq!(scenario.own_metrics().collect::<Vec<_>>(), [0, 4]);
    assert_eq!((scenario.features_of(0), scenario.features_of(4)), (0..4, 4..5));
    let fourth = scenario.metrics[3].kind.feature().unwrap();
    assert_eq!((fourth.index, fourth.of), (3, 4));
    assert!((fourth.bandwidth - 0.5).abs() < 1e-12 && scenario.metrics[3].kind.is_drift());
    // Each feature is seen as late and as seldom; an embedding is paid once.
    let judges: Vec<_> = scenario.metrics[..4].iter().map(|metric| &metric.judge).collect();
    assert!(judges.iter().all(|judge| judge.share == Some(0.5) && judge.delay == Seconds(1800)));
    assert_eq!(judges.iter().filter_map(|judge| judge.cost_usd).collect::<Vec<_>>(), [0.001]);
    let [answers, quality, bare] = scenario.gates.as_slice() else { panic!("three gates") };
    assert_eq!((answers.metric, answers.measure, answers.allow_text.as_str()), (0, Some(Distance::Mmd), "MMD 0.1"));
    assert_eq!((answers.test, bare.test), (Test::GroupSequential(Spending::Pocock), Test::Point));
    assert_eq!((quality.metric, bare.metric), (4, 0));
}

#[test]
fn gates_that_watch_for_a_change_are_read() {
    let text = include_str!("../../tests/scenarios/valid/monitors.toml");
    let scenario = Scenario::parse("monitors.toml", text).unwrap();
    let [burns, week, falls, above, known, firm] = scenario.gates.as_slice() else { panic!("six gates") };
    let hours = |hours: i64| Seconds(3600 * hours);
    let burn = burns.burn.as_ref().unwrap();
    let usual = [
        BurnPair { factor: 14.4, long: hours(1), short: Seconds(300) },
        BurnPair { factor: 6.0, long: hours(6), short: Seconds(1800) },
    ];
    assert_eq!((burn.pairs.as_slice(), burn.period), (usual.as_slice(), hours(30 * 24)));
    assert!((burn.slo - 0.999).abs() < 1e-12);
    assert!((burns.limit.unwrap() - 0.001).abs() < 1e-12);
    assert_eq!((burns.test, burns.allow, burns.allow_text.as_str()), (Test::BurnRate, None, "99.9 % SLO"));
    assert_eq!((burns.min_units, burns.min_requests), (0.0, 1.0));
    let burn = week.burn.as_ref().unwrap();
    assert_eq!((burn.period, week.by.as_slice(), week.min_requests), (hours(7 * 24), [0].as_slice(), 30.0));
    assert_eq!(burn.pairs, [BurnPair { factor: 2.0, long: hours(2), short: Seconds(600) }]);
    assert_eq!(falls.test, Test::Cusum(Cusum { run_length: hours(30 * 24), reference: 0.25 }));
    assert_eq!((falls.harm, falls.min_units, falls.min_requests), (Some(Margin::Relative(0.0)), 40.0, 100.0));
    assert_eq!(
        (above.test, above.limit),
        (Test::Cusum(Cusum { run_length: hours(90 * 24), reference: 0.5 }), Some(0.01))
    );
    assert!((above.min_requests - 50.0).abs() < 1e-12);
    let sentinel = Sentinel { prompts: 20, flake_rate: 0.001, detect: 0.2, allow_failures: 1 };
    assert_eq!(
        (known.test, known.allow, known.min_units),
        (Test::Sentinel(sentinel), Some(Margin::Relative(0.02)), 0.0)
    );
    assert_eq!(firm.test, Test::Sentinel(Sentinel { prompts: 5, flake_rate: 0.0, detect: 1.0, allow_failures: 0 }));
}

#[test]
fn everything_written_is_read() {
    let scenario = Scenario::parse("whole-language.toml", WHOLE).unwrap();
    let names: Vec<&str> = scenario.metrics.iter().map(|metric| metric.name.as_str()).collect();
    let known = ["quality", "latency_p95", "slow", "cost per task", "price", "solved"];
    assert_eq!(names, known, "in the order written");
    let columns = PerVersion { stable: "stable_quality".to_owned(), candidate: "candidate_quality".to_owned() };
    assert_eq!(scenario.metrics[0].kind, MetricKind::Mean { column: columns });
    let MetricKind::Ratio { numerator, denominator } = &scenario.metrics[3].kind else { panic!("a ratio") };
    assert_eq!(numerator.candidate, Source::Column("candidate_cost_usd".into()));
    assert_eq!(denominator.stable, Source::Requests);
    let judge = &scenario.metrics[0].judge;
    let human = PerVersion { stable: "stable_human".to_owned(), candidate: "candidate_human".to_owned() };
    assert_eq!((judge.share, judge.cost_usd, judge.human.as_ref()), (Some(0.1), Some(0.004), Some(&human)));
    assert_eq!(scenario.metrics[5].judge.errors, Some(JudgeErrors { sensitivity: 0.95, specificity: 0.99 }));
    let missing = [0, 1, 2].map(|metric| (scenario.metrics[metric].nulls, scenario.metrics[metric].worst));
    assert_eq!(missing, [(Nulls::Worst, Some(0.0)), (Nulls::Excluded, None), (Nulls::Worst, Some(1.0))]);
    assert_eq!(scenario.stages[3].exposure, Fraction::ONE);
    assert_eq!(scenario.stages[3].duration, Seconds(0));
    assert_eq!(scenario.duration(), Seconds(4 * 86_400));

    let [quality, latency, slow, cost] = scenario.gates.as_slice() else { panic!("four gates") };
    assert_eq!((quality.by.as_slice(), quality.test), ([1, 2].as_slice(), Test::Fixed));
    assert_eq!((latency.allow, latency.allow_text.as_str()), (Some(Margin::Absolute(20.0)), "20 ms"));
    assert_eq!((latency.window, latency.test), (Window::Trailing(Seconds::HOUR), Test::Point));
    assert_eq!((latency.min_units, latency.min_requests), (0.0, 1.0));
    assert_eq!((slow.allow, slow.limit), (Some(Margin::Absolute(0.005)), Some(0.2)));
    assert_eq!(slow.allow_text, "0.5pp and limit 0.2");
    assert_eq!((slow.on_fail, slow.on_inconclusive), (Decision::Hold, Decision::Promote));
    assert_eq!((cost.allow, cost.harm), (Some(Margin::Absolute(0.001)), Some(Margin::Relative(0.0))));

    assert_eq!(slow.sequence, Sequence { tuning: Tuning::Units(20_000.0), two_sided: true });

    assert_eq!(scenario.rollout.pass_from, 2);
    let Starts::Listed(starts) = &scenario.rollout.start else { panic!("listed starts") };
    // 2025-03-03 09:00 in Berlin is 08:00 UTC, written as text and as a TOML date.
    let moment = StartTime::At(Moment(1_740_988_800));
    assert_eq!(starts[..3], [StartTime::Weekly { day: 0, time: Seconds(9 * 3600) }, moment, moment]);
    let hours: Vec<StartTime> = [10, 11]
        .iter()
        .flat_map(|hour| [1, 2, 3].map(|day| StartTime::Weekly { day, time: Seconds(hour * 3600) }))
        .collect();
    assert_eq!(starts[3..], hours, "every whole hour of the hours");
    let resume = scenario.rollout.resume.expect("somebody comes");
    assert_eq!((resume.answer.delay, resume.max_pause), (Delay::Fixed(Seconds(1800)), Seconds(12 * 3600)));
    let begins = scenario.stages[3].start.expect("the last stage has hours");
    assert_eq!(
        (begins.from, begins.to, begins.days[4], begins.days[5]),
        (Seconds(9 * 3600), Seconds(16 * 3600), true, false)
    );

    let changes: Vec<Change> = scenario.effects.iter().map(|effect| effect.change).collect();
    assert_eq!(changes[..3], [Change::Scale(1.1), Change::Shift(-0.01), Change::Flip(0.02)]);
    assert_eq!(changes[3..], [0.98, 0.95, 1.05, 1.1, 1.15, 1.2].map(Change::Scale), "lists, then ranges");
    let names: Vec<&str> = scenario.effects[3..].iter().map(|effect| effect.name.as_str()).collect();
    assert_eq!(names[..2], ["drift: 0.98", "drift: 95%"]);
    assert_eq!(names[2..], ["slower: 1.05", "slower: 1.1", "slower: 1.15", "slower: 1.2"]);
    assert_eq!((scenario.effects[4].family.as_str(), scenario.effects[4].ramp), ("drift", Seconds(12 * 3600)));
    assert_eq!(scenario.effects[0].only, [(0, vec!["eu".to_owned()])]);
    assert_eq!(scenario.effects[0].onset, Seconds(6 * 3600));
}

#[test]
fn a_budget_is_read_with_what_it_needs() {
    let mut scenario = Scenario::parse("budget.toml", include_str!("../../tests/scenarios/valid/budget.toml")).unwrap();
    let gate = &scenario.gates[0];
    assert_eq!((gate.pass_spending, gate.correction), (Some(Spending::Power(2.0)), Correction::Hierarchy));
    assert_eq!(scenario.rollout.budget, Budget::Rollout);
    // Spent once over the rollout, or split over its two stages.
    assert!(scenario.spends_once(0) && (scenario.alpha_fail(0) - 0.05).abs() < 1e-15);
    scenario.gates[0].test = Test::Fixed;
    assert!(!scenario.spends_once(0) && (scenario.alpha_fail(0) - 0.025).abs() < 1e-15);
    scenario.rollout.budget = Budget::Split;
    assert!((scenario.alpha_fail(0) - 0.025).abs() < 1e-15);
    scenario.gates[0].on_fail = Decision::Hold;
    assert!((scenario.alpha_fail(0) - 0.05).abs() < 1e-15);
    // Who comes to a pause may send everyone back.
    scenario.rollout.resume = Some(Resume { answer: Answer::AT_ONCE, max_pause: Seconds(0) });
    assert!((scenario.alpha_fail(0) - 0.025).abs() < 1e-15);
}

#[test]
fn tests_that_count_events_are_read() {
    let scenario = Scenario::parse("rare.toml", include_str!("../../tests/scenarios/valid/rare.toml")).unwrap();
    assert!(scenario.metrics[0].kind.is_rare());
    let [exact, watched, always] = scenario.gates.as_slice() else { panic!("three gates") };
    let tests = [exact.test, watched.test, always.test];
    assert_eq!(tests, [Test::Exact(Spending::Power(2.0)), Test::MaxSprt, Test::EProcess]);
    // Exact counts need no normal interval.
    assert_eq!((exact.min_units, exact.min_requests), (0.0, 1.0));
}

#[test]
fn any_hour_starts_where_the_schedule_fits() {
    let mut scenario = Scenario::parse("minimal.toml", MINIMAL).unwrap();
    let lasting = scenario.duration().0;
    let first = Moment(1_740_988_801);
    let starts = scenario.starts(first, Moment(first.0 + lasting + 2 * 3600));
    assert_eq!(starts, [Moment(1_740_992_400), Moment(1_740_996_000)]);
    assert_eq!(scenario.starts(first, Moment(first.0 + lasting)), [], "no whole hour is left");
    assert_eq!(scenario.starts(first, Moment(first.0 + 60)), []);
    assert_eq!(scenario.starts(Moment(i64::MAX), Moment(i64::MIN)), []);
    scenario.log.slot = Seconds(45 * 60);
    let starts = scenario.starts(Moment(0), Moment(lasting + 6 * 3600));
    assert_eq!(starts, [Moment(0), Moment(3 * 3600), Moment(6 * 3600)], "hours on the grid of 45 min slots");
}

#[test]
fn weekly_starts_keep_their_local_time_when_clocks_change() {
    let mut scenario = Scenario::parse("minimal.toml", MINIMAL).unwrap();
    scenario.log.timezone = "Europe/Berlin".into();
    let weekly = StartTime::Weekly { day: 0, time: Seconds(9 * 3600) };
    let eighth_of_march = Moment(1_741_420_800);
    scenario.rollout.start = Starts::Listed(vec![weekly, StartTime::At(eighth_of_march), weekly]);
    let first = Moment(1_740_988_800);
    let end = Moment(first.0 + 5 * Seconds::WEEK.0 + scenario.duration().0);
    let weeks = |count: i64| Moment(first.0 + count * Seconds::WEEK.0);
    // Clocks change on 30 March 2025; the start of the 31st is at 07:00 UTC.
    let summer = |count: i64| Moment(weeks(count).0 - 3600);
    let expected = [weeks(0), eighth_of_march, weeks(1), weeks(2), weeks(3), summer(4), summer(5)];
    assert_eq!(scenario.starts(first, end), expected);
}

#[test]
fn files_that_are_no_text_name_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, b"about = 'x'\n\xff\n").unwrap();
    let error = Scenario::read(&path).unwrap_err();
    assert_eq!(error.problems[0].place, format!("{}:2", path.display()));
    assert!(message(folder.path()).contains("cannot be read"));
}

#[test]
fn hostile_nesting_is_refused_in_one_piece() {
    for text in ["[".repeat(5000), format!("a = {}", "[".repeat(5000)), format!("{}a = 1", "a.".repeat(2000))] {
        assert!(Scenario::parse("s.toml", &text).is_err());
    }
}

/// Pieces that reach deeper than random characters would.
fn fragment() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "[log]",
        "[[gates]]",
        "[[stages]]",
        "[metrics.\"a/b~c\"]",
        "[effects]",
        "allow",
        "exposure",
        " = ",
        "\"1%\"",
        "\"5 ms\"",
        "\"{version}_x\"",
        "\"Mon 09:00\"",
        "nan",
        "-1",
        "1e400",
        "[]",
        "{}",
        "[1, \"x\"]",
        "{ a = 1 }",
        "1979-05-27",
        "\n",
        "\"",
        "=",
        "99999999999999999999",
        "true",
        "duration",
        "\"99999999999999d\"",
        "slot",
        "\"0s\"",
        "\"\"",
    ];
    prop_oneof![4 => proptest::sample::select(WORDS).prop_map(str::to_owned), 1 => ".{0,12}"]
}

proptest! {
    #[test]
    fn random_text_never_panics(pieces in prop::collection::vec(fragment(), 0..30)) {
        let _ = Scenario::parse("s.toml", &pieces.concat());
    }

    #[test]
    fn mutated_scenarios_never_panic(
        edits in prop::collection::vec((0usize..10_000, 0usize..24, fragment()), 1..6),
    ) {
        let mut chars: Vec<char> = WHOLE.chars().collect();
        for (position, length, text) in edits {
            let begin = position % chars.len();
            let end = (begin + length).min(chars.len());
            chars.splice(begin..end, text.chars());
        }
        let _ = Scenario::parse("s.toml", &chars.into_iter().collect::<String>());
    }

    /// Values are replaced as a whole, so that most files stay TOML and reach the checks of meaning.
    #[test]
    fn replaced_values_are_accepted_or_refused_by_line(edits in prop::collection::vec((0usize..200, fragment()), 1..6)) {
        let mut lines: Vec<String> = WHOLE.lines().map(str::to_owned).collect();
        for (line, value) in edits {
            let line = line % lines.len();
            if let Some((key, _)) = lines[line].clone().split_once(" = ") {
                lines[line] = format!("{key} = {value}");
            }
        }
        // A problem without a line would be one that no check foresaw.
        if let Err(error) = Scenario::parse("s.toml", &lines.join("\n")) {
            for problem in error.problems {
                prop_assert!(problem.place.starts_with("s.toml:"), "{problem:?}");
            }
        }
    }
}
