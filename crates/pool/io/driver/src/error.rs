use std::path::{Path, PathBuf};

use bq_books::StoreError;
use bq_chain_api::{CoinbaseError, NodeError};
use bq_pool_machine::{Fault, LogNumber};
use bq_primitives::{KeyHash, Network};
use bq_segments::{AppendError, OpenError, PruneError, ReadError, UnprovenFrame};

use crate::SignerError;

/// Why the pool cannot start, or cannot go on now.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// A setting is out of range.
    #[error("{field}: {reason}")]
    Config {
        /// Which.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// The node follows another chain.
    #[error("the node follows {got}, the pool is configured for {expected}")]
    WrongNetwork {
        /// The node's.
        got: Network,
        /// The pool's.
        expected: Network,
    },
    /// The log belongs to another key than the signer holds.
    #[error(
        "the books belong to key {log}, the key file holds {file}: restore the key file, or give the old key up with --new-key"
    )]
    WrongKey {
        /// The log's.
        log: KeyHash,
        /// The signer's.
        file: KeyHash,
    },
    /// The log belongs to a chain with another coinbase maturity.
    #[error("the books belong to a chain whose rewards mature after {log} blocks, the node's mature after {node}")]
    WrongMaturity {
        /// The log's.
        log: u32,
        /// The node's.
        node: u32,
    },
    /// The books.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log of events contradicts itself: it was changed, or written by another software.
    #[error("event {number} of the pool's log: {fault}")]
    Log {
        /// Which.
        number: LogNumber,
        /// What is wrong.
        fault: Fault,
    },
    /// An event that the state refuses.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The share log cannot be opened.
    #[error(transparent)]
    OpenShares(#[from] OpenError),
    /// A share cannot be written.
    #[error(transparent)]
    AppendShare(#[from] AppendError),
    /// Shares cannot be read.
    #[error(transparent)]
    ReadShares(#[from] ReadError),
    /// Old shares were not dropped.
    #[error(transparent)]
    PruneShares(#[from] PruneError),
    /// Shares are not those that the books name.
    #[error(transparent)]
    Unproven(#[from] UnprovenFrame),
    /// The node.
    #[error("node: {0}")]
    Node(#[from] NodeError),
    /// A template does not take the coinbase that was planned for it.
    #[error("coinbase: {0}")]
    Coinbase(#[from] CoinbaseError),
    /// A payout was not signed.
    #[error("signer: {0}")]
    Signer(SignerError),
    /// A thread could not be started, or a folder not made.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Older books cannot be taken over.
    #[error("the older books in {path} cannot be taken over: {reason}")]
    Migrate {
        /// The file or folder.
        path: String,
        /// Why not.
        reason: String,
    },
    /// What is kept beside the log does not fit it.
    #[error("{0}")]
    Inconsistent(String),
}

impl PoolError {
    /// Whether trying again later may help. Otherwise a person has to look first.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::AppendShare(error) => error.is_transient(),
            Self::Node(_) | Self::Coinbase(_) | Self::Signer(_) | Self::Io(_) | Self::PruneShares(_) => true,
            Self::Config { .. }
            | Self::WrongNetwork { .. }
            | Self::WrongKey { .. }
            | Self::WrongMaturity { .. }
            | Self::Log { .. }
            | Self::Fault(_)
            | Self::OpenShares(_)
            | Self::ReadShares(_)
            | Self::Unproven(_)
            | Self::Migrate { .. }
            | Self::Inconsistent(_) => false,
        }
    }
}

/// Why a person's decision was not carried out; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A value is wrong.
    #[error("{field}: {reason}")]
    Value {
        /// Which.
        field: &'static str,
        /// Why, and what is allowed.
        reason: String,
    },
    /// The books do not allow it.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The decision needs something that is not there.
    #[error("{0}")]
    State(String),
    /// The books cannot be written now.
    #[error("{0}")]
    Pool(#[from] PoolError),
}

/// Why a backup was not made or not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Nothing is ever overwritten.
    #[error("{} is there and not empty: nothing is overwritten", .0.display())]
    InTheWay(PathBuf),
    /// The folder holds none, or one that was never finished.
    #[error("{} holds no backup: {reason}", folder.display())]
    NoBackup {
        /// Where.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file is not what was written.
    #[error("{} is not what was backed up", file.display())]
    Damaged {
        /// Which.
        file: PathBuf,
    },
    /// It belongs to another chain.
    #[error("the backup is of {got}, this is {expected}, or their first blocks differ")]
    Foreign {
        /// What it names.
        got: String,
        /// This pool's.
        expected: Network,
    },
    /// It belongs to another pool.
    #[error(
        "the backup is of the pool with key {got}, this one's is {expected}: if that is meant, move books and key file away first"
    )]
    ForeignKey {
        /// The backup's.
        got: KeyHash,
        /// This pool's.
        expected: KeyHash,
    },
    /// The books.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it says.
        source: std::io::Error,
    },
}

impl BackupError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// Whether another folder, or another backup, may help.
    pub(crate) const fn is_input(&self) -> bool {
        match self {
            Self::InTheWay(_)
            | Self::NoBackup { .. }
            | Self::Damaged { .. }
            | Self::Foreign { .. }
            | Self::ForeignKey { .. } => true,
            Self::Store(_) | Self::Io { .. } => false,
        }
    }
}

/// Why something was not done to a stopped pool.
#[derive(Debug, thiserror::Error)]
pub enum StoppedError {
    /// A value is wrong; nothing was changed.
    #[error("{field}: {reason}")]
    Value {
        /// Which: `segment`, `folder`, `data_dir` or `reason`.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// A backup.
    #[error(transparent)]
    Backup(BackupError),
    /// Books or shares.
    #[error(transparent)]
    Pool(#[from] PoolError),
}
