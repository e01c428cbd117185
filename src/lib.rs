//! Exports a chatbot's conversations and messages from the DeepConverse Export API into Parquet.
//!
//! A page that the API has answered is kept at once, as it came, and never asked for again; fetching and
//! building meet only in the [`spool`]. [`export::export`] is the whole way.

pub mod api;
mod blocking;
pub mod changes;
#[cfg(feature = "cli")]
pub mod cli;
pub mod commit;
pub mod dataset;
mod display;
pub mod doctor;
pub mod drift;
pub mod erase;
pub mod error;
pub mod export;
pub mod fetch;
pub mod keys;
pub mod ledger;
pub mod plan;
pub mod rebuild;
pub mod rejected;
pub mod report;
pub mod schema;
pub mod spool;
pub mod status;
#[doc(hidden)]
pub mod store;
pub mod table;
pub mod tombstones;
pub mod verify;
pub mod window;

pub use error::{Error, Result};
