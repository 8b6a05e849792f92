//! Coins of the cold key, and fills of the float (SPEC 8.13): T43 to T45.

use std::collections::{BTreeMap, BTreeSet};

use bq_ledger::{Cause, LedgerAccount, Transfer};
use bq_primitives::{Amount, Height, KeyHash, OutPoint, TxId};

use super::Step;
use crate::{ColdEvent, Fault, Fill, Origin, PoolBlock, PoolCoin, Spent, State, cold::KnownFill};

impl State {
    pub(super) fn cold_event(&mut self, event: &ColdEvent) -> Result<(), Fault> {
        match event {
            ColdEvent::Key(key) => self.set_cold_key(*key),
            ColdEvent::Coins(coins) => self.mark_cold(coins),
            ColdEvent::Fill(fill) => self.know_fill(fill),
        }
    }

    fn set_cold_key(&mut self, key: Option<KeyHash>) -> Result<(), Fault> {
        if key == self.cold.current {
            return Err(Fault::Cold("coinbases pay that key already"));
        }
        if let Some(key) = key {
            if key == self.key()? {
                return Err(Fault::OwnKey(key));
            }
            if self.accounts.find(&key).is_some() {
                return Err(Fault::Cold("that key is a miner's"));
            }
            if self.keys_given_up.iter().any(|given_up| given_up.key == key) {
                return Err(Fault::Cold("that key was the pool's own"));
            }
            self.cold.keys.insert(key);
        }
        self.cold.current = key;
        Ok(())
    }

    /// Whose a coin is does not change.
    fn mark_cold(&mut self, coins: &[OutPoint]) -> Result<(), Fault> {
        if self.cold.keys.is_empty() {
            return Err(Fault::Cold("there is no cold key"));
        }
        match coins.iter().find(|coin| self.coins.contains_key(coin) && !self.is_cold(coin)) {
            Some(coin) => Err(Fault::Coin(*coin)),
            None => {
                let since = self.tip_height();
                self.cold.coins.extend(coins.iter().map(|outpoint| (*outpoint, since)));
                Ok(())
            }
        }
    }

    fn know_fill(&mut self, fill: &Fill) -> Result<(), Fault> {
        let txid = fill.transaction().txid();
        let inputs: BTreeSet<&OutPoint> = fill.inputs.iter().collect();
        if inputs.is_empty() || inputs.len() != fill.inputs.len() || fill.outputs.is_empty() {
            return Err(Fault::Cold("it is no transaction"));
        }
        if !fill.outputs.iter().all(|output| self.owns(&output.key_hash)) {
            return Err(Fault::Cold("it pays somebody else"));
        }
        if self.knows_fill(&txid) {
            return Err(Fault::Cold("that fill is known"));
        }
        let since = self.tip_height();
        self.cold.fills.insert(txid, KnownFill { fill: fill.clone(), joined: None, fee: Amount::ZERO, since });
        Ok(())
    }

    fn tip_height(&self) -> Height {
        self.tip.map(|tip| tip.height).unwrap_or_default()
    }

    /// Fills among these spends at the heights that are wanted, rising; in one height whoever spends what another makes comes later.
    pub(super) fn fills_among(
        &self,
        spent: &[(OutPoint, Spent)],
        is_wanted: impl Fn(Height) -> bool,
    ) -> Vec<(Height, TxId)> {
        let is_new = |txid: &TxId| self.cold.fills.get(txid).is_some_and(|known| known.joined.is_none());
        let all = spent.iter().filter(|(_, spent)| is_wanted(spent.height) && is_new(&spent.by));
        let mut left: BTreeSet<(Height, TxId)> = all.map(|(_, spent)| (spent.height, spent.by)).collect();
        let mut ordered = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let makers: BTreeSet<TxId> = left.iter().map(|(_, txid)| *txid).collect();
            let waits = |txid: &TxId| {
                let fill = self.cold.fills.get(txid).map(|known| known.fill.inputs.as_slice());
                fill.unwrap_or_default().iter().any(|input| makers.contains(&input.txid))
            };
            let (later, now): (BTreeSet<_>, BTreeSet<_>) = left.into_iter().partition(|(_, txid)| waits(txid));
            // None is on a chain that waits for itself.
            let (later, now) = if now.is_empty() { (BTreeSet::new(), later) } else { (later, now) };
            ordered.extend(now);
            left = later;
        }
        ordered.sort_by_key(|(height, _)| *height);
        ordered
    }

    /// T43, if the books explain it; otherwise its inputs are spent outside them (T41).
    pub(super) fn join_fill(&mut self, step: &mut Step<'_>, height: Height, txid: TxId) -> Result<(), Fault> {
        let Some(fill) = self.cold.fills.get(&txid).map(|known| known.fill.clone()) else { return Ok(()) };
        let makes_known = |index| self.coins.contains_key(&OutPoint { txid, index });
        if (0..).take(fill.outputs.len()).any(makes_known) {
            return Ok(());
        }
        let Some(fee) = self.fill_fee(&fill) else { return Ok(()) };
        for outpoint in &fill.inputs {
            let is_unbooked = |coin: &PoolCoin| {
                matches!(coin.origin, Origin::Stranger { booked: false, .. }) && !self.is_filled(&outpoint.txid)
            };
            if self.coins.get(outpoint).is_some_and(is_unbooked) {
                self.book_gift(step, outpoint)?;
            }
        }
        self.cold.fills.insert(txid, KnownFill { fill: fill.clone(), joined: Some(height), fee, since: height });
        let mut onto: BTreeMap<LedgerAccount, Amount> = BTreeMap::new();
        onto.insert(LedgerAccount::NetFeeExpense, fee);
        for (index, output) in (0..).zip(&fill.outputs) {
            let outpoint = OutPoint { txid, index };
            let account = self.add_fill_coin(step, outpoint, (output.key_hash, output.amount), height)?;
            if account != LedgerAccount::ChainCold {
                let sum = onto.entry(account).or_default();
                *sum = sum.checked_add(output.amount)?;
            }
        }
        for outpoint in &fill.inputs {
            if let Some(coin) = self.coins.get_mut(outpoint) {
                coin.spent = Some(Spent { by: txid, height, explained: true });
            }
        }
        let cause = Cause::Filled { fill: txid, event: step.number.0 };
        let lines = onto.into_iter().filter(|(_, amount)| *amount > Amount::ZERO);
        let credit = LedgerAccount::ChainCold;
        step.book(self, lines.map(|(debit, amount)| Transfer { cause, debit, credit, amount }).collect())
    }

    /// A coin that a fill makes, and the account that it is in.
    fn add_fill_coin(
        &mut self,
        step: &mut Step<'_>,
        outpoint: OutPoint,
        (key, amount): (KeyHash, Amount),
        height: Height,
    ) -> Result<LedgerAccount, Fault> {
        let is_cold = self.cold.keys.contains(&key);
        let payout = if is_cold { None } else { self.reserved_by(&outpoint) };
        if is_cold {
            self.cold.coins.insert(outpoint, height);
        }
        if let Some(id) = payout {
            step.applied.payouts.insert(id);
        }
        self.lost_gifts.remove(&outpoint);
        let origin = Origin::Stranger { coinbase: false, booked: is_cold || payout.is_some(), trusted: true };
        let coin = PoolCoin { amount, height, origin, payout, spent: None, suspect: false };
        self.coins.insert(outpoint, coin);
        self.books_as(&outpoint, &coin).ok_or(Fault::Coin(outpoint))
    }

    /// T44 for fills that are as deep as a payout must be.
    pub(super) fn bury_fills(&mut self, step: &mut Step<'_>, height: Height) -> Result<(), Fault> {
        let deep =
            self.cold.fills.iter().filter(|(_, known)| known.joined.is_some_and(|at| self.is_final_at(at, height)));
        let deep: Vec<(TxId, usize)> = deep.map(|(txid, known)| (*txid, known.fill.outputs.len())).collect();
        for (txid, outputs) in deep {
            let mut sum = Amount::ZERO;
            for index in (0..).take(outputs) {
                let Some(coin) = self.coins.get_mut(&OutPoint { txid, index }) else { continue };
                if let Origin::Stranger { booked: booked @ false, .. } = &mut coin.origin
                    && coin.spent.is_none()
                {
                    *booked = true;
                    sum = sum.checked_add(coin.amount)?;
                }
            }
            if sum > Amount::ZERO {
                let cause = Cause::FillBuried { fill: txid, event: step.number.0 };
                let (debit, credit) = (LedgerAccount::ChainSpendable, LedgerAccount::ChainArriving);
                step.book(self, vec![Transfer { cause, debit, credit, amount: sum }])?;
            }
        }
        Ok(())
    }

    /// T45: the fill left the best chain. What it spent is the cold key's again; what it made is gone, wherever the books had it.
    pub(super) fn leave_fill(&mut self, step: &mut Step<'_>, txid: TxId) -> Result<(), Fault> {
        let Some(KnownFill { fill, fee, .. }) = self.cold.fills.get(&txid).cloned() else { return Ok(()) };
        let mut from: BTreeMap<LedgerAccount, Amount> = BTreeMap::new();
        from.insert(LedgerAccount::NetFeeExpense, fee);
        let mut elsewhere = Amount::ZERO;
        for (index, output) in (0..).zip(&fill.outputs) {
            let outpoint = OutPoint { txid, index };
            let coin = self.coins.get(&outpoint).copied().filter(|coin| coin.spent.is_none());
            match coin.and_then(|coin| self.books_as(&outpoint, &coin)) {
                Some(LedgerAccount::ChainCold) => {}
                Some(account) => {
                    let sum = from.entry(account).or_default();
                    *sum = sum.checked_add(output.amount)?;
                }
                // It went with a key that was given up, or something outside the books spent it and did not leave the chain with it.
                None => elsewhere = elsewhere.checked_add(output.amount)?,
            }
            if let (Some(PoolCoin { payout: Some(_), .. }), Some(tip)) = (coin, self.tip) {
                self.lost_gifts.insert(outpoint, tip.height);
            }
            self.coins.remove(&outpoint);
            self.cold.coins.remove(&outpoint);
        }
        for outpoint in &fill.inputs {
            if let Some(coin) = self.coins.get_mut(outpoint) {
                coin.spent = None;
            }
        }
        self.cold.fills.insert(txid, KnownFill { fill, joined: None, fee: Amount::ZERO, since: self.tip_height() });
        let cause = Cause::FillUndone { fill: txid, event: step.number.0 };
        let lines = from.into_iter().filter(|(_, amount)| *amount > Amount::ZERO);
        let debit = LedgerAccount::ChainCold;
        step.book(self, lines.map(|(credit, amount)| Transfer { cause, debit, credit, amount }).collect())?;
        if elsewhere > Amount::ZERO { self.undo_missing(step, debit, elsewhere, false) } else { Ok(()) }
    }

    /// Whether all that a block pays the pool is the cold key's.
    pub(super) fn is_cold_block(&self, block: &PoolBlock) -> bool {
        let mut coins = block.candidate.coins().peekable();
        coins.peek().is_some() && coins.all(|(outpoint, _)| self.is_cold(&outpoint))
    }

    /// Drops what no way within the horizon can move any more, and what was told for a way that did not come in so long.
    pub(super) fn forget_cold(&mut self, is_old: impl Fn(Height) -> bool) {
        let (coins, blocks) = (&self.coins, &self.blocks);
        let of_blocks: BTreeSet<OutPoint> =
            blocks.values().flat_map(|block| block.candidate.coins()).map(|(outpoint, _)| outpoint).collect();
        self.cold
            .coins
            .retain(|outpoint, since| coins.contains_key(outpoint) || of_blocks.contains(outpoint) || !is_old(*since));
        self.cold.fills.retain(|txid, known| {
            let is_spent_by = |coin: &PoolCoin| coin.spent.is_some_and(|spent| spent.by == *txid);
            let is_known = |outpoint: &OutPoint| coins.get(outpoint).is_some_and(is_spent_by);
            let outputs = (0..).take(known.fill.outputs.len()).map(|index| OutPoint { txid: *txid, index });
            let is_unburied =
                |coin: &PoolCoin| matches!(coin.origin, Origin::Stranger { booked: false, .. }) && coin.spent.is_none();
            match known.joined {
                // One may have to be deeper to be spent than the horizon is.
                Some(_) if outputs.filter_map(|outpoint| coins.get(&outpoint)).any(is_unburied) => true,
                Some(_) => known.fill.inputs.iter().all(is_known),
                None => !is_old(known.since),
            }
        });
    }
}
