//! Pages of the simulator, as they come over the wire, and the partitions' rows that they hold.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use converse_export::internal::{
    ApiRequest, HttpClient, Next, RateLimiter, RequestStats, Response, Zone, decode, peek,
};
use converse_export::{ApiKey, Connection, Dataset, PartitionKey, Window};
use converse_export_simulator::{Options, Simulator};
use tokio::runtime::Runtime;

pub(crate) const BOT: &str = "r3-218210";
const DAYS: i64 = 12;

/// All of a simulated archive.
pub(crate) fn range() -> Window {
    let start = Options::default().range.start;
    Window::new(start, start + DAYS * 86_400)
}

pub(crate) fn simulator(runtime: &Runtime, conversations: u32) -> Simulator {
    let options = Options {
        range: range().start..range().end,
        conversations,
        requests_per_second: 0.0,
        ..Options::default()
    };
    runtime.block_on(Simulator::start(options)).unwrap()
}

pub(crate) fn connection(simulator: &Simulator) -> Connection {
    let url = simulator.base_url().parse().unwrap();
    Connection::new(url, ApiKey::new("demo-key").unwrap())
}

/// Asks for a chain of pages; `each` gets every one of them.
pub(crate) async fn chain(
    client: &HttpClient,
    dataset: Dataset,
    window: Window,
    mut each: impl FnMut(Response),
) {
    let mut ask = ApiRequest {
        endpoint: dataset.endpoint(),
        bot: BOT.into(),
        window,
        per_page: 1000,
        cursor: None,
        conversation: None,
        may_shrink: false,
    };
    let (budget, stats) = (RateLimiter::new(0.0), RequestStats::default());
    loop {
        let sent = budget.permit().await.unwrap().spend();
        let read = |body: &[u8]| Ok(cursor(body));
        let page = client.page(&ask, true, &budget, sent, &stats, read).await;
        let (answer, next) = page.unwrap();
        each(answer);
        if next.is_none() {
            return;
        }
        ask.cursor = next;
    }
}

/// The cursor, which the simulator writes at the end, without reading the page.
fn cursor(body: &[u8]) -> Option<String> {
    let end = String::from_utf8_lossy(&body[body.len().saturating_sub(4096)..]);
    let (_, after) = end.rsplit_once("\"cursor\":").unwrap();
    serde_json::from_str(after.strip_suffix('}').unwrap()).unwrap()
}

/// Pages that hold everything once, in the order in which they came.
pub(crate) struct Corpus {
    pub(crate) dataset: Dataset,
    pub(crate) pages: Vec<Vec<u8>>,
    pub(crate) records: usize,
}

/// A partition's rows in order.
pub(crate) struct Day {
    pub(crate) key: PartitionKey,
    pub(crate) rows: RecordBatch,
}

impl Corpus {
    pub(crate) fn new(conversations: u32, dataset: Dataset) -> Self {
        let runtime = Runtime::new().unwrap();
        let simulator = simulator(&runtime, conversations);
        let client = HttpClient::new(connection(&simulator)).unwrap();
        let mut pages = Vec::new();
        runtime.block_on(chain(&client, dataset, range(), |answer| pages.push(answer.body)));
        let count = |page: &Vec<u8>| peek(dataset, page).unwrap().records.len();
        assert_eq!(peek(dataset, pages.last().unwrap()).unwrap().cursor, Next::End);
        Self {
            dataset,
            records: pages.iter().map(count).sum(),
            pages,
        }
    }

    /// The rows of each day, sorted.
    pub(crate) fn days(&self) -> Vec<Day> {
        let zone = Zone::named("UTC").unwrap();
        let batches = self
            .pages
            .iter()
            .map(|page| decode(self.dataset, page).unwrap().batch);
        let batches: Vec<RecordBatch> = batches.collect();
        let mut days: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (number, batch) in batches.iter().enumerate() {
            let times = batch.column(self.dataset.time_column());
            let times = times.as_primitive::<TimestampMicrosecondType>();
            let ids = batch.column(self.dataset.id_column()).as_string::<i32>();
            for (row, day) in zone.days().of_column(times).into_iter().enumerate() {
                let order = (times.value(row), ids.value(row));
                days.entry(day).or_default().push((order, (number, row)));
            }
        }
        let all: Vec<&RecordBatch> = batches.iter().collect();
        let mut sorted = Vec::new();
        for (day, mut places) in days {
            places.sort_unstable();
            let places: Vec<_> = places.into_iter().map(|(_, place)| place).collect();
            let (dataset, bot) = (self.dataset, BOT.into());
            sorted.push(Day {
                key: PartitionKey {
                    dataset,
                    bot,
                    date: day,
                },
                rows: interleave_record_batch(&all, &places).unwrap(),
            });
        }
        sorted
    }
}
