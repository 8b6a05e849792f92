use std::fmt;

use crate::{Target, U256};

/// Difficulty assigned to a share: expected hashes per share, at least 1. Every dialect's own unit is derived from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareDifficulty(u64);

impl ShareDifficulty {
    /// Every hash is a share.
    pub const MIN: Self = Self(1);

    /// A difficulty of `hashes` expected hashes; 0 is raised to 1.
    #[must_use]
    pub const fn from_hashes(hashes: u64) -> Self {
        Self(if hashes == 0 { 1 } else { hashes })
    }

    /// Expected hashes per share.
    #[must_use]
    pub const fn hashes(self) -> u64 {
        self.0
    }

    /// The largest value that still meets this difficulty: `floor(2^256 / d)`, saturating at 2^256 - 1.
    #[must_use]
    pub fn target(self) -> Target {
        if self.0 <= 1 {
            return Target(U256::MAX);
        }
        // floor(2^256 / d) = floor((2^256 - d) / d) + 1
        let divisor = U256::from(self.0);
        let below = (!divisor).saturating_add(U256::ONE);
        let quotient = below.checked_div(divisor).unwrap_or(U256::MAX);
        Target(quotient.saturating_add(U256::ONE))
    }
}

impl fmt::Display for ShareDifficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Expected hashes for a block: `floor((2^256 - 1) / (target + 1))`, at least 1, saturating at 2^96 - 1 (SPEC 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkDifficulty(u128);

impl NetworkDifficulty {
    /// The largest difficulty the share arithmetic is proved for.
    pub const MAX: Self = Self((1 << 96) - 1);

    /// The difficulty of a block target.
    #[must_use]
    pub fn of_target(target: Target) -> Self {
        let divisor = target.0.checked_add(U256::ONE).unwrap_or(U256::MAX);
        let quotient = U256::MAX.checked_div(divisor).unwrap_or(U256::MAX);
        Self::from_hashes(u128::try_from(quotient).unwrap_or(u128::MAX))
    }

    /// A difficulty of `hashes` expected hashes, moved into 1..=2^96 - 1.
    #[must_use]
    pub fn from_hashes(hashes: u128) -> Self {
        Self(hashes.clamp(1, Self::MAX.0))
    }

    /// Expected hashes per block.
    #[must_use]
    pub const fn hashes(self) -> u128 {
        self.0
    }
}

impl fmt::Display for NetworkDifficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
