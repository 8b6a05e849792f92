use std::collections::BTreeMap;

use bq_ledger::LedgerAccount;
use bq_primitives::{Algorithm, OutPoint};

use crate::{BlockState, Fault, Line, Origin, Payout, PayoutKind, State};

impl State {
    /// What must hold after every event (SPEC 8.4): books that balance, and that say of every coin what the chain says (I1 to
    /// I8). Costs a look at everything: for tests, checkpoints and audits.
    ///
    /// # Errors
    /// [`Fault::Invariant`] names what does not hold.
    pub fn check(&self) -> Result<(), Fault> {
        match self.books.imbalance() {
            0 => {}
            off => return self.violated(format!("I1: debits less credits are {off} atoms")),
        }
        for (account, expected) in self.expected() {
            let got = self.books.balance(account);
            if u128::from(got) != expected {
                return self.violated(format!("{account} holds {got} atoms, its parts sum to {expected}"));
            }
        }
        self.check_blocks()?;
        self.check_due()
    }

    /// Balances that follow from coins, payouts and blocks.
    fn expected(&self) -> BTreeMap<LedgerAccount, u128> {
        let mut sums: BTreeMap<LedgerAccount, u128> = BTreeMap::new();
        let mut add = |account: LedgerAccount, amount: u64| {
            let sum = sums.entry(account).or_default();
            *sum = sum.saturating_add(u128::from(amount));
        };
        for lane in Algorithm::ALL {
            add(LedgerAccount::ChainImmature(lane), 0);
        }
        for account in [
            LedgerAccount::ChainSpendable,
            LedgerAccount::ChainInFlight,
            LedgerAccount::ChainCold,
            LedgerAccount::ChainArriving,
            LedgerAccount::WithdrawalInFlight,
        ] {
            add(account, 0);
        }
        let free = self.coins.iter().filter(|(_, coin)| coin.spent.is_none());
        for (outpoint, coin) in free {
            match self.books_as(outpoint, coin) {
                Some(LedgerAccount::ChainInFlight) | None => {}
                Some(account) => add(account, coin.amount.atoms()),
            }
        }
        for payout in self.payouts.values().filter(|payout| payout.is_open()) {
            for input in &payout.planned.inputs {
                if self.is_in_flight(payout, &input.outpoint) {
                    add(LedgerAccount::ChainInFlight, input.amount.atoms());
                }
            }
            match &payout.planned.kind {
                PayoutKind::Miners(plan) => {
                    for payee in &plan.payees {
                        add(LedgerAccount::MinerInFlight(payee.account), payee.gross.atoms());
                    }
                }
                PayoutKind::Withdrawal { gross, .. } => add(LedgerAccount::WithdrawalInFlight, gross.atoms()),
                PayoutKind::Fence | PayoutKind::Consolidation => {}
            }
        }
        for (account, _) in self.books.balances() {
            if let LedgerAccount::MinerInFlight(_) = account {
                add(account, 0);
            }
        }
        sums
    }

    /// An input that is there, or spent by the payout itself. Change of a payout that is open again is in flight with that one,
    /// and what a fence took over with the fence.
    pub(crate) fn is_in_flight(&self, payout: &Payout, outpoint: &OutPoint) -> bool {
        match self.coins.get(outpoint) {
            None => false,
            Some(coin) => match coin.origin {
                Origin::Change(parent) if self.payouts.get(&parent).is_some_and(Payout::is_open) => false,
                // A block of the same template made the coin anew: it is in flight again once that one matured.
                Origin::Block(id) if self.blocks.get(&id).is_some_and(|block| block.state == BlockState::Immature) => {
                    false
                }
                _ => match coin.spent {
                    Some(spent) => spent.by == payout.planned.txid,
                    None => coin.payout == Some(payout.planned.id),
                },
            },
        }
    }

    fn check_blocks(&self) -> Result<(), Fault> {
        for (account, _) in self.books.balances() {
            if let LedgerAccount::CarryPending(id) = account
                && self.blocks.get(&id).is_none_or(|block| block.state != BlockState::Immature)
            {
                return self.violated(format!("I4: {account} holds atoms and the block is not immature"));
            }
        }
        for block in self.blocks.values().filter(|block| block.state == BlockState::Immature) {
            let sum_of = |is_it: fn(&&Line) -> bool| {
                let lines = block.lines.iter().filter(is_it);
                lines.fold(0_u64, |sum, line| sum.saturating_add(line.amount.atoms()))
            };
            let onto = sum_of(|line| matches!(line.debit, LedgerAccount::ChainImmature(_)));
            let off = sum_of(|line| matches!(line.credit, LedgerAccount::ChainImmature(_)));
            let own = block.candidate.own()?.atoms();
            if onto.checked_sub(off) != Some(own) {
                let id = block.candidate.id;
                return self.violated(format!("I4: block {id} nets to {onto} less {off} atoms, pays {own}"));
            }
        }
        Ok(())
    }

    fn check_due(&self) -> Result<(), Fault> {
        for (account, key) in self.accounts.iter() {
            let payable = self.books.balance(LedgerAccount::MinerPayable(account));
            let is_due = payable >= self.payout_min(account) && Some(key) != self.opened.map(|opened| opened.key);
            if is_due != self.due_since.contains_key(&account) {
                return self.violated(format!("account {account} with {payable} atoms is queued wrongly"));
            }
        }
        Ok(())
    }

    fn violated(&self, what: String) -> Result<(), Fault> {
        Err(Fault::Invariant(self.head.number, what))
    }
}
