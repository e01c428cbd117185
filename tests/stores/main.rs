//! The port for bytes by key: one suite for every implementation, and real servers on 127.0.0.1.
//!
//! The suite runs on the local disk, in memory, on the stub of Google Cloud Storage and on moto (S3). The ignored tests need
//! more servers; `make stores` installs them and runs all.
#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod errors;
#[cfg(debug_assertions)]
mod faults;
mod implementations;
mod metadata;
mod proxy;
mod scripted;
mod servers;
mod suite;
