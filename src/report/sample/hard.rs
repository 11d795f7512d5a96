//! Reports that are hard to draw or dangerous to print.

use std::collections::BTreeMap;

use super::{GATES, STAGES, sample, share, spread};
use crate::report::{Report, Segment, SentinelRow, StageFacts, TrueExposure};

const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "=cmd(\"/c calc\")!A1",
    "quote \" and ' and & and `",
    "two\nlines\tand a tab\u{1b}[31m",
    "\u{202e}reversed\u{202c} zero\u{200b}width",
    "name of two hundred characters name of two hundred characters name of two hundred characters name of two hundred \
     characters name of two hundred characters name of two hundred characters name of two hun",
];

/// The sample with hostile text wherever a user or a log can put text.
pub(crate) fn hostile() -> Report {
    let mut report = sample();
    let text = |index: usize| HOSTILE[index % HOSTILE.len()].to_owned();
    // Names keep referring to each other, as they do in a real report.
    for (index, gate) in GATES.iter().enumerate() {
        for name in report.gates.iter_mut().map(|row| &mut row.gate).chain(
            report
                .self_check
                .iter_mut()
                .map(|row| &mut row.gate)
                .chain(report.power_curves.iter_mut().map(|row| &mut row.gate))
                .chain(report.planning.needs.iter_mut().map(|row| &mut row.gate))
                .chain(report.planning.times.iter_mut().map(|row| &mut row.gate))
                .chain(report.planning.maps.iter_mut().map(|row| &mut row.gate))
                .chain(report.planning.sizes.iter_mut().map(|row| &mut row.of))
                .chain(report.planning.shadow.iter_mut().map(|row| &mut row.gate)),
        ) {
            if name == gate.name {
                *name = text(index);
            }
        }
    }
    for (index, (stage, ..)) in STAGES.iter().enumerate() {
        let names = (report.gates.iter_mut().map(|row| &mut row.stage))
            .chain(report.self_check.iter_mut().map(|row| &mut row.stage))
            .chain(report.power_curves.iter_mut().map(|row| &mut row.stage))
            .chain(report.planning.needs.iter_mut().map(|row| &mut row.stage))
            .chain(report.planning.times.iter_mut().map(|row| &mut row.stage))
            .chain(report.stages.iter_mut().map(|row| &mut row.name))
            .chain(report.worlds.iter_mut().flat_map(|world| world.stages.iter_mut().map(|row| &mut row.stage)));
        for name in names.filter(|name| *name == stage) {
            *name = text(index + 1);
        }
    }
    for (index, world) in report.worlds.iter_mut().enumerate() {
        match world.kind.as_str() {
            "margin" => world.world = format!("margin: {}", text(index)),
            "effect" => world.world = text(index),
            _ => {}
        }
        world.meaning = text(index + 1);
        world.rolled_back_by.iter_mut().for_each(|by| by.gate = text(index + 2));
        world.excess_bad = BTreeMap::from([(text(index), spread(3.0))]);
        world.budget_burned = BTreeMap::from([(text(index + 3), spread(0.02))]);
    }
    report.true_exposure =
        vec![TrueExposure { unit: text(1), stage: text(2), exposure: 0.1, share: 0.64, expected: 0.65 }];
    report.sentinels = vec![SentinelRow {
        gate: text(3),
        prompts: 20,
        looks: 96,
        fails_good: 0.001,
        fails_bad: 0.5,
        false_alarm_closed_form: 0.09,
        false_alarm: share(0.1),
    }];
    for (index, metric) in report.metrics.iter_mut().enumerate() {
        metric.unit = Some(text(index));
    }
    let segments = (report.gates.iter_mut().filter_map(|row| row.segment.as_mut()))
        .chain(report.shadow.iter_mut().filter_map(|row| row.segment.as_mut()))
        .chain(report.planning.needs.iter_mut().filter_map(|row| row.segment.as_mut()))
        .chain(report.log.coverage.iter_mut().filter_map(|row| row.segment.as_mut()));
    for (index, segment) in segments.enumerate() {
        *segment = Segment { column: text(index), value: text(index + 1) };
    }
    for (index, row) in report.planning.needs.iter_mut().enumerate() {
        (row.says, row.regression) = (text(index), Some(text(index + 1)));
    }
    for (index, of) in report.planning.times.iter_mut().enumerate() {
        of.regression = Some(text(index));
    }
    for (index, map) in report.planning.maps.iter_mut().enumerate() {
        map.side = text(index);
    }
    for (index, worth) in report.planning.shadow.iter_mut().enumerate() {
        (worth.left, worth.shown) = (text(index), text(index + 1));
    }
    report.command = text(0);
    report.log.path = text(0);
    report.scenario.path = text(3);
    report.scenario.about = text(0);
    report.scenario.unit = text(4);
    if let Some(exact) = &mut report.exact {
        (exact.salt, exact.says) = (text(0), text(3));
    }
    for (index, warning) in report.warnings.iter_mut().enumerate() {
        (warning.text, warning.r#where) = (text(index), text(index + 4));
    }
    report.limits.push(text(0));
    report
}

/// Twenty stages, sixty worlds, sixty gates.
pub(crate) fn crowded() -> Report {
    let mut report = sample();
    report.stages = (0..20)
        .map(|index| StageFacts {
            name: format!("stage number {index}"),
            exposure: 0.05 * f64::from(index + 1),
            duration_s: if index == 19 { 864_000 } else { 600 },
            ..report.stages[0].clone()
        })
        .collect();
    for copy in 1..5 {
        for mut world in sample().worlds {
            world.world = format!("{} {copy}", world.world);
            report.worlds.push(world);
        }
        for mut curve in sample().power_curves {
            curve.gate = format!("{} {copy}", curve.gate);
            report.power_curves.push(curve);
        }
        let planning = sample().planning;
        for mut row in planning.needs {
            row.gate = format!("{} {copy}", row.gate);
            report.planning.needs.push(row);
        }
        for mut of in planning.times {
            of.gate = format!("{} {copy}", of.gate);
            report.planning.times.push(of);
        }
        report.planning.maps.extend(planning.maps);
        report.planning.sizes.extend(planning.sizes);
        for mut row in sample().self_check {
            row.gate = format!("{} {copy}", row.gate);
            report.self_check.push(row);
        }
    }
    report
}

/// Nothing but one stage: no gates, no effects, no shadow outputs.
pub(crate) fn empty() -> Report {
    let mut report = sample();
    report.stages.truncate(1);
    report.stages[0].together = None;
    report.budget = None;
    report.gates.clear();
    report.self_check.clear();
    report.health.clear();
    report.power_curves.clear();
    report.planning = crate::report::planning::Planning::default();
    report.shadow.clear();
    report.health.clear();
    report.worlds.truncate(2);
    for world in &mut report.worlds {
        world.stages.truncate(1);
        world.detection_curve.clear();
        world.exposure_fan.clear();
        world.time_to_detect_s = None;
        world.recovery = None;
        world.detected = share(0.0);
    }
    report.exact = None;
    report.warnings.clear();
    report
}
