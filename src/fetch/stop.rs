//! Telling a run to stop.

use tokio::sync::watch;

/// Tells a run to stop.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Hears when the run shall stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stopper {
    /// A stopper and what hears it.
    #[must_use]
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    /// Tells it: no more requests are sent, what was answered is kept. Returns whether it was told before.
    pub fn stop(&self) -> bool {
        self.0.send_replace(true)
    }
}

impl Stop {
    /// Whether it was told.
    #[must_use]
    pub fn is_told(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is told; for ever where nobody is left to tell it.
    pub async fn told(&mut self) {
        if self.0.wait_for(|told| *told).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
