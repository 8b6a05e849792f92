use std::path::PathBuf;

use bq_primitives::{BlockId, Network};

/// The store cannot be opened, read or written. Every variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made, or the file not opened.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has the file open.
    #[error("{}: in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to another network.
    #[error("{}: holds the chain of {got}, expected {expected}", path.display())]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// The network written into it.
        got: String,
        /// The network that was asked for.
        expected: Network,
    },
    /// The file's chain starts at another genesis block.
    #[error("{}: genesis block is {got}, expected {expected}", path.display())]
    OtherGenesis {
        /// The file.
        path: PathBuf,
        /// The genesis in the file.
        got: BlockId,
        /// The genesis of the network.
        expected: BlockId,
    },
    /// The file was written by another version of this software.
    #[error("{}: store schema {got}, this software reads {expected}", path.display())]
    OtherSchema {
        /// The file.
        path: PathBuf,
        /// The schema written into it.
        got: u32,
        /// The schema this software knows.
        expected: u32,
    },
    /// The file is damaged, or is not a chain store.
    #[error("{}: damaged: {what}. Move the file away and start again: the chain is synced from peers anew", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// A change does not fit the stored chain: a mistake of ours, and nothing was written.
    #[error("{}: refused a change: {what}", path.display())]
    BadChange {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// There is no room left to write.
    #[error("{}: no room left on the disk", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Reading or writing failed before, and the file has not been opened again since.
    #[error("{}: stopped by an earlier failure, waits to be opened again", path.display())]
    Stopped {
        /// The file.
        path: PathBuf,
    },
    /// Reading or writing failed: a device error.
    #[error("{}: {what}", path.display())]
    Engine {
        /// The file.
        path: PathBuf,
        /// What the engine said.
        what: String,
    },
}

impl StoreError {
    /// It says something about the disk now and nothing about what lies on it: once room is there, or the device answers
    /// again, [`crate::ChainStore::recover`] brings the store back.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Full { .. } | Self::Stopped { .. } | Self::Engine { .. })
    }
}
