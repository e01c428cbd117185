//! The lease of a table on an object store: who may write.
//!
//! A lease makes waiting and takeover orderly; it is no lock. A writer that was stopped for long may go on after another one has
//! taken over. So each takeover has a greater epoch, and **the new holder first writes a commit with its epoch**: the
//! next number of the old holder is then taken, and it stops.
//!
//! No clocks of two machines are compared. Who wants the lease watches the version of its object, and takes over when it
//! did not change for [`EXPIRY`] by the own monotonic clock. The object is never removed, so that epochs only grow.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::port::{Condition, Store, Version, Written};
use crate::error::{Error, Result};

/// How often the holder renews the lease.
pub const RENEWAL: Duration = Duration::from_secs(20);
/// How long a lease is watched without a change before it is taken over.
pub const EXPIRY: Duration = Duration::from_secs(60);
/// How often a lease is looked at while it is watched.
const LOOK: Duration = Duration::from_secs(5);

/// The content of the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// A random id of the process that has it; none after a release.
    pub owner: Option<String>,
    /// The process and its machine, for messages.
    pub holder: String,
    /// Grows with each takeover.
    pub epoch: u64,
    /// Grows with each renewal, so that the bytes of each write are different.
    pub beat: u64,
}

/// An attempt to get the lease. It has no clock and does no I/O: times are those of any monotonic clock.
#[derive(Debug)]
pub struct Claim {
    owner: String,
    holder: String,
    /// The version that was seen, and since when.
    watched: Option<(Version, Duration)>,
}

/// What to do next to get the lease.
#[derive(Clone, Debug)]
pub enum Step {
    /// Write this under this condition. Success means to have the lease.
    Write(Lease, Condition),
    /// Look again after this time.
    Look(Duration),
}

impl Claim {
    /// The beginning. `owner` must be different for each process.
    #[must_use]
    pub fn new(owner: &str, holder: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            holder: holder.to_owned(),
            watched: None,
        }
    }

    /// What to do at the time `now`, when the object was found in this state.
    pub fn step(&mut self, now: Duration, found: Option<&(Lease, Version)>) -> Step {
        let Some((lease, version)) = found else {
            return Step::Write(self.lease(1), Condition::Absent);
        };
        let next = Step::Write(self.lease(lease.epoch + 1), Condition::Is(version.clone()));
        if lease.owner.is_none() {
            return next;
        }
        match &self.watched {
            Some((watched, since)) if watched.is(version) => {
                match EXPIRY.checked_sub(now.saturating_sub(*since)) {
                    None | Some(Duration::ZERO) => next,
                    Some(left) => Step::Look(left.min(LOOK)),
                }
            }
            _ => {
                self.watched = Some((version.clone(), now));
                Step::Look(LOOK)
            }
        }
    }

    fn lease(&self, epoch: u64) -> Lease {
        Lease {
            owner: Some(self.owner.clone()),
            holder: self.holder.clone(),
            epoch,
            beat: 0,
        }
    }
}

/// A lease that this process has.
#[derive(Clone, Debug)]
pub struct Held {
    lease: Lease,
    version: Version,
    /// When the last successful write began.
    since: Duration,
}

impl Held {
    /// The epoch, for commits.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.lease.epoch
    }

    /// Whether it is time to renew it.
    #[must_use]
    pub fn is_due(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= RENEWAL
    }

    /// Whether another process may have taken it over. Until then, none has, as long as clocks run equally fast.
    #[must_use]
    pub fn is_expired(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= EXPIRY
    }

    /// The next content. After an error it is the same again, so that a write whose answer was lost is recognised.
    fn next(&self) -> Lease {
        Lease {
            beat: self.lease.beat + 1,
            ..self.lease.clone()
        }
    }
}

/// Gets the lease at `key`. Where another process has it, `wait` is called with it and a time to wait; it may return an
/// error to give up.
///
/// # Errors
/// Those of the store and of `wait`.
pub fn acquire(
    store: &dyn Store,
    key: &str,
    mut claim: Claim,
    clock: &dyn Fn() -> Duration,
    mut wait: impl FnMut(&Lease, Duration) -> Result<()>,
) -> Result<Held> {
    loop {
        let found = match store.get(key)? {
            Some((bytes, version)) => Some((read(store, key, &bytes)?, version)),
            None => None,
        };
        let since = clock();
        match (claim.step(since, found.as_ref()), &found) {
            (Step::Write(lease, condition), _) => {
                let written = match condition {
                    Condition::Absent => store.put_new(key, content(&lease)?)?,
                    Condition::Is(version) => store.replace(key, content(&lease)?, &version)?,
                };
                if let Written::Done(version) = written {
                    return Ok(Held {
                        lease,
                        version,
                        since,
                    });
                }
            }
            (Step::Look(pause), Some((lease, _))) => wait(lease, pause)?,
            (Step::Look(_), None) => {}
        }
    }
}

/// Renews the lease. `false` where another process has taken it over: then nothing may be written any more.
///
/// # Errors
/// Those of the store. The lease is then as old as before; try again before it expires.
pub fn renew(store: &dyn Store, key: &str, held: &mut Held, clock: &dyn Fn() -> Duration) -> Result<bool> {
    let (since, lease) = (clock(), held.next());
    match store.replace(key, content(&lease)?, &held.version)? {
        Written::Done(version) => {
            *held = Held {
                lease,
                version,
                since,
            };
            Ok(true)
        }
        Written::Lost => Ok(false),
    }
}

/// Gives the lease back, so that the next process need not watch it. One that was taken over stays with its holder.
///
/// # Errors
/// Those of the store.
pub fn release(store: &dyn Store, key: &str, held: Held) -> Result<()> {
    let lease = Lease {
        owner: None,
        ..held.next()
    };
    let _taken_over_or_not = store.replace(key, content(&lease)?, &held.version)?;
    Ok(())
}

fn content(lease: &Lease) -> Result<Bytes> {
    let json = serde_json::to_vec(lease).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(json.into())
}

fn read(store: &dyn Store, key: &str, bytes: &[u8]) -> Result<Lease> {
    serde_json::from_slice(bytes).map_err(|error| Error::Damaged {
        path: format!("{}/{key}", store.place()).into(),
        what: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
