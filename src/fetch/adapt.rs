//! Adapts to failed requests.

use super::Fetch;
use crate::api::RequestError;
use crate::plan::{PageRequest, PlanError};
use crate::window::Window;

impl Fetch {
    /// Reports a failed request to the planner, so that it adapts.
    ///
    /// # Errors
    /// The failure, if no other request can replace the failed one.
    pub(super) fn adapt(
        &mut self,
        request: &PageRequest,
        error: RequestError,
        cause: &mut String,
    ) -> Result<Result<(), PlanError>, (Window, RequestError)> {
        match error {
            RequestError::CursorExpired { failure } => {
                tracing::info!("{failure}; the window starts again");
                *cause = format!("; at last {failure}");
                Ok(self.planner.cursor_expired(request))
            }
            RequestError::ResponseLost { failure } => {
                tracing::info!("{failure}; the window starts again");
                *cause = format!("; at last {failure}");
                Ok(self.planner.response_lost(request))
            }
            RequestError::PageTooLarge { failure } => {
                match self.planner.page_too_large(request, failure.is_page_too_large()) {
                    Some(size) => {
                        tracing::warn!("{failure}; requesting pages of {size} records");
                    }
                    None => tracing::info!("{failure}; requesting the page again"),
                }
                Ok(Ok(()))
            }
            RequestError::Failed { failure } if failure.may_be_refused_range() => {
                let shorter = self.planner.range_refused(request);
                // if no range is served, the first refusal shows the reason
                let first = self
                    .refused
                    .get_or_insert_with(|| (request.requested, failure.clone()));
                if !shorter {
                    let (window, failure) = first.clone();
                    return Err((window, RequestError::Failed { failure }));
                }
                tracing::info!(window = %request.requested, "{failure}; requesting shorter ranges");
                Ok(Ok(()))
            }
            error => Err((request.requested, error)),
        }
    }
}
