//! Coins of the pool's key that arrive, are spent, are buried, or are gone again.

use bq_ledger::{Cause, LedgerAccount, Transfer};
use bq_primitives::{Amount, BlockId, Height, OutPoint};

use super::Step;
use crate::{Fault, Origin, Payout, PayoutId, PayoutState, PoolCoin, Received, Spent, State};

impl State {
    /// An output to the pool's key: change of a payout, or something that somebody sent; nothing that a block of `joined` makes.
    /// What costs more to spend than it is worth is left alone.
    pub(super) fn receive(
        &mut self,
        step: &mut Step<'_>,
        received: &Received,
        joined: &[BlockId],
    ) -> Result<(), Fault> {
        let Received { outpoint, amount, height, coinbase } = *received;
        // Blocks of one template share the coin: that the log knows another one makes it no block's.
        if self.makes(joined, &outpoint) {
            return Ok(());
        }
        if let Some(coin) = self.coins.get_mut(&outpoint) {
            // The chain as a whole may have it elsewhere than the one before.
            coin.height = height;
            return Ok(());
        }
        let change = self.payouts.values().find(|payout| self.is_change_of(payout, outpoint));
        let origin = match change {
            Some(payout) => Origin::Change(payout.planned.id),
            None => Origin::Stranger { coinbase, booked: false, trusted: false },
        };
        let gift_min = self.terms().map_or(Amount::ZERO, |terms| terms.payouts.gift_min);
        let payout = if self.is_cold(&outpoint) { None } else { self.reserved_by(&outpoint) };
        if matches!(origin, Origin::Stranger { .. }) && payout.is_none() && amount < gift_min {
            return Ok(());
        }
        if let Some(id) = payout {
            step.applied.payouts.insert(id);
        }
        self.coins.insert(outpoint, PoolCoin { amount, height, origin, payout, spent: None, suspect: false });
        // A gift that an open payout spends left the chain and is back: that payout may be in a block before it is buried.
        self.lost_gifts.remove(&outpoint);
        if matches!(origin, Origin::Stranger { .. }) && payout.is_some() {
            self.book_gift(step, &outpoint)
        } else {
            Ok(())
        }
    }

    /// Whether one of these blocks makes a coin.
    pub(super) fn makes(&self, joined: &[BlockId], outpoint: &OutPoint) -> bool {
        let mut blocks = joined.iter().filter_map(|id| self.blocks.get(id));
        blocks.any(|block| block.candidate.coinbase == outpoint.txid)
    }

    /// A coin is spent: by its payout, or by something that the books do not know (T41).
    pub(super) fn spend(&mut self, step: &mut Step<'_>, outpoint: OutPoint, spent: Spent) -> Result<(), Fault> {
        let coin = self.coins.get(&outpoint).copied();
        if coin.and_then(|coin| coin.spent).is_some_and(|old| old.by == spent.by && self.is_filled(&spent.by)) {
            return Ok(());
        }
        let coin = coin.filter(|coin| coin.spent.is_none()).ok_or(Fault::Coin(outpoint))?;
        match self.payout_of(&coin, &spent) {
            Some(payout) => {
                self.confirm_as(payout, spent.by);
                if let Some(payout) = self.payouts.get_mut(&payout) {
                    payout.confirmed = Some(spent.height);
                    step.applied.payouts.insert(payout.planned.id);
                }
            }
            None => {
                if let Some(credit) = self.books_as(&outpoint, &coin) {
                    let cause = Cause::SpentOutside { event: step.number.0 };
                    let line = Transfer { cause, debit: LedgerAccount::Missing, credit, amount: coin.amount };
                    step.book(self, vec![line])?;
                }
            }
        }
        self.coins.insert(outpoint, PoolCoin { spent: Some(Spent { explained: false, ..spent }), ..coin });
        Ok(())
    }

    /// The spend of a coin left the best chain: a payout is open again (T33), or missing coins are back (T42).
    pub(super) fn unspend(&mut self, step: &mut Step<'_>, outpoint: OutPoint) -> Result<(), Fault> {
        let Some(coin) = self.coins.get(&outpoint).copied() else { return Ok(()) };
        let Some(spent) = coin.spent else { return Ok(()) };
        if self.is_filled(&spent.by) {
            return self.leave_fill(step, spent.by);
        }
        let coin = PoolCoin { spent: None, ..coin };
        match self.payout_of(&coin, &spent) {
            Some(payout) => self.unconfirm(step, payout)?,
            None => {
                if let Some(debit) = self.books_as(&outpoint, &coin) {
                    self.undo_missing(step, debit, coin.amount, spent.explained)?;
                }
            }
        }
        self.coins.insert(outpoint, coin);
        Ok(())
    }

    /// T42: as far as a person did not explain the coins meanwhile; beyond that they are a gift.
    pub(super) fn undo_missing(
        &mut self,
        step: &mut Step<'_>,
        debit: LedgerAccount,
        amount: Amount,
        explained: bool,
    ) -> Result<(), Fault> {
        let cause = Cause::OutsideUndone { event: step.number.0 };
        let missing = if explained { 0 } else { self.books.balance(LedgerAccount::Missing) };
        let missing = Amount::from_atoms(missing)?.min(amount);
        let parts = [(LedgerAccount::Missing, missing), (LedgerAccount::GiftIncome, amount.checked_sub(missing)?)];
        let lines = parts.into_iter().filter(|(_, amount)| *amount > Amount::ZERO);
        let lines = lines.map(|(credit, amount)| Transfer { cause, debit, credit, amount }).collect();
        step.book(self, lines)
    }

    /// A coin is gone with its transaction, or was spent by what the chain cannot name any more. Change of a payout that is
    /// open again goes without a line: the payout holds it in flight. Every other coin that the books hold is missing (T41).
    pub(super) fn vanish(&mut self, step: &mut Step<'_>, outpoint: OutPoint) -> Result<(), Fault> {
        let Some(coin) = self.coins.get(&outpoint).copied() else { return Ok(()) };
        let books = self.books_as(&outpoint, &coin);
        if let (Origin::Block(_) | Origin::Change(_), Some(credit)) = (coin.origin, books) {
            let cause = Cause::SpentOutside { event: step.number.0 };
            step.book(self, vec![Transfer { cause, debit: LedgerAccount::Missing, credit, amount: coin.amount }])?;
        }
        if let (Origin::Stranger { .. }, Some(credit)) = (coin.origin, books) {
            let cause = Cause::OutsideUndone { event: step.number.0 };
            let gift = Amount::from_atoms(self.books.balance(LedgerAccount::GiftIncome))?.min(coin.amount);
            let parts =
                [(LedgerAccount::GiftIncome, gift), (LedgerAccount::OrphanLoss, coin.amount.checked_sub(gift)?)];
            let lines = parts.into_iter().filter(|(_, amount)| *amount > Amount::ZERO);
            let lines = lines.map(|(debit, amount)| Transfer { cause, debit, credit, amount }).collect();
            step.book(self, lines)?;
            if let (Some(_), Some(tip)) = (coin.payout, self.tip) {
                self.lost_gifts.insert(outpoint, tip.height);
            }
        }
        self.coins.remove(&outpoint);
        Ok(())
    }

    /// Payouts and gifts that are deep enough once `height` is the tip: T31 and T40.
    pub(super) fn bury(&mut self, step: &mut Step<'_>, height: Height) -> Result<(), Fault> {
        let deep = self.payouts.values().filter(|payout| payout.is_open());
        let deep = deep.filter(|payout| payout.confirmed.is_some_and(|from| self.is_final_at(from, height)));
        let deep: Vec<PayoutId> = deep.map(|payout| payout.planned.id).collect();
        for payout in deep {
            self.finalize(step, payout)?;
        }
        let depth = |from: Height| height.above(from).map_or(0, |above| above.saturating_add(1));
        let maturity = self.opened.map_or(u32::MAX, |opened| opened.maturity);
        let is_gift =
            |coin: &PoolCoin| matches!(coin.origin, Origin::Stranger { booked: false, .. }) && coin.spent.is_none();
        let gifts = self.coins.iter().filter(|(_, coin)| is_gift(coin) && depth(coin.height) >= maturity);
        let gifts = gifts.map(|(outpoint, _)| *outpoint).filter(|outpoint| !self.is_filled(&outpoint.txid));
        let gifts: Vec<OutPoint> = gifts.collect();
        for outpoint in gifts {
            self.book_gift(step, &outpoint)?;
        }
        self.bury_fills(step, height)
    }

    /// Whether a payout in the block at `from` is final once `tip` is the tip.
    pub(super) fn is_final_at(&self, from: Height, tip: Height) -> bool {
        let final_depth = self.terms().map_or(u32::MAX, |terms| terms.payouts.final_depth);
        tip.above(from).is_some_and(|above| above.saturating_add(1) >= final_depth)
    }

    /// T40.
    pub(super) fn book_gift(&mut self, step: &mut Step<'_>, outpoint: &OutPoint) -> Result<(), Fault> {
        let Some(coin) = self.coins.get_mut(outpoint) else { return Ok(()) };
        if let Origin::Stranger { booked, .. } = &mut coin.origin {
            *booked = true;
        }
        let coin = *coin;
        let Some(debit) = self.books_as(outpoint, &coin) else { return Ok(()) };
        let cause = Cause::GiftBooked { event: step.number.0 };
        step.book(self, vec![Transfer { cause, debit, credit: LedgerAccount::GiftIncome, amount: coin.amount }])
    }

    /// The payout that this spend of a coin is. Where a fence and the payout that it fences have the coin as an input, either.
    pub(super) fn payout_of(&self, coin: &PoolCoin, spent: &Spent) -> Option<PayoutId> {
        let newest = self.payouts.get(&coin.payout?)?;
        let is_it = |payout: &&Payout| payout.state != PayoutState::Void && self.is_transaction_of(payout, spent.by);
        let payout = [newest].into_iter().find(is_it).or_else(|| self.payouts.values().find(is_it))?;
        Some(payout.planned.id)
    }

    /// The payout that has this coin as an input and is not void; the fence, where one fences another payout.
    pub(super) fn reserved_by(&self, outpoint: &OutPoint) -> Option<PayoutId> {
        let spends = |payout: &&Payout| {
            payout.state != PayoutState::Void && payout.planned.inputs.iter().any(|input| input.outpoint == *outpoint)
        };
        self.payouts.values().rev().find(spends).map(|payout| payout.planned.id)
    }
}
