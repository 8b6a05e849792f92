//! Payouts that never confirm (SPEC 8.5): what proves it, what is booked then, and which coins a fence has to spend first.

use std::collections::BTreeSet;

use bq_ledger::{Cause, LedgerAccount, Transfer};
use bq_primitives::{Amount, Height, OutPoint, TxId};

use super::{Step, payout::set_aside};
use crate::{
    Fault, Origin, Payout, PayoutId, PayoutInput, PayoutState, PoolCoin, Spent, State, VoidProof, state::take_up_to,
};

impl State {
    /// T32: T30 backwards, less the coins that are gone.
    pub(super) fn void(&mut self, step: &mut Step<'_>, id: PayoutId, proof: VoidProof) -> Result<(), Fault> {
        let payout = self.payouts.get(&id).cloned().ok_or(Fault::UnknownPayout(id))?;
        if !payout.is_open() {
            return Err(Fault::Payout { payout: id, reason: "it is not open" });
        }
        if !self.is_void(&payout, proof) {
            return Err(Fault::Payout { payout: id, reason: "it may still confirm" });
        }
        self.undo(step, payout)
    }

    /// The lines of T32.
    pub(super) fn undo(&mut self, step: &mut Step<'_>, payout: Payout) -> Result<(), Fault> {
        let id = payout.planned.id;
        let cause = Cause::PayoutVoid { payout: id.0 };
        let mut lines: Vec<Transfer> = set_aside(&payout, cause).iter().map(|line| line.reversed(cause)).collect();
        let held: Vec<PayoutInput> =
            payout.planned.inputs.iter().copied().filter(|input| self.is_in_flight(&payout, &input.outpoint)).collect();
        let inputs = payout.planned.inputs.clone();
        self.payouts.insert(id, Payout { state: PayoutState::Void, voided: self.tip.map(|tip| tip.height), ..payout });
        step.applied.payouts.insert(id);
        // What a fence took over goes back to the payout that it fenced, if that is open still.
        let freed = held.iter().filter(|input| self.reserved_by(&input.outpoint).is_none());
        let free = Amount::sum(freed.map(|input| input.amount))?;
        if free > Amount::ZERO {
            let (debit, credit) = (self.returned_to(id), LedgerAccount::ChainInFlight);
            lines.push(Transfer { cause, debit, credit, amount: free });
        }
        lines.extend(self.settle_overpaid(&lines, cause)?);
        step.book(self, lines)?;
        let is_given_up = self.is_given_up(id);
        for input in &inputs {
            self.lost_gifts.remove(&input.outpoint);
            let next = self.reserved_by(&input.outpoint);
            if is_given_up && next.is_none() {
                self.coins.remove(&input.outpoint);
                self.blocks.retain(|_, block| block.candidate.coinbase != input.outpoint.txid);
            } else if let Some(coin) = self.coins.get_mut(&input.outpoint) {
                coin.payout = next;
            }
        }
        Ok(())
    }

    /// Of what becomes payable again, an account that got it by a payout that came back gets nothing: it makes good for the coins
    /// that were missing for that, or for whoever bore them.
    fn settle_overpaid(&mut self, lines: &[Transfer], cause: Cause) -> Result<Vec<Transfer>, Fault> {
        let mut settled = Vec::new();
        let mut bearers = self.made_good_by();
        for line in lines {
            let LedgerAccount::MinerPayable(account) = line.credit else { continue };
            let Some(beyond) = self.overpaid.get_mut(&account) else { continue };
            let due = line.amount.min(Amount::from_atoms(*beyond)?);
            *beyond = beyond.saturating_sub(due.atoms());
            for (credit, amount) in take_up_to(&bearers, due)? {
                for (_, able) in bearers.iter_mut().filter(|(account, _)| *account == credit) {
                    *able = able.saturating_sub(amount.atoms());
                }
                settled.push(Transfer { cause, debit: line.credit, credit, amount });
            }
        }
        self.overpaid.retain(|_, beyond| *beyond > 0);
        Ok(settled)
    }

    /// Payouts that were proved void and are on the chain all the same: a branch came back that had been left from deeper than
    /// anything was thought to be. They are open again before their coins arrive and are spent.
    pub(super) fn revive(&mut self, step: &mut Step<'_>, spent: &[(OutPoint, Spent)]) -> Result<(), Fault> {
        let by: BTreeSet<TxId> = spent.iter().map(|(_, spent)| spent.by).collect();
        // What was planned once more out of the same coins may be the same transaction: then it is that payout.
        let is_anothers = |txid: &TxId| {
            let mut open = self.payouts.values().filter(|other| other.state != PayoutState::Void);
            open.any(|other| self.is_transaction_of(other, *txid))
        };
        let is_back = |payout: &&Payout| {
            let mut txids = self.transactions_of(payout).map(|planned| planned.txid);
            payout.state == PayoutState::Void && txids.any(|txid| by.contains(&txid) && !is_anothers(&txid))
        };
        let back: Vec<Payout> = self.payouts.values().filter(is_back).cloned().collect();
        back.into_iter().try_for_each(|payout| self.reopen(step, payout))
    }

    /// T35: T30 once more. What its payees are not owed any more, because they were paid otherwise meanwhile, is missing.
    fn reopen(&mut self, step: &mut Step<'_>, payout: Payout) -> Result<(), Fault> {
        let id = payout.planned.id;
        let cause = Cause::PayoutReturned { payout: id.0, generation: payout.returned };
        let mut lines = Vec::new();
        for line in set_aside(&payout, cause) {
            let owed = line.amount.min(Amount::from_atoms(self.books.balance(line.debit))?);
            let beyond = line.amount.checked_sub(owed)?;
            if let LedgerAccount::MinerPayable(account) = line.debit {
                let sum = self.overpaid.entry(account).or_default();
                *sum = sum.saturating_add(beyond.atoms());
            }
            lines.push(Transfer { amount: owed, ..line });
            lines.push(Transfer { debit: LedgerAccount::Missing, amount: beyond, ..line });
        }
        self.overpaid.retain(|_, beyond| *beyond > 0);
        for input in &payout.planned.inputs {
            let Some(coin) = self.coins.get(&input.outpoint) else { continue };
            let credit = match (coin.origin, self.books_as(&input.outpoint, coin)) {
                (Origin::Stranger { .. }, None) => Some(LedgerAccount::GiftIncome),
                (_, account) => account.filter(|account| *account != LedgerAccount::ChainInFlight),
            };
            let debit = LedgerAccount::ChainInFlight;
            lines.extend(credit.map(|credit| Transfer { cause, debit, credit, amount: coin.amount }));
        }
        lines.retain(|line| line.amount > Amount::ZERO);
        step.book(self, lines)?;
        for input in &payout.planned.inputs {
            let Some(coin) = self.coins.get_mut(&input.outpoint) else { continue };
            coin.payout = Some(id);
            if let Origin::Stranger { booked, .. } = &mut coin.origin {
                *booked = true;
            }
        }
        let returned = payout.returned.saturating_add(1);
        self.payouts.insert(id, Payout { state: PayoutState::Signed, voided: None, returned, ..payout });
        step.applied.payouts.insert(id);
        Ok(())
    }

    /// A proof that an open payout is void, if there is one.
    #[must_use]
    pub fn void_proof(&self, payout: &Payout) -> Option<VoidProof> {
        let proofs = payout.planned.inputs.iter().flat_map(|input| {
            let outpoint = input.outpoint;
            [
                VoidProof::SpentElsewhere(outpoint),
                VoidProof::InputOrphaned(outpoint),
                VoidProof::ParentVoid(outpoint),
                VoidProof::GiftsLost(outpoint),
            ]
        });
        if payout.is_open() { proofs.into_iter().find(|proof| self.is_void(payout, *proof)) } else { None }
    }

    /// Whether a proof holds: only the chain can prove that a payout never confirms.
    #[must_use]
    pub fn is_void(&self, payout: &Payout, proof: VoidProof) -> bool {
        let (VoidProof::SpentElsewhere(outpoint)
        | VoidProof::InputOrphaned(outpoint)
        | VoidProof::ParentVoid(outpoint)
        | VoidProof::GiftsLost(outpoint)) = proof;
        if payout.is_confirmed() || !payout.planned.inputs.iter().any(|input| input.outpoint == outpoint) {
            return false;
        }
        match proof {
            VoidProof::SpentElsewhere(outpoint) => {
                let spent = self.coins.get(&outpoint).and_then(|coin| coin.spent);
                let tip = self.tip.map(|tip| tip.height).unwrap_or_default();
                let is_elsewhere = |spent: Spent| !self.is_transaction_of(payout, spent.by);
                spent.is_some_and(|spent| is_elsewhere(spent) && self.is_final_at(spent.height, tip))
            }
            // Blocks of one template share the coin: none of them may be on the chain. The others need not have been there: a
            // sibling that only was submitted, or was orphaned young, makes the coin no more than the lost one does.
            VoidProof::InputOrphaned(outpoint) => {
                let mut makers =
                    self.blocks.values().filter(|block| block.candidate.coinbase == outpoint.txid).peekable();
                // One that the log does not know may make it all the same.
                let is_gone = !self.coins.contains_key(&outpoint);
                is_gone
                    && makers.peek().is_some()
                    && makers.all(|block| !block.is_on_chain() && self.is_deep(block.candidate.height))
            }
            VoidProof::ParentVoid(outpoint) => {
                let mut parents = self.payouts.values().filter(|other| self.is_transaction_of(other, outpoint.txid));
                // One that is buried as another transaction has other change.
                let is_other =
                    |other: &Payout| other.state == PayoutState::Final && other.planned.txid != outpoint.txid;
                parents.any(|other| other.state == PayoutState::Void || is_other(other))
            }
            // A transaction of strangers may be in a block at any time, so no depth proves that its coin never comes back. If it
            // does, the payout takes nothing but that: no coin of the books is an input. One that has another is fenced.
            VoidProof::GiftsLost(_) => {
                let mut inputs = payout.planned.inputs.iter();
                inputs.all(|input| self.lost_gifts.get(&input.outpoint).is_some_and(|since| self.is_deep(*since)))
            }
        }
    }

    /// Whether what was at this height is buried as deep as a reward must be, and a payout.
    fn is_deep(&self, from: Height) -> bool {
        let (Some(tip), Some(opened), Some(terms)) = (self.tip, self.opened, self.terms()) else { return false };
        let deep = opened.maturity.max(terms.payouts.final_depth);
        tip.height.above(from).is_some_and(|above| above.saturating_add(1) >= deep)
    }

    /// Whether a fence has to spend a coin.
    #[must_use]
    pub(crate) fn is_to_be_fenced(&self, outpoint: &OutPoint, coin: &PoolCoin) -> bool {
        coin.suspect && self.recovery.is_some_and(|recovery| recovery.open) || self.is_left_behind(outpoint, coin)
    }

    /// Whether a coin is the input of an open payout that lost a gift for good and that nothing fences yet: once a fence has
    /// spent it, that payout is void for ever.
    pub(super) fn is_left_behind(&self, outpoint: &OutPoint, coin: &PoolCoin) -> bool {
        let Some(payout) = coin.payout.and_then(|id| self.payouts.get(&id)).filter(|payout| payout.is_open()) else {
            return false;
        };
        let inputs = || payout.planned.inputs.iter().map(|input| input.outpoint);
        let is_lost = |outpoint: OutPoint| self.lost_gifts.get(&outpoint).is_some_and(|since| self.is_deep(*since));
        let is_fenced = |outpoint: OutPoint| {
            self.coins.get(&outpoint).is_some_and(|coin| coin.payout.is_some_and(|id| id != payout.planned.id))
        };
        let is_there = coin.spent.is_none() && self.books_as(outpoint, coin) == Some(LedgerAccount::ChainInFlight);
        is_there && !payout.is_confirmed() && inputs().any(is_lost) && !inputs().any(is_fenced)
    }
}
