use bq_primitives::{Height, OutPoint, Transaction, TxId};

use crate::{Candidate, Mempool, PooledTransaction};

/// What a connected block took out of the pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// In the block, so confirmed.
    pub included: Vec<TxId>,
    /// Spending what the block spends otherwise, or building on such a transaction: gone for good on this branch.
    pub conflicting: Vec<TxId>,
}

impl Mempool {
    /// A block joined the best chain: its transactions, in their order, leave the pool, and so does what conflicts.
    pub fn block_connected(&mut self, transactions: &[Transaction]) -> Removed {
        let mut removed = Removed::default();
        for transaction in transactions.iter().filter(|transaction| !transaction.is_coinbase()) {
            let txid = transaction.txid();
            if self.remove_one(&txid).is_some() {
                removed.included.push(txid);
            }
            for input in &transaction.inputs {
                if let Some(spender) = self.spender_of(input) {
                    let gone = self.remove_with_descendants(&spender);
                    removed.conflicting.extend(gone.iter().map(|pooled| pooled.txid));
                }
            }
        }
        removed
    }

    /// Blocks left the best chain, and the next block has height `next` again. Pooled transactions that spend an
    /// output of these blocks, or that are not valid so early, go with what builds on them; they are returned parents
    /// first, signatures still good.
    ///
    /// When the new branch is connected, verify and admit again, in this order: the transactions of the disconnected
    /// blocks from the lowest block up (without their coinbases), then what this function returned.
    pub fn blocks_disconnected<'a>(
        &mut self,
        blocks: impl IntoIterator<Item = &'a [Transaction]>,
        next: Height,
    ) -> Vec<Candidate> {
        let mut orphaned = Vec::new();
        for transaction in blocks.into_iter().flatten() {
            let txid = transaction.txid();
            let outputs = OutPoint { txid, index: 0 }..=OutPoint { txid, index: u32::MAX };
            let spenders: Vec<_> = self.spenders.range(outputs).map(|(_, txid)| *txid).collect();
            orphaned.extend(self.remove_all(&spenders));
        }
        orphaned.extend(self.remove_not_yet_valid(next));
        orphaned.sort_unstable_by_key(|pooled| pooled.arrival);
        orphaned.iter().map(PooledTransaction::to_candidate).collect()
    }

    fn remove_not_yet_valid(&mut self, next: Height) -> Vec<PooledTransaction> {
        let early: Vec<_> = self.iter().filter(|pooled| pooled.valid_from > next).map(|pooled| pooled.txid).collect();
        self.remove_all(&early)
    }

    fn remove_all(&mut self, txids: &[TxId]) -> Vec<PooledTransaction> {
        txids.iter().flat_map(|txid| self.remove_with_descendants(txid)).collect()
    }
}
