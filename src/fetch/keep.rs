//! A page on its way from the API to the spool.

use std::sync::Arc;

use super::at_hand::Read;
use super::{Endpoint, NoPage, Page};
use crate::api::{Answer, Ask, Sent, Tally};
use crate::dataset::{self, Dataset};
use crate::error::{Error, Result};
use crate::spool::PageHeader;

impl Endpoint {
    pub(super) async fn answer(
        &self,
        dataset: Dataset,
        ask: &Ask,
        retryable: bool,
        sent: Sent,
        tally: &Tally,
    ) -> Result<(Answer, Read), NoPage> {
        let read = |body: &[u8]| {
            self.at_hand
                .read(dataset, body)
                .map_err(|error| error.to_string())
        };
        let page = self
            .client
            .page(ask, retryable, &self.budget, sent, tally, read)
            .await;
        page.map_err(NoPage::Ask)
    }

    pub(super) async fn keep(
        self: &Arc<Self>,
        dataset: Dataset,
        mut header: PageHeader,
        answer: Answer,
        read: Read,
    ) -> Result<Page, NoPage> {
        header.asked_at = answer.asked_at;
        let endpoint = Arc::clone(self);
        let kept = tokio::task::spawn_blocking(move || {
            let (mut header, mut body, mut read) = (header, answer.body, read);
            if let Some((rest, gone)) = endpoint.stripped(dataset, &body)? {
                let again = endpoint.at_hand.read(dataset, &rest);
                read = again
                    .map_err(|error| Error::Internal(format!("a page cannot be read twice: {error}")))?;
                (header.erased, body) = (gone, rest);
            }
            let header = endpoint.spool.append(header, &body)?;
            let peek = endpoint.at_hand.hold(header.sequence, read);
            Ok(Page { header, peek })
        });
        let kept = kept
            .await
            .unwrap_or_else(|error| Err(Error::Internal(format!("the spool ended: {error}"))));
        kept.map_err(NoPage::Keep)
    }

    /// A page without what was erased, and how much that is; `None` where nothing of it was.
    fn stripped(&self, dataset: Dataset, body: &[u8]) -> Result<Option<(Vec<u8>, u64)>> {
        let Some(erased) = &self.erased else {
            return Ok(None);
        };
        dataset::strip(dataset, body, |id| erased.has(id))
            .map_err(|error| Error::Internal(format!("a page cannot be read twice: {error}")))
    }
}
