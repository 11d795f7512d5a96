//! The program from outside: arguments in; exit code, stdout, stderr and files out.

mod support;

// A module per command.
mod assign;
mod check;
mod compare;
mod digest;
mod embeddings;
mod forms;
mod holding;
mod joined;
mod judges;
mod observed;
mod pairs;
mod pausing;
mod plan;
mod power;
mod rollbacks;
mod run;
mod schema;
mod shadow;
mod sticky;
mod synth;

// The rows of section 11 of the design.
mod bad_columns;
mod bad_days;
mod bad_rows;
mod hostile;
mod little_data;
mod noise;
mod time;
mod trials;
mod waves;
