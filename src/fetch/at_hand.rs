//! Pages at hand: rows are made of a page when it comes, where there is room for them, so that it need be read but once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::dataset::{Dataset, Decoded, PageError, Peek, peek};

/// Bytes of pages that are at hand at most, by the length of their bodies.
const MOST: usize = 64 * 1024 * 1024;
/// Room is counted in portions of so many bytes.
const PORTION: usize = 1024;

/// Makes rows of a page; none where it is none.
type Decode = dyn Fn(Dataset, &[u8]) -> Option<Decoded> + Send + Sync;

/// Rows of pages that no partition has yet, by the numbers of the pages.
#[derive(Default)]
pub struct AtHand {
    /// How rows are made, and the room that there is for them.
    decode: Option<(Box<Decode>, Arc<Semaphore>)>,
    pages: Mutex<HashMap<u64, Arc<Held>>>,
}

/// A page that was read, with its rows where there was room for them.
#[derive(Debug)]
pub(crate) struct Read {
    /// What one look at it tells.
    pub(crate) peek: Peek,
    held: Option<Held>,
}

/// The rows of a page, and the room that they take.
#[derive(Debug)]
struct Held {
    rows: Decoded,
    _room: OwnedSemaphorePermit,
}

impl AtHand {
    /// Pages whose rows are made like this.
    pub(crate) fn new(decode: impl Fn(Dataset, &[u8]) -> Option<Decoded> + Send + Sync + 'static) -> Self {
        Self {
            decode: Some((Box::new(decode), Arc::new(Semaphore::new(MOST / PORTION)))),
            pages: Mutex::default(),
        }
    }

    /// Reads the body of an answer.
    pub(crate) fn read(&self, dataset: Dataset, body: &[u8]) -> Result<Read, PageError> {
        let decode = self.decode.as_ref();
        let held = decode.and_then(|(decode, room)| {
            let portions = u32::try_from(body.len() / PORTION + 1).ok()?;
            let room = Arc::clone(room).try_acquire_many_owned(portions).ok()?;
            let rows = decode(dataset, body)?;
            Some(Held { rows, _room: room })
        });
        let peek = match &held {
            Some(held) => held.rows.peek(dataset),
            None => peek(dataset, body)?,
        };
        Ok(Read { peek, held })
    }

    /// Holds what was read, now that it has a number.
    pub(crate) fn hold(&self, sequence: u64, read: Read) -> Peek {
        if let Some(held) = read.held {
            self.with(|pages| pages.insert(sequence, Arc::new(held)));
        }
        read.peek
    }

    /// The rows of a page, where they are at hand.
    pub(crate) fn get(&self, sequence: u64) -> Option<Decoded> {
        let held = self.with(|pages| pages.get(&sequence).cloned());
        held.map(|held| held.rows.clone())
    }

    /// One look at a page whose rows are at hand.
    pub(crate) fn peek(&self, dataset: Dataset, sequence: u64) -> Option<Peek> {
        let held = self.with(|pages| pages.get(&sequence).cloned());
        held.map(|held| held.rows.peek(dataset))
    }

    /// Lets go of a page.
    pub(crate) fn forget(&self, sequence: u64) {
        self.with(|pages| pages.remove(&sequence));
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<u64, Arc<Held>>) -> T) -> T {
        act(&mut self.pages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for AtHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages = self.with(|pages| pages.len());
        f.debug_struct("AtHand")
            .field("pages", &pages)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::decode;

    fn body(id: u32, bytes: usize) -> Vec<u8> {
        let text = "x".repeat(bytes);
        format!(r#"{{"data":[{{"_id":{id},"locale":"{text}"}}],"cursor":null}}"#).into_bytes()
    }

    #[test]
    fn invariant_6_rows_are_at_hand_as_far_as_there_is_room() {
        let at_hand = AtHand::new(|dataset, body| decode(dataset, body).ok());
        let dataset = Dataset::Conversations;
        for sequence in 0..5 {
            let read = at_hand.read(dataset, &body(7, MOST / 3)).unwrap();
            assert_eq!(read.peek, peek(dataset, &body(7, 1)).unwrap());
            at_hand.hold(sequence, read);
        }
        let held = || -> Vec<u64> { (0..9).filter(|number| at_hand.get(*number).is_some()).collect() };
        assert_eq!(held(), [0, 1]);
        assert_eq!(at_hand.get(1).unwrap().batch.num_rows(), 1);
        assert_eq!(
            at_hand.peek(dataset, 1),
            Some(peek(dataset, &body(7, 1)).unwrap())
        );
        at_hand.forget(0);
        let read = at_hand.read(dataset, &body(8, MOST / 3)).unwrap();
        // one that is never held gives its room back
        drop(at_hand.read(dataset, &body(8, MOST / 3)));
        at_hand.hold(6, read);
        let read = at_hand.read(dataset, &body(8, MOST / 4)).unwrap();
        at_hand.hold(7, read);
        assert_eq!(held(), [1, 6, 7]);
        assert!(at_hand.read(dataset, b"{}").is_err());
    }

    #[test]
    fn without_a_way_to_make_rows_pages_are_looked_at() {
        let at_hand = AtHand::default();
        let read = at_hand.read(Dataset::Conversations, &body(1, 1)).unwrap();
        assert_eq!(at_hand.hold(0, read).records.len(), 1);
        assert!(at_hand.get(0).is_none());
    }
}
