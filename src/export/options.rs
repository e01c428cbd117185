//! What an export is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::api::Connection;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::window::Window;

/// The vendor's API.
pub const DEFAULT_BASE_URL: &str = "https://api.converseapps.com";
/// Requests a second that the vendor allows on each endpoint.
pub const DEFAULT_REQUESTS_PER_SECOND: f64 = 3.0;
/// Records of a page at most, by the vendor's word.
pub const MAX_PER_PAGE: u32 = 1000;
/// How long a record may take to show up in the archive, as far as is known.
pub const DEFAULT_SETTLE: Duration = Duration::from_secs(15 * 60);

/// What an export is asked to do; made from flags by the command line, or by hand by whoever uses the library.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bots, by name or id.
    pub bots: Vec<String>,
    /// What to export of each of them.
    pub datasets: Vec<Dataset>,
    /// Half-open range of the time that the API filters by.
    pub range: Window,
    /// The table's folder.
    pub out: PathBuf,
    /// How to reach the API.
    pub connection: Connection,
    /// On each endpoint; 0 means no limit.
    pub requests_per_second: f64,
    /// Most requests in flight on each endpoint; where it is not given the budget alone decides.
    pub concurrency: Option<usize>,
    /// Records wanted a page, 1 to 1000.
    pub per_page: u32,
    /// IANA zone of the table's dates.
    pub timezone: String,
    /// What is younger than this when it is asked for is exported, but not called complete.
    pub settle: Duration,
    /// Ask again for what is complete already.
    pub refetch: bool,
    /// Keep the API's pages in `_export/kept/` once they are part of the table.
    pub keep_pages: bool,
}

impl Options {
    /// Whether all of it makes sense.
    ///
    /// # Errors
    /// [`Error::Usage`] with the first thing that does not.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String, hint: &str| {
            Err(Error::Usage {
                what,
                hint: hint.into(),
            })
        };
        if self.bots.is_empty() || self.bots.iter().any(|bot| bot.trim().is_empty()) {
            return wrong(
                "--bot is empty".into(),
                "give the bot's name or id, such as r3-218210",
            );
        }
        if self.datasets.is_empty() {
            return wrong(
                "no dataset was asked for".into(),
                "give conversations, messages or both",
            );
        }
        if self.range.is_empty() {
            return wrong(
                "the range holds no time: --end is not after --start".into(),
                "give an --end after --start; the end itself is not exported",
            );
        }
        if self.range.start < 0 {
            return wrong("--start lies before 1970".into(), "give a --start from 1970 on");
        }
        if !(1..=MAX_PER_PAGE).contains(&self.per_page) {
            return wrong(
                format!("--per-page {} is not possible", self.per_page),
                "the API gives 1 to 1000 records a page; more of them means fewer requests",
            );
        }
        if !self.requests_per_second.is_finite() || !(0.0..=10_000.0).contains(&self.requests_per_second) {
            return wrong(
                format!(
                    "--requests-per-second {} is not possible",
                    self.requests_per_second
                ),
                "give a number from 0 (no limit) to 10000; the vendor allows 3",
            );
        }
        if self.concurrency == Some(0) {
            return wrong(
                "--concurrency 0 would fetch nothing".into(),
                "give 1 or more, or leave it out",
            );
        }
        check_base_url(&self.connection.base_url)
    }
}

/// The key goes over the network with every request, so only HTTPS will do, but for this machine itself.
///
/// # Errors
/// [`Error::Usage`] where the key would be sent unprotected, or nowhere.
pub fn check_base_url(url: &Url) -> Result<()> {
    let wrong = |what: String, hint: &str| {
        Err(Error::Usage {
            what,
            hint: hint.into(),
        })
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return wrong(
            "--base-url holds more than an address".into(),
            "give scheme, host and path only; the key goes into CONVERSE_EXPORT_API_KEY",
        );
    }
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => Ok(()),
        ("http", Some(host)) if is_loopback(&host) => Ok(()),
        ("http", Some(host)) => wrong(
            format!("--base-url would send the key to {host} unprotected"),
            "use https; plain http is only for this machine itself",
        ),
        (scheme, _) => wrong(
            format!("--base-url cannot be reached by {scheme}"),
            "give an address such as https://api.converseapps.com",
        ),
    }
}

fn is_loopback(host: &url::Host<&str>) -> bool {
    match host {
        url::Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
    }
}
