//! The flags that tell how to reach the API.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use url::Url;

use super::duration;
use crate::api::DEFAULT_PAGE_BYTES;
use crate::error::{Error, Result};
use crate::export::{DEFAULT_REQUESTS_PER_SECOND, MAX_PER_PAGE};
use crate::table::Settings;

impl ApiArgs {
    /// These flags with the API's address of a table, where none is given.
    pub(in crate::cli) fn for_table(&self, table: Option<&Settings>) -> Result<Self> {
        let mut args = self.clone();
        if let (None, Some(table)) = (&args.base_url, table) {
            let url = Url::parse(&table.base_url).map_err(|error| Error::Usage {
                what: format!("cannot use the table's address {}: {error}", table.base_url),
                hint: "give --base-url".into(),
            })?;
            args.base_url = Some(url);
        }
        Ok(args)
    }
}

/// How to reach the API, and how hard to ask.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ApiArgs {
    /// Read the key from a file; - is standard input
    ///
    /// Otherwise it comes from the environment variable CONVERSE_EXPORT_API_KEY. Only a site admin can see it, in the
    /// dashboard's settings.
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) api_key_file: Option<PathBuf>,
    /// The API's address [default: https://api.converseapps.com]
    ///
    /// Fixed by a table's first run. If it is not given, the table's own.
    #[arg(long, value_name = "URL", hide_short_help = true)]
    pub(in crate::cli) base_url: Option<Url>,
    /// Send the key over plain http to another machine
    ///
    /// Everybody on the way can read it.
    #[arg(long, hide_short_help = true)]
    pub(in crate::cli) allow_http: bool,
    /// On each endpoint; 0 means no limit
    ///
    /// The vendor allows 3 on each endpoint. A server that bears less makes a run slower, not worse.
    #[arg(long, value_name = "R", allow_negative_numbers = true, default_value_t = DEFAULT_REQUESTS_PER_SECOND)]
    pub(in crate::cli) requests_per_second: f64,
    /// Most requests in flight on each endpoint
    ///
    /// By default as many as the budget and the latency need.
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(in crate::cli) concurrency: Option<usize>,
    /// Records asked for with each request, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = MAX_PER_PAGE, hide_short_help = true)]
    pub(in crate::cli) per_page: u32,
    /// How long to go on asking for a page that fails
    ///
    /// A number with its unit: 90s, 5m.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m", hide_short_help = true)]
    pub(in crate::cli) retry_for: Duration,
    /// The longest silence of the server while an answer is awaited
    ///
    /// A number with its unit: 60s. An answer that only drips counts as silence.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s", hide_short_help = true)]
    pub(in crate::cli) timeout: Duration,
    /// The largest answer accepted, in bytes after decompression
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_PAGE_BYTES, hide_short_help = true)]
    pub(in crate::cli) max_page_bytes: u64,
}
