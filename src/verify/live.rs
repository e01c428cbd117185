//! Asks the API again for some windows that are called complete, and compares ids.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;

use super::report::{Asked, Live, Mend, Report};
use super::{Verified, choice};
use crate::api::{Ask, AskError, Budget, Client, Connection, Tally};
use crate::dataset::{Dataset, Next, PeekedRecord, decode, id_hash, peek};
use crate::error::{Error, Result};
use crate::fetch::Field;
use crate::table::{Entry, Footer, PartitionKey, bot_folder};
use crate::window::Window;

/// A window is chosen to hold so much of a page: its days' counts are only a mean.
const SHARE_OF_PAGE: f64 = 0.8;
/// Requests in flight where no number is given.
const SIDE_BY_SIDE: usize = 4;
/// A window is started again so often after its cursor died.
const STARTS: u32 = 3;
/// So many pages in a row may bring nothing new.
const QUIET_PAGES: u32 = 20;

/// What to ask for again, and how.
#[derive(Clone, Debug)]
pub struct AskAgain {
    /// How many windows.
    pub windows: u32,
    /// Where the choice of windows comes from.
    pub seed: u64,
    /// How to reach the API.
    pub connection: Connection,
    /// On each endpoint; 0 means no limit.
    pub requests_per_second: f64,
    /// Most requests in flight.
    pub concurrency: Option<usize>,
    /// Records wanted a page.
    pub per_page: u32,
}

/// A proof whose windows are chosen and can be asked for.
#[derive(Debug)]
pub struct Again {
    verified: Verified,
    chosen: Vec<Chosen>,
}

/// A window to ask for.
#[derive(Debug)]
struct Chosen {
    dataset: Dataset,
    bot: String,
    window: Window,
    /// The times that the API may filter by.
    fields: Vec<Field>,
    /// Hashes of the ids that the table holds of it.
    held: HashSet<u64>,
}

impl Verified {
    /// Chooses windows and reads what the table holds of them. Asks nobody.
    #[must_use]
    pub fn choose(self, again: &AskAgain) -> Again {
        let mut random = StdRng::seed_from_u64(again.seed);
        let accounts: Vec<_> = self
            .ledger
            .iter()
            .flat_map(|ledger| &ledger.datasets)
            .filter_map(|(name, bots)| Some((name.parse::<Dataset>().ok()?, bots)))
            .flat_map(|(dataset, bots)| bots.iter().map(move |(bot, account)| (dataset, bot, account)))
            .filter(|(.., account)| !account.complete.is_empty())
            .collect();
        let rows = f64::from(again.per_page) * SHARE_OF_PAGE;
        let first = random.random_range(0..accounts.len().max(1));
        let in_turn = accounts.iter().cycle().skip(first);
        let mut chosen: Vec<Chosen> = in_turn
            .take(again.windows as usize)
            .filter_map(|(dataset, bot, account)| {
                let fields = match account.learnt.filter {
                    Some(field) => vec![field],
                    None if dataset.version_column().is_some() => vec![Field::Time, Field::LastAction],
                    None => vec![Field::Time],
                };
                Some(Chosen {
                    dataset: *dataset,
                    bot: (*bot).clone(),
                    window: choice::choose(account, &self.zone, rows, &mut random)?,
                    fields,
                    held: HashSet::new(),
                })
            })
            .collect();
        self.read_held(&mut chosen);
        Again {
            verified: self,
            chosen,
        }
    }

    /// Reads which ids the table holds of the windows.
    fn read_held(&self, chosen: &mut [Chosen]) {
        let found: Vec<(usize, u64)> = self
            .entries
            .par_iter()
            .flat_map_iter(|(key, entry)| self.held_of(chosen, key, entry))
            .collect();
        for (number, id) in found {
            chosen[number].held.insert(id);
        }
    }

    /// The ids of a partition that lie within a window, each with the number of the window.
    fn held_of(&self, chosen: &[Chosen], key: &PartitionKey, entry: &Entry) -> Vec<(usize, u64)> {
        let day = self.zone.window(key.day);
        let touches = |chosen: &Chosen| {
            let in_day = day.is_some_and(|day| !chosen.window.intersect(day).is_empty());
            let of_bot = chosen.dataset == key.dataset && chosen.bot == key.bot;
            of_bot && (in_day || !chosen.fields.contains(&Field::Time))
        };
        let windows: Vec<_> = chosen
            .iter()
            .enumerate()
            .filter(|(_, chosen)| touches(chosen))
            .collect();
        if windows.is_empty() {
            return Vec::new();
        }
        let dataset = key.dataset;
        // what cannot be read is told of already
        let Ok(footer) = Footer::open(&self.table.out().join(&entry.path)) else {
            return Vec::new();
        };
        let Ok(batches) = footer.batches(None) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for batch in batches.map_while(Result::ok) {
            let Some(ids) = batch.column(dataset.id_column()).as_string_opt::<i32>() else {
                break;
            };
            let (time, last_action) = (
                micros(&batch, Some(dataset.time_column())),
                micros(&batch, dataset.version_column()),
            );
            for (row, id) in ids.iter().enumerate() {
                let id = id_hash(id.unwrap_or_default());
                let record = (time(row), last_action(row));
                for (number, chosen) in &windows {
                    if chosen.holds(record) {
                        found.push((*number, id));
                    }
                }
            }
        }
        found
    }
}

/// The times of a column by row, in microseconds.
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

impl Chosen {
    /// Whether a record with this time and this last action lies within, whichever of them the API filters by.
    fn holds(&self, (time, last_action): (Option<i64>, Option<i64>)) -> bool {
        self.fields.iter().all(|field| {
            let micros = match field {
                Field::Time => time,
                Field::LastAction => last_action,
            };
            micros.is_some_and(|micros| self.window.contains(micros.div_euclid(1_000_000)))
        })
    }
}

/// What the API answered of one window.
#[derive(Default)]
struct Answered {
    ids: HashSet<u64>,
    /// Those of them that lie surely within the window.
    within: HashSet<u64>,
    /// Those of these that the table lacks.
    missing: HashSet<u64>,
    /// The id of one of them.
    example: Option<String>,
}

/// What all questions share.
struct Desk<'a> {
    client: Client,
    budgets: BTreeMap<Dataset, Budget>,
    tally: Tally,
    per_page: u32,
    verified: &'a Verified,
}

impl Again {
    /// What was found so far.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.verified.report
    }

    /// Asks for the windows chosen, and adds what the API says to the report.
    ///
    /// # Errors
    /// Where the API did not answer; nothing is added then.
    pub async fn ask(&mut self, again: &AskAgain) -> Result<()> {
        let budget = |dataset| (dataset, Budget::new(again.requests_per_second));
        let desk = Desk {
            client: Client::new(again.connection.clone()).map_err(Error::Connection)?,
            budgets: Dataset::ALL.map(budget).into(),
            tally: Tally::default(),
            per_page: again.per_page,
            verified: &self.verified,
        };
        let answers: Vec<Answered> = stream::iter(self.chosen.iter().map(|chosen| desk.window(chosen)))
            .buffered(again.concurrency.unwrap_or(SIDE_BY_SIDE))
            .try_collect()
            .await?;
        let requests = desk.tally.requests.into_inner();
        let mut live = Live {
            seed: again.seed,
            windows: Vec::new(),
            requests,
        };
        let report = &mut self.verified.report;
        for (chosen, answered) in self.chosen.iter().zip(answers) {
            live.windows.push(compare(report, chosen, &answered));
        }
        report.live = Some(live);
        Ok(())
    }
}

fn compare(report: &mut Report, chosen: &Chosen, answered: &Answered) -> Asked {
    let (dataset, bot, window) = (chosen.dataset, chosen.bot.as_str(), chosen.window);
    let folder = std::path::Path::new(dataset.name()).join(bot_folder(bot));
    let gone = chosen.held.difference(&answered.ids).count() as u64;
    let missing = answered.missing.len() as u64;
    if missing > 0 {
        let example = answered.example.as_deref().unwrap_or("?");
        let what =
            format!("the API answers {missing} records of {window} that are missing, such as {example}");
        report.problem_of((dataset, bot), &folder, Mend::Refetch, what);
    }
    if gone > 0 {
        let what = format!(
            "the API no longer answers {gone} rows of {window}: they were deleted or changed at the source, and stay \
             in the table"
        );
        report.note(&folder, what);
    }
    Asked {
        dataset: dataset.name(),
        bot: bot.to_owned(),
        window: window.to_string(),
        records: answered.within.len() as u64,
        missing,
        gone,
    }
}

impl Desk<'_> {
    /// Asks for a window until its cursor is null.
    async fn window(&self, chosen: &Chosen) -> Result<Answered> {
        for _ in 1..STARTS {
            match self.chain(chosen).await {
                Err(Error::Fetch {
                    source: AskError::CursorDied { .. } | AskError::Lost { .. },
                    ..
                }) => {}
                ended => return ended,
            }
        }
        self.chain(chosen).await
    }

    async fn chain(&self, chosen: &Chosen) -> Result<Answered> {
        // a second more at both ends, whose records are not compared: the bounds may be inclusive or exclusive
        let window = Window::new((chosen.window.start - 1).max(0), chosen.window.end + 1);
        let mut ask = Ask {
            endpoint: chosen.dataset.endpoint(),
            bot: chosen.bot.clone(),
            window,
            per_page: self.per_page,
            cursor: None,
        };
        let mut answered = Answered::default();
        let (mut moves, mut quiet) = (true, 0);
        loop {
            let (budget, sent) = {
                let budget = &self.budgets[&chosen.dataset];
                (budget, budget.permit().await.spend())
            };
            let read = |body: &[u8]| peek(chosen.dataset, body).map_err(|error| error.to_string());
            // where the cursor stays the same, the server moves on at each request
            let page = self
                .client
                .page(&ask, moves, budget, sent, &self.tally, read)
                .await;
            let (answer, page) = page.map_err(|source| Error::Fetch {
                dataset: chosen.dataset.name(),
                bot: chosen.bot.clone(),
                window: window.to_string(),
                source,
            })?;
            let before = answered.ids.len();
            self.take(chosen, &page.records, &answer.body, &mut answered)?;
            quiet = if answered.ids.len() > before { 0 } else { quiet + 1 };
            let failed = |what: &str| {
                Err(Error::Chain {
                    dataset: chosen.dataset.name(),
                    bot: chosen.bot.clone(),
                    what: format!("window {window} {what}"),
                })
            };
            match page.cursor {
                Next::End => return Ok(answered),
                Next::Absent if page.records.len() < self.per_page as usize => return Ok(answered),
                Next::Absent => return failed("answered a full page without a cursor"),
                Next::Cursor(_) if quiet > QUIET_PAGES => {
                    return failed("goes on and on without a new record");
                }
                Next::Cursor(next) => {
                    moves = ask.cursor.as_deref() != Some(next.as_str());
                    ask.cursor = Some(next);
                }
            }
        }
    }

    /// Takes a page in.
    fn take(
        &self,
        chosen: &Chosen,
        records: &[PeekedRecord],
        body: &[u8],
        answered: &mut Answered,
    ) -> Result<()> {
        let ids = self.verified.ids.get(&(chosen.dataset, chosen.bot.clone()));
        let is_there = |id: u64| ids.is_some_and(|ids| ids.binary_search(&id).is_ok());
        for record in records.iter().filter(|record| !record.rejected) {
            answered.ids.insert(record.id);
            if chosen.holds((record.time, record.last_action)) {
                answered.within.insert(record.id);
                if !is_there(record.id) {
                    answered.missing.insert(record.id);
                }
            }
        }
        if answered.example.is_none() && !answered.missing.is_empty() {
            let decoded = decode(chosen.dataset, body).map_err(|error| Error::Internal(error.to_string()))?;
            let ids = decoded
                .batch
                .column(chosen.dataset.id_column())
                .as_string::<i32>();
            let missing = |id: &&str| answered.missing.contains(&id_hash(id));
            answered.example = ids.iter().flatten().find(missing).map(str::to_owned);
        }
        Ok(())
    }
}
