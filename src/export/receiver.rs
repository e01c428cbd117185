//! Passes the events of a job to the progress and to the thread that writes the table.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::page_contents::PageContents;
use super::progress::{Progress, ProgressSnapshot};
use super::table_writer::JobEvent;
use crate::api::RequestStats;
use crate::dataset::Dataset;
use crate::fetch::{Endpoint, Event, Receiver};
use crate::table::Zone;
use crate::window::Windows;

pub(super) struct JobReceiver {
    /// The place of the job among all jobs.
    pub(super) number: usize,
    pub(super) dataset: Dataset,
    pub(super) bot: String,
    pub(super) missing: Windows,
    pub(super) looks_back: bool,
    /// Records received.
    pub(super) received: u64,
    pub(super) stats: Arc<RequestStats>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) zone: Zone,
    pub(super) events: mpsc::Sender<JobEvent>,
    pub(super) progress: Arc<dyn Progress>,
}

impl Receiver for JobReceiver {
    async fn receive(&mut self, Event { page, progress }: Event) -> bool {
        let page = page.map(|page| {
            let records = &page.peek.records;
            self.received += records.len() as u64;
            let filters = &progress.possible_filters;
            PageContents::new(
                page.header,
                page.bytes,
                records,
                &self.zone,
                self.looks_back,
                filters,
            )
        });
        let snapshot = ProgressSnapshot::of(
            &self.missing,
            &progress,
            self.received,
            &self.stats,
            &self.endpoint,
        );
        self.progress.reached(self.dataset, &self.bot, &snapshot);
        let job = self.number;
        self.events.send(JobEvent { job, page, progress }).await.is_ok()
    }
}
