//! Requests with several recorded outputs of a version: outputs → a log in which each request has one of each, drawn at random.
//!
//! Later stages see that log, in which a request counts once whatever its outputs are. Replicates draw again, from the outputs that are
//! kept beside it, and the shadow report takes the mean over all of them.

use std::collections::HashMap;

use super::Digest;
use super::bins::BinLists;
use super::cells::{Cells, DenominatorSums, Judged, MetricCells, PairedSums, SumCells, Sums};
use crate::assign::{KeyedHash, unit_key};
use crate::domain::version::{PerVersion, Version};
use crate::error::{Problem, Result};
use crate::ingest::schema::{self, NULL_NAME};
use crate::scenario::Scenario;

/// Streams of draws begin here, stable's first: no stage's places have as many.
const FIRST_STREAM: u32 = 1 << 30;

/// What is drawn from: outputs of requests, which are the digest's cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Trials {
    /// The log as recorded: a cell for each trial of a request.
    pub outputs: Box<Digest>,
    /// Per request: its first cell there.
    pub first: Vec<u32>,
    /// Per request: what its draws are made by.
    pub keys: Vec<u64>,
    /// Per version: the cells that hold its outputs of each request. Requests without an output of the candidate have none.
    pub of: PerVersion<Lists>,
}

/// A list of cells for each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists {
    offsets: Vec<u32>,
    cells: Vec<u32>,
}

impl Lists {
    fn new() -> Self {
        Self { offsets: vec![0], cells: Vec::new() }
    }

    fn push(&mut self, cells: impl Iterator<Item = u32>) {
        self.cells.extend(cells);
        self.offsets.push(self.cells.len() as u32);
    }

    /// Those of a request.
    #[must_use]
    pub fn of(&self, request: usize) -> &[u32] {
        &self.cells[self.offsets[request] as usize..self.offsets[request + 1] as usize]
    }

    fn requests(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.offsets.len() - 1).map(|request| self.of(request))
    }
}

/// Which of its outputs a request is served, at random.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// That of the replicate.
    pub hash: KeyedHash,
    /// Turns every draw by this part of the whole.
    turn: f64,
}

impl Draw {
    /// The draw of a replicate; the log that later stages see is that of the largest number.
    #[must_use]
    pub fn of_replicate(seed: u64, replicate: u64) -> Self {
        Self { hash: KeyedHash::of_replicate(seed, replicate), turn: 0.0 }
    }

    /// The same turned by a part of the whole: turned by equal parts, every output of a request is served equally often.
    #[must_use]
    pub fn turned(self, turn: f64) -> Self {
        Self { turn, ..self }
    }

    /// One of the outputs of a request, for a copy of its unit; `None` if there is none.
    #[must_use]
    pub fn pick(self, outputs: &[u32], key: u64, version: Version, copy: u8) -> Option<u32> {
        let first = if version == Version::Stable { FIRST_STREAM } else { 2 * FIRST_STREAM };
        let place = (self.hash.uniform(key, first + u32::from(copy)) + self.turn).fract();
        let last = outputs.len().checked_sub(1)?;
        outputs.get(((place * outputs.len() as f64) as usize).min(last)).copied()
    }
}

/// Puts outputs of the same request together, where the scenario says that there are several: what is left of the log has one of each.
///
/// # Errors
/// The same output twice; a request whose outputs do not agree on its unit, time or segments.
pub fn drawn(digest: Digest, place: &str, scenario: &Scenario) -> Result<Digest> {
    let (Some(trial), Some(request)) = (&scenario.log.trial, &scenario.log.request) else { return Ok(digest) };
    let names = Names { place, request, trial, has_item: scenario.log.item.is_some() };
    let found = Found::of(&digest, &names, scenario)?;
    let draw = Draw::of_replicate(scenario.simulation.seed, u64::MAX);
    let picked = PerVersion::from_fn(|version| {
        let mut picked = Lists::new();
        for (request, outputs) in found.of.get(version).requests().enumerate() {
            picked.push(draw.pick(outputs, found.keys[request], version, 0).into_iter());
        }
        picked
    });
    let cells = found.cells(&digest, &picked);
    let Found { first, keys, of, items, .. } = found;
    let mut facts = digest.facts.clone();
    facts.rows = first.len() as u64;
    Ok(Digest {
        facts,
        slot: digest.slot,
        first: digest.first,
        slots: digest.slots,
        units: digest.units.clone(),
        members: digest.members.clone(),
        segments: digest.segments.clone(),
        items,
        cells,
        trials: Some(Trials { outputs: Box::new(digest), first, keys, of }),
    })
}

impl Trials {
    /// Requests of which a version has any output, and those of which it has only one.
    #[must_use]
    pub fn single(&self, version: Version) -> (u64, u64) {
        let count = |holds: &dyn Fn(usize) -> bool| {
            self.of.get(version).requests().filter(|outputs| holds(outputs.len())).count() as u64
        };
        (count(&|outputs| outputs > 0), count(&|outputs| outputs == 1))
    }

    /// Cells of a metric in which a request has the mean of its outputs, pairs that of all pairs; `None` of what is no sum of requests'
    /// values.
    #[must_use]
    pub fn means(&self, of_outputs: &MetricCells) -> Option<MetricCells> {
        match of_outputs {
            MetricCells::Sums(sums) => Some(MetricCells::Sums(mean_sums(sums, &self.of))),
            MetricCells::Bins(_) => None,
        }
    }
}

/// What the columns are called, for messages.
struct Names<'a> {
    place: &'a str,
    request: &'a str,
    trial: &'a str,
    has_item: bool,
}

/// Requests, by their outputs.
struct Found {
    first: Vec<u32>,
    keys: Vec<u64>,
    of: PerVersion<Lists>,
    /// Sorted, and that of each request; none where the scenario names no item.
    items: Vec<String>,
    item: Vec<u32>,
}

impl Found {
    fn of(digest: &Digest, names: &Names<'_>, scenario: &Scenario) -> Result<Self> {
        let cells = &digest.cells;
        let mut problems = Problems { names, digest, twice: None, torn: None };
        let mut requests: Vec<(&str, &str)> = Vec::with_capacity(cells.len());
        for &item in &cells.item {
            let Some(found) = schema::output(&digest.items[item as usize]) else {
                let message = format!("`{}` names no output: it has no trial", digest.items[item as usize]);
                return Err(Problem::new(names.place, message).hint("make the digest again from the log").into());
            };
            requests.push(found);
        }
        // Cells are sorted by slot, unit, segments and output: those of one request are neighbours.
        let same = |a: usize, b: usize| {
            requests[a].0 == requests[b].0
                && cells.slot[a] == cells.slot[b]
                && cells.unit[a] == cells.unit[b]
                && cells.segment.iter().all(|column| column[a] == column[b])
        };
        let starts: Vec<usize> = (0..cells.len()).filter(|&cell| cell == 0 || !same(cell - 1, cell)).collect();
        let ends = starts.iter().skip(1).copied().chain([cells.len()]);
        let mut found = Self {
            first: starts.iter().map(|&cell| cell as u32).collect(),
            keys: Vec::with_capacity(starts.len()),
            of: PerVersion::from_fn(|_| Lists::new()),
            items: Vec::new(),
            item: Vec::new(),
        };
        let mut of_request: Vec<&str> = Vec::new();
        let mut known: HashMap<&str, usize> = HashMap::with_capacity(starts.len());
        let is_wide = scenario.log.served.is_none();
        for (&start, end) in starts.iter().zip(ends) {
            let (item, request) = schema::item_of(requests[start].0, names.has_item);
            for (cell, &(_, trial)) in requests.iter().enumerate().take(end).skip(start) {
                let most = Version::BOTH.map(|version| cells.covered_by(version)[cell]).into_iter().fold(0.0, f64::max);
                if most > 1.0 || is_wide && cells.rows[cell] > 1.0 {
                    problems.twice.get_or_insert((request, trial));
                }
            }
            if let Some(&other) = known.get(request) {
                problems.torn.get_or_insert((request, [other, start]));
            }
            known.insert(request, start);
            let has = |version: Version| move |&cell: &u32| cells.covered_by(version)[cell as usize] > 0.0;
            let all = || start as u32..end as u32;
            let is_mirrored = all().any(|cell| has(Version::Candidate)(&cell));
            found.of.stable.push(all().filter(has(Version::Stable)).filter(|_| is_mirrored));
            found.of.candidate.push(all().filter(has(Version::Candidate)));
            found.keys.push(unit_key(request));
            of_request.push(item.unwrap_or(NULL_NAME));
        }
        problems.none()?;
        let has_both = found.of.stable.requests().zip(found.of.candidate.requests());
        if !has_both.into_iter().any(|(stable, candidate)| !stable.is_empty() && !candidate.is_empty()) {
            let message = "no request has outputs of both versions";
            let hint =
                "there is nothing to compare: look whether `log.request` names the same request in the rows of both";
            return Err(Problem::new(format!("{}: column `{}`", names.place, names.request), message)
                .hint(hint)
                .into());
        }
        if names.has_item {
            let mut items = of_request.clone();
            items.sort_unstable();
            items.dedup();
            let index = |item: &&str| items.partition_point(|other| other < item) as u32;
            found.item = of_request.iter().map(index).collect();
            found.items = items.into_iter().map(str::to_owned).collect();
        }
        Ok(found)
    }

    /// A cell for each request, with the picked outputs.
    fn cells(&self, digest: &Digest, picked: &PerVersion<Lists>) -> Cells {
        let of = &digest.cells;
        let firsts = || self.first.iter().map(|&cell| cell as usize);
        let has = |outputs: &[u32]| f64::from(u8::from(!outputs.is_empty()));
        let judged = |judged: &Judged| Judged {
            asked: judged.asked_candidate.as_ref().map(|asked| {
                picked
                    .candidate
                    .requests()
                    .map(|picked| picked.iter().map(|&cell| asked[cell as usize]).sum())
                    .collect()
            }),
            asked_candidate: None,
            labels: None,
            recorded: judged.recorded.as_ref().map(|recorded| picked_cells(recorded, picked)),
        };
        Cells {
            slot: firsts().map(|cell| of.slot[cell]).collect(),
            unit: firsts().map(|cell| of.unit[cell]).collect(),
            segment: of.segment.iter().map(|column| firsts().map(|cell| column[cell]).collect()).collect(),
            item: self.item.clone(),
            rows: vec![1.0; self.first.len()],
            covered: picked.candidate.requests().map(has).collect(),
            covered_candidate: None,
            metrics: of.metrics.iter().map(|metric| picked_cells(metric, picked)).collect(),
            judged: of.judged.iter().map(judged).collect(),
        }
    }
}

/// What is wrong with the outputs, the first of each kind.
struct Problems<'a> {
    names: &'a Names<'a>,
    digest: &'a Digest,
    /// Request and trial.
    twice: Option<(&'a str, &'a str)>,
    /// A request, and two cells that disagree.
    torn: Option<(&'a str, [usize; 2])>,
}

impl Problems<'_> {
    fn none(&self) -> Result<()> {
        let Names { place, request: column, trial, .. } = self.names;
        let mut problems = Vec::new();
        if let Some((request, number)) = self.twice {
            let message = format!("trial `{number}` of request `{request}` is there more than once for a version");
            let hint = format!("give every output of a request a `{trial}` of its own");
            problems.push(Problem::new(format!("{place}: column `{trial}`"), message).hint(hint));
        }
        if let Some((request, cells)) = self.torn {
            let message = format!("outputs of request `{request}` have {}", self.difference(cells));
            let hint = "who asked, when and in which segments belongs to a request: write the same in the rows of all its outputs";
            problems.push(Problem::new(format!("{place}: column `{column}`"), message).hint(hint));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
    }

    fn difference(&self, [one, other]: [usize; 2]) -> String {
        let (digest, cells) = (self.digest, &self.digest.cells);
        if cells.unit[one] != cells.unit[other] {
            let unit = |cell: usize| &digest.units[cells.unit[cell] as usize];
            return format!("different units: `{}` and `{}`", unit(one), unit(other));
        }
        if cells.slot[one] != cells.slot[other] {
            return "times in different slots".into();
        }
        let apart = cells.segment.iter().zip(&digest.segments).find(|(column, _)| column[one] != column[other]);
        match apart {
            Some((column, segment)) => {
                let value = |cell: usize| &segment.values[usize::from(column[cell])];
                format!("different values of `{}`: `{}` and `{}`", segment.name, value(one), value(other))
            }
            None => "different items".into(),
        }
    }
}

/// A metric's cells with at most one output of each version for each request.
fn picked_cells(of: &MetricCells, picked: &PerVersion<Lists>) -> MetricCells {
    match of {
        MetricCells::Sums(sums) => MetricCells::Sums(mean_sums(sums, picked)),
        MetricCells::Bins(lists) => MetricCells::Bins(PerVersion::from_fn(|version| {
            let mut own = BinLists { offsets: vec![0], bins: Vec::new() };
            for outputs in picked.get(version).requests() {
                for &cell in outputs {
                    own.bins.extend_from_slice(lists.get(version).of(cell as usize));
                }
                own.offsets.push(u32::try_from(own.bins.len()).expect("these are some of the digest's requests"));
            }
            own
        })),
    }
}

/// Sums of requests with the mean of some outputs of each version. A pair has both, each drawn without regard to the other.
fn mean_sums(sums: &SumCells, outputs: &PerVersion<Lists>) -> SumCells {
    let version: PerVersion<Sums> = PerVersion::from_fn(|version| {
        let (of, lists) = (sums.version.get(version), outputs.get(version));
        let mean = |values: &Vec<f64>| -> Vec<f64> {
            let of_request = |cells: &[u32]| {
                let sum: f64 = cells.iter().map(|&cell| values[cell as usize]).sum();
                sum / cells.len().max(1) as f64
            };
            lists.requests().map(of_request).collect()
        };
        Sums {
            n: mean(&of.n),
            num: mean(&of.num),
            num2: mean(&of.num2),
            denominator: of.denominator.as_ref().map(|of| DenominatorSums {
                den: mean(&of.den),
                den2: mean(&of.den2),
                numden: mean(&of.numden),
            }),
        }
    });
    let times = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a * b).collect() };
    let (stable, candidate) = (&version.stable, &version.candidate);
    let with_pair = |of: &[f64], version: Version| match version {
        Version::Stable => times(of, &candidate.n),
        Version::Candidate => times(of, &stable.n),
    };
    let paired = PairedSums {
        n: times(&stable.n, &candidate.n),
        num: PerVersion::from_fn(|of| with_pair(&version.get(of).num, of)),
        den: sums.paired.den.as_ref().map(|_| {
            PerVersion::from_fn(|of| {
                let own = version.get(of);
                with_pair(own.denominator.as_ref().map_or(&own.n, |of| &of.den), of)
            })
        }),
        product: sums.paired.product.as_ref().map(|_| times(&stable.num, &candidate.num)),
    };
    SumCells { version, paired }
}
