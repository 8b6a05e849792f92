//! The older books held of an open payout only what it pays; today its inputs are in flight whole, coin by coin.

use std::collections::BTreeMap;

use bq_ledger::{Books, LedgerAccount};
use bq_pool_machine::{BlockState, Origin, Payout, PoolBlock, PoolCoin};
use bq_primitives::OutPoint;

use super::Reason;

/// The balances, with those of the chain accounts moved to where the coins are. No other balance changes, but that coins which a
/// lost block took from the books without an account to bear it (they stand in suspense) are missing now.
pub(super) fn on_coins(
    books: &Books,
    blocks: &[PoolBlock],
    payouts: &[Payout],
    coins: &BTreeMap<OutPoint, PoolCoin>,
) -> Result<Vec<(LedgerAccount, u64)>, Reason> {
    let is_open = |coin: &PoolCoin| match coin.origin {
        Origin::Change(parent) => payouts.iter().any(|payout| payout.planned.id == parent && payout.is_open()),
        Origin::Block(_) | Origin::Stranger { .. } => false,
    };
    let is_immature = |coin: &PoolCoin| match coin.origin {
        Origin::Block(id) => blocks.iter().any(|block| block.candidate.id == id && block.state == BlockState::Immature),
        Origin::Change(_) | Origin::Stranger { .. } => false,
    };
    let (mut spendable, mut in_flight) = (0_u64, 0_u64);
    for coin in coins.values().filter(|coin| coin.spent.is_none() && !is_open(coin) && !is_immature(coin)) {
        let sum = if coin.payout.is_some() { &mut in_flight } else { &mut spendable };
        *sum = sum.saturating_add(coin.amount.atoms());
    }
    let held = |account| books.balance(account);
    let before = held(LedgerAccount::ChainSpendable).saturating_add(held(LedgerAccount::ChainInFlight));
    let after = spendable.saturating_add(in_flight);
    let missing = before.checked_sub(after).filter(|missing| *missing <= held(LedgerAccount::Suspense));
    let missing = missing.ok_or_else(|| {
        Reason(format!(
            "the books hold {before} atoms that can be spent, the coins of their blocks and payouts sum to {after}"
        ))
    })?;
    let mut balances: BTreeMap<LedgerAccount, u64> = books.balances().collect();
    balances.insert(LedgerAccount::ChainSpendable, spendable);
    balances.insert(LedgerAccount::ChainInFlight, in_flight);
    balances.insert(LedgerAccount::Missing, missing.saturating_add(held(LedgerAccount::Missing)));
    Ok(balances.into_iter().filter(|(_, balance)| *balance > 0).collect())
}
