use std::sync::Arc;

use bq_consensus::BlockError;
use bq_primitives::{BlockId, Height, SealedHeader, Transaction, TxId, Work};
use futures_core::stream::BoxStream;

use crate::{BlockRefusal, NodeApi, NodeError, SubmitBlockError, SubmitTransactionError};

/// What the peer-to-peer layer asks of the node beside [`NodeApi`]: `block`, `submit_block` and `submit_transaction`
/// are there. Calls may block on disk or on proof-of-work verification unless the comment says that they are cheap.
pub trait SyncApi: NodeApi {
    /// The block with the most chain work among all valid headers, whether or not its body is here. Cheap.
    fn best_header(&self) -> HeaderTip;

    /// Whether the block tree holds this header. Cheap.
    fn has_header(&self, id: &BlockId) -> bool;

    /// Ids of the best header chain, newest first: the last ten, then ever wider steps, then genesis. Cheap.
    fn locator(&self) -> Vec<BlockId>;

    /// Headers of the best chain above the first locator id that lies on it (above genesis when none does), lowest
    /// first, at most `max`.
    ///
    /// # Errors
    /// The store failed.
    fn headers_after(&self, locator: &[BlockId], max: usize) -> Result<Vec<SealedHeader>, NodeError>;

    /// Adds a run of headers, each the parent of the next, to the block tree: rules 1-5 for all of them, then their
    /// proofs. Known headers are skipped. On an error the headers before the failing one stay added.
    ///
    /// # Errors
    /// Which header broke what; [`AddHeadersError::misbehavior`] says what that tells about the sender.
    fn add_headers(&self, headers: &[SealedHeader]) -> Result<HeadersAdded, AddHeadersError>;

    /// As [`SyncApi::add_headers`], for headers that `source` sent: the node may hold each source to a budget of its own.
    ///
    /// # Errors
    /// As [`SyncApi::add_headers`].
    fn add_headers_from(
        &self,
        source: HeaderSource,
        headers: &[SealedHeader],
    ) -> Result<HeadersAdded, AddHeadersError> {
        let _ = source;
        self.add_headers(headers)
    }

    /// Blocks of the best header chain whose bodies are not here, lowest first, at most `max`. Cheap.
    fn missing_bodies(&self, max: usize) -> Vec<BlockId>;

    /// The same for other branches with more work than the tip that leave the best header chain at a block whose body is
    /// here: at most `branches` of them, most work first. Cheap.
    fn rival_bodies(&self, branches: usize, max: usize) -> Vec<Vec<BlockId>> {
        let _ = (branches, max);
        Vec::new()
    }

    /// A transaction that waits in the mempool. Cheap.
    fn mempool_transaction(&self, txid: &TxId) -> Option<Arc<Transaction>>;

    /// Transactions that wait in the mempool with ids above `after`, by id, that have at most `each_max` bytes each and at most
    /// `bytes_max` together. Cheap: it looks at no others.
    fn mempool_page(&self, after: &TxId, each_max: usize, bytes_max: usize) -> Vec<Arc<Transaction>>;

    /// Every transaction that waits in the mempool, at most `max`. Cheap.
    fn mempool_txids(&self, max: usize) -> Vec<TxId>;

    /// What to tell peers about, as it happens from now on. A reader that lags loses the oldest and is told so. Ends with the
    /// node.
    fn announcements(&self) -> BoxStream<'static, Announcement>;

    /// Tells the node how many peers are connected, for [`crate::MiningInfo`]. Cheap.
    fn set_peers(&self, peers: usize);
}

/// Who sent headers: a number that all peers of one network group share, so that a new connection is not a new source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderSource(pub u64);

/// The end of the best header chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderTip {
    /// The block.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// Sum of block weights up to it.
    pub chain_work: Work,
}

/// What a call of [`SyncApi::add_headers`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadersAdded {
    /// How many were new.
    pub new: usize,
    /// The best header afterwards.
    pub best: HeaderTip,
}

/// Something peers may want to hear about.
#[derive(Clone, Debug)]
pub enum Announcement {
    /// The best chain has a new end.
    Block(Box<SealedHeader>),
    /// The mempool admitted a transaction.
    Transaction(Arc<Transaction>),
    /// So many announcements came too fast for this reader and are lost to it.
    Missed(u64),
}

/// A run of headers was not added to its end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AddHeadersError {
    /// The first header's parent is not known: ask the sender with a locator.
    #[error("parent {0} is not known")]
    UnknownParent(BlockId),
    /// A header is not the child of the one before it.
    #[error("header {position} does not follow the one before it")]
    NotAChain {
        /// Position in the run.
        position: usize,
    },
    /// A header's time is too far ahead of the local clock; it may become valid later.
    #[error("header {id} is too early: {reason}")]
    TooEarly {
        /// The header's block.
        id: BlockId,
        /// What the clock said.
        reason: BlockRefusal,
    },
    /// A header breaks a rule and never becomes valid.
    #[error("header {id}: {reason}")]
    Invalid {
        /// The header's block.
        id: BlockId,
        /// Why.
        reason: BlockRefusal,
    },
    /// The node failed, not the headers.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl AddHeadersError {
    /// What the sender did wrong, in points of 0 to 100; a peer is cut off at 100.
    #[must_use]
    pub fn misbehavior(&self) -> u32 {
        match self {
            Self::Invalid { reason, .. } => reason.misbehavior(),
            Self::NotAChain { .. } => BlockError::MISBEHAVIOR_MAX,
            // Honest peers send these too: after a reorg, or with a better clock than ours.
            Self::UnknownParent(_) | Self::TooEarly { .. } | Self::Node(_) => 0,
        }
    }
}

impl SubmitBlockError {
    /// What the sender did wrong, in points of 0 to 100; a peer is cut off at 100.
    #[must_use]
    pub fn misbehavior(&self) -> u32 {
        match self {
            Self::Invalid(refusal) => refusal.misbehavior(),
            Self::Duplicate | Self::UnknownParent(_) | Self::TooEarly(_) | Self::Kept { .. } | Self::Node(_) => 0,
        }
    }
}

impl SubmitTransactionError {
    /// What the sender did wrong, in points of 0 to 100; a peer is cut off at 100.
    #[must_use]
    pub const fn misbehavior(&self) -> u32 {
        match self {
            Self::Invalid(refusal) => refusal.misbehavior(),
            Self::Duplicate | Self::Full | Self::Node(_) => 0,
        }
    }
}
