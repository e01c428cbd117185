//! Flags of the API: address, key, limits.

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
    /// Returns these flags with the table's address if none is given.
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

/// Flags of the API.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ApiArgs {
    /// Read the key from a file; - is standard input
    ///
    /// The default is the environment variable CONVERSE_EXPORT_API_KEY. A site admin finds the key in the dashboard's
    /// settings.
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) api_key_file: Option<PathBuf>,
    #[allow(rustdoc::bare_urls)]
    /// Address of the API [default: https://api.converseapps.com]
    ///
    /// Fixed by the table's first run, which later runs use by default.
    #[arg(long, value_name = "URL", hide_short_help = true)]
    pub(in crate::cli) base_url: Option<Url>,
    /// Allow to send the key over plain http to another machine
    ///
    /// Everybody on the network path can read it.
    #[arg(long, hide_short_help = true)]
    pub(in crate::cli) allow_http: bool,
    /// Rate limit; 0 means no limit
    ///
    /// Applies to each endpoint. The vendor allows 3. If the server accepts less, the run adapts and is slower.
    #[arg(long, value_name = "R", allow_negative_numbers = true, default_value_t = DEFAULT_REQUESTS_PER_SECOND)]
    pub(in crate::cli) requests_per_second: f64,
    /// Maximum number of requests in flight on each endpoint
    ///
    /// The default is derived from the rate limit and the latency.
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(in crate::cli) concurrency: Option<usize>,
    /// Records per page, 1 to 1,000
    #[arg(long, value_name = "N", default_value_t = MAX_PER_PAGE, hide_short_help = true)]
    pub(in crate::cli) per_page: u32,
    /// How long to retry a page that fails
    ///
    /// A number with its unit: 90s, 5m.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m", hide_short_help = true)]
    pub(in crate::cli) retry_for: Duration,
    /// How long to wait for data from the server
    ///
    /// A number with its unit: 60s. A response that arrives too slowly also times out.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s", hide_short_help = true)]
    pub(in crate::cli) timeout: Duration,
    /// Maximum size of a response in bytes, after decompression
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_PAGE_BYTES, hide_short_help = true)]
    pub(in crate::cli) max_page_bytes: u64,
}
