//! The numbers of a table: the vendor's own metrics, conversations by time, place and channel, and how complete the
//! export is.

mod bins;
mod counts;
mod gather;
mod user_agents;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

pub(crate) use bins::bins;
pub use bins::{Bin, Bins, Count, Unit};
pub use counts::Ranking;
use gather::{Gathered, gather};

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::keys::ColumnKeys;
use crate::status::{DatasetStatus, status_with};
use crate::store;
use crate::table::{Entry, PartitionBy, PartitionKey, Table};
use crate::window::Window;

/// Values of a breakdown that are told one by one, and keys.
const TOP: usize = 8;
const TOP_TAGS: usize = 12;
const TOP_KEYS: usize = 25;

/// What a report is about.
#[derive(Clone, Debug, Default)]
pub struct ReportQuery {
    /// These bots; all where there is none.
    pub bots: Vec<String>,
    /// Rows whose time lies within; all, also those without a time, where there is none.
    pub range: Option<Window>,
    /// What tags mean.
    pub tags: Tags,
}

/// Which tags of a conversation mean what; one of several is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tags {
    /// An agent took over.
    pub handover: Vec<String>,
    /// The user confirmed that it was resolved.
    pub resolved: Vec<String>,
    /// The user was informed.
    pub informed: Vec<String>,
}

impl Default for Tags {
    fn default() -> Self {
        Self {
            handover: vec!["liveChat".into(), "agentHandover".into()],
            resolved: vec!["resolved".into()],
            informed: vec!["informed".into()],
        }
    }
}

/// What conversations are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dimension {
    /// The column `locale`.
    Locale,
    /// The channel that the system noted.
    Channel,
    /// The device's family, as the system parsed it.
    Device,
    /// The browser's family, as the system parsed it.
    Browser,
}

/// All numbers of a report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The name of the table's folder.
    pub table: String,
    /// The API that it was exported from.
    pub base_url: String,
    /// When the report was made.
    pub made: Timestamp,
    /// The zone of all days and hours.
    pub timezone: String,
    /// Whether the table's partitions are days or months.
    pub partition_by: PartitionBy,
    /// The first moment that was asked for, if one was.
    pub start: Option<Timestamp>,
    /// The moment after the last that was asked for, if one was.
    pub end: Option<Timestamp>,
    /// The bots that it is about.
    pub bots: BTreeSet<String>,
    /// What tags were taken to mean.
    pub tags_meaning: Tags,
    /// Everything together.
    pub total: Count,
    /// Conversations without an agent as a part of all.
    pub self_service_rate: Option<f64>,
    /// Rows without a time: they are in the total, and in no day.
    pub undated: Count,
    /// Over time.
    pub over_time: Option<Bins>,
    /// Conversations by hour of the week, in seven rows from Monday on.
    pub hours: Vec<Vec<u64>>,
    /// Breakdowns of conversations.
    pub by: BTreeMap<Dimension, Ranking>,
    /// Tags of conversations.
    pub tags: Ranking,
    /// Types of messages.
    pub message_types: Ranking,
    /// Keys of metadata, the most frequent.
    pub keys: ColumnKeys,
    /// How complete the export is, by dataset, then by bot, whatever the range.
    pub completeness: BTreeMap<String, BTreeMap<String, DatasetStatus>>,
}

/// Makes a report; `now` is when.
///
/// # Errors
/// Where the table cannot be read, or holds nothing of what is asked for.
pub fn report(table: &Table, query: &ReportQuery, now: Timestamp) -> Result<Report> {
    let entries = table.manifest()?.into_entries(table.out())?;
    let zone = table.zone()?;
    let mut sum = Gathered::default();
    for dataset in Dataset::ALL {
        let partitions: Vec<_> = entries
            .iter()
            .filter(|(key, entry)| key.dataset == dataset && query.may_be_in(key, entry))
            .collect();
        table.each_file(
            &partitions,
            |file| gather(query, dataset, file, &zone),
            |gathered| sum.merge(gathered),
        )?;
    }
    let mut completeness = status_with(table, &entries)?.datasets;
    for bots in completeness.values_mut() {
        bots.retain(|bot, _| query.is_about(bot));
    }
    let bots: BTreeSet<String> = completeness.values().flat_map(BTreeMap::keys).cloned().collect();
    if let Some(unknown) = query.bots.iter().find(|bot| !bots.contains(*bot)) {
        return Err(Error::Usage {
            what: format!("the table has nothing of the bot {unknown}"),
            hint: "see `converse-export status` for what it has".into(),
        });
    }
    let name = std::path::absolute(table.out()).unwrap_or_else(|_| table.out().to_owned());
    Ok(Report {
        table: name
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        base_url: table.settings().base_url.clone(),
        made: now,
        timezone: table.settings().timezone.clone(),
        partition_by: table.settings().partition_by,
        // an end that is open is no moment
        start: query
            .range
            .and_then(|range| Timestamp::from_second(range.start).ok()),
        end: query
            .range
            .and_then(|range| Timestamp::from_second(range.end).ok()),
        bots,
        tags_meaning: query.tags.clone(),
        total: sum.total,
        self_service_rate: sum.total.self_service_rate(),
        undated: sum.undated,
        over_time: bins(&sum.days),
        hours: sum.hours.chunks(24).map(<[u64]>::to_vec).collect(),
        by: sum
            .by
            .into_iter()
            .map(|(by, counts)| (by, counts.ranking(TOP)))
            .collect(),
        tags: sum.tags.ranking(TOP_TAGS),
        message_types: sum.types.ranking(TOP),
        keys: top(ColumnKeys::of(sum.keys, sum.total.sessions)),
        completeness,
    })
}

/// The most frequent keys; the values of all others are only counted.
fn top(mut keys: ColumnKeys) -> ColumnKeys {
    let rest = keys.keys.split_off(TOP_KEYS.min(keys.keys.len()));
    keys.others += rest.iter().map(|key| key.rows).sum::<u64>();
    keys
}

/// Writes a page, whole or not at all.
///
/// # Errors
/// Where the system refuses.
pub fn write(path: &Path, page: &str) -> Result<()> {
    store::write_atomically(path, page.as_bytes())
}

impl ReportQuery {
    fn is_about(&self, bot: &String) -> bool {
        self.bots.is_empty() || self.bots.contains(bot)
    }

    fn may_be_in(&self, key: &PartitionKey, entry: &Entry) -> bool {
        self.is_about(&key.bot) && entry.may_lie_in(self.range)
    }
}
