//! Columns of the log: what each is for, whether it fits, and how its values are read. Their names are known here and
//! nowhere later.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead as _;

use polars::io::HiveOptions;
use polars::prelude::*;

use super::embeddings;
use super::engine::guarded;
use super::files::{Files, Format, LogFile};
use super::join::Parts;
use super::values;
use crate::domain::expression::Expression;
use crate::domain::feature::Feature;
use crate::domain::metric::{Metric, MetricKind, Source};
use crate::domain::version::Version;
use crate::error::{Error, Problem, Result};
use crate::scenario::{Join, Scenario, Served};

/// Names of the checked columns; the log's own names end here.
pub(crate) const UNIT: &str = "unit";
pub(crate) const TIME: &str = "time";
pub(crate) const REQUEST: &str = "request";
pub(crate) const ITEM: &str = "item";
pub(crate) const ROW: &str = "row";
/// What joins outputs that lie in files of their own.
pub(crate) const KEY: &str = "key";
/// Whether the row is a first turn, where outputs are joined to it, and in a log in long form.
pub(crate) const FIRST_TURN: &str = "first turn";
/// Whether the candidate served the row, in a log in long form; null where it was neither version.
pub(crate) const SERVED: &str = "served by the candidate";
/// Whether the time stamp is text that is none.
pub(crate) const TIME_UNPARSED: &str = "time unparsed";

/// Name of a checked segment column.
pub(crate) fn segment(index: usize) -> String {
    format!("segment {index}")
}

/// Name of a checked value column.
pub(crate) fn value(index: usize) -> String {
    format!("value {index}")
}

/// What a null segment value or item is called.
pub(crate) const NULL_NAME: &str = "(null)";

/// Between the name of a user and that of what draws within it; of an item, its request and its trial.
pub(crate) const WITHIN: char = '\u{1f}';

/// The user in a unit's name, where something draws within users.
pub(crate) fn holder(name: &str) -> &str {
    name.split_once(WITHIN).map_or(name, |(holder, _)| holder)
}

/// The item and the request, and the number of the trial, in the name of an output.
pub(crate) fn output(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once(WITHIN)
}

/// The item, and the request, in the first part of such a name.
pub(crate) fn item_of(request: &str, has_item: bool) -> (Option<&str>, &str) {
    match request.split_once(WITHIN).filter(|_| has_item) {
        Some((item, request)) => (Some(item), request),
        None => (None, request),
    }
}

/// Whether the value is text that is no number.
pub(crate) fn unparsed(index: usize) -> String {
    format!("value {index} unparsed")
}

/// The text of a value, where it arrived as text.
pub(crate) fn raw(name: &str) -> String {
    format!("{name} raw")
}

/// Name of the text of one of the log's columns that a value is computed from.
fn part(index: usize, term: usize) -> String {
    format!("value {index} part {term}")
}

/// What of the log a value is.
#[derive(Debug, Clone, PartialEq)]
enum Reading {
    /// A column, or a sum of columns.
    Sum(Expression),
    /// A feature of the embeddings in a column, which have so many numbers.
    Feature { column: String, feature: Feature, length: usize },
}

impl Reading {
    /// The column itself, where it is nothing else.
    fn column(&self) -> Option<&str> {
        match self {
            Self::Sum(expression) => expression.column(),
            Self::Feature { .. } => None,
        }
    }

    /// The columns that it reads.
    fn columns(&self) -> Vec<&str> {
        match self {
            Self::Sum(expression) => expression.terms.iter().map(|term| term.column.as_str()).collect(),
            Self::Feature { column, .. } => vec![column],
        }
    }
}

/// A column that metrics read, or what they compute from columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ValueColumn {
    /// As the scenario has it, with the version in it.
    pub(crate) name: String,
    /// What of the log it is.
    reading: Reading,
    /// In a log in long form: the version of whose rows it is; null in the others. With files of outputs: whose file.
    pub(crate) of: Option<Version>,
    /// The scenario's key that names it first.
    pub(crate) key: String,
    /// Whether each metric that reads it is a share of 0/1 outcomes, which may be boolean.
    pub(crate) boolean: bool,
    /// The metric that needs 0 or more.
    pub(crate) not_negative: Option<String>,
    /// The metric that needs 0 to 1.
    pub(crate) share: Option<String>,
}

/// What the scenario needs of the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Columns {
    pub(crate) timestamp: String,
    pub(crate) unit: String,
    /// Where sessions or requests of it draw: their column. A unit's name is then both.
    pub(crate) within: Option<String>,
    pub(crate) request: Option<String>,
    pub(crate) item: Option<String>,
    /// Where requests have several outputs of a version: column of the output's number. An item's name is then also that of request and
    /// trial.
    pub(crate) trial: Option<String>,
    pub(crate) segments: Vec<String>,
    pub(crate) values: Vec<ValueColumn>,
    /// In a log in long form: what says which version served a row.
    pub(crate) served: Option<Served>,
    /// Where outputs lie in files of their own.
    pub(crate) join: Option<Join>,
    /// Where only first turns count: the column of the turn, and the number of the first.
    pub(crate) first_turns: Option<(String, i64)>,
    /// Where the log has no times: microseconds over which units come.
    pub(crate) spread: Option<i64>,
    /// Rows that count, by the values of columns.
    pub(crate) only: Vec<(String, Vec<String>)>,
}

/// What a column must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    Time,
    /// Unit, request, item.
    Identifier,
    Segment,
    Number {
        boolean: bool,
    },
    /// Embeddings.
    Vector,
}

impl ValueColumn {
    /// What users call it.
    pub(crate) fn shown(&self) -> &str {
        match &self.reading {
            Reading::Sum(_) => &self.name,
            Reading::Feature { column, .. } => column,
        }
    }

    /// Of the first feature of embeddings: how many numbers they have.
    pub(crate) fn embedding(&self) -> Option<usize> {
        match self.reading {
            Reading::Feature { feature: Feature { index: 0, .. }, length, .. } => Some(length),
            _ => None,
        }
    }

    /// Whether its values are computed, and lie between -1 and 1.
    pub(crate) fn is_feature(&self) -> bool {
        matches!(self.reading, Reading::Feature { .. })
    }
}

impl Columns {
    /// The columns that a scenario names.
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let mut columns = Self {
            timestamp: scenario.log.timestamp.clone(),
            unit: scenario.assignment.unit.clone(),
            within: scenario.assignment.within.clone(),
            request: scenario.log.request.clone(),
            item: scenario.log.item.clone(),
            trial: scenario.log.trial.clone(),
            segments: scenario.log.segments.clone(),
            values: Vec::new(),
            served: scenario.log.served.clone(),
            join: scenario.log.join.clone(),
            first_turns: scenario.log.first_turns.clone().map(|column| (column, i64::MIN)),
            spread: scenario.log.spread.map(|spread| spread.0 * 1_000_000),
            only: scenario.log.only.clone(),
        };
        for metric in scenario.own_metrics() {
            for feature in scenario.features_of(metric) {
                columns.add_metric(&scenario.metrics[metric].name, &scenario.metrics[feature]);
            }
        }
        columns
    }

    fn add_metric(&mut self, name: &str, metric: &Metric) {
        let key = |part: &str| format!("metrics.{name}.{part}");
        let cost = metric.unit.as_deref() == Some("usd");
        for version in Version::BOTH {
            if let MetricKind::Embedding { column, value, feature } = &metric.kind {
                let column = column.get(version).clone();
                let reading = || Reading::Feature { column, feature: *feature, length: 0 };
                self.place_or_add((value.get(version), metric.source(version)), key("column"), reading);
                continue;
            }
            let mut add = |name: &str, key: String, boolean: bool, not_negative: bool, share: bool| {
                self.add((name, metric.source(version)), key, boolean, not_negative, share);
            };
            match &metric.kind {
                MetricKind::Mean { column } => add(column.get(version), key("column"), false, cost, false),
                MetricKind::Proportion { column, over: None } | MetricKind::Rare { column, over: None } => {
                    add(column.get(version), key("column"), true, false, true);
                }
                MetricKind::Proportion { column, over: Some(_) } | MetricKind::Rare { column, over: Some(_) } => {
                    add(column.get(version), key("column"), false, false, false);
                }
                MetricKind::Quantile { column, .. } | MetricKind::Drift { column, .. } => {
                    add(column.get(version), key("column"), false, true, false);
                }
                MetricKind::Embedding { .. } => {}
                MetricKind::Ratio { numerator, denominator } => {
                    if let Source::Column(column) = numerator.get(version) {
                        add(column, key("numerator"), false, cost, false);
                    }
                    if let Source::Column(column) = denominator.get(version) {
                        add(column, key("denominator"), false, true, false);
                    }
                }
            }
            if let Some(human) = &metric.judge.human {
                let share = matches!(metric.kind, MetricKind::Proportion { .. });
                add(human.get(version), key("measured.human"), share, cost, share);
            }
        }
    }

    fn add(&mut self, (name, version): (&str, Version), key: String, boolean: bool, not_negative: bool, share: bool) {
        let metric = key.rsplit_once('.').map_or(key.as_str(), |(metric, _)| metric).to_owned();
        let reading = || Reading::Sum(Expression::parse(name).unwrap_or_else(|_| Expression::of_column(name)));
        let index = self.place_or_add((name, version), key, reading);
        let column = &mut self.values[index];
        column.boolean &= boolean;
        if not_negative {
            column.not_negative.get_or_insert(metric.clone());
        }
        if share {
            column.share.get_or_insert(metric);
        }
    }

    fn place_or_add(
        &mut self,
        (name, version): (&str, Version),
        key: String,
        reading: impl FnOnce() -> Reading,
    ) -> usize {
        self.place(name, version).unwrap_or_else(|| {
            let by_version = self.served.is_some() || self.join.is_some();
            let (name, of, reading) = (name.to_owned(), by_version.then_some(version), reading());
            self.values.push(ValueColumn { name, reading, of, key, boolean: true, not_negative: None, share: None });
            self.values.len() - 1
        })
    }

    /// Learns how many numbers embeddings have, from the first of each metric.
    pub(crate) fn measure_embeddings(&mut self, place: &str, parts: &Parts) -> Result<()> {
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for column in self.values.iter().filter(|column| column.embedding().is_some()) {
            for part in parts.of(self.side(column)) {
                if known.contains_key(&column.key) {
                    break;
                }
                let found = guarded(|| part.first_length(column.shown())).and_then(super::engine::collect);
                let found = found.and_then(|found| guarded(|| Ok(found.column(LENGTH)?.i64()?.get(0))));
                let found = found.map_err(|message| Error::at(place, format!("cannot be read: {message}")))?;
                known.extend(found.map(|length| (column.key.clone(), usize::try_from(length).unwrap_or_default())));
            }
        }
        for column in &mut self.values {
            if let (Reading::Feature { length, .. }, Some(known)) = (&mut column.reading, known.get(&column.key)) {
                *length = *known;
            }
        }
        Ok(())
    }

    /// Index of the value column that holds a version's outcomes.
    pub(crate) fn value_index(&self, name: &str, version: Version) -> usize {
        self.place(name, version).expect("every metric's columns were added")
    }

    fn place(&self, name: &str, version: Version) -> Option<usize> {
        let is_it = |column: &ValueColumn| column.name == name && column.of.is_none_or(|of| of == version);
        self.values.iter().position(is_it)
    }

    /// Whether a version's outputs lie in a file of their own.
    pub(crate) fn is_apart(&self, version: Version) -> bool {
        self.join.as_ref().is_some_and(|join| join.files.get(version).is_some())
    }

    /// The files that hold a value column.
    pub(crate) fn side(&self, column: &ValueColumn) -> Side {
        column.of.filter(|&version| self.is_apart(version)).map_or(Side::Log, Side::Outputs)
    }

    /// Every need of some files: column, the scenario's key that names it, what it must hold.
    fn needs(&self, side: Side) -> Vec<(&str, String, Want)> {
        let mut needs = if side == Side::Log { self.needs_of_log() } else { Vec::new() };
        needs.extend(self.join.iter().map(|join| (join.on.as_str(), "log.join.on".to_owned(), Want::Identifier)));
        // Both versions' outcomes may lie in one column.
        let is_again = |column: &ValueColumn| self.served.is_some() && column.of == Some(Version::Candidate);
        let named = || self.values.iter().filter(|column| self.side(column) == side && !is_again(column));
        let plain = |column: &&ValueColumn| column.reading.column().is_some();
        for column in named().filter(plain) {
            needs.push((column.name.as_str(), column.key.clone(), Want::Number { boolean: column.boolean }));
        }
        let mut told: BTreeSet<(&str, bool)> =
            named().filter(plain).map(|column| (column.name.as_str(), false)).collect();
        for column in named().filter(|column| !plain(column)) {
            let want = if column.is_feature() { Want::Vector } else { Want::Number { boolean: false } };
            let names = column.reading.columns().into_iter();
            let new = names.filter(|name| told.insert((name, column.is_feature()))).collect::<Vec<_>>();
            needs.extend(new.into_iter().map(|name| (name, column.key.clone(), want)));
        }
        needs
    }

    /// What says who, when and what.
    fn needs_of_log(&self) -> Vec<(&str, String, Want)> {
        let mut needs = Vec::new();
        if self.spread.is_none() {
            needs.push((self.timestamp.as_str(), "log.timestamp".to_owned(), Want::Time));
        }
        needs.push((self.unit.as_str(), "assignment.unit".to_owned(), Want::Identifier));
        needs.extend(self.first_turns.iter().map(|(name, _)| (name.as_str(), "log.turn".to_owned(), Want::Identifier)));
        let session = self.within.iter().filter(|within| self.request.as_ref() != Some(within));
        needs.extend(session.map(|name| (name.as_str(), "assignment.session".to_owned(), Want::Identifier)));
        needs.extend(self.request.iter().map(|name| (name.as_str(), "log.request".to_owned(), Want::Identifier)));
        needs.extend(self.item.iter().map(|name| (name.as_str(), "log.item".to_owned(), Want::Identifier)));
        needs.extend(self.trial.iter().map(|name| (name.as_str(), "log.trial".to_owned(), Want::Identifier)));
        needs.extend(self.segments.iter().map(|name| (name.as_str(), "log.segments".to_owned(), Want::Segment)));
        needs.extend(
            self.served.iter().map(|served| (served.column.as_str(), "log.version.column".to_owned(), Want::Segment)),
        );
        needs.extend(self.only.iter().map(|(name, _)| (name.as_str(), "log.only".to_owned(), Want::Segment)));
        needs
    }

    /// Names of the checked columns that say who, when and what: all but values.
    pub(crate) fn keys(&self) -> Vec<String> {
        let named = [(self.request.is_some(), REQUEST), (self.has_items(), ITEM)];
        let named = named.into_iter().filter(|(is_there, _)| *is_there).map(|(_, name)| name);
        let segments = (0..self.segments.len()).map(segment);
        let first_turn = (self.served.is_some() && self.first_turns.is_some()).then_some(FIRST_TURN);
        [UNIT, TIME].into_iter().chain(named).chain(first_turn).map(str::to_owned).chain(segments).collect()
    }

    /// Whether rows say what their outputs belong to.
    pub(crate) fn has_items(&self) -> bool {
        self.item.is_some() || self.trial.is_some()
    }

    /// Whether a row may have an outcome of either version without the other.
    pub(crate) fn covers_apart(&self) -> bool {
        self.served.is_some() || self.trial.is_some()
    }

    /// Whether rows say if they are first turns: where that is not told by their outcomes.
    fn marks_first_turns(&self) -> bool {
        self.first_turns.is_some() && (self.served.is_some() || self.join.is_some())
    }

    /// Names of the columns that some files must have.
    pub(crate) fn names(&self, side: Side) -> BTreeSet<&str> {
        self.needs(side).into_iter().map(|(name, ..)| name).collect()
    }
}

/// What files are to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The log itself: who, when, what, and outputs that do not lie apart.
    Log,
    /// A version's outputs.
    Outputs(Version),
}

/// Files that are read by one scan: of one schema, and of one partition as far as the scenario uses it.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) files: Vec<LogFile>,
    side: Side,
    format: Format,
    schema: SchemaRef,
    partition: BTreeMap<String, Option<String>>,
}

/// A value that is computed from columns of the log.
struct Computed {
    /// The columns.
    raws: Vec<Expr>,
    /// The value.
    value: Expr,
    /// Whether one of them is text that is no number.
    failed: Expr,
    /// That text.
    text: Expr,
}

/// Which rows count, and whose outcomes they hold.
#[derive(Default)]
struct Choice<'a> {
    /// In a log in long form: the text that says which version served, and what versions are called there.
    served: Option<(Expr, &'a Served)>,
    /// Whether the row is a first turn, where only those have outcomes.
    first_turn: Option<Expr>,
    /// Whether the row counts, where some do not.
    counts: Option<Expr>,
}

impl Choice<'_> {
    /// A version's outcome, null in rows that have none of it.
    fn outcome(&self, column: Expr, of: Option<Version>) -> Expr {
        // Later turns have no outcome to compare, whatever they hold: they count as traffic.
        let column = match &self.first_turn {
            Some(first_turn) => when(first_turn.clone()).then(column).otherwise(lit(NULL)),
            None => column,
        };
        // What another version's row holds is no outcome of this one.
        match (&self.served, of) {
            (Some((text, served)), Some(version)) => {
                let own = text.clone().eq(lit(served.names.get(version).clone())).fill_null(lit(false));
                when(own).then(column).otherwise(lit(NULL))
            }
            _ => column,
        }
    }
}

/// Where a column's values come from.
enum Origin {
    /// The file, with its type.
    Typed(Expr, DataType),
    /// The file or a directory's name, as text to be parsed.
    Text(Expr),
}

impl Part {
    fn origin(&self, name: &str) -> Option<Origin> {
        // The reader leaves the quotes within a quoted name of a CSV header doubled.
        let in_csv = || if self.format == Format::Csv { name.replace('"', "\"\"") } else { name.to_owned() };
        let stored = if self.schema.contains(name) { name.to_owned() } else { in_csv() };
        if let Some(dtype) = self.schema.get(&stored) {
            // `col` would read a name such as `^a.*$` as a pattern.
            let column = Expr::Column(stored.into());
            let origin =
                if self.format.is_text() { Origin::Text(column) } else { Origin::Typed(column, dtype.clone()) };
            return Some(origin);
        }
        let text = self.partition.get(name)?;
        Some(Origin::Text(text.as_ref().map_or_else(|| lit(NULL).cast(DataType::String), |text| lit(text.clone()))))
    }

    /// Whether the files have a column of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.origin(name).is_some()
    }

    /// What the files hold in a column, in words, where their format has types.
    pub(crate) fn kind(&self, name: &str) -> Option<String> {
        match self.origin(name)? {
            Origin::Typed(_, DataType::Null) | Origin::Text(_) => None,
            Origin::Typed(_, dtype) => Some(kind_of(&dtype)),
        }
    }

    /// Name of the typed column of the files that holds the values of a column.
    pub(crate) fn stored(&self, name: &str) -> Option<String> {
        match self.origin(name)? {
            Origin::Typed(Expr::Column(stored), _) => Some(stored.to_string()),
            _ => None,
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }

    fn column_names(&self) -> impl Iterator<Item = &str> {
        self.schema.iter_names().map(PlSmallStr::as_str).chain(self.partition.keys().map(String::as_str))
    }

    /// The same rows, file by file.
    pub(crate) fn single_files(&self) -> impl Iterator<Item = Self> {
        self.files.iter().map(|file| Self { files: vec![file.clone()], ..self.clone() })
    }

    fn scan(&self) -> PolarsResult<LazyFrame> {
        let paths = |escape: bool| -> PolarsResult<ScanSources> {
            let paths: PolarsResult<Vec<PlRefPath>> = self
                .files
                .iter()
                .map(|file| {
                    let path = PlRefPath::try_from_path(&file.path)?;
                    Ok(if escape { PlRefPath::new(escaped(path.as_str())) } else { path })
                })
                .collect();
            Ok(ScanSources::Paths(paths?.into_iter().collect()))
        };
        match self.format {
            Format::Parquet => {
                let args =
                    ScanArgsParquet { hive_options: HiveOptions::new_disabled(), glob: false, ..Default::default() };
                LazyFrame::scan_parquet_sources(paths(false)?, args)
            }
            Format::Ipc => {
                let args =
                    UnifiedScanArgs { hive_options: HiveOptions::new_disabled(), glob: false, ..Default::default() };
                LazyFrame::scan_ipc_sources(paths(false)?, IpcScanOptions::default(), args)
            }
            Format::Csv => csv(paths(false)?),
            // This reader always expands patterns.
            Format::Ndjson => {
                LazyJsonLineReader::new_with_sources(paths(true)?).with_schema(Some(self.schema.clone())).finish()
            }
        }
    }

    /// The rows with checked names and types; with the number of the row if `rows`.
    pub(crate) fn frame(&self, columns: &Columns, rows: bool) -> PolarsResult<LazyFrame> {
        let mut scan = self.scan()?;
        if rows {
            scan = scan.with_row_index(ROW_OF_FILE, Some(1));
        }
        let mut choice = if self.side == Side::Log { self.choice(columns) } else { Choice::default() };
        let (mut raws, mut names) = self.marks(columns, rows, &choice);
        if columns.join.is_some() {
            // Outcomes of later turns are left out when all have been joined.
            choice.first_turn = None;
        }
        let mut parsed = Vec::new();
        let mut add = |(source, of, is_value): (&str, Option<Version>, bool),
                       name: &str,
                       read: &dyn Fn(Expr, bool) -> Expr,
                       flag: Option<&str>| {
            let (column, is_text) = match self.origin(source) {
                Some(Origin::Typed(column, dtype)) => (column, dtype == DataType::String),
                Some(Origin::Text(column)) => (column, true),
                None => (lit(NULL).cast(DataType::String), true),
            };
            let column = if is_value { choice.outcome(column, of) } else { column };
            let raw_name = raw(name);
            raws.push(column.alias(&raw_name));
            parsed.push(read(col(&raw_name), is_text).alias(name));
            names.push(col(name));
            if let Some(flag) = flag {
                // Parts whose types differ still give the same columns.
                let (failed, text) = if is_text {
                    (col(&raw_name).is_not_null().and(col(name).is_null()), col(&raw_name))
                } else {
                    (lit(false), lit(NULL).cast(DataType::String))
                };
                names.extend([failed.alias(flag), text.alias(&raw_name)]);
            }
        };
        let text = |column: Expr, is_text: bool| if is_text { column } else { column.cast(DataType::String) };
        let is_log = self.side == Side::Log;
        if is_log {
            if columns.within.is_none() {
                add((&columns.unit, None, false), UNIT, &text, None);
            }
            let item = columns.item.as_ref().filter(|_| columns.trial.is_none());
            for (column, name) in [(columns.request.as_ref(), REQUEST), (item, ITEM)] {
                if let Some(column) = column {
                    add((column, None, false), name, &text, None);
                }
            }
            for (index, column) in columns.segments.iter().enumerate() {
                add((column, None, false), &segment(index), &text, None);
            }
        }
        let is_null = matches!(self.origin(&columns.timestamp), Some(Origin::Typed(_, DataType::Null)));
        let time = |column: Expr, is_text: bool| {
            if is_text {
                values::times_from_text(column)
            } else if is_null {
                column.cast(DataType::Int64)
            } else {
                column.cast(DataType::Datetime(TimeUnit::Microseconds, None)).cast(DataType::Int64)
            }
        };
        match columns.spread.filter(|_| is_log) {
            None if !is_log => {}
            None => add((&columns.timestamp, None, false), TIME, &time, Some(TIME_UNPARSED)),
            Some(spread) => {
                let drawn = |unit: Expr, is_text: bool| values::drawn_times(text(unit, is_text), spread);
                add((&columns.unit, None, false), TIME, &drawn, None);
            }
        }
        let own = || columns.values.iter().enumerate().filter(|(_, column)| columns.side(column) == self.side);
        for (index, column) in own() {
            let number = |expression: Expr, is_text: bool| {
                if is_text {
                    values::numbers_from_text(expression, column.boolean)
                } else {
                    expression.cast(DataType::Float64)
                }
            };
            if column.reading.column().is_some() {
                add((&column.name, column.of, true), &value(index), &number, Some(&unparsed(index)));
            }
        }
        for (index, column) in own() {
            if column.reading.column().is_none() {
                let computed = self.computed(index, column, &choice);
                raws.extend(computed.raws);
                parsed.push(computed.value.alias(value(index)));
                names.push(col(value(index)));
                names.push(computed.failed.alias(unparsed(index)));
                names.push(computed.text.alias(raw(&value(index))));
            }
        }
        if is_log && columns.spread.is_some() {
            names.extend([lit(false).alias(TIME_UNPARSED), lit(NULL).cast(DataType::String).alias(raw(TIME))]);
        }
        let scan = scan.select(raws);
        let scan = if choice.counts.is_some() { scan.filter(col(COUNTS)) } else { scan };
        Ok(scan.with_columns(parsed).select(names))
    }

    /// What is read of a row beside its columns: where it is, what it is joined by, whose it is and whether it counts. Their sources, and
    /// the names of those that are kept.
    fn marks(&self, columns: &Columns, rows: bool, choice: &Choice<'_>) -> (Vec<Expr>, Vec<Expr>) {
        let (mut raws, mut names) = (Vec::new(), Vec::new());
        if rows {
            raws.push(col(ROW_OF_FILE).alias(ROW));
            names.push(col(ROW));
        }
        if let Some(join) = &columns.join {
            raws.push(self.text_of(&join.on).alias(KEY));
            names.push(col(KEY));
        }
        if let Some(first_turn) = &choice.first_turn
            && columns.marks_first_turns()
        {
            raws.push(first_turn.clone().alias(FIRST_TURN));
            names.push(col(FIRST_TURN));
        }
        if let Some((text, served)) = &choice.served {
            let by = |version: Version| text.clone().eq(lit(served.names.get(version).clone()));
            let known = by(Version::Stable).or(by(Version::Candidate)).fill_null(lit(false));
            let by_candidate = when(known).then(by(Version::Candidate)).otherwise(lit(NULL).cast(DataType::Boolean));
            raws.extend([by_candidate.alias(SERVED), text.clone().alias(raw(SERVED))]);
            names.extend([col(SERVED), col(raw(SERVED))]);
        }
        if let Some(within) = columns.within.as_ref().filter(|_| self.side == Side::Log) {
            // Null where either is.
            let both = self.text_of(&columns.unit) + lit(WITHIN.to_string()) + self.text_of(within);
            raws.push(both.alias(UNIT));
            names.push(col(UNIT));
        }
        if let (Some(trial), Some(request), Side::Log) = (&columns.trial, &columns.request, self.side) {
            // Null where request or trial is.
            let within = || lit(WITHIN.to_string());
            let output = self.text_of(request) + within() + self.text_of(trial);
            let item = columns.item.as_ref().map(|item| self.text_of(item).fill_null(lit(NULL_NAME)) + within());
            raws.push(item.map_or_else(|| output.clone(), |item| item + output.clone()).alias(ITEM));
            names.push(col(ITEM));
        }
        raws.extend(choice.counts.iter().map(|counts| counts.clone().alias(COUNTS)));
        (raws, names)
    }

    /// Which rows count, and whose outcomes they hold.
    fn choice<'a>(&self, columns: &'a Columns) -> Choice<'a> {
        let only = columns.only.iter().map(|(column, values)| {
            let is_one = |value: &String| self.text_of(column).eq(lit(value.clone()));
            values.iter().map(is_one).reduce(Expr::or).unwrap_or_else(|| lit(true)).fill_null(lit(false))
        });
        let is_first = |(column, first): &(String, i64)| {
            self.text_of(column).cast(DataType::Int64).eq(lit(*first)).fill_null(lit(false))
        };
        Choice {
            served: columns.served.as_ref().map(|served| (self.text_of(&served.column), served)),
            first_turn: columns.first_turns.as_ref().map(is_first),
            counts: only.reduce(Expr::and),
        }
    }

    /// The lowest number in a column.
    pub(crate) fn lowest(&self, name: &str) -> PolarsResult<LazyFrame> {
        Ok(self.scan()?.select([self.text_of(name).cast(DataType::Int64).min().alias(LOWEST)]))
    }

    /// A column as it is stored; null where there is none.
    fn raw_of(&self, name: &str) -> Expr {
        match self.origin(name) {
            Some(Origin::Typed(column, _) | Origin::Text(column)) => column,
            None => lit(NULL).cast(DataType::String),
        }
    }

    /// A column as text.
    fn text_of(&self, name: &str) -> Expr {
        match self.origin(name) {
            Some(Origin::Typed(column, _)) => column.cast(DataType::String),
            Some(Origin::Text(column)) => column,
            None => lit(NULL).cast(DataType::String),
        }
    }

    /// A value that is computed from what versions leave of columns.
    fn computed(&self, index: usize, column: &ValueColumn, choice: &Choice<'_>) -> Computed {
        let outcome = |part| choice.outcome(part, column.of);
        match &column.reading {
            Reading::Sum(expression) => self.sum(index, expression, outcome),
            Reading::Feature { column: name, feature, length } => {
                let set = format!("embedding {name} of {:?} by {}", column.of, column.key);
                self.feature(&set, name, (*feature, *length), outcome)
            }
        }
    }

    /// A feature of embeddings, of what `outcome` leaves of their column. All features are computed where the first one is.
    fn feature(
        &self,
        set: &str,
        column: &str,
        (feature, length): (Feature, usize),
        outcome: impl Fn(Expr) -> Expr,
    ) -> Computed {
        let raws = (feature.index == 0)
            .then(|| embeddings::features(outcome(self.raw_of(column)), feature, length).alias(set));
        Computed {
            raws: raws.into_iter().collect(),
            value: col(set).struct_().field_by_index(feature.index as i64),
            failed: lit(false),
            text: lit(NULL).cast(DataType::String),
        }
    }

    /// How many numbers the first embedding of a column has; null without one.
    pub(crate) fn first_length(&self, name: &str) -> PolarsResult<LazyFrame> {
        let lengths = self.scan()?.select([embeddings::lengths(self.raw_of(name)).alias(LENGTH)]);
        Ok(lengths.filter(col(LENGTH).is_not_null()).limit(1))
    }

    /// What a value is computed from and how, of what `outcome` leaves of the columns; null without one of them.
    fn sum(&self, index: usize, expression: &Expression, outcome: impl Fn(Expr) -> Expr) -> Computed {
        let mut computed = Computed {
            raws: Vec::new(),
            value: lit(expression.constant),
            failed: lit(false),
            text: lit(NULL).cast(DataType::String),
        };
        for (number, term) in expression.terms.iter().enumerate() {
            let name = part(index, number);
            let (column, is_text) = match self.origin(&term.column) {
                Some(Origin::Typed(column, dtype)) => (column, dtype == DataType::String),
                Some(Origin::Text(column)) => (column, true),
                None => (lit(NULL).cast(DataType::String), true),
            };
            computed.raws.push(outcome(column).alias(&name));
            let value =
                if is_text { values::numbers_from_text(col(&name), false) } else { col(&name).cast(DataType::Float64) };
            if is_text {
                let failed = col(&name).is_not_null().and(value.clone().is_null());
                computed.text = when(failed.clone()).then(col(&name)).otherwise(computed.text);
                computed.failed = computed.failed.or(failed);
            }
            computed.value = computed.value + value * lit(term.factor);
        }
        computed
    }
}

/// Name of what [`Part::lowest`] gives.
pub(crate) const LOWEST: &str = "lowest";

/// Name of what [`Part::first_length`] gives.
const LENGTH: &str = "length";

/// Whether a row is one that counts.
const COUNTS: &str = "row counts";

/// A name that no log will use; the log's own columns stand beside it for a moment.
const ROW_OF_FILE: &str = "\u{1}row of the file";

fn csv(sources: ScanSources) -> PolarsResult<LazyFrame> {
    // Without rows to infer types from, every column is text.
    LazyCsvReader::new_with_sources(sources).with_infer_schema_length(Some(0)).with_glob(false).finish()
}

/// The path as a pattern that matches only itself.
fn escaped(path: &str) -> String {
    path.chars().fold(String::new(), |mut pattern, character| {
        match character {
            '*' | '?' | '[' | ']' => pattern.extend(['[', character, ']']),
            other => pattern.push(other),
        }
        pattern
    })
}

/// Reads the schema of every file, and groups files that one scan can read.
pub(crate) fn parts(files: &Files, columns: &Columns, side: Side) -> Result<Vec<Part>> {
    let names = columns.names(side);
    let mut problems = Vec::new();
    let mut parts: Vec<Part> = Vec::new();
    let mut keys = BTreeSet::new();
    for file in &files.files {
        let partition: BTreeMap<_, _> = file
            .partition
            .iter()
            .filter(|(key, _)| names.contains(key.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let schema = match file_schema(file, files.format, &names, &mut keys) {
            Ok(schema) => schema,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        match parts.last_mut() {
            Some(part) if *part.schema == *schema && part.partition == partition => part.files.push(file.clone()),
            _ => parts.push(Part { files: vec![file.clone()], side, format: files.format, schema, partition }),
        }
    }
    if !problems.is_empty() {
        return Err(Error::from(problems));
    }
    if files.format == Format::Ndjson {
        // A key may be left out of a row, or of all rows of a file, but not of the whole log.
        let schema = Arc::new(keys.into_iter().map(|key| Field::new(key.into(), DataType::String)).collect::<Schema>());
        for part in &mut parts {
            part.schema = schema.clone();
        }
    }
    Ok(parts)
}

/// What to do about a file that cannot be read.
pub(crate) fn broken(file: &LogFile, message: &str) -> Problem {
    let hint = if message.contains("utf-8") {
        "text is read as UTF-8; save the file in that encoding"
    } else {
        "the file may be cut short or damaged; write or copy it again"
    };
    Problem::new(file.place(), format!("cannot be read: {message}")).hint(hint)
}

fn file_schema(
    file: &LogFile,
    format: Format,
    names: &BTreeSet<&str>,
    keys: &mut BTreeSet<String>,
) -> std::result::Result<SchemaRef, Problem> {
    if std::fs::metadata(&file.path).is_ok_and(|metadata| metadata.len() == 0) {
        return Err(Problem::new(file.place(), "the file is empty"));
    }
    if format == Format::Ndjson {
        ndjson_keys(file, names, keys)?;
        return Ok(Arc::default());
    }
    let side = Side::Log;
    let part = Part { files: vec![file.clone()], side, format, schema: Arc::default(), partition: BTreeMap::new() };
    guarded(|| part.scan()?.collect_schema()).map_err(|message| broken(file, &message))
}

/// Collects the keys of a file's objects, up to the line at which all names that are needed have been seen.
fn ndjson_keys(
    file: &LogFile,
    names: &BTreeSet<&str>,
    keys: &mut BTreeSet<String>,
) -> std::result::Result<(), Problem> {
    let unreadable = |error: std::io::Error| broken(file, &error.to_string());
    let reader = std::io::BufReader::new(std::fs::File::open(&file.path).map_err(unreadable)?);
    for (index, line) in reader.lines().enumerate() {
        let line = line.map_err(unreadable)?;
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() {
            continue;
        }
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).map_err(|_| {
            Problem::new(format!("{}:{}", file.place(), index + 1), "the line is not a JSON object")
                .hint("write one JSON object per line, without commas or brackets around them")
        })?;
        keys.extend(object.into_iter().map(|(key, _)| key));
        if names.iter().all(|name| keys.contains(*name)) {
            break;
        }
    }
    Ok(())
}

/// The first row of each CSV file whose number of fields is not that of the header: the reader would fill it up with
/// nulls, or drop what is too much.
pub(crate) fn ragged_rows<'a>(parts: impl Iterator<Item = &'a Part>) -> Vec<Problem> {
    let files = parts.filter(|part| part.format == Format::Csv).flat_map(|part| &part.files);
    files.filter_map(|file| ragged_row(file).err()).collect()
}

fn ragged_row(file: &LogFile) -> std::result::Result<(), Problem> {
    let problem = |error: csv::Error| match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let row = pos.as_ref().map_or(0, csv::Position::record);
            let place = format!("{}: row {row}", file.place());
            Problem::new(
                place,
                format!("has {len} field{}, and the header has {expected_len}", if *len == 1 { "" } else { "s" }),
            )
            .hint("the file may be cut short, or a field that holds a comma lacks its quotes")
        }
        _ => broken(file, &error.to_string()),
    };
    let mut reader = csv::Reader::from_path(&file.path).map_err(problem)?;
    let mut record = csv::ByteRecord::new();
    reader.byte_headers().map_err(problem)?;
    while reader.read_byte_record(&mut record).map_err(problem)? {}
    Ok(())
}

/// Columns that are missing or of a type that cannot be used: all of them.
pub(crate) fn problems(parts: &[Part], columns: &Columns, side: Side) -> Vec<Problem> {
    let mut missing = Vec::new();
    let mut wrong = Vec::new();
    for (name, key, want) in columns.needs(side) {
        let Some(part) = parts.iter().find(|part| part.origin(name).is_none()) else {
            let found = parts.iter().find_map(|part| {
                let Some(Origin::Typed(_, dtype)) = part.origin(name) else { return None };
                let (message, hint) = mismatch(&dtype, want, &key)?;
                Some(Problem::new(format!("{}: column `{name}`", part.files[0].place()), message).hint(hint))
            });
            wrong.extend(found);
            continue;
        };
        missing.push((part, name, key));
    }
    let last = missing.len().saturating_sub(1);
    let missing = missing.into_iter().enumerate().map(|(index, (part, name, key))| {
        let known: Vec<&str> = part.column_names().collect();
        let mut hint = closest(name, &known).map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        if index == last {
            hint.push_str(&listed(&known, side));
        }
        let problem = Problem::new(
            format!("{}: column `{name}`", part.files[0].place()),
            format!("does not exist, but the scenario names it in `{key}`"),
        );
        if hint.is_empty() { problem } else { problem.hint(hint.trim_end()) }
    });
    missing.chain(wrong).collect()
}

/// A name that could have been meant.
fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase()), *candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn listed(known: &[&str], side: Side) -> String {
    const MOST: usize = 40;
    let what = if side == Side::Log { "the log" } else { "the file" };
    if known.is_empty() {
        return format!("{what} has no columns");
    }
    let shown: Vec<String> = known.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    let more = if known.len() > MOST { format!(" and {} more", known.len() - MOST) } else { String::new() };
    format!("{what} has the columns {}{more}", shown.join(", "))
}

/// What is wrong with a type, and what to do; `None` if nothing is.
fn mismatch(dtype: &DataType, want: Want, key: &str) -> Option<(String, String)> {
    let is_text = matches!(dtype, DataType::String | DataType::Categorical(..) | DataType::Enum(..) | DataType::Null);
    let is_number = dtype.is_primitive_numeric() || dtype.is_decimal();
    let is_time = matches!(dtype, DataType::Datetime(..) | DataType::Date);
    let (fits, need, hint) = match want {
        Want::Time => (
            is_time || matches!(dtype, DataType::String | DataType::Null),
            "a time stamp",
            if dtype.is_integer() {
                "store a number of seconds or milliseconds as a time stamp type, so that its unit is certain"
            } else {
                "use a date-and-time type or ISO 8601 text, such as `2025-03-03T09:00:00Z`"
            },
        ),
        Want::Identifier => (is_text || dtype.is_integer(), "text or integers", "store ids as text or integers"),
        Want::Segment => (
            is_text || dtype.is_integer() || dtype.is_bool(),
            "text, integers or booleans",
            "put numbers into a few named classes, and store those as text",
        ),
        Want::Vector => (
            matches!(dtype, DataType::String | DataType::Null) || embeddings::holds_vectors(dtype),
            "lists of numbers",
            "store an embedding as a list of numbers, or as text such as `[0.1, -0.2]`; one that was not computed is null",
        ),
        Want::Number { boolean } => (
            is_number || *dtype == DataType::Null || (boolean && dtype.is_bool()),
            if boolean { "booleans or numbers" } else { "numbers" },
            if embeddings::holds_vectors(dtype) {
                "a metric of kind `drift` with `features` compares distributions of lists"
            } else if dtype.is_bool() {
                "use `kind = \"proportion\"` for a yes-or-no outcome, or store it as 0 and 1"
            } else {
                "store the values as numbers; a value that was not measured is null"
            },
        ),
    };
    (!fits).then(|| (format!("holds {}, and `{key}` needs {need}", kind_of(dtype)), hint.to_owned()))
}

fn kind_of(dtype: &DataType) -> String {
    match dtype {
        DataType::String | DataType::Categorical(..) | DataType::Enum(..) => "text".into(),
        DataType::Boolean => "booleans".into(),
        DataType::Datetime(..) => "time stamps".into(),
        DataType::Date => "dates".into(),
        dtype if dtype.is_integer() => "integers".into(),
        dtype if dtype.is_float() || dtype.is_decimal() => "numbers with decimals".into(),
        other => format!("values of type {other}"),
    }
}
