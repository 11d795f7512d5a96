//! A scheme that many wrote themselves: `int(md5(salt + unit), 16) % 100 < percent`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bucket_at;
use crate::assign::hashes::md5;
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, scaled};
use crate::domain::quantity::Fraction;

struct NaiveMd5 {
    /// Written before the unit; empty for the unsalted form.
    salt: String,
    modulus: u32,
}

impl NaiveMd5 {
    fn bucket(&self, unit: &str) -> u32 {
        (md5(&format!("{}{unit}", self.salt)) % u128::from(self.modulus)) as u32
    }
}

impl Bucketing for NaiveMd5 {
    fn place(&self, unit: &str) -> f64 {
        f64::from(self.bucket(unit)) / f64::from(self.modulus)
    }

    fn steps(&self) -> Option<u32> {
        Some(self.modulus)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        bucket_at(place, self.modulus) < scaled(exposure, self.modulus.into())
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let text = format!("{}{unit}", self.salt);
        Hashed {
            hash: format!("md5: {:032x}", md5(&text)),
            text,
            bucket: format!("{} of {}", self.bucket(unit), self.modulus),
        }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        format!("below {}", scaled(exposure, self.modulus.into()))
    }

    fn caution(&self) -> Option<(&'static str, &'static str)> {
        let text =
            "the hash has no salt: every canary of this platform starts with the same units, who bear every risk";
        self.salt.is_empty().then_some(("no-salt", text))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "all platforms are read alike")]
pub(super) fn read_mod100(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let salt = values.text_or("salt", "");
    Some(Arc::new(NaiveMd5 { salt, modulus: 100 }))
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let (salt, modulus) = (values.text_or("salt", ""), values.parts_or("total", 100));
    Some(Arc::new(NaiveMd5 { salt, modulus: modulus? }))
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    let (text, modulus) = (values.unit("string"), values.parts_or("mod", 100));
    let digest = md5(&text?);
    Some(json!({ "md5_hex": format!("{digest:032x}"), "bucket": (digest % u128::from(modulus?)) as u32 }))
}
