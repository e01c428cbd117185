//! Limits the memory of response bodies over all requests of a client.
//!
//! A body counts from its first byte until it is dropped. Above the limit only the oldest body grows, so that one
//! body can always be completed. The maximum is the limit, plus one body, plus one chunk of each other body.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The state that all bodies share.
#[derive(Debug)]
pub(super) struct BodyMemory {
    bound: u64,
    bodies: Mutex<Bodies>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Bodies {
    /// Bytes of each body by its number. The oldest body has the smallest number.
    sizes: BTreeMap<u64, u64>,
    next: u64,
    total: u64,
    #[cfg(test)]
    most: u64,
}

impl BodyMemory {
    pub(super) fn new(bound: u64) -> Arc<Self> {
        Arc::new(Self {
            bound,
            bodies: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Begins a body.
    pub(super) fn body(self: &Arc<Self>) -> BodyReservation {
        let mut bodies = self.bodies();
        let number = bodies.next;
        bodies.next += 1;
        bodies.sizes.insert(number, 0);
        BodyReservation {
            memory: Arc::clone(self),
            number,
        }
    }

    /// Returns the maximum number of bytes in memory so far.
    #[cfg(test)]
    pub(super) fn most(&self) -> u64 {
        self.bodies().most
    }

    fn bodies(&self) -> MutexGuard<'_, Bodies> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory of one body, released when it is dropped.
#[derive(Debug)]
pub(super) struct BodyReservation {
    memory: Arc<BodyMemory>,
    number: u64,
}

impl BodyReservation {
    /// Waits until the body may grow.
    pub(super) async fn wait_for_room(&self) {
        loop {
            let changed = self.memory.changed.notified();
            tokio::pin!(changed);
            // registered before the check, so that no change is missed
            changed.as_mut().enable();
            if self.may_grow() {
                return;
            }
            changed.await;
        }
    }

    fn may_grow(&self) -> bool {
        let bodies = self.memory.bodies();
        let oldest = bodies.sizes.first_key_value().map(|(number, _)| *number);
        bodies.total < self.memory.bound || oldest == Some(self.number)
    }

    /// Adds received bytes.
    pub(super) fn grow(&self, bytes: usize) {
        let bytes = bytes as u64;
        let mut bodies = self.memory.bodies();
        bodies.total += bytes;
        if let Some(size) = bodies.sizes.get_mut(&self.number) {
            *size += bytes;
        }
        #[cfg(test)]
        {
            bodies.most = bodies.most.max(bodies.total);
        }
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        let mut bodies = self.memory.bodies();
        if let Some(size) = bodies.sizes.remove(&self.number) {
            bodies.total -= size;
        }
        drop(bodies);
        self.memory.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn invariant_6_no_more_is_held_than_the_bound_and_one_body() {
        let memory = BodyMemory::new(1000);
        let reader = async |number: u64| {
            for body in 0..10 {
                sleep(Duration::from_millis((number + body) * 7 % 40)).await;
                let held = memory.body();
                for _ in 0..20 {
                    held.wait_for_room().await;
                    sleep(Duration::from_millis(number % 5)).await;
                    held.grow(30);
                }
                // the spool still uses it
                sleep(Duration::from_millis(10)).await;
            }
        };
        let all = join_all((0..20).map(reader));
        timeout(Duration::from_secs(600), all)
            .await
            .expect("nobody waits for ever");
        let bodies = memory.bodies();
        assert!(
            (1000..=1000 + 600 + 19 * 30).contains(&bodies.most),
            "{}",
            bodies.most
        );
        assert_eq!((bodies.total, bodies.sizes.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn above_the_bound_only_the_oldest_body_grows_until_it_is_let_go() {
        let memory = BodyMemory::new(10);
        let (first, second, third) = (memory.body(), memory.body(), memory.body());
        second.grow(10);
        let on_retry = async |held: &BodyReservation| {
            timeout(Duration::from_secs(1), held.wait_for_room())
                .await
                .is_err()
        };
        assert!(!on_retry(&first).await && on_retry(&second).await && on_retry(&third).await);
        // completed, but not dropped
        first.grow(5);
        assert!(on_retry(&second).await && on_retry(&third).await);
        drop(first);
        assert!(!on_retry(&second).await && on_retry(&third).await);
        let begin = Instant::now();
        tokio::join!(third.wait_for_room(), async {
            sleep(Duration::from_millis(300)).await;
            drop(second);
        });
        assert_eq!(begin.elapsed(), Duration::from_millis(300));
    }
}
