use bq_primitives::{AccountId, Amount};

use crate::{Cause, LedgerAccount, LedgerError, Transfer};

/// When and how much to pay out (SPEC 8.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayoutTerms {
    /// An account is paid when it can be paid at least this much.
    pub payout_min: Amount,
    /// Accounts in one payout at most.
    pub payees_max: usize,
    /// Sum of all payments and the network fee at most: the coins at hand.
    pub available: Amount,
}

/// One account's part of a payout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Payee {
    /// Who.
    pub account: AccountId,
    /// What the account is debited.
    pub gross: Amount,
    /// Its part of the network fee.
    pub fee: Amount,
    /// What its output holds: `gross - fee`, at least one atom.
    pub net: Amount,
}

/// Who is paid how much by one transaction. `sum of nets + network fee = sum of gross amounts`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PayoutPlan {
    /// Outputs of the transaction are in this order: by account id, but for payouts of books that were lost.
    pub payees: Vec<Payee>,
    /// What the transaction leaves to the miner of its block.
    pub network_fee: Amount,
}

impl PayoutPlan {
    /// Accounts that have reached the minimum, in increasing id, each with its whole payable balance, as many as the
    /// terms allow. An account that does not fit into what is available is skipped, so one large balance cannot hold up
    /// the small ones; when none fits, the first is paid as much as there is, so no balance is too large to be paid.
    pub fn select(
        payable: impl IntoIterator<Item = (AccountId, Amount)>,
        terms: &PayoutTerms,
    ) -> Vec<(AccountId, Amount)> {
        let mut due: Vec<(AccountId, Amount)> =
            payable.into_iter().filter(|(_, amount)| *amount >= terms.payout_min && *amount > Amount::ZERO).collect();
        due.sort_by_key(|(account, _)| *account);
        let first = due.first().map(|(account, _)| *account);
        let mut left = terms.available;
        due.retain(|(_, amount)| left.checked_sub(*amount).map(|rest| left = rest).is_ok());
        due.truncate(terms.payees_max);
        match first {
            Some(account) if due.is_empty() && terms.available >= terms.payout_min => vec![(account, terms.available)],
            _ => due,
        }
    }

    /// Splits the network fee over the payees, who bear it: `floor(fee / n)` each, and one atom more for the first
    /// `fee mod n` in account order.
    ///
    /// # Errors
    /// [`LedgerError::NoPayees`]; [`LedgerError::FeeAboveAmount`] when a payee would get nothing.
    pub fn new(mut due: Vec<(AccountId, Amount)>, network_fee: Amount) -> Result<Self, LedgerError> {
        due.sort_by_key(|(account, _)| *account);
        Self::in_order(due, network_fee)
    }

    /// As [`PayoutPlan::new`], in the order given: that of the outputs of a transaction whose payees had other numbers in the
    /// books that planned it.
    ///
    /// # Errors
    /// As [`PayoutPlan::new`].
    pub fn in_order(due: Vec<(AccountId, Amount)>, network_fee: Amount) -> Result<Self, LedgerError> {
        let count = u64::try_from(due.len()).map_err(|_| LedgerError::Overflow)?;
        let each = network_fee.atoms().checked_div(count).ok_or(LedgerError::NoPayees)?;
        let odd = network_fee.atoms().checked_rem(count).ok_or(LedgerError::NoPayees)?;
        let payees = due
            .into_iter()
            .zip(0_u64..)
            .map(|((account, gross), position)| {
                let fee = Amount::from_atoms(each.saturating_add(u64::from(position < odd)))?;
                match gross.checked_sub(fee) {
                    Ok(net) if net > Amount::ZERO => Ok(Payee { account, gross, fee, net }),
                    _ => Err(LedgerError::FeeAboveAmount { account, gross, fee }),
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { payees, network_fee })
    }

    /// Sum of what the accounts are debited: payments and network fee.
    ///
    /// # Errors
    /// [`LedgerError::Amount`] when it leaves the range of amounts.
    pub fn total(&self) -> Result<Amount, LedgerError> {
        Ok(Amount::sum(self.payees.iter().map(|payee| payee.gross))?)
    }

    /// T30: the payees' balances and as many coins are set aside.
    ///
    /// # Errors
    /// As [`PayoutPlan::total`].
    pub fn reserve(&self, payout: u64) -> Result<Vec<Transfer>, LedgerError> {
        let cause = Cause::PayoutReserved { payout };
        let mut transfers: Vec<Transfer> = self
            .payees
            .iter()
            .map(|payee| Transfer {
                cause,
                debit: LedgerAccount::MinerPayable(payee.account),
                credit: LedgerAccount::MinerInFlight(payee.account),
                amount: payee.gross,
            })
            .collect();
        transfers.push(Transfer {
            cause,
            debit: LedgerAccount::ChainInFlight,
            credit: LedgerAccount::ChainSpendable,
            amount: self.total()?,
        });
        Ok(transfers)
    }

    /// T31: the debt and the coins are both gone.
    #[must_use]
    pub fn finalize(&self, payout: u64) -> Vec<Transfer> {
        let cause = Cause::PayoutFinal { payout };
        self.payees
            .iter()
            .map(|payee| Transfer {
                cause,
                debit: LedgerAccount::MinerInFlight(payee.account),
                credit: LedgerAccount::ChainInFlight,
                amount: payee.gross,
            })
            .collect()
    }

    /// T32: T30 backwards.
    ///
    /// # Errors
    /// As [`PayoutPlan::total`].
    pub fn void(&self, payout: u64) -> Result<Vec<Transfer>, LedgerError> {
        let cause = Cause::PayoutVoid { payout };
        Ok(self.reserve(payout)?.iter().map(|line| line.reversed(cause)).collect())
    }
}
