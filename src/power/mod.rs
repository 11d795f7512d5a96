//! Before any user sees the candidate: what each gate can decide, in closed form from the log's variances and arrival of units.

pub mod closed_form;
