//! Who is served what: sums by looking at every row and every copy.

use replay::assign::{KeyedHash, unit_key};
use replay::domain::rollout::Sticky;

use crate::log::{Log, Row};
use crate::plan::Plan;

/// Stream of the hash from which the number of copies is drawn.
const COPIES_STREAM: u32 = u32::MAX;

/// Streams of the coins that exchange a copy's answers go down from here.
const SWAP_STREAM: u32 = u32::MAX - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arm {
    Stable,
    Candidate,
}

pub(crate) const MOST_STAGES: usize = 8;

/// Where stages draw anew, the streams of each begin so many after those of the stage before.
const STREAMS_OF_STAGE: u32 = 32;

/// One copy of a unit; every copy is a unit of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Copied {
    pub(crate) unit: usize,
    /// The user, and which copy of it.
    pub(crate) user: (usize, u32),
    /// In each stage.
    pub(crate) places: [f64; MOST_STAGES],
    /// Whether its two answers are exchanged, where the null is made so.
    pub(crate) swapped: bool,
}

/// The copies of a replicate, by the definition of salt and streams.
pub(crate) fn copies(log: &Log, plan: &Plan, replicate: u64) -> Vec<Copied> {
    let hash = KeyedHash::of_replicate(plan.seed, replicate);
    let mut copies = Vec::new();
    for unit in 0..log.units() {
        let key = unit_key(&log.name_of(unit));
        let user = log.user(unit);
        let users_key = unit_key(&Log::name(user));
        let count = if plan.poisson { poisson(hash.uniform(users_key, COPIES_STREAM)) } else { 1 };
        copies.extend((0..count).map(|copy| Copied {
            unit,
            user: (user, copy),
            places: std::array::from_fn(|stage| hash.uniform(key, copy + stream(plan, stage))),
            // Where a user's requests draw for the user, the answers of all of them are exchanged.
            swapped: hash.uniform(if plan.sticky == Sticky::Cookie { users_key } else { key }, SWAP_STREAM - copy)
                < 0.5,
        }));
    }
    copies
}

/// The first stream of a stage's places: each has its own, or all share those of the first.
fn stream(plan: &Plan, stage: usize) -> u32 {
    match plan.sticky {
        Sticky::Unit | Sticky::Cookie => 0,
        _ => STREAMS_OF_STAGE * u32::try_from(stage).expect("few stages"),
    }
}

/// Smallest `k` with `P(Poisson(1) <= k) > uniform`.
fn poisson(uniform: f64) -> u32 {
    let factorial = |k: u32| (1..=k).map(f64::from).product::<f64>();
    let at_most = |k: u32| (0..=k).map(|i| (-1.0_f64).exp() / factorial(i)).sum::<f64>();
    (0..18).find(|&k| at_most(k) > uniform).unwrap_or(18)
}

/// A copy (or a share of a unit) in an arm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) unit: usize,
    pub(crate) user: (usize, u32),
    pub(crate) arm: Arm,
    pub(crate) weight: f64,
    pub(crate) swapped: bool,
}

/// The stage in which a unit drew; `None` before the first.
pub(crate) type Drew<'d> = dyn Fn(usize) -> Option<usize> + 'd;

/// Every copy, in the arm that serves it in a stage: with the largest share that any stage had asked for when it drew.
pub(crate) fn served(copies: &[Copied], log: &Log, plan: &Plan, drew: &Drew<'_>) -> Vec<Member> {
    let arm = |copy: &Copied| {
        let tier = log.tier(copy.unit);
        let asked =
            |stage: usize| plan.stages[..=stage].iter().any(|asking| copy.places[stage] < asking.asks_for(tier));
        let was_asked = drew(copy.unit).is_some_and(asked);
        if was_asked { Arm::Candidate } else { Arm::Stable }
    };
    let member =
        |copy: &Copied| Member { unit: copy.unit, user: copy.user, arm: arm(copy), weight: 1.0, swapped: copy.swapped };
    copies.iter().map(member).collect()
}

/// Whether a stage compares the units of a tier: it asks for some of them, and no stage before asked for more.
fn compares(plan: &Plan, stage: usize, tier: &str) -> bool {
    let asks = plan.stages[stage].asks_for(tier);
    asks > 0.0 && plan.stages[..stage].iter().all(|earlier| earlier.asks_for(tier) <= asks)
}

/// Shares of the units of a tier in the arms of a stage: stable's, and the candidate's.
fn shares(plan: &Plan, stage: usize, tier: &str) -> (f64, f64) {
    let asks = plan.stages[stage].asks_for(tier);
    let rest = 1.0 - asks;
    match (compares(plan, stage, tier), plan.matches(stage)) {
        (false, _) => (0.0, 0.0),
        (true, true) => (rest.min(asks), asks),
        (true, false) => (rest, asks),
    }
}

/// The copies that a stage compares, in their arms.
pub(crate) fn compared(copies: &[Copied], log: &Log, plan: &Plan, stage: usize, drew: &Drew<'_>) -> Vec<Member> {
    let arm = |copy: &Copied| {
        let (stable, candidate) = shares(plan, stage, log.tier(copy.unit));
        if copy.places[stage] < candidate {
            Some(Arm::Candidate)
        } else {
            // As many again, or all that are left.
            let is_left = stable > 0.0 && (!plan.matches(stage) || copy.places[stage] < 2.0 * candidate);
            is_left.then_some(Arm::Stable)
        }
    };
    let member = |copy: &Copied| {
        Some(Member { unit: copy.unit, user: copy.user, arm: arm(copy)?, weight: 1.0, swapped: copy.swapped })
    };
    copies.iter().filter(|copy| drew(copy.unit) == Some(stage)).filter_map(member).collect()
}

/// Every unit in both arms of a stage, with the weights that chance gives them.
pub(crate) fn expected(log: &Log, plan: &Plan, stage: usize, drew: &Drew<'_>) -> Vec<Member> {
    let of_unit = |unit: usize| {
        let (stable, candidate) = shares(plan, stage, log.tier(unit));
        let member = |(arm, weight)| Member { unit, user: (unit, 0), arm, weight, swapped: false };
        [(Arm::Stable, stable), (Arm::Candidate, candidate)].map(member)
    };
    let here = (0..log.units()).filter(|&unit| drew(unit) == Some(stage));
    here.flat_map(of_unit).filter(|member| member.weight > 0.0).collect()
}

/// Every unit in both arms, with these weights.
pub(crate) fn shared_out(log: &Log, stable: f64, candidate: f64) -> Vec<Member> {
    (0..log.units())
        .flat_map(|unit| {
            [(Arm::Stable, stable), (Arm::Candidate, candidate)].map(|(arm, weight)| Member {
                unit,
                user: (unit, 0),
                arm,
                weight,
                swapped: false,
            })
        })
        .collect()
}

/// A row, the slot of the rollout in which it arrives, and of which unit.
pub(crate) type Arrival<'a> = (&'a Row, usize, usize);

/// Traffic of a rollout.
pub(crate) struct Traffic<'a> {
    by_slot: Vec<Vec<&'a Row>>,
    pub(crate) start: usize,
    period: Option<usize>,
}

impl<'a> Traffic<'a> {
    /// `start` counts slots from the first of the log.
    pub(crate) fn new(log: &'a Log, plan: &Plan, start: usize) -> Self {
        let first = log.first_slot();
        let slots = usize::try_from(log.slots()).expect("at least one");
        let by_slot = (0..slots)
            .map(|slot| log.rows.iter().filter(|row| log.slot(row) - first == slot as i64).collect())
            .collect();
        let week = usize::try_from(7 * 86_400 / log.slot_s).expect("positive");
        Self { by_slot, start, period: plan.tiled.then_some(slots / week * week) }
    }

    /// Slots of the log that can be replayed: a repeated log ends with its last whole week.
    pub(crate) fn slots(&self) -> usize {
        self.period.unwrap_or(self.by_slot.len())
    }

    /// What arrives in some slots of the rollout.
    pub(crate) fn arrivals(&self, slots: std::ops::Range<usize>) -> Vec<Arrival<'a>> {
        let mut arrivals = Vec::new();
        for slot in slots {
            let of_log = self.start + slot;
            let of_log = self.period.map_or(of_log, |period| of_log % period);
            arrivals.extend(self.by_slot.get(of_log).into_iter().flatten().map(|&row| (row, slot, row.unit)));
        }
        arrivals
    }
}

/// Which requests: all, or those with a value of a segment column.
pub(crate) type Slice = Option<(usize, &'static str)>;

/// Sums over the members of an arm, and how large their terms are over both arms.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    pub(crate) units: f64,
    pub(crate) covered: f64,
    pub(crate) requests: f64,
    /// Weight, Y and X of each member.
    pub(crate) members: Vec<(f64, f64, f64)>,
    /// Y, X, YY, YX, XX with all terms positive, over both arms.
    pub(crate) size: [f64; 5],
}

impl Sums {
    fn sum(&self, term: impl Fn(f64, f64) -> f64) -> f64 {
        self.members.iter().map(|&(weight, y, x)| weight * term(y, x)).sum()
    }

    /// Y, X, YY, YX, XX.
    pub(crate) fn moments(&self) -> [f64; 5] {
        [self.sum(|y, _| y), self.sum(|_, x| x), self.sum(|y, _| y * y), self.sum(|y, x| y * x), self.sum(|_, x| x * x)]
    }

    /// The same units, each counted once.
    pub(crate) fn once(mut self) -> Self {
        let one = |yes: bool| if yes { 1.0 } else { 0.0 };
        for (_, y, x) in &mut self.members {
            (*y, *x) = (one(*y > 0.0), one(*x > 0.0));
        }
        self.size = [self.units.max(1.0); 5];
        self
    }

    pub(crate) fn ratio(&self) -> Option<f64> {
        let [y, x, ..] = self.moments();
        (x > 0.0).then(|| y / x)
    }

    /// Delta method: squared residuals of units from the common ratio, as a sample variance of K units.
    pub(crate) fn ratio_with_variance(&self) -> Mixed {
        let [_, x, yy, _, xx] = self.moments();
        let residual = |ratio: f64| self.sum(|y, x| (y - ratio * x) * (y - ratio * x));
        Mixed::new(self.units, self.ratio(), (x, xx), residual, |ratio| yy + ratio * ratio * xx)
    }

    /// Part of the way from the moments of these sums to those of others over the same units.
    pub(crate) fn towards(&self, other: &Self, part: f64) -> Mixed {
        let (from, to) = (self.moments(), other.moments());
        let [y, x, yy, yx, xx] = [0, 1, 2, 3, 4].map(|index| from[index] + part * (to[index] - from[index]));
        let ratio = (x > 0.0).then(|| y / x);
        let residual = |ratio: f64| yy - 2.0 * ratio * yx + ratio * ratio * xx;
        Mixed::new(self.units, ratio, (x, xx), residual, |ratio| yy + ratio * ratio * xx)
    }
}

/// A ratio and its variance over units.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mixed {
    pub(crate) ratio: Option<f64>,
    pub(crate) variance: Option<f64>,
    /// Units of equal weight that the denominators are worth.
    pub(crate) effective_units: f64,
    /// Units agree so nearly that rounding decides whether there is a variance.
    pub(crate) close: bool,
}

impl Mixed {
    fn new(
        units: f64,
        ratio: Option<f64>,
        (x, xx): (f64, f64),
        residual: impl Fn(f64) -> f64,
        size: impl Fn(f64) -> f64,
    ) -> Self {
        let share = ratio.map(|ratio| residual(ratio) / size(ratio).max(f64::MIN_POSITIVE));
        let residual = |ratio: f64| if share.is_some_and(|share| share > 1e-11) { residual(ratio) } else { 0.0 };
        let variance = |ratio: f64| units / (units - 1.0) * residual(ratio) / (x * x);
        Self {
            ratio,
            variance: ratio.filter(|_| units >= 2.0).map(variance),
            effective_units: x * x / xx,
            close: share.is_some_and(|share| share > 1e-14 && share < 1e-8),
        }
    }
}

/// A request of a copy.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) row: &'a Row,
    /// Slot of the rollout in which it arrives.
    pub(crate) slot: usize,
    /// Whether the copy's answers are exchanged.
    pub(crate) swapped: bool,
}

/// Y and X of a request.
pub(crate) type Value<'f> = dyn Fn(Request<'_>) -> Option<(f64, f64)> + 'f;

/// Rows of a window and the members they belong to.
pub(crate) struct Crowd<'a> {
    pub(crate) arrivals: Vec<Arrival<'a>>,
    pub(crate) members: Vec<Member>,
}

impl Crowd<'_> {
    pub(crate) fn sums(&self, arm: Arm, slice: Slice, value: &Value<'_>) -> Sums {
        let units = self.members.iter().map(|member| member.unit + 1).max().unwrap_or(0);
        let totals = [false, true].map(|swapped| self.totals(units, slice, swapped, value));
        let mut sums = Sums::default();
        for member in &self.members {
            let [requests, covered, y, x, y_size, x_size] = totals[usize::from(member.swapped)][member.unit];
            let sizes = [y_size, x_size, y_size * y_size, y_size * x_size, x_size * x_size];
            for (sum, term) in sums.size.iter_mut().zip(sizes) {
                *sum += member.weight * term;
            }
            if member.arm != arm || requests == 0.0 {
                continue;
            }
            sums.requests += member.weight * requests;
            sums.covered += member.weight * covered;
            if covered > 0.0 {
                sums.units += member.weight;
                sums.members.push((member.weight, y, x));
            }
        }
        sums
    }

    /// Of every unit: requests, covered requests, Y, X, and Y and X with every term positive.
    fn totals(&self, units: usize, slice: Slice, swapped: bool, value: &Value<'_>) -> Vec<[f64; 6]> {
        let mut totals = vec![[0.0; 6]; units];
        let inside = |row: &Row| slice.is_none_or(|(column, value)| row.segment(column) == value);
        for &(row, slot, unit) in self.arrivals.iter().filter(|(row, _, unit)| *unit < units && inside(row)) {
            let total = &mut totals[unit];
            total[0] += 1.0;
            if row.is_covered {
                total[1] += 1.0;
                if let Some((y, x)) = value(Request { row, slot, swapped }) {
                    for (sum, term) in total[2..].iter_mut().zip([y, x, y.abs(), x.abs()]) {
                        *sum += term;
                    }
                }
            }
        }
        totals
    }

    /// Copies of users that the candidate serves in this window.
    pub(crate) fn served(&self) -> impl Iterator<Item = (usize, u32)> {
        self.asking().filter(|member| member.arm == Arm::Candidate).map(|member| member.user)
    }

    /// Members that ask in this window.
    pub(crate) fn asking(&self) -> impl Iterator<Item = &Member> {
        let asks = |unit: usize| self.arrivals.iter().any(|&(.., other)| other == unit);
        self.members.iter().filter(move |member| asks(member.unit))
    }
}
