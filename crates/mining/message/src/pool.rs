use std::sync::Arc;

use bq_chain_api::Template;
use bq_primitives::{AccountId, Algorithm, Block, BlockId, Height, NetworkDifficulty, ShareDifficulty, WorkerName};
use tokio::sync::watch;

/// What a Stratum server needs of the pool behind it.
pub trait PoolApi: Send + Sync + 'static {
    /// The account of a payout address, made on first sight. Cheap after the first time.
    ///
    /// # Errors
    /// Not an address of this network, or the ledger cannot be written.
    fn authorize(&self, address: &str) -> Result<AccountId, AuthorizeError>;

    /// The newest template; wakes on every tip change and on every refresh. Nothing until the node has one.
    fn templates(&self) -> watch::Receiver<Option<Arc<Template>>>;

    /// Books a share that was verified in full, and hands `block` to the node first if it is one. Returns once the share
    /// is written (not yet synced) to the share log: only then may the miner be told. Blocks on disk.
    ///
    /// # Errors
    /// The log cannot take the share now; it was not booked.
    fn record_share(&self, share: AcceptedShare, block: Option<Block>) -> Result<(), RecordShareError>;

    /// Counts a share that was refused. Cheap.
    fn note_rejected(&self, account: AccountId, worker: &WorkerName, algorithm: Algorithm, reason: ShareReject);
}

/// A share whose proof of work was verified in full. Difficulties are those frozen in the job record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedShare {
    /// The lane.
    pub algorithm: Algorithm,
    /// Who is credited: from the connection's authorisation, never from the submit alone.
    pub account: AccountId,
    /// Which machine.
    pub worker: WorkerName,
    /// What the share was worth when its job was sent.
    pub difficulty: ShareDifficulty,
    /// What a block was worth then.
    pub network_difficulty: NetworkDifficulty,
    /// Height of the job.
    pub height: Height,
    /// When it was accepted, in milliseconds since 1970; informational.
    pub time_ms: u64,
    /// The block's id when the share is one.
    pub block_id: Option<BlockId>,
}

/// Why a share earns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ShareReject {
    /// The submit could not be read.
    Malformed,
    /// The job was never given to this connection, or is forgotten.
    UnknownJob,
    /// The tip moved on.
    Stale,
    /// Seen before.
    Duplicate,
    /// The proof does not meet the share target.
    LowDifficulty,
    /// The claimed result or mix is not what the proof computes to.
    BadProof,
    /// The connection has not logged in.
    Unauthorized,
    /// The server is overloaded; not the miner's fault.
    Busy,
}

impl ShareReject {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Malformed,
        Self::UnknownJob,
        Self::Stale,
        Self::Duplicate,
        Self::LowDifficulty,
        Self::BadProof,
        Self::Unauthorized,
        Self::Busy,
    ];

    /// The label used in metrics and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownJob => "unknown_job",
            Self::Stale => "stale",
            Self::Duplicate => "duplicate",
            Self::LowDifficulty => "low_difficulty",
            Self::BadProof => "bad_proof",
            Self::Unauthorized => "unauthorized",
            Self::Busy => "busy",
        }
    }
}

/// A login was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// The login is not an address of this network; the text says why.
    #[error("{0}")]
    Address(String),
    /// The ledger cannot take a new account now. Close the connection rather than answer no.
    #[error("pool is not ready: {0}")]
    Unavailable(String),
}

/// A share was not booked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecordShareError {
    /// The share log cannot be written: disk full or failing.
    #[error("share log: {0}")]
    Log(String),
    /// The pool is shutting down.
    #[error("the pool is shutting down")]
    Closed,
}
