//! Requests some complete windows again, and compares ids.

use std::collections::HashSet;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;

use super::report::{ComparedWindow, LiveReport, Remedy, VerifyReport};
use super::requests::{WindowContents, WindowRequests};
use super::{Verified, sample};
use crate::api::{Connection, HttpClient, RateLimiter, RequestStats};
use crate::dataset::{Dataset, id_hash};
use crate::error::{Error, Result};
use crate::plan::Field;
use crate::table::{Entry, PartitionKey, bot_folder};
use crate::tombstones::Tombstones;
use crate::window::Window;

/// Planned size of a window as a share of a page: the counts of partitions are only a mean.
const SHARE_OF_PAGE: f64 = 0.8;
/// Default maximum of requests in flight.
const SIDE_BY_SIDE: usize = 4;

/// Options of a comparison with the API.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Number of windows.
    pub windows: u32,
    /// Seed of the random choice of windows.
    pub seed: u64,
    /// How to reach the API.
    pub connection: Connection,
    /// Requests per second on each endpoint; 0 means no limit.
    pub requests_per_second: f64,
    /// Maximum requests in flight.
    pub concurrency: Option<usize>,
    /// Records per page.
    pub per_page: u32,
}

/// A verification with a choice of windows to request.
#[derive(Debug)]
pub struct LiveVerification {
    verified: Verified,
    sampled: Vec<SampledWindow>,
}

/// A window to request.
#[derive(Debug)]
pub(super) struct SampledWindow {
    pub(super) dataset: Dataset,
    pub(super) bot: String,
    pub(super) window: Window,
    /// The times that the API may filter by.
    fields: Vec<Field>,
    /// Hashes of the table's ids in the window.
    table_ids: HashSet<u64>,
}

impl Verified {
    /// Chooses windows, and reads their ids from the table. Sends nothing.
    ///
    /// # Errors
    /// If a partition cannot be read any more.
    pub fn choose(self, again: &LiveOptions) -> Result<LiveVerification> {
        let mut random = StdRng::seed_from_u64(again.seed);
        let states: Vec<_> = self
            .ledger
            .iter()
            .flat_map(|ledger| &ledger.datasets)
            .filter_map(|(name, bots)| Some((name.parse::<Dataset>().ok()?, bots)))
            .flat_map(|(dataset, bots)| bots.iter().map(move |(bot, state)| (dataset, bot, state)))
            .filter(|(.., state)| !state.complete.is_empty())
            .collect();
        let rows = f64::from(again.per_page) * SHARE_OF_PAGE;
        let first = random.random_range(0..states.len().max(1));
        let in_turn = states.iter().cycle().skip(first);
        let mut sampled: Vec<SampledWindow> = in_turn
            .take(again.windows as usize)
            .filter_map(|(dataset, bot, state)| {
                let fields = match state.learned.filter {
                    Some(field) => vec![field],
                    None if dataset.version_column().is_some() => vec![Field::Time, Field::LastAction],
                    None => vec![Field::Time],
                };
                Some(SampledWindow {
                    dataset: *dataset,
                    bot: (*bot).clone(),
                    window: sample::choose(state, &self.zone, rows, &mut random)?,
                    fields,
                    table_ids: HashSet::new(),
                })
            })
            .collect();
        self.read_ids(&mut sampled)?;
        Ok(LiveVerification {
            verified: self,
            sampled,
        })
    }

    /// Reads the table's ids of the windows.
    fn read_ids(&self, sampled: &mut [SampledWindow]) -> Result<()> {
        let found = self
            .readable()
            .map(|(key, entry)| self.ids_in(sampled, key, entry))
            .collect::<Result<Vec<_>>>()?;
        for (number, id) in found.into_iter().flatten() {
            sampled[number].table_ids.insert(id);
        }
        Ok(())
    }

    /// Returns the ids of a partition in each window, with the index of the window.
    fn ids_in(
        &self,
        sampled: &[SampledWindow],
        key: &PartitionKey,
        entry: &Entry,
    ) -> Result<Vec<(usize, u64)>> {
        let date = self.zone.window(key.date);
        let touches = |sampled: &SampledWindow| {
            let in_period = date.is_some_and(|date| !sampled.window.intersect(date).is_empty());
            let of_bot = sampled.dataset == key.dataset && sampled.bot == key.bot;
            of_bot && (in_period || !sampled.fields.contains(&Field::Time))
        };
        let windows: Vec<_> = sampled
            .iter()
            .enumerate()
            .filter(|(_, sampled)| touches(sampled))
            .collect();
        let mut found = Vec::new();
        if windows.is_empty() {
            return Ok(found);
        }
        let dataset = key.dataset;
        let Some(file) = self.table.open_current(key, entry)? else {
            return Ok(found);
        };
        for batch in file.batches(None)? {
            let batch = batch?;
            let time = micros(&batch, Some(dataset.time_column()));
            let last_action = micros(&batch, dataset.version_column());
            let ids = batch.column(dataset.id_column()).as_string::<i32>();
            for (row, id) in ids.iter().flatten().enumerate() {
                let record = (time(row), last_action(row));
                let containing = windows.iter().filter(|(_, sampled)| sampled.contains(record));
                found.extend(containing.map(|(number, _)| (*number, id_hash(id))));
            }
        }
        Ok(found)
    }
}

/// Returns the times of a column in microseconds, by row.
fn micros(batch: &RecordBatch, column: Option<usize>) -> impl Fn(usize) -> Option<i64> + '_ {
    let times = column.and_then(|column| {
        batch
            .column(column)
            .as_primitive_opt::<TimestampMicrosecondType>()
    });
    move |row| {
        times
            .filter(|times| times.is_valid(row))
            .map(|times| times.value(row))
    }
}

impl SampledWindow {
    /// Whether a record with these times is within the window, by each field that the API may filter by.
    pub(super) fn contains(&self, (time, last_action): (Option<i64>, Option<i64>)) -> bool {
        self.fields.iter().all(|field| {
            let micros = match field {
                Field::Time => time,
                Field::LastAction => last_action,
            };
            micros.is_some_and(|micros| self.window.contains(micros.div_euclid(1_000_000)))
        })
    }
}

impl LiveVerification {
    /// Returns the report.
    #[must_use]
    pub fn report(&self) -> &VerifyReport {
        &self.verified.report
    }

    /// Requests the windows, and adds the comparison to the report.
    ///
    /// # Errors
    /// If a request failed; nothing is added then.
    pub async fn run(&mut self, again: &LiveOptions) -> Result<()> {
        let rate_limiter = |dataset| (dataset, RateLimiter::new(again.requests_per_second));
        let requests = WindowRequests {
            client: HttpClient::new(again.connection.clone()).map_err(Error::Connection)?,
            rate_limiters: Dataset::ALL.map(rate_limiter).into(),
            stats: RequestStats::default(),
            per_page: again.per_page,
            verified: &self.verified,
            erased: Tombstones::load(&self.verified.table.own_folder())?,
        };
        let answers: Vec<WindowContents> =
            stream::iter(self.sampled.iter().map(|sampled| requests.window(sampled)))
                .buffered(again.concurrency.unwrap_or(SIDE_BY_SIDE))
                .try_collect()
                .await?;
        let requests = requests.stats.requests.into_inner();
        let mut live = LiveReport {
            seed: again.seed,
            windows: Vec::new(),
            requests,
        };
        let report = &mut self.verified.report;
        for (sampled, answered) in self.sampled.iter().zip(answers) {
            live.windows.push(compare(report, sampled, &answered));
        }
        if live.windows.is_empty() {
            let what = "no time is complete, so no window can be compared";
            report.note(Path::new("."), what);
        }
        report.live = Some(live);
        Ok(())
    }
}

fn compare(report: &mut VerifyReport, sampled: &SampledWindow, answered: &WindowContents) -> ComparedWindow {
    let (dataset, bot, window) = (sampled.dataset, sampled.bot.as_str(), sampled.window);
    let folder = Path::new(dataset.name()).join(bot_folder(bot));
    let gone = sampled.table_ids.difference(&answered.ids).count() as u64;
    let missing = answered.missing.len() as u64;
    if missing > 0 {
        let example = answered.example.as_deref().unwrap_or("?");
        let what =
            format!("the table lacks {missing} records of {window} that the API returns, such as {example}");
        report.problem_of((dataset, bot), &folder, Remedy::Refetch, what);
    }
    if gone > 0 {
        let what = format!(
            "the API does not return {gone} rows of {window}: they were deleted or changed at the source, and stay \
             in the table"
        );
        report.note(&folder, what);
    }
    ComparedWindow {
        dataset: dataset.name(),
        bot: bot.to_owned(),
        window: window.to_string(),
        records: answered.within.len() as u64,
        missing,
        gone,
    }
}
