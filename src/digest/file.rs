//! The digest on disk: one Parquet file whose metadata says how it was made, so that any number of them can be merged.
//!
//! Columns: `unit`, `slot_start`, `segment.NAME` for each segment column, `item` where the scenario names one
//! (with `log.trial` also request and trial, parted by U+001F), `rows`, `covered` (and `covered.candidate` of a log in long form or with
//! trials), and for each metric `NAME.stable.n`, `.num`, `.num2` (and `.den`, `.den2`, `.numden` of a ratio), the same
//! of `candidate`, and `NAME.paired.…`; or `NAME.stable.bins` and `NAME.candidate.bins` of a quantile; then `NAME.asked` (and `NAME.asked.candidate`,
//! as above) of a judge that samples and `NAME.stable.labelled.…` where people labelled. Sums are as recorded: what missing values count
//! as, and how a judge errs, is applied when a digest is used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use polars::prelude::*;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::bins::BinLists;
use super::layout::{self, Codes, ColumnKind, NULL_NAME, Table, Values, ValuesRef};
use super::pages::PagesWriter;
use super::{Digest, Facts, build};
use crate::assign::Buckets;
use crate::domain::metric::{Metric, MetricKind, Source};
use crate::domain::quantity::{Moment, Seconds};
use crate::domain::version::{PerVersion, Version};
use crate::error::{Error, Problem, Result};
use crate::ingest::engine::guarded;
use crate::ingest::values::whole;
use crate::scenario::Scenario;

/// Key of the metadata that makes a Parquet file a digest.
const METADATA_KEY: &str = "replay.digest";
const SCHEMA: &str = "replay.digest/2";

const UNIT: &str = "unit";
const SLOT_START: &str = "slot_start";
const ITEM: &str = "item";
const ROWS: &str = "rows";
const COVERED: &str = "covered";
const COVERED_CANDIDATE: &str = "covered.candidate";

/// What a digest says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    schema: String,
    slot_s: i64,
    unit: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    buckets: Option<Held>,
    segments: Vec<String>,
    item: Option<String>,
    /// Where requests have several outputs: columns of the request and of the trial.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    trial: Option<[String; 2]>,
    /// Of a log in long form.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    served: Option<String>,
    /// Column of the turn, where only first turns counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    first_turns: Option<String>,
    /// Of a log without times: seconds over which units come.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    spread_s: Option<i64>,
    /// Rows that counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    only: Option<String>,
    metrics: Vec<Definition>,
    facts: FactsText,
}

/// Buckets that cells have in place of units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Held {
    /// Says which unit is in which.
    by: String,
    /// Units of the log in each, by its name.
    members: BTreeMap<String, u64>,
}

/// What of a metric went into its cells. The quantile, the direction, the unit, what a null means and how the judge errs
/// did not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Definition {
    name: String,
    kind: String,
    stable: Columns,
    candidate: Columns,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    over: Option<f64>,
    /// Of a judge that samples.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sample: Option<Sample>,
    /// Columns of people's labels, stable's first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    human: Option<[String; 2]>,
    /// `stable`, where only its outcomes are known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    observed: Option<String>,
}

/// Which requests a judge is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Sample {
    share: f64,
    seed: u64,
}

/// Columns of one version; without one it is 1 for each request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Columns {
    numerator: Option<String>,
    denominator: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FactsText {
    rows: u64,
    start: i64,
    end: i64,
    fingerprint: String,
    excluded_null_unit: u64,
    excluded_timestamp: u64,
    excluded_duplicate: u64,
    /// Outputs of stable and the candidate that belong to no request.
    #[serde(skip_serializing_if = "is_none_unasked", default)]
    unasked: [u64; 2],
}

fn is_none_unasked(unasked: &[u64; 2]) -> bool {
    *unasked == [0, 0]
}

impl Definition {
    fn of(metric: &Metric, seed: u64) -> Self {
        let one = |column: &PerVersion<String>| {
            column.map(|name| Columns { numerator: Some(name.clone()), denominator: None })
        };
        let (columns, over) = match &metric.kind {
            MetricKind::Mean { column }
            | MetricKind::Quantile { column, .. }
            | MetricKind::Drift { column, .. }
            | MetricKind::Embedding { value: column, .. } => (one(column), None),
            MetricKind::Proportion { column, over } | MetricKind::Rare { column, over } => (one(column), *over),
            MetricKind::Ratio { numerator, denominator } => {
                let name = |source: &Source| match source {
                    Source::Column(name) => Some(name.clone()),
                    Source::Requests => None,
                };
                let columns = PerVersion::from_fn(|version| Columns {
                    numerator: name(numerator.get(version)),
                    denominator: name(denominator.get(version)),
                });
                (columns, None)
            }
        };
        Self {
            name: metric.name.clone(),
            kind: metric.kind.name().into(),
            stable: columns.stable,
            candidate: columns.candidate,
            over,
            sample: metric.judge.share.map(|share| Sample { share, seed }),
            human: metric.judge.human.as_ref().map(|human| [human.stable.clone(), human.candidate.clone()]),
            observed: metric.stable_only.then(|| Version::Stable.name().into()),
        }
    }

    /// For messages.
    fn words(&self) -> String {
        let columns = |columns: &Columns| {
            let name = |name: &Option<String>| name.as_ref().map_or("requests".into(), |name| format!("`{name}`"));
            match self.kind.as_str() {
                "ratio" => format!("{} / {}", name(&columns.numerator), name(&columns.denominator)),
                _ => name(&columns.numerator),
            }
        };
        let over = self.over.map_or(String::new(), |over| format!(" over {over}"));
        let sample =
            self.sample.map_or(String::new(), |sample| format!(", share {} by seed {}", sample.share, sample.seed));
        let human = self.human.as_ref().map_or(String::new(), |[s, c]| format!(", labels `{s}` and `{c}`"));
        let observed = self.observed.as_ref().map_or(String::new(), |version| format!(", observed of {version}"));
        format!(
            "{} of {} and {}{over}{sample}{human}{observed}",
            self.kind,
            columns(&self.stable),
            columns(&self.candidate)
        )
    }
}

impl Header {
    fn of(scenario: &Scenario, facts: &Facts, members: &BTreeMap<String, u64>) -> Self {
        let assignment = &scenario.assignment;
        let buckets = Buckets::of(assignment).map(|buckets| Held {
            by: format!("{} buckets by {}", buckets.count(), assignment.platform),
            members: members.clone(),
        });
        Self {
            buckets,
            schema: SCHEMA.into(),
            slot_s: scenario.log.slot.0,
            unit: match &scenario.assignment.within {
                Some(within) => format!("{} by {within}", scenario.assignment.unit),
                None => scenario.assignment.unit.clone(),
            },
            segments: scenario.log.segments.clone(),
            item: scenario.log.item.clone(),
            trial: scenario.log.request.clone().zip(scenario.log.trial.clone()).map(<[String; 2]>::from),
            served: scenario.log.served.as_ref().map(|served| {
                format!("`{}`, stable `{}`, candidate `{}`", served.column, served.names.stable, served.names.candidate)
            }),
            first_turns: scenario.log.first_turns.clone(),
            spread_s: scenario.log.spread.map(|spread| spread.0),
            only: (!scenario.log.only.is_empty()).then(|| format!("{:?}", scenario.log.only)),
            metrics: scenario.metrics.iter().map(|metric| Definition::of(metric, scenario.simulation.seed)).collect(),
            facts: FactsText {
                rows: facts.rows,
                start: facts.start.0,
                end: facts.end.0,
                fingerprint: facts.fingerprint.clone(),
                excluded_null_unit: facts.excluded_null_unit,
                excluded_timestamp: facts.excluded_timestamp,
                excluded_duplicate: facts.excluded_duplicate,
                unasked: [facts.unasked.stable, facts.unasked.candidate],
            },
        }
    }

    /// Everything that keeps this digest from serving a scenario.
    fn misfits(&self, place: &str, scenario: &Scenario) -> Vec<Problem> {
        let wanted = Self::of(scenario, &NO_FACTS, &BTreeMap::new());
        let mut problems = Vec::new();
        let mut differ = |key: &str, digest: String, scenario: String| {
            if digest != scenario {
                let message = format!("the digest was made with `{key}` = {digest}, and the scenario has {scenario}");
                problems.push(Problem::new(place, message).hint("make the digest again from the log"));
            }
        };
        let quoted = |names: &[String]| {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("[{}]", names.join(", "))
        };
        let item = |item: &Option<String>| item.as_ref().map_or("no column".into(), |name| format!("`{name}`"));
        differ("log.slot", Seconds(self.slot_s).to_string(), Seconds(wanted.slot_s).to_string());
        differ("assignment.unit", format!("`{}`", self.unit), format!("`{}`", wanted.unit));
        let cells = |buckets: &Option<Held>| buckets.as_ref().map_or("units".into(), |buckets| buckets.by.clone());
        differ("assignment.cells", cells(&self.buckets), cells(&wanted.buckets));
        differ("log.segments", quoted(&self.segments), quoted(&wanted.segments));
        differ("log.item", item(&self.item), item(&wanted.item));
        let trial = |trial: &Option<[String; 2]>| match trial {
            Some([request, trial]) => format!("`{trial}` of `{request}`"),
            None => "no column".into(),
        };
        differ("log.trial", trial(&self.trial), trial(&wanted.trial));
        let rows = |rows: &Option<String>, without: &str| rows.clone().unwrap_or_else(|| without.to_owned());
        differ("log.version", rows(&self.served, "nothing"), rows(&wanted.served, "nothing"));
        let turns = |turn: &Option<String>| turn.as_ref().map_or("all".into(), |turn| format!("first by `{turn}`"));
        differ("log.turns", turns(&self.first_turns), turns(&wanted.first_turns));
        let spread = |spread: Option<i64>| spread.map_or("nothing".into(), |spread| Seconds(spread).to_string());
        differ("log.spread", spread(self.spread_s), spread(wanted.spread_s));
        differ("log.only", rows(&self.only, "all rows"), rows(&wanted.only, "all rows"));
        for metric in &wanted.metrics {
            match self.metrics.iter().find(|held| held.name == metric.name) {
                Some(held) => differ(&format!("metrics.{}", metric.name), held.words(), metric.words()),
                None => differ(&format!("metrics.{}", metric.name), "nothing".into(), metric.words()),
            }
        }
        problems
    }
}

const NO_FACTS: Facts = Facts {
    rows: 0,
    start: Moment(0),
    end: Moment(0),
    fingerprint: String::new(),
    excluded_null_unit: 0,
    excluded_timestamp: 0,
    excluded_duplicate: 0,
    unasked: PerVersion { stable: 0, candidate: 0 },
};

/// Whether the file is a Parquet file that a digest was written to.
pub(crate) fn is_digest(path: &Path) -> bool {
    header_text(path).is_ok_and(|text| text.is_some())
}

fn header_text(path: &Path) -> std::result::Result<Option<String>, String> {
    guarded(|| {
        let mut reader = ParquetReader::new(File::open(path)?);
        let pairs = reader.get_metadata()?.key_value_metadata().iter().flatten();
        Ok(pairs.filter(|pair| pair.key == METADATA_KEY).find_map(|pair| pair.value.clone()))
    })
}

/// Writes a digest whole or not at all. `scenario` is the one that it was made with.
///
/// # Errors
/// When the file cannot be written; what was there before is then untouched.
pub fn write(digest: &Digest, scenario: &Scenario, path: &Path) -> Result<()> {
    let place = path.display().to_string();
    let failed = |message: String| Error::from(Problem::new(&place, format!("cannot be written: {message}")));
    let header = serde_json::to_string(&Header::of(scenario, &digest.facts, &digest.members))
        .map_err(|error| failed(error.to_string()))?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = temporary_file(directory).map_err(|error| failed(error.to_string()))?;
    let metadata = KeyValueMetadata::from_static(vec![(METADATA_KEY.into(), header)]);
    let write = || {
        let schema = to_frame(digest, scenario, 0..0)?.schema().clone();
        let mut writer = PagesWriter::new(temporary.as_file(), &schema, metadata)?;
        let frame_from = |start: usize| {
            let cells = start..digest.cells.len().min(start + CELLS_AT_ONCE);
            (!cells.is_empty()).then(|| to_frame(digest, scenario, cells)).transpose()
        };
        // Never a second copy of all cells: some become a frame while those before them are written.
        let mut start = 0;
        let mut frame = frame_from(start)?;
        while let Some(cells) = frame {
            start += CELLS_AT_ONCE;
            let (written, next) = rayon::join(|| writer.write(&cells), || frame_from(start));
            written?;
            frame = next?;
        }
        writer.finish()
    };
    guarded(write).map_err(failed)?;
    temporary.as_file().sync_all().map_err(|error| failed(error.to_string()))?;
    temporary.persist(path).map_err(|error| failed(error.error.to_string()))?;
    Ok(())
}

/// Beside the file it will become, so that renaming is one step; with the permissions of any new file.
pub(crate) fn temporary_file(directory: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".replay-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(directory)
}

/// Cells that are written together, as a row group.
const CELLS_AT_ONCE: usize = 1 << 17;

fn to_frame(digest: &Digest, scenario: &Scenario, range: Range<usize>) -> PolarsResult<DataFrame> {
    let cells = &digest.cells;
    let within = || range.clone();
    let named = |name: &str, codes: &[u32], names: &[String]| {
        let texts = codes.iter().map(|&code| names[code as usize].as_str());
        StringChunked::from_iter_values(name.into(), texts).into_column()
    };
    let first = layout::slot_of(digest.first, digest.slot);
    let micros = cells.slot[within()].iter().map(|&slot| build::slot_micros(first + i64::from(slot), digest.slot));
    let starts = Int64Chunked::from_iter_values(SLOT_START.into(), micros).into_column();
    let starts = starts.cast(&DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)))?;
    let mut columns = vec![named(UNIT, &cells.unit[within()], &digest.units), starts];
    for (segment, codes) in digest.segments.iter().zip(&cells.segment) {
        let codes: Vec<u32> = codes[within()].iter().map(|&code| u32::from(code)).collect();
        columns.push(named(&segment_name(&segment.name), &codes, &segment.values));
    }
    if scenario.log.has_items() {
        columns.push(named(ITEM, &cells.item[within()], &digest.items));
    }
    columns.extend([counts(ROWS, &cells.rows[within()]), counts(COVERED, &cells.covered[within()])]);
    columns.extend(cells.covered_candidate.iter().map(|covered| counts(COVERED_CANDIDATE, &covered[within()])));
    for ((metric, of), judged) in scenario.metrics.iter().zip(&cells.metrics).zip(&cells.judged) {
        let own = layout::columns(metric).into_iter().zip(layout::metric_columns(of));
        let judge =
            layout::judge_columns(metric, scenario.log.covers_apart()).into_iter().zip(layout::judged_columns(judged));
        for ((part, kind), values) in own.chain(judge) {
            let name = format!("{}.{part}", metric.name);
            columns.push(match (kind, values) {
                (ColumnKind::Count, ValuesRef::Numbers(numbers)) => counts(&name, &numbers[within()]),
                (_, ValuesRef::Numbers(numbers)) => Column::new(name.into(), &numbers[within()]),
                (_, ValuesRef::Bins(bins)) => lists(&name, bins, within()),
            });
        }
    }
    DataFrame::new(range.len(), columns)
}

fn segment_name(name: &str) -> String {
    format!("segment.{name}")
}

fn counts(name: &str, numbers: &[f64]) -> Column {
    Int64Chunked::from_iter_values(name.into(), numbers.iter().copied().map(whole)).into_column()
}

fn lists(name: &str, bins: &BinLists, cells: Range<usize>) -> Column {
    let values = bins.offsets[cells.end] - bins.offsets[cells.start];
    let mut builder =
        ListPrimitiveChunkedBuilder::<Int16Type>::new(name.into(), cells.len(), values as usize, DataType::Int16);
    for cell in cells {
        builder.append_slice(bins.of(cell));
    }
    builder.finish().into_column()
}

/// Reads digests and adds them up, as if they had been made from one log.
///
/// # Errors
/// Files that cannot be read, and digests that were not made for this scenario: every difference.
pub fn read(paths: &[PathBuf], scenario: &Scenario) -> Result<Digest> {
    let headers = headers(paths, scenario)?;
    let mut facts = headers.iter().map(|header| header.facts.clone());
    let mut total = facts.next().ok_or_else(|| Error::at("", "no digest is named"))?;
    for other in facts {
        total.rows += other.rows;
        total.start = total.start.min(other.start);
        total.end = total.end.max(other.end);
        total.excluded_null_unit += other.excluded_null_unit;
        total.excluded_timestamp += other.excluded_timestamp;
        total.excluded_duplicate += other.excluded_duplicate;
        total.unasked.iter_mut().zip(other.unasked).for_each(|(total, other)| *total += other);
    }
    if headers.len() > 1 {
        total.fingerprint = merged_fingerprint(&headers);
    }
    let facts = Facts {
        rows: total.rows,
        start: Moment(total.start),
        end: Moment(total.end),
        fingerprint: total.fingerprint,
        excluded_null_unit: total.excluded_null_unit,
        excluded_timestamp: total.excluded_timestamp,
        excluded_duplicate: total.excluded_duplicate,
        unasked: PerVersion { stable: total.unasked[0], candidate: total.unasked[1] },
    };
    let place = paths[0].display().to_string();
    let slot = scenario.log.slot;
    let (first, slots) = layout::slot_range(&facts, slot, &place)?;

    let mut shards = Shards::new(scenario);
    for path in paths {
        let damaged = |message: String| damaged(path, &message);
        let frame = guarded(|| shards.read(path)).map_err(damaged)?;
        shards.check(&frame, first, slots).map_err(damaged)?;
        shards.frames.push(frame);
    }
    let table = guarded(|| shards.table()).map_err(|message| Error::at(&place, message))?;
    let assembled = table.assemble(first, scenario, &place)?;
    let mut members = BTreeMap::new();
    for (name, units) in headers.iter().filter_map(|header| header.buckets.as_ref()).flat_map(|held| &held.members) {
        *members.entry(name.clone()).or_default() += units;
    }
    Ok(assembled.complete(facts, slot, first, slots, members))
}

fn damaged(path: &Path, message: &str) -> Error {
    Problem::new(path.display().to_string(), format!("the digest cannot be read: {message}"))
        .hint("the file may be cut short or damaged; make it again from the log")
        .into()
}

fn headers(paths: &[PathBuf], scenario: &Scenario) -> Result<Vec<Header>> {
    let mut headers = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        let place = path.display().to_string();
        let text =
            header_text(path).and_then(|text| text.ok_or_else(|| "it has no `replay.digest` metadata".to_owned()));
        let version = |text: &str| {
            let value: serde_json::Value = serde_json::from_str(text).ok()?;
            Some(value.get("schema")?.as_str()?.to_owned())
        };
        match text {
            Err(message) => problems.extend(damaged(path, &message).problems),
            Ok(text) if version(&text).as_deref().is_some_and(|version| version != SCHEMA) => {
                let message = format!(
                    "is a digest of schema `{}`, and this program reads `{SCHEMA}`",
                    version(&text).unwrap_or_default()
                );
                problems.push(Problem::new(place, message).hint("make the digest again from the log"));
            }
            Ok(text) => match serde_json::from_str::<Header>(&text) {
                Err(error) => problems.extend(damaged(path, &error.to_string()).problems),
                Ok(header) => {
                    problems.extend(header.misfits(&place, scenario));
                    headers.push(header);
                }
            },
        }
    }
    if problems.is_empty() { Ok(headers) } else { Err(Error::from(problems)) }
}

/// Does not depend on the order of the shards.
fn merged_fingerprint(headers: &[Header]) -> String {
    let mut fingerprints: Vec<&str> = headers.iter().map(|header| header.facts.fingerprint.as_str()).collect();
    fingerprints.sort_unstable();
    format!("{:032x}", xxh3_128(fingerprints.join("\n").as_bytes()))
}

/// Digests that are being added up.
struct Shards<'a> {
    scenario: &'a Scenario,
    frames: Vec<DataFrame>,
}

impl<'a> Shards<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        Self { scenario, frames: Vec::new() }
    }

    /// Names of key columns that hold text.
    fn text_columns(&self) -> Vec<String> {
        let segments = self.scenario.log.segments.iter().map(|name| segment_name(name));
        [UNIT.to_owned()]
            .into_iter()
            .chain(segments)
            .chain(self.scenario.log.has_items().then(|| ITEM.into()))
            .collect()
    }

    /// Names of the columns that are added up.
    fn value_columns(&self) -> Vec<(String, ColumnKind)> {
        let apart = self.scenario.log.covers_apart();
        let metrics = self.scenario.metrics.iter().flat_map(|metric| {
            let columns = layout::columns(metric).into_iter().chain(layout::judge_columns(metric, apart));
            columns.map(|(part, kind)| (format!("{}.{part}", metric.name), kind))
        });
        let candidate = apart.then_some(COVERED_CANDIDATE);
        let requests = [ROWS, COVERED].into_iter().chain(candidate).map(|name| (name.to_owned(), ColumnKind::Count));
        requests.chain(metrics).collect()
    }

    fn read(&self, path: &Path) -> PolarsResult<DataFrame> {
        let values = self.value_columns().into_iter().map(|(name, _)| name);
        let names: BTreeSet<String> =
            self.text_columns().into_iter().chain([SLOT_START.into()]).chain(values).collect();
        let frame = ParquetReader::new(File::open(path)?).with_columns(Some(names.into_iter().collect())).finish()?;
        // Other engines may have written other types that mean the same.
        let mut columns = vec![
            frame
                .column(SLOT_START)?
                .cast(&DataType::Datetime(TimeUnit::Microseconds, None))?
                .cast(&DataType::Int64)?,
        ];
        for name in self.text_columns() {
            columns.push(frame.column(&name)?.cast(&DataType::String)?);
        }
        for (name, kind) in self.value_columns() {
            let dtype = match kind {
                ColumnKind::Bins => DataType::List(Box::new(DataType::Int16)),
                ColumnKind::Count | ColumnKind::Sum => DataType::Float64,
            };
            columns.push(frame.column(&name)?.cast(&dtype)?);
        }
        DataFrame::new(frame.height(), columns)
    }

    /// Refuses what no digest holds.
    fn check(&self, frame: &DataFrame, first: i64, slots: u32) -> std::result::Result<(), String> {
        let width = build::slot_micros(1, self.scenario.log.slot);
        let range = first * width..(first + i64::from(slots)) * width;
        let starts = guarded(|| Ok(frame.column(SLOT_START)?.i64()?.clone()))?;
        if starts.iter().any(|start| start.is_none_or(|start| start % width != 0 || !range.contains(&start))) {
            return Err(format!("`{SLOT_START}` is null, out of range, or not the start of a slot"));
        }
        if guarded(|| Ok(frame.column(UNIT)?.null_count()))? > 0 {
            return Err(format!("`{UNIT}` is null"));
        }
        for (name, kind) in self.value_columns() {
            if kind == ColumnKind::Bins {
                continue;
            }
            let numbers = guarded(|| Ok(frame.column(&name)?.f64()?.clone()))?;
            let fits = |number: f64| number.is_finite() && (kind == ColumnKind::Sum || number >= 0.0);
            if numbers.iter().any(|number| !number.is_some_and(fits)) {
                return Err(format!("`{name}` holds a value that is no sum"));
            }
        }
        Ok(())
    }

    fn table(&self) -> PolarsResult<Table> {
        let mut frames = self.frames.iter();
        let mut all = frames.next().cloned().unwrap_or_default();
        for frame in frames {
            all.vstack_mut(frame)?;
        }
        let width = build::slot_micros(1, self.scenario.log.slot);
        let mut codes = Vec::new();
        for name in self.text_columns() {
            codes.push(Codes::of(all.column(&name)?.str()?.iter().map(|text| text.unwrap_or(NULL_NAME))));
        }
        let item = if self.scenario.log.has_items() { codes.pop() } else { None };
        let segments = codes.split_off(1);
        let unit = codes.pop().unwrap_or_default();
        let mut values = Vec::new();
        for (name, kind) in self.value_columns() {
            let column = all.column(&name)?;
            values.push(match kind {
                ColumnKind::Bins => Values::Bins(build::bin_lists(column)?),
                ColumnKind::Count | ColumnKind::Sum => Values::Numbers(column.f64()?.into_no_null_iter().collect()),
            });
        }
        let slot = all.column(SLOT_START)?.i64()?.into_no_null_iter().map(|start| start.div_euclid(width)).collect();
        Ok(Table { slot, unit, segments, item, values })
    }
}
