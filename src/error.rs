//! What can go wrong, by meaning, and what to do about it.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::api::{Failure, RequestError};
use crate::dataset::{PrivacyError, ShapeError};

/// The library's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done. Its text says what failed; its sources say why; [`Error::hint`] says what
/// to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was asked for makes no sense.
    #[error("{what}")]
    Usage {
        /// What does not fit.
        what: String,
        /// What would.
        hint: String,
    },
    /// The table was made with other settings.
    #[error("{} was made with other settings: {}", .path.display(), .differences.join("; "))]
    OtherSettings {
        /// The table's folder.
        path: PathBuf,
        /// A sentence for each difference.
        differences: Vec<String>,
    },
    /// Another run is working on the table.
    #[error("another run is working on {} ({holder})", .path.display())]
    Locked {
        /// The table's folder.
        path: PathBuf,
        /// Who holds the lock.
        holder: String,
    },
    /// The API did not give a page.
    #[error("could not fetch {dataset} of {bot}, {window}")]
    Fetch {
        /// Name of the dataset.
        dataset: &'static str,
        /// The bot.
        bot: String,
        /// The window that was being read.
        window: String,
        /// Why.
        source: RequestError,
    },
    /// The API's pages do not lead to an end, or cannot be trusted to.
    #[error("could not fetch {dataset} of {bot}: {what}")]
    Chain {
        /// Name of the dataset.
        dataset: &'static str,
        /// The bot.
        bot: String,
        /// What the pages did.
        what: String,
    },
    /// No connection could even be prepared.
    #[error("could not prepare the connection")]
    Connection(#[source] Failure),
    /// The run was told to stop.
    #[error("stopped before the end")]
    Interrupted,
    /// The system refused a file or folder.
    #[error("cannot {doing} {}", .path.display())]
    Io {
        /// What was being done to it, as a verb.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A file of the table cannot be read or made as Parquet.
    #[error("cannot {doing} {}", .path.display())]
    Parquet {
        /// What was being done to it, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// One of the exporter's own files does not hold what it should.
    #[error("{} is damaged: {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Record batches could not be put together.
    #[error("could not build record batches")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A part of the program failed in a way it should not.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<ShapeError> for Error {
    fn from(error: ShapeError) -> Self {
        Self::Usage {
            what: error.what,
            hint: error.hint,
        }
    }
}

impl From<PrivacyError> for Error {
    fn from(error: PrivacyError) -> Self {
        let hint = match error {
            PrivacyError::NoSecret => "set CONVERSE_EXPORT_HASH_SECRET, or give --hash-secret-file",
            PrivacyError::OtherSecret => {
                "give the secret of the table's first run: with another one the same value would have two hashes"
            }
        };
        Self::Usage {
            what: error.to_string(),
            hint: hint.into(),
        }
    }
}

/// What the outcome means for whoever runs the exporter again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The command has to be changed.
    Usage,
    /// A person must act.
    Failed,
    /// What was fetched is kept; the same command goes on.
    Incomplete,
    /// Told to stop; the same command goes on.
    Interrupted,
}

impl Error {
    /// Makes an error of the system's, for use in `map_err`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    /// Makes an error of a Parquet file, for use in `map_err`. A full disk is told as what it is.
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

    /// Whether the system denied access: the table belongs to another user.
    pub(crate) fn is_denied(&self) -> bool {
        self.is_io(io::ErrorKind::PermissionDenied)
    }

    /// Whether a file or folder was not found: a run may have replaced it meanwhile.
    pub(crate) fn is_not_found(&self) -> bool {
        self.is_io(io::ErrorKind::NotFound)
    }

    fn is_io(&self, kind: io::ErrorKind) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == kind)
    }

    /// The texts of its causes, the nearest first, each said once.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut said = self.to_string();
        let mut cause = self.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !said.contains(&text) {
                said.push_str(&text);
                causes.push(text);
            }
            cause = inner.source();
        }
        causes
    }

    /// Its text and those of its causes in one line.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let texts = std::iter::once(self.to_string()).chain(self.causes());
        texts.collect::<Vec<_>>().join(": ")
    }

    /// What this means for whoever runs the exporter again.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Usage { .. } | Self::OtherSettings { .. } => Severity::Usage,
            Self::Locked { .. }
            | Self::Fetch {
                source: RequestError::GaveUp { .. } | RequestError::MustWait { .. },
                ..
            } => Severity::Incomplete,
            Self::Fetch {
                source: RequestError::PageTooHeavy { failure },
                ..
            } if failure.may_heal() => Severity::Incomplete,
            Self::Interrupted => Severity::Interrupted,
            _ => Severity::Failed,
        }
    }

    /// One thing to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Usage { hint, .. } => hint.clone(),
            Self::OtherSettings { .. } => {
                "use the table's own settings, give another --out, or change the table with `converse-export rebuild`: two kinds of files in one table would mislead its readers".into()
            }
            Self::Locked { .. } => "wait for it to end, or give another --out".into(),
            Self::Fetch { source, .. } => match source {
                RequestError::MustWait { .. } => {
                    "run the same command again after that time: what was fetched is kept. Another job may be using the same key".into()
                }
                RequestError::Failed { failure }
                | RequestError::GaveUp { failure, .. }
                | RequestError::CursorDied { failure }
                | RequestError::PageTooHeavy { failure }
                | RequestError::Lost { failure } => failure.hint().into(),
            },
            Self::Connection(failure) => failure.hint().into(),
            Self::Chain { .. } => {
                "nothing of it is called complete: run the same command again, and tell the vendor if it stays".into()
            }
            Self::Interrupted => "nothing that was fetched is lost: run the same command again".into(),
            Self::Io { doing: "read", source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run it as a user who may read it".into()
            }
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "make room and run the same command again: what was fetched is kept".into()
                }
                io::ErrorKind::FileTooLarge => {
                    "raise the limit on the size of files (see `ulimit -f`), or use a file system with larger files, and run the same command again: what was fetched is kept".into()
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "give an --out that you may write to".into()
                }
                io::ErrorKind::AddrInUse => "give another --port, or end what listens there".into(),
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                    "a file stands where a folder belongs: give another path".into()
                }
                _ => "check the disk, then run the same command again".into(),
            },
            Self::Damaged { path, .. } if path.ends_with("_export/table.json") => {
                "move this file away and export with the table's own settings: that writes it anew".into()
            }
            Self::Parquet { .. } | Self::Damaged { .. } => {
                "run the export of its days again: it mends what is damaged, as far as the API still has it".into()
            }
            Self::Arrow(_) | Self::Internal(_) => "this should not happen: please report it with this message".into(),
        }
    }
}
