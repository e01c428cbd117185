//! Exports a chatbot's conversations and messages from the DeepConverse Export API into Parquet.
//!
//! - [`Export`] exports a range of time into a table on disk. What the API returned once is not requested again.
//! - [`Client::pages`] is a stream of pages without a table, for programs with a store of their own.
//! - [`Table`] reads a table: its partitions, its rows as Arrow record batches, and its changes for a [`Sink`].
//! - [`status`], [`verify`], [`erase`], [`rebuild`] and [`doctor`](doctor()) are the commands of the same names.
//!
//! The library has no effects on the process around it: it installs no TLS provider, signal handler or allocator. Errors
//! carry a [hint](Error::hint).

// some functions of the library are for the command line only
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]

mod api;
mod blocking;
mod changes;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod commit;
mod dataset;
mod display;
mod doctor;
mod drift;
mod erase;
mod error;
mod export;
mod fetch;
mod keys;
mod ledger;
mod log;
mod pages;
mod plan;
mod rebuild;
mod rejected;
mod report;
mod schema;
mod sink;
mod spool;
mod status;
#[doc(hidden)]
pub mod store;
mod table;
mod tombstones;
mod verify;
mod window;

pub use api::{ApiKey, Connection, Failure as RequestFailure, RequestError, RetryPolicy};
pub use changes::PartitionFile;
pub use dataset::{
    Dataset, Decoded, MetadataMode, ObservedKeys, Pattern, PrivacyOptions, Promoted, PromotedType, Reason,
    Rejected, Secret, TableOptions, TypeMismatch, TypeMismatches,
};
pub use doctor::{DoctorOptions, DoctorReport, examine as doctor};
pub use drift::Drift;
pub use erase::{EraseSummary, dry_run as erase_dry_run, erase};
pub use error::{Error, Result, Severity, SinkError};
pub use export::{
    Damage, DatasetSummary, Export, Failed, Failure, Forecast, JobForecast, Outcome, Progress,
    ProgressSnapshot, Silent, Summary,
};
pub use fetch::CancellationToken;
pub use keys::{Catalogue, KeysQuery, catalogue as keys};
pub use pages::{Client, Page, PageStream};
pub use plan::Limits;
pub use rebuild::{RebuildOptions, RebuildSummary, rebuild};
pub use report::{Report, ReportQuery, report};
pub use schema::{Description, Engine, of_table as schema};
pub use sink::Sink;
pub use status::{DatasetStatus, Status, status};
pub use table::{Partition, PartitionBy, PartitionDate, PartitionKey, RowGroups, Scan, Settings, Table};
pub use verify::{Verified, VerifyReport, verify};
pub use window::{Window, Windows};

/// What tests and benchmarks of this package use; not part of the public API.
#[doc(hidden)]
pub mod internal {
    pub use crate::api::{ApiRequest, HttpClient, RateLimiter, RequestStats, Response};
    pub use crate::dataset::{Next, decode, peek};
    pub use crate::export::DEFAULT_BASE_URL;
    pub use crate::ledger::{DatasetState, Ledger};
    pub use crate::spool::{PageHeader, Spool};
    pub use crate::table::{Lock, OWN_FOLDER, Zone, file_properties, file_size, read_file};
}
