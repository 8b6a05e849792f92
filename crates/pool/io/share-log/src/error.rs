use std::{io, path::PathBuf};

/// The log cannot be opened: the pool must not start. Every variant names the file.
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
    /// Not a segment of this log: another kind of file, another chain, or another format version.
    #[error("{} does not belong to this share log: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// A record that was once whole is damaged, or a segment is missing. Restore the file from a backup.
    #[error("{} is damaged at byte {offset}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the bad record starts.
        offset: u64,
        /// What is wrong with it.
        reason: String,
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
    /// An earlier sync failed, so the system may have dropped shares that were written. Restart, which reads back what
    /// is really there.
    #[error("share log {} could not be synced: {reason}", path.display())]
    SyncFailed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The log is closed.
    #[error("the share log is closed")]
    Closed,
}

impl AppendError {
    /// Whether a later append may succeed without a restart.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::DiskFull(_) | Self::Io { .. })
    }

    pub(crate) fn io(path: PathBuf, error: io::Error) -> Self {
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::DiskFull(path)
        } else {
            Self::Io { path, error }
        }
    }
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
}
