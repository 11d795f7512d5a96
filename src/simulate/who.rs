//! Whom each stage takes, and whom it compares.
//!
//! Who was on the candidate stays there, so a stage serves a unit with the largest exposure so far. It compares the units for which its own
//! exposure is that one: then chance alone says which of them are on the candidate. The others are served, and not compared.

use std::collections::HashMap;

use super::StagePlan;
use crate::assign::{KeyedHash, unit_key};
use crate::digest::Digest;
use crate::domain::quantity::Fraction;
use crate::domain::rollout::{Control, Stage, Sticky};
use crate::error::Problem;
use crate::scenario::Scenario;

/// What one stage means for a unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turn {
    /// Places below this are on the candidate.
    pub exposure: f64,
    /// Places below this are in one of the arms that are compared.
    pub counted: f64,
}

impl Turn {
    /// Of a stage that takes a share of everyone, and compares it with the rest.
    #[must_use]
    pub fn of_everyone(exposure: Fraction) -> Self {
        Self { exposure: exposure.get(), counted: f64::INFINITY }
    }

    /// Whether a copy at a place is compared, and whether it is on the candidate: ones and zeros.
    pub(super) fn holds(self, place: f64) -> [u8; 2] {
        [u8::from(place < self.counted), u8::from(place < self.exposure)]
    }

    /// Whether the stage compares such units.
    #[must_use]
    pub fn compares(self) -> bool {
        self.counted > 0.0
    }
}

/// The user of each unit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Holders {
    of_unit: Vec<u32>,
    keys: Vec<u64>,
}

impl Holders {
    fn of(digest: &Digest, scenario: &Scenario) -> Option<Self> {
        let (of_unit, names) = digest.holders(scenario)?;
        Some(Self { of_unit, keys: names.into_iter().map(unit_key).collect() })
    }
}

/// What the stages mean for each unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Who {
    /// Per kind of unit and stage.
    turns: Vec<Vec<Turn>>,
    /// Per unit: its kind.
    kind_of: Vec<u32>,
    /// How long a unit keeps its version.
    pub(super) sticky: Sticky,
    /// Where not users draw but what they send: whose it is.
    pub(super) holders: Option<Holders>,
    /// Some are served that are not compared.
    pub(super) waves: bool,
    /// Some are in no arm.
    pub(super) partial: bool,
    /// Per stage: the exposure that counts once in a census.
    parts: Vec<f64>,
    /// What a census draws its cookies from: as no replicate does.
    pub(super) planned: KeyedHash,
}

impl Who {
    /// Of the units of a log. A unit's segments are those of its first cell.
    #[must_use]
    pub fn new(digest: &Digest, scenario: &Scenario) -> Self {
        let stages = &scenario.stages;
        let mut columns: Vec<usize> = stages.iter().flat_map(Stage::columns).collect();
        columns.sort_unstable();
        columns.dedup();
        let first = first_cells(digest, !columns.is_empty());
        let mut kinds: HashMap<Vec<u16>, u32> = HashMap::new();
        let mut turns = Vec::new();
        let of_unit = |unit: usize| {
            let values: Vec<u16> = columns.iter().map(|&column| digest.cells.segment[column][first[unit]]).collect();
            *kinds.entry(values).or_insert_with_key(|values| {
                let value = |column: usize| {
                    let at =
                        columns.iter().position(|&known| known == column).expect("columns are those of the stages");
                    digest.segments[column].values[usize::from(values[at])].as_str()
                };
                turns.push(of_kind(stages, &value));
                turns.len() as u32 - 1
            })
        };
        let kind_of: Vec<u32> = (0..digest.units.len()).map(of_unit).collect();
        let pinned = scenario.assignment.sticky == Sticky::Session;
        let part = |stage: &Stage| match &stage.per_segment {
            // Nobody is exposed, whatever the part.
            None if stage.paired.is_some() => 1.0,
            Some(shares) => shares.common_part().expect("checked with the scenario"),
            None => stage.exposure.get(),
        };
        Self {
            turns,
            kind_of,
            sticky: scenario.assignment.sticky,
            holders: Holders::of(digest, scenario),
            // Sessions from before a stage are served as they were, and compared no more.
            waves: !columns.is_empty() || pinned,
            partial: !columns.is_empty() || pinned || stages.iter().any(|stage| stage.control == Control::Matched),
            parts: stages.iter().map(part).collect(),
            planned: KeyedHash::of_replicate(scenario.simulation.seed, u64::MAX),
        }
    }

    /// What the stages mean for a unit, by index.
    #[must_use]
    pub fn turns(&self, unit: usize) -> &[Turn] {
        &self.turns[self.kind_of[unit] as usize]
    }

    /// What the stages mean for every unit, where that is the same and every one of them is in an arm.
    pub(super) fn all_alike(&self) -> Option<&[Turn]> {
        let [turns] = &self.turns[..] else { return None };
        (!self.partial && !self.waves).then_some(turns)
    }

    /// Whether some are served that are not compared.
    #[must_use]
    pub fn has_waves(&self) -> bool {
        self.waves
    }

    /// The user of a unit, by index: itself where users draw.
    pub(super) fn holder(&self, unit: usize) -> usize {
        self.holders.as_ref().map_or(unit, |holders| holders.of_unit[unit] as usize)
    }

    /// Number of users, of so many units.
    pub(super) fn count_holders(&self, units: usize) -> usize {
        self.holders.as_ref().map_or(units, |holders| holders.keys.len())
    }

    /// Whether who once has the candidate keeps it, and everyone else draws with every request.
    pub(super) fn hands_out_cookies(&self) -> bool {
        self.sticky == Sticky::Cookie
    }

    /// What a user is drawn by, by index; of units that are users, nobody asks.
    pub(super) fn user_key(&self, user: usize) -> u64 {
        self.holders.as_ref().map_or(0, |holders| holders.keys[user])
    }

    /// What the copies of a unit are drawn by: its own key, or its user's.
    pub(super) fn copies_key(&self, unit: usize, key: u64) -> u64 {
        self.holders.as_ref().map_or(key, |holders| holders.keys[holders.of_unit[unit] as usize])
    }

    /// Number of stages.
    pub(super) fn stages(&self) -> usize {
        self.parts.len()
    }

    /// Mean exposure of the units that a stage compares; `None` where it compares nobody.
    #[must_use]
    pub fn exposure(&self, stage: usize) -> Option<f64> {
        let (mut units, mut weight) = (0_u64, 0_u64);
        for unit in 0..self.kind_of.len() {
            let times = u64::from(self.weight(stage, unit));
            units += u64::from(times > 0);
            weight += times;
        }
        (units > 0).then(|| self.parts[stage] * (weight as f64 / units as f64))
    }

    /// How often a census of a stage counts a unit: in proportion to its exposure.
    pub(super) fn weight(&self, stage: usize, unit: usize) -> u8 {
        let turn = self.turns(unit)[stage];
        if turn.compares() { (turn.exposure / self.parts[stage]).round() as u8 } else { 0 }
    }

    /// What turns the sums of a census into those of everybody whom a stage compares, so that a mean exposure of them is the arm.
    pub(super) fn scale(&self, stage: usize, plan: &StagePlan) -> f64 {
        if plan.exposes() { self.parts[stage] / plan.exposure } else { 1.0 }
    }

    /// What in a log does not fit the stages' waves.
    #[must_use]
    pub fn problems(digest: &Digest, scenario: &Scenario) -> Vec<Problem> {
        let mut columns: Vec<usize> = scenario.stages.iter().flat_map(Stage::columns).collect();
        columns.sort_unstable();
        columns.dedup();
        let mut problems: Vec<Problem> =
            columns.iter().filter_map(|&column| changing(digest, scenario, column)).collect();
        if columns.is_empty() || !problems.is_empty() {
            return problems;
        }
        let who = Self::new(digest, scenario);
        for (index, stage) in scenario.stages.iter().enumerate() {
            if stage.paired.is_none() && who.exposure(index).is_none() {
                let message = format!(
                    "stage `{}` compares nobody: of its units, there is none that earlier stages have left at a smaller exposure",
                    stage.name
                );
                problems.push(Problem::new(&scenario.path, message).hint("raise its `exposure`, or widen its `only`"));
            }
        }
        problems
    }
}

/// The turns of units with given values of segment columns.
fn of_kind<'v>(stages: &[Stage], value: &dyn Fn(usize) -> &'v str) -> Vec<Turn> {
    let mut largest = 0.0;
    let turn = |stage: &Stage| {
        if stage.paired.is_some() {
            // Not even those who always have the candidate.
            return Turn { exposure: f64::NEG_INFINITY, counted: f64::INFINITY };
        }
        let meant = stage.only.iter().all(|(column, values)| values.iter().any(|known| known == value(*column)));
        let exposure = match &stage.per_segment {
            _ if !meant => 0.0,
            Some(shares) => shares.of(value(shares.column)).get(),
            None => stage.exposure.get(),
        };
        if !meant || exposure < largest {
            return Turn { exposure: largest, counted: 0.0 };
        }
        largest = exposure;
        let matched = stage.control == Control::Matched && exposure < 1.0;
        Turn { exposure, counted: if matched { 2.0 * exposure } else { f64::INFINITY } }
    };
    stages.iter().map(turn).collect()
}

/// The first cell of each unit, where it is asked for.
fn first_cells(digest: &Digest, asked: bool) -> Vec<usize> {
    let mut first = vec![usize::MAX; if asked { digest.units.len() } else { 0 }];
    if asked {
        for (cell, &unit) in digest.cells.unit.iter().enumerate() {
            let first = &mut first[unit as usize];
            *first = cell.min(*first);
        }
    }
    first
}

/// A column of which some unit has two values.
fn changing(digest: &Digest, scenario: &Scenario, column: usize) -> Option<Problem> {
    let (cells, segment) = (&digest.cells, &digest.segments[column]);
    let first = first_cells(digest, true);
    let value = |cell: usize| cells.segment[column][cell];
    let cell = (0..cells.len()).find(|&cell| value(cell) != value(first[cells.unit[cell] as usize]))?;
    let unit = cells.unit[cell];
    let rows: f64 = (0..cells.len()).filter(|&other| cells.unit[other] == unit).map(|other| cells.rows[other]).sum();
    let name = |cell: usize| &segment.values[usize::from(value(cell))];
    let message = format!(
        "column `{}` does not belong to the unit: `{}` of `{}` has `{}` and `{}` in its {rows} requests",
        segment.name,
        digest.units[unit as usize],
        scenario.assignment.unit,
        name(first[unit as usize]),
        name(cell),
    );
    let hint = "whom a stage takes is decided once for each unit: choose by a column with one value for each unit, or assign another unit";
    Some(Problem::new(&scenario.path, message).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::quantity::Seconds;
    use crate::domain::rollout::PerSegment;

    fn stage(exposure: f64, only: &[&str], control: Control) -> Stage {
        let values = only.iter().map(|&value| value.to_owned()).collect();
        Stage {
            name: String::new(),
            exposure: Fraction::new(exposure).unwrap(),
            per_segment: None,
            only: if only.is_empty() { Vec::new() } else { vec![(0, values)] },
            control,
            paired: None,
            duration: Seconds::HOUR,
            look_every: Seconds::HOUR,
            settle: Seconds(0),
            approved: false,
            start: None,
        }
    }

    const REST: f64 = f64::INFINITY;

    fn turns(stages: &[Stage], value: &'static str) -> Vec<(f64, f64)> {
        of_kind(stages, &|_| value).into_iter().map(|turn| (turn.exposure, turn.counted)).collect()
    }

    #[test]
    fn a_wave_is_compared_while_its_exposure_is_the_largest_so_far() {
        let stages = [
            stage(0.5, &["internal"], Control::Rest),
            stage(0.2, &["pilot"], Control::Rest),
            stage(0.3, &[], Control::Rest),
            stage(0.6, &[], Control::Rest),
        ];
        assert_eq!(turns(&stages, "internal"), [(0.5, REST), (0.5, 0.0), (0.5, 0.0), (0.6, REST)]);
        assert_eq!(turns(&stages, "pilot"), [(0.0, 0.0), (0.2, REST), (0.3, REST), (0.6, REST)]);
        assert_eq!(turns(&stages, "other"), [(0.0, 0.0), (0.0, 0.0), (0.3, REST), (0.6, REST)]);
    }

    #[test]
    fn as_many_others_are_in_the_matched_arm() {
        let mut per_segment = stage(0.5, &[], Control::Matched);
        let share = |share: f64| Fraction::new(share).unwrap();
        per_segment.per_segment =
            Some(PerSegment { column: 0, values: vec![("internal".to_owned(), share(0.5))], default: share(0.05) });
        let stages = [per_segment, stage(0.2, &[], Control::Matched), stage(1.0, &[], Control::Matched)];
        assert_eq!(turns(&stages, "internal"), [(0.5, 1.0), (0.5, 0.0), (1.0, REST)]);
        assert_eq!(turns(&stages, "other"), [(0.05, 0.1), (0.2, 0.4), (1.0, REST)]);
    }
}
