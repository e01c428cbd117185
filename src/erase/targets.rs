//! The conversations that an erasure removes.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::dataset::names_any;
use crate::tombstones::Tombstones;

/// The conversations to remove, by id or by tombstone. Collects which of the ids are found.
pub(super) struct Targets<'a> {
    kind: TargetKind<'a>,
    found: Mutex<HashSet<&'a str>>,
}

enum TargetKind<'a> {
    Ids(HashSet<&'a str>),
    Tombstones(&'a Tombstones),
}

impl<'a> Targets<'a> {
    pub(super) fn of_ids(ids: &'a [String]) -> Self {
        Self {
            kind: TargetKind::Ids(ids.iter().map(String::as_str).collect()),
            found: Mutex::default(),
        }
    }

    pub(super) fn of_tombstones(tombstones: &'a Tombstones) -> Self {
        Self {
            kind: TargetKind::Tombstones(tombstones),
            found: Mutex::default(),
        }
    }

    /// Whether this is the id of a target.
    pub(super) fn contains(&self, id: &str) -> bool {
        match &self.kind {
            TargetKind::Ids(ids) => ids.get(id).is_some_and(|id| self.mark_found(id)),
            TargetKind::Tombstones(tombstones) => tombstones.contains(id),
        }
    }

    /// Whether the bytes contain an id of a target. Always false for tombstones, which have no ids.
    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        let TargetKind::Ids(ids) = &self.kind else {
            return false;
        };
        let contained = ids
            .iter()
            .filter(|id| memchr::memmem::find(bytes, id.as_bytes()).is_some());
        // every id counts as found, not only the first
        contained.filter(|id| self.mark_found(id)).count() > 0
    }

    /// Whether a record in JSON names a target anywhere.
    pub(super) fn is_named_in(&self, record: &str) -> bool {
        self.is_in(record.as_bytes()) || names_any(record, |id| self.contains(id))
    }

    /// The ids that were found.
    pub(super) fn into_found(self) -> HashSet<&'a str> {
        self.found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark_found(&self, id: &'a str) -> bool {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.insert(id);
        true
    }
}
