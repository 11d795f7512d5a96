//! Quantile gates.
