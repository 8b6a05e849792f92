use bq_chain_api::NodeError;
use bq_ledger::ShareSequence;
use bq_pool_store::StoreError;
use bq_primitives::{AccountId, Network};
use bq_share_log::{AppendError, OpenError, ReadError};

use crate::SignerError;

/// The pool cannot start, or a step of its work failed. Files are named by the errors inside.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// A setting that cannot be.
    #[error("pool setting {field}: {reason}")]
    Config {
        /// Which.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// The node follows another chain.
    #[error("the node is on {got}, the pool is for {expected}")]
    WrongNetwork {
        /// The node's.
        got: Network,
        /// The pool's.
        expected: Network,
    },
    /// The ledger.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The share log cannot be opened.
    #[error(transparent)]
    OpenLog(#[from] OpenError),
    /// The share log cannot be read.
    #[error(transparent)]
    ReadLog(#[from] ReadError),
    /// The share log cannot be written.
    #[error(transparent)]
    AppendLog(#[from] AppendError),
    /// Shares name an account that the ledger does not have: the ledger is older than the share log, probably restored
    /// from a backup. Restore both from the same moment.
    #[error("share {sequence} belongs to account {account}, the ledger knows accounts up to {newest}")]
    LedgerBehindShares {
        /// The share.
        sequence: ShareSequence,
        /// Its account.
        account: AccountId,
        /// The newest account of the ledger; 0 for none.
        newest: AccountId,
    },
    /// The node.
    #[error("node: {0}")]
    Node(#[from] NodeError),
    /// A payout was not signed.
    #[error("signer: {0}")]
    Signer(SignerError),
    /// A thread could not be started.
    #[error("thread: {0}")]
    Thread(#[from] std::io::Error),
    /// What is stored does not fit together.
    #[error("{0}")]
    Inconsistent(String),
}

impl PoolError {
    /// Whether trying again later may help. Otherwise a person has to look first.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::AppendLog(error) => error.is_transient(),
            Self::Node(_) | Self::Signer(_) | Self::Thread(_) => true,
            Self::Config { .. }
            | Self::WrongNetwork { .. }
            | Self::OpenLog(_)
            | Self::ReadLog(_)
            | Self::LedgerBehindShares { .. }
            | Self::Inconsistent(_) => false,
        }
    }
}
