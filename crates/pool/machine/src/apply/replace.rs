//! Payouts that take the place of payouts (SPEC 8.5.12). Nothing is booked: what is set aside for one is set aside for the other.

use bq_primitives::{Amount, TxId};

use super::Step;
use crate::{
    Attempt, Fault, Payout, PayoutId, PayoutState, PlannedPayout, State,
    plan::network_fee,
    replace::{ATTEMPTS_MAX, FEES_MAX, with_fee},
};

impl State {
    /// Another transaction for an open payout, to be signed.
    pub(super) fn replace(&mut self, step: &mut Step<'_>, planned: &PlannedPayout) -> Result<(), Fault> {
        let id = planned.id;
        let payout = self.payouts.get(&id).ok_or(Fault::UnknownPayout(id))?;
        self.check_replaceable(payout)?;
        self.check_replacement(payout, planned)?;
        if let Some(payout) = self.payouts.get_mut(&id) {
            let old = Attempt { planned: payout.planned.clone(), signed: payout.signed.take() };
            payout.planned = planned.clone();
            payout.state = PayoutState::Planned;
            self.attempts.entry(id).or_default().others.push(old);
        }
        step.applied.payouts.insert(id);
        Ok(())
    }

    /// Whether a payout is one that no block has, that holds all its coins, whose key is there, and whose change nobody spends.
    pub(crate) fn check_replaceable(&self, payout: &Payout) -> Result<(), Fault> {
        let id = payout.planned.id;
        let is_there = |planned: &PlannedPayout| {
            let mut coins = planned.inputs.iter().map(|input| self.coins.get(&input.outpoint));
            coins.all(|coin| coin.is_some_and(|coin| coin.payout == Some(id) && coin.spent.is_none()))
        };
        let mut changes = self.transactions_of(payout).filter_map(PlannedPayout::change_outpoint);
        let reason = if payout.state != PayoutState::Signed || payout.is_confirmed() {
            "only one that was sent and that no block has is replaced"
        } else if !is_there(&payout.planned) {
            "it has lost a coin, or is fenced"
        } else if changes.any(|change| self.reserved_by(&change).is_some()) {
            "another payout spends its change"
        } else if self.is_given_up(id) {
            "its key is given up"
        } else if self.transactions_of(payout).count() >= ATTEMPTS_MAX {
            "it was replaced often enough"
        } else {
            return Ok(());
        };
        Err(Fault::Payout { payout: id, reason })
    }

    /// Whether the newer one is the same payout with a higher fee, and nothing else.
    fn check_replacement(&self, payout: &Payout, planned: &PlannedPayout) -> Result<(), Fault> {
        let refuse = |reason| Err(Fault::Payout { payout: planned.id, reason });
        let fee = planned.network_fee;
        let paid = self.transactions_of(payout).map(|other| other.network_fee).max().unwrap_or(Amount::ZERO);
        if fee <= paid {
            return refuse("it pays no more than what it replaces");
        }
        let terms = self.terms().map(|terms| terms.payouts).ok_or(Fault::NotOpened)?;
        let most = network_fee(self, &payout.planned, &terms)?.atoms().saturating_mul(FEES_MAX);
        if fee.atoms() > most {
            return refuse("it pays more than a replacement may");
        }
        let expected = with_fee(&payout.planned, fee)?.map(|same| PlannedPayout { txid: planned.txid, ..same });
        if expected.as_ref() != Some(planned) {
            return refuse("it is another payout than what it replaces");
        }
        match planned.transaction(&self.accounts, self.key()?) {
            Some(transaction) if transaction.txid() == planned.txid => Ok(()),
            _ => refuse("its transaction is another one"),
        }
    }

    /// A payout is the transaction that a block has.
    pub(super) fn confirm_as(&mut self, id: PayoutId, txid: TxId) {
        let (Some(payout), Some(attempts)) = (self.payouts.get_mut(&id), self.attempts.get_mut(&id)) else { return };
        let Some(other) = attempts.others.iter_mut().find(|attempt| attempt.planned.txid == txid) else { return };
        std::mem::swap(&mut payout.planned, &mut other.planned);
        std::mem::swap(&mut payout.signed, &mut other.signed);
        if payout.state == PayoutState::Planned && payout.signed.is_some() {
            payout.state = PayoutState::Signed;
        }
    }

    /// A payout that nobody can sign any more is what it was signed as last.
    pub(super) fn fall_back(&mut self, id: PayoutId) {
        let attempts = self.attempts.get(&id);
        let signed = attempts.and_then(|attempts| attempts.others.iter().rev().find(|other| other.signed.is_some()));
        if let Some(txid) = signed.map(|other| other.planned.txid) {
            self.confirm_as(id, txid);
        }
    }

    /// It begins to wait for a block.
    pub(super) fn note_waiting(&mut self, id: PayoutId) {
        let height = self.tip.map(|tip| tip.height).unwrap_or_default();
        self.attempts.entry(id).or_default().since = height;
    }
}
