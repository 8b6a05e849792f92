use std::{fmt, sync::Arc};

use bq_primitives::{AccountId, Seal, ShareDifficulty, Target, WorkerName, tagged_hash};

use crate::JobTemplate;

/// Names one submit of one session, for the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareTicket(pub u64);

/// A submit that is well formed, fits a job of its connection, and claims enough work: everything a verifier needs.
#[derive(Clone, Debug)]
pub struct ShareCandidate {
    /// For [`crate::Session::handle_verdict`].
    pub ticket: ShareTicket,
    /// What was worked on: header, key, network target, body.
    pub template: Arc<JobTemplate>,
    /// The proof. Its mix is zero where the dialect does not send one: see [`Claim`].
    pub seal: Seal,
    /// What the miner says the work came to.
    pub claim: Claim,
    /// What the proof-of-work value must not exceed to be a share; never harder than what the miner was told.
    pub share_target: Target,
    /// Frozen in the job: what the share is credited at.
    pub difficulty: ShareDifficulty,
    /// Frozen in the job: who is credited.
    pub account: AccountId,
    /// Which machine.
    pub worker: WorkerName,
    /// Identity of the proof for [`crate::DuplicateSet`].
    pub key: ShareKey,
}

/// The miner's own statement about its proof: cheap to check before the costly computation, worth nothing alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The dialect carries none.
    None,
    /// The 32 bytes of the RandomX hash.
    RandomX([u8; 32]),
    /// The Ethash mix, also in the seal.
    EthashMix([u8; 32]),
}

/// The first 16 bytes of a hash over the seal hash and the bytes of the proof that the miner chose. Decoded bytes only:
/// spelling a nonce differently does not make it another share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareKey(pub [u8; 16]);

impl ShareKey {
    /// The key of a proof for a template.
    #[must_use]
    pub fn of(template: &JobTemplate, seal: &Seal) -> Self {
        let without_mix = match *seal {
            Seal::Ethash { extranonce, nonce, .. } => Seal::Ethash { extranonce, nonce, mix: [0; 32] },
            other => other,
        };
        let hash = tagged_hash("BQ/share-key", &[template.seal_hash.as_bytes(), &without_mix.to_bytes()]);
        Self(hash.first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Debug for ShareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareKey({})", hex::encode(self.0))
    }
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Verified in full and booked.
    Accepted {
        /// It was also a block.
        block: bool,
    },
    /// Not credited.
    Rejected(Reject),
}

/// Why a share earns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reject {
    /// The submit cannot be read; the text says which part.
    Malformed(&'static str),
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
    /// The connection has not logged in, or not as this worker.
    Unauthorized,
    /// The server is overloaded, or cannot write; not the miner's fault.
    Busy,
}
