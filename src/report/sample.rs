//! Reports for tests: a realistic one, and three that are hard to draw.

use std::collections::BTreeMap;

use super::{
    Alternative, BudgetFacts, Causes, Coverage, CurvePoint, ExactReplay, Excluded, FanPoint, GateRow, HealthRow,
    HumanRow, IfMissing, JudgeFacts, LogFacts, MetricFacts, PairCounts, PowerCurve, PowerPoint, Rates, RecoveryRow,
    Report, RolledBackBy, SCHEMA, ScenarioFacts, Segment, SelfCheckRow, ShadowRow, Share, Spread, StageFacts, Together,
    Warning, WorldRow, WorldStage,
};

mod hard;
mod planning;

pub(crate) use hard::{crowded, empty, hostile};

const STAGES: [(&str, f64, i64); 5] =
    [("1%", 0.01, 12), ("5%", 0.05, 24), ("20%", 0.2, 24), ("50%", 0.5, 24), ("100%", 1.0, 24)];

struct Gate {
    name: &'static str,
    metric: &'static str,
    test: &'static str,
    allow: &'static str,
    margin: f64,
    /// Standard error at 1 % exposure, as a share of stable's value.
    se: f64,
}

const GATES: [Gate; 6] = [
    Gate { name: "task quality", metric: "quality", test: "fixed", allow: "1%", margin: 0.01, se: 0.021 },
    Gate { name: "latency", metric: "latency_p95", test: "fixed", allow: "10%", margin: 0.10, se: 0.06 },
    Gate { name: "cost per task", metric: "cost_per_task", test: "fixed", allow: "5%", margin: 0.05, se: 0.05 },
    Gate {
        name: "errors",
        metric: "error_rate",
        test: "confidence-sequence",
        allow: "0.5pp",
        margin: 0.005,
        se: 0.004,
    },
    Gate { name: "refusals", metric: "refusal_rate", test: "fixed", allow: "1pp", margin: 0.01, se: 0.006 },
    Gate { name: "slow answers", metric: "slow", test: "point", allow: "0.5pp", margin: 0.005, se: 0.007 },
];

/// Share, with the interval of 1,000 replicates.
fn share(share: f64) -> Share {
    let share = share.clamp(0.0, 1.0);
    let half = 1.96 * (share * (1.0 - share) / 1000.0).sqrt() + 0.002;
    Share { share, low: (share - half).max(0.0), high: (share + half).min(1.0) }
}

fn spread(p50: f64) -> Spread {
    Spread { p10: p50 * 0.7, p50, p90: p50 * 1.4, mean: p50 * 1.05 }
}

/// A smooth step from 0 to 1 around 0, near enough to a normal distribution for a picture.
fn step(z: f64) -> f64 {
    1.0 / (1.0 + (-1.7 * z).exp())
}

fn segment(value: &str) -> Segment {
    Segment { column: "tier".to_owned(), value: value.to_owned() }
}

fn stages() -> Vec<StageFacts> {
    STAGES
        .iter()
        .map(|(name, exposure, hours)| StageFacts {
            name: (*name).to_owned(),
            exposure: *exposure,
            only: None,
            by_segment: None,
            control: (*exposure < 1.0).then(|| "rest".to_owned()),
            quiet_looks: 0,
            requests_share: (*hours > 0).then_some(*exposure),
            duration_s: hours * 3_600,
            looks: usize::try_from(hours * 4).unwrap_or(0),
            units_candidate: 8_400.0 * exposure,
            requests_candidate: 5_200.0 * exposure * *hours as f64,
            paired: None,
            together: (*exposure < 1.0).then(|| Together {
                pass: share(exposure.sqrt()),
                pass_closed_form: Some(exposure.sqrt() + 0.01),
                pass_at_least: Some(0.8 * exposure),
                power: 0.8,
                power_each: 0.966,
            }),
        })
        .collect()
}

fn metrics() -> Vec<MetricFacts> {
    [
        ("quality", "mean", "higher", None),
        ("latency_p95", "quantile", "lower", Some("ms")),
        ("cost_per_task", "ratio", "lower", Some("usd")),
        ("error_rate", "proportion", "lower", None),
        ("refusal_rate", "proportion", "lower", None),
        ("slow", "proportion", "lower", None),
    ]
    .into_iter()
    .map(|(name, kind, better, unit)| MetricFacts {
        name: name.to_owned(),
        kind: kind.to_owned(),
        better: better.to_owned(),
        unit: unit.map(str::to_owned),
        judge: (name == "quality").then_some(JudgeFacts {
            share: 0.1,
            sensitivity: None,
            specificity: None,
            judgements: 80_424,
            cost_usd: Some(321.7),
        }),
        null_means: "exclude".to_owned(),
        observed: None,
    })
    .collect()
}

/// `caught[k]`: share of those that enter stage k that are rolled back in it.
fn world(name: &str, kind: &str, meaning: &str, caught: [f64; 5], harmful: bool) -> WorldRow {
    let mut entered = 1.0;
    let stalls = [0.0, 0.004, 0.012, 0.004, 0.0];
    let mut rows = Vec::new();
    let (mut curve, mut start, mut found) = (Vec::new(), 0.0, 0.0);
    let (mut back, mut stalled) = (0.0, 0.0);
    for (((stage, _, hours), caught), stall) in STAGES.iter().zip(caught).zip(stalls) {
        let (rolled, stuck) = (entered * caught, entered * (1.0 - caught) * stall);
        let length = *hours as f64 * 3_600.0;
        for look in 1..=8 {
            if harmful && caught > 0.0 {
                found += rolled / 8.0;
                curve.push(CurvePoint { time_s: start + length * f64::from(look) / 8.0, share: found });
            }
        }
        rows.push(WorldStage {
            stage: (*stage).to_owned(),
            entered: share(entered),
            rolled_back: share(rolled),
            promoted: share(entered - rolled - stuck),
            stalled: share(stuck),
        });
        (back, stalled, start) = (back + rolled, stalled + stuck, start + length);
        entered -= rolled + stuck;
    }
    WorldRow {
        world: name.to_owned(),
        kind: kind.to_owned(),
        meaning: meaning.to_owned(),
        past_margin: harmful,
        onset_s: 0.0,
        promoted: share(entered),
        rolled_back: share(back),
        stalled: share(stalled),
        causes: Causes {
            harm: share(if harmful { back } else { 0.0 }),
            noise: share(if harmful { 0.0 } else { back }),
            no_data: share(0.0),
        },
        stages: rows,
        rolled_back_by: vec![
            RolledBackBy {
                gate: "task quality".to_owned(),
                segment: None,
                cause: if harmful { "harm" } else { "noise" }.to_owned(),
                share: share(back * 0.8),
            },
            RolledBackBy {
                gate: "latency".to_owned(),
                segment: Some(segment("pro")),
                cause: "noise".to_owned(),
                share: share(back * 0.2),
            },
        ],
        detected: share(if harmful { back } else { 0.0 }),
        time_to_detect_s: harmful.then(|| spread(40_000.0 + 200_000.0 * (1.0 - caught[1]))),
        held: share(0.0),
        held_s: None,
        pauses: None,
        recovery: harmful.then(|| RecoveryRow {
            diagnose_s: spread(600.0),
            mitigate_s: spread(60.0),
            time_to_recover_s: spread(40_660.0 + 200_000.0 * (1.0 - caught[1])),
        }),
        detection_curve: curve,
        exposed_requests: spread(1_500.0 + 200_000.0 * entered),
        exposed_units: spread(90.0 + 8_000.0 * entered),
        exposure_fan: fan(entered),
        excess_bad: BTreeMap::from([("error_rate".to_owned(), spread(if harmful { 120.0 } else { -3.0 }))]),
        budget_burned: BTreeMap::new(),
        cost_usd: Some(spread(300.0 + 900.0 * entered)),
        excess_cost_usd: Some(spread(if harmful { 40.0 } else { -1.0 })),
        duration_s: spread(60_000.0 + 300_000.0 * entered),
    }
}

fn fan(promoted: f64) -> Vec<FanPoint> {
    let (mut served, mut time) = (0.0, 0.0);
    let mut points = vec![FanPoint { time_s: 0.0, p10: 0.0, p50: 0.0, p90: 0.0 }];
    for (_, exposure, hours) in STAGES {
        for _ in 0..hours {
            time += 3_600.0;
            served += 5_200.0 * exposure * if time > 86_400.0 { promoted.max(0.02) } else { 1.0 };
            points.push(FanPoint { time_s: time, p10: served * 0.6, p50: served, p90: served * 1.5 });
        }
    }
    points
}

fn worlds() -> Vec<WorldRow> {
    let mut worlds = vec![
        world("recorded", "recorded", "the outputs in the log", [0.02, 0.21, 0.82, 0.6, 0.2], true),
        world("null", "null", "candidate = stable", [0.02, 0.025, 0.03, 0.02, 0.025], false),
    ];
    for gate in &GATES {
        let name = format!("margin: {}", gate.name);
        worlds.push(world(&name, "margin", &format!("worse by {}", gate.allow), [0.04, 0.05, 0.05, 0.04, 0.05], false));
    }
    let mut late =
        world("10% slower in EU", "effect", "latency × 1.10 where region = eu", [0.0, 0.2, 0.5, 0.6, 0.1], true);
    late.onset_s = 21_600.0;
    worlds.extend([
        late,
        world("5% worse answers", "effect", "quality × 0.95", [0.3, 0.92, 0.99, 0.5, 0.5], true),
        world("errors doubled", "effect", "error_rate × 2", [0.85, 0.99, 0.9, 0.5, 0.5], true),
        world("cost + 20 %", "effect", "cost_per_task × 1.2", [0.08, 0.64, 0.97, 0.9, 0.5], true),
    ]);
    worlds
}

fn gate_row(gate: &Gate, stage: usize, slice: Option<Segment>) -> GateRow {
    let (name, exposure, _) = STAGES[stage];
    let se = gate.se / (exposure * 100.0).sqrt() * if slice.is_some() { 2.0 } else { 1.0 };
    let sees = gate.margin / se;
    let rates = |pass: f64, fail: f64| Rates {
        pass: share(pass),
        fail: share(fail),
        difference: Some(gate.margin * 0.3),
        se: Some(se),
    };
    GateRow {
        stage: name.to_owned(),
        gate: gate.name.to_owned(),
        metric: gate.metric.to_owned(),
        segment: slice,
        test: gate.test.to_owned(),
        alpha: 0.05,
        power: 0.8,
        allow: gate.allow.to_owned(),
        rates: BTreeMap::from([
            ("recorded".to_owned(), rates(step(sees - 2.0), step(sees * 0.4 - 2.0))),
            ("null".to_owned(), rates(step(sees - 1.645), 0.012)),
            ("margin".to_owned(), rates(0.047, 0.052)),
            ("5% worse answers".to_owned(), rates(0.01, step(sees - 1.0))),
        ]),
        difference: Some(-gate.margin * 0.7),
        se: Some(se),
        with_data: share(if stage == 0 { 0.97 } else { 1.0 }),
        power_closed_form: Some(step(sees - 1.645)),
        mde: Some(gate.margin + 2.49 * se),
        mde_relative: Some(gate.margin + 2.49 * se),
        units_needed: Some(84.0 * (2.49 / sees).powi(2) * exposure * 100.0),
        requests_needed: Some(1_300.0 * (2.49 / sees).powi(2) * exposure * 100.0),
        duration_needed_s: (sees > 1.5).then_some(273_600),
        exposure_needed: (stage > 0).then_some(0.2),
        covariate_saves_s: None,
    }
}

fn self_check() -> Vec<SelfCheckRow> {
    let mut rows = Vec::new();
    for (index, gate) in GATES.iter().enumerate() {
        for (stage, (name, ..)) in STAGES.iter().enumerate() {
            for (kind, error) in ["false alarm", "wrong pass", "wrong failure"].into_iter().enumerate() {
                let peeks = gate.test == "point" && kind != 1;
                let rate =
                    if peeks { 0.31 - 0.02 * stage as f64 } else { 0.02 + 0.004 * ((index + stage + kind) % 8) as f64 };
                rows.push(SelfCheckRow {
                    stage: (*name).to_owned(),
                    gate: gate.name.to_owned(),
                    segment: None,
                    error: error.to_owned(),
                    alpha: 0.05,
                    rate: share(rate),
                    flagged: peeks,
                });
            }
        }
    }
    rows
}

fn power_curves() -> Vec<PowerCurve> {
    let mut curves = Vec::new();
    for gate in &GATES {
        for (name, exposure, _) in STAGES {
            let se = gate.se / (exposure * 100.0).sqrt();
            let points = (0..=10).map(|point| {
                let regression = gate.margin * 4.0 * f64::from(point) / 10.0;
                let z = (regression - gate.margin) / se;
                let (fail, pass) = (step(z - 1.645), step(-z - 1.645));
                PowerPoint {
                    regression,
                    fail: share(fail),
                    pass: share(pass),
                    fail_closed_form: Some((fail * 1.02).min(1.0)),
                    pass_closed_form: Some((pass * 1.02).min(1.0)),
                }
            });
            curves.push(PowerCurve {
                gate: gate.name.to_owned(),
                stage: name.to_owned(),
                scale: if gate.allow.ends_with('%') { "relative" } else { "absolute" }.to_owned(),
                allow: gate.margin,
                points: points.collect(),
            });
        }
    }
    curves
}

fn shadow() -> Vec<ShadowRow> {
    let mut rows = Vec::new();
    for slice in [None, Some(segment("free")), Some(segment("pro"))] {
        for (gate, stable) in GATES.iter().zip([0.81, 1_840.0, 0.0113, 0.0121, 0.034, 0.021]) {
            let se = gate.se / 9.0 * stable;
            let difference = if gate.metric == "quality" { -0.0176 } else { stable * 0.03 };
            rows.push(ShadowRow {
                metric: gate.metric.to_owned(),
                segment: slice.clone(),
                stable,
                candidate: stable + difference,
                difference,
                se_unit: Some(se),
                se_item: Some(se * 1.3),
                low: Some(difference - 2.5 * se),
                high: Some(difference + 2.5 * se),
                units: 8_412,
                items: Some(612),
                requests: 402_118,
                nulls_stable: 0,
                nulls_candidate: 12,
                design_effect: Some(6.4),
                allow: Some(gate.allow.to_owned()),
                shown: Some(if gate.metric == "quality" { "fail" } else { "pass" }.to_owned()),
                role: if slice.is_none() { "overall" } else { "named" }.to_owned(),
                p_value: Some(0.012),
                q_value: slice.as_ref().map(|_| 0.06),
                if_missing: IfMissing { exclude: None, worst: Some(alternative(stable, difference)) },
                unpaired: None,
                noise: None,
                pairs: (gate.metric == "error_rate").then(pair_counts),
                human: (gate.metric == "quality").then(human_row),
            });
        }
    }
    rows
}

fn alternative(stable: f64, difference: f64) -> Alternative {
    let (low, high) = (Some(difference * 0.5), Some(difference * 2.0));
    Alternative { stable, candidate: stable + difference * 1.2, difference: difference * 1.2, low, high }
}

fn pair_counts() -> PairCounts {
    PairCounts {
        pairs: 402_118,
        candidate_worse: 5_210,
        candidate_better: 4_402,
        design_effect: 3.2,
        mid_p: 0.021,
        tango_z: Some(2.4),
        tango_p: Some(0.008),
    }
}

fn human_row() -> HumanRow {
    HumanRow {
        labels_stable: 1_204,
        labels_candidate: 1_199,
        lambda_stable: 0.71,
        lambda_candidate: 0.68,
        stable: 0.79,
        candidate: 0.77,
        difference: -0.02,
        se_stable: Some(0.008),
        se_candidate: Some(0.009),
        se: Some(0.0072),
        low: Some(-0.034),
        high: Some(-0.0059),
        shown: Some("inconclusive".to_owned()),
        labels_needed: Some(4_870),
    }
}

fn health() -> Vec<HealthRow> {
    let nothing = HealthRow {
        check: "missingness".to_owned(),
        metric: None,
        stage: None,
        r#where: "mirrored requests without a value".to_owned(),
        stable: None,
        candidate: None,
        difference: None,
        observed: None,
        expected: None,
        p_value: None,
        e_value: None,
        alarm: false,
        rate: None,
    };
    let missing = |metric: &str, candidate: f64, p_value: f64| HealthRow {
        metric: Some(metric.to_owned()),
        stable: Some(0.001),
        candidate: Some(candidate),
        difference: Some(candidate - 0.001),
        p_value: Some(p_value),
        alarm: p_value < 0.001,
        ..nothing.clone()
    };
    let ratio = |(index, (name, exposure, _)): (usize, &(&str, f64, i64))| HealthRow {
        check: "sample-ratio".to_owned(),
        stage: Some((*name).to_owned()),
        r#where: "units on the candidate".to_owned(),
        observed: Some((7_800.0 * exposure).round() + 3.0 * index as f64),
        expected: Some(7_800.0 * exposure),
        p_value: Some(0.43),
        e_value: Some(1.0),
        rate: Some(share(0.001)),
        ..nothing.clone()
    };
    let ratios = STAGES.iter().filter(|(_, exposure, _)| *exposure < 1.0).enumerate().map(ratio);
    [missing("quality", 0.013, 0.000_2), missing("error_rate", 0.001_2, 0.42)].into_iter().chain(ratios).collect()
}

/// Five stages, six gates, twelve worlds.
pub(crate) fn sample() -> Report {
    let mut gates = Vec::new();
    for gate in &GATES {
        for stage in 0..STAGES.len() {
            gates.push(gate_row(gate, stage, None));
            gates.push(gate_row(gate, stage, Some(segment("pro"))));
        }
    }
    Report {
        schema: SCHEMA.to_owned(),
        version: "0.1.0".to_owned(),
        command: "replay llm-shadow.parquet --scenario support-bot.toml".to_owned(),
        seed: 7,
        replicates: 1_000,
        scenario: scenario(),
        log: log(),
        metrics: metrics(),
        stages: stages(),
        shadow: shadow(),
        health: health(),
        worlds: worlds(),
        gates,
        sentinels: Vec::new(),
        true_exposure: Vec::new(),
        budget: Some(BudgetFacts {
            how: "calibrated".to_owned(),
            share: 0.05,
            alpha: 0.083,
            replicates: Some(1000),
            calibrated: Some(share(0.05)),
        }),
        self_check: self_check(),
        power_curves: power_curves(),
        planning: planning::planning(),
        exact: Some(ExactReplay {
            salt: "support-bot-2026-11".to_owned(),
            start: "Mon 2025-03-03 09:00".to_owned(),
            says: "With salt `support-bot-2026-11`, from Mon 2025-03-03 09:00: rolled back in stage `20%` after 1d 18h: gate \
                   `task quality` failed; 14210 requests of 1688 units served by the candidate."
                .to_owned(),
            outcome: "rolled back".to_owned(),
            duration_s: 151_200,
            exposed_requests: 14_210,
            exposed_units: 1_688,
        }),
        warnings: vec![
            Warning {
                code: "few-units".to_owned(),
                text: "84 units are on the candidate at 1%: no gate can pass there; start at 5 % or shorten the stage"
                    .to_owned(),
                r#where: "stage 1%".to_owned(),
            },
            Warning {
                code: "false-alarms".to_owned(),
                text:
                    "`slow answers` compares a bare threshold 96 times and fails 31 % of good candidates; use `fixed`"
                        .to_owned(),
                r#where: "gate slow answers".to_owned(),
            },
        ],
        limits: vec![
            "Feedback of the candidate on later traffic is not in the log.".to_owned(),
            "Caches that warm at small exposure are not replayed.".to_owned(),
        ],
    }
}

fn scenario() -> ScenarioFacts {
    ScenarioFacts {
        path: "support-bot.toml".to_owned(),
        fingerprint: "8d1f3a90c2b4e675".to_owned(),
        about: "5 -> 20 -> 50 -> 100 for the November prompt".to_owned(),
        unit: "user_id".to_owned(),
        hash: "md5-mod100".to_owned(),
        resample: "poisson".to_owned(),
        starts: 168,
        promote: "all-pass".to_owned(),
        tiled: false,
    }
}

fn log() -> LogFacts {
    LogFacts {
        path: "llm-shadow.parquet".to_owned(),
        rows: 1_204_331,
        units: 8_412,
        buckets: None,
        cells: 402_118,
        start: "2025-03-03T00:00:00Z".to_owned(),
        end: "2025-03-16T23:59:58Z".to_owned(),
        fingerprint: "0f3be77a21c4d8e9".to_owned(),
        excluded: Excluded { null_unit: 0, timestamp: 3, duplicate: 12 },
        coverage: vec![
            Coverage { segment: None, requests: 1_204_331, covered: 1_180_244 },
            Coverage { segment: Some(segment("pro")), requests: 304_331, covered: 280_244 },
        ],
    }
}
