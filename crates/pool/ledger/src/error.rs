use bq_primitives::{AccountId, Amount, AmountError};

use crate::{LedgerAccount, TransferKey};

/// Why the books refuse. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// A window whose parts do not make the whole.
    #[error("window weights sum to {got}, expected {expected}")]
    WindowSum {
        /// Sum of the parts.
        got: u128,
        /// The whole.
        expected: u128,
    },
    /// A sum or product left its range.
    #[error("arithmetic left its range")]
    Overflow,
    /// Debits less credits are not zero.
    #[error("debits less credits are {0} atoms")]
    Imbalance(i128),
    /// An amount left its range.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// A transfer of nothing.
    #[error("transfer {0} moves no atom")]
    ZeroTransfer(Box<TransferKey>),
    /// A transfer from an account to itself.
    #[error("transfer {0} moves from an account to itself")]
    SameAccount(Box<TransferKey>),
    /// A balance would go below zero.
    #[error("{account} holds {balance} atoms, {needed} are needed")]
    Insufficient {
        /// The account.
        account: LedgerAccount,
        /// What it holds.
        balance: u64,
        /// What the batch takes from it.
        needed: u64,
    },
    /// A payout that does not add up.
    #[error("payee {account} gets {gross} atoms, its part of the network fee is {fee}")]
    FeeAboveAmount {
        /// Who.
        account: AccountId,
        /// What the account is debited.
        gross: Amount,
        /// Its part of the fee.
        fee: Amount,
    },
    /// A payout without payees.
    #[error("a payout needs a payee")]
    NoPayees,
}
