//! Decisions of people. Each is checked whole before it changes anything.

use std::collections::BTreeSet;

use bq_ledger::{Cause, LedgerAccount, Transfer};
use bq_mining_message::{FrontEndId, ShareSequence};
use bq_primitives::{Algorithm, Amount, BlockId, KeyHash, OutPoint, TxId};

use super::Step;
use crate::{
    Act, BlockState, Fault, KeyGivenUp, Operator, Origin, Paused, Payout, PayoutId, PayoutState, PoolCoin, State,
    state::take_up_to,
};

/// No segment holds more shares than a 32-bit number counts.
const FORFEIT_AHEAD_MAX: u64 = 1 << 32;

impl State {
    /// Some acts take several steps. A later one may find that the books are not such that it can be taken, and a person's decision
    /// must never leave a half.
    pub(super) fn operator(&mut self, step: &mut Step<'_>, operator: &Operator) -> Result<(), Fault> {
        let before = self.clone();
        self.act(step, operator).inspect_err(|_| *self = before)
    }

    fn act(&mut self, step: &mut Step<'_>, operator: &Operator) -> Result<(), Fault> {
        match &operator.act {
            Act::Pause => self.pause(operator),
            Act::Resume => self.resume(),
            Act::AdoptWithdrawal { txid } => self.adopt_withdrawal(step, txid),
            Act::AdoptRefill { txid } => self.adopt_refill(step, txid),
            Act::AdoptPayout(payout) => self.adopt_payout(step, payout),
            Act::WriteOff { amount } => self.write_off(step, *amount),
            Act::Recover { seen } => self.recover(step, *seen),
            Act::Forfeit { front_end, first, end } => self.forfeit(*front_end, *first, *end),
            Act::ReleaseSuspense { amount } => self.release_suspense(step, *amount),
            Act::NewKey { key } => self.new_key(step, *key),
            Act::WriteOffSuspense { amount } => self.write_off_suspense(step, *amount),
            Act::FundReserve { amount } => self.fund_reserve(step, *amount),
            Act::ReleaseReserve { amount } => self.release_reserve(step, *amount),
            Act::Begin => Ok(()),
        }
    }

    fn pause(&mut self, operator: &Operator) -> Result<(), Fault> {
        if self.paused.is_some() {
            return Err(Fault::Operator("payouts are paused already"));
        }
        self.paused = Some(Paused { reason: operator.reason.clone(), since_ms: operator.time_ms });
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Fault> {
        self.paused.take().map(|_| ()).ok_or(Fault::Operator("payouts are not paused"))
    }

    /// Missing coins less what came back are taken from what the pool earned.
    fn adopt_withdrawal(&mut self, step: &mut Step<'_>, txid: &TxId) -> Result<(), Fault> {
        let gone = self.missing_by(txid)?;
        let kept = self.sent_by(txid, true)?;
        let cost = gone.checked_sub(kept).map_err(|_| Fault::Operator("it sent the pool more than it took"))?;
        let sources = self.earned_less(self.losses());
        // What came back is a gift in the books already and must not pay for its own withdrawal.
        let sources: Vec<_> = sources
            .into_iter()
            .map(|(account, able)| match account {
                LedgerAccount::GiftIncome => (account, able.saturating_sub(kept.atoms())),
                _ => (account, able),
            })
            .collect();
        let has = sources.iter().fold(0_u64, |sum, (_, able)| sum.saturating_add(*able));
        let not_earned = Fault::NotEarned { has, needed: cost.atoms() };
        let mut parts = crate::state::take(&sources, cost).ok_or(not_earned)?;
        parts.push((LedgerAccount::GiftIncome, kept));
        self.make_good(step, &parts)?;
        self.trust(txid);
        self.explain(txid);
        Ok(())
    }

    fn adopt_refill(&mut self, step: &mut Step<'_>, txid: &TxId) -> Result<(), Fault> {
        let sent = self.sent_by(txid, false)?;
        if sent == Amount::ZERO {
            return Err(Fault::Operator("that transaction sent the pool no coin that is buried"));
        }
        let cause = Cause::Operator { event: step.number.0 };
        let debit = LedgerAccount::GiftIncome;
        let holes = [LedgerAccount::Missing, LedgerAccount::OrphanLoss, LedgerAccount::WriteOff];
        let parts = take_up_to(&holes.map(|account| (account, self.books.balance(account))), sent)?;
        if parts.is_empty() {
            return Err(Fault::Operator("no coin is missing, and the pool bears no loss"));
        }
        let lines = parts.into_iter().map(|(credit, amount)| Transfer { cause, debit, credit, amount }).collect();
        step.book(self, lines)?;
        self.trust(txid);
        Ok(())
    }

    fn write_off(&mut self, step: &mut Step<'_>, amount: Amount) -> Result<(), Fault> {
        let (account, needed) = (LedgerAccount::Missing, amount.atoms());
        let has = self.books.balance(account);
        if needed == 0 || has < needed {
            return Err(Fault::NotCovered { account, has, needed });
        }
        self.make_good(step, &[(LedgerAccount::WriteOff, amount)])
    }

    /// A log that lost shares and payouts knows neither what these rewards were nor that they were paid.
    fn write_off_suspense(&mut self, step: &mut Step<'_>, amount: Amount) -> Result<(), Fault> {
        let needed = amount.atoms();
        for (account, has) in [
            (LedgerAccount::Missing, self.books.balance(LedgerAccount::Missing)),
            (LedgerAccount::Suspense, self.matured_suspense()),
        ] {
            if needed == 0 || has < needed {
                return Err(Fault::NotCovered { account, has, needed });
            }
        }
        self.make_good(step, &[(LedgerAccount::Suspense, amount)])
    }

    /// Nothing moves: blocks that were credited keep what they paid, and later windows do not find the shares. Of a front end's
    /// newest segment nobody can say how many shares it held, so the numbers may go on behind what the log was told of.
    fn forfeit(&mut self, front_end: FrontEndId, first: ShareSequence, end: ShareSequence) -> Result<(), Fault> {
        match self.front_ends.get_mut(&front_end) {
            Some(head)
                if first < end && first <= head.next && end.0.saturating_sub(head.next.0) <= FORFEIT_AHEAD_MAX =>
            {
                head.next = head.next.max(end);
                Ok(())
            }
            _ => Err(Fault::Operator("the log holds no such shares")),
        }
    }

    fn release_suspense(&mut self, step: &mut Step<'_>, amount: Amount) -> Result<(), Fault> {
        let account = LedgerAccount::Suspense;
        let (has, needed) = (self.matured_suspense(), amount.atoms());
        if needed == 0 || has < needed {
            return Err(Fault::NotCovered { account, has, needed });
        }
        let cause = Cause::Operator { event: step.number.0 };
        let credit = LedgerAccount::Seed(Algorithm::Sha256d);
        step.book(self, vec![Transfer { cause, debit: account, credit, amount }])
    }

    /// What the old key holds cannot be spent any more.
    fn new_key(&mut self, step: &mut Step<'_>, key: KeyHash) -> Result<(), Fault> {
        let opened = self.opened.ok_or(Fault::NotOpened)?;
        if opened.key == key {
            return Err(Fault::Operator("that is the key already"));
        }
        if self.accounts.find(&key).is_some() {
            return Err(Fault::Operator("that key is a miner's"));
        }
        if self.cold.keys.contains(&key) {
            return Err(Fault::Operator("that key is the cold one"));
        }
        let replaced: Vec<PayoutId> = self.attempts.keys().copied().collect();
        for id in replaced {
            if self.payouts.get(&id).is_some_and(|payout| payout.state == PayoutState::Planned) {
                self.fall_back(id);
            }
        }
        // There are no bytes of those, and nobody can make any now.
        let unsigned: Vec<Payout> =
            self.payouts.values().filter(|payout| payout.state == PayoutState::Planned).cloned().collect();
        for payout in unsigned {
            self.undo(step, payout)?;
        }
        self.credit_unspendable(step)?;
        let cause = Cause::Operator { event: step.number.0 };
        for credit in [LedgerAccount::ChainSpendable, LedgerAccount::ChainArriving] {
            let amount = Amount::from_atoms(self.books.balance(credit))?;
            if amount > Amount::ZERO {
                let debit = LedgerAccount::Missing;
                step.book(self, vec![Transfer { cause, debit, credit, amount }])?;
            }
        }
        // Payouts that were signed need no key to confirm: what they spend is kept, and what may prove them void.
        // What the cold key holds has nothing to do with this one.
        let cold = &self.cold.coins;
        self.coins.retain(|outpoint, coin| coin.payout.is_some() || cold.contains_key(outpoint));
        let open = self.payouts.values().filter(|payout| payout.is_open());
        let inputs: BTreeSet<OutPoint> =
            open.flat_map(|payout| &payout.planned.inputs).map(|input| input.outpoint).collect();
        let (coins, cold) = (&self.coins, self.blocks.values().filter(|block| self.is_cold_block(block)));
        let cold: BTreeSet<BlockId> = cold.map(|block| block.candidate.id).collect();
        // Any other block that was found with the old key and joins later pays nothing that could be spent: it is nobody's.
        self.blocks.retain(|_, block| {
            let mut outpoints = block.candidate.coins().map(|(outpoint, _)| outpoint);
            match block.state {
                _ if cold.contains(&block.candidate.id) => true,
                BlockState::Matured => outpoints.all(|outpoint| coins.contains_key(&outpoint)),
                BlockState::Lost => outpoints.all(|outpoint| inputs.contains(&outpoint)),
                BlockState::Found | BlockState::Immature | BlockState::Orphaned => false,
            }
        });
        self.keys_given_up.push(KeyGivenUp { key: opened.key, payouts_to: self.newest_payout });
        self.opened = Some(crate::Opened { key, ..opened });
        Ok(())
    }

    /// Debits `parts` and lets as many coins be missing no more.
    fn make_good(&mut self, step: &mut Step<'_>, parts: &[(LedgerAccount, Amount)]) -> Result<(), Fault> {
        let cause = Cause::Operator { event: step.number.0 };
        let credit = LedgerAccount::Missing;
        let parts = parts.iter().filter(|(_, amount)| *amount > Amount::ZERO);
        let lines = parts.map(|(debit, amount)| Transfer { cause, debit: *debit, credit, amount: *amount }).collect();
        step.book(self, lines)
    }

    /// The coins that a transaction outside the books spent, while nothing explains them.
    fn missing_by(&self, txid: &TxId) -> Result<Amount, Fault> {
        let gone = self.gone_by(txid)?;
        if gone == Amount::ZERO {
            return Err(Fault::Operator("that transaction spent no coin that is missing"));
        }
        if self.books.balance(LedgerAccount::Missing) < gone.atoms() {
            return Err(Fault::Operator("those coins are explained already"));
        }
        Ok(gone)
    }

    /// The coins that a transaction outside the books spent.
    pub(super) fn gone_by(&self, txid: &TxId) -> Result<Amount, Fault> {
        let is_payout = |coin: &PoolCoin| {
            coin.payout.and_then(|id| self.payouts.get(&id)).is_some_and(|payout| self.is_transaction_of(payout, *txid))
        };
        let by = |coin: &PoolCoin| coin.spent.is_some_and(|spent| spent.by == *txid && !spent.explained);
        // Change of a payout that is still open is missing only once that one is final.
        let spent = self.coins.iter().filter(|(_, coin)| by(coin) && !is_payout(coin));
        let spent = spent.filter(|(outpoint, coin)| self.books_as(outpoint, coin).is_some());
        Ok(Amount::sum(spent.map(|(_, coin)| coin.amount))?)
    }

    /// What a stranger's transaction sent the pool. Refused while some of it is not buried, if `whole`; what was spent before it
    /// was buried never will be.
    fn sent_by(&self, txid: &TxId, whole: bool) -> Result<Amount, Fault> {
        let mut sum = Amount::ZERO;
        for (outpoint, coin) in &self.coins {
            match coin.origin {
                Origin::Stranger { booked, trusted: false, .. } if outpoint.txid == *txid => {
                    if booked {
                        sum = sum.checked_add(coin.amount)?;
                    } else if whole && coin.spent.is_none() {
                        return Err(Fault::Operator("what it sent back is not buried yet: wait"));
                    }
                }
                _ => {}
            }
        }
        Ok(sum)
    }

    fn trust(&mut self, txid: &TxId) {
        for (outpoint, coin) in &mut self.coins {
            if let Origin::Stranger { trusted, .. } = &mut coin.origin
                && outpoint.txid == *txid
            {
                *trusted = true;
            }
        }
    }

    /// The coins that a transaction spent are explained: they are not asked for again.
    fn explain(&mut self, txid: &TxId) {
        for coin in self.coins.values_mut() {
            if let Some(spent) = coin.spent.as_mut().filter(|spent| spent.by == *txid) {
                spent.explained = true;
            }
        }
    }
}
