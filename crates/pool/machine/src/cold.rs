//! A key that is on no machine of the pool, and the float that the pool pays out of (SPEC 8.13).

use std::collections::{BTreeMap, BTreeSet};

use bq_ledger::LedgerAccount;
use bq_primitives::{Amount, BlockWeight, Height, KeyHash, OutPoint, Transaction, TxId, TxOut};
use serde::{Deserialize, Serialize};

use crate::{PayoutKind, PoolCoin, State, Upkeep, plan::fee_of};

/// As many times the fee of the terms as a fill may cost at most: beyond that it is no fill, and a person has to look.
const FILL_FEES_MAX: u64 = 100;

/// What the log is told of the cold key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColdEvent {
    /// Coinbases pay this key from now on; nothing: the pool's own.
    Key(Option<KeyHash>),
    /// These coins are the cold key's. Told before the candidate or the way that brings them.
    Coins(Vec<OutPoint>),
    /// A transaction moves coins of the cold key. Told before the way that has it.
    Fill(Fill),
}

/// A transaction that spends coins of cold keys alone and pays nobody but the pool's own key and cold ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Version of the transaction.
    pub version: u32,
    /// The lowest height that it may stand at.
    pub lock_height: Height,
    /// What it spends, in order.
    pub inputs: Vec<OutPoint>,
    /// What it makes, in order.
    pub outputs: Vec<TxOut>,
}

/// What the state knows of cold keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ColdState {
    /// Whom coinbases pay; nothing: the pool's own key.
    pub(crate) current: Option<KeyHash>,
    /// Every one that ever was: a block of then may join, and coins lie there.
    pub(crate) keys: BTreeSet<KeyHash>,
    /// Coins of those, and the height of the tip when that was told.
    pub(crate) coins: BTreeMap<OutPoint, Height>,
    /// Fills that are on the best chain, or may be.
    pub(crate) fills: BTreeMap<TxId, KnownFill>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownFill {
    pub(crate) fill: Fill,
    /// Height of its block, once it is booked.
    pub(crate) joined: Option<Height>,
    /// What it left to the miner of that block.
    pub(crate) fee: Amount,
    /// Height of the tip when it was told, or when it left the best chain.
    pub(crate) since: Height,
}

/// How the float stands, in atoms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Float {
    /// What accounts that are due are owed.
    pub due: u64,
    /// Coins that can pay them now.
    pub held: u64,
    /// Change of payouts that are under way.
    pub returning: u64,
    /// Coins on their way from the cold key.
    pub arriving: u64,
    /// The most that it should hold; nothing while there is nothing to measure that by.
    pub most: Option<u64>,
}

impl Fill {
    /// The transaction without its signatures.
    #[must_use]
    pub fn transaction(&self) -> Transaction {
        Transaction {
            version: self.version,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            lock_height: self.lock_height,
            coinbase_data: Vec::new(),
            witnesses: Vec::new(),
        }
    }

    /// What a transaction of the chain is told as.
    #[must_use]
    pub fn of(transaction: &Transaction) -> Self {
        let Transaction { version, inputs, outputs, lock_height, .. } = transaction;
        Self { version: *version, lock_height: *lock_height, inputs: inputs.clone(), outputs: outputs.clone() }
    }
}

impl Float {
    /// What the float lacks to pay all that is due, once what is under way has come.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.due.saturating_sub(self.held).saturating_sub(self.returning).saturating_sub(self.arriving)
    }

    /// Somebody who is due has to wait for coins of the cold key.
    #[must_use]
    pub const fn is_low(&self) -> bool {
        self.due > self.held.saturating_add(self.returning)
    }

    /// More lies with the pool's own key than should.
    #[must_use]
    pub fn is_high(&self) -> bool {
        self.most.is_some_and(|most| self.held.saturating_add(self.arriving) > most)
    }
}

impl State {
    /// The cold key that coinbases pay; nothing: the pool's own.
    #[must_use]
    pub const fn cold_key(&self) -> Option<KeyHash> {
        self.cold.current
    }

    /// Whom the pool's own output of a coinbase pays.
    #[must_use]
    pub fn coinbase_key(&self) -> Option<KeyHash> {
        self.cold.current.or(self.opened.map(|opened| opened.key))
    }

    /// Whether a key is the pool's: its own, or a cold one.
    #[must_use]
    pub fn owns(&self, key: &KeyHash) -> bool {
        self.cold.keys.contains(key) || self.opened.is_some_and(|opened| opened.key == *key)
    }

    /// Every cold key that there ever was.
    #[must_use]
    pub const fn cold_keys(&self) -> &BTreeSet<KeyHash> {
        &self.cold.keys
    }

    /// Whether a coin is a cold key's.
    #[must_use]
    pub fn is_cold(&self, outpoint: &OutPoint) -> bool {
        self.cold.coins.contains_key(outpoint)
    }

    /// Whether the log was told of this transaction as a fill.
    #[must_use]
    pub fn knows_fill(&self, txid: &TxId) -> bool {
        self.cold.fills.contains_key(txid)
    }

    /// Whether this transaction is a fill that is booked.
    pub(crate) fn is_filled(&self, txid: &TxId) -> bool {
        self.cold.fills.get(txid).is_some_and(|known| known.joined.is_some())
    }

    /// Whether a coin that a fill spends is there for it: the cold key's, and spent by nothing.
    fn may_fill(&self, outpoint: &OutPoint, coin: &PoolCoin) -> bool {
        let is_held = match self.books_as(outpoint, coin) {
            Some(account) => account == LedgerAccount::ChainCold,
            // A gift that is not buried.
            None => matches!(coin.origin, crate::Origin::Stranger { .. }),
        };
        self.is_cold(outpoint) && coin.spent.is_none() && coin.payout.is_none() && is_held
    }

    /// What a fill that is told of costs; nothing if it is none: it spends what the books do not hold, or costs too much.
    pub(crate) fn fill_fee(&self, fill: &Fill) -> Option<Amount> {
        let coin = |outpoint: &OutPoint| self.coins.get(outpoint).filter(|coin| self.may_fill(outpoint, coin));
        let worth = fill.inputs.iter().map(|outpoint| coin(outpoint).map(|coin| coin.amount));
        let worth = Amount::sum(worth.collect::<Option<Vec<_>>>()?).ok()?;
        let fee = worth.checked_sub(Amount::sum(fill.outputs.iter().map(|output| output.amount)).ok()?).ok()?;
        let weight = BlockWeight::of(fill.transaction().base_len(), fill.inputs.len()).ok()?;
        let most = fee_of(weight, self.terms()?.payouts.fee_rate)?.atoms().saturating_mul(FILL_FEES_MAX);
        (fee.atoms() <= most).then_some(fee)
    }

    /// How the float stands; nothing without a cold key.
    #[must_use]
    pub fn float(&self, upkeep: &Upkeep) -> Option<Float> {
        self.cold.current?;
        let add = |sum: u64, atoms: u64| sum.saturating_add(atoms);
        let none = PayoutKind::Miners(bq_ledger::PayoutPlan { payees: Vec::new(), network_fee: Amount::ZERO });
        let payable = |account| self.books.balance(LedgerAccount::MinerPayable(account));
        let coins = self.coins.iter().filter(|(outpoint, coin)| self.is_input(outpoint, coin, &none));
        let open = self.payouts.values().filter(|payout| payout.is_open());
        Some(Float {
            due: self.due_since.keys().map(|account| payable(*account)).fold(0, add),
            held: coins.map(|(_, coin)| coin.amount.atoms()).fold(0, add),
            returning: open.map(|payout| payout.planned.change.atoms()).fold(0, add),
            arriving: self.books.balance(LedgerAccount::ChainArriving),
            most: self.float_max(upkeep),
        })
    }

    /// What miners may be paid now, and what they earn in so many intervals at the rate of the blocks that have not matured.
    fn float_max(&self, upkeep: &Upkeep) -> Option<u64> {
        let sum = |kind| self.books.of_miners(kind).fold(0_u64, |sum, (_, atoms)| sum.saturating_add(atoms));
        let (payable, immature) = (sum(LedgerAccount::MinerPayable), sum(LedgerAccount::MinerImmature));
        let blocks_ms = u128::from(self.opened?.maturity).checked_mul(u128::from(upkeep.block_ms))?;
        if upkeep.float_intervals == 0 || immature == 0 {
            return None;
        }
        let interval_ms = self.terms()?.payouts.interval_ms;
        let intervals_ms = u128::from(interval_ms).checked_mul(u128::from(upkeep.float_intervals))?;
        let earned = u128::from(immature).checked_mul(intervals_ms)?.checked_div(blocks_ms)?;
        Some(u64::try_from(earned).unwrap_or(u64::MAX).saturating_add(payable))
    }
}
