//! Who is in a replicate, how often, and when each is on the candidate.

use super::spare::Shelf;
use super::who::{Turn, Who};
use crate::assign::{Bucketing, KeyedHash};
use crate::scenario::{Resample, Simulation};

/// Stream of the draw of how many copies a unit has; copies use streams from 0.
const COPIES_STREAM: u32 = u32::MAX;

/// Streams of the coins of the `swap` null go down from here.
const SWAP_STREAM: u32 = u32::MAX - 1;

/// Where a stage draws anew, its streams begin so many after those of the stage before: no unit has as many copies.
const STREAMS_OF_STAGE: u32 = 32;

/// One replicate's units: copies of each, and which of them are compared and on the candidate in each stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// Copies of each unit; where cookies are handed out, of each user.
    pub copies: Vec<u8>,
    /// Per stage: copies of each unit in one of the arms that are compared; all of them where it is absent.
    pub counted: Option<Vec<Vec<u8>>>,
    /// Per stage: of these, those on the candidate.
    pub exposed: Vec<Vec<u8>>,
    /// Per stage: copies of each unit that the candidate serves; those above where it is absent.
    pub served: Option<Vec<Vec<u8>>>,
    /// Those whose two answers are exchanged, in a lane of the `swap` null.
    pub swapped: Option<Box<Lane>>,
    /// What copies draw their places from, where they do so more than once.
    pub draws: Option<KeyedHash>,
    /// Which replicate it is; the largest number where it is none.
    pub replicate: u64,
    /// Whether it stands for whatever outputs could be served, where requests have several.
    pub(super) is_census: bool,
}

/// Whom replicates are drawn from, and how.
pub(super) struct Drawing<'a> {
    pub(super) unit_keys: &'a [u64],
    pub(super) who: &'a Who,
    pub(super) simulation: &'a Simulation,
    pub(super) spare: &'a Shelf<Vec<u8>>,
}

impl Drawing<'_> {
    /// Every copy of every unit draws its own place, once and for all stages or in each of them. What a user sends is copied as often as the
    /// user is: users are the sample, whatever draws.
    pub(super) fn replicate(&self, replicate: usize) -> Lane {
        let Self { unit_keys, who, simulation, .. } = *self;
        let hash = KeyedHash::of_replicate(simulation.seed, replicate as u64);
        if who.hands_out_cookies() {
            return Lane::of_users(hash, who, simulation, replicate);
        }
        let draws = who.sticky.redraws().then_some(hash);
        let mut lane = Lane { replicate: replicate as u64, draws, ..self.nobody() };
        let copies: Vec<u8> = match simulation.resample {
            Resample::Poisson => {
                let draw = |(unit, &key)| poisson_one(hash.uniform(who.copies_key(unit, key), COPIES_STREAM));
                unit_keys.iter().enumerate().map(draw).collect()
            }
            Resample::None => vec![1; unit_keys.len()],
        };
        match who.all_alike() {
            Some(turns) if !who.sticky.redraws() => {
                lane.put_first_copies(hash, unit_keys, &copies, turns);
                each_copy(&copies, 1, |copy, units| lane.put_copies(hash, units, (unit_keys, copy), who));
            }
            _ => each_copy(&copies, 0, |copy, units| lane.put_copies(hash, units, (unit_keys, copy), who)),
        }
        lane
    }

    /// The same units in the same arms, with the answers of each copy exchanged with probability 1/2.
    pub(super) fn swapped(&self, replicate: usize) -> Lane {
        let Self { unit_keys, who, simulation, .. } = *self;
        let hash = KeyedHash::of_replicate(simulation.seed, replicate as u64);
        let lane = self.replicate(replicate);
        if who.hands_out_cookies() {
            // Which copies, their draws say.
            return Lane { swapped: Some(Box::new(Lane::nobody(who, Vec::new))), ..lane };
        }
        let mut swapped = Lane { draws: lane.draws, ..self.nobody() };
        each_copy(&lane.copies, 0, |copy, units| {
            let is_swapped = |unit: &&u32| is_swapped(hash, unit_keys[**unit as usize], copy);
            let units: Vec<u32> = units.iter().filter(is_swapped).copied().collect();
            swapped.put_copies(hash, &units, (unit_keys, copy), who);
        });
        Lane { swapped: Some(Box::new(swapped)), ..lane }
    }

    /// No copies of anybody, in memory that lies by if there is any.
    fn nobody(&self) -> Lane {
        Lane::nobody(self.who, || {
            let mut zeros = self.spare.take().unwrap_or_default();
            zeros.clear();
            zeros.resize(self.unit_keys.len(), 0);
            zeros
        })
    }
}

impl Lane {
    /// Copies of users, who draw their cookies on the way.
    fn of_users(hash: KeyedHash, who: &Who, simulation: &Simulation, replicate: usize) -> Self {
        let copies = |user: usize| match simulation.resample {
            Resample::Poisson => poisson_one(hash.uniform(who.user_key(user), COPIES_STREAM)),
            Resample::None => 1,
        };
        let copies = (0..who.count_holders(0)).map(copies).collect();
        Self { replicate: replicate as u64, copies, draws: Some(hash), ..Self::nobody(who, Vec::new) }
    }

    /// So many copies of every user, who draw their cookies on the way.
    pub(super) fn census_of_users(hash: KeyedHash, who: &Who, copies: u8) -> Self {
        Self { copies: vec![copies; who.count_holders(0)], draws: Some(hash), ..Self::nobody(who, Vec::new) }
    }

    /// Spells of users in one stage, two by two: the first on stable, the second on the candidate.
    pub(super) fn of_spells(copies: Vec<u8>, who: &Who) -> Self {
        let on_candidate = |(spell, &copies): (usize, &u8)| if spell % 2 == 1 { copies } else { 0 };
        let exposed = vec![copies.iter().enumerate().map(on_candidate).collect()];
        Self { copies, exposed, ..Self::nobody(who, Vec::new) }
    }

    /// No copies of anybody, as many zeros as there are units.
    fn nobody(who: &Who, zeros: impl Fn() -> Vec<u8>) -> Self {
        let nobody = || (0..who.stages()).map(|_| zeros()).collect();
        Self {
            copies: zeros(),
            counted: who.partial.then(nobody),
            exposed: nobody(),
            served: who.waves.then(nobody),
            swapped: None,
            draws: None,
            replicate: u64::MAX,
            is_census: false,
        }
    }

    /// The first copy of each unit that has any, where the stages are the same for all: unit by unit in order, whether it has one or not.
    fn put_first_copies(&mut self, hash: KeyedHash, keys: &[u64], copies: &[u8], turns: &[Turn]) {
        let places: Vec<f64> = keys.iter().map(|&key| place(hash, key, 0, 0)).collect();
        for (own, &copies) in self.copies.iter_mut().zip(copies) {
            *own = copies.min(1);
        }
        for (exposed, turn) in self.exposed.iter_mut().zip(turns) {
            for ((exposed, &place), &own) in exposed.iter_mut().zip(&places).zip(&self.copies) {
                *exposed = own & u8::from(place < turn.exposure);
            }
        }
    }

    /// One more copy of each of some units, at the places that it draws by its key.
    fn put_copies(&mut self, hash: KeyedHash, units: &[u32], (keys, copy): (&[u64], u8), who: &Who) {
        let mut places = Vec::with_capacity(units.len());
        for &unit in units {
            self.copies[unit as usize] += 1;
        }
        for (stage, exposed) in self.exposed.iter_mut().enumerate() {
            if stage == 0 || who.sticky.redraws() {
                places.clear();
                places.extend(units.iter().map(|&unit| place(hash, keys[unit as usize], copy, stage)));
            }
            let mut counted_of = self.counted.as_mut().map(|of| &mut of[stage]);
            let mut served_of = self.served.as_mut().map(|of| &mut of[stage]);
            for (unit, place) in units.iter().map(|&unit| unit as usize).zip(&places) {
                let [counted, served] = who.turns(unit)[stage].holds(*place);
                exposed[unit] += counted & served;
                if let Some(of) = &mut counted_of {
                    of[unit] += counted;
                }
                if let Some(of) = &mut served_of {
                    of[unit] += served;
                }
            }
        }
    }

    /// One more copy of a unit, at the same place in each stage.
    fn put(&mut self, unit: usize, place: f64, turns: &[Turn]) {
        self.copies[unit] += 1;
        for (stage, turn) in turns.iter().enumerate() {
            let [counted, served] = turn.holds(place);
            self.exposed[stage][unit] += counted & served;
            if let Some(of) = &mut self.counted {
                of[stage][unit] += counted;
            }
            if let Some(of) = &mut self.served {
                of[stage][unit] += served;
            }
        }
    }

    /// Exactly the logged units, assigned by a platform's hash.
    pub(super) fn production(units: &[String], who: &Who, bucketing: &dyn Bucketing) -> Self {
        let mut lane = Self::nobody(who, || vec![0; units.len()]);
        for (unit, name) in units.iter().enumerate() {
            let place = bucketing.place(name);
            lane.put(unit, place, who.turns(unit));
        }
        lane
    }

    /// The same with everyone in an arm, which is that of the version that serves them; `None` where that says nothing new.
    #[must_use]
    pub fn whole(&self) -> Option<Self> {
        let served = self.served.clone()?;
        let swapped = self.swapped.as_ref().and_then(|swapped| swapped.whole()).map(Box::new);
        Some(Self {
            copies: self.copies.clone(),
            counted: None,
            exposed: served,
            served: None,
            swapped,
            draws: self.draws,
            replicate: self.replicate,
            is_census: self.is_census,
        })
    }

    /// Its counts, when they are read no more.
    pub(super) fn into_counts(self) -> Vec<Vec<u8>> {
        let of_stages = [Some(self.exposed), self.counted, self.served].into_iter().flatten().flatten();
        let swapped = self.swapped.map_or_else(Vec::new, |swapped| swapped.into_counts());
        std::iter::once(self.copies).chain(of_stages).chain(swapped).collect()
    }

    /// Every unit once, all on the candidate, so often in each stage.
    pub(super) fn census(units: usize, weights: &[&dyn Fn(usize) -> u8]) -> Self {
        let of_stage = |weight: &&dyn Fn(usize) -> u8| (0..units).map(weight).collect();
        let exposed = weights.iter().map(of_stage).collect();
        Self {
            copies: vec![1; units],
            counted: None,
            exposed,
            served: None,
            swapped: None,
            draws: None,
            replicate: u64::MAX,
            is_census: true,
        }
    }
}

/// Visits the units that have more copies than `before`, then those that have one more, and so on.
///
/// Unit by unit the processor would have to guess how many copies come.
fn each_copy(copies: &[u8], before: u8, mut visit: impl FnMut(u8, &[u32])) {
    let mut units: Vec<u32> = (0..copies.len() as u32).collect();
    for copy in before..copies.iter().copied().max().unwrap_or(0) {
        units.retain(|&unit| copies[unit as usize] > copy);
        visit(copy, &units);
    }
}

/// Whether the answers of a copy are exchanged under the `swap` null.
pub(super) fn is_swapped(hash: KeyedHash, key: u64, copy: u8) -> bool {
    hash.uniform(key, SWAP_STREAM - u32::from(copy)) < 0.5
}

/// The place of a copy of a unit in a stage that draws anew; in the first, or where none does, its place.
pub(super) fn place(hash: KeyedHash, key: u64, copy: u8, stage: usize) -> f64 {
    hash.uniform(key, stage as u32 * STREAMS_OF_STAGE + u32::from(copy))
}

/// Lanes whose weights are packed together.
pub(super) const QUAD: usize = 4;

/// Units whose weights are packed before they are put at their ranks: they stay in the nearest cache.
const WOVEN: usize = 128;

/// Up to four lanes: the weights of a unit in all of them are one word of memory.
pub(super) struct Quad {
    /// Copies whose answers are their own.
    pub(super) weights: Weights,
    /// Copies whose answers are exchanged, if any.
    pub(super) swapped: Option<Weights>,
}

/// Copies of each unit, those on the candidate in each stage, and those that are compared.
pub(super) struct Weights {
    /// Those of a unit lie together, because units are met in no order: copies, then those on the candidate in each stage, then, where that
    /// is not everybody, those that are compared in each stage.
    words: Vec<[u8; QUAD]>,
    /// Words of a unit.
    width: usize,
    /// Whether some are in no arm.
    partial: bool,
}

impl Quad {
    /// Packs lanes, each unit at its rank, into words that lie by.
    pub(super) fn new(lanes: &[&Lane], rank_of: &[u32], spare: &Shelf<Vec<[u8; QUAD]>>) -> Self {
        let swapped: Vec<Option<&Lane>> = lanes.iter().map(|lane| lane.swapped.as_deref()).collect();
        let partial = lanes.iter().any(|lane| lane.counted.is_some());
        let mut weights = Weights::of(lanes.iter().map(|lane| Some(*lane)), partial, rank_of, spare);
        let any_swapped = swapped.iter().any(Option::is_some);
        let swapped = any_swapped.then(|| Weights::of(swapped.into_iter(), partial, rank_of, spare));
        if let Some(swapped) = &swapped {
            weights.take(swapped);
        }
        Self { weights, swapped }
    }

    /// Its words, when they are read no more.
    pub(super) fn into_words(self) -> impl Iterator<Item = Vec<[u8; QUAD]>> {
        [Some(self.weights), self.swapped].into_iter().flatten().map(|weights| weights.words)
    }
}

impl Weights {
    /// `partial` where a lane of the word leaves some out of both arms.
    fn of<'l>(
        lanes: impl Iterator<Item = Option<&'l Lane>>,
        partial: bool,
        rank_of: &[u32],
        spare: &Shelf<Vec<[u8; QUAD]>>,
    ) -> Self {
        let nobody = vec![0; rank_of.len()];
        // Per word of a unit: the counts of each lane.
        let mut counts: Vec<[&[u8]; QUAD]> = Vec::new();
        for (place, lane) in lanes.enumerate() {
            let Some(lane) = lane else { continue };
            let of_stage = |stage| lane.counted.as_ref().map_or(&lane.copies, |counted: &Vec<Vec<u8>>| &counted[stage]);
            let counted = (0..if partial { lane.exposed.len() } else { 0 }).map(of_stage);
            let all: Vec<&Vec<u8>> = std::iter::once(&lane.copies).chain(&lane.exposed).chain(counted).collect();
            counts.resize(all.len(), [&nobody; QUAD]);
            counts.iter_mut().zip(all).for_each(|(word, of_lane)| word[place] = of_lane);
        }
        let width = counts.len();
        let mut words = spare.take().unwrap_or_default();
        // Every word is written.
        words.resize(width * rank_of.len(), [0; QUAD]);
        // Lanes are woven together some units at a time, then each unit's words are put at its rank.
        let mut woven = vec![[[0; QUAD]; WOVEN]; width];
        for (index, ranks) in rank_of.chunks(WOVEN).enumerate() {
            let units = index * WOVEN..index * WOVEN + ranks.len();
            for (woven, counts) in woven.iter_mut().zip(&counts) {
                let [a, b, c, d] = counts.map(|of_lane| &of_lane[units.clone()]);
                for ((((word, a), b), c), d) in woven.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                    *word = [*a, *b, *c, *d];
                }
            }
            for (place, &rank) in ranks.iter().enumerate() {
                let words = &mut words[rank as usize * width..(rank as usize + 1) * width];
                for (word, woven) in words.iter_mut().zip(&woven) {
                    *word = woven[place];
                }
            }
        }
        Self { words, width, partial }
    }

    fn take(&mut self, others: &Self) {
        for (own, other) in self.words.as_flattened_mut().iter_mut().zip(others.words.as_flattened()) {
            *own -= other;
        }
    }

    /// Copies of a unit.
    pub(super) fn copies(&self, unit: usize) -> [u8; QUAD] {
        self.words[unit * self.width]
    }

    /// Its copies on the candidate in a stage.
    pub(super) fn exposed(&self, stage: usize, unit: usize) -> [u8; QUAD] {
        self.words[unit * self.width + 1 + stage]
    }

    /// Its copies in the arms of a stage.
    pub(super) fn counted(&self, stage: usize, unit: usize) -> [u8; QUAD] {
        let place = if self.partial { self.width.div_ceil(2) + stage } else { 0 };
        self.words[unit * self.width + place]
    }
}

/// Chances of at most so many copies. Beyond 18 the probabilities are below the resolution of a uniform number.
const AT_MOST: [f64; 18] = {
    // 1 / e, rounded to the nearest double.
    let mut probability = 0.367_879_441_171_442_33;
    let mut cumulative = [probability; 18];
    let mut count = 1;
    while count < 18 {
        probability /= count as f64;
        cumulative[count] = cumulative[count - 1] + probability;
        count += 1;
    }
    cumulative
};

/// The Poisson(1) variate of a uniform number, by inversion.
#[must_use]
pub fn poisson_one(uniform: f64) -> u8 {
    // They grow, so those that are reached come first: counted without a branch, and more than a few are rare.
    let count = |some: &[f64]| -> u8 { some.iter().map(|&at_most| u8::from(uniform >= at_most)).sum() };
    let (few, more) = AT_MOST.split_at(8);
    match count(few) {
        8 => 8 + count(more),
        count => count,
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "counts are whole numbers")]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;

    use super::*;
    use crate::digest::cells::Cells;
    use crate::digest::{Digest, Facts, SegmentColumn};
    use crate::domain::quantity::Moment;
    use crate::scenario::Scenario;

    #[test]
    fn poisson_copies_have_mean_and_variance_one() {
        let draws: Vec<f64> = (0..100_000).map(|i| f64::from(poisson_one((f64::from(i) + 0.5) / 100_000.0))).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 1e-3 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
    }

    /// A lane of units of two tiers, every tenth of them internal; the stages are given as the lines of their tables.
    fn lane(stages: &[&str], control: &str) -> (Lane, Vec<bool>) {
        let internal: Vec<bool> = (0..10_000).map(|unit| unit % 10 == 0).collect();
        let mut text = format!(
            "[log]\ntimestamp = \"ts\"\nsegments = [\"tier\"]\n[assignment]\nunit = \"user\"\ncontrol = \"{control}\"\n\
             [metrics.q]\nkind = \"mean\"\ncolumn = \"{{version}}_q\"\nbetter = \"higher\"\n\
             [[gates]]\nname = \"q\"\nmetric = \"q\"\nallow = \"1%\"\n"
        );
        for (index, stage) in stages.iter().enumerate() {
            writeln!(text, "[[stages]]\nname = \"{index}\"\nduration = \"1h\"\n{stage}").expect("strings take all");
        }
        let scenario = Scenario::parse("scenario.toml", &text).unwrap_or_else(|error| panic!("{error}"));
        let digest = Digest {
            facts: Facts {
                rows: 10_000,
                start: Moment(0),
                end: Moment(0),
                fingerprint: String::new(),
                excluded_null_unit: 0,
                excluded_timestamp: 0,
                excluded_duplicate: 0,
                unasked: crate::domain::version::PerVersion::default(),
            },
            slot: scenario.log.slot,
            first: Moment(0),
            slots: 1,
            units: (0..10_000).map(|unit| unit.to_string()).collect(),
            members: BTreeMap::new(),
            segments: vec![SegmentColumn { name: "tier".into(), values: vec!["internal".into(), "pro".into()] }],
            items: Vec::new(),
            cells: Cells {
                unit: (0..10_000).collect(),
                segment: vec![internal.iter().map(|&internal| u16::from(!internal)).collect()],
                ..Cells::default()
            },
            trials: None,
        };
        let keys: Vec<u64> = digest.units.iter().map(|unit| crate::assign::unit_key(unit)).collect();
        let drawing = Drawing {
            unit_keys: &keys,
            who: &Who::new(&digest, &scenario),
            simulation: &scenario.simulation,
            spare: &Shelf::default(),
        };
        let lane = drawing.replicate(0);
        (lane, internal)
    }

    const INTERNAL_50: &str = "only = { tier = [\"internal\"] }\nexposure = \"50%\"";

    fn sum(counts: &[u8], of: impl Fn(usize) -> bool) -> f64 {
        counts.iter().enumerate().filter(|(unit, _)| of(*unit)).map(|(_, &count)| f64::from(count)).sum()
    }

    /// Binomial error at 1 in 10,000.
    fn about(found: f64, of: f64, share: f64) -> bool {
        (found - of * share).abs() < 3.9 * (of * share * (1.0 - share)).sqrt() + 1e-9
    }

    #[test]
    fn copies_are_assigned_on_their_own_and_stay_when_exposure_grows() {
        let (lane, _) = lane(&["exposure = \"20%\"", "exposure = \"50%\""], "rest");
        let units = lane.copies.len();
        let split = (0..units).filter(|&u| lane.exposed[1][u] > 0 && lane.exposed[1][u] < lane.copies[u]).count();
        assert!(split > 1000, "units with copies in both arms: {split}");
        for unit in 0..units {
            assert!(lane.exposed[0][unit] <= lane.exposed[1][unit] && lane.exposed[1][unit] <= lane.copies[unit]);
        }
        assert_eq!((lane.counted, lane.served), (None, None), "everyone is in an arm");
    }

    #[test]
    fn a_quad_holds_what_its_lanes_hold_by_rank() {
        for control in ["rest", "matched"] {
            let (lane, _) = lane(&["exposure = 0.05", "exposure = 0.4"], control);
            let (units, nobody) = (lane.copies.len(), Lane { copies: vec![0; lane.copies.len()], ..lane.clone() });
            let rank_of: Vec<u32> = (0..units as u32).rev().collect();
            let weights = Quad::new(&[&lane, &nobody, &lane], &rank_of, &Shelf::default()).weights;
            assert_eq!(weights.partial, control == "matched");
            for unit in 0..units {
                let (rank, copies) = (units - 1 - unit, lane.copies[unit]);
                assert_eq!(weights.copies(rank), [copies, 0, copies, 0]);
                for stage in 0..2 {
                    let exposed = lane.exposed[stage][unit];
                    assert_eq!(weights.exposed(stage, rank), [exposed, exposed, exposed, 0]);
                    let counted = lane.counted.as_ref().map_or(weights.copies(rank), |counted| {
                        let counted = counted[stage][unit];
                        [counted, counted, counted, 0]
                    });
                    assert_eq!(weights.counted(stage, rank), counted);
                }
            }
        }
    }

    #[test]
    fn as_many_are_in_the_matched_arm() {
        let (lane, _) = lane(&["exposure = 0.05", "exposure = 0.2", "exposure = 0.5", "exposure = 1.0"], "matched");
        let counted = lane.counted.as_ref().expect("some are in no arm");
        let all = sum(&lane.copies, |_| true);
        for (stage, share) in [(0, 0.05), (1, 0.2), (2, 0.5)] {
            let (exposed, both) = (sum(&lane.exposed[stage], |_| true), sum(&counted[stage], |_| true));
            assert!(about(exposed, all, share) && about(both, all, 2.0 * share), "{stage}: {exposed} of {both}");
            assert!(about(exposed, both, 0.5), "arms are equal in size: {exposed} of {both}");
        }
        assert_eq!((&lane.exposed[3], &counted[3]), (&lane.copies, &lane.copies), "at 100 % nobody is left");
        assert_eq!(lane.served, None, "whom the candidate serves is compared");
    }

    #[test]
    fn a_wave_stays_on_the_candidate_and_is_compared_in_its_own_stages_only() {
        let (lane, internal) = lane(&[INTERNAL_50, "exposure = 0.1", "exposure = 0.5"], "rest");
        let (counted, served) = (lane.counted.as_ref().expect("some"), lane.served.as_ref().expect("waves"));
        let (of_wave, of_rest) = (sum(&lane.copies, |u| internal[u]), sum(&lane.copies, |u| !internal[u]));
        assert_eq!((sum(&counted[0], |_| true), sum(&counted[0], |u| internal[u])), (of_wave, of_wave));
        assert_eq!((sum(&counted[1], |_| true), sum(&counted[1], |u| internal[u])), (of_rest, 0.0));
        assert_eq!(counted[2], lane.copies, "at the same exposure all are compared again");
        assert!(about(sum(&lane.exposed[0], |_| true), of_wave, 0.5));
        assert!(about(sum(&lane.exposed[1], |_| true), of_rest, 0.1));
        assert_eq!(sum(&served[1], |u| internal[u]), sum(&lane.exposed[0], |_| true), "who was on it stays");
        for unit in 0..lane.copies.len() {
            for stage in 0..3 {
                assert!(lane.exposed[stage][unit] <= counted[stage][unit] && counted[stage][unit] <= lane.copies[unit]);
                assert!(lane.exposed[stage][unit] <= served[stage][unit]);
                assert!(stage == 0 || served[stage - 1][unit] <= served[stage][unit], "exposure only adds units");
            }
        }
        let whole = lane.whole().expect("some are served that are not compared");
        assert_eq!((&whole.exposed, whole.counted), (served, None));
    }

    #[test]
    fn within_each_segment_as_many_are_compared() {
        let (lane, internal) =
            lane(&["exposure = { default = \"5%\", \"tier=internal\" = 0.5 }", "exposure = 0.2"], "rest");
        let counted = lane.counted.as_ref().expect("some are in no arm");
        for (of, share) in [(true, 0.5), (false, 0.05)] {
            let all = sum(&lane.copies, |u| internal[u] == of);
            let exposed = sum(&lane.exposed[0], |u| internal[u] == of);
            let both = sum(&counted[0], |u| internal[u] == of);
            assert!(about(exposed, all, share) && about(exposed, both, 0.5), "{of}: {exposed} of {both} of {all}");
        }
        assert_eq!(sum(&counted[1], |u| internal[u]), 0.0, "internal ones have more than 20 % already");
        assert_eq!(sum(&counted[1], |u| !internal[u]), sum(&lane.copies, |u| !internal[u]));
    }
}
