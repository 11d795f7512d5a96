//! Tables of the page.

use super::{Cell, Grid, head, heads};
use crate::domain::version::Version;
use crate::report::terminal::decides;
use crate::report::{
    Alternative, GateRow, HealthRow, MetricFacts, Report, SentinelRow, ShadowRow, Spread, StageFacts, TrueExposure,
    VarianceComponent, VersionNoise, WorldRow, labels,
};

fn or_none<T>(value: Option<T>, written: impl Fn(T) -> String) -> String {
    value.map_or_else(|| labels::NONE.to_owned(), written)
}

/// How each world ends.
pub(super) fn worlds(report: &Report) -> Grid {
    let row = |world: &WorldRow| {
        vec![
            Cell::name(labels::world(&world.world)),
            Cell::of(labels::visible(&world.meaning), "soft"),
            Cell::number(labels::share(world.promoted)),
            Cell::number(labels::share(world.rolled_back)),
            Cell::number(labels::share(world.stalled)),
            Cell::number(labels::share(world.detected)),
            Cell::number(or_none(world.time_to_detect_s, |time| labels::spread(time, labels::duration))),
            Cell::number(labels::spread(world.exposed_requests, labels::count)),
        ]
    };
    Grid {
        head: heads(&[
            ("If the candidate is", ""),
            ("which means", ""),
            ("promoted", "promoted"),
            ("rolled back", "rolled_back"),
            ("stalled", "stalled"),
            ("found", "detected"),
            ("time to detect", "time_to_detect"),
            ("requests served", "exposed"),
        ]),
        rows: report.worlds.iter().map(row).collect(),
    }
}

/// Why rollouts are rolled back.
pub(super) fn causes(report: &Report) -> Grid {
    let row = |world: &WorldRow| {
        let by: Vec<String> = world
            .rolled_back_by
            .iter()
            .take(3)
            .map(|by| {
                let slice = by.segment.as_ref().map_or_else(String::new, |s| format!(", {}", labels::segment(Some(s))));
                format!(
                    "{}{slice} ({}): {}",
                    labels::visible(&by.gate),
                    labels::visible(&by.cause),
                    labels::share(by.share)
                )
            })
            .collect();
        vec![
            Cell::name(labels::world(&world.world)),
            Cell::number(labels::share(world.causes.harm)),
            Cell::number(labels::share(world.causes.noise)),
            Cell::number(labels::share(world.causes.no_data)),
            Cell::of(by.join("; "), "soft"),
        ]
    };
    Grid {
        head: heads(&[
            ("If the candidate is", ""),
            ("for harm", "harm"),
            ("for noise", "noise"),
            ("for lack of data", "no_data"),
            ("most often by", ""),
        ]),
        rows: report.worlds.iter().map(row).collect(),
    }
}

/// Who is served, and what it costs.
pub(super) fn served(report: &Report) -> Grid {
    let row = |world: &WorldRow| {
        let bad: Vec<String> = world
            .excess_bad
            .iter()
            .map(|(metric, spread)| format!("{}: {}", labels::visible(metric), labels::spread(*spread, labels::signed)))
            .collect();
        vec![
            Cell::name(labels::world(&world.world)),
            Cell::number(labels::spread(world.exposed_units, labels::count)),
            Cell::number(labels::spread(world.exposed_requests, labels::count)),
            Cell::of(bad.join("; "), "soft"),
            Cell::number(or_none(world.cost_usd, |cost| labels::spread(cost, labels::number))),
            Cell::number(or_none(world.excess_cost_usd, |cost| labels::spread(cost, labels::signed))),
            Cell::number(labels::spread(world.duration_s, labels::duration)),
        ]
    };
    Grid {
        head: heads(&[
            ("If the candidate is", ""),
            ("units served", "exposed"),
            ("requests served", "exposed"),
            ("excess bad outcomes", "excess_bad"),
            ("cost, usd", ""),
            ("beyond stable, usd", ""),
            ("start to end", ""),
        ]),
        rows: report.worlds.iter().map(row).collect(),
    }
}

/// Whom the candidate has reached; nothing where that is the share of units that a stage takes.
pub(super) fn true_exposure(report: &Report) -> Grid {
    let row = |row: &TrueExposure| {
        vec![
            Cell::name(labels::visible(&row.stage)),
            Cell::number(labels::percent(row.exposure)),
            Cell::number(labels::percent(row.share)),
            Cell::number(labels::percent(row.expected)),
        ]
    };
    Grid {
        head: head(&[
            ("by the end of", "as if every replicate went through it"),
            ("nominal exposure", "share that each draw sends to the candidate"),
            (
                "have had the candidate",
                "share of the units that asked since the rollout began that have had it at least once, over replicates",
            ),
            ("expected", "the same in closed form, from each unit’s number of draws; the mean over start times"),
        ]),
        rows: report.true_exposure.iter().map(row).collect(),
    }
}

/// What of error budgets the candidate spends; nothing without a gate on one.
pub(super) fn budgets(report: &Report) -> Grid {
    let rows = report.worlds.iter().flat_map(|world| {
        world.budget_burned.iter().map(|(gate, burned)| {
            vec![
                Cell::name(labels::world(&world.world)),
                Cell::name(labels::visible(gate)),
                Cell::number(labels::spread(*burned, labels::percent)),
            ]
        })
    });
    Grid {
        head: heads(&[("If the candidate is", ""), ("gate", ""), ("error budget spent", "budget_burned")]),
        rows: rows.collect(),
    }
}

/// Prompts with known answers; nothing without a gate on them.
pub(super) fn sentinels(report: &Report) -> Grid {
    let row = |row: &SentinelRow| {
        vec![
            Cell::name(labels::visible(&row.gate)),
            Cell::number(labels::whole(u64::from(row.prompts))),
            Cell::number(labels::whole(row.looks as u64)),
            Cell::number(labels::percent(row.fails_good)),
            Cell::number(labels::percent(row.fails_bad)),
            Cell::number(labels::percent(row.false_alarm_closed_form)),
            Cell::number(labels::share(row.false_alarm)),
        ]
    };
    Grid {
        head: heads(&[
            ("sentinel", ""),
            ("prompts at a look", ""),
            ("looks", ""),
            ("a look fails if good", ""),
            ("if bad", ""),
            ("some look fails if good, in closed form", ""),
            ("as replayed", "false_alarm"),
        ]),
        rows: report.sentinels.iter().map(row).collect(),
    }
}

/// Stages that went on past their durations.
pub(super) fn held(report: &Report) -> Grid {
    let row = |world: &WorldRow| {
        let held_s = world.held_s?;
        Some(vec![
            Cell::name(labels::world(&world.world)),
            Cell::number(labels::share(world.held)),
            Cell::number(labels::spread(held_s, labels::duration)),
            Cell::number(labels::spread(world.duration_s, labels::duration)),
        ])
    };
    Grid {
        head: heads(&[
            ("If the candidate is", ""),
            ("rollouts held", "held"),
            ("for how long, in all", "held"),
            ("start to end, of all", ""),
        ]),
        rows: report.worlds.iter().filter_map(row).collect(),
    }
}

/// Rollouts that a gate paused; nothing where none can be.
pub(super) fn pauses(report: &Report) -> Grid {
    let row = |world: &WorldRow| {
        let pauses = world.pauses?;
        Some(vec![
            Cell::name(labels::world(&world.world)),
            Cell::number(labels::share(pauses.paused)),
            Cell::number(labels::share(pauses.resumed)),
            Cell::number(labels::share(pauses.rolled_back)),
            Cell::number(or_none(pauses.paused_s, |time| labels::spread(time, labels::duration))),
        ])
    };
    Grid {
        head: heads(&[
            ("If the candidate is", ""),
            ("rollouts paused", "paused"),
            ("resumed", "resumed"),
            ("rolled back by who came", "rolled_back_paused"),
            ("paused for, in all", "paused_for"),
        ]),
        rows: report.worlds.iter().filter_map(row).collect(),
    }
}

/// From the onset of a regression until everyone is back on stable.
pub(super) fn recovery(report: &Report) -> Grid {
    let row = |world: &WorldRow| {
        let recovery = world.recovery?;
        let time = |spread: Spread| Cell::number(labels::spread(spread, labels::duration));
        Some(vec![
            Cell::name(labels::world(&world.world)),
            Cell::number(labels::share(world.detected)),
            Cell::number(or_none(world.time_to_detect_s, |detect| labels::spread(detect, labels::duration))),
            time(recovery.diagnose_s),
            time(recovery.mitigate_s),
            time(recovery.time_to_recover_s),
        ])
    };
    Grid {
        head: heads(&[
            ("If the candidate is", ""),
            ("found", "harm"),
            ("until the failing look", "time_to_detect"),
            ("until the decision", "diagnose"),
            ("until it is carried out", "mitigate"),
            ("in all", "time_to_recover"),
        ]),
        rows: report.worlds.iter().filter_map(row).collect(),
    }
}

/// The schedule; whom its stages take only where that is not simply a share of everyone.
pub(super) fn stages(report: &Report) -> Grid {
    let who = !report.stages.iter().all(labels::takes_a_share_of_everyone);
    let columns = [
        (("stage", ""), true),
        (("who", ""), who),
        (("exposure", ""), true),
        (("compared with", "control"), who),
        (("duration", ""), true),
        (("looks", ""), true),
        (("units on the candidate", ""), true),
        (("requests on the candidate", ""), true),
        (("of all requests", "requests_share"), who),
        (("all gates pass", "together"), true),
        (("in closed form", "together_closed_form"), true),
        (("at least", "together_at_least"), true),
        (("power of each", "power_each"), true),
    ];
    let shown = |cells: [Cell; 13]| -> Vec<Cell> {
        cells.into_iter().zip(&columns).filter(|(_, (_, shown))| *shown).map(|(cell, _)| cell).collect()
    };
    let row = |stage: &StageFacts| {
        let together = stage.together;
        let closed_form = together.and_then(|together| together.pass_closed_form);
        let at_least = together.and_then(|together| together.pass_at_least);
        shown([
            Cell::name(labels::visible(&stage.name)),
            Cell::name(labels::who(stage)),
            Cell::number(labels::exposure(stage)),
            Cell::name(or_none(stage.control.as_deref(), |control| labels::control(control).to_owned())),
            Cell::number(labels::duration(stage.duration_s as f64)),
            Cell::number(labels::looks(stage)),
            Cell::number(labels::count(stage.units_candidate)),
            Cell::number(labels::count(stage.requests_candidate)),
            Cell::number(or_none(stage.requests_share, labels::percent)),
            Cell::number(or_none(together, |together| labels::share(together.pass))),
            Cell::number(or_none(closed_form, labels::percent)),
            Cell::number(or_none(at_least, labels::percent)),
            Cell::number(or_none(together, |together| labels::percent(together.power_each))),
        ])
    };
    let names: Vec<_> = columns.iter().filter(|(_, shown)| *shown).map(|(name, _)| *name).collect();
    Grid { head: heads(&names), rows: report.stages.iter().map(row).collect() }
}

/// What each gate can see at each stage: whole gates, or their slices.
pub(super) fn gates(report: &Report, slices: bool) -> Grid {
    let metric = |row: &GateRow| report.metrics.iter().find(|metric| metric.name == row.metric);
    let row = |row: &GateRow| {
        let gate = labels::visible(&row.gate);
        let name = row.segment.as_ref().map_or(gate.clone(), |s| format!("{gate}, {}", labels::segment(Some(s))));
        let rate =
            |world: &str, fail: bool| row.rates.get(world).map(|rates| if fail { rates.fail } else { rates.pass });
        let above = |world: &str, fail: bool| rate(world, fail).is_some_and(|share| share.low > row.alpha);
        vec![
            Cell::name(name),
            Cell::name(labels::visible(&row.stage)),
            Cell::name(labels::visible(&row.allow)),
            Cell::marked(or_none(rate("null", false), labels::share), rate("null", false).is_some() && !decides(row)),
            Cell::marked(or_none(rate("null", true), labels::share), above("null", true)),
            Cell::marked(or_none(rate("margin", false), labels::share), above("margin", false)),
            Cell::number(or_none(rate("recorded", true), labels::share)),
            Cell::number(sees(row, metric(row))),
            Cell::number(or_none(row.units_needed, labels::count)),
            Cell::number(or_none(row.duration_needed_s, |seconds| labels::duration(seconds as f64))),
            Cell::number(or_none(row.exposure_needed, labels::percent)),
            Cell::of(rule(row), "soft"),
        ]
    };
    Grid {
        head: heads(&[
            ("gate", ""),
            ("stage", ""),
            ("accepts", ""),
            ("passes if fine", "pass_null"),
            ("false alarm", "false_alarm"),
            ("wrong pass", "wrong_pass"),
            ("fails as recorded", ""),
            ("sees", "mde"),
            ("units needed", "needed"),
            ("or time", "needed"),
            ("or exposure", "needed"),
            ("rule", ""),
        ]),
        rows: report.gates.iter().filter(|gate| gate.segment.is_some() == slices).map(row).collect(),
    }
}

fn sees(row: &GateRow, metric: Option<&MetricFacts>) -> String {
    let way = metric.map_or("", |metric| if metric.better == "higher" { "−" } else { "+" });
    or_none(labels::regression(row, metric), |size| format!("{way}{size}"))
}

fn rule(row: &GateRow) -> String {
    format!("{}, alpha {}, power {}", labels::test(&row.test), labels::percent(row.alpha), labels::percent(row.power))
}

/// What shadow mode has shown.
pub(super) fn shadow(report: &Report) -> Grid {
    Grid {
        head: heads(&[
            ("metric", ""),
            ("slice", ""),
            ("stable", ""),
            ("candidate", ""),
            ("difference (95 %)", ""),
            ("q", "q_value"),
            ("se by unit", ""),
            ("se by unit and item", ""),
            ("design effect", "design_effect"),
            ("units", ""),
            ("requests", ""),
            ("without value", ""),
            ("accepts", ""),
            ("shows", ""),
        ]),
        rows: report
            .shadow
            .iter()
            .map(|row| {
                let metric = report.metrics.iter().find(|metric| metric.name == row.metric);
                let unit = |value| labels::with_unit(value, metric.and_then(|metric| metric.unit.as_deref()));
                let interval = match (row.low, row.high) {
                    (Some(low), Some(high)) => format!(" ({} to {})", labels::signed(low), labels::signed(high)),
                    _ => String::new(),
                };
                let class = match row.shown.as_deref() {
                    Some("pass") => "good",
                    Some("fail") => "bad",
                    _ => "",
                };
                vec![
                    Cell::name(labels::visible(&row.metric)),
                    Cell::name(labels::segment(row.segment.as_ref())),
                    Cell::number(unit(labels::number(row.stable))),
                    Cell::number(unit(labels::number(row.candidate))),
                    Cell::number(format!("{}{interval}", labels::signed(row.difference))),
                    Cell::number(or_none(row.q_value, labels::number)),
                    Cell::number(or_none(row.se_unit, labels::number)),
                    Cell::number(or_none(row.se_item, labels::number)),
                    Cell::number(or_none(row.design_effect, labels::number)),
                    Cell::number(labels::whole(row.units)),
                    Cell::number(labels::whole(row.requests)),
                    Cell::number(labels::whole(row.nulls_stable) + " / " + &labels::whole(row.nulls_candidate)),
                    Cell::name(or_none(row.allow.as_deref(), labels::visible)),
                    Cell::of(or_none(row.shown.as_deref(), labels::visible), class),
                ]
            })
            .collect(),
    }
}

/// What else can be said of the same pairs: counted, with missing values counted, and as people see them. Overall only.
pub(super) fn shadow_otherwise(report: &Report) -> Grid {
    let overall = report.shadow.iter().filter(|row| row.segment.is_none());
    let difference = |value: f64, low: Option<f64>, high: Option<f64>| {
        let interval =
            low.zip(high).map(|(low, high)| format!(" ({} to {})", labels::signed(low), labels::signed(high)));
        labels::signed(value) + &interval.unwrap_or_default()
    };
    Grid {
        head: heads(&[
            ("metric", ""),
            ("nulls left out (95 %)", "if_missing"),
            ("nulls as worst (95 %)", "if_missing"),
            ("worse / better pairs", "pairs"),
            ("McNemar mid-p", "mid_p"),
            ("Tango p", "tango_p"),
            ("people (95 %)", "human"),
            ("labels", ""),
            ("labels needed", "labels_needed"),
        ]),
        rows: overall
            .map(|row| {
                let way = |way: Option<&Alternative>| or_none(way, |way| difference(way.difference, way.low, way.high));
                let pairs = row.pairs.as_ref();
                let human = row.human.as_ref();
                vec![
                    Cell::name(labels::visible(&row.metric)),
                    Cell::number(way(row.if_missing.exclude.as_ref())),
                    Cell::number(way(row.if_missing.worst.as_ref())),
                    Cell::number(or_none(pairs, |pairs| {
                        format!("{} / {}", labels::whole(pairs.candidate_worse), labels::whole(pairs.candidate_better))
                    })),
                    Cell::number(or_none(pairs.map(|pairs| pairs.mid_p), labels::number)),
                    Cell::number(or_none(pairs.and_then(|pairs| pairs.tango_p), labels::number)),
                    Cell::number(or_none(human, |human| difference(human.difference, human.low, human.high))),
                    Cell::number(or_none(human, |human| {
                        format!("{} / {}", labels::whole(human.labels_stable), labels::whole(human.labels_candidate))
                    })),
                    Cell::number(or_none(human.and_then(|human| human.labels_needed), labels::whole)),
                ]
            })
            .collect(),
    }
}

/// What the variance of one output is made of, where requests have several. Overall only.
pub(super) fn shadow_noise(report: &Report) -> Grid {
    let overall = report.shadow.iter().filter(|row| row.segment.is_none());
    let row = |(metric, version, noise): (&str, Version, VersionNoise)| {
        let variance = |component: VarianceComponent| Cell::number(labels::variance(&component));
        vec![
            Cell::name(labels::visible(metric)),
            Cell::name(version.name().to_owned()),
            variance(noise.between_outputs),
            noise.between_requests.map_or_else(|| Cell::number(labels::NONE.to_owned()), variance),
            variance(noise.between_units),
            Cell::number(labels::whole(noise.outputs)),
            Cell::number(labels::whole(noise.repeated)),
        ]
    };
    let of_metric = |row: &ShadowRow| {
        let noise = row.noise?;
        Some([(Version::Stable, noise.stable), (Version::Candidate, noise.candidate)])
    };
    Grid {
        head: heads(&[
            ("metric", ""),
            ("version", ""),
            ("between outputs (95 %)", "between_outputs"),
            ("between requests (95 %)", "between_requests"),
            ("between users (95 %)", "between_units"),
            ("outputs", ""),
            ("requests with several", "repeated"),
        ]),
        rows: overall
            .filter_map(|row| Some((row, of_metric(row)?)))
            .flat_map(|(row, versions)| versions.map(|(version, noise)| (row.metric.as_str(), version, noise)))
            .map(row)
            .collect(),
    }
}

/// Error rates against alpha: those above, or all.
pub(super) fn self_check(report: &Report, only_flagged: bool) -> Grid {
    Grid {
        head: heads(&[("gate", ""), ("stage", ""), ("slice", ""), ("error", ""), ("replayed", ""), ("nominal", "")]),
        rows: report
            .self_check
            .iter()
            .filter(|row| row.flagged || !only_flagged)
            .map(|row| {
                vec![
                    Cell::name(labels::visible(&row.gate)),
                    Cell::name(labels::visible(&row.stage)),
                    Cell::name(
                        row.segment.as_ref().map_or_else(|| "whole gate".to_owned(), |s| labels::segment(Some(s))),
                    ),
                    Cell::name(labels::visible(&row.error)),
                    Cell::marked(labels::share(row.rate), row.flagged),
                    Cell::number(labels::percent(row.alpha)),
                ]
            })
            .collect(),
    }
}

/// Checks of log and assignment.
pub(super) fn health(report: &Report) -> Grid {
    let row = |row: &HealthRow| {
        let place = [row.metric.as_deref(), row.stage.as_deref()].into_iter().flatten().map(labels::visible);
        vec![
            Cell::name(labels::visible(&row.check)),
            Cell::name(place.collect::<Vec<_>>().join(", ")),
            Cell::of(labels::visible(&row.r#where), "soft"),
            Cell::number(or_none(row.observed, labels::number)),
            Cell::number(or_none(row.expected, labels::number)),
            Cell::number(or_none(row.candidate, labels::percent)),
            Cell::number(or_none(row.stable, labels::percent)),
            Cell::marked(or_none(row.p_value, labels::number), row.alarm),
            Cell::number(or_none(row.e_value, labels::number)),
            Cell::number(or_none(row.rate, labels::share)),
        ]
    };
    Grid {
        head: heads(&[
            ("check", ""),
            ("of", ""),
            ("counted", ""),
            ("observed", ""),
            ("expected", ""),
            ("candidate", ""),
            ("stable", ""),
            ("p", "health_p"),
            ("largest e-value", "health_e"),
            ("alarms in replicates", "health_rate"),
        ]),
        rows: report.health.iter().map(row).collect(),
    }
}

/// Where the log has both outputs.
pub(super) fn coverage(report: &Report) -> Grid {
    Grid {
        head: heads(&[("slice", ""), ("requests", ""), ("with a candidate output", "")]),
        rows: report
            .log
            .coverage
            .iter()
            .map(|row| {
                let covered = if row.requests > 0 {
                    format!(
                        "{} ({})",
                        labels::whole(row.covered),
                        labels::percent(row.covered as f64 / row.requests as f64)
                    )
                } else {
                    labels::NONE.to_owned()
                };
                vec![
                    Cell::name(labels::segment(row.segment.as_ref())),
                    Cell::number(labels::whole(row.requests)),
                    Cell::number(covered),
                ]
            })
            .collect(),
    }
}
