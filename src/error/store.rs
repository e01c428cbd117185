//! Errors of object stores.

use super::{Error, Severity};

/// An object store refused an operation, or did not answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {place}: {reason}")]
#[non_exhaustive]
pub struct StoreError {
    /// The operation, as a verb.
    pub doing: &'static str,
    /// The object or the store, as a URL without credentials.
    pub place: String,
    /// What the store answered, or what is wrong with it.
    pub reason: String,
    /// The kind of the reason.
    pub failure: StoreFailure,
    /// What to do, where that depends on more than the kind.
    pub(crate) own_hint: Option<&'static str>,
}

impl StoreError {
    /// What the user can do about it.
    pub(super) fn hint(&self) -> &'static str {
        self.own_hint.unwrap_or_else(|| self.failure.hint())
    }

    pub(super) fn severity(&self) -> Severity {
        match self.failure {
            StoreFailure::Unavailable | StoreFailure::Interrupted | StoreFailure::Changed => {
                Severity::Incomplete
            }
            _ => Severity::Failed,
        }
    }
}

impl Error {
    /// Creates an error of a store.
    pub(crate) fn store(
        doing: &'static str,
        place: impl Into<String>,
        failure: StoreFailure,
        reason: impl Into<String>,
    ) -> Self {
        Self::Store(StoreError {
            doing,
            place: place.into(),
            reason: reason.into(),
            failure,
            own_hint: None,
        })
    }

    /// The kind of an error of a store.
    pub(crate) fn store_failure(&self) -> Option<StoreFailure> {
        match self {
            Self::Store(error) => Some(error.failure),
            _ => None,
        }
    }

    /// Whether a store did not answer, or could not serve the request, which it may have done nevertheless.
    pub(crate) fn is_unavailable(&self) -> bool {
        matches!(
            self.store_failure(),
            Some(StoreFailure::Unavailable | StoreFailure::Interrupted)
        )
    }
}

/// Why an object store refused an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFailure {
    /// No credentials were found.
    NoCredentials,
    /// The credentials are wrong or expired.
    BadCredentials,
    /// The credentials do not permit this.
    Denied,
    /// The bucket or container does not exist.
    NoBucket,
    /// The bucket is in another region.
    WrongRegion,
    /// The store did not answer, or answered that it cannot serve the request now. The operation may have been done.
    Unavailable,
    /// The connection ended within an answer. The operation may have been done.
    Interrupted,
    /// The object changed while it was read.
    Changed,
    /// The store ignores the conditions of writes, so that two writers could overwrite each other.
    NoConditions,
    /// Anything else.
    Other,
}

impl StoreFailure {
    /// What the user can do about it.
    fn hint(self) -> &'static str {
        match self {
            Self::NoCredentials => "set the credentials of the store in the environment",
            Self::BadCredentials => "renew the credentials of the store",
            Self::Denied => {
                "permit to read, write, list and delete objects there; without the permission to list, a store \
                 reports a missing object as forbidden"
            }
            Self::NoBucket => "create the bucket, or correct its name",
            Self::WrongRegion => "set AWS_REGION to the region of the bucket",
            Self::Unavailable | Self::Interrupted => {
                "check the network and the address of the store, then run the same command again, which continues"
            }
            Self::Changed => {
                "run the same command again, and make sure that nothing else writes to this table"
            }
            Self::NoConditions => {
                "use a store that supports conditional writes (If-None-Match and If-Match), or a local folder"
            }
            Self::Other => "check the store, then run the same command again",
        }
    }
}
