//! Shadow-and-canary replay simulator for release planning.

pub mod cli;

pub mod commands;

pub mod scenario;

pub mod domain;

pub mod ingest;

pub mod digest;

pub mod assign;

pub mod simulate;

pub mod gate;

pub mod outcome;

pub mod shadow;

pub mod power;

pub mod stats;

pub mod report;

pub mod error;

pub mod synth;
