//! Types that cross stages. No I/O, no polars, no serde.

pub mod quantity;
pub mod version;

pub mod expression;
pub mod feature;
pub mod metric;
pub mod rollout;

pub mod gate;
pub mod limit;
pub mod world;
