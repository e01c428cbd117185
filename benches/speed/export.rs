//! Exports as a library runs them: from pages that are kept already, and from a server.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use converse_export::internal::{DEFAULT_BASE_URL, HttpClient, OWN_FOLDER, PageHeader, Spool};
use converse_export::{ApiKey, CancellationToken, Connection, Dataset, Export, Silent, Window};
use converse_export_simulator::Simulator;
use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::corpus::{self, BOT, Corpus, range};

/// What an export has in flight where there is no limit.
const AT_A_TIME: i64 = 8;

pub(crate) fn empty() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn export(dataset: Dataset, connection: Connection, place: &Path) -> Export {
    Export::new(connection, BOT, range(), place)
        .datasets([dataset])
        .requests_per_second(0.0)
        .settle(Duration::ZERO)
}

fn run(runtime: &Runtime, export: &Export, dataset: Dataset, records: usize, requests: bool) {
    let stop = CancellationToken::new();
    let outcome = runtime.block_on(export.run(Arc::new(Silent), stop)).unwrap();
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    let done = &outcome.summary.datasets[dataset.name()];
    assert_eq!((done.rows, done.requests > 0), (records as u64, requests));
}

/// A spool that holds every page of a range: nothing is left to be requested for, but to build the table.
pub(crate) struct Kept {
    dataset: Dataset,
    records: usize,
    spool: TempDir,
    runtime: Runtime,
}

impl Kept {
    pub(crate) fn new(corpus: &Corpus) -> Self {
        let spool = empty();
        let pages = Spool::open(&spool.path().join("pages")).unwrap();
        for (index, body) in (0..).zip(&corpus.pages) {
            let header = PageHeader {
                sequence: 0,
                dataset: corpus.dataset.name().into(),
                bot: BOT.into(),
                run: "bench".into(),
                chain: 0,
                index,
                covers: range(),
                requested: range(),
                range: range(),
                per_page: 1000,
                cursor: (index > 0).then(|| index.to_string()),
                conversation: None,
                erased: 0,
                requested_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            };
            pages.append(header, body).unwrap();
        }
        Self {
            dataset: corpus.dataset,
            records: corpus.records,
            spool,
            runtime: Runtime::new().unwrap(),
        }
    }

    /// A table's folder with the pages in its spool.
    pub(crate) fn copy(&self) -> TempDir {
        let place = empty();
        let pages = place.path().join(OWN_FOLDER).join("pages");
        fs::create_dir_all(&pages).unwrap();
        for page in fs::read_dir(self.spool.path().join("pages")).unwrap() {
            let page = page.unwrap();
            fs::hard_link(page.path(), pages.join(page.file_name())).unwrap();
        }
        place
    }

    pub(crate) fn build(&self, place: &TempDir) {
        let nobody = Connection::new(DEFAULT_BASE_URL.parse().unwrap(), ApiKey::new("none").unwrap());
        let export = export(self.dataset, nobody, place.path());
        run(&self.runtime, &export, self.dataset, self.records, false);
    }
}

/// A simulator to export from. It runs in this process, so what it takes is part of both sides.
pub(crate) struct World {
    runtime: Runtime,
    simulator: Simulator,
    client: HttpClient,
    conversations: u32,
}

impl World {
    pub(crate) fn new(conversations: u32) -> Self {
        let runtime = Runtime::new().unwrap();
        let simulator = corpus::simulator(&runtime, conversations);
        Self {
            client: HttpClient::new(corpus::connection(&simulator)).unwrap(),
            runtime,
            simulator,
            conversations,
        }
    }

    pub(crate) fn records(&self) -> usize {
        self.conversations as usize
    }

    pub(crate) fn export(&self, place: &TempDir) {
        let connection = corpus::connection(&self.simulator);
        let export = export(Dataset::Conversations, connection, place.path());
        run(
            &self.runtime,
            &export,
            Dataset::Conversations,
            self.records(),
            true,
        );
    }

    /// Gets all pages, as many at a time, and lets go of them unseen.
    pub(crate) fn fetch(&self) {
        let each = (range().end - range().start) / AT_A_TIME;
        let chains = (0..AT_A_TIME).map(|number| {
            let start = range().start + number * each;
            let window = Window::new(start, start + each);
            corpus::chain(&self.client, Dataset::Conversations, window, drop)
        });
        self.runtime.block_on(join_all(chains));
    }
}
