use std::path::PathBuf;

use bq_pool_machine::LogHead;

/// The books refused or failed. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. Succeeds once there is room.
    #[error("disk full while writing {}", .0.display())]
    DiskFull(PathBuf),
    /// The file is damaged. Restore it from a backup.
    #[error("{} is damaged: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another kind of file, another chain, or a newer format.
    #[error("{} does not belong to this pool: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Somebody else appended: this process must stop writing.
    #[error("the log ends at event {}, {} was expected: another process writes to it", got.number, expected.number)]
    Head {
        /// Where it ends.
        got: LogHead,
        /// Where it should.
        expected: LogHead,
    },
    /// The file system or the database failed otherwise. May succeed later.
    #[error("{}: {reason}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without a restart.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::DiskFull(_) | Self::Database { .. } => true,
            Self::Corrupt { .. } | Self::Foreign { .. } | Self::Head { .. } => false,
        }
    }
}
