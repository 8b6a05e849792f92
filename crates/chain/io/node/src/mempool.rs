use std::{collections::BTreeMap, sync::Arc};

use bq_chain_api::{Announcement, SubmitTransactionError};
use bq_consensus::{
    Coin, CoinView, SpendContext, TransactionError, check_transaction, check_transaction_coins,
    check_transaction_signatures,
};
use bq_mempool::{AdmitError, Candidate, Mempool};
use bq_primitives::{Height, OutPoint, Transaction, TxId, TxOut};
use bq_store::ChainUpdate;

use crate::{Node, coins::StoreCoins};

/// Outputs of pooled transactions that a new transaction spends.
type PooledOutputs = BTreeMap<OutPoint, TxOut>;

impl Node {
    /// Verifies a transaction, first without keeping anyone waiting, then once more with its signatures remembered and
    /// nothing changing any more; and pools it.
    pub(crate) fn accept_transaction(&self, transaction: Transaction) -> Result<TxId, SubmitTransactionError> {
        let transaction = Arc::new(transaction);
        let txid = transaction.txid();
        let next = self.tree.read().tip().height.next().unwrap_or_default();
        let pooled = self.pooled_outputs(&transaction, &txid)?;
        let pooling = |candidate| self.mempool.read().examine(candidate, next).map(|_| ());
        self.verify_transaction(&transaction, &pooled, next, pooling)?;

        let _writer = self.writer.lock();
        let pooled = self.pooled_outputs(&transaction, &txid)?;
        let next = self.tree.read().tip().height.next().unwrap_or_default();
        let pooling = |candidate| self.mempool.read().examine(candidate, next).map(|_| ());
        let candidate = self.verify_transaction(&transaction, &pooled, next, pooling)?;
        let mut mempool = self.mempool.write();
        mempool.admit(candidate, next).map_err(not_admitted)?;
        self.metrics.mempool(mempool.len());
        drop(mempool);
        // No receiver is no error: nobody wants to know yet.
        let _ = self.announcements.send(Announcement::Transaction(transaction));
        Ok(txid)
    }

    /// Refuses what is known before anything is verified; and finds the pooled outputs that it spends.
    fn pooled_outputs(&self, transaction: &Transaction, txid: &TxId) -> Result<PooledOutputs, SubmitTransactionError> {
        if self.store.confirmation(txid).map_err(|error| self.store_failed(&error))?.is_some() {
            return Err(SubmitTransactionError::Duplicate);
        }
        let mempool = self.mempool.read();
        if mempool.contains(txid) {
            return Err(SubmitTransactionError::Duplicate);
        }
        let output = |input: &OutPoint| Some((*input, mempool.output(input)?));
        Ok(transaction.inputs.iter().filter_map(output).collect())
    }

    /// SPEC 6 and 7.9 for a transaction in a block of height `next`. Signatures come last, after what `pooling` says: a
    /// transaction that would not be pooled must not cost us its signatures.
    fn verify_transaction(
        &self,
        transaction: &Arc<Transaction>,
        pooled: &PooledOutputs,
        next: Height,
        pooling: impl FnOnce(Candidate) -> Result<(), AdmitError>,
    ) -> Result<Candidate, SubmitTransactionError> {
        if transaction.is_coinbase() {
            return Err(not_admitted(AdmitError::Coinbase));
        }
        check_transaction(transaction, next).map_err(invalid)?;
        let coins = StoreCoins::new(self.store.as_ref());
        let view = PooledCoins { coins: &coins, pooled, next };
        let context = SpendContext {
            height: next,
            coinbase_maturity: self.params.coinbase_maturity,
            genesis_id: self.genesis_id,
            coins: &view,
            signatures: &self.signatures,
        };
        let verdict = check_transaction_coins(&context, transaction);
        coins.finish().map_err(|error| self.store_failed(&error))?;
        let spends = verdict.map_err(invalid)?;
        let matures = |coin: &Coin| Height(coin.height.0.saturating_add(self.params.coinbase_maturity));
        let matured = spends.spent.iter().filter(|coin| coin.is_coinbase).map(matures).max();
        let valid_from = matured.unwrap_or_default().max(transaction.lock_height);
        let candidate = Candidate { transaction: Arc::clone(transaction), fee: spends.fee, valid_from };
        pooling(candidate.clone()).map_err(not_admitted)?;
        check_transaction_signatures(&context, transaction, &spends).map_err(invalid)?;
        Ok(candidate)
    }

    /// Brings the mempool to the new best chain: what was confirmed leaves, what was unconfirmed comes back.
    pub(crate) fn update_mempool(&self, update: &ChainUpdate, tip_before: Height, next: Height) {
        let mut mempool = self.mempool.write();
        let depth = u32::try_from(update.disconnect.len()).unwrap_or(u32::MAX);
        let above_fork = Height(tip_before.0.saturating_sub(depth).saturating_add(1));
        let gone = update.disconnect.iter().map(|step| step.transactions.as_slice());
        let orphaned = if depth == 0 { Vec::new() } else { mempool.blocks_disconnected(gone, above_fork) };
        for step in &update.connect {
            mempool.block_connected(&step.transactions);
        }
        let unconfirmed = update
            .disconnect
            .iter()
            .rev()
            .flat_map(|step| step.transactions.iter().skip(1).cloned().map(Arc::new))
            .chain(orphaned.into_iter().map(|candidate| candidate.transaction));
        for transaction in unconfirmed {
            if let Err(error) = self.readmit(&mut mempool, &transaction, next) {
                tracing::debug!(txid = %transaction.txid(), %error, "transaction left the mempool in a reorganisation");
            }
        }
        self.metrics.mempool(mempool.len());
    }

    fn readmit(
        &self,
        mempool: &mut Mempool,
        transaction: &Arc<Transaction>,
        next: Height,
    ) -> Result<(), SubmitTransactionError> {
        let output = |input: &OutPoint| Some((*input, mempool.output(input)?));
        let pooled = transaction.inputs.iter().filter_map(output).collect();
        let pooling = |candidate| mempool.examine(candidate, next).map(|_| ());
        let candidate = self.verify_transaction(transaction, &pooled, next, pooling)?;
        mempool.admit(candidate, next).map_err(not_admitted)?;
        Ok(())
    }
}

/// The coins of the best chain, and those that pooled transactions will make in the next block.
struct PooledCoins<'a> {
    coins: &'a StoreCoins<'a>,
    pooled: &'a PooledOutputs,
    next: Height,
}

impl CoinView for PooledCoins<'_> {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        let made = |output: &TxOut| Coin { output: *output, height: self.next, is_coinbase: false };
        self.pooled.get(outpoint).map(made).or_else(|| self.coins.coin(outpoint))
    }
}

fn invalid(error: TransactionError) -> SubmitTransactionError {
    SubmitTransactionError::Invalid(error.into())
}

fn not_admitted(error: AdmitError) -> SubmitTransactionError {
    match error {
        AdmitError::Duplicate(_) => SubmitTransactionError::Duplicate,
        AdmitError::Full => SubmitTransactionError::Full,
        other => SubmitTransactionError::Invalid(other.into()),
    }
}
