use std::fmt;

use crate::{Target, U256};

/// Expected number of hashes, or a sum of block weights along a chain (SPEC 4).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Work(pub U256);

impl Work {
    /// No work.
    pub const ZERO: Self = Self(U256::ZERO);

    /// Expected hashes to meet `target`: `floor(2^256 / (target + 1))` (SPEC 4.1). Saturates at target 0.
    #[must_use]
    pub fn of_target(target: Target) -> Self {
        // 2^256 / (t + 1) = (2^256 - (t + 1)) / (t + 1) + 1, which stays inside 256 bits.
        let Some(divisor) = target.0.checked_add(U256::ONE) else { return Self(U256::ONE) };
        let quotient = (!target.0).checked_div(divisor).unwrap_or(U256::ZERO);
        Self(quotient.saturating_add(U256::ONE))
    }

    /// The sum, or nothing when it leaves 256 bits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Work({self})")
    }
}
