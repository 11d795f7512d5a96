//! The sums of one (unit, slot, segment values, item) of the log.

use super::bins::BinLists;
use crate::domain::version::{PerVersion, Version};

/// Cells, column by column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cells {
    /// Slot index of each cell, not decreasing.
    pub slot: Vec<u32>,
    /// Index into the digest's units.
    pub unit: Vec<u32>,
    /// Per segment column: index into its values.
    pub segment: Vec<Vec<u16>>,
    /// Index into the digest's items; empty without an item column.
    pub item: Vec<u32>,
    /// Requests.
    pub rows: Vec<f64>,
    /// Requests with a shadow output: any candidate column is not null. The others count as traffic only.
    /// In a log in long form: those that stable served.
    pub covered: Vec<f64>,
    /// In a log in long form, and in one of outputs: requests that the candidate served. Elsewhere both versions cover the same.
    pub covered_candidate: Option<Vec<f64>>,
    /// Per metric of the scenario.
    pub metrics: Vec<MetricCells>,
    /// Per metric of the scenario: what its judge did.
    pub judged: Vec<Judged>,
}

impl Cells {
    /// Number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slot.len()
    }

    /// Requests of which a version's outcome is known or is known to be missing.
    #[must_use]
    pub fn covered_by(&self, version: Version) -> &[f64] {
        self.covered_candidate.as_ref().filter(|_| version == Version::Candidate).unwrap_or(&self.covered)
    }

    /// Whether requests have the outcomes of both versions.
    #[must_use]
    pub fn is_paired(&self) -> bool {
        self.covered_candidate.is_none()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slot.is_empty()
    }
}

/// What the judge of a metric did, one element per cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Judged {
    /// Covered requests that it was asked about; `None` where these are all.
    pub asked: Option<Vec<f64>>,
    /// Those that the candidate covers, where versions are not covered alike: the others are then stable's.
    pub asked_candidate: Option<Vec<f64>>,
    /// What people said of some of them.
    pub labels: Option<PerVersion<LabelSums>>,
    /// The cells as recorded, where those that later stages see were corrected or filled in.
    pub recorded: Option<MetricCells>,
}

/// Sums over the judged requests of one version that people labelled too.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LabelSums {
    /// Requests.
    pub n: Vec<f64>,
    /// Sum of what people said.
    pub human: Vec<f64>,
    /// Sum of what the judge said.
    pub judge: Vec<f64>,
}

/// What a cell holds of one metric.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a scenario has a handful of metrics")]
pub enum MetricCells {
    /// Mean, proportion, ratio.
    Sums(SumCells),
    /// Quantile.
    Bins(PerVersion<BinLists>),
}

/// Sums over covered requests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SumCells {
    /// Over the requests where this version's value is not null.
    pub version: PerVersion<Sums>,
    /// Over the requests where both versions' values are not null.
    pub paired: PairedSums,
}

/// Sums of one version, one element per cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sums {
    /// Requests with a value.
    pub n: Vec<f64>,
    /// Sum of the numerator.
    pub num: Vec<f64>,
    /// Sum over requests of the squared numerator.
    pub num2: Vec<f64>,
    /// Only ratios over a column have a denominator of their own; otherwise it is 1 for each request.
    pub denominator: Option<DenominatorSums>,
}

/// Sums of a denominator that is a column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DenominatorSums {
    /// Sum of the denominator.
    pub den: Vec<f64>,
    /// Sum over requests of the squared denominator.
    pub den2: Vec<f64>,
    /// Sum over requests of numerator times denominator.
    pub numden: Vec<f64>,
}

impl Sums {
    /// Whether every value of a cell is 0 or 1, which are their own squares; sums of these are exact.
    #[must_use]
    pub fn is_yes_or_no(&self, cell: usize) -> bool {
        (self.num[cell] - self.num2[cell]).abs() <= 1e-12 * self.n[cell]
    }

    /// Sum of the denominator of a cell.
    #[must_use]
    pub fn den(&self, cell: usize) -> f64 {
        self.denominator.as_ref().map_or(self.n[cell], |d| d.den[cell])
    }

    /// Sum over requests of the squared denominator of a cell.
    #[must_use]
    pub fn den2(&self, cell: usize) -> f64 {
        self.denominator.as_ref().map_or(self.n[cell], |d| d.den2[cell])
    }

    /// Sum over requests of numerator times denominator of a cell.
    #[must_use]
    pub fn numden(&self, cell: usize) -> f64 {
        self.denominator.as_ref().map_or(self.num[cell], |d| d.numden[cell])
    }
}

/// Sums over the requests where both versions have a value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PairedSums {
    /// Requests.
    pub n: Vec<f64>,
    /// Sum of each version's numerator.
    pub num: PerVersion<Vec<f64>>,
    /// Sum of each version's denominator, where it is a column.
    pub den: Option<PerVersion<Vec<f64>>>,
    /// Of a proportion: sum of stable's value times the candidate's.
    pub product: Option<Vec<f64>>,
}
