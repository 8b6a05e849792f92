use std::sync::Arc;

use bq_primitives::{Amount, BlockWeight, Height, Transaction, TxId, WtxId};

use crate::Density;

/// A transaction that asks to be pooled. The caller vouches for every field: signatures hold, each input spends an
/// unspent output of the best chain or of a pooled transaction, and `fee` is inputs minus outputs.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// What it leaves to the miner.
    pub fee: Amount,
    /// The lowest height of a block that may hold it: the later of its lock height and the maturity of every coinbase
    /// output that it spends. A reorganisation to below this height puts it out again.
    pub valid_from: Height,
}

/// A transaction in the pool, with what never changes about it.
#[derive(Clone, Debug)]
pub struct PooledTransaction {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// Its id.
    pub txid: TxId,
    /// Its id with its witness: hashed once here and not again for every template.
    pub wtxid: WtxId,
    /// What it leaves to the miner.
    pub fee: Amount,
    /// Its share of the block's weight.
    pub weight: BlockWeight,
    /// Bytes of its encoded form, witness included.
    pub encoded_len: usize,
    /// The lowest height of a block that may hold it.
    pub valid_from: Height,
    /// How many transactions were admitted before it. A parent's is always lower than its child's.
    pub arrival: u64,
}

impl PooledTransaction {
    /// Its own fee for its own weight.
    #[must_use]
    pub fn density(&self) -> Density {
        Density::new(self.fee, self.weight)
    }

    pub(crate) fn to_candidate(&self) -> Candidate {
        Candidate { transaction: Arc::clone(&self.transaction), fee: self.fee, valid_from: self.valid_from }
    }
}
