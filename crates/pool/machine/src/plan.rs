//! Which payout comes next (SPEC 8.5): who has waited longest, out of the fewest coins.

use std::{cmp::Reverse, collections::BTreeSet};

use bq_ledger::{LedgerAccount, LedgerError, PayoutPlan};
use bq_primitives::{AccountId, Amount, BlockWeight, KeyHash, OutPoint, Transaction, TxId};

use crate::{Fault, PayoutId, PayoutInput, PayoutKind, PayoutTerms, PlannedPayout, State};

/// The next payout to miners; nothing when nobody is due or no coin is free.
///
/// # Errors
/// Amounts leave their range, which books that balance cannot cause.
pub fn plan_payout(state: &State, now_ms: u64) -> Result<Option<PlannedPayout>, Fault> {
    let Some(terms) = state.terms().map(|terms| terms.payouts) else { return Ok(None) };
    let none = PayoutKind::Miners(PayoutPlan { payees: Vec::new(), network_fee: Amount::ZERO });
    let coins = free_coins(state, &none, terms.inputs_max);
    let mut due = select(state, &terms, sum(&coins)?)?;
    while !due.is_empty() {
        let total = Amount::sum(due.iter().map(|(_, amount)| *amount))?;
        let inputs = fewest(&coins, total)?;
        let change = sum(&inputs)?.checked_sub(total)?;
        // The weight depends on how many outputs there are, not on what they hold.
        let sketch = PayoutPlan::new(due.clone(), Amount::ZERO)?;
        let draft = draft(state, PayoutKind::Miners(sketch), inputs, change, now_ms);
        let fee = network_fee(state, &draft, &terms)?;
        match PayoutPlan::new(due.clone(), fee) {
            Ok(plan) => {
                return finish(state, PlannedPayout { kind: PayoutKind::Miners(plan), network_fee: fee, ..draft })
                    .map(Some);
            }
            Err(LedgerError::FeeAboveAmount { account, .. }) => due.retain(|(other, _)| *other != account),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// A payment of `gross` atoms, network fee included, to the operator's key.
///
/// # Errors
/// [`Fault::NotFree`] when no such coins are free; a fee above it.
pub fn plan_withdrawal(state: &State, to: KeyHash, gross: Amount, now_ms: u64) -> Result<PlannedPayout, Fault> {
    let terms = state.terms().map(|terms| terms.payouts).ok_or(Fault::NotOpened)?;
    let kind = PayoutKind::Withdrawal { to, gross };
    let coins = free_coins(state, &kind, terms.inputs_max);
    let has = sum(&coins)?.atoms();
    if has < gross.atoms() {
        return Err(Fault::NotFree { has, needed: gross.atoms() });
    }
    let inputs = fewest(&coins, gross)?;
    let change = sum(&inputs)?.checked_sub(gross)?;
    let draft = draft(state, kind, inputs, change, now_ms);
    let fee = network_fee(state, &draft, &terms)?;
    if fee >= gross {
        return Err(Fault::Payout { payout: draft.id, reason: "the network fee eats it" });
    }
    finish(state, PlannedPayout { network_fee: fee, ..draft })
}

/// The next payment to ourselves of coins that a forgotten payout may spend, or one that lost a gift for good. Where they are
/// worth less than it costs, the largest other coin pays for it: a crumb must not hold up a recovery. Nothing when there are
/// none, or no coin pays.
///
/// # Errors
/// As [`plan_payout`].
pub fn plan_fence(state: &State, now_ms: u64) -> Result<Option<PlannedPayout>, Fault> {
    let Some(terms) = state.terms().map(|terms| terms.payouts) else { return Ok(None) };
    let is_wanted = |input: &PayoutInput| {
        let outpoint = &input.outpoint;
        state.coin(outpoint).is_some_and(|coin| state.is_to_be_fenced(outpoint, coin))
    };
    let (mut inputs, others): (Vec<_>, Vec<_>) =
        free_coins(state, &PayoutKind::Fence, u32::MAX).into_iter().partition(is_wanted);
    if inputs.is_empty() {
        return Ok(None);
    }
    inputs.truncate(usize::try_from(terms.inputs_max).unwrap_or(usize::MAX));
    if let Some(fence) = to_ourselves(state, PayoutKind::Fence, inputs.clone(), &terms, now_ms)? {
        return Ok(Some(fence));
    }
    inputs.extend(others.first());
    to_ourselves(state, PayoutKind::Fence, inputs, &terms, now_ms)
}

/// The payment of these coins to ourselves, if they are worth it.
fn to_ourselves(
    state: &State,
    kind: PayoutKind,
    inputs: Vec<PayoutInput>,
    terms: &PayoutTerms,
    now_ms: u64,
) -> Result<Option<PlannedPayout>, Fault> {
    let worth = sum(&inputs)?;
    let draft = draft(state, kind, inputs, worth, now_ms);
    let fee = network_fee(state, &draft, terms)?;
    match worth.checked_sub(fee) {
        Ok(change) if change > Amount::ZERO => {
            finish(state, PlannedPayout { network_fee: fee, change, ..draft }).map(Some)
        }
        _ => Ok(None),
    }
}

/// Joins small coins, if there are more coins than `coins_max`, or if somebody is due and even the largest coins of a payout come to
/// less than the least payment. The smallest coins in the first case, so that little is under way; the largest in the second, so that it
/// ends. A coin that costs more to spend than it is worth stays where it is.
///
/// # Errors
/// As [`plan_payout`].
pub fn plan_consolidation(state: &State, coins_max: u32, now_ms: u64) -> Result<Option<PlannedPayout>, Fault> {
    let Some(terms) = state.terms().map(|terms| terms.payouts) else { return Ok(None) };
    let mut coins = free_coins(state, &PayoutKind::Consolidation, u32::MAX);
    let one_input = BlockWeight::of(INPUT_BYTES, 1).map_or(u64::MAX, BlockWeight::units);
    let cost = one_input.saturating_mul(terms.fee_rate).div_ceil(1000);
    coins.retain(|coin| coin.amount.atoms() > cost);
    let inputs_max = usize::try_from(terms.inputs_max).unwrap_or(usize::MAX);
    let largest: Vec<PayoutInput> = coins.iter().copied().take(inputs_max).collect();
    let is_blocked = state.due().next().is_some() && sum(&largest)? < terms.payout_min && coins.len() > inputs_max;
    let has_many = coins.len() > usize::try_from(coins_max).unwrap_or(usize::MAX);
    let smallest = || coins.iter().rev().copied().take(inputs_max).collect();
    let inputs: Vec<PayoutInput> = match (is_blocked, has_many) {
        (true, _) => largest,
        (false, true) => smallest(),
        (false, false) => return Ok(None),
    };
    if inputs.len() < 2 {
        return Ok(None);
    }
    let joined = to_ourselves(state, PayoutKind::Consolidation, inputs, &terms, now_ms)?;
    // What it costs is the pool's to bear: miners' coins are not spent on order.
    let own = state.withdrawable().iter().fold(0_u64, |sum, (_, amount)| sum.saturating_add(*amount));
    Ok(joined.filter(|joined| is_blocked || joined.network_fee.atoms() <= own))
}

/// Bytes of a transaction that an input takes, its witness aside.
const INPUT_BYTES: usize = 36;

/// Keys without an account that a transaction pays which spends coins of the pool only; nothing for any other transaction.
#[must_use]
pub fn unknown_payees(state: &State, transaction: &Transaction) -> Option<BTreeSet<KeyHash>> {
    let key = state.key().ok()?;
    let is_ours = transaction.inputs.iter().all(|outpoint| state.coin(outpoint).is_some() && !state.is_cold(outpoint));
    let payees = transaction.outputs.iter().map(|output| output.key_hash);
    let unknown = payees.filter(|payee| *payee != key && state.accounts().find(payee).is_none());
    is_ours.then(|| unknown.collect())
}

/// What a transaction of this pool was planned as, read back from the chain after the log forgot it; nothing if it is none,
/// or pays a key that has no account.
#[must_use]
pub fn recognise(state: &State, transaction: &Transaction, time_ms: u64) -> Option<PlannedPayout> {
    let key = state.key().ok()?;
    let inputs = transaction.inputs.iter().map(|outpoint| {
        // No payout spends what the pool has no key for.
        let amount = state.coin(outpoint).filter(|_| !state.is_cold(outpoint))?.amount;
        Some(PayoutInput { outpoint: *outpoint, amount })
    });
    let inputs = inputs.collect::<Option<Vec<_>>>()?;
    let (change, payments) = match transaction.outputs.split_last() {
        Some((last, payments)) if last.key_hash == key => (last.amount, payments),
        _ => (Amount::ZERO, transaction.outputs.as_slice()),
    };
    let paid = Amount::sum(payments.iter().map(|output| output.amount)).ok()?;
    let network_fee = sum(&inputs).ok()?.checked_sub(paid).ok()?.checked_sub(change).ok()?;
    let accounts = payments.iter().map(|output| Some((state.accounts().find(&output.key_hash)?, output.amount)));
    let kind = match accounts.collect::<Option<Vec<_>>>()? {
        none if none.is_empty() => PayoutKind::Fence,
        nets => PayoutKind::Miners(plan_of(&nets, network_fee)?),
    };
    let draft = PlannedPayout { network_fee, ..draft(state, kind, inputs, change, time_ms) };
    finish(state, draft).ok().filter(|planned| planned.txid == transaction.txid())
}

/// The plan that pays exactly this: each payee was debited its payment and its part of the fee.
fn plan_of(nets: &[(AccountId, Amount)], network_fee: Amount) -> Option<PayoutPlan> {
    // The split of the fee depends on the number of payees alone, so it is asked with amounts that bear any fee.
    let bearable = nets.iter().map(|(account, _)| (*account, Amount::MAX)).collect();
    let split = PayoutPlan::in_order(bearable, network_fee).ok()?;
    let gross = nets
        .iter()
        .zip(&split.payees)
        .map(|((account, net), payee)| Some((*account, net.checked_add(payee.fee).ok()?)));
    PayoutPlan::in_order(gross.collect::<Option<Vec<_>>>()?, network_fee).ok()
}

/// Who is paid out of `available`: those due longest first, each whole. Who does not fit is passed over, so that one large
/// balance does not hold up small ones; the one who has waited longest takes all there is instead, so that no balance is too
/// large to be paid.
fn select(state: &State, terms: &PayoutTerms, available: Amount) -> Result<Vec<(AccountId, Amount)>, Fault> {
    let mut queue: Vec<_> = state.due().map(|(account, since)| (since, account)).collect();
    queue.sort_unstable();
    let payees_max = usize::try_from(terms.payees_max).unwrap_or(usize::MAX);
    let mut left = available;
    let mut due = Vec::new();
    for (_, account) in queue {
        if due.len() >= payees_max || left < terms.payout_min {
            break;
        }
        let payable = Amount::from_atoms(state.books().balance(LedgerAccount::MinerPayable(account)))?;
        let gross = if due.is_empty() { payable.min(left) } else { payable };
        if gross <= left {
            left = left.checked_sub(gross)?;
            due.push((account, gross));
        }
    }
    due.sort_unstable_by_key(|(account, _)| *account);
    Ok(due)
}

/// Coins that such a payout may spend, largest first, at most `max`.
fn free_coins(state: &State, kind: &PayoutKind, max: u32) -> Vec<PayoutInput> {
    let coins = state.coins().filter(|(outpoint, coin)| state.is_input(outpoint, coin, kind));
    let mut coins: Vec<PayoutInput> =
        coins.map(|(outpoint, coin)| PayoutInput { outpoint, amount: coin.amount }).collect();
    coins.sort_unstable_by_key(|coin| (Reverse(coin.amount), coin.outpoint));
    coins.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    coins
}

/// As many of `coins`, largest first, as reach `total`.
fn fewest(coins: &[PayoutInput], total: Amount) -> Result<Vec<PayoutInput>, Fault> {
    let mut worth = Amount::ZERO;
    let mut inputs = Vec::new();
    for coin in coins {
        if worth >= total {
            break;
        }
        worth = worth.checked_add(coin.amount)?;
        inputs.push(*coin);
    }
    Ok(inputs)
}

fn draft(state: &State, kind: PayoutKind, inputs: Vec<PayoutInput>, change: Amount, time_ms: u64) -> PlannedPayout {
    let id = PayoutId(state.newest_payout.0.saturating_add(1));
    PlannedPayout { id, kind, inputs, change, network_fee: Amount::ZERO, txid: TxId::ZERO, time_ms }
}

/// Rate times weight, rounded up.
pub(crate) fn network_fee(state: &State, draft: &PlannedPayout, terms: &PayoutTerms) -> Result<Amount, Fault> {
    let refuse = |reason| Fault::Payout { payout: draft.id, reason };
    let transaction = draft.transaction(state.accounts(), state.key()?).ok_or(refuse("a payee has no key"))?;
    let weight = BlockWeight::of(transaction.base_len(), transaction.inputs.len());
    let weight = weight.map_err(|_| refuse("its weight leaves the range"))?;
    fee_of(weight, terms.fee_rate).ok_or(refuse("its fee leaves the range"))
}

/// Rate times weight, rounded up; nothing if that leaves the range.
pub(crate) fn fee_of(weight: BlockWeight, rate: u64) -> Option<Amount> {
    Amount::from_atoms(weight.units().checked_mul(rate)?.div_ceil(1000)).ok()
}

pub(crate) fn finish(state: &State, planned: PlannedPayout) -> Result<PlannedPayout, Fault> {
    let refuse = Fault::Payout { payout: planned.id, reason: "a payee has no key" };
    let transaction = planned.transaction(state.accounts(), state.key()?).ok_or(refuse)?;
    Ok(PlannedPayout { txid: transaction.txid(), ..planned })
}

fn sum(coins: &[PayoutInput]) -> Result<Amount, Fault> {
    debug_assert_eq!(coins.iter().map(|coin| coin.outpoint).collect::<BTreeSet<OutPoint>>().len(), coins.len());
    Ok(Amount::sum(coins.iter().map(|coin| coin.amount))?)
}
