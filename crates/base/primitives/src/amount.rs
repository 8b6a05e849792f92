use std::fmt;

/// A sum of money in atoms, between 0 and 2^53 - 1 (SPEC 6.3): every amount fits a JSON number exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Amount(u64);

/// An amount left the range 0..=2^53 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// The value or sum is above [`Amount::MAX`].
    #[error("amount above 2^53 - 1 atoms")]
    TooLarge,
    /// A subtraction would go below zero.
    #[error("amount below zero: {left} - {right} atoms")]
    Negative {
        /// What was subtracted from.
        left: u64,
        /// What was subtracted.
        right: u64,
    },
}

impl TryFrom<u64> for Amount {
    type Error = AmountError;

    fn try_from(atoms: u64) -> Result<Self, AmountError> {
        Self::from_atoms(atoms)
    }
}

impl From<Amount> for u64 {
    fn from(amount: Amount) -> Self {
        amount.atoms()
    }
}

impl Amount {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// The largest amount, 2^53 - 1 atoms.
    pub const MAX: Self = Self((1 << 53) - 1);
    /// Atoms in one coin.
    pub const ATOMS_PER_COIN: u64 = 100_000_000;

    /// Checks the range.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`] above [`Amount::MAX`].
    pub const fn from_atoms(atoms: u64) -> Result<Self, AmountError> {
        if atoms > Self::MAX.0 { Err(AmountError::TooLarge) } else { Ok(Self(atoms)) }
    }

    /// The number of atoms.
    #[must_use]
    pub const fn atoms(self) -> u64 {
        self.0
    }

    /// The sum of two amounts.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`] if the sum is above [`Amount::MAX`].
    pub const fn checked_add(self, other: Self) -> Result<Self, AmountError> {
        // Two values below 2^53 cannot wrap a u64.
        Self::from_atoms(self.0.wrapping_add(other.0))
    }

    /// What is left after taking `other` away.
    ///
    /// # Errors
    /// [`AmountError::Negative`] if `other` is larger.
    pub const fn checked_sub(self, other: Self) -> Result<Self, AmountError> {
        match self.0.checked_sub(other.0) {
            Some(atoms) => Ok(Self(atoms)),
            None => Err(AmountError::Negative { left: self.0, right: other.0 }),
        }
    }

    /// The sum of many amounts.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`] if the sum is above [`Amount::MAX`].
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Result<Self, AmountError> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

/// Coins with all eight decimals, for people: `12.50000000`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (coins, atoms) = (self.0 / Self::ATOMS_PER_COIN, self.0 % Self::ATOMS_PER_COIN);
        write!(f, "{coins}.{atoms:08}")
    }
}
