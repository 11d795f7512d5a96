//! Pure functions: numbers in, numbers out. Every public function names its formula and its source.

pub mod cluster;
pub mod holm;
pub mod interval;
pub mod kayenta;
pub mod mixture;
pub mod normal;
pub mod spread;
