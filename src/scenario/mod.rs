//! What the user asks for: checked, with every default resolved.
//!
//! The text of a scenario becomes JSON with places (`places`), is held against the JSON Schema that is generated from
//! the written form (`wire`, `schema`, `structure`), and what is left is checked for its meaning (`validate`).

mod hours;
mod places;
mod problems;
mod quantities;
pub mod rewrite;
pub mod schema;
mod starts;
pub mod strategies;
mod structure;
pub mod sweep;
mod validate;
mod wire;

use crate::assign::Platform;
use crate::assign::overrides::Overrides;
use crate::domain::gate::{Decision, Gate, Test, Waits};
use crate::domain::metric::Metric;
use crate::domain::quantity::Seconds;
use crate::domain::rollout::{Budget, Promotion, Rollout, Stage, Sticky};
use crate::domain::version::PerVersion;
use crate::domain::world::{CURVE_MULTIPLES, Effect, World};

/// What to do with a row that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBadRow {
    /// Stop with its place.
    Refuse,
    /// Leave it out and count it.
    Exclude,
}

/// Whether a log shorter than the schedule may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tile {
    /// Never.
    None,
    /// Whole weeks are repeated, and every result says so.
    Week,
}

/// What says which version served a row, in a log in long form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Column of the version's name.
    pub column: String,
    /// What each version is called there.
    pub names: PerVersion<String>,
}

/// Files of outputs, joined to the log by a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Column of the key, in the log and in each file.
    pub on: String,
    /// A file, a pattern or a directory of each version's outputs; without one they are columns of the log.
    pub files: PerVersion<Option<String>>,
}

/// Which columns of the log mean what.
#[derive(Debug, Clone, PartialEq)]
pub struct LogMapping {
    /// Column of the request's time; with `spread`, what a drawn time is called.
    pub timestamp: String,
    /// Time zone of display and of weekly starts; calculation is in UTC.
    pub timezone: String,
    /// Column of the request's id, if duplicates are to be found.
    pub request: Option<String>,
    /// Column of what recorded outputs belong to besides the unit.
    pub item: Option<String>,
    /// Where requests have several recorded outputs of a version: column of the output's number.
    pub trial: Option<String>,
    /// Segment columns.
    pub segments: Vec<String>,
    /// Width of a slot.
    pub slot: Seconds,
    /// Rows with a null unit or a null or unparsable time stamp.
    pub missing: OnBadRow,
    /// Rows with a request id seen before; `Exclude` keeps the first.
    pub duplicates: OnBadRow,
    /// Whether a short log may be repeated.
    pub tile: Tile,
    /// In long form, which version served a row; else every row has the outcomes of both.
    pub served: Option<Served>,
    /// Where outputs lie in files of their own.
    pub join: Option<Join>,
    /// Where only first turns of conversations count: column of the turn's number.
    pub first_turns: Option<String>,
    /// A log without times: its units come at moments drawn over so long.
    pub spread: Option<Seconds>,
    /// Rows that count: the allowed values of each column. Empty: all.
    pub only: Vec<(String, Vec<String>)>,
}

impl LogMapping {
    /// Whether a row may have an outcome of either version without the other: in long form, and where requests have several outputs.
    #[must_use]
    pub fn covers_apart(&self) -> bool {
        self.served.is_some() || self.trial.is_some()
    }

    /// Whether cells are told apart by what recorded outputs belong to.
    #[must_use]
    pub fn has_items(&self) -> bool {
        self.item.is_some() || self.trial.is_some()
    }
}

/// Who is assigned, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Column of the sticky unit.
    pub unit: String,
    /// How long a unit keeps its version.
    pub sticky: Sticky,
    /// Where not the unit draws but each session or request of it: the column of those. With cookies requests draw, for their user.
    pub within: Option<String>,
    /// The flag platform that will run the rollout.
    pub platform: Platform,
    /// Cells are of about so many buckets in place of units.
    pub buckets: Option<u32>,
    /// Units with a version of their own.
    pub overrides: Overrides,
}

impl Assignment {
    /// Column of what is drawn, and by which gates count.
    #[must_use]
    pub fn inference(&self) -> &str {
        self.within.as_ref().filter(|_| self.sticky != Sticky::Cookie).unwrap_or(&self.unit)
    }
}

/// How often a logged unit appears in a replicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resample {
    /// Poisson(1) copies, each assigned on its own.
    Poisson,
    /// Exactly once.
    None,
}

/// Which A/A the `null` world is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Null {
    /// The candidate answers as stable did.
    Stable,
    /// The two recorded answers of a whole unit are exchanged with probability 1/2: an exact null that keeps the candidate's tails.
    Swap,
}

/// How the simulation runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Simulation {
    /// Number of replicates.
    pub replicates: usize,
    /// Drives everything random.
    pub seed: u64,
    /// How often a logged unit appears.
    pub resample: Resample,
    /// Which A/A the `null` world is.
    pub null: Null,
}

/// A scenario that the program trusts.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Where it was read from, for messages and reports.
    pub path: String,
    /// xxh3 of the bytes of the file, and of its overrides, in hexadecimal.
    pub fingerprint: String,
    /// The user's own words.
    pub about: String,
    /// Columns.
    pub log: LogMapping,
    /// Who is assigned.
    pub assignment: Assignment,
    /// In the order written.
    pub metrics: Vec<Metric>,
    /// In the order they run; exposure never shrinks.
    pub stages: Vec<Stage>,
    /// In the order written.
    pub gates: Vec<Gate>,
    /// Promotion and start.
    pub rollout: Rollout,
    /// In the order written.
    pub effects: Vec<Effect>,
    /// Replicates and seed.
    pub simulation: Simulation,
}

impl Scenario {
    /// How long the whole schedule runs.
    #[must_use]
    pub fn duration(&self) -> Seconds {
        Seconds(self.stages.iter().map(|stage| stage.duration.0).sum())
    }

    /// How long a stage may be held past its duration: not where no gate would hold it.
    #[must_use]
    pub fn hold(&self, stage: usize) -> Seconds {
        if self.stages[stage].paired.is_some() {
            // It is asked once.
            return Seconds(0);
        }
        let holds = |gate: &Gate| gate.asked_in(&self.stages[stage]) && self.waits(gate, stage).any();
        if self.gates.iter().any(holds) { self.rollout.max_hold } else { Seconds(0) }
    }

    /// For how long a stage may be paused: whole times between looks, none where no gate pauses it.
    #[must_use]
    pub fn pause(&self, stage: usize) -> Seconds {
        let facts = &self.stages[stage];
        let pauses = |gate: &Gate| gate.on_fail == Decision::Hold && gate.asked_in(facts);
        // Pairs say the same whenever a person comes to look.
        match self.rollout.resume.filter(|_| facts.paired.is_none() && self.gates.iter().any(pauses)) {
            Some(resume) => resume.max_pause.up_to(facts.look_every),
            None => Seconds(0),
        }
    }

    /// How long a stage may then go on until a person lets the rollout leave it, and the next stage may begin: whole times between looks.
    #[must_use]
    pub fn watch(&self, stage: usize) -> Seconds {
        if self.stages[stage].looks() == 0 {
            return Seconds(0);
        }
        let watch = self.longest_to_leave(stage, Some(self.rollout.approval.delay.longest()));
        // Paused until it may no longer be left, it waits for the next stage's hours once more.
        let again = if self.pause(stage).0 > 0 { self.longest_to_leave(stage, None) } else { Seconds(0) };
        Seconds(watch.0.saturating_add(again.0))
    }

    /// How long a stage may go on past its duration.
    #[must_use]
    pub fn beyond(&self, stage: usize) -> Seconds {
        let parts = [self.hold(stage), self.pause(stage), self.watch(stage)];
        Seconds(parts.iter().map(|part| part.0).fold(0, i64::saturating_add))
    }

    /// Number of looks of all stages when each takes as long as it may.
    #[must_use]
    pub fn most_looks(&self) -> i64 {
        let looks = |(stage, facts): (usize, &Stage)| {
            facts.duration.0.saturating_add(self.beyond(stage).0) / facts.look_every.0
        };
        self.stages.iter().enumerate().map(looks).fold(0, i64::saturating_add)
    }

    /// Whether stages may take longer than their durations.
    #[must_use]
    pub fn prolongs(&self) -> bool {
        self.longest() > self.duration()
    }

    /// What a gate waits for at the end of a stage.
    #[must_use]
    pub fn waits(&self, gate: &Gate, stage: usize) -> Waits {
        let matters = self.rollout.needs_pass(stage) || self.rollout.promote == Promotion::NoFail;
        Waits {
            inconclusive: matters && gate.on_inconclusive != Decision::Promote,
            no_data: gate.on_no_data == Decision::Hold,
        }
    }

    /// How long the schedule runs when every stage takes as long as it may.
    #[must_use]
    pub fn longest(&self) -> Seconds {
        let beyond = (0..self.stages.len()).map(|stage| self.beyond(stage).0);
        Seconds(beyond.fold(self.duration().0, i64::saturating_add))
    }

    /// Every world of a run: recorded, null, each gate's margin, each effect, and the multiples of each gate's `allow` between and beyond.
    #[must_use]
    pub fn worlds(&self) -> Vec<World> {
        let margins = (0..self.gates.len()).map(World::Margin);
        let effects = (0..self.effects.len()).map(World::Effect);
        // Without a regression it is the null world, and at the margin that of the margin.
        let between = |multiple: &usize| ![0.0, 1.0].contains(&CURVE_MULTIPLES[*multiple]);
        let allowing = |gate: &usize| self.gates[*gate].allow.is_some_and(|allow| allow != allow.times(2.0));
        let multiples = (0..self.gates.len()).filter(allowing).flat_map(|gate| {
            (0..CURVE_MULTIPLES.len()).filter(between).map(move |multiple| World::Multiple(gate, multiple))
        });
        [World::Recorded, World::Null].into_iter().chain(margins).chain(effects).chain(multiples).collect()
    }

    /// One-sided error rate of a gate's failing side: its own alpha, or its share of the release's budget; in each stage, or, where it is
    /// spent once, in the whole rollout. A calibration is still to come.
    #[must_use]
    pub fn alpha_fail(&self, gate: usize) -> f64 {
        let rule = &self.gates[gate];
        let Some(budget) = self.rollout.false_rollback.filter(|_| self.rollout.rolls_back(rule)) else {
            return rule.alpha.get();
        };
        // A union bound over gates and stages: it holds whatever the correlation between them.
        let stages = |gate: &Gate| self.stages.iter().filter(|stage| gate.asked_in(stage)).count() as f64;
        let rolling_back = || self.gates.iter().filter(|gate| self.rollout.rolls_back(gate));
        if self.rollout.budget == Budget::Rollout {
            let asked = rolling_back().filter(|gate| stages(gate) > 0.0);
            let total: f64 = asked.map(|gate| gate.weight).sum();
            let once = budget.get() * rule.weight / total.max(rule.weight);
            return if self.spends_once(gate) { once } else { once / stages(rule).max(1.0) };
        }
        let total: f64 = rolling_back().map(|gate| gate.weight * stages(gate)).sum();
        budget.get() * rule.weight / total
    }

    /// A metric and, of embeddings, those of its further features.
    #[must_use]
    pub fn features_of(&self, metric: usize) -> std::ops::Range<usize> {
        metric..metric + self.metrics[metric].kind.feature().map_or(1, |feature| feature.of)
    }

    /// Metrics of the scenario's own, by index: further features of embeddings are not.
    pub fn own_metrics(&self) -> impl Iterator<Item = usize> {
        (0..self.metrics.len()).filter(|&metric| !self.metrics[metric].kind.is_further())
    }

    /// Whether a gate spends its failing error once, over all stages together.
    #[must_use]
    pub fn spends_once(&self, gate: usize) -> bool {
        let rule = &self.gates[gate];
        let budgeted = self.rollout.false_rollback.is_some() && self.rollout.rolls_back(rule);
        // Of a distance the strongest of many statistics is shown, and those of different stages do not combine.
        let combines = matches!(rule.test, Test::GroupSequential(_)) && rule.measure.is_none();
        budgeted && self.rollout.budget == Budget::Rollout && combines
    }

    /// The printed name of a world.
    #[must_use]
    pub fn world_name(&self, world: World) -> String {
        match world {
            World::Recorded => "recorded".into(),
            World::Null => "null".into(),
            World::Margin(gate) => format!("margin: {}", self.gates[gate].name),
            World::Effect(effect) => self.effects[effect].name.clone(),
            World::Multiple(gate, multiple) => {
                format!("{} × allow: {}", CURVE_MULTIPLES[multiple], self.gates[gate].name)
            }
        }
    }
}

#[cfg(test)]
mod tests;
