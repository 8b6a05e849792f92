use std::sync::Arc;

use bq_chain_api::{BoxStream, Template};
use bq_primitives::{Algorithm, Block, KeyHash, NetworkDifficulty, WorkerName};

use crate::{AccessError, AccountScheme, PoolTemplate, SettingsTaken, Share, SignedRequest};

/// What a Stratum server needs of the pool behind it.
pub trait PoolApi: Send + Sync + 'static {
    /// The key that an address pays to. Creates nothing and never waits: who has not mined has no account.
    ///
    /// # Errors
    /// Not an address of this network, or one that nobody may mine to.
    fn authorize(&self, address: &str) -> Result<KeyHash, AuthorizeError>;

    /// The newest template, as the lanes' own terms have it; nothing until the node has one. Cheap.
    fn template(&self) -> Option<Arc<Template>>;

    /// The newest template, at once if there is one, and then each newer one: on every tip change and on every refresh. A
    /// slow reader skips those in between. Ends with the pool.
    fn templates(&self) -> BoxStream<'static, Arc<PoolTemplate>>;

    /// How an account is paid for work that it is given from now on. Cheap.
    fn scheme_of(&self, payee: KeyHash) -> AccountScheme {
        let _ = payee;
        AccountScheme::default()
    }

    /// Another number whenever [`PoolApi::scheme_of`] may say something else of anybody. Costs nothing.
    fn schemes_version(&self) -> u64 {
        0
    }

    /// Books a share that was verified in full, and hands `block` to the node first if it is one: also when the share cannot be
    /// booked. Returns once the share is written (not yet synced) to the share log: only then may the miner be told. Blocks on
    /// disk.
    ///
    /// # Errors
    /// The log cannot take the share now; it was not booked.
    fn record_share(&self, share: Share, block: Option<Block>) -> Result<(), RecordShareError>;

    /// As [`PoolApi::record_share`] for many that are no blocks, with one write for as many as the log takes at once; what became of each, in order.
    fn record_shares(&self, shares: Vec<Share>) -> Vec<Result<(), RecordShareError>> {
        shares.into_iter().map(|share| self.record_share(share, None)).collect()
    }

    /// Notes what the hash of a share that was just booked came to, in expected hashes: for people, worth nothing. Cheap. A pool may forget it.
    fn note_achieved(&self, payee: KeyHash, worker: &WorkerName, algorithm: Algorithm, achieved: NetworkDifficulty) {
        let _ = (payee, worker, algorithm, achieved);
    }

    /// The owner of an account locked it by a setting (SPEC 8.11.3): only worker tokens open its address. Cheap.
    fn is_locked(&self, payee: KeyHash) -> bool {
        let _ = payee;
        false
    }

    /// Takes what the owner of an account wants for it (SPEC 8.11); nothing if the request is about something else. `may_verify` is asked once, with the
    /// account's key, before the signature is verified; all that can be refused without that was refused before. Blocks on disk.
    ///
    /// # Errors
    /// [`AccessError::Setting`], [`AccessError::Disk`], [`AccessError::TooFast`] where that says no.
    fn change_settings(
        &self,
        request: &SignedRequest,
        may_verify: &dyn Fn(KeyHash) -> bool,
    ) -> Option<Result<SettingsTaken, AccessError>> {
        let _ = (request, may_verify);
        None
    }

    /// This key has an account here. Cheap.
    fn has_account(&self, payee: KeyHash) -> bool {
        let _ = payee;
        false
    }

    /// Counts a share that was refused. Cheap.
    fn note_rejected(&self, payee: KeyHash, worker: &WorkerName, algorithm: Algorithm, reason: ShareReject);
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
    /// The address is the pool's own: what it would be credited is nobody's.
    #[error("this is the pool's own address: mine to an address of yours")]
    OwnAddress,
    /// The pool cannot tell now. Close the connection rather than answer no.
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
