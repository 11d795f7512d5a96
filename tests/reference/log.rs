//! Small random logs: rows as they are, and the same rows as a file.

use std::fs::File;
use std::path::Path;

use polars::prelude::*;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

/// Width of a slot in all logs but those that repeat weeks.
pub(crate) const QUARTER_S: i64 = 900;

/// What one version answered to one request.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) quality: Option<f64>,
    /// Whether it was right, as 0 or 1.
    pub(crate) ok: Option<f64>,
    pub(crate) latency_ms: Option<f64>,
    pub(crate) cost_usd: Option<f64>,
    pub(crate) tokens: Option<i64>,
}

impl Answer {
    /// Two of its numbers, where both are known.
    pub(crate) fn embedding(&self) -> Option<[f64; 2]> {
        Some([self.quality?, self.latency_ms? / 500.0])
    }

    fn draw(rng: &mut impl Rng, null: f64) -> Self {
        let mut measured = |share: f64| rng.random::<f64>() >= share;
        let [quality, ok, latency, cost, tokens] = [(); 5].map(|()| measured(null));
        Self {
            quality: quality.then(|| rng.random_range(-1.0..2.0)),
            ok: ok.then(|| f64::from(u8::from(rng.random::<f64>() < 0.8))),
            latency_ms: latency.then(|| (rng.random_range(3.0..9.0_f64)).exp()),
            cost_usd: cost.then(|| rng.random_range(0.0..0.02)),
            tokens: tokens.then(|| rng.random_range(0..500)),
        }
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) micros: i64,
    /// What draws: the user, or what of a user does.
    pub(crate) unit: usize,
    /// Whose it is, and which of the user's sessions or requests, where those draw.
    pub(crate) within: Option<(usize, usize)>,
    /// Region and tier; a null is a value of its own.
    pub(crate) segments: [Option<&'static str>; 2],
    pub(crate) stable: Answer,
    pub(crate) candidate: Answer,
    /// Whether the shadow saw the request at all.
    pub(crate) is_covered: bool,
}

impl Row {
    /// A segment value as reports call it.
    pub(crate) fn segment(&self, column: usize) -> &'static str {
        self.segments[column].unwrap_or("(null)")
    }
}

/// A log of rows in no order.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) rows: Vec<Row>,
    pub(crate) slot_s: i64,
}

/// Names of the segment columns.
pub(crate) const SEGMENTS: [&str; 2] = ["region", "tier"];

/// Values that occur; `None` is a null.
pub(crate) const VALUES: [[Option<&str>; 3]; 2] = [[Some("eu"), Some("us"), None], [Some("free"), Some("pro"), None]];

impl Log {
    /// Requests of heavy and light units over some slots, many of them at the same moment or exactly on a slot's edge.
    pub(crate) fn draw(rng: &mut impl Rng, rows: usize, units: usize, slots: i64, slot_s: i64) -> Self {
        // 2025-03-03 12:00 UTC, and some slots on.
        let begin = 1_741_003_200 + rng.random_range(0..50) * slot_s;
        let uncovered = *[0.0, 0.1, 0.5].choose(rng).expect("not empty");
        let null = *[0.0, 0.1, 0.4].choose(rng).expect("not empty");
        let tail = rng.random_range(1.0..4.0_f64);
        let row = |rng: &mut _| Self::row(rng, units, tail, begin * 1_000_000..(begin + slots * slot_s) * 1_000_000);
        let mut log = Self { rows: (0..rows).map(|_| row(rng)).collect(), slot_s };
        for row in &mut log.rows {
            row.stable = Answer::draw(rng, null);
            if rng.random::<f64>() >= uncovered {
                row.candidate = Answer::draw(rng, null);
            }
            row.is_covered = !row.candidate.is_nothing();
        }
        log
    }

    fn row(rng: &mut impl Rng, units: usize, tail: f64, time: std::ops::Range<i64>) -> Row {
        let micros = rng.random_range(time);
        let coarse = *[1, 60_000_000, 900_000_000].choose(rng).expect("not empty");
        let unit = (rng.random::<f64>().powf(tail) * units as f64).floor();
        Row {
            micros: micros - micros.rem_euclid(coarse),
            unit: (0..units).rev().find(|&index| index as f64 <= unit).expect("counts from 0"),
            within: None,
            segments: VALUES.map(|values| *values.choose(rng).expect("not empty")),
            stable: Answer::default(),
            candidate: Answer::default(),
            is_covered: false,
        }
    }

    /// Lets sessions of users draw, or with `None` all their requests.
    pub(crate) fn draw_within(&mut self, rng: &mut impl Rng, sessions: Option<usize>) {
        let mut known: Vec<(usize, usize)> = Vec::new();
        for (index, row) in self.rows.iter_mut().enumerate() {
            let within = (row.unit, sessions.map_or(index, |sessions| rng.random_range(0..sessions)));
            row.within = Some(within);
            row.unit = known.iter().position(|&other| other == within).unwrap_or_else(|| {
                known.push(within);
                known.len() - 1
            });
        }
    }

    /// The user of a unit.
    pub(crate) fn user(&self, unit: usize) -> usize {
        let row = self.rows.iter().find(|row| row.unit == unit);
        row.and_then(|row| row.within).map_or(unit, |(user, _)| user)
    }

    /// The name of a unit, with that of its user where it is not one.
    pub(crate) fn name_of(&self, unit: usize) -> String {
        match self.rows.iter().find(|row| row.unit == unit).and_then(|row| row.within) {
            Some((user, part)) => format!("{}\u{1f}part {part}", Self::name(user)),
            None => Self::name(unit),
        }
    }

    /// Slot of the first request of a unit, and how many it has.
    pub(crate) fn span(&self, unit: usize) -> (i64, f64) {
        let own = || self.rows.iter().filter(|row| row.unit == unit);
        (own().map(|row| self.slot(row)).min().unwrap_or(i64::MAX), own().count() as f64)
    }

    /// Gives every unit one tier.
    pub(crate) fn settle_tiers(&mut self) {
        for row in &mut self.rows {
            row.segments[1] = VALUES[1][row.unit % 3];
        }
    }

    /// The tier of a unit's requests, where it is the same in all of them.
    pub(crate) fn tier(&self, unit: usize) -> &'static str {
        self.rows.iter().find(|row| row.unit == unit).map_or("", |row| row.segment(1))
    }

    /// Moves the last row so that the log covers a whole week at least.
    pub(crate) fn span_a_week(&mut self) {
        let week_later = self.rows.iter().map(|row| row.micros).min().map(|first| first + 7 * 86_400 * 1_000_000);
        let latest = self.rows.iter_mut().max_by_key(|row| row.micros);
        if let (Some(moment), Some(row)) = (week_later, latest) {
            row.micros = row.micros.max(moment);
        }
    }

    /// Moves the log to another day, whose first row is in this slot.
    pub(crate) fn begin_at(&mut self, slot: i64) {
        let moved = (slot - self.first_slot()) * self.slot_s * 1_000_000;
        self.rows.iter_mut().for_each(|row| row.micros += moved);
    }

    /// The name of a unit; names do not sort as units count.
    pub(crate) fn name(unit: usize) -> String {
        format!("user-{}", unit * 7919 % 1000)
    }

    pub(crate) fn units(&self) -> usize {
        self.rows.iter().map(|row| row.unit + 1).max().unwrap_or(0)
    }

    /// Slot of a row, counted from 1970.
    pub(crate) fn slot(&self, row: &Row) -> i64 {
        row.micros.div_euclid(self.slot_s * 1_000_000)
    }

    pub(crate) fn first_slot(&self) -> i64 {
        self.rows.iter().map(|row| self.slot(row)).min().expect("a log has rows")
    }

    /// Slots from the first row to the last.
    pub(crate) fn slots(&self) -> i64 {
        self.rows.iter().map(|row| self.slot(row)).max().expect("a log has rows") - self.first_slot() + 1
    }

    pub(crate) fn write(&self, path: &Path) {
        let column = |name: &str, values: Vec<Option<f64>>| Column::new(name.into(), values);
        let micros: Vec<i64> = self.rows.iter().map(|row| row.micros).collect();
        let moments = Series::new("ts".into(), micros).into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
        let user = |row: &Row| row.within.map_or(row.unit, |(user, _)| user);
        let names: Vec<String> = self.rows.iter().map(|row| Self::name(user(row))).collect();
        let part = |row: &Row| row.within.map(|(_, part)| format!("part {part}"));
        let parts: Vec<Option<String>> = self.rows.iter().map(part).collect();
        let mut columns =
            vec![Column::from(moments), Column::new("user_id".into(), names), Column::new("part".into(), parts)];
        for (index, name) in SEGMENTS.into_iter().enumerate() {
            let values: Vec<Option<&str>> = self.rows.iter().map(|row| row.segments[index]).collect();
            columns.push(Column::new(name.into(), values));
        }
        for (version, of) in [("stable", (|row| &row.stable) as fn(&Row) -> &Answer), ("candidate", |r| &r.candidate)] {
            let all =
                |value: fn(&Answer) -> Option<f64>| self.rows.iter().map(|row| value(of(row))).collect::<Vec<_>>();
            let oks: Vec<Option<bool>> = self.rows.iter().map(|row| of(row).ok.map(|ok| ok > 0.5)).collect();
            let tokens: Vec<Option<i64>> = self.rows.iter().map(|row| of(row).tokens).collect();
            let text = |[first, second]: [f64; 2]| format!("[{first}, {second}]");
            let embeddings: Vec<Option<String>> = self.rows.iter().map(|row| of(row).embedding().map(text)).collect();
            columns.extend([
                column(&format!("{version}_quality"), all(|answer| answer.quality)),
                Column::new(format!("{version}_ok").into(), oks),
                column(&format!("{version}_latency_ms"), all(|answer| answer.latency_ms)),
                column(&format!("{version}_cost_usd"), all(|answer| answer.cost_usd)),
                Column::new(format!("{version}_tokens").into(), tokens),
                Column::new(format!("{version}_embedding").into(), embeddings),
            ]);
        }
        let mut frame = DataFrame::new(self.rows.len(), columns).expect("columns of one length");
        ParquetWriter::new(File::create(path).expect("a new file")).finish(&mut frame).expect("the log is written");
    }
}
