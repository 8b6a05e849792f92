use bq_primitives::{BlockId, Height, tagged_hash};

use crate::{LogHash, LogHead, LogNumber, Recovery};

/// Bytes of a [`Commitment`] in a coinbase.
pub const COMMITMENT_BYTES: usize = 8 + 32 + SEAL_BYTES;

const SEAL_BYTES: usize = 16;

/// What every coinbase of the pool says of its log, so that the chain knows how far the log had come: number and hash of its
/// newest event, and a seal that only the holder of the pool's key can make. Without the seal, anybody who mines a block to
/// the pool's key could say that the log is longer than it is and stop all payouts. The seal holds for blocks on one parent only: copied
/// out of an old block, whose log was lost since, it says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment(pub LogHead);

/// What a commitment on the chain says of the log at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitmentCheck {
    /// The log has that event, or lost it and was recovered.
    Fine,
    /// The log was longer once.
    Behind {
        /// As the chain knows it.
        seen: LogHead,
    },
    /// The log has another event in that place.
    Differs {
        /// As the chain knows it.
        seen: LogHead,
    },
}

impl Commitment {
    /// What follows the pool's tag in the coinbase data.
    #[must_use]
    pub fn to_bytes(self, key: &[u8; 32], parent: &BlockId) -> [u8; COMMITMENT_BYTES] {
        let mut bytes = [0; COMMITMENT_BYTES];
        let parts = self.0.number.0.to_le_bytes().into_iter().chain(self.0.hash.0).chain(self.seal(key, parent));
        for (byte, value) in bytes.iter_mut().zip(parts) {
            *byte = value;
        }
        bytes
    }

    /// Reads the data of a coinbase; nothing if it does not begin with the tag, or was not sealed with the key for a block on `parent`.
    #[must_use]
    pub fn read(data: &[u8], tag: &[u8], key: &[u8; 32], parent: &BlockId) -> Option<Self> {
        let (number, rest) = data.strip_prefix(tag)?.split_first_chunk::<8>()?;
        let (hash, rest) = rest.split_first_chunk::<32>()?;
        let commitment = Self(LogHead { number: LogNumber(u64::from_le_bytes(*number)), hash: LogHash(*hash) });
        (rest == commitment.seal(key, parent)).then_some(commitment)
    }

    /// Compares what a block at `height` says with the log, of which `hash_at` gives the hashes.
    pub fn check(
        self,
        height: Height,
        recovery: Option<&Recovery>,
        hash_at: impl FnOnce(LogNumber) -> Option<LogHash>,
    ) -> CommitmentCheck {
        let seen = self.0;
        let ours = if seen.number == LogNumber(0) { Some(LogHash::default()) } else { hash_at(seen.number) };
        let is_explained = recovery.is_some_and(|recovery| recovery.explains(seen.number, height));
        match ours {
            Some(hash) if hash == seen.hash => CommitmentCheck::Fine,
            _ if is_explained => CommitmentCheck::Fine,
            Some(_) => CommitmentCheck::Differs { seen },
            None => CommitmentCheck::Behind { seen },
        }
    }

    fn seal(self, key: &[u8; 32], parent: &BlockId) -> [u8; SEAL_BYTES] {
        let LogHead { number, hash } = self.0;
        let full = tagged_hash("BQIP0002/pool-commitment", &[key, &number.0.to_le_bytes(), &hash.0, &parent.0]);
        full.first_chunk().copied().unwrap_or_default()
    }
}
