use std::fmt;

use bq_primitives::{Amount, tagged_hash};

use crate::{Cause, LedgerAccount, LedgerError};

/// One line of the journal: `amount` from the credit side's account to the debit side's. Written once, never edited;
/// a correction is a new line (SPEC 8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What happened.
    pub cause: Cause,
    /// The account that is debited.
    pub debit: LedgerAccount,
    /// The account that is credited.
    pub credit: LedgerAccount,
    /// How much, at least one atom.
    pub amount: Amount,
}

/// What makes a transfer unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferKey {
    /// The event.
    pub cause: Cause,
    /// Debit side.
    pub debit: LedgerAccount,
    /// Credit side.
    pub credit: LedgerAccount,
}

/// Head of the hash chain of a journal, which the books before the log of events kept: it commits to every line so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalHash(pub [u8; 32]);

/// A journal line with its place in the chain of hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainedTransfer {
    /// 1 for the first line.
    pub id: u64,
    /// Lines with one number were written together.
    pub batch: u64,
    /// The line.
    pub transfer: Transfer,
    /// Hash before this line.
    pub previous: JournalHash,
    /// Hash after this line.
    pub hash: JournalHash,
}

impl Transfer {
    /// What makes it unique.
    #[must_use]
    pub const fn key(&self) -> TransferKey {
        TransferKey { cause: self.cause, debit: self.debit, credit: self.credit }
    }

    /// A transfer moves at least one atom between two accounts.
    ///
    /// # Errors
    /// [`LedgerError::ZeroTransfer`], [`LedgerError::SameAccount`].
    pub fn check(&self) -> Result<(), LedgerError> {
        if self.amount == Amount::ZERO {
            return Err(LedgerError::ZeroTransfer(Box::new(self.key())));
        }
        if self.debit == self.credit {
            return Err(LedgerError::SameAccount(Box::new(self.key())));
        }
        Ok(())
    }

    /// The same amount back, for another event.
    #[must_use]
    pub const fn reversed(&self, cause: Cause) -> Self {
        Self { cause, debit: self.credit, credit: self.debit, amount: self.amount }
    }

    /// Appends the line to the hash chain: `T("BQ/journal", previous || id || batch || text || amount)`. The wall-clock
    /// time of a line is not hashed, so that a replay of the same events gives the same head.
    #[must_use]
    pub fn chained(self, id: u64, batch: u64, previous: JournalHash) -> ChainedTransfer {
        let text = self.key().to_string();
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let hash = JournalHash(tagged_hash(
            "BQ/journal",
            &[
                &previous.0,
                &id.to_le_bytes(),
                &batch.to_le_bytes(),
                &length.to_le_bytes(),
                text.as_bytes(),
                &self.amount.atoms().to_le_bytes(),
            ],
        ));
        ChainedTransfer { id, batch, transfer: self, previous, hash }
    }
}

impl fmt::Display for TransferKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, subject, generation) = (self.cause.code(), self.cause.subject(), self.cause.generation());
        write!(f, "{code} {subject} {generation} {} {}", self.debit, self.credit)
    }
}
