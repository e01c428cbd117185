//! Cancels a run.

use std::sync::Arc;

use tokio::sync::watch;

/// Cancels what has a clone of it: no more requests are sent, and pages that were answered are spooled.
#[derive(Clone, Debug)]
pub struct CancellationToken(Arc<watch::Sender<bool>>);

impl Default for CancellationToken {
    fn default() -> Self {
        Self::new()
    }
}

impl CancellationToken {
    /// A token that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Cancels. Returns whether it was cancelled before.
    pub fn cancel(&self) -> bool {
        self.0.send_replace(true)
    }

    /// Whether it is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is cancelled.
    pub async fn cancelled(&self) {
        // the sender lives as long as the token
        let _ = self.0.subscribe().wait_for(|cancelled| *cancelled).await;
    }
}
