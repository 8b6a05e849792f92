//! Payouts (SPEC 8.5): what may be planned, and what is booked when one is set aside, buried, or back again.

use std::collections::BTreeSet;

use bq_ledger::{Cause, LedgerAccount, PayoutPlan, Transfer};
use bq_primitives::{AccountId, Amount, BlockId, OutPoint};

use super::Step;
use crate::{
    Fault, Origin, Payout, PayoutEvent, PayoutId, PayoutInput, PayoutKind, PayoutRound, PayoutState, PlannedPayout,
    PoolCoin, State, plan::network_fee, state::take,
};

impl State {
    pub(super) fn payout_event(&mut self, step: &mut Step<'_>, event: &PayoutEvent) -> Result<(), Fault> {
        match event {
            PayoutEvent::Planned(planned) => self.reserve(step, planned),
            PayoutEvent::Signed { payout, digest } => self.signed(step, *payout, *digest),
            PayoutEvent::Void { payout, proof } => self.void(step, *payout, *proof),
            PayoutEvent::Replaced(planned) => self.replace(step, planned),
        }
    }

    /// T30.
    fn reserve(&mut self, step: &mut Step<'_>, planned: &PlannedPayout) -> Result<(), Fault> {
        let sources = self.check_plan(planned)?;
        let id = planned.id;
        let payout = Payout {
            planned: planned.clone(),
            state: PayoutState::Planned,
            sources,
            signed: None,
            confirmed: None,
            voided: None,
            returned: 0,
        };
        let cause = Cause::PayoutReserved { payout: id.0 };
        let mut lines = set_aside(&payout, cause);
        // What a fence takes over from the payout that it fences is in flight already.
        let is_free = |input: &&PayoutInput| self.coins.get(&input.outpoint).is_some_and(|coin| coin.payout.is_none());
        let amount = Amount::sum(planned.inputs.iter().filter(is_free).map(|input| input.amount))?;
        let (debit, credit) = (LedgerAccount::ChainInFlight, LedgerAccount::ChainSpendable);
        lines.push(Transfer { cause, debit, credit, amount });
        lines.retain(|line| line.amount > Amount::ZERO);
        step.book(self, lines)?;
        for input in &planned.inputs {
            if let Some(coin) = self.coins.get_mut(&input.outpoint) {
                coin.payout = Some(id);
            }
        }
        // Who is paid, in part too, goes to the end of the queue.
        if let PayoutKind::Miners(plan) = &planned.kind {
            for payee in &plan.payees {
                self.due_since.remove(&payee.account);
                self.note_due(step.number, payee.account);
            }
        }
        self.newest_payout = id;
        self.note_round(planned.time_ms);
        self.payouts.insert(id, payout);
        step.applied.payouts.insert(id);
        Ok(())
    }

    fn note_round(&mut self, time_ms: u64) {
        let interval = self.terms().map_or(0, |terms| terms.payouts.interval_ms);
        // As in `next`: a clock that went back begins a new round.
        let elapsed = time_ms.checked_sub(self.round.started_ms);
        let is_new = self.round.payouts == 0 || elapsed.is_none_or(|elapsed| elapsed >= interval);
        if is_new {
            self.round = PayoutRound { started_ms: time_ms, payouts: 1 };
        } else {
            self.round.payouts = self.round.payouts.saturating_add(1);
        }
    }

    /// What a withdrawal is taken from, if the plan is one that these books allow.
    fn check_plan(&self, planned: &PlannedPayout) -> Result<Vec<(LedgerAccount, Amount)>, Fault> {
        let payout = planned.id;
        let expected = PayoutId(self.newest_payout.0.saturating_add(1));
        if payout != expected {
            return Err(Fault::PayoutOrder { got: payout, expected });
        }
        self.check_inputs(planned)?;
        let refuse = |reason| Err(Fault::Payout { payout, reason });
        let (cost, sources) = match &planned.kind {
            PayoutKind::Miners(plan) => (self.check_payees(planned, plan)?, Vec::new()),
            PayoutKind::Withdrawal { to, gross } => {
                if self.owns(to) {
                    return Err(Fault::OwnKey(*to));
                }
                if *gross <= planned.network_fee {
                    return refuse("the network fee eats it");
                }
                let sources = self.withdrawable();
                let has = sources.iter().fold(0_u64, |sum, (_, amount)| sum.saturating_add(*amount));
                let needed = gross.atoms();
                (*gross, take(&sources, *gross).ok_or(Fault::NotEarned { has, needed })?)
            }
            PayoutKind::Fence => (planned.network_fee, Vec::new()),
            PayoutKind::Consolidation => (self.check_consolidation(planned)?, Vec::new()),
        };
        if planned.spent()? != cost.checked_add(planned.change)? {
            return refuse("inputs are not payments, fee and change");
        }
        let transaction = planned.transaction(&self.accounts, self.key()?);
        match transaction {
            Some(transaction) if transaction.txid() == planned.txid => Ok(sources),
            _ => refuse("its transaction is another one"),
        }
    }

    fn check_inputs(&self, planned: &PlannedPayout) -> Result<(), Fault> {
        let refuse = |reason| Err(Fault::Payout { payout: planned.id, reason });
        let is_recovering = self.recovery.is_some_and(|recovery| recovery.open);
        let is_fence = matches!(planned.kind, PayoutKind::Fence);
        if is_recovering && !is_fence {
            return refuse("the log is being recovered");
        }
        let is_to_be_fenced = |input: &PayoutInput| {
            let outpoint = &input.outpoint;
            self.coins.get(outpoint).is_some_and(|coin| self.is_to_be_fenced(outpoint, coin))
        };
        if is_fence && !planned.inputs.iter().any(is_to_be_fenced) {
            return refuse("it fences nothing");
        }
        let mut seen: BTreeSet<OutPoint> = BTreeSet::new();
        for input in &planned.inputs {
            let coin = self.coins.get(&input.outpoint).ok_or(Fault::Coin(input.outpoint))?;
            if !seen.insert(input.outpoint)
                || coin.amount != input.amount
                || !self.is_input(&input.outpoint, coin, &planned.kind)
            {
                return Err(Fault::Coin(input.outpoint));
            }
        }
        if seen.is_empty() { refuse("it spends nothing") } else { Ok(()) }
    }

    /// Whether a coin may be an input of such a payout. Miners are not paid with what a stranger sent: a reorganisation could
    /// take it back and hold up everybody in the same transaction.
    #[must_use]
    pub(crate) fn is_input(&self, outpoint: &OutPoint, coin: &PoolCoin, kind: &PayoutKind) -> bool {
        match kind {
            PayoutKind::Miners(_) | PayoutKind::Consolidation => {
                !matches!(coin.origin, Origin::Stranger { trusted: false, .. }) && self.is_spendable(outpoint, coin)
            }
            PayoutKind::Withdrawal { .. } => self.is_spendable(outpoint, coin),
            // What pays for it may be a coin that is beyond suspicion.
            PayoutKind::Fence => self.is_spendable(outpoint, coin) || self.is_left_behind(outpoint, coin),
        }
    }

    /// What it costs: the fee of the terms and no other, for at most as many coins as they allow.
    fn check_consolidation(&self, planned: &PlannedPayout) -> Result<Amount, Fault> {
        let refuse = |reason| Err(Fault::Payout { payout: planned.id, reason });
        let Some(terms) = self.terms().map(|terms| terms.payouts) else { return Err(Fault::NotOpened) };
        let count = u32::try_from(planned.inputs.len()).unwrap_or(u32::MAX);
        if count < 2 || count > terms.inputs_max {
            return refuse("it joins too few coins, or too many");
        }
        if planned.network_fee != network_fee(self, planned, &terms)? {
            return refuse("its network fee is not that of the terms");
        }
        Ok(planned.network_fee)
    }

    fn check_payees(&self, planned: &PlannedPayout, plan: &PayoutPlan) -> Result<Amount, Fault> {
        let payout = planned.id;
        let dues: Vec<(AccountId, Amount)> = plan.payees.iter().map(|payee| (payee.account, payee.gross)).collect();
        if PayoutPlan::new(dues, planned.network_fee)? != *plan {
            return Err(Fault::Payout { payout, reason: "the network fee is not split by the rule" });
        }
        let mut accounts: BTreeSet<AccountId> = BTreeSet::new();
        for payee in &plan.payees {
            let key = self.accounts.key(payee.account).ok_or(Fault::UnknownAccount(payee.account))?;
            if key == self.key()? {
                return Err(Fault::OwnKey(key));
            }
            let account = LedgerAccount::MinerPayable(payee.account);
            let (has, needed) = (self.books.balance(account), payee.gross.atoms());
            if has < needed || !accounts.insert(payee.account) {
                return Err(Fault::NotCovered { account, has, needed });
            }
        }
        Ok(plan.total()?)
    }

    /// The first time, or once more because the stored bytes were lost: another signature under the same transaction changes neither its
    /// id nor what it pays (SPEC 8.5.9).
    fn signed(&mut self, step: &mut Step<'_>, id: PayoutId, digest: [u8; 32]) -> Result<(), Fault> {
        let payout = self.payouts.get_mut(&id).ok_or(Fault::UnknownPayout(id))?;
        let reason = match payout.state {
            PayoutState::Planned => None,
            PayoutState::Signed if payout.signed == Some(digest) => Some("it is signed already"),
            PayoutState::Signed => None,
            PayoutState::Final | PayoutState::Void => Some("it is not open"),
        };
        if let Some(reason) = reason {
            return Err(Fault::Payout { payout: id, reason });
        }
        payout.state = PayoutState::Signed;
        payout.signed = Some(digest);
        step.applied.payouts.insert(id);
        self.note_waiting(id);
        Ok(())
    }

    /// T31.
    pub(super) fn finalize(&mut self, step: &mut Step<'_>, id: PayoutId) -> Result<(), Fault> {
        let payout = self.payouts.get_mut(&id).ok_or(Fault::UnknownPayout(id))?;
        payout.state = PayoutState::Final;
        let payout = payout.clone();
        let mut lines = paid(&payout, Cause::PayoutFinal { payout: id.0 });
        lines.extend(self.change_line(&payout, Cause::PayoutFinal { payout: id.0 }));
        lines.extend(self.missing_change(step, &payout));
        if let PayoutKind::Miners(plan) = &payout.planned.kind {
            for payee in &plan.payees {
                let sum = self.paid.entry(payee.account).or_default();
                *sum = sum.saturating_add(payee.net.atoms());
            }
        }
        step.applied.payouts.insert(id);
        step.book(self, lines)
    }

    /// The transaction of a payout is not on the best chain any more; T33 if the books had closed it.
    pub(super) fn unconfirm(&mut self, step: &mut Step<'_>, id: PayoutId) -> Result<(), Fault> {
        let Some(payout) = self.payouts.get_mut(&id) else { return Ok(()) };
        payout.confirmed = None;
        step.applied.payouts.insert(id);
        self.note_waiting(id);
        let Some(payout) = self.payouts.get_mut(&id).filter(|payout| payout.state == PayoutState::Final) else {
            return Ok(());
        };
        let cause = Cause::PayoutReturned { payout: id.0, generation: payout.returned };
        payout.returned = payout.returned.saturating_add(1);
        let closed = payout.clone();
        let mut lines: Vec<Transfer> = paid(&closed, cause).iter().map(|line| line.reversed(cause)).collect();
        let change = self.change_line(&closed, cause);
        if let Some(Transfer { debit: LedgerAccount::Missing, credit, amount, .. }) = change {
            self.undo_missing(step, credit, amount, false)?;
        } else {
            lines.extend(change.map(|line| line.reversed(cause)));
        }
        if let Some(payout) = self.payouts.get_mut(&id) {
            payout.state = PayoutState::Signed;
        }
        if let PayoutKind::Miners(plan) = &closed.planned.kind {
            for payee in &plan.payees {
                let sum = self.paid.entry(payee.account).or_default();
                *sum = sum.saturating_sub(payee.net.atoms());
            }
        }
        step.book(self, lines)
    }

    /// What a payout leaves over becomes a coin of its own; nothing while another payout has that coin in flight already.
    fn change_line(&self, payout: &Payout, cause: Cause) -> Option<Transfer> {
        let is_in_flight = self.reserved_by(&payout.planned.change_outpoint()?).is_some();
        let (debit, credit) = (self.returned_to(payout.planned.id), LedgerAccount::ChainInFlight);
        (!is_in_flight).then_some(Transfer { cause, debit, credit, amount: payout.planned.change })
    }

    /// What a payout does not spend can be spent again, or is lost with its key.
    pub(super) fn returned_to(&self, payout: PayoutId) -> LedgerAccount {
        if self.is_given_up(payout) { LedgerAccount::Missing } else { LedgerAccount::ChainSpendable }
    }

    /// T41 for change that became a coin of the books only now, and that something outside them spent before: after a
    /// recovery, or when both left the chain and came back together. Another payout may have had it as an input.
    fn missing_change(&self, step: &Step<'_>, payout: &Payout) -> Option<Transfer> {
        let outpoint = payout.planned.change_outpoint()?;
        let coin = self.coins.get(&outpoint)?;
        coin.spent.filter(|spent| self.payout_of(coin, spent).is_none())?;
        let credit = self.books_as(&outpoint, coin)?;
        let cause = Cause::SpentOutside { event: step.number.0 };
        Some(Transfer { cause, debit: LedgerAccount::Missing, credit, amount: coin.amount })
    }

    /// The block that made an input, if a block of the pool did.
    #[must_use]
    pub fn maker(&self, outpoint: &OutPoint) -> Option<BlockId> {
        match self.coins.get(outpoint)?.origin {
            Origin::Block(id) => Some(id),
            Origin::Change(_) | Origin::Stranger { .. } => None,
        }
    }
}

/// The payees' side of T30.
pub(super) fn set_aside(payout: &Payout, cause: Cause) -> Vec<Transfer> {
    match &payout.planned.kind {
        PayoutKind::Miners(plan) => plan
            .payees
            .iter()
            .map(|payee| Transfer {
                cause,
                debit: LedgerAccount::MinerPayable(payee.account),
                credit: LedgerAccount::MinerInFlight(payee.account),
                amount: payee.gross,
            })
            .collect(),
        PayoutKind::Withdrawal { .. } => payout
            .sources
            .iter()
            .map(|(debit, amount)| Transfer {
                cause,
                debit: *debit,
                credit: LedgerAccount::WithdrawalInFlight,
                amount: *amount,
            })
            .collect(),
        PayoutKind::Fence | PayoutKind::Consolidation => Vec::new(),
    }
}

/// The payees' side of T31.
fn paid(payout: &Payout, cause: Cause) -> Vec<Transfer> {
    let credit = LedgerAccount::ChainInFlight;
    match &payout.planned.kind {
        PayoutKind::Miners(plan) => {
            let payees = plan.payees.iter();
            let line = |payee: &bq_ledger::Payee| Transfer {
                cause,
                debit: LedgerAccount::MinerInFlight(payee.account),
                credit,
                amount: payee.gross,
            };
            payees.map(line).collect()
        }
        PayoutKind::Withdrawal { gross, .. } => {
            vec![Transfer { cause, debit: LedgerAccount::WithdrawalInFlight, credit, amount: *gross }]
        }
        PayoutKind::Fence | PayoutKind::Consolidation => {
            vec![Transfer { cause, debit: LedgerAccount::NetFeeExpense, credit, amount: payout.planned.network_fee }]
        }
    }
}
