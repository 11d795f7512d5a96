//! Stages that expose nobody: pairs of answers of a golden set, or of mirrored traffic → what each replicate shows its gates.
//!
//! Both versions answer the same requests, so what is common to a pair drops out of their difference. A replicate takes each unit as often as
//! it has copies: of mirrored traffic those that the later stages assign, of a golden set its own, drawn anew. Each copy is a unit of its own.
//!
//! # Worlds
//! Answers as recorded are the recorded ones. In every other world the candidate is one whose answers scatter around stable's as the recorded
//! ones do, with the mean that the world says: its recorded answers are shifted by what the world's value and the recorded one are apart over
//! all pairs of the stage, and an effect that is not the same for all requests is added where it holds. Exactly stable's answers would differ
//! from stable's by nothing at all, and no test could ever err.

pub mod golden;

mod pairs;
mod window;

use std::collections::BTreeMap;

use crate::assign::{KeyedHash, unit_key};
use crate::digest::Digest;
use crate::domain::metric::MetricKind;
use crate::domain::rollout::PairSource;
use crate::gate::lens::Lens;
use crate::gate::question::{Contrast, Question};
use crate::scenario::{Resample, Scenario, Tile};
use crate::simulate::lanes::{Lane, poisson_one};
use crate::simulate::{Simulator, whole_weeks};
use golden::Golden;
use window::{Source, Window};

/// Streams of the draws of how many copies a unit of a golden set has go down from here, one for each stage; those of coins for exchanged
/// answers lie above.
const GOLDEN_STREAM: u32 = u32::MAX - (1 << 16);

/// What a question's pairs show under a lens: beyond the margin that may not be exceeded to pass, and beyond the one that must be exceeded to
/// fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    /// To pass.
    pub pass: Contrast,
    /// To fail.
    pub fail: Contrast,
    /// Units with a pair.
    pub units: f64,
    /// Pairs.
    pub requests: f64,
    /// Stable's value; of a quantile its share of requests above the threshold.
    pub stable: f64,
}

/// Per gate, question and lens; nothing where the stage does not ask or there is no pair.
pub type Said = Vec<Vec<Vec<Option<Shown>>>>;

/// What is asked of one gate.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Its questions.
    pub questions: &'a [Question],
    /// The ways in which worlds show its metric.
    pub lenses: &'a [Lens],
}

/// The pairs of every such stage of a scenario.
pub struct Pairs<'a> {
    scenario: &'a Scenario,
    simulator: &'a Simulator,
    digest: &'a Digest,
    golden: &'a [Option<Golden>],
    /// Per stage: the window of a golden set, which is the same for all starts.
    fixed: Vec<Option<Window>>,
    /// What everyone in it shows, once.
    expected: Vec<Option<Said>>,
}

/// Windows of the stages that mirror traffic, by stage.
pub type Windows = BTreeMap<usize, Window>;

impl<'a> Pairs<'a> {
    /// Of a log and the golden sets of its stages.
    #[must_use]
    pub fn new(
        scenario: &'a Scenario,
        simulator: &'a Simulator,
        (digest, golden): (&'a Digest, &'a [Option<Golden>]),
        asked: &[Asked<'_>],
    ) -> Self {
        let mut pairs = Self { scenario, simulator, digest, golden, fixed: Vec::new(), expected: Vec::new() };
        let fixed = |stage: usize| {
            let golden = pairs.golden[stage].as_ref()?;
            let source = Source { golden: Some(golden), digest: &golden.digest, log: digest, scenario, simulator };
            Some(source.window(
                stage,
                std::slice::from_ref(&(0..golden.digest.slots as usize)),
                pairs.elapsed(stage),
                asked,
            ))
        };
        let fixed: Vec<Option<Window>> = (0..scenario.stages.len()).map(fixed).collect();
        let everyone = |(stage, window): (usize, &Option<Window>)| {
            Some(window.as_ref()?.said(&vec![1.0; pairs.golden[stage].as_ref()?.digest.units.len()]))
        };
        pairs.expected = fixed.iter().enumerate().map(everyone).collect();
        pairs.fixed = fixed;
        pairs
    }

    /// Slots of the rollout before a stage, if none is held.
    fn elapsed(&self, stage: usize) -> usize {
        self.simulator.plan[..stage].iter().map(crate::simulate::StagePlan::own_slots).sum()
    }

    /// The windows of a start whose stages are held for so many slots.
    #[must_use]
    pub fn windows(&self, start: usize, held: &[usize], asked: &[Asked<'_>]) -> Windows {
        let (log, scenario, simulator) = (self.digest, self.scenario, self.simulator);
        let window = |(stage, begin): (usize, usize)| {
            let source = Source { golden: None, digest: log, log, scenario, simulator };
            let slots = begin..begin + simulator.plan[stage].own_slots();
            (stage, source.window(stage, &self.in_log(slots), begin - start, asked))
        };
        self.mirrored(start, held).into_iter().map(window).collect()
    }

    /// Stages that mirror traffic, and where they begin.
    fn mirrored(&self, start: usize, held: &[usize]) -> Vec<(usize, usize)> {
        let mut begin = start;
        let mut found = Vec::new();
        for (stage, facts) in self.scenario.stages.iter().enumerate() {
            if facts.paired.as_ref().is_some_and(|paired| paired.source == PairSource::Mirror) {
                found.push((stage, begin));
            }
            begin += self.simulator.plan[stage].own_slots() + held.get(stage).copied().unwrap_or(0);
        }
        found
    }

    /// Slots of a rollout as slots of the log, which may be repeated.
    fn in_log(&self, slots: std::ops::Range<usize>) -> Vec<std::ops::Range<usize>> {
        let weeks = if self.scenario.log.tile == Tile::Week { whole_weeks(self.digest) } else { 0 };
        if weeks == 0 {
            return vec![slots];
        }
        let mut found = Vec::new();
        let mut from = slots.start;
        while from < slots.end {
            let first = from % weeks;
            let last = weeks.min(first + (slots.end - from));
            found.push(first..last);
            from += last - first;
        }
        found
    }

    /// Per stage: what a replicate shows of its pairs.
    #[must_use]
    pub fn said(&self, windows: &Windows, lane: &Lane) -> Vec<Option<Said>> {
        let copies: Vec<f64> = lane.copies.iter().map(|&copies| f64::from(copies)).collect();
        let of_stage = |(stage, fixed): (usize, &Option<Window>)| match fixed {
            Some(window) => Some(window.said(&self.golden_copies(stage, lane.replicate))),
            None => windows.get(&stage).map(|window| window.said(&copies)),
        };
        self.fixed.iter().enumerate().map(of_stage).collect()
    }

    /// What is expected of a stage from a start: everyone counts once.
    #[must_use]
    pub fn expected(&self, stage: usize, start: usize, asked: &[Asked<'_>]) -> Said {
        if let Some(expected) = &self.expected[stage] {
            return expected.clone();
        }
        let windows = self.windows(start, &[], asked);
        windows.get(&stage).map_or_else(Vec::new, |window| window.said(&vec![1.0; self.digest.units.len()]))
    }

    /// Whether a golden set as a whole shows a question beyond its failing margin, under a lens; `None` of other stages.
    #[must_use]
    pub fn is_harmful(&self, stage: usize, gate: usize, question: usize, lens: usize) -> Option<bool> {
        let shown = self.expected[stage].as_ref()?[gate][question].get(lens)?.as_ref();
        // The margin itself is not past the margin, whatever rounding says.
        Some(shown.is_some_and(|shown| shown.fail.difference > 1e-9 * shown.stable.abs()))
    }

    /// How often a replicate has each unit of a golden set.
    fn golden_copies(&self, stage: usize, replicate: u64) -> Vec<f64> {
        let units = self.golden[stage].as_ref().map_or(&[][..], |golden| &golden.digest.units);
        if self.scenario.simulation.resample == Resample::None || replicate == u64::MAX {
            return vec![1.0; units.len()];
        }
        let hash = KeyedHash::of_replicate(self.scenario.simulation.seed, replicate);
        let stream = GOLDEN_STREAM - stage as u32;
        units.iter().map(|unit| f64::from(poisson_one(hash.uniform(unit_key(unit), stream)))).collect()
    }

    /// The golden set of a stage.
    #[must_use]
    pub fn golden(&self, stage: usize) -> Option<&Golden> {
        self.golden[stage].as_ref()
    }

    /// What the candidate's answer to a request of a stage costs in US dollars, on average from a start.
    #[must_use]
    pub fn cost_usd(&self, stage: usize, start: usize, metric: usize) -> Option<f64> {
        let (digest, metric, slots) = if let Some(golden) = &self.golden[stage] {
            (&golden.digest, golden.metrics[metric]?, std::iter::once(0..golden.digest.slots as usize).collect())
        } else {
            let begin = start + self.elapsed(stage);
            (self.digest, metric, self.in_log(begin..begin + self.simulator.plan[stage].own_slots()))
        };
        let crate::digest::cells::MetricCells::Sums(sums) = &digest.cells.metrics[metric] else { return None };
        let of = &sums.version.candidate;
        let cells = slots.into_iter().flat_map(|slots| window::cells_of(digest, slots));
        let (cost, requests) = cells.fold((0.0, 0.0), |(cost, n), cell| (cost + of.num[cell], n + of.n[cell]));
        (requests > 0.0).then(|| cost / requests)
    }
}

/// Whether a metric's regressions are told in its own unit, and not in shares of requests above a threshold.
pub(crate) fn in_own_unit(kind: &MetricKind) -> bool {
    !matches!(kind, MetricKind::Quantile { .. })
}
