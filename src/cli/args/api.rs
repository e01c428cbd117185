//! The flags that tell how to reach the API.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use url::Url;

use super::duration;
use crate::api::DEFAULT_PAGE_BYTES;
use crate::export::{DEFAULT_REQUESTS_PER_SECOND, MAX_PER_PAGE};

/// How to reach the API, and how hard to ask.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ApiArgs {
    /// Read the API key from a file; - reads standard input [default: environment CONVERSE_EXPORT_API_KEY]
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) api_key_file: Option<PathBuf>,
    /// The API's address [default: https://api.converseapps.com; of verify: the one that the table came from]
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) base_url: Option<Url>,
    /// Send the key over plain http to another machine, where everybody on the way can read it
    #[arg(long)]
    pub(in crate::cli) allow_http: bool,
    /// Requests a second on each endpoint; 0 means no limit
    #[arg(long, value_name = "R", default_value_t = DEFAULT_REQUESTS_PER_SECOND)]
    pub(in crate::cli) requests_per_second: f64,
    /// Most requests in flight on each endpoint [default: as many as the budget and the latency need]
    #[arg(long, value_name = "N")]
    pub(in crate::cli) concurrency: Option<usize>,
    /// Records asked for with each request, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = MAX_PER_PAGE)]
    pub(in crate::cli) per_page: u32,
    /// How long to go on asking for a page that fails, e.g. 90s, 5m
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m")]
    pub(in crate::cli) retry_for: Duration,
    /// The longest silence of the server while an answer is awaited; an answer that only drips counts as silence
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s")]
    pub(in crate::cli) timeout: Duration,
    /// The largest answer accepted, in bytes after decompression
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_PAGE_BYTES)]
    pub(in crate::cli) max_page_bytes: u64,
}
