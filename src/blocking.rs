//! Work that reads or writes files, or that computes for long, on the blocking threads of the runtime: a runtime may have
//! one thread alone for all its tasks, and those of an embedder run there, too.

use crate::error::{Error, Result};

/// Runs `work` on a blocking thread. Where the future is dropped, work that has begun goes on to its end.
///
/// # Errors
/// Those of the work, and [`Error::Internal`] where it panics.
pub(crate) async fn run<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::Internal(format!("{name} ended: {error}"))))
}
