//! A simulated API and a folder for tables: what the binary runs between.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use converse_export_simulator::{Clock, Endpoint, Options, Simulator, Stats, Truth};
use tempfile::TempDir;

use crate::lake::Lake;
use crate::run::Export;

/// The simulator's bot and key.
pub(crate) const BOT: &str = "r3-218210";
pub(crate) const KEY: &str = "demo-key";
pub(crate) const DAY: i64 = 86_400;

/// A small archive without a limit, to be changed where a test wants it otherwise.
pub(crate) fn small() -> Options {
    Options {
        conversations: 2_000,
        requests_per_second: 0.0,
        ..Options::default()
    }
}

/// A simulated API and a folder of its own.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    /// What holds all that the exporter is asked to export: messages go on after the last conversation began.
    pub(crate) range: Range<i64>,
    /// The server's clock.
    pub(crate) clock: Clock,
    folder: TempDir,
}

impl World {
    pub(crate) fn new(options: Options) -> Self {
        let range = options.range.start..options.range.end + DAY;
        let clock = options.clock.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let simulator = runtime.block_on(Simulator::start(options)).unwrap();
        Self {
            simulator,
            range,
            clock,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The same with a folder in memory, where there is such a thing: many short runs would mostly wait for the disk.
    pub(crate) fn in_memory(options: Options) -> Self {
        let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self {
            folder: memory.unwrap(),
            ..Self::new(options)
        }
    }

    /// A path of this test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The lake that runs go to where no other is named.
    pub(crate) fn lake(&self) -> Lake {
        self.lake_named("lake")
    }

    pub(crate) fn lake_named(&self, name: &str) -> Lake {
        Lake(self.path(name))
    }

    /// A run over the whole range, of both datasets, without a limit.
    pub(crate) fn export(&self) -> Export<'_> {
        Export::new(self)
    }

    pub(crate) fn stats(&self, dataset: &str) -> Stats {
        self.simulator.stats(endpoint(dataset))
    }

    /// Requests that arrived so far.
    pub(crate) fn requests(&self) -> u64 {
        self.stats("conversations").requests + self.stats("messages").requests
    }

    /// What there is, by id, as the archive shows it now.
    pub(crate) fn truth(&self, dataset: &str) -> BTreeMap<String, Truth> {
        let archive = self.simulator.archive();
        let all: Vec<Truth> = match endpoint(dataset) {
            Endpoint::Conversations => archive.conversations(BOT).collect(),
            Endpoint::Messages => archive.messages(BOT).collect(),
        };
        all.into_iter().map(|truth| (truth.id.clone(), truth)).collect()
    }

    /// The ids of what lies in the half-open range of Unix seconds, on the time that the API filters.
    pub(crate) fn ids_within(&self, dataset: &str, range: &Range<i64>) -> BTreeSet<String> {
        let within = |truth: &Truth| range.contains(&truth.filter_us.div_euclid(1_000_000));
        let truth = self.truth(dataset);
        truth.into_values().filter(within).map(|truth| truth.id).collect()
    }
}

pub(crate) fn endpoint(dataset: &str) -> Endpoint {
    match dataset {
        "conversations" => Endpoint::Conversations,
        "messages" => Endpoint::Messages,
        _ => panic!("no dataset is called {dataset}"),
    }
}
