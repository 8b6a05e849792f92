use std::sync::Arc;

use crate::{Height, MerkleRoot, Transaction, TxId, WtxId, merkle_path_of_first, merkle_root_of_first};

/// The transactions of a block to be: a coinbase, and what follows it. The blocks of several algorithms share the latter, while
/// each may have a coinbase of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsealedBody {
    /// The first transaction.
    pub coinbase: Arc<Transaction>,
    /// All others, in order.
    pub others: Arc<Vec<Transaction>>,
}

impl UnsealedBody {
    /// A body out of all transactions of a block; nothing when there are none.
    #[must_use]
    pub fn of_transactions(mut transactions: Vec<Transaction>) -> Option<Self> {
        if transactions.is_empty() {
            return None;
        }
        let coinbase = transactions.remove(0);
        Some(Self { coinbase: Arc::new(coinbase), others: Arc::new(transactions) })
    }

    /// The coinbase first, then the others.
    pub fn iter(&self) -> impl Iterator<Item = &Transaction> {
        std::iter::once(self.coinbase.as_ref()).chain(self.others.iter())
    }

    /// As [`UnsealedBody::iter`], for a block.
    #[must_use]
    pub fn to_transactions(&self) -> Vec<Transaction> {
        self.iter().cloned().collect()
    }
}

/// A coinbase that pays nobody, and nothing else: no block.
impl Default for UnsealedBody {
    fn default() -> Self {
        let coinbase = Transaction::coinbase(Height::GENESIS, Vec::new(), Vec::new());
        Self { coinbase: Arc::new(coinbase), others: Arc::default() }
    }
}

/// What the two roots of a header need beside the coinbase (SPEC 6.4): another coinbase under the same transactions costs one hash for
/// each level of the trees, not for each transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoinbasePaths {
    txids: Vec<[u8; 32]>,
    wtxids: Vec<[u8; 32]>,
}

impl CoinbasePaths {
    /// By the ids of the transactions behind the coinbase.
    #[must_use]
    pub fn of(ids: impl Iterator<Item = (TxId, WtxId)> + Clone) -> Self {
        let behind = |ids: Vec<[u8; 32]>| merkle_path_of_first(std::iter::once([0; 32]).chain(ids));
        let txids = behind(ids.clone().map(|(txid, _)| txid.0).collect());
        Self { txids, wtxids: behind(ids.map(|(_, wtxid)| wtxid.0).collect()) }
    }

    /// Root of the ids and root of the witness ids, as [`crate::tx_root`] and [`crate::witness_root`] have them.
    #[must_use]
    pub fn roots(&self, coinbase: &Transaction) -> (MerkleRoot, MerkleRoot) {
        let root = |id: [u8; 32], path: &[[u8; 32]]| merkle_root_of_first(&id, path);
        (root(coinbase.txid().0, &self.txids), root(coinbase.wtxid().0, &self.wtxids))
    }
}
