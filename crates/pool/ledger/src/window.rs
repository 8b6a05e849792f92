use std::{collections::BTreeMap, ops::ControlFlow};

use bq_primitives::AccountId;

use crate::{LedgerError, ShareWeight};

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
/// window that no share fills (SPEC 8.2). The parts always sum to the whole window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    units: WindowUnits,
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
            Ok(Self { units, weights: summed, seed })
        } else {
            Err(LedgerError::WindowSum { got: total, expected })
        }
    }

    /// From sums that are known to fill it together with the seed's.
    pub(crate) fn of_sums(units: WindowUnits, mut weights: BTreeMap<AccountId, u128>, seed: u128) -> Self {
        weights.retain(|_, weight| *weight > 0);
        Self { units, weights, seed }
    }

    /// Length of the window.
    #[must_use]
    pub const fn units(&self) -> WindowUnits {
        self.units
    }

    /// Weight per account in increasing id; none is zero.
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

/// A window being filled, newest share first, for readers that do not return an iterator. Accounts are small numbers, so
/// the sums lie in a table: a window of millions of shares costs one addition each.
#[derive(Clone, Debug)]
pub struct WindowFold {
    units: WindowUnits,
    need: u128,
    head: Head,
    sums: Vec<u128>,
}

impl WindowFold {
    /// An empty window.
    #[must_use]
    pub fn new(units: WindowUnits, head: Head) -> Self {
        Self { units, need: units.parts(), head, sums: Vec::new() }
    }

    /// The next older share. Breaks when the window is full.
    pub fn add(&mut self, account: AccountId, weight: ShareWeight) -> ControlFlow<()> {
        let counted = match std::mem::replace(&mut self.head, Head::Whole) {
            Head::Half => weight.half(),
            Head::Whole => weight,
        };
        let taken = self.need.min(u128::from(counted.parts()));
        self.need = self.need.saturating_sub(taken);
        let index = usize::try_from(account.0).unwrap_or(usize::MAX);
        if index >= self.sums.len() {
            self.sums.resize(index.saturating_add(1), 0);
        }
        if let Some(sum) = self.sums.get_mut(index) {
            *sum = sum.saturating_add(taken);
        }
        if self.need == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The window; what was not filled belongs to the seed account.
    #[must_use]
    pub fn finish(self) -> Window {
        let numbered = (0_u32..).map(AccountId).zip(self.sums);
        Window { units: self.units, weights: numbered.filter(|(_, sum)| *sum > 0).collect(), seed: self.need }
    }
}
