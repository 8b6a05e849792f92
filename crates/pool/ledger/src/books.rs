use std::collections::BTreeMap;

use bq_primitives::AccountId;

use crate::{LedgerAccount, LedgerError, Side, Transfer};

/// The balance of every account: what a journal folds to. Balances never go below zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Books {
    balances: BTreeMap<LedgerAccount, u64>,
}

impl Books {
    /// Books that hold these balances.
    ///
    /// # Errors
    /// [`LedgerError::Imbalance`] unless debits and credits are equal.
    pub fn from_balances(balances: impl IntoIterator<Item = (LedgerAccount, u64)>) -> Result<Self, LedgerError> {
        let books = Self { balances: balances.into_iter().filter(|(_, balance)| *balance > 0).collect() };
        match books.imbalance() {
            0 => Ok(books),
            off => Err(LedgerError::Imbalance(off)),
        }
    }

    /// Atoms on the account's own side.
    #[must_use]
    pub fn balance(&self, account: LedgerAccount) -> u64 {
        self.balances.get(&account).copied().unwrap_or(0)
    }

    /// Every account that holds something.
    pub fn balances(&self) -> impl Iterator<Item = (LedgerAccount, u64)> + '_ {
        self.balances.iter().map(|(account, balance)| (*account, *balance))
    }

    /// What each miner holds in one kind of account, those who hold anything; in rising number.
    pub fn of_miners(&self, kind: fn(AccountId) -> LedgerAccount) -> impl Iterator<Item = (AccountId, u64)> + '_ {
        let numbers = self.balances.range(kind(AccountId(0))..=kind(AccountId(u32::MAX)));
        numbers.filter_map(|(account, balance)| Some((account.miner()?, *balance)))
    }

    /// Applies a batch as one: only its sum per account counts, and either all of it is applied or nothing.
    ///
    /// # Errors
    /// [`LedgerError::Insufficient`] when a balance would go below zero; ill-formed transfers.
    pub fn apply(&mut self, batch: &[Transfer]) -> Result<(), LedgerError> {
        let next = self.after(batch)?;
        for (account, balance) in next {
            if balance == 0 {
                self.balances.remove(&account);
            } else {
                self.balances.insert(account, balance);
            }
        }
        Ok(())
    }

    /// The balances after a batch of the accounts it touches.
    fn after(&self, batch: &[Transfer]) -> Result<BTreeMap<LedgerAccount, u64>, LedgerError> {
        let mut changes: BTreeMap<LedgerAccount, (u64, u64)> = BTreeMap::new();
        for transfer in batch {
            transfer.check()?;
            let amount = transfer.amount.atoms();
            add(&mut changes.entry(transfer.debit).or_default().0, amount)?;
            add(&mut changes.entry(transfer.credit).or_default().1, amount)?;
        }
        changes
            .into_iter()
            .map(|(account, (debits, credits))| {
                let (more, less) = match account.side() {
                    Side::Debit => (debits, credits),
                    Side::Credit => (credits, debits),
                };
                let balance = self.balance(account);
                let held = balance.checked_add(more).ok_or(LedgerError::Overflow)?;
                let left =
                    held.checked_sub(less).ok_or(LedgerError::Insufficient { account, balance, needed: less })?;
                Ok((account, left))
            })
            .collect()
    }

    /// Sum of debit balances less sum of credit balances (I1, I3): 0 or the books are wrong.
    #[must_use]
    pub fn imbalance(&self) -> i128 {
        imbalance(self.balances())
    }
}

/// Sum of debit balances less sum of credit balances.
pub(crate) fn imbalance(balances: impl IntoIterator<Item = (LedgerAccount, u64)>) -> i128 {
    balances.into_iter().fold(0_i128, |sum, (account, balance)| match account.side() {
        Side::Debit => sum.saturating_add(i128::from(balance)),
        Side::Credit => sum.saturating_sub(i128::from(balance)),
    })
}

fn add(sum: &mut u64, amount: u64) -> Result<(), LedgerError> {
    *sum = sum.checked_add(amount).ok_or(LedgerError::Overflow)?;
    Ok(())
}
