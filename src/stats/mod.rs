//! Pure functions: numbers in, numbers out. Every public function names its formula and its source.

pub mod adjust;
pub mod alternative;
pub mod boundary;
pub mod chi_square;
pub mod cluster;
pub mod clustering;
pub mod covariate;
mod discrete;
pub mod drift;
pub mod holm;
pub mod interval;
pub mod joint;
pub mod kayenta;
pub mod ks;
pub mod mean;
pub mod mixture;
pub mod normal;
pub mod poisson;
pub mod proportion;
pub mod quantile;
pub mod rank;
pub mod rare;
pub mod ratio;
pub mod root;
pub mod sample_size;
pub mod spread;
pub mod student_t;
