use std::{fmt, sync::Arc};

use bq_primitives::{KeyHash, Seal, ShareDifficulty, Target, WorkerName, tagged_hash};

use crate::{Claim, Claimed, JobId, Reject, Strike, Verdict, WorkTemplate};

/// A submit as a dialect reads it: fields have their lengths, the miner is logged in, nothing else is known.
#[derive(Clone, Debug)]
pub struct Submit {
    /// Which job it says it is for.
    pub job: JobId,
    /// The fields that the miner varied.
    pub rolled: Rolled,
    /// What it says they come to.
    pub claim: Claim,
    /// Which machine.
    pub worker: WorkerName,
}

/// The fields that a miner varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rolled {
    /// Four of them.
    Sha256d {
        /// The second half of X.
        extranonce2: [u8; 8],
        /// Version of the work header, inside the mask that was agreed.
        version: u32,
        /// Time of the work header.
        ntime: u32,
        /// Its nonce.
        nonce: u32,
    },
    /// The nonce alone.
    RandomX {
        /// At offset 39, little-endian.
        nonce: u32,
    },
    /// The nonce alone.
    Ethash {
        /// All 64 bits.
        nonce: u64,
    },
}

/// Names one submit of one connection, for the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareTicket(pub u64);

/// A submit that passed everything but the hashing: all that a verifier needs.
#[derive(Clone, Debug)]
pub struct ShareCandidate {
    /// For the verdict.
    pub ticket: ShareTicket,
    /// What was worked on: header, key, network target, body.
    pub template: Arc<WorkTemplate>,
    /// The proof. Its mix is zero where the dialect does not send one: see [`Claim`].
    pub seal: Seal,
    /// What the miner says the work came to.
    pub claim: Claim,
    /// What that would be.
    pub claimed: Claimed,
    /// What the proof-of-work value must not exceed to be a share.
    pub share_target: Target,
    /// Frozen in the job: what the share is credited at.
    pub difficulty: ShareDifficulty,
    /// Frozen in the job: who is credited.
    pub payee: KeyHash,
    /// Which machine.
    pub worker: WorkerName,
    /// What it is refused as unless it is a block, which no capacity and no newer tip stops (SPEC 11.5).
    pub unless_block: Option<Reject>,
    /// Its connection has proved work before and forged none: it is served before strangers (SPEC 11.6).
    pub is_trusted: bool,
}

impl ShareCandidate {
    /// What a verdict costs its sender (SPEC 11.6).
    #[must_use]
    pub fn strike_of(&self, verdict: Verdict) -> Option<Strike> {
        match verdict {
            Verdict::Accepted { .. } => None,
            Verdict::Rejected(reason) => self.strike(reason),
        }
    }

    /// What a refusal after hashing costs its sender (SPEC 11.6).
    #[must_use]
    pub fn strike(&self, reason: Reject) -> Option<Strike> {
        let costly_and_unclaimed = matches!((&self.seal, self.claim), (Seal::Ethash { .. }, Claim::None));
        match reason {
            Reject::BadProof => Some(Strike::ForgedShare),
            Reject::LowDifficulty if costly_and_unclaimed => Some(Strike::ForgedShare),
            _ => None,
        }
    }
}

/// The first 8 bytes of a hash over the bytes that a miner chose for one job. Decoded bytes only: spelling a nonce
/// differently does not make it another share. Two proofs with one key are the loss of the connection that made them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ShareKey(pub [u8; 8]);

impl ShareKey {
    /// The key of a proof.
    #[must_use]
    pub fn of(template: &WorkTemplate, seal: &Seal) -> Self {
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
