//! While a recovery is open: payouts of the pool that the log does not know are looked for on the chain and taken over.

use std::collections::BTreeSet;

use bq_books::Row;
use bq_pool_machine::{Act, Event, Fault, NewAccount, Reason, recognise, unknown_payees};
use bq_primitives::{Height, KeyHash, Transaction, TxId};

use crate::{PoolError, Refusal, keeper::Keeper, rows::signed_row};

/// What the log is told at once.
pub(crate) struct Told {
    pub(crate) events: Vec<Event>,
    pub(crate) row: Option<Row>,
}

impl From<Event> for Told {
    fn from(event: Event) -> Self {
        Self { events: vec![event], row: None }
    }
}

impl Keeper {
    /// Takes over what can be, oldest first.
    pub(crate) fn adopt_forgotten(&self) -> Result<(), PoolError> {
        if self.state.read().recovery().is_none() {
            return Ok(());
        }
        let mut unknown: BTreeSet<(Height, TxId)> = self.foreign_spends().collect();
        let mut transactions = Vec::new();
        while let Some((height, txid)) = unknown.pop_first() {
            transactions.extend(self.transaction_at(height, &txid)?);
        }
        let key = self.books_key();
        let payments =
            |transaction: &Transaction| transaction.outputs.iter().filter(|output| output.key_hash != key).count();
        for transaction in makers_first(transactions) {
            // One new key alone may as well be that of a withdrawal: a person says which.
            let new = unknown_payees(&self.state.read(), &transaction);
            let Some(new) = new.filter(|new| new.is_empty() || payments(&transaction) > 1) else { continue };
            let why = format!("payout {} was found on the chain", transaction.txid());
            let reason = Reason { who: "recovery".to_owned(), why };
            let txid = transaction.txid();
            match self.adoption(&transaction, &new, &reason) {
                Ok(None) => {}
                Ok(Some(Told { events, row })) => {
                    let all = self.tell_all(&events, row.into_iter().collect())?;
                    tracing::warn!(%txid, "took over a payout that the log had lost");
                    all.iter().for_each(|applied| self.show_changes(applied));
                }
                // It spends the change of one that waits too, or a person has said otherwise of its coins.
                Err(fault) => tracing::debug!(%txid, %fault, "a payout that the log lost is not taken over"),
            }
        }
        Ok(())
    }

    /// What takes over a transaction that a person calls a payout.
    pub(crate) fn named_adoption(&self, txid: &TxId, reason: &Reason) -> Result<Told, Refusal> {
        let unfit = |reason: &str| Refusal::Value { field: "txid", reason: reason.to_owned() };
        let height = self.foreign_spends().find(|(_, by)| by == txid).map(|(height, _)| height);
        let height = height.ok_or_else(|| unfit("that transaction spent no coin that is missing"))?;
        let transaction = self.transaction_at(height, txid)?.ok_or_else(|| unfit("the chain does not hold it"))?;
        let is_none = || unfit("the pool would have planned no such payout");
        let new = unknown_payees(&self.state.read(), &transaction).ok_or_else(is_none)?;
        self.adoption(&transaction, &new, reason)?.ok_or_else(is_none)
    }

    /// What takes a transaction over: accounts for the keys that have none, then the payout. Nothing if the pool would not have
    /// planned it.
    fn adoption(
        &self,
        transaction: &Transaction,
        new: &BTreeSet<KeyHash>,
        reason: &Reason,
    ) -> Result<Option<Told>, Fault> {
        let mut trial = self.state.read().clone();
        let mut events = Vec::with_capacity(new.len().saturating_add(1));
        for key in new {
            let Some(account) = trial.accounts().next() else { return Ok(None) };
            let event = Event::Account(NewAccount { account, key: *key });
            trial.apply(&event, &self.shares)?;
            events.push(event);
        }
        let Some(planned) = recognise(&trial, transaction, self.now_ms()) else { return Ok(None) };
        let row = signed_row(planned.id, transaction.to_bytes());
        let event = Event::Operator(reason.to_operator(Act::AdoptPayout(planned), self.now_ms()));
        trial.apply(&event, &self.shares)?;
        trial.check()?;
        events.push(event);
        Ok(Some(Told { events, row: Some(row) }))
    }

    /// What spent the pool's coins and is in no book, with its height.
    fn foreign_spends(&self) -> impl Iterator<Item = (Height, TxId)> + use<> {
        let state = self.state.read();
        let foreign = state.coins().filter(|(_, coin)| coin.payout.is_none());
        let spends = foreign.filter_map(|(_, coin)| coin.spent).filter(|spent| !spent.explained);
        spends.map(|spent| (spent.height, spent.by)).collect::<Vec<_>>().into_iter()
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
