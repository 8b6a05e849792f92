use bq_pool_machine::{COMMITMENT_BYTES, LogHash, LogHead, LogNumber};
use bq_primitives::{
    Amount, Block, BlockId, DecodeError, Decoder, Height, KeyHash, MerkleRoot, Network, SealedHeader, Transaction,
    merkle_path_of_first, merkle_root_of_first,
};
use serde::{Deserialize, Serialize};

use crate::{Bytes, document::grown};

/// Which pool on which chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolIdentity {
    /// The chain.
    pub network: Network,
    /// Its first block.
    pub genesis: BlockId,
    /// Hash of the key that the pool's coinbases pay.
    pub key: KeyHash,
    /// What the data of the pool's coinbases begins with.
    pub tag: Bytes,
}

/// Proof that a coinbase names a head of the pool's log (SPEC 8.10.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinbaseProof {
    /// The block's header and seal.
    pub header: Bytes,
    /// Its coinbase.
    pub coinbase: Bytes,
    /// What stands beside the way from the coinbase to the transaction root, from the bottom: its right neighbours.
    #[serde(deserialize_with = "grown")]
    pub path: Vec<[u8; 32]>,
}

/// What a coinbase says of the log. It counts once the block is on the best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The block.
    pub block: BlockId,
    /// Its height.
    pub height: Height,
    /// The log's newest event when the block's work began.
    pub head: LogHead,
}

/// A coinbase does not name a head of the pool's log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoinbaseFault {
    /// The bytes are no header with its seal.
    #[error("the header cannot be read: {0}")]
    Header(DecodeError),
    /// The bytes are no transaction.
    #[error("the coinbase cannot be read: {0}")]
    Transaction(DecodeError),
    /// It is a transaction like others.
    #[error("the transaction is no coinbase")]
    NotCoinbase,
    /// It is the coinbase of another height.
    #[error("a coinbase of height {got} in a block of height {expected}")]
    Height {
        /// In the coinbase.
        got: Height,
        /// In the header.
        expected: Height,
    },
    /// More levels than a block has room for.
    #[error("a path of {got} hashes, a block has {PATH_MAX} levels at most")]
    PathLength {
        /// Hashes in the proof.
        got: usize,
    },
    /// The block holds other transactions.
    #[error("it leads to transaction root {got}, the header has {expected}")]
    Root {
        /// Where coinbase and path lead.
        got: MerkleRoot,
        /// In the header.
        expected: MerkleRoot,
    },
    /// It is a stranger's.
    #[error("it pays nothing to the pool's key {expected}")]
    NotThePools {
        /// The pool's key.
        expected: KeyHash,
    },
    /// Its data is not the pool's tag and a commitment.
    #[error("its data is not the pool's tag and a commitment")]
    Data,
}

/// Levels above 2^32 transactions.
const PATH_MAX: usize = 32;

impl CoinbaseProof {
    /// Proof of what this block's coinbase says. That of a block without transactions, which no chain has, proves nothing.
    #[must_use]
    pub fn of(block: &Block) -> Self {
        let mut header = Vec::new();
        SealedHeader { header: block.header, seal: block.seal }.put(&mut header);
        let coinbase = block.transactions.first().map(Transaction::to_bytes).unwrap_or_default();
        let path = merkle_path_of_first(block.transactions.iter().map(|transaction| transaction.txid().0));
        Self { header: Bytes(header), coinbase: Bytes(coinbase), path }
    }

    /// The block and the head that it names.
    ///
    /// # Errors
    /// [`CoinbaseFault`].
    pub fn verify(&self, pool: &PoolIdentity) -> Result<Anchor, CoinbaseFault> {
        let sealed = read(&self.header, SealedHeader::decode).map_err(CoinbaseFault::Header)?;
        let coinbase = read(&self.coinbase, Transaction::decode).map_err(CoinbaseFault::Transaction)?;
        let (header, height) = (sealed.header, sealed.header.height);
        self.check_place(&coinbase, height, header.tx_root)?;
        let pays = |key| coinbase.outputs.iter().any(|output| output.key_hash == key && output.amount > Amount::ZERO);
        if !pays(pool.key) {
            return Err(CoinbaseFault::NotThePools { expected: pool.key });
        }
        let head = read_head(&coinbase.coinbase_data, &pool.tag.0).ok_or(CoinbaseFault::Data)?;
        Ok(Anchor { block: sealed.id(), height, head })
    }

    /// Whether it is the first transaction under this root, and of this height.
    fn check_place(&self, coinbase: &Transaction, expected: Height, root: MerkleRoot) -> Result<(), CoinbaseFault> {
        let got = match coinbase.inputs.as_slice() {
            [input] if coinbase.is_coinbase() => Height(input.index),
            _ => return Err(CoinbaseFault::NotCoinbase),
        };
        if got != expected {
            return Err(CoinbaseFault::Height { got, expected });
        }
        if self.path.len() > PATH_MAX {
            return Err(CoinbaseFault::PathLength { got: self.path.len() });
        }
        let got = merkle_root_of_first(&coinbase.txid().0, &self.path);
        if got == root { Ok(()) } else { Err(CoinbaseFault::Root { got, expected: root }) }
    }
}

/// Number and hash between the tag and the seal (SPEC 8.6.10). The seal is only counted: it says something to the holder of the
/// pool's key alone.
fn read_head(data: &[u8], tag: &[u8]) -> Option<LogHead> {
    let commitment = data.strip_prefix(tag).filter(|rest| rest.len() == COMMITMENT_BYTES)?;
    let (number, rest) = commitment.split_first_chunk::<8>()?;
    let hash = rest.first_chunk::<32>()?;
    Some(LogHead { number: LogNumber(u64::from_le_bytes(*number)), hash: LogHash(*hash) })
}

/// Reads a record and nothing after it.
fn read<T>(bytes: &Bytes, decode: fn(&mut Decoder<'_>) -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    let mut decoder = Decoder::new(&bytes.0);
    let value = decode(&mut decoder)?;
    decoder.finish()?;
    Ok(value)
}
