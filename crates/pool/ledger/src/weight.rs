use std::fmt;

use bq_primitives::{NetworkDifficulty, ShareDifficulty};

/// The part of a block that a share is expected to be, in units of 2^-60, at most 1 (SPEC 8.1). Frozen when the job is
/// sent: it depends on the difficulties assigned then, never on the hash that was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareWeight(u64);

impl ShareWeight {
    /// No work.
    pub const ZERO: Self = Self(0);
    /// One whole block: 2^60.
    pub const ONE: Self = Self(1 << 60);

    /// `min(2^60, floor(d * 2^60 / D))` (SPEC 8.1).
    #[must_use]
    pub fn of(share: ShareDifficulty, network: NetworkDifficulty) -> Self {
        // d < 2^64, so the product stays below 2^124; D is at least 1.
        let scaled = u128::from(share.hashes()) << 60;
        let parts = scaled.checked_div(network.hashes()).unwrap_or(u128::MAX);
        u64::try_from(parts).map_or(Self::ONE, |parts| Self(parts.min(Self::ONE.0)))
    }

    /// A weight read back from storage; nothing above 2^60.
    #[must_use]
    pub const fn from_parts(parts: u64) -> Option<Self> {
        if parts > Self::ONE.0 { None } else { Some(Self(parts)) }
    }

    /// The number of 2^-60 units.
    #[must_use]
    pub const fn parts(self) -> u64 {
        self.0
    }

    /// What a block's own share counts in its own window (SPEC 8.2): whole, it would make large shares worth more per
    /// hash than small ones; left out, less.
    #[must_use]
    pub const fn half(self) -> Self {
        Self(self.0 >> 1)
    }
}

impl fmt::Display for ShareWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
