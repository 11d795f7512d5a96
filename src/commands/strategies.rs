//! `replay compare --strategies`: scenario → ways of releasing → simulate each kind of schedule → side by side.

use std::sync::atomic::{AtomicBool, Ordering};

use super::progress::{Progress, interrupted};
use super::{answer, compare, inputs, plan, use_threads};
use crate::cli::{CompareArgs, Inputs};
use crate::digest::Digest;
use crate::domain::quantity::Moment;
use crate::domain::rollout::Delay;
use crate::error::{EXIT_INTERRUPTED, Problem, Result};
use crate::outcome::mirror::blocked;
use crate::outcome::player::Ground;
use crate::outcome::strategies::{Prices, Tally};
use crate::outcome::variants::{Variants, same_simulation, union};
use crate::report::strategies::{self as report, Strategies, StrategyRow};
use crate::scenario::Scenario;
use crate::scenario::strategies::{self, Strategy, Way};
use crate::simulate::Simulator;

pub(super) fn run(args: &CompareArgs) -> Result<u8> {
    use_threads(args.threads)?;
    let scenario = scenario(args)?;
    let mirrored = strategies::mirrored(&scenario, args.shadow.as_deref())?;
    report::prepare(&args.out)?;
    let progress = Progress::new();
    let wanted = Inputs { log: Some(args.log.clone()), scenario: None };
    let digest = inputs::digest(&wanted, &scenario, &progress)?;
    inputs::comparable(&wanted, &digest)?;
    let starts = inputs::starts(&scenario, &digest)?;
    let simulator = Simulator::new(&digest, &scenario);
    let ground = Ground::new(&simulator, starts.clone());
    let (strategies, mut notes) = strategies::strategies(&scenario, &ground.levels_of_metrics, mirrored);
    let chances = blocked(&digest, &scenario, &simulator, &ground, &starts, mirrored);
    notes.extend(meaning(&scenario));

    let replay = Replay { digest: &digest, starts: &starts, chances: &chances, progress: &progress };
    let stop = interrupted();
    progress.start("replaying", scenario.simulation.replicates * (strategies.len() - 1));
    let mut rows: Vec<StrategyRow> = Vec::new();
    // Neighbours that differ in how they roll back share a simulation.
    for group in strategies.chunk_by(|a, b| a.mirrored == b.mirrored && same_simulation(&a.scenario, &b.scenario)) {
        rows.extend(replay.rows(group, &stop));
        if stop.load(Ordering::Relaxed) {
            progress.finish();
            return Ok(EXIT_INTERRUPTED);
        }
    }

    progress.step("writing");
    let found = Strategies {
        schema: report::SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        command: compare::command(args),
        seed: scenario.simulation.seed,
        replicates: scenario.simulation.replicates,
        log: args.log.clone(),
        fingerprint: digest.facts.fingerprint.clone(),
        rows: digest.facts.rows,
        scenario: scenario.path.clone(),
        bad_worlds: if scenario.effects.is_empty() { "margin".into() } else { "effect".into() },
        horizon_s: scenario.duration().0,
        mirrored_s: mirrored.0,
        judges_cost: scenario.metrics.iter().any(|metric| metric.judge.cost_usd.is_some()),
        strategies: rows,
        notes,
    };
    report::write(&found, &args.out)?;
    progress.finish();
    answer(&(report::summary(&found) + &report::places(&args.out)))
}

/// The scenario, with the seed and the replicates that were asked for.
fn scenario(args: &CompareArgs) -> Result<Scenario> {
    let [path] = args.scenario.as_slice() else {
        let message = format!("{} scenarios, and strategies are made from one", args.scenario.len());
        return Err(Problem::new("--strategies", message).hint("compare the others in runs of their own").into());
    };
    let mut scenario = Scenario::read(path)?;
    if let Some(problem) = plan::holding(&scenario).or_else(|| inputs::pairs_unknown(&scenario)) {
        return Err(problem.into());
    }
    let unpaired = if scenario.assignment.within.is_some() {
        Some("one of the strategies is a mirror, whose pairs are of users, and here a user is many units")
    } else if scenario.log.served.is_some() {
        Some("one of the strategies is a mirror, and in this log each request was served by one version")
    } else {
        None
    };
    if let Some(what) = unpaired {
        return Err(Problem::new(&scenario.path, what).hint("compare schedules without `--strategies`").into());
    }
    let simulation = &mut scenario.simulation;
    simulation.seed = args.seed.unwrap_or(simulation.seed);
    simulation.replicates = args.replicates.map_or(simulation.replicates, |replicates| replicates as usize);
    Ok(scenario)
}

/// What holds for this scenario.
fn meaning(scenario: &Scenario) -> Vec<String> {
    let mut notes = vec![
        "What a mirror blocks comes from the paired differences of the requests that it sees, from each start, with questions taken as independent; a limit on the candidate is not asked of it."
            .to_owned(),
    ];
    if scenario.rollout.recovery.mitigate == Delay::NONE {
        notes.push(
            "`rollout.mitigate` is 0, so a big bang is rolled back as fast as a switch, and blue-green differs from it in replicas alone."
                .to_owned(),
        );
    }
    notes
}

/// What all strategies share.
struct Replay<'a> {
    digest: &'a Digest,
    starts: &'a [Moment],
    /// Per world: the chance that a mirror blocks the launch.
    chances: &'a [(String, f64)],
    progress: &'a Progress,
}

impl Replay<'_> {
    /// Strategies that need the same simulation.
    fn rows(&self, group: &[Strategy], stop: &AtomicBool) -> Vec<StrategyRow> {
        let scenarios: Vec<&Scenario> = group.iter().map(|strategy| &strategy.scenario).collect();
        let union = union(&scenarios);
        let simulator = Simulator::new(self.digest, &union);
        // What follows a mirror starts when it ends.
        let starts = self.starts.iter().map(|start| Moment(start.0 + group[0].mirrored.0)).collect();
        let judged = Variants::new(scenarios, &simulator, starts);
        let mut tallies: Vec<Tally<'_>> = group
            .iter()
            .map(|strategy| {
                let chances = if strategy.way == Way::ShadowFirst { self.chances } else { &[] };
                Tally::new(strategy, &judged.places, Prices::of(&strategy.scenario, self.digest), chances)
            })
            .collect();
        judged.play(stop, |blocks| {
            let mut first_world = 0;
            for tally in &mut tallies {
                tally.add(blocks, first_world);
                first_world += tally.count();
            }
            self.progress.advance(blocks.iter().map(|block| block.replicates.len()).sum());
        });
        if stop.load(Ordering::Relaxed) { Vec::new() } else { tallies.iter().map(Tally::row).collect() }
    }
}
