//! Planning of the realistic report.

use super::{GATES, STAGES, segment, share, spread, step};
use crate::report::CurvePoint;
use crate::report::planning::{
    Elsewhere, NeedRow, PerArm, Planning, PowerMap, PowerTimes, Price, ShadowWorth, Side, SizeCurve, SizePoint,
    TimePoint,
};

const HOURS: [i64; 8] = [1, 3, 8, 20, 48, 96, 192, 320];
const EXPOSURES: [f64; 5] = [0.01, 0.05, 0.1, 0.2, 0.5];

/// Chance to decide after so many hours at an exposure.
fn chance(se: f64, margin: f64, exposure: f64, hours: f64) -> f64 {
    let se = se / (exposure * 100.0 * (hours / 24.0).sqrt()).sqrt();
    step(margin / se - 1.645)
}

fn side(chance: f64, exposure: f64) -> Side {
    Side {
        closed_form: chance,
        over_starts: (chance * 0.95, chance),
        simulated: share(chance * 0.97),
        agrees: chance < 0.9,
        why: (chance > 0.97).then(|| "heavy units: 84 in the smaller arm are worth 12 of equal weight".to_owned()),
        units: Some(PerArm { candidate: 812.0, stable: 15_428.0 }),
        requests: Some(PerArm { candidate: 30_120.0, stable: 572_280.0 }),
        duration_s: (exposure > 0.02).then_some(527_040),
        projected_s: (exposure > 0.005 && exposure <= 0.02).then_some(2_600_000.0),
        exposure: Some(0.2),
        elsewhere: Some(Elsewhere { exposure: 0.2, duration_s: 111_600 }),
    }
}

fn needs() -> Vec<NeedRow> {
    let mut rows = Vec::new();
    for (name, exposure, hours) in STAGES.iter().filter(|stage| stage.1 < 1.0) {
        for gate in &GATES {
            for (slice, wider) in [(None, 1.0), (Some(segment("free")), 1.4), (Some(segment("enterprise")), 3.1)] {
                let passing = chance(gate.se * wider, gate.margin, *exposure, *hours as f64);
                let mde = 2.9 * gate.se * wider / (exposure * 100.0).sqrt();
                rows.push(NeedRow {
                    stage: (*name).to_owned(),
                    gate: gate.name.to_owned(),
                    metric: gate.metric.to_owned(),
                    segment: slice,
                    says: format!("{} at {} % for {hours} h sees a drop of {mde}", gate.name, exposure * 100.0),
                    exposure: *exposure,
                    duration_s: hours * 3_600,
                    requests: PerArm { candidate: 9_000.0 * exposure, stable: 9_000.0 * (1.0 - exposure) },
                    units: PerArm { candidate: 900.0 * exposure, stable: 900.0 * (1.0 - exposure) },
                    mde: Some(mde),
                    mde_relative: Some(mde),
                    mde_of_allow: Some(mde / gate.margin),
                    pass: Some(side(passing, *exposure)),
                    regression: Some("quality 5 % lower".to_owned()),
                    regression_size: Some(0.02),
                    regression_relative: Some(0.02),
                    fail: Some(side(passing * 0.8, *exposure)),
                    prices: vec![Price {
                        of: "looks".to_owned(),
                        side: "fail".to_owned(),
                        extra_s: Some(36_000.0),
                        unknown: None,
                    }],
                });
            }
        }
    }
    rows
}

fn times() -> Vec<PowerTimes> {
    let stages = STAGES.iter().filter(|stage| stage.1 < 1.0);
    let of = |(name, exposure, hours): &(&str, f64, i64)| {
        let of_gate = |gate: &super::Gate| PowerTimes {
            gate: gate.name.to_owned(),
            stage: (*name).to_owned(),
            regression: Some("quality 5 % lower".to_owned()),
            stage_s: hours * 3_600,
            points: HOURS
                .iter()
                .map(|&hours| TimePoint {
                    duration_s: hours * 3_600,
                    pass: chance(gate.se, gate.margin, *exposure, hours as f64),
                    fail: Some(chance(gate.se, gate.margin * 0.8, *exposure, hours as f64)),
                })
                .collect(),
        };
        GATES.iter().map(of_gate).collect::<Vec<_>>()
    };
    stages.flat_map(of).collect()
}

fn maps() -> Vec<PowerMap> {
    let map = |gate: &super::Gate, side: &str, margin: f64| {
        let of = |exposure: f64, hours: i64| chance(gate.se, margin, exposure, hours as f64);
        let enough = |&exposure: &f64| {
            HOURS.iter().find(|&&hours| of(exposure, hours) >= 0.8).map(|&hours| hours as f64 * 3_600.0)
        };
        PowerMap {
            gate: gate.name.to_owned(),
            side: side.to_owned(),
            power: 0.8,
            exposures: EXPOSURES.to_vec(),
            durations_s: HOURS.iter().map(|hours| hours * 3_600).collect(),
            chances: EXPOSURES.iter().map(|&e| HOURS.iter().map(|&hours| of(e, hours)).collect()).collect(),
            enough_s: EXPOSURES.iter().map(enough).collect(),
        }
    };
    let both = |gate| [map(gate, "pass", gate.margin), map(gate, "quality 5 % lower", gate.margin * 0.8)];
    GATES.iter().flat_map(both).collect()
}

fn sizes() -> Vec<SizeCurve> {
    let curve = |gate: &super::Gate| {
        let point = |multiple: u32| {
            let found = if multiple < 3 { 0.0 } else { step(f64::from(multiple) - 4.0) };
            let curve = (1..=10)
                .map(|step| CurvePoint { time_s: f64::from(step) * 30_000.0, share: found * f64::from(step) / 10.0 });
            SizePoint {
                size: gate.margin * f64::from(multiple) / 2.0,
                rolled_back: share(found),
                detected: share(found),
                time_to_detect_s: (found > 0.0).then(|| spread(90_000.0)),
                detection_curve: curve.filter(|point| point.share > 0.0).collect(),
                exposed_requests: spread(20_000.0 / f64::from(multiple + 1)),
            }
        };
        SizeCurve {
            of: gate.name.to_owned(),
            kind: "gate".to_owned(),
            metric: gate.metric.to_owned(),
            scale: if gate.allow.ends_with('%') { "relative" } else { "absolute" }.to_owned(),
            points: (0..7).map(point).collect(),
        }
    };
    GATES.iter().map(curve).collect()
}

fn shadow() -> Vec<ShadowWorth> {
    let worth = |gate: &super::Gate| ShadowWorth {
        gate: gate.name.to_owned(),
        metric: gate.metric.to_owned(),
        segment: None,
        beyond: -gate.margin * 0.4,
        low: -gate.margin * 0.9,
        high: gate.margin * 0.1,
        shown: "inconclusive".to_owned(),
        requests: 402_118.0,
        requests_needed: Some(181_000.0),
        requests_needed_recorded: Some(620_000.0),
        left: "open: 217,882 more mirrored requests part what was recorded from what is allowed".to_owned(),
    };
    GATES.iter().map(worth).collect()
}

pub(super) fn planning() -> Planning {
    Planning { needs: needs(), times: times(), maps: maps(), sizes: sizes(), shadow: shadow() }
}
