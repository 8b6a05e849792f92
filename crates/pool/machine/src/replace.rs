//! A payout that no block takes is replaced by one that pays its block's miner more (SPEC 8.5.12): the same coins, so that only one of the two can
//! ever confirm, and the same payees at the same cost.

use bq_ledger::{LedgerError, PayoutPlan};
use bq_primitives::{AccountId, Amount, Height, OutPoint, TxId};
use serde::{Deserialize, Serialize};

use crate::{
    Fault, Payout, PayoutId, PayoutKind, PlannedPayout, State, Upkeep,
    plan::{finish, network_fee},
};

/// What became of a payout before the transaction that it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// Height of the tip when it was signed, or left the chain, last.
    pub since: Height,
    /// Its other transactions, oldest first; each may confirm in its place.
    pub others: Vec<Attempt>,
}

/// One transaction of a payout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// As it was planned.
    pub planned: PlannedPayout,
    /// `SHA-256` of its signed bytes, once there are some.
    pub signed: Option<[u8; 32]>,
}

/// Transactions of one payout at most.
pub(crate) const ATTEMPTS_MAX: usize = 8;
/// What a replacement may pay, in fees of the terms.
pub(crate) const FEES_MAX: u64 = 100;

impl State {
    /// What became of a payout, while it is kept.
    #[must_use]
    pub fn attempts(&self, payout: PayoutId) -> Option<&Attempts> {
        self.attempts.get(&payout)
    }

    /// Every transaction that a payout may confirm as: the one that it is now, then the others.
    pub fn transactions_of<'a>(&'a self, payout: &'a Payout) -> impl Iterator<Item = &'a PlannedPayout> + 'a {
        let others = self.attempts.get(&payout.planned.id).into_iter().flat_map(|attempts| &attempts.others);
        std::iter::once(&payout.planned).chain(others.map(|attempt| &attempt.planned))
    }

    /// Whether a transaction is one of a payout's.
    #[must_use]
    pub fn is_transaction_of(&self, payout: &Payout, txid: TxId) -> bool {
        self.transactions_of(payout).any(|planned| planned.txid == txid)
    }

    /// Whether an output is what a payout would leave over.
    pub(crate) fn is_change_of(&self, payout: &Payout, outpoint: OutPoint) -> bool {
        self.transactions_of(payout).any(|planned| planned.change_outpoint() == Some(outpoint))
    }
}

/// The transaction that takes a payout's place, if it has waited for long enough, its fee may rise, and nothing builds on it.
///
/// # Errors
/// Amounts leave their range, which books that balance cannot cause.
pub fn plan_replacement(state: &State, payout: &Payout, upkeep: &Upkeep) -> Result<Option<PlannedPayout>, Fault> {
    let (Some(tip), Some(terms)) = (state.tip(), state.terms().map(|terms| terms.payouts)) else { return Ok(None) };
    let since = state.attempts(payout.planned.id).map_or(tip.height, |attempts| attempts.since);
    let waited = tip.height.above(since).unwrap_or(0);
    if upkeep.replace_after == 0 || waited < upkeep.replace_after || state.check_replaceable(payout).is_err() {
        return Ok(None);
    }
    let by_terms = network_fee(state, &payout.planned, &terms)?.atoms();
    // Half as much again, and more than the least that relays it.
    let old = state.transactions_of(payout).map(|planned| planned.network_fee.atoms()).max().unwrap_or(0);
    let raised = old.saturating_add((old / 2).max(by_terms).max(1));
    let most = by_terms.saturating_mul(u64::from(upkeep.fees_max).min(FEES_MAX));
    let fee = Amount::from_atoms(raised.min(most))?;
    if fee.atoms() <= old {
        return Ok(None);
    }
    with_fee(&payout.planned, fee)?.map(|planned| finish(state, planned)).transpose()
}

/// The same payout with another network fee; nothing if somebody would get nothing.
pub(crate) fn with_fee(planned: &PlannedPayout, network_fee: Amount) -> Result<Option<PlannedPayout>, Fault> {
    let (kind, change) = match &planned.kind {
        PayoutKind::Miners(plan) => {
            let gross: Vec<(AccountId, Amount)> =
                plan.payees.iter().map(|payee| (payee.account, payee.gross)).collect();
            match PayoutPlan::in_order(gross, network_fee) {
                Ok(plan) => (PayoutKind::Miners(plan), planned.change),
                Err(LedgerError::FeeAboveAmount { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        PayoutKind::Withdrawal { gross, .. } if *gross <= network_fee => return Ok(None),
        PayoutKind::Withdrawal { .. } => (planned.kind.clone(), planned.change),
        PayoutKind::Fence | PayoutKind::Consolidation => match planned.spent()?.checked_sub(network_fee) {
            Ok(change) if change > Amount::ZERO => (planned.kind.clone(), change),
            _ => return Ok(None),
        },
    };
    Ok(Some(PlannedPayout { kind, change, network_fee, ..planned.clone() }))
}
