use crate::{
    Algorithm, BlockId, BlockWeight, DecodeError, Decoder, HEADER_BYTES, Header, MerkleRoot, Seal, Transaction,
    WeightError, codec::put_compact_size, merkle::merkle_root,
};

/// The smallest encoded transaction: no inputs, no outputs.
const TRANSACTION_BYTES_MIN: usize = 10;

/// A header, its seal, and the transactions both commit to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What is sealed.
    pub header: Header,
    /// The proof.
    pub seal: Seal,
    /// The coinbase first, then the others.
    pub transactions: Vec<Transaction>,
}

impl Block {
    /// No valid block is longer: 1 MB of base part at most, and as many 5,261-byte witnesses as 4,000,000 weight units
    /// leave room for (528 units per input).
    pub const ENCODED_BYTES_MAX: usize = 42_000_000;

    /// The block's name.
    #[must_use]
    pub fn id(&self) -> BlockId {
        self.header.block_id(&self.seal)
    }

    /// Header, seal, transaction count, transactions.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.header.to_bytes().to_vec();
        out.extend(self.seal.to_bytes());
        put_compact_size(&mut out, self.transactions.len());
        for transaction in &self.transactions {
            out.extend(transaction.to_bytes());
        }
        out
    }

    /// Reads a whole block and nothing after it.
    ///
    /// # Errors
    /// See [`DecodeError`]; longer inputs than [`Block::ENCODED_BYTES_MAX`] are refused unread.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > Self::ENCODED_BYTES_MAX {
            let got = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            return Err(DecodeError::CountTooLarge { got, max: Self::ENCODED_BYTES_MAX });
        }
        let mut decoder = Decoder::new(bytes);
        let header = Header::decode(&mut decoder)?;
        let seal = Seal::decode(header.algorithm, &mut decoder)?;
        let transactions = (0..decoder.count(TRANSACTION_BYTES_MIN)?)
            .map(|_| Transaction::decode(&mut decoder))
            .collect::<Result<_, _>>()?;
        decoder.finish()?;
        Ok(Self { header, seal, transactions })
    }

    /// Root of the transaction ids.
    #[must_use]
    pub fn tx_root(&self) -> MerkleRoot {
        tx_root(&self.transactions)
    }

    /// Root of the witness transaction ids.
    #[must_use]
    pub fn witness_root(&self) -> MerkleRoot {
        witness_root(&self.transactions)
    }

    /// `4 * (120 + seal length)` and the weight of every transaction (SPEC 6.5).
    ///
    /// # Errors
    /// [`WeightError`] when the sum leaves 64 bits.
    pub fn weight(&self) -> Result<BlockWeight, WeightError> {
        block_weight(self.header.algorithm, &self.transactions)
    }
}

/// Root of the ids of these transactions (SPEC 6.4).
#[must_use]
pub fn tx_root(transactions: &[Transaction]) -> MerkleRoot {
    merkle_root(transactions.iter().map(|transaction| transaction.txid().0))
}

/// Root of the witness ids of these transactions (SPEC 6.4).
#[must_use]
pub fn witness_root(transactions: &[Transaction]) -> MerkleRoot {
    merkle_root(transactions.iter().map(|transaction| transaction.wtxid().0))
}

/// Weight of a block that `algorithm` seals: `4 * (120 + seal length)` and the weight of every transaction (SPEC 6.5).
///
/// # Errors
/// [`WeightError`] when the sum leaves 64 bits.
pub fn block_weight(algorithm: Algorithm, transactions: &[Transaction]) -> Result<BlockWeight, WeightError> {
    let frame = BlockWeight::of(HEADER_BYTES.saturating_add(Seal::encoded_len(algorithm)), 0)?;
    transactions.iter().try_fold(frame, |sum, tx| sum.checked_add(tx.weight()?))
}
