use bq_chain_api::{Coin, TransactionStatus};
use bq_pool_store::{BlockState, PayoutState};
use bq_primitives::{Amount, BlockId, Height};

use crate::{PoolError, core::Core};

/// The books beside the chain, at one tip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reconciliation {
    /// The tip.
    pub(crate) tip: BlockId,
    /// Its height.
    pub(crate) tip_height: Height,
    /// Our coins on the chain, and what payouts took from it that are not final in the books, less what the books say:
    /// 0, or something happened that the pool did not do.
    pub(crate) delta: i128,
    /// Coins of the pool's key that come from neither a pool block nor a payout. They are in no book and are never spent:
    /// anyone can send some.
    pub(crate) unknown: u64,
    /// Coins that may be spent by the next payout.
    pub(crate) spendable: Vec<Coin>,
}

enum Origin {
    Unknown,
    /// Booked, but not yet matured in the books.
    Immature,
    Spendable,
}

impl Core {
    /// Compares the books with the chain at `settled`, the tip at which the pool's blocks were settled; nothing when the
    /// tip has moved since.
    pub(crate) fn reconcile(&self, settled: &BlockId) -> Result<Option<Reconciliation>, PoolError> {
        let found = self.at_one_tip(settled, |tip| {
            let mut found = Reconciliation { tip: tip.id, tip_height: tip.height, ..Reconciliation::default() };
            let mut on_chain: i128 = 0;
            for coin in self.node.coins_of(&self.key_hash)? {
                let amount = coin.output.amount.atoms();
                match self.origin(&coin)? {
                    Origin::Unknown => found.unknown = found.unknown.saturating_add(amount),
                    Origin::Immature => on_chain += i128::from(amount),
                    Origin::Spendable => {
                        on_chain += i128::from(amount);
                        found.spendable.push(coin);
                    }
                }
            }
            found.delta = on_chain + self.left_the_chain()? - self.on_chain_in_books()?;
            Ok(found)
        })?;
        if let Some(found) = &found {
            self.metrics.reconciled(found.delta, found.unknown);
            if found.delta != 0 {
                let (delta, tip) = (found.delta, found.tip);
                tracing::error!(%delta, %tip, "ledger and chain differ: payouts stop");
            }
        }
        Ok(found)
    }

    fn origin(&self, coin: &Coin) -> Result<Origin, PoolError> {
        if coin.is_coinbase {
            let block = self.store.block_of_coinbase(&coin.outpoint.txid)?;
            return Ok(match block.map(|block| block.state) {
                Some(BlockState::Matured) => Origin::Spendable,
                Some(BlockState::Immature) => Origin::Immature,
                _ => Origin::Unknown,
            });
        }
        let payout = self.store.payout_of_txid(&coin.outpoint.txid)?;
        Ok(if payout.is_some() { Origin::Spendable } else { Origin::Unknown })
    }

    /// What confirmed payouts took from the chain that the books still hold in flight.
    fn left_the_chain(&self) -> Result<i128, PoolError> {
        let mut sum = 0;
        for payout in self.store.open_payouts()? {
            let is_sent = payout.state != PayoutState::Reserved;
            let status = self.node.transaction_status(&payout.planned.txid)?;
            if is_sent && matches!(status, TransactionStatus::Confirmed { .. }) {
                let total = payout.planned.plan.total().map_err(|error| PoolError::Inconsistent(error.to_string()))?;
                sum += i128::from(total.atoms());
            }
        }
        Ok(sum)
    }

    fn on_chain_in_books(&self) -> Result<i128, PoolError> {
        let totals = self.store.totals()?;
        let parts = [totals.chain_immature, totals.chain_spendable, totals.chain_in_flight];
        Ok(parts.into_iter().map(|part: Amount| i128::from(part.atoms())).sum())
    }
}
