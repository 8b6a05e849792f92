use std::{
    io,
    path::{Path, PathBuf},
};

use bq_mining_message::ShareSequence;

/// The log cannot be opened: the front end must not start. Every variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system refused.
    #[error("share log {}: {error}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another process has it open.
    #[error("share log {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// Another software's or another format's file. Version 1 is read by [`crate::v1`].
    #[error("{} has format version {version}, this log has version 2", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Not a file of this log: another kind, another chain, another front end.
    #[error("{} does not belong to this share log: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Something that was once whole is damaged. Restore the file, or forfeit it.
    #[error("{} is damaged at byte {offset}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the bad record starts; 0 when the file is wrong as a whole.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A segment is not there. Restore the file, or forfeit it.
    #[error("{} is missing: the shares from its first one up to {before} were in it", path.display())]
    Missing {
        /// Where it has to be.
        path: PathBuf,
        /// The first share behind it.
        before: ShareSequence,
    },
    /// A segment ends before the next one starts: it was cut off at a record, or one between them is missing. Restore what is lost, or
    /// forfeit the missing name, which keeps what is there.
    #[error(
        "{} ends before share {next} but the next segment starts with share {before}: it was cut off, or {} is missing",
        path.display(), missing.display()
    )]
    Gap {
        /// The file that ends too early.
        path: PathBuf,
        /// Where a missing one would be.
        missing: PathBuf,
        /// The first share that is not there.
        next: ShareSequence,
        /// The first share that is there again.
        before: ShareSequence,
    },
    /// The log ends before a place that it had reached. Nothing was changed. Restore what is lost, or forfeit the missing name, which
    /// keeps what is there.
    #[error(
        "{} ends before share {next}, but the log had reached share {at_least}: it was cut off, or {} is missing",
        path.display(), missing.display()
    )]
    Short {
        /// The newest file, or the folder if there is none.
        path: PathBuf,
        /// Where a missing one would be.
        missing: PathBuf,
        /// What the next share would be.
        next: ShareSequence,
        /// What the next share is at least, as the caller knows it.
        at_least: ShareSequence,
    },
}

/// A share was not written. The log is as if it had never been offered.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// No room. Later appends succeed once there is some.
    #[error("disk full while writing {}", .0.display())]
    DiskFull(PathBuf),
    /// The file system refused for another reason.
    #[error("share log {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A sync failed, so the system may have dropped shares that were written. Restart, which reads back what is really there.
    #[error("share log {} could not be synced: {reason}", path.display())]
    SyncFailed {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The log is closed.
    #[error("the share log is closed")]
    Closed,
}

/// Shares could not be read back. Nothing may be paid on their account.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refused.
    #[error("share log {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A record is damaged.
    #[error("{} is damaged at byte {offset}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the bad record starts.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The shares were removed because they were old.
    #[error("shares before {before} are pruned")]
    Pruned {
        /// The oldest share that may still be there.
        before: ShareSequence,
    },
}

/// Old segments could not be removed. The log goes on.
#[derive(Debug, thiserror::Error)]
#[error("share log {}: {error}", path.display())]
pub struct PruneError {
    /// File or folder.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

/// A segment could not be forfeited. The log is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ForfeitError {
    /// The text is no name of a segment, as [`crate::segment_name`] makes them.
    #[error("{0:?} is not the name of a segment")]
    Name(String),
    /// Its shares are pruned or forfeited already.
    #[error("{0} is pruned or forfeited already")]
    Gone(String),
    /// There is no such file, and nothing is missing at its place.
    #[error("there is no {0}, and no share is known to be missing there")]
    Unknown(String),
    /// A file or the manifest stands in the way.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl AppendError {
    /// Whether a later append may succeed without a restart.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::DiskFull(_) | Self::Io { .. })
    }

    pub(crate) fn io(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::DiskFull(path)
        } else {
            Self::Io { path, error }
        }
    }
}

impl OpenError {
    pub(crate) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), offset, reason: reason.into() }
    }

    pub(crate) fn foreign(path: &Path, reason: impl Into<String>) -> Self {
        Self::Foreign { path: path.to_owned(), reason: reason.into() }
    }
}
