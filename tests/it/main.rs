//! End to end: the binary as a process, the simulated API over real HTTP, the outcome read by DuckDB and pyarrow.
//!
//! Tests of an invariant of the architecture carry its number.
#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod attempts;
mod chance;
mod damage;
mod disk;
mod doctor;
mod duck;
mod erased;
mod killed;
mod lake;
mod left;
mod mended;
mod month;
mod moved;
mod odd;
mod open;
mod pace;
mod pieces;
mod plan;
mod proof;
mod proof_live;
mod readers;
mod rebuilt;
mod refetched;
mod refused;
mod resumed;
mod run;
mod scripted;
mod soak;
mod sockets;
mod status;
mod synced;
mod whole;
mod world;
