//! What is done after a request that failed.

use super::Fetch;
use crate::api::RequestError;
use crate::plan::{PageRequest, PlanError};
use crate::window::Window;

impl Fetch {
    /// Lets the planner adapt to a request that failed.
    ///
    /// # Errors
    /// The failure itself, where no other request can take its place.
    pub(super) fn adapt(
        &mut self,
        request: &PageRequest,
        error: RequestError,
        cause: &mut String,
    ) -> Result<Result<(), PlanError>, (Window, RequestError)> {
        match error {
            RequestError::CursorDied { failure } => {
                tracing::info!("{failure}; the window starts again");
                *cause = format!("; at last {failure}");
                Ok(self.planner.cursor_died(request))
            }
            RequestError::Lost { failure } => {
                tracing::info!("{failure}; the window starts again");
                *cause = format!("; at last {failure}");
                Ok(self.planner.lost(request))
            }
            RequestError::PageTooHeavy { failure } => {
                match self.planner.page_too_heavy(request, failure.is_a_heavy_page()) {
                    Some(size) => {
                        tracing::warn!("{failure}; requesting pages of {size} records");
                    }
                    None => tracing::info!("{failure}; requesting the page again"),
                }
                Ok(Ok(()))
            }
            RequestError::Failed { failure } if failure.may_be_a_refused_range() => {
                let shorter = self.planner.range_refused(request);
                // where no range is served the first refusal says why
                let first = self
                    .refused
                    .get_or_insert_with(|| (request.asked, failure.clone()));
                if !shorter {
                    let (window, failure) = first.clone();
                    return Err((window, RequestError::Failed { failure }));
                }
                tracing::info!(window = %request.asked, "{failure}; requesting shorter ranges");
                Ok(Ok(()))
            }
            error => Err((request.asked, error)),
        }
    }
}
