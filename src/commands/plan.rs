//! `replay plan`: limits → proposals in closed form → replays of ever fewer candidates → a fresh seed → the scenario file.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::progress::{Progress, interrupted};
use super::{answer, inputs, limits, quoted, use_threads};
use crate::cli::{Effort, PlanArgs};
use crate::digest::Digest;
use crate::domain::limit::{Limit, Quantity};
use crate::domain::quantity::{Fraction, Probability, Seconds};
use crate::domain::rollout::{Promotion, Sticky};
use crate::domain::world::World;
use crate::error::{EXIT_INTERRUPTED, EXIT_MISSED, Problem, Result};
use crate::outcome::player::{Ground, Player};
use crate::power::forecast::{Forecast, Ruling};
use crate::report::plan::{self as report, Chosen, FreshRun, Plan};
use crate::scenario::rewrite::{self, is_free};
use crate::scenario::{Scenario, sweep};
use crate::search::replay::{Bench, Replayed};
use crate::search::space::{Rule, Space, Step, length_s};
use crate::search::standing::{Rank, excess, held};
use crate::search::{Search, Tried, advice};
use crate::simulate::Simulator;
use rows::Rows;

mod rows;

mod space;

/// Limits that a plan can be asked to keep.
const KNOWN: [Quantity; 5] =
    [Quantity::Promoted, Quantity::FalseRollback, Quantity::Miss, Quantity::ExposedRequests, Quantity::Days];

/// Share of good candidates that must get to the end where nobody says.
const PROMOTED: f64 = 0.8;

/// Candidates that are run on fresh seeds until one keeps the limits.
const FRESH_RUNS: u64 = 4;

/// Runners-up that are kept.
const RUNNERS_UP: usize = 8;

pub(super) fn run(args: &PlanArgs) -> Result<u8> {
    use_threads(args.threads)?;
    let (scenario, text, limits) = checked(args)?;
    report::prepare(&args.out)?;
    let progress = Progress::new();
    let digest = inputs::digest(&args.inputs, &scenario, &progress)?;
    inputs::comparable(&args.inputs, &digest)?;
    let stop = interrupted();
    let Some(plan) = planned(args, &scenario, &text, &limits, &digest, &progress, &stop)? else {
        progress.finish();
        return Ok(EXIT_INTERRUPTED);
    };
    progress.step("writing");
    report::write(&plan, &args.out)?;
    progress.finish();
    let done = answer(&(report::summary(&plan) + &report::places(&plan, &args.out)))?;
    Ok(if plan.feasible { done } else { EXIT_MISSED })
}

/// Scenario, its text, and what it is to keep: every problem of both at once.
fn checked(args: &PlanArgs) -> Result<(Scenario, String, Vec<Limit>)> {
    let (mut found, mut problems) = limits::parse("--limit", &KNOWN, &args.limit);
    for (index, limit) in found.iter().enumerate() {
        let name = limit.of.name();
        if found[..index].iter().any(|other| other.of == limit.of) {
            let message = format!("`{}`: `{name}` is limited twice", limit.typed);
            problems.push(Problem::new("--limit", message).hint("keep the one that is meant"));
        }
        if matches!(limit.of, Quantity::Days | Quantity::ExposedRequests) && limit.bound <= 0.0 {
            let message = format!("`{}`: no rollout takes no time or serves nothing", limit.typed);
            problems
                .push(Problem::new("--limit", message).hint(format!("write a number above 0, such as `{name}<=7`")));
        }
    }
    let scenario = inputs::scenario(&args.inputs);
    let text = args.inputs.scenario.as_deref().map(sweep::text_of);
    match (scenario, text) {
        (Ok(mut scenario), Some(Ok(text))) => {
            problems.extend(unplannable(&scenario, &found));
            if problems.is_empty() {
                if !found.iter().any(|limit| limit.of == Quantity::Promoted) {
                    let typed = format!("promoted>={:.0}%", PROMOTED * 100.0);
                    found.push(Limit { typed, of: Quantity::Promoted, bound: PROMOTED });
                }
                scenario.simulation.seed = args.seed.unwrap_or(scenario.simulation.seed);
                if let Some(replicates) = args.replicates {
                    scenario.simulation.replicates = replicates as usize;
                }
                return Ok((scenario, text, found));
            }
        }
        (scenario, text) => {
            let errors = [scenario.err(), text.and_then(Result::err)];
            problems.extend(errors.into_iter().flatten().take(1).flat_map(|error| error.problems));
        }
    }
    Err(problems.into())
}

/// Where the main job replays what follows a held stage later, other commands have one schedule for all replicates.
pub(super) fn holding(scenario: &Scenario) -> Option<Problem> {
    let sticky = scenario.assignment.sticky;
    let what = match sticky {
        Sticky::Session => {
            Some("sessions that finish on the candidate after a rollback are replayed by the main job alone")
        }
        Sticky::Cookie => Some("cookies have no closed forms and a slow replay: the main job alone replays them"),
        Sticky::Unit | Sticky::Stage | Sticky::Request => None,
    };
    if let Some(what) = what {
        let hint = format!("leave `assignment.sticky = \"{}\"` out here", sticky.name());
        return Some(Problem::new(&scenario.path, what).hint(hint));
    }
    let what = "stages that take longer than their durations are replayed by the main job alone: this command compares schedules that do not wait";
    let hint = "leave `rollout.max_hold` and `resume`, and `approval` and `start` of stages, out here";
    scenario.prolongs().then(|| Problem::new(&scenario.path, what).hint(hint))
}

/// What no schedule of this scenario can be planned for.
fn unplannable(scenario: &Scenario, limits: &[Limit]) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(gate) = scenario.gates.iter().find(|gate| gate.kayenta.is_some()) {
        let what = format!("gate `{}` is of style `kayenta`, whose score is not planned yet", gate.name);
        problems.push(Problem::new(&scenario.path, what).hint("leave the gate out, or give it another test"));
    }
    if let Some(stage) = scenario.stages.iter().find(|stage| stage.asks_who()) {
        let what = format!("stage `{}` takes a wave or exposures by segment, which are not planned yet", stage.name);
        problems.push(Problem::new(&scenario.path, what).hint("leave the stage out, or give it one `exposure`"));
    }
    problems.extend(holding(scenario));
    problems.extend(inputs::pairs_unknown(scenario));
    let days = limits.iter().find(|limit| limit.of == Quantity::Days && limit.bound > 0.0);
    if let Some((limit, length)) = days.map(|limit| (limit, limit.bound * 86_400.0)) {
        if length < scenario.log.slot.0 as f64 {
            let message = format!("`{}` is shorter than a slot of {}", limit.typed, scenario.log.slot);
            problems.push(Problem::new("--limit", message).hint("allow more days, or use a finer `log.slot`"));
        }
        let wants_all = limits.iter().any(|limit| limit.of == Quantity::Miss && limit.bound < 1.0);
        for effect in scenario.effects.iter().filter(|effect| wants_all && effect.onset.0 as f64 >= length) {
            let message = format!(
                "`{}` contradicts `miss`: effect `{}` sets in {} after the start, when the rollout is over",
                limit.typed, effect.name, effect.onset
            );
            problems.push(Problem::new("--limit", message).hint("allow more days, or let the effect set in earlier"));
        }
    }
    problems
}

/// The plan; nothing when stopped.
fn planned(
    args: &PlanArgs,
    scenario: &Scenario,
    text: &str,
    limits: &[Limit],
    digest: &Digest,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<Option<Plan>> {
    let space = space::of(scenario, text, limits, digest);
    let mut own = space::own_schedule(scenario, &space);
    if length_s(&own) > space.longest_s {
        own.clear();
    }
    let starts = |scenario: &Scenario| inputs::starts(scenario, digest);
    let advance = |replicates: usize| progress.advance(replicates);
    let mut bench = Bench { digest, scenario, text, space: &space, bad: &[], starts: &starts, stop, advance: &advance };

    // Closed forms need a schedule that fits the log; which one hardly matters.
    let mut ground = scenario.clone();
    if inputs::starts(scenario, digest).is_err() {
        let shortest = space.proposals().into_iter().min_by_key(|schedule| length_s(schedule));
        let Some(shortest) = shortest else { return Err(inputs::starts(scenario, digest).expect_err("was one")) };
        ground = bench.written(&shortest, Rule::default())?.1;
    }
    let simulator = Simulator::new(digest, &ground);
    let basis = Ground::new(&simulator, inputs::starts(&ground, digest)?);
    let player = Player::on(&basis, &ground, &simulator, vec![false; ground.gates.len()], false);
    let (bad, bad_worlds) = past_margin(&player);
    nothing_to_find(scenario, limits, &bad)?;
    bench.bad = &bad;
    progress.step("proposing schedules");
    let forecast = Forecast::new(&player, &bad_worlds, &space.exposures);
    let rulings = rulings(&forecast, scenario, &space, own.len());
    let foresee = |schedule: &[Step], rule: Rule| {
        let looks = |step: &Step| (step.exposure, (step.duration_s / forecast.look_s).max(1) as usize);
        forecast.of(&schedule.iter().map(looks).collect::<Vec<_>>(), &rulings[&(schedule.len(), rule)])
    };

    let replicates = scenario.simulation.replicates;
    let effort = effort(args.effort);
    let search = Search { space: &space, limits, forecast: foresee, effort, replicates };
    progress.start("searching", effort.work(replicates));
    let (mut simulations, mut rollouts) = (0, 0);
    let tried = search.run(&own, |trials, replicates| {
        simulations += trials.len();
        rollouts += trials.len() * replicates;
        bench.replay(trials, replicates)
    });
    let Some(tried) = tried else { return Ok(None) };
    progress.start("confirming on fresh seeds", replicates);
    let Some(confirmed) = confirmed(&bench, limits, &tried, progress)? else { return Ok(None) };
    let feasible = confirmed.runs.last().is_some_and(|run| run.kept);
    let mut advised = Vec::new();
    if !feasible {
        progress.step("looking for what would help");
        let Some(found) = advice::advice(&bench, limits, &tried, confirmed.index) else { return Ok(None) };
        advised = found;
    }
    if stop.load(Ordering::Relaxed) {
        return Ok(None);
    }

    let names: Vec<String> = bad.iter().map(|&effect| scenario.effects[effect].name.clone()).collect();
    let table = Rows { space: &space, scenario, limits, bad: &names };
    let chosen = &tried[confirmed.index];
    let others: Vec<usize> =
        distinct(&tried).into_iter().filter(|&index| tried[index].schedule != chosen.schedule).collect();
    let runners_up = others.into_iter().filter(|&index| !feasible || table.keeps(&tried[index])).take(RUNNERS_UP);
    let own_row = tried.iter().position(|tried| tried.schedule == own && tried.rule == Rule::default());
    let mut plan = Plan {
        schema: report::SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        command: command(args),
        seed: scenario.simulation.seed,
        replicates,
        log: args.inputs.log.clone().unwrap_or_default(),
        fingerprint: digest.facts.fingerprint.clone(),
        rows: digest.facts.rows,
        scenario: scenario.path.clone(),
        effort: format!("{:?}", args.effort).to_lowercase(),
        feasible,
        limits: limits.iter().map(|limit| rows::limit_row(limit, args)).collect(),
        bad_worlds: names.clone(),
        simulations,
        rollouts,
        chosen: Chosen {
            candidate: table.candidate(confirmed.index, chosen),
            searched: table.held(&chosen.values),
            fresh: table.held(&confirmed.found.values),
            worlds: confirmed.found.worlds,
            starts: confirmed.found.starts,
            text: String::new(),
        },
        fresh: confirmed.runs,
        own: own_row.map(|index| table.candidate(index, &tried[index])),
        runners_up: runners_up.map(|index| table.candidate(index, &tried[index])).collect(),
        binding: rows::binding(&tried, chosen, limits),
        advice: advised,
        candidates: tried.iter().enumerate().map(|(index, tried)| table.candidate(index, tried)).collect(),
        notes: rows::notes(scenario, limits, &space, confirmed.found.starts, own_row.is_some()),
    };
    plan.chosen.text = rewrite::with_comment(&confirmed.text, &rows::comment(&plan));
    Ok(Some(plan))
}

/// Effects past a gate's margin, by index into the scenario's, and their worlds by index into the player's.
fn past_margin(player: &Player<'_>) -> (Vec<usize>, Vec<usize>) {
    let harmful =
        |world: usize| player.gates.iter().any(|plan| plan.harmful[plan.lens_of_world[world]].contains(&true));
    let effect = |(world, kind): (usize, &World)| match kind {
        World::Effect(effect) if harmful(world) => Some((*effect, world)),
        _ => None,
    };
    player.worlds.iter().enumerate().filter_map(effect).unzip()
}

/// Limits on bad candidates need one.
fn nothing_to_find(scenario: &Scenario, limits: &[Limit], bad: &[usize]) -> Result<()> {
    let of_bad = limits.iter().filter(|limit| matches!(limit.of, Quantity::Miss | Quantity::ExposedRequests));
    let problems: Vec<Problem> = of_bad
        .filter(|_| bad.is_empty())
        .map(|limit| {
            let message = format!("`{}`: no effect of {} is past a gate's margin, so there is nothing to find", limit.typed, scenario.path);
            let hint = "add `[[effects]]` worse than what a gate allows, such as `scale = 0.9` on a metric where higher is better";
            Problem::new("--limit", message).hint(hint)
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}

/// How gates decide under every rule, by the number of stages with a control.
fn rulings(forecast: &Forecast, scenario: &Scenario, space: &Space, own: usize) -> BTreeMap<(usize, Rule), Ruling> {
    let options = |count: usize| std::iter::once(None).chain((0..count).map(Some));
    let mut all = BTreeMap::new();
    for steps in 1..=own.max(4) {
        for test in options(space.tests.len()) {
            for budget in options(space.budgets.len()) {
                let mut ruled = scenario.clone();
                let mut stage = scenario.stages[0].clone();
                stage.exposure = Fraction::new(0.1).expect("a share");
                (stage.duration, stage.look_every) = (Seconds::DAY, Seconds::HOUR);
                ruled.stages = vec![stage; steps];
                if let Some(test) = test {
                    ruled
                        .gates
                        .iter_mut()
                        .filter(|gate| is_free(gate))
                        .for_each(|gate| gate.test = space.tests[test].0);
                }
                if let Some(budget) = budget {
                    let (share, way) = space.budgets[budget];
                    ruled.rollout.false_rollback = Probability::new(share);
                    ruled.rollout.budget = way;
                }
                for proof in [false, true] {
                    let proves = proof || scenario.rollout.promote == Promotion::AllPass;
                    all.insert((steps, Rule { test, budget, proof }), forecast.ruling(&ruled, proves));
                }
            }
        }
    }
    all
}

fn effort(effort: Effort) -> crate::search::Effort {
    let of =
        |survey, climbs, climb, halving, finalists| crate::search::Effort { survey, climbs, climb, halving, finalists };
    match effort {
        Effort::Quick => of((6, 80), 1, (5, 120), (3, 250), 1),
        Effort::Usual => of((10, 100), 2, (8, 150), (4, 300), 2),
        Effort::Thorough => of((30, 150), 5, (12, 300), (8, 600), 4),
    }
}

/// What was found on fresh seeds.
struct Confirmed {
    /// Of the chosen candidate.
    index: usize,
    text: String,
    found: Replayed,
    runs: Vec<FreshRun>,
}

/// Runs the best candidates on fresh seeds, each on its own, until one keeps the limits there as well; otherwise that which misses them by
/// least. Nothing when stopped.
fn confirmed(bench: &Bench<'_>, limits: &[Limit], tried: &[Tried], progress: &Progress) -> Result<Option<Confirmed>> {
    let full = bench.scenario.simulation.replicates;
    let keeps = |tried: &Tried| tried.replicates >= full && Rank::of(&tried.values, limits).keeps();
    let mut order: Vec<usize> = distinct(tried).into_iter().filter(|&index| keeps(&tried[index])).collect();
    if order.is_empty() {
        order = distinct(tried).into_iter().take(1).collect();
    }
    let mut best: Option<(f64, Confirmed)> = None;
    let mut runs = Vec::new();
    for (attempt, index) in (1..=FRESH_RUNS).zip(order) {
        let (text, mut scenario) = bench.written(&tried[index].schedule, tried[index].rule)?;
        let seed = bench.scenario.simulation.seed.wrapping_add(attempt);
        scenario.simulation.seed = seed;
        progress.start("confirming on fresh seeds", full);
        let Some(found) = bench.together(&[scenario], bench.bad) else { return Ok(None) };
        let Some(found) = found.into_iter().next() else { continue };
        let all = held(&found.values, limits);
        let missed: Vec<String> = limits
            .iter()
            .enumerate()
            .filter(|(limit, rule)| all.iter().any(|held| held.limit == *limit && !rule.holds(held.value)))
            .map(|(_, rule)| rule.typed.clone())
            .collect();
        let kept = missed.is_empty();
        runs.push(FreshRun { candidate: index + 1, seed, kept, missed });
        let beyond = excess(&all, limits);
        if kept || best.as_ref().is_none_or(|(least, _)| beyond < *least) {
            best = Some((beyond, Confirmed { index, text, found, runs: Vec::new() }));
        }
        if kept {
            break;
        }
    }
    let Some((_, mut confirmed)) = best else {
        return Err(Problem::new(&bench.scenario.path, "no start time leaves room for any schedule").into());
    };
    // The run of the chosen one is the one to read.
    let chosen = runs.iter().position(|run| run.candidate == confirmed.index + 1).unwrap_or(0);
    let last = runs.remove(chosen);
    runs.push(last);
    confirmed.runs = runs;
    Ok(Some(confirmed))
}

/// The first of each schedule.
fn distinct(tried: &[Tried]) -> Vec<usize> {
    let first = |index: &usize| !tried[..*index].iter().any(|other| other.schedule == tried[*index].schedule);
    (0..tried.len()).filter(first).collect()
}

/// The command that gives the same plan, whatever the number of threads and wherever it is written.
fn command(args: &PlanArgs) -> String {
    let scenario = args.inputs.scenario.as_deref().unwrap_or(std::path::Path::new("")).display().to_string();
    let log = quoted(args.inputs.log.as_deref().unwrap_or_default());
    let mut words = vec!["replay plan".to_owned(), log, format!("--scenario {}", quoted(&scenario))];
    words.extend(args.limit.iter().map(|limit| format!("--limit {}", quoted(limit))));
    if args.effort != Effort::Usual {
        words.push(format!("--effort {}", format!("{:?}", args.effort).to_lowercase()));
    }
    words.extend(args.replicates.map(|replicates| format!("--replicates {replicates}")));
    words.extend(args.seed.map(|seed| format!("--seed {seed}")));
    words.join(" ")
}
