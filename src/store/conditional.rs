//! The one function for conditional writes, whose answers are ambiguous.
//!
//! A write that the server did, but whose answer was lost, is repeated by the client and then refused: the object is there.
//! A status of 409 is refused although nothing was written. So after anything but a clean success the object is read.

use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::port::{Condition, Store, Written};
use crate::error::{Error, Result, StoreFailure};

/// The maximum number of attempts. The pauses between them take 1.6 s together.
const ATTEMPTS: u32 = 6;
/// No attempt begins after this time: an object store repeats each request for long.
const LIMIT: Duration = Duration::from_secs(30);
/// The first pause; each one is twice the one before.
const PAUSE: Duration = Duration::from_millis(50);

/// Writes `bytes` if the condition is true, and finds out whether that happened.
///
/// # Errors
/// If the store cannot be read or written, or refuses again and again although the condition is true.
pub(super) fn put<S: Store + ?Sized>(
    store: &S,
    key: &str,
    bytes: &Bytes,
    condition: &Condition,
) -> Result<Written> {
    let (began, mut last) = (Instant::now(), None);
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            if began.elapsed() > LIMIT {
                break;
            }
            thread::sleep(PAUSE * 2u32.pow(attempt - 1));
        }
        match store.put_if(key, bytes.clone(), condition) {
            Ok(Some(version)) => return Ok(Written::Done(version)),
            Ok(None) => {}
            // with any other error the store may still have done it
            Err(error) if !error.is_unavailable() => return Err(error),
            Err(error) => last = Some(error),
        }
        match store.get(key) {
            Ok(Some((found, version))) if found == *bytes => return Ok(Written::Done(version)),
            Ok(Some((_, version))) => match condition {
                Condition::Is(expected) if version.is(expected) => {}
                _ => return Ok(Written::Lost),
            },
            Ok(None) => match condition {
                Condition::Absent => {}
                Condition::Is(_) => return Ok(Written::Lost),
            },
            // an attempt with the condition is harmless, whatever is there
            Err(error) if error.is_unavailable() => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        Error::store(
            "write",
            format!("{}/{key}", store.place()),
            StoreFailure::Unavailable,
            "the store refuses it again and again, although the condition of the write is true",
        )
    }))
}
