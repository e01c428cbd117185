//! The errors of the library, each with a hint and a severity.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::api::{Failure, RequestError};
use crate::dataset::{PrivacyError, TableOptionsError};

mod store;

pub use store::{StoreError, StoreFailure};

/// The result type of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of a [`Sink`](crate::Sink).
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// An error. Its text says what failed, its sources say why, and [`Error::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The options are wrong.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What to do instead.
        hint: String,
    },
    /// The settings of the table differ from the requested ones.
    #[error("cannot use {}: its settings differ: {}", .path.display(), .differences.join("; "))]
    OtherSettings {
        /// The table's folder.
        path: PathBuf,
        /// A sentence for each difference.
        differences: Vec<String>,
    },
    /// Another run has the lock of the table.
    #[error("cannot lock {}: another run is active ({holder})", .path.display())]
    Locked {
        /// The table's folder.
        path: PathBuf,
        /// The process that has the lock.
        holder: String,
    },
    /// Another run took over the table while this one was stalled.
    #[error("cannot commit to {place}: another run has taken over the table")]
    Overtaken {
        /// The table.
        place: String,
    },
    /// A page could not be fetched.
    #[error("cannot fetch {dataset} of {bot}, {window}")]
    Fetch {
        /// Name of the dataset.
        dataset: &'static str,
        /// The bot.
        bot: String,
        /// The window of the page.
        window: String,
        /// Why.
        source: RequestError,
    },
    /// The pages of a window do not end, or contradict each other.
    #[error("cannot fetch {dataset} of {bot}: {what}")]
    Chain {
        /// Name of the dataset.
        dataset: &'static str,
        /// The bot.
        bot: String,
        /// How the pages are wrong.
        what: String,
    },
    /// The HTTP client could not be created.
    #[error("cannot prepare the connection")]
    Connection(#[source] Failure),
    /// The run was cancelled.
    #[error("the run was interrupted")]
    Interrupted,
    /// The system refused an operation on a file or folder.
    #[error("cannot {doing} {}", .path.display())]
    Io {
        /// The operation, as a verb.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// An object store refused an operation, or did not answer.
    #[error(transparent)]
    Store(StoreError),
    /// A Parquet file cannot be read or written.
    #[error("cannot {doing} {}", .path.display())]
    Parquet {
        /// The operation, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// A file of the table is damaged.
    #[error("{} is damaged: {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Record batches could not be built.
    #[error("cannot build record batches")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A sink of the embedding program failed.
    #[error("cannot deliver a partition: {0}")]
    Sink(#[source] SinkError),
    /// A bug in this program.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<TableOptionsError> for Error {
    fn from(error: TableOptionsError) -> Self {
        Self::Usage {
            what: error.what,
            hint: error.hint,
        }
    }
}

impl From<PrivacyError> for Error {
    fn from(error: PrivacyError) -> Self {
        let hint = match error {
            PrivacyError::NoSecret => "set CONVERSE_EXPORT_HASH_SECRET, or name a file with the secret",
            PrivacyError::OtherSecret => {
                "use the secret of the table's first run: with another one, a value would have two hashes"
            }
        };
        Self::Usage {
            what: error.to_string(),
            hint: hint.into(),
        }
    }
}

/// What the user has to do after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Change the options.
    Usage,
    /// Resolve the problem.
    Failed,
    /// Run the same command again, which continues.
    Incomplete,
    /// The run was cancelled; the same command continues.
    Interrupted,
}

impl Error {
    /// Creates an I/O error, for use in `map_err`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    /// Creates an error of a Parquet file, for use in `map_err`. An I/O error inside becomes [`Error::Io`].
    pub(crate) fn parquet(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(parquet::errors::ParquetError) -> Self {
        move |source| match source {
            parquet::errors::ParquetError::External(inner) if inner.is::<io::Error>() => {
                let source = inner
                    .downcast::<io::Error>()
                    .map_or_else(|_| io::Error::other("?"), |error| *error);
                Self::Io {
                    doing,
                    path: path.to_owned(),
                    source,
                }
            }
            source => Self::Parquet {
                doing,
                path: path.to_owned(),
                source,
            },
        }
    }

    /// Whether the system denied access.
    pub(crate) fn is_denied(&self) -> bool {
        self.is_io(io::ErrorKind::PermissionDenied)
    }

    /// Whether a file or folder was not found; a concurrent run may have replaced it.
    pub(crate) fn is_not_found(&self) -> bool {
        self.is_io(io::ErrorKind::NotFound)
    }

    fn is_io(&self, kind: io::ErrorKind) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == kind)
    }

    /// The texts of its causes, the nearest first, without repetitions.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut seen = self.to_string();
        let mut cause = self.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !seen.contains(&text) {
                seen.push_str(&text);
                causes.push(text);
            }
            cause = inner.source();
        }
        causes
    }

    /// Its text and those of its causes on one line.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let texts = std::iter::once(self.to_string()).chain(self.causes());
        texts.collect::<Vec<_>>().join(": ")
    }

    /// What the user has to do.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Usage { .. } | Self::OtherSettings { .. } => Severity::Usage,
            Self::Locked { .. }
            | Self::Overtaken { .. }
            | Self::Fetch {
                source: RequestError::GaveUp { .. } | RequestError::MustWait { .. },
                ..
            } => Severity::Incomplete,
            Self::Fetch {
                source: RequestError::PageTooLarge { failure },
                ..
            } if failure.is_transient() => Severity::Incomplete,
            Self::Store(error) => error.severity(),
            Self::Interrupted => Severity::Interrupted,
            _ => Severity::Failed,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Usage { hint, .. } => hint.clone(),
            Self::OtherSettings { .. } => {
                "use the table's own settings or another folder, or change the table with `converse-export rebuild`".into()
            }
            Self::Locked { .. } => "wait for it to end, or use another folder".into(),
            Self::Overtaken { .. } => "wait for the other run to end; what this run fetched is kept".into(),
            Self::Fetch { source, .. } => match source {
                RequestError::MustWait { .. } => {
                    "run the same command again after that time: fetched pages are kept. Another job may use the same key".into()
                }
                RequestError::Failed { failure }
                | RequestError::GaveUp { failure, .. }
                | RequestError::CursorExpired { failure }
                | RequestError::PageTooLarge { failure }
                | RequestError::ResponseLost { failure } => failure.hint().into(),
            },
            Self::Connection(failure) => failure.hint().into(),
            Self::Chain { .. } => {
                "run the same command again; the window is not called complete. If the error remains, report it to the vendor".into()
            }
            Self::Interrupted => "run the same command again: fetched pages are kept".into(),
            Self::Store(error) => error.hint().into(),
            Self::Io { doing: "read", source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run it as a user with read permission".into()
            }
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free disk space and run the same command again: fetched pages are kept".into()
                }
                io::ErrorKind::FileTooLarge => {
                    "raise the limit on the size of files (`ulimit -f`), or use a file system that allows larger files, and run the same command again: fetched pages are kept".into()
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "use a folder with write permission".into()
                }
                io::ErrorKind::AddrInUse => "use another port, or end the process that listens there".into(),
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                    "use another path: there is a file where a folder is needed".into()
                }
                _ => "check the disk, then run the same command again".into(),
            },
            Self::Damaged { path, .. } if path.ends_with("_export/table.json") => {
                "move this file away and export with the table's own settings, which writes it again".into()
            }
            Self::Parquet { .. } | Self::Damaged { .. } => {
                "run the export of its days again, which repairs the table as far as the API still has the records".into()
            }
            Self::Sink(_) => "deliver again after the cause is removed".into(),
            Self::Arrow(_) | Self::Internal(_) => "please report this message as a bug".into(),
        }
    }
}
