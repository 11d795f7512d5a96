//! Where nothing fits: what would, with numbers.

use super::Tried;
use super::replay::{Bench, Replayed};
use super::space::Rule;
use super::standing::{Held, Rank, Values, beyond, excess, held};
use crate::domain::gate::Gate;
use crate::domain::limit::{Limit, Quantity};
use crate::domain::rollout::Promotion;
use crate::domain::world::{Change, Effect};
use crate::power;
use crate::report::labels;
use crate::report::plan::AdviceRow;
use crate::scenario::Scenario;
use crate::shadow::Shadow;

/// Candidates that other gates are tried on.
const CANDIDATES: usize = 3;

/// Multiples of a size that is missed.
const SIZES: [f64; 4] = [1.5, 2.0, 3.0, 5.0];

/// Replicates of everything tried here.
const REPLICATES: usize = 300;

/// What would help, as far as it was tried; nothing when stopped. `nearest` is the index of the candidate that misses the limits by least.
#[must_use]
pub fn advice(bench: &Bench<'_>, limits: &[Limit], tried: &[Tried], nearest: usize) -> Option<Vec<AdviceRow>> {
    let mut near: Vec<&Tried> = Vec::new();
    for candidate in std::iter::once(&tried[nearest]).chain(tried) {
        if near.len() < CANDIDATES && !near.iter().any(|other| other.schedule == candidate.schedule) {
            near.push(candidate);
        }
    }
    let mut rows = other_limits(limits, tried);
    rows.extend(other_gates(bench, limits, &near)?);
    rows.extend(sizes(bench, limits, near[0])?);
    let worth = power::shadow_worth(&Shadow::new(bench.digest, bench.scenario).against_gates(), bench.scenario);
    rows.extend(worth.into_iter().filter(|row| row.segment.is_none()).map(|row| AdviceRow {
        kind: "shadow".into(),
        says: format!("Shadow first, {}: {}.", row.gate, row.left),
        enough: false,
    }));
    Some(rows)
}

/// What a bound would have to be, with all others as they are.
fn other_limits(limits: &[Limit], tried: &[Tried]) -> Vec<AdviceRow> {
    let needed = |(index, limit): (usize, &Limit)| {
        let worst = |tried: &Tried| {
            let all = held(&tried.values, limits);
            let others = all.iter().filter(|held| held.limit != index);
            let kept = others.into_iter().all(|held| limits[held.limit].holds(held.value));
            worst_held(&all, limits, index).filter(|held| kept && held.value.is_finite())
        };
        let found = tried.iter().filter_map(|tried| Some((worst(tried)?, tried)));
        let (least, by) = found.min_by(|a, b| beyond(limit, a.0.value).total_cmp(&beyond(limit, b.0.value)))?;
        if limit.holds(least.value) {
            return None;
        }
        let says = format!(
            "{} in place of {}: then {} keeps every limit ({} replicates).",
            relaxed(limit, least),
            limit.typed,
            lasting(by),
            by.replicates
        );
        Some(AdviceRow { kind: "limit".into(), says, enough: true })
    };
    let single: Vec<AdviceRow> = limits.iter().enumerate().filter_map(needed).collect();
    if single.is_empty() { several_limits(limits, tried).into_iter().collect() } else { single }
}

/// Where no single bound would do: what several would have to be at once, for a schedule that lets good candidates through.
fn several_limits(limits: &[Limit], tried: &[Tried]) -> Option<AdviceRow> {
    let of_good = |limit: &Limit| matches!(limit.of, Quantity::Promoted | Quantity::FalseRollback);
    let lets_through = |all: &[Held]| {
        let good = all.iter().filter(|held| of_good(&limits[held.limit]));
        good.into_iter().all(|held| limits[held.limit].holds(held.value))
    };
    let all = tried.iter().map(|tried| (held(&tried.values, limits), tried)).filter(|(all, _)| lets_through(all));
    let (all, nearest) = all.min_by(|a, b| excess(&a.0, limits).total_cmp(&excess(&b.0, limits)))?;
    let needed = |(index, limit): (usize, &Limit)| {
        let worst = worst_held(&all, limits, index)?;
        (!limit.holds(worst.value)).then(|| format!("{} in place of {}", relaxed(limit, worst), limit.typed))
    };
    let needed: Vec<String> = limits.iter().enumerate().filter_map(needed).collect();
    let says = format!(
        "{} together: then {} keeps every limit ({} replicates).",
        needed.join(" and "),
        lasting(nearest),
        nearest.replicates
    );
    (!needed.is_empty()).then(|| AdviceRow { kind: "limit".into(), says, enough: true })
}

/// Of what a limit, by index, is about in several worlds, that which keeps it least.
fn worst_held(all: &[Held], limits: &[Limit], index: usize) -> Option<Held> {
    let own = all.iter().filter(|held| held.limit == index);
    let beyond = |held: &Held| beyond(&limits[index], held.value);
    own.max_by(|a, b| beyond(a).total_cmp(&beyond(b))).copied()
}

fn lasting(tried: &Tried) -> String {
    format!("a schedule of {}", labels::duration(tried.values.length_s as f64))
}

/// A limit with a bound that a value keeps.
fn relaxed(limit: &Limit, held: Held) -> String {
    let name = format!("{}{}", limit.of.name(), limit.of.operator());
    match limit.of {
        Quantity::Days => format!("{name}{:.1}", (held.value * 10.0).ceil() / 10.0),
        Quantity::ExposedRequests => format!("{name}{:.0}", held.value.ceil()),
        _ if limit.of.at_least() => format!("{name}{:.0}%", (held.value * 100.0).floor()),
        _ => format!("{name}{:.0}%", (held.value * 100.0).ceil()),
    }
}

/// The same candidates with gates that ask for less.
fn other_gates(bench: &Bench<'_>, limits: &[Limit], near: &[&Tried]) -> Option<Vec<AdviceRow>> {
    let mut rows = Vec::new();
    let mut try_with = |kind: &str, what: &str, change: &dyn Fn(&mut Gate)| -> Option<()> {
        let mut best: Option<(Rank, Values, &Tried)> = None;
        for &candidate in near {
            let rules: Vec<Rule> = bench.space.levels_near(candidate.rule);
            let scenarios: Vec<Scenario> = rules
                .iter()
                .filter_map(|&rule| {
                    let (_, mut scenario) = bench.written(&candidate.schedule, rule).ok()?;
                    scenario.gates.iter_mut().for_each(change);
                    scenario.simulation.replicates = REPLICATES.min(scenario.simulation.replicates);
                    Some(scenario)
                })
                .collect();
            for Replayed { values, .. } in bench.together(&scenarios, bench.bad)? {
                let rank = Rank::of(&values, limits);
                if best.as_ref().is_none_or(|(known, ..)| rank.order(*known).is_lt()) {
                    best = Some((rank, values, candidate));
                }
            }
        }
        if let Some((rank, values, candidate)) = best {
            rows.push(AdviceRow {
                kind: kind.into(),
                says: format!("{what}: {}.", compared(&values, &candidate.values, limits, rank.keeps())),
                enough: rank.keeps(),
            });
        }
        Some(())
    };
    if bench.scenario.gates.iter().any(|gate| !gate.by.is_empty()) {
        try_with("segments", "Gates asked of all requests only, in no segment", &|gate| gate.by.clear())?;
    }
    let proof = bench.scenario.rollout.promote == Promotion::AllPass || near[0].rule.proof;
    let has_room = |gate: &Gate| gate.allow.is_some_and(|allow| !allow.is_zero());
    if proof && bench.scenario.gates.iter().any(has_room) {
        let wider = |gate: &mut Gate| gate.allow = gate.allow.map(|allow| allow.times(2.0));
        try_with("margin", "Twice the margin (`allow`) of every gate", &wider)?;
    }
    if bench.scenario.gates.iter().any(|gate| has_room(gate) && gate.harm.is_none_or(|harm| !harm.is_zero())) {
        let from_zero = |gate: &mut Gate| gate.harm = gate.allow.map(|allow| allow.times(0.0));
        try_with("margin", "Rolling back on any proven regression (`harm = \"0%\"`)", &from_zero)?;
    }
    Some(rows)
}

/// What is worst of the limits now, and was before.
fn compared(now: &Values, before: &Values, limits: &[Limit], keeps: bool) -> String {
    if keeps {
        return format!("every limit is kept in {} ({REPLICATES} replicates)", labels::duration(now.length_s as f64));
    }
    let before = held(before, limits);
    let worst = |limit: usize, of: &[Held]| {
        worst_held(of, limits, limit)
            .map_or_else(|| labels::NONE.to_owned(), |held| written(&limits[limit], held.value))
    };
    let now = held(now, limits);
    let missed = (0..limits.len())
        .filter(|&limit| now.iter().any(|held| held.limit == limit && !limits[limit].holds(held.value)));
    let each = missed.map(|limit| {
        format!("{} {} in place of {}", limits[limit].of.name(), worst(limit, &now), worst(limit, &before))
    });
    format!("not enough, {}", each.collect::<Vec<_>>().join(", "))
}

fn written(limit: &Limit, value: f64) -> String {
    match limit.of {
        Quantity::Days => format!("{value:.1}"),
        Quantity::ExposedRequests => labels::count(value),
        _ => labels::percent(value),
    }
}

/// How large effects that are missed must be to be found by the nearest candidate.
fn sizes(bench: &Bench<'_>, limits: &[Limit], nearest: &Tried) -> Option<Vec<AdviceRow>> {
    let Some(limit) = limits.iter().find(|limit| limit.of == Quantity::Miss) else { return Some(Vec::new()) };
    let missed = |bad: &usize| !limit.holds(nearest.values.bad[*bad].missed.share);
    let missed: Vec<usize> = (0..bench.bad.len()).filter(missed).collect();
    let Ok((_, mut scenario)) = bench.written(&nearest.schedule, nearest.rule) else { return Some(Vec::new()) };
    scenario.simulation.replicates = REPLICATES.min(scenario.simulation.replicates);
    let own = scenario.effects.len();
    for &bad in &missed {
        let effect = bench.scenario.effects[bench.bad[bad]].clone();
        scenario.effects.extend(SIZES.map(|times| larger(&effect, times)));
    }
    let added: Vec<usize> = (own..scenario.effects.len()).collect();
    let found = bench.together(&[scenario], &added)?;
    let Some(found) = found.first() else { return Some(Vec::new()) };
    let row = |(place, &bad): (usize, &usize)| {
        let name = &bench.scenario.effects[bench.bad[bad]].name;
        let of_sizes = &found.values.bad[place * SIZES.len()..][..SIZES.len()];
        let enough = SIZES.iter().zip(of_sizes).find(|(_, bad)| limit.holds(bad.missed.share));
        let now = labels::share(nearest.values.bad[bad].missed);
        let says = match enough {
            Some((times, bad)) => format!(
                "`{name}` is promoted in {now} by the nearest schedule: what it finds is {times} times as large, promoted in {}.",
                labels::share(bad.missed)
            ),
            None => format!(
                "`{name}` is promoted in {now} by the nearest schedule, and {} times as large in {}.",
                SIZES[3],
                labels::share(of_sizes[3].missed)
            ),
        };
        AdviceRow { kind: "size".into(), says, enough: false }
    };
    Some(missed.iter().enumerate().map(row).collect())
}

fn larger(effect: &Effect, times: f64) -> Effect {
    let change = match effect.change {
        Change::Shift(size) => Change::Shift(size * times),
        Change::Scale(factor) => Change::Scale((1.0 + (factor - 1.0) * times).max(0.01)),
        Change::Flip(share) => Change::Flip((share * times).min(1.0)),
    };
    Effect { name: format!("{} × {times}", effect.name), change, ..effect.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::forecast::Foreseen;
    use crate::search::standing::foreseen;

    fn tried(days: f64, missed: f64, requests: f64) -> Tried {
        let of =
            Foreseen { false_rollback: 0.0, promoted: 1.0, missed: vec![missed], exposed_requests: vec![requests] };
        Tried {
            schedule: Vec::new(),
            rule: Rule::default(),
            replicates: 100,
            values: foreseen(&of, (days * 86_400.0) as i64),
        }
    }

    #[test]
    fn a_limit_is_relaxed_to_what_something_keeps_that_keeps_all_others() {
        let limit = |of, bound, typed: &str| Limit { typed: typed.into(), of, bound };
        let limits = [
            limit(Quantity::Miss, 0.1, "miss<=10%"),
            limit(Quantity::ExposedRequests, 100.0, "exposed_requests<=100"),
            limit(Quantity::Days, 3.0, "days<=3"),
        ];
        let all = [tried(2.0, 0.31, 90.0), tried(2.0, 0.05, 250.4), tried(9.0, 0.05, 90.0), tried(9.0, 0.2, 90.0)];
        let says: Vec<String> = other_limits(&limits, &all).into_iter().map(|row| row.says).collect();
        assert_eq!(says.len(), 3);
        for (said, wanted) in
            says.iter().zip(["miss<=31% in place of miss<=10%", "exposed_requests<=251", "days<=9.0 in place"])
        {
            assert!(said.starts_with(wanted), "{said}");
        }
        let both = other_limits(&limits, &[tried(2.0, 0.5, 500.0), tried(2.0, 0.9, 900.0)]);
        let wanted =
            "miss<=50% in place of miss<=10% and exposed_requests<=500 in place of exposed_requests<=100 together";
        assert!(both.len() == 1 && both[0].says.starts_with(wanted), "{both:?}");
    }

    #[test]
    fn sizes_stay_what_they_can_be() {
        let effect = |change| Effect {
            name: "x".into(),
            family: "x".into(),
            metric: 0,
            change,
            only: Vec::new(),
            onset: crate::domain::quantity::Seconds(0),
            ramp: crate::domain::quantity::Seconds(0),
        };
        assert_eq!(larger(&effect(Change::Flip(0.4)), 3.0).change, Change::Flip(1.0));
        let Change::Scale(factor) = larger(&effect(Change::Scale(0.9)), 2.0).change else { panic!("a scale") };
        assert!((factor - 0.8).abs() < 1e-12);
        assert_eq!(larger(&effect(Change::Scale(0.5)), 5.0).change, Change::Scale(0.01));
    }
}
