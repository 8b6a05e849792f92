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
    /// A transfer with a key that exists, but with another content: somebody books something else under the same name.
    #[error("transfer {key} exists with {} atoms, got {}", existing.atoms(), got.atoms())]
    KeyConflict {
        /// The key.
        key: Box<TransferKey>,
        /// Amount in the books.
        existing: Amount,
        /// Amount that was offered.
        got: Amount,
    },
    /// Some transfers of a batch exist and some do not: batches are written whole.
    #[error("batch of transfer {0} is partly in the books")]
    PartialBatch(Box<TransferKey>),
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

impl LedgerError {
    /// The books contradict themselves or the caller contradicts the books: the writer must stop until a person looked.
    #[must_use]
    pub const fn is_integrity_fault(&self) -> bool {
        !matches!(self, Self::FeeAboveAmount { .. } | Self::NoPayees)
    }
}
