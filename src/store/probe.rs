//! Checks that a store obeys the conditions of writes. Some accept and ignore them, and two writers would overwrite each other.

use bytes::Bytes;

use super::port::{Condition, Store, Written};
use crate::error::{Error, Result, StoreFailure};

/// The folder of the object that is written, and removed again.
const FOLDER: &str = "_export/probe";

/// Creates an object twice and replaces a version of it twice, with different bytes: the store must refuse the second time.
/// Call it when a table is created.
///
/// # Errors
/// If the store does not refuse, or cannot be read or written.
pub fn probe(store: &dyn Store) -> Result<()> {
    let key = format!("{FOLDER}/{:032x}", rand::random::<u128>());
    let probed = conditions(store, &key);
    let removed = store.delete(&[&key]);
    probed.and(removed)
}

fn conditions(store: &dyn Store, key: &str) -> Result<()> {
    let bytes = |number: u8| Bytes::from(format!("converse-export probes conditional writes: {number}\n"));
    let ignores = |condition: &str| {
        let reason = format!("the store ignores {condition}, so that two writers could overwrite each other");
        Error::store("use", store.place(), StoreFailure::NoConditions, reason)
    };
    let Written::Done(first) = store.put_new(key, bytes(1))? else {
        return Err(Error::store(
            "use",
            store.place(),
            StoreFailure::Other,
            "the object of a probe exists",
        ));
    };
    if done(store, key, bytes(2), &Condition::Absent)? {
        return Err(ignores("the condition that an object is new"));
    }
    let Written::Done(_) = store.replace(key, bytes(3), &first)? else {
        let reason = "the store refuses to replace an object whose version did not change";
        return Err(Error::store(
            "use",
            store.place(),
            StoreFailure::NoConditions,
            reason,
        ));
    };
    if done(store, key, bytes(4), &Condition::Is(first))? {
        return Err(ignores("the condition that an object did not change"));
    }
    Ok(())
}

/// Whether the store does what it must refuse, whatever it answers.
fn done(store: &dyn Store, key: &str, bytes: Bytes, condition: &Condition) -> Result<bool> {
    match store.put_if(key, bytes.clone(), condition) {
        Err(error) if !error.is_unavailable() => return Err(error),
        _ => {}
    }
    Ok(store.get(key)?.is_none_or(|(found, _)| found == bytes))
}
