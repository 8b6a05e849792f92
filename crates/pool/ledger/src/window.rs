use std::{collections::BTreeMap, ops::ControlFlow};

use bq_primitives::AccountId;

use crate::{LedgerError, ShareWeight, fill::Fill};

/// Length of a PPLNS window in units: expected work of that many blocks, 1 to 64 (SPEC 8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct WindowUnits(u8);

/// A length outside 1 to 64 units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a window of {0} units is not 1 to 64")]
pub struct WindowUnitsError(pub u8);

impl TryFrom<u8> for WindowUnits {
    type Error = WindowUnitsError;

    fn try_from(units: u8) -> Result<Self, WindowUnitsError> {
        Self::new(units).ok_or(WindowUnitsError(units))
    }
}

impl From<WindowUnits> for u8 {
    fn from(units: WindowUnits) -> Self {
        units.units()
    }
}

impl WindowUnits {
    /// The usual window.
    pub const DEFAULT: Self = Self(2);
    /// The longest window the arithmetic is proved for.
    pub const MAX: Self = Self(64);

    /// A window of `units` blocks' work; nothing outside 1..=64.
    #[must_use]
    pub const fn new(units: u8) -> Option<Self> {
        if units == 0 || units > Self::MAX.0 { None } else { Some(Self(units)) }
    }

    /// Number of units.
    #[must_use]
    pub const fn units(self) -> u8 {
        self.0
    }

    /// The weight that fills the window: `units * 2^60`, at most 2^66.
    #[must_use]
    pub fn parts(self) -> u128 {
        u128::from(self.0) << 60
    }
}

/// Which part of a block each account earned: the shares that lead up to it, and the seed account for the part of the
/// window that no share fills (SPEC 8.2). The parts always sum to the whole window: in units of 2^-60 blocks with PPLNS, in
/// hashes with TIDES (SPEC 8.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    whole: u128,
    weights: BTreeMap<AccountId, u128>,
    seed: u128,
}

impl Window {
    /// Walks a lane's shares from the winning one backwards, in falling sequence. The winning share counts half, each
    /// older one whole, the last one as far as it still fits; what no share fills belongs to the seed account. Stops
    /// reading as soon as the window is full.
    ///
    /// # Errors
    /// Passes on what reading a share fails with.
    pub fn walk<E>(
        units: WindowUnits,
        newest_first: impl IntoIterator<Item = Result<(AccountId, ShareWeight), E>>,
    ) -> Result<Self, E> {
        let mut fold = WindowFold::new(units, Head::Half);
        for share in newest_first {
            let (account, weight) = share?;
            if fold.add(account, weight).is_break() {
                break;
            }
        }
        Ok(fold.finish())
    }

    /// A window with known parts.
    ///
    /// # Errors
    /// [`LedgerError::WindowSum`] unless weights and seed sum to exactly `units * 2^60`.
    pub fn from_parts(
        units: WindowUnits,
        weights: impl IntoIterator<Item = (AccountId, u128)>,
        seed: u128,
    ) -> Result<Self, LedgerError> {
        let mut summed: BTreeMap<AccountId, u128> = BTreeMap::new();
        let mut total = seed;
        for (account, weight) in weights {
            let sum = summed.entry(account).or_default();
            *sum = sum.saturating_add(weight);
            total = total.saturating_add(weight);
        }
        summed.retain(|_, weight| *weight > 0);
        let expected = units.parts();
        if total == expected {
            Ok(Self { whole: expected, weights: summed, seed })
        } else {
            Err(LedgerError::WindowSum { got: total, expected })
        }
    }

    /// Of shares that were added up; the parts sum to the whole.
    pub(crate) fn filled(whole: u128, parts: impl Iterator<Item = (AccountId, u128)>, seed: u128) -> Self {
        Self { whole, weights: parts.filter(|(_, part)| *part > 0).collect(), seed }
    }

    /// What all parts sum to, at least 1.
    #[must_use]
    pub const fn whole(&self) -> u128 {
        self.whole
    }

    /// The part of each account in increasing id; none is zero.
    pub fn weights(&self) -> impl Iterator<Item = (AccountId, u128)> + '_ {
        self.weights.iter().map(|(account, weight)| (*account, *weight))
    }

    /// The part that no share fills.
    #[must_use]
    pub const fn seed(&self) -> u128 {
        self.seed
    }

    /// How many parties share the reward: accounts, and the seed account if it has a part. The rounding residue is
    /// smaller than this number.
    #[must_use]
    pub fn payees(&self) -> u32 {
        let accounts = u32::try_from(self.weights.len()).unwrap_or(u32::MAX);
        accounts.saturating_add(u32::from(self.seed > 0))
    }
}

/// How the newest share of a window counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// It is the block's own share.
    Half,
    /// It only precedes the block.
    Whole,
}

/// A window being filled, newest share first, for readers that do not return an iterator.
#[derive(Clone, Debug)]
pub struct WindowFold(Fill);

impl WindowFold {
    /// An empty window.
    #[must_use]
    pub fn new(units: WindowUnits, head: Head) -> Self {
        Self(Fill::new(units.parts(), head))
    }

    /// The next older share. Breaks when the window is full.
    pub fn add(&mut self, account: AccountId, weight: ShareWeight) -> ControlFlow<()> {
        let counted = match self.0.next_head() {
            Head::Half => weight.half(),
            Head::Whole => weight,
        };
        self.0.add(account, counted.parts())
    }

    /// The window; what was not filled belongs to the seed account.
    #[must_use]
    pub fn finish(self) -> Window {
        self.0.finish()
    }
}
