//! While a recovery is open: payouts of the pool that the log does not know are looked for on the chain and taken over.

use std::collections::BTreeSet;

use bq_pool_machine::{Act, Event, Fault, Operator, recognise};
use bq_primitives::{Height, Transaction, TxId};

use crate::{PoolError, keeper::Keeper, rows::signed_row};

impl Keeper {
    /// Takes over what can be, oldest first.
    pub(crate) fn adopt_forgotten(&self) -> Result<(), PoolError> {
        let mut unknown: BTreeSet<(Height, TxId)> = {
            let state = self.state.read();
            if state.recovery().is_none() {
                return Ok(());
            }
            let foreign = state.coins().filter(|(_, coin)| coin.payout.is_none());
            let spends = foreign.filter_map(|(_, coin)| coin.spent).filter(|spent| !spent.explained);
            spends.map(|spent| (spent.height, spent.by)).collect()
        };
        let mut transactions = Vec::new();
        while let Some((height, txid)) = unknown.pop_first() {
            transactions.extend(self.transaction_at(height, &txid)?);
        }
        for transaction in makers_first(transactions) {
            let txid = transaction.txid();
            let planned = recognise(&self.state.read(), &transaction, self.now_ms());
            let Some(planned) = planned else { continue };
            let (id, bytes) = (planned.id, transaction.to_bytes());
            let operator = Operator {
                act: Act::AdoptPayout(planned),
                who: "recovery".to_owned(),
                reason: format!("payout {txid} was found on the chain"),
                time_ms: self.now_ms(),
            };
            match self.tell(&Event::Operator(operator), vec![signed_row(id, bytes)]) {
                Ok(applied) => {
                    tracing::warn!(payout = %id, %txid, "took over a payout that the log had lost");
                    self.show_changes(&applied);
                }
                // One that spends the change of another waits for that one.
                Err(PoolError::Fault(Fault::Operator(_) | Fault::Coin(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn transaction_at(&self, height: Height, txid: &TxId) -> Result<Option<Transaction>, PoolError> {
        let Some(id) = self.node.block_id_at(height)? else { return Ok(None) };
        let Some(block) = self.node.block(&id)? else { return Ok(None) };
        Ok(block.transactions.iter().find(|transaction| transaction.txid() == *txid).cloned())
    }
}

/// One that spends what another makes comes after that one: then it spends change, and not a gift.
fn makers_first(mut left: Vec<Transaction>) -> Vec<Transaction> {
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waiting: BTreeSet<TxId> = left.iter().map(Transaction::txid).collect();
        let spends = |transaction: &Transaction| transaction.inputs.iter().any(|input| waiting.contains(&input.txid));
        let (later, now): (Vec<_>, Vec<_>) = left.into_iter().partition(spends);
        if now.is_empty() {
            break;
        }
        ordered.extend(now);
        left = later;
    }
    ordered
}
