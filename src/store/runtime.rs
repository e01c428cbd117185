//! One background thread on which the requests to object stores run.
//!
//! It makes the port independent of the runtime of its caller, which may have one thread, be of another kind, or not exist.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

/// Runs a future on the background thread and waits for its result, at most for `limit`. `None` where it did not end in
/// time, or the thread could not be started; the future is then dropped.
pub(super) fn run<T: Send + 'static>(
    limit: Duration,
    future: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    handle()?.spawn(async move {
        let result = tokio::time::timeout(limit, future).await.ok();
        // the caller waits for it
        let _ = sender.send(result);
    });
    // the channel ends also if the future panics
    receiver.recv().ok().flatten()
}

fn handle() -> Option<&'static Handle> {
    static HANDLE: OnceLock<Option<Handle>> = OnceLock::new();
    HANDLE.get_or_init(start).as_ref()
}

fn start() -> Option<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("object-store".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))
        .ok()?;
    Some(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_from_any_thread_and_in_time() {
        let limit = Duration::from_secs(5);
        assert_eq!(run(limit, async { 1 }), Some(1));
        // on the thread of another runtime, too
        let other = Builder::new_current_thread().build().unwrap();
        assert_eq!(other.block_on(async { run(limit, async { 2 }) }), Some(2));
        let never = run(Duration::from_millis(10), std::future::pending::<()>());
        assert_eq!(never, None);
        assert_eq!(run::<()>(limit, async { panic!("a test panics") }), None);
        assert_eq!(run(limit, async { 3 }), Some(3), "the thread goes on");
    }
}
