use bq_primitives::{BlockId, Transaction};

use crate::{ChainTip, Message, Misbehavior, RawBlock, SealedHeader};

/// Names a connected peer. The caller chooses the numbers and never reuses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u64);

/// Names a request, so that its answer finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What the caller has to do next. Order matters within one returned list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a request; report [`crate::SyncCore::handle_answer`] or [`crate::SyncCore::request_failed`].
    Request {
        /// To whom.
        peer: PeerKey,
        /// Its name in the report.
        id: RequestId,
        /// [`Message::Status`], [`Message::GetHeaders`], [`Message::GetBlocks`] or [`Message::GetMempool`].
        message: Message,
    },
    /// Close the connection.
    Disconnect {
        /// Whose.
        peer: PeerKey,
        /// Why.
        reason: DisconnectReason,
    },
    /// Hand a run of headers to the node; report [`crate::SyncCore::headers_judged`].
    AddHeaders {
        /// Who sent it.
        peer: PeerKey,
        /// Lowest first; never empty.
        run: Vec<SealedHeader>,
    },
    /// Hand a block to the node, the next in line; report [`crate::SyncCore::block_judged`].
    SubmitBlock {
        /// Who sent it.
        peer: PeerKey,
        /// Header read, body not.
        block: RawBlock,
    },
    /// Hand transactions to the node. Nothing to report: a peer is not blamed for what waits in its mempool.
    SubmitTransactions {
        /// Who sent them.
        peer: PeerKey,
        /// A page of its mempool.
        transactions: Vec<Transaction>,
    },
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisconnectReason {
    /// Another chain: nothing wrong, nothing to talk about.
    #[error("follows another chain")]
    WrongNetwork,
    /// Another protocol version.
    #[error("speaks protocol version {got}, expected {expected}")]
    WrongVersion {
        /// The peer's.
        got: u32,
        /// Ours.
        expected: u32,
    },
    /// Cut off for good reason; refuse it for a while.
    #[error("misbehaved: {0}")]
    Misbehaved(Misbehavior),
}

/// What the node thought of a run of headers or a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Added.
    Accepted,
    /// All of it was known before: nothing wrong, and nothing proved.
    Known,
    /// The parent is not known.
    UnknownParent,
    /// Against the rules; what that costs the sender in points.
    Refused {
        /// 0 to 100.
        points: u32,
    },
    /// The node cannot tell now; worth another try later.
    Later,
}

/// The node's chain as the state machine needs it. Reported whenever it may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainView {
    /// End of the best chain whose blocks are here.
    pub tip: ChainTip,
    /// The most work among all known valid headers.
    pub best_header: ChainTip,
    /// Ids of the best header chain, newest first, thinning out, genesis last.
    pub locator: Vec<BlockId>,
    /// Blocks of the best header chain whose bodies are not here, lowest first; the first
    /// [`crate::WINDOW_BLOCKS_MAX`] are enough.
    pub missing: Vec<BlockId>,
    /// The same for other branches that have more work than the tip and leave the best header chain where all bodies are
    /// here; most work first, the first [`crate::RIVALS_MAX`] branches and [`crate::RIVAL_BLOCKS_MAX`] blocks of each are
    /// enough. Whoever shows a header and keeps its block to himself must not hold up those who show theirs.
    pub rivals: Vec<Vec<BlockId>>,
}
