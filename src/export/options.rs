//! What an export is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::api::Connection;
use crate::dataset::{Dataset, MetadataMode, PrivacyOptions, Promoted};
use crate::error::{Error, Result};
use crate::table::{DEFAULT_TIMEZONE, PartitionBy, SCHEMA_VERSION, Settings, Table, bot_folder};
use crate::window::Window;

/// The vendor's API.
pub const DEFAULT_BASE_URL: &str = "https://api.converseapps.com";
/// Requests a second that the vendor allows on each endpoint.
pub const DEFAULT_REQUESTS_PER_SECOND: f64 = 3.0;
/// Records of a page at most, by the vendor's word.
pub const MAX_PER_PAGE: u32 = 1000;
/// How long a record may take to show up in the archive, as far as is known.
pub const DEFAULT_SETTLE: Duration = Duration::from_secs(15 * 60);

/// Bytes of a bot's folder at most: file systems take names of 255, and while a partition is replaced its dataset
/// and date stand beside the bot.
const MOST_FOLDER_BYTES: usize = 208;

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
    /// IANA zone of the table's dates; the one that it has already, or UTC, where it is not given.
    pub timezone: Option<String>,
    /// How metadata stands in the table; as it does already, or as a map, where it is not given.
    pub metadata: Option<MetadataMode>,
    /// The metadata keys that have columns of their own; those that have them already where it is not given.
    pub promote: Option<Vec<Promoted>>,
    /// Rows of a row group at most; as the table has it where it is not given.
    pub row_group_rows: Option<usize>,
    /// Bytes of a row group in memory at most; as the table has it where it is not given.
    pub row_group_bytes: Option<usize>,
    /// What is taken out of rows.
    pub privacy: PrivacyOptions,
    /// Whether the table's partitions are days or months; where it is not given, what they are already, or days.
    pub partition_by: Option<PartitionBy>,
    /// What is younger than this when it is asked for is exported, but not called complete.
    pub settle: Duration,
    /// Ask again for what is complete already.
    pub refetch: bool,
    /// Keep the table up to the end of `range`, and ask again for this much behind what is complete: what `sync` does.
    pub lookback: Option<Duration>,
    /// Only the messages of this conversation; no range counts as complete for it.
    pub conversation: Option<String>,
    /// Keep the API's pages in `_export/kept/` once they are part of the table.
    pub keep_pages: bool,
}

impl Options {
    /// The table that is asked for.
    ///
    /// # Errors
    /// As [`Table::open_or_create`].
    pub(super) fn table(&self) -> Result<Table> {
        Table::open_as(&self.out, |fixed| self.settings(fixed))
    }

    /// The same for commands that only read: a table that exists need not be writable.
    ///
    /// # Errors
    /// As [`Options::table`].
    pub(super) fn table_to_read(&self) -> Result<Table> {
        let table = match Table::open(&self.out) {
            // the settings may be lost: files show what they were
            Err(Error::Usage { .. } | Error::Damaged { .. }) => return self.table(),
            table => table?,
        };
        let requested = self.settings(Some(table.settings()))?;
        let differences = table.settings().differences(&requested);
        if differences.is_empty() {
            return Ok(table);
        }
        Err(Error::OtherSettings {
            path: self.out.clone(),
            differences,
        })
    }

    /// The settings of the table: what is not asked for is as the table that is there has it.
    ///
    /// # Errors
    /// Where no table can have what is asked for.
    fn settings(&self, fixed: Option<&Settings>) -> Result<Settings> {
        let groups = fixed.map(|settings| settings.row_groups).unwrap_or_default();
        let rules = fixed.map(|settings| settings.privacy.clone()).unwrap_or_default();
        let privacy = self.privacy.replacing(&rules);
        if self.keep_pages && !privacy.is_empty() {
            return Err(Error::Usage {
                what: "--keep-pages would keep what --drop-key, --hash-key and --mask-ip take out".into(),
                hint: "leave it out: where such rules are set pages go once they are part of the table"
                    .into(),
            });
        }
        let table_options = fixed
            .map(|settings| settings.table_options.clone())
            .unwrap_or_default();
        let table_options = table_options.with(self.metadata, self.promote.as_deref());
        table_options.check()?;
        let base_url = self.connection.base_url.as_str().trim_end_matches('/');
        let of_table = || fixed.map(|settings| settings.timezone.clone());
        let timezone = self
            .timezone
            .clone()
            .or_else(of_table)
            .unwrap_or_else(|| DEFAULT_TIMEZONE.into());
        let same_zone = fixed.filter(|settings| settings.timezone == timezone);
        let settings = Settings {
            schema_version: SCHEMA_VERSION,
            base_url: base_url.to_owned(),
            timezone,
            timezone_rules: same_zone.and_then(|settings| settings.timezone_rules.clone()),
            partition_by: self
                .partition_by
                .unwrap_or_else(|| fixed.map(|settings| settings.partition_by).unwrap_or_default()),
            table_options,
            row_groups: groups.with(self.row_group_rows, self.row_group_bytes),
            privacy,
        };
        settings.with_rules()
    }

    /// Whether all of it makes sense.
    ///
    /// # Errors
    /// [`Error::Usage`] with the first thing that does not.
    pub fn check(&self) -> Result<()> {
        if self.bots.is_empty() || self.bots.iter().any(|bot| bot.trim().is_empty()) {
            return wrong(
                "--bot is empty".into(),
                "give the bot's name or id, such as r3-218210",
            );
        }
        if let Some(bot) = self
            .bots
            .iter()
            .find(|bot| bot_folder(bot).len() > MOST_FOLDER_BYTES)
        {
            return wrong(
                format!("--bot {bot} is too long for the name of a folder"),
                "give the bot's id, such as r3-218210, in place of its name",
            );
        }
        if self.datasets.is_empty() {
            return wrong(
                "no dataset was asked for".into(),
                "give conversations, messages or both",
            );
        }
        if let Some(conversation) = &self.conversation {
            if conversation.trim().is_empty() {
                return wrong("--conversation is empty".into(), "give the conversation's id");
            }
            if self.datasets != [Dataset::Messages] {
                return wrong(
                    "--conversation fetches messages alone".into(),
                    "give --dataset messages with it: the API has no such question for conversations",
                );
            }
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
        check_request_options(
            &self.connection,
            self.requests_per_second,
            self.concurrency,
            self.per_page,
        )
    }
}

fn wrong(what: String, hint: &str) -> Result<()> {
    Err(Error::Usage {
        what,
        hint: hint.into(),
    })
}

/// Whether the way to ask the API makes sense.
///
/// # Errors
/// [`Error::Usage`] with the first thing that does not.
pub fn check_request_options(
    connection: &Connection,
    requests_per_second: f64,
    concurrency: Option<usize>,
    per_page: u32,
) -> Result<()> {
    if !(1..=MAX_PER_PAGE).contains(&per_page) {
        return wrong(
            format!("--per-page {per_page} is not possible"),
            "the API gives 1 to 1000 records a page; more of them means fewer requests",
        );
    }
    if !requests_per_second.is_finite() || !(0.0..=10_000.0).contains(&requests_per_second) {
        return wrong(
            format!("--requests-per-second {requests_per_second} is not possible"),
            "give a number from 0 (no limit) to 10000; the vendor allows 3",
        );
    }
    if concurrency == Some(0) {
        return wrong(
            "--concurrency 0 would fetch nothing".into(),
            "give 1 or more, or leave it out",
        );
    }
    check_base_url(
        &connection.base_url,
        connection.is_local() || connection.allow_http,
    )
}

/// The key goes over the network with every request, so only HTTPS will do, but for this machine itself, or
/// where it is said that plain HTTP will do.
///
/// # Errors
/// [`Error::Usage`] where the key would be sent unprotected, or nowhere.
pub fn check_base_url(url: &Url, allow_http: bool) -> Result<()> {
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return wrong(
            "--base-url holds more than an address".into(),
            "give scheme, host and path only; the key goes into CONVERSE_EXPORT_API_KEY",
        );
    }
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => Ok(()),
        ("http", Some(_)) if allow_http => Ok(()),
        ("http", Some(host)) => wrong(
            format!("--base-url would send the key to {host} unprotected"),
            "use https, or give --allow-http where you trust the whole way there with the key",
        ),
        (scheme, _) => wrong(
            format!("--base-url cannot be reached by {scheme}"),
            "give an address such as https://api.converseapps.com",
        ),
    }
}
