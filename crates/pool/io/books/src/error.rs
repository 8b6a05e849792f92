use std::path::PathBuf;

/// The ledger refused or failed. Every variant that is about the file names it; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is no ledger of this pool: another kind of file, another chain, or a newer format.
    #[error("{} is not this pool's ledger: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The file is damaged, or its content contradicts itself. Restore it from a backup.
    #[error("ledger {} is damaged: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// No room. Later writes succeed once there is some.
    #[error("disk full while writing ledger {}", .0.display())]
    DiskFull(PathBuf),
    /// What was to be booked contradicts what is booked. The writer takes nothing more until a restart.
    #[error("ledger {}: {reason}; nothing more is written", path.display())]
    Integrity {
        /// The file.
        path: PathBuf,
        /// The contradiction.
        reason: String,
    },
    /// The operation does not fit the state of the block or payout it is about.
    #[error("{0}")]
    State(String),
    /// The database failed in another way.
    #[error("ledger {}: {reason}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
}

impl StoreError {
    /// Whether the pool must not start, or must stop paying, until a person looked at the file.
    #[must_use]
    pub const fn needs_a_person(&self) -> bool {
        matches!(self, Self::Foreign { .. } | Self::Corrupt { .. } | Self::Integrity { .. })
    }

    /// Whether the same operation may succeed later without a restart.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::DiskFull(_) | Self::Database { .. })
    }
}
