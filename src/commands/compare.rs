//! `replay compare`: scenarios and sweeps → variants → simulate once for those that differ in decisions only → comparison.

use std::path::Path;
use std::sync::atomic::Ordering;

use super::progress::{Progress, interrupted};
use super::{answer, inputs, quoted, use_threads};
use crate::cli::{CompareArgs, Inputs};
use crate::digest::Digest;
use crate::domain::metric::MetricKind;
use crate::domain::quantity::Moment;
use crate::error::{EXIT_INTERRUPTED, Problem, Result};
use crate::outcome::comparison::{self, Objectives, Reference, Tally};
use crate::outcome::variants::{Variants, same_digest, same_simulation, union};
use crate::report::comparison::{self as report, Comparison, SettingRow, VariantRow};
use crate::scenario::Scenario;
use crate::scenario::sweep::{self, Sweep, Variant};
use crate::simulate::Simulator;

pub(super) fn run(args: &CompareArgs) -> Result<u8> {
    use_threads(args.threads)?;
    let (variants, mut notes) = variants(args)?;
    report::prepare(&args.out)?;
    let progress = Progress::new();
    let loaded = Loaded::new(args, &variants, &progress)?;
    let starts = loaded.starts(&variants)?;
    let groups = groups(&variants, same_simulation);
    notes.extend(meaning(&variants, &starts));

    let horizon_s = variants.iter().map(|variant| variant.scenario.duration().0).max().unwrap_or(0);
    let replicates = variants[0].scenario.simulation.replicates;
    let mut reference = Reference::new(&variants[0].scenario);
    let mut rows: Vec<Option<(VariantRow, Objectives)>> = variants.iter().map(|_| None).collect();
    let stop = interrupted();
    progress.start("replaying", replicates * groups.len());
    for (simulation, group) in groups.iter().enumerate() {
        let scenarios: Vec<&Scenario> = group.iter().map(|&index| &variants[index].scenario).collect();
        let union = union(&scenarios);
        let simulator = Simulator::new(loaded.of(group[0]), &union);
        let judged = Variants::new(scenarios.clone(), &simulator, starts[group[0]].clone());
        let mut tallies: Vec<Tally<'_>> =
            scenarios.iter().map(|scenario| Tally::new(scenario, &judged.places, horizon_s, &reference)).collect();
        judged.play(&stop, |blocks| {
            comparison::count(blocks, &mut tallies, &mut reference, simulation == 0);
            progress.advance(blocks.iter().map(|block| block.replicates.len()).sum());
        });
        if stop.load(Ordering::Relaxed) {
            progress.finish();
            return Ok(EXIT_INTERRUPTED);
        }
        for (&index, tally) in group.iter().zip(&tallies) {
            rows[index] = Some(row(index, &variants[index], simulation, starts[index].len(), tally));
        }
    }

    progress.step("writing");
    let rows: Vec<(VariantRow, Objectives)> = rows.into_iter().flatten().collect();
    let digest = loaded.of(0);
    let comparison = Comparison {
        schema: report::SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        command: command(args),
        seed: variants[0].scenario.simulation.seed,
        replicates,
        log: args.log.clone(),
        fingerprint: digest.facts.fingerprint.clone(),
        rows: digest.facts.rows,
        keys: variants[0].settings.iter().map(|setting| setting.key.clone()).collect(),
        bad_worlds: if variants[0].scenario.effects.is_empty() { "margin".into() } else { "effect".into() },
        horizon_s,
        simulations: groups.len(),
        variants: placed(rows),
        notes,
    };
    report::write(&comparison, &args.out)?;
    progress.finish();
    answer(&(report::summary(&comparison) + &report::places(&args.out)))
}

/// Every variant, with the seed and the replicates of the first.
fn variants(args: &CompareArgs) -> Result<(Vec<Variant>, Vec<String>)> {
    let mut sweeps = Vec::new();
    let mut problems: Vec<Problem> = Vec::new();
    for text in &args.sweep {
        match Sweep::parse(text) {
            Ok(sweep) => sweeps.push(sweep),
            Err(error) => problems.extend(error.problems),
        }
    }
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let files: Vec<&Path> = args.scenario.iter().map(std::path::PathBuf::as_path).collect();
    let mut variants = sweep::variants(&files, &sweeps)?;
    problems.extend(variants.iter().filter_map(|variant| super::plan::holding(&variant.scenario)));
    problems.extend(variants.iter().filter_map(|variant| inputs::pairs_unknown(&variant.scenario)));
    if !problems.is_empty() {
        problems.dedup();
        return Err(problems.into());
    }
    let first = variants[0].scenario.simulation;
    let other = |variant: &Variant| {
        let own = variant.scenario.simulation;
        own.seed != first.seed || own.replicates != first.replicates
    };
    let mut notes = Vec::new();
    if variants.iter().any(other) && (args.seed.is_none() || args.replicates.is_none()) {
        notes.push("The scenarios name other seeds or numbers of replicates; those of the first serve all.".to_owned());
    }
    for variant in &mut variants {
        variant.scenario.simulation.seed = args.seed.unwrap_or(first.seed);
        variant.scenario.simulation.replicates =
            args.replicates.map_or(first.replicates, |replicates| replicates as usize);
    }
    Ok((variants, notes))
}

/// Variants by index that are alike, each set in the order given.
fn groups(variants: &[Variant], alike: impl Fn(&Scenario, &Scenario) -> bool) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, variant) in variants.iter().enumerate() {
        let like = groups.iter_mut().find(|group| alike(&variants[group[0]].scenario, &variant.scenario));
        match like {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

/// The log, digested once for variants that read the same of it.
struct Loaded {
    digests: Vec<Digest>,
    /// Per variant.
    digest_of: Vec<usize>,
}

impl Loaded {
    fn new(args: &CompareArgs, variants: &[Variant], progress: &Progress) -> Result<Self> {
        let wanted = Inputs { log: Some(args.log.clone()), scenario: None };
        let mut loaded = Self { digests: Vec::new(), digest_of: vec![0; variants.len()] };
        let mut problems: Vec<Problem> = Vec::new();
        for group in groups(variants, same_digest) {
            let digest = inputs::digest(&wanted, &variants[group[0]].scenario, progress)?;
            inputs::comparable(&wanted, &digest)?;
            let mut checked: Vec<&Scenario> = Vec::new();
            for &index in &group {
                loaded.digest_of[index] = loaded.digests.len();
                let scenario = &variants[index].scenario;
                if !checked.iter().any(|other| other.effects == scenario.effects) {
                    problems.extend(inputs::log_problems(scenario, &digest));
                    checked.push(scenario);
                }
            }
            loaded.digests.push(digest);
        }
        if problems.is_empty() { Ok(loaded) } else { Err(problems.into()) }
    }

    fn of(&self, variant: usize) -> &Digest {
        &self.digests[self.digest_of[variant]]
    }

    /// Per variant: the moments at which it starts. Variants with the same rule start at those that leave room for all of them.
    fn starts(&self, variants: &[Variant]) -> Result<Vec<Vec<Moment>>> {
        let mut own = Vec::with_capacity(variants.len());
        let mut problems: Vec<Problem> = Vec::new();
        for (index, variant) in variants.iter().enumerate() {
            match inputs::starts(&variant.scenario, self.of(index)) {
                Ok(starts) => own.push(starts),
                Err(error) => problems.extend(error.problems),
            }
        }
        if !problems.is_empty() {
            problems.dedup_by(|later, earlier| later.message == earlier.message);
            return Err(problems.into());
        }
        let mut starts = own.clone();
        for group in groups(variants, |a, b| a.rollout.start == b.rollout.start) {
            let fits = |start: &Moment| group.iter().all(|&index| own[index].binary_search(start).is_ok());
            let common: Vec<Moment> = own[group[0]].iter().copied().filter(fits).collect();
            // Another unit or slot may know other hours; then each keeps its own.
            if !common.is_empty() {
                for &index in &group {
                    starts[index].clone_from(&common);
                }
            }
        }
        Ok(starts)
    }
}

/// What pairing and sharing mean for these variants.
fn meaning(variants: &[Variant], starts: &[Vec<Moment>]) -> Vec<String> {
    let mut notes = Vec::new();
    let first = &variants[0].scenario;
    let any = |differs: &dyn Fn(&Scenario) -> bool| variants.iter().any(|variant| differs(&variant.scenario));
    let count = starts[0].len();
    let longest = variants.iter().map(|variant| variant.scenario.duration()).max();
    if any(&|scenario| scenario.duration() != first.duration()) && starts.iter().all(|own| own.len() == count) {
        let longest = longest.unwrap_or(first.duration());
        notes.push(format!(
            "All variants start at the {count} times that leave room for the longest schedule, {longest}."
        ));
    }
    if any(&|scenario| scenario.rollout.start != first.rollout.start) {
        notes.push("Variants with other start times share users with variant 1, not hours.".to_owned());
    }
    if any(&|scenario| scenario.assignment.unit != first.assignment.unit) {
        notes.push(
            "Variants with another unit of assignment share starts with variant 1, not the draw of units: their differences are as wide as without pairing."
                .to_owned(),
        );
    }
    let quantile = |metric: usize| matches!(first.metrics[metric].kind, MetricKind::Quantile { .. });
    let moved = |scenario: &Scenario| {
        let of = |scenario: &Scenario| -> Vec<_> {
            scenario.gates.iter().filter(|gate| quantile(gate.metric)).map(|gate| (gate.allow, gate.harm)).collect()
        };
        scenario.metrics == first.metrics && of(scenario) != of(first)
    };
    if any(&moved) {
        notes.push(
            "Gates on a quantile share one grid of thresholds; alone, a variant's grid may be coarser or finer."
                .to_owned(),
        );
    }
    notes
}

fn row(
    index: usize,
    variant: &Variant,
    simulation: usize,
    starts: usize,
    tally: &Tally<'_>,
) -> (VariantRow, Objectives) {
    let settings = variant.settings.iter();
    let named: Vec<String> = settings.clone().map(|setting| format!("{}={}", setting.key, setting.value)).collect();
    let row = VariantRow {
        number: index + 1,
        name: if named.is_empty() { variant.file.clone() } else { named.join(", ") },
        scenario: variant.file.clone(),
        settings: settings.map(|set| SettingRow { key: set.key.clone(), value: set.value.clone() }).collect(),
        simulation: simulation + 1,
        starts,
        false_rollback: tally.false_rollback(),
        good_stopped: tally.good_stopped(),
        time_to_full_s: tally.time_to_full_s(),
        missed: tally.missed(),
        time_to_detect_s: tally.time_to_detect_s(),
        exposed_requests: tally.exposed_requests(),
        exposed_units: tally.exposed_units(),
        differences: (index > 0).then(|| tally.differences()),
        frontier: false,
        same_as: None,
        dominated_by: Vec::new(),
        worlds: tally.worlds(index == 0),
    };
    let objectives = tally.objectives();
    (row, objectives)
}

/// Rows with their standing among all.
fn placed(rows: Vec<(VariantRow, Objectives)>) -> Vec<VariantRow> {
    let objectives: Vec<Objectives> = rows.iter().map(|(_, objectives)| *objectives).collect();
    let standings = comparison::standings(&objectives);
    let place = |((mut row, _), standing): ((VariantRow, Objectives), comparison::Standing)| {
        row.frontier = standing.frontier;
        row.same_as = standing.same_as.map(|other| other + 1);
        row.dominated_by = standing.dominated_by.into_iter().map(|other| other + 1).collect();
        row
    };
    rows.into_iter().zip(standings).map(place).collect()
}

/// The command that gives the same comparison, whatever the number of threads and wherever it is written.
pub(super) fn command(args: &CompareArgs) -> String {
    let mut words = vec!["replay compare".to_owned(), quoted(&args.log)];
    for scenario in &args.scenario {
        words.push(format!("--scenario {}", quoted(&scenario.display().to_string())));
    }
    words.extend(args.sweep.iter().map(|sweep| format!("--sweep {}", quoted(sweep))));
    words.extend(args.strategies.then(|| "--strategies".to_owned()));
    words.extend(args.shadow.iter().map(|time| format!("--shadow {}", quoted(time))));
    words.extend(args.replicates.map(|replicates| format!("--replicates {replicates}")));
    words.extend(args.seed.map(|seed| format!("--seed {seed}")));
    words.join(" ")
}
