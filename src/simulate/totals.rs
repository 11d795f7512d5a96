//! Each unit's totals since a window began.

/// No totals yet.
const ABSENT: u32 = u32::MAX;

/// Bytes that memory moves at once.
const CACHE_LINE: usize = 64;

/// Reads a number from each piece that memory moves at once.
pub(super) fn approach(numbers: &[f64]) {
    std::hint::black_box(numbers.iter().step_by(CACHE_LINE / size_of::<f64>()).sum::<f64>());
}

/// Totals of groups: of units, or of their requests with one segment value.
///
/// Units come in no order, so this is memory's work: what nearly every row needs is packed together, and ladders, which few units
/// have, lie apart.
#[derive(Default)]
pub(super) struct Totals {
    /// Per group: where its totals are.
    index: Vec<u32>,
    /// Groups seen so far, in the order of their totals.
    seen: Vec<u32>,
    /// One of each series.
    pub(super) sums: Vec<f64>,
    /// One of each answer that has any.
    pub(super) states: Vec<u32>,
    /// How many of each a group has.
    widths: (usize, usize),
    pub(super) ladders: Ladders,
}

impl Totals {
    pub(super) fn new(groups: usize) -> Self {
        Self { index: vec![ABSENT; groups], ..Self::default() }
    }

    /// Forgets everything.
    pub(super) fn restart(&mut self, series: usize, states: usize) {
        self.sums.clear();
        self.states.clear();
        self.ladders.words.clear();
        self.widths = (series, states);
        for group in self.seen.drain(..) {
            self.index[group as usize] = ABSENT;
        }
    }

    /// Reads totals of many groups at once, so that the caches wait for them together and not for one after the other.
    pub(super) fn approach(&self, groups: &[u32]) {
        let known = groups.iter().map(|&group| self.index[group as usize]).filter(|&index| index != ABSENT);
        let width = self.widths.0;
        known.for_each(|index| approach(&self.sums[index as usize * width..(index as usize + 1) * width]));
    }

    /// Where a group's totals are, and whether it is new.
    pub(super) fn place(&mut self, group: u32) -> (usize, bool) {
        let index = &mut self.index[group as usize];
        let new = *index == ABSENT;
        if new {
            *index = self.seen.len() as u32;
            self.seen.push(group);
            self.sums.resize(self.sums.len() + self.widths.0, 0.0);
            self.states.resize(self.states.len() + self.widths.1, 0);
        }
        (*index as usize, new)
    }
}

/// Units' requests in the intervals of a grid: which intervals hold any, as bits, then how many in each.
#[derive(Default)]
pub(super) struct Ladders {
    words: Vec<u32>,
}

impl Ladders {
    /// Marks an interval as holding requests. `place` is one more than where the ladder begins, zero before it does.
    pub(super) fn reach(&mut self, place: &mut u32, interval: usize, intervals: usize) {
        let bits = u32::BITS as usize;
        if *place == 0 {
            *place = self.words.len() as u32 + 1;
            self.words.resize(self.words.len() + intervals.div_ceil(bits) + intervals, 0);
        }
        self.words[*place as usize - 1 + interval / bits] |= 1 << (interval % bits);
    }

    /// Visits the intervals that hold requests, highest first.
    pub(super) fn descend(&mut self, place: u32, intervals: usize, mut visit: impl FnMut(usize, &mut u32)) {
        if place == 0 {
            return;
        }
        let bits = u32::BITS as usize;
        let (marks, counts) = self.words[place as usize - 1..].split_at_mut(intervals.div_ceil(bits));
        for (word, &marked) in marks.iter().enumerate().rev() {
            let mut left = marked;
            while left != 0 {
                let bit = left.ilog2();
                left ^= 1 << bit;
                let interval = word * bits + bit as usize;
                visit(interval, &mut counts[interval]);
            }
        }
    }
}
