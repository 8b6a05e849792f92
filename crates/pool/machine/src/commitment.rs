use bq_primitives::{BlockId, Height, KeyHash, Transaction, TxOut, tagged_hash};

use crate::{LogHash, LogHead, LogNumber, Recovery};

/// Bytes of a [`Commitment`] in a coinbase.
pub const COMMITMENT_BYTES: usize = 8 + 32 + SEAL_BYTES;

const SEAL_BYTES: usize = 16;

/// What every coinbase of the pool says of its log, so that the chain knows how far the log had come: number and hash of its
/// newest event, and a seal that only the holder of the pool's key can make. Without the seal, anybody who mines a block to
/// the pool's key could say that the log is longer than it is and stop all payouts. The seal holds for blocks on one parent only: copied
/// out of an old block, whose log was lost since, it says nothing. And it holds for the outputs of one coinbase: templates are public, and
/// under outputs of his own a stranger must not be believed what he pays whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment(pub LogHead);

/// Of which jobs a coinbase is: a block whose own share was lost says so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoinbaseOf {
    /// Those of the lane's window.
    Window,
    /// Those that no window of the lane pays (SPEC 8.9.13).
    Others,
}

/// What the seal of the latter holds besides.
const OTHERS: &[u8] = &[1];

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
    /// What follows the pool's tag in the data of a coinbase with these outputs, of a block on `parent`.
    #[must_use]
    pub fn to_bytes(
        self,
        key: &[u8; 32],
        parent: &BlockId,
        outputs: &[TxOut],
        of: CoinbaseOf,
    ) -> [u8; COMMITMENT_BYTES] {
        let mut bytes = [0; COMMITMENT_BYTES];
        let seal = self.seal(key, parent, (Some(outputs), of));
        let parts = self.0.number.0.to_le_bytes().into_iter().chain(self.0.hash.0).chain(seal);
        for (byte, value) in bytes.iter_mut().zip(parts) {
            *byte = value;
        }
        bytes
    }

    /// Reads the data of a coinbase; nothing if it does not begin with the tag, or was not sealed with the key for this coinbase in a
    /// block on `parent`. An earlier software left the outputs out, which were all the pool's (`pool`).
    #[must_use]
    pub fn read(
        coinbase: &Transaction,
        tag: &[u8],
        key: &[u8; 32],
        parent: &BlockId,
        pool: &KeyHash,
    ) -> Option<(Self, CoinbaseOf)> {
        let (number, rest) = coinbase.coinbase_data.strip_prefix(tag)?.split_first_chunk::<8>()?;
        let (hash, rest) = rest.split_first_chunk::<32>()?;
        let commitment = Self(LogHead { number: LogNumber(u64::from_le_bytes(*number)), hash: LogHash(*hash) });
        let outputs = &coinbase.outputs;
        let is_the_pools = outputs.iter().all(|output| output.key_hash == *pool);
        let older = is_the_pools.then_some((None, CoinbaseOf::Window));
        let kinds = [(Some(outputs.as_slice()), CoinbaseOf::Window), (Some(outputs.as_slice()), CoinbaseOf::Others)];
        let sealed = kinds.into_iter().chain(older).find(|kind| rest == commitment.seal(key, parent, *kind));
        sealed.map(|(_, of)| (commitment, of))
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

    fn seal(self, key: &[u8; 32], parent: &BlockId, (outputs, of): (Option<&[TxOut]>, CoinbaseOf)) -> [u8; SEAL_BYTES] {
        let LogHead { number, hash } = self.0;
        let outputs = outputs.map(outputs_hash);
        let outputs = outputs.as_ref().map_or(&[][..], |hash| hash.as_slice());
        let others = if of == CoinbaseOf::Others { OTHERS } else { &[] };
        let parts = [key.as_slice(), &number.0.to_le_bytes(), &hash.0, &parent.0, outputs, others];
        let full = tagged_hash("BQIP0002/pool-commitment", &parts);
        full.first_chunk().copied().unwrap_or_default()
    }
}

fn outputs_hash(outputs: &[TxOut]) -> [u8; 32] {
    let bytes = |output: &TxOut| output.amount.atoms().to_le_bytes().into_iter().chain(output.key_hash.0);
    let all: Vec<u8> = outputs.iter().flat_map(bytes).collect();
    tagged_hash("BQIP0002/pool-outputs", &[&all])
}
