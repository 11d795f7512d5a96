//! Codes of units, or of their buckets, found by the unit's hash.

use std::collections::HashMap;

use polars::prelude::*;

use super::hash::Mix;
use crate::assign::Buckets;

/// The units of a shard, or the buckets that they are in.
#[derive(Default)]
pub(super) struct Units {
    names: Vec<Box<str>>,
    table: KeyTable,
    /// Units whose hash another unit has too.
    others: HashMap<Box<str>, u32, Mix>,
    /// With buckets: the code of each, and by code how many units it has.
    of_bucket: HashMap<u32, u32, Mix>,
    members: Vec<u64>,
}

impl Units {
    /// The code of each row's unit or bucket.
    pub(super) fn codes(
        &mut self,
        units: &StringChunked,
        rows: &[(u32, u64)],
        buckets: Option<&Buckets>,
        codes: &mut Vec<u32>,
    ) {
        let units = units.downcast_as_array();
        codes.clear();
        // Lookups that do not depend on each other: their waits for memory overlap.
        codes.extend(rows.iter().map(|&(_, key)| self.table.get(key)));
        for (code, &(row, key)) in codes.iter_mut().zip(rows) {
            let name = units.value(row as usize);
            match buckets {
                Some(buckets) if *code == NONE => *code = self.new_member(key, buckets.bucket(name)),
                Some(_) => {}
                None if *code != NONE && *self.names[*code as usize] == *name => {}
                None => *code = self.code(key, name),
            }
        }
    }

    /// A unit that was not met before in this block.
    fn code(&mut self, key: u64, name: &str) -> u32 {
        let met = self.table.get(key);
        if met == NONE {
            let code = self.push(name);
            self.table.insert(key, code);
            return code;
        }
        if *self.names[met as usize] == *name {
            return met;
        }
        if let Some(&code) = self.others.get(name) {
            return code;
        }
        let code = self.push(name);
        self.others.insert(name.into(), code);
        code
    }

    /// A unit of a bucket that was not met before in this block.
    fn new_member(&mut self, key: u64, bucket: u32) -> u32 {
        let met = self.table.get(key);
        if met != NONE {
            return met;
        }
        let code = self.of_bucket.get(&bucket).copied().unwrap_or_else(|| {
            let code = self.push(&Buckets::name(bucket));
            self.of_bucket.insert(bucket, code);
            self.members.push(0);
            code
        });
        self.members[code as usize] += 1;
        self.table.insert(key, code);
        code
    }

    fn push(&mut self, name: &str) -> u32 {
        let code = u32::try_from(self.names.len()).ok().filter(|&code| code != NONE);
        self.names.push(name.into());
        code.expect("units are fewer than 2^32")
    }

    /// In the order of codes.
    pub(super) fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// How many units each bucket has, by its name.
    pub(super) fn members(&self) -> impl Iterator<Item = (String, u64)> {
        self.names.iter().zip(&self.members).map(|(name, &units)| (name.to_string(), units))
    }

    /// Frees what only finding codes needs.
    pub(super) fn forget(&mut self) {
        self.table = KeyTable::default();
        self.others = HashMap::default();
    }
}

/// No code.
const NONE: u32 = u32::MAX;

/// Hash to code, in one flat table: one wait for memory where a map of the standard library has two.
#[derive(Default)]
struct KeyTable {
    /// A power of two of them, at most half full; a code of [`NONE`] is a free place.
    places: Vec<(u64, u32)>,
    len: usize,
}

impl KeyTable {
    fn get(&self, key: u64) -> u32 {
        if self.places.is_empty() { NONE } else { self.places[self.place(key)].1 }
    }

    /// `key` is new.
    fn insert(&mut self, key: u64, code: u32) {
        if 2 * (self.len + 1) > self.places.len() {
            let larger = vec![(0, NONE); (2 * self.places.len()).max(64)];
            let old = std::mem::replace(&mut self.places, larger);
            for (key, code) in old.into_iter().filter(|&(_, code)| code != NONE) {
                let place = self.place(key);
                self.places[place] = (key, code);
            }
        }
        let place = self.place(key);
        self.places[place] = (key, code);
        self.len += 1;
    }

    /// Where a key is, or would be.
    fn place(&self, key: u64) -> usize {
        let mask = self.places.len() - 1;
        // Other bits than those that chose the shard.
        let mut place = (key ^ (key >> 17)) as usize & mask;
        while self.places[place].1 != NONE && self.places[place].0 != key {
            place = (place + 1) & mask;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(units: &mut Units, rows: &[(&str, u64)]) -> Vec<u32> {
        let names: StringChunked = rows.iter().map(|(name, _)| Some(*name)).collect();
        let keyed: Vec<(u32, u64)> = (0..).zip(rows).map(|(row, (_, key))| (row, *key)).collect();
        let mut codes = Vec::new();
        units.codes(&names.rechunk(), &keyed, None, &mut codes);
        codes
    }

    #[test]
    fn units_with_the_same_hash_are_told_apart() {
        let mut units = Units::default();
        assert_eq!(codes(&mut units, &[("a", 7), ("b", 7), ("a", 7), ("c", 8), ("b", 7)]), [0, 1, 0, 2, 1]);
        assert_eq!(codes(&mut units, &[("c", 8), ("d", 7), ("b", 7), ("d", 7)]), [2, 3, 1, 3]);
        assert_eq!(units.names().iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_table_keeps_what_was_put_into_it_as_it_grows() {
        let mut table = KeyTable::default();
        // Many of them begin at the same place.
        let key = |code: u32| u64::from(code % 100) + (u64::from(code / 100) << 40);
        for code in 0..10_000 {
            assert_eq!(table.get(key(code)), NONE);
            table.insert(key(code), code);
        }
        assert!((0..10_000).all(|code| table.get(key(code)) == code));
    }
}
