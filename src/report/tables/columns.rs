//! What stands in each table.

use super::{Finished, Table};
use crate::domain::version::Version;
use crate::report::planning::{NeedRow, PowerMap, PowerTimes, Side, SizeCurve, SizePoint, TimePoint};
use crate::report::{
    CurvePoint, FanPoint, GateRow, HealthRow, PauseRow, PowerCurve, PowerPoint, Rates, Report, RolledBackBy, Share,
    Spread, WorldRow, WorldStage,
};

/// All tables in the order of the page.
pub(super) fn all(report: &Report) -> Vec<Finished> {
    let mut tables = vec![
        worlds(report),
        world_stages(report),
        rolled_back_by(report),
        excess_bad(report),
        gates(report),
        gate_rates(report),
        shadow(report),
        self_check(report),
        health(report),
        power(report),
        needs(report),
        power_time(report),
        power_map(report),
        sizes(report),
        detection_by_size(report),
        shadow_worth(report),
        detection(report),
        exposure(report),
    ];
    if report.worlds.iter().any(|world| !world.budget_burned.is_empty()) {
        tables.push(budget_burned(report));
    }
    if report.shadow.iter().any(|row| row.noise.is_some()) {
        tables.push(shadow_noise(report));
    }
    if report.worlds.iter().any(|world| world.pauses.is_some()) {
        tables.push(pauses(report));
    }
    if !report.true_exposure.is_empty() {
        tables.push(true_exposure(report));
    }
    tables
}

fn worlds(report: &Report) -> Finished {
    Table::of(&report.worlds)
        .text("world", |row| &row.world)
        .text("kind", |row| &row.kind)
        .text("meaning", |row| &row.meaning)
        .number("onset_s", |row| row.onset_s)
        .share("promoted", |row| row.promoted)
        .share("rolled_back", |row| row.rolled_back)
        .share("stalled", |row| row.stalled)
        .share("held", |row| row.held)
        .spread("held_s", |row| row.held_s)
        .share("harm", |row| row.causes.harm)
        .share("noise", |row| row.causes.noise)
        .share("no_data", |row| row.causes.no_data)
        .share("detected", |row| row.detected)
        .spread("time_to_detect_s", |row| row.time_to_detect_s)
        .spread("diagnose_s", |row| row.recovery.map(|recovery| recovery.diagnose_s))
        .spread("mitigate_s", |row| row.recovery.map(|recovery| recovery.mitigate_s))
        .spread("time_to_recover_s", |row| row.recovery.map(|recovery| recovery.time_to_recover_s))
        .spread("exposed_requests", |row| Some(row.exposed_requests))
        .spread("exposed_units", |row| Some(row.exposed_units))
        .spread("cost_usd", |row| row.cost_usd)
        .spread("excess_cost_usd", |row| row.excess_cost_usd)
        .spread("duration_s", |row| Some(row.duration_s))
        .named("worlds")
}

fn pauses(report: &Report) -> Finished {
    let rows: Vec<(&WorldRow, PauseRow)> =
        report.worlds.iter().filter_map(|world| Some((world, world.pauses?))).collect();
    Table::of(&rows)
        .text("world", |(world, _)| &world.world)
        .share("paused", |(_, pauses)| pauses.paused)
        .share("resumed", |(_, pauses)| pauses.resumed)
        .share("rolled_back", |(_, pauses)| pauses.rolled_back)
        .spread("paused_s", |(_, pauses)| pauses.paused_s)
        .named("pauses")
}

/// Each item of a row with the row it belongs to.
fn nested<'r, R, I: 'r>(rows: &'r [R], items: impl Fn(&'r R) -> &'r [I]) -> Vec<(&'r R, &'r I)> {
    rows.iter().flat_map(|row| items(row).iter().map(move |item| (row, item))).collect()
}

fn world_stages(report: &Report) -> Finished {
    let rows: Vec<(&WorldRow, &WorldStage)> = nested(&report.worlds, |world| &world.stages);
    Table::of(&rows)
        .text("world", |(world, _)| &world.world)
        .text("stage", |(_, stage)| &stage.stage)
        .share("entered", |(_, stage)| stage.entered)
        .share("rolled_back", |(_, stage)| stage.rolled_back)
        .share("promoted", |(_, stage)| stage.promoted)
        .share("stalled", |(_, stage)| stage.stalled)
        .named("world_stages")
}

fn rolled_back_by(report: &Report) -> Finished {
    let rows: Vec<(&WorldRow, &RolledBackBy)> = nested(&report.worlds, |world| &world.rolled_back_by);
    Table::of(&rows)
        .text("world", |(world, _)| &world.world)
        .text("gate", |(_, by)| &by.gate)
        .segment(|(_, by)| by.segment.as_ref())
        .text("cause", |(_, by)| &by.cause)
        .share("share", |(_, by)| by.share)
        .named("rolled_back_by")
}

fn excess_bad(report: &Report) -> Finished {
    let rows: Vec<(&WorldRow, &String, &Spread)> = report
        .worlds
        .iter()
        .flat_map(|world| world.excess_bad.iter().map(move |(metric, spread)| (world, metric, spread)))
        .collect();
    Table::of(&rows)
        .text("world", |(world, ..)| &world.world)
        .text("metric", |(_, metric, _)| metric)
        .spread("excess_bad", |(.., spread)| Some(**spread))
        .named("excess_bad")
}

fn budget_burned(report: &Report) -> Finished {
    let rows: Vec<(&WorldRow, &String, &Spread)> = report
        .worlds
        .iter()
        .flat_map(|world| world.budget_burned.iter().map(move |(gate, spread)| (world, gate, spread)))
        .collect();
    Table::of(&rows)
        .text("world", |(world, ..)| &world.world)
        .text("gate", |(_, gate, _)| gate)
        .spread("budget_burned", |(.., spread)| Some(**spread))
        .named("budget_burned")
}

fn true_exposure(report: &Report) -> Finished {
    Table::of(&report.true_exposure)
        .text("unit", |row| &row.unit)
        .text("stage", |row| &row.stage)
        .number("exposure", |row| row.exposure)
        .number("share", |row| row.share)
        .number("expected", |row| row.expected)
        .named("true_exposure")
}

fn gates(report: &Report) -> Finished {
    Table::of(&report.gates)
        .text("stage", |row| &row.stage)
        .text("gate", |row| &row.gate)
        .text("metric", |row| &row.metric)
        .segment(|row| row.segment.as_ref())
        .text("test", |row| &row.test)
        .number("alpha", |row| row.alpha)
        .number("power", |row| row.power)
        .text("allow", |row| &row.allow)
        .number_or("difference", |row| row.difference)
        .number_or("se", |row| row.se)
        .share("with_data", |row| row.with_data)
        .number_or("power_closed_form", |row| row.power_closed_form)
        .number_or("mde", |row| row.mde)
        .number_or("mde_relative", |row| row.mde_relative)
        .number_or("units_needed", |row| row.units_needed)
        .number_or("requests_needed", |row| row.requests_needed)
        .whole("duration_needed_s", |row| row.duration_needed_s)
        .number_or("exposure_needed", |row| row.exposure_needed)
        .whole("covariate_saves_s", |row| row.covariate_saves_s)
        .named("gates")
}

fn gate_rates(report: &Report) -> Finished {
    let rows: Vec<(&GateRow, &String, &Rates)> =
        report.gates.iter().flat_map(|row| row.rates.iter().map(move |(world, rates)| (row, world, rates))).collect();
    Table::of(&rows)
        .text("stage", |(row, ..)| &row.stage)
        .text("gate", |(row, ..)| &row.gate)
        .segment(|(row, ..)| row.segment.as_ref())
        .text("world", |(_, world, _)| world)
        .share("pass", |(.., rates)| rates.pass)
        .share("fail", |(.., rates)| rates.fail)
        .number_or("difference", |(.., rates)| rates.difference)
        .number_or("se", |(.., rates)| rates.se)
        .named("gate_rates")
}

fn shadow(report: &Report) -> Finished {
    let count = |value: u64| i64::try_from(value).ok();
    Table::of(&report.shadow)
        .text("metric", |row| &row.metric)
        .segment(|row| row.segment.as_ref())
        .number("stable", |row| row.stable)
        .number("candidate", |row| row.candidate)
        .number("difference", |row| row.difference)
        .number_or("se_unit", |row| row.se_unit)
        .number_or("se_item", |row| row.se_item)
        .number_or("low", |row| row.low)
        .number_or("high", |row| row.high)
        .whole("units", |row| count(row.units))
        .whole("items", |row| row.items.and_then(count))
        .whole("requests", |row| count(row.requests))
        .whole("nulls_stable", |row| count(row.nulls_stable))
        .whole("nulls_candidate", |row| count(row.nulls_candidate))
        .number_or("design_effect", |row| row.design_effect)
        .text_or("allow", |row| row.allow.as_deref())
        .text_or("shown", |row| row.shown.as_deref())
        .text("role", |row| &row.role)
        .number_or("p_value", |row| row.p_value)
        .number_or("q_value", |row| row.q_value)
        .number_or("exclude_difference", |row| row.if_missing.exclude.as_ref().map(|way| way.difference))
        .number_or("worst_difference", |row| row.if_missing.worst.as_ref().map(|way| way.difference))
        .whole("candidate_worse", |row| row.pairs.as_ref().and_then(|pairs| count(pairs.candidate_worse)))
        .whole("candidate_better", |row| row.pairs.as_ref().and_then(|pairs| count(pairs.candidate_better)))
        .number_or("mcnemar_mid_p", |row| row.pairs.as_ref().map(|pairs| pairs.mid_p))
        .number_or("tango_p", |row| row.pairs.as_ref().and_then(|pairs| pairs.tango_p))
        .number_or("human_difference", |row| row.human.as_ref().map(|human| human.difference))
        .number_or("human_low", |row| row.human.as_ref().and_then(|human| human.low))
        .number_or("human_high", |row| row.human.as_ref().and_then(|human| human.high))
        .named("shadow")
}

/// A line for each component of the variance of one output.
fn shadow_noise(report: &Report) -> Finished {
    let noisy = report.shadow.iter().filter_map(|row| Some((row, row.noise?)));
    let rows: Vec<_> = noisy
        .flat_map(|(row, noise)| [(row, Version::Stable, noise.stable), (row, Version::Candidate, noise.candidate)])
        .flat_map(|(row, version, noise)| {
            let components = [
                ("between_outputs", Some(noise.between_outputs)),
                ("between_requests", noise.between_requests),
                ("between_units", Some(noise.between_units)),
            ];
            components.into_iter().filter_map(move |(name, found)| Some((row, version, name, found?)))
        })
        .collect();
    Table::of(&rows)
        .text("metric", |(row, ..)| &row.metric)
        .segment(|(row, ..)| row.segment.as_ref())
        .text("version", |(_, version, ..)| version.name())
        .text("component", |(_, _, name, _)| name)
        .number("variance", |(.., found)| found.variance)
        .number_or("se", |(.., found)| found.se)
        .number_or("low", |(.., found)| found.low)
        .number_or("high", |(.., found)| found.high)
        .named("shadow_noise")
}

fn self_check(report: &Report) -> Finished {
    Table::of(&report.self_check)
        .text("stage", |row| &row.stage)
        .text("gate", |row| &row.gate)
        .segment(|row| row.segment.as_ref())
        .text("error", |row| &row.error)
        .number("alpha", |row| row.alpha)
        .share("rate", |row| row.rate)
        .flag("flagged", |row| row.flagged)
        .named("self_check")
}

fn health(report: &Report) -> Finished {
    let rate = |row: &HealthRow, part: fn(Share) -> f64| row.rate.map(part);
    Table::of(&report.health)
        .text("check", |row| &row.check)
        .text_or("metric", |row| row.metric.as_deref())
        .text_or("stage", |row| row.stage.as_deref())
        .text("where", |row| &row.r#where)
        .number_or("stable", |row| row.stable)
        .number_or("candidate", |row| row.candidate)
        .number_or("difference", |row| row.difference)
        .number_or("observed", |row| row.observed)
        .number_or("expected", |row| row.expected)
        .number_or("p_value", |row| row.p_value)
        .number_or("e_value", |row| row.e_value)
        .flag("alarm", |row| row.alarm)
        .number_or("rate", move |row| rate(row, |share| share.share))
        .number_or("rate_low", move |row| rate(row, |share| share.low))
        .number_or("rate_high", move |row| rate(row, |share| share.high))
        .named("health")
}

fn power(report: &Report) -> Finished {
    let rows: Vec<(&PowerCurve, &PowerPoint)> = nested(&report.power_curves, |curve| &curve.points);
    Table::of(&rows)
        .text("gate", |(curve, _)| &curve.gate)
        .text("stage", |(curve, _)| &curve.stage)
        .text("scale", |(curve, _)| &curve.scale)
        .number("allow", |(curve, _)| curve.allow)
        .number("regression", |(_, point)| point.regression)
        .share("fail", |(_, point)| point.fail)
        .share("pass", |(_, point)| point.pass)
        .number_or("fail_closed_form", |(_, point)| point.fail_closed_form)
        .number_or("pass_closed_form", |(_, point)| point.pass_closed_form)
        .named("power")
}

/// A side of a row.
type SideOf = fn(&NeedRow) -> Option<&Side>;

fn needs(report: &Report) -> Finished {
    let mut table = Table::of(&report.planning.needs)
        .text("stage", |row| &row.stage)
        .text("gate", |row| &row.gate)
        .text("metric", |row| &row.metric)
        .segment(|row| row.segment.as_ref())
        .number("exposure", |row| row.exposure)
        .whole("duration_s", |row| Some(row.duration_s))
        .number("units_candidate", |row| row.units.candidate)
        .number("units_stable", |row| row.units.stable)
        .number("requests_candidate", |row| row.requests.candidate)
        .number("requests_stable", |row| row.requests.stable)
        .number_or("mde", |row| row.mde)
        .number_or("mde_relative", |row| row.mde_relative)
        .number_or("mde_of_allow", |row| row.mde_of_allow)
        .text_or("regression", |row| row.regression.as_deref())
        .number_or("regression_size", |row| row.regression_size)
        .number_or("regression_relative", |row| row.regression_relative);
    let sides: [(&str, SideOf); 2] = [("pass", |row| row.pass.as_ref()), ("fail", |row| row.fail.as_ref())];
    for (name, side) in sides {
        table = table
            .number_or(format!("{name}_closed_form"), |row| side(row).map(|side| side.closed_form))
            .number_or(format!("{name}_simulated"), |row| side(row).map(|side| side.simulated.share))
            .number_or(format!("{name}_simulated_low"), |row| side(row).map(|side| side.simulated.low))
            .number_or(format!("{name}_simulated_high"), |row| side(row).map(|side| side.simulated.high))
            .number_or(format!("{name}_units_candidate"), |row| side(row)?.units.map(|arms| arms.candidate))
            .number_or(format!("{name}_units_stable"), |row| side(row)?.units.map(|arms| arms.stable))
            .number_or(format!("{name}_requests_candidate"), |row| side(row)?.requests.map(|arms| arms.candidate))
            .number_or(format!("{name}_requests_stable"), |row| side(row)?.requests.map(|arms| arms.stable))
            .number_or(format!("{name}_duration_s"), |row| side(row)?.duration_s.map(|seconds| seconds as f64))
            .number_or(format!("{name}_projected_s"), |row| side(row)?.projected_s)
            .number_or(format!("{name}_exposure"), |row| side(row)?.exposure);
    }
    let prices = [
        ("looks", "fail"),
        ("segments", "fail"),
        ("all gates", "pass"),
        ("judge sampling", "pass"),
        ("judge sampling", "fail"),
        ("judge errors", "pass"),
        ("judge errors", "fail"),
    ];
    for (of, side) in prices {
        let price = |row: &NeedRow| row.prices.iter().find(|price| price.of == of && price.side == side)?.extra_s;
        let which = if of.starts_with("judge") { format!("_to_{side}") } else { String::new() };
        table = table.number_or(format!("price_of_{}{which}_s", of.replace(' ', "_")), price);
    }
    table.text("says", |row| &row.says).named("needs")
}

fn power_time(report: &Report) -> Finished {
    let rows: Vec<(&PowerTimes, &TimePoint)> = nested(&report.planning.times, |times| &times.points);
    Table::of(&rows)
        .text("gate", |(times, _)| &times.gate)
        .text("stage", |(times, _)| &times.stage)
        .text_or("regression", |(times, _)| times.regression.as_deref())
        .whole("duration_s", |(_, point)| Some(point.duration_s))
        .number("pass", |(_, point)| point.pass)
        .number_or("fail", |(_, point)| point.fail)
        .named("power_time")
}

fn power_map(report: &Report) -> Finished {
    let cells = |map| {
        let map: &PowerMap = map;
        let of = move |row: usize| (0..map.durations_s.len()).map(move |column| (map, row, column));
        (0..map.exposures.len()).flat_map(of)
    };
    let rows: Vec<(&PowerMap, usize, usize)> = report.planning.maps.iter().flat_map(cells).collect();
    Table::of(&rows)
        .text("gate", |(map, ..)| &map.gate)
        .text("side", |(map, ..)| &map.side)
        .number("exposure", |(map, row, _)| map.exposures[*row])
        .whole("duration_s", |(map, _, column)| Some(map.durations_s[*column]))
        .number("chance", |(map, row, column)| map.chances[*row][*column])
        .named("power_map")
}

fn sizes(report: &Report) -> Finished {
    let rows: Vec<(&SizeCurve, &SizePoint)> = nested(&report.planning.sizes, |curve| &curve.points);
    Table::of(&rows)
        .text("of", |(curve, _)| &curve.of)
        .text("kind", |(curve, _)| &curve.kind)
        .text("metric", |(curve, _)| &curve.metric)
        .text("scale", |(curve, _)| &curve.scale)
        .number("size", |(_, point)| point.size)
        .share("rolled_back", |(_, point)| point.rolled_back)
        .share("detected", |(_, point)| point.detected)
        .spread("time_to_detect_s", |(_, point)| point.time_to_detect_s)
        .spread("exposed_requests", |(_, point)| Some(point.exposed_requests))
        .named("sizes")
}

fn detection_by_size(report: &Report) -> Finished {
    let rows: Vec<(&SizeCurve, &SizePoint, &CurvePoint)> = nested(&report.planning.sizes, |curve| &curve.points)
        .into_iter()
        .flat_map(|(curve, point)| point.detection_curve.iter().map(move |step| (curve, point, step)))
        .collect();
    Table::of(&rows)
        .text("of", |(curve, ..)| &curve.of)
        .number("size", |(_, point, _)| point.size)
        .number("time_s", |(.., step)| step.time_s)
        .number("share", |(.., step)| step.share)
        .named("detection_by_size")
}

fn shadow_worth(report: &Report) -> Finished {
    Table::of(&report.planning.shadow)
        .text("gate", |row| &row.gate)
        .text("metric", |row| &row.metric)
        .segment(|row| row.segment.as_ref())
        .number("beyond", |row| row.beyond)
        .number("low", |row| row.low)
        .number("high", |row| row.high)
        .text("shown", |row| &row.shown)
        .number("requests", |row| row.requests)
        .number_or("requests_needed", |row| row.requests_needed)
        .number_or("requests_needed_recorded", |row| row.requests_needed_recorded)
        .text("left", |row| &row.left)
        .named("shadow_worth")
}

fn detection(report: &Report) -> Finished {
    let rows: Vec<(&WorldRow, &CurvePoint)> = nested(&report.worlds, |world| &world.detection_curve);
    Table::of(&rows)
        .text("world", |(world, _)| &world.world)
        .number("time_s", |(_, point)| point.time_s)
        .number("share", |(_, point)| point.share)
        .named("detection")
}

fn exposure(report: &Report) -> Finished {
    let rows: Vec<(&WorldRow, &FanPoint)> = nested(&report.worlds, |world| &world.exposure_fan);
    Table::of(&rows)
        .text("world", |(world, _)| &world.world)
        .number("time_s", |(_, point)| point.time_s)
        .number("requests_p10", |(_, point)| point.p10)
        .number("requests_p50", |(_, point)| point.p50)
        .number("requests_p90", |(_, point)| point.p90)
        .named("exposure")
}
