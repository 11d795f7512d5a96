//! `HAProxy` converters: a hash of an expression, with an avalanche step where an argument asks for one, then `mod`.
//!
//! Source: haproxy/haproxy `src/hash.c`, `src/sample.c`, `include/haproxy/intops.h`.

use std::sync::Arc;

use serde_json::{Value, json};
use twox_hash::{XxHash32, XxHash64};

use super::{bucket_at, template};
use crate::assign::hashes::crc32;
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, nearest};
use crate::domain::quantity::Fraction;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Converter {
    Crc32,
    Djb2,
    Sdbm,
    Wt6,
    Xxh32,
    Xxh64,
}

const CONVERTERS: [(&str, Converter); 6] = [
    ("crc32", Converter::Crc32),
    ("djb2", Converter::Djb2),
    ("sdbm", Converter::Sdbm),
    ("wt6", Converter::Wt6),
    ("xxh32", Converter::Xxh32),
    ("xxh64", Converter::Xxh64),
];

struct HaProxy {
    template: String,
    converter: Converter,
    argument: u64,
    modulus: u32,
}

fn djb2(bytes: &[u8]) -> u32 {
    bytes.iter().fold(5381, |hash: u32, &byte| hash.wrapping_mul(33).wrapping_add(byte.into()))
}

/// `c + (hash << 6) + (hash << 16) - hash` is 65,599 times the hash.
fn sdbm(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |hash: u32, &byte| hash.wrapping_mul(65_599).wrapping_add(byte.into()))
}

/// Two words that change places after each byte, turned by amounts that the words themselves give.
fn wt6(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (0xa53c_965a_u32, 0x5ca6_953a_u32);
    let (mut turn_a, mut turn_b) = (18, 6);
    for &byte in bytes {
        let mixed = (!(a ^ u32::from(byte)), !b.wrapping_add(byte.into()));
        (a, b) = (mixed.1.rotate_left(turn_b), mixed.0.rotate_left(turn_a));
        let turns = ((a >> 16) ^ b) & 0xffff;
        (turn_a, turn_b) = (turns >> 11, turns & 31);
    }
    a ^ b
}

/// Jenkins's integer hash, and then a large prime.
fn avalanche(hash: u32) -> u32 {
    let mut a = hash;
    a = a.wrapping_add(0x7ed5_5d16).wrapping_add(a << 12);
    a = (a ^ 0xc761_c23c) ^ (a >> 19);
    a = a.wrapping_add(0x1656_67b1).wrapping_add(a << 5);
    a = a.wrapping_add(0xd3a2_646c) ^ (a << 9);
    a = a.wrapping_add(0xfd70_46c5).wrapping_add(a << 3);
    a = (a ^ 0xb55a_4f09) ^ (a >> 16);
    a.wrapping_mul(3_221_225_473)
}

/// What `mod` sees. 64 bits are taken as signed, as the proxy does.
fn hash(text: &str, converter: Converter, argument: u64) -> i64 {
    let bytes = text.as_bytes();
    let avalanched = |hash: u32| i64::from(if argument == 0 { hash } else { avalanche(hash) });
    match converter {
        Converter::Crc32 => avalanched(crc32(text)),
        Converter::Djb2 => avalanched(djb2(bytes)),
        Converter::Sdbm => avalanched(sdbm(bytes)),
        Converter::Wt6 => avalanched(wt6(bytes)),
        Converter::Xxh32 => XxHash32::oneshot(argument as u32, bytes).into(),
        Converter::Xxh64 => XxHash64::oneshot(argument, bytes).cast_signed(),
    }
}

impl HaProxy {
    fn value(&self, unit: &str) -> i64 {
        // The remainder keeps the sign.
        hash(&template::filled(&self.template, unit), self.converter, self.argument) % i64::from(self.modulus)
    }
}

impl Bucketing for HaProxy {
    fn place(&self, unit: &str) -> f64 {
        // What is negative is below every edge.
        self.value(unit).max(0) as f64 / f64::from(self.modulus)
    }

    fn steps(&self) -> Option<u32> {
        Some(self.modulus)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        bucket_at(place, self.modulus) < nearest(exposure, self.modulus)
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let text = template::filled(&self.template, unit);
        let name = CONVERTERS.iter().find(|(_, converter)| *converter == self.converter).map_or("", |(name, _)| name);
        Hashed {
            hash: format!("{name}({}): {}", self.argument, hash(&text, self.converter, self.argument)),
            text,
            bucket: format!("{}, modulo {}", self.value(unit), self.modulus),
        }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("below {}", nearest(exposure, self.modulus))
    }

    fn caution(&self) -> Option<(&'static str, &'static str)> {
        let text = "HAProxy takes xxh64 as signed and `mod` keeps the sign: half of all units are below zero and get the candidate at \
                    every exposure, so 5 % means 52 %; use xxh32";
        (self.converter == Converter::Xxh64).then_some(("signed-hash", text))
    }
}

fn converter(values: &mut Values) -> Option<Converter> {
    let words = CONVERTERS.map(|(word, _)| word);
    let word = values.word("converter", &words, "crc32, djb2, sdbm, wt6, xxh32 or xxh64")?;
    CONVERTERS.iter().find(|(name, _)| *name == word).map(|(_, converter)| *converter)
}

fn argument(values: &mut Values, name: &str) -> Option<u64> {
    values.whole_or(name, 0, 0, i64::MAX).map(|number| number as u64)
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let (template, converter) = (template::read(values), converter(values));
    let (argument, modulus) = (argument(values, "argument"), values.parts_or("total", 100));
    Some(Arc::new(HaProxy { template: template?, converter: converter?, argument: argument?, modulus: modulus? }))
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    let (text, converter) = (values.unit("string"), converter(values));
    let (argument, modulus) = (argument(values, "arg"), values.parts_or("mod", 100));
    Some(json!({ "value": hash(&text?, converter?, argument?) % i64::from(modulus?) }))
}
