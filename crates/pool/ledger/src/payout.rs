use bq_primitives::{AccountId, Amount};

use crate::{Cause, LedgerAccount, LedgerError, Transfer};

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

    /// T30 as the books before the log of events wrote it: the payees' balances and as many coins are set aside. The
    /// migration of those books compares; the pool machine sets whole coins aside and has lines of its own.
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

    /// T31, for the migration as [`PayoutPlan::reserve`]: the debt and the coins are both gone.
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

    /// T32, for the migration too: T30 backwards.
    ///
    /// # Errors
    /// As [`PayoutPlan::total`].
    pub fn void(&self, payout: u64) -> Result<Vec<Transfer>, LedgerError> {
        let cause = Cause::PayoutVoid { payout };
        Ok(self.reserve(payout)?.iter().map(|line| line.reversed(cause)).collect())
    }
}
