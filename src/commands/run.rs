//! The main job: ingest → digest → shadow → simulate → gate → outcome → power → report.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use super::progress::{Progress, interrupted};
use super::{answer, exact, facts, inputs, quoted, require, use_threads, warnings};
use crate::assign::production;
use crate::cli::RunArgs;
use crate::error::{EXIT_INTERRUPTED, EXIT_MISSED, Result};
use crate::outcome::player::Player;
use crate::outcome::rows;
use crate::outcome::tally::Tally;
use crate::power::{self, Forms};
use crate::report::{self, Report};
use crate::scenario::Scenario;
use crate::shadow::{Shadow, missingness};
use crate::simulate::Simulator;

pub(super) fn run(args: &RunArgs) -> Result<u8> {
    reported(args, report::summary)
}

/// Makes and writes the report, answers in the words of `summary`, and holds the plan against what is required of it.
pub(super) fn reported(args: &RunArgs, summary: fn(&Report) -> String) -> Result<u8> {
    let required = require::parse(&args.require)?;
    let scenario = scenario(args)?;
    report::prepare(&args.out)?;
    use_threads(args.threads)?;
    let progress = Progress::new();
    let digest = inputs::digest(&args.inputs, &scenario, &progress)?;
    inputs::comparable(&args.inputs, &digest)?;
    let starts = inputs::starts(&scenario, &digest)?;
    let golden = inputs::golden(&scenario, &progress)?;

    progress.step("comparing shadow outputs");
    let shown = || {
        let shadow = Shadow::new(&digest, &scenario);
        rayon::join(|| shadow.all(), || missingness::rows(&shadow))
    };
    let (simulator, ((shadow, against), health)) = rayon::join(|| Simulator::new(&digest, &scenario), shown);
    progress.step("planning boundaries");
    let player = Player::new(&scenario, &simulator, starts).with_pairs(&digest, &golden);
    let mut tally = Tally::new(&player);
    // Up to here nothing has been begun that would have to be ended: without a handler Ctrl-C works at once.
    let stop = interrupted();
    progress.start("replaying", scenario.simulation.replicates);
    let bucketing = production(&scenario.assignment);
    let without_replicates = || rayon::join(|| Forms::new(&player), || exact::replay(&player, &digest, &*bucketing));
    let ahead = std::thread::scope(|scope| {
        let mut ahead = None;
        player.play(&stop, |played| {
            // Behind all replicates in the queue: for a thread that has none left.
            ahead.get_or_insert_with(|| scope.spawn(without_replicates));
            progress.advance(played.len());
            for replicate in played {
                tally.add(&player, replicate);
            }
        });
        ahead.map(|ahead| ahead.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    if stop.load(Ordering::Relaxed) {
        progress.finish();
        return Ok(EXIT_INTERRUPTED);
    }

    progress.step("planning");
    let (forms, (exact, sample_ratio)) = ahead.unwrap_or_else(without_replicates);
    let mut power_curves = rows::power_curves(&player, &tally);
    let found = || {
        let log = facts::log(args.inputs.log.as_deref().unwrap_or_default(), &digest, &scenario);
        let gates = rows::gates(&player, &tally, &forms.plans, &digest);
        let self_check = rows::self_check(&player, &tally, &digest);
        let health = [health, rows::sample_ratios(&player, &tally, &sample_ratio, &digest)].concat();
        let evidence = warnings::Evidence {
            scenario: &scenario,
            digest: &digest,
            embeddings: &simulator.layout.embeddings,
            bucketing: &*bucketing,
            log: &log,
            shadow: &shadow,
            health: &health,
            gates: &gates,
            self_check: &self_check,
        };
        let warnings = warnings::all(&evidence);
        let stages = rows::stages(&player, &tally, &forms.plans, &digest);
        (log, gates, self_check, health, warnings, stages, rows::worlds(&player, &tally, &digest))
    };
    let (planning, (log, gates, self_check, health, mut warnings, stages, worlds)) =
        rayon::join(|| power::planning(&player, &tally, &digest, &forms, &against, &mut power_curves), found);
    warnings.extend(power::warnings(&planning));
    let report = Report {
        schema: report::SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        command: command(args),
        seed: scenario.simulation.seed,
        replicates: tally.replicates,
        scenario: facts::scenario(&scenario, player.starts.len(), &*bucketing),
        metrics: facts::metrics(&scenario, &digest),
        stages,
        budget: rows::budget(&player),
        sentinels: rows::sentinels(&player, &tally),
        true_exposure: rows::true_exposure(&player, &tally),
        worlds,
        power_curves,
        planning,
        exact,
        warnings,
        limits: facts::limits(&scenario, &digest),
        log,
        shadow,
        health,
        gates,
        self_check,
    };
    progress.step("writing");
    report::write(&report, &args.out)?;
    progress.finish();
    let missed = require::missed(&required, &report, &scenario);
    let mut limits = String::new();
    for line in &missed {
        let _ = writeln!(limits, "MISSED: {line}");
    }
    let done = answer(&(summary(&report) + &report::places(&args.out) + &limits))?;
    Ok(if missed.is_empty() { done } else { EXIT_MISSED })
}

/// The scenario, with what was typed in place of what is written.
fn scenario(args: &RunArgs) -> Result<Scenario> {
    let mut scenario = inputs::scenario(&args.inputs)?;
    if let Some(replicates) = args.replicates {
        scenario.simulation.replicates = replicates as usize;
    }
    if let Some(seed) = args.seed {
        scenario.simulation.seed = seed;
    }
    Ok(scenario)
}

/// The command that gives the same report, whatever the number of threads and wherever it is written.
fn command(args: &RunArgs) -> String {
    let scenario = args.inputs.scenario.as_deref().unwrap_or(std::path::Path::new("")).display().to_string();
    let mut command =
        format!("replay {} --scenario {}", quoted(args.inputs.log.as_deref().unwrap_or_default()), quoted(&scenario));
    if let Some(replicates) = args.replicates {
        let _ = write!(command, " --replicates {replicates}");
    }
    if let Some(seed) = args.seed {
        let _ = write!(command, " --seed {seed}");
    }
    command
}
