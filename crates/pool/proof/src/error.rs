use bq_mining_message::{BootEpoch, FrontEndId, ShareSequence};
use bq_pool_machine::{LogHash, LogHead, LogNumber};
use bq_primitives::{AccountId, BlockId, KeyHash, Network};

use crate::{Anchor, CoinbaseFault, DocumentError, LogFault, ShareFault};

/// The first place of an export that is wrong. Runs count from 0; shares have their place in the frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The file is no export.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A run begins before the one before it ends.
    #[error("run {run} begins with event {first}, after event {after}")]
    RunOrder {
        /// Which.
        run: usize,
        /// Its first event.
        first: LogNumber,
        /// The newest event of the run before.
        after: LogNumber,
    },
    /// A run that follows on another stands on another hash: they are of two logs, or one was changed.
    #[error("run {run} does not stand on event {after}: it says {got}, that is {expected}")]
    Joint {
        /// Which.
        run: usize,
        /// The newest event of the run before.
        after: LogNumber,
        /// The hash that the run says stands before it.
        got: LogHash,
        /// The hash of that event.
        expected: LogHash,
    },
    /// The events of a run are no part of a log.
    #[error("run {run}: {source}")]
    Log {
        /// Which.
        run: usize,
        /// Why.
        source: LogFault,
    },
    /// An event that cannot stand after those before it: some are missing, changed places, or are another pool's.
    #[error("event {event}: {source}")]
    Order {
        /// Which.
        event: LogNumber,
        /// Why.
        source: OrderFault,
    },
    /// The block after a run names no head of this pool's log.
    #[error("the coinbase after events {first} to {last}: {source}")]
    Coinbase {
        /// First event of the run.
        first: LogNumber,
        /// Its newest event.
        last: LogNumber,
        /// Why.
        source: CoinbaseFault,
    },
    /// The block names another head than the events lead to: one of them was changed, or some are missing.
    #[error("events {first} to {} do not lead to the head that block {} names", .got.number, .anchor.block)]
    Head {
        /// First event of the run.
        first: LogNumber,
        /// Where they lead.
        got: LogHead,
        /// The block and what it says.
        anchor: Box<Anchor>,
    },
    /// By the events the pool has another key than the coinbases pay.
    #[error("by event {event} the pool's key is {got}, its coinbases pay {expected}")]
    Key {
        /// The newest event of the run.
        event: LogNumber,
        /// As the events tell it.
        got: KeyHash,
        /// The export's.
        expected: KeyHash,
    },
    /// Shares are said to lie in an event that is no frame of the run, or that stands before the last one named.
    #[error("run {run}: event {event} is no frame, or out of order")]
    NotAFrame {
        /// Which run.
        run: usize,
        /// Which event.
        event: LogNumber,
    },
    /// A frame is named for no share.
    #[error("frame {event} without a share")]
    EmptyFrame {
        /// The event.
        event: LogNumber,
    },
    /// The places of the shares of a frame do not rise.
    #[error("frame {event}: share {index} is out of order")]
    ShareOrder {
        /// The event of the frame.
        event: LogNumber,
        /// Its place.
        index: u16,
    },
    /// A share does not stand in its frame.
    #[error("frame {event}: share {index}: {source}")]
    Share {
        /// The event of the frame.
        event: LogNumber,
        /// Its place.
        index: u16,
        /// Why.
        source: ShareFault,
    },
    /// A share is somebody else's.
    #[error("frame {event}: share {index} is of key {got}, the export of {expected}")]
    OtherAccount {
        /// The event of the frame.
        event: LogNumber,
        /// Its place.
        index: u16,
        /// Whom it pays.
        got: KeyHash,
        /// Whose export it is.
        expected: KeyHash,
    },
    /// There is none at all: such an export says nothing.
    #[error("an export without shares")]
    NoShares,
    /// The terms are not those of the newest event about them, or no event of the runs tells any.
    #[error("the terms are not those of the newest such event in the runs")]
    Terms,
    /// The chain that was asked is another one.
    #[error("an export of {got}, the chain is {expected}")]
    Network {
        /// The export's.
        got: Network,
        /// The chain's.
        expected: Network,
    },
    /// The chain that was asked begins with another block.
    #[error("an export of a chain that begins with {got}; this one: {expected:?}")]
    Genesis {
        /// The export's.
        got: BlockId,
        /// The chain's, if it could say.
        expected: Option<BlockId>,
    },
    /// A block is not on the best chain.
    #[error("block {} of height {} is not on the chain; there: {found:?}", .anchor.block, .anchor.height)]
    NotOnChain {
        /// The block.
        anchor: Anchor,
        /// What the chain has there.
        found: Option<BlockId>,
    },
}

/// Why an event cannot stand where it does (SPEC 8.10.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderFault {
    /// Event 1 tells what the log belongs to.
    #[error("a log begins with what it belongs to")]
    NotOpened,
    /// Only event 1 does.
    #[error("a log begins once")]
    OpenedAgain,
    /// The log belongs to another chain.
    #[error("a log of {got} with genesis {genesis}")]
    OtherChain {
        /// The log's network.
        got: Network,
        /// The log's first block.
        genesis: BlockId,
    },
    /// Not the next frame of its front end.
    #[error("a frame of front end {front_end} from share {got} on, not from {expected}")]
    Frame {
        /// Whose.
        front_end: FrontEndId,
        /// Its first share.
        got: ShareSequence,
        /// The next share, or the least that it can be.
        expected: ShareSequence,
    },
    /// A frame of an earlier start of its front end.
    #[error("a frame of start {} of front end {front_end}, after start {}", .got.0, .newest.0)]
    Epoch {
        /// Whose.
        front_end: FrontEndId,
        /// Its start.
        got: BootEpoch,
        /// The newest start.
        newest: BootEpoch,
    },
    /// Not the next account.
    #[error("account {got}, not {expected}")]
    Account {
        /// Its number.
        got: AccountId,
        /// The next number, or the least that it can be.
        expected: AccountId,
    },
}
