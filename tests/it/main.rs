//! End to end: the binary as a process, the simulated API over real HTTP, the outcome read by DuckDB and pyarrow.
//!
//! Tests of an invariant of the architecture carry its number.
#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod attempts;
mod begun;
mod chance;
mod config;
mod damage;
mod disk;
mod doctor;
mod drifts;
mod duck;
mod erased;
mod errors;
mod examples;
mod help;
mod keys;
mod killed;
mod lake;
mod left;
mod mended;
mod month;
mod months;
mod moved;
mod odd;
mod open;
mod pace;
mod paths;
mod pieces;
mod plan;
mod privacy;
mod proof;
mod proof_live;
mod readers;
mod rebuilt;
mod refetched;
mod refused;
mod report;
mod resumed;
mod run;
mod said;
mod schema;
mod scripted;
mod shaped;
mod shaped_anew;
mod soak;
mod sockets;
mod status;
mod synced;
mod terminal;
mod tls;
mod whole;
mod world;
