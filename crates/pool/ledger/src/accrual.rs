use bq_primitives::Amount;

use crate::{LedgerError, ShareValue};

/// What an account earned by shares in one lane and was not credited yet, in 2^-60 atoms (SPEC 8.9). No share is rounded
/// alone: fractions of an atom stay here until they make a whole one.
///
/// ```
/// use bq_ledger::{Accrual, FeeBasisPoints, ShareValue, ShareWeight};
/// use bq_primitives::{Amount, NetworkDifficulty, ShareDifficulty};
///
/// // A share worth 0.00436 atoms: the first 229 of them are worth nothing yet, and none of it is lost.
/// let weight = ShareWeight::of(ShareDifficulty::MIN, NetworkDifficulty::from_hashes(1 << 40));
/// let value = ShareValue::of(weight, Amount::from_atoms(5_000_000_000)?, FeeBasisPoints::new(400)?)?;
/// let mut accrual = Accrual::ZERO;
/// for _ in 0..1000 {
///     accrual = accrual.added(value)?;
/// }
/// let (credit, rest) = accrual.flush();
/// assert_eq!(credit.atoms(), 4);
/// assert_eq!((4 << 60) + rest.parts(), 1000 * value.parts());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u128", into = "u128")]
pub struct Accrual {
    /// Atoms that can be credited.
    whole: Amount,
    /// What is left of an atom, below 2^60.
    rest: u64,
}

impl TryFrom<u128> for Accrual {
    type Error = LedgerError;

    fn try_from(parts: u128) -> Result<Self, LedgerError> {
        Self::from_parts(parts)
    }
}

impl From<Accrual> for u128 {
    fn from(accrual: Accrual) -> Self {
        accrual.parts()
    }
}

impl Accrual {
    /// Nothing.
    pub const ZERO: Self = Self { whole: Amount::ZERO, rest: 0 };

    const ATOM: u128 = 1 << 60;

    /// An accrual of so many 2^-60 atoms.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`], [`LedgerError::Amount`] from 2^113 on: its whole atoms must be an amount.
    pub fn from_parts(parts: u128) -> Result<Self, LedgerError> {
        let whole = u64::try_from(parts >> 60).map_err(|_| LedgerError::Overflow)?;
        let rest = u64::try_from(parts & Self::ATOM.saturating_sub(1)).map_err(|_| LedgerError::Overflow)?;
        Ok(Self { whole: Amount::from_atoms(whole)?, rest })
    }

    /// The number of 2^-60 atoms, below 2^113.
    #[must_use]
    pub fn parts(self) -> u128 {
        (u128::from(self.whole.atoms()) << 60) | u128::from(self.rest)
    }

    /// One more share.
    ///
    /// # Errors
    /// As [`Accrual::from_parts`], when more than every amount was earned and never credited.
    pub fn added(self, value: ShareValue) -> Result<Self, LedgerError> {
        Self::from_parts(self.parts().checked_add(value.parts()).ok_or(LedgerError::Overflow)?)
    }

    /// Takes the whole atoms out: what to credit, and what stays. `credit * 2^60 + rest` is what there was.
    #[must_use]
    pub fn flush(self) -> (Amount, Self) {
        self.flush_up_to(Amount::MAX)
    }

    /// As [`Accrual::flush`], but no more than `limit`: what the reserve cannot pay stays owed.
    #[must_use]
    pub fn flush_up_to(self, limit: Amount) -> (Amount, Self) {
        let credit = self.whole.min(limit);
        // The credit is no more than the whole, so there is a difference.
        let whole = self.whole.checked_sub(credit).unwrap_or_default();
        (credit, Self { whole, rest: self.rest })
    }
}
