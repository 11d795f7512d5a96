//! Hashes as flag platforms take them: text in, number out.

use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

/// Murmur3 for 32 bits (`x86_32`).
pub(super) fn murmur3(bytes: &[u8], seed: u32) -> u32 {
    murmur3::murmur3_32(&mut &*bytes, seed).expect("memory can be read")
}

/// CRC-32 of IEEE 802.3, as in zlib.
pub(super) fn crc32(text: &str) -> u32 {
    crc32fast::hash(text.as_bytes())
}

/// FNV-1a for 32 bits. Its units are bytes, or UTF-16 code units where a platform runs in JavaScript; libraries know bytes only.
pub(super) fn fnv1a(units: impl IntoIterator<Item = u32>) -> u32 {
    units.into_iter().fold(0x811c_9dc5, |hash, unit| (hash ^ unit).wrapping_mul(0x0100_0193))
}

/// The same, of UTF-8.
pub(super) fn fnv1a_utf8(text: &str) -> u32 {
    fnv1a(text.bytes().map(u32::from))
}

/// MD5 as one big-endian number.
pub(super) fn md5(text: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(text.as_bytes()).into())
}

/// The first 64 bits of SHA-1, big-endian.
pub(super) fn sha1_64(text: &str) -> u64 {
    first_64(&Sha1::digest(text.as_bytes()))
}

/// The first 15 hexadecimal digits of SHA-1.
pub(super) fn sha1_hex15(text: &str) -> u64 {
    sha1_64(text) >> 4
}

/// SHA-256.
pub(super) fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The first 64 bits, big-endian.
pub(super) fn first_64(digest: &[u8]) -> u64 {
    digest.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// 60 bits as a number in `[0, 1)`: platforms divide by the double nearest to `0xfff_ffff_ffff_ffff`, which is 2^60.
pub(super) fn unit_60(hex15: u64) -> f64 {
    hex15 as f64 / 1_152_921_504_606_846_976.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3174 and RFC 1321 test suites, FIPS 180-4, zlib, the FNV authors' list, and Murmur's reference implementation.
    #[test]
    fn published_values() {
        assert_eq!(sha1_64("abc"), 0xa999_3e36_4706_816a);
        assert_eq!(md5("abc"), 0x9001_5098_3cd2_4fb0_d696_3f7d_28e1_7f72);
        assert_eq!(first_64(&sha256("abc")), 0xba78_16bf_8f01_cfea);
        assert_eq!(crc32("123456789"), 0xcbf4_3926);
        assert_eq!(fnv1a_utf8("foobar"), 0xbf9c_f968);
        assert_eq!(murmur3(b"test", 0), 0xba6b_d213);
    }
}
