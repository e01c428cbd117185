//! Runs file operations and long computations on blocking threads. The runtime may have only one thread, which also
//! runs the tasks of an embedder.

use crate::error::{Error, Result};

/// Runs `work` on a blocking thread. If the future is dropped, work that has begun continues.
///
/// # Errors
/// Those of the work, and [`Error::Internal`] if it panics.
pub(crate) async fn run<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::Internal(format!("{name} ended: {error}"))))
}
