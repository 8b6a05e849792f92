//! A log that lost its end goes on (SPEC 8.6): payouts that it forgot are taken over where they lie on the chain.

use bq_ledger::{Cause, LedgerAccount, Transfer};
use bq_primitives::{Amount, Height, OutPoint};

use super::Step;
use crate::{
    Fault, LogHead, Origin, Payout, PayoutId, PayoutKind, PayoutState, PlannedPayout, PoolCoin, Recovery, State,
    state::take_up_to,
};

/// What a payee may have been paid beyond what the books now owe without anybody having to look: residues fall to other
/// blocks when a log did not see a reorganisation that its lost end saw, less than an atom a block and payee.
const ROUNDING_ATOMS_MAX: u64 = 1000;

impl State {
    /// Every coin of now may be spent by a payout that was signed after the copy was made.
    pub(super) fn recover(&mut self, step: &Step<'_>, seen: LogHead) -> Result<(), Fault> {
        let height = self.tip.map(|tip| tip.height).unwrap_or_default();
        let before = self.recovery.filter(|recovery| recovery.seen.number >= seen.number);
        if before.is_some_and(|recovery| recovery.height >= height) {
            return Err(Fault::Operator("the log is recovered from that already"));
        }
        let seen = before.map_or(seen, |recovery| recovery.seen);
        for (outpoint, coin) in &mut self.coins {
            // The pool has never signed for the cold key.
            coin.suspect = coin.spent.is_none() && !self.cold.coins.contains_key(outpoint);
        }
        self.recovery = Some(Recovery { event: step.number, seen, height, open: true });
        Ok(())
    }

    /// A payout that a copy of the log forgot, as it lies on the chain: it is a payout from now on. Whom it paid was owed
    /// that; what is not owed any more stays missing.
    pub(super) fn adopt_payout(&mut self, step: &mut Step<'_>, planned: &PlannedPayout) -> Result<(), Fault> {
        if self.recovery.is_none() {
            return Err(Fault::Operator("only a recovered log forgets payouts"));
        }
        let confirmed = self.check_adopted(planned)?;
        let id = planned.id;
        let cause = Cause::PayoutAdopted { payout: id.0 };
        let mut lines = Vec::new();
        if let PayoutKind::Miners(plan) = &planned.kind {
            for payee in &plan.payees {
                let (debit, credit) =
                    (LedgerAccount::MinerPayable(payee.account), LedgerAccount::MinerInFlight(payee.account));
                let owed = payee.gross.min(Amount::from_atoms(self.books.balance(debit))?);
                lines.push(Transfer { cause, debit, credit, amount: owed });
                let amount = payee.gross.checked_sub(owed)?;
                let is_rounding = amount.atoms() <= ROUNDING_ATOMS_MAX;
                let debit = if is_rounding { LedgerAccount::WriteOff } else { LedgerAccount::Missing };
                lines.push(Transfer { cause, debit, credit, amount });
            }
        }
        lines.extend(self.found_again(self.gone_by(&planned.txid)?, cause)?);
        // What came back of a forgotten withdrawal, or a gift, was spent before it was buried.
        let coins = planned.inputs.iter().filter_map(|input| Some((input.outpoint, self.coins.get(&input.outpoint)?)));
        let gifts = coins.filter(|(outpoint, coin)| {
            matches!(coin.origin, Origin::Stranger { .. }) && self.books_as(outpoint, coin).is_none()
        });
        let (debit, credit) = (LedgerAccount::ChainInFlight, LedgerAccount::GiftIncome);
        lines.extend(gifts.map(|(_, coin)| Transfer { cause, debit, credit, amount: coin.amount }));
        lines.retain(|line| line.amount > Amount::ZERO);
        step.book(self, lines)?;
        for input in &planned.inputs {
            let Some(coin) = self.coins.get_mut(&input.outpoint) else { continue };
            coin.payout = Some(id);
            if let Origin::Stranger { booked, .. } = &mut coin.origin {
                *booked = true;
            }
        }
        if let Some(outpoint) = planned.change_outpoint() {
            self.adopt_change(step, outpoint, id, planned.change, confirmed)?;
        }
        let payout = Payout {
            planned: planned.clone(),
            state: PayoutState::Signed,
            sources: Vec::new(),
            signed: None,
            confirmed: Some(confirmed),
            voided: None,
            returned: 0,
        };
        self.payouts.insert(id, payout);
        self.newest_payout = id;
        step.applied.payouts.insert(id);
        // One whose change was spent by a buried payout is at least as deep.
        let tip = self.tip.map(|tip| tip.height).unwrap_or_default();
        if self.is_final_at(confirmed, tip) { self.finalize(step, id) } else { Ok(()) }
    }

    /// Coins that a payout spent were missing. Where a person made good for some of them meanwhile, that is undone: not to take
    /// the payout over would pay its payees twice.
    fn found_again(&self, gone: Amount, cause: Cause) -> Result<Vec<Transfer>, Fault> {
        let parts = take_up_to(&self.made_good_by(), gone)?.into_iter();
        let debit = LedgerAccount::ChainInFlight;
        Ok(parts.map(|(credit, amount)| Transfer { cause, debit, credit, amount }).collect())
    }

    /// Who is to have what turns up of coins that were missing: those that are missing still, then whoever made good for them.
    pub(super) fn made_good_by(&self) -> [(LedgerAccount, u64); 3] {
        let balance = |account| (account, self.books.balance(account));
        let last = (LedgerAccount::GiftIncome, u64::MAX);
        [balance(LedgerAccount::Missing), balance(LedgerAccount::WriteOff), last]
    }

    /// What looked like a gift is the payout's change, and in flight with it.
    fn adopt_change(
        &mut self,
        step: &mut Step<'_>,
        outpoint: OutPoint,
        payout: PayoutId,
        amount: Amount,
        height: Height,
    ) -> Result<(), Fault> {
        let origin = Origin::Change(payout);
        // Change of less than a gift is worth was left alone when it arrived.
        let none = PoolCoin { amount, height, origin, payout: None, spent: None, suspect: true };
        let coin = self.coins.get(&outpoint).copied().unwrap_or(none);
        if let (Origin::Stranger { booked: true, .. }, Some(_)) = (coin.origin, self.books_as(&outpoint, &coin)) {
            // It was booked as spendable when it was buried. Since then it is in flight with a payout of its own, or missing.
            let credit = match (coin.payout, coin.spent) {
                (Some(_), _) => LedgerAccount::ChainInFlight,
                (None, Some(_)) => LedgerAccount::Missing,
                (None, None) => LedgerAccount::ChainSpendable,
            };
            let cause = Cause::PayoutAdopted { payout: payout.0 };
            let line = Transfer { cause, debit: LedgerAccount::GiftIncome, credit, amount: coin.amount };
            step.book(self, vec![line])?;
        }
        self.coins.insert(outpoint, PoolCoin { origin, ..coin });
        Ok(())
    }

    /// Height of the block that holds it, if it is a transaction of this pool that nothing explains.
    fn check_adopted(&self, planned: &PlannedPayout) -> Result<Height, Fault> {
        let expected = PayoutId(self.newest_payout.0.saturating_add(1));
        if planned.id != expected {
            return Err(Fault::PayoutOrder { got: planned.id, expected });
        }
        if matches!(planned.kind, PayoutKind::Withdrawal { .. }) {
            return Err(Fault::Operator("a forgotten withdrawal is adopted as a withdrawal"));
        }
        let transaction = planned.transaction(&self.accounts, self.key()?);
        if transaction.is_none_or(|transaction| transaction.txid() != planned.txid) {
            return Err(Fault::Payout { payout: planned.id, reason: "its transaction is another one" });
        }
        for input in &planned.inputs {
            let coin = self.coins.get(&input.outpoint).ok_or(Fault::Coin(input.outpoint))?;
            let spent = coin.spent.filter(|spent| spent.by == planned.txid && !spent.explained);
            // A block's coin that the books do not hold is of one that is not on the chain.
            let is_held = self.books_as(&input.outpoint, coin).is_some() || !matches!(coin.origin, Origin::Block(_));
            if spent.is_none()
                || coin.payout.is_some()
                || !is_held
                || self.is_cold(&input.outpoint)
                || coin.amount != input.amount
            {
                return Err(Fault::Coin(input.outpoint));
            }
        }
        let spent = self.coins.values().filter_map(|coin| coin.spent).find(|spent| spent.by == planned.txid);
        spent.map(|spent| spent.height).ok_or(Fault::UnknownPayout(planned.id))
    }

    /// A recovery is over when no coin is left that a forgotten payout may spend and every fence is buried.
    pub(super) fn end_recovery(&mut self) {
        let has_suspect = self.coins.values().any(|coin| coin.suspect && coin.spent.is_none());
        let has_fence =
            self.payouts.values().any(|payout| matches!(payout.planned.kind, PayoutKind::Fence) && payout.is_open());
        if let Some(recovery) = &mut self.recovery
            && recovery.open
            && !has_suspect
            && !has_fence
        {
            recovery.open = false;
        }
    }
}
