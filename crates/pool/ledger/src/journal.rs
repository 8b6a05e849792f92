use std::collections::BTreeMap;

use bq_primitives::Amount;

use crate::{Books, ChainedTransfer, JournalHash, LedgerError, Transfer, TransferKey};

/// A journal in memory with its books: what a database of the ledger must behave like, and what checks it.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    lines: Vec<ChainedTransfer>,
    keys: BTreeMap<TransferKey, Amount>,
    books: Books,
    batches: u64,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It was written.
    New,
    /// Every line was there already, with the same content. Nothing was written.
    Already,
}

impl Journal {
    /// Appends a batch, all or nothing. Telling the same batch twice is success without effect.
    ///
    /// # Errors
    /// [`LedgerError::KeyConflict`] for a known key with another amount, [`LedgerError::PartialBatch`] when only some
    /// lines are known, and whatever [`Books::apply`] refuses.
    pub fn post(&mut self, batch: &[Transfer]) -> Result<Posted, LedgerError> {
        if Self::is_known(batch, |key| self.keys.get(key).copied())? {
            return Ok(Posted::Already);
        }
        self.books.apply(batch)?;
        self.batches = self.batches.saturating_add(1);
        for transfer in batch {
            let id = u64::try_from(self.lines.len()).map_err(|_| LedgerError::Overflow)?.saturating_add(1);
            self.lines.push(transfer.chained(id, self.batches, self.head()));
            self.keys.insert(transfer.key(), transfer.amount);
        }
        Ok(Posted::New)
    }

    /// Whether a batch is in the books already, given the amount booked under each key.
    ///
    /// # Errors
    /// [`LedgerError::KeyConflict`], [`LedgerError::PartialBatch`].
    pub fn is_known(batch: &[Transfer], booked: impl Fn(&TransferKey) -> Option<Amount>) -> Result<bool, LedgerError> {
        let mut known = 0_usize;
        for transfer in batch {
            match booked(&transfer.key()) {
                Some(existing) if existing == transfer.amount => known = known.saturating_add(1),
                Some(existing) => return Err(conflict(transfer, existing)),
                None => {}
            }
        }
        match (known, batch.first()) {
            (0, Some(_)) => Ok(false),
            (_, Some(first)) if known < batch.len() => Err(LedgerError::PartialBatch(Box::new(first.key()))),
            _ => Ok(true),
        }
    }

    /// Every line, oldest first.
    #[must_use]
    pub fn lines(&self) -> &[ChainedTransfer] {
        &self.lines
    }

    /// What the lines fold to.
    #[must_use]
    pub const fn books(&self) -> &Books {
        &self.books
    }

    /// Commits to every line.
    #[must_use]
    pub fn head(&self) -> JournalHash {
        self.lines.last().map(|line| line.hash).unwrap_or_default()
    }
}

fn conflict(transfer: &Transfer, existing: Amount) -> LedgerError {
    LedgerError::KeyConflict { key: Box::new(transfer.key()), existing, got: transfer.amount }
}
